/*
 * The networks of a machine: made from the config, joined to the adapters by cables, taken apart in the opposite order.
 *
 * Each network gives a port. An adapter's cable, or that of a hub, ends there. dhcp= and forward= of a network that has no
 * gateway (a bridge, a tap, a socket) are served by a NAT that stands beside it on a switch and lets nothing through.
 */
#include "frontend/machine_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/nic.h"
#include "frontend/machine_parts.h"
#include "netstack/segment.h"
#include "netstack/switch.h"

static struct net_env net_env(const struct machine *m)
{
    return (struct net_env){.loop = m->loop, .clock = m->clock, .log = m->log, .gate = m->gate};
}

/* --- the host's side --- */

static const struct device_config *adapter_of(const struct machine *m, const char *net, unsigned *index)
{
    for (unsigned i = 0; i < m->config->devices; i++) {
        const char *netdev = device_prop(&m->config->device[i], "netdev");

        if (netdev && !strcmp(netdev, net)) {
            *index = i;
            return &m->config->device[i];
        }
    }
    return NULL;
}

static bool is_bridge(const char *name)
{
    char path[96];

    snprintf(path, sizeof path, "/sys/class/net/%.32s/bridge", name);
    return !strchr(name, '/') && !access(path, F_OK);
}

/* A tap on a bridge: by ourselves, else by the helper that distributions install with QEMU. */
static struct net_host *bridge_tap(const struct net_env *env, const struct net_config *n, struct err *e)
{
    static const char *const helpers[] = {"/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper",
                                          "/usr/local/libexec/qemu-bridge-helper"};
    struct net_host *h;

    if (n->helper)
        return net_host_helper(env, n->helper, n->name, e);
    h = net_host_tap(env, NULL, n->name, e);
    for (size_t i = 0; !h && i < ARRAY_LEN(helpers); i++)
        if (!access(helpers[i], X_OK))
            return net_host_helper(env, helpers[i], n->name, e);
    return h;
}

/* Of the adapter on net; zeroes: there is none. */
static void mac_on(const struct machine *m, const char *net, uint8_t mac[ETH_ALEN])
{
    unsigned i;
    const struct device_config *d = adapter_of(m, net, &i);

    if (!d || !nic_mac_parse(device_prop(d, "mac"), mac))
        memset(mac, 0, ETH_ALEN);
}

static struct net_host *adapter(struct machine *m, const struct net_env *env, const struct net_config *n, struct err *e)
{
    const char *limits = "";
    uint8_t mac[ETH_ALEN];
    struct net_host *h;

    if (n->helper || n->bridge || is_bridge(n->name))
        return bridge_tap(env, n, e);
    mac_on(m, n->id, mac);
    h = net_host_pcap(env, n->name, mac, n->mac_nat, &limits, e);
    if (h && *limits)
        fprintf(stderr, "%s: %s: %s\n", m->config->program, n->id, limits);
    return h;
}

static struct net_host *tap(const struct net_env *env, const struct net_config *n, struct err *e)
{
    for (const char *p = n->spare_fds; p && *p; p += strcspn(p, ":"), p += *p == ':')
        close(atoi(p)); /* the kernel sends nothing to a queue that is closed */
    if (n->fd >= 0)
        return net_host_tap_fd(env, n->fd, e);
    if (n->helper)
        return net_host_helper(env, n->helper, n->bridge ? n->bridge : "br0", e);
    return net_host_tap(env, n->name, n->bridge, e);
}

/* The user's program has set the tap up; the other takes it down again. */
static bool run_script(struct net_link *l, struct err *e)
{
    const struct net_config *n = l->config;

    if (n->mode == NET_TAP && n->script && *n->script && !net_host_tap_script(l->host, n->script, e))
        return false;
    l->scripted = n->mode == NET_TAP && n->downscript && *n->downscript;
    return true;
}

static void run_downscript(struct net_link *l)
{
    struct err e;

    if (l->scripted && !net_host_tap_script(l->host, l->config->downscript, &e))
        fprintf(stderr, "%s: %s\n", l->config->id, e.msg);
    l->scripted = false;
}

/* -netdev socket,fd=N does not say which kind of socket it is. */
static bool is_datagram(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;

    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_DGRAM;
}

static struct net_host *socket_host(const struct net_env *env, const struct net_config *n, struct err *e)
{
    struct net_stream_options s = n->stream;
    struct net_dgram_options d = n->dgram;

    s.fd = d.fd = n->fd;
    return n->mode == NET_DGRAM || is_datagram(n->fd) ? net_host_dgram(env, &d, e) : net_host_stream(env, &s, e);
}

static struct net_host *host_of(struct machine *m, const struct net_env *env, const struct net_config *n, struct err *e)
{
    switch (n->mode) {
    case NET_BRIDGE: return adapter(m, env, n, e);
    case NET_TAP: return tap(env, n, e);
    default: return socket_host(env, n, e);
    }
}

