/* The mmio transport, register by register: versions 1 and 2, features, status, configuration, reset. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_rng.h"
#include "tests/unit/virtio_guest.h"

static struct vg g;
static struct virtio_dev *v;

static void begin(bool legacy)
{
    struct err e;

    vg_init(&g, legacy);
    v = virtio_rng_new(&g.env, "rng0", &(struct virtio_rng_options){0}, &e);
    vg_plug(&g, v);
}

static void end(void)
{
    device_free(&v->dev);
    vg_fini(&g);
}

static void identity_of_both_versions(void **state)
{
    (void)state;
    for (int legacy = 0; legacy < 2; legacy++) {
        begin(legacy);
        CHECK_EQ(vg_rd(&g, 0x000), 0x74726976); /* "virt" */
        CHECK_EQ(vg_rd(&g, 0x004), legacy ? 1 : 2);
        CHECK_EQ(vg_rd(&g, 0x008), 4);
        CHECK_EQ(vg_rd(&g, 0x00c), 0x554d4551); /* what old drivers compare with */
        CHECK_EQ(vg_rd(&g, 0x070), 0);
        end();
    }
}

static void empty_slot_has_device_id_0(void **state)
{
    (void)state;
    vg_init(&g, true);
    CHECK_EQ(vg_rd(&g, 0x000), 0x74726976);
    CHECK_EQ(vg_rd(&g, 0x004), 1);
    CHECK_EQ(vg_rd(&g, 0x008), 0);
    for (unsigned off = 0x10; off < 0x200; off += 4) {
        CHECK_EQ(vg_rd(&g, off), 0);
        vg_wr(&g, off, 0xffffffff);
    }
    device_reset(g.slot);
    vg_fini(&g);
}

static void features_are_windows_of_32_bits(void **state)
{
    (void)state;
    begin(false);
    vg_wr(&g, 0x014, 0);
    CHECK_EQ(vg_rd(&g, 0x010) & 3u << 28, 3u << 28); /* INDIRECT_DESC, EVENT_IDX */
    CHECK_EQ(vg_rd(&g, 0x010) & 1u << 27, 0);        /* ANY_LAYOUT is a legacy bit */
    vg_wr(&g, 0x014, 1);
    CHECK_EQ(vg_rd(&g, 0x010) & 1, 1); /* VERSION_1 */
    vg_wr(&g, 0x014, 2);
    CHECK_EQ(vg_rd(&g, 0x010), 0);
    vg_wr(&g, 0x014, 0xffffffff);
    CHECK_EQ(vg_rd(&g, 0x010), 0);
    end();
    begin(true);
    vg_wr(&g, 0x014, 0);
    CHECK_EQ(vg_rd(&g, 0x010) & 1u << 27, 1u << 27);
    vg_wr(&g, 0x014, 1);
    CHECK_EQ(vg_rd(&g, 0x010), 0);
    end();
}

static void features_ok_only_for_what_was_offered(void **state)
{
    (void)state;
    begin(false);
    vg_wr(&g, 0x070, 3);
    vg_wr(&g, 0x024, 0);
    vg_wr(&g, 0x020, 1); /* no such feature */
    vg_wr(&g, 0x024, 1);
    vg_wr(&g, 0x020, 1);
    vg_wr(&g, 0x070, 11);
    CHECK_EQ(vg_rd(&g, 0x070), 3);
    vg_wr(&g, 0x070, 15); /* DRIVER_OK is not taken either */
    CHECK_EQ(vg_rd(&g, 0x070), 3);
    vg_wr(&g, 0x024, 0);
    vg_wr(&g, 0x020, 0);
    vg_wr(&g, 0x024, 1);
    vg_wr(&g, 0x020, 1);
    vg_wr(&g, 0x070, 11);
    CHECK_EQ(vg_rd(&g, 0x070), 11);
    vg_wr(&g, 0x020, 0); /* too late */
    CHECK_EQ(v->features >> 32, 1);
    vg_wr(&g, 0x070, 0);
    CHECK_EQ(vg_rd(&g, 0x070), 0);
    CHECK_EQ(v->features, 0);
    end();
}

/* xv6 looks at the low 32 bits only, yet expects FEATURES_OK to stay. */
static void driver_without_version_1_is_served(void **state)
{
    struct vg_queue q;
    unsigned id;
    uint32_t len;

    (void)state;
    begin(false);
    vg_wr(&g, 0x070, 1);
    vg_wr(&g, 0x070, 3);
    vg_wr(&g, 0x020, 0);
    vg_wr(&g, 0x070, 11);
    CHECK_EQ(vg_rd(&g, 0x070), 11);
    vg_queue_init(&g, &q, 0, 8);
    vg_queue_on(&q);
    vg_wr(&g, 0x070, 15);
    struct vg_buf b = {vg_alloc(&g, 16, 16), 16, true};
    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    CHECK(vg_used(&q, &id, &len));
    CHECK_EQ(len, 16);
    end();
}

/* Old xv6: version 1, FEATURES_OK and DRIVER_OK set before the queue is placed, no alignment written. */
static void legacy_driver_that_places_its_queue_last(void **state)
{
    struct vg_queue q;
    unsigned id;
    uint32_t len;

    (void)state;
    begin(true);
    vg_wr(&g, 0x070, 1);
    vg_wr(&g, 0x070, 3);
    vg_wr(&g, 0x020, 0);
    vg_wr(&g, 0x070, 11);
    vg_wr(&g, 0x070, 15);
    vg_wr(&g, 0x028, 4096);
    vg_queue_init(&g, &q, 0, 8);
    vg_wr(&g, 0x030, 0);
    vg_wr(&g, 0x038, 8);
    vg_wr(&g, 0x040, (uint32_t)(q.desc / 4096));
    struct vg_buf b = {vg_alloc(&g, 16, 16), 16, true};
    vg_add(&q, &b, 1, false);
    vg_kick(&q);
    CHECK(vg_used(&q, &id, &len));
    CHECK_EQ(len, 16);
    end();
}

