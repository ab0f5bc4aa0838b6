/*
 * qcow2, versions 2 and 3: what the files of the format share. Source: QEMU docs/interop/qcow2.
 *
 * Life of the metadata. L1 and the refcount table are in memory; L2 tables and refcount blocks go through two caches of
 * slices (at most 4 KiB each). Everything here is protected by `lock`, which is never held while guest data moves or the
 * host syncs. Guest data is written first, into clusters whose refcounts are already raised in the cache; only then is
 * the L2 entry changed, in the cache. Nothing of the metadata goes to the file until a flush (or a full cache), which
 * copies what is dirty under the lock and then, without it (qcow2_flush.c):
 *
 *     refcount blocks | sync | refcount table, if it changed | sync | L2, L1 | sync | lower the refcounts of what was freed
 *
 * so that a crash between any two writes leaves clusters that nobody uses (leaks), never one that is used and free, and
 * never an L2 entry before its data. A cluster freed is handed out again only when the table that named it is gone from
 * the file and every request that may still hold its place has ended (struct io, struct freed).
 *
 * What is not one L2 entry (snapshots, a rebuild of the refcounts) is prepared in new clusters beside what is
 * in use, refcounts included (qcow2_txn.c), and takes effect by one write of the header's first sector.
 *
 * An image in use carries a mark in a header extension of ours, flushed before its first change and taken away by a clean
 * close; a mark found at opening means a crash, and leaks are looked for and repaired (qcow2_header.c, qcow2_check.c).
 */
#ifndef IMAGES_QCOW2_H
#define IMAGES_QCOW2_H

#include <pthread.h>

#include "base/bits.h"
#include "images/image.h"

#define QCOW2_COPIED (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_REF_OFFSET UINT64_C(0xfffffffffffffe00)
#define QCOW2_MAX_OFFSET (UINT64_C(1) << 56)

enum { /* header fields */
       H_MAGIC = 0,
       H_VERSION = 4,
       H_BACKING_OFFSET = 8,
       H_BACKING_SIZE = 16,
       H_CLUSTER_BITS = 20,
       H_SIZE = 24,
       H_CRYPT = 32,
       H_L1_SIZE = 36,
       H_L1_OFFSET = 40,
       H_REFTABLE_OFFSET = 48,
       H_REFTABLE_CLUSTERS = 56,
       H_SNAPSHOTS = 60,
       H_SNAPSHOTS_OFFSET = 64,
       H_INCOMPATIBLE = 72,
       H_COMPATIBLE = 80,
       H_AUTOCLEAR = 88,
       H_REFCOUNT_ORDER = 96,
       H_LENGTH = 100,
       H_COMPRESSION = 104,
       H_V2_LENGTH = 72,
       H_V3_LENGTH = 112,
};

enum { /* header extensions */
       EXT_END = 0,
       EXT_BACKING_FORMAT = 0xe2792aca,
       EXT_FEATURES = 0x6803f857,
       EXT_BITMAPS = 0x23852875,
       EXT_CRYPTO = 0x0537be77,
       EXT_DATA_FILE = 0x44415441,
       EXT_IN_USE = 0x67757345, /* ours: 32 bits, 1 = being written; 32 bits of zero */
};

enum { /* feature bits */
       INCOMPAT_DIRTY = 1,
       INCOMPAT_CORRUPT = 2,
       INCOMPAT_DATA_FILE = 4,
       INCOMPAT_COMPRESSION = 8,
       INCOMPAT_EXTENDED_L2 = 16,
       INCOMPAT_KNOWN = 31,
       COMPAT_LAZY = 1,
       AUTOCLEAR_BITMAPS = 1,
       AUTOCLEAR_DATA_RAW = 2,
       AUTOCLEAR_KNOWN = 3,
};

enum { /* limits, QEMU's */
       MAX_L1_BYTES = 32 << 20,
       MAX_REFTABLE_BYTES = 8 << 20,
       MAX_SNAPSHOTS = 65536,
       MAX_SNAPSHOT_EXTRA = 1024,
       MAX_SNAPSHOT_TABLE = 64 << 20,
       MAX_BITMAPS = 65535,
       MAX_BITMAP_DIRECTORY = 64 << 20,
       MIN_CLUSTER_BITS = 9,
       MAX_CLUSTER_BITS = 21,
       SLICE_MAX = 4096,
       FREED_MAX = 65536, /* runs waiting; more: flush first */
};

