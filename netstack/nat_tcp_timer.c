/*
 * Timers of the NAT's TCP: one timer of the clock and a wheel for all flows.
 *
 * Two wheels of 256 slots, about 1 ms and 0.27 s wide. A flow is in the slot of its earliest deadline, or of one that was
 * earlier: a deadline that moves away, as most do with every packet, costs a store; the flow is put where it belongs when
 * the old slot's time comes. What is farther away than the second wheel reaches is put in its last slot, again and again.
 */
#include "netstack/nat_tcp_int.h"

#define MSEC UINT64_C(1000000)
#define RTO_MIN (200 * MSEC)
#define RTO_MAX (60 * NS_PER_SEC)
#define TAIL_WAIT (10 * MSEC)       /* besides two round trips */
#define SYN_RTO (250 * MSEC)        /* the guest is near; its answer takes as long as it takes to schedule it */
#define TIME_WAIT (4 * NS_PER_SEC)  /* the cable to the guest keeps nothing for longer */
#define IDLE (7200 * NS_PER_SEC)    /* keepalive: RFC 9293, 3.8.4 */
#define PROBE_EVERY (75 * NS_PER_SEC)

enum {
    SYN_TRIES = 9,   /* 250 ms doubled: about two minutes */
    DATA_TRIES = 13, /* of 200 ms doubled up to 60 s: at least five minutes (RFC 9293, 3.8.3: R2 >= 100 s) */
    KEEPALIVE_TRIES = 9,
    WINDOW_TRIES = 15, /* unanswered */
    RETRIES_MAX = 16,  /* more do not make us wait longer */
    TICK0 = 20,        /* log2 ns */
    TICK1 = 28,
};

static unsigned shift_of(unsigned wheel) { return wheel ? TICK1 : TICK0; }

/* --- deadlines ------------------------------------------------------------------------------------------------- */

/* When an idle flow has to be looked at. */
static uint64_t idle_due(const struct tcp_flow *f)
{
    switch (f->state) {
    case FLOW_CONNECTING: /* the socket says */
    case FLOW_SYN_SENT:   /* the retransmission timer */
    case FLOW_SYN_RCVD:
    case FLOW_RESET:
    case FLOW_DEAD: return CLOCK_NEVER;
    case FLOW_TIME_WAIT: return f->used + TIME_WAIT;
    default: return f->used + IDLE + f->probes * PROBE_EVERY;
    }
}

static uint64_t due_of(const struct tcp_flow *f)
{
    uint64_t due = idle_due(f);

    if (f->rto_due < due)
        due = f->rto_due;
    return f->ack_due < due ? f->ack_due : due;
}

static uint64_t backoff(uint64_t rto, unsigned n)
{
    while (n-- && rto < RTO_MAX)
        rto *= 2;
    return rto < RTO_MAX ? rto : RTO_MAX;
}

/* The guest acknowledges a frame of many segments once: when that is lost, nothing follows it (RFC 8985, 7.2). */
static bool tail_applies(const struct tcp_flow *f)
{
    return f->srtt && !f->loss && !f->retries && !f->tail_sent && f->nxt - f->una > f->mss;
}

void tcp_timer_rto(struct tcp_flow *f, uint64_t now)
{
    uint64_t rto = f->rto > RTO_MIN ? f->rto : RTO_MIN, tail = 2 * f->srtt + TAIL_WAIT;

    if (f->state == FLOW_SYN_SENT || f->state == FLOW_SYN_RCVD)
        rto = SYN_RTO;
    f->tail_due = tail < rto && tail_applies(f);
    f->rto_due = now + (f->tail_due ? tail : backoff(rto, f->retries));
    tcp_timer_update(f);
}

void tcp_timer_sent(struct tcp_flow *f, uint64_t now)
{
    if (f->rto_due == CLOCK_NEVER || (!f->tail_due && tail_applies(f)))
        tcp_timer_rto(f, now);
}

/* The guest's window is closed: one more question. Its answers keep the flow alive, and do not make us ask more often. */
static void probe_window(struct tcp_flow *f)
{
    if (++f->probes > WINDOW_TRIES) {
        tcp_flow_reset_guest(f);
        return;
    }
    if (f->retries < RETRIES_MAX)
        f->retries++;
    f->todo |= TODO_PROBE;
    tcp_flow_wake(f);
}

/* The guest did not answer in time. */
static void retransmit(struct tcp_flow *f, uint64_t now)
{
    bool syn = f->state == FLOW_SYN_SENT || f->state == FLOW_SYN_RCVD;

    f->rto_due = CLOCK_NEVER;
    if (f->t->blocked) { /* it cannot have been asked */
        f->rto_due = now + RTO_MIN;
        return;
    }
    if (!syn && f->nxt == f->una) {
        probe_window(f);
        return;
    }
    if (f->tail_due) {
        f->tail_sent = true;
        f->todo |= TODO_TAIL;
        tcp_timer_rto(f, now);
        tcp_flow_wake(f);
        return;
    }
    if (++f->retries > (syn ? SYN_TRIES : DATA_TRIES)) {
        tcp_flow_reset_guest(f);
        return;
    }
    f->t->c.timeouts++;
    if (syn)
        f->todo |= TODO_SYN;
    else
        tcp_loss_timeout(f);
    tcp_flow_wake(f);
}

