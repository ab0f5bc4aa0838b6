/*
 * A driver of virtio-net for tests, on tests/unit/virtio_guest.h, with a scripted far end (tests/unit/net_driver.h) on the
 * other side of its cable. Written from the virtio specification, section 5.1.
 */
#ifndef TESTS_UNIT_NET_GUEST_H
#define TESTS_UNIT_NET_GUEST_H

#include "devices/virtio_net.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/virtio_guest.h"

#define NG(bit) (UINT64_C(1) << (bit))
enum { /* feature bits, 5.1.3 */
       NG_CSUM = 0,
       NG_GUEST_CSUM = 1,
       NG_CTRL_GUEST_OFFLOADS = 2,
       NG_MTU = 3,
       NG_MAC = 5,
       NG_GUEST_TSO4 = 7,
       NG_GUEST_TSO6 = 8,
       NG_GUEST_ECN = 9,
       NG_HOST_TSO4 = 11,
       NG_HOST_TSO6 = 12,
       NG_HOST_ECN = 13,
       NG_MRG_RXBUF = 15,
       NG_STATUS = 16,
       NG_CTRL_VQ = 17,
       NG_CTRL_RX = 18,
       NG_CTRL_VLAN = 19,
       NG_CTRL_RX_EXTRA = 20,
       NG_GUEST_ANNOUNCE = 21,
       NG_MQ = 22,
       NG_CTRL_MAC_ADDR = 23,
       NG_GUEST_USO4 = 54,
       NG_GUEST_USO6 = 55,
       NG_HOST_USO = 56,
       NG_SPEED_DUPLEX = 63,
};
#define NG_RING_RESET (UINT64_C(1) << 40)
#define NG_OFFLOADS \
    (NG(NG_CSUM) | NG(NG_GUEST_CSUM) | NG(NG_GUEST_TSO4) | NG(NG_GUEST_TSO6) | NG(NG_GUEST_ECN) | NG(NG_HOST_TSO4) | \
     NG(NG_HOST_TSO6) | NG(NG_HOST_ECN) | NG(NG_GUEST_USO4) | NG(NG_GUEST_USO6) | NG(NG_HOST_USO))
#define NG_CTRL (NG(NG_CTRL_VQ) | NG(NG_CTRL_RX) | NG(NG_CTRL_RX_EXTRA) | NG(NG_CTRL_VLAN) | NG(NG_CTRL_MAC_ADDR))

enum { NG_PAIRS = 4, NG_BUFS = 512, NG_SIZE = 64 };

/* struct virtio_net_hdr */
struct ng_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct ng {
    struct vg g;
    struct world w; /* its parts are g's, and a loop */
    struct far far, me; /* me: not plugged; builds frames as the guest */
    struct virtio_dev *v;
    struct vg_queue rx[NG_PAIRS], tx[NG_PAIRS], ctl;
    unsigned hlen;
    struct {
        gpa addr;
        uint32_t len;
    } rx_buf[NG_PAIRS][1 << 16]; /* by the id of the chain */
    uint8_t frame[NET_FRAME_MAX];   /* the last one received */
    size_t len;
    struct ng_hdr hdr;
};

extern struct ng ng; /* the one of the test program */

struct virtio_net_options ng_options(void); /* 52:54:00:12:34:57, queues of NG_SIZE */
void ng_make(bool legacy, const struct virtio_net_options *o); /* the device, its cable; no driver yet */
/* The driver: features, queues of all pairs it knows of (one without MQ), DRIVER_OK. */
void ng_drive(uint64_t features);
void ng_begin(uint64_t features); /* both, modern, with ng_options() */
void ng_end(void);

/* Offer one frame in pieces of so many bytes (0: header and frame in one buffer each); kick. Its chain's id. */
unsigned ng_queue_frame(unsigned pair, const struct ng_hdr *h, const void *frame, size_t len, size_t piece);
bool ng_sent(unsigned pair); /* one has come back */
/* Queue it, turn the loop, and it has come back. */
void ng_send(const struct ng_hdr *h, const void *frame, size_t len, size_t piece);
size_t ng_build(const struct pkt *p, uint8_t *buf); /* as the guest sends it */

void ng_give(unsigned pair, unsigned n, uint32_t len); /* receive buffers; kick */
bool ng_receive(unsigned pair);                        /* the next frame into ng.frame, ng.hdr */

/* A command; data may be NULL. The answer: 0 OK, 1 ERR. */
uint8_t ng_command(unsigned class, unsigned command, const void *data, uint32_t len);
uint64_t ng_config(unsigned off, unsigned size);
bool ng_config_irq(void); /* and acknowledge it */
unsigned ng_avail_event(const struct vg_queue *q);

#endif
