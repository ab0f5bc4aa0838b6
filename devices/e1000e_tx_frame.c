/*
 * 82574L: what leaves for the network. The first bytes of a frame are copied, so that the headers that are completed
 * here (IP lengths and checksums, VLAN tag) and those the network looks at are ours; the rest stays in guest memory.
 *
 * A TCP or UDP checksum becomes NET_CSUM_PARTIAL where the network can express it and is computed here otherwise.
 * Segmentation is never done here: a frame with TSE becomes one with gso fields, after its lengths, which the
 * driver left out because they differ by segment, are put in as the network wants them.
 * Source: 82574 datasheet, 7.2.4 (descriptors), 7.2.10 (segmentation), 7.2.11 (checksums); virtio 1.2, 5.1.6.
 */
#include "devices/e1000e_parts.h"

enum {                   /* first descriptor, word 2; legacy command bits are those of the last one */
       CMD_IC = 1 << 26, /* legacy: insert checksum */
       CMD_TSE = 1 << 26,
       CMD_DEXT = 1 << 29,
       CMD_VLE = 1 << 30,
       POPTS_IXSM = 1 << 8, /* word 3 */
       POPTS_TXSM = 1 << 9,
       TUCMD_TCP = 1 << 24, /* context, word 2 */
       TUCMD_IP = 1 << 25,
       IP4_HLEN = 20,
       IP6_HLEN = 40,
       TCP_HLEN = 20,
       UDP_HLEN = 8,
};

/* A checksum of bytes [start, end] (end 0: to the last one), put at offset. */
struct sum {
    unsigned start, offset, end;
};

static struct sum sum_of(uint32_t word) { return (struct sum){word & 0xff, word >> 8 & 0xff, word >> 16}; }

static size_t head_len(const struct e1000e_tx *t) { return t->len < TX_HEAD ? t->len : TX_HEAD; }

/* Put the copy of the first bytes before the rest. */
static void linearise_head(struct e1000e_tx *t)
{
    struct iovec rest[TX_PIECES];
    struct net_frame raw = {.iov = t->iov + 1, .iovcnt = t->pieces, .len = t->len};
    struct packet p = packet_of(&raw);
    size_t left;

    packet_copy(&p, 0, t->head, head_len(t));
    packet_skip(&p, head_len(t));
    t->pieces = packet_iov(&p, rest, TX_PIECES, &left);
    memcpy(t->iov + 1, rest, t->pieces * sizeof *rest);
    t->iov[0] = (struct iovec){t->head, head_len(t)};
    t->f = (struct net_frame){.iov = t->iov, .iovcnt = 1 + t->pieces, .len = t->len};
}

static bool covers_rest(const struct e1000e_tx *t, const struct sum *s) { return !s->end || s->end + 1 >= t->len; }

/* Compute it here. Offsets beyond the frame: nothing is inserted, as the datasheet says. */
static void insert_sum(struct e1000e_tx *t, const struct sum *s)
{
    struct packet p = packet_of(&t->f);
    size_t end = covers_rest(t, s) ? t->len : s->end + 1;
    uint16_t v;

    if (s->start >= end || s->offset + 2 > head_len(t))
        return;
    v = csum_fold(csum_packet(0, &p, s->start, end - s->start));
    st16be(t->head + s->offset, v ? v : 0xffff);
}

/* Leave it to the network if that knows such a checksum. */
static void transport_sum(struct e1000e_tx *t, const struct sum *s)
{
    if (t->local || s->offset < s->start || !covers_rest(t, s) || s->offset + 2u > t->len) {
        insert_sum(t, s);
        return;
    }
    t->f.flags |= NET_CSUM_PARTIAL;
    t->f.csum_start = (uint16_t)s->start;
    t->f.csum_offset = (uint16_t)(s->offset - s->start);
}

/* Lengths and the IP header's checksum, for the frame as a whole. */
static bool whole_ip(struct e1000e_tx *t, bool ip4, const struct sum *ip, unsigned l4)
{
    uint8_t *h = t->head + ip->start;
    size_t len = t->len - ip->start;

    if (ip->start + (ip4 ? IP4_HLEN : IP6_HLEN) > l4 || len > 65535)
        return false;
    st16be(h + (ip4 ? 2 : 4), (uint16_t)(ip4 ? len : len - IP6_HLEN));
    return true;
}

