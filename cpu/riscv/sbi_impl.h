/* Between the files of the native SBI. */
#ifndef CPU_RISCV_SBI_IMPL_H
#define CPU_RISCV_SBI_IMPL_H

#include "cpu/riscv/sbi.h"

enum {
    SBI_SUCCESS = 0,
    SBI_FAILED = -1,
    SBI_NOT_SUPPORTED = -2,
    SBI_INVALID_PARAM = -3,
    SBI_DENIED = -4,
    SBI_INVALID_ADDRESS = -5,
    SBI_ALREADY_AVAILABLE = -6,
    SBI_ALREADY_STARTED = -7,
    SBI_ALREADY_STOPPED = -8,
    SBI_NO_SHMEM = -9,
};

enum { /* firmware events, by their SBI numbers */
       FW_SET_TIMER = 5,
       FW_IPI_SENT = 6,
       FW_IPI_RECEIVED = 7,
       FW_FENCE_I_SENT = 8,
       FW_FENCE_I_RECEIVED = 9,
       FW_SFENCE_SENT = 10,
       FW_SFENCE_RECEIVED = 11,
       FW_SFENCE_ASID_SENT = 12,
       FW_SFENCE_ASID_RECEIVED = 13,
       FW_EVENTS = 22,
       FW_COUNTERS = 16,
};

struct sbi_ret {
    int64_t error;
    uint64_t value;
};

/* Arguments a0..a5, function number a6. */
typedef struct sbi_ret sbi_fn(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a);

struct sbi_pmu {            /* of one hart, its thread's own */
    uint32_t used, started; /* counters configured and running, hardware and firmware in one numbering */
    uint8_t fw_event[FW_COUNTERS];
    uint64_t fw_value[FW_COUNTERS]; /* while stopped */
    uint64_t fw_mark[FW_COUNTERS];  /* fw_count when started, less the value then */
    gpa shmem;                      /* of snapshots, -1: none */
};

struct sbi_hart {
    struct rv *c;
    struct vcpu_work start; /* HSM start under way */
    uint64_t start_addr, opaque;
    _Atomic uint64_t fw_count[FW_EVENTS];
    struct sbi_pmu pmu;
};

struct sbi {
    struct sbi_host host;
    pthread_mutex_t console;
    unsigned boot, harts;
    struct sbi_hart hart[];
};

static inline void sbi_count(struct rv *c, unsigned event)
{
    atomic_fetch_add_explicit(&c->sbi->hart[c->v.index].fw_count[event], 1, memory_order_relaxed);
}

/*
 * A set of harts as calls name it. sbi_mask_ok: all of them exist.
 */
struct sbi_mask {
    uint64_t bits, base; /* base = -1: all */
};
bool sbi_mask_ok(const struct sbi *s, struct sbi_mask m);
bool sbi_mask_has(const struct sbi *s, struct sbi_mask m, unsigned hart);

void sbi_console_put(struct sbi *s, const void *buf, size_t len);
size_t sbi_console_get(struct sbi *s, void *buf, size_t len);
void sbi_park(struct rv *c, enum sbi_hsm_state state); /* the hart runs no further until woken */

sbi_fn sbi_ipi, sbi_rfence, sbi_hsm, sbi_susp, sbi_dbcn, sbi_pmu;
struct sbi_ret sbi_send_ipi(struct sbi *s, struct rv *c, struct sbi_mask m);
void sbi_pmu_reset(struct rv *c);

#endif
