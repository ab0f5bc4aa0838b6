/*
 * The PS/2 port of Altera's University Program, and the device on it (ps2.h).
 *
 * Reading `data` takes the oldest byte of the queue: bits 7..0, valid with bit 15; bits 31..16 say how many there were.
 * Writing it sends a byte to the device. `control`: bit 0 lets bytes that wait interrupt, bit 8 says that they do, bit
 * 10, an error of sending, never comes up. The device counts as listened to once the guest has touched `data`.
 * Source: "PS/2 Core for Altera DE-Series Boards", 2012; Linux drivers/input/serio/altera_ps2.c.
 */
#include "devices/altera_ps2.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "devices/ps2.h"

enum { DATA = 0, CONTROL = 4, RVALID = 0x8000, RE = 1, RI = 0x100 };

struct port {
    struct device dev; /* first */
    struct timer timer;
    struct input *input;
    struct input_handler handler;
    const struct ps2_ops *ops;
    void *end; /* of the cable: &keyboard or &mouse */
    /* state */
    struct ps2_queue queue;
    struct ps2_keyboard keyboard;
    struct ps2_mouse mouse;
    uint32_t control;
    bool touched;
};

/* Linux numbers its lights otherwise. */
static uint32_t lights(const struct port *p)
{
    uint8_t l = p->keyboard.leds; /* scroll, num, caps */

    return (uint32_t)(l >> 1 & 1) | (uint32_t)(l >> 2 & 1) << 1 | (uint32_t)(l & 1) << 2;
}

static void derive(struct port *p)
{
    uint64_t next = p->ops->next(p->end);

    if (next == CLOCK_NEVER)
        timer_cancel(&p->timer);
    else
        timer_arm(&p->timer, next);
    irq_set(&p->dev.irq, p->control & RE && p->queue.count);
    input_set_live(&p->handler, p->touched && p->ops->live(p->end));
}

static void port_update(struct device *d)
{
    struct port *p = (struct port *)d;

    p->queue.head %= PS2_FIFO;
    if (p->queue.count > PS2_FIFO)
        p->queue.count = 0;
    p->control &= RE;
    p->ops->sane(p->end);
    if (p->ops->kind == INPUT_KEYBOARD)
        input_leds(p->input, lights(p));
    input_set_live(&p->handler, false);
    derive(p);
    for (unsigned code = 0; code < INPUT_CODES; code++)
        if (p->ops->down(p->end, code))
            input_set_down(&p->handler, (uint16_t)code, false);
}

static void port_reset(struct device *d)
{
    struct port *p = (struct port *)d;

    p->ops->reset(p->end);
}

static uint64_t now(const struct port *p) { return clock_now(p->dev.clock); }

static uint64_t read_data(struct port *p)
{
    uint32_t count = p->queue.count;
    uint8_t byte = ps2_get(&p->queue);

    p->touched = true;
    p->ops->poll(p->end, &p->queue, now(p));
    derive(p);
    return count ? count << 16 | RVALID | byte : 0;
}

static uint64_t port_read(void *dev, gpa off, unsigned size)
{
    struct port *p = dev;

    (void)size;
    if (off == DATA)
        return read_data(p);
    return p->control | (p->control & RE && p->queue.count ? RI : 0);
}

static void port_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct port *p = dev;
    uint8_t leds = p->keyboard.leds;

    (void)size;
    if (off == CONTROL) {
        p->control = val & RE;
    } else {
        p->touched = true;
        p->ops->write(p->end, &p->queue, (uint8_t)val, now(p));
        if (leds != p->keyboard.leds)
            input_leds(p->input, lights(p));
    }
    derive(p);
}

/* struct input_handler.event */
static void port_event(void *dev, const struct input_event *e, unsigned n)
{
    struct port *p = dev;

    device_lock(p);
    p->ops->event(p->end, &p->queue, e, n, now(p));
    derive(p);
    device_unlock(p);
}

static void timer_came(void *arg)
{
    struct port *p = arg;

    device_lock(p);
    p->ops->poll(p->end, &p->queue, now(p));
    derive(p);
    device_unlock(p);
}

static void port_free(struct device *d)
{
    struct port *p = (struct port *)d;

    input_unregister(&p->handler);
    clock_drop_timer(&p->timer);
    device_fini(d);
    free(p);
}

static const struct field port_state[] = {
    FIELD(struct port, queue),   FIELD(struct port, keyboard), FIELD(struct port, mouse),
    FIELD(struct port, control), FIELD(struct port, touched),  {0},
};

static const struct device_ops port_ops = {
    .name = "altera-ps2",
    .size = ALTERA_PS2_SIZE,
    .mmio = {port_read, port_write, .min_size = 4, .max_size = 4},
    .state = port_state,
    .reset = port_reset,
    .update = port_update,
    .free = port_free,
};

struct device *altera_ps2_new(const struct device_env *env, const char *name, struct input *in, enum input_kind kind)
{
    struct port *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    device_init(&p->dev, &port_ops, name, env);
    timer_init(&p->timer, env->clock, timer_came, p);
    p->input = in;
    p->ops = kind == INPUT_KEYBOARD ? &ps2_keyboard_ops : &ps2_mouse_ops;
    p->end = kind == INPUT_KEYBOARD ? (void *)&p->keyboard : (void *)&p->mouse;
    p->ops->reset(p->end);
    p->handler = (struct input_handler){.kind = p->ops->kind, .name = p->ops->name, .event = port_event, .dev = p};
    input_register(in, &p->handler);
    return &p->dev;
}
