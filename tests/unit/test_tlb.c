/* What each form of sfence.vma may leave behind, and what a write to satp must not flush. */
#include "tests/unit/check.h"

#include "mmu/tlb.h"

enum { REGIME_U = 1, REGIME_S = 2 };
static uint8_t ram[64 * 4096] __attribute__((aligned(4096)));
static struct tlb *t;

static int setup(void **state)
{
    (void)state;
    t = tlb_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tlb_free(t);
    return 0;
}

static struct tlb_ctx *user(uint32_t asid) { return tlb_switch(t, (struct tlb_view){REGIME_U, asid, false}); }
static struct tlb_ctx *kernel(uint32_t asid) { return tlb_switch(t, (struct tlb_view){REGIME_S, asid, true}); }

static void fill(struct tlb_ctx *c, gva va, bool global, uint64_t span)
{
    struct tlb_page p = {.va = va, .pa = va, .host = ram, .span = span, .read = true, .write = true, .global = global};

    tlb_fill(t, c, &p);
}

static bool level1(const struct tlb_ctx *c, gva va) { return c->rd[TLB_INDEX(va)].tag == va; }

static bool known(const struct tlb_ctx *c, gva va)
{
    struct tlb_page p;

    return level1(c, va) || tlb_find(t, c, va, 'r', &p);
}

static void switching_address_spaces_flushes_nothing(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, 0x5000, false, 4096);
    fill(user(2), 0x6000, false, 4096);
    CHECK(user(1) == a);
    CHECK(level1(a, 0x5000));
    CHECK(!known(user(2), 0x5000));
}

static void fence_of_a_page_drops_that_page_only(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, 0x5000, false, 4096);
    fill(a, 0x6000, false, 4096);
    tlb_set_code_id(a, 0x5abc, 7);
    tlb_flush_page(t, 0x5abc);
    CHECK(!known(a, 0x5000));
    CHECK_EQ(a->code_id[CODE_SLOT(0x5000)], 0);
    CHECK(known(a, 0x6000));
}

static bool code_is_at(const struct tlb_ctx *c, gva va, uint32_t id)
{
    return c->code_at[CODE_ENTRY(id)].id == id && c->code_at[CODE_ENTRY(id)].va == va;
}

static void fences_drop_the_places_of_code_pages(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    tlb_set_code_at(a, 0x5000, 7);
    tlb_set_code_at(a, 0x5000 + (UINT64_C(4096) << PAGE_BITS), 8); /* the same bit of code_pages */
    tlb_set_code_at(a, 0x6000, 9);
    tlb_set_code_at(a, 0x5000, 4000); /* one address, seen from two pages */
    tlb_flush_page(t, 0x7000);
    CHECK(code_is_at(a, 0x5000, 7));
    tlb_flush_page(t, 0x5abc);
    CHECK(!code_is_at(a, 0x5000, 7));
    CHECK(!code_is_at(a, 0x5000, 4000));
    CHECK(code_is_at(a, 0x5000 + (UINT64_C(4096) << PAGE_BITS), 8));
    CHECK(code_is_at(a, 0x6000, 9));
    tlb_flush_page_asid(t, 0x6000, 2);
    CHECK(code_is_at(a, 0x6000, 9));
    tlb_flush_asid(t, 1);
    CHECK(!code_is_at(a, 0x6000, 9));
    tlb_set_code_at(a, 0x6000, 9);
    tlb_flush_all(t);
    CHECK(!code_is_at(a, 0x6000, 9));
    tlb_set_code_at(a, 0x6000, 9);
    tlb_drop_host(t, ram, 4096); /* whoever unmaps memory cannot say which pages had code */
    CHECK(!code_is_at(a, 0x6000, 9));
}