/* What a host cluster of metadata is, for overlap checks. */
enum owner {
    OWNER_NONE,
    OWNER_HEADER,
    OWNER_L1,
    OWNER_L2,
    OWNER_REFTABLE,
    OWNER_REFBLOCK,
    OWNER_SNAPSHOTS,
    OWNER_BITMAPS
};

struct slice {
    uint64_t off; /* in the file */
    uint8_t *data;
    struct slice *next; /* in its hash chain */
    unsigned pins;
    bool dirty, loading, writing /* a copy is on its way to the file */, recent, orphan /* no longer in the cache */;
};

struct slices {
    struct slice **hash, **all;
    unsigned buckets, count, room, limit, hand, dirty;
    uint32_t slice_size;
};

/* A request in flight: places that it looked up stay what they are until it ends. */
struct io {
    uint64_t seq;
    struct io *prev, *next;
};

struct direct { /* a place lent out by direct_begin */
    struct io io;
    uint64_t off, len, host;
    bool write;
    struct direct *next;
};

/* Guest clusters [first, end) whose L2 entries are about to change. */
struct alloc_op {
    uint64_t first, end;
    struct alloc_op *next;
};

struct freed {
    uint64_t cluster, count;
    bool punch;
};
struct freed_list {
    struct freed *run;
    size_t n, room;
};
struct limbo { /* freed in the file, but not yet free */
    struct limbo *next;
    uint64_t seq; /* usable when no request older than that is in flight */
    struct freed_list list;
};

struct snapshot {
    uint64_t l1_offset, vm_clock, vm_state_size, disk_size, icount;
    uint32_t l1_size, date_sec, date_nsec, vm_state_32, extra_size;
    char *id, *name;  /* owned */
    uint8_t *unknown; /* owned; extra data past what we know (24 bytes) */
};

struct sector_set { /* 512-byte sectors of a table in memory that wait to be written */
    uint32_t *list;
    size_t n, room;
    uint8_t *in; /* a bit each */
};

struct qcow2 {
    struct image *img, *file, *data; /* data: where guest clusters lie; == file unless external */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* an op, a load, a flush or the last request ended */

    /* geometry */
    unsigned version, cluster_bits, ref_order, entry_bits /* log2 of bytes */, l2_bits /* log2 of entries */;
    unsigned sub_bits; /* log2 of a subcluster's bytes; cluster_bits without extended L2 */
    uint64_t cluster_size;
    bool extended, data_raw, zstd;

    /* header */
    uint8_t *head; /* the first cluster */
    uint64_t incompatible, compatible, autoclear;
    char *backing_path, *backing_format, *data_path; /* owned */
    uint32_t ext_end;                                /* where the end marker of the extensions is */
    uint32_t in_use_at;                              /* our mark's data in head; 0: no room for it */
    bool prepared;                                   /* the mark is in the file */
    bool was_in_use;                                 /* found at opening */
    bool view;                                       /* a snapshot is shown */
    bool can_write;                                  /* the file may be changed (by a check) */
    int broken;                                      /* an error that stops all writes; 0: none */
    bool leaked;                                     /* after an error clusters are lost: the mark stays */
    bool unsure; /* the header could not be written, nor the old one again: that comes first */
    unsigned nb_bitmaps;
    uint64_t bitmap_dir, bitmap_dir_size;

    /* tables */
    uint64_t *l1, l1_offset, *reftable, reftable_offset; /* host order */
    uint32_t l1_size, reftable_size /* entries */;
    struct sector_set l1_dirty, reftable_dirty;
    struct slices l2, refs;
    struct owner_map {
        uint64_t *key; /* cluster + 1; 0: empty */
        uint8_t *kind;
        size_t used, room;
    } owners;
    struct snapshot *snapshots;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset, snapshots_size /* bytes */;

