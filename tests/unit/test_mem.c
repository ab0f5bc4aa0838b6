/* Loads, stores and fetches through paging, as a guest sees them: faults, their addresses, page crossing, views, fences. */
#include "tests/unit/hart.h"

#include "base/bits.h"
#include "cpu/riscv/mem.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define ROOT RAM_BASE
#define ROOT2 (RAM_BASE + 0x4000)
#define PAGE(n) (RAM_BASE + 0x10000 + (n)*PAGE_SIZE)
#define VA UINT64_C(0x40000000) /* root[1] -> table -> table of pages */
#define DATA (V | R | W | A | D)

static struct hart_env h;
static struct vcpu *v;

static void put_pte(gpa table, unsigned index, gpa pa, uint64_t flags)
{
    put64(&h, table + 8 * index, pa >> 2 | flags);
}

/* The page at VA + n pages is pa. */
static void map(gpa root, unsigned n, gpa pa, uint64_t flags)
{
    put_pte(root, 1, root + 0x1000, V);
    put_pte(root + 0x1000, 0, root + 0x2000, V);
    put_pte(root + 0x2000, n, pa, flags);
}

static uint64_t satp(gpa root, unsigned asid) { return UINT64_C(8) << 60 | (uint64_t)asid << 44 | root >> 12; }

static int setup(void **state)
{
    (void)state;
    hart_open(&h, "rv64");
    v = &h.c->v;
    csr_set(&h, 0x3b0, ~UINT64_C(0));
    csr_set(&h, 0x3a0, 0x1f);
    csr_set(&h, 0x180, satp(ROOT, 1));
    hart_mode(&h, PRIV_S);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hart_close(&h);
    return 0;
}

static uint64_t load(gva va, unsigned size)
{
    uint64_t val = 0xdead;

    if (!vcpu_load(v, va, size, &val))
        fail_msg("load at 0x%llx trapped: cause %llu", (unsigned long long)va, (unsigned long long)v->trap.cause);
    return val;
}

static void load_faults(gva va, unsigned size, uint64_t cause, gva tval)
{
    uint64_t val;

    CHECK(!vcpu_load(v, va, size, &val));
    CHECK_EQ(v->trap.cause, cause);
    CHECK_EQ(v->trap.tval, tval);
    v->fault = 0;
}

static void store_faults(gva va, unsigned size, uint64_t cause, gva tval)
{
    CHECK(!vcpu_store(v, va, size, 0));
    CHECK_EQ(v->trap.cause, cause);
    CHECK_EQ(v->trap.tval, tval);
    v->fault = 0;
}

static void pages_translate_for_every_size_and_alignment(void **state)
{
    (void)state;
    map(ROOT, 3, PAGE(0), DATA);
    put64(&h, PAGE(0) + 8, UINT64_C(0x8877665544332211));
    for (unsigned again = 0; again < 2; again++) { /* slow path, then first level */
        CHECK_EQ(load(VA + 0x3008, 1), 0x11);
        CHECK_EQ(load(VA + 0x3009, 2), 0x3322);
        CHECK_EQ(load(VA + 0x300b, 4), 0x77665544);
        CHECK_EQ(load(VA + 0x3008, 8), UINT64_C(0x8877665544332211));
    }
    for (unsigned again = 0; again < 2; again++) {
        CHECK(vcpu_store(v, VA + 0x3011, 4, 0xaabbccdd));
        CHECK_EQ(get64(&h, PAGE(0) + 0x10), UINT64_C(0xaabbccdd00));
        put64(&h, PAGE(0) + 0x10, 0);
    }
}

