/* Frames over stream sockets: framing, refusal, peers that go, come again and lie. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "netstack/host.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/net_util.h"

static struct world w;
static struct test_port t;
static struct net_host *h;
static struct net_cable *cable;

static void plug(struct net_host *host, const struct err *e)
{
    struct err ce;

    if (!host)
        fail_msg("%s", e->msg);
    h = host;
    tp_init(&t, "guest", NET_CAN_ALL);
    cable = net_cable_new(&w.env, "cable", &t.port, net_host_port(h), &ce);
    CHECK(cable);
}

/* A port on one end of a socket pair; -> the other end. */
static int begin(void)
{
    struct net_stream_options o = {0};
    int pair[2];
    struct err e;

    world_init(&w);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    o.fd = pair[0];
    plug(net_host_stream(&w.env, &o, &e), &e);
    return pair[1];
}

static void end(int peer)
{
    net_cable_free(cable);
    net_host_free(h);
    tp_clear(&t);
    world_free(&w);
    if (peer >= 0)
        close(peer);
}

static const uint8_t hello[60] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5, 'h', 'i'};

/* hello with its length before it, n times. */
static void peer_sends(int peer, unsigned n)
{
    uint8_t buf[4 + sizeof hello] = {0, 0, 0, sizeof hello};

    memcpy(buf + 4, hello, sizeof hello);
    while (n--)
        CHECK_EQ(send(peer, buf, sizeof buf, MSG_NOSIGNAL), sizeof buf);
}

static unsigned wanted;
static bool got_wanted(void *arg)
{
    (void)arg;
    return t.count >= wanted;
}

static void until_frames(unsigned n)
{
    wanted = n;
    world_until(&w, got_wanted, NULL, "frames");
    CHECK_EQ(t.count, n);
}

static const char *info(void)
{
    static char text[256];
    FILE *f = fmemopen(text, sizeof text, "w");

    net_host_info(h, f);
    fclose(f);
    return text;
}

static const char *said;
static bool says(void *arg)
{
    (void)arg;
    return strstr(info(), said);
}

static void until_info(const char *text)
{
    said = text;
    world_until(&w, says, NULL, text);
}

static void a_length_before_each_frame(void **state)
{
    uint8_t buf[256];
    int peer = begin();

    (void)state;
    CHECK(tp_send(&t, hello, sizeof hello));
    CHECK(tp_send(&t, hello, 20));
    CHECK_EQ(world_recv(&w, peer, buf, 4 + sizeof hello + 4 + 20), 4 + sizeof hello + 4 + 20);
    CHECK_EQ(ld32be(buf), sizeof hello);
    assert_memory_equal(buf + 4, hello, sizeof hello);
    CHECK_EQ(ld32be(buf + 4 + sizeof hello), 20);
    peer_sends(peer, 3);
    until_frames(3);
    assert_memory_equal(t.got[2].data, hello, sizeof hello);
    end(peer);
}

static void frames_in_pieces(void **state)
{
    static struct made_frame m;
    uint8_t *buf = malloc(4 + NET_FRAME_MAX);
    int peer = begin();

    (void)state;
    t.port.mtu = NET_MTU_MAX;
    make_frame(&m, NET_GSO_UDP4, 60000, false);
    st32be(buf, (uint32_t)m.f.len);
    memcpy(buf + 4, m.data, m.f.len);
    for (size_t at = 0; at < m.f.len + 4;) {
        size_t n = at < 7 ? 1 : 9001;

        n = n < m.f.len + 4 - at ? n : m.f.len + 4 - at;
        CHECK_EQ(send(peer, buf + at, n, 0), n);
        at += n;
        world_run(&w);
    }
    until_frames(1);
    CHECK(!memcmp(t.got[0].data, m.data, m.f.len));
    free(buf);
    end(peer);
}

