/* The keys of --net and -netdev: what each does to a struct net_config. Tables of names are native_net.c's and personality_net.c's. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nic.h"
#include "frontend/config.h"
#include "frontend/net_words.h"

enum { NAMES_MAX = 96 };

static const struct net_key *find_key(const struct net_key *table, const char *name)
{
    for (; table->name || table->help; table++)
        if (table->name && !strcmp(table->name, name))
            return table;
    return NULL;
}

static bool unknown_key(const struct net_key *table, const char *key, struct err *e)
{
    const char *names[NAMES_MAX + 1], *near;
    unsigned n = 0;

    for (; (table->name || table->help) && n < NAMES_MAX; table++)
        if (table->name)
            names[n++] = table->name;
    names[n] = NULL;
    near = nearest_word(key, names);
    return err_set(e, "unknown property '%s'%s%s%s", key, near ? "; the nearest one is '" : "", near ? near : "",
                   near ? "'" : "");
}

bool net_keys_apply(const struct net_key *table, struct machine_config *c, struct net_config *n,
                    const struct keyvals *k, const char *mode, struct err *e)
{
    for (unsigned i = 0; i < k->count; i++) {
        const struct kv *kv = &k->kv[i];
        const struct net_key *row = find_key(table, kv->key);

        if (!row)
            return unknown_key(table, kv->key, e);
        if (!(row->modes & NET_MODE(n->mode)))
            return err_set(e, "%s= has no meaning with %s", kv->key, mode);
        if (row->set && !row->set(c, n, kv->value, e))
            return false;
    }
    return true;
}

void net_keys_help(const struct net_key *table, FILE *out)
{
    for (; table->name || table->help; table++) {
        if (!table->name)
            fprintf(out, "\n%s\n", table->help);
        else if (table->help)
            fprintf(out, "  %-30s %s\n", table->arg ? table->arg : table->name, table->help);
    }
}

/* --- words of one kind --- */

static bool flag(const char *key, const char *value, bool *out, struct err *e)
{
    return parse_bool(value, out) || err_set(e, "%s=%s: expected on or off", key, value);
}

static bool address4(const char *key, const char *value, struct net_addr *a, struct err *e)
{
    return (net_addr_parse(value, a) && net_addr_is4(a)) || err_set(e, "%s=%s: expected an IPv4 address", key, value);
}

static bool address6(const char *key, const char *value, struct net_addr *a, struct err *e)
{
    return (net_addr_parse(value, a) && !net_addr_is4(a)) || err_set(e, "%s=%s: expected an IPv6 address", key, value);
}

static bool number(const char *key, const char *value, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    return (parse_u64(value, out) && *out >= min && *out <= max) ||
           err_set(e, "%s=%s: expected a number, %llu to %llu", key, value, (unsigned long long)min,
                   (unsigned long long)max);
}

#define SET(name) NET_KEY_SETTER(name)
/* Most keys are one call. */
#define SET_BY(name, expr)                                                                                             \
    SET(name)                                                                                                          \
    {                                                                                                                  \
        (void)c;                                                                                                       \
        return (expr);                                                                                                 \
    }
#define SET_STRING(name, field)                                                                                        \
    SET(name)                                                                                                          \
    {                                                                                                                  \
        (void)e;                                                                                                       \
        n->field = config_str(c, value);                                                                               \
        return true;                                                                                                   \
    }

static bool inverse(const char *key, const char *value, bool *off, struct err *e)
{
    bool on;

    if (!flag(key, value, &on, e))
        return false;
    *off = !on;
    return true;
}

/* --- addresses and services of the gateway --- */

SET_BY(ipv4, inverse("ipv4", value, &n->nat.no_ipv4, e))
SET_BY(ipv6, inverse("ipv6", value, &n->nat.no_ipv6, e))
SET_BY(net, net_range4(value, &n->nat.net, &n->nat.prefix_len) ||
                err_set(e, "net=%s: expected an IPv4 network such as 10.0.2.0/24", value))
