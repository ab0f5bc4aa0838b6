/*
 * IPv6 from guests: the header and the extension headers (RFC 8200, 4), as a router and last hop sees them.
 *
 * Hop-by-hop and destination options are read for what must stop a packet; routing headers count only when they are used
 * up (RFC 5095); jumbograms are refused; fragments go to reassembly, atomic ones (RFC 6946) do not need it.
 */
#include <string.h>

#include "netstack/nat_frag.h"

enum {
    HLEN = 40,
    COPY = 128, /* kept of a packet for ICMP errors */
    HOP_BY_HOP = 0,
    ROUTING = 43,
    FRAGMENT = 44,
    NO_NEXT = 59,
    DESTINATION = 60,

    EXTENSIONS = 8,      /* in one packet */
    EXTENSION_MAX = 256, /* bytes of one */

    PLACE_LENGTH = 4, /* of the header's fields, for parameter problems */
    PLACE_NEXT = 6,
};

/* A walk along the headers: the packet's rest is behind what was read. */
struct walk {
    struct nat *n;
    struct nat_ip *ip;
    struct packet *p;
    uint8_t next;     /* what p begins with */
    uint32_t next_at; /* the place that says so, from the IPv6 header */
    uint32_t at;      /* p's place */
    bool reassembled;
};

enum step { STEP_ON, STEP_END /* upper layer */, STEP_DONE /* the packet is dealt with */ };

static enum step refuse(struct walk *w, enum nat_unreach why, uint32_t place)
{
    nat_bad(w->n, "IPv6 header %u that is wrong or not known", w->next);
    nat_icmp_error(w->n, w->ip, why, place);
    return STEP_DONE;
}

/* Options of h[2..len) (RFC 8200, 4.2): the upper two bits of an unknown one say what to do. */
static enum step options(struct walk *w, const uint8_t *h, size_t len)
{
    enum { PAD1 = 0, PADN = 1, ROUTER_ALERT = 5, JUMBO = 0xc2 };
    size_t i = 2;

    while (i < len) {
        uint8_t type = h[i];

        if (type == PAD1) {
            i++;
            continue;
        }
        if (len - i < 2 || h[i + 1] > len - i - 2)
            return refuse(w, UNREACH_BAD_HEADER, w->at + (uint32_t)i);
        if (type != PADN && type != ROUTER_ALERT && type >> 6) {
            if (type >> 6 == 1)
                return STEP_DONE;
            return refuse(w, type == JUMBO ? UNREACH_BAD_HEADER : UNREACH_BAD_OPTION, w->at + (uint32_t)i);
        }
        i += 2u + h[i + 1];
    }
    return STEP_ON;
}

static enum step extension(struct walk *w)
{
    uint8_t h[EXTENSION_MAX], first = w->next;
    size_t len;
    enum step s = STEP_ON;

    if (packet_copy(w->p, 0, h, 8) != 8)
        return refuse(w, UNREACH_BAD_HEADER, PLACE_LENGTH);
    len = (h[1] + 1u) * 8u;
    if (len > sizeof h || packet_copy(w->p, 0, h, len) != len)
        return refuse(w, UNREACH_BAD_HEADER, w->at + 1);
    if (first == ROUTING) {
        if (h[3])
            return refuse(w, UNREACH_BAD_HEADER, w->at + 2);
    } else {
        s = options(w, h, len);
    }
    packet_skip(w->p, len);
    w->next = h[0];
    w->next_at = w->at;
    w->at += (uint32_t)len;
    return s;
}

static enum step fragment(struct walk *w)
{
    uint8_t h[8];
    struct nat_fragment fr;
    uint16_t off;

    if (w->reassembled || packet_copy(w->p, 0, h, sizeof h) != sizeof h)
        return refuse(w, UNREACH_BAD_HEADER, w->at);
    packet_skip(w->p, sizeof h);
    off = ld16be(h + 2);
    fr = (struct nat_fragment){ld32be(h + 4), off & 0xfff8u, off & 1, h[0]};
    w->ip->df = false;
    if (!fr.off && !fr.more) {
        w->next = fr.next;
        w->next_at = w->at;
        w->at += (uint32_t)sizeof h;
        w->reassembled = true; /* there is no second one */
        return STEP_ON;
    }
    if (fr.more && w->p->len % 8)
        return refuse(w, UNREACH_BAD_HEADER, PLACE_LENGTH);
    if (fr.off + w->p->len > 65535)
        return refuse(w, UNREACH_BAD_HEADER, w->at + 2);
    nat_frag_input(w->n, w->ip, &fr, w->p);
    return STEP_DONE;
}

