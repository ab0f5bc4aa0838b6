/* Rates of requests and bytes: leaking buckets, one a limit. No lock, no clock of its own. */
#ifndef IMAGES_THROTTLE_H
#define IMAGES_THROTTLE_H

#include "images/block.h"

enum { THROTTLES = 2 }; /* reads, writes: each waits in its own line */

struct throttle {
    struct block_limits limits;
    double level[LIMITS], burst[LIMITS]; /* what is in the buckets */
    uint64_t last;                       /* ns of the last leak */
};

bool throttle_set(struct throttle *t, const struct block_limits *l, uint64_t now); /* any limit at all? */
bool throttle_counts(const struct block_req *r);                                   /* flush and discard do not */
/* ns until r may go, 0: now. */
uint64_t throttle_wait(struct throttle *t, const struct block_req *r, uint64_t now);
void throttle_take(struct throttle *t, const struct block_req *r); /* r goes */
void throttle_give_back(struct throttle *t, const struct block_req *r);

#endif
