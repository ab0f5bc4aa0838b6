/*
 * What firmware in flash is told of -kernel, -initrd and -append: items of fw_cfg, as QEMU's virt board has them. EDK2 boots such a
 * kernel by its EFI stub before any disk or network, and finds the initrd beside it. A kernel that is packed with gzip or
 * zstd is unpacked; one that unpacks itself (EFI zboot) stays as it is.
 * Source: QEMU docs/specs/fw_cfg.rst; EDK2 OvmfPkg/Library/QemuFwCfgLib, QemuKernelLoaderFsDxe.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/fw_cfg.h"
#include "frontend/machine_parts.h"
#include "frontend/source.h"

enum { FILE_MAX = 1 << 30, FIRST_SIZE = 1 << 20 };

/* All of a file in heap memory, unpacked if `unpack`; the caller frees it. NULL: e is set. */
static uint8_t *read_file(const char *path, bool unpack, uint32_t *len, struct err *e)
{
    struct source *s = source_open(path, unpack, e);
    uint8_t *buf = NULL, *more;
    uint64_t size = 0, room = 0, got = 1;
    bool ok = s != NULL;

    while (ok && got && size < FILE_MAX) {
        if (size == room) {
            room = room ? 2 * room : FIRST_SIZE;
            more = realloc(buf, room);
            ok = more || err_set(e, "%s: out of memory", path);
            buf = more ? more : buf;
        }
        ok = ok && source_read(s, buf + size, room - size, &got, e);
        size += ok ? got : 0;
    }
    if (ok && size >= FILE_MAX)
        ok = err_set(e, "%s: larger than %d bytes", path, FILE_MAX);
    source_close(s);
    *len = (uint32_t)size;
    if (ok)
        return buf;
    free(buf);
    return NULL;
}

static bool is_zboot(const uint8_t *data, uint32_t len) { return len >= 8 && !memcmp(data + 4, "zimg", 4); }

static bool add(struct device *fw_cfg, uint16_t size_key, uint16_t data_key, const void *data, uint32_t len,
                struct err *e)
{
    return fw_cfg_add_u32(fw_cfg, size_key, len, e) &&
           fw_cfg_add(fw_cfg, &(struct fw_cfg_item){.key = data_key, .data = data, .len = len}, e);
}

static bool add_kernel(struct device *fw_cfg, const char *path, struct err *e)
{
    uint32_t len;
    uint8_t *data = read_file(path, false, &len, e);
    bool ok;

    if (data && !is_zboot(data, len)) {
        free(data);
        data = read_file(path, true, &len, e);
    }
    ok = data && add(fw_cfg, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, data, len, e);
    free(data);
    return ok;
}

static bool add_initrd(struct device *fw_cfg, const char *path, struct err *e)
{
    uint32_t len;
    uint8_t *data = read_file(path, false, &len, e);
    bool ok = data && add(fw_cfg, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, data, len, e);

    free(data);
    return ok;
}

bool machine_tell_firmware(struct machine *m, struct err *e)
{
    const struct machine_config *c = m->config;

    if (!boot_by_flash(c) || !c->kernel)
        return true;
    if (!add_kernel(m->fw_cfg, c->kernel, e))
        return err_prefix(e, "kernel");
    if (c->initrd && !add_initrd(m->fw_cfg, c->initrd, e))
        return err_prefix(e, "initrd");
    return !c->append ||
           add(m->fw_cfg, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA, c->append, (uint32_t)strlen(c->append) + 1, e);
}
