/* `--net` of guise run: one grammar for every kind of network, with the adapter that goes with it. */
#include "frontend/native_net.h"

#include <string.h>

#include "base/bits.h"
#include "frontend/net_words.h"

enum arg { ARG_NONE, ARG_MAY, ARG_MUST };

struct mode_row {
    const char *word;
    enum net_mode mode;
    enum arg arg;
    const char *expected, *help;
};

static const struct mode_row modes[] = {
    {"nat", NET_NAT, ARG_NONE, NULL, "guest to world through this process: no privilege (the default)"},
    {"natnet", NET_NATNET, ARG_MUST, "NAME", "guests of this user behind one NAT, across processes"},
    {"internal", NET_INTERNAL, ARG_MUST, "NAME", "guests of this user with each other, nothing else"},
    {"hostonly", NET_HOSTONLY, ARG_MUST, "NAME", "guests and this host, nothing else"},
    {"bridge", NET_BRIDGE, ARG_MUST, "INTERFACE", "an adapter or a bridge of this host; guise net list shows them"},
    {"tap", NET_TAP, ARG_MAY, "INTERFACE", "a tap interface"},
    {"stream", NET_STREAM, ARG_MUST, "PATH|HOST:PORT", "frames over a stream socket, as QEMU's stream and socket"},
    {"passt", NET_STREAM, ARG_MUST, "PATH", "a passt that listens there"},
    {"dgram", NET_DGRAM, ARG_NONE, NULL, "a frame a datagram: local=, remote="},
    {"mcast", NET_DGRAM, ARG_MUST, "GROUP:PORT", "a multicast group, as QEMU's socket,mcast="},
};

/* PATH, HOST:PORT or PORT: which it is, a '/' tells. */
static bool where(struct machine_config *c, const char *text, const char **path, const char **host, const char **port,
                  struct err *e)
{
    char h[64], p[8];

    if (strchr(text, '/')) {
        *path = config_str(c, text);
        return true;
    }
    if (!net_place_parse(text, h, p))
        return err_set(e, "%s: expected a path or HOST:PORT", text);
    *host = config_str(c, h[0] ? h : "127.0.0.1");
    *port = config_str(c, p);
    return true;
}

static bool set_local(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    struct net_dgram_options *d = &n->dgram;

    if (!d->mcast)
        return where(c, value, &d->local_path, &d->local_host, &d->local_port, e);
    d->local_host = config_str(c, value);
    return true;
}

static bool set_remote(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    struct net_dgram_options *d = &n->dgram;

    return where(c, value, &d->remote_path, &d->remote_host, &d->remote_port, e);
}

static bool set_server(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    (void)c;
    return parse_bool(value, &n->stream.server) || err_set(e, "server=%s: expected on or off", value);
}

static bool set_reconnect(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    uint64_t ns;

    (void)c;
    if (!net_duration(value, &ns))
        return err_set(e, "reconnect=%s: expected a time such as 2s", value);
    n->stream.reconnect_ms = (uint32_t)(ns / 1000000);
    return true;
}

static bool set_net_any(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    return strchr(value, ':') ? net_set_net6(c, n, value, e) || err_prefix(e, "net") : net_set_net(c, n, value, e);
}

static bool set_host_any(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    return strchr(value, ':') ? net_set_host6(c, n, value, e) : net_set_host(c, n, value, e);
}

static bool set_dns_any(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    return strchr(value, ':') ? net_set_dns6(c, n, value, e) : net_set_dns(c, n, value, e);
}

enum {
    GATEWAY = NET_MODE(NET_NAT) | NET_MODE(NET_NATNET),
    NAMED = NET_MODE(NET_NATNET) | NET_MODE(NET_HOSTONLY) | NET_MODE(NET_INTERNAL),
    STREAM = NET_MODE(NET_STREAM),
    DGRAM = NET_MODE(NET_DGRAM),
};

