/* ICMP's parts among themselves: errors and dispatch (nat_icmp.c), echo by sockets (nat_echo.c), by probes (nat_probe.c). */
#ifndef NETSTACK_NAT_ICMP_H
#define NETSTACK_NAT_ICMP_H

#include "netstack/nat_flow.h"
#include "netstack/nat_int.h"

enum {
    ICMP_HLEN = 8,
    ICMP_ECHO = 8, /* IPv4 */
    ICMP_ECHO_REPLY = 0,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    NAT_ERROR_BUCKETS = 64,
};

struct nat_icmp {
    struct nat *nat;
    struct nat_flows echo, probes;
    bool refused[2]; /* by family (IPv4, IPv6): the host has no ICMP sockets for us, echo is by probes */
    uint64_t synthesised;
    uint64_t credit[NAT_ERROR_BUCKETS]; /* of errors, by MAC: when the next is free; see nat_icmp_may */
    uint8_t *buf;                       /* NAT_ECHO_MAX */
};
enum { NAT_ECHO_MAX = 65535 };

/* An echo request to somebody else; h is its ICMP header, p what is behind it. */
struct nat_echo {
    const struct nat_ip *ip;
    uint8_t h[ICMP_HLEN];
    struct packet *p;
    struct sockaddr_storage to;
    socklen_t to_len;
};
void nat_echo_request(struct nat *n, const struct nat_echo *e);
void nat_probe_request(struct nat *n, const struct nat_echo *e);
/* Reply to a guest: id and seq are those of its request. */
bool nat_echo_reply(struct nat *n, const struct net_addr *src, const struct net_addr *guest, uint8_t ttl,
                    uint32_t id_seq, const void *data, size_t len);
bool nat_echo_init(struct nat_icmp *i, unsigned cap);
bool nat_probe_init(struct nat_icmp *i, unsigned cap);
void nat_echo_info(const struct nat_icmp *i, FILE *out);
void nat_probe_counts(const struct nat_icmp *i, struct nat_counts *c);

#endif
