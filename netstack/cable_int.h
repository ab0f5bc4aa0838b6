/*
 * Inside a cable: two directions. cable.c has the way of a frame, impair.c what happens to it on that way, cable_wait.c the
 * frames that wait, capture.c the record.
 */
#ifndef NETSTACK_CABLE_INT_H
#define NETSTACK_CABLE_INT_H

#include "base/clock.h"
#include "netstack/cable.h"
#include "netstack/gso.h"

struct capture;

/* A copy of a frame in the cable: delayed, or refused when a part of it had been taken. */
struct waiting {
    struct waiting *next;
    uint64_t due;     /* ns */
    unsigned segment; /* of a gso frame: the first that the receiver has not got */
    struct net_frame f;
    struct iovec iov;
    uint8_t data[];
};

struct cable_dir {
    struct net_cable *cable;
    struct net_port *from, *to;
    unsigned end;
    unsigned depth;  /* calls of to->ops->receive under way */
    bool segmenting; /* one of them has a segment, and others of its frame follow */
    bool flushing;
    bool owed;  /* from was refused because of the two above, and has to hear that there is room */
    bool stuck; /* to refused the first that waits */
    struct waiting *head, **tail;
    size_t waiting_bytes; /* with their structs */
    uint64_t last_due;    /* of what waits: nothing overtakes but by reordering */
    uint64_t wire_free;   /* when the last frame will have left at the rate */
    uint64_t random;
    struct timer timer;
    uint64_t impaired;
};

struct net_cable {
    struct net_env env;
    char *name;
    bool up;
    struct net_impair impair;
    struct cable_dir dir[2];
    struct capture *captures;
};

static inline struct cable_dir *cable_from(const struct net_port *p) { return &p->cable->dir[p->cable->dir[1].from == p]; }
static inline struct cable_dir *cable_to(const struct net_port *p) { return &p->cable->dir[p->cable->dir[1].to == p]; }

/* net_port_send and net_port_room. */
bool cable_send(struct cable_dir *d, const struct net_frame *f);
void cable_room(struct cable_dir *d);

/*
 * Hand f to the receiver, adapted to what that can. *segment: the first segment to hand over, 0 at first; moves on.
 * g: f's headers when it is a gso frame. false: refused from *segment on.
 */
bool cable_deliver(struct cable_dir *d, const struct net_frame *f, const struct gso *g, unsigned *segment);
void cable_lost(struct cable_dir *d);

/* Frames that wait. */
void wait_init(struct cable_dir *d);
bool wait_room(const struct cable_dir *d, const struct net_frame *f);
bool wait_last(struct cable_dir *d, const struct net_frame *f, uint64_t when);     /* false: no memory */
bool wait_first(struct cable_dir *d, const struct net_frame *f, unsigned segment); /* stuck; false: no memory */
void wait_flush(struct cable_dir *d); /* hand over what is due */
void wait_drop(struct cable_dir *d);  /* all are lost */

/* Impairment. */
bool impair_on(const struct cable_dir *d);       /* frames go by impair_send */
bool impair_delays(const struct cable_dir *d);   /* frames may wait, whatever the receiver says */
bool impair_segments(const struct cable_dir *d); /* it has to see each segment of a gso frame */
/* Decide what becomes of f, record it, and do it. */
void impair_send(struct cable_dir *d, const struct net_frame *f, const struct gso *g);

/* Record a frame as it enters the cable. comment: what became of it when it was not handed over, else NULL. */
void capture_frame(const struct cable_dir *d, const struct net_frame *f, const char *comment);
/* The receiver refused f: it did not enter. (It stays recorded if others were recorded since.) */
void capture_undo(const struct cable_dir *d, const struct net_frame *f);
void capture_info(const struct net_cable *c, FILE *out);

#endif
