/*
 * What an NVMe controller says of itself: identify structures and log pages.
 * Source: NVM Express base specification 1.4, sections 5.14 (log pages) and 5.15 (identify).
 */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nvme_parts.h"

enum { /* identify: CNS */
       CNS_NAMESPACE = 0x00,
       CNS_CONTROLLER = 0x01,
       CNS_ACTIVE = 0x02,
       CNS_DESCRIPTORS = 0x03,
};

enum { /* the controller's structure, offsets */
       C_VENDOR = 0,
       C_SUBSYSTEM_VENDOR = 2,
       C_SERIAL = 4,
       C_MODEL = 24,
       C_FIRMWARE = 64,
       C_BURST = 72,
       C_OUI = 73,
       C_MDTS = 77,
       C_VERSION = 80,
       C_EVENTS = 92,
       C_TYPE = 111,
       C_ABORTS = 258,
       C_AERS = 259,
       C_FIRMWARE_SLOTS = 260,
       C_LOG_ATTRIBUTES = 261,
       C_ERROR_ENTRIES = 262,
       C_WARN_TEMPERATURE = 266,
       C_CRITICAL_TEMPERATURE = 268,
       C_SQ_ENTRY = 512,
       C_CQ_ENTRY = 513,
       C_NAMESPACES = 516,
       C_OPTIONAL = 520,
       C_WRITE_CACHE = 525,
       C_SGLS = 536,
       C_NQN = 768,
       C_POWER = 2048,
};

enum { /* a namespace's structure, offsets */
       N_SIZE = 0,
       N_CAPACITY = 8,
       N_USED = 16,
       N_FEATURES = 24,
       N_FORMATS = 25,
       N_FORMAT = 26,
       N_DEALLOCATE = 33,
       N_GRANULARITY = 64, /* preferred: write, its alignment, deallocate, its alignment, optimal write */
       N_ATTRIBUTES = 99,
       N_FORMAT_TABLE = 128,
};

enum { KELVIN_NOW = 0x143, KELVIN_WARN = 0x157, KELVIN_CRITICAL = 0x175, MILLIWATTS = 25000 };
enum { OPTIONAL_COMPARE = 1, OPTIONAL_DATASET = 4, OPTIONAL_ZEROES = 8 };

static void text(uint8_t *to, size_t len, const char *s)
{
    memset(to, ' ', len);
    memcpy(to, s, strnlen(s, len));
}

static int serial_len(const struct nvme *n)
{
    int len = sizeof n->serial;

    while (len && n->serial[len - 1] == ' ')
        len--;
    return len;
}

static void controller(const struct nvme *n, uint8_t *d)
{
    st16(d + C_VENDOR, 0x1af4);
    st16(d + C_SUBSYSTEM_VENDOR, 0x1af4);
    memcpy(d + C_SERIAL, n->serial, sizeof n->serial);
    text(d + C_MODEL, 40, "guise NVMe disk");
    text(d + C_FIRMWARE, 8, "1.0");
    d[C_BURST] = 6;
    d[C_OUI + 1] = 0x54; /* 52:54:00, as of our network cards, least significant byte first */
    d[C_OUI + 2] = 0x52;
    d[C_MDTS] = (uint8_t)n->mdts;
    st32(d + C_VERSION, 0x00010400);
    st32(d + C_EVENTS, 1 << 8); /* a namespace's attributes changed */
    d[C_TYPE] = 1;              /* an I/O controller */
    d[C_ABORTS] = 3;
    d[C_AERS] = NVME_AER_MAX - 1;
    d[C_FIRMWARE_SLOTS] = 3; /* one, read-only */
    d[C_LOG_ATTRIBUTES] = 4; /* offsets and long lengths */
    d[C_ERROR_ENTRIES] = NVME_ERRORS - 1;
    st16(d + C_WARN_TEMPERATURE, KELVIN_WARN);
    st16(d + C_CRITICAL_TEMPERATURE, KELVIN_CRITICAL);
    d[C_SQ_ENTRY] = 0x66; /* log2, largest and smallest */
    d[C_CQ_ENTRY] = 0x44;
    st32(d + C_NAMESPACES, NVME_NAMESPACES_MAX);
    st16(d + C_OPTIONAL, OPTIONAL_COMPARE | OPTIONAL_DATASET | OPTIONAL_ZEROES);
    d[C_WRITE_CACHE] = 7; /* there is one; a flush may name all namespaces */
    st32(d + C_SGLS, 1);  /* supported, of any alignment */
    snprintf((char *)d + C_NQN, 224, "nqn.2026-01.org.guise:nvme:%.*s", serial_len(n), n->serial);
    st16(d + C_POWER, MILLIWATTS / 10);
}

