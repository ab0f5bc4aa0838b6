/*
 * What the guest's acknowledgements say: round trips, losses, and how much may be on its way.
 *
 * The path to the guest is a few copies long and loses nothing, unless the user asked for a poor one: congestion control is
 * the plain one (RFC 5681, with a decrease by three tenths as in RFC 9438), begins with a whole frame, and counts in bytes.
 * Losses are found by SACK (RFC 6675) or, from a guest without it, by three duplicate ACKs (RFC 6582): from then on
 * [rxt, rxt_end) is to be sent again but for what was SACKed: below the highest SACKed byte in recovery, all of it after
 * the retransmission timer ran out. What was sent again is lost again when the guest SACKs what was sent after it (in the
 * manner of RFC 8985): then that begins anew, and does not wait for the timer. Time-outs: RFC 6298.
 */
#include "netstack/nat_tcp_int.h"

enum {
    DUP_ACKS = 3,
    RETRIES_CLOSED = 8, /* a guest that took its window back, but answers, is not given up */
};

/* --- round trips (RFC 6298) ------------------------------------------------------------------------------------ */

static void measure(struct tcp_flow *f, uint32_t ack, uint64_t now)
{
    uint64_t r = now - f->rtt_start, d;

    if (!f->rtt_timing || seq_lt(ack, f->rtt_seq))
        return;
    f->rtt_timing = false;
    if (!r)
        r = 1;
    if (!f->srtt) {
        f->srtt = r;
        f->rttvar = r / 2;
    } else {
        d = f->srtt > r ? f->srtt - r : r - f->srtt;
        f->rttvar = (3 * f->rttvar + d) / 4;
        f->srtt = (7 * f->srtt + r) / 8;
    }
    f->rto = f->srtt + 4 * f->rttvar;
}

/* --- the guest's SACKs ------------------------------------------------------------------------------------------- */

static void sack_enter(struct tcp_flow *f, uint32_t seq, uint32_t end)
{
    unsigned i = 0, j;

    while (i < f->sacks && seq_lt(f->sack[i][1], seq))
        i++;
    for (j = i; j < f->sacks && seq_le(f->sack[j][0], end); j++) {
        seq = seq_min(seq, f->sack[j][0]);
        end = seq_max(end, f->sack[j][1]);
    }
    if (i == j && f->sacks == TCP_SACKS) { /* forget the highest: it will be sent again at worst */
        if (i == TCP_SACKS)
            return;
        f->sacks--;
    }
    memmove(f->sack + i + 1, f->sack + j, (f->sacks - j) * sizeof f->sack[0]);
    f->sacks = (uint8_t)(f->sacks - j + i + 1);
    f->sack[i][0] = seq;
    f->sack[i][1] = end;
}

/* Everything below una is acknowledged. */
static void sack_trim(struct tcp_flow *f)
{
    while (f->sacks && seq_le(f->sack[0][1], f->una)) {
        f->sacks--;
        memmove(f->sack, f->sack + 1, f->sacks * sizeof f->sack[0]);
    }
    if (f->sacks && seq_lt(f->sack[0][0], f->una))
        f->sack[0][0] = f->una;
}

static uint32_t sacked(const struct tcp_flow *f)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < f->sacks; i++)
        n += f->sack[i][1] - f->sack[i][0];
    return n;
}

/* true: something new. Blocks that make no sense, and what was acknowledged (RFC 2883), are left out. */
static bool sack_input(struct tcp_flow *f, const struct tcp_seg *s)
{
    uint32_t before = sacked(f);

    for (unsigned i = 0; f->sack_ok && i < s->sacks; i++) {
        uint32_t seq = s->sack[i][0], end = s->sack[i][1];

        if (seq_lt(seq, end) && seq_lt(f->una, seq) && seq_le(end, f->nxt))
            sack_enter(f, seq, end);
    }
    return sacked(f) != before;
}

/* --- what is lost -------------------------------------------------------------------------------------------------- */

/* Bytes of [from, to) that were not SACKed. */
static uint32_t holes(const struct tcp_flow *f, uint32_t from, uint32_t to)
{
    uint32_t n = seq_lt(from, to) ? to - from : 0;

    for (unsigned i = 0; i < f->sacks; i++) {
        uint32_t seq = seq_max(f->sack[i][0], from), end = seq_min(f->sack[i][1], to);

        if (seq_lt(seq, end))
            n -= end - seq;
    }
    return n;
}

uint32_t tcp_pipe(const struct tcp_flow *f)
{
    return f->nxt - f->una - sacked(f) - holes(f, seq_max(f->rxt, f->una), f->rxt_end);
}

uint32_t tcp_next_hole(struct tcp_flow *f)
{
    f->rxt = seq_max(f->rxt, f->una);
    for (unsigned i = 0; i < f->sacks && seq_lt(f->rxt, f->rxt_end); i++) {
        if (seq_lt(f->rxt, f->sack[i][0]))
            return seq_min(f->sack[i][0], f->rxt_end) - f->rxt;
        f->rxt = seq_max(f->rxt, f->sack[i][1]);
    }
    return seq_lt(f->rxt, f->rxt_end) ? f->rxt_end - f->rxt : 0;
}

static void slow_down(struct tcp_flow *f)
{
    uint64_t flight = f->nxt - f->una;

    f->ssthresh = (uint32_t)(flight * 7 / 10);
    if (f->ssthresh < 2u * f->mss)
        f->ssthresh = 2u * f->mss;
}

/* What is lost for certain: what the guest got something behind of. blind: it does not say; a frame from una on. */
static void mark_lost(struct tcp_flow *f, bool blind)
{
    if (f->sacks)
        f->rxt_end = seq_max(f->rxt_end, f->sack[f->sacks - 1][0]);
    else if (blind)
        f->rxt_end = seq_max(f->rxt_end, seq_min(f->una + TCP_FRAME, f->recover));
}

