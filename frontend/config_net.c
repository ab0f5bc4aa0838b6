/* The networks of a config: names, defaults, the adapters that go with them. See net_config.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/nic.h"
#include "frontend/config.h"

static const char *const mode_names[NET_MODES] = {
    [NET_NAT] = "nat",           [NET_NATNET] = "natnet", [NET_HOSTONLY] = "hostonly",
    [NET_INTERNAL] = "internal", [NET_BRIDGE] = "bridge", [NET_TAP] = "tap",
    [NET_STREAM] = "stream",     [NET_DGRAM] = "dgram",   [NET_HUB] = "hubport",
};

const char *net_mode_name(enum net_mode m) { return mode_names[m]; }

struct net_config *config_net_find(struct machine_config *c, const char *id)
{
    for (unsigned i = 0; i < c->nets; i++)
        if (!strcmp(c->net[i].id, id))
            return &c->net[i];
    return NULL;
}

struct net_config *config_net_new(struct machine_config *c, enum net_mode mode, const char *id, struct err *e)
{
    struct net_config *n = &c->net[c->nets];
    char made[16];

    if (c->nets == CONFIG_MAX) {
        err_set(e, "more than %d networks", CONFIG_MAX);
        return NULL;
    }
    for (unsigned i = 0; !id; i++) {
        snprintf(made, sizeof made, "net%u", i);
        if (!config_net_find(c, made))
            id = made;
    }
    if (config_net_find(c, id)) {
        err_set(e, "id=%s: there is a network of that name already", id);
        return NULL;
    }
    *n = (struct net_config){.id = config_str(c, id), .mode = mode, .fd = -1, .stream.fd = -1, .dgram.fd = -1};
    c->nets++;
    return n;
}

/* --- the gateway's addresses --- */

/*
 * In a network larger than a /24 QEMU has gateway, DNS and first guest in its third 256 addresses (net/slirp.c): 10.0.0.0/8
 * has 10.0.2.2. Elsewhere they are where the NAT has them.
 */
static void gateway(struct nat_config *c)
{
    uint32_t net = ld32be(c->net.b + 12), host = c->prefix_len ? UINT32_MAX >> c->prefix_len : 0;
    const struct {
        struct net_addr *a;
        uint32_t low;
    } rows[] = {{&c->host, 0x0202}, {&c->dns, 0x0203}, {&c->dhcp_start, 0x020f}};

    for (size_t i = 0; i < ARRAY_LEN(rows) && host > 0xff; i++)
        if (net_addr_none(rows[i].a))
            *rows[i].a = net_addr_of4(net | (rows[i].low & host));
}

static void finish_gateway(struct net_config *n)
{
    struct nat_config *c = &n->nat;

    if (net_addr_none(&c->net) && net_addr_is4(&c->host)) { /* the gateway's address says which network */
        c->net = net_addr_of4(ld32be(c->host.b + 12) & 0xffffff00);
        c->prefix_len = 24;
    }
    gateway(c);
    c->name = n->id;
    c->mtu = n->mtu;
    c->lease = n->lease;
    c->dnssearch = n->search;
    if (!n->dhcp_given)
        n->dhcp = n->mode == NET_NAT || n->mode == NET_NATNET || n->mode == NET_HOSTONLY;
    c->no_dhcp = !n->dhcp;
}

static void finish_captures(struct net_config *n)
{
    for (unsigned i = 0; i < n->captures; i++) {
        if (n->capture[i].id)
            continue;
        n->capture[i].o.filter = n->capture_filter;
        n->capture[i].o.snaplen = n->capture_bytes;
    }
}

/* --- adapters --- */

static bool is_nic(const struct device_config *d)
{
    return d->type->kind == DEVICE_NET || d->type->kind == DEVICE_E1000E;
}

static const struct device_config *nic_of(const struct machine_config *c, const char *net)
{
    for (unsigned i = 0; i < c->devices; i++) {
        const char *netdev = is_nic(&c->device[i]) ? device_prop(&c->device[i], "netdev") : NULL;

        if (netdev && !strcmp(netdev, net))
            return &c->device[i];
    }
    return NULL;
}

