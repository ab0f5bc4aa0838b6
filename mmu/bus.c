/*
 * The physical address space: a sorted array of regions, published whole.
 *
 * Readers load one pointer and search; a change builds a new array, swaps the pointer and keeps the old array until
 * the bus is freed (maps change a handful of times in a machine's life, when PCI BARs move).
 */
#include "mmu/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "mmu/watch.h"

struct map {
    struct map *older;
    unsigned count;
    struct region *region[];
};

struct ram { /* what bus_add_ram made */
    struct region region;
    struct ram *next;
};

struct bus {
    struct log *log;
    struct map *map; /* atomic */
    pthread_mutex_t lock;
    struct ram *rams;
    uint64_t pages;
    bus_code_written *written;
    void *written_arg;
    void (*remapped)(void *arg, gpa base, uint64_t size);
    void *remapped_arg;
    struct watch_list watches;
};

struct bus *bus_new(struct log *log)
{
    struct bus *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->map = calloc(1, sizeof *b->map);
    if (!b->map) {
        free(b);
        return NULL;
    }
    b->log = log;
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->watches.lock, NULL);
    return b;
}

static void ram_free(struct ram *r)
{
    if (r->region.host && r->region.kind == REGION_RAM)
        munmap(r->region.host, r->region.size);
    if (r->region.fd >= 0)
        close(r->region.fd);
    free(r->region.page_flags);
    free(r);
}

void bus_free(struct bus *b)
{
    if (!b)
        return;
    while (b->map) {
        struct map *m = b->map;

        b->map = m->older;
        free(m);
    }
    while (b->rams) {
        struct ram *r = b->rams;

        b->rams = r->next;
        ram_free(r);
    }
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->watches.lock);
    free(b);
}

static struct map *map_get(const struct bus *b) { return __atomic_load_n(&b->map, __ATOMIC_ACQUIRE); }

/* Publish a copy of the map with r put in (or taken out); the lock is held. */
static bool map_change(struct bus *b, struct region *r, bool add)
{
    const struct map *old = b->map;
    struct map *m = calloc(1, sizeof *m + (old->count + 1) * sizeof m->region[0]);
    bool placed = !add;

    if (!m)
        return false;
    for (unsigned i = 0; i < old->count; i++) {
        if (!add && old->region[i] == r)
            continue;
        if (!placed && old->region[i]->base > r->base) {
            m->region[m->count++] = r;
            placed = true;
        }
        m->region[m->count++] = old->region[i];
    }
    if (!placed)
        m->region[m->count++] = r;
    for (unsigned i = 0; i < m->count; i++)
        m->region[i]->next = i + 1 < m->count ? m->region[i + 1] : NULL;
    m->older = b->map;
    __atomic_store_n(&b->map, m, __ATOMIC_RELEASE);
    return true;
}

bool bus_map(struct bus *b, struct region *r, struct err *e)
{
    const struct map *m;
    bool ok;

    if (!r->size || r->base + (r->size - 1) < r->base)
        return err_set(e, "%s: region of 0x%" PRIx64 " bytes at 0x%" PRIx64 " does not fit the address space", r->name,
                       r->size, r->base);
    pthread_mutex_lock(&b->lock);
    m = b->map;
    for (unsigned i = 0; i < m->count; i++) {
        const struct region *o = m->region[i];

        if (r->base <= o->base + (o->size - 1) && o->base <= r->base + (r->size - 1)) {
            pthread_mutex_unlock(&b->lock);
            return err_set(e, "%s at 0x%" PRIx64 " overlaps %s", r->name, r->base, o->name);
        }
    }
    ok = map_change(b, r, true);
    pthread_mutex_unlock(&b->lock);
    return ok || err_set(e, "out of memory");
}

void bus_unmap(struct bus *b, struct region *r)
{
    pthread_mutex_lock(&b->lock);
    while (!map_change(b, r, false))
        usleep(1000); /* the region must go: its owner may free it */
    pthread_mutex_unlock(&b->lock);
    bus_remapped(b, r->base, r->size);
}

void bus_remapped(struct bus *b, gpa base, uint64_t size)
{
    if (b->remapped && size)
        b->remapped(b->remapped_arg, base, size);
}

void bus_on_remap(struct bus *b, void (*fn)(void *arg, gpa base, uint64_t size), void *arg)
{
    b->remapped_arg = arg;
    b->remapped = fn;
}

