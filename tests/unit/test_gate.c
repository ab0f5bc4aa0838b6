/* The input gate: what passes it, what records it, what replay injects. */
#include <string.h>

#include "base/clock.h"
#include "base/gate.h"
#include "tests/unit/check.h"

static struct clock *clk;
static struct gate *gate;
static struct gate_source source;
static char sunk[64], tapped[64];
static uint64_t tapped_at;

static void sink(void *arg, const void *data, size_t len)
{
    (void)arg;
    strncat(sunk, data, len);
}

static void tap(void *arg, const struct gate_source *s, uint64_t when, const void *data, size_t len)
{
    (void)arg, (void)s;
    strncat(tapped, data, len);
    tapped_at = when;
}

static void begin(void)
{
    clk = clock_new_fake();
    gate = gate_new(clk);
    source = (struct gate_source){.name = "s", .sink = sink};
    gate_register(gate, &source);
    sunk[0] = tapped[0] = 0;
}

static void end(void)
{
    gate_unregister(&source);
    gate_free(gate);
    clock_free(clk);
}

static void a_message_reaches_its_sink_and_the_tap(void **state)
{
    (void)state;
    begin();
    gate_deliver(&source, "ab", 2);
    CHECK_STR(sunk, "ab");
    gate_set_tap(gate, tap, NULL);
    clock_advance(clk, 7);
    gate_deliver(&source, "c", 1);
    CHECK_STR(sunk, "abc");
    CHECK_STR(tapped, "c");
    CHECK_EQ(tapped_at, 7);
    CHECK_EQ(source.messages, 2);
    CHECK_EQ(source.bytes, 3);
    end();
}

static void pieces_pass_as_one_message_that_the_caller_delivers(void **state)
{
    struct iovec iov[] = {{"cd", 2}, {"efgh", 4}};

    (void)state;
    begin();
    CHECK(gate_pass(&source, "ab", 2, iov, 5));
    CHECK_STR(sunk, "");
    CHECK_STR(tapped, "");
    gate_set_tap(gate, tap, NULL);
    CHECK(gate_pass(&source, "ab", 2, iov, 5));
    CHECK_STR(sunk, "");
    CHECK_STR(tapped, "abcdefg");
    CHECK_EQ(source.messages, 2);
    CHECK_EQ(source.bytes, 14);
    end();
}

static void a_closed_gate_lets_nothing_in_but_what_is_injected(void **state)
{
    struct iovec iov = {"x", 1};

    (void)state;
    begin();
    gate_close(gate, true);
    gate_deliver(&source, "a", 1);
    CHECK(!gate_pass(&source, "a", 1, &iov, 1));
    CHECK_STR(sunk, "");
    CHECK_EQ(source.messages, 0);
    CHECK(gate_inject(gate, "s", "b", 1));
    CHECK(!gate_inject(gate, "t", "b", 1));
    CHECK_STR(sunk, "b");
    gate_close(gate, false);
    CHECK(gate_pass(&source, "", 0, &iov, 1));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reaches_its_sink_and_the_tap),
        cmocka_unit_test(pieces_pass_as_one_message_that_the_caller_delivers),
        cmocka_unit_test(a_closed_gate_lets_nothing_in_but_what_is_injected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
