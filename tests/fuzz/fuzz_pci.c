/* Fuzz target: configuration space, BAR moves and MSI-X of two functions. No access of a BAR may leave its size. */
#include <stdlib.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "tests/fuzz/machine.h"

#define ECAM UINT64_C(0x30000000)
#define MEM32 UINT64_C(0x40000000)
#define MEM64 UINT64_C(0x400000000)
#define PIO UINT64_C(0x3000000)

enum { IO_SIZE = 32, MEM_SIZE = 0x1000, WIDE_SIZE = 0x4000 };

struct toy {
    struct pci_device pci;
    uint32_t reg;
};

static uint64_t io_read(void *arg, gpa off, unsigned size)
{
    if (off + size > IO_SIZE)
        abort();
    return ((struct toy *)arg)->reg;
}

static void io_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    if (off + size > IO_SIZE)
        abort();
    ((struct toy *)arg)->reg = (uint32_t)val;
}

static uint64_t mem_read(void *arg, gpa off, unsigned size)
{
    if (off + size > WIDE_SIZE)
        abort();
    return ((struct toy *)arg)->reg;
}

static void mem_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    if (off + size > WIDE_SIZE)
        abort();
    ((struct toy *)arg)->reg = (uint32_t)val;
}

static const struct mmio_ops io_bar = {io_read, io_write, .min_size = 1, .max_size = 2, .split = true};
static const struct mmio_ops mem_bar = {mem_read, mem_write, .min_size = 4, .max_size = 8};

static void toy_reset(struct device *d) { pci_reset((struct pci_device *)d); }
static void toy_update(struct device *d) { pci_update((struct pci_device *)d); }

static const struct field toy_state[] = {PCI_FIELDS(struct toy, pci), FIELD(struct toy, reg), {0}};
static const struct device_ops toy_ops = {.name = "toy", .state = toy_state, .reset = toy_reset, .update = toy_update};

static struct toy toy[2];

static gpa address(struct fuzz_in *in)
{
    static const gpa parts[] = {ECAM,           ECAM + 0x8000, ECAM + 0x10000, MEM32, MEM32 + 0x1000,
                                MEM64 + 0x1000, PIO,           ECAM + 0x100000};

    return parts[fuzz_take(in, 1) % 8] + fuzz_take(in, 1);
}

static void event(struct fuzz_in *in, unsigned kind)
{
    struct toy *t = &toy[kind & 1];

    switch (kind >> 1 & 3) {
    case 0: pci_intx(&t->pci, fuzz_take(in, 1) & 1); break;
    case 1: pci_msix_notify(&t->pci, (unsigned)fuzz_take(in, 1)); break;
    default: /* a BAR to a place in a window */
        device_lock(&t->pci.dev);
        pci_config_write(&t->pci, 0x10 + 4 * (unsigned)(fuzz_take(in, 1) % 6), (uint32_t)(MEM32 + fuzz_take(in, 2)), 4);
        pci_config_write(&t->pci, 4, 7, 2);
        device_unlock(&t->pci.dev);
    }
}

/* The second one has memory, too. */
static void toy_ram(struct toy *t, struct fuzz_machine *m)
{
    struct err e;
    const struct region *ram = t == &toy[1] ? bus_make_ram(m->bus, "video", MEM_SIZE, &e) : NULL;

    if (t == &toy[1] && (!ram || !pci_set_ram_bar(&t->pci, 2, PCI_BAR_MEM32_PREFETCH, ram, &e)))
        abort();
}

static void toy_make(struct toy *t, struct fuzz_machine *m, struct device *host)
{
    static const struct pci_id id = {.vendor = 1, .device = 2};
    struct err e;

    *t = (struct toy){0};
    pci_init(&t->pci, &toy_ops, "toy", &m->env, &id);
    pci_use_intx(&t->pci);
    toy_ram(t, m);
    if (!pci_set_bar(&t->pci, 0, PCI_BAR_IO, IO_SIZE, &io_bar, t, &e) ||
        !pci_set_bar(&t->pci, 1, PCI_BAR_MEM32, MEM_SIZE, &mem_bar, t, &e) ||
        !pci_set_bar(&t->pci, 4, PCI_BAR_MEM64, WIDE_SIZE, &mem_bar, t, &e) ||
        !pci_add_msix(&t->pci, 5, 4, 0x1000, 0x1080, &e) || !pci_add(host, &t->pci, -1, &e))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {MEM32, 0x40000000}, .mem64 = {MEM64, 0x400000000}, .pio = {PIO, 0x10000}};
    struct fuzz_machine m;
    struct device *host;
    struct err e;

    fuzz_machine_open(&m);
    host = pci_host_new(&m.env, "pcie", &c);
    if (!host || !pci_host_map(host, &e))
        abort();
    toy_make(&toy[0], &m, host);
    toy_make(&toy[1], &m, host);
    fuzz_run(&m, &(struct fuzz_target){&toy[0].pci.dev, address, event}, data, size);
    pci_fini(&toy[0].pci);
    pci_fini(&toy[1].pci);
    device_free(host);
    fuzz_machine_close(&m);
    return 0;
}
