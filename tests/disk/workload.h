/*
 * Random work on one disk, for the proofs by power cuts and by faults: shapes of images and steps of work.
 */
#ifndef TESTS_DISK_WORKLOAD_H
#define TESTS_DISK_WORKLOAD_H

#include "tests/disk/disk.h"

struct shape {
    const char *format;
    char options[160]; /* of create */
    unsigned cluster_bits, refcount_bits;
    bool v3, lazy, snapshots, resizes, compresses, discards;
    bool backing; /* a raw backing file: sector n reads as stamp BACKING_STAMP */
    uint64_t sectors, sectors_max;
};
enum { BACKING_STAMP = 1, FIRST_STAMP = 2 };

enum step_kind {
    STEP_WRITE,
    STEP_COMPRESSED,
    STEP_ZERO,
    STEP_DISCARD,
    STEP_FLUSH,
    STEP_RESIZE,
    STEP_SNAPSHOT,
    STEP_APPLY,
    STEP_DELETE,
    STEP_REOPEN, /* the caller's work: close, open */
    STEP_KINDS,
};

struct step {
    enum step_kind kind;
    uint64_t sector, count; /* RESIZE: count is the new size */
    uint32_t stamp;
    unsigned flags; /* IMAGE_FUA, IMAGE_UNMAP */
    char name[8];
    int result;
    uint64_t size;     /* of the disk, in sectors, after it */
    size_t begin, end; /* places in the recording */
    uint64_t from, to; /* FLUSH: the sectors that it is known to settle */
};
extern const char *const step_names[STEP_KINDS];

struct workload {
    struct shape shape;
    struct rng rng;
    uint64_t sectors;
    uint64_t base,
        span; /* where it works: all, or a part beside other threads, which then only read, write and flush */
    bool part;
    uint32_t stamp;
    char snaps[3][8];
    unsigned n_snaps, serial;
    uint64_t hot; /* where the work is for a while */
};

void shape_random(struct shape *s, const char *format, struct rng *r);
void workload_init(struct workload *w, const struct shape *shape, uint64_t seed);
/* The same work in sectors [base, base + span), for a thread; stamps from `stamp` on. */
void workload_part(struct workload *part, const struct workload *whole, uint64_t base, uint64_t span, uint32_t stamp,
                   uint64_t seed);
void workload_next(struct workload *w, struct step *s);
void workload_done(struct workload *w, struct step *s, const struct image *img); /* after the step was run */
int step_run(struct image *img, struct step *s); /* not of STEP_REOPEN; the result is in s too */
void step_print(const struct step *s, char *text, size_t n);
/* The image as the shape says, made by qemu-img or by us; its bytes, malloc'ed. The path of its backing file is in `dir`. */
uint8_t *shape_create(const struct shape *s, const char *dir, bool ours, uint64_t *size);
bool shape_backing_file(const struct shape *s, const char *dir);
struct image *shape_open(const struct shape *s, struct image *file, const char *dir, const struct image_options *o,
                         struct err *e);

#endif
