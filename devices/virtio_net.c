/*
 * virtio-net: features, configuration space, life; see virtio_net_parts.h for the rest.
 *
 * What the port can receive follows from the features, and the status field from the cable; both are brought up to date by
 * `sync` on the loop's thread, whatever thread changed the cause. After a restore that is also where all queues are looked at
 * and where the guest is asked to announce itself: its peers' switches may be others now.
 */
#include "devices/virtio_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_net_parts.h"

enum { NOTHING = 64 }; /* needs no other feature */

/* QEMU's properties, the features they stand for, and what each needs to be offered (5.1.3.1). */
static const struct {
    const char *name;
    uint8_t bit, needs;
    bool absent; /* a property, but we have no such thing */
} features[] = {
    {"csum", F_CSUM, NOTHING, false},
    {"guest_csum", F_GUEST_CSUM, NOTHING, false},
    {"gso", F_GSO, NOTHING, true},
    {"host_tso4", F_HOST_TSO4, F_CSUM, false},
    {"host_tso6", F_HOST_TSO6, F_CSUM, false},
    {"host_ecn", F_HOST_ECN, F_HOST_TSO4, false},
    {"host_ufo", F_HOST_UFO, NOTHING, true},
    {"host_uso", F_HOST_USO, F_CSUM, false},
    {"guest_tso4", F_GUEST_TSO4, F_GUEST_CSUM, false},
    {"guest_tso6", F_GUEST_TSO6, F_GUEST_CSUM, false},
    {"guest_ecn", F_GUEST_ECN, F_GUEST_TSO4, false},
    {"guest_ufo", F_GUEST_UFO, NOTHING, true},
    {"guest_uso4", F_GUEST_USO4, F_GUEST_CSUM, false},
    {"guest_uso6", F_GUEST_USO6, F_GUEST_CSUM, false},
    {"mrg_rxbuf", F_MRG_RXBUF, NOTHING, false},
    {"status", F_STATUS, NOTHING, false},
    {"ctrl_vq", F_CTRL_VQ, NOTHING, false},
    {"ctrl_rx", F_CTRL_RX, F_CTRL_VQ, false},
    {"ctrl_rx_extra", F_CTRL_RX_EXTRA, F_CTRL_VQ, false},
    {"ctrl_vlan", F_CTRL_VLAN, F_CTRL_VQ, false},
    {"ctrl_mac_addr", F_CTRL_MAC_ADDR, F_CTRL_VQ, false},
    {"ctrl_guest_offloads", F_CTRL_GUEST_OFFLOADS, F_CTRL_VQ, false},
    {"guest_announce", F_GUEST_ANNOUNCE, F_CTRL_VQ, false},
    {"mq", F_MQ, F_CTRL_VQ, false},
};

int virtio_net_feature(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++)
        if (!strcmp(features[i].name, name))
            return features[i].bit;
    return -1;
}

uint64_t vnet_offloads(uint64_t accepted)
{
    static const uint8_t bits[] = {F_GUEST_CSUM, F_GUEST_TSO4, F_GUEST_TSO6, F_GUEST_ECN, F_GUEST_USO4, F_GUEST_USO6};
    uint64_t all = 0;

    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        all |= UINT64_C(1) << bits[i];
    return accepted & all;
}

static bool switched_on(const struct vnet *s, unsigned bit) { return s->offloads >> bit & 1; }

/* Without a driver frames are lost; nobody need segment them before. */
static unsigned port_can(const struct vnet *s)
{
    if (!virtio_running(&s->v))
        return NET_CAN_ALL;
    return (switched_on(s, F_GUEST_CSUM) ? NET_CAN_CSUM : 0) | (switched_on(s, F_GUEST_TSO4) ? NET_CAN_TSO4 : 0) |
           (switched_on(s, F_GUEST_TSO6) ? NET_CAN_TSO6 : 0) |
           (switched_on(s, F_GUEST_USO4) && switched_on(s, F_GUEST_USO6) ? NET_CAN_USO : 0);
}

static void set_status(struct vnet *s)
{
    uint8_t status = s->v.config[C_STATUS] & STATUS_ANNOUNCE;

    if (s->link)
        status |= STATUS_LINK_UP;
    if (s->announce && s->link && virtio_has(&s->v, F_GUEST_ANNOUNCE))
        status |= STATUS_ANNOUNCE;
    s->announce = false;
    if (status == s->v.config[C_STATUS])
        return;
    s->v.config[C_STATUS] = status;
    virtio_config_changed(&s->v);
}

