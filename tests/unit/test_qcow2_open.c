/* qcow2: headers and tables that are not to be trusted, features kept or refused, check and repair, crashed images. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/qcow2_util.h"

enum { MIB = 1 << 20 };

static const struct image_options rw = {0}, ro = {.read_only = true};

static FILE *bytes_of(const char *name)
{
    char path[192];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", qdir, name);
    f = fopen(path, "r+");
    CHECK(f != NULL);
    return f;
}

static void poke(const char *name, long at, uint64_t v, unsigned bytes)
{
    FILE *f = bytes_of(name);
    uint8_t b[8];

    st64be(b, v);
    fseek(f, at, SEEK_SET);
    CHECK_EQ(fwrite(b + 8 - bytes, 1, bytes, f), bytes);
    fclose(f);
}

static uint64_t peek(const char *name, long at)
{
    FILE *f = bytes_of(name);
    uint8_t b[8] = {0};

    fseek(f, at, SEEK_SET);
    CHECK_EQ(fread(b, 1, 8, f), 8);
    fclose(f);
    return ld64be(b);
}

static void fresh(const char *options)
{
    q_sh_ok("qemu-img create -q -f qcow2 -o %s x.qcow2 4M && qemu-io -f qcow2 -c 'write -P 5 0 1M' x.qcow2", options);
}

static void headers_out_of_range_are_refused(void **state)
{
    static const struct {
        long at;
        uint64_t v;
        unsigned bytes;
        const char *expect;
    } cases[] = {
        {0, 0x51464900, 4, "not a qcow2"},
        {4, 4, 4, "version 4"},
        {4, 1, 4, "version 1"},
        {20, 8, 4, "clusters of 2^8"},
        {20, 22, 4, "clusters of 2^22"},
        {20, 0xffffffff, 4, "clusters of"},
        {24, UINT64_MAX, 8, "L1 table is too small"},
        {24, UINT64_C(1) << 40, 8, "L1 table is too small"},
        {32, 1, 4, "encrypted (AES)"},
        {32, 2, 4, "encrypted (LUKS)"},
        {36, 0x7fffffff, 4, "L1 table is too large"},
        {40, 0x30001, 8, "L1 table is not valid"},
        {40, UINT64_MAX << 16, 8, "L1 table is not valid"},
        {48, 0x10200, 8, "refcount table is not valid"},
        {48, 0, 8, "refcount table is not valid"},
        {56, 0, 4, "no refcount table"},
        {56, 1000, 4, "refcount table is too large"},
        {60, 1, 4, "snapshot"},
        {60, 0xffffffff, 4, "snapshot"},
        {8, 0x10008, 8, "backing file's name"},
        {72, UINT64_C(1) << 40, 8, "incompatible feature bit 40"},
        {72, 8, 8, "compression type"},
        {72, 16, 8, "L1 table is too small"},
        {96, 7, 4, "wider than 64"},
        {100, 103, 4, "wrong length"},
        {100, 0x10008, 4, "wrong length"},
        {0x70 + 4, 0x7fffffff, 4, "longer than its room"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh("cluster_size=64k");
        if (cases[i].at == 72 && cases[i].v == 16)
            poke("x.qcow2", 24, UINT64_C(1) << 29, 8); /* fits without extended entries, not with */
        poke("x.qcow2", cases[i].at, cases[i].v, cases[i].bytes);
        print_message("# %s\n", cases[i].expect);
        qopen_fails("x.qcow2", ro, cases[i].expect);
    }
}

