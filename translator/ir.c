/*
 * Building, printing and checking the IR.
 *
 * The builders fold what costs one look: two constants, an identity (x + 0, x & -1, ...), a guest register that was
 * set to a constant in the same block (lui + addi). Anything that needs a second pass is left to a back end.
 */
#include "translator/ir.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

const struct ir_op_info ir_ops[IR_OPS] = {
#define IR(name, result, args, flags, text) [IR_##name] = {#name, result, args, flags},
#include "translator/ir.def"
#undef IR
};

static void forget_registers(struct ir *ir)
{
    for (unsigned r = 0; r < 32; r++) {
        ir->known[r] = ir->held[r] = IR_NONE;
        ir->version[r]++;
    }
}

void ir_reset(struct ir *ir)
{
    ir->count = 0;
    ir->full = ir->pic = false;
    forget_registers(ir);
}

ir_val ir_emit(struct ir *ir, enum ir_op op, unsigned sub, ir_val a, ir_val b, ir_val c, int64_t imm)
{
    if (ir->count >= IR_MAX) {
        ir->full = true;
        return IR_NONE;
    }
    ir->insn[ir->count] = (struct ir_insn){.op = (uint8_t)op, .sub = (uint8_t)sub, .a = a, .b = b, .c = c, .imm = imm};
    return (ir_val)ir->count++;
}

/* A constant is looked for among the last few operations only: most repeats are near, and the search stays cheap. */
ir_val ir_const(struct ir *ir, int64_t v)
{
    enum { LOOK_BACK = 48 };
    unsigned low = ir->count > LOOK_BACK ? ir->count - LOOK_BACK : 0;

    for (unsigned i = ir->count; i > low; i--)
        if (ir->insn[i - 1].op == IR_const && ir->insn[i - 1].imm == v)
            return (ir_val)(i - 1);
    return ir_emit(ir, IR_const, 0, IR_NONE, IR_NONE, IR_NONE, v);
}

ir_val ir_page(struct ir *ir, int64_t off) { return ir_emit(ir, IR_page, 0, IR_NONE, IR_NONE, IR_NONE, off); }

static bool commutes(enum ir_op op)
{
    return op == IR_add || op == IR_and || op == IR_or || op == IR_xor || op == IR_xnor || op == IR_add32 ||
           op == IR_mul || op == IR_mul32 || op == IR_mulhs || op == IR_mulhu || (op >= IR_mins && op <= IR_maxu);
}

/* a op k where k makes the operation trivial: true, and *r is the result. */
static bool identity(struct ir *ir, enum ir_op op, ir_val a, int64_t k, ir_val *r)
{
    switch (op) {
    case IR_add:
    case IR_sub:
    case IR_or:
    case IR_xor:
    case IR_rol:
    case IR_ror:
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_andn: *r = a; return k == 0;
    case IR_add32:
    case IR_sub32:
    case IR_shl32:
    case IR_shr32:
    case IR_sar32:
    case IR_rol32:
    case IR_ror32:
        if (k == 0)
            *r = ir_un(ir, IR_sext32, a);
        return k == 0;
    case IR_and:
        *r = a;
        if (k == 0)
            *r = ir_const(ir, 0);
        else if (k == 0xff)
            *r = ir_un(ir, IR_zext8, a);
        return k == -1 || k == 0 || k == 0xff;
    case IR_orn: *r = a; return k == -1;
    case IR_mul:
        *r = a;
        if (k == 0)
            *r = ir_const(ir, 0);
        return k == 1 || k == 0;
    default: return false;
    }
}

static bool is_page(const struct ir *ir, ir_val v, int64_t *off)
{
    if (v == IR_NONE || ir->insn[v].op != IR_page)
        return false;
    *off = ir->insn[v].imm;
    return true;
}

/* page + off with a constant: another offset. Masks of low bits leave the page's base alone. */
static bool moved_page(struct ir *ir, enum ir_op op, ir_val a, int64_t k, ir_val *r)
{
    int64_t off, sum;

    if (!is_page(ir, a, &off))
        return false;
    if (op == IR_add && !__builtin_add_overflow(off, k, &sum))
        off = sum;
    else if (op == IR_and && k < 0 && ~k < PAGE_SIZE)
        off &= k;
    else
        return false;
    if (off != (int32_t)off)
        return false;
    *r = ir_page(ir, off);
    return true;
}

