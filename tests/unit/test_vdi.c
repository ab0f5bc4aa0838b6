/* VDI against qemu-img and qemu-io: theirs read here, ours read there, damage, resize, discard. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/fault_image.h"
#include "tests/unit/foreign.h"

enum { MB = 1 << 20 };

static void patch(const char *path, long off, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    CHECK_EQ(fseek(f, off, SEEK_SET), 0);
    CHECK_EQ(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void reads_what_qemu_wrote(void **state)
{
    static const char *const options[] = {"static=off", "static=on"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;

        model_init(&m, 9 * MB + 512 * 3, 1 + i);
        model_fill(&m, 3 * MB - 512, 1024);
        model_fill(&m, 7 * MB, 2 * MB + 1536);
        model_save(&m, "a.raw");
        sh_ok("qemu-img convert -f raw -O vdi -o %s a.raw a.vdi", options[i]);
        img = img_open("a.vdi", "vdi", true);
        CHECK_EQ(img->size, m.size);
        CHECK_STR(img->ops->format, "vdi");
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void qemu_reads_what_we_wrote(void **state)
{
    static const char *const options[] = {NULL, "static=on", "preallocation=metadata", "preallocation=falloc"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;

        model_init(&m, 12 * MB + 512, 7 + i);
        img_create("b.vdi", "vdi", m.size, options[i]);
        for (unsigned round = 0; round < 3; round++) {
            img = img_open("b.vdi", "vdi", false);
            model_run(&m, img, 60, "wwwwzdfFrr", 3 * MB / 2);
            model_check(&m, img);
            image_close(img);
            sh_ok("qemu-img check -f vdi b.vdi");
        }
        model_save(&m, "b.raw");
        sh_ok("qemu-img compare -f vdi -F raw b.vdi b.raw");
        sh_ok("qemu-io -f vdi -c 'write -P 0x5a 5M 1536k' b.vdi");
        memset(m.bytes + 5 * MB, 0x5a, 3 * MB / 2);
        img = img_open("b.vdi", "vdi", true);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void a_new_image_is_empty_and_a_static_one_full(void **state)
{
    struct image *img;
    struct image_extent x;
    char *info;

    (void)state;
    img_create("c.vdi", "vdi", 64 * MB, NULL);
    sh_ok("qemu-img check -f vdi c.vdi");
    info = sh_out("qemu-img info -f vdi c.vdi");
    CHECK(strstr(info, "64 MiB (67108864 bytes)"));
    free(info);
    img = img_open("c.vdi", "vdi", false);
    CHECK_EQ(img->ops->map(img, 0, img->size, &x), 0);
    CHECK_EQ(x.len, 64 * MB);
    CHECK(!x.allocated && !x.data && x.zero);
    CHECK_EQ(img_write(img, "x", 5 * MB, 1, 0), 0);
    CHECK_EQ(img->ops->map(img, 5 * MB, 59 * MB, &x), 0);
    CHECK_EQ(x.len, MB);
    CHECK(x.allocated && x.data && x.has_offset);
    image_close(img);
    img_create("c.vdi", "vdi", 4 * MB, "static=on");
    img = img_open("c.vdi", "vdi", true);
    CHECK_EQ(img->ops->map(img, 0, img->size, &x), 0);
    CHECK_EQ(x.len, 4 * MB);
    CHECK(x.data && x.has_offset && !img->discard);
    image_close(img);
    img_create_refused("c.vdi", "vdi", 4 * MB, "compat6=on", "no option 'compat6'");
    img_create_refused("c.vdi", "vdi", 4 * MB, "static=maybe", "'maybe'");
    img_create_refused("c.vdi", "vdi", UINT64_C(1) << 50, NULL, "512 TiB");
}

static void discarded_blocks_make_the_file_shorter(void **state)
{
    struct model m;
    struct image *img;
    struct image_extent x;
    uint64_t before;

    (void)state;
    model_init(&m, 16 * MB, 3);
    img_create("d.vdi", "vdi", m.size, NULL);
    img = img_open("d.vdi", "vdi", false);
    model_fill(&m, 0, m.size);
    CHECK_EQ(img_write(img, m.bytes, 0, m.size, 0), 0);
    CHECK_EQ(img->ops->flush(img), 0);
    before = img->file->size;
    memset(m.bytes + 2 * MB, 0, 7 * MB);
    CHECK_EQ(img->ops->discard(img, 2 * MB, 7 * MB), 0);
    CHECK_EQ(img->ops->map(img, 2 * MB, 14 * MB, &x), 0);
    CHECK_EQ(x.len, 7 * MB);
    CHECK(x.zero && !x.data);
    model_check(&m, img);
    image_close(img);
    sh_ok("qemu-img check -f vdi d.vdi");
    img = img_open("d.vdi", "vdi", false);
    CHECK_EQ(before - img->file->size, 7 * MB);
    model_check(&m, img);
    /* all of the disk can be used again */
    model_fill(&m, 0, m.size);
    CHECK_EQ(img->ops->discard(img, 0, 3 * MB), 0);
    CHECK_EQ(img_write(img, m.bytes, 0, m.size, 0), 0);
    model_check(&m, img);
    image_close(img);
    sh_ok("qemu-img check -f vdi d.vdi");
    model_fini(&m);
}

