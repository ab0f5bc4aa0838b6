/*
 * Virtqueues, split and packed, as the device sees them.
 *
 * The guest is not trusted: a descriptor is copied once and then checked; buffers become scatter-gather lists of host
 * memory that lies in guest RAM, never in MMIO; indices that jump, chains that loop or are longer than the ring allows,
 * and addresses outside RAM set DEVICE_NEEDS_RESET and stop the device. All calls are made with the device's lock held.
 * Source: virtio 1.2, sections 2.6 to 2.8.
 */
#ifndef DEVICES_VIRTQ_H
#define DEVICES_VIRTQ_H

#include <sys/uio.h>

#include "base/types.h"

struct virtio_dev;

enum {
    VIRTQ_SIZE_MAX = 1024,  /* of a ring we offer */
    VIRTQ_CHAIN_MAX = 1024, /* descriptors of a chain, in an indirect table too */
    VIRTQ_NO_VECTOR = 0xffff,
};

/* Guest-visible position of a queue: what a snapshot holds. No padding, no pointers. */
struct virtq_state {
    uint64_t desc, driver,
        device;          /* gpa of: descriptors, available ring or driver events, used ring or device events */
    uint16_t size;       /* entries the driver chose */
    uint16_t vector;     /* MSI-X, VIRTQ_NO_VECTOR: none */
    uint16_t next_avail; /* split: free-running; packed: position */
    uint16_t next_used;
    uint16_t signalled; /* next_used at the last decision whether to interrupt */
    uint16_t in_use;    /* chains (packed: descriptors) popped and not pushed */
    uint8_t enabled, signalled_valid, avail_wrap, used_wrap;
};

struct virtq {
    struct virtio_dev *v;
    struct virtq_state *st;
    unsigned index;
    uint16_t max_size; /* 0: no such queue */
    /* host addresses of the rings while enabled; derived from st */
    uint8_t *desc, *driver, *device;
    uint64_t kicks, interrupts; /* statistics */
};

/* A popped buffer: device-readable pieces first (out), then device-writable ones (in). Reused from pop to pop. */
struct virtq_chain {
    struct virtq *q; /* NULL when nothing is held */
    uint16_t id;     /* head, or buffer id of a packed ring */
    uint16_t ndesc;  /* what it takes of in_use */
    unsigned nout, nin, cap;
    unsigned looked; /* descriptors that were looked at, those of no bytes too: what it cost */
    uint64_t out_len, in_len; /* bytes */
    uint64_t dirty;    /* bytes at the start of `in` that may have changed though they are not reported as used */
    struct iovec *iov; /* [nout + nin]; the owner may cut it at both ends (base, len), not reorder it */
    struct virtq_piece {
        gpa addr;
        uint64_t len;
    } * piece; /* the same pieces as the guest gave them */
};

/* The rings have their addresses and size: check and map them. false: the device has been marked broken. */
bool virtq_start(struct virtq *q);
void virtq_stop(struct virtq *q); /* the queue is off; its state is as after reset */
void virtq_reset_state(struct virtq *q);

/* The next buffer of the driver. false: none, or the queue is off, or the ring is broken. */
bool virtq_pop(struct virtq *q, struct virtq_chain *c);
/* Give c back with `written` bytes at the start of its `in` part. Does not interrupt: virtq_notify does. */
void virtq_push(struct virtq_chain *c, uint64_t written);
/* The same for n chains of one queue, in the order they were popped: the driver sees all of them or none. */
void virtq_push_all(struct virtq_chain *c, unsigned n, const uint64_t *written);
/* Put the chain that was popped last back, as if it had not been popped. */
void virtq_unpop(struct virtq_chain *c);
/* Interrupt the driver if it wants to hear of what was pushed. */
void virtq_notify(struct virtq *q);
/* Ask for a kick when the driver adds a buffer. true: there is one already, which needs no kick to be taken. */
bool virtq_rearm(struct virtq *q);
/* Ask for no kicks until virtq_rearm. With event indices there are none after virtq_rearm's one, and this does nothing. */
void virtq_hush(struct virtq *q);
bool virtq_empty(struct virtq *q);

void virtq_chain_free(struct virtq_chain *c); /* the lists, not the struct */

/* Copies from the out part, to the in part; bytes moved, fewer at its end. skip, len: bytes. */
uint64_t chain_read(const struct virtq_chain *c, uint64_t skip, void *buf, uint64_t len);
uint64_t chain_write(const struct virtq_chain *c, uint64_t skip, const void *buf, uint64_t len);

#endif
