/* The devices a config asks for with -device, on their transports; the disks among them are made in machine_disks.c. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "devices/virtio_console.h"
#include "devices/virtio_mmio.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_rng.h"
#include "frontend/board_virt.h"
#include "frontend/machine_parts.h"

bool device_number(const struct device_config *d, const char *key, uint64_t max, uint64_t *val, struct err *e)
{
    const char *text = device_prop(d, key);

    if (!text)
        return true;
    if (!parse_u64(text, val) || *val > max)
        return err_set(e, "%s=%s: expected a number up to %llu", key, text, (unsigned long long)max);
    return true;
}

bool device_flag(const struct device_config *d, const char *key, bool *val, struct err *e)
{
    const char *text = device_prop(d, key);

    return !text || !strcmp(text, "auto") || parse_bool(text, val) ||
           err_set(e, "%s=%s: expected on or off", key, text);
}

/* addr=SLOT[.FUNCTION], hexadecimal as in QEMU. */
bool device_pci_addr(const struct device_config *d, int *devfn, struct err *e)
{
    const char *text = device_prop(d, "addr"), *bus = device_prop(d, "bus");
    char *end;
    unsigned long slot, function = 0;

    *devfn = -1;
    if (bus && strcmp(bus, "pcie.0") && strcmp(bus, "pci.0"))
        return err_set(e, "bus=%s: there is pcie.0", bus);
    if (!text)
        return true;
    slot = strtoul(text, &end, 16);
    if (*end == '.')
        function = strtoul(end + 1, &end, 16);
    if (end == text || *end || slot > 31 || function > 7 || (!slot && !function))
        return err_set(e, "addr=%s: expected a slot, 1 to 1f", text);
    *devfn = (int)(slot * 8 + function);
    return true;
}

static struct virtio_dev *make_rng(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_rng_options o = {0};
    uint64_t period = 0;

    if (!device_number(d, "max-bytes", UINT64_MAX, &o.max_bytes, e) ||
        !device_number(d, "period", UINT32_MAX, &period, e) || !device_flag(d, "packed", &o.packed, e))
        return NULL;
    o.period_ns = period * 1000000;
    return virtio_rng_new(&env, name, &o, e);
}

/* Does port p go to controller d (the one named by bus=ID.0, else the last one before it)? */
static bool port_of(const struct machine *m, unsigned controller, unsigned port)
{
    const char *bus = device_prop(&m->config->device[port], "bus"),
               *id = device_prop(&m->config->device[controller], "id");
    unsigned last = controller;

    if (bus && id)
        return !strncmp(bus, id, strlen(id)) && (!strcmp(bus + strlen(id), ".0") || !bus[strlen(id)]);
    for (unsigned i = controller; i < port; i++)
        if (m->config->device[i].type->kind == DEVICE_SERIAL)
            last = i;
    return port > controller && last == controller;
}

static struct virtio_dev *make_serial(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_console_options o = {0};
    unsigned self = (unsigned)(d - m->config->device);
    uint64_t max = 0;
    struct virtio_dev *v;

    if (!device_number(d, "max_ports", VIRTIO_CONSOLE_PORTS_MAX, &max, e) || !device_flag(d, "packed", &o.packed, e))
        return NULL;
    o.max_ports = (unsigned)max;
    v = virtio_console_new(&env, name, &o, e);
    for (unsigned i = 0; v && i < m->config->devices; i++) {
        const struct device_config *p = &m->config->device[i];
        const char *chardev = device_prop(p, "chardev");
        uint64_t nr = UINT64_MAX;
        struct chardev *c;

        if (p->type->transport != TRANSPORT_PORT || !port_of(m, self, i))
            continue;
        c = machine_chardev(m, chardev ? config_chardev_find(m->config, chardev) : PORT_NONE);
        if (!c)
            err_set(e, "chardev=%s: too many users", chardev);
        if (!c || !device_number(p, "nr", VIRTIO_CONSOLE_PORTS_MAX - 1, &nr, e) ||
            !virtio_console_add_port(v, nr == UINT64_MAX ? -1 : (int)nr, device_prop(p, "name"),
                                     p->type->kind == DEVICE_CONSOLE, c, e)) {
            err_prefix(e, "-device %s", p->type->name);
            device_free(&v->dev);
            return NULL;
        }
    }
    return v;
}

/* bus=virtio-mmio-bus.N, else the highest free slot, as QEMU does on this board. */
static bool plug_mmio(struct machine *m, const struct device_config *d, struct virtio_dev *v, struct err *e)
{
    static const char prefix[] = "virtio-mmio-bus.";
    const char *bus = device_prop(d, "bus");
    uint64_t n = BOARD_VIRTIO_SLOTS;

    if (bus) {
        if (strncmp(bus, prefix, strlen(prefix)) || !parse_u64(bus + strlen(prefix), &n) || n >= BOARD_VIRTIO_SLOTS)
            return err_set(e, "bus=%s: expected %s0 to %s%d", bus, prefix, prefix, BOARD_VIRTIO_SLOTS - 1);
        if (m->slot_used[n])
            return err_set(e, "bus=%s: taken already", bus);
    } else {
        while (n > 0 && m->slot_used[n - 1])
            n--;
        if (!n)
            return err_set(e, "all %d virtio-mmio slots are taken", BOARD_VIRTIO_SLOTS);
        n--;
    }
    m->slot_used[n] = true;
    return virtio_mmio_plug(m->slot[n], v, e);
}

