/* A frame a datagram: unix sockets, UDP, a multicast group on the loopback. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "netstack/host.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/net_util.h"

static struct world w;
static struct test_port t[3];
static struct net_host *h[3];
static struct net_cable *cable[3];

static void plug(unsigned i, struct net_dgram_options o)
{
    struct err e;

    h[i] = net_host_dgram(&w.env, &o, &e);
    if (!h[i])
        fail_msg("%s", e.msg);
    tp_init(&t[i], "guest", NET_CAN_ALL);
    cable[i] = net_cable_new(&w.env, "cable", &t[i].port, net_host_port(h[i]), &e);
    CHECK(cable[i]);
}

static void unplug(unsigned i)
{
    net_cable_free(cable[i]);
    net_host_free(h[i]);
    tp_clear(&t[i]);
}

static const uint8_t hello[60] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5, 'h', 'i'};

static unsigned wanted, who;
static bool got_wanted(void *arg)
{
    (void)arg;
    return t[who].count >= wanted;
}

static void until_frames(unsigned i, unsigned n)
{
    who = i;
    wanted = n;
    world_until(&w, got_wanted, NULL, "frames");
    CHECK_EQ(t[i].count, n);
}

static char dir[] = "/tmp/test_dgram.XXXXXX", a[64], b[64];

static void make_dir(void)
{
    CHECK(mkdtemp(strcpy(dir, "/tmp/test_dgram.XXXXXX")));
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
}

static void two_by_unix_sockets(void **state)
{
    (void)state;
    make_dir();
    world_init(&w);
    plug(0, (struct net_dgram_options){.local_path = a, .remote_path = b, .fd = -1});
    CHECK(tp_send(&t[0], hello, 60)); /* nobody there yet: lost */
    plug(1, (struct net_dgram_options){.local_path = b, .remote_path = a, .fd = -1});
    CHECK(tp_send(&t[0], hello, 60));
    CHECK(tp_send(&t[0], hello, 20));
    CHECK(tp_send(&t[1], hello, 30));
    until_frames(1, 2);
    until_frames(0, 1);
    CHECK_EQ(t[1].got[0].len, 60);
    assert_memory_equal(t[1].got[0].data, hello, 60);
    CHECK_EQ(t[1].got[1].len, 20);
    unplug(1); /* and comes back, with another socket at the same place */
    CHECK(tp_send(&t[0], hello, 60));
    plug(1, (struct net_dgram_options){.local_path = b, .remote_path = a, .fd = -1});
    CHECK(tp_send(&t[0], hello, 60));
    until_frames(1, 1);
    unplug(0);
    unplug(1);
    world_free(&w);
    CHECK(!rmdir(dir)); /* their files are gone with them */
}

/* A queue of the kernel's that is full is felt by the sender, not by the frames. */
static void a_full_peer_refuses(void **state)
{
    unsigned sent = 0;

    (void)state;
    make_dir();
    world_init(&w);
    plug(0, (struct net_dgram_options){.local_path = a, .remote_path = b, .fd = -1});
    plug(1, (struct net_dgram_options){.local_path = b, .remote_path = a, .fd = -1});
    while (tp_send(&t[0], hello, 60))
        CHECK(++sent < 100000);
    CHECK(sent > 0);
    CHECK(t[0].port.full);
    until_frames(1, sent);
    world_run(&w);
    CHECK_EQ(t[0].ready, 1);
    CHECK(tp_send(&t[0], hello, 60));
    until_frames(1, sent + 1);
    unplug(0);
    unplug(1);
    world_free(&w);
    rmdir(dir);
}

static void a_guest_without_room_is_waited_for(void **state)
{
    int pair[2];

    (void)state;
    world_init(&w);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
    plug(0, (struct net_dgram_options){.fd = pair[0]});
    t[0].room = 1;
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(send(pair[1], hello, 40 + i, 0), 40 + i);
    until_frames(0, 1);
    world_run(&w);
    CHECK_EQ(t[0].refused, 1);
    t[0].room = -1;
    net_port_room(&t[0].port);
    until_frames(0, 4);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(t[0].got[i].len, 40 + i);
    close(pair[1]);
    unplug(0);
    world_free(&w);
}

