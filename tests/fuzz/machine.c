#include "tests/fuzz/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t fuzz_take(struct fuzz_in *in, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        v |= (uint64_t)*in->p++ << 8 * i;
    return v;
}

void fuzz_machine_open(struct fuzz_machine *m)
{
    struct err e;

    m->clock = clock_new_fake();
    m->log = log_new();
    m->bus = bus_new(m->log);
    m->gate = gate_new(m->clock);
    if (!m->clock || !m->log || !m->bus || !m->gate || !bus_add_ram(m->bus, "ram", FUZZ_RAM, FUZZ_RAM_SIZE, &e))
        abort();
    m->env = (struct device_env){.clock = m->clock, .log = m->log, .bus = m->bus, .gate = m->gate};
}

void fuzz_machine_close(struct fuzz_machine *m)
{
    bus_free(m->bus);
    gate_free(m->gate);
    clock_free(m->clock);
    log_free(m->log);
}

static void save_and_restore(struct device *d)
{
    size_t n = device_state_size(d);
    uint8_t *a = malloc(n + 1), *b = malloc(n + 1);
    struct err e;

    if (!a || !b)
        abort();
    device_save(d, a);
    device_reset(d);
    if (!device_restore(d, a, n, &e))
        abort();
    device_save(d, b);
    for (size_t i = 0, at = 0; d->ops->state[i].name; at += d->ops->state[i].size * d->ops->state[i].count, i++)
        if (memcmp(a + at, b + at, d->ops->state[i].size * d->ops->state[i].count)) {
            fprintf(stderr, "%s: field %s is not as it was saved\n", d->name, d->ops->state[i].name);
            abort();
        }
    free(a);
    free(b);
}

static void restore_junk(struct device *d, struct fuzz_in *in)
{
    size_t n = device_state_size(d);
    uint8_t *a = malloc(n + 1);
    struct err e;

    if (!a)
        abort();
    device_save(d, a);
    for (unsigned k = (unsigned)fuzz_take(in, 1); k && n; k--)
        a[fuzz_take(in, 2) % n] = (uint8_t)fuzz_take(in, 1);
    if (!device_restore(d, a, n, &e))
        abort();
    free(a);
}

void fuzz_disturb(struct device *d, struct fuzz_in *in)
{
    switch (fuzz_take(in, 1) & 3) {
    case 0: save_and_restore(d); break;
    case 1: restore_junk(d, in); break;
    default: device_reset(d);
    }
}

static void fill_ram(struct fuzz_machine *m, struct fuzz_in *in)
{
    gpa at = FUZZ_RAM + fuzz_take(in, 2);

    for (unsigned n = (unsigned)fuzz_take(in, 1) % 64; n; n--) {
        uint8_t b = (uint8_t)fuzz_take(in, 1);

        if (!dma_write(m->bus, at++, &b, 1))
            return;
    }
}

static void step(struct fuzz_machine *m, const struct fuzz_target *t, struct fuzz_in *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1);
    uint64_t v;
    gpa at;

    if (op < 0xc0) {
        at = t->address(in);
        if (op & 4)
            bus_write(m->bus, at, 1u << (op & 3), fuzz_take(in, 1u << (op & 3)));
        else
            bus_read(m->bus, at, 1u << (op & 3), &v);
        return;
    }
    switch (op) {
    case 0xc0: device_reset(t->dev); return;
    case 0xc1: save_and_restore(t->dev); return;
    case 0xc2: restore_junk(t->dev, in); return;
    case 0xc3: clock_advance(m->clock, fuzz_take(in, 3)); return;
    case 0xc4: fill_ram(m, in); return;
    default:
        if (t->event)
            t->event(in, op - 0xc5);
    }
}

void fuzz_run(struct fuzz_machine *m, const struct fuzz_target *t, const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};

    while (in.left)
        step(m, t, &in);
}
