/*
 * QEMU's options for networks: -netdev, -nic, -net, -object filter-dump. The keys are QEMU's (qapi/net.json); the JSON form of
 * -netdev is turned into key=value first. Sockets and taps are in personality_netdev.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/personality_parts.h"

static const struct {
    const char *type, *why;
} missing[] = {
    {"vde", "vde is not there; use stream, dgram, or internal:NAME of guise run"},
    {"l2tpv3", "l2tpv3 is not there; use stream or dgram"},
    {"netmap", "netmap is not there; use tap or bridge"},
    {"af-xdp", "af-xdp is not there; use tap or bridge"},
    {"vhost-user", "vhost-user is not there; a passt is reached by stream,addr.type=unix,addr.path=PATH"},
    {"vhost-vdpa", "vhost-vdpa is not there; use tap or bridge"},
    {"vmnet-host", "vmnet is macOS's"},
    {"vmnet-shared", "vmnet is macOS's"},
    {"vmnet-bridged", "vmnet is macOS's"},
    {"passt", "start passt yourself (passt --socket PATH), then stream,addr.type=unix,addr.path=PATH,server=off"},
};

static const struct qemu_netdev_type *find_type(const char *type, struct err *e)
{
    const char *names[16], *near;
    unsigned n = 0;

    for (const struct qemu_netdev_type *t = qemu_netdev_types; t->name; t++) {
        if (!strcmp(t->name, type))
            return t;
        names[n++] = t->name;
    }
    names[n] = NULL;
    for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
        if (!strcmp(missing[i].type, type)) {
            err_set(e, "%s", missing[i].why);
            return NULL;
        }
    }
    near = nearest_word(type, names);
    err_set(e, "no network of type '%s'%s%s", type, near ? "; the nearest one is " : "", near ? near : "");
    return NULL;
}

/* The value of key, which leaves the list; NULL: not there. */
static const char *cut(struct keyvals *k, const char *key)
{
    const char *val = NULL;

    for (unsigned i = k->count; i-- > 0;) {
        if (strcmp(k->kv[i].key, key))
            continue;
        val = val ? val : k->kv[i].value;
        memmove(&k->kv[i], &k->kv[i + 1], (--k->count - i) * sizeof k->kv[0]);
    }
    return val;
}

static struct net_config *add_net(struct machine_config *c, struct keyvals *k, const char *id, struct err *e)
{
    const char *type = cut(k, "type");
    const struct qemu_netdev_type *t;
    struct net_config *n;

    if (!type) {
        err_set(e, "expected a type: user, tap, bridge, socket, stream, dgram or hubport");
        return NULL;
    }
    t = find_type(type, e);
    n = t ? config_net_new(c, t->mode, id, e) : NULL;
    if (!n)
        return NULL;
    n->nat.host_loopback = true; /* 10.0.2.2 is the host, as QEMU has it */
    if ((t->prepare && !t->prepare(n, k, e)) || !net_keys_apply(t->keys, c, n, k, type, e) ||
        (t->check && !t->check(c, n, e)))
        return NULL;
    return n;
}

static bool help(struct qemu_cli *q)
{
    puts("Available netdev backend types:");
    for (const struct qemu_netdev_type *t = qemu_netdev_types; t->name; t++)
        puts(t->name);
    q->done = true;
    return true;
}

static bool is_help(const char *arg) { return !strcmp(arg, "help") || !strcmp(arg, "?"); }

/* --- JSON --- */

static void put_escaped(FILE *f, const char *s)
{
    for (; *s; s++) {
        fputc(*s, f);
        if (*s == ',')
            fputc(',', f);
    }
}

