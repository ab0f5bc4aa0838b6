/* The device tree a guest gets: places and interrupts of QEMU's virt board, CPUs from their configuration, /chosen. */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "frontend/fdt_virt.h"
#include "frontend/screen.h"
#include "tests/unit/check.h"

static struct isa_config isa;
static struct fdt_spec spec;
static void *fdt;
static uint64_t fdt_len;

static int setup(void **state)
{
    struct err e;

    (void)state;
    if (!isa_config_parse(&isa, "rv64", &e))
        return 1;
    spec = (struct fdt_spec){.isa = &isa,
                             .cpus = 3,
                             .ram = UINT64_C(2) << 30,
                             .bootargs = "console=ttyS0 root=/dev/vda",
                             .initrd_start = 0x88000000,
                             .initrd_end = 0x88123456,
                             .kaslr_seed = UINT64_C(0x1122334455667788)};
    memset(spec.rng_seed, 0x5a, sizeof spec.rng_seed);
    fdt = fdt_virt_build(&spec, &fdt_len, &e);
    return !fdt;
}

static int teardown(void **state)
{
    (void)state;
    free(fdt);
    isa_config_fini(&isa);
    return 0;
}

static int at(const char *path)
{
    int n = fdt_path_offset(fdt, path);

    if (n < 0)
        fail_msg("no node %s", path);
    return n;
}

static uint32_t cell(const char *path, const char *prop, int n)
{
    int len;
    const uint8_t *p = fdt_getprop(fdt, at(path), prop, &len);

    if (!p || len < 4 * (n + 1))
        fail_msg("%s has no cell %d of %s", path, n, prop);
    return ld32be(p + 4 * n);
}

static uint64_t pair(const char *path, const char *prop, int n)
{
    return (uint64_t)cell(path, prop, n) << 32 | cell(path, prop, n + 1);
}

static void check_device(const char *path, const char *compatible, uint64_t base, uint64_t size, unsigned irq)
{
    CHECK_EQ(fdt_node_check_compatible(fdt, at(path), compatible), 0);
    CHECK_EQ(pair(path, "reg", 0), base);
    CHECK_EQ(pair(path, "reg", 2), size);
    if (irq)
        CHECK_EQ(cell(path, "interrupts", 0), irq);
}

/* Numbers: QEMU hw/riscv/virt.c, virt_memmap and its interrupt enum. */
static void devices_are_where_qemu_has_them(void **state)
{
    (void)state;
    CHECK_EQ(fdt_check_full(fdt, fdt_len), 0);
    check_device("/soc/test@100000", "sifive,test1", 0x100000, 0x1000, 0);
    check_device("/soc/test@100000", "syscon", 0x100000, 0x1000, 0);
    check_device("/soc/rtc@101000", "google,goldfish-rtc", 0x101000, 0x1000, 11);
    check_device("/soc/clint@2000000", "sifive,clint0", 0x2000000, 0x10000, 0);
    check_device("/soc/plic@c000000", "sifive,plic-1.0.0", 0xc000000, 0x600000, 0);
    check_device("/soc/serial@10000000", "ns16550a", 0x10000000, 0x100, 10);
    check_device("/soc/virtio_mmio@10001000", "virtio,mmio", 0x10001000, 0x1000, 1);
    check_device("/soc/virtio_mmio@10008000", "virtio,mmio", 0x10008000, 0x1000, 8);
    check_device("/fw-cfg@10100000", "qemu,fw-cfg-mmio", 0x10100000, 0x18, 0);
    check_device("/flash@20000000", "cfi-flash", 0x20000000, 0x2000000, 0);
    CHECK_EQ(pair("/flash@20000000", "reg", 4), 0x22000000);
    check_device("/soc/pci@30000000", "pci-host-ecam-generic", 0x30000000, 0x10000000, 0);
    CHECK_EQ(pair("/memory@80000000", "reg", 0), 0x80000000);
    CHECK_EQ(pair("/memory@80000000", "reg", 2), UINT64_C(2) << 30);
    CHECK_EQ(cell("/soc/plic@c000000", "riscv,ndev", 0), 95);
    CHECK_EQ(cell("/poweroff", "value", 0), 0x5555);
    CHECK_EQ(cell("/reboot", "value", 0), 0x7777);
}

