/* virtio-gpu: what a driver asks for and gets, what a viewer sees of it, and what a hostile driver does not get. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"
#include "devices/virtio_gpu.h"
#include "tests/unit/virtio_guest.h"

enum { /* 5.7.6.7 */
       GET_DISPLAY_INFO = 0x100,
       CREATE,
       UNREF,
       SET_SCANOUT,
       FLUSH,
       TRANSFER,
       ATTACH,
       DETACH,
       GET_CAPSET_INFO,
       GET_CAPSET,
       GET_EDID,
       ASSIGN_UUID,
       CREATE_BLOB,
       UPDATE_CURSOR = 0x300,
       MOVE_CURSOR,
       OK = 0x1100,
       OK_DISPLAY_INFO,
       OK_EDID = 0x1104,
       ERR_UNSPEC = 0x1200,
       ERR_MEMORY,
       ERR_SCANOUT,
       ERR_RESOURCE,
       ERR_CONTEXT,
       ERR_PARAMETER,
};

enum { BGRX = 2, BGRA = 1, XRGB = 4, RGBA = 67 };

static struct vg g;
static struct vg_queue control, cursor;
static struct virtio_dev *v;
static gpa req, resp; /* 64 KiB, 2 KiB */
static struct display_viewer viewer;
static struct display_update u;

static void begin(struct virtio_gpu_options o)
{
    struct err e = {""};

    vg_init(&g, false);
    v = virtio_gpu_new(&g.env, "gpu0", &o, &e);
    if (!v)
        fail_msg("%s", e.msg);
    vg_plug(&g, v);
    vg_begin(&g, UINT64_C(1) << 1);
    vg_queue_init(&g, &control, 0, 64);
    vg_queue_init(&g, &cursor, 1, 16);
    vg_queue_on(&control);
    vg_queue_on(&cursor);
    vg_go(&g);
    req = vg_alloc(&g, 65536, 16);
    resp = vg_alloc(&g, 2048, 16);
    viewer = (struct display_viewer){0};
    display_attach(virtio_gpu_display(v, 0), &viewer);
}

static void end(void)
{
    display_detach(virtio_gpu_display(v, 0), &viewer);
    device_free(&v->dev);
    vg_fini(&g);
}

static bool look(void)
{
    bool any = display_begin(virtio_gpu_display(v, 0), &viewer, &u);

    display_end(virtio_gpu_display(v, 0), &viewer);
    return any;
}

/* Words after the header; the answer's type. */
static uint32_t send_to(struct vg_queue *q, uint32_t type, const uint32_t *words, unsigned n, uint32_t len)
{
    uint8_t *p = vg_host(&g, req);
    struct vg_buf b[] = {{req, len ? len : 24 + 4 * n, false}, {resp, 2048, true}};
    unsigned id;
    uint32_t got = 0;

    memset(p, 0, 24);
    st32(p, type);
    memcpy(p + 24, words, 4 * n);
    memset(vg_host(&g, resp), 0xee, 2048);
    vg_add(q, b, 2, false);
    vg_kick(q);
    CHECK(vg_used(q, &id, &got));
    return ld32(vg_host(&g, resp));
}

#define SEND(type, ...)                                                                                                \
    send_to(&control, type, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, 0)
#define SEND_CURSOR(type, ...)                                                                                         \
    send_to(&cursor, type, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, 0)

static uint32_t answer(unsigned off) { return ld32(vg_host(&g, resp) + off); }

/* A resource of w x h with backing in one piece, its pixels counted up. */
static gpa picture(uint32_t id, uint32_t format, uint32_t w, uint32_t h)
{
    gpa at = vg_alloc(&g, w * h * 4, 4096);

    for (uint32_t i = 0; i < w * h; i++)
        st32(vg_host(&g, at) + 4 * i, id << 24 | i);
    CHECK_EQ(SEND(CREATE, id, format, w, h), OK);
    CHECK_EQ(SEND(ATTACH, id, 1, (uint32_t)at, (uint32_t)(at >> 32), w * h * 4, 0), OK);
    return at;
}

static uint32_t seen(uint32_t x, uint32_t y)
{
    struct display *d = virtio_gpu_display(v, 0);
    const struct surface *s = display_lock(d);
    uint32_t out = 0xdeadbeef;

    if (s->data && x < s->width && y < s->height)
        display_read(s, &(struct display_rect){x, y, 1, 1}, &out, 4);
    display_unlock(d);
    return out & 0xffffff;
}

