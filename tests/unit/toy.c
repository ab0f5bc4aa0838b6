/* The toy guest of toy.h: an ISA small enough to see through. */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "check.h"
#include "cpu/trace.h"
#include "mmu/bus.h"
#include "translator/ir.h"

struct toy_insn {
    uint32_t word;
};

static unsigned op_of(uint32_t w) { return w & 0xff; }
static unsigned rd_of(uint32_t w) { return w >> 8 & 31; }
static unsigned rs_of(uint32_t w) { return w >> 16 & 31; }
static int64_t imm_of(uint32_t w) { return (int8_t)(w >> 24); }

static bool trap(struct vcpu *v, uint64_t cause, uint64_t tval)
{
    v->trap = (struct vcpu_trap){.cause = cause, .tval = tval};
    v->fault = 1;
    return false;
}

static uint32_t mode(const struct vcpu *v)
{
    (void)v;
    return 0;
}

static bool moves(const struct vcpu *v)
{
    (void)v;
    return false; /* all or none: the option says */
}

static bool fetch(struct vcpu *v, gva va, const uint8_t **host, gpa *pa)
{
    *host = bus_mem(v->bus, va, 2);
    *pa = va;
    return *host || trap(v, TOY_CAUSE_FETCH, va);
}

static bool is_end(unsigned op)
{
    return op == TOY_ILLEGAL || op >= TOY_OPS || op == TOY_J || op == TOY_JR || op == TOY_FENCEI || op == TOY_HALT;
}

static bool decode(struct vcpu *v, struct guest_block *b)
{
    const uint8_t *p;
    gva at = b->pc;

    b->count = b->bytes = 0;
    b->phys2 = ~(gpa)0;
    if (!fetch(v, at, &p, &b->phys))
        return false;
    for (; b->count < b->limit; at += 4) {
        unsigned room = PAGE_SIZE - (at & (PAGE_SIZE - 1));
        uint32_t w;

        if (at - b->pc && room == PAGE_SIZE)
            break; /* the next page */
        if (room < 4) {
            const uint8_t *p2;

            if (b->count)
                break;
            if (!fetch(v, at + 2, &p2, &b->phys2))
                return false;
            w = ld16(p + (at - b->pc)) | (uint32_t)ld16(p2) << 16;
        } else {
            w = ld32(p + (at - b->pc));
        }
        if (b->source)
            memcpy(b->source + b->bytes, &w, 4);
        ((struct toy_insn *)b->insns)[b->count++].word = w;
        b->bytes += 4;
        if (room < 4 || is_end(op_of(w)))
            break;
    }
    return true;
}

static bool access_mem(struct vcpu *v, gva va, unsigned size, uint8_t **host, bool write)
{
    const struct region *r = bus_find(v->bus, va);
    gpa page = va & PAGE_MASK;
    struct tlb_page tp;
    uint8_t *flags;

    if (!r || va + size > r->base + r->size || r->kind != REGION_RAM)
        return trap(v, write ? TOY_CAUSE_STORE : TOY_CAUSE_LOAD, va);
    *host = r->host + (va - r->base);
    flags = &r->page_flags[(page - r->base) >> PAGE_BITS];
    if (write) {
        for (gpa p = page; p < va + size; p += PAGE_SIZE, flags++) {
            page_flags_set(flags, PAGE_WTLB);
            if (page_flags_get(flags) & PAGE_CODE)
                v->hooks->page_written(v->hooks->arg, p, flags);
            page_flags_clear(flags, PAGE_LOGS);
        }
    }
    if (v->trace && v->trace->log) {
        if (write)
            trace_write(v->trace, *host, size);
        return true;
    }
    tp = (struct tlb_page){.va = page,
                           .pa = page,
                           .host = r->host + (page - r->base),
                           .span = PAGE_SIZE,
                           .read = true,
                           .write = write,
                           .exec = true};
    tlb_fill(v->tlb, v->ctx, &tp);
    return true;
}

static bool load(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    uint8_t *host;

    if (!access_mem(v, va, size, &host, false))
        return false;
    *val = 0;
    memcpy(val, host, size);
    return true;
}

