/* See mac_nat.h. Everything is read at offsets that were checked against the frame's length. */
#include "netstack/mac_nat.h"

#include <string.h>

#include "base/bits.h"

enum {
    TYPE_IP4 = 0x0800,
    TYPE_ARP = 0x0806,
    TYPE_IP6 = 0x86dd,
    ARP_LEN = 28,
    ARP_SHA = 8,
    ARP_SPA = 14,
    ARP_THA = 18,
    ARP_TPA = 24,
    IP4_LEN = 20,
    IP6_LEN = 40,
    PROTO_UDP = 17,
    PROTO_ICMP6 = 58,
    UDP_LEN = 8,
    DHCP_SERVER = 67,
    DHCP_CLIENT = 68,
    DHCP_FLAGS = 10,
    DHCP_CHADDR = 28,
    DHCP_BROADCAST = 0x8000,
    ND_SOURCE = 1, /* options with a link-layer address */
    ND_TARGET = 2,
    ICMP6_CSUM = 2,
};

/* --- who has which address ---------------------------------------------------------------------------------------- */

static struct mac_nat_entry *find(struct mac_nat *m, const struct net_addr *ip)
{
    for (unsigned i = 0; i < m->count; i++)
        if (net_addr_equal(&m->entry[i].ip, ip))
            return &m->entry[i];
    return NULL;
}

static struct mac_nat_entry *new_entry(struct mac_nat *m)
{
    struct mac_nat_entry *oldest = &m->entry[0];

    m->changes++;
    if (m->count < MAC_NAT_MAX)
        return &m->entry[m->count++];
    for (unsigned i = 1; i < m->count; i++)
        if (m->entry[i].used < oldest->used)
            oldest = &m->entry[i];
    return oldest;
}

static bool learnable(const struct net_addr *ip)
{
    if (net_addr_is4(ip))
        return ld32be(ip->b + 12) && ip->b[12] < 224;
    return !net_addr_none(ip) && ip->b[0] != 0xff;
}

static void learn(struct mac_nat *m, const struct net_addr *ip, const uint8_t *mac)
{
    struct mac_nat_entry *e = find(m, ip);

    if (!learnable(ip))
        return;
    if (!e) {
        e = new_entry(m);
        e->ip = *ip;
    }
    memcpy(e->mac, mac, ETH_ALEN);
    e->used = ++m->uses;
}

static struct net_addr addr4(const uint8_t *b) { return net_addr_of4(ld32be(b)); }

static struct net_addr addr6(const uint8_t *b)
{
    struct net_addr a;

    memcpy(a.b, b, sizeof a.b);
    return a;
}

/* --- headers ------------------------------------------------------------------------------------------------------ */

/* Where what the frame carries begins, and its type. 0: not known to us. */
static size_t payload(const uint8_t *frame, size_t len, uint16_t *type)
{
    if (len < ETH_HLEN)
        return 0;
    *type = ld16be(frame + ETH_HLEN - 2);
    if (*type == TYPE_ARP)
        return len >= ETH_HLEN + ARP_LEN && ld32be(frame + ETH_HLEN) == 0x00010800 &&
                       ld16be(frame + ETH_HLEN + 4) == 0x0604
                   ? ETH_HLEN
                   : 0;
    if (*type == TYPE_IP4)
        return len >= ETH_HLEN + IP4_LEN && frame[ETH_HLEN] >> 4 == 4 ? ETH_HLEN : 0;
    return *type == TYPE_IP6 && len >= ETH_HLEN + IP6_LEN ? ETH_HLEN : 0;
}

/* A 16-bit word at `at` becomes v, and the sum at sum follows (RFC 1624, equation 3). */
static void put_word(uint8_t *at, uint16_t v, uint8_t *sum)
{
    uint32_t s = (uint16_t)~ld16be(sum) + (uint32_t)(uint16_t)~ld16be(at) + v;

    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    st16be(at, v);
    st16be(sum, (uint16_t)~s);
}

