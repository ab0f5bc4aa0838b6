/* What the monitor's `info` shows: one function a subject, one table. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "devices/device.h"
#include "frontend/counters.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "frontend/version.h"
#include "mmu/tlb.h"
#include "translator/translator.h"

static void info_version(struct machine *m, char *args, FILE *out)
{
    (void)args;
    if (machine_config_of(m)->qemu)
        fprintf(out, "%s (guise %s)\n", QEMU_VERSION, GUISE_VERSION);
    else
        fprintf(out, "guise %s\n", GUISE_VERSION);
}

static void info_status(struct machine *m, char *args, FILE *out)
{
    (void)args;
    if (machine_running(m))
        fputs("VM status: running\n", out);
    else if (*machine_stop_reason(m)) /* QEMU's words, and why */
        fprintf(out, "VM status: paused (io-error)\n%s\n", machine_stop_reason(m));
    else
        fputs("VM status: paused\n", out);
}

static void print_registers(struct vcpu *v, void *arg)
{
    FILE *out = arg;
    const char *name;
    uint64_t val;

    fprintf(out, "\nCPU#%u\n", v->index);
    for (unsigned n = 0; (name = v->isa->reg(v, n, &val)) != NULL; n++)
        fprintf(out, " %-10s %016" PRIx64 "%s", name, val, n % 3 == 2 ? "\n" : "");
    fprintf(out, "\n instructions %" PRIu64 "\n", v->icount);
}

static void info_registers(struct machine *m, char *args, FILE *out)
{
    bool all = strstr(args, "-a") != NULL;

    for (unsigned i = 0; i < (all ? machine_vcpus(m) : 1); i++)
        machine_on_vcpu(m, i, print_registers, out);
}

static void info_mtree(struct machine *m, char *args, FILE *out)
{
    static const char *const kinds[] = {[REGION_RAM] = "ram", [REGION_ROM] = "rom", [REGION_MMIO] = "i/o"};

    (void)args;
    fputs("address-space: memory\n", out);
    for (const struct region *r = bus_first(machine_bus(m)); r; r = r->next)
        fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio 0, %s): %s\n", r->base, r->base + r->size - 1,
                kinds[r->kind], r->name);
}

struct tlb_view_out {
    FILE *out;
    const struct tlb_ctx *ctx;
    unsigned shown;
};

static void print_tlb_entry(void *arg, const struct tlb_ctx *ctx, bool write, const struct tlb_entry *e)
{
    struct tlb_view_out *o = arg;

    if (o->ctx != ctx)
        fprintf(o->out, " view: regime %u, asid %u%s\n", ctx->view.regime, ctx->view.asid,
                ctx->view.shared ? ", shared" : "");
    o->ctx = ctx;
    o->shown++;
    fprintf(o->out, "  %016" PRIx64 " -> host %016" PRIx64 " %s\n", e->tag, e->tag + e->addend,
            write ? "write" : "read");
}

static void print_tlb(struct vcpu *v, void *arg)
{
    struct tlb_view_out o = {.out = arg};
    const struct tlb_stats *s = tlb_stats(v->tlb);

    fprintf(o.out,
            "CPU#%u: misses %" PRIu64 ", second level %" PRIu64 ", walks %" PRIu64 ", fills %" PRIu64
            ", fences %" PRIu64 " (pages %" PRIu64 "), switches %" PRIu64 ", evicted views %" PRIu64 "\n",
            v->index, s->misses, s->l2_hits, s->walks, s->fills, s->fences, s->fences_page, s->switches,
            s->ctx_evicted);
    tlb_each(v->tlb, print_tlb_entry, &o);
    fprintf(o.out, " %u entries\n", o.shown);
}

static void info_tlb(struct machine *m, char *args, FILE *out)
{
    (void)args;
    for (unsigned i = 0; i < machine_vcpus(m); i++)
        machine_on_vcpu(m, i, print_tlb, out);
}

static void info_jit(struct machine *m, char *args, FILE *out)
{
    (void)args;
    translator_print_info(machine_translator(m), out);
}

static void info_counters(struct machine *m, char *args, FILE *out)
{
    const char *word = monitor_word(&args);
    struct counter_sample now, before;

    if (word && strcmp(word, "-j")) {
        fprintf(out, "info counters: unknown argument %s\n", word);
        return;
    }
    counter_log_take(machine_counters(m), &now, &before);
    (word ? counters_print_json : counters_print)(&now, &before, out);
}

