/*
 * The device of virtio-gpu: two queues, its configuration space, its monitors, reset and restore; see
 * virtio_gpu_parts.h.
 *
 * Commands are executed where the guest notifies, so that a frame is in place when the guest goes on. A kick has a
 * budget of bytes; what is left goes on from the loop. A monitor's size comes from outside and passes the input gate.
 */
#include "devices/virtio_gpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/virtio_gpu_parts.h"

enum { F_EDID = 1 };
enum { C_EVENTS_READ = 0, C_EVENTS_CLEAR = 4, C_SCANOUTS = 8, C_LEN = 16, EVENT_DISPLAY = 1 };
enum { CONTROL = 0, CURSOR = 1, CONTROL_SIZE = 256, CURSOR_SIZE = 16 };
enum { WORK_MAX = 64 << 20 /* bytes a kick may move */, DEFAULT_HOSTMEM = 256 << 20 };
enum { SIZE_WORDS = 5 }; /* of a message through the gate: scanout, width, height, both in mm */

/* --- queues --- */

static void serve_one(struct gpu *g, unsigned queue)
{
    struct gpu_call call;
    uint64_t written = 0;

    if (gpu_execute(g, queue == CURSOR, &call)) {
        written = chain_write(&g->chain, 0, call.answer, call.len);
        if (written < call.len && queue == CONTROL) /* nobody waits for the answer to a cursor command */
            log_guest(&g->v.dev, "%" PRIu64 " bytes of room for an answer of %zu", written, call.len);
    } else {
        log_guest(&g->v.dev, "a command of %" PRIu64 " bytes", g->chain.out_len);
    }
    virtq_push(&g->chain, written);
}

static void gpu_notify(struct virtio_dev *v, unsigned queue)
{
    struct gpu *g = (struct gpu *)v;
    struct virtq *q = &v->vq[queue];
    unsigned commands = 2 * CONTROL_SIZE;

    g->work = 0;
    while (commands && g->work < WORK_MAX && virtq_pop(q, &g->chain)) {
        serve_one(g, queue);
        commands--;
    }
    virtq_notify(q);
    if (!commands || g->work >= WORK_MAX || virtq_rearm(q))
        virtio_later(v, queue);
}

static void tell_modes(struct gpu *g)
{
    st32(g->v.config + C_EVENTS_READ, ld32(g->v.config + C_EVENTS_READ) | EVENT_DISPLAY);
    virtio_config_changed(&g->v);
}

/*
 * Linux clears the event after it has asked and set its screens up. What changed in the meantime would be lost by that, so it
 * is told again.
 */
static void gpu_config_written(struct virtio_dev *v, unsigned off, unsigned len)
{
    struct gpu *g = (struct gpu *)v;
    uint32_t clear = ld32(v->config + C_EVENTS_CLEAR);

    (void)off;
    (void)len;
    st32(v->config + C_EVENTS_READ, ld32(v->config + C_EVENTS_READ) & ~clear);
    st32(v->config + C_EVENTS_CLEAR, 0);
    if (clear & EVENT_DISPLAY && g->unread)
        tell_modes(g);
}

/* --- monitors --- */

static uint32_t within(uint32_t side)
{
    return side < GPU_SIDE_MIN ? GPU_SIDE_MIN : side > DISPLAY_MAX ? DISPLAY_MAX : side;
}

void gpu_set_mode(struct gpu *g, unsigned nr, const struct gpu_mode *m)
{
    if (!memcmp(m, &g->mode[nr], sizeof *m))
        return;
    g->mode[nr] = *m;
    g->unread = true;
    tell_modes(g);
}

/* A size from a viewer, through the gate. The first monitor is never unplugged: a machine has a screen. */
static void size_arrived(void *arg, const void *data, size_t len)
{
    struct gpu *g = arg;
    uint32_t w[SIZE_WORDS];
    struct gpu_mode want;

    if (len != sizeof w)
        return;
    memcpy(w, data, sizeof w);
    if (w[0] >= g->scanouts || (!w[0] && (!w[1] || !w[2])))
        return;
    want = (struct gpu_mode){within(w[1]), within(w[2]), w[3], w[4]};
    if (!w[1] || !w[2])
        want = (struct gpu_mode){0};
    device_lock(g);
    gpu_set_mode(g, w[0], &want);
    device_unlock(g);
}

