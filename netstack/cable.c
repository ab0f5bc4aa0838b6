/*
 * Cables: the way of a frame from one port to the other.
 *
 * Theory. cable_send checks the frame, decides its fate, records it and hands it over, all inside the sender's call: no
 * copy, no queue, and the receiver's refusal is the sender's. Frames wait in the cable only
 *   - by impairment (delay, rate), or
 *   - when the receiver refused in the midst of what the sender sent as one (segments, or a frame impairment had decided
 *     about already): the sender was told "taken", so the cable keeps the rest (a copy of the frame and the number of the
 *     next segment), tries again when the receiver has room, and refuses the sender until it is gone. No segment is
 *     lost or repeated, and at most two frames wait this way in a direction.
 * Receivers may send from within receive, also back into the direction that is delivering (an answer to an answer). Such
 * a frame is refused, with `ready` to follow, while a frame's segments are being handed over (it would come between them)
 * and beyond DEPTH_MAX: the stack is bounded whatever loops people build of switches.
 */
#include "netstack/cable.h"

#include <stdlib.h>

#include "netstack/cable_int.h"

enum { DEPTH_MAX = 8 };

static void dir_init(struct net_cable *c, unsigned end, struct net_port *from, struct net_port *to)
{
    struct cable_dir *d = &c->dir[end];

    d->cable = c;
    d->end = end;
    d->from = from;
    d->to = to;
    wait_init(d);
}

struct net_cable *net_cable_new(const struct net_env *env, const char *name, struct net_port *a, struct net_port *b,
                                struct err *e)
{
    struct net_cable *c;

    if (a == b || a->cable || b->cable) {
        err_set(e, "%s: a port has a cable already", name);
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (!c || !(c->name = strdup(name))) {
        free(c);
        err_set(e, "out of memory");
        return NULL;
    }
    c->env = *env;
    c->up = true;
    dir_init(c, 0, a, b);
    dir_init(c, 1, b, a);
    a->cable = b->cable = c;
    a->full = b->full = false;
    for (unsigned i = 0; i < 2; i++)
        if (c->dir[i].from->ops->link)
            c->dir[i].from->ops->link(c->dir[i].from, true);
    return c;
}

/* Both ends hear of the link; who was refused goes on, into the void. */
static void tell_link(struct net_cable *c, struct net_port *port[2], bool up)
{
    for (unsigned i = 0; i < 2; i++) {
        bool was_full = port[i]->full;

        port[i]->full = false;
        c->dir[i].owed = false;
        if (port[i]->ops->link)
            port[i]->ops->link(port[i], up);
        if (was_full && !up && port[i]->ops->ready)
            port[i]->ops->ready(port[i]);
    }
}

void net_cable_free(struct net_cable *c)
{
    struct net_port *port[2];

    if (!c)
        return;
    for (unsigned i = 0; i < 2; i++) {
        wait_drop(&c->dir[i]);
        clock_drop_timer(&c->dir[i].timer);
        port[i] = c->dir[i].from;
        port[i]->cable = NULL;
    }
    tell_link(c, port, false);
    net_cable_capture_stop(c, NULL);
    free(c->name);
    free(c);
}

void net_cable_set_link(struct net_cable *c, bool up)
{
    struct net_port *port[2] = {c->dir[0].from, c->dir[1].from};

    if (c->up == up)
        return;
    c->up = up;
    if (!up)
        for (unsigned i = 0; i < 2; i++)
            wait_drop(&c->dir[i]);
    tell_link(c, port, up);
}

bool net_cable_link(const struct net_cable *c) { return c->up; }
const char *net_cable_name(const struct net_cable *c) { return c->name; }
struct net_port *net_cable_port(const struct net_cable *c, unsigned end) { return c->dir[end & 1].from; }

void net_cable_info(const struct net_cable *c, FILE *out) { capture_info(c, out); }

void cable_lost(struct cable_dir *d) { d->from->sent.dropped++; }

/* One call of the receiver. */
static bool hand_over(struct cable_dir *d, const struct net_frame *f)
{
    bool taken;

    d->depth++;
    taken = d->to->ops->receive(d->to, f);
    d->depth--;
    return taken;
}

static bool deliver_segments(struct cable_dir *d, const struct net_frame *f, const struct gso *g, unsigned *segment)
{
    struct packet rest = gso_payload(g, f, *segment);
    struct gso_frame out;
    bool taken = true, nested = d->segmenting;

    d->segmenting = true;
    for (; taken && *segment < g->count; *segment += taken) {
        gso_segment(g, *segment, d->to->can & NET_CAN_CSUM, &rest, &out);
        taken = hand_over(d, &out.f);
    }
    d->segmenting = nested;
    return taken;
}

static bool receiver_segments(const struct cable_dir *d, unsigned gso)
{
    static const uint8_t needs[] = {
        [NET_GSO_TCP4] = NET_CAN_TSO4, [NET_GSO_TCP6] = NET_CAN_TSO6, [NET_GSO_UDP4] = NET_CAN_USO, [NET_GSO_UDP6] = NET_CAN_USO};
    unsigned need = needs[gso] | NET_CAN_CSUM;

    return (d->to->can & need) == need;
}

/* A copy in one piece, for a frame in more pieces than the work on it has room for. NULL: no memory. Freed by free. */
static struct net_frame *linear_copy(const struct net_frame *f)
{
    struct linear {
        struct net_frame f;
        struct iovec iov;
        uint8_t data[];
    } *l = malloc(sizeof *l + f->len);
    struct packet p = packet_of(f);