static void the_device_says_what_it_is(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){.max_outputs = 3});
    CHECK_EQ(vg_rd(&g, 0x008), 16);
    CHECK_EQ(vg_rd(&g, 0x100 + 8), 3);  /* scanouts */
    CHECK_EQ(vg_rd(&g, 0x100 + 12), 0); /* capsets */
    vg_wr(&g, 0x014, 0);
    CHECK_EQ(vg_rd(&g, 0x010) & 0x1f, 2); /* EDID, neither 3D nor blobs */
    CHECK(virtio_gpu_display(v, 2) != NULL);
    CHECK(virtio_gpu_display(v, 3) == NULL);
    end();
}

static void it_is_modern_on_a_slot_that_would_be_legacy(void **state)
{
    struct err e;

    (void)state;
    vg_init(&g, true);
    v = virtio_gpu_new(&g.env, "gpu0", &(struct virtio_gpu_options){0}, &e);
    vg_plug(&g, v);
    CHECK_EQ(vg_rd(&g, 0x004), 2);
    device_free(&v->dev);
    vg_fini(&g);
}

static void monitors_stand_side_by_side(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){.max_outputs = 2, .xres = 1024, .yres = 768});
    CHECK_EQ(SEND(GET_DISPLAY_INFO, 0), OK_DISPLAY_INFO);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(answer(24 + 24 * i), i == 1 ? 1024 : 0);
        CHECK_EQ(answer(24 + 24 * i + 8), i < 2 ? 1024 : 0);
        CHECK_EQ(answer(24 + 24 * i + 12), i < 2 ? 768 : 0);
        CHECK_EQ(answer(24 + 24 * i + 16), i < 2);
    }
    CHECK_EQ(answer(24 + 24 * 16), 0xeeeeeeee); /* no more than 16 */
    end();
}

static void the_edid_prefers_the_size_there_is(void **state)
{
    const uint8_t *dtd;

    (void)state;
    begin((struct virtio_gpu_options){.xres = 1366, .yres = 768});
    CHECK_EQ(SEND(GET_EDID, 0, 0), OK_EDID);
    CHECK_EQ(answer(24), 256);
    dtd = vg_host(&g, resp) + 32 + 54;
    CHECK_EQ(dtd[2] | (dtd[4] & 0xf0) << 4, 1366);
    CHECK_EQ(dtd[5] | (dtd[7] & 0xf0) << 4, 768);
    CHECK_EQ(SEND(GET_EDID, 1, 0), ERR_SCANOUT);
    end();
}

static void a_frame_reaches_the_viewer(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){0});
    picture(5, BGRX, 40, 30);
    look();
    CHECK(!u.has_surface);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 40, 30, 0, 5), OK);
    CHECK(look());
    CHECK(u.new_surface);
    CHECK_EQ(u.surface.width, 40);
    CHECK_EQ(u.surface.height, 30);
    CHECK_EQ(seen(3, 2), 0); /* nothing was transferred */
    CHECK_EQ(SEND(TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), OK);
    CHECK(!look()); /* and nothing flushed */
    CHECK_EQ(SEND(FLUSH, 2, 3, 10, 5, 5, 0), OK);
    CHECK(look());
    CHECK_EQ(u.rects, 1);
    CHECK_EQ(u.rect[0].x, 2);
    CHECK_EQ(u.rect[0].y, 3);
    CHECK_EQ(u.rect[0].w, 10);
    CHECK_EQ(u.rect[0].h, 5);
    CHECK_EQ(seen(3, 2), 2 * 40 + 3);
    CHECK_EQ(seen(39, 29), 29 * 40 + 39);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 40, 30, 0, 5), OK); /* as it is: no damage */
    CHECK(!look());
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 0, 0, 0, 0), OK);
    CHECK(look());
    CHECK(!u.has_surface);
    end();
}

