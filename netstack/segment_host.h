/*
 * The host's side of a host-only network: a tap with an address, where this user may make one.
 *
 * What comes in by it is for the host: it is not forwarded, whatever the host does with its other interfaces. Its MAC
 * follows from its address, so that the guests go on when another process makes it anew.
 */
#ifndef NETSTACK_SEGMENT_HOST_H
#define NETSTACK_SEGMENT_HOST_H

#include "netstack/segment_int.h"

struct host_side;

/*
 * The interface of segment s on switch sw; addr, prefix_len: what it gets, or, when it is the user's own (segment_config.tap)
 * and has an address, what it has. NULL with e set: no memory, or the user's own cannot be used. An interface that this user
 * may not make is no error: there is none then, and the log says why.
 */
struct host_side *host_side_new(struct segment *s, struct net_switch *sw, struct net_addr *addr, unsigned *prefix_len,
                                struct err *e);
void host_side_free(struct host_side *h);
void host_side_info(const struct host_side *h, FILE *out);

#endif
