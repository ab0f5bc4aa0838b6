/*
 * Folder, lock and socket.
 *
 * The lock is flock's: it belongs to the open file, so two members of one process are told apart, and it goes with the
 * process. The file is removed by who holds the lock; who gets a lock makes sure that the file is still the one in the
 * folder. A socket is bound by the lock's holder only, so what a dead one left is replaced without a race.
 * The folder is the border between users: nobody else may enter it. Who connects is asked for its user as well.
 */
#include "netstack/segment_dir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"

static const char *const kind_names[] = {
    [SEGMENT_INTERNAL] = "internal", [SEGMENT_HOSTONLY] = "hostonly", [SEGMENT_NAT] = "natnet"};

const char *segment_kind_name(enum segment_kind k) { return kind_names[k]; }

bool segment_name_check(const char *name, struct err *e)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
            return err_set(e, "network name '%s': only letters, digits, '-', '_' and '.'", name);
    if (!n || n > SEGMENT_NAME_MAX || name[0] == '.')
        return err_set(e, "network name '%s': 1 to %d characters, not beginning with '.'", name, SEGMENT_NAME_MAX);
    return true;
}

/* --- the folder -------------------------------------------------------------------------------------------------- */

static bool check_folder(const char *path, bool make, struct err *e)
{
    struct stat st;

    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, "cannot make '%s': %s", path, strerror(errno));
    if (lstat(path, &st) < 0)
        return err_set(e, "'%s': %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, "'%s' is not a folder", path);
    if (st.st_uid != geteuid())
        return err_set(e, "'%s' belongs to another user", path);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, "'%s' may be written by others than its owner", path);
    return true;
}

/* guise and guise/net under the user's run-time folder, which is checked as well: it may be left over from before su. */
static bool default_dir(bool make, char path[SEGMENT_DIR_MAX], struct err *e)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    int n;

    if (run && *run && !check_folder(run, false, e))
        return err_prefix(e, "XDG_RUNTIME_DIR");
    if (run && *run)
        n = snprintf(path, SEGMENT_DIR_MAX, "%s/guise", run);
    else
        n = snprintf(path, SEGMENT_DIR_MAX, "/tmp/guise-%u", (unsigned)geteuid());
    if (n + 4 >= SEGMENT_DIR_MAX)
        return err_set(e, "'%s' is too long", run);
    if (!check_folder(path, make, e))
        return false;
    strcat(path, "/net");
    return check_folder(path, make, e);
}

bool segment_dir(const char *dir, bool make, char path[SEGMENT_DIR_MAX], struct err *e)
{
    if (!dir)
        return default_dir(make, path, e);
    if (snprintf(path, SEGMENT_DIR_MAX, "%s", dir) >= SEGMENT_DIR_MAX)
        return err_set(e, "'%s' is too long", dir);
    return check_folder(path, make, e);
}

bool segment_paths(struct segment_paths *p, const char *dir, const char *name, struct err *e)
{
    snprintf(p->dir, sizeof p->dir, "%s", dir);
    snprintf(p->lock, sizeof p->lock, "%s/%s.lock", p->dir, name);
    if (snprintf(p->sock, sizeof p->sock, "%s/%s.sock", p->dir, name) >= (int)sizeof p->sock)
        return err_set(e, "'%s/%s.sock' is too long for a socket", p->dir, name);
    return true;
}

/* --- the lock ---------------------------------------------------------------------------------------------------- */

/* The file behind fd is the one in the folder: its last holder did not remove it while we waited to open it. */
static bool still_there(const char *path, int fd)
{
    struct stat a, b;

    return !fstat(fd, &a) && !lstat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void lock_sign(int fd, enum segment_kind kind)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s %ld\n", kind_names[kind], (long)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return; /* for people only; a full disk does not end a network */
}

int segment_lock(const struct segment_paths *p, enum segment_kind kind, struct err *e)
{
    e->msg[0] = '\0';
    for (;;) {
        int fd = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0) {
            err_set(e, "'%s': %s", p->lock, strerror(errno));
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK)
                err_set(e, "'%s' cannot be locked: %s", p->lock, strerror(errno));
            close(fd);
            return -1;
        }
        if (still_there(p->lock, fd)) {
            lock_sign(fd, kind);
            return fd;
        }
        close(fd);
    }
}

void segment_unlock(const struct segment_paths *p, int fd)
{
    if (fd < 0)
        return;
    unlink(p->sock);
    unlink(p->lock);
    flock(fd, LOCK_UN); /* a child forked meanwhile may have a copy of the descriptor */
    close(fd);
}

bool segment_lock_read(const char *path, enum segment_kind *kind, pid_t *pid)
{
    char text[64] = "", name[16];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    long number;
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0 || sscanf(text, "%15s %ld", name, &number) != 2)
        return false;
    *pid = (pid_t)number;
    for (unsigned i = 0; i < ARRAY_LEN(kind_names); i++)
        if (!strcmp(name, kind_names[i])) {
            *kind = (enum segment_kind)i;
            return true;
        }
    return false;
}

/* --- the socket -------------------------------------------------------------------------------------------------- */

static int new_socket(const char *path, struct sockaddr_un *sa, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        err_set(e, "no unix socket: %s", strerror(errno));
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(sa->sun_path, sizeof sa->sun_path, "%s", path);
    return fd;
}

int segment_listen(const struct segment_paths *p, struct err *e)
{
    struct sockaddr_un sa;
    int fd = new_socket(p->sock, &sa, e);

    if (fd < 0)
        return -1;
    unlink(p->sock);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || chmod(p->sock, 0600) < 0 || listen(fd, 64) < 0) {
        err_set(e, "cannot listen on '%s': %s", p->sock, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

bool segment_peer(int fd, pid_t *pid, struct err *e)
{
    struct ucred c;
    socklen_t len = sizeof c;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0)
        return err_set(e, "a member without a name: %s", strerror(errno));
    if (c.uid != geteuid())
        return err_set(e, "process %ld is another user's", (long)c.pid);
    *pid = c.pid;
    return true;
}

int segment_connect(const char *sock, pid_t *pid, struct err *e)
{
    struct sockaddr_un sa;
    int fd = new_socket(sock, &sa, e);

    if (fd < 0)
        return -1;
    e->msg[0] = '\0';
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        if (errno != ECONNREFUSED && errno != ENOENT && errno != EAGAIN)
            err_set(e, "'%s': %s", sock, strerror(errno));
    } else if (segment_peer(fd, pid, e)) {
        return fd;
    }
    close(fd);
    return -1;
}
