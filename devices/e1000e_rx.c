/*
 * 82574L receive rings: legacy, extended and packet split descriptors.
 *
 * A frame for which the ring lacks descriptors waits in the packet buffer until the guest has moved the tail (drivers
 * that keep one descriptor answer a frame before they give it back, and the answer's answer comes at once). When that
 * is full too, frames are refused and wait at their sender's. One for a ring that does not exist is lost. Each descriptor's last word, with its done bit, is stored last:
 * the guest looks at it from other vCPUs. Source: 82574 datasheet, 7.1.4 to 7.1.9.
 */
#include <zlib.h>

#include "devices/e1000e_parts.h"

enum { BUFFERS = 4, LEGACY = 16, SPLIT = 32, LARGEST = 16383, LARGEST_NORMAL = 1522, HDRSP = 0x8000 };

/* What a descriptor offers, as RCTL and PSRCTL say. */
struct layout {
    unsigned desc; /* bytes */
    bool extended, split;
    uint32_t size[BUFFERS];
};

/* A frame as the guest is to see it: without its tag, padded, with its FCS. */
struct source {
    uint8_t head[ETH_HLEN];
    unsigned head_len;
    struct packet body;
    uint8_t tail[MIN_FRAME + FCS];
    unsigned tail_len;
    size_t len; /* of all */
};

static struct layout layout_of(const struct e1000e *e)
{
    uint32_t rctl = reg_get(e, R_RCTL), ps = reg_get(e, R_PSRCTL);
    unsigned shift = rctl >> 16 & 3, kilobytes = rctl >> 27 & 15;
    struct layout l = {.desc = LEGACY, .extended = reg_get(e, R_RFCTL) & RFCTL_EXTEN, .split = rctl & RCTL_SPLIT};

    if (l.split) {
        l.desc = SPLIT;
        l.size[0] = (ps & 0x7f) * 128;
        for (unsigned i = 1; i < BUFFERS; i++)
            l.size[i] = (ps >> 8 * i & 0x3f) * 1024;
    } else if (kilobytes) {
        l.size[0] = kilobytes * 1024;
    } else {
        l.size[0] = rctl & RCTL_BSEX && shift ? 32768u >> shift : 2048u >> shift;
    }
    return l;
}

/* --- the frame --- */

static uint32_t fcs_of(const struct net_frame *f, unsigned pad)
{
    static const uint8_t zeroes[MIN_FRAME];
    uint8_t scratch[256];
    struct packet p = packet_of(f);
    uLong crc = crc32(0, NULL, 0);

    while (p.len) {
        size_t n = p.len < sizeof scratch ? p.len : sizeof scratch;
        const void *at = packet_pull(&p, n, scratch);

        if (!at)
            break;
        crc = crc32(crc, at, (uInt)n);
    }
    return (uint32_t)crc32(crc, zeroes, pad);
}

static void source_of(const struct e1000e *e, const struct net_frame *f, bool strip, struct source *s)
{
    unsigned pad = f->len < MIN_FRAME ? MIN_FRAME - (unsigned)f->len : 0;

    *s = (struct source){.body = packet_of(f), .head_len = 2 * ETH_ALEN, .tail_len = pad};
    packet_copy(&s->body, 0, s->head, s->head_len);
    packet_skip(&s->body, s->head_len + (strip ? 4u : 0));
    if (!(reg_get(e, R_RCTL) & RCTL_SECRC)) {
        st32(s->tail + pad, fcs_of(f, pad));
        s->tail_len += FCS;
    }
    s->len = s->head_len + s->body.len + s->tail_len;
}

/* Bytes [off, off + n) of s, which are there. */
static void source_copy(const struct source *s, size_t off, uint8_t *to, size_t n)
{
    while (n) {
        size_t take, in = off;

        if (in < s->head_len) {
            take = s->head_len - in < n ? s->head_len - in : n;
            memcpy(to, s->head + in, take);
        } else if ((in -= s->head_len) < s->body.len) {
            take = packet_copy(&s->body, in, to, n);
            if (!take)
                return;
        } else {
            in -= s->body.len;
            take = n;
            memcpy(to, s->tail + in, take);
        }
        off += take;
        to += take;
        n -= take;
    }
}

