/*
 * Time as the hart sees it, and Sstc's comparator ("Sstc" Extension for Supervisor-mode Timer Interrupts).
 *
 * mtime counts at RV_TIME_HZ from the machine's clock. STIP is a line while menvcfg.STCE is set (or native SBI uses
 * the comparator for its TIME extension): up as long as time >= stimecmp. The timer's callback runs on another thread;
 * timer_lock orders it against writes, so that an interrupt that was rescheduled is never raised late.
 */
#include "cpu/riscv/csr.h"
#include "cpu/trace.h"

static uint64_t clock_ticks(const struct rv *c)
{
    return (c->v.trace ? c->v.trace->now : clock_now(c->v.clock)) / RV_NS_PER_TICK;
}

uint64_t rv_time(const struct rv *c)
{
    return clock_ticks(c) + atomic_load_explicit(&c->time_delta, memory_order_relaxed);
}

uint64_t read_time(struct rv *c, unsigned num)
{
    (void)num;
    return rv_time(c);
}

/* Under timer_lock. */
static void timer_derive(struct rv *c)
{
    uint64_t now = clock_now(c->v.clock) / RV_NS_PER_TICK + atomic_load(&c->time_delta), left;
    bool on = (c->menvcfg & ENVCFG_STCE) || c->sbi;

    if (!on || c->stimecmp == ~UINT64_C(0)) {
        timer_cancel(&c->stimer);
        rv_irq_set(c, IRQ_STI, false);
        return;
    }
    if (now >= c->stimecmp) {
        timer_cancel(&c->stimer);
        rv_irq_set(c, IRQ_STI, true);
        return;
    }
    rv_irq_set(c, IRQ_STI, false);
    left = c->stimecmp - now;
    if (left > (CLOCK_NEVER >> 2) / RV_NS_PER_TICK)
        timer_cancel(&c->stimer);
    else
        timer_arm(&c->stimer, (c->stimecmp - atomic_load(&c->time_delta)) * RV_NS_PER_TICK);
}

void rv_timer_update(struct rv *c)
{
    pthread_mutex_lock(&c->timer_lock);
    timer_derive(c);
    pthread_mutex_unlock(&c->timer_lock);
}

void rv_timer_expired(void *arg) { rv_timer_update(arg); }

void write_stimecmp(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    pthread_mutex_lock(&c->timer_lock);
    c->stimecmp = val;
    timer_derive(c);
    pthread_mutex_unlock(&c->timer_lock);
}

void rv_time_set(struct rv *c, uint64_t ticks)
{
    atomic_store(&c->time_delta, ticks - clock_now(c->v.clock) / RV_NS_PER_TICK);
    rv_timer_update(c);
}