/* What models are called, in --net and in QEMU's -nic; with bus= they are two words. */
const char *net_nic_driver(const char *model, const char *bus, struct err *e)
{
    static const struct {
        const char *model, *bus, *driver;
    } rows[] = {
        {"virtio", "pci", "virtio-net-pci"},
        {"virtio", "mmio", "virtio-net-device"},
        {"e1000e", "pci", "e1000e"},
    };
    const struct device_type *t = model ? device_type_find(model) : NULL;
    const char *why = model ? device_type_missing(model) : NULL;

    if (t && (t->kind == DEVICE_NET || t->kind == DEVICE_E1000E) && !bus)
        return model;
    model = model ? model : "virtio";
    bus = bus ? bus : "pci";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!strcmp(rows[i].model, model) && !strcmp(rows[i].bus, bus))
            return rows[i].driver;
    if (strcmp(bus, "pci") && strcmp(bus, "mmio"))
        err_set(e, "bus=%s: expected pci or mmio", bus);
    else if (!strcmp(model, "e1000e"))
        err_set(e, "model=e1000e: sits on PCI only");
    else if (why)
        err_set(e, "model=%s: %s", model, why);
    else
        err_set(e, "model=%s: there are virtio (virtio-net-pci, virtio-net-device) and e1000e", model);
    return NULL;
}

static bool add_nic(struct machine_config *c, const struct net_config *n, struct err *e)
{
    const char *driver = net_nic_driver(n->model, n->bus, e);
    char spec[512];
    int len;

    if (!driver)
        return false;
    len = snprintf(spec, sizeof spec, "%s,netdev=%s", driver, n->id);
    if (n->mac)
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",mac=%s", n->mac);
    if (n->vectors)
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",vectors=%.16s", n->vectors);
    if (n->addr)
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",addr=%.16s", n->addr);
    if (n->mtu && strcmp(driver, "e1000e"))
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",host_mtu=%" PRIu32, n->mtu);
    if (n->queues > 1) {
        if (!strcmp(driver, "e1000e"))
            return err_set(e, "queues=%u: e1000e has one pair", n->queues);
        snprintf(spec + len, sizeof spec - (size_t)len, ",mq=on");
    }
    return config_add_device(c, spec, e);
}

static bool add_nics(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->nets; i++) {
        const struct net_config *n = &c->net[i];

        if (n->nic && !nic_of(c, n->id) && (!n->model || strcmp(n->model, "none")) && !add_nic(c, n, e))
            return err_prefix(e, c->qemu ? "-nic" : "--net");
    }
    return true;
}

/* Addresses that are taken already: bit n is 52:54:00:12:34:56 + n, which QEMU hands out in turn. */
static bool mac_in_use(const struct machine_config *c, const char *mac)
{
    uint8_t wanted[ETH_ALEN], has[ETH_ALEN];

    nic_mac_parse(mac, wanted);
    for (unsigned i = 0; i < c->devices; i++) {
        const char *text = is_nic(&c->device[i]) ? device_prop(&c->device[i], "mac") : NULL;

        if (text && nic_mac_parse(text, has) && !memcmp(has, wanted, ETH_ALEN))
            return true;
    }
    return false;
}

/*
 * On a network that other machines are on too: an address that follows from the machine's name, or a random one. With QEMU's
 * names it is QEMU's, whose users know that they have to give one.
 */
