/*
 * guise img compare: do two images read alike? Exit codes as qemu-img compare: 0 yes, 1 no, 2 cannot open, 3 cannot tell
 * what is allocated, 4 cannot read. Pieces are compared by several threads; the first difference is the one reported.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/img/img.h"
#include "frontend/img/job.h"

enum { SAME, DIFFERENT, NO_OPEN, NO_MAP, NO_READ };
enum { PIECE = 512 << 10, SECTOR = 512 };

struct side {
    struct image *img;
    const char *name;
    uint64_t size;
    struct image_extent x;
    uint64_t end; /* x holds up to here */
};

struct compare {
    struct side s[2];
    pthread_mutex_t lock; /* guards all below, and x and end above */
    uint64_t pos, size;   /* size: of the larger one */
    bool strict;
    int code;
    uint64_t where;    /* the lowest difference or error seen */
    bool allocation;   /* it is one of allocation (strict) */
    const char *which; /* NO_READ, NO_MAP: the image */
    int error;
};

static void found(struct compare *c, int code, uint64_t where, const char *which, int error)
{
    pthread_mutex_lock(&c->lock);
    if (where < c->where) {
        c->where = where;
        c->code = code;
        c->which = which;
        c->error = error;
        c->allocation = false;
    }
    pthread_mutex_unlock(&c->lock);
}

static int look(struct side *s, uint64_t pos, uint64_t size)
{
    int ret;

    if (pos < s->end)
        return 0;
    if (pos >= s->size) {
        s->x = (struct image_extent){.zero = true};
        s->end = size;
        return 0;
    }
    ret = img_extent(s->img, pos, s->size - pos, &s->x);
    s->end = pos + s->x.len;
    return ret;
}

static bool alike(const struct image_extent *a, const struct image_extent *b)
{
    return a->allocated == b->allocated && a->data == b->data && a->zero == b->zero;
}

/* The next piece that must be read; holds the lock. Zeroes on both sides are passed over. */
static bool next_piece(struct compare *c, struct job *j, uint64_t *pos, uint64_t *len)
{
    while (c->pos < c->size && c->pos < c->where) {
        uint64_t end = c->size;

        for (unsigned i = 0; i < 2; i++) {
            int ret = look(&c->s[i], c->pos, c->size);

            if (ret) {
                c->where = c->pos;
                c->code = NO_MAP;
                c->which = c->s[i].name;
                c->error = ret;
                return false;
            }
            end = c->s[i].end < end ? c->s[i].end : end;
        }
        if (c->strict && !alike(&c->s[0].x, &c->s[1].x)) {
            c->where = c->pos;
            c->code = DIFFERENT;
            c->allocation = true;
            return false;
        }
        *pos = c->pos;
        if (c->s[0].x.zero && c->s[1].x.zero) {
            job_step(j, end - c->pos);
            c->pos = end;
            continue;
        }
        *len = end - c->pos < PIECE ? end - c->pos : PIECE;
        c->pos += *len;
        return true;
    }
    return false;
}

/* The first sector that differs, as qemu-img names it. */
static uint64_t first_difference(const char *a, const char *b, uint64_t len)
{
    for (uint64_t off = 0; off < len; off += SECTOR)
        if (memcmp(a + off, b + off, len - off < SECTOR ? len - off : SECTOR))
            return off;
    return len;
}

static void compare_piece(struct compare *c, char *const buf[2], uint64_t pos, uint64_t len)
{
    for (unsigned i = 0; i < 2; i++) {
        int ret = img_read_padded(c->s[i].img, buf[i], pos, len);

        if (ret) {
            found(c, NO_READ, pos, c->s[i].name, ret);
            return;
        }
    }
    if (memcmp(buf[0], buf[1], len))
        found(c, DIFFERENT, pos + first_difference(buf[0], buf[1], len), NULL, 0);
}

static void work(struct job *j, void *arg)
{
    struct compare *c = arg;
    char *both = NULL;

    if (posix_memalign((void **)&both, 4096, 2 * PIECE)) {
        job_fail(j, "out of memory");
        return;
    }
    for (;;) {
        uint64_t pos, len;
        bool more;

        pthread_mutex_lock(&c->lock);
        more = !job_stopped(j) && next_piece(c, j, &pos, &len);
        pthread_mutex_unlock(&c->lock);
        if (!more)
            break;
        compare_piece(c, (char *const[]){both, both + PIECE}, pos, len);
        job_step(j, len);
    }
    free(both);
}

static int verdict(const struct img_args *a, const struct compare *c, struct err *e)
{
    uint64_t common = c->s[0].size < c->s[1].size ? c->s[0].size : c->s[1].size;

    if (!a->quiet && c->s[0].size != c->s[1].size && c->where >= common)
        puts("Warning: Image size mismatch!");
    switch (c->code) {
    case SAME:
        if (!a->quiet)
            puts("Images are identical.");
        break;
    case DIFFERENT:
        if (!a->quiet && c->allocation)
            printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", c->where);
        else if (!a->quiet)
            printf("Content mismatch at offset %" PRIu64 "!\n", c->where);
        break;
    case NO_MAP:
        err_set(e, "Error while checking block status at offset %" PRIu64 " of %s: %s", c->where, c->which,
                strerror(-c->error));
        break;
    default: err_set(e, "Error while reading offset %" PRIu64 " of %s: %s", c->where, c->which, strerror(-c->error));
    }
    return c->code;
}

static int compare_images(struct compare *c, struct img_args *a, struct err *e)
{
    struct job j;
    unsigned threads = job_threads(NULL, e);

    c->strict = a->strict;
    c->where = UINT64_MAX;
    c->size = c->s[0].size > c->s[1].size ? c->s[0].size : c->s[1].size;
    if (a->strict && c->s[0].size != c->s[1].size) {
        if (!a->quiet)
            puts("Strict mode: Image size mismatch!");
        return DIFFERENT;
    }
    pthread_mutex_init(&c->lock, NULL);
    job_init(&j, a, c->size);
    if (!job_run(&j, a, threads, work, c, e))
        c->code = NO_READ;
    else
        c->code = verdict(a, c, e);
    pthread_mutex_destroy(&c->lock);
    return c->code;
}

int img_cmd_compare(struct img_args *a, struct err *e)
{
    struct compare c = {.code = SAME};
    struct img_how how = {.cache = a->source_cache, .image_opts = a->image_opts};
    int code = NO_OPEN;

    if (a->files != 2)
        return err_set(e, "Expecting two image file names"), 1;
    for (unsigned i = 0; i < 2; i++) {
        how.format = i ? a->format2 : a->format;
        c.s[i].name = a->file[i];
        c.s[i].img = img_open_named(a, a->file[i], &how, e);
        if (!c.s[i].img)
            goto out;
        c.s[i].size = image_size(c.s[i].img);
    }
    code = compare_images(&c, a, e);
out:
    for (unsigned i = 0; i < 2; i++)
        image_close(c.s[i].img);
    return code;
}