static void faults_name_the_address_and_the_kind(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(0), V | R | A);
    map(ROOT, 1, PAGE(1), V | X | A);
    map(ROOT, 2, 0x1000, DATA); /* no memory there */
    load_faults(VA + 0x5123, 4, CAUSE_LOAD_PAGE, VA + 0x5123);
    store_faults(VA + 0x123, 4, CAUSE_STORE_PAGE, VA + 0x123);
    load_faults(VA + 0x1010, 4, CAUSE_LOAD_PAGE, VA + 0x1010);
    load_faults(VA + 0x2010, 4, CAUSE_LOAD_ACCESS, VA + 0x2010);
    store_faults(VA + 0x2010, 4, CAUSE_STORE_ACCESS, VA + 0x2010);
    load_faults(UINT64_C(0x8000000000), 1, CAUSE_LOAD_PAGE, UINT64_C(0x8000000000)); /* not canonical */
}

static void an_access_over_a_boundary_uses_both_pages(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(5), DATA);
    map(ROOT, 1, PAGE(2), DATA);
    put64(&h, PAGE(5) + 0xff8, UINT64_C(0x1122334455667788));
    put64(&h, PAGE(2), UINT64_C(0x99aabbccddeeff00));
    CHECK_EQ(load(VA + 0xffd, 8), UINT64_C(0xbbccddeeff001122) << 8 | 0x33);
    CHECK(vcpu_store(v, VA + 0xffe, 4, 0xcafef00d));
    CHECK_EQ(get64(&h, PAGE(5) + 0xff8) >> 48, 0xf00d);
    CHECK_EQ(get64(&h, PAGE(2)) & 0xffff, 0xcafe);
}

static void a_fault_on_the_second_page_names_it_and_nothing_is_stored(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(5), DATA);
    put64(&h, PAGE(5) + 0xff8, 0x77);
    load_faults(VA + 0xffd, 8, CAUSE_LOAD_PAGE, VA + 0x1000);
    store_faults(VA + 0xffd, 8, CAUSE_STORE_PAGE, VA + 0x1000);
    map(ROOT, 1, PAGE(2), V | R | A);
    store_faults(VA + 0xffd, 8, CAUSE_STORE_PAGE, VA + 0x1000);
    CHECK_EQ(get64(&h, PAGE(5) + 0xff8), 0x77);
    load_faults(VA - 3, 8, CAUSE_LOAD_PAGE, VA - 3); /* the first page comes first */
}

static void an_instruction_over_a_boundary_faults_at_its_second_half(void **state)
{
    struct insn insns[BLOCK_MAX_INSNS];
    struct guest_block b = {.insns = insns};

    (void)state;
    map(ROOT, 0, PAGE(5), V | X | A);
    put32(&h, PAGE(5) + 0xffc, 0x00130001); /* c.nop; the first half of addi zero, zero, 0 */
    v->pc = VA + 0xffe;
    CHECK(!v->isa->decode(v, &b));
    CHECK_EQ(v->trap.cause, CAUSE_FETCH_PAGE);
    CHECK_EQ(v->trap.tval, VA + 0x1000);
    v->fault = 0;
    map(ROOT, 1, PAGE(2), V | X | A);
    CHECK(v->isa->decode(v, &b));
    CHECK_EQ(b.count, 1);
    CHECK_EQ(b.bytes, 4);
    CHECK_EQ(b.phys, PAGE(5) + 0xffe);
    CHECK_EQ(b.phys2, PAGE(2));
    v->pc = VA + 0xffc; /* the block before it ends at the boundary */
    CHECK(v->isa->decode(v, &b));
    CHECK_EQ(b.count, 1);
    CHECK_EQ(b.bytes, 2);
    CHECK_EQ(b.phys2, ~UINT64_C(0));
}

static void sum_opens_user_data_but_never_user_code(void **state)
{
    const uint8_t *host;
    gpa pa;

    (void)state;
    map(ROOT, 0, PAGE(0), DATA | X | U);
    load_faults(VA, 8, CAUSE_LOAD_PAGE, VA);
    csr_set(&h, 0x100, MSTATUS_SUM);
    load(VA, 8);
    CHECK(!v->isa->fetch(v, VA, &host, &pa));
    CHECK_EQ(v->trap.cause, CAUSE_FETCH_PAGE);
    csr_set(&h, 0x100, 0); /* the view with SUM keeps its entries, this one has none */
    load_faults(VA, 8, CAUSE_LOAD_PAGE, VA);
    hart_mode(&h, PRIV_U);
    load(VA, 8);
    CHECK(v->isa->fetch(v, VA, &host, &pa));
    CHECK_EQ(pa, PAGE(0));
}

