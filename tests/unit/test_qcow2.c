/* qcow2, read and written, against qemu-img and qemu-io. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/qcow2_util.h"

static const char *const kinds[] = {
    "compat=0.10",
    "compat=1.1",
    "cluster_size=512",
    "cluster_size=2M",
    "cluster_size=4k,refcount_bits=1",
    "cluster_size=1k,refcount_bits=64",
    "refcount_bits=2",
    "refcount_bits=4",
    "refcount_bits=8",
    "refcount_bits=32",
    "lazy_refcounts=on",
    "extended_l2=on",
    "extended_l2=on,cluster_size=16k",
    "compression_type=zstd",
    "cluster_size=512,compat=0.10",
    "preallocation=metadata",
    "preallocation=full,cluster_size=4k",
    "preallocation=falloc",
};
enum { KINDS = sizeof kinds / sizeof *kinds, MIB = 1 << 20 };

static void images_of_qemu_img_are_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        struct image *img;

        q_sh_ok("qemu-img create -q -f qcow2 -o %s a.qcow2 8M && qemu-io -f qcow2 -c 'write -P 17 1000k 3M' "
                "-c 'write -P 34 7680k 512k' -c 'write -z 1500k 512k' -c 'discard 2M 512k' a.qcow2",
                kinds[i]);
        img = qopen("a.qcow2", (struct image_options){.read_only = true});
        CHECK_EQ(img->size, 8 * MIB);
        pattern_check(img, 0, 1000 << 10, 0);
        pattern_check(img, 1000 << 10, 500 << 10, 17);
        pattern_check(img, 1500 << 10, 512 << 10, 0);
        pattern_check(img, 3 * MIB, 1000 << 10, 17);
        pattern_check(img, 7680 << 10, 512 << 10, 34);
        image_close(img);
    }
}

/* The same random operations on our image and on a plain buffer; in the end qemu-img must agree with both. */
static void random_ops(struct image *img, uint8_t *model, uint64_t size, unsigned n, unsigned seed)
{
    uint8_t *buf = malloc(MIB);

    srandom(seed);
    for (unsigned i = 0; i < n; i++) {
        uint64_t len = ((uint64_t)random() % (random() % 4 ? 40 : 1500) + 1) * 512;
        uint64_t off = (uint64_t)random() % (size / 512) * 512;
        long what = random() % 16;

        if (len > size - off)
            len = size - off;
        if (len > MIB)
            len = MIB;
        if (what < 9) {
            for (uint64_t k = 0; k < len; k++)
                buf[k] = (uint8_t)(k / 512 + i + 1);
            CHECK_EQ(image_pwrite(img, buf, off, len, what ? 0 : IMAGE_FUA), 0);
            memcpy(model + off, buf, len);
        } else if (what < 11) {
            CHECK_EQ(img->ops->write_zeroes(img, off, len, what & 1 ? IMAGE_UNMAP : 0), 0);
            memset(model + off, 0, len);
        } else if (what < 12) {
            CHECK_EQ(img->ops->discard(img, off, len), 0);
            CHECK_EQ(image_pread(img, model + off, off, len), 0); /* old or zero: either is right */
        } else if (what < 13) {
            CHECK_EQ(img->ops->flush(img), 0);
        } else {
            CHECK_EQ(image_pread(img, buf, off, len), 0);
            if (memcmp(buf, model + off, len))
                fail_msg("operation %u reads wrong data at 0x%llx+0x%llx", i, (unsigned long long)off,
                         (unsigned long long)len);
        }
    }
    free(buf);
}

static void save(const char *name, const void *data, size_t len)
{
    char path[192];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", qdir, name);
    f = fopen(path, "w");
    CHECK(f && fwrite(data, 1, len, f) == len);
    fclose(f);
}

