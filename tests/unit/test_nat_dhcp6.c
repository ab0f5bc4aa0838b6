/* The gateway's DHCP server for IPv6 and its router advertisements: forms and rules of RFC 8415, 4861, 8106 and 5970. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/nat_guest.h"

enum { SOLICIT = 1, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE, INFORMATION = 11 };

#define LINK "fe80::5054:ff:fe12:3456"
#define OTHER_LINK "fe80::77"
#define CLIENT_ID "\x00\x01\x00\x0a\x00\x03\x00\x01\x52\x54\x00\x12\x34\x56"
#define SERVER_ID "\x00\x02\x00\x0a\x00\x03\x00\x01\x52\x55\x0a\x00\x02\x02" /* DUID-LL of the gateway's MAC */
#define IA_NA "\x00\x03\x00\x0c\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
#define RAPID "\x00\x0e\x00\x00"

static struct nat_guest g;
static const char *from = LINK;

static void say_from(const char *mac, uint8_t type, const void *options, size_t n, const char *dst)
{
    uint8_t b[1024] = {type, 0xab, 0xcd, 0xef};

    memcpy(b + 4, options, n);
    from = mac ? OTHER_LINK : LINK;
    far_send(&g.f, PKT(UDP, .eth_src = mac, .src = from, .sport = 546, .dst = dst, .dport = 547, DATA(b, 4 + n)));
}

#define SAY(type, options) say_from(NULL, type, options, sizeof(options) - 1, "ff02::1:2")

/* The value of an option among n bytes at p; NULL: not there. */
static const uint8_t *find(const uint8_t *p, size_t n, uint16_t code, size_t *len)
{
    for (size_t i = 0; i < n; i += 4 + *len) {
        CHECK(n - i >= 4);
        *len = ld16be(p + i + 2);
        CHECK(*len <= n - i - 4);
        if (ld16be(p + i) == code)
            return p + i + 4;
    }
    *len = 0;
    return NULL;
}

static const uint8_t *opt(const struct got *r, uint16_t code, size_t *len)
{
    return find(r->data + 4, r->len - 4, code, len);
}

static bool has(const struct got *r, uint16_t code)
{
    size_t len;

    return opt(r, code, &len);
}

static bool opt_is(const struct got *r, uint16_t code, const void *want, size_t n)
{
    size_t len;
    const uint8_t *v = opt(r, code, &len);

    return v && len == n && !memcmp(v, want, n);
}

/* A reply of the type, with the ids that it must have. */
static const struct got *reply(uint8_t type)
{
    const struct got *r = far_expect(&g.f, PKT(UDP, .src = "fe80::2", .sport = 547, .dst = from, .dport = 546));

    CHECK(r->len >= 4);
    CHECK_EQ(r->data[0], type);
    CHECK(!memcmp(r->data + 1, "\xab\xcd\xef", 3));
    CHECK(opt_is(r, 2, &SERVER_ID[4], 10));
    return r;
}

/* In the first association of the kind: its address (text in out) and valid lifetime; false: it has none. */
static bool ia_addr(const struct got *r, uint16_t kind, char out[46], uint32_t *valid)
{
    size_t len, n;
    const uint8_t *ia = opt(r, kind, &len), *a = ia && len >= 12 ? find(ia + 12, len - 12, 5, &n) : NULL;
    struct net_addr addr;

    if (!a)
        return false;
    CHECK(n >= 24);
    CHECK(ld32be(a + 16) <= ld32be(a + 20)); /* preferred, valid */
    memcpy(addr.b, a, 16);
    net_addr_text(&addr, out);
    *valid = ld32be(a + 20);
    return true;
}

static int status(const uint8_t *p, size_t n)
{
    size_t len;
    const uint8_t *v = find(p, n, 13, &len);

    return v && len >= 2 ? ld16be(v) : -1;
}

static int ia_status(const struct got *r, uint16_t kind)
{
    size_t len;
    const uint8_t *ia = opt(r, kind, &len);

    CHECK(ia);
    return status(ia + (kind == 4 ? 4 : 12), len - (kind == 4 ? 4 : 12));
}

