/*
 * Native SBI: performance counters (PMU). Hardware counters are the hart's own (counters.c), numbered as their CSRs;
 * firmware counters follow them. Counter 1 would be `time` and does not exist.
 */
#include "base/bits.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/sbi_impl.h"
#include "mmu/bus.h"

enum { CYCLE = 0, TIME = 1, INSTRET = 2 };
enum { EVENT_TYPE_SHIFT = 16, TYPE_HW = 0, TYPE_CACHE = 1, TYPE_RAW = 2, TYPE_RAW2 = 3, TYPE_FW = 15 };

#define CFG_SKIP_MATCH 1u
#define CFG_CLEAR_VALUE 2u
#define CFG_AUTO_START 4u
#define CFG_SET_UINH 32u
#define CFG_SET_SINH 64u
#define CFG_SET_MINH 128u

#define START_SET_INIT 1u
#define START_SNAPSHOT 2u
#define STOP_RESET 1u
#define STOP_SNAPSHOT 2u

#define OF (UINT64_C(1) << 63)
#define MINH (UINT64_C(1) << 62)
#define SINH (UINT64_C(1) << 61)
#define UINH (UINT64_C(1) << 60)

static struct sbi_ret ok(uint64_t value) { return (struct sbi_ret){SBI_SUCCESS, value}; }
static struct sbi_ret error(int64_t e) { return (struct sbi_ret){e, 0}; }

/* The hart's hardware counters come first, at most 13 of the programmable ones: all numbers fit 32 bits. */
static unsigned hw_count(const struct rv *c)
{
    unsigned n = HPM_FIRST + c->cfg->hpm_count;

    return n < 32 - FW_COUNTERS ? n : 32 - FW_COUNTERS;
}

static unsigned total(const struct rv *c) { return hw_count(c) + FW_COUNTERS; }
static struct sbi_hart *hart_of(struct rv *c) { return &c->sbi->hart[c->v.index]; }

/* The counters that (base, mask) names. false: one of them does not exist. */
static bool selection(const struct rv *c, uint64_t base, uint64_t mask, uint32_t *set)
{
    if (base >= total(c) || !mask || 63 - (unsigned)__builtin_clzll(mask) >= total(c) - base)
        return false;
    *set = (uint32_t)(mask << base);
    return true;
}

/* --- firmware counters --- */

static uint64_t fw_events(struct rv *c, unsigned n)
{
    return atomic_load_explicit(&hart_of(c)->fw_count[hart_of(c)->pmu.fw_event[n]], memory_order_relaxed);
}

static uint64_t fw_get(struct rv *c, unsigned ctr)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    unsigned n = ctr - hw_count(c);

    return p->started >> ctr & 1 ? fw_events(c, n) - p->fw_mark[n] : p->fw_value[n];
}

static uint64_t counter_get(struct rv *c, unsigned ctr)
{
    return ctr < hw_count(c) ? counters_get(c, ctr) : fw_get(c, ctr);
}

static void counter_set(struct rv *c, unsigned ctr, uint64_t val)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    unsigned n = ctr - hw_count(c);

    if (ctr < hw_count(c)) {
        counters_set(c, ctr, val, 0);
        return;
    }
    p->fw_value[n] = val;
    p->fw_mark[n] = fw_events(c, n) - val;
}

static void counter_run(struct rv *c, unsigned ctr, bool run)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;

    if (ctr < hw_count(c)) {
        uint32_t bit = 1u << ctr, inhibit = c->counters.inhibit;

        if (run && ctr >= HPM_FIRST)
            counters_set_event(c, ctr, c->counters.event[ctr] & ~OF);
        counters_set_inhibit(c, run ? inhibit & ~bit : inhibit | bit);
    } else {
        counter_set(c, ctr, fw_get(c, ctr)); /* holds its value across the change */
    }
    p->started = run ? p->started | 1u << ctr : p->started & ~(1u << ctr);
}

/* --- matching --- */

/* The number mhpmevent takes for an SBI event; 0: not counted here. */
static uint64_t hw_event(const struct rv *c, uint64_t event, uint64_t data)
{
    unsigned type = event >> EVENT_TYPE_SHIFT & 15;

    if (event >> 20)
        return 0;
    if (type == TYPE_RAW || type == TYPE_RAW2)
        event = data;
    return counters_event_known(c, event) ? event : 0;
}

