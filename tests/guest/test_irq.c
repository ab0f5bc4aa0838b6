/* Timer and software interrupts: in a tight loop, out of WFI, masked, nested enable; none lost. */
#include "test.h"

#define MTIME (*(volatile uint64_t *)0x200bff8)
#define MTIMECMP (*(volatile uint64_t *)0x2004000)
#define MSIP (*(volatile uint32_t *)0x2000000)

static volatile uint64_t left, last;

static void tick(uint64_t cause)
{
    last = cause;
    if (cause == 7) {
        left--;
        MTIMECMP = left ? MTIME + 200 : ~0ul;
    }
    if (cause == 3)
        MSIP = 0;
}

int main(void)
{
    uint64_t start;

    on_irq = tick;
    MTIMECMP = ~0ul;
    SET(mie, 1 << 7 | 1 << 3);
    SET(mstatus, 8);

    /* a loop of one instruction is interruptible; the handler moves past it */
    left = 2000;
    MTIMECMP = MTIME + 100;
    while (left)
        ;
    CHECK(irqs == 2000 && last == 7);

    /* software interrupt: taken at once */
    MSIP = 1;
    for (int i = 0; i < 1000 && irqs == 2000; i++)
        ;
    CHECK(irqs == 2001 && last == 3);

    /* masked: pending but not taken; WFI still ends */
    CLEAR(mstatus, 8);
    start = MTIME;
    MTIMECMP = start + 1000;
    do
        __asm__ volatile("wfi");
    while (!(READ(mip) & 1 << 7));
    CHECK(MTIME - start >= 1000);
    CHECK(irqs == 2001);
    left = 1;
    SET(mstatus, 8); /* taken right after the enable */
    CHECK(irqs == 2002);

    /* WFI with everything enabled, many times */
    left = 300;
    MTIMECMP = MTIME + 50;
    while (left)
        __asm__ volatile("wfi");
    CHECK(irqs == 2302);

    /* time goes forward and the CSR agrees with the device */
    start = READ(time);
    CHECK(MTIME >= start && MTIME - start < 10000000);
    finish(0, 0);
}
