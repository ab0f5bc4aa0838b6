/*
 * The RISC-V decoder.
 *
 * 32-bit forms: opcode and funct3 (8 bits) choose a bucket; a bucket whose rows look at bits 31..25 has 128 lists, else
 * one; a list holds the few rows that can match, special cases first. Compressed forms: a byte per halfword names the
 * row, so overlap and reserved values are settled when the table is built and not for each instruction.
 *
 * Everything is built by insn_index_new for one isa_config and constant afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/format.h"
#include "cpu/riscv/insn.h"

enum { BUCKETS = 256, LISTS = 128, MAX_ROWS = 512, MAX_REFS = 1 << 16, NO_ROW = 0xff };

struct pattern {
    uint32_t mask, match;
    uint16_t op, row;
    uint8_t format;
};

struct list {
    uint16_t first, count; /* in refs */
};

struct insn_index {
    const struct insn_row *rows, *crows;
    struct bucket {
        uint16_t lists; /* first of its lists */
        uint16_t mask;  /* of bits 31..25: 127 or 0 */
    } bucket[BUCKETS];
    struct list *list;
    struct pattern *ref; /* patterns in list order */
    uint8_t crow[1 << 16];
};

/* --- fields --- */

static uint32_t bits(uint32_t w, unsigned pos, unsigned len) { return (w >> pos) & ((1u << len) - 1); }

static int32_t sext(uint32_t v, unsigned len) { return (int32_t)(v << (32 - len)) >> (32 - len); }

static int32_t imm_i(uint32_t w) { return (int32_t)w >> 20; }
static int32_t imm_s(uint32_t w) { return (int32_t)(w & 0xfe000000) >> 20 | (int32_t)bits(w, 7, 5); }
static int32_t imm_b(uint32_t w)
{
    return ((int32_t)w >> 31) * 4096 | (int32_t)(bits(w, 7, 1) << 11 | bits(w, 25, 6) << 5 | bits(w, 8, 4) << 1);
}
static int32_t imm_j(uint32_t w)
{
    return ((int32_t)w >> 31) * (1 << 20) | (int32_t)(w & 0xff000) |
           (int32_t)(bits(w, 20, 1) << 11 | bits(w, 21, 10) << 1);
}

/* Compressed immediates: bits 12 and 6..2 in most. */
static uint32_t c_imm6(uint32_t w) { return bits(w, 12, 1) << 5 | bits(w, 2, 5); }
static int32_t c_imm_4spn(uint32_t w)
{
    return (int32_t)(bits(w, 7, 4) << 6 | bits(w, 11, 2) << 4 | bits(w, 5, 1) << 3 | bits(w, 6, 1) << 2);
}
static int32_t c_imm_wsp(uint32_t w)
{
    return (int32_t)(bits(w, 2, 2) << 6 | bits(w, 12, 1) << 5 | bits(w, 4, 3) << 2);
}
static int32_t c_imm_dsp(uint32_t w)
{
    return (int32_t)(bits(w, 2, 3) << 6 | bits(w, 12, 1) << 5 | bits(w, 5, 2) << 3);
}
static int32_t c_off_b(uint32_t w) { return (int32_t)(bits(w, 5, 1) << 1 | bits(w, 6, 1)); }
static int32_t c_off_h(uint32_t w) { return (int32_t)(bits(w, 5, 1) << 1); }
static int32_t c_off_w(uint32_t w) { return (int32_t)(bits(w, 5, 1) << 6 | bits(w, 10, 3) << 3 | bits(w, 6, 1) << 2); }
static int32_t c_off_d(uint32_t w) { return (int32_t)(bits(w, 5, 2) << 6 | bits(w, 10, 3) << 3); }
static int32_t c_imm_16sp(uint32_t w)
{
    return sext(bits(w, 12, 1) << 9 | bits(w, 3, 2) << 7 | bits(w, 5, 1) << 6 | bits(w, 2, 1) << 5 | bits(w, 6, 1) << 4,
                10);
}
static int32_t c_imm_b(uint32_t w)
{
    return sext(
        bits(w, 12, 1) << 8 | bits(w, 5, 2) << 6 | bits(w, 2, 1) << 5 | bits(w, 10, 2) << 3 | bits(w, 3, 2) << 1, 9);
}
static int32_t c_imm_j(uint32_t w)
{
    return sext(bits(w, 12, 1) << 11 | bits(w, 8, 1) << 10 | bits(w, 9, 2) << 8 | bits(w, 6, 1) << 7 |
                    bits(w, 7, 1) << 6 | bits(w, 2, 1) << 5 | bits(w, 11, 1) << 4 | bits(w, 3, 3) << 1,
                12);
}