static void grows(void **state)
{
    static const struct {
        const char *make;
        uint64_t from, to;
    } cases[] = {
        {"qemu-img create -f vdi e.vdi 5M", 5, 9},        /* room in the map's last sector */
        {"qemu-img create -f vdi e.vdi 127M", 127, 3000}, /* the first block has to move */
        {"qemu-img create -f vdi -o static=on e.vdi 127M", 127, 300},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {""};
        struct model m;
        struct image *img;

        sh_ok("%s", cases[i].make);
        model_init(&m, cases[i].from * MB, i);
        img = img_open("e.vdi", "vdi", false);
        model_run(&m, img, 20, "wwf", MB);
        if (img->ops->resize(img, cases[i].to * MB, PREALLOC_OFF, false, &e))
            fail_msg("%s", e.msg);
        CHECK_EQ(img->size, cases[i].to * MB);
        model_check(&m, img);
        CHECK_EQ(img_write(img, "end", cases[i].to * MB - 512, 3, 0), 0);
        CHECK(img->ops->resize(img, MB, PREALLOC_OFF, true, &e) < 0);
        image_close(img);
        sh_ok("qemu-img check -f vdi e.vdi");
        model_save(&m, "e.raw");
        sh_ok("truncate -s %uM e.raw && printf end | dd of=e.raw bs=1 seek=%llu conv=notrunc", (unsigned)cases[i].to,
              (unsigned long long)(cases[i].to * MB - 512));
        sh_ok("qemu-img compare -f vdi -F raw e.vdi e.raw");
        model_fini(&m);
    }
}

static unsigned reported;

static void on_report(void *arg, const char *line)
{
    (void)arg;
    (void)line;
    reported++;
}

static void check(const char *path, unsigned fix, struct image_check *c)
{
    struct err e = {""};
    struct image_options o = {.format = "vdi", .no_repair = true, .read_only = !fix};
    struct image *img = image_open(path, &o, &e);

    reported = 0;
    if (!img || !img->ops->check(img, fix, c, on_report, NULL, &e))
        fail_msg("%s", e.msg);
    image_close(img);
}

static void check_finds_and_mends_damage(void **state)
{
    struct image_check c;
    struct model m;
    struct image *img;
    uint32_t bad[4];

    (void)state;
    model_init(&m, 8 * MB, 5);
    model_fill(&m, 0, m.size);
    model_save(&m, "f.raw");
    sh_ok("qemu-img convert -f raw -O vdi f.raw f.vdi");
    check("f.vdi", 0, &c);
    CHECK_EQ(c.corruptions + c.leaks + reported, 0);
    CHECK_EQ(c.allocated_clusters, 8);
    /* blocks 1 and 2 share the place of 1, block 3 is far away; place 2 and 3 leak */
    bad[0] = 1, bad[1] = 900000;
    patch("f.vdi", 512 + 2 * 4, bad, 8);
    CHECK(sh("qemu-img check -f vdi f.vdi") == 2);
    img_refused("f.vdi", "vdi", false, "run check");
    check("f.vdi", 0, &c);
    CHECK_EQ(c.corruptions, 2);
    CHECK_EQ(c.leaks, 2);
    CHECK_EQ(reported, 3);
    check("f.vdi", IMAGE_FIX_ERRORS | IMAGE_FIX_LEAKS, &c);
    CHECK_EQ(c.corruptions, 0);
    CHECK_EQ(c.corruptions_fixed, 2);
    sh_ok("qemu-img check -f vdi f.vdi");
    memcpy(m.bytes + 2 * MB, m.bytes + MB, MB);
    memset(m.bytes + 3 * MB, 0, MB);
    img = img_open("f.vdi", "vdi", false);
    model_check(&m, img);
    image_close(img);
    model_fini(&m);
}

