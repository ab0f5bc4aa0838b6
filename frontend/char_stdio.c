/* Standard input and output as a character device; a terminal is put into raw mode. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/chardevs.h"

struct chardev *char_stdio_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct stream *s = calloc(1, sizeof *s);
    bool own_in = false, own_out = false;
    int in, out;

    if (!s || !stream_init(s, c->id ? c->id : "stdio", env->loop, env->gate, e)) {
        free(s);
        return NULL;
    }
    in = fcntl(STDIN_FILENO, F_GETFD) < 0 ? -1 : stream_reopen(STDIN_FILENO, O_RDONLY, &own_in);
    out = fcntl(STDOUT_FILENO, F_GETFD) < 0 ? -1 : stream_reopen(STDOUT_FILENO, O_WRONLY, &own_out);
    if (!stream_attach(s, in, out, own_out, e) || (env->tty && !tty_enter(env->tty, STDIN_FILENO, c->signal, e))) {
        s->own_in = own_in;
        s->dev.free(&s->dev);
        return NULL;
    }
    s->own_in = own_in;
    return &s->dev;
}
