/*
 * NVMe controller: PCI function, registers, enabling, shutdown.
 *
 * Life of a command: fetched from its submission queue when the guest rings the queue's doorbell (nvme_queue.c), decoded
 * (nvme_admin.c, nvme_io.c), done on the spot or handed to the block layer; a worker that finishes puts it on `finished`,
 * takes the device's lock and posts its completion. Commands in flight are bounded by the size of their queue, and a
 * queue whose completions nobody takes is fetched from no further: the guest sets no limit but its own memory's.
 * Interrupts: one MSI-X vector per completion queue, or INTx with the mask registers.
 * Source: NVM Express base specification 1.4, sections 3 (registers) and 7.6 (initialisation, shutdown).
 */
#include "devices/nvme.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nvme_parts.h"

enum { /* registers, offsets */
       CAP = 0x00,
       VS = 0x08,
       INTMS = 0x0c,
       INTMC = 0x10,
       CC = 0x14,
       CSTS = 0x1c,
       NSSR = 0x20,
       AQA = 0x24,
       ASQ = 0x28,
       ACQ = 0x30,
       DOORBELLS = 0x1000,
       MSIX = 0x2000,
       PBA = 0x3000,
       BAR_SIZE = 0x4000,
};

enum { /* CC */
       CC_ENABLE = 1,
       CC_CSS_SHIFT = 4,
       CC_MPS_SHIFT = 7,
       CC_AMS_SHIFT = 11,
       CC_SHN = 3 << 14,
       CC_ENTRY_SIZES = 0xff << 16,
};

enum {
    VERSION = 0x00010400,
    TIMEOUT = 15, /* of half seconds */
    /* Not QEMU's 1b36:0010, for which Linux neither trusts identifiers nor uses write zeroes; 1af4:10f0 is free for all. */
    VENDOR = 0x1af4,
    DEVICE = 0x10f0,
    SUBSYSTEM_VENDOR = 0x1af4,
    SUBSYSTEM = 0x1100,
    CLASS = 0x010802, /* mass storage, non-volatile memory, NVM Express */
    MDTS_DEFAULT = 7,
    MDTS_MAX = 9,
    QUEUES_DEFAULT = 8,
    ENTRIES_DEFAULT = 1024,
    ENTRIES_MAX = 4096,
};

static uint64_t capabilities(const struct nvme *n)
{
    return (n->queue_entries - 1) | UINT64_C(1) << 16 /* queues are contiguous */ | (uint64_t)TIMEOUT << 24 |
           UINT64_C(1) << 37 /* the NVM command set */ | (uint64_t)NVME_MPS_MAX << 52;
}

/* --- enable, disable, shut down --- */

static void shutdown_done(struct block_req *io, int result);

static bool shutting(struct nvme *n)
{
    bool any;

    pthread_mutex_lock(&n->done_lock);
    any = n->shutting;
    pthread_mutex_unlock(&n->done_lock);
    return any;
}

static void shutdown_flush(struct nvme *n)
{
    bool none;

    n->shutdown_again = false;
    pthread_mutex_lock(&n->done_lock);
    n->shutting = 1; /* ours, so that the last one of the loop cannot end it early */
    pthread_mutex_unlock(&n->done_lock);
    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) {
        if (!n->ns[i].block)
            continue;
        n->shutdown[i] = (struct block_req){.op = BLOCK_FLUSH, .done = shutdown_done, .arg = n};
        pthread_mutex_lock(&n->done_lock);
        n->shutting++;
        pthread_mutex_unlock(&n->done_lock);
        block_submit(n->ns[i].block, &n->shutdown[i]);
    }
    pthread_mutex_lock(&n->done_lock);
    none = !--n->shutting;
    pthread_mutex_unlock(&n->done_lock);
    if (none && n->csts & NVME_SHUTDOWN_RUNNING)
        n->csts = (n->csts & ~(uint32_t)NVME_SHUTDOWN_RUNNING) | NVME_SHUTDOWN_DONE;
}

/* On a worker thread. An error of a flush has no place to be told here. */
static void shutdown_done(struct block_req *io, int result)
{
    struct nvme *n = io->arg;
    bool last;

    (void)result;
    pthread_mutex_lock(&n->done_lock);
    last = !--n->shutting;
    pthread_mutex_unlock(&n->done_lock);
    if (!last)
        return;
    device_lock(n);
    last = !shutting(n); /* or a later shutdown has begun */
    if (last && n->shutdown_again)
        shutdown_flush(n);
    else if (last && n->csts & NVME_SHUTDOWN_RUNNING)
        n->csts = (n->csts & ~(uint32_t)NVME_SHUTDOWN_RUNNING) | NVME_SHUTDOWN_DONE;
    device_unlock(n);
}

