/* The gateway's TFTP server, as boot loaders meet it: RFC 1350, 2347, 2348, 2349, 7440. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/nat_guest.h"

enum { RRQ = 1, WRQ, TDATA, TACK, TERROR, OACK };

static struct nat_guest g;
static char dir[64], outside[80];
static uint16_t tid; /* the server's, of the last packet */

static void put_file(const char *name, const void *data, size_t n)
{
    char path[256];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    close(fd);
}

static void put_link(const char *name, const char *to)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(!symlink(to, path));
}

static void begin(const struct nat_config *c)
{
    struct nat_config config = c ? *c : (struct nat_config){0};
    char sub[128];

    strcpy(dir, "/tmp/test-tftp-XXXXXX");
    CHECK(mkdtemp(dir));
    snprintf(outside, sizeof outside, "%s-outside", dir);
    snprintf(sub, sizeof sub, "%s/sub", dir);
    CHECK(!mkdir(sub, 0755));
    config.tftp = dir;
    nat_guest_begin(&g, &config);
}

static void end(void)
{
    char command[256];

    nat_guest_end(&g);
    snprintf(command, sizeof command, "rm -rf %s %s", dir, outside);
    CHECK(!system(command));
}

static void say(uint16_t dport, const void *data, size_t n)
{
    far_send(&g.f, PKT(UDP, .sport = 2000, .dst = "10.0.2.2", .dport = dport, DATA(data, n)));
}

#define REQUEST(text) say(69, "\x00\x01" text, sizeof(text) + 2) /* with its last zero */

static void ack(unsigned block)
{
    uint8_t b[4] = {0, TACK};

    st16be(b + 2, (uint16_t)block);
    say(tid, b, 4);
}

static const struct got *packet(unsigned op)
{
    const struct got *r = far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .dport = 2000));

    CHECK(r->len >= 2);
    CHECK_EQ(ld16be(r->data), op);
    tid = r->sport;
    return r;
}

static const struct got *data(unsigned block, size_t len)
{
    const struct got *r = packet(TDATA);

    CHECK_EQ(ld16be(r->data + 2), (uint16_t)block);
    CHECK_EQ(r->len, 4 + len);
    return r;
}

static void error(unsigned code)
{
    const struct got *r = packet(TERROR);

    CHECK_EQ(ld16be(r->data + 2), code);
    CHECK_EQ(r->data[r->len - 1], 0); /* the text has its end */
}

static bool oack_is(const void *text, size_t n)
{
    const struct got *r = packet(OACK);

    return r->len == 2 + n && !memcmp(r->data + 2, text, n);
}
#define OACK_IS(text) oack_is(text, sizeof(text))

static uint8_t pattern(size_t i) { return (uint8_t)(i * 7 + i / 512); }

static void put_pattern(const char *name, size_t n)
{
    uint8_t *b = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        b[i] = pattern(i);
    put_file(name, b, n);
    free(b);
}

/* --- transfers ------------------------------------------------------------------------------------------------------ */

static void a_file_comes_block_by_block(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 1100);
    REQUEST("f\0octet");
    for (size_t block = 1; block <= 3; block++) {
        const struct got *r = data((unsigned)block, block < 3 ? 512 : 76);

        CHECK(tid >= 1024 && tid != 69);
        for (size_t i = 0; i < r->len - 4; i++)
            CHECK_EQ(r->data[4 + i], pattern((block - 1) * 512 + i));
        far_expect_none(&g.f); /* nothing before it is acknowledged */
        ack((unsigned)block);
    }
    far_expect_none(&g.f);
    ack(3); /* the session is over */
    far_drain(&g.f);
    end();
}

static void a_file_of_whole_blocks_ends_with_an_empty_one(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 512);
    REQUEST("f\0OCTET");
    data(1, 512);
    ack(1);
    data(2, 0);
    ack(2);
    put_file("empty", "", 0);
    REQUEST("empty\0octet");
    data(1, 0);
    end();
}

static void options_are_granted_within_reason(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 3000);
    REQUEST("f\0octet\0tsize\0"
            "0\0blksize\0"
            "1024\0timeout\0"
            "3\0windowsize\0"
            "4");
    CHECK(OACK_IS("blksize\0"
                  "1024\0timeout\0"
                  "3\0tsize\0"
                  "3000\0windowsize\0"
                  "4"));
    REQUEST("f\0octet\0blksize\0"
            "65464"); /* what passes 1500 bytes unfragmented */
    CHECK(OACK_IS("blksize\0"
                  "1468"));
    ack(0);
    data(1, 1468);
    REQUEST("f\0octet\0BLKSIZE\0"
            "8\0windowsize\0"
            "65535");
    CHECK(OACK_IS("blksize\0"
                  "8\0windowsize\0"
                  "64"));
    REQUEST("f\0octet\0tsize\0"
            "0");
    CHECK(OACK_IS("tsize\0"
                  "3000"));
    end();
}