static void sync(void *arg)
{
    struct vnet *s = arg;
    bool up = nic_up(&s->nic);
    unsigned can;

    device_lock(&s->v.dev);
    s->announce |= up && !s->link;
    s->link = up;
    can = port_can(s);
    set_status(s);
    s->tx_ready = (uint32_t)((UINT64_C(1) << s->pairs) - 1);
    s->rx_waiting = 0;
    device_unlock(&s->v.dev);
    s->nic.port.can = can;
    net_port_room(&s->nic.port);
    nic_kick(&s->nic);
}

static void vnet_link(struct nic *n, bool up)
{
    (void)up; /* sync asks */
    loop_call(&vnet_of(n)->sync);
}

static const struct nic_ops vnet_nic_ops = {vnet_transmit, vnet_receive, vnet_link};

static void vnet_notify(struct virtio_dev *v, unsigned queue)
{
    struct vnet *s = (struct vnet *)v;

    if (queue == ctrl_queue(s)) {
        if (virtio_has(v, F_CTRL_VQ))
            vnet_ctrl_notify(s, &v->vq[queue]);
    } else if (queue > ctrl_queue(s) || queue / 2 >= s->pairs) {
        log_guest(&v->dev, "notification of queue %u, which is not in use", queue);
    } else if (queue & 1) {
        s->tx_ready |= UINT32_C(1) << queue / 2;
        nic_kick(&s->nic);
    } else {
        vnet_rx_kick(s, queue / 2);
    }
}

static void vnet_driver_ok(struct virtio_dev *v)
{
    struct vnet *s = (struct vnet *)v;

    s->offloads = vnet_offloads(v->features);
    loop_call(&s->sync);
}

/* Only old drivers set the address this way; the others have a command for it (5.1.4). */
static void vnet_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
    struct vnet *s = (struct vnet *)v;

    (void)off, (void)len;
    if (virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, F_CTRL_MAC_ADDR)) {
        log_guest(&v->dev, "write to the address in the configuration");
        memcpy(v->config + C_MAC, s->mac, ETH_ALEN);
    }
    memcpy(s->mac, v->config + C_MAC, ETH_ALEN);
}

static void vnet_queue_stop(struct virtio_dev *v, unsigned queue)
{
    struct vnet *s = (struct vnet *)v;

    nic_settle(&s->nic);
    s->stops[queue]++;
    if (!(queue & 1) && queue / 2 < s->pairs)
        vnet_rx_stopped(s, queue / 2);
}

static void vnet_reset(struct virtio_dev *v)
{
    struct vnet *s = (struct vnet *)v;

    memcpy(s->mac, s->nic.mac, ETH_ALEN);
    memcpy(v->config + C_MAC, s->mac, ETH_ALEN);
    v->config[C_STATUS] = s->link ? STATUS_LINK_UP : 0;
    vnet_filter_reset(s);
    s->pairs_in_use = 1;
    s->offloads = 0;
    s->announce = false;
    s->tx_ready = 0;
    s->rx_drop = false;
    timer_cancel(&s->starved);
    loop_call(&s->sync);
}

/* After reset and restore. A restored state may be anything. */
static void vnet_update(struct device *d)
{
    struct vnet *s = (struct vnet *)d;

    virtio_dev_update(d);
    if (!vnet_filter_sane(&s->filter))
        vnet_filter_reset(s);
    if (!s->pairs_in_use || s->pairs_in_use > s->pairs)
        s->pairs_in_use = 1;
    s->offloads &= vnet_offloads(s->v.features);
    memcpy(s->v.config + C_MAC, s->mac, ETH_ALEN);
    for (unsigned i = 0; i < s->v.queues; i++)
        s->stops[i]++;
    s->rx_touched = s->tx_touched = s->rx_waiting = 0;
    s->announce = virtio_running(&s->v);
    loop_call(&s->sync);
}

static void vnet_free(struct device *d)
{
    struct vnet *s = (struct vnet *)d;

    virtio_detach(&s->v);
    clock_drop_timer(&s->starved);
    nic_fini(&s->nic);
    loop_call_cancel(&s->sync);
    loop_call_cancel(&s->flush);
    for (unsigned i = 0; i < TX_BATCH; i++) {
        virtq_chain_free(&s->tx[i].chain);
        free(s->tx[i].iov);
    }
    for (unsigned i = 0; i < RX_CHAINS_MAX; i++)
        virtq_chain_free(&s->rx[i]);
    virtq_chain_free(&s->ctrl);
    virtio_fini(&s->v);
    free(s);
}

