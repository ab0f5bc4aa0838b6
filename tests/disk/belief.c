/* The model of a disk: see belief.h. */
#include "tests/disk/belief.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk/workload.h"

static struct guess *cell_find(const struct cell *c, uint32_t stamp)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->v[i].stamp == stamp)
            return &c->v[i];
    return NULL;
}

/* The stamp is possible after a power cut. */
static struct guess *cell_may(struct cell *c, uint32_t stamp)
{
    struct guess *g = cell_find(c, stamp);

    if (g)
        return g;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 2;
        c->v = realloc(c->v, c->cap * sizeof *c->v);
        if (!c->v)
            abort();
    }
    c->v[c->n] = (struct guess){.stamp = stamp};
    return &c->v[c->n++];
}

static void cell_maybe(struct cell *c, uint32_t stamp) { cell_may(c, stamp)->now = true; }

static void cell_set(struct cell *c, uint32_t stamp)
{
    for (unsigned i = 0; i < c->n; i++)
        c->v[i].now = false;
    cell_maybe(c, stamp);
}

/* What is not so now cannot come back. */
static void cell_settle(struct cell *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->n; i++)
        if (c->v[i].now)
            c->v[n++] = c->v[i];
    c->n = n;
}

struct belief *belief_new(const struct shape *shape)
{
    struct belief *b = calloc(1, sizeof *b);

    if (!b)
        abort();
    b->shape = shape;
    b->cells_max = shape->sectors_max;
    b->cells = calloc(b->cells_max, sizeof *b->cells);
    if (!b->cells)
        abort();
    for (uint64_t i = 0; i < b->cells_max; i++)
        cell_set(&b->cells[i], shape->backing && i < shape->sectors ? BACKING_STAMP : 0);
    cell_set(&b->size, (uint32_t)shape->sectors);
    return b;
}

static void cells_free(struct cell *cells, uint64_t n)
{
    for (uint64_t i = 0; cells && i < n; i++)
        free(cells[i].v);
    free(cells);
}

void belief_free(struct belief *b)
{
    cells_free(b->cells, b->cells_max);
    free(b->size.v);
    for (unsigned i = 0; i < b->n_snaps; i++)
        cells_free(b->snaps[i].cells, b->cells_max);
    free(b);
}

static struct snap_belief *snap_find(const struct belief *b, const char *name)
{
    for (unsigned i = 0; i < b->n_snaps; i++)
        if (!strcmp(b->snaps[i].name, name))
            return (struct snap_belief *)(uintptr_t)&b->snaps[i];
    return NULL;
}

static void snap_drop(struct belief *b, struct snap_belief *s)
{
    cells_free(s->cells, b->cells_max);
    *s = b->snaps[--b->n_snaps];
}

static void snap_take(struct belief *b, const char *name)
{
    struct snap_belief *s;

    if (b->n_snaps == SNAPS_MAX)
        for (unsigned i = 0; i < b->n_snaps; i++)
            if (!b->snaps[i].must) {
                snap_drop(b, &b->snaps[i]);
                break;
            }
    s = &b->snaps[b->n_snaps++];
    *s = (struct snap_belief){.cells = calloc(b->cells_max, sizeof *s->cells)};
    if (!s->cells)
        abort();
    snprintf(s->name, sizeof s->name, "%s", name);
    for (unsigned i = 0; i < b->size.n; i++)
        if (b->size.v[i].now)
            s->sectors = s->sectors ? UINT64_MAX : b->size.v[i].stamp;
    if (s->sectors == UINT64_MAX)
        s->sectors = 0;
    for (uint64_t i = 0; i < b->cells_max; i++)
        for (unsigned k = 0; k < b->cells[i].n; k++)
            if (b->cells[i].v[k].now)
                cell_maybe(&s->cells[i], b->cells[i].v[k].stamp);
}

static uint32_t below(const struct belief *b, uint64_t sector)
{
    return b->shape->backing && sector < b->shape->sectors ? BACKING_STAMP : 0;
}

enum how { MAY, MAYBE, SET };

static void cell_put(struct cell *c, uint32_t stamp, enum how how)
{
    if (how == MAY)
        cell_may(c, stamp);
    else if (how == MAYBE)
        cell_maybe(c, stamp);
    else
        cell_set(c, stamp);
}

static void apply_snapshot(struct belief *b, const struct snap_belief *s, enum how how)
{
    cell_put(&b->size, (uint32_t)s->sectors, how);
    for (uint64_t i = 0; i < b->cells_max; i++) {
        enum how this = how;

        if (how != SET) { /* on the way the size may have changed, and what was beyond it reads as zero */
            cell_put(&b->cells[i], 0, how);
            cell_put(&b->cells[i], below(b, i), how);
        }
        for (unsigned k = 0; k < s->cells[i].n; k++) {
            cell_put(&b->cells[i], s->cells[i].v[k].stamp, this);
            if (this == SET) /* the first of several sets, the others add */
                this = MAYBE;
        }
    }
}

