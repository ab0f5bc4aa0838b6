/*
 * The inside of the xHCI controller, shared by xhci.c (registers, life), xhci_port.c (ports and what is plugged in),
 * xhci_ring.c (rings of the guest, events), xhci_command.c and xhci_transfer.c.
 *
 * All functions run with the controller's device lock held unless they say otherwise. Section numbers are those of the
 * xHCI specification 1.2.
 */
#ifndef DEVICES_XHCI_PARTS_H
#define DEVICES_XHCI_PARTS_H

#include "devices/usb_hid.h"
#include "devices/xhci.h"

enum {
    XHCI_PORTS = 2 * XHCI_SOCKETS, /* USB 3 first, then USB 2 */
    XHCI_SLOTS = 16,
    XHCI_SEGMENTS = 16, /* of the event ring */
    XHCI_TD = 256,      /* TRBs of a transfer, and links passed for one TRB */
    XHCI_BUDGET = 1024, /* TRBs read of a ring before others have their turn */
    XHCI_CONTEXT = 32,  /* bytes */
    XHCI_EPS = 32,      /* endpoint numbers as the controller counts them; 0 is the slot */
};

enum { /* USBCMD */ CMD_RUN = 1, CMD_RESET = 2, CMD_INTE = 4, CMD_HSEE = 8, CMD_SAVE = 0x100, CMD_RESTORE = 0x200 };
enum { /* USBSTS */ STS_HALTED = 1,
       STS_ERROR = 4,
       STS_EVENT = 8,
       STS_PORT = 0x10,
       STS_RESTORE = 0x400,
       STS_HCE = 0x1000 };
enum { IMAN_PENDING = 1, IMAN_ENABLE = 2, ERDP_BUSY = 8 };

enum { /* 6.4.6 */
       TRB_NORMAL = 1,
       TRB_SETUP = 2,
       TRB_DATA = 3,
       TRB_STATUS = 4,
       TRB_LINK = 6,
       TRB_EVENT_DATA = 7,
       TRB_NOOP = 8,
       TRB_ENABLE_SLOT = 9,
       TRB_DISABLE_SLOT = 10,
       TRB_ADDRESS_DEVICE = 11,
       TRB_CONFIGURE = 12,
       TRB_EVALUATE = 13,
       TRB_RESET_ENDPOINT = 14,
       TRB_STOP_ENDPOINT = 15,
       TRB_SET_DEQUEUE = 16,
       TRB_RESET_DEVICE = 17,
       TRB_NOOP_COMMAND = 23,
       TRB_TRANSFER_EVENT = 32,
       TRB_COMMAND_EVENT = 33,
       TRB_PORT_EVENT = 34,
       TRB_HOST_EVENT = 37,
};
enum { TRB_CYCLE = 1, TRB_TOGGLE = 2, TRB_ISP = 4, TRB_CHAIN = 0x10, TRB_IOC = 0x20, TRB_IDT = 0x40, TRB_BEI = 0x200 };
enum { TRB_DECONFIGURE = 0x200, TRB_BSR = 0x200, EVENT_DATA_FLAG = 4 };

enum xhci_code { /* 6.4.5 */
                 CC_SUCCESS = 1,
                 CC_DATA_BUFFER = 2,
                 CC_TRANSACTION = 4,
                 CC_TRB = 5,
                 CC_STALL = 6,
                 CC_NO_SLOTS = 9,
                 CC_SLOT_NOT_ENABLED = 11,
                 CC_ENDPOINT_NOT_ENABLED = 12,
                 CC_SHORT_PACKET = 13,
                 CC_PARAMETER = 17,
                 CC_CONTEXT_STATE = 19,
                 CC_EVENT_RING_FULL = 21,
                 CC_COMMAND_RING_STOPPED = 24,
                 CC_STOPPED = 26,
};

enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };
enum { EP_TYPE_CONTROL = 4, EP_TYPE_INTERRUPT_IN = 7 };
enum {
    SLOT_DISABLED,
    SLOT_DEFAULT,
    SLOT_ADDRESSED,
    SLOT_CONFIGURED,
    SLOT_ENABLED /* no device yet; told as disabled */
};

struct xhci_trb {
    uint64_t parameter;
    uint32_t status, control;
    gpa at;
};

