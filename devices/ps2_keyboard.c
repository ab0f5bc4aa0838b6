/*
 * A PS/2 keyboard; see ps2.h. It starts with scan code set 2 and repeats the key that was pressed last.
 *
 * A press for which there is no room is dropped with all that belongs to it; a release waits in `late` for room, so that
 * no key hangs. Every key makes, breaks and repeats until the host says otherwise for set 3.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "base/clock.h"
#include "devices/ps2.h"

enum { /* commands */
       SET_LEDS = 0xed,
       ECHO = 0xee,
       SCAN_SET = 0xf0,
       READ_ID = 0xf2,
       SET_RATE = 0xf3,
       ENABLE = 0xf4,
       DISABLE = 0xf5, /* with the defaults */
       DEFAULTS = 0xf6,
       ALL_REPEAT = 0xf7, /* from here to KEY_MAKE: how keys of set 3 behave */
       ALL_MAKE_BREAK = 0xf8,
       ALL_MAKE = 0xf9,
       ALL_BOTH = 0xfa,
       KEY_REPEATS = 0xfb,
       KEY_MAKE_BREAK = 0xfc,
       KEY_MAKE = 0xfd,
       RESEND = 0xfe,
       RESET = 0xff,
};
enum { ACK = 0xfa, BAT_OK = 0xaa, ID_1 = 0xab, ID_2 = 0x83, RELEASE = 0xf0, PREFIX = 0xe0, PAUSE_PREFIX = 0xe1 };
enum { MODE_BREAK = 1, MODE_REPEAT = 2, DEFAULT_RATE = 0x2b /* 500 ms, then 10.9 a second */, SEQUENCE = 8 };

static bool get(const uint64_t *bits, unsigned i) { return bits[i / 64] >> (i % 64) & 1; }

static void set(uint64_t *bits, unsigned i, bool on)
{
    bits[i / 64] = (bits[i / 64] & ~(UINT64_C(1) << (i % 64))) | (uint64_t)on << (i % 64);
}

/* --- scan codes --- */

static unsigned copy(uint8_t out[SEQUENCE], const uint8_t *from, unsigned n)
{
    memcpy(out, from, n);
    return n;
}

static unsigned plain(unsigned scan_set, uint16_t code, bool down, uint8_t out[SEQUENCE])
{
    unsigned n = 0;

    if (code > 0xff)
        out[n++] = PREFIX;
    if (!down && scan_set != 1)
        out[n++] = RELEASE;
    out[n++] = (uint8_t)(code | (!down && scan_set == 1 ? 0x80 : 0));
    return n;
}

/* Pause is told as pressed and released at once, and its release as nothing; with Ctrl it is Break. */
static unsigned pause(const struct ps2_keyboard *k, bool down, uint8_t out[SEQUENCE])
{
    static const uint8_t one[] = {PAUSE_PREFIX, 0x1d, 0x45, PAUSE_PREFIX, 0x9d, 0xc5};
    static const uint8_t two[] = {PAUSE_PREFIX, 0x14, 0x77, PAUSE_PREFIX, RELEASE, 0x14, RELEASE, 0x77};
    static const uint8_t break_one[] = {PREFIX, 0x46, PREFIX, 0xc6},
                         break_two[] = {PREFIX, 0x7e, PREFIX, RELEASE, 0x7e};
    bool ctrl = get(k->down, KEY_LEFTCTRL) || get(k->down, KEY_RIGHTCTRL);

    if (!down)
        return 0;
    if (k->set == 1)
        return ctrl ? copy(out, break_one, sizeof break_one) : copy(out, one, sizeof one);
    return ctrl ? copy(out, break_two, sizeof break_two) : copy(out, two, sizeof two);
}

/* Print Screen is a grey key with a shift of its own; with Alt it is another key, System Request. */
static unsigned print(const struct ps2_keyboard *k, bool down, uint8_t out[SEQUENCE])
{
    static const uint8_t make_one[] = {PREFIX, 0x2a, PREFIX, 0x37}, break_one[] = {PREFIX, 0xb7, PREFIX, 0xaa};
    static const uint8_t make_two[] = {PREFIX, 0x12, PREFIX, 0x7c},
                         break_two[] = {PREFIX, RELEASE, 0x7c, PREFIX, RELEASE, 0x12};

    if (get(k->down, KEY_LEFTALT) || get(k->down, KEY_RIGHTALT))
        return plain(k->set, k->set == 1 ? 0x54 : 0x84, down, out);
    if (k->set == 1)
        return down ? copy(out, make_one, sizeof make_one) : copy(out, break_one, sizeof break_one);
    return down ? copy(out, make_two, sizeof make_two) : copy(out, break_two, sizeof break_two);
}