/* Into guest memory; what is not RAM takes nothing. */
static void deliver(struct e1000e *e, gpa at, const struct source *s, size_t off, size_t n)
{
    while (n) {
        uint64_t here = n;
        uint8_t *p = dma_map(e->pci.dev.bus, at, &here, true);

        if (!p) {
            log_guest(&e->pci.dev, "a receive buffer is not in RAM");
            return;
        }
        source_copy(s, off, p, here);
        dma_written(e->pci.dev.bus, at, here);
        at += here;
        off += here;
        n -= here;
    }
}

/* --- descriptors --- */

/* The done word goes last. */
static void publish(struct e1000e *e, gpa at, uint8_t *d, uint64_t done, unsigned len)
{
    __atomic_store_n((uint64_t *)(void *)(d + 8), done, __ATOMIC_RELEASE);
    dma_written(e->pci.dev.bus, at, len);
}

static void write_legacy(struct e1000e *e, gpa at, uint8_t *d, const struct e1000e_match *m, uint32_t status,
                         unsigned len)
{
    bool last = status & RXD_EOP;
    uint64_t done = len | (uint64_t)(last ? m->csum : 0) << 16 | (uint64_t)(status & 0xff) << 32 |
                    (uint64_t)(status >> 24) << 40 | (uint64_t)(last ? m->vlan : 0) << 48;

    publish(e, at, d, done, LEGACY);
}

static void write_extended(struct e1000e *e, gpa at, uint8_t *d, const struct e1000e_match *m, uint32_t status,
                           const struct layout *l, const uint32_t used[BUFFERS], unsigned header)
{
    bool last = status & RXD_EOP, hash = reg_get(e, R_RXCSUM) & RXCSUM_PCSD;

    st32(d, last ? m->mrq : 0);
    st32(d + 4, !last ? 0 : hash ? m->hash : m->ip_id | (uint32_t)m->csum << 16);
    if (l->split) {
        st16(d + 16, (uint16_t)(header ? header | HDRSP : 0));
        for (unsigned i = 1; i < BUFFERS; i++)
            st16(d + 16 + 2 * i, (uint16_t)used[i]);
        st64(d + 24, 0);
    }
    publish(e, at, d, status | (uint64_t)used[0] << 32 | (uint64_t)(last ? m->vlan : 0) << 48, l->desc);
}

/* Fill the buffers of one descriptor from off on; -> bytes. header: they go into the first buffer alone. */
static size_t fill(struct e1000e *e, const struct layout *l, const uint8_t *d, const struct source *s, size_t off,
                   unsigned header, bool split, uint32_t used[BUFFERS])
{
    size_t from = off;

    for (unsigned i = 0; i < BUFFERS && off < s->len; i++) {
        size_t n = s->len - off;

        if (n > l->size[i])
            n = l->size[i];
        if (split && !i)
            n = header;
        if (!n || (l->split && i && !ld64(d + 8 * i)))
            continue;
        deliver(e, ld64(d + 8 * i), s, off, n);
        used[i] = (uint32_t)n;
        off += n;
    }
    return off - from;
}

/* Bytes that one descriptor takes of a frame: at least so many of them are there. */
static uint32_t capacity(const struct layout *l, bool split)
{
    return (split ? 0 : l->size[0]) + l->size[1] + l->size[2] + l->size[3];
}

/* All of s into the ring; false: it came to an end before (null descriptors). */
static bool put(struct e1000e *e, struct e1000e_ring *r, const struct layout *l, const struct source *s,
                const struct e1000e_match *m, unsigned header)
{
    bool split = header;
    size_t off = 0;

    while (off < s->len) {
        gpa at = r->base + (gpa)r->head * LEGACY;
        uint8_t *d = bus_ram(e->pci.dev.bus, at, l->desc), copy[SPLIT];
        uint32_t used[BUFFERS] = {0}, status = RXD_DD;

        if (!d || ring_filled(r) < l->desc / LEGACY)
            return false;
        memcpy(copy, d, l->desc);
        if (ld64(copy)) /* a null address means that nothing is stored there */
            off += fill(e, l, copy, s, off, header, split, used);
        else if (l->split)
            return false;
        if (off == s->len)
            status |= RXD_EOP | m->status;
        if (l->extended || l->split)
            write_extended(e, at, d, m, status, l, used, header);
        else
            write_legacy(e, at, d, m, status, used[0]);
        header = 0;
        ring_advance(e, r, l->desc / LEGACY);
    }
    return true;
}

