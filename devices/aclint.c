/*
 * ACLINT: see aclint.h. Each hart has a timer of the machine's clock that is due when mtime reaches mtimecmp.
 *
 * mtime is clock / 100 ns plus an offset. The offset is atomic: vCPUs read the time without the device's lock.
 */
#include "devices/aclint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"

enum { /* offsets; msip is at 0 */
       MTIMECMP = 0x4000,
       MTIME = 0xbff8,
};

enum { NS_PER_TICK = 1000000000 / ACLINT_HZ };

struct aclint;

struct aclint_hart {
    struct aclint *owner;
    struct timer timer;
    struct irq msi, mti;
};

struct aclint {
    struct device dev;
    unsigned harts;
    uint64_t offset; /* mtime minus the clock's ticks; written under the lock, read anywhere */
    uint64_t mtimecmp[ACLINT_MAX_HARTS];
    uint8_t msip[ACLINT_MAX_HARTS];
    struct aclint_hart hart[ACLINT_MAX_HARTS];
    void (*time_changed)(void *arg);
    void *time_arg;
};

uint64_t aclint_time(const struct device *d)
{
    const struct aclint *a = (const struct aclint *)d;

    return clock_now(d->clock) / NS_PER_TICK + __atomic_load_n(&a->offset, __ATOMIC_RELAXED);
}

uint64_t aclint_time_to_clock(const struct device *d, uint64_t t)
{
    const struct aclint *a = (const struct aclint *)d;
    uint64_t now = clock_now(d->clock);
    uint64_t mtime = now / NS_PER_TICK + __atomic_load_n(&a->offset, __ATOMIC_RELAXED);
    uint64_t ticks = now / NS_PER_TICK;

    if (t <= mtime)
        return now;
    /* clock ticks at that time; far comparands (all ones: "never") do not fit the clock */
    if (t - mtime > CLOCK_NEVER / NS_PER_TICK - ticks - 1)
        return CLOCK_NEVER;
    return (ticks + (t - mtime)) * NS_PER_TICK;
}

/* Compare hart h with mtime: its line, and its timer when the time is still to come. */
static void hart_update(struct aclint *a, unsigned h)
{
    struct aclint_hart *t = &a->hart[h];
    bool due = aclint_time(&a->dev) >= a->mtimecmp[h];
    uint64_t when = due ? CLOCK_NEVER : aclint_time_to_clock(&a->dev, a->mtimecmp[h]);

    if (when == CLOCK_NEVER)
        timer_cancel(&t->timer);
    else
        timer_arm(&t->timer, when);
    irq_set(&t->mti, due);
}

static void hart_expired(void *arg)
{
    struct aclint_hart *t = arg;
    struct aclint *a = t->owner;

    device_lock(a);
    hart_update(a, (unsigned)(t - a->hart));
    device_unlock(a);
}

static void aclint_update(struct device *d)
{
    struct aclint *a = (struct aclint *)d;

    for (unsigned h = 0; h < a->harts; h++) {
        a->msip[h] &= 1;
        irq_set(&a->hart[h].msi, a->msip[h]);
        hart_update(a, h);
    }
    if (a->time_changed)
        a->time_changed(a->time_arg);
}

static void aclint_reset(struct device *d)
{
    struct aclint *a = (struct aclint *)d;

    __atomic_store_n(&a->offset, -(clock_now(d->clock) / NS_PER_TICK), __ATOMIC_RELAXED);
    for (unsigned h = 0; h < a->harts; h++)
        a->mtimecmp[h] = UINT64_MAX; /* no interrupt until it is programmed */
}

static uint64_t half(uint64_t v, gpa off, unsigned size) { return size == 8 ? v : (uint32_t)(v >> (off & 4) * 8); }

static uint64_t merge(uint64_t old, gpa off, uint64_t val, unsigned size)
{
    return size == 8 ? val : deposit64(old, (unsigned)(off & 4) * 8, 32, val);
}

static bool is_mtime(gpa off) { return off >= MTIME && off < MTIME + 8; }

static uint64_t aclint_read(void *dev, gpa off, unsigned size)
{
    struct aclint *a = dev;
    gpa h;

    if (is_mtime(off))
        return half(aclint_time(&a->dev), off, size);
    h = (off - MTIMECMP) / 8;
    if (off >= MTIMECMP && h < a->harts)
        return half(a->mtimecmp[h], off, size);
    h = off / 4;
    if (h < a->harts)
        return a->msip[h] | (size == 8 && h + 1 < a->harts ? (uint64_t)a->msip[h + 1] << 32 : 0);
    log_guest(&a->dev, "read of register 0x%04" PRIx64, off);
    return 0;
}

