/* The board: every fixed device of board_virt.def, on the bus and wired to its interrupt. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/aclint.h"
#include "devices/fw_cfg.h"
#include "devices/goldfish_rtc.h"
#include "devices/htif.h"
#include "devices/pci_host.h"
#include "devices/pflash_cfi01.h"
#include "devices/plic.h"
#include "devices/test_finisher.h"
#include "devices/uart16550.h"
#include "devices/virtio_mmio.h"
#include "frontend/board_virt.h"
#include "frontend/machine_parts.h"

enum { FWCFG_FILE_MAX = 64 << 20 };

const char *machine_device_name(struct machine *m, const char *fmt, ...)
{
    char *name = m->names[m->device_count % DEVICES_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, NAME_LEN, fmt, ap);
    va_end(ap);
    return name;
}

bool machine_adopt(struct machine *m, struct device *d, struct err *e)
{
    if (!d)
        return err_set(e, "out of memory");
    if (m->device_count == DEVICES_MAX - 1) {
        device_free(d);
        return err_set(e, "more than %d devices", DEVICES_MAX - 1);
    }
    m->device_count++;
    d->next = m->devices;
    m->devices = d;
    return true;
}

static void hart_line(void *arg, unsigned n, bool level) { rv_irq_set(arg, n, level); }

static void connect_hart(struct irq *i, struct rv *c, unsigned line)
{
    *i = (struct irq){.set = hart_line, .arg = c, .n = line, .level = i->level};
}

static void time_changed(void *arg)
{
    struct machine *m = arg;

    for (unsigned i = 0; i < m->harts; i++)
        rv_time_set(m->hart[i].c, aclint_time(m->aclint));
}

static bool interrupts(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);

    m->plic = plic_new(&env, machine_device_name(m, "plic"), m->harts);
    if (!machine_adopt(m, m->plic, e) || !device_map(m->plic, board_virt[BOARD_PLIC].base, e))
        return false;
    m->aclint = aclint_new(&env, machine_device_name(m, "clint"), m->harts);
    if (!machine_adopt(m, m->aclint, e) || !device_map(m->aclint, board_virt[BOARD_CLINT].base, e))
        return false;
    aclint_on_time_change(m->aclint, time_changed, m);
    for (unsigned i = 0; i < m->harts; i++) {
        struct rv *c = m->hart[i].c;

        connect_hart(plic_irq(m->plic, i, false), c, IRQ_MEI);
        connect_hart(plic_irq(m->plic, i, true), c, IRQ_SEI);
        connect_hart(aclint_irq(m->aclint, ACLINT_MSI, i), c, IRQ_MSI);
        connect_hart(aclint_irq(m->aclint, ACLINT_MTI, i), c, IRQ_MTI);
    }
    if (!m->config->aclint)
        return true;
    m->sswi = aclint_sswi_new(&env, machine_device_name(m, "aclint-sswi"), m->harts);
    if (!machine_adopt(m, m->sswi, e) || !device_map(m->sswi, board_virt[BOARD_SSWI].base, e))
        return false;
    for (unsigned i = 0; i < m->harts; i++)
        connect_hart(aclint_sswi_irq(m->sswi, i), m->hart[i].c, IRQ_SSI);
    return true;
}

static bool wired(struct machine *m, struct device *d, enum board_id row, struct err *e)
{
    if (!machine_adopt(m, d, e) || !device_map(d, board_virt[row].base, e))
        return false;
    if (board_virt[row].irq)
        d->irq = plic_input(m->plic, board_virt[row].irq);
    return true;
}

/* A finisher's word: power off with 0, fail with a code, reset. */
static void finish(void *arg, enum finish what, unsigned code)
{
    struct machine *m = arg;

    machine_request(m, what == FINISH_RESET ? MACHINE_RESET : MACHINE_POWEROFF,
                    what == FINISH_FAIL ? (int)(code & 0xff) : 0);
}

static bool flash(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);

    for (unsigned u = 0; u < 2; u++) {
        const char *id = m->config->pflash[u];
        struct block *backing = NULL;
        bool read_only = false;

        for (unsigned i = 0; id && i < m->config->drives; i++) {
            if (m->config->drive[i].id && !strcmp(m->config->drive[i].id, id)) {
                backing = m->block[i];
                read_only = m->config->drive[i].read_only;
            }
        }
        m->flash[u] = pflash_new(&env, machine_device_name(m, "flash%u", u), backing, read_only, e);
        if (!m->flash[u])
            return err_prefix(e, "pflash%u", u);
        if (!machine_adopt(m, m->flash[u], e) || !device_map(m->flash[u], board_virt[BOARD_FLASH0 + u].base, e))
            return false;
    }
    return true;
}

