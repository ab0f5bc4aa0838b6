/* What a disk does besides moving data: errors, limits, holding, resizing, committing; on io_uring and on threads. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "images/block.h"
#include "tests/unit/check.h"
#include "tests/unit/fault_image.h"

enum { SIZE = 1 << 20 };

static char dir[64], path[96];

static void make_file(unsigned char fill)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    unsigned char *buf = malloc(SIZE);

    memset(buf, fill, SIZE);
    CHECK_EQ(write(fd, buf, SIZE), SIZE);
    close(fd);
    free(buf);
}

static void file_read(void *buf, size_t len, off_t off)
{
    int fd = open(path, O_RDONLY);

    CHECK_EQ(pread(fd, buf, len, off), len);
    close(fd);
}

static struct image *open_file(void)
{
    struct err e = {""};
    struct image *img = image_open(path, &(struct image_options){.format = "raw"}, &e);

    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

static struct block *open_disk(struct block_options o)
{
    struct err e = {""};
    struct block *b = block_open(&o, &e);

    if (!b)
        fail_msg("%s", e.msg);
    return b;
}

struct call {
    struct block_req r;
    struct iovec v;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int result;
};

static void on_done(struct block_req *r, int result)
{
    struct call *c = r->arg;

    pthread_mutex_lock(&c->lock);
    c->result = result;
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

static void start(struct call *c, struct block *b, enum block_op op, uint64_t off, void *buf, uint64_t len)
{
    *c = (struct call){.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .v = {buf, len}};
    c->r =
        (struct block_req){.op = op, .offset = off, .len = len, .iov = &c->v, .iovcnt = 1, .done = on_done, .arg = c};
    block_submit(b, &c->r);
}

static int finish(struct call *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->done)
        pthread_cond_wait(&c->cond, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return c->result;
}

static bool is_done(struct call *c)
{
    bool d;

    pthread_mutex_lock(&c->lock);
    d = c->done;
    pthread_mutex_unlock(&c->lock);
    return d;
}

static int run(struct block *b, enum block_op op, uint64_t off, void *buf, uint64_t len)
{
    struct call c;

    start(&c, b, op, off, buf, len);
    return finish(&c);
}

struct seen {
    pthread_mutex_t lock;
    struct block_error last;
    unsigned n;
};

static void on_error(void *arg, const struct block_error *err)
{
    struct seen *s = arg;

    pthread_mutex_lock(&s->lock);
    s->last = *err;
    s->n++;
    pthread_mutex_unlock(&s->lock);
}

static unsigned count(struct seen *s)
{
    unsigned n;

    pthread_mutex_lock(&s->lock);
    n = s->n;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void wait_for(struct seen *s, unsigned want)
{
    for (int i = 0; i < 2000 && count(s) < want; i++)
        usleep(1000);
    CHECK_EQ(count(s), want);
}

static void errors_are_reported_or_ignored(void **state)
{
    struct fault f = {.error = {[CALL_READ] = -EIO, [CALL_WRITE] = -ENOSPC, [CALL_FLUSH] = -EIO}};
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    uint8_t buf[512] = {0};
    struct block *b;
    struct block_stats s;

    (void)state;
    make_file(1);
    b = open_disk((struct block_options){.opened = fault_image(&f, open_file())});
    block_on_error(b, on_error, &seen);
    CHECK_EQ(run(b, BLOCK_READ, 0, buf, 512), -EIO);
    CHECK_EQ(run(b, BLOCK_WRITE, 1024, buf, 512), -ENOSPC);
    CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0), -EIO);
    CHECK_EQ(count(&seen), 3);
    CHECK(seen.last.op == BLOCK_FLUSH && seen.last.error == -EIO && seen.last.action == POLICY_REPORT);
    CHECK_EQ(run(b, BLOCK_READ, SIZE, buf, 512), -EINVAL); /* the guest's mistake is none of the host's */
    CHECK_EQ(count(&seen), 3);
    block_set_policy(b, POLICY_REPORT, POLICY_IGNORE);
    CHECK_EQ(run(b, BLOCK_WRITE, 1024, buf, 512), 0);
    CHECK_EQ(run(b, BLOCK_READ, 0, buf, 512), -EIO);
    block_get_stats(b, &s);
    CHECK(s.op[BLOCK_READ].errors == 3 && s.op[BLOCK_WRITE].errors == 2 && s.op[BLOCK_FLUSH].errors == 1);
    block_close(b);
}

