/*
 * xHCI host controller: PCI function, registers, reset, life.
 *
 * A doorbell does on the spot what the ring holds; what may not go on (the event ring is full, a ring is longer than
 * its share) waits in `work` bits for the guest to read events, or for the loop. An interrupt endpoint whose device has
 * nothing to say keeps its bit until an input event comes. One interrupter: MSI-X vector 0, or INTx.
 * Source: xHCI 1.2, chapter 5 (registers), 4.2 (initialisation), 4.17 (interrupters).
 */
#include "devices/xhci.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "devices/xhci_parts.h"

enum { /* the BAR */
       OPERATIONAL = 0x40,
       PORTS = OPERATIONAL + 0x400,
       RUNTIME = 0x1000,
       DOORBELLS = 0x2000,
       MSIX = 0x3000,
       PBA = 0x3800,
       BAR_SIZE = 0x4000,
};
enum { /* from OPERATIONAL */
       USBCMD = 0x00,
       USBSTS = 0x04,
       PAGESIZE = 0x08,
       DNCTRL = 0x14,
       CRCR = 0x18,
       DCBAAP = 0x30,
       CONFIG = 0x38,
};
enum { /* from RUNTIME */
       MFINDEX = 0x00,
       IMAN = 0x20,
       IMOD = 0x24,
       ERSTSZ = 0x28,
       ERSTBA = 0x30,
       ERDP = 0x38,
};
enum { CRCR_CYCLE = 1, CRCR_STOP = 2, CRCR_ABORT = 4, CRCR_RUNNING = 8 };
enum {
    VENDOR = 0x1b36,
    DEVICE = 0x000d,
    SUBSYSTEM_VENDOR = 0x1af4,
    SUBSYSTEM = 0x1100,
    CLASS = 0x0c0330, /* serial bus, USB, xHCI */
    USB_RELEASE = 0x60,
    FRAME_LENGTH = 0x61,
    PORT_REGISTERS = 16, /* bytes of a port */
    MICROFRAME = 125000, /* ns */
};

bool xhci_running(const struct xhci *x) { return x->cmd & CMD_RUN && !(x->sts & STS_HCE) && pci_master(&x->pci); }

void xhci_die(struct xhci *x, const char *why)
{
    if (!(x->sts & STS_HCE))
        log_guest(&x->pci.dev, "host controller error: %s", why);
    x->errors++;
    x->cmd &= ~(uint32_t)CMD_RUN;
    x->sts |= STS_HCE | STS_ERROR | STS_HALTED;
}

void xhci_interrupt_update(struct xhci *x)
{
    bool want = x->iman & IMAN_PENDING && x->iman & IMAN_ENABLE && x->cmd & CMD_INTE;

    if (pci_msix_enabled(&x->pci)) {
        if (want) {
            x->iman &= ~(uint32_t)IMAN_PENDING; /* the message says it (4.17.5) */
            pci_msix_notify(&x->pci, 0);
        }
        want = false;
    }
    if (want != x->pci.intx)
        pci_intx(&x->pci, want);
}

void xhci_work(struct xhci *x)
{
    xhci_ports_tell(x);
    xhci_command_work(x);
    for (unsigned slot = 1; slot <= XHCI_SLOTS; slot++)
        for (unsigned ep = 1; x->slot[slot].work && ep < XHCI_EPS; ep++)
            xhci_ep_work(x, slot, ep);
}

static void run_later(void *arg)
{
    struct xhci *x = arg;

    device_lock(x);
    xhci_work(x);
    device_unlock(x);
}

void xhci_work_later(struct xhci *x) { timer_arm(&x->later, 0); }

static void run_idle(void *arg)
{
    struct xhci *x = arg;

    device_lock(x);
    x->idle_at = CLOCK_NEVER;
    xhci_work(x);
    device_unlock(x);
}

void xhci_work_at(struct xhci *x, uint64_t when)
{
    if (when >= x->idle_at)
        return;
    x->idle_at = when;
    timer_arm(&x->idle, when);
}

/* All but the configuration space, and the ports' devices are new. */
static void controller_reset(struct xhci *x)
{
    memset(x->slot, 0, sizeof x->slot);
    memset(x->segment, 0, sizeof x->segment);
    x->cmd = x->dnctrl = x->config = x->iman = x->erst_size = 0;
    x->imod = 4000;
    x->sts = STS_HALTED;
    x->dcbaap = x->erst = x->erdp = 0;
    x->command = (struct xhci_ring){0};
    x->command_running = x->command_work = x->full = false;
    x->segments = x->enqueue = 0;
    x->event_cycle = 1;
    timer_cancel(&x->later);
    timer_cancel(&x->idle);
    x->idle_at = CLOCK_NEVER;
    xhci_ports_reset(x);
    xhci_interrupt_update(x);
}

