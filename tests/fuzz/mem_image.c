#include "tests/fuzz/mem_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool inside(const struct image *img, uint64_t off, uint64_t len)
{
    return off <= img->size && len <= img->size - off;
}

static int mem_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n), have = off < img->size ? img->size - off : 0;

    (void)flags;
    have = have < total ? have : total;
    if (have)
        iov_from_buf(iov, n, 0, mem_image_bytes(img) + off, have);
    iov_zero(iov, n, have, total - have);
    return 0;
}

static int mem_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n);

    (void)flags;
    if (!inside(img, off, total))
        return -ENOSPC;
    iov_to_buf(mem_image_bytes(img) + off, iov, n, 0, total);
    return 0;
}

static int mem_flush(struct image *img)
{
    (void)img;
    return 0;
}

static int mem_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    (void)flags;
    if (!inside(img, off, len))
        return -ENOSPC;
    memset(mem_image_bytes(img) + off, 0, len);
    return 0;
}

static int mem_discard(struct image *img, uint64_t off, uint64_t len) { return mem_write_zeroes(img, off, len, 0); }

static void mem_close(struct image *img) { free(img->priv); }

static const struct image_ops mem_ops = {
    .format = "memory",
    .protocol = true,
    .close = mem_close,
    .readv = mem_readv,
    .writev = mem_writev,
    .flush = mem_flush,
    .discard = mem_discard,
    .write_zeroes = mem_write_zeroes,
};

struct image *mem_image(const void *data, size_t len, size_t size, bool read_only)
{
    struct image *img = calloc(1, sizeof *img);
    uint8_t *bytes = calloc(size ? size : 1, 1);
    char *path = strdup("memory");

    if (!img || !bytes || !path)
        abort();
    memcpy(bytes, data, len < size ? len : size);
    *img = (struct image){
        .ops = &mem_ops, .size = size, .logical = 512, .read_only = read_only, .path = path, .priv = bytes};
    return img;
}

uint8_t *mem_image_bytes(struct image *img) { return img->priv; }
