/*
 * What a guest's packet and a host's socket owe each other: hops, class of service and "do not fragment" on the way out,
 * ICMP errors that this host got about it on the way in. So traceroute and path MTU discovery work through the NAT.
 */
#ifndef NETSTACK_NAT_RELAY_H
#define NETSTACK_NAT_RELAY_H

#include <time.h>

#include <linux/errqueue.h> /* needs time.h */

#include "netstack/nat_int.h"

/* Of a socket: what was set last. All zero at first. */
struct nat_shape {
    uint8_t ttl, tos;
    bool tos_set, df, df_set;
};
/* The next packet leaves with one hop less than it came with, and as fragmentable as it came. */
void nat_shape_apply(int fd, struct nat_shape *s, const struct nat_ip *ip);

/* Errors about what this socket sends are kept for nat_relay_read. family: the socket's. */
void nat_relay_enable(int fd, int family);

enum { NAT_RELAY_DATA = 512 };
struct nat_host_error {
    struct sock_extended_err ee;
    struct sockaddr_storage dst, offender; /* whom the packet was for; who complains (family 0: this host) */
    uint8_t data[NAT_RELAY_DATA];          /* what came back of it: UDP: behind its header; ICMP: from its header on */
    size_t len;
};
/* The next one, without waiting. false: there is none. */
bool nat_relay_read(int fd, struct nat_host_error *e);
/* The far end itself says that nothing listens: it is alive. */
bool nat_relay_alive(const struct nat_host_error *e);

/* Tell the guest. head: the L4 header's first 8 bytes as the guest sent them; data of e follow (ICMP: behind its header). */
struct nat_quote {
    struct net_addr guest, dst; /* as the guest knows them */
    uint8_t proto;
    uint8_t head[8];
};
void nat_relay_send(struct nat *n, const struct nat_host_error *e, const struct nat_quote *q);

#endif
