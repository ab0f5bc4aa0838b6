/* UART 16550A through its registers, values from the PC16550D data sheet. */
#include <string.h>

#include "devices/chardev_null.h"
#include "devices/uart16550.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

static struct dev_bench bench;
static struct device *dev;
static struct dev_chardev chr;
static struct dev_line line;

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    dev_chardev_init(&chr);
    dev = uart16550_new(&bench.env, "uart0", &chr.c);
    dev_map(dev);
    dev_connect(&dev->irq, &line);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static uint8_t rd(gpa off) { return (uint8_t)dev_read(&bench, DEV_BASE + off, 1); }
static void wr(gpa off, uint8_t v) { dev_write(&bench, DEV_BASE + off, 1, v); }
static void type(const char *s) { chr.c.receive(chr.c.dev, (const uint8_t *)s, strlen(s)); }

static void bytes_go_out_and_the_transmitter_is_ready(void **state)
{
    (void)state;
    for (const char *s = "hello"; *s; s++) {
        CHECK_EQ(rd(5), 0x60);
        wr(0, (uint8_t)*s);
    }
    CHECK_STR(chr.out, "hello");
    CHECK_EQ(line.rises, 0);
}

static void a_slow_host_end_clears_thre_and_loses_nothing(void **state)
{
    (void)state;
    wr(2, 1); /* FIFOs on */
    chr.limit = 2;
    for (int i = 0; i < 18; i++)
        wr(0, (uint8_t)('a' + i));
    CHECK_EQ(rd(5), 0);
    wr(0, 'Z'); /* the FIFO is full: lost, as on the chip */
    wr(1, 2);
    CHECK_EQ(line.level, 0);
    chr.limit = 5;
    chr.c.writable(chr.c.dev);
    CHECK_EQ(rd(5), 0);
    CHECK_EQ(line.level, 0);
    chr.limit = 4000;
    chr.c.writable(chr.c.dev);
    CHECK_EQ(rd(5), 0x60);
    CHECK_EQ(line.level, 1);
    CHECK_STR(chr.out, "abcdefghijklmnopqr");
}

static void thre_interrupts_once_until_read_or_written(void **state)
{
    (void)state;
    CHECK_EQ(rd(2), 0x01);
    wr(1, 2); /* empty now: interrupts at once */
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(2), 0x02);
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(2), 0x01);
    wr(0, 'x');
    CHECK_EQ(line.level, 1);
    wr(1, 0);
    CHECK_EQ(line.level, 0);
}

static void one_byte_without_fifos(void **state)
{
    (void)state;
    wr(1, 1);
    CHECK_EQ(chr.c.room(chr.c.dev), 1);
    type("A");
    CHECK_EQ(chr.c.room(chr.c.dev), 0);
    CHECK_EQ(rd(2), 0x04);
    CHECK_EQ(rd(5), 0x61);
    chr.drained = 0;
    CHECK_EQ(rd(0), 'A');
    CHECK_EQ(chr.drained, 1);
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(5), 0x60);
}

static void fifo_interrupts_at_its_trigger_level(void **state)
{
    (void)state;
    wr(2, 0x81); /* 8 bytes */
    wr(1, 1);
    CHECK_EQ(chr.c.room(chr.c.dev), 16);
    type("1234567");
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(2), 0xc1);
    type("8");
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(2), 0xc4);
    for (char c = '1'; c <= '8'; c++)
        CHECK_EQ(rd(0), c);
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(5), 0x60);
}

static void waiting_bytes_time_out_after_four_characters(void **state)
{
    const uint64_t four = 4ull * 10 * NS_PER_SEC / 115200; /* 8N1: ten bits a character */

    (void)state;
    wr(3, 0x83);
    wr(0, 2); /* 3686400 / 16 / 2 = 115200 */
    wr(1, 0);
    wr(3, 0x03);
    wr(2, 0xc1); /* 14 bytes */
    wr(1, 1);
    type("ab");
    clock_advance(bench.clock, four / 2);
    type("c"); /* starts the time again */
    clock_advance(bench.clock, four - 1);
    CHECK_EQ(line.level, 0);
    clock_advance(bench.clock, 2);
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(2), 0xcc);
    CHECK_EQ(rd(0), 'a');
    CHECK_EQ(line.level, 0);
    clock_advance(bench.clock, four + 1);
    CHECK_EQ(rd(2), 0xcc); /* the rest times out too */
    rd(0);
    rd(0);
    clock_advance(bench.clock, 10 * four);
    CHECK_EQ(line.level, 0);
}

static void a_break_is_a_zero_byte_with_its_flag(void **state)
{
    (void)state;
    wr(2, 1);
    wr(1, 4);
    type("x");
    chr.c.event(chr.c.dev, CHARDEV_BREAK);
    type("y");
    CHECK_EQ(rd(5), 0xe1); /* an error somewhere in the FIFO; x itself is good */
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(0), 'x');
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(2), 0xc6);
    CHECK_EQ(rd(5), 0xf1);
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(5), 0x61);
    CHECK_EQ(rd(0), 0);
    CHECK_EQ(rd(0), 'y');
}

