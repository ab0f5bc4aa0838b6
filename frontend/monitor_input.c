/* The monitor and the guest's keyboards and pointers: sendkey, type, mouse_*, info mice, info keyboard. */
#include <inttypes.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/input.h"
#include "frontend/input_player.h"
#include "frontend/keys.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "frontend/options.h"

/* --- keys --- */

/* A key by name, by number (0x1e), or "<", as in old scripts. */
static uint16_t key_of(const char *word, size_t len)
{
    char *end;
    unsigned long number;

    if (len == 1 && *word == '<')
        return key_by_name("less", 4);
    if (strncmp(word, "0x", 2))
        return key_by_name(word, len);
    number = strtoul(word, &end, 16);
    return end == word + len ? key_by_number(number) : 0;
}

/* ctrl-alt-f1 [hold_ms] */
void monitor_sendkey(struct machine *m, char *args, FILE *out)
{
    const char *word = monitor_word(&args), *hold = monitor_word(&args);
    uint16_t code[INPUT_CHORD_MAX];
    uint64_t ms = INPUT_HOLD_MS;
    unsigned n = 0;

    if (!word || (hold && !parse_u64(hold, &ms)) || monitor_word(&args)) {
        fputs("expected: sendkey KEY[-KEY...] [HOLD_MS]\n", out);
        return;
    }
    for (;; word++) {
        size_t len = strcspn(word, "-");

        if (n == INPUT_CHORD_MAX) {
            fprintf(out, "more than %d keys at once\n", INPUT_CHORD_MAX);
            return;
        }
        code[n] = key_of(word, len);
        if (!code[n++]) {
            fprintf(out, "invalid parameter: %.*s\n", (int)len, word);
            return;
        }
        word += len;
        if (!*word)
            break;
    }
    if (!input_player_chord(machine_input_player(m), code, n, ms > UINT32_MAX ? UINT32_MAX : (unsigned)ms))
        fputs("too many keys wait to be sent\n", out);
}

/* In place: \n \t \b \e and \\ . */
static void unescape(char *text)
{
    static const char from[] = "ntbe\\", to[] = "\n\t\b\x1b\\";
    char *w = text;

    for (; *text; text++) {
        const char *hit = text[0] == '\\' && text[1] ? strchr(from, text[1]) : NULL;

        *w++ = hit ? to[hit - from] : *text;
        text += hit != NULL;
    }
    *w = 0;
}

void monitor_type(struct machine *m, char *args, FILE *out)
{
    char bad;

    args += *args == ' ';
    if (!*args) {
        fputs("expected: type TEXT, with \\n for Enter\n", out);
        return;
    }
    unescape(args);
    if (input_player_type(machine_input_player(m), args, &bad))
        return;
    if (bad)
        fprintf(out, "no key types byte 0x%02x; nothing was typed\n", (unsigned char)bad);
    else
        fputs("too many keys wait to be sent\n", out);
}

void monitor_release_keys(struct machine *m, char *args, FILE *out)
{
    (void)args;
    (void)out;
    input_player_clear(machine_input_player(m));
    input_release_all(machine_input(m));
}

void monitor_complete_keys(const char *typed, void (*fn)(void *arg, const char *word), void *arg)
{
    const char *last = strrchr(typed, '-');
    size_t before = last ? (size_t)(last + 1 - typed) : 0;

    for (const struct key *k = keys; k->name; k++) {
        char word[256];

        if (strncmp(k->name, typed + before, strlen(typed + before)))
            continue;
        snprintf(word, sizeof word, "%.*s%s", (int)before, typed, k->name);
        fn(arg, word);
    }
}

/* --- pointers --- */

static bool number(const char *word, int32_t *val)
{
    char *end;
    long v = word ? strtol(word, &end, 0) : 0;

    *val = (int32_t)v;
    return word && end != word && !*end && v >= INT32_MIN && v <= INT32_MAX;
}

