/* See display_input.h. Sources: Linux Documentation/input/event-codes.rst; libinput's and Xorg's scaling of absolute axes. */
#include "frontend/ui/display_input.h"

#include <linux/input-event-codes.h>

#include "base/bits.h"
#include "devices/input.h"
#include "frontend/keys.h"

enum { BUTTONS = 8 }; /* BTN_LEFT and what follows it */

bool guest_input_pointer(const struct guest_input *g)
{
    return g->input &&
           (input_has(g->input, INPUT_TABLET) || input_has(g->input, INPUT_MOUSE) || input_has(g->input, INPUT_TOUCH));
}

bool guest_input_absolute(const struct guest_input *g) { return !g->input || input_is_absolute(g->input); }

/* --- keys --- */

static bool is_down(const struct guest_input *g, uint16_t code) { return g->down[code / 8] >> code % 8 & 1; }

static void send_key(struct guest_input *g, uint16_t code, bool down)
{
    if (!g->input || is_down(g, code) == down)
        return;
    g->down[code / 8] = (uint8_t)(g->down[code / 8] ^ 1 << code % 8);
    input_key(g->input, code, down);
}

/* Modifiers as they are with this key; one that we missed is taken for the left one. */
static void match_modifiers(struct guest_input *g, unsigned mods)
{
    static const struct {
        unsigned mod;
        uint16_t left, right;
    } pair[] = {{UI_SHIFT, KEY_LEFTSHIFT, KEY_RIGHTSHIFT},
                {UI_CTRL, KEY_LEFTCTRL, KEY_RIGHTCTRL},
                {UI_ALT, KEY_LEFTALT, KEY_LEFTALT},
                {UI_ALTGR, KEY_RIGHTALT, KEY_RIGHTALT},
                {UI_META, KEY_LEFTMETA, KEY_RIGHTMETA}};

    for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
        bool held = is_down(g, pair[i].left) || is_down(g, pair[i].right);

        if (held && !(mods & pair[i].mod)) {
            send_key(g, pair[i].left, false);
            send_key(g, pair[i].right, false);
        } else if (!held && mods & pair[i].mod) {
            send_key(g, pair[i].left, true);
        }
    }
}

static bool is_modifier(uint16_t c)
{
    return c == KEY_LEFTSHIFT || c == KEY_RIGHTSHIFT || c == KEY_LEFTCTRL || c == KEY_RIGHTCTRL || c == KEY_LEFTALT ||
           c == KEY_RIGHTALT || c == KEY_LEFTMETA || c == KEY_RIGHTMETA;
}

void guest_input_key(struct guest_input *g, const struct ui_key *k)
{
    if (!g->input || !k->code || k->code >= sizeof g->down * 8 || k->repeat)
        return;
    if (k->down && !is_modifier(k->code))
        match_modifiers(g, k->mods);
    send_key(g, k->code, k->down);
}

void guest_input_letter(struct guest_input *g, char c)
{
    uint16_t code;
    bool shift;

    if (!g->input || !key_for_char(c, &code, &shift))
        return;
    guest_input_release(g);
    if (shift)
        send_key(g, KEY_LEFTSHIFT, true);
    send_key(g, code, true);
    send_key(g, code, false);
    if (shift)
        send_key(g, KEY_LEFTSHIFT, false);
}

/* --- the pointer --- */

/*
 * The middle of a pixel among INPUT_ABS_MAX + 1 steps over `size` pixels: the guest's value * size / (INPUT_ABS_MAX + 1) is
 * the pixel then.
 */
static int32_t position(int32_t at, uint32_t size)
{
    int64_t p = at < 0 ? 0 : at >= (int64_t)size ? (int64_t)size - 1 : at;

    return (int32_t)((2 * p + 1) * (INPUT_ABS_MAX + 1) / (2 * (int64_t)size));
}

static void send_position(struct guest_input *g, int32_t x, int32_t y)
{
    struct input_event e[] = {{INPUT_ABS, 0, 0, x}, {INPUT_ABS, 0, 1, y}, {INPUT_SYN, 0, 0, 0}};

    if (g->placed && g->x == x && g->y == y)
        return;
    g->placed = true;
    g->x = x;
    g->y = y;
    input_send(g->input, e, ARRAY_LEN(e));
}

static void send_button(struct guest_input *g, unsigned n, bool down)
{
    struct input_event e[] = {{INPUT_BUTTON, 0, (uint16_t)(BTN_LEFT + n), down}, {INPUT_SYN, 0, 0, 0}};

    if ((g->buttons >> n & 1) == down)
        return;
    g->buttons ^= 1u << n;
    input_send(g->input, e, ARRAY_LEN(e));
}

static void send_pair(struct guest_input *g, enum input_type type, int32_t a, int32_t b)
{
    struct input_event e[3];
    unsigned n = 0;

    if (a)
        e[n++] = (struct input_event){(uint8_t)type, 0, 0, a};
    if (b)
        e[n++] = (struct input_event){(uint8_t)type, 0, 1, b};
    if (!n)
        return;
    e[n++] = (struct input_event){INPUT_SYN, 0, 0, 0};
    input_send(g->input, e, n);
}

void guest_input_pointer_event(struct guest_input *g, const struct ui_pointer *p, uint32_t width, uint32_t height)
{
    if (!g->input || !width || !height)
        return;
    if (p->type != UI_POINTER_RELATIVE && input_is_absolute(g->input))
        send_position(g, position(p->x, width), position(p->y, height));
    if (p->type == UI_POINTER_RELATIVE)
        send_pair(g, INPUT_REL, p->x, p->y);
    else if (p->type == UI_POINTER_WHEEL)
        send_pair(g, INPUT_WHEEL, p->wheel, p->hwheel);
    else if (p->type == UI_POINTER_BUTTON && p->button >= BTN_LEFT && p->button < BTN_LEFT + BUTTONS)
        send_button(g, p->button - BTN_LEFT, p->down);
}

void guest_input_release(struct guest_input *g)
{
    for (uint16_t c = 0; c < sizeof g->down * 8; c++)
        send_key(g, c, false);
    for (unsigned n = 0; n < BUTTONS; n++)
        send_button(g, n, false);
    g->placed = false;
}
