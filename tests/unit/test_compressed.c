/* Compressed raw disks: files made by gzip, xz and zstd, in one piece and in many, read at random; damage and bombs. */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/bits.h"
#include "images/block.h"
#include "tests/unit/foreign.h"

enum { MB = 1 << 20 };

static struct model disk;

static void make_disk(void)
{
    if (disk.bytes)
        return;
    model_init(&disk, 7 * MB + 512 * 3, 42);
    for (unsigned i = 0; i < 40; i++)
        model_fill(&disk, model_random(&disk, 6 * MB), 1 + model_random(&disk, 200000));
    model_save(&disk, "disk");
}

static void random_reads(struct image *img)
{
    uint8_t *buf = malloc(300000);

    model_check(&disk, img);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t off = model_random(&disk, (uint32_t)disk.size - 1),
                 len = 1 + model_random(&disk, i % 10 ? 5000 : 300000);

        if (len > disk.size - off)
            len = disk.size - off;
        CHECK_EQ(img_read(img, buf, off, len), 0);
        CHECK(!memcmp(buf, disk.bytes + off, len));
    }
    free(buf);
}

static void all_kinds_read_the_same(void **state)
{
    static const struct {
        const char *make, *format;
    } cases[] = {
        {"gzip -kc disk >c", "gzip"},
        {"gzip -1kc disk >c && head -c 5000 /dev/zero >>c", "gzip"},
        {"{ head -c 3000001 disk | gzip -9; tail -c +3000002 disk | gzip; } >c", "gzip"},
        {"xz -0kc disk >c", "xz"},
        {"xz -0kc --block-size=500000 disk >c", "xz"},
        {"{ head -c 3000000 disk | xz -0; tail -c +3000001 disk | xz -0 --check=none --delta --lzma2=preset=0; } >c",
         "xz"},
        {"{ head -c 3000000 disk | xz -0; tail -c +3000001 disk | xz -0 --check=sha256 --x86 --lzma2=preset=0; } >c",
         "xz"},
        {"zstd -qkc disk >c", "zstd"},
        {"zstd -qkc --no-check disk >c", "zstd"},
        {"zstd -qc <disk >c", "zstd"},
        {"{ head -c 3000000 disk >d; zstd -qc d; tail -c +3000001 disk >d; zstd -qc d; } >c", "zstd"},
        {"{ head -c 3000000 disk >d; zstd -qc d; tail -c +3000001 disk | zstd -qc; } >c", "zstd"},
    };

    (void)state;
    make_disk();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct image *img;
        struct image_extent x;

        sh_ok("%s", cases[i].make);
        img = img_open("c", cases[i].format, true);
        CHECK_EQ(img->size, disk.size);
        CHECK_EQ(img->ops->map(img, 0, img->size, &x), 0);
        CHECK(x.data && x.compressed && !x.has_offset);
        random_reads(img);
        CHECK_EQ(img_write(img, "x", 0, 1, 0), -30 /* EROFS */);
        image_close(img);
    }
}

/* As zstd's contrib/seekable_format writes it: frames, then a skippable frame with the table. */
static void the_seek_table_of_zstd_is_used(void **state)
{
    enum { FRAME = 700000 };
    uint8_t *out = malloc(MB), table[1024] = {0}, *t = table + 8;
    uint32_t frames = 0;
    struct image *img;
    FILE *f = fopen("s", "wb");

    (void)state;
    make_disk();
    for (uint64_t off = 0; off < disk.size; off += FRAME, frames++) {
        size_t n = disk.size - off < FRAME ? disk.size - off : FRAME,
               len = ZSTD_compress(out, MB, disk.bytes + off, n, 1);

        CHECK(!ZSTD_isError(len));
        CHECK_EQ(fwrite(out, 1, len, f), len);
        st32(t, (uint32_t)len);
        st32(t + 4, (uint32_t)n);
        t += 8;
    }
    st32(t, frames);
    st32(t + 5, 0x8f92eab1);
    st32(table, 0x184d2a5e);
    st32(table + 4, (uint32_t)(t + 9 - table - 8));
    CHECK_EQ(fwrite(table, 1, (size_t)(t + 9 - table), f), t + 9 - table);
    fclose(f);
    img = img_open("s", "zstd", true);
    CHECK_EQ(img->size, disk.size);
    random_reads(img);
    image_close(img);
    /* the table is believed: a frame that is not what it says is an error when it is read */
    f = fopen("s", "r+b");
    CHECK_EQ(fseek(f, 4, SEEK_SET), 0);
    fputs("\xff\xff\xff\xff", f);
    fclose(f);
    img = img_open("s", "zstd", true);
    CHECK(img_read(img, out, 0, 512) < 0);
    CHECK_EQ(img_read(img, out, FRAME + 512, 512), 0);
    image_close(img);
    free(out);
}

