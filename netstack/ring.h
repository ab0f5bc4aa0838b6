/*
 * A ring of frames in shared memory: one producer, one consumer, in processes that do not trust each other.
 *
 * A frame is a record: a header of 16 bytes with the offload fields, then its bytes, padded to 16. Each side keeps its own
 * index in private memory and publishes a copy; of the other side's index and of the headers it believes nothing: read
 * once, checked, then used. The worst a peer can do is to send frames that nobody meant, or to be found out (RING_BROKEN).
 * No locks. A side that is about to sleep says so in the ring, and the other rings a bell of the owner's choice: once for
 * each sleep. The shared memory must not shrink under the users (a sealed memfd).
 */
#ifndef NETSTACK_RING_H
#define NETSTACK_RING_H

#include <stdatomic.h>

#include "netstack/port.h"

enum {
    RING_ALIGN = 16,
    RING_SIZE_MIN = 256 << 10, /* half of it holds the longest frame: see ring_wakes_producer */
    RING_SIZE_MAX = 1 << 30,
};

/* What both sides see, apart from the data. All zero: an empty ring. Indices count bytes and wrap at 2^32. */
struct ring_shared {
    _Alignas(64) _Atomic uint32_t head; /* the producer's */
    _Atomic uint32_t wants_room;        /* set by the producer, cleared by who wakes it */
    _Alignas(64) _Atomic uint32_t tail; /* the consumer's */
    _Atomic uint32_t sleeps;            /* set by the consumer, cleared by who wakes it */
};

/* One side's view. */
struct ring {
    struct ring_shared *shared;
    uint8_t *data;
    uint32_t size;
    uint32_t pos;    /* own index */
    uint32_t other;  /* the other side's when it was last looked at */
    uint32_t peeked; /* consumer: length of the record that ring_peek showed */
};

enum ring_status {
    RING_OK,
    RING_WAIT,   /* full, or empty */
    RING_BROKEN, /* the other side wrote nonsense; the ring is of no more use */
};

/* size: a power of two, RING_SIZE_MIN..RING_SIZE_MAX; data has that many bytes, aligned to RING_ALIGN. */
void ring_init(struct ring *r, struct ring_shared *shared, void *data, uint32_t size);

/* Producer. f->len <= NET_FRAME_MAX. RING_WAIT: no room, and the consumer is asked to wake us when half is free. */
enum ring_status ring_write(struct ring *r, const struct net_frame *f);
bool ring_wakes_consumer(struct ring *r); /* after a write: it sleeps; ring its bell */
bool ring_has_room(const struct ring *r); /* after RING_WAIT: the consumer said that there is room again */

/*
 * Consumer. ring_peek copies the oldest frame to buf (NET_FRAME_MAX bytes), and points f and iov there; it stays in the
 * ring until ring_consume.
 */
enum ring_status ring_peek(struct ring *r, void *buf, struct iovec *iov, struct net_frame *f);
void ring_consume(struct ring *r);
bool ring_wakes_producer(struct ring *r); /* after a consume: it waits, and half is free; ring its bell */
bool ring_sleep(struct ring *r); /* before waiting for the bell. false: something came meanwhile, do not wait */

#endif
