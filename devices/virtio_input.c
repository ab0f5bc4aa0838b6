/*
 * The device of virtio-input: two queues, its lights, reset and restore; see virtio_input.h.
 *
 * A group's buffers are taken first, all or none, so that the guest never sees half of one. `told` is what the guest
 * knows: it changes only with a group that went out.
 */
#include "devices/virtio_input.h"

#include <inttypes.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_input_parts.h"

enum { EVENTS = 0, STATUS = 1 };
enum { C_SELECT = 0, C_SUBSEL = 1, C_SIZE = 2, C_DATA = 8, C_LEN = C_DATA + VINPUT_DATA };

/* --- to the guest --- */

/* n buffers into d->chain, or none and a kick when there are more. */
static bool take_buffers(struct vinput *d, struct virtq *q, unsigned n)
{
    unsigned have = 0;

    while (have < n && (virtq_pop(q, &d->chain[have]) || (virtq_rearm(q) && virtq_pop(q, &d->chain[have]))))
        have++;
    if (have == n)
        return true;
    while (have && !d->v.broken)
        virtq_unpop(&d->chain[--have]);
    return false;
}

static bool send_group(struct vinput *d, const struct vinput_group *g)
{
    struct virtq *q = &d->v.vq[EVENTS];
    uint64_t written[VINPUT_QUEUE];

    if (!g->n)
        return true;
    if (g->overflow || !take_buffers(d, q, g->n))
        return false;
    for (unsigned i = 0; i < g->n; i++) {
        uint8_t raw[VINPUT_EVENT];

        st16(raw, g->e[i].type);
        st16(raw + 2, g->e[i].code);
        st32(raw + 4, g->e[i].value);
        written[i] = chain_write(&d->chain[i], 0, raw, sizeof raw);
        if (written[i] < sizeof raw)
            log_guest(&d->v.dev, "%" PRIu64 " bytes of room for an event", written[i]);
    }
    virtq_push_all(d->chain, g->n, written);
    virtq_notify(q);
    virtq_hush(q);
    return true;
}

/* Releases from before. false: some still wait. */
static bool send_late(struct vinput *d)
{
    while (vinput_is_late(d)) {
        struct vinput_told told = d->told;
        struct vinput_group g;
        uint64_t late[INPUT_CODES / 64];
        uint16_t late_fingers = d->late_fingers;

        memcpy(late, d->late, sizeof late);
        vinput_take_late(d, &told, &g);
        if (!send_group(d, &g)) {
            memcpy(d->late, late, sizeof late);
            d->late_fingers = late_fingers;
            return false;
        }
        d->told = told;
    }
    return true;
}

/* false: no room for it. */
static bool send_events(struct vinput *d, const struct input_event *e, unsigned n)
{
    struct vinput_told told;
    struct vinput_group g;

    if (!virtio_running(&d->v) || !d->v.vq_state[EVENTS].enabled || !send_late(d))
        return false;
    told = d->told;
    vinput_translate(d, &told, e, n, &g);
    if (!send_group(d, &g))
        return false;
    d->told = told;
    return true;
}

/* struct input_handler.event */
static void vinput_event(void *dev, const struct input_event *e, unsigned n)
{
    struct vinput *d = dev;

    device_lock(d);
    if (!send_events(d, e, n)) {
        d->dropped++;
        vinput_keep_releases(d, e, n);
    }
    if (d->v.broken)
        input_set_live(&d->handler, false); /* until reset; another device may do */
    device_unlock(d);
}

/* --- from the guest --- */

static void take_status(struct vinput *d, const uint8_t raw[VINPUT_EVENT])
{
    unsigned type = ld16(raw), code = ld16(raw + 2);
    uint8_t leds = d->leds;

    if (type != EVENT_LED || !vinput_has(d->model, EVENT_LED, code))
        return; /* rates of repeating and the like */
    leds = (uint8_t)(ld32(raw + 4) ? leds | 1u << code : leds & ~(1u << code));
    d->leds = leds;
    input_leds(d->input, leds);
}

static void serve_status(struct vinput *d)
{
    struct virtq *q = &d->v.vq[STATUS];
    unsigned budget = 2 * VINPUT_QUEUE;
    uint8_t raw[VINPUT_EVENT];

    while (budget && virtq_pop(q, &d->chain[0])) {
        if (chain_read(&d->chain[0], 0, raw, sizeof raw) == sizeof raw)
            take_status(d, raw);
        else
            log_guest(&d->v.dev, "a status event of %" PRIu64 " bytes", d->chain[0].out_len);
        virtq_push(&d->chain[0], 0);
        budget--;
    }
    virtq_notify(q);
    if (!budget || virtq_rearm(q))
        virtio_later(&d->v, STATUS);
}

static void vinput_notify(struct virtio_dev *v, unsigned queue)
{
    struct vinput *d = (struct vinput *)v;

    if (queue == STATUS)
        serve_status(d);
    else
        send_late(d);
}

static void answer(struct vinput *d)
{
    uint8_t *c = d->v.config;

    memset(c + C_SIZE, 0, C_DATA - C_SIZE);
    c[C_SIZE] = (uint8_t)vinput_answer(d, c[C_SELECT], c[C_SUBSEL], c + C_DATA);
}

static void vinput_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
    (void)off;
    (void)len;
    answer((struct vinput *)v);
}

/* --- life --- */

static void vinput_driver_ok(struct virtio_dev *v) { input_set_live(&((struct vinput *)v)->handler, true); }