static void options_that_are_none_are_ignored(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 100);
    REQUEST("f\0octet\0blksize\0"
            "7\0timeout\0"
            "0\0windowsize\0"
            "0\0tsize\0x\0multicast\0\0blksize\0-9");
    data(1, 100);
    REQUEST("f\0octet\0blksize"); /* no value */
    data(1, 100);
    end();
}

static void a_window_is_sent_at_once(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 512 * 6 + 10);
    REQUEST("f\0octet\0windowsize\0"
            "3");
    packet(OACK);
    ack(0);
    data(1, 512);
    data(2, 512);
    data(3, 512);
    far_expect_none(&g.f);
    ack(3);
    data(4, 512);
    data(5, 512);
    data(6, 512);
    ack(4); /* 5 was lost: RFC 7440, 4 */
    data(5, 512);
    data(6, 512);
    data(7, 10);
    ack(7);
    far_expect_none(&g.f);
    end();
}

static void a_lost_first_block_of_a_window_is_sent_again_once(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 5000);
    REQUEST("f\0octet\0windowsize\0"
            "2");
    packet(OACK);
    ack(0);
    data(1, 512);
    data(2, 512);
    ack(2);
    data(3, 512);
    data(4, 512);
    ack(2);
    data(3, 512);
    data(4, 512);
    ack(2); /* a duplicate of that */
    far_expect_none(&g.f);
    end();
}

/* The "Sorcerer's Apprentice" (RFC 1123, 4.2.3.1): a duplicate acknowledgement must not double the data. */
static void an_old_acknowledgement_sends_nothing(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet");
    data(1, 512);
    ack(1);
    data(2, 512);
    ack(1);
    ack(0);
    ack(9999);
    far_expect_none(&g.f);
    ack(2);
    data(3, 512);
    far_expect_none(&g.f);
    end();
}

static void a_silent_guest_gets_the_block_again_and_then_no_more(void **state)
{
    unsigned n = 0;

    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet");
    data(1, 512);
    world_advance(&g.w, 1100 * UINT64_C(1000000));
    data(1, 512);
    ack(1);
    data(2, 512);
    world_advance(&g.w, 120 * NS_PER_SEC);
    for (const struct got *r; (r = far_next(&g.f)); n++)
        CHECK_EQ(ld16be(r->data + 2), 2);
    CHECK(n >= 3 && n <= 10);
    ack(2);
    far_drain(&g.f);
    end();
}

static void a_lost_oack_is_sent_again(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet\0blksize\0"
            "600\0timeout\0"
            "2");
    packet(OACK);
    world_advance(&g.w, 1900 * UINT64_C(1000000));
    far_expect_none(&g.f);
    world_advance(&g.w, 200 * UINT64_C(1000000));
    packet(OACK);
    ack(0);
    data(1, 600);
    end();
}

static void the_whole_of_a_large_file_arrives_with_loss(void **state)
{
    size_t size = 70000 * 16 + 5, at = 0;
    unsigned lost = 0;
    uint64_t block = 0;

    (void)state;
    begin(NULL);
    put_pattern("big", size); /* more than 65535 blocks of 16 bytes: the number wraps */
    REQUEST("big\0octet\0blksize\0"
            "16\0windowsize\0"
            "64");
    packet(OACK);
    ack(0);
    while (at < size) {
        const struct got *r = far_next(&g.f);

        if (!r) { /* the window's end, or what was behind a gap */
            uint64_t before = g.f.received;

            ack((unsigned)block);
            if (g.f.received == before)
                world_advance(&g.w, 1100 * UINT64_C(1000000));
            continue;
        }
        if (r->sport != tid || ld16be(r->data) != TDATA)
            continue;
        if (++lost % 97 == 0)
            continue; /* this one did not come */
        if (ld16be(r->data + 2) != (uint16_t)(block + 1))
            continue;
        for (size_t i = 0; i < r->len - 4; i++)
            if (r->data[4 + i] != pattern(at + i))
                fail_msg("byte %zu", at + i);
        at += r->len - 4;
        block++;
    }
    CHECK_EQ(at, size);
    CHECK_EQ(block, 70001);
    end();
}

static void a_guest_without_room_is_waited_for(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 512 * 8);
    REQUEST("f\0octet\0windowsize\0"
            "8");
    packet(OACK);
    far_set_room(&g.f, 3);
    ack(0);
    data(1, 512);
    data(2, 512);
    data(3, 512);
    far_expect_none(&g.f);
    world_advance(&g.w, 500 * UINT64_C(1000000)); /* not counted as silence */
    far_set_room(&g.f, 100);
    world_advance(&g.w, 100 * UINT64_C(1000000));
    data(4, 512);
    for (unsigned i = 5; i <= 8; i++)
        data(i, 512);
    ack(8);
    data(9, 0);
    end();
}