static void print_line(void *arg, const char *text) { fprintf(arg, "  %s\n", text); }

/* The fields of the table that gives reset and snapshots. */
static void print_device(struct device *d, FILE *out)
{
    device_lock(d);
    for (const struct field *f = d->ops->state; f && f->name; f++) {
        const uint8_t *p = (const uint8_t *)d + f->offset;
        unsigned shown = 0;

        if (f->size > 8) {
            fprintf(out, "  %s: %zu bytes\n", f->name, f->size * f->count);
            continue;
        }
        fprintf(out, "  %s =", f->name);
        for (unsigned i = 0; i < f->count; i++) {
            uint64_t v = 0;

            memcpy(&v, p + i * f->size, f->size);
            if (f->count == 1)
                fprintf(out, " 0x%" PRIx64, v);
            else if (v && shown++ < 16)
                fprintf(out, " [%u]=0x%" PRIx64, i, v);
        }
        fprintf(out, "%s\n", f->count > 1 && !shown ? " all 0" : "");
    }
    if (d->ops->info)
        d->ops->info(d, print_line, out);
    device_unlock(d);
}

static void info_devices(struct machine *m, char *args, FILE *out)
{
    args += strspn(args, " ");
    for (struct device *d = machine_devices(m); d; d = d->next) {
        if (*args && strcmp(args, d->name))
            continue;
        fprintf(out, "%s (%s)", d->name, d->ops->name);
        if (d->region.base || d->region.size)
            fprintf(out, " at 0x%" PRIx64, d->region.base);
        fputc('\n', out);
        if (*args)
            print_device(d, out);
    }
}

static void print_pending(struct vcpu *v, void *arg)
{
    const struct rv *c = (const struct rv *)v;

    fprintf(arg, "CPU#%u: mip 0x%" PRIx64 ", mie 0x%" PRIx64 ", mideleg 0x%" PRIx64 "%s\n", v->index, rv_mip(c), c->mie,
            c->mideleg, atomic_load(&v->attention) & ATT_WFI ? ", in wfi" : "");
}

static void info_irq(struct machine *m, char *args, FILE *out)
{
    (void)args;
    for (unsigned i = 0; i < machine_vcpus(m); i++)
        machine_on_vcpu(m, i, print_pending, out);
    for (struct device *d = machine_devices(m); d; d = d->next)
        if (d->irq.set)
            fprintf(out, "%-24s line %-3u %s\n", d->name, d->irq.n, d->irq.level ? "high" : "low");
    for (struct device *d = machine_devices(m); d; d = d->next) {
        if (strcmp(d->name, "plic"))
            continue;
        fprintf(out, "%s\n", d->name);
        print_device(d, out);
    }
}

struct map_range {
    FILE *out;
    const struct bus *bus;
    unsigned levels;
    gva va;
    gpa pa;
    uint64_t size, attr;
    unsigned printed;
};

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_ATTR = 0xff, INFO_MEM_LINES = 4096 };

