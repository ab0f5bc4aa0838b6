/*
 * UART 16550A: see uart16550.h. LSR, MSR, IIR and the interrupt line are derived from the FIFOs and flags below.
 */
#include "devices/uart16550.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/chardev.h"

enum { /* offsets; 0 and 1 are the divisor latch while LCR_DLAB is set */
       RBR_THR = 0,
       IER = 1,
       IIR_FCR = 2,
       LCR = 3,
       MCR = 4,
       LSR = 5,
       MSR = 6,
       SCR = 7,
};

enum { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_MODEM = 0, IIR_NONE = 1, IIR_THRE = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 0xc, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_TRIGGER = 0xc0, FCR_TRIGGER_SHIFT = 6 };
enum { LCR_LENGTH = 3, LCR_STOP = 4, LCR_PARITY = 8, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum {
    LSR_DR = 1,
    LSR_OE = 2,
    LSR_BI = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80
};
enum { MSR_TERI = 4, MSR_DELTAS = 0x0f, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

enum { FIFO = 16, RESET_DIVISOR = 12 };

struct uart {
    struct device dev;
    struct chardev *chr;
    struct timer timer; /* character timeout */
    uint64_t timer_at;  /* when it is armed for, CLOCK_NEVER: not */
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t modem;    /* MSR: lines as last seen, and their deltas */
    uint8_t rx[FIFO]; /* ring, and the LSR error bits that came with each byte */
    uint8_t rx_err[FIFO];
    uint8_t tx[FIFO];
    uint8_t rx_head, rx_count, tx_head, tx_count;
    uint16_t divisor;
    uint64_t timeout_at; /* ns */
    bool overrun;
    bool thre_pending;    /* the transmitter ran empty and nobody was told */
    bool timeout_armed;   /* bytes wait below the trigger level */
    bool timeout_pending; /* and have waited for four character times */
};

static unsigned fifo_size(const struct uart *u) { return u->fcr & FCR_ENABLE ? FIFO : 1; }

static unsigned trigger(const struct uart *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

static uint8_t lsr(const struct uart *u)
{
    uint8_t v = u->overrun ? LSR_OE : 0;

    if (u->rx_count)
        v |= LSR_DR | u->rx_err[u->rx_head];
    if (!u->tx_count)
        v |= LSR_THRE | LSR_TEMT;
    for (unsigned i = 0; (u->fcr & FCR_ENABLE) && i < u->rx_count; i++)
        if (u->rx_err[(u->rx_head + i) % FIFO])
            v |= LSR_FIFO_ERROR;
    return v;
}

/* The interrupt of the highest priority (data sheet, table "Interrupt Control Functions"). */
static uint8_t iir(const struct uart *u)
{
    if ((u->ier & IER_LINE) && (lsr(u) & LSR_ERRORS))
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->rx_count >= trigger(u))
        return IIR_RX;
    if ((u->ier & IER_RX) && u->timeout_pending)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->modem & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

/* Four times start bit, data, parity and stop bits. */
static uint64_t timeout_ns(const struct uart *u)
{
    unsigned bits = 1 + 5 + (u->lcr & LCR_LENGTH) + !!(u->lcr & LCR_PARITY) + (u->lcr & LCR_STOP ? 2 : 1);
    unsigned divisor = u->divisor ? u->divisor : RESET_DIVISOR;

    return UINT64_C(4) * bits * divisor * 16 * NS_PER_SEC / UART16550_CLOCK;
}

static void uart_update(struct device *d)
{
    struct uart *u = (struct uart *)d;

    bool wait = u->timeout_armed && !u->timeout_pending, level = iir(u) != IIR_NONE;

    /* A console polls LSR for each byte: the clock and the interrupt controller hear of changes only. */
    if (wait && u->timer_at != u->timeout_at)
        timer_arm(&u->timer, u->timeout_at);
    else if (!wait && u->timer_at != CLOCK_NEVER)
        timer_cancel(&u->timer);
    u->timer_at = wait ? u->timeout_at : CLOCK_NEVER;
    if (level != d->irq.level)
        irq_set(&d->irq, level);
}

/* After a byte went in or out of the receiver: the timeout runs from here while the FIFO holds something. */
static void timeout_restart(struct uart *u)
{
    u->timeout_pending = false;
    u->timeout_armed = (u->fcr & FCR_ENABLE) && u->rx_count;
    u->timeout_at = clock_now(u->dev.clock) + timeout_ns(u);
}

static void uart_expired(void *arg)
{
    struct uart *u = arg;

    device_lock(u);
    u->timer_at = CLOCK_NEVER;
    if (u->timeout_armed && clock_now(u->dev.clock) >= u->timeout_at)
        u->timeout_pending = true;
    uart_update(&u->dev);
    device_unlock(u);
}

static void rx_put(struct uart *u, uint8_t byte, uint8_t err)
{
    unsigned at;

    if (u->rx_count == fifo_size(u)) {
        u->overrun = true;
        if (u->fcr & FCR_ENABLE)
            return; /* the FIFO is kept and the new byte lost; without one the old byte is overwritten */
        u->rx_count--;
    }
    at = (u->rx_head + u->rx_count) % FIFO;
    u->rx[at] = byte;
    u->rx_err[at] = err;
    u->rx_count++;
    timeout_restart(u);
}

static uint8_t rx_get(struct uart *u)
{
    uint8_t byte = u->rx[u->rx_head];

    if (!u->rx_count)
        return byte; /* the last byte again, as the chip's latch */
    if (u->rx_count > 1)
        u->rx_head = (uint8_t)((u->rx_head + 1) % FIFO);
    u->rx_count--;
    timeout_restart(u);
    u->chr->drained(u->chr);
    return byte;
}

static void rx_clear(struct uart *u)
{
    u->rx_count = 0;
    timeout_restart(u);
    u->chr->drained(u->chr);
}

/* Give the host end, or the receiver in loopback, what waits. */
static void transmit(struct uart *u)
{
    bool was_full = u->tx_count;

    while (u->tx_count) {
        size_t run = u->tx_count < FIFO - u->tx_head ? u->tx_count : FIFO - (size_t)u->tx_head;
        size_t n = run;

        if (!(u->mcr & MCR_LOOP))
            n = u->chr->write(u->chr, u->tx + u->tx_head, run);
        else
            for (size_t i = 0; i < run; i++)
                rx_put(u, u->tx[u->tx_head + i], 0);
        if (n == 0)
            return;
        u->tx_head = (uint8_t)((u->tx_head + n) % FIFO);
        u->tx_count -= (uint8_t)n;
    }
    u->thre_pending |= was_full;
}

static void thr_write(struct uart *u, uint8_t byte)
{
    u->thre_pending = false;
    if (u->tx_count == fifo_size(u)) {
        log_guest(&u->dev, "byte written to a full transmitter");
        return;
    }
    u->tx[(u->tx_head + u->tx_count) % FIFO] = byte;
    u->tx_count++;
    transmit(u);
}

/* Modem lines: the far end is always there; in loopback the outputs come back. */
static uint8_t modem_lines(const struct uart *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) | (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
           (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void modem_update(struct uart *u)
{
    uint8_t now = modem_lines(u), changed = (now ^ u->modem) & 0xf0;
    uint8_t deltas = changed >> 4;

    if (now & MSR_RI)
        deltas &= (uint8_t)~MSR_TERI; /* the ring indicator tells its trailing edge only */
    u->modem = now | deltas | (u->modem & MSR_DELTAS);
}

static void fcr_write(struct uart *u, uint8_t val)
{
    bool toggled = (val ^ u->fcr) & FCR_ENABLE;

    u->fcr = val & FCR_ENABLE ? val & (FCR_TRIGGER | FCR_ENABLE) : 0;
    if (toggled || (val & FCR_CLEAR_RX))
        rx_clear(u);
    if (toggled || (val & FCR_CLEAR_TX)) {
        u->tx_count = 0;
        u->thre_pending = true;
    }
}

static void mcr_write(struct uart *u, uint8_t val)
{
    bool was_loop = u->mcr & MCR_LOOP;

    u->mcr = val & 0x1f;
    modem_update(u);
    if (was_loop && !(u->mcr & MCR_LOOP))
        u->chr->drained(u->chr);
}

static uint8_t reg_read(struct uart *u, gpa off)
{
    uint8_t v;

    switch (off) {
    case RBR_THR: return u->lcr & LCR_DLAB ? (uint8_t)u->divisor : rx_get(u);
    case IER: return u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) : u->ier;
    case IIR_FCR:
        v = iir(u);
        if (v == IIR_THRE)
            u->thre_pending = false;
        return v | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR:
        v = lsr(u);
        u->overrun = false;
        u->rx_err[u->rx_head] = 0;
        return v;
    case MSR:
        v = u->modem;
        u->modem &= (uint8_t)~MSR_DELTAS;
        return v;
    case SCR: return u->scr;
    default: log_guest(&u->dev, "read of register 0x%02" PRIx64, off); return 0;
    }
}

static uint64_t uart_read(void *dev, gpa off, unsigned size)
{
    struct uart *u = dev;
    uint8_t v = reg_read(u, off);

    (void)size;
    uart_update(&u->dev);
    return v;
}

static void reg_write(struct uart *u, gpa off, uint8_t val)
{
    switch (off) {
    case RBR_THR:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)deposit64(u->divisor, 0, 8, val);
        else
            thr_write(u, val);
        break;
    case IER:
        if (u->lcr & LCR_DLAB) {
            u->divisor = (uint16_t)deposit64(u->divisor, 8, 8, val);
            break;
        }
        if ((u->ier ^ val) & IER_THRE) /* enabling it while the transmitter is empty interrupts at once */
            u->thre_pending = (val & IER_THRE) && !u->tx_count;
        u->ier = val & 0x0f;
        break;
    case IIR_FCR: fcr_write(u, val); break;
    case LCR: u->lcr = val; break;
    case MCR: mcr_write(u, val); break;
    case LSR:
    case MSR: break; /* the chip's factory tests */
    case SCR: u->scr = val; break;
    default: log_guest(&u->dev, "write of register 0x%02" PRIx64, off);
    }
}

static void uart_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct uart *u = dev;

    (void)size;
    reg_write(u, off, (uint8_t)val);
    uart_update(&u->dev);
}

/* What the host end calls. */

static size_t chr_room(void *dev)
{
    struct uart *u = dev;
    size_t n;

    device_lock(u);
    n = u->mcr & MCR_LOOP ? 0 : fifo_size(u) - u->rx_count; /* in loopback the line in is cut off */
    device_unlock(u);
    return n;
}

static void chr_receive(void *dev, const uint8_t *buf, size_t len)
{
    struct uart *u = dev;

    device_lock(u);
    for (size_t i = 0; i < len; i++)
        rx_put(u, buf[i], 0);
    uart_update(&u->dev);
    device_unlock(u);
}

static void chr_writable(void *dev)
{
    struct uart *u = dev;

    device_lock(u);
    transmit(u);
    uart_update(&u->dev);
    device_unlock(u);
}

static void chr_event(void *dev, enum chardev_event e)
{
    struct uart *u = dev;

    if (e != CHARDEV_BREAK)
        return;
    device_lock(u);
    if (!(u->mcr & MCR_LOOP))
        rx_put(u, 0, LSR_BI);
    uart_update(&u->dev);
    device_unlock(u);
}

static void uart_reset(struct device *d)
{
    struct uart *u = (struct uart *)d;

    u->divisor = RESET_DIVISOR;
    u->modem = modem_lines(u);
    u->chr->drained(u->chr);
}

static void uart_restored(struct device *d)
{
    struct uart *u = (struct uart *)d;

    u->rx_head %= FIFO;
    u->tx_head %= FIFO;
    if (u->rx_count > fifo_size(u))
        u->rx_count = (uint8_t)fifo_size(u);
    if (u->tx_count > fifo_size(u))
        u->tx_count = (uint8_t)fifo_size(u);
    for (unsigned i = 0; i < FIFO; i++)
        u->rx_err[i] &= LSR_ERRORS;
    uart_update(d);
}

static void uart_free(struct device *d)
{
    struct uart *u = (struct uart *)d;

    clock_drop_timer(&u->timer);
    u->chr->dev = NULL;
    u->chr->room = NULL;
    device_fini(d);
    free(u);
}

static const struct field uart_state[] = {
    FIELD(struct uart, ier),
    FIELD(struct uart, fcr),
    FIELD(struct uart, lcr),
    FIELD(struct uart, mcr),
    FIELD(struct uart, scr),
    FIELD(struct uart, modem),
    FIELD_ARRAY(struct uart, rx, FIFO),
    FIELD_ARRAY(struct uart, rx_err, FIFO),
    FIELD_ARRAY(struct uart, tx, FIFO),
    FIELD(struct uart, rx_head),
    FIELD(struct uart, rx_count),
    FIELD(struct uart, tx_head),
    FIELD(struct uart, tx_count),
    FIELD(struct uart, divisor),
    FIELD(struct uart, timeout_at),
    FIELD(struct uart, overrun),
    FIELD(struct uart, thre_pending),
    FIELD(struct uart, timeout_armed),
    FIELD(struct uart, timeout_pending),
    {0},
};

static const struct device_ops uart_ops = {
    .name = "ns16550a",
    .size = UART16550_SIZE,
    .mmio = {uart_read, uart_write, .min_size = 1, .max_size = 8}, /* wide accesses reach the register at off alone */
    .state = uart_state,
    .reset = uart_reset,
    .update = uart_restored,
    .free = uart_free,
};

struct device *uart16550_new(const struct device_env *env, const char *name, struct chardev *c)
{
    struct uart *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    device_init(&u->dev, &uart_ops, name, env);
    timer_init(&u->timer, env->clock, uart_expired, u);
    u->timer_at = CLOCK_NEVER;
    u->chr = c;
    c->dev = u;
    c->receive = chr_receive;
    c->writable = chr_writable;
    c->event = chr_event;
    c->room = chr_room;
    device_reset(&u->dev);
    return &u->dev;
}
