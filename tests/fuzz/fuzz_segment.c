/*
 * Fuzz target: a named network's far side. Input: a byte that says who is fuzzed (the one with the switch, by a member; a
 * member, by the one with the switch), then operations of a byte and what each takes: messages, made or raw; words written
 * anywhere into the shared memory; frames through the rings with any header; the clock; hanging up.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/gate.h"
#include "netstack/segment_int.h"
#include "tests/fuzz/machine.h"

enum { OPS = 200 };

static struct net_env env;
static char dir[64];
static struct segment *seg;
static struct segment_paths paths;
static int lock = -1, listener = -1, fd = -1, memory = -1; /* the fuzzer's side */
static struct wire wire;
static struct fuzz_in in;
static bool as_switch;

/* --- the guest's end ------------------------------------------------------------------------------------------------ */

static bool guest_receive(struct net_port *p, const struct net_frame *f)
{
    size_t n = 0;

    (void)p;
    for (unsigned i = 0; i < f->iovcnt; i++)
        n += f->iov[i].iov_len;
    if (f->len > n || f->len > NET_FRAME_MAX)
        abort();
    return f->len % 7 != 0;
}

static const struct net_port_ops guest_ops = {.kind = "nic", .receive = guest_receive};
static struct net_port guest = {.ops = &guest_ops, .name = "guest", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
static struct net_cable *cable;

/* --- the loop ------------------------------------------------------------------------------------------------------- */

static void run(void)
{
    for (int i = 0; i < 3; i++)
        loop_poll(env.loop);
}

static void say_nothing(struct log *l)
{
    static bool done;
    struct err e;

    if (!done && !log_set_file(l, "/dev/null", &e))
        abort();
    done = true;
}

static void begin_once(void)
{
    struct err e;

    if (env.loop)
        return;
    env.clock = clock_new_fake();
    env.loop = loop_new(env.clock, &e);
    env.log = log_new();
    env.gate = gate_new(env.clock);
    gate_set_seed(env.gate, 1);
    say_nothing(env.log);
    strcpy(dir, "/tmp/fuzz_segment.XXXXXX");
    if (!mkdtemp(dir) || !segment_paths(&paths, dir, "n", &e))
        abort();
}

/* --- the fuzzer's side ---------------------------------------------------------------------------------------------- */

static void hang_up(void)
{
    wire_close(&wire);
    if (memory >= 0)
        close(memory);
    wire = (struct wire){.fd = -1};
    memory = fd = -1;
}

static void map(uint32_t ring_size)
{
    struct err e;

    if (memory >= 0 && !wire.map && !wire_map(&wire, memory, ring_size, as_switch, &e))
        abort();
}

static void call(void)
{
    pid_t pid;
    struct err e;

    hang_up();
    fd = as_switch ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : segment_connect(paths.sock, &pid, &e);
    wire.fd = fd;
    run();
}

static void greet(void)
{
    struct msg_hello h = {.kind = SEGMENT_INTERNAL, .can = NET_CAN_ALL, .mtu = 9000, .member = "fuzz"};
    struct msg_welcome wel = {.ring_size = RING_SIZE_MIN, .can = NET_CAN_ALL, .leader = "fuzz"};
    struct msg m;
    int got;

    if (!as_switch) {
        msg_send(fd, MSG_HELLO, &h, sizeof h, -1);
        run();
        if (memory < 0 && msg_recv(fd, &m, &got) == MSG_OK && got >= 0) {
            memory = got;
            map(m.body.welcome.ring_size);
        }
        return;
    }
    if (memory < 0)
        memory = wire_memory(RING_SIZE_MIN);
    map(RING_SIZE_MIN);
    msg_send(fd, MSG_WELCOME, &wel, sizeof wel, memory);
    run();
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)fuzz_take(&in, 1);
}

