/* The mirror's reads and writes. mirror.h says what is kept where, and why. */
#include "images/mirror.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/mirror_int.h"

void mirror_say(struct mirror *m, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int n = snprintf(line, sizeof line, "mirror '%.200s': ", m->img->path);

    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    if (m->notice)
        m->notice(m->notice_arg, line);
    else
        fprintf(stderr, "guise: %s\n", line);
}

/* --- members ----------------------------------------------------------------------------------------------------- */

unsigned mirror_in_step(const struct mirror *m)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->m.n; i++)
        n += m->state[i] == MIRROR_IN_STEP;
    return n;
}

int mirror_first_in_step(struct mirror *m)
{
    for (unsigned i = 0; i < m->m.n; i++)
        if (m->state[i] == MIRROR_IN_STEP)
            return (int)i;
    return -1;
}

void mirror_fail(struct mirror *m, unsigned i, int error)
{
    pthread_mutex_lock(&m->lock);
    if (m->state[i] == MIRROR_ABSENT || m->read_only || (m->state[i] == MIRROR_IN_STEP && mirror_in_step(m) == 1)) {
        pthread_mutex_unlock(&m->lock);
        return;
    }
    m->state[i] = MIRROR_ABSENT;
    m->since[i] = m->generation + 1;
    mirror_write_records(m);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    mirror_say(m, "member '%s' failed (%s) and is left out; the disk goes on without it", m->m.spec[i],
               strerror(-error));
}

void mirror_leave(struct mirror *m, unsigned i)
{
    pthread_mutex_lock(&m->lock);
    if (!--m->busy[i])
        pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static uint64_t distance(uint64_t a, uint64_t b) { return a < b ? b - a : a - b; }

/* The member to read from: in step, not in `tried`, least busy, then nearest. It is busy now. -1: none. */
static int choose(struct mirror *m, uint64_t off, uint64_t len, unsigned tried)
{
    int best = -1;

    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->m.n; i++) {
        if (m->state[i] != MIRROR_IN_STEP || tried >> i & 1)
            continue;
        if (best < 0 || m->busy[i] < m->busy[best] ||
            (m->busy[i] == m->busy[best] && distance(m->place[i], off) < distance(m->place[best], off)))
            best = (int)i;
        if (!m->alike && !tried) /* until the copies are alike all read from one */
            break;
    }
    if (best >= 0) {
        m->busy[best]++;
        m->place[best] = off + len;
    }
    pthread_mutex_unlock(&m->lock);
    return best;
}

void mirror_lock_range(struct mirror *m, struct mirror_range *r, uint64_t off, uint64_t len)
{
    struct mirror_range *p;

    *r = (struct mirror_range){off, off + len, NULL};
    pthread_mutex_lock(&m->lock);
    do {
        for (p = m->ranges; p && (p->off >= r->end || r->off >= p->end); p = p->next)
            continue;
        if (p)
            pthread_cond_wait(&m->changed, &m->lock);
    } while (p);
    r->next = m->ranges;
    m->ranges = r;
    pthread_mutex_unlock(&m->lock);
}

void mirror_unlock_range(struct mirror *m, struct mirror_range *r)
{
    struct mirror_range **p = &m->ranges;

    pthread_mutex_lock(&m->lock);
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

/* --- reads ------------------------------------------------------------------------------------------------------- */

/* Another copy was good: give it to the members that could not read it, which is what mends a bad sector. */
static void mend(struct mirror *m, unsigned bad, const struct iovec *iov, unsigned n, uint64_t off, int error)
{
    uint64_t len = iov_total(iov, n);
    void *buf = malloc(len);
    struct mirror_range r;
    int from, ret = -ENOMEM;

    if (m->read_only || !buf) {
        free(buf);
        return;
    }
    mirror_lock_range(m, &r, off, len);
    from = choose(m, off, len, bad);
    if (from >= 0) {
        ret = image_pread(m->m.img[from], buf, off, len); /* again: it may have been written since */
        mirror_leave(m, (unsigned)from);
    }
    for (unsigned i = 0; i < m->m.n; i++)
        if (bad >> i & 1) {
            int put = ret ? ret : image_pwrite(m->m.img[i], buf, off, len, 0);

            if (put)
                mirror_fail(m, i, error);
            else
                mirror_say(m, "member '%s' could not read at %llu (%s) and was written anew there", m->m.spec[i],
                           (unsigned long long)off, strerror(-error));
        }
    mirror_unlock_range(m, &r);
    free(buf);
}

static int mirror_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct mirror *m = img->priv;
    unsigned bad = 0;
    int ret = -EIO, error = 0;

    for (;;) {
        int i = choose(m, off, iov_total(iov, n), bad);

        if (i < 0)
            return ret;
        ret = m->m.img[i]->ops->readv(m->m.img[i], iov, n, off, flags);
        mirror_leave(m, (unsigned)i);
        if (!ret || (ret == -EAGAIN && flags & IMAGE_NOWAIT))
            break;
        bad |= 1u << i;
        error = ret;
    }
    if (!ret && bad)
        mend(m, bad, iov, n, off, error);
    return ret;
}