/* --- registers --- */

static uint32_t capability_read(gpa off)
{
    static const uint32_t regs[OPERATIONAL / 4] = {
        0x01000000 | OPERATIONAL,                         /* version 1.0 */
        XHCI_SLOTS | 1 << 8 | (uint32_t)XHCI_PORTS << 24, /* one interrupter */
        4 << 4,                                           /* 16 segments of the event ring, no scratchpad */
        0,
        8 << 16 | 1, /* extended capabilities at 0x20; addresses of 64 bits, contexts of 32 bytes */
        DOORBELLS,
        RUNTIME,
        0,
        0x03000402, /* supported protocols: USB 3.0, */
        0x20425355,
        1 | XHCI_SOCKETS << 8,
        0,
        0x02000002, /* and USB 2.0 */
        0x20425355,
        (XHCI_SOCKETS + 1) | XHCI_SOCKETS << 8,
        0,
    };

    return regs[off / 4];
}

static uint32_t operational_read(const struct xhci *x, gpa off)
{
    switch (off) {
    case USBCMD: return x->cmd;
    case USBSTS: return x->sts;
    case PAGESIZE: return 1; /* 4 KiB */
    case DNCTRL: return x->dnctrl;
    case CRCR: return x->command_running ? CRCR_RUNNING : 0; /* the rest reads as 0 */
    case DCBAAP: return (uint32_t)x->dcbaap;
    case DCBAAP + 4: return (uint32_t)(x->dcbaap >> 32);
    case CONFIG: return x->config;
    default: return 0;
    }
}

static uint32_t runtime_read(struct xhci *x, gpa off)
{
    switch (off) {
    case MFINDEX: return x->cmd & CMD_RUN ? clock_now(x->pci.dev.clock) / MICROFRAME & 0x3fff : 0;
    case IMAN: return x->iman;
    case IMOD: return x->imod;
    case ERSTSZ: return x->erst_size;
    case ERSTBA: return (uint32_t)x->erst;
    case ERSTBA + 4: return (uint32_t)(x->erst >> 32);
    case ERDP: return (uint32_t)x->erdp;
    case ERDP + 4: return (uint32_t)(x->erdp >> 32);
    default: return 0;
    }
}

static uint64_t reg_read(void *arg, gpa off, unsigned size)
{
    struct xhci *x = arg;

    (void)size;
    if (off < OPERATIONAL)
        return capability_read(off);
    if (off < PORTS)
        return operational_read(x, off - OPERATIONAL);
    if (off < PORTS + XHCI_PORTS * PORT_REGISTERS)
        return xhci_port_read(x, (unsigned)(off - PORTS) / PORT_REGISTERS, off % PORT_REGISTERS);
    if (off >= RUNTIME && off < DOORBELLS)
        return runtime_read(x, off - RUNTIME);
    return 0;
}

static void command_write(struct xhci *x, uint32_t val)
{
    if (val & CMD_RESET) {
        controller_reset(x);
        return;
    }
    if (x->sts & STS_HCE)
        val &= ~(uint32_t)CMD_RUN;
    x->cmd = val & (CMD_RUN | CMD_INTE | CMD_HSEE);
    if (val & CMD_RESTORE) /* nothing is kept for it: the driver begins anew */
        x->sts |= STS_RESTORE;
    if (val & CMD_RUN) {
        x->sts &= ~(uint32_t)STS_HALTED;
    } else {
        x->sts |= STS_HALTED;
        x->command_running = false;
    }
    xhci_interrupt_update(x);
    xhci_work(x);
}

static void command_ring_write(struct xhci *x, uint32_t val)
{
    if (x->command_running) {
        if (val & (CRCR_STOP | CRCR_ABORT))
            xhci_command_stop(x);
        return;
    }
    x->command.dequeue = deposit64(x->command.dequeue, 0, 32, val & ~UINT32_C(63));
    x->command.cycle = val & CRCR_CYCLE;
}

