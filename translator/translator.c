/*
 * Making and ending a translator, and its statistics.
 */
#include "translator/translator.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mmu/bus.h"
#include "translator/state.h"

static const uint64_t default_cache = UINT64_C(32) << 20;

const char *engine_name(enum engine e)
{
    static const char *const names[] = {"interp", "ir", "jit", "lockstep"};

    return names[e];
}

/* Which back end the options ask for; NULL: the interpreter alone. */
static const struct host_ops *host_for(enum engine e)
{
    return e == ENGINE_IR ? &host_ir : e == ENGINE_JIT ? host_jit : NULL;
}

static bool start_host(struct translator *t, struct err *e)
{
    if (t->host->needs_cache) {
        t->cache = cache_new(t->o.cache_size ? t->o.cache_size : default_cache, e);
        if (!t->cache)
            return false;
    }
    if (!t->host->init || t->host->init(t, e))
        return true;
    cache_free(t->cache);
    t->cache = NULL;
    return false;
}

static void choose_host(struct translator *t)
{
    enum engine wanted = t->o.engine == ENGINE_LOCKSTEP ? t->o.checked : t->o.engine;
    struct err e;

    t->host = host_for(wanted);
    if (!t->host && wanted == ENGINE_JIT) {
        fprintf(stderr, "guise: no translator for this host's processor: using the interpreter\n");
    } else if (t->host && !start_host(t, &e)) {
        fprintf(stderr, "guise: %s: using the interpreter\n", e.msg);
        t->host = NULL;
    }
    if (!t->host)
        t->o.engine = ENGINE_INTERP;
}

static void open_perf(struct translator *t)
{
    char name[64];

    snprintf(name, sizeof name, "/tmp/perf-%ld.map", (long)getpid());
    t->perf = fopen(name, "w");
    if (t->perf)
        setvbuf(t->perf, NULL, _IOLBF, 0);
}

struct translator *translator_new(const struct translator_options *o, const struct isa_ops *isa, struct bus *bus,
                                  struct log *log, struct err *e)
{
    struct translator *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, "translator: out of memory");
        return NULL;
    }
    t->o = *o;
    t->isa = isa;
    t->bus = bus;
    t->log = log;
    t->epoch = 1;
    pthread_mutex_init(&t->lock, NULL);
    t->hooks = (struct vcpu_hooks){.arg = t, .fence_i = invalidate_fence_i, .page_written = invalidate_page_written};
    choose_host(t);
    if (t->o.engine == ENGINE_LOCKSTEP)
        t->o.no_link = true; /* one block at a time */
    if (t->o.engine == ENGINE_LOCKSTEP)
        t->lockstep = lockstep_new(t);
    if (!tb_table_init(&t->tbs, t->cache ? cache_size(t->cache) / 256 : 1 << 16) ||
        (t->o.engine == ENGINE_LOCKSTEP && !t->lockstep)) {
        translator_free(t);
        err_set(e, "translator: out of memory");
        return NULL;
    }
    bus_on_code_written(bus, invalidate_range, t);
    if (t->o.perf_map)
        open_perf(t);
    return t;
}

void translator_free(struct translator *t)
{
    if (!t)
        return;
    bus_on_code_written(t->bus, NULL, NULL);
    for (struct tb *tb = t->retired, *next; tb; tb = next) {
        next = tb->retired_next;
        tb_free(tb);
    }
    tb_table_fini(&t->tbs);
    if (t->host && t->host->fini)
        t->host->fini(t);
    cache_free(t->cache);
    lockstep_free(t->lockstep);
    for (unsigned i = 0; i < t->vcpus; i++)
        if (t->per[i]) {
            free(t->per[i]->insns);
            free(t->per[i]);
        }
    if (t->perf)
        fclose(t->perf);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

bool translator_attach(struct translator *t, struct vcpu *v)
{
    struct translator_vcpu *p = calloc(1, sizeof *p);

    if (!p || v->index >= TRANSLATOR_VCPUS || t->per[v->index] ||
        !(p->insns = calloc(BLOCK_MAX_INSNS, t->isa->insn_size))) {
        free(p);
        return false;
    }
    p->v = v;
    p->t = t;
    v->poll_epoch = EPOCH_AWAY;
    v->hooks = &t->hooks;
    pthread_mutex_lock(&t->lock);
    t->per[v->index] = p;
    if (v->index >= t->vcpus)
        t->vcpus = v->index + 1;
    pthread_mutex_unlock(&t->lock);
    return true;
}

void translator_get_stats(const struct translator *t, struct translator_stats *s)
{
    *s = t->stats; /* a torn number is harmless: this is for people */
    for (unsigned i = 0; i < t->vcpus; i++)
        if (t->per[i]) {
            s->lookups += t->per[i]->lookups;
            s->interp_insns += t->per[i]->interp_insns;
        }
    s->cache_used = t->cache ? cache_used(t->cache) : 0;
    s->cache_size = t->cache ? cache_size(t->cache) : 0;
}

void translator_print_info(const struct translator *t, FILE *f)
{
    struct translator_stats s;

    translator_get_stats(t, &s);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"blocks translated", s.blocks},
        {"blocks now", t->tbs.blocks},
        {"guest bytes translated", s.guest_bytes},
        {"host bytes emitted", s.code_bytes},
        {"blocks dropped", s.dropped},
        {"cache arenas evicted", s.evictions},
        {"lookups by the loop", s.lookups},
        {"exits linked", s.links},
        {"instructions interpreted", s.interp_insns},
        {"fence.i executed", s.fence_i},
        {"code pages", t->tbs.pages},
        {"code cache used", s.cache_used},
        {"code cache size", s.cache_size},
    };

    fprintf(f, "%-26s %s\n", "engine", engine_name(t->o.engine));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf(f, "%-26s %llu\n", rows[i].name, (unsigned long long)rows[i].value);
}