static void own_mac(const struct machine_config *c, unsigned n, char mac[24])
{
    uint32_t h = 2166136261; /* FNV-1a */

    if (!c->name && getrandom(&h, sizeof h, GRND_NONBLOCK) != sizeof h)
        h ^= (uint32_t)getpid();
    for (const char *p = c->name; p && *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619;
    h = (h ^ n) * 16777619;
    h ^= h >> 24;
    snprintf(mac, 24, "52:54:00:%02x:%02x:%02x", h >> 16 & 0xff, h >> 8 & 0xff, h & 0xff);
}

static bool is_shared(struct machine_config *c, const struct device_config *d)
{
    const char *netdev = device_prop(d, "netdev");
    const struct net_config *n = netdev && !c->qemu ? config_net_find(c, netdev) : NULL;

    return n && n->mode != NET_NAT;
}

static bool give_mac(struct machine_config *c, struct device_config *d, struct err *e)
{
    char mac[24];
    uint8_t bytes[ETH_ALEN];
    const char *given = device_prop(d, "mac");

    if (given)
        return nic_mac_parse(given, bytes) ||
               err_set(e, "-device %s: mac=%s: expected an address such as 52:54:00:12:34:56, not a group's",
                       d->type->name, given);
    for (unsigned n = 0; n < CONFIG_MAX; n++) {
        if (is_shared(c, d))
            own_mac(c, n, mac);
        else
            snprintf(mac, sizeof mac, "52:54:00:12:34:%02x", 0x56 + n);
        if (mac_in_use(c, mac))
            continue;
        if (d->props.count == KV_MAX)
            return err_set(e, "-device %s: more than %d properties", d->type->name, KV_MAX);
        d->props.kv[d->props.count++] = (struct kv){.key = "mac", .value = config_str(c, mac)};
        return true;
    }
    return err_set(e, "-device %s: no address is left", d->type->name);
}

static bool finish_nics(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->devices; i++) {
        struct device_config *d = &c->device[i];
        const char *netdev = device_prop(d, "netdev");
        const struct net_config *n;

        if (!is_nic(d))
            continue;
        if (!give_mac(c, d, e))
            return false;
        if (!netdev)
            continue;
        n = config_net_find(c, netdev);
        if (!n)
            return err_set(e, "-device %s: no network '%s'", d->type->name, netdev);
        if (nic_of(c, netdev) != d || (n->mode == NET_HUB && n->peer))
            return err_set(e, "-device %s: network '%s' is in use already", d->type->name, netdev);
    }
    return true;
}

/* --- hubs --- */

static bool finish_hubs(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->nets; i++) {
        const struct net_config *n = &c->net[i], *peer = n->peer ? config_net_find(c, n->peer) : NULL;

        if (n->mode != NET_HUB || !n->peer)
            continue;
        if (!peer || peer->mode == NET_HUB)
            return err_set(e, "-netdev hubport,id=%s: %s '%s'", n->id,
                           peer ? "cannot be joined to another hubport" : "no network", n->peer);
        for (unsigned k = 0; k < i; k++)
            if (c->net[k].peer && !strcmp(c->net[k].peer, n->peer))
                return err_set(e, "-netdev hubport,id=%s: network '%s' is in use already", n->id, n->peer);
        if (nic_of(c, n->peer))
            return err_set(e, "-netdev hubport,id=%s: network '%s' has an adapter", n->id, n->peer);
    }
    return true;
}

/*
 * -net nic -net user: a hub of one NIC and one network is a cable. The frames go the same way without it, and a NIC
 * that is full holds up its sender instead of losing frames.
 */
static void shorten_hubs(struct machine_config *c)
{
    struct net_config *nic_end = NULL, *net_end = NULL;
    unsigned ends = 0;

    for (unsigned i = 0; i < c->nets; i++) {
        struct net_config *n = &c->net[i];

        if (n->mode != NET_HUB || n->hub)
            continue;
        ends++;
        if (!n->legacy)
            return;
        *(n->peer ? &net_end : &nic_end) = n;
    }
    if (ends != 2 || !nic_end || !net_end || !nic_of(c, nic_end->id) || nic_end->captures || net_end->captures)
        return;
    for (unsigned i = 0; i < c->devices; i++)
        for (unsigned k = 0; k < c->device[i].props.count; k++) {
            struct kv *kv = &c->device[i].props.kv[k];

            if (!strcmp(kv->key, "netdev") && !strcmp(kv->value, nic_end->id))
                kv->value = net_end->peer;
        }
    for (unsigned i = c->nets; i-- > 0;)
        if (&c->net[i] == nic_end || &c->net[i] == net_end)
            memmove(&c->net[i], &c->net[i + 1], (--c->nets - i) * sizeof c->net[0]);
}

bool config_net_finish(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->nets; i++) {
        finish_gateway(&c->net[i]);
        finish_captures(&c->net[i]);
    }
    if (!add_nics(c, e) || !finish_nics(c, e) || !finish_hubs(c, e))
        return false;
    shorten_hubs(c);
    return true;
}
