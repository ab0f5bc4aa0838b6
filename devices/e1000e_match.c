/*
 * 82574L receive side, a frame seen by itself: does it pass the filters, whose queue is it (RSS), are its checksums
 * right, where do its headers end.
 *
 * The parser copies the headers it looks at, once, so that a sender that changes them meanwhile changes nothing
 * decided. Sources: 82574 datasheet, 7.1.3 (filters), 7.1.10 (checksums), 7.1.11 (RSS), 10.2.5; Microsoft's RSS
 * specification.
 */
#include "devices/e1000e_parts.h"

enum {
    HEADERS = 256, /* looked at; headers that go on beyond are not recognised */
    TYPE_IP4 = 0x0800,
    TYPE_IP6 = 0x86dd,
    TYPE_PAUSE = 0x8808,
    TAG = 4,
    IP4_HLEN = 20,
    IP6_HLEN = 40,
    UDP_HLEN = 8,
    TCP_HLEN = 20,
    TCP_ACK = 0x10,
    TCP_OTHERS = 0x07, /* FIN, SYN, RST */
    PROTO_HOPOPTS = 0,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_DSTOPTS = 60,
};

enum {                  /* MRQC and the types that go into a descriptor */
       MRQC_ENABLE = 1, /* of bits 1:0 */
       MRQC_TCP4 = 1 << 16,
       MRQC_IP4 = 1 << 17,
       MRQC_TCP6EX = 1 << 18,
       MRQC_IP6EX = 1 << 19,
       MRQC_IP6 = 1 << 20,
       RSS_TCP4 = 1,
       RSS_IP4 = 2,
       RSS_TCP6 = 3,
       RSS_IP6EX = 4,
       RSS_IP6 = 5,
};

struct parsed {
    uint8_t h[HEADERS];
    unsigned have; /* bytes of h */
    size_t len;    /* of the frame */
    uint16_t type;
    bool tagged, ip4, ip6, fragment, tcp, udp;
    unsigned l3, l4, payload; /* l4: 0 when it is not known; payload: behind the transport's header */
    size_t end;               /* of the IP packet; what follows is padding */
};

/* The bytes [at, at + n) of the headers; NULL: not all there. */
static const uint8_t *headers_at(const struct parsed *p, unsigned at, unsigned n)
{
    return at + n <= p->have ? p->h + at : NULL;
}

/* --- parsing --- */

static void parse_transport(struct parsed *p, uint8_t proto)
{
    const uint8_t *h = headers_at(p, p->l4, proto == PROTO_TCP ? TCP_HLEN : UDP_HLEN);
    unsigned len = UDP_HLEN;

    if (p->fragment || !h || (proto != PROTO_TCP && proto != PROTO_UDP))
        return;
    if (proto == PROTO_TCP)
        len = (h[12] >> 4) * 4u;
    if (p->l4 + len > p->end || (proto == PROTO_TCP && len < TCP_HLEN))
        return;
    p->tcp = proto == PROTO_TCP;
    p->udp = proto == PROTO_UDP;
    p->payload = p->l4 + len;
}

static void parse_ip4(struct parsed *p)
{
    const uint8_t *h = headers_at(p, p->l3, IP4_HLEN);
    unsigned hlen = h ? (h[0] & 15) * 4u : 0;

    if (!h || h[0] >> 4 != 4 || hlen < IP4_HLEN || ld16be(h + 2) < hlen || p->l3 + ld16be(h + 2) > p->len)
        return;
    p->ip4 = true;
    p->end = p->l3 + ld16be(h + 2);
    p->fragment = ld16be(h + 6) & 0x3fff;
    p->l4 = p->l3 + hlen;
    parse_transport(p, h[9]);
}

static void parse_ip6(struct parsed *p)
{
    const uint8_t *h = headers_at(p, p->l3, IP6_HLEN);
    uint8_t next;

    if (!h || h[0] >> 4 != 6 || p->l3 + IP6_HLEN + ld16be(h + 4) > p->len)
        return;
    p->ip6 = true;
    p->end = p->l3 + IP6_HLEN + ld16be(h + 4);
    p->l4 = p->l3 + IP6_HLEN;
    for (next = h[6]; next == PROTO_HOPOPTS || next == PROTO_ROUTING || next == PROTO_DSTOPTS || next == PROTO_FRAGMENT;
         next = h[0]) {
        h = headers_at(p, p->l4, 8);
        if (!h)
            return;
        p->fragment |= next == PROTO_FRAGMENT;
        p->l4 += next == PROTO_FRAGMENT ? 8 : 8 + h[1] * 8u;
    }
    parse_transport(p, next);
}

