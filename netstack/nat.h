/*
 * NAT: guests reach the world through the sockets of this process; no privilege, no helper.
 *
 * A struct nat is a gateway with one port. Behind the port is one guest, or a switch with several. To the guests it is
 * router, DHCP, DHCPv6, DNS and TFTP server; what they send to others leaves by this process's own sockets, what they
 * get arrives there. Addresses by default are those of QEMU's user network: 10.0.2.0/24, gateway .2, DNS .3, first guest
 * .15; fec0::/64, gateway ::2, DNS ::3.
 * The host's loopback is not reachable from guests unless host_loopback is set; then the gateway's address stands for it.
 * All on the loop's thread.
 */
#ifndef NETSTACK_NAT_H
#define NETSTACK_NAT_H

#include <netinet/in.h>
#include <stdio.h>

#include "netstack/port.h"

struct nat;

enum { NAT_FORWARDS_MAX = 256, NAT_LEASES_MAX = 256, NAT_NAME_MAX = 64 };

/* One address: IPv6, or IPv4 as ::ffff:a.b.c.d. All zero: none. */
struct net_addr {
    uint8_t b[16];
};

struct nat_static_lease {
    uint8_t mac[ETH_ALEN];
    struct net_addr addr; /* IPv4 */
    const char *hostname; /* NULL: none */
};

/* Strings are borrowed for the life of the nat. Zeroes and NULLs mean the defaults above. */
struct nat_config {
    const char *name; /* for people, "nat" */
    bool no_ipv4, no_ipv6;
    struct net_addr net, host, dns, dhcp_start; /* IPv4 */
    unsigned prefix_len;                        /* of net; 0: 24 */
    struct net_addr net6, host6, dns6;
    unsigned prefix6_len; /* 0: 64, and nothing else for SLAAC */
    uint32_t mtu;         /* 0: NET_MTU_DEFAULT */
    bool restrict_;       /* nothing but forwards, DHCP, and what guests send each other */
    bool host_loopback;   /* host, host6 stand for this host's loopback */
    bool no_dhcp;
    const char *const *dnssearch; /* NULL-ended */
    const char *domainname, *hostname /* of the one guest without a lease of its own */;
    const struct nat_static_lease *lease;
    unsigned leases;
    const char *tftp, *bootfile, *tftp_server_name; /* tftp: a folder, read-only, nothing above it */
    struct net_addr ntp;                            /* 0: none */
    const char *resolv_conf;                        /* NULL: /etc/resolv.conf */
    unsigned flows_max;                             /* of each kind; 0: 10240 for TCP, 1024 for UDP, 64 for ICMP */
};

/* NULL with e set: overlapping or impossible addresses, no memory, no such folder. */
struct nat *nat_new(const struct net_env *env, const struct nat_config *c, struct err *e);
void nat_free(struct nat *n); /* its port is unplugged; every socket is closed */
struct net_port *nat_port(struct nat *n);

/*
 * Forward connections to host_addr:host_port (0.0.0.0 for all; all zero: 127.0.0.1) to guest (all zero: the first
 * lease's address when one comes). The socket is bound at once; on failure e has the address and the reason. udp: a flow per client.
 * host_path: a unix stream socket to listen on instead, or NULL.
 */
struct nat_forward {
    bool udp;
    struct net_addr host_addr, guest_addr;
    uint16_t host_port, guest_port; /* host_port 0: any free one, which nat_info shows */
    const char *host_path;
    uint8_t guest_mac
        [ETH_ALEN]; /* with guest_addr none: the guest with this MAC, where it is then; zeroes: the first lease */
    bool host_any6; /* every address of both families, instead of host_addr ("::", which as a number is none) */
};
bool nat_forward_add(struct nat *n, const struct nat_forward *f, struct err *e);
bool nat_forward_remove(struct nat *n, const struct nat_forward *f, struct err *e); /* by host side; flows go on */
uint16_t nat_forward_last_port(const struct nat *n); /* of the host, of the forward that was added last */
bool nat_forward_same_host(const struct nat_forward *a,
                           const struct nat_forward *b); /* both with host_addr filled in */
/*
 * guestfwd: connections of guests to addr:port (in net, not host or dns) go to target: "tcp:HOST:PORT", "unix:PATH", or
 * "cmd:COMMAND", a program run for each with the connection as its standard input and output.
 */
bool nat_guestfwd_add(struct nat *n, struct net_addr addr, uint16_t port, const char *target, struct err *e);
struct nat_guestfwd {
    struct net_addr addr;
    uint16_t port;
    const char *target, *text; /* text: as the user gave it, for messages */
};
bool nat_guestfwd_add_all(struct nat *n, const struct nat_guestfwd *list, unsigned count, struct err *e);

/*
 * Text for people: addresses, leases, forwards, flows (state, both ends, bytes, age), counters. flows: each flow too.
 * nat_check_leaks is for tests: how many flows and sockets are alive.
 */
void nat_info(const struct nat *n, bool flows, FILE *out);
struct nat_counts {
    unsigned tcp, udp, icmp, sockets, leases, fragments;
    uint64_t memory; /* bytes held for flows and fragments */
};
void nat_counts(const struct nat *n, struct nat_counts *c);

/* Leases, for another gateway to go on with: the latest heard of first, at most max. */
struct nat_lease_state {
    uint8_t mac[ETH_ALEN];
    char name[NAT_NAME_MAX]; /* ends with a zero; "": none */
    struct net_addr a4, a6;
    uint32_t left4, left6; /* s; 0: no lease of this family */
};
unsigned nat_leases(const struct nat *n, struct nat_lease_state *out, unsigned max);
uint64_t nat_leases_version(const struct nat *n); /* another number when they may have changed */
/* To a gateway that has just been made. in may be anything: what does not fit the network is left out. */
void nat_leases_restore(struct nat *n, const struct nat_lease_state *in, unsigned count);

/* "10.0.2.2", "fec0::2"; false: neither. */
bool net_addr_parse(const char *text, struct net_addr *a);
enum { NET_ADDR_TEXT = 46 };
const char *net_addr_text(const struct net_addr *a, char buf[NET_ADDR_TEXT]); /* buf */
bool net_addr_is4(const struct net_addr *a);
bool net_addr_none(const struct net_addr *a);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);
struct net_addr net_addr_of4(uint32_t host_order);

#endif