static void a_full_disk_stops_and_goes_on(void **state)
{
    struct fault f = {.error = {[CALL_WRITE] = -ENOSPC, [CALL_READ] = -EIO}};
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct call c, d, g;
    uint8_t buf[512], disk[512];
    struct block_stats s;
    struct block *b;

    (void)state;
    make_file(1);
    memset(buf, 0x77, sizeof buf);
    b = open_disk((struct block_options){
        .opened = fault_image(&f, open_file()), .werror = POLICY_ENOSPC, .rerror = POLICY_ENOSPC});
    block_on_error(b, on_error, &seen);
    start(&c, b, BLOCK_WRITE, 4096, buf, 512);
    start(&d, b, BLOCK_WRITE, 8192, buf, 512);
    start(&g, b, BLOCK_WRITE, 12288, buf, 512);
    wait_for(&seen, 3);
    CHECK(seen.last.action == POLICY_STOP && seen.last.error == -ENOSPC);
    CHECK_EQ(run(b, BLOCK_READ, 0, disk, 512), -EIO); /* enospc: others are reported */
    block_drain(b);                                   /* does not wait for the kept ones */
    CHECK(!is_done(&c) && !is_done(&d) && !is_done(&g));
    block_get_stats(b, &s);
    CHECK(s.kept == 3 && s.in_flight == 0);
    block_resume(b); /* still full */
    wait_for(&seen, 7);
    CHECK(!is_done(&c) && !is_done(&d));
    CHECK(block_cancel(b, &g.r)); /* a reset takes it back */
    f.error[CALL_WRITE] = 0;
    block_resume(b);
    CHECK_EQ(finish(&c), 0);
    CHECK_EQ(finish(&d), 0);
    CHECK(!is_done(&g));
    file_read(disk, 512, 4096);
    CHECK(!memcmp(buf, disk, 512));
    file_read(disk, 512, 8192);
    CHECK(!memcmp(buf, disk, 512));
    f.error[CALL_WRITE] = -ENOSPC;
    start(&c, b, BLOCK_WRITE, 4096, buf, 512);
    wait_for(&seen, 8);
    block_close(b); /* nobody resumes it any more */
    CHECK_EQ(finish(&c), -ENOSPC);
}

static void a_limit_delays_and_a_drain_does_not_wait_for_it(void **state)
{
    enum { N = 20 };
    struct clock *clock = clock_new_fake();
    struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 10}}, got;
    struct call c[N];
    static uint8_t buf[N][512];
    struct block *b;
    struct block_stats s;
    int result, n = 0;

    (void)state;
    make_file(3);
    b = open_disk((struct block_options){.path = path, .limits = &l, .clock = clock});
    for (int i = 0; i < N; i++)
        start(&c[i], b, BLOCK_READ, 0, buf[i], 512);
    CHECK_EQ(finish(&c[0]), 0);
    CHECK_EQ(finish(&c[1]), 0);
    usleep(20000);
    CHECK(!is_done(&c[2]));
    CHECK(!block_try(b, &(struct block_req){.op = BLOCK_READ, .len = 512, .iov = &c[0].v, .iovcnt = 1}, &result));
    clock_advance(clock, NS_PER_SEC / 100 * 55); /* five more */
    for (int i = 2; i < 7; i++)
        CHECK_EQ(finish(&c[i]), 0);
    usleep(20000);
    for (int i = 0; i < N; i++)
        n += is_done(&c[i]);
    CHECK_EQ(n, 7);
    CHECK(block_cancel(b, &c[N - 1].r));
    block_get_limits(b, &got);
    CHECK_EQ(got.rate[LIMIT_IOPS].avg, 10);
    block_drain(b);
    CHECK(is_done(&c[N - 2]) && !is_done(&c[N - 1]));
    start(&c[0], b, BLOCK_READ, 0, buf[0], 512);
    usleep(10000);
    CHECK(!is_done(&c[0]));
    block_set_limits(b, NULL); /* live */
    CHECK_EQ(finish(&c[0]), 0);
    block_get_stats(b, &s);
    CHECK(s.throttled >= N - 2);
    block_close(b);
    clock_free(clock);
}

