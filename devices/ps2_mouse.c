/*
 * A PS/2 mouse; see ps2.h. It starts as an ordinary one of two axes and three buttons; sample rates 200, 100, 80 in a row
 * make it an IntelliMouse (id 3: a wheel), then 200, 200, 80 an IntelliMouse Explorer (id 4: two more buttons).
 *
 * Motion adds up while bytes wait for the host, and goes in as few packets as hold it; a button that changes is told in
 * a packet of its own as long as there is room, and at last the buttons are told as they are.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "base/clock.h"
#include "devices/ps2.h"

enum { /* commands */
       SCALE_1_1 = 0xe6,
       SCALE_2_1 = 0xe7,
       RESOLUTION = 0xe8,
       STATUS = 0xe9,
       STREAM = 0xea,
       READ_DATA = 0xeb,
       END_WRAP = 0xec,
       WRAP = 0xee,
       REMOTE = 0xf0,
       READ_ID = 0xf2,
       SAMPLE_RATE = 0xf3,
       ENABLE = 0xf4,
       DISABLE = 0xf5,
       DEFAULTS = 0xf6,
       RESEND = 0xfe,
       RESET = 0xff,
};
enum { ACK = 0xfa, BAT_OK = 0xaa, PLAIN = 0, WHEEL = 3, EXPLORER = 4 };
enum { LEFT = 1, RIGHT = 2, MIDDLE = 4, SIDE = 8, EXTRA = 16, THREE = LEFT | RIGHT | MIDDLE };
enum { PACKET = 4, MOTION_MAX = 255, ADDED_MAX = 16384, NOTCHES_MAX = 127 };

static int32_t clamp(int32_t v, int32_t min, int32_t max) { return v < min ? min : v > max ? max : v; }

/* Take what fits into a packet from *sum. */
static int32_t take(int32_t *sum, int32_t max)
{
    int32_t v = clamp(*sum, -max, max);

    *sum -= v;
    return v;
}

/* Scaling 2:1 of small motions: 0, 1, 1, 3, 6, 9, then double. */
static int32_t scaled(const struct ps2_mouse *m, int32_t v)
{
    static const int32_t small[] = {0, 1, 1, 3, 6, 9};
    int32_t n = v < 0 ? -v : v;

    if (!m->double_scale || m->remote)
        return v;
    n = n < 6 ? small[n] : clamp(2 * n, 0, MOTION_MAX);
    return v < 0 ? -n : n;
}

/* Up is positive on the wire, down in our events. */
static void send_packet(struct ps2_mouse *m, struct ps2_queue *out)
{
    int32_t x = scaled(m, take(&m->dx, MOTION_MAX)), y = scaled(m, -take(&m->dy, MOTION_MAX));
    int32_t z = -take(&m->dz, m->id == EXPLORER ? 7 : 127);
    uint8_t p[PACKET] = {(uint8_t)((m->buttons & THREE) | 8 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0)), (uint8_t)x,
                         (uint8_t)y, (uint8_t)z};

    if (m->id == EXPLORER)
        p[3] = (uint8_t)((z & 15) | (m->buttons & SIDE ? 0x10 : 0) | (m->buttons & EXTRA ? 0x20 : 0));
    m->told = m->buttons;
    m->last = p[0];
    ps2_put(out, p, m->id == PLAIN ? 3 : 4);
}

static bool news(const struct ps2_mouse *m)
{
    return m->dx || m->dy || (m->dz && m->id != PLAIN) || m->told != m->buttons;
}

static bool streams(const struct ps2_mouse *m) { return m->reporting && !m->remote && !m->wrap; }

static void mouse_poll(void *s, struct ps2_queue *out, uint64_t now)
{
    struct ps2_mouse *m = s;

    (void)now;
    while (streams(m) && news(m) && (!out->count || (m->told != m->buttons && ps2_room(out) >= PACKET)))
        send_packet(m, out);
}

static void add(int32_t *sum, int32_t v, int32_t max) { *sum = clamp(*sum + clamp(v, -max, max), -max, max); }

static void mouse_event(void *s, struct ps2_queue *out, const struct input_event *e, unsigned n, uint64_t now)
{
    struct ps2_mouse *m = s;

    for (unsigned i = 0; i < n; i++) {
        if (e[i].type == INPUT_REL) {
            add(e[i].code ? &m->dy : &m->dx, e[i].value, ADDED_MAX);
        } else if (e[i].type == INPUT_WHEEL && !e[i].code) {
            add(&m->dz, e[i].value, NOTCHES_MAX);
        } else if (e[i].type == INPUT_BUTTON && e[i].code >= BTN_LEFT && e[i].code <= BTN_EXTRA) {
            uint8_t bit = (uint8_t)(1u << (e[i].code - BTN_LEFT)); /* left, right, middle, side, extra */

            m->buttons = (uint8_t)(e[i].value ? m->buttons | bit : m->buttons & ~bit);
        }
    }
    mouse_poll(m, out, now);
}

/* --- commands --- */

static bool mouse_live(const void *s)
{
    const struct ps2_mouse *m = s;

    return m->reporting || m->remote;
}