static void unknown_features_are_named_kept_or_cleared(void **state)
{
    struct image *img;
    FILE *f;

    (void)state;
    fresh("cluster_size=64k");
    f = bytes_of("x.qcow2"); /* a seventh row of the name table becomes one of an unknown bit */
    fseek(f, 0x78 + 48 * 6, SEEK_SET);
    fwrite("\x00\x1f"
           "flux capacitor\0",
           1, 17, f);
    fclose(f);
    poke("x.qcow2", 72, UINT64_C(1) << 31, 8);
    qopen_fails("x.qcow2", ro, "flux capacitor");

    fresh("cluster_size=64k");
    poke("x.qcow2", 80, UINT64_C(0xf0), 8);         /* compatible */
    poke("x.qcow2", 88, UINT64_C(1) << 50, 8);      /* autoclear */
    poke("x.qcow2", 0x70, UINT64_C(0x12345678), 4); /* an unknown extension where the name table was */
    img = qopen("x.qcow2", rw);
    CHECK_EQ(peek("x.qcow2", 88), UINT64_C(1) << 50);
    pattern_write(img, 0, 512, 6);
    CHECK_EQ(peek("x.qcow2", 88), 0);
    image_close(img);
    CHECK_EQ(peek("x.qcow2", 80), 0xf0);
    CHECK_EQ(peek("x.qcow2", 0x70) >> 32, 0x12345678);
    qimg_check("x.qcow2");
}

static void a_corrupt_image_is_not_written(void **state)
{
    struct image *img;

    (void)state;
    fresh("cluster_size=64k");
    poke("x.qcow2", 72, 2, 8);
    qopen_fails("x.qcow2", rw, "marked corrupt");
    img = qopen("x.qcow2", ro);
    pattern_check(img, 0, MIB, 5);
    image_close(img);
}

static void overlapping_tables_are_not_written(void **state)
{
    uint64_t l1, l2;
    struct image *img;
    uint8_t b[512] = {1};

    (void)state;
    fresh("cluster_size=64k");
    l1 = peek("x.qcow2", 40);
    poke("x.qcow2", (long)l1, UINT64_C(0x10000) | 1ull << 63, 8); /* the L2 table is the refcount table */
    qopen_fails("x.qcow2", rw, "overlaps");

    fresh("cluster_size=64k");
    l2 = peek("x.qcow2", (long)l1) & ~(1ull << 63);
    poke("x.qcow2", (long)l2, UINT64_C(0x20000) | 1ull << 63, 8); /* guest data is the refcount block */
    img = qopen("x.qcow2", rw);
    CHECK_EQ(image_pwrite(img, b, 0, 512, 0), -EIO);
    CHECK_EQ(image_pwrite(img, b, 65536, 512, 0), -EIO); /* nothing more is written */
    image_close(img);
    CHECK_EQ(peek("x.qcow2", 72), 2); /* marked corrupt */
    CHECK_EQ(peek("x.qcow2", 0x20000) >> 48, 1);
}

static uint64_t json_number(const char *text, const char *key)
{
    json_t *j = json_loads(text, 0, NULL);
    uint64_t v = (uint64_t)json_integer_value(json_object_get(j, key));

    json_decref(j);
    return v;
}

/* Our counts against those that qemu-img prints. */
static void same_check(const char *name)
{
    const char *json = q_sh_out("qemu-img check -f qcow2 --output=json %s 2>/dev/null", name);
    struct image *img = qopen(name, (struct image_options){.read_only = true});
    struct image_check c;
    struct err e;

    CHECK(img->ops->check(img, 0, &c, NULL, NULL, &e));
    CHECK_EQ(c.corruptions, json_number(json, "corruptions"));
    CHECK_EQ(c.leaks, json_number(json, "leaks"));
    CHECK_EQ(c.image_end_offset, json_number(json, "image-end-offset"));
    CHECK_EQ(c.total_clusters, json_number(json, "total-clusters"));
    CHECK_EQ(c.allocated_clusters, json_number(json, "allocated-clusters"));
    CHECK_EQ(c.fragmented_clusters, json_number(json, "fragmented-clusters"));
    CHECK_EQ(c.compressed_clusters, json_number(json, "compressed-clusters"));
    image_close(img);
}

static void repair(const char *name, unsigned fix, uint64_t corruptions, uint64_t leaks)
{
    struct image *img = qopen(name, (struct image_options){.no_repair = true});
    struct image_check c;
    struct err e;

    if (!img->ops->check(img, fix, &c, NULL, NULL, &e))
        fail_msg("%s", e.msg);
    CHECK_EQ(c.corruptions_fixed, corruptions);
    CHECK_EQ(c.leaks_fixed, leaks);
    image_close(img);
}

