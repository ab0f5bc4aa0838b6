/*
 * A table of flows: by hash, with time-outs, a cap, and eviction that is fair to guests.
 *
 * A flow's struct begins with a struct nat_flow. A table has a few lists, each with a time-out of its own and in order of
 * last use, so that ends of time are found at the lists' heads. When the table is full, the guest (a MAC) with the most
 * flows loses its oldest: one guest that opens thousands pushes out its own, not those of others.
 */
#ifndef NETSTACK_NAT_FLOW_H
#define NETSTACK_NAT_FLOW_H

#include "base/clock.h"
#include "netstack/nat.h"

enum { NAT_FLOW_LISTS = 2 };

struct nat_flows;
struct nat_flow_guest;

struct nat_flow {
    struct nat_flow *chain;           /* of its hash bucket */
    struct nat_flow *older, *newer;   /* in its list, by last use */
    struct nat_flow *elder, *younger; /* of its guest's, by birth */
    struct nat_flow_guest *guest;
    uint64_t born, used; /* ns */
    uint32_t hash;
    unsigned list;
};

/* End the flow: nat_flows_remove, and free what holds it. */
typedef void nat_flow_end(struct nat_flows *t, struct nat_flow *f);

struct nat_flow_list {
    struct nat_flow *oldest, *newest;
    uint64_t timeout; /* ns */
};

struct nat_flows {
    struct clock *clock;
    nat_flow_end *end;
    unsigned count, cap;
    uint32_t mask; /* of buckets */
    struct nat_flow **buckets;
    struct nat_flow_list list[NAT_FLOW_LISTS];
    struct nat_flow_guest *guests;
    struct timer timer;
    uint64_t evicted, expired;
    uint64_t removed; /* grows with each: who holds a flow over a call that may end it looks here */
};

/* false: out of memory (nat_flows_fini is allowed). cap: at least 1. The lists' time-outs are set by the caller. */
bool nat_flows_init(struct nat_flows *t, struct clock *clock, unsigned cap, nat_flow_end *end);
void nat_flows_fini(struct nat_flows *t); /* every flow is ended */
/* The first flow with this hash, then the next; other keys may share it. */
struct nat_flow *nat_flows_first(const struct nat_flows *t, uint32_t hash);
struct nat_flow *nat_flows_next(const struct nat_flow *f);
/* mac: the guest whose flow it is; NULL: nobody's, which counts as one guest. May evict. false: out of memory. */
bool nat_flows_add(struct nat_flows *t, struct nat_flow *f, uint32_t hash, const uint8_t *mac, unsigned list);
void nat_flows_remove(struct nat_flows *t, struct nat_flow *f);
void nat_flows_use(struct nat_flows *t, struct nat_flow *f, unsigned list); /* now; into that list */
/* The guest with the most flows loses its oldest. false: there is none. */
bool nat_flows_evict(struct nat_flows *t);
/* For both ends of a flow; peer may be NULL. */
uint32_t nat_flow_hash(const struct net_addr *guest, uint16_t port, const struct net_addr *peer, uint16_t peer_port);

#endif
