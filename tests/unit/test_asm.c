/* The x86-64 encoder against Capstone: every register in every place, every shape of memory operand, immediates at their limits. */
#include <capstone/capstone.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"
#include "translator/host_x86_64/asm.h"

static csh cs;
static uint8_t code[256];
static struct asm_buf a;

static const char *const r64[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                  "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const r32[] = {"eax", "ecx", "edx",  "ebx",  "esp",  "ebp",  "esi",  "edi",
                                  "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"};
static const char *const r16[] = {"ax",  "cx",  "dx",   "bx",   "sp",   "bp",   "si",   "di",
                                  "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"};
static const char *const r8[] = {"al",  "cl",  "dl",   "bl",   "spl",  "bpl",  "sil",  "dil",
                                 "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"};

static void begin(void) { a = (struct asm_buf){.p = code, .end = code + sizeof code}; }

/* One instruction was written and Capstone reads it as `text`, all of it. */
static void reads(const char *text)
{
    cs_insn *insn;
    size_t n = cs_disasm(cs, code, (size_t)(a.p - code), 0x1000, 0, &insn);
    char got[256] = "";

    if (n)
        snprintf(got, sizeof got, "%s%s%s", insn[0].mnemonic, *insn[0].op_str ? " " : "", insn[0].op_str);
    if (n != 1 || insn[0].size != a.p - code || strcmp(got, text))
        fail_msg("encoded %zu instructions, '%s', expected '%s'", n, got, text);
    cs_free(insn, n);
    begin();
}

__attribute__((format(printf, 1, 2))) static void reads_as(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    reads(text);
}

static void registers_in_every_place(void **state)
{
    static const char *const alu[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};

    (void)state;
    for (unsigned d = 0; d < 16; d++)
        for (unsigned s = 0; s < 16; s++) {
            for (unsigned op = 0; op < 8; op++) {
                asm_alu(&a, OP_W, op, d, rm_reg(s));
                reads_as("%s %s, %s", alu[op], r64[d], r64[s]);
                asm_alu(&a, 0, op, d, rm_reg(s));
                reads_as("%s %s, %s", alu[op], r32[d], r32[s]);
            }
            asm_mov(&a, d, s);
            reads_as("mov %s, %s", r64[d], r64[s]);
            asm_rr(&a, X_MOVSXD, d, s);
            reads_as("movsxd %s, %s", r64[d], r32[s]);
            asm_rr(&a, X_MOVZX8, d, s);
            reads_as("movzx %s, %s", r32[d], r8[s]);
            asm_rr(&a, X_MOVSX8, d, s);
            reads_as("movsx %s, %s", r64[d], r8[s]);
            asm_rr(&a, X_MOVZX16, d, s);
            reads_as("movzx %s, %s", r32[d], r16[s]);
            asm_rr(&a, X_MOVSX16, d, s);
            reads_as("movsx %s, %s", r64[d], r16[s]);
            asm_rr(&a, X_IMUL | OP_W, d, s);
            reads_as("imul %s, %s", r64[d], r64[s]);
            asm_rr(&a, (X_CMOV + CC_L) | OP_W, d, s);
            reads_as("cmovl %s, %s", r64[d], r64[s]);
            asm_rr(&a, X_LZCNT | OP_W, d, s);
            reads_as("lzcnt %s, %s", r64[d], r64[s]);
            asm_rr(&a, X_TZCNT, d, s);
            reads_as("tzcnt %s, %s", r32[d], r32[s]);
            asm_rr(&a, X_POPCNT | OP_W, d, s);
            reads_as("popcnt %s, %s", r64[d], r64[s]);
        }
}

static void single_register_forms(void **state)
{
    (void)state;
    for (unsigned r = 0; r < 16; r++) {
        asm_f7(&a, OP_W, F7_NEG, rm_reg(r));
        reads_as("neg %s", r64[r]);
        asm_f7(&a, 0, F7_IDIV, rm_reg(r));
        reads_as("idiv %s", r32[r]);
        asm_f7(&a, OP_W, F7_MUL, rm_reg(r));
        reads_as("mul %s", r64[r]);
        asm_op(&a, X_SETCC + CC_B, 0, rm_reg(r));
        reads_as("setb %s", r8[r]);
        asm_shift_imm(&a, OP_W, SH_SAR, r, 63);
        reads_as("sar %s, 0x3f", r64[r]);
        asm_shift_cl(&a, 0, SH_ROL, r);
        reads_as("rol %s, cl", r32[r]);
        asm_push(&a, r);
        reads_as("push %s", r64[r]);
        asm_pop(&a, r);
        reads_as("pop %s", r64[r]);
        asm_bswap(&a, OP_W, r);
        reads_as("bswap %s", r64[r]);
    }
}

