/*
 * The NVM command set: read, write, flush, compare, write zeroes, dataset management.
 * Source: NVM Express base specification 1.4, section 6; drivers/nvme/host/core.c for what drivers expect.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nvme_parts.h"

enum { FLUSH = 0x00, WRITE = 0x01, READ = 0x02, COMPARE = 0x05, WRITE_ZEROES = 0x08, DATASET = 0x09 };

enum {
    FUSED = 3,            /* command byte 1 */
    FUA = 1 << 30,        /* word 12 */
    DEALLOCATE = 1 << 25, /* word 12 of write zeroes */
    DATASET_DEALLOCATE = 4,
    RANGE = 16,
    ALL_NAMESPACES = -1,
};

uint16_t nvme_io_status(struct nvme_cmd *c, int result)
{
    bool reads = c->io.op == BLOCK_READ;

    switch (result) {
    case 0: break;
    case -ENOSPC: return NVME_CAPACITY | NVME_DNR;
    case -EROFS: return NVME_PROTECTED | NVME_DNR;
    case -ECANCELED: return NVME_ABORTED;
    default: return reads ? NVME_READ_ERROR : NVME_WRITE_FAULT;
    }
    if (c->buf) {
        const uint8_t *p = c->buf;

        for (unsigned i = 0; i < c->n_iov; p += c->iov[i].iov_len, i++)
            if (memcmp(p, c->iov[i].iov_base, c->iov[i].iov_len))
                return NVME_COMPARE_FAILURE | NVME_DNR;
    } else if (reads && c->to_guest) {
        nvme_map_written(c->n, c, c->io.len);
    }
    return NVME_SUCCESS;
}

bool nvme_io_try(struct nvme_cmd *c, int *result) { return !c->subs && block_try(c->ns->block, &c->io, result); }

static struct block *block_of(const struct nvme_cmd *c, unsigned sub)
{
    if (c->ns)
        return c->ns->block;
    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) /* a flush of all: the parts go in order */
        if (c->n->ns[i].block && !sub--)
            return c->n->ns[i].block;
    return NULL;
}

/* After the last submit c may be gone. */
void nvme_io_submit(struct nvme_cmd *c)
{
    unsigned subs = c->subs;
    struct block_req *sub = c->sub;

    if (!subs) {
        block_submit(c->ns->block, &c->io);
        return;
    }
    for (unsigned i = 0; i < subs; i++)
        block_submit(block_of(c, i), &sub[i]);
}

bool nvme_io_cancel(struct nvme_cmd *c)
{
    unsigned taken = 0;
    bool all;

    if (!c->subs)
        return block_cancel(c->ns->block, &c->io);
    for (unsigned i = 0; i < c->subs; i++)
        taken += block_cancel(block_of(c, i), &c->sub[i]);
    pthread_mutex_lock(&c->n->done_lock);
    c->pending -= taken;
    if (taken)
        c->status = NVME_ABORTED;
    all = taken && !c->pending;
    pthread_mutex_unlock(&c->n->done_lock);
    return all;
}

static struct nvme_ns *find_ns(struct nvme *n, uint32_t nsid)
{
    return nsid - 1 < NVME_NAMESPACES_MAX && n->ns[nsid - 1].block ? &n->ns[nsid - 1] : NULL;
}

/* Room for count parts. */
static uint16_t split(struct nvme_cmd *c, unsigned count)
{
    c->sub = calloc(count, sizeof *c->sub);
    if (!c->sub)
        return NVME_INTERNAL;
    for (unsigned i = 0; i < count; i++)
        c->sub[i] = (struct block_req){.done = nvme_io_done, .arg = c};
    return NVME_SUCCESS;
}

static uint16_t parts_ready(struct nvme_cmd *c, unsigned count)
{
    c->subs = c->pending = count;
    return count ? NVME_ASYNC : NVME_SUCCESS;
}

uint16_t nvme_flush_all(struct nvme *n, struct nvme_cmd *c)
{
    unsigned count = 0;
    uint16_t status = split(c, NVME_NAMESPACES_MAX);

    for (unsigned i = 0; !status && i < NVME_NAMESPACES_MAX; i++)
        if (n->ns[i].block)
            c->sub[count++].op = BLOCK_FLUSH;
    return status ? status : parts_ready(c, count);
}

static bool in_range(const struct nvme_ns *ns, uint64_t lba, uint64_t count)
{
    return lba <= ns->blocks && count <= ns->blocks - lba;
}

/* Commands with a first block and a number of blocks. */
static uint16_t range_of(struct nvme_cmd *c, const uint8_t *sqe)
{
    uint32_t count = (uint32_t)ld16(sqe + 48) + 1;

    c->lba = ld64(sqe + 40);
    if (!in_range(c->ns, c->lba, count))
        return NVME_LBA_RANGE | NVME_DNR;
    c->io.offset = c->lba << c->ns->shift;
    c->io.len = (uint64_t)count << c->ns->shift;
    return NVME_SUCCESS;
}

