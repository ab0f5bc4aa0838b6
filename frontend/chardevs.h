/*
 * The host ends a config can ask for. Each constructor gives a struct stream behind the chardev, or a struct vc, or the
 * null device.
 */
#ifndef FRONTEND_CHARDEVS_H
#define FRONTEND_CHARDEVS_H

#include "frontend/config.h"
#include "frontend/stream.h"
#include "frontend/tty.h"

struct chardev_env {
    struct loop *loop;
    struct gate *gate;
    struct tty *tty; /* NULL: leave the terminal as it is */
};

/* NULL: e names what could not be opened. Freed by ->free. */
struct chardev *chardev_open(const struct chardev_env *env, const struct chardev_config *c, struct err *e);

struct chardev *char_stdio_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e);
struct chardev *char_file_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e);
struct chardev *char_pty_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e);
struct chardev *char_vc_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e);
struct chardev *char_unix_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e);

#endif