static void mxr_opens_executable_pages_for_loads(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(0), V | X | A);
    csr_set(&h, 0x100, MSTATUS_MXR);
    load(VA, 8);
    store_faults(VA, 8, CAUSE_STORE_PAGE, VA);
    csr_set(&h, 0x100, 0);
    load_faults(VA, 8, CAUSE_LOAD_PAGE, VA);
}

static void mprv_moves_data_but_not_code(void **state)
{
    const uint8_t *host;
    gpa pa;

    (void)state;
    map(ROOT, 0, PAGE(0), DATA);
    put64(&h, PAGE(0), 0x1234);
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x300, MSTATUS_MPRV | PRIV_S << 11);
    CHECK_EQ(load(VA, 8), 0x1234);
    CHECK(v->isa->fetch(v, RAM_BASE + 0x100, &host, &pa));
    CHECK_EQ(pa, RAM_BASE + 0x100);
    CHECK(!v->isa->fetch(v, VA, &host, &pa));
    CHECK_EQ(v->trap.cause, CAUSE_FETCH_ACCESS);
    csr_set(&h, 0x300, MSTATUS_MPRV | PRIV_M << 11);
    load_faults(VA, 8, CAUSE_LOAD_ACCESS, VA);
}

static void a_satp_switch_changes_spaces_at_once_and_keeps_translations(void **state)
{
    uint64_t walks;

    (void)state;
    map(ROOT, 0, PAGE(0), DATA | U);
    map(ROOT2, 0, PAGE(1), DATA | U);
    put64(&h, PAGE(0), 10);
    put64(&h, PAGE(1), 20);
    hart_mode(&h, PRIV_U);
    CHECK_EQ(load(VA, 8), 10);
    hart_mode(&h, PRIV_S);
    csr_set(&h, 0x180, satp(ROOT2, 2));
    hart_mode(&h, PRIV_U);
    CHECK_EQ(load(VA, 8), 20);
    walks = tlb_stats(v->tlb)->walks;
    hart_mode(&h, PRIV_S);
    csr_set(&h, 0x180, satp(ROOT, 1));
    hart_mode(&h, PRIV_U);
    CHECK_EQ(load(VA, 8), 10);
    CHECK_EQ(tlb_stats(v->tlb)->walks, walks);
}

/* sfence.vma words: rs1 = a0 or x0, rs2 = a1 or x0 */
static void fence(bool va, bool asid, uint64_t a0, uint64_t a1)
{
    struct insn i;

    insn_decode(h.c->cfg, 0x12000073 | (va ? 10u << 15 : 0) | (asid ? 11u << 20 : 0), &i);
    v->r[10] = a0;
    v->r[11] = a1;
    CHECK(insn_exec[i.op](h.c, &i));
}

static void fences_drop_what_they_name(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(0), DATA);
    map(ROOT, 1, PAGE(1), DATA);
    load(VA, 8);
    load(VA + 0x1000, 8);
    map(ROOT, 0, PAGE(2), DATA);
    map(ROOT, 1, PAGE(3), DATA);
    put64(&h, PAGE(2), 2);
    put64(&h, PAGE(3), 3);
    fence(true, false, VA, 0);
    CHECK_EQ(load(VA, 8), 2);
    fence(false, true, 0, 1);
    CHECK_EQ(load(VA + 0x1000, 8), 3);
    map(ROOT, 1, PAGE(2), DATA);
    fence(true, true, VA + 0x1000, 1);
    CHECK_EQ(load(VA + 0x1000, 8), 2);
    map(ROOT, 1, PAGE(3), DATA);
    fence(false, false, 0, 0);
    CHECK_EQ(load(VA + 0x1000, 8), 3);
}

