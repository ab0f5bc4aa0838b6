/* The terminal's modes and the guard that restores them. See tty.h. */
#include "frontend/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The guard: waits for the pipe. A byte means all is well; its end without one means that the parent died. In a session
 * of its own the terminal's signals and job control do not touch it.
 */
static _Noreturn void guard(int tty, int pipe_in, const struct termios *saved)
{
    char byte;
    ssize_t n;
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();
    dup2(tty, 0);
    dup2(pipe_in, 1); /* 0 and 1 are all it keeps: pipes to other programs must not stay open here */
    close_range(2, ~0U, 0);
    do
        n = read(1, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        tcsetattr(0, TCSANOW, saved);
    _exit(0);
}

static bool start_guard(struct tty *t, struct err *e)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(e, "terminal: %s", strerror(errno));
    t->guard = fork();
    if (t->guard < 0) {
        err_set(e, "terminal: %s", strerror(errno));
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (!t->guard) {
        int in = fcntl(fds[0], F_DUPFD, 10), tty = fcntl(t->fd, F_DUPFD, 10);

        guard(tty, in, &t->saved);
    }
    close(fds[0]);
    t->guard_pipe = fds[1];
    return true;
}

bool tty_enter(struct tty *t, int fd, bool signals, struct err *e)
{
    if (t->active || !isatty(fd) || tcgetattr(fd, &t->saved) < 0)
        return true;
    t->fd = fd;
    t->raw = t->saved;
    t->raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->raw.c_oflag |= OPOST; /* monitors and the log end lines with \n alone */
    t->raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        t->raw.c_lflag &= ~(tcflag_t)ISIG;
    t->raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
    t->raw.c_cflag |= CS8;
    t->raw.c_cc[VMIN] = 1;
    t->raw.c_cc[VTIME] = 0;
    if (!start_guard(t, e))
        return false;
    t->active = true;
    tcsetattr(fd, TCSANOW, &t->raw);
    return true;
}

void tty_restore(const struct tty *t)
{
    int saved_errno = errno;

    if (t->active)
        tcsetattr(t->fd, TCSANOW, &t->saved);
    errno = saved_errno;
}

void tty_again(const struct tty *t)
{
    int saved_errno = errno;

    if (t->active)
        tcsetattr(t->fd, TCSANOW, &t->raw);
    errno = saved_errno;
}

void tty_leave(struct tty *t)
{
    ssize_t n;

    if (!t->active)
        return;
    tcsetattr(t->fd, TCSADRAIN, &t->saved);
    t->active = false;
    n = write(t->guard_pipe, "q", 1);
    (void)n;
    close(t->guard_pipe);
    waitpid(t->guard, NULL, 0);
}
