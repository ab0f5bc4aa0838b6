/* See gen.h. Reserved registers are in the enum below; everything else is fair game. */
#include "gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asm.h"
#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/insn.h"

enum { /* registers that random code reads but never writes */
       R_LINK = 1,
       R_SP = 2,       /* middle of the data */
       R_DATA = 8,     /* its base */
       R_ADDR = 9,     /* address of the access that follows */
       R_BACK = 16,    /* where a fetch that traps goes on */
       R_HASH = 17,    /* of all registers, at every checkpoint */
       R_MASK = 18,    /* offsets of any alignment */
       R_ALIGNED = 19, /* of 8-byte alignment */
       R_COUNT = 20,   /* inner loop; scratch outside of one */
       R_JUMP = 21,
       R_TEMP = 22,
       R_SATP1 = 23,
       R_SATP2 = 24,
       R_OUTER = 25,
       R_FINISH = 26,
       R_PTE = 27, /* of a data page, in the alias */
};
static const uint32_t reserved = 1u << R_LINK | 1u << R_SP | 1u << R_DATA | 1u << R_ADDR | 1u << R_BACK | 1u << R_HASH |
                                 1u << R_MASK | 1u << R_ALIGNED | 1u << R_COUNT | 1u << R_JUMP | 1u << R_TEMP |
                                 1u << R_SATP1 | 1u << R_SATP2 | 1u << R_OUTER | 1u << R_FINISH | 1u << R_PTE;

enum { /* offsets in RAM */
       O_HANDLER = 0x800,
       O_SAVE = 0x1000, /* the handler's page, and the stub's table */
       O_CODE = 0x10000,
       CODE_PAGES = 24,
       O_DATA = 0x40000,
       DATA_PAGES = 32,
       O_TABLES = 0x80000,
};
enum { /* in the save page */
       SAVE_HASH = 32,
       SAVE_TRAPS = 56,
       SAVE_TABLE = 128, /* CSRs, x1..x31 */
       SAVE_FP = 1024,   /* f0..f31 */
};

struct gen {
    const struct isa_config *cfg;
    uint8_t *image;
    uint64_t rng;
    unsigned priv; /* 0, 1, 3 */
    bool paged, portable;
    gva base;                             /* of the virtual window; GEN_RAM when bare */
    uint8_t code_page[CODE_PAGES];        /* virtual to physical */
    uint32_t at;                          /* offset of the next instruction in the code */
    uint32_t function[4], hash_x, hash_f; /* offsets of functions */
    unsigned functions;
    const struct insn_row *plain[512], *memory[256];
    unsigned plains, memories;
};

