/*
 * ICMP: errors to guests, echo to the gateway's own addresses, and who gets the rest (RFC 792, RFC 4443).
 *
 * Errors are rate-limited for each guest, never about errors, groups, later fragments or packets without a sender
 * (RFC 1122, 3.2.2; RFC 4443, 2.4). Errors that guests send concern nobody: what they answer never left this host as it was.
 */
#include "netstack/nat_icmp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- sending --------------------------------------------------------------------------------------------------- */

static void fill(const struct nat_icmp_msg *m, uint8_t h[ICMP_HLEN], struct iovec iov[2], struct nat_out *o)
{
    bool is4 = net_addr_is4(&m->dst);

    h[0] = m->type;
    h[1] = m->code;
    st16be(h + 2, 0);
    st32be(h + 4, m->rest);
    if (is4) /* no pseudo-header: it is not the kind of sum that a cable completes */
        st16be(h + 2, csum_fold(csum_add(csum_add(0, h, ICMP_HLEN), m->data, m->len)));
    iov[0] = (struct iovec){h, ICMP_HLEN};
    iov[1] = (struct iovec){(void *)(uintptr_t)m->data, m->len};
    *o = (struct nat_out){.src = m->src,
                          .dst = m->dst,
                          .proto = is4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6,
                          .ttl = m->ttl,
                          .tos = m->tos,
                          .iov = iov,
                          .iovcnt = m->len ? 2 : 1,
                          .len = ICMP_HLEN + m->len,
                          .csum_offset = is4 ? -1 : 2,
                          .mac = m->mac};
}

bool nat_icmp_send(struct nat *n, const struct nat_icmp_msg *m)
{
    uint8_t h[ICMP_HLEN];
    struct iovec iov[2];
    struct nat_out o;

    fill(m, h, iov, &o);
    return nat_ip_send(n, &o);
}

