/* Sv39 seen through MPRV and from S and U mode: rights, faults, fences, aliases, page crossing. */
#include "test.h"

static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t mid[512] __attribute__((aligned(4096)));
static uint64_t leaf[512] __attribute__((aligned(4096)));
static uint64_t page_a[512] __attribute__((aligned(4096)));
static uint64_t page_b[512] __attribute__((aligned(4096)));

#define VA(i) (0x40000000ul + (uint64_t)(i)*4096)
#define RW (PTE_R | PTE_W | PTE_A | PTE_D)

static void fence(void) { __asm__ volatile("sfence.vma" ::: "memory"); }
static void fence_page(uint64_t va) { __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory"); }
static void fence_asid(uint64_t asid) { __asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory"); }
static void fence_page_asid(uint64_t va, uint64_t asid)
{
    __asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"(asid) : "memory");
}

/* One access with the translation and privilege of MPP. */
static uint64_t mpp;
static void mode(uint64_t privilege) { mpp = privilege; }
static void set_mpp(void) /* again each time: a trap's return leaves U in MPP */
{
    CLEAR(mstatus, 3 << 11);
    SET(mstatus, mpp << 11);
}
static uint64_t load(uint64_t va)
{
    uint64_t v = 0xdead, m = CSR_MPRV;

    set_mpp();

    __asm__ volatile("csrs mstatus, %2; .option push; .option norvc; ld %0, 0(%1); .option pop; csrc mstatus, %2"
                     : "+r"(v)
                     : "r"(va), "r"(m)
                     : "memory");
    return v;
}
static void store(uint64_t va, uint64_t v)
{
    uint64_t m = CSR_MPRV;

    set_mpp();
    __asm__ volatile(
        "csrs mstatus, %2; .option push; .option norvc; sd %0, 0(%1); .option pop; csrc mstatus, %2" ::"r"(v), "r"(va),
        "r"(m)
        : "memory");
}
static void use(uint64_t asid) { WRITE(satp, 8ul << 60 | asid << 44 | (uint64_t)root >> 12); }

static long in_mode(long va) { return *(volatile long *)va; }

int main(void)
{
    uint64_t v;

    root[1] = PTE(mid, 0);
    root[2] = PTE(0x80000000, PTE_R | PTE_W | PTE_X | PTE_A | PTE_D | PTE_G); /* this program */
    mid[0] = PTE(leaf, 0);
    leaf[0] = PTE(page_a, RW);
    page_a[0] = 0x1111, page_b[0] = 0x2222;
    use(1);
    fence();

    /* translation, alias, refill after each kind of fence */
    mode(1);
    CHECK(load(VA(0)) == 0x1111);
    leaf[0] = PTE(page_b, RW);
    fence_page(VA(0));
    CHECK(load(VA(0)) == 0x2222);
    leaf[0] = PTE(page_a, RW);
    fence_asid(1);
    CHECK(load(VA(0)) == 0x1111);
    leaf[0] = PTE(page_b, RW);
    fence_page_asid(VA(0), 1);
    CHECK(load(VA(0)) == 0x2222);
    leaf[0] = PTE(page_a, RW);
    fence();
    CHECK(load(VA(0)) == 0x1111);
    leaf[1] = PTE(page_a, RW);
    store(VA(1), 0x3333);
    CHECK(load(VA(0)) == 0x3333);
    CHECK(page_a[0] == 0x3333);

    /* not valid, then valid without a fence after the fault's retry */
    CHECK(TRAPS(load(VA(2)), 13, VA(2)));
    leaf[2] = PTE(page_b, RW);
    fence_page(VA(2));
    CHECK(QUIET(v = load(VA(2))) && v == 0x2222);

    /* rights */
    leaf[3] = PTE(page_a, PTE_R | PTE_A);
    leaf[4] = PTE(page_a, PTE_X | PTE_A);
    leaf[5] = PTE(page_a, RW | PTE_U);
    leaf[6] = PTE(page_a, PTE_W | PTE_A | PTE_D);
    fence();
    CHECK(QUIET(load(VA(3))));
    CHECK(TRAPS(store(VA(3), 1), 15, VA(3)));
    CHECK(TRAPS(load(VA(4)), 13, VA(4)));
    SET(mstatus, CSR_MXR);
    CHECK(QUIET(load(VA(4))));
    CLEAR(mstatus, CSR_MXR);
    CHECK(TRAPS(load(VA(4)), 13, VA(4)));
    CHECK(TRAPS(load(VA(5)), 13, VA(5)));
    SET(mstatus, CSR_SUM);
    CHECK(QUIET(load(VA(5))));
    CLEAR(mstatus, CSR_SUM);
    CHECK(TRAPS(load(VA(5)), 13, VA(5)));
    CHECK(TRAPS(load(VA(6)), 13, VA(6)));
    mode(0);
    CHECK(QUIET(load(VA(5))));
    CHECK(TRAPS(load(VA(0)), 13, VA(0)));
    mode(1);

    /* address spaces: same address, other page, no fence between */
    CHECK(load(VA(0)) == 0x3333);
    use(2);
    leaf[0] = PTE(page_b, RW);
    fence_asid(2);
    CHECK(load(VA(0)) == 0x2222);
    use(1);
    fence_asid(1);
    CHECK(load(VA(0)) == 0x2222);
    leaf[0] = PTE(page_a, RW);
    fence();

    /* access across a page end: second page missing, address of the second page, nothing written */
    leaf[8] = PTE(page_a, RW), leaf[9] = 0;
    fence();
    page_a[511] = 0x5555;
    CHECK(TRAPS(load(VA(9) - 4), 13, VA(9)));
    CHECK(TRAPS(store(VA(9) - 4, ~0ul), 15, VA(9)));
    CHECK(page_a[511] == 0x5555);
    leaf[9] = PTE(page_b, RW);
    fence();
    CHECK(QUIET(store(VA(9) - 4, 0x1234567890abcdef)));
    CHECK(page_a[511] >> 32 == 0x90abcdef);
    CHECK((uint32_t)page_b[0] == 0x12345678);
    CHECK(load(VA(9) - 4) == 0x1234567890abcdef);

    /* superpage: misaligned faults; a fence on one address inside drops all of it */
    mid[1] = PTE(0x80000000, RW | PTE_X);
    mid[2] = PTE(0x80001000, RW);
    fence();
    CHECK(load(VA(512) + ((uint64_t)page_a & 0x1fffff)) == page_a[0]);
    CHECK(TRAPS(load(VA(1024)), 13, VA(1024)));
    mid[1] = 0;
    fence_page(VA(512 + 7));
    CHECK(TRAPS(load(VA(512) + ((uint64_t)page_a & 0x1fffff)), 13, VA(512) + ((uint64_t)page_a & 0x1fffff)));

    /* not canonical */
    CHECK(TRAPS(load(1ul << 38), 13, 1ul << 38));
    CHECK(TRAPS(load(VA(0) | 1ul << 60), 13, VA(0) | 1ul << 60));

    /* from S and U mode themselves; execution */
    CHECK(call_in(1, in_mode, VA(0)) == (long)page_a[0]);
    CHECK(TRAPS(call_in(0, in_mode, VA(0)), 12, (uint64_t)in_mode)); /* U-mode may not fetch a supervisor page */
    finish(0, 0);
}
