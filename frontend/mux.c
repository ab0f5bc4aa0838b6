/* Several users of one terminal. See mux.h. */
#include "frontend/mux.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop.h"

enum { MUX_PORTS = 16, PORT_BUFFER = 256 };

struct port {
    struct chardev dev;
    struct mux *mux;
    uint8_t in[PORT_BUFFER]; /* loop's thread writes, drained() may come from any: under the mux's lock */
    size_t head, count;
    bool posted; /* a pump is on its way */
    void (*focus)(void *arg, bool in);
    void *focus_arg;
};

struct mux {
    struct chardev *host;
    struct loop *loop;
    struct mux_actions actions;
    unsigned escape;
    bool escaped; /* the last character was the escape */
    struct port *port[MUX_PORTS];
    unsigned ports, current;
    pthread_mutex_t lock;
    /* output, under lock */
    bool stamps, line_start;
    char stamp[32];
    size_t stamp_len, stamp_done;
    struct timespec start;
};

static void say(struct mux *m, const char *text) { m->host->write(m->host, (const uint8_t *)text, strlen(text)); }

static void help(struct mux *m)
{
    char key[8], text[512];

    if (m->escape >= 1 && m->escape <= 26)
        snprintf(key, sizeof key, "C-%c", (char)('a' + m->escape - 1));
    else
        snprintf(key, sizeof key, "0x%02x", m->escape & 0xff);
    snprintf(text, sizeof text,
             "\n\r%s h    print this help\n\r"
             "%s x    exit emulator\n\r"
             "%s s    save disk data back to file (if -snapshot)\n\r"
             "%s t    toggle console timestamps\n\r"
             "%s b    send break (magic sysrq)\n\r"
             "%s c    switch between console and monitor\n\r"
             "%s %s  sends %s\n\r",
             key, key, key, key, key, key, key, key, key);
    say(m, text);
}

/* Hand the focused port what waits for it, as far as its device has room. Loop's thread. */
static void pump(struct port *p)
{
    while (p->dev.room) {
        size_t room = p->dev.room(p->dev.dev), n;
        uint8_t buf[PORT_BUFFER];

        pthread_mutex_lock(&p->mux->lock);
        n = p->count < room ? p->count : room;
        for (size_t i = 0; i < n; i++)
            buf[i] = p->in[(p->head + i) % PORT_BUFFER];
        p->head = (p->head + n) % PORT_BUFFER;
        p->count -= n;
        pthread_mutex_unlock(&p->mux->lock);
        if (!n)
            return;
        p->dev.receive(p->dev.dev, buf, n);
    }
}

static void set_focus(struct mux *m, unsigned n)
{
    struct port *old = m->port[m->current], *new = m->port[n];

    pump(old); /* what was typed before the switch is the old one's */
    m->current = n;
    if (old != new && old->focus)
        old->focus(old->focus_arg, false);
    if (old != new &&new->focus)
        new->focus(new->focus_arg, true);
    pump(new);
}

static void toggle_stamps(struct mux *m)
{
    pthread_mutex_lock(&m->lock);
    m->stamps = !m->stamps;
    m->line_start = false;
    clock_gettime(CLOCK_MONOTONIC, &m->start);
    pthread_mutex_unlock(&m->lock);
}

static void keep(struct port *p, uint8_t byte)
{
    pthread_mutex_lock(&p->mux->lock);
    if (p->count < PORT_BUFFER)
        p->in[(p->head + p->count++) % PORT_BUFFER] = byte;
    pthread_mutex_unlock(&p->mux->lock);
}

/* The character after the escape. */
static void command(struct mux *m, uint8_t c)
{
    struct port *p = m->port[m->current];

    if (c == m->escape) {
        keep(p, c);
        return;
    }
    switch (c) {
    case 'h':
    case '?': help(m); break;
    case 'x':
        say(m, m->actions.quit ? "guise: terminated\n\r" : "");
        if (m->actions.quit)
            m->actions.quit(m->actions.arg);
        break;
    case 's':
        if (m->actions.commit) {
            say(m, m->actions.commit(m->actions.arg));
            say(m, "\n\r");
        }
        break;
    case 't': toggle_stamps(m); break;
    case 'b':
        if (p->dev.event)
            p->dev.event(p->dev.dev, CHARDEV_BREAK);
        break;
    case 'c': set_focus(m, (m->current + 1) % m->ports); break;
    default: break;
    }
}

static void mux_receive(void *dev, const uint8_t *buf, size_t len)
{
    struct mux *m = dev;

    if (!m->ports)
        return;
    for (size_t i = 0; i < len; i++) {
        if (m->escaped) {
            m->escaped = false;
            command(m, buf[i]);
        } else if (m->escape && buf[i] == m->escape) {
            m->escaped = true;
        } else {
            keep(m->port[m->current], buf[i]);
        }
    }
    pump(m->port[m->current]);
}

