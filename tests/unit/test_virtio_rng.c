/* virtio-rng: what a driver gets, and how fast. */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_rng.h"
#include "tests/unit/virtio_guest.h"

static struct vg g;
static struct vg_queue q;
static struct virtio_dev *v;

static void begin(struct virtio_rng_options o)
{
    struct err e;

    vg_init(&g, false);
    gate_set_seed(g.env.gate, 7);
    v = virtio_rng_new(&g.env, "rng0", &o, &e);
    vg_plug(&g, v);
    vg_begin(&g, 0);
    vg_queue_init(&g, &q, 0, 8);
    vg_queue_on(&q);
    vg_go(&g);
}

static void end(void)
{
    device_free(&v->dev);
    vg_fini(&g);
}

/* Bytes that a buffer of `ask` got; -1: it was not used. */
static int64_t ask(gpa buf, uint32_t want)
{
    struct vg_buf b = {buf, want, true};
    unsigned id;
    uint32_t len;

    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    return vg_used(&q, &id, &len) ? (int64_t)len : -1;
}

static void fills_the_buffer_and_nothing_else(void **state)
{
    static const uint8_t zero[64];
    gpa a;

    (void)state;
    begin((struct virtio_rng_options){0});
    a = vg_alloc(&g, 192, 64);
    CHECK_EQ(ask(a + 64, 64), 64);
    CHECK(!memcmp(vg_host(&g, a), zero, 64));
    CHECK(memcmp(vg_host(&g, a + 64), zero, 64));
    CHECK(!memcmp(vg_host(&g, a + 128), zero, 64));
    CHECK_EQ(ask(a, 64), 64);
    CHECK(memcmp(vg_host(&g, a), vg_host(&g, a + 64), 64));
    CHECK(g.irq);
    end();
}

static void a_seed_gives_the_same_bytes(void **state)
{
    uint8_t first[64];

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin((struct virtio_rng_options){0});
        gpa a = vg_alloc(&g, 64, 64);
        CHECK_EQ(ask(a, 64), 64);
        if (!i)
            memcpy(first, vg_host(&g, a), 64);
        CHECK(!memcmp(first, vg_host(&g, a), 64));
        end();
    }
}

static void a_huge_buffer_gets_at_least_a_byte_and_a_bounded_number(void **state)
{
    int64_t n;

    (void)state;
    begin((struct virtio_rng_options){0});
    n = ask(VG_RAM + (8 << 20), 8 << 20);
    CHECK(n >= 1 && n <= 65536);
    end();
}

static void rate_is_bounded_and_goes_on_by_itself(void **state)
{
    gpa a;
    unsigned id;
    uint32_t len;

    (void)state;
    begin((struct virtio_rng_options){.max_bytes = 100, .period_ns = 1000});
    a = vg_alloc(&g, 128, 64);
    CHECK_EQ(ask(a, 64), 64);
    CHECK_EQ(ask(a, 64), 36);
    CHECK_EQ(ask(a, 64), -1);
    clock_advance(g.env.clock, 999);
    CHECK(!vg_used(&q, &id, &len));
    clock_advance(g.env.clock, 1);
    CHECK(vg_used(&q, &id, &len));
    CHECK_EQ(len, 64);
    vg_wr(&g, 0x070, 0); /* a reset does not fill the bucket */
    vg_begin(&g, 0);
    vg_queue_init(&g, &q, 0, 8);
    vg_queue_on(&q);
    vg_go(&g);
    CHECK_EQ(ask(a, 64), 36);
    end();
}

static void a_readable_buffer_is_not_written(void **state)
{
    struct vg_buf b;
    unsigned id;
    uint32_t len;

    (void)state;
    begin((struct virtio_rng_options){0});
    b = (struct vg_buf){vg_alloc(&g, 64, 64), 64, false};
    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    CHECK(vg_used(&q, &id, &len));
    CHECK_EQ(len, 0);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(vg_host(&g, b.addr)[i], 0);
    end();
}

static void state_survives_save_and_restore(void **state)
{
    size_t n;
    void *image;
    struct err e;
    gpa a;

    (void)state;
    begin((struct virtio_rng_options){.max_bytes = 100, .period_ns = 1000});
    a = vg_alloc(&g, 64, 64);
    CHECK_EQ(ask(a, 64), 64);
    n = device_state_size(&v->dev);
    image = malloc(n);
    device_save(&v->dev, image);
    device_reset(&v->dev);
    CHECK(device_restore(&v->dev, image, n, &e));
    CHECK_EQ(ask(a, 64), 36);
    free(image);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_the_buffer_and_nothing_else),
        cmocka_unit_test(a_seed_gives_the_same_bytes),
        cmocka_unit_test(a_huge_buffer_gets_at_least_a_byte_and_a_bounded_number),
        cmocka_unit_test(rate_is_bounded_and_goes_on_by_itself),
        cmocka_unit_test(a_readable_buffer_is_not_written),
        cmocka_unit_test(state_survives_save_and_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
