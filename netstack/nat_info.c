/* What people see of a NAT: `info`, and the counts that tests look at. */
#include <inttypes.h>

#include "netstack/nat_int.h"

static void addr_text(const struct net_addr *a, char text[NET_ADDR_TEXT])
{
    if (!a)
        snprintf(text, NET_ADDR_TEXT, "*");
    else
        net_addr_text(a, text);
}

/* The columns of QEMU's `info usernet`, which tools read; flows have more behind them. */
void nat_info_row(FILE *out, const struct nat_info_row *r)
{
    char src[NET_ADDR_TEXT], dst[NET_ADDR_TEXT], state[48];

    addr_text(r->src, src);
    addr_text(r->dst, dst);
    snprintf(state, sizeof state, "  %s", r->state);
    fprintf(out, "%-19s %3d %15s %5u %15s %5u %5zu %5zu", state, r->fd, src, r->sport, dst, r->dport, r->recvq,
            r->sendq);
    if (r->age)
        fprintf(out, "  sent %" PRIu64 " got %" PRIu64 " age %" PRIu64 " s", r->bytes_out, r->bytes_in,
                r->age / NS_PER_SEC);
    fprintf(out, "\n");
}

static void info_net(const struct nat *n, FILE *out)
{
    char a[NET_ADDR_TEXT], b[NET_ADDR_TEXT], c[NET_ADDR_TEXT];

    if (!n->c.no_ipv4)
        fprintf(out, "  net %s/%u gateway %s dns %s\n", net_addr_text(&n->c.net, a), n->c.prefix_len,
                net_addr_text(&n->c.host, b), net_addr_text(&n->c.dns, c));
    if (!n->c.no_ipv6)
        fprintf(out, "  net %s/%u gateway %s dns %s\n", net_addr_text(&n->c.net6, a), n->c.prefix6_len,
                net_addr_text(&n->c.host6, b), net_addr_text(&n->c.dns6, c));
    fprintf(out, "  mtu %u%s%s, %u sockets, %" PRIu64 " bad packets\n", nat_mtu(n),
            n->c.restrict_ ? ", restricted" : "",
            n->c.host_loopback ? ", the gateway stands for the host's loopback" : "", n->sockets, n->bad_packets);
}

void nat_info(const struct nat *n, bool flows, FILE *out)
{
    fprintf(out, "%s:\n", n->c.name);
    info_net(n, out);
    nat_neighbours_info(n->neighbours, out);
    nat_dhcp_info(n->dhcp, out);
    nat_dns_info(n->dns, out);
    nat_tftp_info(n->tftp, out);
    fprintf(out, "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n");
    nat_forwards_info(n->forwards, out);
    nat_tcp_info(n->tcp, flows, out);
    nat_udp_info(n->udp, flows, out);
    nat_icmp_info(n->icmp, flows, out);
}

void nat_counts(const struct nat *n, struct nat_counts *c)
{
    *c = (struct nat_counts){.sockets = n->sockets};
    nat_tcp_counts(n->tcp, c);
    nat_udp_counts(n->udp, c);
    nat_icmp_counts(n->icmp, c);
    nat_frag_counts(n->frag, c);
    nat_dhcp_counts(n->dhcp, c);
}