static void aes_and_carryless_products(void **state)
{
    static const struct {
        unsigned op;
        const char *name;
    } aes[] = {{X_AESENC, "aesenc"},
               {X_AESENCLAST, "aesenclast"},
               {X_AESDEC, "aesdec"},
               {X_AESDECLAST, "aesdeclast"},
               {X_AESIMC, "aesimc"}};

    (void)state;
    for (unsigned d = 0; d < 16; d++)
        for (unsigned s = 0; s < 16; s++) {
            for (unsigned k = 0; k < ARRAY_LEN(aes); k++) {
                asm_rr(&a, aes[k].op, d, s);
                reads_as("%s xmm%u, xmm%u", aes[k].name, d, s);
            }
            asm_op_tail(&a, X_PCLMULQDQ, d, rm_reg(s), 1);
            asm_8(&a, 0);
            reads_as("pclmulqdq xmm%u, xmm%u, 0", d, s);
            asm_op_tail(&a, X_PINSRQ, d, rm_reg(s), 1);
            asm_8(&a, 1);
            reads_as("pinsrq xmm%u, %s, 1", d, r64[s]);
            asm_op_tail(&a, X_PEXTRQ, d, rm_reg(s), 1);
            asm_8(&a, 1);
            reads_as("pextrq %s, xmm%u, 1", r64[s], d);
            asm_op_tail(&a, X_BT_IMM | OP_W, 4, rm_reg(s), 1);
            asm_8(&a, 63);
            reads_as("bt %s, 0x3f", r64[s]);
        }
}

static void vex_forms(void **state)
{
    (void)state;
    for (unsigned d = 0; d < 16; d++)
        for (unsigned s = 0; s < 16; s++) {
            unsigned t = (d * 7 + s * 3) & 15;

            asm_vex(&a, V_SHLX | OP_W, d, t, rm_reg(s));
            reads_as("shlx %s, %s, %s", r64[d], r64[s], r64[t]);
            asm_vex(&a, V_SARX, d, t, rm_reg(s));
            reads_as("sarx %s, %s, %s", r32[d], r32[s], r32[t]);
            asm_vex(&a, V_SHRX | OP_W, d, t, rm_reg(s));
            reads_as("shrx %s, %s, %s", r64[d], r64[s], r64[t]);
            asm_vex(&a, V_ANDN | OP_W, d, t, rm_reg(s));
            reads_as("andn %s, %s, %s", r64[d], r64[t], r64[s]);
            asm_vex_tail(&a, V_RORX | OP_W, d, 0, rm_reg(s), 1);
            asm_8(&a, 17);
            reads_as("rorx %s, %s, 0x11", r64[d], r64[s]);
            asm_vex(&a, F_ADD | PP_F2, d, t, rm_reg(s));
            reads_as("vaddsd xmm%u, xmm%u, xmm%u", d, t, s);
            asm_vex(&a, F_DIV | PP_F3, d, t, rm_reg(s));
            reads_as("vdivss xmm%u, xmm%u, xmm%u", d, t, s);
            asm_vex(&a, V_FMADD231 | OP_W, d, t, rm_reg(s));
            reads_as("vfmadd231sd xmm%u, xmm%u, xmm%u", d, t, s);
            asm_vex(&a, V_FNMSUB231, d, t, rm_reg(s));
            reads_as("vfnmsub231ss xmm%u, xmm%u, xmm%u", d, t, s);
            asm_vex(&a, F_UCOMI | PP_66, d, 0, rm_reg(s));
            reads_as("vucomisd xmm%u, xmm%u", d, s);
            asm_vex(&a, F_PADDQ, d, t, rm_reg(s));
            reads_as("vpaddq xmm%u, xmm%u, xmm%u", d, t, s);
            asm_vex(&a, F_MOVQ_TO_GPR, d, 0, rm_reg(s));
            reads_as("vmovq %s, xmm%u", r64[s], d);
            asm_vex(&a, F_MOVD_FROM_GPR, d, 0, rm_reg(s));
            reads_as("vmovd xmm%u, %s", d, r32[s]);
            asm_vex(&a, F_CVTT_TO_INT | OP_W | PP_F2, d, 0, rm_reg(s));
            reads_as("vcvttsd2si %s, xmm%u", r64[d], s);
        }
}

