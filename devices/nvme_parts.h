/*
 * The inside of the NVMe controller, shared by nvme.c (registers, life), nvme_queue.c (queues, interrupts),
 * nvme_admin.c, nvme_identify.c and nvme_io.c (commands).
 *
 * All functions run with the controller's device lock held unless they say otherwise.
 */
#ifndef DEVICES_NVME_PARTS_H
#define DEVICES_NVME_PARTS_H

#include <sys/uio.h>

#include "devices/nvme.h"
#include "images/block.h"

enum {
    NVME_QUEUES = NVME_IO_QUEUES_MAX + 1, /* with the admin queue, number 0 */
    NVME_SQE = 64,
    NVME_CQE = 16,
    NVME_AER_MAX = 4,
    NVME_ERRORS = 4, /* entries of the error log */
    NVME_FEATURES = 0x20,
    NVME_DATA = 4096, /* bytes of an identify structure */
};

enum { /* status: type << 8 | code; DNR: do not retry */
       NVME_SUCCESS = 0,
       NVME_INVALID_OPCODE = 0x01,
       NVME_INVALID_FIELD = 0x02,
       NVME_DATA_ERROR = 0x04,
       NVME_INTERNAL = 0x06,
       NVME_ABORTED = 0x07,
       NVME_INVALID_NSID = 0x0b,
       NVME_SGL_SEGMENT = 0x0d,
       NVME_SGL_COUNT = 0x0e,
       NVME_SGL_LENGTH = 0x0f,
       NVME_SGL_TYPE = 0x11,
       NVME_PRP_OFFSET = 0x13,
       NVME_PROTECTED = 0x20,
       NVME_LBA_RANGE = 0x80,
       NVME_CAPACITY = 0x81,
       NVME_CQ_INVALID = 0x100,
       NVME_QID_INVALID = 0x101,
       NVME_QUEUE_SIZE = 0x102,
       NVME_AER_LIMIT = 0x105,
       NVME_VECTOR_INVALID = 0x108,
       NVME_LOG_INVALID = 0x109,
       NVME_QUEUE_DELETION = 0x10c,
       NVME_NOT_SAVEABLE = 0x10d,
       NVME_WRITE_FAULT = 0x280,
       NVME_READ_ERROR = 0x281,
       NVME_COMPARE_FAILURE = 0x285,
       NVME_DNR = 0x4000,
       NVME_ASYNC = 0xffff, /* ours: the block layer has it, or is to get it */
       NVME_HELD = 0xfffe,  /* ours: answered later by other means */
};

enum nvme_feature {
    NVME_F_ARBITRATION = 0x01,
    NVME_F_POWER = 0x02,
    NVME_F_TEMPERATURE = 0x04,
    NVME_F_ERROR_RECOVERY = 0x05,
    NVME_F_WRITE_CACHE = 0x06,
    NVME_F_QUEUES = 0x07,
    NVME_F_COALESCING = 0x08,
    NVME_F_VECTOR = 0x09,
    NVME_F_ATOMICITY = 0x0a,
    NVME_F_EVENTS = 0x0b,
};

enum { /* CSTS */ NVME_READY = 1, NVME_FATAL = 2, NVME_SHUTDOWN_RUNNING = 4, NVME_SHUTDOWN_DONE = 8 };

/* Events that wait for an asynchronous event request. */
enum nvme_event { NVME_EV_DOORBELL, NVME_EV_VALUE, NVME_EV_NAMESPACE, NVME_EVENTS };

/* What a snapshot holds of the queues: no padding, no pointers. */
struct nvme_sq {
    gpa base;
    uint32_t size, head, tail; /* entries; size 0: there is no such queue */
    uint16_t cq, priority;
};

struct nvme_cq {
    gpa base;
    uint32_t size, head, tail;
    uint16_t vector;
    uint8_t interrupts, phase;
};

struct nvme_error {
    uint64_t count, lba;
    uint32_t nsid;
    uint16_t sq, cid, status, pad;
};

struct nvme_ns {
    struct block *block; /* NULL: no such namespace */
    uint64_t blocks;     /* size in logical blocks */
    uint32_t shift;      /* log2 of the logical block's bytes */
    bool read_only, changed;
};

struct nvme;

struct nvme_cmd {
    struct block_req io; /* first: `done` gets it */
    struct nvme *n;
    struct nvme_ns *ns;
    struct block_req *sub;  /* parts of a command that is more than one request */
    unsigned subs, pending; /* requests with the block layer; under done_lock */
    uint16_t sq, cid, status;
    uint32_t result; /* word 0 of the completion */
    uint64_t lba;
    uint32_t nsid;
    bool to_guest; /* the data goes into guest memory */
    uint8_t *buf;  /* compare: what is on the disk */
    /* where the data is in the guest */
    struct iovec *iov;
    gpa *at;
    unsigned n_iov, cap;
    struct nvme_cmd *next;                /* of finished, waiting or free */
    struct nvme_cmd *next_active, **prev; /* with the block layer */
};