static void check_finds_and_repairs_what_qemu_img_finds(void **state)
{
    struct image_check c;
    struct image *img;
    struct err e;

    (void)state;
    fresh("cluster_size=4k");
    same_check("x.qcow2");
    poke("x.qcow2", 0x2000 + 2 * 100, 7, 2); /* a leak: refcounts are at 0x2000 */
    same_check("x.qcow2");
    repair("x.qcow2", IMAGE_FIX_LEAKS, 0, 1);
    qimg_check("x.qcow2");
    poke("x.qcow2", 0x2000 + 2 * 20, 2, 2); /* a leak of a cluster in use, whose flag agrees with it */
    poke("x.qcow2", 0x4000 + 8 * 15, 20 << 12, 8);
    same_check("x.qcow2");
    repair("x.qcow2", IMAGE_FIX_LEAKS, 1, 1);
    qimg_check("x.qcow2");
    poke("x.qcow2", 0x2000 + 2 * 9, 0, 2);
    poke("x.qcow2", 0x2000 + 2 * 10, 2, 2);
    poke("x.qcow2", 0x2000 + 2 * 101, 5, 2);
    same_check("x.qcow2");
    repair("x.qcow2", IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS, 2, 2);
    qimg_check("x.qcow2");
    poke("x.qcow2", 0x1000, 0, 8); /* no refcounts at all; the rebuilt table lies elsewhere by now */
    poke("x.qcow2", (long)peek("x.qcow2", 48), 0, 8);
    img = qopen("x.qcow2", (struct image_options){.no_repair = true});
    CHECK(img->ops->check(img, IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS, &c, NULL, NULL, &e));
    CHECK(c.corruptions_fixed > 256 && !c.corruptions);
    image_close(img);
    qimg_check("x.qcow2");
    img = qopen("x.qcow2", rw);
    pattern_check(img, 0, MIB, 5);
    pattern_write(img, 0, 4 * MIB, 8);
    image_close(img);
    qimg_check("x.qcow2");
}

/* A copy taken while the image is in use is what a killed process leaves. */
static void a_crash_leaves_what_was_flushed(void **state)
{
    static const char *const kinds[] = {"compat=1.1", "compat=0.10,cluster_size=512", "lazy_refcounts=on",
                                        "cluster_size=4k"};

    (void)state;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct image *img;

        qcreate("k.qcow2", 4 * MIB, kinds[i], NULL, NULL);
        img = qopen("k.qcow2", rw);
        pattern_write(img, 0, MIB, 1);
        CHECK_EQ(img->ops->flush(img), 0);
        CHECK_EQ(img->ops->discard(img, 0, MIB / 2), 0);
        CHECK_EQ(img->ops->flush(img), 0);
        pattern_write(img, 2 * MIB, MIB, 2); /* not flushed: its clusters leak at most */
        q_sh_ok("cp k.qcow2 dead.qcow2");
        image_close(img);
        qimg_check("k.qcow2");
        img = qopen("dead.qcow2", rw);
        pattern_check(img, 0, MIB / 2, 0);
        pattern_check(img, MIB / 2, MIB / 2, 1);
        image_close(img);
        qimg_check("dead.qcow2");
    }
}

static void info_is_that_of_qemu_img(void **state)
{
    static const char *const kinds[] = {"compat=0.10", "compat=1.1", "lazy_refcounts=on,refcount_bits=64",
                                        "extended_l2=on,compression_type=zstd"};

    (void)state;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        json_t *theirs, *ours;
        struct image *img;

        fresh(kinds[i]);
        theirs = json_loads(q_sh_out("qemu-img info --output=json x.qcow2"), 0, NULL);
        img = qopen("x.qcow2", ro);
        ours = img->ops->details(img);
        CHECK(json_equal(ours, json_object_get(theirs, "format-specific")));
        json_decref(ours);
        json_decref(theirs);
        image_close(img);
    }
}

