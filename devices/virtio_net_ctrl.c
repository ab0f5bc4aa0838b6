/* The control queue (5.1.6.5): the receive filter, the number of queues, offloads; and the filter at work. */
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_net_parts.h"

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_ANNOUNCE = 3, CLASS_MQ = 4, CLASS_OFFLOADS = 5 };
enum { RX_PROMISC = 0, RX_ALLMULTI = 1, RX_ALLUNI = 2, RX_NOMULTI = 3, RX_NOUNI = 4, RX_NOBCAST = 5 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { VLAN_ADD = 0, VLAN_DEL = 1 };
enum { ACK_OK = 0, ACK_ERR = 1 };
enum { COMMAND_LEN = 2, TYPE_VLAN = 0x8100, BUDGET = 64 };

/* What follows class and command. false: there are not exactly len bytes of it. */
static bool data(const struct virtq_chain *c, void *buf, uint64_t len)
{
    return c->out_len == COMMAND_LEN + len && chain_read(c, COMMAND_LEN, buf, len) == len;
}

static bool rx_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    struct vnet_filter *f = &s->filter;
    bool *const flag[] = {&f->promisc, &f->allmulti, &f->alluni, &f->nomulti, &f->nouni, &f->nobcast};
    uint8_t on;

    if (command > RX_NOBCAST || !data(c, &on, 1))
        return false;
    if (!virtio_has(&s->v, command <= RX_ALLMULTI ? F_CTRL_RX : F_CTRL_RX_EXTRA))
        return false;
    *flag[command] = on;
    return true;
}

/* One table: a number and so many addresses, at *at in the chain. Those that fit go to mac[]. */
static bool read_table(const struct virtq_chain *c, uint64_t *at, uint8_t (*mac)[ETH_ALEN], unsigned room, uint8_t *n,
                       bool *overflow)
{
    uint8_t count[4];
    uint64_t len;

    if (chain_read(c, *at, count, sizeof count) < sizeof count)
        return false;
    *at += sizeof count;
    len = (uint64_t)ld32(count) * ETH_ALEN;
    if (len > c->out_len - *at)
        return false;
    *overflow = ld32(count) > room;
    *n = *overflow ? 0 : (uint8_t)ld32(count);
    chain_read(c, *at, mac, (uint64_t)*n * ETH_ALEN);
    *at += len;
    return true;
}

static bool set_tables(struct vnet *s, const struct virtq_chain *c)
{
    struct vnet_filter f = s->filter;
    uint64_t at = COMMAND_LEN;

    memset(f.mac, 0, sizeof f.mac);
    if (!read_table(c, &at, f.mac, MACS_MAX, &f.unicast, &f.unicast_overflow) ||
        !read_table(c, &at, f.mac + f.unicast, MACS_MAX - f.unicast, &f.multicast, &f.multicast_overflow) ||
        at != c->out_len)
        return false;
    s->filter = f;
    return true;
}

static bool mac_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    uint8_t mac[ETH_ALEN];

    if (command == MAC_TABLE_SET)
        return virtio_has(&s->v, F_CTRL_RX) && set_tables(s, c);
    if (command != MAC_ADDR_SET || !virtio_has(&s->v, F_CTRL_MAC_ADDR) || !data(c, mac, sizeof mac))
        return false;
    memcpy(s->mac, mac, sizeof mac);
    memcpy(s->v.config + C_MAC, mac, sizeof mac);
    return true;
}

static bool vlan_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    uint8_t raw[2];
    uint16_t vlan;

    if (command > VLAN_DEL || !virtio_has(&s->v, F_CTRL_VLAN) || !data(c, raw, sizeof raw))
        return false;
    vlan = ld16(raw);
    if (vlan >= VLANS)
        return false;
    if (command == VLAN_ADD)
        s->filter.vlan[vlan / 8] |= (uint8_t)(1u << vlan % 8);
    else
        s->filter.vlan[vlan / 8] &= (uint8_t) ~(1u << vlan % 8);
    return true;
}

static bool announce_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    if (command || !data(c, NULL, 0) || !virtio_has(&s->v, F_GUEST_ANNOUNCE))
        return false;
    s->v.config[C_STATUS] &= (uint8_t)~STATUS_ANNOUNCE;
    return true;
}