static void a_count_that_is_too_large_is_a_leak_that_opening_mends(void **state)
{
    struct image_check c;
    uint32_t count = 6;

    (void)state;
    sh_ok("qemu-img create -f vdi g.vdi 8M && qemu-io -f vdi -c 'write 0 3M' g.vdi");
    patch("g.vdi", 0x184, &count, 4);
    check("g.vdi", 0, &c);
    CHECK_EQ(c.leaks, 3);
    CHECK_EQ(c.corruptions, 0);
    image_close(img_open("g.vdi", "vdi", false));
    sh_ok("qemu-img check -f vdi g.vdi");
}

/* The header's count was once taken for stable though writing it had failed. */
static void a_flush_that_failed_is_done_in_full_by_the_next(void **state)
{
    static const enum fault_call calls[] = {CALL_WRITE, CALL_FLUSH};

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct fault f = {0};
        struct err e = {""};
        struct image_options o = {.format = "vdi"};
        struct image *img;

        sh_ok("qemu-img create -f vdi j.vdi 8M");
        o.file = fault_image(&f, img_open("j.vdi", "file", false));
        img = image_open("j.vdi", &o, &e);
        CHECK(img != NULL);
        CHECK_EQ(img_write(img, "x", MB, 1, 0), 0);
        f.after = i / 2; /* of the flush's calls */
        f.error[calls[i % 2]] = -5;
        CHECK_EQ(img->ops->flush(img), -5);
        f.error[calls[i % 2]] = 0;
        CHECK_EQ(img->ops->flush(img), 0);
        sh_ok("cp --sparse=always j.vdi k.vdi && qemu-img check -f vdi k.vdi");
        sh_ok("qemu-io -r -f vdi -c 'read -P 120 1M 1' k.vdi");
        image_close(img);
    }
}

static void what_is_not_supported_is_named(void **state)
{
    static const struct {
        long off;
        uint32_t v;
        const char *expect;
    } cases[] = {
        {0x40, 7, "no VDI image"},   {0x44, 0x00020001, "version 2.1"}, {0x4c, 4, "differencing"},
        {0x4c, 77, "type 77"},       {0x168, 4096, "sector size"},      {0x178, 3 * MB, "block size"},
        {0x17c, 512, "extra bytes"}, {0x180, 0x7fffffff, "blocks"},     {0x180, 1, "blocks"},
        {0x154, 0, "overlap"},       {0x158, 512, "overlap"},           {0x154, 0x40000000, "overlap"},
        {0x1a8, 1, "differencing"},  {0x1b8, 1, "differencing"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        sh_ok("qemu-img create -f vdi h.vdi 8M");
        patch("h.vdi", cases[i].off, &cases[i].v, 4);
        img_refused("h.vdi", "vdi", true, cases[i].expect);
    }
    sh_ok("head -c 300 h.vdi >i.vdi");
    img_refused("i.vdi", "vdi", true, "too short");
    sh_ok("qemu-img create -f vdi h.vdi 800M && truncate -s 600 h.vdi");
    img_refused("h.vdi", "vdi", true, "ends inside");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_qemu_wrote),
        cmocka_unit_test(qemu_reads_what_we_wrote),
        cmocka_unit_test(a_new_image_is_empty_and_a_static_one_full),
        cmocka_unit_test(discarded_blocks_make_the_file_shorter),
        cmocka_unit_test(grows),
        cmocka_unit_test(check_finds_and_mends_damage),
        cmocka_unit_test(a_count_that_is_too_large_is_a_leak_that_opening_mends),
        cmocka_unit_test(a_flush_that_failed_is_done_in_full_by_the_next),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
