/*
 * The gateway's DHCP server for IPv4, as guests meet it: option numbers, message forms and rules are those of RFC 2131 and
 * 2132 and of the RFCs named at the cases.
 */
#include <string.h>

#include "base/bits.h"
#include "tests/unit/nat_guest.h"

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static struct nat_guest g;

/* A message from the guest; what is not given is as a first DISCOVER has it. */
struct msg {
    uint8_t type; /* 0: BOOTP */
    const char *mac, *ciaddr, *requested, *server;
    uint16_t flags;
    const char *list; /* parameter request list, bytes */
    const char *options;
    size_t options_len; /* raw ones, before the end */
    size_t len;         /* send so many bytes; 0: all, at least 300 */
    bool no_cookie, no_end;
    uint8_t op, htype, hlen; /* 0: 1, 1, 6 */
    uint32_t xid;
    const char *src, *dst, *giaddr;
};

#define MSG(...) (&(const struct msg){__VA_ARGS__})
#define RAW(s) .options = (s), .options_len = sizeof(s) - 1

static void put_addr(uint8_t *at, const char *text)
{
    uint8_t b[16];

    if (text && addr_parse(text, b))
        memcpy(at, b, 4);
}

static size_t put_opt(uint8_t *b, size_t n, uint8_t code, const void *v, size_t len)
{
    b[n] = code;
    b[n + 1] = (uint8_t)len;
    memcpy(b + n + 2, v, len);
    return n + 2 + len;
}

static size_t put_addr_opt(uint8_t *b, size_t n, uint8_t code, const char *text)
{
    uint8_t v[4] = {0};

    put_addr(v, text);
    return text ? put_opt(b, n, code, v, 4) : n;
}

static size_t build(const struct msg *m, uint8_t b[1400])
{
    size_t n = 240;

    memset(b, 0, 1400);
    b[0] = m->op ? m->op : 1;
    b[1] = m->htype ? m->htype : 1;
    b[2] = m->hlen ? m->hlen : 6;
    st32be(b + 4, m->xid ? m->xid : 0x11223344);
    st16be(b + 10, m->flags);
    put_addr(b + 12, m->ciaddr);
    put_addr(b + 24, m->giaddr);
    mac_parse(m->mac ? m->mac : g.f.mac, b + 28);
    if (!m->no_cookie)
        st32be(b + 236, 0x63825363);
    if (m->type)
        n = put_opt(b, n, 53, &m->type, 1);
    n = put_addr_opt(b, n, 50, m->requested);
    n = put_addr_opt(b, n, 54, m->server);
    if (m->list)
        n = put_opt(b, n, 55, m->list, strlen(m->list));
    if (m->options)
        memcpy(b + n, m->options, m->options_len);
    n += m->options_len;
    if (!m->no_end)
        b[n++] = 255;
    return m->len ? m->len : n < 300 ? 300 : n;
}

static void say(const struct msg *m)
{
    uint8_t b[1400];
    size_t n = build(m, b);

    far_send(&g.f, PKT(UDP, .eth_src = m->mac,
                       .src = m->src      ? m->src
                              : m->ciaddr ? m->ciaddr
                                          : "0.0.0.0",
                       .sport = 68,
                       .dst = m->dst      ? m->dst
                              : m->ciaddr ? "10.0.2.2"
                                          : "255.255.255.255",
                       .dport = 67, DATA(b, n)));
}

/* The value of an option, NULL: not there. */
static const uint8_t *opt(const struct got *r, uint8_t code, size_t *len)
{
    size_t i = 240;

    while (i < r->len && r->data[i] != 255) {
        if (r->data[i] == 0) {
            i++;
            continue;
        }
        CHECK(i + 1 < r->len && i + 2 + r->data[i + 1] <= r->len);
        if (r->data[i] == code) {
            *len = r->data[i + 1];
            return r->data + i + 2;
        }
        i += 2u + r->data[i + 1];
    }
    *len = 0;
    CHECK(i < r->len); /* the end option is there */
    return NULL;
}

