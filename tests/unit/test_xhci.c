/*
 * xHCI with USB keyboards and pointers, by a small driver: registers and TRBs from the xHCI specification 1.2, requests
 * and descriptors from USB 2.0 and HID 1.11, usages from the HID Usage Tables.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/pci_host.h"
#include "devices/xhci.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define ECAM UINT64_C(0x30000000)
#define FN (ECAM + 0x8000) /* slot 1 */
#define BAR UINT64_C(0x40000000)
#define OP (BAR + 0x40)
#define RT (BAR + 0x1000)
#define DB (BAR + 0x2000)
#define M(at) (DEV_RAM + (at))

enum {
    DCBAA = 0x1000,
    COMMANDS = 0x2000,
    ERST = 0x3000,
    EVENTS = 0x4000,
    INPUT = 0x5000,
    DEVICE = 0x6000,
    EP0 = 0x8000,
    EP3 = 0xa000,
    DATA = 0xc000,
    REPORTS = 0xd000,
    RING = 32 /* TRBs; the last is a link */
};
enum {
    NORMAL = 1,
    SETUP,
    STAGE_DATA,
    STATUS,
    LINK = 6,
    NOOP = 8,
    ENABLE_SLOT,
    DISABLE_SLOT,
    ADDRESS,
    CONFIGURE,
    RESET_EP = 14,
    STOP_EP,
    SET_DEQUEUE,
    NOOP_COMMAND = 23,
    TRANSFER_EVENT = 32,
    COMMAND_EVENT,
    PORT_EVENT,
    HOST_EVENT = 37
};
enum {
    SUCCESS = 1,
    TRB_ERROR = 5,
    STALL,
    NO_SLOTS = 9,
    SLOT_OFF = 11,
    SHORT = 13,
    CONTEXT_STATE = 19,
    RING_FULL = 21,
    STOPPED = 26
};
enum { IOC = 0x20, IDT = 0x40, IN = 0x10000 };

struct ring {
    gpa base;
    unsigned at, cycle;
};

struct event {
    unsigned type, code, slot, ep;
    uint64_t parameter;
    uint32_t left;
};

static struct dev_bench bench;
static struct device *host;
static struct pci_device *p;
static struct loop *loop;
static struct input *in;
static struct ring commands, ep0, ep3;
static unsigned event_at, event_cycle, events_size;
static struct err err;

static uint32_t rd(gpa a) { return (uint32_t)dev_read(&bench, a, 4); }
static void wr(gpa a, uint32_t v) { dev_write(&bench, a, 4, v); }
static void wr64(gpa a, uint64_t v) { dev_write(&bench, a, 8, v); }
static uint8_t *mem(unsigned at) { return bus_ram(bench.bus, M(at), 1); }

/* --- the driver --- */

static struct ring ring_make(unsigned at)
{
    memset(mem(at), 0, RING * 16);
    return (struct ring){M(at), 0, 1};
}

static gpa push(struct ring *r, uint64_t parameter, uint32_t status, uint32_t control)
{
    gpa at = r->base + 16 * r->at;
    uint8_t *t = bus_ram(bench.bus, at, 16);

    st64(t, parameter);
    st32(t + 8, status);
    st32(t + 12, control | r->cycle);
    if (++r->at == RING - 1) {
        st64(t + 16, r->base);
        st32(t + 24, 0);
        st32(t + 28, LINK << 10 | 2 | r->cycle);
        r->at = 0;
        r->cycle ^= 1;
    }
    return at;
}

static bool next_event(struct event *e)
{
    const uint8_t *t = mem(EVENTS) + 16 * event_at;
    uint32_t control = ld32(t + 12);

    if ((control & 1) != event_cycle)
        return false;
    *e = (struct event){control >> 10 & 0x3f, ld32(t + 8) >> 24, control >> 24,
                        control >> 16 & 0x1f, ld64(t),           ld32(t + 8) & 0xffffff};
    if (++event_at == events_size) {
        event_at = 0;
        event_cycle ^= 1;
    }
    return true;
}

static void read_up_to_here(void) { wr64(RT + 0x38, (M(EVENTS) + 16 * event_at) | 8); }

static struct event must(unsigned type)
{
    struct event e;

