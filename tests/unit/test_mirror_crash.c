/*
 * A mirror on two disks that lose power: each keeps what was flushed, and of the rest any part, 512 bytes being whole.
 * A recorder below the mirror logs every write and flush. For many places of the log and choices of what survived, the
 * mirror is put together again: what its user flushed must be there, reads must not flicker while the copies are made
 * alike, and in the end they are. In some runs a member fails on the way, and must not be believed afterwards.
 * MIRROR_STATES=N: so many states of each kind instead of 60.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/mirror_int.h"
#include "tests/unit/check.h"

enum {
    DISK = 2 << 20,
    MEMBER = DISK + MIRROR_TRAILER,
    SECTORS = DISK / 512,
    COPIES = 2,
    OPS = 60,
    LOG_MAX = 4000,
    NOBODY = -1,
};

struct entry {
    int member; /* who; writes have data, flushes none */
    uint64_t off, len;
    uint8_t *data;
};

struct op { /* of the mirror's user */
    bool flush;
    uint64_t off, len;
    uint8_t value;
    unsigned begin, end; /* places in the log */
};

static struct entry log_[LOG_MAX];
static unsigned logged;
static struct op ops[OPS];

/* A member: memory, and the log when `record`. */
struct disk {
    int number;
    bool record;
    bool failed;
    bool full; /* writes of the disk's data end with -ENOSPC, on member 0 half-way */
    uint8_t *bytes;
};

static int disk_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct disk *d = img->priv;

    (void)flags;
    if (d->failed)
        return -EIO;
    iov_from_buf(iov, n, 0, d->bytes + off, iov_total(iov, n));
    return 0;
}

static int disk_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct disk *d = img->priv;
    uint64_t len = iov_total(iov, n);

    (void)flags;
    if (d->failed)
        return -EIO;
    if (d->full && off < DISK) {
        iov_to_buf(d->bytes + off, iov, n, 0, d->number ? 0 : len / 2);
        return -ENOSPC;
    }
    iov_to_buf(d->bytes + off, iov, n, 0, len);
    if (d->record) {
        struct entry *e = &log_[logged++];

        CHECK(logged < LOG_MAX);
        *e = (struct entry){d->number, off, len, malloc(len)};
        memcpy(e->data, d->bytes + off, len);
    }
    return 0;
}

static int disk_flush(struct image *img)
{
    struct disk *d = img->priv;

    if (d->failed)
        return -EIO;
    if (d->record) {
        CHECK(logged < LOG_MAX - 1);
        log_[logged++] = (struct entry){.member = d->number};
    }
    return 0;
}

static int disk_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    void *zero = calloc(1, len);
    struct iovec v = {zero, len};
    int ret = disk_writev(img, &v, 1, off, flags);

    free(zero);
    return ret;
}

static void disk_close(struct image *img) { (void)img; }

static const struct image_ops disk_ops = {
    .format = "disk",
    .protocol = true,
    .close = disk_close,
    .readv = disk_readv,
    .writev = disk_writev,
    .flush = disk_flush,
    .write_zeroes = disk_write_zeroes,
};

static struct image *disk_image(struct disk *d)
{
    struct image *img = calloc(1, sizeof *img);

    *img = (struct image){.ops = &disk_ops, .size = MEMBER, .logical = 512, .path = strdup("disk"), .priv = d};
    return img;
}

static void quiet(void *arg, const char *line) { (void)arg, (void)line; }

static struct image *mirror_of(struct disk *d)
{
    struct image *member[COPIES];
    struct err e = {""};
    struct image *img;

