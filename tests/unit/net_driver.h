/*
 * The packet driver: a far end of a cable that a test scripts. send(...), expect(...).
 *
 *     struct world w;
 *     struct far f;
 *
 *     world_init(&w);
 *     far_init(&f, &w, "guest");                    // 52:54:00:12:34:56, 10.0.2.15, 2001..; see struct far
 *     far_plug(&f, nat_port(nat));
 *     far_send(&f, PKT(UDP, .sport = 1000, .dst = "10.0.2.3", .dport = 53, DATA(query, n)));
 *     g = far_expect(&f, PKT(UDP, .src = "10.0.2.3", .sport = 53, .dport = 1000));
 *     CHECK_EQ(g->data[3] & 15, 0);
 *     far_expect_none(&f);
 *
 * What is sent: a struct pkt, of which only the fields that matter are given; the rest is made right (lengths, checksums,
 * MACs of groups, offsets), or wrong on purpose by the fields that say so. What is expected: the same struct, of which only
 * the fields that are not zero are compared; the frame that was compared is returned, decoded, for all else.
 *
 * Every frame received is checked before a test sees it: lengths, all checksums (as the offload flags require), header
 * fields of segmentation, the MTU, and that it uses no offload this end did not offer. The first one that is wrong fails
 * the test. The sums are computed here, not by netstack/packet.h.
 *
 * Time is a fake clock: world_advance. Real sockets (the host's side of a NAT) are waited for by events, at most
 * WORLD_PATIENCE_MS, after which the test fails; nothing sleeps.
 *
 * FAR_CAPTURE=FOLDER in the environment: all that passes each far end's cable is captured there.
 */
#ifndef TESTS_UNIT_NET_DRIVER_H
#define TESTS_UNIT_NET_DRIVER_H

#include "base/clock.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/port.h"
#include "tests/unit/check.h"

enum { WORLD_PATIENCE_MS = 5000 };

/* --- the world: clock, loop, log, gate (seed 1) ------------------------------------------------------------------ */

struct world {
    struct net_env env;
};

void world_init(struct world *w);
void world_free(struct world *w);
void world_run(struct world *w);                  /* turn the loop until nothing is left to do at once */
void world_advance(struct world *w, uint64_t ns); /* fake time, and the loop after each timer on the way */
/* Turn the loop until fd has events (LOOP_IN, LOOP_OUT); fails the test after WORLD_PATIENCE_MS. */
void world_wait(struct world *w, int fd, unsigned events);
/* Turn the loop until done(arg); fails the test after WORLD_PATIENCE_MS, naming what. Looked at after each event. */
void world_until(struct world *w, bool (*done)(void *arg), void *arg, const char *what);

/* The host's side: sockets on the loopback, non-blocking; port 0: any, *port is set. family: AF_INET, AF_INET6. */
int host_udp(int family, uint16_t *port);
int host_listen(int family, uint16_t *port);
int world_accept(struct world *w, int listener);
/* One datagram, or n bytes of a stream (all of them: the loop turns while they come); -> bytes, less at the stream's end. */
size_t world_recv(struct world *w, int fd, void *buf, size_t n);
void world_write(struct world *w, int fd, const void *data, size_t n); /* all of it; the loop turns while it is full */

/* --- a packet, to be sent or compared ----------------------------------------------------------------------------- */

enum pkt_kind {
    PKT_ANY, /* expect: whatever comes */
    PKT_ETH, /* ethertype and data */
    PKT_ARP,
    PKT_IP,   /* proto and data; expect: a protocol not listed here */
    PKT_FRAG, /* expect only: a fragment, its bytes in data */
    PKT_ICMP,
    PKT_ICMP6,
    PKT_UDP,
    PKT_TCP,
};

enum { T_FIN = 1, T_SYN = 2, T_RST = 4, T_PSH = 8, T_ACK = 16, T_URG = 32, T_ECE = 64, T_CWR = 128 };

enum pkt_sum {
    SUM_RIGHT,
    SUM_WRONG,   /* off by one bit */
    SUM_ZERO,    /* UDP: none */
    SUM_PARTIAL, /* NET_CSUM_PARTIAL: the receiver adds the rest */
    SUM_VALID,   /* rubbish, with NET_CSUM_VALID: verified by others, not to be looked at */
};