static void pair_info(const struct vnet *s, unsigned pair, void (*line)(void *arg, const char *text), void *arg)
{
    const struct vnet_counters *c = &s->count[pair];
    const struct virtq *rx = &s->v.vq[rx_queue(pair)], *tx = &s->v.vq[tx_queue(pair)];
    char text[256];

    snprintf(text, sizeof text,
             "tx%u: %llu frames (%llu bytes), %llu kicks, %llu interrupts, %llu bad, %llu times the far end was full", pair,
             (unsigned long long)c->tx_frames, (unsigned long long)c->tx_bytes, (unsigned long long)tx->kicks,
             (unsigned long long)tx->interrupts, (unsigned long long)c->tx_bad, (unsigned long long)c->tx_waits);
    line(arg, text);
    snprintf(text, sizeof text,
             "rx%u: %llu frames (%llu bytes), %llu kicks, %llu interrupts, %llu dropped, %llu times without buffers", pair,
             (unsigned long long)c->rx_frames, (unsigned long long)c->rx_bytes, (unsigned long long)rx->kicks,
             (unsigned long long)rx->interrupts, (unsigned long long)c->rx_bad, (unsigned long long)c->rx_waits);
    line(arg, text);
}

static void vnet_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    const struct vnet *s = (const struct vnet *)d;
    const uint8_t *m = s->mac;
    char text[128];

    snprintf(text, sizeof text, "port %s, link %s, %02x:%02x:%02x:%02x:%02x:%02x, %u of %u pairs of queues in use",
             s->nic.port.name, s->link ? "up" : "down", m[0], m[1], m[2], m[3], m[4], m[5], s->pairs_in_use, s->pairs);
    line(arg, text);
    for (unsigned pair = 0; pair < s->pairs; pair++)
        if (pair < s->pairs_in_use || s->count[pair].tx_frames)
            pair_info(s, pair, line, arg);
    snprintf(text, sizeof text, "%llu frames not for this guest, %llu came when it had no driver",
             (unsigned long long)s->filtered, (unsigned long long)s->unready);
    line(arg, text);
}

static const struct field vnet_state[] = {
    VIRTIO_FIELDS(struct vnet, v),
    FIELD(struct vnet, filter.promisc),
    FIELD(struct vnet, filter.allmulti),
    FIELD(struct vnet, filter.alluni),
    FIELD(struct vnet, filter.nomulti),
    FIELD(struct vnet, filter.nouni),
    FIELD(struct vnet, filter.nobcast),
    FIELD(struct vnet, filter.unicast_overflow),
    FIELD(struct vnet, filter.multicast_overflow),
    FIELD(struct vnet, filter.unicast),
    FIELD(struct vnet, filter.multicast),
    FIELD(struct vnet, filter.mac),
    FIELD(struct vnet, filter.vlan),
    FIELD_ARRAY(struct vnet, mac, ETH_ALEN),
    FIELD(struct vnet, pairs_in_use),
    FIELD(struct vnet, offloads),
    {0},
};

static const struct device_ops vnet_dev_ops = {
    .name = "virtio-net",
    .state = vnet_state,
    .reset = virtio_dev_reset,
    .update = vnet_update,
    .free = vnet_free,
    .info = vnet_info,
};

static const struct virtio_ops vnet_ops = {
    .id = VIRTIO_ID_NET,
    .pci_class = 0x020000, /* network controller, Ethernet */
    .notify = vnet_notify,
    .config_written = vnet_config_written,
    .driver_ok = vnet_driver_ok,
    .queue_stop = vnet_queue_stop,
    .reset = vnet_reset,
};

static bool has_duplex(const struct virtio_net_options *o) { return o->speed || o->full_duplex || o->half_duplex; }

