/* Numbers, contents, processes, files. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/disk/disk.h"

/* splitmix64 (Vigna): every seed is good, also 0. */
uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t n) { return n ? rng_next(r) % n : 0; }

uint64_t hash_bytes(const void *data, uint64_t len, uint64_t hash)
{
    const uint8_t *p = data;
    uint64_t word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (; len; p++, len--)
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    return hash;
}

void stamp_fill(uint8_t *buf, uint32_t stamp, uint64_t sector)
{
    struct rng r = {(uint64_t)stamp << 32 | (uint32_t)sector};
    uint32_t word = stamp * 2654435761u;

    memset(buf, 0, SECTOR);
    if (!stamp)
        return;
    for (unsigned i = 8; i < SECTOR; i += 4) {
        if (stamp & STAMP_NOISE)
            word = (uint32_t)rng_next(&r);
        memcpy(buf + i, &word, 4);
    }
    word = (uint32_t)sector;
    memcpy(buf, &stamp, 4);
    memcpy(buf + 4, &word, 4);
}

bool stamp_read(const uint8_t *buf, uint64_t sector, uint32_t *stamp)
{
    uint8_t want[SECTOR];

    memcpy(stamp, buf, 4);
    stamp_fill(want, *stamp, sector);
    return !memcmp(buf, want, SECTOR);
}

int shell(char **out, const char *fmt, ...)
{
    size_t n = 0, cap = 4096;
    char cmd[8192], *text = NULL;
    FILE *f;
    va_list ap;
    int status;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    if (out)
        *out = NULL;
    fflush(stdout);
    f = popen(cmd, "r"); // NOLINT(cert-env33-c): a test's own command
    if (!f)
        return -1;
    for (;;) {
        char buf[4096];
        size_t got = fread(buf, 1, sizeof buf, f);

        if (!got)
            break;
        if (!text || n + got + 1 > cap) {
            char *more = realloc(text, cap = (n + got + 1) * 2);

            if (!more)
                break;
            text = more;
        }
        memcpy(text + n, buf, got);
        text[n += got] = 0;
    }
    status = pclose(f);
    if (out)
        *out = text ? text : strdup("");
    else
        free(text);
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool file_write(const char *path, const void *data, uint64_t size)
{
    FILE *f = fopen(path, "wbe");
    bool ok = f && fwrite(data, 1, size, f) == size;

    if (f && fclose(f))
        ok = false;
    return ok;
}

uint8_t *file_read(const char *path, uint64_t *size)
{
    FILE *f = fopen(path, "rbe");
    uint8_t *buf = NULL;
    long len;

    if (f && !fseek(f, 0, SEEK_END) && (len = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
        *size = (uint64_t)len;
        buf = malloc(*size ? *size : 1);
        if (buf && fread(buf, 1, *size, f) != *size) {
            free(buf);
            buf = NULL;
        }
    }
    if (f)
        fclose(f);
    return buf;
}

int image_write_at(struct image *img, const void *buf, uint64_t len, uint64_t off, unsigned flags)
{
    struct iovec v = {(void *)(uintptr_t)buf, len};

    return len ? img->ops->writev(img, &v, 1, off, flags) : 0;
}

int image_read_all(struct image *img, struct rng *r, uint8_t *buf, uint64_t max)
{
    uint64_t end = img->size < max ? img->size : max;

    for (uint64_t pos = 0; pos < end;) {
        uint64_t len = rng_one_in(r, 4) ? (1 + rng_below(r, 64)) * SECTOR : end - pos;
        struct iovec v = {buf + pos, len < end - pos ? len : end - pos};
        int ret = img->ops->readv(img, &v, 1, pos, 0);

        if (ret < 0)
            return ret;
        pos += v.iov_len;
    }
    return 0;
}

bool tap(bool pass, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("%sok - ", pass ? "" : "not ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    return pass;
}

void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    printf("# ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
}
