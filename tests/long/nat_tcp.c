/*
 * 10 GB each way through the NAT at once, over a cable that loses 1 % of all segments, reorders and duplicates as many:
 * every byte is compared. nat_tcp [GB [SEED]]
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/tcp_bulk.h"

static struct bulk b;
static uint64_t size, seed;

static void run(void **state)
{
    struct timespec t0, t1;

    (void)state;
    b = (struct bulk){
        .c = {.send = size, .receive = size, .mss = 1460, .frame = 64240, .window = 4 << 20, .sack = true, .scale = true},
        .impair = {.drop = 10000, .reorder = 10000, .duplicate = 10000, .delay = 200000, .jitter = 100000, .seed = seed},
    };
    clock_gettime(CLOCK_MONOTONIC, &t0);
    bulk_run(&b, UINT64_C(86400) * NS_PER_SEC);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    printf("# %llu bytes each way in %.0f s, %.0f s of the guest's time; frames sent again: guest %llu, NAT %llu\n",
           (unsigned long long)size, (double)(t1.tv_sec - t0.tv_sec), (double)b.guest_time / 1e9,
           (unsigned long long)b.m.retransmitted, (unsigned long long)b.sent_again);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(run, NULL, NULL)};

    size = (uint64_t)(strtod(argc > 1 ? argv[1] : "10", NULL) * 1e9);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