static bool fw_cfg_file(struct machine *m, const struct fwcfg_config *f, struct err *e)
{
    struct fw_cfg_item item = {.name = f->name};
    uint64_t len;
    void *data;
    bool ok;

    if (f->string)
        return fw_cfg_add_string(m->fw_cfg, f->name, f->string, e);
    data = file_read_all(f->file, FWCFG_FILE_MAX, &len, e);
    item.data = data;
    item.len = (uint32_t)len;
    ok = data && fw_cfg_add(m->fw_cfg, &item, e);
    free(data);
    return ok;
}

static bool fw_cfg(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);

    m->fw_cfg = fw_cfg_new(&env, machine_device_name(m, "fw-cfg"));
    if (!wired(m, m->fw_cfg, BOARD_FW_CFG, e) || !fw_cfg_add_u16(m->fw_cfg, FW_CFG_NB_CPUS, (uint16_t)m->harts, e) ||
        !fw_cfg_add_u16(m->fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)m->harts, e) ||
        !fw_cfg_add_u64(m->fw_cfg, FW_CFG_RAM_SIZE, m->config->ram, e) ||
        !fw_cfg_add_u16(m->fw_cfg, FW_CFG_NOGRAPHIC, 1, e))
        return false;
    for (unsigned i = 0; i < m->config->fwcfgs; i++)
        if (!fw_cfg_file(m, &m->config->fwcfg[i], e))
            return err_prefix(e, "-fw_cfg %s", m->config->fwcfg[i].name);
    return machine_tell_firmware(m, e);
}

static bool pci(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);
    struct pci_host_config c = {
        .ecam = board_virt[BOARD_PCIE_ECAM].base,
        .mem32 = {board_virt[BOARD_PCIE_MEM].base, board_virt[BOARD_PCIE_MEM].size},
        .mem64 = {board_pcie_mem64(m->config->ram), BOARD_PCIE_MEM64_SIZE},
        .pio = {board_virt[BOARD_PCIE_PIO].base, board_virt[BOARD_PCIE_PIO].size},
    };

    m->pci = pci_host_new(&env, machine_device_name(m, "pcie.0"), &c);
    if (!machine_adopt(m, m->pci, e) || !pci_host_map(m->pci, e))
        return false;
    for (unsigned i = 0; i < PCI_LINES; i++)
        *pci_host_irq(m->pci, i) = plic_input(m->plic, board_virt[BOARD_PCIE_ECAM].irq + i);
    return true;
}

static bool virtio_slots(struct machine *m, struct err *e)
{
    const struct board_row *row = &board_virt[BOARD_VIRTIO];
    struct device_env env = machine_env(m);

    for (unsigned i = 0; i < BOARD_VIRTIO_SLOTS; i++) {
        m->slot[i] =
            virtio_mmio_new(&env, machine_device_name(m, "virtio-mmio-bus.%u", i), !m->config->virtio_mmio_modern);
        if (!machine_adopt(m, m->slot[i], e) || !device_map(m->slot[i], row->base + i * row->size, e))
            return false;
        m->slot[i]->irq = plic_input(m->plic, row->irq + i);
    }
    return true;
}

bool machine_build_board(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);

    return interrupts(m, e) &&
           wired(m, test_finisher_new(&env, machine_device_name(m, "test"), finish, m), BOARD_TEST, e) &&
           wired(m, goldfish_rtc_new(&env, machine_device_name(m, "rtc")), BOARD_RTC, e) &&
           wired(m, uart16550_new(&env, machine_device_name(m, "serial0"), m->serial), BOARD_UART0, e) &&
           virtio_slots(m, e) && fw_cfg(m, e) && flash(m, e) && pci(m, e);
}

static void htif_exit(void *arg, uint64_t code) { machine_request(arg, MACHINE_POWEROFF, (int)(code & 0xff)); }

/* HTIF's console shares the serial port's stream, for output. */
static size_t forward_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct machine *m = CONTAINER_OF(c, struct machine, htif_console);

    return m->serial->write(m->serial, buf, len);
}

static void forward_nothing(struct chardev *c) { (void)c; }

/* Test programs name their words by symbol; known once the program is loaded. */
bool machine_build_htif(struct machine *m, struct err *e)
{
    struct device_env env = machine_env(m);
    struct htif_config c = {
        .tohost = m->boot.program.tohost, .fromhost = m->boot.program.fromhost, .exit = htif_exit, .arg = m};

    if (!c.tohost)
        return true;
    m->htif_console = (struct chardev){.write = forward_write, .drained = forward_nothing};
    c.console = &m->htif_console;
    m->htif = htif_new(&env, machine_device_name(m, "htif"), &c);
    return machine_adopt(m, m->htif, e);
}
