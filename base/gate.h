/*
 * The input gate: every byte that reaches the machine from outside passes here.
 *
 * A source (a terminal, a socket, a disk's completions, the host's random numbers) registers once and delivers
 * messages; the gate hands each to the source's sink. Free-running, that is a call; recorded, each message is
 * also handed to the tap with the virtual time; replayed, sources are deaf and the player delivers.
 * Devices never read the host themselves.
 */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

struct clock;
struct gate;

struct gate_source {
    const char *name; /* unique within the machine, e.g. "serial0"; borrowed */
    void (*sink)(void *arg, const void *data, size_t len);
    void *arg;
    /* the gate's own: */
    struct gate *gate;
    struct gate_source *next;
    uint64_t messages, bytes;
};

typedef void gate_tap(void *arg, const struct gate_source *s, uint64_t when, const void *data, size_t len);

struct gate *gate_new(struct clock *clock);
void gate_free(struct gate *g);
void gate_register(struct gate *g, struct gate_source *s); /* s lives until gate_unregister */
void gate_unregister(struct gate_source *s);
void gate_deliver(struct gate_source *s, const void *data, size_t len); /* any thread */
/*
 * For messages too large to copy for nothing, frames: may what is head_len bytes of head and then len bytes of iov go in?
 * true: it was counted, and recorded as one message when there is a tap; the caller delivers it, the sink is not called.
 * On replay the sink gets it. Any thread.
 */
bool gate_pass(struct gate_source *s, const void *head, size_t head_len, const struct iovec *iov, size_t len);
void gate_set_tap(struct gate *g, gate_tap *tap, void *arg);
void gate_close(struct gate *g, bool closed); /* closed: deliver drops (the replay's player injects) */
bool gate_inject(struct gate *g, const char *name, const void *data, size_t len); /* false: no such source */

/* Random bytes for seeds and virtio-rng: from the host, or from the seed when one was set. */
void gate_random(struct gate *g, void *buf, size_t len);
void gate_set_seed(struct gate *g, uint64_t seed);

#endif
