/*
 * The learning switch: ports, the table of addresses, forwarding.
 *
 * Theory. Addresses hang in hash chains (the hash is keyed, so that a guest cannot choose addresses of one chain) and each
 * port has a list of its own, oldest first. A port at its share gives up its oldest for a new one, so a guest that
 * invents addresses forgets only its own. Age is looked at when an address is met; nothing runs by itself.
 *
 * Loops. Forwarding happens inside the sender's call, so switches joined in a ring would call each other without end.
 * A switch that is entered while it forwards goes on only to NEST_MAX deep, and the frames that it sends on behalf of such
 * inner calls are bounded by NEST_FRAMES for each outermost call; beyond that they are lost and counted as a storm. Answers
 * that a receiver sends from within its receive are far below both.
 *
 * Source: IEEE 802.1D-2004 7.7 to 7.9 (forwarding, learning, ageing), 7.12.6 (addresses that are not forwarded).
 */
#include "netstack/switch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/gate.h"
#include "netstack/packet.h"

enum {
    BUCKETS = NET_SWITCH_MACS,
    NONE = 0xffff, /* no entry */
    NEST_MAX = 8,
    NEST_FRAMES = 256,
};
#define AGE_NS (300 * NS_PER_SEC)

struct list {
    uint16_t first, last;
};

struct entry {
    uint64_t mac; /* as a number of 48 bits */
    uint64_t seen;
    uint16_t port;
    uint16_t chain;       /* next in the bucket, or in the list of free entries */
    uint16_t older, newer; /* of the same port */
};

struct switch_port {
    struct net_port port; /* first */
    struct net_switch *sw;
    unsigned number;
    bool isolated, gateway;
    struct list macs;
    unsigned mac_count;
    char name[];
};

struct net_switch {
    struct net_env env;
    bool hub;
    unsigned depth, nested; /* calls under way; frames sent on by the inner ones */
    uint64_t storm, key;
    unsigned ports, gateways; /* that are there */
    struct switch_port *port[NET_SWITCH_PORTS];
    uint16_t bucket[BUCKETS], free;
    struct entry entry[NET_SWITCH_MACS];
    char name[];
};

/* --- the table ---------------------------------------------------------------------------------------------------- */

static uint64_t mac_number(const uint8_t *b) { return (uint64_t)ld16be(b) << 32 | ld32be(b + 2); }
static bool mac_group(uint64_t mac) { return mac >> 40 & 1; }

static uint16_t *bucket_of(struct net_switch *s, uint64_t mac)
{
    uint64_t h = (mac ^ s->key) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ (h >> 29) ^ s->key) * UINT64_C(0xbf58476d1ce4e5b9);
    return &s->bucket[h >> 52]; /* BUCKETS is 2^12 */
}

static void list_remove(struct net_switch *s, struct entry *e)
{
    struct switch_port *p = s->port[e->port];

    *(e->older == NONE ? &p->macs.first : &s->entry[e->older].newer) = e->newer;
    *(e->newer == NONE ? &p->macs.last : &s->entry[e->newer].older) = e->older;
    p->mac_count--;
}

static void list_append(struct net_switch *s, struct entry *e, unsigned port)
{
    struct switch_port *p = s->port[port];
    uint16_t i = (uint16_t)(e - s->entry);

    e->port = (uint16_t)port;
    e->older = p->macs.last;
    e->newer = NONE;
    *(e->older == NONE ? &p->macs.first : &s->entry[e->older].newer) = i;
    p->macs.last = i;
    p->mac_count++;
}

static void forget(struct net_switch *s, uint16_t i)
{
    struct entry *e = &s->entry[i];
    uint16_t *link = bucket_of(s, e->mac);

    while (*link != i)
        link = &s->entry[*link].chain;
    *link = e->chain;
    list_remove(s, e);
    e->chain = s->free;
    s->free = i;
}

