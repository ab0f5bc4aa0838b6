#include "tests/insn/refdis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/insn.h"

/* What binutils 2.40 has of our extensions. The words go into .text, so that the attributes tell objdump what to know. */
static const char arch[] = "rv64imafdc_zicbom_zicbop_zicboz_zicsr_zifencei_zihintpause_zawrs_zfh_zba_zbb_zbc_zbs_"
                           "zbkb_zbkc_zbkx_zknd_zkne_zknh_zkr_svinval";

static bool write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[256];
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (!f)
        return false;
    ok = fwrite(data, 1, len, f) == len;
    return fclose(f) == 0 && ok;
}

static bool write_words(const char *dir, const uint32_t *words, size_t n, unsigned bytes)
{
    uint8_t *raw = malloc(n * bytes + 1);
    bool ok = raw;

    for (size_t i = 0; ok && i < n; i++)
        memcpy(raw + i * bytes, &words[i], bytes);
    ok = ok && write_file(dir, "w.bin", raw, n * bytes);
    free(raw);
    return ok;
}

/* One line of objdump: "  1c:<tab>00150513<spaces><tab>addi<tab>a0,a0,1". false: no instruction line. */
static bool parse_line(char *line, uint32_t *word, char **mnemonic, char **operands)
{
    char *hex = strchr(line, '\t'), *end;

    if (!hex || hex == line || hex[-1] != ':')
        return false;
    *word = (uint32_t)strtoul(hex + 1, &end, 16);
    while (*end == ' ' || *end == '\t')
        end++;
    *mnemonic = end;
    end += strcspn(end, "\t\n ");
    *operands = *end ? end + 1 : end;
    *end = 0;
    (*operands)[strcspn(*operands, " #\n")] = 0; /* without symbols and remarks */
    if (**mnemonic == '.' || !strcmp(*mnemonic, "c.unimp"))
        **mnemonic = 0;
    return true;
}

static bool read_objdump(FILE *p, const uint32_t *words, size_t n, unsigned bytes, refdis_fn *fn, void *arg)
{
    char line[256], *mnemonic, *operands;
    uint32_t word;
    size_t i = 0;

    while (fgets(line, sizeof line, p)) {
        if (!parse_line(line, &word, &mnemonic, &operands))
            continue;
        if (i == n || word != words[i]) {
            fprintf(stderr, "objdump gave %08x for word %zu\n", word, i);
            return false;
        }
        fn(arg, i * bytes, words[i], mnemonic, operands);
        i++;
    }
    return i == n;
}

bool refdis_run(const uint32_t *words, size_t n, unsigned bytes, refdis_fn *fn, void *arg)
{
    char dir[] = "/tmp/guise-refdis-XXXXXX", text[1024];
    bool ok;
    FILE *p;

    if (!mkdtemp(dir))
        return false;
    snprintf(text, sizeof text, ".attribute arch, \"%s\"\n.incbin \"%s/w.bin\"\n", arch, dir);
    ok = write_words(dir, words, n, bytes) && write_file(dir, "w.s", text, strlen(text));
    snprintf(text, sizeof text,
             "riscv64-linux-gnu-as -o %s/w.o %s/w.s && riscv64-linux-gnu-objdump -z -D -j .text -M no-aliases %s/w.o",
             dir, dir, dir);
    p = ok ? popen(text, "r") : NULL;
    ok = p && read_objdump(p, words, n, bytes, fn, arg);
    if (p)
        ok = pclose(p) == 0 && ok;
    snprintf(text, sizeof text, "rm -r %s", dir);
    return system(text) == 0 && ok;
}

/* --- comparison --- */

struct compare {
    const struct isa_config *cfg;
    struct refdis_result *r;
};

/* Extensions that binutils 2.40 does not know. */
static const struct {
    enum isa_ext ext;
    const char *theirs; /* what it says of them */
    const char *section;
} newer[] = {
    {EXT_ZICOND, "", "Integer Conditional Operations"},
    {EXT_ZFA, "", "Additional Floating-Point Instructions"},
    {EXT_ZACAS, "", "Atomic Compare-and-Swap"},
    {EXT_ZABHA, "", "Byte and Halfword Atomic Memory Operations"},
    {EXT_ZIMOP, "", "May-Be-Operations"},
    {EXT_ZCMOP, "", "Compressed May-Be-Operations"},
    {EXT_ZCB, "", "Zcb"},
    {EXT_ZIHINTNTL, "add", "Non-Temporal Locality Hints"},
};

