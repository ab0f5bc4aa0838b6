/*
 * One terminal shared by several users (serial port, consoles, monitors), and the Ctrl-A keys.
 *
 * Output of all users goes through; input goes to the one in focus, the first at the start. Escape, then:
 * h help, x exit, s commit, t time stamps, b break, c next user, escape the character itself.
 */
#ifndef FRONTEND_MUX_H
#define FRONTEND_MUX_H

#include "devices/chardev.h"

struct loop;
struct mux;

/* What keys ask of the machine; called on the loop's thread. */
struct mux_actions {
    void (*quit)(void *arg);
    const char *(*commit)(void *arg); /* returns a line to print */
    void *arg;
};

/* host is owned from then on. escape: the character code, 1 for Ctrl-A, 0: none. NULL: out of memory. */
struct mux *mux_new(struct chardev *host, struct loop *loop, unsigned escape, const struct mux_actions *actions);
void mux_free(struct mux *m);
/* A chardev for one more user, owned by the mux. focus (may be NULL) is told when input begins and ends to go there. */
struct chardev *mux_port(struct mux *m, void (*focus)(void *arg, bool in), void *arg);
struct chardev *mux_host(struct mux *m);

#endif
