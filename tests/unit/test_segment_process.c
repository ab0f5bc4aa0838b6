/*
 * Named networks across processes: members that are killed, and switches that lie. Children are forked before this process
 * joins, so that they hold no copies of its descriptors; the clock is the real one, and all waiting is for events.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/packet.h"
#include "netstack/segment_int.h"
#include "tests/unit/net_driver.h"

static struct world w;
static char dir[64];
static struct segment *seg;
static struct far far;

struct child {
    pid_t pid;
    int go, ready; /* pipes: it starts when it reads a byte, and writes one when it is ready */
};

static void real_world(struct world *rw)
{
    struct err e;

    rw->env.clock = clock_new_real();
    clock_start(rw->env.clock);
    rw->env.loop = loop_new(rw->env.clock, &e);
    rw->env.log = log_new();
    rw->env.gate = gate_new(rw->env.clock);
}

static struct timer tick;
static enum segment_kind kind; /* of the networks of a test: internal */

static void ticked(void *arg)
{
    (void)arg;
    timer_arm(&tick, clock_now(w.env.clock) + NS_PER_SEC / 50);
}

static int setup(void **state)
{
    (void)state;
    seg = NULL;
    real_world(&w);
    timer_init(&tick, w.env.clock, ticked, NULL);
    ticked(NULL);
    strcpy(dir, "/tmp/test_segment.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    char path[128];

    (void)state;
    if (seg)
        far_free(&far);
    segment_leave(seg);
    clock_drop_timer(&tick);
    world_free(&w);
    snprintf(path, sizeof path, "%s/lab.lock", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lab.sock", dir);
    unlink(path);
    return rmdir(dir);
}

static struct segment_config config(const char *member)
{
    return (struct segment_config){.kind = kind, .name = "lab", .dir = dir, .member = member};
}

static void join(void)
{
    struct segment_config c = config("parent");
    struct err e;

    seg = segment_join(&w.env, &c, &e);
    if (!seg)
        fail_msg("%s", e.msg);
    far_init(&far, &w, "parent");
    strcpy(far.mac, "52:54:00:00:00:01");
    far_plug(&far, segment_port(seg));
}

/* --- children ----------------------------------------------------------------------------------------------------- */

static void wait_byte(int fd)
{
    char c;

    if (read(fd, &c, 1) != 1)
        _exit(2);
}

static struct child child(void (*body)(int ready, int arg), int arg)
{
    int go[2], ready[2];
    struct child c;

    CHECK(!pipe2(go, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC));
    c = (struct child){fork(), go[1], ready[0]};
    CHECK(c.pid >= 0);
    if (!c.pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        close(ready[0]);
        wait_byte(go[0]);
        body(ready[1], arg);
        _exit(0);
    }
    close(go[0]);
    close(ready[1]);
    return c;
}

static void start(const struct child *c)
{
    char b = 0;

    CHECK_EQ(write(c->go, &b, 1), 1);
    world_wait(&w, c->ready, LOOP_IN); /* we may have the switch */
    CHECK_EQ(read(c->ready, &b, 1), 1);
}

/* The same, and our loop does not turn: what the child does is done before we notice anything. */
static void start_before(const struct child *c)
{
    char b = 0;

    CHECK_EQ(write(c->go, &b, 1), 1);
    CHECK_EQ(read(c->ready, &b, 1), 1);
}

static void end(struct child *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    close(c->go);
    close(c->ready);
}

/* A guest that sends every frame back to where it came from. */
static bool echo_receive(struct net_port *p, const struct net_frame *f)
{
    static uint8_t buf[NET_FRAME_MAX];
    static const uint8_t own[ETH_ALEN] = {0x52, 0x54, 0, 0, 0, 0x77};
    struct iovec v = {buf, f->len};
    struct net_frame back = *f;
    struct packet pk = packet_of(f);

    packet_copy(&pk, 0, buf, sizeof buf);
    if (memcmp(buf, own, sizeof own))
        return true; /* not for us */
    memcpy(buf, buf + ETH_ALEN, ETH_ALEN);
    memcpy(buf + ETH_ALEN, own, ETH_ALEN);
    back.iov = &v;
    back.iovcnt = 1;
    net_port_send(p, &back);
    return true;
}

static void member(int ready, int with_echo)
{
    static const struct net_port_ops ops = {.kind = "echo", .receive = echo_receive};
    struct net_port port = {.ops = &ops, .name = "echo", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    struct segment_config c = config(with_echo ? "echo" : "child");
    struct world own;
    struct segment *s;
    struct err e;

    real_world(&own);
    s = segment_join(&own.env, &c, &e);
    if (!s || (with_echo && !net_cable_new(&own.env, "echo", segment_port(s), &port, &e)) || write(ready, "", 1) != 1)
        _exit(1);
    loop_run(own.env.loop);
}

/* --- members that die --------------------------------------------------------------------------------------------- */

static const char echo_text[] = "there and back";

static bool echo_came(void)
{
    const struct got *g = far_next(&far);

    return g && g->kind == PKT_UDP && g->len == sizeof echo_text && !memcmp(g->data, echo_text, sizeof echo_text);
}

/* Called after each event, of which the clock's tick is one: a frame that was lost is sent again. */
static bool echo_works(void *arg)
{
    (void)arg;
    if (echo_came())
        return true;
    far_send(&far, PKT(UDP, .eth_dst = "52:54:00:00:00:77", .dst = "10.0.2.77", .dport = 7,
                       DATA(echo_text, sizeof echo_text)));
    return echo_came();
}

static bool leads(void *arg)
{
    (void)arg;
    return seg->state == SEGMENT_LEADER;
}

static bool is_alone(void *arg)
{
    (void)arg;
    return leads(NULL) && leader_members(seg->leader) == 1;
}

static bool is_member(void *arg)
{
    (void)arg;
    return seg->state == SEGMENT_MEMBER;
}

static bool has_switch_somewhere(void *arg) { return leads(arg) || is_member(arg); }

static void frames_cross_processes(void **state)
{
    struct child c = child(member, true);

    (void)state;
    start(&c);
    join();
    CHECK_EQ(seg->state, SEGMENT_MEMBER);
    world_until(&w, echo_works, NULL, "an echo");
    end(&c);
}

static void when_the_switch_is_killed_another_takes_over(void **state)
{
    struct child first = child(member, false), second = child(member, true);

    (void)state;
    start(&first);
    start(&second);
    join();
    world_until(&w, echo_works, NULL, "an echo through the first switch");
    end(&first);
    far_drain(&far);
    world_until(&w, echo_works, NULL, "an echo through the second switch");
    world_until(&w, has_switch_somewhere, NULL, "a switch");
    CHECK(far.link);
    CHECK_EQ(far.link_changes, 1); /* when it was plugged */
    end(&second);
    world_until(&w, is_alone, NULL, "the last to be alone");
}

static void a_member_that_is_killed_is_gone(void **state)
{
    struct child c = child(member, true);

    (void)state;
    join();
    start(&c);
    world_until(&w, echo_works, NULL, "an echo");
    CHECK_EQ(leader_members(seg->leader), 2);
    end(&c);
    world_until(&w, is_alone, NULL, "the last to be alone");
}

static void many_take_over_one_after_the_other(void **state)
{
    struct child c[6], echo = child(member, true);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        c[i] = child(member, false);
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        start(&c[i]);
    start(&echo);
    join();
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        end(&c[i]);
        far_drain(&far);
        world_until(&w, echo_works, NULL, "an echo");
    }
    end(&echo);
    world_until(&w, is_alone, NULL, "the last to be alone");
}

/* --- switches that lie -------------------------------------------------------------------------------------------- */

enum lie {
    LIE_VERSION,
    LIE_HANG_UP,
    LIE_NO_MEMORY,
    LIE_UNSEALED,
    LIE_SHORT,
    LIE_FILE,
    LIE_RING_SIZE,
    LIE_NONSENSE,
    LIES
};

static int lying_memory(enum lie lie)
{
    int fd;

    switch (lie) {
    case LIE_NO_MEMORY: return -1;
    case LIE_FILE: return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    case LIE_UNSEALED: fd = memfd_create("x", MFD_CLOEXEC); return ftruncate(fd, 8 << 20) ? -1 : fd;
    case LIE_SHORT:
        fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return ftruncate(fd, 4096) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) ? -1 : fd;
    default: return wire_memory(WIRE_RING_SIZE);
    }
}

static void lie_to(int fd, enum lie lie)
{
    struct msg_welcome wel = {
        .ring_size = lie == LIE_RING_SIZE ? 12345 : WIRE_RING_SIZE, .can = NET_CAN_ALL, .leader = "liar"};
    struct {
        uint32_t magic;
        uint16_t version, type;
        char text[16];
    } old = {0x54454e47, 9, MSG_REFUSE, "I am version 9."};

    if (lie == LIE_VERSION)
        send(fd, &old, sizeof old, MSG_NOSIGNAL);
    else if (lie == LIE_NONSENSE)
        send(fd, "nonsense", 8, MSG_NOSIGNAL);
    else if (lie != LIE_HANG_UP)
        msg_send(fd, MSG_WELCOME, &wel, sizeof wel, lying_memory(lie));
}

static void liar(int ready, int lie)
{
    struct segment_paths p;
    struct err e;
    struct msg m;
    int listener, fd = -1;

    if (!segment_paths(&p, dir, "lab", &e) || segment_lock(&p, SEGMENT_INTERNAL, &e) < 0)
        _exit(1);
    listener = segment_listen(&p, &e);
    fcntl(listener, F_SETFL, 0);
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;) {
        int next = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        close(fd);
        fd = next;
        recv(fd, &m, sizeof m, 0);
        lie_to(fd, (enum lie)lie);
        if (lie == LIE_HANG_UP || lie == LIE_NONSENSE)
            close(fd);
    }
}

