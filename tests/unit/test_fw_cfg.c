/* fw_cfg as firmware sees it: layouts and numbers from QEMU's docs/specs/fw_cfg.rst. */
#include "devices/fw_cfg.h"

#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

static struct dev_bench bench;
static struct device *dev;
static struct err err;
static unsigned selected, written_off, written_len;

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    dev = fw_cfg_new(&bench.env, "fw_cfg");
    dev_map(dev);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static void choose(uint16_t key) { dev_write(&bench, DEV_BASE + 8, 2, __builtin_bswap16(key)); }
static uint64_t data(unsigned size) { return dev_read(&bench, DEV_BASE, size); }

static void ram_put(gpa at, const void *p, size_t n) { CHECK(dma_write(bench.bus, at, p, n)); }

/* Runs a request whose descriptor lies at DEV_RAM; what is left in its control word. */
static uint32_t dma(uint32_t control, uint32_t len, gpa addr)
{
    uint8_t d[16];

    st32be(d, control);
    st32be(d + 4, len);
    st64be(d + 8, addr);
    ram_put(DEV_RAM, d, sizeof d);
    dev_write(&bench, DEV_BASE + 16, 8, __builtin_bswap64(DEV_RAM));
    CHECK(dma_read(bench.bus, DEV_RAM, d, sizeof d));
    return ld32be(d);
}

static void signature_and_version(void **state)
{
    (void)state;
    choose(0);
    CHECK_EQ(data(1), 'Q');
    CHECK_EQ(data(1), 'E');
    CHECK_EQ(data(2), 'M' | 'U' << 8);
    CHECK_EQ(data(8), 0); /* past the end */
    choose(1);
    CHECK_EQ(data(4), 3); /* traditional and DMA */
    CHECK_EQ(__builtin_bswap64(dev_read(&bench, DEV_BASE + 16, 8)), UINT64_C(0x51454d5520434647));
    CHECK_EQ(dev_read(&bench, DEV_BASE + 16, 1), 'Q');
    CHECK_EQ(dev_read(&bench, DEV_BASE + 20, 4), 0x47464320); /* " CFG" */
}

static void directory_lists_files(void **state)
{
    uint8_t dir[4 + 2 * 64];

    (void)state;
    CHECK(fw_cfg_add_string(dev, "opt/org.test/a", "hello", &err));
    CHECK(fw_cfg_add(dev, &(struct fw_cfg_item){.name = "etc/b", .len = 0x10203}, &err));
    CHECK_EQ(dma(0x0019000a, sizeof dir, DEV_RAM + 0x100), 0); /* select and read */
    CHECK(dma_read(bench.bus, DEV_RAM + 0x100, dir, sizeof dir));
    CHECK_EQ(ld32be(dir), 2);
    CHECK_EQ(ld32be(dir + 4), 5);
    CHECK_EQ(ld16be(dir + 8), 0x20);
    CHECK_STR((char *)dir + 12, "opt/org.test/a");
    CHECK_EQ(ld32be(dir + 68), 0x10203);
    CHECK_EQ(ld16be(dir + 72), 0x21);
    CHECK_STR((char *)dir + 76, "etc/b");
    choose(0x20);
    CHECK_EQ(data(8), UINT64_C(0x6f6c6c6568)); /* "hello" in memory order */
}

static void set_up_mistakes_are_told(void **state)
{
    char name[80];

    (void)state;
    memset(name, 'n', sizeof name);
    name[56] = 0;
    CHECK(!fw_cfg_add_string(dev, name, "x", &err));
    name[55] = 0;
    CHECK(fw_cfg_add_string(dev, name, "x", &err));
    CHECK(!fw_cfg_add_string(dev, name, "x", &err));
    CHECK(!fw_cfg_add_string(dev, "", "x", &err));
    CHECK(!fw_cfg_add_u16(dev, FW_CFG_SIGNATURE, 1, &err));
    CHECK(!fw_cfg_add_u16(dev, 0x20, 1, &err));
    CHECK(fw_cfg_add_u16(dev, FW_CFG_NB_CPUS, 4, &err));
    for (int i = 1; i < FW_CFG_FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        CHECK(fw_cfg_add_string(dev, name, "", &err));
    }
    CHECK(!fw_cfg_add_string(dev, "one too many", "", &err));
}

static void dma_reads_and_fills_with_zeros(void **state)
{
    uint8_t got[8];

    (void)state;
    CHECK(fw_cfg_add_string(dev, "a", "abcd", &err));
    ram_put(DEV_RAM + 0x200, "........", 8);
    CHECK_EQ(dma(0x0020000a, 6, DEV_RAM + 0x200), 0);
    CHECK(dma_read(bench.bus, DEV_RAM + 0x200, got, 8));
    assert_memory_equal(got, "abcd\0\0..", 8);
}

