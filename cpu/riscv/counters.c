/*
 * Counters: Zicntr, Zihpm, Sscofpmf (privileged specification, "Hardware Performance Monitor", "Sscofpmf").
 *
 * A counter is not stepped: it keeps its value at a mark of its source, and runs as long as its bit in `running` is set.
 * Sources are the instructions retired (a cycle is an instruction here) and the TLB's misses. Inhibits, events and, for counters that
 * stop in some privilege modes, changes of privilege take it up to date and set a new mark.
 * Overflow interrupts are looked for by a timer set to when the counter can reach zero at the earliest.
 */
#include "cpu/riscv/csr.h"

enum { CYCLE = 0, TIME = 1, INSTRET = 2 };

#define EVENT_OF (UINT64_C(1) << 63)
#define EVENT_MINH (UINT64_C(1) << 62)
#define EVENT_SINH (UINT64_C(1) << 61)
#define EVENT_UINH (UINT64_C(1) << 60)
#define EVENT_FILTER (EVENT_MINH | EVENT_SINH | EVENT_UINH)
#define EVENT_NUMBER ((UINT64_C(1) << 56) - 1)

/* The numbers are those of SBI's PMU events (chapter "Performance Monitoring Unit"), as QEMU's virt has them. */
enum {
    EVENT_CYCLES = 1,
    EVENT_INSTRUCTIONS = 2,
    EVENT_DTLB_READ_MISS = 0x10019,
    EVENT_DTLB_WRITE_MISS = 0x1001b,
    EVENT_ITLB_READ_MISS = 0x10021,
};

enum { MIN_NS_PER_INSN_SHIFT = 2 }; /* at most 4 instructions a ns: no overflow comes sooner than that */

static uint64_t event_of(const struct counters *k, unsigned n)
{
    return n == CYCLE ? EVENT_CYCLES : n == INSTRET ? EVENT_INSTRUCTIONS : k->event[n] & EVENT_NUMBER;
}

bool counters_event_known(const struct rv *c, uint64_t event)
{
    (void)c;
    switch (event) {
    case EVENT_CYCLES:
    case EVENT_INSTRUCTIONS:
    case EVENT_DTLB_READ_MISS:
    case EVENT_DTLB_WRITE_MISS:
    case EVENT_ITLB_READ_MISS: return true;
    default: return false;
    }
}

static uint64_t source(const struct rv *c, unsigned n)
{
    switch (event_of(&c->counters, n)) {
    case EVENT_CYCLES:
    case EVENT_INSTRUCTIONS: return c->v.icount;
    case EVENT_DTLB_READ_MISS: return c->counters.dtlb_read;
    case EVENT_DTLB_WRITE_MISS: return c->counters.dtlb_write;
    case EVENT_ITLB_READ_MISS: return c->counters.itlb;
    default: return 0;
    }
}

static bool counts_instructions(const struct rv *c, unsigned n)
{
    uint64_t e = event_of(&c->counters, n);

    return e == EVENT_CYCLES || e == EVENT_INSTRUCTIONS;
}

/* Bring the value up to the present; sets OF and the interrupt when it wrapped (Sscofpmf: only while OF is clear). */
static void settle(struct rv *c, unsigned n)
{
    struct counters *k = &c->counters;
    uint64_t now = source(c, n), old = k->value[n];

    if (k->running >> n & 1) {
        k->value[n] += now - k->mark[n];
        if (n >= HPM_FIRST && k->value[n] < old && rv_has(c, EXT_SSCOFPMF) && !(k->event[n] & EVENT_OF)) {
            k->event[n] |= EVENT_OF;
            atomic_fetch_or(&c->irq_soft, MIP_BIT(IRQ_LCOFI));
            rv_update_irq(c);
        }
    }
    k->mark[n] = now;
}

static bool mode_counts(const struct rv *c, unsigned n)
{
    uint64_t stop = c->priv == PRIV_M ? EVENT_MINH : c->priv == PRIV_S ? EVENT_SINH : EVENT_UINH;

    return !(c->counters.event[n] & stop);
}

/* Has a counter whose overflow is to be noticed; the number of events it is away from it. */
static bool overflow_watched(const struct rv *c, unsigned n, uint64_t *left)
{
    const struct counters *k = &c->counters;

    if (n < HPM_FIRST || !(k->running >> n & 1) || (k->event[n] & EVENT_OF) || !rv_has(c, EXT_SSCOFPMF))
        return false;
    *left = -(k->value[n] + source(c, n) - k->mark[n]);
    if (!counts_instructions(c, n))
        *left = *left > 1 ? *left : 1;
    return *left < UINT64_C(1) << 50;
}

