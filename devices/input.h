/*
 * Keys and pointers, from whoever has them (a window, the monitor, a script) to the guest's input devices.
 *
 * One struct input a machine. Devices register what they are; a source sends events in terms of Linux input codes
 * (linux/input-event-codes.h), and each event goes to the newest device of its kind that the guest's driver has enabled:
 * keys to a keyboard, absolute positions to a tablet (or multitouch), relative motion to a mouse. A source asks which of the two
 * pointers is live. Everything passes the input gate, so that a run can be replayed.
 * Threads: sends may come from any thread; devices are called on the loop's thread without locks.
 */
#ifndef DEVICES_INPUT_H
#define DEVICES_INPUT_H

#include <stdbool.h>
#include <stdint.h>

struct gate;
struct input;
struct loop;

enum input_kind { INPUT_KEYBOARD, INPUT_TABLET, INPUT_MOUSE, INPUT_TOUCH, INPUT_KINDS };
enum { INPUT_ABS_MAX = 32767 };

enum input_type {
    INPUT_KEY,    /* code KEY_*, value 1 down, 0 up (repeat is the guest's) */
    INPUT_BUTTON, /* code BTN_LEFT..., value 1, 0: to the pointer that is live */
    INPUT_ABS,    /* code 0 x, 1 y; value 0..INPUT_ABS_MAX over the whole screen */
    INPUT_REL,    /* code 0 x, 1 y; value in pixels */
    INPUT_WHEEL,  /* code 0 vertical (up is positive), 1 horizontal; value in notches */
    INPUT_TOUCH_POINT, /* code: slot; value: 1 down or moved to the last INPUT_ABS pair, 0 up */
    INPUT_SYN,    /* ends what belongs together */
};

struct input_event {
    uint8_t type; /* enum input_type */
    uint8_t slot;
    uint16_t code;
    int32_t value;
};

struct input_handler {
    enum input_kind kind;
    const char *name; /* for `info mice`; borrowed */
    void (*event)(void *dev, const struct input_event *e, unsigned n); /* up to and including one INPUT_SYN; loop's thread */
    void *dev;
    /* input.c's own: */
    struct input *input;
    struct input_handler *next;
    bool live; /* the guest's driver listens */
};

struct input *input_new(struct loop *loop, struct gate *gate);
void input_free(struct input *in);
void input_register(struct input *in, struct input_handler *h); /* lives until input_unregister */
void input_unregister(struct input_handler *h);
void input_set_live(struct input_handler *h, bool live); /* any thread */

/* n events, the last of which is INPUT_SYN. More than 4096 that wait are dropped, oldest whole groups first, key ups never. */
void input_send(struct input *in, const struct input_event *e, unsigned n);
void input_key(struct input *in, uint16_t code, bool down); /* with its SYN */
void input_release_all(struct input *in);                   /* up for every key and button that is down */
bool input_is_absolute(const struct input *in);             /* the live pointer takes INPUT_ABS; none live: true */
bool input_has(const struct input *in, enum input_kind kind);
/* Lock lights as the guest sets them: LED_NUML 0, LED_CAPSL 1, LED_SCROLLL 2. */
void input_leds(struct input *in, uint32_t mask);
uint32_t input_leds_get(const struct input *in);
/* Handlers for `info mice`: fn for each; the live pointer is marked. */
void input_each(const struct input *in, void (*fn)(void *arg, const struct input_handler *h, bool current), void *arg);

#endif
