/*
 * Segments to the guest.
 *
 * tcp_output sends what a flow owes: SYN, what was lost, new data, FIN, and an ACK if none of these carried it. Data are
 * peeked from the host's socket into one frame of up to 64 segments, which the guest gets in one piece if it takes that.
 * A send that finds no room changes nothing: what is owed stays owed, and what was peeked is peeked again.
 */
#include <errno.h>

#include "netstack/nat_tcp_int.h"

enum { FRAMES_A_TURN = 16, IP_MAX = 65535 };

static uint32_t ip_hlen(const struct tcp_flow *f) { return net_addr_is4(&f->key.guest) ? 20 : 40; }

uint16_t tcp_mss_offer(const struct tcp_flow *f)
{
    uint32_t mtu = nat_mtu(f->t->n), h = ip_hlen(f) + TCP_HLEN;

    return (uint16_t)(mtu > h + TCP_MSS_MIN ? mtu - h : TCP_MSS_MIN);
}

/* --- one segment ------------------------------------------------------------------------------------------------- */

static unsigned sack_blocks(const struct tcp_flow *f, uint8_t flags, uint32_t block[TCP_SACK_BLOCKS][2])
{
    return f->sack_ok && f->ring && flags & SEG_ACK ? tcp_ring_sacks(f, block) : 0;
}

static void syn_options(const struct tcp_flow *f, struct writer *w)
{
    bool first = f->state == FLOW_SYN_SENT; /* an answer repeats what was offered */

    writer_u32(w, 2 << 24 | 4 << 16 | tcp_mss_offer(f));
    if (first || f->sack_ok)
        writer_u32(w, 1 << 24 | 1 << 16 | 4 << 8 | 2);
    if (first || f->rcv_scale)
        writer_u32(w, 1 << 24 | 3 << 16 | 3 << 8 | TCP_WSCALE);
}

static void sack_option(struct writer *w, uint32_t block[TCP_SACK_BLOCKS][2], unsigned n)
{
    if (!n)
        return;
    writer_u32(w, 1 << 24 | 1 << 16 | 5 << 8 | (2 + 8 * n));
    for (unsigned i = 0; i < n; i++) {
        writer_u32(w, block[i][0]);
        writer_u32(w, block[i][1]);
    }
}

/* The window field, rounded up so that the edge does not move back. *edge: what it says. */
static uint16_t window_field(struct tcp_flow *f, uint8_t flags, uint32_t *edge)
{
    unsigned scale = flags & SEG_SYN ? 0 : f->rcv_scale;
    uint32_t to = tcp_recv_edge(f), wnd = seq_lt(f->rcv, to) ? to - f->rcv : 0;

    wnd = (wnd + (1u << scale) - 1) >> scale;
    if (wnd > UINT16_MAX)
        wnd = UINT16_MAX;
    *edge = f->rcv + (wnd << scale);
    return (uint16_t)wnd;
}

/* The ports and a header without data; the checksum is for nat_ip_send. */
static void header(struct writer *w, const struct tcp_key *key, uint32_t seq, uint32_t ack, uint8_t flags, uint16_t wnd)
{
    writer_u16(w, key->peer_port);
    writer_u16(w, key->guest_port);
    writer_u32(w, seq);
    writer_u32(w, flags & SEG_ACK ? ack : 0);
    writer_u16(w, (uint16_t)(TCP_HLEN / 4 << 12 | flags));
    writer_u16(w, wnd);
    writer_u32(w, 0);
}

static bool transmit(struct nat_tcp *t, const struct tcp_key *key, struct writer *w, const void *data, uint32_t len,
                     uint16_t gso_size)
{
    struct iovec iov[2] = {{w->buf, w->len}, {(void *)(uintptr_t)data, len}};
    struct nat_out o = {.src = key->peer, .dst = key->guest, .proto = IP_PROTO_TCP, .iov = iov, .iovcnt = len ? 2 : 1,
                        .len = w->len + len, .csum_offset = 16, .gso_size = gso_size};
    bool sent;

    writer_set16(w, 12, (uint16_t)((w->len / 4) << 12 | (ld16be(w->buf + 12) & 0xfff)));
    sent = nat_ip_send(t->n, &o);
    t->blocked |= !sent;
    return sent;
}

