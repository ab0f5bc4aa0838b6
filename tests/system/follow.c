/*
 * Runs in the guest: a display server in small. It takes the screen, follows its monitor's preferred size, and has a pointer.
 *
 *   follow: a line `MODE w h` on standard output for each size it has taken, until it is killed
 *
 * The picture says where each pixel is: red and green are x and y modulo 256, blue is 0x40. The pointer is a red square of
 * 64 x 64, its hot spot at 5, 7. UAPI: drm/drm_mode.h.
 */
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { POINTER = 64, HOT_X = 5, HOT_Y = 7, LOOK_US = 50000 };

struct buffer {
    uint32_t handle, pitch, fb;
    uint64_t size;
    uint32_t *px;
};

static int card;
static uint32_t crtc, connector;

static void need(int result, const char *what)
{
    if (result >= 0)
        return;
    printf("FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static void find(void)
{
    uint32_t crtcs[16], connectors[16], fbs[16], encoders[16];
    struct drm_mode_card_res res = {.count_crtcs = 16, .count_connectors = 16, .count_fbs = 16, .count_encoders = 16};

    res.crtc_id_ptr = (uintptr_t)crtcs;
    res.connector_id_ptr = (uintptr_t)connectors;
    res.fb_id_ptr = (uintptr_t)fbs;
    res.encoder_id_ptr = (uintptr_t)encoders;
    need(ioctl(card, DRM_IOCTL_MODE_GETRESOURCES, &res), "resources");
    crtc = crtcs[0];
    connector = connectors[0];
}

/* What the monitor likes best. Asking for no modes makes the driver look at it anew. */
static struct drm_mode_modeinfo preferred(void)
{
    struct drm_mode_modeinfo modes[64];
    struct drm_mode_get_connector c = {.connector_id = connector};

    need(ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &c), "connector");
    c = (struct drm_mode_get_connector){.connector_id = connector, .count_modes = 64, .modes_ptr = (uintptr_t)modes};
    need(ioctl(card, DRM_IOCTL_MODE_GETCONNECTOR, &c), "modes");
    need(c.count_modes ? 0 : -1, "a mode");
    return modes[0];
}

static struct buffer make(uint32_t width, uint32_t height)
{
    struct drm_mode_create_dumb d = {.width = width, .height = height, .bpp = 32};
    struct drm_mode_map_dumb map = {0};
    struct buffer b;

    need(ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &d), "buffer");
    map.handle = d.handle;
    need(ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map), "map");
    b = (struct buffer){.handle = d.handle, .pitch = d.pitch, .size = d.size};
    b.px = mmap(NULL, d.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)map.offset);
    need(b.px == MAP_FAILED ? -1 : 0, "mmap");
    return b;
}

static void drop(struct buffer *b)
{
    struct drm_mode_destroy_dumb d = {.handle = b->handle};

    if (b->fb)
        ioctl(card, DRM_IOCTL_MODE_RMFB, &b->fb);
    munmap(b->px, b->size);
    ioctl(card, DRM_IOCTL_MODE_DESTROY_DUMB, &d);
}

static struct buffer show(const struct drm_mode_modeinfo *m)
{
    struct buffer b = make(m->hdisplay, m->vdisplay);
    struct drm_mode_fb_cmd fb = {
        .width = m->hdisplay, .height = m->vdisplay, .pitch = b.pitch, .bpp = 32, .depth = 24, .handle = b.handle};
    struct drm_mode_crtc c = {.crtc_id = crtc, .count_connectors = 1, .mode = *m, .mode_valid = 1};

    for (uint32_t y = 0; y < m->vdisplay; y++)
        for (uint32_t x = 0; x < m->hdisplay; x++)
            b.px[y * (b.pitch / 4) + x] = (x & 255) << 16 | (y & 255) << 8 | 0x40;
    need(ioctl(card, DRM_IOCTL_MODE_ADDFB, &fb), "framebuffer");
    b.fb = c.fb_id = fb.fb_id;
    c.set_connectors_ptr = (uintptr_t)&connector;
    need(ioctl(card, DRM_IOCTL_MODE_SETCRTC, &c), "mode");
    return b;
}

static void pointer(void)
{
    struct buffer b = make(POINTER, POINTER);
    struct drm_mode_cursor2 c = {.flags = DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE,
                                 .crtc_id = crtc,
                                 .x = 100,
                                 .y = 100,
                                 .width = POINTER,
                                 .height = POINTER,
                                 .handle = b.handle,
                                 .hot_x = HOT_X,
                                 .hot_y = HOT_Y};

    for (unsigned i = 0; i < POINTER * POINTER; i++)
        b.px[i / POINTER * (b.pitch / 4) + i % POINTER] = 0xffff0000;
    need(ioctl(card, DRM_IOCTL_MODE_CURSOR2, &c), "pointer");
}

int main(void)
{
    struct drm_mode_modeinfo have = {0};
    struct buffer b = {0};

    setlinebuf(stdout);
    card = open("/dev/dri/card0", O_RDWR);
    need(card, "/dev/dri/card0");
    find();
    for (;; usleep(LOOK_US)) {
        struct drm_mode_modeinfo want = preferred();
        struct buffer old = b;

        if (want.hdisplay == have.hdisplay && want.vdisplay == have.vdisplay)
            continue;
        b = show(&want);
        if (old.px)
            drop(&old);
        else
            pointer();
        have = want;
        printf("MODE %u %u\n", have.hdisplay, have.vdisplay);
    }
}