static bool segmented(struct e1000e *e, const struct e1000e_context *c, struct e1000e_tx *t)
{
    struct sum ip = sum_of(c->ip), tu = sum_of(c->tu);
    bool ip4 = c->cmd & TUCMD_IP, tcp = c->cmd & TUCMD_TCP;
    unsigned header = c->seg >> 8 & 0xff, mss = c->seg >> 16;

    if (!mss || header < tu.start + (tcp ? TCP_HLEN : UDP_HLEN) || header >= t->len || tu.offset < tu.start ||
        tu.offset + 2 > header || !whole_ip(t, ip4, &ip, tu.start)) {
        e1000e_count(e, S_TSCTFC);
        return false;
    }
    e1000e_count(e, S_TSCTC);
    if (!tcp)
        st16be(t->head + tu.start + 4, (uint16_t)(t->len - tu.start));
    /* The driver's sum is of a pseudo-header without the length, which differs by segment. */
    st16be(t->head + tu.offset, (uint16_t)~csum_fold(ld16be(t->head + tu.offset) + (uint32_t)(t->len - tu.start)));
    if (t->len - header <= mss) {
        tu.end = 0;
        transport_sum(t, &tu);
        return true;
    }
    t->f.flags |= NET_CSUM_PARTIAL;
    t->f.gso = (uint8_t)(tcp ? (ip4 ? NET_GSO_TCP4 : NET_GSO_TCP6) : ip4 ? NET_GSO_UDP4 : NET_GSO_UDP6);
    t->f.gso_size = (uint16_t)mss;
    t->f.header_len = (uint16_t)header;
    t->f.csum_start = (uint16_t)tu.start;
    t->f.csum_offset = (uint16_t)(tu.offset - tu.start);
    t->header = header;
    t->segment = mss;
    return true;
}

static bool offload(struct e1000e *e, unsigned queue, struct e1000e_tx *t)
{
    const struct e1000e_context *c = &e->context[queue];
    struct sum ip = sum_of(c->ip), tu = sum_of(c->tu);

    if (!(t->first[0] & CMD_DEXT)) {
        struct sum legacy = {t->last[1] >> 8 & 0xff, t->last[0] >> 16 & 0xff, 0};

        if (t->last[0] & CMD_IC)
            transport_sum(t, &legacy);
        return true;
    }
    if (t->first[0] & CMD_TSE) {
        if (!segmented(e, c, t))
            return false;
    } else if (t->first[1] & POPTS_TXSM) {
        transport_sum(t, &tu);
    }
    if (t->first[1] & POPTS_IXSM)
        insert_sum(t, &ip);
    return true;
}

/* The tag of the last descriptor, behind the addresses; all offsets move. */
static void insert_tag(struct e1000e *e, struct e1000e_tx *t)
{
    memmove(t->head + 16, t->head + 12, t->iov[0].iov_len - 12);
    st16be(t->head + 12, (uint16_t)reg_get(e, R_VET));
    st16be(t->head + 14, (uint16_t)(t->last[1] >> 16));
    t->iov[0].iov_len += 4;
    t->f.len += 4;
    if (t->header)
        t->header += 4;
    if (t->f.gso)
        t->f.header_len = (uint16_t)(t->f.header_len + 4);
    if (t->f.flags & NET_CSUM_PARTIAL)
        t->f.csum_start = (uint16_t)(t->f.csum_start + 4);
}

bool e1000e_tx_build(struct e1000e *e, unsigned queue, struct e1000e_tx *t)
{
    static const uint8_t zeroes[MIN_FRAME];

    t->header = t->segment = 0;
    t->local = e1000e_loopback(e);
    if (t->len < ETH_HLEN)
        return false;
    linearise_head(t);
    if (!offload(e, queue, t))
        return false;
    if (t->last[0] & CMD_VLE && reg_get(e, R_CTRL) & CTRL_VME)
        insert_tag(e, t);
    if (t->f.len > NET_FRAME_MAX)
        return false;
    if (reg_get(e, R_TCTL) & TCTL_PSP && t->f.len < MIN_FRAME) {
        t->iov[t->f.iovcnt++] = (struct iovec){(void *)(uintptr_t)zeroes, MIN_FRAME - t->f.len};
        t->f.len = MIN_FRAME;
    }
    return true;
}