static bool plug_pci(struct machine *m, const struct device_config *d, struct virtio_dev *v, const char *name,
                     struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_pci_options o = {0};
    struct pci_device *p;
    uint64_t vectors = UINT64_MAX;
    int devfn;

    o.modern_only = d->type->modern;
    if (!device_flag(d, "disable-legacy", &o.modern_only, e) || !device_pci_addr(d, &devfn, e) ||
        !device_number(d, "vectors", PCI_MSIX_MAX, &vectors, e))
        return false;
    o.no_msix = !vectors;
    o.vectors = vectors == UINT64_MAX ? 0 : (unsigned)vectors;
    p = virtio_pci_new(&env, name, v, &o, e);
    return p && machine_adopt(m, &p->dev, e) && pci_add(m->pci, p, devfn, e);
}

static bool build(struct machine *m, const struct device_config *d, struct err *e)
{
    static struct virtio_dev *(*const make[])(struct machine *, const struct device_config *, const char *,
                                              struct err *) = {
        [DEVICE_BLK] = machine_make_blk,      [DEVICE_RNG] = make_rng,
        [DEVICE_SERIAL] = make_serial,        [DEVICE_NET] = machine_make_net,
        [DEVICE_GPU] = machine_make_gpu,      [DEVICE_KEYBOARD] = machine_make_input,
        [DEVICE_TABLET] = machine_make_input, [DEVICE_MOUSE] = machine_make_input,
        [DEVICE_TOUCH] = machine_make_input};
    static const char *const names[] = {[DEVICE_BLK] = "virtio-blk",
                                        [DEVICE_RNG] = "virtio-rng",
                                        [DEVICE_SERIAL] = "virtio-serial",
                                        [DEVICE_NVME] = "nvme",
                                        [DEVICE_NET] = "virtio-net",
                                        [DEVICE_E1000E] = "e1000e",
                                        [DEVICE_GPU] = "virtio-gpu",
                                        [DEVICE_KEYBOARD] = "virtio-keyboard",
                                        [DEVICE_TABLET] = "virtio-tablet",
                                        [DEVICE_MOUSE] = "virtio-mouse",
                                        [DEVICE_TOUCH] = "virtio-multitouch",
                                        [DEVICE_PS2_KEYBOARD] = "ps2-keyboard",
                                        [DEVICE_PS2_MOUSE] = "ps2-mouse",
                                        [DEVICE_XHCI] = "qemu-xhci",
                                        [DEVICE_BOCHS] = "bochs-display",
                                        [DEVICE_RAMFB] = "ramfb",
                                        [DEVICE_SIMPLEFB] = "simple-framebuffer"};
    const char *id = device_prop(d, "id");
    unsigned self = (unsigned)(d - m->config->device);
    const char *name =
        id ? machine_device_name(m, "%s", id) : machine_device_name(m, "%s.%u", names[d->type->kind], self);
    struct virtio_dev *v;

    if (d->type->kind == DEVICE_NVME)
        return machine_build_nvme(m, d, name, e);
    if (d->type->kind == DEVICE_E1000E)
        return machine_build_e1000e(m, d, name, e);
    if (d->type->kind == DEVICE_BOCHS)
        return machine_build_bochs(m, d, name, e);
    if (d->type->kind == DEVICE_RAMFB)
        return machine_build_ramfb(m, name, e);
    if (d->type->kind == DEVICE_SIMPLEFB)
        return machine_build_simplefb(m, name, e);
    if (d->type->kind == DEVICE_PS2_KEYBOARD || d->type->kind == DEVICE_PS2_MOUSE)
        return machine_build_ps2(m, d, name, e);
    if (d->type->kind == DEVICE_XHCI)
        return machine_build_xhci(m, d, name, e);
    v = make[d->type->kind](m, d, name, e);
    if (!v || !machine_adopt(m, &v->dev, e))
        return false;
    if (d->type->transport == TRANSPORT_MMIO)
        return plug_mmio(m, d, v, e);
    return plug_pci(m, d, v, machine_device_name(m, "%s-pci", name), e);
}

bool machine_build_virtio(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->config->devices; i++) {
        const struct device_config *d = &m->config->device[i];

        if (d->type->transport != TRANSPORT_PORT && d->type->transport != TRANSPORT_NVME &&
            d->type->transport != TRANSPORT_USB && !build(m, d, e))
            return err_prefix(e, "-device %s", d->type->name);
    }
    return true;
}
