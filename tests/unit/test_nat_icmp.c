/* Echo through the gateway, and errors that the host gets. In a network namespace of its own: see net_ns.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/net_ns.h"

static struct nat_guest g;
static bool have_ns;
static uint8_t data[60000];

static void begin_with(const struct nat_config *c)
{
    nat_guest_begin(&g, c);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 + (i >> 8));
}

static void begin(void) { begin_with(NULL); }

static struct nat_counts counts(void)
{
    struct nat_counts c;

    nat_counts(g.n, &c);
    return c;
}

static void end(void)
{
    world_advance(&g.w, 121 * NS_PER_SEC);
    CHECK_EQ(counts().icmp, 0);
    CHECK_EQ(counts().sockets, 0);
    CHECK_EQ(counts().memory, 0);
    nat_guest_end(&g);
}

static void need_ns(void)
{
    if (!have_ns)
        skip();
}

static char *log_text;

static void begin_without_sockets(void)
{
    char path[] = "/tmp/test-nat-icmp-XXXXXX";
    int fd = mkstemp(path);
    struct err e;

    net_ns_ping(false);
    begin();
    CHECK(fd >= 0 && log_set_file(g.w.env.log, path, &e));
    log_text = strdup(path);
    close(fd);
}

static void end_without_sockets(void)
{
    unlink(log_text);
    free(log_text);
    net_ns_ping(true);
    end();
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

#define ECHO4(to, id, seq, ...) PKT(ICMP, .dst = to, .type = 8, ECHO(id, seq), __VA_ARGS__)
#define ECHO6(to, id, seq, ...) PKT(ICMP6, .dst = to, .ttl = 64, .type = 128, ECHO(id, seq), __VA_ARGS__)
#define REPLY4(from, id, seq, ...) PKT(ICMP, .src = from, .type = 0, ECHO(id, seq), __VA_ARGS__)
#define REPLY6(from, id, seq, ...) PKT(ICMP6, .src = from, .type = 129, ECHO(id, seq), __VA_ARGS__)

/* --- the gateway itself ---------------------------------------------------------------------------------------- */

static void the_gateway_answers_pings(void **state)
{
    static const char *const addr[] = {"10.0.2.2", "10.0.2.3", "fec0::2", "fec0::3"};

    (void)state;
    begin();
    for (unsigned i = 0; i < 4; i++) {
        if (i < 2) {
            far_send(&g.f, ECHO4(addr[i], 0x1234, i, TEXT("payload")));
            far_expect(&g.f, REPLY4(addr[i], 0x1234, i, .dst = "10.0.2.15", TEXT("payload")));
        } else {
            far_send(&g.f, ECHO6(addr[i], 0x1234, i, TEXT("payload")));
            far_expect(&g.f, REPLY6(addr[i], 0x1234, i, .dst = g.f.ip6, TEXT("payload")));
        }
    }
    far_send(&g.f, PKT(ICMP6, .src = "fe80::15", .dst = "fe80::2", .type = 128, ECHO(1, 1)));
    far_expect(&g.f, REPLY6("fe80::2", 1, 1, .dst = "fe80::15"));
    far_send(&g.f, ECHO4("10.0.2.2", 1, 1, DATA(data, 1400), .ttl = 1));
    far_expect(&g.f, REPLY4("10.0.2.2", 1, 1, DATA(data, 1400)));
    CHECK_EQ(counts().sockets, 0);
    end();
}

