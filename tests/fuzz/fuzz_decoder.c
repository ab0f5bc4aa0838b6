/* Decoder and disassembler on any words: fields in range, text within its buffer, nothing else. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(const struct isa_config *c, uint32_t word)
{
    struct insn i;
    char text[64];

    insn_decode(c, word, &i);
    if (i.op >= INSN_COUNT || i.rd > 31 || i.rs1 > 31 || i.rs2 > 31 || i.rs3 > 31 || i.rm > 7)
        abort();
    if (i.len != insn_length((uint16_t)word) || insn_disasm(c, 0, word, text, sizeof text) != i.len)
        abort();
    if (!memchr(text, 0, sizeof text) || !text[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const cpus[] = {"max", "rva22s64", "rv64,c=off,d=off"};
    static struct isa_config configs[ARRAY_LEN(cpus)]; /* made once: its tables take longer than the input */
    static bool made[ARRAY_LEN(cpus)];
    unsigned n;
    struct err e;

    if (size < 1)
        return 0;
    n = data[0] % ARRAY_LEN(cpus);
    if (!made[n] && !(made[n] = isa_config_parse(&configs[n], cpus[n], &e)))
        abort();
    for (size_t at = 1; at + 4 <= size; at += 2)
        one(&configs[n], ld32(data + at));
    return 0;
}
