/*
 * What all devices share: construction, reset, snapshot and description, driven by the field table.
 *
 * The lock is an ordinary mutex: a device that calls itself back through the bus would hang, which cannot happen
 * because DMA reaches RAM only.
 */
#include "devices/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"

void device_init(struct device *d, const struct device_ops *ops, const char *name, const struct device_env *env)
{
    d->ops = ops;
    d->name = name;
    d->clock = env->clock;
    d->log = env->log;
    d->bus = env->bus;
    d->gate = env->gate;
    d->irq = (struct irq){0};
    d->next = NULL;
    pthread_mutex_init(&d->lock, NULL);
    d->region = (struct region){
        .name = name,
        .size = ops->size,
        .kind = REGION_MMIO,
        .ops = &ops->mmio,
        .dev = d,
        .lock = device_lock,
        .unlock = device_unlock,
    };
}

void device_fini(struct device *d) { pthread_mutex_destroy(&d->lock); }

void device_free(struct device *d)
{
    if (!d)
        return;
    if (d->ops->free) {
        d->ops->free(d);
        return;
    }
    device_fini(d);
    free(d);
}

void device_lock(void *d) { pthread_mutex_lock(&((struct device *)d)->lock); }

void device_unlock(void *d) { pthread_mutex_unlock(&((struct device *)d)->lock); }

bool device_lock_unless(void *d, const bool *stop)
{
    enum { LOOK_AGAIN = 1000000 }; /* ns */

    if (!pthread_mutex_trylock(&((struct device *)d)->lock))
        return true; /* whoever waited for us waits no more */
    while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t); /* what pthread_mutex_timedlock counts by; a jump only moves the next look */
        t.tv_nsec += LOOK_AGAIN;
        if (t.tv_nsec >= 1000000000) {
            t.tv_nsec -= 1000000000;
            t.tv_sec++;
        }
        if (!pthread_mutex_timedlock(&((struct device *)d)->lock, &t))
            return true;
    }
    return false;
}

bool device_map(struct device *d, gpa base, struct err *e)
{
    d->region.base = base;
    return bus_map(d->bus, &d->region, e) || err_prefix(e, "%s", d->name);
}

static bool last(const struct field *f) { return !f || !f->name; }

static size_t field_bytes(const struct field *f) { return f->size * f->count; }

void device_reset(struct device *d)
{
    device_lock(d);
    for (const struct field *f = d->ops->state; !last(f); f++)
        if (!f->keep)
            memset((char *)d + f->offset, 0, field_bytes(f));
    if (d->ops->reset)
        d->ops->reset(d);
    if (d->ops->update)
        d->ops->update(d);
    device_unlock(d);
}

size_t device_state_size(const struct device *d)
{
    size_t n = 0;

    for (const struct field *f = d->ops->state; !last(f); f++)
        n += field_bytes(f);
    return n;
}

void device_save(struct device *d, void *buf)
{
    char *out = buf;

    device_lock(d);
    for (const struct field *f = d->ops->state; !last(f); f++) {
        memcpy(out, (const char *)d + f->offset, field_bytes(f));
        out += field_bytes(f);
    }
    device_unlock(d);
}

static void field_restore(struct device *d, const struct field *f, const uint8_t *in)
{
    uint8_t *to = (uint8_t *)d + f->offset;

    memcpy(to, in, field_bytes(f));
    if (f->truth)
        for (size_t i = 0; i < field_bytes(f); i++)
            to[i] = in[i] != 0;
}

bool device_restore(struct device *d, const void *buf, size_t len, struct err *e)
{
    const uint8_t *in = buf;

    if (len != device_state_size(d))
        return err_set(e, "%s: the snapshot has %zu bytes of state, %zu are wanted", d->name, len,
                       device_state_size(d));
    device_lock(d);
    for (const struct field *f = d->ops->state; !last(f); f++) {
        field_restore(d, f, in);
        in += field_bytes(f);
    }
    if (d->ops->update)
        d->ops->update(d);
    device_unlock(d);
    return true;
}

/* Elements shown of an array; the rest is counted. */
enum { INFO_ELEMENTS = 16 };

static uint64_t element(const uint8_t *p, size_t size)
{
    switch (size) {
    case 1: return *p;
    case 2: return ld16(p);
    case 4: return ld32(p);
    case 8: return ld64(p);
    default: return 0;
    }
}

static void field_info(const struct device *d, const struct field *f, void (*line)(void *, const char *), void *arg)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s =", f->name);
    const uint8_t *p = (const uint8_t *)d + f->offset;

    if (f->size != 1 && f->size != 2 && f->size != 4 && f->size != 8) {
        snprintf(text + n, sizeof text - (size_t)n, " (%zu bytes)", field_bytes(f));
        line(arg, text);
        return;
    }
    for (unsigned i = 0; i < f->count && i < INFO_ELEMENTS; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " 0x%" PRIx64, element(p + i * f->size, f->size));
    if (f->count > INFO_ELEMENTS)
        snprintf(text + n, sizeof text - (size_t)n, " ... (%u)", f->count);
    line(arg, text);
}

void device_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    device_lock(d);
    for (const struct field *f = d->ops->state; !last(f); f++)
        field_info(d, f, line, arg);
    if (d->ops->info)
        d->ops->info(d, line, arg);
    device_unlock(d);
}
