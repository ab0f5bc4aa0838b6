/*
 * The inside of virtio-gpu: virtio_gpu.c (the device, its queues, resize), virtio_gpu_cmd.c (commands), and
 * virtio_gpu_res.c (resources and their memory). All of it runs with the device's lock held.
 */
#ifndef DEVICES_VIRTIO_GPU_PARTS_H
#define DEVICES_VIRTIO_GPU_PARTS_H

#include "base/gate.h"
#include "devices/display.h"
#include "devices/virtio_gpu.h"

enum { GPU_RES_MAX = 512, GPU_PIECES_MAX = 65536, GPU_SIDE_MIN = 32, GPU_NAME_LEN = 48 };

enum { /* answers: 5.7.6.7 */
       GPU_OK = 0x1100,
       GPU_OK_DISPLAY_INFO = 0x1101,
       GPU_OK_EDID = 0x1104,
       GPU_ERR_UNSPEC = 0x1200,
       GPU_ERR_MEMORY = 0x1201,
       GPU_ERR_SCANOUT = 0x1202,
       GPU_ERR_RESOURCE = 0x1203,
       GPU_ERR_PARAMETER = 0x1205,
};

enum { GPU_HEADER = 24, GPU_EDID_LEN = 1024, GPU_ANSWER_MAX = GPU_HEADER + 8 + GPU_EDID_LEN, GPU_REQUEST_MAX = 64 };

struct gpu_rect {
    uint32_t x, y, w, h;
};

/* Guest memory behind a resource; neighbours are one piece. */
struct gpu_piece {
    uint64_t addr, len;
};

/* What a snapshot knows of a resource: its pixels come from its backing then. */
struct gpu_res {
    uint32_t id; /* 0: free */
    uint32_t format, width, height;
    uint32_t first, pieces; /* of gpu.piece; 0: no backing */
};

struct gpu_scanout {
    uint32_t resource; /* 0: off */
    struct gpu_rect r; /* what is shown of it */
    uint32_t whole;    /* the last one that was shown whole, or 0 */
    uint32_t cursor, hot_x, hot_y;
    int32_t cursor_x, cursor_y;
};

/* The monitor. It is the host's, and outlives a reset. 0 x 0: unplugged */
struct gpu_mode {
    uint32_t width, height, mm_width, mm_height;
};

struct gpu;

struct gpu_screen {
    struct gpu *g;
    unsigned nr;
    char name[GPU_NAME_LEN];
    struct display *display;
};

struct gpu {
    struct virtio_dev v; /* first */
    unsigned scanouts;
    uint64_t max_hostmem, hostmem; /* bytes of pixels */
    uint64_t work;                 /* bytes moved since the last kick, more or less */
    struct virtq_chain chain;
    struct gate_source resized;
    char resized_name[GPU_NAME_LEN];
    struct gpu_screen screen[VIRTIO_GPU_SCANOUTS_MAX];
    uint8_t *pixels[GPU_RES_MAX]; /* of res */
    /* state */
    struct gpu_res res[GPU_RES_MAX];
    struct gpu_scanout scanout[VIRTIO_GPU_SCANOUTS_MAX];
    struct gpu_mode mode[VIRTIO_GPU_SCANOUTS_MAX];
    bool unread;     /* mode changed since the guest asked for it */
    uint32_t pieces; /* taken of piece */
    struct gpu_piece piece[GPU_PIECES_MAX];
};

/* A command: what was asked, what will be answered. */
struct gpu_call {
    uint8_t req[GPU_REQUEST_MAX]; /* the rest are zeroes */
    uint8_t answer[GPU_ANSWER_MAX];
    size_t len; /* of the answer */
};

/* virtio_gpu_cmd.c: execute g->chain; false: there was no whole command in it. */
bool gpu_execute(struct gpu *g, bool cursor_queue, struct gpu_call *c);
void gpu_scanout_off(struct gpu *g, unsigned nr);
void gpu_set_mode(struct gpu *g, unsigned nr, const struct gpu_mode *m); /* virtio_gpu.c: another monitor there */
void gpu_scanout_show(struct gpu *g, unsigned nr); /* what scanout[nr] says, which may be nonsense: then it is off */

/* virtio_gpu_res.c: each returns an answer. */
uint32_t gpu_res_create(struct gpu *g, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
void gpu_res_free(struct gpu *g, struct gpu_res *r);
uint32_t gpu_res_attach(struct gpu *g, struct gpu_res *r, uint32_t entries); /* they follow the command in g->chain */
void gpu_res_detach(struct gpu *g, struct gpu_res *r);
uint32_t gpu_res_transfer(struct gpu *g, struct gpu_res *r, const struct gpu_rect *rect, uint64_t offset);
struct gpu_res *gpu_res_find(struct gpu *g, uint32_t id); /* NULL: none */
bool gpu_res_holds(const struct gpu_res *r, const struct gpu_rect *rect);
void gpu_res_surface(const struct gpu *g, const struct gpu_res *r, const struct gpu_rect *part, struct surface *s);
/* The cursor's picture from it, straight alpha: out has width * height pixels. */
void gpu_res_cursor(const struct gpu *g, const struct gpu_res *r, uint32_t *out);
void gpu_res_clear(struct gpu *g);   /* all of them, as after reset */
void gpu_res_rebuild(struct gpu *g); /* after restore: drop what cannot be, make the pixels of the rest */

#endif