static void arm_overflow(struct rv *c)
{
    uint64_t first = CLOCK_NEVER, left;

    for (unsigned n = HPM_FIRST; n < COUNTERS; n++)
        if (overflow_watched(c, n, &left)) {
            uint64_t ns = left >> MIN_NS_PER_INSN_SHIFT;

            if (!counts_instructions(c, n) && ns < NS_PER_SEC / 1000)
                ns = NS_PER_SEC / 1000;
            if (ns < first)
                first = ns;
        }
    if (first == CLOCK_NEVER)
        timer_cancel(&c->overflow_timer);
    else
        timer_arm(&c->overflow_timer, clock_now(c->v.clock) + first);
}

/* Which counters run now, and which depend on the mode. All are settled. */
static void derive(struct rv *c)
{
    struct counters *k = &c->counters;
    uint32_t there = counters_mask(c) & ~(1u << TIME);

    k->running = k->filtered = 0;
    for (unsigned n = 0; n < COUNTERS; n++) {
        if (!(there >> n & 1) || (k->inhibit >> n & 1))
            continue;
        if (n >= HPM_FIRST && !counters_event_known(c, event_of(k, n)))
            continue;
        if (k->event[n] & EVENT_FILTER)
            k->filtered |= 1u << n;
        if (mode_counts(c, n))
            k->running |= 1u << n;
    }
}

static void settle_all(struct rv *c)
{
    for (unsigned n = 0; n < COUNTERS; n++)
        settle(c, n);
}

void counters_reset(struct rv *c)
{
    c->counters = (struct counters){0};
    for (unsigned n = 0; n < COUNTERS; n++)
        c->counters.mark[n] = source(c, n);
    timer_cancel(&c->overflow_timer);
    derive(c);
}

uint64_t counters_get(struct rv *c, unsigned n)
{
    settle(c, n);
    return c->counters.value[n];
}

/* lead: events that the instruction at hand will itself still add and that must not show. */
void counters_set(struct rv *c, unsigned n, uint64_t val, unsigned lead)
{
    struct counters *k = &c->counters;

    if (!(counters_mask(c) >> n & 1) || n == TIME)
        return;
    k->value[n] = val;
    k->mark[n] = source(c, n) + (counts_instructions(c, n) ? lead : 0);
    if (n >= HPM_FIRST)
        arm_overflow(c);
}

void counters_set_inhibit(struct rv *c, uint32_t inhibit)
{
    settle_all(c);
    c->counters.inhibit = inhibit & counters_mask(c) & ~(1u << TIME);
    derive(c);
    arm_overflow(c);
}

void counters_set_event(struct rv *c, unsigned n, uint64_t event)
{
    uint64_t can = EVENT_NUMBER;

    if (n < HPM_FIRST || !(counters_mask(c) >> n & 1))
        return;
    if (rv_has(c, EXT_SSCOFPMF))
        can |= EVENT_OF | EVENT_FILTER;
    settle(c, n);
    c->counters.event[n] = event & can;
    c->counters.mark[n] = source(c, n);
    settle_all(c);
    derive(c);
    arm_overflow(c);
}

void counters_mode_changed(struct rv *c)
{
    struct counters *k = &c->counters;

    for (unsigned n = HPM_FIRST; n < COUNTERS; n++)
        if (k->filtered >> n & 1) {
            settle(c, n);
            k->running = (k->running & ~(1u << n)) | (uint32_t)mode_counts(c, n) << n;
        }
}

void counters_overflow(struct rv *c)
{
    settle_all(c);
    arm_overflow(c);
}

/* --- registers --- */

uint64_t read_counter(struct rv *c, unsigned num) { return counters_get(c, num & 31); }

void write_counter(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    counters_set(c, num & 31, val, 1);
}

uint64_t read_countinhibit(struct rv *c, unsigned num)
{
    (void)num;
    return c->counters.inhibit;
}

void write_countinhibit(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    counters_set_inhibit(c, (uint32_t)val);
}

uint64_t read_hpmevent(struct rv *c, unsigned num)
{
    settle(c, num & 31);
    return c->counters.event[num & 31];
}

void write_hpmevent(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    counters_set_event(c, num & 31, val);
}

/* The OF bits; in S-mode those of counters that mcounteren lets it see. */
uint64_t read_scountovf(struct rv *c, unsigned num)
{
    uint64_t v = 0;

    (void)num;
    settle_all(c);
    for (unsigned n = HPM_FIRST; n < COUNTERS; n++)
        if (c->counters.event[n] & EVENT_OF)
            v |= UINT64_C(1) << n;
    return c->priv == PRIV_M ? v : v & c->mcounteren;
}
