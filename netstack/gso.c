/* Software segmentation and checksum completion: see gso.h. */
#include "netstack/gso.h"

enum {
    TYPE_IP4 = 0x0800,
    TYPE_IP6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    TYPE_QINQ = 0x88a8,
    PROTO_HOPOPTS = 0,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_DSTOPTS = 60,
    IP6_HLEN = 40,
    UDP_HLEN = 8,
    TCP_HLEN = 20,
    TCP_CSUM = 16, /* offset of the checksum */
    UDP_CSUM = 6,
    TCP_FIN = 0x01,
    TCP_PSH = 0x08,
    TCP_CWR = 0x80,
    SEGMENTS_MAX = 2048, /* of 64 KiB: of 36 bytes and more, Linux's smallest MSS (48) without the options */
};

bool frame_valid(const struct net_frame *f)
{
    if (f->len < ETH_HLEN || f->len > NET_FRAME_MAX || f->gso > NET_GSO_UDP6)
        return false;
    if (f->gso && (!f->gso_size || !(f->flags & NET_CSUM_PARTIAL)))
        return false;
    return !(f->flags & NET_CSUM_PARTIAL) || (size_t)f->csum_start + f->csum_offset + 2 <= f->len;
}

unsigned frame_l3(const struct net_frame *f, uint16_t *type)
{
    struct packet p = packet_of(f);
    unsigned at = ETH_HLEN - 2;
    uint8_t scratch[2];
    const uint8_t *b;

    *type = 0;
    for (unsigned tags = 0; (b = packet_at(&p, at, 2, scratch)); tags++, at += 4) {
        *type = ld16be(b);
        if ((*type != TYPE_VLAN && *type != TYPE_QINQ) || tags == 2)
            break;
    }
    return b ? at + 2 : ETH_HLEN;
}

uint16_t gso_csum_offset(const struct gso *g) { return g->udp ? UDP_CSUM : TCP_CSUM; }

/* The headers' bytes [at, at + n), n > 0. NULL: more than there are. */
static uint8_t *header_at(struct gso *g, unsigned have, unsigned at, unsigned n)
{
    return at + n <= have ? g->header + at : NULL;
}

static bool parse_ip4(struct gso *g, unsigned have, uint8_t proto)
{
    const uint8_t *ip = header_at(g, have, g->l3, 20);
    unsigned ihl = ip ? (ip[0] & 15) * 4u : 0;

    if (!ip || ip[0] >> 4 != 4 || ihl < 20 || ip[9] != proto || ld16be(ip + 6) & 0x3fff /* a fragment */)
        return false;
    g->l4 = g->l3 + ihl;
    g->pseudo = csum_add(proto, ip + 12, 8);
    return true;
}

/*
 * The address that the pseudo-header has as destination when a routing header still has stops to make: the last one
 * (RFC 8200 8.1): of types 0 and 2 at the header's end, of a segment routing header (type 4) the first in its list.
 */
static const uint8_t *last_stop(const uint8_t *routing, unsigned len, const uint8_t *dst)
{
    if (!routing[3] || len < 24)
        return dst;
    return routing[2] == 4 ? routing + 8 : routing + len - 16;
}

static bool parse_ip6(struct gso *g, unsigned have, uint8_t proto)
{
    const uint8_t *ip = header_at(g, have, g->l3, IP6_HLEN), *dst, *ext;
    unsigned at = g->l3 + IP6_HLEN;
    uint8_t next;

    if (!ip || ip[0] >> 4 != 6)
        return false;
    dst = ip + 24;
    for (next = ip[6]; next != proto; next = ext[0]) {
        unsigned len;

        ext = header_at(g, have, at, 8);
        if (!ext || (next != PROTO_HOPOPTS && next != PROTO_ROUTING && next != PROTO_DSTOPTS))
            return false;
        len = 8 + ext[1] * 8u;
        if (!header_at(g, have, at, len))
            return false;
        if (next == PROTO_ROUTING)
            dst = last_stop(ext, len, dst);
        at += len;
    }
    g->l4 = at;
    g->pseudo = csum_add(csum_add(proto, ip + 8, 16), dst, 16);
    return true;
}

bool gso_headers(struct gso *g, const struct net_frame *f, enum net_gso kind)
{
    struct packet p = packet_of(f);
    unsigned have = (unsigned)packet_copy(&p, 0, g->header, sizeof g->header);
    struct iovec iov = {g->header, have};
    struct net_frame head = {.iov = &iov, .iovcnt = 1, .len = have};
    uint16_t type;
    const uint8_t *l4;

    g->ip6 = kind == NET_GSO_TCP6 || kind == NET_GSO_UDP6;
    g->udp = kind == NET_GSO_UDP4 || kind == NET_GSO_UDP6;
    g->l3 = frame_l3(&head, &type);
    if (type != (g->ip6 ? TYPE_IP6 : TYPE_IP4) ||
        !(g->ip6 ? parse_ip6 : parse_ip4)(g, have, g->udp ? PROTO_UDP : PROTO_TCP))
        return false;
    l4 = header_at(g, have, g->l4, g->udp ? UDP_HLEN : TCP_HLEN);
    if (!l4)
        return false;
    g->len = g->l4 + (g->udp ? UDP_HLEN : (l4[12] >> 4) * 4u);
    return g->len >= g->l4 + (g->udp ? UDP_HLEN : TCP_HLEN) && g->len <= have;
}

