/* concat and stripe against where dd finds the bytes; the grammar of lists. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/block.h"
#include "images/members.h"
#include "tests/unit/check.h"

static char dir[64];

static void make(const char *name, size_t size, int fill)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    char *buf = malloc(size);

    memset(buf, fill, size);
    CHECK_EQ(write(fd, buf, size), size);
    close(fd);
    free(buf);
}

static int byte_of(const char *name, off_t off)
{
    int fd = open(name, O_RDONLY);
    unsigned char c;

    CHECK_EQ(pread(fd, &c, 1, off), 1);
    close(fd);
    return c;
}

static struct image *must_open(const char *spec)
{
    struct err e = {""};
    struct image *img = image_open_spec(spec, &(struct image_options){0}, &e);

    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

static void refused(const char *spec, const char *expect)
{
    struct err e = {""};

    CHECK(image_open_spec(spec, &(struct image_options){0}, &e) == NULL);
    if (!strstr(e.msg, expect))
        fail_msg("message is: %s", e.msg);
}

static void one_after_the_other(void **state)
{
    unsigned char buf[8192];
    struct image_extent x;
    struct image *img;

    (void)state;
    make("a", 65536, 'a');
    make("b", 4096, 'b');
    make("c", 65536, 'c');
    img = must_open("concat:a,b,c");
    CHECK_EQ(img->size, 65536 + 4096 + 65536);
    CHECK_EQ(image_pread(img, buf, 65536 - 512, 8192), 0);
    CHECK(buf[511] == 'a' && buf[512] == 'b' && buf[512 + 4095] == 'b' && buf[512 + 4096] == 'c');
    memset(buf, 'x', sizeof buf);
    CHECK_EQ(image_pwrite(img, buf, 65536 - 512, 8192, 0), 0);
    CHECK(byte_of("a", 65536 - 513) == 'a' && byte_of("a", 65535) == 'x' && byte_of("b", 4095) == 'x');
    CHECK(byte_of("c", 8192 - 512 - 4096 - 1) == 'x' && byte_of("c", 8192 - 512 - 4096) == 'c');
    CHECK_EQ(img->ops->write_zeroes(img, 512, img->size - 1024, IMAGE_UNMAP), 0);
    CHECK(byte_of("a", 511) == 'a' && byte_of("a", 512) == 0 && byte_of("b", 0) == 0);
    CHECK(byte_of("c", 65536 - 513) == 0 && byte_of("c", 65536 - 512) == 'c');
    CHECK_EQ(image_map(img, 8192, img->size - 8192, &x), 0);
    CHECK(x.zero && x.len == 65536 - 8192);
    CHECK_EQ(img->ops->flush(img), 0);
    image_close(img);
}

static void in_turns(void **state)
{
    unsigned char buf[32768];
    struct image *img;

    (void)state;
    make("a", 65536, 'a');
    make("b", 65536 + 4096, 'b');
    make("c", 65536 + 512, 'c');
    img = must_open("stripe:chunk=4k,a,b,c");
    CHECK_EQ(img->size, 3 * 65536);
    CHECK_EQ(image_pread(img, buf, 0, 4096 * 4), 0);
    CHECK(buf[4095] == 'a' && buf[4096] == 'b' && buf[8192] == 'c' && buf[12288] == 'a');
    memset(buf, 'x', sizeof buf);
    CHECK_EQ(image_pwrite(img, buf, 6144, 12288, 0), 0);
    CHECK(byte_of("a", 4095) == 'a' && byte_of("a", 4096) == 'x' && byte_of("a", 8191) == 'x');
    CHECK(byte_of("b", 2047) == 'b' && byte_of("b", 2048) == 'x' && byte_of("b", 6143) == 'x' &&
          byte_of("b", 6144) == 'b');
    CHECK(byte_of("c", 0) == 'x' && byte_of("c", 4096) == 'c');
    CHECK_EQ(img->ops->write_zeroes(img, 4096 * 4, 4096 * 4, 0), 0); /* b1 c1 a2 b2 */
    CHECK(byte_of("b", 4095) == 'x' && byte_of("b", 4096) == 0 && byte_of("b", 12287) == 0 &&
          byte_of("b", 12288) == 'b');
    CHECK(byte_of("c", 4096) == 0 && byte_of("c", 8192) == 'c' && byte_of("a", 8192) == 0 &&
          byte_of("a", 12288) == 'a');
    image_close(img);
}

