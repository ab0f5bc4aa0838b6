/* Native SBI: the debug console (DBCN). Buffers are physical, and RAM. */
#include "base/bits.h"
#include "cpu/riscv/sbi_impl.h"
#include "mmu/bus.h"

static struct sbi_ret ok(uint64_t value) { return (struct sbi_ret){SBI_SUCCESS, value}; }
static struct sbi_ret error(int64_t e) { return (struct sbi_ret){e, 0}; }

/* Each call moves at most this much: partial transfers are allowed, and callers repeat. */
enum { CHUNK = 1024 };

static struct sbi_ret transfer(struct sbi *s, struct rv *c, bool read, const uint64_t *a)
{
    uint64_t len = a[0], addr = a[1];
    uint8_t buf[CHUNK];

    if (a[2] || addr + len < addr || (len && !bus_ram(c->v.bus, addr, len)))
        return error(SBI_INVALID_PARAM);
    if (len > sizeof buf)
        len = sizeof buf;
    if (read) {
        len = sbi_console_get(s, buf, len);
        return len && !dma_write(c->v.bus, addr, buf, len) ? error(SBI_FAILED) : ok(len);
    }
    if (len && !dma_read(c->v.bus, addr, buf, len))
        return error(SBI_FAILED);
    sbi_console_put(s, buf, len);
    return ok(len);
}

struct sbi_ret sbi_dbcn(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    uint8_t byte = (uint8_t)a[0];

    switch (fid) {
    case 0:
    case 1: return transfer(s, c, fid == 1, a);
    case 2: sbi_console_put(s, &byte, 1); return ok(0);
    default: return error(SBI_NOT_SUPPORTED);
    }
}
