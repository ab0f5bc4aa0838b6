/*
 * What a disk may hold: for each sector the stamps it may read as now, and those it may read as after a power cut.
 *
 * A write is possible after a cut from its first host call on; once it has returned, the sector holds it now; once a
 * flush has returned, older stamps are gone. A write that failed may have happened or not, and no flush settles that.
 * The size of the disk is a cell as any sector. A snapshot is a copy of the disk: it is there whole or not at all.
 */
#ifndef TESTS_DISK_BELIEF_H
#define TESTS_DISK_BELIEF_H

#include "tests/disk/disk.h"

struct step;
struct shape;

struct cell {
    struct guess {
        uint32_t stamp;
        bool now;
    } * v;
    unsigned n, cap;
};

struct snap_belief {
    char name[8];
    bool must;        /* its making has returned and its deletion has not begun */
    bool gone;        /* its deletion has returned */
    uint64_t sectors; /* 0: not known */
    struct cell *cells;
};

enum { SNAPS_MAX = 16 };

struct belief {
    const struct shape *shape;
    struct cell *cells, size; /* size in sectors */
    uint64_t cells_max;
    struct snap_belief snaps[SNAPS_MAX];
    unsigned n_snaps;
};

struct belief *belief_new(const struct shape *shape);
void belief_free(struct belief *b);
void belief_begin(struct belief *b, const struct step *s);
void belief_end(struct belief *b, const struct step *s);              /* looks at s->result */
void belief_learn(struct belief *b, uint64_t sector, uint32_t stamp); /* seen on a running disk */

/* NULL, or what is wrong (in `why`). crash: after a power cut; else now. buf is the whole disk of `sectors` sectors. */
const char *belief_check(const struct belief *b, const uint8_t *buf, uint64_t sectors, bool crash, char *why, size_t n);
const char *belief_check_snapshot(const struct belief *b, const char *name, const uint8_t *buf, uint64_t sectors,
                                  char *why, size_t n);

#endif