static int top_status(const struct got *r) { return status(r->data + 4, r->len - 4); }

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static void an_address_in_four_messages(void **state)
{
    const struct got *r;
    char first[46], addr[46];
    uint32_t valid;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(SOLICIT, CLIENT_ID IA_NA);
    r = reply(ADVERTISE);
    CHECK(opt_is(r, 1, &CLIENT_ID[4], 10));
    CHECK(opt_is(r, 7, "\xff", 1)); /* nobody else to wait for */
    CHECK(ia_addr(r, 3, first, &valid));
    CHECK_STR(first, "fec0::1000");
    CHECK_EQ(valid, 86400);
    CHECK(!memcmp(opt(r, 3, &(size_t){0}), "\x01\x02\x03\x04", 4));
    SAY(REQUEST, CLIENT_ID SERVER_ID IA_NA);
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, first);
    SAY(RENEW, CLIENT_ID SERVER_ID IA_NA);
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    SAY(REBIND, CLIENT_ID IA_NA);
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, first);
    nat_guest_end(&g);
}

static void rapid_commit_takes_two_messages(void **state)
{
    const struct got *r;
    char addr[46];
    uint32_t valid;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(SOLICIT, CLIENT_ID RAPID IA_NA);
    r = reply(REPLY);
    CHECK(has(r, 14));
    CHECK(!has(r, 7));
    CHECK(ia_addr(r, 3, addr, &valid));
    say_from("52:54:00:00:00:02", SOLICIT, CLIENT_ID RAPID IA_NA, sizeof(CLIENT_ID RAPID IA_NA) - 1, "ff02::1:2");
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, "fec0::1001"); /* the same DUID on another machine: a copied disk */
    nat_guest_end(&g);
}

static void what_there_is_not_is_refused_by_status(void **state)
{
    const struct got *r;
    char addr[46];
    uint32_t valid;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(SOLICIT, CLIENT_ID IA_NA "\x00\x03\x00\x0c\x05\x05\x05\x05\x00\x00\x00\x00\x00\x00\x00\x00" /* a second IA_NA */
                                 "\x00\x04\x00\x04\x09\x09\x09\x09"                                 /* IA_TA */
                                 "\x00\x19\x00\x0c\x07\x07\x07\x07\x00\x00\x00\x00\x00\x00\x00\x00" /* IA_PD */);
    r = reply(ADVERTISE);
    CHECK(ia_addr(r, 3, addr, &valid));
    CHECK_EQ(ia_status(r, 4), 2);    /* NoAddrsAvail */
    CHECK_EQ(ia_status(r, 0x19), 6); /* NoPrefixAvail */
    nat_guest_end(&g);
}

static void a_foreign_address_comes_back_with_no_time_left(void **state)
{
    const struct got *r;
    const uint8_t *ia, *a;
    size_t len, n;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(REBIND, CLIENT_ID "\x00\x03\x00\x28\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
                          "\x00\x05\x00\x18\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x0e"
                          "\x10\x00\x00\x0e\x10");
    r = reply(REPLY);
    ia = opt(r, 3, &len);
    a = find(ia + 12, len - 12, 5, &n);
    CHECK_EQ(a[0], 0xfe);
    a = find(a + n, len - 12 - (size_t)(a + n - (ia + 12)), 5, &n);
    CHECK(a && a[0] == 0x20);
    CHECK_EQ(ld32be(a + 20), 0);
    nat_guest_end(&g);
}

static void a_guest_of_a_former_run_keeps_its_address(void **state)
{
    char addr[46];
    uint32_t valid;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(RENEW, CLIENT_ID SERVER_ID "\x00\x03\x00\x28\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
                                   "\x00\x05\x00\x18\xfe\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x07"
                                   "\x00\x00\x0e\x10\x00\x00\x0e\x10");
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, "fec0::1007");
    CHECK(valid);
    nat_guest_end(&g);
}

