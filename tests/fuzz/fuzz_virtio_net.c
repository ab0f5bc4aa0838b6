/*
 * virtio-net with two pairs of queues and a far end that reads every byte of what it gets, refuses, answers, sends frames with
 * any offload fields, pulls the cable; snapshots are saved, damaged and restored.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/virtio_net.h"
#include "netstack/cable.h"
#include "tests/fuzz/virtio_fuzz.h"

static struct side {
    struct virtio_dev *v;
    struct loop *loop;
    struct net_port port;
    struct net_cable *cable;
} sides[2];
static unsigned made, room;
static bool answers;
static uint8_t payload[NET_FRAME_MAX];

static bool far_receive(struct net_port *p, const struct net_frame *f)
{
    volatile uint8_t sum = 0;
    size_t left = f->len;

    if (!room)
        return false;
    room--;
    for (unsigned i = 0; i < f->iovcnt; i++)
        for (size_t k = 0; k < f->iov[i].iov_len && left; k++, left--)
            sum = (uint8_t)(sum + ((const uint8_t *)f->iov[i].iov_base)[k]);
    if (left)
        abort(); /* the pieces are shorter than the frame */
    if (answers)
        net_port_send(p, f);
    return true;
}

static const struct net_port_ops far_ops = {.kind = "fuzz", .receive = far_receive};

static struct virtio_dev *make(const struct device_env *env)
{
    struct side *s = &sides[made++];
    struct net_env net = {.clock = env->clock, .log = env->log, .gate = env->gate};
    struct virtio_net_options o = {.mac = {0x52, 0x54, 0, 0, 0, 1}, .queues = 2, .mtu = 9000, .packed = true};
    struct err e;

    net.loop = o.loop = s->loop = loop_new(env->clock, &e);
    s->v = virtio_net_new(env, "net0", &o, &e);
    s->port = (struct net_port){.ops = &far_ops, .name = "far", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    s->cable = s->v ? net_cable_new(&net, "cable", nic_port(virtio_net_nic(s->v)), &s->port, &e) : NULL;
    if (!s->cable)
        abort();
    return s->v;
}

/* A frame with a head of fuzz bytes, now and then a right TCP header, in two pieces. */
static void send(struct side *s, struct vf_in *in)
{
    static const uint8_t tcp[] = {0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0,
                                  10,   0,    2, 2, 10, 0, 2,    15,   0, 1, 0, 2, 0, 0, 0,    0, 0, 0,  0, 0, 0x50};
    uint32_t kind = vf_take(in, 1), len = vf_take(in, 2), head = vf_take(in, 1) % 64;
    struct net_frame f = {0};
    struct iovec iov[2];

    memset(payload, 0, 64);
    if (kind & 1)
        memcpy(payload, tcp, sizeof tcp);
    else
        for (uint32_t i = 0; i < head && in->n; i++)
            payload[i] = (uint8_t)vf_take(in, 1);
    f.len = len;
    iov[0] = (struct iovec){payload, len < head ? len : head};
    iov[1] = (struct iovec){payload + iov[0].iov_len, len - iov[0].iov_len};
    f.iov = iov;
    f.iovcnt = 2;
    f.flags = (uint8_t)(kind >> 1 & 7);
    if (kind & 1 && kind & 16) {
        f.flags |= NET_CSUM_PARTIAL;
        f.gso = NET_GSO_TCP4;
        f.gso_size = (uint16_t)vf_take(in, 2);
        f.csum_start = 34;
        f.csum_offset = 16;
        f.header_len = 54;
    } else {
        f.gso = (uint8_t)(kind >> 5);
        f.gso_size = (uint16_t)vf_take(in, 2);
        f.csum_start = (uint16_t)vf_take(in, 1);
        f.csum_offset = (uint16_t)vf_take(in, 1);
    }
    net_port_send(&s->port, &f);
}

static void damage(struct side *s, struct vf_in *in)
{
    struct device *d = &s->v->dev;
    size_t n = device_state_size(d);
    uint8_t *image = malloc(n);
    struct err e;

    if (!image)
        abort();
    device_save(d, image);
    for (uint32_t k = vf_take(in, 1); k && in->n; k--) {
        uint32_t at = vf_take(in, 2);

        image[at % n] = (uint8_t)vf_take(in, 1);
    }
    if (!device_restore(d, image, n, &e))
        abort();
    free(image);
}

static void ignore(void *arg, const char *text) { (void)arg, (void)text; }

static void host(struct vf_in *in)
{
    uint32_t what = vf_take(in, 1);
    struct side *s = &sides[what & 1];

    if (!s->v)
        s = &sides[0];
    switch (what >> 1 & 7) {
    case 0:
    case 1: loop_poll(s->loop); break;
    case 2:
    case 3: send(s, in); break;
    case 4:
        room = vf_take(in, 1);
        answers = room & 1;
        net_port_room(&s->port);
        break;
    case 5: net_cable_set_link(s->cable, vf_take(in, 1) & 1); break;
    case 6: damage(s, in); break;
    default: device_info(&s->v->dev, ignore, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    room = 100;
    answers = false;
    for (unsigned i = 0; i < made; i++)
        net_cable_set_link(sides[i].cable, true);
    vf_run(make, host, data, len);
    for (unsigned i = 0; i < made; i++)
        loop_poll(sides[i].loop);
    return 0;
}
