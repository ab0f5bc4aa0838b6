/*
 * The device tree of the `virt` board. See fdt_virt.h.
 *
 * Bindings: Linux Documentation/devicetree/bindings (riscv/cpus.yaml, interrupt-controller/sifive,plic-1.0.0.yaml,
 * timer/sifive,clint.yaml, pci/host-generic-pci.yaml, chosen.yaml of dt-schema). Phandles are fixed numbers: CPUs from
 * PH_CPU, their interrupt controllers from PH_INTC.
 */
#include "frontend/fdt_virt.h"

#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "devices/aclint.h"
#include "devices/altera_ps2.h"
#include "devices/plic.h"
#include "devices/uart16550.h"
#include "frontend/screen.h"

enum { PH_PLIC = 1, PH_TEST = 2, PH_CPU = 0x100, PH_INTC = 0x1000 };
enum { IRQ_LINE_SSI = 1, IRQ_LINE_MSI = 3, IRQ_LINE_MTI = 7, IRQ_LINE_SEI = 9, IRQ_LINE_MEI = 11 };
enum { TREE_MAX = 1 << 20, USER_ROOM = 1 << 16 };

struct fdt_out {
    void *buf;
    int err; /* the first error, 0 so far */
    const struct fdt_spec *spec;
};

static void check(struct fdt_out *f, int rc)
{
    if (!f->err && rc < 0)
        f->err = rc;
}

static void node(struct fdt_out *f, const char *name) { check(f, fdt_begin_node(f->buf, name)); }
static void end(struct fdt_out *f) { check(f, fdt_end_node(f->buf)); }
static void u32(struct fdt_out *f, const char *name, uint32_t v) { check(f, fdt_property_u32(f->buf, name, v)); }
static void flag(struct fdt_out *f, const char *name) { check(f, fdt_property(f->buf, name, NULL, 0)); }
static void bytes(struct fdt_out *f, const char *name, const void *p, size_t len)
{
    check(f, fdt_property(f->buf, name, p, (int)len));
}
static void str(struct fdt_out *f, const char *name, const char *v) { bytes(f, name, v, strlen(v) + 1); }

