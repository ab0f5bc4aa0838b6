/* Putting a mirror together from what its members say of each other, and making new ones. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bits.h"
#include "images/mirror_int.h"

struct plan {
    struct mirror *m;
    struct mirror_record rec[MEMBERS_MAX];
    unsigned init, primary, replace; /* from 1; 0: not given */
    int best;                        /* the member whose record counts */
};

static bool number(const char *value, unsigned max, unsigned *out, const char *key, struct err *e)
{
    uint64_t n = 0;

    *out = 0;
    if (!value)
        return true;
    if (!image_parse_size(value, &n) || !n || n > max)
        return err_set(e, "%s=%s: the number of a member was expected", key, value);
    *out = (unsigned)n;
    return true;
}

static bool make_room(struct image *member, uint64_t size, struct err *e)
{
    uint64_t want = align_up(size, 4096) + MIRROR_TRAILER;

    if (mirror_room(member) >= size)
        return true;
    if (!member->ops->resize || member->read_only)
        return err_set(e, "'%s' has no room for the mirror's trailer and cannot grow", member->path);
    return member->ops->resize(member, want, PREALLOC_OFF, false, e) == 0;
}

/* Plain images become a mirror: that of member `init` has the data. */
static bool init_new(struct plan *p, struct err *e)
{
    static const uint8_t none[MIRROR_BITMAP];
    struct mirror *m = p->m;
    unsigned first = p->init - 1;
    uint64_t size;

    for (unsigned i = 0; i < m->m.n; i++) {
        if (!m->m.img[i])
            return err_set(e, "member '%s' is not there", m->m.spec[i]);
        if (p->rec[i].valid)
            return err_set(e, "member '%s' is part of a mirror already", m->m.spec[i]);
    }
    if (m->read_only)
        return err_set(e, "a mirror cannot be made read-only");
    size = align_down(image_size(m->m.img[first]), 4096);
    if (size != image_size(m->m.img[first]))
        return err_set(e, "the size of '%s' must be a multiple of 4096", m->m.spec[first]);
    if (getrandom(m->set, sizeof m->set, 0) != sizeof m->set)
        return err_set(e, "no random numbers: %s", strerror(errno));
    m->img->size = size;
    m->region = mirror_region(size);
    for (unsigned i = 0; i < m->m.n; i++) {
        int ret;

        if (!make_room(m->m.img[i], size, e))
            return false;
        ret = mirror_write_bitmap(m->m.img[i], none);
        if (ret)
            return err_set(e, "'%s': %s", m->m.spec[i], strerror(-ret));
        m->state[i] = i == first ? MIRROR_IN_STEP : MIRROR_REBUILDING;
        if (i != first)
            mirror_todo_all(m, i);
    }
    m->alike = true;
    mirror_write_records(m);
    return true;
}

/* Members stand where their records say, whatever the order of the list; the rest fills the gaps. */
static bool sort_members(struct plan *p, unsigned slots, struct err *e)
{
    struct members old = p->m->m, *m = &p->m->m;
    struct mirror_record rec[MEMBERS_MAX];
    unsigned chosen = p->primary, filled = p->replace;
    bool used[MEMBERS_MAX] = {false};

    memcpy(rec, p->rec, sizeof rec);
    memset(p->rec, 0, sizeof p->rec);
    memset(m, 0, sizeof *m);
    m->n = slots > old.n ? slots : old.n;
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < old.n; i++) {
            unsigned to = rec[i].self;

            if (rec[i].valid != !round)
                continue;
            for (to = round ? 0 : to; round && used[to]; to++)
                continue;
            if (used[to]) {
                *m = old;
                return err_set(e, "'%s' and another are the same member of the mirror", old.spec[i]);
            }
            used[to] = true;
            m->img[to] = old.img[i];
            m->spec[to] = old.spec[i];
            p->rec[to] = rec[i];
            if (chosen == i + 1)
                p->primary = to + 1;
            if (filled == i + 1)
                p->replace = to + 1;
        }
    for (unsigned i = 0; i < m->n; i++)
        if (!m->spec[i] && !(m->spec[i] = strdup("(not named)")))
            return err_set(e, "out of memory");
    return m->n == slots || err_set(e, "the mirror has %u members, not %u", slots, m->n);
}