static void begin_recovery(struct tcp_flow *f)
{
    slow_down(f);
    f->cwnd = f->ssthresh;
    f->loss = LOSS_RECOVERY;
    f->recover = f->nxt;
    f->rxt = f->rxt_end = f->una;
    f->rtt_timing = false;
    mark_lost(f, true);
}

void tcp_loss_timeout(struct tcp_flow *f)
{
    if (f->loss != LOSS_TIMEOUT)
        slow_down(f);
    if (f->retries > 1) /* the guest may have thrown away what it SACKed (RFC 2018, 8) */
        f->sacks = 0;
    f->cwnd = f->mss;
    f->loss = LOSS_TIMEOUT;
    f->recover = f->rxt_end = f->nxt;
    f->rxt = f->una;
    f->dupacks = 0;
    f->rtt_timing = false;
}

/* --- acknowledgements -------------------------------------------------------------------------------------------- */

static void grow(struct tcp_flow *f, uint32_t n)
{
    if (f->loss == LOSS_RECOVERY || f->cwnd > 2 * (f->wnd_max > TCP_FRAME ? f->wnd_max : TCP_FRAME))
        return;
    if (f->cwnd < f->ssthresh)
        f->cwnd += n;
    else
        f->cwnd += (uint32_t)((uint64_t)f->mss * n / f->cwnd) + 1;
}

/* n bytes are acknowledged for the first time. */
static void advance(struct tcp_flow *f, uint32_t n, uint64_t now)
{
    measure(f, f->una + n, now);
    f->una += n;
    f->bytes_in += n - (f->fin_sent && f->una == f->nxt);
    f->retries = f->dupacks = 0;
    f->rxt_mark = f->nxt;
    f->later = 0;
    f->tail_sent = false;
    f->todo &= (uint8_t)~TODO_TAIL;
    sack_trim(f);
    if (f->loss && seq_le(f->recover, f->una))
        f->loss = LOSS_NONE;
    grow(f, n);
    if (f->loss == LOSS_RECOVERY) {
        if (!f->sack_ok) /* a partial acknowledgement: the next piece is lost as well (RFC 6582, 3.2) */
            f->rxt = f->una;
        mark_lost(f, !f->sack_ok);
    } else if (!f->loss) {
        f->rxt = f->rxt_end = f->una;
    }
    f->rto_due = CLOCK_NEVER;
    if (f->una != f->nxt)
        tcp_timer_rto(f, now);
    tcp_host_discard(f, f->una == f->nxt || !f->readable); /* the far peer may wait for this very room */
}

/* An acknowledgement of nothing new while something is on its way (RFC 5681, 2). */
static bool is_duplicate(const struct tcp_flow *f, const struct tcp_seg *s)
{
    return f->una != f->nxt && !s->len && !(s->flags & SEG_FIN) && s->wnd << f->snd_scale == f->wnd;
}

static void window(struct tcp_flow *f, const struct tcp_seg *s)
{
    uint32_t wnd = s->wnd << f->snd_scale;

    if (!seq_lt(f->wl1, s->seq) && !(f->wl1 == s->seq && seq_le(f->wl2, s->ack)))
        return;
    if (f->una == f->nxt && wnd > f->wnd) { /* it was closed, perhaps: no more questions */
        f->rto_due = CLOCK_NEVER;
        f->retries = 0;
    }
    f->wnd = wnd;
    f->wl1 = s->seq;
    f->wl2 = s->ack;
    if (wnd > f->wnd_max)
        f->wnd_max = wnd;
}

/* Not SACKed of what was sent after the bytes at una were sent again: holes are filled in order. */
static uint32_t holes_later(const struct tcp_flow *f)
{
    return holes(f, f->una, f->rxt) + holes(f, f->rxt_mark, f->nxt);
}

/* What the guest SACKs, and what it says of what was sent again. */
static bool take_sacks(struct tcp_flow *f, const struct tcp_seg *s)
{
    bool again = f->loss && seq_lt(f->una, f->rxt), news;
    uint32_t before = again ? holes_later(f) : 0, left;

    news = sack_input(f, s);
    if (!again || !news)
        return news;
    left = holes_later(f);
    f->later += left < before ? before - left : 0; /* a range may have been forgotten */
    if (f->later > (DUP_ACKS - 1) * (uint32_t)f->mss)
        f->rxt = f->una;
    return true;
}

/*
 * Something is lost: enough was SACKed above it (RFC 6675); or everything else of the little that is on its way, and
 * nothing will follow that could be SACKed as well (RFC 5827); or what was sent again long after it (asked).
 */
static bool sacks_tell(const struct tcp_flow *f, bool asked)
{
    uint32_t flight = f->nxt - f->una, n = sacked(f);

    return n > (DUP_ACKS - 1) * (uint32_t)f->mss || (n && !f->readable && flight - n <= f->mss) || (n && asked);
}

void tcp_ack(struct tcp_flow *f, const struct tcp_seg *s, uint64_t now)
{
    uint32_t n = s->ack - f->una;
    bool duplicate = !n && is_duplicate(f, s), asked = f->tail_sent, news;

    if (n)
        advance(f, n, now);
    news = take_sacks(f, s);
    window(f, s);
    if (!f->wnd && f->retries > RETRIES_CLOSED)
        f->retries = RETRIES_CLOSED;
    if (duplicate && f->dupacks < 255)
        f->dupacks++;
    if (f->loss == LOSS_RECOVERY && news)
        mark_lost(f, false);
    else if (!f->loss && (f->dupacks >= DUP_ACKS || sacks_tell(f, asked)))
        begin_recovery(f);
    tcp_flow_wake(f);
}
