/*
 * A request's way: popped from its queue under the device's lock, checked, tried at once (block_try: data in the host's
 * page cache costs one copy and no second thread), else submitted. A worker that finishes puts the request on `finished`
 * and then takes the device's lock to give everything that is there back to the driver.
 *
 * A queue is stopped, with the device's lock held, by taking back its requests that have not begun and waiting on done_cond
 * for the others: the first half of finishing needs done_lock only. After that nothing of it writes to guest memory.
 */
#include "devices/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/block.h"

enum { /* feature bits */
       F_SEG_MAX = 2,
       F_GEOMETRY = 4,
       F_RO = 5,
       F_BLK_SIZE = 6,
       F_FLUSH = 9,
       F_TOPOLOGY = 10,
       F_CONFIG_WCE = 11,
       F_MQ = 12,
       F_DISCARD = 13,
       F_WRITE_ZEROES = 14,
};

enum { /* request types and results */
       T_IN = 0,
       T_OUT = 1,
       T_FLUSH = 4,
       T_GET_ID = 8,
       T_DISCARD = 11,
       T_WRITE_ZEROES = 13,
       T_BARRIER = 1u << 31, /* legacy */
       S_OK = 0,
       S_IOERR = 1,
       S_UNSUPP = 2,
};

enum { /* configuration space */
       C_CAPACITY = 0,
       C_SEG_MAX = 12,
       C_CYLINDERS = 16,
       C_HEADS = 18,
       C_SECTORS = 19,
       C_BLK_SIZE = 20,
       C_PHYSICAL_EXP = 24,
       C_OPT_IO_SIZE = 28,
       C_WRITEBACK = 32,
       C_NUM_QUEUES = 34,
       C_MAX_DISCARD = 36,
       C_MAX_DISCARD_SEG = 40,
       C_DISCARD_ALIGN = 44,
       C_MAX_ZEROES = 48,
       C_MAX_ZEROES_SEG = 52,
       C_ZEROES_UNMAP = 56,
       C_LEN = 60,
};

enum {
    SECTOR = 512,
    SECTOR_SHIFT = 9,
    HEADER = 16,
    RANGE = 16,      /* bytes of a discard or write-zeroes segment */
    RANGE_UNMAP = 1, /* its flag */
    SERIAL_LEN = 20,
    MAX_RANGE = 1u << 22, /* sectors: 2 GiB */
    SEG_MAX_MARGIN = 2,   /* header and status take a descriptor each */
    BATCH_FACTOR = 2,     /* queue sizes of work per notification */
};

struct blk;

struct request {
    struct block_req io; /* first: `done` gets it */
    struct blk *blk;
    struct virtq_chain chain;
    uint8_t *status; /* in guest RAM */
    uint8_t result;
    bool read;
    struct request *next; /* of finished, or of the free list */
    struct request *next_active, **prev_active;
};

struct blk {
    struct virtio_dev v; /* first */
    struct block *block;
    struct block_info info;
    char serial[SERIAL_LEN];
    bool writethrough;            /* what reset gives */
    uint64_t inline_done, queued; /* statistics for `info` */
    struct request *free;
    struct request *active;    /* submitted and not given back; under the device's lock */
    pthread_mutex_t done_lock; /* inside the device's lock; guards the rest */
    pthread_cond_t done_cond;
    struct request *finished, **finished_tail;
    unsigned busy[VIRTIO_QUEUES_MAX]; /* per queue: with the block layer */
    bool stopping;                    /* atomic; a queue is being stopped, which looks after `finished` */
};

static struct request *request_get(struct blk *b)
{
    struct request *r = b->free;

    if (r)
        b->free = r->next;
    else
        r = calloc(1, sizeof *r);
    if (r)
        r->blk = b;
    return r;
}

static void request_put(struct blk *b, struct request *r)
{
    r->next = b->free;
    b->free = r;
}

static void activate(struct blk *b, struct request *r)
{
    r->next_active = b->active;
    r->prev_active = &b->active;
    if (b->active)
        b->active->prev_active = &r->next_active;
    b->active = r;
}

static void deactivate(struct request *r)
{
    *r->prev_active = r->next_active;
    if (r->next_active)
        r->next_active->prev_active = r->prev_active;
}

/* Give r back to the driver. The status byte is the last of the writable part. */
static void complete(struct blk *b, struct request *r)
{
    *r->status = r->result;
    if (r->read)
        r->chain.dirty = r->chain.in_len;
    virtq_push(&r->chain, r->chain.in_len);
    request_put(b, r);
}

