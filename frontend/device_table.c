/* The table of -device. See device_table.h. */
#include "frontend/device_table.h"

#include <string.h>

#include "base/bits.h"
#include "frontend/options.h"

#define BLK_PROPS                                                                                                      \
    "drive,serial,num-queues,queue-size,write-cache,config-wce,discard,write-zeroes,logical_block_size,physical_"      \
    "block_size,rerror,werror,share-rw,iothread,request-merging,seg-max-adjust"
#define NVME_PROPS                                                                                                     \
    "drive,serial,num_queues,max_ioqpairs,msix_qsize,mdts,logical_block_size,physical_block_size,discard_granularity," \
    "write-cache,share-rw,rerror,werror"
#define NVME_NS_PROPS                                                                                                  \
    "drive,bus,id,nsid,logical_block_size,physical_block_size,discard_granularity,write-cache,share-rw,bootindex,"     \
    "rerror,werror"
#define RNG_PROPS "rng,max-bytes,period"
#define SERIAL_PROPS "max_ports"
#define PORT_PROPS "chardev,name,nr,bus,id"
#define NET_PROPS                                                                                                      \
    "netdev,mac,mq,rss,hash,csum,gso,guest_csum,guest_tso4,guest_tso6,guest_ecn,guest_ufo,guest_uso4,guest_uso6,host_" \
    "tso4,host_tso6,host_ecn,host_ufo,host_uso,mrg_rxbuf,status,ctrl_vq,ctrl_rx,ctrl_vlan,ctrl_rx_extra,ctrl_mac_"     \
    "addr,ctrl_guest_offloads,guest_announce,guest_rsc_ext,rsc_interval,host_mtu,speed,duplex,rx_queue_size,tx_queue_" \
    "size,tx,x-txtimer,x-txburst,x-mtu-bypass-backend,failover,ioeventfd"
#define E1000E_PROPS "netdev,mac,subsys_ven,subsys,disable_vnet_hdr,init-vet,migrate-timadj"

#define GPU_PROPS "max_outputs,xres,yres,edid,max_hostmem"
#define INPUT_PROPS "serial"
#define XHCI_PROPS "p2,p3,intrs,slots,msi,msix,streams"
#define USB_PROPS "port,serial,usb_version,msos-desc"
#define BOCHS_PROPS "vgamem,xres,yres,edid"
#define RAMFB_PROPS "x-migrate"
#define SIMPLEFB_PROPS "width,height,format"