static void a_part_is_transferred_from_its_offset(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){0});
    picture(5, BGRX, 40, 30);
    SEND(SET_SCANOUT, 0, 0, 40, 30, 0, 5);
    CHECK_EQ(SEND(TRANSFER, 10, 4, 3, 2, (4 * 40 + 10) * 4, 0, 5, 0), OK);
    CHECK_EQ(seen(10, 4), 4 * 40 + 10);
    CHECK_EQ(seen(12, 5), 5 * 40 + 12);
    CHECK_EQ(seen(9, 4), 0);
    CHECK_EQ(seen(13, 4), 0);
    CHECK_EQ(seen(10, 3), 0);
    CHECK_EQ(seen(10, 6), 0);
    /* whole rows, and the last pixel there is */
    CHECK_EQ(SEND(TRANSFER, 0, 28, 40, 2, 28 * 40 * 4, 0, 5, 0), OK);
    CHECK_EQ(seen(0, 28), 28 * 40);
    CHECK_EQ(SEND(TRANSFER, 39, 29, 1, 1, (40 * 30 - 1) * 4, 0, 5, 0), OK);
    CHECK_EQ(SEND(TRANSFER, 39, 29, 1, 1, (40 * 30 - 1) * 4 + 1, 0, 5, 0), ERR_PARAMETER);
    CHECK_EQ(SEND(TRANSFER, 7, 7, 0, 0, 0, 0, 5, 0), OK); /* nothing of it */
    end();
}

static void backing_may_be_in_pieces(void **state)
{
    uint32_t words[2 + 4 * 100] = {5, 100};
    gpa page[100];

    (void)state;
    begin((struct virtio_gpu_options){0});
    SEND(CREATE, 5, BGRX, 100, 100);
    for (unsigned i = 0; i < 100; i++) { /* 400 bytes of pixels in each, at odd places */
        uint32_t *w = &words[2 + 4 * i];

        page[i] = vg_alloc(&g, 512, 1) + 3;
        w[0] = (uint32_t)page[i];
        w[2] = i == 7 ? 0 : i == 8 ? 800 : 400; /* one is empty, the next twice as long */
        for (unsigned x = 0; x < 100; x++)
            st32(vg_host(&g, page[i]) + 4 * x, i * 100 + x);
    }
    vg_alloc(&g, 512, 1);
    for (unsigned x = 0; x < 100; x++) {
        st32(vg_host(&g, page[8]) + 4 * x, 700 + x);
        st32(vg_host(&g, page[8]) + 400 + 4 * x, 800 + x);
    }
    /* which reaches into the tenth: that one goes elsewhere */
    words[2 + 4 * 9] = (uint32_t)vg_alloc(&g, 400, 1);
    for (unsigned x = 0; x < 100; x++)
        st32(vg_host(&g, words[2 + 4 * 9]) + 4 * x, 900 + x);
    CHECK_EQ(send_to(&control, ATTACH, words, 402, 0), OK);
    SEND(SET_SCANOUT, 0, 0, 100, 100, 0, 5);
    CHECK_EQ(SEND(TRANSFER, 0, 0, 100, 100, 0, 0, 5, 0), OK);
    for (unsigned i = 0; i < 10000; i++)
        CHECK_EQ(seen(i % 100, i / 100), i);
    CHECK_EQ(SEND(DETACH, 5, 0), OK);
    CHECK_EQ(SEND(DETACH, 5, 0), ERR_UNSPEC);
    CHECK_EQ(SEND(TRANSFER, 0, 0, 1, 1, 0, 0, 5, 0), ERR_UNSPEC);
    CHECK_EQ(seen(5, 5), 505); /* the picture stays */
    end();
}

static void backings_come_and_go_in_any_order(void **state)
{
    gpa at[4];

    (void)state;
    begin((struct virtio_gpu_options){0});
    for (uint32_t i = 0; i < 4; i++)
        at[i] = picture(i + 1, BGRX, 16, 16);
    CHECK_EQ(SEND(UNREF, 2, 0), OK);
    CHECK_EQ(SEND(DETACH, 1, 0), OK);
    CHECK_EQ(SEND(ATTACH, 1, 1, (uint32_t)at[1], 0, 1024, 0), OK); /* what was the second's */
    for (uint32_t id = 1; id <= 4; id++) {
        if (id == 2)
            continue;
        CHECK_EQ(SEND(TRANSFER, 0, 0, 16, 16, 0, 0, id, 0), OK);
        SEND(SET_SCANOUT, 0, 0, 16, 16, 0, id);
        CHECK_EQ(seen(5, 5), 85);
    }
    CHECK_EQ(SEND(TRANSFER, 0, 0, 16, 16, 0, 0, 2, 0), ERR_RESOURCE);
    end();
}