/* {"a": {"b": 1}, "c": [{"str": "x"}]} as a.b=1,c=x. */
static bool flatten(FILE *f, const char *prefix, const json_t *v, struct err *e)
{
    const json_t *str = json_object_get(v, "str"), *item;
    const char *key;
    char path[96];
    size_t i;
    bool ok = true;

    if (json_is_object(v) && !(str && json_object_size(v) == 1)) {
        json_object_foreach((json_t *)v, key, item)
        {
            snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
            ok = ok && flatten(f, path, item, e);
        }
        return ok;
    }
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, item) ok = ok && flatten(f, prefix, item, e);
        return ok;
    }
    v = str ? str : v;
    fprintf(f, "%s%s=", ftell(f) ? "," : "", prefix);
    if (json_is_string(v))
        put_escaped(f, json_string_value(v));
    else if (json_is_boolean(v))
        fputs(json_is_true(v) ? "on" : "off", f);
    else if (json_is_integer(v))
        fprintf(f, "%lld", (long long)json_integer_value(v));
    else
        return err_set(e, "JSON: %s: expected a string, a number or a truth value", prefix);
    return true;
}

static bool parse(struct keyvals *k, const char *arg, struct err *e)
{
    json_error_t why;
    json_t *v;
    char *text = NULL;
    size_t len;
    FILE *f;
    bool ok;

    memset(k, 0, sizeof *k);
    if (arg[0] != '{')
        return kv_parse(k, arg, "type", e);
    v = json_loads(arg, JSON_REJECT_DUPLICATES, &why);
    if (!v)
        return err_set(e, "JSON: %s at character %d", why.text, why.position);
    f = open_memstream(&text, &len);
    ok = f ? flatten(f, "", v, e) : err_set(e, "out of memory");
    if (f)
        fclose(f);
    ok = ok && kv_parse(k, text, NULL, e);
    free(text);
    json_decref(v);
    return ok;
}

/* --- the options --- */

bool qemu_netdev(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    const char *id;
    bool ok;

    if (is_help(arg))
        return help(q);
    ok = parse(&k, arg, e);
    id = ok ? cut(&k, "id") : NULL;
    if (ok && !id)
        ok = err_set(e, "needs id=NAME");
    ok = ok && add_net(q->c, &k, id, e);
    kv_free(&k);
    return ok;
}

static bool models(struct qemu_cli *q)
{
    puts("Available NIC models:\nvirtio-net-pci\nvirtio-net-device\ne1000e");
    q->done = true;
    return true;
}

bool qemu_nic(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    const char *id, *model, *mac;
    struct net_config *n;
    bool ok;

    if (!strcmp(arg, "none"))
        return true;
    if (is_help(arg))
        return help(q);
    if (!kv_parse(&k, arg, "type", e)) {
        kv_free(&k);
        return false;
    }
    id = cut(&k, "id");
    model = cut(&k, "model");
    mac = cut(&k, "mac");
    if (model && is_help(model)) {
        kv_free(&k);
        return models(q);
    }
    n = add_net(q->c, &k, id, e);
    ok = n && (!mac || net_set_mac(q->c, n, mac, e)) && (!model || net_set_model(q->c, n, model, e)) &&
         net_nic_driver(n->model, NULL, e);
    if (n)
        n->nic = true;
    kv_free(&k);
    return ok;
}

/* A port of hub 0, where -net puts everything that does not name a network. */
static struct net_config *hub_port(struct machine_config *c, const char *peer, struct err *e)
{
    struct net_config *n;
    char id[24];
    unsigned port = 0;

    for (unsigned i = 0; i < c->nets; i++)
        port += c->net[i].mode == NET_HUB && c->net[i].legacy;
    snprintf(id, sizeof id, "hub0port%u", port);
    n = config_net_new(c, NET_HUB, id, e);
    if (n) {
        n->legacy = true;
        n->peer = peer;
    }
    return n;
}

