/*
 * Inside the NAT's TCP: flows, and what its files owe each other. The theory of operation is at the head of nat_tcp.c.
 *
 * Directions are named from here: we send to the guest and receive from it. All sequence numbers are 32 bits and wrap;
 * they are compared by seq_lt and its like only.
 */
#ifndef NETSTACK_NAT_TCP_INT_H
#define NETSTACK_NAT_TCP_INT_H

#include <sys/types.h>

#include "netstack/nat_int.h"

enum { SEG_FIN = 1, SEG_SYN = 2, SEG_RST = 4, SEG_PSH = 8, SEG_ACK = 16 };

enum {
    TCP_HLEN = 20,
    TCP_HLEN_MAX = 60,
    TCP_SACKS = 6,             /* ranges of the guest's SACKs that are remembered */
    TCP_SACK_BLOCKS = 4,       /* in one segment (RFC 2018) */
    TCP_RANGES = 64,           /* pieces of a flow's data from the guest that wait for one before them */
    TCP_RING_MIN = 64 << 10,   /* bytes held for a flow, powers of two */
    TCP_RING_MAX = 4 << 20,
    TCP_HELD_MAX = 24 << 20,   /* bytes held for all flows */
    TCP_FRAME = 64 << 10,      /* room for a frame's payload */
    TCP_FRAME_SEGMENTS = 64,   /* of a frame that stands for several */
    TCP_MSS_MIN = 48,          /* a guest's smaller offer is not believed: it would have us send headers only */
    TCP_WSCALE = 7,            /* what we offer: windows of up to 8 MiB */
    TCP_WINDOW_MAX = 4 << 20,
    TCP_FLOWS = 10240,         /* by default */
};

/* As RFC 9293, 3.3.2, the guest being the far end. */
enum flow_state {
    FLOW_CONNECTING,  /* the guest's SYN waits for the host's connect */
    FLOW_SYN_SENT,    /* forwarded: our SYN waits for the guest */
    FLOW_SYN_RCVD,
    FLOW_ESTABLISHED,
    FLOW_FIN_WAIT_1,  /* the host's end has closed first */
    FLOW_FIN_WAIT_2,
    FLOW_CLOSE_WAIT,  /* the guest has */
    FLOW_CLOSING,     /* both at once */
    FLOW_LAST_ACK,
    FLOW_TIME_WAIT,   /* no socket any more */
    FLOW_RESET,       /* no socket any more, an RST is owed to the guest */
    FLOW_DEAD,        /* out of the table, its memory still in use up the stack */
    FLOW_STATES
};

struct tcp_key { /* hashed as it stands: no padding */
    struct net_addr guest, peer;
    uint16_t guest_port, peer_port;
};

/* Data from the guest that the host's socket has not taken, or that came ahead of others. At index seq modulo size. */
struct tcp_ring {
    uint32_t size;
    unsigned ranges; /* in order, apart from each other; [start, end) */
    uint32_t range[TCP_RANGES][2];
    uint32_t recent; /* in the range that came last, which is the first that a SACK names */
    uint8_t data[];
};

enum { /* tcp_flow.todo: what the next turn of output sends */
       TODO_SYN = 1,   /* SYN or SYN with ACK */
       TODO_ACK = 2,
       TODO_WINDOW = 4, /* an ACK if the window has become larger */
       TODO_TAIL = 8,   /* the last segment once more */
       TODO_PROBE = 16, /* a segment that is old to the guest, so that it answers (zero window, keepalive) */
};

enum tcp_loss { LOSS_NONE, LOSS_RECOVERY, LOSS_TIMEOUT };

struct tcp_flow {
    struct nat_tcp *t;
    struct tcp_flow *chain;                   /* of its hash bucket */
    struct tcp_flow *idler, *busier;          /* its guest's, by last use */
    struct tcp_flow *work_prev, *work_next;   /* waiting to send */
    struct tcp_flow *wheel_next, **wheel_prev;
    struct tcp_guest *guest;
    struct tcp_key key;
    uint32_t hash;
    int fd;
    uint8_t state, todo, loss;
    uint8_t retries, probes;           /* since the guest's last sign of life */
    uint8_t dupacks, sacks;
    uint8_t snd_scale, rcv_scale;      /* window shifts */
    bool working;                      /* in the work list */
    bool ending;                       /* waits for its end only: TIME_WAIT, RESET */
    bool forwarded, stream;            /* stream: a unix socket, not TCP */
    bool synced;                       /* the guest's SYN has come: irs and rcv are its numbers */
    bool sack_ok;
    bool wide;                         /* the socket's receive buffer was made large */
    bool peek_off;                     /* the socket keeps the place of our peeking */
    bool readable;                     /* the socket may have something that was not peeked yet, or its end */
    bool host_full;                    /* the socket refused data, or has little room: it will say when there is more */
    bool room_stale;                   /* `room` is to be asked for again */
    bool guest_fin;                    /* the guest's FIN has come; it stands at fin_seq */
    bool fin_taken;                    /* ... and the host's end has it */
    bool fin_sent;                     /* our FIN is the last number before nxt */
    bool rtt_timing;
    bool tail_due;                     /* rto_due is when to ask with the last segment, not yet a time-out */
    bool tail_sent;                    /* that was done since the guest acknowledged something new */
    uint16_t mss;                      /* the guest's, without options */