static void msip_write(struct aclint *a, gpa h, uint64_t val)
{
    if (h >= a->harts)
        return;
    a->msip[h] = val & 1;
    irq_set(&a->hart[h].msi, val & 1);
}

static void mtime_write(struct aclint *a, gpa off, uint64_t val, unsigned size)
{
    uint64_t ticks = clock_now(a->dev.clock) / NS_PER_TICK;

    __atomic_store_n(&a->offset, merge(ticks + a->offset, off, val, size) - ticks, __ATOMIC_RELAXED);
    aclint_update(&a->dev);
}

static void aclint_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct aclint *a = dev;
    gpa h = (off - MTIMECMP) / 8;

    if (is_mtime(off)) {
        mtime_write(a, off, val, size);
    } else if (off >= MTIMECMP && h < a->harts) {
        a->mtimecmp[h] = merge(a->mtimecmp[h], off, val, size);
        hart_update(a, (unsigned)h);
    } else if (off / 4 < a->harts) {
        msip_write(a, off / 4, val);
        if (size == 8)
            msip_write(a, off / 4 + 1, val >> 32);
    } else {
        log_guest(&a->dev, "write of register 0x%04" PRIx64, off);
    }
}

static void aclint_free(struct device *d)
{
    struct aclint *a = (struct aclint *)d;

    for (unsigned h = 0; h < a->harts; h++)
        clock_drop_timer(&a->hart[h].timer);
    device_fini(d);
    free(a);
}

static void aclint_info(struct device *d, void (*line)(void *, const char *), void *arg)
{
    char text[64];

    snprintf(text, sizeof text, "mtime = 0x%" PRIx64, aclint_time(d));
    line(arg, text);
}

static const struct field aclint_state[] = {
    FIELD(struct aclint, offset),
    FIELD_ARRAY(struct aclint, mtimecmp, ACLINT_MAX_HARTS),
    FIELD_ARRAY(struct aclint, msip, ACLINT_MAX_HARTS),
    {0},
};

static const struct device_ops aclint_ops = {
    .name = "aclint",
    .size = ACLINT_SIZE,
    .mmio = {aclint_read, aclint_write, .min_size = 4, .max_size = 8},
    .state = aclint_state,
    .reset = aclint_reset,
    .update = aclint_update,
    .free = aclint_free,
    .info = aclint_info,
};

struct device *aclint_new(const struct device_env *env, const char *name, unsigned harts)
{
    struct aclint *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    device_init(&a->dev, &aclint_ops, name, env);
    a->harts = harts < ACLINT_MAX_HARTS ? harts : ACLINT_MAX_HARTS;
    for (unsigned h = 0; h < a->harts; h++) {
        a->hart[h].owner = a;
        timer_init(&a->hart[h].timer, env->clock, hart_expired, &a->hart[h]);
    }
    device_reset(&a->dev);
    return &a->dev;
}

struct irq *aclint_irq(struct device *d, enum aclint_line line, unsigned hart)
{
    struct aclint_hart *h = &((struct aclint *)d)->hart[hart];

    return line == ACLINT_MSI ? &h->msi : &h->mti;
}

void aclint_on_time_change(struct device *d, void (*fn)(void *arg), void *arg)
{
    struct aclint *a = (struct aclint *)d;

    a->time_changed = fn;
    a->time_arg = arg;
}

/* SSWI: one write-only register a hart. */

struct sswi {
    struct device dev;
    unsigned harts;
    struct irq ssi[ACLINT_MAX_HARTS];
};

static uint64_t sswi_read(void *dev, gpa off, unsigned size)
{
    (void)dev, (void)off, (void)size; /* setssip reads 0 */
    return 0;
}

static void sswi_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct sswi *s = dev;

    (void)size;
    if (off / 4 >= s->harts)
        log_guest(&s->dev, "write of register 0x%04" PRIx64, off);
    else if (val & 1)
        irq_set(&s->ssi[off / 4], true);
}

static const struct field sswi_state[] = {{0}};

static const struct device_ops sswi_ops = {
    .name = "aclint-sswi",
    .size = ACLINT_SSWI_SIZE,
    .mmio = {sswi_read, sswi_write, .min_size = 4, .max_size = 4},
    .state = sswi_state,
};

struct device *aclint_sswi_new(const struct device_env *env, const char *name, unsigned harts)
{
    struct sswi *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    device_init(&s->dev, &sswi_ops, name, env);
    s->harts = harts < ACLINT_MAX_HARTS ? harts : ACLINT_MAX_HARTS;
    return &s->dev;
}

struct irq *aclint_sswi_irq(struct device *d, unsigned hart) { return &((struct sswi *)d)->ssi[hart]; }