    /* allocation */
    uint64_t next_free; /* no free cluster below */
    uint64_t pristine;  /* clusters from here on have never been written: they read as zeroes */
    uint64_t packed;    /* next free byte for compressed data; 0: none */
    struct freed_list freed;
    struct limbo *limbo;
    struct alloc_op *ops;

    /* requests */
    struct io ios; /* list head, oldest first */
    uint64_t io_seq;
    unsigned flushers;
    bool exclusive, flushing, settling /* refcounts are written in spite of lazy_refcounts */;
    struct direct *lent, *spare;
    uint64_t flush_begun, flush_done;
    int flush_result;

    struct codec *codec;
};

/* qcow2.c: all to the file, and the image is clean; nothing is in flight */
int q_finish(struct qcow2 *q);

/* qcow2_header.c */
bool header_read(struct qcow2 *q, struct err *e);
int header_write(struct qcow2 *q);                          /* the first sector, from head; then a flush of the file */
int header_switch(struct qcow2 *q, const uint8_t old[512]); /* header_write of a change, undone if it fails */
void header_again(struct qcow2 *q);                         /* undo what could not be undone then */
int header_prepare(struct qcow2 *q);         /* before the first change: mark, dirty bit, autoclear bits */
bool header_has_room(const struct qcow2 *q); /* for our mark */
int header_finish(struct qcow2 *q);          /* after the last: all is in the file */
bool header_set_backing(struct qcow2 *q, const char *path, const char *format, struct err *e);
int header_drop_ext(struct qcow2 *q, uint32_t type);
void header_fields(struct qcow2 *q);  /* table places and feature bits into head */
size_t header_features(uint8_t *out); /* the feature name table's data, as written into new images */
/* The place of an extension's header in head, 0: none. */
uint32_t header_find_ext(const uint8_t *head, size_t size, uint32_t start, uint32_t type, uint32_t *len);

/* qcow2_io.c: bytes of the file (reads beyond its end give zeroes), requests in flight */
int q_pread(struct image *file, void *buf, uint64_t off, uint64_t len);
int q_readv(struct image *file, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
void io_enter(struct qcow2 *q, struct io *io);
void io_leave(struct qcow2 *q, struct io *io);
void exclusive_begin(struct qcow2 *q);
void exclusive_end(struct qcow2 *q);
void ops_wait(struct qcow2 *q, uint64_t first, uint64_t end);
bool ops_overlap(const struct qcow2 *q, uint64_t first, uint64_t end);
void op_begin(struct qcow2 *q, struct alloc_op *op);
void op_end(struct qcow2 *q, struct alloc_op *op);
int q_corrupt(struct qcow2 *q); /* an active table is inconsistent: mark the image; -EIO */
bool sectors_add(struct sector_set *s, uint64_t entry, uint64_t entries);
void sectors_clear(struct sector_set *s);

/* qcow2_slices.c */
bool slices_init(struct slices *c, uint32_t slice_size, uint64_t bytes);
void slices_fini(struct slices *c);
/* A pinned slice. drop: the lock may be dropped while it is read, so look again at what led here. */
int slices_get(struct qcow2 *q, struct slices *c, uint64_t off, bool drop, struct slice **out);
struct slice *slices_peek(struct slices *c, uint64_t off); /* pinned, if it is there and loaded */
void slices_put(struct slices *c, struct slice *s);
void slices_dirty(struct slices *c, struct slice *s);
void slices_clean(struct slices *c, struct slice *s);
void slices_forget(struct slices *c, uint64_t off, uint64_t len); /* the bytes there are no longer what was cached */
void slices_forget_all(struct slices *c);

/* qcow2_owners.c: who owns a cluster of metadata */
bool owner_add(struct qcow2 *q, uint64_t off, uint64_t len, enum owner kind); /* false: taken, or no memory */
void owner_del(struct qcow2 *q, uint64_t off, uint64_t len);
enum owner owner_kind(const struct qcow2 *q, uint64_t off);
bool owner_is(const struct qcow2 *q, uint64_t off, uint64_t len, enum owner kind); /* all of it */
void owner_clear(struct qcow2 *q);
bool owner_load(struct qcow2 *q, struct err *e); /* from the tables in memory */

/* qcow2_table.c */
struct l2_ref {
    struct slice *s;
    unsigned index; /* in the slice */
    unsigned left;  /* entries from index to the slice's end */
};
enum { L2_NONE = 1 };
/* The entry of guest offset off. L2_NONE: there is no table. May drop the lock; the result holds while it is kept. */
int l2_get(struct qcow2 *q, uint64_t off, struct l2_ref *r);
int l2_peek(struct qcow2 *q, uint64_t off, struct l2_ref *r);    /* never drops the lock; -EAGAIN: not in memory */
int l2_get_own(struct qcow2 *q, uint64_t off, struct l2_ref *r); /* in a table that belongs to the active L1 alone */
void l2_put(struct qcow2 *q, struct l2_ref *r);
uint64_t l2_entry(const struct qcow2 *q, const struct l2_ref *r, unsigned n);
uint64_t l2_bitmap(const struct qcow2 *q, const struct l2_ref *r, unsigned n);
void l2_set(struct qcow2 *q, struct l2_ref *r, unsigned n, uint64_t entry, uint64_t bitmap);

enum what { WHAT_HOLE, WHAT_ZERO, WHAT_DATA, WHAT_COMPRESSED };
enum what entry_what(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, unsigned sub);
bool entry_valid(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, uint64_t guest);
uint64_t entry_host(const struct qcow2 *q, uint64_t entry,
                    uint64_t guest); /* of the cluster; meaningful if it has one */
bool entry_has_host(const struct qcow2 *q, uint64_t entry);
void compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len);

