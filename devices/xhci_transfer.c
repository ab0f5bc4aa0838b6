/*
 * xHCI: transfers (4.10, 4.11).
 *
 * A transfer descriptor (TD) is taken as a whole: a control transfer once its status stage is in the ring, any other
 * once its last TRB is. A device that has nothing to say (USB_NAK) leaves it in the ring, to be looked at when it has.
 * See xhci_parts.h.
 */
#include <string.h>

#include "base/bits.h"
#include "devices/xhci_parts.h"

enum { BUFFER = 512 /* bytes of a control transfer that our devices take or give */, EP_CONTEXT_DEQUEUE = 8 };

/* --- endpoints --- */

void xhci_ep_set(struct xhci *x, unsigned slot, unsigned ep, uint32_t state)
{
    struct xhci_ep *p = &x->slot[slot].ep[ep];
    gpa at = x->slot[slot].context + (gpa)ep * XHCI_CONTEXT;
    uint8_t raw[XHCI_CONTEXT];

    p->state = state;
    if (state != EP_RUNNING)
        x->slot[slot].work &= ~(1u << ep);
    if (!dma_read(x->pci.dev.bus, at, raw, sizeof raw)) {
        xhci_die(x, "a device context is not in memory");
        return;
    }
    st32(raw, (ld32(raw) & ~7u) | state);
    st64(raw + EP_CONTEXT_DEQUEUE, p->ring.dequeue | p->ring.cycle);
    dma_write(x->pci.dev.bus, at, raw, sizeof raw);
}

/* --- taking a TD from the ring --- */

static bool td_ends(const struct xhci_trb *t, bool control, bool *status)
{
    *status |= trb_type(t) == TRB_STATUS;
    return !(t->control & TRB_CHAIN) && (!control || *status || trb_type(t) == TRB_NOOP);
}

/* The TD at r into x->td, r moved past it. */
static enum xhci_fetch td_fetch(struct xhci *x, struct xhci_ring *r, bool control)
{
    bool status = false;

    x->td_len = 0;
    while (x->td_len < XHCI_TD) {
        struct xhci_trb *t = &x->td[x->td_len];
        enum xhci_fetch f = xhci_ring_next(x, r, t);

        if (f != FETCH_GOOD)
            return f;
        x->td_len++;
        if (td_ends(t, control, &status))
            return FETCH_GOOD;
    }
    return FETCH_BAD;
}

/* --- its data --- */

static bool carries(const struct xhci_trb *t) { return trb_type(t) == TRB_NORMAL || trb_type(t) == TRB_DATA; }

/* len bytes to the guest's buffers, as far as they go. false: a buffer is not in memory. */
static bool td_write(struct xhci *x, const uint8_t *data, unsigned len)
{
    for (unsigned i = 0; i < x->td_len && len; i++) {
        const struct xhci_trb *t = &x->td[i];
        unsigned n = trb_len(t) < len ? trb_len(t) : len;

        if (!carries(t))
            continue;
        if (t->control & TRB_IDT || !dma_write(x->pci.dev.bus, t->parameter, data, n))
            return false;
        data += n;
        len -= n;
    }
    return true;
}

static bool td_read(struct xhci *x, uint8_t *data, unsigned len)
{
    for (unsigned i = 0; i < x->td_len && len; i++) {
        const struct xhci_trb *t = &x->td[i];
        unsigned n = trb_len(t) < len ? trb_len(t) : len;

        if (!carries(t))
            continue;
        if (t->control & TRB_IDT && n <= sizeof t->parameter)
            memcpy(data, &t->parameter, n);
        else if (!dma_read(x->pci.dev.bus, t->parameter, data, n))
            return false;
        data += n;
        len -= n;
    }
    return true;
}

static uint32_t td_size(const struct xhci *x)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < x->td_len; i++)
        n += carries(&x->td[i]) ? trb_len(&x->td[i]) : 0;
    return n < BUFFER ? (uint32_t)n : BUFFER;
}

/* --- telling how it went --- */