/* The entry of mac, NULL when there is none or it is too old. */
static struct entry *find(struct net_switch *s, uint64_t mac)
{
    uint16_t i = *bucket_of(s, mac);

    while (i != NONE && s->entry[i].mac != mac)
        i = s->entry[i].chain;
    if (i == NONE)
        return NULL;
    if (clock_now(s->env.clock) - s->entry[i].seen <= AGE_NS)
        return &s->entry[i];
    forget(s, i);
    return NULL;
}

/* Shares shrink when ports are added: with a full table, a port that learnt before has more than its share now. */
static void shrink_largest(struct net_switch *s)
{
    struct switch_port *largest = NULL;

    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++)
        if (s->port[i] && (!largest || s->port[i]->mac_count > largest->mac_count))
            largest = s->port[i];
    forget(s, largest->macs.first);
}

/* The gateway's address stays where it is, whoever pretends to have it. */
static bool may_take_over(const struct switch_port *p, const struct switch_port *owner)
{
    return (!p->isolated || owner->isolated) && (p->gateway || !owner->gateway);
}

static void learn(struct switch_port *p, uint64_t mac)
{
    struct net_switch *s = p->sw;
    struct entry *e = find(s, mac);
    uint16_t i, *bucket;

    if (e && e->port != p->number && !may_take_over(p, s->port[e->port]))
        return;
    if (e) {
        list_remove(s, e);
    } else {
        if (p->mac_count >= NET_SWITCH_MACS / s->ports)
            forget(s, p->macs.first);
        if (s->free == NONE)
            shrink_largest(s);
        i = s->free;
        e = &s->entry[i];
        s->free = e->chain;
        bucket = bucket_of(s, mac);
        e->mac = mac;
        e->chain = *bucket;
        *bucket = i;
    }
    e->seen = clock_now(s->env.clock);
    list_append(s, e, p->number);
}

/* --- forwarding --------------------------------------------------------------------------------------------------- */

/* Isolated ports and gateways; without gateways, isolated ports and those that are not. */
static bool may_talk(const struct switch_port *a, const struct switch_port *b)
{
    if (a->isolated && b->isolated)
        return false;
    return a->isolated == b->isolated || !a->sw->gateways || a->gateway || b->gateway;
}

static void send_on(struct switch_port *from, struct switch_port *to, const struct net_frame *f)
{
    struct net_switch *s = from->sw;

    if (to == from || !may_talk(from, to))
        return;
    if (s->depth > 1 && s->nested++ >= NEST_FRAMES) {
        s->storm++;
        return;
    }
    if (!net_port_send(&to->port, f))
        net_port_drop(&to->port, 1);
}

static void flood(struct switch_port *from, const struct net_frame *f)
{
    struct net_switch *s = from->sw;

    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++)
        if (s->port[i] && s->port[i]->port.cable)
            send_on(from, s->port[i], f);
}

/* 01:80:c2:00:00:00 to 0f: between neighbours only (spanning tree, pause, LLDP). */
static bool mac_link_local(uint64_t mac) { return mac >> 4 == UINT64_C(0x0180c2000000) >> 4; }

static void forward(struct switch_port *p, const struct net_frame *f, uint64_t dst, uint64_t src)
{
    struct net_switch *s = p->sw;
    struct entry *e;

    if (s->hub) {
        flood(p, f);
        return;
    }
    if (mac_group(src))
        return;
    learn(p, src);
    if (mac_link_local(dst))
        return;
    e = mac_group(dst) ? NULL : find(s, dst);
    if (e)
        send_on(p, s->port[e->port], f);
    else
        flood(p, f);
}