static void confirm_says_whether_addresses_are_of_this_link(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(CONFIRM, CLIENT_ID "\x00\x03\x00\x28\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
                           "\x00\x05\x00\x18\xfe\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x07\x00\x00"
                           "\x0e\x10\x00\x00\x0e\x10");
    CHECK_EQ(top_status(reply(REPLY)), 0);
    SAY(CONFIRM, CLIENT_ID "\x00\x03\x00\x28\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
                           "\x00\x05\x00\x18\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"
                           "\x0e\x10\x00\x00\x0e\x10");
    CHECK_EQ(top_status(reply(REPLY)), 4); /* NotOnLink */
    SAY(CONFIRM, CLIENT_ID IA_NA);
    far_expect_none(&g.f); /* 18.3.3 */
    nat_guest_end(&g);
}

static void release_and_decline_end_what_is_the_guests(void **state)
{
    static const char mine[] = CLIENT_ID SERVER_ID "\x00\x03\x00\x28\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"
                                                   "\x00\x05\x00\x18\xfe\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                                   "\x00\x00\x10\x00\x00\x00\x0e\x10\x00\x00\x0e\x10";
    struct nat_counts n;
    const struct got *r;
    char addr[46];
    uint32_t valid;

    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(SOLICIT, CLIENT_ID RAPID IA_NA);
    reply(REPLY);
    nat_counts(g.n, &n);
    CHECK_EQ(n.leases, 1);
    say_from("52:54:00:00:00:66", RELEASE, mine, sizeof mine - 1, "ff02::1:2"); /* another's */
    CHECK_EQ(ia_status(reply(REPLY), 3), 3);                                    /* NoBinding */
    say_from(NULL, RELEASE, mine, sizeof mine - 1, "ff02::1:2");
    r = reply(REPLY);
    CHECK_EQ(top_status(r), 0);
    CHECK(!has(r, 3));
    nat_counts(g.n, &n);
    CHECK_EQ(n.leases, 0);
    SAY(SOLICIT, CLIENT_ID RAPID IA_NA);
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, "fec0::1000"); /* the same guest, the same address */
    say_from(NULL, DECLINE, mine, sizeof mine - 1, "ff02::1:2");
    reply(REPLY);
    SAY(SOLICIT, CLIENT_ID RAPID IA_NA);
    CHECK(ia_addr(reply(REPLY), 3, addr, &valid));
    CHECK_STR(addr, "fec0::1001"); /* but not one that somebody else uses */
    nat_guest_end(&g);
}

/* --- configuration -------------------------------------------------------------------------------------------------- */

static void information_comes_without_an_address(void **state)
{
    static const char *const search[] = {"example.com", "a.b", NULL};
    struct nat_config c = {.dnssearch = search, .tftp = "/tmp", .bootfile = "/boot/grub.efi"};
    struct net_addr dns = {{0xfe, 0xc0, [15] = 3}};
    const struct got *r;

    (void)state;
    net_addr_parse("fec0::9", &c.ntp);
    nat_guest_begin(&g, &c);
    SAY(INFORMATION, "\x00\x06\x00\x04\x00\x17\x00\x18"); /* without a client id: 16.12 allows it */
    r = reply(REPLY);
    CHECK(!has(r, 1) && !has(r, 3));
    CHECK(opt_is(r, 23, dns.b, 16));
    CHECK(opt_is(r, 24,
                 "\x07"
                 "example\x03"
                 "com\x00\x01"
                 "a\x01"
                 "b\x00",
                 18));
    CHECK(!has(r, 59) && !has(r, 31) && !has(r, 56));
    SAY(INFORMATION, CLIENT_ID "\x00\x06\x00\x06\x00\x3b\x00\x1f\x00\x38");
    r = reply(REPLY);
    CHECK(!has(r, 23));
    CHECK(opt_is(r, 59, "tftp://[fec0::2]/boot/grub.efi", 30));
    CHECK(opt_is(r, 31, c.ntp.b, 16));
    CHECK(has(r, 56));
    nat_guest_end(&g);
}