static void wrong_icmp_is_dropped(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, ECHO4("10.0.2.2", 1, 1, .sum = SUM_WRONG));
    far_send(&g.f, ECHO6("fec0::2", 1, 1, .sum = SUM_WRONG));
    far_send(&g.f, PKT(IP, .dst = "10.0.2.2", .proto = 1, DATA("\x08\x00\xf7\xff\x00\x00\x00", 7)));
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 58, DATA("", 0)));
    CHECK_EQ(g.n->bad_packets, 4);
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 8, .code = 5, ECHO(1, 1)));
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 13, ECHO(1, 1))); /* timestamp, mask: nobody's business */
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 17, ECHO(1, 1)));
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 0, ECHO(1, 1)));
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 5, .rest = 0x0a00020f, DATA(data, 28)));
    far_send(&g.f, PKT(ICMP, .dst = "192.0.2.1", .type = 3, DATA(data, 28)));
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 129, ECHO(1, 1)));
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::16", .type = 143, .ttl = 1));
    far_expect_none(&g.f);
    end();
}

/* libslirp's icmp_input kept a guest's bytes and sent them on over a raw socket; ours has none, and no reply has bytes that
 * the guest did not send. */
static void replies_hold_no_bytes_of_the_heap(void **state)
{
    (void)state;
    begin();
    for (size_t len = 0; len < 70; len++) {
        const struct got *r;

        far_send(&g.f, ECHO4("10.0.2.2", 1, 1, DATA(data, len), .pad = 20));
        r = far_expect(&g.f, REPLY4("10.0.2.2", 1, 1, .ttl = 64));
        CHECK_EQ(r->len, len);
        CHECK_EQ(r->frame_len, 14 + 20 + 8 + len);
        CHECK(!memcmp(r->data, data, len));
    }
    end();
}

/* CVE-2020-10756: libslirp's reply to an IPv6 echo was as long as the header said, not as the packet was. */
static void icmp6_echo_longer_than_its_packet(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, ECHO6("fec0::2", 1, 1, .ip_len = 1000, TEXT("x")));
    far_send(&g.f, ECHO6("fec0::2", 1, 1, .ip_len = 10, TEXT("x")));
    far_send(&g.f, ECHO4("10.0.2.2", 1, 1, .ip_len = 1000, TEXT("x")));
    far_send(&g.f, ECHO4("10.0.2.2", 1, 1, .ip_len = 30, TEXT("x")));
    far_expect_none(&g.f);
    CHECK_EQ(g.n->bad_packets, 4);
    end();
}

static unsigned lines_of(const char *path)
{
    char line[256];
    unsigned n = 0;
    FILE *f = fopen(path, "r");

    while (f && fgets(line, sizeof line, f))
        n++;
    if (f)
        fclose(f);
    return n;
}

/* No privilege, so none to be misused: the tables of raw sockets of this namespace have their headings only. */
static void icmp_raw_sockets_are_never_used(void **state)
{
    (void)state;
    need_ns();
    begin();
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, TEXT("x")));
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 1, TEXT("x")));
    far_send(&g.f, ECHO6("2001:db8::1", 1, 1, TEXT("x")));
    far_expect(&g.f, REPLY6("2001:db8::1", 1, 1, TEXT("x")));
    CHECK_EQ(lines_of("/proc/thread-self/net/raw"), 1);
    CHECK_EQ(lines_of("/proc/thread-self/net/raw6"), 1);
    CHECK_EQ(lines_of("/proc/thread-self/net/icmp"), 2); /* what it has instead */
    end();
}

static void targets_that_nobody_may_reach(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, ECHO4("10.0.2.77", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 1));
    far_send(&g.f, ECHO4("169.254.169.254", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 13));
    far_send(&g.f, ECHO6("fec0::77", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 1, .code = 3));
    CHECK_EQ(counts().sockets, 0);
    end();
    begin_with(&(struct nat_config){.restrict_ = true});
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 13));
    far_send(&g.f, ECHO4("10.0.2.2", 1, 1, TEXT("x")));
    far_expect(&g.f, REPLY4("10.0.2.2", 1, 1, TEXT("x")));
    CHECK_EQ(counts().sockets, 0);
    end();
}

/* --- through the host's sockets -------------------------------------------------------------------------------- */

