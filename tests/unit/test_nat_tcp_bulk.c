/* TCP through the NAT: long transfers over good and poor cables, compared byte by byte. */
#include "tests/unit/tcp_bulk.h"

#define MS UINT64_C(1000000)
#define POOR .drop = 10000, .reorder = 10000, .duplicate = 10000, .delay = 200000, .jitter = 100000

static struct bulk b; /* large */

static struct tcp_model_config config(uint32_t frame, uint64_t n)
{
    return (struct tcp_model_config){.send = n, .receive = n, .mss = 1460, .frame = frame, .window = 4 << 20, .sack = true,
                                     .scale = true};
}

static void good_cable_64_kilobyte_frames(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(64240, 12 << 20)};
    bulk_run(&b, 60 * NS_PER_SEC);
    CHECK_EQ(b.m.retransmitted, 0);
}

static void good_cable_single_segments_and_whole_checksums(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(1460, 4 << 20)};
    b.c.full_sums = true;
    bulk_run(&b, 60 * NS_PER_SEC);
    CHECK_EQ(b.m.retransmitted, 0);
}

static void good_cable_jumbo_segments(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(65495, 8 << 20)};
    b.c.mss = 65495;
    b.c.full_sums = true;
    bulk_run(&b, 60 * NS_PER_SEC);
}

static void guest_without_options(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(1460, 2 << 20)};
    b.c.sack = b.c.scale = false;
    b.c.window = 65535;
    bulk_run(&b, 60 * NS_PER_SEC);
}

static void losses_of_64_kilobyte_frames(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(64240, 12 << 20), .impair = {POOR, .seed = 1}};
    bulk_run(&b, 600 * NS_PER_SEC);
    CHECK(b.m.retransmitted > 0);
}

static void losses_of_single_segments(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(1460, 4 << 20), .impair = {POOR, .seed = 2}};
    bulk_run(&b, 600 * NS_PER_SEC);
}

static void losses_without_sack(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(1460, 2 << 20), .impair = {POOR, .seed = 3}};
    b.c.sack = false;
    bulk_run(&b, 600 * NS_PER_SEC);
}

static void heavy_losses(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(14600, 3 << 20),
                      .impair = {.drop = 150000, .reorder = 100000, .duplicate = 100000, .delay = MS, .seed = 4}};
    bulk_run(&b, 3000 * NS_PER_SEC);
}

static void slow_link(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(14600, 2 << 20), .impair = {.rate = 8000000, .delay = 10 * MS, .seed = 5}};
    bulk_run(&b, 600 * NS_PER_SEC);
}

static void guest_that_answers_at_once(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(64240, 8 << 20)};
    b.c.at_once = true;
    bulk_run(&b, 60 * NS_PER_SEC);
    CHECK_EQ(b.m.retransmitted, 0);
}

static void host_that_reads_slowly(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(64240, 8 << 20), .host_reads = 10000, .lazy = true};
    bulk_run(&b, 600 * NS_PER_SEC);
    CHECK_EQ(b.m.retransmitted, 0); /* the window keeps the guest from sending what would not be taken */
}

static void kernel_without_peek_offsets(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(64240, 3 << 20), .impair = {POOR, .seed = 6}, .no_peek_off = true};
    bulk_run(&b, 600 * NS_PER_SEC);
}

static void small_window(void **state)
{
    (void)state;
    b = (struct bulk){.c = config(1460, 1 << 20), .impair = {POOR, .seed = 7}};
    b.c.window = 4000;
    bulk_run(&b, 600 * NS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_cable_64_kilobyte_frames),
        cmocka_unit_test(good_cable_single_segments_and_whole_checksums),
        cmocka_unit_test(good_cable_jumbo_segments),
        cmocka_unit_test(guest_without_options),
        cmocka_unit_test(losses_of_64_kilobyte_frames),
        cmocka_unit_test(losses_of_single_segments),
        cmocka_unit_test(losses_without_sack),
        cmocka_unit_test(heavy_losses),
        cmocka_unit_test(slow_link),
        cmocka_unit_test(guest_that_answers_at_once),
        cmocka_unit_test(host_that_reads_slowly),
        cmocka_unit_test(kernel_without_peek_offsets),
        cmocka_unit_test(small_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