static void operational_write(struct xhci *x, gpa off, uint32_t val)
{
    switch (off) {
    case USBCMD: command_write(x, val); break;
    case USBSTS: x->sts &= ~(val & (STS_ERROR | STS_EVENT | STS_PORT | STS_RESTORE)); break;
    case DNCTRL: x->dnctrl = val & 0xffff; break;
    case CRCR: command_ring_write(x, val); break;
    case CRCR + 4:
        if (!x->command_running)
            x->command.dequeue = deposit64(x->command.dequeue, 32, 32, val);
        break;
    case DCBAAP: x->dcbaap = deposit64(x->dcbaap, 0, 32, val & ~UINT32_C(63)); break;
    case DCBAAP + 4: x->dcbaap = deposit64(x->dcbaap, 32, 32, val); break;
    case CONFIG: x->config = val & 0x3ff; break;
    default: log_guest(&x->pci.dev, "write of operational register 0x%" PRIx64, off);
    }
}

static void iman_write(struct xhci *x, uint32_t val)
{
    x->iman = (x->iman & ~(val & IMAN_PENDING) & ~(uint32_t)IMAN_ENABLE) | (val & IMAN_ENABLE);
    xhci_interrupt_update(x);
}

static void runtime_write(struct xhci *x, gpa off, uint32_t val)
{
    switch (off) {
    case IMAN: iman_write(x, val); break;
    case IMOD: x->imod = val; break;
    case ERSTSZ: x->erst_size = val & 0xffff; break;
    case ERSTBA: x->erst = deposit64(x->erst, 0, 32, val & ~UINT32_C(63)); break;
    case ERSTBA + 4:
        x->erst = deposit64(x->erst, 32, 32, val);
        xhci_event_ring_set(x);
        xhci_work(x);
        break;
    case ERDP: xhci_dequeue_write(x, val); break;
    case ERDP + 4: x->erdp = deposit64(x->erdp, 32, 32, val); break;
    default: log_guest(&x->pci.dev, "write of runtime register 0x%" PRIx64, off);
    }
}

static void doorbell(struct xhci *x, unsigned slot, uint32_t val)
{
    unsigned target = val & 0xff;

    if (!xhci_running(x)) {
        log_guest(&x->pci.dev, "doorbell %u while the controller does not run", slot);
    } else if (!slot && !target) {
        x->command_running = x->command_work = true;
        xhci_command_work(x);
    } else if (slot && slot <= XHCI_SLOTS && x->slot[slot].state != SLOT_DISABLED && target && target < XHCI_EPS) {
        xhci_ep_kick(x, slot, target);
    } else {
        log_guest(&x->pci.dev, "doorbell %u with target %u: there is none", slot, target);
    }
}

static void reg_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct xhci *x = arg;

    (void)size;
    if (off >= DOORBELLS && off < DOORBELLS + 0x400)
        doorbell(x, (unsigned)(off - DOORBELLS) / 4, (uint32_t)val);
    else if (off >= RUNTIME && off < DOORBELLS)
        runtime_write(x, off - RUNTIME, (uint32_t)val);
    else if (off >= PORTS && off < PORTS + XHCI_PORTS * PORT_REGISTERS)
        xhci_port_write(x, (unsigned)(off - PORTS) / PORT_REGISTERS, off % PORT_REGISTERS, (uint32_t)val);
    else if (off >= OPERATIONAL && off < PORTS)
        operational_write(x, off - OPERATIONAL, (uint32_t)val);
    else
        log_guest(&x->pci.dev, "write at 0x%" PRIx64 ", which is read-only", off);
}

static const struct mmio_ops reg_ops = {reg_read, reg_write, .min_size = 4, .max_size = 4, .split = true};

/* --- the device --- */

/* Bus mastering or MSI-X came or went. */
static void config_written(struct pci_device *p, unsigned off, unsigned len)
{
    struct xhci *x = (struct xhci *)p;

    (void)len;
    if (off >= USB_RELEASE && off <= FRAME_LENGTH)
        return;
    xhci_interrupt_update(x);
    xhci_work(x);
}

static void xhci_reset(struct device *d)
{
    struct xhci *x = (struct xhci *)d;

    pci_reset(&x->pci);
    controller_reset(x);
}

static void slot_sane(struct xhci_slot *s)
{
    if (s->state > SLOT_ENABLED || s->port > XHCI_PORTS)
        *s = (struct xhci_slot){0};
    s->work &= ~1u;
    for (unsigned ep = 0; ep < XHCI_EPS; ep++) {
        if (s->ep[ep].state > EP_ERROR)
            s->ep[ep].state = EP_DISABLED;
        if (s->ep[ep].state != EP_RUNNING)
            s->work &= ~(1u << ep);
        s->ep[ep].ring.cycle &= 1;
    }
}