SET_BY(host, address4("host", value, &n->nat.host, e))
SET_BY(dns, address4("dns", value, &n->nat.dns, e))
SET_BY(dhcpstart, address4("dhcpstart", value, &n->nat.dhcp_start, e))
SET_BY(net6, net_range6(value, &n->nat.net6, &n->nat.prefix6_len) ||
                 err_set(e, "%s: expected an IPv6 network such as fec0::/64", value))
SET_BY(prefix6, address6("ipv6-prefix", value, &n->nat.net6, e))
SET_BY(host6, address6("ipv6-host", value, &n->nat.host6, e))
SET_BY(dns6, address6("ipv6-dns", value, &n->nat.dns6, e))
SET_BY(restrict, flag("restrict", value, &n->nat.restrict_, e))
SET_BY(host_loopback, flag("host-loopback", value, &n->nat.host_loopback, e))
SET_BY(isolated, flag("isolated", value, &n->isolated, e))
SET_BY(ntp, address4("ntp", value, &n->nat.ntp, e))
SET_STRING(hostname, nat.hostname)
SET_STRING(domain, nat.domainname)
SET_STRING(tftp, nat.tftp)
SET_STRING(tftp_name, nat.tftp_server_name)
SET_STRING(bootfile, nat.bootfile)

SET(prefix6len)
{
    uint64_t len;

    (void)c;
    if (!number("ipv6-prefixlen", value, 1, 126, &len, e))
        return false;
    n->nat.prefix6_len = (unsigned)len;
    return true;
}

SET(dhcp)
{
    (void)c;
    n->dhcp_given = true;
    return flag("dhcp", value, &n->dhcp, e);
}

SET(search)
{
    if (!n->search)
        n->search = config_alloc(c, (NET_SEARCH_MAX + 1) * sizeof *n->search);
    if (n->searches == NET_SEARCH_MAX)
        return err_set(e, "more than %d search domains", NET_SEARCH_MAX);
    n->search[n->searches++] = config_str(c, value);
    return true;
}

/* MAC=ADDR[/NAME] */
SET(lease)
{
    struct nat_static_lease l = {0};
    const char *eq = strchr(value, '='), *slash = strchr(value, '/');
    char mac[24], addr[NET_ADDR_TEXT];
    size_t len;

    if (!n->lease)
        n->lease = config_alloc(c, NET_LEASES_MAX * sizeof *n->lease);
    if (n->nat.leases == NET_LEASES_MAX)
        return err_set(e, "more than %d leases", NET_LEASES_MAX);
    len = eq ? (slash ? (size_t)(slash - eq - 1) : strlen(eq + 1)) : 0;
    if (!eq || (size_t)(eq - value) >= sizeof mac || len >= sizeof addr || (slash && slash < eq))
        return err_set(e, "lease=%s: expected MAC=ADDRESS or MAC=ADDRESS/NAME", value);
    snprintf(mac, sizeof mac, "%.*s", (int)(eq - value), value);
    snprintf(addr, sizeof addr, "%.*s", (int)len, eq + 1);
    if (!nic_mac_parse(mac, l.mac) || !net_addr_parse(addr, &l.addr) || !net_addr_is4(&l.addr))
        return err_set(e, "lease=%s: expected MAC=ADDRESS or MAC=ADDRESS/NAME", value);
    l.hostname = slash ? config_str(c, slash + 1) : NULL;
    n->lease[n->nat.leases++] = l;
    return true;
}

/* --- forwards --- */

static bool add_forward(struct machine_config *c, struct net_config *n, const char *value, bool qemu, struct err *e)
{
    struct net_forward_config f = {0};
    char *path;

    if (!n->forward)
        n->forward = config_alloc(c, NET_FORWARDS_MAX * sizeof *n->forward);
    if (n->forwards == NET_FORWARDS_MAX)
        return err_set(e, "more than %d forwards", NET_FORWARDS_MAX);
    if (!net_forward_parse(value, qemu, &f.f, &path, e))
        return false;
    f.f.host_path = config_str(c, path);
    free(path);
    f.text = config_str(c, value);
    n->forward[n->forwards++] = f;
    return true;
}