static void namespace_data(const struct nvme_ns *ns, uint8_t *d)
{
    struct block_info info;
    uint32_t unit;

    block_get_info(ns->block, &info);
    unit = info.optimal >> ns->shift;
    st64(d + N_SIZE, ns->blocks);
    st64(d + N_CAPACITY, ns->blocks);
    st64(d + N_USED, ns->blocks);
    d[N_FORMATS] = 0; /* one */
    d[N_FORMAT] = 0;
    d[N_DEALLOCATE] = 9; /* blocks that were deallocated read as zeroes; write zeroes may deallocate */
    if (unit > 1 && unit <= 0x10000) {
        d[N_FEATURES] |= 1 << 4; /* the preferred sizes are given */
        for (unsigned i = 0; i < 5; i++)
            st16(d + N_GRANULARITY + 2 * i, (uint16_t)(unit - 1));
    }
    d[N_ATTRIBUTES] = ns->read_only;
    d[N_FORMAT_TABLE + 2] = (uint8_t)ns->shift;
}

/* An identifier that is the same in every run: from the serial number and the namespace (FNV-1a, twice). */
static void uuid(const struct nvme *n, uint32_t nsid, uint8_t out[16])
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t h = UINT64_C(0xcbf29ce484222325) + half;

        for (unsigned i = 0; i < sizeof n->serial; i++)
            h = (h ^ (uint8_t)n->serial[i]) * UINT64_C(0x100000001b3);
        h = (h ^ nsid) * UINT64_C(0x100000001b3);
        h = (h ^ half) * UINT64_C(0x100000001b3);
        st64(out + 8 * half, h);
    }
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x80); /* version 8, variant 1 (RFC 9562) */
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

static void descriptors(const struct nvme *n, uint32_t nsid, uint8_t *d)
{
    enum { UUID = 3, LENGTH = 16 };

    d[0] = UUID;
    d[1] = LENGTH;
    uuid(n, nsid, d + 4);
}

static void active_list(const struct nvme *n, uint32_t after, uint8_t *d)
{
    for (uint32_t i = 0; i < NVME_NAMESPACES_MAX; i++)
        if (n->ns[i].block && i + 1 > after) {
            st32(d, i + 1);
            d += 4;
        }
}

uint16_t nvme_identify(struct nvme *n, unsigned what, uint32_t nsid, uint8_t *data)
{
    bool exists = nsid - 1 < NVME_NAMESPACES_MAX;
    const struct nvme_ns *ns = exists && n->ns[nsid - 1].block ? &n->ns[nsid - 1] : NULL;

    switch (what) {
    case CNS_NAMESPACE:
        if (!exists) /* also UINT32_MAX: it needs namespace management */
            return NVME_INVALID_NSID | NVME_DNR;
        if (ns)
            namespace_data(ns, data); /* else zeroes: it is not active */
        return NVME_SUCCESS;
    case CNS_CONTROLLER: controller(n, data); return NVME_SUCCESS;
    case CNS_ACTIVE:
        if (nsid >= UINT32_MAX - 1)
            return NVME_INVALID_NSID | NVME_DNR;
        active_list(n, nsid, data);
        return NVME_SUCCESS;
    case CNS_DESCRIPTORS:
        if (!ns)
            return NVME_INVALID_NSID | NVME_DNR;
        descriptors(n, nsid, data);
        return NVME_SUCCESS;
    default: return NVME_INVALID_FIELD | NVME_DNR;
    }
}

