/*
 * Copying: see copy.h.
 *
 * Pieces are small enough that the bytes read are still in the core's cache when they are searched for zeroes and
 * written, and are whole clusters of the target, so that no write of one thread meets a cluster of another.
 */
#include "frontend/img/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

enum { PIECE = 512 << 10, ZERO_PIECE = 1 << 30, UNIT_MIN = 4096, UNIT_MAX = 2 << 20 };

enum what { SKIP, ZERO, DATA };

struct copier {
    const struct copy *c;
    pthread_mutex_t lock; /* guards the next two */
    uint64_t pos;         /* where the next piece begins, a multiple of unit */
    struct {
        uint64_t start, end; /* what lies there is alike */
        enum what what;
    } extent;
    uint64_t unit;  /* the target's cluster, or the host's page */
    uint64_t piece; /* bytes of data taken at a time, a multiple of unit */
};

/* --- the joined sources --- */

/* The source that holds byte `pos` of all, and where in it; NULL: beyond the last. */
static struct image *source_at(const struct copy *c, uint64_t pos, uint64_t *off, uint64_t *left)
{
    for (unsigned i = 0; i < c->sources; i++) {
        uint64_t size = image_size(c->source[i]);

        if (pos < size) {
            *off = pos;
            *left = size - pos;
            return c->source[i];
        }
        pos -= size;
    }
    return NULL;
}

static int read_sources(const struct copy *c, char *buf, uint64_t pos, uint64_t len)
{
    while (len) {
        uint64_t off = 0, left = len;
        struct image *img = source_at(c, pos, &off, &left);
        uint64_t step = left < len ? left : len;
        int ret = img ? image_pread(img, buf, off, step) : 0;

        if (!img)
            memset(buf, 0, step);
        if (ret)
            return ret;
        buf += step;
        pos += step;
        len -= step;
    }
    return 0;
}

static enum what classify(const struct copy *c, const struct image_extent *x)
{
    if (c->top_only && x->depth > 0)
        return SKIP;
    if (c->top_only && !x->allocated)
        return SKIP;
    return x->zero ? ZERO : DATA;
}

/* --- the next piece --- */

/* Learn what is at pos (relative to the start of the copy). */
static int look(struct copier *k, uint64_t pos)
{
    const struct copy *c = k->c;
    uint64_t off = 0, left = c->size - pos, len;
    struct image *img;
    struct image_extent x;
    int ret;

    if (k->extent.start <= pos && pos < k->extent.end)
        return 0;
    img = source_at(c, c->start + pos, &off, &left);
    len = left < c->size - pos ? left : c->size - pos;
    k->extent.start = pos;
    if (!img || (c->wanted && !c->wanted(c->wanted_arg, pos, &len))) {
        k->extent.what = img ? SKIP : ZERO;
        k->extent.end = pos + len;
        return 0;
    }
    ret = img_extent(img, off, len, &x);
    if (ret)
        return ret;
    k->extent.what = classify(c, &x);
    k->extent.end = pos + x.len;
    return 0;
}

/*
 * What [pos, *end) is, *end being a multiple of unit (or the end of all). A unit of which parts are of different kinds
 * is data: what the sources read as is right for all of it.
 */
static int look_units(struct copier *k, uint64_t pos, uint64_t *end, enum what *what)
{
    uint64_t size = k->c->size, stop = pos + k->unit < size ? pos + k->unit : size;
    int ret = look(k, pos);

    *what = k->extent.what;
    *end = k->extent.end == size ? size : align_down(k->extent.end, k->unit);
    if (ret || k->extent.end >= stop)
        return ret;
    for (uint64_t p = k->extent.end; !ret && p < stop; p = k->extent.end) {
        ret = look(k, p);
        if (k->extent.what != *what)
            *what = DATA;
    }
    *end = stop;
    return ret;
}

static bool next_piece(struct copier *k, struct job *j, uint64_t *pos, uint64_t *len, enum what *what)
{
    uint64_t size = k->c->size, end, limit;
    int ret = 0;

    pthread_mutex_lock(&k->lock);
    *pos = end = k->pos;
    if (end < size) {
        ret = look_units(k, *pos, &end, what);
        limit = *pos + (*what == DATA || (*what == ZERO && !k->c->sparse) ? k->piece : ZERO_PIECE);
        while (!ret && end < limit && end < size) {
            uint64_t further;
            enum what next;

            ret = look_units(k, end, &further, &next);
            if (next != *what)
                break;
            end = further;
        }
        end = end < limit ? end : limit < size ? limit : size;
    }
    k->pos = end;
    pthread_mutex_unlock(&k->lock);
    if (ret)
        job_fail(j, "error while reading block status at offset %" PRIu64 ": %s", *pos, strerror(-ret));
    *len = end - *pos;
    return *len && !job_stopped(j);
}

/* --- a piece of data --- */

/* Sector by sector, zeroes for those that cannot be read. */
static void salvage(const struct copy *c, char *buf, uint64_t pos, uint64_t len)
{
    for (uint64_t done = 0; done < len; done += 512) {
        uint64_t step = len - done < 512 ? len - done : 512;
        int ret = read_sources(c, buf + done, c->start + pos + done, step);

        if (!ret)
            continue;
        fprintf(stderr, "warning: error while reading offset %" PRIu64 ": %s\n", pos + done, strerror(-ret));
        memset(buf + done, 0, step);
    }
}

