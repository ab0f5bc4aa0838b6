/* xHCI: reading the guest's rings, and the event ring (4.9). See xhci_parts.h. */
#include <string.h>

#include "base/bits.h"
#include "devices/xhci_parts.h"

enum { TRB_SIZE = 16 };

/* --- rings that the guest fills --- */

static bool trb_read(struct xhci *x, gpa at, struct xhci_trb *t)
{
    uint8_t raw[TRB_SIZE];

    x->reads++;
    if (!dma_read(x->pci.dev.bus, at, raw, sizeof raw)) {
        xhci_die(x, "a ring is not in memory");
        return false;
    }
    *t = (struct xhci_trb){ld64(raw), ld32(raw + 8), ld32(raw + 12), at};
    return true;
}

/* The next TRB, past links, of which a hostile ring may have no end. r is moved past it. */
enum xhci_fetch xhci_ring_next(struct xhci *x, struct xhci_ring *r, struct xhci_trb *t)
{
    for (unsigned links = 0; links < XHCI_TD; links++) {
        if (!trb_read(x, r->dequeue, t))
            return FETCH_BAD;
        if ((t->control & TRB_CYCLE) != r->cycle)
            return FETCH_NONE;
        if (trb_type(t) != TRB_LINK) {
            r->dequeue += TRB_SIZE;
            return FETCH_GOOD;
        }
        r->dequeue = t->parameter & ~UINT64_C(15);
        if (t->control & TRB_TOGGLE)
            r->cycle ^= 1;
    }
    return FETCH_BAD;
}

/* --- the event ring: segments of a table, one after the other --- */

static uint32_t ring_size(const struct xhci *x)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < x->segments; i++)
        n += x->segment[i].size;
    return n;
}

static gpa place(const struct xhci *x, uint32_t index)
{
    unsigned i = 0;

    while (i + 1 < x->segments && index >= x->segment[i].size)
        index -= x->segment[i++].size;
    return x->segment[i].base + (gpa)index * TRB_SIZE;
}

/* Where the guest reads; what is nowhere counts as the place of the next event. */
static uint32_t dequeue(const struct xhci *x)
{
    gpa at = x->erdp & ~UINT64_C(15);
    uint32_t index = 0;

    for (unsigned i = 0; i < x->segments; i++) {
        const struct xhci_segment *s = &x->segment[i];

        if (at >= s->base && at - s->base < (gpa)s->size * TRB_SIZE)
            return index + (uint32_t)((at - s->base) / TRB_SIZE);
        index += s->size;
    }
    return x->enqueue;
}

static uint32_t room(const struct xhci *x)
{
    uint32_t size = ring_size(x), at = dequeue(x);

    return size ? (at + size - x->enqueue - 1) % size : 0;
}

bool xhci_events_wait(const struct xhci *x) { return x->segments && dequeue(x) != x->enqueue; }

/* The table was written: read it and begin at its first event (4.9.4). */
void xhci_event_ring_set(struct xhci *x)
{
    uint8_t raw[TRB_SIZE];

    x->segments = 0;
    x->enqueue = 0;
    x->event_cycle = 1;
    x->full = false;
    for (unsigned i = 0; i < x->erst_size && i < XHCI_SEGMENTS; i++) {
        struct xhci_segment *s = &x->segment[i];

        if (!dma_read(x->pci.dev.bus, x->erst + i * TRB_SIZE, raw, sizeof raw)) {
            xhci_die(x, "the event ring's table is not in memory");
            return;
        }
        *s = (struct xhci_segment){ld64(raw) & ~UINT64_C(63), ld32(raw + 8) & 0xffff, 0};
        if (s->size < 16 || s->size > 4096) {
            x->segments = 0;
            log_guest(&x->pci.dev, "a segment of the event ring has %u entries, 16 to 4096 are allowed", s->size);
            return;
        }
        x->segments = i + 1;
    }
}

static void raise_interrupt(struct xhci *x)
{
    if (x->erdp & ERDP_BUSY) /* the guest is at it, and looks for more before it says that it is not */
        return;
    x->erdp |= ERDP_BUSY;
    x->iman |= IMAN_PENDING;
    x->sts |= STS_EVENT;
    xhci_interrupt_update(x);
}

static void put(struct xhci *x, uint64_t parameter, uint32_t status, uint32_t control)
{
    uint8_t raw[TRB_SIZE];

    st64(raw, parameter);
    st32(raw + 8, status);
    st32(raw + 12, control | x->event_cycle);
    if (!dma_write(x->pci.dev.bus, place(x, x->enqueue), raw, sizeof raw)) {
        xhci_die(x, "the event ring is not in memory");
        return;
    }
    x->events++;
    if (++x->enqueue >= ring_size(x)) {
        x->enqueue = 0;
        x->event_cycle ^= 1;
    }
}

void xhci_event(struct xhci *x, unsigned type, uint64_t parameter, uint32_t status, uint32_t control)
{
    if (!room(x)) {
        log_guest(&x->pci.dev, "an event of type %u has no room and is lost", type);
        return;
    }
    put(x, parameter, status, type << 10 | (control & ~(uint32_t)TRB_BEI));
    if (!(control & TRB_BEI))
        raise_interrupt(x);
}

/* One entry is kept for telling that the ring is full. */
bool xhci_event_room(struct xhci *x, unsigned n)
{
    uint32_t size = ring_size(x);

    if (!size || x->sts & STS_HCE)
        return false;
    if (room(x) > (n < size - 3 ? n : size - 3))
        return true;
    if (!x->full) {
        x->full = true;
        xhci_event(x, TRB_HOST_EVENT, 0, (uint32_t)CC_EVENT_RING_FULL << 24, 0);
    }
    return false;
}

void xhci_dequeue_write(struct xhci *x, uint32_t low)
{
    bool busy = x->erdp & ERDP_BUSY && !(low & ERDP_BUSY);

    x->erdp = deposit64(x->erdp, 0, 32, (low & ~UINT32_C(15)) | (low & 7));
    if (busy)
        x->erdp |= ERDP_BUSY;
    else if (xhci_events_wait(x))
        raise_interrupt(x);
    if (x->full) {
        x->full = false;
        xhci_work(x);
    }
}
