/*
 * The ring's order of memory accesses.
 *
 * Data before index: an index is stored after the bytes it publishes (head) or gives back (tail), and loaded before they
 * are touched. Sleep: who goes to sleep stores its flag and then looks at the other's index again; who moves an index
 * stores it and then looks at the flag. All four are sequentially consistent, so at least one of the two sees the other,
 * and no wake-up is lost. On x86 that costs an exchange for each frame, which does not show beside the copy.
 */
#include "netstack/ring.h"

#include <string.h>

#include "base/bits.h"

struct record {
    uint32_t len;
    uint8_t flags, gso;
    uint16_t gso_size, header_len, csum_start, csum_offset, unused;
};
_Static_assert(sizeof(struct record) == RING_ALIGN, "a header fills one unit, so it never wraps");

enum { FLAGS_KNOWN = NET_CSUM_PARTIAL | NET_CSUM_VALID | NET_GSO_ECN };

void ring_init(struct ring *r, struct ring_shared *shared, void *data, uint32_t size)
{
    *r = (struct ring){.shared = shared, .data = data, .size = size};
}

static uint32_t record_size(uint32_t len)
{
    return (uint32_t)align_up(sizeof(struct record) + len, RING_ALIGN);
}

static void copy_in(struct ring *r, uint32_t pos, const void *src, size_t n)
{
    uint32_t at = pos & (r->size - 1);
    size_t first = n < r->size - at ? n : r->size - at;

    memcpy(r->data + at, src, first);
    memcpy(r->data, (const uint8_t *)src + first, n - first);
}

static void copy_out(const struct ring *r, uint32_t pos, void *dst, size_t n)
{
    uint32_t at = pos & (r->size - 1);
    size_t first = n < r->size - at ? n : r->size - at;

    memcpy(dst, r->data + at, first);
    memcpy((uint8_t *)dst + first, r->data, n - first);
}

/* --- producer ---------------------------------------------------------------------------------------------------- */

/* Look at the consumer's index. false: it gave back what it never had, or less than before. */
static bool see_tail(struct ring *r)
{
    uint32_t tail = atomic_load(&r->shared->tail);

    if (r->pos - tail > r->pos - r->other || tail % RING_ALIGN)
        return false;
    r->other = tail;
    return true;
}

static enum ring_status find_room(struct ring *r, uint32_t need)
{
    if (r->size - (r->pos - r->other) >= need)
        return RING_OK;
    if (!see_tail(r))
        return RING_BROKEN;
    if (r->size - (r->pos - r->other) >= need)
        return RING_OK;
    atomic_store(&r->shared->wants_room, 1);
    if (!see_tail(r))
        return RING_BROKEN;
    if (r->size - (r->pos - r->other) < need)
        return RING_WAIT;
    atomic_store(&r->shared->wants_room, 0);
    return RING_OK;
}

enum ring_status ring_write(struct ring *r, const struct net_frame *f)
{
    struct record h = {(uint32_t)f->len, f->flags, f->gso, f->gso_size, f->header_len, f->csum_start, f->csum_offset, 0};
    uint32_t need = record_size(h.len), at = r->pos + sizeof h;
    enum ring_status s = find_room(r, need);
    size_t left = f->len;

    if (s != RING_OK)
        return s;
    copy_in(r, r->pos, &h, sizeof h);
    for (unsigned i = 0; i < f->iovcnt && left; i++) {
        size_t n = f->iov[i].iov_len < left ? f->iov[i].iov_len : left;

        if (n)
            copy_in(r, at, f->iov[i].iov_base, n);
        at += (uint32_t)n;
        left -= n;
    }
    r->pos += need;
    atomic_store(&r->shared->head, r->pos);
    return RING_OK;
}

/* The flag is cleared by who wakes, so that a burst of frames rings once. */
bool ring_wakes_consumer(struct ring *r)
{
    return atomic_load(&r->shared->sleeps) && atomic_exchange(&r->shared->sleeps, 0);
}

bool ring_has_room(const struct ring *r) { return !atomic_load(&r->shared->wants_room); }

/* --- consumer ---------------------------------------------------------------------------------------------------- */

static bool see_head(struct ring *r)
{
    uint32_t head = atomic_load(&r->shared->head);

    if (head - r->pos > r->size || head - r->pos < r->other - r->pos || head % RING_ALIGN)
        return false;
    r->other = head;
    return true;
}

/* The header in two loads that the compiler may not repeat: what is checked is what is used. */
static struct record load_record(const struct ring *r)
{
    const _Atomic uint64_t *p = (const _Atomic uint64_t *)(const void *)(r->data + (r->pos & (r->size - 1)));
    uint64_t word[2] = {atomic_load_explicit(p, memory_order_relaxed), atomic_load_explicit(p + 1, memory_order_relaxed)};
    struct record h;

    memcpy(&h, word, sizeof h);
    return h;
}

enum ring_status ring_peek(struct ring *r, void *buf, struct iovec *iov, struct net_frame *f)
{
    struct record h;

    if (r->other == r->pos && !see_head(r))
        return RING_BROKEN;
    if (r->other == r->pos)
        return RING_WAIT;
    h = load_record(r);
    if (h.len > NET_FRAME_MAX || record_size(h.len) > r->other - r->pos || h.gso > NET_GSO_UDP6)
        return RING_BROKEN;
    copy_out(r, r->pos + (uint32_t)sizeof h, buf, h.len);
    r->peeked = record_size(h.len);
    *iov = (struct iovec){buf, h.len};
    *f = (struct net_frame){iov, 1, h.len, h.flags & FLAGS_KNOWN, h.gso, h.gso_size, h.header_len, h.csum_start,
                            h.csum_offset};
    return RING_OK;
}

void ring_consume(struct ring *r)
{
    r->pos += r->peeked;
    r->peeked = 0;
    atomic_store(&r->shared->tail, r->pos);
}

/*
 * Waking at half, not at the first free byte, lets the producer send a burst for each wake-up. It cannot wait for ever: a
 * frame needs less than half, so a producer that finds no room leaves more than half to be consumed.
 */
bool ring_wakes_producer(struct ring *r)
{
    return atomic_load(&r->shared->wants_room) && r->other - r->pos <= r->size / 2 &&
           atomic_exchange(&r->shared->wants_room, 0);
}

bool ring_sleep(struct ring *r)
{
    atomic_store(&r->shared->sleeps, 1);
    if (atomic_load(&r->shared->head) == r->pos)
        return true;
    atomic_store(&r->shared->sleeps, 0);
    return false;
}