/* What does not fit the socket is the far end's to keep; nothing is lost or cut. */
static void a_full_socket_refuses_until_there_is_room(void **state)
{
    static struct made_frame m;
    uint8_t *buf = malloc(4 + NET_FRAME_MAX);
    unsigned sent = 0;
    int peer = begin();

    (void)state;
    make_frame(&m, NET_GSO_UDP4, 60000, false);
    while (net_port_send(&t.port, &m.f))
        CHECK(++sent < 1000);
    CHECK(t.port.full);
    for (unsigned i = 0; i < sent; i++) {
        CHECK_EQ(world_recv(&w, peer, buf, 4 + m.f.len), 4 + m.f.len);
        CHECK_EQ(ld32be(buf), m.f.len);
        CHECK(!memcmp(buf + 4, m.data, m.f.len));
    }
    world_run(&w);
    CHECK(t.ready >= 1);
    CHECK(!t.port.full);
    CHECK(net_port_send(&t.port, &m.f));
    free(buf);
    end(peer);
}

static void a_guest_without_room_is_waited_for(void **state)
{
    int peer = begin();

    (void)state;
    t.room = 2;
    peer_sends(peer, 5);
    until_frames(2);
    world_run(&w);
    CHECK_EQ(t.refused, 1); /* and it is not tried over and over */
    t.room = -1;
    net_port_room(&t.port);
    until_frames(5);
    end(peer);
}

static void a_length_beyond_any_frame_ends_the_connection(void **state)
{
    static const uint8_t lie[8] = {0, 1, 0, 0x12}; /* 65554: one more than the longest */
    int peer = begin();

    (void)state;
    peer_sends(peer, 1);
    CHECK_EQ(send(peer, lie, sizeof lie, 0), 8);
    until_info("not connected");
    CHECK_EQ(t.count, 1);
    CHECK(tp_send(&t, hello, sizeof hello)); /* lost, as without a cable */
    CHECK(strstr(info(), "1 that the host did not take"));
    end(peer);
}

static void short_and_empty_frames_are_passed_over(void **state)
{
    static const uint8_t odd[] = {0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3};
    int peer = begin();

    (void)state;
    CHECK_EQ(send(peer, odd, sizeof odd, 0), sizeof odd);
    peer_sends(peer, 1);
    until_frames(1);
    end(peer);
}

static void a_peer_that_goes_while_the_sender_waits(void **state)
{
    static struct made_frame m;
    int peer = begin();

    (void)state;
    make_frame(&m, NET_GSO_UDP4, 60000, false);
    while (net_port_send(&t.port, &m.f))
        ;
    close(peer);
    until_info("not connected");
    CHECK(!t.port.full);
    CHECK(t.ready >= 1);
    end(-1);
}

/* --- over named and TCP sockets ------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/test_stream.XXXXXX", path[64];

static void make_dir(void)
{
    CHECK(mkdtemp(strcpy(dir, "/tmp/test_stream.XXXXXX")));
    snprintf(path, sizeof path, "%s/sock", dir);
}

static int unix_listener(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    CHECK(!bind(fd, (struct sockaddr *)&un, sizeof un));
    CHECK(!listen(fd, 4));
    return fd;
}

static int unix_client(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    CHECK(!connect(fd, (struct sockaddr *)&un, sizeof un));
    return fd;
}

static void connects_again_after_a_while(void **state)
{
    struct net_stream_options o = {.path = path, .fd = -1, .reconnect_ms = 500};
    int listener, peer;
    struct err e;

    (void)state;
    make_dir();
    world_init(&w);
    plug(net_host_stream(&w.env, &o, &e), &e); /* nobody there yet */
    CHECK(strstr(info(), "not connected"));
    listener = unix_listener();
    world_advance(&w, 499 * (NS_PER_SEC / 1000));
    CHECK(strstr(info(), "not connected"));
    world_advance(&w, NS_PER_SEC / 1000);
    for (unsigned i = 0; i < 2; i++) {
        peer = world_accept(&w, listener);
        peer_sends(peer, 1);
        until_frames(i + 1);
        close(peer);
        until_info("not connected");
        world_advance(&w, 500 * (NS_PER_SEC / 1000));
    }
    close(listener);
    unlink(path);
    rmdir(dir);
    end(-1);
}

