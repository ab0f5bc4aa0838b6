/* The code cache: two aliases of one memory, arenas in turn, eviction of the oldest. */
#include "check.h"

#include <string.h>

#include "translator/cache.h"
#include "translator/tb.h"

static struct cache *cache;
static struct err err;

static int make_small(void **state)
{
    (void)state;
    cache = cache_new(64 << 10, &err);
    return cache ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    cache_free(cache);
    return 0;
}

static void code_written_through_one_alias_runs_through_the_other(void **state)
{
    static const uint8_t ret42[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    struct tb tb = {0};
    uint32_t off, room;
    int (*fn)(void);

    (void)state;
    CHECK(cache_reserve(cache, sizeof ret42, &off, &room));
    memcpy(cache_rw(cache, off), ret42, sizeof ret42);
    cache_commit(cache, off, sizeof ret42, &tb);
    CHECK_EQ(memcmp(cache_rx(cache, off), ret42, sizeof ret42), 0);
    CHECK(cache_rw(cache, off) != cache_rx(cache, off));
    CHECK_EQ(cache_offset(cache, cache_rx(cache, off)), off);
    CHECK(cache_contains(cache, cache_rx(cache, off)));
#ifdef __x86_64__
    const void *p = cache_rx(cache, off);
    memcpy(&fn, &p, sizeof fn);
    CHECK_EQ(fn(), 42);
#else
    (void)fn;
#endif
}

static void reserve_without_commit_gives_the_same_place(void **state)
{
    struct tb tb = {0};
    uint32_t a, b, room;

    (void)state;
    CHECK(cache_reserve(cache, 100, &a, &room));
    CHECK(a >= CACHE_STUBS);
    CHECK(cache_reserve(cache, 100, &b, &room));
    CHECK_EQ(a, b);
    cache_commit(cache, a, 33, &tb);
    CHECK(cache_reserve(cache, 100, &b, &room));
    CHECK_EQ(b, a + 48); /* aligned to 16 */
}

/* Fill until refused; count blocks. */
static unsigned fill(struct tb *tbs, unsigned max, uint32_t size)
{
    uint32_t off, room;
    unsigned n = 0;

    while (n < max && cache_reserve(cache, size, &off, &room)) {
        CHECK(room >= size);
        CHECK(off + room <= cache_size(cache));
        memset(cache_rw(cache, off), 0xcc, size);
        cache_commit(cache, off, size, &tbs[n]);
        tbs[n++].code_offset = off;
    }
    return n;
}

static void a_full_cache_refuses_until_the_oldest_arena_is_free(void **state)
{
    static struct tb tbs[256];
    unsigned n = fill(tbs, 256, 1024), arena;
    uint32_t off, room;

    (void)state;
    CHECK(n >= 48 && n < 64); /* 56 KiB of room */
    arena = cache_arena_of(cache, tbs[0].code_offset);
    CHECK_EQ(cache_evict(cache), arena);
    CHECK_EQ(cache_evict(cache), (uint64_t)-1); /* it is dying already */
    CHECK(!cache_reserve(cache, 1024, &off, &room));
    unsigned listed = 0;
    for (struct tb *tb = *cache_arena_blocks(cache, arena); tb; tb = tb->arena_next)
        listed++;
    CHECK_EQ(listed, cache_largest(cache) / 1024);
    cache_arena_free(cache, arena);
    CHECK(cache_reserve(cache, 1024, &off, &room));
    CHECK_EQ(off, tbs[0].code_offset);
}

static void no_arena_goes_while_there_is_room(void **state)
{
    struct tb tb = {0};
    uint32_t off, room;

    (void)state;
    CHECK_EQ(cache_evict(cache), (uint64_t)-1);
    CHECK(cache_reserve(cache, 1000, &off, &room));
    cache_commit(cache, off, 1000, &tb);
    CHECK_EQ(cache_evict(cache), (uint64_t)-1);
    CHECK(!cache_reserve(cache, cache_largest(cache) + 1, &off, &room));
}

static void blocks_without_code_are_evicted_in_turn(void **state)
{
    static struct tb tbs[1000];
    unsigned n = 0;
    uint32_t off, room;

    (void)state;
    while (n < 1000 && cache_evict(cache) < 0)
        cache_adopt(cache, &tbs[n++]);
    CHECK(n > 1 && n < 400); /* 56 KiB of room: they count as code of 256 bytes */
    CHECK(*cache_arena_blocks(cache, 0) != NULL);
    cache_adopt(cache, &tbs[n]);
    CHECK(cache_reserve(cache, 64, &off, &room));
    cache_commit(cache, off, 64, &tbs[n]); /* compiled: listed once, with its code's arena */
    unsigned listed = 0;
    for (unsigned a = 0; a < cache_arenas(cache); a++)
        for (struct tb *tb = *cache_arena_blocks(cache, a); tb; tb = tb->arena_next)
            listed++;
    CHECK_EQ(listed, n + 1);
    CHECK_EQ(*cache_arena_blocks(cache, cache_arena_of(cache, off)) == &tbs[n], 1);
}

static void big_caches_have_arenas_of_a_mebibyte(void **state)
{
    struct cache *big = cache_new(32 << 20, &err);

    (void)state;
    CHECK(big != NULL);
    CHECK_EQ(cache_largest(big), 1 << 20);
    CHECK_EQ(cache_arenas(big), 31);
    cache_free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(code_written_through_one_alias_runs_through_the_other, make_small, drop),
        cmocka_unit_test_setup_teardown(reserve_without_commit_gives_the_same_place, make_small, drop),
        cmocka_unit_test_setup_teardown(a_full_cache_refuses_until_the_oldest_arena_is_free, make_small, drop),
        cmocka_unit_test_setup_teardown(no_arena_goes_while_there_is_room, make_small, drop),
        cmocka_unit_test_setup_teardown(blocks_without_code_are_evicted_in_turn, make_small, drop),
        cmocka_unit_test(big_caches_have_arenas_of_a_mebibyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
