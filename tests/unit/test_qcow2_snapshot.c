/* qcow2: internal snapshots, ours and qemu-img's, applied and deleted by both; sizes and flags as qemu-img wants them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/qcow2_util.h"

enum { MIB = 1 << 20 };

static void take(struct image *img, const char *name)
{
    struct image_snapshot s = {.date_sec = 1700000000, .icount = UINT64_MAX};
    struct err e = {""};

    snprintf(s.name, sizeof s.name, "%s", name);
    if (!img->ops->snapshot_create(img, &s, &e))
        fail_msg("%s", e.msg);
}

static void must(bool ok, const struct err *e)
{
    if (!ok)
        fail_msg("%s", e->msg);
}

static const char *const kinds[] = {
    "compat=1.1",
    "compat=0.10",
    "cluster_size=512",
    "cluster_size=4k,refcount_bits=2",
    "extended_l2=on,cluster_size=16k",
    "cluster_size=1k,refcount_bits=64",
    "lazy_refcounts=on",
    "cluster_size=2M",
};

static void snapshots_hold_what_was_there(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct err e = {""};
        struct image *img;

        qcreate("s.qcow2", 8 * MIB, kinds[i], NULL, NULL);
        img = qopen("s.qcow2", (struct image_options){0});
        pattern_write(img, 0, 3 * MIB, 1);
        take(img, "one");
        pattern_write(img, MIB, MIB / 2, 2);
        take(img, "two");
        pattern_write(img, MIB + 4096, 8192, 3);
        CHECK_EQ(img->ops->discard(img, 0, MIB), 0);
        CHECK_EQ(img->ops->flush(img), 0);
        image_close(img);
        qimg_check("s.qcow2");
        q_sh_ok("qemu-img snapshot -l s.qcow2 | grep -q one && qemu-img snapshot -l s.qcow2 | grep -q two");
        q_sh_ok("qemu-img convert -l two -f qcow2 -O raw s.qcow2 two.raw && "
                "qemu-io -f raw -r -c 'read -P 1 0 1M' -c 'read -P 2 1M 512k' -c 'read -P 1 1536k 1536k' two.raw | tee "
                "o; ! grep -i fail o");

        img = qopen("s.qcow2", (struct image_options){.read_only = true});
        must(img->ops->snapshot_view(img, "one", &e), &e);
        pattern_check(img, 0, 3 * MIB, 1);
        pattern_check(img, 3 * MIB, 5 * MIB, 0);
        image_close(img);

        img = qopen("s.qcow2", (struct image_options){0});
        must(img->ops->snapshot_apply(img, "one", &e), &e);
        pattern_check(img, 0, 3 * MIB, 1);
        pattern_write(img, 2 * MIB, 512, 4);
        must(img->ops->snapshot_delete(img, "one", &e), &e);
        pattern_check(img, 2 * MIB, 512, 4);
        pattern_check(img, 0, 2 * MIB, 1);
        pattern_write(img, MIB / 2, 512, 5);
        image_close(img);
        qimg_check("s.qcow2");
        q_sh_ok("qemu-img snapshot -a two s.qcow2 && qemu-img snapshot -d two s.qcow2");
        img = qopen("s.qcow2", (struct image_options){0});
        pattern_check(img, 0, MIB, 1);
        pattern_check(img, MIB, MIB / 2, 2);
        pattern_check(img, 3 * MIB / 2, 3 * MIB / 2, 1);
        pattern_write(img, 0, 4096, 6);
        image_close(img);
        qimg_check("s.qcow2");
    }
}

static void snapshots_of_qemu_img_are_understood(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct image_snapshot *list;
        struct err e = {""};
        struct image *img;

        q_sh_ok("qemu-img create -q -f qcow2 -o %s t.qcow2 4M && qemu-io -f qcow2 -c 'write -P 1 0 2M' t.qcow2 && "
                "qemu-img snapshot -c a t.qcow2 && qemu-io -f qcow2 -c 'write -P 2 1M 2M' t.qcow2 && qemu-img snapshot "
                "-c b t.qcow2 && "
                "qemu-io -f qcow2 -c 'write -P 3 0 64k' t.qcow2",
                kinds[i]);
        img = qopen("t.qcow2", (struct image_options){0});
        CHECK_EQ(img->ops->snapshot_list(img, &list), 2);
        CHECK_STR(list[0].name, "a");
        CHECK_STR(list[1].id, "2");
        CHECK_EQ(list[0].disk_size, 4 * MIB);
        free(list);
        must(img->ops->snapshot_delete(img, "a", &e), &e);
        pattern_check(img, 0, 65536, 3);
        pattern_write(img, 512, 512, 9);
        must(img->ops->snapshot_apply(img, "b", &e), &e);
        pattern_check(img, 0, MIB, 1);
        pattern_check(img, MIB, 2 * MIB, 2);
        CHECK(!img->ops->snapshot_delete(img, "nobody", &e));
        CHECK(strstr(e.msg, "nobody"));
        image_close(img);
        qimg_check("t.qcow2");
    }
}

static void sizes_change_with_snapshots(void **state)
{
    struct err e = {""};
    struct image *img;

    (void)state;
    qcreate("r.qcow2", 2 * MIB, "cluster_size=512", NULL, NULL);
    img = qopen("r.qcow2", (struct image_options){0});
    pattern_write(img, 0, 2 * MIB, 1);
    take(img, "small");
    CHECK_EQ(img->ops->resize(img, 6 * MIB, PREALLOC_OFF, false, &e), 0);
    pattern_check(img, 2 * MIB, 4 * MIB, 0);
    pattern_write(img, 5 * MIB, MIB, 2);
    take(img, "large");
    CHECK(img->ops->resize(img, MIB, PREALLOC_OFF, false, &e) < 0);
    CHECK(strstr(e.msg, "shrinking"));
    CHECK_EQ(img->ops->resize(img, MIB, PREALLOC_OFF, true, &e), 0);
    CHECK_EQ(img->ops->resize(img, 2 * MIB, PREALLOC_OFF, false, &e), 0);
    pattern_check(img, MIB, MIB, 0);
    image_close(img);
    qimg_check("r.qcow2");
    img = qopen("r.qcow2", (struct image_options){0});
    pattern_write(img, 0, 512, 7); /* changed, then looked at as it was */
    must(img->ops->snapshot_view(img, "large", &e), &e);
    CHECK_EQ(img->size, 6 * MIB);
    pattern_check(img, 5 * MIB, MIB, 2);
    pattern_check(img, 0, 2 * MIB, 1);
    CHECK(image_pwrite(img, &e, 0, 512, 0) < 0);
    image_close(img);
    qimg_check("r.qcow2");
    img = qopen("r.qcow2", (struct image_options){0});
    pattern_check(img, 0, 512, 7);
    must(img->ops->snapshot_apply(img, "large", &e), &e);
    CHECK_EQ(img->size, 6 * MIB);
    pattern_check(img, 5 * MIB, MIB, 2);
    image_close(img);
    qimg_check("r.qcow2");
    q_sh_ok("qemu-img snapshot -a small r.qcow2");
    img = qopen("r.qcow2", (struct image_options){0});
    CHECK_EQ(img->size, 2 * MIB);
    pattern_check(img, 0, 2 * MIB, 1);
    image_close(img);
}

static void one_bit_refcounts_hold_no_snapshot(void **state)
{
    struct image_snapshot s = {.name = "x"};
    struct err e = {""};
    struct image *img;

    (void)state;
    qcreate("b.qcow2", MIB, "refcount_bits=1", NULL, NULL);
    img = qopen("b.qcow2", (struct image_options){0});
    pattern_write(img, 0, 65536, 1);
    CHECK(!img->ops->snapshot_create(img, &s, &e));
    CHECK(strstr(e.msg, "refcount_bits"));
    pattern_write(img, 65536, 65536, 2);
    pattern_check(img, 0, 65536, 1);
    image_close(img);
    qimg_check("b.qcow2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_hold_what_was_there),
        cmocka_unit_test(snapshots_of_qemu_img_are_understood),
        cmocka_unit_test(sizes_change_with_snapshots),
        cmocka_unit_test(one_bit_refcounts_hold_no_snapshot),
    };

    return cmocka_run_group_tests(tests, qdir_setup, qdir_teardown);
}