/* Random writes through the disk and a model; then the model is cut into chunks by hand. */
static void stripes_of_stripes_agree_with_a_model(void **state)
{
    enum { SIZE = 2 * 3 * 65536 };
    static unsigned char model[SIZE], buf[SIZE];
    unsigned seed = 3;
    struct image *img;

    (void)state;
    make("a", 65536, 0);
    make("b", 65536, 0);
    make("c", 65536, 0);
    make("d", 65536 * 3, 0);
    img = must_open("stripe:chunk=32k,{concat:a,b,c},d;format=raw;size=192k");
    CHECK_EQ(img->size, SIZE);
    for (int i = 0; i < 300; i++) {
        uint64_t off = (uint64_t)(rand_r(&seed) % (SIZE / 512)) * 512;
        uint64_t len = (uint64_t)(rand_r(&seed) % 200 + 1) * 512;

        len = len < SIZE - off ? len : SIZE - off;
        memset(buf, i, len);
        memset(model + off, i % 4 ? i : 0, len);
        if (i % 4)
            CHECK_EQ(image_pwrite(img, buf, off, len, 0), 0);
        else
            CHECK_EQ(img->ops->write_zeroes(img, off, len, 0), 0);
    }
    CHECK_EQ(image_pread(img, buf, 0, SIZE), 0);
    CHECK(!memcmp(buf, model, SIZE));
    image_close(img);
    for (int i = 0; i < SIZE; i += 32768) /* chunks 0, 2, 4 are in a, b, c; 1, 3, 5 in d */
        CHECK_EQ(byte_of(i / 32768 % 2   ? "d"
                         : i / 65536 < 2 ? "a"
                         : i / 65536 < 4 ? "b"
                                         : "c",
                         i / 32768 % 2 ? i / 65536 * 32768 : i / 65536 % 2 * 32768),
                 model[i]);
}

static void a_list_is_a_disk_of_the_block_layer(void **state)
{
    struct err e = {""};
    struct block *b;
    struct block_info info;

    (void)state;
    b = block_open(&(struct block_options){.path = "concat:a,b", .format = "raw"}, &e);
    CHECK(b != NULL);
    block_get_info(b, &info);
    CHECK_EQ(info.size, 131072);
    block_close(b);
}

static void members_are_named_in_many_ways(void **state)
{
    (void)state;
    make("with,comma;semi", 4096, 'q');
    make("k=v", 4096, 'q');
    image_close(must_open("concat:with,,comma;;semi,a"));
    image_close(must_open("with,comma;semi"));
    image_close(must_open("concat:./k=v,a;offset=4k;size=8k"));
    refused("concat:k=v,a", "no option here");
    refused("concat:a,none", "No such file");
    refused("concat:a,a", "in use by test_members");
    refused("concat:", "empty name");
    refused("concat:a,,", "No such file");
    refused("stripe:chunk=3k,a,b", "power of two");
    refused("concat:a;colour=1,b", "not known");
    refused("concat:a;partition=1,b", "no partition table");
    refused("concat:{concat:{concat:{concat:{concat:{concat:a}}}}}", "nested too deep");
    refused("concat:a,b,c,d,a,b,c,d,a,b,c,d,a,b,c,d,e", "too many");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/guise-members-XXXXXX");
    return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char cmd[128];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return chdir("/") || system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(in_turns),
        cmocka_unit_test(stripes_of_stripes_agree_with_a_model),
        cmocka_unit_test(a_list_is_a_disk_of_the_block_layer),
        cmocka_unit_test(members_are_named_in_many_ways),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