/* Other differences where we are right. ours, theirs: mnemonic, "" illegal, a final '*' any ending. */
static const struct known {
    const char *ours, *theirs;
    uint32_t mask, match; /* of the word */
    const char *why;
} known[] = {
    {"fence", "", 0, 0, "reserved fields of FENCE are ignored (RV32I, Memory Ordering Instructions)"},
    {"fence.i", "", 0, 0, "imm, rs1, rd are ignored (Zifencei)"},
    {"", "f*", 0x7000, 0x5000, "reserved rounding mode (F, Floating-Point Control and Status Register)"},
    {"", "f*", 0x7000, 0x6000, "reserved rounding mode"},
    {"fcvt.d.*", "", 0, 0, "exact conversions take any valid rounding mode (D)"},
    {"fcvt.s.h", "", 0, 0, "exact conversions take any valid rounding mode (Zfh)"},
    {"", "aes64ks1i", 0, 0, "rnum 11..15 is reserved (aes64ks1i)"},
    {"", "c.addi16sp", 0xffff, 0x6101, "nzimm = 0 is reserved (C, Integer Register-Immediate Operations)"},
    {"", "uret", 0, 0, "no N extension"},
    {"", "hret", 0, 0, "withdrawn"},
    {"", "dret", 0, 0, "no debug mode"},
    {"", "sfence.vm", 0, 0, "withdrawn"},
    {"", "hinval.*", 0, 0, "no H extension"},
    {"csrr", "csrrs", 0, 0, "a name"},
    {"frflags", "csrrs", 0, 0, "a name"},
    {"frrm", "csrrs", 0, 0, "a name"},
    {"frcsr", "csrrs", 0, 0, "a name"},
    {"fsflags", "csrrw", 0, 0, "a name"},
    {"csrrw", "unimp", 0xffffffff, 0xc0001073, "a name"},
    {"c.nop", "c.addi", 0xffff, 0x0001, "a name"},
    {"c.slli", "c.slli64", 0, 0, "a name"},
    {"c.srli", "c.srli64", 0, 0, "a name"},
    {"c.srai", "c.srai64", 0, 0, "a name"},
};

static bool like(const char *pattern, const char *s)
{
    size_t n = strlen(pattern);

    if (n && pattern[n - 1] == '*')
        return !strncmp(pattern, s, n - 1);
    return !strcmp(pattern, s);
}

static bool explained(const struct isa_config *cfg, uint32_t word, const char *ours, const char *theirs)
{
    const struct insn_row *row = insn_find_row(cfg, word);

    for (size_t i = 0; row && i < ARRAY_LEN(newer); i++)
        if ((newer[i].ext == (row->ext & 0xff) || newer[i].ext == (row->ext >> 8 & 0xff)) &&
            !strcmp(theirs, newer[i].theirs))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if ((word & known[i].mask) == known[i].match && like(known[i].ours, ours) && like(known[i].theirs, theirs))
            return true;
    return false;
}

/* A CSR that we do not have and objdump names. */
static bool unknown_csr(uint32_t word, const char *ours, const char *theirs)
{
    char name[32];

    return !strcmp(ours, theirs) && !strncmp(ours, "csrr", 4) && !csr_name(word >> 20, name, sizeof name);
}

/* The same operands? objdump leaves out 0x before addresses. */
static bool same_operands(const char *ours, const char *theirs)
{
    while (*ours || *theirs) {
        if (!strncmp(ours, "0x", 2))
            ours += 2;
        if (!strncmp(theirs, "0x", 2))
            theirs += 2;
        if (*ours != *theirs)
            return false;
        ours += *ours != 0;
        theirs += *theirs != 0;
    }
    return true;
}

static void compare(void *arg, uint64_t pc, uint32_t word, const char *theirs, const char *operands)
{
    struct compare *c = arg;
    struct refdis_result *r = c->r;
    char ours[32], text[96], *rest;

    insn_mnemonic(c->cfg, word, ours, sizeof ours);
    insn_disasm(c->cfg, pc, word, text, sizeof text);
    rest = text + strcspn(text, " ");
    rest += strspn(rest, " ");
    r->words++;
    r->legal += ours[0] != 0;
    if (!strcmp(ours, theirs) && (!ours[0] || same_operands(rest, operands)))
        return;
    if (explained(c->cfg, word, ours, theirs) || unknown_csr(word, ours, theirs)) {
        r->explained++;
        return;
    }
    if (r->different < ARRAY_LEN(r->first))
        snprintf(r->first[r->different], sizeof r->first[0], "%08x: we say '%.40s', objdump '%.20s %.40s'", word, text,
                 theirs, operands);
    r->different++;
}

bool refdis_compare(const struct isa_config *cfg, const uint32_t *words, size_t n, unsigned bytes,
                    struct refdis_result *r)
{
    struct compare c = {.cfg = cfg, .r = r};

    return refdis_run(words, n, bytes, compare, &c);
}
