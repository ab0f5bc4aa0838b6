#include "tests/fuzz/nat_fuzz_udp.h"

#include <string.h>

#include "base/bits.h"

enum { LONGEST = 2048 };

static size_t put_ip4(uint8_t *ip, const struct udp_fuzz *u)
{
    static const uint8_t head[20] = {0x45, [8] = 64, 17};

    memcpy(ip, head, sizeof head);
    if (!u->no_addr)
        st32be(ip + 12, 0x0a000200u + u->guest);
    memcpy(ip + 16, u->dst, 4);
    return sizeof head;
}

static size_t put_ip6(uint8_t *ip, const struct udp_fuzz *u)
{
    memset(ip, 0, 40);
    ip[0] = 0x60;
    ip[6] = 17;
    ip[7] = 64;
    st16be(ip + 8, u->link_local ? 0xfe80 : 0xfec0);
    ip[23] = u->guest;
    memcpy(ip + 24, u->dst, 16);
    return 40;
}

void udp_fuzz_send(struct nat_fuzz *z, const struct udp_fuzz *u, const uint8_t *data, size_t len)
{
    static const uint8_t eth[12] = {0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54};
    uint8_t b[ETH_HLEN + 48 + LONGEST], *ip = b + ETH_HLEN, *udp;

    memcpy(b, eth, sizeof eth);
    if (u->group)
        memset(b, u->is4 ? 0xff : 0x33, 6);
    b[11] = u->guest;
    st16be(b + 12, u->is4 ? 0x0800 : 0x86dd);
    udp = ip + (u->is4 ? put_ip4(ip, u) : put_ip6(ip, u));
    st16be(udp, u->sport);
    st16be(udp + 2, u->dport);
    memcpy(udp + 8, data, len);
    nat_fuzz_mend(ip, (size_t)(udp - ip) + 8 + len);
    z->last_len = 0;
    nat_fuzz_send(z, b, (size_t)(udp - b) + 8 + len, u->cut);
}

const uint8_t *udp_fuzz_reply(const struct nat_fuzz *z, size_t *len, uint16_t *sport, uint16_t *dport)
{
    const uint8_t *ip = z->last + ETH_HLEN;
    bool is4 = ld16be(z->last + 12) == 0x0800;
    size_t head = is4 ? 20 : 40;

    if (z->last_len < ETH_HLEN + head + 8 || (is4 ? ip[9] : ip[6]) != 17)
        return NULL;
    *sport = ld16be(ip + head);
    *dport = ld16be(ip + head + 2);
    *len = z->last_len - ETH_HLEN - head - 8;
    return ip + head + 8;
}

size_t udp_fuzz_take(struct fuzz_in *in, uint8_t *to, size_t max)
{
    size_t n = fuzz_take(in, 2) % (max + 1);

    n = n < in->left ? n : in->left;
    memcpy(to, in->p, n);
    in->p += n;
    in->left -= n;
    return n;
}