static void what_a_lying_switch_says_is_not_believed(void **state)
{
    static const struct {
        enum lie lie;
        const char *error;
    } cases[] = {
        {LIE_VERSION, "I am version 9"},         {LIE_UNSEALED, "memory that may shrink"},
        {LIE_SHORT, "memory that may shrink"},   {LIE_FILE, "memory that may shrink"},
        {LIE_RING_SIZE, "rings of 12345 bytes"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct segment_config c = config("parent");
        struct child l = child(liar, (int)cases[i].lie);
        struct err e = {""};

        start(&l);
        CHECK(!segment_join(&w.env, &c, &e));
        if (!strstr(e.msg, cases[i].error))
            fail_msg("'%s' is not in '%s'", cases[i].error, e.msg);
        end(&l);
    }
}

/* It is asked again and again; when it dies, there is a switch of our own. */
static bool killed_and_replaced(void *arg)
{
    struct child *l = arg;

    if (l->pid && seg->tries > 1) {
        end(l);
        l->pid = 0;
    }
    return leads(NULL);
}

static void a_switch_that_turns_to_lies_is_asked_again_until_it_is_gone(void **state)
{
    struct child c = child(member, false), l = child(liar, LIE_NONSENSE);

    (void)state;
    start(&c);
    join();
    end(&c);
    start_before(&l);
    world_until(&w, killed_and_replaced, &l, "a switch of our own");
}

/* --- a switch that does not answer -------------------------------------------------------------------------------- */

/* As many as there are sockets, and some more that stay. */
static unsigned descriptors_of(pid_t pid)
{
    char path[64];
    unsigned n = 0;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static bool no_forwards(void *arg)
{
    (void)arg;
    return !seg->forwards;
}

static bool has_so_many(void *arg)
{
    const unsigned *want = arg;

    return descriptors_of((pid_t)want[0]) == want[1];
}

/* It was asked, and may do it yet: what the user was told has failed ends as soon as it is there, whatever its port. */
static void a_forward_that_was_not_answered_in_time_does_not_stay(void **state)
{
    struct nat_forward any = {.guest_port = 22}, first;
    struct child c;
    unsigned want[2];
    struct err e;

    (void)state;
    kind = SEGMENT_NAT;
    c = child(member, false);
    start(&c);
    join();
    world_until(&w, is_member, NULL, "the switch");
    CHECK(segment_forward(seg, &any, true, &e)); /* one that is answered */
    CHECK(seg->forwards && seg->forwards->f.host_port);
    first = seg->forwards->f;
    want[0] = (unsigned)c.pid;
    want[1] = descriptors_of(c.pid);
    kill(c.pid, SIGSTOP);
    CHECK(!segment_forward(seg, &any, true, &e));
    CHECK(strstr(e.msg, "does not answer"));
    CHECK(seg->forwards->next);
    kill(c.pid, SIGCONT);
    world_until(&w, has_so_many, want, "the end of the late one"); /* not a proof by itself: it may not be there yet */
    CHECK(segment_forward(seg, &first, false, &e));
    world_until(&w, no_forwards, NULL, "no forward");
    want[1]--;
    world_until(&w, has_so_many, want, "the sockets closed");
    end(&c);
    kind = SEGMENT_INTERNAL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(frames_cross_processes),
        T(when_the_switch_is_killed_another_takes_over),
        T(a_member_that_is_killed_is_gone),
        T(many_take_over_one_after_the_other),
        T(what_a_lying_switch_says_is_not_believed),
        T(a_switch_that_turns_to_lies_is_asked_again_until_it_is_gone),
        T(a_forward_that_was_not_answered_in_time_does_not_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
