/* Fuzz target: the flash's command sequences. Whatever came before, "read array" twice must give memory again. */
#include <stdlib.h>

#include "devices/pflash_cfi01.h"
#include "tests/fuzz/machine.h"

static gpa address(struct fuzz_in *in)
{
    static const gpa parts[] = {0, 0x1000, 0x40000, PFLASH_SIZE - 0x100};

    return FUZZ_BASE + parts[fuzz_take(in, 1) % 4] + fuzz_take(in, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_machine m;
    struct device *d;
    struct err e;

    fuzz_machine_open(&m);
    d = pflash_new(&m.env, "flash", NULL, false, &e);
    if (!d || !device_map(d, FUZZ_BASE, &e))
        abort();
    fuzz_run(&m, &(struct fuzz_target){.dev = d, .address = address}, data, size);
    for (unsigned i = 0; i < 1100; i++) /* at most a whole buffered write is under way */
        bus_write(m.bus, FUZZ_BASE, 4, 0x00ff00ff);
    if (d->region.kind != REGION_ROM)
        abort();
    device_free(d);
    fuzz_machine_close(&m);
    return 0;
}