struct run {
    enum what what;
    uint64_t len, host; /* host: DATA, where the run's first byte is */
    uint64_t entry;     /* COMPRESSED */
    bool host_kept;     /* ZERO: there is a host cluster */
    bool own;           /* DATA: may be overwritten in place */
};
/* The longest run that is alike from off on, at most len. */
int run_find(struct qcow2 *q, uint64_t off, uint64_t len, bool peek, struct run *r);

/* qcow2_refcount.c */
uint64_t ref_max(const struct qcow2 *q);
uint64_t ref_load(const uint8_t *block, unsigned order, uint64_t index);
void ref_store(uint8_t *block, unsigned order, uint64_t index, uint64_t v);
int ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *v);
int ref_set(struct qcow2 *q, uint64_t cluster, uint64_t v);
int ref_change(struct qcow2 *q, uint64_t cluster, uint64_t count, int delta);
/* At most n clusters in a row, at least min; refcounts raised. *got: how many. Sets *pristine. */
int cluster_alloc(struct qcow2 *q, uint64_t n, uint64_t min, uint64_t *host, uint64_t *got, bool *pristine);
void cluster_unalloc(struct qcow2 *q, uint64_t host, uint64_t bytes); /* never referenced: free at once */
void free_later(struct qcow2 *q, uint64_t host, uint64_t bytes, bool punch);
void entry_free(struct qcow2 *q, uint64_t entry, uint64_t guest, bool punch);
bool freed_add(struct freed_list *l, uint64_t cluster, uint64_t count, bool punch);
int limbo_settle(struct qcow2 *q); /* lower the refcounts of what is safe by now */

/* qcow2_flush.c */
int q_flush(struct qcow2 *q); /* lock held; dropped meanwhile */
bool q_has_dirty(const struct qcow2 *q);
bool q_wants_flush(const struct qcow2 *q); /* the caches are nearly full of what must be written */
int q_settle(struct qcow2 *q);             /* flush, and again until nothing is left to do: no request in flight */

/* qcow2_codec.c */
bool codec_init(struct qcow2 *q);
void codec_fini(struct qcow2 *q);
int codec_read(struct qcow2 *q, uint64_t entry, uint64_t in, const struct iovec *iov, unsigned n, uint64_t skip,
               uint64_t len);
void codec_forget(struct qcow2 *q, uint64_t host, uint64_t bytes);
int q_write_compressed(struct image *img, const void *buf, uint64_t off, uint64_t len);

