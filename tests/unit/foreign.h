/*
 * What the tests of image formats share: a folder of their own, qemu-img and its kin as the outside judge, a model of
 * the disk in memory, random requests.
 */
#ifndef TESTS_UNIT_FOREIGN_H
#define TESTS_UNIT_FOREIGN_H

#include "images/image.h"
#include "tests/unit/check.h"

extern char foreign_dir[];

int foreign_setup(void **state);    /* a new folder, current from then on */
int foreign_teardown(void **state); /* removes it */

int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));       /* exit code; output is dropped */
void sh_ok(const char *fmt, ...) __attribute__((format(printf, 1, 2)));   /* fails the test unless it is 0 */
char *sh_out(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* its output, malloc'ed */

struct image *img_open(const char *path, const char *format, bool read_only);
void img_refused(const char *path, const char *format, bool read_only, const char *expect);
void img_create(const char *path, const char *format, uint64_t size, const char *options);
void img_create_refused(const char *path, const char *format, uint64_t size, const char *options, const char *expect);
int img_read(struct image *img, void *buf, uint64_t off, uint64_t len); /* in two pieces */
int img_write(struct image *img, const void *buf, uint64_t off, uint64_t len, unsigned flags);

/* A disk in memory. */
struct model {
    uint8_t *bytes;
    uint64_t size;
    uint32_t seed;
};

void model_init(struct model *m, uint64_t size, uint32_t seed);
void model_fini(struct model *m);
uint32_t model_random(struct model *m, uint32_t below);
void model_fill(struct model *m, uint64_t off, uint64_t len); /* random bytes that do not compress to nothing */
void model_save(const struct model *m, const char *path);     /* as a raw image */
void model_check(const struct model *m, struct image *img);   /* reads all of it */
/* n random requests; kinds is a set of letters: w(rite) z(eroes) d(iscard) f(lush) F(UA) r(ead). */
void model_run(struct model *m, struct image *img, unsigned n, const char *kinds, uint32_t longest);

#endif