static bool choose_record(struct plan *p, struct err *e)
{
    struct mirror *m = p->m;
    unsigned slots = 0;

    p->best = -1;
    for (unsigned i = 0; i < m->m.n; i++) {
        if (!p->rec[i].valid)
            continue;
        if (slots && memcmp(p->rec[i].set, m->set, sizeof m->set))
            return err_set(e, "'%s' is of another mirror", m->m.spec[i]);
        if (slots && slots != p->rec[i].members)
            return err_set(e, "'%s' does not know how many members there are", m->m.spec[i]);
        memcpy(m->set, p->rec[i].set, sizeof m->set);
        slots = p->rec[i].members;
    }
    if (!slots)
        return err_set(e, "no member is part of a mirror (make one with format mirror, or name the one with the data: "
                          "mirror:init=1,...)");
    if (!sort_members(p, slots, e))
        return false;
    for (unsigned i = 0; i < m->m.n; i++) {
        const struct mirror_record *r = &p->rec[i];

        if (r->valid && r->state[i] == MIRROR_IN_STEP && (!p->primary || p->primary == i + 1) &&
            (p->best < 0 || r->generation > p->rec[p->best].generation))
            p->best = (int)i;
    }
    return p->best >= 0 || err_set(e, "no member that was in step is there");
}

/* What member i is, by the record that counts. */
static bool classify(struct plan *p, unsigned i, struct err *e)
{
    struct mirror *m = p->m;
    const struct mirror_record *r = &p->rec[i], *best = &p->rec[p->best];
    uint8_t own[MIRROR_BITMAP];

    m->state[i] = MIRROR_ABSENT;
    m->since[i] = best->since[i];
    if (!m->m.img[i])
        return true;
    if (!r->valid && p->replace != i + 1)
        return err_set(e, "'%s' is no member of this mirror (replace=%u fills it)", m->m.spec[i], i + 1);
    if (r->valid && r->generation == best->generation && r->state[i] == MIRROR_IN_STEP &&
        best->state[i] == MIRROR_IN_STEP && r->state[p->best] == MIRROR_IN_STEP) {
        m->state[i] = MIRROR_IN_STEP;
        return true;
    }
    if (r->valid && r->state[i] == MIRROR_IN_STEP && r->state[p->best] != MIRROR_IN_STEP && !p->primary)
        return err_set(e, "'%s' and '%s' were changed apart from each other; primary=N says which is right",
                       m->m.spec[p->best], m->m.spec[i]);
    if (mirror_room(m->m.img[i]) < m->img->size)
        return err_set(e, "'%s' is too small", m->m.spec[i]);
    if (m->read_only)
        return true;
    m->state[i] = MIRROR_REBUILDING;
    mirror_todo_all(m, i);
    if (r->valid && !p->primary && p->replace != i + 1 && r->state[i] == MIRROR_IN_STEP &&
        best->state[i] == MIRROR_ABSENT && r->generation + 1 == best->since[i] &&
        !mirror_read_bitmap(m->m.img[i], own)) {
        for (unsigned n = 0; n < MIRROR_BITMAP; n++) /* it lacks no more than what was marked since it left */
            m->todo[i][n] = m->bitmap[n] | own[n];
    }
    return true;
}

/* All bits of members in step: where the last run ended in the middle of writes. */
static bool read_bitmaps(struct plan *p, struct err *e)
{
    struct mirror *m = p->m;
    uint8_t one[MIRROR_BITMAP];

    for (unsigned i = 0; i < m->m.n; i++) {
        int ret;

        if (!m->m.img[i] || !p->rec[i].valid || p->rec[i].generation != p->rec[p->best].generation)
            continue;
        ret = mirror_read_bitmap(m->m.img[i], one);
        if (ret && (int)i == p->best)
            return err_set(e, "'%s': %s", m->m.spec[i], strerror(-ret));
        for (unsigned n = 0; !ret && n < MIRROR_BITMAP; n++)
            m->bitmap[n] |= one[n];
    }
    return true;
}

static bool assemble(struct plan *p, struct err *e)
{
    struct mirror *m = p->m;
    const struct mirror_record *best;
    bool heal = false, news = false;

    if (!choose_record(p, e))
        return false;
    best = &p->rec[p->best];
    m->img->size = best->size;
    m->region = mirror_region(best->size);
    m->generation = best->generation;
    m->serial = best->serial;
    if (!read_bitmaps(p, e))
        return false;
    for (unsigned i = 0; i < m->m.n; i++)
        if (!classify(p, i, e))
            return false;
    for (unsigned i = 0; i < m->m.n; i++) {
        if (p->rec[i].valid && p->rec[i].serial > m->serial)
            m->serial = p->rec[i].serial;
        news |= m->state[i] != best->state[i];
        if (m->state[i] == MIRROR_ABSENT && best->state[i] != MIRROR_ABSENT)
            m->since[i] = m->generation + 1;
        if (m->state[i] == MIRROR_IN_STEP && (int)i != mirror_first_in_step(m))
            for (unsigned n = 0; n < MIRROR_BITMAP; n++) {
                m->todo[i][n] = m->bitmap[n];
                heal |= m->bitmap[n] != 0;
            }
    }
    m->alike = !heal;
    if (news && !m->read_only)
        mirror_write_records(m);
    return true;
}

