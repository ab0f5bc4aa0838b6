/*
 * A member's life.
 *
 * Elections. Whoever holds the lock has the switch. A member without one tries to take the lock; if another has it, it
 * connects to the socket; if nobody listens there (the other is just starting, or ending), it tries again a little later,
 * with a delay that grows and differs from member to member. A switch that ends closes its members' sockets, and each
 * starts to seek at once: one gets the lock, the others find its socket. The guest notices nothing but lost frames.
 * Only segment_join waits, so that what is wrong for good is known at start: a short time, and only for other processes, for
 * a switch of this process may live on this thread. A process that is itself starting may take longer to answer: then
 * joining goes on with the loop.
 */
#include "netstack/segment.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

enum { JOIN_TRIES = 50, WELCOME_TRIES = 100, JOIN_WAIT_MS = 10 }; /* 0.5 s for somebody to listen, 1 s for an answer */
enum { MS = 1000000, RETRY_MIN = 5 * MS, RETRY_MAX = 160 * MS, RETRY_REFUSED = 1000 * MS };

enum attempt { LEADS, ASKED, LATER, NEVER /* e says why */ };

/* --- the port ---------------------------------------------------------------------------------------------------- */

static bool port_receive(struct net_port *p, const struct net_frame *f)
{
    struct segment *s = p->arg;

    switch (s->state) {
    case SEGMENT_LEADER: return leader_send(s->leader, f);
    case SEGMENT_MEMBER:
        if (!wire_send(&s->wire, f))
            return false;
        if (s->wire.broken)
            segment_again(s);
        return true;
    default: s->lost++; return true;
    }
}

static void port_ready(struct net_port *p)
{
    struct segment *s = p->arg;

    if (s->state == SEGMENT_LEADER) {
        leader_ready(s->leader);
    } else {
        s->wire.held = false;
        segment_again(s);
    }
}

static const struct net_port_ops port_ops = {.kind = "segment", .receive = port_receive, .ready = port_ready};

struct net_port *segment_port(struct segment *s) { return &s->port; }

/* --- turns ------------------------------------------------------------------------------------------------------- */

void segment_again(struct segment *s) { loop_call(&s->turn); }

static void segment_turn(void *arg)
{
    struct segment *s = arg;

    if (s->state == SEGMENT_LEADER)
        leader_turn(s->leader);
    else if (s->state != SEGMENT_SEEKING)
        member_turn(s);
}

/* --- elections --------------------------------------------------------------------------------------------------- */

static bool same_kind(const struct segment *s, struct err *e)
{
    enum segment_kind kind;
    pid_t pid;

    if (!segment_lock_read(s->paths.lock, &kind, &pid) || kind == s->c.kind)
        return true;
    return err_set(e, "it is there as %s:%s (process %ld)", segment_kind_name(kind), s->name, (long)pid);
}

static enum attempt lead(struct segment *s, int lock, struct err *e)
{
    s->leader = leader_new(s, lock, e);
    if (!s->leader)
        return NEVER;
    s->state = SEGMENT_LEADER;
    s->tries = 0;
    forwards_make(s);
    segment_settled(s);
    return LEADS;
}

static enum attempt attempt(struct segment *s, struct err *e)
{
    pid_t pid = 0;
    int fd = segment_lock(&s->paths, s->c.kind, e);

    if (fd >= 0)
        return lead(s, fd, e);
    if (e->msg[0] || !same_kind(s, e))
        return NEVER;
    fd = segment_connect(s->paths.sock, &pid, e);
    if (fd < 0)
        return e->msg[0] ? NEVER : LATER;
    return member_start(s, fd, pid, e) ? ASKED : LATER;
}

static void retry_after(struct segment *s, uint64_t ns)
{
    uint32_t jitter = ((uint32_t)getpid() * 31 + s->tries) * 2654435761u >> 22; /* 0..1023 */

    timer_arm(&s->retry, clock_now(s->env.clock) + ns / 2 + ns * jitter / 1024);
}

static void try_again(struct segment *s)
{
    struct err e;
    uint64_t ns = RETRY_MIN << (s->tries < 5 ? s->tries : 5);

    switch (attempt(s, &e)) {
    case LATER: retry_after(s, ns < RETRY_MAX ? ns : RETRY_MAX); break;
    case NEVER:
        if (!s->tries)
            log_write(s->env.log, "network '%s': %s; trying again\n", s->name, e.msg);
        retry_after(s, RETRY_REFUSED);
        break;
    default: return;
    }
    s->tries++;
}

