/*
 * The files that a power cut can leave behind, from a recording of what was asked of the host.
 *
 * A host keeps what it was asked to write before its last flush. Of what came later, each 512-byte sector is, on its
 * own, as any of the later requests left it: a page cache holds a sector as a whole, so a later change never reaches
 * the disk without an earlier one to the same sector, but sectors have no order among them. FUA writes are kept.
 */
#ifndef TESTS_DISK_STATES_H
#define TESTS_DISK_STATES_H

#include "tests/disk/disk.h"

struct bytes {
    uint8_t *data;
    uint64_t size, cap;
};

struct states {
    const struct recording *log;
    struct bytes live, durable; /* with all requests so far; as of the last flush */
    size_t at, epoch;           /* requests so far; the first that the last flush did not cover */
};

void bytes_copy(struct bytes *to, const struct bytes *from);
void states_init(struct states *s, const struct recording *log, const void *data, uint64_t size);
void states_fini(struct states *s);
void states_step(struct states *s); /* one more request */
/* A random state that a cut here can leave; `name` says how it was made. */
void states_variant(const struct states *s, struct rng *r, struct bytes *out, char *name, size_t n);

#endif
