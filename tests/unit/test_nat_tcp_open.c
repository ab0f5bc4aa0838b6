/* TCP through the NAT: how connections begin, and how they fail to. */
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;

static void guest_connects_and_both_talk_and_close(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    conn_text(&c, "hello");
    host_expect_text(&c, "hello");
    conn_expect_ack(&c);
    host_text(&c, "world");
    conn_expect_text(&c, "world");
    conn_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_connects_and_both_talk_and_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
