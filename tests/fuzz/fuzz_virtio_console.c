/* virtio-console with three ports whose host ends take, offer, open and close as the input says. */
#include <stdlib.h>

#include "devices/chardev.h"
#include "devices/virtio_console.h"
#include "tests/fuzz/virtio_fuzz.h"

enum { PORTS = 3 };

static struct chardev chr[2][PORTS];
static unsigned made;
static size_t space;

static size_t host_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    volatile uint8_t sum = 0;
    size_t n = len < space ? len : space;

    (void)c;
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + buf[i]);
    space -= n;
    return n;
}

static void host_drained(struct chardev *c) { (void)c; }

static void host_size(struct chardev *c, uint16_t *cols, uint16_t *rows)
{
    (void)c;
    *cols = 80;
    *rows = (uint16_t)space;
}

static struct virtio_dev *make(const struct device_env *env)
{
    struct err e;
    struct virtio_dev *v =
        virtio_console_new(env, "con0", &(struct virtio_console_options){.max_ports = 4, .packed = true}, &e);

    for (unsigned i = 0; i < PORTS; i++) {
        struct chardev *c = &chr[made][i];

        *c = (struct chardev){.write = host_write, .drained = host_drained, .size = host_size, .open = true};
        if (!virtio_console_add_port(v, (int)i, i == 1 ? "name" : NULL, i == 0, c, &e))
            abort();
    }
    made++;
    return v;
}

static void host(struct vf_in *in)
{
    static const uint8_t text[4096] = "input";
    struct chardev *c = &chr[vf_take(in, 1) & 1][vf_take(in, 1) % PORTS];
    uint32_t what = vf_take(in, 1);
    size_t room;

    space = vf_take(in, 2);
    if (!c->dev)
        return;
    switch (what % 6) {
    case 0:
        room = c->room(c->dev);
        c->receive(c->dev, text, room < sizeof text ? room : sizeof text);
        break;
    case 1: c->writable(c->dev); break;
    case 2:
        c->open = !c->open;
        c->event(c->dev, c->open ? CHARDEV_OPENED : CHARDEV_CLOSED);
        break;
    case 3: c->event(c->dev, CHARDEV_RESIZE); break;
    case 4: c->receive(c->dev, text, 100); break; /* more than there is room for */
    default: c->event(c->dev, CHARDEV_BREAK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    space = 1000;
    vf_run(make, host, data, len);
    return 0;
}