static void forget(struct ps2_mouse *m)
{
    m->dx = m->dy = m->dz = 0;
    if (!mouse_live(m))
        m->buttons = 0; /* who is not listened to does not hear of a release */
    m->told = m->buttons;
}

static void defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->reporting = m->remote = m->double_scale = false;
    forget(m);
}

static void mouse_reset(void *s)
{
    struct ps2_mouse *m = s;

    defaults(m);
    m->id = PLAIN;
    m->wrap = false;
    m->knock[0] = m->knock[1] = 0;
}

static void answer(struct ps2_mouse *m, struct ps2_queue *out, uint8_t byte)
{
    m->last = byte;
    ps2_reply(out, byte);
}

static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
    if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80 && m->id == PLAIN)
        m->id = WHEEL;
    if (m->knock[0] == 200 && m->knock[1] == 200 && rate == 80 && m->id == WHEEL)
        m->id = EXPLORER;
    m->knock[0] = m->knock[1];
    m->knock[1] = rate;
    m->rate = rate;
}

/* byte belongs to the command before it. false: it is a command itself. */
static bool argument(struct ps2_mouse *m, struct ps2_queue *out, uint8_t byte)
{
    uint8_t command = m->command;

    m->command = 0;
    if (!command || byte >= SCALE_1_1)
        return false;
    if (command == RESOLUTION && byte > 3) {
        answer(m, out, RESEND);
        return true;
    }
    answer(m, out, ACK);
    if (command == RESOLUTION)
        m->resolution = byte;
    else
        set_rate(m, byte);
    return true;
}

static void send_status(struct ps2_mouse *m, struct ps2_queue *out)
{
    uint8_t b = m->buttons;

    ps2_reply(out, (uint8_t)((b & LEFT ? 4 : 0) | (b & MIDDLE ? 2 : 0) | (b & RIGHT ? 1 : 0) |
                             (m->double_scale ? 0x10 : 0) | (m->reporting ? 0x20 : 0) | (m->remote ? 0x40 : 0)));
    ps2_reply(out, m->resolution);
    answer(m, out, m->rate);
}

/* Commands without an answer of their own. false: there is no such command. */
static bool simple(struct ps2_mouse *m, struct ps2_queue *out, uint8_t byte)
{
    switch (byte) {
    case SCALE_1_1:
    case SCALE_2_1: m->double_scale = byte == SCALE_2_1; return true;
    case RESOLUTION:
    case SAMPLE_RATE: m->command = byte; return true;
    case STREAM:
    case REMOTE:
        m->remote = byte == REMOTE;
        forget(m);
        return true;
    case WRAP:
    case END_WRAP:
        m->wrap = byte == WRAP;
        forget(m);
        return true;
    case ENABLE:
    case DISABLE:
        m->reporting = byte == ENABLE;
        forget(m);
        return true;
    case DEFAULTS:
        ps2_clear(out);
        defaults(m);
        return true;
    case RESET:
        ps2_clear(out);
        mouse_reset(m);
        return true;
    case STATUS:
    case READ_DATA:
    case READ_ID: return true;
    default: return false;
    }
}

static void mouse_write(void *s, struct ps2_queue *out, uint8_t byte, uint64_t now)
{
    struct ps2_mouse *m = s;

    (void)now;
    if (m->wrap && byte != RESET && byte != END_WRAP) {
        answer(m, out, byte);
        return;
    }
    if (argument(m, out, byte))
        return;
    if (byte == RESEND) {
        ps2_reply(out, m->last);
        return;
    }
    if (!simple(m, out, byte)) {
        answer(m, out, RESEND);
        return;
    }
    answer(m, out, ACK);
    switch (byte) {
    case STATUS: send_status(m, out); break;
    case READ_DATA: send_packet(m, out); break;
    case READ_ID: answer(m, out, m->id); break;
    case RESET:
        ps2_reply(out, BAT_OK);
        answer(m, out, m->id);
        break;
    }
}

static uint64_t mouse_next(const void *s)
{
    (void)s;
    return CLOCK_NEVER;
}

static bool mouse_down(const void *s, unsigned code)
{
    return code >= BTN_LEFT && code <= BTN_EXTRA && ((const struct ps2_mouse *)s)->buttons >> (code - BTN_LEFT) & 1;
}

static void mouse_sane(void *s)
{
    struct ps2_mouse *m = s;

    if (m->id != WHEEL && m->id != EXPLORER)
        m->id = PLAIN;
    m->dx = clamp(m->dx, -ADDED_MAX, ADDED_MAX);
    m->dy = clamp(m->dy, -ADDED_MAX, ADDED_MAX);
    m->dz = clamp(m->dz, -NOTCHES_MAX, NOTCHES_MAX);
}

const struct ps2_ops ps2_mouse_ops = {
    .name = "PS/2 Mouse",
    .kind = INPUT_MOUSE,
    .reset = mouse_reset,
    .write = mouse_write,
    .event = mouse_event,
    .poll = mouse_poll,
    .next = mouse_next,
    .live = mouse_live,
    .down = mouse_down,
    .sane = mouse_sane,
};
