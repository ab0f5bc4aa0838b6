/*
 * What named networks have besides their members: the NAT of natnet, the host of hostonly, the DHCP server of internal; and
 * forwards. The whole program runs in a network namespace of its own; where that is refused, what needs it is skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/host_adapter.h"
#include "netstack/segment_int.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/net_ns.h"

enum { ENDS = 3 };

static bool own_namespace;
static struct world w;
static char dir[64];
static struct segment *seg[ENDS];
static struct far far[ENDS];

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    strcpy(dir, "/tmp/test_segment.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static void leave(unsigned i)
{
    if (!seg[i])
        return;
    far_free(&far[i]);
    segment_leave(seg[i]);
    seg[i] = NULL;
    world_advance(&w, NS_PER_SEC / 2);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENDS; i++)
        leave(i);
    world_free(&w);
    return rmdir(dir);
}

static struct segment_config config(enum segment_kind kind, const char *member)
{
    return (struct segment_config){.kind = kind, .name = "lab", .dir = dir, .member = member, .nat = {.no_ipv6 = true}};
}

static void join_as(unsigned i, const struct segment_config *c)
{
    struct err e;

    seg[i] = segment_join(&w.env, c, &e);
    if (!seg[i])
        fail_msg("%s", e.msg);
    far_init(&far[i], &w, c->member);
    snprintf(far[i].mac, sizeof far[i].mac, "52:54:00:00:00:0%u", i + 1);
    far[i].answer = false;
    far_plug(&far[i], segment_port(seg[i]));
    world_run(&w);
    far_drain(&far[i]);
}

static void join(unsigned i, enum segment_kind kind)
{
    static const char *const names[] = {"vm0", "vm1", "vm2"};
    struct segment_config c = config(kind, names[i]);

    join_as(i, &c);
}

/* The MAC behind ip, as far i is told; NULL: nobody answers. */
static const char *who_has(unsigned i, const char *ip)
{
    const struct got *g;

    far_drain(&far[i]);
    CHECK(far_send(&far[i], PKT(ARP, .arp = 1, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = ip)));
    while ((g = far_next(&far[i])))
        if (g->kind == PKT_ARP && g->arp == 2 && !strcmp(g->src, ip))
            return g->arp_src_mac;
    return NULL;
}

/* A message of a DHCP client (RFC 2131) with one more option, or none; and the answer. */
static const struct got *dhcp(unsigned i, uint8_t type, const uint8_t *more, size_t len)
{
    uint8_t m[300] = {1, 1, 6, 0, 0x12, 0x34, 0x56, (uint8_t)i}, mac[6];
    const struct got *g;

    mac_parse(far[i].mac, mac);
    memcpy(m + 28, mac, 6);
    memcpy(m + 236, (uint8_t[]){0x63, 0x82, 0x53, 0x63, 53, 1, type}, 7);
    if (len)
        memcpy(m + 243, more, len);
    m[243 + len] = 255;
    far_drain(&far[i]);
    CHECK(far_send(&far[i], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .src = "0.0.0.0", .dst = "255.255.255.255",
                                .sport = 68, .dport = 67, DATA(m, sizeof m))));
    while ((g = far_next(&far[i])))
        if (g->kind == PKT_UDP && g->sport == 67 && g->dport == 68 && g->len > 240)
            return g;
    return NULL;
}

static const struct got *discover(unsigned i) { return dhcp(i, 1, NULL, 0); }

/* The lease of 10.0.2.last. */
static void lease(unsigned i, uint8_t last)
{
    const struct got *g = dhcp(i, 3, (uint8_t[]){50, 4, 10, 0, 2, last}, 6);

    CHECK(g);
    CHECK_EQ(g->data[19], last);
    snprintf(far[i].ip4, sizeof far[i].ip4, "10.0.2.%u", last);
    far[i].answer = true;
}