struct nvme {
    struct pci_device pci; /* first */
    struct nvme_ns ns[NVME_NAMESPACES_MAX];
    char serial[20];
    unsigned queues, queue_entries, mdts;
    /* state */
    uint32_t intms, cc, csts, aqa;
    uint64_t asq, acq;
    struct nvme_sq sq[NVME_QUEUES];
    struct nvme_cq cq[NVME_QUEUES];
    uint32_t feature[NVME_FEATURES];
    uint16_t aer[NVME_AER_MAX]; /* command identifiers of the event requests that wait */
    uint32_t aers, events /* 1 << enum nvme_event */, events_masked /* 1 << type, until its log is read */;
    uint64_t errors;
    struct nvme_error error[NVME_ERRORS];
    /* not state */
    uint64_t nonempty;               /* completion queues with entries the guest has not taken; derived */
    uint64_t posted;                 /* completion queues that got entries since the last notification */
    unsigned in_flight[NVME_QUEUES]; /* fetched and not completed */
    bool shutdown_again;             /* asked for while the flushes of an earlier one run */
    struct nvme_cmd *active, *waiting /* for room in their completion queue */, **waiting_tail, *free;
    uint64_t inline_done, queued;
    pthread_mutex_t done_lock; /* inside the device's lock; guards the rest */
    pthread_cond_t done_cond;
    struct nvme_cmd *finished, **finished_tail;
    unsigned busy[NVME_QUEUES]; /* commands with the block layer, by submission queue */
    bool stopping;              /* atomic; a queue is being stopped, which looks after `finished` */
    unsigned shutting;          /* flushes of a shutdown under way */
    struct block_req shutdown[NVME_NAMESPACES_MAX];
};

enum { NVME_MPS_MAX = 4 /* 64 KiB */ };

/* Bytes of the guest's memory page (CC.MPS; larger ones cannot be enabled). */
static inline uint64_t nvme_page(const struct nvme *n)
{
    uint32_t mps = n->cc >> 7 & 0xf;

    return UINT64_C(4096) << (mps < NVME_MPS_MAX ? mps : NVME_MPS_MAX);
}

/* nvme_queue.c */
void nvme_submit_tail(struct nvme *n, unsigned sq); /* fetch and start what is there */
void nvme_consume_head(struct nvme *n, unsigned cq, uint32_t head);
void nvme_post(struct nvme *n, unsigned sq, uint16_t cid, uint16_t status, uint32_t result); /* waits for no room */
void nvme_notify(struct nvme *n); /* interrupts for what was posted */
void nvme_intx_update(struct nvme *n);
void nvme_queue_stop(struct nvme *n, unsigned sq); /* nothing of it is in flight after that */
bool nvme_abort(struct nvme *n, unsigned sq, uint16_t cid);
void nvme_cmd_free_all(struct nvme *n);
void nvme_io_done(struct block_req *io, int result); /* no lock held */
void nvme_fatal(struct nvme *n, const char *why);
void nvme_event(struct nvme *n, enum nvme_event e);
void nvme_event_seen(struct nvme *n, unsigned log_page); /* the guest has read the log that tells of it */
/* Read the data pointer of a command of len bytes: c->iov. A status. */
uint16_t nvme_map(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe, uint64_t len, bool to_guest);
void nvme_map_written(struct nvme *n, const struct nvme_cmd *c, uint64_t len);

/* Begin a command: its status, or NVME_ASYNC. nvme_admin.c, nvme_io.c */
uint16_t nvme_admin(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe);
uint16_t nvme_io(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe);
uint16_t nvme_io_status(struct nvme_cmd *c, int result); /* how a request that ended with result is told the guest */
bool nvme_io_try(struct nvme_cmd *c, int *result);       /* as block_try */
void nvme_io_submit(struct nvme_cmd *c);                 /* of what the command is with the block layer */
bool nvme_io_cancel(struct nvme_cmd *c);                 /* as block_cancel, of all its requests */
uint16_t nvme_flush_all(struct nvme *n, struct nvme_cmd *c);
void nvme_features_reset(struct nvme *n);

/* nvme_identify.c: fill 4096 zeroed bytes. A status. */
uint16_t nvme_identify(struct nvme *n, unsigned what, uint32_t nsid, uint8_t *data);
/* A log page, at most max bytes; its length, 0: no such page. */
size_t nvme_log(struct nvme *n, unsigned page, bool keep_event, uint8_t *data, size_t max);

#endif