static void fence_of_one_asid_leaves_others_and_global_pages(void **state)
{
    struct tlb_ctx *k = kernel(1);

    (void)state;
    fill(k, 0x9000, true, 4096);
    fill(user(1), 0x5000, false, 4096);
    fill(user(2), 0x5000, false, 4096);
    tlb_flush_asid(t, 1);
    CHECK(!known(user(1), 0x5000));
    CHECK(known(user(2), 0x5000));
    CHECK(known(kernel(1), 0x9000));
    tlb_flush_page_asid(t, 0x9000, 1);
    CHECK(known(kernel(1), 0x9000));
    tlb_flush_all(t);
    CHECK(!known(kernel(1), 0x9000));
    CHECK(!known(user(2), 0x5000));
}

static void fence_inside_a_superpage_drops_every_piece(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, 0x200000, false, 2 << 20);
    fill(a, 0x300000, false, 2 << 20);
    tlb_flush_page(t, 0x3ff000);
    CHECK(!known(a, 0x200000));
    CHECK(!known(a, 0x300000));
}

static void fence_between_superpages_leaves_them(void **state)
{
    static const gva at[] = {0x100000000, 0x900000000, 0x1100000000, 0x1900000000, 0x2900000000, 0x3900000000};
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, at[0], false, 2 << 20);
    fill(a, at[1], false, 2 << 20);
    fill(a, 0x500000000, false, 4096);
    tlb_flush_page(t, 0x500000000);
    CHECK(!known(a, 0x500000000));
    CHECK(known(a, at[0]));
    CHECK(known(a, at[1]));
    for (unsigned n = 0; n < 6; n++) { /* more than are kept apart: each fence still finds its own */
        for (unsigned k = 0; k < 6; k++)
            fill(a, at[k], false, 2 << 20);
        tlb_flush_page(t, at[n] + 0x1ff000);
        CHECK(!known(a, at[n]));
    }
}

static void private_pages_of_the_kernel_view_end_with_their_asid(void **state)
{
    struct tlb_ctx *k = kernel(1);

    (void)state;
    fill(k, 0x9000, true, 4096);
    CHECK(kernel(2) == k);
    CHECK(known(k, 0x9000)); /* only global pages: nothing dropped */
    fill(k, 0xa000, false, 4096);
    CHECK(!known(kernel(3), 0xa000));
}

static void second_level_serves_what_the_first_lost(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, 0x5000, false, 4096);
    fill(a, 0x5000 + TLB_SIZE * 4096, false, 4096); /* same slot */
    CHECK(!level1(a, 0x5000));
    CHECK(known(a, 0x5000));
    CHECK(!known(a, 0x5000 | UINT64_C(1) << 60)); /* no alias through the tag's cut */
}

static void evicted_address_spaces_come_back_empty(void **state)
{
    (void)state;
    fill(user(1), 0x5000, false, 4096);
    for (uint32_t i = 2; i < 2 + TLB_CONTEXTS; i++)
        fill(user(i), 0x5000, false, 4096);
    CHECK(!known(user(1), 0x5000));
}

static void dropping_write_rights_keeps_reading(void **state)
{
    struct tlb_ctx *a = user(1);

    (void)state;
    fill(a, 0x5000, false, 4096);
    tlb_drop_write(t, ram);
    CHECK(level1(a, 0x5000));
    CHECK_EQ(a->wr[TLB_INDEX(0x5000)].tag, TLB_NONE);
    tlb_drop_host(t, ram, 4096);
    CHECK(!known(a, 0x5000));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(switching_address_spaces_flushes_nothing),
        T(fence_of_a_page_drops_that_page_only),
        T(fences_drop_the_places_of_code_pages),
        T(fence_of_one_asid_leaves_others_and_global_pages),
        T(fence_inside_a_superpage_drops_every_piece),
        T(fence_between_superpages_leaves_them),
        T(private_pages_of_the_kernel_view_end_with_their_asid),
        T(second_level_serves_what_the_first_lost),
        T(evicted_address_spaces_come_back_empty),
        T(dropping_write_rights_keeps_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
