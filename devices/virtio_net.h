/* virtio-net: a network card whose frames are the guest's own buffers, with several queues. Source: virtio 1.2, section 5.1. */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/nic.h"
#include "devices/virtio.h"

enum {
    VIRTIO_NET_PAIRS_MAX = 16,
    VIRTIO_NET_QUEUE_DEFAULT = 256,
    VIRTIO_NET_QUEUE_MIN = 64, /* a frame of 64 KiB in buffers of a page takes 17, and there have to be others */
};

/* Zeroes mean the defaults: one pair of queues, everything offered that there is. */
struct virtio_net_options {
    struct loop *loop;            /* the machine's; outlives the device */
    const char *port;             /* the port's name, NULL: the device's; borrowed */
    uint8_t mac[ETH_ALEN];
    unsigned queues;              /* pairs, 1..VIRTIO_NET_PAIRS_MAX; more than 1 offers MQ */
    unsigned rx_size, tx_size;    /* entries; powers of two, 64..VIRTQ_SIZE_MAX */
    uint32_t mtu;                 /* told to the driver (QEMU: host_mtu); 0: not told, and any is taken */
    uint32_t speed;               /* Mbit/s, 0: not told */
    bool full_duplex, half_duplex; /* at most one; neither: not told */
    uint64_t off;                 /* features not to be offered, 1 << virtio_net_feature() */
    bool packed;
};

/*
 * The feature bit that QEMU's property of this name stands for: csum, gso, guest_csum, guest_tso4, guest_tso6, guest_ecn,
 * guest_uso4, guest_uso6, host_tso4, host_tso6, host_ecn, host_uso, mrg_rxbuf, status, ctrl_vq, ctrl_rx, ctrl_vlan,
 * ctrl_rx_extra, ctrl_mac_addr, ctrl_guest_offloads, guest_announce, mq; and gso, host_ufo, guest_ufo, which are never
 * offered. -1: no such property.
 */
int virtio_net_feature(const char *name);

/* NULL with e set: an option out of range. To be freed on the loop's thread (or when it has ended), its port unplugged. */
struct virtio_dev *virtio_net_new(const struct device_env *env, const char *name, const struct virtio_net_options *o,
                                  struct err *e);
struct nic *virtio_net_nic(struct virtio_dev *v);

#endif
