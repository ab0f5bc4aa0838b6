/*
 * Nothing of a guest's buffers is held between calls: what the host end cannot take yet goes back to the ring
 * (virtq_unpop) with tx_done telling how much of it went out, and input waits in the host end until there is a buffer.
 * Likewise a control message that finds no buffer stays a bit in `pending`. So a snapshot has it all.
 */
#include "devices/virtio_console.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/chardev.h"

enum { F_SIZE = 0, F_MULTIPORT = 1, F_EMERG_WRITE = 2 };

enum { /* control events */
       DEVICE_READY = 0,
       PORT_ADD = 1,
       PORT_READY = 3,
       CONSOLE_PORT = 4,
       RESIZE = 5,
       PORT_OPEN = 6,
       PORT_NAME = 7,
};

enum { C_COLS = 0, C_ROWS = 2, C_MAX_PORTS = 4, C_EMERG_WRITE = 8, C_LEN = 12 };

enum { CONTROL_RX = 2, CONTROL_TX = 3, CONTROL_LEN = 8 };

enum {
    QUEUE_SIZE = 128,
    PIECE = 4096,          /* bytes copied at a time */
    TX_BUDGET = 256 << 10, /* bytes sent in one go; a file takes everything, and a guest may offer terabytes */
    NAME_MAX_LEN = 63,
};

struct console;

struct port {
    struct console *con;
    unsigned nr;
    char name[NAME_MAX_LEN + 1];
    bool present, console;
    struct chardev *chr;
};

struct console {
    struct virtio_dev v; /* first */
    bool fixed_ports;    /* max_ports was given */
    struct port port[VIRTIO_CONSOLE_PORTS_MAX];
    struct virtq_chain chain;
    uint8_t buf[PIECE];
    /* state */
    uint8_t pending[VIRTIO_CONSOLE_PORTS_MAX]; /* 1 << control event, to be sent */
    bool guest_open[VIRTIO_CONSOLE_PORTS_MAX];
    uint64_t tx_done[VIRTIO_CONSOLE_PORTS_MAX]; /* bytes of the first buffer that went out already */
};

static unsigned rx_queue(unsigned nr) { return nr ? 2 * nr + 2 : 0; }
static unsigned tx_queue(unsigned nr) { return rx_queue(nr) + 1; }

static bool multiport(const struct console *c) { return virtio_has(&c->v, F_MULTIPORT); }

/* A console is always there for the guest; what it prints with nobody listening is lost, as on a real one. */
static bool host_open(const struct port *p) { return p->console || (p->chr && p->chr->open); }

static void port_size(const struct port *p, uint16_t *cols, uint16_t *rows)
{
    *cols = *rows = 0;
    if (p->chr && p->chr->size)
        p->chr->size(p->chr, cols, rows);
}

/* Pop, once more after asking for a kick, so that a buffer that comes at that moment is not missed. */
static bool pop_or_rearm(struct console *c, struct virtq *q)
{
    return virtq_pop(q, &c->chain) || (virtq_rearm(q) && virtq_pop(q, &c->chain));
}

/* --- control queue --- */

static size_t control_message(struct port *p, unsigned event, uint8_t *msg)
{
    size_t len = CONTROL_LEN;
    uint16_t cols, rows;

    st32(msg, p->nr);
    st16(msg + 4, (uint16_t)event);
    st16(msg + 6, event == PORT_OPEN ? host_open(p) : 1);
    if (event == RESIZE) { /* cols first: 5.3.6.2; Linux had them swapped before 6.15 */
        port_size(p, &cols, &rows);
        st16(msg + 8, cols);
        st16(msg + 10, rows);
        len += 4;
    } else if (event == PORT_NAME) { /* without the final zero */
        memcpy(msg + len, p->name, strlen(p->name));
        len += strlen(p->name);
    }
    return len;
}

static void control_flush(struct console *c)
{
    static const uint8_t order[] = {PORT_ADD, CONSOLE_PORT, RESIZE, PORT_NAME, PORT_OPEN};
    struct virtq *q = &c->v.vq[CONTROL_RX];
    uint8_t msg[CONTROL_LEN + NAME_MAX_LEN + 1];

    if (!virtio_running(&c->v))
        return;
    for (unsigned nr = 0; nr < VIRTIO_CONSOLE_PORTS_MAX; nr++)
        for (size_t i = 0; i < ARRAY_LEN(order); i++) {
            if (!(c->pending[nr] >> order[i] & 1))
                continue;
            if (!pop_or_rearm(c, q))
                goto out;
            c->pending[nr] &= (uint8_t) ~(1u << order[i]);
            virtq_push(&c->chain, chain_write(&c->chain, 0, msg, control_message(&c->port[nr], order[i], msg)));
        }
out:
    virtq_notify(q);
}

