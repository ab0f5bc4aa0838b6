/*
 * 82574L transmit rings.
 *
 * A frame is taken when its last descriptor is there: until then nothing of it is consumed, and it is looked at
 * anew by the next write of the tail. Then it is handed to the network with the lock given up, its data still in
 * guest memory, and completed after that: so a frame the network has no room for stays where it is, and a snapshot
 * never holds half of one. A frame that fills the whole ring without an end is thrown away, descriptor by
 * descriptor, up to its end.
 * A reset or a stop meanwhile (epoch) makes what is under way void. Source: 82574 datasheet, 7.2.
 */
#include "devices/e1000e_parts.h"

enum {
    DESC = 16,
    CMD = 11,    /* its command byte */
    STATUS = 12, /* its status byte */
    CMD_EOP = 1 << 0,
    CMD_RS = 1 << 3,
    CMD_DEXT = 1 << 5,
    CMD_IDE = 1 << 7,
    STATUS_DONE = 1,
    TYPE_DATA = 1 << 20, /* in word 2 */
    BUDGET = 2048,       /* descriptors in one call */
};
enum step { NOTHING, AGAIN, STOP };

struct run { /* of one call */
    struct e1000e *e;
    struct e1000e_ring ring;
    unsigned queue, budget;
    struct e1000e_tx *t;
};

static gpa desc_at(const struct e1000e_ring *r, uint32_t i) { return r->base + (gpa)((r->head + i) % r->size) * DESC; }

static bool is_context(const uint8_t *d) { return d[CMD] & CMD_DEXT && !(ld32(d + 8) & 0x00f00000); }

void e1000e_context_set(struct e1000e_context *c, const uint8_t *d)
{
    *c = (struct e1000e_context){ld32(d), ld32(d + 4), ld32(d + 8), ld32(d + 12)};
}

/* Descriptors are done: tell the guest where it asked for it, and which interrupts that makes. */
static void complete(struct run *u, uint32_t n)
{
    struct e1000e *e = u->e;
    uint32_t causes = 0;
    bool late = true;

    for (uint32_t i = 0; i < n; i++) {
        uint8_t *d = bus_ram(e->pci.dev.bus, desc_at(&u->ring, i), DESC);

        if (!d || !(d[CMD] & CMD_RS))
            continue;
        __atomic_store_n(&d[STATUS], d[STATUS] | STATUS_DONE, __ATOMIC_RELEASE);
        dma_written(e->pci.dev.bus, desc_at(&u->ring, i) + STATUS, 1);
        causes |= pci_msix_enabled(&e->pci) ? (uint32_t)ICR_TXQ0 << u->queue : ICR_TXDW;
        late &= !!(d[CMD] & CMD_IDE);
    }
    u->budget -= n < u->budget ? n : u->budget;
    ring_advance(e, &u->ring, n);
    if (u->ring.head == u->ring.tail) {
        causes |= ICR_TXQE;
        e1000e_count(e, S_ICTXQEC);
    }
    if (causes)
        e1000e_cause_tx(e, causes, late);
}

/* The memory of a data descriptor becomes pieces of the frame. What is not RAM, or too much, spoils it. */
static void add_data(struct run *u, const uint8_t *d)
{
    uint32_t lower = ld32(d + 8), left = lower & (d[CMD] & CMD_DEXT ? 0xfffff : 0xffff);
    gpa at = ld64(d);
    struct e1000e_tx *t = u->t;

    if (t->len + left > NET_FRAME_MAX)
        t->bad = true;
    while (left && !t->bad) {
        uint64_t n = left;
        void *p = dma_map(u->e->pci.dev.bus, at, &n, false);

        if (!p || t->pieces == TX_PIECES) {
            t->bad = true;
            break;
        }
        t->iov[1 + t->pieces++] = (struct iovec){p, n};
        t->len += n;
        left -= (uint32_t)n;
        at += n;
    }
}

