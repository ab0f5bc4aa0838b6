#include "tests/unit/ps2_bench.h"

#include <string.h>

void ps2_begin(struct ps2_bench *p, enum input_kind kind)
{
    struct err e;

    dev_bench_open(&p->b);
    p->loop = loop_new(p->b.clock, &e);
    p->in = input_new(p->loop, p->b.gate);
    p->port = altera_ps2_new(&p->b.env, "ps2", p->in, kind);
    dev_map(p->port);
    device_reset(p->port);
    dev_connect(&p->port->irq, &p->line);
}

void ps2_end(struct ps2_bench *p)
{
    device_free(p->port);
    input_free(p->in);
    loop_free(p->loop);
    dev_bench_close(&p->b);
}

void ps2_command(struct ps2_bench *p, unsigned byte) { dev_write(&p->b, DEV_BASE, 4, byte); }

const char *ps2_read(struct ps2_bench *p)
{
    static char text[2048];
    uint64_t v;

    text[0] = 0;
    while ((v = dev_read(&p->b, DEV_BASE, 4)) & 0x8000)
        if (strlen(text) + 4 < sizeof text)
            snprintf(text + strlen(text), 4, "%s%02x", *text ? " " : "", (unsigned)(v & 0xff));
    CHECK_EQ(v, 0);
    return text;
}

const char *ps2_ask(struct ps2_bench *p, unsigned byte)
{
    ps2_command(p, byte);
    return ps2_read(p);
}

void ps2_send(struct ps2_bench *p, unsigned type, unsigned code, int value)
{
    const struct input_event e[] = {{.type = (uint8_t)type, .code = (uint16_t)code, .value = value},
                                    {.type = INPUT_SYN}};

    input_send(p->in, e, 2);
    loop_poll(p->loop);
}

const char *ps2_key(struct ps2_bench *p, unsigned code, bool down)
{
    ps2_send(p, INPUT_KEY, code, down);
    return ps2_read(p);
}
