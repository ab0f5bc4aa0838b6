/*
 * The commands of virtio-gpu: a table of types, lengths and functions. Source: virtio 1.2, 5.7.6.7 to 5.7.6.10.
 *
 * Everything is done when it is answered, so a fence is only copied into the answer. What a command does not say about
 * sizes the resource says. A command that cannot be is answered with an error; the device goes on.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "devices/edid.h"
#include "devices/virtio_gpu_parts.h"

enum { /* header */
       H_TYPE = 0,
       H_FLAGS = 4,
       H_FENCE = 8,
       H_CONTEXT = 16,
       H_RING = 20,
       FLAG_FENCE = 1,
};

enum { DISPLAY_ONE = 24, EDID_AT = 8 };

static uint32_t field(const struct gpu_call *c, unsigned off) { return ld32(c->req + off); }

static struct gpu_rect rect_at(const struct gpu_call *c, unsigned off)
{
    return (struct gpu_rect){field(c, off), field(c, off + 4), field(c, off + 8), field(c, off + 12)};
}

/* --- what the monitors are --- */

/* They stand side by side. */
static uint32_t get_display_info(struct gpu *g, struct gpu_call *c)
{
    uint8_t *p = c->answer + GPU_HEADER;
    uint32_t x = 0;

    for (unsigned i = 0; i < g->scanouts; i++, p += DISPLAY_ONE) {
        st32(p, x);
        st32(p + 8, g->mode[i].width);
        st32(p + 12, g->mode[i].height);
        st32(p + 16, g->mode[i].width != 0);
        x += g->mode[i].width;
    }
    g->unread = false;
    c->len = GPU_HEADER + DISPLAY_ONE * VIRTIO_GPU_SCANOUTS_MAX;
    return GPU_OK_DISPLAY_INFO;
}

static uint32_t get_edid(struct gpu *g, struct gpu_call *c)
{
    uint32_t nr = field(c, 24);
    uint8_t *p = c->answer + GPU_HEADER;
    const struct gpu_mode *m;

    if (nr >= g->scanouts)
        return GPU_ERR_SCANOUT;
    m = &g->mode[nr];
    if (m->width) /* an unplugged one has none */
        st32(p, (uint32_t)edid_make(p + EDID_AT, &(struct edid_options){.width = m->width,
                                                                        .height = m->height,
                                                                        .mm_width = m->mm_width,
                                                                        .mm_height = m->mm_height,
                                                                        .serial = nr + 1}));
    c->len = GPU_ANSWER_MAX;
    return GPU_OK_EDID;
}

/* There are none: 3D is not offered. */
static uint32_t get_capset(struct gpu *g, struct gpu_call *c)
{
    (void)g;
    (void)c;
    return GPU_ERR_PARAMETER;
}

/* --- resources --- */

static uint32_t resource_create(struct gpu *g, struct gpu_call *c)
{
    return gpu_res_create(g, field(c, 24), field(c, 28), field(c, 32), field(c, 36));
}

static uint32_t resource_unref(struct gpu *g, struct gpu_call *c)
{
    struct gpu_res *r = gpu_res_find(g, field(c, 24));

    if (!r)
        return GPU_ERR_RESOURCE;
    for (unsigned i = 0; i < g->scanouts; i++)
        if (g->scanout[i].resource == r->id)
            gpu_scanout_off(g, i);
    for (unsigned i = 0; i < g->scanouts; i++)
        if (g->scanout[i].whole == r->id)
            g->scanout[i].whole = 0;
    gpu_res_free(g, r);
    return GPU_OK;
}

static uint32_t attach_backing(struct gpu *g, struct gpu_call *c)
{
    struct gpu_res *r = gpu_res_find(g, field(c, 24));

    return r ? gpu_res_attach(g, r, field(c, 28)) : GPU_ERR_RESOURCE;
}

static uint32_t detach_backing(struct gpu *g, struct gpu_call *c)
{
    struct gpu_res *r = gpu_res_find(g, field(c, 24));

    if (!r)
        return GPU_ERR_RESOURCE;
    if (!r->pieces)
        return GPU_ERR_UNSPEC;
    gpu_res_detach(g, r);
    return GPU_OK;
}

static uint32_t transfer_to_host(struct gpu *g, struct gpu_call *c)
{
    struct gpu_res *r = gpu_res_find(g, field(c, 48));
    struct gpu_rect rect = rect_at(c, 24);

    return r ? gpu_res_transfer(g, r, &rect, ld64(c->req + 40)) : GPU_ERR_RESOURCE;
}

