/*
 * Inside the NAT: what its layers owe each other. Files: nat.c (life, port, configuration), nat_eth.c (Ethernet, ARP,
 * neighbours), nat_ip4.c, nat_ip6.c (headers, fragments), nat_icmp.c, nat_udp.c (flows), nat_tcp*.c, nat_dhcp4.c,
 * nat_dhcp6.c, nat_ra.c, nat_dns.c, nat_tftp.c, nat_forward.c, nat_host.c (addresses and sockets of the host), nat_info.c.
 *
 * Way in: nat_eth_input -> nat_ip4_input or nat_ip6_input -> (reassembled) nat_tcp_input, nat_udp_input, nat_icmp_input.
 * A frame's buffer is the sender's: what outlives the call is copied. Way out: nat_ip_send from any layer.
 */
#ifndef NETSTACK_NAT_INT_H
#define NETSTACK_NAT_INT_H

#include <sys/socket.h>

#include "base/clock.h"
#include "netstack/nat.h"
#include "netstack/packet.h"

enum { IP_PROTO_ICMP = 1, IP_PROTO_TCP = 6, IP_PROTO_UDP = 17, IP_PROTO_ICMP6 = 58 };

/* A guest's IP packet, its headers behind it. */
struct nat_ip {
    struct net_addr src, dst;
    uint8_t proto, ttl, tos;
    bool is4, group;         /* group: to a multicast or broadcast address, or to a group MAC */
    bool csum_ok;            /* the layer above need not verify: NET_CSUM_VALID or PARTIAL */
    const uint8_t *mac;      /* the sender's */
    const uint8_t *header;   /* the IP header and up to 8 bytes of payload, for ICMP errors */
    size_t header_len;
};

/* What to send. The layer above has filled its own checksum, or leaves it to us by csum_offset. */
struct nat_out {
    struct net_addr src, dst; /* of one family */
    uint8_t proto, ttl /* 0: 64 */, tos;
    const struct iovec *iov; /* the L4 header and its data; at most NAT_OUT_IOV */
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
void nat_ip4_input(struct nat *n, struct packet *p, const uint8_t src_mac[ETH_ALEN], bool group, uint8_t flags);
void nat_ip6_input(struct nat *n, struct packet *p, const uint8_t src_mac[ETH_ALEN], bool group, uint8_t flags);
void nat_tcp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_udp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_icmp_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
void nat_icmp6_input(struct nat *n, const struct nat_ip *ip, struct packet *p);
/* The far end has room again: each kind of flow goes on. */
void nat_tcp_ready(struct nat *n);
void nat_udp_ready(struct nat *n);
/* An ICMP error about the guest's packet ip. Rate-limited; never about group addresses. mtu: for "too big" only. */
enum nat_unreach { UNREACH_NET, UNREACH_HOST, UNREACH_PORT, UNREACH_ADMIN, UNREACH_TTL, UNREACH_TOO_BIG };
void nat_icmp_error(struct nat *n, const struct nat_ip *ip, enum nat_unreach why, uint32_t mtu);

/* Services: UDP datagrams to the gateway or to a group address. true: it was theirs. */
bool nat_dhcp4_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_dhcp6_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_dns_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
bool nat_tftp_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p);
/* DNS over TCP: tcp connections to dns:53 go to this function's host socket; see nat_host_target. */
/* A UDP datagram to the guest. */
bool nat_udp_send(struct nat *n, const struct net_addr *src, uint16_t sport, const struct net_addr *dst, uint16_t dport,
                  const void *data, size_t len);

/*
 * Where a guest's packet to dst:port goes on this host. false: nowhere (why: the ICMP error to answer with, TCP: RST):
 * restrict, loopback, addresses of the virtual network that nobody has, broadcast.
 */
bool nat_host_target(struct nat *n, const struct net_addr *dst, uint16_t port, bool tcp, struct sockaddr_storage *to,
                     socklen_t *len, enum nat_unreach *why);
/* What the guest sees as the peer, for a datagram or connection from this host address. */
struct net_addr nat_guest_view(struct nat *n, const struct sockaddr_storage *from);
/* The address forwarded connections go to by default: the first lease, else dhcp_start. */
struct net_addr nat_first_guest(const struct nat *n);
bool nat_is_gateway(const struct nat *n, const struct net_addr *a); /* host, host6, the link-local address of ours */
bool nat_is_dns(const struct nat *n, const struct net_addr *a);

/* Sockets of the host: non-blocking, close-on-exec, counted for nat_counts. -1 with errno. */
int nat_socket(struct nat *n, int family, int type, int protocol);
void nat_close(struct nat *n, int fd); /* removed from the loop by the caller */

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
/* guestfwd: a connected stream socket for a guest's connection to addr:port, -1: none such. */
int nat_guestfwd_open(struct nat *n, const struct net_addr *addr, uint16_t port);
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
void nat_forwards_info(const struct nat_forwards *f, FILE *out);
/* The name of a guest by its lease, the address of a guest by name; for DNS. */
bool nat_dhcp_lookup(const struct nat_dhcp *d, const char *name, struct net_addr *a4, struct net_addr *a6);

/* Who is behind the port: MAC by address, learnt from ARP, neighbour discovery, DHCP and packets. */
bool nat_neighbour(const struct nat *n, const struct net_addr *a, uint8_t mac[ETH_ALEN]);
void nat_neighbour_learn(struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN]);

struct nat {
    struct net_env env;
    struct nat_config c; /* defaults filled in */
    struct net_port port;
    uint8_t mac[ETH_ALEN];   /* 52:55:0a:00:02:02, the gateway's */
    struct net_addr link6;   /* its link-local address */
    unsigned sockets;
    struct nat_neighbours *neighbours;
    struct nat_frag *frag;
    struct nat_icmp *icmp;
    struct nat_udp *udp;
    struct nat_tcp *tcp;
    struct nat_dhcp *dhcp;
    struct nat_dns *dns;
    struct nat_tftp *tftp;
    struct nat_forwards *forwards;
    struct timer ra_timer;
    uint64_t ip_id;
    uint64_t errors_sent, bad_packets; /* counters of nat_info */
};

#endif