static void screen_resize(void *dev, uint32_t width, uint32_t height, uint32_t mm_width, uint32_t mm_height)
{
    struct gpu_screen *s = dev;
    const uint32_t w[SIZE_WORDS] = {s->nr, width, height, mm_width, mm_height};

    gate_deliver(&s->g->resized, w, sizeof w);
}

static const struct display_ops screen_ops = {.resize = screen_resize};

struct display *virtio_gpu_display(struct virtio_dev *v, unsigned scanout)
{
    struct gpu *g = (struct gpu *)v;

    return scanout < g->scanouts ? g->screen[scanout].display : NULL;
}

/* --- life --- */

static void screens_dark(struct gpu *g)
{
    memset(g->scanout, 0, sizeof g->scanout);
    for (unsigned i = 0; i < g->scanouts; i++) {
        gpu_scanout_off(g, i);
        display_set_cursor(g->screen[i].display, NULL);
        display_move_cursor(g->screen[i].display, 0, 0, false);
    }
}

static void gpu_reset(struct virtio_dev *v)
{
    struct gpu *g = (struct gpu *)v;

    screens_dark(g);
    gpu_res_clear(g);
    memset(v->config, 0, C_SCANOUTS); /* events */
}

/* After restore: everything is checked again, since a snapshot comes from outside. */
static void gpu_update(struct device *d)
{
    struct gpu *g = (struct gpu *)d;

    for (unsigned i = 0; i < g->scanouts; i++) /* the resources' memory goes */
        display_set_surface(g->screen[i].display, NULL);
    gpu_res_rebuild(g);
    for (unsigned i = 0; i < VIRTIO_GPU_SCANOUTS_MAX; i++) {
        struct gpu_mode *m = &g->mode[i];

        if (i >= g->scanouts) {
            g->scanout[i] = (struct gpu_scanout){0};
            *m = (struct gpu_mode){0};
            continue;
        }
        if (m->width || m->height || !i) {
            m->width = within(m->width);
            m->height = within(m->height);
        }
        g->scanout[i].hot_x &= 63;
        g->scanout[i].hot_y &= 63;
        gpu_scanout_show(g, i);
    }
    memset(g->v.config + C_EVENTS_CLEAR, 0, 4);
    st32(g->v.config + C_SCANOUTS, g->scanouts);
    virtio_dev_update(d);
}

static void gpu_free(struct device *d)
{
    struct gpu *g = (struct gpu *)d;

    virtio_detach(&g->v);
    gate_unregister(&g->resized);
    for (unsigned i = 0; i < g->scanouts; i++) {
        if (g->screen[i].display)
            display_set_surface(g->screen[i].display, NULL);
        display_free(g->screen[i].display);
    }
    gpu_res_clear(g);
    virtq_chain_free(&g->chain);
    virtio_fini(&g->v);
    free(g);
}

static void gpu_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    struct gpu *g = (struct gpu *)d;
    char text[128];

    snprintf(text, sizeof text, "host memory: %" PRIu64 " of %" PRIu64 " KiB", g->hostmem >> 10, g->max_hostmem >> 10);
    line(arg, text);
    for (unsigned i = 0; i < g->scanouts; i++) {
        const struct gpu_scanout *s = &g->scanout[i];

        snprintf(text, sizeof text,
                 "scanout %u: monitor %" PRIu32 "x%" PRIu32 ", shows %" PRIu32 "x%" PRIu32 " of resource %" PRIu32, i,
                 g->mode[i].width, g->mode[i].height, s->r.w, s->r.h, s->resource);
        line(arg, text);
    }
    for (unsigned i = 0; i < GPU_RES_MAX; i++) {
        const struct gpu_res *r = &g->res[i];

        if (!r->id)
            continue;
        snprintf(text, sizeof text, "resource %" PRIu32 ": %" PRIu32 "x%" PRIu32 ", %" PRIu32 " pieces of backing",
                 r->id, r->width, r->height, r->pieces);
        line(arg, text);
    }
}

