/*
 * Inside a cable: two directions, each with frames that wait. cable.c has the way of a frame, impair.c what happens to it on
 * that way, capture.c the record.
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
bool wait_last(struct cable_dir *d, const struct net_frame *f, uint64_t due); /* false: no room in the cable */
bool wait_first(struct cable_dir *d, const struct net_frame *f, unsigned segment);
void wait_flush(struct cable_dir *d); /* hand over what is due */
void wait_drop(struct cable_dir *d);  /* all are lost */

#endif
