/*
 * Inside the NAT: what its layers owe each other. Files: nat.c (life, port, configuration), nat_eth.c (Ethernet, ARP,
 * neighbours), nat_ip4.c, nat_ip6.c (headers), nat_frag.c (reassembly), nat_out.c (the way out), nat_nd.c, nat_icmp.c,
 * nat_flow.c (tables of flows), nat_udp.c, nat_tcp*.c, nat_dhcp4.c, nat_dhcp6.c, nat_ra.c, nat_dns.c, nat_tftp.c,
 * nat_forward.c, nat_handover.c, nat_host.c (addresses and sockets of the host), nat_info.c.
 *
 * Way in: nat_eth_input -> nat_ip4_input or nat_ip6_input -> (reassembled) nat_tcp_input, nat_udp_input, nat_icmp_input.
 * A frame's buffer is the sender's: what outlives the call is copied. It may be the guest's memory, which changes while
 * we look: a field that is checked and then used is read once, into a copy (packet_copy). Way out: nat_ip_send from any
 * layer. A send may come back: with two gateways on one switch, nat_ip_send ends in nat_eth_input.
 */
#ifndef NETSTACK_NAT_INT_H
#define NETSTACK_NAT_INT_H

#include <sys/socket.h>

#include "base/clock.h"
#include "netstack/nat.h"
#include "netstack/packet.h"

struct nat_dns;
struct nat_neighbours;

enum { IP_PROTO_ICMP = 1, IP_PROTO_TCP = 6, IP_PROTO_UDP = 17, IP_PROTO_ICMP6 = 58 };

/*
 * A guest's IP packet, its headers behind it. The layers above see only packets for which these hold: src is unicast and
 * on our net (or none: IPv4 before DHCP, UDP only), not ours, and lives behind mac; dst is not loopback, nor an IPv4
 * address in IPv6's clothes; ttl is more than 1 when the packet is for others than us.
 */
struct nat_ip {
    struct net_addr src, dst;
    uint8_t proto, ttl, tos;
    bool is4, group;         /* group: to a multicast or broadcast address, or to a group MAC */
    bool csum_ok;            /* the layer above need not verify: NET_CSUM_VALID or PARTIAL */
    bool df;                 /* not to be fragmented on its way: "too big" is wanted (IPv6: it came in one piece) */
    uint16_t gso_size;       /* the packet stands for several, each with so many bytes of payload; 0: it is one */
    const uint8_t *mac;      /* the sender's */
    const uint8_t *header;   /* a copy of the IP header and 8 bytes of payload or more, for ICMP errors */
    size_t header_len;
};

/* What to send. The layer above has filled its own checksum, or leaves it to us by csum_offset. */
struct nat_out {
    struct net_addr src, dst; /* of one family */
    uint8_t proto, ttl /* 0: 64 */, tos;
    const struct iovec *iov; /* the L4 header and its data; at most NAT_OUT_IOV; at most 65,535 bytes with the IP header */
    unsigned iovcnt;
    size_t len;
    int csum_offset;   /* place of the checksum in the L4 header, filled here; -1: it is right already */
    uint16_t gso_size; /* 0: one packet (fragmented when it is larger than the MTU); else TCP or UDP payload of each */
    const uint8_t *mac; /* NULL: looked up from dst */
};
enum { NAT_OUT_IOV = 16 };
/* false: the far end has no room; nothing was sent; nat_ready() will come. Lost packets are true. */
bool nat_ip_send(struct nat *n, const struct nat_out *o);
bool nat_ip_send_group(struct nat *n, const struct nat_out *o, const uint8_t mac[ETH_ALEN]);
uint32_t nat_mtu(const struct nat *n); /* of IP packets to the guest */