static void pings_go_through_with_identifier_sequence_and_data(void **state)
{
    (void)state;
    need_ns();
    begin();
    for (unsigned seq = 0; seq < 5; seq++) {
        far_send(&g.f, ECHO4("192.0.2.7", 0xbeef, seq, DATA(data, 56)));
        far_expect(&g.f, REPLY4("192.0.2.7", 0xbeef, seq, .dst = "10.0.2.15", .ttl = 63, DATA(data, 56)));
        far_send(&g.f, ECHO6("2001:db8::1", 0xbeef, seq, DATA(data, 56)));
        far_expect(&g.f, REPLY6("2001:db8::1", 0xbeef, seq, .dst = g.f.ip6, .ttl = 63, DATA(data, 56)));
    }
    CHECK_EQ(counts().icmp, 2); /* a socket for each identifier, whatever the target */
    far_send(&g.f, ECHO4("192.0.2.8", 0xbeef, 9, DATA(data, 0)));
    far_expect(&g.f, REPLY4("192.0.2.8", 0xbeef, 9, .dst = "10.0.2.15"));
    CHECK_EQ(counts().icmp, 2);
    far_send(&g.f, ECHO4("192.0.2.8", 0xbef0, 9, DATA(data, 0)));
    far_expect(&g.f, REPLY4("192.0.2.8", 0xbef0, 9, .dst = "10.0.2.15"));
    CHECK_EQ(counts().icmp, 3);
    CHECK(strstr(info(), "ICMP[60 sec]"));
    CHECK(!strstr(info(), "synthesised"));
    end();
}

static void large_pings_go_through(void **state)
{
    (void)state;
    need_ns();
    begin_with(&(struct nat_config){.mtu = 65535});
    g.f.port.mtu = 65535;
    g.f.pieces = 4000;
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, DATA(data, 60000)));
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 1, DATA(data, 60000)));
    end();
}

static void two_guests_with_one_identifier_are_told_apart(void **state)
{
    (void)state;
    need_ns();
    begin();
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, TEXT("first")));
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, .src = "10.0.2.16", .eth_src = "52:54:00:00:00:16", TEXT("second")));
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 1, .dst = "10.0.2.15", TEXT("first")));
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 1, .dst = "10.0.2.16", .eth_dst = "52:54:00:00:00:16", TEXT("second")));
    end();
}

static void echo_flows_end_after_a_minute(void **state)
{
    (void)state;
    need_ns();
    begin();
    far_send(&g.f, ECHO4("192.0.2.7", 1, 1, TEXT("x")));
    far_send(&g.f, ECHO4("192.0.2.7", 2, 1, TEXT("x")));
    world_advance(&g.w, 59 * NS_PER_SEC);
    CHECK_EQ(counts().icmp, 2);
    far_send(&g.f, ECHO4("192.0.2.7", 1, 2, TEXT("x")));
    world_advance(&g.w, 1 * NS_PER_SEC);
    CHECK_EQ(counts().icmp, 1);
    world_advance(&g.w, 59 * NS_PER_SEC);
    CHECK_EQ(counts().icmp, 0);
    CHECK_EQ(counts().sockets, 0);
    end();
}

static void echo_flows_have_a_cap(void **state)
{
    (void)state;
    need_ns();
    begin();
    far_send(&g.f, ECHO4("192.0.2.7", 7, 7, .src = "10.0.2.16", .eth_src = "52:54:00:00:00:16", TEXT("x")));
    for (unsigned id = 0; id < 500; id++)
        far_send(&g.f, ECHO4("192.0.2.7", id, 1, TEXT("x")));
    CHECK_EQ(counts().icmp, 64);
    CHECK_EQ(counts().sockets, 64);
    CHECK(strstr(info(), "10.0.2.16")); /* the quiet guest's is still there */
    end();
}

static void no_route_is_told_to_the_guest(void **state)
{
    (void)state;
    need_ns();
    begin();
    far_send(&g.f, ECHO4("203.0.113.1", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 0));
    far_send(&g.f, ECHO6("2001:db8:ffff::1", 1, 1, TEXT("x")));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 1, .code = 0));
    end();
}