/* Hashes and RSS are commands of this class too; they were not offered. */
static bool mq_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    uint8_t raw[2];

    if (command || !virtio_has(&s->v, F_MQ) || !data(c, raw, sizeof raw) || !ld16(raw) || ld16(raw) > s->pairs)
        return false;
    s->pairs_in_use = ld16(raw);
    for (unsigned pair = s->pairs_in_use; pair < s->pairs; pair++)
        vnet_rx_kick(s, pair); /* what waits for it goes elsewhere */
    return true;
}

static bool offloads_command(struct vnet *s, uint8_t command, const struct virtq_chain *c)
{
    uint8_t raw[8];

    if (command || !virtio_has(&s->v, F_CTRL_GUEST_OFFLOADS) || !data(c, raw, sizeof raw) ||
        ld64(raw) & ~vnet_offloads(s->v.features))
        return false;
    s->offloads = ld64(raw);
    loop_call(&s->sync);
    return true;
}

static bool command(struct vnet *s, const struct virtq_chain *c)
{
    static bool (*const run[])(struct vnet *, uint8_t, const struct virtq_chain *) = {
        [CLASS_RX] = rx_command,             [CLASS_MAC] = mac_command, [CLASS_VLAN] = vlan_command,
        [CLASS_ANNOUNCE] = announce_command, [CLASS_MQ] = mq_command,   [CLASS_OFFLOADS] = offloads_command,
    };
    uint8_t h[COMMAND_LEN];

    if (chain_read(c, 0, h, sizeof h) == sizeof h && h[0] < ARRAY_LEN(run) && run[h[0]](s, h[1], c))
        return true;
    log_guest(&s->v.dev, "control command refused");
    return false;
}

void vnet_ctrl_notify(struct vnet *s, struct virtq *q)
{
    struct virtq_chain *c = &s->ctrl;
    unsigned budget = BUDGET;

    while (budget && (virtq_pop(q, c) || (virtq_rearm(q) && virtq_pop(q, c)))) {
        uint8_t ack;

        if (!c->in_len) {
            virtio_broken(&s->v, "a control command without room for its answer");
            return;
        }
        ack = command(s, c) ? ACK_OK : ACK_ERR;
        chain_write(c, 0, &ack, 1);
        virtq_push(c, 1);
        budget--;
    }
    virtq_notify(q);
    if (!budget)
        virtio_later(&s->v, q->index);
}

/* As QEMU has it: a driver that knows no filter gets everything. */
void vnet_filter_reset(struct vnet *s)
{
    s->filter = (struct vnet_filter){.promisc = true};
}

bool vnet_filter_sane(const struct vnet_filter *f) { return f->unicast + f->multicast <= MACS_MAX; }

static bool listed(const uint8_t (*mac)[ETH_ALEN], unsigned n, const uint8_t *dst)
{
    for (unsigned i = 0; i < n; i++)
        if (!memcmp(mac[i], dst, ETH_ALEN))
            return true;
    return false;
}

static bool group_accepted(const struct vnet_filter *f, const uint8_t *dst)
{
    static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!memcmp(dst, broadcast, ETH_ALEN))
        return !f->nobcast;
    return !f->nomulti && (f->allmulti || f->multicast_overflow || listed(f->mac + f->unicast, f->multicast, dst));
}

bool vnet_filter_accepts(const struct vnet *s, const struct net_frame *frame)
{
    const struct vnet_filter *f = &s->filter;
    struct packet p = packet_of(frame);
    uint8_t head[ETH_HLEN + 2] = {0};

    if (f->promisc)
        return true;
    packet_copy(&p, 0, head, sizeof head);
    if (virtio_has(&s->v, F_CTRL_VLAN) && ld16be(head + ETH_HLEN - 2) == TYPE_VLAN) {
        unsigned vlan = ld16be(head + ETH_HLEN) & (VLANS - 1);

        if (!(f->vlan[vlan / 8] >> vlan % 8 & 1))
            return false;
    }
    if (head[0] & 1)
        return group_accepted(f, head);
    return !f->nouni && (f->alluni || f->unicast_overflow || !memcmp(head, s->mac, ETH_ALEN) ||
                         listed(f->mac, f->unicast, head));
}
