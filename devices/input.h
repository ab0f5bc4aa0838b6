/*
 * Keys and pointers, from whoever has them (a window, the monitor, a script) to the guest's input devices.
 *
 * One struct input a machine. Devices register what they are; a source sends events in terms of Linux input codes
 * (linux/input-event-codes.h), in groups that end with INPUT_SYN. Each event goes to the first device of its kind that
 * the guest's driver has enabled, the newest device being first until input_select puts another there: keys to a
 * keyboard, absolute positions to a tablet (or multitouch), relative motion to a mouse, buttons and wheel to the live
 * pointer, which is the first of all that are no keyboards. What was pressed at a device is released there, whatever
 * has become first since, and at most once; a second press of what is down is dropped. Everything passes the input
 * gate (source "input", the events as they are), so that a run can be replayed.
 *
 * Threads: sends may come from any thread, also with a device's lock held; handlers are called on the loop's thread
 * without locks. Registration and selection: the loop's thread, or while the loop does not run.
 */
#ifndef DEVICES_INPUT_H
#define DEVICES_INPUT_H

#include <stdbool.h>
#include <stdint.h>

struct gate;
struct input;
struct loop;

enum input_kind { INPUT_KEYBOARD, INPUT_TABLET, INPUT_MOUSE, INPUT_TOUCH, INPUT_KINDS };
enum {
    INPUT_ABS_MAX = 32767,
    INPUT_CODES = 0x300, /* keys and buttons have codes below: Linux's KEY_CNT */
    INPUT_SLOTS = 10,    /* fingers */
    INPUT_QUEUE = 4096,  /* events that may wait */
    INPUT_GROUP = 256,   /* events of a group; a longer one is ended there, and another begins */
};

enum input_type {
    INPUT_KEY,         /* code KEY_*, value 1 down, 0 up (repeat is the guest's) */
    INPUT_BUTTON,      /* code BTN_LEFT..., value 1, 0: to the pointer that is live */
    INPUT_ABS,         /* code 0 x, 1 y; value 0..INPUT_ABS_MAX over the whole screen */
    INPUT_REL,         /* code 0 x, 1 y; value in pixels */
    INPUT_WHEEL,       /* code 0 vertical (up is positive), 1 horizontal (right is positive); value in notches */
    INPUT_TOUCH_POINT, /* code: slot < INPUT_SLOTS; value: 1 down or moved to the group's last INPUT_ABS pair, 0 up */
    INPUT_SYN,         /* ends what belongs together */
};

struct input_event {
    uint8_t type; /* enum input_type */
    uint8_t zero;
    uint16_t code;
    int32_t value;
};

struct input_handler {
    enum input_kind kind;
    const char *name; /* for `info mice`; borrowed */
    /* n events, of which the last is the only INPUT_SYN, with codes and values as above; on the loop's thread. */
    void (*event)(void *dev, const struct input_event *e, unsigned n);
    void *dev;
    /* input.c's own: */
    struct input *input;
    struct input_handler *next;
    unsigned id; /* in the order of registration, from 1 */
    bool live;   /* the guest's driver listens */
};

struct input *input_new(struct loop *loop, struct gate *gate); /* NULL: out of memory */
void input_free(struct input *in); /* NULL: nothing; handlers that are still there are unregistered */
void input_register(struct input *in, struct input_handler *h); /* not live; lives until input_unregister */
void input_unregister(struct input_handler *h);                 /* of one that is not registered: nothing */
/* Any thread, also with the device's lock held. false: nothing is down there any more, ups are not sent. */
void input_set_live(struct input_handler *h, bool live);
/*
 * For a device whose state was restored, after input_set_live: the guest was told that this is down (code: a slot when
 * finger). Its release finds it there; who restores a machine for a person calls input_release_all.
 */
void input_set_down(struct input_handler *h, uint16_t code, bool finger);

/*
 * n events, the last of which is INPUT_SYN. Of more than INPUT_QUEUE that wait the oldest groups are dropped whole, but
 * ups of what was pressed never.
 */
void input_send(struct input *in, const struct input_event *e, unsigned n);
void input_key(struct input *in, uint16_t code, bool down);   /* with its SYN */
void input_release_all(struct input *in);                     /* up for every key, button and finger that is down */
bool input_is_absolute(const struct input *in);               /* the live pointer takes INPUT_ABS; none live: true */
bool input_has(const struct input *in, enum input_kind kind); /* one is live */
/* Make a pointer the first of its kind and of all pointers. false: no such id, or it is a keyboard. */
bool input_select(struct input *in, unsigned id);
/* Lock lights as the guest sets them: bits LED_NUML 0, LED_CAPSL 1, LED_SCROLLL 2. Any thread. */
void input_leds(struct input *in, uint32_t mask);
uint32_t input_leds_get(const struct input *in);
/* For `info mice`: fn for each handler, first to last; current: it is the pointer that is live. fn may not call input_*. */
void input_each(const struct input *in, void (*fn)(void *arg, const struct input_handler *h, bool current), void *arg);

#endif
