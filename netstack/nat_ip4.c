/*
 * IPv4 from guests: the header (RFC 791, RFC 1812 5.2), who sends, who is meant; fragments go to reassembly.
 *
 * Options are stepped over: a packet leaves this host anew, by a socket, without them.
 */
#include <string.h>

#include "netstack/nat_frag.h"

enum {
    HLEN_MIN = 20,
    HLEN_MAX = 60,
    COPY = HLEN_MAX + 68, /* kept of a packet for ICMP errors */
    FLAG_DF = 0x4000,
    FLAG_MF = 0x2000,
};

static bool is_group(const struct nat *n, uint32_t a)
{
    uint32_t mask = ~UINT32_C(0) << (32 - n->c.prefix_len), net = ld32be(n->c.net.b + 12);

    return a == UINT32_MAX || a >> 28 == 14 || a == (net | ~mask);
}

/* A guest's address, or none, from which only DHCP may come. */
static bool source_right(const struct nat *n, const struct nat_ip *ip)
{
    uint32_t a = ld32be(ip->src.b + 12), mask = ~UINT32_C(0) << (32 - n->c.prefix_len);

    if (!a)
        return ip->proto == IP_PROTO_UDP && ip->group;
    return nat_in_net(n, &ip->src) && (a & ~mask) != 0 && (a & ~mask) != ~mask && !nat_is_ours(n, &ip->src);
}

/*
 * A unicast address in a frame to a group is dropped (RFC 1122, 3.3.6): it would make one packet many. So are "this
 * network" and loopback, which no router passes on (RFC 1122, 3.2.1.3).
 */
static bool target_right(const struct nat *n, struct nat_ip *ip, bool group)
{
    uint32_t a = ld32be(ip->dst.b + 12);

    ip->group = is_group(n, a);
    return a >> 24 != 0 && a >> 24 != 127 && (ip->group || !group);
}

/* Length and checksum; the header's length, 0: wrong. */
static size_t header_right(const struct net_frame *f, struct packet *p, const uint8_t *h, size_t have)
{
    size_t hlen = have < HLEN_MIN ? 0 : (h[0] & 15u) * 4u, total = hlen ? ld16be(h + 2) : 0;

    if (hlen < HLEN_MIN || h[0] >> 4 != 4 || hlen > have || total < hlen || !packet_trim(p, total))
        return 0;
    if (!(f->flags & NET_CSUM_VALID) && csum_fold(csum_add(0, h, hlen)))
        return 0;
    return hlen;
}

static bool addresses_right(struct nat *n, struct nat_ip *ip, const uint8_t mac[ETH_ALEN], bool group)
{
    char text[NET_ADDR_TEXT];

    if (!target_right(n, ip, group)) {
        nat_bad(n, "IPv4 packet to %s", net_addr_text(&ip->dst, text));
        return false;
    }
    if (!source_right(n, ip)) {
        nat_bad(n, "IPv4 packet from %s", net_addr_text(&ip->src, text));
        return false;
    }
    if (ld32be(ip->src.b + 12) && !nat_neighbour_seen(n, &ip->src, mac)) {
        nat_bad(n, "IPv4 packet from %s, which another MAC has", net_addr_text(&ip->src, text));
        return false;
    }
    return true;
}

static void fill(struct nat_ip *ip, const struct net_frame *f, const uint8_t *h)
{
    ip->src = net_addr_of4(ld32be(h + 12));
    ip->dst = net_addr_of4(ld32be(h + 16));
    ip->proto = h[9];
    ip->ttl = h[8];
    ip->tos = h[1];
    ip->is4 = true;
    ip->csum_ok = (f->flags & (NET_CSUM_VALID | NET_CSUM_PARTIAL)) != 0;
    ip->df = (ld16be(h + 6) & FLAG_DF) != 0;
    ip->gso_size = f->gso ? f->gso_size : 0;
}

void nat_ip4_input(struct nat *n, const struct net_frame *f, struct packet *p, const uint8_t mac[ETH_ALEN], bool group)
{
    uint8_t h[COPY];
    struct nat_ip ip = {.mac = mac, .header = h, .header_len = packet_copy(p, 0, h, sizeof h)};
    size_t hlen = header_right(f, p, h, ip.header_len);
    uint16_t frag;

    if (!hlen) {
        nat_bad(n, "IPv4 header that is wrong");
        return;
    }
    if (ip.header_len > p->len) /* Ethernet's padding is not the packet's */
        ip.header_len = p->len;
    fill(&ip, f, h);
    if (!addresses_right(n, &ip, mac, group))
        return;
    if (ip.ttl <= 1 && !ip.group && !nat_is_ours(n, &ip.dst)) {
        nat_icmp_error(n, &ip, UNREACH_TTL, 0);
        return;
    }
    packet_skip(p, hlen);
    frag = ld16be(h + 6);
    if (frag & (FLAG_MF | 0x1fff)) {
        struct nat_fragment fr = {ld16be(h + 4), (size_t)(frag & 0x1fff) * 8, (frag & FLAG_MF) != 0, ip.proto};

        nat_frag_input(n, &ip, &fr, p);
        return;
    }
    nat_ip_deliver(n, &ip, p);
}

void nat_ip_deliver(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    switch (ip->proto) {
    case IP_PROTO_UDP: nat_udp_input(n, ip, p); return;
    case IP_PROTO_TCP:
        if (!ip->group) /* RFC 1122, 4.2.3.10 */
            nat_tcp_input(n, ip, p);
        return;
    case IP_PROTO_ICMP:
        if (ip->is4)
            nat_icmp_input(n, ip, p);
        return;
    case IP_PROTO_ICMP6:
        if (!ip->is4)
            nat_icmp6_input(n, ip, p);
        return;
    default: nat_icmp_error(n, ip, UNREACH_PROTO, 0);
    }
}