static void long_spans_go_through_a_temporary_file(void **state)
{
    static const struct {
        const char *make, *format;
    } cases[] = {{"zstd -q1 -c", "zstd"}, {"xz -0 -c", "xz"}};
    struct image *img;
    uint8_t b[1024];

    (void)state;
    sh_ok("truncate -s 80M l && printf begin | dd of=l conv=notrunc && printf end | dd of=l bs=1 seek=83885000 "
          "conv=notrunc");
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        sh_ok("%s l >lc", cases[i].make);
        img = img_open("lc", cases[i].format, true);
        CHECK_EQ(img->size, 80 * MB);
        CHECK_EQ(img_read(img, b, 0, 512), 0);
        CHECK(!memcmp(b, "begin", 6));
        CHECK_EQ(img_read(img, b, 83885000, 512), 0);
        CHECK(!memcmp(b, "end", 4));
        CHECK_EQ(img_read(img, b, 0, 1024), 0);
        CHECK(!memcmp(b, "begin", 6));
        image_close(img);
    }
}

static void odd_sizes_are_padded(void **state)
{
    struct image *img;
    uint8_t b[1024];

    (void)state;
    sh_ok("head -c 1000 /dev/zero | tr '\\0' x | gzip >o");
    img = img_open("o", "gzip", true);
    CHECK_EQ(img->size, 1024);
    CHECK_EQ(img_read(img, b, 0, 1024), 0);
    CHECK(b[999] == 'x' && !b[1000] && !b[1023]);
    image_close(img);
}

static void damage_is_named(void **state)
{
    (void)state;
    make_disk();
    sh_ok("gzip -kc disk >c; zstd -qkc disk >z; xz -0kc disk >x");
    img_refused("c", "gzip", false, "read only");
    img_refused("c", "xz", true, "no xz file");
    img_refused("z", "gzip", true, "no gzip file");
    sh_ok("head -c 100000 c >d");
    img_refused("d", "gzip", true, "cut short");
    sh_ok("head -c 100000 z >d");
    img_refused("d", "zstd", true, "cut short");
    sh_ok("head -c 100000 x >d");
    img_refused("d", "xz", true, "cut short");
    sh_ok("head -c 100000 c >d && head -c 1000 /dev/zero >>d && tail -c +101001 c >>d");
    img_refused("d", "gzip", true, "damaged");
    sh_ok("gzip -c </dev/null >d");
    img_refused("d", "gzip", true, "holds nothing");
    sh_ok("zstd -qc --long=31 --ultra -1 <disk >d"); /* a window that needs 2 GiB */
    img_refused("d", "zstd", true, "window");
}

static void an_overlay_takes_the_writes(void **state)
{
    struct err e = {""};
    struct image *img;
    uint8_t b[4096];

    (void)state;
    make_disk();
    sh_ok("zstd -qkc disk >c");
    img = overlay_new(img_open("c", "zstd", true), &e);
    CHECK(img != NULL);
    CHECK_EQ(img_write(img, "hello", 1000, 5, 0), 0);
    CHECK_EQ(img_read(img, b, 0, 4096), 0);
    CHECK(!memcmp(b, disk.bytes, 1000) && !memcmp(b + 1000, "hello", 5));
    CHECK(!memcmp(b + 1005, disk.bytes + 1005, 4096 - 1005));
    image_close(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_read_the_same),
        cmocka_unit_test(the_seek_table_of_zstd_is_used),
        cmocka_unit_test(long_spans_go_through_a_temporary_file),
        cmocka_unit_test(odd_sizes_are_padded),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(an_overlay_takes_the_writes),
    };
    int ret = cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);

    model_fini(&disk);
    return ret;
}
