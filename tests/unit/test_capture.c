/*
 * Captures: read back by libpcap, and what libpcap does not show (names, directions, comments) by walking the blocks of
 * draft-ietf-opsawg-pcapng here.
 */
#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

#define WALL UINT64_C(1700000000123456789)

static struct clock *ck;
static struct loop *loop;
static struct test_port a, b;
static struct net_cable *cable;
static char dir[] = "/tmp/test_capture.XXXXXX", path[64];

static void begin(bool with_loop)
{
    struct net_env env;
    struct err e;

    ck = clock_new_fake();
    clock_set_wall(ck, WALL);
    loop = with_loop ? loop_new(ck, &e) : NULL;
    env = (struct net_env){.clock = ck, .loop = loop};
    tp_init(&a, "net0", 0);
    tp_init(&b, "nat", 0);
    cable = net_cable_new(&env, "cable", &a.port, &b.port, &e);
    CHECK(cable);
    CHECK(mkdtemp(strcpy(dir, "/tmp/test_capture.XXXXXX")));
    snprintf(path, sizeof path, "%s/file", dir);
}

static void end(void)
{
    net_cable_free(cable);
    loop_free(loop);
    tp_clear(&a);
    tp_clear(&b);
    clock_free(ck);
    unlink(path);
    CHECK(rmdir(dir) == 0);
}

static void capture(struct net_capture_options o)
{
    struct err e;

    o.path = path;
    if (!net_cable_capture(cable, &o, &e))
        fail_msg("%s", e.msg);
}

static uint8_t frame[1514] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5};

static void emit(struct test_port *t, uint8_t n, size_t len)
{
    frame[14] = n;
    CHECK(tp_send(t, frame, len));
}

/* --- reading back ------------------------------------------------------------------------------------------------- */

struct seen {
    unsigned count;
    struct pcap_pkthdr h[64]; /* of the first */
    uint8_t first[64][64];    /* bytes of each */
};

static struct seen seen;

/* By libpcap, times in nanoseconds. */
static void read_back(const char *file)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *p = pcap_open_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
    struct pcap_pkthdr *h;
    const u_char *data;
    int r;

    if (!p)
        fail_msg("%s", error);
    CHECK_EQ(pcap_datalink(p), DLT_EN10MB);
    seen.count = 0;
    while ((r = pcap_next_ex(p, &h, &data)) == 1) {
        if (seen.count < 64) {
            seen.h[seen.count] = *h;
            memset(seen.first[seen.count], 0, 64);
            memcpy(seen.first[seen.count], data, h->caplen < 64 ? h->caplen : 64);
        }
        seen.count++;
    }
    if (r != PCAP_ERROR_BREAK) /* end of file, and no half record */
        fail_msg("%s", pcap_geterr(p));
    pcap_close(p);
}

static uint64_t time_of(unsigned i) { return (uint64_t)seen.h[i].ts.tv_sec * NS_PER_SEC + (uint64_t)seen.h[i].ts.tv_usec; }

static uint8_t *slurp(const char *file, size_t *len)
{
    FILE *f = fopen(file, "rb");
    uint8_t *data = malloc(4 << 20);

    CHECK(f && data);
    *len = fread(data, 1, 4 << 20, f);
    fclose(f);
    return data;
}

/* The option `code` of the block at p whose options begin at off; NULL: it has none. */
static const uint8_t *option(const uint8_t *p, size_t off, uint16_t code, uint16_t *len)
{
    size_t end = ld32(p + 4) - 4;

    while (off + 4 <= end && ld16(p + off)) {
        *len = ld16(p + off + 2);
        if (ld16(p + off) == code)
            return p + off + 4;
        off += 4 + (*len + 3u) / 4 * 4;
    }
    return NULL;
}

/* Block n of a type, NULL when it is not there or not whole; each block's two lengths agree. */
static const uint8_t *block(const uint8_t *data, size_t len, uint32_t type, unsigned n)
{
    for (size_t at = 0; at + 12 <= len; at += ld32(data + at + 4)) {
        uint32_t size = ld32(data + at + 4);

        CHECK(size >= 12 && size % 4 == 0);
        if (at + size > len)
            break;
        CHECK_EQ(ld32(data + at + size - 4), size);
        if (ld32(data + at) == type && !n--)
            return data + at;
    }
    return NULL;
}

static size_t packet_options(const uint8_t *epb) { return 28 + (ld32(epb + 20) + 3) / 4 * 4; }

static uint32_t packet_flags(const uint8_t *epb)
{
    uint16_t len;
    const uint8_t *o = option(epb, packet_options(epb), 2, &len);

    CHECK(o && len == 4);
    return ld32(o);
}

