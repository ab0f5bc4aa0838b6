/* Forwards of the host to guests and of guests to the host. In a network namespace of the test's own: see net_ns.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/net_ns.h"

static struct nat_guest g;
static bool have_ns;
static struct err e;

static void begin(void)
{
    if (!have_ns)
        skip();
    nat_guest_begin(&g, NULL);
}

static struct nat_counts counts(void)
{
    struct nat_counts c;

    nat_counts(g.n, &c);
    return c;
}

static void end(void) { nat_guest_end(&g); }

static struct net_addr addr(const char *text)
{
    struct net_addr a = {{0}};

    if (*text && !net_addr_parse(text, &a))
        fail_msg("%s", text);
    return a;
}

static struct nat_forward forward(bool udp, const char *host, uint16_t port, const char *guest, uint16_t guest_port)
{
    return (struct nat_forward){
        .udp = udp, .host_addr = addr(host), .host_port = port, .guest_addr = addr(guest), .guest_port = guest_port};
}

static bool add(bool udp, const char *host, uint16_t port, const char *guest, uint16_t guest_port)
{
    struct nat_forward f = forward(udp, host, port, guest, guest_port);

    return nat_forward_add(g.n, &f, &e);
}

static bool end_of(bool udp, const char *host, uint16_t port)
{
    struct nat_forward f = forward(udp, host, port, "", 0);

    return nat_forward_remove(g.n, &f, &e);
}

static void expect_error(bool ok, const char *text)
{
    CHECK(!ok);
    if (!strstr(e.msg, text))
        fail_msg("\"%s\" is not in \"%s\"", text, e.msg);
}

/* What `info` says; valid until the next call. */
static const char *info(void)
{
    static char *text;
    size_t len;
    FILE *f;

    free(text);
    text = NULL;
    f = open_memstream(&text, &len);
    nat_info(g.n, true, f);
    fclose(f);
    return text;
}

/* A client of the host's side: from addr (port 0: any), connected to to:port. */
static int client_at(int type, const char *from, uint16_t from_port, const char *to, uint16_t port)
{
    struct sockaddr_storage ss;
    struct net_addr a = addr(from);
    socklen_t len = net_addr_to_sock(&a, from_port, &ss);
    int fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
        fail_msg("%s: %s", from, strerror(errno));
    a = addr(to);
    len = net_addr_to_sock(&a, port, &ss);
    if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
        fail_msg("%s: %s", to, strerror(errno));
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    uint16_t port;

    getsockname(fd, (struct sockaddr *)&ss, &len);
    net_addr_of_sock(&ss, &port);
    return port;
}

static void say(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        fail_msg("send: %s", strerror(errno));
    world_run(&g.w);
}

static void hear(int fd, const char *text)
{
    char buf[256] = "";

    world_recv(&g.w, fd, buf, strlen(text));
    CHECK_STR(buf, text);
}

/* --- UDP ------------------------------------------------------------------------------------------------------- */

static void a_client_of_a_udp_forward_speaks_with_the_guest(void **state)
{
    const struct got *f;
    int fd;

    (void)state;
    begin();
    CHECK(add(true, "", 5000, "", 53));
    fd = client_at(SOCK_DGRAM, "127.0.0.1", 0, "127.0.0.1", 5000);
    say(fd, "question");
    /* to the first guest there will be, from the gateway with the client's port */
    f = far_expect(
        &g.f, PKT(UDP, .src = "10.0.2.2", .dst = "10.0.2.15", .sport = port_of(fd), .dport = 53, TEXT("question")));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 53, .dport = f->sport, TEXT("answer")));
    hear(fd, "answer");
    CHECK_EQ(counts().udp, 1);
    CHECK_EQ(counts().sockets, 1);
    far_send(&g.f,
             PKT(UDP, .dst = "10.0.2.2", .sport = 54, .dport = port_of(fd), TEXT("x"))); /* another port of the guest */
    far_expect(&g.f, PKT(ICMP, .type = 3, .code = 3));
    world_advance(&g.w, 120 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 0);
    CHECK_EQ(counts().sockets, 1); /* it listens on */
    say(fd, "again");
    far_expect(&g.f, PKT(UDP, TEXT("again")));
    close(fd);
    end();
}