static inline unsigned trb_type(const struct xhci_trb *t) { return t->control >> 10 & 0x3f; }
static inline uint32_t trb_len(const struct xhci_trb *t) { return t->status & 0x1ffff; }

/* What a snapshot holds: no padding, no pointers. */
struct xhci_ring {
    gpa dequeue;
    uint32_t cycle, pad;
};

struct xhci_ep {
    struct xhci_ring ring;
    uint32_t state, type;
};

struct xhci_slot {
    gpa context; /* of the device, which the guest sees */
    uint32_t state, port /* from 1 */, work /* endpoints that may have some */, pad;
    struct xhci_ep ep[XHCI_EPS];
};

struct xhci_segment {
    gpa base;
    uint32_t size /* TRBs */, pad;
};

struct xhci;

/* What is plugged into a port. */
struct xhci_plug {
    struct xhci *x;
    unsigned port;                     /* from 1 */
    const struct usb_hid_model *model; /* NULL: nothing */
    struct input_handler handler;
    char serial[USB_HID_SERIAL];
    bool live;
};

struct xhci {
    struct pci_device pci; /* first */
    struct input *input;
    struct timer later, idle; /* idle: a device repeats its report */
    uint64_t idle_at;
    struct xhci_plug plug[XHCI_SOCKETS]; /* of USB 2 port XHCI_SOCKETS + 1 + n */
    /* state */
    uint32_t cmd, sts, dnctrl, config, iman, imod, erst_size;
    uint64_t dcbaap, erst, erdp;
    struct xhci_ring command;
    bool command_running, command_work;
    struct xhci_segment segment[XHCI_SEGMENTS];
    uint32_t segments, enqueue /* next event, counted over all segments */, event_cycle;
    bool full; /* the guest was told so; work waits until it has read events */
    uint32_t portsc[XHCI_PORTS], port_events /* 1 << port that are not told */;
    struct xhci_slot slot[XHCI_SLOTS + 1]; /* from 1 */
    struct usb_hid hid[XHCI_SOCKETS];
    /* not state */
    struct xhci_trb td[XHCI_TD];
    unsigned td_len, reads /* of TRBs since the ring had its turn */;
    uint64_t transfers, events, errors;
};

/* xhci.c */
bool xhci_running(const struct xhci *x);
void xhci_die(struct xhci *x, const char *why); /* host controller error: nothing more until it is reset */
void xhci_interrupt_update(struct xhci *x);
void xhci_work(struct xhci *x); /* whatever waits */
void xhci_work_later(struct xhci *x);
void xhci_work_at(struct xhci *x, uint64_t when); /* an endpoint has a report then */

/* xhci_port.c */
void xhci_ports_reset(struct xhci *x);
uint32_t xhci_port_read(const struct xhci *x, unsigned port /* from 0 */, unsigned reg);
void xhci_port_write(struct xhci *x, unsigned port, unsigned reg, uint32_t val);
void xhci_ports_tell(struct xhci *x); /* events that wait */
void xhci_live_update(struct xhci *x);
void xhci_restored(struct xhci *x);
struct xhci_plug *xhci_device(struct xhci *x, unsigned port /* from 1 */); /* NULL: none that answers */

/* xhci_ring.c */
enum xhci_fetch { FETCH_NONE, FETCH_GOOD, FETCH_BAD };
enum xhci_fetch xhci_ring_next(struct xhci *x, struct xhci_ring *r, struct xhci_trb *t);
void xhci_event_ring_set(struct xhci *x);
bool xhci_event_room(struct xhci *x, unsigned n); /* false: not now; goes on when the guest has read some */
void xhci_event(struct xhci *x, unsigned type, uint64_t parameter, uint32_t status, uint32_t control);
void xhci_dequeue_write(struct xhci *x, uint32_t low);
bool xhci_events_wait(const struct xhci *x);

/* xhci_command.c */
void xhci_command_work(struct xhci *x);
void xhci_command_stop(struct xhci *x);

/* xhci_transfer.c */
void xhci_ep_work(struct xhci *x, unsigned slot, unsigned ep);
void xhci_ep_kick(struct xhci *x, unsigned slot, unsigned ep);                /* a doorbell */
void xhci_ep_set(struct xhci *x, unsigned slot, unsigned ep, uint32_t state); /* and tell it in the context */
void xhci_ep_stopped_event(struct xhci *x, unsigned slot, unsigned ep);       /* for the transfer that waits, if any */

#endif