static void pci_windows_and_interrupts(void **state)
{
    const char *pci = "/soc/pci@30000000";

    (void)state;
    CHECK_EQ(cell(pci, "ranges", 0), 0x01000000); /* I/O */
    CHECK_EQ(pair(pci, "ranges", 3), 0x3000000);
    CHECK_EQ(cell(pci, "ranges", 7), 0x02000000); /* 32-bit memory */
    CHECK_EQ(pair(pci, "ranges", 10), 0x40000000);
    CHECK_EQ(pair(pci, "ranges", 12), 0x40000000);
    CHECK_EQ(cell(pci, "ranges", 14), 0x03000000); /* 64-bit memory, above RAM */
    CHECK_EQ(pair(pci, "ranges", 17), UINT64_C(0x400000000));
    CHECK_EQ(cell(pci, "bus-range", 1), 255);
    for (int slot = 0; slot < 4; slot++)
        for (int pin = 1; pin <= 4; pin++) {
            int row = 6 * (4 * slot + pin - 1);

            CHECK_EQ(cell(pci, "interrupt-map", row), slot << 11);
            CHECK_EQ(cell(pci, "interrupt-map", row + 3), pin);
            CHECK_EQ(cell(pci, "interrupt-map", row + 4), cell("/soc/plic@c000000", "phandle", 0));
            CHECK_EQ(cell(pci, "interrupt-map", row + 5), 32 + (slot + pin - 1) % 4);
        }
}

static void cpus_come_from_the_configuration(void **state)
{
    int len;
    const char *ext;

    (void)state;
    CHECK_EQ(cell("/cpus", "timebase-frequency", 0), 10000000);
    CHECK(fdt_path_offset(fdt, "/cpus/cpu@2") >= 0);
    CHECK(fdt_path_offset(fdt, "/cpus/cpu@3") < 0);
    CHECK_STR((const char *)fdt_getprop(fdt, at("/cpus/cpu@1"), "mmu-type", NULL), "riscv,sv39");
    CHECK_STR((const char *)fdt_getprop(fdt, at("/cpus/cpu@1"), "riscv,isa-base", NULL), "rv64i");
    ext = fdt_getprop(fdt, at("/cpus/cpu@0"), "riscv,isa-extensions", &len);
    CHECK(fdt_stringlist_contains(ext, len, "i"));
    CHECK(fdt_stringlist_contains(ext, len, "zba"));
    CHECK(fdt_stringlist_contains(ext, len, "sstc"));
    /* each CPU's lines at PLIC (M 11, S 9) and CLINT (3, 7), by its interrupt controller's phandle */
    for (int i = 0; i < 3; i++) {
        char path[64];
        uint32_t ph;

        snprintf(path, sizeof path, "/cpus/cpu@%d/interrupt-controller", i);
        ph = cell(path, "phandle", 0);
        CHECK_EQ(cell("/soc/plic@c000000", "interrupts-extended", 4 * i), ph);
        CHECK_EQ(cell("/soc/plic@c000000", "interrupts-extended", 4 * i + 1), 11);
        CHECK_EQ(cell("/soc/plic@c000000", "interrupts-extended", 4 * i + 3), 9);
        CHECK_EQ(cell("/soc/clint@2000000", "interrupts-extended", 4 * i), ph);
        CHECK_EQ(cell("/soc/clint@2000000", "interrupts-extended", 4 * i + 1), 3);
        CHECK_EQ(cell("/soc/clint@2000000", "interrupts-extended", 4 * i + 3), 7);
    }
}

static void chosen(void **state)
{
    const char *stdout_path = fdt_getprop(fdt, at("/chosen"), "stdout-path", NULL);
    int len;

    (void)state;
    CHECK_STR((const char *)fdt_getprop(fdt, at("/chosen"), "bootargs", NULL), "console=ttyS0 root=/dev/vda");
    CHECK(fdt_path_offset(fdt, stdout_path) == at("/soc/serial@10000000"));
    CHECK_EQ(pair("/chosen", "linux,initrd-start", 0), 0x88000000);
    CHECK_EQ(pair("/chosen", "linux,initrd-end", 0), 0x88123456);
    CHECK_EQ(pair("/chosen", "kaslr-seed", 0), spec.kaslr_seed);
    CHECK(!memcmp(fdt_getprop(fdt, at("/chosen"), "rng-seed", &len), spec.rng_seed, 32) && len == 32);
}

static void a_tree_of_the_users_keeps_everything_but_chosen(void **state)
{
    struct fdt_spec with = spec;
    struct err e;
    uint64_t len;
    void *out;
    int n;

    (void)state;
    with.user = fdt;
    with.user_len = fdt_len;
    with.bootargs = "other";
    with.initrd_end = with.initrd_start; /* none */
    out = fdt_virt_build(&with, &len, &e);
    CHECK(out);
    n = fdt_path_offset(out, "/chosen");
    CHECK_STR((const char *)fdt_getprop(out, n, "bootargs", NULL), "other");
    CHECK(fdt_path_offset(out, "/soc/serial@10000000") >= 0);
    CHECK_EQ(fdt_check_full(out, len), 0);
    free(out);
    with.user_len = fdt_len / 2;
    CHECK(!fdt_virt_build(&with, &len, &e));
    CHECK(strstr(e.msg, "device tree"));
    with.user = "garbage, not a tree";
    with.user_len = 19;
    CHECK(!fdt_virt_build(&with, &len, &e));
}

