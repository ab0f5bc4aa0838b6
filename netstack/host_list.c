/*
 * `guise net list`: the adapters of the host, and what this user may do on each.
 *
 * What may be tried without side effects is tried (opening a packet socket, /dev/net/tun); making a tap is not tried, the
 * capability it takes is looked up instead.
 */
#include "netstack/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netstack/host_adapter.h"

enum { TEXT = 160 };

/* What this user may do: why[0] == 0 means yes. */
struct rights {
    char packets[TEXT]; /* libpcap */
    char tap[TEXT];     /* make taps, join bridges */
    const char *helper; /* a set-uid qemu-bridge-helper, NULL: none */
};

static bool capable(unsigned cap)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return !syscall(SYS_capget, &head, data) && data[cap / 32].effective >> cap % 32 & 1;
}

static void ask_packets(char *why)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    else if (errno == EPERM)
        snprintf(why, TEXT, "needs CAP_NET_RAW (as root: setcap cap_net_raw+ep PROGRAM)");
    else
        snprintf(why, TEXT, "packet sockets: %s", strerror(errno));
}

static void ask_tap(char *why)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        snprintf(why, TEXT, "/dev/net/tun: %s", strerror(errno));
    else if (!capable(CAP_NET_ADMIN))
        snprintf(why, TEXT, "needs CAP_NET_ADMIN");
    if (fd >= 0)
        close(fd);
}

static const char *find_helper(void)
{
    static const char *const places[] = {"/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper"};
    struct stat st;

    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
        if (!stat(places[i], &st) && !access(places[i], X_OK) && (st.st_mode & S_ISUID))
            return places[i];
    return NULL;
}

/* --- one adapter --------------------------------------------------------------------------------------------------- */

struct row {
    char name[IFNAMSIZ], state[16], mac[20], master[IFNAMSIZ + 1];
    enum adapter_kind kind;
    uint32_t mtu;
    char pcap[TEXT], tap[TEXT], bridge[TEXT], limits[768];
    bool has_tap, has_bridge; /* these ways make sense for it */
};

/* "yes", or "no: why". */
static void say(char *out, const char *why) { snprintf(out, TEXT, why[0] ? "no: %.140s" : "yes", why); }

static void say_pcap(struct row *r, const struct rights *may)
{
    struct err e;

    say(r->pcap, host_adapter_usable(r->name, &e) ? may->packets : e.msg);
}

static bool in_group(gid_t wanted)
{
    gid_t list[256];
    int n = getgroups(256, list);

    for (int i = 0; i < n; i++)
        if (list[i] == wanted)
            return true;
    return getegid() == wanted;
}

/* The kernel lets an existing tap be used by its owner and its group, and by all when it has neither. */
static bool tap_is_ours(const char *name)
{
    char owner[32], group[32];

    return host_adapter_read(name, "owner", owner, sizeof owner) && host_adapter_read(name, "group", group, sizeof group) &&
           (!strcmp(owner, "-1") || strtoul(owner, NULL, 10) == geteuid()) &&
           (!strcmp(group, "-1") || in_group((gid_t)strtoul(group, NULL, 10))) && !access("/dev/net/tun", R_OK | W_OK);
}

static void say_tap(struct row *r, const struct rights *may) { say(r->tap, tap_is_ours(r->name) ? "" : may->tap); }

static void say_bridge(struct row *r, const struct rights *may)
{
    if (may->tap[0] && may->helper)
        snprintf(r->bridge, TEXT, "by %s, if /etc/qemu/bridge.conf allows %s", may->helper, r->name);
    else
        say(r->bridge, may->tap);
}

static void fill(struct row *r, const char *name, const struct rights *may)
{
    *r = (struct row){0};
    snprintf(r->name, sizeof r->name, "%s", name);
    r->kind = host_adapter_kind(name);
    r->mtu = host_adapter_mtu(name);
    if (!host_adapter_read(name, "operstate", r->state, sizeof r->state))
        snprintf(r->state, sizeof r->state, "unknown");
    if (!host_adapter_read(name, "address", r->mac, sizeof r->mac))
        r->mac[0] = 0;
    host_adapter_master(name, r->master, sizeof r->master);
    say_pcap(r, may);
    r->has_tap = r->kind == ADAPTER_TAP;
    if (r->has_tap)
        say_tap(r, may);
    r->has_bridge = r->kind == ADAPTER_BRIDGE;
    if (r->has_bridge)
        say_bridge(r, may);
    if (!strcmp(r->pcap, "yes"))
        host_adapter_limits(name, true, r->limits, sizeof r->limits);
}

