/*
 * Control and status registers of a hart, by number; csr.def is the table.
 *
 * Owner of all state: struct rv, on its own thread.
 */
#ifndef CPU_RISCV_CSR_H
#define CPU_RISCV_CSR_H

#include "cpu/riscv/config.h"
#include "cpu/riscv/rv.h"

/* The value a CSR shows. num tells the rows of one function apart. */
typedef uint64_t csr_read_fn(struct rv *c, unsigned num);
/*
 * val: the new value of the whole register; mask: the bits the instruction names (csrrs, csrrc), all for csrrw.
 * Legalises val (WARL) and does what follows from it.
 */
typedef void csr_write_fn(struct rv *c, unsigned num, uint64_t val, uint64_t mask);
/* Exists, and may be accessed now? (The privilege in the number has been checked.) */
typedef bool csr_need_fn(const struct rv *c, unsigned num, bool write);

struct csr {
    const char *name;
    const char *text;
    csr_need_fn *need; /* NULL: always */
    csr_read_fn *read; /* NULL: field */
    csr_write_fn *write;
    uint32_t field; /* offset in struct rv */
    uint64_t mask;  /* writable bits of field when write is NULL */
};

/* NULL: no such register. For one of a block the name lacks its number: csr_name gives it whole. */
const struct csr *csr_find(unsigned num);
const char *csr_name(unsigned num, char *buf, unsigned size); /* NULL: none; else buf */

const char *csr_shown_name(unsigned num); /* of one outside blocks, or the block's; static */

/* May the hart access num as it stands? */
bool csr_allowed(const struct rv *c, unsigned num, bool write);
/* Read and write without asking for permission (monitor, gdb). false: no such register, or this hart lacks it. */
bool csr_peek(struct rv *c, unsigned num, uint64_t *val);
bool csr_poke(struct rv *c, unsigned num, uint64_t val);

/* Bits of the envcfg registers. */
#define ENVCFG_FIOM UINT64_C(1)
#define ENVCFG_CBIE UINT64_C(0x30)
#define ENVCFG_CBCFE UINT64_C(0x40)
#define ENVCFG_CBZE UINT64_C(0x80)
#define ENVCFG_PMM (UINT64_C(3) << 32)
#define ENVCFG_ADUE (UINT64_C(1) << 61)
#define ENVCFG_PBMTE (UINT64_C(1) << 62)
#define ENVCFG_STCE (UINT64_C(1) << 63)
enum { ENVCFG_CBIE_SHIFT = 4, ENVCFG_PMM_SHIFT = 32 };

#define STATEEN_SE (UINT64_C(1) << 63)
#define STATEEN_ENVCFG (UINT64_C(1) << 62)

enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };
#define SATP_MODE(satp) ((unsigned)((satp) >> 60))
#define SATP_ASID(satp) ((uint32_t)((satp) >> 44) & 0xffff)
#define SATP_PPN(satp) ((satp) & ((UINT64_C(1) << 44) - 1))

#define MIP_BIT(irq) (UINT64_C(1) << (irq))
#define MIP_S (MIP_BIT(IRQ_SSI) | MIP_BIT(IRQ_STI) | MIP_BIT(IRQ_SEI) | MIP_BIT(IRQ_LCOFI))
#define MIP_M (MIP_BIT(IRQ_MSI) | MIP_BIT(IRQ_MTI) | MIP_BIT(IRQ_MEI))
#define MEDELEG_MASK UINT64_C(0xb3ff) /* all there are but ecall from M */

static inline bool rv_has(const struct rv *c, enum isa_ext x) { return isa_has(c->cfg, x); }

/* counters.c: the counters there are, as bits; their clocks follow c->priv (call after it changed). */
static inline uint32_t counters_mask(const struct rv *c) { return (uint32_t)((UINT64_C(8) << c->cfg->hpm_count) - 1); }
void counters_reset(struct rv *c);
uint64_t counters_get(struct rv *c, unsigned n);
void counters_set(struct rv *c, unsigned n, uint64_t val, unsigned lead);
void counters_set_inhibit(struct rv *c, uint32_t inhibit);
void counters_set_event(struct rv *c, unsigned n, uint64_t event);
bool counters_event_known(const struct rv *c, uint64_t event);
void counters_mode_changed(struct rv *c);
/* Looks for overflow (Sscofpmf); called when overflow_due. */
void counters_overflow(struct rv *c);
/* timer.c: derive Sstc's line and timer from stimecmp. */
void rv_timer_update(struct rv *c);
void rv_timer_expired(void *arg); /* the timer's callback */

/* Rows that live with their subject. counters.c: */
csr_read_fn read_counter, read_time, read_countinhibit, read_hpmevent, read_scountovf;
csr_write_fn write_counter, write_countinhibit, write_hpmevent;
/* timer.c: */
csr_write_fn write_stimecmp;
/* pmp.c: */
csr_read_fn read_pmpcfg, read_pmpaddr, read_mseccfg;
csr_write_fn write_pmpcfg, write_pmpaddr, write_mseccfg;
/* csr_status.c: status, interrupts, translation, environment */
csr_read_fn read_mstatus, read_sstatus, read_mie, read_sie, read_mip, read_sip, read_mideleg, read_counteren,
    read_stateen;
csr_write_fn write_mstatus, write_sstatus, write_mie, write_sie, write_mip, write_sip, write_mideleg, write_counteren,
    write_stateen, write_tvec, write_epc, write_satp, write_envcfg;

#endif