    if (!l)
        return NULL;
    l->f = *f;
    l->iov = (struct iovec){l->data, packet_copy(&p, 0, l->data, f->len)};
    l->f.iov = &l->iov;
    l->f.iovcnt = 1;
    return &l->f;
}

static bool deliver_linear(struct cable_dir *d, const struct net_frame *f, const struct gso *g, unsigned *segment)
{
    struct net_frame *copy = linear_copy(f);
    bool taken = true;

    if (copy)
        taken = cable_deliver(d, copy, g, segment);
    else
        cable_lost(d);
    free(copy);
    return taken;
}

bool cable_deliver(struct cable_dir *d, const struct net_frame *f, const struct gso *g, unsigned *segment)
{
    struct gso_frame out;
    bool first = !*segment, taken;

    if (f->gso ? receiver_segments(d, f->gso) && first : !(f->flags & NET_CSUM_PARTIAL) || d->to->can & NET_CAN_CSUM) {
        taken = hand_over(d, f);
    } else if (f->iovcnt >= GSO_IOV_MAX) {
        return deliver_linear(d, f, g, segment);
    } else if (f->gso) {
        taken = deliver_segments(d, f, g, segment);
    } else if (csum_complete(f, &out)) {
        taken = hand_over(d, &out.f);
    } else {
        cable_lost(d);
        return true;
    }
    if (first && (taken || *segment)) {
        d->from->sent.frames++;
        d->from->sent.bytes += f->len;
    }
    return taken;
}

/* Longer than the receiver's MTU, each segment of it for a gso frame. */
static bool too_long(const struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    uint16_t type;

    if (f->gso)
        return g->len - g->l3 + (g->payload < g->size ? g->payload : g->size) > d->to->mtu;
    return f->len > (size_t)d->to->mtu + ETH_HLEN && f->len - frame_l3(f, &type) > d->to->mtu;
}

/*
 * Refuse the sender on the cable's own account: there will be room when the calls under way have returned. What the
 * receiver refuses is another matter: it says itself when there is room, and is not asked before.
 */
static bool refuse(struct cable_dir *d)
{
    d->from->full = true;
    d->owed |= !d->stuck && d->depth;
    return false;
}

/* The outermost call into the direction returns: whoever was refused meanwhile goes on. */
static void settle(struct cable_dir *d)
{
    if (d->depth || !d->owed || d->stuck)
        return;
    d->owed = false;
    d->from->full = false;
    if (!d->from->ops->ready)
        return;
    d->depth++; /* so that what ready sends does not come here again: the next turn is the timer's */
    d->from->ops->ready(d->from);
    d->depth--;
    if (d->owed)
        timer_arm(&d->timer, clock_now(d->cable->env.clock));
}

static bool send_now(struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    unsigned segment = 0;
    bool taken;

    if (d->cable->captures) /* before the receiver answers */
        capture_frame(d, f, NULL);
    taken = cable_deliver(d, f, g, &segment);
    if (!taken && !segment) {
        capture_undo(d, f);
        d->from->full = true;
        return false;
    }
    if (!taken && !wait_first(d, f, segment))
        cable_lost(d);
    settle(d);
    return true;
}

/* What befalls frames one by one befalls the packets of a gso frame one by one, as on a wire. */
static void impair_segments_of(struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    struct packet rest = gso_payload(g, f, 0);
    struct gso_frame out;

    d->segmenting = true;
    for (unsigned i = 0; i < g->count; i++) {
        gso_segment(g, i, true, &rest, &out);
        impair_send(d, &out.f, NULL);
    }
    d->segmenting = false;
}

static void send_impaired(struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    struct net_frame *copy;

    if (!f->gso || !impair_segments(d)) {
        impair_send(d, f, g);
    } else if (f->iovcnt < GSO_IOV_MAX) {
        impair_segments_of(d, f, g);
    } else if ((copy = linear_copy(f))) {
        impair_segments_of(d, copy, g);
        free(copy);
    } else {
        cable_lost(d);
    }
}

static bool lost_because(struct cable_dir *d, const struct net_frame *f, const char *why)
{
    capture_frame(d, f, why);
    cable_lost(d);
    return true;
}

bool cable_send(struct cable_dir *d, const struct net_frame *f)
{
    struct gso g;

    if (!d->cable->up || f->len < ETH_HLEN || f->len > NET_FRAME_MAX) {
        cable_lost(d);
        return true;
    }
    if (!frame_valid(f) || (f->gso && !gso_parse(&g, f)))
        return lost_because(d, f, "lost: offload fields that do not fit the frame");
    if (too_long(d, f, &g))
        return lost_because(d, f, "lost: longer than the receiver's MTU");
    if (d->segmenting || d->depth >= DEPTH_MAX || (d->stuck && !impair_delays(d)))
        return refuse(d);
    if (!impair_on(d))
        return send_now(d, f, &g);
    send_impaired(d, f, &g);
    settle(d);
    return true;
}

void cable_room(struct cable_dir *d)
{
    wait_flush(d);
    if (d->stuck || d->flushing || !d->from->full)
        return;
    d->owed = true;
    settle(d);
}