    /* to the guest */
    uint32_t iss, una, nxt;
    uint32_t head;                     /* number of the first byte that is in the host's socket */
    uint32_t peek;                     /* where the socket's peek offset stands */
    uint32_t wnd, wnd_max, wl1, wl2;
    uint32_t cwnd, ssthresh, recover;  /* recover: nxt when the loss was seen */
    uint32_t rxt, rxt_end;             /* what is to be sent again, but for what was SACKed */
    uint32_t rxt_mark;                 /* nxt when what stands at una was sent again */
    uint32_t later;                    /* bytes SACKed since that were sent later */
    uint32_t sack[TCP_SACKS][2];       /* in order, apart, above una */
    uint32_t rtt_seq;
    uint64_t rtt_start, srtt, rttvar, rto; /* ns; srtt 0: not measured */

    /* from the guest */
    uint32_t irs, rcv;                 /* rcv: the next number we wait for */
    uint32_t adv;                      /* the right edge of the window we offered */
    uint32_t acked;                    /* what we acknowledged last */
    uint32_t taken;                    /* what the host's socket has */
    uint32_t fin_seq;
    uint32_t room, host_size;          /* bytes that the host's socket takes now, and could take when empty */
    struct tcp_ring *ring;             /* NULL: nothing is held */

    uint64_t rto_due, ack_due, armed;  /* armed: where the wheel has it; CLOCK_NEVER */
    uint64_t born, used;
    uint64_t bytes_out, bytes_in;      /* from the guest, to the guest */
};

struct tcp_uses { /* flows by last use */
    struct tcp_flow *idlest, *busiest;
};

struct tcp_guest {
    uint8_t mac[ETH_ALEN];
    unsigned count;
    struct tcp_uses uses[2]; /* [1]: those that only wait for their end */
    struct tcp_guest *next;
};

enum { TCP_WHEEL_SLOTS = 256, TCP_WHEELS = 2 };

struct tcp_wheel {
    struct tcp_flow *slot[TCP_WHEELS][TCP_WHEEL_SLOTS];
    uint64_t tick[TCP_WHEELS]; /* the last that was run */
    struct timer timer;
};

struct tcp_counters {
    uint64_t opened, forwarded, refused, failed, evicted, resets, retransmits, timeouts, challenges, dropped;
};

struct nat_tcp {
    struct nat *n;
    struct tcp_flow **buckets;
    uint32_t mask;
    unsigned count, cap;
    struct tcp_guest *guests;
    uint8_t hash_key[16], isn_key[16];
    struct tcp_flow *work, *work_last;
    unsigned working;
    struct timer work_timer;
    bool work_armed, blocked; /* blocked: the far end had no room */
    struct tcp_flow *dead;    /* to be freed when nothing holds a pointer to one */
    struct tcp_wheel wheel;
    uint64_t challenge_second;
    unsigned challenges;
    uint64_t held;    /* bytes of all rings */
    uint8_t *frame;   /* TCP_FRAME bytes */
    uint8_t *skip;    /* where peeks of kernels without offsets begin; made when needed */
    bool no_peek_off; /* pretend that this kernel is one (tests) */
    /* A connected or connecting socket for a guest's SYN; -1 with errno. A fuzz target puts its own here. */
    int (*connect)(struct nat_tcp *t, const struct sockaddr_storage *to, socklen_t len);
    struct tcp_counters c;
};

/* What a segment says. */
struct tcp_seg {
    uint32_t seq, ack, wnd; /* wnd: not scaled */
    uint8_t flags;
    uint32_t len; /* of data */
    uint16_t mss; /* options: 0, TCP_NO_SCALE: not there */
    uint8_t wscale;
    bool sack_ok;
    unsigned sacks;
    uint32_t sack[TCP_SACK_BLOCKS][2];
    struct packet data;
};
enum { TCP_NO_SCALE = 255 };

static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_lt(a, b) ? b : a; }
static inline uint32_t seq_min(uint32_t a, uint32_t b) { return seq_lt(a, b) ? a : b; }

/* --- nat_tcp.c: life of a flow, the work list ---------------------------------------------------------------------- */

/* Entered in the table, not used yet. NULL: no memory. May evict another. */
struct tcp_flow *tcp_flow_new(struct nat_tcp *t, const struct tcp_key *key, const uint8_t mac[ETH_ALEN]);
void tcp_flow_free(struct tcp_flow *f);      /* closes the host's end in order */
void tcp_flow_kill(struct tcp_flow *f);      /* resets the host's end; the guest knows or need not */
void tcp_flow_reset_guest(struct tcp_flow *f); /* the host's end failed: close it, owe the guest an RST */
void tcp_flow_evict(struct tcp_flow *f);         /* resets both, at once */
void tcp_flow_time_wait(struct tcp_flow *f);
void tcp_flow_wake(struct tcp_flow *f);      /* at the end of this turn of the loop, see what it has to send */
void tcp_flow_unwork(struct tcp_flow *f);