static void parse(const struct e1000e *e, const struct net_frame *f, struct parsed *p)
{
    struct packet pkt = packet_of(f);

    *p = (struct parsed){.len = f->len, .l3 = ETH_HLEN};
    p->have = (unsigned)packet_copy(&pkt, 0, p->h, HEADERS);
    p->type = ld16be(p->h + 12);
    if (p->type == reg_get(e, R_VET) && p->have >= ETH_HLEN + TAG) {
        p->tagged = true;
        p->l3 += TAG;
        p->type = ld16be(p->h + 16);
    }
    if (p->type == TYPE_IP4)
        parse_ip4(p);
    else if (p->type == TYPE_IP6 && !(reg_get(e, R_RFCTL) & RFCTL_IPV6_DIS))
        parse_ip6(p);
}

/* --- filters --- */

static bool bit(const struct e1000e *e, unsigned table, unsigned n)
{
    return reg_get(e, table + n / 32 * 4) >> n % 32 & 1;
}

static bool exact(const struct e1000e *e, const uint8_t *dst)
{
    for (unsigned i = 0; i < RA_ENTRIES; i++) {
        uint32_t high = reg_get(e, R_RA + 8 * i + 4);

        /* bit 31: valid; bits 17:16: of what address, 0: the destination */
        if (high >> 31 && !(high & 0x30000) && reg_get(e, R_RA + 8 * i) == ld32(dst) && (uint16_t)high == ld16(dst + 4))
            return true;
    }
    return false;
}

/* Twelve of the last sixteen bits of the address, which ones is RCTL.MO's to say. */
static bool hashed(const struct e1000e *e, const uint8_t *dst)
{
    static const uint8_t shift[] = {4, 3, 2, 0};

    return bit(e, R_MTA, ld16(dst + 4) >> shift[reg_get(e, R_RCTL) >> 12 & 3] & 0xfff);
}

static bool passes(const struct e1000e *e, const struct parsed *p, uint32_t *status)
{
    static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rctl = reg_get(e, R_RCTL);
    const uint8_t *dst = p->h;

    if (p->tagged && rctl & RCTL_VFE && !bit(e, R_VFTA, ld16be(p->h + 14) & 0xfff))
        return false;
    if (p->type == TYPE_PAUSE && !(rctl & RCTL_PMCF))
        return false;
    if (exact(e, dst) || (rctl & RCTL_BAM && !memcmp(dst, broadcast, ETH_ALEN)))
        return true;
    *status |= RXD_PIF;
    if (dst[0] & 1)
        return rctl & RCTL_MPE || hashed(e, dst);
    return rctl & RCTL_UPE;
}

/* --- checksums --- */

static uint32_t pseudo(const struct parsed *p)
{
    const uint8_t *ip = p->h + p->l3;
    uint32_t sum = (uint32_t)(p->end - p->l4) + (p->tcp ? PROTO_TCP : PROTO_UDP);

    return p->ip4 ? csum_add(sum, ip + 12, 8) : csum_add(sum, ip + 8, 32);
}

static uint32_t transport_status(const struct net_frame *f, const struct parsed *p)
{
    struct packet pkt = packet_of(f);
    uint32_t done = RXD_TCPCS | (p->udp ? RXD_UDPCS : 0);

    if (p->udp && !ld16(p->h + p->l4 + 6)) /* it has none */
        return 0;
    if (f->flags & NET_CSUM_VALID)
        return done;
    return csum_fold(csum_packet(pseudo(p), &pkt, p->l4, p->end - p->l4)) ? done | RXD_TCPE : done;
}

static uint32_t checksums(const struct e1000e *e, const struct net_frame *f, const struct parsed *p)
{
    uint32_t rxcsum = reg_get(e, R_RXCSUM), status = 0;
    bool any = p->ip4 || (p->ip6 && !(reg_get(e, R_RFCTL) & RFCTL_IPV6_XSUM_DIS));

    if (!any || !(rxcsum & (RXCSUM_IPOFL | RXCSUM_TUOFL)))
        return RXD_IXSM;
    if (p->ip4 && rxcsum & RXCSUM_IPOFL) {
        /* a header longer than what was copied is left to the guest */
        const uint8_t *h = headers_at(p, p->l3, p->l4 - p->l3);

        if (h)
            status |= csum_fold(csum_add(0, h, p->l4 - p->l3)) ? RXD_IPCS | RXD_IPE : RXD_IPCS;
    }
    if ((p->tcp || p->udp) && rxcsum & RXCSUM_TUOFL)
        status |= transport_status(f, p);
    return status;
}

/* --- RSS --- */

