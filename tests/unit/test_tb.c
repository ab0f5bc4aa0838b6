/* The table of blocks: lookup, per-page lists, page ids, links. */
#include "check.h"

#include <stdlib.h>

#include "cpu/isa.h"
#include "mmu/tlb.h"
#include "translator/tb.h"

static const struct isa_ops isa = {.name = "toy", .insn_size = 16};
static struct tb_table tt;

static int make(void **state)
{
    (void)state;
    return tb_table_init(&tt, 100) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    tb_table_fini(&tt);
    return 0;
}

static struct tb *block(gva pc, gpa phys, gpa phys2, uint32_t mode)
{
    char insns[32] = {1, 2, 3};
    struct guest_block b = {
        .pc = pc, .phys = phys, .phys2 = phys2, .mode = mode, .count = 2, .bytes = 8, .insns = insns};
    struct tb *tb = tb_new(&isa, &b);

    CHECK(tb != NULL);
    CHECK(tb_insert(&tt, tb));
    return tb;
}

#define NONE (~(gpa)0)

static void a_block_is_found_by_place_and_mode(void **state)
{
    struct tb *a = block(0x1000, 0x80001000, NONE, 0), *b = block(0x1000, 0x80001000, NONE, 1);

    (void)state;
    CHECK(tb_find(&tt, 0x80001000, 0x1000, 0) == a);
    CHECK(tb_find(&tt, 0x80001000, 0x1000, 1) == b);
    CHECK(tb_find(&tt, 0x80001000, 0x2000, 0) == NULL);
    CHECK(tb_find(&tt, 0x80001002, 0x1002, 0) == NULL);
    tb_remove(&tt, a);
    CHECK(tb_find(&tt, 0x80001000, 0x1000, 0) == NULL);
    CHECK(tb_find(&tt, 0x80001000, 0x1000, 1) == b);
    tb_free(a);
}

static void dead_blocks_are_not_found(void **state)
{
    struct tb *a = block(0x1000, 0x80001000, NONE, 0);

    (void)state;
    a->dead = true;
    CHECK(tb_find(&tt, 0x80001000, 0x1000, 0) == NULL);
}

static void page_ids_are_equal_exactly_for_the_same_page_pair_and_mode(void **state)
{
    struct tb *a = block(0x1000, 0x80001000, NONE, 0), *same = block(0x1010, 0x80001010, NONE, 0);
    struct tb *other_mode = block(0x1000, 0x80001000, NONE, 1), *other_va = block(0x5000, 0x80001000, NONE, 0);
    struct tb *other_pa = block(0x1000, 0x80002000, NONE, 0);

    (void)state;
    CHECK(a->code_id != 0);
    CHECK_EQ(a->code_id, same->code_id);
    CHECK(a->code_id != other_mode->code_id);
    CHECK(a->code_id != other_va->code_id);
    CHECK(a->code_id != other_pa->code_id);
    CHECK_EQ(a->code_id2, 0);
}

static void a_page_of_position_independent_code_has_one_id(void **state)
{
    struct tb *a = block(0x1234, 0x80001234, 0x80009000, TB_PIC), *b = block(0x77770, 0x80009770, NONE, TB_PIC);
    struct tb *fixed = block(0x1234, 0x80001234, NONE, 0);
    struct tlb_ctx *c = calloc(1, sizeof *c);

    (void)state;
    CHECK(c != NULL);
    CHECK_EQ(a->pc, 0x234);
    CHECK(tb_find(&tt, 0x80001234, tb_pc(0x5555234, TB_PIC), TB_PIC) == a);
    CHECK(tb_find(&tt, 0x80001234, 0x1234, 0) == fixed);
    CHECK_EQ(a->code_id2, b->code_id); /* wherever the second page is mapped by itself */
    tb_set_ids(c, a, 0x5555234);
    CHECK(tb_ids_hold(c, a, 0x5555234));
    CHECK(!tb_ids_hold(c, a, 0x1234));
    CHECK(!tb_ids_hold(c, b, 0x5555770));
    CHECK(tb_ids_hold(c, b, 0x5556770));
    tb_set_ids(c, b, 0x77770);
    CHECK(!tb_ids_hold(c, a, 0x5555234));
    free(c);
}

