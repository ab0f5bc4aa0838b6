/*
 * A guest that moves bulk data over one TCP connection: a TCP of its own, at the far end of a cable to a NAT.
 *
 * It shares no code with the NAT's TCP. Data are a function of their place in the stream, so that nothing is kept to be sent
 * again, and what comes out of order is verified at once. Losses are found by the order of sending (in the manner of RACK,
 * RFC 8985), not by counting. The owner calls tcp_model_run after each turn of the loop.
 */
#ifndef TESTS_UNIT_TCP_MODEL_H
#define TESTS_UNIT_TCP_MODEL_H

#include "netstack/port.h"

struct tcp_model_config {
    uint64_t send, receive; /* bytes; then each end closes */
    uint16_t port, dport;   /* dport: of 10.0.2.2 */
    uint16_t mss;           /* offered */
    uint32_t frame;         /* payload of the frames it sends; above the NAT's MSS: segmented */
    uint32_t window;        /* offered, and kept on the way at most */
    bool sack, scale;
    bool full_sums;         /* checksums are computed, not left to the receiver */
    bool no_verify;         /* measure: data are whatever they are */
    bool at_once;           /* it answers a frame while that is being handed over */
    bool accept;            /* wait for the NAT's SYN (to dport, which is the guest's then) instead */
};

enum { MODEL_FRAMES = 4096, MODEL_RANGES = 64 };

/* Places are 64 bits: 0 is the SYN, 1 the first byte, the FIN comes last; numbers on the wire are those plus a start. */
struct model_frame { /* sent, not acknowledged */
    uint64_t at, len;
    uint64_t order; /* of its last sending */
    bool sacked, lost;
};

enum model_state { MODEL_LISTEN, MODEL_SYN, MODEL_OPEN, MODEL_RESET };

struct tcp_model {
    struct net_env env;
    struct tcp_model_config c;
    struct net_port port;
    enum model_state state;
    bool refused, arp_due;
    unsigned acks_due;
    uint8_t arp[42];
    uint8_t *buf, *check; /* 64 KiB each */
    uint16_t local, remote; /* ports */

    uint32_t iss;
    uint64_t una, nxt, edge; /* edge: of the window offered to us */
    uint8_t shift;
    uint32_t mss; /* the NAT's */
    struct model_frame frame[MODEL_FRAMES];
    unsigned first, count; /* of frame[], a ring */
    uint64_t order, acked_order; /* the latest sending, and the latest that is known to have arrived */
    uint64_t rto_at;
    unsigned backoff;
    uint64_t cwnd;

    uint32_t irs;
    uint64_t rcv;
    unsigned ranges;
    uint64_t range[MODEL_RANGES][2], recent;
    uint64_t fin; /* place of the far end's FIN; 0: not seen */

    uint64_t retransmitted, received, bad; /* frames, frames, pieces with wrong data */
};

void tcp_model_init(struct tcp_model *m, const struct net_env *env, const struct tcp_model_config *c);
void tcp_model_free(struct tcp_model *m);
void tcp_model_run(struct tcp_model *m); /* send what may be sent now; also drives its timer */
bool tcp_model_sent(const struct tcp_model *m);     /* all of it, and the FIN, are acknowledged */
bool tcp_model_received(const struct tcp_model *m); /* everything up to the FIN */

/* Bytes [off, off + n) of the stream that is named by key (0: from the guest, 1: to it). */
void model_data(uint64_t key, uint64_t off, void *buf, size_t n);

#endif