/* --- forwards --- */

static bool forwards(struct net_link *l, struct err *e)
{
    const struct net_config *n = l->config;
    struct err why = {{0}};

    for (unsigned i = 0; i < n->forwards; i++)
        if (!net_link_forward(l, &n->forward[i].f, true, &why)) /* QEMU's words: tools look for them */
            return err_set(e, "Could not set up host forwarding rule '%s': %s", n->forward[i].text, why.msg);
    return l->segment || nat_guestfwd_add_all(l->nat, n->guestfwd, n->guestfwds, e);
}

bool net_link_forward(struct net_link *l, const struct nat_forward *f, bool add, struct err *e)
{
    if (l->segment)
        return segment_forward(l->segment, f, add, e);
    if (!l->nat)
        return err_set(e, "network '%s' has no gateway that forwards", l->config->id);
    return add ? nat_forward_add(l->nat, f, e) : nat_forward_remove(l->nat, f, e);
}

struct nat *net_link_nat(const struct net_link *l) { return l->segment ? segment_nat(l->segment) : l->nat; }

/* --- making one --- */

static struct net_port *new_port(struct net_link *l, unsigned i, const char *name, struct err *e)
{
    l->sw_port[i] = net_switch_add(l->sw, name, false);
    if (!l->sw_port[i])
        err_set(e, "out of memory");
    return l->sw_port[i];
}

/* A NAT beside the network: DHCP and forwards, and nothing else. */
static bool stand_beside(struct net_link *l, const struct net_env *env, struct err *e)
{
    struct nat_config c = l->config->nat;
    struct net_port *a, *b;

    c.restrict_ = c.no_ipv6 = true;
    c.host_loopback = false;
    l->nat = nat_new(env, &c, e);
    if (!l->nat)
        return false;
    l->sw = net_switch_new(env, l->config->id);
    l->owns_sw = true;
    if (!l->sw)
        return err_set(e, "out of memory");
    a = new_port(l, 0, "host", e);
    b = a ? new_port(l, 1, "gateway", e) : NULL;
    if (!b || !(l->inner[0] = net_cable_new(env, "host", a, l->port, e)) ||
        !(l->inner[1] = net_cable_new(env, "gateway", b, nat_port(l->nat), e)))
        return false;
    l->port = new_port(l, 2, "adapter", e);
    return l->port != NULL;
}

static bool open_host(struct machine *m, struct net_link *l, const struct net_env *env, struct err *e)
{
    const struct net_config *n = l->config;

    l->host = host_of(m, env, n, e);
    if (!l->host)
        return false;
    if (!run_script(l, e))
        return false;
    l->port = net_host_port(l->host);
    return (!n->dhcp && !n->forwards) || stand_beside(l, env, e);
}

static bool open_segment(struct machine *m, struct net_link *l, const struct net_env *env, struct err *e)
{
    static const enum segment_kind kinds[NET_MODES] = {
        [NET_INTERNAL] = SEGMENT_INTERNAL, [NET_HOSTONLY] = SEGMENT_HOSTONLY, [NET_NATNET] = SEGMENT_NAT};
    const struct net_config *n = l->config;
    struct segment_config c = {.kind = kinds[n->mode],
                               .name = n->name,
                               .member = m->config->name,
                               .isolated = n->isolated,
                               .nat = n->nat,
                               .dhcp = n->dhcp,
                               .guestfwd = n->guestfwd,
                               .guestfwds = n->guestfwds,
                               .tap = n->tap};

    mac_on(m, n->id, c.mac);
    l->segment = segment_join(env, &c, e);
    if (!l->segment)
        return false;
    l->port = segment_port(l->segment);
    return true;
}

static bool open_nat(struct net_link *l, const struct net_env *env, struct err *e)
{
    l->nat = nat_new(env, &l->config->nat, e);
    if (!l->nat)
        return false;
    l->port = nat_port(l->nat);
    return true;
}

/* A port of the hub of that number; the first link that names it makes it. */
static bool open_hub(struct machine *m, struct net_link *l, const struct net_env *env, struct err *e)
{
    for (unsigned i = 0; i < m->config->nets && !l->sw; i++)
        if (m->net[i].owns_sw && m->net[i].config->mode == NET_HUB && m->net[i].config->hub == l->config->hub)
            l->sw = m->net[i].sw;
    if (!l->sw) {
        char name[24];

        snprintf(name, sizeof name, "hub%u", l->config->hub);
        l->sw = net_switch_new(env, name);
        l->owns_sw = true;
        if (!l->sw)
            return err_set(e, "out of memory");
        net_switch_set_hub(l->sw, true);
    }
    l->port = new_port(l, 0, l->config->id, e);
    return l->port != NULL;
}

