/* Rates: what is let through in a time, by a clock that the test moves. */
#include <string.h>

#include "images/throttle.h"
#include "tests/unit/check.h"

enum { SEC = 1000000000 };

/* Requests let through in the span, when there is always one more. */
static unsigned flow(struct throttle *t, enum block_op op, uint64_t len, uint64_t from, uint64_t span)
{
    struct block_req r = {.op = op, .len = len};
    unsigned n = 0;

    for (uint64_t now = from; now < from + span;) {
        uint64_t wait = throttle_wait(t, &r, now);

        if (wait) {
            now += wait;
            continue;
        }
        throttle_take(t, &r);
        n++;
    }
    return n;
}

static void near(unsigned got, unsigned want)
{
    if (got < want - want / 20 - 1 || got > want + want / 20 + 1)
        fail_msg("%u, expected about %u", got, want);
}

static void the_rate_is_kept(void **state)
{
    struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 100}};
    struct throttle t;

    (void)state;
    CHECK(!throttle_set(&t, NULL, 0));
    CHECK(throttle_set(&t, &l, 0));
    near(flow(&t, BLOCK_READ, 4096, 0, 10ull * SEC), 1010);
    near(flow(&t, BLOCK_WRITE, 4096, 10ull * SEC, 10ull * SEC), 1000);
    l = (struct block_limits){.rate[LIMIT_BPS_WRITE] = {.avg = 1 << 20}};
    CHECK(throttle_set(&t, &l, 0));
    near(flow(&t, BLOCK_WRITE, 65536, 0, 10ull * SEC), 162);
    near(flow(&t, BLOCK_WRITE_ZEROES, 4 << 20, 10ull * SEC, 40ull * SEC), 10); /* larger than the bucket */
    CHECK_EQ(throttle_wait(&t, &(struct block_req){.op = BLOCK_READ, .len = 65536}, 50ull * SEC), 0);
}

static void reads_and_writes_have_their_own(void **state)
{
    struct block_limits l = {.rate[LIMIT_IOPS_READ] = {.avg = 50}, .rate[LIMIT_IOPS_WRITE] = {.avg = 10}};
    struct throttle t;

    (void)state;
    throttle_set(&t, &l, 0);
    near(flow(&t, BLOCK_READ, 512, 0, 20ull * SEC), 1005);
    throttle_set(&t, &l, 0);
    near(flow(&t, BLOCK_WRITE, 512, 0, 20ull * SEC), 201);
}

static void a_burst_has_its_rate_and_length(void **state)
{
    struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 100, .max = 1000, .max_seconds = 5}};
    struct throttle t;

    (void)state;
    throttle_set(&t, &l, 0);
    near(flow(&t, BLOCK_READ, 512, 0, 2ull * SEC), 2100);          /* at 1000 a second */
    near(flow(&t, BLOCK_READ, 512, 2ull * SEC, 8ull * SEC), 3900); /* until 5000 + 10 s of 100 */
    near(flow(&t, BLOCK_READ, 512, 10ull * SEC, 10ull * SEC), 1000);
}

static void large_requests_count_as_several(void **state)
{
    struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 100}, .iops_size = 4096};
    struct throttle t;

    (void)state;
    throttle_set(&t, &l, 0);
    near(flow(&t, BLOCK_READ, 16384, 0, 40ull * SEC), 1002);
}

static void given_back_is_not_counted(void **state)
{
    struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 10}};
    struct block_req r = {.op = BLOCK_READ, .len = 512};
    struct throttle t;

    (void)state;
    throttle_set(&t, &l, 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(throttle_wait(&t, &r, 0), 0);
        throttle_take(&t, &r);
        throttle_give_back(&t, &r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(reads_and_writes_have_their_own),
        cmocka_unit_test(a_burst_has_its_rate_and_length),
        cmocka_unit_test(large_requests_count_as_several),
        cmocka_unit_test(given_back_is_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
