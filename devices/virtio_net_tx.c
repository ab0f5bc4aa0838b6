/*
 * Frames from the guest. A batch of chains is taken under the device's lock, sent without it straight from guest memory,
 * and given back under the lock. While there are more the driver is not asked to kick; when its ring is empty it is.
 *
 * The guest may write to a frame while it is being sent. Headers are looked at more than once on the way, so the first
 * TX_HEAD bytes are copied and what follows them stays where it is.
 */
#include <stdlib.h>

#include "devices/virtio_net_parts.h"
#include "netstack/flow.h"

static bool reserve(struct vnet_tx *t, unsigned pieces)
{
    struct iovec *iov;

    if (pieces <= t->cap)
        return true;
    iov = realloc(t->iov, pieces * sizeof *iov);
    if (!iov)
        return false;
    t->iov = iov;
    t->cap = pieces;
    return true;
}

/* The frame's pieces: the head that was copied, and of the chain what is behind skip bytes. */
static bool gather(struct vnet_tx *t, size_t head, uint64_t skip)
{
    const struct virtq_chain *c = &t->chain;
    unsigned n = 0;

    if (!reserve(t, c->nout + 1))
        return false;
    t->iov[n++] = (struct iovec){t->head, head};
    for (unsigned i = 0; i < c->nout; i++) {
        const struct iovec *v = &c->iov[i];

        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        t->iov[n++] = (struct iovec){(uint8_t *)v->iov_base + skip, v->iov_len - skip};
        skip = 0;
    }
    t->frame.iov = t->iov;
    t->frame.iovcnt = n;
    return true;
}

static bool gso_of(struct net_frame *f, uint8_t type)
{
    switch (type & ~HG_ECN) {
    case HG_NONE: f->gso = NET_GSO_NONE; return true;
    case HG_TCPV4: f->gso = NET_GSO_TCP4; break;
    case HG_TCPV6: f->gso = NET_GSO_TCP6; break;
    case HG_UDP_L4: f->gso = net_flow_ip6(f) ? NET_GSO_UDP6 : NET_GSO_UDP4; break;
    default: return false;
    }
    if (type & HG_ECN)
        f->flags |= NET_GSO_ECN;
    return f->flags & NET_CSUM_PARTIAL; /* 5.1.6.2.1 */
}

/* Make a frame of the chain. NULL, or why it is none. */
static const char *frame_of(struct vnet *s, struct vnet_tx *t)
{
    unsigned hlen = header_len(s);
    uint8_t h[H_LEN];
    uint64_t len;

    if (t->chain.out_len < hlen + ETH_HLEN)
        return "a frame without its header";
    len = t->chain.out_len - hlen;
    if (len > NET_FRAME_MAX)
        return "a frame of more than 64 KiB";
    chain_read(&t->chain, 0, h, hlen);
    t->frame = (struct net_frame){
        .len = (size_t)len,
        .flags = h[H_FLAGS] & HF_NEEDS_CSUM ? NET_CSUM_PARTIAL : 0,
        .header_len = ld16(h + H_HDR_LEN),
        .gso_size = ld16(h + H_GSO_SIZE),
        .csum_start = ld16(h + H_CSUM_START),
        .csum_offset = ld16(h + H_CSUM_OFFSET),
    };
    len = chain_read(&t->chain, hlen, t->head, TX_HEAD);
    if (!gather(t, (size_t)len, hlen + len))
        return "out of memory";
    return gso_of(&t->frame, h[H_GSO_TYPE]) ? NULL : "a frame with a wrong kind of segmentation";
}

static unsigned fetch(struct vnet *s, unsigned pair)
{
    struct virtq *q = &s->v.vq[tx_queue(pair)];
    unsigned n = 0;

    while (n < TX_BATCH && virtq_pop(q, &s->tx[n].chain)) {
        struct vnet_tx *t = &s->tx[n++];
        const char *why = frame_of(s, t);

        t->skip = why;
        if (!why)
            continue;
        log_guest(&s->v.dev, "%s", why);
        s->count[pair].tx_bad++;
    }
    return n;
}

/* No lock held. How many went out, or nowhere; fewer than n: the far end is full. */
static unsigned send(struct vnet *s, unsigned pair, unsigned n, bool spread)
{
    for (unsigned i = 0; i < n; i++) {
        struct vnet_tx *t = &s->tx[i];

        if (t->skip)
            continue;
        if (spread)
            s->flow_pair[net_flow_hash(&t->frame) % FLOWS] = (uint8_t)pair;
        if (!net_port_send(&s->nic.port, &t->frame))
            return i;
    }
    return n;
}

static void complete(struct vnet *s, unsigned pair, unsigned n, unsigned sent)
{
    static const uint64_t nothing[1];
    struct vnet_counters *c = &s->count[pair];

    for (unsigned i = n; i-- > sent;)
        virtq_unpop(&s->tx[i].chain);
    for (unsigned i = 0; i < sent; i++) {
        if (!s->tx[i].skip) {
            c->tx_frames++;
            c->tx_bytes += s->tx[i].frame.len;
        }
        virtq_push_all(&s->tx[i].chain, 1, nothing);
    }
    if (sent == TX_BATCH) {
        virtq_notify(&s->v.vq[tx_queue(pair)]); /* a busy driver can fill what is free while we go on */
        return;
    }
    s->tx_touched |= UINT32_C(1) << pair;
    loop_call(&s->flush);
}

/* One batch; lock held, and given up meanwhile. false: nothing is there, or nothing more can be sent now. */
static bool batch(struct vnet *s, unsigned pair)
{
    unsigned q = tx_queue(pair), n = fetch(s, pair), sent;
    uint32_t stops = s->stops[q];
    bool spread = s->pairs_in_use > 1;

    if (!n)
        return virtq_rearm(&s->v.vq[q]);
    nic_fly(&s->nic);
    device_unlock(&s->v.dev);
    sent = send(s, pair, n, spread);
    nic_land(&s->nic);
    device_lock(&s->v.dev);
    if (s->stops[q] != stops)
        return false;
    complete(s, pair, n, sent);
    if (sent == n)
        return true;
    s->count[pair].tx_waits++;
    s->tx_ready |= UINT32_C(1) << pair; /* the far end says when */
    return false;
}

static void run_queue(struct vnet *s, unsigned pair)
{
    struct virtq *q = &s->v.vq[tx_queue(pair)];
    unsigned turns = TX_TURNS;

    s->tx_ready &= ~(UINT32_C(1) << pair);
    if (!virtio_running(&s->v) || !q->st->enabled)
        return;
    virtq_hush(q);
    while (turns && batch(s, pair))
        turns--;
    if (turns)
        return;
    s->tx_ready |= UINT32_C(1) << pair;
    nic_kick(&s->nic);
}

void vnet_transmit(struct nic *n)
{
    struct vnet *s = vnet_of(n);
    uint32_t ready;

    device_lock(&s->v.dev);
    ready = s->tx_ready;
    for (unsigned pair = 0; pair < s->pairs; pair++)
        if (ready >> pair & 1)
            run_queue(s, pair);
    device_unlock(&s->v.dev);
}