/* Let the host's file system copy or share the blocks. False: nothing that counts was done. */
static bool offload(const struct copy *c, uint64_t pos, uint64_t len)
{
    struct image *to = c->target, *from;
    uint64_t off, left, from_off, to_off, done = 0;
    int from_fd, to_fd;

    from = source_at(c, c->start + pos, &off, &left);
    if (!from || left < len || !from->ops->direct_begin || !to->ops->direct_begin ||
        from->ops->direct_begin(from, off, len, false, &from_fd, &from_off))
        return false;
    if (!to->ops->direct_begin(to, pos, len, true, &to_fd, &to_off)) {
        while (done < len) {
            off_t in = (off_t)(from_off + done), out = (off_t)(to_off + done);
            ssize_t n = copy_file_range(from_fd, &in, to_fd, &out, len - done, 0);

            if (n <= 0 && !(n < 0 && errno == EINTR))
                break;
            done += n > 0 ? (uint64_t)n : 0;
        }
        to->ops->direct_end(to, pos, len, true);
    }
    from->ops->direct_end(from, off, len, false);
    return done == len;
}

static int write_cluster(const struct copy *c, const char *buf, uint64_t pos, uint64_t len)
{
    int ret = c->compress ? c->target->ops->write_compressed(c->target, buf, pos, len) : -EOPNOTSUPP;

    return ret == -EOPNOTSUPP ? image_pwrite(c->target, buf, pos, len, 0) : ret;
}

/* Runs of data are written, runs of zeroes made or left; both are whole units but for the last. */
static int write_runs(const struct copier *k, const char *buf, uint64_t pos, uint64_t len)
{
    const struct copy *c = k->c;
    int ret = 0;

    for (uint64_t done = 0, run; done < len && !ret; done += run) {
        uint64_t unit = k->unit;
        bool zero;

        run = len - done < unit ? len - done : unit;
        zero = c->sparse && buffer_is_zero(buf + done, run);
        while (done + run < len && !(c->compress && !zero)) {
            uint64_t next = len - done - run < unit ? len - done - run : unit;

            if ((c->sparse && buffer_is_zero(buf + done + run, next)) != zero)
                break;
            run += next;
        }
        if (!zero)
            ret = write_cluster(c, buf + done, pos + done, run);
        else if (!c->target_zero)
            ret = img_zero(c->target, pos + done, run, IMAGE_UNMAP);
    }
    return ret;
}

static void copy_data(const struct copier *k, struct job *j, char *buf, uint64_t pos, uint64_t len)
{
    const struct copy *c = k->c;
    int ret;

    if (c->copy_range && !c->compress && offload(c, pos, len))
        return;
    ret = read_sources(c, buf, c->start + pos, len);
    if (ret && c->salvage) {
        salvage(c, buf, pos, len);
    } else if (ret) {
        job_fail(j, "error while reading at byte %" PRIu64 ": %s", c->start + pos, strerror(-ret));
        return;
    }
    ret = write_runs(k, buf, pos, len);
    if (ret)
        job_fail(j, "error while writing at byte %" PRIu64 ": %s", pos, strerror(-ret));
}

static void copy_zeroes(const struct copier *k, struct job *j, char *buf, uint64_t pos, uint64_t len)
{
    int ret = 0;

    if (!k->c->sparse) {
        memset(buf, 0, len);
        ret = image_pwrite(k->c->target, buf, pos, len, 0);
    } else if (!k->c->target_zero) {
        ret = img_zero(k->c->target, pos, len, IMAGE_UNMAP);
    }
    if (ret)
        job_fail(j, "error while writing zeroes at byte %" PRIu64 ": %s", pos, strerror(-ret));
}

static void work(struct job *j, void *arg)
{
    struct copier *k = arg;
    uint64_t pos, len;
    enum what what;
    char *buf = NULL;

    if (posix_memalign((void **)&buf, 4096, k->piece)) {
        job_fail(j, "out of memory");
        return;
    }
    while (next_piece(k, j, &pos, &len, &what)) {
        if (what == DATA)
            copy_data(k, j, buf, pos, len);
        else if (what == ZERO)
            copy_zeroes(k, j, buf, pos, len);
        job_step(j, len);
    }
    free(buf);
}

/* A cluster that is no power of two, or is larger than what a thread should hold, is filled in parts. */
static uint64_t unit_of(const struct copy *c)
{
    uint32_t cluster = c->target->cluster;

    if (c->compress)
        return cluster;
    if (cluster && is_pow2(cluster) && cluster <= UNIT_MAX)
        return cluster > UNIT_MIN ? cluster : UNIT_MIN;
    return c->sparse > UNIT_MIN && is_pow2(c->sparse) && c->sparse <= UNIT_MAX ? c->sparse : UNIT_MIN;
}

bool copy_run(struct copy *c, struct img_args *a, struct err *e)
{
    struct copier k = {.c = c, .unit = unit_of(c)};
    struct job j;
    bool ok;

    if (!k.unit || !is_pow2(k.unit))
        return err_set(e, "Compression not supported for this file format");
    k.piece = k.unit > PIECE ? k.unit : PIECE;
    pthread_mutex_init(&k.lock, NULL);
    job_init(&j, a, c->size);
    j.rate = c->rate;
    ok = job_run(&j, a, c->threads, work, &k, e);
    pthread_mutex_destroy(&k.lock);
    return ok;
}
