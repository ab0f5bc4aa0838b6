/*
 * One end of the link between a member and the switch: a socket and two rings, behind a port.
 *
 * Frames go through the rings. The socket carries the messages, and is the bell: an eventfd would ring cheaper, but whether
 * it blocks is a property that both sides share, so a hostile far side could make us wait in it. The far side may be
 * hung, dead or hostile: nothing here waits, and each call's work is bounded.
 */
#ifndef NETSTACK_SEGMENT_WIRE_H
#define NETSTACK_SEGMENT_WIRE_H

#include "netstack/ring.h"

struct wire {
    int fd; /* the socket; -1: none */
    void *map;
    size_t map_len;
    struct ring tx, rx;
    struct net_port *port; /* whose frames these are; the owner's */
    bool starved;          /* tx was full, and the port's far end waits */
    bool held;             /* the port's far end had no room for the frame at rx's head */
    bool broken;           /* the far side wrote nonsense: to be cut */
};

enum { WIRE_RING_SIZE = 1 << 20 };

/* Memory for both rings of size bytes each, sealed so that it never shrinks: the switch makes it. -1 with errno. */
int wire_memory(uint32_t ring_size);
/*
 * Map it. first: this side sends in the first ring. false with e set: not memory that is safe to use (the far side may
 * have made it), or no room. The descriptor stays the caller's.
 */
bool wire_map(struct wire *w, int memory, uint32_t ring_size, bool first, struct err *e);
void wire_close(struct wire *w); /* the socket too */

/* port->ops->receive: false: full, net_port_room follows. On a wire that is not mapped or broken frames are lost. */
bool wire_send(struct wire *w, const struct net_frame *f);
/*
 * What has come, to the port, through buf (NET_FRAME_MAX bytes); and room that was waited for. true: there may be more,
 * call again soon. Call it when the bell rang, after wire_map, and when the port's far end is ready (held is cleared then).
 */
bool wire_poll(struct wire *w, void *buf);

#endif