static bool put(struct insn *i, uint32_t rd, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    i->rd = (uint8_t)rd;
    i->rs1 = (uint8_t)rs1;
    i->rs2 = (uint8_t)rs2;
    i->imm = imm;
    return true;
}

/* With rounding mode: 5 and 6 are reserved. */
static bool put_rm(struct insn *i, uint32_t rd, uint32_t rs1, uint32_t rs2, uint32_t rm)
{
    i->rm = (uint8_t)rm;
    return put(i, rd, rs1, rs2, 0) && rm != 5 && rm != 6;
}

/* Fill the operands of a 32-bit form. false: a reserved value. */
static bool fields(enum insn_format format, uint32_t w, struct insn *i)
{
    uint32_t rd = bits(w, 7, 5), rs1 = bits(w, 15, 5), rs2 = bits(w, 20, 5), f3 = bits(w, 12, 3);

    switch (format) {
    case FORMAT_R: return put(i, rd, rs1, rs2, 0);
    case FORMAT_R2: return put(i, rd, rs1, 0, 0);
    case FORMAT_RM: return put_rm(i, rd, rs1, rs2, f3);
    case FORMAT_R2M: return put_rm(i, rd, rs1, 0, f3);
    case FORMAT_R4: i->rs3 = (uint8_t)(w >> 27); return put_rm(i, rd, rs1, rs2, f3);
    case FORMAT_I: return put(i, rd, rs1, 0, imm_i(w));
    case FORMAT_SH6: return put(i, rd, rs1, 0, (int32_t)bits(w, 20, 6));
    case FORMAT_SH5: return put(i, rd, rs1, 0, (int32_t)rs2);
    case FORMAT_RNUM: return put(i, rd, rs1, 0, (int32_t)bits(w, 20, 4)) && i->imm <= 10;
    case FORMAT_S: return put(i, 0, rs1, rs2, imm_s(w));
    case FORMAT_B: return put(i, 0, rs1, rs2, imm_b(w));
    case FORMAT_U: return put(i, rd, 0, 0, (int32_t)(w & 0xfffff000));
    case FORMAT_J: return put(i, rd, 0, 0, imm_j(w));
    case FORMAT_CSR:
    case FORMAT_FENCE: return put(i, rd, rs1, 0, (int32_t)(w >> 20));
    case FORMAT_AMO: i->rm = (uint8_t)bits(w, 25, 2); return put(i, rd, rs1, rs2, 0);
    case FORMAT_LR: i->rm = (uint8_t)bits(w, 25, 2); return put(i, rd, rs1, 0, 0);
    case FORMAT_RS1: return put(i, 0, rs1, 0, 0);
    case FORMAT_RS12: return put(i, 0, rs1, rs2, 0);
    case FORMAT_PREFETCH: return put(i, 0, rs1, 0, imm_s(w & ~0xf80u));
    default: return true;
    }
}