/* --- nat_tcp_table.c ----------------------------------------------------------------------------------------------- */

bool tcp_table_init(struct nat_tcp *t, unsigned cap);
void tcp_table_fini(struct nat_tcp *t);
struct tcp_flow *tcp_table_find(const struct nat_tcp *t, const struct tcp_key *key);
bool tcp_table_add(struct nat_tcp *t, struct tcp_flow *f, const uint8_t mac[ETH_ALEN]); /* false: no memory */
void tcp_table_remove(struct tcp_flow *f);
void tcp_table_touch(struct tcp_flow *f, uint64_t now); /* it was used */
void tcp_table_ending(struct tcp_flow *f);              /* it is of no use any more, but for its ghosts */
bool tcp_table_evict(struct nat_tcp *t);                /* false: there is none */
uint32_t tcp_table_isn(const struct nat_tcp *t, const struct tcp_key *key);

/* --- nat_tcp_input.c, nat_tcp_ack.c -------------------------------------------------------------------------------- */

bool tcp_parse(struct packet *p, struct tcp_seg *s); /* false: malformed. Checksum not looked at */
/* Take note of a right acknowledgement: una <= s->ack <= nxt. */
void tcp_ack(struct tcp_flow *f, const struct tcp_seg *s, uint64_t now);
uint32_t tcp_pipe(const struct tcp_flow *f);     /* bytes that are thought to be on their way */
/* The next hole to be sent again: its length, 0: none. f->rxt is at its start then. */
uint32_t tcp_next_hole(struct tcp_flow *f);
void tcp_loss_timeout(struct tcp_flow *f);       /* the retransmission timer ran out */

/* --- nat_tcp_recv.c, nat_tcp_ring.c: data from the guest ----------------------------------------------------------- */

void tcp_recv(struct tcp_flow *f, struct tcp_seg *s, uint64_t now); /* may end the flow */
bool tcp_recv_flush(struct tcp_flow *f, uint64_t now); /* held data to the socket; false: the flow has ended */
uint32_t tcp_recv_edge(struct tcp_flow *f); /* right edge of the window to offer; asks the socket when that is due */
/* Hold n bytes of p, numbered from seq. false: no room for them. */
bool tcp_ring_put(struct tcp_flow *f, uint32_t seq, const struct packet *p, uint32_t n);
/* What follows f->taken without a gap, as pieces; its length. */
uint32_t tcp_ring_front(const struct tcp_flow *f, struct iovec iov[2]);
void tcp_ring_drop(struct tcp_flow *f, uint32_t n); /* taken moves on */
uint32_t tcp_ring_end(const struct tcp_flow *f, uint32_t from); /* end of the range that from is in or at, else from */
unsigned tcp_ring_sacks(const struct tcp_flow *f, uint32_t block[TCP_SACK_BLOCKS][2]);
void tcp_ring_free(struct tcp_flow *f);

/* --- nat_tcp_host.c: the host's end -------------------------------------------------------------------------------- */

int tcp_host_connect(struct nat_tcp *t, const struct sockaddr_storage *to, socklen_t len);
bool tcp_host_attach(struct tcp_flow *f, int fd); /* options, watch. false: fd is closed */
void tcp_host_close(struct tcp_flow *f, bool reset);
ssize_t tcp_host_write(struct tcp_flow *f, const struct iovec *iov, unsigned n); /* bytes; -errno, -EAGAIN: full */
void tcp_host_shutdown(struct tcp_flow *f);
/* Up to len bytes numbered from seq. 0: the end of the stream; -errno; -EAGAIN: none yet. */
ssize_t tcp_host_peek(struct tcp_flow *f, uint32_t seq, void *buf, size_t len);
void tcp_host_discard(struct tcp_flow *f, bool all); /* what the guest has; !all: when it is worth a call */
uint32_t tcp_host_room(struct tcp_flow *f);
/* errno of a failed connect: RST, an ICMP error or silence to the guest; ends the flow. */
void tcp_host_failed(struct tcp_flow *f, int error);

/* --- nat_tcp_output.c ---------------------------------------------------------------------------------------------- */

bool tcp_output(struct tcp_flow *f); /* false: there is more to send. May end the flow */
/* An RST for a segment that belongs to no flow (RFC 9293, 3.10.7.1). */
void tcp_refuse(struct nat_tcp *t, const struct tcp_key *key, const struct tcp_seg *s);
uint16_t tcp_mss_offer(const struct tcp_flow *f);

/* --- nat_tcp_timer.c ----------------------------------------------------------------------------------------------- */

void tcp_timer_init(struct nat_tcp *t);
void tcp_timer_fini(struct nat_tcp *t);
void tcp_timer_update(struct tcp_flow *f); /* after a change of rto_due, ack_due, state */
void tcp_timer_remove(struct tcp_flow *f);
void tcp_timer_rto(struct tcp_flow *f, uint64_t now); /* start or restart the retransmission timer */
void tcp_timer_sent(struct tcp_flow *f, uint64_t now); /* new data are on their way: start it if it does not run */

#endif