static void resize(struct belief *b, uint64_t sectors, enum how how)
{
    uint64_t least = sectors;

    for (unsigned i = 0; i < b->size.n; i++)
        if (b->size.v[i].stamp < least)
            least = b->size.v[i].stamp;
    for (uint64_t i = how == SET ? sectors : least; i < b->cells_max; i++) {
        cell_put(&b->cells[i], 0, how);
        if (how != SET || !b->shape->v3)
            cell_put(&b->cells[i], below(b, i), how == SET ? MAY : how);
    }
    cell_put(&b->size, (uint32_t)sectors, how);
}

static void put(struct belief *b, const struct step *s, enum how how)
{
    uint64_t end = s->sector + s->count;

    switch (s->kind) {
    case STEP_WRITE:
    case STEP_COMPRESSED:
    case STEP_ZERO:
        for (uint64_t i = s->sector; i < end; i++)
            cell_put(&b->cells[i], s->stamp, how);
        break;
    case STEP_DISCARD: /* whole clusters only, and only where the image likes to: old, or zero, or the backing's */
        for (uint64_t i = s->sector; i < end; i++) {
            cell_put(&b->cells[i], 0, how == SET ? MAYBE : how);
            cell_put(&b->cells[i], b->shape->v3 ? 0 : below(b, i), how == SET ? MAYBE : how);
        }
        break;
    case STEP_RESIZE: resize(b, s->count, how); break;
    case STEP_APPLY: apply_snapshot(b, snap_find(b, s->name), how); break;
    default: break;
    }
}

void belief_begin(struct belief *b, const struct step *s)
{
    put(b, s, MAY);
    if (s->kind == STEP_SNAPSHOT)
        snap_take(b, s->name);
    else if (s->kind == STEP_DELETE)
        snap_find(b, s->name)->must = false;
}

void belief_end(struct belief *b, const struct step *s)
{
    bool good = s->result >= 0;

    put(b, s, good ? SET : MAYBE);
    if (!good && cell_find(&b->size, (uint32_t)s->size)) /* a resize that failed: the size is seen at once */
        cell_set(&b->size, (uint32_t)s->size);
    if (good && s->flags & IMAGE_FUA)
        for (uint64_t i = s->sector; i < s->sector + s->count; i++)
            cell_settle(&b->cells[i]);
    if (good && s->kind == STEP_FLUSH) {
        for (uint64_t i = s->from; i < b->cells_max && i < s->to; i++)
            cell_settle(&b->cells[i]);
        cell_settle(&b->size);
        for (unsigned i = b->n_snaps; i-- > 0;)
            if (b->snaps[i].gone)
                snap_drop(b, &b->snaps[i]);
    }
    if (good && s->kind == STEP_SNAPSHOT)
        snap_find(b, s->name)->must = true;
    if (good && s->kind == STEP_DELETE)
        snap_find(b, s->name)->gone = true;
}

void belief_learn(struct belief *b, uint64_t sector, uint32_t stamp) { cell_set(&b->cells[sector], stamp); }

static const char *cells_check(const struct cell *cells, const uint8_t *buf, uint64_t sectors, bool crash, char *why,
                               size_t n)
{
    for (uint64_t i = 0; i < sectors; i++) {
        uint32_t stamp;
        bool made = stamp_read(buf + i * SECTOR, i, &stamp);
        const struct guess *g = made ? cell_find(&cells[i], stamp) : NULL;

        if (g && (g->now || crash))
            continue;
        if (made)
            snprintf(why, n, "sector %" PRIu64 " reads as write %u, which is %s there", i,
                     stamp & ~(uint32_t)STAMP_NOISE, g ? "old" : "not possible");
        else
            snprintf(why, n, "sector %" PRIu64 " holds what nobody wrote there (begins with %08x)", i, stamp);
        for (unsigned k = 0; k < cells[i].n && k < 8; k++)
            snprintf(why + strlen(why), n - strlen(why), "%s%u%s",
                     k ? ", " : "; possible: ", cells[i].v[k].stamp & ~(uint32_t)STAMP_NOISE,
                     cells[i].v[k].now ? "" : " (after a cut)");
        return why;
    }
    return NULL;
}

const char *belief_check(const struct belief *b, const uint8_t *buf, uint64_t sectors, bool crash, char *why, size_t n)
{
    const struct guess *g = cell_find(&b->size, (uint32_t)sectors);

    if (!g || !(g->now || crash)) {
        snprintf(why, n, "the disk has %" PRIu64 " sectors, which is not possible", sectors);
        return why;
    }
    return cells_check(b->cells, buf, sectors, crash, why, n);
}

const char *belief_check_snapshot(const struct belief *b, const char *name, const uint8_t *buf, uint64_t sectors,
                                  char *why, size_t n)
{
    const struct snap_belief *s = snap_find(b, name);
    char inner[400];

    if (!s)
        snprintf(why, n, "there is a snapshot '%s' that nobody made", name);
    else if (s->sectors && s->sectors != sectors)
        snprintf(why, n, "snapshot '%s' has %" PRIu64 " sectors, not %" PRIu64, name, sectors, s->sectors);
    else if (cells_check(s->cells, buf, sectors, false, inner, sizeof inner))
        snprintf(why, n, "snapshot '%s': %s", name, inner);
    else
        return NULL;
    return why;
}
