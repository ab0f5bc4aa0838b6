/* Fuzz target: fw_cfg registers and DMA with descriptors of the input's making. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/fw_cfg.h"
#include "tests/fuzz/machine.h"

static struct fuzz_machine m;

static gpa address(struct fuzz_in *in) { return FUZZ_BASE + fuzz_take(in, 1) % 0x19; }

/* A request: control, length and address from the input, mostly near RAM. */
static void event(struct fuzz_in *in, unsigned kind)
{
    uint8_t d[16];

    st32be(d, (uint32_t)fuzz_take(in, 1) | (uint32_t)fuzz_take(in, 1) << 16);
    st32be(d + 4, (uint32_t)fuzz_take(in, kind & 1 ? 4 : 1));
    st64be(d + 8, kind & 2 ? fuzz_take(in, 8) : FUZZ_RAM + fuzz_take(in, 2));
    dma_write(m.bus, FUZZ_RAM + 0x100, d, sizeof d);
    bus_write(m.bus, FUZZ_BASE + 0x10, 8, __builtin_bswap64(FUZZ_RAM + 0x100));
}

static void selected(void *arg, void *data, uint32_t len)
{
    (void)arg;
    memset(data, 0x5a, len);
}

static void written(void *arg, const void *data, uint32_t off, uint32_t len)
{
    (void)arg, (void)data;
    if (off > 28 || len > 28 - off)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device *d;
    struct err e;

    fuzz_machine_open(&m);
    d = fw_cfg_new(&m.env, "fw_cfg");
    if (!d || !device_map(d, FUZZ_BASE, &e) || !fw_cfg_add_u16(d, FW_CFG_NB_CPUS, 2, &e) ||
        !fw_cfg_add_string(d, "opt/a", "some bytes", &e) ||
        !fw_cfg_add(d, &(struct fw_cfg_item){.name = "b", .len = 28, .writable = true, .written = written}, &e) ||
        !fw_cfg_add(d, &(struct fw_cfg_item){.name = "c", .len = 8, .selected = selected}, &e))
        abort();
    fuzz_run(&m, &(struct fuzz_target){d, address, event}, data, size);
    device_free(d);
    fuzz_machine_close(&m);
    return 0;
}