static void transfer_event(struct xhci *x, unsigned slot, unsigned ep, const struct xhci_trb *t, enum xhci_code code,
                           uint32_t left)
{
    xhci_event(x, TRB_TRANSFER_EVENT, t->at, left | (uint32_t)code << 24,
               (t->control & TRB_BEI) | ep << 16 | slot << 24);
}

/* An Event Data TRB tells the bytes since the last one (4.11.5.2). */
static void data_event(struct xhci *x, unsigned slot, unsigned ep, const struct xhci_trb *t, enum xhci_code code,
                       uint32_t moved)
{
    xhci_event(x, TRB_TRANSFER_EVENT, t->parameter, (moved & 0xffffff) | (uint32_t)code << 24,
               EVENT_DATA_FLAG | (t->control & TRB_BEI) | ep << 16 | slot << 24);
}

/* All of it succeeded, with `moved` bytes of data. */
static void td_done(struct xhci *x, unsigned slot, unsigned ep, uint32_t moved)
{
    enum xhci_code code = CC_SUCCESS;
    uint32_t since = 0;

    for (unsigned i = 0; i < x->td_len; i++) {
        const struct xhci_trb *t = &x->td[i];
        uint32_t n = carries(t) ? (trb_len(t) < moved ? trb_len(t) : moved) : 0;
        bool was_short = code == CC_SHORT_PACKET;

        moved -= n;
        since += n;
        if (trb_type(t) == TRB_STATUS)
            code = CC_SUCCESS;
        else if (carries(t) && n < trb_len(t))
            code = CC_SHORT_PACKET;
        if (trb_type(t) == TRB_EVENT_DATA) {
            if (t->control & TRB_IOC)
                data_event(x, slot, ep, t, code, since);
            since = 0;
        } else if (carries(t) && was_short) {
            continue; /* the stage has ended before it */
        } else if (t->control & TRB_IOC || (code == CC_SHORT_PACKET && t->control & TRB_ISP)) {
            transfer_event(x, slot, ep, t, code, carries(t) ? trb_len(t) - n : 0);
        }
    }
}

/* The TRB that an error of the data, or of the whole, is told of. */
static const struct xhci_trb *culprit(const struct xhci *x)
{
    for (unsigned i = 0; i < x->td_len; i++)
        if (trb_type(&x->td[i]) != TRB_SETUP)
            return &x->td[i];
    return &x->td[0];
}

static void td_failed(struct xhci *x, unsigned slot, unsigned ep, enum xhci_code code)
{
    const struct xhci_trb *t = culprit(x);

    x->errors++;
    xhci_ep_set(x, slot, ep, code == CC_TRB ? EP_ERROR : EP_HALTED);
    transfer_event(x, slot, ep, t, code, carries(t) ? trb_len(t) : 0);
}

/* --- the transfer --- */

static struct usb_hid *hid_of(struct xhci_plug *p) { return &p->x->hid[p - p->x->plug]; }

static bool setup_fits(const struct xhci_trb *t)
{
    return trb_type(t) == TRB_SETUP && t->control & TRB_IDT && trb_len(t) == sizeof t->parameter;
}

/* A code for the guest; *moved: bytes of data. */
static enum xhci_code control_transfer(struct xhci *x, struct xhci_plug *p, uint32_t *moved)
{
    uint8_t setup[8], data[BUFFER] = {0}, leds = hid_of(p)->leds;
    unsigned want, size = td_size(x);
    bool in;
    int n;

    if (!setup_fits(&x->td[0]))
        return CC_TRB;
    st64(setup, x->td[0].parameter);
    in = setup[0] & 0x80;
    want = ld16(setup + 6);
    if (want > size)
        want = size;
    if (!in && !td_read(x, data, want))
        return CC_DATA_BUFFER;
    n = usb_hid_control(hid_of(p), p->model, p->serial, setup, data, want);
    if (n < 0)
        return CC_STALL;
    *moved = in ? (uint32_t)n : want;
    if (in && !td_write(x, data, *moved))
        return CC_DATA_BUFFER;
    if (leds != hid_of(p)->leds)
        input_leds(x->input, hid_of(p)->leds);
    xhci_live_update(x);
    return CC_SUCCESS;
}

