#include "tests/insn/cases.h"

#include <string.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/isa.h"
#include "cpu/riscv/rv.h"
#include "mmu/bus.h"
#include "tests/unit/check.h"
#include "translator/translator.h"

enum {
    RAM_SIZE = 4 << 20,
    CODE = 0x10000,   /* offset of the first case's code */
    STRIDE = 0x100,   /* from one case's code to the next: nothing of a block is met twice */
    HANDLER = 0x3000, /* mtvec */
    WFI = 0x10500073,
};

#define RAM UINT64_C(0x80000000)
#define DATA (CASE_DATA - RAM)

/* What runs a case. DIRECT: exec_ without a block around it. */
enum way { DIRECT, BY_INTERP, BY_IR, BY_JIT, WAYS };
static const char *const way_names[] = {"exec", "interp", "ir", "jit"};

struct bench {
    struct isa_config cfg;
    struct log *log;
    struct bus *bus;
    struct clock *clock;
    struct rv *c;
    struct translator *t;
    uint8_t *ram;
};

static void bench_init(struct bench *b, const char *cpu, enum way way)
{
    static const enum engine engines[] = {ENGINE_INTERP, ENGINE_INTERP, ENGINE_IR, ENGINE_JIT};
    struct translator_options o = {.engine = engines[way]};
    struct err e = {""};

    b->log = log_new();
    b->bus = bus_new(b->log);
    b->clock = clock_new_fake();
    if (!isa_config_parse(&b->cfg, cpu, &e) || !bus_add_ram(b->bus, "ram", RAM, RAM_SIZE, &e))
        fail_msg("%s", e.msg);
    b->c = rv_new(&b->cfg, b->bus, b->clock, b->log, 0, &e);
    b->t = translator_new(&o, &riscv_isa, b->bus, b->log, &e);
    CHECK(b->c && b->t && translator_attach(b->t, &b->c->v));
    b->ram = bus_ram(b->bus, RAM, RAM_SIZE);
    for (unsigned at = 0; at < RAM_SIZE; at += 4)
        st32(b->ram + at, at >= CODE || at == HANDLER ? WFI : 0);
}

static void bench_fini(struct bench *b)
{
    rv_free(b->c);
    translator_free(b->t);
    bus_free(b->bus);
    clock_free(b->clock);
    log_free(b->log);
    isa_config_fini(&b->cfg);
}

/* One register file for before and after: every register distinct, so that a wrong one shows. */
static void set_registers(const struct insn_case *k, const struct insn *i, uint64_t r[32])
{
    for (unsigned n = 1; n < 32; n++)
        r[n] = UINT64_C(0x0101010101010101) * n;
    r[0] = 0;
    if (i->rd)
        r[i->rd] = k->rd_before ? k->rd_before : RD_BEFORE;
    if (i->rs2)
        r[i->rs2] = k->rs2;
    if (i->rs1)
        r[i->rs1] = k->rs1;
}

struct outcome {
    uint64_t r[32], pc, mcause, mtval, mem[2];
    bool trapped;
};

/* Run the code at pc; what follows it is a wfi wherever it may go. */
static struct outcome run(struct bench *b, gva pc, const struct insn *i, enum way way)
{
    struct vcpu *v = &b->c->v;
    struct outcome o = {0};

    if (way == DIRECT) {
        v->fault = 0;
        o.trapped = !riscv_isa.exec(v, i);
        o.pc = o.trapped ? pc : v->npc;
        o.mcause = v->trap.cause;
        o.mtval = v->trap.tval;
        v->fault = 0;
    } else {
        b->c->mtvec = RAM + HANDLER;
        atomic_store(&v->attention, 0);
        CHECK_EQ(translator_run(b->t, v), RUN_WFI);
        o.pc = v->pc - 4;
        o.trapped = o.pc == RAM + HANDLER;
        o.mcause = b->c->mcause;
        o.mtval = b->c->mtval;
        if (o.trapped)
            o.pc = b->c->mepc;
    }
    memcpy(o.r, v->r, sizeof o.r);
    memcpy(o.mem, b->ram + DATA, sizeof o.mem);
    return o;
}

#define SAME(what, got, want)                                                                                          \
    do {                                                                                                               \
        uint64_t same_got = (got), same_want = (want);                                                                 \
        if (same_got != same_want)                                                                                     \
            fail_msg("%s by %s: %s is 0x%llx, expected 0x%llx", k->text, way_names[way], what,                         \
                     (unsigned long long)same_got, (unsigned long long)same_want);                                     \
    } while (0)

static void check(const struct insn_case *k, enum way way, const struct insn *i, gva pc, uint64_t want[32],
                  const struct outcome *o)
{
    SAME("trap", o->trapped, k->trap != 0);
    if (k->trap) {
        SAME("cause", o->mcause, k->trap - 1);
        SAME("tval", o->mtval, k->tval);
        SAME("pc", o->pc, pc);
    } else {
        SAME("pc", o->pc, k->jump ? pc + (uint64_t)k->jump : pc + i->len);
        if (i->rd)
            want[i->rd] = k->rd;
        else if (k->rd)
            fail_msg("%s: a row for x0 cannot expect a value", k->text);
        if (i->op == INSN_amocas_q && i->rd)
            want[i->rd + 1] = k->mem[1];
    }
    for (unsigned n = 0; n < 32; n++) {
        char name[8];

        snprintf(name, sizeof name, "x%u", n);
        SAME(name, o->r[n], want[n]);
    }
    SAME("mem[0]", o->mem[0], k->mem_after[0]);
    SAME("mem[1]", o->mem[1], k->mem_after[1]);
}

static void run_case(struct bench *b, const struct insn_case *k, unsigned number, enum way way)
{
    unsigned offset = CODE + 0x80 + number * STRIDE;
    gva pc = RAM + offset;
    struct vcpu *v = &b->c->v;
    uint64_t want[32];
    struct outcome o;
    struct insn i;

    CHECK(offset + STRIDE < RAM_SIZE);
    insn_decode(&b->cfg, k->word, &i);
    st32(b->ram + offset, k->word);
    st32(b->ram + offset + i.len, WFI);
    if (k->jump)
        st32(b->ram + offset + k->jump, WFI);
    memcpy(b->ram + DATA, k->mem, sizeof k->mem);
    set_registers(k, &i, v->r);
    memcpy(want, v->r, sizeof want);
    v->pc = pc;
    b->c->mstatus |= MSTATUS_FS;
    o = run(b, pc, &i, way);
    check(k, way, &i, pc, want, &o);
}

void run_insn_cases_on(const char *cpu, const struct insn_case *cases)
{
    for (enum way way = DIRECT; way < WAYS; way++) {
        struct bench b;

        bench_init(&b, cpu, way);
        for (unsigned n = 0; cases[n].text; n++)
            run_case(&b, &cases[n], n, way);
        bench_fini(&b);
    }
}

void run_insn_cases(const struct insn_case *cases) { run_insn_cases_on("max", cases); }