/* --- scanouts --- */

void gpu_scanout_off(struct gpu *g, unsigned nr)
{
    g->scanout[nr].resource = 0;
    g->scanout[nr].r = (struct gpu_rect){0};
    display_set_surface(g->screen[nr].display, NULL);
}

static bool sane(const struct gpu *g, const struct gpu_scanout *s)
{
    const struct gpu_res *r = gpu_res_find((struct gpu *)g, s->resource);

    return r && s->r.w && s->r.h && gpu_res_holds(r, &s->r);
}

static void show_cursor(struct gpu *g, unsigned nr)
{
    struct gpu_scanout *s = &g->scanout[nr];
    const struct gpu_res *r = gpu_res_find(g, s->cursor);
    uint32_t argb[64 * 64]; /* the size that cursors have: 5.7.6.10 */

    if (r && r->width == 64 && r->height == 64) {
        gpu_res_cursor(g, r, argb);
        display_set_cursor(g->screen[nr].display, &(struct display_cursor){64, 64, s->hot_x, s->hot_y, argb});
    } else {
        s->cursor = 0;
        display_set_cursor(g->screen[nr].display, NULL);
    }
    display_move_cursor(g->screen[nr].display, s->cursor_x, s->cursor_y, s->cursor != 0);
}

static void show_surface(struct gpu *g, unsigned nr)
{
    const struct gpu_scanout *s = &g->scanout[nr];
    struct surface surface;

    gpu_res_surface(g, gpu_res_find(g, s->resource), &s->r, &surface);
    display_set_surface(g->screen[nr].display, &surface);
}

void gpu_scanout_show(struct gpu *g, unsigned nr)
{
    if (sane(g, &g->scanout[nr]))
        show_surface(g, nr);
    else
        gpu_scanout_off(g, nr);
    show_cursor(g, nr);
}

/*
 * A guest whose picture cannot shrink (Linux's text console) answers a smaller monitor by showing the upper left of what it
 * showed whole before, and its last lines are lost. The viewer can scale, so the monitor gets the picture's size back.
 * Pictures that are larger than their monitor from the beginning, or that several monitors share, are left alone.
 */
static void give_size_back(struct gpu *g, unsigned nr, const struct gpu_res *r)
{
    struct gpu_scanout *s = &g->scanout[nr];
    struct gpu_mode m = g->mode[nr];

    if (s->r.w == r->width && s->r.h == r->height)
        s->whole = r->id;
    for (unsigned i = 0; i < g->scanouts; i++)
        if (i != nr && g->scanout[i].resource)
            return;
    if (s->whole != r->id || s->r.x || s->r.y || !m.width || r->width < m.width || r->height < m.height)
        return;
    m.width = r->width;
    m.height = r->height;
    gpu_set_mode(g, nr, &m);
}

static uint32_t set_scanout(struct gpu *g, struct gpu_call *c)
{
    struct gpu_scanout want = {.resource = field(c, 44), .r = rect_at(c, 24)}, *s;
    uint32_t nr = field(c, 40);

    if (nr >= g->scanouts)
        return GPU_ERR_SCANOUT;
    s = &g->scanout[nr];
    if (!want.resource) {
        gpu_scanout_off(g, nr);
        return GPU_OK;
    }
    if (!gpu_res_find(g, want.resource))
        return GPU_ERR_RESOURCE;
    if (!sane(g, &want))
        return GPU_ERR_PARAMETER;
    if (s->resource == want.resource && !memcmp(&s->r, &want.r, sizeof want.r))
        return GPU_OK; /* it is there */
    s->resource = want.resource;
    s->r = want.r;
    show_surface(g, nr);
    give_size_back(g, nr, gpu_res_find(g, want.resource));
    return GPU_OK;
}

/* What of `rect` of the resource s shows is damaged. */
static void damage(struct gpu *g, unsigned nr, const struct gpu_rect *rect)
{
    const struct gpu_rect *s = &g->scanout[nr].r;
    uint32_t x = rect->x > s->x ? rect->x : s->x, y = rect->y > s->y ? rect->y : s->y;
    uint32_t right = rect->x + rect->w < s->x + s->w ? rect->x + rect->w : s->x + s->w;
    uint32_t below = rect->y + rect->h < s->y + s->h ? rect->y + rect->h : s->y + s->h;

    if (x < right && y < below)
        display_damage(g->screen[nr].display, x - s->x, y - s->y, right - x, below - y);
}

