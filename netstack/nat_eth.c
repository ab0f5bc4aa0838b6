/*
 * Ethernet and ARP at the gateway's port.
 *
 * Frames to the gateway's MAC and to groups are looked at; those that a hub or a switch floods on are not. ARP (RFC 826,
 * RFC 5227) is answered for the gateway, the DNS address and guestfwd's addresses and for nothing else, so that a guest
 * may probe for an address of its own; what others claim for our addresses is not believed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "netstack/nat_int.h"

enum {
    ETHER_IP4 = 0x0800,
    ETHER_ARP = 0x0806,
    ETHER_VLAN = 0x8100,
    ETHER_IP6 = 0x86dd,

    ARP_LEN = 28,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    /* places */
    ARP_OP = 6,
    ARP_SHA = 8,
    ARP_SPA = 14,
    ARP_THA = 18,
    ARP_TPA = 24,

    SHORT_FRAME = 256, /* longest of nat_eth_send */
};

static const uint8_t arp_head[6] = {0, 1, ETHER_IP4 >> 8, ETHER_IP4 & 255, ETH_ALEN, 4};
static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void nat_bad(struct nat *n, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    n->bad_packets++;
    if (!n->env.log || !log_on(n->env.log, LOG_GUEST))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_guest_msg(n->env.log, n->c.name, "%s", text);
}

void nat_eth_send(struct nat *n, const uint8_t dst[ETH_ALEN], uint16_t ethertype, const void *data, size_t len)
{
    uint8_t frame[ETH_HLEN + SHORT_FRAME];
    struct iovec iov = {frame, ETH_HLEN + len};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = iov.iov_len, .flags = NET_CSUM_VALID};

    if (len > SHORT_FRAME)
        return;
    memcpy(frame, dst, ETH_ALEN);
    memcpy(frame + ETH_ALEN, n->mac, ETH_ALEN);
    st16be(frame + 2 * ETH_ALEN, ethertype);
    memcpy(frame + ETH_HLEN, data, len);
    if (!net_port_send(&n->port, &f))
        net_port_drop(&n->port, 1);
}

/* --- ARP ------------------------------------------------------------------------------------------------------- */

static void arp_send(struct nat *n, uint16_t op, const struct net_addr *from, const uint8_t to_mac[ETH_ALEN],
                     const uint8_t tha[ETH_ALEN], const struct net_addr *target)
{
    uint8_t arp[ARP_LEN];

    memcpy(arp, arp_head, sizeof arp_head);
    st16be(arp + ARP_OP, op);
    memcpy(arp + ARP_SHA, n->mac, ETH_ALEN);
    memcpy(arp + ARP_SPA, from->b + 12, 4);
    memcpy(arp + ARP_THA, tha, ETH_ALEN);
    memcpy(arp + ARP_TPA, target->b + 12, 4);
    nat_eth_send(n, to_mac, ETHER_ARP, arp, sizeof arp);
}

void nat_arp_ask(struct nat *n, const struct net_addr *a)
{
    static const uint8_t unknown[ETH_ALEN];

    arp_send(n, ARP_REQUEST, &n->c.host, broadcast, unknown, a);
}

/* A sender address of none is a probe (RFC 5227, 2.1.1): answered, not learnt. */
static void arp_input(struct nat *n, struct packet *p, const uint8_t mac[ETH_ALEN])
{
    uint8_t arp[ARP_LEN];
    struct net_addr sender, target;
    uint16_t op;

    if (n->c.no_ipv4)
        return;
    if (packet_copy(p, 0, arp, sizeof arp) != sizeof arp || memcmp(arp, arp_head, sizeof arp_head)) {
        nat_bad(n, "ARP packet of %zu bytes, or not for IPv4 on Ethernet", p->len);
        return;
    }
    op = ld16be(arp + ARP_OP);
    sender = net_addr_of4(ld32be(arp + ARP_SPA));
    target = net_addr_of4(ld32be(arp + ARP_TPA));
    if (memcmp(arp + ARP_SHA, mac, ETH_ALEN) || (op != ARP_REQUEST && op != ARP_REPLY)) {
        nat_bad(n, "ARP operation %u, or its sender is not the frame's", op);
        return;
    }
    if (nat_is_ours(n, &sender))
        nat_bad(n, "a guest claims an address of the gateway's");
    else
        nat_neighbour_learn(n, &sender, mac);
    if (op == ARP_REQUEST && nat_is_ours(n, &target))
        arp_send(n, ARP_REPLY, &target, mac, mac, &sender);
}

/* --- frames ---------------------------------------------------------------------------------------------------- */

/* The Ethernet header and a priority tag (number 0: no VLAN) are taken off p. 0: not a frame for us. */
static uint16_t eth_header(struct nat *n, struct packet *p, uint8_t eth[ETH_HLEN])
{
    uint16_t type;

    if (packet_copy(p, 0, eth, ETH_HLEN) != ETH_HLEN || !packet_skip(p, ETH_HLEN)) {
        nat_bad(n, "frame of %zu bytes", p->len);
        return 0;
    }
    if (eth[ETH_ALEN] & 1 || !memcmp(eth + ETH_ALEN, n->mac, ETH_ALEN)) {
        nat_bad(n, "frame from a group address, or from the gateway's");
        return 0;
    }
    if (!(eth[0] & 1) && memcmp(eth, n->mac, ETH_ALEN))
        return 0;
    type = ld16be(eth + 2 * ETH_ALEN);
    if (type == ETHER_VLAN)
        type = packet_u16(p) & 0xfff ? 0 : packet_u16(p);
    return type;
}

void nat_eth_input(struct nat *n, const struct net_frame *f)
{
    struct packet p = packet_of(f);
    uint8_t eth[ETH_HLEN] = {0};
    uint16_t type = eth_header(n, &p, eth);
    bool group = eth[0] & 1;

    if (type == ETHER_ARP)
        arp_input(n, &p, eth + ETH_ALEN);
    else if (type == ETHER_IP4 && !n->c.no_ipv4)
        nat_ip4_input(n, f, &p, eth + ETH_ALEN, group);
    else if (type == ETHER_IP6 && !n->c.no_ipv6)
        nat_ip6_input(n, f, &p, eth + ETH_ALEN, group);
}
