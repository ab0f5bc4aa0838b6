/*
 * TCP of the NAT: each connection of a guest ends here, and is mirrored on one socket of the host.
 *
 * Theory of operation. A flow is a TCP end (RFC 9293) whose user is a socket. Where data wait:
 *
 * - From the guest: a segment's bytes go straight from the frame to sendmsg(). What the socket took is acknowledged. The
 *   window we offer is the room in the socket's send buffer, so the guest waits when the far peer is slow. Only what the
 *   socket refused in spite of that, and segments that came ahead of a lost one, are held here (nat_tcp_ring.c, bounded
 *   for each flow and for all), because no socket can hold them.
 * - To the guest: bytes stay in the socket's receive buffer until the guest has acknowledged them. They are peeked to be
 *   sent, peeked again to be sent again, and discarded by recv(MSG_TRUNC) when acknowledged; so the far peer waits when the
 *   guest is slow. Linux 6.9 keeps a peek offset for TCP; older kernels peek what is on its way once more into a buffer.
 *
 * What happens at one end happens at the other:
 *
 *   guest                                   host's socket
 *   SYN                                  -> connect; SYN with ACK when it is connected
 *   <- RST, ICMP unreachable, nothing       refused, unreachable, timed out
 *   FIN, all before it taken             -> shutdown(SHUT_WR), then the ACK of the FIN
 *   <- FIN, all before it sent              end of the stream
 *   RST                                  -> close with SO_LINGER 0: an RST
 *   <- RST                                  error of any call
 *   no answer, retransmission gives up   -> the same, and an RST to the guest
 *
 * Urgent data are ordinary data, both ways: the urgent pointer is not looked at and never sent, and the sockets have
 * SO_OOBINLINE. Data on a SYN are not taken: the guest sends them again. A SYN for a flow that is alive gets a challenge
 * ACK (RFC 5961): a guest that was reset answers with an RST and begins anew.
 *
 * Nothing is sent where something happens, but for RSTs and challenges. Input, events of sockets and timers change the
 * flow and put it in the work list, which is worked off at the end of the loop's turn: ten segments in one turn are
 * acknowledged once, and each flow has its turn. When the far end has no room the list waits for nat_tcp_ready. A flow
 * that ends is freed when the next work begins, so that nothing up the stack holds a pointer to what is gone.
 *
 * Files: nat_tcp_table.c, nat_tcp_input.c (segments, states), nat_tcp_ack.c (round trips, losses), nat_tcp_recv.c and
 * nat_tcp_ring.c (data from the guest), nat_tcp_output.c, nat_tcp_host.c (sockets), nat_tcp_timer.c, nat_tcp_info.c.
 */
#include <stdlib.h>

#include "netstack/nat_tcp_int.h"

_Static_assert(sizeof(struct tcp_flow) <= 512, "a flow is small");

/* --- the work list ----------------------------------------------------------------------------------------------- */

static void arm_work(struct nat_tcp *t)
{
    if (t->work_armed)
        return;
    t->work_armed = true;
    timer_arm(&t->work_timer, clock_now(t->n->env.clock));
}

void tcp_flow_wake(struct tcp_flow *f)
{
    struct nat_tcp *t = f->t;

    if (f->working || f->state == FLOW_DEAD)
        return;
    f->working = true;
    f->work_prev = t->work_last;
    f->work_next = NULL;
    *(t->work_last ? &t->work_last->work_next : &t->work) = f;
    t->work_last = f;
    t->working++;
    if (!t->blocked)
        arm_work(t);
}

void tcp_flow_unwork(struct tcp_flow *f)
{
    struct nat_tcp *t = f->t;

    if (!f->working)
        return;
    f->working = false;
    *(f->work_prev ? &f->work_prev->work_next : &t->work) = f->work_next;
    *(f->work_next ? &f->work_next->work_prev : &t->work_last) = f->work_prev;
    t->working--;
}

