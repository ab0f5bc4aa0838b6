/* Making the copies of a mirror alike, filling a new member. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/block_int.h"
#include "images/mirror_int.h"

enum { PIECE = 1 << 20, NAP_US = 2000 };

/* --- copying ----------------------------------------------------------------------------------------------------- */

/* A region that a member lacks. Lock held. */
static bool next_job(struct mirror *m, unsigned *member, uint64_t *region, int *from)
{
    *from = mirror_first_in_step(m);
    for (unsigned i = 0; *from >= 0 && i < m->m.n; i++) {
        if ((int)i == *from || m->state[i] == MIRROR_ABSENT)
            continue;
        for (unsigned n = 0; n < MIRROR_REGIONS; n++)
            if (m->todo[i][n >> 3] >> (n & 7) & 1) {
                *member = i;
                *region = n;
                return true;
            }
    }
    return false;
}

/* No lock. A source that cannot be read is tried again from another, by the next round. */
static int copy_piece(struct mirror *m, unsigned from, unsigned to, uint64_t off, uint64_t len, void *buf)
{
    struct image *source = m->m.img[from], *target = m->m.img[to];
    struct mirror_range r;
    int ret, put = 0;

    mirror_lock_range(m, &r, off, len);
    ret = image_pread(source, buf, off, len);
    if (!ret)
        put = buf_is_zero(buf, len) ? target->ops->write_zeroes(target, off, len, IMAGE_UNMAP)
                                    : image_pwrite(target, buf, off, len, 0);
    mirror_unlock_range(m, &r);
    if (ret) {
        pthread_mutex_lock(&m->lock);
        put = mirror_in_step(m) > 1 && m->state[from] == MIRROR_IN_STEP;
        pthread_mutex_unlock(&m->lock);
        if (put) { /* others have it too */
            mirror_fail(m, from, ret);
            return -ECANCELED;
        }
        return ret;
    }
    if (put)
        mirror_fail(m, to, put);
    return put ? -ECANCELED : 0;
}

/* false: given up. */
static bool copy_region(struct mirror *m, unsigned from, unsigned to, uint64_t region, void *buf)
{
    uint64_t off = region * m->region, end = off + m->region < m->img->size ? off + m->region : m->img->size;
    bool busy;

    for (; off < end; off += PIECE) {
        int ret = copy_piece(m, from, to, off, end - off < PIECE ? end - off : PIECE, buf);

        if (ret == -ECANCELED)
            return true; /* one of the two is left out */
        if (ret) {
            mirror_say(m, "'%s' cannot be read at %llu (%s): '%s' is not in step", m->m.spec[from],
                       (unsigned long long)off, strerror(-ret), m->m.spec[to]);
            return false;
        }
        pthread_mutex_lock(&m->lock);
        busy = m->ranges || m->busy[from] > 1;
        pthread_mutex_unlock(&m->lock);
        if (__atomic_load_n(&m->closing, __ATOMIC_RELAXED))
            return true;
        if (busy)
            usleep(NAP_US); /* the guest goes first */
    }
    pthread_mutex_lock(&m->lock);
    if (m->state[from] == MIRROR_IN_STEP) /* else it may have failed on the way */
        m->todo[to][region >> 3] &= (uint8_t) ~(1 << (region & 7));
    m->copied += m->region;
    pthread_mutex_unlock(&m->lock);
    return true;
}

/* All are filled: those that were rebuilt are in step now, and all may be read. false: there is more by now. */
static bool all_copied(struct mirror *m)
{
    bool news = false, named[MEMBERS_MAX] = {false};
    uint64_t region;
    unsigned to;
    int from;

    if (mirror_flush_all(m))
        return true;
    pthread_mutex_lock(&m->lock);
    if (next_job(m, &to, &region, &from)) {
        pthread_mutex_unlock(&m->lock);
        return false;
    }
    for (unsigned i = 0; i < m->m.n; i++)
        if (m->state[i] == MIRROR_REBUILDING && !mirror_write_bitmap(m->m.img[i], m->bitmap)) {
            m->state[i] = MIRROR_IN_STEP;
            news = named[i] = true;
        }
    if (news)
        mirror_write_records(m);
    m->alike = true;
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->m.n; i++)
        if (named[i])
            mirror_say(m, "member '%s' is in step", m->m.spec[i]);
    return true;
}

