/* The cache of table pages: a chained hash over a fixed pool, thrown out by a clock hand, dirty by 512-byte sectors. */
#include "images/meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/fmt.h"

enum { BUCKETS = 4096, SECTOR = 512 };

struct meta_page {
    struct meta_page *next; /* in its bucket */
    uint64_t off;
    uint8_t dirty; /* one bit a sector */
    bool touched;
    uint8_t *data;
};

bool meta_init(struct meta *m, struct image *file)
{
    *m = (struct meta){.file = file};
    m->pages = calloc(BUCKETS, sizeof(struct meta_page *));
    m->slots = calloc(META_PAGES, sizeof *m->slots);
    if (!m->pages || !m->slots) {
        free(m->pages);
        free(m->slots);
        return false;
    }
    pthread_mutex_init(&m->lock, NULL);
    return true;
}

void meta_fini(struct meta *m)
{
    for (unsigned i = 0; i < m->used; i++)
        free(m->slots[i].data);
    free(m->slots);
    free(m->pages);
    pthread_mutex_destroy(&m->lock);
}

static struct meta_page **bucket(struct meta *m, uint64_t off) { return &m->pages[off / META_PAGE % BUCKETS]; }

static void unlink_page(struct meta *m, struct meta_page *p)
{
    struct meta_page **at = bucket(m, p->off);

    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    p->next = NULL;
}

/* A slot that holds nothing worth keeping. NULL: all are dirty, or memory is short. */
static struct meta_page *free_slot(struct meta *m)
{
    if (m->used < META_PAGES) {
        struct meta_page *p = &m->slots[m->used];

        p->data = malloc(META_PAGE);
        if (!p->data)
            return NULL;
        m->used++;
        return p;
    }
    for (unsigned tries = 0; tries < 2 * META_PAGES; tries++) {
        struct meta_page *p = &m->slots[m->hand++ % META_PAGES];

        if (!p->dirty && !p->touched) {
            unlink_page(m, p);
            return p;
        }
        p->touched = false;
    }
    return NULL;
}

static int page_get(struct meta *m, uint64_t off, struct meta_page **out)
{
    struct meta_page *p = *bucket(m, off);
    int ret;

    while (p && p->off != off)
        p = p->next;
    if (!p) {
        p = free_slot(m);
        if (!p)
            return m->used < META_PAGES ? -ENOMEM : -ENOSPC;
        p->off = off;
        p->dirty = 0;
        ret = fmt_read_pad(m->file, p->data, off, META_PAGE);
        if (ret) {
            p->off = UINT64_MAX; /* in no bucket: it is taken again when its turn comes */
            p->touched = false;
            return ret;
        }
        p->next = *bucket(m, off);
        *bucket(m, off) = p;
    }
    p->touched = true;
    *out = p;
    return 0;
}

static size_t in_page(uint64_t off, size_t len)
{
    size_t room = META_PAGE - off % META_PAGE;

    return len < room ? len : room;
}

int meta_read(struct meta *m, uint64_t off, void *buf, size_t len)
{
    int ret = off > image_size(m->file) || len > image_size(m->file) - off ? -EIO : 0;

    pthread_mutex_lock(&m->lock);
    while (!ret && len) {
        struct meta_page *p;
        size_t n = in_page(off, len);

        ret = page_get(m, off - off % META_PAGE, &p);
        if (!ret)
            memcpy(buf, p->data + off % META_PAGE, n);
        buf = (char *)buf + n;
        off += n;
        len -= n;
    }
    pthread_mutex_unlock(&m->lock);
    return ret;
}

int meta_change(struct meta *m, uint64_t off, const void *buf, size_t len)
{
    int ret = 0;

    pthread_mutex_lock(&m->lock);
    while (!ret && len) {
        struct meta_page *p;
        size_t n = in_page(off, len), at = off % META_PAGE;

        ret = page_get(m, off - at, &p);
        if (ret)
            break;
        memcpy(p->data + at, buf, n);
        if (!p->dirty)
            m->dirty++;
        for (size_t s = at / SECTOR; s <= (at + n - 1) / SECTOR; s++)
            p->dirty |= (uint8_t)(1u << s);
        buf = (const char *)buf + n;
        off += n;
        len -= n;
    }
    pthread_mutex_unlock(&m->lock);
    return ret;
}

bool meta_dirty(struct meta *m)
{
    bool dirty;

    pthread_mutex_lock(&m->lock);
    dirty = m->dirty > 0;
    pthread_mutex_unlock(&m->lock);
    return dirty;
}

bool meta_crowded(struct meta *m)
{
    bool crowded;

    pthread_mutex_lock(&m->lock);
    crowded = m->dirty > META_PAGES / 2;
    pthread_mutex_unlock(&m->lock);
    return crowded;
}

static int by_offset(const void *a, const void *b)
{
    const struct meta_page *x = *(struct meta_page *const *)a, *y = *(struct meta_page *const *)b;

    return x->off < y->off ? -1 : x->off > y->off;
}

/* The dirty pages in the order of the file; NULL with *n == 0: none, NULL with *n > 0: no memory. */
static struct meta_page **dirty_pages(struct meta *m, unsigned *n)
{
    struct meta_page **list = NULL;

    *n = m->dirty;
    if (m->dirty)
        list = malloc(m->dirty * sizeof(struct meta_page *));
    if (!list)
        return NULL;
    *n = 0;
    for (unsigned i = 0; i < m->used; i++)
        if (m->slots[i].dirty)
            list[(*n)++] = &m->slots[i];
    qsort(list, *n, sizeof(struct meta_page *), by_offset);
    return list;
}

/* The runs of dirty sectors of one page. */
static int page_write(struct meta *m, struct meta_page *p)
{
    for (unsigned s = 0, e; s < META_PAGE / SECTOR; s = e) {
        int ret;

        for (e = s; e < META_PAGE / SECTOR && p->dirty >> e & 1; e++)
            continue;
        if (e == s) {
            e++;
            continue;
        }
        ret = fmt_write(m->file, p->data + s * SECTOR, p->off + s * SECTOR, (e - s) * SECTOR);
        if (ret)
            return ret;
    }
    return 0;
}

int meta_write_by(struct meta *m, int (*write)(void *arg, uint64_t off, const void *page), void *arg)
{
    struct meta_page **list;
    unsigned n;
    int ret = 0;

    pthread_mutex_lock(&m->lock);
    list = dirty_pages(m, &n);
    if (n && !list)
        ret = -ENOMEM;
    for (unsigned i = 0; !ret && i < n; i++)
        ret = write ? write(arg, list[i]->off, list[i]->data) : page_write(m, list[i]);
    if (!ret && n && write)
        ret = write(arg, 0, NULL);
    free(list);
    pthread_mutex_unlock(&m->lock);
    return ret;
}

int meta_write(struct meta *m) { return meta_write_by(m, NULL, NULL); }

void meta_clean(struct meta *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->used; i++)
        m->slots[i].dirty = 0;
    m->dirty = 0;
    pthread_mutex_unlock(&m->lock);
}

void meta_forget(struct meta *m)
{
    pthread_mutex_lock(&m->lock);
    memset(m->pages, 0, BUCKETS * sizeof(struct meta_page *));
    for (unsigned i = 0; i < m->used; i++) {
        m->slots[i].off = UINT64_MAX;
        m->slots[i].dirty = 0;
        m->slots[i].touched = false;
        m->slots[i].next = NULL;
    }
    m->dirty = 0;
    pthread_mutex_unlock(&m->lock);
}
