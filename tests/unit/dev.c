#include "tests/unit/dev.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"

void dev_bench_open(struct dev_bench *b)
{
    struct err e;

    b->clock = clock_new_fake();
    b->log = log_new();
    b->bus = bus_new(b->log);
    b->gate = gate_new(b->clock);
    if (!bus_add_ram(b->bus, "ram", DEV_RAM, DEV_RAM_SIZE, &e))
        fail_msg("%s", e.msg);
    b->env = (struct device_env){.clock = b->clock, .log = b->log, .bus = b->bus, .gate = b->gate};
}

void dev_bench_close(struct dev_bench *b)
{
    bus_free(b->bus);
    gate_free(b->gate);
    clock_free(b->clock);
    log_free(b->log);
}

void dev_map(struct device *d)
{
    struct err e;

    if (!device_map(d, DEV_BASE, &e))
        fail_msg("%s", e.msg);
}

uint64_t dev_read(struct dev_bench *b, gpa addr, unsigned size)
{
    uint64_t v = 0;

    if (!bus_read(b->bus, addr, size, &v))
        fail_msg("read of %u bytes at 0x%llx refused", size, (unsigned long long)addr);
    return v;
}

void dev_write(struct dev_bench *b, gpa addr, unsigned size, uint64_t val)
{
    if (!bus_write(b->bus, addr, size, val))
        fail_msg("write of %u bytes at 0x%llx refused", size, (unsigned long long)addr);
}

bool dev_refused(struct dev_bench *b, gpa addr, unsigned size)
{
    uint64_t v;

    return !bus_read(b->bus, addr, size, &v);
}

static void line_set(void *arg, unsigned n, bool level)
{
    struct dev_line *l = arg;

    (void)n;
    l->sets++;
    l->rises += level && !l->level;
    l->level = level;
}

void dev_connect(struct irq *i, struct dev_line *l)
{
    *l = (struct dev_line){0};
    i->set = line_set;
    i->arg = l;
}

void dev_check_save_restore(struct device *d)
{
    size_t n = device_state_size(d);
    uint8_t *a = malloc(n + 1), *b = malloc(n + 1);
    bool level = d->irq.level;
    struct err e;

    device_save(d, a);
    device_reset(d);
    CHECK(device_restore(d, a, n, &e));
    device_save(d, b);
    assert_memory_equal(a, b, n);
    CHECK_EQ(d->irq.level, level);
    CHECK(!device_restore(d, a, n + 1, &e));
    free(a);
    free(b);
}

static size_t rec_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct dev_chardev *r = CONTAINER_OF(c, struct dev_chardev, c);
    size_t n = r->limit - r->len < len ? r->limit - r->len : len;

    memcpy(r->out + r->len, buf, n);
    r->len += n;
    r->out[r->len] = 0;
    return n;
}

static void rec_drained(struct chardev *c) { CONTAINER_OF(c, struct dev_chardev, c)->drained++; }

void dev_chardev_init(struct dev_chardev *c)
{
    *c = (struct dev_chardev){.limit = sizeof c->out - 1};
    c->c.write = rec_write;
    c->c.drained = rec_drained;
    c->c.open = true;
}
