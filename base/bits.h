/* Bit fields, little-endian loads and stores, alignment. All pure; all total on the ranges stated. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bits [pos, pos+len) of v. 1 <= len, pos + len <= 64. */
static inline uint64_t extract64(uint64_t v, unsigned pos, unsigned len)
{
    return (v >> pos) & (~UINT64_C(0) >> (64 - len));
}

/* v with bits [pos, pos+len) replaced by the low bits of field. Same ranges. */
static inline uint64_t deposit64(uint64_t v, unsigned pos, unsigned len, uint64_t field)
{
    uint64_t mask = (~UINT64_C(0) >> (64 - len)) << pos;

    return (v & ~mask) | ((field << pos) & mask);
}

/* The low len bits of v as a signed number. 1 <= len <= 64. */
static inline int64_t sext64(uint64_t v, unsigned len)
{
    return (int64_t)(v << (64 - len)) >> (64 - len);
}

static inline bool is_pow2(uint64_t v) { return v && !(v & (v - 1)); }

/* a is a power of two; the caller rules out overflow. */
static inline uint64_t align_down(uint64_t v, uint64_t a) { return v & ~(a - 1); }
static inline uint64_t align_up(uint64_t v, uint64_t a) { return (v + a - 1) & ~(a - 1); }

/* Unaligned little-endian access to host memory (the hosts we build for are little-endian). */
static inline uint16_t ld16(const void *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t ld32(const void *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t ld64(const void *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static inline void st16(void *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static inline void st32(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static inline void st64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }

/* Big-endian fields (fw_cfg, device trees, VHD, packets). */
static inline uint16_t ld16be(const void *p) { return __builtin_bswap16(ld16(p)); }
static inline uint32_t ld32be(const void *p) { return __builtin_bswap32(ld32(p)); }
static inline uint64_t ld64be(const void *p) { return __builtin_bswap64(ld64(p)); }
static inline void st16be(void *p, uint16_t v) { st16(p, __builtin_bswap16(v)); }
static inline void st32be(void *p, uint32_t v) { st32(p, __builtin_bswap32(v)); }
static inline void st64be(void *p, uint64_t v) { st64(p, __builtin_bswap64(v)); }

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif
