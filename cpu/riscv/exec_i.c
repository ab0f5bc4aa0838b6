/* RV64I, hints and fences: reference semantics (unprivileged specification, RV32I and RV64I). */
#include <sched.h>

#include "base/atomic.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/exec.h"

EXEC(illegal) { return rv_illegal(c, i); }

EXEC(lui) { return set(c, i, IMM); }
EXEC(auipc) { return set(c, i, c->v.pc + IMM); }

/* A jump raises the misaligned fetch itself, before rd is written; only possible without compressed instructions. */
static bool jump(struct rv *c, gva target)
{
    if ((target & 2) && !isa_has(c->cfg, EXT_ZCA))
        return rv_trap(c, CAUSE_FETCH_MISALIGNED, target);
    c->v.npc = target;
    return true;
}

EXEC(jal) { return jump(c, c->v.pc + IMM) && set(c, i, c->v.pc + i->len); }
EXEC(jalr) { return jump(c, (S1 + IMM) & ~UINT64_C(1)) && set(c, i, c->v.pc + i->len); }

static bool branch(struct rv *c, const struct insn *i, bool taken) { return !taken || jump(c, c->v.pc + IMM); }

EXEC(beq) { return branch(c, i, S1 == S2); }
EXEC(bne) { return branch(c, i, S1 != S2); }
EXEC(blt) { return branch(c, i, (int64_t)S1 < (int64_t)S2); }
EXEC(bge) { return branch(c, i, (int64_t)S1 >= (int64_t)S2); }
EXEC(bltu) { return branch(c, i, S1 < S2); }
EXEC(bgeu) { return branch(c, i, S1 >= S2); }

EXEC(lb)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 1, &v) && set(c, i, (uint64_t)(int8_t)v);
}
EXEC(lh)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 2, &v) && set(c, i, (uint64_t)(int16_t)v);
}
EXEC(lw)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 4, &v) && set(c, i, (uint64_t)(int32_t)v);
}
EXEC(ld)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 8, &v) && set(c, i, v);
}
EXEC(lbu)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 1, &v) && set(c, i, v);
}
EXEC(lhu)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 2, &v) && set(c, i, v);
}
EXEC(lwu)
{
    uint64_t v;

    return vcpu_load(&c->v, S1 + IMM, 4, &v) && set(c, i, v);
}
EXEC(sb) { return vcpu_store(&c->v, S1 + IMM, 1, S2); }
EXEC(sh) { return vcpu_store(&c->v, S1 + IMM, 2, S2); }
EXEC(sw) { return vcpu_store(&c->v, S1 + IMM, 4, S2); }
EXEC(sd) { return vcpu_store(&c->v, S1 + IMM, 8, S2); }

EXEC(addi) { return set(c, i, S1 + IMM); }
EXEC(slti) { return set(c, i, (int64_t)S1 < i->imm); }
EXEC(sltiu) { return set(c, i, S1 < IMM); }
EXEC(xori) { return set(c, i, S1 ^ IMM); }
EXEC(ori) { return set(c, i, S1 | IMM); }
EXEC(andi) { return set(c, i, S1 & IMM); }
EXEC(slli) { return set(c, i, S1 << i->imm); }
EXEC(srli) { return set(c, i, S1 >> i->imm); }
EXEC(srai) { return set(c, i, (uint64_t)((int64_t)S1 >> i->imm)); }
EXEC(add) { return set(c, i, S1 + S2); }
EXEC(sub) { return set(c, i, S1 - S2); }
EXEC(sll) { return set(c, i, S1 << (S2 & 63)); }
EXEC(slt) { return set(c, i, (int64_t)S1 < (int64_t)S2); }
EXEC(sltu) { return set(c, i, S1 < S2); }
EXEC(xor) { return set(c, i, S1 ^ S2); }
EXEC(srl) { return set(c, i, S1 >> (S2 & 63)); }
EXEC(sra) { return set(c, i, (uint64_t)((int64_t)S1 >> (S2 & 63))); }
EXEC(or) { return set(c, i, S1 | S2); }
EXEC(and) { return set(c, i, S1 & S2); }

EXEC(addiw) { return setw(c, i, S1 + IMM); }
EXEC(slliw) { return setw(c, i, (uint32_t)S1 << i->imm); }
EXEC(srliw) { return setw(c, i, (uint32_t)S1 >> i->imm); }
EXEC(sraiw) { return setw(c, i, (uint32_t)((int32_t)S1 >> i->imm)); }
EXEC(addw) { return setw(c, i, S1 + S2); }
EXEC(subw) { return setw(c, i, S1 - S2); }
EXEC(sllw) { return setw(c, i, (uint32_t)S1 << (S2 & 31)); }
EXEC(srlw) { return setw(c, i, (uint32_t)S1 >> (S2 & 31)); }
EXEC(sraw) { return setw(c, i, (uint32_t)((int32_t)S1 >> (S2 & 31))); }

/* pred is bits 7..4 of the field, succ 3..0, each I O R W. */
EXEC(fence)
{
    (void)c;
    if ((i->imm & 0x50) && (i->imm & 0x0a)) /* W or O before R or I */
        barrier_full();
    else
        barrier_acq_rel();
    return true;
}
EXEC(fence_tso)
{
    (void)c, (void)i;
    barrier_acq_rel();
    return true;
}

/* A vCPU that spins waits for another, which may need this host core. */
EXEC(pause)
{
    (void)c, (void)i;
    sched_yield();
    return true;
}

/* Hints. */
static bool nop(void) { return true; }

EXEC(ntl_p1) { return (void)c, (void)i, nop(); }
EXEC(ntl_pall) { return (void)c, (void)i, nop(); }
EXEC(ntl_s1) { return (void)c, (void)i, nop(); }
EXEC(ntl_all) { return (void)c, (void)i, nop(); }
EXEC(prefetch_i) { return (void)c, (void)i, nop(); }
EXEC(prefetch_r) { return (void)c, (void)i, nop(); }
EXEC(prefetch_w) { return (void)c, (void)i, nop(); }

/* Zimop: 0 until an extension redefines them. */
EXEC(mop_r) { return set(c, i, 0); }
EXEC(mop_rr) { return set(c, i, 0); }