    do
        if (!next_event(&e))
            fail_msg("no event of type %u", type);
    while (e.type == PORT_EVENT && type != PORT_EVENT);
    read_up_to_here();
    CHECK_EQ(e.type, type);
    return e;
}

static void nothing(void)
{
    struct event e;

    CHECK(!next_event(&e));
}

static void start(unsigned events)
{
    events_size = events;
    event_at = 0;
    event_cycle = 1;
    memset(mem(EVENTS), 0, 4096);
    commands = ring_make(COMMANDS);
    memset(mem(ERST), 0, 16);
    st64(mem(ERST), M(EVENTS));
    st32(mem(ERST) + 8, events);
    wr(OP + 0x38, 16);
    wr64(OP + 0x30, M(DCBAA));
    wr64(OP + 0x18, M(COMMANDS) | 1);
    wr(RT + 0x28, 1);
    wr64(RT + 0x38, M(EVENTS));
    wr64(RT + 0x30, M(ERST));
    wr(RT + 0x20, 2);
    wr(OP, 5); /* run, interrupts */
}

static struct event command(uint64_t parameter, uint32_t control)
{
    gpa at = push(&commands, parameter, 0, control);
    struct event e;

    wr(DB, 0);
    e = must(COMMAND_EVENT);
    CHECK_EQ(e.parameter, at);
    return e;
}

static gpa portsc(unsigned port) { return OP + 0x400 + 16 * (port - 1); }

/* Three stages; the event of the last, or of what failed. */
static struct event control(uint8_t type, uint8_t request, unsigned value, unsigned index, unsigned len)
{
    uint64_t setup =
        type | (uint64_t)request << 8 | (uint64_t)value << 16 | (uint64_t)index << 32 | (uint64_t)len << 48;
    bool to_host = type & 0x80;

    push(&ep0, setup, 8, SETUP << 10 | IDT);
    if (len)
        push(&ep0, M(DATA), len, (uint32_t)STAGE_DATA << 10 | (to_host ? IN : 0));
    push(&ep0, 0, 0, (uint32_t)STATUS << 10 | IOC | (to_host ? 0 : IN));
    wr(DB + 4, 1);
    return must(TRANSFER_EVENT);
}

static void endpoint(unsigned ep, unsigned type, unsigned packet, gpa ring)
{
    uint8_t *c = mem(INPUT) + 32 * (ep + 1);

    memset(c, 0, 32);
    st32(c + 4, 3 << 1 | type << 3 | packet << 16);
    st64(c + 8, ring | 1);
}

static void address(unsigned port)
{
    CHECK_EQ(command(0, ENABLE_SLOT << 10).slot, 1);
    wr(portsc(port), 0x210); /* reset */
    ep0 = ring_make(EP0);
    st64(mem(DCBAA) + 8, M(DEVICE));
    memset(mem(INPUT), 0, 0x420);
    st32(mem(INPUT) + 4, 3);
    st32(mem(INPUT) + 32, 1u << 27 | 3 << 20);
    st32(mem(INPUT) + 36, port << 16);
    endpoint(1, 4, 64, M(EP0));
    CHECK_EQ(command(M(INPUT), ADDRESS << 10 | 1 << 24).code, SUCCESS);
}

static void configure(void)
{
    CHECK_EQ(control(0, 9, 1, 0, 0).code, SUCCESS);
    ep3 = ring_make(EP3);
    st32(mem(INPUT) + 4, 1 | 1 << 3);
    endpoint(3, 7, 8, M(EP3));
    CHECK_EQ(command(M(INPUT), CONFIGURE << 10 | 1 << 24).code, SUCCESS);
}

static gpa ask_report(unsigned len)
{
    gpa at = push(&ep3, M(REPORTS), len, NORMAL << 10 | IOC | 4);

    memset(mem(REPORTS), 0xee, 16);
    wr(DB + 4, 3);
    return at;
}

static const uint8_t *report(unsigned len)
{
    ask_report(len);
    CHECK_EQ(must(TRANSFER_EVENT).code, SUCCESS);
    return mem(REPORTS);
}

static void key(uint16_t code, bool down)
{
    input_key(in, code, down);
    loop_poll(loop);
}

static void send(const struct input_event *e, unsigned n)
{
    input_send(in, e, n);
    loop_poll(loop);
}

