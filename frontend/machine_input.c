/* The machine's input devices: what makes them. */
#include "devices/input.h"
#include "devices/virtio_input.h"
#include "frontend/machine_parts.h"

struct virtio_dev *machine_make_input(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    static const enum input_kind kinds[] = {[DEVICE_KEYBOARD] = INPUT_KEYBOARD,
                                            [DEVICE_TABLET] = INPUT_TABLET,
                                            [DEVICE_MOUSE] = INPUT_MOUSE,
                                            [DEVICE_TOUCH] = INPUT_TOUCH};
    struct device_env env = machine_env(m);
    struct virtio_input_options o = {.kind = kinds[d->type->kind], .serial = device_prop(d, "serial")};

    if (!device_flag(d, "packed", &o.packed, e))
        return NULL;
    return virtio_input_new(&env, name, m->input, &o, e);
}

struct input *machine_input(const struct machine *m) { return m->input; }