static void sse_forms(void **state)
{
    (void)state;
    for (unsigned d = 0; d < 16; d++)
        for (unsigned s = 0; s < 16; s++) {
            asm_rr(&a, F_ADD | PP_F2, d, s);
            reads_as("addsd xmm%u, xmm%u", d, s);
            asm_rr(&a, F_SQRT | PP_F3, d, s);
            reads_as("sqrtss xmm%u, xmm%u", d, s);
            asm_rr(&a, F_MOVAPS, d, s);
            reads_as("movaps xmm%u, xmm%u", d, s);
            asm_rr(&a, F_CVT_FROM_INT | OP_W | PP_F2, d, s);
            reads_as("cvtsi2sd xmm%u, %s", d, r64[s]);
            asm_rr(&a, F_MOVQ_FROM_GPR, d, s);
            reads_as("movq xmm%u, %s", d, r64[s]);
        }
}

/* By Capstone's own fields, because its text has many forms. */
static void memory_is(unsigned reg, unsigned base, unsigned index, unsigned scale, int64_t disp)
{
    cs_insn *insn;
    size_t n = cs_disasm(cs, code, (size_t)(a.p - code), 0x1000, 0, &insn);
    const cs_x86_op *op;

    CHECK_EQ(n, 1);
    CHECK_EQ(insn->size, a.p - code);
    op = insn->detail->x86.operands;
    CHECK_STR(insn->mnemonic, "mov");
    CHECK_EQ(op[0].type, X86_OP_REG);
    CHECK_STR(cs_reg_name(cs, op[0].reg), r64[reg]);
    CHECK_EQ(op[1].type, X86_OP_MEM);
    CHECK_STR(cs_reg_name(cs, op[1].mem.base), r64[base]);
    if (index == NO_REG)
        CHECK_EQ(op[1].mem.index, X86_REG_INVALID);
    else
        CHECK_STR(cs_reg_name(cs, op[1].mem.index), r64[index]);
    if (index != NO_REG)
        CHECK_EQ(op[1].mem.scale, 1 << scale);
    CHECK_EQ(op[1].mem.disp, disp);
    cs_free(insn, n);
    begin();
}

static void every_shape_of_memory_operand(void **state)
{
    static const int32_t disps[] = {0, 1, -1, 127, -128, 128, -129, INT32_MAX, INT32_MIN};

    (void)state;
    for (unsigned base = 0; base < 16; base++)
        for (unsigned k = 0; k < ARRAY_LEN(disps); k++) {
            asm_load(&a, (base * 5) & 15, rm_mem(base, disps[k]));
            memory_is((base * 5) & 15, base, NO_REG, 0, disps[k]);
            for (unsigned index = 0; index < 16; index++) {
                if (index == RSP)
                    continue;
                asm_load(&a, index, rm_sib(base, index, k & 3, disps[k]));
                memory_is(index, base, index, k & 3, disps[k]);
            }
        }
}

static void rip_relative_operands_reach_their_address(void **state)
{
    (void)state;
    asm_load(&a, R9, rm_abs(code + 0x80));
    reads_as("mov r9, qword ptr [rip + 0x%x]", 0x80 - 7);
    asm_op_tail(&a, 0x83, ALU_CMP, rm_abs(code + 0x80), 1); /* the immediate counts */
    asm_8(&a, 5);
    reads_as("cmp dword ptr [rip + 0x%x], 5", 0x80 - 7);
}