static bool has(const struct got *r, uint8_t code)
{
    size_t len;

    return opt(r, code, &len);
}

static bool opt_is(const struct got *r, uint8_t code, const void *want, size_t n)
{
    size_t len;
    const uint8_t *v = opt(r, code, &len);

    return v && len == n && !memcmp(v, want, n);
}

static bool opt_addr(const struct got *r, uint8_t code, const char *addr)
{
    uint8_t v[4];

    put_addr(v, addr);
    return opt_is(r, code, v, 4);
}

static bool field_addr(const struct got *r, size_t off, const char *addr)
{
    uint8_t v[4] = {0};

    put_addr(v, addr);
    return !memcmp(r->data + off, v, 4);
}

/* A reply of that type, with what every reply has. */
static const struct got *reply(uint8_t type)
{
    const struct got *r = far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .sport = 67, .dport = 68));

    CHECK(r->len >= 300);
    CHECK_EQ(r->data[0], 2);
    CHECK_EQ(r->data[1], 1);
    CHECK_EQ(r->data[2], 6);
    CHECK_EQ(ld32be(r->data + 4), 0x11223344);
    CHECK_EQ(ld32be(r->data + 236), 0x63825363);
    if (type) {
        CHECK(opt_is(r, 53, &type, 1));
        CHECK(opt_addr(r, 54, "10.0.2.2"));
    }
    return r;
}

/* The whole exchange; the address in *got. */
static const struct got *lease(const char *mac, const char *want)
{
    const struct got *r;

    say(MSG(.type = DISCOVER, .mac = mac));
    r = reply(OFFER);
    CHECK(field_addr(r, 16, want));
    say(MSG(.type = REQUEST, .mac = mac, .requested = want, .server = "10.0.2.2"));
    r = reply(ACK);
    CHECK(field_addr(r, 16, want));
    return r;
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static void the_first_guest_gets_15_and_qemus_answers(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER));
    r = far_expect(&g.f,
                   PKT(UDP, .src = "10.0.2.2", .dst = "10.0.2.15", .eth_dst = g.f.mac, .eth_src = "52:55:0a:00:02:02"));
    CHECK(field_addr(r, 16, "10.0.2.15"));
    CHECK(field_addr(r, 20, "10.0.2.2"));
    CHECK(!memcmp(r->data + 28, "\x52\x54\x00\x12\x34\x56", 6));
    CHECK(opt_is(r, 1, "\xff\xff\xff\x00", 4));
    CHECK(opt_addr(r, 3, "10.0.2.2"));
    CHECK(opt_addr(r, 6, "10.0.2.3"));
    CHECK(opt_is(r, 51, "\x00\x01\x51\x80", 4)); /* a day */
    CHECK(!has(r, 26));
    CHECK(!has(r, 119));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void an_address_is_the_guests_through_its_life(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    lease(NULL, "10.0.2.15");
    say(MSG(.type = REQUEST, .ciaddr = "10.0.2.15")); /* renew, to us alone */
    CHECK(field_addr(reply(ACK), 12, "10.0.2.15"));
    say(MSG(.type = REQUEST, .ciaddr = "10.0.2.15", .dst = "255.255.255.255")); /* rebind */
    reply(ACK);
    say(MSG(.type = REQUEST, .requested = "10.0.2.15")); /* a reboot that remembers */
    reply(ACK);
    lease(NULL, "10.0.2.15"); /* one that does not */
    nat_guest_end(&g);
}

static void each_guest_has_its_own_and_gets_it_again(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    lease("52:54:00:00:00:01", "10.0.2.15");
    lease("52:54:00:00:00:02", "10.0.2.16");
    say(MSG(.type = RELEASE, .mac = "52:54:00:00:00:01", .ciaddr = "10.0.2.15", .server = "10.0.2.2"));
    far_expect_none(&g.f);
    lease("52:54:00:00:00:03", "10.0.2.17"); /* .15 waits for its guest */
    lease("52:54:00:00:00:01", "10.0.2.15");
    world_advance(&g.w, 90000 * NS_PER_SEC); /* all leases end */
    lease("52:54:00:00:00:02", "10.0.2.16");
    nat_guest_end(&g);
}

