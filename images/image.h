/*
 * One opened image, the synchronous side of a disk: a back end (a host file, qcow2, ...) and what it keeps.
 *
 * Layers: a protocol (a host file or device, an NBD export) is at the bottom and has no `file`; a format (qcow2, vdi)
 * keeps its bytes in `file`, an image too, so that every host access of a format goes through image ops: a test puts a
 * recorder or a fault injector there. `backing` is what a hole of this image reads as.
 *
 * Owner: whoever opened it (struct block, the tool, or the image above). A back end is re-entrant: worker threads call
 * it in parallel; requests that overlap have no order between them. Callers keep every request inside `size`, but a
 * protocol opened for writing grows when it is written past its end, as a file does.
 */
#ifndef IMAGES_IMAGE_H
#define IMAGES_IMAGE_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/types.h"

struct json_t;

enum {
    IMAGE_FUA = 1,    /* stable before it returns */
    IMAGE_NOWAIT = 2, /* -EAGAIN rather than wait for the host's disk */
    IMAGE_UNMAP = 4,  /* write_zeroes may free the space */
};

enum image_prealloc { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL };

struct image {
    const struct image_ops *ops;
    uint64_t size; /* bytes, a multiple of logical (of 1 for a protocol) */
    uint32_t logical, optimal;
    bool read_only, discard;
    char *path;            /* owned; as the user named it */
    struct image *file;    /* owned; NULL in a protocol */
    struct image *backing; /* owned; NULL: holes are zeroes. May be smaller than this image: zeroes beyond its end */
    void *priv;            /* the back end's */
};

/* How to open. Zero is the plain case: read and write, locked, backing chain opened, format not named. */
struct image_options {
    const char *format; /* NULL: see image_open() */
    bool read_only;
    bool share;       /* do not lock (qemu-img -U) */
    bool no_backing;  /* do not open the backing chain */
    bool no_repair;   /* leave a dirty image as it is (check does its own work); such an image opens read-only */
    bool direct;      /* O_DIRECT (cache=none, directsync) */
    bool trust_paths; /* backing and data files may lie outside the image's own folder: the user named them */
    const char *const *allowed; /* folders besides the image's own where named files may lie; NULL-terminated or NULL */
    uint64_t offset, length;    /* a byte range of the file; length 0: to its end */
    unsigned partition;         /* 1...: a partition of the file by its MBR or GPT; 0: none */
    struct image *file;         /* the format's bytes, already open; owned by the new image also when opening fails */
};

/* What is at an offset: see image_ops.map. */
struct image_extent {
    uint64_t len;    /* bytes from the offset on that are alike; > 0 */
    bool allocated;  /* held by this layer (not by a backing image) */
    bool data, zero; /* as qemu-img map: data must be read; known to read as zeroes */
    bool compressed;
    bool has_offset; /* the bytes lie, unchanged, at `offset` of `file` (of the host file for a protocol) */
    uint64_t offset;
    unsigned depth;            /* image_map(): 0 = this layer, 1 = its backing, ... */
    const struct image *layer; /* image_map(): whose bytes these are */
};

/* A new image. `options` are the format's own, as "cluster_size=64k,compat=1.1" (qemu-img -o), or NULL. */
struct image_create {
    const char *path, *format;
    uint64_t size; /* 0 with a backing file: its size */
    const char *options, *backing, *backing_format;
    bool unsafe_backing; /* do not open the backing file to look (qemu-img create -u) */
    struct image *file;  /* write into this instead of making path; not owned */
};

/* What a check found; counts as qemu-img check prints them. */
struct image_check {
    uint64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset, total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
};
enum { IMAGE_FIX_LEAKS = 1, IMAGE_FIX_ERRORS = 2 };

struct image_snapshot {
    char id[64], name[256];
    uint64_t vm_state_size, disk_size, date_sec, vm_clock_ns, icount; /* icount: UINT64_MAX = not kept */
    uint32_t date_nsec;
};

/*
 * A row of the format table in image.c. Results: 0 (all of it was done) or a negative errno. Everything after
 * write_zeroes may be NULL: not supported.
 */
struct image_ops {
    const char *format;
    bool protocol; /* sits on the host, not on `file` */
    /* size, logical, ... and priv are to be filled in; path, read_only, file and backing (NULL) are set. */
    bool (*open)(struct image *img, const struct image_options *o, struct err *e);
    void (*close)(struct image *img); /* of an image whose open succeeded; image_close() closes file and backing */
    int (*readv)(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
    int (*writev)(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
    int (*flush)(struct image *img);
    int (*discard)(struct image *img, uint64_t off, uint64_t len);
    int (*write_zeroes)(struct image *img, uint64_t off, uint64_t len, unsigned flags);

    /* Of this layer alone. NULL: all data, at the same offset. */
    int (*map)(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
    /*
     * The host file and offset where [off, off + len) can be read or overwritten in place with no metadata change, for
     * io_uring. -EAGAIN: use readv or writev. A write between _begin and _end keeps the place from being given away.
     */
    int (*direct_begin)(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off);
    void (*direct_end)(struct image *img, uint64_t off, uint64_t len, bool write);
    int (*resize)(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e);
    /* buf is one whole cluster (or the shorter last one). -EOPNOTSUPP: write it plainly. */
    int (*write_compressed)(struct image *img, const void *buf, uint64_t off, uint64_t len);
    bool (*create)(const struct image_create *c, struct err *e);
    bool (*check)(struct image *img, unsigned fix, struct image_check *result, void (*report)(void *, const char *line),
                  void *arg, struct err *e);      /* false: could not be checked */
    struct json_t *(*details)(struct image *img); /* "format-specific" of qemu-img info; a new reference */
    /* The backing file as the image names it; false: it names none. Strings live as long as the image. */
    bool (*backing_name)(struct image *img, const char **path, const char **format);
    bool (*set_backing)(struct image *img, const char *path, const char *format, struct err *e); /* NULL: none */
    int (*make_empty)(struct image *img); /* all holes again (after a commit) */
    /* Internal snapshots. list: *out is malloc'ed; returns the number or a negative errno. */
    int (*snapshot_list)(struct image *img, struct image_snapshot **out);
    bool (*snapshot_create)(struct image *img, struct image_snapshot *s /* id is filled in */, struct err *e);
    bool (*snapshot_apply)(struct image *img, const char *id_or_name, struct err *e);
    bool (*snapshot_delete)(struct image *img, const char *id_or_name, struct err *e);
    bool (*snapshot_view)(struct image *img, const char *id_or_name, struct err *e); /* read-only, of that moment */
};

extern const struct image_ops image_raw;

/*
 * format NULL: raw, unless the file begins like another format's, which is refused with a line that names it: a guest
 * may write any header into a raw disk. The tool, whose user asks about a file, uses image_probe() first.
 * NULL with e set on failure.
 */
struct image *image_open(const char *path, const struct image_options *o, struct err *e);
void image_close(struct image *img); /* NULL is allowed; closes file and backing too */

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