static uint32_t resource_flush(struct gpu *g, struct gpu_call *c)
{
    struct gpu_res *r = gpu_res_find(g, field(c, 40));
    struct gpu_rect rect = rect_at(c, 24);

    if (!r)
        return GPU_ERR_RESOURCE;
    if (!gpu_res_holds(r, &rect))
        return GPU_ERR_PARAMETER;
    for (unsigned i = 0; i < g->scanouts; i++)
        if (g->scanout[i].resource == r->id)
            damage(g, i, &rect);
    return GPU_OK;
}

/* --- the cursor --- */

static uint32_t move_cursor(struct gpu *g, struct gpu_call *c)
{
    uint32_t nr = field(c, 24);
    struct gpu_scanout *s = &g->scanout[nr % VIRTIO_GPU_SCANOUTS_MAX];

    if (nr >= g->scanouts)
        return GPU_ERR_SCANOUT;
    s->cursor_x = (int32_t)field(c, 28);
    s->cursor_y = (int32_t)field(c, 32);
    display_move_cursor(g->screen[nr].display, s->cursor_x, s->cursor_y, s->cursor != 0);
    return GPU_OK;
}

static uint32_t update_cursor(struct gpu *g, struct gpu_call *c)
{
    uint32_t nr = field(c, 24), id = field(c, 40);
    const struct gpu_res *r = gpu_res_find(g, id);
    struct gpu_scanout *s = &g->scanout[nr % VIRTIO_GPU_SCANOUTS_MAX];

    if (nr >= g->scanouts)
        return GPU_ERR_SCANOUT;
    if (id && !r)
        return GPU_ERR_RESOURCE;
    if (r && (r->width != 64 || r->height != 64))
        return GPU_ERR_PARAMETER;
    s->cursor = id;
    s->hot_x = field(c, 44) < 64 ? field(c, 44) : 63;
    s->hot_y = field(c, 48) < 64 ? field(c, 48) : 63;
    s->cursor_x = (int32_t)field(c, 28);
    s->cursor_y = (int32_t)field(c, 32);
    show_cursor(g, nr);
    return GPU_OK;
}

/* --- dispatch --- */

static const struct command {
    uint32_t type;
    bool cursor_queue;
    unsigned len; /* least bytes of the request */
    uint32_t (*run)(struct gpu *g, struct gpu_call *c);
} commands[] = {
    {0x100, false, 24, get_display_info}, {0x101, false, 40, resource_create}, {0x102, false, 28, resource_unref},
    {0x103, false, 48, set_scanout},      {0x104, false, 44, resource_flush},  {0x105, false, 52, transfer_to_host},
    {0x106, false, 32, attach_backing},   {0x107, false, 28, detach_backing},  {0x108, false, 28, get_capset},
    {0x109, false, 32, get_capset},       {0x10a, false, 28, get_edid},        {0x300, true, 52, update_cursor},
    {0x301, true, 36, move_cursor},
};

static uint32_t run(struct gpu *g, bool cursor_queue, uint64_t len, struct gpu_call *c)
{
    uint32_t type = field(c, H_TYPE);

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *k = &commands[i];

        if (k->type == type && k->cursor_queue == cursor_queue)
            return len < k->len ? GPU_ERR_PARAMETER : k->run(g, c);
    }
    return GPU_ERR_UNSPEC; /* 3D, blobs: not offered */
}

bool gpu_execute(struct gpu *g, bool cursor_queue, struct gpu_call *c)
{
    uint64_t len;
    uint32_t answer;

    memset(c, 0, sizeof *c);
    c->len = GPU_HEADER;
    len = chain_read(&g->chain, 0, c->req, sizeof c->req);
    if (len < GPU_HEADER)
        return false;
    answer = run(g, cursor_queue, len, c);
    if (answer >= GPU_ERR_UNSPEC)
        log_guest(&g->v.dev, "command 0x%" PRIx32 " refused: 0x%" PRIx32, field(c, H_TYPE), answer);
    st32(c->answer + H_TYPE, answer);
    if (field(c, H_FLAGS) & FLAG_FENCE) {
        st32(c->answer + H_FLAGS, FLAG_FENCE);
        st64(c->answer + H_FENCE, ld64(c->req + H_FENCE));
        st32(c->answer + H_CONTEXT, field(c, H_CONTEXT));
        c->answer[H_RING] = c->req[H_RING];
    }
    return true;
}