static void http_firmware_gets_urls_only(void **state)
{
    static const char ask[] = CLIENT_ID "\x00\x10\x00\x10\x00\x00\x01\x57\x00\x0a"
                                        "HTTPClient";
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "http://[fec0::2]/x.efi"});
    say_from(NULL, INFORMATION, ask, sizeof ask - 1, "ff02::1:2");
    r = reply(REPLY);
    CHECK(opt_is(r, 59, "http://[fec0::2]/x.efi", 22));
    CHECK(opt_is(r, 16,
                 "\x00\x00\x01\x57\x00\x0a"
                 "HTTPClient",
                 16));
    nat_guest_end(&g);
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "x.efi"});
    say_from(NULL, INFORMATION, ask, sizeof ask - 1, "ff02::1:2");
    CHECK(!has(reply(REPLY), 59));
    nat_guest_end(&g);
}

/* --- wrong messages ------------------------------------------------------------------------------------------------- */

static void messages_against_the_rules_are_dropped(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    SAY(SOLICIT, IA_NA);                     /* no client id: 16.2 */
    SAY(SOLICIT, CLIENT_ID SERVER_ID IA_NA); /* a server id */
    SAY(REQUEST, CLIENT_ID IA_NA);           /* none: 16.4 */
    SAY(REQUEST, CLIENT_ID "\x00\x02\x00\x03"
                           "abc" IA_NA);    /* another's */
    SAY(REBIND, CLIENT_ID SERVER_ID IA_NA); /* 16.7 */
    SAY(INFORMATION, CLIENT_ID IA_NA);      /* 16.12 */
    SAY(ADVERTISE, CLIENT_ID SERVER_ID IA_NA);
    SAY(REPLY, CLIENT_ID SERVER_ID IA_NA);
    SAY(12, CLIENT_ID); /* a relay's */
    SAY(0, CLIENT_ID);
    SAY(255, CLIENT_ID);
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void unicast_is_sent_the_other_way(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say_from(NULL, REQUEST, CLIENT_ID SERVER_ID IA_NA, sizeof(CLIENT_ID SERVER_ID IA_NA) - 1, "fe80::2");
    CHECK_EQ(top_status(reply(REPLY)), 5); /* UseMulticast */
    say_from(NULL, SOLICIT, CLIENT_ID IA_NA, sizeof(CLIENT_ID IA_NA) - 1, "fe80::2");
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void lengths_beyond_the_end_are_no_reads_beyond_it(void **state)
{
    static const char whole[] = CLIENT_ID IA_NA "\x00\x27\x00\x08\x01\x05"
                                                "guest\x00"
                                                "\x00\x06\x00\x04\x00\x17\x00\x18";

    (void)state;
    nat_guest_begin(&g, NULL);
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        g.f.pieces = n % 5;
        say_from(NULL, SOLICIT, whole, n, "ff02::1:2");
        far_drain(&g.f);
    }
    SAY(SOLICIT, CLIENT_ID "\x00\x03\xff\xff\x01\x02\x03\x04");
    SAY(SOLICIT, CLIENT_ID "\x00\x03\x00\x02\x01\x02\x00"); /* IA too short, and a stray byte */
    far_send(&g.f, PKT(UDP, .src = LINK, .sport = 546, .dst = "ff02::1:2", .dport = 547));
    far_send(&g.f, PKT(UDP, .src = LINK, .sport = 546, .dst = "ff02::1:2", .dport = 547, TEXT("\x01\x02")));
    far_expect_none(&g.f);
    SAY(SOLICIT, CLIENT_ID
        "\x00\x03\x00\x04\x01\x02\x03\x04" /* too short: not there */
        "\x00\x27\x00\x02\x01\x40"         /* a name's label beyond its option */
        "\x00\x03\x00\x10\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\xff\xff" /* an address beyond the IA */);
    reply(ADVERTISE);
    nat_guest_end(&g);
}

static void many_associations_fit_one_reply(void **state)
{
    uint8_t b[1000];
    size_t n = sizeof CLIENT_ID - 1;

    (void)state;
    nat_guest_begin(&g, NULL);
    memcpy(b, CLIENT_ID, n);
    for (; n + 16 <= sizeof b; n += 16)
        memcpy(b + n, IA_NA, 16);
    say_from(NULL, SOLICIT, b, n, "ff02::1:2");
    CHECK(reply(ADVERTISE)->ip_len <= 1280);
    nat_guest_end(&g);
}

static void no_ipv6_is_none(void **state)
{
    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.no_ipv6 = true});
    g.f.ignore_ra = false;
    SAY(SOLICIT, CLIENT_ID IA_NA);
    world_advance(&g.w, 700 * NS_PER_SEC);
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