static bool open_net(struct machine *m, struct net_link *l, struct err *e)
{
    struct net_env env = net_env(m);
    bool ok;

    switch (l->config->mode) {
    case NET_NAT: ok = open_nat(l, &env, e); break;
    case NET_NATNET:
    case NET_HOSTONLY:
    case NET_INTERNAL: ok = open_segment(m, l, &env, e); break;
    case NET_HUB: ok = open_hub(m, l, &env, e); break;
    default: ok = open_host(m, l, &env, e);
    }
    return ok && forwards(l, e);
}

bool machine_open_nets(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->config->nets; i++) {
        m->net[i].config = &m->config->net[i];
        if (!open_net(m, &m->net[i], e))
            return err_prefix(e, "network '%s'", m->config->net[i].id);
    }
    return true;
}

/* --- cables --- */

static bool captures(const struct net_config *n, struct net_cable *c, struct err *e)
{
    for (unsigned i = 0; i < n->captures; i++)
        if (!net_cable_capture(c, &n->capture[i].o, e))
            return err_prefix(e, "capture '%s'", n->capture[i].o.path);
    return true;
}

/* Join far, an adapter or a port of a hub, to the network. */
static bool plug(struct machine *m, struct net_link *l, struct net_port *far, struct err *e)
{
    struct net_env env = net_env(m);
    const struct net_config *n = l->config;

    l->cable = net_cable_new(&env, n->id, far, l->port, e);
    if (!l->cable)
        return false;
    if (n->impaired)
        net_cable_set_impair(l->cable, &n->impair);
    if (n->link_down)
        net_cable_set_link(l->cable, false);
    return captures(n, l->cable, e);
}

static struct net_link *by_id(struct machine *m, const char *id)
{
    for (unsigned i = 0; i < m->config->nets; i++)
        if (!strcmp(m->config->net[i].id, id))
            return &m->net[i];
    return NULL;
}

static bool plug_hubs(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->config->nets; i++) {
        const struct net_config *n = m->net[i].config;

        if (n->mode == NET_HUB && n->peer && !plug(m, by_id(m, n->peer), m->net[i].port, e))
            return err_prefix(e, "network '%s'", n->peer);
    }
    return true;
}

static void warn(const struct machine *m, const char *what, const char *name, const char *text)
{
    fprintf(stderr, "%s: warning: %s %s %s\n", m->config->program, what, name, text);
}

bool machine_plug_nets(struct machine *m, struct err *e)
{
    if (!plug_hubs(m, e))
        return false;
    for (unsigned i = 0; i < m->config->devices; i++) {
        const char *netdev = device_prop(&m->config->device[i], "netdev");
        struct net_link *l;

        if (!m->nic[i])
            continue;
        if (!netdev) {
            warn(m, "adapter", m->nic[i]->dev->name, "has no network: give it netdev=ID");
            continue;
        }
        l = by_id(m, netdev);
        if (!plug(m, l, nic_port(m->nic[i]), e))
            return err_prefix(e, "network '%s'", netdev);
        l->adapter = m->nic[i]->dev->name;
        l->nic = m->nic[i];
    }
    for (unsigned i = 0; i < m->config->nets; i++)
        if (!m->net[i].cable && !m->net[i].config->peer)
            warn(m, "network", m->config->net[i].id, "has no adapter");
    return true;
}

/* --- the end --- */

void machine_unplug_nets(struct machine *m)
{
    for (unsigned i = 0; i < m->config->nets; i++) {
        net_cable_free(m->net[i].cable);
        m->net[i].cable = NULL;
    }
}

void machine_close_nets(struct machine *m)
{
    for (unsigned i = 0; i < m->config->nets; i++) {
        struct net_link *l = &m->net[i];

        for (unsigned k = 0; k < ARRAY_LEN(l->inner); k++)
            net_cable_free(l->inner[k]);
        for (unsigned k = 0; k < ARRAY_LEN(l->sw_port); k++)
            if (l->sw_port[k])
                net_switch_remove(l->sw, l->sw_port[k]);
        if (l->nat)
            nat_free(l->nat);
        if (l->segment)
            segment_leave(l->segment);
        if (l->host) {
            run_downscript(l);
            net_host_free(l->host);
        }
    }
    for (unsigned i = 0; i < m->config->nets; i++)
        if (m->net[i].owns_sw)
            net_switch_free(m->net[i].sw);
}

/* --- for the monitor --- */

struct net_link *machine_net(struct machine *m, unsigned n) { return n < m->config->nets ? &m->net[n] : NULL; }

struct net_link *machine_net_find(struct machine *m, const char *name, struct err *e)
{
    struct net_link *l = by_id(m, name);

    for (unsigned i = 0; !l && i < m->config->nets; i++)
        if (m->net[i].adapter && !strcmp(m->net[i].adapter, name))
            l = &m->net[i];
    if (!l)
        err_set(e, "no network '%s'; info network lists them", name);
    return l;
}