/* The addresses of name, one after the other: each(arg, "10.0.0.1/24"). */
static void addresses(const struct ifaddrs *all, const char *name, void (*each)(void *arg, const char *text), void *arg)
{
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        bool ip6 = a->ifa_addr && a->ifa_addr->sa_family == AF_INET6;
        const void *addr, *mask;
        char text[INET6_ADDRSTRLEN + 8];
        unsigned bits = 0;

        if (!a->ifa_addr || strcmp(a->ifa_name, name) || (!ip6 && a->ifa_addr->sa_family != AF_INET) || !a->ifa_netmask)
            continue;
        addr = ip6 ? (const void *)&((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr : &((struct sockaddr_in *)a->ifa_addr)->sin_addr;
        mask = ip6 ? (const void *)&((struct sockaddr_in6 *)a->ifa_netmask)->sin6_addr
                   : &((struct sockaddr_in *)a->ifa_netmask)->sin_addr;
        for (unsigned i = 0; i < (ip6 ? 16u : 4u); i++)
            bits += (unsigned)__builtin_popcount(((const uint8_t *)mask)[i]);
        inet_ntop(a->ifa_addr->sa_family, addr, text, INET6_ADDRSTRLEN);
        snprintf(text + strlen(text), 8, "/%u", bits);
        each(arg, text);
    }
}

/* --- text and JSON ------------------------------------------------------------------------------------------------- */

static void print_address(void *out, const char *text) { fprintf(out, " %s", text); }

static void print_row(FILE *out, const struct row *r, const struct ifaddrs *all)
{
    fprintf(out, "%s: %s, %s, mtu %u%s%s", r->name, host_adapter_kind_name(r->kind), r->state, r->mtu, r->mac[0] ? ", " : "", r->mac);
    if (r->master[0])
        fprintf(out, ", part of %s", r->master);
    fprintf(out, "\n");
    if (all) {
        fprintf(out, "  addresses:");
        addresses(all, r->name, print_address, out);
        fprintf(out, "\n");
    }
    fprintf(out, "  bridge:%s by libpcap: %s\n", r->name, r->pcap);
    if (r->limits[0])
        fprintf(out, "    limits: %s\n", r->limits);
    if (r->has_tap)
        fprintf(out, "  as a tap: %s\n", r->tap);
    if (r->has_bridge)
        fprintf(out, "  bridge:%s by a tap on it: %s\n", r->name, r->bridge);
}

static void add_address(void *list, const char *text) { json_array_append_new(list, json_string(text)); }

static json_t *row_json(const struct row *r, const struct ifaddrs *all)
{
    json_t *list = json_array();
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:s, s:o, s:s, s:s}", "name", r->name, "kind", host_adapter_kind_name(r->kind),
                          "state", r->state, "mtu", (int)r->mtu, "mac", r->mac, "addresses", list, "pcap", r->pcap, "limits",
                          r->limits);

    addresses(all, r->name, add_address, list);
    if (r->master[0])
        json_object_set_new(o, "master", json_string(r->master));
    if (r->has_tap)
        json_object_set_new(o, "tap", json_string(r->tap));
    if (r->has_bridge)
        json_object_set_new(o, "bridge", json_string(r->bridge));
    return o;
}

static void list_adapters(FILE *out, json_t *list, const struct rights *may)
{
    struct if_nameindex *names = if_nameindex();
    struct ifaddrs *all = NULL;
    struct row r;

    if (getifaddrs(&all) < 0)
        all = NULL;
    for (struct if_nameindex *n = names; n && n->if_index; n++) {
        fill(&r, n->if_name, may);
        if (list)
            json_array_append_new(list, row_json(&r, all));
        else
            print_row(out, &r, all);
    }
    freeifaddrs(all);
    if_freenameindex(names);
}

/* What does not depend on the adapter, in words. */
struct general {
    struct rights may;
    char pcap[TEXT], tap[TEXT];
};

static void ask_general(struct general *g)
{
    *g = (struct general){.may.helper = find_helper()};
    ask_packets(g->may.packets);
    ask_tap(g->may.tap);
    say(g->pcap, g->may.packets);
    say(g->tap, g->may.tap);
}

void net_host_list(FILE *out)
{
    struct general g;

    ask_general(&g);
    list_adapters(out, NULL, &g.may);
    fprintf(out, "this user may open adapters: %s\nthis user may make taps: %s\nbridge helper: %s\n", g.pcap, g.tap,
            g.may.helper ? g.may.helper : "none that is set-uid");
}

struct json_t *net_host_list_json(void)
{
    json_t *list = json_array();
    struct general g;

    ask_general(&g);
    list_adapters(NULL, list, &g.may);
    return json_pack("{s:o, s:s, s:s, s:s}", "adapters", list, "pcap", g.pcap, "make_tap", g.tap, "helper",
                     g.may.helper ? g.may.helper : "");
}