/* --- errors of the host ---------------------------------------------------------------------------------------- */

static void set_lo_mtu(int mtu)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_mtu = mtu};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (ioctl(fd, SIOCSIFMTU, &r) < 0)
        fail_msg("mtu of lo: %s", strerror(errno));
    close(fd);
}

/* Path MTU discovery (RFC 1191, RFC 8201): the host's next hop is narrower than the guest's link. */
static void too_big_comes_back_with_the_mtu(void **state)
{
    const struct got *e;

    (void)state;
    need_ns();
    begin_with(&(struct nat_config){.mtu = 9000});
    g.f.port.mtu = 9000;
    set_lo_mtu(1400);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 9, .df = true, DATA(data, 4000)));
    e = far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 4, .rest = 1400));
    CHECK_EQ(ld16be(e->data + 20), 1000); /* its UDP header */
    CHECK_EQ(ld16be(e->data + 22), 9);
    far_send(&g.f, ECHO4("192.0.2.7", 77, 1, .df = true, DATA(data, 4000)));
    e = far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 4, .rest = 1400));
    CHECK_EQ(e->data[20], 8);
    CHECK_EQ(ld16be(e->data + 24), 77);
    far_send(&g.f, PKT(UDP, .dst = "2001:db8::1", .sport = 1000, .dport = 9, DATA(data, 4000)));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 2, .code = 0, .rest = 1400));
    /* without DF it goes in pieces */
    far_send(&g.f, ECHO4("192.0.2.7", 77, 2, DATA(data, 4000)));
    far_expect(&g.f, REPLY4("192.0.2.7", 77, 2, DATA(data, 4000)));
    set_lo_mtu(65536);
    end();
}

static void a_closed_udp_port_comes_back_as_the_far_end_said_it(void **state)
{
    const struct got *e;
    uint8_t quoted[28 + 5];

    (void)state;
    need_ns();
    begin();
    for (unsigned round = 0; round < 3; round++) { /* an error that waits does not eat the next datagram */
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 9, TEXT("hello")));
        e = far_expect(&g.f, PKT(ICMP, .src = "192.0.2.7", .dst = "10.0.2.15", .type = 3, .code = 3));
        CHECK_EQ(e->len, sizeof quoted);
        memcpy(quoted, e->data, sizeof quoted);
        CHECK_EQ(quoted[0], 0x45);
        CHECK_EQ(sum_of(0, quoted, 20), 0);
        CHECK(!memcmp(quoted + 12, "\x0a\x00\x02\x0f\xc0\x00\x02\x07", 8)); /* 10.0.2.15 to 192.0.2.7 */
        CHECK(!memcmp(quoted + 20, "\x03\xe8\x00\x09\x00\x0d", 6));         /* 1000 to 9, 13 bytes */
        CHECK(!memcmp(quoted + 28, "hello", 5));
        far_send(&g.f, PKT(UDP, .dst = "2001:db8::2", .sport = 1000, .dport = 9, TEXT("hello")));
        e = far_expect(&g.f, PKT(ICMP6, .src = "2001:db8::2", .dst = g.f.ip6, .type = 1, .code = 4));
        CHECK(!memcmp(e->data + 40, "\x03\xe8\x00\x09\x00\x0d", 6));
        CHECK(!memcmp(e->data + 48, "hello", 5));
    }
    far_expect_none(&g.f);
    end();
}

static void errors_of_the_host_are_rate_limited_too(void **state)
{
    unsigned n = 0;

    (void)state;
    need_ns();
    begin();
    for (unsigned i = 0; i < 300; i++) {
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 9));
        while (far_next(&g.f))
            n++;
    }
    CHECK(n > 0 && n <= 100);
    end();
}

/* --- routers on the way ---------------------------------------------------------------------------------------- */

/* The next packet of this version of IP and this protocol that this machine sends over the tun; its length. */
static size_t from_tun(int tun, unsigned version, uint8_t proto, uint8_t *b, size_t size)
{
    for (;;) {
        ssize_t n;

        world_wait(&g.w, tun, LOOP_IN);
        n = read(tun, b, size);
        if (n < 28)
            fail_msg("read: %s", strerror(errno));
        if (b[0] >> 4 == version && (version == 4 ? b[9] : b[6]) == proto && !(proto == 58 && b[40] >= 130))
            return (size_t)n;
    }
}

/* A router complains of the IPv4 packet b. */
static void complain4(int tun, const uint8_t *b, size_t len, uint8_t type, uint8_t code, uint32_t rest)
{
    uint8_t e[20 + 8 + 576] = {
        0x45, [8] = 64, [9] = 1, [12] = 198, [13] = 51, [14] = 100, [15] = 254, [16] = 198, 51, 100, 1};

    len = len < 28 ? len : 28; /* the least that a router quotes */
    st16be(e + 2, (uint16_t)(28 + len));
    st16be(e + 10, sum_of(0, e, 20));
    e[20] = type;
    e[21] = code;
    st32be(e + 24, rest);
    memcpy(e + 28, b, len);
    st16be(e + 22, sum_of(0, e + 20, 8 + len));
    CHECK_EQ(write(tun, e, 28 + len), 28 + len);
}

static void complain6(int tun, const uint8_t *b, size_t len, uint8_t type, uint8_t code, uint32_t rest)
{
    uint8_t e[40 + 8 + 1232] = {0x60, [6] = 58, [7] = 64};

    st16be(e + 4, (uint16_t)(8 + len));
    addr_parse("2001:db8:1::254", e + 8);
    memcpy(e + 24, b + 8, 16);
    e[40] = type;
    e[41] = code;
    st32be(e + 44, rest);
    memcpy(e + 48, b, len);
    st16be(e + 42, sum_of(sum_pseudo(false, e + 8, e + 24, 58, (uint32_t)(8 + len)), e + 40, 8 + len));
    CHECK_EQ(write(tun, e, 48 + len), 48 + len);
}

/* traceroute, with UDP (4) and with echo (-I): the second hop is the one behind this host. */
static void time_exceeded_on_the_way_comes_back_from_the_router(void **state)
{
    uint8_t b[2048];
    const struct got *e;
    int tun = have_ns ? net_ns_tun() : -1;
    size_t n;

    (void)state;
    if (tun < 0)
        skip();
    begin();
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 33435, .ttl = 2, TEXT("probe")));
    n = from_tun(tun, 4, 17, b, sizeof b);
    CHECK_EQ(b[8], 1); /* one hop less */
    complain4(tun, b, n, 11, 0, 0);
    e = far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .dst = "10.0.2.15", .type = 11, .code = 0));
    CHECK(!memcmp(e->data + 12, "\x0a\x00\x02\x0f\xcb\x00\x71\x09", 8)); /* 10.0.2.15 to 203.0.113.9 */
    CHECK(!memcmp(e->data + 20, "\x03\xe8\x82\x9b", 4));
    far_send(&g.f, ECHO4("203.0.113.9", 0xbeef, 3, .ttl = 2, TEXT("probe")));
    n = from_tun(tun, 4, 1, b, sizeof b);
    CHECK_EQ(b[8], 1);
    complain4(tun, b, n, 11, 0, 0);
    e = far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .type = 11, .code = 0));
    CHECK_EQ(e->data[20], 8);
    CHECK(!memcmp(e->data + 24, "\xbe\xef\x00\x03", 4)); /* its identifier, not the socket's */
    far_send(&g.f, PKT(UDP, .dst = "2001:db8:2::9", .sport = 1000, .dport = 33435, .ttl = 2, TEXT("probe")));
    n = from_tun(tun, 6, 17, b, sizeof b);
    CHECK_EQ(b[7], 1);
    complain6(tun, b, n, 3, 0, 0);
    e = far_expect(&g.f, PKT(ICMP6, .src = "2001:db8:1::254", .dst = g.f.ip6, .type = 3, .code = 0));
    CHECK(!memcmp(e->data + 40, "\x03\xe8\x82\x9b", 4));
    far_send(&g.f, ECHO6("2001:db8:2::9", 0xbeef, 3, TEXT("probe")));
    n = from_tun(tun, 6, 58, b, sizeof b);
    CHECK_EQ(b[7], 63);
    complain6(tun, b, n, 1, 0, 0); /* no route */
    e = far_expect(&g.f, PKT(ICMP6, .src = "2001:db8:1::254", .type = 1, .code = 0));
    CHECK_EQ(e->data[40], 128);
    CHECK(!memcmp(e->data + 44, "\xbe\xef\x00\x03", 4));
    close(tun);
    end();
}

