/*
 * Admin commands: queues, features, log pages, abort, event requests. All are done on the spot.
 * Source: NVM Express base specification 1.4, section 5.
 */
#include <string.h>

#include "base/bits.h"
#include "devices/nvme_parts.h"

enum {
    DELETE_SQ = 0x00,
    CREATE_SQ = 0x01,
    GET_LOG = 0x02,
    DELETE_CQ = 0x04,
    CREATE_CQ = 0x05,
    IDENTIFY = 0x06,
    ABORT = 0x08,
    SET_FEATURES = 0x09,
    GET_FEATURES = 0x0a,
    EVENT_REQUEST = 0x0c,
};

enum { FUSED = 3, LOG_MAX = 4096 };

/* Copy len bytes to where the command's data pointer says. */
static uint16_t give(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe, const uint8_t *data, uint64_t len)
{
    uint16_t status = nvme_map(n, c, sqe, len, true);

    if (status)
        return status;
    for (unsigned i = 0; i < c->n_iov; data += c->iov[i].iov_len, i++)
        memcpy(c->iov[i].iov_base, data, c->iov[i].iov_len);
    nvme_map_written(n, c, len);
    return NVME_SUCCESS;
}

/* --- queues --- */

static uint16_t create_cq(struct nvme *n, const uint8_t *sqe)
{
    unsigned q = ld16(sqe + 40), vector = ld16(sqe + 46);
    uint32_t size = (uint32_t)ld16(sqe + 42) + 1;
    uint16_t flags = ld16(sqe + 44);
    gpa base = ld64(sqe + 24);

    if (!q || q > n->queues || n->cq[q].size)
        return NVME_QID_INVALID | NVME_DNR;
    if (size < 2 || size > n->queue_entries)
        return NVME_QUEUE_SIZE | NVME_DNR;
    if (vector && (!pci_msix_enabled(&n->pci) || vector >= n->pci.msix_vectors))
        return NVME_VECTOR_INVALID | NVME_DNR;
    if (!(flags & 1)) /* CAP.CQR: contiguous */
        return NVME_INVALID_FIELD | NVME_DNR;
    if (base & (nvme_page(n) - 1))
        return NVME_PRP_OFFSET | NVME_DNR;
    n->cq[q] = (struct nvme_cq){
        .base = base, .size = size, .vector = (uint16_t)vector, .interrupts = flags >> 1 & 1, .phase = 1};
    return NVME_SUCCESS;
}

static uint16_t create_sq(struct nvme *n, const uint8_t *sqe)
{
    unsigned q = ld16(sqe + 40), cq = ld16(sqe + 46);
    uint32_t size = (uint32_t)ld16(sqe + 42) + 1;
    uint16_t flags = ld16(sqe + 44);
    gpa base = ld64(sqe + 24);

    if (!cq || cq > n->queues || !n->cq[cq].size)
        return NVME_CQ_INVALID | NVME_DNR;
    if (!q || q > n->queues || n->sq[q].size)
        return NVME_QID_INVALID | NVME_DNR;
    if (size < 2 || size > n->queue_entries)
        return NVME_QUEUE_SIZE | NVME_DNR;
    if (!(flags & 1))
        return NVME_INVALID_FIELD | NVME_DNR;
    if (base & (nvme_page(n) - 1))
        return NVME_PRP_OFFSET | NVME_DNR;
    n->sq[q] = (struct nvme_sq){.base = base, .size = size, .cq = (uint16_t)cq, .priority = flags >> 1 & 3};
    return NVME_SUCCESS;
}

static uint16_t delete_sq(struct nvme *n, const uint8_t *sqe)
{
    unsigned q = ld16(sqe + 40);

    if (!q || q > n->queues || !n->sq[q].size)
        return NVME_QID_INVALID | NVME_DNR;
    nvme_queue_stop(n, q);
    n->sq[q] = (struct nvme_sq){0};
    return NVME_SUCCESS;
}

static uint16_t delete_cq(struct nvme *n, const uint8_t *sqe)
{
    unsigned q = ld16(sqe + 40);

    if (!q || q > n->queues || !n->cq[q].size)
        return NVME_QID_INVALID | NVME_DNR;
    for (unsigned i = 1; i <= n->queues; i++)
        if (n->sq[i].size && n->sq[i].cq == q)
            return NVME_QUEUE_DELETION | NVME_DNR;
    n->cq[q] = (struct nvme_cq){0};
    n->nonempty &= ~(UINT64_C(1) << q);
    n->posted &= ~(UINT64_C(1) << q);
    nvme_intx_update(n);
    return NVME_SUCCESS;
}

/* --- features --- */

enum { TEMPERATURE_LIMIT = 0x157 /* kelvin */, ALL_BURSTS = 7 };

void nvme_features_reset(struct nvme *n)
{
    memset(n->feature, 0, sizeof n->feature);
    n->feature[NVME_F_ARBITRATION] = ALL_BURSTS;
    n->feature[NVME_F_TEMPERATURE] = TEMPERATURE_LIMIT;
    n->feature[NVME_F_WRITE_CACHE] = 1;
    n->feature[NVME_F_QUEUES] = (n->queues - 1) | (n->queues - 1) << 16;
}

static bool has_feature(unsigned f)
{
    return (f >= NVME_F_ARBITRATION && f <= NVME_F_EVENTS && f != 0x03 /* LBA ranges */) && f < NVME_FEATURES;
}

