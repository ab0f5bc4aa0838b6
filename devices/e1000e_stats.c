/*
 * 82574L statistics: counters that a read clears and that stay at their largest value. The octet counters are 64 bits
 * wide and cleared by the read of their upper half. Lengths count the FCS. Source: 82574 datasheet, 10.2.7.
 */
#include "devices/e1000e_parts.h"

enum { GORCH = S_GORC + 4, GOTCH = S_GOTC + 4, TORH = S_TOR + 4, TOTH = S_TOT + 4 };

static void add32(struct e1000e *e, unsigned off, uint64_t n)
{
    uint32_t *c = e1000e_reg(e, off);

    *c = n > UINT32_MAX - *c ? UINT32_MAX : *c + (uint32_t)n;
}

static void add64(struct e1000e *e, unsigned off, uint64_t n)
{
    uint64_t c = reg_get(e, off) | (uint64_t)reg_get(e, off + 4) << 32;

    c = n > UINT64_MAX - c ? UINT64_MAX : c + n;
    *e1000e_reg(e, off) = (uint32_t)c;
    *e1000e_reg(e, off + 4) = (uint32_t)(c >> 32);
}

void e1000e_count(struct e1000e *e, unsigned off) { add32(e, off, 1); }

uint32_t e1000e_stat_read(struct e1000e *e, unsigned off)
{
    uint32_t v = reg_get(e, off);

    switch (off) {
    case S_GORC:
    case S_GOTC:
    case S_TOR:
    case S_TOT: return v;
    case GORCH:
    case GOTCH:
    case TORH:
    case TOTH: *e1000e_reg(e, off - 4) = 0;
    }
    *e1000e_reg(e, off) = 0;
    return v;
}

/* The size's counter in a group of six: 64, 65 to 127, to 255, to 511, to 1023, larger. */
static void count_size(struct e1000e *e, unsigned group, size_t len, uint64_t n)
{
    unsigned i = 0;

    for (size_t limit = 64; i < 5 && len > limit; i++)
        limit = i ? 2 * limit + 1 : 127;
    add32(e, group + 4 * i, n);
}

static bool is_broadcast(const uint8_t *dst) { return ld32(dst) == UINT32_MAX && ld16(dst + 4) == UINT16_MAX; }

void e1000e_count_rx_filtered(struct e1000e *e, size_t len)
{
    add32(e, S_TPR, 1);
    add64(e, S_TOR, (len < MIN_FRAME ? MIN_FRAME : len) + FCS);
}

void e1000e_count_rx(struct e1000e *e, const uint8_t *dst, size_t len)
{
    size_t wire = (len < MIN_FRAME ? MIN_FRAME : len) + FCS;

    e1000e_count_rx_filtered(e, len);
    add32(e, S_GPRC, 1);
    add64(e, S_GORC, wire);
    count_size(e, S_PRC64, wire, 1);
    if (is_broadcast(dst))
        add32(e, S_BPRC, 1);
    else if (dst[0] & 1)
        add32(e, S_MPRC, 1);
}

void e1000e_count_tx(struct e1000e *e, const uint8_t *dst, size_t len, size_t hdr, size_t size)
{
    size_t payload = len - hdr, n = size && payload > size ? (payload + size - 1) / size : 1;
    size_t last = n > 1 ? hdr + payload - (n - 1) * size : len;
    uint64_t octets = (n - 1) * (hdr + size) + last + n * FCS;

    add32(e, S_GPTC, n);
    add32(e, S_TPT, n);
    add64(e, S_GOTC, octets);
    add64(e, S_TOT, octets);
    if (n > 1)
        count_size(e, S_PTC64, hdr + size + FCS, n - 1);
    count_size(e, S_PTC64, last + FCS, 1);
    if (is_broadcast(dst))
        add32(e, S_BPTC, n);
    else if (dst[0] & 1)
        add32(e, S_MPTC, n);
}