/* IPv6 only: RFC 2464, 7. */
bool nat_icmp_send_group(struct nat *n, const struct nat_icmp_msg *m)
{
    uint8_t h[ICMP_HLEN], mac[ETH_ALEN] = {0x33, 0x33};
    struct iovec iov[2];
    struct nat_out o;

    memcpy(mac + 2, m->dst.b + 12, 4);
    fill(m, h, iov, &o);
    return nat_ip_send_group(n, &o, mac);
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

struct kind {
    uint8_t type, code;
};

static const struct kind kinds4[UNREACH_KINDS] = {
    [UNREACH_NET] = {3, 0},         [UNREACH_HOST] = {3, 1},        [UNREACH_PROTO] = {3, 2},
    [UNREACH_PORT] = {3, 3},        [UNREACH_ADMIN] = {3, 13},      [UNREACH_TTL] = {11, 0},
    [UNREACH_REASSEMBLY] = {11, 1}, [UNREACH_TOO_BIG] = {3, 4},     [UNREACH_BAD_HEADER] = {12, 0},
    [UNREACH_BAD_NEXT] = {3, 2},    [UNREACH_BAD_OPTION] = {12, 0},
};
static const struct kind kinds6[UNREACH_KINDS] = {
    [UNREACH_NET] = {1, 0},        [UNREACH_HOST] = {1, 3},       [UNREACH_PROTO] = {4, 1},
    [UNREACH_PORT] = {1, 4},       [UNREACH_ADMIN] = {1, 1},      [UNREACH_TTL] = {3, 0},
    [UNREACH_REASSEMBLY] = {3, 1}, [UNREACH_TOO_BIG] = {2, 0},    [UNREACH_BAD_HEADER] = {4, 0},
    [UNREACH_BAD_NEXT] = {4, 1},   [UNREACH_BAD_OPTION] = {4, 2},
};

/*
 * A hundred at once, then a hundred a second: enough for traceroute's volleys, nothing to be flooded with. The credit is
 * the time (from one burst before the clock's start) at which all that was sent is paid for.
 */
bool nat_icmp_may(struct nat *n, const uint8_t mac[ETH_ALEN])
{
    const uint64_t cost = NS_PER_SEC / 100, burst = NS_PER_SEC;
    uint64_t now = clock_now(n->env.clock), *credit = &n->icmp->credit[(mac[3] ^ mac[4] ^ mac[5]) % NAT_ERROR_BUCKETS];
    uint64_t paid = *credit > now ? *credit : now;

    if (paid + cost > now + burst)
        return false;
    *credit = paid + cost;
    return true;
}

/* An ICMPv6 error, behind whatever extension headers (of which all but the fragment header give their length). */
static bool is_error6(const uint8_t *h, size_t len)
{
    uint8_t next = h[6];
    size_t at = 40;

    while (at + 2 <= len && (next == 0 || next == 43 || next == 44 || next == 60)) {
        size_t step = next == 44 ? 8 : (h[at + 1] + 1u) * 8u;

        if (next == 44 && at + 4 <= len && ld16be(h + at + 2) & 0xfff8)
            return false; /* a later fragment: what it begins with is no header */
        next = h[at];
        at += step;
    }
    return next == IP_PROTO_ICMP6 && (at >= len || h[at] < 128);
}

/* About an ICMP error, or a fragment that is not the first. */
static bool silent(const struct nat_ip *ip)
{
    const uint8_t *h = ip->header;
    size_t hlen;

    if (ip->group || net_addr_none(&ip->src) || (ip->is4 && !ld32be(ip->src.b + 12)))
        return true;
    if (!ip->is4)
        return is_error6(h, ip->header_len);
    hlen = (h[0] & 15) * 4u;
    if (ld16be(h + 6) & 0x1fff)
        return true;
    return ip->proto == IP_PROTO_ICMP && (ip->header_len <= hlen || h[hlen] != ICMP_ECHO);
}

struct net_addr nat_gateway_for(const struct nat *n, const struct net_addr *guest)
{
    if (net_addr_is4(guest))
        return n->c.host;
    return guest->b[0] == 0xfe && (guest->b[1] & 0xc0) == 0x80 ? n->link6 : n->c.host6;
}

void nat_icmp_error(struct nat *n, const struct nat_ip *ip, enum nat_unreach why, uint32_t arg)
{
    const struct kind *k = (ip->is4 ? kinds4 : kinds6) + why;
    struct nat_icmp_msg m = {.src = nat_gateway_for(n, &ip->src),
                             .dst = ip->src,
                             .mac = ip->mac,
                             .type = k->type,
                             .code = k->code,
                             .rest = ip->is4 && k->type == 12 ? arg << 24 : arg,
                             .data = ip->header,
                             .len = ip->header_len};

    if (silent(ip) || !nat_icmp_may(n, ip->mac))
        return;
    n->errors_sent++;
    nat_icmp_send(n, &m);
}

/* --- echo ------------------------------------------------------------------------------------------------------ */

bool nat_echo_reply(struct nat *n, const struct net_addr *src, const struct net_addr *guest, uint8_t ttl,
                    uint32_t id_seq, const void *data, size_t len)
{
    struct nat_icmp_msg m = {.src = *src,
                             .dst = *guest,
                             .ttl = ttl,
                             .type = net_addr_is4(guest) ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY,
                             .rest = id_seq,
                             .data = data,
                             .len = len};

    return nat_icmp_send(n, &m);
}

static void echo(struct nat *n, struct nat_echo *e)
{
    const struct nat_ip *ip = e->ip;
    enum nat_unreach why;
    size_t len;

    if (ip->group || e->h[1])
        return;
    if (nat_is_ours(n, &ip->dst)) {
        len = packet_copy(e->p, 0, n->icmp->buf, NAT_ECHO_MAX);
        nat_echo_reply(n, &ip->dst, &ip->src, 0, ld32be(e->h + 4), n->icmp->buf, len);
        return;
    }
    if (!nat_host_target(n, &ip->dst, 0, &e->to, &e->to_len, &why)) {
        nat_icmp_error(n, ip, why, 0);
        return;
    }
    if (n->icmp->refused[!ip->is4])
        nat_probe_request(n, e);
    else
        nat_echo_request(n, e);
}

/* --- what comes ------------------------------------------------------------------------------------------------ */

static bool header(struct nat *n, struct nat_echo *e)
{
    if (packet_copy(e->p, 0, e->h, ICMP_HLEN) != ICMP_HLEN || !nat_csum_right(e->ip, e->p)) {
        nat_bad(n, "ICMP message of %zu bytes that is short, or has a wrong checksum", e->p->len);
        return false;
    }
    return true;
}

void nat_icmp_input(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    struct nat_echo e = {.ip = ip, .p = p};

    if (!header(n, &e) || e.h[0] != ICMP_ECHO)
        return;
    packet_skip(p, ICMP_HLEN);
    echo(n, &e);
}

void nat_icmp6_input(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    struct nat_echo e = {.ip = ip, .p = p};
    char text[NET_ADDR_TEXT];

    if (!header(n, &e))
        return;
    if (e.h[0] >= 133 && e.h[0] <= 137) {
        nat_nd_input(n, ip, p);
        return;
    }
    if (e.h[0] != ICMP6_ECHO || net_addr_none(&ip->src))
        return;
    if (!nat_neighbour_seen(n, &ip->src, ip->mac)) {
        nat_bad(n, "IPv6 packet from %s, which another MAC has", net_addr_text(&ip->src, text));
        return;
    }
    packet_skip(p, ICMP_HLEN);
    echo(n, &e);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

struct nat_icmp *nat_icmp_new(struct nat *n)
{
    struct nat_icmp *i = calloc(1, sizeof *i);
    unsigned cap = n->c.flows_max ? n->c.flows_max : 64;

    if (!i)
        return NULL;
    i->nat = n;
    i->buf = malloc(NAT_ECHO_MAX);
    if (i->buf && nat_echo_init(i, cap) && nat_probe_init(i, cap))
        return i;
    nat_icmp_free(i);
    return NULL;
}

void nat_icmp_free(struct nat_icmp *i)
{
    if (!i)
        return;
    nat_flows_fini(&i->echo);
    nat_flows_fini(&i->probes);
    free(i->buf);
    free(i);
}

void nat_icmp_info(const struct nat_icmp *i, bool flows, FILE *out)
{
    fprintf(out, "  icmp: %u flows, %" PRIu64 " errors sent, %" PRIu64 " ended by time, %" PRIu64 " evicted\n",
            i->echo.count, i->nat->errors_sent, i->echo.expired, i->echo.evicted);
    for (unsigned f = 0; f < 2; f++)
        if (i->refused[f])
            fprintf(out,
                    "  icmp: host refuses ICMPv%u sockets: replies synthesised from UDP and TCP probes (%" PRIu64 ")\n",
                    f ? 6 : 4, i->synthesised);
    if (flows)
        nat_echo_info(i, out);
}

void nat_icmp_counts(const struct nat_icmp *i, struct nat_counts *c)
{
    c->icmp += i->echo.count + i->probes.count;
    nat_probe_counts(i, c);
}
