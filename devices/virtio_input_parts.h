/* The inside of virtio-input: the device (virtio_input.c), what it says it is (_config.c), what it sends (_event.c). */
#ifndef DEVICES_VIRTIO_INPUT_PARTS_H
#define DEVICES_VIRTIO_INPUT_PARTS_H

#include "devices/virtio_input.h"

enum {
    VINPUT_QUEUE = 64, /* entries of either queue, as in QEMU; Linux fills as many */
    VINPUT_EVENT = 8,  /* bytes: type, code, value */
    VINPUT_DATA = 128, /* bytes an answer of the configuration space has room for */
    VINPUT_SERIAL = 64,
};

/* Linux's types of events. */
enum { EVENT_SYN = 0, EVENT_KEY = 1, EVENT_REL = 2, EVENT_ABS = 3, EVENT_LED = 0x11, EVENT_REP = 0x14 };

struct vinput_event {
    uint16_t type, code;
    uint32_t value;
};

/* A group on its way to the guest. */
struct vinput_group {
    struct vinput_event e[VINPUT_QUEUE];
    unsigned n;
    bool overflow; /* it is longer than the queue */
};

/* What the guest has been told. Fingers are those of a touch screen. */
struct vinput_told {
    uint64_t held[INPUT_CODES / 64]; /* keys and buttons that are down */
    uint32_t x, y;                   /* the last position */
    uint16_t fingers;                /* that are down, a bit each */
    uint16_t tracking;               /* id of the last finger that came */
    uint8_t mouse_finger;            /* finger 0 is a mouse's left button */
    uint8_t zero[3];
};

/* A row of what the device has: codes first to last of a type. */
struct vinput_row {
    uint16_t type, first, last;
};

struct vinput_model {
    const char *name; /* by which guests know it */
    uint16_t product, version;
    const struct vinput_row *row; /* type 0 ends */
    bool direct;                  /* touched where it shows */
};

struct vinput {
    struct virtio_dev v; /* first */
    struct input *input;
    struct input_handler handler;
    const struct vinput_model *model;
    char serial[VINPUT_SERIAL];
    struct virtq_chain chain[VINPUT_QUEUE];
    uint64_t dropped; /* groups */
    /* state */
    struct vinput_told told;
    uint64_t late[INPUT_CODES / 64]; /* releases the guest had no room for; all of them are held */
    uint16_t late_fingers;
    uint8_t leds;
};

/* _config.c */
const struct vinput_model *vinput_model_of(enum input_kind kind);
bool vinput_has(const struct vinput_model *m, unsigned type, unsigned code);
/* The answer to select and subsel; its size, 0: there is none. */
unsigned vinput_answer(const struct vinput *d, unsigned select, unsigned subsel, uint8_t data[VINPUT_DATA]);

/* _event.c */
/* What n events with their SYN are to the guest, which has been told t; t becomes what it has been told then. */
void vinput_translate(const struct vinput *d, struct vinput_told *t, const struct input_event *e, unsigned n,
                      struct vinput_group *g);
/* The group was dropped: keep its releases. */
void vinput_keep_releases(struct vinput *d, const struct input_event *e, unsigned n);
bool vinput_is_late(const struct vinput *d);
/* As many late releases as a group takes, and out of the late ones. */
void vinput_take_late(struct vinput *d, struct vinput_told *t, struct vinput_group *g);

#endif
