/*
 * Goldfish RTC: a nanosecond wall clock with one alarm.
 *
 * All registers are 32 bits wide. Reading TIME_LOW latches the upper half, so LOW-then-HIGH gives
 * one consistent value. Writing ALARM_LOW arms the alarm, so a driver writes ALARM_HIGH first.
 * Source: Linux drivers/rtc/rtc-goldfish.c.
 */
#include "devices/goldfish_rtc.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"

enum { /* offsets */
       TIME_LOW = 0x00,
       TIME_HIGH = 0x04,
       ALARM_LOW = 0x08,
       ALARM_HIGH = 0x0c,
       IRQ_ENABLED = 0x10,
       CLEAR_ALARM = 0x14,
       ALARM_ARMED = 0x18,
       CLEAR_IRQ = 0x1c,
};

struct rtc {
    struct device dev;
    struct timer timer;
    uint64_t offset;    /* wall time minus machine clock, ns */
    uint64_t alarm;     /* wall time, ns */
    uint32_t time_high; /* latched by the last read of TIME_LOW */
    bool armed, irq_enabled, irq_pending;
};

/* Derive the timer and the interrupt line from the registers. An alarm in the past is armed too. */
static void rtc_update(struct device *dev)
{
    struct rtc *r = (struct rtc *)dev;

    timer_cancel(&r->timer);
    if (r->armed)
        timer_arm(&r->timer, r->alarm > r->offset ? r->alarm - r->offset : 0);
    irq_set(&dev->irq, r->irq_enabled && r->irq_pending);
}

static void rtc_expired(void *arg)
{
    struct rtc *r = arg;

    device_lock(r);
    /* the alarm may have been moved or cleared while this call was on its way */
    if (r->armed && clock_now(r->dev.clock) + r->offset >= r->alarm) {
        r->armed = false;
        r->irq_pending = true;
    }
    rtc_update(&r->dev);
    device_unlock(r);
}

static uint64_t rtc_read(void *dev, gpa off, unsigned size)
{
    struct rtc *r = dev;
    uint64_t now = clock_now(r->dev.clock) + r->offset;

    (void)size; /* always 4: the bus enforces rtc_ops.mmio */
    switch (off) {
    case TIME_LOW: r->time_high = (uint32_t)(now >> 32); return (uint32_t)now;
    case TIME_HIGH: return r->time_high;
    case ALARM_LOW: return (uint32_t)r->alarm;
    case ALARM_HIGH: return r->alarm >> 32;
    case IRQ_ENABLED: return r->irq_enabled;
    case ALARM_ARMED: return r->armed;
    default: log_guest(&r->dev, "read of register 0x%02" PRIx64, off); return 0;
    }
}

static void rtc_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct rtc *r = dev;
    uint64_t now = clock_now(r->dev.clock) + r->offset;

    (void)size;
    switch (off) {
    case TIME_LOW: r->offset += deposit64(now, 0, 32, val) - now; break;
    case TIME_HIGH: r->offset += deposit64(now, 32, 32, val) - now; break;
    case ALARM_LOW:
        r->alarm = deposit64(r->alarm, 0, 32, val);
        r->armed = true;
        break;
    case ALARM_HIGH: r->alarm = deposit64(r->alarm, 32, 32, val); break;
    case IRQ_ENABLED: r->irq_enabled = val & 1; break;
    case CLEAR_ALARM: r->armed = false; break;
    case CLEAR_IRQ: r->irq_pending = false; break;
    default: log_guest(&r->dev, "write of register 0x%02" PRIx64, off);
    }
    rtc_update(&r->dev);
}

static void rtc_free(struct device *d)
{
    struct rtc *r = (struct rtc *)d;

    clock_drop_timer(&r->timer);
    device_fini(d);
    free(r);
}

static const struct field rtc_state[] = {
    FIELD_KEEP(struct rtc, offset),
    FIELD(struct rtc, alarm),
    FIELD(struct rtc, time_high),
    FIELD(struct rtc, armed),
    FIELD(struct rtc, irq_enabled),
    FIELD(struct rtc, irq_pending),
    {0},
};

static const struct device_ops rtc_ops = {
    .name = "goldfish-rtc",
    .size = 0x1000,
    .mmio = {rtc_read, rtc_write, .min_size = 4, .max_size = 4},
    .state = rtc_state,   /* zeroed at reset, saved in snapshots, printed by `info` */
    .update = rtc_update, /* runs after reset and after restore */
    .free = rtc_free,
};

struct device *goldfish_rtc_new(const struct device_env *env, const char *name)
{
    struct rtc *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    device_init(&r->dev, &rtc_ops, name, env);
    timer_init(&r->timer, env->clock, rtc_expired, r);
    r->offset = clock_wall_offset(env->clock);
    return &r->dev;
}
