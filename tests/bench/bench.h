/* The bench programs: each does a fixed amount of work and returns a checksum, equal on every machine. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

struct bench {
    const char *group, *name;
    uint64_t (*run)(void);
};
extern const struct bench bench_int[], bench_calls[], bench_mem[], bench_fp[], bench_os[];

static inline uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    return *s ^= *s << 5;
}

#define NOINLINE __attribute__((noinline))

#endif