static void vinput_reset(struct virtio_dev *v)
{
    struct vinput *d = (struct vinput *)v;

    input_set_live(&d->handler, false);
    memset(&d->told, 0, sizeof d->told);
    memset(d->late, 0, sizeof d->late);
    d->late_fingers = 0;
    if (d->leds)
        input_leds(d->input, 0);
    d->leds = 0;
    memset(v->config, 0, C_LEN);
}

/* The hub hears what the restored guest was told, so that releases come here. */
static void restore_down(struct vinput *d)
{
    bool touch = d->handler.kind == INPUT_TOUCH;

    input_set_live(&d->handler, false);
    input_set_live(&d->handler, virtio_running(&d->v));
    for (unsigned i = 0; i < INPUT_CODES && !touch; i++)
        if (d->told.held[i / 64] >> (i % 64) & 1)
            input_set_down(&d->handler, (uint16_t)i, false);
    for (unsigned i = 0; i < INPUT_SLOTS && touch; i++)
        if (d->told.fingers >> i & 1)
            input_set_down(&d->handler, (uint16_t)(!i && d->told.mouse_finger ? BTN_LEFT : i),
                           i || !d->told.mouse_finger);
}

/* After restore: a snapshot comes from outside. */
static void vinput_update(struct device *dev)
{
    struct vinput *d = (struct vinput *)dev;

    virtio_dev_update(dev);
    d->told.fingers &= (1u << INPUT_SLOTS) - 1;
    d->late_fingers &= d->told.fingers;
    d->told.mouse_finger = d->told.mouse_finger && d->told.fingers & 1;
    for (unsigned i = 0; i < INPUT_CODES / 64; i++)
        d->late[i] &= d->told.held[i];
    d->leds &= (1u << (LED_SCROLLL + 1)) - 1;
    answer(d);
    if (d->handler.kind == INPUT_KEYBOARD)
        input_leds(d->input, d->leds);
    restore_down(d);
}

static void vinput_free(struct device *dev)
{
    struct vinput *d = (struct vinput *)dev;

    input_unregister(&d->handler);
    virtio_detach(&d->v);
    for (unsigned i = 0; i < VINPUT_QUEUE; i++)
        virtq_chain_free(&d->chain[i]);
    virtio_fini(&d->v);
    free(d);
}

static void vinput_info(struct device *dev, void (*line)(void *arg, const char *text), void *arg)
{
    struct vinput *d = (struct vinput *)dev;
    unsigned down = 0, late = 0;
    char text[128];

    for (unsigned i = 0; i < INPUT_CODES / 64; i++) {
        down += (unsigned)__builtin_popcountll(d->told.held[i]);
        late += (unsigned)__builtin_popcountll(d->late[i]);
    }
    snprintf(text, sizeof text, "%u keys down, %u releases wait, %" PRIu64 " groups dropped", down, late, d->dropped);
    line(arg, text);
}

static const struct field vinput_state[] = {
    VIRTIO_FIELDS(struct vinput, v),
    FIELD(struct vinput, told),
    FIELD_ARRAY(struct vinput, late, INPUT_CODES / 64),
    FIELD(struct vinput, late_fingers),
    FIELD_KEEP(struct vinput, leds), /* reset looks whether any is lit */
    {0},
};

static const struct device_ops vinput_dev_ops = {
    .name = "virtio-input",
    .state = vinput_state,
    .reset = virtio_dev_reset,
    .update = vinput_update,
    .free = vinput_free,
    .info = vinput_info,
};

#define OPS(class_)                                                                                                    \
    {                                                                                                                  \
        .id = VIRTIO_ID_INPUT, .pci_class = (class_), .modern_only = true, .notify = vinput_notify,                    \
        .config_written = vinput_config_written, .driver_ok = vinput_driver_ok, .reset = vinput_reset,                 \
    }

/* PCI's base class 9: keyboard, mouse, other. */
static const struct virtio_ops vinput_ops[INPUT_KINDS] = {
    [INPUT_KEYBOARD] = OPS(0x090000),
    [INPUT_MOUSE] = OPS(0x090200),
    [INPUT_TABLET] = OPS(0x098000),
    [INPUT_TOUCH] = OPS(0x098000),
};

struct virtio_dev *virtio_input_new(const struct device_env *env, const char *name, struct input *in,
                                    const struct virtio_input_options *o, struct err *e)
{
    struct vinput *d = NULL;

    if (o->serial && strlen(o->serial) >= VINPUT_SERIAL)
        err_set(e, "%s: a serial number has up to %d characters", name, VINPUT_SERIAL - 1);
    else if (!(d = calloc(1, sizeof *d)))
        err_set(e, "%s: out of memory", name);
    if (!d)
        return NULL;
    virtio_init(&d->v, &vinput_dev_ops, &vinput_ops[o->kind], name, env);
    d->input = in;
    d->model = vinput_model_of(o->kind);
    snprintf(d->serial, sizeof d->serial, "%s", o->serial ? o->serial : "");
    virtio_add_queue(&d->v, EVENTS, VINPUT_QUEUE);
    virtio_add_queue(&d->v, STATUS, VINPUT_QUEUE);
    if (o->packed)
        virtio_offer(&d->v, VIRTIO_F_RING_PACKED);
    d->v.config_len = C_LEN;
    memset(d->v.config_writable, 0xff, C_SIZE);
    d->handler = (struct input_handler){.kind = o->kind, .name = d->model->name, .event = vinput_event, .dev = d};
    input_register(in, &d->handler);
    return &d->v;
}