static void open_with(enum input_kind kind)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {BAR, 0x40000000}, .mem64 = {0x400000000, 0x400000000}, .pio = {0x3000000, 0x10000}};

    dev_bench_open(&bench);
    loop = loop_new(bench.clock, &err);
    in = input_new(loop, bench.gate);
    host = pci_host_new(&bench.env, "pcie", &c);
    CHECK(pci_host_map(host, &err));
    p = xhci_new(&bench.env, "usb", in, &err);
    if (!p || !xhci_plug(p, "device", kind, 1, NULL, &err))
        fail_msg("%s", err.msg);
    CHECK(pci_add(host, p, -1, &err));
    device_reset(&p->dev);
    wr64(FN + 0x10, BAR);
    dev_write(&bench, FN + 4, 2, 6);
}

static void close_all(void)
{
    device_free(&p->dev);
    device_free(host);
    input_free(in);
    loop_free(loop);
    dev_bench_close(&bench);
}

static int keyboard(void **state)
{
    (void)state;
    open_with(INPUT_KEYBOARD);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_all();
    return 0;
}

static void configured(enum input_kind kind)
{
    open_with(kind);
    start(32);
    address(5);
    configure();
}

/* --- tests --- */

static void it_says_who_it_is(void **state)
{
    (void)state;
    CHECK_EQ(rd(FN), 0x000d1b36);
    CHECK_EQ(rd(FN + 8) >> 8, 0x0c0330);
    CHECK_EQ(dev_read(&bench, FN + 0x60, 1), 0x30);
    CHECK_EQ(dev_read(&bench, BAR, 1), 0x40);      /* CAPLENGTH */
    CHECK_EQ(dev_read(&bench, BAR + 2, 2), 0x100); /* HCIVERSION */
    CHECK_EQ(rd(BAR + 4) >> 24, 8);                /* ports */
    CHECK_EQ(rd(BAR + 0x14), 0x2000);
    CHECK_EQ(rd(BAR + 0x18), 0x1000);
    CHECK_EQ(rd(BAR + 0x20) & 0xff0000ff, 0x03000002); /* supported protocols */
    CHECK_EQ(rd(BAR + 0x24), 0x20425355);
    CHECK_EQ(rd(BAR + 0x30) & 0xff0000ff, 0x02000002);
    CHECK_EQ(rd(OP + 4) & 0x801, 1); /* halted and ready */
}

static void a_port_tells_of_its_device(void **state)
{
    (void)state;
    start(32);
    CHECK_EQ(rd(portsc(5)) & 0x20e03, 0x20e01); /* connected, changed, powered, high speed, not enabled */
    CHECK_EQ(rd(portsc(6)) & 0x3, 0);
    CHECK_EQ(must(PORT_EVENT).parameter, UINT64_C(5) << 24);
    CHECK_EQ(rd(OP + 4) & 0x10, 0x10);
    wr(portsc(5), 0x20200);
    CHECK_EQ(rd(portsc(5)) & 0x20000, 0);
    wr(portsc(5), 0x210);
    CHECK_EQ(rd(portsc(5)) & 0x2001f3, 0x200003); /* enabled, reset has ended, U0 */
    CHECK_EQ(must(PORT_EVENT).parameter, UINT64_C(5) << 24);
    wr(portsc(5), 0x202);
    CHECK_EQ(rd(portsc(5)) & 3, 1);
}

