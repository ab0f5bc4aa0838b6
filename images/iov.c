/* Helpers on scatter-gather lists. */
#include <string.h>

#include "images/image.h"

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

/* Most data differs in its first bytes; for the rest the C library compares wider than we would. */
bool buf_is_zero(const void *buf, size_t len)
{
    const uint8_t *p = buf;
    size_t first = len < 16 ? len : 16;

    for (size_t i = 0; i < first; i++)
        if (p[i])
            return false;
    return len <= 16 || !memcmp(p, p + 16, len - 16);
}

bool iov_is_zero(const struct iovec *iov, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!buf_is_zero(iov[i].iov_base, iov[i].iov_len))
            return false;
    return true;
}