static void clients_that_look_alike_are_told_apart(void **state)
{
    const struct got *f;
    uint16_t one, two;
    int a, b;

    (void)state;
    begin();
    CHECK(add(true, "0.0.0.0", 5000, "10.0.2.15", 53));
    a = client_at(SOCK_DGRAM, "127.0.0.1", 6000, "127.0.0.1", 5000);
    b = client_at(SOCK_DGRAM, "127.0.0.2", 6000, "127.0.0.2", 5000);
    say(a, "a");
    f = far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .sport = 6000, TEXT("a")));
    one = f->sport;
    say(b, "b");
    f = far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", TEXT("b")));
    two = f->sport;
    CHECK(one != two);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 53, .dport = two, TEXT("for b")));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 53, .dport = one, TEXT("for a")));
    hear(a, "for a");
    hear(b, "for b");
    say(b, "b2");
    far_expect(&g.f, PKT(UDP, .sport = two, TEXT("b2")));
    close(a);
    close(b);
    end();
}

/* A client that is not on this host keeps its address; it is answered from the one that it used. */
static void a_client_is_answered_from_the_address_it_used(void **state)
{
    int fd, v6;

    (void)state;
    begin();
    CHECK(add(true, "0.0.0.0", 5000, "10.0.2.15", 53));
    fd = client_at(SOCK_DGRAM, "192.0.2.50", 6000, "192.0.2.99", 5000); /* connected: hears only that address */
    say(fd, "q");
    far_expect(&g.f, PKT(UDP, .src = "192.0.2.50", .sport = 6000, .dport = 53));
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.50", .sport = 53, .dport = 6000, TEXT("a")));
    hear(fd, "a");
    CHECK(nat_forward_add(
        g.n,
        &(struct nat_forward){
            .udp = true, .host_any6 = true, .host_port = 5001, .guest_addr = addr("10.0.2.15"), .guest_port = 53},
        &e));
    close(fd);
    fd = client_at(SOCK_DGRAM, "192.0.2.50", 6002, "192.0.2.99", 5001); /* both families */
    say(fd, "q");
    far_expect(&g.f, PKT(UDP, .src = "192.0.2.50", .sport = 6002));
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.50", .sport = 53, .dport = 6002, TEXT("b")));
    hear(fd, "b");
    v6 = client_at(SOCK_DGRAM, "2001:db8::2", 6000, "2001:db8::1", 5001);
    say(v6, "q6"); /* a peer of the other family is the gateway to this guest */
    far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .sport = 6000, TEXT("q6")));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 53, .dport = 6000, TEXT("a6")));
    hear(v6, "a6");
    close(fd);
    close(v6);
    end();
}

static void a_guest_by_ipv6_is_forwarded_to(void **state)
{
    int fd;

    (void)state;
    begin();
    CHECK(add(true, "", 5000, g.f.ip6, 53));
    fd = client_at(SOCK_DGRAM, "127.0.0.1", 6000, "127.0.0.1", 5000);
    say(fd, "q");
    far_expect(&g.f, PKT(UDP, .src = "fec0::2", .dst = g.f.ip6, .sport = 6000, .dport = 53));
    far_send(&g.f, PKT(UDP, .dst = "fec0::2", .sport = 53, .dport = 6000, TEXT("a")));
    hear(fd, "a");
    close(fd);
    end();
}

static void a_removed_udp_forward_takes_no_new_clients(void **state)
{
    int a, b;

    (void)state;
    begin();
    CHECK(add(true, "", 5000, "", 53));
    a = client_at(SOCK_DGRAM, "127.0.0.1", 6000, "127.0.0.1", 5000);
    say(a, "q");
    far_expect(&g.f, PKT(UDP, .sport = 6000));
    CHECK(end_of(true, "", 5000));
    expect_error(end_of(true, "", 5000), "udp 127.0.0.1:5000: there is no such forward");
    b = client_at(SOCK_DGRAM, "127.0.0.1", 6001, "127.0.0.1", 5000);
    say(b, "q");
    far_expect_none(&g.f);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 53, .dport = 6000, TEXT("a"))); /* what there is goes on */
    hear(a, "a");
    CHECK(add(true, "", 5000, "", 54)); /* the same again, while its socket lives on: */
    say(b, "q2");
    far_expect(&g.f, PKT(UDP, .sport = 6001, .dport = 54));
    CHECK(end_of(true, "127.0.0.1", 5000));
    world_advance(&g.w, 121 * NS_PER_SEC);
    CHECK_EQ(counts().sockets, 0);
    close(a);
    close(b);
    end();
}