/* A property of big-endian 32-bit cells. */
static void cells(struct fdt_out *f, const char *name, const uint32_t *v, size_t n)
{
    uint8_t *be = malloc(n * 4 + 1);

    if (!be) {
        check(f, -FDT_ERR_NOSPACE);
        return;
    }
    for (size_t i = 0; i < n; i++)
        st32be(be + 4 * i, v[i]);
    bytes(f, name, be, n * 4);
    free(be);
}
#define CELLS(f, name, ...)                                                                                            \
    cells(f, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define HI(v) (uint32_t)((uint64_t)(v) >> 32)
#define LO(v) (uint32_t)(v)

static void node_at(struct fdt_out *f, const char *name, gpa base)
{
    char buf[64];

    snprintf(buf, sizeof buf, "%s@%" PRIx64, name, base);
    node(f, buf);
}

static void reg(struct fdt_out *f, gpa base, uint64_t size) { CELLS(f, "reg", HI(base), LO(base), HI(size), LO(size)); }

static void interrupt(struct fdt_out *f, unsigned irq)
{
    u32(f, "interrupts", irq);
    u32(f, "interrupt-parent", PH_PLIC);
}

/* interrupts-extended with `n` lines to each CPU's interrupt controller. */
static void cpu_lines(struct fdt_out *f, const uint32_t *lines, unsigned n)
{
    uint32_t *v = malloc((size_t)f->spec->cpus * n * 2 * sizeof *v);
    size_t at = 0;

    if (!v) {
        check(f, -FDT_ERR_NOSPACE);
        return;
    }
    for (unsigned c = 0; c < f->spec->cpus; c++)
        for (unsigned i = 0; i < n; i++) {
            v[at++] = PH_INTC + c;
            v[at++] = lines[i];
        }
    cells(f, "interrupts-extended", v, at);
    free(v);
}

void fdt_nothing(struct fdt_out *f, const struct board_row *row)
{
    (void)f;
    (void)row;
}

void fdt_test(struct fdt_out *f, const struct board_row *row)
{
    static const char compatible[] = "sifive,test1\0sifive,test0\0syscon";

    node_at(f, "test", row->base);
    bytes(f, "compatible", compatible, sizeof compatible);
    reg(f, row->base, row->size);
    u32(f, "phandle", PH_TEST);
    end(f);
}

void fdt_rtc(struct fdt_out *f, const struct board_row *row)
{
    node_at(f, "rtc", row->base);
    str(f, "compatible", "google,goldfish-rtc");
    reg(f, row->base, row->size);
    interrupt(f, row->irq);
    end(f);
}

void fdt_ps2(struct fdt_out *f, const struct board_row *row)
{
    static const char compatible[] = "altr,ps2-1.0\0ALTR,ps2-1.0"; /* drivers older than 2013 know the second */

    for (unsigned i = 0; i < f->spec->ps2; i++) {
        node_at(f, "ps2", row->base + i * row->size);
        bytes(f, "compatible", compatible, sizeof compatible);
        reg(f, row->base + i * row->size, ALTERA_PS2_SIZE);
        interrupt(f, row->irq + i);
        end(f);
    }
}

/* One CLINT, or with aclint=on its three devices by their own names. */
void fdt_clint(struct fdt_out *f, const struct board_row *row)
{
    static const char clint[] = "sifive,clint0\0riscv,clint0";
    static const uint32_t both[] = {IRQ_LINE_MSI, IRQ_LINE_MTI};
    gpa mtime = row->base + 0xbff8, mtimecmp = row->base + 0x4000;

    if (!f->spec->aclint) {
        node_at(f, "clint", row->base);
        bytes(f, "compatible", clint, sizeof clint);
        reg(f, row->base, row->size);
        cpu_lines(f, both, 2);
        end(f);
        return;
    }
    node_at(f, "mswi", row->base);
    str(f, "compatible", "riscv,aclint-mswi");
    reg(f, row->base, 0x4000);
    cpu_lines(f, both, 1);
    flag(f, "interrupt-controller");
    u32(f, "#interrupt-cells", 0);
    end(f);
    node_at(f, "mtimer", mtimecmp);
    str(f, "compatible", "riscv,aclint-mtimer");
    CELLS(f, "reg", HI(mtime), LO(mtime), 0, 8, HI(mtimecmp), LO(mtimecmp), 0, 0x7ff8);
    cpu_lines(f, both + 1, 1);
    end(f);
}

void fdt_sswi(struct fdt_out *f, const struct board_row *row)
{
    static const uint32_t line = IRQ_LINE_SSI;

    if (!f->spec->aclint)
        return;
    node_at(f, "sswi", row->base);
    str(f, "compatible", "riscv,aclint-sswi");
    reg(f, row->base, row->size);
    cpu_lines(f, &line, 1);
    flag(f, "interrupt-controller");
    u32(f, "#interrupt-cells", 0);
    end(f);
}

void fdt_plic(struct fdt_out *f, const struct board_row *row)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";
    static const uint32_t lines[] = {IRQ_LINE_MEI, IRQ_LINE_SEI};

    node_at(f, "plic", row->base);
    bytes(f, "compatible", compatible, sizeof compatible);
    reg(f, row->base, row->size);
    flag(f, "interrupt-controller");
    u32(f, "#interrupt-cells", 1);
    u32(f, "#address-cells", 0);
    u32(f, "riscv,ndev", PLIC_SOURCES - 1);
    cpu_lines(f, lines, 2);
    u32(f, "phandle", PH_PLIC);
    end(f);
}

void fdt_uart(struct fdt_out *f, const struct board_row *row)
{
    node_at(f, "serial", row->base);
    str(f, "compatible", "ns16550a");
    reg(f, row->base, row->size);
    u32(f, "clock-frequency", (uint32_t)UART16550_CLOCK);
    interrupt(f, row->irq);
    end(f);
}

void fdt_virtio(struct fdt_out *f, const struct board_row *row)
{
    /* last slot first, as QEMU: devices fill the slots from there, and Linux numbers disks in the tree's order */
    for (unsigned i = BOARD_VIRTIO_SLOTS; i-- > 0;) {
        node_at(f, "virtio_mmio", row->base + i * row->size);
        str(f, "compatible", "virtio,mmio");
        reg(f, row->base + i * row->size, row->size);
        interrupt(f, row->irq + i);
        end(f);
    }
}

void fdt_fw_cfg(struct fdt_out *f, const struct board_row *row)
{
    node_at(f, "fw-cfg", row->base);
    str(f, "compatible", "qemu,fw-cfg-mmio");
    reg(f, row->base, row->size);
    flag(f, "dma-coherent");
    end(f);
}

void fdt_flash(struct fdt_out *f, const struct board_row *row)
{
    const struct board_row *second = &board_virt[BOARD_FLASH1];

    node_at(f, "flash", row->base);
    str(f, "compatible", "cfi-flash");
    CELLS(f, "reg", HI(row->base), LO(row->base), HI(row->size), LO(row->size), HI(second->base), LO(second->base),
          HI(second->size), LO(second->size));
    u32(f, "bank-width", 4);
    end(f);
}

