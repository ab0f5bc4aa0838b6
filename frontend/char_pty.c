/*
 * A pseudo-terminal: its name is printed, and whoever opens it is the other end.
 *
 * While nobody has it open the master reports a hang-up; a timer of the host looks again four times a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "frontend/chardevs.h"

struct pty {
    struct stream s;
    int master, timer;
};

static void look_again(struct pty *p, bool on)
{
    struct itimerspec t = {{0, on ? 250000000 : 0}, {0, on ? 250000000 : 0}};

    timerfd_settime(p->timer, 0, &t, NULL);
}

static void pty_hangup(struct stream *s)
{
    struct pty *p = (struct pty *)s;

    stream_detach(s);
    look_again(p, true);
}

static void timer_ready(void *arg, int fd, unsigned events)
{
    struct pty *p = arg;
    struct pollfd poll_master = {.fd = p->master, .events = POLLIN};
    uint64_t ticks;
    struct err ignored;
    ssize_t n = read(fd, &ticks, sizeof ticks);

    (void)events;
    (void)n;
    if (p->s.dev.open || (poll(&poll_master, 1, 0) > 0 && (poll_master.revents & POLLHUP)))
        return;
    look_again(p, false);
    stream_attach(&p->s, p->master, p->master, false, &ignored);
    p->s.how = STREAM_NONBLOCK;
}

static void pty_closed(struct stream *s)
{
    struct pty *p = (struct pty *)s;

    stream_detach(s);
    if (p->timer >= 0) {
        loop_remove(s->loop, p->timer);
        close(p->timer);
    }
    if (p->master >= 0)
        close(p->master);
}

/* Raw mode from the start, and a first hang-up to tell "not opened yet" from "open". */
static void prepare_slave(const char *name)
{
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;

    if (slave < 0)
        return;
    if (tcgetattr(slave, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(slave, TCSANOW, &t);
    }
    close(slave);
}

struct chardev *char_pty_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct pty *p = calloc(1, sizeof *p);
    char name[64];

    if (!p || !stream_init(&p->s, c->id ? c->id : "pty", env->loop, env->gate, e)) {
        free(p);
        return NULL;
    }
    p->s.closed = pty_closed;
    p->s.hangup = pty_hangup;
    p->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (p->master < 0 || p->timer < 0 || grantpt(p->master) || unlockpt(p->master) ||
        ptsname_r(p->master, name, sizeof name)) {
        err_set(e, "pty: %s", strerror(errno));
        p->s.dev.free(&p->s.dev);
        return NULL;
    }
    prepare_slave(name);
    if (!loop_add(env->loop, p->timer, LOOP_IN, timer_ready, p, e)) {
        p->s.dev.free(&p->s.dev);
        return NULL;
    }
    look_again(p, true);
    fprintf(stderr, "char device redirected to %s (label %s)\n", name, c->id ? c->id : "pty");
    return &p->s.dev;
}