/*
 * The guest's last word before power goes: make all stable, then say so. Flushes of an earlier shutdown are not waited
 * for: the threads that end them may want the lock that is held here.
 */
static void shut_down(struct nvme *n)
{
    n->csts = (n->csts & ~(uint32_t)(NVME_SHUTDOWN_DONE)) | NVME_SHUTDOWN_RUNNING;
    n->shutdown_again = shutting(n);
    if (!n->shutdown_again)
        shutdown_flush(n);
}

static void disable(struct nvme *n)
{
    for (unsigned q = 0; q < NVME_QUEUES; q++)
        nvme_queue_stop(n, q);
    memset(n->sq, 0, sizeof n->sq);
    memset(n->cq, 0, sizeof n->cq);
    n->aers = n->events = n->events_masked = 0;
    n->nonempty = n->posted = 0;
    n->intms = 0;
    n->csts = 0;
    nvme_features_reset(n);
    nvme_intx_update(n);
}

static void enable(struct nvme *n)
{
    uint32_t sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;

    if (sq < 2 || cq < 2 || (n->cc >> CC_MPS_SHIFT & 0xf) > NVME_MPS_MAX || (n->cc >> CC_CSS_SHIFT & 7) ||
        (n->cc >> CC_AMS_SHIFT & 7) || n->asq & (nvme_page(n) - 1) || n->acq & (nvme_page(n) - 1)) {
        nvme_fatal(n, "enabled with a configuration it does not have");
        return;
    }
    n->sq[0] = (struct nvme_sq){.base = n->asq, .size = sq};
    n->cq[0] = (struct nvme_cq){.base = n->acq, .size = cq, .interrupts = 1, .phase = 1};
    n->csts = NVME_READY;
}

static void control(struct nvme *n, uint32_t val)
{
    uint32_t old = n->cc;

    if (old & val & CC_ENABLE) /* the rest is fixed while it is enabled */
        val = (old & ~(uint32_t)(CC_SHN | CC_ENTRY_SIZES)) | (val & (CC_SHN | CC_ENTRY_SIZES));
    n->cc = val;
    if (old & CC_ENABLE && !(val & CC_ENABLE))
        disable(n);
    else if (!(old & CC_ENABLE) && val & CC_ENABLE)
        enable(n);
    if (val & CC_SHN && !(old & CC_SHN))
        shut_down(n);
    else if (!(val & CC_SHN))
        n->csts &= ~(uint32_t)(NVME_SHUTDOWN_DONE | NVME_SHUTDOWN_RUNNING);
}

/* --- registers --- */

static uint64_t reg_read(void *arg, gpa off, unsigned size)
{
    struct nvme *n = arg;

    (void)size;
    switch (off) {
    case CAP: return (uint32_t)capabilities(n);
    case CAP + 4: return capabilities(n) >> 32;
    case VS: return VERSION;
    case INTMS:
    case INTMC: return n->intms;
    case CC: return n->cc;
    case CSTS: return n->csts;
    case AQA: return n->aqa;
    case ASQ: return (uint32_t)n->asq;
    case ASQ + 4: return n->asq >> 32;
    case ACQ: return (uint32_t)n->acq;
    case ACQ + 4: return n->acq >> 32;
    default: return 0; /* reserved, and what we do not have (NSSR, CMB, boot partitions) */
    }
}

static void doorbell(struct nvme *n, gpa off, uint32_t val)
{
    unsigned q = (unsigned)(off - DOORBELLS) / 8;
    bool completion = off & 4;

    if (!(n->csts & NVME_READY) || n->csts & NVME_FATAL || !pci_master(&n->pci)) {
        log_guest(&n->pci.dev, "doorbell of queue %u while the controller cannot serve it", q);
    } else if (q > n->queues || !(completion ? n->cq[q].size : n->sq[q].size)) {
        nvme_event(n, NVME_EV_DOORBELL);
    } else if (val >= (completion ? n->cq[q].size : n->sq[q].size)) {
        nvme_event(n, NVME_EV_VALUE);
    } else if (completion) {
        nvme_consume_head(n, q, val);
    } else {
        n->sq[q].tail = val;
        nvme_submit_tail(n, q);
    }
    nvme_notify(n);
}

