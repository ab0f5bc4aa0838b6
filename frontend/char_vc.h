/*
 * A character device whose host end is a terminal in the window: QEMU's `vc`.
 *
 * What the guest writes waits in a ring for one reader, the text tab's thread. A reader that lags behind makes short
 * counts, so nothing is lost; without a reader (no window yet, none at all, closed) the guest is not held up and the
 * newest VC_RING bytes stay for whoever comes. What is typed waits in a bounded queue for the device's room and passes
 * the gate on the loop's thread.
 *
 * The machine owns a vc; a reader leaves (vc_detach) before the machine is freed. All functions here but the
 * constructor may be called from any thread.
 */
#ifndef FRONTEND_CHAR_VC_H
#define FRONTEND_CHAR_VC_H

#include "devices/chardev.h"

enum {
    VC_RING = 1 << 20,  /* bytes from the guest */
    VC_INPUT = 1 << 20, /* bytes typed or pasted that the guest has not taken */
    VC_COLS = 80,       /* until somebody says otherwise */
    VC_ROWS = 24,
    VC_CELL_W = 8, /* QEMU's font, for sizes given in pixels */
    VC_CELL_H = 16,
};

struct vc;

/* There is something to read where there was nothing: called on the writing thread with locks held, so it may only signal. */
typedef void vc_wake_fn(void *arg);

struct vc *vc_of(struct chardev *c);
const char *vc_name(const struct vc *v); /* the chardev's id; as long as the vc */
/* Become the reader (there is one at a time); wake is called at once when something waits. */
void vc_attach(struct vc *v, vc_wake_fn *wake, void *arg);
void vc_detach(struct vc *v); /* wake is not called any more after it returns */
/* Up to len bytes of what the guest wrote; 0: nothing now. */
size_t vc_read(struct vc *v, void *buf, size_t len);
/* To the guest; how many fitted in the queue. */
size_t vc_input(struct vc *v, const void *buf, size_t len);
void vc_resize(struct vc *v, uint16_t cols, uint16_t rows); /* the guest is told when it asks or listens */
void vc_size(struct vc *v, uint16_t *cols, uint16_t *rows);

#endif