static size_t mux_room(void *dev)
{
    struct mux *m = dev;
    size_t room;

    if (!m->ports)
        return 0;
    pthread_mutex_lock(&m->lock);
    room = PORT_BUFFER - m->port[m->current]->count;
    pthread_mutex_unlock(&m->lock);
    return room;
}

static void mux_writable(void *dev)
{
    struct mux *m = dev;

    for (unsigned i = 0; i < m->ports; i++)
        if (m->port[i]->dev.writable)
            m->port[i]->dev.writable(m->port[i]->dev.dev);
}

static void mux_event(void *dev, enum chardev_event e)
{
    struct mux *m = dev;

    for (unsigned i = 0; i < m->ports; i++) {
        m->port[i]->dev.open = m->host->open;
        if (m->port[i]->dev.event)
            m->port[i]->dev.event(m->port[i]->dev.dev, e);
    }
}

/* "[HH:MM:SS.mmm] " since stamps were switched on. */
static void make_stamp(struct mux *m)
{
    struct timespec now;
    int64_t ms;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (now.tv_sec - m->start.tv_sec) * 1000 + (now.tv_nsec - m->start.tv_nsec) / 1000000;
    m->stamp_len = (size_t)snprintf(m->stamp, sizeof m->stamp, "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000) % 100,
                                    (int)(ms / 60000) % 60, (int)(ms / 1000) % 60, (int)(ms % 1000));
    m->stamp_done = 0;
}

/* Under the lock. */
static size_t write_stamped(struct mux *m, const uint8_t *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        const uint8_t *nl;
        size_t n, took;

        if (m->line_start) {
            make_stamp(m);
            m->line_start = false;
        }
        if (m->stamp_done < m->stamp_len) {
            m->stamp_done +=
                m->host->write(m->host, (const uint8_t *)m->stamp + m->stamp_done, m->stamp_len - m->stamp_done);
            if (m->stamp_done < m->stamp_len)
                break;
        }
        nl = memchr(buf + done, '\n', len - done);
        n = nl ? (size_t)(nl - buf) + 1 - done : len - done;
        took = m->host->write(m->host, buf + done, n);
        done += took;
        if (took < n)
            break;
        m->line_start = nl != NULL;
    }
    return done;
}

static size_t port_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct port *p = (struct port *)c;
    size_t n;

    pthread_mutex_lock(&p->mux->lock);
    n = p->mux->stamps ? write_stamped(p->mux, buf, len) : p->mux->host->write(p->mux->host, buf, len);
    pthread_mutex_unlock(&p->mux->lock);
    return n;
}

static void pump_posted(void *arg)
{
    struct port *p = arg;

    pthread_mutex_lock(&p->mux->lock);
    p->posted = false;
    pthread_mutex_unlock(&p->mux->lock);
    pump(p);
    p->mux->host->drained(p->mux->host);
}

/* Any thread, the device's lock held: what waits here follows from the loop. */
static void port_drained(struct chardev *c)
{
    struct port *p = (struct port *)c;
    bool post;

    pthread_mutex_lock(&p->mux->lock);
    post = p->count && !p->posted;
    p->posted |= post;
    pthread_mutex_unlock(&p->mux->lock);
    if (post)
        loop_post(p->mux->loop, pump_posted, p);
}

static void port_size(struct chardev *c, uint16_t *cols, uint16_t *rows)
{
    struct mux *m = ((struct port *)c)->mux;

    *cols = *rows = 0;
    if (m->host->size)
        m->host->size(m->host, cols, rows);
}

static void port_free(struct chardev *c) { (void)c; /* the mux's */ }

struct mux *mux_new(struct chardev *host, struct loop *loop, unsigned escape, const struct mux_actions *actions)
{
    struct mux *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->host = host;
    m->loop = loop;
    m->escape = escape;
    m->actions = *actions;
    pthread_mutex_init(&m->lock, NULL);
    host->dev = m;
    host->room = mux_room;
    host->receive = mux_receive;
    host->writable = mux_writable;
    host->event = mux_event;
    return m;
}

void mux_free(struct mux *m)
{
    if (!m)
        return;
    m->host->free(m->host);
    for (unsigned i = 0; i < m->ports; i++)
        free(m->port[i]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct chardev *mux_port(struct mux *m, void (*focus)(void *arg, bool in), void *arg)
{
    struct port *p = m->ports < MUX_PORTS ? calloc(1, sizeof *p) : NULL;

    if (!p)
        return NULL;
    p->mux = m;
    p->focus = focus;
    p->focus_arg = arg;
    p->dev.write = port_write;
    p->dev.drained = port_drained;
    p->dev.size = port_size;
    p->dev.free = port_free;
    p->dev.open = m->host->open;
    m->port[m->ports++] = p;
    if (m->ports == 1 && focus)
        focus(arg, true);
    return &p->dev;
}

struct chardev *mux_host(struct mux *m) { return m->host; }
