/*
 * Start of the machine. See boot.h.
 *
 * Placement: firmware at the bottom of RAM, the kernel at the next 2 MiB (0x80200000 under the native SBI too), the initrd
 * min(RAM / 2, 512 MiB) above the kernel, the device tree at the top of RAM below 3 GiB, 2 MiB aligned. Firmware in flash
 * takes kernel and initrd from fw_cfg instead and places them itself.
 * fw_dynamic: OpenSBI docs/firmware/fw_dynamic.md, struct fw_dynamic_info version 2 in a2.
 */
#include "frontend/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/gate.h"
#include "frontend/board_virt.h"
#include "frontend/fdt_virt.h"
#include "frontend/screen.h"
#include "mmu/bus.h"

#define MIB (UINT64_C(1) << 20)
enum { KERNEL_ALIGN = 2 << 20, DTB_MAX = 16 << 20, FDT_ROOM = 4096 };

/* QEMU ships this firmware and tools name it by path; where it is not installed the native SBI does its work. */
static const char stock_firmware[] = "opensbi-riscv64-generic-fw_dynamic.bin";

struct plan {
    gpa ram, ram_end;
    gpa firmware_end;
    gpa next; /* what firmware, or the native SBI, enters: 0 = nothing */
    gpa initrd, initrd_end;
    struct screen screen;
};

bool boot_by_flash(const struct machine_config *c) { return c->pflash[0] && c->firmware != FIRMWARE_NONE; }

static bool load_bios(struct boot *b, struct plan *p, struct err *e)
{
    const struct machine_config *c = b->config;
    const char *base = c->bios ? strrchr(c->bios, '/') : NULL;
    struct loaded l;

    b->supervisor = c->firmware == FIRMWARE_SBI;
    p->firmware_end = p->ram;
    if (c->firmware == FIRMWARE_FILE && !strcmp(base ? base + 1 : c->bios, stock_firmware) && access(c->bios, F_OK)) {
        if (!b->said)
            fprintf(stderr, "%s: %s is not there; the built-in SBI serves instead\n", c->program, c->bios);
        b->said = true;
        b->supervisor = true;
    }
    if (b->supervisor) {
        p->firmware_end = p->ram + KERNEL_ALIGN;
    } else if (c->firmware == FIRMWARE_FILE) {
        if (!load_firmware(b->bus, c->bios, p->ram, &l, e))
            return err_prefix(e, "-bios");
        b->program = l;
        b->start = l.kind == LOAD_ELF ? l.entry : p->ram;
        p->firmware_end = align_up(l.end > p->ram && l.end < p->ram_end ? l.end : p->ram, KERNEL_ALIGN);
        return true;
    }
    b->start = p->ram;
    return true;
}

static bool load_payload(struct boot *b, struct plan *p, struct err *e)
{
    const struct machine_config *c = b->config;

    if (boot_by_flash(c)) {
        p->next = board_virt[BOARD_FLASH0].base;
        return true;
    }
    if (c->pflash[0])
        b->start = board_virt[BOARD_FLASH0].base;
    if (!c->kernel)
        return true;
    if (!load_kernel(b->bus, c->kernel, p->ram, p->firmware_end, &b->program, e))
        return err_prefix(e, "kernel");
    if (!p->next)
        p->next = b->program.entry;
    if (c->firmware == FIRMWARE_NONE && !c->pflash[0])
        b->start = b->program.kind == LOAD_ELF ? b->program.entry : p->ram;
    if (c->firmware == FIRMWARE_NONE && b->program.kind == LOAD_IMAGE)
        b->start = b->program.entry;
    return true;
}

static bool load_initrd(struct boot *b, struct plan *p, struct err *e)
{
    const struct machine_config *c = b->config;
    uint64_t half = c->ram / 2 < 512 * MIB ? c->ram / 2 : 512 * MIB, len;
    gpa low = c->kernel ? b->program.low : p->firmware_end, kernel_end = c->kernel ? b->program.end : p->firmware_end;
    gpa at = align_up(low + half, PAGE_SIZE);

    if (!c->initrd || boot_by_flash(c))
        return true;
    if (at < kernel_end || at >= p->ram_end)
        at = align_up(kernel_end, KERNEL_ALIGN);
    if (at >= p->ram_end)
        return err_set(e, "initrd: %s: no memory left for it; the machine has %" PRIu64 " MiB", c->initrd,
                       c->ram / MIB);
    if (!load_raw(b->bus, c->initrd, at, p->ram_end - at, &len, e))
        return err_prefix(e, "initrd");
    if (!len)
        return err_set(e, "initrd: %s: empty file", c->initrd);
    p->initrd = at;
    p->initrd_end = at + len;
    return true;
}

