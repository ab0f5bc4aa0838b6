/* Sv39/48/57 walks against hand-made tables; encodings and fault rules from the privileged specification. */
#include "tests/unit/check.h"

#include <string.h>

#include "base/bits.h"
#include "mmu/bus.h"
#include "mmu/walk.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define BASE UINT64_C(0x80000000)
#define ROOT BASE

static struct bus *bus;

static int setup(void **state)
{
    struct err e;

    (void)state;
    bus = bus_new(NULL);
    CHECK(bus_add_ram(bus, "ram", BASE, 1 << 20, &e));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bus_free(bus);
    return 0;
}

static void put(gpa table, unsigned index, gpa pa, uint64_t flags)
{
    st64(bus_ram(bus, table + 8 * index, 8), pa >> 12 << 10 | flags);
}

static uint64_t pte(gpa table, unsigned index) { return ld64(bus_ram(bus, table + 8 * index, 8)); }

/* va 0x40201000 + x: root[1] -> +1000, [1] -> +2000, [1] -> leaf */
static void map3(gpa pa, uint64_t flags)
{
    put(ROOT, 1, BASE + 0x1000, V);
    put(BASE + 0x1000, 1, BASE + 0x2000, V);
    put(BASE + 0x2000, 1, pa, flags);
}
#define VA UINT64_C(0x40201234)

static struct walk_ctx sv39(bool user)
{
    return (struct walk_ctx){.bus = bus, .root = ROOT, .levels = 3, .user = user, .hw_ad = true, .napot = true};
}

static void translates_a_4k_page_and_sets_a_and_d(void **state)
{
    struct walk_ctx c = sv39(true);
    struct walk_result r;

    (void)state;
    map3(0x12345000, V | R | W | U);
    r = walk_sv(&c, VA, WALK_READ);
    CHECK_EQ(r.fault, WALK_OK);
    CHECK_EQ(r.pa, 0x12345234);
    CHECK_EQ(r.span, 4096);
    CHECK_EQ(r.steps, 3);
    CHECK_EQ(r.write, false); /* D still clear */
    CHECK_EQ(pte(BASE + 0x2000, 1) & (A | D), A);
    r = walk_sv(&c, VA, WALK_WRITE);
    CHECK_EQ(r.write, true);
    CHECK_EQ(pte(BASE + 0x2000, 1) & (A | D), A | D);
}

static void without_hardware_update_a_and_d_fault_and_stay(void **state)
{
    struct walk_ctx c = sv39(true);

    (void)state;
    c.hw_ad = false;
    map3(0x12345000, V | R | W | U);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    map3(0x12345000, V | R | W | U | A);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_OK);
    CHECK_EQ(walk_sv(&c, VA, WALK_WRITE).fault, WALK_PAGE_FAULT);
    CHECK_EQ(pte(BASE + 0x2000, 1) & (A | D), A);
}

static void rights_follow_u_sum_mxr(void **state)
{
    struct walk_ctx c = sv39(false);

    (void)state;
    map3(0x12345000, V | R | W | X | U | A | D);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    c.sum = true;
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_OK);
    CHECK_EQ(walk_sv(&c, VA, WALK_EXEC).fault, WALK_PAGE_FAULT); /* SUM never gives execution */
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).exec, false);
    map3(0x12345000, V | X | A);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    c.mxr = true;
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_OK);
    CHECK_EQ(walk_sv(&c, VA, WALK_WRITE).fault, WALK_PAGE_FAULT);
    c = sv39(true);
    CHECK_EQ(walk_sv(&c, VA, WALK_EXEC).fault, WALK_PAGE_FAULT); /* U=0 from U-mode */
}

static void reserved_encodings_fault(void **state)
{
    struct walk_ctx c = sv39(false);
    static const uint64_t bad[] = {0,
                                   R | W | X,
                                   V | W,
                                   V | W | X,
                                   V | R | A | D | UINT64_C(1) << 54,
                                   V | R | A | D | UINT64_C(1) << 60,
                                   V | R | A | D | UINT64_C(1) << 61};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        map3(0x12345000, bad[i]);
        CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    }
    c.pbmt = true;
    map3(0x12345000, V | R | A | UINT64_C(1) << 61);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_OK);
    map3(0x12345000, V | R | A | UINT64_C(3) << 61);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    map3(BASE, V); /* a pointer at the last level */
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    put(BASE + 0x1000, 1, BASE + 0x2000, V | A); /* a pointer with A */
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
}

static void superpages_and_napot(void **state)
{
    struct walk_ctx c = sv39(false);
    struct walk_result r;

    (void)state;
    put(ROOT, 1, BASE + 0x1000, V);
    put(BASE + 0x1000, 1, 0x400000, V | R | A | G);
    r = walk_sv(&c, VA, WALK_READ);
    CHECK_EQ(r.pa, 0x401234);
    CHECK_EQ(r.span, 2 << 20);
    CHECK_EQ(r.global, true);
    put(BASE + 0x1000, 1, 0x401000, V | R | A);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT); /* misaligned */
    map3(0x10008000, V | R | A | UINT64_C(1) << 63);             /* 64 KiB: ppn ends in 1000 */
    r = walk_sv(&c, VA, WALK_READ);
    CHECK_EQ(r.pa, 0x10001234);
    CHECK_EQ(r.span, 65536);
    map3(0x10004000, V | R | A | UINT64_C(1) << 63);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
    c.napot = false;
    map3(0x10008000, V | R | A | UINT64_C(1) << 63);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_PAGE_FAULT);
}

static void noncanonical_addresses_and_missing_tables(void **state)
{
    struct walk_ctx c = sv39(false);

    (void)state;
    map3(0x12345000, V | R | A);
    CHECK_EQ(walk_sv(&c, VA | UINT64_C(1) << 39, WALK_READ).fault, WALK_PAGE_FAULT);
    CHECK_EQ(walk_sv(&c, VA | UINT64_C(1) << 38, WALK_READ).fault, WALK_PAGE_FAULT);
    c.root = 0x1000; /* no RAM there */
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).fault, WALK_ACCESS_FAULT);
}

static void sv48_and_sv57_take_one_and_two_levels_more(void **state)
{
    struct walk_ctx c = sv39(false);

    (void)state;
    put(BASE + 0x3000, 0, ROOT, V);
    put(BASE + 0x4000, 0, BASE + 0x3000, V);
    map3(0x12345000, V | R | A);
    c.root = BASE + 0x3000;
    c.levels = 4;
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).pa, 0x12345234);
    c.root = BASE + 0x4000;
    c.levels = 5;
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).pa, 0x12345234);
    CHECK_EQ(walk_sv(&c, VA, WALK_READ).steps, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(translates_a_4k_page_and_sets_a_and_d, setup, teardown),
        cmocka_unit_test_setup_teardown(without_hardware_update_a_and_d_fault_and_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(rights_follow_u_sum_mxr, setup, teardown),
        cmocka_unit_test_setup_teardown(reserved_encodings_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(superpages_and_napot, setup, teardown),
        cmocka_unit_test_setup_teardown(noncanonical_addresses_and_missing_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(sv48_and_sv57_take_one_and_two_levels_more, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
