/*
 * Decoding guest blocks, and running them one instruction after another: the reference engine.
 */
#include "cpu/riscv/interp.h"

#include "cpu/riscv/csr.h"
#include "cpu/riscv/mem.h"
#include "cpu/riscv/pmp.h"

/* The instruction at pc, whose first parcel is at host, with `left` bytes of the page. false: its second parcel faulted. */
static bool fetch_insn(struct rv *c, gva pc, const uint8_t *host, unsigned left, bool ask, struct insn *i, gpa *phys2)
{
    uint32_t word = (uint32_t)ram_load(host, left >= 4 ? 4 : 2);
    const uint8_t *second;
    gpa pa;

    if (insn_length((uint16_t)word) == 4 && (left < 4 || ask)) {
        if (!rv_fetch(&c->v, pc + 2, &second, &pa))
            return false;
        word = (word & 0xffff) | (uint32_t)ram_load(second, 2) << 16;
        if (left < 4)
            *phys2 = pa;
    }
    insn_decode(c->cfg, word, i);
    return true;
}

/* A branch backwards closes a loop: most likely taken. */
static bool ends_block(const struct insn *i)
{
    return insn_flags[i->op] & INSN_END || (insn_flags[i->op] & INSN_BRANCH && i->imm < 0);
}

bool rv_decode(struct vcpu *v, struct guest_block *b)
{
    struct rv *c = (struct rv *)v;
    struct insn *i = b->insns;
    gva pc = v->pc;
    unsigned left = PAGE_SIZE - (unsigned)(pc & ~PAGE_MASK);
    const uint8_t *host;
    unsigned limit = b->limit ? b->limit : BLOCK_MAX_INSNS;
    bool partly;

    if (!rv_fetch(v, pc, &host, &b->phys))
        return false;
    partly = pmp_page(c, b->phys, c->priv) == PMP_PARTLY; /* then each instruction is asked for by itself */
    b->pc = pc;
    b->phys2 = ~UINT64_C(0);
    b->mode = v->isa->mode(v);
    b->count = 0;
    while (left && b->count < limit) {
        if (b->count && (partly || (left == 2 && insn_length((uint16_t)ram_load(host, 2)) == 4)))
            break;
        if (!fetch_insn(c, pc, host, left, partly, i, &b->phys2))
            return false;
        if (b->source)
            memcpy(b->source + (pc - b->pc), &i->raw, i->len); /* little-endian host: the bytes as they are in memory */
        b->count++;
        pc += i->len;
        host += i->len;
        left = i->len < left ? left - i->len : 0;
        if (ends_block(i++))
            break;
    }
    b->bytes = (uint16_t)(pc - b->pc);
    return true;
}

bool rv_exec(struct vcpu *v, const void *insn)
{
    const struct insn *i = insn;

    v->npc = v->pc + i->len;
    return insn_exec[i->op]((struct rv *)v, i);
}

bool rv_interp(struct vcpu *v, const struct guest_block *b)
{
    const struct insn *i = b->insns, *end = i + b->count;

    for (; i != end; i++) {
        gva next = v->pc + i->len;

        v->npc = next;
        if (!insn_exec[i->op]((struct rv *)v, i))
            return false;
        v->icount++;
        v->pc = v->npc;
        if (v->npc != next)
            return true;
        if ((insn_flags[i->op] & INSN_ATT) && atomic_load_explicit(&v->attention, memory_order_relaxed))
            return true;
    }
    return true;
}