static void free_dead(struct nat_tcp *t)
{
    while (t->dead) {
        struct tcp_flow *f = t->dead;

        t->dead = f->chain;
        free(f);
    }
}

static void work(void *arg)
{
    struct nat_tcp *t = arg;

    t->work_armed = false;
    free_dead(t);
    for (unsigned n = t->working; n && t->work && !t->blocked; n--) {
        struct tcp_flow *f = t->work;

        tcp_flow_unwork(f);
        if (!tcp_output(f))
            tcp_flow_wake(f);
    }
}

void nat_tcp_ready(struct nat *n)
{
    struct nat_tcp *t = n->tcp;

    t->blocked = false;
    if (t->work)
        arm_work(t);
}

/* --- life of a flow ---------------------------------------------------------------------------------------------- */

struct tcp_flow *tcp_flow_new(struct nat_tcp *t, const struct tcp_key *key, const uint8_t mac[ETH_ALEN])
{
    struct tcp_flow *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->t = t;
    f->key = *key;
    f->fd = -1;
    f->born = f->used = clock_now(t->n->env.clock);
    f->rto_due = f->ack_due = f->armed = CLOCK_NEVER;
    f->rto = NS_PER_SEC; /* RFC 6298, 2.1 */
    f->iss = f->una = f->nxt = f->rxt = f->rxt_end = tcp_table_isn(t, key);
    f->head = f->peek = f->iss + 1;
    if (tcp_table_add(t, f, mac))
        return f;
    free(f);
    return NULL;
}

static void end(struct tcp_flow *f, bool reset)
{
    struct nat_tcp *t = f->t;

    if (f->state == FLOW_DEAD)
        return;
    tcp_host_close(f, reset);
    tcp_flow_unwork(f);
    tcp_timer_remove(f);
    tcp_ring_free(f);
    tcp_table_remove(f);
    f->state = FLOW_DEAD;
    f->chain = t->dead;
    t->dead = f;
    arm_work(t);
}

void tcp_flow_free(struct tcp_flow *f) { end(f, false); }
void tcp_flow_kill(struct tcp_flow *f) { end(f, true); }

void tcp_flow_reset_guest(struct tcp_flow *f)
{
    f->t->c.resets++;
    tcp_host_close(f, true);
    tcp_ring_free(f);
    f->state = FLOW_RESET;
    f->rto_due = f->ack_due = CLOCK_NEVER;
    f->todo = 0;
    tcp_table_ending(f);
    tcp_flow_wake(f);
}

void tcp_flow_evict(struct tcp_flow *f)
{
    if (f->state != FLOW_CONNECTING) { /* whose guest will ask again */
        tcp_flow_reset_guest(f);
        tcp_output(f);
    }
    tcp_flow_kill(f);
}

void tcp_flow_time_wait(struct tcp_flow *f)
{
    tcp_host_close(f, false);
    tcp_ring_free(f);
    f->state = FLOW_TIME_WAIT;
    f->used = clock_now(f->t->n->env.clock);
    f->rto_due = CLOCK_NEVER;
    tcp_table_ending(f);
    tcp_timer_update(f);
}

/* --- life of it all ---------------------------------------------------------------------------------------------- */

struct nat_tcp *nat_tcp_new(struct nat *n)
{
    struct nat_tcp *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->n = n;
    t->connect = tcp_host_connect;
    timer_init(&t->work_timer, n->env.clock, work, t);
    tcp_timer_init(t);
    t->frame = malloc(TCP_FRAME);
    if (tcp_table_init(t, n->c.flows_max ? n->c.flows_max : TCP_FLOWS) && t->frame)
        return t;
    nat_tcp_free(t);
    return NULL;
}

void nat_tcp_free(struct nat_tcp *t)
{
    if (!t)
        return;
    tcp_table_fini(t);
    free_dead(t);
    tcp_timer_fini(t);
    clock_drop_timer(&t->work_timer);
    free(t->frame);
    free(t->skip);
    free(t);
}