static void bitmaps_that_are_on_become_inconsistent_and_others_stay(void **state)
{
    struct image *img;
    const char *out;

    (void)state;
    fresh("cluster_size=64k");
    q_sh_ok("qemu-img bitmap --add --enable x.qcow2 on && qemu-img bitmap --add --disable x.qcow2 off");
    img = qopen("x.qcow2", rw);
    pattern_check(img, 0, MIB, 5);
    image_close(img);
    CHECK(!strstr(q_sh_out("qemu-img info x.qcow2"), "in-use"));
    img = qopen("x.qcow2", rw);
    pattern_write(img, 2 * MIB, MIB, 5);
    image_close(img);
    qimg_check("x.qcow2");
    out = q_sh_out("qemu-img info --output=json x.qcow2 | tr -d ' \\n'");
    CHECK(strstr(out, "[\"in-use\",\"auto\"],\"name\":\"on\"") || strstr(out, "\"flags\":[\"in-use\",\"auto\"]"));
    CHECK(strstr(out, "\"flags\":[]"));
}

static void an_external_data_file_holds_the_disk(void **state)
{
    struct image *img;

    (void)state;
    for (int raw = 0; raw < 2; raw++) {
        q_sh_ok("rm -f d.raw; qemu-img create -q -f qcow2 -o data_file=d.raw,data_file_raw=%s e.qcow2 4M && "
                "qemu-io -f qcow2 -c 'write -P 3 1M 1M' e.qcow2",
                raw ? "on" : "off");
        img = qopen("e.qcow2", rw);
        pattern_check(img, MIB, MIB, 3);
        pattern_write(img, MIB + 5 * 512, 9 * 512, 4);
        pattern_write(img, 3 * MIB, 512, 4);
        CHECK_EQ(img->ops->write_zeroes(img, 2 * MIB - 65536, 65536, IMAGE_UNMAP), 0);
        image_close(img);
        qimg_check("e.qcow2");
        if (raw)
            q_sh_ok("qemu-img compare -f qcow2 -F raw e.qcow2 d.raw");
        qcreate("f.qcow2", 4 * MIB, raw ? "data_file=f.raw,data_file_raw=on" : "data_file=f.raw", NULL, NULL);
        img = qopen("f.qcow2", rw);
        pattern_write(img, 512, MIB, 9);
        image_close(img);
        qimg_check("f.qcow2");
        q_sh_ok("qemu-io -f qcow2 -r -c 'read -P 9 512 1M' f.qcow2 | tee o; ! grep -i fail o");
    }
}

static void backing_files_are_named_anew(void **state)
{
    struct err e = {""};
    struct image *img;

    (void)state;
    q_sh_ok(
        "qemu-img create -q -f qcow2 one.qcow2 1M && qemu-img create -q -f qcow2 two-with-a-longer-name.qcow2 1M && "
        "qemu-img create -q -f qcow2 -o cluster_size=512 -b one.qcow2 -F qcow2 top.qcow2");
    img = qopen("top.qcow2", (struct image_options){.no_backing = true});
    CHECK(img->ops->set_backing(img, "two-with-a-longer-name.qcow2", "qcow2", &e));
    image_close(img);
    CHECK(strstr(q_sh_out("qemu-img info top.qcow2"), "backing file: two-with-a-longer-name.qcow2"));
    qimg_check("top.qcow2");
    img = qopen("top.qcow2", rw);
    CHECK(img->ops->set_backing(img, NULL, NULL, &e));
    image_close(img);
    CHECK(!strstr(q_sh_out("qemu-img info top.qcow2"), "backing"));
    qimg_check("top.qcow2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_out_of_range_are_refused),
        cmocka_unit_test(unknown_features_are_named_kept_or_cleared),
        cmocka_unit_test(a_corrupt_image_is_not_written),
        cmocka_unit_test(overlapping_tables_are_not_written),
        cmocka_unit_test(check_finds_and_repairs_what_qemu_img_finds),
        cmocka_unit_test(a_crash_leaves_what_was_flushed),
        cmocka_unit_test(info_is_that_of_qemu_img),
        cmocka_unit_test(bitmaps_that_are_on_become_inconsistent_and_others_stay),
        cmocka_unit_test(an_external_data_file_holds_the_disk),
        cmocka_unit_test(backing_files_are_named_anew),
    };

    return cmocka_run_group_tests(tests, qdir_setup, qdir_teardown);
}
