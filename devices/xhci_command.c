/* xHCI: the command ring (4.6) and the contexts of slots (6.2). See xhci_parts.h. */
#include <string.h>

#include "base/bits.h"
#include "devices/xhci_parts.h"

enum { /* of an input context: what to drop, what to add; then the slot's and the endpoints' contexts */
       INPUT_DROP = 0,
       INPUT_ADD = 4,
       INPUT_CONTEXTS = XHCI_CONTEXT,
       ADD_SLOT = 1,
       ADD_EP0 = 2,
};
enum { SLOT_PORT = 6, SLOT_ADDRESS = 12, SLOT_STATE_SHIFT = 27, EP_TYPE = 4, EP_PACKET = 6, EP_DEQUEUE = 8 };

typedef uint8_t context[XHCI_CONTEXT];

static bool get(struct xhci *x, gpa at, void *buf, unsigned len)
{
    if (dma_read(x->pci.dev.bus, at, buf, len))
        return true;
    xhci_die(x, "a context is not in memory");
    return false;
}

static bool put(struct xhci *x, gpa at, const void *buf, unsigned len)
{
    if (dma_write(x->pci.dev.bus, at, buf, len))
        return true;
    xhci_die(x, "a context is not in memory");
    return false;
}

static gpa input_context(const struct xhci_trb *t, unsigned n)
{
    return (t->parameter & ~UINT64_C(15)) + INPUT_CONTEXTS + (gpa)n * XHCI_CONTEXT;
}

/* Write the slot's state and address where the guest looks; `entries` below 32 replaces the number of contexts. */
static bool slot_tell(struct xhci *x, unsigned n, unsigned state, unsigned entries)
{
    struct xhci_slot *s = &x->slot[n];
    unsigned address = state == SLOT_ADDRESSED || state == SLOT_CONFIGURED ? n : 0;
    context c;

    s->state = state;
    if (!get(x, s->context, c, sizeof c))
        return false;
    if (entries < XHCI_EPS)
        st32(c, (ld32(c) & 0x07ffffff) | entries << 27);
    st32(c + SLOT_ADDRESS, address | state << SLOT_STATE_SHIFT);
    return put(x, s->context, c, sizeof c);
}

/* Endpoint ep begins as the input context has it. */
static enum xhci_code ep_begin(struct xhci *x, unsigned n, unsigned ep, const struct xhci_trb *t)
{
    struct xhci_ep *p = &x->slot[n].ep[ep];
    context c;

    if (!get(x, input_context(t, ep), c, sizeof c))
        return CC_TRB;
    *p = (struct xhci_ep){.ring = {ld64(c + EP_DEQUEUE) & ~UINT64_C(15), c[EP_DEQUEUE] & 1, 0},
                          .type = c[EP_TYPE] >> 3 & 7};
    if (!p->type || (ep == 1) != (p->type == EP_TYPE_CONTROL) || !ld16(c + EP_PACKET))
        return CC_PARAMETER;
    if (!put(x, x->slot[n].context + (gpa)ep * XHCI_CONTEXT, c, sizeof c))
        return CC_TRB;
    xhci_ep_set(x, n, ep, EP_RUNNING);
    return CC_SUCCESS;
}

static void ep_end(struct xhci *x, unsigned n, unsigned ep)
{
    if (x->slot[n].ep[ep].state != EP_DISABLED)
        xhci_ep_set(x, n, ep, EP_DISABLED);
    x->slot[n].ep[ep] = (struct xhci_ep){0};
}

/* --- slots --- */

static enum xhci_code enable_slot(struct xhci *x, unsigned *slot)
{
    for (unsigned i = 1; i <= XHCI_SLOTS && i <= (x->config & 0xff); i++) {
        if (x->slot[i].state != SLOT_DISABLED)
            continue;
        x->slot[i] = (struct xhci_slot){.state = SLOT_ENABLED};
        *slot = i;
        return CC_SUCCESS;
    }
    return CC_NO_SLOTS;
}

static enum xhci_code disable_slot(struct xhci *x, unsigned n, const struct xhci_trb *t)
{
    (void)t;
    if (x->slot[n].state != SLOT_ENABLED)
        slot_tell(x, n, SLOT_DISABLED, XHCI_EPS);
    x->slot[n] = (struct xhci_slot){0};
    return CC_SUCCESS;
}

static bool port_is_taken(const struct xhci *x, unsigned port, unsigned but)
{
    for (unsigned i = 1; i <= XHCI_SLOTS; i++)
        if (i != but && x->slot[i].state != SLOT_DISABLED && x->slot[i].port == port)
            return true;
    return false;
}