static void a_page_made_valid_is_seen_without_a_fence(void **state) /* Svvptc */
{
    (void)state;
    load_faults(VA, 8, CAUSE_LOAD_PAGE, VA);
    map(ROOT, 0, PAGE(0), DATA);
    load(VA, 8);
}

static void a_and_d_are_set_by_hardware_only_with_adue(void **state)
{
    (void)state;
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x30a, 0);
    hart_mode(&h, PRIV_S);
    map(ROOT, 0, PAGE(0), V | R | W);
    load_faults(VA, 8, CAUSE_LOAD_PAGE, VA);
    map(ROOT, 0, PAGE(0), V | R | W | A);
    load(VA, 8);
    store_faults(VA, 8, CAUSE_STORE_PAGE, VA);
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x30a, ENVCFG_ADUE);
    hart_mode(&h, PRIV_S);
    map(ROOT, 0, PAGE(0), V | R | W);
    load(VA, 8);
    CHECK_EQ(get64(&h, ROOT + 0x2000) & (A | D), A);
    CHECK(vcpu_store(v, VA, 8, 1)); /* the entry for loads does not serve stores: D is set */
    CHECK_EQ(get64(&h, ROOT + 0x2000) & (A | D), A | D);
}

/* --- MMIO --- */

static uint64_t reg;

static uint64_t dev_read(void *dev, gpa off, unsigned size)
{
    (void)dev, (void)size;
    return reg + off;
}

static void dev_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    (void)dev, (void)off, (void)size;
    reg = val;
}

static void devices_answer_and_holes_are_access_faults(void **state)
{
    static const struct mmio_ops ops = {.read = dev_read, .write = dev_write, .min_size = 1, .max_size = 8};
    struct region r = {.name = "dev", .base = 0x10000000, .size = 0x100, .kind = REGION_MMIO, .ops = &ops, .dev = &reg};
    struct err e;

    (void)state;
    CHECK(bus_map(h.bus, &r, &e));
    map(ROOT, 0, 0x10000000, DATA);
    map(ROOT, 1, PAGE(1), DATA);
    for (unsigned again = 0; again < 2; again++) {
        CHECK(vcpu_store(v, VA + 8, 4, 0x55));
        CHECK_EQ(reg, 0x55);
        CHECK_EQ(load(VA + 4, 4), 0x59);
        load_faults(VA + 0x100, 4, CAUSE_LOAD_ACCESS, VA + 0x100);
        store_faults(VA + 0x100, 4, CAUSE_STORE_ACCESS, VA + 0x100);
        load_faults(VA + 2, 4, CAUSE_LOAD_ACCESS, VA + 2);         /* misaligned */
        load_faults(VA + 0xffc, 8, CAUSE_LOAD_ACCESS, VA + 0xffc); /* half device, half RAM */
    }
    CHECK(v->isa->amo_host(v, VA, 4) == NULL);
    CHECK_EQ(v->trap.cause, CAUSE_STORE_ACCESS);
    v->fault = 0;
    bus_unmap(h.bus, &r);
}

static void atomics_are_aligned_and_in_ram(void **state)
{
    (void)state;
    map(ROOT, 0, PAGE(0), DATA);
    map(ROOT, 1, PAGE(1), V | R | A);
    CHECK(v->isa->amo_host(v, VA + 2, 4) == NULL);
    CHECK_EQ(v->trap.cause, CAUSE_STORE_MISALIGNED);
    CHECK_EQ(v->trap.tval, VA + 2);
    CHECK(v->isa->amo_host(v, VA + 0x1000, 8) == NULL);
    CHECK_EQ(v->trap.cause, CAUSE_STORE_PAGE);
    v->fault = 0;
    for (unsigned again = 0; again < 2; again++)
        CHECK(v->isa->amo_host(v, VA + 8, 8) == bus_ram(h.bus, PAGE(0) + 8, 8));
}

