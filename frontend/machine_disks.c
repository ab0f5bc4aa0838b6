/* The disks of a config: virtio-blk and NVMe controllers with their namespaces. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nvme.h"
#include "devices/pci_host.h"
#include "devices/virtio_blk.h"
#include "frontend/drive.h"
#include "frontend/machine_parts.h"
#include "images/block.h"

static struct block *block_of(const struct machine *m, const struct device_config *d)
{
    const char *id = device_prop(d, "drive");

    for (unsigned i = 0; id && i < m->config->drives; i++)
        if (m->config->drive[i].id && !strcmp(m->config->drive[i].id, id))
            return m->block[i];
    return NULL;
}

/* rerror= and werror= of the device, which a -blockdev has no place for. */
static bool policies(struct machine *m, const struct device_config *d, struct err *e)
{
    struct drive_config p = {0};
    struct keyvals k = {0};
    struct block_stats now;
    bool ok;

    if (!block_of(m, d) || (!device_prop(d, "rerror") && !device_prop(d, "werror")))
        return true;
    block_get_stats(block_of(m, d), &now);
    p.rerror = now.rerror;
    p.werror = now.werror;
    for (const char *const *key = (const char *const[]){"rerror", "werror", NULL}; *key; key++)
        if (device_prop(d, *key) && strcmp(device_prop(d, *key), "auto"))
            k.kv[k.count++] = (struct kv){.key = *key, .value = device_prop(d, *key)};
    ok = drive_options(&p, &k, e);
    kv_free(&k);
    if (ok)
        block_set_policy(block_of(m, d), p.rerror, p.werror);
    return ok;
}

struct virtio_dev *machine_make_blk(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct virtio_blk_options o = {.serial = device_prop(d, "serial"), .block = block_of(m, d)};
    uint64_t queues = 0, size = 0, logical = 0, physical = 0;
    bool wce = true, discard = true, zeroes = true, cache = true;
    struct virtio_dev *v;

    if (!device_number(d, "num-queues", VIRTIO_QUEUES_MAX, &queues, e) ||
        !device_number(d, "queue-size", 1024, &size, e) || !device_flag(d, "packed", &o.packed, e) ||
        !device_flag(d, "config-wce", &wce, e) || !device_flag(d, "discard", &discard, e) ||
        !device_flag(d, "write-zeroes", &zeroes, e) || !device_flag(d, "write-cache", &cache, e) ||
        !device_number(d, "logical_block_size", 4096, &logical, e) ||
        !device_number(d, "physical_block_size", 65536, &physical, e))
        return NULL;
    if (size && !is_pow2(size)) {
        err_set(e, "queue-size=%llu: expected a power of two", (unsigned long long)size);
        return NULL;
    }
    if (!policies(m, d, e))
        return NULL;
    o.writethrough = !cache;
    o.block_size = (unsigned)logical;
    o.physical_size = (unsigned)physical;
    o.queues = (unsigned)queues;
    o.queue_size = (unsigned)size;
    o.no_config_wce = !wce;
    o.no_discard = !discard;
    o.no_write_zeroes = !zeroes;
    v = virtio_blk_new(&env, name, &o, e);
    if (v)
        machine_drive_link(m, device_prop(d, "drive"))->blk = v;
    return v;
}

/* Does namespace device ns go to controller d: the one named by bus=ID, else the last one before it? */
static bool sits_on(const struct machine *m, const struct device_config *ns, const struct device_config *d)
{
    const char *bus = device_prop(ns, "bus"), *id = device_prop(d, "id");
    const struct device_config *last = NULL;

    if (bus)
        return id && !strcmp(bus, id);
    for (const struct device_config *p = m->config->device; p < ns; p++)
        if (p->type->kind == DEVICE_NVME)
            last = p;
    return last == d;
}

static bool add_namespace(struct machine *m, struct pci_device *p, const struct device_config *d, struct err *e)
{
    uint64_t nsid = 0, size = 0;

    if (!device_number(d, "nsid", NVME_NAMESPACES_MAX, &nsid, e) ||
        !device_number(d, "logical_block_size", 4096, &size, e) || !policies(m, d, e) ||
        !nvme_add_namespace(p, block_of(m, d), (unsigned)nsid, (unsigned)size, e))
        return false;
    machine_drive_link(m, device_prop(d, "drive"))->nvme = p;
    return true;
}

static bool nvme_options(const struct device_config *d, struct nvme_options *o, struct err *e)
{
    uint64_t queues = 0, vectors = 0, mdts = 0;

    /* num_queues counts the admin queue too (QEMU's first name for it) */
    if (!device_number(d, "num_queues", NVME_IO_QUEUES_MAX + 1, &queues, e))
        return false;
    queues -= queues > 1;
    if (!device_number(d, "max_ioqpairs", NVME_IO_QUEUES_MAX, &queues, e) ||
        !device_number(d, "msix_qsize", PCI_MSIX_MAX, &vectors, e) || !device_number(d, "mdts", 9, &mdts, e))
        return false;
    *o = (struct nvme_options){.serial = device_prop(d, "serial"),
                               .queues = (unsigned)queues,
                               .vectors = (unsigned)vectors,
                               .mdts = (int)mdts};
    return true;
}

bool machine_build_nvme(struct machine *m, const struct device_config *d, const char *name, struct err *e)
{
    struct device_env env = machine_env(m);
    struct nvme_options o;
    struct pci_device *p;
    int devfn;

    if (!nvme_options(d, &o, e) || !device_pci_addr(d, &devfn, e))
        return false;
    p = nvme_new(&env, name, &o, e);
    if (!p || !machine_adopt(m, &p->dev, e) || (block_of(m, d) && !add_namespace(m, p, d, e)))
        return false;
    for (unsigned i = 0; i < m->config->devices; i++) {
        const struct device_config *ns = &m->config->device[i];

        if (ns->type->kind == DEVICE_NVME_NS && sits_on(m, ns, d) && !add_namespace(m, p, ns, e))
            return err_prefix(e, "-device nvme-ns");
    }
    return pci_add(m->pci, p, devfn, e);
}
