/*
 * Forwards of a member: kept here, made where the switch is.
 *
 * With the switch elsewhere they are asked for one at a time, so that whatever their number the socket does not fill:
 * WANTED -> ASKED -> MADE or FAILED; the end of one likewise, with remove set. A new switch knows of none: all are WANTED.
 * One to any free port (host_port 0) has that port's number from then on: for who ends it, and for the next switch.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

enum { ANSWER_TRIES = 100, ANSWER_WAIT_MS = 10 }; /* 1 s */

/* --- as messages ------------------------------------------------------------------------------------------------- */

void forward_to_msg(const struct forward *fw, struct msg_forward *m)
{
    *m = (struct msg_forward){.id = fw->id, .add = !fw->remove, .udp = fw->f.udp, .host_port = fw->f.host_port};
    m->guest_port = fw->f.guest_port;
    m->host_any6 = fw->f.host_any6;
    m->host_addr = fw->f.host_addr;
    m->guest_addr = fw->f.guest_addr;
    memcpy(m->guest_mac, fw->f.guest_mac, ETH_ALEN);
    memcpy(m->host_path, fw->path, sizeof m->host_path);
}

void forward_of_msg(const struct msg_forward *m, struct forward *fw)
{
    memcpy(fw->path, m->host_path, sizeof fw->path);
    fw->f = (struct nat_forward){.udp = m->udp, .host_addr = m->host_addr, .guest_addr = m->guest_addr};
    fw->f.host_port = m->host_port;
    fw->f.guest_port = m->guest_port;
    fw->f.host_any6 = m->host_any6;
    memcpy(fw->f.guest_mac, m->guest_mac, ETH_ALEN);
    fw->f.host_path = fw->path[0] ? fw->path : NULL;
}

/* --- the list ---------------------------------------------------------------------------------------------------- */

static void unlink_forward(struct segment *s, struct forward *fw)
{
    for (struct forward **at = &s->forwards; *at; at = &(*at)->next)
        if (*at == fw) {
            *at = fw->next;
            free(fw);
            return;
        }
}

void forwards_free(struct segment *s)
{
    while (s->forwards)
        unlink_forward(s, s->forwards);
}

struct forward **forward_find(struct forward **list, const struct nat_forward *f)
{
    if (forward_any(f)) /* is another with each call */
        while (*list)
            list = &(*list)->next;
    while (*list && (!nat_forward_same_host(&(*list)->f, f) || (*list)->remove))
        list = &(*list)->next;
    return list;
}

bool forward_any(const struct nat_forward *f) { return !f->host_path && !f->host_port; }

bool forward_make(struct nat *nat, struct forward *fw, struct err *e)
{
    if (!nat_forward_add(nat, &fw->f, e))
        return false;
    if (forward_any(&fw->f))
        fw->f.host_port = nat_forward_last_port(nat);
    return true;
}

/* A copy of f with what was left out filled in (our own guest too), whose path does not depend on this process's folder. */
static struct forward *new_forward(const struct segment *s, const struct nat_forward *f, struct err *e)
{
    struct forward *fw = calloc(1, sizeof *fw);
    char here[MSG_PATH_MAX] = "";
    int n = 0;

    if (!fw) {
        err_set(e, "out of memory");
        return NULL;
    }
    fw->f = *f;
    if (net_addr_none(&f->guest_addr))
        memcpy(fw->f.guest_mac, s->c.mac, ETH_ALEN);
    if (f->host_any6)
        memset(&fw->f.host_addr, 0, sizeof fw->f.host_addr);
    else if (net_addr_none(&f->host_addr))
        fw->f.host_addr = net_addr_of4(INADDR_LOOPBACK);
    if (f->host_path && f->host_path[0] != '/' && !getcwd(here, sizeof here))
        n = MSG_PATH_MAX;
    else if (f->host_path)
        n = snprintf(fw->path, sizeof fw->path, "%s%s%s", here, here[0] ? "/" : "", f->host_path);
    fw->f.host_path = f->host_path ? fw->path : NULL;
    if (n < MSG_PATH_MAX)
        return fw;
    err_set(e, "'%s' is too long for a socket", f->host_path);
    free(fw);
    return NULL;
}

/* --- with the switch elsewhere ----------------------------------------------------------------------------------- */

void forwards_ask(struct segment *s)
{
    struct forward *wanted = NULL;
    struct msg_forward m;

    if (s->state != SEGMENT_MEMBER)
        return;
    for (struct forward *fw = s->forwards; fw; fw = fw->next) {
        if (fw->state == FORWARD_ASKED)
            return;
        if (fw->state == FORWARD_WANTED && !wanted)
            wanted = fw;
    }
    if (!wanted)
        return;
    wanted->id = ++s->forward_id;
    forward_to_msg(wanted, &m);
    if (msg_send(s->wire.fd, MSG_FORWARD, &m, sizeof m, -1)) /* full: at the next message from there */
        wanted->state = FORWARD_ASKED;
}