static void a_scanout_shows_a_part_and_its_damage(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){.max_outputs = 2});
    picture(5, XRGB, 64, 64); /* bytes x, R, G, B: i is in the upper ones of a little-endian word */
    CHECK_EQ(SEND(SET_SCANOUT, 32, 16, 32, 48, 0, 5), OK);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 32, 48, 1, 5), OK);
    CHECK_EQ(SEND(TRANSFER, 0, 0, 64, 64, 0, 0, 5, 0), OK);
    look();
    CHECK_EQ(u.surface.width, 32);
    CHECK_EQ(seen(1, 1), __builtin_bswap32(5u << 24 | (17 * 64 + 33)) & 0xffffff);
    CHECK_EQ(SEND(FLUSH, 0, 0, 40, 20, 5, 0), OK);
    CHECK(look());
    CHECK_EQ(u.rects, 1);
    CHECK_EQ(u.rect[0].x, 0);
    CHECK_EQ(u.rect[0].w, 8);
    CHECK_EQ(u.rect[0].h, 4);
    CHECK_EQ(SEND(FLUSH, 0, 0, 32, 64, 5, 0), OK); /* the other scanout's alone */
    CHECK(!look());
    CHECK_EQ(SEND(UNREF, 5, 0), OK);
    CHECK(look());
    CHECK(!u.has_surface);
    end();
}

static void fences_come_back_with_the_answer(void **state)
{
    uint8_t *p;
    struct vg_buf b[] = {{0, 28, false}, {0, 24, true}};
    unsigned id;
    uint32_t len;

    (void)state;
    begin((struct virtio_gpu_options){0});
    p = vg_host(&g, req);
    b[0].addr = req;
    b[1].addr = resp;
    memset(p, 0, 28);
    st32(p, UNREF);
    st32(p + 4, 1);
    st64(p + 8, UINT64_C(0x123456789abcdef));
    st32(p + 16, 77);
    vg_add(&control, b, 2, false);
    vg_kick(&control);
    CHECK(vg_used(&control, &id, &len));
    CHECK_EQ(len, 24);
    CHECK_EQ(answer(0), ERR_RESOURCE);
    CHECK_EQ(answer(4), 1);
    CHECK_EQ(ld64(vg_host(&g, resp) + 8), UINT64_C(0x123456789abcdef));
    CHECK_EQ(answer(16), 77);
    st32(p + 4, 0);
    vg_add(&control, b, 2, false);
    vg_kick(&control);
    CHECK(vg_used(&control, &id, &len));
    CHECK_EQ(answer(4), 0);
    CHECK_EQ(answer(8), 0);
    end();
}

static void a_cursor_is_set_and_moved(void **state)
{
    struct display_cursor c;
    struct display *d;
    gpa at;

    (void)state;
    begin((struct virtio_gpu_options){0});
    d = virtio_gpu_display(v, 0);
    at = picture(9, BGRA, 64, 64);
    memset(vg_host(&g, at), 0, 64 * 64 * 4);
    st32(vg_host(&g, at) + 4 * 65, 0x80402000); /* multiplied by alpha: c0 = 40 * ff / 80 rounded is 80 */
    SEND(TRANSFER, 0, 0, 64, 64, 0, 0, 9, 0);
    look();
    CHECK_EQ(SEND_CURSOR(UPDATE_CURSOR, 0, 100, 200, 0, 9, 3, 4, 0), OK);
    CHECK(display_begin(d, &viewer, &u));
    CHECK(u.new_cursor && u.cursor_moved && u.cursor_visible);
    CHECK_EQ(u.cursor_x, 100);
    CHECK_EQ(u.cursor_y, 200);
    display_cursor(d, &c);
    CHECK_EQ(c.w, 64);
    CHECK_EQ(c.hot_x, 3);
    CHECK_EQ(c.hot_y, 4);
    CHECK_EQ(c.argb[65], 0x80804000);
    CHECK_EQ(c.argb[64], 0);
    display_end(d, &viewer);
    CHECK_EQ(SEND_CURSOR(MOVE_CURSOR, 0, -5u, 7, 0, 0, 0, 0, 0), OK);
    CHECK(look());
    CHECK(!u.new_cursor && u.cursor_visible);
    CHECK_EQ(u.cursor_x, -5);
    CHECK_EQ(SEND_CURSOR(UPDATE_CURSOR, 0, 0, 0, 0, 0, 0, 0, 0), OK);
    CHECK(look());
    CHECK(!u.cursor_visible);
    CHECK_EQ(SEND_CURSOR(UPDATE_CURSOR, 1, 0, 0, 0, 9, 0, 0, 0), ERR_SCANOUT);
    CHECK_EQ(SEND_CURSOR(UPDATE_CURSOR, 0, 0, 0, 0, 8, 0, 0, 0), ERR_RESOURCE);
    picture(10, BGRA, 32, 32);
    CHECK_EQ(SEND_CURSOR(UPDATE_CURSOR, 0, 0, 0, 0, 10, 0, 0, 0), ERR_PARAMETER);
    CHECK_EQ(SEND(UPDATE_CURSOR, 0, 0, 0, 0, 9, 0, 0, 0), ERR_UNSPEC); /* on the wrong queue */
    end();
}

