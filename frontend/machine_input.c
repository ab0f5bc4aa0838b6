/* The machine's input devices: what makes them, and what joins them to windows and the monitor. */
#include "devices/input.h"
#include "devices/virtio_input.h"
#include "frontend/input_player.h"
#include "frontend/machine_parts.h"

bool machine_open_input(struct machine *m, struct err *e)
{
    m->input = input_new(m->loop, m->gate);
    m->input_player = m->input ? input_player_new(m->input, m->clock) : NULL;
    return m->input_player || err_set(e, "out of memory");
}

void machine_close_input(struct machine *m)
{
    input_player_free(m->input_player);
    input_free(m->input);
}

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
struct input_player *machine_input_player(const struct machine *m) { return m->input_player; }
