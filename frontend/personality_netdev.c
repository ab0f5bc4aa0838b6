/* The types of QEMU's -netdev and their keys (QEMU qapi/net.json). */
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/net_words.h"
#include "frontend/personality_parts.h"

#define SET(name)                                                                                                      \
    static bool set_##name(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
#define SET_STRING(name, field)                                                                                        \
    SET(name)                                                                                                          \
    {                                                                                                                  \
        (void)e;                                                                                                       \
        n->field = config_str(c, value);                                                                               \
        return true;                                                                                                   \
    }
#define KEY(name, setter)                                                                                              \
    {                                                                                                                  \
        name, NET_ALL, setter, NULL, NULL                                                                              \
    }

/* Keys that cannot matter here: how the host's kernel or QEMU's threads would do the same thing. */
static bool no_effect(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
{
    (void)c;
    (void)n;
    (void)value;
    (void)e;
    return true;
}

/* --- user --- */

SET(smb)
{
    (void)c;
    (void)n;
    return err_set(e, "smb=%s: a file server is not there; tftp= serves a folder, guestfwd= reaches a server of yours",
                   value);
}

static const struct net_key user_keys[] = {
    KEY("ipv4", net_set_ipv4),
    KEY("ipv6", net_set_ipv6),
    KEY("net", net_set_net),
    KEY("ip", net_set_net), /* its oldest name */
    KEY("host", net_set_host),
    KEY("dns", net_set_dns),
    KEY("dhcpstart", net_set_dhcpstart),
    KEY("ipv6-net", net_set_net6),
    KEY("ipv6-prefix", net_set_prefix6),
    KEY("ipv6-prefixlen", net_set_prefix6len),
    KEY("ipv6-host", net_set_host6),
    KEY("ipv6-dns", net_set_dns6),
    KEY("restrict", net_set_restrict),
    KEY("hostname", net_set_hostname),
    KEY("domainname", net_set_domain),
    KEY("dnssearch", net_set_search),
    KEY("tftp", net_set_tftp),
    KEY("tftp-server-name", net_set_tftp_name),
    KEY("bootfile", net_set_bootfile),
    KEY("hostfwd", net_set_hostfwd),
    KEY("guestfwd", net_set_guestfwd),
    KEY("smb", set_smb),
    KEY("smbserver", set_smb),
    {0},
};

/* --- tap, bridge --- */

SET_STRING(name, name)
SET_STRING(bridge, bridge)

SET(vhost)
{
    bool on;

    (void)c;
    (void)n;
    if (!parse_bool(value, &on))
        return err_set(e, "vhost=%s: expected on or off", value);
    return !on || err_set(e, "vhost=on: the host's kernel cannot serve this guest; leave it out");
}

SET(vhostfd)
{
    (void)c;
    (void)n;
    return err_set(e, "vhostfd=%s: the host's kernel cannot serve this guest; leave it out", value);
}

/* Queues of one tap: the first serves, the others are closed, which takes them off the tap. */
SET(fds)
{
    char first[16];

    snprintf(first, sizeof first, "%.*s", (int)strcspn(value, ":"), value);
    n->spare_fds = value[strcspn(value, ":")] ? config_str(c, value + strcspn(value, ":") + 1) : NULL;
    return net_set_fd(c, n, first, e);
}

static const struct net_key tap_keys[] = {
    KEY("ifname", set_name),       KEY("fd", net_set_fd),
    KEY("fds", set_fds),           KEY("script", net_set_script),
    KEY("downscript", net_set_downscript), KEY("br", set_bridge),
    KEY("helper", net_set_helper), KEY("queues", net_set_queues),
    KEY("vhost", set_vhost),       KEY("vhostforce", set_vhost),
    KEY("vhostfd", set_vhostfd),   KEY("vhostfds", set_vhostfd),
    KEY("sndbuf", no_effect),      KEY("vnet_hdr", no_effect),
    KEY("poll-us", no_effect),     {0},
};

/* QEMU runs these unless it is told otherwise, for interfaces that it opens itself; where they are not there, so be it. */
static bool tap_check(struct machine_config *c, struct net_config *n, struct err *e)
{
    static const char up[] = "/etc/qemu-ifup", down[] = "/etc/qemu-ifdown";
    bool opens = n->fd < 0 && !n->helper && !n->bridge;

    (void)c;
    if (!opens && ((n->script && *n->script) || (n->downscript && *n->downscript)))
        return err_set(e, "script= and downscript= are for taps that are opened by name, not with fd=, br= or helper=");
    if (opens && !n->script && !access(up, X_OK))
        n->script = up;
    if (opens && !n->downscript && !access(down, X_OK))
        n->downscript = down;
    return true;
}

static const struct net_key bridge_keys[] = {KEY("br", set_bridge), KEY("helper", net_set_helper), {0}};

static bool bridge_check(struct machine_config *c, struct net_config *n, struct err *e)
{
    (void)c;
    (void)e;
    n->name = n->bridge ? n->bridge : "br0";
    n->bridge = n->name;
    return true;
}

/* --- socket, stream, dgram --- */

static bool has(const struct keyvals *k, const char *key)
{
    for (unsigned i = 0; i < k->count; i++)
        if (!strcmp(k->kv[i].key, key))
            return true;
    return false;
}

static bool host_port(struct machine_config *c, const char *key, const char *value, const char *none, const char **host,
                      const char **port, struct err *e)
{
    char h[64], p[8];

    if (!net_place_parse(value, h, p))
        return err_set(e, "%s=%s: expected HOST:PORT", key, value);
    *host = config_str(c, h[0] ? h : none);
    *port = config_str(c, p);
    return true;
}

SET(listen)
{
    n->stream.server = true;
    return host_port(c, "listen", value, "0.0.0.0", &n->stream.host, &n->stream.port, e);
}

SET(connect) { return host_port(c, "connect", value, "127.0.0.1", &n->stream.host, &n->stream.port, e); }
SET(udp) { return host_port(c, "udp", value, "127.0.0.1", &n->dgram.remote_host, &n->dgram.remote_port, e); }

SET(localaddr)
{
    if (!n->dgram.mcast && strchr(value, ':'))
        return host_port(c, "localaddr", value, "127.0.0.1", &n->dgram.local_host, &n->dgram.local_port, e);
    n->dgram.local_host = config_str(c, value);
    return true;
}

SET_STRING(mcast, dgram.mcast)

static const struct net_key socket_keys[] = {
    KEY("listen", set_listen),
    KEY("connect", set_connect),
    KEY("udp", set_udp),
    KEY("mcast", set_mcast),
    KEY("fd", net_set_fd),
    KEY("localaddr", set_localaddr),
    {0},
};

static bool socket_prepare(struct net_config *n, const struct keyvals *k, struct err *e)
{
    unsigned ways = has(k, "fd") + has(k, "listen") + has(k, "connect") + has(k, "mcast") + has(k, "udp");

    if (ways != 1)
        return err_set(e, "socket: exactly one of listen=, connect=, mcast=, udp= and fd= is needed");
    if (has(k, "udp") && !has(k, "localaddr"))
        return err_set(e, "socket: udp= needs localaddr=HOST:PORT");
    if (has(k, "localaddr") && !has(k, "udp") && !has(k, "mcast"))
        return err_set(e, "socket: localaddr= goes with mcast= and udp=");
    if (has(k, "mcast") || has(k, "udp"))
        n->mode = NET_DGRAM;
    /* localaddr= is read with mcast= known */
    n->dgram.mcast = has(k, "mcast") ? "" : NULL;
    return true;
}

/* A part of a SocketAddress: type, host, port, path, str. */
struct socket_address {
    const char *type, *host, *port, *path, *str;
};

static struct socket_address address(const struct keyvals *k, const char *prefix)
{
    struct socket_address a = {0};
    const struct {
        const char *name;
        const char **to;
    } parts[] = {{"type", &a.type}, {"host", &a.host}, {"port", &a.port}, {"path", &a.path}, {"str", &a.str}};
    char key[32];

    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        snprintf(key, sizeof key, "%s.%s", prefix, parts[p].name);
        for (unsigned i = 0; i < k->count; i++)
            if (!strcmp(k->kv[i].key, key))
                *parts[p].to = k->kv[i].value;
    }
    return a;
}

