/* Watches of written pages, with vCPUs that give up their write rights when the test says so. */
#include <string.h>

#include "mmu/bus.h"
#include "mmu/watch.h"
#include "tests/unit/check.h"

#define RAM UINT64_C(0x80000000)
enum { PAGES = 20 };

static struct bus *bus;
static const struct region *ram;
static struct bus_watch watch, other;
static uint8_t news[(PAGES + 7) / 8];
static uint64_t asked, given_up;
static const uint8_t *asked_host;
static uint64_t asked_len;
static struct err err;

static uint64_t take(void *arg, const uint8_t *host, uint64_t len)
{
    (void)arg;
    asked_host = host;
    asked_len = len;
    return ++asked;
}

static bool taken(void *arg, uint64_t ticket)
{
    (void)arg;
    return given_up >= ticket;
}

static int setup(void **state)
{
    const struct write_rights rights = {.take = take, .taken = taken};

    (void)state;
    asked = given_up = 0;
    bus = bus_new(NULL);
    CHECK(bus_add_ram(bus, "ram", RAM, PAGES * PAGE_SIZE, &err));
    ram = bus_find(bus, RAM);
    bus_on_watch(bus, &rights);
    CHECK(bus_watch_start(bus, &watch, ram, 0, PAGES * PAGE_SIZE, &err));
    bus_watch_take(bus, &watch, news); /* what nobody has looked at counts as written */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bus_watch_stop(bus, &watch);
    bus_watch_stop(bus, &other);
    bus_free(bus);
    return 0;
}

static bool is_news(unsigned page) { return news[page / 8] >> page % 8 & 1; }

static unsigned count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PAGES; i++)
        n += is_news(i);
    return n;
}

/* As a vCPU's store by the slow path does it; it keeps the right until it gives up. */
static void vcpu_writes(unsigned page)
{
    page_flags_set(&ram->page_flags[page], PAGE_WTLB);
    page_flags_clear(&ram->page_flags[page], PAGE_LOGS);
}

static void a_device_s_write_is_told_once(void **state)
{
    (void)state;
    CHECK(!bus_watch_take(bus, &watch, news));
    CHECK(dma_write(bus, RAM + 3 * PAGE_SIZE - 1, "ab", 2));
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK_EQ(count(), 2);
    CHECK(is_news(2) && is_news(3));
    CHECK(!bus_watch_take(bus, &watch, news));
    CHECK_EQ(asked, 0); /* no vCPU could have written silently */
}

static void a_vcpu_s_write_is_told_until_it_has_given_up_its_right(void **state)
{
    (void)state;
    vcpu_writes(5);
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK_EQ(count(), 1);
    CHECK_EQ(asked, 1);
    CHECK(asked_host == ram->host + 5 * PAGE_SIZE);
    CHECK_EQ(asked_len, PAGE_SIZE);
    CHECK(bus_watch_take(bus, &watch, news)); /* it may have stored since */
    CHECK(is_news(5));
    CHECK_EQ(asked, 1);
    given_up = 1;
    CHECK(bus_watch_take(bus, &watch, news)); /* between the last look and giving up */
    CHECK(is_news(5));
    CHECK(!bus_watch_take(bus, &watch, news));
}

static void one_request_covers_all_pages(void **state)
{
    (void)state;
    vcpu_writes(4);
    vcpu_writes(17);
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK_EQ(count(), 2);
    CHECK_EQ(asked, 1);
    CHECK(asked_host == ram->host + 4 * PAGE_SIZE);
    CHECK_EQ(asked_len, 14 * PAGE_SIZE);
}

static void two_watches_of_a_page_both_hear(void **state)
{
    (void)state;
    CHECK(bus_watch_start(bus, &other, ram, 6 * PAGE_SIZE + 100, PAGE_SIZE, &err)); /* pages 6 and 7 */
    CHECK_EQ(other.pages, 2);
    bus_watch_take(bus, &other, news);
    vcpu_writes(7);
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK(is_news(7));
    given_up = asked;
    CHECK(bus_watch_take(bus, &other, news));
    CHECK_EQ(news[0], 2);
    CHECK(!bus_watch_take(bus, &other, news));
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK(!bus_watch_take(bus, &watch, news));
}

static void a_stopped_watch_tells_nothing(void **state)
{
    (void)state;
    vcpu_writes(1);
    bus_watch_stop(bus, &watch);
    CHECK(!bus_watch_take(bus, &watch, news));
    CHECK(bus_watch_start(bus, &watch, ram, PAGE_SIZE, PAGE_SIZE, &err));
    CHECK(bus_watch_take(bus, &watch, news)); /* written before */
    CHECK_EQ(news[0], 1);
}

static void dirty_log_and_watch_are_apart(void **state)
{
    uint8_t map[(PAGES + 7) / 8];

    (void)state;
    bus_dirty_start(bus);
    CHECK(dma_write(bus, RAM + 9 * PAGE_SIZE, "x", 1));
    CHECK(bus_watch_take(bus, &watch, news));
    CHECK(is_news(9));
    CHECK_EQ(bus_dirty_harvest(bus, ram, map), 1);
    CHECK(!bus_watch_take(bus, &watch, news));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_device_s_write_is_told_once), T(a_vcpu_s_write_is_told_until_it_has_given_up_its_right),
        T(one_request_covers_all_pages),  T(two_watches_of_a_page_both_hear),
        T(a_stopped_watch_tells_nothing), T(dirty_log_and_watch_are_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
