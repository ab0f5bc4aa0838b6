/* xHCI: ports (4.19, 5.4.8) and what is plugged into them. See xhci_parts.h. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "devices/xhci_parts.h"

enum { /* PORTSC */
       CONNECTED = 1,
       ENABLED = 2,
       RESET = 0x10,
       LINK_SHIFT = 5,
       LINK = 0xf << LINK_SHIFT,
       POWER = 0x200,
       SPEED_HIGH = 3 << 10,
       INDICATOR = 0xc000,
       LINK_WRITE = 0x10000,
       CONNECT_CHANGE = 0x20000,
       ENABLE_CHANGE = 0x40000,
       WARM_CHANGE = 0x80000,
       RESET_CHANGE = 0x200000,
       LINK_CHANGE = 0x400000,
       CHANGES = 0xfe0000,
       WAKE = 0xe000000,
       WARM_RESET = 0x80000000,
};
enum { U0 = 0, U3 = 3, DISABLED = 4, DETECT = 5, POLLING = 7, RESUME = 15 };
enum { PORTSC = 0, PORT_STRIDE = 4 };

static struct xhci_plug *plug_of(struct xhci *x, unsigned port /* from 0 */)
{
    struct xhci_plug *p = port < XHCI_SOCKETS ? NULL : &x->plug[port - XHCI_SOCKETS];

    return p && p->model ? p : NULL;
}

static struct usb_hid *hid_of(struct xhci_plug *p) { return &p->x->hid[p - p->x->plug]; }

struct xhci_plug *xhci_device(struct xhci *x, unsigned port)
{
    if (!port || port > XHCI_PORTS || !(x->portsc[port - 1] & ENABLED))
        return NULL;
    return plug_of(x, port - 1);
}

static void link_set(struct xhci *x, unsigned port, unsigned state)
{
    x->portsc[port] = (x->portsc[port] & ~(uint32_t)LINK) | state << LINK_SHIFT;
}

static unsigned link_get(const struct xhci *x, unsigned port) { return (x->portsc[port] & LINK) >> LINK_SHIFT; }

void xhci_ports_tell(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_PORTS && xhci_running(x); i++) {
        if (!(x->port_events >> i & 1))
            continue;
        if (!xhci_event_room(x, 1))
            return;
        x->port_events &= ~(1u << i);
        xhci_event(x, TRB_PORT_EVENT, (uint64_t)(i + 1) << 24, (uint32_t)CC_SUCCESS << 24, 0);
    }
}

/* Only the first of several changes is an event (4.19.2). */
static void changed(struct xhci *x, unsigned port, uint32_t change)
{
    bool first = !(x->portsc[port] & CHANGES);

    x->portsc[port] |= change;
    x->sts |= STS_PORT;
    if (first)
        x->port_events |= 1u << port;
    xhci_ports_tell(x);
}

void xhci_live_update(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_SOCKETS; i++) {
        struct xhci_plug *p = &x->plug[i];
        bool live = p->model && x->hid[i].configured && x->portsc[XHCI_SOCKETS + i] & ENABLED;

        if (live != p->live)
            input_set_live(&p->handler, live);
        p->live = live;
    }
}

static void lights(struct xhci_plug *p)
{
    if (p->model->kind == INPUT_KEYBOARD && hid_of(p)->leds)
        input_leds(p->x->input, 0);
}

static void device_reset_bus(struct xhci_plug *p)
{
    lights(p);
    usb_hid_reset(hid_of(p));
}

/* After power-on and the controller's reset: who is there waits for a reset of the port. */
void xhci_ports_reset(struct xhci *x)
{
    x->port_events = 0;
    for (unsigned i = 0; i < XHCI_PORTS; i++) {
        struct xhci_plug *p = plug_of(x, i);

        x->portsc[i] = POWER | (p ? POLLING : DETECT) << LINK_SHIFT;
        if (!p)
            continue;
        device_reset_bus(p);
        x->portsc[i] |= CONNECTED | SPEED_HIGH | CONNECT_CHANGE;
        x->port_events |= 1u << i;
        x->sts |= STS_PORT;
    }
    xhci_live_update(x);
}

static void port_reset(struct xhci *x, unsigned port, bool warm)
{
    struct xhci_plug *p = plug_of(x, port);

    if (!p) {
        changed(x, port, RESET_CHANGE | (warm && port < XHCI_SOCKETS ? WARM_CHANGE : 0));
        return;
    }
    device_reset_bus(p);
    x->portsc[port] |= ENABLED;
    link_set(x, port, U0);
    changed(x, port, RESET_CHANGE);
    xhci_live_update(x);
}

static void link_write(struct xhci *x, unsigned port, unsigned state)
{
    unsigned old = link_get(x, port);

    if (!(x->portsc[port] & ENABLED))
        return;
    if (state == U3 || (state == RESUME && old == U3)) {
        link_set(x, port, state);
    } else if (state == U0 && old != U0) {
        link_set(x, port, U0);
        changed(x, port, LINK_CHANGE);
    }
}

