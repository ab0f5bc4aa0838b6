/*
 * Peers: the leader's side of the members' connections.
 *
 * A peer is untrusted: it may say anything, hang, or die. What it does not read is dropped at the switch; what it says
 * wrong ends it. It is freed only between frames, at the end of a turn (peer_end marks it): a frame for it may be on its
 * way through the switch when its ring is found broken.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

enum { MESSAGES = 64 }; /* of a turn */

static void peer_end(struct peer *p)
{
    p->dead = true;
    segment_again(p->l->s);
}

static bool peer_receive(struct net_port *port, const struct net_frame *f)
{
    struct peer *p = port->arg;

    if (!wire_send(&p->wire, f))
        return false;
    if (p->wire.broken)
        peer_end(p);
    return true;
}

static void peer_ready(struct net_port *port)
{
    struct peer *p = port->arg;

    p->wire.held = false;
    p->busy = true;
    segment_again(p->l->s);
}

static const struct net_port_ops peer_ops = {.kind = "member", .receive = peer_receive, .ready = peer_ready};

static void send_roster(struct peer *p, const char *text)
{
    p->roster_due = !msg_send_text(p->wire.fd, MSG_ROSTER, text);
}

static void tell_roster(struct leader *l)
{
    char text[MSG_TEXT_MAX];

    leader_roster(l, text, sizeof text);
    for (struct peer *p = l->peers; p; p = p->next)
        if (p->joined && !p->dead)
            send_roster(p, text);
}

void peers_tell_leases(struct leader *l, const struct nat_lease_state *leases, unsigned n)
{
    for (struct peer *p = l->peers; p; p = p->next)
        if (p->joined && !p->dead) /* one that does not read hears of the next change */
            msg_send(p->wire.fd, MSG_LEASES, leases, n * sizeof leases[0], -1);
}

