/* A disk in copies: members that fail, go missing, come back, are replaced; a process killed between two writes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/mirror.h"
#include "tests/unit/check.h"

enum { SIZE = 8 << 20 };

static char dir[64], said[4096];

static void notice(void *arg, const char *line)
{
    size_t n = strlen(said);

    (void)arg;
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static struct image *try_open(const char *spec, struct err *e)
{
    said[0] = 0;
    return image_open_spec(spec, &(struct image_options){.notice = notice}, e);
}

static struct image *must_open(const char *spec)
{
    struct err e = {""};
    struct image *img = try_open(spec, &e);

    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

static void refused(const char *spec, const char *expect)
{
    struct err e = {""};
    struct image *img = try_open(spec, &e);

    CHECK(img == NULL);
    if (!strstr(e.msg, expect))
        fail_msg("message is: %s", e.msg);
}

static void create(const char *spec)
{
    struct err e = {""};

    if (!image_create(&(struct image_create){.path = spec, .format = "mirror", .size = SIZE}, &e))
        fail_msg("%s", e.msg);
}

static void fill(struct image *img, uint64_t off, int what)
{
    char buf[4096];

    memset(buf, what, sizeof buf);
    CHECK_EQ(image_pwrite(img, buf, off, sizeof buf, 0), 0);
}

static int byte_at(struct image *img, uint64_t off)
{
    unsigned char c[512];

    CHECK_EQ(image_pread(img, c, off, sizeof c), 0);
    return c[0];
}

static int byte_of(const char *name, off_t off)
{
    int fd = open(name, O_RDONLY);
    unsigned char c;

    CHECK_EQ(pread(fd, &c, 1, off), 1);
    close(fd);
    return c;
}

/* The descriptor under which this process has the file. */
static int fd_of(const char *name)
{
    char want[128], link[64], got[128];

    snprintf(want, sizeof want, "%s/%s", dir, name);
    for (int fd = 3; fd < 200; fd++) {
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, got, sizeof got - 1);
        got[n > 0 ? n : 0] = 0;
        if (!strcmp(got, want))
            return fd;
    }
    return -1;
}

/* From now on the open file cannot be written (or, not be read). */
static void breaks(const char *name, int flags)
{
    int fd = fd_of(name), other = open(flags == O_WRONLY ? name : "/dev/null", flags);

    CHECK(fd > 0 && other > 0);
    CHECK_EQ(dup2(other, fd), fd);
    close(other);
}

static void wait_in_step(struct image *img)
{
    struct mirror_status s;
    unsigned n = 0;

    for (int i = 0; i < 5000 && n < 2; i++) {
        CHECK(mirror_get_status(img, &s));
        n = 0;
        for (unsigned k = 0; k < s.n; k++)
            n += s.member[k].state == MIRROR_IN_STEP;
        n = n == s.n && !s.to_rebuild ? n : 0;
        if (!n)
            usleep(1000);
    }
    CHECK(n >= 2);
}

static bool same(const char *a, const char *b)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "cmp -n %d %s %s", SIZE, a, b);
    return system(cmd) == 0;
}

static void both_copies_are_written(void **state)
{
    struct image *img;
    struct mirror_status s;
    struct err e = {""};
    struct stat st;

    (void)state;
    create("mirror:a,b");
    CHECK_EQ(stat("a", &st), 0);
    CHECK(st.st_size == SIZE + 65536 && st.st_blocks < 100);
    img = must_open("mirror:a,b");
    CHECK_EQ(img->size, SIZE);
    CHECK_STR(said, "");
    fill(img, 4096, 'x');
    fill(img, SIZE - 4096, 'y');
    CHECK_EQ(img->ops->write_zeroes(img, 8192, 4096, 0), 0);
    CHECK(byte_of("a", 4096) == 'x' && byte_of("b", 4096) == 'x' && byte_of("b", SIZE - 1) == 'y');
    CHECK(mirror_get_status(img, &s));
    CHECK_EQ(s.dirty_bytes, 2 << 20); /* two regions of the least size */
    CHECK_EQ(img->ops->flush(img), 0);
    image_close(img);
    CHECK(same("a", "b"));
    img = must_open("mirror:b,a"); /* in any order */
    mirror_get_status(img, &s);
    CHECK(s.dirty_bytes == 0 && s.n == 2);
    CHECK_STR(s.member[0].name, "a");
    CHECK_EQ(byte_at(img, 4096), 'x');
    image_close(img);
    CHECK_STR(image_probe_path("mirror:a,b", &e), "raw");
}

