/* The monitor and PCI: `info pci`, in QEMU's words. */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"

enum { FUNCTIONS = 256 };

/* Class and sub-class. PCI Code and ID Assignment, 1.11. */
static const struct {
    uint16_t class_code;
    const char *name;
} classes[] = {{0x0100, "SCSI controller"},    {0x0180, "Storage controller"}, {0x0200, "Ethernet controller"},
               {0x0280, "Network controller"}, {0x0300, "VGA controller"},     {0x0380, "Display controller"},
               {0x0600, "Host bridge"},        {0x0700, "Serial port"},        {0x0780, "Communication controller"},
               {0x0900, "Keyboard"},           {0x0901, "Pen input device"},   {0x0902, "Mouse"}};

static void print_class(const struct pci_device *p, FILE *out)
{
    uint16_t c = ld16(p->config + PCI_CLASS + 1);

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (classes[i].class_code == c) {
            fprintf(out, "    %s", classes[i].name);
            return;
        }
    fprintf(out, "    Class %04d", c);
}

static void print_bar(const struct pci_device *p, unsigned n, FILE *out)
{
    static const char *const kinds[] = {[PCI_BAR_IO] = "I/O",
                                        [PCI_BAR_MEM32] = "32 bit memory",
                                        [PCI_BAR_MEM32_PREFETCH] = "32 bit prefetchable memory",
                                        [PCI_BAR_MEM64] = "64 bit memory",
                                        [PCI_BAR_MEM64_PREFETCH] = "64 bit prefetchable memory"};
    const struct pci_bar *b = &p->bar[n];
    uint64_t at;

    if (b->kind == PCI_BAR_NONE)
        return;
    if (pci_bar_shown(p, n, &at))
        fprintf(out, "      BAR%u: %s at 0x%" PRIx64 " [0x%" PRIx64 "].\n", n, kinds[b->kind], at, at + b->size - 1);
    else
        fprintf(out, "      BAR%u: %s (not mapped)\n", n, kinds[b->kind]);
}

static void print_function(struct pci_device *p, unsigned devfn, FILE *out)
{
    device_lock(&p->dev);
    fprintf(out, "  Bus  0, device %3u, function %u:\n", devfn / 8, devfn % 8);
    print_class(p, out);
    fprintf(out, ": PCI device %04x:%04x\n", ld16(p->config + PCI_VENDOR), ld16(p->config + PCI_DEVICE));
    fprintf(out, "      PCI subsystem %04x:%04x\n", ld16(p->config + PCI_SUBSYSTEM_VENDOR),
            ld16(p->config + PCI_SUBSYSTEM));
    if (p->config[PCI_IRQ_PIN])
        fprintf(out, "      IRQ %u, pin %c\n", p->config[PCI_IRQ_LINE], 'A' + p->config[PCI_IRQ_PIN] - 1);
    for (unsigned n = 0; n < PCI_BARS; n++)
        print_bar(p, n, out);
    fprintf(out, "      id \"%s\"\n", p->dev.name);
    device_unlock(&p->dev);
}

void monitor_info_pci(struct machine *m, char *args, FILE *out)
{
    (void)args;
    for (struct device *d = machine_devices(m); d; d = d->next)
        for (unsigned f = 0; !strcmp(d->ops->name, PCI_HOST_KIND) && f < FUNCTIONS; f++)
            if (pci_at(d, f))
                print_function(pci_at(d, f), f, out);
}
