/*
 * Ports and cables: how everything on a network is joined.
 *
 * A NIC, a NAT gateway, a switch, an adapter of the host: each has ports. A cable joins two, and both ends look the same:
 * what one sends the other receives, after the cable had its say (link state, capture, impairment) and after it did
 * what the receiver cannot (segmentation, checksums). All of one machine's networks live on the thread of one event loop
 * (struct net_env); a NIC crosses over from its vCPUs' threads itself (devices/nic.h).
 */
#ifndef NETSTACK_PORT_H
#define NETSTACK_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

struct clock;
struct gate;
struct log;
struct loop;
struct net_cable;
struct net_port;

/* What the parts of a network share; copied, nothing is owned. clock: the machine's, so it stands still when that stops. */
struct net_env {
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    struct gate *gate; /* random numbers */
};

enum { /* bytes */
       ETH_ALEN = 6,
       ETH_HLEN = 14,
       NET_MTU_MIN = 68,
       NET_MTU_DEFAULT = 1500,
       NET_MTU_MAX = 65535,
       NET_FRAME_MAX = 65535 + ETH_HLEN + 4, /* with a VLAN tag */
};

enum net_gso { NET_GSO_NONE, NET_GSO_TCP4, NET_GSO_TCP6, NET_GSO_UDP4, NET_GSO_UDP6 };

enum { /* net_frame.flags */
       NET_CSUM_PARTIAL = 1, /* the bytes at csum_start + csum_offset hold the pseudo-header's sum; the rest is to be added */
       NET_CSUM_VALID = 2,   /* checksums were verified, or never left this host */
       NET_GSO_ECN = 4,      /* TCP with CWR set in the first segment only */
};

/*
 * An Ethernet frame (from the destination address, no FCS), or one that stands for several (gso). Valid during the call
 * that hands it over: a receiver copies what it keeps. The meaning of the offload fields is that of struct
 * virtio_net_hdr (virtio 1.2, 5.1.6), offsets counted from the Ethernet header. With gso, NET_CSUM_PARTIAL is set too.
 */
struct net_frame {
    const struct iovec *iov;
    unsigned iovcnt;
    size_t len; /* <= NET_FRAME_MAX; the sum of iov[] is at least this */
    uint8_t flags;
    uint8_t gso;         /* enum net_gso */
    uint16_t gso_size;   /* payload bytes of each segment */
    uint16_t header_len; /* headers that every segment repeats; a hint, not to be trusted */
    uint16_t csum_start, csum_offset;
};

enum { /* net_port.can: what this end is able to receive */
       NET_CAN_CSUM = 1, /* NET_CSUM_PARTIAL */
       NET_CAN_TSO4 = 2,
       NET_CAN_TSO6 = 4,
       NET_CAN_USO = 8,
       NET_CAN_ALL = 15,
};

struct net_port_ops {
    const char *kind; /* "nic", "nat", "switch", ... */
    /*
     * A frame from the far end. false: no room now; the frame was not taken, and net_port_room(p) follows when there is
     * some. May call net_port_send on any port.
     */
    bool (*receive)(struct net_port *p, const struct net_frame *f);
    /* The far end, which had refused a frame, has room again. May be NULL. */
    void (*ready)(struct net_port *p);
    /* The link went up or down. May be NULL. */
    void (*link)(struct net_port *p, bool up);
};

struct net_counters {
    uint64_t frames, bytes; /* sent and taken by the far end; a gso frame counts as one */
    uint64_t dropped;       /* sent with the link down, refused by the far end for good, dropped by impairment */
};

struct net_port {
    const struct net_port_ops *ops;
    void *arg;        /* the owner's */
    const char *name; /* for people: "net0", "nat", "sw0.3"; borrowed */
    unsigned can;     /* NET_CAN_*; may change while plugged */
    uint32_t mtu;     /* largest IP packet this end takes, NET_MTU_MIN..NET_MTU_MAX; may change too */
    /* the cable's: */
    struct net_cable *cable; /* NULL: not plugged */
    bool full;               /* refused a frame, room not reported since */
    struct net_counters sent;
};

/*
 * Send to the far end. true: taken, or lost as a cable loses frames (link down, impairment, too long, not plugged).
 * false: the far end has no room; try again after ops->ready, or drop it and say so by net_port_drop.
 * Malformed offload fields (offsets outside the frame, a gso_size of 0) count as lost.
 */
bool net_port_send(struct net_port *p, const struct net_frame *f);
/* For the receiver's owner: p, which had refused, has room. */
void net_port_room(struct net_port *p);
void net_port_drop(struct net_port *p, unsigned frames);
bool net_port_up(const struct net_port *p);            /* plugged, and the link is up */
struct net_port *net_port_peer(const struct net_port *p); /* NULL: not plugged */
/* The smaller of what both ends take; this end's when it is not plugged. */
uint32_t net_port_mtu(const struct net_port *p);

#endif
