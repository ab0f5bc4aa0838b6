/*
 * Locks on image files, as QEMU takes them (block/file-posix.c): open-file-description read locks on byte 100 + n for
 * each permission in use and on byte 200 + n for each one not shared, then a look whether another holds the counterpart.
 *
 * A part of a file (a partition, a byte range) is locked so that QEMU and whole-file users of ours keep out, while users
 * of other parts do not: one lock over bytes 100 to 198 and one over 200 to 298, by whose length parts know each other,
 * and a lock on the bytes themselves, moved up by 2^62, shared for readers and exclusive for writers.
 *
 * Who holds a lock: the kernel does not say for this kind, so the lock lines of /proc/PID/fdinfo are read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/file.h"

enum {
    PERM_READ = 1, /* BLK_PERM_CONSISTENT_READ */
    PERM_WRITE = 2,
    PERM_RESIZE = 8,
    PERMS = 4,
    LOCK_HELD = 100,     /* first byte of the permissions in use */
    LOCK_UNSHARED = 200, /* first byte of the permissions not shared */
    PART_LEN = 99,       /* bytes that the lock of a part covers from either of these on */
};
static const off_t BYTES = (off_t)1 << 62; /* a part's own bytes are locked from here on */

static int lock_bytes(int fd, short type, off_t start, off_t len)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* Another open file's lock that is in the way of an exclusive one. */
static bool find_lock(int fd, off_t start, off_t len, struct flock *l)
{
    *l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, F_OFD_GETLK, l) == 0 && l->l_type != F_UNLCK;
}

static bool is_part(const struct flock *l) { return l->l_len == PART_LEN; }

/* Does the descriptor info at path show a lock of the OFD kind that meets [start, start + len)? */
static bool info_has_lock(const char *path, off_t start, off_t len)
{
    FILE *f = fopen(path, "re");
    char line[256];
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f)) {
        char last[32];
        intmax_t from;

        found = !strncmp(line, "lock:", 5) &&
                sscanf(line, "lock: %*s OFDLCK %*s %*s %*s %*s %jd %31s", &from, last) == 2 && from < start + len &&
                (!strcmp(last, "EOF") || strtoll(last, NULL, 10) >= start);
    }
    if (f)
        fclose(f);
    return found;
}

/* Has process pid another descriptor than `self` of ours with such a lock on that file? */
static bool holds_lock(const char *pid, const struct stat *file, int self, off_t start, off_t len)
{
    char path[320];
    DIR *d;
    struct dirent *ent;
    bool found = false, own = strtol(pid, NULL, 10) == getpid();

    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    d = opendir(path);
    while (d && !found && (ent = readdir(d))) {
        struct stat st;

        snprintf(path, sizeof path, "/proc/%.16s/fd/%s", pid, ent->d_name);
        if (*ent->d_name == '.' || (own && atoi(ent->d_name) == self) || stat(path, &st) < 0)
            continue;
        if (st.st_dev != file->st_dev || st.st_ino != file->st_ino)
            continue;
        snprintf(path, sizeof path, "/proc/%.16s/fdinfo/%s", pid, ent->d_name);
        found = info_has_lock(path, start, len);
    }
    if (d)
        closedir(d);
    return found;
}

static void process_name(const char *pid, char *out, size_t size)
{
    char path[64], name[64] = "process";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    f = fopen(path, "re");
    if (f && fgets(name, sizeof name, f))
        name[strcspn(name, "\n")] = 0;
    if (f)
        fclose(f);
    snprintf(out, size, "%s (pid %.16s)", name, pid);
}

static void holder(int fd, const struct flock *l, char *out, size_t size)
{
    struct stat st;
    struct dirent *ent;
    DIR *d = fstat(fd, &st) == 0 ? opendir("/proc") : NULL;

    snprintf(out, size, "another process");
    while (d && (ent = readdir(d)))
        if (*ent->d_name >= '1' && *ent->d_name <= '9' && holds_lock(ent->d_name, &st, fd, l->l_start, l->l_len)) {
            process_name(ent->d_name, out, size);
            break;
        }
    if (d)
        closedir(d);
}

static bool refuse(struct image *img, int fd, const struct flock *l, bool writes, struct err *e)
{
    char who[128];

    holder(fd, l, who, sizeof who);
    return err_set(e, "disk image '%s' is in use by %s%s", img->path, who, writes ? ", which writes to it" : "");
}

/* Host file systems without locks are used without them, as QEMU does. */
static bool lock_whole(struct image *img, int fd, struct err *e)
{
    unsigned held = img->read_only ? PERM_READ : PERM_READ | PERM_WRITE | PERM_RESIZE;
    unsigned unshared = PERM_WRITE | PERM_RESIZE;
    struct flock l;

    for (unsigned n = 0; n < PERMS; n++) {
        if (held >> n & 1 && lock_bytes(fd, F_RDLCK, LOCK_HELD + n, 1) < 0)
            return true;
        if (unshared >> n & 1 && lock_bytes(fd, F_RDLCK, LOCK_UNSHARED + n, 1) < 0)
            return true;
    }
    for (unsigned n = 0; n < PERMS; n++) {
        if (unshared >> n & 1 && find_lock(fd, LOCK_HELD + n, 1, &l))
            return refuse(img, fd, &l, true, e);
        if (held >> n & 1 && find_lock(fd, LOCK_UNSHARED + n, 1, &l))
            return refuse(img, fd, &l, false, e);
    }
    return true;
}

static bool lock_part(struct image *img, int fd, struct err *e)
{
    struct flock l;

    if (lock_bytes(fd, F_RDLCK, LOCK_HELD, PART_LEN) < 0 || lock_bytes(fd, F_RDLCK, LOCK_UNSHARED, PART_LEN) < 0)
        return true;
    for (unsigned n = 0; n < PERMS; n++)
        if ((PERM_WRITE | PERM_RESIZE) >> n & 1 && ((find_lock(fd, LOCK_HELD + n, 1, &l) && !is_part(&l)) ||
                                                    (find_lock(fd, LOCK_UNSHARED + n, 1, &l) && !is_part(&l))))
            return refuse(img, fd, &l, false, e);
    return true;
}

bool file_lock(struct image *img, struct err *e)
{
    struct file *f = img->priv;

    return f->range ? lock_part(img, f->fd, e) : lock_whole(img, f->fd, e);
}

bool file_lock_range(struct image *img, uint64_t off, uint64_t len, struct err *e)
{
    struct file *f = img->priv;
    off_t start = BYTES + (off_t)off;
    struct flock l = {.l_start = start, .l_len = (off_t)len};
    int ret;

    if (img->ops != &image_file || !f->range || off >= (uint64_t)BYTES || len >= (uint64_t)BYTES - off)
        return true;
    ret = lock_bytes(f->fd, img->read_only ? F_RDLCK : F_WRLCK, start, (off_t)len);
    if (ret != -EAGAIN && ret != -EACCES)
        return true;
    find_lock(f->fd, start, (off_t)len, &l);
    return refuse(img, f->fd, &l, img->read_only, e);
}