/* What v is, looked at through the guest register it was read from. */
static const struct ir_insn *meaning(const struct ir *ir, ir_val v)
{
    const struct ir_insn *i = &ir->insn[v];

    if (i->op == IR_getr && ir->held[i->imm] != IR_NONE && i->sub == ir->version[i->imm])
        return &ir->insn[ir->held[i->imm]];
    return i;
}

/* Both read the register that still holds what they read. */
static bool same_register(const struct ir *ir, ir_val a, ir_val b)
{
    const struct ir_insn *x = &ir->insn[a], *y = &ir->insn[b];

    return x->op == IR_getr && y->op == IR_getr && x->imm == y->imm && x->sub == y->sub &&
           x->sub == ir->version[x->imm];
}

/* x >> n | x << (width - n), as compilers write it for processors without Zbb (SHA-256 is made of it). */
static bool rotation(struct ir *ir, ir_val a, ir_val b, ir_val *r)
{
    const struct ir_insn *right, *left;
    int64_t n, m;
    bool narrow;

    if (a == IR_NONE || b == IR_NONE)
        return false;
    right = meaning(ir, a);
    left = meaning(ir, b);
    if (right->op == IR_shl || right->op == IR_shl32) {
        const struct ir_insn *swap = right;

        right = left;
        left = swap;
    }
    narrow = right->op == IR_shr32;
    if ((!narrow && right->op != IR_shr) || left->op != (narrow ? IR_shl32 : IR_shl) ||
        !ir_is_const(ir, right->b, &n) || !ir_is_const(ir, left->b, &m) || n <= 0 || m <= 0 ||
        n + m != (narrow ? 32 : 64) || !same_register(ir, right->a, left->a))
        return false;
    *r = ir_bini(ir, narrow ? IR_ror32 : IR_ror, ir_getr(ir, (unsigned)ir->insn[right->a].imm), n);
    return true;
}

ir_val ir_bin(struct ir *ir, enum ir_op op, ir_val a, ir_val b)
{
    int64_t ca, cb;
    bool ka = ir_is_const(ir, a, &ca), kb = ir_is_const(ir, b, &cb);
    ir_val r;

    if (ka && kb)
        return ir_const(ir, (int64_t)ir_eval(op, (uint64_t)ca, (uint64_t)cb, 0));
    if (ka && commutes(op)) {
        ir_val swap = a;

        a = b;
        b = swap;
        kb = true;
        cb = ca;
    }
    if (kb && (identity(ir, op, a, cb, &r) || moved_page(ir, op, a, cb, &r)))
        return r;
    if (a == b && a != IR_NONE && (op == IR_xor || op == IR_sub || op == IR_andn))
        return ir_const(ir, 0);
    if (a == b && (op == IR_and || op == IR_or))
        return a;
    if (op == IR_or && rotation(ir, a, b, &r))
        return r;
    return ir_emit(ir, op, 0, a, b, IR_NONE, 0);
}

ir_val ir_bini(struct ir *ir, enum ir_op op, ir_val a, int64_t b)
{
    int64_t ca;
    ir_val r;

    if (ir_is_const(ir, a, &ca))
        return ir_const(ir, (int64_t)ir_eval(op, (uint64_t)ca, (uint64_t)b, 0));
    if (identity(ir, op, a, b, &r) || moved_page(ir, op, a, b, &r))
        return r;
    return ir_bin(ir, op, a, ir_const(ir, b));
}

/* The bits a value is known to be an extension of: lets sext32(sext32(x)) and the like go. */
static bool already(const struct ir *ir, enum ir_op op, ir_val a)
{
    const struct ir_insn *i;

    if (a == IR_NONE)
        return false;
    i = &ir->insn[a];
    if (op == IR_sext32)
        return i->op == IR_sext32 || i->op == IR_sext16 || i->op == IR_sext8 || i->op == IR_zext8 ||
               i->op == IR_zext16 || i->op == IR_setcc || (i->op >= IR_add32 && i->op <= IR_ror32) ||
               i->op == IR_mul32 || (i->op >= IR_divs32 && i->op <= IR_remu32) ||
               (i->op == IR_ld && i->sub != IR_32U && i->sub != IR_64);
    if (op == IR_zext32)
        return i->op == IR_zext32 || i->op == IR_zext16 || i->op == IR_zext8 || i->op == IR_setcc ||
               (i->op == IR_ld && (i->sub == IR_8U || i->sub == IR_16U || i->sub == IR_32U));
    return i->op == op && (op == IR_zext8 || op == IR_zext16 || op == IR_sext8 || op == IR_sext16);
}