/* Slot s, pin p (1..4) is line (s + p - 1) mod 4; slots beyond 3 repeat by the mask. */
static void pcie_interrupt_map(struct fdt_out *f, unsigned irq)
{
    uint32_t map[4 * BOARD_PCIE_LINES * 6], *m = map;

    for (uint32_t slot = 0; slot < BOARD_PCIE_LINES; slot++)
        for (uint32_t pin = 1; pin <= 4; pin++) {
            *m++ = slot << 11;
            *m++ = 0;
            *m++ = 0;
            *m++ = pin;
            *m++ = PH_PLIC;
            *m++ = irq + (slot + pin - 1) % BOARD_PCIE_LINES;
        }
    cells(f, "interrupt-map", map, ARRAY_LEN(map));
    CELLS(f, "interrupt-map-mask", 0x1800, 0, 0, 7);
}

void fdt_pcie(struct fdt_out *f, const struct board_row *row)
{
    const struct board_row *pio = &board_virt[BOARD_PCIE_PIO], *mem = &board_virt[BOARD_PCIE_MEM];
    gpa high = board_pcie_mem64(f->spec->ram);

    node_at(f, "pci", row->base);
    str(f, "compatible", "pci-host-ecam-generic");
    str(f, "device_type", "pci");
    u32(f, "#address-cells", 3);
    u32(f, "#size-cells", 2);
    u32(f, "#interrupt-cells", 1);
    u32(f, "linux,pci-domain", 0);
    CELLS(f, "bus-range", 0, (uint32_t)(row->size >> 20) - 1);
    flag(f, "dma-coherent");
    reg(f, row->base, row->size);
    CELLS(f, "ranges", 0x01000000, 0, 0, HI(pio->base), LO(pio->base), HI(pio->size), LO(pio->size), /* I/O */
          0x02000000, HI(mem->base), LO(mem->base), HI(mem->base), LO(mem->base), HI(mem->size), LO(mem->size),
          0x03000000, HI(high), LO(high), HI(high), LO(high), HI(BOARD_PCIE_MEM64_SIZE), LO(BOARD_PCIE_MEM64_SIZE));
    pcie_interrupt_map(f, row->irq);
    end(f);
}

static void cpu_node(struct fdt_out *f, unsigned index)
{
    const struct isa_config *isa = f->spec->isa;
    char text[4096];
    size_t len;

    node_at(f, "cpu", index);
    str(f, "device_type", "cpu");
    u32(f, "reg", index);
    str(f, "status", "okay");
    str(f, "compatible", "riscv");
    isa_string(isa, text, sizeof text);
    str(f, "riscv,isa", text);
    str(f, "riscv,isa-base", "rv64i");
    len = isa_extensions(isa, text, sizeof text);
    bytes(f, "riscv,isa-extensions", text, len < sizeof text ? len : sizeof text);
    str(f, "mmu-type", isa_mmu_type(isa));
    if (isa_has(isa, EXT_ZICBOM))
        u32(f, "riscv,cbom-block-size", isa->cbo_size);
    if (isa_has(isa, EXT_ZICBOZ))
        u32(f, "riscv,cboz-block-size", isa->cbo_size);
    if (isa_has(isa, EXT_ZICBOP))
        u32(f, "riscv,cbop-block-size", isa->cbo_size);
    u32(f, "phandle", PH_CPU + index);
    node(f, "interrupt-controller");
    u32(f, "#interrupt-cells", 1);
    flag(f, "interrupt-controller");
    str(f, "compatible", "riscv,cpu-intc");
    u32(f, "phandle", PH_INTC + index);
    end(f);
    end(f);
}

static void cpus(struct fdt_out *f)
{
    char name[16];

    node(f, "cpus");
    u32(f, "#address-cells", 1);
    u32(f, "#size-cells", 0);
    u32(f, "timebase-frequency", ACLINT_HZ);
    for (unsigned i = 0; i < f->spec->cpus; i++)
        cpu_node(f, i);
    node(f, "cpu-map");
    node(f, "cluster0");
    for (unsigned i = 0; i < f->spec->cpus; i++) {
        snprintf(name, sizeof name, "core%u", i);
        node(f, name);
        u32(f, "cpu", PH_CPU + i);
        end(f);
    }
    end(f);
    end(f);
    end(f);
}

static void chosen(struct fdt_out *f)
{
    const struct fdt_spec *s = f->spec;
    char path[64];

    snprintf(path, sizeof path, "/soc/serial@%" PRIx64, board_virt[BOARD_UART0].base);
    node(f, "aliases");
    str(f, "serial0", path);
    end(f);
    node(f, "chosen");
    if (s->bootargs)
        str(f, "bootargs", s->bootargs);
    str(f, "stdout-path", path);
    if (s->initrd_end > s->initrd_start) {
        CELLS(f, "linux,initrd-start", HI(s->initrd_start), LO(s->initrd_start));
        CELLS(f, "linux,initrd-end", HI(s->initrd_end), LO(s->initrd_end));
    }
    bytes(f, "rng-seed", s->rng_seed, sizeof s->rng_seed);
    CELLS(f, "kaslr-seed", HI(s->kaslr_seed), LO(s->kaslr_seed));
    end(f);
}

