/* Opening images: probing, ranges and partitions, files that images name, maps, making; against dd, sfdisk and qemu-io. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/image.h"
#include "images/partition.h"
#include "tests/unit/check.h"

static char dir[64];

static const char *at(const char *name)
{
    static char buf[8][160];
    static int n;
    char *p = buf[n++ % 8];

    snprintf(p, 160, "%s/%s", dir, name);
    return p;
}

/* Its output is in the file `said`. */
static int sh(const char *cmd)
{
    char full[1200];

    snprintf(full, sizeof full, "cd %s && { %s; } >said 2>&1", dir, cmd);
    return system(full);
}

static void put(const char *name, const void *data, size_t len, off_t off)
{
    int fd = open(at(name), O_CREAT | O_WRONLY, 0600);

    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, data, len, off), len);
    close(fd);
}

static struct image *must_open(const char *name, struct image_options o)
{
    struct err e = {""};
    struct image *img = image_open(at(name), &o, &e);

    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

static void refused(const char *name, struct image_options o, const char *expect)
{
    struct err e = {""};
    struct image *img = image_open(at(name), &o, &e);

    CHECK(img == NULL);
    if (!strstr(e.msg, expect))
        fail_msg("message is: %s", e.msg);
}

static void headers_are_recognised_and_never_trusted(void **state)
{
    struct err e = {""};
    uint8_t sector[1024] = {0};

    (void)state;
    put("plain", sector, sizeof sector, 0);
    CHECK_STR(image_probe_path(at("plain"), &e), "raw");
    memcpy(sector + 512, "conectix", 8); /* a fixed VHD has a footer only */
    put("fixed", sector, sizeof sector, 0);
    CHECK_STR(image_probe_path(at("fixed"), &e), "vpc");
    refused("fixed", (struct image_options){0}, "looks like vpc");
    image_close(must_open("fixed", (struct image_options){.format = "raw"}));
    st32(sector + 64, 0xbeda107f);
    put("vdi", sector, sizeof sector, 0);
    CHECK_STR(image_probe_path(at("vdi"), &e), "vdi");
    CHECK(image_probe_path(at("none"), &e) == NULL);
    CHECK(strstr(e.msg, "No such file"));
    refused("plain", (struct image_options){.format = "zip"}, "is not known (known: ");
}

static void a_file_has_any_alignment_and_grows(void **state)
{
    uint8_t buf[64];
    struct stat st;

    (void)state;
    for (int direct = 0; direct < 2; direct++) {
        struct image_options o = {.format = "file", .direct = direct};
        struct image *f;

        unlink(at("grow"));
        put("grow", "0123456789", 10, 0);
        f = must_open("grow", o);
        CHECK_EQ(image_size(f), 10);
        memset(buf, 1, sizeof buf);
        CHECK_EQ(image_pread(f, buf, 7, 10), 0); /* beyond the end: zeroes */
        CHECK(!memcmp(buf, "789\0\0\0\0\0\0\0", 10));
        CHECK_EQ(image_pwrite(f, "abc", 5000, 3, IMAGE_FUA), 0);
        CHECK_EQ(image_size(f), 5003);
        CHECK_EQ(image_pwrite(f, "ABCD", 8, 4, 0), 0);
        CHECK_EQ(image_pread(f, buf, 6, 8), 0);
        CHECK(!memcmp(buf, "67ABCD\0\0", 8));
        CHECK_EQ(f->ops->write_zeroes(f, 4998, 100, direct ? IMAGE_UNMAP : 0), 0);
        CHECK_EQ(image_size(f), 5098);
        CHECK_EQ(image_pread(f, buf, 4990, 16), 0);
        for (int i = 0; i < 16; i++)
            CHECK_EQ(buf[i], 0);
        image_close(f);
        CHECK_EQ(stat(at("grow"), &st), 0);
        CHECK_EQ(st.st_size, 5098);
    }
}

static void holes_are_mapped(void **state)
{
    struct image_extent x;
    struct image *img;
    static uint8_t data[65536];

    (void)state;
    memset(data, 7, sizeof data);
    put("holes", data, sizeof data, 1 << 20);
    CHECK_EQ(truncate(at("holes"), 4 << 20), 0);
    img = must_open("holes", (struct image_options){0});
    CHECK_EQ(image_map(img, 0, img->size, &x), 0);
    CHECK(x.len == 1 << 20 && x.zero && !x.data && x.depth == 0 && x.layer == img);
    CHECK_EQ(image_map(img, x.len, img->size - x.len, &x), 0);
    CHECK(x.len == 65536 && !x.zero && x.data && x.has_offset && x.offset == 1 << 20);
    CHECK_EQ(image_map(img, (1 << 20) + 65536, img->size - (1 << 20) - 65536, &x), 0);
    CHECK(x.len == (3 << 20) - 65536 && x.zero);
    image_close(img);
}

static void raw_images_are_made_and_resized(void **state)
{
    struct err e = {""};
    struct image_create c = {.path = at("made"), .format = "raw", .size = 1 << 20};
    struct image *img;
    struct stat st;

    (void)state;
    CHECK(image_create(&c, &e));
    CHECK_EQ(stat(c.path, &st), 0);
    CHECK(st.st_size == 1 << 20 && st.st_blocks == 0);
    c.options = "preallocation=falloc";
    CHECK(image_create(&c, &e));
    CHECK_EQ(stat(c.path, &st), 0);
    CHECK(st.st_size == 1 << 20 && st.st_blocks >= 2048);
    img = must_open("made", (struct image_options){0});
    CHECK(!image_create(&c, &e)); /* in use: not emptied */
    CHECK(strstr(e.msg, "in use by test_image"));
    CHECK_EQ(img->ops->resize(img, 2 << 20, PREALLOC_FULL, false, &e), 0);
    CHECK_EQ(stat(c.path, &st), 0);
    CHECK(st.st_size == 2 << 20 && st.st_blocks >= 4096);
    CHECK_EQ(img->ops->resize(img, 4096, PREALLOC_OFF, false, &e), -EINVAL);
    CHECK_EQ(img->ops->resize(img, 4096, PREALLOC_OFF, true, &e), 0);
    CHECK_EQ(img->size, 4096);
    image_close(img);
    c.options = "nonsense=1";
    CHECK(!image_create(&c, &e));
    CHECK(strstr(e.msg, "nonsense"));
    c.options = NULL;
    c.path = at("no/such/folder");
    CHECK(!image_create(&c, &e));
}

static void options_are_cut_at_commas(void **state)
{
    const char *s = "a=1,path=x,,y,flag,size=1.5k";
    struct image_option o;
    struct err e = {""};
    uint64_t n;

    (void)state;
    CHECK(image_option_next(&s, &o, &e) && !strcmp(o.key, "a") && !strcmp(o.value, "1"));
    CHECK(image_option_next(&s, &o, &e) && !strcmp(o.key, "path") && !strcmp(o.value, "x,y"));
    CHECK(image_option_next(&s, &o, &e) && !strcmp(o.key, "flag") && !strcmp(o.value, "on"));
    CHECK(image_option_next(&s, &o, &e) && image_parse_size(o.value, &n) && n == 1536);
    CHECK(!image_option_next(&s, &o, &e) && !e.msg[0]);
    CHECK(image_parse_size("8E", &n) && n == UINT64_C(8) << 60);
    CHECK(image_parse_size("64KiB", &n) && n == 65536);
    CHECK(!image_parse_size("16E", &n) && !image_parse_size("-1", &n) && !image_parse_size("1x", &n));
    CHECK(!image_parse_size("99999999999999999999", &n) && !image_parse_size("", &n));
}

static void parts_of_one_file_are_separate_disks(void **state)
{
    uint8_t buf[512];
    struct image *a, *b;

    (void)state;
    memset(buf, 9, sizeof buf);
    unlink(at("parts"));
    put("parts", buf, 512, (1 << 20) - 512);
    a = must_open("parts", (struct image_options){.length = 1 << 19});
    b = must_open("parts", (struct image_options){.offset = 1 << 19});
    CHECK(a->size == 1 << 19 && b->size == 1 << 19);
    memset(buf, 1, 512);
    CHECK_EQ(image_pwrite(a, buf, (1 << 19) - 512, 512, 0), 0);
    memset(buf, 2, 512);
    CHECK_EQ(image_pwrite(b, buf, 0, 512, 0), 0);
    CHECK_EQ(image_pread(b, buf, (1 << 19) - 512, 512), 0);
    CHECK_EQ(buf[0], 9);
    refused("parts", (struct image_options){.offset = 65536, .length = 512}, "in use by test_image");
    refused("parts", (struct image_options){.read_only = true, .offset = 65536, .length = 512}, "writes to it");
    refused("parts", (struct image_options){0}, "in use by test_image");
    CHECK(sh("! qemu-io -f raw -c 'write 0 512' parts 2>err && grep -q 'Failed to get .* lock' err") == 0);
    image_close(a);
    refused("parts", (struct image_options){.read_only = true}, "in use");
    image_close(must_open("parts", (struct image_options){.length = 1 << 19}));
    image_close(b);
    a = must_open("parts", (struct image_options){0});
    refused("parts", (struct image_options){.length = 512}, "in use by test_image");
    image_close(a);
    refused("parts", (struct image_options){.offset = 2 << 20}, "not inside");
    refused("parts", (struct image_options){.offset = 100}, "multiples of 512");
    refused("parts", (struct image_options){.offset = 512, .length = 1 << 20}, "not inside");
}

static void qemu_holding_an_image_is_named(void **state)
{
    char cmd[256];
    bool named = false;
    FILE *qemu;

    (void)state;
    put("held", "", 1, 65535);
    snprintf(cmd, sizeof cmd, "exec qemu-io -f raw %s >/dev/null", at("held"));
    qemu = popen(cmd, "w"); /* it waits for commands */
    CHECK(qemu != NULL);
    for (int i = 0; i < 200 && !named; i++) {
        struct err e = {""};
        struct image *img = image_open(at("held"), &(struct image_options){0}, &e);

        if (!img && !(named = strstr(e.msg, "in use by qemu-io (pid ")))
            fail_msg("message is: %s", e.msg);
        image_close(img);
        usleep(10000);
    }
    pclose(qemu);
    CHECK(named);
}

static void qemu_is_kept_out(void **state)
{
    static const char *const formats[] = {"raw", "qcow2"};
    struct image *img;

    (void)state;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(sh(i ? "qemu-img create -q -f qcow2 ours 1M" : "qemu-img create -q -f raw ours 1M"), 0);
        img = must_open("ours", (struct image_options){.format = formats[i]});
        CHECK(sh("! qemu-img convert -O raw ours copy 2>err && grep -q 'Failed to get .* lock' err") == 0);
        CHECK(sh("qemu-img convert -U -O raw ours copy") == 0);
        CHECK(sh("! qemu-img resize -f raw --shrink ours 4k 2>err && grep -q 'Failed to get .* lock' err") == 0);
        image_close(img);
        img = must_open("ours", (struct image_options){.format = formats[i], .read_only = true});
        CHECK(sh("qemu-img convert -O raw ours copy") == 0);
        CHECK(sh(i ? "! qemu-io -f qcow2 -c 'write 0 512' ours" : "! qemu-io -f raw -c 'write 0 512' ours") == 0);
        image_close(img);
        CHECK(sh(i ? "qemu-io -f qcow2 -c 'write 0 512' ours" : "qemu-io -f raw -c 'write 0 512' ours") == 0);
    }
}

