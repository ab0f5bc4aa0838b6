/* virtio-console: ports, control messages, flow both ways. Message layouts: virtio 1.2, section 5.3. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/chardev.h"
#include "devices/virtio_console.h"
#include "tests/unit/virtio_guest.h"

#define MULTIPORT UINT64_C(2)

/* A host end that takes up to `space` bytes. */
struct host {
    struct chardev c;
    uint8_t got[1 << 20];
    size_t len, space;
    unsigned drained;
    uint16_t cols, rows;
};

static size_t host_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct host *h = (struct host *)c;
    size_t n = len < h->space ? len : h->space;

    if (h->len + n <= sizeof h->got)
        memcpy(h->got + h->len, buf, n);
    h->len += n;
    h->space -= n;
    return n;
}

static void host_drained(struct chardev *c) { ((struct host *)c)->drained++; }

static void host_size(struct chardev *c, uint16_t *cols, uint16_t *rows)
{
    *cols = ((struct host *)c)->cols;
    *rows = ((struct host *)c)->rows;
}

static struct vg g;
static struct virtio_dev *v;
static struct host host[3];
static struct vg_queue rx, tx, crx, ctx, prx, ptx; /* of port 0, control, port 1 */

static void begin(uint64_t features)
{
    struct err e = {""};

    vg_init(&g, false);
    v = virtio_console_new(&g.env, "con0", &(struct virtio_console_options){0}, &e);
    memset(host, 0, sizeof host);
    for (int i = 0; i < 3; i++) {
        host[i].c = (struct chardev){.write = host_write, .drained = host_drained, .size = host_size, .open = true};
        host[i].space = sizeof host[i].got;
    }
    host[0].cols = 100;
    host[0].rows = 30;
    CHECK(virtio_console_add_port(v, -1, NULL, true, &host[0].c, &e));
    CHECK(virtio_console_add_port(v, -1, "org.test", false, &host[1].c, &e));
    vg_plug(&g, v);
    vg_begin(&g, features | 1);
    vg_queue_init(&g, &rx, 0, 16);
    vg_queue_init(&g, &tx, 1, 16);
    vg_queue_on(&rx);
    vg_queue_on(&tx);
    if (features & MULTIPORT) {
        vg_queue_init(&g, &crx, 2, 16);
        vg_queue_init(&g, &ctx, 3, 16);
        vg_queue_init(&g, &prx, 4, 16);
        vg_queue_init(&g, &ptx, 5, 16);
        vg_queue_on(&crx);
        vg_queue_on(&ctx);
        vg_queue_on(&prx);
        vg_queue_on(&ptx);
    }
    vg_go(&g);
}

static void end(void)
{
    device_free(&v->dev);
    vg_fini(&g);
}

static gpa give(struct vg_queue *q, uint32_t len)
{
    struct vg_buf b = {vg_alloc(&g, len, 8), len, true};

    vg_add(q, &b, 1, false);
    vg_kick(q);
    return b.addr;
}

static void send_bytes(struct vg_queue *q, const void *data, uint32_t len)
{
    struct vg_buf b = {vg_alloc(&g, len, 8), len, false};

    memcpy(vg_host(&g, b.addr), data, len);
    vg_add(q, &b, 1, false);
    vg_kick(q);
}

static bool took(struct vg_queue *q)
{
    unsigned id;
    uint32_t len;

    return vg_used(q, &id, &len);
}

static void control(uint32_t port, unsigned event, unsigned value)
{
    uint8_t m[8];

    st32(m, port);
    st16(m + 4, (uint16_t)event);
    st16(m + 6, (uint16_t)value);
    send_bytes(&ctx, m, 8);
    CHECK(took(&ctx));
}

static gpa cbuf[16];
static unsigned cnext;

static void give_control_buffers(unsigned n)
{
    cnext = 0;
    for (unsigned i = 0; i < n; i++)
        cbuf[i] = give(&crx, 64);
}

static void expect(uint32_t port, unsigned event, unsigned value, const void *more, uint32_t more_len)
{
    unsigned id;
    uint32_t len;
    uint8_t *m;

    if (!vg_used(&crx, &id, &len))
        fail_msg("no control message; expected event %u of port %u", event, port);
    m = vg_host(&g, cbuf[cnext++]);
    CHECK_EQ(ld32(m), port);
    CHECK_EQ(ld16(m + 4), event);
    CHECK_EQ(ld16(m + 6), value);
    CHECK_EQ(len, 8 + more_len);
    if (more_len)
        CHECK(!memcmp(m + 8, more, more_len));
}

