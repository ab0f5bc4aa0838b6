/* What the bare-metal test programs share. A failed CHECK ends the program with its number on the test finisher. */
#ifndef TEST_H
#define TEST_H

#include <stdint.h>

enum { CSR_MPRV = 1 << 17, CSR_SUM = 1 << 18, CSR_MXR = 1 << 19 };
enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128 };
#define PTE(pa, flags) ((uint64_t)(pa) >> 12 << 10 | (flags) | PTE_V)

struct trap_record {
    volatile uint64_t count, cause, epc, tval;
};
extern struct trap_record traps;
extern volatile uint64_t irqs; /* interrupts taken (not in traps) */
extern void (*volatile on_irq)(uint64_t cause);
extern char free_memory[];

void finish(int failed, int number) __attribute__((noreturn));
long call_in(long mode, long (*fn)(long), long arg);
int main(void);
void secondary(uint64_t hart);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            finish(1, __LINE__);                                                                                       \
    } while (0)

#define READ(csr)                                                                                                      \
    ({                                                                                                                 \
        uint64_t v_;                                                                                                   \
        __asm__ volatile("csrr %0, " #csr : "=r"(v_));                                                                 \
        v_;                                                                                                            \
    })
#define WRITE(csr, v) __asm__ volatile("csrw " #csr ", %0" ::"r"((uint64_t)(v)) : "memory")
#define SET(csr, v) __asm__ volatile("csrs " #csr ", %0" ::"r"((uint64_t)(v)) : "memory")
#define CLEAR(csr, v) __asm__ volatile("csrc " #csr ", %0" ::"r"((uint64_t)(v)) : "memory")

/* Whether doing `stmt` traps with that cause and value. */
#define TRAPS(stmt, c, t)                                                                                              \
    ({                                                                                                                 \
        uint64_t n_ = traps.count;                                                                                     \
        stmt;                                                                                                          \
        traps.count == n_ + 1 && traps.cause == (c) && traps.tval == (uint64_t)(t);                                    \
    })
#define QUIET(stmt)                                                                                                    \
    ({                                                                                                                 \
        uint64_t n_ = traps.count;                                                                                     \
        stmt;                                                                                                          \
        traps.count == n_;                                                                                             \
    })

#endif
