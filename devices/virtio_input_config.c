/*
 * What a virtio-input device says it is (virtio 1.2, 5.8.4): the driver writes select and subsel, and reads size and data.
 *
 * Names, vendor and products are those of QEMU's devices, which rules and settings of guests go by.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_input_parts.h"

enum { ID_NAME = 1, ID_SERIAL = 2, ID_DEVIDS = 3, PROP_BITS = 0x10, EV_BITS = 0x11, ABS_INFO = 0x12 };
enum { BUS = 6 /* BUS_VIRTUAL */, VENDOR = 0x0627 };

/* All codes of keys below 0x100 that have a meaning; 195 to 199 and 249 on have none. */
static const struct vinput_row keyboard[] = {
    {EVENT_KEY, KEY_ESC, KEY_F24},
    {EVENT_KEY, KEY_PLAYCD, KEY_MICMUTE},
    {EVENT_LED, LED_NUML, LED_SCROLLL},
    {EVENT_REP, REP_DELAY, REP_PERIOD}, /* the guest repeats */
    {0},
};

static const struct vinput_row mouse[] = {
    {EVENT_KEY, BTN_LEFT, BTN_TASK},
    {EVENT_REL, REL_X, REL_Y},
    {EVENT_REL, REL_HWHEEL, REL_HWHEEL},
    {EVENT_REL, REL_WHEEL, REL_WHEEL},
    {0},
};

static const struct vinput_row tablet[] = {
    {EVENT_KEY, BTN_LEFT, BTN_TASK},
    {EVENT_ABS, ABS_X, ABS_Y},
    {EVENT_REL, REL_HWHEEL, REL_HWHEEL},
    {EVENT_REL, REL_WHEEL, REL_WHEEL},
    {0},
};

static const struct vinput_row touch[] = {
    {EVENT_KEY, BTN_TOUCH, BTN_TOUCH},
    {EVENT_ABS, ABS_X, ABS_Y},
    {EVENT_ABS, ABS_MT_SLOT, ABS_MT_SLOT},
    {EVENT_ABS, ABS_MT_POSITION_X, ABS_MT_POSITION_Y},
    {EVENT_ABS, ABS_MT_TRACKING_ID, ABS_MT_TRACKING_ID},
    {0},
};

const struct vinput_model *vinput_model_of(enum input_kind kind)
{
    static const struct vinput_model models[INPUT_KINDS] = {
        [INPUT_KEYBOARD] = {"QEMU Virtio Keyboard", 1, 1, keyboard, false},
        [INPUT_MOUSE] = {"QEMU Virtio Mouse", 2, 2, mouse, false},
        [INPUT_TABLET] = {"QEMU Virtio Tablet", 3, 2, tablet, false},
        [INPUT_TOUCH] = {"QEMU Virtio MultiTouch", 3, 1, touch, true},
    };

    return &models[kind];
}

bool vinput_has(const struct vinput_model *m, unsigned type, unsigned code)
{
    for (const struct vinput_row *r = m->row; r->type; r++)
        if (r->type == type && code >= r->first && code <= r->last)
            return true;
    return false;
}

static unsigned text_answer(const char *text, uint8_t data[VINPUT_DATA])
{
    size_t n = strnlen(text, VINPUT_DATA);

    memcpy(data, text, n);
    return (unsigned)n;
}

static unsigned ids_answer(const struct vinput_model *m, uint8_t data[VINPUT_DATA])
{
    st16(data, BUS);
    st16(data + 2, VENDOR);
    st16(data + 4, m->product);
    st16(data + 6, m->version);
    return 8;
}

static unsigned bits_answer(const struct vinput_model *m, unsigned type, uint8_t data[VINPUT_DATA])
{
    unsigned size = 0;

    for (const struct vinput_row *r = m->row; r->type; r++)
        for (unsigned c = r->first; r->type == type && c <= r->last; c++) {
            data[c / 8] = (uint8_t)(data[c / 8] | 1u << c % 8);
            if (size < c / 8 + 1)
                size = c / 8 + 1;
        }
    return size;
}

static uint32_t axis_max(unsigned axis)
{
    return axis == ABS_MT_SLOT ? INPUT_SLOTS - 1 : axis == ABS_MT_TRACKING_ID ? UINT16_MAX : INPUT_ABS_MAX;
}

/* min, max, fuzz, flat, resolution; all but max are 0. */
static unsigned abs_answer(const struct vinput_model *m, unsigned axis, uint8_t data[VINPUT_DATA])
{
    if (!vinput_has(m, EVENT_ABS, axis))
        return 0;
    st32(data + 4, axis_max(axis));
    return 20;
}

unsigned vinput_answer(const struct vinput *d, unsigned select, unsigned subsel, uint8_t data[VINPUT_DATA])
{
    memset(data, 0, VINPUT_DATA);
    if (select == EV_BITS)
        return bits_answer(d->model, subsel, data);
    if (select == ABS_INFO)
        return abs_answer(d->model, subsel, data);
    if (subsel)
        return 0;
    switch (select) {
    case ID_NAME: return text_answer(d->model->name, data);
    case ID_SERIAL: return text_answer(d->serial, data);
    case ID_DEVIDS: return ids_answer(d->model, data);
    case PROP_BITS: data[0] = d->model->direct ? 1 << INPUT_PROP_DIRECT : 0; return d->model->direct;
    default: return 0;
    }
}
