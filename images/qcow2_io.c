/*
 * qcow2: bytes of the file, and who waits for whom.
 *
 * Requests in flight are in a list, oldest first, so that a freed place can be told to be out of everybody's hands.
 * Requests that change the same guest cluster's L2 entry wait for one another (struct alloc_op).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

int q_pread(struct image *file, void *buf, uint64_t off, uint64_t len)
{
    struct iovec v = {buf, len};

    return len ? q_readv(file, &v, 1, off, 0) : 0;
}

/* The last cluster in use may be cut short by the end of the file: the rest of it reads as zeroes. */
int q_readv(struct image *file, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n), size = image_size(file), have = off < size ? size - off : 0, done = 0;

    if (have >= total)
        return file->ops->readv(file, iov, n, off, flags);
    iov_zero(iov, n, have, total - have);
    while (done < have) {
        struct iovec win[64];
        uint64_t bytes;
        unsigned cnt = iov_slice(win, ARRAY_LEN(win), iov, n, done, have - done, &bytes);
        int ret = file->ops->readv(file, win, cnt, off + done, flags);

        if (ret)
            return ret;
        done += bytes;
    }
    return 0;
}

void io_enter(struct qcow2 *q, struct io *io)
{
    while (q->exclusive)
        pthread_cond_wait(&q->wake, &q->lock);
    io->seq = ++q->io_seq;
    io->prev = q->ios.prev;
    io->next = &q->ios;
    io->prev->next = io;
    q->ios.prev = io;
}

void io_leave(struct qcow2 *q, struct io *io)
{
    io->prev->next = io->next;
    io->next->prev = io->prev;
    if (q->exclusive && q->ios.next == &q->ios)
        pthread_cond_broadcast(&q->wake);
}

void exclusive_begin(struct qcow2 *q)
{
    while (q->exclusive)
        pthread_cond_wait(&q->wake, &q->lock);
    q->exclusive = true;
    while (q->ios.next != &q->ios || q->flushers)
        pthread_cond_wait(&q->wake, &q->lock);
}

void exclusive_end(struct qcow2 *q)
{
    q->exclusive = false;
    pthread_cond_broadcast(&q->wake);
}

bool ops_overlap(const struct qcow2 *q, uint64_t first, uint64_t end)
{
    for (const struct alloc_op *op = q->ops; op; op = op->next)
        if (op->first < end && first < op->end)
            return true;
    return false;
}

void ops_wait(struct qcow2 *q, uint64_t first, uint64_t end)
{
    while (ops_overlap(q, first, end))
        pthread_cond_wait(&q->wake, &q->lock);
}

void op_begin(struct qcow2 *q, struct alloc_op *op)
{
    op->next = q->ops;
    q->ops = op;
}

void op_end(struct qcow2 *q, struct alloc_op *op)
{
    struct alloc_op **p = &q->ops;

    while (*p != op)
        p = &(*p)->next;
    *p = op->next;
    pthread_cond_broadcast(&q->wake);
}

int q_corrupt(struct qcow2 *q)
{
    if (!q->can_write || q->broken)
        return -EIO;
    q->broken = -EIO;
    if (q->version >= 3) {
        q->incompatible |= INCOMPAT_CORRUPT;
        header_fields(q);
        header_write(q);
    }
    return -EIO;
}

bool sectors_add(struct sector_set *s, uint64_t entry, uint64_t entries)
{
    uint32_t sector = (uint32_t)(entry / 64);

    if (!s->in && !(s->in = calloc(entries / 512 + 1, 1)))
        return false;
    if (s->in[sector / 8] >> (sector % 8) & 1)
        return true;
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        uint32_t *list = realloc(s->list, room * sizeof *list);

        if (!list)
            return false;
        s->list = list;
        s->room = room;
    }
    s->list[s->n++] = sector;
    s->in[sector / 8] |= (uint8_t)(1u << (sector % 8));
    return true;
}

/* Forget all, and the size of the table. */
void sectors_clear(struct sector_set *s)
{
    free(s->in);
    free(s->list);
    *s = (struct sector_set){0};
}