/* Nothing was heard for long: ask whether the guest is there. */
static void idle(struct tcp_flow *f)
{
    if (f->state == FLOW_TIME_WAIT) {
        tcp_flow_free(f);
        return;
    }
    if (++f->probes > KEEPALIVE_TRIES) {
        tcp_flow_reset_guest(f);
        return;
    }
    f->todo |= TODO_PROBE;
    tcp_flow_wake(f);
}

static void expire(struct tcp_flow *f, uint64_t now)
{
    if (f->ack_due <= now) {
        f->ack_due = CLOCK_NEVER;
        f->todo |= TODO_ACK;
        tcp_flow_wake(f);
    }
    if (f->rto_due <= now)
        retransmit(f, now);
    if (idle_due(f) <= now)
        idle(f);
    tcp_timer_update(f);
}

/* --- the wheels -------------------------------------------------------------------------------------------------- */

static void arm(struct tcp_wheel *w, uint64_t when)
{
    if (when < w->timer.when)
        timer_arm(&w->timer, when);
}

/* No slot before the timer's is in use: time may pass there. */
static void catch_up(struct tcp_wheel *w, uint64_t now)
{
    if (now < w->timer.when)
        for (unsigned i = 0; i < TCP_WHEELS; i++)
            w->tick[i] = now >> shift_of(i);
}

static void insert(struct tcp_flow *f, uint64_t due)
{
    struct tcp_wheel *w = &f->t->wheel;
    uint64_t tick = (due >> TICK0) + 1; /* not before it is due */
    unsigned wheel = 0;
    struct tcp_flow **slot;

    catch_up(w, clock_now(f->t->n->env.clock));
    if (tick >= w->tick[0] + TCP_WHEEL_SLOTS) {
        wheel = 1;
        tick = due >> TICK1;
        if (tick >= w->tick[1] + TCP_WHEEL_SLOTS)
            tick = w->tick[1] + TCP_WHEEL_SLOTS - 1;
    }
    if (tick <= w->tick[wheel])
        tick = w->tick[wheel] + 1;
    slot = &w->slot[wheel][tick % TCP_WHEEL_SLOTS];
    f->wheel_prev = slot;
    f->wheel_next = *slot;
    if (*slot)
        (*slot)->wheel_prev = &f->wheel_next;
    *slot = f;
    f->armed = tick << shift_of(wheel);
    arm(w, f->armed);
}

void tcp_timer_remove(struct tcp_flow *f)
{
    if (f->armed == CLOCK_NEVER)
        return;
    f->armed = CLOCK_NEVER;
    *f->wheel_prev = f->wheel_next;
    if (f->wheel_next)
        f->wheel_next->wheel_prev = f->wheel_prev;
}

void tcp_timer_update(struct tcp_flow *f)
{
    uint64_t due = due_of(f);

    if (due >= f->armed || f->state == FLOW_DEAD) /* the slot it is in comes first */
        return;
    tcp_timer_remove(f);
    insert(f, due);
}

/* Each flow in the slots behind `from`, up to the wheel's tick. What is put back meanwhile is for later. */
static void turn(struct nat_tcp *t, unsigned wheel, uint64_t from, uint64_t now)
{
    struct tcp_wheel *w = &t->wheel;

    if (w->tick[wheel] - from > TCP_WHEEL_SLOTS)
        from = w->tick[wheel] - TCP_WHEEL_SLOTS;
    while (from++ < w->tick[wheel]) {
        struct tcp_flow **slot = &w->slot[wheel][from % TCP_WHEEL_SLOTS], *due = *slot;

        *slot = NULL;
        if (due)
            due->wheel_prev = &due;
        while (due) {
            struct tcp_flow *f = due;

            tcp_timer_remove(f);
            expire(f, now);
        }
    }
}

static uint64_t next_slot(const struct tcp_wheel *w)
{
    uint64_t when = CLOCK_NEVER;

    for (unsigned i = 0; i < TCP_WHEELS; i++)
        for (uint64_t tick = w->tick[i] + 1; tick <= w->tick[i] + TCP_WHEEL_SLOTS; tick++)
            if (w->slot[i][tick % TCP_WHEEL_SLOTS]) {
                if (tick << shift_of(i) < when)
                    when = tick << shift_of(i);
                break;
            }
    return when;
}

static void expired(void *arg)
{
    struct nat_tcp *t = arg;
    uint64_t now = clock_now(t->n->env.clock), from[TCP_WHEELS];

    for (unsigned i = 0; i < TCP_WHEELS; i++) {
        from[i] = t->wheel.tick[i];
        t->wheel.tick[i] = now >> shift_of(i);
    }
    for (unsigned i = 0; i < TCP_WHEELS; i++)
        turn(t, i, from[i], now);
    timer_arm(&t->wheel.timer, next_slot(&t->wheel));
}

void tcp_timer_init(struct nat_tcp *t)
{
    uint64_t now = clock_now(t->n->env.clock);

    timer_init(&t->wheel.timer, t->n->env.clock, expired, t);
    for (unsigned i = 0; i < TCP_WHEELS; i++)
        t->wheel.tick[i] = now >> shift_of(i);
}

void tcp_timer_fini(struct nat_tcp *t) { clock_drop_timer(&t->wheel.timer); }