static void finish_all(struct blk *b)
{
    uint64_t touched = 0;
    struct request *r;

    pthread_mutex_lock(&b->done_lock);
    r = b->finished;
    b->finished = NULL;
    b->finished_tail = &b->finished;
    pthread_mutex_unlock(&b->done_lock);
    while (r) {
        struct request *next = r->next;

        touched |= UINT64_C(1) << r->chain.q->index;
        deactivate(r);
        complete(b, r);
        r = next;
    }
    for (unsigned i = 0; touched >> i && i < VIRTIO_QUEUES_MAX; i++)
        if (touched >> i & 1)
            virtq_notify(&b->v.vq[i]);
}

/* On a worker thread. */
static void io_done(struct block_req *io, int result)
{
    struct request *r = (struct request *)io;
    struct blk *b = r->blk;

    r->result = result ? S_IOERR : S_OK;
    r->next = NULL;
    pthread_mutex_lock(&b->done_lock);
    *b->finished_tail = r;
    b->finished_tail = &r->next;
    b->busy[r->chain.q->index]--;
    pthread_cond_broadcast(&b->done_cond);
    pthread_mutex_unlock(&b->done_lock);
    if (!device_lock_unless(b, &b->stopping))
        return;
    finish_all(b);
    device_unlock(b);
}

/* Cut n bytes off the front of v[0..*cnt). The chain has them. */
static struct iovec *cut_front(struct iovec *v, unsigned *cnt, uint64_t n)
{
    while (*cnt && n >= v->iov_len) {
        n -= v->iov_len;
        v++;
        --*cnt;
    }
    if (n) {
        v->iov_base = (uint8_t *)v->iov_base + n;
        v->iov_len -= n;
    }
    return v;
}

/* What a request answers at once; anything else is DO_IO. */
enum { DO_IO = -1 };

static int check_range(struct blk *b, uint64_t sector, uint64_t len)
{
    uint64_t capacity = b->info.size >> SECTOR_SHIFT;
    uint64_t align = b->info.logical >> SECTOR_SHIFT;

    if (len % b->info.logical || sector % align || sector > capacity || len >> SECTOR_SHIFT > capacity - sector) {
        log_guest(&b->v.dev, "request outside the disk or not of whole blocks");
        return S_IOERR;
    }
    return DO_IO;
}

static int start_data(struct blk *b, struct request *r, bool write, uint64_t sector)
{
    struct virtq_chain *c = &r->chain;
    struct block_req *io = &r->io;

    r->read = !write;
    io->op = write ? BLOCK_WRITE : BLOCK_READ;
    io->len = write ? c->out_len - HEADER : c->in_len - 1;
    io->offset = sector << SECTOR_SHIFT;
    io->iovcnt = write ? c->nout : c->nin; /* the status byte's piece stays: the block layer stops at len */
    io->iov = write ? cut_front(c->iov, &io->iovcnt, HEADER) : c->iov + c->nout;
    if (write && virtio_has(&b->v, F_RO)) {
        log_guest(&b->v.dev, "write to a read-only disk");
        return S_IOERR;
    }
    if (write && !b->v.config[C_WRITEBACK])
        io->flags = BLOCK_FUA;
    return check_range(b, sector, io->len);
}

/* One segment is offered, so one is taken (5.2.6.2). */
static int start_range(struct blk *b, struct request *r, enum block_op op)
{
    uint8_t range[RANGE];
    uint64_t sector;
    uint32_t count, flags;
    int ret;

    if (b->info.read_only)
        return S_IOERR;
    if (r->chain.out_len != HEADER + RANGE)
        return S_UNSUPP;
    chain_read(&r->chain, HEADER, range, RANGE);
    sector = ld64(range);
    count = ld32(range + 8);
    flags = ld32(range + 12);
    if (flags & ~(uint32_t)RANGE_UNMAP || (op == BLOCK_DISCARD && flags)) {
        log_guest(&b->v.dev, "range with reserved flags 0x%x", flags);
        return S_UNSUPP;
    }
    ret = count > MAX_RANGE ? S_IOERR : check_range(b, sector, (uint64_t)count << SECTOR_SHIFT);
    r->io.op = op;
    r->io.offset = sector << SECTOR_SHIFT;
    r->io.len = (uint64_t)count << SECTOR_SHIFT;
    r->io.flags = flags & RANGE_UNMAP ? BLOCK_MAY_UNMAP : 0;
    if (op == BLOCK_WRITE_ZEROES && !b->v.config[C_WRITEBACK])
        r->io.flags |= BLOCK_FUA;
    return ret;
}