static bool switch_receive(struct net_port *port, const struct net_frame *f)
{
    struct switch_port *p = (struct switch_port *)port;
    struct net_switch *s = p->sw;
    struct packet pk = packet_of(f);
    uint8_t scratch[2 * ETH_ALEN];
    const uint8_t *addr = packet_at(&pk, 0, sizeof scratch, scratch);

    if (!addr)
        return true;
    if (s->depth >= NEST_MAX) {
        s->storm++;
        return true;
    }
    if (!s->depth++)
        s->nested = 0;
    forward(p, f, mac_number(addr), mac_number(addr + ETH_ALEN));
    s->depth--;
    return true;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct net_switch *net_switch_new(const struct net_env *env, const char *name)
{
    struct net_switch *s = calloc(1, sizeof *s + strlen(name) + 1);

    if (!s)
        return NULL;
    s->env = *env;
    memcpy(s->name, name, strlen(name) + 1);
    if (env->gate)
        gate_random(env->gate, &s->key, sizeof s->key);
    memset(s->bucket, 0xff, sizeof s->bucket);
    for (unsigned i = 0; i < NET_SWITCH_MACS; i++)
        s->entry[i].chain = (uint16_t)(i + 1 < NET_SWITCH_MACS ? i + 1 : NONE);
    return s;
}

void net_switch_free(struct net_switch *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++)
        free(s->port[i]);
    free(s);
}

struct net_port *net_switch_add(struct net_switch *s, const char *name, bool isolated)
{
    static const struct net_port_ops ops = {.kind = "switch", .receive = switch_receive};
    unsigned i = 0;
    struct switch_port *p;

    while (i < NET_SWITCH_PORTS && s->port[i])
        i++;
    if (i == NET_SWITCH_PORTS || !(p = calloc(1, sizeof *p + strlen(name) + 1)))
        return NULL;
    memcpy(p->name, name, strlen(name) + 1);
    p->port = (struct net_port){.ops = &ops, .name = p->name, .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    p->sw = s;
    p->number = i;
    p->isolated = isolated;
    p->macs = (struct list){NONE, NONE};
    s->port[i] = p;
    s->ports++;
    return &p->port;
}

void net_switch_remove(struct net_switch *s, struct net_port *port)
{
    struct switch_port *p = (struct switch_port *)port;

    while (p->macs.first != NONE)
        forget(s, p->macs.first);
    s->port[p->number] = NULL;
    s->ports--;
    s->gateways -= p->gateway;
    free(p);
}

void net_switch_set_gateway(struct net_switch *s, struct net_port *port)
{
    struct switch_port *p = (struct switch_port *)port;

    s->gateways += !p->gateway;
    p->gateway = true;
}

void net_switch_set_hub(struct net_switch *s, bool hub) { s->hub = hub; }

static void info_macs(const struct net_switch *s, const struct switch_port *p, FILE *out)
{
    uint64_t now = clock_now(s->env.clock);

    for (uint16_t i = p->macs.first; i != NONE; i = s->entry[i].newer) {
        const struct entry *e = &s->entry[i];
        uint8_t b[8];

        st64be(b, e->mac);
        if (now - e->seen <= AGE_NS)
            fprintf(out, "    %02x:%02x:%02x:%02x:%02x:%02x, %" PRIu64 " s ago\n", b[2], b[3], b[4], b[5], b[6], b[7],
                    (now - e->seen) / NS_PER_SEC);
    }
}

void net_switch_info(const struct net_switch *s, FILE *out)
{
    fprintf(out, "%s %s: %u ports", s->hub ? "hub" : "switch", s->name, s->ports);
    if (s->storm)
        fprintf(out, ", %" PRIu64 " frames lost in loops", s->storm);
    fprintf(out, "\n");
    for (unsigned i = 0; i < NET_SWITCH_PORTS; i++) {
        const struct switch_port *p = s->port[i];
        const struct net_port *far = p ? net_port_peer(&p->port) : NULL;

        if (!p)
            continue;
        fprintf(out, "  %s%s: %s, %" PRIu64 " frames to it, %" PRIu64 " lost\n", p->name, p->isolated ? " (isolated)" : "",
                far && far->name ? far->name : "not plugged", p->port.sent.frames, p->port.sent.dropped);
        info_macs(s, p, out);
    }
}