/*
 * len bytes of t->frame numbered from seq. The caller has counted them as sent already, and so do we here with what the
 * header says: the answer may come while we send. false: no room; what is undone here is for the caller to undo as well.
 */
static bool segment(struct tcp_flow *f, uint32_t seq, uint8_t flags, uint32_t len, uint32_t mss)
{
    uint8_t h[TCP_HLEN_MAX], todo = f->todo;
    struct writer w = {.buf = h, .cap = sizeof h};
    uint32_t block[TCP_SACK_BLOCKS][2], edge, acked = f->acked, adv = f->adv;
    uint64_t ack_due = f->ack_due;

    header(&w, &f->key, seq, f->rcv, flags, window_field(f, flags, &edge));
    if (flags & SEG_SYN)
        syn_options(f, &w);
    else
        sack_option(&w, block, sack_blocks(f, flags, block));
    if (flags & SEG_ACK) {
        f->acked = f->rcv;
        f->adv = seq_max(adv, edge);
        f->ack_due = CLOCK_NEVER;
        f->todo &= (uint8_t) ~(TODO_ACK | TODO_WINDOW);
    }
    if (transmit(f->t, &f->key, &w, f->t->frame, len, len > mss ? (uint16_t)mss : 0))
        return true;
    f->acked = acked;
    f->adv = adv;
    f->ack_due = ack_due;
    f->todo = todo;
    return false;
}

void tcp_refuse(struct nat_tcp *t, const struct tcp_key *key, const struct tcp_seg *s)
{
    uint8_t h[TCP_HLEN_MAX];
    struct writer w = {.buf = h, .cap = sizeof h};
    uint32_t end = s->seq + s->len + !!(s->flags & SEG_SYN) + !!(s->flags & SEG_FIN);

    if (s->flags & SEG_RST)
        return;
    t->c.refused++;
    if (s->flags & SEG_ACK)
        header(&w, key, s->ack, 0, SEG_RST, 0);
    else
        header(&w, key, 0, end, SEG_RST | SEG_ACK, 0);
    transmit(t, key, &w, NULL, 0, 0);
}

/* --- what a flow owes -------------------------------------------------------------------------------------------- */

/* Payload of a segment, and of a frame that stands for several: whole segments, as many as an IP packet holds. */
static uint32_t segment_size(const struct tcp_flow *f, uint32_t *frame)
{
    uint32_t block[TCP_SACK_BLOCKS][2], offer = tcp_mss_offer(f);
    uint32_t blocks = sack_blocks(f, SEG_ACK, block), options = blocks ? 4 + 8 * blocks : 0;
    uint32_t mss = (f->mss < offer ? f->mss : offer) - options, n = (IP_MAX - ip_hlen(f) - TCP_HLEN - options) / mss;

    if (n > TCP_FRAME_SEGMENTS)
        n = TCP_FRAME_SEGMENTS;
    *frame = mss * n;
    return mss;
}

enum sent { SENT, NOTHING, NO_ROOM, ENDED };

/* Bytes numbered from seq into t->frame, up to want. *why: 0: the stream ends behind them; -errno: why there are no more. */
static uint32_t fill(struct tcp_flow *f, uint32_t seq, uint32_t want, ssize_t *why)
{
    uint32_t n = 0;

    *why = -EAGAIN;
    while (n < want) {
        ssize_t got = tcp_host_peek(f, seq + n, f->t->frame + n, want - n);

        if (got <= 0) {
            *why = got;
            break;
        }
        n += (uint32_t)got;
    }
    return n;
}

/* Bytes [seq, seq + len) once more, and the FIN if it is the last of them. *done: how many that were. */
static enum sent send_again(struct tcp_flow *f, uint32_t seq, uint32_t len, uint32_t mss, uint32_t *done)
{
    bool fin = f->fin_sent && seq + len == f->nxt;
    uint32_t data = len - fin, got;
    ssize_t why;

