/* The adapters of a config: virtio-net and e1000e, from their properties as QEMU names them. */
#include <string.h>

#include "base/bits.h"
#include "devices/e1000e.h"
#include "devices/pci_host.h"
#include "devices/virtio_net.h"
#include "frontend/machine_parts.h"

static struct nic *remember(struct machine *m, const struct device_config *d, struct nic *nic)
{
    return m->nic[d - m->config->device] = nic;
}

/* How many pairs of queues mq=on means: as many as the network has. */
static unsigned pairs_of(const struct machine *m, const struct device_config *d, bool mq)
{
    const char *netdev = device_prop(d, "netdev");

    for (unsigned i = 0; mq && netdev && i < m->config->nets; i++)
        if (!strcmp(m->config->net[i].id, netdev) && m->config->net[i].queues)
            return m->config->net[i].queues;
    return 1;
}

/* Properties that name a feature: what is switched off is not offered. */
static bool features_off(const struct device_config *d, uint64_t *off, struct err *e)
{
    for (unsigned i = 0; i < d->props.count; i++) {
        const struct kv *kv = &d->props.kv[i];
        int bit = virtio_net_feature(kv->key);
        bool on = true;

        if (bit < 0 || !strcmp(kv->key, "mq")) /* mq: by the number of queues */
            continue;
        if (!device_flag(d, kv->key, &on, e))
            return false;
        if (!on)
            *off |= UINT64_C(1) << bit;
    }
    return true;
}

static bool speed(const struct device_config *d, struct virtio_net_options *o, struct err *e)
{
    const char *text = device_prop(d, "speed"), *duplex = device_prop(d, "duplex");
    uint64_t mbit = 0;

    if (text && strcmp(text, "-1") && !device_number(d, "speed", INT32_MAX, &mbit, e))
        return false;
    o->speed = (uint32_t)mbit;
    o->full_duplex = duplex && !strcmp(duplex, "full");
    o->half_duplex = duplex && !strcmp(duplex, "half");
    return !duplex || o->full_duplex || o->half_duplex || err_set(e, "duplex=%s: expected full or half", duplex);
}

struct virtio_dev *machine_make_net(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_net_options o = {.loop = m->loop};
    uint64_t mtu = 0, rx = 0, tx = 0;
    bool mq = false;
    struct virtio_dev *v;

    if (!device_flag(d, "mq", &mq, e) || !device_flag(d, "packed", &o.packed, e) ||
        !device_number(d, "host_mtu", NET_MTU_MAX, &mtu, e) || !device_number(d, "rx_queue_size", 32768, &rx, e) ||
        !device_number(d, "tx_queue_size", 32768, &tx, e) || !speed(d, &o, e) || !features_off(d, &o.off, e))
        return NULL;
    nic_mac_parse(device_prop(d, "mac"), o.mac); /* checked with the config */
    o.queues = pairs_of(m, d, mq);
    o.mtu = (uint32_t)mtu;
    o.rx_size = (unsigned)rx;
    o.tx_size = (unsigned)tx;
    v = virtio_net_new(&env, name, &o, e);
    if (v)
        remember(m, d, virtio_net_nic(v));
    return v;
}

bool machine_build_e1000e(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct e1000e_options o = {.loop = m->loop};
    struct pci_device *p;
    int devfn;

    if (!device_pci_addr(d, &devfn, e))
        return false;
    nic_mac_parse(device_prop(d, "mac"), o.mac);
    p = e1000e_new(&env, name, &o, e);
    if (!p || !machine_adopt(m, &p->dev, e))
        return false;
    remember(m, d, e1000e_nic(p));
    return pci_add(m->pci, p, devfn, e);
}