/* 0: the device has nothing to say. */
static enum xhci_code interrupt_transfer(struct xhci *x, struct xhci_plug *p, unsigned ep, uint32_t *moved)
{
    uint8_t report[USB_HID_REPORT];
    int n;

    if (ep != 2 * USB_HID_IN + 1)
        return CC_STALL;
    n = usb_hid_in(hid_of(p), p->model, clock_now(x->pci.dev.clock), report);
    if (n == USB_NAK) {
        xhci_work_at(x, usb_hid_due(hid_of(p)));
        return 0;
    }
    if (n < 0)
        return CC_STALL;
    *moved = (uint32_t)n < td_size(x) ? (uint32_t)n : td_size(x);
    return td_write(x, report, *moved) ? CC_SUCCESS : CC_DATA_BUFFER;
}

static enum xhci_code transfer(struct xhci *x, unsigned slot, unsigned ep, uint32_t *moved)
{
    struct xhci_plug *p = xhci_device(x, x->slot[slot].port);

    if (trb_type(&x->td[0]) == TRB_NOOP)
        return CC_SUCCESS;
    if (!p)
        return CC_TRANSACTION;
    if (x->slot[slot].ep[ep].type == EP_TYPE_CONTROL)
        return control_transfer(x, p, moved);
    for (unsigned i = 0; i < x->td_len; i++)
        if (trb_type(&x->td[i]) != TRB_NORMAL && trb_type(&x->td[i]) != TRB_EVENT_DATA)
            return CC_TRB;
    return interrupt_transfer(x, p, ep, moved);
}

static unsigned events_at_most(const struct xhci *x)
{
    unsigned n = 1;

    for (unsigned i = 0; i < x->td_len; i++)
        n += !!(x->td[i].control & (TRB_IOC | TRB_ISP));
    return n;
}

/* false: no more for now. */
static bool ep_step(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_ep *p = &x->slot[slot].ep[ep];
    struct xhci_ring r = p->ring;
    enum xhci_fetch f = td_fetch(x, &r, p->type == EP_TYPE_CONTROL);
    uint32_t moved = 0;
    enum xhci_code code;

    if (f == FETCH_NONE)
        x->slot[slot].work &= ~(1u << ep);
    if (f == FETCH_NONE || x->sts & STS_HCE || !xhci_event_room(x, events_at_most(x)))
        return false;
    code = f == FETCH_BAD ? CC_TRB : transfer(x, slot, ep, &moved);
    if (!code)
        return false;
    if (code != CC_SUCCESS) {
        td_failed(x, slot, ep, code);
        return false;
    }
    x->transfers++;
    p->ring = r;
    td_done(x, slot, ep, moved);
    return true;
}

void xhci_ep_work(struct xhci *x, unsigned slot, unsigned ep)
{
    x->reads = 0;
    while (xhci_running(x) && x->slot[slot].work >> ep & 1 && ep_step(x, slot, ep)) {
        if (x->reads >= XHCI_BUDGET) {
            xhci_work_later(x);
            return;
        }
    }
}

void xhci_ep_kick(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_ep *p = &x->slot[slot].ep[ep];

    if (p->state == EP_STOPPED)
        xhci_ep_set(x, slot, ep, EP_RUNNING);
    if (p->state != EP_RUNNING) {
        log_guest(&x->pci.dev, "doorbell of slot %u, endpoint %u, which is in state %u", slot, ep, p->state);
        return;
    }
    x->slot[slot].work |= 1u << ep;
    xhci_ep_work(x, slot, ep);
}

void xhci_ep_stopped_event(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_ring r = x->slot[slot].ep[ep].ring;
    struct xhci_trb t;

    if (x->slot[slot].work >> ep & 1 && xhci_ring_next(x, &r, &t) == FETCH_GOOD)
        transfer_event(x, slot, ep, &t, CC_STOPPED, carries(&t) ? trb_len(&t) : 0);
}