/* All that is to be done now. false: given up, or the mirror is being closed. */
static bool copy_jobs(struct mirror *m, void *buf)
{
    bool ok = true;

    pthread_mutex_lock(&m->lock);
    while (ok && !m->closing) {
        unsigned to = 0;
        uint64_t region = 0;
        int from;

        if (!next_job(m, &to, &region, &from))
            break;
        m->busy[from]++;
        m->busy[to]++;
        pthread_mutex_unlock(&m->lock);
        ok = copy_region(m, (unsigned)from, to, region, buf);
        mirror_leave(m, (unsigned)from);
        mirror_leave(m, to);
        pthread_mutex_lock(&m->lock);
    }
    ok = ok && !m->closing;
    pthread_mutex_unlock(&m->lock);
    return ok;
}

static void *copier(void *arg)
{
    struct mirror *m = arg;
    void *buf = malloc(PIECE);

    while (buf && copy_jobs(m, buf) && !all_copied(m))
        continue;
    free(buf);
    pthread_mutex_lock(&m->lock);
    m->copying = false;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

void mirror_start_copier(struct mirror *m)
{
    if (m->joinable)
        pthread_join(m->copier, NULL); /* it has ended: `copying` is false */
    m->copied = m->to_copy = 0;
    for (unsigned i = 0; i < m->m.n; i++)
        for (unsigned n = 0; n < MIRROR_REGIONS; n++)
            m->to_copy += (m->todo[i][n >> 3] >> (n & 7) & 1) * m->region;
    m->copying = block_start_thread(&m->copier, copier, m);
    m->joinable = m->copying;
}

void mirror_stop_copier(struct mirror *m)
{
    bool join;

    pthread_mutex_lock(&m->lock);
    __atomic_store_n(&m->closing, true, __ATOMIC_RELAXED);
    join = m->joinable;
    m->joinable = false;
    pthread_mutex_unlock(&m->lock);
    if (join)
        pthread_join(m->copier, NULL);
}

/* --- replacing --------------------------------------------------------------------------------------------------- */

void mirror_todo_all(struct mirror *m, unsigned i)
{
    uint64_t regions = (m->img->size + m->region - 1) / m->region;

    memset(m->todo[i], 0, MIRROR_BITMAP);
    for (uint64_t n = 0; n < regions; n++)
        m->todo[i][n >> 3] |= (uint8_t)(1 << (n & 7));
}

/* Lock held. Take the old one out of use. */
static bool retire(struct mirror *m, unsigned i, struct err *e)
{
    if (m->copying)
        return err_set(e, "a rebuild is under way");
    if (m->state[i] == MIRROR_IN_STEP && mirror_in_step(m) == 1)
        return err_set(e, "member %u is the last in step", i + 1);
    if (m->state[i] != MIRROR_ABSENT) {
        m->state[i] = MIRROR_ABSENT;
        m->since[i] = m->generation + 1;
        mirror_write_records(m);
    }
    while (m->busy[i])
        pthread_cond_wait(&m->changed, &m->lock);
    return true;
}

static bool replace(struct mirror *m, unsigned i, struct image *member, char *spec, struct err *e)
{
    bool ok;

    pthread_mutex_lock(&m->lock);
    ok = retire(m, i, e);
    if (ok) {
        image_close(m->m.img[i]);
        free(m->m.spec[i]);
        m->m.img[i] = member;
        m->m.spec[i] = spec;
        mirror_todo_all(m, i);
        m->state[i] = MIRROR_REBUILDING;
        mirror_write_records(m);
        mirror_start_copier(m);
    }
    pthread_mutex_unlock(&m->lock);
    return ok;
}

static struct mirror *mirror_below(struct image *img)
{
    for (; img; img = img->file ? img->file : img->backing)
        if (img->ops == &image_mirror)
            return img->priv;
    return NULL;
}

bool mirror_replace(struct image *img, unsigned n, const char *spec, struct err *e)
{
    struct mirror *m = mirror_below(img);
    struct image_options o = {.nested = 1};
    struct image *member;
    char *copy;

    if (!m || m->read_only)
        return err_set(e, m ? "'%s' is read-only" : "'%s' is no mirror", img->path);
    if (!n || n > m->m.n)
        return err_set(e, "'%s' has no member %u", img->path, n);
    o.direct = m->direct;
    o.notice = m->notice;
    o.notice_arg = m->notice_arg;
    member = member_open(spec, &o, e);
    if (!member)
        return false;
    copy = strdup(spec);
    if (!copy || mirror_room(member) < m->img->size)
        err_set(e, copy ? "'%s' is too small" : "'%s': out of memory", spec);
    else if (replace(m, n - 1, member, copy, e))
        return true;
    free(copy);
    image_close(member);
    return false;
}