static void without_reconnect_a_missing_peer_is_an_error(void **state)
{
    struct net_stream_options o = {.path = path, .fd = -1};
    struct err e;

    (void)state;
    make_dir();
    world_init(&w);
    CHECK(!net_host_stream(&w.env, &o, &e));
    CHECK(strstr(e.msg, path) && strstr(e.msg, "No such file"));
    o.path = "/tmp/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789";
    CHECK(!net_host_stream(&w.env, &o, &e));
    CHECK(strstr(e.msg, "at most 107 bytes"));
    o = (struct net_stream_options){.host = "host.invalid", .port = "1", .fd = -1};
    CHECK(!net_host_stream(&w.env, &o, &e)); /* names are not looked up */
    world_free(&w);
    rmdir(dir);
}

static void a_server_serves_one_after_the_other(void **state)
{
    struct net_stream_options o = {.path = path, .fd = -1, .server = true};
    int first, second;
    struct err e;

    (void)state;
    make_dir();
    close(unix_listener()); /* a file that a dead program left behind */
    world_init(&w);
    plug(net_host_stream(&w.env, &o, &e), &e);
    CHECK(strstr(info(), "listening"));
    first = unix_client();
    second = unix_client();
    peer_sends(second, 2);
    peer_sends(first, 1);
    until_frames(1);
    world_run(&w);
    CHECK_EQ(t.count, 1); /* the second waits for its turn */
    close(first);
    until_frames(3);
    CHECK(tp_send(&t, hello, sizeof hello));
    close(second);
    until_info("listening");
    end(-1);
    CHECK(access(path, F_OK)); /* its file is gone with it */
    CHECK(!rmdir(dir));
}

static void a_socket_in_use_is_not_taken(void **state)
{
    struct net_stream_options o = {.path = path, .fd = -1, .server = true};
    int listener;
    struct err e;

    (void)state;
    make_dir();
    listener = unix_listener();
    world_init(&w);
    CHECK(!net_host_stream(&w.env, &o, &e));
    CHECK(strstr(e.msg, "Address already in use"));
    world_free(&w);
    close(listener);
    CHECK(!unlink(path));
    CHECK(!rmdir(dir));
}

static void over_tcp(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port), peer;
    char text[8];
    struct net_stream_options o = {.host = "localhost", .port = text, .fd = -1};
    uint8_t buf[64];
    struct err e;

    (void)state;
    snprintf(text, sizeof text, "%u", port);
    world_init(&w);
    plug(net_host_stream(&w.env, &o, &e), &e);
    peer = world_accept(&w, listener);
    until_info(": connected");
    peer_sends(peer, 1);
    until_frames(1);
    CHECK(tp_send(&t, hello, 20));
    CHECK_EQ(world_recv(&w, peer, buf, 24), 24);
    close(listener);
    end(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_before_each_frame),
        cmocka_unit_test(frames_in_pieces),
        cmocka_unit_test(a_full_socket_refuses_until_there_is_room),
        cmocka_unit_test(a_guest_without_room_is_waited_for),
        cmocka_unit_test(a_length_beyond_any_frame_ends_the_connection),
        cmocka_unit_test(short_and_empty_frames_are_passed_over),
        cmocka_unit_test(a_peer_that_goes_while_the_sender_waits),
        cmocka_unit_test(connects_again_after_a_while),
        cmocka_unit_test(without_reconnect_a_missing_peer_is_an_error),
        cmocka_unit_test(a_server_serves_one_after_the_other),
        cmocka_unit_test(a_socket_in_use_is_not_taken),
        cmocka_unit_test(over_tcp),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