    got = fill(f, seq, data, &why);
    if (got < data) { /* they were there before */
        if (!got && why == -EAGAIN)
            return NOTHING;
        if (!got) {
            tcp_flow_reset_guest(f);
            return ENDED;
        }
        fin = false;
    }
    *done = got + fin;
    if (!segment(f, seq, SEG_ACK | (fin ? SEG_FIN : 0), got, mss))
        return NO_ROOM;
    f->t->c.retransmits++;
    return SENT;
}

static enum sent send_hole(struct tcp_flow *f, uint32_t hole, uint64_t now)
{
    uint32_t frame, mss = segment_size(f, &frame), seq = f->rxt, len = hole < frame ? hole : frame, done = 0;
    enum sent s;

    if (f->loss == LOSS_TIMEOUT && len > f->cwnd)
        len = f->cwnd < mss ? mss : f->cwnd - f->cwnd % mss;
    if (len > hole)
        len = hole;
    f->rxt = seq + len;
    s = send_again(f, seq, len, mss, &done);
    f->rxt = s == SENT ? seq_max(f->una, seq + done) : seq;
    if (s != SENT)
        return s;
    if (seq == f->una) {
        f->rxt_mark = f->nxt;
        f->later = 0;
    }
    if (f->rto_due == CLOCK_NEVER)
        tcp_timer_rto(f, now);
    return SENT;
}

/* The last segment, to hear whether it and those before it arrived. */
static enum sent send_tail(struct tcp_flow *f)
{
    uint32_t frame, mss = segment_size(f, &frame), flight = f->nxt - f->una, len = flight < mss ? flight : mss, done;
    enum sent s = flight ? send_again(f, f->nxt - len, len, mss, &done) : NOTHING;

    if (s != NO_ROOM)
        f->todo &= (uint8_t)~TODO_TAIL;
    return s;
}

/* Bytes the guest's window and the path have room for; 0: wait. */
static uint32_t may_send(const struct tcp_flow *f, uint32_t mss, uint32_t frame)
{
    uint32_t edge = f->una + f->wnd, pipe = tcp_pipe(f), len = frame;

    if (seq_le(edge, f->nxt) || (pipe && f->cwnd < pipe + mss))
        return 0;
    if (len > edge - f->nxt)
        len = edge - f->nxt;
    if (len > f->cwnd - pipe)
        len = f->cwnd - pipe;
    return len > mss ? len - len % mss : len;
}

static void begin_timing(struct tcp_flow *f, uint64_t now)
{
    f->rtt_timing = true;
    f->rtt_seq = f->nxt;
    f->rtt_start = now;
}

static void fin_state(struct tcp_flow *f)
{
    f->fin_sent = true;
    f->nxt++;
    f->state = f->state == FLOW_CLOSE_WAIT ? FLOW_LAST_ACK : FLOW_FIN_WAIT_1;
}

static enum sent send_new(struct tcp_flow *f, uint64_t now)
{
    uint32_t frame, mss = segment_size(f, &frame), seq = f->nxt, len = may_send(f, mss, frame), got;
    uint8_t state = f->state, push;
    bool timing = f->rtt_timing;
    ssize_t why;

    if (!len)
        return NOTHING;
    got = fill(f, seq, len, &why);
    if (got < len && why < 0 && why != -EAGAIN) {
        tcp_flow_reset_guest(f);
        return ENDED;
    }
    if (got < len && why < 0) { /* the socket reports what comes; without offsets, it was asked for too little */
        f->readable = !f->peek_off && seq + got != f->head;
        tcp_host_discard(f, true); /* the far peer may wait for room */
    }
    if (!got && why < 0)
        return NOTHING;
    if (got == len && len < mss && seq != f->una && len < f->wnd_max / 2) /* a silly window (RFC 9293, 3.8.6.2.1) */
        return NOTHING;
    push = got < len ? SEG_PSH : 0;
    f->nxt += got;
    if (got < len && !why)
        fin_state(f);
    if (!timing && !f->loss)
        begin_timing(f, now);
    if (!segment(f, seq, SEG_ACK | push | (f->fin_sent ? SEG_FIN : 0), got, mss)) {
        f->nxt = seq;
        f->fin_sent = false;
        f->readable = true;
        f->rtt_timing = timing;
        f->state = f->state == FLOW_DEAD || f->state == FLOW_RESET ? f->state : state;
        return NO_ROOM;
    }
    if (f->una != f->nxt)
        tcp_timer_sent(f, now);
    return SENT;
}

