/*
 * The code cache: one shared-memory file mapped twice, writable at one address and executable at another.
 *
 * Places are uint32_t offsets, the same in both aliases. The first CACHE_STUBS bytes hold the back end's common stubs and
 * stay; the rest is divided into arenas (1 MiB, smaller in a small cache) filled one after the other, oldest evicted
 * first. The owner (struct translator) calls everything under its lock; reading code needs none.
 *
 * Life of an arena: FREE -> FILLING (one at a time) -> FULL -> DYING (its blocks are dead; someone may still run them)
 * -> FREE, by cache_arena_free, when every vCPU has polled.
 */
#ifndef TRANSLATOR_CACHE_H
#define TRANSLATOR_CACHE_H

#include "base/err.h"
#include "base/types.h"

struct cache;
struct tb;

enum { CACHE_STUBS = 8192, CACHE_MIN = 64 << 10, CACHE_ALIGN = 16 };

/* size: bytes, rounded up to pages, at least CACHE_MIN, at most 1 GiB. false with e set: the host refuses executable memory. */
struct cache *cache_new(uint64_t size, struct err *e);
void cache_free(struct cache *c);
uint64_t cache_size(const struct cache *c);
uint64_t cache_used(const struct cache *c); /* bytes in arenas that are not free */

uint8_t *cache_rw(const struct cache *c, uint32_t off);       /* where to write */
const uint8_t *cache_rx(const struct cache *c, uint32_t off); /* where it runs */
uint32_t cache_offset(const struct cache *c, const void *rx); /* of an address in the execute alias */
bool cache_contains(const struct cache *c, const void *rx);

/* Space for the common stubs, CACHE_STUBS bytes from offset 0; used only by host->init. */

/*
 * Room for one block: *off aligned to CACHE_ALIGN, *room bytes long (what is left of the arena). The caller writes code at
 * cache_rw(off) and then commits what it used, or nothing: a second reserve gives the same place again.
 * At least `min` bytes, else the next arena is taken; false: that one is not free yet (or min is more than an arena).
 */
bool cache_reserve(struct cache *c, uint32_t min, uint32_t *off, uint32_t *room);
void cache_commit(struct cache *c, uint32_t off, uint32_t used, struct tb *tb);
/*
 * A block that has no code yet goes into the filling arena's list, and takes some of its room, so that blocks that are
 * never compiled are evicted in turn with the others. cache_commit takes it out again.
 */
void cache_adopt(struct cache *c, struct tb *tb);
void cache_forget(struct tb *tb); /* out of its arena's list; its code stays until the arena goes */
uint32_t cache_largest(const struct cache *c); /* the most a block can ever get */

/* Blocks committed to the arena that holds off, newest first; the list is threaded through tb->arena_next. */
unsigned cache_arenas(const struct cache *c);
unsigned cache_arena_of(const struct cache *c, uint32_t off);
struct tb **cache_arena_blocks(struct cache *c, unsigned arena);

/* The arena to evict now so that the next one is free in time; -1: none needs to go. It becomes DYING. */
int cache_evict(struct cache *c);
void cache_arena_free(struct cache *c, unsigned arena); /* DYING -> FREE */

#endif
