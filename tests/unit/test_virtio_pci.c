/* The PCI transport: identity, capabilities found as a driver finds them, queues, MSI-X, INTx, the legacy I/O BAR. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "devices/virtio_console.h"
#include "devices/virtio_pci.h"
#include "devices/virtio_rng.h"
#include "tests/unit/virtio_guest.h"

#define ECAM UINT64_C(0x30000000)
#define MEM32 UINT64_C(0x40000000)
#define MEM64 UINT64_C(0x400000000)
#define PIO UINT64_C(0x03000000)
enum { CFG = 1 << 15 /* slot 1 */, MSIX_BAR = 0x40000000, IO_PORT = 0x1000 };

static struct vg g;
static struct device *host;
static struct pci_device *fn;
static struct virtio_dev *v;
static struct vg_queue q;
static bool line[4];
static gpa msi_addr;
static uint32_t msi_data;
static unsigned msis;
static uint32_t common, isr, notify, notify_step; /* offsets in BAR 4 */
static unsigned window;

static void on_line(void *arg, unsigned n, bool level)
{
    (void)arg;
    line[n] = level;
}

static bool on_msi(void *arg, gpa addr, uint32_t data)
{
    (void)arg;
    msi_addr = addr;
    msi_data = data;
    msis++;
    return true;
}

static uint64_t rd(gpa addr, unsigned size)
{
    uint64_t val;

    CHECK(bus_read(g.env.bus, addr, size, &val));
    return val;
}

static void wr(gpa addr, uint64_t val, unsigned size) { CHECK(bus_write(g.env.bus, addr, size, val)); }

static uint32_t cfg(unsigned off, unsigned size) { return (uint32_t)rd(ECAM + CFG + off, size); }
static void cfg_wr(unsigned off, uint32_t val, unsigned size) { wr(ECAM + CFG + off, val, size); }
static uint32_t com(unsigned off, unsigned size) { return (uint32_t)rd(MEM64 + common + off, size); }
static void com_wr(unsigned off, uint32_t val, unsigned size) { wr(MEM64 + common + off, val, size); }

/* Walk the capability list and place the BARs, as a driver does. */
static void discover(void)
{
    for (unsigned at = cfg(0x34, 1); at; at = cfg(at + 1, 1)) {
        if (cfg(at, 1) != 9)
            continue;
        if (cfg(at + 3, 1) == 5) {
            window = at;
            continue;
        }
        CHECK_EQ(cfg(at + 4, 1), 4);
        switch (cfg(at + 3, 1)) {
        case 1:
            common = cfg(at + 8, 4);
            CHECK(cfg(at + 12, 4) >= 0x38);
            break;
        case 2:
            notify = cfg(at + 8, 4);
            notify_step = cfg(at + 16, 4);
            break;
        case 3: isr = cfg(at + 8, 4); break;
        case 4: break;
        default: fail_msg("unknown capability");
        }
    }
    cfg_wr(0x10, IO_PORT, 4);
    cfg_wr(0x14, MSIX_BAR, 4);
    cfg_wr(0x20, (uint32_t)MEM64, 4);
    cfg_wr(0x24, (uint32_t)(MEM64 >> 32), 4);
    cfg_wr(0x04, 7, 2);
}

static void begin(struct virtio_pci_options o)
{
    struct pci_host_config c = {ECAM, {MEM32, 0x40000000}, {MEM64, UINT64_C(0x400000000)}, {PIO, 0x10000}};
    struct err e = {""};

    vg_init(&g, false);
    memset(line, 0, sizeof line);
    msis = 0;
    host = pci_host_new(&g.env, "pcie0", &c);
    CHECK(pci_host_map(host, &e));
    for (unsigned i = 0; i < 4; i++)
        *pci_host_irq(host, i) = (struct irq){on_line, NULL, i, false};
    pci_host_on_msi(host, on_msi, NULL);
    v = virtio_rng_new(&g.env, "rng0", &(struct virtio_rng_options){0}, &e);
    fn = virtio_pci_new(&g.env, "rng0-pci", v, &o, &e);
    if (!fn || !pci_add(host, fn, 8, &e))
        fail_msg("%s", e.msg);
    device_reset(&fn->dev);
    discover();
}

static void end(void)
{
    device_free(&v->dev);
    device_free(&fn->dev);
    device_free(host);
    vg_fini(&g);
}

static bool any_line(void) { return line[0] || line[1] || line[2] || line[3]; }

static void modern_start(void)
{
    com_wr(0x14, 0, 1);
    com_wr(0x14, 3, 1);
    com_wr(0x08, 0, 4);
    com_wr(0x0c, 0, 4);
    com_wr(0x08, 1, 4);
    com_wr(0x0c, 1, 4);
    com_wr(0x14, 11, 1);
    CHECK_EQ(com(0x14, 1), 11);
    vg_queue_init(&g, &q, 0, 8);
    com_wr(0x16, 0, 2);
    CHECK_EQ(com(0x18, 2), 8);
    com_wr(0x18, 8, 2);
    const gpa addr[] = {q.desc, q.driver, q.device};
    for (unsigned i = 0; i < 3; i++) {
        com_wr(0x20 + 8 * i, (uint32_t)addr[i], 4);
        com_wr(0x24 + 8 * i, (uint32_t)(addr[i] >> 32), 4);
        CHECK_EQ(com(0x20 + 8 * i, 4), addr[i]);
    }
    com_wr(0x1c, 1, 2);
    CHECK_EQ(com(0x1c, 2), 1);
    com_wr(0x14, 15, 1);
}

