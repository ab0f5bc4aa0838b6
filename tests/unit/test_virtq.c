/* Virtqueues, seen by a driver of a device that copies what it can read to what it can write. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/virtio_guest.h"

struct echo {
    struct virtio_dev v;
    struct virtq_chain c;
    unsigned chains, notified;
    uint64_t out_len, in_len; /* of the last chain */
};

static void echo_notify(struct virtio_dev *v, unsigned queue)
{
    struct echo *d = (struct echo *)v;
    uint8_t buf[4096];

    d->notified++;
    do {
        while (virtq_pop(&v->vq[queue], &d->c)) {
            uint64_t n = chain_read(&d->c, 0, buf, sizeof buf);

            d->chains++;
            d->out_len = d->c.out_len;
            d->in_len = d->c.in_len;
            virtq_push(&d->c, chain_write(&d->c, 0, buf, n));
        }
    } while (virtq_rearm(&v->vq[queue]));
    virtq_notify(&v->vq[queue]);
}

static void echo_free(struct device *d)
{
    struct echo *e = (struct echo *)d;

    virtio_detach(&e->v);
    virtq_chain_free(&e->c);
    virtio_fini(&e->v);
    free(e);
}

static const struct field echo_state[] = {VIRTIO_FIELDS(struct echo, v), {0}};
static const struct device_ops echo_dev_ops = {
    .name = "echo", .state = echo_state, .reset = virtio_dev_reset, .update = virtio_dev_update, .free = echo_free};
static const struct virtio_ops echo_ops = {.id = 42, .notify = echo_notify};

static struct vg g;
static struct vg_queue q;
static struct echo *dev;

enum { SIZE = 16 };

static void begin_sized(bool legacy, uint64_t features, unsigned size)
{
    vg_init(&g, legacy);
    dev = calloc(1, sizeof *dev);
    virtio_init(&dev->v, &echo_dev_ops, &echo_ops, "echo0", &g.env);
    virtio_offer(&dev->v, VIRTIO_F_RING_PACKED);
    virtio_add_queue(&dev->v, 0, 16);
    vg_plug(&g, &dev->v);
    vg_begin(&g, features);
    vg_queue_init(&g, &q, 0, size);
    vg_queue_on(&q);
    vg_go(&g);
}

static void begin(uint64_t features) { begin_sized(false, features, SIZE); }

static void end(void)
{
    device_free(&dev->v.dev);
    vg_fini(&g);
}

static bool broken(void) { return vg_rd(&g, 0x070) & 64; }

/* Send text through one buffer each way, expect it back. */
static void exchange(const char *text, bool indirect)
{
    gpa out = vg_alloc(&g, 64, 1), in = vg_alloc(&g, 64, 1);
    uint32_t n = (uint32_t)strlen(text), len;
    struct vg_buf b[] = {{out, n, false}, {in, 64, true}};
    unsigned id, got;

    memcpy(vg_host(&g, out), text, n);
    id = vg_add(&q, b, 2, indirect);
    vg_kick(&q);
    CHECK(vg_used(&q, &got, &len));
    CHECK_EQ(got, id);
    CHECK_EQ(len, n);
    CHECK(!memcmp(vg_host(&g, in), text, n));
    if (g.features & VG_PACKED && !indirect) /* the buffer took two descriptors */
        if (++q.used == q.size) {
            q.used = 0;
            q.used_wrap = !q.used_wrap;
        }
}

static void split_chains_come_back_with_their_length(void **state)
{
    (void)state;
    begin(0);
    for (int i = 0; i < 100; i++)
        exchange("hello", i & 1);
    CHECK_EQ(dev->chains, 100);
    CHECK(!broken());
    end();
}

static void packed_chains_over_many_wraps(void **state)
{
    (void)state;
    begin(VG_PACKED);
    for (int i = 0; i < 100; i++)
        exchange("packed", i % 3 == 0);
    CHECK(!broken());
    end();
    begin_sized(false, VG_PACKED, 5); /* a packed ring's size need not be a power of two */
    for (int i = 0; i < 50; i++)
        exchange("five", i % 3 == 0);
    CHECK(!broken());
    end();
}