static void one_machine_with_several_client_ids_keeps_its_address(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, RAW("\x3d\x05\x00GUID"))); /* firmware */
    CHECK(field_addr(reply(OFFER), 16, "10.0.2.15"));
    say(MSG(.type = DISCOVER, RAW("\x3d\x07\x01\x52\x54\x00\x12\x34\x56"))); /* the installer */
    CHECK(field_addr(reply(OFFER), 16, "10.0.2.15"));
    say(MSG(.type = DISCOVER, RAW("\x3d\x0b\xff\x01\x02\x03\x04\x00\x02\x00\x00\xab\x11"))); /* systemd */
    CHECK(field_addr(reply(OFFER), 16, "10.0.2.15"));
    nat_guest_end(&g);
}

static void a_full_pool_gives_what_was_unused_longest(void **state)
{
    struct nat_config c = {.prefix_len = 28};
    char mac[18];

    (void)state;
    net_addr_parse("10.0.2.0", &c.net);
    net_addr_parse("10.0.2.2", &c.host);
    net_addr_parse("10.0.2.3", &c.dns);
    net_addr_parse("10.0.2.12", &c.dhcp_start); /* .12, .13, .14 */
    nat_guest_begin(&g, &c);
    for (unsigned i = 0; i < 3; i++) {
        char want[16];

        snprintf(mac, sizeof mac, "52:54:00:00:00:%02x", i);
        snprintf(want, sizeof want, "10.0.2.%u", (12u + i) & 255);
        lease(mac, want);
    }
    say(MSG(.type = DISCOVER, .mac = "52:54:00:00:00:09"));
    far_expect_none(&g.f); /* all are bound */
    say(MSG(.type = RELEASE, .mac = "52:54:00:00:00:01", .ciaddr = "10.0.2.13", .server = "10.0.2.2"));
    lease("52:54:00:00:00:09", "10.0.2.13");
    nat_guest_end(&g);
}

static void a_flood_of_guests_is_bounded_and_a_lease_survives_it(void **state)
{
    struct nat_counts n;
    char mac[18];

    (void)state;
    nat_guest_begin(&g, NULL);
    lease("52:54:00:00:00:01", "10.0.2.15");
    for (int i = 0; i < 1000; i++) {
        snprintf(mac, sizeof mac, "52:54:01:00:%02x:%02x", i >> 8, i & 255);
        say(MSG(.type = DISCOVER, .mac = mac));
        far_drain(&g.f);
    }
    nat_counts(g.n, &n);
    CHECK_EQ(n.leases, 1);
    lease("52:54:00:00:00:01", "10.0.2.15");
    world_advance(&g.w, 61 * NS_PER_SEC); /* offers that nobody took */
    say(MSG(.type = DISCOVER, .mac = "52:54:02:00:00:01"));
    reply(OFFER);
    nat_guest_end(&g);
}

static void a_declined_address_is_not_given_again_soon(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    lease(NULL, "10.0.2.15");
    say(MSG(.type = DECLINE, .requested = "10.0.2.15", .server = "10.0.2.2"));
    far_expect_none(&g.f);
    lease(NULL, "10.0.2.16");
    lease("52:54:00:00:00:02", "10.0.2.17");
    world_advance(&g.w, 601 * NS_PER_SEC);
    lease("52:54:00:00:00:03", "10.0.2.15");
    nat_guest_end(&g);
}

