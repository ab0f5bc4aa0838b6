/*
 * The trailer of a mirror's member, 64 KiB after the disk, little-endian:
 *
 *     0, 4096   two copies of the record, written in turn; the one with the greater serial and a right sum counts:
 *               "GuiseMir" version:4 crc:4 set:16 serial:8 generation:8 size:8 members:4 self:4 state:16 since:8*16
 *     8192      the bitmap of regions that may differ, one page without a sum: a bit is on the members before what it
 *               stands for happens, so that a page torn by a crash holds all bits that matter
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/clock.h"
#include "images/mirror_int.h"

enum {
    PAGE = 4096,
    BITMAP_AT = 2 * PAGE,
    VERSION = 1,
    AT_VERSION = 8,
    AT_CRC = 12,
    AT_SET = 16,
    AT_SERIAL = 32,
    AT_GENERATION = 40,
    AT_SIZE = 48,
    AT_MEMBERS = 56,
    AT_SELF = 60,
    AT_STATE = 64,
    AT_SINCE = 80,
};
static const char MAGIC[] = "GuiseMir";
static const uint64_t REGION_MIN = 1 << 20;

uint64_t mirror_room(const struct image *member)
{
    uint64_t size = align_down(image_size(member), PAGE);

    return size > MIRROR_TRAILER ? size - MIRROR_TRAILER : 0;
}

uint64_t mirror_region(uint64_t size)
{
    uint64_t region = REGION_MIN;

    while (region * MIRROR_REGIONS < size)
        region *= 2;
    return region;
}

static uint32_t sum(uint8_t *page)
{
    uint8_t keep[4];
    uint32_t crc;

    memcpy(keep, page + AT_CRC, 4);
    memset(page + AT_CRC, 0, 4);
    crc = (uint32_t)crc32(0, page, PAGE);
    memcpy(page + AT_CRC, keep, 4);
    return crc;
}

static bool decode(uint8_t *page, struct mirror_record *r)
{
    *r = (struct mirror_record){
        .serial = ld64(page + AT_SERIAL),
        .generation = ld64(page + AT_GENERATION),
        .size = ld64(page + AT_SIZE),
        .members = ld32(page + AT_MEMBERS),
        .self = ld32(page + AT_SELF),
    };
    if (memcmp(page, MAGIC, 8) || ld32(page + AT_VERSION) != VERSION || ld32(page + AT_CRC) != sum(page))
        return false;
    if (!r->members || r->members > MEMBERS_MAX || r->self >= r->members)
        return false;
    memcpy(r->set, page + AT_SET, sizeof r->set);
    for (unsigned i = 0; i < r->members; i++) {
        r->state[i] = page[AT_STATE + i];
        r->since[i] = ld64(page + AT_SINCE + 8 * i);
    }
    r->valid = true;
    return true;
}

bool mirror_read_record(struct image *member, struct mirror_record *r)
{
    uint64_t at = mirror_room(member);
    uint8_t page[PAGE];
    struct mirror_record one;

    r->valid = false;
    for (unsigned i = 0; at && i < 2; i++)
        if (!image_pread(member, page, at + i * PAGE, PAGE) && decode(page, &one) && one.size <= at &&
            (!r->valid || one.serial > r->serial))
            *r = one;
    return r->valid;
}

int mirror_read_bitmap(struct image *member, uint8_t *bitmap)
{
    return image_pread(member, bitmap, mirror_room(member) + BITMAP_AT, MIRROR_BITMAP);
}

/* Durably. */
int mirror_write_bitmap(struct image *member, const uint8_t *bitmap)
{
    int ret = image_pwrite(member, bitmap, mirror_room(member) + BITMAP_AT, MIRROR_BITMAP, 0);

    return ret ? ret : member->ops->flush(member);
}

static int write_record(struct mirror *m, unsigned self)
{
    struct image *member = m->m.img[self];
    uint8_t page[PAGE] = {0};
    int ret;

    memcpy(page, MAGIC, 8);
    st32(page + AT_VERSION, VERSION);
    memcpy(page + AT_SET, m->set, sizeof m->set);
    st64(page + AT_SERIAL, m->serial);
    st64(page + AT_GENERATION, m->generation);
    st64(page + AT_SIZE, m->img->size);
    st32(page + AT_MEMBERS, m->m.n);
    st32(page + AT_SELF, self);
    for (unsigned i = 0; i < m->m.n; i++) {
        page[AT_STATE + i] = (uint8_t)m->state[i];
        st64(page + AT_SINCE + 8 * i, m->since[i]);
    }
    st32(page + AT_CRC, sum(page));
    ret = image_pwrite(member, page, mirror_room(member) + (m->serial & 1) * PAGE, PAGE, 0);
    return ret ? ret : member->ops->flush(member);
}

