#include "netstack/flow.h"

#include "netstack/gso.h"

enum { TYPE_IP4 = 0x0800, TYPE_IP6 = 0x86dd, PROTO_TCP = 6, PROTO_UDP = 17, FRAGMENT = 0x3fff };

/* splitmix64's finaliser: every input bit reaches the bits a table is indexed by. */
static uint32_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(v ^ v >> 31);
}

/* The sum of two ends does not tell which is which. */
static uint64_t both(const uint8_t *b, unsigned len)
{
    uint64_t sum = 0;

    for (unsigned end = 0; end < 2; end++, b += len) {
        uint64_t v = 0;

        for (unsigned i = 0; i < len; i++)
            v = v * 257 + b[i];
        sum += mix(v);
    }
    return sum;
}

static uint64_t ports(const struct packet *p, size_t off, uint8_t proto)
{
    uint8_t scratch[4];
    const uint8_t *b = proto == PROTO_TCP || proto == PROTO_UDP ? packet_at(p, off, 4, scratch) : NULL;

    return b ? both(b, 2) : 0;
}

static bool hash_ip4(const struct packet *p, size_t l3, uint64_t *h)
{
    uint8_t scratch[20];
    const uint8_t *ip = packet_at(p, l3, 20, scratch);

    if (!ip)
        return false;
    *h = both(ip + 12, 4) + ip[9];
    if (!(ld16be(ip + 6) & FRAGMENT))
        *h += ports(p, l3 + (ip[0] & 15) * 4u, ip[9]);
    return true;
}

static bool hash_ip6(const struct packet *p, size_t l3, uint64_t *h)
{
    uint8_t scratch[40];
    const uint8_t *ip = packet_at(p, l3, 40, scratch);

    if (!ip)
        return false;
    *h = both(ip + 8, 16) + ip[6] + ports(p, l3 + 40, ip[6]);
    return true;
}

uint32_t net_flow_hash(const struct net_frame *f)
{
    struct packet p = packet_of(f);
    uint8_t scratch[2 * ETH_ALEN];
    const uint8_t *eth;
    uint64_t h;
    uint16_t type;
    unsigned l3 = frame_l3(f, &type);

    if ((type == TYPE_IP4 && hash_ip4(&p, l3, &h)) || (type == TYPE_IP6 && hash_ip6(&p, l3, &h)))
        return mix(h);
    eth = packet_at(&p, 0, sizeof scratch, scratch);
    return eth ? mix(both(eth, ETH_ALEN)) : 0;
}

bool net_flow_ip6(const struct net_frame *f)
{
    uint16_t type;

    frame_l3(f, &type);
    return type == TYPE_IP6;
}