struct watch_list *bus_watches(struct bus *b) { return &b->watches; }

/* RAM with no place yet; NULL: e is set. */
static struct ram *ram_new(struct bus *b, const char *name, gpa base, uint64_t size, struct err *e)
{
    struct ram *r = calloc(1, sizeof *r);

    if (!r) {
        err_set(e, "out of memory");
        return NULL;
    }
    r->region = (struct region){.name = name, .base = base, .size = size, .kind = REGION_RAM};
    r->region.fd = memfd_create(name, MFD_CLOEXEC);
    if (!size || size % PAGE_SIZE || base % PAGE_SIZE) {
        err_set(e, "%s: size and base must be multiples of 4 KiB", name);
        goto fail;
    }
    if (r->region.fd < 0 || ftruncate(r->region.fd, (off_t)size) < 0) {
        err_set(e, "%s: cannot make a memory file of %" PRIu64 " MiB: %s", name, size >> 20, strerror(errno));
        goto fail;
    }
    r->region.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->region.fd, 0);
    if (r->region.host == MAP_FAILED) {
        r->region.host = NULL;
        err_set(e, "%s: cannot map %" PRIu64 " MiB: %s", name, size >> 20, strerror(errno));
        goto fail;
    }
    madvise(r->region.host, size, MADV_HUGEPAGE);
    r->region.page_flags = calloc(size >> PAGE_BITS, 1);
    r->region.first_page = b->pages;
    if (r->region.page_flags)
        return r;
    err_set(e, "out of memory");
fail:
    ram_free(r);
    return NULL;
}

static void ram_keep(struct bus *b, struct ram *r)
{
    b->pages += r->region.size >> PAGE_BITS;
    r->next = b->rams;
    b->rams = r;
}

bool bus_add_ram(struct bus *b, const char *name, gpa base, uint64_t size, struct err *e)
{
    struct ram *r = ram_new(b, name, base, size, e);

    if (!r)
        return false;
    if (!bus_map(b, &r->region, e)) {
        ram_free(r);
        return false;
    }
    ram_keep(b, r);
    return true;
}

const struct region *bus_make_ram(struct bus *b, const char *name, uint64_t size, struct err *e)
{
    struct ram *r = ram_new(b, name, 0, size, e);

    if (!r)
        return NULL;
    ram_keep(b, r);
    return &r->region;
}

const struct region *bus_next_ram(const struct bus *b, const struct region *r)
{
    const struct ram *n = r ? CONTAINER_OF(r, struct ram, region)->next : b->rams;

    while (n && n->region.kind != REGION_RAM)
        n = n->next;
    return n ? &n->region : NULL;
}

bool bus_add_rom(struct bus *b, const char *name, gpa base, uint64_t size, uint8_t *host, const struct mmio_ops *ops,
                 void *dev, struct err *e)
{
    struct ram *r = calloc(1, sizeof *r);

    if (!r)
        return err_set(e, "out of memory");
    r->region = (struct region){
        .name = name, .base = base, .size = size, .kind = REGION_ROM, .host = host, .ops = ops, .dev = dev, .fd = -1};
    if (!bus_map(b, &r->region, e)) {
        free(r);
        return false;
    }
    r->next = b->rams;
    b->rams = r;
    return true;
}

static const struct region *inner(const struct region *r, gpa addr)
{
    const struct region *i = r->inner ? r->inner(r->dev, addr) : NULL;

    return i ? i : r;
}

const struct region *bus_find(const struct bus *b, gpa addr)
{
    const struct map *m = map_get(b);
    unsigned lo = 0, hi = m->count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        const struct region *r = m->region[mid];

        if (addr < r->base)
            hi = mid;
        else if (addr - r->base >= r->size)
            lo = mid + 1;
        else
            return inner(r, addr);
    }
    return NULL;
}

const struct region *bus_first(const struct bus *b)
{
    const struct map *m = map_get(b);

    return m->count ? m->region[0] : NULL;
}

static bool inside(const struct region *r, gpa addr, uint64_t len)
{
    return len <= r->size && addr - r->base <= r->size - len;
}

void *bus_ram(const struct bus *b, gpa addr, uint64_t len)
{
    const struct region *r = bus_find(b, addr);

    return r && r->kind == REGION_RAM && inside(r, addr, len) ? r->host + (addr - r->base) : NULL;
}

