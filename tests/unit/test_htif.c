/* HTIF with the words that riscv-tests, the architectural tests and proxy-kernel programs store. */
#include "devices/htif.h"

#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define TOHOST (DEV_RAM + 0x1000)
#define FROMHOST (DEV_RAM + 0x1040)
enum { LONG_ENOUGH = 5000000 };

static struct dev_bench bench;
static struct device *dev;
static struct dev_chardev chr;
static int exits;
static uint64_t code;

static void ended(void *arg, uint64_t c)
{
    (void)arg;
    exits++;
    code = c;
}

static int setup(void **state)
{
    (void)state;
    exits = 0;
    dev_bench_open(&bench);
    dev_chardev_init(&chr);
    dev = htif_new(&bench.env, "htif",
                   &(struct htif_config){.tohost = TOHOST, .fromhost = FROMHOST, .exit = ended, .console = &chr.c});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static void put(gpa at, uint64_t v) { memcpy(bus_ram(bench.bus, at, 8), &v, 8); }
static uint64_t get(gpa at) { return ld64(bus_ram(bench.bus, at, 8)); }
static void run(void) { clock_advance(bench.clock, LONG_ENOUGH); }

static void odd_payload_ends_with_its_code(void **state)
{
    (void)state;
    run();
    CHECK_EQ(exits, 0);
    put(TOHOST, 1);
    run();
    CHECK_EQ(exits, 1);
    CHECK_EQ(code, 0);
    CHECK_EQ(clock_next(bench.clock), CLOCK_NEVER);
}

static void failure_is_the_test_number(void **state)
{
    (void)state;
    put(TOHOST, 5 << 1 | 1);
    run();
    CHECK_EQ(code, 5);
}

static void characters_go_out_one_by_one(void **state)
{
    (void)state;
    for (const char *s = "hi\n"; *s; s++) {
        put(TOHOST, UINT64_C(0x0101) << 48 | (uint8_t)*s);
        run();
        CHECK_EQ(get(TOHOST), 0);
    }
    CHECK_STR(chr.out, "hi\n");
    CHECK_EQ(exits, 0);
}

static void a_character_comes_when_asked_for(void **state)
{
    (void)state;
    chr.c.receive(chr.c.dev, (const uint8_t *)"xy", 2);
    run();
    CHECK_EQ(get(FROMHOST), 0);
    put(TOHOST, UINT64_C(0x0100) << 48);
    run();
    CHECK_EQ(get(FROMHOST), UINT64_C(0x0100) << 48 | 'x');
    put(TOHOST, UINT64_C(0x0100) << 48);
    run();
    CHECK_EQ(get(FROMHOST), UINT64_C(0x0100) << 48 | 'x'); /* not taken yet */
    put(FROMHOST, 0);
    run();
    CHECK_EQ(get(FROMHOST), UINT64_C(0x0100) << 48 | 'y');
}

static void a_value_stored_in_halves_is_seen_whole(void **state)
{
    uint32_t lo = 'A', hi = 0x01010000;

    (void)state;
    memcpy(bus_ram(bench.bus, TOHOST, 4), &lo, 4); /* odd: an exit, if taken alone */
    clock_advance(bench.clock, 1000000);           /* one look */
    memcpy(bus_ram(bench.bus, TOHOST + 4, 4), &hi, 4);
    run();
    CHECK_EQ(exits, 0);
    CHECK_STR(chr.out, "A");
}

static void system_calls_write_and_exit(void **state)
{
    gpa block = DEV_RAM + 0x2000, text = DEV_RAM + 0x3000;

    (void)state;
    memcpy(bus_ram(bench.bus, text, 6), "text\n", 6);
    put(block, 64);
    put(block + 8, 1);
    put(block + 16, text);
    put(block + 24, 5);
    put(TOHOST, block);
    run();
    CHECK_STR(chr.out, "text\n");
    CHECK_EQ(get(block), 5);
    CHECK_EQ(get(FROMHOST), 1);
    put(FROMHOST, 0);
    put(block, 64);
    put(block + 16, 0x10); /* no RAM there */
    put(TOHOST, block);
    run();
    CHECK_EQ(get(block), (uint64_t)-14);
    put(block, 93);
    put(block + 8, 7);
    put(TOHOST, block);
    run();
    CHECK_EQ(code, 7);
}

static void nonsense_is_ignored(void **state)
{
    (void)state;
    put(TOHOST, UINT64_C(0x0707) << 48 | 1);
    run();
    put(TOHOST, 0x10); /* a block that is not in RAM */
    run();
    CHECK_EQ(get(TOHOST), 0);
    CHECK_EQ(exits, 0);
    CHECK_EQ(chr.len, 0);
}

static void a_snapshot_keeps_input(void **state)
{
    (void)state;
    chr.c.receive(chr.c.dev, (const uint8_t *)"z", 1);
    dev_check_save_restore(dev);
    put(TOHOST, UINT64_C(0x0100) << 48);
    run();
    CHECK_EQ(get(FROMHOST), UINT64_C(0x0100) << 48 | 'z');
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(odd_payload_ends_with_its_code),
        TEST(failure_is_the_test_number),
        TEST(characters_go_out_one_by_one),
        TEST(a_character_comes_when_asked_for),
        TEST(a_value_stored_in_halves_is_seen_whole),
        TEST(system_calls_write_and_exit),
        TEST(nonsense_is_ignored),
        TEST(a_snapshot_keeps_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
