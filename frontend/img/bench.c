/*
 * guise img bench: the time that many reads or writes of an image take, with qemu-img bench's options and output.
 *
 * The image's interface is synchronous: requests in flight are threads. Where the host's page cache answers, more threads
 * than cores only take turns, so there are as many only with O_DIRECT (-t none), where each waits for the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/img/img.h"
#include "frontend/img/job.h"

enum { DIRECT_THREADS = 16 };

struct bench {
    struct image *img;
    uint64_t count, depth, offset, size, step, pattern, flush_interval;
    uint64_t wrap; /* offsets are modulo this */
    uint64_t next; /* request; atomic */
    bool write, fua, no_drain;
    pthread_rwlock_t drained; /* held for reading by a request in flight, for writing by a flush that waits for them */
};

static bool parse(const struct img_args *a, struct bench *b, struct err *e)
{
    b->count = 75000;
    b->depth = 64;
    b->size = 4096;
    if ((a->count && !img_parse_count(a->count, "request count", 1, INT32_MAX, &b->count, e)) ||
        (a->depth && !img_parse_count(a->depth, "queue depth", 1, INT32_MAX, &b->depth, e)) ||
        (a->offset && !img_parse_size(a->offset, "offset", &b->offset, e)) ||
        (a->buffer && !img_parse_size(a->buffer, "buffer size", &b->size, e)) ||
        (a->step && !img_parse_size(a->step, "step size", &b->step, e)) ||
        (a->pattern && !img_parse_count(a->pattern, "pattern byte", 0, 255, &b->pattern, e)) ||
        (a->flush_interval &&
         !img_parse_count(a->flush_interval, "flush interval", 0, INT32_MAX, &b->flush_interval, e)))
        return false;
    if (!b->size || b->size > 1 << 30)
        return err_set(e, "Invalid buffer size specified. Must be between 1 and %d.", 1 << 30);
    if (a->aio && strcmp(a->aio, "threads") && strcmp(a->aio, "native") && strcmp(a->aio, "io_uring"))
        return err_set(e, "Invalid aio option: %s", a->aio);
    if (!a->write && b->flush_interval)
        return err_set(e, "--flush-interval is only available in write tests");
    if (b->flush_interval && b->flush_interval < b->depth)
        return err_set(e, "Flush interval can't be smaller than depth");
    b->step = b->step ? b->step : b->size;
    b->write = a->write;
    b->no_drain = a->no_drain;
    return true;
}

static uint64_t offset_of(const struct bench *b, uint64_t n)
{
    if (!n)
        return b->offset;
    return (uint64_t)(((unsigned __int128)n * b->step + b->offset) % b->wrap);
}

static int request(struct bench *b, char *buf, uint64_t n)
{
    uint64_t off = offset_of(b, n), size = image_size(b->img);

    if (off > size || b->size > size - off)
        return -EIO;
    if (b->write)
        return image_pwrite(b->img, buf, off, b->size, b->fua ? IMAGE_FUA : 0);
    return image_pread(b->img, buf, off, b->size);
}

/* After every flush_interval requests; the one that makes the number full does it. */
static int request_and_flush(struct bench *b, char *buf, uint64_t n)
{
    int ret;

    pthread_rwlock_rdlock(&b->drained);
    ret = request(b, buf, n);
    pthread_rwlock_unlock(&b->drained);
    if (ret || (n + 1) % b->flush_interval)
        return ret;
    if (!b->no_drain)
        pthread_rwlock_wrlock(&b->drained);
    ret = b->img->ops->flush(b->img);
    if (!b->no_drain)
        pthread_rwlock_unlock(&b->drained);
    return ret;
}

static void work(struct job *j, void *arg)
{
    struct bench *b = arg;
    char *buf;

    if (posix_memalign((void **)&buf, 4096, align_up(b->size, 4096))) {
        job_fail(j, "out of memory");
        return;
    }
    memset(buf, (int)b->pattern, b->size);
    while (!job_stopped(j)) {
        uint64_t n = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);
        int ret;

        if (n >= b->count)
            break;
        ret = b->flush_interval ? request_and_flush(b, buf, n) : request(b, buf, n);
        if (ret)
            job_fail(j, "Failed request: %s", strerror(-ret));
        if (!(n & 255))
            __atomic_fetch_add(&j->done, 256, __ATOMIC_RELAXED);
    }
    free(buf);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run(struct img_args *a, struct bench *b, bool direct, struct err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = direct ? DIRECT_THREADS : cores > 0 && cores < 16 ? (unsigned)cores : 16;
    uint64_t size = image_size(b->img);
    struct job j;
    double start;

    b->wrap = size > b->size ? size - b->size : 1;
    if (!a->quiet) {
        printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
               " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
               b->count, b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
        if (b->flush_interval)
            printf("Sending flush every %" PRIu64 " %srequests\n", b->flush_interval,
                   b->no_drain ? "non-draining " : "");
    }
    fflush(stdout);
    job_init(&j, a, b->count);
    j.percent = false;
    start = seconds();
    if (!job_run(&j, a, b->depth < threads ? (unsigned)b->depth : threads, work, b, e))
        return false;
    start = seconds() - start;
    if (!a->quiet)
        printf("Run completed in %3.3f seconds.\n%.1f MiB/s, %.0f requests/s\n", start,
               (double)(b->count * b->size) / start / 0x1p20, (double)b->count / start);
    return true;
}

int img_cmd_bench(struct img_args *a, struct err *e)
{
    struct bench b = {0};
    struct img_how how = {.format = a->format, .cache = a->cache, .image_opts = a->image_opts, .write = a->write};
    bool direct = false, no_flush = false, ok;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    if (!parse(a, &b, e) || (a->cache && !img_parse_cache(a->cache, &direct, &b.fua, &no_flush, e)))
        return 1;
    b.img = img_open_named(a, a->file[0], &how, e);
    if (!b.img)
        return 1;
    pthread_rwlock_init(&b.drained, NULL);
    ok = run(a, &b, direct, e);
    pthread_rwlock_destroy(&b.drained);
    image_close(b.img);
    return ok ? 0 : 1;
}