static void a_keyboard_is_enumerated(void **state)
{
    struct event e;

    (void)state;
    start(32);
    address(5);
    CHECK_EQ(ld32(mem(DEVICE) + 12) >> 27, 2); /* addressed */
    CHECK_EQ(ld32(mem(DEVICE) + 12) & 0xff, 1);
    CHECK_EQ(ld32(mem(DEVICE) + 32) & 7, 1); /* endpoint 0 runs */
    e = control(0x80, 6, 0x100, 0, 18);
    CHECK_EQ(e.code, SUCCESS);
    CHECK_EQ(ld32(mem(DATA)), 0x02000112); /* 18 bytes, a device of USB 2.0 */
    CHECK_EQ(ld32(mem(DATA) + 8), 0x00010627);
    CHECK_EQ(control(0x80, 6, 0x200, 0, 255).code, SUCCESS);
    CHECK_EQ(ld16(mem(DATA) + 2), 34);
    CHECK_EQ(mem(DATA)[14], 3); /* HID, */
    CHECK_EQ(mem(DATA)[15], 1); /* boot, */
    CHECK_EQ(mem(DATA)[16], 1); /* keyboard */
    CHECK_EQ(mem(DATA)[29], 0x81);
    configure();
    CHECK_EQ(ld32(mem(DEVICE) + 12) >> 27, 3);
    CHECK_EQ(ld32(mem(DEVICE) + 3 * 32) & 7, 1);
    CHECK(input_has(in, INPUT_KEYBOARD));
    CHECK_EQ(control(0x80, 8, 0, 0, 1).code, SUCCESS);
    CHECK_EQ(mem(DATA)[0], 1);
}

static void a_short_answer_is_told(void **state)
{
    uint64_t setup = UINT64_C(0x00ff000001000680);
    struct event e;
    gpa at;

    (void)state;
    start(32);
    address(5);
    push(&ep0, setup, 8, SETUP << 10 | IDT);
    at = push(&ep0, M(DATA), 255, STAGE_DATA << 10 | IN | 4);
    push(&ep0, 0, 0, STATUS << 10 | IOC);
    wr(DB + 4, 1);
    e = must(TRANSFER_EVENT);
    CHECK_EQ(e.parameter, at);
    CHECK_EQ(e.code, SHORT);
    CHECK_EQ(e.left, 255 - 18);
    CHECK_EQ(must(TRANSFER_EVENT).code, SUCCESS);
}

static void a_report_comes_when_a_key_does(void **state)
{
    gpa at;
    struct event e;

    (void)state;
    start(32);
    address(5);
    configure();
    at = ask_report(8);
    nothing();
    key(KEY_LEFTSHIFT, true);
    e = must(TRANSFER_EVENT);
    CHECK_EQ(e.parameter, at);
    CHECK_EQ(e.ep, 3);
    CHECK_EQ(ld64(mem(REPORTS)), 0x02);
    key(KEY_A, true);
    CHECK_EQ(ld64(report(8)), 0x040002);
    key(KEY_A, false);
    key(KEY_LEFTSHIFT, false);
    CHECK_EQ(ld64(report(8)), 0x02);
    CHECK_EQ(ld64(report(8)), 0);
    ask_report(8);
    nothing();
}

static void an_idle_time_repeats_the_report(void **state)
{
    (void)state;
    start(32);
    address(5);
    configure();
    CHECK_EQ(control(0x21, 0xa, 10 << 8, 0, 0).code, SUCCESS); /* 40 ms */
    CHECK_EQ(ld64(report(8)), 0);
    ask_report(8);
    clock_advance(bench.clock, 39000000);
    nothing();
    clock_advance(bench.clock, 2000000);
    CHECK_EQ(must(TRANSFER_EVENT).code, SUCCESS);
    CHECK_EQ(ld64(mem(REPORTS)), 0);
    CHECK_EQ(control(0x21, 0xa, 0, 0, 0).code, SUCCESS);
    ask_report(8);
    clock_advance(bench.clock, UINT64_C(1000000000));
    nothing();
    CHECK_EQ(clock_next(bench.clock), CLOCK_NEVER); /* and nothing would wake the host */
}

static void seven_keys_roll_over(void **state)
{
    static const uint16_t keys[] = {KEY_A, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G};

    (void)state;
    start(32);
    address(5);
    configure();
    for (unsigned i = 0; i < 7; i++) {
        key(keys[i], true);
        CHECK_EQ(ld64(report(8)) >> 16 & 0xff, i < 6 ? 4 : 1);
    }
    CHECK_EQ(ld64(mem(REPORTS)), UINT64_C(0x0101010101010000));
    key(KEY_A, false);
    CHECK_EQ(ld64(report(8)), UINT64_C(0x0a09080706050000));
}

static void a_full_queue_loses_no_release(void **state)
{
    uint64_t last = 1;

    (void)state;
    start(32);
    address(5);
    configure();
    for (unsigned i = 0; i < 100; i++) {
        key(KEY_B, true);
        key(KEY_B, false);
    }
    key(KEY_C, true);
    key(KEY_C, false);
    for (;;) {
        struct event e;

        ask_report(8);
        if (!next_event(&e))
            break;
        read_up_to_here();
        last = ld64(mem(REPORTS));
    }
    CHECK_EQ(last, 0);
}