static uint16_t data(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe, enum block_op op)
{
    uint16_t status = range_of(c, sqe);

    if (status)
        return status;
    if (c->io.len > UINT64_C(4096) << n->mdts)
        return NVME_INVALID_FIELD | NVME_DNR;
    c->io.op = op;
    status = nvme_map(n, c, sqe, c->io.len, op == BLOCK_READ);
    c->io.iov = c->iov;
    c->io.iovcnt = c->n_iov;
    return status ? status : NVME_ASYNC;
}

static unsigned durable(const struct nvme *n, const uint8_t *sqe)
{
    return ld32(sqe + 48) & FUA || !(n->feature[NVME_F_WRITE_CACHE] & 1) ? BLOCK_FUA : 0;
}

static uint16_t do_write(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    if (c->ns->read_only)
        return NVME_PROTECTED | NVME_DNR;
    c->io.flags = durable(n, sqe);
    return data(n, c, sqe, BLOCK_WRITE);
}

/* The disk's bytes come into a buffer of ours, and are compared with the guest's when they are there. */
static uint16_t do_compare(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    uint16_t status = data(n, c, sqe, BLOCK_WRITE); /* the direction of the guest's data */

    if (status != NVME_ASYNC)
        return status;
    c->buf = malloc(c->io.len);
    c->sub = calloc(1, sizeof *c->sub + sizeof(struct iovec)); /* the list of one, after an unused part */
    if (!c->buf || !c->sub)
        return NVME_INTERNAL;
    c->io.op = BLOCK_READ;
    c->io.iov = (struct iovec *)(c->sub + 1);
    c->io.iovcnt = 1;
    *c->io.iov = (struct iovec){c->buf, c->io.len};
    return NVME_ASYNC;
}

static uint16_t do_zeroes(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    uint16_t status = c->ns->read_only ? NVME_PROTECTED | NVME_DNR : range_of(c, sqe);

    if (status)
        return status;
    c->io.op = BLOCK_WRITE_ZEROES;
    c->io.flags = durable(n, sqe) | (ld32(sqe + 48) & DEALLOCATE ? BLOCK_MAY_UNMAP : 0);
    return NVME_ASYNC;
}

static uint16_t dataset_ranges(struct nvme_cmd *c, const uint8_t *list, unsigned ranges)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ranges; i++) {
        uint64_t blocks = ld32(list + i * RANGE + 4), lba = ld64(list + i * RANGE + 8);

        if (!in_range(c->ns, lba, blocks)) {
            c->lba = lba;
            return NVME_LBA_RANGE | NVME_DNR;
        }
        if (!blocks)
            continue;
        c->sub[count].op = BLOCK_DISCARD;
        c->sub[count].offset = lba << c->ns->shift;
        c->sub[count++].len = blocks << c->ns->shift;
    }
    return parts_ready(c, count);
}

static uint16_t do_dataset(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    unsigned ranges = sqe[40] + 1;
    uint8_t list[256 * RANGE];
    uint16_t status;

    if (!(ld32(sqe + 44) & DATASET_DEALLOCATE)) /* the other attributes are hints */
        return NVME_SUCCESS;
    if (c->ns->read_only)
        return NVME_PROTECTED | NVME_DNR;
    status = nvme_map(n, c, sqe, (uint64_t)ranges * RANGE, false);
    if (!status)
        status = split(c, ranges);
    if (status)
        return status;
    for (unsigned i = 0, at = 0; i < c->n_iov; at += (unsigned)c->iov[i].iov_len, i++)
        memcpy(list + at, c->iov[i].iov_base, c->iov[i].iov_len);
    return dataset_ranges(c, list, ranges);
}

uint16_t nvme_io(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    if (sqe[1] & FUSED)
        return NVME_INVALID_FIELD | NVME_DNR;
    if (sqe[0] == FLUSH && c->nsid == (uint32_t)ALL_NAMESPACES)
        return nvme_flush_all(n, c);
    c->ns = find_ns(n, c->nsid);
    if (!c->ns)
        return NVME_INVALID_NSID | NVME_DNR;
    switch (sqe[0]) {
    case FLUSH: c->io.op = BLOCK_FLUSH; return NVME_ASYNC;
    case WRITE: return do_write(n, c, sqe);
    case READ: return data(n, c, sqe, BLOCK_READ);
    case COMPARE: return do_compare(n, c, sqe);
    case WRITE_ZEROES: return do_zeroes(n, c, sqe);
    case DATASET: return do_dataset(n, c, sqe);
    default: return NVME_INVALID_OPCODE | NVME_DNR;
    }
}
