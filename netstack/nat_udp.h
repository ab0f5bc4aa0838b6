/*
 * UDP's parts among themselves: flows and the guests' side (nat_udp.c), the host's sockets (nat_udp_host.c).
 *
 * A guest's address and port have one socket, whoever they speak to, and get what comes to it from anyone (RFC 4787:
 * endpoint-independent mapping and filtering, REQ-1, REQ-8), but for the host's loopback, which is heard only where it may
 * be reached. A forward has one socket too; each of its clients is a flow, so that answers find their way.
 */
#ifndef NETSTACK_NAT_UDP_H
#define NETSTACK_NAT_UDP_H

#include <netinet/in.h>

#include "netstack/nat_flow.h"
#include "netstack/nat_int.h"
#include "netstack/nat_relay.h"

enum {
    UDP_HLEN = 8,
    UDP_BATCH = 32,
    UDP_BUF = 65536,
    /* lists of flows, by time-out */
    UDP_LIST_LONG = 0,  /* 2 minutes (RFC 4787, REQ-5) */
    UDP_LIST_SHORT = 1, /* 5 seconds: one question to a DNS server */
};

/* A socket of the host: of one flow, or of a forward and its clients' flows. */
struct nat_udp_sock {
    struct nat *nat;
    int fd;
    int family;
    struct nat_shape shape;
    bool stopped;               /* not watched: the far end has no room */
    bool no_gso;                /* the host refused it here */
    struct nat_udp_flow *flow;  /* of a guest's socket */
    struct nat_udp_sock *next;  /* of forwards */
    struct nat_forward forward; /* .guest_port 0: it is a guest's socket */
    unsigned clients;           /* flows of a forward */
    bool ended;                 /* a forward that was removed: closed with its last flow */
};

struct nat_udp_flow {
    struct nat_flow flow; /* first */
    struct nat_udp_sock *sock;
    struct net_addr guest, peer; /* peer: as the guest sees it; of a forward's client, or the last one */
    uint16_t guest_port, peer_port;
    struct sockaddr_storage client; /* of a forward; else family 0 */
    socklen_t client_len;
    struct in6_pktinfo local; /* the address the client used; none: the socket's own */
    uint64_t sent, got;       /* bytes, from and to the guest */
};

/* What recvmmsg got; kept while the far end has no room. */
struct nat_udp_batch {
    struct nat_udp_sock *sock; /* NULL: it is empty */
    unsigned next, count;
    size_t off; /* bytes of messages[next] that are sent */
    struct mmsghdr message[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    struct sockaddr_storage from[UDP_BATCH];
    struct {
        _Alignas(struct cmsghdr) uint8_t bytes[128];
    } control[UDP_BATCH];
    uint8_t *buf; /* UDP_BATCH of UDP_BUF */
};

struct nat_udp {
    struct nat *nat;
    struct nat_flows flows;
    struct nat_udp_sock *forwards;
    unsigned clients; /* flows of forwards */
    unsigned stopped; /* sockets */
    struct nat_udp_batch batch;
};

/* The flow of a forward's client; made when it is new, if make. NULL: none, no memory, or no guest. */
struct nat_udp_flow *nat_udp_client(struct nat_udp_sock *s, const struct sockaddr_storage *from, socklen_t len,
                                    bool make);

struct nat_udp_sock *nat_udp_sock_new(struct nat *n, int fd, int family); /* fd is the socket's; NULL: no memory */
void nat_udp_sock_free(struct nat_udp_sock *s);
bool nat_udp_batch_init(struct nat_udp *u);
/*
 * The guest's datagram p goes to `to` by the flow's socket. 0, or what errno says; lost packets are 0. Sent whole, or as the
 * segments of ip->gso_size.
 */
int nat_udp_host_send(struct nat_udp_flow *f, const struct nat_ip *ip, const struct packet *p,
                      const struct sockaddr_storage *to, socklen_t to_len);

#endif
