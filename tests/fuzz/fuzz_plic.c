/* Fuzz target: PLIC registers and input lines of two harts. An output must follow from the registers as they read. */
#include <stdlib.h>

#include "devices/plic.h"
#include "tests/fuzz/machine.h"

static struct device *plic;
static bool out[4];

static void out_set(void *arg, unsigned n, bool level)
{
    (void)n;
    *(bool *)arg = level;
}

static gpa address(struct fuzz_in *in)
{
    static const gpa parts[] = {0, 0x1000, 0x2000, 0x2080, 0x200000, 0x201000, 0x203000, 0x5fff00};

    return FUZZ_BASE + parts[fuzz_take(in, 1) % 8] + fuzz_take(in, 1) * 4;
}

static void event(struct fuzz_in *in, unsigned kind)
{
    struct irq i = plic_input(plic, (unsigned)fuzz_take(in, 1) % PLIC_SOURCES);

    irq_set(&i, kind & 1);
}

/* No claim left over: what context c sees pending, by the registers alone. */
static bool wanted(struct bus *b, unsigned c)
{
    uint64_t pending, enable, priority, threshold;

    if (!bus_read(b, FUZZ_BASE + 0x200000 + 0x1000 * c, 4, &threshold))
        abort();
    for (unsigned n = 0; n < PLIC_SOURCES; n++) {
        bus_read(b, FUZZ_BASE + 0x1000 + n / 32 * 4, 4, &pending);
        bus_read(b, FUZZ_BASE + 0x2000 + 0x80 * c + n / 32 * 4, 4, &enable);
        bus_read(b, FUZZ_BASE + 4 * n, 4, &priority);
        if ((pending & enable) >> n % 32 & 1 && priority > threshold)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_machine m;
    struct err e;

    fuzz_machine_open(&m);
    plic = plic_new(&m.env, "plic", 2);
    if (!plic || !device_map(plic, FUZZ_BASE, &e))
        abort();
    for (unsigned c = 0; c < 4; c++) {
        struct irq *o = plic_irq(plic, c / 2, c % 2);

        o->set = out_set;
        o->arg = &out[c];
        out[c] = false;
    }
    fuzz_run(&m, &(struct fuzz_target){plic, address, event}, data, size);
    for (unsigned c = 0; c < 4; c++)
        if (out[c] != wanted(m.bus, c))
            abort();
    device_free(plic);
    fuzz_machine_close(&m);
    return 0;
}