/* The BOOTP message between these ports in an IPv4 packet that is no fragment, or NULL. *udp: the header before it. */
static uint8_t *bootp(uint8_t *ip, size_t len, uint16_t from, uint16_t to, uint8_t **udp)
{
    size_t head = (ip[0] & 15) * 4u;

    if (ip[9] != PROTO_UDP || ld16be(ip + 6) & 0x3fff || head < IP4_LEN ||
        len < head + UDP_LEN + DHCP_CHADDR + ETH_ALEN || ld16be(ip + head) != from || ld16be(ip + head + 2) != to)
        return NULL;
    *udp = ip + head;
    return ip + head + UDP_LEN;
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void ask_for_broadcast(uint8_t *ip, size_t len)
{
    uint8_t none[2] = {0}, *udp, *message = bootp(ip, len, DHCP_CLIENT, DHCP_SERVER, &udp), *sum;

    if (!message)
        return;
    sum = ld16be(udp + 6) ? udp + 6 : none; /* 0 is none at all (RFC 768) */
    put_word(message + DHCP_FLAGS, ld16be(message + DHCP_FLAGS) | DHCP_BROADCAST, sum);
    if (!ld16be(sum))
        st16be(sum, 0xffff);
}

/* Where the options of a neighbour discovery message begin; 0: it has none. */
static size_t nd_options(uint8_t type)
{
    switch (type) {
    case 133: return 8;  /* router solicitation */
    case 134: return 16; /* router advertisement */
    case 135:
    case 136: return 24; /* neighbour solicitation and advertisement */
    case 137: return 40; /* redirect */
    default: return 0;
    }
}

/* The guest's MAC in the options becomes the adapter's. */
static void nd_out(const struct mac_nat *m, const uint8_t *guest, uint8_t *icmp, size_t len)
{
    size_t at = len > ICMP6_CSUM + 2 ? nd_options(icmp[0]) : 0;

    while (at && at + 8 <= len && icmp[at + 1]) {
        if ((icmp[at] == ND_SOURCE || icmp[at] == ND_TARGET) && !memcmp(icmp + at + 2, guest, ETH_ALEN))
            for (unsigned i = 0; i < ETH_ALEN; i += 2)
                put_word(icmp + at + 2 + i, ld16be(m->mac + i), icmp + ICMP6_CSUM);
        at += icmp[at + 1] * 8u;
    }
}

void mac_nat_out(struct mac_nat *m, uint8_t *frame, size_t len)
{
    uint8_t guest[ETH_ALEN], *p;
    struct net_addr from;
    uint16_t type = 0;
    size_t at = payload(frame, len, &type);

    if (len < ETH_HLEN)
        return;
    memcpy(guest, frame + ETH_ALEN, ETH_ALEN);
    memcpy(m->last, guest, ETH_ALEN);
    memcpy(frame + ETH_ALEN, m->mac, ETH_ALEN);
    if (!at)
        return;
    p = frame + at;
    len -= at;
    if (type == TYPE_ARP) {
        from = addr4(p + ARP_SPA);
        memcpy(p + ARP_SHA, m->mac, ETH_ALEN);
    } else if (type == TYPE_IP4) {
        from = addr4(p + 12);
        ask_for_broadcast(p, len);
    } else {
        from = addr6(p + 8);
        if (p[6] == PROTO_ICMP6)
            nd_out(m, guest, p + IP6_LEN, len - IP6_LEN);
    }
    learn(m, &from, guest);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* The guest with that address; NULL: none. */
static const uint8_t *guest_of(struct mac_nat *m, const struct net_addr *ip)
{
    struct mac_nat_entry *e = find(m, ip);

    if (!e)
        return NULL;
    e->used = ++m->uses;
    return e->mac;
}

static const uint8_t *arp_in(struct mac_nat *m, uint8_t *p)
{
    struct net_addr to = addr4(p + ARP_TPA);
    const uint8_t *guest = ld32be(p + ARP_TPA) ? guest_of(m, &to) : m->last; /* an answer to who only asks if it may */

    if (guest)
        memcpy(p + ARP_THA, guest, ETH_ALEN);
    return guest;
}

static const uint8_t *ip4_in(struct mac_nat *m, uint8_t *p, size_t len)
{
    struct net_addr to = addr4(p + 16);
    const uint8_t *guest = guest_of(m, &to);
    uint8_t *udp, *message = guest ? NULL : bootp(p, len, DHCP_SERVER, DHCP_CLIENT, &udp);

    /* a server that does not broadcast: the address is not the guest's yet */
    return message && !memcmp(message + DHCP_CHADDR, m->last, ETH_ALEN) ? m->last : guest;
}

bool mac_nat_in(struct mac_nat *m, uint8_t *frame, size_t len)
{
    uint16_t type = 0;
    size_t at = payload(frame, len, &type);
    struct net_addr to;
    const uint8_t *guest;

    if (len < ETH_HLEN)
        return false;
    if (frame[0] & 1)
        return true;
    if (!at || memcmp(frame, m->mac, ETH_ALEN) != 0)
        return false;
    if (type == TYPE_ARP) {
        guest = arp_in(m, frame + at);
    } else if (type == TYPE_IP4) {
        guest = ip4_in(m, frame + at, len - at);
    } else {
        to = addr6(frame + at + 24);
        guest = guest_of(m, &to);
    }
    if (guest)
        memcpy(frame, guest, ETH_ALEN);
    return guest;
}