static void a_limit_by_the_hosts_clock(void **state)
{
    struct block_limits l = {.rate[LIMIT_BPS_WRITE] = {.avg = 1 << 20}};
    struct clock *clock = clock_new_real();
    static uint8_t buf[65536];
    struct call c[8];
    struct block *b;
    uint64_t t;

    (void)state;
    make_file(3);
    b = open_disk((struct block_options){.path = path, .limits = &l});
    t = clock_now(clock);
    for (int i = 0; i < 8; i++)
        start(&c[i], b, BLOCK_WRITE, 0, buf, sizeof buf);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(finish(&c[i]), 0);
    t = clock_now(clock) - t;
    CHECK(t > 250000000 && t < 5 * NS_PER_SEC); /* 512 KiB, of which 1/10 s and the last come at once */
    block_close(b);
    clock_free(clock);
}

static void while_held_nothing_begins(void **state)
{
    (void)state;
    for (int aio = AIO_THREADS; aio <= AIO_URING; aio++) {
        uint8_t buf[512];
        struct iovec v = {buf, 512};
        struct block_req r = {.op = BLOCK_READ, .len = 512, .iov = &v, .iovcnt = 1};
        struct call c, d;
        struct block *b;
        int result;

        make_file(3);
        b = open_disk((struct block_options){.path = path, .aio = (enum block_aio)aio});
        start(&c, b, BLOCK_READ, 0, buf, 512);
        block_hold(b);
        block_hold(b);
        start(&d, b, BLOCK_READ, 0, buf, 512);
        CHECK(!block_try(b, &r, &result));
        block_release(b);
        usleep(10000);
        CHECK(!is_done(&d));
        CHECK_EQ(image_pread(block_image(b), buf, 0, 512), 0);
        block_release(b);
        CHECK_EQ(finish(&c), 0);
        CHECK_EQ(finish(&d), 0);
        block_close(b);
    }
}

static uint64_t told;

static void on_resize(void *arg, uint64_t size)
{
    (void)arg;
    told = size;
}

static void resizing_is_told(void **state)
{
    struct block *b;
    struct block_info info;
    struct err e = {""};
    uint8_t buf[512];
    struct stat st;

    (void)state;
    make_file(3);
    b = open_disk((struct block_options){.path = path});
    block_on_resize(b, on_resize, NULL);
    CHECK_EQ(run(b, BLOCK_READ, SIZE, buf, 512), -EINVAL);
    CHECK(block_resize(b, 2 * SIZE, &e));
    CHECK_EQ(told, 2 * SIZE);
    CHECK_EQ(run(b, BLOCK_READ, SIZE, buf, 512), 0);
    CHECK_EQ(buf[0], 0);
    CHECK(!block_resize(b, SIZE, &e));
    CHECK(block_shrink(b, SIZE, &e));
    block_get_info(b, &info);
    CHECK_EQ(info.size, SIZE);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_size, SIZE);
    CHECK(!block_resize(b, SIZE + 100, &e));
    block_close(b);
    b = open_disk((struct block_options){.path = path, .read_only = true});
    CHECK(!block_resize(b, 2 * SIZE, &e));
    CHECK(strstr(e.msg, "read-only"));
    block_close(b);
}

static void a_snapshot_run_is_committed(void **state)
{
    struct block *b, *other;
    uint8_t buf[8192], disk[SIZE], want[SIZE];
    struct err e = {""};

    (void)state;
    make_file(3);
    memset(want, 3, SIZE);
    b = open_disk((struct block_options){.path = path, .snapshot = true});
    memset(buf, 8, sizeof buf);
    CHECK_EQ(run(b, BLOCK_WRITE, 512, buf, 8192), 0);
    memset(want + 512, 8, 8192);
    CHECK_EQ(run(b, BLOCK_WRITE_ZEROES, 65536, NULL, 65536), 0);
    memset(want + 65536, 0, 65536);
    other = open_disk((struct block_options){.path = path, .read_only = true});
    CHECK(!block_commit_overlay(b, &e)); /* others read it */
    CHECK(strstr(e.msg, "in use by test_block_poli"));
    block_close(other);
    file_read(disk, SIZE, 0);
    CHECK_EQ(disk[512], 3);
    CHECK(block_commit_overlay(b, &e));
    file_read(disk, SIZE, 0);
    CHECK(!memcmp(disk, want, SIZE));
    memset(buf, 9, sizeof buf);
    CHECK_EQ(run(b, BLOCK_WRITE, 512, buf, 512), 0); /* and goes on as before */
    CHECK_EQ(run(b, BLOCK_READ, 1024, buf, 512), 0);
    CHECK_EQ(buf[0], 8);
    block_close(b);
    file_read(disk, SIZE, 0);
    CHECK(!memcmp(disk, want, SIZE));
    b = open_disk((struct block_options){.path = path});
    CHECK(!block_commit_overlay(b, &e));
    block_close(b);
}

