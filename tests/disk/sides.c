/* Work on the top image by our code, in this process, and by qemu-io; reading by both. See sequence.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "images/block.h"
#include "tests/disk/sequence.h"

void noise_fill(uint8_t *buf, uint64_t off, uint64_t len, uint8_t byte)
{
    struct rng r = {off << 8 | byte};

    for (uint64_t i = 0; i < len; i += 8) {
        uint64_t word = rng_next(&r);

        memcpy(buf + i, &word, len - i < 8 ? len - i : 8);
    }
}

struct image *layer_open(struct sequence *q, const struct layer *l, bool write)
{
    struct image_options o = {.format = l->format, .read_only = !write};
    struct err e = {{0}};
    struct image *img = image_open(l->path, &o, &e);

    if (!img)
        failed(q, "we cannot open it: %.800s", e.msg);
    return img;
}

static int our_write(struct image *img, const struct op *op)
{
    uint8_t *buf = malloc(op->len);
    int ret = -EOPNOTSUPP;

    if (!buf)
        return -ENOMEM;
    if (op->kind == OP_NOISE)
        noise_fill(buf, op->off, op->len, op->byte);
    else
        memset(buf, op->byte, op->len);
    if (op->kind == OP_COMPRESSED && img->ops->write_compressed)
        ret = img->ops->write_compressed(img, buf, op->off, op->len);
    if (ret == -EOPNOTSUPP)
        ret = image_write_at(img, buf, op->len, op->off, op->flag ? IMAGE_FUA : 0);
    free(buf);
    return ret;
}

/* --- as devices do it: requests to the block layer, side by side unless they overlap ------------------------------ */

struct flight {
    struct block_req req;
    struct iovec iov;
    struct op *op;
    bool done;
};

static void flight_done(struct block_req *r, int result)
{
    struct flight *f = r->arg;

    f->op->result = result;
    __atomic_store_n(&f->done, true, __ATOMIC_RELEASE);
}

static void flight_begin(struct block *b, struct flight *f, struct op *op)
{
    static const enum block_op kinds[] = {
        [OP_WRITE] = BLOCK_WRITE,     [OP_NOISE] = BLOCK_WRITE, [OP_ZERO] = BLOCK_WRITE_ZEROES,
        [OP_DISCARD] = BLOCK_DISCARD, [OP_FLUSH] = BLOCK_FLUSH,
    };

    *f = (struct flight){.op = op};
    f->req =
        (struct block_req){.op = kinds[op->kind], .offset = op->off, .len = op->len, .done = flight_done, .arg = f};
    if (op->kind == OP_FLUSH)
        f->req.offset = f->req.len = 0;
    if (op->kind == OP_WRITE || op->kind == OP_NOISE) {
        f->iov = (struct iovec){malloc(op->len), op->len};
        if (!f->iov.iov_base)
            abort();
        if (op->kind == OP_NOISE)
            noise_fill(f->iov.iov_base, op->off, op->len, op->byte);
        else
            memset(f->iov.iov_base, op->byte, op->len);
        f->req.iov = &f->iov;
        f->req.iovcnt = 1;
        f->req.flags = op->flag ? BLOCK_FUA : 0;
    } else if (op->kind == OP_ZERO) {
        f->req.flags = op->flag ? BLOCK_MAY_UNMAP : 0;
    }
    block_submit(b, &f->req);
}

static bool in_the_way(const struct flight *f, unsigned n, const struct op *op)
{
    for (unsigned i = 0; i < n; i++)
        if (!__atomic_load_n(&f[i].done, __ATOMIC_ACQUIRE) && f[i].op->off < op->off + op->len &&
            op->off < f[i].op->off + f[i].op->len)
            return true;
    return false;
}

static bool block_batch(struct sequence *q, struct op *ops, unsigned n)
{
    struct block_options o = {.path = top(q)->path, .format = top(q)->format};
    struct flight f[BATCH_MAX];
    struct err e = {{0}};
    struct block *b;

    o.aio = rng_one_in(&q->rng, 2) ? AIO_AUTO : AIO_THREADS;
    b = block_open(&o, &e);
    if (!b)
        return failed(q, "our block layer cannot open it: %.800s", e.msg);
    for (unsigned i = 0; i < n; i++) {
        if (in_the_way(f, i, &ops[i]))
            block_drain(b);
        flight_begin(b, &f[i], &ops[i]);
    }
    block_drain(b);
    block_close(b);
    for (unsigned i = 0; i < n; i++)
        free(f[i].iov.iov_base);
    return true;
}

static bool image_batch(struct sequence *q, struct op *ops, unsigned n)
{
    struct image *img = layer_open(q, top(q), true);

    for (unsigned i = 0; img && i < n; i++) {
        struct op *op = &ops[i];

        switch (op->kind) {
        case OP_WRITE:
        case OP_NOISE:
        case OP_COMPRESSED: op->result = our_write(img, op); break;
        case OP_ZERO: op->result = img->ops->write_zeroes(img, op->off, op->len, op->flag ? IMAGE_UNMAP : 0); break;
        case OP_DISCARD: op->result = img->ops->discard(img, op->off, op->len); break;
        case OP_FLUSH: op->result = img->ops->flush(img); break;
        case OP_REOPEN:
            image_close(img);
            img = layer_open(q, top(q), true);
            break;
        case OP_KINDS: break;
        }
    }
    if (!img)
        return false;
    image_close(img);
    return true;
}

