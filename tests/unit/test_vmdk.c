/* VMDK against qemu-img and qemu-io: every subformat both ways, streams with a footer, descriptors, damage. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "tests/unit/foreign.h"

enum { MB = 1 << 20 };

static const char *const subformats[] = {"monolithicSparse", "monolithicFlat", "streamOptimized",
                                         "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"};

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
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(subformats); i++) {
        struct model m;
        struct image *img;

        model_init(&m, 9 * MB + 512 * 3, 1 + i);
        model_fill(&m, 3 * MB - 512, 1024);
        model_fill(&m, 7 * MB, 2 * MB + 1536);
        model_save(&m, "a.raw");
        sh_ok("qemu-img convert -f raw -O vmdk -o subformat=%s a.raw a.vmdk", subformats[i]);
        img = img_open("a.vmdk", "vmdk", true);
        CHECK_EQ(img->size, m.size);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void qemu_reads_what_we_wrote(void **state)
{
    static const char *const more[] = {"", ",zeroed_grain=on", ",adapter_type=lsilogic,hwversion=13", ",compat6=on"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(subformats); i++)
        for (unsigned k = 0; k < ARRAY_LEN(more); k++) {
            struct model m;
            struct image *img;
            char options[128];

            if (k == 1 && strstr(subformats[i], "Flat"))
                continue;
            model_init(&m, 8 * MB + 512, 7 + i);
            snprintf(options, sizeof options, "subformat=%s%s", subformats[i], more[k]);
            img_create("b.vmdk", "vmdk", m.size, options);
            for (unsigned round = 0; round < 2; round++) {
                img = img_open("b.vmdk", "vmdk", false);
                model_run(&m, img, 25, "wwwwzdfFrr", 3 * MB / 2);
                model_check(&m, img);
                image_close(img);
                if (i != 2) /* it wants whole grains in a stream's file */
                    sh_ok("qemu-img check -f vmdk b.vmdk");
            }
            model_save(&m, "b.raw");
            sh_ok("qemu-img compare -f vmdk -F raw b.vmdk b.raw");
            if (i == 2 || k) {
                model_fini(&m);
                continue;
            }
            sh_ok("qemu-io -f vmdk -c 'write -P 0x5a 5M 1536k' b.vmdk");
            memset(m.bytes + 5 * MB, 0x5a, 3 * MB / 2);
            img = img_open("b.vmdk", "vmdk", true);
            model_check(&m, img);
            image_close(img);
            model_fini(&m);
        }
}

static void zero_grains_of_qemu_read_as_zero(void **state)
{
    struct image *img;
    struct image_extent x;
    uint8_t b[512];

    (void)state;
    sh_ok(
        "qemu-img create -f vmdk -o zeroed_grain=on c.vmdk 4M && qemu-io -f vmdk -c 'write -P 7 0 4M' -c 'write -z 1M "
        "1M' c.vmdk");
    img = img_open("c.vmdk", "vmdk", false);
    CHECK_EQ(img->ops->map(img, MB, MB, &x), 0);
    CHECK(x.zero && !x.data && x.allocated);
    CHECK_EQ(x.len, MB);
    memset(b, 9, sizeof b);
    CHECK_EQ(img_write(img, b, MB + 1024, 512, 0), 0);
    image_close(img);
    sh_ok("qemu-io -f vmdk -c 'read -P 7 0 1M' -c 'read -P 0 1M 1k' -c 'read -P 9 1049600 512' -c 'read -P 0 1050112 "
          "100k' "
          "c.vmdk");
}

