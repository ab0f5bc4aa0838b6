/* The folder of one user's named networks: NAME.lock, held by the process with the switch, and NAME.sock, where it listens. */
#ifndef NETSTACK_SEGMENT_DIR_H
#define NETSTACK_SEGMENT_DIR_H

#include <sys/types.h>

#include "netstack/segment.h"

enum { SEGMENT_DIR_MAX = 256, SEGMENT_PATH_MAX = 108, SEGMENT_NAME_MAX = 32 };

struct segment_paths {
    char dir[SEGMENT_DIR_MAX], lock[SEGMENT_DIR_MAX + SEGMENT_NAME_MAX + 8];
    char sock[SEGMENT_PATH_MAX]; /* what struct sockaddr_un holds */
};

const char *segment_kind_name(enum segment_kind k); /* "internal", ... */
bool segment_name_check(const char *name, struct err *e);
/* dir as in segment_config. make: made if it is not there; without, a folder that is not there is an error too. */
bool segment_dir(const char *dir, bool make, char path[SEGMENT_DIR_MAX], struct err *e);
bool segment_paths(struct segment_paths *p, const char *dir, const char *name, struct err *e);

/*
 * The lock: a descriptor that holds it, or -1; then *e says why, or is "" when another has it. It says who holds it, as
 * text, for segment_lock_read. Released by segment_unlock, and by the process's end.
 */
int segment_lock(const struct segment_paths *p, enum segment_kind kind, struct err *e);
void segment_unlock(const struct segment_paths *p, int fd); /* and the file goes */
bool segment_lock_read(const char *path, enum segment_kind *kind, pid_t *pid);

/* Non-blocking and close-on-exec. -1 with e set. */
int segment_listen(const struct segment_paths *p, struct err *e); /* by who holds the lock: what was there is replaced */
/* -1: nobody is there (now); e is "" for that, else it says why never. *pid: whose it is. */
int segment_connect(const char *sock, pid_t *pid, struct err *e);
bool segment_peer(int fd, pid_t *pid, struct err *e); /* the far end is of the same user */

#endif
