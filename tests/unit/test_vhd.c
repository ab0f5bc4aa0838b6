/* VHD (vpc) against qemu-img and qemu-io: fixed and dynamic, sizes by geometry or by the footer, sector bitmaps, damage. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/foreign.h"

enum { MB = 1 << 20 };

static void patch(const char *path, long off, int whence, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    CHECK_EQ(fseek(f, off, whence), 0);
    CHECK_EQ(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void peek(const char *path, long off, int whence, void *bytes, size_t n)
{
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    CHECK_EQ(fseek(f, off, whence), 0);
    CHECK_EQ(fread(bytes, 1, n, f), n);
    fclose(f);
}

/* The specification's checksum, written here again: the one's complement of the sum of all other bytes. */
static void seal(uint8_t *p, size_t n, size_t at)
{
    uint32_t sum = 0;

    memset(p + at, 0, 4);
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    st32be(p + at, ~sum);
}

static void reads_what_qemu_wrote(void **state)
{
    static const char *const options[] = {"subformat=dynamic", "subformat=fixed", "subformat=dynamic,force_size=on",
                                          "subformat=fixed,force_size=on"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;
        char want[64], *info;

        model_init(&m, 9 * MB + 512 * 3, 1 + i);
        model_fill(&m, 3 * MB - 512, 1024);
        model_fill(&m, 7 * MB, 2 * MB + 1536);
        model_save(&m, "a.raw");
        sh_ok("qemu-img convert -f raw -O vpc -o %s a.raw a.vhd", options[i]);
        img = img_open("a.vhd", "vpc", true);
        info = sh_out("qemu-img info -f vpc a.vhd");
        snprintf(want, sizeof want, "(%llu bytes)", (unsigned long long)img->size);
        CHECK(strstr(info, want));
        free(info);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void qemu_reads_what_we_wrote(void **state)
{
    static const char *const options[] = {NULL, "subformat=fixed", "force_size=on",
                                          "subformat=fixed,preallocation=falloc"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;

        img_create("b.vhd", "vpc", 12 * MB + 512, options[i]);
        img = img_open("b.vhd", "vpc", true);
        CHECK(img->size >= 12 * MB + 512 && img->size < 13 * MB);
        model_init(&m, img->size, 7 + i);
        image_close(img);
        for (unsigned round = 0; round < 3; round++) {
            img = img_open("b.vhd", "vpc", false);
            model_run(&m, img, 60, "wwwwzdfFrr", 3 * MB / 2);
            model_check(&m, img);
            image_close(img);
        }
        model_save(&m, "b.raw");
        sh_ok("qemu-img compare -f vpc -F raw b.vhd b.raw");
        sh_ok("qemu-io -f vpc -c 'write -P 0x5a 5M 1536k' b.vhd");
        memset(m.bytes + 5 * MB, 0x5a, 3 * MB / 2);
        img = img_open("b.vhd", "vpc", true);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void the_size_goes_by_the_program_that_made_it(void **state)
{
    static const struct {
        const char *creator;
        bool by_size, ours_alone; /* Debian 12's qemu-img does not know the last one yet */
    } cases[] = {{"vpc ", false, false}, {"qemu", false, false},  {"qem2", true, false},   {"win ", true, false},
                 {"d2v ", true, false},  {"tap\0", true, false}, {"wa\0\0", true, true}};
    uint8_t f[512];

    (void)state;
    sh_ok("qemu-img create -f vpc c.vhd 8M");
    peek("c.vhd", 0, SEEK_SET, f, sizeof f);
    st64be(f + 0x30, 7 * MB + 512);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t chs = (uint64_t)ld16be(f + 0x38) * f[0x3a] * f[0x3b] * 512;
        struct image *img;
        char want[64], *info;

        memcpy(f + 0x1c, cases[i].creator, 4);
        seal(f, sizeof f, 0x40);
        patch("c.vhd", 0, SEEK_SET, f, sizeof f);
        patch("c.vhd", -512, SEEK_END, f, sizeof f);
        img = img_open("c.vhd", "vpc", true);
        CHECK_EQ(img->size, cases[i].by_size ? 7 * MB + 512 : chs);
        if (cases[i].ours_alone) {
            image_close(img);
            continue;
        }
        info = sh_out("qemu-img info -f vpc c.vhd");
        snprintf(want, sizeof want, "(%llu bytes)", (unsigned long long)img->size);
        if (!strstr(info, want))
            fail_msg("%s", info);
        free(info);
        image_close(img);
    }
}

static void sectors_that_the_bitmap_lacks_are_zero_until_written(void **state)
{
    struct image *img;
    struct image_extent x;
    struct model m;
    uint8_t entry[4], bitmap[4] = {0xf0, 0, 0, 1};

    (void)state;
    sh_ok("qemu-img create -f vpc -o force_size=on d.vhd 4M && qemu-io -f vpc -c 'write -P 7 0 2M' d.vhd");
    peek("d.vhd", 1536, SEEK_SET, entry, 4);
    patch("d.vhd", 512 * (long)ld32be(entry), SEEK_SET, bitmap, sizeof bitmap);
    model_init(&m, 4 * MB, 1);
    memset(m.bytes, 7, 2 * MB);
    memset(m.bytes + 4 * 512, 0, 27 * 512);
    img = img_open("d.vhd", "vpc", false);
    model_check(&m, img);
    CHECK_EQ(img->ops->map(img, 4 * 512, 2 * MB, &x), 0);
    CHECK_EQ(x.len, 27 * 512);
    CHECK(x.zero && !x.data);
    model_fill(&m, 6 * 512 + 100, 3 * 512);
    CHECK_EQ(img_write(img, m.bytes + 6 * 512 + 100, 6 * 512 + 100, 3 * 512, 0), 0);
    model_check(&m, img);
    image_close(img);
    img = img_open("d.vhd", "vpc", true);
    model_check(&m, img);
    image_close(img);
    model_fini(&m);
}

static void a_guest_cannot_turn_a_fixed_disk_into_another(void **state)
{
    struct image *img;
    uint8_t f[512];

    (void)state;
    sh_ok("qemu-img create -f vpc -o subformat=fixed,force_size=on e.vhd 4M && qemu-img create -f vpc d.vhd 300M");
    peek("d.vhd", 0, SEEK_SET, f, sizeof f);
    patch("e.vhd", 0, SEEK_SET, f, sizeof f);
    img = img_open("e.vhd", "vpc", true);
    CHECK_EQ(img->size, 4 * MB);
    image_close(img);
}

static void a_lost_footer_at_the_end_is_no_loss(void **state)
{
    struct image *img;
    uint8_t b[512];

    (void)state;
    sh_ok("qemu-img create -f vpc f.vhd 8M && qemu-io -f vpc -c 'write -P 9 1M 4k' f.vhd && truncate -s -512 f.vhd");
    img = img_open("f.vhd", "vpc", false);
    CHECK_EQ(img_read(img, b, MB, 512), 0);
    CHECK_EQ(b[0], 9);
    CHECK_EQ(img_write(img, b, 5 * MB, 512, 0), 0);
    image_close(img);
    peek("f.vhd", -512, SEEK_END, b, 512);
    CHECK(!memcmp(b, "conectix", 8));
    sh_ok("qemu-io -f vpc -c 'read -P 9 1M 4k' -c 'read -P 9 5M 512' f.vhd");
}

static void what_is_not_supported_is_named(void **state)
{
    static const struct {
        bool dyn;
        unsigned at, len;
        uint64_t v;
        const char *expect;
    } cases[] = {
        {false, 0x3c, 4, 4, "differencing"},
        {false, 0x3c, 4, 9, "type 9"},
        {false, 0x38, 4, 0, "0 bytes"},
        {true, 0x20, 4, 3 * MB, "block size"},
        {true, 0x20, 4, 0, "block size"},
        {true, 0x1c, 4, 1, "too small"},
        {true, 0x1c, 4, 0x7fffffff, "outside"},
        {true, 0x10, 8, UINT64_MAX - 3, "outside"},
        {true, 0, 4, 0, "damaged"},
    };
    uint8_t f[512], h[1024];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t *p = cases[i].dyn ? h : f;

        sh_ok("qemu-img create -f vpc g.vhd 8M");
        peek("g.vhd", 0, SEEK_SET, f, sizeof f);
        peek("g.vhd", 512, SEEK_SET, h, sizeof h);
        if (cases[i].len == 4)
            st32be(p + cases[i].at, (uint32_t)cases[i].v);
        else
            st64be(p + cases[i].at, cases[i].v);
        seal(f, sizeof f, 0x40);
        seal(h, sizeof h, 0x24);
        patch("g.vhd", 0, SEEK_SET, f, sizeof f);
        patch("g.vhd", 512, SEEK_SET, h, sizeof h);
        img_refused("g.vhd", "vpc", true, cases[i].expect);
    }
    f[0x60] ^= 1;
    patch("g.vhd", 0, SEEK_SET, f, sizeof f);
    patch("g.vhd", -512, SEEK_END, f, sizeof f);
    img_refused("g.vhd", "vpc", true, "checksum");
    sh_ok("head -c 5000 /dev/zero >h.vhd");
    img_refused("h.vhd", "vpc", true, "no VHD image");
    sh_ok("qemu-img create -f vpc -o subformat=fixed g.vhd 8M && tail -c 5000 g.vhd >h.vhd");
    img_refused("h.vhd", "vpc", true, "does not fit");
    img_create_refused("h.vhd", "vpc", MB, "subformat=differencing", "'differencing'");
    img_create_refused("h.vhd", "vpc", MB, "preallocation=full", "subformat=fixed");
    img_create_refused("h.vhd", "vpc", UINT64_C(3) << 40, NULL, "2040 GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_qemu_wrote),
        cmocka_unit_test(qemu_reads_what_we_wrote),
        cmocka_unit_test(the_size_goes_by_the_program_that_made_it),
        cmocka_unit_test(sectors_that_the_bitmap_lacks_are_zero_until_written),
        cmocka_unit_test(a_guest_cannot_turn_a_fixed_disk_into_another),
        cmocka_unit_test(a_lost_footer_at_the_end_is_no_loss),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