struct pkt {
    enum pkt_kind kind;
    const char *eth_src, *eth_dst; /* "52:54:00:12:34:56"; NULL: this end's; the group's or the far's gateway */
    uint16_t ethertype;            /* 0: as the kind needs */
    uint16_t vlan;                 /* tag: priority and number; 0: none */

    uint16_t arp;                          /* 1: request, 2: reply; addresses: src, dst and these */
    const char *arp_src_mac, *arp_dst_mac; /* NULL: this end's; zeroes */

    const char *src, *dst; /* text; the family follows from dst. src NULL: this end's of that family */
    uint8_t proto, ttl /* 0: 64 (255 for ICMP6) */, tos;
    uint16_t ip_id;
    bool df, more;          /* more: more fragments */
    uint16_t frag_off;      /* bytes */
    const void *ip_options; /* IPv4: options; IPv6: extension headers, the last of which names the protocol */
    uint8_t ip_options_len; /* IPv4: a multiple of 4; IPv6: of 8 */
    uint8_t ip_ext;         /* IPv6: the first extension header's number (when there are bytes) */
    bool bad_ip_sum;
    int ip_len;  /* 0: right; -1: zero; else this value in the header (IPv6: the payload length) */
    int version; /* 0: right; the header's first byte */

    uint16_t sport, dport; /* UDP, TCP */
    int udp_len;           /* 0: right; -1: zero; else this value */

    uint32_t seq, ack;
    uint8_t flags;   /* expect: T_PSH is compared only when given */
    uint16_t window; /* 0: 65535 when sending; zero_window for a zero */
    bool zero_window;
    uint16_t urgent;
    uint16_t mss; /* options, in this order; 0: none */
    bool sack_ok;
    bool has_ts;
    uint32_t ts, ts_echo;
    bool has_wscale;
    uint8_t wscale;
    unsigned sacks; /* expect: not compared */
    uint32_t sack[4][2];
    const void *tcp_options; /* raw bytes behind those; padded with zeroes */
    uint8_t tcp_options_len;
    int tcp_off; /* 0: right; else this value in the data offset, bytes */

    uint8_t type, code; /* ICMP. Expect: code -> compared when type is given */
    uint32_t rest;      /* bytes 4..7 of the header: ECHO(id, seq), the MTU, ... */

    const void *data; /* expect: compared when given or len != 0 */
    size_t len;

    enum pkt_sum sum;  /* of TCP, UDP, ICMP */
    uint16_t gso_size; /* one frame for several; sum is SUM_PARTIAL */
    size_t cut;        /* send only so many bytes of the frame; 0: all */
    size_t pad;        /* zero bytes after it */
};

#define PKT(k, ...) (&(const struct pkt){.kind = PKT_##k, __VA_ARGS__})
#define DATA(p, n) .data = (p), .len = (n)
#define TEXT(s) .data = (s), .len = sizeof(s) - 1
#define ECHO(id, seq) .rest = (uint32_t)(id) << 16 | (seq)
#define WSCALE(n) .has_wscale = true, .wscale = (n)
#define TS(val, echo) .has_ts = true, .ts = (val), .ts_echo = (echo)

/* A received frame. Text fields are "" where they do not apply. */
struct got {
    enum pkt_kind kind;
    uint8_t *frame; /* from the Ethernet header */
    size_t frame_len;
    uint8_t nf_flags, gso; /* of struct net_frame */
    uint16_t gso_size;

    char eth_src[18], eth_dst[18];
    uint16_t ethertype, vlan;
    uint16_t arp;
    char arp_src_mac[18], arp_dst_mac[18];

    bool is4;
    char src[46], dst[46]; /* as inet_ntop writes them; ARP: the protocol addresses */
    uint8_t proto, ttl, tos;
    uint16_t ip_id;
    bool df, more;
    uint16_t frag_off;
    uint32_t frag_id;
    uint16_t ip_len; /* of the whole IP packet */

    uint16_t sport, dport, udp_len;
    bool no_sum; /* UDP without a checksum */
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window, urgent;
    uint16_t mss;
    bool sack_ok, has_ts, has_wscale;
    uint32_t ts, ts_echo;
    uint8_t wscale;
    unsigned sacks;
    uint32_t sack[4][2];

