/*
 * Frames seen before the adapter's own work was done on them, mended by what is left undone in the frame itself; libpcap does
 * not say.
 *
 * A checksum field that holds just the pseudo-header's sum is one to be completed. (Were it right by chance, completing it
 * gives the same number: the field is part of the sum.) A TCP packet longer than the adapter's MTU is several that were
 * joined (GRO, TSO); their size is not known, but segments that fit the MTU carry the same bytes. Joined UDP datagrams have
 * lost their boundaries.
 */
#include "netstack/gso.h"
#include "netstack/host_int.h"

static enum net_gso kind_of(const struct net_frame *f, unsigned *l3)
{
    struct packet p = packet_of(f);
    uint16_t type;
    uint8_t scratch;
    const uint8_t *proto;
    bool ip6;

    *l3 = frame_l3(f, &type);
    if (type != 0x0800 && type != 0x86dd)
        return NET_GSO_NONE;
    ip6 = type == 0x86dd;
    proto = packet_at(&p, *l3 + (ip6 ? 6 : 9), 1, &scratch);
    if (proto && *proto == 17)
        return ip6 ? NET_GSO_UDP6 : NET_GSO_UDP4;
    return ip6 ? NET_GSO_TCP6 : NET_GSO_TCP4; /* or extension headers before it; gso_headers knows */
}

/* The length of the packet from its TCP or UDP header on, as the IP header has it; more than there is: what there is. */
static size_t l4_len(const struct gso *g, const struct net_frame *f)
{
    const uint8_t *ip = g->header + g->l3;
    size_t end = g->l3 + (g->ip6 ? 40u + ld16be(ip + 4) : ld16be(ip + 2));

    return (end > f->len || end < g->len ? f->len : end) - g->l4;
}

bool host_repair(struct net_frame *f, uint32_t mtu)
{
    struct gso g;
    unsigned l3;
    enum net_gso kind = kind_of(f, &l3);
    bool found = kind && (gso_headers(&g, f, kind) || (kind == NET_GSO_TCP6 && gso_headers(&g, f, NET_GSO_UDP6)));
    uint16_t field, pseudo;

    if (f->len - l3 > mtu && f->len > mtu + ETH_HLEN) {
        if (!found || g.udp || g.len - g.l3 >= mtu)
            return false;
        f->gso = g.ip6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
        f->gso_size = (uint16_t)(mtu - (g.len - g.l3));
        f->header_len = (uint16_t)g.len;
    }
    if (!found)
        return true;
    field = ld16be(g.header + g.l4 + gso_csum_offset(&g));
    pseudo = (uint16_t)~csum_fold(g.pseudo + (uint32_t)l4_len(&g, f));
    if (f->gso || field == pseudo) {
        f->flags |= NET_CSUM_PARTIAL;
        f->csum_start = (uint16_t)g.l4;
        f->csum_offset = gso_csum_offset(&g);
        if (!f->gso) /* what Ethernet padded is no part of it */
            f->len = g.l4 + l4_len(&g, f);
    }
    return true;
}
