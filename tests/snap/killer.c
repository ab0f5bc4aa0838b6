/* LD_PRELOAD: end the process at its KILL_AT-th change of the host's disk. With KILL_COUNT=FILE: write how many there were. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned seen; /* a test's; one process */

static void at(void)
{
    const char *k = getenv("KILL_AT");

    if (__atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) == (k ? (unsigned)atoi(k) : 0))
        _exit(99);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("KILL_COUNT");
    FILE *f = path ? fopen(path, "w") : NULL;

    if (f) {
        fprintf(f, "%u\n", seen);
        fclose(f);
    }
}

#define NEXT(type, name, params, args)                                                                                 \
    type name params;                                                                                                  \
    type name params                                                                                                   \
    {                                                                                                                  \
        static type(*next) params;                                                                                     \
        if (!next)                                                                                                     \
            *(void **)&next = dlsym(RTLD_NEXT, #name);                                                                 \
        at();                                                                                                          \
        return next args;                                                                                              \
    }

NEXT(int, rename, (const char *a, const char *b), (a, b))
NEXT(int, link, (const char *a, const char *b), (a, b))
NEXT(int, unlink, (const char *a), (a))
NEXT(int, fsync, (int fd), (fd))
NEXT(int, fdatasync, (int fd), (fd))
NEXT(int, ftruncate, (int fd, off_t n), (fd, n))
NEXT(int, ftruncate64, (int fd, off_t n), (fd, n))
NEXT(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o))
NEXT(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o))
NEXT(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
NEXT(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
NEXT(ssize_t, pwritev2, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))
NEXT(ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))
NEXT(int, fallocate, (int fd, int m, off_t o, off_t n), (fd, m, o, n))
NEXT(int, fallocate64, (int fd, int m, off_t o, off_t n), (fd, m, o, n))