/* Which interrupts the frame makes, the ring having had `before` descriptors. */
static void interrupts(struct e1000e *e, const struct e1000e_ring *r, const struct e1000e_match *m, uint32_t before,
                       size_t len)
{
    uint32_t threshold = r->size >> (1 + (reg_get(e, R_RCTL) >> 8 & 3)), now = ring_filled(r);
    bool low = before > threshold && now <= threshold, msix = pci_msix_enabled(&e->pci);
    uint32_t causes = msix ? (uint32_t)ICR_RXQ0 << m->queue : ICR_RXT0;

    if (low)
        e1000e_count(e, S_ICRXDMTC);
    if (low && !msix)
        causes |= ICR_RXDMT0;
    if (len <= reg_get(e, R_RSRPD))
        causes |= ICR_SRPD;
    if (m->tcp_ack)
        causes |= ICR_ACK;
    e1000e_cause_rx(e, causes);
}

static bool lost(struct e1000e *e, const struct net_frame *f, unsigned counter)
{
    e1000e_count(e, counter);
    e1000e_count_rx_filtered(e, f->len);
    return true;
}

/* A frame that is for the guest. */
static bool store(struct e1000e *e, const struct net_frame *f, const struct e1000e_match *m)
{
    struct layout l = layout_of(e);
    unsigned header = l.split && m->split <= l.size[0] ? m->split : 0, tag = m->status & RXD_VP ? 4 : 0;
    struct e1000e_ring r;
    struct source s;
    uint32_t before, need;

    header = header > tag + ETH_HLEN && m->split < f->len && capacity(&l, true) ? header - tag : 0;
    if (!ring_load(e, R_RDBAL + m->queue * QUEUE_STRIDE, &r) || !capacity(&l, header))
        return lost(e, f, S_MPC);
    source_of(e, f, tag, &s);
    before = ring_filled(&r);
    need = (uint32_t)((s.len - header + capacity(&l, header) - 1) / capacity(&l, header)) * (l.desc / LEGACY);
    if (before < need && need < r.size)
        return false;
    if (before < need || !put(e, &r, &l, &s, m, header))
        return lost(e, f, S_MPC);
    e1000e_count_rx(e, m->dst, f->len);
    interrupts(e, &r, m, before, f->len);
    return true;
}

/* false: its ring has no room. */
static bool receive(struct e1000e *e, const struct net_frame *f)
{
    struct e1000e_match m;

    if (!(reg_get(e, R_RCTL) & RCTL_EN) || !e1000e_dma(e) || f->len < ETH_HLEN || f->gso)
        return true;
    if (f->len + FCS > (reg_get(e, R_RCTL) & RCTL_LPE ? LARGEST : LARGEST_NORMAL))
        return lost(e, f, S_ROC);
    if (!e1000e_match(e, f, &m)) {
        e1000e_count_rx_filtered(e, f->len);
        return true;
    }
    return store(e, f, &m);
}

/* --- the packet buffer --- */

enum { RECORD = 3 }; /* bytes before a frame */

static bool fifo_push(struct e1000e_fifo *q, const struct net_frame *f)
{
    struct packet p = packet_of(f);
    uint8_t *at;

    memmove(q->bytes, q->bytes + q->from, q->to - q->from);
    q->to -= q->from;
    q->from = 0;
    if (f->len + RECORD > sizeof q->bytes - q->to)
        return false;
    at = q->bytes + q->to;
    st16(at, (uint16_t)f->len);
    at[2] = f->flags;
    q->to += RECORD + (unsigned)packet_copy(&p, 0, at + RECORD, f->len);
    return true;
}

/* In order, as far as there are descriptors. */
static bool fifo_drain(struct e1000e *e)
{
    struct e1000e_fifo *q = &e->fifo;

    while (q->from < q->to) {
        uint8_t *at = q->bytes + q->from;
        struct iovec iov = {at + RECORD, ld16(at)};
        struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = iov.iov_len, .flags = at[2]};

        if (!receive(e, &f))
            return false;
        q->from += RECORD + (unsigned)f.len;
    }
    return true;
}

void e1000e_fifo_drop(struct e1000e *e) { e->fifo.from = e->fifo.to = 0; }

bool e1000e_receive(struct e1000e *e, const struct net_frame *f)
{
    if (fifo_drain(e) && receive(e, f))
        return true;
    e1000e_count(e, S_RNBC);
    if (fifo_push(&e->fifo, f))
        return true;
    e->starved = true;
    return false;
}

void e1000e_room(struct e1000e *e)
{
    bool empty = fifo_drain(e);

    if (!e->starved || !empty)
        return;
    e->starved = false;
    nic_room(&e->nic);
}
