/* VHDX against qemu-img and qemu-io: fixed and dynamic, the log in both directions, headers, damage. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
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

static void peek(const char *path, long off, void *bytes, size_t n)
{
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    CHECK_EQ(fseek(f, off, SEEK_SET), 0);
    CHECK_EQ(fread(bytes, 1, n, f), n);
    fclose(f);
}

/* CRC-32C bit by bit (RFC 3720, appendix B.4). */
static uint32_t crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void seal(uint8_t *p, size_t n)
{
    st32(p + 4, 0);
    st32(p + 4, crc32c(p, n));
}

static void reads_what_qemu_wrote(void **state)
{
    static const char *const options[] = {"subformat=dynamic", "subformat=fixed", "block_size=1M,block_state_zero=off",
                                          "block_size=32M,log_size=4M"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;

        model_init(&m, 9 * MB + 512 * 3, 1 + i);
        model_fill(&m, 3 * MB - 512, 1024);
        model_fill(&m, 7 * MB, 2 * MB + 1536);
        model_save(&m, "a.raw");
        sh_ok("qemu-img convert -f raw -O vhdx -o %s a.raw a.vhdx", options[i]);
        img = img_open("a.vhdx", "vhdx", true);
        CHECK_EQ(img->size, m.size);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

static void qemu_reads_what_we_wrote(void **state)
{
    static const char *const options[] = {NULL, "subformat=fixed", "block_size=1M,log_size=2M", "block_state_zero=off"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        struct model m;
        struct image *img;

        model_init(&m, 20 * MB + 512, 7 + i);
        img_create("b.vhdx", "vhdx", m.size, options[i]);
        sh_ok("qemu-img check -f vhdx b.vhdx");
        for (unsigned round = 0; round < 3; round++) {
            img = img_open("b.vhdx", "vhdx", false);
            model_run(&m, img, 50, "wwwwzdfFrr", 3 * MB / 2);
            model_check(&m, img);
            image_close(img);
            sh_ok("qemu-img check -f vhdx b.vhdx");
        }
        model_save(&m, "b.raw");
        sh_ok("qemu-img compare -f vhdx -F raw b.vhdx b.raw");
        sh_ok("qemu-io -f vhdx -c 'write -P 0x5a 5M 1536k' b.vhdx");
        memset(m.bytes + 5 * MB, 0x5a, 3 * MB / 2);
        img = img_open("b.vhdx", "vhdx", true);
        model_check(&m, img);
        image_close(img);
        model_fini(&m);
    }
}

/* What a process that dies after a flush leaves: the file as it is before the close. */
static void qemu_replays_our_log(void **state)
{
    struct model m;
    struct image *img;
    uint8_t zero[8] = {0};

    (void)state;
    model_init(&m, 40 * MB, 3);
    img_create("c.vhdx", "vhdx", m.size, "block_size=1M");
    img = img_open("c.vhdx", "vhdx", false);
    for (unsigned i = 0; i < 12; i++) {
        model_fill(&m, 3 * i * MB, 4096);
        CHECK_EQ(img_write(img, m.bytes + 3 * i * MB, 3 * i * MB, 4096, i % 2 ? IMAGE_FUA : 0), 0);
    }
    CHECK_EQ(img->ops->flush(img), 0);
    sh_ok("cp --sparse=always c.vhdx d.vhdx");
    image_close(img);
    model_save(&m, "c.raw");
    /* undo the last change of the table: the log has it */
    peek("d.vhdx", 3 * MB, zero, 8);
    CHECK(zero[0] == 6);
    sh_ok("cp --sparse=always d.vhdx e.vhdx");
    memset(zero, 0, 8);
    patch("e.vhdx", 3 * MB + 33 * 8, zero, 8);
    sh_ok("qemu-img check -f vhdx -r all e.vhdx && qemu-img compare -f vhdx -F raw e.vhdx c.raw");
    /* and ours: in memory, then for good */
    patch("d.vhdx", 3 * MB + 33 * 8, zero, 8);
    CHECK(sh("qemu-io -r -f vhdx -c 'read 0 4k' d.vhdx | grep -q ^read") != 0);
    img = img_open("d.vhdx", "vhdx", true);
    CHECK(img->dirty);
    model_check(&m, img);
    CHECK_EQ(img->ops->flush(img), 0);
    image_close(img);
    CHECK(sh("qemu-io -r -f vhdx -c 'read 0 4k' d.vhdx | grep -q ^read") != 0);
    image_close(img_open("d.vhdx", "vhdx", false));
    sh_ok("qemu-img compare -f vhdx -F raw d.vhdx c.raw");
    model_fini(&m);
}

/* An entry made by hand after the specification: a sector of the table, and zeroes over another. */
static void a_log_with_zero_descriptors_is_replayed(void **state)
{
    static uint8_t entry[8192], page[4096], head[4096];
    struct image *img;
    uint8_t b[512];

    (void)state;
    sh_ok("qemu-img create -f vhdx -o block_size=1M f.vhdx 700M && qemu-io -f vhdx -c 'write -P 7 0 1M' -c 'write -P 8 "
          "600M 1M' -c 'write -P 9 1M 1M' f.vhdx");
    peek("f.vhdx", 2 * MB, page, 4096);
    memcpy(page + 16, page + 8, 8); /* block 2 now lies where 1 does */
    memset(page + 8, 0, 8);
    memcpy(entry, "loge", 4);
    st32(entry + 8, 8192);
    st32(entry + 12, 8192);
    st64(entry + 16, 5);
    st32(entry + 24, 2);
    memcpy(entry + 32, "0123456789abcdef", 16);
    st64(entry + 48, 4 * MB);
    st64(entry + 56, 16 * MB);
    memcpy(entry + 64, "desc", 4);
    memcpy(entry + 68, page + 4092, 4);
    memcpy(entry + 72, page, 8);
    st64(entry + 80, 2 * MB);
    st64(entry + 88, 5);
    memcpy(entry + 96, "zero", 4);
    st64(entry + 104, 4096); /* entries 512...: block 600 */
    st64(entry + 112, 2 * MB + 4096);
    st64(entry + 120, 5);
    memcpy(entry + 4096, page, 4096);
    memcpy(entry + 4096, "data\0\0\0\0", 8);
    st32(entry + 8188, 5);
    seal(entry, 8192);
    patch("f.vhdx", MB + 8192, entry, 8192);
    peek("f.vhdx", 64 << 10, head, 4096);
    st64(head + 8, UINT64_C(1) << 60);
    memcpy(head + 0x30, "0123456789abcdef", 16);
    seal(head, 4096);
    patch("f.vhdx", 64 << 10, head, 4096);
    for (unsigned i = 0; i < 3; i++) { /* in memory, for good, after that */
        img = img_open("f.vhdx", "vhdx", i != 1);
        CHECK_EQ(img->dirty, i == 0);
        CHECK_EQ(img_read(img, b, 0, 512), 0);
        CHECK_EQ(b[0], 7);
        CHECK_EQ(img_read(img, b, MB, 512), 0);
        CHECK_EQ(b[0], 0);
        CHECK_EQ(img_read(img, b, 2 * MB, 512), 0);
        CHECK_EQ(b[511], 9);
        CHECK_EQ(img_read(img, b, 600 * MB, 512), 0);
        CHECK_EQ(b[0], 0);
        image_close(img);
    }
    sh_ok("qemu-io -r -f vhdx -c 'read -P 9 2M 1M' -c 'read -P 0 600M 1M' f.vhdx");
}

static void one_damaged_header_is_no_loss_two_are(void **state)
{
    struct image *img;
    uint8_t b[512];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        sh_ok("qemu-img create -f vhdx g.vhdx 20M && qemu-io -f vhdx -c 'write -P 5 1M 4k' g.vhdx");
        patch("g.vhdx", i ? 128 << 10 : 64 << 10, "xxxx", 4);
        img = img_open("g.vhdx", "vhdx", true);
        CHECK_EQ(img_read(img, b, MB, 512), 0);
        CHECK_EQ(b[0], 5);
        image_close(img);
    }
    patch("g.vhdx", 64 << 10, "xxxx", 4);
    img_refused("g.vhdx", "vhdx", true, "both VHDX headers");
    sh_ok("qemu-img create -f vhdx g.vhdx 20M");
    patch("g.vhdx", 192 << 10, "xxxx", 4);
    image_close(img_open("g.vhdx", "vhdx", true));
    patch("g.vhdx", 256 << 10, "xxxx", 4);
    img_refused("g.vhdx", "vhdx", true, "region tables");
}

static void what_is_not_supported_is_named(void **state)
{
    static const struct {
        long off;
        uint64_t v;
        unsigned len;
        const char *expect;
    } cases[] = {
        {0, 0, 8, "no VHDX image"},
        {0x310000, 3 * MB, 4, "block size"},
        {0x310004, 2, 4, "differencing"},
        {0x310008, 513, 8, "of 513 bytes"},
        {0x310008, UINT64_C(1) << 60, 8, "bytes is not allowed"},
        {0x310008, UINT64_C(60) << 40, 8, "too short"},
        {0x310020, 1024, 4, "sector size of 1024"},
        {0x300020, 0, 4, "not known"},
        {0x300030, 0xfffffff0, 4, "outside"},
        {0x30000a, 0xffff, 2, "metadata table"},
        {0x300000, 0, 8, "metadata table"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        sh_ok("qemu-img create -f vhdx h.vhdx 8M");
        patch("h.vhdx", cases[i].off, &cases[i].v, cases[i].len);
        img_refused("h.vhdx", "vhdx", true, cases[i].expect);
    }
    sh_ok("head -c 70000 /dev/zero >i.vhdx && printf vhdxfile | dd of=i.vhdx conv=notrunc");
    img_refused("i.vhdx", "vhdx", true, "too short");
    /* a block over the table is seen when it could do harm */
    sh_ok("qemu-img create -f vhdx h.vhdx 8M");
    patch("h.vhdx", 2 * MB, &(uint64_t){2 * MB | 6}, 8);
    img_refused("h.vhdx", "vhdx", false, "damaged");
    img_create_refused("h.vhdx", "vhdx", MB, "block_size=3M", "block_size");
    img_create_refused("h.vhdx", "vhdx", MB, "log_size=100k", "log_size");
    img_create_refused("h.vhdx", "vhdx", MB, "cluster_size=1M", "no option 'cluster_size'");
    img_create_refused("h.vhdx", "vhdx", UINT64_C(65) << 40, NULL, "64 TiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_qemu_wrote),
        cmocka_unit_test(qemu_reads_what_we_wrote),
        cmocka_unit_test(qemu_replays_our_log),
        cmocka_unit_test(a_log_with_zero_descriptors_is_replayed),
        cmocka_unit_test(one_damaged_header_is_no_loss_two_are),
        cmocka_unit_test(what_is_not_supported_is_named),
    };
    return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