/* After reset and restore; what a snapshot brings is not trusted. */
static void xhci_update(struct device *d)
{
    struct xhci *x = (struct xhci *)d;
    uint32_t size = 0;

    if (x->segments > XHCI_SEGMENTS)
        x->segments = 0;
    for (unsigned i = 0; i < x->segments; i++) {
        if (x->segment[i].size < 16 || x->segment[i].size > 4096)
            x->segments = 0;
        size += x->segment[i].size;
    }
    if (x->enqueue >= size)
        x->enqueue = 0;
    x->event_cycle &= 1;
    x->command.cycle &= 1;
    x->port_events &= (1u << XHCI_PORTS) - 1;
    for (unsigned i = 0; i <= XHCI_SLOTS; i++)
        slot_sane(&x->slot[i]);
    x->slot[0] = (struct xhci_slot){0};
    xhci_restored(x);
    pci_update(&x->pci);
    if (x->pci.intx && pci_msix_enabled(&x->pci))
        pci_intx(&x->pci, false);
    if (x->cmd & CMD_RUN)
        xhci_work_later(x);
}

static void xhci_free(struct device *d)
{
    struct xhci *x = (struct xhci *)d;

    for (unsigned i = 0; i < XHCI_SOCKETS; i++)
        if (x->plug[i].model)
            input_unregister(&x->plug[i].handler);
    clock_drop_timer(&x->later);
    clock_drop_timer(&x->idle);
    pci_fini(&x->pci);
    free(x);
}

static void xhci_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    const struct xhci *x = (const struct xhci *)d;
    char text[160];

    for (unsigned i = 0; i < XHCI_SOCKETS; i++) {
        const struct xhci_plug *p = &x->plug[i];

        if (!p->model)
            continue;
        snprintf(text, sizeof text, "port %u: %s, %s", i + 1, p->model->product,
                 x->hid[i].configured ? "configured" : "not configured");
        line(arg, text);
    }
    snprintf(text, sizeof text, "%" PRIu64 " transfers, %" PRIu64 " events, %" PRIu64 " errors", x->transfers,
             x->events, x->errors);
    line(arg, text);
}

static const struct field xhci_state[] = {
    PCI_FIELDS(struct xhci, pci),
    FIELD(struct xhci, cmd),
    FIELD(struct xhci, sts),
    FIELD(struct xhci, dnctrl),
    FIELD(struct xhci, config),
    FIELD(struct xhci, iman),
    FIELD(struct xhci, imod),
    FIELD(struct xhci, erst_size),
    FIELD(struct xhci, dcbaap),
    FIELD(struct xhci, erst),
    FIELD(struct xhci, erdp),
    FIELD(struct xhci, command),
    FIELD(struct xhci, command_running),
    FIELD(struct xhci, command_work),
    FIELD_ARRAY(struct xhci, segment, XHCI_SEGMENTS),
    FIELD(struct xhci, segments),
    FIELD(struct xhci, enqueue),
    FIELD(struct xhci, event_cycle),
    FIELD(struct xhci, full),
    FIELD_ARRAY(struct xhci, portsc, XHCI_PORTS),
    FIELD(struct xhci, port_events),
    FIELD_ARRAY(struct xhci, slot, XHCI_SLOTS + 1),
    {"hid", offsetof(struct xhci, hid), sizeof(struct usb_hid), XHCI_SOCKETS, true,
     false}, /* reset looks at its lights */
    {0},
};

static const struct device_ops xhci_ops = {
    .name = "qemu-xhci",
    .state = xhci_state,
    .reset = xhci_reset,
    .update = xhci_update,
    .free = xhci_free,
    .info = xhci_info,
};

struct pci_device *xhci_new(const struct device_env *env, const char *name, struct input *in, struct err *e)
{
    static const struct pci_id id = {VENDOR, DEVICE, SUBSYSTEM_VENDOR, SUBSYSTEM, CLASS, 1};
    struct xhci *x = calloc(1, sizeof *x);

    if (!x) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    pci_init(&x->pci, &xhci_ops, name, env, &id);
    x->input = in;
    x->pci.config_written = config_written;
    timer_init(&x->later, env->clock, run_later, x);
    timer_init(&x->idle, env->clock, run_idle, x);
    x->idle_at = CLOCK_NEVER;
    pci_use_intx(&x->pci);
    pci_set8(&x->pci, USB_RELEASE, 0x30);
    pci_set8(&x->pci, FRAME_LENGTH, 0x20);
    if (pci_set_bar(&x->pci, 0, PCI_BAR_MEM64, BAR_SIZE, &reg_ops, x, e) && pci_add_msix(&x->pci, 1, 0, MSIX, PBA, e))
        return &x->pci;
    xhci_free(&x->pci.dev);
    return NULL;
}
