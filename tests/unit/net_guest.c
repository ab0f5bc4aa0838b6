#include "tests/unit/net_guest.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

struct ng ng;

struct virtio_net_options ng_options(void)
{
    return (struct virtio_net_options){
        .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x57}, .rx_size = NG_SIZE, .tx_size = NG_SIZE, .port = "net0", .packed = true};
}

void ng_make(bool legacy, const struct virtio_net_options *o)
{
    struct virtio_net_options own = *o;
    struct err e;

    memset(&ng, 0, sizeof ng);
    vg_init(&ng.g, legacy);
    ng.w.env = (struct net_env){.clock = ng.g.env.clock, .log = ng.g.env.log, .gate = ng.g.env.gate};
    ng.w.env.loop = own.loop = loop_new(ng.g.env.clock, &e);
    ng.v = virtio_net_new(&ng.g.env, "net", &own, &e);
    if (!ng.v)
        fail_msg("%s", e.msg);
    far_init(&ng.far, &ng.w, "far");
    far_init(&ng.me, &ng.w, "me");
    strcpy(ng.me.mac, "52:54:00:12:34:57");
    far_plug(&ng.far, nic_port(virtio_net_nic(ng.v)));
    vg_plug(&ng.g, ng.v);
    world_run(&ng.w);
}

void ng_drive(uint64_t features)
{
    unsigned pairs = features & NG(NG_MQ) ? NG_PAIRS : 1;

    vg_begin(&ng.g, features | NG(NG_MAC));
    ng.hlen = features & NG(NG_MRG_RXBUF) || !ng.g.legacy ? 12 : 10;
    for (unsigned i = 0; i < pairs; i++) {
        vg_queue_init(&ng.g, &ng.rx[i], 2 * i, NG_SIZE);
        vg_queue_init(&ng.g, &ng.tx[i], 2 * i + 1, NG_SIZE);
        vg_queue_on(&ng.rx[i]);
        vg_queue_on(&ng.tx[i]);
    }
    if (features & NG(NG_CTRL_VQ)) {
        vg_queue_init(&ng.g, &ng.ctl, 2 * pairs, NG_SIZE);
        vg_queue_on(&ng.ctl);
    }
    vg_go(&ng.g);
    world_run(&ng.w);
}

void ng_begin(uint64_t features)
{
    struct virtio_net_options o = ng_options();

    o.queues = features & NG(NG_MQ) ? NG_PAIRS : 1;
    ng_make(false, &o);
    ng_drive(features);
}

void ng_end(void)
{
    far_free(&ng.far);
    device_free(&ng.v->dev);
    loop_free(ng.w.env.loop);
    vg_fini(&ng.g);
}

static void put_header(uint8_t *p, const struct ng_hdr *h)
{
    uint8_t raw[12] = {h->flags, h->gso_type};

    st16(raw + 2, h->hdr_len);
    st16(raw + 4, h->gso_size);
    st16(raw + 6, h->csum_start);
    st16(raw + 8, h->csum_offset);
    st16(raw + 10, h->num_buffers);
    memcpy(p, raw, ng.hlen);
}

unsigned ng_queue_frame(unsigned pair, const struct ng_hdr *h, const void *frame, size_t len, size_t piece)
{
    gpa a = vg_alloc(&ng.g, ng.hlen + len, 2);
    struct vg_buf b[NG_SIZE];
    size_t all = ng.hlen + len;
    unsigned n = 0, id;

    put_header(vg_host(&ng.g, a), h ? h : &(struct ng_hdr){0});
    memcpy(vg_host(&ng.g, a) + ng.hlen, frame, len);
    if (piece)
        for (size_t at = 0; at < all; at += piece)
            b[n++] = (struct vg_buf){a + at, (uint32_t)(all - at < piece ? all - at : piece), false};
    else {
        b[n++] = (struct vg_buf){a, ng.hlen, false};
        b[n++] = (struct vg_buf){a + ng.hlen, (uint32_t)len, false};
    }
    id = vg_add(&ng.tx[pair], b, n, true);
    vg_kick(&ng.tx[pair]);
    return id;
}