static void an_address_in_use_without_a_lease_is_not_offered(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    far_send(&g.f, PKT(ARP, .arp = 1, .eth_src = "52:54:00:00:00:77", .arp_src_mac = "52:54:00:00:00:77",
                       .src = "10.0.2.15", .dst = "10.0.2.2"));
    far_drain(&g.f);
    lease("52:54:00:00:00:01", "10.0.2.16");
    nat_guest_end(&g);
}

static void static_leases_are_kept_for_their_mac(void **state)
{
    static const char *const search[] = {NULL};
    struct nat_static_lease leases[] = {{.mac = {0x52, 0x54, 0, 0, 0, 5}, .hostname = "db"},
                                        {.mac = {0x52, 0x54, 0, 0, 0, 6}}};
    struct nat_config c = {.lease = leases, .leases = 2, .hostname = "guest", .dnssearch = search};
    const struct got *r;

    (void)state;
    net_addr_parse("10.0.2.15", &leases[0].addr);
    net_addr_parse("10.0.2.100", &leases[1].addr);
    nat_guest_begin(&g, &c);
    r = lease("52:54:00:00:00:01", "10.0.2.16"); /* .15 is another's */
    CHECK(opt_is(r, 12, "guest", 5));
    r = lease("52:54:00:00:00:05", "10.0.2.15");
    CHECK(opt_is(r, 12, "db", 2));
    r = lease("52:54:00:00:00:06", "10.0.2.100");
    CHECK(!has(r, 12));
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:05", .requested = "10.0.2.50"));
    reply(NAK); /* it has its own */
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:01", .requested = "10.0.2.100"));
    reply(NAK);
    nat_guest_end(&g);
}

/* --- refusals ------------------------------------------------------------------------------------------------------- */

static void a_wrong_network_is_refused_to_all(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = REQUEST, .requested = "192.168.1.20"));
    r = far_expect(&g.f, PKT(UDP, .dst = "255.255.255.255", .eth_dst = "ff:ff:ff:ff:ff:ff"));
    CHECK(opt_is(r, 53, "\x06", 1));
    CHECK(field_addr(r, 16, NULL));
    CHECK(!has(r, 51) && !has(r, 1) && !has(r, 3));
    say(MSG(.type = REQUEST, .requested = "10.0.2.2")); /* ours */
    reply(NAK);
    say(MSG(.type = REQUEST, .requested = "10.0.2.255"));
    reply(NAK);
    say(MSG(.type = REQUEST, .requested = "10.0.2.0"));
    reply(NAK);
    say(MSG(.type = REQUEST)); /* of nothing */
    reply(NAK);
    nat_guest_end(&g);
}

static void anothers_address_is_refused(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    lease("52:54:00:00:00:01", "10.0.2.15");
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:02", .requested = "10.0.2.15"));
    reply(NAK);
    nat_guest_end(&g);
}

static void a_guest_of_a_former_run_goes_on_with_its_address(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = REQUEST, .ciaddr = "10.0.2.40", .dst = "255.255.255.255"));
    CHECK(field_addr(reply(ACK), 16, "10.0.2.40"));
    lease("52:54:00:00:00:02", "10.0.2.15");
    nat_guest_end(&g);
}

static void a_request_to_another_server_frees_the_offer(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, .mac = "52:54:00:00:00:01"));
    reply(OFFER);
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:01", .requested = "10.0.2.15", .server = "10.0.2.99"));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void a_lease_is_not_ended_by_another_guest(void **state)
{
    uint8_t b[1400];
    size_t n;

    (void)state;
    nat_guest_begin(&g, NULL);
    lease("52:54:00:00:00:01", "10.0.2.15");
    n = build(MSG(.type = RELEASE, .mac = "52:54:00:00:00:01", .ciaddr = "10.0.2.15", .server = "10.0.2.2"), b);
    far_send(&g.f, PKT(UDP, .eth_src = "52:54:00:00:00:66", .src = "0.0.0.0", .sport = 68, .dst = "255.255.255.255",
                       .dport = 67, DATA(b, n)));
    far_expect_none(&g.f);
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:66", .requested = "10.0.2.15"));
    reply(NAK); /* it is bound still */
    nat_guest_end(&g);
}

