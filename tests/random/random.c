/*
 * Lockstep on random programs: the interpreter against the IR interpreter and the JIT.
 *
 *   random [--seed N] [--insns N] [--seconds N] [--only interp|ir|jit]
 *   random --dump SEED | --portable SEED     write the image to standard output
 *
 * Each program (gen.h) runs to its end on each engine; registers, memory and instruction count must agree. When they do
 * not, the program is run again block by block under the lockstep engine, which names the first difference. The JIT
 * runs in turn as it is by default, with a tiny code cache, without links, and after a few interpreted runs.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/isa.h"
#include "cpu/riscv/rv.h"
#include "gen.h"
#include "mmu/bus.h"
#include "translator/tb.h"
#include "translator/translator.h"

struct machine {
    const char *name;
    struct translator_options o;
    struct bus *bus;
    struct log *log;
    struct clock *clock;
    struct translator *t;
    struct rv *c;
    struct region finisher;
    uint64_t insns, traps;
    double seconds;
};

static struct machine machines[] = {
    {.name = "interp", .o = {.engine = ENGINE_INTERP}},
    {.name = "ir", .o = {.engine = ENGINE_IR}},
    {.name = "jit", .o = {.engine = ENGINE_JIT}},
    {.name = "jit, 64 KiB cache", .o = {.engine = ENGINE_JIT, .cache_size = 64 << 10}},
    {.name = "jit, for any address", .o = {.engine = ENGINE_JIT, .pic = PIC_ALWAYS}},
    {.name = "jit, not linked", .o = {.engine = ENGINE_JIT, .no_link = true}},
    {.name = "jit, after 2 runs", .o = {.engine = ENGINE_JIT, .jit_after = 2}},
};
enum { MACHINES = sizeof machines / sizeof *machines, FIRST_JIT = 2, REGS = 512 };

static uint64_t finisher_read(void *dev, gpa off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}

static void finisher_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    (void)off, (void)val, (void)size;
    vcpu_kick(dev, ATT_STOP);
}

static const struct mmio_ops finisher_ops = {
    .read = finisher_read, .write = finisher_write, .min_size = 1, .max_size = 8};

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "random: %s: %s\n", what, e->msg);
    exit(2);
}

static void machine_open(struct machine *m, const struct isa_config *cfg)
{
    struct err e = {"out of memory"};

    m->log = log_new();
    m->clock = clock_new_fake();
    m->bus = bus_new(m->log);
    if (!bus_add_ram(m->bus, "ram", GEN_RAM, GEN_RAM_SIZE, &e))
        die(m->name, &e);
    m->c = rv_new(cfg, m->bus, m->clock, m->log, 0, &e);
    if (!m->c)
        die(m->name, &e);
    m->finisher = (struct region){.name = "finisher",
                                  .base = GEN_FINISHER,
                                  .size = PAGE_SIZE,
                                  .kind = REGION_MMIO,
                                  .ops = &finisher_ops,
                                  .dev = &m->c->v};
    if (!bus_map(m->bus, &m->finisher, &e))
        die(m->name, &e);
    m->t = translator_new(&m->o, &riscv_isa, m->bus, m->log, &e);
    if (!m->t || !translator_attach(m->t, &m->c->v))
        die(m->name, &e);
    rv_set_start(m->c, GEN_RAM, 0, 0);
}

static void machine_close(struct machine *m)
{
    if (!m->t)
        return;
    translator_free(m->t);
    rv_free(m->c);
    bus_free(m->bus);
    clock_free(m->clock);
    log_free(m->log);
    m->t = NULL;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A program always ends; an engine that keeps it from ending is found out by the clock. */
struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    struct vcpu *running; /* under lock */
    double since;
    bool hung, end;       /* under lock */
};
static void *watch(void *arg)
{
    struct watchdog *w = arg;

    for (bool end = false; !end;) {
        struct timespec ts = {0, 200000000};

        nanosleep(&ts, NULL);
        pthread_mutex_lock(&w->lock);
        end = w->end;
        if (w->running && now() - w->since > 30 && !w->hung) {
            w->hung = true;
            vcpu_kick(w->running, ATT_STOP);
        }
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static bool machine_run(struct machine *m, struct watchdog *w, const uint8_t *image)
{
    struct vcpu *v = &m->c->v;
    enum run_exit why;
    double start = now();
    uint64_t traps;

    memcpy(bus_ram(m->bus, GEN_RAM, GEN_IMAGE_SIZE), image, GEN_IMAGE_SIZE);
    translator_flush(m->t);
    v->icount = 0; /* first: reset counts instret from it */
    riscv_isa.reset(v);
    atomic_store(&v->attention, 0);
    pthread_mutex_lock(&w->lock);
    w->running = v;
    w->since = start;
    w->hung = false;
    pthread_mutex_unlock(&w->lock);
    while ((why = translator_run(m->t, v)) == RUN_WFI)
        atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WFI);
    pthread_mutex_lock(&w->lock);
    w->running = NULL;
    pthread_mutex_unlock(&w->lock);
    m->insns += v->icount;
    memcpy(&traps, (uint8_t *)bus_ram(m->bus, GEN_RAM, GEN_IMAGE_SIZE) + GEN_TRAPS, sizeof traps);
    m->traps += traps;
    m->seconds += now() - start;
    return why == RUN_STOP && !w->hung;
}

static bool regs_agree(const struct machine *a, const struct machine *b, bool print)
{
    bool same = a->c->v.icount == b->c->v.icount;
    uint64_t va, vb;
    const char *name;

    if (print && !same)
        fprintf(stderr, "  icount  %s %" PRIu64 ", %s %" PRIu64 "\n", a->name, a->c->v.icount, b->name, b->c->v.icount);
    for (unsigned n = 0; n < REGS && (name = riscv_isa.reg(&a->c->v, n, &va)); n++) {
        riscv_isa.reg(&b->c->v, n, &vb);
        if (va == vb)
            continue;
        same = false;
        if (print)
            fprintf(stderr, "  %-8s %s %016" PRIx64 ", %s %016" PRIx64 "\n", name, a->name, va, b->name, vb);
    }
    return same;
}

static bool agree(const struct machine *a, const struct machine *b, bool print)
{
    const uint8_t *ra = bus_ram(a->bus, GEN_RAM, GEN_IMAGE_SIZE), *rb = bus_ram(b->bus, GEN_RAM, GEN_IMAGE_SIZE);
    bool regs = regs_agree(a, b, print), mem = !memcmp(ra, rb, GEN_IMAGE_SIZE);

    for (uint32_t n = 0, shown = 0; print && !mem && n < GEN_IMAGE_SIZE && shown < 16; n += 8)
        if (memcmp(ra + n, rb + n, 8)) {
            uint64_t x, y;

            memcpy(&x, ra + n, 8);
            memcpy(&y, rb + n, 8);
            fprintf(stderr, "  memory at %08" PRIx64 "  %s %016" PRIx64 ", %s %016" PRIx64 "\n", GEN_RAM + n, a->name,
                    x, b->name, y);
            shown++;
        }
    return regs && mem;
}

/* Block by block, with the interpreter beside it. */
static void name_difference(const struct isa_config *cfg, const struct machine *bad, struct watchdog *w,
                            const uint8_t *image)
{
    struct machine m = {.name = "lockstep", .o = bad->o};

    m.o.checked = bad->o.engine;
    m.o.engine = ENGINE_LOCKSTEP;
    machine_open(&m, cfg);
    if (machine_run(&m, w, image))
        fprintf(stderr, "random: block by block there is no difference: look at links, code changes, the TLB\n");
    machine_close(&m);
}

struct run {
    struct isa_config cfg;
    struct watchdog w;
    struct gen_options gen;
    uint8_t *image;
    const char *only;
};

static bool wanted(const struct run *r, const struct machine *m)
{
    return !r->only || !strncmp(m->name, r->only, strlen(r->only));
}

static bool compare(struct run *r, struct machine *m, uint64_t seed)
{
    char what[128];
    bool ended = machine_run(m, &r->w, r->image);

    if (ended && agree(&machines[0], m, false))
        return true;
    gen_describe(seed, what, sizeof what);
    fprintf(stderr, "random: seed %" PRIu64 " (%s): %s %s\n", seed, what, m->name,
            ended ? "differs from interp" : "does not end");
    agree(&machines[0], m, true);
    name_difference(&r->cfg, m, &r->w, r->image);
    return false;
}

/* One program on every engine. */
static bool program(struct run *r, uint64_t seed)
{
    struct machine *jit = &machines[FIRST_JIT + seed % (MACHINES - FIRST_JIT)];

    gen_program(&r->cfg, seed, &r->gen, r->image);
    if (!machine_run(&machines[0], &r->w, r->image)) {
        fprintf(stderr, "random: seed %" PRIu64 ": interp does not end\n", seed);
        return false;
    }
    return (!wanted(r, &machines[1]) || compare(r, &machines[1], seed)) && (!wanted(r, jit) || compare(r, jit, seed));
}

static void dump(struct run *r, uint64_t seed)
{
    gen_program(&r->cfg, seed, &r->gen, r->image);
    fwrite(r->image, 1, GEN_IMAGE_SIZE, stdout);
}

static bool have_jit(void) { return host_jit != NULL; }

int main(int argc, char **argv)
{
    struct run r = {.gen = {.items = 900, .iterations = 10}};
    uint64_t seed = 1, limit = 1000000, programs = 0, failed = 0;
    struct err e;
    double start = now(), seconds = 1e9;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--insns"))
            limit = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--only"))
            r.only = argv[i + 1];
    }
    r.image = malloc(GEN_IMAGE_SIZE);
    if (!r.image || !isa_config_parse(&r.cfg, "max", &e))
        die("cpu", &e);
    if (argc == 3 && (!strcmp(argv[1], "--dump") || !strcmp(argv[1], "--portable"))) {
        r.gen.portable = argv[1][2] == 'p';
        dump(&r, strtoull(argv[2], NULL, 0));
        return 0;
    }
    pthread_mutex_init(&r.w.lock, NULL);
    pthread_create(&r.w.thread, NULL, watch, &r.w);
    for (unsigned i = 0; i < MACHINES; i++)
        if (have_jit() || i < FIRST_JIT)
            machine_open(&machines[i], &r.cfg);
    if (!have_jit())
        r.only = "ir";
    for (; machines[0].insns < limit && now() - start < seconds && failed < 5; seed++, programs++)
        failed += !program(&r, seed);
    for (unsigned i = 0; i < MACHINES; i++)
        if (machines[i].t && machines[i].insns)
            printf("# %-18s %12" PRIu64 " instructions, %9" PRIu64 " traps, %5.1f million instructions a second\n",
                   machines[i].name, machines[i].insns, machines[i].traps,
                   (double)machines[i].insns / machines[i].seconds / 1e6);
    printf("%s - %" PRIu64 " random programs, %" PRIu64 " instructions: %" PRIu64 " differ\n", failed ? "not ok" : "ok",
           programs, machines[0].insns, failed);
    pthread_mutex_lock(&r.w.lock);
    r.w.end = true;
    pthread_mutex_unlock(&r.w.lock);
    pthread_join(r.w.thread, NULL);
    for (unsigned i = 0; i < MACHINES; i++)
        machine_close(&machines[i]);
    isa_config_fini(&r.cfg);
    free(r.image);
    return failed != 0;
}