/* Colours above their alpha are not multiplied by it: they stay. An opaque format is opaque. */
static void straight_and_opaque_cursors_stay_as_they_are(void **state)
{
    struct display_cursor c;
    struct display *d;
    gpa at;

    (void)state;
    begin((struct virtio_gpu_options){0});
    d = virtio_gpu_display(v, 0);
    at = picture(9, RGBA, 64, 64);
    memset(vg_host(&g, at), 0, 64 * 64 * 4);
    st32(vg_host(&g, at), 0x400000ff); /* bytes R ff, G 0, B 0, A 40 */
    SEND(TRANSFER, 0, 0, 64, 64, 0, 0, 9, 0);
    SEND_CURSOR(UPDATE_CURSOR, 0, 0, 0, 0, 9, 70, 4, 0);
    CHECK(display_begin(d, &viewer, &u));
    display_cursor(d, &c);
    CHECK_EQ(c.argb[0], 0x40ff0000);
    CHECK_EQ(c.hot_x, 63);
    display_end(d, &viewer);
    picture(10, BGRX, 64, 64);
    SEND_CURSOR(UPDATE_CURSOR, 0, 0, 0, 0, 10, 0, 0, 0);
    CHECK(display_begin(d, &viewer, &u));
    display_cursor(d, &c);
    CHECK_EQ(c.argb[0], 0xff000000);
    display_end(d, &viewer);
    end();
}

static void a_resized_window_becomes_a_monitor_of_that_size(void **state)
{
    const uint8_t *dtd;
    uint32_t generation;
    unsigned ups;

    (void)state;
    begin((struct virtio_gpu_options){.max_outputs = 2});
    generation = vg_rd(&g, 0x0fc);
    ups = g.irq_ups;
    display_wants_size(virtio_gpu_display(v, 0), 1600, 900, 423, 238);
    CHECK_EQ(g.irq_ups, ups + 1);
    CHECK_EQ(vg_rd(&g, 0x060), 2); /* the configuration changed */
    CHECK(vg_rd(&g, 0x0fc) != generation);
    CHECK_EQ(vg_rd(&g, 0x100), 1);
    vg_wr(&g, 0x064, 2);
    vg_wr(&g, 0x104, 1); /* who has not asked is told again: Linux clears last, and would miss the last of two */
    CHECK_EQ(vg_rd(&g, 0x100), 1);
    CHECK_EQ(vg_rd(&g, 0x060), 2);
    SEND(GET_DISPLAY_INFO, 0);
    CHECK_EQ(answer(24 + 8), 1600);
    CHECK_EQ(answer(24 + 12), 900);
    CHECK_EQ(answer(24 + 24), 1600); /* the second one moves */
    vg_wr(&g, 0x104, 1);
    CHECK_EQ(vg_rd(&g, 0x100), 0);
    CHECK_EQ(vg_rd(&g, 0x104), 0);
    SEND(GET_EDID, 0, 0);
    dtd = vg_host(&g, resp) + 32 + 54;
    CHECK_EQ(dtd[2] | (dtd[4] & 0xf0) << 4, 1600);
    CHECK_EQ(dtd[12] | (dtd[14] & 0xf0) << 4, 423);
    vg_wr(&g, 0x064, 3);
    ups = g.irq_ups;
    display_wants_size(virtio_gpu_display(v, 0), 1600, 900, 423, 238); /* no news */
    display_wants_size(virtio_gpu_display(v, 0), 0, 0, 0, 0);          /* the first one stays */
    CHECK_EQ(g.irq_ups, ups);
    display_wants_size(virtio_gpu_display(v, 1), 0, 0, 0, 0); /* a further one is unplugged */
    CHECK_EQ(vg_rd(&g, 0x100), 1);
    SEND(GET_DISPLAY_INFO, 0);
    CHECK_EQ(answer(24 + 24 + 16), 0);
    end();
}