static const struct net_key keys[] = {
    {NULL, 0, NULL, NULL, "With every network:"},
    {"forward", NET_ALL, net_set_forward, "forward=[udp:][A:]PORT-[A:]PORT",
     "host's port to the guest's, 2222-22 (2222:22), on 127.0.0.1 unless A says; repeatable"},
    {"dhcp", NET_ALL, net_set_dhcp, "dhcp=on|off", "a DHCP server (default on with nat, natnet, hostonly)"},
    {"mac", NET_ALL, net_set_mac, "mac=ADDRESS",
     "the adapter's (default 52:54:00:12:34:56 and on; by --name on shared networks)"},
    {"mtu", NET_ALL, net_set_mtu, "mtu=BYTES", "68 to 65535, told to the guest (default 1500)"},
    {"model", NET_ALL, net_set_model, "model=virtio|e1000e|none",
     "the adapter; none: a --device takes it by netdev=ID"},
    {"bus", NET_ALL, net_set_bus, "bus=pci|mmio", "where it sits"},
    {"queues", NET_ALL, net_set_queues, "queues=N", "pairs of queues (virtio)"},
    {"id", NET_ALL, NULL, "id=NAME", "in the monitor (default net0, net1, ...)"},
    {"link", NET_ALL, net_set_link, "link=on|off", "the cable at start"},
    {"capture", NET_ALL, net_set_capture, "capture=FILE.pcapng", "every frame, into a file or a FIFO"},
    {"capture-filter", NET_ALL, net_set_capture_filter, "capture-filter=EXPR", "those only (a libpcap expression)"},
    {"capture-bytes", NET_ALL, net_set_capture_bytes, "capture-bytes=N", "the first N bytes of each"},
    {"drop", NET_ALL, net_set_impair_drop, "drop=1%", "frames that get lost"},
    {"delay", NET_ALL, net_set_impair_delay, "delay=10ms", "each way"},
    {"jitter", NET_ALL, net_set_impair_jitter, "jitter=5ms", "added to delay, 0 up to it"},
    {"rate", NET_ALL, net_set_impair_rate, "rate=100mbit", "bits a second"},
    {"reorder", NET_ALL, net_set_impair_reorder, "reorder=1%", "frames that overtake others"},
    {"duplicate", NET_ALL, net_set_impair_duplicate, "duplicate=1%", "frames that come twice"},
    {"seed", NET_ALL, net_set_impair_seed, "seed=N", "of the six before: runs repeat"},
    {"net", NET_ALL, set_net_any, "net=10.0.2.0/24", "addresses; an IPv6 network too"},
    {"host", NET_ALL, set_host_any, "host=ADDRESS", "the gateway's (default .2)"},
    {"dhcp-start", NET_ALL, net_set_dhcpstart, "dhcp-start=ADDRESS", "the first guest's (default .15)"},
    {"lease", NET_ALL, net_set_lease, "lease=MAC=ADDRESS[/NAME]", "a fixed address; repeatable"},
    {"hostname", NET_ALL, net_set_hostname, "hostname=NAME", "the guest's"},
    {"domain", NET_ALL, net_set_domain, "domain=NAME", "domain name told by DHCP"},
    {"search", NET_ALL, net_set_search, "search=DOMAIN", "DNS search list; repeatable"},
    {"ntp", NET_ALL, net_set_ntp, "ntp=ADDRESS", "time server told by DHCP"},
    {NULL, 0, NULL, NULL, "With nat and natnet:"},
    {"dns", NET_ALL, set_dns_any, "dns=ADDRESS", "where the DNS server answers (default .3)"},
    {"host-loopback", GATEWAY, net_set_host_loopback, "host-loopback=on",
     "the gateway's address is this host's loopback"},
    {"restrict", GATEWAY, net_set_restrict, "restrict=on", "forwards only: nothing goes out"},
    {"ipv4", GATEWAY, net_set_ipv4, "ipv4=off, ipv6=off", "one family only"},
    {"ipv6", GATEWAY, net_set_ipv6, NULL, NULL},
    {"guestfwd", GATEWAY, net_set_guestfwd, "guestfwd=ADDR:PORT-TARGET",
     "TARGET: tcp:HOST:PORT, unix:PATH, cmd:COMMAND"},
    {"tftp", NET_ALL, net_set_tftp, "tftp=FOLDER", "served read-only; bootfile=NAME, tftp-server=NAME"},
    {"bootfile", NET_ALL, net_set_bootfile, NULL, NULL},
    {"tftp-server", NET_ALL, net_set_tftp_name, NULL, NULL},
    {NULL, 0, NULL, NULL, "With others:"},
    {"isolated", NAMED, net_set_isolated, "isolated=on", "natnet, hostonly, internal: no frames of other guests"},
    {"tap", NET_MODE(NET_HOSTONLY), net_set_tap, "tap=INTERFACE",
     "hostonly: the host's interface (default guise-NAME)"},
    {"helper", NET_MODE(NET_BRIDGE), net_set_helper, "helper=COMMAND",
     "bridge: gives a tap (default qemu-bridge-helper)"},
    {"mac-nat", NET_MODE(NET_BRIDGE), net_set_mac_nat, "mac-nat=on|off",
     "bridge: the guest behind the adapter's MAC (default on Wi-Fi)"},
    {"script", NET_MODE(NET_TAP), net_set_script, "script=FILE, downscript=FILE",
     "tap: run with the interface's name at start and at the end"},
    {"downscript", NET_MODE(NET_TAP), net_set_downscript, NULL, NULL},
    {"server", STREAM, set_server, "server=on, reconnect=TIME", "stream"},
    {"reconnect", STREAM, set_reconnect, NULL, NULL},
    {"local", DGRAM, set_local, "local=, remote=", "dgram: PATH or HOST:PORT"},
    {"remote", DGRAM, set_remote, NULL, NULL},
    {0},
};

