/* Four harts: AMO and LR/SC counters, a lock, store buffering with fences, remote code changes by IPI and fence.i. */
#include "test.h"

enum { HARTS = 4, N = 20000 };
static volatile uint64_t ready, counter, lrsc, locked, guarded, done;
static volatile uint64_t x, y, r[2], turn[2];
static uint32_t code[64] __attribute__((aligned(4096)));
static volatile uint64_t version, seen[HARTS];

static void add_lrsc(volatile uint64_t *p)
{
    uint64_t t, f;

    __asm__ volatile("1: lr.d.aqrl %0, (%2); addi %0, %0, 1; sc.d.aqrl %1, %0, (%2); bnez %1, 1b"
                     : "=&r"(t), "=&r"(f)
                     : "r"(p)
                     : "memory");
}

static void work(uint64_t hart)
{
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (ready < HARTS)
        ;
    for (int i = 0; i < N; i++) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        add_lrsc(&lrsc);
        while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE))
            ;
        guarded++;
        __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
    }
    /* store buffering: both zero is forbidden with fences */
    if (hart < 2)
        for (uint64_t i = 1; i < 5000; i++) {
            if (hart == 0) {
                x = 0, y = 0;
                __atomic_store_n(&turn[0], i, __ATOMIC_SEQ_CST);
            } else {
                while (__atomic_load_n(&turn[0], __ATOMIC_SEQ_CST) < i)
                    ;
            }
            if (hart == 0)
                x = 1;
            else
                y = 1;
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            r[hart] = hart == 0 ? y : x;
            if (hart == 1) {
                __atomic_store_n(&turn[1], i, __ATOMIC_SEQ_CST);
            } else {
                while (__atomic_load_n(&turn[1], __ATOMIC_SEQ_CST) < i)
                    ;
                CHECK(r[0] || r[1]);
            }
        }
    /* code changed by hart 0, seen by the others after their own fence.i */
    for (uint64_t v = 1; hart && v <= 200; v++) {
        while (__atomic_load_n(&version, __ATOMIC_ACQUIRE) < v)
            ;
        __asm__ volatile("fence.i" ::: "memory");
        CHECK(((uint64_t(*)(void))code)() == v);
        __atomic_store_n(&seen[hart], v, __ATOMIC_RELEASE);
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

void secondary(uint64_t hart)
{
    if (hart < HARTS)
        work(hart);
}

static void change_code(void)
{
    code[1] = 0x00008067;
    for (uint64_t v = 1; v <= 200; v++) {
        code[0] = (uint32_t)v << 20 | 10 << 7 | 0x13;
        __atomic_store_n(&version, v, __ATOMIC_RELEASE);
        for (int h = 1; h < HARTS; h++)
            while (__atomic_load_n(&seen[h], __ATOMIC_ACQUIRE) < v)
                ;
    }
}

int main(void)
{
    work(0);
    change_code();
    while (done < HARTS)
        ;
    CHECK(counter == HARTS * N);
    CHECK(lrsc == HARTS * N);
    CHECK(guarded == HARTS * N);
    finish(0, 0);
}