static void a_narrow_link_on_the_way_is_told_of(void **state)
{
    uint8_t b[2048];
    int tun = have_ns ? net_ns_tun() : -1;
    size_t n;

    (void)state;
    if (tun < 0)
        skip();
    begin();
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 443, .df = true, DATA(data, 1400)));
    n = from_tun(tun, 4, 17, b, sizeof b);
    CHECK(b[6] & 0x40); /* as the guest wanted it */
    complain4(tun, b, n, 3, 4, 1300);
    far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .type = 3, .code = 4, .rest = 1300));
    /* from now on this host knows */
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 443, .df = true, DATA(data, 1400)));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 4, .rest = 1300));
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 443, .df = true, DATA(data, 1200)));
    from_tun(tun, 4, 17, b, sizeof b);
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 443, DATA(data, 1400)));
    from_tun(tun, 4, 17, b, sizeof b);
    CHECK(!(b[6] & 0x40)); /* may be cut up */
    far_send(&g.f, PKT(UDP, .dst = "2001:db8:2::9", .sport = 1000, .dport = 443, DATA(data, 1400)));
    n = from_tun(tun, 6, 17, b, sizeof b);
    complain6(tun, b, n < 1000 ? n : 1000, 2, 0, 1300);
    far_expect(&g.f, PKT(ICMP6, .src = "2001:db8:1::254", .type = 2, .rest = 1300));
    close(tun);
    end();
}

/* What strangers write into errors stays there: this host hands on only those about packets that it sent. */
static void errors_about_packets_of_nobody_are_not_handed_on(void **state)
{
    uint8_t b[2048];
    int tun = have_ns ? net_ns_tun() : -1;
    size_t n;

    (void)state;
    if (tun < 0)
        skip();
    begin();
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.9", .sport = 1000, .dport = 443, TEXT("probe")));
    n = from_tun(tun, 4, 17, b, sizeof b);
    b[21] ^= 0xff; /* another source port */
    complain4(tun, b, n, 3, 3, 0);
    far_expect_none(&g.f);
    b[21] ^= 0xff;
    complain4(tun, b, n, 5, 1, 0x01020304); /* a redirect */
    complain4(tun, b, n, 4, 0, 0);          /* source quench (RFC 6633) */
    far_expect_none(&g.f);
    complain4(tun, b, n, 3, 10, 0);
    far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .type = 3, .code = 10));
    close(tun);
    end();
}