static void netascii_is_converted(void **state)
{
    uint8_t text[600];

    (void)state;
    begin(NULL);
    put_file("t", "a\nb\rc", 5);
    REQUEST("t\0netascii");
    CHECK(!memcmp(data(1, 7)->data + 4, "a\r\nb\r\0c", 7)); /* RFC 764 */
    ack(1);
    memset(text, 'x', sizeof text);
    text[511] = '\n'; /* the pair lies across the blocks */
    put_file("u", text, sizeof text);
    REQUEST("u\0netascii\0tsize\0"
            "0"); /* whose size is not known before */
    CHECK_EQ(data(1, 512)->data[4 + 511], '\r');
    world_advance(&g.w, 1100 * UINT64_C(1000000));
    data(1, 512); /* the same again */
    ack(1);
    CHECK_EQ(data(2, 601 - 512)->data[4], '\n');
    end();
}

static void ipv6_guests_are_served(void **state)
{
    const struct got *r;

    (void)state;
    begin(NULL);
    put_pattern("f", 100);
    far_send(&g.f, PKT(UDP, .sport = 2000, .dst = "fec0::2", .dport = 69,
                       DATA("\x00\x01"
                            "f\0octet\0blksize\0"
                            "9999",
                            23)));
    r = far_expect(&g.f, PKT(UDP, .src = "fec0::2", .dst = g.f.ip6, .dport = 2000));
    CHECK(!memcmp(r->data + 2,
                  "blksize\0"
                  "1448",
                  13));
    end();
}

/* --- what is not given ---------------------------------------------------------------------------------------------- */

static void nothing_outside_the_folder_is_reachable(void **state)
{
    char name[160], secret[96];

    (void)state;
    begin(NULL);
    CHECK(!mkdir(outside, 0755));
    snprintf(secret, sizeof secret, "%s/secret", outside);
    snprintf(name, sizeof name, "../%s/secret", strrchr(outside, '/') + 1);
    put_file(name, "secret", 6);
    put_file("sub/inner", "inner", 5);
    put_link("absolute", secret);
    put_link("out", name);
    put_link("dir", outside);
    put_link("in", "sub/inner");
    put_link("self", "self");
    REQUEST("../"
            "x\0octet");
    error(1);
    snprintf(name, sizeof name, "%c%c../%s/secret%coctet", 0, RRQ, strrchr(outside, '/') + 1, 0);
    say(69, name, 2 + strlen(name + 2) + 7);
    error(1);
    snprintf(name, sizeof name, "%c%c%s%coctet", 0, RRQ, secret, 0);
    say(69, name, 2 + strlen(name + 2) + 7);
    error(1);
    REQUEST("sub/../../x\0octet");
    error(1);
    REQUEST("absolute\0octet");
    error(1);
    REQUEST("out\0octet");
    error(1);
    REQUEST("dir/secret\0octet");
    error(1);
    REQUEST("self\0octet");
    error(1);
    REQUEST("/proc/self/environ\0octet");
    error(1);
    REQUEST("in\0octet"); /* a link that stays inside, as Debian's netboot folder has */
    if (syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == ENOSYS)
        error(1); /* an old kernel: no links at all */
    else
        data(1, 5);
    REQUEST("/sub/inner\0octet");
    data(1, 5);
    REQUEST("//sub/./inner\0octet");
    data(1, 5);
    end();
}

static void only_regular_files_are_read(void **state)
{
    char path[128];

    (void)state;
    begin(NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    CHECK(!mkfifo(path, 0600));
    REQUEST("fifo\0octet"); /* must not block */
    error(1);
    REQUEST("sub\0octet");
    error(1);
    REQUEST("sub/\0octet");
    error(1);
    REQUEST("\0octet");
    error(1);
    REQUEST("/\0octet");
    error(1);
    end();
}

static void writing_is_refused(void **state)
{
    char path[128];

    (void)state;
    begin(NULL);
    say(69, "\x00\x02new\0octet", 12);
    error(2);
    snprintf(path, sizeof path, "%s/new", dir);
    CHECK(access(path, F_OK) < 0);
    end();
}

/* CVE-2021-3595 (libslirp): a request shorter than its header was read beyond its end. */
static void a_request_cut_short_is_no_read_beyond_it(void **state)
{
    static const char whole[] = "\x00\x01"
                                "f\0octet\0blksize\0"
                                "1024";

    (void)state;
    begin(NULL);
    put_pattern("f", 100);
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        g.f.pieces = n % 4;
        say(69, whole, n);
        if (n < 10)
            error(4);
        else
            data(1, 100); /* an option that is not whole is none */
    }
    say(69, whole, sizeof whole);
    packet(OACK);
    end();
}