/* A stream as VMware writes it: grains and tables in passing, the directory at the end, named by the footer only. */
static void streams_with_a_footer_are_read(void **state)
{
    static uint8_t file[128 * 512 + 40 * 65536], grain[65536];
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=7e5b80a7\nparentCID=ffffffff\n"
                               "createType=\"streamOptimized\"\nRW 512 SPARSE \"x\"\n";
    uint8_t *h = file, *p = file + 128 * 512;
    uint32_t table[512] = {0}, dir = 0;
    struct image *img;
    uint8_t b[1024];
    FILE *f;

    (void)state;
    memcpy(h, "KDMV", 4);
    st32(h + 4, 3);
    st32(h + 8, 0x30001);
    st64(h + 12, 512);
    st64(h + 20, 128);
    st64(h + 28, 1);
    st64(h + 36, 20);
    st32(h + 44, 512);
    st64(h + 56, UINT64_MAX);
    st64(h + 64, 128);
    memcpy(h + 73, "\n \r\n\1", 5);
    memcpy(h + 512, text, sizeof text);
    for (uint64_t g = 0; g < 4; g += 3) {
        uLongf n = 100000;

        memset(grain, (int)(0x41 + g), sizeof grain);
        table[g] = (uint32_t)((p - file) / 512);
        CHECK_EQ(compress(p + 12, &n, grain, sizeof grain), Z_OK);
        st64(p, g * 128);
        st32(p + 8, (uint32_t)n);
        p += align_up(12 + n, 512);
    }
    st64(p, 4), st32(p + 12, 1), p += 512; /* marker: a table of 4 sectors */
    dir = (uint32_t)((p - file) / 512);
    memcpy(p, table, 2048), p += 2048;
    st64(p, 1), st32(p + 12, 2), p += 512;
    memcpy(p, &dir, 4);
    st64(p, dir), p += 512;
    st64(p, 1), st32(p + 12, 3), p += 512;
    memcpy(p, h, 512), st64(p + 56, (uint64_t)(p - file) / 512 - 2), p += 512;
    p += 512; /* end of stream */
    f = fopen("d.vmdk", "wb");
    CHECK_EQ(fwrite(file, 1, (size_t)(p - file), f), p - file);
    fclose(f);
    sh_ok("qemu-io -r -f vmdk -c 'read -P 0x41 0 64k' -c 'read -P 0 64k 128k' -c 'read -P 0x44 192k 64k' d.vmdk");
    img = img_open("d.vmdk", "vmdk", true);
    CHECK_EQ(img->size, 4 * 65536);
    CHECK_EQ(img_read(img, b, 65536 - 512, 1024), 0);
    CHECK(b[0] == 0x41 && b[511] == 0x41 && !b[512]);
    CHECK_EQ(img_read(img, b, 4 * 65536 - 1024, 1024), 0);
    CHECK(b[0] == 0x44 && b[1023] == 0x44);
    image_close(img);
    /* a grain that lies about itself is an error, not a crash */
    patch("d.vmdk", 128 * 512 + 8, "\xff\xff\xff\x7f", 4);
    img = img_open("d.vmdk", "vmdk", true);
    CHECK(img_read(img, b, 0, 512) < 0);
    image_close(img);
    img = img_open("d.vmdk", "vmdk", false);
    CHECK(img_write(img, b, 0, 512, 0) < 0);
    image_close(img);
    sh_ok("truncate -s -512 d.vmdk");
    img_refused("d.vmdk", "vmdk", true, "footer");
}

static void the_first_write_changes_the_content_id(void **state)
{
    struct image *img;
    char *before, *after;

    (void)state;
    sh_ok("qemu-img create -f vmdk e.vmdk 4M");
    before = sh_out("strings e.vmdk | grep ^CID");
    image_close(img_open("e.vmdk", "vmdk", false));
    after = sh_out("strings e.vmdk | grep ^CID");
    CHECK_STR(before, after);
    free(after);
    img = img_open("e.vmdk", "vmdk", false);
    CHECK_EQ(img_write(img, "x", 0, 1, 0), 0);
    image_close(img);
    after = sh_out("strings e.vmdk | grep ^CID");
    CHECK(strcmp(before, after) != 0 && strlen(before) == strlen(after));
    free(before);
    free(after);
}

/* expect NULL: it is only written */
static void refuse_descriptor(const char *text, const char *expect)
{
    FILE *f = fopen("f.vmdk", "wb");

    fputs("# Disk DescriptorFile\nversion=1\nCID=1\n", f);
    fputs(text, f);
    fclose(f);
    if (expect)
        img_refused("f.vmdk", "vmdk", true, expect);
}

