/*
 * A USB keyboard, mouse or tablet: what answers at the end of its cable, without the controller (xhci.h).
 *
 * High speed, one configuration, one interface, one interrupt IN endpoint. The keyboard's reports are the boot
 * protocol's also in report protocol. A press for which the queue has no room is dropped, a release waits in `late`;
 * motion that finds the queue full joins the last of it. Reports are sent when something changed, and the last one
 * again after the idle time when the host sets one (U-Boot does) and asks.
 * Locks: the owner's, held around every call.
 * Sources: USB 2.0, chapter 9; Device Class Definition for HID 1.11; HID Usage Tables 1.12.
 */
#ifndef DEVICES_USB_HID_H
#define DEVICES_USB_HID_H

#include "devices/input.h"

enum {
    USB_HID_REPORT = 8, /* bytes of a report at most, and of a packet */
    USB_HID_CHANGES = 128,
    USB_HID_MOVES = 16,
    USB_HID_SERIAL = 32,
    USB_HID_IN = 1, /* number of its endpoint */
};
enum { USB_NAK = -1, USB_STALL = -2 };

struct usb_hid_model {
    enum input_kind kind;
    const char *product;
    uint8_t subclass, protocol, interval;
    const uint8_t *report;
    uint8_t report_len;
};

struct usb_hid_move {
    int32_t x, y, wheel; /* x, y: a place or motion that is not yet told */
    uint32_t buttons;
};

/* All of it is state: no pointers, no padding. */
struct usb_hid {
    uint64_t held[4];                 /* usages that are down once the queue is told */
    uint64_t told[4];                 /* as the last report said */
    uint64_t late[4];                 /* releases that wait for room */
    uint16_t change[USB_HID_CHANGES]; /* usage, CHANGE_DOWN */
    struct usb_hid_move move[USB_HID_MOVES], now;
    uint64_t idle_due; /* when the last report is sent again, ns */
    uint32_t head, changes, moves;
    uint8_t configured, boot, idle /* of 4 ms, 0: for ever */, leds, halted, wakeup, pad[6];
};

extern const struct usb_hid_model usb_hid_keyboard, usb_hid_mouse, usb_hid_tablet;

void usb_hid_reset(struct usb_hid *h);                               /* of the bus */
void usb_hid_sane(struct usb_hid *h, const struct usb_hid_model *m); /* after restore */
/*
 * A control transfer. data: what the host sent, or room for the answer, len bytes. Bytes of the answer (0 when the host
 * sent), or USB_STALL. serial: of the device.
 */
int usb_hid_control(struct usb_hid *h, const struct usb_hid_model *m, const char *serial, const uint8_t setup[8],
                    uint8_t *data, unsigned len);
/* The next report of the interrupt endpoint: its length, USB_NAK or USB_STALL. now: ns. */
int usb_hid_in(struct usb_hid *h, const struct usb_hid_model *m, uint64_t now, uint8_t out[USB_HID_REPORT]);
uint64_t
usb_hid_due(const struct usb_hid *h); /* when to ask again after USB_NAK, though nothing happens; or CLOCK_NEVER */
void usb_hid_event(struct usb_hid *h, const struct usb_hid_model *m, const struct input_event *e, unsigned n);
bool usb_hid_down(const struct usb_hid *h, const struct usb_hid_model *m, unsigned code); /* for input_set_down */

/* usb_hid_codes.c: the usage of a key on page 7, 0: none. */
uint8_t usb_hid_usage(unsigned code);
/* usb_hid_desc.c: descriptor of a type and index; bytes, 0: there is none. */
unsigned usb_hid_descriptor(const struct usb_hid_model *m, const char *serial, unsigned type, unsigned index,
                            uint8_t out[256]);

#endif