static bool check_address(const struct socket_address *a, const char *prefix, struct err *e)
{
    if (!a->type)
        return err_set(e, "needs %s.type=inet, unix or fd", prefix);
    if (!strcmp(a->type, "inet"))
        return (a->host && a->port) || err_set(e, "%s.type=inet: needs %s.host= and %s.port=", prefix, prefix, prefix);
    if (!strcmp(a->type, "unix"))
        return a->path || err_set(e, "%s.type=unix: needs %s.path=", prefix, prefix);
    if (!strcmp(a->type, "fd"))
        return a->str || err_set(e, "%s.type=fd: needs %s.str=", prefix, prefix);
    return err_set(e, "%s.type=%s: expected inet, unix or fd", prefix, a->type);
}

static bool stream_prepare(struct net_config *n, const struct keyvals *k, struct err *e)
{
    struct socket_address a = address(k, "addr");

    (void)n;
    return check_address(&a, "addr", e);
}

static bool dgram_prepare(struct net_config *n, const struct keyvals *k, struct err *e)
{
    struct socket_address local = address(k, "local"), remote = address(k, "remote");
    struct net_addr group;

    if (!local.type && !remote.type)
        return err_set(e, "dgram: needs local.type= or remote.type=");
    if ((local.type && !check_address(&local, "local", e)) || (remote.type && !check_address(&remote, "remote", e)))
        return false;
    if (remote.type && !strcmp(remote.type, "fd"))
        return err_set(e, "remote.type=fd: goes with local only");
    if (remote.host && net_addr_parse(remote.host, &group) && net_addr_is4(&group) && group.b[12] >> 4 == 14)
        n->dgram.mcast = ""; /* a group; put together once the keys are read */
    else if (!local.type)
        return err_set(e, "dgram: needs local.type=, unless remote is a multicast group");
    else if (!remote.type && strcmp(local.type, "fd"))
        return err_set(e, "dgram: needs remote.type=");
    return true;
}