static void a_flood_of_clients_does_not_push_out_the_guests_flows(void **state)
{
    uint16_t port = 0;
    int host;

    (void)state;
    if (!have_ns)
        skip();
    nat_guest_begin(&g, &(struct nat_config){.flows_max = 32, .host_loopback = true});
    CHECK(add(true, "", 5000, "", 53));
    host = host_udp(AF_INET, &port);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 1000, .dport = port, TEXT("mine")));
    for (unsigned i = 0; i < 100; i++) {
        int fd = client_at(SOCK_DGRAM, "127.0.0.1", (uint16_t)(6000 + i), "127.0.0.1", 5000);

        say(fd, "x");
        close(fd);
    }
    CHECK_EQ(counts().udp, 32);
    CHECK(strstr(info(), "10.0.2.15  1000"));
    far_drain(&g.f);
    close(host);
    end();
}

/* --- TCP ------------------------------------------------------------------------------------------------------- */

static void a_connection_to_a_tcp_forward_reaches_the_guest(void **state)
{
    int fd;

    (void)state;
    begin();
    CHECK(add(false, "", 2222, "", 22));
    fd = client_at(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.1", 2222);
    far_expect(&g.f,
               PKT(TCP, .src = "10.0.2.2", .dst = "10.0.2.15", .sport = port_of(fd), .dport = 22, .flags = T_SYN));
    close(fd);
    end();
}

static void a_unix_socket_is_a_tcp_forwards_host_side(void **state)
{
    struct nat_forward f = {.host_path = "/tmp/test-nat-forward.sock", .guest_port = 22};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    int one, two;
    uint16_t port;

    (void)state;
    begin();
    unlink(f.host_path);
    strcpy(a.sun_path, f.host_path);
    CHECK(nat_forward_add(g.n, &f, &e));
    CHECK(!stat(f.host_path, &st));
    CHECK_EQ(st.st_mode & 0777, 0600);
    one = socket(AF_UNIX, SOCK_STREAM, 0);
    two = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!connect(one, (struct sockaddr *)&a, sizeof a) && !connect(two, (struct sockaddr *)&a, sizeof a));
    port = far_expect(&g.f, PKT(TCP, .src = "10.0.2.2", .dport = 22, .flags = T_SYN))->sport;
    CHECK(far_expect(&g.f, PKT(TCP, .src = "10.0.2.2", .dport = 22, .flags = T_SYN))->sport != port);
    expect_error(nat_forward_add(g.n, &f, &e), "this forward exists already");
    CHECK(strstr(info(), "UNIX[HOST_FORWARD] /tmp/test-nat-forward.sock to port 22"));
    CHECK(nat_forward_remove(g.n, &f, &e));
    CHECK(stat(f.host_path, &st) < 0);
    close(one);
    close(two);
    end();
}

static void a_stale_unix_socket_is_replaced_and_a_living_one_is_not(void **state)
{
    struct nat_forward f = {.host_path = "/tmp/test-nat-forward2.sock", .guest_port = 22};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    (void)state;
    begin();
    unlink(f.host_path);
    strcpy(a.sun_path, f.host_path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!bind(fd, (struct sockaddr *)&a, sizeof a) && !listen(fd, 1));
    expect_error(nat_forward_add(g.n, &f, &e), "Address already in use");
    close(fd);
    CHECK(nat_forward_add(g.n, &f, &e));
    CHECK(nat_forward_remove(g.n, &f, &e));
    FILE *file = fopen(f.host_path, "w"); /* a file is never taken for a socket */
    fclose(file);
    expect_error(nat_forward_add(g.n, &f, &e), "Address already in use");
    unlink(f.host_path);
    end();
}

