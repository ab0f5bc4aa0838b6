#include "tests/unit/backend.h"

#include "base/err.h"
#include "tests/unit/check.h"

enum { CACHE_BYTES = 8 << 20 };

bool backend_open(struct translator *t, const struct host_ops *host, const struct isa_ops *isa)
{
    struct err e = {0};

    *t = (struct translator){.isa = isa, .host = host, .hooks = {.arg = t}};
    pthread_mutex_init(&t->lock, NULL);
    if (host->needs_cache && !(t->cache = cache_new(CACHE_BYTES, &e)))
        return false;
    return !host->init || host->init(t, &e);
}

void backend_close(struct translator *t)
{
    if (t->host->fini)
        t->host->fini(t);
    if (t->cache)
        cache_free(t->cache);
    pthread_mutex_destroy(&t->lock);
}

void backend_compile(struct translator *t, struct tb *tb, const struct ir *ir)
{
    unsigned where;

    CHECK(!ir->full);
    if (ir_check(ir, &where))
        fail_msg("%s at %u", ir_check(ir, &where), where);
    CHECK(tb_room_for_links(tb, ir));
    if (t->host->compile(t, tb, ir) == TB_COMPILED)
        return;
    backend_close(t);
    CHECK(backend_open(t, t->host, t->isa));
    CHECK_EQ(t->host->compile(t, tb, ir), TB_COMPILED);
}

void backend_drop(struct translator *t, struct tb *tb)
{
    if (t->cache)
        *cache_arena_blocks(t->cache, cache_arena_of(t->cache, tb->code_offset)) = tb->arena_next;
    tb_free(tb);
}
