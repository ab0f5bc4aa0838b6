/*
 * The copying engine of convert, dd, compact, commit and rebase: several threads take pieces of the source in order,
 * read what is data, look for zeroes and write the rest. Holes are never read.
 */
#ifndef FRONTEND_IMG_COPY_H
#define FRONTEND_IMG_COPY_H

#include "frontend/img/img.h"
#include "frontend/img/job.h"

struct copy {
    struct image *const *source; /* one after the other */
    unsigned sources;
    struct image *target;
    uint64_t start;   /* where in the joined sources the target begins */
    uint64_t size;    /* bytes to copy; sources that end before it read as zeroes */
    uint32_t sparse;  /* runs of zeroes from so many bytes on are not written; 0: everything is */
    bool target_zero; /* the target reads as zeroes where nothing is written */
    bool top_only;    /* what the first layer of a source does not hold is left alone (-B) */
    bool compress, copy_range, salvage;
    unsigned threads;
    uint64_t rate;
    /* What of [off, off + len) is to be copied, NULL: all. Shortens *len to what is alike; true: copy it. */
    bool (*wanted)(void *arg, uint64_t off, uint64_t *len);
    void *wanted_arg;
};

bool copy_run(struct copy *c, struct img_args *a, struct err *e);

#endif
