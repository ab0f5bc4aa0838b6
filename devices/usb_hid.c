/* USB keyboard, mouse and tablet: requests and reports. See usb_hid.h. */
#include "devices/usb_hid.h"

#include <linux/input-event-codes.h>
#include <string.h>

#include "base/bits.h"
#include "base/clock.h"

enum { CHANGE_DOWN = 0x100, MODIFIERS = 0xe0, MODIFIER_KEYS = 8, ROLL_OVER = 1, KEYS = 6, BUTTONS = 5 };
enum { /* request type << 8 | request */
       GET_STATUS_DEVICE = 0x8000,
       GET_STATUS_INTERFACE = 0x8100,
       GET_STATUS_ENDPOINT = 0x8200,
       CLEAR_FEATURE_DEVICE = 0x0001,
       CLEAR_FEATURE_ENDPOINT = 0x0201,
       SET_FEATURE_DEVICE = 0x0003,
       SET_FEATURE_ENDPOINT = 0x0203,
       SET_ADDRESS = 0x0005,
       GET_DESCRIPTOR = 0x8006,
       GET_DESCRIPTOR_INTERFACE = 0x8106,
       GET_CONFIGURATION = 0x8008,
       SET_CONFIGURATION = 0x0009,
       GET_INTERFACE = 0x810a,
       SET_INTERFACE = 0x010b,
       GET_REPORT = 0xa101,
       GET_IDLE = 0xa102,
       GET_PROTOCOL = 0xa103,
       SET_REPORT = 0x2109,
       SET_IDLE = 0x210a,
       SET_PROTOCOL = 0x210b,
};
enum {
    FEATURE_HALT = 0,
    FEATURE_WAKEUP = 1,
    REPORT_INPUT = 1,
    REPORT_OUTPUT = 2,
    LIGHTS = 7,
    ENDPOINT = 0x80 | USB_HID_IN
};

static bool get(const uint64_t *bits, unsigned i) { return bits[i / 64] >> (i % 64) & 1; }

static void set(uint64_t *bits, unsigned i, bool on)
{
    bits[i / 64] = (bits[i / 64] & ~(UINT64_C(1) << (i % 64))) | (uint64_t)on << (i % 64);
}

/* --- keys --- */

static bool push_change(struct usb_hid *h, unsigned usage, bool down)
{
    if (h->changes == USB_HID_CHANGES)
        return false;
    h->change[(h->head + h->changes++) % USB_HID_CHANGES] = (uint16_t)(usage | (down ? CHANGE_DOWN : 0));
    set(h->held, usage, down);
    return true;
}

static bool push_late(struct usb_hid *h)
{
    for (unsigned i = 0; i < 256; i++) {
        if (!get(h->late, i))
            continue;
        if (!push_change(h, i, false))
            return false;
        set(h->late, i, false);
    }
    return true;
}

static void key(struct usb_hid *h, const struct input_event *e)
{
    unsigned usage = usb_hid_usage(e->code);

    if (!usage || get(h->held, usage) == (e->value != 0))
        return;
    if ((!push_late(h) || !push_change(h, usage, e->value)) && !e->value)
        set(h->late, usage, true);
}

static int key_report(const struct usb_hid *h, uint8_t *out)
{
    unsigned n = 0;

    memset(out, 0, USB_HID_REPORT);
    for (unsigned i = 1; i < 256; i++) {
        if (!get(h->told, i))
            continue;
        if (i >= MODIFIERS && i < MODIFIERS + MODIFIER_KEYS)
            out[0] = (uint8_t)(out[0] | 1u << (i - MODIFIERS));
        else if (n++ < KEYS)
            out[1 + n] = (uint8_t)i;
    }
    if (n > KEYS)
        memset(out + 2, ROLL_OVER, KEYS);
    return USB_HID_REPORT;
}

static int next_keys(struct usb_hid *h, uint8_t *out)
{
    uint16_t change;

    push_late(h);
    if (!h->changes)
        return USB_NAK;
    change = h->change[h->head];
    h->head = (h->head + 1) % USB_HID_CHANGES;
    h->changes--;
    set(h->told, change & 0xff, change & CHANGE_DOWN);
    return key_report(h, out);
}

/* --- pointers --- */

static int32_t add(int32_t a, int32_t b)
{
    int64_t sum = (int64_t)a + b;

    return (int32_t)(sum > INT16_MAX ? INT16_MAX : sum < -INT16_MAX ? -INT16_MAX : sum);
}

static int32_t limit(int32_t v, int32_t max) { return v > max ? max : v < -max ? -max : v; }

static void gather(struct usb_hid_move *to, const struct input_event *e, bool absolute)
{
    int32_t *axis = e->code ? &to->y : &to->x;

    if (e->type == INPUT_ABS && absolute)
        *axis = e->value;
    else if (e->type == INPUT_REL && !absolute)
        *axis = add(*axis, e->value);
    else if (e->type == INPUT_WHEEL && !e->code)
        to->wheel = add(to->wheel, e->value);
    else if (e->type == INPUT_BUTTON && e->code >= BTN_LEFT && e->code < BTN_LEFT + BUTTONS)
        to->buttons = (to->buttons & ~(1u << (e->code - BTN_LEFT))) | (uint32_t) !!e->value << (e->code - BTN_LEFT);
}

