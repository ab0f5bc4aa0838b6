/*
 * Files read front to back and unpacked on the way. See source.h.
 *
 * What cannot seek (a pipe behind /proc/self/fd) is first copied to an unlinked memory file, so that rewinding works.
 * EFI zboot (Linux drivers/firmware/efi/libstub/zboot-header.S): "MZ", 0, 0, "zimg", payload offset, payload size, two
 * reserved words, then the compression's name.
 */
#include "frontend/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"

enum codec { CODEC_PLAIN, CODEC_GZIP, CODEC_ZSTD };
enum { CHUNK = 256 << 10 };

struct source {
    char *path;
    int fd;
    uint64_t size;       /* of the file */
    uint64_t start, end; /* of the payload in it */
    uint64_t pos;        /* of the next byte to take from the file */
    enum codec codec;
    z_stream gz;
    bool gz_live, finished;
    ZSTD_DStream *zs;
    ZSTD_inBuffer zin;
    uint8_t *chunk; /* packed input */
};

static bool damaged(const struct source *s, const char *what, struct err *e)
{
    return err_set(e, "%s: %s", s->path, what);
}

static int64_t read_fully(int fd, void *buf, uint64_t len, uint64_t off)
{
    uint64_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (!n)
            break;
        done += (uint64_t)n;
    }
    return (int64_t)done;
}

/* Copy a stream to a memory file that can seek; replaces s->fd. */
static bool spool(struct source *s, struct err *e)
{
    int fd = memfd_create("guise-source", MFD_CLOEXEC);
    uint8_t buf[16384];
    ssize_t n;

    if (fd < 0)
        return err_set(e, "%s: %s", s->path, strerror(errno));
    while ((n = read(s->fd, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write(fd, buf, (size_t)n) != n) {
            err_set(e, "%s: %s", s->path, strerror(errno));
            close(fd);
            return false;
        }
        s->size += (uint64_t)n;
    }
    close(s->fd);
    s->fd = fd;
    return true;
}

static bool detect(struct source *s, struct err *e)
{
    uint8_t head[64] = {0};
    int64_t n = read_fully(s->fd, head, sizeof head, 0);

    if (n < 0)
        return damaged(s, strerror((int)-n), e);
    if (n >= 40 && !memcmp(head, "MZ", 2) && !memcmp(head + 4, "zimg", 4)) {
        uint64_t off = ld32(head + 8), size = ld32(head + 12);
        const char *codec = (const char *)head + 24;

        if (off > s->size || size > s->size - off)
            return damaged(s, "truncated EFI zboot image", e);
        s->start = off;
        s->end = off + size;
        if (!memcmp(codec, "gzip", 4))
            s->codec = CODEC_GZIP;
        else if (!memcmp(codec, "zstd", 4))
            s->codec = CODEC_ZSTD;
        else
            return err_set(e, "%s: EFI zboot image packed with '%.8s', which is not known here", s->path, codec);
    } else if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
        s->codec = CODEC_GZIP;
    } else if (n >= 4 && ld32(head) == UINT32_C(0xfd2fb528)) {
        s->codec = CODEC_ZSTD;
    }
    return true;
}

struct source *source_open(const char *path, bool unpack, struct err *e)
{
    struct source *s = calloc(1, sizeof *s);
    struct stat st;

    if (!s || !(s->path = strdup(path))) {
        free(s);
        err_set(e, "out of memory");
        return NULL;
    }
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) < 0) {
        err_set(e, "%s: %s", path, strerror(errno));
        source_close(s);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        err_set(e, "%s: is a directory", path);
        source_close(s);
        return NULL;
    }
    s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (!S_ISREG(st.st_mode) && !spool(s, e)) {
        source_close(s);
        return NULL;
    }
    s->end = s->size;
    if ((unpack && !detect(s, e)) || !source_rewind(s, e)) {
        source_close(s);
        return NULL;
    }
    return s;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->gz_live)
        inflateEnd(&s->gz);
    ZSTD_freeDStream(s->zs);
    if (s->fd >= 0)
        close(s->fd);
    free(s->chunk);
    free(s->path);
    free(s);
}

uint64_t source_file_size(const struct source *s) { return s->size; }
bool source_packed(const struct source *s) { return s->codec != CODEC_PLAIN; }

