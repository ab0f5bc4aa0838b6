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
    uint32_t cluster; /* what a format allocates by; 0: any byte */
    bool dirty;       /* the image says that it was not closed cleanly ("dirty-flag" of qemu-img info) */
    bool read_only, discard;
    char *path;            /* owned; as the user named it */
    struct image *file;    /* owned; NULL in a protocol */
    struct image *backing; /* owned; NULL: holes are zeroes. May be smaller than this image: zeroes beyond its end */
    const struct image *above; /* the image that named this one as its backing or data file; NULL: the user did */
    bool guessed;              /* its format was taken from its content: it may not name other files */
    void *priv;                /* the back end's */
};

/* The size of an image that another thread may just be growing or resizing. */
static inline uint64_t image_size(const struct image *img) { return __atomic_load_n(&img->size, __ATOMIC_ACQUIRE); }

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
    uint64_t table_cache;       /* bytes of a format's tables in memory; 0: for all of the disk, at most 32 MiB */
    struct image *file;         /* the format's bytes, already open; owned by the new image also when opening fails */
    /* A line for the person about something that is not an error (a mirror runs degraded); NULL: to stderr. */
    void (*notice)(void *arg, const char *line);
    void *notice_arg;
    /* From here on set by the layers themselves. */
    const struct image *above; /* see struct image */
    bool guessed;
    bool some_missing; /* members of a list need not all be there */
    unsigned nested;   /* lists in lists */
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
    bool protocol;                    /* sits on the host, not on `file` */
    bool (*claims)(const char *path); /* a protocol other than "file": is this one of its names (nbd://...)? */
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
     * io_uring. -EAGAIN: use readv or writev; also when it would have to wait for the host's disk (a table to load), as
     * one thread calls it for all requests. A write between _begin and _end keeps the place from being given away.
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

/* The format table: one line a format in images/formats.def. */
#define FORMAT(name) extern const struct image_ops image_##name;
#include "images/formats.def"
#undef FORMAT

const struct image_ops *image_format(const char *name); /* NULL: not known */
const char *image_format_name(unsigned n);              /* 0...: the n-th row's; NULL: no more */

/*
 * format NULL: raw, unless the file begins like another format's, which is refused with a line that names it: a guest
 * may write any header into a raw disk. The tool, whose user asks about a file, uses image_probe() first.
 * path is a host path or a name that a protocol claims. `file` (and a raw range over it, for offset, length and
 * partition under another format) is built here. NULL with e set on failure.
 */
struct image *image_open(const char *path, const struct image_options *o, struct err *e);
/*
 * The same for PATH[;format=F][;offset=N][;size=N][;partition=N], which override o, and for lists of such:
 * concat:A,B,... stripe:chunk=64k,A,B,... mirror:A,B,... (members.h). A file whose name is all of spec comes first.
 */
struct image *image_open_spec(const char *spec, const struct image_options *o, struct err *e);
void image_close(struct image *img); /* NULL is allowed; closes file and backing too */

/* The format whose header (or footer) the bytes of file carry, known to the table or not; NULL: none, so raw. */
const char *image_probe(struct image *file);
/* The same of a host path, opened without a lock: NULL with e set if it cannot be read; "raw" if it looks like none. */
const char *image_probe_path(const char *path, struct err *e);

/*
 * For formats, from their open: open what img names as its backing file (format NULL: it names none) into
 * img->backing, read-only. name is relative to img's folder. Refused with a clear line: names that are no plain paths
 * (json:, nbd:), files outside the folders of img and of the images above it (symbolic links resolved; unless
 * o->trust_paths or in o->allowed), chains that loop or are deeper than 64, a raw file whose format is not named.
 * Does nothing when o->no_backing.
 */
bool image_open_backing(struct image *img, const struct image_options *o, const char *name, const char *format,
                        struct err *e);
/* The same for a data file (qcow2 external data, VMDK extent): its bytes as a `file`, read-only as img is. */
struct image *image_open_data(struct image *img, const struct image_options *o, const char *name, struct err *e);
/* Where name leads from the image at path, as QEMU resolves it (no policy, nothing opened); malloc'ed. */
char *image_resolve(const char *path, const char *name);

/* A contiguous buffer; 0 or a negative errno. For pwrite flags are IMAGE_FUA or 0. */
int image_pread(struct image *img, void *buf, uint64_t off, uint64_t len);
int image_pwrite(struct image *img, const void *buf, uint64_t off, uint64_t len, unsigned flags);
/* What is at off through the whole chain, depth and layer set. Neighbours that are alike may come as two extents. */
int image_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
/* The same of this layer alone: ops->map, or its default. */
int image_map_layer(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);

bool image_create(const struct image_create *c, struct err *e);
/*
 * For a format's create: c->file, or the host file c->path, made if it is not there, emptied, locked. The format writes
 * into it and hands it to _end, which flushes, closes what _begin opened, and on !ok removes what _begin made.
 */
struct image *image_create_begin(const struct image_create *c, struct err *e);
bool image_create_end(const struct image_create *c, struct image *file, bool ok, struct err *e); /* ok && flushed */

/* One "key=value" of an option string; ",," in a value is a comma. A key alone has the value "on". */
struct image_option {
    char key[32], value[1024];
};
/* The next one, *s moves on. false: no more, or (with e set) too long. Start with e->msg[0] == 0. */
bool image_option_next(const char **s, struct image_option *o, struct err *e);
bool image_parse_size(const char *s, uint64_t *out); /* 512, 4k, 1.5G, 2T...: powers of 1024 */
bool image_parse_bool(const char *s, bool *out);     /* on, off (yes, no, true, false) */
bool image_parse_prealloc(const char *s, enum image_prealloc *out);

/* A throw-away overlay that takes all writes and owns base from then on; on failure base is closed. */
struct image *overlay_new(struct image *base, struct err *e);
/* Write what the overlay holds into its base, flush, and forget it. base: the same disk, writable; see the next. */
int overlay_commit(struct image *overlay);
struct image *overlay_set_base(struct image *overlay, struct image *base); /* the old one, the caller's again */

/* Up to max pieces of iov[0..n) that cover bytes [skip, skip + len), into out; *bytes is what they cover. */
unsigned iov_slice(struct iovec *out, unsigned max, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                   uint64_t *bytes);
void iov_to_buf(void *buf, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
void iov_from_buf(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf, uint64_t len);
void iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
uint64_t iov_total(const struct iovec *iov, unsigned n);
bool iov_is_zero(const struct iovec *iov, unsigned n);
bool buf_is_zero(const void *buf, size_t len);

#endif
