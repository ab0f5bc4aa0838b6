/*
 * A guest's end of TCP connections through a NAT, scripted: each segment is said. On top of the packet driver.
 *
 * The far peer is a socket on this host's loopback, which the guest reaches as the gateway (host_loopback). A conn keeps
 * the numbers: seq is the next the guest sends, ack the next it expects.
 */
#ifndef TESTS_UNIT_TCP_PEER_H
#define TESTS_UNIT_TCP_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/nat.h"
#include "netstack/nat_tcp_int.h"
#include "tests/unit/net_driver.h"

#define MS UINT64_C(1000000)

struct tcp_world {
    struct world w;
    struct far g; /* the guest */
    struct nat *nat;
    struct nat_tcp *t;
};

struct conn {
    struct tcp_world *tw;
    const char *dst; /* the peer as the guest sees it */
    uint16_t port, dport;
    uint32_t seq, ack, iss;
    int fd; /* the far peer's socket; -1 */
};

/* c NULL: defaults; host_loopback is set in any case. */
void tcp_begin(struct tcp_world *tw, const struct nat_config *c);
void tcp_end(struct tcp_world *tw); /* checks that nothing is left */

/* A SYN from port to the loopback's dport, with MSS 1460, window scale 7, SACK; what comes back is left to the test. */
void conn_syn(struct conn *c, struct tcp_world *tw, uint16_t port, uint16_t dport);
/* All of the handshake; c->fd is accepted from listener, which the port belongs to. */
void conn_open(struct conn *c, struct tcp_world *tw, uint16_t port, int listener, uint16_t dport);
/* The same with another SYN. */
void conn_open_as(struct conn *c, struct tcp_world *tw, const struct pkt *syn, int listener);
/* Any listener, any port. */
void conn_any(struct conn *c, struct tcp_world *tw);
/* The same to a host whose buffers are as small as they can be. */
void conn_slow(struct conn *c, struct tcp_world *tw);
/* The NAT's SYN has been taken by the test: answer it, and see the ACK. */
void conn_answer(struct conn *c, const struct got *syn);

/* Segments from the guest; PKT fields that are not given follow from the conn. */
#define conn_send(c, ...) conn_send_pkt(c, &(struct pkt){.kind = PKT_TCP, __VA_ARGS__})
void conn_send_pkt(struct conn *c, struct pkt *p);
void conn_data(struct conn *c, const void *data, size_t n); /* with ACK; seq moves on */
void conn_text(struct conn *c, const char *text);
void conn_ack(struct conn *c); /* everything so far */

/* The next segment to the guest of this connection; data and FIN move ack on. */
#define conn_expect(c, ...) conn_expect_pkt(c, &(struct pkt){.kind = PKT_TCP, __VA_ARGS__}, __FILE__, __LINE__)
const struct got *conn_expect_pkt(struct conn *c, struct pkt *p, const char *file, int line);
void conn_expect_text(struct conn *c, const char *text);
void conn_expect_ack(struct conn *c); /* a segment without data that acknowledges seq */

void host_text(struct conn *c, const char *text);        /* the far peer writes */
void host_expect_text(struct conn *c, const char *text); /* and reads */
void host_expect_end(struct conn *c);                    /* the stream's end */
void host_expect_error(struct conn *c, int error);

/* In order: both have closed, the guest first; nothing is left but TIME_WAIT at the guest. */
void conn_close(struct conn *c);

struct nat_counts tcp_counts(struct tcp_world *tw);
struct tcp_flow *conn_flow(const struct conn *c); /* NULL: none */
/* Turn the loop until there is no flow. */
void tcp_until_empty(struct tcp_world *tw);

#endif