const void *bus_mem(const struct bus *b, gpa addr, uint64_t len)
{
    const struct region *r = bus_find(b, addr);

    return r && r->kind != REGION_MMIO && inside(r, addr, len) ? r->host + (addr - r->base) : NULL;
}

static uint64_t mmio_read(const struct region *r, gpa off, unsigned size)
{
    const struct mmio_ops *o = r->ops;
    uint64_t v = 0;

    if (size > o->max_size) {
        for (unsigned i = 0; i < size; i += o->max_size)
            v |= (o->read(r->dev, off + i, o->max_size) & (~UINT64_C(0) >> (64 - 8 * o->max_size))) << (8 * i);
        return v;
    }
    if (size < o->min_size) {
        gpa base = off & ~(gpa)(o->min_size - 1);

        v = o->read(r->dev, base, o->min_size) >> (8 * (off - base));
    } else {
        v = o->read(r->dev, off, size);
    }
    return v & (~UINT64_C(0) >> (64 - 8 * size));
}

static void mmio_write(const struct region *r, gpa off, unsigned size, uint64_t val)
{
    const struct mmio_ops *o = r->ops;

    if (size > o->max_size) {
        for (unsigned i = 0; i < size; i += o->max_size)
            o->write(r->dev, off + i, (val >> (8 * i)) & (~UINT64_C(0) >> (64 - 8 * o->max_size)), o->max_size);
        return;
    }
    if (size < o->min_size) { /* the neighbours keep what a read of them gives */
        gpa base = off & ~(gpa)(o->min_size - 1);
        unsigned pos = (unsigned)(8 * (off - base));

        val = deposit64(o->read(r->dev, base, o->min_size), pos, 8 * size, val);
        o->write(r->dev, base, val, o->min_size);
        return;
    }
    o->write(r->dev, off, val, size);
}

/* Whether the region's device takes this access; logs what the guest did wrong. */
static bool mmio_fits(const struct bus *b, const struct region *r, gpa addr, unsigned size, const char *what)
{
    const struct mmio_ops *o = r->ops;

    if (o && inside(r, addr, size) && !((addr - r->base) & (size - 1)) &&
        (o->split || (size >= o->min_size && size <= o->max_size)))
        return true;
    log_guest_msg(b->log, r->name, "%s of %u bytes at offset 0x%" PRIx64 " refused", what, size, addr - r->base);
    return false;
}

/* -d dev:NAME */
static void log_access(const struct bus *b, const struct region *r, const char *what, gpa off, unsigned size,
                       uint64_t val)
{
    if (b->log && log_dev_on(b->log, r->name))
        log_write(b->log, "%s: %s 0x%" PRIx64 ", %u bytes: 0x%" PRIx64, r->name, what, off, size, val);
}

bool bus_read(struct bus *b, gpa addr, unsigned size, uint64_t *val)
{
    const struct region *r = bus_find(b, addr);

    if (!r) {
        log_guest_msg(b->log, "bus", "read of %u bytes at 0x%" PRIx64 ": nothing there", size, addr);
        return false;
    }
    if (r->kind != REGION_MMIO) {
        if (!inside(r, addr, size))
            return false;
        *val = 0;
        memcpy(val, r->host + (addr - r->base), size);
        return true;
    }
    if (!mmio_fits(b, r, addr, size, "read"))
        return false;
    if (r->lock)
        r->lock(r->dev);
    *val = mmio_read(r, addr - r->base, size);
    if (r->unlock)
        r->unlock(r->dev);
    log_access(b, r, "read", addr - r->base, size, *val);
    return true;
}

bool bus_write(struct bus *b, gpa addr, unsigned size, uint64_t val)
{
    const struct region *r = bus_find(b, addr);

    if (!r) {
        log_guest_msg(b->log, "bus", "write of %u bytes at 0x%" PRIx64 ": nothing there", size, addr);
        return false;
    }
    if (r->kind == REGION_RAM)
        return dma_write(b, addr, &val, size);
    if (r->kind == REGION_ROM && !r->ops) {
        log_guest_msg(b->log, r->name, "write to ROM at offset 0x%" PRIx64, addr - r->base);
        return true;
    }
    if (!mmio_fits(b, r, addr, size, "write"))
        return false;
    log_access(b, r, "write", addr - r->base, size, val);
    if (r->lock)
        r->lock(r->dev);
    mmio_write(r, addr - r->base, size, val);
    if (r->unlock)
        r->unlock(r->dev);
    return true;
}