/* qcow2_read.c */
int q_read(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t off, uint64_t limit, unsigned flags);
int q_readv_op(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int q_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
int q_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off);
void q_direct_end(struct image *img, uint64_t off, uint64_t len, bool write);

/* qcow2_write.c */
int q_write(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int q_writev_op(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int q_writable(struct qcow2 *q); /* 0, or why not; prepares the first change */

/* qcow2_zero.c */
int q_discard(struct image *img, uint64_t off, uint64_t len);
int q_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags);
int q_make_empty(struct image *img);
int q_zero_range(struct qcow2 *q, uint64_t off, uint64_t end);    /* lock held */
int q_drop_clusters(struct qcow2 *q, uint64_t off, uint64_t end); /* to holes; cluster-aligned; lock held */

/* qcow2_txn.c */
struct txn;
struct txn *txn_begin(struct qcow2 *q, bool from_nothing /* all refcounts 0: rebuild */);
int txn_ref(struct txn *t, uint64_t cluster, int64_t delta);
int txn_ref_get(struct txn *t, uint64_t cluster, uint64_t *v);
int txn_alloc(struct txn *t, uint64_t clusters, uint64_t *off);
struct places { /* what else changes in the header; l1_offset 0: not L1 */
    uint64_t l1_offset, snapshots_offset, disk_size;
    uint32_t l1_size, nb_snapshots;
};
int txn_commit(struct txn *t, const struct places *p, void (*adopt)(struct qcow2 *q, void *arg), void *arg);
void txn_abort(struct txn *t);

/* qcow2_snapshot.c, qcow2_snapshot_ops.c */
bool snapshots_load(struct qcow2 *q, struct err *e);
void snapshots_free(struct qcow2 *q);
uint8_t *snapshots_pack(const struct snapshot *s, uint32_t n, unsigned version, uint64_t *size);
int snapshot_l1(struct qcow2 *q, const struct snapshot *s, uint64_t **l1);
int snapshot_find(const struct qcow2 *q, const char *id_or_name);
void snapshot_free(struct snapshot *s);
int q_snapshot_list(struct image *img, struct image_snapshot **out);
bool q_snapshot_create(struct image *img, struct image_snapshot *s, struct err *e);
bool q_snapshot_apply(struct image *img, const char *id_or_name, struct err *e);
bool q_snapshot_delete(struct image *img, const char *id_or_name, struct err *e);
bool q_snapshot_view(struct image *img, const char *id_or_name, struct err *e);

/* qcow2_check.c */
bool q_check(struct image *img, unsigned fix, struct image_check *result, void (*report)(void *, const char *),
             void *arg, struct err *e);
bool check_at_open(struct qcow2 *q, struct err *e); /* dirty or in use: refcounts made right */

/* qcow2_create.c, qcow2_resize.c, qcow2_bitmap.c, qcow2_info.c */
bool q_create(const struct image_create *c, struct err *e);
int q_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e);
int q_preallocate(struct qcow2 *q, uint64_t from, uint64_t to, enum image_prealloc p);
int bitmaps_before_write(struct qcow2 *q); /* enabled ones become inconsistent; clears the autoclear bit if it must */
int bitmaps_each_range(struct qcow2 *q, int (*fn)(void *arg, uint64_t off, uint64_t len), void *arg);
struct json_t *q_details(struct image *img);

static inline uint64_t cluster_of(const struct qcow2 *q, uint64_t off) { return off >> q->cluster_bits; }
static inline uint64_t in_cluster(const struct qcow2 *q, uint64_t off) { return off & (q->cluster_size - 1); }
static inline uint64_t clusters_for(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->cluster_bits) + (in_cluster(q, bytes) != 0);
}
static inline uint64_t l2_covers(const struct qcow2 *q) { return UINT64_C(1) << (q->l2_bits + q->cluster_bits); }
static inline unsigned ref_bits(const struct qcow2 *q) { return 1u << q->ref_order; }
/* log2 of the refcounts in a block */
static inline unsigned refblock_bits(const struct qcow2 *q) { return q->cluster_bits + 3 - q->ref_order; }

#endif