static void check_text(const uint8_t *o, const uint16_t *len, const char *want)
{
    CHECK(o);
    CHECK_EQ(*len, strlen(want));
    CHECK(!memcmp(o, want, *len));
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void both_directions_with_the_guests_time(void **state)
{
    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    emit(&a, 1, 60);
    clock_advance(ck, 1234567891);
    emit(&b, 2, 61);
    net_cable_capture_stop(cable, NULL);
    emit(&a, 3, 60);
    read_back(path);
    CHECK_EQ(seen.count, 2);
    CHECK_EQ(time_of(0), WALL);
    CHECK_EQ(time_of(1), WALL + 1234567891);
    CHECK_EQ(seen.h[1].len, 61);
    CHECK_EQ(seen.h[1].caplen, 61);
    CHECK_EQ(seen.first[0][14], 1);
    CHECK_EQ(seen.first[1][14], 2);
    end();
}

static void interfaces_names_and_directions(void **state)
{
    size_t len;
    uint16_t n;
    uint8_t *data;
    const uint8_t *p;
    static struct made_frame m;

    (void)state;
    begin(false);
    b.port.can = NET_CAN_ALL;
    capture((struct net_capture_options){.only_from = -1});
    emit(&a, 1, 60);
    emit(&b, 2, 61);
    make_frame(&m, NET_GSO_TCP4, 3000, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&a.port, &m.f));
    net_cable_capture_stop(cable, NULL);
    data = slurp(path, &len);
    CHECK_EQ(ld32(data), 0x0a0d0d0a);
    CHECK_EQ(ld32(data + 8), 0x1a2b3c4d);
    p = block(data, len, 1, 0);
    check_text(option(p, 16, 2, &n), &n, "net0");
    CHECK_EQ(*option(p, 16, 9, &n), 9);
    p = block(data, len, 1, 1);
    check_text(option(p, 16, 2, &n), &n, "nat");
    CHECK(!block(data, len, 1, 2));
    p = block(data, len, 6, 0);
    CHECK_EQ(ld32(p + 8), 0);
    CHECK_EQ(packet_flags(p), 2); /* outbound */
    p = block(data, len, 6, 1);
    CHECK_EQ(ld32(p + 8), 1);
    CHECK_EQ(packet_flags(p), 1); /* inbound */
    p = block(data, len, 6, 2);   /* one packet, and why it is so long */
    CHECK_EQ(ld32(p + 24), 3054);
    CHECK_EQ(packet_flags(p), 2 | 1 << 9 | 1 << 11);
    CHECK(!block(data, len, 6, 3));
    free(data);
    end();
}

static void what_was_lost_says_why(void **state)
{
    size_t len;
    uint16_t n;
    uint8_t *data;
    const uint8_t *p;
    static struct made_frame m;

    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    net_cable_set_impair(cable, &(struct net_impair){.drop = 1000000});
    emit(&a, 1, 60);
    net_cable_set_impair(cable, &(struct net_impair){0});
    emit(&a, 2, 60);
    b.port.mtu = 1000;
    emit(&a, 3, 1015);
    make_frame(&m, NET_GSO_TCP4, 3000, true);
    m.f.gso = NET_GSO_TCP4;
    CHECK(net_port_send(&a.port, &m.f));
    net_cable_set_link(cable, false);
    emit(&a, 4, 60); /* never was on the cable */
    net_cable_capture_stop(cable, NULL);
    CHECK_EQ(b.count, 1);
    data = slurp(path, &len);
    p = block(data, len, 6, 0);
    check_text(option(p, packet_options(p), 1, &n), &n, "dropped by impairment");
    p = block(data, len, 6, 1);
    CHECK(!option(p, packet_options(p), 1, &n));
    p = block(data, len, 6, 2);
    check_text(option(p, packet_options(p), 1, &n), &n, "lost: longer than the receiver's MTU");
    p = block(data, len, 6, 3);
    CHECK(option(p, packet_options(p), 1, &n));
    CHECK(!block(data, len, 6, 4));
    free(data);
    end();
}

static void a_refused_frame_is_recorded_once(void **state)
{
    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    emit(&a, 1, 60);
    b.room = 0;
    for (unsigned i = 0; i < 5; i++)
        CHECK(!tp_send(&a, frame, 60));
    b.room = -1;
    emit(&a, 2, 60);
    net_cable_capture_stop(cable, NULL);
    read_back(path);
    CHECK_EQ(seen.count, 2);
    CHECK_EQ(seen.first[1][14], 2);
    end();
}