/* Fill the operands of a compressed form. */
static bool c_fields(enum insn_format format, uint32_t w, struct insn *i)
{
    uint32_t r7 = bits(w, 7, 5), r2 = bits(w, 2, 5);         /* full registers */
    uint32_t p7 = 8 + bits(w, 7, 3), p2 = 8 + bits(w, 2, 3); /* x8..x15 */
    int32_t imm6 = sext(c_imm6(w), 6), shamt = (int32_t)c_imm6(w);
    enum { RA = 1, SP = 2 };

    switch (format) {
    case FORMAT_CIW: return put(i, p2, SP, 0, c_imm_4spn(w));
    case FORMAT_CL_B: return put(i, p2, p7, 0, c_off_b(w));
    case FORMAT_CL_H: return put(i, p2, p7, 0, c_off_h(w));
    case FORMAT_CL_W: return put(i, p2, p7, 0, c_off_w(w));
    case FORMAT_CL_D: return put(i, p2, p7, 0, c_off_d(w));
    case FORMAT_CS_B: return put(i, 0, p7, p2, c_off_b(w));
    case FORMAT_CS_H: return put(i, 0, p7, p2, c_off_h(w));
    case FORMAT_CS_W: return put(i, 0, p7, p2, c_off_w(w));
    case FORMAT_CS_D: return put(i, 0, p7, p2, c_off_d(w));
    case FORMAT_CI: return put(i, r7, r7, 0, imm6);
    case FORMAT_CI_LI: return put(i, r7, 0, 0, imm6);
    case FORMAT_CI_SH: return put(i, r7, r7, 0, shamt);
    case FORMAT_CI_16SP: return put(i, SP, SP, 0, c_imm_16sp(w));
    case FORMAT_CI_LUI: return put(i, r7, 0, 0, imm6 * 4096);
    case FORMAT_CI_WSP: return put(i, r7, SP, 0, c_imm_wsp(w));
    case FORMAT_CI_DSP: return put(i, r7, SP, 0, c_imm_dsp(w));
    case FORMAT_CSS_W: return put(i, 0, SP, r2, (int32_t)(bits(w, 7, 2) << 6 | bits(w, 9, 4) << 2));
    case FORMAT_CSS_D: return put(i, 0, SP, r2, (int32_t)(bits(w, 7, 3) << 6 | bits(w, 10, 3) << 3));
    case FORMAT_CR: return put(i, r7, r7, r2, 0);
    case FORMAT_CR_MV: return put(i, r7, 0, r2, 0);
    case FORMAT_CR_JR: return put(i, 0, r7, 0, 0);
    case FORMAT_CR_JALR: return put(i, RA, r7, 0, 0);
    case FORMAT_CA: return put(i, p7, p7, p2, 0);
    case FORMAT_CB: return put(i, 0, p7, 0, c_imm_b(w));
    case FORMAT_CB_SH: return put(i, p7, p7, 0, shamt);
    case FORMAT_CB_ANDI: return put(i, p7, p7, 0, imm6);
    case FORMAT_CJ: return put(i, 0, 0, 0, c_imm_j(w));
    case FORMAT_CU: return put(i, p7, p7, 0, 0);
    case FORMAT_CU_FF: return put(i, p7, p7, 0, 255);
    case FORMAT_CU_ONES: return put(i, p7, p7, 0, -1);
    default: return true;
    }
}

/* --- decoding --- */

static const struct pattern *find(const struct insn_index *x, uint32_t w)
{
    const struct bucket *b = &x->bucket[bits(w, 2, 5) << 3 | bits(w, 12, 3)];
    const struct list *l = &x->list[b->lists + ((w >> 25) & b->mask)];
    const struct pattern *p = x->ref + l->first, *end = p + l->count;

    while (p < end && (w & p->mask) != p->match)
        p++;
    return p < end ? p : NULL;
}

void insn_decode(const struct isa_config *cfg, uint32_t w, struct insn *i)
{
    const struct insn_index *x = cfg->index;

    *i = (struct insn){.op = INSN_illegal, .raw = w, .len = 4};
    if ((w & 3) == 3) {
        const struct pattern *p = find(x, w);

        if (p && fields(p->format, w, i))
            i->op = p->op;
        return;
    }
    i->raw = w &= 0xffff;
    i->len = 2;
    if (x->crow[w] != NO_ROW) {
        const struct insn_row *r = &x->crows[x->crow[w]];

        i->op = r->op;
        c_fields(r->format, w, i);
    }
}

const struct insn_row *insn_find_row(const struct isa_config *cfg, uint32_t w)
{
    const struct insn_index *x = cfg->index;
    const struct pattern *p;
    struct insn i;

    if ((w & 3) != 3)
        return x->crow[w & 0xffff] == NO_ROW ? NULL : &x->crows[x->crow[w & 0xffff]];
    p = find(x, w);
    return p && fields(p->format, w, &i) ? &x->rows[p->row] : NULL;
}

/* --- building the index --- */

static bool row_enabled(const struct isa_config *cfg, ext_set s)
{
    unsigned a = s & 0xff, b = (s >> 8) & 0xff;

    if (a == EXT_SET_NEVER)
        return false;
    if (s & EXT_SET_EITHER)
        return cfg->ext[a] || cfg->ext[b];
    return cfg->ext[a] && cfg->ext[b]; /* a single extension has b = EXT_I */
}

static bool special(const struct insn_row *r) { return r->flags & INSN_SUBSET; }

/* Bit string to mask and match. false: not `width` bits. */
static bool row_pattern(const struct insn_row *r, unsigned width, struct pattern *p)
{
    unsigned n = 0;

    p->mask = p->match = 0;
    for (const char *s = r->bits; *s; s++) {
        if (*s == ' ')
            continue;
        p->mask = p->mask << 1 | (*s != '.');
        p->match = p->match << 1 | (*s == '1');
        n++;
    }
    p->op = r->op;
    p->format = r->format;
    return n == width;
}

/* Does every word of a match b, too, and not the other way round? */
static bool subset(const struct pattern *a, const struct pattern *b)
{
    return (a->mask & b->mask) == b->mask && (a->match & b->mask) == b->match && a->mask != b->mask;
}

static bool overlap(const struct pattern *a, const struct pattern *b)
{
    return !((a->match ^ b->match) & a->mask & b->mask);
}

/* Two rows may share words only when one is declared a special case of the other and is one. */
static bool check_rows(const struct insn_index *x, const struct pattern *p, unsigned n, struct err *e)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i + 1; j < n; j++) {
            const struct insn_row *a = &x->rows[p[i].row], *b = &x->rows[p[j].row];
            bool a_in_b = (a->flags & INSN_SUBSET) && subset(&p[i], &p[j]);
            bool b_in_a = (b->flags & INSN_SUBSET) && subset(&p[j], &p[i]);

            if (overlap(&p[i], &p[j]) && !a_in_b && !b_in_a)
                return err_set(e, "instructions %s and %s share encodings", a->name, b->name);
        }
    }
    return true;
}

/* Collect the patterns of the enabled rows, special cases first. Returns how many, or -1. */
static int collect(const struct insn_index *x, const struct isa_config *cfg, unsigned nrows, struct pattern *p,
                   struct err *e)
{
    unsigned n = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned r = 0; r < nrows; r++) {
            if (special(&x->rows[r]) != (pass == 0) || !row_enabled(cfg, x->rows[r].ext))
                continue;
            if (n == MAX_ROWS || !row_pattern(&x->rows[r], 32, &p[n]) || (p[n].match & 3) != 3) {
                err_set(e, "instruction %s: the row is not 32 bits of a 32-bit form", x->rows[r].name);
                return -1;
            }
            p[n++].row = (uint16_t)r;
        }
    }
    return (int)n;
}

/* Words of list `top` of bucket b: is one of them in p? */
static bool reaches(const struct pattern *p, unsigned b, unsigned top, unsigned top_mask)
{
    struct pattern where = {
        .mask = 0x7f | 7u << 12 | top_mask << 25,
        .match = 3 | (b >> 3) << 2 | (b & 7) << 12 | top << 25,
    };

    return overlap(p, &where);
}

/* The patterns with words in list `top` of bucket b, in order. Returns how many. */
static unsigned select_patterns(const struct pattern *p, unsigned n, unsigned b, unsigned top, unsigned top_mask,
                                struct pattern *out)
{
    unsigned k = 0;

    for (unsigned i = 0; i < n; i++)
        if (reaches(&p[i], b, top, top_mask))
            out[k++] = p[i];
    return k;
}