static void partitions_by_sfdisk(void **state)
{
    static const char *const mbr = "printf 'label: dos\\n"
                                   "start=2048,size=2048\\nstart=4096,size=12288,type=5\\nstart=6144,size=2048\\n"
                                   "start=10240,size=1024\\n' | sfdisk -q mbr";
    static const char *const gpt =
        "printf 'label: gpt\\nstart=2048,size=2048\\n4: start=8192,size=4096\\n' | sfdisk -q gpt";
    struct partition p[8];
    struct err e = {""};
    struct image *img;
    uint8_t zero[512] = {0};

    (void)state;
    put("mbr", "", 1, (16 << 20) - 1);
    put("gpt", "", 1, (16 << 20) - 1);
    if (sh(mbr) || sh(gpt))
        skip();
    img = must_open("mbr", (struct image_options){0});
    CHECK_EQ(partition_list(img, p, 8, &e), 4);
    CHECK(p[0].number == 1 && p[0].offset == 1 << 20 && p[0].length == 1 << 20);
    CHECK(p[1].number == 2 && p[1].offset == 2 << 20);
    CHECK(p[2].number == 5 && p[2].offset == 3 << 20 && p[2].length == 1 << 20);
    CHECK(p[3].number == 6 && p[3].offset == 5 << 20 && p[3].length == 1 << 19);
    image_close(img);
    img = must_open("mbr", (struct image_options){.partition = 6});
    CHECK_EQ(img->size, 1 << 19);
    image_close(img);
    refused("mbr", (struct image_options){.partition = 3}, "has no partition 3");
    for (int copy = 0; copy < 2; copy++) {
        img = must_open("gpt", (struct image_options){0});
        CHECK_EQ(partition_list(img, p, 8, &e), 2);
        CHECK(p[0].number == 1 && p[0].offset == 1 << 20 && p[0].length == 1 << 20);
        CHECK(p[1].number == 4 && p[1].offset == 4 << 20 && p[1].length == 2 << 20);
        CHECK_EQ(image_pwrite(img, copy ? (void *)(zero) : "X", copy ? (16 << 20) - 512 : 520, copy ? 512 : 1, 0), 0);
        image_close(img);
    }
    refused("gpt", (struct image_options){.partition = 1}, "both copies of its GPT are damaged");
    refused("parts", (struct image_options){.partition = 1}, "no partition table");
}