/* The same, where echo is by probes. */
static void a_probe_meets_what_the_echo_would_have_met(void **state)
{
    uint8_t b[2048];
    const struct got *e;
    int tun = have_ns ? net_ns_tun() : -1;
    size_t n;

    (void)state;
    if (tun < 0)
        skip();
    begin_without_sockets();
    far_send(&g.f, ECHO4("203.0.113.9", 0xbeef, 3, .ttl = 2, TEXT("probe")));
    n = from_tun(tun, 4, 17, b, sizeof b);
    CHECK_EQ(b[8], 1);
    complain4(tun, b, n, 11, 0, 0);
    e = far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .type = 11, .code = 0));
    CHECK_EQ(e->data[9], 1); /* about the echo */
    CHECK_EQ(e->data[20], 8);
    CHECK(!memcmp(e->data + 24, "\xbe\xef\x00\x03", 4));
    far_send(&g.f, ECHO4("203.0.113.9", 0xbeef, 4, TEXT("probe")));
    n = from_tun(tun, 4, 17, b, sizeof b);
    far_expect_none(&g.f);         /* no answer yet, so no reply */
    complain4(tun, b, n, 3, 3, 0); /* a router's word is not the far end's */
    far_expect(&g.f, PKT(ICMP, .src = "198.51.100.254", .type = 3, .code = 3));
    close(tun);
    end_without_sockets();
}

/* --- where the host refuses ICMP sockets ----------------------------------------------------------------------- */

static bool logged(const char *text)
{
    char buf[4096];
    FILE *f = fopen(log_text, "r");
    size_t n = f ? fread(buf, 1, sizeof buf - 1, f) : 0;

    if (f)
        fclose(f);
    buf[n] = 0;
    return strstr(buf, text) != NULL;
}

/* The far end's closed UDP port, or its closed TCP port, says that it is there. */
static void without_icmp_sockets_a_probe_answers_and_says_so(void **state)
{
    (void)state;
    need_ns();
    begin_without_sockets();
    far_send(&g.f, ECHO4("192.0.2.7", 0xbeef, 1, DATA(data, 56)));
    far_expect(&g.f, REPLY4("192.0.2.7", 0xbeef, 1, .dst = "10.0.2.15", DATA(data, 56)));
    far_send(&g.f, ECHO4("192.0.2.7", 0xbeef, 2, DATA(data, 56)));
    far_expect(&g.f, REPLY4("192.0.2.7", 0xbeef, 2, DATA(data, 56)));
    far_send(&g.f, ECHO6("2001:db8::1", 0xbeef, 1, DATA(data, 56)));
    far_expect(&g.f, REPLY6("2001:db8::1", 0xbeef, 1, DATA(data, 56)));
    far_expect_none(&g.f); /* one reply for a request, though two probes may be answered */
    CHECK(logged("host refuses ICMPv4 sockets"));
    CHECK(logged("synthesised"));
    CHECK(strstr(info(), "host refuses ICMPv4 sockets: replies synthesised from UDP and TCP probes"));
    CHECK_EQ(counts().sockets, 0);
    CHECK_EQ(counts().icmp, 0);
    end_without_sockets();
}

/* A socket of the host's side in this namespace. */
static int bound(int type, const char *addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(addr)};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        fail_msg("bind: %s", strerror(errno));
    return fd;
}

static int connecting(const char *addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(addr)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    connect(fd, (struct sockaddr *)&a, sizeof a);
    return fd;
}

/* The far end swallows the datagram, and its TCP port does not answer: its queue of connections is full. */
static void a_probe_without_an_answer_is_no_reply(void **state)
{
    int udp, tcp, fill[3];

    (void)state;
    need_ns();
    begin_without_sockets();
    far_send(&g.f, ECHO4("203.0.113.1", 1, 1, TEXT("x"))); /* no route */
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 0));
    udp = bound(SOCK_DGRAM, "192.0.2.7", 33434 + 5);
    tcp = bound(SOCK_STREAM, "192.0.2.7", 443);
    CHECK(listen(tcp, 0) == 0);
    for (unsigned i = 0; i < 3; i++)
        fill[i] = connecting("192.0.2.7", 443);
    far_send(&g.f, ECHO4("192.0.2.7", 1, 5, TEXT("x")));
    far_expect_none(&g.f);
    CHECK_EQ(counts().sockets, 2);
    world_advance(&g.w, 5 * NS_PER_SEC);
    far_expect_none(&g.f);
    close(udp);
    close(tcp);
    for (unsigned i = 0; i < 3; i++)
        close(fill[i]);
    CHECK_EQ(counts().sockets, 0);
    end_without_sockets();
}

