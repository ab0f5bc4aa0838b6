/* The NAT's life and its port; what a packet meets on its way is told in nat_int.h. */
#include "netstack/nat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "netstack/nat_int.h"

enum {
    FDS_WANTED = 65536,
    FDS_SPARE = 64, /* left to disks, monitors and whatever else the process opens */
};

static bool receive(struct net_port *p, const struct net_frame *f)
{
    nat_eth_input(p->arg, f);
    return true;
}

static void ready(struct net_port *p)
{
    struct nat *n = p->arg;

    nat_tcp_ready(n);
    nat_udp_ready(n);
}

static const struct net_port_ops nat_port_ops = {.kind = "nat", .receive = receive, .ready = ready};

/* Thousands of flows need as many descriptors: the soft limit is for programs that use select, the hard one is the user's. */
static int raise_fd_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024 - FDS_SPARE;
    if (r.rlim_cur < FDS_WANTED && r.rlim_cur < r.rlim_max) {
        rlim_t old = r.rlim_cur;

        r.rlim_cur = r.rlim_max < FDS_WANTED ? r.rlim_max : FDS_WANTED;
        if (setrlimit(RLIMIT_NOFILE, &r) < 0)
            r.rlim_cur = old;
    }
    return r.rlim_cur > 2 * FDS_SPARE ? (int)(r.rlim_cur < 1 << 20 ? r.rlim_cur : 1 << 20) - FDS_SPARE
                                      : (int)r.rlim_cur / 2;
}

/* 52:55 and the IPv4 address, which is the MAC that QEMU's gateway has; fe80::2 is its link-local address. */
static void name_gateway(struct nat *n)
{
    static const uint8_t without4[4] = {10, 0, 2, 2};

    n->mac[0] = 0x52;
    n->mac[1] = 0x55;
    memcpy(n->mac + 2, n->c.no_ipv4 ? without4 : n->c.host.b + 12, 4);
    if (!n->c.no_ipv6)
        n->link6 = (struct net_addr){{0xfe, 0x80, [15] = 2}};
}

static bool make_parts(struct nat *n, struct err *e)
{
    n->neighbours = nat_neighbours_new(n);
    n->frag = nat_frag_new(n);
    n->icmp = nat_icmp_new(n);
    n->udp = nat_udp_new(n);
    n->tcp = nat_tcp_new(n);
    n->forwards = nat_forwards_new(n);
    n->dns = nat_dns_new(n);
    if (!n->neighbours || !n->frag || !n->icmp || !n->udp || !n->tcp || !n->forwards || !n->dns)
        return err_set(e, "out of memory");
    n->dhcp = nat_dhcp_new(n, e);
    n->tftp = n->dhcp ? nat_tftp_new(n, e) : NULL;
    return n->tftp != NULL;
}

struct nat *nat_new(const struct net_env *env, const struct nat_config *c, struct err *e)
{
    struct nat *n = calloc(1, sizeof *n);

    if (!n) {
        err_set(e, "out of memory");
        return NULL;
    }
    n->env = *env;
    n->c = *c;
    if (!nat_config_fill(&n->c, e)) {
        err_prefix(e, "%s", n->c.name);
        free(n);
        return NULL;
    }
    n->fd_limit = raise_fd_limit();
    name_gateway(n);
    n->port = (struct net_port){.ops = &nat_port_ops, .arg = n, .name = n->c.name, .can = NET_CAN_ALL, .mtu = n->c.mtu};
    nat_ra_init(n);
    if (!make_parts(n, e)) {
        err_prefix(e, "%s", n->c.name);
        nat_free(n);
        return NULL;
    }
    return n;
}

void nat_free(struct nat *n)
{
    if (!n)
        return;
    nat_ra_fini(n);
    nat_forwards_free(n->forwards);
    nat_tcp_free(n->tcp);
    nat_tftp_free(n->tftp);
    nat_dns_free(n->dns);
    nat_dhcp_free(n->dhcp);
    nat_udp_free(n->udp);
    nat_icmp_free(n->icmp);
    nat_frag_free(n->frag);
    nat_neighbours_free(n->neighbours);
    free(n);
}

struct net_port *nat_port(struct nat *n) { return &n->port; }
