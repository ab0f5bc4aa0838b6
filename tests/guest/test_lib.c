#include "test.h"

struct trap_record traps;
volatile uint64_t irqs;
void (*volatile on_irq)(uint64_t cause);
extern char leave[], back[], _start[];
uint64_t on_trap(uint64_t cause, uint64_t epc, uint64_t tval, uint64_t *regs);

void finish(int failed, int number)
{
    *(volatile uint32_t *)0x100000 = failed ? (uint32_t)number << 16 | 0x3333 : 0x5555;
    for (;;)
        ;
}

/* Where the trapped program goes on: after the instruction; after a fetch fault, or outside of it, at the caller. */
uint64_t on_trap(uint64_t cause, uint64_t epc, uint64_t tval, uint64_t *regs)
{
    if (cause >> 63) {
        irqs++;
        if (on_irq)
            on_irq(cause & 63);
        return epc;
    }
    if ((cause == 8 || cause == 9) && epc == (uint64_t)leave) {
        SET(mstatus, 0x1800);
        return (uint64_t)back;
    }
    traps.cause = cause;
    traps.epc = epc;
    traps.tval = tval;
    traps.count++;
    if (cause == 1 || cause == 12 || cause == 0 || epc < (uint64_t)_start || epc >= (uint64_t)free_memory) {
        if ((READ(mstatus) >> 11 & 3) == 3)
            return regs[1];
        SET(mstatus, 0x1800); /* code of S or U mode that cannot be fetched: its caller is in M-mode */
        return (uint64_t)back;
    }
    return epc + ((*(volatile uint16_t *)epc & 3) == 3 ? 4 : 2);
}