void peer_free(struct peer *p)
{
    struct leader *l = p->l;
    struct nat *nat = leader_nat(l);
    bool joined = p->joined;
    struct err e;

    for (struct peer **at = &l->peers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    while (p->forwards) {
        struct forward *fw = p->forwards;

        p->forwards = fw->next;
        if (nat)
            nat_forward_remove(nat, &fw->f, &e); /* gone already is as good */
        free(fw);
    }
    plug_out(&p->plug);
    if (p->wire.fd >= 0)
        loop_remove(l->s->env.loop, p->wire.fd);
    wire_close(&p->wire);
    free(p);
    if (joined)
        tell_roster(l);
}

static void reap(struct leader *l)
{
    for (struct peer *p = l->peers, *next; p; p = next) {
        next = p->next;
        if (p->dead)
            peer_free(p);
    }
}

static void refuse(struct peer *p, const char *text)
{
    msg_send_text(p->wire.fd, MSG_REFUSE, text);
    peer_end(p);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

/* Why a HELLO is refused; NULL: it is not. */
static const char *refusal(const struct peer *p, const struct msg *m, char *text, size_t size)
{
    const struct segment *s = p->l->s;

    if (m->version != SEGMENT_VERSION)
        snprintf(text, size,
                 "process %ld, which has the switch, is a guise of another version (it speaks %d, this one %u)",
                 (long)getpid(), SEGMENT_VERSION, (unsigned)m->version);
    else if (m->body.hello.kind != s->c.kind)
        snprintf(text, size, "process %ld has it as %s:%s", (long)getpid(), segment_kind_name(s->c.kind), s->name);
    else if (leader_members(p->l) >= SEGMENT_MEMBERS)
        snprintf(text, size, "it has %d members, and takes no more", SEGMENT_MEMBERS);
    else
        return NULL;
    return text;
}

static bool peer_welcome(struct peer *p, const struct msg_hello *h, struct err *e)
{
    struct segment *s = p->l->s;
    struct msg_welcome w = {.ring_size = WIRE_RING_SIZE, .can = NET_CAN_ALL};
    int memory = wire_memory(WIRE_RING_SIZE);
    bool ok;

    if (memory < 0)
        return err_set(e, "no memory for rings: %s", strerror(errno));
    memcpy(p->name, h->member, sizeof p->name);
    memcpy(w.leader, s->member, sizeof w.leader);
    p->port =
        (struct net_port){.ops = &peer_ops, .arg = p, .name = p->name, .can = h->can & NET_CAN_ALL, .mtu = h->mtu};
    p->isolated = h->isolated;
    ok = wire_map(&p->wire, memory, WIRE_RING_SIZE, true, e) &&
         plug_in(&p->plug, &s->env, p->l->sw, &p->port, p->isolated, e);
    if (ok && !msg_send(p->wire.fd, MSG_WELCOME, &w, sizeof w, memory))
        ok = err_set(e, "it does not read");
    close(memory);
    return ok;
}

static void peer_hello(struct peer *p, const struct msg *m)
{
    char text[256];
    struct err e;

    if (p->joined) {
        peer_end(p);
    } else if (refusal(p, m, text, sizeof text)) {
        refuse(p, text);
    } else if (m->body.hello.mtu < NET_MTU_MIN || m->body.hello.mtu > NET_MTU_MAX) {
        peer_end(p);
    } else if (!peer_welcome(p, &m->body.hello, &e)) {
        refuse(p, e.msg);
    } else {
        p->joined = p->busy = true;
        p->l->leases_version = 0; /* it has not heard of any */
        tell_roster(p->l);
    }
}

/* A member makes forwards, and ends its own. */
static bool peer_forward(struct peer *p, const struct msg_forward *m, struct err *e)
{
    struct nat *nat = leader_nat(p->l);
    struct forward *fw = calloc(1, sizeof *fw), **at;
    bool ok;

    if (!fw)
        return err_set(e, "out of memory");
    forward_of_msg(m, fw);
    at = forward_find(&p->forwards, &fw->f);
    if (!nat)
        ok = err_set(e, "a network of this kind has no forwards");
    else if (!m->add && !*at)
        ok = err_set(e, "there is no such forward of this member");
    else
        ok = m->add ? forward_make(nat, fw, e) : nat_forward_remove(nat, &fw->f, e);
    if (ok && m->add) {
        fw->next = p->forwards;
        p->forwards = fw;
        return true;
    }
    free(fw);
    if (nat && !m->add && *at) {
        fw = *at;
        *at = fw->next;
        free(fw);
    }
    return ok;
}

static void peer_answer(struct peer *p, const struct msg_forward *m)
{
    struct msg_answer a = {.id = m->id};
    struct err e = {""};

    a.ok = peer_forward(p, m, &e);
    if (a.ok && m->add)
        a.host_port = p->forwards->f.host_port;
    snprintf(a.error, sizeof a.error, "%.500s", e.msg);
    if (!msg_send(p->wire.fd, MSG_ANSWER, &a, sizeof a, -1))
        peer_end(p); /* it has asked, and does not read: when it connects again, it asks again */
}

static void peer_query(struct peer *p)
{
    char text[MSG_TEXT_MAX];

    leader_roster(p->l, text, sizeof text);
    send_roster(p, text);
    peer_end(p);
}

static void peer_message(struct peer *p, const struct msg *m)
{
    if (m->type == MSG_HELLO)
        peer_hello(p, m);
    else if (m->type == MSG_QUERY && !p->joined)
        peer_query(p);
    else if (m->type == MSG_FORWARD && p->joined)
        peer_answer(p, &m->body.forward);
    else if (m->type != MSG_BELL || !p->joined)
        peer_end(p);
}

static void peer_read(struct peer *p)
{
    struct msg m;

    for (unsigned i = 0; i < MESSAGES && !p->dead; i++) {
        switch (msg_recv(p->wire.fd, &m, NULL)) {
        case MSG_OK: peer_message(p, &m); break;
        case MSG_NONE: return;
        default: peer_end(p); return;
        }
    }
}

static void peer_poll(struct peer *p)
{
    p->busy = false;
    if (p->dead || !p->joined)
        return;
    p->busy = wire_poll(&p->wire, p->l->s->buf);
    leader_watch_leases(p->l);
    if (p->wire.broken)
        peer_end(p);
    else if (p->busy)
        segment_again(p->l->s);
}

static void peer_event(void *arg, int fd, unsigned events)
{
    struct peer *p = arg;
    struct leader *l = p->l;

    (void)fd;
    (void)events;
    peer_read(p);
    if (p->roster_due && !p->dead) {
        char text[MSG_TEXT_MAX];

        leader_roster(l, text, sizeof text);
        send_roster(p, text);
    }
    peer_poll(p);
    reap(l);
}

void leader_turn(struct leader *l)
{
    for (struct peer *p = l->peers; p; p = p->next)
        if (p->busy)
            peer_poll(p);
    reap(l);
}

/* --- who connects ------------------------------------------------------------------------------------------------ */

/* Connections that say nothing do not keep others out: the oldest of too many goes. */
static void make_place(struct leader *l)
{
    struct peer *oldest = NULL;
    unsigned pending = 0;

    for (struct peer *p = l->peers; p; p = p->next)
        if (!p->joined && !p->dead) {
            pending++;
            oldest = p;
        }
    if (pending >= SEGMENT_PENDING)
        peer_free(oldest);
}

void peer_new(struct leader *l, int fd)
{
    struct peer *p = calloc(1, sizeof *p);
    struct err e;

    if (!p || !segment_peer(fd, &p->pid, &e) || !loop_add(l->s->env.loop, fd, LOOP_IN, peer_event, p, &e)) {
        close(fd);
        free(p);
        return;
    }
    make_place(l);
    p->l = l;
    p->wire.fd = fd;
    p->wire.port = &p->port;
    p->next = l->peers;
    l->peers = p;
}