/* --- writes ------------------------------------------------------------------------------------------------------ */

struct change {
    const struct iovec *iov; /* NULL: zeroes */
    unsigned n, flags;
    uint64_t off, len;
};

static int change_member(struct image *member, const struct change *c)
{
    if (!c->iov)
        return member->ops->write_zeroes(member, c->off, c->len, c->flags);
    return member->ops->writev(member, c->iov, c->n, c->off, c->flags);
}

/* On all members that are not absent. Who fails while another succeeds is left out before this returns. */
static int on_all(struct mirror *m, int (*fn)(struct image *member, const struct change *c), const struct change *c)
{
    int result[MEMBERS_MAX] = {0}, error = -EIO;
    unsigned called = 0, good = 0;

    for (unsigned i = 0; i < m->m.n; i++) {
        bool step, use;

        pthread_mutex_lock(&m->lock);
        step = m->state[i] == MIRROR_IN_STEP;
        use = m->state[i] != MIRROR_ABSENT;
        m->busy[i] += use;
        pthread_mutex_unlock(&m->lock);
        if (!use)
            continue;
        result[i] = fn(m->m.img[i], c);
        called |= 1u << i;
        good += !result[i] && step;
        if (result[i])
            error = result[i];
        mirror_leave(m, i);
    }
    for (unsigned i = 0; good && i < m->m.n; i++)
        if (called >> i & 1 && result[i])
            mirror_fail(m, i, result[i]);
    return good ? 0 : error;
}

/* A write that failed on all members may be in a part of them: read from one only, until a flush finds room to heal. */
static void torn(struct mirror *m, uint64_t off, uint64_t len)
{
    int first;

    pthread_mutex_lock(&m->lock);
    first = mirror_first_in_step(m);
    m->alike = false;
    for (unsigned i = 0; i < m->m.n; i++)
        for (uint64_t n = off / m->region; (int)i != first && n <= (off + len - 1) / m->region; n++)
            m->todo[i][n >> 3] |= (uint8_t)(1 << (n & 7));
    pthread_mutex_unlock(&m->lock);
}

static int mirror_change(struct mirror *m, const struct change *c)
{
    struct mirror_range r;
    int ret;

    mirror_lock_range(m, &r, c->off, c->len);
    ret = mirror_mark(m, c->off, c->len);
    if (!ret) {
        ret = on_all(m, change_member, c);
        if (ret)
            torn(m, c->off, c->len);
    }
    mirror_unmark(m, c->off, c->len);
    mirror_unlock_range(m, &r);
    return ret;
}

static int mirror_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct change c = {iov, n, flags, off, iov_total(iov, n)};

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    return c.len ? mirror_change(img->priv, &c) : 0;
}

static int mirror_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct change c = {NULL, 0, flags, off, len};

    return len ? mirror_change(img->priv, &c) : 0;
}

/* Zeroes, as what a discard leaves may differ from member to member. */
static int mirror_discard(struct image *img, uint64_t off, uint64_t len)
{
    return mirror_write_zeroes(img, off, len, IMAGE_UNMAP);
}

static int flush_member(struct image *member, const struct change *c)
{
    (void)c;
    return member->ops->flush(member);
}

int mirror_flush_all(struct mirror *m) { return m->read_only ? 0 : on_all(m, flush_member, NULL); }

static int mirror_flush(struct image *img)
{
    struct mirror *m = img->priv;
    int ret = mirror_flush_all(m);

    if (ret || m->read_only)
        return ret;
    mirror_sweep(m, false);
    pthread_mutex_lock(&m->lock);
    if (!m->alike && !m->copying)
        mirror_start_copier(m);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int mirror_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct mirror *m = img->priv;
    int i = choose(m, m->place[0], 0, 0), ret = -EIO;

    if (i >= 0) {
        ret = image_map(m->m.img[i], off, len, x);
        mirror_leave(m, (unsigned)i);
    }
    x->allocated = true;
    x->has_offset = x->compressed = false;
    return ret;
}

/* --- opening, telling -------------------------------------------------------------------------------------------- */

static struct mirror *find(struct image *img)
{
    for (; img; img = img->file ? img->file : img->backing)
        if (img->ops == &image_mirror)
            return img->priv;
    return NULL;
}

