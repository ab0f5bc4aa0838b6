/* The flash as Linux's cfi_cmdset_0001 drives it: both chips at once, commands repeated in both halves of a word. */
#include "devices/pflash_cfi01.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/block.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define BOTH(x) ((uint32_t)(x) << 16 | (uint32_t)(x))

static struct dev_bench bench;
static struct device *dev;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    dev = pflash_new(&bench.env, "flash0", NULL, false, &err);
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

static uint32_t rd(gpa off) { return (uint32_t)dev_read(&bench, DEV_BASE + off, 4); }
static void wr(gpa off, uint32_t v) { dev_write(&bench, DEV_BASE + off, 4, v); }
static void cmd(gpa off, uint8_t c) { wr(off, BOTH(c)); }

static void erase(gpa off)
{
    cmd(off, 0x20);
    cmd(off, 0xd0);
    CHECK_EQ(rd(off), BOTH(0x80));
    cmd(off, 0xff);
}

static bool is_rom(void) { return bus_find(bench.bus, DEV_BASE)->kind == REGION_ROM; }

static void the_array_is_memory_to_run_from(void **state)
{
    (void)state;
    memcpy(pflash_data(dev) + 0x1000, "\x13\0\0\0guise", 9);
    CHECK(is_rom());
    CHECK_EQ(rd(0x1000), 0x13);
    CHECK_EQ(dev_read(&bench, DEV_BASE + 0x1004, 1), 'g');
    assert_memory_equal(bus_mem(bench.bus, DEV_BASE + 0x1004, 5), "guise", 5);
    CHECK(!dma_write(bench.bus, DEV_BASE, "x", 1));
}

static void the_query_describes_it(void **state)
{
    unsigned blocks, bytes;

    (void)state;
    cmd(0x55 * 4, 0x98);
    CHECK(!is_rom());
    CHECK_EQ(rd(0x10 * 4), BOTH('Q'));
    CHECK_EQ(rd(0x11 * 4), BOTH('R'));
    CHECK_EQ(rd(0x12 * 4), BOTH('Y'));
    CHECK_EQ(rd(0x13 * 4), BOTH(1)); /* Intel extended */
    CHECK_EQ(1u << (uint16_t)rd(0x27 * 4), PFLASH_SIZE / 2);
    CHECK_EQ((uint16_t)rd(0x2c * 4), 1);
    blocks = ((uint16_t)rd(0x2d * 4) | (unsigned)(uint16_t)rd(0x2e * 4) << 8) + 1;
    bytes = ((uint16_t)rd(0x2f * 4) | (unsigned)(uint16_t)rd(0x30 * 4) << 8) * 256;
    CHECK_EQ(blocks * bytes, PFLASH_SIZE / 2);
    CHECK_EQ(bytes * 2, PFLASH_SECTOR);
    CHECK_EQ(rd((uint16_t)rd(0x15 * 4) * 4), BOTH('P'));
    CHECK_EQ(dev_read(&bench, DEV_BASE + 0x10 * 4 + 2, 2), 'Q');
    CHECK_EQ(rd(0x1000), 0);
    cmd(0, 0xff);
    CHECK(is_rom());
}

static void the_chips_name_themselves(void **state)
{
    (void)state;
    cmd(0, 0x90);
    CHECK_EQ(rd(0), BOTH(0x89));
    CHECK_EQ(rd(4), BOTH(0x18));
    CHECK_EQ(rd(8), 0); /* block 0 is not locked */
    cmd(0, 0xff);
}

static void programming_clears_bits_and_erasing_sets_them(void **state)
{
    (void)state;
    erase(0x40000);
    CHECK_EQ(rd(0x40000), 0xffffffff);
    CHECK_EQ(rd(0x7fffc), 0xffffffff);
    CHECK_EQ(rd(0x3fffc), 0);
    CHECK_EQ(rd(0x80000), 0);
    cmd(0x40010, 0x40);
    wr(0x40010, 0x12345678);
    CHECK_EQ(rd(0x40010), BOTH(0x80));
    cmd(0x40010, 0x10);
    wr(0x40010, 0xffff0000);
    cmd(0, 0xff);
    CHECK_EQ(rd(0x40010), 0x12340000);
    CHECK_EQ(rd(0x40014), 0xffffffff);
    erase(0x40000);
    CHECK_EQ(rd(0x40010), 0xffffffff);
}

static void buffered_writes_land_on_confirmation(void **state)
{
    (void)state;
    erase(0);
    cmd(0x100, 0xe8);
    CHECK_EQ(rd(0x100), BOTH(0x80));
    wr(0x100, BOTH(3)); /* four words */
    for (unsigned i = 0; i < 4; i++)
        wr(0x100 + 4 * i, 0x1000 + i);
    CHECK_EQ(ld32(pflash_data(dev) + 0x100), 0xffffffff);
    cmd(0x100, 0xd0);
    CHECK_EQ(rd(0x100), BOTH(0x80));
    cmd(0, 0xff);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(rd(0x100 + 4 * i), 0x1000 + i);
    CHECK_EQ(rd(0x110), 0xffffffff);
}