/* Linux's text console has one picture for ever; what it does not show of it nobody can read. */
static void a_picture_that_cannot_shrink_gets_its_monitor_back(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){.max_outputs = 2});
    picture(5, XRGB, 64, 64);
    picture(6, XRGB, 64, 32);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 64, 64, 0, 5), OK);
    display_wants_size(virtio_gpu_display(v, 0), 64, 32, 20, 10);
    SEND(GET_DISPLAY_INFO, 0);
    CHECK_EQ(vg_rd(&g, 0x100), 1);
    vg_wr(&g, 0x104, 1);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 0, 0, 0, 0), OK); /* off, as DRM does in between */
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 64, 32, 0, 5), OK);
    CHECK_EQ(vg_rd(&g, 0x100), 1);
    SEND(GET_DISPLAY_INFO, 0);
    CHECK_EQ(answer(24 + 8), 64);
    CHECK_EQ(answer(24 + 12), 64);
    display_wants_size(virtio_gpu_display(v, 0), 64, 32, 20, 10);
    SEND(GET_DISPLAY_INFO, 0);
    vg_wr(&g, 0x104, 1);
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 64, 32, 0, 6), OK); /* another picture, of that size: it follows */
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 32, 32, 0, 6),
             OK); /* and then shows less of it, on a monitor that is not smaller */
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 32, 32, 1, 6), OK); /* a picture that monitors share */
    CHECK_EQ(SEND(SET_SCANOUT, 0, 0, 16, 16, 0, 6), OK);
    CHECK_EQ(vg_rd(&g, 0x100), 0);
    end();
}

static void a_reset_keeps_the_monitor_and_nothing_else(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){0});
    display_wants_size(virtio_gpu_display(v, 0), 640, 480, 0, 0);
    picture(5, BGRX, 40, 30);
    SEND(SET_SCANOUT, 0, 0, 40, 30, 0, 5);
    look();
    vg_wr(&g, 0x070, 0);
    CHECK(look());
    CHECK(!u.has_surface);
    vg_begin(&g, 2);
    control.avail = control.used = 0;
    memset(vg_host(&g, control.driver), 0, 4);
    memset(vg_host(&g, control.device), 0, 4);
    vg_queue_on(&control);
    vg_go(&g);
    CHECK_EQ(vg_rd(&g, 0x100), 0);
    CHECK_EQ(SEND(UNREF, 5, 0), ERR_RESOURCE);
    SEND(GET_DISPLAY_INFO, 0);
    CHECK_EQ(answer(24 + 8), 640);
    end();
}

/* A snapshot has resources, backing and scanouts; pixels come again from the guest's memory. */
static void what_was_saved_is_shown_again(void **state)
{
    size_t n;
    uint8_t *a, *b;
    struct err e;

    (void)state;
    begin((struct virtio_gpu_options){0});
    picture(5, BGRX, 40, 30);
    picture(6, BGRA, 64, 64);
    SEND(TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0);
    SEND(TRANSFER, 0, 0, 64, 64, 0, 0, 6, 0);
    SEND(SET_SCANOUT, 8, 8, 20, 20, 0, 5);
    SEND_CURSOR(UPDATE_CURSOR, 0, 11, 12, 0, 6, 1, 1, 0);
    n = device_state_size(&v->dev);
    a = malloc(n);
    b = malloc(n);
    device_save(&v->dev, a);
    device_reset(&v->dev);
    look();
    CHECK(!u.has_surface && !u.cursor_visible);
    CHECK(device_restore(&v->dev, a, n, &e));
    device_save(&v->dev, b);
    assert_memory_equal(a, b, n);
    look();
    CHECK(u.has_surface && u.cursor_visible);
    CHECK_EQ(u.surface.width, 20);
    CHECK_EQ(u.cursor_x, 11);
    CHECK_EQ(seen(1, 2), 10 * 40 + 9);
    CHECK_EQ(SEND(TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), OK);
    free(a);
    free(b);
    end();
}