static void descriptors_are_not_trusted(void **state)
{
    struct image *img;
    uint8_t b[512];

    (void)state;
    sh_ok("mkdir -p sub && head -c 1048576 /dev/zero >sub/in.bin && head -c 1048576 /dev/zero >out.bin");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2048 FLAT \"/etc/hostname\" 0\n", "outside its folder");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2048 FLAT \"../../../etc/hostname\" 0\n",
                      "outside its folder");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2049 FLAT \"out.bin\" 0\n", "shorter");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2048 FLAT \"out.bin\" 1\n", "shorter");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 99999999999999999999 FLAT \"out.bin\" 0\n", "not understood");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2048 SPARSE \"out.bin\"\n", "no sparse VMDK extent");
    refuse_descriptor("createType=\"vmfs\"\nRW 2048 SESPARSE \"out.bin\"\n", "SESPARSE");
    refuse_descriptor("createType=\"seSparse\"\nRW 2048 SESPARSE \"out.bin\"\n", "SESPARSE");
    refuse_descriptor("createType=\"fullDevice\"\nRW 2048 FLAT \"/dev/sda\" 0\n", "stands for a device");
    refuse_descriptor("parentCID=0a0b0c0d\ncreateType=\"monolithicSparse\"\nRW 1 SPARSE \"x\"\n", "parent");
    refuse_descriptor("RW 2048 FLAT \"out.bin\" 0\n", "createType");
    refuse_descriptor("createType=\"vmfs\"\n", "no extent");
    refuse_descriptor("createType=\"monolithicFlat\"\nRW 2048 FLAT \"sub/in.bin\" 0\nRW 8 ZERO\n", NULL);
    img = img_open("f.vmdk", "vmdk", false);
    CHECK_EQ(img->size, 1048576 + 4096);
    CHECK_EQ(img_read(img, b, 1048576 - 256, 512), 0);
    CHECK(img_write(img, b, 1048576, 512, 0) < 0);
    image_close(img);
}

static void what_is_not_supported_is_named(void **state)
{
    static const struct {
        long off;
        uint64_t v;
        unsigned len;
        const char *expect;
    } cases[] = {
        {0, 0x44574f43, 4, "COWD"},
        {0, 0xcafebabe, 4, "SESPARSE"},
        {0, 0, 4, "no VMDK"},
        {4, 9, 4, "version 9"},
        {0x14, 3, 8, "grain of 3"},
        {0x14, 1 << 30, 8, "grain of"},
        {0x2c, 4096, 4, "grain tables"},
        {0x2c, 0, 4, "grain tables"},
        {0x0c, 0, 8, "of 0 sectors"},
        {0x0c, UINT64_MAX, 8, "sectors"},
        {0x38, UINT64_MAX - 1, 8, "outside"},
        {0x0c, UINT64_C(1) << 41, 8, "outside"},
        {0x1c, UINT64_MAX, 8, "misplaced"},
        {0x24, 1 << 20, 8, "misplaced"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        sh_ok("qemu-img create -f vmdk g.vmdk 8M");
        patch("g.vmdk", cases[i].off, &cases[i].v, cases[i].len);
        img_refused("g.vmdk", "vmdk", true, cases[i].expect);
    }
    img_create_refused("h.vmdk", "vmdk", MB, "subformat=seSparse", "'seSparse'");
    img_create_refused("h.vmdk", "vmdk", MB, "compat6=on,hwversion=7", "compat6");
    img_create_refused("h.vmdk", "vmdk", MB, "hwversion=a", "numbers");
    img_create_refused("h.vmdk", "vmdk", MB, "adapter_type=nvme", "'nvme'");
    img_create_refused("h.vmdk", "vmdk", MB, "subformat=monolithicFlat,zeroed_grain=on", "zeroed_grain");
    img_create_refused("h.vmdk", "vmdk", MB, "preallocation=full", "flat");
    CHECK(sh("test -e h.vmdk") != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_qemu_wrote),
        cmocka_unit_test(qemu_reads_what_we_wrote),
        cmocka_unit_test(zero_grains_of_qemu_read_as_zero),
        cmocka_unit_test(streams_with_a_footer_are_read),
        cmocka_unit_test(the_first_write_changes_the_content_id),
        cmocka_unit_test(descriptors_are_not_trusted),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