/* The Toeplitz hash: for each bit of the input that is set, the 32 bits of the key from there on. */
static uint32_t toeplitz(const struct e1000e *e, const uint8_t *in, unsigned n)
{
    uint8_t key[40];
    uint32_t hash = 0, window;

    for (unsigned i = 0; i < 10; i++)
        st32(key + 4 * i, reg_get(e, R_RSSRK + 4 * i));
    window = ld32be(key);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned b = 0; b < 8; b++) {
            if (in[i] >> (7 - b) & 1)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> (7 - b) & 1);
        }
    }
    return hash;
}

static unsigned rss_type(uint32_t mrqc, const struct parsed *p)
{
    if (p->ip4)
        return p->tcp && mrqc & MRQC_TCP4 ? RSS_TCP4 : mrqc & MRQC_IP4 ? RSS_IP4 : 0;
    if (!p->ip6)
        return 0;
    if (p->tcp && mrqc & MRQC_TCP6EX)
        return RSS_TCP6;
    return mrqc & MRQC_IP6EX ? RSS_IP6EX : mrqc & MRQC_IP6 ? RSS_IP6 : 0;
}

/* Addresses and, for TCP, ports: as they stand in the packet. */
static void rss(const struct e1000e *e, const struct parsed *p, struct e1000e_match *m)
{
    uint32_t mrqc = reg_get(e, R_MRQC), rxcsum = reg_get(e, R_RXCSUM);
    unsigned type = rss_type(mrqc, p), n = p->ip4 ? 8 : 32;
    uint8_t in[36];

    if ((mrqc & 3) != MRQC_ENABLE || !(rxcsum & RXCSUM_PCSD) || rxcsum & RXCSUM_IPPCSE || !type)
        return;
    memcpy(in, p->h + p->l3 + (p->ip4 ? 12 : 8), n);
    if (type == RSS_TCP4 || type == RSS_TCP6) {
        memcpy(in + n, p->h + p->l4, 4);
        n += 4;
    }
    m->hash = toeplitz(e, in, n);
    m->queue = reg_get(e, R_RETA + (m->hash & 0x7c)) >> (8 * (m->hash & 3) + 7) & 1;
    m->mrq = type | m->queue << 8;
}

/* --- all of it --- */

static bool pure_ack(const struct e1000e *e, const struct parsed *p)
{
    uint32_t rfctl = reg_get(e, R_RFCTL);
    uint8_t flags = p->tcp ? p->h[p->l4 + 13] : 0;

    return !(rfctl & RFCTL_ACK_DIS) && flags & TCP_ACK && !(flags & TCP_OTHERS) &&
           (!(rfctl & RFCTL_ACKD_DIS) || p->payload == p->end);
}

/* Split behind the transport's header, or the network's where there is none to be seen. */
static unsigned split(const struct e1000e *e, const struct parsed *p)
{
    if ((!p->ip4 && !p->ip6) || (p->fragment && reg_get(e, R_RFCTL) & RFCTL_IPFRSP_DIS))
        return 0;
    return p->tcp || p->udp ? p->payload : p->l4;
}

static uint32_t packet_type(const struct parsed *p)
{
    enum { MAC = 0, IP4 = 1, IP4_TRANSPORT = 2, IP6 = 5, IP6_TRANSPORT = 6 };

    if (p->ip4)
        return p->tcp || p->udp ? IP4_TRANSPORT : IP4;
    if (p->ip6)
        return p->tcp || p->udp ? IP6_TRANSPORT : IP6;
    return MAC;
}

bool e1000e_match(struct e1000e *e, const struct net_frame *f, struct e1000e_match *m)
{
    uint32_t rxcsum = reg_get(e, R_RXCSUM);
    struct packet pkt = packet_of(f);
    struct parsed p;

    *m = (struct e1000e_match){0};
    parse(e, f, &p);
    memcpy(m->dst, p.h, ETH_ALEN);
    if (!passes(e, &p, &m->status))
        return false;
    if (p.tagged && reg_get(e, R_CTRL) & CTRL_VME) {
        m->status |= RXD_VP;
        m->vlan = ld16be(p.h + ETH_HLEN);
    }
    m->status |= checksums(e, f, &p) | packet_type(&p) << RXD_TYPE_SHIFT;
    m->tcp_ack = pure_ack(e, &p);
    if (m->tcp_ack)
        m->status |= RXD_ACK;
    m->split = split(e, &p);
    rss(e, &p, m);
    if (rxcsum & RXCSUM_PCSD)
        return true;
    if (p.ip4) {
        m->status |= RXD_IPIDV;
        m->ip_id = ld16be(p.h + p.l3 + 4);
    }
    m->csum = csum_fold(csum_packet(0, &pkt, rxcsum & 0xff, f->len));
    return true;
}
