/* A member whose switch is in another process, or in another machine of this one: the talk with it, and its rings. */
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

enum { MESSAGES = 64 }; /* of a turn */

void member_cut(struct segment *s)
{
    if (s->wire.fd >= 0)
        loop_remove(s->env.loop, s->wire.fd);
    wire_close(&s->wire);
    s->wire.held = s->wire.starved = s->wire.broken = false;
    s->roster[0] = '\0';
    s->state = SEGMENT_SEEKING;
    forwards_reset(s);
    net_port_room(&s->port); /* what it sends now is lost, but it is not to wait */
}

static void welcome(struct segment *s, const struct msg_welcome *w, int memory)
{
    struct err e;

    if (s->state != SEGMENT_JOINING || memory < 0)
        return;
    if (!wire_map(&s->wire, memory, w->ring_size, false, &e)) {
        snprintf(s->refusal, sizeof s->refusal, "process %ld offers %.200s", (long)s->leader_pid, e.msg);
        return;
    }
    s->port.can = w->can & NET_CAN_ALL;
    memcpy(s->leader_name, w->leader, sizeof s->leader_name);
    s->state = SEGMENT_MEMBER;
    segment_settled(s);
    forwards_ask(s);
}

static void message(struct segment *s, const struct msg *m, int memory)
{
    switch (m->type) {
    case MSG_WELCOME: welcome(s, &m->body.welcome, memory); break;
    case MSG_REFUSE: snprintf(s->refusal, sizeof s->refusal, "%.500s", m->body.text[0] ? m->body.text : "refused"); break;
    case MSG_ANSWER: forwards_answered(s, &m->body.answer); break;
    case MSG_ROSTER: memcpy(s->roster, m->body.text, sizeof s->roster); break;
    case MSG_LEASES:
        s->lease_count = (unsigned)(m->len / sizeof s->leases[0]);
        memcpy(s->leases, m->body.leases, s->lease_count * sizeof s->leases[0]);
        break;
    default: break; /* BELL: we are awake; others are not for us */
    }
}

bool member_read(struct segment *s)
{
    struct msg m;
    int memory;

    for (unsigned i = 0; i < MESSAGES; i++) {
        switch (msg_recv(s->wire.fd, &m, &memory)) {
        case MSG_OK: break;
        case MSG_NONE: return true;
        default: s->wire.broken = true; return false;
        }
        message(s, &m, memory);
        if (memory >= 0)
            close(memory);
        if (s->refusal[0])
            return false;
    }
    return true;
}

void member_turn(struct segment *s)
{
    if (s->refusal[0]) {
        segment_refused(s);
        s->refusal[0] = '\0';
        return;
    }
    if (s->state == SEGMENT_MEMBER && wire_poll(&s->wire, s->buf))
        segment_again(s);
    if (s->wire.broken)
        segment_seek(s);
    else if (s->state == SEGMENT_MEMBER)
        forwards_ask(s);
}

static void member_event(void *arg, int fd, unsigned events)
{
    struct segment *s = arg;

    (void)fd;
    (void)events;
    member_read(s);
    member_turn(s);
}

bool member_start(struct segment *s, int fd, pid_t pid, struct err *e)
{
    struct msg_hello h = {.kind = s->c.kind, .can = NET_CAN_ALL, .mtu = s->port.mtu, .isolated = s->c.isolated};

    memcpy(h.member, s->member, sizeof h.member);
    s->wire.fd = fd;
    s->leader_pid = pid;
    s->refusal[0] = '\0';
    if (!loop_add(s->env.loop, fd, LOOP_IN, member_event, s, e) || !msg_send(fd, MSG_HELLO, &h, sizeof h, -1)) {
        member_cut(s);
        return false;
    }
    s->state = SEGMENT_JOINING;
    return true;
}
