/* qcow2: many threads on one image, each on its own sectors of shared clusters; flushes and snapshots beside them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/qcow2_util.h"

enum { MIB = 1 << 20, THREADS = 4, SIZE = 4 * MIB, UNIT = 4096 };

struct worker {
    pthread_t thread;
    struct image *img;
    unsigned me, ops;
    uint8_t value[SIZE / UNIT / THREADS]; /* of unit me + THREADS * i */
    int failed;
};

static int io(struct worker *w, bool write, unsigned unit, uint8_t *buf, unsigned flags)
{
    struct iovec v[2] = {{buf, 512}, {buf + 512, UNIT - 512}};
    uint64_t off = (uint64_t)unit * UNIT, host;
    int fd, ret;

    if (random() % 2 && !flags &&
        !w->img->ops->direct_begin(w->img, off, UNIT, write, &fd, &host)) { /* as io_uring does */
        ssize_t n = write ? pwritev(fd, v, 2, (off_t)host) : preadv(fd, v, 2, (off_t)host);

        w->img->ops->direct_end(w->img, off, UNIT, write);
        return n == UNIT ? 0 : -1;
    }
    ret = write ? w->img->ops->writev(w->img, v, 2, off, flags) : w->img->ops->readv(w->img, v, 2, off, flags);
    return ret;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t buf[UNIT];

    for (unsigned n = 0; n < w->ops && !w->failed; n++) {
        unsigned i = (unsigned)random() % (unsigned)sizeof w->value, unit = w->me + THREADS * i,
                 what = (unsigned)random() % 20;

        if (what < 10) {
            w->value[i] = (uint8_t)(n | 1);
            memset(buf, w->value[i], UNIT);
            w->failed |= io(w, true, unit, buf, what ? 0 : IMAGE_FUA);
        } else if (what < 17) {
            w->failed |= io(w, false, unit, buf, 0);
            for (unsigned k = 0; k < UNIT; k++)
                w->failed |= buf[k] != w->value[i];
        } else if (what < 18) {
            w->value[i] = 0;
            w->failed |= w->img->ops->write_zeroes(w->img, (uint64_t)unit * UNIT, UNIT, IMAGE_UNMAP);
        } else if (what < 19) {
            w->failed |= w->img->ops->flush(w->img);
        } else if (w->me == 0 && random() % 8 == 0) {
            struct image_snapshot s = {.name = "s"};
            struct err e;

            w->failed |=
                !w->img->ops->snapshot_create(w->img, &s, &e) || !w->img->ops->snapshot_delete(w->img, s.id, &e);
        }
    }
    return NULL;
}

static void threads_do_not_lose_each_others_writes(void **state)
{
    static const char *const kinds[] = {"cluster_size=64k", "cluster_size=4k", "extended_l2=on", "cluster_size=512",
                                        "lazy_refcounts=on"};

    (void)state;
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct worker *w = calloc(THREADS, sizeof *w);
        struct image *img;

        q_sh_ok("qemu-img create -q -f raw base.raw 3M");
        qcreate("t.qcow2", SIZE, kinds[k], k & 1 ? "base.raw" : NULL, k & 1 ? "raw" : NULL);
        img = qopen("t.qcow2", (struct image_options){0});
        for (unsigned i = 0; i < THREADS; i++) {
            w[i] = (struct worker){.img = img, .me = i, .ops = 600};
            CHECK_EQ(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(w[i].thread, NULL);
            CHECK_EQ(w[i].failed, 0);
        }
        for (unsigned i = 0; i < THREADS * sizeof w->value; i++)
            pattern_check(img, (uint64_t)i * UNIT, UNIT, w[i % THREADS].value[i / THREADS]);
        image_close(img);
        qimg_check("t.qcow2");
        img = qopen("t.qcow2", (struct image_options){.read_only = true});
        for (unsigned i = 0; i < THREADS * sizeof w->value; i++)
            pattern_check(img, (uint64_t)i * UNIT, UNIT, w[i % THREADS].value[i / THREADS]);
        image_close(img);
        free(w);
    }
}

struct packer {
    pthread_t thread;
    struct image *img;
    const uint8_t *data;
    unsigned me;
    int failed;
};

static void *pack(void *arg)
{
    struct packer *p = arg;

    for (uint64_t off = (uint64_t)p->me * p->img->cluster; off < SIZE; off += THREADS * (uint64_t)p->img->cluster)
        p->failed |= p->img->ops->write_compressed(p->img, p->data + off, off, p->img->cluster);
    return NULL;
}

static void threads_compress_into_one_image(void **state)
{
    static const char *const kinds[] = {"compression_type=zstd", "cluster_size=4k", "compat=0.10"};
    uint8_t *data = malloc(SIZE);

    (void)state;
    for (uint64_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i % 97 < 60 ? i >> 12 : (i * 2654435761u) >> 11);
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct packer p[THREADS];
        uint8_t *back = malloc(SIZE);
        struct image *img;

        qcreate("p.qcow2", SIZE, kinds[k], NULL, NULL);
        img = qopen("p.qcow2", (struct image_options){0});
        for (unsigned i = 0; i < THREADS; i++) {
            p[i] = (struct packer){.img = img, .data = data, .me = i};
            CHECK_EQ(pthread_create(&p[i].thread, NULL, pack, &p[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(p[i].thread, NULL);
            CHECK_EQ(p[i].failed, 0);
        }
        CHECK_EQ(image_pread(img, back, 0, SIZE), 0);
        CHECK(!memcmp(back, data, SIZE));
        image_close(img);
        qimg_check("p.qcow2");
        free(back);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_lose_each_others_writes),
        cmocka_unit_test(threads_compress_into_one_image),
    };

    return cmocka_run_group_tests(tests, qdir_setup, qdir_teardown);
}
