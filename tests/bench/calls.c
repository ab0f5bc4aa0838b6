/* Calls, returns, indirect jumps and dispatch. */
#include <setjmp.h>
#include <string.h>

#include "bench.h"

static NOINLINE uint64_t fib_rec(unsigned n) { return n < 2 ? n : fib_rec(n - 1) + fib_rec(n - 2); }
static uint64_t fib(void) { return fib_rec(33); }

static volatile int tak_calls;
static NOINLINE int tak_rec(int x, int y, int z)
{
    if (y >= x) {
        tak_calls++;
        return z;
    }
    return tak_rec(tak_rec(x - 1, y, z), tak_rec(y - 1, z, x), tak_rec(z - 1, x, y));
}
static uint64_t tak(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 60; i++)
        sum += (uint64_t)tak_rec(18 + (i & 1), 12, 6);
    return sum;
}

static NOINLINE unsigned ack_rec(unsigned m, unsigned n)
{
    return m == 0 ? n + 1 : n == 0 ? ack_rec(m - 1, 1) : ack_rec(m - 1, ack_rec(m, n - 1));
}
static uint64_t ackermann(void) { return ack_rec(2, 1500) + ack_rec(3, 8) + ack_rec(3, 9); }

#define FN(n) static NOINLINE uint64_t fn##n(uint64_t x) { return x * (2 * (n) + 1) + ((x >> 7) ^ (n)); }
FN(0) FN(1) FN(2) FN(3) FN(4) FN(5) FN(6) FN(7)
static uint64_t (*volatile table[8])(uint64_t) = {fn0, fn1, fn2, fn3, fn4, fn5, fn6, fn7};

/* Targets follow a random sequence. */
static uint64_t indirect(void)
{
    uint64_t x = 1;
    uint32_t s = 23;

    for (int i = 0; i < 6000000; i++)
        x = table[next_random(&s) & 7](x);
    return x;
}

/* The same target many times in a row, as most virtual calls do. */
static uint64_t virtual_calls(void)
{
    uint64_t x = 1;

    for (int i = 0; i < 12000000; i++)
        x = table[(i >> 12) & 7](x);
    return x;
}

/* A byte-code machine with a switch, the shape of python and the shell. */
static uint64_t bytecode(void)
{
    static uint8_t code[4096];
    uint32_t s = 29;
    uint64_t acc = 1, x = 2, y = 3;

    for (unsigned i = 0; i < sizeof code; i++)
        code[i] = (uint8_t)(next_random(&s) % 12);
    for (int round = 0; round < 2500; round++)
        for (unsigned pc = 0; pc < sizeof code; pc++)
            switch (code[pc]) {
            case 0: acc += x; break;
            case 1: acc ^= y; break;
            case 2: x = acc >> 3; break;
            case 3: y += 7; break;
            case 4: acc = acc * 5 + 1; break;
            case 5: x ^= y << 1; break;
            case 6: y -= acc & 15; break;
            case 7: acc -= y; break;
            case 8: x = x >> 1 | x << 63; break;
            case 9: acc |= 1; break;
            case 10: y ^= acc >> 17; break;
            default: x += 3; break;
            }
    return acc ^ x ^ y;
}

/* Threaded code: an indirect jump at the end of each operation. */
static uint64_t threaded(void)
{
    static const void *const op[] = {&&add, &&mix, &&shift, &&neg, &&loop};
    static uint8_t code[1025];
    uint32_t s = 31;
    uint64_t acc = 1;
    int round = 0;
    const uint8_t *pc = code;

    for (unsigned i = 0; i < 1024; i++)
        code[i] = (uint8_t)(next_random(&s) & 3);
    code[1024] = 4;
    goto *op[*pc++];
add:
    acc += 0x1234567;
    goto *op[*pc++];
mix:
    acc ^= acc >> 11;
    goto *op[*pc++];
shift:
    acc = acc << 5 | acc >> 59;
    goto *op[*pc++];
neg:
    acc = ~acc;
    goto *op[*pc++];
loop:
    if (++round < 10000) {
        pc = code;
        goto *op[*pc++];
    }
    return acc;
}

static jmp_buf env;
static NOINLINE void jump_out(int depth)
{
    if (depth)
        jump_out(depth - 1);
    longjmp(env, 1);
}
static uint64_t long_jumps(void)
{
    volatile uint64_t n = 0;

    while (n < 1500000)
        if (!setjmp(env))
            jump_out(5);
        else
            n++;
    return n;
}

static NOINLINE uint64_t leaf(uint64_t x) { return x ^ 0x55; }
static NOINLINE uint64_t mid(uint64_t x) { return leaf(x) + leaf(x + 1); }
static NOINLINE uint64_t top(uint64_t x) { return mid(x) ^ mid(x + 2); }
static uint64_t leaf_calls(void)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < 4000000; i++)
        sum += top(i);
    return sum;
}

const struct bench bench_calls[] = {
    {"calls", "fib", fib},           {"calls", "tak", tak},           {"calls", "ackermann", ackermann},
    {"calls", "indirect", indirect}, {"calls", "virtual", virtual_calls}, {"calls", "bytecode", bytecode},
    {"calls", "threaded", threaded}, {"calls", "longjmp", long_jumps}, {"calls", "leaf", leaf_calls},
    {0},
};
