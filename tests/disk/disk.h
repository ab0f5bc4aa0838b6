/*
 * What the proofs of the block layer share: a seeded generator, contents that name themselves, images that live in
 * memory, record or fail, and calls of the tools of QEMU.
 *
 * Every number that a proof draws comes from its seed, so that a failure is repeated by the seed it prints.
 */
#ifndef TESTS_DISK_DISK_H
#define TESTS_DISK_DISK_H

#include <pthread.h>
#include <stdio.h>

#include "images/image.h"

enum { SECTOR = 512 };

struct rng {
    uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 ... n - 1; 0 for n = 0 */
static inline bool rng_one_in(struct rng *r, uint64_t n) { return rng_below(r, n) == 0; }
uint64_t hash_bytes(const void *data, uint64_t len, uint64_t hash);

/*
 * A sector's content is made from a stamp and its place, so that a read tells which write it came from. Stamp 0 is
 * zeroes. Most stamps compress well; those with STAMP_NOISE do not.
 */
enum { STAMP_NOISE = 1 << 30 };
void stamp_fill(uint8_t *buf, uint32_t stamp, uint64_t sector);
bool stamp_read(const uint8_t *buf, uint64_t sector, uint32_t *stamp); /* false: no write made this */

/* A host file in memory, a copy of data[0..size). Grows when written past its end, up to 256 MiB. */
struct image *memory_new(const void *data, uint64_t size);
const uint8_t *memory_data(const struct image *img);

/* What a format asked of its host file, in order. */
enum record_kind { RECORD_WRITE, RECORD_ZERO, RECORD_RESIZE, RECORD_FLUSH };
struct record {
    enum record_kind kind;
    bool fua;
    uint64_t off, len; /* RESIZE: the new size is off; FLUSH: the number of requests before it began */
    uint8_t *data;
};
struct recording {
    struct record *v;
    size_t n, cap;
    bool threads;         /* several work on it: give way often */
    bool deaf;            /* flushes are neither recorded nor passed on: a planted bug */
    pthread_mutex_t lock; /* for threads: requests are recorded in the order in which they are done */
};
struct image *recorder_new(struct image *below /* stays the caller's */, struct recording *log);
void recording_init(struct recording *log);
void recording_free(struct recording *log);

/* Host calls that fail: those numbered first ... last - 1 (from 0) among those of the kinds wanted. */
enum { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_FLUSH = 4, FAULT_DISCARD = 8, FAULT_RESIZE = 16, FAULT_ALL = 31 };
struct fault {
    uint64_t calls, first, last;
    unsigned kinds;
    int error; /* negative errno */
    bool tear; /* a write that fails has written its first half, in whole sectors */
    uint64_t failed;
};
struct image *injector_new(struct image *below /* stays the caller's */, struct fault *f);

/* Run a shell command; its output in *out (malloc'ed, 0-terminated) when out is not NULL. The exit code, or -1. */
int shell(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool file_write(const char *path, const void *data, uint64_t size);
uint8_t *file_read(const char *path, uint64_t *size); /* malloc'ed; NULL when it cannot be read */

/* Read all of img, at most max bytes, in pieces of random size. 0 or a negative errno. */
int image_read_all(struct image *img, struct rng *r, uint8_t *buf, uint64_t max);
int image_write_at(struct image *img, const void *buf, uint64_t len, uint64_t off, unsigned flags);

/* One line of TAP. False when pass is false. */
bool tap(bool pass, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct proof_options {
    uint64_t seed, count; /* what is counted: sequences, states, faults */
    const char *dir;      /* where files may be made */
    const char *format;
    const char *plant; /* a bug to plant: the proof must find it */
    bool verbose, keep;
};
bool proof_random(const struct proof_options *o);
bool proof_crash(const struct proof_options *o);
bool proof_fault(const struct proof_options *o);

#endif