static void answer(struct test_port *t, const struct net_frame *f)
{
    (void)f;
    emit(t, 2, 60);
}

static void a_question_comes_before_its_answer(void **state)
{
    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    b.on_frame = answer;
    emit(&a, 1, 60);
    net_cable_capture_stop(cable, NULL);
    read_back(path);
    CHECK_EQ(seen.count, 2);
    CHECK_EQ(seen.first[0][14], 1);
    CHECK_EQ(seen.first[1][14], 2);
    end();
}

static void classic_in_one_direction_with_a_snaplen(void **state)
{
    size_t len;
    uint8_t *data;

    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = 1, .classic = true, .snaplen = 96});
    emit(&a, 1, 60);
    emit(&b, 2, 1514);
    clock_advance(ck, 5000);
    emit(&b, 3, 70);
    net_cable_capture_stop(cable, NULL);
    data = slurp(path, &len);
    CHECK_EQ(ld32(data), 0xa1b2c3d4);
    CHECK_EQ(ld32(data + 16), 96);
    CHECK_EQ(len, 24 + 16 + 96 + 16 + 70);
    free(data);
    read_back(path);
    CHECK_EQ(seen.count, 2);
    CHECK_EQ(seen.h[0].len, 1514);
    CHECK_EQ(seen.h[0].caplen, 96);
    CHECK_EQ(time_of(0), WALL / 1000 * 1000);
    CHECK_EQ(time_of(1), WALL / 1000 * 1000 + 5000);
    end();
}

static void a_filter_chooses(void **state)
{
    static struct made_frame m;

    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1, .filter = "udp port 80 and ip6", .snaplen = 60});
    for (unsigned k = NET_GSO_TCP4; k <= NET_GSO_UDP6; k++) {
        struct iovec iov[3];

        make_frame(&m, k, 100, false);
        iov[0] = (struct iovec){m.data, 20}; /* in pieces, as from a guest */
        iov[1] = (struct iovec){m.data + 20, 37};
        iov[2] = (struct iovec){m.data + 57, m.f.len - 57};
        m.f.iov = iov;
        m.f.iovcnt = 3;
        CHECK(net_port_send(&a.port, &m.f));
    }
    net_cable_capture_stop(cable, NULL);
    read_back(path);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(seen.first[0][20], 17);
    CHECK_EQ(seen.h[0].caplen, 60);
    end();
}

static void mistakes_are_told(void **state)
{
    struct err e;

    (void)state;
    begin(false);
    CHECK(!net_cable_capture(cable, &(struct net_capture_options){.path = path, .filter = "prot 80"}, &e));
    CHECK(strstr(e.msg, path) && strstr(e.msg, "filter 'prot 80': "));
    CHECK(!net_cable_capture(cable, &(struct net_capture_options){.path = dir}, &e));
    CHECK(strstr(e.msg, dir) && strstr(e.msg, "directory"));
    CHECK_EQ(net_cable_capture_stop(cable, NULL), 0);
    end();
}

static void several_captures_end_by_their_paths(void **state)
{
    char second[80], *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    struct err e;

    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    snprintf(second, sizeof second, "%s/second", dir);
    CHECK(net_cable_capture(cable, &(struct net_capture_options){.path = second, .only_from = 0}, &e));
    emit(&a, 1, 60);
    emit(&b, 1, 60);
    net_cable_info(cable, f);
    fclose(f);
    CHECK(strstr(text, "/file: 2 frames, 120 bytes\n"));
    CHECK(strstr(text, "/second: 1 frames, 60 bytes\n"));
    free(text);
    CHECK_EQ(net_cable_capture_stop(cable, "/nothing"), 0);
    CHECK_EQ(net_cable_capture_stop(cable, second), 1);
    emit(&a, 2, 60);
    CHECK_EQ(net_cable_capture_stop(cable, NULL), 1);
    read_back(path);
    CHECK_EQ(seen.count, 3);
    read_back(second);
    CHECK_EQ(seen.count, 1);
    unlink(second);
    end();
}

/* More than the buffer holds. */
static void nothing_is_left_out_of_a_file(void **state)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    begin(false);
    capture((struct net_capture_options){.only_from = -1});
    for (unsigned i = 0; i < 5000; i++)
        emit(&a, (uint8_t)i, 1514);
    net_cable_info(cable, f);
    fclose(f);
    CHECK(!strstr(text, "left out"));
    free(text);
    net_cable_capture_stop(cable, NULL);
    read_back(path);
    CHECK_EQ(seen.count, 5000);
    end();
}

/* --- with the loop: time passes by itself -------------------------------------------------------------------------- */