/* Linux Documentation/devicetree/bindings/display/simple-framebuffer.yaml */
static void check_screen(void)
{
    static const char path[] = "/chosen/framebuffer@ffc00000", reserved[] = "/reserved-memory/framebuffer@ffc00000";

    CHECK_EQ(fdt_check_full(fdt, fdt_len), 0);
    CHECK_EQ(fdt_node_check_compatible(fdt, at(path), "simple-framebuffer"), 0);
    CHECK_EQ(pair(path, "reg", 0), 0xffc00000);
    CHECK_EQ(pair(path, "reg", 2), 800 * 600 * 2);
    CHECK_EQ(cell(path, "width", 0), 800);
    CHECK_EQ(cell(path, "height", 0), 600);
    CHECK_EQ(cell(path, "stride", 0), 1600);
    CHECK_STR(fdt_getprop(fdt, at(path), "format", NULL), "r5g6b5");
    CHECK_EQ(pair(reserved, "reg", 0), 0xffc00000);
    CHECK_EQ(pair(reserved, "reg", 2), 0x400000);
    CHECK(fdt_getprop(fdt, at(reserved), "no-map", NULL) != NULL);
    CHECK_EQ(cell(path, "memory-region", 0), cell(reserved, "phandle", 0));
    CHECK_EQ(fdt_node_offset_by_phandle(fdt, cell(path, "memory-region", 0)), at(reserved));
    CHECK_EQ(cell("/chosen", "#address-cells", 0), 2);
    CHECK(fdt_getprop(fdt, at("/chosen"), "ranges", NULL) != NULL);
    CHECK(fdt_getprop(fdt, at("/reserved-memory"), "ranges", NULL) != NULL);
}

static void a_screen_is_reserved_memory_and_described(void **state)
{
    const struct screen screen = {
        .base = 0xffc00000, .size = 0x400000, .format = "r5g6b5", .surface = {800, 600, 1600, PIXEL_RGB565, NULL}};
    void *first = fdt;
    struct err e;

    (void)state;
    spec.screen = &screen;
    fdt = fdt_virt_build(&spec, &fdt_len, &e);
    if (!fdt)
        fail_msg("%s", e.msg);
    check_screen();
    free(fdt);
    spec.user = first; /* a tree of the user's gets it too */
    spec.user_len = fdt_totalsize(first);
    fdt = fdt_virt_build(&spec, &fdt_len, &e);
    if (!fdt)
        fail_msg("%s", e.msg);
    check_screen();
    free(first);
    spec.user = NULL;
    spec.screen = NULL;
}

static void ps2_ports_are_there_when_asked_for(void **state)
{
    struct fdt_spec with = spec;
    struct err e;
    void *without = fdt;

    (void)state;
    CHECK(fdt_path_offset(fdt, "/soc/ps2@4000000") < 0);
    with.ps2 = 2;
    fdt = fdt_virt_build(&with, &fdt_len, &e);
    CHECK(fdt);
    check_device("/soc/ps2@4000000", "altr,ps2-1.0", 0x4000000, 8, 64);
    check_device("/soc/ps2@4001000", "ALTR,ps2-1.0", 0x4001000, 8, 65);
    CHECK(fdt_path_offset(fdt, "/soc/ps2@4002000") < 0);
    free(fdt);
    fdt = without;
}

static void aclint_has_its_devices_apart(void **state)
{
    struct fdt_spec with = spec;
    struct err e;
    uint64_t len;
    void *out;

    (void)state;
    with.aclint = true;
    out = fdt_virt_build(&with, &len, &e);
    CHECK(out);
    CHECK(fdt_path_offset(out, "/soc/clint@2000000") < 0);
    CHECK_EQ(fdt_node_check_compatible(out, fdt_path_offset(out, "/soc/mswi@2000000"), "riscv,aclint-mswi"), 0);
    CHECK_EQ(fdt_node_check_compatible(out, fdt_path_offset(out, "/soc/mtimer@2004000"), "riscv,aclint-mtimer"), 0);
    CHECK_EQ(fdt_node_check_compatible(out, fdt_path_offset(out, "/soc/sswi@2f00000"), "riscv,aclint-sswi"), 0);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_where_qemu_has_them),
        cmocka_unit_test(pci_windows_and_interrupts),
        cmocka_unit_test(cpus_come_from_the_configuration),
        cmocka_unit_test(chosen),
        cmocka_unit_test(a_tree_of_the_users_keeps_everything_but_chosen),
        cmocka_unit_test(a_screen_is_reserved_memory_and_described),
        cmocka_unit_test(ps2_ports_are_there_when_asked_for),
        cmocka_unit_test(aclint_has_its_devices_apart),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
