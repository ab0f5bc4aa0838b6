/* The decoder against binutils' disassembler: legality and name of every halfword and of words from every corner. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/insn.h"
#include "tests/insn/refdis.h"
#include "tests/unit/check.h"

static struct isa_config config(const char *spec)
{
    struct isa_config c;
    struct err e;

    if (!isa_config_parse(&c, spec, &e))
        fail_msg("%s", e.msg);
    return c;
}

static void report(const struct refdis_result *r)
{
    for (size_t i = 0; i < r->different && i < ARRAY_LEN(r->first); i++)
        print_message("# %s\n", r->first[i]);
    print_message("# %zu words, %zu legal, %zu differences explained\n", r->words, r->legal, r->explained);
    CHECK_EQ(r->different, 0);
}

static void every_halfword_is_classified_as_binutils_does(void **state)
{
    struct isa_config c = config("max");
    struct refdis_result r = {0};
    uint32_t *w = calloc(1 << 16, sizeof *w);
    size_t n = 0;

    (void)state;
    for (uint32_t v = 0; v < 1 << 16; v++)
        if ((v & 3) != 3)
            w[n++] = v;
    CHECK_EQ(n, 49152);
    CHECK(refdis_compare(&c, w, n, 2, &r));
    report(&r);
    free(w);
    isa_config_fini(&c);
}

static uint32_t random32(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*s >> 32);
}

enum { MAX_WORDS = 2600000 };

static void put(uint32_t *w, size_t *n, uint32_t word)
{
    if ((word & 3) == 3 && (word & 0x1f) != 0x1f && *n < MAX_WORDS) /* 0x1f: longer than 32 bits */
        w[(*n)++] = word;
}

/* Every major opcode, funct3, bits 31..20, with other fields zero and random. */
static void put_all_functions(uint32_t *w, size_t *n, uint64_t *seed)
{
    for (uint32_t op = 0; op < 31; op++) {
        for (uint32_t f = 0; f < 1 << 15; f++) {
            uint32_t word = 3 | op << 2 | (f & 7) << 12 | f >> 3 << 20;

            put(w, n, word | (random32(seed) & 0xf8f80));
            if (op == 3 || op == 11 || op == 28 || f % 16 == 0) /* MISC-MEM, AMO, SYSTEM */
                put(w, n, word);
        }
    }
}

/* Words around each row: operands random, and then one bit of the encoding wrong. */
static void put_near_rows(uint32_t *w, size_t *n, uint64_t *seed)
{
    for (unsigned r = 1; r < INSN_COUNT; r++) {
        uint32_t mask = 0, match = 0;

        for (const char *s = insn_rows[r].bits; *s; s++) {
            if (*s == ' ')
                continue;
            mask = mask << 1 | (*s != '.');
            match = match << 1 | (*s == '1');
        }
        for (unsigned k = 0; k < 512; k++) {
            uint32_t word = match | (random32(seed) & ~mask);

            put(w, n, word);
            put(w, n, word ^ (1u << (k & 31)));
        }
    }
}

static void words_are_classified_as_binutils_does(void **state)
{
    struct isa_config c = config("max");
    struct refdis_result r = {0};
    uint32_t *w = calloc(MAX_WORDS, sizeof *w);
    uint64_t seed = 1;
    size_t n = 0;

    (void)state;
    put_all_functions(w, &n, &seed);
    put_near_rows(w, &n, &seed);
    CHECK(refdis_compare(&c, w, n, 4, &r));
    report(&r);
    free(w);
    isa_config_fini(&c);
}

/* The two halves of the table's promise: overlapping rows are refused, and a declared special case is matched first. */
static bool build(const struct insn_row *rows, unsigned n, const struct insn_row *crows, unsigned nc, struct err *e)
{
    struct isa_config c = config("max");
    struct insn_index *x = insn_index_new(&c, rows, n, crows, nc, e);

    insn_index_free(x);
    isa_config_fini(&c);
    return x;
}