static const uint8_t *option(const struct got *g, uint8_t code)
{
    const uint8_t *p = g->data + 240, *end = g->data + g->len;

    while (p + 2 < end && *p != 255 && *p != code)
        p += *p ? 2 + p[1] : 1;
    return p + 2 < end && *p == code ? p + 2 : NULL;
}

static const char *offered(const struct got *g, char text[16])
{
    snprintf(text, 16, "%u.%u.%u.%u", g->data[16], g->data[17], g->data[18], g->data[19]);
    return text;
}

static bool knows(const struct segment *s, const char *what)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    bool yes;

    segment_info(s, f);
    fclose(f);
    yes = strstr(text, what);
    if (!yes)
        printf("%s", text);
    free(text);
    return yes;
}

/* --- what is there ------------------------------------------------------------------------------------------------- */

static void natnet_is_one_nat_for_all_members(void **state)
{
    const struct got *g;
    char text[16];

    (void)state;
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    CHECK(segment_nat(seg[0]));
    CHECK(!segment_nat(seg[1]));
    CHECK_STR(who_has(1, "10.0.2.2"), "52:55:0a:00:02:02");
    CHECK_STR(who_has(0, "10.0.2.2"), "52:55:0a:00:02:02");
    g = discover(0);
    CHECK(g);
    CHECK_STR(offered(g, text), "10.0.2.15");
    CHECK(option(g, 3)); /* the router */
    g = discover(1);
    CHECK(g);
    CHECK_STR(offered(g, text), "10.0.2.16");
}

static void another_gateway_takes_the_place_of_one_that_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        join(i, SEGMENT_NAT);
    CHECK(discover(1));
    leave(0);
    CHECK(segment_nat(seg[1]) || segment_nat(seg[2]));
    CHECK_STR(who_has(1, "10.0.2.2"), "52:55:0a:00:02:02");
    CHECK_STR(who_has(2, "10.0.2.2"), "52:55:0a:00:02:02");
}

/* Known by name, and its address is not given to another, though the new gateway has heard nothing of it. */
static void leases_outlive_the_switch(void **state)
{
    struct nat_lease_state l[4];
    char text[16];

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        join(i, SEGMENT_NAT);
    CHECK(dhcp(1, 3, (uint8_t[]){50, 4, 10, 0, 2, 15, 12, 4, 'w', 'e', 'b', '1'}, 12));
    world_advance(&w, NS_PER_SEC / 10);
    leave(0);
    CHECK(segment_nat(seg[1]));
    CHECK_EQ(nat_leases(segment_nat(seg[1]), l, 4), 1);
    CHECK_STR(l[0].name, "web1");
    CHECK_EQ(l[0].a4.b[15], 15);
    CHECK(l[0].left4 > 86000);
    join(2, SEGMENT_NAT);
    CHECK_STR(offered(discover(2), text), "10.0.2.16");
    world_advance(&w, NS_PER_SEC / 10);
    leave(1); /* and from the second to the third */
    CHECK_EQ(nat_leases(segment_nat(seg[2]), l, 4), 1);
    CHECK_STR(l[0].name, "web1");
}

static void leases_that_make_no_sense_are_not_taken_over(void **state)
{
    struct nat_lease_state in[5] = {
        {.mac = {1, 2, 3, 4, 5, 6}, .a4 = net_addr_of4(0x0a000220), .left4 = 100}, /* a group */
        {.mac = {2, 2, 3, 4, 5, 1}, .a4 = net_addr_of4(0xc0a80101), .left4 = 100}, /* another net */
        {.mac = {2, 2, 3, 4, 5, 2}, .a4 = net_addr_of4(0x0a000202), .left4 = 100}, /* the gateway */
        {.mac = {2, 2, 3, 4, 5, 3}, .a4 = net_addr_of4(0x0a000221), .left4 = UINT32_MAX},
        {.mac = {2, 2, 3, 4, 5, 4}, .a4 = net_addr_of4(0x0a000221), .left4 = 100}, /* the same again: the older one */
    };
    struct nat_lease_state l[8];

    (void)state;
    memset(in[3].name, 'x', sizeof in[3].name);
    join(0, SEGMENT_NAT);
    nat_leases_restore(segment_nat(seg[0]), in, 5);
    CHECK_EQ(nat_leases(segment_nat(seg[0]), l, 8), 1);
    CHECK_EQ(l[0].mac[5], 4);
    nat_leases_restore(segment_nat(seg[0]), &in[3], 1);
    CHECK_EQ(nat_leases(segment_nat(seg[0]), l, 8), 1);
}