static void memory_is_bounded(void **state)
{
    (void)state;
    begin((struct virtio_gpu_options){.max_hostmem = 1 << 20});
    CHECK_EQ(SEND(CREATE, 1, BGRX, 512, 512), OK); /* all of it */
    CHECK_EQ(SEND(CREATE, 2, BGRX, 1, 1), ERR_MEMORY);
    CHECK_EQ(SEND(UNREF, 1, 0), OK);
    CHECK_EQ(SEND(CREATE, 2, BGRX, 16384, 16384), ERR_MEMORY);
    for (uint32_t id = 1; id <= 512; id++)
        CHECK_EQ(SEND(CREATE, id, BGRX, 1, 1), OK);
    CHECK_EQ(SEND(CREATE, 513, BGRX, 1, 1), ERR_MEMORY);
    end();
}

static void sizes_and_ids_that_cannot_be_are_refused(void **state)
{
    static const struct {
        uint32_t type, words[9], expected;
    } cases[] = {
        {CREATE, {0, BGRX, 8, 8}, ERR_RESOURCE},
        {CREATE, {5, BGRX, 8, 8}, ERR_RESOURCE}, /* it is there */
        {CREATE, {6, 99, 8, 8}, ERR_PARAMETER},
        {CREATE, {6, BGRX, 0, 8}, ERR_PARAMETER},
        {CREATE, {6, BGRX, 8, 16385}, ERR_PARAMETER},
        {CREATE, {6, BGRX, 0x80000000, 2}, ERR_PARAMETER},
        {CREATE, {6, BGRX, 0x10000, 0x10000}, ERR_PARAMETER},
        {UNREF, {0}, ERR_RESOURCE},
        {UNREF, {77}, ERR_RESOURCE},
        {SET_SCANOUT, {0, 0, 8, 8, 1, 5}, ERR_SCANOUT},
        {SET_SCANOUT, {0, 0, 8, 8, 0, 7}, ERR_RESOURCE},
        {SET_SCANOUT, {0, 0, 41, 8, 0, 5}, ERR_PARAMETER},
        {SET_SCANOUT, {1, 0, UINT32_MAX, 8, 0, 5}, ERR_PARAMETER},
        {SET_SCANOUT, {UINT32_MAX, 0, 2, 8, 0, 5}, ERR_PARAMETER},
        {SET_SCANOUT, {0, 0, 0, 8, 0, 5}, ERR_PARAMETER},
        {FLUSH, {0, 0, 40, 31, 5}, ERR_PARAMETER},
        {FLUSH, {0, UINT32_MAX, 40, 2, 5}, ERR_PARAMETER},
        {FLUSH, {0, 0, 1, 1, 6}, ERR_RESOURCE},
        {TRANSFER, {1, 0, 40, 30, 0, 0, 5}, ERR_PARAMETER},
        {TRANSFER, {0, UINT32_MAX, 40, 30, 0, 0, 5}, ERR_PARAMETER},
        {TRANSFER, {0, 0, 40, 30, 1, 0, 5}, ERR_PARAMETER},
        {TRANSFER, {0, 0, 40, 30, UINT32_MAX, UINT32_MAX, 5}, ERR_PARAMETER},
        {TRANSFER, {0, 0, 40, 2, UINT32_MAX - 100, UINT32_MAX, 5}, ERR_PARAMETER},
        {TRANSFER, {0, 0, 40, 30, 0, 0, 6}, ERR_RESOURCE},
        {DETACH, {6}, ERR_RESOURCE},
        {ATTACH, {6, 1, VG_RAM, 0, 4096}, ERR_RESOURCE},
        {ATTACH, {5, 1, VG_RAM, 0, 4096}, ERR_UNSPEC}, /* it has one */
        {GET_CAPSET_INFO, {0}, ERR_PARAMETER},
        {GET_CAPSET, {1, 1}, ERR_PARAMETER},
        {ASSIGN_UUID, {5}, ERR_UNSPEC},
        {CREATE_BLOB, {6, 1, 1}, ERR_UNSPEC},
        {0x200, {0}, ERR_UNSPEC},
        {MOVE_CURSOR, {0}, ERR_UNSPEC},
        {0, {0}, ERR_UNSPEC},
    };

    (void)state;
    begin((struct virtio_gpu_options){0});
    picture(5, BGRX, 40, 30);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t got = send_to(&control, cases[i].type, cases[i].words, 9, 0);

        if (got != cases[i].expected)
            fail_msg("case %zu: 0x%x, expected 0x%x", i, got, cases[i].expected);
    }
    CHECK_EQ(SEND(TRANSFER, 0, 0, 40, 30, 0, 0, 5, 0), OK); /* and it works on */
    end();
}

