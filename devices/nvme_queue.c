/*
 * NVMe queues: fetching commands, completions, interrupts, events, and where a command's data lies in the guest.
 *
 * A queue is stopped, with the device's lock held, by taking back its commands that have not begun and waiting on
 * done_cond for the others: the first half of finishing needs done_lock only. After that nothing of it writes to guest
 * memory. A completion for which its queue has no room waits, and so do the submission queues behind it.
 * Source: NVM Express base specification 1.4, sections 4.1 to 4.6 and 7.2.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nvme_parts.h"

void nvme_fatal(struct nvme *n, const char *why)
{
    log_guest(&n->pci.dev, "%s; stopped until reset", why);
    n->csts |= NVME_FATAL;
}

/* --- commands --- */

static struct nvme_cmd *cmd_get(struct nvme *n)
{
    struct nvme_cmd *c = n->free;

    if (c)
        n->free = c->next;
    else
        c = calloc(1, sizeof *c);
    if (c)
        c->n = n;
    return c;
}

static void cmd_put(struct nvme *n, struct nvme_cmd *c)
{
    free(c->sub);
    free(c->buf);
    c->sub = NULL;
    c->buf = NULL;
    n->in_flight[c->sq]--;
    c->next = n->free;
    n->free = c;
}

void nvme_cmd_free_all(struct nvme *n)
{
    while (n->free) {
        struct nvme_cmd *c = n->free;

        n->free = c->next;
        free(c->iov);
        free(c->at);
        free(c);
    }
}

static void activate(struct nvme *n, struct nvme_cmd *c)
{
    c->next_active = n->active;
    c->prev = &n->active;
    if (n->active)
        n->active->prev = &c->next_active;
    n->active = c;
}

static void deactivate(struct nvme_cmd *c)
{
    *c->prev = c->next_active;
    if (c->next_active)
        c->next_active->prev = c->prev;
}

/* --- completions --- */

static bool cq_full(const struct nvme_cq *q) { return (q->tail + 1 == q->size ? 0 : q->tail + 1) == q->head; }

