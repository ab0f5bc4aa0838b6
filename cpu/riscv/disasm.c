/*
 * The RISC-V disassembler: insn.def's disassembly column, filled in. Text as objdump's without aliases.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/format.h"
#include "cpu/riscv/insn.h"

static const char *const x_names[32] = {
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
    "a6",   "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char *const f_names[32] = {
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0",  "fa1",  "fa2", "fa3", "fa4",  "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};
static const char *const rm_names[8] = {"rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"};
/* fli's constants (unprivileged specification, "Zfa", table of FLI immediates) */
static const char *const fli_names[32] = {
    "-1.0",
    "min",
    "1.52587890625e-05",
    "3.0517578125e-05",
    "0.00390625",
    "0.0078125",
    "0.0625",
    "0.125",
    "0.25",
    "0.3125",
    "0.375",
    "0.4375",
    "0.5",
    "0.625",
    "0.75",
    "0.875",
    "1.0",
    "1.25",
    "1.5",
    "1.75",
    "2.0",
    "2.5",
    "3.0",
    "4.0",
    "8.0",
    "16.0",
    "128.0",
    "256.0",
    "32768.0",
    "65536.0",
    "inf",
    "nan",
};

/* A buffer that is never overrun. */
struct text {
    char *buf;
    size_t size, len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->len = t->len + (size_t)n < t->size ? t->len + (size_t)n : t->size - 1;
}

static void add_fence_set(struct text *t, unsigned set)
{
    static const char letters[] = "iorw";

    for (unsigned n = 0; n < 4; n++)
        if (set & 8 >> n)
            add(t, "%c", letters[n]);
    if (!set)
        add(t, "unknown"); /* as objdump says of the empty set */
}

static void add_csr(struct text *t, unsigned num)
{
    char name[32];

    if (csr_name(num, name, sizeof name))
        add(t, "%s", name);
    else
        add(t, "0x%x", num);
}

static void add_operand(struct text *t, char letter, const struct insn *i, gva pc)
{
    switch (letter) {
    case 'd': add(t, "%s", x_names[i->rd]); break;
    case 's': add(t, "%s", x_names[i->rs1]); break;
    case 't': add(t, "%s", x_names[i->rs2]); break;
    case 'D': add(t, "%s", f_names[i->rd]); break;
    case 'S': add(t, "%s", f_names[i->rs1]); break;
    case 'T': add(t, "%s", f_names[i->rs2]); break;
    case 'R': add(t, "%s", f_names[i->rs3]); break;
    case 'j': add(t, "%" PRId32, i->imm); break;
    case 'p': add(t, "0x%" PRIx64, pc + (uint64_t)(int64_t)i->imm); break;
    case 'u': add(t, "0x%x", (uint32_t)i->imm >> 12); break;
    case '>': add(t, "0x%x", (unsigned)i->imm); break;
    case 'E': add_csr(t, (unsigned)i->imm); break;
    case 'Z': add(t, "%u", i->rs1); break;
    case 'P': add_fence_set(t, i->imm >> 4 & 15); break;
    case 'Q': add_fence_set(t, i->imm & 15); break;
    case 'v': add(t, "%s", fli_names[i->rs1]); break;
    default: add(t, "%c", letter);
    }
}

static void add_operands(struct text *t, const struct insn_row *r, const struct insn *i, gva pc)
{
    for (const char *s = r->disasm; *s; s++) {
        if (!strncmp(s, "rtz", 3)) {
            add(t, "rtz");
            s += 2;
        } else if (*s != 'm') {
            add_operand(t, *s, i, pc);
        } else if (i->rm != 7) {
            add(t, ",%s", rm_names[i->rm]);
        }
    }
}

/* The number of a may-be operation. */
static unsigned mop_number(const struct insn *i)
{
    uint32_t w = i->raw;

    if (i->len == 2)
        return w >> 7 & 31;
    if (i->op == INSN_mop_r)
        return (w >> 30 & 1) << 4 | (w >> 26 & 3) << 2 | (w >> 20 & 3);
    return (w >> 30 & 1) << 2 | (w >> 26 & 3);
}

static void add_mnemonic(struct text *t, const struct insn_row *r, const struct insn *i)
{
    static const char *const order[4] = {"", ".rl", ".aq", ".aqrl"};

    for (const char *s = r->name; *s; s++)
        add(t, "%c", *s == '_' ? '.' : *s);
    if (r->format == FORMAT_AMO || r->format == FORMAT_LR)
        add(t, "%s", order[i->rm & 3]);
    if (i->op == INSN_mop_r || i->op == INSN_mop_rr || r->format == FORMAT_CMOP)
        add(t, ".%u", mop_number(i));
}

void insn_mnemonic(const struct isa_config *cfg, uint32_t word, char *buf, size_t size)
{
    const struct insn_row *r = insn_find_row(cfg, word);
    struct text t = {.buf = buf, .size = size};
    struct insn i;

    buf[0] = 0;
    insn_decode(cfg, word, &i);
    if (r)
        add_mnemonic(&t, r, &i);
}

unsigned insn_disasm(const struct isa_config *cfg, gva pc, uint32_t word, char *buf, size_t size)
{
    const struct insn_row *r = insn_find_row(cfg, word);
    struct text t = {.buf = buf, .size = size};
    struct insn i;

    insn_decode(cfg, word, &i);
    if (!r) {
        add(&t, i.len == 2 ? ".2byte  0x%04x" : ".4byte  0x%08x", i.raw);
        return i.len;
    }
    add_mnemonic(&t, r, &i);
    if (*r->disasm) {
        do
            add(&t, " ");
        while (t.len < 8);
        add_operands(&t, r, &i, pc);
    }
    return i.len;
}

unsigned rv_disasm(const struct vcpu *v, gva pc, const uint8_t *code, unsigned len, char *buf, unsigned size)
{
    const struct rv *c = (const struct rv *)v;
    uint32_t word = 0;

    memcpy(&word, code, len < 4 ? len : 4);
    if (len < 2 || len < insn_length((uint16_t)word)) {
        snprintf(buf, size, "(cut short)");
        return len;
    }
    return insn_disasm(c->cfg, pc, word, buf, size);
}
