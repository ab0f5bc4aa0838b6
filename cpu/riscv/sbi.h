/*
 * Native SBI (RISC-V Supervisor Binary Interface v3.0): the supervisor's firmware calls, served in C without an M-mode.
 *
 * Extensions: Base, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU, SUSP, and the legacy calls. Harts start in S-mode with
 * delegation and environment as OpenSBI leaves them; what would trap to M-mode comes to S-mode instead.
 *
 * Owner: the machine; shared by its harts, whose threads call in. A hart belongs to one sbi, set before its reset.
 */
#ifndef CPU_RISCV_SBI_H
#define CPU_RISCV_SBI_H

#include "cpu/riscv/rv.h"

enum sbi_reset_type { SBI_SHUTDOWN = 0, SBI_COLD_REBOOT = 1, SBI_WARM_REBOOT = 2 };
enum sbi_reset_reason { SBI_NO_REASON = 0, SBI_SYSTEM_FAILURE = 1 };

enum sbi_hsm_state {
    HSM_STARTED = 0,
    HSM_STOPPED = 1,
    HSM_START_PENDING = 2,
    HSM_SUSPENDED = 4,
};

/* The machine behind the firmware. Called on harts' threads, one at a time for the console. */
struct sbi_host {
    void *arg;
    void (*console_write)(void *arg, const void *buf, size_t len);
    size_t (*console_read)(void *arg, void *buf, size_t len); /* what is there now, may be 0 */
    /* The guest asked for it; the machine stops the vCPUs. reason: enum sbi_reset_reason, or the guest's own number. */
    void (*reset)(void *arg, enum sbi_reset_type type, uint32_t reason);
};

struct sbi;

struct sbi *sbi_new(unsigned harts, const struct sbi_host *host); /* host is copied; NULL: out of memory */
void sbi_free(struct sbi *s);                                     /* its harts run no more */
void sbi_attach(struct sbi *s, struct rv *c);                     /* then reset c */
/* The hart that starts at reset (others wait for HSM): 0 unless set. */
void sbi_set_boot_hart(struct sbi *s, unsigned hart);

/* --- for the hart --- */
void sbi_reset_hart(struct rv *c);
void sbi_ecall(struct rv *c); /* an ecall from S-mode at v.pc; leaves v.pc behind it, or at a trap's vector */

/* May the hart take interrupts; would a pending one end its wait? */
static inline bool sbi_runs(const struct rv *c) { return atomic_load(&c->hsm) == HSM_STARTED; }
static inline bool sbi_wakes(const struct rv *c)
{
    uint32_t s = atomic_load(&c->hsm);

    return s == HSM_STARTED || s == HSM_SUSPENDED;
}

#endif