static void backing_that_is_not_memory_is_refused(void **state)
{
    static const uint32_t bad[][6] = {
        {6, 1, 0x1000, 0, 4096, 0},                    /* nothing is there */
        {6, 1, VG_SLOT, 0, 512, 0},                    /* registers */
        {6, 1, VG_RAM + VG_RAM_SIZE - 100, 0, 101, 0}, /* over the end of RAM */
        {6, 1, 0xfffff000, 0xffffffff, 0x2000, 0},     /* around the address space */
        {6, 0, 0, 0, 0, 0},                            /* none */
        {6, 1, VG_RAM, 0, 0, 0},                       /* an empty one */
        {6, 2, VG_RAM, 0, 4096, 0},                    /* more than were sent */
        {6, 0x10000001, VG_RAM, 0, 4096, 0},           /* 16 times that overflows 32 bits */
        {6, UINT32_MAX, VG_RAM, 0, 4096, 0},
    };

    (void)state;
    begin((struct virtio_gpu_options){0});
    CHECK_EQ(SEND(CREATE, 6, BGRX, 8, 8), OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (send_to(&control, ATTACH, bad[i], 6, 0) != ERR_PARAMETER)
            fail_msg("case %zu was taken", i);
    CHECK_EQ(SEND(DETACH, 6, 0), ERR_UNSPEC);
    CHECK_EQ(SEND(ATTACH, 6, 1, VG_RAM, 0, 100, 0), OK); /* shorter than the picture: */
    CHECK_EQ(SEND(TRANSFER, 0, 0, 8, 8, 0, 0, 6, 0), ERR_PARAMETER);
    CHECK_EQ(SEND(TRANSFER, 0, 0, 8, 3, 0, 0, 6, 0), OK);
    end();
}

static void short_commands_are_refused_and_the_device_goes_on(void **state)
{
    uint32_t words[8] = {5};

    (void)state;
    begin((struct virtio_gpu_options){0});
    for (uint32_t type = 0x101; type < 0x108; type++)
        CHECK_EQ(send_to(&control, type, words, 0, 24), ERR_PARAMETER);
    CHECK_EQ(send_to(&control, GET_DISPLAY_INFO, words, 0, 23), 0xeeeeeeee); /* not even a header */
    CHECK_EQ(send_to(&control, GET_DISPLAY_INFO, words, 0, 24), OK_DISPLAY_INFO);
    CHECK(!(vg_rd(&g, 0x070) & 64)); /* DEVICE_NEEDS_RESET */
    end();
}

static void options_out_of_range_are_refused(void **state)
{
    static const struct virtio_gpu_options bad[] = {{.max_outputs = 17}, {.xres = 16385}, {.yres = 31}};
    struct err e;

    (void)state;
    vg_init(&g, false);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!virtio_gpu_new(&g.env, "gpu0", &bad[i], &e));
    vg_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_says_what_it_is),
        cmocka_unit_test(it_is_modern_on_a_slot_that_would_be_legacy),
        cmocka_unit_test(monitors_stand_side_by_side),
        cmocka_unit_test(the_edid_prefers_the_size_there_is),
        cmocka_unit_test(a_frame_reaches_the_viewer),
        cmocka_unit_test(a_part_is_transferred_from_its_offset),
        cmocka_unit_test(backing_may_be_in_pieces),
        cmocka_unit_test(backings_come_and_go_in_any_order),
        cmocka_unit_test(a_scanout_shows_a_part_and_its_damage),
        cmocka_unit_test(fences_come_back_with_the_answer),
        cmocka_unit_test(a_cursor_is_set_and_moved),
        cmocka_unit_test(straight_and_opaque_cursors_stay_as_they_are),
        cmocka_unit_test(a_resized_window_becomes_a_monitor_of_that_size),
        cmocka_unit_test(a_picture_that_cannot_shrink_gets_its_monitor_back),
        cmocka_unit_test(a_reset_keeps_the_monitor_and_nothing_else),
        cmocka_unit_test(what_was_saved_is_shown_again),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(sizes_and_ids_that_cannot_be_are_refused),
        cmocka_unit_test(backing_that_is_not_memory_is_refused),
        cmocka_unit_test(short_commands_are_refused_and_the_device_goes_on),
        cmocka_unit_test(options_out_of_range_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