static void the_guest_goes_on_when_a_member_fails(void **state)
{
    struct image *img;

    (void)state;
    create("mirror:a,b");
    img = must_open("mirror:a,b");
    fill(img, 0, '1');
    breaks("b", O_RDONLY);
    fill(img, 0, '2');
    CHECK(strstr(said, "member 'b' failed") != NULL);
    for (int i = 0; i < 8; i++) /* whatever the balance says */
        CHECK_EQ(byte_at(img, 0), '2');
    fill(img, 3 << 20, '3');
    breaks("a", O_RDONLY); /* the last one is kept, with its errors */
    CHECK_EQ(image_pwrite(img, "12345678", 0, 8, 0), -EBADF);
    image_close(img);
    CHECK(byte_of("a", 0) == '2' && byte_of("b", 0) == '1');
    img = must_open("mirror:a,b"); /* b is known as stale and gets what it lacks, no more */
    CHECK(strstr(said, "member 'b' is being filled") != NULL);
    CHECK_EQ(byte_at(img, 0), '2');
    wait_in_step(img);
    CHECK(strstr(said, "member 'b' is in step") != NULL);
    image_close(img);
    CHECK(same("a", "b"));
    CHECK(byte_of("b", 0) == '2' && byte_of("b", 3 << 20) == '3');
}

static void a_bad_sector_is_mended_from_the_other_copy(void **state)
{
    struct image *img;
    struct mirror_status s;

    (void)state;
    create("mirror:a,b");
    img = must_open("mirror:a,b");
    fill(img, 0, '1');
    fill(img, SIZE - 4096, '2');
    breaks("a", O_WRONLY);
    for (int i = 0; i < 4; i++) { /* far from each other: both members take part */
        CHECK_EQ(byte_at(img, 0), '1');
        CHECK_EQ(byte_at(img, SIZE - 512), '2');
    }
    CHECK(strstr(said, "'a' could not read at") != NULL);
    mirror_get_status(img, &s);
    CHECK(s.member[0].state == MIRROR_IN_STEP && s.member[1].state == MIRROR_IN_STEP);
    image_close(img);
}

static void a_missing_member_is_stale_when_it_comes_back(void **state)
{
    struct image *img;

    (void)state;
    create("mirror:a,b,c");
    img = must_open("mirror:a,b,c");
    fill(img, 1 << 20, '1');
    image_close(img);
    CHECK_EQ(rename("b", "b.away"), 0);
    refused("mirror:degraded=off,a,b,c", "No such file");
    img = must_open("mirror:a,b,c");
    CHECK(strstr(said, "member 'b' is missing (cannot open disk image 'b'"));
    fill(img, 1 << 20, '2');
    image_close(img);
    CHECK_EQ(rename("b.away", "b"), 0);
    CHECK_EQ(byte_of("b", 1 << 20), '1');
    img = must_open("mirror:b,a,c");
    CHECK_EQ(byte_at(img, 1 << 20), '2');
    wait_in_step(img);
    image_close(img);
    CHECK(same("a", "b") && same("a", "c"));
    CHECK_EQ(byte_of("b", 1 << 20), '2');
}

static void read_only_never_shows_a_stale_member(void **state)
{
    struct err e = {""};
    struct image *img;

    (void)state;
    create("mirror:a,b");
    image_close(must_open("mirror:a,b"));
    img = must_open("mirror:b"); /* a is not named */
    fill(img, 0, 'n');
    image_close(img);
    said[0] = 0;
    img = image_open("mirror:a,b", &(struct image_options){.read_only = true, .notice = notice}, &e);
    CHECK(img != NULL);
    CHECK(strstr(said, "member 'a' is not in step"));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(byte_at(img, 0), 'n');
    image_close(img);
    CHECK_EQ(byte_of("a", 0), 0);
}

static void copies_changed_apart_are_refused(void **state)
{
    struct image *img;

    (void)state;
    create("mirror:a,b");
    img = must_open("mirror:a");
    fill(img, 0, 'a');
    image_close(img);
    img = must_open("mirror:b");
    fill(img, 0, 'b');
    image_close(img);
    refused("mirror:a,b", "changed apart");
    img = must_open("mirror:primary=2,a,b");
    wait_in_step(img);
    image_close(img);
    CHECK(same("a", "b"));
    CHECK_EQ(byte_of("a", 0), 'b');
    image_close(must_open("mirror:a,b"));
}