static const struct field gpu_state[] = {
    VIRTIO_FIELDS(struct gpu, v),  FIELD_ARRAY(struct gpu, res, GPU_RES_MAX),
    FIELD(struct gpu, scanout),    FIELD_KEEP(struct gpu, mode),
    FIELD(struct gpu, unread),     FIELD(struct gpu, pieces),
    FIELD_KEEP(struct gpu, piece), {0},
};

static const struct device_ops gpu_dev_ops = {
    .name = "virtio-gpu",
    .state = gpu_state,
    .reset = virtio_dev_reset,
    .update = gpu_update,
    .free = gpu_free,
    .info = gpu_info,
};

static const struct virtio_ops gpu_ops = {
    .id = VIRTIO_ID_GPU,
    .pci_class = 0x038000, /* display controller, other */
    .modern_only = true,
    .notify = gpu_notify,
    .config_written = gpu_config_written,
    .reset = gpu_reset,
};

static bool options_fit(const char *name, const struct virtio_gpu_options *o, struct err *e)
{
    if (o->max_outputs > VIRTIO_GPU_SCANOUTS_MAX)
        return err_set(e, "%s: max_outputs must be 1 to %d", name, VIRTIO_GPU_SCANOUTS_MAX);
    if ((o->xres && within(o->xres) != o->xres) || (o->yres && within(o->yres) != o->yres))
        return err_set(e, "%s: xres and yres must be %d to %d", name, GPU_SIDE_MIN, DISPLAY_MAX);
    return true;
}

static bool make_screens(struct gpu *g, const struct virtio_gpu_options *o, const char *name)
{
    for (unsigned i = 0; i < g->scanouts; i++) {
        struct gpu_screen *s = &g->screen[i];

        s->g = g;
        s->nr = i;
        snprintf(s->name, sizeof s->name, i ? "%s.%u" : "%s", name, i);
        s->display = display_new(s->name, &screen_ops, s);
        if (!s->display)
            return false;
        g->mode[i].width = o->xres ? o->xres : 1280;
        g->mode[i].height = o->yres ? o->yres : 800;
    }
    return true;
}

struct virtio_dev *virtio_gpu_new(const struct device_env *env, const char *name, const struct virtio_gpu_options *o,
                                  struct err *e)
{
    struct gpu *g = options_fit(name, o, e) ? calloc(1, sizeof *g) : NULL;

    if (!g) {
        if (options_fit(name, o, e))
            err_set(e, "%s: out of memory", name);
        return NULL;
    }
    virtio_init(&g->v, &gpu_dev_ops, &gpu_ops, name, env);
    g->scanouts = o->max_outputs ? o->max_outputs : 1;
    g->max_hostmem = o->max_hostmem ? o->max_hostmem : DEFAULT_HOSTMEM;
    snprintf(g->resized_name, sizeof g->resized_name, "%s.size", name);
    g->resized = (struct gate_source){.name = g->resized_name, .sink = size_arrived, .arg = g};
    gate_register(env->gate, &g->resized);
    virtio_add_queue(&g->v, CONTROL, CONTROL_SIZE);
    virtio_add_queue(&g->v, CURSOR, CURSOR_SIZE);
    if (!o->no_edid)
        virtio_offer(&g->v, F_EDID);
    if (o->packed)
        virtio_offer(&g->v, VIRTIO_F_RING_PACKED);
    g->v.config_len = C_LEN;
    memset(g->v.config_writable + C_EVENTS_CLEAR, 0xff, 4);
    st32(g->v.config + C_SCANOUTS, g->scanouts);
    if (make_screens(g, o, name))
        return &g->v;
    err_set(e, "%s: out of memory", name);
    gpu_free(&g->v.dev);
    return NULL;
}