/* --- router advertisements ------------------------------------------------------------------------------------------ */

/* An ND option of the advertisement; NULL: not there. */
static const uint8_t *nd_opt(const struct got *r, uint8_t type, size_t *len)
{
    size_t i = 8; /* behind reachable and retransmission times */

    for (; i < r->len; i += *len) {
        CHECK(r->len - i >= 8 && r->data[i + 1]);
        *len = r->data[i + 1] * 8u;
        CHECK(*len <= r->len - i);
        if (r->data[i] == type)
            return r->data + i;
    }
    return NULL;
}

static const struct got *solicit(void)
{
    far_drain(&g.f);
    far_send(&g.f, PKT(ICMP6, .type = 133, .src = LINK, .dst = "ff02::2"));
    return far_expect(&g.f, PKT(ICMP6, .type = 134, .src = "fe80::2", .dst = LINK, .ttl = 255, .eth_dst = g.f.mac));
}

static void an_advertisement_has_all_a_guest_needs(void **state)
{
    static const char *const search[] = {"example.com", NULL};
    const struct got *r;
    const uint8_t *o;
    size_t len;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.dnssearch = search});
    g.f.ignore_ra = false;
    r = solicit();
    CHECK_EQ(r->rest >> 24, 64);          /* hop limit */
    CHECK_EQ(r->rest >> 16 & 0xff, 0x40); /* O, not M: SLAAC gives the address */
    o = nd_opt(r, 1, &len);
    CHECK(o && !memcmp(o + 2, "\x52\x55\x0a\x00\x02\x02", 6));
    o = nd_opt(r, 3, &len);
    CHECK(o && len == 32 && o[2] == 64 && o[3] == 0xc0);
    CHECK(ld32be(o + 4) >= ld32be(o + 8) && ld32be(o + 8));
    CHECK(!memcmp(o + 16, "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
    o = nd_opt(r, 5, &len);
    CHECK(o && ld32be(o + 4) == 1500);
    o = nd_opt(r, 25, &len);
    CHECK(o && len == 24 && o[8] == 0xfe && o[23] == 3 && ld32be(o + 4) >= 600);
    o = nd_opt(r, 31, &len);
    CHECK(o && len == 24 &&
          !memcmp(o + 8,
                  "\x07"
                  "example\x03"
                  "com\x00\x00\x00",
                  15));
    nat_guest_end(&g);
}

static void prefixes_that_are_no_64_go_by_dhcp(void **state)
{
    const struct got *r;
    const uint8_t *o;
    size_t len;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.prefix6_len = 96});
    g.f.ignore_ra = false;
    r = solicit();
    CHECK_EQ(r->rest >> 16 & 0xff, 0xc0); /* M and O */
    o = nd_opt(r, 3, &len);
    CHECK(o && o[2] == 96 && o[3] == 0x80); /* on-link, no SLAAC */
    nat_guest_end(&g);
}

static void advertisements_come_by_themselves(void **state)
{
    unsigned n = 0;

    (void)state;
    nat_guest_begin(&g, NULL);
    g.f.ignore_ra = false;
    world_advance(&g.w, 60 * NS_PER_SEC);
    while (far_next(&g.f))
        n++;
    CHECK_EQ(n, 3);
    world_advance(&g.w, 600 * NS_PER_SEC);
    far_expect(&g.f, PKT(ICMP6, .type = 134, .dst = "ff02::1", .eth_dst = "33:33:00:00:00:01"));
    nat_guest_end(&g);
}

/* An RS storm is no RA storm. */
static void a_storm_of_solicitations_is_answered_in_measure(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    g.f.ignore_ra = false;
    for (int i = 0; i < 200; i++)
        far_send(&g.f, PKT(ICMP6, .type = 133, .src = "::", .dst = "ff02::2"));
    CHECK(g.f.received >= 1 && g.f.received <= 10);
    world_advance(&g.w, NS_PER_SEC);
    solicit();
    nat_guest_end(&g);
}