static void legacy_ring_layout(void **state)
{
    (void)state;
    begin_sized(true, 0, SIZE);
    for (int i = 0; i < 40; i++)
        exchange("legacy", false);
    CHECK(g.irq);
    CHECK_EQ(vg_rd(&g, 0x060), 1);
    vg_wr(&g, 0x064, 1);
    CHECK(!g.irq);
    end();
}

static void a_chain_of_pieces_is_one_buffer(void **state)
{
    gpa a, in;
    unsigned id;
    uint32_t len;

    (void)state;
    begin(0);
    a = vg_alloc(&g, 64, 1);
    in = vg_alloc(&g, 64, 1);
    memcpy(vg_host(&g, a), "abcdef", 6);
    struct vg_buf b[] = {{a, 1, false}, {a + 1, 0, false}, {a + 1, 5, false}, {in, 2, true}, {in + 10, 2, true}};
    vg_add(&q, b, 5, false);
    vg_kick(&q);
    CHECK(vg_used(&q, &id, &len));
    CHECK_EQ(len, 4);
    CHECK_EQ(dev->out_len, 6);
    CHECK_EQ(dev->in_len, 4);
    CHECK(!memcmp(vg_host(&g, in), "ab", 2));
    CHECK(!memcmp(vg_host(&g, in + 10), "cd", 2));
    end();
}

/* Each bad ring must set NEEDS_RESET, raise the configuration interrupt, use nothing, and end with reset. */
static void expect_broken(void)
{
    unsigned id;
    uint32_t len;

    vg_kick(&q);
    CHECK(broken());
    CHECK(vg_rd(&g, 0x060) & 2);
    CHECK(!vg_used(&q, &id, &len));
    vg_kick(&q);
    CHECK(!vg_used(&q, &id, &len));
    vg_begin(&g, g.features);
    CHECK(!broken());
    CHECK(!g.irq);
    vg_queue_init(&g, &q, 0, SIZE);
    vg_queue_on(&q);
    vg_go(&g);
    exchange("again", false);
    end();
}

static void descriptor_loop(void **state)
{
    (void)state;
    begin(0);
    vg_desc(&g, q.desc, 0, VG_RAM, 1, 1, 1);
    vg_desc(&g, q.desc, 1, VG_RAM, 1, 1, 0);
    vg_avail(&q, 0);
    expect_broken();
    begin(VG_PACKED);
    for (unsigned i = 0; i < SIZE; i++) {
        vg_desc(&g, q.desc, i, VG_RAM, 1, 0, 1 | 1 << 7);
    }
    expect_broken();
}

static void chain_as_long_as_the_ring_is_allowed(void **state)
{
    struct vg_buf b[SIZE];
    unsigned id;
    uint32_t len;

    (void)state;
    begin(0);
    for (int i = 0; i < SIZE; i++)
        b[i] = (struct vg_buf){VG_RAM, 1, i == SIZE - 1};
    vg_add(&q, b, SIZE, false);
    vg_kick(&q);
    CHECK(vg_used(&q, &id, &len));
    end();
}

static void loop_in_an_indirect_table(void **state)
{
    gpa t;

    (void)state;
    begin(0);
    t = vg_alloc(&g, 64, 16);
    vg_desc(&g, t, 0, VG_RAM, 1, 1, 1);
    vg_desc(&g, t, 1, VG_RAM, 1, 1, 0);
    vg_desc(&g, q.desc, 0, t, 32, 4, 0);
    vg_avail(&q, 0);
    expect_broken();
}

static void indirect_inside_indirect(void **state)
{
    gpa t;

    (void)state;
    begin(0);
    t = vg_alloc(&g, 64, 16);
    vg_desc(&g, t, 0, t, 32, 4, 0);
    vg_desc(&g, q.desc, 0, t, 32, 4, 0);
    vg_avail(&q, 0);
    expect_broken();
}

static void indirect_table_of_odd_length(void **state)
{
    static const uint32_t lens[] = {0, 15, 24, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        begin(0);
        gpa t = vg_alloc(&g, 64, 16);
        vg_desc(&g, t, 0, VG_RAM, 1, 0, 0);
        vg_desc(&g, q.desc, 0, t, lens[i], 4, 0);
        vg_avail(&q, 0);
        expect_broken();
    }
}