static bool load_extra(struct boot *b, const struct loader_config *l, struct plan *p, struct err *e)
{
    struct loaded out = {.entry = l->addr};
    uint8_t bytes[8];

    if (l->file) {
        if (!load_file(b->bus, l->file, l->has_addr, l->addr, l->raw, &out, e))
            return err_prefix(e, "-device loader");
        if (!b->config->kernel) {
            b->program = out;
            p->next = p->next ? p->next : out.entry;
        }
    } else if (l->data_len) {
        st64(bytes, l->data);
        if (!dma_write(b->bus, l->addr, bytes, l->data_len))
            return err_set(e, "-device loader: no memory at 0x%" PRIx64, l->addr);
    }
    if (l->has_cpu) {
        if (l->cpu >= b->config->cpus)
            return err_set(e, "-device loader: cpu-num=%u: there are %u CPUs", l->cpu, b->config->cpus);
        b->cpu_pc[l->cpu] = out.entry;
    }
    return true;
}

/* As machine_build_ps2 gives them places. */
static unsigned ps2_ports(const struct machine_config *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->devices; i++)
        n += c->device[i].type->kind == DEVICE_PS2_KEYBOARD || c->device[i].type->kind == DEVICE_PS2_MOUSE;
    return n < BOARD_PS2_SLOTS ? n : BOARD_PS2_SLOTS;
}

static void *build_fdt(struct boot *b, const struct plan *p, uint64_t *len, struct err *e)
{
    const struct machine_config *c = b->config;
    struct fdt_spec spec = {
        .isa = b->isa,
        .cpus = c->cpus,
        .ram = c->ram,
        .aclint = c->aclint,
        .ps2 = ps2_ports(c),
        .bootargs = c->append,
        .initrd_start = p->initrd,
        .initrd_end = p->initrd_end,
        .screen = &p->screen,
    };
    void *user = NULL, *fdt;

    gate_random(b->gate, spec.rng_seed, sizeof spec.rng_seed);
    gate_random(b->gate, &spec.kaslr_seed, sizeof spec.kaslr_seed);
    if (c->dtb) {
        user = file_read_all(c->dtb, DTB_MAX, &spec.user_len, e);
        if (!user) {
            err_prefix(e, "dtb");
            return NULL;
        }
        spec.user = user;
    }
    fdt = fdt_virt_build(&spec, len, e);
    if (!fdt)
        err_prefix(e, "%s%s", c->dtb ? "dtb: " : "", c->dtb ? c->dtb : "built-in");
    free(user);
    return fdt;
}

/*
 * Room at the end of the tree, as firmware leaves it (OpenSBI does): U-Boot adds its /chosen to the copy it made by the
 * tree's total size, and what lies behind the copy is U-Boot's own data.
 */
static void *pad_fdt(void *fdt, uint64_t *len)
{
    int size = fdt ? (int)*len + FDT_ROOM : 0;
    void *padded = fdt ? calloc(1, (size_t)size) : NULL;

    if (padded && fdt_open_into(fdt, padded, size) == 0) {
        free(fdt);
        *len = (uint64_t)size;
        return padded;
    }
    free(padded);
    return fdt; /* as it is: whoever adds to it may be luckier */
}