static enum sent send_next(struct tcp_flow *f, uint64_t now)
{
    uint32_t hole = tcp_next_hole(f), least = hole < f->mss ? hole : f->mss;

    if (f->fd < 0)
        return NOTHING;
    if (f->todo & TODO_TAIL)
        return send_tail(f);
    if (hole)
        return f->rxt == f->una || tcp_pipe(f) + least <= f->cwnd ? send_hole(f, hole, now) : NOTHING;
    return f->readable && !f->fin_sent ? send_new(f, now) : NOTHING;
}

static bool alive(const struct tcp_flow *f) { return f->state != FLOW_RESET && f->state != FLOW_DEAD; }

/* There may be something to send, and only the guest's window is in the way: ask for it (RFC 9293, 3.8.6.1). */
static bool window_closed(const struct tcp_flow *f)
{
    return f->fd >= 0 && f->una == f->nxt && f->readable && !f->fin_sent && !f->wnd;
}

static bool send_data(struct tcp_flow *f, uint64_t now)
{
    unsigned frames = 0;
    enum sent s;

    while ((s = send_next(f, now)) == SENT && alive(f))
        if (++frames == FRAMES_A_TURN)
            return false;
    if (s == NOTHING && window_closed(f) && f->rto_due == CLOCK_NEVER)
        tcp_timer_rto(f, now);
    return s != NO_ROOM;
}

static bool send_rest(struct tcp_flow *f)
{
    if (f->todo & TODO_PROBE) { /* any ACK will do, even one of RFC 9293, 3.8.4 */
        if (!segment(f, f->una - 1, SEG_ACK, 0, 1))
            return false;
        f->todo &= (uint8_t)~TODO_PROBE;
        if (window_closed(f))
            tcp_timer_rto(f, clock_now(f->t->n->env.clock));
    }
    if (f->todo & TODO_WINDOW && tcp_recv_edge(f) == f->adv)
        f->todo &= (uint8_t)~TODO_WINDOW;
    return !(f->todo & (TODO_ACK | TODO_WINDOW)) || segment(f, f->nxt, SEG_ACK, 0, 1);
}

static bool send_syn(struct tcp_flow *f, uint64_t now)
{
    bool first = f->nxt == f->iss;

    f->nxt = f->iss + 1;
    f->todo &= (uint8_t)~TODO_SYN;
    f->rtt_timing = false; /* which of them is answered cannot be told (RFC 6298, 3) */
    if (first)
        begin_timing(f, now);
    if (!segment(f, f->iss, f->state == FLOW_SYN_SENT ? SEG_SYN : SEG_SYN | SEG_ACK, 0, 1)) {
        f->todo |= TODO_SYN;
        if (first)
            f->nxt = f->iss;
        return false;
    }
    tcp_timer_rto(f, now);
    return true;
}

static bool send_reset(struct tcp_flow *f)
{
    uint8_t h[TCP_HLEN_MAX];
    struct writer w = {.buf = h, .cap = sizeof h};

    header(&w, &f->key, f->nxt == f->iss ? 0 : f->nxt, f->rcv, f->synced ? SEG_RST | SEG_ACK : SEG_RST, 0);
    if (!transmit(f->t, &f->key, &w, NULL, 0, 0))
        return false;
    tcp_flow_free(f);
    return true;
}

bool tcp_output(struct tcp_flow *f)
{
    uint64_t now = clock_now(f->t->n->env.clock);

    switch (f->state) {
    case FLOW_DEAD:
    case FLOW_CONNECTING: return true;
    case FLOW_RESET: return send_reset(f);
    case FLOW_SYN_SENT:
    case FLOW_SYN_RCVD: return !(f->todo & TODO_SYN) || send_syn(f, now);
    default: return send_data(f, now) && (!alive(f) || send_rest(f));
    }
}
