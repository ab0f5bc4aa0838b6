/*
 * Guest RAM as vCPUs read and write it: one access of its size each, at any alignment, so that no other vCPU sees half
 * of it where a hart would not.
 *
 * vCPUs race on it as harts do, by the guest's own choice, and what orders them (the guest's own locks, generated code) no
 * tool of the host sees. So ThreadSanitizer checks these accesses, and only these, not at all.
 */
#ifndef MMU_RAM_H
#define MMU_RAM_H

#include <stddef.h>
#include <stdint.h>

#define RAM_ACCESS __attribute__((no_sanitize("thread")))

typedef uint16_t ram_u16 __attribute__((aligned(1), may_alias));
typedef uint32_t ram_u32 __attribute__((aligned(1), may_alias));
typedef uint64_t ram_u64 __attribute__((aligned(1), may_alias));

/* size: 1, 2, 4 or 8 bytes, little-endian; zero-extended. */
RAM_ACCESS static inline uint64_t ram_load(const void *p, unsigned size)
{
    switch (size) {
    case 1: return *(const volatile uint8_t *)p;
    case 2: return *(const volatile ram_u16 *)p;
    case 4: return *(const volatile ram_u32 *)p;
    default: return *(const volatile ram_u64 *)p;
    }
}

RAM_ACCESS static inline void ram_store(void *p, unsigned size, uint64_t val)
{
    switch (size) {
    case 1: *(volatile uint8_t *)p = (uint8_t)val; return;
    case 2: *(volatile ram_u16 *)p = (uint16_t)val; return;
    case 4: *(volatile ram_u32 *)p = (uint32_t)val; return;
    default: *(volatile ram_u64 *)p = val;
    }
}

/* Byte by byte, for accesses over a page boundary, which no hart does in one. */
RAM_ACCESS static inline void ram_copy_from(uint8_t *to, const uint8_t *ram, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = *(const volatile uint8_t *)(ram + i);
}

RAM_ACCESS static inline void ram_copy_to(uint8_t *ram, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *(volatile uint8_t *)(ram + i) = from[i];
}

#endif
