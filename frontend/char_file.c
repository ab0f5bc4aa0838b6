/* A file that takes a stream's output. /proc/self/fd/N gives a description of our own of what a parent handed down. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/chardevs.h"

/* What cannot be opened again by name (a socket behind /proc/self/fd/N) is used as it is. */
static int inherited(const char *path)
{
    static const char *const dirs[] = {"/proc/self/fd/", "/dev/fd/"};
    uint64_t fd;

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (!strncmp(path, dirs[i], strlen(dirs[i])) && parse_u64(path + strlen(dirs[i]), &fd) && fd < 1 << 20)
            return fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    return -1;
}

struct chardev *char_file_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct stream *s = calloc(1, sizeof *s);
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (c->append ? O_APPEND : 0);
    int fd, dup = inherited(c->path);
    struct stat st;

    if (!s || !stream_init(s, c->id ? c->id : c->path, env->loop, env->gate, e)) {
        free(s);
        return NULL;
    }
    if (dup >= 0 && fstat(dup, &st) == 0 && (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode))) {
        fd = dup; /* share the position: truncating a log that others write to would lose their lines */
    } else {
        if (dup >= 0)
            close(dup);
        fd = open(c->path, flags, 0666);
        s->truncate = fd >= 0 && !c->append && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    }
    if (fd < 0) {
        err_set(e, "%s: %s", c->path, strerror(errno));
        s->dev.free(&s->dev);
        return NULL;
    }
    stream_attach(s, -1, fd, true, e);
    return &s->dev;
}
