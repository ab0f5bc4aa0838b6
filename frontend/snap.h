/*
 * A tree of snapshots of a set of disks, over standard files.
 *
 * The set is a JSON file beside the disks. A node is a snapshot: for each disk a frozen layer, a file that standard tools
 * read (qcow2 over its parent's layer; the first is the disk as it was, full). A head is a state that goes on: for each
 * disk a writable qcow2 over the layer of the head's parent, under the name by which machines open it. "main" is the first.
 *
 *   disk.qcow2 --backing--> disk@2.qcow2 --backing--> disk@1.qcow2
 *
 * Every operation writes what it is about to do into the set's journal, then does steps that can be repeated (link,
 * rename over, copy what the child lacks), then writes the set without the journal. Who opens the set after a crash goes on
 * from there. Each name of a disk leads to a whole image at every moment. All calls are one thread's; the set is locked.
 */
#ifndef FRONTEND_SNAP_H
#define FRONTEND_SNAP_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct image;

enum { SNAP_DISKS = 16, SNAP_NODES = 512, SNAP_HEADS = 32, SNAP_NAME = 64, SNAP_PATH = 512 };

struct snap_node {
    unsigned id, parent; /* 0: none */
    int64_t time;        /* seconds since 1970 */
    bool hidden;         /* deleted by name, its layers are still needed by others */
    char name[SNAP_NAME];
    char layer[SNAP_DISKS][SNAP_PATH], format[SNAP_DISKS][16];
};

struct snap_head {
    char name[SNAP_NAME];
    unsigned parent; /* 0: not snapshotted yet */
    char path[SNAP_DISKS][SNAP_PATH];
};

enum snap_op { SNAP_NONE, SNAP_TAKE, SNAP_RESET /* a head starts anew over a node */, SNAP_DELETE };

struct snap_journal {
    enum snap_op op;
    unsigned id;                      /* node */
    char head[SNAP_NAME];             /* TAKE, RESET */
    char path[SNAP_DISKS][SNAP_PATH]; /* TAKE: of the head from then on */
    char how[16];                     /* DELETE: drop, pull, commit, keep */
};

struct snap_set {
    char path[SNAP_PATH], dir[SNAP_PATH]; /* dir: with a slash at the end, or "" */
    int lock;
    unsigned disks, nodes, heads, next;
    struct snap_node node[SNAP_NODES];
    struct snap_head head[SNAP_HEADS];
    struct snap_journal journal;
};

/* Progress of a merge: false stops it where it can be taken up again. */
typedef bool snap_progress(void *arg, uint64_t done, uint64_t all);

/* snap_set.c. Paths in a set are relative to its folder when they lie there. */
bool snap_exists(const char *path);
struct snap_set *snap_open(const char *path, struct err *e); /* locked, an interrupted take or reset completed */
/* A new set of these disks; not written before its first operation. */
struct snap_set *snap_new(const char *path, const char *const *disks, unsigned n, struct err *e);
void snap_close(struct snap_set *s); /* NULL is allowed */
bool snap_save(struct snap_set *s, struct err *e);
struct snap_node *snap_node(struct snap_set *s, unsigned id); /* NULL: none */
struct snap_node *snap_find(struct snap_set *s, const char *name, struct err *e);
struct snap_head *snap_head(struct snap_set *s, const char *name, struct err *e); /* NULL name: the first */
void snap_full_path(const struct snap_set *s, const char *name, char out[2 * SNAP_PATH]);
unsigned snap_children(const struct snap_set *s, unsigned id);
void snap_remove_node(struct snap_set *s, struct snap_node *n);
uint64_t snap_node_bytes(const struct snap_set *s, const struct snap_node *n); /* on the host's disk */
void snap_list(struct snap_set *s, FILE *out);
bool snap_list_json(struct snap_set *s, FILE *out);
bool snap_interrupted(const char *path); /* its journal has a take or a reset */
/* The set in the folder of disk that has it as a head's; its path, false: none. */
bool snap_find_set(const char *disk, char path[SNAP_PATH]);

/*
 * snap_take.c. A take in three parts: begin notes it and makes the new overlays under names of their own; swap, which is
 * quick, puts disk i's in place; end makes all stable. overlay: where disk i's new image is until its swap.
 */
bool snap_take_begin(struct snap_set *s, struct snap_head *h, const char *name, const uint64_t *sizes, struct err *e);
bool snap_take_swap(struct snap_set *s, unsigned i, struct err *e);
bool snap_take_end(struct snap_set *s, struct err *e);
void snap_take_overlay(const struct snap_set *s, unsigned i, char out[2 * SNAP_PATH]);
bool snap_take(struct snap_set *s, struct snap_head *h, const char *name, struct err *e); /* of a stopped machine */
bool snap_restore(struct snap_set *s, struct snap_head *h, struct snap_node *n, bool discard, struct err *e);
bool snap_branch(struct snap_set *s, struct snap_node *n, const char *name, struct err *e);
bool snap_recover(struct snap_set *s, struct err *e); /* a take or reset that was interrupted */

/* snap_merge.c. Delete a snapshot: what others need of it is merged, or kept unseen while two depend on it. */
bool snap_delete(struct snap_set *s, struct snap_node *n, snap_progress *progress, void *arg, struct err *e);
bool snap_tidy(struct snap_set *s, snap_progress *progress, void *arg, struct err *e); /* what was put off */
bool snap_delete_head(struct snap_set *s, struct snap_head *h, struct err *e);
void snap_layer_writable(const char *path, bool on); /* the file's mode; frozen layers are read-only */
/* A running machine: child is its writable top image over n's layer, held by the caller for each call of a step. */
bool snap_space(const char *path, uint64_t need, struct err *e); /* is there so much room where path lies? */
/* Copy what lower holds and upper lacks in [*off, ...), at most max bytes of it; *off moves on, to the end when done. */
bool snap_pull_step(struct image *upper, struct image *lower, uint64_t *off, uint64_t max, struct err *e);
bool snap_skip_layer(struct image *upper, struct image *lower, struct err *e); /* then: name lower's backing file */
uint64_t snap_pull_bytes(struct image *upper, struct image *lower); /* how much that is */

#endif