void native_net_help(FILE *out)
{
    fputs("--net MODE[,key=value...], once for each adapter:\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        char word[48];

        snprintf(word, sizeof word, "%s%s%s", modes[i].word, modes[i].expected ? ":" : "",
                 modes[i].expected ? modes[i].expected : "");
        fprintf(out, "  %-30s %s\n", word, modes[i].help);
    }
    fprintf(out, "  %-30s %s\n", "none", "no network");
    net_keys_help(keys, out);
}

static bool unknown_mode(const char *word, struct err *e)
{
    const char *names[ARRAY_LEN(modes) + 2], *near;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        names[i] = modes[i].word;
    names[ARRAY_LEN(modes)] = "none";
    names[ARRAY_LEN(modes) + 1] = NULL;
    near = nearest_word(word, names);
    return err_set(e, "no network '%s'%s%s; --net help lists them", word, near ? "; the nearest one is " : "",
                   near ? near : "");
}

/* "nat", "bridge:eth0": the row, and what follows the colon (NULL: no colon). */
static const struct mode_row *find_mode(const char *text, const char **arg, struct err *e)
{
    size_t n = strcspn(text, ":");
    char word[24];

    snprintf(word, sizeof word, "%.*s", (int)n, text);
    *arg = text[n] ? text + n + 1 : NULL;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const struct mode_row *r = &modes[i];

        if (strcmp(r->word, word))
            continue;
        if (r->arg == ARG_NONE && *arg)
            err_set(e, "%s: takes no name", word);
        else if ((r->arg == ARG_MUST && !*arg) || (*arg && !**arg))
            err_set(e, "%s: expected %s:%s", text, word, r->expected);
        else
            return r;
        return NULL;
    }
    unknown_mode(word, e);
    return NULL;
}

static bool set_place(struct machine_config *c, struct net_config *n, const struct mode_row *r, const char *arg,
                      struct err *e)
{
    if (n->mode == NET_STREAM && (!strcmp(r->word, "passt") || strchr(arg, '/')))
        n->stream.path = config_str(c, arg);
    else if (n->mode == NET_STREAM)
        return where(c, arg, &n->stream.path, &n->stream.host, &n->stream.port, e);
    else if (n->mode == NET_DGRAM)
        n->dgram.mcast = config_str(c, arg);
    else
        n->name = config_str(c, arg);
    return true;
}

static bool check(const struct net_config *n, struct err *e)
{
    const struct net_dgram_options *d = &n->dgram;
    bool local = d->local_path || d->local_host, remote = d->remote_path || d->remote_host;

    if (n->mode == NET_DGRAM && !d->mcast && (!local || !remote))
        return err_set(e, "dgram: needs local= and remote=");
    if (!n->captures && (n->capture_filter || n->capture_bytes))
        return err_set(e, "capture-filter= and capture-bytes= go with capture=");
    return true;
}

static bool add(struct machine_config *c, struct keyvals *k, bool *none, struct err *e)
{
    const char *mode = k->count && !strcmp(k->kv[0].key, "mode") ? k->kv[0].value : NULL, *id = kv_get(k, "id"), *arg;
    const struct mode_row *r;
    struct net_config *n;

    if (!mode)
        return err_set(e, "expected MODE[,key=value...]; --net help lists the modes");
    *none = !strcmp(mode, "none");
    if (*none)
        return k->count == 1 || err_set(e, "none: takes no keys");
    r = find_mode(mode, &arg, e);
    n = r ? config_net_new(c, r->mode, id, e) : NULL;
    if (!n)
        return false;
    n->nic = true;
    if (arg && !set_place(c, n, r, arg, e))
        return false;
    memmove(k->kv, k->kv + 1, --k->count * sizeof k->kv[0]);
    return net_keys_apply(keys, c, n, k, r->word, e) && check(n, e);
}

bool native_net(struct machine_config *c, const char *text, bool *none, struct err *e)
{
    struct keyvals k;
    bool ok = kv_parse(&k, text, "mode", e) && add(c, &k, none, e);

    kv_free(&k);
    return ok;
}