static void retry_expired(void *arg)
{
    struct segment *s = arg;

    if (s->state == SEGMENT_SEEKING)
        try_again(s);
    else if (s->state == SEGMENT_LEADER)
        leader_resume(s->leader);
}

void segment_seek(struct segment *s)
{
    member_cut(s);
    s->elections++;
    try_again(s);
}

void segment_refused(struct segment *s)
{
    member_cut(s);
    if (!s->tries++)
        log_write(s->env.log, "network '%s': %s; trying again\n", s->name, s->refusal);
    retry_after(s, RETRY_REFUSED);
}

void segment_settled(struct segment *s)
{
    s->tries = 0;
    net_port_room(&s->port);
    segment_again(s);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static bool init(struct segment *s, const struct net_env *env, const struct segment_config *c, struct err *e)
{
    static const struct wire no_wire = {.fd = -1};
    char dir[SEGMENT_DIR_MAX];

    s->env = *env;
    s->c = *c;
    snprintf(s->name, sizeof s->name, "%s", c->name);
    snprintf(s->member, sizeof s->member, "%s", c->member && *c->member ? c->member : "guise");
    s->c.name = s->name;
    s->c.member = s->member;
    s->wire = no_wire;
    s->wire.port = &s->port;
    s->port = (struct net_port){.ops = &port_ops, .arg = s, .name = s->name, .can = NET_CAN_ALL, .mtu = c->nat.mtu};
    if (!s->port.mtu)
        s->port.mtu = c->kind == SEGMENT_INTERNAL ? NET_MTU_MAX : NET_MTU_DEFAULT;
    timer_init(&s->retry, env->clock, retry_expired, s);
    loop_call_init(&s->turn, env->loop, segment_turn, s);
    s->buf = malloc(NET_FRAME_MAX);
    if (!s->buf)
        return err_set(e, "out of memory");
    return segment_dir(c->dir, true, dir, e) && segment_paths(&s->paths, dir, s->name, e);
}

/* Until WELCOME, or for as long as it is worth it. false with e "": the other is gone, try again. */
static bool wait_welcome(struct segment *s, struct err *e)
{
    for (unsigned i = 0; i < WELCOME_TRIES; i++) {
        struct pollfd p = {s->wire.fd, POLLIN, 0};
        bool alive;

        poll(&p, 1, JOIN_WAIT_MS);
        alive = member_read(s);
        if (s->state == SEGMENT_MEMBER)
            return true;
        e->msg[0] = '\0';
        if (s->refusal[0])
            return err_set(e, "%s", s->refusal);
        if (!alive)
            return false;
    }
    log_write(s->env.log, "network '%s': process %ld has the switch, and does not answer yet\n", s->name, (long)s->leader_pid);
    return true;
}

static bool join(struct segment *s, struct err *e)
{
    for (unsigned i = 0; i < JOIN_TRIES; i++) {
        switch (attempt(s, e)) {
        case LEADS: return true;
        case NEVER: return false;
        case ASKED:
            if (s->leader_pid == getpid() || wait_welcome(s, e))
                return true;
            if (e->msg[0])
                return false;
            member_cut(s);
            break;
        case LATER: break;
        }
        poll(NULL, 0, JOIN_WAIT_MS);
    }
    log_write(s->env.log, "network '%s': whoever has '%s' does not listen yet\n", s->name, s->paths.lock);
    try_again(s);
    return true;
}

struct segment *segment_join(const struct net_env *env, const struct segment_config *c, struct err *e)
{
    struct segment *s;

    if (!segment_name_check(c->name, e))
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, "out of memory");
        return NULL;
    }
    if (init(s, env, c, e) && join(s, e))
        return s;
    err_prefix(e, "network '%s'", s->name);
    segment_leave(s);
    return NULL;
}

void segment_leave(struct segment *s)
{
    if (!s)
        return;
    clock_drop_timer(&s->retry);
    leader_free(s->leader);
    member_cut(s);
    forwards_free(s);
    loop_call_cancel(&s->turn);
    free(s->buf);
    free(s);
}

struct nat *segment_nat(struct segment *s) { return s->leader ? leader_nat(s->leader) : NULL; }
