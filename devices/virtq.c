#include "devices/virtq.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio.h"

enum { /* descriptor flags */
       DESC_NEXT = 1,
       DESC_WRITE = 2,
       DESC_INDIRECT = 4,
       DESC_AVAIL = 1 << 7, /* packed */
       DESC_USED = 1 << 15,
};

enum { DESC_SIZE = 16, SPLIT_NO_INTERRUPT = 1, SPLIT_NO_NOTIFY = 1, EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };

/* A descriptor as it was when we looked; never read twice. */
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next /* packed: buffer id, which comes first in memory */;
};

static bool packed(const struct virtq *q) { return virtio_has(q->v, VIRTIO_F_RING_PACKED); }
static bool event_idx(const struct virtq *q) { return virtio_has(q->v, VIRTIO_F_EVENT_IDX); }

/* Rings are naturally aligned: virtq_start checked it. */
static uint16_t ring_load(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void ring_store(struct virtq *q, uint8_t *base, gpa addr, uint64_t off, uint16_t val)
{
    __atomic_store_n((uint16_t *)(void *)(base + off), val, __ATOMIC_RELEASE);
    dma_written(q->v->dev.bus, addr + off, sizeof val);
}

static bool fail(struct virtq *q, const char *why)
{
    virtio_broken(q->v, why);
    return false;
}

static uint8_t *map_ring(struct virtq *q, gpa addr, uint64_t len, uint64_t align, bool write)
{
    uint64_t got = len;
    uint8_t *p = addr % align ? NULL : dma_map(q->v->dev.bus, addr, &got, write);

    return got == len ? p : NULL;
}

bool virtq_start(struct virtq *q)
{
    struct virtq_state *st = q->st;
    uint64_t n = st->size;

    if (packed(q)) { /* 2.8.10: descriptors 16 bytes, event structures 4 */
        q->desc = map_ring(q, st->desc, n * DESC_SIZE, 16, true);
        q->driver = map_ring(q, st->driver, 4, 4, false);
        q->device = map_ring(q, st->device, 4, 4, true);
    } else { /* 2.7 */
        q->desc = map_ring(q, st->desc, n * DESC_SIZE, 16, false);
        q->driver = map_ring(q, st->driver, 4 + 2 * n + 2, 2, false);
        q->device = map_ring(q, st->device, 4 + 8 * n + 2, 4, true);
    }
    st->enabled = q->desc && q->driver && q->device;
    if (!st->enabled) {
        q->desc = q->driver = q->device = NULL;
        return fail(q, "a ring is not aligned or not in RAM");
    }
    return true;
}

void virtq_reset_state(struct virtq *q)
{
    *q->st = (struct virtq_state){.size = q->max_size, .vector = VIRTQ_NO_VECTOR, .avail_wrap = 1, .used_wrap = 1};
}

void virtq_stop(struct virtq *q)
{
    q->desc = q->driver = q->device = NULL;
    virtq_reset_state(q);
}

/* The fence keeps the compiler from reading guest memory again where it finds that cheaper. */
static struct desc desc_copy(const uint8_t *p, bool is_packed)
{
    struct desc d;
    uint8_t raw[DESC_SIZE];

    memcpy(raw, p, sizeof raw);
    atomic_signal_fence(memory_order_seq_cst);
    d.addr = ld64(raw);
    d.len = ld32(raw + 8);
    d.flags = ld16(raw + (is_packed ? 14 : 12));
    d.next = ld16(raw + (is_packed ? 12 : 14));
    return d;
}

static bool chain_grow(struct virtq_chain *c)
{
    unsigned cap = c->cap ? 2 * c->cap : 8;
    struct iovec *iov = realloc(c->iov, cap * sizeof *iov);
    struct virtq_piece *piece;

    if (!iov)
        return false;
    c->iov = iov;
    piece = realloc(c->piece, cap * sizeof *piece);
    if (!piece)
        return false;
    c->piece = piece;
    c->cap = cap;
    return true;
}

void virtq_chain_free(struct virtq_chain *c)
{
    free(c->iov);
    free(c->piece);
    *c = (struct virtq_chain){0};
}

/* Add the buffer of d, in as many pieces as it has in host memory. */
static bool chain_add(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
    bool write = d->flags & DESC_WRITE;
    uint64_t addr = d->addr, left = d->len;

    c->looked++;
    if (!write && c->nin)
        return fail(q, "a readable buffer follows a writable one");
    if (addr + left < addr)
        return fail(q, "a buffer wraps around the address space");
    while (left) {
        uint64_t len = left;
        void *host = dma_map(q->v->dev.bus, addr, &len, write);
        unsigned n = c->nout + c->nin;

        if (!host)
            return fail(q, "a buffer is not in RAM");
        if (n >= 2 * VIRTQ_CHAIN_MAX || (n == c->cap && !chain_grow(c)))
            return fail(q, "a chain has too many pieces");
        c->iov[n] = (struct iovec){host, len};
        c->piece[n] = (struct virtq_piece){addr, len};
        addr += len;
        left -= len;
        if (write)
            c->nin++;
        else
            c->nout++;
    }
    if (write)
        c->in_len += d->len;
    else
        c->out_len += d->len;
    return true;
}

/* All of an indirect table. In a split ring its descriptors are linked, in a packed one they follow each other. */
static bool chain_add_table(struct virtq *q, struct virtq_chain *c, const struct desc *table)
{
    uint64_t len = table->len, got = len;
    unsigned entries = table->len / DESC_SIZE, i = 0;
    const uint8_t *p;

    if (!entries || len % DESC_SIZE)
        return fail(q, "an indirect table is not a whole number of descriptors");
    if (entries > VIRTQ_CHAIN_MAX && packed(q))
        return fail(q, "an indirect table is too long");
    p = dma_map(q->v->dev.bus, table->addr, &got, false);
    if (!p || got != len)
        return fail(q, "an indirect table is not in RAM");
    for (unsigned count = 0; count < entries && count < VIRTQ_CHAIN_MAX; count++) {
        struct desc d = desc_copy(p + i * DESC_SIZE, packed(q));

        if (d.flags & DESC_INDIRECT)
            return fail(q, "an indirect descriptor inside an indirect table");
        if (!chain_add(q, c, &d))
            return false;
        if (packed(q)) {
            i++;
            continue;
        }
        if (!(d.flags & DESC_NEXT))
            return true;
        if (d.next >= entries)
            return fail(q, "a descriptor links outside its table");
        i = d.next;
    }
    return packed(q) || fail(q, "descriptors form a loop");
}

/* d is the descriptor at hand; *more tells whether another follows. */
static bool chain_step(struct virtq *q, struct virtq_chain *c, const struct desc *d, bool *more)
{
    *more = d->flags & DESC_NEXT;
    if (!(d->flags & DESC_INDIRECT))
        return chain_add(q, c, d);
    if (*more)
        return fail(q, "a descriptor is both indirect and linked");
    return chain_add_table(q, c, d);
}

static bool split_empty(const struct virtq *q) { return ring_load(q->driver + 2) == q->st->next_avail; }

static bool packed_empty(const struct virtq *q)
{
    uint16_t flags = ring_load(q->desc + q->st->next_avail * DESC_SIZE + 14);
    bool avail = flags & DESC_AVAIL, used = flags & DESC_USED;

    return avail != q->st->avail_wrap || used == q->st->avail_wrap;
}

bool virtq_empty(struct virtq *q)
{
    return !q->st->enabled || q->v->broken || (packed(q) ? packed_empty(q) : split_empty(q));
}

static bool split_pop(struct virtq *q, struct virtq_chain *c)
{
    struct virtq_state *st = q->st;
    uint16_t size = st->size, waiting = (uint16_t)(ring_load(q->driver + 2) - st->next_avail), i;
    bool more = true;

    if (waiting > size)
        return fail(q, "the available index jumped");
    i = c->id = ring_load(q->driver + 4 + 2 * (st->next_avail & (size - 1)));
    c->ndesc = 1;
    for (unsigned count = 0; more; count++) {
        struct desc d;

        if (i >= size)
            return fail(q, "a descriptor index is outside the ring");
        if (count == size)
            return fail(q, "descriptors form a loop");
        d = desc_copy(q->desc + i * DESC_SIZE, false);
        if (!chain_step(q, c, &d, &more))
            return false;
        i = d.next;
    }
    st->next_avail++;
    return true;
}

/* Move a position of a packed ring on by n entries, with its wrap counter. */
static void packed_advance(uint16_t *pos, uint8_t *wrap, unsigned n, unsigned size)
{
    unsigned to = *pos + n;

    if (to >= size) {
        to -= size;
        *wrap ^= 1;
    }
    *pos = (uint16_t)to;
}

static bool packed_pop(struct virtq *q, struct virtq_chain *c)
{
    struct virtq_state *st = q->st;
    unsigned i = st->next_avail, count = 0;
    bool more = true;

    while (more) {
        struct desc d;

        if (count++ == st->size)
            return fail(q, "descriptors form a loop");
        d = desc_copy(q->desc + i * DESC_SIZE, true);
        if (!chain_step(q, c, &d, &more))
            return false;
        c->id = d.next;
        i = i + 1 == st->size ? 0 : i + 1;
    }
    c->ndesc = (uint16_t)count;
    packed_advance(&st->next_avail, &st->avail_wrap, count, st->size);
    return true;
}

bool virtq_pop(struct virtq *q, struct virtq_chain *c)
{
    struct virtq_state *st = q->st;

    c->q = NULL;
    c->nout = c->nin = c->looked = 0;
    c->out_len = c->in_len = c->dirty = 0;
    if (virtq_empty(q))
        return false;
    if (!(packed(q) ? packed_pop(q, c) : split_pop(q, c)))
        return false;
    if (st->in_use + c->ndesc > st->size)
        return fail(q, "more buffers are available than the ring has room for");
    st->in_use = (uint16_t)(st->in_use + c->ndesc);
    c->q = q;
    return true;
}

void virtq_unpop(struct virtq_chain *c)
{
    struct virtq_state *st = c->q->st;

    st->in_use = (uint16_t)(st->in_use - c->ndesc);
    if (!packed(c->q)) {
        st->next_avail--;
    } else if (st->next_avail >= c->ndesc) {
        st->next_avail = (uint16_t)(st->next_avail - c->ndesc);
    } else {
        st->next_avail = (uint16_t)(st->next_avail + st->size - c->ndesc);
        st->avail_wrap ^= 1;
    }
    c->q = NULL;
}

/* Tell the translator and the dirty log what we wrote. */
static void chain_written(struct virtq_chain *c, uint64_t bytes)
{
    for (unsigned i = c->nout; i < c->nout + c->nin && bytes; i++) {
        uint64_t n = c->piece[i].len < bytes ? c->piece[i].len : bytes;

        dma_written(c->q->v->dev.bus, c->piece[i].addr, n);
        bytes -= n;
    }
}

static uint32_t used_len(uint64_t written) { return written > UINT32_MAX ? UINT32_MAX : (uint32_t)written; }

static void split_push(struct virtq *q, const struct virtq_chain *c, unsigned n, const uint64_t *written)
{
    struct virtq_state *st = q->st;
    uint16_t before = st->next_used;

    for (unsigned i = 0; i < n; i++) {
        uint64_t off = 4 + 8 * (uint64_t)(st->next_used++ & (st->size - 1));

        st32(q->device + off, c[i].id);
        st32(q->device + off + 4, used_len(written[i]));
        dma_written(q->v->dev.bus, st->device + off, 8);
    }
    ring_store(q, q->device, st->device, 2, st->next_used);
    /* 2^16 entries since the last decision: the comparison of indices would be wrong */
    if ((uint16_t)(st->next_used - st->signalled) < (uint16_t)(before - st->signalled))
        st->signalled_valid = false;
}

/* All but the flags, which are returned: the driver takes the descriptor when it sees them. */
static uint16_t packed_fill(struct virtq *q, const struct virtq_chain *c, uint32_t len)
{
    struct virtq_state *st = q->st;
    uint64_t off = (uint64_t)st->next_used * DESC_SIZE;
    uint8_t wrap = st->used_wrap;

    st32(q->desc + off + 8, len);
    st16(q->desc + off + 12, c->id);
    dma_written(q->v->dev.bus, st->desc + off, DESC_SIZE);
    packed_advance(&st->next_used, &st->used_wrap, c->ndesc, st->size);
    if (st->used_wrap != wrap)
        st->signalled_valid = false; /* positions start again: signal rather than compare */
    return (uint16_t)((wrap ? DESC_AVAIL | DESC_USED : 0) | (len ? DESC_WRITE : 0));
}

/* The driver looks at the first, so that is written last. */
static void packed_push(struct virtq *q, const struct virtq_chain *c, unsigned n, const uint64_t *written)
{
    struct virtq_state *st = q->st;
    uint64_t first = (uint64_t)st->next_used * DESC_SIZE;
    uint16_t first_flags = packed_fill(q, c, used_len(written[0]));

    for (unsigned i = 1; i < n; i++) {
        uint64_t off = (uint64_t)st->next_used * DESC_SIZE;

        ring_store(q, q->desc, st->desc, off + 14, packed_fill(q, &c[i], used_len(written[i])));
    }
    ring_store(q, q->desc, st->desc, first + 14, first_flags);
}

void virtq_push_all(struct virtq_chain *c, unsigned n, const uint64_t *written)
{
    struct virtq *q = n ? c->q : NULL;

    if (!q)
        return;
    for (unsigned i = 0; i < n && q->st->enabled; i++) {
        chain_written(&c[i], written[i] > c[i].dirty ? written[i] : c[i].dirty);
        q->st->in_use = (uint16_t)(q->st->in_use - c[i].ndesc);
    }
    if (q->st->enabled)
        (packed(q) ? packed_push : split_push)(q, c, n, written);
    for (unsigned i = 0; i < n; i++)
        c[i].q = NULL;
}

void virtq_push(struct virtq_chain *c, uint64_t written) { virtq_push_all(c, 1, &written); }

/* Did the index pass `event` on its way from old to now? (2.7.7.2) */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool split_wanted(struct virtq *q, uint16_t old, bool old_valid)
{
    struct virtq_state *st = q->st;

    if (!event_idx(q))
        return !(ring_load(q->driver) & SPLIT_NO_INTERRUPT);
    return !old_valid || passed(ring_load(q->driver + 4 + 2 * st->size), st->next_used, old);
}

static bool packed_wanted(struct virtq *q, uint16_t old, bool old_valid)
{
    struct virtq_state *st = q->st;
    uint16_t flags = ring_load(q->driver + 2) & 3, where = ring_load(q->driver);
    int event = where & 0x7fff;

    if (flags == EVENT_DISABLE)
        return false;
    if (flags != EVENT_DESC || !event_idx(q) || !old_valid)
        return true;
    if (where >> 15 != st->used_wrap)
        event -= st->size;
    return passed((uint16_t)event, st->next_used, old);
}

void virtq_notify(struct virtq *q)
{
    struct virtq_state *st = q->st;
    uint16_t old = st->signalled;
    bool old_valid = st->signalled_valid;

    if (!st->enabled || q->v->broken || (old_valid && old == st->next_used))
        return;
    atomic_thread_fence(memory_order_seq_cst); /* our used entry, then the driver's wish */
    st->signalled = st->next_used;
    st->signalled_valid = true;
    if (!(packed(q) ? packed_wanted(q, old, old_valid) : split_wanted(q, old, old_valid)))
        return;
    q->interrupts++;
    virtio_interrupt(q->v, VIRTIO_ISR_QUEUE, st->vector);
}

/* Without event indices: the flags of the used ring, or of the device's event structure. */
static void ask_for_kicks(struct virtq *q, bool on)
{
    uint64_t off = packed(q) ? 2 : 0;
    uint16_t flags = packed(q) ? (on ? EVENT_ENABLE : EVENT_DISABLE) : (on ? 0 : SPLIT_NO_NOTIFY);

    if (ring_load(q->device + off) != flags)
        ring_store(q, q->device, q->st->device, off, flags);
}

void virtq_hush(struct virtq *q)
{
    if (q->st->enabled && !q->v->broken && !event_idx(q))
        ask_for_kicks(q, false);
}

bool virtq_rearm(struct virtq *q)
{
    struct virtq_state *st = q->st;

    if (!st->enabled || q->v->broken)
        return false;
    if (event_idx(q) && packed(q)) {
        ring_store(q, q->device, st->device, 0, (uint16_t)(st->next_avail | st->avail_wrap << 15));
        ring_store(q, q->device, st->device, 2, EVENT_DESC);
    } else if (event_idx(q)) {
        ring_store(q, q->device, st->device, 4 + 8 * (uint64_t)st->size, st->next_avail);
    } else {
        ask_for_kicks(q, true);
    }
    atomic_thread_fence(memory_order_seq_cst); /* our wish, then the driver's index */
    return !virtq_empty(q);
}

static uint64_t chain_copy(const struct virtq_chain *c, bool in, uint64_t skip, uint8_t *buf, uint64_t len)
{
    unsigned end = in ? c->nout + c->nin : c->nout;
    uint64_t done = 0;

    for (unsigned i = in ? c->nout : 0; i < end && done < len; i++) {
        uint64_t n = c->iov[i].iov_len;
        uint8_t *p = c->iov[i].iov_base;

        if (skip >= n) {
            skip -= n;
            continue;
        }
        p += skip;
        n -= skip;
        skip = 0;
        if (n > len - done)
            n = len - done;
        if (in)
            memcpy(p, buf + done, n);
        else
            memcpy(buf + done, p, n);
        done += n;
    }
    return done;
}

uint64_t chain_read(const struct virtq_chain *c, uint64_t skip, void *buf, uint64_t len)
{
    return chain_copy(c, false, skip, buf, len);
}

uint64_t chain_write(const struct virtq_chain *c, uint64_t skip, const void *buf, uint64_t len)
{
    return chain_copy(c, true, skip, (uint8_t *)(uintptr_t)buf, len); /* only read */
}