static bool (*done)(void);

static void look(void *arg)
{
    (void)arg;
    if (done()) {
        loop_stop(loop);
    } else {
        poll(NULL, 0, 1);
        loop_post(loop, look, NULL);
    }
}

static void run_until(bool (*fn)(void))
{
    done = fn;
    loop_post(loop, look, NULL);
    loop_run(loop);
}

static bool file_has_a_packet(void)
{
    size_t len;
    uint8_t *data = slurp(path, &len);
    bool has = len && block(data, len, 6, 0);

    free(data);
    return has;
}

static void a_file_is_written_within_a_tick_and_while_the_machine_stands(void **state)
{
    (void)state;
    begin(true);
    capture((struct net_capture_options){.only_from = -1});
    emit(&a, 1, 60);
    CHECK(!file_has_a_packet());
    clock_stop(ck);
    run_until(file_has_a_packet);
    end();
}

static int fifo;
static uint8_t fifo_data[4 << 20];
static size_t fifo_len;

static void fifo_read(void)
{
    ssize_t n = read(fifo, fifo_data + fifo_len, sizeof fifo_data - fifo_len);

    if (n > 0)
        fifo_len += (size_t)n;
}

static bool fifo_has_a_head(void)
{
    fifo_read();
    return block(fifo_data, fifo_len, 1, 1) != NULL; /* the second interface ends it */
}

static bool fifo_has_a_packet(void)
{
    fifo_read();
    return block(fifo_data, fifo_len, 6, 0) != NULL;
}

static void fifo_reader(void)
{
    fifo = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(fifo >= 0);
    fifo_len = 0;
    run_until(fifo_has_a_head);
}

static bool no_reader(void)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    bool none;

    net_cable_info(cable, f);
    fclose(f);
    none = strstr(text, ", no reader\n");
    free(text);
    return none;
}

/* The reader comes late, goes, and another comes: each sees a file of its own. */
static void a_fifo_whose_readers_come_and_go(void **state)
{
    (void)state;
    begin(true);
    CHECK(!mkfifo(path, 0600));
    capture((struct net_capture_options){.only_from = -1});
    emit(&a, 1, 60); /* nobody sees it */
    for (uint8_t n = 2; n < 4; n++) {
        const uint8_t *p;

        fifo_reader();
        emit(&a, n, 60);
        run_until(fifo_has_a_packet);
        p = block(fifo_data, fifo_len, 6, 0);
        CHECK_EQ(p[28 + 14], n);
        CHECK(!block(fifo_data, fifo_len, 6, 1));
        close(fifo);
        run_until(no_reader);
    }
    end();
}

static bool nothing_more(void)
{
    static unsigned quiet;
    size_t before = fifo_len;

    fifo_read();
    quiet = fifo_len == before ? quiet + 1 : 0;
    return quiet > 20 && fifo_len > (1 << 20);
}

/* A reader that does not read: the guest goes on, and what is read later is whole records. */
static void a_slow_reader_holds_up_nobody(void **state)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    unsigned recorded = 0;

    (void)state;
    begin(true);
    CHECK(!mkfifo(path, 0600));
    capture((struct net_capture_options){.only_from = -1});
    fifo_reader();
    for (unsigned i = 0; i < 2000; i++)
        emit(&a, (uint8_t)i, 1514);
    CHECK_EQ(b.count, 2000);
    run_until(nothing_more);
    while (block(fifo_data, fifo_len, 6, recorded))
        recorded++;
    net_cable_info(cable, f);
    fclose(f);
    CHECK(recorded > 600 && recorded < 2000);
    snprintf((char *)fifo_data, 100, "%u frames, %u bytes, %u left out", recorded, recorded * 1514, 2000 - recorded);
    CHECK(strstr(text, (char *)fifo_data));
    free(text);
    close(fifo);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_with_the_guests_time),
        cmocka_unit_test(interfaces_names_and_directions),
        cmocka_unit_test(what_was_lost_says_why),
        cmocka_unit_test(a_refused_frame_is_recorded_once),
        cmocka_unit_test(a_question_comes_before_its_answer),
        cmocka_unit_test(classic_in_one_direction_with_a_snaplen),
        cmocka_unit_test(a_filter_chooses),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(several_captures_end_by_their_paths),
        cmocka_unit_test(nothing_is_left_out_of_a_file),
        cmocka_unit_test(a_file_is_written_within_a_tick_and_while_the_machine_stands),
        cmocka_unit_test(a_fifo_whose_readers_come_and_go),
        cmocka_unit_test(a_slow_reader_holds_up_nobody),
    };

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
