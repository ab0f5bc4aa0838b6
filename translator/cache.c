/*
 * The code cache: see cache.h for the life of an arena.
 *
 * Dual mapping (PERFORMANCE 4.12): writing and running code never need a change of protection, and no address is both
 * writable and executable.
 */
#include "translator/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "translator/tb.h"

enum { ARENA_MAX_COUNT = 64, ARENA_SIZE = 1 << 20, ARENA_SMALL = 16 << 10, ADOPTED = 256 };
static const uint64_t size_limit = UINT64_C(1) << 30;

enum arena_state { FREE, FILLING, FULL, DYING };

struct arena {
    enum arena_state state;
    uint32_t used;
    uint32_t adopted; /* room that blocks without code take */
    struct tb *blocks;
};

struct cache {
    uint8_t *rw, *rx;
    uint64_t size;
    uint32_t arena_size;
    unsigned arenas, current;
    struct arena arena[ARENA_MAX_COUNT];
};

/* 1 MiB arenas where there are enough of them; at least four, so that one can die while another fills. */
static void divide(struct cache *c)
{
    uint64_t usable = c->size - CACHE_STUBS, a = ARENA_SIZE;

    if (usable / a < 8)
        a = usable / 8;
    if (a < ARENA_SMALL)
        a = usable / 4;
    if (usable / a > ARENA_MAX_COUNT)
        a = usable / ARENA_MAX_COUNT;
    c->arena_size = (uint32_t)align_down(a, 256);
    c->arenas = (unsigned)(usable / c->arena_size);
    if (c->arenas > ARENA_MAX_COUNT)
        c->arenas = ARENA_MAX_COUNT;
}

static bool map_twice(struct cache *c, struct err *e)
{
    int fd = memfd_create("guise-code", MFD_CLOEXEC);

    if (fd < 0)
        return err_set(e, "code cache: memfd_create: %s", strerror(errno));
    if (ftruncate(fd, (off_t)c->size) < 0) {
        close(fd);
        return err_set(e, "code cache of %llu bytes: %s", (unsigned long long)c->size, strerror(errno));
    }
    c->rw = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    c->rx = mmap(NULL, c->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    if (c->rw == MAP_FAILED || c->rx == MAP_FAILED)
        return err_set(e, "code cache: the host refuses %s memory: %s", c->rw == MAP_FAILED ? "" : "executable",
                       strerror(errno));
    return true;
}

struct cache *cache_new(uint64_t size, struct err *e)
{
    struct cache *c = calloc(1, sizeof *c);

    if (!c) {
        err_set(e, "code cache: out of memory");
        return NULL;
    }
    c->rw = c->rx = MAP_FAILED;
    c->size = align_up(size < CACHE_MIN ? CACHE_MIN : size > size_limit ? size_limit : size, 4096);
    if (!map_twice(c, e)) {
        cache_free(c);
        return NULL;
    }
    divide(c);
    c->arena[0].state = FILLING;
    return c;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    if (c->rw != MAP_FAILED)
        munmap(c->rw, c->size);
    if (c->rx != MAP_FAILED)
        munmap(c->rx, c->size);
    free(c);
}

uint64_t cache_size(const struct cache *c) { return c->size; }

uint64_t cache_used(const struct cache *c)
{
    uint64_t n = CACHE_STUBS;

    for (unsigned i = 0; i < c->arenas; i++)
        n += c->arena[i].used;
    return n;
}

uint8_t *cache_rw(const struct cache *c, uint32_t off) { return c->rw + off; }
const uint8_t *cache_rx(const struct cache *c, uint32_t off) { return c->rx + off; }
uint32_t cache_offset(const struct cache *c, const void *rx) { return (uint32_t)((const uint8_t *)rx - c->rx); }

bool cache_contains(const struct cache *c, const void *rx)
{
    return (const uint8_t *)rx >= c->rx && (const uint8_t *)rx < c->rx + c->size;
}

/* What is left for code. */
static uint32_t room_of(const struct cache *c, const struct arena *a)
{
    uint32_t n = a->used + a->adopted;

    return n < c->arena_size ? c->arena_size - n : 0;
}

uint32_t cache_largest(const struct cache *c) { return c->arena_size; }
unsigned cache_arenas(const struct cache *c) { return c->arenas; }
unsigned cache_arena_of(const struct cache *c, uint32_t off) { return (off - CACHE_STUBS) / c->arena_size; }
struct tb **cache_arena_blocks(struct cache *c, unsigned arena) { return &c->arena[arena].blocks; }

static unsigned after(const struct cache *c, unsigned arena) { return (arena + 1) % c->arenas; }

bool cache_reserve(struct cache *c, uint32_t min, uint32_t *off, uint32_t *room)
{
    struct arena *a = &c->arena[c->current];

    if (min > c->arena_size)
        return false;
    if (a->state != FILLING || room_of(c, a) < min) {
        struct arena *next = &c->arena[after(c, c->current)];

        if (next->state != FREE)
            return false;
        if (a->state == FILLING)
            a->state = FULL;
        next->state = FILLING;
        c->current = after(c, c->current);
        a = next;
    }
    *off = CACHE_STUBS + c->current * c->arena_size + a->used;
    *room = room_of(c, a);
    return true;
}

static void enlist(struct arena *a, struct tb *tb)
{
    tb->arena_next = a->blocks;
    tb->arena_at = &a->blocks;
    if (a->blocks)
        a->blocks->arena_at = &tb->arena_next;
    a->blocks = tb;
}

void cache_adopt(struct cache *c, struct tb *tb)
{
    uint32_t off, room;

    cache_reserve(c, ADOPTED, &off, &room); /* the next arena; when it is not free yet, this one takes it still */
    enlist(&c->arena[c->current], tb);
    c->arena[c->current].adopted += ADOPTED;
    tb->adopted_by = (uint8_t)(c->current + 1);
}

void cache_commit(struct cache *c, uint32_t off, uint32_t used, struct tb *tb)
{
    struct arena *a = &c->arena[c->current];

    (void)off;
    used = (uint32_t)align_up(used, CACHE_ALIGN);
    a->used = used > c->arena_size - a->used ? c->arena_size : a->used + used;
    if (tb->adopted_by) {
        cache_forget(tb);
        c->arena[tb->adopted_by - 1].adopted -= ADOPTED;
        tb->adopted_by = 0;
    }
    enlist(a, tb);
}

void cache_forget(struct tb *tb)
{
    if (!tb->arena_at)
        return;
    *tb->arena_at = tb->arena_next;
    if (tb->arena_next)
        tb->arena_next->arena_at = tb->arena_at;
    tb->arena_at = NULL;
}

/* The next arena in turn is the oldest one. It is emptied while the current one still has half its room. */
int cache_evict(struct cache *c)
{
    unsigned next = after(c, c->current);
    struct arena *a = &c->arena[next];

    if (a->state != FULL || room_of(c, &c->arena[c->current]) > c->arena_size / 2)
        return -1;
    a->state = DYING;
    return (int)next;
}

void cache_arena_free(struct cache *c, unsigned arena)
{
    c->arena[arena].state = FREE;
    c->arena[arena].used = 0;
    c->arena[arena].adopted = 0;
    c->arena[arena].blocks = NULL;
}
