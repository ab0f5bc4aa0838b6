/*
 * Neighbour discovery at the gateway's port (RFC 4861): solicitations are answered for the gateway, the DNS address and
 * guestfwd's addresses, advertisements are learnt from, router solicitations go to nat_ra.c.
 *
 * A message that fails the checks of 6.1.1, 7.1.1 or 7.1.2, or that came in fragments (RFC 6980), is dropped. A guest that
 * advertises itself as router, or redirects, is not heard.
 */
#include <string.h>

#include "netstack/nat_int.h"

enum {
    ND_RS = 133,
    ND_RA = 134,
    ND_NS = 135,
    ND_NA = 136,
    ND_REDIRECT = 137,

    OPT_SOURCE_MAC = 1,
    OPT_TARGET_MAC = 2,

    NA_ROUTER = 0x80,
    NA_SOLICITED = 0x40,
    NA_OVERRIDE = 0x20,

    ND_TARGET = 8, /* place in NS and NA */
    ND_LEN = 24,   /* of NS and NA without options */
    RS_LEN = 8,
    LONGEST = 256, /* what we read */
    HOP_LIMIT = 255,
};

static const struct net_addr all_nodes = {{0xff, 0x02, [15] = 1}};

static struct net_addr solicited_node(const struct net_addr *a)
{
    struct net_addr g = {{0xff, 0x02, [11] = 1, [12] = 0xff}};

    memcpy(g.b + 13, a->b + 13, 3);
    return g;
}

/*
 * The MAC in option `want` of m[from..len), NULL: none. *right false: an option that is wrong, which makes the message void.
 */
static const uint8_t *option(const uint8_t *m, size_t from, size_t len, uint8_t want, bool *right)
{
    const uint8_t *mac = NULL;

    *right = true;
    for (size_t i = from; i < len; i += m[i + 1] * 8u) {
        if (len - i < 8 || !m[i + 1] || m[i + 1] * 8u > len - i) {
            *right = false;
            return NULL;
        }
        if (m[i] == want && m[i + 1] == 1)
            mac = m + i + 2;
    }
    return mac;
}

/* --- sending --------------------------------------------------------------------------------------------------- */

/* An NS or NA about target, with our MAC in an option. mac NULL: dst is a group. */
static void send_about(struct nat *n, uint8_t type, uint32_t rest, const struct net_addr *src,
                       const struct net_addr *dst, const uint8_t *mac, const struct net_addr *target)
{
    uint8_t data[16 + 8];
    struct nat_icmp_msg m = {.src = *src,
                             .dst = *dst,
                             .mac = mac,
                             .type = type,
                             .ttl = HOP_LIMIT,
                             .rest = rest,
                             .data = data,
                             .len = sizeof data};

    memcpy(data, target->b, 16);
    data[16] = type == ND_NS ? OPT_SOURCE_MAC : OPT_TARGET_MAC;
    data[17] = 1;
    memcpy(data + 18, n->mac, ETH_ALEN);
    if (mac)
        nat_icmp_send(n, &m);
    else
        nat_icmp_send_group(n, &m);
}

void nat_nd_ask(struct nat *n, const struct net_addr *a)
{
    struct net_addr group = solicited_node(a);

    send_about(n, ND_NS, 0, &n->link6, &group, NULL, a);
}

static void advertise(struct nat *n, const struct nat_ip *ip, const struct net_addr *target)
{
    bool probe = net_addr_none(&ip->src); /* duplicate address detection: all shall hear it */
    uint32_t flags = NA_ROUTER | NA_OVERRIDE | (probe ? 0u : (unsigned)NA_SOLICITED);

    send_about(n, ND_NA, flags << 24, target, probe ? &all_nodes : &ip->src, probe ? NULL : ip->mac, target);
}

/* --- what comes ------------------------------------------------------------------------------------------------ */

/* The option's MAC is believed when it is the frame's too. */
static void learn(struct nat *n, const struct net_addr *a, const uint8_t *option_mac, const uint8_t *mac)
{
    if (option_mac && !memcmp(option_mac, mac, ETH_ALEN))
        nat_neighbour_learn(n, a, mac);
}

static bool solicitation(struct nat *n, const struct nat_ip *ip, const uint8_t *m, size_t len)
{
    struct net_addr target, group;
    bool right;
    const uint8_t *mac = option(m, ND_LEN, len, OPT_SOURCE_MAC, &right);

    memcpy(target.b, m + ND_TARGET, 16);
    group = solicited_node(&target);
    if (!right || target.b[0] == 0xff)
        return false;
    if (net_addr_none(&ip->src) && (mac || !net_addr_equal(&ip->dst, &group)))
        return false;
    learn(n, &ip->src, mac, ip->mac);
    if (nat_is_ours(n, &target))
        advertise(n, ip, &target);
    return true;
}

static bool advertisement(struct nat *n, const struct nat_ip *ip, const uint8_t *m, size_t len)
{
    struct net_addr target;
    uint8_t old[ETH_ALEN];
    bool right;
    const uint8_t *mac = option(m, ND_LEN, len, OPT_TARGET_MAC, &right);

    memcpy(target.b, m + ND_TARGET, 16);
    if (!right || target.b[0] == 0xff || (ip->group && m[4] & NA_SOLICITED))
        return false;
    if (nat_is_ours(n, &target)) {
        nat_bad(n, "a guest claims an address of the gateway's");
        return true;
    }
    if (!mac && !ip->group) /* a solicited answer may leave it out (4.4): it is the frame's */
        mac = ip->mac;
    if (m[4] & NA_OVERRIDE || !nat_neighbour(n, &target, old))
        learn(n, &target, mac, ip->mac);
    return true;
}

static bool router_solicitation(struct nat *n, const struct nat_ip *ip, const uint8_t *m, size_t len)
{
    bool right;
    const uint8_t *mac = option(m, RS_LEN, len, OPT_SOURCE_MAC, &right);

    if (!right || (mac && net_addr_none(&ip->src)))
        return false;
    learn(n, &ip->src, mac, ip->mac);
    nat_ra_solicited(n, ip);
    return true;
}

void nat_nd_input(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    uint8_t m[LONGEST] = {0};
    size_t len = packet_copy(p, 0, m, sizeof m);
    bool right = ip->ttl == HOP_LIMIT && ip->df && !m[1] && len >= RS_LEN && p->len <= sizeof m;

    if (right && m[0] == ND_RS)
        right = router_solicitation(n, ip, m, len);
    else if (right && len >= ND_LEN && m[0] == ND_NS)
        right = solicitation(n, ip, m, len);
    else if (right && len >= ND_LEN && m[0] == ND_NA)
        right = advertisement(n, ip, m, len);
    else
        right = false;
    if (!right)
        nat_bad(n, "neighbour discovery message %u that is wrong or not a guest's to send", m[0]);
}
