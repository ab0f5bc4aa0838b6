/*
 * What -d in_asm, ir and out_asm print: guest code by the ISA's disassembler, host code by Capstone.
 */
#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "translator/state.h"

/* Write what `fn` prints as one log entry. */
struct sink {
    FILE *f;
    char *text;
    size_t size;
};

static bool sink_open(struct sink *s)
{
    s->text = NULL;
    s->f = open_memstream(&s->text, &s->size);
    return s->f != NULL;
}

static void sink_close(struct sink *s, struct log *log)
{
    fclose(s->f);
    log_write(log, "%s", s->text ? s->text : "");
    free(s->text);
}

void dump_block(struct vcpu *v, gva pc, unsigned bytes, FILE *f)
{
    for (unsigned off = 0; off < bytes;) {
        gva at = pc + off;
        uint8_t code[8] = {0};
        unsigned have = 0, len;
        char text[128];
        const uint8_t *host;
        gpa pa;

        for (; have < bytes - off && have < sizeof code; have += 2) {
            if (!v->isa->fetch(v, at + have, &host, &pa))
                return;
            memcpy(code + have, host, 2);
        }
        len = v->isa->disasm(v, at, code, have, text, sizeof text);
        if (!len)
            return;
        fprintf(f, "0x%016llx:  ", (unsigned long long)at);
        for (unsigned i = len > 8 ? 8 : len; i-- > 0;)
            fprintf(f, "%02x", code[i]);
        fprintf(f, "%*s%s\n", len < 4 ? 14 - 2 * (int)len : 6, "", text);
        off += len;
    }
}

void dump_guest(struct translator *t, struct vcpu *v, const struct tb *tb)
{
    struct sink s;

    if (!log_in_filter(t->log, tb->seen) || !sink_open(&s))
        return;
    fprintf(s.f, "IN: 0x%llx, mode 0x%x\n", (unsigned long long)tb->seen, tb->mode);
    dump_block(v, tb->seen, tb->bytes, s.f);
    sink_close(&s, t->log);
}

void dump_ir(struct translator *t, const struct tb *tb, const struct ir *ir)
{
    struct sink s;

    if (!log_in_filter(t->log, tb->seen) || !sink_open(&s))
        return;
    fprintf(s.f, "IR: 0x%llx\n", (unsigned long long)tb->seen);
    ir_print(ir, s.f);
    sink_close(&s, t->log);
}

static bool open_host_disassembler(csh *h)
{
#if defined(__x86_64__)
    return cs_open(CS_ARCH_X86, CS_MODE_64, h) == CS_ERR_OK;
#elif defined(__aarch64__)
    return cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, h) == CS_ERR_OK;
#else
    (void)h;
    return false;
#endif
}

void dump_host(struct translator *t, const struct tb *tb)
{
    struct sink s;
    cs_insn *insn;
    csh h;

    if (!t->cache || !tb->code_size || !log_in_filter(t->log, tb->seen) || !open_host_disassembler(&h))
        return;
    if (sink_open(&s)) {
        const uint8_t *code = cache_rx(t->cache, tb->code_offset);
        size_t n = cs_disasm(h, code, tb->code_size, (uintptr_t)code, 0, &insn);

        fprintf(s.f, "OUT: 0x%llx, %u bytes\n", (unsigned long long)tb->seen, tb->code_size);
        for (size_t i = 0; i < n; i++)
            fprintf(s.f, "0x%016llx:  %-8s %s\n", (unsigned long long)insn[i].address, insn[i].mnemonic,
                    insn[i].op_str);
        if (n)
            cs_free(insn, n);
        sink_close(&s, t->log);
    }
    cs_close(&h);
}
