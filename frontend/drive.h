/*
 * Disks of a config: what -drive, -blockdev and --disk have in common, and how one is opened.
 *
 * A drive is a file with options (drive_config.file) or a tree of block nodes (drive_config.node), a JSON object as
 * QEMU's -blockdev describes it: {"driver":"qcow2","file":{"driver":"file","filename":"x"},"backing":null}. A child may
 * be the name of a node given before.
 */
#ifndef FRONTEND_DRIVE_H
#define FRONTEND_DRIVE_H

#include "frontend/config.h"

struct block;
struct clock;
struct image;
struct json_t;

/* cache, aio, discard, detect-zeroes, rerror, werror, read-only, snapshot and the limits, by QEMU's names. */
bool drive_options(struct drive_config *d, struct keyvals *k, struct err *e);

bool drive_format(struct machine_config *c, struct drive_config *d, const char *format, struct err *e);

/* The keys that nobody has asked for, as an object: a.b=c becomes {"a":{"b":"c"}}. A new reference; NULL: e is set. */
struct json_t *drive_tree(struct keyvals *k, struct err *e);
/* Check the tree of a drive and claim the nodes it names. */
bool drive_check_node(struct machine_config *c, struct json_t *node, struct err *e);

/*
 * The format of a file whose user named none: by its header when its name ends as such files do (a guest can write any
 * header, but it cannot rename its disk); a header that the name does not agree with is refused. Name "raw" if there is
 * no header; NULL with e set.
 */
const char *drive_guess_format(const char *path, struct err *e);

struct block *drive_open(const struct machine_config *c, const struct drive_config *d, struct clock *clock,
                         struct err *e);
/* The images of a tree, opened. */
struct image *drive_open_node(const struct machine_config *c, struct json_t *node, bool read_only, bool direct,
                              struct err *e);

const char *drive_policy_name(enum block_policy p);

#endif