/* --- options and forms ---------------------------------------------------------------------------------------------- */

static void the_request_list_is_honoured(void **state)
{
    static const char *const search[] = {"eng.example.com", "example.com", "a.b", NULL};
    struct nat_config c = {.domainname = "example.com", .dnssearch = search, .mtu = 9000};
    const struct got *r;

    (void)state;
    net_addr_parse("10.0.2.9", &c.ntp);
    nat_guest_begin(&g, &c);
    g.f.port.mtu = 9000;
    say(MSG(.type = DISCOVER, .list = "\x01\x03\x06"));
    r = reply(OFFER);
    CHECK(has(r, 1) && has(r, 3) && has(r, 6));
    CHECK(!has(r, 15) && !has(r, 119) && !has(r, 42) && !has(r, 26) && !has(r, 28));
    say(MSG(.type = DISCOVER, .list = "\x0f\x1a\x1c\x2a\x77"));
    r = reply(OFFER);
    CHECK(!has(r, 3));
    CHECK(opt_is(r, 15, "example.com", 11));
    CHECK(opt_is(r, 26, "\x23\x28", 2));
    CHECK(opt_addr(r, 28, "10.0.2.255"));
    CHECK(opt_addr(r, 42, "10.0.2.9"));
    /* RFC 3397, 2: compressed within the option: "example.com" is at 4 */
    CHECK(opt_is(r, 119,
                 "\x03"
                 "eng"
                 "\x07"
                 "example"
                 "\x03"
                 "com"
                 "\x00"
                 "\xc0\x04"
                 "\x01"
                 "a"
                 "\x01"
                 "b"
                 "\x00",
                 17 + 2 + 5));
    nat_guest_end(&g);
}

static void restrict_gives_no_router(void **state)
{
    struct nat_config c = {.restrict_ = true};
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &c);
    say(MSG(.type = DISCOVER));
    r = reply(OFFER);
    CHECK(!has(r, 3));
    CHECK(opt_addr(r, 6, "10.0.2.3"));
    nat_guest_end(&g);
}

static void no_dhcp_answers_nobody(void **state)
{
    struct nat_config c = {.no_dhcp = true};

    (void)state;
    nat_guest_begin(&g, &c);
    say(MSG(.type = DISCOVER));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void the_broadcast_flag_is_obeyed(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, .flags = 0x8000));
    CHECK_EQ(ld16be(far_expect(&g.f, PKT(UDP, .dst = "255.255.255.255", .eth_dst = "ff:ff:ff:ff:ff:ff"))->data + 10),
             0x8000);
    nat_guest_end(&g);
}

static void rapid_commit_saves_an_exchange(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, RAW("\x50\x00"))); /* RFC 4039 */
    r = reply(ACK);
    CHECK(opt_is(r, 80, "", 0));
    CHECK(has(r, 51));
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:02", .requested = "10.0.2.15"));
    reply(NAK); /* it is bound */
    nat_guest_end(&g);
}

static void inform_is_answered_without_an_address(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = INFORM, .ciaddr = "10.0.2.77"));
    r = far_expect(&g.f, PKT(UDP, .dst = "10.0.2.77", .eth_dst = g.f.mac));
    CHECK(opt_is(r, 53, "\x05", 1));
    CHECK(field_addr(r, 16, NULL));
    CHECK(has(r, 6) && !has(r, 51) && !has(r, 58));
    say(MSG(.type = INFORM, .ciaddr = "192.0.2.1", .src = "0.0.0.0", .dst = "255.255.255.255")); /* not of here */
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void a_shorter_lease_is_granted_when_asked_for(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, RAW("\x33\x04\x00\x00\x02\x58")));
    CHECK(opt_is(reply(OFFER), 51, "\x00\x00\x02\x58", 4));
    say(MSG(.type = DISCOVER, RAW("\x33\x04\xff\xff\xff\xff"))); /* for ever */
    CHECK(opt_is(reply(OFFER), 51, "\x00\x01\x51\x80", 4));
    say(MSG(.type = DISCOVER, RAW("\x33\x04\x00\x00\x00\x01")));
    CHECK(opt_is(reply(OFFER), 51, "\x00\x00\x00\x3c", 4));
    nat_guest_end(&g);
}