static void lights_are_set(void **state)
{
    (void)state;
    start(32);
    address(5);
    configure();
    mem(DATA)[0] = 2;
    CHECK_EQ(control(0x21, 9, 0x200, 0, 1).code, SUCCESS);
    CHECK_EQ(input_leds_get(in), 2);
    wr(OP, 2); /* the controller is reset */
    CHECK_EQ(input_leds_get(in), 0);
    CHECK(!input_has(in, INPUT_KEYBOARD));
}

static void what_is_unknown_stalls_until_reset(void **state)
{
    struct event e;

    (void)state;
    start(32);
    address(5);
    e = control(0x80, 6, 0x600, 0, 10); /* no device qualifier */
    CHECK_EQ(e.code, STALL);
    CHECK_EQ(ld32(mem(DEVICE) + 32) & 7, 2); /* halted */
    wr(DB + 4, 1);
    nothing();
    CHECK_EQ(command(0, RESET_EP << 10 | 1 << 16 | 1 << 24).code, SUCCESS);
    CHECK_EQ(command(0, RESET_EP << 10 | 1 << 16 | 1 << 24).code, CONTEXT_STATE);
    CHECK_EQ(command((ep0.base + 16 * ep0.at) | ep0.cycle, SET_DEQUEUE << 10 | 1 << 16 | 1 << 24).code, SUCCESS);
    CHECK_EQ(control(0x80, 6, 0x100, 0, 8).code, SUCCESS);
}

static void a_stop_tells_of_what_waits(void **state)
{
    gpa at;
    struct event e;

    (void)state;
    start(32);
    address(5);
    configure();
    at = ask_report(8);
    push(&commands, 0, 0, STOP_EP << 10 | 3 << 16 | 1 << 24);
    wr(DB, 0);
    e = must(TRANSFER_EVENT);
    CHECK_EQ(e.code, STOPPED);
    CHECK_EQ(e.parameter, at);
    CHECK_EQ(e.left, 8);
    CHECK_EQ(must(COMMAND_EVENT).code, SUCCESS);
    CHECK_EQ(ld64(mem(DEVICE) + 3 * 32 + 8), at | 1);
    key(KEY_A, true);
    nothing();
    wr(DB + 4, 3);
    CHECK_EQ(must(TRANSFER_EVENT).code, SUCCESS);
}

static void a_full_event_ring_holds_work_back(void **state)
{
    struct event e;
    unsigned done = 0, full = 0;
    gpa first = M(COMMANDS);

    (void)state;
    start(16);
    must(PORT_EVENT);
    for (unsigned i = 0; i < 30; i++)
        push(&commands, 0, 0, NOOP_COMMAND << 10);
    wr(DB, 0);
    for (unsigned turn = 0; turn < 10; turn++) {
        while (next_event(&e)) {
            if (e.type == HOST_EVENT) {
                CHECK_EQ(e.code, RING_FULL);
                full++;
                continue;
            }
            CHECK_EQ(e.type, COMMAND_EVENT);
            CHECK_EQ(e.parameter, first + 16 * done);
            done++;
        }
        read_up_to_here();
    }
    CHECK_EQ(done, 30);
    CHECK(full > 0);
}

static void interrupts_wait_for_the_driver(void **state)
{
    struct event e;

    (void)state;
    start(32);
    CHECK(p->intx);
    CHECK_EQ(rd(RT + 0x20) & 3, 3);
    while (next_event(&e))
        ;
    wr(OP + 4, 8);
    wr(RT + 0x20, 3); /* pending is cleared */
    CHECK(!p->intx);
    push(&commands, 0, 0, NOOP_COMMAND << 10);
    wr(DB, 0); /* the driver has not said that it is done */
    CHECK(!p->intx);
    read_up_to_here(); /* but there is more */
    CHECK(p->intx);
    must(COMMAND_EVENT);
    wr(RT + 0x20, 3);
    read_up_to_here();
    CHECK(!p->intx);
}

