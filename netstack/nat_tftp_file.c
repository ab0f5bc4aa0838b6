/*
 * Files for TFTP, from one folder and nothing above or beside it.
 *
 * The kernel resolves the name beneath the folder's descriptor and refuses ".." and links that lead out (openat2, Linux 5.6):
 * links that stay inside, as Debian's netboot folder has, are followed. Where that call is not to be had each component
 * is opened by itself and links are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netstack/nat_svc.h"

/* Component by component, no links: for kernels without openat2. */
static int open_by_steps(int root, char *path)
{
    int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);

    for (char *rest = path, *name; dir >= 0 && (name = strsep(&rest, "/"));) {
        int flags = (rest ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK) | O_NOFOLLOW | O_CLOEXEC, next;

        if (!*name || !strcmp(name, "."))
            continue; /* a folder, if it is the last: refused by the caller */
        next = strcmp(name, "..") != 0 ? openat(dir, name, flags) : -1;
        close(dir);
        dir = next;
    }
    return dir;
}

int tftp_open(int root, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, /* a FIFO must not hold us */
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    char path[TFTP_NAME_MAX];
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "%s", name + strspn(name, "/"));
    if (!*path)
        return -1;
    fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* EPERM: a filter that does not know the call */
        fd = open_by_steps(root, path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}