ir_val ir_un(struct ir *ir, enum ir_op op, ir_val a)
{
    int64_t ca;

    if (ir_is_const(ir, a, &ca))
        return ir_const(ir, (int64_t)ir_eval(op, (uint64_t)ca, 0, 0));
    if (already(ir, op, a))
        return a;
    return ir_emit(ir, op, 0, a, IR_NONE, IR_NONE, 0);
}

ir_val ir_setcc(struct ir *ir, enum ir_cond c, ir_val a, ir_val b)
{
    int64_t ca, cb;

    if (ir_is_const(ir, a, &ca) && ir_is_const(ir, b, &cb))
        return ir_const(ir, ir_holds(c, (uint64_t)ca, (uint64_t)cb));
    return ir_emit(ir, IR_setcc, c, a, b, IR_NONE, 0);
}

ir_val ir_sel(struct ir *ir, ir_val c, ir_val a, ir_val b)
{
    int64_t k;

    if (ir_is_const(ir, c, &k))
        return k ? a : b;
    return a == b ? a : ir_emit(ir, IR_sel, 0, c, a, b, 0);
}

ir_val ir_ld(struct ir *ir, enum ir_mem m, ir_val addr, int64_t off)
{
    return ir_emit(ir, IR_ld, m, addr, IR_NONE, IR_NONE, off);
}

void ir_st(struct ir *ir, enum ir_mem m, ir_val addr, int64_t off, ir_val v)
{
    ir_emit(ir, IR_st, m, addr, v, IR_NONE, off);
}

ir_val ir_getr(struct ir *ir, unsigned r)
{
    if (ir->known[r] != IR_NONE)
        return ir->known[r];
    return ir_emit(ir, IR_getr, ir->version[r], IR_NONE, IR_NONE, IR_NONE, r);
}

void ir_setr(struct ir *ir, unsigned r, ir_val v)
{
    int64_t c;

    ir_emit(ir, IR_setr, 0, v, IR_NONE, IR_NONE, r);
    ir->held[r] = v;
    ir->version[r]++;
    ir->known[r] = ir_is_const(ir, v, &c) || is_page(ir, v, &c) ? v : IR_NONE;
}

ir_val ir_getf(struct ir *ir, unsigned r) { return ir_emit(ir, IR_getf, 0, IR_NONE, IR_NONE, IR_NONE, r); }
void ir_setf(struct ir *ir, unsigned r, ir_val v) { ir_emit(ir, IR_setf, 0, v, IR_NONE, IR_NONE, r); }

/* One that is always taken stays: the code behind it is only dead, and the block's end is the ISA's to choose. */
void ir_brcond(struct ir *ir, enum ir_cond c, ir_val a, ir_val b, gva target)
{
    int64_t ca, cb;

    if (ir_is_const(ir, a, &ca) && ir_is_const(ir, b, &cb) && !ir_holds(c, (uint64_t)ca, (uint64_t)cb))
        return;
    ir_emit(ir, IR_brcond, c, a, b, IR_NONE, (int64_t)target);
}

void ir_jump(struct ir *ir, gva target) { ir_emit(ir, IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, (int64_t)target); }

void ir_jumpr(struct ir *ir, ir_val target)
{
    int64_t c;

    if (ir->pic ? is_page(ir, target, &c) : ir_is_const(ir, target, &c))
        ir_jump(ir, (gva)c);
    else
        ir_emit(ir, IR_jumpr, 0, target, IR_NONE, IR_NONE, 0);
}

void ir_leave(struct ir *ir) { ir_emit(ir, IR_leave, 0, IR_NONE, IR_NONE, IR_NONE, 0); }

void ir_exec(struct ir *ir, const void *insn)
{
    ir_emit(ir, IR_exec, 0, IR_NONE, IR_NONE, IR_NONE, (int64_t)(intptr_t)insn);
    forget_registers(ir);
}

static const char *const cond_names[] = {"eq", "ne", "lt", "ge", "ltu", "geu"};
static const char *const mem_names[] = {"8u", "8s", "16u", "16s", "32u", "32s", "64"};
static const char *const amo_names[] = {"swap", "add", "xor", "and", "or", "min", "max", "minu", "maxu"};

static bool is_memory(unsigned op)
{
    return (op >= IR_ld && op <= IR_stf) || op == IR_amo || op == IR_lr || op == IR_sc;
}

static unsigned sub_limit(unsigned op)
{
    if (is_memory(op))
        return IR_64 + 1;
    if (op == IR_setcc || op == IR_brcond)
        return IR_GEU + 1;
    return IR_D + 1;
}