bool mirror_get_status(struct image *img, struct mirror_status *s)
{
    struct mirror *m = find(img);

    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    *s = (struct mirror_status){.n = m->m.n, .generation = m->generation};
    for (unsigned i = 0; i < m->m.n; i++) {
        s->member[i].name = m->m.spec[i];
        s->member[i].state = m->state[i];
    }
    for (unsigned i = 0; i < MIRROR_REGIONS; i++)
        s->dirty_bytes += (m->bitmap[i >> 3] >> (i & 7) & 1) * m->region;
    if (m->copying) {
        s->rebuilt = m->copied;
        s->to_rebuild = m->to_copy;
    }
    pthread_mutex_unlock(&m->lock);
    return true;
}

static json_t *mirror_details(struct image *img)
{
    static const char *const states[] = {"absent", "in step", "rebuilding"};
    struct mirror_status s;
    json_t *list = json_array();

    mirror_get_status(img, &s);
    for (unsigned i = 0; i < s.n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "member", s.member[i].name, "state", states[s.member[i].state]));
    return json_pack("{s:s, s:{s:I, s:I, s:I, s:I, s:o}}", "type", "mirror", "data", "generation",
                     (json_int_t)s.generation, "dirty-bytes", (json_int_t)s.dirty_bytes, "rebuilt",
                     (json_int_t)s.rebuilt, "to-rebuild", (json_int_t)s.to_rebuild, "members", list);
}

static void mirror_free(struct mirror *m)
{
    members_close(&m->m);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->changed);
    free(m);
}

static void mirror_close(struct image *img)
{
    struct mirror *m = img->priv;

    mirror_stop_copier(m);
    if (!m->read_only && !mirror_flush_all(m))
        mirror_sweep(m, true);
    mirror_free(m);
}

static const char PREFIX[] = "mirror:";

static bool is_mirror(const char *path) { return !strncmp(path, PREFIX, strlen(PREFIX)); }

static struct mirror *mirror_new(struct image *img, const struct image_options *o, struct err *e)
{
    struct mirror *m = calloc(1, sizeof *m);

    if (!m) {
        err_set(e, "out of memory");
        return NULL;
    }
    *m = (struct mirror){.img = img,
                         .read_only = o->read_only,
                         .notice = o->notice,
                         .notice_arg = o->notice_arg,
                         .direct = o->direct,
                         .sweep_ns = MIRROR_SWEEP_NS};
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    img->priv = m;
    e->msg[0] = 0; /* members_open() leaves there why one is missing */
    return m;
}

static bool mirror_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct member_options opt = {.key = {"degraded", "init", "primary", "replace"}};
    struct image_options how = *o;
    struct mirror *m = mirror_new(img, o, e);
    bool ok;

    if (!m)
        return false;
    how.some_missing = true;
    ok = members_parse(&m->m, &opt, is_mirror(img->path) ? img->path + strlen(PREFIX) : img->path, e) &&
         members_open(&m->m, &how, e) && mirror_assemble(m, &opt, e);
    member_options_free(&opt);
    if (ok)
        return true;
    mirror_free(m);
    return err_prefix(e, "'%s'", img->path);
}

/* The given images as members, under their paths. */
static bool adopt(struct members *m, struct image *const *member, unsigned n, struct err *e)
{
    bool ok = true;

    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        m->img[i] = member[i];
        m->spec[i] = strdup(member[i] ? member[i]->path : "(missing)");
        ok &= m->spec[i] != NULL;
    }
    return ok || err_set(e, "out of memory");
}

struct image *mirror_over(struct image *const *member, unsigned n, const struct image_options *o, struct err *e)
{
    struct member_options none = {.key = {NULL}};
    struct image *img = calloc(1, sizeof *img);
    char *path = strdup("mirror");
    struct mirror *m = img && path ? mirror_new(img, o, e) : NULL;

    if (m && n && n <= MEMBERS_MAX) {
        img->ops = &image_mirror;
        img->logical = 512;
        img->path = path;
        img->read_only = o->read_only;
        if (adopt(&m->m, member, n, e) && mirror_assemble(m, &none, e))
            return img;
        mirror_free(m);
    } else {
        err_set(e, m ? "a mirror of %u members?" : "out of memory", n);
        for (unsigned i = 0; i < n; i++)
            image_close(member[i]);
        free(m);
    }
    free(path);
    free(img);
    return NULL;
}

const struct image_ops image_mirror = {
    .format = "mirror",
    .protocol = true,
    .claims = is_mirror,
    .open = mirror_open,
    .close = mirror_close,
    .readv = mirror_readv,
    .writev = mirror_writev,
    .flush = mirror_flush,
    .discard = mirror_discard,
    .write_zeroes = mirror_write_zeroes,
    .map = mirror_map,
    .create = mirror_create,
    .details = mirror_details,
};