    uint8_t type, code;
    uint32_t rest;

    const uint8_t *data; /* in frame: what is behind the innermost header */
    size_t len;
    struct got *next;
};

/* "tcp 10.0.2.2:80 > 10.0.2.15:1000 SA seq 1 ack 2 win 65535 len 0" */
const char *got_text(const struct got *g, char *buf, size_t size);

/* --- the far end --------------------------------------------------------------------------------------------------- */

enum { FAR_QUEUE = 1024 }; /* frames kept; beyond: receive says that there is no room */

struct far {
    struct world *w;
    struct net_port port; /* can: NET_CAN_ALL, mtu: 1500; change them before far_plug or after */
    struct net_cable *cable;
    char mac[18], gateway[18]; /* gateway: the default destination; 52:55:0a:00:02:02 */
    char ip4[46], ip6[46];     /* default sources: 10.0.2.15, fec0::5054:ff:fe12:3456 */
    bool answer; /* ARP requests and neighbour solicitations for ip4 and ip6 are answered and not queued; at first on */
    bool ignore_ra; /* router advertisements are not queued; at first on */
    size_t pieces;  /* frames are handed over in pieces of so many bytes; 0: one */
    unsigned room;  /* frames taken before `receive` refuses; FAR_QUEUE at first. far_set_room to change it */
    bool refused;   /* it did, and net_port_room is owed */
    struct got *first, **end, *shown;
    unsigned queued;
    unsigned received, readies, link_changes; /* counters: frames, ops->ready calls, ops->link calls */
    bool link;
};

/* A second far end in one world: set mac, ip4, ip6 after it. */
void far_init(struct far *f, struct world *w, const char *name);
void far_free(struct far *f); /* unplugs */
/* By a cable, which is f->cable and may be impaired, captured, pulled. */
void far_plug(struct far *f, struct net_port *to);
void far_unplug(struct far *f);
void far_set_room(struct far *f, unsigned frames); /* from now on; tells the sender if it was refused */

/* The frame of p, as far_send would send it; its length. buf has NET_FRAME_MAX bytes. */
size_t far_build(const struct far *f, const struct pkt *p, uint8_t *buf);
/* Send, and turn the loop. false: the far end had no room. */
bool far_send(struct far *f, const struct pkt *p);
/* Bytes [off, off + len) of the IP payload of p, as a fragment; off a multiple of 8 unless that is the test. */
bool far_send_part(struct far *f, const struct pkt *p, size_t off, size_t len);
bool far_send_frame(struct far *f, const void *frame, size_t len); /* bytes as they are */

/*
 * The next frame, within WORLD_PATIENCE_MS of real time and no fake time; fails the test when none comes or a field that is
 * given differs. It lives until the next call with this far end.
 */
#define far_expect(f, p) far_expect_at(f, p, __FILE__, __LINE__)
const struct got *far_expect_at(struct far *f, const struct pkt *p, const char *file, int line);
/* Nothing has come, and nothing is about to. */
#define far_expect_none(f) far_expect_none_at(f, __FILE__, __LINE__)
void far_expect_none_at(struct far *f, const char *file, int line);
/* The next frame if there is one already (the loop turns first), else NULL. */
const struct got *far_next(struct far *f);
/* Forget what has come. */
void far_drain(struct far *f);
/* Decode and check a frame; fails the test on what is wrong. mtu, can: what its receiver takes. */
struct got *got_decode(const struct net_frame *nf, uint32_t mtu, unsigned can);
void got_free(struct got *g);

/* Helpers, also for tests that build by hand. */
uint16_t sum_of(uint32_t sum, const void *data, size_t len); /* RFC 1071, complemented; sum: of what came before */
uint32_t sum_add(uint32_t sum, const void *data, size_t len);
uint32_t sum_pseudo(bool is4, const void *src, const void *dst, uint8_t proto, uint32_t len);
void mac_parse(const char *text, uint8_t mac[6]); /* fails the test */
bool addr_parse(const char *text, uint8_t b[16]); /* true: IPv4, 4 bytes */

#endif