static void say_missing(struct mirror *m, const char *reason)
{
    for (unsigned i = 0; i < m->m.n; i++)
        if (m->state[i] == MIRROR_ABSENT)
            mirror_say(m, "member '%s' is %s%s%s%s; the disk runs without it", m->m.spec[i],
                       m->m.img[i] ? "not in step" : "missing", *reason ? " (" : "", reason, *reason ? ")" : "");
        else if (m->state[i] == MIRROR_REBUILDING)
            mirror_say(m, "member '%s' is being filled", m->m.spec[i]);
}

static void measure(struct mirror *m)
{
    m->img->discard = !m->read_only;
    for (unsigned i = 0; i < m->m.n; i++)
        if (m->m.img[i] && m->m.img[i]->logical > m->img->logical)
            m->img->logical = m->m.img[i]->logical;
}

bool mirror_assemble(struct mirror *m, const struct member_options *opt, struct err *e)
{
    struct plan p = {.m = m};
    char reason[128];
    bool degraded = true;

    snprintf(reason, sizeof reason, "%.100s", e->msg);
    if (opt->value[KEY_DEGRADED] && !image_parse_bool(opt->value[KEY_DEGRADED], &degraded))
        return err_set(e, "degraded=%s: on or off was expected", opt->value[KEY_DEGRADED]);
    if (!number(opt->value[KEY_INIT], m->m.n, &p.init, "init", e) ||
        !number(opt->value[KEY_PRIMARY], m->m.n, &p.primary, "primary", e) ||
        !number(opt->value[KEY_REPLACE], m->m.n, &p.replace, "replace", e))
        return false;
    for (unsigned i = 0; i < m->m.n; i++) {
        if (!m->m.img[i] && !degraded)
            return err_prefix(e, "member '%s'", m->m.spec[i]);
        if (m->m.img[i])
            mirror_read_record(m->m.img[i], &p.rec[i]);
        if (p.replace == i + 1)
            p.rec[i].valid = false;
    }
    if (!(p.init ? init_new(&p, e) : assemble(&p, e)))
        return false;
    measure(m);
    say_missing(m, reason);
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->m.n && !m->read_only && !m->copying; i++)
        if (m->state[i] == MIRROR_REBUILDING || !m->alike)
            mirror_start_copier(m);
    pthread_mutex_unlock(&m->lock);
    return true;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static bool create_member(const struct image_create *c, const char *spec, struct err *e)
{
    struct member_place p;
    struct image_options none = {0};
    struct image_create one = *c;

    if (!member_parse(spec, &none, &p, e))
        return false;
    if (p.o.offset || p.o.length || p.o.partition)
        return true; /* its place is there already */
    one.path = p.path;
    one.format = p.o.format ? p.o.format : "raw";
    one.size = align_up(c->size, 4096) + MIRROR_TRAILER;
    return image_create(&one, e);
}

bool mirror_format(struct image *const *member, unsigned n, uint64_t size, struct err *e)
{
    static const uint8_t none[MIRROR_BITMAP];
    struct image img = {.size = align_up(size, 4096)};
    struct mirror *m = calloc(1, sizeof *m);
    bool ok = m && n && n <= MEMBERS_MAX;

    if (!ok)
        err_set(e, m ? "a mirror of %u members?" : "out of memory", n);
    if (ok && getrandom(m->set, sizeof m->set, 0) != sizeof m->set)
        ok = err_set(e, "no random numbers: %s", strerror(errno));
    for (unsigned i = 0; ok && i < n; i++) {
        int ret = mirror_room(member[i]) < img.size ? -ENOSPC : mirror_write_bitmap(member[i], none);

        m->m.img[i] = member[i];
        m->state[i] = MIRROR_IN_STEP;
        ok = !ret || err_set(e, "'%s': %s", member[i]->path, strerror(-ret));
    }
    if (ok) {
        m->img = &img;
        m->m.n = n;
        mirror_write_records(m);
        ok = mirror_in_step(m) == n || err_set(e, "not all members could be written");
    }
    free(m);
    return ok;
}

bool mirror_create(const struct image_create *c, struct err *e)
{
    struct member_options opt = {.key = {NULL}};
    struct members m;
    bool ok;

    if (!c->size || c->backing)
        return err_set(e, "'%s': %s", c->path, c->size ? "a mirror has no backing file" : "a mirror needs a size");
    if (!members_parse(&m, &opt, strncmp(c->path, "mirror:", 7) ? c->path : c->path + 7, e))
        return err_prefix(e, "'%s'", c->path);
    ok = true;
    for (unsigned i = 0; ok && i < m.n; i++)
        ok = create_member(c, m.spec[i], e);
    ok = ok && members_open(&m, &(struct image_options){0}, e) && mirror_format(m.img, m.n, c->size, e);
    members_close(&m);
    return ok || err_prefix(e, "'%s'", c->path);
}