static void pend(struct port *p, unsigned event)
{
    if (multiport(p->con))
        p->con->pending[p->nr] |= (uint8_t)(1u << event);
}

static void port_ready(struct port *p)
{
    uint16_t cols, rows;

    port_size(p, &cols, &rows);
    if (p->console)
        pend(p, CONSOLE_PORT);
    if (p->console && cols && rows)
        pend(p, RESIZE);
    if (p->name[0])
        pend(p, PORT_NAME);
    if (host_open(p))
        pend(p, PORT_OPEN);
}

static void control_received(struct console *c, const uint8_t *msg)
{
    uint32_t nr = ld32(msg);
    uint16_t event = ld16(msg + 4), value = ld16(msg + 6);
    struct port *p = nr < VIRTIO_CONSOLE_PORTS_MAX && c->port[nr].present ? &c->port[nr] : NULL;

    if (event == DEVICE_READY) {
        for (unsigned i = 0; value && i < VIRTIO_CONSOLE_PORTS_MAX; i++)
            if (c->port[i].present)
                pend(&c->port[i], PORT_ADD);
        return;
    }
    if (!p) {
        log_guest(&c->v.dev, "control message for port %u, which does not exist", nr);
        return;
    }
    if (event == PORT_READY && value)
        port_ready(p);
    else if (event == PORT_OPEN)
        c->guest_open[nr] = value != 0;
    else
        log_guest(&c->v.dev, "control message %u with value %u for port %u", event, value, nr);
    if (event == PORT_OPEN && value && p->chr && p->chr->drained)
        p->chr->drained(p->chr);
}

static void control_sent(struct console *c)
{
    struct virtq *q = &c->v.vq[CONTROL_TX];
    unsigned budget = 2 * QUEUE_SIZE;
    uint8_t msg[CONTROL_LEN];

    while (budget && pop_or_rearm(c, q)) {
        if (chain_read(&c->chain, 0, msg, sizeof msg) == sizeof msg)
            control_received(c, msg);
        else
            log_guest(&c->v.dev, "control message of %llu bytes", (unsigned long long)c->chain.out_len);
        virtq_push(&c->chain, 0);
        budget--;
    }
    virtq_notify(q);
    if (!budget)
        virtio_later(&c->v, CONTROL_TX);
    control_flush(c);
}

/* --- guest to host --- */

/* Send what is left of the chain. false: the host end or the budget is full. */
static bool send_chain(struct console *c, struct port *p, uint64_t *budget)
{
    uint64_t *done = &c->tx_done[p->nr];
    bool listen = p->chr && p->chr->open;

    while (listen && *done < c->chain.out_len) {
        uint64_t want = chain_read(&c->chain, *done, c->buf, *budget < PIECE ? *budget : PIECE);
        size_t took = want ? p->chr->write(p->chr, c->buf, want) : 0;

        *done += took;
        *budget -= took;
        if (!want || took < want)
            return false;
    }
    *done = 0;
    return true;
}

static void port_send(struct port *p)
{
    struct console *c = p->con;
    struct virtq *q = &c->v.vq[tx_queue(p->nr)];
    uint64_t budget = TX_BUDGET;
    unsigned chains = 2 * QUEUE_SIZE;

    while (chains && pop_or_rearm(c, q)) {
        if (!send_chain(c, p, &budget)) {
            virtq_unpop(&c->chain);
            break; /* port_writable goes on */
        }
        virtq_push(&c->chain, 0);
        chains--;
    }
    virtq_notify(q);
    if (!chains || !budget)
        virtio_later(&c->v, q->index);
}

static void port_writable(void *dev)
{
    struct port *p = dev;

    device_lock(p->con);
    if (virtio_running(&p->con->v))
        port_send(p);
    device_unlock(p->con);
}

/* --- host to guest --- */

static bool port_listens(struct port *p)
{
    return virtio_running(&p->con->v) && (!multiport(p->con) || p->con->guest_open[p->nr]);
}

