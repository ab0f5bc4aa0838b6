/*
 * PLIC: see plic.h. The gateways' state is two bit sets: `pending` (the architectural IP bits) and `serving` (a request was
 * forwarded and its completion has not come). What each context sees is derived from them.
 */
#include "devices/plic.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"

enum { /* offsets */
       PRIORITY = 0x000000,
       PENDING = 0x001000,
       ENABLE = 0x002000,
       ENABLE_STRIDE = 0x80,
       CONTEXT = 0x200000,
       CONTEXT_STRIDE = 0x1000,
       THRESHOLD = 0,
       CLAIM = 4,
};

enum { CONTEXTS = 2 * PLIC_MAX_HARTS, WORDS = PLIC_SOURCES / 32 };

struct plic {
    struct device dev;
    unsigned contexts;
    uint32_t level[WORDS];   /* inputs as they are */
    uint32_t pending[WORDS]; /* IP */
    uint32_t serving[WORDS]; /* forwarded and not yet completed */
    uint8_t priority[PLIC_SOURCES];
    uint8_t threshold[CONTEXTS];
    uint32_t enable[CONTEXTS * WORDS];
    struct irq out[CONTEXTS];
};

static bool bit_get(const uint32_t *set, unsigned n) { return set[n / 32] >> n % 32 & 1; }

static void bit_put(uint32_t *set, unsigned n, bool on)
{
    uint32_t bit = UINT32_C(1) << n % 32;

    set[n / 32] = on ? set[n / 32] | bit : set[n / 32] & ~bit;
}

/* The source context c would claim: of the highest priority, then of the lowest number. Priority 0 means never. */
static unsigned best(const struct plic *p, unsigned c)
{
    unsigned found = 0, priority = 0;

    for (unsigned w = 0; w < WORDS; w++) {
        uint32_t set = p->pending[w] & p->enable[c * WORDS + w];

        for (; set; set &= set - 1) {
            unsigned n = w * 32 + (unsigned)__builtin_ctz(set);

            if (p->priority[n] > priority) {
                priority = p->priority[n];
                found = n;
            }
        }
    }
    return found;
}

static bool asks(const struct plic *p, unsigned c)
{
    unsigned n = best(p, c);

    return n && p->priority[n] > p->threshold[c];
}

static void context_update(struct plic *p, unsigned c)
{
    bool level = asks(p, c);

    if (level != p->out[c].level)
        irq_set(&p->out[c], level);
}

static void contexts_update(struct plic *p)
{
    for (unsigned c = 0; c < p->contexts; c++)
        context_update(p, c);
}

static void gateway_update(struct plic *p, unsigned n)
{
    if (bit_get(p->level, n) && !bit_get(p->serving, n)) {
        bit_put(p->serving, n, true);
        bit_put(p->pending, n, true);
        contexts_update(p);
    }
}

static void plic_update(struct device *d)
{
    struct plic *p = (struct plic *)d;

    p->priority[0] = 0;
    for (unsigned n = 1; n < PLIC_SOURCES; n++)
        gateway_update(p, n);
    for (unsigned c = 0; c < p->contexts;
         c++) /* unchanged ones too: the far end may have forgotten them at its reset */
        irq_set(&p->out[c], asks(p, c));
}

static void plic_set(void *arg, unsigned n, bool level)
{
    struct plic *p = arg;

    device_lock(p);
    if (level != bit_get(p->level, n)) {
        bit_put(p->level, n, level);
        gateway_update(p, n);
    }
    device_unlock(p);
}

static uint32_t claim(struct plic *p, unsigned c)
{
    unsigned n = best(p, c); /* the threshold does not matter here (specification, "Interrupt Claim Process") */

    if (n) {
        bit_put(p->pending, n, false);
        contexts_update(p);
    }
    return n;
}