static bool store(struct vcpu *v, gva va, unsigned size, uint64_t val)
{
    uint8_t *host;

    if (!access_mem(v, va, size, &host, true))
        return false;
    memcpy(host, &val, size);
    return true;
}

static void *amo_host(struct vcpu *v, gva va, unsigned size)
{
    uint8_t *host;

    return access_mem(v, va, size, &host, true) ? host : NULL;
}

static bool exec(struct vcpu *v, const void *insn)
{
    uint32_t w = ((const struct toy_insn *)insn)->word;
    uint64_t val, s = v->r[rs_of(w)], d = v->r[rd_of(w)];
    int64_t imm = imm_of(w);
    unsigned rd = rd_of(w);
    uint64_t *p;

    switch (op_of(w)) {
    case TOY_ADDI:
    case TOY_XADDI: v->r[rd] = s + imm; break;
    case TOY_ADD: v->r[rd] = d + s; break;
    case TOY_SHLI: v->r[rd] = s << (imm & 63); break;
    case TOY_LD:
        if (!vcpu_load(v, s + imm, 8, &val))
            return false;
        v->r[rd] = val;
        break;
    case TOY_ST: return vcpu_store(v, s + imm, 8, d);
    case TOY_ST32: return vcpu_store(v, s + imm, 4, d);
    case TOY_AMOADD:
        p = v->isa->amo_host(v, s, 8);
        if (!p)
            return false;
        v->r[rd] = __atomic_fetch_add(p, (uint64_t)imm, __ATOMIC_SEQ_CST);
        break;
    case TOY_BNE: v->npc = d != s ? v->pc + imm * 4 : v->npc; break;
    case TOY_J: v->npc = v->pc + imm * 4; break;
    case TOY_JR: v->npc = s + imm; break;
    case TOY_FENCEI: v->hooks->fence_i(v->hooks->arg, v); break;
    case TOY_HALT: atomic_fetch_or(&v->attention, ATT_STOP); break;
    default: return trap(v, TOY_CAUSE_ILLEGAL, w);
    }
    v->r[0] = 0;
    return true;
}

static bool interp(struct vcpu *v, const struct guest_block *b)
{
    const struct toy_insn *i = b->insns;

    for (unsigned n = 0; n < b->count; n++) {
        gva next = v->pc + 4;

        v->npc = next;
        if (!exec(v, &i[n]))
            return false;
        v->icount++;
        v->pc = v->npc;
        if (v->npc != next)
            break;
    }
    return true;
}

static ir_val get(struct ir *ir, unsigned r) { return r ? ir_getr(ir, r) : ir_const(ir, 0); }

static void set(struct ir *ir, unsigned r, ir_val v)
{
    if (r)
        ir_setr(ir, r, v);
}

static void translate_one(struct ir *ir, gva pc, const struct toy_insn *i)
{
    uint32_t w = i->word;
    unsigned rd = rd_of(w), rs = rs_of(w);
    int64_t imm = imm_of(w);

    ir_emit(ir, IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, (int64_t)pc);
    switch (op_of(w)) {
    case TOY_ADDI: set(ir, rd, ir_addi(ir, get(ir, rs), imm)); break;
    case TOY_ADD: set(ir, rd, ir_add(ir, get(ir, rd), get(ir, rs))); break;
    case TOY_SHLI: set(ir, rd, ir_shli(ir, get(ir, rs), imm & 63)); break;
    case TOY_LD: set(ir, rd, ir_ld(ir, IR_64, get(ir, rs), imm)); break;
    case TOY_ST: ir_st(ir, IR_64, get(ir, rs), imm, get(ir, rd)); break;
    case TOY_ST32: ir_st(ir, IR_32U, get(ir, rs), imm, get(ir, rd)); break;
    case TOY_AMOADD: set(ir, rd, ir_emit(ir, IR_amo, IR_64, get(ir, rs), ir_const(ir, imm), IR_NONE, AMO_ADD)); break;
    case TOY_BNE: ir_brcond(ir, IR_NE, get(ir, rd), get(ir, rs), pc + imm * 4); break;
    case TOY_J: ir_jump(ir, pc + imm * 4); break;
    case TOY_JR: ir_jumpr(ir, ir_addi(ir, get(ir, rs), imm)); break;
    case TOY_XADDI: ir_exec(ir, i); break;
    default:
        ir_exec(ir, i);
        ir_leave(ir);
        break;
    }
}

