#include "devices/chardev_null.h"

#include <stdlib.h>

#include "devices/chardev.h"

static size_t null_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    (void)c, (void)buf;
    return len;
}

static void null_drained(struct chardev *c) { (void)c; }

static void null_free(struct chardev *c) { free(c); }

struct chardev *chardev_null_new(void)
{
    struct chardev *c = calloc(1, sizeof *c);

    if (c) {
        c->write = null_write;
        c->drained = null_drained;
        c->free = null_free;
    }
    return c;
}
