/*
 * The protocol `file`: what its own files share, and what the layer that makes images needs of it. A host file or
 * block device, byte for byte, at any alignment; it grows when it is written past its end and reads as zeroes there.
 */
#ifndef IMAGES_FILE_H
#define IMAGES_FILE_H

#include <pthread.h>

#include "images/image.h"

struct file {
    int fd;
    bool device, direct;
    bool made;            /* by file_make(): its failure removes it */
    bool range;           /* locked as a part: see file_lock.c */
    uint32_t mem_align;   /* O_DIRECT: of buffers */
    uint32_t off_align;   /* O_DIRECT: of offsets and lengths */
    pthread_rwlock_t rmw; /* O_DIRECT: writes that read around themselves, against all others */
    bool no_dsync, no_nowait_read, no_nowait_write; /* what this host's file system refused; racy and harmless */
    bool no_punch, no_zero, no_seek;
};

/* An empty file for a new image, made or truncated, open for writing and locked. A block device keeps its size. */
struct image *file_make(const char *path, struct err *e);
void file_unmake(struct image *file); /* remove it from its folder if file_make() made it */

/* file_lock.c. Whole: as QEMU. Part (range): file_lock() first, then the bytes themselves when they are known. */
bool file_lock(struct image *img, struct err *e);
bool file_lock_range(struct image *img, uint64_t off, uint64_t len, struct err *e);

/* file_alloc.c: rows of the table */
int file_discard(struct image *img, uint64_t off, uint64_t len);
int file_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags);
int file_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
int file_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e);

/* file_direct.c: O_DIRECT through buffers that are aligned. file_is_aligned: it may go to the host as it is. */
bool file_is_aligned(const struct file *f, const struct iovec *iov, unsigned n, uint64_t off);
int file_bounce_read(struct image *img, const struct iovec *iov, unsigned n, uint64_t off);
int file_bounce_write(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);

/* file.c: as the rows, without the look at the alignment */
int file_read_host(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int file_write_host(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
void file_grown(struct image *img, uint64_t end); /* the host file now reaches at least to end */

#endif
