/*
 * Judge an image file by its bytes: is it sound, does it hold what the belief allows, can it be worked on?
 */
#ifndef TESTS_DISK_JUDGE_H
#define TESTS_DISK_JUDGE_H

#include "tests/disk/belief.h"
#include "tests/disk/states.h"
#include "tests/disk/workload.h"

struct judge {
    const struct shape *shape;
    const struct belief *belief;
    const char *dir;
    struct rng rng;
    uint8_t *buf; /* sectors_max sectors */
    char why[900];
};

bool judge_init(struct judge *j, const struct shape *shape, const struct belief *belief, const char *dir,
                uint64_t seed);
void judge_fini(struct judge *j);
/* Each is true, or false with the reason in why. */
bool judge_check(struct judge *j, const struct bytes *b, struct image_check *res, char line[200]);
/* Whether qemu-img check counts the same. dirty: corruptions are no surprise. */
bool judge_qemu(struct judge *j, const struct bytes *b, const struct image_check *ours, bool dirty);
/* It opens for writing, holds what the belief allows after a power cut, takes new work, and is clean then. */
bool judge_recovers(struct judge *j, const struct bytes *b);
/* The contents of an open image and of its snapshots. The bytes are those of the file as it is now. */
bool judge_contents(struct judge *j, struct image *img, const struct bytes *b, bool crash);

#endif