static void overlapping_rows_are_refused(void **state)
{
    static const struct insn_row clash[] = {
        {.name = "first", .bits = "0000000 ..... ..... 000 ..... 0110011", .op = INSN_add},
        {.name = "second", .bits = "....... 00001 ..... 000 ..... 0110011", .op = INSN_sub},
    };
    static const struct insn_row partial[] = {
        /* marked, but neither contains the other */
        {.name = "first", .bits = "0000000 ..... ..... 000 ..... 0110011", .op = INSN_add, .flags = INSN_SUBSET},
        {.name = "second", .bits = "....... 00001 ..... 000 ..... 0110011", .op = INSN_sub, .flags = INSN_SUBSET},
    };
    static const struct insn_row special[] = {
        {.name = "whole", .bits = "0000000 ..... ..... 000 ..... 0110011", .op = INSN_add},
        {.name = "part", .bits = "0000000 00001 ..... 000 ..... 0110011", .op = INSN_sub, .flags = INSN_SUBSET},
    };
    static const struct insn_row cclash[] = {
        {.name = "c1", .bits = "000 0 ..... ..... 01", .op = INSN_addi},
        {.name = "c2", .bits = "000 . ..... 11111 01", .op = INSN_addi},
    };
    static const struct insn_row narrow[] = {{.name = "narrow", .bits = "000 0110011", .op = INSN_add}};
    struct err e;

    (void)state;
    CHECK(!build(clash, 2, NULL, 0, &e));
    CHECK_STR(e.msg, "instructions first and second share encodings");
    CHECK(!build(partial, 2, NULL, 0, &e));
    CHECK(build(special, 2, NULL, 0, &e));
    CHECK(!build(special, 0, cclash, 2, &e));
    CHECK_STR(e.msg, "instructions c1 and c2 share encodings");
    CHECK(!build(narrow, 1, NULL, 0, &e));
}

static unsigned decode(const struct isa_config *c, uint32_t word)
{
    struct insn i;

    insn_decode(c, word, &i);
    return i.op;
}

/* Without its extension an encoding is illegal, or what it was before the extension. Words from the assembler. */
static void encodings_go_with_their_extensions(void **state)
{
    static const struct {
        const char *cpu;
        uint32_t word;
        unsigned op;
    } rows[] = {
        {"rv64", 0x20c5a533, INSN_sh1add},
        {"rv64,zba=off", 0x20c5a533, INSN_illegal},
        {"rv64", 0x080545bb, INSN_zext_h},
        {"rv64,zbb=off", 0x080545bb, INSN_packw},
        {"rv64,zbb=off,zbkb=off", 0x080545bb, INSN_illegal},
        {"rv64,zbb=off", 0x40c5f533, INSN_andn}, /* Zbkb has it, too */
        {"rv64", 0x0100000f, INSN_pause},
        {"rv64,zihintpause=off", 0x0100000f, INSN_fence},
        {"rv64", 0x00200033, INSN_ntl_p1},
        {"rv64,zihintntl=off", 0x00200033, INSN_add},
        {"rv64", 0x00006013, INSN_prefetch_i},
        {"rv64,zicbop=off", 0x00006013, INSN_ori},
        {"rv64,c=off", 0x8082, INSN_illegal},
        {"rv64,d=off", 0x2108, INSN_illegal}, /* c.fld */
        {"rv64", 0x9d61, INSN_andi},          /* c.zext.b */
        {"rv64,zcb=off", 0x9d61, INSN_illegal},
        {"rv64,zbb=off", 0x9d65, INSN_illegal}, /* c.sext.b needs Zbb as well */
        {"rv64,m=off", 0x02c58533, INSN_illegal},
        {"rv64,m=off,zmmul=on", 0x02c58533, INSN_mul},
        {"rva22s64", 0x0ec5d533, INSN_illegal}, /* czero.eqz */
        {"rva23s64", 0x0ec5d533, INSN_czero_eqz},
        {"rva23s64", 0x28c5b52f, INSN_illegal}, /* amocas.d is not in the profile */
        {"rv64", 0x28c5b52f, INSN_amocas_d},
        {"rv64", 0x28c5c52f, INSN_amocas_q},
        {"rv64", 0x28c5c5af, INSN_illegal}, /* odd rd */
        {"rv64", 0x28d5c52f, INSN_illegal}, /* odd rs2 */
    };

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        struct isa_config c = config(rows[k].cpu);

        if (decode(&c, rows[k].word) != rows[k].op)
            fail_msg("%s: %08x is %s", rows[k].cpu, rows[k].word, insn_rows[decode(&c, rows[k].word)].name);
        isa_config_fini(&c);
    }
}