static size_t port_room(void *dev)
{
    struct port *p = dev;
    struct console *c = p->con;
    size_t room = 0;

    device_lock(c);
    if (port_listens(p) && pop_or_rearm(c, &c->v.vq[rx_queue(p->nr)])) {
        room = c->chain.in_len < PIECE ? (size_t)c->chain.in_len : PIECE;
        virtq_unpop(&c->chain);
    }
    device_unlock(c);
    return room;
}

static void port_receive(void *dev, const uint8_t *buf, size_t len)
{
    struct port *p = dev;
    struct console *c = p->con;
    struct virtq *q = &c->v.vq[rx_queue(p->nr)];

    device_lock(c);
    while (len && port_listens(p) && virtq_pop(q, &c->chain)) {
        uint64_t n = chain_write(&c->chain, 0, buf, len);

        virtq_push(&c->chain, n);
        buf += n;
        len -= n;
    }
    virtq_notify(q);
    device_unlock(c);
    if (len) /* the guest took its buffers away after it was asked */
        log_guest(&c->v.dev, "%zu bytes of input to port %u lost", len, p->nr);
}

static void resized(struct port *p)
{
    uint16_t cols, rows;

    port_size(p, &cols, &rows);
    if (p->console)
        pend(p, RESIZE);
    if (p->nr)
        return;
    st16(p->con->v.config + C_COLS, cols);
    st16(p->con->v.config + C_ROWS, rows);
    virtio_config_changed(&p->con->v);
}

static void port_event(void *dev, enum chardev_event e)
{
    struct port *p = dev;
    struct console *c = p->con;

    device_lock(c);
    if (e == CHARDEV_RESIZE)
        resized(p);
    else if ((e == CHARDEV_OPENED || e == CHARDEV_CLOSED) && !p->console)
        pend(p, PORT_OPEN);
    control_flush(c);
    if (e == CHARDEV_CLOSED && virtio_running(&c->v))
        port_send(p); /* what waited goes nowhere now */
    device_unlock(c);
}

/* --- device --- */

static void console_notify(struct virtio_dev *v, unsigned queue)
{
    struct console *c = (struct console *)v;
    struct port *p = &c->port[queue < 2 ? 0 : (queue - 2) / 2];

    if (queue == CONTROL_RX)
        control_flush(c);
    else if (queue == CONTROL_TX)
        control_sent(c);
    else if (queue & 1)
        port_send(p);
    else if (p->chr && p->chr->drained)
        p->chr->drained(p->chr);
}

static void console_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
    struct console *c = (struct console *)v;
    struct chardev *chr = c->port[0].chr;
    uint8_t byte = v->config[C_EMERG_WRITE];

    (void)len;
    st32(v->config + C_EMERG_WRITE, 0);
    if (off <= C_EMERG_WRITE && chr && chr->open)
        chr->write(chr, &byte, 1);
}

static void console_queue_stop(struct virtio_dev *v, unsigned queue)
{
    struct console *c = (struct console *)v;

    if (queue & 1 && queue != CONTROL_TX)
        c->tx_done[queue == 1 ? 0 : (queue - 3) / 2] = 0;
}

static void console_reset(struct virtio_dev *v)
{
    struct console *c = (struct console *)v;
    uint16_t cols, rows;

    memset(c->pending, 0, sizeof c->pending);
    memset(c->guest_open, 0, sizeof c->guest_open);
    port_size(&c->port[0], &cols, &rows);
    st16(v->config + C_COLS, cols);
    st16(v->config + C_ROWS, rows);
}

/* A restored `pending` may name what was never there. */
static void console_update(struct device *d)
{
    struct console *c = (struct console *)d;
    unsigned known = 1u << PORT_ADD | 1u << CONSOLE_PORT | 1u << RESIZE | 1u << PORT_NAME | 1u << PORT_OPEN;

    for (unsigned nr = 0; nr < VIRTIO_CONSOLE_PORTS_MAX; nr++)
        c->pending[nr] &= (uint8_t)(c->port[nr].present ? known : 0);
    virtio_dev_update(d);
}