static void restrict_is_no_router(void **state)
{
    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.restrict_ = true});
    g.f.ignore_ra = false;
    CHECK_EQ(solicit()->rest & 0xffff, 0);
    nat_guest_end(&g);
}

static bool write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    return f && fputs(text, f) >= 0 && !fclose(f);
}

/* A network of this process's own, as root or as root of a user namespace. */
static bool own_network(void)
{
    char map[32];

    snprintf(map, sizeof map, "0 %u 1", getuid());
    if (!unshare(CLONE_NEWNET))
        return true;
    return !unshare(CLONE_NEWUSER | CLONE_NEWNET) && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", map);
}

/* In a network of its own: without any route, then with one. 0: as it must be, 77: not to be had here. */
static int lifetime_follows_the_hosts_route(void)
{
    static const char *const up[] = {
        "ip link set lo up", "ip link add x0 type veth peer name x1",      "ip link set x0 up",
        "ip link set x1 up", "ip -6 addr add 2001:db8::1/64 dev x0 nodad", "ip -6 route add default dev x0"};
    const struct got *r;

    if (!own_network())
        return 77;
    nat_guest_begin(&g, NULL);
    g.f.ignore_ra = false;
    if (solicit()->rest & 0xffff)
        return 1;
    world_advance(&g.w, 60 * NS_PER_SEC);
    far_drain(&g.f);
    for (unsigned i = 0; i < ARRAY_LEN(up); i++)
        if (system(up[i]) != 0)
            return 77;
    world_run(&g.w); /* netlink tells */
    world_advance(&g.w, 2 * NS_PER_SEC);
    r = far_next(&g.f);
    if (!r || (r->rest & 0xffff) != 1800)
        return 2;
    if (system("ip -6 route del default") != 0)
        return 77;
    world_run(&g.w);
    world_advance(&g.w, 2 * NS_PER_SEC);
    while (r->rest & 0xffff)
        if (!(r = far_next(&g.f)))
            return 3;
    nat_guest_end(&g);
    return 0;
}

static void a_host_without_ipv6_is_no_default_router(void **state)
{
    int status_ = 0;
    pid_t pid;

    (void)state;
    fflush(NULL);
    pid = fork();
    if (!pid)
        _exit(lifetime_follows_the_hosts_route());
    waitpid(pid, &status_, 0);
    if (WIFEXITED(status_) && WEXITSTATUS(status_) == 77)
        skip();
    CHECK_EQ(status_, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_in_four_messages),
        cmocka_unit_test(rapid_commit_takes_two_messages),
        cmocka_unit_test(what_there_is_not_is_refused_by_status),
        cmocka_unit_test(a_foreign_address_comes_back_with_no_time_left),
        cmocka_unit_test(a_guest_of_a_former_run_keeps_its_address),
        cmocka_unit_test(confirm_says_whether_addresses_are_of_this_link),
        cmocka_unit_test(release_and_decline_end_what_is_the_guests),
        cmocka_unit_test(information_comes_without_an_address),
        cmocka_unit_test(http_firmware_gets_urls_only),
        cmocka_unit_test(messages_against_the_rules_are_dropped),
        cmocka_unit_test(unicast_is_sent_the_other_way),
        cmocka_unit_test(lengths_beyond_the_end_are_no_reads_beyond_it),
        cmocka_unit_test(many_associations_fit_one_reply),
        cmocka_unit_test(no_ipv6_is_none),
        cmocka_unit_test(an_advertisement_has_all_a_guest_needs),
        cmocka_unit_test(prefixes_that_are_no_64_go_by_dhcp),
        cmocka_unit_test(advertisements_come_by_themselves),
        cmocka_unit_test(a_storm_of_solicitations_is_answered_in_measure),
        cmocka_unit_test(restrict_is_no_router),
        cmocka_unit_test(a_host_without_ipv6_is_no_default_router),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