/* --- logs --- */

enum { LOG_ERRORS = 1, LOG_SMART = 2, LOG_FIRMWARE = 3, LOG_CHANGED = 4, LOG_EFFECTS = 5 };
enum { ERROR_ENTRY = 64, SMART_LEN = 512, EFFECTS_LEN = 4096, SUPPORTED = 1, CHANGES_DATA = 2 };

static size_t errors_log(const struct nvme *n, uint8_t *d)
{
    uint64_t have = n->errors < NVME_ERRORS ? n->errors : NVME_ERRORS;

    for (uint64_t i = 0; i < have; i++, d += ERROR_ENTRY) { /* newest first */
        const struct nvme_error *e = &n->error[(n->errors - 1 - i) % NVME_ERRORS];

        st64(d, e->count);
        st16(d + 8, e->sq);
        st16(d + 10, e->cid);
        st16(d + 12, e->status);
        st16(d + 14, 0xffff); /* where in the command: not kept */
        st64(d + 16, e->lba);
        st32(d + 24, e->nsid);
    }
    return NVME_ERRORS * ERROR_ENTRY;
}

static size_t smart_log(const struct nvme *n, uint8_t *d)
{
    uint64_t sums[4] = {0}; /* thousands of 512 bytes read, written; commands read, written */

    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) {
        struct block_info info;

        if (!n->ns[i].block)
            continue;
        block_get_info(n->ns[i].block, &info);
        sums[0] += (info.read_bytes / 512 + 999) / 1000;
        sums[1] += (info.write_bytes / 512 + 999) / 1000;
        sums[2] += info.reads;
        sums[3] += info.writes;
    }
    st16(d + 1, KELVIN_NOW);
    d[3] = 100; /* per cent of spare blocks left */
    d[4] = 10;  /* the limit for a warning */
    for (unsigned i = 0; i < 4; i++)
        st64(d + 32 + 16 * i, sums[i]);
    st64(d + 112, 1);         /* power cycles */
    st64(d + 176, n->errors); /* entries of the error log, ever */
    return SMART_LEN;
}

static size_t changed_log(struct nvme *n, uint8_t *d)
{
    for (uint32_t i = 0; i < NVME_NAMESPACES_MAX; i++) {
        if (!n->ns[i].changed)
            continue;
        n->ns[i].changed = false;
        st32(d, i + 1);
        d += 4;
    }
    return 4096;
}

static size_t effects_log(uint8_t *d)
{
    static const uint8_t admin[] = {0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c};
    static const uint8_t io[] = {0x00, 0x02, 0x05}, io_writes[] = {0x01, 0x08, 0x09};

    for (size_t i = 0; i < ARRAY_LEN(admin); i++)
        st32(d + 4 * admin[i], SUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(io); i++)
        st32(d + 1024 + 4 * io[i], SUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(io_writes); i++)
        st32(d + 1024 + 4 * io_writes[i], SUPPORTED | CHANGES_DATA);
    return EFFECTS_LEN;
}

size_t nvme_log(struct nvme *n, unsigned page, bool keep_event, uint8_t *data, size_t max)
{
    size_t len;

    switch (page) {
    case LOG_ERRORS: len = errors_log(n, data); break;
    case LOG_SMART: len = smart_log(n, data); break;
    case LOG_FIRMWARE:
        data[0] = 1; /* slot 1 is active */
        text(data + 8, 8, "1.0");
        len = 512;
        break;
    case LOG_CHANGED: len = changed_log(n, data); break;
    case LOG_EFFECTS: len = effects_log(data); break;
    default: return 0;
    }
    if (!keep_event)
        nvme_event_seen(n, page);
    return len < max ? len : max;
}