static void a_message_takes_the_line_s_place(void **state)
{
    (void)state;
    dev_write(&bench, FN + 0x42, 2, 0x8000); /* MSI-X on, its vector masked */
    start(32);
    CHECK(!p->intx);
    CHECK_EQ(rd(BAR + 0x3800), 1);
    CHECK_EQ(rd(RT + 0x20) & 3, 2); /* the message clears what was pending */
}

static void rings_without_end_end(void **state)
{
    uint8_t *t = mem(EP3);

    (void)state;
    start(32);
    address(5);
    configure();
    st64(t, M(EP3)); /* a link to itself */
    st32(t + 12, LINK << 10 | 1);
    wr(DB + 4, 3);
    CHECK_EQ(must(TRANSFER_EVENT).code, TRB_ERROR);
    CHECK_EQ(ld32(mem(DEVICE) + 3 * 32) & 7, 4);
    t = mem(EP0);
    memset(t, 0, RING * 16);
    CHECK_EQ(command(0, STOP_EP << 10 | 1 << 16 | 1 << 24).code, SUCCESS);
    CHECK_EQ(command(M(EP0) | 1, SET_DEQUEUE << 10 | 1 << 16 | 1 << 24).code, SUCCESS);
    st32(t + 12, NOOP << 10 | 1); /* transfers that never run out: each turn of the loop does some */
    st64(t + 16, M(EP0));
    st32(t + 28, LINK << 10 | 1);
    wr(DB + 4, 1);
    loop_poll(loop);
    loop_poll(loop);
    CHECK_EQ(rd(OP + 4) & 0x1000, 0);
    push(&commands, 0, 0, STOP_EP << 10 | 1 << 16 | 1 << 24);
    wr(DB, 0);
    CHECK_EQ(must(TRANSFER_EVENT).code, STOPPED);
    CHECK_EQ(must(COMMAND_EVENT).code, SUCCESS);
}

static void a_missing_ring_is_a_controller_error(void **state)
{
    (void)state;
    start(32);
    wr(OP, 4);
    wr64(OP + 0x18, 0x1001);
    wr(OP, 5);
    wr(DB, 0);
    CHECK_EQ(rd(OP + 4) & 0x1005, 0x1005); /* host controller error, host system error, halted */
    wr(OP, 5);
    CHECK_EQ(rd(OP) & 1, 0);
    wr(OP, 2);
    CHECK_EQ(rd(OP + 4) & 0x1005, 1);
    start(32);
    address(5);
}

static void commands_of_no_slot_are_refused(void **state)
{
    (void)state;
    start(32);
    CHECK_EQ(command(0, DISABLE_SLOT << 10 | 9 << 24).code, SLOT_OFF);
    CHECK_EQ(command(0, 63 << 10).code, TRB_ERROR);
    for (unsigned i = 1; i <= 16; i++)
        CHECK_EQ(command(0, ENABLE_SLOT << 10).slot, i);
    CHECK_EQ(command(0, ENABLE_SLOT << 10).code, NO_SLOTS);
    CHECK_EQ(command(0, DISABLE_SLOT << 10 | 9u << 24).code, SUCCESS);
    CHECK_EQ(command(0, ENABLE_SLOT << 10).slot, 9);
}

static void a_mouse_moves_in_pieces(void **state)
{
    const uint8_t *r;

    (void)state;
    configured(INPUT_MOUSE);
    send(
        (struct input_event[]){
            {INPUT_REL, 0, 0, -5}, {INPUT_REL, 0, 1, 300}, {INPUT_WHEEL, 0, 0, 1}, {INPUT_SYN, 0, 0, 0}},
        4);
    send((struct input_event[]){{INPUT_BUTTON, 0, BTN_LEFT, 1}, {INPUT_SYN, 0, 0, 0}}, 2);
    r = report(4);
    CHECK_EQ(ld32(r), 0x017ffb00);
    CHECK_EQ(ld32(report(4)), 0x007f0000);
    CHECK_EQ(ld32(report(4)), 0x002e0000);
    CHECK_EQ(ld32(report(4)), 0x00000001);
    CHECK_EQ(control(0x21, 0xb, 0, 0, 0).code, SUCCESS); /* boot protocol: three bytes */
    send((struct input_event[]){{INPUT_BUTTON, 0, BTN_LEFT, 0}, {INPUT_SYN, 0, 0, 0}}, 2);
    ask_report(4);
    CHECK_EQ(must(TRANSFER_EVENT).left, 1);
    CHECK_EQ(ld32(mem(REPORTS)), 0xee000000);
}

