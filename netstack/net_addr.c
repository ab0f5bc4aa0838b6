/* Addresses as text and as numbers: struct net_addr of nat.h. IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
#include <arpa/inet.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/nat.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool net_addr_parse(const char *text, struct net_addr *a)
{
    struct net_addr v;

    memcpy(v.b, mapped, sizeof mapped);
    if (inet_pton(AF_INET, text, v.b + sizeof mapped) != 1 && inet_pton(AF_INET6, text, v.b) != 1)
        return false;
    *a = v;
    return true;
}

const char *net_addr_text(const struct net_addr *a, char buf[NET_ADDR_TEXT])
{
    if (net_addr_is4(a))
        inet_ntop(AF_INET, a->b + sizeof mapped, buf, NET_ADDR_TEXT);
    else
        inet_ntop(AF_INET6, a->b, buf, NET_ADDR_TEXT);
    return buf;
}

bool net_addr_is4(const struct net_addr *a) { return !memcmp(a->b, mapped, sizeof mapped); }

bool net_addr_none(const struct net_addr *a)
{
    static const struct net_addr none;

    return net_addr_equal(a, &none);
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b) { return !memcmp(a->b, b->b, sizeof a->b); }

struct net_addr net_addr_of4(uint32_t host_order)
{
    struct net_addr a;

    memcpy(a.b, mapped, sizeof mapped);
    st32be(a.b + sizeof mapped, host_order);
    return a;
}
