/*
 * A unix socket as a character device: server (one client at a time; the next one after it left) or client.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend/chardevs.h"

struct unix_end {
    struct stream s;
    int listener; /* -1: client */
    char *path;
};

static void accept_ready(void *arg, int fd, unsigned events)
{
    struct unix_end *u = arg;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    struct err ignored;

    (void)events;
    if (client < 0)
        return;
    loop_change(u->s.loop, fd, 0);
    if (!stream_attach(&u->s, client, client, true, &ignored))
        stream_detach(&u->s);
}

static void unix_hangup(struct stream *s)
{
    struct unix_end *u = (struct unix_end *)s;

    stream_detach(s);
    if (u->listener >= 0)
        loop_change(s->loop, u->listener, LOOP_IN);
}

static void unix_closed(struct stream *s)
{
    struct unix_end *u = (struct unix_end *)s;

    if (u->listener >= 0) {
        loop_remove(s->loop, u->listener);
        close(u->listener);
        unlink(u->path);
    }
    free(u->path);
}

/* A socket left over by a dead server is removed; any other file is left alone. */
static bool remove_stale(const char *path, const struct sockaddr_un *addr, struct err *e)
{
    struct stat st;
    int probe;
    bool live;

    if (lstat(path, &st) < 0)
        return true;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, "%s: exists and is not a socket", path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    live = probe >= 0 && connect(probe, (const struct sockaddr *)addr, sizeof *addr) == 0;
    if (probe >= 0)
        close(probe);
    if (live)
        return err_set(e, "%s: somebody listens there already", path);
    unlink(path);
    return true;
}

static bool serve(struct unix_end *u, const struct sockaddr_un *addr, bool wait, struct err *e)
{
    if (!remove_stale(u->path, addr, e))
        return false;
    u->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (u->listener < 0 || bind(u->listener, (const struct sockaddr *)addr, sizeof *addr) < 0) {
        err_set(e, "%s: %s", u->path, strerror(errno));
        if (u->listener >= 0)
            close(u->listener);
        u->listener = -1;
        return false;
    }
    if (listen(u->listener, 1) < 0 || !loop_add(u->s.loop, u->listener, LOOP_IN, accept_ready, u, e))
        return err_set(e, "%s: %s", u->path, strerror(errno));
    if (wait) {
        struct pollfd p = {.fd = u->listener, .events = POLLIN};

        fprintf(stderr, "waiting for a connection on %s\n", u->path);
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
        accept_ready(u, u->listener, LOOP_IN);
    }
    return true;
}

static bool dial(struct unix_end *u, const struct sockaddr_un *addr, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0) {
        err_set(e, "%s: %s", u->path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    return stream_attach(&u->s, fd, fd, true, e);
}

struct chardev *char_unix_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct unix_end *u = calloc(1, sizeof *u);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (!u || !stream_init(&u->s, c->id ? c->id : c->path, env->loop, env->gate, e)) {
        free(u);
        return NULL;
    }
    u->s.closed = unix_closed;
    u->s.hangup = unix_hangup;
    u->listener = -1;
    u->path = strdup(c->path);
    if (strlen(c->path) >= sizeof addr.sun_path) {
        err_set(e, "%s: too long for a socket's name", c->path);
        u->s.dev.free(&u->s.dev);
        return NULL;
    }
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", c->path);
    if (!u->path || !(c->server ? serve(u, &addr, c->wait, e) : dial(u, &addr, e))) {
        u->s.dev.free(&u->s.dev);
        return NULL;
    }
    return &u->s.dev;
}