static bool place_fdt(struct boot *b, const struct plan *p, struct err *e)
{
    gpa end = p->ram_end < 3072 * MIB ? p->ram_end : 3072 * MIB;
    uint64_t len = 0;
    void *fdt = pad_fdt(build_fdt(b, p, &len, e), &len);
    bool ok = fdt != NULL;

    if (ok) {
        b->fdt = align_down(end - len, KERNEL_ALIGN);
        if (b->fdt < p->initrd_end || (b->config->kernel && b->fdt < b->program.end && b->program.low < b->fdt + len)) {
            b->fdt = align_down(end - len, PAGE_SIZE); /* little memory: as high as it goes */
            if (b->fdt < p->initrd_end ||
                (b->config->kernel && b->fdt < b->program.end && b->program.low < b->fdt + len))
                ok =
                    err_set(e, "kernel and initrd leave no memory for the device tree; the machine has %" PRIu64 " MiB",
                            b->config->ram / MIB);
        }
    }
    if (ok && !dma_write(b->bus, b->fdt, fdt, len))
        ok = err_set(e, "device tree: no memory at 0x%" PRIx64, b->fdt);
    free(fdt);
    return ok;
}

/* QEMU's: a0 = mhartid, a1 = device tree, a2 = fw_dynamic_info, then jump. */
static void reset_vector(struct boot *b, const struct plan *p)
{
    static const uint32_t code[] = {
        0x00000297, /* auipc t0, 0 */
        0x02828613, /* addi  a2, t0, 40 */
        0xf1402573, /* csrr  a0, mhartid */
        0x0202b583, /* ld    a1, 32(t0) */
        0x0182b283, /* ld    t0, 24(t0) */
        0x00028067, /* jr    t0 */
    };
    const uint64_t data[] = {b->start, b->fdt,  UINT64_C(0x4942534f), /* fw_dynamic_info: "OSBI" */
                             2,        p->next, 1,                    /* S-mode */
                             0,        0};

    memset(b->mrom, 0, BOOT_MROM_SIZE);
    for (size_t i = 0; i < ARRAY_LEN(code); i++)
        st32(b->mrom + 4 * i, code[i]);
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        st64(b->mrom + sizeof code + 8 * i, data[i]);
    b->start = board_virt[BOARD_MROM].base;
}

bool boot_load(struct boot *b, struct err *e)
{
    struct plan p = {.ram = board_virt[BOARD_DRAM].base, .ram_end = board_virt[BOARD_DRAM].base + b->config->ram};

    memset(&b->program, 0, sizeof b->program);
    memset(b->cpu_pc, 0, sizeof b->cpu_pc);
    if (!screen_plan(b->config, &p.screen, e))
        return err_prefix(e, "-device simple-framebuffer");
    if (p.screen.base)
        p.ram_end = p.screen.base;
    if (!load_bios(b, &p, e) || !load_payload(b, &p, e) || !load_initrd(b, &p, e))
        return false;
    for (unsigned i = 0; i < b->config->loaders; i++)
        if (!load_extra(b, &b->config->loader[i], &p, e))
            return false;
    if (!place_fdt(b, &p, e))
        return false;
    if (b->supervisor) {
        b->start = p.next;
        if (!p.next)
            return err_set(e, "nothing to boot: no -kernel, no firmware, no flash");
        return true;
    }
    reset_vector(b, &p);
    return true;
}

bool boot_dump_fdt(struct boot *b, const char *path, struct err *e)
{
    struct plan p = {0};
    bool planned = screen_plan(b->config, &p.screen, e) || err_prefix(e, "-device simple-framebuffer");
    uint64_t len;
    void *fdt = planned ? build_fdt(b, &p, &len, e) : NULL;
    FILE *f = fdt ? fopen(path, "wb") : NULL;
    bool ok = f && fwrite(fdt, 1, len, f) == len;

    if (f && fclose(f))
        ok = false;
    if (fdt && !ok)
        err_set(e, "%s: %s", path, strerror(errno));
    free(fdt);
    return ok;
}

bool boot_dump_signature(const struct boot *b, const char *path, struct err *e)
{
    gpa from = b->program.begin_signature, to = b->program.end_signature;
    const uint8_t *mem = to > from ? bus_mem(b->bus, from, to - from) : NULL;
    FILE *f;
    bool ok = true;

    if (!mem)
        return err_set(e, "%s: the program has no begin_signature and end_signature in memory", path);
    f = fopen(path, "w");
    if (!f)
        return err_set(e, "%s: %s", path, strerror(errno));
    for (uint64_t i = 0; i + 4 <= to - from; i += 4)
        ok &= fprintf(f, "%08" PRIx32 "\n", ld32(mem + i)) > 0;
    if (fclose(f) || !ok)
        return err_set(e, "%s: %s", path, strerror(errno));
    return true;
}