static const struct device_type types[] = {
    {"virtio-blk-device", DEVICE_BLK, TRANSPORT_MMIO, false, BLK_PROPS, "disk on virtio-mmio"},
    {"virtio-blk-pci", DEVICE_BLK, TRANSPORT_PCI, false, BLK_PROPS, "disk on PCI"},
    {"virtio-blk-pci-non-transitional", DEVICE_BLK, TRANSPORT_PCI, true, BLK_PROPS, NULL},
    {"virtio-blk", DEVICE_BLK, TRANSPORT_PCI, false, BLK_PROPS, NULL},
    {"nvme", DEVICE_NVME, TRANSPORT_PCI, false, NVME_PROPS, "NVMe controller, with a disk or with nvme-ns"},
    {"nvme-ns", DEVICE_NVME_NS, TRANSPORT_NVME, false, NVME_NS_PROPS, "disk on the NVMe controller before it"},
    {"virtio-net-device", DEVICE_NET, TRANSPORT_MMIO, false, NET_PROPS, "network adapter on virtio-mmio"},
    {"virtio-net-pci", DEVICE_NET, TRANSPORT_PCI, false, NET_PROPS, "network adapter on PCI"},
    {"virtio-net-pci-non-transitional", DEVICE_NET, TRANSPORT_PCI, true, NET_PROPS, NULL},
    {"virtio-net", DEVICE_NET, TRANSPORT_PCI, false, NET_PROPS, NULL},
    {"e1000e", DEVICE_E1000E, TRANSPORT_PCI, false, E1000E_PROPS, "Intel 82574L, for guests without virtio"},
    {"virtio-rng-device", DEVICE_RNG, TRANSPORT_MMIO, false, RNG_PROPS, "random numbers of the host, virtio-mmio"},
    {"virtio-rng-pci", DEVICE_RNG, TRANSPORT_PCI, false, RNG_PROPS, "random numbers of the host, PCI"},
    {"virtio-rng-pci-non-transitional", DEVICE_RNG, TRANSPORT_PCI, true, RNG_PROPS, NULL},
    {"virtio-rng", DEVICE_RNG, TRANSPORT_PCI, false, RNG_PROPS, NULL},
    {"virtio-serial-device", DEVICE_SERIAL, TRANSPORT_MMIO, false, SERIAL_PROPS, "controller of ports, virtio-mmio"},
    {"virtio-serial-pci", DEVICE_SERIAL, TRANSPORT_PCI, false, SERIAL_PROPS, "controller of ports, PCI"},
    {"virtio-serial-pci-non-transitional", DEVICE_SERIAL, TRANSPORT_PCI, true, SERIAL_PROPS, NULL},
    {"virtio-serial", DEVICE_SERIAL, TRANSPORT_PCI, false, SERIAL_PROPS, NULL},
    {"virtio-gpu-device", DEVICE_GPU, TRANSPORT_MMIO, true, GPU_PROPS, "screen on virtio-mmio"},
    {"virtio-gpu-pci", DEVICE_GPU, TRANSPORT_PCI, true, GPU_PROPS, "screen on PCI"},
    {"virtio-gpu", DEVICE_GPU, TRANSPORT_PCI, true, GPU_PROPS, NULL},
    {"virtio-keyboard-device", DEVICE_KEYBOARD, TRANSPORT_MMIO, true, INPUT_PROPS, "keyboard, virtio-mmio"},
    {"virtio-keyboard-pci", DEVICE_KEYBOARD, TRANSPORT_PCI, true, INPUT_PROPS, "keyboard, PCI"},
    {"virtio-keyboard", DEVICE_KEYBOARD, TRANSPORT_PCI, true, INPUT_PROPS, NULL},
    {"virtio-tablet-device", DEVICE_TABLET, TRANSPORT_MMIO, true, INPUT_PROPS,
     "pointer with absolute positions, virtio-mmio"},
    {"virtio-tablet-pci", DEVICE_TABLET, TRANSPORT_PCI, true, INPUT_PROPS, "pointer with absolute positions, PCI"},
    {"virtio-tablet", DEVICE_TABLET, TRANSPORT_PCI, true, INPUT_PROPS, NULL},
    {"virtio-mouse-device", DEVICE_MOUSE, TRANSPORT_MMIO, true, INPUT_PROPS,
     "pointer with relative motion, virtio-mmio"},
    {"virtio-mouse-pci", DEVICE_MOUSE, TRANSPORT_PCI, true, INPUT_PROPS, "pointer with relative motion, PCI"},
    {"virtio-mouse", DEVICE_MOUSE, TRANSPORT_PCI, true, INPUT_PROPS, NULL},
    {"virtio-multitouch-device", DEVICE_TOUCH, TRANSPORT_MMIO, true, INPUT_PROPS, "touch screen, virtio-mmio"},
    {"virtio-multitouch-pci", DEVICE_TOUCH, TRANSPORT_PCI, true, INPUT_PROPS, "touch screen, PCI"},
    {"virtio-multitouch", DEVICE_TOUCH, TRANSPORT_PCI, true, INPUT_PROPS, NULL},
    {"bochs-display", DEVICE_BOCHS, TRANSPORT_PCI, false, BOCHS_PROPS, "screen on PCI, for guests without virtio"},
    {"ps2-keyboard", DEVICE_PS2_KEYBOARD, TRANSPORT_BOARD, false, "", "PS/2 keyboard on a port as Altera made them"},
    {"ps2-mouse", DEVICE_PS2_MOUSE, TRANSPORT_BOARD, false, "", "PS/2 mouse with a wheel, on such a port"},
    {"qemu-xhci", DEVICE_XHCI, TRANSPORT_PCI, false, XHCI_PROPS,
     "USB 3 controller (xHCI) on PCI, for usb-kbd and the like"},
    {"nec-usb-xhci", DEVICE_XHCI, TRANSPORT_PCI, false, XHCI_PROPS, NULL},
    {"usb-kbd", DEVICE_USB_KEYBOARD, TRANSPORT_USB, false, USB_PROPS, "USB keyboard on the controller"},
    {"usb-tablet", DEVICE_USB_TABLET, TRANSPORT_USB, false, USB_PROPS, "USB pointer with absolute positions"},
    {"usb-mouse", DEVICE_USB_MOUSE, TRANSPORT_USB, false, USB_PROPS, "USB pointer with relative motion"},
    {"ramfb", DEVICE_RAMFB, TRANSPORT_BOARD, false, RAMFB_PROPS, "screen in guest memory that firmware sets up (EDK2)"},
    {"simple-framebuffer", DEVICE_SIMPLEFB, TRANSPORT_BOARD, false, SIMPLEFB_PROPS,
     "screen in guest memory, in the device tree: width=,height=,format="},
    {"virtconsole", DEVICE_CONSOLE, TRANSPORT_PORT, false, PORT_PROPS, "console port (hvc0, ...)"},
    {"virtserialport", DEVICE_PORT, TRANSPORT_PORT, false, PORT_PROPS, "named port (/dev/virtio-ports/NAME)"},
};

static const char *const transport_props[] = {
    [TRANSPORT_MMIO] = "id,bus,event_idx,indirect_desc,packed,iommu_platform,bootindex",
    [TRANSPORT_PCI] =
        ("id,bus,addr,event_idx,indirect_desc,packed,iommu_platform,bootindex,disable-legacy,disable-modern,"
         "vectors,romfile,rombar,multifunction"),
    [TRANSPORT_PORT] = "",
    [TRANSPORT_NVME] = "",
    [TRANSPORT_USB] = "id,bus",
    [TRANSPORT_BOARD] = "id",
};