SET(server)
{
    (void)c;
    return parse_bool(value, &n->stream.server) || err_set(e, "server=%s: expected on or off", value);
}

SET(reconnect)
{
    uint64_t seconds;

    (void)c;
    if (!parse_u64(value, &seconds) || seconds > 86400)
        return err_set(e, "reconnect=%s: expected seconds", value);
    n->stream.reconnect_ms = (uint32_t)seconds * 1000;
    return true;
}

SET(abstract)
{
    bool on;

    (void)c;
    (void)n;
    return (parse_bool(value, &on) && !on) ||
           err_set(e, "abstract=%s: abstract sockets are not there; use a path", value);
}

SET_STRING(stream_host, stream.host)
SET_STRING(stream_port, stream.port)
SET_STRING(stream_path, stream.path)
SET_STRING(local_host, dgram.local_host)
SET_STRING(local_port, dgram.local_port)
SET_STRING(local_path, dgram.local_path)
SET_STRING(remote_host, dgram.remote_host)
SET_STRING(remote_port, dgram.remote_port)
SET_STRING(remote_path, dgram.remote_path)

static const struct net_key stream_keys[] = {
    KEY("server", set_server),
    KEY("reconnect", set_reconnect),
    KEY("reconnect-ms", net_set_reconnect_ms),
    KEY("addr.type", no_effect),
    KEY("addr.host", set_stream_host),
    KEY("addr.port", set_stream_port),
    KEY("addr.path", set_stream_path),
    KEY("addr.str", net_set_fd),
    KEY("addr.numeric", no_effect),
    KEY("addr.ipv4", no_effect),
    KEY("addr.ipv6", no_effect),
    KEY("addr.keep-alive", no_effect),
    KEY("addr.abstract", set_abstract),
    {0},
};

static const struct net_key dgram_keys[] = {
    KEY("local.type", no_effect),        KEY("local.host", set_local_host),    KEY("local.port", set_local_port),
    KEY("local.path", set_local_path),   KEY("local.str", net_set_fd),         KEY("local.abstract", set_abstract),
    KEY("remote.type", no_effect),       KEY("remote.host", set_remote_host),  KEY("remote.port", set_remote_port),
    KEY("remote.path", set_remote_path), KEY("remote.abstract", set_abstract), {0},
};

static bool dgram_check(struct machine_config *c, struct net_config *n, struct err *e)
{
    struct net_dgram_options *d = &n->dgram;
    char group[80];

    (void)e;
    if (!d->mcast)
        return true;
    snprintf(group, sizeof group, "%.60s:%.8s", d->remote_host, d->remote_port);
    d->mcast = config_str(c, group);
    d->remote_host = d->remote_port = NULL;
    return true;
}

/* --- hubport --- */

SET(hubid)
{
    uint64_t v;

    (void)c;
    if (!parse_u64(value, &v) || v > INT32_MAX)
        return err_set(e, "hubid=%s: expected a number", value);
    n->hub = (unsigned)v;
    return true;
}

SET_STRING(peer, peer)

static const struct net_key hub_keys[] = {KEY("hubid", set_hubid), KEY("netdev", set_peer), {0}};

static bool hub_prepare(struct net_config *n, const struct keyvals *k, struct err *e)
{
    (void)n;
    return has(k, "hubid") || err_set(e, "hubport: needs hubid=N");
}

const struct qemu_netdev_type qemu_netdev_types[] = {
    {"user", NET_NAT, user_keys, NULL, NULL},
    {"tap", NET_TAP, tap_keys, NULL, tap_check},
    {"bridge", NET_BRIDGE, bridge_keys, NULL, bridge_check},
    {"socket", NET_STREAM, socket_keys, socket_prepare, NULL},
    {"stream", NET_STREAM, stream_keys, stream_prepare, NULL},
    {"dgram", NET_DGRAM, dgram_keys, dgram_prepare, dgram_check},
    {"hubport", NET_HUB, hub_keys, hub_prepare, NULL},
    {0},
};