/* -net nic: an adapter on hub 0, or on the network that netdev= names. */
static bool legacy_nic(struct qemu_cli *q, struct keyvals *k, struct err *e)
{
    static const struct net_key keys[] = {{"type", NET_ALL, NULL, NULL, NULL},
                                          {"name", NET_ALL, NULL, NULL, NULL},
                                          {"id", NET_ALL, NULL, NULL, NULL},
                                          {"model", NET_ALL, net_set_model, NULL, NULL},
                                          {"macaddr", NET_ALL, net_set_mac, NULL, NULL},
                                          {"vectors", NET_ALL, net_set_vectors, NULL, NULL},
                                          {"addr", NET_ALL, net_set_addr, NULL, NULL},
                                          {0}};
    const char *netdev = cut(k, "netdev"), *driver;
    struct net_config *n = hub_port(q->c, NULL, e);
    char spec[256];
    int len;

    if (!n || !net_keys_apply(keys, q->c, n, k, "nic", e) || !(driver = net_nic_driver(n->model, NULL, e)))
        return false;
    n->nic = true;
    if (!netdev)
        return true;
    len = snprintf(spec, sizeof spec, "%s,netdev=%.64s", driver, netdev);
    if (n->mac)
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",mac=%.24s", n->mac);
    if (n->addr)
        len += snprintf(spec + len, sizeof spec - (size_t)len, ",addr=%.16s", n->addr);
    if (n->vectors)
        snprintf(spec + len, sizeof spec - (size_t)len, ",vectors=%.16s", n->vectors);
    q->c->nets--; /* no port of the hub was wanted */
    return config_add_device(q->c, spec, e);
}

bool qemu_net(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    const char *type, *model, *id, *name;
    struct net_config *n;
    bool ok;

    if (!strcmp(arg, "none"))
        return true;
    if (is_help(arg))
        return help(q);
    ok = kv_parse(&k, arg, "type", e);
    type = ok ? kv_get(&k, "type") : NULL;
    model = ok ? kv_get(&k, "model") : NULL;
    if (model && is_help(model)) {
        ok = models(q);
    } else if (type && !strcmp(type, "nic")) {
        ok = legacy_nic(q, &k, e);
    } else if (ok) {
        id = cut(&k, "id");
        name = cut(&k, "name");
        n = add_net(q->c, &k, id ? id : name, e);
        ok = n && (n->mode != NET_HUB || err_set(e, "hubport: is for -netdev")) && hub_port(q->c, n->id, e);
    }
    kv_free(&k);
    return ok;
}

/* --- -object filter-dump --- */

bool qemu_filter_dump(struct qemu_cli *q, struct keyvals *k, const char *id, struct err *e)
{
    const char *netdev = kv_get(k, "netdev"), *file = kv_get(k, "file"), *queue = kv_get(k, "queue");
    const char *status = kv_get(k, "status");
    struct qemu_dump *d = &q->dump[q->dumps];
    uint64_t maxlen = 65536;

    kv_get(k, "insert"); /* an order among filters; a dump changes nothing for the others */
    kv_get(k, "position");
    if (!kv_u64(k, "maxlen", &maxlen, e) || !kv_done(k, e))
        return false;
    if (!netdev || !file)
        return err_set(e, "filter-dump: needs netdev=ID and file=FILE");
    if (status && strcmp(status, "on"))
        return err_set(e, "status=%s: use net_capture in the monitor to begin later", status);
    if (queue && strcmp(queue, "all") && strcmp(queue, "rx") && strcmp(queue, "tx"))
        return err_set(e, "queue=%s: expected all, rx or tx", queue);
    if (q->dumps == SPECS)
        return err_set(e, "more than %d dumps", SPECS);
    q->dumps++;
    d->netdev = config_str(q->c, netdev);
    d->capture.id = config_str(q->c, id);
    /* rx: what the network is sent, which end 0, the adapter's, sends */
    d->capture.o = (struct net_capture_options){
        .path = config_str(q->c, file),
        .snaplen = maxlen && maxlen < NET_FRAME_MAX ? (uint32_t)maxlen : 0,
        .classic = true,
        .only_from = queue && *queue == 'r'   ? 0
                     : queue && *queue == 't' ? 1
                                              : -1,
    };
    return true;
}

bool qemu_finish_dumps(struct qemu_cli *q, struct err *e)
{
    for (unsigned i = 0; i < q->dumps; i++) {
        const struct qemu_dump *d = &q->dump[i];
        struct net_config *n = config_net_find(q->c, d->netdev);

        if (!n)
            return err_set(e, "-object filter-dump,id=%s: no network '%s'", d->capture.id, d->netdev);
        if (!net_set_capture(q->c, n, d->capture.o.path, e))
            return err_prefix(e, "-object filter-dump,id=%s", d->capture.id);
        n->capture[n->captures - 1] = d->capture;
    }
    return true;
}