/* --- watched pages --- */

static unsigned told;

static void page_written(void *arg, gpa page, uint8_t *flags)
{
    (void)arg;
    told++;
    CHECK_EQ(page, PAGE(0));
    page_flags_set(flags, PAGE_CODE_DIRTY);
}

static void stores_to_code_pages_are_told_once(void **state)
{
    static const struct vcpu_hooks hooks = {.page_written = page_written};
    const struct region *r = bus_find(h.bus, PAGE(0));
    uint8_t *flags = &r->page_flags[(PAGE(0) - r->base) >> PAGE_BITS];

    (void)state;
    told = 0;
    v->hooks = &hooks;
    map(ROOT, 0, PAGE(0), DATA);
    page_flags_set(flags, PAGE_CODE | PAGE_DIRTY_LOG);
    load(VA, 8); /* a load does not open the page for stores */
    CHECK(vcpu_store(v, VA, 8, 1));
    CHECK_EQ(told, 1);
    CHECK_EQ(page_flags_get(flags) & PAGE_DIRTY_LOG, 0);
    CHECK(page_flags_get(flags) & PAGE_WTLB);
    CHECK(page_flags_get(flags) & PAGE_TOUCHED);
    CHECK(vcpu_store(v, VA, 8, 2));
    CHECK_EQ(told, 1);
    page_flags_clear(flags, PAGE_CODE_DIRTY); /* watched again: dropped from write TLBs, so it is told again */
    tlb_drop_write(v->tlb, bus_ram(h.bus, PAGE(0), 1));
    load(VA, 8);
    CHECK(vcpu_store(v, VA, 8, 3));
    CHECK_EQ(told, 2);
}

static void pointer_masking_ignores_upper_bits_of_data_addresses(void **state)
{
    const uint8_t *host;
    gpa pa;

    (void)state;
    hart_close(&h);
    hart_open(&h, "max");
    v = &h.c->v;
    csr_set(&h, 0x3b0, ~UINT64_C(0));
    csr_set(&h, 0x3a0, 0x1f);
    csr_set(&h, 0x180, satp(ROOT, 1));
    csr_set(&h, 0x10a, UINT64_C(2) << 32); /* senvcfg.PMM: 7 bits */
    map(ROOT, 0, PAGE(0), DATA | X | U);
    put64(&h, PAGE(0), 0x99);
    hart_mode(&h, PRIV_U);
    CHECK_EQ(load(VA | UINT64_C(0x7f) << 57, 8), 0x99);
    CHECK_EQ(load(VA, 8), 0x99);
    CHECK_EQ(load(VA | UINT64_C(0x15) << 57, 8), 0x99);
    load_faults(VA | UINT64_C(1) << 56, 8, CAUSE_LOAD_PAGE, sext64(VA | UINT64_C(1) << 56, 57));
    CHECK(!v->isa->fetch(v, VA | UINT64_C(1) << 57, &host, &pa));
    v->fault = 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(pages_translate_for_every_size_and_alignment),
        T(faults_name_the_address_and_the_kind),
        T(an_access_over_a_boundary_uses_both_pages),
        T(a_fault_on_the_second_page_names_it_and_nothing_is_stored),
        T(an_instruction_over_a_boundary_faults_at_its_second_half),
        T(sum_opens_user_data_but_never_user_code),
        T(mxr_opens_executable_pages_for_loads),
        T(mprv_moves_data_but_not_code),
        T(a_satp_switch_changes_spaces_at_once_and_keeps_translations),
        T(fences_drop_what_they_name),
        T(a_page_made_valid_is_seen_without_a_fence),
        T(a_and_d_are_set_by_hardware_only_with_adue),
        T(devices_answer_and_holes_are_access_faults),
        T(atomics_are_aligned_and_in_ram),
        T(stores_to_code_pages_are_told_once),
        T(pointer_masking_ignores_upper_bits_of_data_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
