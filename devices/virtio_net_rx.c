/*
 * Frames to the guest, copied into its buffers under the device's lock. Interrupts are decided on once for all frames of a
 * turn of the loop, those that were sent too: an answer often comes while the question is being sent.
 *
 * A frame that finds no buffers is refused, and the sender waits: its data are better kept where they come from than
 * dropped and sent again. The queue's next kick is asked for before the last look at it, so none is missed. A driver that
 * offers too little for a large frame and then nothing more would stop all others: after a second that frame is lost.
 */
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_net_parts.h"
#include "netstack/flow.h"

enum { PATIENCE = 1000000000 }; /* ns */

static uint32_t bit(unsigned pair) { return UINT32_C(1) << pair; }

/* The far end knows what this port takes, but may not have heard of a change yet. */
static bool offloads_fit(const struct vnet *s, const struct net_frame *f)
{
    static const uint8_t needs[] = {[NET_GSO_TCP4] = F_GUEST_TSO4,
                                    [NET_GSO_TCP6] = F_GUEST_TSO6,
                                    [NET_GSO_UDP4] = F_GUEST_USO4,
                                    [NET_GSO_UDP6] = F_GUEST_USO6};

    if (f->flags & NET_CSUM_PARTIAL && !(s->offloads >> F_GUEST_CSUM & 1))
        return false;
    return !f->gso || (f->gso < ARRAY_LEN(needs) && s->offloads >> needs[f->gso] & 1);
}

static void make_header(const struct vnet *s, const struct net_frame *f, uint8_t *h)
{
    static const uint8_t types[] = {
        [NET_GSO_TCP4] = HG_TCPV4, [NET_GSO_TCP6] = HG_TCPV6, [NET_GSO_UDP4] = HG_UDP_L4, [NET_GSO_UDP6] = HG_UDP_L4};

    memset(h, 0, H_LEN);
    if (f->flags & NET_CSUM_PARTIAL) {
        h[H_FLAGS] = HF_NEEDS_CSUM;
        st16(h + H_CSUM_START, f->csum_start);
        st16(h + H_CSUM_OFFSET, f->csum_offset);
    } else if (f->flags & NET_CSUM_VALID && s->offloads >> F_GUEST_CSUM & 1) {
        h[H_FLAGS] = HF_DATA_VALID;
    }
    if (!f->gso)
        return;
    h[H_GSO_TYPE] = types[f->gso];
    if (f->flags & NET_GSO_ECN && s->offloads >> F_GUEST_ECN & 1)
        h[H_GSO_TYPE] |= HG_ECN;
    st16(h + H_GSO_SIZE, f->gso_size);
    st16(h + H_HDR_LEN, f->header_len);
}

/* The pair on whose other queue the flow was last sent, so that one vCPU has both ways of it. */
static unsigned choose_pair(const struct vnet *s, const struct net_frame *f)
{
    uint32_t hash;
    unsigned pair;

    if (s->pairs_in_use < 2)
        return 0;
    hash = net_flow_hash(f);
    pair = s->flow_pair[hash % FLOWS];
    if (pair >= s->pairs_in_use)
        pair = hash / FLOWS % s->pairs_in_use;
    return s->v.vq_state[rx_queue(pair)].enabled ? pair : 0;
}

/* The next buffer into rx[n]. A driver has to offer room for the header at least (5.1.6.3.1). */
static bool take_chain(struct vnet *s, struct virtq *q, unsigned n)
{
    struct virtq_chain *c = &s->rx[n];

    if (!virtq_pop(q, c) && !(virtq_rearm(q) && virtq_pop(q, c)))
        return false;
    if (c->in_len < header_len(s))
        virtio_broken(&s->v, "a receive buffer shorter than a frame's header");
    return true;
}

/* Chains of room for len bytes into rx[]; how many, all put back and 0 when there are too few. *room: bytes found. */
static unsigned take_chains(struct vnet *s, struct virtq *q, uint64_t len, uint64_t *room)
{
    unsigned max = virtio_has(&s->v, F_MRG_RXBUF) ? RX_CHAINS_MAX : 1, n = 0, looked = 0;

    *room = 0;
    while (*room < len && n < max && looked < RX_DESCS_MAX && !s->v.broken && take_chain(s, q, n)) {
        looked += s->rx[n].looked;
        *room += s->rx[n++].in_len;
    }
    if (*room >= len && !s->v.broken)
        return n;
    *room = n == max || looked >= RX_DESCS_MAX ? UINT64_MAX : *room; /* more buffers would not help */
    while (n)
        virtq_unpop(&s->rx[--n]);
    return 0;
}