/* A loop device of 4 KiB sectors, where root may make one. */
static void a_block_device_is_a_disk(void **state)
{
    struct image_create c = {.path = at("dev"), .format = "raw", .size = 1 << 20};
    struct err e = {""};
    struct partition p[4];
    struct image_extent x;
    uint8_t buf[8192];
    char dev[64] = "";
    FILE *f;

    (void)state;
    put("disk", "", 1, (16 << 20) - 1);
    if (geteuid() || sh("losetup -f --show -b 4096 disk >dev.name && ln -sf $(cat dev.name) dev"))
        skip();
    f = fopen(at("dev.name"), "r");
    CHECK(f && fscanf(f, "%63s", dev) == 1);
    fclose(f);
    for (int direct = 0; direct < 2; direct++) {
        struct image *img = must_open("dev", (struct image_options){.direct = direct});

        CHECK(img->size == 16 << 20 && img->logical == 4096);
        memset(buf, 'x', sizeof buf);
        CHECK_EQ(image_pwrite(img, buf, 4096, 8192, IMAGE_FUA), 0);
        CHECK_EQ(image_pwrite(img, "abc", 4999, 3, 0), 0); /* as a format's tables are written */
        CHECK_EQ(image_pread(img, buf, 4990, 20), 0);
        CHECK(!memcmp(buf, "xxxxxxxxxabcxxxxxxxx", 20));
        CHECK_EQ(image_map(img, 0, img->size, &x), 0);
        CHECK(x.data && x.len == img->size && x.has_offset);
        CHECK_EQ(img->ops->write_zeroes(img, 4096, 4096, direct ? IMAGE_UNMAP : 0), 0);
        CHECK_EQ(image_pread(img, buf, 4096, 8192), 0);
        CHECK(!buf[0] && !buf[4095] && buf[4096] == 'x');
        CHECK_EQ(img->ops->discard(img, 0, img->size), 0);
        CHECK(img->ops->resize(img, 32 << 20, PREALLOC_OFF, false, &e) < 0);
        CHECK(strstr(e.msg, "keeps its size"));
        refused("dev", (struct image_options){0}, "in use by test_image");
        image_close(img);
    }
    CHECK(image_create(&c, &e));
    c.size = 32 << 20;
    CHECK(!image_create(&c, &e));
    if (!sh("printf 'label: gpt\\nstart=256,size=256\\n' | sfdisk -q dev")) { /* in sectors of 4096 */
        struct image *img = must_open("dev", (struct image_options){0});

        CHECK_EQ(partition_list(img, p, 4, &e), 1);
        CHECK(p[0].offset == 1 << 20 && p[0].length == 1 << 20);
        image_close(img);
        img = must_open("disk", (struct image_options){.partition = 1}); /* the same, seen as a file */
        CHECK_EQ(img->size, 1 << 20);
        image_close(img);
    }
    CHECK_EQ(sh("losetup -d $(cat dev.name)"), 0);
}