/* The address is the slot's number; our devices need not be told. */
static enum xhci_code address_device(struct xhci *x, unsigned n, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->slot[n];
    bool only_context = t->control & TRB_BSR;
    enum xhci_code code;
    uint8_t flags[8];
    context c;

    if (s->state != SLOT_ENABLED && (s->state != SLOT_DEFAULT || only_context))
        return CC_CONTEXT_STATE;
    if (!get(x, t->parameter & ~UINT64_C(15), flags, sizeof flags) || !get(x, input_context(t, 0), c, sizeof c) ||
        !get(x, x->dcbaap + n * sizeof s->context, &s->context, sizeof s->context))
        return CC_TRB;
    s->context &= ~UINT64_C(63);
    if ((ld32(flags + INPUT_ADD) & 3) != (ADD_SLOT | ADD_EP0) || ld32(c) & 0xfffff /* behind a hub */ ||
        port_is_taken(x, c[SLOT_PORT], n))
        return CC_PARAMETER;
    if (!xhci_device(x, c[SLOT_PORT]))
        return CC_TRANSACTION;
    s->port = c[SLOT_PORT];
    if (!put(x, s->context, c, sizeof c))
        return CC_TRB;
    code = ep_begin(x, n, 1, t);
    if (code == CC_SUCCESS)
        slot_tell(x, n, only_context ? SLOT_DEFAULT : SLOT_ADDRESSED, XHCI_EPS);
    return code;
}

static unsigned last_ep(const struct xhci_slot *s)
{
    unsigned last = 1;

    for (unsigned ep = 2; ep < XHCI_EPS; ep++)
        if (s->ep[ep].state != EP_DISABLED)
            last = ep;
    return last;
}

static enum xhci_code configure(struct xhci *x, unsigned n, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->slot[n];
    uint8_t flags[8];
    uint32_t drop, add;

    if (s->state != SLOT_ADDRESSED && s->state != SLOT_CONFIGURED)
        return CC_CONTEXT_STATE;
    memset(flags, 0, sizeof flags);
    if (!(t->control & TRB_DECONFIGURE) && !get(x, t->parameter & ~UINT64_C(15), flags, sizeof flags))
        return CC_TRB;
    drop = t->control & TRB_DECONFIGURE ? ~UINT32_C(3) : ld32(flags + INPUT_DROP);
    add = ld32(flags + INPUT_ADD);
    if (drop & 3 && !(t->control & TRB_DECONFIGURE))
        return CC_PARAMETER;
    for (unsigned ep = 2; ep < XHCI_EPS; ep++) {
        enum xhci_code code = CC_SUCCESS;

        if ((drop | add) >> ep & 1)
            ep_end(x, n, ep);
        if (add >> ep & 1)
            code = ep_begin(x, n, ep, t);
        if (code != CC_SUCCESS)
            return code;
    }
    slot_tell(x, n, last_ep(s) > 1 ? SLOT_CONFIGURED : SLOT_ADDRESSED, last_ep(s));
    return CC_SUCCESS;
}

/* The guest has learnt the size of endpoint 0's packets, or wants other latencies. */
static enum xhci_code evaluate(struct xhci *x, unsigned n, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->slot[n];
    context in, out;
    uint8_t flags[8];

    if (s->state == SLOT_ENABLED)
        return CC_CONTEXT_STATE;
    if (!get(x, t->parameter & ~UINT64_C(15), flags, sizeof flags))
        return CC_TRB;
    if (ld32(flags + INPUT_ADD) & ADD_SLOT) {
        if (!get(x, input_context(t, 0), in, sizeof in) || !get(x, s->context, out, sizeof out))
            return CC_TRB;
        st16(out + 4, ld16(in + 4));                                                 /* exit latency */
        st32(out + 8, (ld32(out + 8) & 0x003fffff) | (ld32(in + 8) & ~0x003fffffu)); /* interrupter */
        if (!put(x, s->context, out, sizeof out))
            return CC_TRB;
    }
    if (ld32(flags + INPUT_ADD) & ADD_EP0) {
        if (!get(x, input_context(t, 1), in, sizeof in) || !get(x, s->context + XHCI_CONTEXT, out, sizeof out))
            return CC_TRB;
        st16(out + EP_PACKET, ld16(in + EP_PACKET));
        if (!put(x, s->context + XHCI_CONTEXT, out, sizeof out))
            return CC_TRB;
    }
    return CC_SUCCESS;
}

static enum xhci_code reset_device(struct xhci *x, unsigned n, const struct xhci_trb *t)
{
    (void)t;
    if (x->slot[n].state != SLOT_ADDRESSED && x->slot[n].state != SLOT_CONFIGURED)
        return CC_CONTEXT_STATE;
    for (unsigned ep = 2; ep < XHCI_EPS; ep++)
        ep_end(x, n, ep);
    slot_tell(x, n, SLOT_DEFAULT, 1);
    return CC_SUCCESS;
}