static void offer(struct vnet *s, const struct virtio_net_options *o)
{
    struct virtio_dev *v = &s->v;

    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        unsigned bit = features[i].bit, needs = features[i].needs;

        if (!features[i].absent && !(o->off >> bit & 1) && (needs == NOTHING || v->offered >> needs & 1) &&
            (bit != F_MQ || s->pairs > 1))
            virtio_offer(v, bit);
    }
    virtio_offer(v, F_MAC);
    if (o->mtu)
        virtio_offer(v, F_MTU);
    if (has_duplex(o))
        virtio_offer(v, F_SPEED_DUPLEX);
    if (o->packed)
        virtio_offer(v, VIRTIO_F_RING_PACKED);
}

static void set_config(struct vnet *s, const struct virtio_net_options *o)
{
    uint8_t *c = s->v.config;

    memcpy(c + C_MAC, o->mac, ETH_ALEN);
    memset(s->v.config_writable + C_MAC, 0xff, ETH_ALEN);
    st16(c + C_MAX_PAIRS, (uint16_t)s->pairs);
    st16(c + C_MTU, (uint16_t)o->mtu);
    st32(c + C_SPEED, o->speed ? o->speed : UINT32_MAX);
    c[C_DUPLEX] = o->full_duplex ? 1 : o->half_duplex ? 0 : 0xff;
    s->v.config_len = has_duplex(o) ? C_LEN : o->mtu ? C_SPEED : s->pairs > 1 ? C_MTU : C_MAX_PAIRS;
}

/* The queue behind the first pair is the control queue of a driver without MQ, and a pair's of one with it. */
static void add_queues(struct vnet *s, unsigned rx_size, unsigned tx_size)
{
    for (unsigned pair = 0; pair < s->pairs; pair++) {
        virtio_add_queue(&s->v, rx_queue(pair), rx_size);
        virtio_add_queue(&s->v, tx_queue(pair), tx_size);
    }
    if (s->v.offered >> F_CTRL_VQ & 1)
        virtio_add_queue(&s->v, 2 * s->pairs, VIRTIO_NET_QUEUE_MIN);
}

static bool size_fits(unsigned size) { return is_pow2(size) && size >= VIRTIO_NET_QUEUE_MIN && size <= VIRTQ_SIZE_MAX; }

static bool options_fit(const char *name, const struct virtio_net_options *o, unsigned rx, unsigned tx, struct err *e)
{
    if (o->queues > VIRTIO_NET_PAIRS_MAX)
        return err_set(e, "%s: at most %d pairs of queues", name, VIRTIO_NET_PAIRS_MAX);
    if (!size_fits(rx) || !size_fits(tx))
        return err_set(e, "%s: %s must be a power of two from %d to %d", name,
                       size_fits(rx) ? "tx_queue_size" : "rx_queue_size", VIRTIO_NET_QUEUE_MIN, VIRTQ_SIZE_MAX);
    if (o->mtu && (o->mtu < NET_MTU_MIN || o->mtu > NET_MTU_MAX))
        return err_set(e, "%s: host_mtu must be %d to %d", name, NET_MTU_MIN, NET_MTU_MAX);
    if (o->mac[0] & 1)
        return err_set(e, "%s: mac is a group address", name);
    return !(o->full_duplex && o->half_duplex) || err_set(e, "%s: duplex is full or half", name);
}

struct virtio_dev *virtio_net_new(const struct device_env *env, const char *name, const struct virtio_net_options *o,
                                  struct err *e)
{
    unsigned rx = o->rx_size ? o->rx_size : VIRTIO_NET_QUEUE_DEFAULT, tx = o->tx_size ? o->tx_size : VIRTIO_NET_QUEUE_DEFAULT;
    struct vnet *s;

    if (!options_fit(name, o, rx, tx, e))
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    virtio_init(&s->v, &vnet_dev_ops, &vnet_ops, name, env);
    nic_init(&s->nic, &vnet_nic_ops, &s->v.dev, o->loop, o->port ? o->port : name, o->mac);
    if (o->mtu)
        s->nic.port.mtu = o->mtu;
    loop_call_init(&s->sync, o->loop, sync, s);
    loop_call_init(&s->flush, o->loop, vnet_flush, s);
    timer_init(&s->starved, env->clock, vnet_starved, s);
    memset(s->flow_pair, NO_PAIR, sizeof s->flow_pair);
    s->pairs = o->queues ? o->queues : 1;
    offer(s, o);
    set_config(s, o);
    add_queues(s, rx, tx);
    vnet_reset(&s->v);
    return &s->v;
}

struct nic *virtio_net_nic(struct virtio_dev *v) { return &((struct vnet *)v)->nic; }