static void reg_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct nvme *n = arg;
    bool enabled = n->cc & CC_ENABLE;

    (void)size;
    if (off >= DOORBELLS && off < MSIX) {
        doorbell(n, off, (uint32_t)val & 0xffff);
        return;
    }
    if (enabled && off >= AQA && off < ACQ + 8) {
        log_guest(&n->pci.dev, "admin queue registers written while the controller is enabled");
        return;
    }
    switch (off) {
    case INTMS: n->intms |= (uint32_t)val; break;
    case INTMC: n->intms &= ~(uint32_t)val; break;
    case CC: control(n, (uint32_t)val); break;
    case AQA: n->aqa = (uint32_t)val & 0x0fff0fff; break;
    case ASQ: n->asq = deposit64(n->asq, 0, 32, val & 0xfffff000); break;
    case ASQ + 4: n->asq = deposit64(n->asq, 32, 32, val); break;
    case ACQ: n->acq = deposit64(n->acq, 0, 32, val & 0xfffff000); break;
    case ACQ + 4: n->acq = deposit64(n->acq, 32, 32, val); break;
    default: log_guest(&n->pci.dev, "write of register 0x%" PRIx64, off);
    }
    if (off == INTMS || off == INTMC)
        nvme_intx_update(n);
}

static const struct mmio_ops reg_ops = {reg_read, reg_write, .min_size = 4, .max_size = 4, .split = true};

/* --- the device --- */

static void nvme_reset(struct device *d)
{
    struct nvme *n = (struct nvme *)d;

    for (unsigned q = 0; q < NVME_QUEUES; q++)
        nvme_queue_stop(n, q);
    n->nonempty = n->posted = 0;
    nvme_features_reset(n);
    pci_reset(&n->pci);
}

/* What a snapshot brings is not trusted: queues outside their rings are no queues. */
static void nvme_update(struct device *d)
{
    struct nvme *n = (struct nvme *)d;

    n->nonempty = 0;
    for (unsigned q = 0; q < NVME_QUEUES; q++) {
        struct nvme_sq *sq = &n->sq[q];
        struct nvme_cq *cq = &n->cq[q];
        uint32_t max = q ? n->queue_entries : ENTRIES_MAX;

        if (q > n->queues || sq->size < 2 || sq->size > max || sq->head >= sq->size || sq->tail >= sq->size ||
            sq->cq > n->queues)
            *sq = (struct nvme_sq){0};
        if (q > n->queues || cq->size < 2 || cq->size > max || cq->head >= cq->size || cq->tail >= cq->size)
            *cq = (struct nvme_cq){0};
        cq->phase &= 1;
        if (cq->head != cq->tail)
            n->nonempty |= UINT64_C(1) << q;
    }
    for (unsigned q = 0; q < NVME_QUEUES; q++)
        if (n->sq[q].size && !n->cq[n->sq[q].cq].size)
            n->sq[q] = (struct nvme_sq){0};
    if (n->aers > NVME_AER_MAX)
        n->aers = 0;
    if (n->csts & NVME_SHUTDOWN_RUNNING && !shutting(n)) /* saved meanwhile, with the disks flushed */
        n->csts ^= NVME_SHUTDOWN_RUNNING | NVME_SHUTDOWN_DONE;
    nvme_intx_update(n);
    pci_update(&n->pci);
}

static void nvme_free(struct device *d)
{
    struct nvme *n = (struct nvme *)d;

    device_lock(d);
    for (unsigned q = 0; q < NVME_QUEUES; q++)
        nvme_queue_stop(n, q);
    n->csts = 0;
    n->shutdown_again = false;
    device_unlock(d);
    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++)
        if (n->ns[i].block)
            block_drain(n->ns[i].block); /* workers that are still on their way out */
    nvme_cmd_free_all(n);
    pthread_cond_destroy(&n->done_cond);
    pthread_mutex_destroy(&n->done_lock);
    pci_fini(&n->pci);
    free(n);
}

static void nvme_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    const struct nvme *n = (const struct nvme *)d;
    char text[160];

    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) {
        if (!n->ns[i].block)
            continue;
        snprintf(text, sizeof text, "namespace %u: %" PRIu64 " blocks of %u bytes%s", i + 1, n->ns[i].blocks,
                 1u << n->ns[i].shift, n->ns[i].read_only ? ", read-only" : "");
        line(arg, text);
    }
    snprintf(text, sizeof text, "%" PRIu64 " commands done at the doorbell, %" PRIu64 " by workers, %" PRIu64 " errors",
             n->inline_done, n->queued, n->errors);
    line(arg, text);
}

static const struct field nvme_state[] = {
    PCI_FIELDS(struct nvme, pci),
    FIELD(struct nvme, intms),
    FIELD(struct nvme, cc),
    FIELD(struct nvme, csts),
    FIELD(struct nvme, aqa),
    FIELD(struct nvme, asq),
    FIELD(struct nvme, acq),
    FIELD_ARRAY(struct nvme, sq, NVME_QUEUES),
    FIELD_ARRAY(struct nvme, cq, NVME_QUEUES),
    FIELD_ARRAY(struct nvme, feature, NVME_FEATURES),
    FIELD_ARRAY(struct nvme, aer, NVME_AER_MAX),
    FIELD(struct nvme, aers),
    FIELD(struct nvme, events),
    FIELD(struct nvme, events_masked),
    FIELD(struct nvme, errors),
    FIELD_ARRAY(struct nvme, error, NVME_ERRORS),
    {0},
};

