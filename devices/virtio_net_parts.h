/*
 * Inside virtio-net. virtio_net.c: features, configuration space, life, state; virtio_net_ctrl.c: the control queue and the
 * filter it sets; virtio_net_tx.c and virtio_net_rx.c: the two ways of a frame, on the loop's thread.
 *
 * Everything is under the device's lock but what says otherwise.
 */
#ifndef DEVICES_VIRTIO_NET_PARTS_H
#define DEVICES_VIRTIO_NET_PARTS_H

#include "devices/virtio_net.h"
#include "netstack/packet.h"

enum { /* feature bits */
       F_CSUM = 0,
       F_GUEST_CSUM = 1,
       F_CTRL_GUEST_OFFLOADS = 2,
       F_MTU = 3,
       F_MAC = 5,
       F_GSO = 6, /* legacy, with UFO in it: not offered */
       F_GUEST_TSO4 = 7,
       F_GUEST_TSO6 = 8,
       F_GUEST_ECN = 9,
       F_GUEST_UFO = 10, /* not offered: no sender of ours makes such frames */
       F_HOST_TSO4 = 11,
       F_HOST_TSO6 = 12,
       F_HOST_ECN = 13,
       F_HOST_UFO = 14, /* not offered */
       F_MRG_RXBUF = 15,
       F_STATUS = 16,
       F_CTRL_VQ = 17,
       F_CTRL_RX = 18,
       F_CTRL_VLAN = 19,
       F_CTRL_RX_EXTRA = 20,
       F_GUEST_ANNOUNCE = 21,
       F_MQ = 22,
       F_CTRL_MAC_ADDR = 23,
       F_GUEST_USO4 = 54,
       F_GUEST_USO6 = 55,
       F_HOST_USO = 56,
       F_SPEED_DUPLEX = 63,
};

enum { /* configuration space */
       C_MAC = 0,
       C_STATUS = 6,
       C_MAX_PAIRS = 8,
       C_MTU = 10,
       C_SPEED = 12,
       C_DUPLEX = 16,
       C_LEN = 17,
};

enum { STATUS_LINK_UP = 1, STATUS_ANNOUNCE = 2 };

enum { /* the header before each frame, 5.1.6 */
       H_FLAGS = 0,
       H_GSO_TYPE = 1,
       H_HDR_LEN = 2,
       H_GSO_SIZE = 4,
       H_CSUM_START = 6,
       H_CSUM_OFFSET = 8,
       H_NUM_BUFFERS = 10,
       H_LEN_OLD = 10, /* legacy without MRG_RXBUF */
       H_LEN = 12,
};

enum { HF_NEEDS_CSUM = 1, HF_DATA_VALID = 2 };
enum { HG_NONE = 0, HG_TCPV4 = 1, HG_UDP = 3, HG_TCPV6 = 4, HG_UDP_L4 = 5, HG_ECN = 0x80 };

enum {
    MACS_MAX = 64, /* of the filter, unicast and multicast together */
    VLANS = 4096,
    TX_BATCH = 32,       /* frames fetched and completed under one hold of the lock */
    TX_TURNS = 8,        /* batches of a queue in one turn of the loop */
    TX_HEAD = 128,       /* bytes of a frame that are copied: its headers, which must not change while they are looked at */
    RX_CHAINS_MAX = 128, /* buffers of a frame */
    RX_DESCS_MAX = 1024, /* and descriptors of them, empty ones too: a driver with more wants us to be busy */
    FLOWS = 1024,
    NO_PAIR = 0xff,
};

/* What the driver has set through the control queue. All of it is state. */
struct vnet_filter {
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    bool unicast_overflow, multicast_overflow; /* a table was too long: take all of its kind */
    uint8_t unicast, multicast;                /* entries of mac[], in this order */
    uint8_t mac[MACS_MAX][ETH_ALEN];
    uint8_t vlan[VLANS / 8];
};

/* A frame on its way out. The loop's thread's alone, but for pop and push. */
struct vnet_tx {
    struct virtq_chain chain;
    bool skip; /* no frame that can be sent */
    uint8_t head[TX_HEAD];
    struct iovec *iov; /* head, then the rest in guest memory */
    unsigned cap;
    struct net_frame frame;
};

struct vnet_counters {
    uint64_t tx_frames, tx_bytes, tx_bad, tx_waits;
    uint64_t rx_frames, rx_bytes, rx_bad, rx_waits; /* bad: too long, or with offloads that the driver does not take */
};

struct vnet {
    struct virtio_dev v; /* first */
    struct nic nic;
    unsigned pairs;         /* there are */
    struct loop_call sync;  /* port and status follow from the registers */
    struct loop_call flush; /* interrupts for what was received or sent in this turn */
    struct timer starved;   /* buffers for part of a frame only, for too long */
    bool link, announce;    /* the cable's; the guest is to announce itself */
    uint32_t tx_ready;      /* pairs whose queue is to be looked at */
    uint32_t rx_touched, tx_touched; /* pairs that got, or have sent, frames in this turn */
    uint32_t rx_waiting;    /* pairs that refused one */
    bool rx_drop;           /* the next frame that does not fit is lost rather than waited for */
    uint32_t stops[VIRTIO_QUEUES_MAX]; /* how often the queue was stopped: chains of before are void */
    uint64_t filtered, unready;        /* frames: not for this guest; no driver */
    struct virtq_chain ctrl;
    struct vnet_counters count[VIRTIO_NET_PAIRS_MAX];
    /* the loop's thread's */
    struct vnet_tx tx[TX_BATCH];
    struct virtq_chain rx[RX_CHAINS_MAX];
    uint8_t flow_pair[FLOWS]; /* the pair on which a flow was last sent, NO_PAIR: none yet */
    /* state */
    struct vnet_filter filter;
    uint8_t mac[ETH_ALEN]; /* config[]'s, which a driver may try to write */
    uint16_t pairs_in_use;
    uint64_t offloads; /* GUEST_* features that are switched on */
};

static inline struct vnet *vnet_of(struct nic *n) { return CONTAINER_OF(n, struct vnet, nic); }
static inline unsigned rx_queue(unsigned pair) { return 2 * pair; }
static inline unsigned tx_queue(unsigned pair) { return 2 * pair + 1; }
/* 5.1.2: behind the pairs that a driver with MQ knows of, else behind the first. */
static inline unsigned ctrl_queue(const struct vnet *s) { return virtio_has(&s->v, F_MQ) ? 2 * s->pairs : 2; }

static inline unsigned header_len(const struct vnet *s)
{
    return virtio_has(&s->v, F_MRG_RXBUF) || virtio_has(&s->v, VIRTIO_F_VERSION_1) ? H_LEN : H_LEN_OLD;
}

/* The features among them that CTRL_GUEST_OFFLOADS switches. */
uint64_t vnet_offloads(uint64_t features);

void vnet_transmit(struct nic *n);                              /* loop's thread, no lock held */
bool vnet_receive(struct nic *n, const struct net_frame *f);    /* the same */
void vnet_rx_kick(struct vnet *s, unsigned pair);
void vnet_rx_stopped(struct vnet *s, unsigned pair);
void vnet_flush(void *arg);                                     /* loop's thread, no lock held */
void vnet_starved(void *arg);                                   /* the same */
void vnet_ctrl_notify(struct vnet *s, struct virtq *q);
void vnet_filter_reset(struct vnet *s);
bool vnet_filter_sane(const struct vnet_filter *f);
bool vnet_filter_accepts(const struct vnet *s, const struct net_frame *f);

#endif