static void loopback_returns_bytes_and_modem_lines(void **state)
{
    (void)state;
    CHECK_EQ(rd(6), 0xb0);
    wr(4, 0x1a); /* LOOP, OUT2, RTS: what Linux probes with */
    CHECK_EQ(rd(6) & 0xf0, 0x90);
    CHECK_EQ(rd(6), 0x90);
    wr(4, 0x1f);
    CHECK_EQ(rd(6), 0xf2); /* DSR rose; the ring indicator tells only its fall */
    wr(4, 0x1b);
    CHECK_EQ(rd(6), 0xb4);
    CHECK_EQ(chr.c.room(chr.c.dev), 0);
    wr(0, 'L');
    CHECK_EQ(chr.len, 0);
    CHECK_EQ(rd(5), 0x61);
    wr(0, 'M'); /* no FIFO: overwrites */
    CHECK_EQ(rd(5), 0x63);
    CHECK_EQ(rd(5), 0x61);
    CHECK_EQ(rd(0), 'M');
    wr(4, 0x03);
    CHECK_EQ(chr.c.room(chr.c.dev), 1);
}

static void modem_changes_interrupt_until_read(void **state)
{
    (void)state;
    wr(1, 8);
    wr(4, 0x10);
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(2), 0x00);
    CHECK_EQ(rd(6), 0x0b); /* DCD, DSR and CTS fell */
    CHECK_EQ(line.level, 0);
}

static void a_full_fifo_in_loopback_keeps_its_bytes(void **state)
{
    (void)state;
    wr(2, 1);
    wr(4, 0x10);
    for (int i = 0; i < 17; i++)
        wr(0, (uint8_t)('a' + i));
    CHECK_EQ(rd(5), 0x63);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(rd(0), 'a' + i);
    CHECK_EQ(rd(5), 0x60);
}

static void clearing_fifos_empties_them(void **state)
{
    (void)state;
    wr(2, 1);
    type("abc");
    chr.limit = 0;
    wr(0, 'x');
    CHECK_EQ(rd(5), 0x01);
    wr(2, 7);
    CHECK_EQ(rd(5), 0x60);
    CHECK_EQ(rd(2) & 0xc0, 0xc0);
    wr(2, 0);
    CHECK_EQ(rd(2) & 0xc0, 0);
}

static void divisor_and_scratch_hold(void **state)
{
    (void)state;
    wr(7, 0x5a);
    CHECK_EQ(rd(7), 0x5a);
    wr(3, 0x80);
    wr(0, 0x34);
    wr(1, 0x12);
    CHECK_EQ(rd(0), 0x34);
    CHECK_EQ(rd(1), 0x12);
    wr(3, 0);
    CHECK_EQ(rd(1), 0);
    CHECK_EQ(chr.len, 0);
    wr(1, 0xff);
    CHECK_EQ(rd(1), 0x0f);
    wr(4, 0xff);
    CHECK_EQ(rd(4), 0x1f);
}

static void reset_gives_the_chip_its_first_state(void **state)
{
    (void)state;
    wr(2, 0xc1);
    wr(1, 0xf);
    wr(7, 1);
    type("hello");
    device_reset(dev);
    CHECK_EQ(line.level, 0);
    CHECK_EQ(rd(1), 0);
    CHECK_EQ(rd(2), 1);
    CHECK_EQ(rd(3), 0);
    CHECK_EQ(rd(5), 0x60);
    CHECK_EQ(rd(7), 0);
}

static void a_snapshot_keeps_fifos_and_timeouts(void **state)
{
    (void)state;
    wr(2, 0x81);
    wr(1, 1);
    chr.limit = 0;
    wr(0, 'q');
    type("abc");
    dev_check_save_restore(dev);
    CHECK_EQ(line.level, 0);
    clock_advance(bench.clock, NS_PER_SEC);
    CHECK_EQ(rd(2), 0xcc);
    dev_check_save_restore(dev);
    CHECK_EQ(line.level, 1);
    CHECK_EQ(rd(0), 'a');
    chr.limit = 100;
    chr.c.writable(chr.c.dev);
    CHECK_STR(chr.out, "q");
}

static void nobody_at_the_host_end_takes_everything(void **state)
{
    struct chardev *null = chardev_null_new();
    struct device *d = uart16550_new(&bench.env, "uart1", null);
    struct err e;

    (void)state;
    CHECK(device_map(d, DEV_BASE + 0x1000, &e));
    for (int i = 0; i < 100; i++) {
        dev_write(&bench, DEV_BASE + 0x1000, 1, 'x');
        CHECK_EQ(dev_read(&bench, DEV_BASE + 0x1005, 1), 0x60);
    }
    bus_unmap(bench.bus, &d->region);
    device_free(d);
    null->free(null);
}

static void a_damaged_snapshot_does_no_harm(void **state)
{
    uint8_t junk[512];
    struct err e;

    (void)state;
    memset(junk, 0xff, sizeof junk);
    CHECK(device_restore(dev, junk, device_state_size(dev), &e));
    for (int i = 0; i < 64; i++) {
        wr(0, 1);
        rd(0);
        rd(5);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_out_and_the_transmitter_is_ready),
        TEST(a_slow_host_end_clears_thre_and_loses_nothing),
        TEST(thre_interrupts_once_until_read_or_written),
        TEST(one_byte_without_fifos),
        TEST(fifo_interrupts_at_its_trigger_level),
        TEST(waiting_bytes_time_out_after_four_characters),
        TEST(a_break_is_a_zero_byte_with_its_flag),
        TEST(loopback_returns_bytes_and_modem_lines),
        TEST(modem_changes_interrupt_until_read),
        TEST(a_full_fifo_in_loopback_keeps_its_bytes),
        TEST(clearing_fifos_empties_them),
        TEST(divisor_and_scratch_hold),
        TEST(reset_gives_the_chip_its_first_state),
        TEST(a_snapshot_keeps_fifos_and_timeouts),
        TEST(nobody_at_the_host_end_takes_everything),
        TEST(a_damaged_snapshot_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