static const char *sub_name(const struct ir_insn *i)
{
    if (!(ir_ops[i->op].flags & IR_SUB) || i->sub >= sub_limit(i->op))
        return "";
    if (is_memory(i->op))
        return mem_names[i->sub];
    if (i->op == IR_setcc || i->op == IR_brcond)
        return cond_names[i->sub];
    return i->sub == IR_S ? "s" : "d";
}

static void print_imm(const struct ir_insn *i, FILE *f)
{
    switch (i->op) {
    case IR_getr:
    case IR_setr: fprintf(f, " r%" PRId64, i->imm); break;
    case IR_getf:
    case IR_setf: fprintf(f, " f%" PRId64, i->imm); break;
    case IR_insn: fprintf(f, " 0x%" PRIx64 " +%u", (uint64_t)i->imm, i->sub); break;
    case IR_jump:
    case IR_brcond: fprintf(f, " -> 0x%" PRIx64, (uint64_t)i->imm); break;
    case IR_amo: fprintf(f, " %s", (uint64_t)i->imm < 9 ? amo_names[i->imm] : "?"); break;
    case IR_exec: fprintf(f, " 0x%" PRIx64, (uint64_t)i->imm); break;
    default: fprintf(f, is_memory(i->op) ? " %+" PRId64 : " %" PRId64, i->imm); break;
    }
}

void ir_print(const struct ir *ir, FILE *f)
{
    for (unsigned n = 0; n < ir->count; n++) {
        const struct ir_insn *i = &ir->insn[n];
        const struct ir_op_info *o = &ir_ops[i->op];
        const char *sub = sub_name(i);
        const ir_val args[3] = {i->a, i->b, i->c};

        if (o->result != '-')
            fprintf(f, "  %%%-4u = ", n);
        else
            fprintf(f, i->op == IR_insn ? "  " : "          ");
        fprintf(f, "%s%s%s", o->name, *sub ? "." : "", sub);
        for (unsigned k = 0; k < 3; k++)
            if (o->args[k] != '.' && args[k] != IR_NONE)
                fprintf(f, "%s%%%u", k ? ", " : " ", args[k]);
        if (o->flags & IR_IMM)
            print_imm(i, f);
        fputc('\n', f);
    }
}

static const char *check_operand(const struct ir *ir, unsigned n, char class, ir_val v, bool may_miss)
{
    if (class == '.')
        return v == IR_NONE ? NULL : "an operand that the operation does not take";
    if (v == IR_NONE)
        return may_miss ? NULL : "an operand is missing";
    if (v >= n)
        return "an operand that is not made yet";
    return ir_ops[ir->insn[v].op].result == class ? NULL : "an operand of the wrong class";
}

static const char *check_insn(const struct ir *ir, unsigned n)
{
    const struct ir_insn *i = &ir->insn[n];
    const struct ir_op_info *o;
    const char *bad;

    if (i->op >= IR_OPS)
        return "no such operation";
    o = &ir_ops[i->op];
    if ((bad = check_operand(ir, n, o->args[0], i->a, i->op == IR_call)) ||
        (bad = check_operand(ir, n, o->args[1], i->b, i->op == IR_call)) ||
        (bad = check_operand(ir, n, o->args[2], i->c, i->op == IR_call)))
        return bad;
    if (o->flags & IR_SUB && i->sub >= sub_limit(i->op))
        return "sub out of range";
    if (i->op >= IR_getr && i->op <= IR_setf && (uint64_t)i->imm > 31)
        return "no such guest register";
    if (i->op == IR_setr && i->imm == 0)
        return "register 0 is never written";
    if (i->op == IR_amo && (uint64_t)i->imm > AMO_MAXU)
        return "no such atomic operation";
    if ((i->op == IR_amo || i->op == IR_lr || i->op == IR_sc) && i->sub != IR_32S && i->sub != IR_64)
        return "atomics are of 32S or 64";
    if (o->flags & IR_END && n + 1 != ir->count)
        return "operations after the end";
    return NULL;
}

const char *ir_check(const struct ir *ir, unsigned *where)
{
    *where = 0;
    if (ir->full)
        return "the array is full";
    if (!ir->count)
        return "empty";
    for (unsigned n = 0; n < ir->count; n++) {
        const char *bad = check_insn(ir, n);

        *where = n;
        if (bad)
            return bad;
    }
    return ir_ops[ir->insn[ir->count - 1].op].flags & IR_END ? NULL : "no end";
}