/* --- endpoints --- */

static enum xhci_code reset_endpoint(struct xhci *x, unsigned n, unsigned ep, const struct xhci_trb *t)
{
    (void)t;
    if (x->slot[n].ep[ep].state != EP_HALTED)
        return CC_CONTEXT_STATE;
    xhci_ep_set(x, n, ep, EP_STOPPED);
    return CC_SUCCESS;
}

static enum xhci_code stop_endpoint(struct xhci *x, unsigned n, unsigned ep, const struct xhci_trb *t)
{
    (void)t;
    if (x->slot[n].ep[ep].state != EP_RUNNING)
        return CC_CONTEXT_STATE;
    xhci_ep_stopped_event(x, n, ep);
    xhci_ep_set(x, n, ep, EP_STOPPED);
    return CC_SUCCESS;
}

static enum xhci_code set_dequeue(struct xhci *x, unsigned n, unsigned ep, const struct xhci_trb *t)
{
    struct xhci_ep *p = &x->slot[n].ep[ep];

    if (p->state != EP_STOPPED && p->state != EP_ERROR)
        return CC_CONTEXT_STATE;
    p->ring = (struct xhci_ring){t->parameter & ~UINT64_C(15), t->parameter & 1, 0};
    xhci_ep_set(x, n, ep, EP_STOPPED);
    return CC_SUCCESS;
}

/* --- the ring --- */

typedef enum xhci_code slot_command(struct xhci *x, unsigned n, const struct xhci_trb *t);
typedef enum xhci_code ep_command(struct xhci *x, unsigned n, unsigned ep, const struct xhci_trb *t);

static enum xhci_code command(struct xhci *x, const struct xhci_trb *t, unsigned *slot)
{
    static slot_command *const of_slot[TRB_NOOP_COMMAND] = {
        [TRB_DISABLE_SLOT] = disable_slot, [TRB_ADDRESS_DEVICE] = address_device, [TRB_CONFIGURE] = configure,
        [TRB_EVALUATE] = evaluate,         [TRB_RESET_DEVICE] = reset_device,
    };
    static ep_command *const of_ep[TRB_NOOP_COMMAND] = {
        [TRB_RESET_ENDPOINT] = reset_endpoint,
        [TRB_STOP_ENDPOINT] = stop_endpoint,
        [TRB_SET_DEQUEUE] = set_dequeue,
    };
    unsigned type = trb_type(t), n = t->control >> 24, ep = t->control >> 16 & 0x1f;

    if (type == TRB_ENABLE_SLOT)
        return enable_slot(x, slot);
    if (type == TRB_NOOP_COMMAND)
        return CC_SUCCESS;
    if (type >= TRB_NOOP_COMMAND || (!of_slot[type] && !of_ep[type]))
        return CC_TRB;
    *slot = n;
    if (!n || n > XHCI_SLOTS || x->slot[n].state == SLOT_DISABLED)
        return CC_SLOT_NOT_ENABLED;
    if (of_slot[type])
        return of_slot[type](x, n, t);
    if (!ep || x->slot[n].ep[ep].state == EP_DISABLED)
        return CC_ENDPOINT_NOT_ENABLED;
    return of_ep[type](x, n, ep, t);
}

static void completed(struct xhci *x, gpa at, enum xhci_code code, unsigned slot)
{
    xhci_event(x, TRB_COMMAND_EVENT, at, (uint32_t)code << 24, slot << 24);
}

void xhci_command_work(struct xhci *x)
{
    x->reads = 0;
    while (x->command_running && x->command_work && xhci_running(x)) {
        struct xhci_trb t;
        unsigned slot = 0;
        enum xhci_fetch f;
        enum xhci_code code;

        if (x->reads >= XHCI_BUDGET) {
            xhci_work_later(x);
            return;
        }
        if (!xhci_event_room(x, 2))
            return;
        f = xhci_ring_next(x, &x->command, &t);
        if (f == FETCH_BAD)
            xhci_die(x, "the command ring has no end");
        if (f != FETCH_GOOD) {
            x->command_work = false;
            return;
        }
        code = command(x, &t, &slot);
        if (!(x->sts & STS_HCE))
            completed(x, t.at, code, slot);
    }
}

/* CRCR's stop and abort: no command is under way when the guest can ask (4.6.1.1). */
void xhci_command_stop(struct xhci *x)
{
    if (!x->command_running)
        return;
    x->command_running = x->command_work = false;
    completed(x, x->command.dequeue, CC_COMMAND_RING_STOPPED, 0);
}