/* A far end that drops connections, but says that its UDP port is closed, or answers there. */
static void udp_alone_is_enough_for_a_probe(void **state)
{
    int tcp, udp, fill[3];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char byte;

    (void)state;
    need_ns();
    begin_without_sockets();
    tcp = bound(SOCK_STREAM, "192.0.2.7", 443);
    CHECK(listen(tcp, 0) == 0);
    for (unsigned i = 0; i < 3; i++)
        fill[i] = connecting("192.0.2.7", 443);
    far_send(&g.f, ECHO4("192.0.2.7", 1, 5, TEXT("x")));
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 5, TEXT("x")));
    udp = bound(SOCK_DGRAM, "192.0.2.7", 33434 + 6);
    far_send(&g.f, ECHO4("192.0.2.7", 1, 6, TEXT("y")));
    far_expect_none(&g.f);
    CHECK_EQ(recvfrom(udp, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
    CHECK_EQ(sendto(udp, "", 0, 0, (struct sockaddr *)&from, len), 0);
    far_expect(&g.f, REPLY4("192.0.2.7", 1, 6, TEXT("y")));
    CHECK_EQ(counts().sockets, 0);
    close(udp);
    close(tcp);
    for (unsigned i = 0; i < 3; i++)
        close(fill[i]);
    end_without_sockets();
}

static void probes_have_a_cap_and_an_end(void **state)
{
    (void)state;
    need_ns();
    begin_without_sockets();
    for (unsigned i = 0; i < 200; i++)
        far_send(&g.f, ECHO4("192.0.2.7", 1, i, DATA(data, 1000)));
    CHECK(counts().sockets <= 128);
    world_advance(&g.w, 6 * NS_PER_SEC);
    CHECK_EQ(counts().sockets, 0);
    CHECK_EQ(counts().memory, 0);
    far_drain(&g.f);
    end_without_sockets();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gateway_answers_pings),
        cmocka_unit_test(wrong_icmp_is_dropped),
        cmocka_unit_test(replies_hold_no_bytes_of_the_heap),
        cmocka_unit_test(icmp6_echo_longer_than_its_packet),
        cmocka_unit_test(icmp_raw_sockets_are_never_used),
        cmocka_unit_test(targets_that_nobody_may_reach),
        cmocka_unit_test(pings_go_through_with_identifier_sequence_and_data),
        cmocka_unit_test(large_pings_go_through),
        cmocka_unit_test(two_guests_with_one_identifier_are_told_apart),
        cmocka_unit_test(echo_flows_end_after_a_minute),
        cmocka_unit_test(echo_flows_have_a_cap),
        cmocka_unit_test(no_route_is_told_to_the_guest),
        cmocka_unit_test(too_big_comes_back_with_the_mtu),
        cmocka_unit_test(a_closed_udp_port_comes_back_as_the_far_end_said_it),
        cmocka_unit_test(errors_of_the_host_are_rate_limited_too),
        cmocka_unit_test(time_exceeded_on_the_way_comes_back_from_the_router),
        cmocka_unit_test(a_narrow_link_on_the_way_is_told_of),
        cmocka_unit_test(errors_about_packets_of_nobody_are_not_handed_on),
        cmocka_unit_test(a_probe_meets_what_the_echo_would_have_met),
        cmocka_unit_test(without_icmp_sockets_a_probe_answers_and_says_so),
        cmocka_unit_test(a_probe_without_an_answer_is_no_reply),
        cmocka_unit_test(udp_alone_is_enough_for_a_probe),
        cmocka_unit_test(probes_have_a_cap_and_an_end),
    };

    have_ns = net_ns_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