static void zeroes_are_detected(void **state)
{
    struct block *b;
    struct block_stats s;
    struct stat st;
    static uint8_t buf[65536], disk[65536];

    (void)state;
    make_file(3);
    b = open_disk((struct block_options){.path = path, .detect_zeroes = ZEROES_UNMAP});
    CHECK_EQ(run(b, BLOCK_WRITE, 0, buf, sizeof buf), 0);
    buf[65535] = 1;
    CHECK_EQ(run(b, BLOCK_WRITE, 65536, buf, sizeof buf), 0);
    block_get_stats(b, &s);
    CHECK_EQ(s.zeroes_detected, 1);
    block_close(b);
    CHECK_EQ(stat(path, &st), 0);
    CHECK(st.st_blocks <= (SIZE - 65536) / 512 + 8);
    file_read(disk, 65536, 0);
    CHECK(!disk[0] && !disk[65535]);
    file_read(disk, 65536, 65536);
    CHECK(!disk[0] && disk[65535] == 1);
}

static void both_engines_give_the_same(void **state)
{
    enum { N = 96, ROUNDS = 8 };
    static uint8_t data[N][4096];
    static struct call c[N];

    (void)state;
    for (int direct = 0; direct < 2; direct++)
        for (int aio = AIO_THREADS; aio <= AIO_URING; aio++) {
            static uint8_t disk[SIZE], want[SIZE];
            unsigned seed = 7;
            struct block *b;
            struct block_stats s;

            make_file(3);
            memset(want, 3, SIZE);
            b = open_disk((struct block_options){.path = path, .aio = (enum block_aio)aio, .direct = direct});
            for (int round = 0; round < ROUNDS; round++) {
                for (int i = 0; i < N; i++) { /* disjoint places: 96 of 10 KiB, at odd sectors */
                    uint64_t off = (uint64_t)i * 10240 + (uint64_t)(rand_r(&seed) % 4) * 512;
                    uint64_t len = (uint64_t)(rand_r(&seed) % 8 + 1) * 512;
                    bool write = rand_r(&seed) % 2;

                    memset(data[i], write ? round * N + i : 0, sizeof data[i]);
                    if (write)
                        memset(want + off, (uint8_t)(round * N + i), len);
                    start(&c[i], b, write ? BLOCK_WRITE : BLOCK_READ, off, data[i], len);
                }
                for (int i = 0; i < N; i++) {
                    CHECK_EQ(finish(&c[i]), 0);
                    CHECK(!memcmp(data[i], want + c[i].r.offset, c[i].r.len));
                }
            }
            CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0), 0);
            block_get_stats(b, &s);
            if (aio == AIO_THREADS)
                CHECK(!s.uring && !s.by_uring);
            CHECK(!s.uring || s.by_uring > 0);
            CHECK_EQ(s.op[BLOCK_READ].count + s.op[BLOCK_WRITE].count, N * ROUNDS);
            block_close(b);
            file_read(disk, SIZE, 0);
            CHECK(!memcmp(disk, want, SIZE));
        }
}

enum { SUBMITTERS = 4, EACH = 400 };

struct submitter {
    struct block *b;
    unsigned number;
    bool wrong;
};

