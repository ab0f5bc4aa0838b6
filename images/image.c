/*
 * The format table, and helpers on scatter-gather lists.
 *
 * A format is never guessed from the content: a guest may write any header into a raw disk (CVE-2008-1945 and its
 * kin). A known header only makes us refuse a file whose format was not named.
 */
#include "images/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

static const struct image_ops *const formats[] = {&image_raw};

static const struct {
    const char *format, *magic;
    size_t len;
} magics[] = {
    {"qcow2", "QFI\xfb", 4}, {"vmdk", "KDMV", 4},         {"vhdx", "vhdxfile", 8}, {"vpc", "conectix", 8},
    {"vdi", "<<< Or", 6},    {"luks", "LUKS\xba\xbe", 6}, {"qed", "QED\0", 4},
};

static const char *looks_like(const char *path)
{
    char head[16] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);

    if (fd >= 0)
        close(fd);
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(magics); i++)
        if (!memcmp(head, magics[i].magic, magics[i].len))
            return magics[i].format;
    return NULL;
}

static const struct image_ops *format_find(const char *path, const char *format, struct err *e)
{
    const char *seen = format ? NULL : looks_like(path);

    if (seen) {
        err_set(e, "disk image '%s' looks like %s; name its format with format=", path, seen);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!format || !strcmp(format, formats[i]->format))
            return formats[i];
    err_set(e, "disk image '%s': format '%s' is not known (known: raw)", path, format);
    return NULL;
}

struct image *image_open(const char *path, const struct image_options *o, struct err *e)
{
    const struct image_ops *ops = format_find(path, o->format, e);
    struct image *img = ops ? calloc(1, sizeof *img) : NULL;

    if (!img) {
        if (ops)
            err_set(e, "disk image '%s': out of memory", path);
        return NULL;
    }
    *img = (struct image){.ops = ops, .logical = 512, .read_only = o->read_only, .path = strdup(path)};
    if (!img->path ? !err_set(e, "out of memory") : !ops->open(img, o, e)) {
        free(img->path);
        free(img);
        return NULL;
    }
    return img;
}

void image_close(struct image *img)
{
    if (!img)
        return;
    img->ops->close(img);
    free(img->path);
    free(img);
}

unsigned iov_slice(struct iovec *out, unsigned max, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                   uint64_t *bytes)
{
    unsigned cnt = 0;

    *bytes = 0;
    for (unsigned i = 0; i < n && cnt < max && *bytes < len; i++) {
        uint64_t have = iov[i].iov_len;

        if (skip >= have) {
            skip -= have;
            continue;
        }
        have -= skip;
        if (have > len - *bytes)
            have = len - *bytes;
        out[cnt++] = (struct iovec){(char *)iov[i].iov_base + skip, have};
        *bytes += have;
        skip = 0;
    }
    return cnt;
}

enum iov_job { IOV_GET, IOV_PUT, IOV_ZERO };

static void iov_each(enum iov_job job, const struct iovec *iov, unsigned n, uint64_t skip, char *buf, uint64_t len)
{
    for (unsigned i = 0; i < n && len; i++) {
        uint64_t have = iov[i].iov_len;
        char *p = iov[i].iov_base;

        if (skip >= have) {
            skip -= have;
            continue;
        }
        p += skip;
        have -= skip;
        skip = 0;
        if (have > len)
            have = len;
        if (job == IOV_GET)
            memcpy(buf, p, have);
        else if (job == IOV_PUT)
            memcpy(p, buf, have);
        else
            memset(p, 0, have);
        if (buf)
            buf += have;
        len -= have;
    }
}

void iov_to_buf(void *buf, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len)
{
    iov_each(IOV_GET, iov, n, skip, buf, len);
}

void iov_from_buf(const struct iovec *iov, unsigned n, uint64_t skip, const void *buf, uint64_t len)
{
    iov_each(IOV_PUT, iov, n, skip, (char *)(uintptr_t)buf, len); /* IOV_PUT only reads buf */
}

void iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len)
{
    iov_each(IOV_ZERO, iov, n, skip, NULL, len);
}

uint64_t iov_total(const struct iovec *iov, unsigned n)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}
