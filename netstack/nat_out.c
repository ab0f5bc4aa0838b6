/*
 * The way out to the guests: IP headers, checksums, fragments.
 *
 * Checksums are left to the cable (NET_CSUM_PARTIAL), and so is segmentation: what the guest's end cannot do the cable
 * does, what it can nobody does. A packet in one piece is not to be fragmented and has the identification 0 (RFC 6864).
 */
#include <string.h>

#include "netstack/nat_int.h"

enum {
    HLEN4 = 20,
    HLEN6 = 40,
    FRAG6 = 8,
    NEXT_FRAGMENT = 44,
    L4_HEAD = 64, /* of the L4 header, as far as its checksum: at most */
    LONGEST = 65535,
    TTL = 64,
    FLAG_MF = 0x2000,
    FLAG_DF = 0x4000,
};

/* One packet on its way. */
struct out {
    struct nat *n;
    const struct nat_out *o;
    bool is4, has_mac;
    uint8_t mac[ETH_ALEN];
    struct net_frame frame;
    struct iovec l4[NAT_OUT_IOV + 1]; /* the L4 packet: its copied head, the rest */
    unsigned cnt;
    uint8_t head[L4_HEAD];
};

uint32_t nat_mtu(const struct nat *n) { return net_port_mtu(&n->port); }

uint32_t nat_pseudo(const struct net_addr *src, const struct net_addr *dst, uint8_t proto, size_t len)
{
    unsigned from = net_addr_is4(src) ? 12 : 0;
    uint8_t tail[8];
    uint32_t sum = csum_add(0, src->b + from, 16 - from);

    sum = csum_add(sum, dst->b + from, 16 - from);
    st32be(tail, (uint32_t)len);
    st32be(tail + 4, proto);
    return csum_add(sum, tail, sizeof tail);
}

bool nat_csum_right(const struct nat_ip *ip, const struct packet *p)
{
    uint32_t sum = ip->proto == IP_PROTO_ICMP ? 0 : nat_pseudo(&ip->src, &ip->dst, ip->proto, p->len);

    return ip->csum_ok || csum_fold(csum_packet(sum, p, 0, p->len)) == 0;
}

/* --- headers --------------------------------------------------------------------------------------------------- */

/* frag: the flags and offset field. */
static size_t put_ip4(const struct out *t, uint8_t *h, size_t len, uint16_t id, uint16_t frag)
{
    const struct nat_out *o = t->o;

    h[0] = 0x45;
    h[1] = o->tos;
    st16be(h + 2, (uint16_t)(HLEN4 + len));
    st16be(h + 4, id);
    st16be(h + 6, frag);
    h[8] = o->ttl ? o->ttl : TTL;
    h[9] = o->proto;
    st16be(h + 10, 0);
    memcpy(h + 12, o->src.b + 12, 4);
    memcpy(h + 16, o->dst.b + 12, 4);
    st16be(h + 10, csum_fold(csum_add(0, h, HLEN4)));
    return HLEN4;
}

static size_t put_ip6(const struct out *t, uint8_t *h, size_t len, uint8_t next)
{
    const struct nat_out *o = t->o;

    st32be(h, UINT32_C(6) << 28 | (uint32_t)o->tos << 20);
    st16be(h + 4, (uint16_t)len);
    h[6] = next;
    h[7] = o->ttl ? o->ttl : TTL;
    memcpy(h + 8, o->src.b, 16);
    memcpy(h + 24, o->dst.b, 16);
    return HLEN6;
}

static void put_eth(const struct out *t, uint8_t *h)
{
    memcpy(h, t->mac, ETH_ALEN);
    memcpy(h + ETH_ALEN, t->n->mac, ETH_ALEN);
    st16be(h + 2 * ETH_ALEN, t->is4 ? 0x0800 : 0x86dd);
}

/* h (head bytes) and the L4 bytes of p, with the frame's offload fields. false: no room. */
static bool put_frame(struct out *t, uint8_t *h, size_t head, const struct packet *p)
{
    struct iovec iov[NAT_OUT_IOV + 2] = {{h, head}};
    size_t left;

    put_eth(t, h);
    t->frame.iov = iov;
    t->frame.iovcnt = 1 + packet_iov(p, iov + 1, NAT_OUT_IOV + 1, &left);
    t->frame.len = head + p->len;
    if (left)
        return true; /* cannot be: l4 has no more pieces */
    if (t->has_mac)
        return net_port_send(&t->n->port, &t->frame);
    nat_neighbour_wait(t->n, &t->o->dst, &t->frame);
    return true;
}

/* --- checksums and segmentation ---------------------------------------------------------------------------------- */

/* The L4 packet as pieces of ours: the head with the checksum is copied, the caller's bytes stay as they are. */
static bool take_l4(struct out *t)
{
    const struct nat_out *o = t->o;
    struct packet p = {.iov = o->iov, .cnt = o->iovcnt, .len = o->len};
    size_t head = o->csum_offset < 0 ? 0 : (size_t)o->csum_offset + 2, left;

    if (o->iovcnt > NAT_OUT_IOV || head > L4_HEAD || packet_copy(&p, 0, t->head, head) != head)
        return false;
    packet_skip(&p, head);
    t->l4[0] = (struct iovec){t->head, head};
    t->cnt = 1 + packet_iov(&p, t->l4 + 1, NAT_OUT_IOV, &left);
    return !left;
}

static struct packet l4_packet(const struct out *t)
{
    return (struct packet){.iov = t->l4, .cnt = t->cnt, .len = t->o->len};
}

