/*
 * How fast a named network is, between processes: segment_rate [SECONDS]. A member sends to the one with the switch, then
 * to another member through it; frames of 64 kB (segmentation not needed: gso), of 1,500 and of 60 bytes; and the time of a
 * ping-pong. One line for each.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/segment.h"

static char dir[] = "/tmp/segment_rate.XXXXXX";
static uint64_t seconds = 3;

enum role { SINK, SOURCE, ECHO, PINGER };

struct guest {
    struct net_env env;
    struct net_port port;
    struct segment *seg;
    enum role role;
    uint64_t frames, bytes, until;
    uint8_t *frame;
    struct iovec iov;
    struct net_frame f;
};

static void fail(const char *what)
{
    fprintf(stderr, "segment_rate: %s\n", what);
    exit(1);
}

static bool receive(struct net_port *p, const struct net_frame *f)
{
    struct guest *g = p->arg;
    const uint8_t *b = f->iov[0].iov_base;

    if (b[5] != g->frame[11])
        return true;
    g->frames++;
    g->bytes += f->len;
    if (g->role >= ECHO)
        net_port_send(p, &g->f);
    return true;
}

static void pump(struct guest *g)
{
    while (g->role == SOURCE && net_port_send(&g->port, &g->f) && clock_now(g->env.clock) < g->until) {
        g->frames++;
        if (g->frames % 64 == 0)
            loop_poll(g->env.loop);
    }
}

static void ready(struct net_port *p) { pump(p->arg); }

static const struct net_port_ops ops = {.kind = "guest", .receive = receive, .ready = ready};

static void guest_init(struct guest *g, enum role role, uint8_t own, uint8_t to, size_t len)
{
    struct segment_config c = {.kind = SEGMENT_INTERNAL, .name = "rate", .dir = dir};
    struct err e;

    *g = (struct guest){.role = role, .frame = calloc(1, len)};
    g->env.clock = clock_new_real();
    clock_start(g->env.clock);
    g->env.loop = loop_new(g->env.clock, &e);
    g->env.log = log_new();
    g->env.gate = gate_new(g->env.clock);
    g->port = (struct net_port){.ops = &ops, .arg = g, .name = "guest", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    g->frame[0] = g->frame[6] = 0x52;
    g->frame[5] = to;
    g->frame[11] = own;
    st16be(g->frame + 12, 0x88b5); /* local experimental: IEEE 802 */
    g->iov = (struct iovec){g->frame, len};
    g->f = (struct net_frame){.iov = &g->iov, .iovcnt = 1, .len = len};
    g->seg = segment_join(&g->env, &c, &e);
    if (!g->seg || !net_cable_new(&g->env, "c", segment_port(g->seg), &g->port, &e))
        fail(e.msg);
}

static uint64_t cpu_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void end(void *arg) { loop_stop(((struct guest *)arg)->env.loop); }

static void run_for(struct guest *g, uint64_t ns)
{
    struct timer t;

    g->until = clock_now(g->env.clock) + ns;
    timer_init(&t, g->env.clock, end, g);
    timer_arm(&t, g->until);
    if (g->role != SINK)
        net_port_send(&g->port, &g->f); /* the switch learns where we are */
    loop_run(g->env.loop);
}

static pid_t child(enum role role, uint8_t own, uint8_t to, size_t len)
{
    struct guest g;
    pid_t pid = fork();

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    usleep(200000 * (unsigned)own); /* in the order of their addresses; the first has the switch */
    guest_init(&g, role, own, to, len);
    if (role == SOURCE) {
        g.until = clock_now(g.env.clock) + 60 * NS_PER_SEC;
        pump(&g);
    }
    run_for(&g, 60 * NS_PER_SEC);
    exit(0);
}

static void measure(const char *what, bool through, size_t len)
{
    pid_t a = child(through ? SINK : SOURCE, 1, 0, len), b = through ? child(SOURCE, 2, 0, len) : 0;
    struct guest g;
    uint64_t start, cpu, frames, bytes;

    if (through)
        usleep(300000); /* the first child has the switch */
    guest_init(&g, SINK, 0, 9, len);
    g.role = ECHO + 2; /* counts, and tells the switch where it is once */
    net_port_send(&g.port, &g.f);
    g.role = SINK;
    run_for(&g, NS_PER_SEC);
    frames = g.frames;
    bytes = g.bytes;
    start = clock_now(g.env.clock);
    cpu = cpu_time();
    run_for(&g, seconds * NS_PER_SEC);
    start = clock_now(g.env.clock) - start;
    cpu = cpu_time() - cpu;
    printf("%-44s %8.2f Gbit/s %10.0f frames/s %8.0f ns of CPU a frame\n", what,
           (double)(g.bytes - bytes) * 8 / (double)start, (double)(g.frames - frames) * 1e9 / (double)start,
           (double)cpu / (double)(g.frames - frames));
    fflush(stdout);
    kill(a, SIGKILL);
    if (b)
        kill(b, SIGKILL);
    while (wait(NULL) > 0)
        continue;
    segment_leave(g.seg);
}

static void ping_pong(void)
{
    pid_t a = child(ECHO, 1, 0, 64);
    struct guest g;
    uint64_t frames;

    guest_init(&g, PINGER, 0, 1, 64);
    run_for(&g, NS_PER_SEC);
    net_port_send(&g.port, &g.f);
    frames = g.frames;
    run_for(&g, seconds * NS_PER_SEC);
    printf("%-44s %8.2f us there and back\n", "ping-pong", (double)seconds * 1e6 / (double)(g.frames - frames));
    kill(a, SIGKILL);
    wait(NULL);
    segment_leave(g.seg);
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 3;
    if (!mkdtemp(dir) || !seconds)
        return 1;
    measure("to the one with the switch, 64 kB", false, 65000);
    measure("to the one with the switch, 1,500 bytes", false, 1500);
    measure("to the one with the switch, 60 bytes", false, 60);
    measure("through a third process, 64 kB", true, 65000);
    measure("through a third process, 60 bytes", true, 60);
    ping_pong();
    rmdir(dir);
    return 0;
}