static void a_straddling_block_is_on_both_pages(void **state)
{
    struct tb *a = block(0x1ffe, 0x80001ffe, 0x80009000, 0), *b = block(0x2002, 0x80009002, NONE, 0);

    (void)state;
    CHECK_EQ(a->code_id2, b->code_id);
    CHECK(tb_page(&tt, 0x80001000)->first == a);
    CHECK(tb_page(&tt, 0x80009000)->first == b);
    CHECK(*tb_page_next(b, tb_page(&tt, 0x80009000)) == a);
    tb_remove(&tt, a);
    CHECK(tb_page(&tt, 0x80001000)->first == NULL);
    CHECK(*tb_page_next(b, tb_page(&tt, 0x80009000)) == NULL);
    tb_free(a);
}

static void one_physical_page_on_both_sides_is_listed_once(void **state)
{
    struct tb *a = block(0x1ffe, 0x80001ffe, 0x80001000, 0);

    (void)state;
    CHECK(tb_page(&tt, 0x80001000)->first == a);
    CHECK(*tb_page_next(a, tb_page(&tt, 0x80001000)) == NULL);
    CHECK(a->code_id != a->code_id2);
    tb_remove(&tt, a);
    CHECK(tb_page(&tt, 0x80001000)->first == NULL);
    tb_free(a);
}

static void room(struct tb *tb)
{
    static struct ir ir;

    ir_reset(&ir);
    for (unsigned i = 0; i < 40; i++)
        ir_emit(&ir, IR_brcond, IR_EQ, 0, 0, IR_NONE, 0);
    CHECK(tb_room_for_links(tb, &ir));
    CHECK_EQ(tb->link_room, TB_LINKS);
}

static void links_come_off_from_either_end(void **state)
{
    struct tb *a = block(0x1000, 0x80001000, NONE, 0), *b = block(0x1100, 0x80001100, NONE, 0);
    struct tb *c = block(0x1200, 0x80001200, NONE, 0);

    (void)state;
    room(a);
    room(b);
    tb_link(a, 0, c);
    tb_link(b, 1, c);
    tb_link(a, 1, c);
    CHECK(a->link[0].to == c && b->link[1].to == c && a->link[1].to == c);
    tb_unlink_out(b, 1); /* from the middle */
    CHECK(b->link[1].to == NULL);
    CHECK(c->in_first == a && c->in_index == 1);
    tb_unlink_out(a, 1);
    CHECK(c->in_first == a && c->in_index == 0);
    tb_unlink_out(a, 0);
    CHECK(c->in_first == NULL);
    tb_unlink_out(a, 0); /* not linked: nothing happens */
    tb_link(a, 0, a);    /* to itself */
    CHECK(a->in_first == a);
    tb_unlink_out(a, 0);
    CHECK(a->in_first == NULL);
}

static void the_hash_of_code_sees_any_changed_byte(void **state)
{
    uint8_t code[23] = {0};
    uint64_t h = source_hash(code, sizeof code, 0);

    (void)state;
    for (unsigned i = 0; i < sizeof code; i++) {
        code[i] ^= 1;
        CHECK(source_hash(code, sizeof code, 0) != h);
        code[i] ^= 1;
    }
    CHECK_EQ(source_hash(code, sizeof code, 0), h);
    CHECK(source_hash(code, sizeof code - 1, 0) != h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_block_is_found_by_place_and_mode),
        T(dead_blocks_are_not_found),
        T(page_ids_are_equal_exactly_for_the_same_page_pair_and_mode),
        T(a_page_of_position_independent_code_has_one_id),
        T(a_straddling_block_is_on_both_pages),
        T(one_physical_page_on_both_sides_is_listed_once),
        T(links_come_off_from_either_end),
        T(the_hash_of_code_sees_any_changed_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
