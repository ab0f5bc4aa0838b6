/*
 * A cable between two ports, and what can be done to it while it carries frames: link up and down, impairment that
 * repeats from a seed, captures.
 *
 * Every frame is captured as it enters the cable: what impairment then drops is in the capture, with a comment that says so.
 */
#ifndef NETSTACK_CABLE_H
#define NETSTACK_CABLE_H

#include <stdio.h>

#include "netstack/port.h"

/*
 * Both directions alike, each with its own random numbers. Probabilities in parts per million. A frame that is delayed
 * waits in the cable: at most NET_IMPAIR_BYTES in a direction, beyond that it is dropped.
 */
struct net_impair {
    uint32_t drop, reorder, duplicate; /* reorder: leaves at once, ahead of those that wait */
    uint64_t delay, jitter;            /* ns; jitter: uniform, 0 up to it is added (which does not reorder by itself) */
    uint64_t rate;                     /* bits a second, 0: no limit */
    uint64_t seed;
};
enum { NET_IMPAIR_BYTES = 4 << 20 };

/* Join a and b, which are not plugged and outlive the cable. name (copied) is for people. NULL with e set on failure. */
struct net_cable *net_cable_new(const struct net_env *env, const char *name, struct net_port *a, struct net_port *b,
                                struct err *e);
void net_cable_free(struct net_cable *c); /* NULL: nothing. Frames in it are lost; both ends hear link down. */

void net_cable_set_link(struct net_cable *c, bool up); /* up at first */
bool net_cable_link(const struct net_cable *c);
void net_cable_set_impair(struct net_cable *c, const struct net_impair *i); /* from now on; what waits keeps its time */
void net_cable_impair(const struct net_cable *c, struct net_impair *i);
const char *net_cable_name(const struct net_cable *c);
struct net_port *net_cable_port(const struct net_cable *c, unsigned end); /* 0: a, 1: b */
uint64_t net_cable_impaired(const struct net_cable *c);                   /* frames dropped by impairment */

/*
 * Record to path: pcapng with one interface for each direction's sender, times of the guest's wall clock, comments on
 * drops. A FIFO is opened when a reader comes, and frames are dropped from the capture (counted) while that is slow: it
 * never holds up the guest. filter: a libpcap expression, NULL for all. snaplen: bytes kept of a frame, 0: all.
 * classic: a pcap file as QEMU's filter-dump writes it. Several captures may run on one cable.
 */
struct net_capture_options {
    const char *path, *filter;
    uint32_t snaplen;
    bool classic;
    int only_from; /* 0 or 1: what this end sends, -1: both */
};
bool net_cable_capture(struct net_cable *c, const struct net_capture_options *o, struct err *e);
/* End the capture into path (NULL: all); how many were ended. */
unsigned net_cable_capture_stop(struct net_cable *c, const char *path);
/* One line for each: path, frames, bytes, what was left out. */
void net_cable_info(const struct net_cable *c, FILE *out);

#endif