/* A source that the context has not enabled is ignored silently (specification, "Interrupt Completion"). */
static void complete(struct plic *p, unsigned c, uint64_t n)
{
    if (n == 0 || n >= PLIC_SOURCES || !bit_get(&p->enable[c * WORDS], (unsigned)n))
        return;
    if (bit_get(p->pending, (unsigned)n))
        return; /* not claimed: the request waits as it was */
    bit_put(p->serving, (unsigned)n, false);
    gateway_update(p, (unsigned)n);
}

static uint64_t plic_read(void *dev, gpa off, unsigned size)
{
    struct plic *p = dev;
    gpa c;

    (void)size;
    if (off < PRIORITY + 4 * PLIC_SOURCES)
        return p->priority[off / 4];
    if (off >= PENDING && off < PENDING + 4 * WORDS)
        return p->pending[(off - PENDING) / 4];
    c = (off - ENABLE) / ENABLE_STRIDE;
    if (off >= ENABLE && off < CONTEXT && c < p->contexts) {
        gpa w = off % ENABLE_STRIDE / 4;

        return w < WORDS ? p->enable[c * WORDS + w] : 0;
    }
    c = (off - CONTEXT) / CONTEXT_STRIDE;
    if (off >= CONTEXT && c < p->contexts) {
        switch (off % CONTEXT_STRIDE) {
        case THRESHOLD: return p->threshold[c];
        case CLAIM: return claim(p, (unsigned)c);
        }
    }
    log_guest(&p->dev, "read of register 0x%06" PRIx64, off);
    return 0;
}

static void plic_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct plic *p = dev;
    gpa ec = (off - ENABLE) / ENABLE_STRIDE, cc = (off - CONTEXT) / CONTEXT_STRIDE;

    (void)size;
    if (off < PRIORITY + 4 * PLIC_SOURCES) {
        p->priority[off / 4] = off ? val & PLIC_PRIORITIES : 0;
        contexts_update(p);
    } else if (off >= ENABLE && off < CONTEXT && ec < p->contexts) {
        gpa w = off % ENABLE_STRIDE / 4;

        if (w < WORDS)
            p->enable[ec * WORDS + w] = (uint32_t)val & (w ? ~UINT32_C(0) : ~UINT32_C(1)); /* there is no source 0 */
        context_update(p, (unsigned)ec);
    } else if (off >= CONTEXT && cc < p->contexts && off % CONTEXT_STRIDE == THRESHOLD) {
        p->threshold[cc] = val & PLIC_PRIORITIES;
        context_update(p, (unsigned)cc);
    } else if (off >= CONTEXT && cc < p->contexts && off % CONTEXT_STRIDE == CLAIM) {
        complete(p, (unsigned)cc, val);
    } else {
        log_guest(&p->dev, "write of register 0x%06" PRIx64, off);
    }
}

static const struct field plic_state[] = {
    FIELD_(struct plic, level, WORDS, true), /* the devices' lines; each tells its own changes */
    FIELD_ARRAY(struct plic, pending, WORDS),          FIELD_ARRAY(struct plic, serving, WORDS),
    FIELD_ARRAY(struct plic, priority, PLIC_SOURCES),  FIELD_ARRAY(struct plic, threshold, CONTEXTS),
    FIELD_ARRAY(struct plic, enable, CONTEXTS *WORDS), {0},
};

static const struct device_ops plic_ops = {
    .name = "plic",
    .size = PLIC_SIZE,
    .mmio = {plic_read, plic_write, .min_size = 4, .max_size = 4},
    .state = plic_state,
    .update = plic_update,
};

struct device *plic_new(const struct device_env *env, const char *name, unsigned harts)
{
    struct plic *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    device_init(&p->dev, &plic_ops, name, env);
    p->contexts = 2 * (harts < PLIC_MAX_HARTS ? harts : PLIC_MAX_HARTS);
    return &p->dev;
}

struct irq plic_input(struct device *d, unsigned source)
{
    return (struct irq){.set = source && source < PLIC_SOURCES ? plic_set : NULL, .arg = d, .n = source};
}

struct irq *plic_irq(struct device *d, unsigned hart, bool supervisor)
{
    return &((struct plic *)d)->out[2 * hart + supervisor];
}
