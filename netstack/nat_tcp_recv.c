/*
 * Data from the guest: to the host's socket, and what is said about them: acknowledgements and the window.
 *
 * A segment in order goes to sendmsg() as it lies in the frame. The acknowledgement waits for the end of the loop's turn, or
 * for 2 ms when less than two full segments came: every ACK costs the guest thousands of instructions, and in that time the
 * answer that carries it is often there. What is out of order or old is answered at once (RFC 5681, 4.2).
 *
 * The window is the room in the socket's send buffer. Its right edge never moves back, and moves forward only by a step that
 * is worth a segment (RFC 9293, 3.8.6.2.2).
 */
#include <errno.h>

#include "netstack/nat_tcp_int.h"

#define ACK_DELAY UINT64_C(2000000)

enum { PIECES = 64 };

/* Up to n bytes of p to the socket. How many it took; -1: it failed, the flow has been reset. */
static int64_t pass_on(struct tcp_flow *f, struct packet p, uint32_t n)
{
    uint32_t done = 0;

    packet_trim(&p, n);
    while (done < n) {
        struct iovec iov[PIECES];
        size_t left;
        unsigned pieces = packet_iov(&p, iov, PIECES, &left);
        ssize_t took = pieces ? tcp_host_write(f, iov, pieces) : -EAGAIN;

        if (took == -EAGAIN || !took) /* 0: pieces without a byte */
            break;
        if (took < 0) {
            tcp_flow_reset_guest(f);
            return -1;
        }
        packet_skip(&p, (size_t)took);
        done += (uint32_t)took;
    }
    return done;
}

static void ack_soon(struct tcp_flow *f, uint64_t now)
{
    uint32_t two = 2 * (uint32_t)tcp_mss_offer(f);

    if (f->rcv - f->acked >= two || f->ring) {
        f->todo |= TODO_ACK;
        tcp_flow_wake(f);
    } else if (f->ack_due == CLOCK_NEVER) {
        f->ack_due = now + ACK_DELAY;
        tcp_timer_update(f);
    }
}

static void ack_now(struct tcp_flow *f)
{
    f->todo |= TODO_ACK;
    tcp_flow_wake(f);
}

/* The guest's end of stream, when everything before it is in the socket. */
static void take_fin(struct tcp_flow *f)
{
    if (!f->guest_fin || f->fin_taken || f->taken != f->fin_seq)
        return;
    f->fin_taken = true;
    f->rcv = f->fin_seq + 1;
    tcp_host_shutdown(f);
    ack_now(f);
    switch (f->state) {
    case FLOW_ESTABLISHED: f->state = FLOW_CLOSE_WAIT; break;
    case FLOW_FIN_WAIT_1: f->state = FLOW_CLOSING; break;
    case FLOW_FIN_WAIT_2: tcp_flow_time_wait(f); break;
    }
}

bool tcp_recv_flush(struct tcp_flow *f, uint64_t now)
{
    struct iovec iov[2];
    uint32_t n;

    while ((n = tcp_ring_front(f, iov))) {
        ssize_t took = tcp_host_write(f, iov, iov[1].iov_len ? 2 : 1);

        if (took == -EAGAIN)
            break;
        if (took < 0) {
            tcp_flow_reset_guest(f);
            return false;
        }
        tcp_ring_drop(f, (uint32_t)took);
        ack_soon(f, now);
    }
    take_fin(f);
    return f->state != FLOW_RESET;
}

/* In order: to the socket if nothing waits before it; the rest is held. */
static bool take(struct tcp_flow *f, const struct packet *data, uint32_t n)
{
    int64_t took = 0;
    struct packet rest = *data;

    if (f->taken == f->rcv) {
        took = pass_on(f, *data, n);
        if (took < 0)
            return false;
        f->rcv += (uint32_t)took;
        tcp_ring_drop(f, (uint32_t)took);
    }
    packet_skip(&rest, (size_t)took);
    if (took < n && tcp_ring_put(f, f->rcv, &rest, n - (uint32_t)took))
        f->rcv += n - (uint32_t)took;
    else if (took < n)
        f->t->c.dropped++;
    f->rcv = tcp_ring_end(f, f->rcv);
    return true;
}

/* Leave out what is old, and what is behind the guest's end of stream. */
static void trim(struct tcp_flow *f, struct tcp_seg *s)
{
    uint32_t old = seq_lt(s->seq, f->rcv) ? f->rcv - s->seq : 0;

    if (s->flags & SEG_FIN && !f->guest_fin) {
        f->guest_fin = true;
        f->fin_seq = s->seq + s->len;
    }
    if (f->guest_fin && seq_lt(f->fin_seq, s->seq + s->len))
        s->len = seq_lt(s->seq, f->fin_seq) ? f->fin_seq - s->seq : 0;
    if (old > s->len)
        old = s->len;
    packet_skip(&s->data, old);
    s->seq += old;
    s->len -= old;
}

void tcp_recv(struct tcp_flow *f, struct tcp_seg *s, uint64_t now)
{
    if (!s->len && !(s->flags & SEG_FIN))
        return;
    trim(f, s);
    if (s->len && s->seq == f->rcv) {
        bool gap = f->ring;

        if (!take(f, &s->data, s->len) || !tcp_recv_flush(f, now))
            return;
        if (gap)
            ack_now(f);
        else
            ack_soon(f, now);
        return;
    }
    if (s->len && !tcp_ring_put(f, s->seq, &s->data, s->len))
        f->t->c.dropped++;
    take_fin(f);
    ack_now(f);
}

/*
 * A window that is smaller than the last one offered, or larger by little, is not offered. The kernel takes at least half a
 * buffer at once when it took nothing for a while, so a small buffer opens as well.
 */
uint32_t tcp_recv_edge(struct tcp_flow *f)
{
    uint32_t room, edge, step = tcp_mss_offer(f);

    if (f->fd < 0 || f->fin_taken)
        return f->adv;
    if (f->room_stale) {
        f->room_stale = false;
        f->room = tcp_host_room(f);
    }
    room = f->room < TCP_WINDOW_MAX ? f->room : TCP_WINDOW_MAX;
    edge = f->taken + room;
    if (step > f->host_size / 2)
        step = f->host_size / 2;
    return seq_lt(edge, f->adv + step) ? f->adv : edge;
}