static void indirect_and_linked(void **state)
{
    gpa t;

    (void)state;
    begin(0);
    t = vg_alloc(&g, 64, 16);
    vg_desc(&g, t, 0, VG_RAM, 1, 0, 0);
    vg_desc(&g, q.desc, 0, t, 16, 4 | 1, 1);
    vg_avail(&q, 0);
    expect_broken();
}

static void links_outside_the_table(void **state)
{
    gpa t;

    (void)state;
    begin(0);
    vg_desc(&g, q.desc, 0, VG_RAM, 1, 1, SIZE);
    vg_avail(&q, 0);
    expect_broken();
    begin(0);
    vg_avail(&q, SIZE);
    expect_broken();
    begin(0);
    t = vg_alloc(&g, 64, 16);
    vg_desc(&g, t, 0, VG_RAM, 1, 1, 2);
    vg_desc(&g, q.desc, 0, t, 32, 4, 0);
    vg_avail(&q, 0);
    expect_broken();
}

static void available_index_jumps(void **state)
{
    (void)state;
    begin(0);
    vg_desc(&g, q.desc, 0, VG_RAM, 1, 0, 0);
    st16(vg_host(&g, q.driver) + 2, SIZE + 1);
    expect_broken();
}

static void wrong_addresses(void **state)
{
    static const struct {
        gpa addr;
        uint32_t len;
    } bad[] = {
        {0, 1},                                    /* nothing there */
        {VG_SLOT, 4},                              /* the device's own registers */
        {(gpa)VG_RAM + VG_RAM_SIZE - 1, 2},        /* over the end of RAM */
        {UINT64_MAX, 2},                           /* wraps */
        {UINT64_MAX - UINT32_MAX + 1, UINT32_MAX}, /* ends at the very top */
        {(gpa)VG_RAM - 1, 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (unsigned write = 0; write < 2; write++) {
            begin(0);
            vg_desc(&g, q.desc, 0, bad[i].addr, bad[i].len, write ? 2 : 0, 0);
            vg_avail(&q, 0);
            expect_broken();
        }
}

static void readable_after_writable(void **state)
{
    struct vg_buf b[] = {{VG_RAM, 1, true}, {VG_RAM, 1, false}};

    (void)state;
    begin(0);
    vg_add(&q, b, 2, false);
    expect_broken();
}

static void more_buffers_than_the_ring_holds(void **state)
{
    (void)state;
    begin(0);
    vg_desc(&g, q.desc, 0, VG_RAM, 1, 0, 0);
    device_lock(&dev->v);
    for (int i = 0; i < SIZE; i++) { /* a device that holds on to every buffer, and a driver that repeats one */
        vg_avail(&q, 0);
        CHECK(virtq_pop(&dev->v.vq[0], &dev->c));
    }
    vg_avail(&q, 0);
    CHECK(!virtq_pop(&dev->v.vq[0], &dev->c));
    device_unlock(&dev->v);
    CHECK(broken());
    end();
}

static void rings_outside_ram_or_misaligned(void **state)
{
    static const struct {
        unsigned which;
        gpa add;
    } bad[] = {{0, 8}, {1, 1}, {2, 2}, {0, VG_RAM_SIZE}, {1, VG_RAM_SIZE}, {2, VG_RAM_SIZE}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin(0);
        vg_begin(&g, 0);
        vg_queue_init(&g, &q, 0, SIZE);
        *(bad[i].which == 0 ? &q.desc : bad[i].which == 1 ? &q.driver : &q.device) += bad[i].add;
        vg_queue_on(&q);
        CHECK_EQ(vg_rd(&g, 0x044), 0);
        CHECK(broken());
        end();
    }
}

static void nothing_before_driver_ok_then_what_waited(void **state)
{
    unsigned id;
    uint32_t len;
    struct vg_buf b = {VG_RAM, 1, false};

    (void)state;
    begin(0);
    vg_begin(&g, 0);
    vg_queue_init(&g, &q, 0, SIZE);
    vg_queue_on(&q);
    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    CHECK(!vg_used(&q, &id, &len));
    CHECK(!broken());
    vg_go(&g);
    CHECK(vg_used(&q, &id, &len));
    vg_wr(&g, 0x050, 1); /* no such queue */
    vg_wr(&g, 0x050, 0xffff);
    CHECK(!broken());
    end();
}

static void no_interrupt_flag(void **state)
{
    (void)state;
    begin(0);
    st16(vg_host(&g, q.driver), 1);
    exchange("quiet", false);
    CHECK(!g.irq);
    st16(vg_host(&g, q.driver), 0);
    exchange("loud", false);
    CHECK(g.irq);
    end();
    begin(VG_PACKED);
    st16(vg_host(&g, q.driver) + 2, 1); /* RING_EVENT_FLAGS_DISABLE */
    exchange("quiet", true);
    CHECK(!g.irq);
    st16(vg_host(&g, q.driver) + 2, 0);
    exchange("loud", true);
    CHECK(g.irq);
    end();
}

static void event_index_interrupts_when_passed(void **state)
{
    (void)state;
    begin(VG_EVENT_IDX);
    exchange("first", false); /* used_event 0: index goes 0 -> 1 and passes it */
    CHECK(g.irq);
    vg_wr(&g, 0x064, 1);
    st16(vg_host(&g, q.driver) + 4 + 2 * SIZE, 3);
    exchange("2", false);
    exchange("3", false);
    CHECK(!g.irq);
    exchange("4", false);
    CHECK(g.irq);
    vg_wr(&g, 0x064, 1);
    CHECK_EQ(ld16(vg_host(&g, q.device) + 4 + 8 * SIZE), 4); /* avail_event: kick at the next buffer */
    for (int i = 0; i < 65536 - 4; i++) {                    /* the free-running index wraps */
        unsigned id;
        uint32_t len;
        struct vg_buf b = {VG_RAM, 1, false};

        vg_add(&q, &b, 1, false);
        vg_kick(&q);
        CHECK(vg_used(&q, &id, &len));
    }
    CHECK(!g.irq); /* 0 now: 3 was not passed again */
    st16(vg_host(&g, q.driver) + 4 + 2 * SIZE, 0);
    exchange("w", false);
    CHECK(g.irq);
    end();
}

static void packed_event_descriptor(void **state)
{
    uint8_t *ev;

    (void)state;
    begin(VG_PACKED | VG_EVENT_IDX);
    exchange("0", true);
    vg_wr(&g, 0x064, 1);
    ev = vg_host(&g, q.driver);
    st16(ev, 3 | 1 << 15); /* position 3, wrap counter 1 */
    st16(ev + 2, 2);       /* RING_EVENT_FLAGS_DESC */
    exchange("1", true);
    exchange("2", true);
    CHECK(!g.irq);
    exchange("3", true);
    CHECK(g.irq);
    CHECK_EQ(ld16(vg_host(&g, q.device)), 4 | 1 << 15);
    CHECK_EQ(ld16(vg_host(&g, q.device) + 2), 2);
    end();
}

/* Three buffers are taken, then all given back at once; the ring wraps on the way. */
static void several_chains_come_back_together(void **state)
{
    static const uint64_t features[] = {0, VG_EVENT_IDX, VG_PACKED, VG_PACKED | VG_EVENT_IDX};

    (void)state;
    for (unsigned f = 0; f < 4; f++) {
        struct virtq_chain c[3] = {{0}};
        unsigned got, id[3];
        uint32_t len;
        gpa in[3];

        begin_sized(false, features[f], 4);
        for (unsigned round = 0; round < 50; round++) {
            uint64_t written[3];

            for (unsigned i = 0; i < 3; i++) {
                in[i] = vg_alloc(&g, 64, 1);
                id[i] = vg_add(&q, &(struct vg_buf){in[i], 64, true}, 1, round & 1);
            }
            device_lock(&dev->v.dev);
            for (unsigned i = 0; i < 3; i++) {
                CHECK(virtq_pop(&dev->v.vq[0], &c[i]));
                written[i] = chain_write(&c[i], 0, "abcdefgh", i + round % 4);
            }
            CHECK(!vg_used(&q, &got, &len));
            virtq_push_all(c, 3, written);
            device_unlock(&dev->v.dev);
            for (unsigned i = 0; i < 3; i++) {
                CHECK(vg_used(&q, &got, &len));
                CHECK_EQ(got, id[i]);
                CHECK_EQ(len, written[i]);
                CHECK(!memcmp(vg_host(&g, in[i]), "abcdefgh", written[i]));
            }
            CHECK(!vg_used(&q, &got, &len));
        }
        CHECK(!broken());
        for (unsigned i = 0; i < 3; i++)
            virtq_chain_free(&c[i]);
        end();
    }
}

static void hush_stops_kicks_until_rearmed(void **state)
{
    static const struct {
        uint64_t features;
        unsigned off, hushed;
    } cases[] = {{0, 0, 1}, {VG_EVENT_IDX, 0, 0}, {VG_PACKED, 2, 1}}; /* NO_NOTIFY; not used; RING_EVENT_FLAGS_DISABLE */

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(cases[i].features);
        CHECK_EQ(ld16(vg_host(&g, q.device) + cases[i].off), 0);
        device_lock(&dev->v.dev);
        virtq_hush(&dev->v.vq[0]);
        device_unlock(&dev->v.dev);
        CHECK_EQ(ld16(vg_host(&g, q.device) + cases[i].off), cases[i].hushed);
        exchange("rearms", true);
        CHECK_EQ(ld16(vg_host(&g, q.device) + cases[i].off), 0);
        end();
    }
}

static void queue_reset_and_another_size(void **state)
{
    struct vg_buf b = {VG_RAM, 1, false};
    unsigned id;
    uint32_t len;

    (void)state;
    begin(UINT64_C(1) << 40); /* RING_RESET */
    exchange("before", false);
    vg_wr(&g, 0x038, 8); /* not while enabled */
    vg_wr(&g, 0x080, 0);
    exchange("same", false);
    vg_wr(&g, 0x030, 0);
    vg_wr(&g, 0x0c0, 1);
    CHECK_EQ(vg_rd(&g, 0x0c0), 0);
    CHECK_EQ(vg_rd(&g, 0x044), 0);
    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    CHECK(!vg_used(&q, &id, &len));
    vg_queue_init(&g, &q, 0, 4);
    vg_queue_on(&q);
    for (int i = 0; i < 10; i++)
        exchange("after", false);
    CHECK(!broken());
    end();
}

static void save_and_restore_go_on_where_they_were(void **state)
{
    size_t n;
    void *image;
    struct err e;

    (void)state;
    begin(VG_PACKED | VG_EVENT_IDX);
    for (int i = 0; i < 21; i++)
        exchange("save", true);
    n = device_state_size(&dev->v.dev);
    image = malloc(n);
    device_save(&dev->v.dev, image);
    device_reset(&dev->v.dev);
    CHECK_EQ(vg_rd(&g, 0x070), 0);
    CHECK(device_restore(&dev->v.dev, image, n, &e));
    CHECK_EQ(vg_rd(&g, 0x070), 15);
    for (int i = 0; i < 21; i++)
        exchange("restore", true);
    memset(image, 0xff, n); /* and a file of nonsense does no harm */
    CHECK(device_restore(&dev->v.dev, image, n, &e));
    vg_kick(&q);
    device_reset(&dev->v.dev);
    free(image);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_chains_come_back_with_their_length),
        cmocka_unit_test(packed_chains_over_many_wraps),
        cmocka_unit_test(legacy_ring_layout),
        cmocka_unit_test(a_chain_of_pieces_is_one_buffer),
        cmocka_unit_test(descriptor_loop),
        cmocka_unit_test(chain_as_long_as_the_ring_is_allowed),
        cmocka_unit_test(loop_in_an_indirect_table),
        cmocka_unit_test(indirect_inside_indirect),
        cmocka_unit_test(indirect_table_of_odd_length),
        cmocka_unit_test(indirect_and_linked),
        cmocka_unit_test(links_outside_the_table),
        cmocka_unit_test(available_index_jumps),
        cmocka_unit_test(wrong_addresses),
        cmocka_unit_test(readable_after_writable),
        cmocka_unit_test(more_buffers_than_the_ring_holds),
        cmocka_unit_test(rings_outside_ram_or_misaligned),
        cmocka_unit_test(nothing_before_driver_ok_then_what_waited),
        cmocka_unit_test(no_interrupt_flag),
        cmocka_unit_test(event_index_interrupts_when_passed),
        cmocka_unit_test(packed_event_descriptor),
        cmocka_unit_test(several_chains_come_back_together),
        cmocka_unit_test(hush_stops_kicks_until_rearmed),
        cmocka_unit_test(queue_reset_and_another_size),
        cmocka_unit_test(save_and_restore_go_on_where_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
