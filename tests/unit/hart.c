/* See hart.h. */
#include "tests/unit/hart.h"

#include "base/bits.h"

void hart_open(struct hart_env *h, const char *cpu)
{
    struct err e;

    h->log = log_new();
    h->bus = bus_new(h->log);
    h->clock = clock_new_fake();
    CHECK(bus_add_ram(h->bus, "ram", RAM_BASE, RAM_SIZE, &e));
    if (!isa_config_parse(&h->cfg, cpu, &e))
        fail_msg("%s", e.msg);
    h->c = rv_new(&h->cfg, h->bus, h->clock, h->log, 0, &e);
    CHECK(h->c != NULL);
    rv_set_start(h->c, RAM_BASE, 0, 0);
    h->c->v.isa->reset(&h->c->v);
}

void hart_close(struct hart_env *h)
{
    rv_free(h->c);
    isa_config_fini(&h->cfg);
    clock_free(h->clock);
    bus_free(h->bus);
    log_free(h->log);
}

void put32(struct hart_env *h, gpa addr, uint32_t word) { st32(bus_ram(h->bus, addr, 4), word); }
void put64(struct hart_env *h, gpa addr, uint64_t val) { st64(bus_ram(h->bus, addr, 8), val); }
uint64_t get64(struct hart_env *h, gpa addr) { return ld64(bus_ram(h->bus, addr, 8)); }

bool hart_step(struct hart_env *h)
{
    struct vcpu *v = &h->c->v;
    struct insn insns[BLOCK_MAX_INSNS];
    struct guest_block b = {.insns = insns};

    if (atomic_load(&v->attention) & ATT_IRQ)
        v->isa->take_irq(v);
    if (v->isa->decode(v, &b)) {
        b.count = 1;
        if (v->isa->interp(v, &b))
            return true;
    }
    v->isa->take_trap(v);
    return false;
}

bool hart_run1(struct hart_env *h, uint32_t word)
{
    put32(h, h->c->v.pc, word);
    return hart_step(h);
}

uint32_t csr_word(unsigned op, unsigned csr, unsigned rd, unsigned rs1)
{
    return csr << 20 | rs1 << 15 | op << 12 | rd << 7 | 0x73;
}

bool csr_try(struct hart_env *h, unsigned op, unsigned csr, uint64_t val, uint64_t *old)
{
    struct rv *c = h->c;
    struct insn i;
    gva pc = c->v.pc;
    bool ok;

    insn_decode(c->cfg, csr_word(op, csr, 10, op == CSRRW || val ? 11 : 0), &i);
    c->v.r[11] = val;
    c->v.npc = pc + 4;
    ok = insn_exec[i.op](c, &i);
    c->v.fault = 0;
    *old = c->v.r[10];
    return ok;
}

uint64_t csr_get(struct hart_env *h, unsigned csr)
{
    uint64_t v;

    if (!csr_try(h, CSRRS, csr, 0, &v))
        fail_msg("reading CSR 0x%x trapped", csr);
    return v;
}

void csr_set(struct hart_env *h, unsigned csr, uint64_t val)
{
    uint64_t old;

    if (!csr_try(h, CSRRW, csr, val, &old))
        fail_msg("writing CSR 0x%x trapped", csr);
}

void hart_mode(struct hart_env *h, unsigned priv)
{
    h->c->priv = (uint8_t)priv;
    rv_update_view(h->c);
}