/* --- adding and removing --------------------------------------------------------------------------------------- */

/* TESTING.md: libslirp binds 0.0.0.0 by default. */
static void the_default_is_the_loopback_and_nothing_else(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2222), .sin_addr.s_addr = inet_addr("192.0.2.7")};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    begin();
    CHECK(add(false, "", 2222, "", 22));
    CHECK(connect(fd, (struct sockaddr *)&a, sizeof a) < 0);
    CHECK_EQ(errno, ECONNREFUSED);
    close(fd);
    end();
}

static void port_0_is_any_and_is_shown(void **state)
{
    unsigned port = 0;
    const char *line;
    int fd;

    (void)state;
    begin();
    CHECK(add(false, "", 0, "", 22));
    CHECK(add(false, "", 0, "", 23));
    CHECK(add(true, "", 0, "", 53));
    CHECK_EQ(counts().sockets, 3);
    line = strstr(info(), "  TCP[HOST_FORWARD]"); /* the form of QEMU's `info usernet` */
    CHECK(line && sscanf(line, "  TCP[HOST_FORWARD] %*d 127.0.0.1 %u 10.0.2.15 23 0 0", &port) == 1);
    fd = client_at(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.1", (uint16_t)port);
    far_expect(&g.f, PKT(TCP, .dport = 23, .flags = T_SYN));
    CHECK(strstr(info(), "  UDP[HOST_FORWARD]"));
    close(fd);
    end();
}

static void what_is_wrong_is_said(void **state)
{
    uint16_t port = 0;
    int taken;

    (void)state;
    begin();
    taken = host_listen(AF_INET, &port);
    expect_error(add(false, "", port, "", 22), "127.0.0.1:");
    expect_error(add(false, "", port, "", 22), "Address already in use");
    close(taken);
    expect_error(add(false, "203.0.113.1", 80, "", 22), "tcp 203.0.113.1:80: Cannot assign requested address");
    expect_error(add(false, "2001:db8:9::1", 80, "", 22), "tcp [2001:db8:9::1]:80: ");
    expect_error(add(false, "", 80, "", 0), "the guest's port is 0");
    expect_error(add(false, "", 80, "10.0.3.15", 22), "not one of the network's guests");
    expect_error(add(false, "", 80, "10.0.2.2", 22), "not one of the network's guests");
    CHECK(add(false, "", 8080, "", 22));
    expect_error(add(false, "127.0.0.1", 8080, "", 23), "tcp 127.0.0.1:8080: this forward exists already");
    CHECK(add(true, "", 8080, "", 22));
    expect_error(nat_forward_add(g.n, &(struct nat_forward){.udp = true, .host_path = "/tmp/x", .guest_port = 1}, &e),
                 "/tmp/x: a unix socket carries connections");
    expect_error(nat_forward_add(g.n, &(struct nat_forward){.host_path = "/nonexistent/x", .guest_port = 1}, &e),
                 "/nonexistent/x: No such file");
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = 0;
    expect_error(nat_forward_add(g.n, &(struct nat_forward){.host_path = longer, .guest_port = 1}, &e), "too long");
    CHECK_EQ(counts().sockets, 2);
    CHECK(end_of(false, "", 8080));
    CHECK(end_of(true, "", 8080));
    CHECK_EQ(counts().sockets, 0);
    end();
}

static void there_is_a_largest_number_of_forwards(void **state)
{
    unsigned n = 0;

    (void)state;
    begin();
    while (n < 1000 && add(n & 1, "", 0, "", 22))
        n++;
    CHECK_EQ(n, NAT_FORWARDS_MAX);
    CHECK_EQ(counts().sockets, NAT_FORWARDS_MAX);
    expect_error(add(false, "", 0, "", 22), "too many");
    end();
}

static void a_removed_tcp_forward_can_be_added_again_at_once(void **state)
{
    int fd;

    (void)state;
    begin();
    for (unsigned i = 0; i < 3; i++) {
        CHECK(add(false, "", 2222, "", 22));
        fd = client_at(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.1", 2222);
        far_expect(&g.f, PKT(TCP, .dport = 22, .flags = T_SYN));
        CHECK(end_of(false, "", 2222));
        close(fd);
        far_drain(&g.f);
    }
    end();
}

/* A listening socket that nobody accepts from is ready for ever: it is looked at again in a second. */
static void without_descriptors_connections_wait(void **state)
{
    struct rlimit before, few;
    int fd, spare;

    (void)state;
    begin();
    CHECK(add(false, "", 2222, "", 22));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    spare = dup(0);
    close(spare);
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = (rlim_t)spare;
    setrlimit(RLIMIT_NOFILE, &few);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2222), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(!connect(fd, (struct sockaddr *)&a, sizeof a));
    world_run(&g.w);
    setrlimit(RLIMIT_NOFILE, &before);
    far_expect_none(&g.f);
    world_advance(&g.w, NS_PER_SEC);
    far_expect(&g.f, PKT(TCP, .dport = 22, .flags = T_SYN));
    close(fd);
    end();
}

/* --- guestfwd -------------------------------------------------------------------------------------------------- */

static int guestfwd(const char *target)
{
    static uint16_t port = 1000;
    struct net_addr a = addr("10.0.2.100");

    if (!nat_guestfwd_add(g.n, a, ++port, target, &e))
        fail_msg("%s", e.msg);
    return nat_guestfwd_open(g.n, &a, port);
}

static void guestfwd_leads_to_a_tcp_port(void **state)
{
    char target[64];
    uint16_t port = 0;
    int listener, fd, far;

    (void)state;
    begin();
    listener = host_listen(AF_INET, &port);
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", port);
    fd = guestfwd(target);
    CHECK(fd >= 0);
    far = world_accept(&g.w, listener);
    say(fd, "to");
    hear(far, "to");
    say(far, "fro");
    hear(fd, "fro");
    nat_close(g.n, fd);
    close(far);
    close(listener);
    listener = host_listen(AF_INET6, &port);
    snprintf(target, sizeof target, "tcp:[::1]:%u", port);
    fd = guestfwd(target);
    far = world_accept(&g.w, listener);
    close(far);
    close(listener);
    nat_close(g.n, fd);
    CHECK_EQ(counts().sockets, 0);
    end();
}

static void guestfwd_leads_to_a_unix_socket(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/test-nat-guestfwd.sock"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, far;

    (void)state;
    begin();
    unlink(a.sun_path);
    CHECK(!bind(listener, (struct sockaddr *)&a, sizeof a) && !listen(listener, 1));
    fd = guestfwd("unix:/tmp/test-nat-guestfwd.sock");
    CHECK(fd >= 0);
    far = world_accept(&g.w, listener);
    say(fd, "to");
    hear(far, "to");
    close(far);
    close(listener);
    nat_close(g.n, fd);
    unlink(a.sun_path);
    CHECK_EQ(guestfwd("unix:/tmp/test-nat-guestfwd.sock"), -1);
    CHECK_EQ(errno, ECONNREFUSED);
    end();
}

static void guestfwd_runs_a_program_for_each_connection(void **state)
{
    int one, two;

    (void)state;
    begin();
    one = guestfwd("cmd:read x; echo \"got $x\"; exec cat");
    two = guestfwd("cmd:exec cat");
    CHECK(one >= 0 && two >= 0);
    say(one, "hello\n");
    hear(one, "got hello\n");
    say(one, "more");
    hear(one, "more");
    say(two, "other");
    hear(two, "other");
    nat_close(g.n, one);
    nat_close(g.n, two);
    CHECK_EQ(counts().sockets, 0);
    one = guestfwd("cmd:exit 3"); /* one that ends is a connection that is closed */
    world_wait(&g.w, one, LOOP_IN);
    char byte;
    CHECK_EQ(recv(one, &byte, 1, 0), 0);
    nat_close(g.n, one);
    end();
}

static void a_guests_connection_to_guestfwd_gets_through(void **state)
{
    char target[64];
    uint16_t port = 0;
    int listener, far;

    (void)state;
    begin();
    listener = host_listen(AF_INET, &port);
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", port);
    CHECK(nat_guestfwd_add(g.n, addr("10.0.2.100"), 80, target, &e));
    far_send(&g.f, PKT(TCP, .dst = "10.0.2.100", .sport = 1000, .dport = 80, .seq = 1, .flags = T_SYN, .mss = 1460));
    far = world_accept(&g.w, listener);
    far_expect(&g.f, PKT(TCP, .src = "10.0.2.100", .sport = 80, .dport = 1000, .ack = 2, .flags = T_SYN | T_ACK));
    far_send(&g.f,
             PKT(TCP, .dst = "10.0.2.100", .sport = 1000, .dport = 81, .seq = 1, .flags = T_SYN)); /* not that port */
    far_expect(&g.f, PKT(TCP, .sport = 81, .flags = T_RST | T_ACK));
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.100", .type = 8, ECHO(1, 1)));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.100", .type = 0));
    close(far);
    close(listener);
    end();
}

