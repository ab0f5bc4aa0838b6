/*
 * The terminal in raw mode, and back to what it was on every way out.
 *
 * A guard process holds the saved state: when we die without a word (SIGKILL, a crash) it restores the terminal.
 * One struct tty belongs to the process (main.c); machines borrow it.
 */
#ifndef FRONTEND_TTY_H
#define FRONTEND_TTY_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "base/err.h"

struct tty {
    int fd;
    volatile bool active;
    struct termios saved, raw;
    pid_t guard;
    int guard_pipe;
};

/* Raw mode on fd; not a terminal: nothing happens. signals: Ctrl-C, Ctrl-\ and Ctrl-Z keep their meaning. */
bool tty_enter(struct tty *t, int fd, bool signals, struct err *e);
void tty_leave(struct tty *t);         /* restore, and dismiss the guard */
void tty_restore(const struct tty *t); /* async-signal-safe */
void tty_again(const struct tty *t);   /* raw mode once more, after SIGCONT; async-signal-safe */

#endif
