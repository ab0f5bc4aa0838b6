/*
 * Fuzz target: a PS/2 port with a keyboard or a mouse: registers, commands, events of fuzz bytes, time, snapshots.
 * Beside what every device is checked for (machine.h): what a port says it holds is what comes out of it.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/altera_ps2.h"
#include "tests/fuzz/machine.h"

static struct input *in;
static struct loop *loop;
static struct bus *bus;

static gpa address(struct fuzz_in *f)
{
    uint64_t a = fuzz_take(f, 1);

    return FUZZ_BASE + (a < 250 ? (a & 1) * 4 : a % 16);
}

static void send(struct fuzz_in *f)
{
    static const uint16_t codes[] = {KEY_A,         KEY_PAUSE, KEY_SYSRQ, KEY_LEFTALT,
                                     KEY_RIGHTCTRL, KEY_UP,    KEY_MAX,   BTN_LEFT,
                                     BTN_MIDDLE,    BTN_EXTRA, 0,         1};
    struct input_event e[32];
    size_t n = fuzz_take(f, 1) % ARRAY_LEN(e);

    for (size_t i = 0; i < n; i++) {
        uint64_t how = fuzz_take(f, 2);

        e[i] = (struct input_event){.type = (uint8_t)(how % 8),
                                    .code =
                                        how & 0x4000 ? (uint16_t)fuzz_take(f, 2) : codes[(how >> 3) % ARRAY_LEN(codes)],
                                    .value = how & 0x8000 ? (int32_t)fuzz_take(f, 4) : (int32_t)(how >> 7 & 1)};
    }
    input_send(in, e, (unsigned)n);
    loop_poll(loop);
}

/* Reading takes one byte of those that were there; then more may come, of what waited for room. */
static void drain(void)
{
    uint64_t v = 0, before = 0;

    for (unsigned i = 0; i < 2000; i++) {
        before = v;
        if (!bus_read(bus, FUZZ_BASE, 4, &v) || v >> 16 > 256 || (v && !(v & 0x8000)) || (!v && before >> 16 > 1))
            abort();
        if (!v)
            return;
    }
    abort(); /* it never ends */
}

static void event(struct fuzz_in *f, unsigned kind)
{
    switch (kind % 4) {
    case 0: send(f); break;
    case 1: /* a command, often one with meaning, and its argument */
        bus_write(bus, FUZZ_BASE, 4, 0xe6 + fuzz_take(f, 1) % 26);
        bus_write(bus, FUZZ_BASE, 4, fuzz_take(f, 1));
        break;
    case 2: drain(); break;
    default: input_release_all(in); loop_poll(loop);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_machine m;
    struct device *d;
    struct err e;

    if (!size)
        return 0;
    fuzz_machine_open(&m);
    bus = m.bus;
    loop = loop_new(m.clock, &e);
    in = input_new(loop, m.gate);
    d = altera_ps2_new(&m.env, "ps2", in, data[0] & 1 ? INPUT_MOUSE : INPUT_KEYBOARD);
    if (!d || !device_map(d, FUZZ_BASE, &e))
        abort();
    fuzz_run(&m, &(struct fuzz_target){d, address, event}, data + 1, size - 1);
    drain();
    device_free(d);
    input_free(in);
    loop_free(loop);
    fuzz_machine_close(&m);
    return 0;
}