static uint64_t rnd(struct gen *g)
{
    uint64_t z = g->rng += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned below(struct gen *g, unsigned n) { return (unsigned)(rnd(g) % n); }
static bool chance(struct gen *g, unsigned percent) { return below(g, 100) < percent; }

/* --- memory and code --- */

static void put64(struct gen *g, uint32_t off, uint64_t v) { st64(g->image + off, v); }
static uint32_t code_offset(const struct gen *g, uint32_t at)
{
    return O_CODE + g->code_page[at / PAGE_SIZE] * (uint32_t)PAGE_SIZE + at % PAGE_SIZE;
}

static void put16(struct gen *g, uint32_t at, uint16_t v) { st16(g->image + code_offset(g, at), v); }
static void put32(struct gen *g, uint32_t at, uint32_t w)
{
    put16(g, at, (uint16_t)w);
    put16(g, at + 2, (uint16_t)(w >> 16));
}

static void emit(struct gen *g, uint32_t w)
{
    if (g->at + 64 > CODE_PAGES * PAGE_SIZE)
        return; /* never reached: the item count keeps below it */
    if (insn_length((uint16_t)w) == 2) {
        put16(g, g->at, (uint16_t)w);
        g->at += 2;
    } else {
        put32(g, g->at, w);
        g->at += 4;
    }
}

static gva code_va(const struct gen *g, uint32_t at) { return g->base + O_CODE + at; }

static void li(struct gen *g, unsigned rd, uint64_t v)
{
    int32_t low = (int32_t)((uint32_t)v << 20) >> 20;

    if ((int64_t)v == (int32_t)v) {
        emit(g, A_LUI(rd, (uint32_t)(v - (uint64_t)low) >> 12));
        emit(g, enc_i(low, rd, 0, rd, 0x1b)); /* addiw */
        return;
    }
    v -= (uint64_t)low;
    li(g, rd, (uint64_t)((int64_t)v >> 12));
    emit(g, A_SLLI(rd, rd, 12));
    if (low)
        emit(g, A_ADDI(rd, rd, low));
}

/* --- choosing instructions from the table --- */

static uint32_t fill_bits(struct gen *g, const char *bits, unsigned width)
{
    uint32_t w = 0;
    uint64_t r = rnd(g);

    for (unsigned n = 0; *bits && n < width; bits++) {
        if (*bits == ' ')
            continue;
        w = w << 1 | (*bits == '.' ? (uint32_t)(r >> n & 1) : *bits == '1');
        n++;
    }
    return w;
}

static unsigned row_width(const struct insn_row *r)
{
    unsigned n = 0;

    for (const char *p = r->bits; *p; p++)
        n += *p != ' ';
    return n;
}

static bool writes_reserved(const struct insn_row *r, const struct insn *i)
{
    if (r->disasm[0] == 'D')
        return false;
    if (strncmp(r->name, "amocas", 6) == 0 && (reserved >> (i->rd | 1) & 1))
        return true;
    return reserved >> i->rd & 1;
}

/* A word of row r with random operands that keeps the rules; 0: none found. rs1: forced base register, or 0. */
static uint32_t word_of(struct gen *g, const struct insn_row *r, bool memory)
{
    unsigned width = row_width(r);

    for (unsigned n = 0; n < 30; n++) {
        uint32_t w = fill_bits(g, r->bits, width);
        struct insn i;

        if (memory && width == 32)
            w = (w & ~(31u << 15)) | (uint32_t)R_ADDR << 15;
        else if (memory && (w & 3) != 2)
            w = (w & ~(7u << 7)) | (uint32_t)(R_ADDR - 8) << 7;
        if (width == 32 && (w >> 7 & 31) && chance(g, 2) && !memory)
            w &= ~(31u << 7); /* rd = zero more often */
        insn_decode(g->cfg, w, &i);
        if (i.op != r->op || writes_reserved(r, &i))
            continue;
        if (memory && i.rs1 != R_ADDR && i.rs1 != R_SP)
            continue;
        return w;
    }
    return 0;
}

static void classify(struct gen *g, const struct insn_row *r, unsigned op)
{
    unsigned flags = insn_flags[op], seen;

    if (!op || flags & (INSN_END | INSN_BRANCH | INSN_ATT))
        return;
    seen = g->plains + g->memories;
    if (flags & INSN_MEM) {
        if (g->portable && (!strncmp(r->name, "lr_", 3) || !strncmp(r->name, "sc_", 3)))
            return; /* only in pairs: when an SC without LR fails or traps is left open */
        if (word_of(g, r, true))
            g->memory[g->memories++] = r;
    } else if (word_of(g, r, false)) {
        g->plain[g->plains++] = r;
    }
    (void)seen;
}

static void collect_rows(struct gen *g)
{
    for (unsigned op = 1; op < INSN_COUNT; op++)
        if (g->plains < 400 && g->memories < 200)
            classify(g, &insn_rows[op], op);
    for (unsigned n = 0; n < cinsn_row_count; n++)
        if (g->plains < 500 && g->memories < 250)
            classify(g, &cinsn_rows[n], cinsn_rows[n].op);
}

static uint32_t plain_word(struct gen *g)
{
    for (;;) {
        uint32_t w = word_of(g, g->plain[below(g, g->plains)], false);

        if (w)
            return w;
    }
}

/* --- items --- */

static unsigned free_reg(struct gen *g)
{
    static const uint8_t regs[] = {3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 28, 29, 30, 31};

    return regs[below(g, sizeof regs)];
}

static void gen_plain(struct gen *g) { emit(g, plain_word(g)); }

static void gen_address(struct gen *g)
{
    emit(g, A_AND(R_ADDR, free_reg(g), chance(g, 70) ? R_ALIGNED : R_MASK));
    emit(g, A_ADD(R_ADDR, R_ADDR, R_DATA));
}

static void gen_memory(struct gen *g)
{
    gen_address(g);
    for (unsigned n = 1 + below(g, 3); n; n--) {
        uint32_t w = word_of(g, g->memory[below(g, g->memories)], true);

        if (w)
            emit(g, w);
    }
}

static void gen_lr_sc(struct gen *g)
{
    unsigned f3 = 2 + below(g, 2);

    if (g->portable) { /* an SC follows only an LR that did not trap */
        emit(g, A_AND(R_ADDR, free_reg(g), R_ALIGNED));
        emit(g, A_ADD(R_ADDR, R_ADDR, R_DATA));
        emit(g, A_ADDI(R_TEMP, 0, 0));
        emit(g, enc_r(2 << 2, 0, R_ADDR, f3, free_reg(g), 0x2f));
        emit(g, enc_b(8, 0, R_TEMP, F3_BNE));
        emit(g, enc_r(3 << 2, free_reg(g), R_ADDR, f3, free_reg(g), 0x2f));
        return;
    }
    gen_address(g);
    emit(g, enc_r(2 << 2, 0, R_ADDR, f3, free_reg(g), 0x2f));
    if (chance(g, 30))
        gen_plain(g);
    if (chance(g, 10))
        emit(g, A_SD(free_reg(g), R_ADDR, 0));
    emit(g, enc_r(3 << 2, free_reg(g), R_ADDR, f3, free_reg(g), 0x2f));
}

/* Constants that make edges likely. */
static void gen_constant(struct gen *g)
{
    static const uint64_t special[] = {0,
                                       1,
                                       ~UINT64_C(0),
                                       UINT64_C(1) << 63,
                                       ~(UINT64_C(1) << 63),
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       UINT64_C(0xffffffff80000000),
                                       UINT64_C(0x7ff0000000000000),
                                       UINT64_C(0x7ff8000000000000),
                                       UINT64_C(0xfff0000000000001),
                                       UINT64_C(0xffffffff7f800000),
                                       UINT64_C(0xffffffff7fc00000),
                                       UINT64_C(0xffffffffff800001),
                                       UINT64_C(0x3ff0000000000000),
                                       UINT64_C(0xffffffff3f800000),
                                       1,
                                       UINT64_C(0x000fffffffffffff),
                                       UINT64_C(0x43e0000000000000),
                                       UINT64_C(0xffffffff4f000000),
                                       UINT64_C(0xffffffffffff7c00),
                                       UINT64_C(0xffffffffffff3c00),
                                       UINT64_C(0x0010000000000000),
                                       UINT64_C(0xffffffff00800000)};
    unsigned rd = free_reg(g);

    li(g, rd, chance(g, 60) ? special[below(g, sizeof special / sizeof *special)] : rnd(g) >> below(g, 64));
    if (chance(g, 40))
        emit(g, enc_r(0x79, 0, rd, 0, below(g, 32), 0x53)); /* fmv.d.x */
}

static void gen_simple(struct gen *g)
{
    unsigned k = below(g, 100);

    if (k < 72)
        gen_plain(g);
    else if (k < 94)
        gen_memory(g);
    else
        gen_constant(g);
}

static void gen_branch(struct gen *g)
{
    uint32_t at = g->at, w = 0;
    unsigned f3 = below(g, 6);
    bool compressed = chance(g, 30);

    emit(g, compressed ? 1 : A_ADDI(0, 0, 0));
    for (unsigned n = 1 + below(g, 4); n; n--)
        gen_simple(g);
    w = g->at - at;
    if (compressed && w < 256)
        put16(g, at,
              (uint16_t)(0xc001u | (rnd(g) & 1) << 13 | (uint32_t)below(g, 8) << 7 | (w >> 8 & 1) << 12 |
                         (w >> 3 & 3) << 10 | (w >> 6 & 3) << 5 | (w >> 1 & 3) << 3 | (w >> 5 & 1) << 2));
    else if (!compressed)
        put32(g, at, enc_b((int32_t)w, below(g, 32), below(g, 32), f3 < 2 ? f3 : f3 + 2));
}

static void gen_loop(struct gen *g)
{
    uint32_t top;

    emit(g, A_ADDI(R_COUNT, 0, 2 + (int)below(g, 6)));
    top = g->at;
    for (unsigned n = 1 + below(g, 8); n; n--)
        gen_simple(g);
    emit(g, A_ADDI(R_COUNT, R_COUNT, -1));
    emit(g, enc_b((int32_t)(top - g->at), 0, R_COUNT, F3_BNE));
}

/* Call a function by jal, or by auipc and jalr. */
static void gen_call(struct gen *g)
{
    uint32_t to = g->function[below(g, g->functions)];
    int32_t off = (int32_t)(to - g->at);

    if (chance(g, 50)) {
        emit(g, enc_j(off, R_LINK));
    } else {
        emit(g, A_AUIPC(R_JUMP, (uint32_t)(off + 0x800) >> 12));
        emit(g, A_JALR(R_LINK, R_JUMP, (int32_t)((uint32_t)off << 20) >> 20));
    }
}

static void gen_jump_ahead(struct gen *g)
{
    uint32_t at = g->at;

    emit(g, A_ADDI(0, 0, 0));
    gen_simple(g);
    put32(g, at, enc_j((int32_t)(g->at - at), chance(g, 50) ? 0 : free_reg(g)));
}

/* An access or a jump outside of everything. */
static void gen_wild(struct gen *g)
{
    bool upper = chance(g, 30);
    uint32_t at = g->at;

    emit(g, A_AUIPC(R_BACK, 0));
    emit(g, A_ADDI(0, 0, 0));
    li(g, R_JUMP, (upper ? UINT64_C(0x7f00000000000000) : 0x18000000) + (rnd(g) & 0xfff));
    if (chance(g, 30))
        emit(g, A_JALR(chance(g, 50) ? R_LINK : 0, R_JUMP, 0));
    else if (chance(g, 50))
        emit(g, enc_i((int32_t)below(g, 2048), R_JUMP, below(g, 7), free_reg(g), 0x03));
    else
        emit(g, enc_s((int32_t)below(g, 2048), free_reg(g), R_JUMP, below(g, 4), 0x23));
    put32(g, at + 4, A_ADDI(R_BACK, R_BACK, (int32_t)(g->at - at)));
}

static void gen_csr(struct gen *g)
{
    static const uint16_t writable[] = {1, 2, 3, 1, 2, 3, 0x140, 0x143, 0x142, 0x105, 0x141};
    static const uint16_t readable[] = {0xc00, 0xc01, 0xc02, 0xc02, 0x100, 0x180, 0x104,
                                        0x144, 0x300, 0xf14, 0xb02, 0x7b0, 0x5c0};
    static const uint16_t timeless[] = {0x180, 0x104, 0x144, 0xf14, 0x7b0, 0x5c0, 0x306, 0x304};

    if (chance(g, 65))
        emit(g, enc_i(writable[below(g, sizeof writable / 2 - g->portable)], below(g, 32),
                      1 + below(g, 3) + 4 * below(g, 2), free_reg(g), 0x73));
    else if (g->portable)
        emit(g, A_CSRRS(free_reg(g), timeless[below(g, sizeof timeless / 2)], 0));
    else
        emit(g, A_CSRRS(free_reg(g), readable[below(g, sizeof readable / 2)], 0));
}

/* SUM, MXR, FS: in S-mode they change what follows. */
static void gen_status(struct gen *g)
{
    static const uint32_t bits[] = {1u << 18, 1u << 19, 3u << 13, 1u << 14, 1u << 13};

    unsigned rd = g->portable ? 0 : free_reg(g); /* how soon FS becomes dirty is left open */

    li(g, R_TEMP, bits[below(g, g->portable ? 3 : 5)]);
    emit(g, chance(g, 60) ? A_CSRRS(rd, 0x100, R_TEMP) : A_CSRRC(rd, 0x100, R_TEMP));
}

static void gen_trap(struct gen *g)
{
    switch (below(g, 4)) {
    case 0: emit(g, A_ECALL); break;
    case 1: emit(g, A_EBREAK); break;
    case 2: emit(g, 0x9002); break;                                            /* c.ebreak */
    default: emit(g, chance(g, 50) ? 0 : (uint32_t)rnd(g) << 7 | 0x5b); break; /* illegal; custom-2 */
    }
}

static void gen_fence(struct gen *g)
{
    if (chance(g, 30))
        emit(g, A_FENCE_I);
    else if (chance(g, 50))
        emit(g, A_FENCE);
    else
        emit(g, A_SFENCE(chance(g, 50) ? R_ADDR : 0, chance(g, 50) ? free_reg(g) : 0));
}

/* Exchange the page table entries of two data pages, then fence: by address, by ASID or all. */
static void gen_remap(struct gen *g)
{
    int32_t a = 8 * (int32_t)below(g, DATA_PAGES), b = 8 * (int32_t)below(g, DATA_PAGES);

    if (g->priv != 1 || !g->paged)
        return;
    emit(g, A_LD(R_TEMP, R_PTE, a));
    emit(g, A_LD(R_JUMP, R_PTE, b));
    emit(g, A_SD(R_JUMP, R_PTE, a));
    emit(g, A_SD(R_TEMP, R_PTE, b));
    if (chance(g, 50)) {
        emit(g, A_SFENCE(0, chance(g, 50) ? R_COUNT : 0)); /* R_COUNT: some ASID, then all */
        emit(g, A_SFENCE(0, 0));
    } else {
        li(g, R_TEMP, g->base + O_DATA + (uint64_t)a / 8 * PAGE_SIZE);
        emit(g, A_SFENCE(R_TEMP, 0));
        li(g, R_TEMP, g->base + O_DATA + (uint64_t)b / 8 * PAGE_SIZE);
        emit(g, A_SFENCE(R_TEMP, 0));
    }
}

static void gen_switch(struct gen *g)
{
    if (g->priv == 1 && g->paged)
        emit(g, A_CSRRW(0, 0x180, chance(g, 50) ? R_SATP1 : R_SATP2));
}

/* The alias in which code and page tables are written: a superpage, or RAM itself. */
static gva alias_of(const struct gen *g, uint32_t off) { return g->paged ? g->base + 0x200000 + off : GEN_RAM + off; }

/* An instruction that alternates between two, with fence.i before it runs. */
static void gen_self_modify(struct gen *g)
{
    uint32_t w0 = 0, w1 = 0, slot;

    while (insn_length((uint16_t)w0) != 4)
        w0 = plain_word(g);
    while (insn_length((uint16_t)w1) != 4)
        w1 = plain_word(g);
    slot = g->at;
    if (slot % PAGE_SIZE <=
        PAGE_SIZE - 4) { /* one that does not straddle; it also runs from above, unfenced code in between */
        emit(g, w0);
    } else {
        gen_plain(g);
        return;
    }
    li(g, R_TEMP, alias_of(g, code_offset(g, slot)));
    emit(g, A_LW(R_JUMP, R_TEMP, 0));
    li(g, R_COUNT, (uint64_t)(int64_t)(int32_t)(w0 ^ w1));
    emit(g, A_XOR(R_JUMP, R_JUMP, R_COUNT));
    emit(g, A_SW(R_JUMP, R_TEMP, 0));
    emit(g, A_FENCE_I);
}

static void gen_item(struct gen *g)
{
    static const struct {
        unsigned weight;
        void (*fn)(struct gen *);
    } kinds[] = {
        {560, gen_plain}, {170, gen_memory}, {60, gen_constant},   {60, gen_branch},
        {20, gen_loop},   {30, gen_call},    {20, gen_jump_ahead}, {20, gen_lr_sc},
        {8, gen_wild},    {20, gen_csr},     {4, gen_status},      {5, gen_trap},
        {5, gen_fence},   {5, gen_remap},    {5, gen_switch},      {8, gen_self_modify},
    };
    unsigned k = below(g, 1000);

    for (unsigned n = 0; n < sizeof kinds / sizeof *kinds; n++) {
        if (k < kinds[n].weight) {
            kinds[n].fn(g);
            return;
        }
        k -= kinds[n].weight;
    }
}

/* --- the machine around it --- */

static void gen_functions(struct gen *g)
{
    uint32_t over = g->at;

    emit(g, A_ADDI(0, 0, 0));
    for (g->functions = 0; g->functions < 4; g->functions++) {
        g->function[g->functions] = g->at;
        for (unsigned n = below(g, 6); n; n--)
            gen_simple(g);
        emit(g, chance(g, 50) ? A_JALR(0, R_LINK, 0) : 0x8082); /* ret */
    }
    put32(g, over, enc_j((int32_t)(g->at - over), 0));
}

/* Fold register n (integer, or FP moved to R_JUMP) into the hash. */
static void gen_hash_in(struct gen *g, unsigned rs)
{
    emit(g, A_XOR(R_HASH, R_HASH, rs));
    emit(g, A_RORI(R_HASH, R_HASH, 11));
}

static void gen_hashes(struct gen *g)
{
    uint32_t over = g->at;

    emit(g, A_ADDI(0, 0, 0));
    g->hash_x = g->at;
    for (unsigned r = 1; r < 32; r++)
        if (!(reserved >> r & 1))
            gen_hash_in(g, r);
    emit(g, A_JALR(0, R_LINK, 0));
    g->hash_f = g->at;
    for (unsigned f = 0; f < 32; f++) {
        emit(g, enc_r(0x71, 0, f, 0, R_JUMP, 0x53)); /* fmv.x.d */
        gen_hash_in(g, R_JUMP);
    }
    emit(g, A_CSRRS(R_JUMP, 3, 0));
    gen_hash_in(g, R_JUMP);
    emit(g, A_JALR(0, R_LINK, 0));
    put32(g, over, enc_j((int32_t)(g->at - over), 0));
}

/* Without it a wrong value is often overwritten before the program ends. */
static void gen_checkpoint(struct gen *g, unsigned item)
{
    if (item % 16 == 0)
        emit(g, enc_j((int32_t)(g->hash_x - g->at), R_LINK));
    if (item % 64 == 0)
        emit(g, enc_j((int32_t)(g->hash_f - g->at), R_LINK));
}

static void gen_body(struct gen *g, const struct gen_options *o)
{
    uint32_t top;

    gen_functions(g);
    gen_hashes(g);
    top = g->at;
    for (unsigned n = 0; n < o->items && g->at < (CODE_PAGES - 1) * PAGE_SIZE; n++) {
        gen_checkpoint(g, n);
        gen_item(g);
    }
    emit(g, A_ADDI(R_OUTER, R_OUTER, -1));
    emit(g, enc_b(8, 0, R_OUTER, F3_BEQ));
    emit(g, enc_j((int32_t)(top - g->at), 0));
    if (g->portable) {
        emit(g, A_ADDI(R_FINISH, 0, 0));
        emit(g, A_ECALL);
    }
    emit(g, A_SW(0, R_FINISH, 0));
    emit(g, enc_j(0, 0));
}

/* A legal envcfg: CBIE is not 2. */
static uint64_t envcfg(struct gen *g)
{
    uint64_t v = rnd(g) & 0xf0;

    return (v & 0x30) == 0x20 ? v | 0x30 : v;
}

struct stub {
    struct gen *g;
    uint32_t at;
};

static void stub_emit(struct stub *s, uint32_t w)
{
    st32(s->g->image + s->at, w);
    s->at += 4;
}

/* M-mode: set CSRs and registers from the table in the save page, and go. */
static void gen_stub(struct gen *g, const uint64_t x[32], uint64_t entry)
{
    uint64_t mstatus =
        (uint64_t)g->priv << 11 | (chance(g, 90) ? 3u << 13 : 0) | (rnd(g) & 1) << 18 | (rnd(g) & 1) << 19;
    const struct {
        unsigned csr;
        uint64_t value;
    } csrs[] = {
        {0x305, g->portable ? GEN_TRAP_ENTRY : GEN_RAM + O_HANDLER}, /* mtvec */
        {0x302, 0},                                                  /* medeleg */
        {0x304, 0},                                                  /* mie */
        {0x3b0, ~UINT64_C(0) >> 10},                                 /* pmpaddr0: all */
        {0x3a0, 0x1f},                                               /* pmpcfg0: NAPOT, RWX */
        {0x306, chance(g, 70) ? 7 : 0},                              /* mcounteren */
        {0x106, chance(g, 70) ? 7 : 0},                              /* scounteren */
        {0x30a, (rnd(g) & 1) << 61 | envcfg(g)},                     /* menvcfg: ADUE, cache blocks */
        {0x10a, envcfg(g)},                                          /* senvcfg */
        {0x180, x[R_SATP1]},                                         /* satp */
        {0x003, rnd(g) & 0xff},                                      /* fcsr */
        {0x300, mstatus},
        {0x341, entry}, /* mepc */
    };
    struct stub s = {g, 0};
    uint32_t slot = SAVE_TABLE;

    stub_emit(&s, A_AUIPC(31, 1));
    stub_emit(&s, A_LUI(30, 6)); /* FS dirty, for the loads below */
    stub_emit(&s, A_CSRRW(0, 0x300, 30));
    for (unsigned n = 0; n < 32; n++)
        stub_emit(&s, A_FLD(n, 31, SAVE_FP + 8 * (int)n));
    for (unsigned n = 0; n < sizeof csrs / sizeof *csrs; n++, slot += 8) {
        put64(g, O_SAVE + slot, csrs[n].value);
        stub_emit(&s, A_LD(30, 31, (int)slot));
        stub_emit(&s, A_CSRRW(0, csrs[n].csr, 30));
    }
    stub_emit(&s, A_CSRRW(0, 0x340, 31)); /* mscratch: the save page */
    for (unsigned n = 1; n < 32; n++, slot += 8) {
        put64(g, O_SAVE + slot, x[n]);
        if (n != 31)
            stub_emit(&s, A_LD(n, 31, (int)slot));
    }
    stub_emit(&s, A_LD(31, 31, (int)slot - 8));
    stub_emit(&s, A_MRET);
}

/* Hash cause, value, pc and status; skip the instruction, or go to R_BACK when it could not be fetched. */
static void gen_handler(struct gen *g)
{
    const uint32_t code[] = {
        A_CSRRW(31, 0x340, 31),
        A_SD(30, 31, 0),
        A_SD(29, 31, 8),
        A_SD(28, 31, 16),
        A_SD(27, 31, 24),
        A_SD(26, 31, 40),
        A_CSRRS(30, 0x342, 0),
        A_CSRRS(29, 0x343, 0),
        A_CSRRS(28, 0x341, 0),
        A_LD(27, 31, SAVE_HASH),
        A_XOR(27, 27, 30),
        A_SLLI(26, 27, 7),
        A_ADD(27, 27, 26),
        A_XOR(27, 27, 29),
        A_SLLI(26, 27, 11),
        A_ADD(27, 27, 26),
        A_XOR(27, 27, 28),
        A_SLLI(26, 27, 13),
        A_ADD(27, 27, 26),
        A_CSRRS(29, 0x300, 0),
        A_XOR(27, 27, 29),
        A_SLLI(26, 27, 5),
        A_ADD(27, 27, 26),
        A_SD(27, 31, SAVE_HASH),
        A_LD(27, 31, SAVE_TRAPS),
        A_ADDI(27, 27, 1),
        A_SD(27, 31, SAVE_TRAPS),
        A_ADDI(29, 0, 12),
        enc_b(4 * 13, 29, 30, F3_BEQ), /* [28] to [41] */
        A_ADDI(29, 0, 2),
        enc_b(4 * 11, 29, 30, F3_BLTU), /* [30] to [41] */
        A_LUI(29, 0xa0),
        A_CSRRS(0, 0x300, 29),
        A_LHU(26, 28, 0),
        A_CSRRC(0, 0x300, 29), /* MPRV, MXR */
        A_ANDI(26, 26, 3),
        A_ADDI(26, 26, -3),
        A_ADDI(28, 28, 4),
        enc_b(8, 0, 26, F3_BEQ),
        A_ADDI(28, 28, -2),
        enc_j(8, 0),           /* [40] to [42] */
        A_ADDI(28, R_BACK, 0), /* [41] */
        A_CSRRW(0, 0x341, 28),
        A_LD(26, 31, 40),
        A_LD(27, 31, 24),
        A_LD(28, 31, 16),
        A_LD(29, 31, 8),
        A_LD(30, 31, 0),
        A_CSRRW(31, 0x340, 31),
        A_MRET,
    };

    memcpy(g->image + O_HANDLER, code, sizeof code);
}

static void shuffle(struct gen *g, uint8_t *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        a[i] = (uint8_t)i;
    for (unsigned i = n; i > 1; i--) {
        unsigned j = below(g, i);
        uint8_t t = a[i - 1];

        a[i - 1] = a[j];
        a[j] = t;
    }
}

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128 };