static void message(void)
{
    uint8_t body[512];
    unsigned type = (unsigned)fuzz_take(&in, 1) % (MSG_TYPES + 1);
    static const size_t sizes[MSG_TYPES] = {[MSG_HELLO] = sizeof(struct msg_hello), [MSG_WELCOME] = sizeof(struct msg_welcome),
                                            [MSG_FORWARD] = sizeof(struct msg_forward), [MSG_REFUSE] = 30, [MSG_ROSTER] = 40};
    size_t len;

    if (type == MSG_TYPES) { /* raw */
        len = fuzz_take(&in, 1);
        fill(body, len);
        send(fd, body, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (type == MSG_ANSWER) {
        struct msg_answer a = {.id = (uint32_t)fuzz_take(&in, 1), .ok = (uint16_t)fuzz_take(&in, 1)};

        fill((uint8_t *)a.error, 16);
        msg_send(fd, MSG_ANSWER, &a, sizeof a, -1);
    } else {
        len = sizes[type] + (fuzz_take(&in, 1) == 0xff);
        fill(body, len < 64 ? len : 64);
        memset(body + 64, 'x', sizeof body - 64);
        msg_send(fd, (enum msg_type)type, body, len, fuzz_take(&in, 1) & 1 ? memory : -1);
    }
    run();
}

/* Indices, flags, or the bytes around the next record. */
static void scribble(void)
{
    uint32_t where = (uint32_t)fuzz_take(&in, 1), v = (uint32_t)fuzz_take(&in, 4);
    uint8_t *control = (uint8_t *)wire.map;

    if (!wire.map)
        return;
    if (where < 128)
        memcpy(control + where / 4 * 8, &v, sizeof v);
    else
        memcpy(wire.tx.data + ((wire.tx.pos + (where & 63) * 4) & (wire.tx.size - 4)), &v, sizeof v);
}

static void frame(struct net_port *from)
{
    static uint8_t bytes[NET_FRAME_MAX];
    struct iovec v = {bytes, fuzz_take(&in, 2) + (fuzz_take(&in, 1) & 15)};
    struct net_frame f = {.iov = &v, .iovcnt = 1, .len = v.iov_len};

    f.flags = (uint8_t)fuzz_take(&in, 1);
    f.gso = from ? (uint8_t)fuzz_take(&in, 1) % (NET_GSO_UDP6 + 1) : (uint8_t)fuzz_take(&in, 1);
    f.gso_size = (uint16_t)fuzz_take(&in, 2);
    f.csum_start = (uint16_t)fuzz_take(&in, 1);
    f.csum_offset = (uint16_t)fuzz_take(&in, 1);
    fill(bytes, 54);
    if (from)
        net_port_send(from, &f);
    else
        wire_send(&wire, &f);
}

static void consume(void)
{
    static uint8_t buf[NET_FRAME_MAX];
    struct iovec v;
    struct net_frame f;

    for (unsigned n = (unsigned)fuzz_take(&in, 1); n && wire.map && ring_peek(&wire.rx, buf, &v, &f) == RING_OK; n--) {
        ring_consume(&wire.rx);
        if (ring_wakes_producer(&wire.rx))
            msg_send(fd, MSG_BELL, NULL, 0, -1);
    }
}

static void forward(void)
{
    struct nat_forward f = {.host_port = (uint16_t)fuzz_take(&in, 1), .guest_port = 1};
    struct err e;

    segment_forward(seg, &f, fuzz_take(&in, 1) & 1, &e);
}

static void info(void)
{
    FILE *f = fopen("/dev/null", "w");

    segment_info(seg, f);
    fclose(f);
}

static void op(unsigned kind)
{
    switch (kind % 12) {
    case 0: call(); break;
    case 1: greet(); break;
    case 2: message(); break;
    case 3: scribble(); break;
    case 4: frame(NULL); break;
    case 5: frame(&guest); break;
    case 6: consume(); break;
    case 7: msg_send(fd, MSG_BELL, NULL, 0, -1); break;
    case 8: clock_advance(env.clock, (fuzz_take(&in, 1) + 1) * UINT64_C(10000000)); break;
    case 9: net_port_room(&guest); break;
    case 10: forward(); break;
    case 11: info(); break;
    }
    run();
}

static void begin(void)
{
    struct segment_config c = {.kind = SEGMENT_INTERNAL, .name = "n", .dir = dir, .member = "m"};
    struct err e;

    begin_once();
    hang_up();
    as_switch = fuzz_take(&in, 1) & 1;
    if (as_switch) { /* kind of the lock: forwards are possible for a member of a natnet, which never makes a NAT here */
        c.kind = SEGMENT_NAT;
        lock = segment_lock(&paths, SEGMENT_NAT, &e);
        listener = segment_listen(&paths, &e);
        if (lock < 0 || listener < 0)
            abort();
    }
    seg = segment_join(&env, &c, &e);
    cable = seg ? net_cable_new(&env, "c", segment_port(seg), &guest, &e) : NULL;
    if (!cable)
        abort();
    call();
    greet();
}

/* The fuzzed one leaves first, so that it does not become the switch of a natnet. */
static void end(void)
{
    net_cable_free(cable);
    segment_leave(seg);
    hang_up();
    if (listener >= 0)
        close(listener);
    segment_unlock(&paths, lock);
    lock = listener = -1;
    run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in = (struct fuzz_in){data, size};
    begin();
    for (unsigned i = 0; i < OPS && in.left; i++)
        op((unsigned)fuzz_take(&in, 1));
    end();
    return 0;
}