/* The entry's last word, with the phase bit, is stored last: a guest may look at it from another vCPU. */
static void put_entry(struct nvme *n, unsigned cq, const uint32_t word[4])
{
    struct nvme_cq *q = &n->cq[cq];
    gpa at = q->base + (uint64_t)q->tail * NVME_CQE;
    uint8_t *p = bus_ram(n->pci.dev.bus, at, NVME_CQE);

    if (!p) {
        nvme_fatal(n, "a completion queue is not in RAM");
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        st32(p + 4 * i, word[i]);
    __atomic_store_n((uint32_t *)(void *)(p + 12), word[3] | (uint32_t)q->phase << 16, __ATOMIC_RELEASE);
    dma_written(n->pci.dev.bus, at, NVME_CQE);
    if (++q->tail == q->size) {
        q->tail = 0;
        q->phase ^= 1;
    }
    n->nonempty |= UINT64_C(1) << cq;
    n->posted |= UINT64_C(1) << cq;
}

void nvme_post(struct nvme *n, unsigned sq, uint16_t cid, uint16_t status, uint32_t result)
{
    const uint32_t word[4] = {result, 0, n->sq[sq].head | (uint32_t)sq << 16, cid | (uint32_t)status << 17};

    put_entry(n, n->sq[sq].cq, word);
}

static void note_error(struct nvme *n, const struct nvme_cmd *c)
{
    n->error[n->errors % NVME_ERRORS] = (struct nvme_error){.count = n->errors + 1,
                                                            .lba = c->lba,
                                                            .nsid = c->nsid,
                                                            .sq = c->sq,
                                                            .cid = c->cid,
                                                            .status = (uint16_t)(c->status << 1)};
    n->errors++;
}

/* Tell the guest that c is done. It is gone after that, or waits for room. */
static void complete(struct nvme *n, struct nvme_cmd *c)
{
    if (cq_full(&n->cq[n->sq[c->sq].cq])) {
        c->next = NULL;
        *n->waiting_tail = c;
        n->waiting_tail = &c->next;
        return;
    }
    if (c->status)
        note_error(n, c);
    nvme_post(n, c->sq, c->cid, c->status, c->result);
    cmd_put(n, c);
}

static void complete_waiting(struct nvme *n)
{
    struct nvme_cmd *c = n->waiting;

    n->waiting = NULL;
    n->waiting_tail = &n->waiting;
    while (c) {
        struct nvme_cmd *next = c->next;

        complete(n, c);
        c = next;
    }
}

static bool cq_backlog(const struct nvme *n, unsigned cq)
{
    for (const struct nvme_cmd *c = n->waiting; c; c = c->next)
        if (n->sq[c->sq].cq == cq)
            return true;
    return false;
}

/* --- interrupts and events --- */

void nvme_intx_update(struct nvme *n)
{
    bool level = false;

    for (unsigned i = 0; n->nonempty >> i && i <= n->queues; i++)
        level |= n->nonempty >> i & 1 && n->cq[i].interrupts && !(n->intms >> (n->cq[i].vector & 31) & 1);
    if (level != n->pci.intx)
        pci_intx(&n->pci, level);
}

void nvme_notify(struct nvme *n)
{
    uint64_t posted = n->posted;

    n->posted = 0;
    if (!posted)
        return;
    if (!pci_msix_enabled(&n->pci)) {
        nvme_intx_update(n);
        return;
    }
    for (unsigned i = 0; posted >> i && i <= n->queues; i++)
        if (posted >> i & 1 && n->cq[i].interrupts)
            pci_msix_notify(&n->pci, n->cq[i].vector);
}

/* type, information, log page that tells more */
static const struct {
    uint8_t type, info, log;
} event_table[NVME_EVENTS] = {
    [NVME_EV_DOORBELL] = {0, 0, 1},  /* error: write to a doorbell that is not there */
    [NVME_EV_VALUE] = {0, 1, 1},     /* error: a value a doorbell cannot have */
    [NVME_EV_NAMESPACE] = {2, 0, 4}, /* notice: a namespace has changed */
};

static void events_send(struct nvme *n)
{
    for (unsigned e = 0; e < NVME_EVENTS; e++) {
        uint8_t type = event_table[e].type;

        if (!(n->events >> e & 1) || n->events_masked >> type & 1 || !n->aers || cq_full(&n->cq[0]))
            continue;
        n->events &= ~(1u << e);
        n->events_masked |= 1u << type;
        n->aers--;
        nvme_post(n, 0, n->aer[n->aers], NVME_SUCCESS,
                  type | (uint32_t)event_table[e].info << 8 | (uint32_t)event_table[e].log << 16);
    }
}

void nvme_event(struct nvme *n, enum nvme_event e)
{
    enum { NAMESPACE_NOTICES = 1 << 8 };

    if (!(n->csts & NVME_READY) || (e == NVME_EV_NAMESPACE && !(n->feature[NVME_F_EVENTS] & NAMESPACE_NOTICES)))
        return;
    n->events |= 1u << e;
    events_send(n);
}

void nvme_event_seen(struct nvme *n, unsigned log_page)
{
    for (unsigned e = 0; e < NVME_EVENTS; e++)
        if (event_table[e].log == log_page)
            n->events_masked &= ~(1u << event_table[e].type);
}

void nvme_consume_head(struct nvme *n, unsigned cq, uint32_t head)
{
    struct nvme_cq *q = &n->cq[cq];
    uint32_t had = (q->tail + q->size - q->head) % q->size, taken = (head + q->size - q->head) % q->size;
    bool was_full = cq_full(q);

    if (taken > had) {
        nvme_event(n, NVME_EV_VALUE);
        return;
    }
    q->head = head;
    if (q->head == q->tail)
        n->nonempty &= ~(UINT64_C(1) << cq);
    nvme_intx_update(n);
    if (!cq)
        events_send(n);
    if (!was_full || !n->waiting)
        return;
    complete_waiting(n);
    for (unsigned i = 0; i <= n->queues; i++)
        if (n->sq[i].size && n->sq[i].cq == cq)
            nvme_submit_tail(n, i);
}

/* --- the way of a command --- */

static void begin(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    int result;

    c->io = (struct block_req){.done = nvme_io_done, .arg = c};
    c->cid = ld16(sqe + 2);
    c->nsid = ld32(sqe + 4);
    c->result = 0;
    c->lba = 0;
    c->ns = NULL;
    c->subs = c->n_iov = 0;
    c->to_guest = false;
    c->status = c->sq ? nvme_io(n, c, sqe) : nvme_admin(n, c, sqe);
    if (c->status == NVME_ASYNC && nvme_io_try(c, &result)) {
        c->status = nvme_io_status(c, result);
        n->inline_done++;
    }
    if (c->status == NVME_HELD) {
        cmd_put(n, c);
        return;
    }
    if (c->status != NVME_ASYNC) {
        complete(n, c);
        return;
    }
    n->queued++;
    activate(n, c);
    pthread_mutex_lock(&n->done_lock);
    n->busy[c->sq]++;
    pthread_mutex_unlock(&n->done_lock);
    nvme_io_submit(c);
}

void nvme_submit_tail(struct nvme *n, unsigned sq)
{
    struct nvme_sq *q = &n->sq[sq];

    while (q->size && q->head != q->tail && n->in_flight[sq] < q->size && !(n->csts & NVME_FATAL) &&
           !(n->waiting && cq_backlog(n, q->cq))) {
        uint8_t sqe[NVME_SQE];
        struct nvme_cmd *c;

        if (!dma_read(n->pci.dev.bus, q->base + (uint64_t)q->head * NVME_SQE, sqe, NVME_SQE)) {
            nvme_fatal(n, "a submission queue is not in RAM");
            return;
        }
        c = cmd_get(n);
        if (!c) {
            nvme_fatal(n, "out of memory");
            return;
        }
        q->head = q->head + 1 == q->size ? 0 : q->head + 1;
        c->sq = (uint16_t)sq;
        n->in_flight[sq]++;
        begin(n, c, sqe);
    }
    if (!sq)
        events_send(n);
}

static void finish_all(struct nvme *n)
{
    uint64_t touched = 0;
    struct nvme_cmd *c;

    pthread_mutex_lock(&n->done_lock);
    c = n->finished;
    n->finished = NULL;
    n->finished_tail = &n->finished;
    pthread_mutex_unlock(&n->done_lock);
    while (c) {
        struct nvme_cmd *next = c->next;

        touched |= UINT64_C(1) << c->sq;
        deactivate(c);
        complete(n, c);
        c = next;
    }
    for (unsigned i = 0; touched >> i && i <= n->queues; i++) /* commands that waited for others to finish */
        if (touched >> i & 1)
            nvme_submit_tail(n, i);
    nvme_notify(n);
}

/* On a worker thread. */
void nvme_io_done(struct block_req *io, int result)
{
    struct nvme_cmd *c = io->arg;
    struct nvme *n = c->n;
    bool last = true;

    pthread_mutex_lock(&n->done_lock);
    if (c->subs) {
        last = !--c->pending;
        if (result && c->status == NVME_ASYNC) /* the first error is the command's */
            c->status = nvme_io_status(c, result);
        if (last && c->status == NVME_ASYNC)
            c->status = NVME_SUCCESS;
    }
    pthread_mutex_unlock(&n->done_lock);
    if (!last)
        return;
    if (!c->subs)
        c->status = nvme_io_status(c, result);
    c->next = NULL;
    pthread_mutex_lock(&n->done_lock);
    *n->finished_tail = c;
    n->finished_tail = &c->next;
    n->busy[c->sq]--;
    pthread_cond_broadcast(&n->done_cond);
    pthread_mutex_unlock(&n->done_lock);
    if (!device_lock_unless(n, &n->stopping))
        return;
    finish_all(n);
    device_unlock(n);
}

static void not_busy(struct nvme *n, unsigned sq)
{
    pthread_mutex_lock(&n->done_lock);
    n->busy[sq]--;
    pthread_mutex_unlock(&n->done_lock);
}

bool nvme_abort(struct nvme *n, unsigned sq, uint16_t cid)
{
    for (struct nvme_cmd *c = n->active; c; c = c->next_active) {
        if (c->sq != sq || c->cid != cid)
            continue;
        if (!nvme_io_cancel(c))
            return false;
        deactivate(c);
        not_busy(n, sq);
        c->status = NVME_ABORTED;
        complete(n, c);
        return true;
    }
    return false;
}

/* Take the commands of sq out of a list. */
static void list_drop(struct nvme *n, unsigned sq, struct nvme_cmd **list, struct nvme_cmd ***tail, bool are_active)
{
    struct nvme_cmd **p = list;

    while (*p) {
        struct nvme_cmd *c = *p;

        if (c->sq != sq) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        if (are_active)
            deactivate(c);
        cmd_put(n, c);
    }
    *tail = p;
}

void nvme_queue_stop(struct nvme *n, unsigned sq)
{
    for (struct nvme_cmd *c = n->active, *next; c; c = next) {
        next = c->next_active;
        if (c->sq != sq || !nvme_io_cancel(c))
            continue;
        deactivate(c);
        not_busy(n, sq);
        cmd_put(n, c);
    }
    /* Under the device's lock: the thread that ends commands must not wait for that lock meanwhile. */
    __atomic_store_n(&n->stopping, true, __ATOMIC_RELEASE);
    pthread_mutex_lock(&n->done_lock);
    while (n->busy[sq])
        pthread_cond_wait(&n->done_cond, &n->done_lock);
    list_drop(n, sq, &n->finished, &n->finished_tail, true);
    pthread_mutex_unlock(&n->done_lock);
    __atomic_store_n(&n->stopping, false, __ATOMIC_RELEASE);
    list_drop(n, sq, &n->waiting, &n->waiting_tail, false);
    finish_all(n); /* other queues' */
}

/* --- data pointers (4.3 PRP, 4.4 SGL) --- */

static uint16_t add_piece(struct nvme *n, struct nvme_cmd *c, gpa at, uint64_t len)
{
    while (len) {
        uint64_t got = len;
        uint8_t *host = dma_map(n->pci.dev.bus, at, &got, c->to_guest);
        struct iovec *last = c->n_iov ? &c->iov[c->n_iov - 1] : NULL;

        if (!host)
            return NVME_DATA_ERROR;
        if (last && (uint8_t *)last->iov_base + last->iov_len == host && c->at[c->n_iov - 1] + last->iov_len == at) {
            last->iov_len += got;
        } else {
            if (c->n_iov == c->cap) {
                unsigned cap = c->cap ? 2 * c->cap : 16;
                struct iovec *iov = realloc(c->iov, cap * sizeof *iov);
                gpa *places;

                c->iov = iov ? iov : c->iov;
                places = realloc(c->at, cap * sizeof *places);
                c->at = places ? places : c->at;
                if (!iov || !places)
                    return NVME_INTERNAL;
                c->cap = cap;
            }
            c->iov[c->n_iov] = (struct iovec){host, got};
            c->at[c->n_iov++] = at;
        }
        at += got;
        len -= got;
    }
    return NVME_SUCCESS;
}

/* The list at `list` says where the pages of len bytes are. Its last entry in a page links to the next page of it. */
static uint16_t map_prp_list(struct nvme *n, struct nvme_cmd *c, gpa list, uint64_t len)
{
    uint64_t page = nvme_page(n), left = len;
    uint8_t entries[512 * 8];

    if (list & 7)
        return NVME_PRP_OFFSET | NVME_DNR;
    while (left) {
        uint64_t room = (page - (list & (page - 1))) / 8, want = (left + page - 1) / page;
        bool link = want > room;
        uint64_t count = link ? room : want;

        for (uint64_t done = 0; done < count;) {
            uint64_t k = count - done < ARRAY_LEN(entries) / 8 ? count - done : ARRAY_LEN(entries) / 8;

            if (!dma_read(n->pci.dev.bus, list + 8 * done, entries, 8 * k))
                return NVME_DATA_ERROR;
            for (uint64_t i = 0; i < k; i++) {
                gpa at = ld64(entries + 8 * i);
                uint64_t step = left < page ? left : page;
                uint16_t status;

                if (at & (page - 1))
                    return NVME_PRP_OFFSET | NVME_DNR;
                if (link && done + i == count - 1) {
                    list = at;
                    break;
                }
                status = add_piece(n, c, at, step);
                if (status)
                    return status;
                left -= step;
            }
            done += k;
        }
    }
    return NVME_SUCCESS;
}

static uint16_t map_prp(struct nvme *n, struct nvme_cmd *c, gpa prp1, gpa prp2, uint64_t len)
{
    uint64_t page = nvme_page(n), room = page - (prp1 & (page - 1)), first = len < room ? len : room;
    uint16_t status;

    if (prp1 & 3)
        return NVME_PRP_OFFSET | NVME_DNR;
    status = add_piece(n, c, prp1, first);
    len -= first;
    if (status || !len)
        return status;
    if (len > page)
        return map_prp_list(n, c, prp2, len);
    if (prp2 & (page - 1))
        return NVME_PRP_OFFSET | NVME_DNR;
    return add_piece(n, c, prp2, len);
}

enum { SGL_ENTRY = 16, SGL_DATA = 0, SGL_SEGMENT = 2, SGL_LAST = 3, SGL_ENTRIES_MAX = 2048 };

/* d: the descriptor in the command. Every descriptor counts, so that segments that link in a circle come to an end. */
static uint16_t map_sgl(struct nvme *n, struct nvme_cmd *c, const uint8_t *first, uint64_t len)
{
    uint8_t d[SGL_ENTRY];
    gpa at = 0;                      /* of the next descriptor in its segment */
    uint32_t entries = 1, count = 0; /* left in the segment */
    bool last = false;

    memcpy(d, first, SGL_ENTRY);
    for (;; at += SGL_ENTRY) {
        uint8_t type = d[15] >> 4;
        uint32_t bytes = ld32(d + 8);
        uint16_t status;

        if (d[15] & 15)
            return NVME_SGL_TYPE | NVME_DNR;
        if (++count > SGL_ENTRIES_MAX)
            return NVME_SGL_COUNT | NVME_DNR;
        if (type == SGL_DATA) {
            uint64_t step = bytes < len ? bytes : len;

            if (bytes > len)
                return NVME_SGL_LENGTH | NVME_DNR;
            status = add_piece(n, c, ld64(d), step);
            if (status)
                return status;
            len -= step;
            entries--;
        } else if (type == SGL_SEGMENT || type == SGL_LAST) {
            if (entries != 1 || last || !bytes || bytes % SGL_ENTRY) /* only the last descriptor of a segment links */
                return NVME_SGL_SEGMENT | NVME_DNR;
            at = ld64(d) - SGL_ENTRY;
            entries = bytes / SGL_ENTRY;
            last = type == SGL_LAST;
        } else {
            return NVME_SGL_TYPE | NVME_DNR;
        }
        if (!entries)
            return len ? NVME_SGL_LENGTH | NVME_DNR : NVME_SUCCESS;
        if (!dma_read(n->pci.dev.bus, at + SGL_ENTRY, d, SGL_ENTRY))
            return NVME_DATA_ERROR;
    }
}

uint16_t nvme_map(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe, uint64_t len, bool to_guest)
{
    uint8_t kind = sqe[1] >> 6; /* PSDT */

    c->to_guest = to_guest;
    c->n_iov = 0;
    if (kind == 3 || (kind && !c->sq)) /* admin commands on PCIe have PRPs (4.4) */
        return NVME_INVALID_FIELD | NVME_DNR;
    return kind ? map_sgl(n, c, sqe + 24, len) : map_prp(n, c, ld64(sqe + 24), ld64(sqe + 32), len);
}

void nvme_map_written(struct nvme *n, const struct nvme_cmd *c, uint64_t len)
{
    for (unsigned i = 0; i < c->n_iov && len; i++) {
        uint64_t k = c->iov[i].iov_len < len ? c->iov[i].iov_len : len;

        dma_written(n->pci.dev.bus, c->at[i], k);
        len -= k;
    }
}