/* A group joins what waits when no button changes, or when there is no room. */
static void move(struct usb_hid *h, const struct input_event *e, unsigned n, bool absolute)
{
    struct usb_hid_move *last = h->moves ? &h->move[h->moves - 1] : &h->now, next = *last;

    if (!absolute)
        next.x = next.y = 0;
    next.wheel = 0;
    for (unsigned i = 0; i < n; i++)
        gather(&next, &e[i], absolute);
    if (next.buttons == last->buttons && !next.wheel &&
        (absolute ? next.x == last->x && next.y == last->y : !next.x && !next.y))
        return;
    if (h->moves == USB_HID_MOVES || (h->moves && next.buttons == last->buttons)) {
        next.wheel = add(next.wheel, last->wheel);
        next.x = absolute ? next.x : add(next.x, last->x);
        next.y = absolute ? next.y : add(next.y, last->y);
    } else {
        last = &h->move[h->moves++];
    }
    *last = next;
}

static int move_report(const struct usb_hid *h, const struct usb_hid_move *v, bool absolute, uint8_t *out)
{
    out[0] = (uint8_t)v->buttons;
    if (absolute) {
        st16(out + 1, (uint16_t)v->x);
        st16(out + 3, (uint16_t)v->y);
        out[5] = (uint8_t)v->wheel;
        return 6;
    }
    out[1] = (uint8_t)v->x;
    out[2] = (uint8_t)v->y;
    out[3] = (uint8_t)v->wheel;
    return h->boot ? 3 : 4;
}

static int next_move(struct usb_hid *h, bool absolute, uint8_t *out)
{
    struct usb_hid_move *v = &h->move[0], told = *v;

    if (!h->moves)
        return USB_NAK;
    told.wheel = limit(told.wheel, 127);
    if (!absolute) {
        told.x = limit(told.x, 127);
        told.y = limit(told.y, 127);
        v->x -= told.x;
        v->y -= told.y;
    }
    v->wheel -= told.wheel;
    h->now = told;
    if (absolute ? !v->wheel : !v->x && !v->y && !v->wheel)
        memmove(v, v + 1, --h->moves * sizeof *v);
    h->now.wheel = 0;
    if (!absolute)
        h->now.x = h->now.y = 0;
    return move_report(h, &told, absolute, out);
}

/* --- both --- */