bool gso_parse(struct gso *g, const struct net_frame *f)
{
    if (!gso_headers(g, f, f->gso) || f->csum_start != g->l4 || f->csum_offset != gso_csum_offset(g))
        return false;
    g->size = f->gso_size;
    g->payload = f->len - g->len;
    g->count = g->payload ? (unsigned)((g->payload + g->size - 1) / g->size) : 1;
    if (g->count > SEGMENTS_MAX)
        return false;
    /* the lengths that the segments' headers will have must be numbers of 16 bits */
    return (g->payload < g->size ? g->payload : g->size) + g->len - g->l3 <= 65535;
}

struct packet gso_payload(const struct gso *g, const struct net_frame *f, unsigned i)
{
    struct packet p = packet_of(f);

    packet_skip(&p, g->len + (size_t)i * g->size);
    return p;
}

size_t gso_wire_len(const struct gso *g) { return (size_t)g->count * g->len + g->payload; }

static void segment_ip(const struct gso *g, unsigned i, uint8_t *header, size_t len)
{
    uint8_t *ip = header + g->l3;

    if (g->ip6) {
        st16be(ip + 4, (uint16_t)(len - g->l3 - IP6_HLEN));
        return;
    }
    st16be(ip + 2, (uint16_t)(len - g->l3));
    st16be(ip + 4, (uint16_t)(ld16be(ip + 4) + i));
    st16be(ip + 10, 0);
    st16be(ip + 10, csum_fold(csum_add(0, ip, g->l4 - g->l3)));
}

static void segment_tcp(const struct gso *g, unsigned i, uint8_t *tcp)
{
    st32be(tcp + 4, ld32be(tcp + 4) + i * g->size);
    if (i)
        tcp[13] &= (uint8_t)~TCP_CWR;
    if (i + 1 < g->count)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

/* The checksum of the segment whose headers are done: here, or its pseudo-header's part for the receiver to complete. */
static void segment_csum(const struct gso *g, bool partial, struct gso_frame *out, const struct packet *payload)
{
    unsigned at = g->l4 + gso_csum_offset(g);
    uint32_t sum = g->pseudo + (uint32_t)(out->f.len - g->l4);
    uint16_t v;

    out->f.flags = partial ? NET_CSUM_PARTIAL : NET_CSUM_VALID;
    out->f.csum_start = (uint16_t)g->l4;
    out->f.csum_offset = (uint16_t)(at - g->l4);
    st16be(out->header + at, 0);
    if (partial) {
        st16be(out->header + at, (uint16_t)~csum_fold(sum));
        return;
    }
    sum = csum_add(sum, out->header + g->l4, g->len - g->l4);
    v = csum_fold(csum_packet(sum, payload, 0, payload->len));
    st16be(out->header + at, v ? v : 0xffff);
}

void gso_segment(const struct gso *g, unsigned i, bool partial, struct packet *rest, struct gso_frame *out)
{
    struct packet payload = *rest;
    size_t left;

    packet_trim(&payload, payload.len < g->size ? payload.len : g->size);
    packet_skip(rest, payload.len);
    memcpy(out->header, g->header, g->len);
    out->iov[0] = (struct iovec){out->header, g->len};
    out->f = (struct net_frame){.iov = out->iov, .len = g->len + payload.len};
    out->f.iovcnt = 1 + packet_iov(&payload, out->iov + 1, GSO_IOV_MAX - 1, &left);
    segment_ip(g, i, out->header, out->f.len);
    if (g->udp)
        st16be(out->header + g->l4 + 4, (uint16_t)(out->f.len - g->l4));
    else
        segment_tcp(g, i, out->header + g->l4);
    segment_csum(g, partial, out, &payload);
}

bool csum_complete(const struct net_frame *f, struct gso_frame *out)
{
    struct packet p = packet_of(f);
    size_t at = (size_t)f->csum_start + f->csum_offset, left;
    struct packet covered;
    uint16_t v;

    if (at + 2 > GSO_HEADER_MAX || packet_copy(&p, 0, out->header, at + 2) != at + 2)
        return false;
    packet_skip(&p, at + 2);
    out->iov[0] = (struct iovec){out->header, at + 2};
    out->f = *f;
    out->f.iov = out->iov;
    out->f.iovcnt = 1 + packet_iov(&p, out->iov + 1, GSO_IOV_MAX - 1, &left);
    covered = packet_of(&out->f);
    v = csum_fold(csum_packet(0, &covered, f->csum_start, f->len - f->csum_start));
    /* 0 would mean "no checksum" in UDP; the two are the same number (RFC 768) */
    st16be(out->header + at, v ? v : 0xffff);
    out->f.flags = (uint8_t)((f->flags & ~NET_CSUM_PARTIAL) | NET_CSUM_VALID);
    return true;
}
