/* The machine's input devices: what makes them, and what joins them to windows and the monitor. */
#include "devices/altera_ps2.h"
#include "devices/input.h"
#include "devices/plic.h"
#include "devices/virtio_input.h"
#include "frontend/board_virt.h"
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

/* The device tree counts the same devices in the same order (boot.c). */
bool machine_build_ps2(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    const struct board_row *row = &board_virt[BOARD_PS2];
    struct device_env env = machine_env(m);
    unsigned n = m->ps2_ports++;
    struct device *p;

    if (n == BOARD_PS2_SLOTS)
        return err_set(e, "more than %d PS/2 ports", BOARD_PS2_SLOTS);
    p = altera_ps2_new(&env, name, m->input, d->type->kind == DEVICE_PS2_MOUSE ? INPUT_MOUSE : INPUT_KEYBOARD);
    if (!machine_adopt(m, p, e) || !device_map(p, row->base + n * row->size, e))
        return false;
    p->irq = plic_input(m->plic, row->irq + n);
    return true;
}

struct input *machine_input(const struct machine *m) { return m->input; }
struct input_player *machine_input_player(const struct machine *m) { return m->input_player; }
