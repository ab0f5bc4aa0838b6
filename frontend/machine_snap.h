/* What machine_snap.c (take, list) and machine_snap_drop.c (delete) share. All on the loop's thread but the merge itself. */
#ifndef FRONTEND_MACHINE_SNAP_H
#define FRONTEND_MACHINE_SNAP_H

#include "frontend/machine_parts.h"
#include "frontend/snap.h"

/* The machine's disks in the order of the set. */
struct snap_disks {
    struct block *block[SNAP_DISKS];
    const char *file[SNAP_DISKS];
    unsigned n;
};

/* Those that are written to; false: one cannot have snapshots, or there are none. */
bool machine_snap_disks(struct machine *m, struct snap_disks *d, struct err *e);
/* The set beside the disks, or (make) a new one named after the first of them; closed by the caller. NULL: e is set. */
struct snap_set *machine_snap_set(struct machine *m, struct snap_disks *d, bool make, struct err *e);
/* The head whose disks the machine runs on; d is put into its order. NULL: e is set. */
struct snap_head *machine_snap_head(struct snap_set *s, struct snap_disks *d, struct err *e);
bool machine_snap_same_path(const char *a, const char *b); /* both are there, and one file */

/* Delete a snapshot; *what is what became of it, in words. A merge goes on in a thread (m->snap). */
bool machine_snap_drop(struct machine *m, const char *name, const char **what, struct err *e);
void machine_snap_join(struct machine *m); /* the thread, when it has begun */

#endif
