/*
 * The physical address space of one machine: RAM, ROM and MMIO regions.
 *
 * RAM is reached only by bus_ram, and by devices only through dma_read and dma_write: a DMA write tells the
 * translator. Regions are added before the machine runs, except by bus_map / bus_unmap (PCI BARs).
 * Readers take no lock: a changed map is published whole, and the old one is kept until the bus is freed.
 */
#ifndef MMU_BUS_H
#define MMU_BUS_H

#include "base/err.h"
#include "base/types.h"

struct bus;
struct log;
struct watch_list;

/*
 * Register accesses of a device. The bus checks size (min_size..max_size bytes, powers of two), alignment to the
 * access size, and range before the call; what is outside gets a bus error and a guest log line.
 * Accesses wider than max_size are split and narrower ones widened only when `split` is set.
 */
struct mmio_ops {
    uint64_t (*read)(void *dev, gpa off, unsigned size);
    void (*write)(void *dev, gpa off, uint64_t val, unsigned size);
    unsigned min_size, max_size;
    bool split;
};

enum region_kind { REGION_RAM, REGION_ROM, REGION_MMIO };

struct region {
    const char *name; /* borrowed; shown by `info mtree` */
    gpa base;
    uint64_t size; /* bytes; RAM and ROM: whole pages */
    enum region_kind kind;
    /* RAM and ROM */
    int fd;              /* of RAM: its shared-memory file */
    uint8_t *host;       /* page-aligned */
    uint8_t *page_flags; /* one byte a page, see PAGE_*; NULL for ROM */
    uint64_t first_page; /* of this region in the machine-wide page numbering */
    /* MMIO */
    const struct mmio_ops *ops;
    void *dev;
    void (*lock)(void *dev), (*unlock)(void *dev); /* held around read and write; may be NULL */
    /* What lies at addr instead (RAM behind a PCI BAR): a region that never changes while the bus lives. NULL: this. */
    const struct region *(*inner)(void *dev, gpa addr);
    struct region *next; /* the bus's own */
};

/* Page flags of RAM (atomic access). */
enum {
    PAGE_CODE = 1,        /* translations of it exist and stores must be noticed */
    PAGE_CODE_DIRTY = 2,  /* it was written since; translations are checked at the next fence.i */
    PAGE_DIRTY_LOG = 4,   /* dirty tracking on and not yet written */
    PAGE_WTLB = 8,        /* some write TLB may hold it */
    PAGE_TOUCHED = 16,    /* written by anyone since reset (snapshots) */
    PAGE_SCREEN = 32,     /* a watch (mmu/watch.h) waits for a write */
    PAGE_LOGS = PAGE_DIRTY_LOG | PAGE_SCREEN, /* cleared by the first write */
    PAGE_WATCH = PAGE_CODE | PAGE_LOGS, /* the first write clears CODE and sets CODE_DIRTY: watched no more */
};

/* Stores to a page with these flags must take the slow path: it may not be in a write TLB. */
static inline bool page_watched(uint8_t flags)
{
    return (flags & PAGE_LOGS) || (flags & (PAGE_CODE | PAGE_CODE_DIRTY)) == PAGE_CODE;
}

/* Called (any thread) after len bytes at gpa were written by other means than a vCPU's store. */
typedef void bus_code_written(void *arg, gpa addr, uint64_t len);

struct bus *bus_new(struct log *log);
void bus_free(struct bus *b); /* frees RAM it made; not devices */

/* RAM of one shared-memory file (memfd), zeroed, lazily backed by the host. size: bytes, a multiple of 4 KiB. */
bool bus_add_ram(struct bus *b, const char *name, gpa base, uint64_t size, struct err *e);
/* The same without a place: video memory, which a PCI BAR shows where the guest wants it. base is 0; the bus's own. */
const struct region *bus_make_ram(struct bus *b, const char *name, uint64_t size, struct err *e);
/* All RAM, placed or not: NULL gives the first, and is given after the last. */
const struct region *bus_next_ram(const struct bus *b, const struct region *r);
/* ROM over host memory of the caller (flash in read mode). Writes go to ops when given, else ignored with a log line. */
bool bus_add_rom(struct bus *b, const char *name, gpa base, uint64_t size, uint8_t *host,
                 const struct mmio_ops *ops, void *dev, struct err *e);
/* The caller keeps r alive until unmapped or the bus is freed. Overlap with another region is an error. */
bool bus_map(struct bus *b, struct region *r, struct err *e);
void bus_unmap(struct bus *b, struct region *r);
/*
 * What lies at [base, base + size) is other memory now, or none: said by bus_unmap and by who places inner regions,
 * after the change. fn (any thread, device locks may be held) makes vCPUs and translator forget what they knew of it.
 */
void bus_remapped(struct bus *b, gpa base, uint64_t size);
void bus_on_remap(struct bus *b, void (*fn)(void *arg, gpa base, uint64_t size), void *arg);

const struct region *bus_find(const struct bus *b, gpa addr); /* NULL: nothing there */
const struct region *bus_first(const struct bus *b);          /* by address, for info mtree; ->next */

/* Host address of [addr, addr+len) when it lies in one RAM region (ROM too, for reads, by bus_mem); else NULL. */
void *bus_ram(const struct bus *b, gpa addr, uint64_t len);
const void *bus_mem(const struct bus *b, gpa addr, uint64_t len);

/* MMIO by a vCPU. size 1, 2, 4, 8. false: nothing answers there (an access fault). */
bool bus_read(struct bus *b, gpa addr, unsigned size, uint64_t *val);
bool bus_write(struct bus *b, gpa addr, unsigned size, uint64_t val);

/* Device access to guest RAM, any length, may cross pages, never reaches MMIO. false: part of it is not RAM (nothing done). */
bool dma_read(struct bus *b, gpa addr, void *buf, uint64_t len);
bool dma_write(struct bus *b, gpa addr, const void *buf, uint64_t len);
/*
 * Guest RAM as host memory for scatter-gather I/O: the longest piece from addr, at most *len, which is updated.
 * For writing, call dma_written when the data is there. NULL: not RAM.
 */
void *dma_map(struct bus *b, gpa addr, uint64_t *len, bool write);
void dma_written(struct bus *b, gpa addr, uint64_t len);
/* Likewise for RAM that is known as a region: bytes [off, off + len) of it. */
void bus_ram_written(struct bus *b, const struct region *r, uint64_t off, uint64_t len);

/* The owner of ROM (flash) changed len bytes of it: whoever made translations is told, as for RAM. */
void bus_rom_written(struct bus *b, gpa addr, uint64_t len);

void bus_on_code_written(struct bus *b, bus_code_written *fn, void *arg);
int bus_ram_fd(const struct bus *b, gpa addr, uint64_t *offset); /* the shared-memory file behind addr, -1 if none */

struct watch_list *bus_watches(struct bus *b); /* for mmu/watch.c */

/* Dirty tracking: start marks every page clean; harvest copies and clears the bitmap (a bit a page of the region).
 * After both the caller flushes every TLB, so that the next store to each page is seen. */
void bus_dirty_start(struct bus *b);
uint64_t bus_dirty_harvest(struct bus *b, const struct region *r, uint8_t *bitmap); /* returns pages dirty */

static inline uint8_t page_flags_get(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline uint8_t page_flags_set(uint8_t *p, uint8_t f) { return __atomic_fetch_or(p, f, __ATOMIC_SEQ_CST); }
static inline uint8_t page_flags_clear(uint8_t *p, uint8_t f)
{
    return __atomic_fetch_and(p, (uint8_t)~f, __ATOMIC_SEQ_CST);
}

#endif