static uint64_t pte(uint64_t pa, uint64_t bits) { return pa >> 12 << 10 | bits; }

/* One address space: root, middle and two leaf tables at table; data pages in an order of their own. */
static void gen_space(struct gen *g, uint32_t table)
{
    uint32_t mid = table + 0x1000, leaf = table + 0x2000;
    uint64_t user = g->priv == 0 ? PTE_U : 0;
    uint8_t order[DATA_PAGES];

    put64(g, table + 8 * (uint32_t)(g->base >> 30 & 511), pte(GEN_RAM + mid, PTE_V));
    put64(g, mid, pte(GEN_RAM + leaf, PTE_V));
    put64(g, mid + 8, pte(GEN_RAM, PTE_V | PTE_R | PTE_W | PTE_A | PTE_D | user)); /* the alias */
    put64(g, leaf + 8 * 0x1ff, pte(GEN_FINISHER, PTE_V | PTE_R | PTE_W | PTE_A | PTE_D | user));
    for (uint32_t n = 0; n < CODE_PAGES; n++)
        put64(g, leaf + 8 * (O_CODE / PAGE_SIZE + n),
              pte(GEN_RAM + O_CODE + (uint64_t)g->code_page[n] * PAGE_SIZE,
                  PTE_V | PTE_X | PTE_A | user | (chance(g, 70) ? PTE_R : 0u) | PTE_G));
    shuffle(g, order, DATA_PAGES);
    for (uint32_t n = 0; n < DATA_PAGES; n++) {
        uint64_t bits = PTE_V | PTE_R | PTE_W | PTE_A | PTE_D | user;

        if (chance(g, 20)) {
            static const uint8_t flip[] = {PTE_V, PTE_W, PTE_D, PTE_A, PTE_U, PTE_R | PTE_W | PTE_X, PTE_R, PTE_G};

            bits ^= flip[below(g, sizeof flip)];
        }
        put64(g, leaf + 8 * (O_DATA / PAGE_SIZE + n), pte(GEN_RAM + O_DATA + order[n] * (uint64_t)PAGE_SIZE, bits));
    }
}