static void strangers_are_not_overwritten(void **state)
{
    struct image *img;

    (void)state;
    create("mirror:a,b");
    create("mirror:x,y");
    CHECK_EQ(system("head -c 9M /dev/urandom >precious; cp precious kept"), 0);
    refused("mirror:a,precious", "replace=2 fills it");
    refused("mirror:a,x", "another mirror");
    refused("mirror:precious,none", "no member is part of a mirror");
    refused("mirror:colour=red,a,b", "no option");
    CHECK_EQ(system("cmp precious kept"), 0);
    img = must_open("mirror:replace=2,a,precious");
    wait_in_step(img);
    image_close(img);
    CHECK(same("a", "precious"));
    CHECK_EQ(system("rm precious kept x y"), 0);
}

static void a_member_is_replaced_while_running(void **state)
{
    struct err e = {""};
    struct image *img;

    (void)state;
    create("mirror:a,b");
    CHECK_EQ(system("truncate -s 9M new"), 0);
    CHECK_EQ(system("truncate -s 1M small"), 0);
    img = must_open("mirror:a,b");
    for (int i = 0; i < 8; i++)
        fill(img, (uint64_t)i << 20, 'a' + i);
    breaks("b", O_RDONLY);
    fill(img, 0, 'z');
    CHECK(!mirror_replace(img, 1, "new", &e));
    CHECK(strstr(e.msg, "last in step"));
    CHECK(!mirror_replace(img, 2, "small", &e));
    CHECK(mirror_replace(img, 2, "new", &e));
    for (int i = 0; i < 200; i++) /* the guest writes meanwhile */
        fill(img, (uint64_t)(i * 37 % 2000) * 4096, i);
    wait_in_step(img);
    image_close(img);
    CHECK(same("a", "new"));
    img = must_open("mirror:a,new");
    CHECK_STR(said, "");
    image_close(img);
    refused("mirror:a,b,new", "");
    CHECK_EQ(unlink("new") | unlink("small"), 0);
}

static void plain_images_become_a_mirror(void **state)
{
    struct image *img;
    struct stat st;

    (void)state;
    CHECK_EQ(system("head -c 8M /dev/urandom >a; : >b; cp a plain"), 0);
    img = must_open("mirror:init=1,a,b");
    CHECK_EQ(img->size, SIZE);
    wait_in_step(img);
    image_close(img);
    CHECK(same("a", "plain") && same("b", "plain"));
    CHECK_EQ(stat("b", &st), 0);
    CHECK_EQ(st.st_size, SIZE + 65536);
    refused("mirror:init=1,a,b", "part of a mirror already");
    CHECK_EQ(unlink("plain"), 0);
}

/* What the killed process had acknowledged: the last value of each of 64 places. */
static void a_kill_between_the_writes_is_healed(void **state)
{
    volatile uint8_t *acked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    create("mirror:a,b");
    for (int round = 0; round < 12; round++) {
        struct image *img;
        pid_t pid = fork();

        if (!pid) {
            img = must_open("mirror:a,b");
            for (unsigned i = (unsigned)round * 7;; i++) {
                static uint8_t buf[65536];

                memset(buf, (int)(i % 251 + 1), sizeof buf);
                if (image_pwrite(img, buf, i % 64 * 131072, sizeof buf, 0))
                    _exit(1);
                acked[i % 64] = (uint8_t)(i % 251 + 1);
            }
        }
        usleep(3000 + (useconds_t)round * 2500);
        kill(pid, SIGKILL);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
        img = must_open("mirror:a,b");
        unsigned newer = 0;

        for (unsigned i = 0; i < 64; i++) {
            int got = byte_at(img, i * 131072), again = byte_at(img, i * 131072);

            CHECK_EQ(got, again); /* no flicker between the copies */
            newer += got != acked[i];
            acked[i] = (uint8_t)got;
        }
        CHECK(newer <= 1); /* the write that was under way */
        wait_in_step(img);
        image_close(img);
        CHECK(same("a", "b"));
    }
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/var/tmp/guise-mirror-XXXXXX");
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
        cmocka_unit_test(both_copies_are_written),
        cmocka_unit_test(the_guest_goes_on_when_a_member_fails),
        cmocka_unit_test(a_bad_sector_is_mended_from_the_other_copy),
        cmocka_unit_test(a_missing_member_is_stale_when_it_comes_back),
        cmocka_unit_test(read_only_never_shows_a_stale_member),
        cmocka_unit_test(copies_changed_apart_are_refused),
        cmocka_unit_test(strangers_are_not_overwritten),
        cmocka_unit_test(a_member_is_replaced_while_running),
        cmocka_unit_test(plain_images_become_a_mirror),
        cmocka_unit_test(a_kill_between_the_writes_is_healed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
