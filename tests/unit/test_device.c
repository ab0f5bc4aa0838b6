/* What the common device code promises: reset, snapshot, locking and description from the field table. */
#include <string.h>

#include "devices/device.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

struct gadget {
    struct device dev;
    uint32_t level;
    uint16_t kept;
    uint8_t list[3];
    bool flag, flags[2];
    unsigned updates;
};

static const struct field gadget_state[] = {
    FIELD(struct gadget, level), FIELD_KEEP(struct gadget, kept),      FIELD_ARRAY(struct gadget, list, 3),
    FIELD(struct gadget, flag),  FIELD_ARRAY(struct gadget, flags, 2), {0},
};

static uint64_t gadget_read(void *dev, gpa off, unsigned size)
{
    struct gadget *g = dev;

    (void)off, (void)size;
    /* the bus holds the lock: it cannot be had a second time */
    return pthread_mutex_trylock(&g->dev.lock) ? g->level : 0;
}

static void gadget_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    (void)off, (void)size;
    ((struct gadget *)dev)->level = (uint32_t)val;
}

static void gadget_reset(struct device *d) { ((struct gadget *)d)->list[2] = 7; }
static void gadget_update(struct device *d) { ((struct gadget *)d)->updates++; }

static const struct device_ops gadget_ops = {
    .name = "gadget",
    .size = 0x10,
    .mmio = {gadget_read, gadget_write, .min_size = 4, .max_size = 4},
    .state = gadget_state,
    .reset = gadget_reset,
    .update = gadget_update,
};

static struct dev_bench bench;
static struct gadget g;

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    g = (struct gadget){.level = 5, .kept = 6, .list = {1, 2, 3}, .flag = true, .flags = {true, false}};
    device_init(&g.dev, &gadget_ops, "g0", &bench.env);
    dev_map(&g.dev);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_fini(&g.dev);
    dev_bench_close(&bench);
    return 0;
}

static void accesses_run_under_the_lock(void **state)
{
    (void)state;
    dev_write(&bench, DEV_BASE, 4, 99);
    CHECK_EQ(dev_read(&bench, DEV_BASE, 4), 99);
    CHECK(dev_refused(&bench, DEV_BASE + 0x10, 4));
}

static void reset_zeroes_all_but_kept_fields(void **state)
{
    (void)state;
    device_reset(&g.dev);
    CHECK_EQ(g.level, 0);
    CHECK_EQ(g.kept, 6);
    CHECK_EQ(g.list[0], 0);
    CHECK_EQ(g.list[2], 7);
    CHECK_EQ(g.flag, false);
    CHECK_EQ(g.updates, 1);
}

static void a_snapshot_is_the_fields_in_order(void **state)
{
    uint8_t b[12];
    const uint8_t want[12] = {5, 0, 0, 0, 6, 0, 1, 2, 3, 1, 1, 0};
    struct err e;

    (void)state;
    CHECK_EQ(device_state_size(&g.dev), sizeof b);
    device_save(&g.dev, b);
    assert_memory_equal(b, want, sizeof b);
    b[9] = 0xff; /* no value of a bool */
    b[11] = 2;
    CHECK(device_restore(&g.dev, b, sizeof b, &e));
    CHECK_EQ(*(uint8_t *)&g.flag, 1);
    CHECK_EQ(*(uint8_t *)&g.flags[1], 1);
    CHECK(!device_restore(&g.dev, b, sizeof b - 1, &e));
    CHECK(strstr(e.msg, "g0"));
}

static void note(void *arg, const char *text)
{
    strcat(arg, text);
    strcat(arg, ";");
}

static void info_prints_the_fields(void **state)
{
    char text[512] = "";

    (void)state;
    device_info(&g.dev, note, text);
    CHECK_STR(text, "level = 0x5;kept = 0x6;list = 0x1 0x2 0x3;flag = 0x1;flags = 0x1 0x0;");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accesses_run_under_the_lock),
        TEST(reset_zeroes_all_but_kept_fields),
        TEST(a_snapshot_is_the_fields_in_order),
        TEST(info_prints_the_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
