/* The packet driver's receiving half: a frame into a struct got, with every check a good receiver makes. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/net_driver.h"

struct decode {
    struct got *g;
    const struct net_frame *nf;
    const uint8_t *at; /* what is not read yet */
    size_t left;
    const uint8_t *src, *dst; /* of the IP header */
    uint32_t mtu;
    unsigned can;
};

static void wrong(const struct decode *d, const char *what)
{
    char text[256];

    print_message("frame of %zu bytes:", d->g->frame_len);
    for (size_t i = 0; i < d->g->frame_len && i < 128; i++)
        print_message("%s%02x", i % 16 ? " " : "\n  ", d->g->frame[i]);
    print_message("\n");
    fail_msg("received a wrong frame: %s (%s)", what, got_text(d->g, text, sizeof text));
}

static const uint8_t *take(struct decode *d, size_t n)
{
    const uint8_t *p = d->at;

    if (n > d->left)
        wrong(d, "it ends within a header");
    d->at += n;
    d->left -= n;
    return p;
}

static void mac_text(char out[18], const uint8_t *m)
{
    snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void addr_text(struct decode *d, const uint8_t *src, const uint8_t *dst)
{
    int family = d->g->is4 ? AF_INET : AF_INET6;

    d->src = src;
    d->dst = dst;
    inet_ntop(family, src, d->g->src, sizeof d->g->src);
    inet_ntop(family, dst, d->g->dst, sizeof d->g->dst);
}

/* --- checksums and segmentation ----------------------------------------------------------------------------------- */

static void check_partial(struct decode *d, uint32_t pseudo, size_t off, size_t len)
{
    const struct net_frame *nf = d->nf;
    size_t start = (size_t)(d->at - d->g->frame);
    uint16_t held = ld16be(d->at + off), right = (uint16_t)~sum_of(pseudo, NULL, 0);

    (void)len;
    if (!(d->can & NET_CAN_CSUM))
        wrong(d, "a partial checksum was not offered");
    if (nf->csum_start != start || nf->csum_offset != off)
        wrong(d, "csum_start or csum_offset is not the place of the checksum");
    if (held != right && !(held % 0xffff == 0 && right % 0xffff == 0))
        wrong(d, "the partial checksum is not the pseudo-header's sum");
}

/* The checksum at off of the L4 packet of len bytes that starts at d->at. */
static void check_sum(struct decode *d, uint32_t pseudo, size_t off, size_t len)
{
    if (d->nf->flags & NET_CSUM_PARTIAL)
        check_partial(d, pseudo, off, len);
    else if (!(d->nf->flags & NET_CSUM_VALID) && sum_of(pseudo, d->at, len))
        wrong(d, "bad checksum of TCP, UDP or ICMP");
}

static void check_gso(struct decode *d, size_t header, size_t payload)
{
    static const struct {
        uint8_t proto;
        bool is4;
        unsigned can;
    } kinds[] = {
        [NET_GSO_TCP4] = {6, true, NET_CAN_TSO4},
        [NET_GSO_TCP6] = {6, false, NET_CAN_TSO6},
        [NET_GSO_UDP4] = {17, true, NET_CAN_USO},
        [NET_GSO_UDP6] = {17, false, NET_CAN_USO},
    };
    const struct net_frame *nf = d->nf;
    size_t headers = (size_t)(d->at - d->g->frame) + header, ip = headers - ETH_HLEN - (d->g->vlan ? 4 : 0);

    if (nf->gso > NET_GSO_UDP6 || d->g->proto != kinds[nf->gso].proto || d->g->is4 != kinds[nf->gso].is4)
        wrong(d, "the kind of segmentation is not the packet's");
    if (!(d->can & kinds[nf->gso].can))
        wrong(d, "this segmentation was not offered");
    if (!(nf->flags & NET_CSUM_PARTIAL))
        wrong(d, "segmentation without a partial checksum");
    if (!nf->gso_size || payload <= nf->gso_size)
        wrong(d, "segmentation of what is one segment");
    if (ip + nf->gso_size > d->mtu)
        wrong(d, "segments are larger than the MTU");
    if (nf->header_len && nf->header_len != headers)
        wrong(d, "header_len is not the headers' length");
}

/* --- headers ------------------------------------------------------------------------------------------------------- */

static void tcp_options(struct decode *d, const uint8_t *o, size_t n)
{
    struct got *g = d->g;

    while (n && *o != 0) {
        size_t len = *o == 1 ? 1 : n < 2 ? 0 : o[1];

        if (!len || (*o != 1 && len < 2) || len > n)
            wrong(d, "a TCP option's length");
        if (*o == 2 && len == 4)
            g->mss = ld16be(o + 2);
        else if (*o == 3 && len == 3)
            g->has_wscale = true, g->wscale = o[2];
        else if (*o == 4 && len == 2)
            g->sack_ok = true;
        else if (*o == 8 && len == 10)
            g->has_ts = true, g->ts = ld32be(o + 2), g->ts_echo = ld32be(o + 6);
        for (size_t i = 2; *o == 5 && i + 8 <= len && g->sacks < 4; i += 8, g->sacks++) {
            g->sack[g->sacks][0] = ld32be(o + i);
            g->sack[g->sacks][1] = ld32be(o + i + 4);
        }
        o += len;
        n -= len;
    }
}

static void tcp(struct decode *d)
{
    struct got *g = d->g;
    size_t header = d->left >= 20 ? (size_t)(d->at[12] >> 4) * 4 : 0;
    const uint8_t *h;

    g->kind = PKT_TCP;
    if (header < 20 || header > d->left)
        wrong(d, "TCP data offset");
    check_sum(d, sum_pseudo(g->is4, d->src, d->dst, 6, (uint32_t)d->left), 16, d->left);
    if (d->nf->gso)
        check_gso(d, header, d->left - header);
    h = take(d, header);
    g->sport = ld16be(h);
    g->dport = ld16be(h + 2);
    g->seq = ld32be(h + 4);
    g->ack = ld32be(h + 8);
    g->flags = h[13];
    g->window = ld16be(h + 14);
    g->urgent = ld16be(h + 18);
    tcp_options(d, h + 20, header - 20);
}

static void udp(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = d->at;

    g->kind = PKT_UDP;
    if (d->left < 8)
        wrong(d, "UDP header");
    g->sport = ld16be(h);
    g->dport = ld16be(h + 2);
    g->udp_len = ld16be(h + 4);
    if (g->udp_len != d->left)
        wrong(d, "UDP length is not that of the IP packet");
    g->no_sum = !ld16be(h + 6) && !(d->nf->flags & NET_CSUM_PARTIAL);
    if (g->no_sum && !g->is4)
        wrong(d, "UDP without a checksum over IPv6");
    if (!g->no_sum)
        check_sum(d, sum_pseudo(g->is4, d->src, d->dst, 17, g->udp_len), 6, g->udp_len);
    if (d->nf->gso)
        check_gso(d, 8, d->left - 8);
    take(d, 8);
}

static void icmp(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = d->at;

    g->kind = g->is4 ? PKT_ICMP : PKT_ICMP6;
    if (d->left < 8)
        wrong(d, "ICMP header");
    check_sum(d, g->is4 ? 0 : sum_pseudo(false, d->src, d->dst, 58, (uint32_t)d->left), 2, d->left);
    g->type = h[0];
    g->code = h[1];
    g->rest = ld32be(h + 4);
    take(d, 8);
}

static void l4(struct decode *d)
{
    struct got *g = d->g;

    if (!d->nf->gso && g->ip_len > d->mtu)
        wrong(d, "larger than the MTU");
    if (g->more || g->frag_off)
        g->kind = PKT_FRAG;
    else if (g->proto == 6)
        tcp(d);
    else if (g->proto == 17)
        udp(d);
    else if (g->proto == (g->is4 ? 1 : 58))
        icmp(d);
    else
        g->kind = PKT_IP;
    if (d->nf->gso && g->kind != PKT_TCP && g->kind != PKT_UDP)
        wrong(d, "segmentation of what is neither TCP nor UDP");
    if (g->more && d->left % 8)
        wrong(d, "a fragment that is not the last has a length that is no multiple of 8");
}

static void trim(struct decode *d, size_t n)
{
    if (n > d->left)
        wrong(d, "the IP length is larger than the frame");
    d->left = n;
}

static void ip4(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = d->at;
    size_t header = d->left >= 20 ? (size_t)(h[0] & 15) * 4 : 0;

    g->is4 = true;
    if (header < 20 || header > d->left || h[0] >> 4 != 4)
        wrong(d, "IPv4 header");
    g->ip_len = ld16be(h + 2);
    if (g->ip_len < header)
        wrong(d, "IPv4 total length");
    if (sum_of(0, h, header))
        wrong(d, "bad checksum of the IPv4 header");
    g->tos = h[1];
    g->ip_id = ld16be(h + 4);
    g->frag_id = g->ip_id;
    g->df = h[6] & 0x40;
    g->more = h[6] & 0x20;
    g->frag_off = (uint16_t)((ld16be(h + 6) & 0x1fff) * 8);
    g->ttl = h[8];
    g->proto = h[9];
    addr_text(d, h + 12, h + 16);
    trim(d, g->ip_len);
    take(d, header);
    l4(d);
}

static void ip6(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = take(d, 40);

    if (h[0] >> 4 != 6)
        wrong(d, "IPv6 version");
    g->tos = (uint8_t)(ld16be(h) >> 4);
    g->ip_len = (uint16_t)(ld16be(h + 4) + 40);
    g->proto = h[6];
    g->ttl = h[7];
    addr_text(d, h + 8, h + 24);
    trim(d, ld16be(h + 4));
    if (g->proto == 44) {
        const uint8_t *f = take(d, 8);

        g->proto = f[0];
        g->frag_off = ld16be(f + 2) & 0xfff8;
        g->more = f[3] & 1;
        g->frag_id = ld32be(f + 4);
    }
    l4(d);
}

static void arp(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = take(d, 28);

    g->kind = PKT_ARP;
    g->is4 = true;
    if (ld16be(h) != 1 || ld16be(h + 2) != 0x0800 || h[4] != 6 || h[5] != 4)
        wrong(d, "ARP for other than IPv4 on Ethernet");
    g->arp = ld16be(h + 6);
    mac_text(g->arp_src_mac, h + 8);
    mac_text(g->arp_dst_mac, h + 18);
    addr_text(d, h + 14, h + 24);
}

static void eth(struct decode *d)
{
    struct got *g = d->g;
    const uint8_t *h = take(d, ETH_HLEN);

    g->kind = PKT_ETH;
    mac_text(g->eth_dst, h);
    mac_text(g->eth_src, h + 6);
    if (h[6] & 1)
        wrong(d, "a group address as source");
    g->ethertype = ld16be(h + 12);
    if (g->ethertype == 0x8100) {
        h = take(d, 4);
        g->vlan = ld16be(h);
        g->ethertype = ld16be(h + 2);
    }
    if (g->ethertype == 0x0806)
        arp(d);
    else if (g->ethertype == 0x0800)
        ip4(d);
    else if (g->ethertype == 0x86dd)
        ip6(d);
}

struct got *got_decode(const struct net_frame *nf, uint32_t mtu, unsigned can)
{
    struct got *g = calloc(1, sizeof *g);
    struct decode d = {.g = g, .nf = nf, .mtu = mtu, .can = can};
    size_t at = 0;

    g->frame = malloc(nf->len + 1);
    for (unsigned i = 0; i < nf->iovcnt && at < nf->len; i++) {
        size_t n = nf->iov[i].iov_len < nf->len - at ? nf->iov[i].iov_len : nf->len - at;

        if (n)
            memcpy(g->frame + at, nf->iov[i].iov_base, n);
        at += n;
    }
    g->frame_len = at;
    g->nf_flags = nf->flags;
    g->gso = nf->gso;
    g->gso_size = nf->gso_size;
    d.at = g->frame;
    d.left = at;
    if (at < nf->len || nf->len > NET_FRAME_MAX)
        wrong(&d, "the pieces are shorter than the frame");
    eth(&d);
    g->data = d.at;
    g->len = d.left;
    return g;
}

void got_free(struct got *g)
{
    if (g)
        free(g->frame);
    free(g);
}

/* --- text ---------------------------------------------------------------------------------------------------------- */

static void flags_text(unsigned flags, char *out)
{
    static const char names[] = "FSRPAUEC";

    for (unsigned i = 0; i < 8; i++)
        if (flags >> i & 1)
            *out++ = names[i];
    *out = 0;
}

const char *got_text(const struct got *g, char *buf, size_t n)
{
    char flags[9];

    flags_text(g->flags, flags);
    switch (g->kind) {
    case PKT_ARP: snprintf(buf, n, "arp %u %s (%s) > %s", g->arp, g->src, g->arp_src_mac, g->dst); break;
    case PKT_TCP:
        snprintf(buf, n, "tcp %s:%u > %s:%u %s seq %u ack %u win %u len %zu", g->src, g->sport, g->dst, g->dport, flags,
                 g->seq, g->ack, g->window, g->len);
        break;
    case PKT_UDP: snprintf(buf, n, "udp %s:%u > %s:%u len %zu", g->src, g->sport, g->dst, g->dport, g->len); break;
    case PKT_ICMP:
    case PKT_ICMP6:
        snprintf(buf, n, "%s %s > %s type %u code %u rest 0x%x len %zu", g->is4 ? "icmp" : "icmp6", g->src, g->dst,
                 g->type, g->code, g->rest, g->len);
        break;
    case PKT_FRAG:
        snprintf(buf, n, "fragment %s > %s proto %u id %u at %u%s len %zu", g->src, g->dst, g->proto, g->frag_id,
                 g->frag_off, g->more ? "+" : "", g->len);
        break;
    case PKT_IP: snprintf(buf, n, "ip %s > %s proto %u len %zu", g->src, g->dst, g->proto, g->len); break;
    default: snprintf(buf, n, "ethertype 0x%04x %s > %s len %zu", g->ethertype, g->eth_src, g->eth_dst, g->len);
    }
    return buf;
}