static bool block_can(const struct op *op) { return op->kind != OP_COMPRESSED && op->kind != OP_REOPEN; }

/* Half of the batches go through the block layer as far as it has such operations. */
bool ours_batch(struct sequence *q, struct op *ops, unsigned n)
{
    bool ok = true;

    if (rng_one_in(&q->rng, 2))
        return image_batch(q, ops, n);
    for (unsigned i = 0, run; ok && i < n; i += run) {
        for (run = 1; i + run < n && block_can(&ops[i + run]) == block_can(&ops[i]); run++)
            continue;
        ok = (block_can(&ops[i]) ? block_batch : image_batch)(q, ops + i, run);
    }
    return ok;
}

/* --- qemu-io: one process, commands on its standard input, one line of output each ------------------------------- */

static bool qemu_command(struct sequence *q, FILE *f, const struct op *op)
{
    switch (op->kind) {
    case OP_WRITE: fprintf(f, "write %s-P %u", op->flag ? "-f " : "", op->byte); break;
    case OP_COMPRESSED: fprintf(f, "write -c -P %u", op->byte); break;
    case OP_ZERO: fprintf(f, "write -z %s", op->flag ? "-u" : ""); break;
    case OP_DISCARD: fprintf(f, "discard"); break;
    case OP_NOISE: {
        uint8_t *buf = malloc(op->len);
        char path[1024];
        bool ok;

        if (!buf)
            return false;
        noise_fill(buf, op->off, op->len, op->byte);
        snprintf(path, sizeof path, "%s/noise-%u", q->o->dir, ++q->serial);
        ok = file_write(path, buf, op->len);
        free(buf);
        if (!ok)
            return failed(q, "cannot write %.500s", path);
        fprintf(f, "write -s %s", path);
        break;
    }
    case OP_FLUSH: fprintf(f, "flush\n"); return true;
    case OP_REOPEN: fprintf(f, "reopen -w\n"); return true;
    case OP_KINDS: return true;
    }
    fprintf(f, " %" PRIu64 " %" PRIu64 "\n", op->off, op->len);
    return true;
}

/* The next line that tells how an operation went: 1 well, 0 not, -1 there is none. */
static int qemu_verdict(char **text)
{
    while (*text && **text) {
        char *line = *text, *end = strchr(line, '\n');

        *text = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        while (!strncmp(line, "qemu-io> ", 9))
            line += 9;
        if (strstr(line, "failed"))
            return 0;
        if (!strncmp(line, "wrote ", 6) || !strncmp(line, "discard ", 8))
            return 1;
    }
    return -1;
}

bool qemu_batch(struct sequence *q, struct op *ops, unsigned n)
{
    char path[1024], *out, *at;
    bool ok = true;
    FILE *f;

    snprintf(path, sizeof path, "%s/commands", q->o->dir);
    f = fopen(path, "we");
    for (unsigned i = 0; f && ok && i < n; i++)
        ok = qemu_command(q, f, &ops[i]);
    if (!f || fclose(f) || !ok)
        return failed(q, "cannot write %.500s", path);
    shell(&out, "qemu-io -d unmap -f %s '%s' <'%s' 2>&1; rm -f '%s'/noise-*", top(q)->format, top(q)->path, path,
          q->o->dir);
    at = out;
    for (unsigned i = 0; ok && i < n; i++) {
        int good = ops[i].kind == OP_FLUSH || ops[i].kind == OP_REOPEN ? 1 : qemu_verdict(&at);

        ops[i].result = good > 0 ? 0 : -EIO;
        if (good < 0)
            ok = failed(q, "qemu-io says nothing of operation %u: %.500s", i, out);
    }
    free(out);
    return ok;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

bool ours_read(struct sequence *q, const struct layer *l, const char *snapshot, struct bytes *out)
{
    struct image *img = layer_open(q, l, false);
    struct err e = {{0}};
    bool ok = false;
    int ret;

    *out = (struct bytes){0};
    if (!img)
        return false;
    if (snapshot && !(img->ops->snapshot_view && img->ops->snapshot_view(img, snapshot, &e))) {
        failed(q, "we cannot open snapshot %s: %.500s", snapshot, e.msg);
    } else {
        *out = (struct bytes){malloc(img->size ? img->size : 1), img->size, img->size};
        ret = out->data ? image_read_all(img, &q->rng, out->data, img->size) : -ENOMEM;
        ok = !ret || failed(q, "we cannot read it: error %d", ret);
    }
    image_close(img);
    return ok;
}

bool qemu_read(struct sequence *q, const struct layer *l, const char *snapshot, struct bytes *out)
{
    char path[1024], *text;
    int code;

    *out = (struct bytes){0};
    snprintf(path, sizeof path, "%s/qemu.raw", q->o->dir);
    code = shell(&text, "qemu-img convert -f %s -O raw %s%s '%s' '%s' 2>&1", l->format,
                 snapshot ? "-l snapshot.name=" : "", snapshot ? snapshot : "", l->path, path);
    if (code)
        failed(q, "qemu-img convert fails: %.500s", text);
    free(text);
    out->data = code ? NULL : file_read(path, &out->size);
    remove(path);
    return out->data;
}