static bool index_rows(struct insn_index *x, const struct pattern *p, unsigned n, struct err *e)
{
    unsigned nlist = 0, nref = 0;
    struct pattern *here = calloc(MAX_ROWS, sizeof *here); /* those of one bucket */

    x->list = calloc(BUCKETS * LISTS, sizeof *x->list);
    x->ref = calloc(MAX_REFS, sizeof *x->ref);
    for (unsigned b = 0; b < BUCKETS && here && x->list && x->ref; b++) {
        unsigned count = select_patterns(p, n, b, 0, 0, here), mask = 0;

        for (unsigned i = 0; i < count; i++)
            if (here[i].mask >> 25)
                mask = LISTS - 1;
        x->bucket[b].lists = (uint16_t)nlist;
        x->bucket[b].mask = (uint16_t)mask;
        for (unsigned top = 0; top <= mask; top++) {
            struct list *l = &x->list[nlist++];

            l->first = (uint16_t)nref;
            l->count = (uint16_t)select_patterns(here, count, b, top, mask, x->ref + nref);
            nref += l->count;
            if (nref > MAX_REFS - MAX_ROWS) {
                free(here);
                return err_set(e, "the instruction table is too large for its index");
            }
        }
    }
    free(here);
    return (here && x->list && x->ref) || err_set(e, "out of memory");
}

/* Does the rule of a compressed row allow w? */
static bool rule_allows(const struct insn_row *r, uint32_t w)
{
    struct insn i = {0};

    c_fields(r->format, w, &i);
    switch (r->rule) {
    case RULE_IMM: return i.imm != 0;
    case RULE_RD: return i.rd != 0;
    case RULE_RS1: return i.rs1 != 0;
    case RULE_RS2: return i.rs2 != 0;
    default: return true;
    }
}

/* Enter compressed row n for every halfword it matches. */
static bool enter_crow(struct insn_index *x, unsigned n, struct err *e)
{
    const struct insn_row *r = &x->crows[n];
    struct pattern p;
    uint32_t free_bits, v = 0;

    if (!row_pattern(r, 16, &p) || (p.match & 3) == 3)
        return err_set(e, "instruction %s: the row is not 16 bits of a compressed form", r->name);
    free_bits = ~p.mask & 0xffff;
    do { /* v runs over the subsets of free_bits */
        uint32_t w = p.match | v;

        if (rule_allows(r, w)) {
            if (x->crow[w] == NO_ROW)
                x->crow[w] = (uint8_t)n;
            else if (!(x->crows[x->crow[w]].flags & INSN_SUBSET))
                return err_set(e, "instructions %s and %s share encodings", x->crows[x->crow[w]].name, r->name);
        }
        v = (v - free_bits) & free_bits;
    } while (v);
    return true;
}

/* Compressed rows need their own extension and that of the instruction they stand for. */
static bool index_crows(struct insn_index *x, const struct isa_config *cfg, unsigned ncrows, struct err *e)
{
    memset(x->crow, NO_ROW, sizeof x->crow);
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned r = 0; r < ncrows; r++)
            if (special(&x->crows[r]) == (pass == 0) && row_enabled(cfg, x->crows[r].ext) &&
                row_enabled(cfg, insn_rows[x->crows[r].op].ext) && !enter_crow(x, r, e))
                return false;
    return true;
}

struct insn_index *insn_index_new(const struct isa_config *cfg, const struct insn_row *rows, unsigned nrows,
                                  const struct insn_row *crows, unsigned ncrows, struct err *e)
{
    struct insn_index *x = calloc(1, sizeof *x);
    struct pattern *p = calloc(MAX_ROWS, sizeof *p);
    int n;

    if (!x || !p) {
        err_set(e, "out of memory");
        goto fail;
    }
    x->rows = rows;
    x->crows = crows;
    n = collect(x, cfg, nrows, p, e);
    if (n < 0 || !check_rows(x, p, (unsigned)n, e) || !index_rows(x, p, (unsigned)n, e) ||
        !index_crows(x, cfg, ncrows, e))
        goto fail;
    free(p);
    return x;
fail:
    free(p);
    insn_index_free(x);
    return NULL;
}

void insn_index_free(struct insn_index *x)
{
    if (!x)
        return;
    free(x->list);
    free(x->ref);
    free(x);
}