static unsigned sequence(const struct ps2_keyboard *k, unsigned key, bool down, uint8_t out[SEQUENCE])
{
    uint16_t code = ps2_codes[key].set[k->set - 1];

    if (!code || (k->set == 3 && !down && !(k->key_mode[code] & MODE_BREAK)))
        return 0;
    if (k->set != 3 && key == KEY_PAUSE)
        return pause(k, down, out);
    if (k->set != 3 && key == KEY_SYSRQ)
        return print(k, down, out);
    return plain(k->set, code, down, out);
}

/* --- keys --- */

static uint64_t delay(const struct ps2_keyboard *k) { return (uint64_t)((k->rate >> 5 & 3) + 1) * 250000000; }

/* (8 + low 3 bits) * 2^(next 2 bits) * 4.17 ms */
static uint64_t period(const struct ps2_keyboard *k)
{
    return (uint64_t)(8 + (k->rate & 7)) * (1u << (k->rate >> 3 & 3)) * 4170000;
}

static bool repeats(const struct ps2_keyboard *k, unsigned key)
{
    return key != KEY_PAUSE && (k->set != 3 || k->key_mode[ps2_codes[key].set[2]] & MODE_REPEAT);
}

/* false: there is no room for it. */
static bool send_key(struct ps2_keyboard *k, struct ps2_queue *out, unsigned key, bool down)
{
    uint8_t byte[SEQUENCE];
    unsigned n = sequence(k, key, down, byte);

    if (n > ps2_room(out))
        return false;
    ps2_put(out, byte, n);
    set(k->down, key, down);
    return true;
}

static bool send_late(struct ps2_keyboard *k, struct ps2_queue *out)
{
    for (unsigned i = 0; i < PS2_KEYS; i++) {
        if (!get(k->late, i))
            continue;
        if (!send_key(k, out, i, false))
            return false;
        set(k->late, i, false);
    }
    return true;
}

static void press(struct ps2_keyboard *k, struct ps2_queue *out, unsigned key, uint64_t now)
{
    if (!ps2_codes[key].set[k->set - 1] || !send_late(k, out) || !send_key(k, out, key, true))
        return;
    k->repeats = (uint8_t)key;
    k->repeat_at = repeats(k, key) ? now + delay(k) : CLOCK_NEVER;
}

static void release(struct ps2_keyboard *k, struct ps2_queue *out, unsigned key)
{
    if (k->repeats == key)
        k->repeat_at = CLOCK_NEVER;
    if (get(k->down, key) && (!send_late(k, out) || !send_key(k, out, key, false)))
        set(k->late, key, true);
}

static void keyboard_event(void *s, struct ps2_queue *out, const struct input_event *e, unsigned n, uint64_t now)
{
    struct ps2_keyboard *k = s;

    for (unsigned i = 0; i < n; i++) {
        if (e[i].type != INPUT_KEY || e[i].code >= PS2_KEYS || !k->scanning)
            continue;
        if (e[i].value)
            press(k, out, e[i].code, now);
        else
            release(k, out, e[i].code);
    }
}

static void keyboard_poll(void *s, struct ps2_queue *out, uint64_t now)
{
    struct ps2_keyboard *k = s;

    send_late(k, out);
    if (k->repeat_at > now)
        return;
    if (!out->count) /* a host that does not read gets no more of the same */
        send_key(k, out, k->repeats, true);
    k->repeat_at = now + period(k);
}

static uint64_t keyboard_next(const void *s) { return ((const struct ps2_keyboard *)s)->repeat_at; }

/* --- commands --- */

static void all_keys(struct ps2_keyboard *k, uint8_t mode) { memset(k->key_mode, mode, sizeof k->key_mode); }

static void forget_keys(struct ps2_keyboard *k)
{
    memset(k->down, 0, sizeof k->down);
    memset(k->late, 0, sizeof k->late);
    k->repeat_at = CLOCK_NEVER;
}