static void queue_registers(void **state)
{
    (void)state;
    begin(false);
    vg_begin(&g, 0);
    vg_wr(&g, 0x030, 0);
    CHECK_EQ(vg_rd(&g, 0x034), 8);
    CHECK_EQ(vg_rd(&g, 0x044), 0);
    vg_wr(&g, 0x030, 1);
    CHECK_EQ(vg_rd(&g, 0x034), 0);
    vg_wr(&g, 0x044, 1);
    vg_wr(&g, 0x038, 8);
    CHECK_EQ(vg_rd(&g, 0x044), 0);
    vg_wr(&g, 0x030, 0xffffffff);
    CHECK_EQ(vg_rd(&g, 0x034), 0);
    vg_wr(&g, 0x030, 0);
    vg_wr(&g, 0x038, 16); /* larger than the maximum, then no power of two: ignored */
    vg_wr(&g, 0x038, 3);
    CHECK_EQ(v->vq_state[0].size, 8);
    CHECK_EQ(vg_rd(&g, 0x0b0), 0xffffffff); /* no shared memory */
    CHECK_EQ(vg_rd(&g, 0x0b4), 0xffffffff);
    end();
}

static void legacy_queue_by_page_number(void **state)
{
    struct vg_queue q;

    (void)state;
    begin(true);
    vg_begin(&g, 0);
    vg_queue_init(&g, &q, 0, 8);
    vg_queue_on(&q);
    CHECK_EQ(vg_rd(&g, 0x040), q.desc / 4096);
    CHECK_EQ(v->vq_state[0].device, q.device);
    vg_wr(&g, 0x040, 0);
    CHECK_EQ(vg_rd(&g, 0x040), 0);
    vg_wr(&g, 0x03c, 3); /* not a power of two */
    vg_wr(&g, 0x040, (uint32_t)(q.desc / 4096));
    CHECK_EQ(vg_rd(&g, 0x040), 0);
    vg_wr(&g, 0x03c, 4096);
    vg_wr(&g, 0x070, 0); /* the page size outlives this: Linux writes it before its reset */
    vg_wr(&g, 0x040, (uint32_t)(q.desc / 4096));
    CHECK_EQ(vg_rd(&g, 0x040), q.desc / 4096);
    device_reset(&v->dev);
    vg_wr(&g, 0x040, 1); /* no page size yet */
    CHECK_EQ(vg_rd(&g, 0x040), 0);
    end();
}

static void narrow_and_wide_accesses(void **state)
{
    uint64_t val;

    (void)state;
    begin(false);
    CHECK(bus_read(g.env.bus, VG_SLOT, 1, &val));
    CHECK_EQ(val, 0);
    CHECK(bus_write(g.env.bus, VG_SLOT + 0x70, 1, 3));
    CHECK_EQ(vg_rd(&g, 0x070), 0);
    CHECK(bus_read(g.env.bus, VG_SLOT, 8, &val));
    CHECK_EQ(val, UINT64_C(0x274726976));
    for (unsigned size = 1; size <= 8; size *= 2) { /* rng has no configuration */
        CHECK(bus_read(g.env.bus, VG_SLOT + 0x100, size, &val));
        CHECK_EQ(val, 0);
        CHECK(bus_write(g.env.bus, VG_SLOT + 0x100, size, ~UINT64_C(0)));
        CHECK(bus_read(g.env.bus, VG_SLOT + 0xff8, size, &val));
    }
    end();
}

static void machine_reset_resets_the_device(void **state)
{
    struct vg_queue q;

    (void)state;
    begin(false);
    vg_begin(&g, 0);
    vg_queue_init(&g, &q, 0, 8);
    vg_queue_on(&q);
    vg_go(&g);
    CHECK_EQ(vg_rd(&g, 0x044), 1);
    device_reset(g.slot);
    CHECK_EQ(vg_rd(&g, 0x070), 0);
    CHECK_EQ(vg_rd(&g, 0x044), 0);
    vg_kick(&q);
    end();
}

static void slot_and_device_may_be_freed_in_either_order(void **state)
{
    struct device *slot;
    struct err e;

    (void)state;
    begin(false);
    CHECK(!virtio_mmio_plug(g.slot, v, &e)); /* taken */
    slot = virtio_mmio_new(&g.env, "slot1", false);
    CHECK(!virtio_mmio_plug(slot, v, &e)); /* plugged elsewhere */
    device_free(slot);
    vg_wr(&g, 0x070, 1);
    device_free(&v->dev);
    CHECK_EQ(vg_rd(&g, 0x008), 0);
    vg_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_of_both_versions),
        cmocka_unit_test(empty_slot_has_device_id_0),
        cmocka_unit_test(features_are_windows_of_32_bits),
        cmocka_unit_test(features_ok_only_for_what_was_offered),
        cmocka_unit_test(driver_without_version_1_is_served),
        cmocka_unit_test(legacy_driver_that_places_its_queue_last),
        cmocka_unit_test(queue_registers),
        cmocka_unit_test(legacy_queue_by_page_number),
        cmocka_unit_test(narrow_and_wide_accesses),
        cmocka_unit_test(machine_reset_resets_the_device),
        cmocka_unit_test(slot_and_device_may_be_freed_in_either_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
