/* The packet driver's sending half: a struct pkt into the bytes of a frame. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/net_driver.h"

enum { P_ICMP = 1, P_TCP = 6, P_UDP = 17, P_FRAGMENT = 44, P_ICMP6 = 58 };

struct build {
    const struct far *f;
    const struct pkt *p;
    uint8_t *buf;
    size_t at; /* end of what is written */
    size_t ip, l4;
    bool is4;
    uint8_t src[16], dst[16];
};

uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
    const uint8_t *b = data;

    for (size_t i = 0; i < len; i += 2) {
        sum += (uint32_t)b[i] << 8 | (i + 1 < len ? b[i + 1] : 0u);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

uint16_t sum_of(uint32_t sum, const void *data, size_t len)
{
    sum = sum_add(sum, data, len);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint32_t sum_pseudo(bool is4, const void *src, const void *dst, uint8_t proto, uint32_t len)
{
    uint8_t tail[8];
    size_t n = is4 ? 4 : 16;

    st32be(tail, len);
    st32be(tail + 4, proto);
    return sum_add(sum_add(sum_add(0, src, n), dst, n), tail, 8);
}

void mac_parse(const char *text, uint8_t mac[6])
{
    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
        fail_msg("no MAC address: %s", text);
}

bool addr_parse(const char *text, uint8_t b[16])
{
    memset(b, 0, 16);
    if (inet_pton(AF_INET, text, b) == 1)
        return true;
    if (inet_pton(AF_INET6, text, b) != 1)
        fail_msg("no IP address: %s", text);
    return false;
}

static void put(struct build *b, const void *data, size_t n)
{
    assert_true(b->at + n <= NET_FRAME_MAX);
    if (n && data)
        memcpy(b->buf + b->at, data, n);
    else
        memset(b->buf + b->at, 0, n);
    b->at += n;
}

static void put8(struct build *b, unsigned v) { put(b, &(uint8_t){(uint8_t)v}, 1); }

static void put16(struct build *b, unsigned v)
{
    put8(b, v >> 8);
    put8(b, v);
}

static void put32(struct build *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v);
}

static void group_mac(const struct build *b, uint8_t mac[6])
{
    static const uint8_t v4[3] = {0x01, 0x00, 0x5e}, v6[2] = {0x33, 0x33};

    if (b->is4 && b->dst[0] == 255) {
        memset(mac, 0xff, 6);
    } else if (b->is4 && b->dst[0] >= 224 && b->dst[0] < 240) {
        memcpy(mac, v4, 3);
        memcpy(mac + 3, b->dst + 1, 3);
        mac[3] &= 0x7f;
    } else if (!b->is4 && b->dst[0] == 255) {
        memcpy(mac, v6, 2);
        memcpy(mac + 2, b->dst + 12, 4);
    }
}

static void put_eth(struct build *b)
{
    const struct pkt *p = b->p;
    uint16_t type = p->ethertype;
    uint8_t mac[6];

    mac_parse(p->eth_dst ? p->eth_dst : b->f->gateway, mac);
    if (!p->eth_dst && p->kind == PKT_ARP && p->arp == 1)
        memset(mac, 0xff, 6);
    else if (!p->eth_dst && p->dst)
        group_mac(b, mac);
    put(b, mac, 6);
    mac_parse(p->eth_src ? p->eth_src : b->f->mac, mac);
    put(b, mac, 6);
    if (p->vlan) {
        put16(b, 0x8100);
        put16(b, p->vlan);
    }
    if (!type)
        type = p->kind == PKT_ARP ? 0x0806 : b->is4 ? 0x0800 : 0x86dd;
    put16(b, type);
}

static void put_arp(struct build *b)
{
    const struct pkt *p = b->p;
    uint8_t mac[6] = {0};

    put16(b, 1); /* Ethernet */
    put16(b, 0x0800);
    put8(b, 6);
    put8(b, 4);
    put16(b, p->arp);
    mac_parse(p->arp_src_mac ? p->arp_src_mac : b->f->mac, mac);
    put(b, mac, 6);
    put(b, b->src, 4);
    memset(mac, 0, 6);
    if (p->arp_dst_mac)
        mac_parse(p->arp_dst_mac, mac);
    put(b, mac, 6);
    put(b, b->dst, 4);
}

static uint8_t proto_of(const struct pkt *p)
{
    switch (p->kind) {
    case PKT_ICMP: return P_ICMP;
    case PKT_ICMP6: return P_ICMP6;
    case PKT_UDP: return P_UDP;
    case PKT_TCP: return P_TCP;
    default: return p->proto;
    }
}

static unsigned ttl_of(const struct pkt *p) { return p->ttl ? p->ttl : p->kind == PKT_ICMP6 ? 255 : 64; }

static void put_ip4(struct build *b)
{
    const struct pkt *p = b->p;

    put8(b, p->version ? (unsigned)p->version : 0x40u | (20u + p->ip_options_len) / 4);
    put8(b, p->tos);
    put16(b, 0); /* length, later */
    put16(b, p->ip_id);
    put16(b, (p->df ? 0x4000u : 0) | (p->more ? 0x2000u : 0) | p->frag_off / 8u);
    put8(b, ttl_of(p));
    put8(b, proto_of(p));
    put16(b, 0); /* checksum, later */
    put(b, b->src, 4);
    put(b, b->dst, 4);
    put(b, p->ip_options, p->ip_options_len);
}

static void put_ip6(struct build *b)
{
    const struct pkt *p = b->p;
    bool frag = p->frag_off || p->more;

    put32(b, (p->version ? (uint32_t)p->version << 24 : UINT32_C(0x60000000)) | (uint32_t)p->tos << 20);
    put16(b, 0);
    put8(b, p->ip_options_len ? p->ip_ext : frag ? P_FRAGMENT : proto_of(p));
    put8(b, ttl_of(p));
    put(b, b->src, 16);
    put(b, b->dst, 16);
    put(b, p->ip_options, p->ip_options_len);
    if (frag) {
        put8(b, proto_of(p));
        put8(b, 0);
        put16(b, (p->frag_off & ~7u) | p->more);
        put32(b, p->ip_id);
    }
}

static void put_tcp_options(struct build *b)
{
    const struct pkt *p = b->p;
    size_t start = b->at;

    if (p->mss) {
        put16(b, 2 << 8 | 4);
        put16(b, p->mss);
    }
    if (p->sack_ok)
        put16(b, 4 << 8 | 2);
    if (p->has_ts) {
        put16(b, 8 << 8 | 10);
        put32(b, p->ts);
        put32(b, p->ts_echo);
    }
    if (p->has_wscale) {
        put16(b, 3 << 8 | 3);
        put8(b, p->wscale);
    }
    if (p->sacks) {
        put16(b, 5u << 8 | (2 + 8 * p->sacks));
        for (unsigned i = 0; i < p->sacks; i++) {
            put32(b, p->sack[i][0]);
            put32(b, p->sack[i][1]);
        }
    }
    put(b, p->tcp_options, p->tcp_options_len);
    put(b, NULL, -(b->at - start) & 3);
}

static void put_tcp(struct build *b)
{
    const struct pkt *p = b->p;
    size_t off = b->at;

    put16(b, p->sport);
    put16(b, p->dport);
    put32(b, p->seq);
    put32(b, p->ack);
    put16(b, p->flags);
    put16(b, p->window ? p->window : p->zero_window ? 0 : 65535);
    put16(b, 0);
    put16(b, p->urgent);
    put_tcp_options(b);
    b->buf[off + 12] = (uint8_t)((p->tcp_off ? (size_t)p->tcp_off : b->at - off) / 4 << 4);
}

/* Offset of the checksum in the L4 header; -1: there is none. */
static int put_l4(struct build *b)
{
    const struct pkt *p = b->p;

    switch (p->kind) {
    case PKT_ICMP:
    case PKT_ICMP6:
        put8(b, p->type);
        put8(b, p->code);
        put16(b, 0);
        put32(b, p->rest);
        return 2;
    case PKT_UDP:
        put16(b, p->sport);
        put16(b, p->dport);
        put16(b, p->udp_len < 0 ? 0 : p->udp_len ? (unsigned)p->udp_len : 8 + (unsigned)p->len);
        put16(b, 0);
        return 6;
    case PKT_TCP: put_tcp(b); return 16;
    default: return -1;
    }
}

static void fill_l4_sum(struct build *b, int off)
{
    const struct pkt *p = b->p;
    size_t len = b->at - b->l4;
    uint8_t *l4 = b->buf + b->l4;
    uint32_t pseudo = p->kind == PKT_ICMP ? 0 : sum_pseudo(b->is4, b->src, b->dst, proto_of(p), (uint32_t)len);
    uint16_t sum = sum_of(pseudo, l4, len);

    if (p->gso_size || p->sum == SUM_PARTIAL)
        sum = (uint16_t)~sum_of(pseudo, NULL, 0);
    else if (p->sum == SUM_ZERO)
        sum = 0;
    else if (p->sum == SUM_WRONG || p->sum == SUM_VALID)
        sum ^= 0x0100;
    else if (p->kind == PKT_UDP && !sum)
        sum = 0xffff;
    st16be(l4 + off, sum);
}

static void fill_ip(struct build *b)
{
    const struct pkt *p = b->p;
    uint8_t *ip = b->buf + b->ip;
    size_t len = b->at - b->ip - (b->is4 ? 0 : 40);

    st16be(ip + (b->is4 ? 2 : 4), (uint16_t)(p->ip_len < 0 ? 0 : p->ip_len ? (size_t)p->ip_len : len));
    if (b->is4)
        st16be(ip + 10, (uint16_t)(sum_of(0, ip, 20u + p->ip_options_len) ^ (p->bad_ip_sum ? 1 : 0)));
}

static void put_ip(struct build *b)
{
    int off;

    b->ip = b->at;
    if (b->is4)
        put_ip4(b);
    else
        put_ip6(b);
    b->l4 = b->at;
    off = put_l4(b);
    put(b, b->p->data, b->p->len);
    if (off >= 0)
        fill_l4_sum(b, off);
    fill_ip(b);
}

static void addresses(struct build *b)
{
    const struct pkt *p = b->p;

    b->is4 = true;
    if (p->dst)
        b->is4 = addr_parse(p->dst, b->dst);
    if (p->dst && addr_parse(p->src ? p->src : b->is4 ? b->f->ip4 : b->f->ip6, b->src) != b->is4)
        fail_msg("%s and %s are of two families", p->src, p->dst);
}

static struct build build(const struct far *f, const struct pkt *p, uint8_t *buf)
{
    struct build b = {.f = f, .p = p, .buf = buf};

    if (p->kind != PKT_ETH && !p->dst)
        fail_msg("a packet to be sent names its dst");
    addresses(&b);
    put_eth(&b);
    if (p->kind == PKT_ARP)
        put_arp(&b);
    else if (p->kind == PKT_ETH)
        put(&b, p->data, p->len);
    else
        put_ip(&b);
    put(&b, NULL, p->pad);
    if (p->cut && p->cut < b.at)
        b.at = p->cut;
    return b;
}

size_t far_build(const struct far *f, const struct pkt *p, uint8_t *buf) { return build(f, p, buf).at; }

static uint8_t gso_type(const struct build *b)
{
    if (b->p->kind == PKT_TCP)
        return b->is4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
    return b->is4 ? NET_GSO_UDP4 : NET_GSO_UDP6;
}

/* Hand the frame over, in pieces of f->pieces bytes when that is set (as many as fit: the rest in the last). */
static bool hand_over(struct far *f, struct net_frame *nf, const void *frame)
{
    struct iovec iov[256];
    size_t step = f->pieces ? f->pieces : nf->len, at = 0;
    uint8_t *buf = malloc(nf->len + !nf->len); /* exactly as long, so that the sanitizer sees a read behind it */
    bool ok;

    memcpy(buf, frame, nf->len);
    for (; nf->iovcnt < 255 && at + step < nf->len; at += step)
        iov[nf->iovcnt++] = (struct iovec){buf + at, step};
    iov[nf->iovcnt++] = (struct iovec){buf + at, nf->len - at};
    nf->iov = iov;
    ok = net_port_send(&f->port, nf);
    free(buf);
    world_run(f->w);
    return ok;
}

bool far_send(struct far *f, const struct pkt *p)
{
    uint8_t *buf = malloc(NET_FRAME_MAX);
    struct build b = build(f, p, buf);
    struct net_frame nf = {.len = b.at};
    bool ok;

    if (p->sum == SUM_VALID)
        nf.flags = NET_CSUM_VALID;
    if (p->gso_size || p->sum == SUM_PARTIAL) {
        nf.flags = NET_CSUM_PARTIAL;
        nf.csum_start = (uint16_t)b.l4;
        nf.csum_offset = p->kind == PKT_TCP ? 16 : p->kind == PKT_UDP ? 6 : 2;
    }
    if (p->gso_size) {
        nf.gso = gso_type(&b);
        nf.gso_size = p->gso_size;
        nf.header_len = (uint16_t)(p->kind == PKT_TCP ? b.l4 + (buf[b.l4 + 12] >> 4) * 4 : b.l4 + 8);
    }
    ok = hand_over(f, &nf, buf);
    free(buf);
    return ok;
}

bool far_send_part(struct far *f, const struct pkt *p, size_t off, size_t len)
{
    uint8_t *whole = malloc(NET_FRAME_MAX);
    struct build b = build(f, p, whole);
    struct pkt part = *p;
    size_t all = b.at - b.l4;
    bool ok;

    part.kind = PKT_IP;
    part.proto = proto_of(p);
    part.ttl = (uint8_t)ttl_of(p);
    part.data = whole + b.l4 + off;
    part.len = off + len < all ? len : all - off;
    part.frag_off = (uint16_t)off;
    part.more = off + len < all;
    ok = far_send(f, &part);
    free(whole);
    return ok;
}

bool far_send_frame(struct far *f, const void *frame, size_t len)
{
    struct net_frame nf = {.len = len};

    return hand_over(f, &nf, frame);
}
