/* Fuzz target: UART registers, input, breaks and a host end that takes bytes when it likes. */
#include <stdlib.h>

#include "devices/chardev.h"
#include "devices/uart16550.h"
#include "tests/fuzz/machine.h"

static struct chardev chr;
static size_t takes;

static size_t chr_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t n = takes < len ? takes : len;

    (void)c, (void)buf;
    takes -= n;
    return n;
}

static void chr_drained(struct chardev *c) { (void)c; }

static gpa address(struct fuzz_in *in) { return FUZZ_BASE + fuzz_take(in, 1) % 9; }

static void event(struct fuzz_in *in, unsigned kind)
{
    uint8_t b[64];
    size_t n, room;

    switch (kind % 4) {
    case 0:
        room = chr.room(chr.dev);
        n = fuzz_take(in, 1);
        n = n < room ? n : room;
        if (n > 16)
            abort();
        for (size_t i = 0; i < n; i++)
            b[i] = (uint8_t)fuzz_take(in, 1);
        chr.receive(chr.dev, b, n);
        break;
    case 1: chr.event(chr.dev, CHARDEV_BREAK); break;
    case 2: takes = fuzz_take(in, 1); break;
    default: chr.writable(chr.dev);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_machine m;
    struct device *d;
    struct err e;

    fuzz_machine_open(&m);
    takes = 0;
    chr = (struct chardev){.write = chr_write, .drained = chr_drained};
    d = uart16550_new(&m.env, "uart", &chr);
    if (!d || !device_map(d, FUZZ_BASE, &e))
        abort();
    fuzz_run(&m, &(struct fuzz_target){d, address, event}, data, size);
    device_free(d);
    fuzz_machine_close(&m);
    return 0;
}