static void power(struct fdt_out *f, const char *name, uint32_t value)
{
    char compatible[32];

    snprintf(compatible, sizeof compatible, "syscon-%s", name);
    node(f, name);
    str(f, "compatible", compatible);
    u32(f, "regmap", PH_TEST);
    u32(f, "offset", 0);
    u32(f, "value", value);
    end(f);
}

static void tree(struct fdt_out *f)
{
    gpa ram = board_virt[BOARD_DRAM].base;

    check(f, fdt_create(f->buf, TREE_MAX));
    check(f, fdt_finish_reservemap(f->buf));
    node(f, "");
    u32(f, "#address-cells", 2);
    u32(f, "#size-cells", 2);
    str(f, "compatible", "riscv-virtio");
    str(f, "model", "riscv-virtio,qemu");
    chosen(f);
    node_at(f, "memory", ram);
    str(f, "device_type", "memory");
    reg(f, ram, f->spec->ram);
    end(f);
    cpus(f);
    power(f, "poweroff", 0x5555);
    power(f, "reboot", 0x7777);
    for (unsigned i = 0; i < BOARD_ROWS; i++) /* QEMU has these two at the root */
        if (i == BOARD_FLASH0 || i == BOARD_FW_CFG)
            board_virt[i].fdt(f, &board_virt[i]);
    node(f, "soc");
    u32(f, "#address-cells", 2);
    u32(f, "#size-cells", 2);
    str(f, "compatible", "simple-bus");
    flag(f, "ranges");
    for (unsigned i = 0; i < BOARD_ROWS; i++)
        if (i != BOARD_FLASH0 && i != BOARD_FW_CFG)
            board_virt[i].fdt(f, &board_virt[i]);
    end(f);
    end(f);
    check(f, fdt_finish(f->buf));
}

/* A tree of the user's: /chosen gets what the command line gave. */
static void *user_tree(const struct fdt_spec *s, uint64_t *len, struct err *e)
{
    uint64_t room = s->user_len + USER_ROOM + (s->bootargs ? strlen(s->bootargs) : 0);
    void *buf;
    int rc, at;

    if (s->user_len < sizeof(struct fdt_header) || fdt_check_full(s->user, s->user_len)) {
        err_set(e, "not a device tree, or a damaged one");
        return NULL;
    }
    buf = calloc(1, room);
    if (!buf) {
        err_set(e, "out of memory");
        return NULL;
    }
    rc = fdt_open_into(s->user, buf, (int)room);
    at = rc ? rc : fdt_path_offset(buf, "/chosen");
    if (at == -FDT_ERR_NOTFOUND)
        at = fdt_add_subnode(buf, 0, "chosen");
    rc = at < 0 ? at : 0;
    if (!rc && s->bootargs)
        rc = fdt_setprop(buf, at, "bootargs", s->bootargs, (int)strlen(s->bootargs) + 1);
    if (!rc && s->initrd_end > s->initrd_start) {
        rc = fdt_setprop_u64(buf, at, "linux,initrd-start", s->initrd_start);
        rc = rc ? rc : fdt_setprop_u64(buf, at, "linux,initrd-end", s->initrd_end);
    }
    rc = rc ? rc : fdt_setprop(buf, at, "rng-seed", s->rng_seed, sizeof s->rng_seed);
    rc = rc ? rc : fdt_setprop_u64(buf, at, "kaslr-seed", s->kaslr_seed);
    rc = rc || !s->screen || !s->screen->base ? rc : screen_describe(buf, s->screen);
    rc = rc ? rc : fdt_pack(buf);
    if (rc) {
        err_set(e, "device tree: %s", fdt_strerror(rc));
        free(buf);
        return NULL;
    }
    *len = fdt_totalsize(buf);
    return buf;
}

void *fdt_virt_build(const struct fdt_spec *spec, uint64_t *len, struct err *e)
{
    struct fdt_out f = {.spec = spec};

    if (spec->user)
        return user_tree(spec, len, e);
    f.buf = calloc(1, TREE_MAX);
    if (!f.buf) {
        err_set(e, "out of memory");
        return NULL;
    }
    tree(&f);
    if (!f.err && spec->screen && spec->screen->base) {
        check(&f, fdt_open_into(f.buf, f.buf, TREE_MAX));
        check(&f, f.err ? f.err : screen_describe(f.buf, spec->screen));
        check(&f, f.err ? f.err : fdt_pack(f.buf));
    }
    if (f.err) {
        err_set(e, "device tree: %s", fdt_strerror(f.err));
        free(f.buf);
        return NULL;
    }
    *len = fdt_totalsize(f.buf);
    return f.buf;
}