void forwards_answered(struct segment *s, const struct msg_answer *a)
{
    struct forward *fw = s->forwards;

    while (fw && (fw->state != FORWARD_ASKED || fw->id != a->id))
        fw = fw->next;
    if (!fw)
        return;
    if (a->ok && (!fw->remove || fw->late) && forward_any(&fw->f))
        fw->f.host_port = a->host_port; /* and the next switch is asked for this one */
    fw->state = a->ok ? FORWARD_MADE : FORWARD_FAILED;
    memcpy(fw->error, a->error, sizeof fw->error);
    if (fw->late && a->ok) {
        fw->late = false;
        fw->state = FORWARD_WANTED;
        forwards_ask(s);
        return;
    }
    if (!fw->waited && !a->ok && !fw->remove)
        log_write(s->env.log, "network '%s': a forward was not made: %s\n", s->name, a->error);
    if (!fw->waited && fw->remove)
        unlink_forward(s, fw);
    forwards_ask(s);
}

void forwards_reset(struct segment *s)
{
    for (struct forward *fw = s->forwards, *next; fw; fw = next) {
        next = fw->next;
        if (fw->remove && !fw->waited)
            unlink_forward(s, fw);
        else
            fw->state = FORWARD_WANTED;
    }
}

/*
 * Wait for the answer to fw. true: made, ended, or not to be known yet (no switch now, or it is on this very thread).
 */
static bool wait_answer(struct segment *s, struct forward *fw, struct err *e)
{
    forwards_ask(s);
    if (s->state != SEGMENT_MEMBER || s->leader_pid == getpid())
        return true;
    fw->waited = true;
    for (unsigned i = 0; i < ANSWER_TRIES && fw->state <= FORWARD_ASKED; i++) {
        struct pollfd p = {s->wire.fd, POLLIN, 0};

        poll(&p, 1, ANSWER_WAIT_MS);
        if (!member_read(s)) {
            segment_again(s); /* which notices; after the election it is asked for again */
            break;
        }
        forwards_ask(s);
    }
    fw->waited = false;
    segment_again(s); /* a bell may have been among what was read */
    if (fw->state == FORWARD_FAILED)
        return err_set(e, "%s", fw->error);
    if (fw->state == FORWARD_MADE || s->wire.broken)
        return true;
    return err_set(e, "process %ld, which has the switch of network '%s', does not answer", (long)s->leader_pid,
                   s->name);
}

/* --- for all ----------------------------------------------------------------------------------------------------- */

void forwards_make(struct segment *s)
{
    struct nat *nat = leader_nat(s->leader);
    struct err e;

    for (struct forward *fw = s->forwards; fw && nat; fw = fw->next) {
        fw->state = forward_make(nat, fw, &e) ? FORWARD_MADE : FORWARD_FAILED;
        if (fw->state == FORWARD_MADE)
            continue;
        snprintf(fw->error, sizeof fw->error, "%.500s", e.msg);
        log_write(s->env.log, "network '%s': a forward was not made: %s\n", s->name, fw->error);
    }
}

/* fw becomes the segment's. */
static bool forward_add(struct segment *s, struct forward *fw, struct err *e)
{
    bool ok;

    fw->next = s->forwards;
    s->forwards = fw;
    if (s->state == SEGMENT_LEADER) {
        ok = forward_make(leader_nat(s->leader), fw, e);
        fw->state = FORWARD_MADE;
    } else {
        ok = wait_answer(s, fw, e);
    }
    if (!ok && fw->state == FORWARD_ASKED) { /* it may come true yet */
        fw->remove = fw->late = true;
    } else if (!ok) {
        unlink_forward(s, fw);
    }
    return ok;
}

static bool forward_end(struct segment *s, struct forward *fw, struct err *e)
{
    bool ok = true, asked = false;

    if (s->state == SEGMENT_LEADER && fw->state == FORWARD_MADE) {
        ok = nat_forward_remove(leader_nat(s->leader), &fw->f, e);
    } else if (s->state == SEGMENT_MEMBER && (fw->state == FORWARD_MADE || fw->state == FORWARD_ASKED)) {
        asked = true;
        fw->remove = true;
        fw->state = FORWARD_WANTED;
        ok = wait_answer(s, fw, e);
    }
    if (!asked || fw->state == FORWARD_MADE || fw->state == FORWARD_FAILED)
        unlink_forward(s, fw);
    return ok;
}

bool segment_forward(struct segment *s, const struct nat_forward *f, bool add, struct err *e)
{
    struct forward *fw, *mine;

    if (s->c.kind == SEGMENT_INTERNAL)
        return err_set(e, "network '%s' is internal: it has no forwards", s->name);
    fw = new_forward(s, f, e);
    if (!fw)
        return false;
    mine = *forward_find(&s->forwards, &fw->f);
    if (add && !mine)
        return forward_add(s, fw, e);
    free(fw);
    if (add)
        return err_set(e, "network '%s': this forward is there already", s->name);
    if (!mine)
        return err_set(e, "network '%s': there is no such forward", s->name);
    return forward_end(s, mine, e);
}
