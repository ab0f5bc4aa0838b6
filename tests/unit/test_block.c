/* The block layer: raw files, locks, the throw-away overlay, requests in flight; against files read by plain system calls. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/block.h"
#include "tests/unit/check.h"

static char dir[64], path[96];

static void make_file(size_t size, unsigned char seed)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    unsigned char *buf = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        buf[i] = (unsigned char)(seed + i / 512);
    CHECK(fd >= 0 && buf);
    CHECK_EQ(write(fd, buf, size), size);
    close(fd);
    free(buf);
}

static void file_read(void *buf, size_t len, off_t off)
{
    int fd = open(path, O_RDONLY);

    CHECK_EQ(pread(fd, buf, len, off), len);
    close(fd);
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int left, result;
};

static void on_done(struct block_req *r, int result)
{
    struct wait *w = r->arg;

    pthread_mutex_lock(&w->lock);
    if (result)
        w->result = result;
    w->left--;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static int run(struct block *b, enum block_op op, unsigned flags, uint64_t off, void *buf, uint64_t len)
{
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
    struct iovec v[2] = {{buf, len / 3}, {(char *)buf + len / 3, len - len / 3}};
    struct block_req r = {.op = op, .flags = flags, .offset = off, .len = len, .iov = v, .iovcnt = 2, .done = on_done};

    r.arg = &w;
    block_submit(b, &r);
    pthread_mutex_lock(&w.lock);
    while (w.left)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    return w.result;
}

static struct block *open_with(struct block_options o)
{
    struct err e = {""};
    struct block *b;

    o.path = path;
    b = block_open(&o, &e);
    if (!b)
        fail_msg("%s", e.msg);
    return b;
}

static void refused(struct block_options o, const char *expect)
{
    struct err e = {""};
    struct block *b = block_open(&o, &e);

    CHECK(b == NULL);
    if (!strstr(e.msg, expect) || !strstr(e.msg, o.path))
        fail_msg("message is: %s", e.msg);
}

static void reads_and_writes_reach_the_file(void **state)
{
    unsigned char buf[8192], seen[8192];
    struct block *b;
    struct block_info info;

    (void)state;
    make_file(65536, 1);
    b = open_with((struct block_options){.format = "raw"});
    block_get_info(b, &info);
    CHECK_EQ(info.size, 65536);
    CHECK_EQ(info.logical, 512);
    CHECK_STR(info.format, "raw");
    CHECK_EQ(run(b, BLOCK_READ, 0, 1024, buf, sizeof buf), 0);
    file_read(seen, sizeof seen, 1024);
    CHECK(!memcmp(buf, seen, sizeof buf));
    memset(buf, 0x5a, sizeof buf);
    CHECK_EQ(run(b, BLOCK_WRITE, 0, 512, buf, 1024), 0);
    CHECK_EQ(run(b, BLOCK_WRITE, BLOCK_FUA, 65536 - 512, buf, 512), 0);
    CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    file_read(seen, 2048, 0);
    CHECK_EQ(seen[511], 1);
    CHECK_EQ(seen[512], 0x5a);
    CHECK_EQ(seen[1535], 0x5a);
    CHECK_EQ(seen[1536], 4);
    CHECK_EQ(run(b, BLOCK_READ, 0, 0, buf, 0), 0);
    block_get_info(b, &info);
    CHECK_EQ(info.reads, 2);
    CHECK_EQ(info.writes, 2);
    CHECK_EQ(info.flushes, 1);
    CHECK_EQ(info.write_bytes, 1536);
    block_close(b);
}

static void requests_outside_the_disk_fail_and_change_nothing(void **state)
{
    unsigned char buf[1024] = {0};
    struct block *b;
    struct stat st;

    (void)state;
    make_file(4096, 1);
    b = open_with((struct block_options){0});
    CHECK_EQ(run(b, BLOCK_READ, 0, 4096 - 512, buf, 1024), -EINVAL);
    CHECK_EQ(run(b, BLOCK_WRITE, 0, 4096 - 512, buf, 1024), -ENOSPC);
    CHECK_EQ(run(b, BLOCK_WRITE, 0, UINT64_MAX - 511, buf, 1024), -ENOSPC);
    CHECK_EQ(run(b, BLOCK_DISCARD, 0, 4096, buf, 512), -ENOSPC);
    block_close(b);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_size, 4096);
    b = open_with((struct block_options){.read_only = true});
    CHECK_EQ(run(b, BLOCK_WRITE, 0, 0, buf, 512), -EROFS);
    CHECK_EQ(run(b, BLOCK_WRITE_ZEROES, 0, 0, buf, 512), -EROFS);
    CHECK_EQ(run(b, BLOCK_READ, 0, 0, buf, 512), 0);
    CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    block_close(b);
}

static void zeroes_and_discard(void **state)
{
    unsigned char seen[65536];
    struct block *b;

    (void)state;
    make_file(65536, 1);
    b = open_with((struct block_options){0});
    CHECK_EQ(run(b, BLOCK_WRITE_ZEROES, 0, 512, NULL, 1024), 0);
    CHECK_EQ(run(b, BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, 8192, NULL, 8192), 0);
    CHECK_EQ(run(b, BLOCK_DISCARD, 0, 32768, NULL, 4096), 0);
    block_close(b);
    file_read(seen, sizeof seen, 0);
    CHECK_EQ(seen[511], 1);
    for (int i = 512; i < 1536; i++)
        CHECK_EQ(seen[i], 0);
    CHECK_EQ(seen[1536], 4);
    for (int i = 8192; i < 16384; i++)
        CHECK_EQ(seen[i], 0);
    CHECK_EQ(seen[16384], 33);
}

static void odd_size_is_padded_with_zeroes(void **state)
{
    unsigned char buf[1024];
    struct block *b;
    struct block_info info;
    struct stat st;

    (void)state;
    make_file(1000, 7);
    b = open_with((struct block_options){.read_only = true});
    block_get_info(b, &info);
    CHECK_EQ(info.size, 1024);
    memset(buf, 0xff, sizeof buf);
    CHECK_EQ(run(b, BLOCK_READ, 0, 0, buf, 1024), 0);
    CHECK_EQ(buf[999], 8);
    for (int i = 1000; i < 1024; i++)
        CHECK_EQ(buf[i], 0);
    block_close(b);
    b = open_with((struct block_options){0});
    CHECK_EQ(run(b, BLOCK_WRITE, 0, 512, buf, 512), 0);
    block_close(b);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_size, 1024);
}

static void a_file_that_shrinks_gives_an_io_error(void **state)
{
    unsigned char buf[512];
    struct block *b;

    (void)state;
    make_file(8192, 1);
    b = open_with((struct block_options){0});
    CHECK_EQ(truncate(path, 4096), 0);
    CHECK_EQ(run(b, BLOCK_READ, 0, 0, buf, 512), 0);
    CHECK_EQ(run(b, BLOCK_READ, 0, 4096, buf, 512), -EIO);
    block_close(b);
}

static void snapshot_never_touches_the_file(void **state)
{
    enum { SIZE = 5 * 4096 + 512 };
    unsigned char before[SIZE], after[SIZE], model[SIZE], buf[SIZE];
    struct block *b;
    unsigned seed = 1;

    (void)state;
    make_file(SIZE, 1);
    file_read(before, SIZE, 0);
    memcpy(model, before, SIZE);
    CHECK_EQ(chmod(path, 0400), 0);
    b = open_with((struct block_options){.snapshot = true});
    for (int i = 0; i < 400; i++) {
        uint64_t off = (uint64_t)(rand_r(&seed) % (SIZE / 512)) * 512;
        uint64_t len = (uint64_t)(rand_r(&seed) % 18 + 1) * 512;
        unsigned what = (unsigned)rand_r(&seed) % 8;

        if (len > SIZE - off)
            len = SIZE - off;
        memset(buf, i, len);
        if (what == 0) {
            CHECK_EQ(run(b, BLOCK_WRITE_ZEROES, BLOCK_MAY_UNMAP, off, NULL, len), 0);
            memset(model + off, 0, len);
        } else if (what < 4) {
            CHECK_EQ(run(b, BLOCK_WRITE, 0, off, buf, len), 0);
            memset(model + off, i, len);
        } else {
            CHECK_EQ(run(b, BLOCK_READ, 0, off, buf, len), 0);
            CHECK(!memcmp(buf, model + off, len));
        }
    }
    CHECK_EQ(run(b, BLOCK_READ, 0, 0, buf, SIZE), 0);
    CHECK(!memcmp(buf, model, SIZE));
    block_close(b);
    file_read(after, SIZE, 0);
    CHECK(!memcmp(before, after, SIZE));
    CHECK_EQ(chmod(path, 0600), 0);
}

static void two_writers_are_refused(void **state)
{
    struct block_options rw = {.path = path}, ro = {.path = path, .read_only = true};
    struct err e = {""};
    struct block *a, *b;
    char me[32];

    (void)state;
    snprintf(me, sizeof me, "(pid %d)", getpid());
    make_file(4096, 1);
    a = open_with((struct block_options){0});
    refused(rw, "in use by test_block");
    refused(rw, me);
    refused(ro, "writes to it");
    block_close(a);
    a = block_open(&ro, &e);
    b = block_open(&ro, &e);
    CHECK(a && b);
    refused(rw, "in use");
    block_close(a);
    block_close(b);
    block_close(open_with((struct block_options){0}));
}

static void bad_images_get_one_clear_line(void **state)
{
    char none[128], fifo[128];

    (void)state;
    snprintf(none, sizeof none, "%s/none", dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    refused((struct block_options){.path = none}, "No such file");
    refused((struct block_options){.path = dir}, "directory");
    refused((struct block_options){.path = dir, .read_only = true}, "directory");
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    refused((struct block_options){.path = fifo}, "neither a file nor a block device");
    unlink(fifo);
    make_file(0, 0);
    refused((struct block_options){.path = path}, "empty");
    make_file(512, 0);
    refused((struct block_options){.path = path, .format = "zip"}, "not known");
    int fd = open(path, O_WRONLY);
    CHECK_EQ(write(fd, "QFI\xfb", 4), 4);
    close(fd);
    refused((struct block_options){.path = path}, "looks like qcow2");
    block_close(open_with((struct block_options){.format = "raw"}));
}

static void many_requests_at_once_and_drain(void **state)
{
    enum { N = 256 };
    static unsigned char buf[N][512];
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0};
    static struct block_req r[N];
    struct iovec v[N];
    struct block *b;

    (void)state;
    make_file(N * 512, 3);
    b = open_with((struct block_options){.workers = 4});
    for (int i = 0; i < N; i++) {
        v[i] = (struct iovec){buf[i], 512};
        r[i] = (struct block_req){.op = BLOCK_READ, .offset = (uint64_t)i * 512, .len = 512, .iov = &v[i], .iovcnt = 1};
        r[i].done = on_done;
        r[i].arg = &w;
        block_submit(b, &r[i]);
    }
    block_drain(b);
    CHECK_EQ(w.left, 0);
    CHECK_EQ(w.result, 0);
    for (int i = 0; i < N; i++)
        CHECK_EQ(buf[i][511], (unsigned char)(3 + i));
    block_close(b);
}

static void a_cancelled_request_still_ends(void **state)
{
    enum { LEN = 16 << 20 };
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1, 0};
    struct iovec v = {malloc(LEN), LEN};
    struct block_req r = {.op = BLOCK_READ, .len = LEN, .iov = &v, .iovcnt = 1, .done = on_done, .arg = &w};
    struct block *b;

    (void)state;
    make_file(512, 1);
    CHECK_EQ(truncate(path, LEN), 0);
    b = open_with((struct block_options){0});
    block_submit(b, &r);
    if (block_cancel(b, &r))
        on_done(&r, 0); /* it had not begun */
    block_drain(b);
    CHECK_EQ(w.left, 0);
    CHECK(w.result == -ECANCELED || w.result == 0);
    block_close(b);
    free(v.iov_base);
}