static int fw_event(uint64_t event)
{
    unsigned code = event & 0xffff;

    if (event >> EVENT_TYPE_SHIFT != TYPE_FW || code < FW_SET_TIMER || code > FW_SFENCE_ASID_RECEIVED)
        return -1;
    return (int)code;
}

/* A free counter of set for event, -1: none. The fixed ones cannot filter or interrupt: programmable ones go first. */
static int counter_for(struct rv *c, uint32_t set, uint64_t event, uint64_t hw)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    uint32_t freely = set & ~p->used, hw_mask = (1u << hw_count(c)) - 1;

    if (fw_event(event) >= 0)
        freely &= ~hw_mask;
    else if (freely & hw_mask & ~7u)
        freely &= hw_mask & ~7u;
    else
        freely &= hw == 1 ? 1u << CYCLE : hw == 2 ? 1u << INSTRET : 0u;
    return freely ? __builtin_ctz(freely) : -1;
}

static struct sbi_ret configure(struct rv *c, const uint64_t *a)
{
    uint32_t set, flags = (uint32_t)a[2];
    struct sbi_pmu *p = &hart_of(c)->pmu;
    uint64_t hw = hw_event(c, a[3], a[4]);
    int ctr;

    if (!selection(c, a[0], a[1], &set))
        return error(SBI_INVALID_PARAM);
    if (flags & CFG_SKIP_MATCH) {
        ctr = __builtin_ctz(set);
        if (!(p->used >> ctr & 1))
            return error(SBI_INVALID_PARAM);
    } else {
        if (!hw && fw_event(a[3]) < 0)
            return error(SBI_NOT_SUPPORTED);
        ctr = counter_for(c, set, a[3], hw);
        if (ctr < 0)
            return error(SBI_NOT_SUPPORTED);
        p->used |= 1u << ctr;
        counter_run(c, (unsigned)ctr, false);
        if (fw_event(a[3]) >= 0)
            p->fw_event[(unsigned)ctr - hw_count(c)] = (uint8_t)fw_event(a[3]);
        else if (ctr >= HPM_FIRST)
            counters_set_event(c, (unsigned)ctr,
                               hw | (flags & CFG_SET_MINH ? MINH : 0) | (flags & CFG_SET_SINH ? SINH : 0) |
                                   (flags & CFG_SET_UINH ? UINH : 0));
    }
    if (flags & CFG_CLEAR_VALUE)
        counter_set(c, (unsigned)ctr, 0);
    if (flags & CFG_AUTO_START)
        counter_run(c, (unsigned)ctr, true);
    return ok((uint64_t)ctr);
}

/* --- start and stop, with snapshots in shared memory: u64 overflow mask, then u64 values by bit of the mask --- */

static struct sbi_ret start(struct rv *c, const uint64_t *a)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    uint32_t set, flags = (uint32_t)a[2];

    if (!selection(c, a[0], a[1], &set) || (set & ~p->used))
        return error(SBI_INVALID_PARAM);
    if ((flags & START_SNAPSHOT) && p->shmem == ~UINT64_C(0))
        return error(SBI_NO_SHMEM);
    if (set & p->started)
        return error(SBI_ALREADY_STARTED);
    for (unsigned ctr = 0; ctr < total(c); ctr++) {
        uint64_t val = a[3];

        if (!(set >> ctr & 1))
            continue;
        if (flags & START_SNAPSHOT && !dma_read(c->v.bus, p->shmem + 8 + 8 * (ctr - a[0]), &val, 8))
            return error(SBI_FAILED);
        if (flags & (START_SET_INIT | START_SNAPSHOT))
            counter_set(c, ctr, val);
        counter_run(c, ctr, true);
    }
    return ok(0);
}

static void snapshot(struct rv *c, uint64_t base, uint32_t set)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    uint64_t over = 0, val;

    dma_read(c->v.bus, p->shmem, &over, 8);
    for (unsigned ctr = 0; ctr < total(c); ctr++) {
        if (!(set >> ctr & 1))
            continue;
        val = counter_get(c, ctr);
        if (ctr < hw_count(c) && (c->counters.event[ctr] & OF))
            over |= UINT64_C(1) << (ctr - base);
        dma_write(c->v.bus, p->shmem + 8 + 8 * (ctr - base), &val, 8);
    }
    dma_write(c->v.bus, p->shmem, &over, 8);
}

