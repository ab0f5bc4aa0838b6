/*
 * Inside a named network: what its files owe each other. segment.c (life, elections, the member's port), segment_member.c
 * (a member whose switch is elsewhere), segment_leader.c and segment_peer.c (the one with the switch, and its members),
 * segment_gateway.c (what a natnet or hostonly has besides), segment_forward.c, segment_info.c; segment_dir, segment_msg,
 * segment_wire below them.
 */
#ifndef NETSTACK_SEGMENT_INT_H
#define NETSTACK_SEGMENT_INT_H

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/segment.h"
#include "netstack/segment_dir.h"
#include "netstack/segment_msg.h"
#include "netstack/segment_wire.h"
#include "netstack/switch.h"

enum { SEGMENT_MEMBERS = 64, SEGMENT_PENDING = 16 }; /* pending: connected, and no HELLO yet */

enum segment_state {
    SEGMENT_SEEKING, /* no switch is known; the retry timer is armed, or we are about to try */
    SEGMENT_JOINING, /* HELLO is sent */
    SEGMENT_MEMBER,
    SEGMENT_LEADER,
};

struct leader;
struct gateway;

struct forward {
    struct forward *next;
    struct nat_forward f;
    char path[MSG_PATH_MAX]; /* f.host_path */
    uint32_t id;
    enum { FORWARD_WANTED, FORWARD_ASKED, FORWARD_MADE, FORWARD_FAILED } state;
    bool remove; /* what is wanted or asked is its end */
    bool waited; /* segment_forward waits for the answer, and frees it */
    bool late;   /* with remove: asked for is still the forward itself; its end, once it is there */
    char error[MSG_ERROR_MAX];
};

struct segment {
    struct net_env env;
    struct segment_config c; /* name and member point to the copies below */
    char name[SEGMENT_NAME_MAX + 1], member[MSG_NAME_MAX];
    struct segment_paths paths;
    struct net_port port;
    enum segment_state state;
    struct wire wire; /* JOINING, MEMBER */
    char leader_name[MSG_NAME_MAX];
    pid_t leader_pid;
    char refusal[MSG_ERROR_MAX]; /* "": none */
    struct leader *leader;       /* LEADER */
    struct timer retry;
    unsigned tries;
    struct loop_call turn;
    uint8_t *buf; /* of NET_FRAME_MAX: the frame that is being moved */
    struct forward *forwards;
    uint32_t forward_id;
    char roster[MSG_TEXT_MAX + 1];
    struct nat_lease_state leases[MSG_LEASES_MAX]; /* what the switch last said */
    unsigned lease_count;
    uint64_t elections, lost; /* lost: frames sent while there was no switch */
};

/* segment.c */
void segment_again(struct segment *s);   /* segment_turn comes soon */
void segment_seek(struct segment *s);    /* the switch is gone: find or be another */
void segment_refused(struct segment *s); /* and for a while it is of no use to ask again */
void segment_settled(struct segment *s); /* there is a switch: who waits to send goes on */

/* segment_member.c */
bool member_start(struct segment *s, int fd, pid_t pid, struct err *e); /* fd is the segment's, even on failure */
void member_cut(struct segment *s);
void member_turn(struct segment *s);
/* Read what the switch says, without waiting. false: it is gone. */
bool member_read(struct segment *s);

/* A place on the leader's switch. */
struct plug {
    struct net_switch *sw;
    struct net_port *port; /* the switch's */
    struct net_cable *cable;
};

/* A member's connection, seen from the leader. */
struct peer {
    struct peer *next;
    struct leader *l;
    struct wire wire;
    struct net_port port;
    struct plug plug;
    pid_t pid;
    char name[MSG_NAME_MAX];
    bool joined, isolated, dead;
    bool busy;       /* its ring has more, or its port has room again: poll it in the next turn */
    bool roster_due; /* its socket was full when the roster changed */
    struct forward *forwards;
};

/* The one with the switch. */
struct leader {
    struct segment *s;
    int lock, listener;
    bool deaf; /* out of descriptors: the listener is not watched */
    struct net_switch *sw;
    struct net_port own; /* the far end of the segment's own port, so to speak */
    struct plug own_plug;
    struct gateway *gateway;
    struct peer *peers;        /* newest first */
    struct timer leases_timer; /* armed: the members are to hear of leases */
    uint64_t leases_version;   /* that they have heard of */
};

/* segment_peer.c */
void peers_tell_leases(struct leader *l, const struct nat_lease_state *leases, unsigned n);
void peer_new(struct leader *l, int fd); /* a connection, which becomes the peer's */
void peer_free(struct peer *p);

/* segment_leader.c. lock is the leader's, even on failure. */
struct leader *leader_new(struct segment *s, int lock, struct err *e);
void leader_free(struct leader *l);
void leader_turn(struct leader *l);
void leader_watch_leases(struct leader *l); /* frames have passed: perhaps a DHCP message was among them */
bool leader_send(struct leader *l, const struct net_frame *f); /* from the segment's own port */
void leader_ready(struct leader *l);                           /* the segment's own port has room */
void leader_resume(struct leader *l);                          /* the retry timer, when there were no descriptors */
struct nat *leader_nat(const struct leader *l);                /* NULL: none */
unsigned leader_members(const struct leader *l);
void leader_roster(const struct leader *l, char *text, size_t size);
void leader_info(const struct leader *l, FILE *out);

bool plug_in(struct plug *p, const struct net_env *env, struct net_switch *sw, struct net_port *port, bool isolated,
             struct err *e);
void plug_out(struct plug *p);

/* segment_gateway.c. NULL with e "": this network has none. */
struct gateway *gateway_new(struct segment *s, struct net_switch *sw, struct err *e);
void gateway_free(struct gateway *g);
struct nat *gateway_nat(const struct gateway *g);
void gateway_info(const struct gateway *g, FILE *out);

/* segment_forward.c */
void forward_to_msg(const struct forward *fw, struct msg_forward *m);
void forward_of_msg(const struct msg_forward *m, struct forward *fw);
/* The one at f's host side, which is not about to end; its place in the list, where NULL is when there is none. */
bool forward_any(const struct nat_forward *f);                         /* to whatever port is free */
bool forward_make(struct nat *nat, struct forward *fw, struct err *e); /* fw's port is the one it got */
struct forward **forward_find(struct forward **list, const struct nat_forward *f);
void forwards_make(struct segment *s);  /* we have the switch now: make our own */
void forwards_ask(struct segment *s);   /* hand what is wanted to the switch, one at a time */
void forwards_reset(struct segment *s); /* the switch is gone, and all that it had made */
void forwards_answered(struct segment *s, const struct msg_answer *a);
void forwards_free(struct segment *s);

#endif
