/*
 * PS/2 keyboard and mouse: what hangs on the cable of a PS/2 port, as commands go in and bytes come out.
 *
 * A device is plain state plus a table of functions; the port (altera_ps2.c) owns both, its lock is held, and it says
 * what time it is. Bytes for the host gather in a queue that the port empties. Its state may lie in a snapshot.
 * Source: IBM PS/2 Hardware Interface Technical Reference, keyboard and mouse; Linux drivers/input.
 */
#ifndef DEVICES_PS2_H
#define DEVICES_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/input.h"

enum {
    PS2_FIFO = 256,   /* bytes, as the port's */
    PS2_REPLIES = 16, /* of them kept for answers to commands: keys and motion leave them free */
    PS2_KEYS = 256,   /* codes of keys below */
};

/* Bytes on their way to the host. */
struct ps2_queue {
    uint8_t byte[PS2_FIFO];
    uint16_t head, count;
};

unsigned ps2_room(const struct ps2_queue *q); /* bytes; for keys and motion */
void ps2_put(struct ps2_queue *q, const uint8_t *byte, unsigned n);
void ps2_reply(struct ps2_queue *q, uint8_t byte); /* one too many is lost */
uint8_t ps2_get(struct ps2_queue *q);              /* 0: there is none */
void ps2_clear(struct ps2_queue *q);

/* All times are the machine clock's ns. */
struct ps2_ops {
    const char *name; /* of the instance in `info mice` */
    enum input_kind kind;
    void (*reset)(void *s); /* power on; s is zeroed */
    void (*write)(void *s, struct ps2_queue *out, uint8_t byte, uint64_t now);
    void (*event)(void *s, struct ps2_queue *out, const struct input_event *e, unsigned n, uint64_t now);
    void (*poll)(void *s, struct ps2_queue *out, uint64_t now); /* there may be room again, or next has come */
    uint64_t (*next)(const void *s);                            /* when to poll without need; CLOCK_NEVER */
    bool (*live)(const void *s);                                /* the host wants to hear of it */
    bool (*down)(const void *s, unsigned code);                 /* the host was told that it is */
    void (*sane)(void *s);                                      /* after restore: indices are put right */
};

extern const struct ps2_ops ps2_keyboard_ops, ps2_mouse_ops;

/* What a key sends, in each scan code set; 0: nothing. Those of sets 1 and 2 may have a prefix: 0xe0xx. */
struct ps2_code {
    uint16_t set[3];
};
extern const struct ps2_code ps2_codes[PS2_KEYS];

struct ps2_keyboard {
    uint64_t repeat_at;           /* CLOCK_NEVER: nothing repeats */
    uint64_t down[PS2_KEYS / 64]; /* as the host was told */
    uint64_t late[PS2_KEYS / 64]; /* releases that found no room; all of them are down */
    uint8_t set, leds;
    uint8_t command; /* whose argument comes next; 0: none */
    uint8_t rate;    /* of repeating, as the host gave it */
    uint8_t repeats; /* the key's code */
    uint8_t scanning, last;
    uint8_t key_mode[PS2_KEYS]; /* by code of set 3: PS2_BREAK, PS2_REPEAT */
};

struct ps2_mouse {
    int32_t dx, dy, dz; /* not told yet; dz: notches, away from the hand is positive */
    uint8_t buttons;    /* left 1, right 2, middle 4, side 8, extra 16 */
    uint8_t told;       /* the buttons of the last packet */
    uint8_t command, id, rate, resolution;
    uint8_t knock[2]; /* the sample rates set before the last */
    uint8_t reporting, remote, wrap, double_scale, last;
};

#endif