/* Names beginning so exist in QEMU and mean something we would have to leave out. */
static const struct {
    const char *begins, *why;
} missing[] = {
    {"e1000", "not there; e1000e and virtio-net-pci are"},
    {"rtl8139", "not there; e1000e and virtio-net-pci are"},
    {"igb", "not there; e1000e and virtio-net-pci are"},
    {"vhost-", "vhost devices are not there yet"},
    {"virtio-9p", "file sharing is not there yet"},
    {"virtio-balloon", "the balloon is not there yet"},
    {"virtio-scsi", "SCSI is not there yet; use virtio-blk-device or virtio-blk-pci"},
    {"scsi-", "SCSI is not there yet; use virtio-blk-device or virtio-blk-pci"},
    {"nvme-subsys", "NVMe subsystems are not there yet; use nvme and nvme-ns"},
    {"virtio-gpu-", "3D is not there yet; virtio-gpu-pci and virtio-gpu-device are"},
    {"virtio-vga", "VGA is not there; virtio-gpu-pci is"},
    {"secondary-vga", "VGA is not there; bochs-display is"},
    {"cirrus-vga", "VGA is not there; bochs-display and virtio-gpu-pci are"},
    {"ati-vga", "VGA is not there; bochs-display and virtio-gpu-pci are"},
    {"vmware-svga", "VGA is not there; bochs-display and virtio-gpu-pci are"},
    {"qxl", "QXL is not there; bochs-display and virtio-gpu-pci are"},
    {"VGA", "VGA is not there; bochs-display is, which the same drivers drive, and virtio-gpu-pci"},
    {"virtio-input-host", "host devices are not handed through; virtio-keyboard-pci and the like are"},
    {"usb-storage", "USB disks are not there yet; virtio-blk-pci and nvme are"},
    {"usb-uas", "USB disks are not there yet; virtio-blk-pci and nvme are"},
    {"usb-bot", "USB disks are not there yet; virtio-blk-pci and nvme are"},
    {"usb-host", "host devices are not handed through; usb-kbd, usb-tablet and usb-mouse are there"},
    {"usb-ehci", "not there; qemu-xhci is"},
    {"usb-", "not there yet; of USB devices usb-kbd, usb-tablet and usb-mouse are"},
    {"ich9-usb-", "not there; qemu-xhci is"},
    {"piix3-usb-", "not there; qemu-xhci is"},
    {"pci-ohci", "not there; qemu-xhci is"},
    {"vmcoreinfo", "vmcoreinfo is not there yet"},
    {"pvpanic", "pvpanic is not there yet"},
    {"i6300esb", "the watchdog is not there yet"},
    {"ivshmem", "shared memory devices are not there yet"},
    {"pcie-root-port", "PCI bridges are not there yet; devices sit on bus pcie.0"},
    {"pcie-pci-bridge", "PCI bridges are not there yet; devices sit on bus pcie.0"},
    {"riscv-iommu", "the IOMMU is not there yet"},
};

const struct device_type *device_type_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!strcmp(types[i].name, name))
            return &types[i];
    return NULL;
}

const char *device_type_nearest(const char *name)
{
    const char *names[ARRAY_LEN(types) + 2];

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        names[i] = types[i].name;
    names[ARRAY_LEN(types)] = "loader";
    names[ARRAY_LEN(types) + 1] = NULL;
    return nearest_word(name, names);
}

const char *device_type_missing(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (!strncmp(name, missing[i].begins, strlen(missing[i].begins)))
            return missing[i].why;
    return NULL;
}

static bool in_list(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list) {
        size_t n = strcspn(list, ",");

        if (n == len && !memcmp(list, word, n))
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

bool device_type_takes(const struct device_type *t, const char *prop)
{
    return in_list(t->props, prop) || in_list(transport_props[t->transport], prop);
}

void device_types_help(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].help)
            fprintf(out, "  %-24s %s\n", types[i].name, types[i].help);
    fprintf(out, "  %-24s %s\n", "loader", "put a file or a value into memory: file=,addr=,cpu-num=,data=,data-len=");
}

void device_types_each(void (*fn)(void *arg, const char *name, const char *help), void *arg)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        fn(arg, types[i].name, types[i].help);
    fn(arg, "loader", "put a file or a value into memory");
}

static void each_in_list(const char *list, void (*fn)(void *arg, const char *name, size_t len), void *arg)
{
    while (*list) {
        size_t n = strcspn(list, ",");

        fn(arg, list, n);
        list += n + (list[n] == ',');
    }
}

void device_props_each(const struct device_type *t, void (*fn)(void *arg, const char *name, size_t len), void *arg)
{
    if (!t)
        return;
    each_in_list(t->props, fn, arg);
    each_in_list(transport_props[t->transport], fn, arg);
}
