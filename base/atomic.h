/*
 * What C11's atomics lack: compare-and-swap of 16 bytes (which a library may do with a lock), and fences that gcc
 * accepts under -fsanitize=thread.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

static inline void barrier_full(void) { __sync_synchronize(); }

/* All orders but earlier stores before later loads. */
static inline void barrier_acq_rel(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory");
#else
    __sync_synchronize();
#endif
}

/*
 * If *p == old, store desired. Returns what was there in old[]; true when stored. p is 16-byte aligned; writable even
 * when the comparison fails. Order: sequentially consistent.
 */
static inline bool cas128(uint64_t *p, uint64_t old[2], const uint64_t desired[2])
{
    bool ok;

#if defined(__x86_64__)
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(ok), "+m"(*(__int128 *)p), "+a"(old[0]), "+d"(old[1])
                     : "b"(desired[0]), "c"(desired[1])
                     : "memory");
#else
    __int128 expect = (__int128)old[1] << 64 | old[0];
    __int128 was = __sync_val_compare_and_swap((__int128 *)p, expect, (__int128)desired[1] << 64 | desired[0]);

    ok = was == expect;
    old[0] = (uint64_t)was;
    old[1] = (uint64_t)(was >> 64);
#endif
    return ok;
}

#endif
