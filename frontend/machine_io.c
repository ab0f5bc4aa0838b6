/* What a machine has of the host: disks, character devices, monitors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/chardev_null.h"
#include "frontend/char_vc.h"
#include "frontend/machine_parts.h"
#include "images/block.h"

enum { FLUSH_MS = 10000 }; /* how long a slow reader of our output may take at the end */

static void key_quit(void *arg) { machine_request_quit(arg, 0); }

static const char *key_commit(void *arg)
{
    struct machine *m = arg;
    unsigned done;

    m->key_answer.msg[0] = 0;
    if (!machine_commit(m, NULL, &done, &m->key_answer))
        return m->key_answer.msg;
    return done ? "committed: what this run wrote is in the disks' files now"
                : "nothing to commit: disks are written as the guest writes";
}

static bool open_chardev(struct machine *m, unsigned i, struct err *e)
{
    const struct chardev_config *c = &m->config->chardev[i];
    struct chardev_env env = {.loop = m->loop, .gate = m->gate, .tty = m->tty};
    struct mux_actions actions = {.quit = key_quit, .commit = key_commit, .arg = m};
    struct chardev *dev = chardev_open(&env, c, e);

    if (!dev)
        return false;
    if (!c->mux) {
        m->chardev[i] = dev;
        return true;
    }
    m->mux[i] = mux_new(dev, m->loop, m->config->escape, &actions);
    if (m->mux[i])
        return true;
    dev->free(dev);
    return err_set(e, "out of memory");
}

bool machine_open_chardevs(struct machine *m, struct err *e)
{
    m->silent = chardev_null_new();
    if (!m->silent)
        return err_set(e, "out of memory");
    for (unsigned i = 0; i < m->config->chardevs; i++)
        if (!open_chardev(m, i, e))
            return err_prefix(e, "character device '%s'", m->config->chardev[i].id ? m->config->chardev[i].id : "");
    m->serial = machine_chardev(m, m->config->serials ? m->config->serial[0] : PORT_NONE);
    return m->serial || err_set(e, "out of memory");
}

struct chardev *machine_chardev(struct machine *m, int n)
{
    if (n < 0)
        return m->silent;
    return m->mux[n] ? mux_port(m->mux[n], NULL, NULL) : m->chardev[n];
}

bool machine_attach_monitors(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->config->monitors; i++) {
        int n = m->config->monitor[i];
        struct chardev *c;

        m->monitor[i] = monitor_new(m);
        if (!m->monitor[i])
            return err_set(e, "out of memory");
        c = m->mux[n] ? mux_port(m->mux[n], monitor_focus, m->monitor[i]) : m->chardev[n];
        if (!c)
            return err_set(e, "more users of one character device than it can take");
        monitor_attach(m->monitor[i], c, !m->mux[n]);
    }
    return true;
}

static struct chardev *host_end(const struct machine *m, unsigned i)
{
    return m->mux[i] ? mux_host(m->mux[i]) : m->chardev[i];
}

bool machine_chardev_open(const struct machine *m, unsigned n)
{
    const struct chardev *c = host_end(m, n);

    return c && c->open;
}

static bool is_stream(const struct machine *m, unsigned i)
{
    return m->config->chardev[i].kind != CHARDEV_NULL && m->config->chardev[i].kind != CHARDEV_VC;
}

/* The virtio port on chardev id, as a person would name it; NULL: none. */
static const char *port_name(const struct machine_config *c, const char *id, char *buf, size_t len)
{
    unsigned consoles = 0;

    for (unsigned i = 0; id && i < c->devices; i++) {
        const struct device_config *d = &c->device[i];
        const char *chardev = device_prop(d, "chardev"), *name = device_prop(d, "name");
        bool console = d->type->kind == DEVICE_CONSOLE;

        if (chardev && !strcmp(chardev, id) && (console || name)) {
            snprintf(buf, len, "console%u", consoles);
            return console ? buf : name;
        }
        consoles += console;
    }
    return NULL;
}

static const char *user_name(const struct machine *m, unsigned n, char *buf, size_t len)
{
    const struct machine_config *c = m->config;

    for (unsigned i = 0; i < c->serials; i++) {
        snprintf(buf, len, "serial%u", i);
        if (c->serial[i] == (int)n)
            return buf;
    }
    for (unsigned i = 0; i < c->monitors; i++)
        if (c->monitor[i] == (int)n)
            return "monitor";
    return port_name(c, c->chardev[n].id, buf, len);
}

struct vc *machine_vc(const struct machine *m, unsigned n, char *name, size_t len)
{
    for (unsigned i = 0; i < m->config->chardevs; i++) {
        const char *user;
        char buf[32];

        if (m->config->chardev[i].kind != CHARDEV_VC || n--)
            continue;
        user = user_name(m, i, buf, sizeof buf);
        snprintf(name, len, "%s", user ? user : vc_name(vc_of(host_end(m, i))));
        return vc_of(host_end(m, i));
    }
    return NULL;
}

void machine_start_chardevs(struct machine *m)
{
    for (unsigned i = 0; i < m->config->chardevs; i++)
        if (is_stream(m, i))
            stream_start(stream_of(host_end(m, i)));
}

void machine_flush_chardevs(struct machine *m)
{
    for (unsigned i = 0; i < m->config->chardevs; i++) {
        struct chardev *c = host_end(m, i);

        if (c && is_stream(m, i))
            stream_flush(stream_of(c), m->config->chardev[i].kind == CHARDEV_PTY ? 100 : FLUSH_MS);
    }
}

void machine_close_io(struct machine *m)
{
    for (unsigned i = 0; i < m->config->chardevs; i++) {
        if (m->mux[i])
            mux_free(m->mux[i]);
        else if (m->chardev[i])
            m->chardev[i]->free(m->chardev[i]);
    }
    for (unsigned i = 0; i < m->config->monitors; i++)
        monitor_free(m->monitor[i]);
    for (unsigned i = 0; i < m->config->drives; i++)
        if (m->block[i])
            block_close(m->block[i]);
    if (m->silent)
        m->silent->free(m->silent);
}
