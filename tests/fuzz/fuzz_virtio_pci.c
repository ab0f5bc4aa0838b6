/* The PCI transport under wild accesses: configuration space, the window into the BARs, both BARs, MSI-X, resets. */
#include <stdlib.h>
#include <string.h>

#include "devices/pci_host.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_rng.h"
#include "tests/fuzz/virtio_fuzz.h"

#define ECAM UINT64_C(0x30000000)
#define MEM32 UINT64_C(0x40000000)
#define MEM64 UINT64_C(0x400000000)
#define PIO UINT64_C(0x03000000)
enum { FUNCTION = 1 << 15, STEPS = 500 };

/* Only tests may have such a thing in the file's scope. */
static struct device_env env;
static struct pci_device *fn;
static uint8_t *ram;

static bool on_msi(void *arg, gpa addr, uint32_t data)
{
    (void)arg, (void)data;
    return addr & 4;
}

static void make(void)
{
    struct pci_host_config c = {ECAM, {MEM32, 0x40000000}, {MEM64, UINT64_C(0x400000000)}, {PIO, 0x10000}};
    struct device *host;
    struct virtio_dev *v;
    struct err e;

    env.clock = clock_new_fake();
    env.log = log_new();
    env.bus = bus_new(env.log);
    env.gate = gate_new(env.clock);
    host = pci_host_new(&env, "pcie0", &c);
    v = virtio_rng_new(&env, "rng0", &(struct virtio_rng_options){.packed = true}, &e);
    fn = virtio_pci_new(&env, "rng0-pci", v, &(struct virtio_pci_options){0}, &e);
    if (!fn || !bus_add_ram(env.bus, "ram", VF_RAM, VF_RAM_SIZE, &e) || !pci_host_map(host, &e) ||
        !pci_add(host, fn, 8, &e))
        abort();
    pci_host_on_msi(host, on_msi, NULL);
    ram = bus_ram(env.bus, VF_RAM, VF_RAM_SIZE);
}

static void access_at(struct vf_in *in, gpa base, uint32_t mask)
{
    uint32_t how = vf_take(in, 1);
    unsigned size = 1u << (how & 3);
    gpa at = base + (vf_take(in, 2) & mask & ~(size - 1));
    uint64_t val;

    if (how & 4)
        bus_read(env.bus, at, size, &val);
    else
        bus_write(env.bus, at, size, (uint64_t)vf_take(in, how & 8 ? 4 : 1) << (how & 16 ? 28 : 0));
}

static void step(struct vf_in *in)
{
    uint32_t at;

    switch (vf_take(in, 1) % 8) {
    case 0: access_at(in, ECAM + FUNCTION, 0xff); break;
    case 1: access_at(in, ECAM + FUNCTION, 0xfff); break;
    case 2: access_at(in, MEM64, 0x3f); break;
    case 3: access_at(in, MEM64, 0x3fff); break;
    case 4: access_at(in, MEM32, 0xfff); break;
    case 5: access_at(in, PIO + 0x1000, 0x1f); break;
    case 6:
        at = vf_take(in, 2);
        for (unsigned n = vf_take(in, 1) % 32; n && at < VF_RAM_SIZE; n--)
            ram[at++] = (uint8_t)vf_take(in, 1);
        break;
    default: clock_advance(env.clock, vf_take(in, 2));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint32_t bars[][2] = {{0x10, 0x1000}, {0x14, (uint32_t)MEM32}, {0x20, 0}, {0x24, 4}, {0x04, 7}};
    struct vf_in in = {data, len};

    if (!fn)
        make();
    memset(ram, 0, VF_RAM_SIZE);
    for (unsigned i = 0; i < 5; i++)
        bus_write(env.bus, ECAM + FUNCTION + bars[i][0], 4, bars[i][1]);
    for (unsigned i = 0; i < STEPS && in.n; i++)
        step(&in);
    device_reset(&fn->dev);
    return 0;
}
