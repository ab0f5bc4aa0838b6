/*
 * One opened image, the synchronous side of a disk: a back end (raw, later qcow2 and others) and what it keeps.
 *
 * Owner: whoever opened it (struct block, or an overlay for its base). A back end is re-entrant: worker threads call
 * it in parallel; requests that overlap have no order between them. Callers keep every request inside `size`.
 */
#ifndef IMAGES_IMAGE_H
#define IMAGES_IMAGE_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/types.h"

enum {
    IMAGE_FUA = 1,    /* stable before it returns */
    IMAGE_NOWAIT = 2, /* -EAGAIN rather than wait for the host's disk */
    IMAGE_UNMAP = 4,  /* write_zeroes may free the space */
};

struct image {
    const struct image_ops *ops;
    uint64_t size; /* bytes, a multiple of logical */
    uint32_t logical, optimal;
    bool read_only, discard;
    char *path; /* owned */
    void *priv; /* the back end's */
};

/* A row of the format table in image.c. Results: 0 (all of it was done) or a negative errno. */
struct image_ops {
    const char *format;
    bool (*open)(struct image *img, struct err *e); /* path and read_only are set; fills in the rest */
    void (*close)(struct image *img);               /* of an image whose open succeeded */
    int (*readv)(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
    int (*writev)(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
    int (*flush)(struct image *img);
    int (*discard)(struct image *img, uint64_t off, uint64_t len);
    int (*write_zeroes)(struct image *img, uint64_t off, uint64_t len, unsigned flags);
};

extern const struct image_ops image_raw;

/* format NULL: raw, unless the file begins like another format's. NULL with e set on failure. */
struct image *image_open(const char *path, const char *format, bool read_only, struct err *e);
void image_close(struct image *img);

/* A throw-away overlay that takes all writes and owns base from then on; on failure base is closed. */
struct image *overlay_new(struct image *base, struct err *e);

/* Up to max pieces of iov[0..n) that cover bytes [skip, skip + len), into out; *bytes is what they cover. */
unsigned iov_slice(struct iovec *out, unsigned max, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                   uint64_t *bytes);
void iov_to_buf(void *buf, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
void iov_from_buf(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf, uint64_t len);
void iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
uint64_t iov_total(const struct iovec *iov, unsigned n);

#endif
