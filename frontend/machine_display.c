/* The machine's displays: what makes them, and the list that a window and the monitor walk. */
#include "devices/bochs_display.h"
#include "devices/display.h"
#include "devices/pci_host.h"
#include "devices/ramfb.h"
#include "devices/simplefb.h"
#include "devices/virtio_gpu.h"
#include "frontend/machine_parts.h"
#include "frontend/options.h"
#include "frontend/screen.h"

bool machine_add_display(struct machine *m, struct display *d, struct err *e)
{
    if (m->displays == DISPLAYS_MAX)
        return err_set(e, "more than %d displays", DISPLAYS_MAX);
    m->display[m->displays++] = d;
    return true;
}

struct display *machine_displays(const struct machine *m, unsigned n) { return n < m->displays ? m->display[n] : NULL; }

struct virtio_dev *machine_make_gpu(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_gpu_options o = {0};
    uint64_t outputs = 1, xres = 0, yres = 0;
    const char *mem = device_prop(d, "max_hostmem");
    bool edid = true;
    struct virtio_dev *v;
    struct display *screen;

    if (!device_number(d, "max_outputs", VIRTIO_GPU_SCANOUTS_MAX, &outputs, e) ||
        !device_number(d, "xres", DISPLAY_MAX, &xres, e) || !device_number(d, "yres", DISPLAY_MAX, &yres, e) ||
        !device_flag(d, "edid", &edid, e) || !device_flag(d, "packed", &o.packed, e))
        return NULL;
    if (mem && (!parse_size(mem, 1, &o.max_hostmem) || !o.max_hostmem)) {
        err_set(e, "max_hostmem=%s: expected a size, such as 256M", mem);
        return NULL;
    }
    o.max_outputs = (unsigned)outputs;
    o.xres = (unsigned)xres;
    o.yres = (unsigned)yres;
    o.no_edid = !edid;
    v = virtio_gpu_new(&env, name, &o, e);
    for (unsigned i = 0; v && (screen = virtio_gpu_display(v, i)) != NULL; i++)
        if (!machine_add_display(m, screen, e)) {
            m->displays -= i;
            device_free(&v->dev);
            return NULL;
        }
    return v;
}

bool machine_build_bochs(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct bochs_display_options o = {0};
    const char *mem = device_prop(d, "vgamem");
    uint64_t xres = 0, yres = 0;
    bool edid = true;
    struct pci_device *p;
    int devfn;

    if (!device_number(d, "xres", DISPLAY_MAX, &xres, e) || !device_number(d, "yres", DISPLAY_MAX, &yres, e) ||
        !device_flag(d, "edid", &edid, e) || !device_pci_addr(d, &devfn, e))
        return false;
    if (mem && (!parse_size(mem, 1, &o.vgamem) || !o.vgamem))
        return err_set(e, "vgamem=%s: expected a size, such as 16M", mem);
    o.xres = (unsigned)xres;
    o.yres = (unsigned)yres;
    o.no_edid = !edid;
    p = bochs_display_new(&env, name, &o, e);
    return p && machine_adopt(m, &p->dev, e) && machine_add_display(m, bochs_display_screen(p), e) &&
           pci_add(m->pci, p, devfn, e);
}

bool machine_build_ramfb(struct machine *m, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct device *d = ramfb_new(&env, name, e);

    return d && machine_adopt(m, d, e) && ramfb_offer(d, m->fw_cfg, e) && machine_add_display(m, ramfb_screen(d), e);
}

bool machine_build_simplefb(struct machine *m, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct screen s;
    struct device *d;

    if (!screen_plan(m->config, &s, e))
        return false;
    d = simplefb_new(&env, name, s.base, &s.surface, e);
    return d && machine_adopt(m, d, e) && machine_add_display(m, simplefb_screen(d), e);
}
