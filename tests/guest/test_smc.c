/* Code that changes: the same page, other pages, an alias, straddling instructions, and faults in the middle of a block. */
#include "test.h"

static uint32_t code[2048] __attribute__((aligned(4096)));
typedef uint64_t fn(uint64_t);

static void put_li(uint32_t *p, uint32_t value) /* addi a0, zero, value; ret */
{
    p[0] = value << 20 | 10 << 7 | 0x13;
    p[1] = 0x00008067;
}

static void fence_i(void) { __asm__ volatile("fence.i" ::: "memory"); }

int main(void)
{
    uint16_t *half;

    for (uint32_t i = 0; i < 2000; i++) {
        put_li(code, i & 0x7ff);
        fence_i();
        CHECK(((fn *)code)(0) == (i & 0x7ff));
    }
    /* other code of the page stays right while one function changes */
    put_li(code + 16, 77);
    fence_i();
    for (uint32_t i = 0; i < 200; i++) {
        put_li(code, i);
        fence_i();
        CHECK(((fn *)code)(0) == i && ((fn *)(code + 16))(0) == 77);
    }
    /* a loop that patches the instruction after the fence */
    code[32] = 0x00052503; /* unused */
    {
        uint32_t *p = code + 64;

        p[0] = 0x00b52023; /* sw a1, 0(a0): over p[2] */
        p[1] = 0x0000100f; /* fence.i */
        p[2] = 0x00000013; /* nop, becomes addi a0, zero, n */
        p[3] = 0x00008067;
        fence_i();
        for (uint32_t i = 1; i < 100; i++)
            CHECK(((uint64_t(*)(void *, uint64_t))p)(&p[2], i << 20 | 10 << 7 | 0x13) == i);
    }
    /* an instruction that straddles two pages: each half rewritten */
    half = (uint16_t *)(code + 1024) - 1;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t w = i << 20 | 10 << 7 | 0x13;

        half[0] = (uint16_t)w, half[1] = (uint16_t)(w >> 16);
        half[2] = 0x8082;
        fence_i();
        CHECK(((fn *)half)(0) == i);
    }
    /* many functions, all rewritten: more than any small cache keeps */
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 1000; i++)
            put_li(code + 2 * i, (i + round) & 0x7ff);
        fence_i();
        for (uint32_t i = 0; i < 1000; i++)
            CHECK(((fn *)(code + 2 * i))(0) == ((i + round) & 0x7ff));
    }
    finish(0, 0);
}