static int get_id(struct blk *b, struct request *r)
{
    uint64_t room = r->chain.in_len - 1;

    r->chain.dirty = chain_write(&r->chain, 0, b->serial, room < SERIAL_LEN ? room : SERIAL_LEN);
    return S_OK;
}

static int start(struct blk *b, struct request *r)
{
    uint8_t header[HEADER];
    uint64_t sector;

    chain_read(&r->chain, 0, header, HEADER);
    sector = ld64(header + 8);
    switch (ld32(header) & ~T_BARRIER) {
    case T_IN: return start_data(b, r, false, sector);
    case T_OUT: return start_data(b, r, true, sector);
    case T_FLUSH: r->io.op = BLOCK_FLUSH; return DO_IO;
    case T_GET_ID: return get_id(b, r);
    case T_DISCARD: return virtio_has(&b->v, F_DISCARD) ? start_range(b, r, BLOCK_DISCARD) : S_UNSUPP;
    case T_WRITE_ZEROES: return virtio_has(&b->v, F_WRITE_ZEROES) ? start_range(b, r, BLOCK_WRITE_ZEROES) : S_UNSUPP;
    default: return S_UNSUPP;
    }
}

/* Begin r. true: it was done on the spot, and the driver should be told. */
static bool request_begin(struct blk *b, struct request *r)
{
    struct virtq_chain *c = &r->chain;
    struct iovec *last = &c->iov[c->nout + c->nin - 1];
    int result;

    r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    r->read = false;
    r->io = (struct block_req){.done = io_done};
    result = start(b, r);
    if (result == DO_IO && block_try(b->block, &r->io, &result)) {
        result = result ? S_IOERR : S_OK;
        b->inline_done++;
    }
    if (result != DO_IO) {
        r->result = (uint8_t)result;
        complete(b, r);
        return true;
    }
    b->queued++;
    activate(b, r);
    pthread_mutex_lock(&b->done_lock);
    b->busy[c->q->index]++;
    pthread_mutex_unlock(&b->done_lock);
    block_submit(b->block, &r->io);
    return false;
}

/* false: nothing (more) to take. */
static bool take(struct blk *b, struct virtq *q, bool *done)
{
    struct request *r = request_get(b);

    if (!r) {
        virtio_broken(&b->v, "out of memory");
        return false;
    }
    if (!virtq_pop(q, &r->chain)) {
        request_put(b, r);
        return false;
    }
    if (r->chain.out_len < HEADER || !r->chain.in_len) {
        virtio_broken(&b->v, "a request without header or status");
        request_put(b, r);
        return false;
    }
    *done |= request_begin(b, r);
    return true;
}

static void blk_notify(struct virtio_dev *v, unsigned queue)
{
    struct blk *b = (struct blk *)v;
    struct virtq *q = &v->vq[queue];
    unsigned budget = BATCH_FACTOR * q->max_size;
    bool done = false;

    do {
        while (budget && take(b, q, &done))
            budget--;
    } while (budget && virtq_rearm(q));
    if (done)
        virtq_notify(q);
    if (!budget)
        virtio_later(v, queue);
}

/* Waits under the device's lock: the thread that ends requests must not wait for that lock meanwhile. */
static void blk_queue_stop(struct virtio_dev *v, unsigned queue)
{
    struct blk *b = (struct blk *)v;

    for (struct request *r = b->active, *next; r; r = next) {
        next = r->next_active;
        if (r->chain.q->index != queue || !block_cancel(b->block, &r->io))
            continue;
        deactivate(r);
        request_put(b, r);
        pthread_mutex_lock(&b->done_lock);
        b->busy[queue]--;
        pthread_mutex_unlock(&b->done_lock);
    }
    __atomic_store_n(&b->stopping, true, __ATOMIC_RELEASE);
    pthread_mutex_lock(&b->done_lock);
    while (b->busy[queue])
        pthread_cond_wait(&b->done_cond, &b->done_lock);
    for (struct request **p = &b->finished, *r; (r = *p);) {
        if (r->chain.q->index != queue) {
            p = &r->next;
            continue;
        }
        *p = r->next;
        deactivate(r);
        request_put(b, r);
    }
    for (b->finished_tail = &b->finished; *b->finished_tail; b->finished_tail = &(*b->finished_tail)->next)
        continue;
    pthread_mutex_unlock(&b->done_lock);
    __atomic_store_n(&b->stopping, false, __ATOMIC_RELEASE);
    finish_all(b); /* other queues' */
}