static void the_client_id_comes_back(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, RAW("\x3d\x05\x00GUID")));
    CHECK(opt_is(reply(OFFER), 61, "\x00GUID", 5)); /* RFC 6842 */
    nat_guest_end(&g);
}

static void bootp_gets_an_address_for_good(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "boot.img", .tftp = "/tmp"});
    say(MSG(.type = 0, .no_cookie = true));
    r = reply(0);
    CHECK(field_addr(r, 16, "10.0.2.15"));
    CHECK_STR((const char *)r->data + 108, "boot.img");
    CHECK(!has(r, 53) && !has(r, 51));
    say(MSG(.type = REQUEST, .mac = "52:54:00:00:00:02", .requested = "10.0.2.15"));
    reply(NAK);
    nat_guest_end(&g);
}

/* --- booting -------------------------------------------------------------------------------------------------------- */

static void netboot_names_the_file_and_the_gateway(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "riscv64/grub.efi", .tftp = "/tmp"});
    /* EDK2's PXE on riscv64: vendor class, architecture 27, UUID */
    say(MSG(.type = DISCOVER, .list = "\x01\x03\x42\x43",
            RAW("\x3c\x20PXEClient:Arch:00027:UNDI:003001"
                "\x5d\x02\x00\x1b"
                "\x61\x11\x00"
                "0123456789abcdef")));
    r = reply(OFFER);
    CHECK(field_addr(r, 20, "10.0.2.2"));
    CHECK_STR((const char *)r->data + 108, "riscv64/grub.efi");
    CHECK(opt_is(r, 67, "riscv64/grub.efi", 16));
    CHECK(opt_is(r, 97,
                 "\x00"
                 "0123456789abcdef",
                 17)); /* RFC 4578, 2.3 */
    CHECK(!has(r, 60));
    nat_guest_end(&g);
}

static void another_tftp_server_is_named(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "x", .tftp_server_name = "10.0.2.77"});
    say(MSG(.type = DISCOVER));
    r = reply(OFFER);
    CHECK(field_addr(r, 20, "10.0.2.77"));
    CHECK(opt_is(r, 66, "10.0.2.77", 9));
    CHECK_STR((const char *)r->data + 44, "10.0.2.77");
    nat_guest_end(&g);
}

static void urls_are_for_those_who_take_them(void **state)
{
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "http://10.0.2.9/boot.efi"});
    say(MSG(.type = DISCOVER, RAW("\x3c\x20PXEClient:Arch:00027:UNDI:003001")));
    CHECK(!has(reply(OFFER), 67));
    say(MSG(.type = DISCOVER, RAW("\x3c\x21HTTPClient:Arch:00028:UNDI:003001")));
    r = reply(OFFER);
    CHECK(opt_is(r, 67, "http://10.0.2.9/boot.efi", 24));
    CHECK(opt_is(r, 60, "HTTPClient", 10)); /* UEFI 2.5, 24.7.2.2 */
    say(MSG(.type = DISCOVER, RAW("\x3c\x09PXEClient"
                                  "\x4d\x04iPXE")));
    CHECK(has(reply(OFFER), 67));
    nat_guest_end(&g);
}

static void a_file_is_not_for_http_firmware(void **state)
{
    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.bootfile = "x.efi"});
    say(MSG(.type = DISCOVER, RAW("\x3c\x21HTTPClient:Arch:00028:UNDI:003001")));
    CHECK(!has(reply(OFFER), 67));
    nat_guest_end(&g);
}