static const struct device_ops nvme_ops = {
    .name = "nvme",
    .state = nvme_state,
    .reset = nvme_reset,
    .update = nvme_update,
    .free = nvme_free,
    .info = nvme_info,
};

static bool options_fit(const char *name, const struct nvme_options *o, struct err *e)
{
    if (o->queues > NVME_IO_QUEUES_MAX)
        return err_set(e, "%s: at most %d I/O queues", name, NVME_IO_QUEUES_MAX);
    if (o->mdts < 0 || o->mdts > MDTS_MAX)
        return err_set(e, "%s: mdts must be 1 to %d", name, MDTS_MAX);
    if (o->queue_entries && (o->queue_entries < 2 || o->queue_entries > ENTRIES_MAX || !is_pow2(o->queue_entries)))
        return err_set(e, "%s: queue entries must be a power of two from 2 to %d", name, ENTRIES_MAX);
    return true;
}

struct pci_device *nvme_new(const struct device_env *env, const char *name, const struct nvme_options *o, struct err *e)
{
    static const struct pci_id id = {VENDOR, DEVICE, SUBSYSTEM_VENDOR, SUBSYSTEM, CLASS, 2};
    const char *serial = o->serial ? o->serial : name;
    struct nvme *n;

    if (!options_fit(name, o, e))
        return NULL;
    n = calloc(1, sizeof *n);
    if (!n) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    pci_init(&n->pci, &nvme_ops, name, env, &id);
    pthread_mutex_init(&n->done_lock, NULL);
    pthread_cond_init(&n->done_cond, NULL);
    n->finished_tail = &n->finished;
    n->waiting_tail = &n->waiting;
    n->queues = o->queues ? o->queues : QUEUES_DEFAULT;
    n->queue_entries = o->queue_entries ? o->queue_entries : ENTRIES_DEFAULT;
    n->mdts = o->mdts ? (unsigned)o->mdts : MDTS_DEFAULT;
    memset(n->serial, ' ', sizeof n->serial);
    memcpy(n->serial, serial, strnlen(serial, sizeof n->serial));
    nvme_features_reset(n);
    pci_use_intx(&n->pci);
    if (pci_set_bar(&n->pci, 0, PCI_BAR_MEM64, BAR_SIZE, &reg_ops, n, e) &&
        pci_add_msix(&n->pci, o->vectors ? o->vectors : n->queues + 1, 0, MSIX, PBA, e))
        return &n->pci;
    nvme_free(&n->pci.dev);
    return NULL;
}

bool nvme_add_namespace(struct pci_device *p, struct block *b, unsigned nsid, unsigned block_size, struct err *e)
{
    struct nvme *n = (struct nvme *)p;
    struct block_info info;

    block_get_info(b, &info);
    if (!block_size)
        block_size = info.logical;
    if (block_size != 512 && block_size != 4096)
        return err_set(e, "%s: blocks of %u bytes; 512 and 4096 are possible", p->dev.name, block_size);
    if (block_size < info.logical)
        return err_set(e, "%s: blocks of %u bytes on a disk with blocks of %u", p->dev.name, block_size, info.logical);
    if (!nsid)
        for (nsid = 1; nsid <= NVME_NAMESPACES_MAX && n->ns[nsid - 1].block;)
            nsid++;
    if (nsid > NVME_NAMESPACES_MAX)
        return err_set(e, "%s: namespaces are 1 to %d", p->dev.name, NVME_NAMESPACES_MAX);
    if (n->ns[nsid - 1].block)
        return err_set(e, "%s: namespace %u is there already", p->dev.name, nsid);
    n->ns[nsid - 1] = (struct nvme_ns){
        .block = b,
        .shift = block_size == 4096 ? 12 : 9,
        .blocks = info.size / block_size,
        .read_only = info.read_only,
    };
    return true;
}

void nvme_resized(struct pci_device *p, struct block *b)
{
    struct nvme *n = (struct nvme *)p;
    struct block_info info;

    block_get_info(b, &info);
    device_lock(n);
    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) {
        if (n->ns[i].block != b)
            continue;
        n->ns[i].blocks = info.size >> n->ns[i].shift;
        n->ns[i].changed = true;
        nvme_event(n, NVME_EV_NAMESPACE);
    }
    nvme_notify(n);
    device_unlock(n);
}