bool source_rewind(struct source *s, struct err *e)
{
    s->pos = s->start;
    s->finished = false;
    if (s->codec == CODEC_PLAIN)
        return true;
    if (!s->chunk && !(s->chunk = malloc(CHUNK)))
        return err_set(e, "out of memory");
    if (s->codec == CODEC_GZIP) {
        if (s->gz_live)
            inflateEnd(&s->gz);
        memset(&s->gz, 0, sizeof s->gz);
        s->gz_live = inflateInit2(&s->gz, 16 + MAX_WBITS) == Z_OK;
        return s->gz_live || err_set(e, "out of memory");
    }
    if (!s->zs && !(s->zs = ZSTD_createDStream()))
        return err_set(e, "out of memory");
    ZSTD_initDStream(s->zs);
    s->zin = (ZSTD_inBuffer){s->chunk, 0, 0};
    return true;
}

/* Next piece of packed input into s->chunk. */
static bool refill(struct source *s, uint64_t *got, struct err *e)
{
    uint64_t want = s->end - s->pos < CHUNK ? s->end - s->pos : CHUNK;
    int64_t n = read_fully(s->fd, s->chunk, want, s->pos);

    if (n < 0)
        return damaged(s, strerror((int)-n), e);
    s->pos += (uint64_t)n;
    *got = (uint64_t)n;
    return true;
}

static bool read_gzip(struct source *s, uint8_t *buf, uint64_t len, uint64_t *got, struct err *e)
{
    while (*got < len && !s->finished) {
        uint64_t in = 0, room = len - *got < UINT32_MAX ? len - *got : UINT32_MAX;
        int rc;

        if (!s->gz.avail_in) {
            if (!refill(s, &in, e))
                return false;
            if (!in)
                return damaged(s, "truncated gzip data", e);
            s->gz.next_in = s->chunk;
            s->gz.avail_in = (unsigned)in;
        }
        s->gz.next_out = buf + *got;
        s->gz.avail_out = (unsigned)room;
        rc = inflate(&s->gz, Z_NO_FLUSH);
        *got += room - s->gz.avail_out;
        if (rc == Z_STREAM_END)
            s->finished = true;
        else if (rc != Z_OK && rc != Z_BUF_ERROR)
            return damaged(s, "damaged gzip data", e);
    }
    return true;
}

static bool read_zstd(struct source *s, uint8_t *buf, uint64_t len, uint64_t *got, struct err *e)
{
    while (*got < len && !s->finished) {
        ZSTD_outBuffer out = {buf, len, *got};
        uint64_t in = 0;
        size_t rc;

        if (s->zin.pos == s->zin.size) {
            if (!refill(s, &in, e))
                return false;
            s->zin = (ZSTD_inBuffer){s->chunk, in, 0};
        }
        rc = ZSTD_decompressStream(s->zs, &out, &s->zin);
        if (ZSTD_isError(rc))
            return damaged(s, "damaged zstd data", e);
        if (!rc)
            s->finished = true;
        else if (out.pos == *got && !in && s->zin.pos == s->zin.size && s->pos >= s->end)
            return damaged(s, "truncated zstd data", e);
        *got = out.pos;
    }
    return true;
}

bool source_read(struct source *s, void *buf, uint64_t len, uint64_t *got, struct err *e)
{
    *got = 0;
    if (s->codec == CODEC_GZIP)
        return read_gzip(s, buf, len, got, e);
    if (s->codec == CODEC_ZSTD)
        return read_zstd(s, buf, len, got, e);
    if (len > s->end - s->pos)
        len = s->end - s->pos;
    if (len) {
        int64_t n = read_fully(s->fd, buf, len, s->pos);

        if (n < 0)
            return damaged(s, strerror((int)-n), e);
        *got = (uint64_t)n;
        s->pos += *got;
    }
    return true;
}

bool source_read_at(struct source *s, void *buf, uint64_t len, uint64_t off, struct err *e)
{
    int64_t n;

    if (off > s->size || len > s->size - off)
        return damaged(s, "truncated", e);
    n = read_fully(s->fd, buf, len, off);
    if (n < 0)
        return damaged(s, strerror((int)-n), e);
    return (uint64_t)n == len || damaged(s, "truncated", e);
}