/* The frame from its byte `at` on into c, behind skip bytes. */
static size_t fill(const struct virtq_chain *c, const struct packet *p, size_t at, uint64_t skip)
{
    size_t done = 0;

    for (unsigned i = c->nout; i < c->nout + c->nin; i++) {
        const struct iovec *v = &c->iov[i];

        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        done += packet_copy(p, at + done, (uint8_t *)v->iov_base + skip, v->iov_len - skip);
        skip = 0;
    }
    return done;
}

static void deliver(struct vnet *s, struct virtq *q, const struct net_frame *f, unsigned n)
{
    struct packet p = packet_of(f);
    unsigned hlen = header_len(s);
    uint64_t written[RX_CHAINS_MAX];
    uint8_t h[H_LEN];
    size_t at = 0;

    make_header(s, f, h);
    st16(h + H_NUM_BUFFERS, (uint16_t)n);
    chain_write(&s->rx[0], 0, h, hlen);
    for (unsigned i = 0; i < n; i++) {
        size_t got = fill(&s->rx[i], &p, at, i ? 0 : hlen);

        written[i] = got + (i ? 0 : hlen);
        at += got;
    }
    virtq_push_all(s->rx, n, written);
    virtq_hush(q);
}

/* No chains for the frame. true: it is lost; false: the sender is to wait. */
static bool no_room(struct vnet *s, unsigned pair, uint64_t room)
{
    struct vnet_counters *c = &s->count[pair];

    if (s->v.broken || room == UINT64_MAX || (room && s->rx_drop)) {
        s->rx_drop = false;
        c->rx_bad++;
        return true;
    }
    s->rx_waiting |= bit(pair);
    c->rx_waits++;
    if (room && s->starved.when == CLOCK_NEVER)
        timer_arm(&s->starved, clock_now(s->v.dev.clock) + PATIENCE);
    return false;
}

static bool receive(struct vnet *s, const struct net_frame *f)
{
    unsigned pair = choose_pair(s, f), n;
    struct virtq *q = &s->v.vq[rx_queue(pair)];
    uint64_t room;

    if (!virtio_running(&s->v) || !q->st->enabled) {
        s->unready++;
        return true;
    }
    if (!vnet_filter_accepts(s, f)) {
        s->filtered++;
        return true;
    }
    if (!offloads_fit(s, f)) {
        s->count[pair].rx_bad++;
        return true;
    }
    n = take_chains(s, q, header_len(s) + f->len, &room);
    if (!n)
        return no_room(s, pair, room);
    deliver(s, q, f, n);
    s->rx_drop = false;
    if (s->starved.when != CLOCK_NEVER)
        timer_cancel(&s->starved);
    s->count[pair].rx_frames++;
    s->count[pair].rx_bytes += f->len;
    s->rx_touched |= bit(pair);
    loop_call(&s->flush);
    return true;
}

bool vnet_receive(struct nic *n, const struct net_frame *f)
{
    struct vnet *s = vnet_of(n);
    bool taken;

    if (!nic_enter(n))
        return false;
    taken = receive(s, f);
    device_unlock(&s->v.dev);
    return taken;
}

void vnet_flush(void *arg)
{
    struct vnet *s = arg;

    device_lock(&s->v.dev);
    for (unsigned pair = 0; (s->rx_touched | s->tx_touched) >> pair; pair++) {
        if (s->rx_touched >> pair & 1)
            virtq_notify(&s->v.vq[rx_queue(pair)]);
        if (s->tx_touched >> pair & 1)
            virtq_notify(&s->v.vq[tx_queue(pair)]);
    }
    s->rx_touched = s->tx_touched = 0;
    device_unlock(&s->v.dev);
}

void vnet_rx_kick(struct vnet *s, unsigned pair)
{
    if (!(s->rx_waiting & bit(pair)))
        return;
    s->rx_waiting &= ~bit(pair);
    nic_room(&s->nic);
}

void vnet_rx_stopped(struct vnet *s, unsigned pair)
{
    s->rx_touched &= ~bit(pair);
    vnet_rx_kick(s, pair); /* what waits is lost, or finds another queue */
}

void vnet_starved(void *arg)
{
    struct vnet *s = arg;

    device_lock(&s->v.dev);
    s->rx_drop = s->rx_waiting;
    s->rx_waiting = 0;
    device_unlock(&s->v.dev);
    net_port_room(&s->nic.port);
}