static void a_tablet_has_places(void **state)
{
    const uint8_t *r;

    (void)state;
    configured(INPUT_TABLET);
    send((struct input_event[]){{INPUT_ABS, 0, 0, 1000}, {INPUT_ABS, 0, 1, 32767}, {INPUT_SYN, 0, 0, 0}}, 3);
    send((struct input_event[]){{INPUT_ABS, 0, 0, 1001}, {INPUT_SYN, 0, 0, 0}}, 2); /* one report has the last place */
    send((struct input_event[]){{INPUT_BUTTON, 0, BTN_RIGHT, 1}, {INPUT_WHEEL, 0, 0, -1}, {INPUT_SYN, 0, 0, 0}}, 3);
    r = report(6);
    CHECK_EQ(ld32(r), 0xff03e900);
    CHECK_EQ(ld16(r + 4), 0x007f);
    r = report(6);
    CHECK_EQ(ld32(r), 0xff03e902);
    CHECK_EQ(ld16(r + 4), 0xff7f);
}

static void a_snapshot_keeps_it_all(void **state)
{
    (void)state;
    start(32);
    address(5);
    configure();
    key(KEY_Q, true);
    key(KEY_W, true);
    ask_report(8);
    must(TRANSFER_EVENT);
    dev_check_save_restore(&p->dev);
    CHECK_EQ(ld64(report(8)), 0x1a140000);
    key(KEY_Q, false);
    CHECK_EQ(ld64(report(8)), 0x1a0000);
}

static void ports_are_counted(void **state)
{
    (void)state;
    CHECK(!xhci_plug(p, "two", INPUT_MOUSE, 1, NULL, &err));
    CHECK(strstr(err.msg, "port 1 of usb is taken") != NULL);
    CHECK(!xhci_plug(p, "two", INPUT_MOUSE, 5, NULL, &err));
    CHECK(!xhci_plug(p, "two", INPUT_TOUCH, 0, NULL, &err));
    for (unsigned i = 2; i <= 4; i++)
        CHECK(xhci_plug(p, "more", INPUT_MOUSE, 0, NULL, &err));
    CHECK(!xhci_plug(p, "more", INPUT_MOUSE, 0, NULL, &err));
    CHECK(strstr(err.msg, "all 4 ports") != NULL);
}

int main(void)
{
#define WITH_KEYBOARD(test) cmocka_unit_test_setup_teardown(test, keyboard, teardown)
    const struct CMUnitTest tests[] = {
        WITH_KEYBOARD(it_says_who_it_is),
        WITH_KEYBOARD(a_port_tells_of_its_device),
        WITH_KEYBOARD(a_keyboard_is_enumerated),
        WITH_KEYBOARD(a_short_answer_is_told),
        WITH_KEYBOARD(a_report_comes_when_a_key_does),
        WITH_KEYBOARD(an_idle_time_repeats_the_report),
        WITH_KEYBOARD(seven_keys_roll_over),
        WITH_KEYBOARD(a_full_queue_loses_no_release),
        WITH_KEYBOARD(lights_are_set),
        WITH_KEYBOARD(what_is_unknown_stalls_until_reset),
        WITH_KEYBOARD(a_stop_tells_of_what_waits),
        WITH_KEYBOARD(a_full_event_ring_holds_work_back),
        WITH_KEYBOARD(interrupts_wait_for_the_driver),
        WITH_KEYBOARD(a_message_takes_the_line_s_place),
        WITH_KEYBOARD(rings_without_end_end),
        WITH_KEYBOARD(a_missing_ring_is_a_controller_error),
        WITH_KEYBOARD(commands_of_no_slot_are_refused),
        cmocka_unit_test_teardown(a_mouse_moves_in_pieces, teardown),
        cmocka_unit_test_teardown(a_tablet_has_places, teardown),
        WITH_KEYBOARD(a_snapshot_keeps_it_all),
        WITH_KEYBOARD(ports_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
