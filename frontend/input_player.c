/* Steps of keys in a ring, taken by a timer. See input_player.h. */
#include "frontend/input_player.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/clock.h"
#include "devices/input.h"
#include "frontend/keys.h"

enum { GAP_MS = 10 /* between two keys: a driver that polls sees each */, MAX_HOLD_MS = 60000 };

struct step {
    uint16_t code;
    bool down;
    uint32_t then_ms; /* until the next step */
};

struct input_player {
    struct input *in;
    struct timer timer;
    struct step step[INPUT_STEPS_MAX];
    unsigned head, count;
    unsigned buttons;
};

static void play(void *arg)
{
    struct input_player *p = arg;
    const struct step *s = &p->step[p->head];

    if (!p->count)
        return;
    input_key(p->in, s->code, s->down);
    p->head = (p->head + 1) % INPUT_STEPS_MAX;
    p->count--;
    /* armed after the last one too: what is asked for next keeps its distance */
    timer_arm(&p->timer, clock_now(p->timer.clock) + s->then_ms * UINT64_C(1000000));
}

static void add(struct input_player *p, uint16_t code, bool down, unsigned then_ms)
{
    p->step[(p->head + p->count++) % INPUT_STEPS_MAX] = (struct step){code, down, then_ms};
}

static void start(struct input_player *p)
{
    if (p->timer.when == CLOCK_NEVER)
        timer_arm(&p->timer, clock_now(p->timer.clock));
}

struct input_player *input_player_new(struct input *in, struct clock *clock)
{
    struct input_player *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->in = in;
    timer_init(&p->timer, clock, play, p);
    return p;
}

void input_player_free(struct input_player *p)
{
    if (!p)
        return;
    clock_drop_timer(&p->timer);
    free(p);
}

bool input_player_chord(struct input_player *p, const uint16_t *code, unsigned n, unsigned hold_ms)
{
    if (!n || p->count + 2 * n > INPUT_STEPS_MAX)
        return false;
    if (hold_ms > MAX_HOLD_MS)
        hold_ms = MAX_HOLD_MS;
    for (unsigned i = 0; i < n; i++)
        add(p, code[i], true, i + 1 < n ? GAP_MS : hold_ms);
    for (unsigned i = n; i--;)
        add(p, code[i], false, GAP_MS);
    start(p);
    return true;
}

bool input_player_type(struct input_player *p, const char *text, char *bad)
{
    unsigned steps = 0;
    uint16_t code;
    bool shift;

    *bad = 0;
    for (const char *c = text; *c; c++) {
        if (!key_for_char(*c, &code, &shift)) {
            *bad = *c;
            return false;
        }
        steps += shift ? 4 : 2;
    }
    if (p->count + steps > INPUT_STEPS_MAX)
        return false;
    for (; *text; text++) {
        key_for_char(*text, &code, &shift);
        if (shift)
            add(p, KEY_LEFTSHIFT, true, GAP_MS);
        add(p, code, true, GAP_MS);
        add(p, code, false, GAP_MS);
        if (shift)
            add(p, KEY_LEFTSHIFT, false, GAP_MS);
    }
    start(p);
    return true;
}

void input_player_buttons(struct input_player *p, unsigned mask)
{
    static const uint16_t code[] = {BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA};
    struct input_event e[ARRAY_LEN(code) + 1];
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(code); i++)
        if ((p->buttons ^ mask) >> i & 1)
            e[n++] = (struct input_event){.type = INPUT_BUTTON, .code = code[i], .value = mask >> i & 1};
    p->buttons = mask;
    e[n++] = (struct input_event){.type = INPUT_SYN};
    if (n > 1)
        input_send(p->in, e, n);
}

void input_player_clear(struct input_player *p)
{
    timer_cancel(&p->timer);
    p->count = 0;
    p->buttons = 0;
}