static void wrong_guestfwds_are_refused(void **state)
{
    static const struct {
        const char *addr, *target, *error;
        uint16_t port;
    } rows[] = {
        {"10.0.3.1", "tcp:127.0.0.1:80", "not in the virtual network", 80},
        {"10.0.2.2", "tcp:127.0.0.1:80", "gateway's or the DNS", 80},
        {"10.0.2.3", "tcp:127.0.0.1:80", "gateway's or the DNS", 80},
        {"10.0.2.9", "tcp:127.0.0.1:80", "port is 0", 0},
        {"10.0.2.9", "tcp:127.0.0.1", "not HOST:PORT", 80},
        {"10.0.2.9", "tcp::80", "not HOST:PORT", 80},
        {"10.0.2.9", "tcp:127.0.0.1:", "not HOST:PORT", 80},
        {"10.0.2.9", "tcp:127.0.0.1:nonsense", "guestfwd 10.0.2.9:80: tcp:", 80},
        {"10.0.2.9", "unix:", "empty or too long", 80},
        {"10.0.2.9", "cmd:", "not tcp:HOST:PORT, unix:PATH or cmd:COMMAND", 80},
        {"10.0.2.9", "chardev:x", "not tcp:HOST:PORT", 80},
    };

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        expect_error(nat_guestfwd_add(g.n, addr(rows[i].addr), rows[i].port, rows[i].target, &e), rows[i].error);
    CHECK(nat_guestfwd_add(g.n, addr("10.0.2.9"), 80, "cmd:true", &e));
    CHECK(strstr(info(), "guestfwd 10.0.2.9:80 to cmd:true"));
    expect_error(nat_guestfwd_add(g.n, addr("10.0.2.9"), 80, "cmd:true", &e), "one already");
    struct net_addr a = addr("10.0.2.9");
    CHECK_EQ(nat_guestfwd_open(g.n, &a, 81), -1);
    CHECK_EQ(errno, ENOENT);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_of_a_udp_forward_speaks_with_the_guest),
        cmocka_unit_test(clients_that_look_alike_are_told_apart),
        cmocka_unit_test(a_client_is_answered_from_the_address_it_used),
        cmocka_unit_test(a_guest_by_ipv6_is_forwarded_to),
        cmocka_unit_test(a_removed_udp_forward_takes_no_new_clients),
        cmocka_unit_test(a_flood_of_clients_does_not_push_out_the_guests_flows),
        cmocka_unit_test(a_connection_to_a_tcp_forward_reaches_the_guest),
        cmocka_unit_test(a_unix_socket_is_a_tcp_forwards_host_side),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_living_one_is_not),
        cmocka_unit_test(the_default_is_the_loopback_and_nothing_else),
        cmocka_unit_test(port_0_is_any_and_is_shown),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(there_is_a_largest_number_of_forwards),
        cmocka_unit_test(a_removed_tcp_forward_can_be_added_again_at_once),
        cmocka_unit_test(without_descriptors_connections_wait),
        cmocka_unit_test(guestfwd_leads_to_a_tcp_port),
        cmocka_unit_test(guestfwd_leads_to_a_unix_socket),
        cmocka_unit_test(guestfwd_runs_a_program_for_each_connection),
        cmocka_unit_test(a_guests_connection_to_guestfwd_gets_through),
        cmocka_unit_test(wrong_guestfwds_are_refused),
    };

    have_ns = net_ns_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