void *dma_map(struct bus *b, gpa addr, uint64_t *len, bool write)
{
    const struct region *r = bus_find(b, addr);

    if (!r || r->kind == REGION_MMIO || (write && r->kind != REGION_RAM))
        return NULL;
    if (*len > r->size - (addr - r->base))
        *len = r->size - (addr - r->base);
    return r->host + (addr - r->base);
}

void bus_ram_written(struct bus *b, const struct region *r, uint64_t off, uint64_t len)
{
    bool code = false;

    for (uint64_t p = off & PAGE_MASK; p < off + len && p < r->size; p += PAGE_SIZE) {
        uint8_t *f = &r->page_flags[p >> PAGE_BITS];
        uint8_t old = page_flags_get(f);

        if (!(old & PAGE_TOUCHED))
            page_flags_set(f, PAGE_TOUCHED);
        if (old & PAGE_LOGS)
            page_flags_clear(f, PAGE_LOGS);
        code |= (old & PAGE_CODE) != 0;
    }
    if (code && b->written)
        b->written(b->written_arg, r->base + off, len);
}

void dma_written(struct bus *b, gpa addr, uint64_t len)
{
    const struct region *r = bus_find(b, addr);

    if (r && r->kind == REGION_RAM && len)
        bus_ram_written(b, r, addr - r->base, len);
}

/* Whether all of [addr, addr+len) is memory a device may read (or write). */
static bool dma_covers(struct bus *b, gpa addr, uint64_t len, bool write)
{
    if (len && addr + (len - 1) < addr)
        return false;
    while (len) {
        uint64_t n = len;

        if (!dma_map(b, addr, &n, write))
            return false;
        addr += n;
        len -= n;
    }
    return true;
}

bool dma_read(struct bus *b, gpa addr, void *buf, uint64_t len)
{
    if (!dma_covers(b, addr, len, false))
        return false;
    for (uint8_t *p = buf; len;) {
        uint64_t n = len;
        const void *src = dma_map(b, addr, &n, false);

        if (!src)
            return false;
        memcpy(p, src, n);
        p += n;
        addr += n;
        len -= n;
    }
    return true;
}

bool dma_write(struct bus *b, gpa addr, const void *buf, uint64_t len)
{
    if (!dma_covers(b, addr, len, true))
        return false;
    for (const uint8_t *p = buf; len;) {
        uint64_t n = len;
        void *dst = dma_map(b, addr, &n, true);

        if (!dst)
            return false;
        memcpy(dst, p, n);
        dma_written(b, addr, n);
        p += n;
        addr += n;
        len -= n;
    }
    return true;
}

void bus_rom_written(struct bus *b, gpa addr, uint64_t len)
{
    if (len && b->written)
        b->written(b->written_arg, addr, len);
}

void bus_on_code_written(struct bus *b, bus_code_written *fn, void *arg)
{
    b->written_arg = arg;
    b->written = fn;
}

int bus_ram_fd(const struct bus *b, gpa addr, uint64_t *offset)
{
    const struct region *r = bus_find(b, addr);

    if (!r || r->kind != REGION_RAM)
        return -1;
    *offset = addr - r->base;
    return r->fd;
}

void bus_dirty_start(struct bus *b)
{
    for (const struct region *r = bus_next_ram(b, NULL); r; r = bus_next_ram(b, r))
        for (uint64_t i = 0; i < r->size >> PAGE_BITS; i++)
            page_flags_set(&r->page_flags[i], PAGE_DIRTY_LOG);
}

uint64_t bus_dirty_harvest(struct bus *b, const struct region *r, uint8_t *bitmap)
{
    uint64_t n = 0;

    (void)b;
    memset(bitmap, 0, ((r->size >> PAGE_BITS) + 7) / 8);
    for (uint64_t i = 0; i < r->size >> PAGE_BITS; i++)
        if (!(page_flags_set(&r->page_flags[i], PAGE_DIRTY_LOG) & PAGE_DIRTY_LOG)) {
            bitmap[i / 8] |= (uint8_t)(1u << (i % 8));
            n++;
        }
    return n;
}