static void cancelled_before_it_began_it_does_nothing(void **state)
{
    enum { N = 40 };
    static unsigned char buf[N][512];
    struct wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N, 0};
    static struct block_req r[N];
    struct iovec v[N];
    struct block *b;
    int undone = 0;

    (void)state;
    make_file(N * 512, 3);
    b = open_with((struct block_options){.workers = 1});
    for (int i = 0; i < N; i++) {
        v[i] = (struct iovec){buf[i], 512};
        r[i] = (struct block_req){.op = BLOCK_READ, .offset = (uint64_t)i * 512, .len = 512, .iov = &v[i], .iovcnt = 1};
        r[i].done = on_done;
        r[i].arg = &w;
        block_submit(b, &r[i]);
    }
    for (int i = N - 1; i >= 0; i -= 2)
        undone += block_cancel(b, &r[i]);
    block_drain(b);
    CHECK_EQ(w.left, undone);
    CHECK_EQ(buf[0][0], 3);
    CHECK_EQ(run(b, BLOCK_READ, 0, 512, buf[1], 512), 0);
    block_close(b);
}

static void trying_gives_the_same_data_or_says_no(void **state)
{
    unsigned char buf[4096], seen[4096];
    struct iovec v = {buf, sizeof buf};
    struct block_req r = {.op = BLOCK_READ, .offset = 4096, .len = 4096, .iov = &v, .iovcnt = 1};
    struct block *b;
    int result = 1;

    (void)state;
    make_file(65536, 1);
    file_read(seen, 4096, 4096);
    b = open_with((struct block_options){0});
    if (block_try(b, &r, &result)) {
        CHECK_EQ(result, 0);
        CHECK(!memcmp(buf, seen, 4096));
    }
    r.offset = 65536;
    CHECK(!block_try(b, &r, &result) || result == -EINVAL);
    r.op = BLOCK_FLUSH;
    CHECK(!block_try(b, &r, &result));
    block_close(b);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/guise-block-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/disk", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_reach_the_file),
        cmocka_unit_test(requests_outside_the_disk_fail_and_change_nothing),
        cmocka_unit_test(zeroes_and_discard),
        cmocka_unit_test(odd_size_is_padded_with_zeroes),
        cmocka_unit_test(a_file_that_shrinks_gives_an_io_error),
        cmocka_unit_test(snapshot_never_touches_the_file),
        cmocka_unit_test(two_writers_are_refused),
        cmocka_unit_test(bad_images_get_one_clear_line),
        cmocka_unit_test(many_requests_at_once_and_drain),
        cmocka_unit_test(a_cancelled_request_still_ends),
        cmocka_unit_test(cancelled_before_it_began_it_does_nothing),
        cmocka_unit_test(trying_gives_the_same_data_or_says_no),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