/* A format that names a file, as qcow2 does. */
static struct image *naming(const char *name, const struct image_options *o, const char *backing, const char *format,
                            struct err *e)
{
    struct image *img = must_open(name, (struct image_options){.format = "raw", .read_only = true});

    if (image_open_backing(img, o, backing, format, e))
        return img;
    image_close(img);
    return NULL;
}

static void named_refused(const char *backing, const char *format, struct image_options o, const char *expect)
{
    struct err e = {""};

    CHECK(naming("in/top", &o, backing, format, &e) == NULL);
    if (!strstr(e.msg, expect))
        fail_msg("message is: %s", e.msg);
}

static void named_files_stay_in_the_folder(void **state)
{
    struct image_options plain = {0};
    char other[160];
    const char *const also[] = {other, NULL};
    struct err e = {""};
    struct image *img;

    (void)state;
    snprintf(other, sizeof other, "%s", at("out"));
    CHECK_EQ(mkdir(at("in"), 0700) | mkdir(at("in/sub"), 0700) | mkdir(at("out"), 0700), 0);
    put("in/top", "", 1, 511);
    put("in/sub/base", "", 1, 1023);
    put("out/secret", "", 1, 511);
    CHECK_EQ(symlink("../out/secret", at("in/link")), 0);
    img = naming("in/top", &plain, "sub/base", "raw", &e);
    CHECK(img && img->backing && img->backing->size == 1024 && img->backing->read_only);
    CHECK(img->backing->above == img);
    image_close(img);
    named_refused("sub/base", NULL, plain, "does not say of what format");
    named_refused("../out/secret", "raw", plain, "outside its folder");
    named_refused(at("out/secret"), "raw", plain, "outside its folder");
    named_refused("link", "raw", plain, "outside its folder");
    named_refused("json:{\"driver\":\"file\"}", "raw", plain, "no plain path");
    named_refused("nbd://localhost", "raw", plain, "no plain path");
    named_refused("none", "raw", plain, "cannot find");
    named_refused("../in/top", "raw", plain, "comes back to");
    img = naming("in/top", &(struct image_options){.allowed = also}, "../out/secret", "raw", &e);
    CHECK(img != NULL);
    image_close(img);
    img = naming("in/top", &(struct image_options){.trust_paths = true}, "file:link", "raw", &e);
    CHECK(img != NULL);
    image_close(img);
    img = naming("in/top", &(struct image_options){.no_backing = true}, "none", "raw", &e);
    CHECK(img && !img->backing);
    image_close(img);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/guise-image-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char cmd[128];

    (void)state;
    sh("losetup -d $(cat dev.name)"); /* left by a test that failed */
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_recognised_and_never_trusted),
        cmocka_unit_test(a_file_has_any_alignment_and_grows),
        cmocka_unit_test(holes_are_mapped),
        cmocka_unit_test(raw_images_are_made_and_resized),
        cmocka_unit_test(options_are_cut_at_commas),
        cmocka_unit_test(parts_of_one_file_are_separate_disks),
        cmocka_unit_test(qemu_holding_an_image_is_named),
        cmocka_unit_test(qemu_is_kept_out),
        cmocka_unit_test(partitions_by_sfdisk),
        cmocka_unit_test(a_block_device_is_a_disk),
        cmocka_unit_test(named_files_stay_in_the_folder),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