/* mouse_move X Y [Z]: by pixels, or to a place where the live pointer knows places; Z turns the wheel a notch. */
void monitor_mouse_move(struct machine *m, char *args, FILE *out)
{
    struct input *in = machine_input(m);
    bool absolute = input_is_absolute(in);
    uint8_t type = absolute ? INPUT_ABS : INPUT_REL;
    const char *x = monitor_word(&args), *y = monitor_word(&args), *z = monitor_word(&args);
    int32_t dx, dy, dz = 0;

    if (!number(x, &dx) || !number(y, &dy) || (z && !number(z, &dz))) {
        fputs("expected: mouse_move X Y [Z]\n", out);
    } else if (absolute && (dx < 0 || dy < 0 || dx > INPUT_ABS_MAX || dy > INPUT_ABS_MAX)) {
        fprintf(out, "the pointer takes positions of 0 to %d\n", INPUT_ABS_MAX);
    } else {
        struct input_event e[4] = {{.type = type, .code = 0, .value = dx}, {.type = type, .code = 1, .value = dy}};
        unsigned n = 2;

        if (dz)
            e[n++] = (struct input_event){.type = INPUT_WHEEL, .value = dz > 0 ? 1 : -1};
        e[n++] = (struct input_event){.type = INPUT_SYN};
        input_send(in, e, n);
    }
}

void monitor_mouse_button(struct machine *m, char *args, FILE *out)
{
    int32_t mask;

    if (number(monitor_word(&args), &mask) && mask >= 0 && mask < 32)
        input_player_buttons(machine_input_player(m), (unsigned)mask);
    else
        fputs("expected: mouse_button MASK, of 1 left, 2 right, 4 middle, 8 side, 16 extra\n", out);
}

struct search {
    unsigned id;
    const char *name;
};

static void look(void *arg, const struct input_handler *h, bool current)
{
    struct search *s = arg;

    (void)current;
    if (h->id == s->id)
        s->name = h->name;
}

void monitor_mouse_set(struct machine *m, char *args, FILE *out)
{
    struct search s = {0};
    int32_t id;

    if (!number(monitor_word(&args), &id)) {
        fputs("expected: mouse_set NUMBER; see info mice\n", out);
        return;
    }
    s.id = (unsigned)id;
    if (input_select(machine_input(m), s.id))
        return;
    input_each(machine_input(m), look, &s);
    if (s.name)
        fprintf(out, "Error: Input device '%s' is not a mouse\n", s.name);
    else
        fprintf(out, "Error: Mouse at index '%" PRId32 "' not found\n", id);
}

struct listing {
    FILE *out;
    bool pointers;
    unsigned n;
};

static void list(void *arg, const struct input_handler *h, bool current)
{
    struct listing *l = arg;

    if (l->pointers != (h->kind != INPUT_KEYBOARD))
        return;
    l->n++;
    if (l->pointers)
        fprintf(l->out, "%c Mouse #%u: %s%s\n", current ? '*' : ' ', h->id, h->name,
                h->kind == INPUT_MOUSE ? "" : " (absolute)");
    else
        fprintf(l->out, "Keyboard #%u: %s%s\n", h->id, h->name, h->live ? "" : " (no driver listens)");
}

void monitor_info_mice(struct machine *m, char *args, FILE *out)
{
    struct listing l = {out, true, 0};

    (void)args;
    input_each(machine_input(m), list, &l);
    if (!l.n)
        fputs("No mouse devices connected\n", out);
}

void monitor_info_keyboard(struct machine *m, char *args, FILE *out)
{
    static const char *const lights[] = {"num lock", "caps lock", "scroll lock"};
    struct listing l = {out, false, 0};
    uint32_t leds = input_leds_get(machine_input(m));

    (void)args;
    input_each(machine_input(m), list, &l);
    if (!l.n)
        fputs("No keyboards connected\n", out);
    for (unsigned i = 0; i < 3; i++)
        if (leds >> i & 1)
            fprintf(out, "%s is lit\n", lights[i]);
}
