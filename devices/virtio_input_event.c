/*
 * Events of the machine's input as the guest hears them; see virtio_input_parts.h.
 *
 * A touch screen speaks protocol B of Linux's multi-touch-protocol.rst: a slot a finger, which has a tracking id from
 * touch to lift. Beside that its lowest finger is told as BTN_TOUCH and ABS_X, ABS_Y, for guests that know one finger.
 * A mouse's left button, when there is no other pointer, is finger 0.
 */
#include <linux/input-event-codes.h>

#include "devices/virtio_input_parts.h"

static void put(struct vinput_group *g, unsigned type, unsigned code, uint32_t value)
{
    if (g->n == VINPUT_QUEUE)
        g->overflow = true;
    else
        g->e[g->n++] = (struct vinput_event){(uint16_t)type, (uint16_t)code, value};
}

static bool get(const uint64_t *bits, unsigned i) { return bits[i / 64] >> (i % 64) & 1; }

static void set(uint64_t *bits, unsigned i, bool on)
{
    bits[i / 64] = (bits[i / 64] & ~(UINT64_C(1) << (i % 64))) | (uint64_t)on << (i % 64);
}

static void tell_key(struct vinput_told *t, unsigned code, bool down, struct vinput_group *g)
{
    if (get(t->held, code) == down)
        return;
    set(t->held, code, down);
    put(g, EVENT_KEY, code, down);
}

/* --- a touch screen --- */

static void tell_pointer(const struct vinput_told *t, struct vinput_group *g)
{
    put(g, EVENT_ABS, ABS_X, t->x);
    put(g, EVENT_ABS, ABS_Y, t->y);
}

/* Finger i is down, or moved, at the last position. */
static void place(struct vinput_told *t, unsigned i, struct vinput_group *g)
{
    bool first = !(t->fingers & ((1u << i) - 1)); /* no lower one is down */

    put(g, EVENT_ABS, ABS_MT_SLOT, i);
    if (!(t->fingers >> i & 1))
        put(g, EVENT_ABS, ABS_MT_TRACKING_ID, ++t->tracking);
    put(g, EVENT_ABS, ABS_MT_POSITION_X, t->x);
    put(g, EVENT_ABS, ABS_MT_POSITION_Y, t->y);
    t->fingers = (uint16_t)(t->fingers | 1u << i);
    tell_key(t, BTN_TOUCH, true, g);
    if (first)
        tell_pointer(t, g);
}

static void lift(struct vinput_told *t, unsigned i, struct vinput_group *g)
{
    if (!(t->fingers >> i & 1))
        return;
    put(g, EVENT_ABS, ABS_MT_SLOT, i);
    put(g, EVENT_ABS, ABS_MT_TRACKING_ID, UINT32_MAX);
    t->fingers = (uint16_t)(t->fingers & ~(1u << i));
    if (!i)
        t->mouse_finger = false;
    if (!t->fingers)
        tell_key(t, BTN_TOUCH, false, g);
}

static void keep_position(struct vinput_told *t, const struct input_event *e)
{
    if (e->code)
        t->y = (uint32_t)e->value;
    else
        t->x = (uint32_t)e->value;
}

static void translate_touch(struct vinput_told *t, const struct input_event *e, unsigned n, struct vinput_group *g)
{
    bool moved = false;

    for (unsigned i = 0; i < n; i++) {
        if (e[i].type == INPUT_ABS) {
            keep_position(t, &e[i]);
            moved = true;
        } else if (e[i].type == INPUT_TOUCH_POINT) {
            (e[i].value ? place : lift)(t, e[i].code, g);
            moved = false;
        } else if (e[i].type == INPUT_BUTTON && e[i].code == BTN_LEFT) {
            (e[i].value ? place : lift)(t, 0, g);
            t->mouse_finger = e[i].value != 0;
            moved = false;
        }
    }
    if (moved && t->mouse_finger)
        place(t, 0, g);
}

/* --- the others --- */

static void translate_one(const struct vinput *d, struct vinput_told *t, const struct input_event *e,
                          struct vinput_group *g)
{
    static const uint16_t wheel[] = {REL_WHEEL, REL_HWHEEL};

    switch (e->type) {
    case INPUT_KEY:
    case INPUT_BUTTON:
        if (vinput_has(d->model, EVENT_KEY, e->code))
            tell_key(t, e->code, e->value, g);
        break;
    case INPUT_ABS:
        keep_position(t, e);
        put(g, EVENT_ABS, e->code ? ABS_Y : ABS_X, (uint32_t)e->value);
        break;
    case INPUT_REL: put(g, EVENT_REL, e->code ? REL_Y : REL_X, (uint32_t)e->value); break;
    case INPUT_WHEEL: put(g, EVENT_REL, wheel[e->code], (uint32_t)e->value); break;
    default: break;
    }
}

void vinput_translate(const struct vinput *d, struct vinput_told *t, const struct input_event *e, unsigned n,
                      struct vinput_group *g)
{
    g->n = 0;
    g->overflow = false;
    if (d->handler.kind == INPUT_TOUCH)
        translate_touch(t, e, n, g);
    else
        for (unsigned i = 0; i < n; i++)
            translate_one(d, t, &e[i], g);
    if (g->n)
        put(g, EVENT_SYN, SYN_REPORT, 0);
}

/* --- releases that found no room --- */

/* The finger that e lifts; -1: none. */
static int lifted(const struct input_event *e)
{
    if (e->type == INPUT_TOUCH_POINT)
        return e->code;
    return e->type == INPUT_BUTTON && e->code == BTN_LEFT ? 0 : -1;
}

void vinput_keep_releases(struct vinput *d, const struct input_event *e, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (e[i].value)
            continue;
        if (d->handler.kind == INPUT_TOUCH && lifted(&e[i]) >= 0)
            d->late_fingers = (uint16_t)(d->late_fingers | (1u << lifted(&e[i]) & d->told.fingers));
        else if ((e[i].type == INPUT_KEY || e[i].type == INPUT_BUTTON) && get(d->told.held, e[i].code))
            set(d->late, e[i].code, true);
    }
}

bool vinput_is_late(const struct vinput *d)
{
    for (unsigned i = 0; i < INPUT_CODES / 64; i++)
        if (d->late[i])
            return true;
    return d->late_fingers;
}

void vinput_take_late(struct vinput *d, struct vinput_told *t, struct vinput_group *g)
{
    g->n = 0;
    g->overflow = false;
    for (unsigned i = 0; i < INPUT_SLOTS && d->late_fingers; i++)
        if (d->late_fingers >> i & 1)
            lift(t, i, g);
    d->late_fingers = 0;
    for (unsigned i = 0; i < INPUT_CODES && g->n < VINPUT_QUEUE - 1; i++)
        if (get(d->late, i)) {
            set(d->late, i, false);
            tell_key(t, i, false, g);
        }
    if (g->n)
        put(g, EVENT_SYN, SYN_REPORT, 0);
}