static enum step step(struct walk *w)
{
    switch (w->next) {
    case HOP_BY_HOP:
        if (w->at != HLEN)
            return refuse(w, UNREACH_BAD_NEXT, w->next_at);
        return extension(w);
    case ROUTING:
    case DESTINATION: return extension(w);
    case FRAGMENT: return fragment(w);
    case NO_NEXT: return STEP_DONE;
    case IP_PROTO_TCP:
    case IP_PROTO_UDP:
    case IP_PROTO_ICMP6: return STEP_END;
    default: return refuse(w, UNREACH_BAD_NEXT, w->next_at);
    }
}

static void headers(struct walk *w)
{
    for (unsigned i = 0; i <= EXTENSIONS; i++) {
        enum step s = step(w);

        if (s == STEP_ON)
            continue;
        w->ip->proto = w->next;
        if (s == STEP_END)
            nat_ip_deliver(w->n, w->ip, w->p);
        return;
    }
    refuse(w, UNREACH_BAD_NEXT, w->next_at);
}

void nat_ip6_upper(struct nat *n, struct nat_ip *ip, uint8_t next, struct packet *p)
{
    struct walk w = {n, ip, p, next, HLEN, HLEN + 8, true};

    headers(&w);
}

/* --- the fixed header ------------------------------------------------------------------------------------------ */

/* ::/96 holds none, loopback and IPv4-compatibles; ::ffff:0:0/96 would be taken for IPv4 further on. */
static bool forbidden(const struct net_addr *a)
{
    static const struct net_addr zero;

    return !memcmp(a->b, zero.b, 12) || net_addr_is4(a);
}

/* None: only neighbour discovery and group membership speak without an address (RFC 4862, RFC 3810). */
static bool source_right(const struct nat *n, const struct nat_ip *ip)
{
    if (net_addr_none(&ip->src))
        return ip->group;
    return !forbidden(&ip->src) && ip->src.b[0] != 0xff && nat_in_net(n, &ip->src) && !nat_is_ours(n, &ip->src);
}

/* A link-local sender is not heard beyond the link (RFC 4007, 9). */
static bool target_right(const struct nat *n, const struct nat_ip *ip, bool group)
{
    if (ip->group)
        return true;
    if (forbidden(&ip->dst) || group)
        return false;
    return ip->src.b[0] != 0xfe || (ip->src.b[1] & 0xc0) != 0x80 || nat_in_net(n, &ip->dst);
}

static bool addresses_right(struct nat *n, struct nat_ip *ip, const uint8_t mac[ETH_ALEN], bool group)
{
    char text[NET_ADDR_TEXT];

    ip->group = ip->dst.b[0] == 0xff;
    if (!target_right(n, ip, group)) {
        nat_bad(n, "IPv6 packet to %s", net_addr_text(&ip->dst, text));
        return false;
    }
    if (!source_right(n, ip)) {
        nat_bad(n, "IPv6 packet from %s", net_addr_text(&ip->src, text));
        return false;
    }
    if (ip->proto == IP_PROTO_ICMP6) /* neighbour discovery may move an address: looked at there */
        return true;
    if (!net_addr_none(&ip->src) && !nat_neighbour_seen(n, &ip->src, mac)) {
        nat_bad(n, "IPv6 packet from %s, which another MAC has", net_addr_text(&ip->src, text));
        return false;
    }
    return true;
}

static void fill(struct nat_ip *ip, const struct net_frame *f, const uint8_t *h)
{
    memcpy(ip->src.b, h + 8, sizeof ip->src.b);
    memcpy(ip->dst.b, h + 24, sizeof ip->dst.b);
    ip->proto = h[6];
    ip->ttl = h[7];
    ip->tos = (uint8_t)(ld16be(h) >> 4);
    ip->csum_ok = (f->flags & (NET_CSUM_VALID | NET_CSUM_PARTIAL)) != 0;
    ip->df = true;
    ip->gso_size = f->gso ? f->gso_size : 0;
}

/* A payload length of 0 is a jumbogram's (RFC 2675), or nothing follows. */
void nat_ip6_input(struct nat *n, const struct net_frame *f, struct packet *p, const uint8_t mac[ETH_ALEN], bool group)
{
    uint8_t h[COPY];
    struct nat_ip ip = {.mac = mac, .header = h, .header_len = packet_copy(p, 0, h, sizeof h)};
    struct walk w = {n, &ip, p, 0, PLACE_NEXT, HLEN, false};

    if (ip.header_len < HLEN || h[0] >> 4 != 6 || !packet_skip(p, HLEN) || !packet_trim(p, ld16be(h + 4)) || !p->len) {
        nat_bad(n, "IPv6 header that is wrong");
        return;
    }
    if (ip.header_len > HLEN + p->len)
        ip.header_len = HLEN + p->len;
    fill(&ip, f, h);
    if (!addresses_right(n, &ip, mac, group))
        return;
    if (ip.ttl <= 1 && !ip.group && !nat_is_ours(n, &ip.dst)) {
        nat_icmp_error(n, &ip, UNREACH_TTL, 0);
        return;
    }
    w.next = ip.proto;
    headers(&w);
}