static void immediates(void **state)
{
    static const struct {
        int64_t v;
        const char *text;
        unsigned bytes;
    } movs[] = {{0, "mov r10d, 0", 6},
                {0xffffffff, "mov r10d, 0xffffffff", 6},
                {-1, "mov r10, -1", 7},
                {INT32_MIN, "mov r10, -0x80000000", 7},
                {INT64_C(0x100000000), "movabs r10, 0x100000000", 10},
                {INT64_MIN, "movabs r10, 0x8000000000000000", 10}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(movs); i++) {
        asm_mov_imm(&a, R10, movs[i].v);
        CHECK_EQ(a.p - code, movs[i].bytes);
        reads(movs[i].text);
    }
    asm_alu_imm(&a, OP_W, ALU_ADD, rm_reg(RBX), 127);
    CHECK_EQ(a.p - code, 4);
    reads("add rbx, 0x7f");
    asm_alu_imm(&a, 0, ALU_AND, rm_reg(R8), 0x3ff0);
    reads("and r8d, 0x3ff0");
    asm_alu_imm(&a, OP_W, ALU_CMP, rm_mem(RBP, 0x10), 1000);
    reads("cmp qword ptr [rbp + 0x10], 0x3e8");
    asm_store_imm(&a, 1, rm_mem(RSI, 3), 0x85);
    reads("mov byte ptr [rsi + 3], 0x85");
    asm_store_imm(&a, 2, rm_mem(RSI, 3), 0x1234);
    reads("mov word ptr [rsi + 3], 0x1234");
    asm_store_imm(&a, 4, rm_mem(R13, 0), 7);
    reads("mov dword ptr [r13], 7");
    asm_store_imm(&a, 8, rm_mem(RSI, 3), -1);
    reads("mov qword ptr [rsi + 3], -1");
    asm_op(&a, X_STORE8, RDI, rm_mem(RAX, 0));
    reads("mov byte ptr [rax], dil");
    asm_op(&a, X_STORE | PP_66, R9, rm_mem(RAX, 0));
    reads("mov word ptr [rax], r9w");
    asm_lock(&a);
    asm_op(&a, X_CMPXCHG | OP_W, RDX, rm_mem(RCX, 0));
    reads("lock cmpxchg qword ptr [rcx], rdx");
}

static void jumps_lead_where_they_should(void **state)
{
    uint8_t *fwd, *near;

    (void)state;
    asm_jmp(&a, code + 0x40);
    reads("jmp 0x1040");
    asm_jcc(&a, CC_NE, code + 0x40);
    reads("jne 0x1040");
    asm_call(&a, code + 0x40);
    reads("call 0x1040");
    fwd = asm_jcc_fwd(&a, CC_B);
    a.p += 10;
    asm_bind(&a, fwd);
    a.p = code + 6;
    reads("jb 0x1010");
    near = asm_jcc_short(&a, CC_S);
    a.p += 10;
    asm_bind_short(&a, near);
    a.p = code + 2;
    reads("js 0x100c");
    a.p = code + 2;
    asm_jmp_back(&a, code);
    CHECK_EQ(code[2], 0xeb);
    CHECK_EQ(code[3], 0xfc);
    begin();
}

static void nops_fill_exactly(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 10; n++) {
        cs_insn *insn;
        size_t count;
        unsigned bytes = 0;

        asm_nop(&a, n);
        CHECK_EQ(a.p - code, n);
        count = cs_disasm(cs, code, n, 0, 0, &insn);
        for (size_t i = 0; i < count; i++) {
            CHECK_STR(insn[i].mnemonic, "nop");
            bytes += insn[i].size;
        }
        CHECK_EQ(bytes, n);
        cs_free(insn, count);
        begin();
    }
}

static int open_capstone(void **state)
{
    (void)state;
    begin();
    return cs_open(CS_ARCH_X86, CS_MODE_64, &cs) == CS_ERR_OK && cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK
               ? 0
               : -1;
}

static int close_capstone(void **state)
{
    (void)state;
    cs_close(&cs);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_in_every_place),
        cmocka_unit_test(single_register_forms),
        cmocka_unit_test(aes_and_carryless_products),
        cmocka_unit_test(vex_forms),
        cmocka_unit_test(sse_forms),
        cmocka_unit_test(every_shape_of_memory_operand),
        cmocka_unit_test(rip_relative_operands_reach_their_address),
        cmocka_unit_test(immediates),
        cmocka_unit_test(jumps_lead_where_they_should),
        cmocka_unit_test(nops_fill_exactly),
    };

    return cmocka_run_group_tests(tests, open_capstone, close_capstone);
}