static void bad_sequences_set_error_bits_and_change_nothing(void **state)
{
    (void)state;
    erase(0);
    cmd(0, 0x20);
    cmd(0, 0x70); /* no confirmation */
    CHECK_EQ(rd(0), BOTH(0xb0));
    cmd(0, 0x50);
    cmd(0, 0x70);
    CHECK_EQ(rd(0), BOTH(0x80));
    cmd(0, 0xe8);
    wr(0, BOTH(0xffff)); /* longer than the buffer */
    CHECK_EQ(rd(0), BOTH(0xb0));
    cmd(0, 0x50);
    cmd(0, 0xe8);
    wr(0, BOTH(1));
    wr(0, 1);
    wr(0x1000, 2); /* another block */
    CHECK_EQ(rd(0), BOTH(0x90));
    cmd(0, 0x50);
    cmd(0, 0xe8);
    wr(0, 0);
    wr(0, 1);
    cmd(0, 0x00); /* not confirmed */
    CHECK_EQ(rd(0), BOTH(0xb0));
    cmd(0, 0xff);
    CHECK_EQ(rd(0), 0xffffffff);
    CHECK_EQ(rd(0x1000), 0xffffffff);
    cmd(0, 0xaa); /* unknown: reads the array */
    CHECK(is_rom());
}

static void blocks_can_be_unlocked(void **state)
{
    (void)state;
    cmd(0, 0x60);
    cmd(0, 0xd0);
    CHECK_EQ(rd(0), BOTH(0x80));
    cmd(0, 0x60);
    cmd(0, 0x77);
    CHECK_EQ(rd(0), BOTH(0xb0));
}

static void reset_reads_the_array(void **state)
{
    (void)state;
    cmd(0, 0x98);
    device_reset(dev);
    CHECK(is_rom());
    cmd(0, 0x70);
    CHECK_EQ(rd(0), BOTH(0x80));
}

static void a_snapshot_keeps_the_command_under_way(void **state)
{
    (void)state;
    erase(0);
    cmd(0, 0xe8);
    wr(0, BOTH(0));
    wr(0, 0x77);
    dev_check_save_restore(dev);
    CHECK(!is_rom());
    cmd(0, 0xd0);
    cmd(0, 0xff);
    CHECK_EQ(rd(0), 0x77);
}

/* With a disk. */

static char path[] = "/tmp/guise-flash-XXXXXX";

static struct block *disk(bool read_only, off_t size)
{
    int fd;
    struct block *b;

    strcpy(path + sizeof path - 7, "XXXXXX");
    fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, size), 0);
    CHECK_EQ(pwrite(fd, "boot", 4, 0x2000), 4);
    close(fd);
    b = block_open(&(struct block_options){.path = path, .format = "raw", .read_only = read_only}, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static uint32_t on_disk(off_t at)
{
    uint8_t b[4] = {0};
    FILE *f = fopen(path, "rb");

    CHECK(f && !fseek(f, at, SEEK_SET) && fread(b, 1, 4, f) == 4);
    fclose(f);
    return ld32(b);
}

static void what_is_programmed_reaches_the_disk(void **state)
{
    struct block *b = disk(false, PFLASH_SIZE);

    (void)state;
    device_free(dev);
    bus_free(bench.bus);
    bench.bus = bench.env.bus = bus_new(bench.log);
    dev = pflash_new(&bench.env, "flash1", b, false, &err);
    dev_map(dev);
    CHECK_EQ(rd(0x2000), 0x746f6f62);
    erase(0x1fc0000); /* the last block */
    cmd(0x1fffffc, 0x40);
    wr(0x1fffffc, 0xabcd0123);
    CHECK(pflash_flush(dev));
    CHECK_EQ(on_disk(0x1fffffc), 0xabcd0123);
    CHECK_EQ(on_disk(0x1fc0000), 0xffffffff);
    for (unsigned i = 0; i < 200; i++) { /* faster than the disk */
        cmd(0x40000 * i % 0x1000000, 0x40);
        wr(0x40000 * i % 0x1000000, i);
    }
    device_free(dev); /* waits for the disk */
    block_close(b);
    CHECK_EQ(on_disk(0x2000), 0x746f6f62);
    dev = NULL;
    unlink(path);
}

static void a_read_only_disk_is_a_protected_chip(void **state)
{
    struct block *b = disk(true, PFLASH_SIZE);

    (void)state;
    device_free(dev);
    bus_free(bench.bus);
    bench.bus = bench.env.bus = bus_new(bench.log);
    dev = pflash_new(&bench.env, "flash1", b, false, &err);
    dev_map(dev);
    cmd(0x2000, 0x20);
    cmd(0x2000, 0xd0);
    CHECK_EQ(rd(0), BOTH(0xa0));
    cmd(0, 0x50);
    cmd(0x2000, 0x40);
    wr(0x2000, 0);
    CHECK_EQ(rd(0), BOTH(0x90));
    cmd(0, 0xff);
    CHECK_EQ(rd(0x2000), 0x746f6f62);
    device_free(dev);
    block_close(b);
    dev = NULL;
    unlink(path);
}

static void a_disk_of_another_size_is_refused(void **state)
{
    struct block *b = disk(false, PFLASH_SIZE / 2);

    (void)state;
    CHECK(!pflash_new(&bench.env, "flash1", b, false, &err));
    CHECK(strstr(err.msg, path));
    block_close(b);
    unlink(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_array_is_memory_to_run_from),
        TEST(the_query_describes_it),
        TEST(the_chips_name_themselves),
        TEST(programming_clears_bits_and_erasing_sets_them),
        TEST(buffered_writes_land_on_confirmation),
        TEST(bad_sequences_set_error_bits_and_change_nothing),
        TEST(blocks_can_be_unlocked),
        TEST(reset_reads_the_array),
        TEST(a_snapshot_keeps_the_command_under_way),
        TEST(what_is_programmed_reaches_the_disk),
        TEST(a_read_only_disk_is_a_protected_chip),
        TEST(a_disk_of_another_size_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
