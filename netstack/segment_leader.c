/* The one with the switch: it listens, and each member that connects gets a port (segment_peer.c). */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

enum { RESUME_NS = 1000000000, LEASES_NS = 20000000 };

/* --- places on the switch ---------------------------------------------------------------------------------------- */

bool plug_in(struct plug *p, const struct net_env *env, struct net_switch *sw, struct net_port *port, bool isolated,
             struct err *e)
{
    p->sw = sw;
    p->port = net_switch_add(sw, port->name, isolated);
    if (!p->port)
        return err_set(e, "the switch has no more ports");
    p->cable = net_cable_new(env, port->name, p->port, port, e);
    if (p->cable)
        return true;
    net_switch_remove(sw, p->port);
    p->port = NULL;
    return false;
}

void plug_out(struct plug *p)
{
    if (!p->port)
        return;
    net_cable_free(p->cable);
    net_switch_remove(p->sw, p->port);
    p->port = NULL;
}

/* --- our own port ------------------------------------------------------------------------------------------------ */

static bool own_receive(struct net_port *p, const struct net_frame *f)
{
    struct leader *l = p->arg;

    return net_port_send(&l->s->port, f);
}

static void own_ready(struct net_port *p)
{
    struct leader *l = p->arg;

    net_port_room(&l->s->port);
}

static const struct net_port_ops own_ops = {.kind = "segment", .receive = own_receive, .ready = own_ready};

bool leader_send(struct leader *l, const struct net_frame *f)
{
    bool taken = net_port_send(&l->own, f);

    leader_watch_leases(l);
    return taken;
}

void leader_ready(struct leader *l) { net_port_room(&l->own); }

/* --- leases ------------------------------------------------------------------------------------------------------- */

/* Not at once: an address takes four messages, and many guests may start together. */
void leader_watch_leases(struct leader *l)
{
    struct nat *nat = leader_nat(l);

    if (nat && l->peers && nat_leases_version(nat) != l->leases_version && l->leases_timer.when == CLOCK_NEVER)
        timer_arm(&l->leases_timer, clock_now(l->s->env.clock) + LEASES_NS);
}

static void tell_leases(void *arg)
{
    struct leader *l = arg;
    struct nat_lease_state leases[MSG_LEASES_MAX];
    unsigned n = nat_leases(leader_nat(l), leases, MSG_LEASES_MAX);

    l->leases_version = nat_leases_version(leader_nat(l));
    peers_tell_leases(l, leases, n);
}

/* --- who connects ------------------------------------------------------------------------------------------------ */

static void listener_event(void *arg, int fd, unsigned events)
{
    struct leader *l = arg;

    (void)events;
    for (unsigned i = 0; i < SEGMENT_PENDING; i++) {
        int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (conn >= 0) {
            peer_new(l, conn);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            if (errno != EAGAIN) { /* no descriptors: it would be reported for ever */
                l->deaf = true;
                loop_change(l->s->env.loop, fd, 0);
                timer_arm(&l->s->retry, clock_now(l->s->env.clock) + RESUME_NS);
            }
            return;
        }
    }
}

void leader_resume(struct leader *l)
{
    if (l->deaf)
        loop_change(l->s->env.loop, l->listener, LOOP_IN);
    l->deaf = false;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static bool leader_init(struct leader *l, struct err *e)
{
    struct segment *s = l->s;

    e->msg[0] = '\0';
    l->own = (struct net_port){.ops = &own_ops, .arg = l, .name = s->member, .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    l->sw = net_switch_new(&s->env, s->name);
    if (!l->sw)
        return err_set(e, "out of memory");
    if (!plug_in(&l->own_plug, &s->env, l->sw, &l->own, s->c.isolated, e))
        return false;
    l->gateway = gateway_new(s, l->sw, e);
    if (!l->gateway && e->msg[0])
        return false;
    if (leader_nat(l))
        nat_leases_restore(leader_nat(l), s->leases, s->lease_count);
    l->listener = segment_listen(&s->paths, e);
    return l->listener >= 0 && loop_add(s->env.loop, l->listener, LOOP_IN, listener_event, l, e);
}

struct leader *leader_new(struct segment *s, int lock, struct err *e)
{
    struct leader *l = calloc(1, sizeof *l);

    if (!l) {
        err_set(e, "out of memory");
        segment_unlock(&s->paths, lock);
        return NULL;
    }
    l->s = s;
    l->lock = lock;
    l->listener = -1;
    timer_init(&l->leases_timer, s->env.clock, tell_leases, l);
    if (leader_init(l, e))
        return l;
    leader_free(l);
    return NULL;
}

/*
 * The lock goes before the connections: the members that their ends wake find it free. Before the lock goes what the
 * next one opens under the same names: ports of forwards, the host's interface.
 */
void leader_free(struct leader *l)
{
    if (!l)
        return;
    if (l->listener >= 0) {
        loop_remove(l->s->env.loop, l->listener);
        close(l->listener);
    }
    gateway_free(l->gateway);
    l->gateway = NULL;
    segment_unlock(&l->s->paths, l->lock);
    clock_drop_timer(&l->leases_timer);
    for (struct peer *p = l->peers; p; p = p->next)
        p->joined = false; /* nobody is told who else leaves */
    while (l->peers)
        peer_free(l->peers);
    plug_out(&l->own_plug);
    net_switch_free(l->sw);
    free(l);
}

struct nat *leader_nat(const struct leader *l) { return l->gateway ? gateway_nat(l->gateway) : NULL; }

/* --- for people -------------------------------------------------------------------------------------------------- */

unsigned leader_members(const struct leader *l)
{
    unsigned n = 1; /* ourselves */

    for (const struct peer *p = l->peers; p; p = p->next)
        n += p->joined && !p->dead;
    return n;
}

static size_t roster_line(char *text, size_t size, size_t at, const char *name, pid_t pid, const char *more)
{
    int n = at < size ? snprintf(text + at, size - at, "  %s (process %ld)%s\n", name, (long)pid, more) : 0;

    return at + (size_t)(n > 0 ? n : 0);
}

void leader_roster(const struct leader *l, char *text, size_t size)
{
    const struct segment *s = l->s;
    size_t at = roster_line(text, size, 0, s->member, getpid(),
                            s->c.isolated ? ", has the switch, isolated" : ", has the switch");

    for (const struct peer *p = l->peers; p; p = p->next)
        if (p->joined && !p->dead)
            at = roster_line(text, size, at, p->name, p->pid, p->isolated ? ", isolated" : "");
}

void leader_info(const struct leader *l, FILE *out)
{
    char text[MSG_TEXT_MAX];

    leader_roster(l, text, sizeof text);
    fputs(text, out);
    net_switch_info(l->sw, out);
    if (l->gateway)
        gateway_info(l->gateway, out);
}