static size_t l4_header(const struct out *t)
{
    struct packet p = l4_packet(t);
    uint8_t h[13];

    if (t->o->proto != IP_PROTO_TCP)
        return 8;
    return packet_copy(&p, 0, h, sizeof h) == sizeof h ? (h[12] >> 4) * 4u : HLEN4;
}

static void offload(struct out *t, size_t head)
{
    const struct nat_out *o = t->o;
    size_t header = l4_header(t);

    t->frame.flags = NET_CSUM_VALID;
    if (o->csum_offset < 0)
        return;
    if (o->proto == IP_PROTO_ICMP6) { /* no hardware leaves these to others, and readers of captures know none that do */
        struct packet p = l4_packet(t);

        st16be(t->head + o->csum_offset, 0);
        st16be(t->head + o->csum_offset,
               csum_fold(csum_packet(nat_pseudo(&o->src, &o->dst, o->proto, o->len), &p, 0, o->len)));
        return;
    }
    t->frame.flags = NET_CSUM_PARTIAL;
    t->frame.csum_start = (uint16_t)head;
    t->frame.csum_offset = (uint16_t)o->csum_offset;
    st16be(t->head + o->csum_offset, (uint16_t)~csum_fold(nat_pseudo(&o->src, &o->dst, o->proto, o->len)));
    if (!o->gso_size || o->len <= header + o->gso_size)
        return;
    t->frame.gso_size = o->gso_size;
    t->frame.header_len = (uint16_t)(head + header);
    if (o->proto == IP_PROTO_TCP)
        t->frame.gso = t->is4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
    else
        t->frame.gso = t->is4 ? NET_GSO_UDP4 : NET_GSO_UDP6;
}

/* The whole sum, before the packet is cut up. UDP has no sum of 0 (RFC 768). */
static void whole_sum(struct out *t)
{
    const struct nat_out *o = t->o;
    struct packet p = l4_packet(t);
    uint16_t sum;

    t->frame.flags = NET_CSUM_VALID;
    if (o->csum_offset < 0)
        return;
    st16be(t->head + o->csum_offset, 0);
    sum = csum_fold(csum_packet(nat_pseudo(&o->src, &o->dst, o->proto, o->len), &p, 0, o->len));
    st16be(t->head + o->csum_offset, sum || o->proto != IP_PROTO_UDP ? sum : 0xffff);
}

/* --- sending --------------------------------------------------------------------------------------------------- */

static size_t put_fragment_header(const struct out *t, uint8_t *h, size_t off, size_t len, bool more, uint32_t id)
{
    size_t at;

    if (t->is4)
        return put_ip4(t, h, len, (uint16_t)id, (uint16_t)(off / 8 | (more ? FLAG_MF : 0)));
    at = put_ip6(t, h, FRAG6 + len, NEXT_FRAGMENT);
    h[at] = t->o->proto;
    h[at + 1] = 0;
    st16be(h + at + 2, (uint16_t)(off | more));
    st32be(h + at + 4, id);
    return at + FRAG6;
}

/* Once the first fragment is on its way the packet counts as sent. */
static bool send_fragments(struct out *t, size_t mtu)
{
    size_t room = (mtu - (t->is4 ? HLEN4 : HLEN6 + FRAG6)) & ~(size_t)7, len = t->o->len;
    uint32_t id = (uint32_t)++t->n->ip_id;

    whole_sum(t);
    for (size_t off = 0; off < len; off += room) {
        uint8_t h[ETH_HLEN + HLEN6 + FRAG6];
        struct packet p = l4_packet(t);
        bool more = len - off > room;

        packet_skip(&p, off);
        packet_trim(&p, more ? room : len - off);
        if (!put_frame(t, h, ETH_HLEN + put_fragment_header(t, h + ETH_HLEN, off, p.len, more, id), &p)) {
            if (!off)
                return false;
            net_port_drop(&t->n->port, 1);
        }
    }
    return true;
}

static bool send_whole(struct out *t)
{
    uint8_t h[ETH_HLEN + HLEN6];
    size_t len = t->o->len;
    struct packet p = l4_packet(t);
    size_t head =
        ETH_HLEN + (t->is4 ? put_ip4(t, h + ETH_HLEN, len, 0, FLAG_DF) : put_ip6(t, h + ETH_HLEN, len, t->o->proto));

    offload(t, head);
    return put_frame(t, h, head, &p);
}

static bool send_ip(struct out *t)
{
    size_t mtu = nat_mtu(t->n), hlen = t->is4 ? HLEN4 : HLEN6;

    if (!take_l4(t) || t->o->len > (t->is4 ? (size_t)LONGEST - HLEN4 : (size_t)LONGEST))
        return true;
    if (t->o->gso_size || hlen + t->o->len <= mtu)
        return send_whole(t);
    return send_fragments(t, mtu);
}

bool nat_ip_send(struct nat *n, const struct nat_out *o)
{
    struct out t = {.n = n, .o = o, .is4 = net_addr_is4(&o->dst)};

    if (o->mac)
        memcpy(t.mac, o->mac, ETH_ALEN);
    t.has_mac = o->mac || nat_neighbour(n, &o->dst, t.mac);
    return send_ip(&t);
}

bool nat_ip_send_group(struct nat *n, const struct nat_out *o, const uint8_t mac[ETH_ALEN])
{
    struct out t = {.n = n, .o = o, .is4 = net_addr_is4(&o->dst), .has_mac = true};

    memcpy(t.mac, mac, ETH_ALEN);
    return send_ip(&t);
}