/* Each has a quarter of the disk: what it wrote last in a sector it reads back. */
static void *submitter(void *arg)
{
    enum { SECTORS = SIZE / 512 / SUBMITTERS };
    struct submitter *s = arg;
    uint8_t want[SECTORS], buf[512];
    unsigned seed = s->number;

    memset(want, 3, sizeof want);
    for (int i = 0; i < EACH; i++) {
        unsigned k = (unsigned)rand_r(&seed) % SECTORS;
        uint64_t off = ((uint64_t)s->number * SECTORS + k) * 512;
        bool write = rand_r(&seed) % 2;

        memset(buf, i, sizeof buf);
        if (run(s->b, write ? BLOCK_WRITE : BLOCK_READ, off, buf, 512))
            s->wrong = true;
        if (write)
            want[k] = (uint8_t)i;
        else if (buf[0] != want[k] || buf[511] != want[k])
            s->wrong = true;
    }
    return NULL;
}

static void many_submit_while_others_hold_and_drain(void **state)
{
    (void)state;
    for (int aio = AIO_THREADS; aio <= AIO_URING; aio++) {
        struct block_limits l = {.rate[LIMIT_IOPS] = {.avg = 100000}};
        struct submitter s[SUBMITTERS];
        pthread_t t[SUBMITTERS];
        struct block_stats st;
        struct block *b;

        make_file(3);
        b = open_disk((struct block_options){.path = path, .aio = (enum block_aio)aio});
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            s[i] = (struct submitter){b, i, false};
            CHECK_EQ(pthread_create(&t[i], NULL, submitter, &s[i]), 0);
        }
        for (int i = 0; i < 30; i++) {
            uint8_t buf[512];

            block_hold(b);
            CHECK_EQ(image_pread(block_image(b), buf, 0, 512), 0);
            block_release(b);
            block_set_limits(b, i % 2 ? &l : NULL);
            block_get_stats(b, &st);
            CHECK(st.in_flight <= 2 * SUBMITTERS); /* `done` lets one submit before the last is over */
            usleep(500);
        }
        for (unsigned i = 0; i < SUBMITTERS; i++) {
            CHECK_EQ(pthread_join(t[i], NULL), 0);
            CHECK(!s[i].wrong);
        }
        block_drain(b);
        block_get_stats(b, &st);
        CHECK_EQ(st.op[BLOCK_READ].count + st.op[BLOCK_WRITE].count, SUBMITTERS * EACH);
        block_close(b);
    }
}

static void a_file_that_shrinks_is_an_error_on_io_uring_too(void **state)
{
    uint8_t buf[1024];
    struct block *b;

    (void)state;
    make_file(3);
    b = open_disk((struct block_options){.path = path, .aio = AIO_URING});
    CHECK_EQ(truncate(path, 4096 + 512), 0);
    CHECK_EQ(run(b, BLOCK_READ, 4096, buf, 1024), -EIO);
    CHECK_EQ(run(b, BLOCK_READ, 3584, buf, 1024), 0);
    block_close(b);
}

static void cache_modes_have_qemus_names(void **state)
{
    struct block_options o = {0};

    (void)state;
    CHECK(block_cache_mode(&o, "directsync") && o.direct && o.writethrough && !o.ignore_flush);
    CHECK(block_cache_mode(&o, "unsafe") && !o.direct && !o.writethrough && o.ignore_flush);
    CHECK(block_cache_mode(&o, "none") && o.direct && !o.writethrough && !o.ignore_flush);
    CHECK(!block_cache_mode(&o, "fast"));
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/var/tmp/guise-policy-XXXXXX");
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
        cmocka_unit_test(errors_are_reported_or_ignored),
        cmocka_unit_test(a_full_disk_stops_and_goes_on),
        cmocka_unit_test(a_limit_delays_and_a_drain_does_not_wait_for_it),
        cmocka_unit_test(a_limit_by_the_hosts_clock),
        cmocka_unit_test(while_held_nothing_begins),
        cmocka_unit_test(resizing_is_told),
        cmocka_unit_test(a_snapshot_run_is_committed),
        cmocka_unit_test(zeroes_are_detected),
        cmocka_unit_test(both_engines_give_the_same),
        cmocka_unit_test(many_submit_while_others_hold_and_drain),
        cmocka_unit_test(a_file_that_shrinks_is_an_error_on_io_uring_too),
        cmocka_unit_test(cache_modes_have_qemus_names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