SET(forward) { return add_forward(c, n, value, false, e); }
SET(hostfwd) { return add_forward(c, n, value, true, e); }

SET(guestfwd)
{
    struct nat_guestfwd g = {0};
    const char *target;

    if (!n->guestfwd)
        n->guestfwd = config_alloc(c, NET_GUESTFWD_MAX * sizeof *n->guestfwd);
    if (n->guestfwds == NET_GUESTFWD_MAX)
        return err_set(e, "more than %d guest forwards", NET_GUESTFWD_MAX);
    if (!net_guestfwd_parse(value, &g.addr, &g.port, &target, e))
        return false;
    g.target = config_str(c, target);
    g.text = config_str(c, value);
    n->guestfwd[n->guestfwds++] = g;
    return true;
}

/* --- the adapter, the cable --- */

SET_STRING(model, model)
SET_STRING(bus, bus)
SET_STRING(vectors, vectors)
SET_STRING(addr, addr)

SET(mac)
{
    uint8_t mac[ETH_ALEN];

    if (!nic_mac_parse(value, mac))
        return err_set(e, "mac=%s: expected an address such as 52:54:00:12:34:56, not a group's", value);
    n->mac = config_str(c, value);
    return true;
}

SET(mtu)
{
    uint64_t v;

    (void)c;
    if (!number("mtu", value, NET_MTU_MIN, NET_MTU_MAX, &v, e))
        return false;
    n->mtu = (uint32_t)v;
    return true;
}

SET(queues)
{
    uint64_t v;

    (void)c;
    if (!number("queues", value, 1, 16, &v, e))
        return false;
    n->queues = (unsigned)v;
    return true;
}

SET_BY(link, inverse("link", value, &n->link_down, e))

SET(capture)
{
    if (!n->capture)
        n->capture = config_alloc(c, NET_CAPTURES_MAX * sizeof *n->capture);
    if (n->captures == NET_CAPTURES_MAX)
        return err_set(e, "more than %d captures", NET_CAPTURES_MAX);
    n->capture[n->captures++].o = (struct net_capture_options){.path = config_str(c, value), .only_from = -1};
    return true;
}

SET_STRING(capture_filter, capture_filter)

SET(capture_bytes)
{
    uint64_t v;

    (void)c;
    if (!number("capture-bytes", value, 0, NET_FRAME_MAX, &v, e))
        return false;
    n->capture_bytes = (uint32_t)v;
    return true;
}

#define SET_IMPAIR(name) SET_BY(impair_##name, (n->impaired = true, net_impair_key(&n->impair, #name, value, e)))
SET_IMPAIR(drop)
SET_IMPAIR(reorder)
SET_IMPAIR(duplicate)
SET_IMPAIR(delay)
SET_IMPAIR(jitter)
SET_IMPAIR(rate)
SET_IMPAIR(seed)

/* --- the host's side --- */

SET_STRING(tap, tap)

SET(mac_nat)
{
    bool on;

    (void)c;
    if (!parse_bool(value, &on))
        return err_set(e, "mac-nat=%s: expected on or off", value);
    n->mac_nat = on ? NET_MAC_NAT_ON : NET_MAC_NAT_OFF;
    return true;
}

SET(script)
{
    (void)e;
    n->script = strcmp(value, "no") != 0 ? config_str(c, value) : "";
    return true;
}

SET(downscript)
{
    (void)e;
    n->downscript = strcmp(value, "no") != 0 ? config_str(c, value) : "";
    return true;
}

SET_STRING(helper, helper)

SET(fd)
{
    uint64_t v;

    (void)c;
    if (!number("fd", value, 0, INT32_MAX, &v, e))
        return false;
    n->fd = (int)v;
    return true;
}

SET(reconnect_ms)
{
    uint64_t v;

    (void)c;
    if (!number("reconnect-ms", value, 0, UINT32_MAX, &v, e))
        return false;
    n->stream.reconnect_ms = (uint32_t)v;
    return true;
}