/* A member that cannot even take this is absent too, which the next round says. */
void mirror_write_records(struct mirror *m)
{
    bool again;

    do {
        again = false;
        m->generation++;
        m->serial++;
        for (unsigned i = 0; i < m->m.n; i++)
            if (m->state[i] != MIRROR_ABSENT && write_record(m, i) &&
                (m->state[i] != MIRROR_IN_STEP || mirror_in_step(m) > 1)) {
                m->state[i] = MIRROR_ABSENT;
                m->since[i] = m->generation + 1;
                again = true;
            }
    } while (again);
}

/* --- the bitmap -------------------------------------------------------------------------------------------------- */

static bool bit(const uint8_t *map, uint64_t i) { return map[i >> 3] >> (i & 7) & 1; }

/* One page to all members in step; who fails is left out, unless it is the last. */
static int put_bitmap(struct mirror *m, const uint8_t *page)
{
    unsigned failed = 0, good = 0;
    int error = -EIO;

    for (unsigned i = 0; i < m->m.n; i++) {
        bool use;
        int ret;

        pthread_mutex_lock(&m->lock);
        use = m->state[i] == MIRROR_IN_STEP;
        m->busy[i] += use;
        pthread_mutex_unlock(&m->lock);
        if (!use)
            continue;
        ret = mirror_write_bitmap(m->m.img[i], page);
        mirror_leave(m, i);
        good += !ret;
        failed |= (unsigned)(ret != 0) << i;
        error = ret ? ret : error;
    }
    for (unsigned i = 0; good && i < m->m.n; i++)
        if (failed >> i & 1)
            mirror_fail(m, i, error);
    return good ? 0 : error;
}

int mirror_settle(struct mirror *m)
{
    uint64_t want = m->wanted;
    int ret = 0;

    while (!ret && m->durable < want) {
        uint8_t page[MIRROR_BITMAP];
        uint64_t now;

        if (m->writing) { /* by another: perhaps with ours */
            pthread_cond_wait(&m->changed, &m->lock);
            continue;
        }
        m->writing = true;
        now = m->wanted;
        memcpy(page, m->bitmap, sizeof page);
        pthread_mutex_unlock(&m->lock);
        ret = put_bitmap(m, page);
        pthread_mutex_lock(&m->lock);
        m->writing = false;
        if (!ret)
            m->durable = now;
        pthread_cond_broadcast(&m->changed);
    }
    return ret;
}

int mirror_mark(struct mirror *m, uint64_t off, uint64_t len)
{
    bool news = false;
    int ret;

    pthread_mutex_lock(&m->lock);
    for (uint64_t i = off / m->region; i <= (off + len - 1) / m->region; i++) {
        news |= !bit(m->bitmap, i);
        m->bitmap[i >> 3] |= (uint8_t)(1 << (i & 7));
        m->recent[i >> 3] |= (uint8_t)(1 << (i & 7));
        m->pending[i]++;
    }
    m->wanted += news;
    ret = mirror_settle(m);
    pthread_mutex_unlock(&m->lock);
    return ret;
}

void mirror_unmark(struct mirror *m, uint64_t off, uint64_t len)
{
    pthread_mutex_lock(&m->lock);
    for (uint64_t i = off / m->region; i <= (off + len - 1) / m->region; i++)
        m->pending[i]--;
    pthread_mutex_unlock(&m->lock);
}

static uint64_t host_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/*
 * A region goes when nothing was written there between the last look and this one, and that look found no write under
 * way: then its writes had ended before the flush that was just done began.
 */
static bool sweep_regions(struct mirror *m, bool all)
{
    bool changed = false;

    for (unsigned i = 0; i < MIRROR_REGIONS; i++) {
        uint8_t mask = (uint8_t)(1 << (i & 7));

        if (!(m->bitmap[i >> 3] & mask) || m->pending[i])
            continue;
        if (all || !(m->recent[i >> 3] & mask)) {
            m->bitmap[i >> 3] &= (uint8_t)~mask;
            changed = true;
        }
        m->recent[i >> 3] &= (uint8_t)~mask;
    }
    return changed;
}

void mirror_sweep(struct mirror *m, bool all)
{
    uint64_t now = host_now();

    pthread_mutex_lock(&m->lock);
    if (m->alike && !m->read_only && mirror_in_step(m) == m->m.n && (all || now - m->swept >= m->sweep_ns)) {
        m->swept = now;
        if (sweep_regions(m, all)) {
            m->wanted++;
            mirror_settle(m);
        }
    }
    pthread_mutex_unlock(&m->lock);
}