static uint16_t vector_feature(struct nvme *n, uint32_t w11, bool set, uint32_t *result)
{
    unsigned vector = w11 & 0xffff;

    if (vector >= n->pci.msix_vectors)
        return NVME_INVALID_FIELD | NVME_DNR;
    *result = vector | (vector ? 0 : 1u << 16); /* nothing is coalesced: on or off is the same */
    return set && w11 >> 17 ? NVME_INVALID_FIELD | NVME_DNR : NVME_SUCCESS;
}

static uint16_t get_features(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    unsigned f = sqe[40], select = sqe[41] & 7;
    uint32_t w11 = ld32(sqe + 44), now;

    if (!has_feature(f) || select > 3)
        return NVME_INVALID_FIELD | NVME_DNR;
    if (select == 3) { /* capabilities: which can be changed */
        c->result = f == NVME_F_POWER || f == NVME_F_ATOMICITY ? 0 : 4;
        return NVME_SUCCESS;
    }
    if (f == NVME_F_VECTOR)
        return vector_feature(n, w11, false, &c->result);
    if (f == NVME_F_TEMPERATURE && (w11 >> 16 & 0x3f)) { /* the composite's upper limit is the only one kept */
        c->result = w11 >> 20 & 3 ? 0 : 0xffff;
        return NVME_SUCCESS;
    }
    now = n->feature[f];
    if (select) { /* nothing is saved: default and saved are the same */
        uint32_t keep[NVME_FEATURES];

        memcpy(keep, n->feature, sizeof keep);
        nvme_features_reset(n);
        c->result = n->feature[f];
        memcpy(n->feature, keep, sizeof keep);
        return NVME_SUCCESS;
    }
    c->result = now;
    return NVME_SUCCESS;
}

static uint16_t set_features(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    unsigned f = sqe[40];
    uint32_t w11 = ld32(sqe + 44);

    if (!has_feature(f))
        return NVME_INVALID_FIELD | NVME_DNR;
    if (sqe[43] & 0x80)
        return NVME_NOT_SAVEABLE | NVME_DNR;
    switch (f) {
    case NVME_F_QUEUES: /* how many there are; 0xffff is not allowed (5.21.1.7) */
        if ((w11 & 0xffff) == 0xffff || w11 >> 16 == 0xffff)
            return NVME_INVALID_FIELD | NVME_DNR;
        c->result = n->feature[NVME_F_QUEUES];
        return NVME_SUCCESS;
    case NVME_F_VECTOR: return vector_feature(n, w11, true, &c->result);
    case NVME_F_POWER: return w11 & 31 ? NVME_INVALID_FIELD | NVME_DNR : NVME_SUCCESS; /* one power state */
    case NVME_F_TEMPERATURE:
        if (!(w11 >> 16 & 0x3f))
            n->feature[f] = w11 & 0xffff;
        return NVME_SUCCESS;
    case NVME_F_WRITE_CACHE:
        n->feature[f] = w11 & 1; /* off: every write is stable before it completes, and the earlier ones now */
        return w11 & 1 ? NVME_SUCCESS : nvme_flush_all(n, c);
    default: n->feature[f] = w11; return NVME_SUCCESS;
    }
}

/* --- the rest --- */

static uint16_t get_log(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    uint64_t len = ((ld16(sqe + 42) | (uint64_t)ld16(sqe + 44) << 16) + 1) * 4, off = ld64(sqe + 48);
    uint8_t log[LOG_MAX] = {0}, page = sqe[40];
    bool keep_event = sqe[41] & 0x80;
    size_t size;

    if (off & 3 || len > UINT64_C(4096) << n->mdts)
        return NVME_INVALID_FIELD | NVME_DNR;
    size = nvme_log(n, page, keep_event, log, sizeof log);
    if (!size)
        return NVME_LOG_INVALID | NVME_DNR;
    if (off > size)
        return NVME_INVALID_FIELD | NVME_DNR;
    return give(n, c, sqe, log + off, len < size - off ? len : size - off);
}

static uint16_t identify(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    uint8_t data[NVME_DATA] = {0};
    uint16_t status = nvme_identify(n, sqe[40], c->nsid, data);

    return status ? status : give(n, c, sqe, data, NVME_DATA);
}

static uint16_t event_request(struct nvme *n, const struct nvme_cmd *c)
{
    if (n->aers == NVME_AER_MAX)
        return NVME_AER_LIMIT | NVME_DNR;
    n->aer[n->aers++] = c->cid;
    return NVME_HELD;
}

uint16_t nvme_admin(struct nvme *n, struct nvme_cmd *c, const uint8_t *sqe)
{
    if (sqe[1] & FUSED)
        return NVME_INVALID_FIELD | NVME_DNR;
    switch (sqe[0]) {
    case DELETE_SQ: return delete_sq(n, sqe);
    case CREATE_SQ: return create_sq(n, sqe);
    case GET_LOG: return get_log(n, c, sqe);
    case DELETE_CQ: return delete_cq(n, sqe);
    case CREATE_CQ: return create_cq(n, sqe);
    case IDENTIFY: return identify(n, c, sqe);
    case ABORT: c->result = !nvme_abort(n, ld16(sqe + 40), ld16(sqe + 42)); return NVME_SUCCESS;
    case SET_FEATURES: return set_features(n, c, sqe);
    case GET_FEATURES: return get_features(n, c, sqe);
    case EVENT_REQUEST: return event_request(n, c);
    default: return NVME_INVALID_OPCODE | NVME_DNR;
    }
}