static void dma_skips_and_goes_on(void **state)
{
    uint8_t got[2];

    (void)state;
    CHECK(fw_cfg_add_string(dev, "a", "abcdef", &err));
    choose(0x20);
    CHECK_EQ(data(1), 'a');
    CHECK_EQ(dma(4, 2, 0), 0);
    CHECK_EQ(dma(2, 2, DEV_RAM + 0x200), 0);
    CHECK(dma_read(bench.bus, DEV_RAM + 0x200, got, 2));
    assert_memory_equal(got, "de", 2);
    CHECK_EQ(data(2), 'f');
}

static void dma_address_in_halves(void **state)
{
    uint8_t d[16] = {0};

    (void)state;
    st32be(d, 0x0000000a);
    st32be(d + 4, 4);
    st64be(d + 8, DEV_RAM + 0x300);
    ram_put(DEV_RAM, d, sizeof d);
    dev_write(&bench, DEV_BASE + 16, 4, 0);
    dev_write(&bench, DEV_BASE + 20, 4, __builtin_bswap32(0x80000000));
    CHECK(dma_read(bench.bus, DEV_RAM + 0x300, d, 4));
    assert_memory_equal(d, "QEMU", 4);
}

static void bad_addresses_give_an_error(void **state)
{
    uint64_t v;

    (void)state;
    CHECK(fw_cfg_add_string(dev, "a", "abcdef", &err));
    CHECK_EQ(dma(0x0020000a, 6, 0x1000), 1);                          /* nothing there */
    CHECK_EQ(dma(0x0020000a, 6, DEV_BASE), 1);                        /* registers, its own */
    CHECK_EQ(dma(0x0020000a, 6, DEV_RAM + DEV_RAM_SIZE - 3), 1);      /* over the end */
    CHECK_EQ(dma(0x0020000a, 6, UINT64_MAX - 2), 1);                  /* wraps */
    CHECK_EQ(dma(0x0020000a, UINT32_MAX, DEV_RAM), 1);                /* more zeros than there is RAM */
    CHECK_EQ(dma(0x00200018, 6, DEV_RAM + 0x200), 1);                 /* write of a read-only item */
    CHECK_EQ(dma(0x0fff000a, 4, DEV_RAM + 0x200), 0);                 /* no such item: zeros */
    dev_write(&bench, DEV_BASE + 16, 8, __builtin_bswap64(DEV_BASE)); /* descriptor not in RAM: nothing happens */
    dev_write(&bench, DEV_BASE + 16, 8, UINT64_MAX);
    dev_write(&bench, DEV_BASE, 8, 1);
    CHECK(bus_read(bench.bus, DEV_BASE, 8, &v));
    CHECK(dev_refused(&bench, DEV_BASE + 0x18, 1));
}

static void chosen(void *arg, void *p, uint32_t len)
{
    (void)arg;
    selected++;
    memset(p, (int)selected, len);
}

static void wrote(void *arg, const void *p, uint32_t off, uint32_t len)
{
    (void)arg, (void)p;
    written_off = off;
    written_len = len;
}

static void callbacks_fill_and_notice(void **state)
{
    (void)state;
    selected = written_len = 0;
    CHECK(fw_cfg_add(dev, &(struct fw_cfg_item){.name = "live", .len = 2, .selected = chosen}, &err));
    CHECK(fw_cfg_add(dev, &(struct fw_cfg_item){.name = "etc/ramfb", .len = 28, .writable = true, .written = wrote},
                     &err));
    choose(0x20);
    CHECK_EQ(data(2), 0x0101);
    choose(0x20);
    CHECK_EQ(data(2), 0x0202);
    ram_put(DEV_RAM + 0x200, "0123456789012345678901234567", 28);
    CHECK_EQ(dma(0x00210018, 28, DEV_RAM + 0x200), 0);
    CHECK_EQ(written_off, 0);
    CHECK_EQ(written_len, 28);
    choose(0x21);
    CHECK_EQ(data(4), 0x33323130);
    CHECK_EQ(dma(16, 25, DEV_RAM + 0x200), 1); /* longer than the rest */
    written_off = 0;
    CHECK_EQ(dma(16, 0, DEV_RAM + 0x200), 1); /* the place is past the end now */
    CHECK_EQ(written_off, 0);
}

static void a_snapshot_keeps_the_place(void **state)
{
    (void)state;
    CHECK(fw_cfg_add_string(dev, "a", "abc", &err));
    choose(0x20);
    data(1);
    dev_check_save_restore(dev);
    CHECK_EQ(data(2), 'b' | 'c' << 8);
    device_reset(dev);
    CHECK_EQ(data(4), 0x554d4551); /* key 0 */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signature_and_version),          TEST(directory_lists_files),     TEST(set_up_mistakes_are_told),
        TEST(dma_reads_and_fills_with_zeros), TEST(dma_skips_and_goes_on),     TEST(dma_address_in_halves),
        TEST(bad_addresses_give_an_error),    TEST(callbacks_fill_and_notice), TEST(a_snapshot_keeps_the_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
