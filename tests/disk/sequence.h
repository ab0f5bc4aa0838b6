/*
 * A chain of images and what it must read as, for random work by us and by the tools of QEMU in turn.
 *
 * Files are DIR/0.img (the bottom) ... DIR/N.img. Only the top is worked on. The model is bytes: what each layer reads
 * as through its backing chain, and what each of its snapshots held. A discarded place reads as it did, as zeroes, or
 * (version 2) as the backing image; it is `loose` until somebody looks, and must stay as seen then.
 */
#ifndef TESTS_DISK_SEQUENCE_H
#define TESTS_DISK_SEQUENCE_H

#include "tests/disk/disk.h"
#include "tests/disk/states.h"

enum side { OURS, QEMU };
enum { LAYERS_MAX = 4, SNAPSHOTS_MAX = 3, BATCH_MAX = 12 };

struct held {
    char name[16];
    struct bytes bytes;
};

struct layer {
    char path[512];
    const char *format;
    unsigned cluster_bits, refcount_bits;
    bool v3, preallocated, cut;
    bool verified; /* by all tools, as it is now */
    char options[200];
    struct bytes view;
    uint8_t *loose, *touched; /* a byte a sector; touched: perhaps allocated here */
    uint64_t loose_n;
    struct held snaps[SNAPSHOTS_MAX];
    unsigned n_snaps;
};

enum op_kind { OP_WRITE, OP_NOISE, OP_COMPRESSED, OP_ZERO, OP_DISCARD, OP_FLUSH, OP_REOPEN, OP_KINDS };

struct op {
    enum op_kind kind;
    uint64_t off, len;
    uint8_t byte; /* the pattern */
    bool flag;    /* FUA of a write, unmap of zeroes */
    int result;
};

struct done {
    uint64_t ops, snapshots, resizes, commits, rebases, overlays, refused;
};

struct sequence {
    const struct proof_options *o;
    const char *guise; /* the program, NULL: not there */
    uint64_t seed;
    struct rng rng;
    unsigned ours_of_4; /* how often we do the work rather than QEMU: 0 ... 4 */
    struct layer layers[LAYERS_MAX];
    unsigned n, serial;
    char why[1200];
    struct done did;
};

static inline struct layer *top(struct sequence *q) { return &q->layers[q->n - 1]; }
bool failed(struct sequence *q, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* always false */
void say(const struct sequence *q, enum side side, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Each: false with the reason in why. */
bool sequence_begin(struct sequence *q);
bool sequence_step(struct sequence *q);
void sequence_end(struct sequence *q);
bool sequence_verify(struct sequence *q); /* everything that both say about every layer */
bool layer_settle(struct sequence *q);    /* look at the loose places of the top */

/* The two workers. Results of single operations are in the ops; false: something that must work did not. */
bool ours_batch(struct sequence *q, struct op *ops, unsigned n);
bool qemu_batch(struct sequence *q, struct op *ops, unsigned n);
/* The whole of a layer or of a snapshot in it (NULL: the layer), as each side reads it. Not more than max bytes. */
bool ours_read(struct sequence *q, const struct layer *l, const char *snapshot, struct bytes *out);
bool qemu_read(struct sequence *q, const struct layer *l, const char *snapshot, struct bytes *out);
struct image *layer_open(struct sequence *q, const struct layer *l, bool write);
/* Noise for OP_NOISE: the same for both sides. */
void noise_fill(uint8_t *buf, uint64_t off, uint64_t len, uint8_t byte);

bool verify_maps(struct sequence *q, const struct layer *l);
bool verify_infos(struct sequence *q, const struct layer *l);

#endif
