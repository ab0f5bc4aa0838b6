/*
 * What every device is made of: a constant struct device_ops, and a state struct with struct device first.
 *
 * The bus checks size, alignment and range of an access (ops->mmio), takes the device's lock and calls it.
 * Timers and host callbacks take the lock themselves (device_lock). Lock order: device, interrupt controller, vCPU.
 * `state` is a field table: it gives reset (all fields but the kept ones become 0, then ops->reset), snapshots and `info`.
 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include <pthread.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/gate.h"
#include "base/log.h"
#include "mmu/bus.h"

/* An interrupt line: the far end is an interrupt controller's input. Level-triggered unless its owner pulses it. */
struct irq {
    void (*set)(void *arg, unsigned n, bool level);
    void *arg;
    unsigned n;
    bool level;
};

static inline void irq_set(struct irq *i, bool level)
{
    i->level = level;
    if (i->set)
        i->set(i->arg, i->n, level);
}

struct field {
    const char *name; /* NULL ends the table */
    size_t offset, size; /* size of one element */
    unsigned count;      /* elements of an array, 1 otherwise */
    bool keep;           /* survives reset */
    bool truth;          /* of type bool: restore makes it 0 or 1, whatever the snapshot says */
};
#define FIELD_(type, member, n, keep_) \
    {#member, offsetof(type, member), sizeof(((type *)0)->member) / (n), (n), (keep_), \
     _Generic(((type *)0)->member, bool: true, bool *: true, default: false)}
#define FIELD(type, member) FIELD_(type, member, 1, false)
#define FIELD_KEEP(type, member) FIELD_(type, member, 1, true)
#define FIELD_ARRAY(type, member, n) FIELD_(type, member, n, false)

struct device;

struct device_ops {
    const char *name; /* kind: "ns16550a" */
    uint64_t size;    /* of the register window, bytes */
    struct mmio_ops mmio;
    const struct field *state;
    void (*reset)(struct device *d);  /* after the fields were zeroed; may be NULL */
    void (*update)(struct device *d); /* derive timers and lines from registers; after reset and restore */
    void (*free)(struct device *d);   /* release what the device owns, then the struct; NULL: free() */
    void (*info)(struct device *d, void (*line)(void *arg, const char *text), void *arg); /* more than the fields */
};

struct device {
    const struct device_ops *ops;
    const char *name; /* instance, unique in the machine: "uart0"; borrowed */
    struct region region;
    struct irq irq;
    struct clock *clock;
    struct log *log;
    struct bus *bus;   /* for DMA */
    struct gate *gate;
    pthread_mutex_t lock;
    struct device *next; /* the machine's list */
};

/* What a constructor is given; copied, nothing is owned. */
struct device_env {
    struct clock *clock;
    struct log *log;
    struct bus *bus;
    struct gate *gate;
};

void device_init(struct device *d, const struct device_ops *ops, const char *name, const struct device_env *env);
void device_fini(struct device *d);  /* for ops->free, last before free(d): undoes device_init */
void device_reset(struct device *d); /* takes the lock */
void device_free(struct device *d);  /* NULL: nothing; the device's window has left the bus or the bus is gone too */
void device_lock(void *d);
void device_unlock(void *d);
/*
 * The lock, or false once *stop (atomic) is set: for a host thread that others wait for while they hold the lock. Who
 * sets *stop looks after it has cleared it for what the thread left.
 */
bool device_lock_unless(void *d, const bool *stop);
/* Put d's window at base on its bus. */
bool device_map(struct device *d, gpa base, struct err *e);
/*
 * Snapshot: bytes of all fields in table order; size of it; restore checks the size, then ops->update, which takes the
 * fields for untrusted input (an index out of range is put right there). All take the lock.
 */
size_t device_state_size(const struct device *d);
void device_save(struct device *d, void *buf);
bool device_restore(struct device *d, const void *buf, size_t len, struct err *e);
/* One line a field, then what ops->info adds; for `info`. */
void device_info(struct device *d, void (*line)(void *arg, const char *text), void *arg);

#define log_guest(dev, ...) log_guest_msg((dev)->log, (dev)->name, __VA_ARGS__)

#endif