void nat_eth_input(struct nat *n, const struct net_frame *f);
/* p: the IP packet, a part of f. */
void nat_ip4_input(struct nat *n, const struct net_frame *f, struct packet *p, const uint8_t mac[ETH_ALEN], bool group);
void nat_ip6_input(struct nat *n, const struct net_frame *f, struct packet *p, const uint8_t mac[ETH_ALEN], bool group);
/* To the layer that ip->proto names. */
void nat_ip_deliver(struct nat *n, const struct nat_ip *ip, struct packet *p);
/* The sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1), for csum_fold with the payload's. */
uint32_t nat_pseudo(const struct net_addr *src, const struct net_addr *dst, uint8_t proto, size_t len);
/* The checksum of the payload p is right, or need not be looked at (ip->csum_ok). */
bool nat_csum_right(const struct nat_ip *ip, const struct packet *p);
/* Something wrong in a packet from behind the port: counted, and a line in the guest log. */
void nat_bad(struct nat *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nat_tcp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_udp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_icmp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_icmp6_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
/* The far end has room again: each kind of flow goes on. */
void nat_tcp_ready(struct nat *n);
void nat_udp_ready(struct nat *n);
/*
 * An ICMP error about the guest's packet ip, from the gateway. Rate-limited; never about group addresses, nor about ICMP
 * errors. arg: the MTU for "too big", the place in the packet for the three bad ones, else 0.
 */
enum nat_unreach {
    UNREACH_NET,
    UNREACH_HOST,
    UNREACH_PROTO,
    UNREACH_PORT,
    UNREACH_ADMIN,
    UNREACH_TTL,
    UNREACH_REASSEMBLY, /* time is over */
    UNREACH_TOO_BIG,
    UNREACH_BAD_HEADER,
    UNREACH_BAD_NEXT,   /* IPv6: a next header that is not known */
    UNREACH_BAD_OPTION, /* IPv6 */
    UNREACH_KINDS
};
void nat_icmp_error(struct nat *n, const struct nat_ip *ip, enum nat_unreach why, uint32_t arg);
/* What errno of a connect or send says of the far end. */
enum nat_unreach nat_unreach_of(int error);
/* An ICMP message to a guest: 8 bytes of header, of which rest is the second half, and data. */
struct nat_icmp_msg {
    struct net_addr src, dst;
    const uint8_t *mac; /* NULL: looked up from dst */
    uint8_t type, code, ttl /* 0: 64 */, tos;
    uint32_t rest;
    const void *data;
    size_t len;
};
bool nat_icmp_send(struct nat *n, const struct nat_icmp_msg *m); /* as nat_ip_send */
bool nat_icmp_send_group(struct nat *n, const struct nat_icmp_msg *m);
/* Another error may go to the guest with this MAC now; takes one of its share. */
bool nat_icmp_may(struct nat *n, const uint8_t mac[ETH_ALEN]);
/* The address of ours by which the gateway speaks to this guest. */
struct net_addr nat_gateway_for(const struct nat *n, const struct net_addr *guest);
/* Neighbour discovery, type 133 to 137; its checksum is right. */
void nat_nd_input(struct nat *n, const struct nat_ip *ip, struct packet *p);

/*
 * Services: UDP datagrams to the gateway, to the DNS address or to a group address. true: it was theirs. p is behind the
 * UDP header, checked and without padding. They are asked with restrict_ too: what of them leaves this host is for them
 * to refuse then.
 */
bool nat_dhcp4_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_dhcp6_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_dns_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_tftp_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
/* DNS over TCP: a stream socket for a guest's connection to dns:53, which nat_guestfwd_open gives as one of its own. */
int nat_dns_open(struct nat_dns *d);
/* Router advertisements: a guest solicits (checked: RFC 4861, 6.1.1; ip->src may be none); the timer's start and end. */
void nat_ra_solicited(struct nat *n, const struct nat_ip *ip);
void nat_ra_init(struct nat *n);
void nat_ra_fini(struct nat *n);
/* A UDP datagram to the guest. Up to 65,507 bytes; fragmented when it is larger than the MTU. */
bool nat_udp_send(struct nat *n, const struct net_addr *src, uint16_t sport, const struct net_addr *dst, uint16_t dport,
                  const void *data, size_t len);

/*
 * Where a guest's packet to dst:port goes on this host. false: nowhere (why: the ICMP error to answer with, TCP: RST):
 * restrict, loopback, addresses of the virtual network that nobody has, broadcast.
 */
bool nat_host_target(struct nat *n, const struct net_addr *dst, uint16_t port, struct sockaddr_storage *to,
                     socklen_t *len, enum nat_unreach *why);
bool nat_in_net(const struct nat *n, const struct net_addr *a); /* of the virtual network (link-local too) */
/* ARP and neighbour discovery answer for it: the gateway's addresses, DNS, guestfwd's. */
bool nat_is_ours(const struct nat *n, const struct net_addr *a);
/* A host's address and port from what a socket says (IPv4 in IPv6's clothes is IPv4), and for a socket. */
struct net_addr net_addr_of_sock(const struct sockaddr_storage *from, uint16_t *port);
socklen_t net_addr_to_sock(const struct net_addr *a, uint16_t port, struct sockaddr_storage *to);
bool net_addr_loopback(const struct net_addr *a); /* 127/8, ::1 */
/* What the guest sees as the peer, for a datagram or connection from this host address. */
struct net_addr nat_guest_view(struct nat *n, const struct sockaddr_storage *from);
/* The same for a guest of one family: a peer of the other one is the gateway to it. */
struct net_addr nat_guest_view_for(struct nat *n, const struct sockaddr_storage *from, const struct net_addr *guest);
/* Where a forward leads to now, none: its guest has no address yet. */
struct net_addr nat_forward_guest(const struct nat *n, const struct nat_forward *f);
/* The address forwarded connections go to by default: nat_dhcp_first; none: there is no IPv4. */
struct net_addr nat_first_guest(const struct nat *n);
bool nat_is_gateway(const struct nat *n, const struct net_addr *a); /* host, host6, the link-local address of ours */
bool nat_is_dns(const struct nat *n, const struct net_addr *a);

/*
 * Sockets of the host: non-blocking, close-on-exec, counted for nat_counts. -1 with errno: EMFILE also when few
 * descriptors are left to the rest of the process; who asks then ends a flow of its own and tries again.
 */
int nat_socket(struct nat *n, int family, int type, int protocol);
int nat_adopt(struct nat *n, int fd); /* one that accept or socketpair made (both flags set): counted; its number */
void nat_close(struct nat *n, int fd); /* removed from the loop by the caller; -1: nothing */

/* Parts own their state; made and freed by nat.c. NULL: out of memory. */
struct nat_tcp *nat_tcp_new(struct nat *n);
void nat_tcp_free(struct nat_tcp *t);
struct nat_udp *nat_udp_new(struct nat *n);
void nat_udp_free(struct nat_udp *u);
struct nat_icmp *nat_icmp_new(struct nat *n);
void nat_icmp_free(struct nat_icmp *i);
struct nat_frag *nat_frag_new(struct nat *n);
void nat_frag_free(struct nat_frag *f);
struct nat_dhcp *nat_dhcp_new(struct nat *n, struct err *e);
void nat_dhcp_free(struct nat_dhcp *d);
struct nat_dns *nat_dns_new(struct nat *n);
void nat_dns_free(struct nat_dns *d);
struct nat_tftp *nat_tftp_new(struct nat *n, struct err *e);
void nat_tftp_free(struct nat_tftp *t);
struct nat_forwards *nat_forwards_new(struct nat *n);
void nat_forwards_free(struct nat_forwards *f);
/* A connection that a forward's listening socket accepted (fd becomes tcp's, even on failure). from: as the guest is to see it. */
void nat_tcp_forwarded(struct nat *n, int fd, const struct net_addr *from, uint16_t from_port, const struct net_addr *guest,
                       uint16_t guest_port);
/*
 * guestfwd: a stream socket for a guest's connection to addr:port, the caller's; it is connected or about to be, as after
 * a non-blocking connect. -1: errno ENOENT: none such; another: it failed.
 */
int nat_guestfwd_open(struct nat *n, const struct net_addr *addr, uint16_t port);
bool nat_guestfwd_addr(const struct nat *n, const struct net_addr *addr); /* some guestfwd is on addr */
/* UDP forwards: the socket fd (nat_udp's from now on) serves guest's port; false: no memory. Ended by host address. */
bool nat_udp_forward(struct nat *n, int fd, const struct nat_forward *f);
void nat_udp_forward_end(struct nat *n, int fd); /* no new clients; it is closed with its last flow */
/* One that was ended and is still open serves f from now on: its descriptor. -1: there is none with this host side. */
int nat_udp_forward_again(struct nat *n, const struct nat_forward *f);
/* Text and counts of each part, for nat_info and nat_counts. */
void nat_tcp_info(const struct nat_tcp *t, bool flows, FILE *out);
void nat_tcp_counts(const struct nat_tcp *t, struct nat_counts *c);
void nat_udp_info(const struct nat_udp *u, bool flows, FILE *out);
void nat_udp_counts(const struct nat_udp *u, struct nat_counts *c);
void nat_icmp_info(const struct nat_icmp *i, bool flows, FILE *out);
void nat_icmp_counts(const struct nat_icmp *i, struct nat_counts *c);
void nat_frag_counts(const struct nat_frag *f, struct nat_counts *c);
void nat_dhcp_info(const struct nat_dhcp *d, FILE *out);
void nat_dhcp_counts(const struct nat_dhcp *d, struct nat_counts *c);
void nat_dns_info(const struct nat_dns *d, FILE *out);
void nat_tftp_info(const struct nat_tftp *t, FILE *out);
void nat_forwards_info(const struct nat_forwards *f, FILE *out);
/* A line in the form of QEMU's `info usernet`; what is not known of both queues is 0. fd -1: none. */
struct nat_info_row {
    const char *state; /* "TCP[ESTABLISHED]" */
    int fd;
    const struct net_addr *src, *dst; /* NULL: any */
    uint16_t sport, dport;
    size_t recvq, sendq;
    uint64_t bytes_out, bytes_in; /* from the guest, to the guest */
    uint64_t age;                 /* ns since the flow began; 0: no flow, no such columns */
};
void nat_info_row(FILE *out, const struct nat_info_row *r);
/* The first guest that has an IPv4 lease, else the first static lease, else the start of the pool. */
struct net_addr nat_dhcp_first(const struct nat_dhcp *d);
/* The IPv4 address that mac has by a lease, none: it has none. */
struct net_addr nat_dhcp_of(const struct nat_dhcp *d, const uint8_t mac[ETH_ALEN]);
/* The name of a guest by its lease, the address of a guest by name; for DNS. */
bool nat_dhcp_lookup(const struct nat_dhcp *d, const char *name, struct net_addr *a4, struct net_addr *a6);

/*
 * Who is behind the port: MAC by address, learnt from ARP, neighbour discovery, DHCP (nat_neighbour_learn, which also
 * changes what is known) and packets (nat_neighbour_seen, which does not: false when a was seen lately behind another MAC).
 * Addresses that are not a guest's are not learnt.
 */
bool nat_neighbour(const struct nat *n, const struct net_addr *a, uint8_t mac[ETH_ALEN]);
void nat_neighbour_learn(struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN]);
bool nat_neighbour_seen(struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN]);
/* The IPv4 address that mac was seen with last; none: never. */
struct net_addr nat_neighbour_of(const struct nat *n, const uint8_t mac[ETH_ALEN]);
/* Another MAC than this was seen behind a lately. */
bool nat_neighbour_in_use(const struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN]);
/* The frame (its destination to be filled in) goes to a when its MAC is known; a is asked for. Copied; may be lost. */
void nat_neighbour_wait(struct nat *n, const struct net_addr *a, const struct net_frame *f);
struct nat_neighbours *nat_neighbours_new(struct nat *n);
void nat_neighbours_free(struct nat_neighbours *nb);
bool nat_config_fill(struct nat_config *c, struct err *e); /* defaults, then checks; nat_config.c */
void nat_neighbours_info(const struct nat_neighbours *nb, FILE *out);
void nat_arp_ask(struct nat *n, const struct net_addr *a);
void nat_nd_ask(struct nat *n, const struct net_addr *a);
/* A frame of ours with these len bytes, at most 256; lost when there is no room. */
void nat_eth_send(struct nat *n, const uint8_t dst[ETH_ALEN], uint16_t ethertype, const void *data, size_t len);

/* Router advertisements: nat_ra.c. */
struct nat_ra {
    struct timer timer;
    unsigned first;     /* of the frequent ones at the start that are still to be sent */
    uint64_t second;    /* in which `solicited` were answered, ns of its start */
    unsigned solicited;
    int netlink;        /* tells of changes of the host's routes; -1: none */
    bool routed;        /* the host has a way to the world by IPv6 */
};

struct nat {
    struct net_env env;
    struct nat_config c; /* defaults filled in */
    struct net_port port;
    uint8_t mac[ETH_ALEN];   /* 52:55:0a:00:02:02, the gateway's */
    struct net_addr link6;   /* its link-local address */
    unsigned sockets;
    int fd_limit;            /* descriptors from here on are left to others */
    struct nat_neighbours *neighbours;
    struct nat_frag *frag;
    struct nat_icmp *icmp;
    struct nat_udp *udp;
    struct nat_tcp *tcp;
    struct nat_dhcp *dhcp;
    struct nat_dns *dns;
    struct nat_tftp *tftp;
    struct nat_forwards *forwards;
    struct nat_ra ra;
    uint64_t ip_id;
    uint64_t errors_sent, bad_packets; /* counters of nat_info */
};

#endif