static void console_free(struct device *d)
{
    struct console *c = (struct console *)d;

    virtio_detach(&c->v);
    for (unsigned nr = 0; nr < VIRTIO_CONSOLE_PORTS_MAX; nr++) {
        struct chardev *chr = c->port[nr].chr;

        if (!chr)
            continue;
        chr->room = NULL;
        chr->receive = NULL;
        chr->writable = NULL;
        chr->event = NULL;
        chr->dev = NULL;
    }
    virtq_chain_free(&c->chain);
    virtio_fini(&c->v);
    free(c);
}

static const struct field console_state[] = {
    VIRTIO_FIELDS(struct console, v),
    FIELD_ARRAY(struct console, pending, VIRTIO_CONSOLE_PORTS_MAX),
    FIELD_ARRAY(struct console, guest_open, VIRTIO_CONSOLE_PORTS_MAX),
    FIELD_ARRAY(struct console, tx_done, VIRTIO_CONSOLE_PORTS_MAX),
    {0},
};

static const struct device_ops console_dev_ops = {
    .name = "virtio-console",
    .state = console_state,
    .reset = virtio_dev_reset,
    .update = console_update,
    .free = console_free,
};

static const struct virtio_ops console_ops = {
    .id = VIRTIO_ID_CONSOLE,
    .pci_class = 0x078000, /* communication controller, other */
    .notify = console_notify,
    .config_written = console_config_written,
    .queue_stop = console_queue_stop,
    .reset = console_reset,
};

static void set_ports(struct console *c, unsigned ports)
{
    if (ports <= ld32(c->v.config + C_MAX_PORTS))
        return;
    st32(c->v.config + C_MAX_PORTS, ports);
    for (unsigned i = c->v.queues; i <= tx_queue(ports - 1) || i <= CONTROL_TX; i++)
        virtio_add_queue(&c->v, i, QUEUE_SIZE);
}

struct virtio_dev *virtio_console_new(const struct device_env *env, const char *name,
                                      const struct virtio_console_options *o, struct err *e)
{
    struct console *c;

    if (o->max_ports > VIRTIO_CONSOLE_PORTS_MAX) {
        err_set(e, "%s: max_ports must be 1 to %d", name, VIRTIO_CONSOLE_PORTS_MAX);
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    virtio_init(&c->v, &console_dev_ops, &console_ops, name, env);
    virtio_offer(&c->v, F_SIZE);
    virtio_offer(&c->v, F_MULTIPORT);
    virtio_offer(&c->v, F_EMERG_WRITE);
    if (o->packed)
        virtio_offer(&c->v, VIRTIO_F_RING_PACKED);
    c->v.config_len = C_LEN;
    memset(c->v.config_writable + C_EMERG_WRITE, 0xff, 4);
    for (unsigned nr = 0; nr < VIRTIO_CONSOLE_PORTS_MAX; nr++) {
        c->port[nr].con = c;
        c->port[nr].nr = nr;
    }
    c->fixed_ports = o->max_ports != 0;
    set_ports(c, o->max_ports ? o->max_ports : 1);
    return &c->v;
}

bool virtio_console_add_port(struct virtio_dev *v, int nr, const char *name, bool console, struct chardev *chr,
                             struct err *e)
{
    struct console *c = (struct console *)v;
    unsigned limit = c->fixed_ports ? ld32(v->config + C_MAX_PORTS) : VIRTIO_CONSOLE_PORTS_MAX;
    unsigned at = nr < 0 ? !console : (unsigned)nr;
    struct port *p;

    while (nr < 0 && at < limit && c->port[at].present)
        at++;
    if (at >= limit)
        return err_set(e, nr < 0 ? "%s: all %u ports are taken" : "%s: ports are numbered below %u", v->dev.name,
                       limit);
    if (!at && !console)
        return err_set(e, "%s: port 0 is for a console", v->dev.name);
    p = &c->port[at];
    if (p->present)
        return err_set(e, "%s: port %u is taken", v->dev.name, at);
    if (name && strlen(name) > NAME_MAX_LEN)
        return err_set(e, "%s: the name of port %u is longer than %d bytes", v->dev.name, at, NAME_MAX_LEN);
    if (name)
        memcpy(p->name, name, strlen(name) + 1);
    p->present = true;
    p->console = console;
    p->chr = chr;
    set_ports(c, at + 1);
    if (chr) {
        chr->dev = p;
        chr->room = port_room;
        chr->receive = port_receive;
        chr->writable = port_writable;
        chr->event = port_event;
    }
    return true;
}