static void power(struct xhci *x, unsigned port, bool on)
{
    if (on == !!(x->portsc[port] & POWER))
        return;
    if (on) {
        struct xhci_plug *p = plug_of(x, port);

        x->portsc[port] |= POWER;
        link_set(x, port, p ? POLLING : DETECT);
        if (p) {
            x->portsc[port] |= CONNECTED | SPEED_HIGH;
            changed(x, port, CONNECT_CHANGE);
        }
        return;
    }
    if (plug_of(x, port))
        device_reset_bus(plug_of(x, port));
    x->portsc[port] &= CHANGES | WAKE | INDICATOR;
    link_set(x, port, DISABLED);
}

static void portsc_write(struct xhci *x, unsigned port, uint32_t val)
{
    x->portsc[port] &= ~(val & CHANGES);
    x->portsc[port] = (x->portsc[port] & ~(uint32_t)(WAKE | INDICATOR)) | (val & (WAKE | INDICATOR));
    power(x, port, val & POWER);
    if (!(x->portsc[port] & POWER))
        return;
    if (val & RESET || (val & WARM_RESET && port < XHCI_SOCKETS)) {
        port_reset(x, port, val & WARM_RESET);
        return;
    }
    if (val & ENABLED && x->portsc[port] & ENABLED) { /* written 1: disabled */
        x->portsc[port] &= ~(uint32_t)ENABLED;
        link_set(x, port, DISABLED);
    }
    if (val & LINK_WRITE)
        link_write(x, port, (val & LINK) >> LINK_SHIFT);
}

uint32_t xhci_port_read(const struct xhci *x, unsigned port, unsigned reg)
{
    return reg == PORTSC ? x->portsc[port] : 0;
}

void xhci_port_write(struct xhci *x, unsigned port, unsigned reg, uint32_t val)
{
    if (reg != PORTSC) /* power management of links that need none */
        return;
    portsc_write(x, port, val);
    xhci_live_update(x);
}

/* --- keys and pointers --- */

static void wake(struct xhci *x, unsigned port)
{
    for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++)
        if (x->slot[slot].port == port && x->slot[slot].state != SLOT_DISABLED)
            xhci_ep_work(x, slot, 2 * USB_HID_IN + 1);
}

/* struct input_handler.event */
static void plug_event(void *dev, const struct input_event *e, unsigned n)
{
    struct xhci_plug *p = dev;
    struct xhci *x = p->x;

    device_lock(x);
    usb_hid_event(hid_of(p), p->model, e, n);
    if (link_get(x, p->port - 1) == U3 && hid_of(p)->wakeup) {
        link_set(x, p->port - 1, RESUME);
        changed(x, p->port - 1, LINK_CHANGE);
    }
    wake(x, p->port);
    device_unlock(x);
}

/* What a snapshot brings is not trusted; the hub hears what the restored guest was told, so that releases come here. */
void xhci_restored(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_PORTS; i++)
        if (!plug_of(x, i))
            x->portsc[i] &= ~(uint32_t)(CONNECTED | ENABLED);
    for (unsigned i = 0; i < XHCI_SOCKETS; i++) {
        struct xhci_plug *p = &x->plug[i];

        if (!p->model)
            continue;
        usb_hid_sane(&x->hid[i], p->model);
        if (p->model->kind == INPUT_KEYBOARD)
            input_leds(x->input, x->hid[i].leds);
        if (p->live)
            input_set_live(&p->handler, false);
        p->live = false;
    }
    xhci_live_update(x);
    for (unsigned i = 0; i < XHCI_SOCKETS; i++)
        for (unsigned code = 0; x->plug[i].live && code < INPUT_CODES; code++)
            if (usb_hid_down(&x->hid[i], x->plug[i].model, code))
                input_set_down(&x->plug[i].handler, (uint16_t)code, false);
}

bool xhci_plug(struct pci_device *pci, const char *name, enum input_kind kind, unsigned port, const char *serial,
               struct err *e)
{
    static const struct usb_hid_model *const models[INPUT_KINDS] = {
        [INPUT_KEYBOARD] = &usb_hid_keyboard, [INPUT_MOUSE] = &usb_hid_mouse, [INPUT_TABLET] = &usb_hid_tablet};
    struct xhci *x = (struct xhci *)pci;
    struct xhci_plug *p;

    if (port > XHCI_SOCKETS || !models[kind])
        return err_set(e, "%s: %s has ports 1 to %d", name, pci->dev.name, XHCI_SOCKETS);
    if (!port)
        for (port = 1; port <= XHCI_SOCKETS && x->plug[port - 1].model;)
            port++;
    if (port > XHCI_SOCKETS)
        return err_set(e, "%s: all %d ports of %s are taken", name, XHCI_SOCKETS, pci->dev.name);
    p = &x->plug[port - 1];
    if (p->model)
        return err_set(e, "%s: port %u of %s is taken", name, port, pci->dev.name);
    if (serial && strlen(serial) >= USB_HID_SERIAL)
        return err_set(e, "%s: a serial number has up to %d characters", name, USB_HID_SERIAL - 1);
    p->x = x;
    p->port = XHCI_SOCKETS + port;
    p->model = models[kind];
    if (serial)
        snprintf(p->serial, sizeof p->serial, "%s", serial);
    else
        snprintf(p->serial, sizeof p->serial, "%u", port);
    p->handler = (struct input_handler){.kind = kind, .name = p->model->product, .event = plug_event, .dev = p};
    input_register(x->input, &p->handler);
    return true;
}