static void random_writes_agree_with_qemu_img(void **state)
{
    uint64_t size = 6 * MIB + 512 * 3;
    uint8_t *model = malloc(size);

    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        struct image *img;

        memset(model, 0, size);
        qcreate("b.qcow2", size, kinds[i], NULL, NULL);
        qimg_check("b.qcow2");
        for (unsigned round = 0; round < 3; round++) {
            img = qopen("b.qcow2", (struct image_options){.table_cache = round}); /* 1: as small as it gets */
            random_ops(img, model, size, 60, 1000 * i + round);
            image_close(img);
            qimg_check("b.qcow2");
        }
        save("b.raw", model, size);
        q_sh_ok("qemu-img compare -f qcow2 -F raw b.qcow2 b.raw");
    }
    free(model);
}

static void overlays_agree_with_qemu_img(void **state)
{
    static const char *const options[] = {"compat=0.10", "cluster_size=512", "extended_l2=on", "cluster_size=2M",
                                          "cluster_size=4k"};
    uint64_t size = 5 * MIB, below;
    uint8_t *model = malloc(size);

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof options / sizeof *options; i++) {
        struct image *img;

        below = i & 1 ? 3 * MIB + 512 : 7 * MIB;
        q_sh_ok("qemu-img create -q -f qcow2 base.qcow2 %llu && qemu-io -f qcow2 -c 'write -P 7 0 3M' base.qcow2",
                (unsigned long long)below);
        qcreate("o.qcow2", size, options[i / 2], "base.qcow2", "qcow2");
        memset(model, 0, size);
        memset(model, 7, 3 * MIB);
        img = qopen("o.qcow2", (struct image_options){0});
        random_ops(img, model, size, 150, i);
        image_close(img);
        qimg_check("o.qcow2");
        save("o.raw", model, size);
        q_sh_ok("qemu-img compare -f qcow2 -F raw o.qcow2 o.raw");
    }
    free(model);
}

static void compressed_clusters_go_both_ways(void **state)
{
    static const char *const options[] = {"compression_type=zlib", "compression_type=zstd", "cluster_size=4k",
                                          "cluster_size=2M",       "compat=0.10",           "extended_l2=on",
                                          "cluster_size=512",      "refcount_bits=1",       "refcount_bits=2"};
    uint64_t size = 4 * MIB;
    uint8_t *model = malloc(size);

    (void)state;
    for (uint64_t i = 0; i < size; i++)
        model[i] = (uint8_t)(i % 777 < 700 ? i >> 14 : (i * 2654435761u) >> 13);
    memset(model + MIB, 0, MIB / 2);
    save("c.raw", model, size);
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        struct image *img;
        uint8_t *buf = malloc(size);

        q_sh_ok("qemu-img convert -c -f raw -O qcow2 -o %s c.raw c.qcow2", options[i]);
        img = qopen("c.qcow2", (struct image_options){0});
        CHECK_EQ(image_pread(img, buf, 0, size), 0);
        CHECK(!memcmp(buf, model, size));
        pattern_write(img, 70000, 3000, 9); /* a compressed cluster becomes a plain one */
        CHECK_EQ(image_pread(img, buf, 0, size), 0);
        image_close(img);
        qimg_check("c.qcow2");

        qcreate("d.qcow2", size, options[i], NULL, NULL);
        img = qopen("d.qcow2", (struct image_options){0});
        for (uint64_t off = 0; off < size; off += img->cluster)
            CHECK_EQ(img->ops->write_compressed(img, model + off, off, img->cluster), 0);
        CHECK_EQ(image_pread(img, buf, 0, size), 0);
        CHECK(!memcmp(buf, model, size));
        image_close(img);
        qimg_check("d.qcow2");
        q_sh_ok("qemu-img compare -f qcow2 -F raw d.qcow2 c.raw");
        free(buf);
    }
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_of_qemu_img_are_read),
        cmocka_unit_test(random_writes_agree_with_qemu_img),
        cmocka_unit_test(overlays_agree_with_qemu_img),
        cmocka_unit_test(compressed_clusters_go_both_ways),
    };

    return cmocka_run_group_tests(tests, qdir_setup, qdir_teardown);
}