/* --- wrong messages ------------------------------------------------------------------------------------------------- */

/* CVE-2021-3592 (libslirp): a BOOTP packet shorter than its header was read beyond its end, into replies. */
static void bootp_shorter_than_its_header_is_dropped(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    for (size_t n = 1; n < 236; n++) {
        g.f.pieces = n % 7;
        say(MSG(.type = DISCOVER, .len = n));
    }
    far_send(&g.f, PKT(UDP, .src = "0.0.0.0", .sport = 68, .dst = "255.255.255.255", .dport = 67));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void an_options_length_beyond_the_end_is_no_read_beyond_it(void **state)
{
    uint8_t b[1400];

    (void)state;
    nat_guest_begin(&g, NULL);
    for (unsigned cut = 240; cut < 260; cut++) {
        size_t n = build(MSG(.type = DISCOVER, RAW("\x0c\x40short"), .no_end = true), b);

        CHECK(n >= cut);
        far_send(&g.f, PKT(UDP, .src = "0.0.0.0", .sport = 68, .dst = "255.255.255.255", .dport = 67, DATA(b, cut)));
        far_drain(&g.f);
    }
    say(MSG(.type = DISCOVER,
            RAW("\x0c\xff"
                "abc"),
            .len = 248, .no_end = true));
    reply(OFFER);
    nat_guest_end(&g);
}

static void options_of_a_wrong_length_are_not_used(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, RAW("\x32\x03\x0a\x00\x02"
                                  "\x33\x02\x00\x01"
                                  "\x39\x01\x00"
                                  "\x37\x00"
                                  "\x3d\x00")));
    reply(OFFER);
    say(MSG(.type = 0, RAW("\x35\x00"))); /* a message type of no length is no BOOTP */
    say(MSG(.type = 0, RAW("\x35\x02\x01\x01")));
    say(MSG(.type = 99));
    say(MSG(.type = OFFER));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

static void overloaded_fields_are_options_once(void **state)
{
    uint8_t b[1400];
    size_t n;

    (void)state;
    nat_guest_begin(&g, NULL);
    /* file and sname hold options, and say themselves that they do: no recursion */
    n = build(MSG(.type = 0, RAW("\x34\x01\x03")), b);
    memcpy(b + 108, "\x35\x01\x01\x34\x01\x03\xff", 7);
    memcpy(b + 44, "\x34\x01\x03\x32\x04\x0a\x00\x02\x20\xff", 10);
    far_send(&g.f, PKT(UDP, .src = "0.0.0.0", .sport = 68, .dst = "255.255.255.255", .dport = 67, DATA(b, n)));
    CHECK(field_addr(reply(OFFER), 16, "10.0.2.32"));
    nat_guest_end(&g);
}

static void what_is_not_for_this_server_is_dropped(void **state)
{
    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER, .op = 2));
    say(MSG(.type = DISCOVER, .htype = 6));
    say(MSG(.type = DISCOVER, .hlen = 16));
    say(MSG(.type = DISCOVER, .giaddr = "10.0.2.20"));
    far_expect_none(&g.f);
    nat_guest_end(&g);
}

/* libslirp's bootp replies once carried heap bytes in fields that were not set. */
static void a_reply_has_no_byte_that_was_not_set(void **state)
{
    uint8_t first[1400];
    const struct got *r;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = DISCOVER));
    r = reply(OFFER);
    for (size_t i = 34; i < 236; i++) /* chaddr's rest, sname, file */
        CHECK_EQ(r->data[i], 0);
    CHECK(r->len <= sizeof first);
    memcpy(first, r->data, r->len);
    say(MSG(.type = DISCOVER));
    CHECK(!memcmp(first, reply(OFFER)->data, 300));
    nat_guest_end(&g);
}

