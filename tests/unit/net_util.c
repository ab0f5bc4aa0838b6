/* A port for tests, and hand-made frames: see net_util.h. */
#include "tests/unit/net_util.h"

#include <stdlib.h>

static bool receive(struct net_port *p, const struct net_frame *f)
{
    struct test_port *t = p->arg;
    struct packet pk = packet_of(f);

    if (!t->room) {
        t->refused++;
        return false;
    }
    if (t->room > 0)
        t->room--;
    if (t->count < TP_FRAMES) {
        struct test_frame *g = &t->got[t->count];

        *g = (struct test_frame){malloc(f->len), f->len,       f->flags,       f->gso,
                                 f->gso_size,    f->csum_start, f->csum_offset, t->clock ? clock_now(t->clock) : 0};
        packet_copy(&pk, 0, g->data, f->len);
    }
    t->count++;
    if (t->on_frame)
        t->on_frame(t, f);
    return true;
}

static void ready(struct net_port *p)
{
    struct test_port *t = p->arg;

    t->ready++;
    if (t->on_ready)
        t->on_ready(t);
}

static void link_changed(struct net_port *p, bool up)
{
    struct test_port *t = p->arg;

    if (up)
        t->link_up++;
    else
        t->link_down++;
}

void tp_init(struct test_port *t, const char *name, unsigned can)
{
    static const struct net_port_ops ops = {"test", receive, ready, link_changed};

    *t = (struct test_port){.port = {.ops = &ops, .name = name, .can = can, .mtu = NET_MTU_DEFAULT}, .room = -1};
    t->port.arg = t;
}

void tp_clear(struct test_port *t)
{
    for (unsigned i = 0; i < t->count && i < TP_FRAMES; i++)
        free(t->got[i].data);
    t->count = 0;
}

bool tp_send(struct test_port *t, const void *data, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = len};

    return net_port_send(&t->port, &f);
}

static const uint8_t ether[12] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1};

/* The sum over addresses, protocol and length, written apart from the code under test. */
static uint32_t pseudo_sum(const uint8_t *ip, bool ip6, size_t l4_len)
{
    const uint8_t *a = ip + (ip6 ? 8 : 12);
    uint32_t s = (uint32_t)l4_len + (ip6 ? ip[6] : ip[9]);

    for (unsigned i = 0; i < (ip6 ? 32u : 8u); i += 2)
        s += (uint32_t)a[i] << 8 | a[i + 1];
    return s;
}

static uint32_t sum(uint32_t s, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    return s;
}

static uint16_t folded(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

static void make_ip(struct made_frame *m, bool ip6, uint8_t proto, size_t len)
{
    uint8_t *ip = m->data + m->l3;

    if (ip6) {
        ip[0] = 0x60;
        st16be(ip + 4, (uint16_t)(len - 40));
        ip[6] = proto;
        ip[7] = 64;
        ip[8] = ip[24] = 0xfe;
        ip[9] = ip[25] = 0xc0;
        ip[23] = 0x15;
        ip[39] = 2;
        return;
    }
    ip[0] = 0x45;
    st16be(ip + 2, (uint16_t)len);
    st16be(ip + 4, 0x1234);
    ip[8] = 64;
    ip[9] = proto;
    memcpy(ip + 12, (uint8_t[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
    st16be(ip + 10, (uint16_t)~folded(sum(0, ip, 20)));
}

void make_frame(struct made_frame *m, enum net_gso kind, size_t payload, bool partial)
{
    bool ip6 = kind == NET_GSO_TCP6 || kind == NET_GSO_UDP6, udp = kind == NET_GSO_UDP4 || kind == NET_GSO_UDP6;
    unsigned at = udp ? 6 : 16;
    size_t l4_len = (udp ? 8 : 20) + payload;
    uint8_t *l4;

    m->l3 = ETH_HLEN;
    m->l4 = m->l3 + (ip6 ? 40 : 20);
    m->payload = m->l4 + (udp ? 8 : 20);
    memset(m->data, 0, m->payload);
    memcpy(m->data, ether, sizeof ether);
    st16be(m->data + 12, ip6 ? 0x86dd : 0x0800);
    make_ip(m, ip6, udp ? 17 : 6, m->l4 - m->l3 + l4_len);
    for (size_t i = 0; i < payload; i++)
        m->data[m->payload + i] = (uint8_t)(i + (i >> 8));
    l4 = m->data + m->l4;
    st16be(l4, 1000);
    st16be(l4 + 2, 80);
    if (udp) {
        st16be(l4 + 4, (uint16_t)l4_len);
    } else {
        st32be(l4 + 4, 1000);
        st32be(l4 + 8, 7);
        l4[12] = 5 << 4;
        l4[13] = 0x18;
        st16be(l4 + 14, 512);
    }
    m->iov = (struct iovec){m->data, m->payload + payload};
    m->f = (struct net_frame){.iov = &m->iov, .iovcnt = 1, .len = m->payload + payload};
    st16be(l4 + at, folded(pseudo_sum(m->data + m->l3, ip6, l4_len)));
    if (partial) {
        m->f.flags = NET_CSUM_PARTIAL;
        m->f.csum_start = (uint16_t)m->l4;
        m->f.csum_offset = (uint16_t)at;
    } else {
        st16be(l4 + at, (uint16_t)~folded(sum(0, l4, l4_len)));
    }
}

const char *frame_wrong(const uint8_t *data, size_t len)
{
    bool ip6 = len > 14 && ld16be(data + 12) == 0x86dd;
    const uint8_t *ip = data + 14;
    size_t header = ip6 ? 40 : 20, l4_len = len - 14 - header;

    if (len < 14 + header + 8)
        return "short";
    if (!ip6 && folded(sum(0, ip, 20)) != 0xffff)
        return "IP header checksum";
    if (ip6 ? ld16be(ip + 4) != l4_len : ld16be(ip + 2) != l4_len + 20)
        return "IP length";
    if ((ip6 ? ip[6] : ip[9]) == 17 && ld16be(ip + header + 4) != l4_len)
        return "UDP length";
    if (folded(sum(pseudo_sum(ip, ip6, l4_len), ip + header, l4_len)) != 0xffff)
        return "checksum";
    return NULL;
}