static void a_name_without_end_is_refused(void **state)
{
    uint8_t b[1400] = {0, RRQ};

    (void)state;
    begin(NULL);
    memset(b + 2, 'a', sizeof b - 2);
    say(69, b, sizeof b);
    error(4);
    say(69,
        "\x00\x01"
        "f\0mail",
        9);
    error(4);
    say(69,
        "\x00\x07"
        "f\0octet",
        10);
    error(4);
    say(69,
        "\x00\x03\x00\x01"
        "data",
        8);
    error(4);
    end();
}

static void sessions_are_bounded_and_each_guests_port_has_one(void **state)
{
    uint16_t first;

    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    for (unsigned i = 0; i < 500; i++) {
        far_send(&g.f, PKT(UDP, .sport = (uint16_t)(3000 + i), .dst = "10.0.2.2", .dport = 69,
                           DATA("\x00\x01"
                                "f\0octet",
                                10)));
        far_drain(&g.f);
    }
    REQUEST("f\0octet");
    data(1, 512);
    first = tid;
    ack(1);
    data(2, 512);
    REQUEST("f\0octet"); /* the guest began anew */
    data(1, 512);
    CHECK(tid != first);
    tid = first;
    ack(1);
    far_expect(&g.f, PKT(ICMP, .type = 3, .code = 3)); /* of the session before: nobody listens there */
    end();
}

static void a_request_that_is_repeated_has_one_session(void **state)
{
    uint16_t first;

    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet\0blksize\0" "600");
    packet(OACK);
    first = tid;
    REQUEST("f\0octet\0blksize\0" "600"); /* the answer was late */
    packet(OACK);
    CHECK_EQ(tid, first);
    ack(0);
    data(1, 600);
    REQUEST("f\0octet\0blksize\0" "700"); /* another */
    packet(OACK);
    CHECK(tid != first);
    end();
}

static void an_error_of_the_guest_ends_the_session(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet\0tsize\0"
            "0"); /* as boot loaders ask for the size, and stop */
    packet(OACK);
    say(tid, "\x00\x05\x00\x08stop", 9);
    world_advance(&g.w, 60 * NS_PER_SEC);
    far_expect_none(&g.f);
    end();
}

static void another_guest_does_not_speak_into_a_session(void **state)
{
    (void)state;
    begin(NULL);
    put_pattern("f", 2000);
    REQUEST("f\0octet");
    data(1, 512);
    far_send(&g.f, PKT(UDP, .eth_src = "52:54:00:00:00:66", .src = "10.0.2.66", .sport = 2000, .dst = "10.0.2.2",
                       .dport = tid, TEXT("\x00\x04\x00\x01")));
    far_drain(&g.f);
    ack(1);
    data(2, 512);
    end();
}

static void without_a_folder_nothing_listens(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    REQUEST("f\0octet");
    far_expect(&g.f, PKT(ICMP, .type = 3, .code = 3));
    nat_guest_end(&g);
}

static void a_folder_that_is_none_is_an_error_at_start(void **state)
{
    struct world w;
    struct err e;

    (void)state;
    world_init(&w);
    CHECK(!nat_new(&w.env, &(struct nat_config){.tftp = "/nonexistent"}, &e));
    CHECK(strstr(e.msg, "/nonexistent"));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_block_by_block),
        cmocka_unit_test(a_file_of_whole_blocks_ends_with_an_empty_one),
        cmocka_unit_test(options_are_granted_within_reason),
        cmocka_unit_test(options_that_are_none_are_ignored),
        cmocka_unit_test(a_window_is_sent_at_once),
        cmocka_unit_test(a_lost_first_block_of_a_window_is_sent_again_once),
        cmocka_unit_test(an_old_acknowledgement_sends_nothing),
        cmocka_unit_test(a_silent_guest_gets_the_block_again_and_then_no_more),
        cmocka_unit_test(a_lost_oack_is_sent_again),
        cmocka_unit_test(the_whole_of_a_large_file_arrives_with_loss),
        cmocka_unit_test(a_guest_without_room_is_waited_for),
        cmocka_unit_test(netascii_is_converted),
        cmocka_unit_test(ipv6_guests_are_served),
        cmocka_unit_test(nothing_outside_the_folder_is_reachable),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(writing_is_refused),
        cmocka_unit_test(a_request_cut_short_is_no_read_beyond_it),
        cmocka_unit_test(a_name_without_end_is_refused),
        cmocka_unit_test(sessions_are_bounded_and_each_guests_port_has_one),
        cmocka_unit_test(a_request_that_is_repeated_has_one_session),
        cmocka_unit_test(an_error_of_the_guest_ends_the_session),
        cmocka_unit_test(another_guest_does_not_speak_into_a_session),
        cmocka_unit_test(without_a_folder_nothing_listens),
        cmocka_unit_test(a_folder_that_is_none_is_an_error_at_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
