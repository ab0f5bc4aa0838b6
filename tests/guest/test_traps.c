/* Exceptions of M-mode code: causes, values, exact state, delegation, CSR privilege. */
#include "test.h"

static uint64_t area[4] __attribute__((aligned(16)));
static long user_csr(long arg)
{
    uint64_t v;

    __asm__ volatile("csrr %0, mstatus" : "=r"(v));
    return arg;
}
static long rdtime_user(long arg)
{
    uint64_t v;

    __asm__ volatile("rdtime %0" : "=r"(v));
    return arg;
}
static long wfi_user(long arg)
{
    __asm__ volatile("wfi");
    return arg;
}
static long sret_user(long arg)
{
    __asm__ volatile("sret");
    return arg;
}

int main(void)
{
    uint64_t a, b, c;

    CHECK(TRAPS(__asm__ volatile(".half 0"), 2, 0));
    CHECK(TRAPS(__asm__ volatile(".word 0xffffffff"), 2, 0xffffffff));
    CHECK(TRAPS(__asm__ volatile(".option push; .option norvc; ebreak; .option pop"), 3, traps.epc));
    CHECK(TRAPS(__asm__ volatile("ecall"), 11, 0));
    CHECK(TRAPS((void)*(volatile uint64_t *)0x50, 5, 0x50));
    CHECK(TRAPS(*(volatile uint64_t *)0x50 = 1, 7, 0x50));
    CHECK(TRAPS(__asm__ volatile("csrw mhartid, zero"), 2, 0xf1401073));
    CHECK(TRAPS(__asm__ volatile("csrr zero, 0x8ff"), 2, 0x8ff02073));
    /* misaligned: ordinary ones work, atomics trap */
    area[0] = 0x0807060504030201, area[1] = 0x100f0e0d0c0b0a09;
    CHECK(*(volatile uint64_t *)((char *)area + 3) == 0x0b0a090807060504);
    CHECK(TRAPS(__asm__ volatile("amoadd.d zero, zero, (%0)" ::"r"((char *)area + 12)
                                 : "memory"),
                6, (char *)area + 12));
    CHECK(TRAPS(__asm__ volatile("lr.w zero, (%0)" ::"r"((char *)area + 2) : "memory"), 4, (char *)area + 2));
    /* a faulting load leaves rd; the instructions before it in the block are done, those after it run once */
    __asm__ volatile("li %0, 5; li %1, 7; li %2, 0x50; addi %0, %0, 1; ld %1, 0(%2); addi %0, %0, 16"
                     : "=&r"(a), "=&r"(b), "=&r"(c));
    CHECK(a == 22 && b == 7);
    __asm__ volatile("li %0, 0x50; .option push; .option norvc; ld %0, 0(%0); .option pop" : "=&r"(a));
    CHECK(a == 0x50);
    /* user mode: CSRs, counters, WFI, sret */
    CHECK(TRAPS(call_in(0, user_csr, 1), 2, traps.tval) && (traps.tval & 0xfff0007f) == 0x30000073);
    WRITE(mcounteren, 0);
    CHECK(TRAPS(call_in(0, rdtime_user, 1), 2, traps.tval));
    WRITE(mcounteren, 7);
    WRITE(scounteren, 7);
    CHECK(QUIET(call_in(0, rdtime_user, 1)));
    CHECK(TRAPS(call_in(0, sret_user, 1), 2, 0x10200073));
    SET(mstatus, 1 << 21);
    CHECK(TRAPS(call_in(0, wfi_user, 1), 2, 0x10500073));
    CLEAR(mstatus, 1 << 21);
    SET(mstatus, 1 << 22); /* TSR */
    CHECK(TRAPS(call_in(1, sret_user, 1), 2, 0x10200073));
    CLEAR(mstatus, 1 << 22);
    /* jump to nowhere: fetch fault with the address, pc = the address */
    CHECK(TRAPS(((void (*)(void))0x40000000000)(), 1, 0x40000000000) && traps.epc == 0x40000000000);
    /* instret counts each instruction once */
    __asm__ volatile("csrr %0, minstret; nop; nop; nop; csrr %1, minstret" : "=r"(a), "=r"(b));
    CHECK(b - a == 4);
    WRITE(minstret, 1000);
    CHECK(READ(minstret) - 1000 < 100);
    finish(0, 0);
}