static void translate(const struct vcpu *v, const struct guest_block *b, struct ir *ir)
{
    const struct toy_insn *i = b->insns;

    (void)v;
    ir->pic = b->pic;
    for (unsigned n = 0; n < b->count; n++)
        translate_one(ir, b->pc + 4 * n, &i[n]);
    if (!is_end(op_of(i[b->count - 1].word)))
        ir_jump(ir, b->pc + b->bytes);
}

static void take_trap(struct vcpu *v)
{
    v->fault = 0;
    v->r[30] = v->trap.cause;
    v->r[29] = v->pc;
    v->pc = v->r[28];
    ((struct toy *)v)->traps++;
}

static bool no(struct vcpu *v)
{
    (void)v;
    return false;
}

static void state_save(const struct vcpu *v, void *buf) { memcpy(buf, &((const struct toy *)v)->traps, 8); }
static void state_restore(struct vcpu *v, const void *buf) { memcpy(&((struct toy *)v)->traps, buf, 8); }

static const char *reg(const struct vcpu *v, unsigned n, uint64_t *val)
{
    static const char *const names[] = {"r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",  "r8",  "r9",  "r10",
                                        "r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21",
                                        "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31", "pc"};

    if (n > 32)
        return NULL;
    *val = n == 32 ? v->pc : v->r[n];
    return names[n];
}

static unsigned disasm(const struct vcpu *v, gva pc, const uint8_t *code, unsigned len, char *buf, unsigned size)
{
    (void)v, (void)pc;
    if (len < 4)
        return 0;
    snprintf(buf, size, "op%u r%u, r%u, %d", code[0], code[1], code[2], (int8_t)code[3]);
    return 4;
}

static const uint8_t hot[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

const struct isa_ops toy_isa = {
    .name = "toy",
    .insn_size = sizeof(struct toy_insn),
    .hot_r = hot,
    .hot_r_count = sizeof hot,
    .hot_f = hot,
    .hot_f_count = sizeof hot,
    .mode = mode,
    .moves = moves,
    .fetch = fetch,
    .decode = decode,
    .translate = translate,
    .interp = interp,
    .exec = exec,
    .take_trap = take_trap,
    .take_irq = no,
    .irq_pending = no,
    .load = load,
    .store = store,
    .amo_host = amo_host,
    .fp_enter = no,
    .state_size = 8,
    .state_save = state_save,
    .state_restore = state_restore,
    .disasm = disasm,
    .reg = reg,
};

void toy_start(struct toy_machine *m, const struct translator_options *o, unsigned cpus)
{
    struct err e;

    memset(m, 0, sizeof *m);
    m->log = log_new();
    m->bus = bus_new(m->log);
    m->cpus = cpus;
    CHECK(bus_add_ram(m->bus, "ram", TOY_RAM, TOY_RAM_SIZE, &e));
    m->t = translator_new(o, &toy_isa, m->bus, m->log, &e);
    CHECK(m->t != NULL);
    for (unsigned i = 0; i < cpus; i++) {
        CHECK(vcpu_init(&m->cpu[i].v, &toy_isa, m->bus, NULL, m->log, i));
        CHECK(translator_attach(m->t, &m->cpu[i].v));
    }
}

void toy_stop(struct toy_machine *m)
{
    translator_free(m->t);
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_fini(&m->cpu[i].v);
    bus_free(m->bus);
    log_free(m->log);
}

void toy_code(struct toy_machine *m, gpa at, const uint32_t *words, unsigned count)
{
    CHECK(dma_write(m->bus, at, words, count * 4));
}

enum run_exit toy_run(struct toy_machine *m, unsigned n, gva pc)
{
    struct vcpu *v = &m->cpu[n].v;

    v->pc = pc;
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_STOP);
    return translator_run(m->t, v);
}

/* Guest harts race on guest memory by design; the thread sanitizer is asked to look at the rest. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:vcpu_store\nrace:vcpu_load\nrace:^decode$\nrace:source_hash\nrace:dma_write\n";
}