static void choose(struct gen *g, uint64_t seed)
{
    static const uint8_t privs[] = {3, 1, 1, 1, 0, 0};
    static const gva bases[] = {UINT64_C(0x40000000), UINT64_C(0xffffffc000000000), UINT64_C(0x3fc0000000)};

    g->rng = seed * UINT64_C(0xd1342543de82ef95) + 1;
    g->priv = privs[below(g, 6)];
    g->paged = g->priv != 3 && chance(g, 75);
    g->base = g->paged ? bases[below(g, 3)] : GEN_RAM;
}

void gen_describe(uint64_t seed, char *buf, size_t size)
{
    struct gen g = {0};

    choose(&g, seed);
    snprintf(buf, size, "%c-mode, %s, window at 0x%llx", "US?M"[g.priv], g.paged ? "Sv39" : "bare",
             (unsigned long long)g.base);
}

static void fill_data(struct gen *g)
{
    for (uint32_t off = O_DATA; off < O_DATA + DATA_PAGES * PAGE_SIZE; off += 8)
        put64(g, off, rnd(g) >> below(g, 3) * 16);
    for (uint32_t n = 0; n < 32; n++) {
        uint64_t v = rnd(g);

        if (chance(g, 50))
            v = UINT64_C(0xffffffff) << 32 | (v & 0x80ffffff) | (100u + below(g, 60)) << 23;
        else if (chance(g, 60))
            v = (v & UINT64_C(0x800fffffffffffff)) | (uint64_t)(1000 + below(g, 50)) << 52;
        put64(g, O_SAVE + SAVE_FP + 8 * n, v);
    }
}