static void ask(void)
{
    struct vg_buf b = {vg_alloc(&g, 32, 8), 32, true};

    vg_add(&q, &b, 1, false);
}

static bool answered(void)
{
    unsigned id;
    uint32_t len;

    return vg_used(&q, &id, &len) && len == 32;
}

static void transitional_and_modern_identity(void **state)
{
    (void)state;
    begin((struct virtio_pci_options){0});
    CHECK_EQ(cfg(0, 4), 0x10051af4);
    CHECK_EQ(cfg(0x2e, 2), 4); /* subsystem: the virtio id */
    CHECK_EQ(cfg(8, 1), 0);
    CHECK_EQ(cfg(0x10, 4) & 1, 1);
    CHECK_EQ(cfg(0x3d, 1), 1);
    end();
    begin((struct virtio_pci_options){.modern_only = true});
    CHECK_EQ(cfg(0, 4), 0x10441af4);
    CHECK(cfg(8, 1) >= 1);
    CHECK_EQ(cfg(0x10, 4), 0); /* no I/O BAR */
    end();
}

static void modern_queue_with_intx(void **state)
{
    (void)state;
    begin((struct virtio_pci_options){0});
    CHECK_EQ(com(0x12, 2), 1);
    modern_start();
    ask();
    wr(MEM64 + notify + com(0x1e, 2) * notify_step, 0, 2);
    CHECK(answered());
    CHECK(any_line());
    CHECK(cfg(6, 2) & 8); /* interrupt status */
    CHECK_EQ(rd(MEM64 + isr, 1), 1);
    CHECK(!any_line());
    CHECK_EQ(rd(MEM64 + isr, 1), 0);
    com_wr(0x16, 1, 2); /* no such queue */
    CHECK_EQ(com(0x18, 2), 0);
    com_wr(0x1c, 1, 2);
    CHECK_EQ(com(0x1c, 2), 0);
    CHECK_EQ(com(0x14, 1), 15);
    com_wr(0x14, 0, 1);
    CHECK_EQ(com(0x14, 1), 0);
    end();
}

static void queue_interrupt_by_msix(void **state)
{
    unsigned msix = 0;

    (void)state;
    begin((struct virtio_pci_options){0});
    for (unsigned at = cfg(0x34, 1); at; at = cfg(at + 1, 1))
        if (cfg(at, 1) == 0x11)
            msix = at;
    CHECK(msix);
    CHECK_EQ((cfg(msix + 2, 2) & 0x7ff) + 1, 2); /* a queue and the configuration */
    cfg_wr(msix + 2, 0x8000, 2);
    wr(MEM32 + 16, 0x12345000, 4);
    wr(MEM32 + 20, 0, 4);
    wr(MEM32 + 24, 77, 4);
    wr(MEM32 + 28, 0, 4);
    modern_start();
    com_wr(0x1a, 5, 2); /* no such vector */
    CHECK_EQ(com(0x1a, 2), 0xffff);
    com_wr(0x1a, 1, 2);
    CHECK_EQ(com(0x1a, 2), 1);
    com_wr(0x10, 0, 2);
    CHECK_EQ(com(0x10, 2), 0);
    ask();
    wr(MEM64 + notify, 0, 2);
    CHECK(answered());
    CHECK_EQ(msis, 1);
    CHECK_EQ(msi_addr, 0x12345000);
    CHECK_EQ(msi_data, 77);
    CHECK(!any_line());
    wr(MEM32 + 28, 1, 4); /* masked: pending, sent when unmasked */
    ask();
    wr(MEM64 + notify, 0, 2);
    CHECK(answered());
    CHECK_EQ(msis, 1);
    wr(MEM32 + 28, 0, 4);
    CHECK_EQ(msis, 2);
    end();
    begin((struct virtio_pci_options){.no_msix = true});
    for (unsigned at = cfg(0x34, 1); at; at = cfg(at + 1, 1))
        CHECK(cfg(at, 1) != 0x11);
    end();
}

static void legacy_io_registers(void **state)
{
    gpa io = PIO + IO_PORT;

    (void)state;
    begin((struct virtio_pci_options){0});
    CHECK_EQ(rd(io + 0, 4) & 7u << 27, 7u << 27);
    wr(io + 18, 3, 1);
    wr(io + 4, 0, 4);
    wr(io + 14, 0, 2);
    CHECK_EQ(rd(io + 12, 2), 8);
    CHECK_EQ(rd(io + 8, 4), 0);
    g.legacy = true;
    vg_queue_init(&g, &q, 0, 8);
    wr(io + 8, q.desc / 4096, 4);
    CHECK_EQ(rd(io + 8, 4), q.desc / 4096);
    wr(io + 18, 7, 1);
    ask();
    wr(io + 16, 0, 2);
    CHECK(answered());
    CHECK(any_line());
    CHECK_EQ(rd(io + 19, 1), 1);
    CHECK(!any_line());
    wr(io + 18, 0, 1);
    CHECK_EQ(rd(io + 8, 4), 0);
    end();
}