static void flush_range(struct map_range *r)
{
    static const char letters[] = "rwxugad";

    if (!r->size || r->printed++ >= INFO_MEM_LINES)
        return;
    fprintf(r->out, "%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " ", r->va, r->pa, r->size);
    for (unsigned i = 0; i < 7; i++)
        fputc(r->attr >> (i + 1) & 1 ? letters[i] : '-', r->out);
    fputc('\n', r->out);
    r->size = 0;
}

static void map_leaf(struct map_range *r, gva va, gpa pa, uint64_t size, uint64_t attr)
{
    if (r->size && r->va + r->size == va && r->pa + r->size == pa && r->attr == attr) {
        r->size += size;
        return;
    }
    flush_range(r);
    r->va = va;
    r->pa = pa;
    r->size = size;
    r->attr = attr;
}

/* Every valid leaf below the table at pa, in order of addresses. level: of its entries, 0 = 4 KiB. */
static void map_table(struct map_range *r, gpa pa, unsigned level, gva base)
{
    const uint8_t *table = bus_mem(r->bus, pa, PAGE_SIZE);
    unsigned shift = PAGE_BITS + 9 * level;

    for (unsigned i = 0; table && i < 512 && r->printed < INFO_MEM_LINES; i++) {
        uint64_t pte = ld64(table + 8 * i);
        gva va = base + ((uint64_t)i << shift);
        gpa next = extract64(pte, 10, 44) << PAGE_BITS;

        va = (gva)sext64(va, 9 * r->levels + PAGE_BITS);
        if (!(pte & PTE_V))
            continue;
        if (pte & (PTE_R | PTE_W | PTE_X))
            map_leaf(r, va, next, UINT64_C(1) << shift, pte & PTE_ATTR);
        else if (level)
            map_table(r, next, level - 1, va);
    }
}

static void print_map(struct vcpu *v, void *arg)
{
    const struct rv *c = (const struct rv *)v;
    unsigned mode = SATP_MODE(c->satp);
    struct map_range r = {.out = arg, .bus = v->bus, .levels = mode - SATP_SV39 + 3};

    if (mode == SATP_BARE) {
        fputs("No translation or protection\n", arg);
        return;
    }
    fputs("vaddr            paddr            size             attr\n"
          "---------------- ---------------- ---------------- -------\n",
          arg);
    map_table(&r, SATP_PPN(c->satp) << PAGE_BITS, r.levels - 1, 0);
    flush_range(&r);
    if (r.printed >= INFO_MEM_LINES)
        fprintf(arg, "... more than %d ranges\n", INFO_MEM_LINES);
}

static void info_mem(struct machine *m, char *args, FILE *out)
{
    (void)args;
    machine_on_vcpu(m, 0, print_map, out);
}

static void info_chardev(struct machine *m, char *args, FILE *out)
{
    static const char *const kinds[] = {[CHARDEV_NULL] = "null", [CHARDEV_STDIO] = "stdio", [CHARDEV_FILE] = "file",
                                        [CHARDEV_PTY] = "pty",   [CHARDEV_UNIX] = "unix",   [CHARDEV_VC] = "vc"};
    const struct machine_config *c = machine_config_of(m);

    (void)args;
    for (unsigned i = 0; i < c->chardevs; i++)
        fprintf(out, "%s: filename=%s%s%s%s\n", c->chardev[i].id ? c->chardev[i].id : "chardev",
                kinds[c->chardev[i].kind], c->chardev[i].path ? ":" : "", c->chardev[i].path ? c->chardev[i].path : "",
                machine_chardev_open(m, i) ? "" : " (nobody there)");
}

static void info_cpus(struct machine *m, char *args, FILE *out)
{
    (void)args;
    for (unsigned i = 0; i < machine_vcpus(m); i++)
        fprintf(out, "%c CPU #%u: %s, %s\n", i ? ' ' : '*', i, machine_config_of(m)->cpu,
                engine_name(machine_config_of(m)->translator.engine));
}

const struct monitor_row monitor_info_rows[] = {
    {"version", NULL, "version of the emulator", info_version},
    {"status", NULL, "running or stopped", info_status},
    {"cpus", NULL, "the CPUs", info_cpus},
    {"registers", "[-a]", "registers of the first CPU, or of all", info_registers},
    {"mtree", NULL, "what is where in the physical address space", info_mtree},
    {"mem", NULL, "what the page tables map", info_mem},
    {"tlb", NULL, "the soft TLB and its counters", info_tlb},
    {"jit", NULL, "translated blocks and the code cache", info_jit},
    {"counters", "[-j]", "live counters: instructions, traps by cause, TLB, disks, networks; -j: as JSON",
     info_counters},
    {"irq", NULL, "interrupt lines and the interrupt controller", info_irq},
    {"devices|qtree", "[NAME]", "the devices, or the state of one", info_devices},
    {"pci", NULL, "PCI functions and where their BARs lie", monitor_info_pci},
    {"block", "[-v] [DISK]", "the disks: image, backing chain, policies, limits, counters", monitor_info_block},
    {"mirror", NULL, "the members of disks kept in copies", monitor_info_mirror},
    {"blockstats", NULL, "counters and latencies of the disks", monitor_info_blockstats},
    {"network|net", "[-v] [NET]", "the networks: adapters, cables, leases, counters; -v: each flow",
     monitor_info_network},
    {"usernet", NULL, "forwards and connections of NATs, as QEMU lists them", monitor_info_usernet},
    {"displays", NULL, "the screens", monitor_info_displays},
    {"mice", NULL, "the pointers, and which one is live", monitor_info_mice},
    {"keyboard", NULL, "the keyboards, and their lights", monitor_info_keyboard},
    {"chardev", NULL, "the character devices", info_chardev},
    {0},
};