static void a_reply_is_no_larger_than_the_guest_takes(void **state)
{
    static char name[200];
    static const char *search[21];
    const struct got *r;

    (void)state;
    memset(name, 'a', sizeof name - 1);
    for (int i = 62; i < 199; i += 63)
        name[i] = '.';
    for (int i = 0; i < 5; i++)
        search[i] = name + i; /* long ones that share little */
    nat_guest_begin(&g, &(struct nat_config){.dnssearch = search, .bootfile = name});
    say(MSG(.type = DISCOVER));
    r = reply(OFFER);
    CHECK(r->len <= 548); /* RFC 2131, 2 */
    CHECK(has(r, 1) && has(r, 67) && !has(r, 119));
    say(MSG(.type = DISCOVER, RAW("\x39\x02\x05\xdc")));
    r = reply(OFFER);
    CHECK(r->len <= 1472);
    nat_guest_end(&g);
}

static void a_guests_name_is_no_more_than_a_name(void **state)
{
    static char text[4096];
    FILE *out;

    (void)state;
    nat_guest_begin(&g, NULL);
    say(MSG(.type = REQUEST, .requested = "10.0.2.15",
            RAW("\x0c\x08"
                "a\nb\x1b[2J"))); /* for the person's terminal */
    reply(ACK);
    out = fmemopen(text, sizeof text, "w");
    nat_info(g.n, false, out);
    fclose(out);
    CHECK(strstr(text, "10.0.2.15"));
    CHECK(!strchr(text, 0x1b));
    nat_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_guest_gets_15_and_qemus_answers),
        cmocka_unit_test(an_address_is_the_guests_through_its_life),
        cmocka_unit_test(each_guest_has_its_own_and_gets_it_again),
        cmocka_unit_test(one_machine_with_several_client_ids_keeps_its_address),
        cmocka_unit_test(a_full_pool_gives_what_was_unused_longest),
        cmocka_unit_test(a_flood_of_guests_is_bounded_and_a_lease_survives_it),
        cmocka_unit_test(a_declined_address_is_not_given_again_soon),
        cmocka_unit_test(an_address_in_use_without_a_lease_is_not_offered),
        cmocka_unit_test(static_leases_are_kept_for_their_mac),
        cmocka_unit_test(a_wrong_network_is_refused_to_all),
        cmocka_unit_test(anothers_address_is_refused),
        cmocka_unit_test(a_guest_of_a_former_run_goes_on_with_its_address),
        cmocka_unit_test(a_request_to_another_server_frees_the_offer),
        cmocka_unit_test(a_lease_is_not_ended_by_another_guest),
        cmocka_unit_test(the_request_list_is_honoured),
        cmocka_unit_test(restrict_gives_no_router),
        cmocka_unit_test(no_dhcp_answers_nobody),
        cmocka_unit_test(the_broadcast_flag_is_obeyed),
        cmocka_unit_test(rapid_commit_saves_an_exchange),
        cmocka_unit_test(inform_is_answered_without_an_address),
        cmocka_unit_test(a_shorter_lease_is_granted_when_asked_for),
        cmocka_unit_test(the_client_id_comes_back),
        cmocka_unit_test(bootp_gets_an_address_for_good),
        cmocka_unit_test(netboot_names_the_file_and_the_gateway),
        cmocka_unit_test(another_tftp_server_is_named),
        cmocka_unit_test(urls_are_for_those_who_take_them),
        cmocka_unit_test(a_file_is_not_for_http_firmware),
        cmocka_unit_test(bootp_shorter_than_its_header_is_dropped),
        cmocka_unit_test(an_options_length_beyond_the_end_is_no_read_beyond_it),
        cmocka_unit_test(options_of_a_wrong_length_are_not_used),
        cmocka_unit_test(overloaded_fields_are_options_once),
        cmocka_unit_test(what_is_not_for_this_server_is_dropped),
        cmocka_unit_test(a_reply_has_no_byte_that_was_not_set),
        cmocka_unit_test(a_reply_is_no_larger_than_the_guest_takes),
        cmocka_unit_test(a_guests_name_is_no_more_than_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
