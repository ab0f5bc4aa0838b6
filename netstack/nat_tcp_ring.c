/*
 * Bytes of the guest that no socket can hold yet: what the host's socket refused, and what came ahead of a lost segment.
 *
 * A ring is memory for the numbers from f->taken on; the byte numbered s lies at s modulo its size, a power of two. It is
 * made when the first byte must be held and given back with the last. A flow holds up to TCP_RING_MAX, all flows together
 * up to TCP_HELD_MAX; what does not fit is not taken, and the guest sends it again.
 */
#include <stdlib.h>

#include "netstack/nat_tcp_int.h"

void tcp_ring_free(struct tcp_flow *f)
{
    if (f->ring)
        f->t->held -= f->ring->size;
    free(f->ring);
    f->ring = NULL;
}

static void copy_out(const struct tcp_ring *r, uint32_t seq, void *to, uint32_t n)
{
    uint32_t at = seq & (r->size - 1), first = n < r->size - at ? n : r->size - at;

    memcpy(to, r->data + at, first);
    memcpy((uint8_t *)to + first, r->data, n - first);
}

/* Pieces of the ring's memory for [seq, seq + n); how many. */
static unsigned pieces(struct tcp_ring *r, uint32_t seq, uint32_t n, struct iovec iov[2])
{
    uint32_t at = seq & (r->size - 1), first = n < r->size - at ? n : r->size - at;

    iov[0] = (struct iovec){r->data + at, first};
    iov[1] = (struct iovec){r->data, n - first};
    return first < n ? 2 : 1;
}

static void move(const struct tcp_ring *from, struct tcp_ring *to)
{
    to->ranges = from->ranges;
    memcpy(to->range, from->range, sizeof to->range);
    for (unsigned i = 0; i < from->ranges; i++) {
        uint32_t seq = from->range[i][0], end = from->range[i][1];

        while (seq != end) {
            struct iovec iov[2];

            pieces(to, seq, end - seq, iov);
            copy_out(from, seq, iov[0].iov_base, (uint32_t)iov[0].iov_len);
            seq += (uint32_t)iov[0].iov_len;
        }
    }
}

/* Room for numbers up to end. */
static bool make_room(struct tcp_flow *f, uint32_t end)
{
    struct tcp_ring *old = f->ring, *r;
    uint32_t had = old ? old->size : 0, size = TCP_RING_MIN;

    if (end - f->taken <= had)
        return true;
    while (size < end - f->taken && size < TCP_RING_MAX)
        size *= 2;
    if (size < end - f->taken || f->t->held + size - had > TCP_HELD_MAX || !(r = malloc(sizeof *r + size)))
        return false;
    r->size = size;
    r->ranges = 0;
    if (old)
        move(old, r);
    f->t->held += size - had;
    free(old);
    f->ring = r;
    return true;
}

/* Enter [seq, end) among the ranges, joined with those it meets. false: too many. */
static bool enter(struct tcp_ring *r, uint32_t seq, uint32_t end)
{
    unsigned i = 0, j;

    while (i < r->ranges && seq_lt(r->range[i][1], seq))
        i++;
    for (j = i; j < r->ranges && seq_le(r->range[j][0], end); j++) {
        seq = seq_min(seq, r->range[j][0]);
        end = seq_max(end, r->range[j][1]);
    }
    if (i == j && r->ranges == TCP_RANGES)
        return false;
    memmove(r->range + i + 1, r->range + j, (r->ranges - j) * sizeof r->range[0]);
    r->ranges = r->ranges - j + i + 1;
    r->range[i][0] = seq;
    r->range[i][1] = end;
    return true;
}

bool tcp_ring_put(struct tcp_flow *f, uint32_t seq, const struct packet *p, uint32_t n)
{
    struct iovec iov[2];

    if (!make_room(f, seq + n) || !enter(f->ring, seq, seq + n)) {
        if (f->ring && !f->ring->ranges)
            tcp_ring_free(f);
        return false;
    }
    if (pieces(f->ring, seq, n, iov) == 2)
        packet_copy(p, iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
    packet_copy(p, 0, iov[0].iov_base, iov[0].iov_len);
    f->ring->recent = seq;
    return true;
}

uint32_t tcp_ring_front(const struct tcp_flow *f, struct iovec iov[2])
{
    struct tcp_ring *r = f->ring;
    uint32_t n;

    if (!r || !r->ranges || r->range[0][0] != f->taken)
        return 0;
    n = r->range[0][1] - f->taken;
    if (pieces(r, f->taken, n, iov) == 1)
        iov[1].iov_len = 0;
    return n;
}

void tcp_ring_drop(struct tcp_flow *f, uint32_t n)
{
    struct tcp_ring *r = f->ring;

    f->taken += n;
    if (!r)
        return;
    while (r->ranges && seq_le(r->range[0][1], f->taken)) {
        r->ranges--;
        memmove(r->range, r->range + 1, r->ranges * sizeof r->range[0]);
    }
    if (!r->ranges)
        tcp_ring_free(f);
    else if (seq_lt(r->range[0][0], f->taken))
        r->range[0][0] = f->taken;
}

uint32_t tcp_ring_end(const struct tcp_flow *f, uint32_t from)
{
    const struct tcp_ring *r = f->ring;

    for (unsigned i = 0; r && i < r->ranges; i++)
        if (seq_le(r->range[i][0], from) && seq_lt(from, r->range[i][1]))
            return r->range[i][1];
    return from;
}

/* What we have beyond rcv: first the range that a segment changed last, then the others in order (RFC 2018, 4). */
unsigned tcp_ring_sacks(const struct tcp_flow *f, uint32_t block[TCP_SACK_BLOCKS][2])
{
    const struct tcp_ring *r = f->ring;
    unsigned n = 0;

    for (unsigned pass = 0; r && pass < 2; pass++)
        for (unsigned i = 0; i < r->ranges && n < TCP_SACK_BLOCKS; i++) {
            bool recent = seq_le(r->range[i][0], r->recent) && seq_lt(r->recent, r->range[i][1]);

            if (seq_lt(f->rcv, r->range[i][0]) && recent == (pass == 0))
                memcpy(block[n++], r->range[i], sizeof r->range[i]);
        }
    return n;
}