static struct sbi_ret stop(struct rv *c, const uint64_t *a)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;
    uint32_t set, flags = (uint32_t)a[2];
    bool ran;

    if (!selection(c, a[0], a[1], &set) || (set & ~p->used))
        return error(SBI_INVALID_PARAM);
    if ((flags & STOP_SNAPSHOT) && p->shmem == ~UINT64_C(0))
        return error(SBI_NO_SHMEM);
    ran = set & p->started;
    for (unsigned ctr = 0; ctr < total(c); ctr++)
        if (set >> ctr & 1)
            counter_run(c, ctr, false);
    if (flags & STOP_SNAPSHOT)
        snapshot(c, a[0], set);
    if (flags & STOP_RESET) {
        p->used &= ~set;
        return ok(0);
    }
    return ran ? ok(0) : error(SBI_ALREADY_STOPPED);
}

static struct sbi_ret set_shmem(struct rv *c, const uint64_t *a)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;

    if (a[0] == ~UINT64_C(0) && a[1] == ~UINT64_C(0)) {
        p->shmem = ~UINT64_C(0);
        return ok(0);
    }
    if (a[2] || (a[0] & ~PAGE_MASK))
        return error(SBI_INVALID_PARAM);
    if (a[1] || !bus_ram(c->v.bus, a[0], PAGE_SIZE))
        return error(SBI_INVALID_ADDRESS);
    p->shmem = a[0];
    return ok(0);
}

/* Entries of 16 bytes: u32 event, u32 supported (out), u64 data. */
static struct sbi_ret event_info(struct rv *c, const uint64_t *a)
{
    if (a[3] || !a[2] || (a[0] & 15))
        return error(SBI_INVALID_PARAM);
    if (a[1] || a[2] > UINT64_C(1) << 32 || !bus_ram(c->v.bus, a[0], a[2] * 16))
        return error(SBI_INVALID_ADDRESS);
    for (uint64_t n = 0; n < a[2]; n++) {
        uint8_t e[16];
        uint32_t event;

        if (!dma_read(c->v.bus, a[0] + 16 * n, e, sizeof e))
            return error(SBI_FAILED);
        event = ld32(e);
        st32(e + 4, hw_event(c, event, ld64(e + 8)) || fw_event(event) >= 0);
        if (!dma_write(c->v.bus, a[0] + 16 * n + 4, e + 4, 4))
            return error(SBI_FAILED);
    }
    return ok(0);
}

/* Bits 11..0 CSR, 17..12 width - 1, 63 firmware counter. */
static struct sbi_ret info(struct rv *c, uint64_t ctr)
{
    if (ctr >= total(c) || ctr == TIME)
        return error(SBI_INVALID_PARAM);
    return ok(ctr < hw_count(c) ? (0xc00 + ctr) | 63 << 12 : UINT64_C(1) << 63);
}

static struct sbi_ret fw_read(struct rv *c, uint64_t ctr)
{
    struct sbi_pmu *p = &hart_of(c)->pmu;

    if (ctr < hw_count(c) || ctr >= total(c) || !(p->used >> ctr & 1))
        return error(SBI_INVALID_PARAM);
    return ok(fw_get(c, (unsigned)ctr));
}

struct sbi_ret sbi_pmu(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    (void)s;
    switch (fid) {
    case 0: return ok(total(c));
    case 1: return info(c, a[0]);
    case 2: return configure(c, a);
    case 3: return start(c, a);
    case 4: return stop(c, a);
    case 5: return fw_read(c, a[0]);
    case 6: return ok(0); /* upper half: none on RV64 */
    case 7: return set_shmem(c, a);
    case 8: return event_info(c, a);
    default: return error(SBI_NOT_SUPPORTED);
    }
}

void sbi_pmu_reset(struct rv *c)
{
    struct sbi_hart *h = hart_of(c);

    h->pmu = (struct sbi_pmu){.shmem = ~UINT64_C(0)};
    for (unsigned n = 0; n < FW_EVENTS; n++)
        atomic_store(&h->fw_count[n], 0);
}