static void two_by_udp(void **state)
{
    static struct made_frame m;
    uint16_t port = 0;
    char text[8];
    int peer;

    (void)state;
    world_init(&w);
    peer = host_udp(AF_INET, &port);
    snprintf(text, sizeof text, "%u", port);
    plug(0, (struct net_dgram_options){.local_host = "127.0.0.1", .local_port = "0", .remote_host = "localhost",
                                       .remote_port = text, .fd = -1});
    make_frame(&m, NET_GSO_UDP4, 1000, true); /* the checksum is filled in: the peer is another program */
    CHECK(net_port_send(&t[0].port, &m.f));
    uint8_t buf[2000];
    CHECK_EQ(world_recv(&w, peer, buf, m.f.len), m.f.len);
    CHECK(!frame_wrong(buf, m.f.len));
    close(peer);
    unplug(0);
    world_free(&w);
}

static void a_datagram_that_is_no_frame_is_passed_over(void **state)
{
    uint8_t *big = calloc(1, NET_FRAME_MAX + 1);
    int pair[2];

    (void)state;
    world_init(&w);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
    plug(0, (struct net_dgram_options){.fd = pair[0]});
    CHECK_EQ(send(pair[1], hello, 0, 0), 0);
    CHECK_EQ(send(pair[1], hello, 5, 0), 5);
    CHECK_EQ(send(pair[1], big, NET_FRAME_MAX + 1, 0), NET_FRAME_MAX + 1);
    CHECK_EQ(send(pair[1], hello, 60, 0), 60);
    until_frames(0, 1);
    free(big);
    close(pair[1]);
    unplug(0);
    world_free(&w);
}

static bool loopback_up(void)
{
    struct ifreq r = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = !ioctl(fd, SIOCGIFFLAGS, &r);

    r.ifr_flags |= IFF_UP;
    ok = ok && !ioctl(fd, SIOCSIFFLAGS, &r);
    close(fd);
    return ok;
}

/* In a network namespace of its own, where the group is heard by nobody else. */
static void a_group_reaches_all_but_the_sender(void **state)
{
    struct net_dgram_options o = {.mcast = "230.0.0.1:1234", .local_host = "127.0.0.1", .fd = -1};

    (void)state;
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        print_message("no network namespace here: %s\n", strerror(errno));
        skip();
    }
    CHECK(loopback_up());
    world_init(&w);
    for (unsigned i = 0; i < 3; i++)
        plug(i, o);
    CHECK(tp_send(&t[0], hello, 60));
    until_frames(1, 1);
    until_frames(2, 1);
    CHECK(tp_send(&t[2], hello, 60));
    until_frames(0, 1);
    until_frames(1, 2);
    world_run(&w);
    CHECK_EQ(t[0].count, 1); /* not its own */
    CHECK_EQ(t[2].count, 1);
    for (unsigned i = 0; i < 3; i++)
        unplug(i);
    world_free(&w);
}

static void mistakes_are_told(void **state)
{
    static const struct {
        struct net_dgram_options o;
        const char *says;
    } row[] = {
        {{.fd = -1}, "neither an address nor a descriptor"},
        {{.fd = -1, .mcast = "230.0.0.1"}, "not HOST:PORT"},
        {{.fd = -1, .mcast = "10.0.0.1:1234"}, "not an IPv4 multicast group"},
        {{.fd = -1, .mcast = "[ff02::1]:1234"}, "ff02::1"},
        {{.fd = -1, .local_path = "/nowhere/at/all"}, "cannot bind: No such file"},
        {{.fd = -1, .local_host = "127.0.0.1", .local_port = "http?"}, "127.0.0.1 port http?"},
    };
    struct err e;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        CHECK(!net_host_dgram(&w.env, &row[i].o, &e));
        if (!strstr(e.msg, row[i].says))
            fail_msg("'%s' does not say '%s'", e.msg, row[i].says);
    }
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_by_unix_sockets),
        cmocka_unit_test(a_full_peer_refuses),
        cmocka_unit_test(a_guest_without_room_is_waited_for),
        cmocka_unit_test(two_by_udp),
        cmocka_unit_test(a_datagram_that_is_no_frame_is_passed_over),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(a_group_reaches_all_but_the_sender), /* last: it leaves the network */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