static void configuration_access_reaches_the_bars(void **state)
{
    (void)state;
    begin((struct virtio_pci_options){0});
    cfg_wr(0x04, 0, 2); /* memory decoding off: that is what this window is for */
    cfg_wr(window + 4, 4, 1);
    cfg_wr(window + 8, common + 0x12, 4);
    cfg_wr(window + 12, 2, 4);
    CHECK_EQ(cfg(window + 16, 2), 1); /* num_queues */
    cfg_wr(window + 8, common + 0x14, 4);
    cfg_wr(window + 12, 1, 4);
    cfg_wr(window + 16, 3, 1);
    CHECK_EQ(v->status, 3);
    CHECK_EQ(cfg(window + 16, 1), 3);
    static const uint32_t bad[][3] = {{4, 1, 2}, {4, 0x4000, 4}, {4, 0xfffffffc, 4}, {9, 0, 4},         {4, 0, 3},
                                      {4, 0, 0}, {1, 0, 4},      {2, 0, 4},          {4, 0, 0xffffffff}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) { /* nothing to see, and no harm */
        cfg_wr(window + 4, bad[i][0], 1);
        cfg_wr(window + 8, bad[i][1], 4);
        cfg_wr(window + 12, bad[i][2], 4);
        cfg_wr(window + 16, 0xffffffff, 4);
        cfg(window + 16, 4);
    }
    CHECK_EQ(v->status, 3);
    end();
}

static void no_dma_without_bus_mastering(void **state)
{
    (void)state;
    begin((struct virtio_pci_options){0});
    modern_start();
    cfg_wr(0x04, 3, 2);
    ask();
    wr(MEM64 + notify, 0, 2);
    CHECK(!answered());
    cfg_wr(0x04, 7, 2);
    wr(MEM64 + notify, 0, 2);
    CHECK(answered());
    end();
}

static void reset_and_wild_accesses(void **state)
{
    uint64_t val;

    (void)state;
    begin((struct virtio_pci_options){0});
    modern_start();
    for (gpa off = 0; off < 0x4000; off += 2)
        for (unsigned size = 1; size <= 8; size *= 2) {
            if (off % size)
                continue;
            bus_read(g.env.bus, MEM64 + off, size, &val);
            bus_write(g.env.bus, MEM64 + off, size, 0xffffffffffffffff);
        }
    for (gpa off = 0; off < 128; off++)
        bus_write(g.env.bus, PIO + IO_PORT + off, 1, 0xff);
    device_reset(&fn->dev);
    CHECK_EQ(v->status, 0);
    CHECK_EQ(cfg(4, 2), 0);
    discover();
    modern_start();
    ask();
    wr(MEM64 + notify, 0, 2);
    CHECK(answered());
    end();
}

static void save_and_restore(void **state)
{
    size_t nf, nv;
    void *sf, *sv;
    struct err e;

    (void)state;
    begin((struct virtio_pci_options){0});
    modern_start();
    nf = device_state_size(&fn->dev);
    nv = device_state_size(&v->dev);
    sf = malloc(nf);
    sv = malloc(nv);
    device_save(&fn->dev, sf);
    device_save(&v->dev, sv);
    device_reset(&fn->dev);
    CHECK(device_restore(&fn->dev, sf, nf, &e));
    CHECK(device_restore(&v->dev, sv, nv, &e));
    ask();
    wr(MEM64 + notify, 0, 2);
    CHECK(answered());
    CHECK(any_line());
    free(sf);
    free(sv);
    end();
}

static void too_many_vectors_are_refused(void **state)
{
    struct virtio_dev *w;
    struct err e;

    (void)state;
    begin((struct virtio_pci_options){0});
    w = virtio_rng_new(&g.env, "rng1", &(struct virtio_rng_options){0}, &e);
    CHECK(!virtio_pci_new(&g.env, "p", w, &(struct virtio_pci_options){.vectors = 129}, &e));
    CHECK(!virtio_pci_new(&g.env, "p", v, &(struct virtio_pci_options){0}, &e)); /* plugged already */
    device_free(&w->dev);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transitional_and_modern_identity),
        cmocka_unit_test(modern_queue_with_intx),
        cmocka_unit_test(queue_interrupt_by_msix),
        cmocka_unit_test(legacy_io_registers),
        cmocka_unit_test(configuration_access_reaches_the_bars),
        cmocka_unit_test(no_dma_without_bus_mastering),
        cmocka_unit_test(reset_and_wild_accesses),
        cmocka_unit_test(save_and_restore),
        cmocka_unit_test(too_many_vectors_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