static void defaults(struct ps2_keyboard *k)
{
    k->set = 2;
    k->rate = DEFAULT_RATE;
    all_keys(k, MODE_BREAK | MODE_REPEAT);
    forget_keys(k);
}

static void keyboard_reset(void *s)
{
    struct ps2_keyboard *k = s;

    defaults(k);
    k->scanning = true;
}

static void answer(struct ps2_keyboard *k, struct ps2_queue *out, uint8_t byte)
{
    k->last = byte;
    ps2_reply(out, byte);
}

/* byte belongs to the command before it. false: it is a command itself. */
static bool argument(struct ps2_keyboard *k, struct ps2_queue *out, uint8_t byte)
{
    uint8_t command = k->command;

    if (!command || byte >= SET_LEDS)
        return false;
    if (command < KEY_REPEATS) /* those take codes until the next command */
        k->command = 0;
    if (command == SCAN_SET && byte > 3) {
        answer(k, out, RESEND);
        return true;
    }
    answer(k, out, ACK);
    switch (command) {
    case SET_LEDS: k->leds = byte & 7; break;
    case SET_RATE: k->rate = byte & 0x7f; break;
    case KEY_REPEATS: k->key_mode[byte] = MODE_REPEAT; break;
    case KEY_MAKE_BREAK: k->key_mode[byte] = MODE_BREAK; break;
    case KEY_MAKE: k->key_mode[byte] = 0; break;
    case SCAN_SET:
        if (byte)
            k->set = byte;
        else
            answer(k, out, k->set);
        break;
    }
    return true;
}

static void begin(struct ps2_keyboard *k, struct ps2_queue *out, bool scanning)
{
    ps2_clear(out);
    forget_keys(k);
    k->scanning = scanning;
}

static void keyboard_write(void *s, struct ps2_queue *out, uint8_t byte, uint64_t now)
{
    struct ps2_keyboard *k = s;

    (void)now;
    if (argument(k, out, byte))
        return;
    k->command = 0;
    switch (byte) {
    case ECHO: answer(k, out, ECHO); return;
    case RESEND: ps2_reply(out, k->last); return;
    case SET_LEDS:
    case SCAN_SET:
    case SET_RATE:
    case KEY_REPEATS:
    case KEY_MAKE_BREAK:
    case KEY_MAKE: k->command = byte; break;
    case READ_ID: break;
    case ENABLE: begin(k, out, true); break;
    case DISABLE:
    case DEFAULTS:
        begin(k, out, byte == DEFAULTS);
        defaults(k);
        break;
    case ALL_REPEAT: all_keys(k, MODE_REPEAT); break;
    case ALL_MAKE_BREAK: all_keys(k, MODE_BREAK); break;
    case ALL_MAKE: all_keys(k, 0); break;
    case ALL_BOTH: all_keys(k, MODE_BREAK | MODE_REPEAT); break;
    case RESET:
        begin(k, out, true);
        defaults(k);
        k->leds = 0;
        break;
    default: answer(k, out, RESEND); return;
    }
    answer(k, out, ACK);
    if (byte == READ_ID) {
        ps2_reply(out, ID_1);
        answer(k, out, ID_2);
    } else if (byte == RESET) {
        answer(k, out, BAT_OK);
    }
}

static bool keyboard_live(const void *s) { return ((const struct ps2_keyboard *)s)->scanning; }

static bool keyboard_down(const void *s, unsigned code)
{
    return code < PS2_KEYS && get(((const struct ps2_keyboard *)s)->down, code);
}

static void keyboard_sane(void *s)
{
    struct ps2_keyboard *k = s;

    if (k->set < 1 || k->set > 3)
        k->set = 2;
    for (unsigned i = 0; i < PS2_KEYS / 64; i++)
        k->late[i] &= k->down[i];
    k->leds &= 7;
    k->scanning = k->scanning != 0;
}

const struct ps2_ops ps2_keyboard_ops = {
    .name = "PS/2 Keyboard",
    .kind = INPUT_KEYBOARD,
    .reset = keyboard_reset,
    .write = keyboard_write,
    .event = keyboard_event,
    .poll = keyboard_poll,
    .next = keyboard_next,
    .live = keyboard_live,
    .down = keyboard_down,
    .sane = keyboard_sane,
};
