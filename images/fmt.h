/* What back ends of foreign formats share: bytes of the file below, -o options, new files, GUIDs, tables of blocks. */
#ifndef IMAGES_FMT_H
#define IMAGES_FMT_H

#include "images/image.h"

/* [off, off + len) of a file; 0 or a negative errno. Beyond the end: _pad gives zeroes, the plain one -EIO. */
int fmt_read(struct image *file, void *buf, uint64_t off, size_t len);
int fmt_read_pad(struct image *file, void *buf, uint64_t off, size_t len);
int fmt_write(struct image *file, const void *buf, uint64_t off, size_t len);
int fmt_zero(struct image *file, uint64_t off, uint64_t len); /* may leave a hole */
/* The file reaches at least to end, with zeroes. */
int fmt_grow(struct image *file, uint64_t end);
/* The pieces of iov from skip on, len bytes, to or from `off` of the file. Reads beyond its end give zeroes. */
int fmt_readv(struct image *file, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len, uint64_t off,
              unsigned flags);
int fmt_writev(struct image *file, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len, uint64_t off,
               unsigned flags);

/* One option of qemu-img -o. The value goes to `out`: bool, uint64_t, char[64], or an index into `names`. */
struct fmt_option {
    const char *name;
    enum { FMT_BOOL, FMT_SIZE, FMT_TEXT, FMT_ENUM } kind;
    void *out;
    const char *const *names; /* FMT_ENUM: NULL-terminated; out is unsigned */
};
/* text is "name=value,...", or NULL. What the table does not name is refused. */
bool fmt_options(const struct image_create *c, const struct fmt_option *table, size_t n, struct err *e);

bool fmt_no_backing(const struct image_create *c, struct err *e); /* refuses a backing file */

/* A new file reaches to end, its space taken from the host as p says (metadata: as off). */
bool fmt_reserve(const struct image_create *c, struct image *file, uint64_t end, enum image_prealloc p, struct err *e);

void fmt_uuid(uint8_t uuid[16]); /* random, version 4 */

extern const char *const fmt_prealloc_names[]; /* in the order of enum image_prealloc */

#endif
