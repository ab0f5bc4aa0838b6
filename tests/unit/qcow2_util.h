/* What the qcow2 tests share: a folder of their own, the QEMU tools as the outside judge, images with a model beside. */
#ifndef TESTS_UNIT_QCOW2_UTIL_H
#define TESTS_UNIT_QCOW2_UTIL_H

#include "images/image.h"
#include "tests/unit/check.h"

extern char qdir[64]; /* where shell commands run and images lie */

int qdir_setup(void **state);
int qdir_teardown(void **state);

int q_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));       /* exit code, in qdir; output to qdir/log */
void q_sh_ok(const char *fmt, ...) __attribute__((format(printf, 1, 2)));   /* fails the test with the output */
char *q_sh_out(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* its output; static buffer */
void qimg_check(const char *name);                                          /* qemu-img check: no error, no leak */
struct image *qopen(const char *name, struct image_options o); /* format qcow2 unless named; or the test fails */
void qopen_fails(const char *name, struct image_options o, const char *expect);
void qcreate(const char *name, uint64_t size, const char *options, const char *backing, const char *backing_format);
void pattern_write(struct image *img, uint64_t off, uint64_t len, uint8_t p);
void pattern_check(struct image *img, uint64_t off, uint64_t len, uint8_t p);

#endif