void gen_program(const struct isa_config *cfg, uint64_t seed, const struct gen_options *o, uint8_t *image)
{
    struct gen *g = calloc(1, sizeof *g);
    uint64_t x[32];

    if (!g)
        abort();
    memset(image, 0, GEN_IMAGE_SIZE);
    g->cfg = cfg;
    g->portable = o->portable;
    g->image = image;
    choose(g, seed);
    collect_rows(g);
    for (unsigned n = 0; n < CODE_PAGES; n++)
        g->code_page[n] = (uint8_t)n;
    if (g->paged)
        shuffle(g, g->code_page, CODE_PAGES);
    for (unsigned n = 0; n < 32; n++)
        x[n] = rnd(g) >> below(g, 64);
    x[R_LINK] = x[R_BACK] = 0;
    x[R_DATA] = g->base + O_DATA;
    x[R_SP] = x[R_DATA] + DATA_PAGES * PAGE_SIZE / 2;
    x[R_ADDR] = x[R_DATA];
    x[R_MASK] = DATA_PAGES * PAGE_SIZE - 1;
    x[R_ALIGNED] = x[R_MASK] & ~UINT64_C(7);
    x[R_OUTER] = o->iterations;
    x[R_FINISH] = g->paged ? g->base + 0x1ff000 : GEN_FINISHER;
    x[R_SATP1] = g->paged ? UINT64_C(8) << 60 | UINT64_C(1) << 44 | (GEN_RAM + O_TABLES) >> 12 : 0;
    x[R_SATP2] = g->paged ? UINT64_C(8) << 60 | UINT64_C(2) << 44 | (GEN_RAM + O_TABLES + 0x4000) >> 12 : 0;
    x[R_PTE] = alias_of(g, O_TABLES + 0x2000 + 8 * (O_DATA / PAGE_SIZE));
    fill_data(g);
    if (g->paged) {
        gen_space(g, O_TABLES);
        gen_space(g, O_TABLES + 0x4000);
    }
    gen_body(g, o);
    gen_handler(g);
    gen_stub(g, x, code_va(g, 0));
    free(g);
}
