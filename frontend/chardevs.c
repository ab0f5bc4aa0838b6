/* Which constructor makes which kind of character device. */
#include "frontend/chardevs.h"

#include "devices/chardev_null.h"

struct chardev *chardev_open(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct chardev *dev = NULL;

    switch (c->kind) {
    case CHARDEV_STDIO: dev = char_stdio_new(env, c, e); break;
    case CHARDEV_FILE: dev = char_file_new(env, c, e); break;
    case CHARDEV_PTY: dev = char_pty_new(env, c, e); break;
    case CHARDEV_UNIX: dev = char_unix_new(env, c, e); break;
    case CHARDEV_VC: dev = char_vc_new(env, c, e); break;
    case CHARDEV_NULL:
        dev = chardev_null_new();
        if (!dev)
            err_set(e, "out of memory");
        break;
    }
    return dev;
}