void usb_hid_event(struct usb_hid *h, const struct usb_hid_model *m, const struct input_event *e, unsigned n)
{
    if (!h->configured)
        return;
    if (m->kind != INPUT_KEYBOARD) {
        move(h, e, n, m->kind == INPUT_TABLET);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        if (e[i].type == INPUT_KEY)
            key(h, &e[i]);
}

/* What the last report said, without what moved. */
static int last_report(const struct usb_hid *h, const struct usb_hid_model *m, uint8_t *out)
{
    return m->kind == INPUT_KEYBOARD ? key_report(h, out) : move_report(h, &h->now, m->kind == INPUT_TABLET, out);
}

int usb_hid_in(struct usb_hid *h, const struct usb_hid_model *m, uint64_t now, uint8_t out[USB_HID_REPORT])
{
    int n;

    if (!h->configured || h->halted)
        return USB_STALL;
    n = m->kind == INPUT_KEYBOARD ? next_keys(h, out) : next_move(h, m->kind == INPUT_TABLET, out);
    if (n == USB_NAK && h->idle && now >= h->idle_due)
        n = last_report(h, m, out);
    if (n != USB_NAK)
        h->idle_due = now + h->idle * UINT64_C(4000000);
    return n;
}

uint64_t usb_hid_due(const struct usb_hid *h) { return h->idle ? h->idle_due : CLOCK_NEVER; }

bool usb_hid_down(const struct usb_hid *h, const struct usb_hid_model *m, unsigned code)
{
    const struct usb_hid_move *last = h->moves ? &h->move[h->moves - 1] : &h->now;

    if (m->kind == INPUT_KEYBOARD)
        return usb_hid_usage(code) && get(h->held, usb_hid_usage(code));
    return code >= BTN_LEFT && code < BTN_LEFT + BUTTONS && last->buttons >> (code - BTN_LEFT) & 1;
}

void usb_hid_reset(struct usb_hid *h) { memset(h, 0, sizeof *h); }

static void move_sane(struct usb_hid_move *v, bool absolute)
{
    v->wheel = limit(v->wheel, INT16_MAX);
    v->x = limit(v->x, INT16_MAX);
    v->y = limit(v->y, INT16_MAX);
    v->buttons &= (1u << BUTTONS) - 1;
    if (absolute) {
        v->x = v->x < 0 ? 0 : v->x;
        v->y = v->y < 0 ? 0 : v->y;
    }
}

void usb_hid_sane(struct usb_hid *h, const struct usb_hid_model *m)
{
    h->head %= USB_HID_CHANGES;
    if (h->changes > USB_HID_CHANGES)
        h->changes = 0;
    if (h->moves > USB_HID_MOVES)
        h->moves = 0;
    for (unsigned i = 0; i < USB_HID_MOVES; i++)
        move_sane(&h->move[i], m->kind == INPUT_TABLET);
    move_sane(&h->now, m->kind == INPUT_TABLET);
    for (unsigned i = 0; i < USB_HID_CHANGES; i++)
        h->change[i] &= CHANGE_DOWN | 0xff;
    for (unsigned i = 0; i < 4; i++)
        h->late[i] &= h->held[i];
    h->leds &= LIGHTS;
    h->configured = h->configured == 1;
}

/* --- requests --- */

static int answer(uint8_t *data, unsigned len, const void *from, unsigned n)
{
    n = n < len ? n : len;
    memcpy(data, from, n);
    return (int)n;
}

static int answer_number(uint8_t *data, unsigned len, unsigned v, unsigned n)
{
    uint8_t raw[2];

    st16(raw, (uint16_t)v);
    return answer(data, len, raw, n);
}

static int configure(struct usb_hid *h, unsigned value)
{
    uint8_t wakeup = h->wakeup, leds = h->leds;

    if (value > 1)
        return USB_STALL;
    usb_hid_reset(h);
    h->configured = (uint8_t)value;
    h->wakeup = wakeup;
    h->leds = leds;
    return 0;
}

static int feature(uint8_t *what, bool fits, bool on)
{
    if (!fits)
        return USB_STALL;
    *what = on;
    return 0;
}

static int input_report(const struct usb_hid *h, const struct usb_hid_model *m, uint8_t *data, unsigned len)
{
    uint8_t raw[USB_HID_REPORT];

    return answer(data, len, raw, (unsigned)last_report(h, m, raw));
}

static int class_request(struct usb_hid *h, const struct usb_hid_model *m, unsigned request, unsigned value,
                         uint8_t *data, unsigned len)
{
    bool lights = m->kind == INPUT_KEYBOARD && value >> 8 == REPORT_OUTPUT;

    switch (request) {
    case GET_REPORT:
        if (lights)
            return answer_number(data, len, h->leds, 1);
        return value >> 8 == REPORT_INPUT ? input_report(h, m, data, len) : USB_STALL;
    case SET_REPORT:
        if (!lights || !len)
            return USB_STALL;
        h->leds = data[0] & LIGHTS;
        return 0;
    case GET_IDLE: return answer_number(data, len, h->idle, 1);
    case SET_IDLE:
        h->idle = (uint8_t)(value >> 8);
        h->idle_due = 0; /* the first at once */
        return 0;
    case GET_PROTOCOL: return m->subclass ? answer_number(data, len, !h->boot, 1) : USB_STALL;
    case SET_PROTOCOL: return feature(&h->boot, m->subclass && value < 2, !value);
    default: return USB_STALL;
    }
}

int usb_hid_control(struct usb_hid *h, const struct usb_hid_model *m, const char *serial, const uint8_t setup[8],
                    uint8_t *data, unsigned len)
{
    unsigned request = (unsigned)setup[0] << 8 | setup[1], value = ld16(setup + 2), index = ld16(setup + 4), n;
    bool on = request == SET_FEATURE_DEVICE || request == SET_FEATURE_ENDPOINT;
    uint8_t text[256];

    switch (request) {
    case GET_STATUS_DEVICE: return answer_number(data, len, (unsigned)h->wakeup << 1, 2);
    case GET_STATUS_INTERFACE: return answer_number(data, len, 0, 2);
    case GET_STATUS_ENDPOINT: return answer_number(data, len, index == ENDPOINT && h->halted, 2);
    case CLEAR_FEATURE_DEVICE:
    case SET_FEATURE_DEVICE: return feature(&h->wakeup, value == FEATURE_WAKEUP, on);
    case CLEAR_FEATURE_ENDPOINT:
    case SET_FEATURE_ENDPOINT: return feature(&h->halted, value == FEATURE_HALT && index == ENDPOINT, on);
    case SET_ADDRESS: return 0;
    case GET_DESCRIPTOR:
    case GET_DESCRIPTOR_INTERFACE:
        n = usb_hid_descriptor(m, serial, value >> 8, value & 0xff, text);
        return n ? answer(data, len, text, n) : USB_STALL;
    case GET_CONFIGURATION: return answer_number(data, len, h->configured, 1);
    case SET_CONFIGURATION: return configure(h, value & 0xff);
    case GET_INTERFACE: return answer_number(data, len, 0, 1);
    case SET_INTERFACE: return value || index ? USB_STALL : 0;
    default: return class_request(h, m, request, value, data, len);
    }
}
