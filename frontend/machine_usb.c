/* USB: the controllers of a config and the keyboards and pointers on them. */
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "devices/xhci.h"
#include "frontend/machine_parts.h"

/* QEMU's controllers have more of some things; guests ask what there is. */
static bool properties(const struct device_config *d, struct err *e)
{
    static const struct {
        const char *key;
        uint64_t max;
    } numbers[] = {{"p2", 15}, {"p3", 15}, {"intrs", 1024}, {"slots", 64}};
    bool streams = false, on = true;

    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t v = 0;

        if (!device_number(d, numbers[i].key, numbers[i].max, &v, e))
            return false;
    }
    return device_flag(d, "streams", &streams, e) && device_flag(d, "msi", &on, e) && device_flag(d, "msix", &on, e);
}

static bool plug(struct machine *m, struct pci_device *p, const struct device_config *d, struct err *e)
{
    static const enum input_kind kinds[] = {
        [DEVICE_USB_KEYBOARD] = INPUT_KEYBOARD, [DEVICE_USB_TABLET] = INPUT_TABLET, [DEVICE_USB_MOUSE] = INPUT_MOUSE};
    uint64_t port = 0;

    (void)m;
    if (!device_number(d, "port", XHCI_SOCKETS, &port, e))
        return false;
    return xhci_plug(p, d->type->name, kinds[d->type->kind], (unsigned)port, device_prop(d, "serial"), e);
}

/* Those that ask for a port are plugged in first, so that no other takes it. */
static bool plug_all(struct machine *m, struct pci_device *p, const struct device_config *controller, bool with_port,
                     struct err *e)
{
    for (unsigned i = 0; i < m->config->devices; i++) {
        const struct device_config *d = &m->config->device[i];

        if (d->type->transport == TRANSPORT_USB && !!device_prop(d, "port") == with_port &&
            config_usb_controller(m->config, d, e) == controller && !plug(m, p, d, e))
            return false;
    }
    return true;
}

bool machine_build_xhci(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct pci_device *p;
    int devfn;

    if (!properties(d, e) || !device_pci_addr(d, &devfn, e))
        return false;
    p = xhci_new(&env, name, m->input, e);
    return p && machine_adopt(m, &p->dev, e) && plug_all(m, p, d, true, e) && plug_all(m, p, d, false, e) &&
           pci_add(m->pci, p, devfn, e);
}