/* Collect the frame at the head; -> its descriptors, 0: its end is not there yet. */
static uint32_t gather(struct run *u)
{
    uint32_t filled = ring_filled(&u->ring);
    struct e1000e_tx *t = u->t;
    bool any = false;

    t->pieces = 0;
    t->len = 0;
    t->bad = false;
    for (uint32_t i = 0; i < filled; i++) {
        uint8_t d[DESC];

        if (!dma_read(u->e->pci.dev.bus, desc_at(&u->ring, i), d, DESC)) {
            t->bad = true;
            return i + 1;
        }
        if (is_context(d)) /* in the midst of a frame: it is for the next one */
            continue;
        t->last[0] = ld32(d + 8);
        t->last[1] = ld32(d + 12);
        if (!any)
            memcpy(t->first, t->last, sizeof t->first);
        any = true;
        add_data(u, d);
        if (d[CMD] & CMD_EOP)
            return i + 1;
    }
    if (filled + 1 < u->ring.size)
        return 0;
    t->bad = true; /* the guest can add nothing more */
    u->e->skip[u->queue] = true;
    return filled;
}

/* Context descriptors among the next n. */
static void take_contexts(struct run *u, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t d[DESC];

        if (dma_read(u->e->pci.dev.bus, desc_at(&u->ring, i), d, DESC) && is_context(d))
            e1000e_context_set(&u->e->context[u->queue], d);
    }
}

/* Throw away up to the end of a frame; -> descriptors. */
static uint32_t skip(struct run *u)
{
    uint32_t filled = ring_filled(&u->ring);

    for (uint32_t i = 0; i < filled; i++) {
        uint8_t d[DESC];

        if (!dma_read(u->e->pci.dev.bus, desc_at(&u->ring, i), d, DESC) || (d[CMD] & CMD_EOP && !is_context(d))) {
            u->e->skip[u->queue] = false;
            return i + 1;
        }
    }
    return filled;
}

/* Hand over t->f, the lock given up meanwhile. AGAIN: it is gone. */
static enum step send(struct run *u)
{
    struct e1000e *e = u->e;
    unsigned epoch = e->epoch;
    bool taken;

    if (u->t->local) { /* what finds no room is lost, as on a wire */
        if (!u->t->f.gso)
            e1000e_receive(e, &u->t->f);
        return AGAIN;
    }
    nic_fly(&e->nic);
    device_unlock(e);
    taken = net_port_send(nic_port(&e->nic), &u->t->f);
    nic_land(&e->nic);
    device_lock(e);
    if (epoch != e->epoch)
        return STOP;
    return taken ? AGAIN : STOP;
}

/* A lone context descriptor at the head. */
static bool context_first(struct run *u)
{
    uint8_t d[DESC];

    if (!dma_read(u->e->pci.dev.bus, desc_at(&u->ring, 0), d, DESC) || !is_context(d))
        return false;
    e1000e_context_set(&u->e->context[u->queue], d);
    return true;
}

static enum step frame(struct run *u)
{
    struct e1000e *e = u->e;
    struct e1000e_tx *t = u->t;
    uint32_t n = gather(u);

    if (!n)
        return NOTHING;
    if (t->bad || !e1000e_tx_build(e, u->queue, t)) {
        log_guest(&e->pci.dev, "a frame of %zu bytes in %u descriptors cannot be sent", t->len, n);
    } else {
        if (send(u) == STOP)
            return STOP;
        e1000e_count_tx(e, t->f.iov[0].iov_base, t->f.len, t->header, t->segment);
    }
    take_contexts(u, n);
    complete(u, n);
    return AGAIN;
}

/* One frame, or what stands before it. */
static enum step advance(struct run *u)
{
    struct e1000e *e = u->e;

    if (!(reg_get(e, R_TCTL) & TCTL_EN) || !(reg_get(e, R_TARC + u->queue * QUEUE_STRIDE) & TARC_ENABLE) ||
        !e1000e_dma(e) || !ring_load(e, R_TDBAL + u->queue * QUEUE_STRIDE, &u->ring) || u->ring.head == u->ring.tail)
        return NOTHING;
    if (e->skip[u->queue])
        complete(u, skip(u));
    else if (context_first(u))
        complete(u, 1);
    else
        return frame(u);
    return AGAIN;
}

void e1000e_transmit(struct nic *n)
{
    struct e1000e_tx t;
    struct run u = {.e = CONTAINER_OF(n, struct e1000e, nic), .budget = BUDGET, .t = &t};
    enum step s = AGAIN;

    device_lock(u.e);
    for (unsigned q = 0; q < QUEUES && s != STOP; q++) {
        u.queue = q;
        do
            s = advance(&u);
        while (s == AGAIN && u.budget);
    }
    if (!u.budget) /* others on this thread come first */
        nic_kick(&u.e->nic);
    device_unlock(u.e);
}