static void isolated_members_reach_the_gateway_and_no_member(void **state)
{
    struct segment_config c = config(SEGMENT_NAT, "vm2");

    (void)state;
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    c.isolated = true;
    join_as(2, &c);
    CHECK_STR(who_has(2, "10.0.2.2"), "52:55:0a:00:02:02");
    CHECK(discover(2));
    far_drain(&far[0]);
    far_drain(&far[1]);
    CHECK(far_send(&far[2], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.255", .dport = 7, TEXT("x"))));
    CHECK(far_send(&far[2], PKT(UDP, .eth_dst = far[0].mac, .dst = "10.0.2.15", .dport = 7, TEXT("x"))));
    far_expect_none(&far[0]);
    far_expect_none(&far[1]);
    far_drain(&far[2]);
    CHECK(far_send(&far[0], PKT(UDP, .eth_dst = far[2].mac, .dst = "10.0.2.17", .dport = 7, TEXT("x"))));
    far_expect_none(&far[2]);
}

static void nobody_takes_the_gateways_place_by_its_mac(void **state)
{
    (void)state;
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    CHECK(who_has(0, "10.0.2.2"));
    CHECK(far_send(&far[1], PKT(UDP, .eth_src = "52:55:0a:00:02:02", .eth_dst = far[0].mac, .dst = "10.0.2.15",
                                .dport = 7, TEXT("x"))));
    far_drain(&far[1]);
    CHECK(far_send(&far[0], PKT(UDP, .eth_dst = "52:55:0a:00:02:02", .dst = "10.0.2.2", .dport = 7, TEXT("x"))));
    far_expect_none(&far[1]);
}

static void internal_has_a_server_only_when_it_is_wanted(void **state)
{
    struct segment_config c = config(SEGMENT_INTERNAL, "vm0");
    const struct got *g;
    char text[16];

    (void)state;
    join(0, SEGMENT_INTERNAL);
    CHECK(!discover(0));
    CHECK(!segment_nat(seg[0]));
    leave(0);
    c.dhcp = true;
    join_as(0, &c);
    join_as(1, &c);
    g = discover(1);
    CHECK(g);
    CHECK_STR(offered(g, text), "192.168.57.101");
    CHECK(!option(g, 3));
}

static void hostonly_has_servers_and_no_router(void **state)
{
    struct segment_config c = config(SEGMENT_HOSTONLY, "vm0");
    const struct got *g;
    char text[16];

    (void)state;
    if (!own_namespace)
        skip();
    join_as(0, &c);
    g = discover(0);
    CHECK(g);
    CHECK_STR(offered(g, text), "192.168.56.101");
    CHECK(!option(g, 3));
    CHECK_STR(who_has(0, "192.168.56.2"), "52:55:c0:a8:38:02");
}

/* --- the host's side ------------------------------------------------------------------------------------------------ */

static bool tap_allowed(void)
{
    int fd = own_namespace ? open("/dev/net/tun", O_RDWR | O_CLOEXEC) : -1;

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool sysctl_is(const char *path, char value)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c = 0;
    bool yes = fd >= 0 && read(fd, &c, 1) == 1 && c == value;

    if (fd >= 0)
        close(fd);
    return yes;
}

static bool sysctl_set(const char *path, char value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, &value, 1) == 1;

    if (fd >= 0)
        close(fd);
    return ok;
}

static const char *wait_arp(unsigned i, const char *ip)
{
    for (unsigned n = 0; n < 100; n++) { /* the kernel answers from a softirq; each try turns the loop */
        const char *mac = who_has(i, ip);

        if (mac)
            return mac;
        sched_yield();
    }
    return NULL;
}

static void hostonly_has_the_host_by_a_tap(void **state)
{
    struct ifreq r = {0};

    (void)state;
    if (!tap_allowed())
        skip();
    join(0, SEGMENT_HOSTONLY);
    join(1, SEGMENT_HOSTONLY);
    CHECK(knows(seg[0], "interface guise-lab, 192.168.56.1/24"));
    CHECK(host_adapter_ioctl(SIOCGIFADDR, "guise-lab", &r));
    CHECK_EQ(ntohl(((struct sockaddr_in *)(void *)&r.ifr_addr)->sin_addr.s_addr), 0xc0a83801);
    CHECK(sysctl_is("/proc/sys/net/ipv4/conf/guise-lab/forwarding", '0'));
    strcpy(far[1].ip4, "192.168.56.101");
    CHECK_STR(wait_arp(1, "192.168.56.1"), "52:55:c0:a8:38:01");
    leave(0); /* the other has the switch, and makes the interface anew */
    CHECK(knows(seg[1], "interface guise-lab, 192.168.56.1/24"));
    CHECK_STR(wait_arp(1, "192.168.56.1"), "52:55:c0:a8:38:01");
    leave(1);
    CHECK_EQ(if_nametoindex("guise-lab"), 0);
}

static void a_host_that_is_a_router_does_not_route_for_hostonly(void **state)
{
    bool is4, is6;

    (void)state;
    is4 = tap_allowed() && sysctl_set("/proc/sys/net/ipv4/conf/all/forwarding", '1');
    is6 = is4 && sysctl_set("/proc/sys/net/ipv6/conf/all/forwarding", '1');
    if (!is4)
        skip();
    join(0, SEGMENT_HOSTONLY);
    CHECK(sysctl_is("/proc/sys/net/ipv4/conf/guise-lab/forwarding", '0'));
    if (is6)
        CHECK(sysctl_is("/proc/sys/net/ipv6/conf/guise-lab/disable_ipv6", '1'));
}

static void an_interface_with_an_address_says_what_the_network_is(void **state)
{
    struct segment_config c = config(SEGMENT_HOSTONLY, "vm0");
    const struct got *g;
    char text[16];

    (void)state;
    if (!tap_allowed() || system("ip tuntap add dev tap7 mode tap 2>/dev/null && ip addr add 172.16.9.1/24 dev tap7"))
        skip();
    c.tap = "tap7";
    join_as(0, &c);
    g = discover(0);
    CHECK(g);
    CHECK_STR(offered(g, text), "172.16.9.15");
    CHECK(knows(seg[0], "interface tap7, 172.16.9.1/24"));
    CHECK_STR(who_has(0, "172.16.9.2"), "52:55:ac:10:09:02");
    leave(0);
    CHECK(if_nametoindex("tap7")); /* it was not ours */
}

static void a_tap_that_is_asked_for_and_cannot_be_had_is_an_error(void **state)
{
    struct segment_config c = config(SEGMENT_HOSTONLY, "vm0");
    struct err e = {""};

    (void)state;
    c.tap = "a-name-that-is-too-long-for-it";
    CHECK(!segment_join(&w.env, &c, &e));
    CHECK(strstr(e.msg, "network 'lab': tap a-name-that"));
}

/* --- forwards ------------------------------------------------------------------------------------------------------ */

static uint16_t free_port(void)
{
    uint16_t port = 0;
    int fd = host_listen(AF_INET, &port);

    close(fd);
    return port;
}

static bool listens(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = !connect(fd, (struct sockaddr *)&sa, sizeof sa);

    close(fd);
    return yes;
}

static struct nat_forward tcp_forward(uint16_t port)
{
    return (struct nat_forward){.host_port = port, .guest_port = 22};
}

static void forwards_are_made_where_the_switch_is_and_go_with_their_member(void **state)
{
    struct nat_forward f = tcp_forward(free_port());
    struct err e;

    (void)state;
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    CHECK(segment_forward(seg[1], &f, true, &e));
    world_run(&w);
    CHECK(listens(f.host_port));
    CHECK(knows(seg[1], ": made"));
    CHECK(!segment_forward(seg[1], &f, true, &e));
    CHECK(strstr(e.msg, "there already"));
    CHECK(!segment_forward(seg[0], &f, false, &e)); /* it is not this member's */
    CHECK(segment_forward(seg[1], &f, false, &e));
    world_run(&w);
    CHECK(!listens(f.host_port));
    CHECK(segment_forward(seg[1], &f, true, &e));
    world_run(&w);
    CHECK(listens(f.host_port));
    leave(1);
    CHECK(!listens(f.host_port));
}

static void forwards_are_made_anew_by_the_next_switch(void **state)
{
    struct nat_forward f = tcp_forward(free_port()), g = tcp_forward(free_port());
    struct err e;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        join(i, SEGMENT_NAT);
    CHECK(segment_forward(seg[1], &f, true, &e));
    CHECK(segment_forward(seg[2], &g, true, &e));
    world_run(&w);
    leave(0);
    CHECK(listens(f.host_port) && listens(g.host_port));
    leave(1);
    CHECK(!listens(f.host_port) && listens(g.host_port));
}

/* The host's port of member i's forward, as segment_info says. */
static uint16_t port_of(unsigned i)
{
    char *text = NULL, *at;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    unsigned port = 0;

    segment_info(seg[i], f);
    fclose(f);
    at = strstr(text, "forward tcp 127.0.0.1:");
    CHECK(at && sscanf(at, "forward tcp 127.0.0.1:%u", &port) == 1);
    free(text);
    return (uint16_t)port;
}

static void a_forward_to_any_port_keeps_the_one_it_got(void **state)
{
    struct nat_forward any = tcp_forward(0), f;
    uint16_t first, second;
    struct err e;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        join(i, SEGMENT_NAT);
    CHECK(segment_forward(seg[1], &any, true, &e)); /* by the switch elsewhere */
    world_run(&w);
    first = port_of(1);
    CHECK(first && listens(first));
    leave(0);
    CHECK_EQ(port_of(1), first); /* now it has the switch itself, or the third has */
    CHECK(listens(first));
    CHECK(segment_forward(seg[2], &any, true, &e));
    world_run(&w);
    second = port_of(2);
    CHECK(second && second != first && listens(second));
    leave(1);
    CHECK_EQ(port_of(2), second);
    CHECK(listens(second) && !listens(first));
    CHECK(!segment_forward(seg[2], &any, false, &e)); /* which of them? */
    f = tcp_forward(second);
    CHECK(segment_forward(seg[2], &f, false, &e));
    world_run(&w);
    CHECK(!listens(second));
    CHECK(segment_forward(seg[2], &any, true, &e)); /* any number of them */
    CHECK(segment_forward(seg[2], &any, true, &e));
    CHECK(listens(port_of(2)));
}

static void why_a_forward_was_not_made_is_told(void **state)
{
    uint16_t port = 0;
    int fd = host_listen(AF_INET, &port);
    struct nat_forward f = tcp_forward(port);
    struct err e = {""};

    (void)state;
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    CHECK(!segment_forward(seg[0], &f, true, &e));
    CHECK(strstr(e.msg, strerror(EADDRINUSE)));
    CHECK(segment_forward(seg[1], &f, true, &e)); /* the switch is on this thread: the answer comes later */
    world_run(&w);
    CHECK(knows(seg[1], "failed, "));
    CHECK(knows(seg[1], strerror(EADDRINUSE)));
    close(fd);
}

static void an_internal_network_has_no_forwards(void **state)
{
    struct nat_forward f = tcp_forward(1);
    struct err e = {""};

    (void)state;
    join(0, SEGMENT_INTERNAL);
    CHECK(!segment_forward(seg[0], &f, true, &e));
    CHECK(strstr(e.msg, "is internal"));
}

static void a_path_does_not_depend_on_whose_folder_it_is_in(void **state)
{
    struct nat_forward f = {.guest_port = 22, .host_path = "sock"};
    char path[128], here[256];
    struct stat st;
    struct err e;

    (void)state;
    CHECK(getcwd(here, sizeof here));
    CHECK(!chdir(dir));
    join(0, SEGMENT_NAT);
    join(1, SEGMENT_NAT);
    CHECK(segment_forward(seg[1], &f, true, &e));
    CHECK(!chdir(here)); /* before the switch hears of it */
    world_run(&w);
    snprintf(path, sizeof path, "%s/sock", dir);
    CHECK(!stat(path, &st) && S_ISSOCK(st.st_mode));
    leave(1);
    CHECK(stat(path, &st) < 0);
}

/* A datagram from the host to a forward of member i arrives at its guest, not at the first. */
static void send_to_forward(unsigned i, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    far_drain(&far[0]);
    far_drain(&far[i]);
    CHECK_EQ(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
    far_expect(&far[i], PKT(UDP, .dst = far[i].ip4, .dport = 7, TEXT("hello")));
    far_expect_none(&far[0]);
    close(fd);
}

static void a_forward_leads_to_the_guest_of_its_member(void **state)
{
    struct segment_config c = config(SEGMENT_NAT, "vm1");
    struct nat_forward f = {.udp = true, .guest_port = 7};
    struct err e;

    (void)state;
    close(host_udp(AF_INET, &f.host_port));
    join(0, SEGMENT_NAT);
    lease(0, 15);
    mac_parse("52:54:00:00:00:02", c.mac);
    join_as(1, &c);
    CHECK(segment_forward(seg[1], &f, true, &e));
    lease(1, 77);
    send_to_forward(1, f.host_port);
    leave(1); /* and one that gives itself an address */
    mac_parse("52:54:00:00:00:03", c.mac);
    join_as(2, &c);
    CHECK(segment_forward(seg[2], &f, true, &e));
    strcpy(far[2].ip4, "10.0.2.200");
    far[2].answer = true;
    CHECK(who_has(2, "10.0.2.2"));
    send_to_forward(2, f.host_port);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(natnet_is_one_nat_for_all_members),
        T(another_gateway_takes_the_place_of_one_that_left),
        T(leases_outlive_the_switch),
        T(leases_that_make_no_sense_are_not_taken_over),
        T(isolated_members_reach_the_gateway_and_no_member),
        T(nobody_takes_the_gateways_place_by_its_mac),
        T(internal_has_a_server_only_when_it_is_wanted),
        T(hostonly_has_servers_and_no_router),
        T(hostonly_has_the_host_by_a_tap),
        T(a_host_that_is_a_router_does_not_route_for_hostonly),
        T(an_interface_with_an_address_says_what_the_network_is),
        T(a_tap_that_is_asked_for_and_cannot_be_had_is_an_error),
        T(forwards_are_made_where_the_switch_is_and_go_with_their_member),
        T(forwards_are_made_anew_by_the_next_switch),
        T(a_forward_to_any_port_keeps_the_one_it_got),
        T(why_a_forward_was_not_made_is_told),
        T(an_internal_network_has_no_forwards),
        T(a_path_does_not_depend_on_whose_folder_it_is_in),
        T(a_forward_leads_to_the_guest_of_its_member),
    };

    own_namespace = net_ns_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
