/*
 * The monitor's x and xp: memory in a chosen format. x looks without side effects: RAM and ROM only, no TLB, no A or D
 * bits. xp reads device registers too, as a load of that size would.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "mmu/bus.h"
#include "mmu/walk.h"

enum { EXAMINE_MAX = 65536 };

struct format {
    unsigned count;
    char kind;     /* x d u o c i */
    unsigned size; /* bytes */
};

struct view {
    struct machine *m;
    bool physical;
    bool bare;
    struct walk_ctx walk;
};

static void take_view(struct vcpu *v, void *arg)
{
    struct view *view = arg;
    const struct rv *c = (const struct rv *)v;
    unsigned mode = SATP_MODE(c->satp);

    view->bare = c->priv == PRIV_M || mode == SATP_BARE;
    view->walk = (struct walk_ctx){
        .bus = v->bus,
        .root = SATP_PPN(c->satp) << PAGE_BITS,
        .levels = mode - SATP_SV39 + 3,
        .sum = true,
        .mxr = true,
        .napot = true,
        .pbmt = true,
    };
}

static bool read_byte(const struct view *view, uint64_t addr, uint8_t *out)
{
    const uint8_t *p;

    if (!view->physical && !view->bare) {
        struct walk_result r = walk_sv(&view->walk, addr, WALK_READ);

        if (r.fault != WALK_OK)
            return false;
        addr = r.pa;
    }
    p = bus_mem(view->walk.bus, addr, 1);
    if (p)
        *out = *p;
    return p != NULL;
}

static bool read_bytes(const struct view *view, uint64_t addr, uint8_t *out, unsigned n)
{
    const struct region *r = view->physical ? bus_find(view->walk.bus, addr) : NULL;
    uint64_t val;

    if (r && r->kind == REGION_MMIO) {
        if (!bus_read(machine_bus(view->m), addr, n, &val))
            return false;
        memcpy(out, &val, n);
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        if (!read_byte(view, addr + i, out + i))
            return false;
    return true;
}

static bool parse_format(const char *text, struct format *f)
{
    char *end;
    unsigned long count = strtoul(text, &end, 10);

    *f = (struct format){
        .count = end == text ? 1 : (unsigned)(count < EXAMINE_MAX ? count : EXAMINE_MAX), .kind = 'x', .size = 4};
    for (; *end; end++) {
        static const char sizes[] = "bhwg";
        const char *s = strchr(sizes, *end);

        if (s)
            f->size = 1u << (s - sizes);
        else if (strchr("xduoci", *end))
            f->kind = *end;
        else
            return false;
    }
    if (f->kind == 'c')
        f->size = 1;
    return f->count > 0;
}

struct lookup {
    const char *name;
    bool found;
    uint64_t val;
};

static void find_register(struct vcpu *v, void *arg)
{
    struct lookup *l = arg;
    const char *name;
    uint64_t val;

    for (unsigned n = 0; (name = v->isa->reg(v, n, &val)) != NULL; n++) {
        if (!strcmp(name, l->name)) {
            l->found = true;
            l->val = val;
            return;
        }
    }
}

/* Numbers and $registers joined by + and -. */
static bool parse_address(struct machine *m, const char *text, uint64_t *addr, FILE *out)
{
    int sign = 1;

    *addr = 0;
    while (*text) {
        size_t n = strcspn(text, "+- \t");
        char word[64];
        uint64_t val;

        snprintf(word, sizeof word, "%.*s", (int)n, text);
        if (word[0] == '$') {
            struct lookup l = {.name = word + 1};

            machine_on_vcpu(m, 0, find_register, &l);
            if (!l.found) {
                fprintf(out, "unknown register: %s\n", word);
                return false;
            }
            val = l.val;
        } else {
            char *end;

            val = strtoull(word, &end, 0);
            if (end == word || *end) {
                fprintf(out, "expected a number or $register, not '%s'\n", word);
                return false;
            }
        }
        *addr += sign > 0 ? val : -val;
        text += n;
        text += strspn(text, " \t");
        if (!*text)
            return true;
        sign = *text == '-' ? -1 : 1;
        text += 1 + strspn(text + 1, " \t");
    }
    fputs("expected an address\n", out);
    return false;
}

static void print_value(const struct format *f, const uint8_t *bytes, FILE *out)
{
    uint64_t v = 0;
    int64_t s;

    memcpy(&v, bytes, f->size);
    s = sext64(v, 8 * f->size);
    switch (f->kind) {
    case 'd': fprintf(out, " %*" PRId64, (int)(f->size * 5 / 2 + 2), s); break;
    case 'u': fprintf(out, " %*" PRIu64, (int)(f->size * 5 / 2 + 2), v); break;
    case 'o': fprintf(out, " 0%0*" PRIo64, (int)((f->size * 8 + 2) / 3), v); break;
    case 'c':
        if (v >= ' ' && v < 0x7f)
            fprintf(out, " '%c'", (int)v);
        else
            fprintf(out, " '\\x%02x'", (unsigned)v);
        break;
    default: fprintf(out, " 0x%0*" PRIx64, (int)(f->size * 2), v); break;
    }
}

static void disassemble(const struct view *view, uint64_t addr, unsigned count, FILE *out)
{
    const struct vcpu *v = &machine_hart(view->m, 0)->v;

    for (unsigned i = 0; i < count; i++) {
        uint8_t code[4] = {0};
        char text[128];
        unsigned have = read_bytes(view, addr, code, 4) ? 4 : read_bytes(view, addr, code, 2) ? 2 : 0, len;

        if (!have) {
            fprintf(out, "0x%016" PRIx64 ":  Cannot access memory\n", addr);
            return;
        }
        len = v->isa->disasm(v, addr, code, have, text, sizeof text);
        fprintf(out, "0x%016" PRIx64 ":  %0*" PRIx32 "%*s  %s\n", addr, len == 2 ? 4 : 8,
                len == 2 ? ld16(code) : ld32(code), len == 2 ? 4 : 0, "", text);
        addr += len ? len : 2;
    }
}

void monitor_examine(struct machine *m, char *args, bool physical, FILE *out)
{
    struct view view = {.m = m, .physical = physical};
    struct format f = {1, 'x', 4};
    uint64_t addr;

    args += strspn(args, " \t");
    if (*args == '/') {
        char *fmt = ++args;

        args += strcspn(args, " \t");
        if (*args)
            *args++ = 0;
        if (!parse_format(fmt, &f)) {
            fprintf(out, "unknown format '/%s'\n", fmt);
            return;
        }
    }
    if (!parse_address(m, args + strspn(args, " \t"), &addr, out))
        return;
    machine_on_vcpu(m, 0, take_view, &view);
    if (f.kind == 'i') {
        disassemble(&view, addr, f.count, out);
        return;
    }
    for (unsigned i = 0, per_line = f.kind == 'c' ? 8 : 16 / f.size; i < f.count; i++, addr += f.size) {
        uint8_t bytes[8] = {0};

        if (i % per_line == 0)
            fprintf(out, "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        if (!read_bytes(&view, addr, bytes, f.size)) {
            fputs(" Cannot access memory", out);
            break;
        }
        print_value(&f, bytes, out);
    }
    fputc('\n', out);
}