/* Without FLUSH the driver cannot ask for durability, so every write is durable (5.2.6.2). */
static void blk_driver_ok(struct virtio_dev *v)
{
    if (!virtio_has(v, F_CONFIG_WCE))
        v->config[C_WRITEBACK] = virtio_has(v, F_FLUSH);
}

static void blk_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
    (void)off, (void)len; /* only C_WRITEBACK is writable */
    v->config[C_WRITEBACK] &= 1;
    if (!virtio_has(v, F_CONFIG_WCE))
        v->config[C_WRITEBACK] = virtio_has(v, F_FLUSH);
}

static void blk_reset(struct virtio_dev *v) { v->config[C_WRITEBACK] = !((struct blk *)v)->writethrough; }

static void blk_free(struct device *d)
{
    struct blk *b = (struct blk *)d;

    virtio_detach(&b->v);
    device_lock(d);
    for (unsigned i = 0; i < b->v.queues; i++)
        blk_queue_stop(&b->v, i);
    device_unlock(d);
    block_drain(b->block); /* workers that are still in io_done */
    while (b->free) {
        struct request *r = b->free;

        b->free = r->next;
        virtq_chain_free(&r->chain);
        free(r);
    }
    pthread_cond_destroy(&b->done_cond);
    pthread_mutex_destroy(&b->done_lock);
    virtio_fini(&b->v);
    free(b);
}

static void blk_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    struct blk *b = (struct blk *)d;
    struct block_info i;
    char text[256];

    block_get_info(b->block, &i);
    snprintf(text, sizeof text, "%s (%s%s), %llu bytes", i.path, i.format, i.read_only ? ", read-only" : "",
             (unsigned long long)i.size);
    line(arg, text);
    snprintf(text, sizeof text, "%llu reads (%llu bytes), %llu writes (%llu bytes), %llu flushes, %llu errors",
             (unsigned long long)i.reads, (unsigned long long)i.read_bytes, (unsigned long long)i.writes,
             (unsigned long long)i.write_bytes, (unsigned long long)i.flushes, (unsigned long long)i.errors);
    line(arg, text);
    snprintf(text, sizeof text, "%llu requests done on notification, %llu by workers",
             (unsigned long long)b->inline_done, (unsigned long long)b->queued);
    line(arg, text);
}

static const struct field blk_state[] = {
    VIRTIO_FIELDS(struct blk, v),
    {0},
};

static const struct device_ops blk_dev_ops = {
    .name = "virtio-blk",
    .state = blk_state,
    .reset = virtio_dev_reset,
    .update = virtio_dev_update,
    .free = blk_free,
    .info = blk_info,
};

static const struct virtio_ops blk_ops = {
    .id = VIRTIO_ID_BLOCK,
    .pci_class = 0x010000, /* mass storage, SCSI: what drivers expect of it */
    .notify = blk_notify,
    .config_written = blk_config_written,
    .driver_ok = blk_driver_ok,
    .queue_stop = blk_queue_stop,
    .reset = blk_reset,
};

/* Old firmware wants a geometry: 16 heads, 63 sectors, as disks of the time gave when they were too large for it. */
static void set_geometry(uint8_t *c, uint64_t sectors)
{
    uint64_t cylinders = sectors / (16 * 63);

    st16(c + C_CYLINDERS, (uint16_t)(cylinders > 16383 ? 16383 : cylinders ? cylinders : 1));
    c[C_HEADS] = 16;
    c[C_SECTORS] = 63;
}

static void set_capacity(struct blk *b)
{
    uint64_t sectors = align_down(b->info.size, b->info.logical) >> SECTOR_SHIFT;

    st64(b->v.config + C_CAPACITY, sectors);
    set_geometry(b->v.config, sectors);
}

void virtio_blk_resized(struct virtio_dev *v)
{
    struct blk *b = (struct blk *)v;
    struct block_info now;

    block_get_info(b->block, &now);
    device_lock(v);
    b->info.size = now.size;
    set_capacity(b);
    virtio_config_changed(v);
    device_unlock(v);
}