    for (int i = 0; i < COPIES; i++)
        member[i] = disk_image(&d[i]);
    img = mirror_over(member, COPIES, &(struct image_options){.notice = quiet}, &e);
    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

/* One run of a user, with a member that fails at op `fails` (NOBODY: none). Fills log and ops. */
static void record(unsigned *seed, uint8_t *start[COPIES], int fails)
{
    struct disk d[COPIES];
    struct image *img;
    static uint8_t buf[65536];

    while (logged)
        free(log_[--logged].data);
    for (int i = 0; i < COPIES; i++) {
        d[i] = (struct disk){.number = i, .record = true, .bytes = malloc(MEMBER)};
        memcpy(d[i].bytes, start[i], MEMBER);
    }
    img = mirror_of(d);
    ((struct mirror *)img->priv)->sweep_ns = 0; /* bits go as early as they may */
    for (int i = 0; i < OPS; i++) {
        struct op *o = &ops[i];

        *o = (struct op){.flush = rand_r(seed) % 5 == 0, .value = (uint8_t)(i + 1), .begin = logged};
        if (i == fails)
            d[rand_r(seed) % COPIES].failed = true;
        if (o->flush) {
            CHECK_EQ(img->ops->flush(img), 0);
        } else {
            o->off = (uint64_t)(rand_r(seed) % SECTORS) * 512;
            o->len = (uint64_t)(rand_r(seed) % 64 + 1) * 512;
            o->len = o->len < DISK - o->off ? o->len : DISK - o->off;
            memset(buf, o->value, o->len);
            CHECK_EQ(image_pwrite(img, buf, o->off, o->len, 0), 0);
        }
        o->end = logged;
    }
    image_close(img);
    for (int i = 0; i < COPIES; i++)
        free(d[i].bytes);
}

/* What is on a member when the power goes after `cut` entries. */
static void survive(unsigned *seed, int member, unsigned cut, uint8_t *bytes)
{
    unsigned flushed = 0, lose = (unsigned)rand_r(seed) % 4; /* none, some, most, all of it */

    for (unsigned i = 0; i < cut; i++)
        if (log_[i].member == member && !log_[i].data)
            flushed = i;
    for (unsigned i = 0; i < cut; i++) {
        const struct entry *e = &log_[i];

        if (e->member != member || !e->data)
            continue;
        if (i < flushed) {
            memcpy(bytes + e->off, e->data, e->len);
            continue;
        }
        for (uint64_t at = 0; at < e->len; at += 512) /* torn by sectors */
            if ((unsigned)rand_r(seed) % 3 >= lose)
                memcpy(bytes + e->off + at, e->data + at, e->len - at < 512 ? e->len - at : 512);
    }
}

/* The values that sector s may have: by[v] is set for those. */
static void allowed(unsigned s, unsigned cut, bool *by)
{
    unsigned durable = 0;

    memset(by, 0, 256);
    by[0] = true;
    for (unsigned i = 0; i < OPS; i++) /* the last flush that had returned */
        if (ops[i].flush && ops[i].end <= cut)
            durable = i;
    for (unsigned i = 0; i < OPS && ops[i].begin < cut; i++) {
        if (ops[i].flush || s * 512ull < ops[i].off || s * 512ull >= ops[i].off + ops[i].len)
            continue;
        if (i < durable)
            memset(by, 0, 256);
        by[ops[i].value] = true;
    }
}

static void verify(struct disk *d, unsigned cut)
{
    static uint8_t first[DISK], later[DISK];
    struct image *img = mirror_of(d);
    struct mirror_status st;
    bool by[256];

    CHECK_EQ(image_pread(img, first, 0, DISK), 0);
    for (unsigned s = 0; s < SECTORS; s++) {
        allowed(s, cut, by);
        if (!by[first[s * 512]] || memcmp(first + s * 512, first + s * 512 + 1, 511))
            fail_msg("after %u of %u: sector %u reads as %u", cut, logged, s, first[s * 512]);
    }
    for (int i = 0; i < 3000; i++) {
        mirror_get_status(img, &st);
        if (!st.to_rebuild && st.member[0].state == MIRROR_IN_STEP && st.member[1].state == MIRROR_IN_STEP)
            break;
        usleep(200);
    }
    CHECK(st.member[0].state == MIRROR_IN_STEP && st.member[1].state == MIRROR_IN_STEP);
    CHECK_EQ(image_pread(img, later, 0, DISK), 0);
    CHECK(!memcmp(first, later, DISK));
    image_close(img);
    if (memcmp(d[0].bytes, d[1].bytes, DISK))
        fail_msg("after %u of %u: the copies differ", cut, logged);
}

static void states(unsigned seed, bool with_failure, unsigned want)
{
    uint8_t *start[COPIES];
    struct image *fresh[COPIES];
    struct disk d[COPIES];
    struct err e = {""};

    for (int i = 0; i < COPIES; i++) {
        d[i] = (struct disk){.number = i, .bytes = calloc(1, MEMBER)};
        start[i] = malloc(MEMBER);
        fresh[i] = disk_image(&d[i]);
    }
    CHECK(mirror_format(fresh, COPIES, DISK, &e));
    for (int i = 0; i < COPIES; i++) {
        memcpy(start[i], d[i].bytes, MEMBER);
        image_close(fresh[i]);
    }
    for (unsigned n = 0; n < want;) {
        record(&seed, start, with_failure ? (int)((unsigned)rand_r(&seed) % OPS) : NOBODY);
        for (unsigned k = 0; k < 50 && n < want; k++, n++) {
            unsigned cut = (unsigned)rand_r(&seed) % (logged + 1);

            for (int i = 0; i < COPIES; i++) {
                memcpy(d[i].bytes, start[i], MEMBER);
                survive(&seed, i, cut, d[i].bytes);
            }
            verify(d, cut);
        }
    }
    for (int i = 0; i < COPIES; i++) {
        free(d[i].bytes);
        free(start[i]);
    }
}

static void a_write_that_fails_on_all_is_healed(void **state)
{
    static uint8_t buf[8192], seen[8192], again[8192];
    struct disk d[COPIES] = {{.number = 0}, {.number = 1}};
    struct image *fresh[COPIES];
    struct mirror_status st;
    struct mirror *m;
    struct image *img;
    struct err e = {""};
    bool alike = false;

    (void)state;
    for (int i = 0; i < COPIES; i++) {
        d[i].bytes = calloc(1, MEMBER);
        fresh[i] = disk_image(&d[i]);
    }
    CHECK(mirror_format(fresh, COPIES, DISK, &e));
    for (int i = 0; i < COPIES; i++)
        image_close(fresh[i]);
    img = mirror_of(d);
    m = img->priv;
    m->sweep_ns = 0;
    memset(buf, 'w', sizeof buf);
    d[0].full = d[1].full = true;
    CHECK_EQ(image_pwrite(img, buf, 4096, sizeof buf, 0), -ENOSPC);
    mirror_get_status(img, &st);
    CHECK(st.member[0].state == MIRROR_IN_STEP && st.member[1].state == MIRROR_IN_STEP);
    CHECK_EQ(image_pread(img, seen, 4096, sizeof seen), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(image_pread(img, again, 4096, sizeof again), 0);
        CHECK(!memcmp(seen, again, sizeof seen));
    }
    d[0].full = d[1].full = false; /* somebody made room */
    for (int i = 0; i < 1000 && !alike; i++) {
        CHECK_EQ(img->ops->flush(img), 0);
        usleep(1000);
        pthread_mutex_lock(&m->lock);
        alike = m->alike;
        pthread_mutex_unlock(&m->lock);
    }
    CHECK(alike);
    CHECK_EQ(image_pread(img, again, 4096, sizeof again), 0);
    CHECK(!memcmp(seen, again, sizeof seen));
    image_close(img);
    CHECK(!memcmp(d[0].bytes, d[1].bytes, DISK));
    for (int i = 0; i < COPIES; i++)
        free(d[i].bytes);
}

static unsigned wanted(void)
{
    const char *n = getenv("MIRROR_STATES");

    return n ? (unsigned)atoi(n) : 60;
}

static void power_goes_at_any_time(void **state)
{
    (void)state;
    states(1, false, wanted());
}

static void power_goes_after_a_member_failed(void **state)
{
    (void)state;
    states(2, true, wanted());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_goes_at_any_time),
        cmocka_unit_test(power_goes_after_a_member_failed),
        cmocka_unit_test(a_write_that_fails_on_all_is_healed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
