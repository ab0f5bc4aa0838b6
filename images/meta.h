/*
 * A write-back cache of a format's tables, kept in pages of the file below; its memory is bounded.
 *
 * Entries change in memory at once and reach the file in meta_write() only. So a format orders its crash safety in one
 * place: it writes data, flushes the file, calls meta_write(), flushes again (sparse_flush() does so).
 * Own lock; any thread may call anything but meta_fini().
 */
#ifndef IMAGES_META_H
#define IMAGES_META_H

#include <pthread.h>

#include "base/types.h"

struct image;
struct meta_page;

enum {
    META_PAGE = 4096,
    META_PAGES = 4096, /* at most so many are kept: 16 MiB */
};

struct meta {
    pthread_mutex_t lock;
    struct image *file; /* not owned */
    struct meta_page **pages, *slots;
    unsigned used, hand, dirty;
};

bool meta_init(struct meta *m, struct image *file);
void meta_fini(struct meta *m); /* what is dirty is lost */

/* [off, off + len) of the file as the cache sees it; what lies beyond the file's end is -EIO. */
int meta_read(struct meta *m, uint64_t off, void *buf, size_t len);
/* -ENOSPC: all pages are dirty; write them first. len is at most a page's. */
int meta_change(struct meta *m, uint64_t off, const void *buf, size_t len);
bool meta_dirty(struct meta *m);
bool meta_crowded(struct meta *m); /* so many pages are dirty that it is time for meta_write() */
int meta_write(struct meta *m);    /* what is dirty; it stays so until meta_clean(): a flush may fail and lose it */
void meta_clean(struct meta *m);   /* all of that is stable */
/*
 * Each dirty page, for a format that logs them: write() gets META_PAGE bytes, and at the end NULL: finish.
 */
int meta_write_by(struct meta *m, int (*write)(void *arg, uint64_t off, const void *page), void *arg);
void meta_forget(struct meta *m); /* drop all pages, dirty ones too */

#endif