bool ng_sent(unsigned pair)
{
    unsigned id;
    uint32_t len;

    if (!vg_used(&ng.tx[pair], &id, &len))
        return false;
    CHECK_EQ(len, 0);
    return true;
}

void ng_send(const struct ng_hdr *h, const void *frame, size_t len, size_t piece)
{
    ng_queue_frame(0, h, frame, len, piece);
    world_run(&ng.w);
    CHECK(ng_sent(0));
}

size_t ng_build(const struct pkt *p, uint8_t *buf) { return far_build(&ng.me, p, buf); }

void ng_give(unsigned pair, unsigned n, uint32_t len)
{
    while (n--) {
        struct vg_buf b = {vg_alloc(&ng.g, len, 8), len, true};
        unsigned id = vg_add(&ng.rx[pair], &b, 1, false);

        ng.rx_buf[pair][id].addr = b.addr;
        ng.rx_buf[pair][id].len = len;
    }
    vg_kick(&ng.rx[pair]);
    world_run(&ng.w);
}

/* One used buffer's bytes, behind what there is already. */
static bool receive_buffer(unsigned pair, bool first)
{
    unsigned id;
    uint32_t len;
    uint8_t *p;

    if (!vg_used(&ng.rx[pair], &id, &len))
        return false;
    CHECK(len <= ng.rx_buf[pair][id].len);
    p = vg_host(&ng.g, ng.rx_buf[pair][id].addr);
    if (first) {
        CHECK(len > ng.hlen);
        ng.hdr = (struct ng_hdr){p[0], p[1], ld16(p + 2), ld16(p + 4), ld16(p + 6), ld16(p + 8), 1};
        if (ng.hlen == 12)
            ng.hdr.num_buffers = ld16(p + 10);
        p += ng.hlen;
        len -= ng.hlen;
    }
    CHECK(ng.len + len <= sizeof ng.frame);
    memcpy(ng.frame + ng.len, p, len);
    ng.len += len;
    return true;
}

bool ng_receive(unsigned pair)
{
    ng.len = 0;
    if (!receive_buffer(pair, true))
        return false;
    for (unsigned i = 1; i < ng.hdr.num_buffers; i++)
        CHECK(receive_buffer(pair, false));
    return true;
}

uint8_t ng_command(unsigned class, unsigned command, const void *data, uint32_t len)
{
    gpa head = vg_alloc(&ng.g, 2, 1), body = vg_alloc(&ng.g, len + 1, 1), ack = vg_alloc(&ng.g, 1, 1);
    struct vg_buf b[] = {{head, 2, false}, {body, len, false}, {ack, 1, true}};
    unsigned id;
    uint32_t used;

    vg_host(&ng.g, head)[0] = (uint8_t)class;
    vg_host(&ng.g, head)[1] = (uint8_t)command;
    if (len)
        memcpy(vg_host(&ng.g, body), data, len);
    else
        b[1] = b[2];
    *vg_host(&ng.g, ack) = 0xee;
    vg_add(&ng.ctl, b, len ? 3 : 2, true);
    vg_kick(&ng.ctl);
    CHECK(vg_used(&ng.ctl, &id, &used));
    CHECK_EQ(used, 1);
    world_run(&ng.w);
    return *vg_host(&ng.g, ack);
}

uint64_t ng_config(unsigned off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++) {
        uint64_t byte;

        CHECK(bus_read(ng.g.env.bus, VG_SLOT + 0x100 + off + i, 1, &byte));
        val |= byte << (8 * i);
    }
    return val;
}

bool ng_config_irq(void)
{
    bool config = vg_rd(&ng.g, 0x060) & 2;

    vg_wr(&ng.g, 0x064, 2);
    return config;
}

unsigned ng_avail_event(const struct vg_queue *q)
{
    return ld16(vg_host(&ng.g, q->device) + 4 + 8 * q->size);
}