static void operands_are_as_the_assembler_put_them(void **state)
{
    static const struct {
        uint32_t word;
        const char *text;
    } rows[] = {
        /* from riscv64-linux-gnu-as; text from riscv64-linux-gnu-objdump -M no-aliases at pc 0x1000 */
        {0x800005b7, "lui     a1,0x80000"},
        {0xfffff597, "auipc   a1,0xfffff"},
        {0x800ff0ef, "jal     ra,0x0"},
        {0xfe0518e3, "bne     a0,zero,0xff0"},
        {0x80055583, "lhu     a1,-2048(a0)"},
        {0x7eb53fa3, "sd      a1,2047(a0)"},
        {0x43f55593, "srai    a1,a0,0x3f"},
        {0x41f5559b, "sraiw   a1,a0,0x1f"},
        {0x06c5a52f, "amoadd.w.aqrl a0,a2,(a1)"},
        {0x1405b52f, "lr.d.aq a0,(a1)"},
        {0x02c5f543, "fmadd.d fa0,fa1,fa2,ft0"},
        {0x00c58553, "fadd.s  fa0,fa1,fa2,rne"},
        {0x0330000f, "fence   rw,rw"},
        {0x7139, "c.addi16sp sp,-64"},
        {0x1800, "c.addi4spn s0,sp,48"},
        {0x5d7d, "c.li    s10,-1"},
        {0x7d7d, "c.lui   s10,0xfffff"},
        {0x557c, "c.lw    a5,108(a0)"},
        {0xfd7c, "c.sd    a5,248(a0)"},
        {0x50fe, "c.lwsp  ra,252(sp)"},
        {0xfffe, "c.sdsp  t6,504(sp)"},
        {0xb001, "c.j     0x800"},
        {0xd101, "c.beqz  a0,0xf00"},
        {0x95fd, "c.srai  a1,0x3f"},
    };
    struct isa_config c = config("rv64");
    char text[80];

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        insn_disasm(&c, 0x1000, rows[k].word, text, sizeof text);
        CHECK_STR(text, rows[k].text);
    }
    isa_config_fini(&c);
}

/* Formats of 48 bits and more (unprivileged specification, "Expanded Instruction-Length Encoding") do not exist. */
static void longer_formats_are_illegal(void **state)
{
    struct isa_config c = config("max");
    struct insn i;

    (void)state;
    for (uint32_t k = 0; k < 1 << 12; k++) {
        insn_decode(&c, k << 20 | k << 7 | 0x1f, &i);
        CHECK_EQ(i.op, INSN_illegal);
        insn_decode(&c, k << 20 | k << 7 | 0x3f, &i);
        CHECK_EQ(i.op, INSN_illegal);
    }
    isa_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_halfword_is_classified_as_binutils_does),
        cmocka_unit_test(words_are_classified_as_binutils_does),
        cmocka_unit_test(overlapping_rows_are_refused),
        cmocka_unit_test(encodings_go_with_their_extensions),
        cmocka_unit_test(operands_are_as_the_assembler_put_them),
        cmocka_unit_test(longer_formats_are_illegal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
