/*
 * Runs in the guest: how fast it gets pictures onto its screen.
 *
 *   screen SECONDS: lines `SCREEN row value` on standard output
 *
 *   frames       whole frames a second: two buffers, each drawn anew and shown by a page flip, as a video player does
 *   damage       a square of 256 x 256 pixels drawn and reported by DIRTYFB, a second
 *   text-kB      kB of text a second through the kernel's console (80 columns, scrolling)
 *
 * The text comes first: the kernel's console has the screen until this program takes it. UAPI: drm/drm_mode.h.
 */
#include <dirent.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int result, const char *what)
{
    if (result >= 0)
        return;
    printf("SCREEN-FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

struct buffer {
    uint32_t fb, pitch;
    uint32_t *px;
};

struct screen {
    int fd;
    uint32_t crtc, connector;
    struct drm_mode_modeinfo mode;
    struct buffer buffer[2];
};

static void find(struct screen *s)
{
    struct drm_mode_card_res res = {0};
    uint32_t crtcs[16], connectors[16], fbs[16], encoders[16];
    struct drm_mode_modeinfo modes[64];
    struct drm_mode_get_connector c = {0};

    res.crtc_id_ptr = (uintptr_t)crtcs;
    res.connector_id_ptr = (uintptr_t)connectors;
    res.fb_id_ptr = (uintptr_t)fbs;
    res.encoder_id_ptr = (uintptr_t)encoders;
    res.count_crtcs = res.count_connectors = res.count_fbs = res.count_encoders = 16;
    need(ioctl(s->fd, DRM_IOCTL_MODE_GETRESOURCES, &res), "resources");
    s->crtc = crtcs[0];
    s->connector = c.connector_id = connectors[0];
    c.modes_ptr = (uintptr_t)modes;
    c.count_modes = 64;
    need(ioctl(s->fd, DRM_IOCTL_MODE_GETCONNECTOR, &c), "connector");
    if (!c.count_modes) {
        puts("SCREEN-FAILED no mode");
        exit(1);
    }
    s->mode = modes[0];
    for (unsigned i = 0; i < c.count_modes && i < 64; i++)
        if (modes[i].hdisplay == 1920 && modes[i].vdisplay == 1080) {
            s->mode = modes[i];
            break;
        }
}

static void make(struct screen *s, struct buffer *b)
{
    struct drm_mode_create_dumb d = {.width = s->mode.hdisplay, .height = s->mode.vdisplay, .bpp = 32};
    struct drm_mode_fb_cmd fb = {0};
    struct drm_mode_map_dumb map = {0};

    need(ioctl(s->fd, DRM_IOCTL_MODE_CREATE_DUMB, &d), "buffer");
    fb.width = d.width;
    fb.height = d.height;
    fb.pitch = b->pitch = d.pitch;
    fb.bpp = 32;
    fb.depth = 24;
    fb.handle = map.handle = d.handle;
    need(ioctl(s->fd, DRM_IOCTL_MODE_ADDFB, &fb), "framebuffer");
    b->fb = fb.fb_id;
    need(ioctl(s->fd, DRM_IOCTL_MODE_MAP_DUMB, &map), "map");
    b->px = mmap(NULL, d.size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)map.offset);
    need(b->px == MAP_FAILED ? -1 : 0, "mmap");
}

static void fill(const struct buffer *b, unsigned x, unsigned y, unsigned w, unsigned h, uint32_t colour)
{
    for (unsigned row = y; row < y + h; row++) {
        uint64_t two = (uint64_t)colour << 32 | colour, *p = (uint64_t *)(b->px + row * (b->pitch / 4) + x);

        for (unsigned i = 0; i < w / 2; i++)
            p[i] = two;
    }
}

static void show(struct screen *s)
{
    struct drm_mode_crtc c = {0};

    c.crtc_id = s->crtc;
    c.fb_id = s->buffer[0].fb;
    c.set_connectors_ptr = (uintptr_t)&s->connector;
    c.count_connectors = 1;
    c.mode = s->mode;
    c.mode_valid = 1;
    need(ioctl(s->fd, DRM_IOCTL_MODE_SETCRTC, &c), "mode");
}

static void wait_flip(struct screen *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    char events[1024];

    if (poll(&p, 1, 1000) == 1)
        need((int)read(s->fd, events, sizeof events), "event");
}

static double frames(struct screen *s, double seconds)
{
    double start = now(), end = start + seconds, t;
    unsigned n = 0;

    while ((t = now()) < end) {
        struct buffer *b = &s->buffer[n & 1];
        struct drm_mode_crtc_page_flip flip = {.crtc_id = s->crtc, .fb_id = b->fb, .flags = DRM_MODE_PAGE_FLIP_EVENT};

        fill(b, 0, 0, s->mode.hdisplay, s->mode.vdisplay, n * 0x010305);
        need(ioctl(s->fd, DRM_IOCTL_MODE_PAGE_FLIP, &flip), "flip");
        wait_flip(s);
        n++;
    }
    return n / (t - start);
}

static double damage(struct screen *s, double seconds)
{
    double start = now(), end = start + seconds, t;
    unsigned n = 0;

    show(s);
    while ((t = now()) < end) {
        unsigned x = n * 64 % (s->mode.hdisplay - 256u) & ~1u, y = n * 40 % (s->mode.vdisplay - 256u);
        struct drm_clip_rect r = {(unsigned short)x, (unsigned short)y, (unsigned short)(x + 256), (unsigned short)(y + 256)};
        struct drm_mode_fb_dirty_cmd d = {.fb_id = s->buffer[0].fb, .num_clips = 1, .clips_ptr = (uintptr_t)&r};

        fill(&s->buffer[0], x, y, 256, 256, n * 0x010305);
        need(ioctl(s->fd, DRM_IOCTL_MODE_DIRTYFB, &d), "dirty");
        n++;
    }
    return n / (t - start);
}

static double text(double seconds)
{
    int fd = open("/dev/tty1", O_WRONLY);
    char line[81];
    double start = now(), end = start + seconds, t;
    unsigned n = 0;

    need(fd, "/dev/tty1");
    while ((t = now()) < end) {
        for (unsigned i = 0; i < 79; i++)
            line[i] = (char)('!' + (i + n) % 94);
        line[79] = '\n';
        if (write(fd, line, 80) == 80)
            n++;
    }
    close(fd);
    return n * 80 / 1000.0 / (t - start);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    struct screen s = {0};

    printf("SCREEN text-kB %.1f\n", text(seconds));
    fflush(stdout);
    s.fd = open("/dev/dri/card0", O_RDWR);
    need(s.fd, "/dev/dri/card0");
    ioctl(s.fd, DRM_IOCTL_SET_MASTER, 0);
    find(&s);
    make(&s, &s.buffer[0]);
    make(&s, &s.buffer[1]);
    show(&s);
    printf("SCREEN-MODE %ux%u\n", s.mode.hdisplay, s.mode.vdisplay);
    printf("SCREEN frames %.1f\n", frames(&s, seconds));
    printf("SCREEN damage %.1f\n", damage(&s, seconds));
    return 0;
}
