/*
 * What device tests share: a bench with a fake clock, a bus with a little RAM, a log to a file of its own and a gate;
 * register accesses through the bus; interrupt lines that remember; a character stream that records.
 */
#ifndef TESTS_UNIT_DEV_H
#define TESTS_UNIT_DEV_H

#include "devices/chardev.h"
#include "devices/device.h"

enum { DEV_RAM_SIZE = 0x100000 };
#define DEV_RAM UINT64_C(0x80000000)
#define DEV_BASE UINT64_C(0x10000000) /* where dev_map puts the device */

struct dev_bench {
    struct clock *clock;
    struct log *log;
    struct bus *bus;
    struct gate *gate;
    struct device_env env;
};

void dev_bench_open(struct dev_bench *b);
void dev_bench_close(struct dev_bench *b);

void dev_map(struct device *d); /* at DEV_BASE */
/* Accesses by guest physical address; a refused one fails the test. */
uint64_t dev_read(struct dev_bench *b, gpa addr, unsigned size);
void dev_write(struct dev_bench *b, gpa addr, unsigned size, uint64_t val);
bool dev_refused(struct dev_bench *b, gpa addr, unsigned size); /* a read of it */

/* An interrupt line's far end. */
struct dev_line {
    bool level;
    unsigned rises, sets;
};
void dev_connect(struct irq *i, struct dev_line *l);

/* Save d, reset it, restore it and save again: both images are equal, its line too, and a wrong length is refused. */
void dev_check_save_restore(struct device *d);

/* A host end that takes up to `limit` bytes in all (raise it, then call writable). */
struct dev_chardev {
    struct chardev c;
    char out[4096];
    size_t len, limit;
    unsigned drained;
};
void dev_chardev_init(struct dev_chardev *c);

#endif
