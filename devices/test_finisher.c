#include "devices/test_finisher.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FINISHER_FAIL = 0x3333, FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

struct finisher {
    struct device dev;
    void (*finish)(void *arg, enum finish what, unsigned code);
    void *arg;
};

static uint64_t finisher_read(void *dev, gpa off, unsigned size)
{
    (void)dev, (void)off, (void)size; /* write-only: reads 0 */
    return 0;
}

static void finisher_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct finisher *f = dev;

    (void)size;
    if (off == 0)
        switch (val & 0xffff) {
        case FINISHER_PASS: f->finish(f->arg, FINISH_PASS, 0); return;
        case FINISHER_FAIL: f->finish(f->arg, FINISH_FAIL, (unsigned)(val >> 16) & 0xffff); return;
        case FINISHER_RESET: f->finish(f->arg, FINISH_RESET, 0); return;
        }
    log_guest(&f->dev, "write of 0x%" PRIx64 " at 0x%" PRIx64, val, off);
}

static const struct field finisher_state[] = {{0}};

static const struct device_ops finisher_ops = {
    .name = "sifive,test1",
    .size = 0x1000,
    .mmio = {finisher_read, finisher_write, .min_size = 2, .max_size = 4},
    .state = finisher_state,
};

struct device *test_finisher_new(const struct device_env *env, const char *name,
                                 void (*finish)(void *arg, enum finish what, unsigned code), void *arg)
{
    struct finisher *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    device_init(&f->dev, &finisher_ops, name, env);
    f->finish = finish;
    f->arg = arg;
    return &f->dev;
}