static void set_config(struct blk *b, unsigned queues, unsigned queue_size)
{
    uint8_t *c = b->v.config;

    set_capacity(b);
    st32(c + C_SEG_MAX, queue_size > SEG_MAX_MARGIN ? queue_size - SEG_MAX_MARGIN : 1);
    st32(c + C_BLK_SIZE, b->info.logical);
    st32(c + C_OPT_IO_SIZE, b->info.optimal / b->info.logical);
    c[C_WRITEBACK] = !b->writethrough;
    st16(c + C_NUM_QUEUES, (uint16_t)queues);
    st32(c + C_MAX_DISCARD, MAX_RANGE);
    st32(c + C_MAX_DISCARD_SEG, 1);
    st32(c + C_DISCARD_ALIGN, b->info.logical >> SECTOR_SHIFT);
    st32(c + C_MAX_ZEROES, MAX_RANGE);
    st32(c + C_MAX_ZEROES_SEG, 1);
    c[C_ZEROES_UNMAP] = 1;
    b->v.config_len = C_LEN;
}

static void offer(struct blk *b, const struct virtio_blk_options *o, unsigned queues)
{
    static const uint8_t always[] = {F_SEG_MAX, F_GEOMETRY, F_BLK_SIZE, F_FLUSH, F_TOPOLOGY};
    struct virtio_dev *v = &b->v;

    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        virtio_offer(v, always[i]);
    if (queues > 1)
        virtio_offer(v, F_MQ);
    if (o->packed)
        virtio_offer(v, VIRTIO_F_RING_PACKED);
    if (!o->no_config_wce) {
        virtio_offer(v, F_CONFIG_WCE);
        v->config_writable[C_WRITEBACK] = 0xff;
    }
    if (b->info.read_only)
        virtio_offer(v, F_RO);
    if (b->info.discard && !o->no_discard)
        virtio_offer(v, F_DISCARD);
    if (!b->info.read_only && !o->no_write_zeroes)
        virtio_offer(v, F_WRITE_ZEROES);
}

static bool block_sizes(struct blk *b, const struct virtio_blk_options *o, struct err *e)
{
    uint32_t logical = o->block_size ? o->block_size : b->info.logical,
             physical = o->physical_size ? o->physical_size : logical;

    if (!is_pow2(logical) || logical < b->info.logical || logical > 4096)
        return err_set(e, "%s: logical_block_size must be a power of two from %u to 4096", b->v.dev.name,
                       b->info.logical);
    if (!is_pow2(physical) || physical < logical || physical > 65536)
        return err_set(e, "%s: physical_block_size must be a power of two from %u to 65536", b->v.dev.name, logical);
    b->info.logical = logical;
    b->v.config[C_PHYSICAL_EXP] = (uint8_t)(__builtin_ctz(physical) - __builtin_ctz(logical));
    return true;
}

struct virtio_dev *virtio_blk_new(const struct device_env *env, const char *name, const struct virtio_blk_options *o,
                                  struct err *e)
{
    unsigned queues = o->queues ? o->queues : 1, size = o->queue_size ? o->queue_size : 256;
    struct blk *b;

    if (queues > VIRTIO_QUEUES_MAX)
        err_set(e, "%s: num-queues must be 1 to %d", name, VIRTIO_QUEUES_MAX);
    else if (!is_pow2(size) || size < 4 || size > VIRTQ_SIZE_MAX)
        err_set(e, "%s: queue-size must be a power of two from 4 to %d", name, VIRTQ_SIZE_MAX);
    else if (!(b = calloc(1, sizeof *b)))
        err_set(e, "%s: out of memory", name);
    else {
        virtio_init(&b->v, &blk_dev_ops, &blk_ops, name, env);
        pthread_mutex_init(&b->done_lock, NULL);
        pthread_cond_init(&b->done_cond, NULL);
        b->finished_tail = &b->finished;
        b->block = o->block;
        b->writethrough = o->writethrough;
        block_get_info(o->block, &b->info);
        if (!block_sizes(b, o, e)) {
            blk_free(&b->v.dev);
            return NULL;
        }
        if (o->serial)
            memcpy(b->serial, o->serial, strnlen(o->serial, SERIAL_LEN));
        for (unsigned i = 0; i < queues; i++)
            virtio_add_queue(&b->v, i, size);
        set_config(b, queues, size);
        offer(b, o, queues);
        return &b->v;
    }
    return NULL;
}
