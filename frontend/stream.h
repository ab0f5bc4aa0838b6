/*
 * The host end of a character stream over descriptors: what char_stdio, char_file, char_pty and char_unix share.
 *
 * Output goes through a ring to the loop's thread, so that a device never waits for the host; a full ring is a short
 * count. With nobody at the other end output is dropped. Input passes the gate and is read only while the device has
 * room. No O_NONBLOCK is ever set on a description somebody else may share: we open our own through /proc/self/fd, and
 * where that is impossible a poll precedes each small write.
 */
#ifndef FRONTEND_STREAM_H
#define FRONTEND_STREAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/gate.h"
#include "base/loop.h"
#include "devices/chardev.h"

enum { STREAM_RING = 64 << 10 };

enum stream_out { STREAM_NONBLOCK, STREAM_SOCKET, STREAM_FILE, STREAM_SHARED };

struct stream {
    struct chardev dev;
    struct loop *loop;
    struct gate_source source;
    char *name;
    int in, out; /* -1: none */
    enum stream_out how;
    bool in_watched, out_watched, own_in, own_out;
    bool truncate; /* the file's old contents go when the machine is complete, not when its set-up fails */
    void (*hangup)(struct stream *s); /* the other end went away; NULL: input just ends */
    void (*closed)(struct stream *s); /* for the owner's free */
    _Atomic bool in_paused;
    pthread_mutex_t lock; /* of what follows */
    uint8_t *ring;
    size_t head, count;
    bool flushing, short_count;
};

/* s is zeroed and may be embedded. e: out of memory. */
bool stream_init(struct stream *s, const char *name, struct loop *loop, struct gate *gate, struct err *e);
void stream_fini(struct stream *s);
/* The machine is complete: what set-up put off. */
void stream_start(struct stream *s);
/* Connect: in and out may be -1; own: closed on detach. Loop's thread, or before it runs. */
bool stream_attach(struct stream *s, int in, int out, bool own, struct err *e);
void stream_detach(struct stream *s);
/* A description of our own for fd, else fd itself (*own false). */
int stream_reopen(int fd, int flags, bool *own);
/* Wait until all is written, at most ms. For the end of the machine: the loop does not run any more. */
void stream_flush(struct stream *s, int ms);
/* The stream under a chardev made by one of the constructors. */
struct stream *stream_of(struct chardev *c);

#endif