static void configuration_shows_size_and_ports(void **state)
{
    uint64_t val;

    (void)state;
    begin(0);
    CHECK(bus_read(g.env.bus, VG_SLOT + 0x100, 2, &val));
    CHECK_EQ(val, 100);
    CHECK(bus_read(g.env.bus, VG_SLOT + 0x102, 2, &val));
    CHECK_EQ(val, 30);
    CHECK(bus_read(g.env.bus, VG_SLOT + 0x104, 4, &val));
    CHECK_EQ(val, 2);
    end();
}

static void plain_console_both_ways(void **state)
{
    unsigned id;
    uint32_t len;
    gpa a;

    (void)state;
    begin(0);
    send_bytes(&tx, "hello", 5);
    CHECK(took(&tx));
    CHECK_EQ(host[0].len, 5);
    CHECK(!memcmp(host[0].got, "hello", 5));
    CHECK_EQ(host[0].c.room(host[0].c.dev), 0);
    a = give(&rx, 4);
    CHECK(host[0].drained > 0);
    CHECK_EQ(host[0].c.room(host[0].c.dev), 4);
    host[0].c.receive(host[0].c.dev, (const uint8_t *)"abc", 3);
    CHECK(vg_used(&rx, &id, &len));
    CHECK_EQ(len, 3);
    CHECK(!memcmp(vg_host(&g, a), "abc", 3));
    CHECK_EQ(host[0].c.room(host[0].c.dev), 0);
    end();
}

static void multiport_handshake(void **state)
{
    static const uint8_t size[] = {100, 0, 30, 0};

    (void)state;
    begin(MULTIPORT);
    give_control_buffers(12);
    control(0xffffffff, 0, 1); /* DEVICE_READY */
    expect(0, 1, 1, NULL, 0);  /* PORT_ADD */
    expect(1, 1, 1, NULL, 0);
    control(0, 3, 1);         /* PORT_READY */
    expect(0, 4, 1, NULL, 0); /* CONSOLE_PORT */
    expect(0, 5, 1, size, 4); /* RESIZE: columns, rows */
    expect(0, 6, 1, NULL, 0); /* PORT_OPEN */
    control(1, 3, 1);
    expect(1, 7, 1, "org.test", 8); /* PORT_NAME */
    expect(1, 6, 1, NULL, 0);
    CHECK(!took(&crx));
    control(7, 3, 1); /* no such port */
    control(0xffffffff, 3, 1);
    control(1, 99, 1);
    CHECK(!took(&crx));
    CHECK_EQ(vg_rd(&g, 0x070), 15);
    end();
}

static void control_messages_wait_for_buffers(void **state)
{
    (void)state;
    begin(MULTIPORT);
    for (int i = 0; i < 1000; i++) /* a guest that asks without end fills no memory */
        control(0xffffffff, 0, 1);
    CHECK(!took(&crx));
    give_control_buffers(3);
    expect(0, 1, 1, NULL, 0);
    expect(1, 1, 1, NULL, 0);
    CHECK(!took(&crx));
    end();
}

static void input_waits_until_the_guest_opened_the_port(void **state)
{
    (void)state;
    begin(MULTIPORT);
    give(&prx, 16);
    CHECK_EQ(host[1].c.room(host[1].c.dev), 0);
    control(1, 6, 1);
    CHECK_EQ(host[1].c.room(host[1].c.dev), 16);
    host[1].c.receive(host[1].c.dev, (const uint8_t *)"x", 1);
    CHECK(took(&prx));
    give(&prx, 16);
    control(1, 6, 0);
    CHECK_EQ(host[1].c.room(host[1].c.dev), 0);
    end();
}

static void output_waits_for_the_host_and_is_not_lost(void **state)
{
    uint8_t data[10000];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    begin(MULTIPORT);
    host[1].space = 5000;
    send_bytes(&ptx, data, sizeof data);
    send_bytes(&ptx, "tail", 4);
    CHECK(!took(&ptx));
    CHECK_EQ(host[1].len, 5000);
    host[1].space = 4999;
    host[1].c.writable(host[1].c.dev);
    CHECK(!took(&ptx));
    host[1].space = 1000;
    host[1].c.writable(host[1].c.dev);
    CHECK(took(&ptx));
    CHECK(took(&ptx));
    CHECK_EQ(host[1].len, 10004);
    CHECK(!memcmp(host[1].got, data, sizeof data));
    CHECK(!memcmp(host[1].got + 10000, "tail", 4));
    end();
}

static void a_closed_stream_loses_output_and_says_so(void **state)
{
    (void)state;
    begin(MULTIPORT);
    give_control_buffers(8);
    control(1, 3, 1);
    expect(1, 7, 1, "org.test", 8);
    expect(1, 6, 1, NULL, 0);
    host[1].space = 0;
    send_bytes(&ptx, "stuck", 5);
    CHECK(!took(&ptx));
    host[1].c.open = false;
    host[1].c.event(host[1].c.dev, CHARDEV_CLOSED);
    expect(1, 6, 0, NULL, 0);
    CHECK(took(&ptx));
    send_bytes(&ptx, "gone", 4);
    CHECK(took(&ptx));
    CHECK_EQ(host[1].len, 0);
    host[1].c.open = true;
    host[1].c.event(host[1].c.dev, CHARDEV_OPENED);
    expect(1, 6, 1, NULL, 0);
    end();
}

static void resize_tells_the_guest(void **state)
{
    static const uint8_t size[] = {132, 0, 43, 0};
    uint64_t val;

    (void)state;
    begin(MULTIPORT);
    give_control_buffers(4);
    host[0].cols = 132;
    host[0].rows = 43;
    host[0].c.event(host[0].c.dev, CHARDEV_RESIZE);
    expect(0, 5, 1, size, 4);
    CHECK(vg_rd(&g, 0x060) & 2);
    CHECK(bus_read(g.env.bus, VG_SLOT + 0x100, 4, &val));
    CHECK_EQ(val, 132 | 43 << 16);
    end();
}

static void one_huge_buffer_is_sent_in_turns(void **state)
{
    enum { LEN = 1000000 };

    (void)state;
    begin(0);
    struct vg_buf b = {VG_RAM + (4 << 20), LEN, false};
    memset(vg_host(&g, b.addr), 'z', LEN);
    vg_add(&tx, &b, 1, false);
    vg_kick(&tx);
    CHECK(host[0].len < LEN); /* the notification came back before all was out */
    for (int i = 0; i < 10 && host[0].len < LEN; i++)
        clock_advance(g.env.clock, 1);
    CHECK_EQ(host[0].len, LEN);
    CHECK(took(&tx));
    end();
}

static void emergency_write(void **state)
{
    (void)state;
    begin(4);
    CHECK(bus_write(g.env.bus, VG_SLOT + 0x108, 4, 'E'));
    CHECK_EQ(host[0].len, 1);
    CHECK_EQ(host[0].got[0], 'E');
    end();
}

static void wrong_ports_are_refused_at_set_up(void **state)
{
    struct err e;

    (void)state;
    begin(0);
    CHECK(!virtio_console_add_port(v, 0, NULL, true, NULL, &e));  /* taken */
    CHECK(!virtio_console_add_port(v, 31, NULL, true, NULL, &e)); /* out of range */
    CHECK(!virtio_console_new(&g.env, "c", &(struct virtio_console_options){.max_ports = 32}, &e));
    struct virtio_dev *w = virtio_console_new(&g.env, "c", &(struct virtio_console_options){.max_ports = 2}, &e);
    CHECK(!virtio_console_add_port(w, 0, NULL, false, NULL, &e)); /* port 0 is a console's */
    CHECK(virtio_console_add_port(w, -1, NULL, false, NULL, &e));
    CHECK(!virtio_console_add_port(w, -1, NULL, false, NULL, &e));
    device_free(&w->dev);
    end();
}

static void reset_and_restore(void **state)
{
    size_t n;
    void *image;
    struct err e;

    (void)state;
    begin(MULTIPORT);
    host[1].space = 3;
    send_bytes(&ptx, "abcdef", 6);
    control(0xffffffff, 0, 1); /* no buffer: pending */
    control(1, 6, 1);
    n = device_state_size(&v->dev);
    image = malloc(n);
    device_save(&v->dev, image);
    device_reset(&v->dev);
    CHECK_EQ(vg_rd(&g, 0x070), 0);
    CHECK_EQ(host[1].c.room(host[1].c.dev), 0);
    CHECK(device_restore(&v->dev, image, n, &e));
    host[1].space = 100;
    host[1].c.writable(host[1].c.dev);
    CHECK(took(&ptx));
    CHECK(!memcmp(host[1].got, "abcdef", 6));
    give_control_buffers(2);
    expect(0, 1, 1, NULL, 0);
    expect(1, 1, 1, NULL, 0);
    give(&prx, 16);
    CHECK_EQ(host[1].c.room(host[1].c.dev), 16);
    free(image);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_shows_size_and_ports),
        cmocka_unit_test(plain_console_both_ways),
        cmocka_unit_test(multiport_handshake),
        cmocka_unit_test(control_messages_wait_for_buffers),
        cmocka_unit_test(input_waits_until_the_guest_opened_the_port),
        cmocka_unit_test(output_waits_for_the_host_and_is_not_lost),
        cmocka_unit_test(a_closed_stream_loses_output_and_says_so),
        cmocka_unit_test(resize_tells_the_guest),
        cmocka_unit_test(one_huge_buffer_is_sent_in_turns),
        cmocka_unit_test(emergency_write),
        cmocka_unit_test(wrong_ports_are_refused_at_set_up),
        cmocka_unit_test(reset_and_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
