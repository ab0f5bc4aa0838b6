/* PCI functions and the host bridge as a guest enumerates and uses them; numbers from the PCI 3.0 and PCIe specifications. */
#include <pthread.h>
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define ECAM UINT64_C(0x30000000)
#define MEM32 UINT64_C(0x40000000)
#define MEM64 UINT64_C(0x400000000)
#define PIO UINT64_C(0x3000000)
#define FN(slot, function) (ECAM + ((slot) << 15) + ((function) << 12))

/* A function with an I/O BAR, a 32-bit BAR (4 KiB, registers of 4 bytes) and a 64-bit one with MSI-X. */
struct toy {
    struct pci_device pci;
    uint32_t reg;
    unsigned reads, writes;
    gpa last;
};

static struct dev_bench bench;
static struct device *host;
static struct toy toy[3];
static struct dev_line line[4];
static struct err err;

static uint64_t toy_read(void *arg, gpa off, unsigned size)
{
    struct toy *t = arg;

    (void)size;
    t->reads++;
    t->last = off;
    return t->reg;
}

static void toy_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct toy *t = arg;

    (void)size;
    t->writes++;
    t->last = off;
    t->reg = (uint32_t)val;
}

static const struct mmio_ops toy_bar = {toy_read, toy_write, .min_size = 4, .max_size = 4, .split = true};

static void toy_reset(struct device *d) { pci_reset((struct pci_device *)d); }
static void toy_update(struct device *d) { pci_update((struct pci_device *)d); }

static const struct field toy_state[] = {PCI_FIELDS(struct toy, pci), FIELD(struct toy, reg), {0}};

static const struct device_ops toy_ops = {
    .name = "toy",
    .state = toy_state,
    .reset = toy_reset,
    .update = toy_update,
};

static void toy_make(struct toy *t, const char *name)
{
    static const struct pci_id id = {.vendor = 0x1af4, .device = 0x1042, .revision = 1, .class_code = 0x018000};

    *t = (struct toy){0};
    pci_init(&t->pci, &toy_ops, name, &bench.env, &id);
    CHECK(pci_set_bar(&t->pci, 0, PCI_BAR_IO, 32, &toy_bar, t, &err));
    CHECK(pci_set_bar(&t->pci, 1, PCI_BAR_MEM32, 0x1000, &toy_bar, t, &err));
    CHECK(pci_set_bar(&t->pci, 4, PCI_BAR_MEM64_PREFETCH, 0x4000, &toy_bar, t, &err));
    CHECK(pci_add_msix(&t->pci, 3, 4, 0x1000, 0x1800, &err));
    pci_use_intx(&t->pci);
}

static uint64_t rd(gpa a, unsigned size) { return dev_read(&bench, a, size); }
static void wr(gpa a, unsigned size, uint64_t v) { dev_write(&bench, a, size, v); }

static int setup(void **state)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {MEM32, 0x40000000}, .mem64 = {MEM64, 0x400000000}, .pio = {PIO, 0x10000}};

    (void)state;
    dev_bench_open(&bench);
    host = pci_host_new(&bench.env, "pcie", &c);
    CHECK(pci_host_map(host, &err));
    for (unsigned n = 0; n < 4; n++)
        dev_connect(pci_host_irq(host, n), &line[n]);
    for (unsigned n = 0; n < 3; n++)
        toy_make(&toy[n], "toy");
    CHECK(pci_add(host, &toy[0].pci, -1, &err));    /* slot 1 */
    CHECK(pci_add(host, &toy[1].pci, 5 * 8, &err)); /* slot 5 */
    CHECK(pci_add(host, &toy[2].pci, 5 * 8 + 3, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3; n++)
        pci_fini(&toy[n].pci);
    device_free(host);
    dev_bench_close(&bench);
    return 0;
}

static void functions_are_found_and_empty_slots_are_ones(void **state)
{
    (void)state;
    CHECK_EQ(rd(FN(0, 0), 4), 0x00081b36); /* the bridge */
    CHECK_EQ(rd(FN(0, 0) + 8, 4) >> 8, 0x060000);
    CHECK_EQ(rd(FN(1, 0), 4), 0x10421af4);
    CHECK_EQ(rd(FN(1, 0) + 2, 2), 0x1042);
    CHECK_EQ(rd(FN(1, 0) + 8, 4), 0x01800001);
    CHECK_EQ(rd(FN(2, 0), 4), 0xffffffff);
    CHECK_EQ(rd(FN(1, 1), 2), 0xffff);
    CHECK_EQ(rd(ECAM + 0x100000, 4), 0xffffffff); /* bus 1 */
    wr(ECAM + 0x100000, 4, 0);
    CHECK_EQ(rd(FN(1, 0) + 0x0e, 1), 0);
    CHECK_EQ(rd(FN(5, 0) + 0x0e, 1), 0x80); /* has other functions */
    CHECK_EQ(rd(FN(5, 3), 4), 0x10421af4);
    CHECK_EQ(rd(FN(1, 0) + 0x100, 4), 0); /* no extended capabilities */
    CHECK(!pci_add(host, &toy[0].pci, 8, &err));
    CHECK(!pci_add(host, &toy[0].pci, 256, &err));
}

static void bars_tell_their_sizes(void **state)
{
    gpa f = FN(1, 0);

    (void)state;
    for (unsigned n = 0; n < 6; n++)
        wr(f + 0x10 + 4 * n, 4, 0xffffffff);
    CHECK_EQ(rd(f + 0x10, 4), 0xffffffe1);
    CHECK_EQ(rd(f + 0x14, 4), 0xfffff000);
    CHECK_EQ(rd(f + 0x18, 4), 0);
    CHECK_EQ(rd(f + 0x20, 4), 0xffffc00c);
    CHECK_EQ(rd(f + 0x24, 4), 0xffffffff);
    wr(f, 4, 0);
    CHECK_EQ(rd(f, 4), 0x10421af4); /* read-only */
    wr(f + 0x3c, 1, 0x55);
    CHECK_EQ(rd(f + 0x3c, 2), 0x0155);
}

static void bars_answer_where_they_are_put(void **state)
{
    gpa f = FN(1, 0);

    (void)state;
    wr(f + 0x14, 4, MEM32 + 0x10000);
    CHECK_EQ(rd(MEM32 + 0x10000, 4), 0xffffffff); /* memory is off */
    wr(f + 4, 2, 2);
    wr(MEM32 + 0x10008, 4, 42);
    CHECK_EQ(toy[0].reg, 42);
    CHECK_EQ(toy[0].last, 8);
    CHECK_EQ(rd(MEM32 + 0x10ffc, 4), 42);
    CHECK_EQ(rd(MEM32 + 0x11000, 4), 0xffffffff);
    CHECK_EQ(rd(MEM32 + 0xfffc, 4), 0xffffffff);
    wr(f + 0x14, 4, MEM32 + 0x20000); /* moves */
    CHECK_EQ(rd(MEM32 + 0x10008, 4), 0xffffffff);
    CHECK_EQ(rd(MEM32 + 0x20008, 4), 42);
    wr(f + 0x14, 4, 0x80000000); /* RAM is no place for it */
    wr(DEV_RAM + 8, 4, 7);
    CHECK_EQ(toy[0].reg, 42);
    wr(f + 4, 2, 0);
    CHECK_EQ(rd(MEM32 + 0x20008, 4), 0xffffffff);
}

static void io_and_64_bit_bars_have_windows_of_their_own(void **state)
{
    gpa f = FN(1, 0);

    (void)state;
    wr(f + 4, 2, 3);
    wr(f + 0x10, 4, 0x1000);
    wr(PIO + 0x1004, 4, 1);
    CHECK_EQ(toy[0].reg, 1);
    wr(f + 0x20, 4, 0x8000);
    wr(f + 0x24, 4, 0x4);
    wr(MEM64 + 0x8000, 4, 2);
    CHECK_EQ(toy[0].reg, 2);
    wr(f + 0x24, 4, 0x7); /* 0x700000000 is still inside */
    CHECK_EQ(rd(UINT64_C(0x700008000), 4), 2);
    wr(f + 0x24, 4, 0x8);
    CHECK_EQ(rd(UINT64_C(0x700008000), 4), 0xffffffff);
    wr(f + 0x10, 4, 0xffe0);
    wr(PIO + 0xfffc, 4, 3);
    CHECK_EQ(toy[0].reg, 3);
    wr(f + 0x10, 4, 0); /* a port like any other here: EDK2 puts its first one there */
    wr(PIO + 4, 4, 4);
    CHECK_EQ(toy[0].reg, 4);
}

static void widths_are_fitted_to_the_device(void **state)
{
    (void)state;
    wr(FN(1, 0) + 0x14, 4, MEM32);
    wr(FN(1, 0) + 4, 2, 2);
    toy[0].reg = 0x11223344;
    CHECK_EQ(rd(MEM32 + 2, 1), 0x22);
    CHECK_EQ(rd(MEM32 + 2, 2), 0x1122);
    CHECK_EQ(rd(MEM32, 8), UINT64_C(0x1122334411223344));
    wr(MEM32 + 1, 1, 0xff);
    CHECK_EQ(toy[0].reg, 0x1122ff44);
    toy[0].writes = 0;
    wr(MEM32 + 8, 8, UINT64_C(0x0000000200000001));
    CHECK_EQ(toy[0].writes, 2);
    CHECK_EQ(toy[0].reg, 2);
}

static void a_hidden_bar_shows_when_the_other_moves(void **state)
{
    (void)state;
    wr(FN(1, 0) + 4, 2, 2);
    wr(FN(5, 0) + 4, 2, 2);
    wr(FN(1, 0) + 0x14, 4, MEM32);
    wr(FN(5, 0) + 0x14, 4, MEM32);
    wr(MEM32, 4, 1);
    CHECK_EQ(toy[0].writes, 1);
    CHECK_EQ(toy[1].writes, 0);
    wr(FN(1, 0) + 0x14, 4, MEM32 + 0x1000);
    wr(MEM32, 4, 2);
    CHECK_EQ(toy[1].writes, 1);
}

static void intx_is_swizzled_shared_and_masked(void **state)
{
    (void)state;
    pci_intx(&toy[0].pci, true); /* slot 1, pin A: line 1 */
    CHECK_EQ(line[1].level, 1);
    CHECK_EQ(rd(FN(1, 0) + 6, 2) & 8, 8);
    pci_intx(&toy[1].pci, true); /* slot 5: line 1 too */
    pci_intx(&toy[0].pci, false);
    CHECK_EQ(line[1].level, 1);
    CHECK_EQ(rd(FN(1, 0) + 6, 2) & 8, 0);
    wr(FN(5, 0) + 4, 2, 0x400); /* interrupt disable */
    CHECK_EQ(line[1].level, 0);
    CHECK_EQ(rd(FN(5, 0) + 6, 2) & 8, 8);
    wr(FN(5, 0) + 4, 2, 0);
    CHECK_EQ(line[1].level, 1);
    device_reset(&toy[1].pci.dev);
    CHECK_EQ(line[1].level, 0);
    CHECK_EQ(line[0].sets + line[2].sets + line[3].sets, 0);
}

static unsigned cap_find(gpa f, uint8_t id)
{
    unsigned at = rd(f + 6, 2) & 0x10 ? (unsigned)rd(f + 0x34, 1) : 0;

    for (unsigned n = 0; at && n < 48; n++, at = (unsigned)rd(f + at + 1, 1))
        if (rd(f + at, 1) == id)
            return at;
    return 0;
}

static uint32_t ram32(gpa a) { return ld32(bus_ram(bench.bus, a, 4)); }

static void msix_writes_its_messages(void **state)
{
    gpa f = FN(1, 0), table = MEM64 + 0x1000, pba = MEM64 + 0x1800;
    unsigned cap = cap_find(f, 0x11);

    (void)state;
    CHECK(cap);
    CHECK_EQ(rd(f + cap + 2, 2), 2); /* three vectors */
    CHECK_EQ(rd(f + cap + 4, 4), 0x1004);
    CHECK_EQ(rd(f + cap + 8, 4), 0x1804);
    wr(f + 0x24, 4, 4);
    wr(f + 4, 2, 6);
    CHECK_EQ(rd(table + 12, 4), 1); /* masked from reset on */
    wr(table + 16, 8, DEV_RAM + 0x100);
    wr(table + 24, 4, 0xcafe);
    CHECK_EQ(rd(table + 16, 8), DEV_RAM + 0x100);
    pci_msix_notify(&toy[0].pci, 1); /* MSI-X is off: nothing, not even pending */
    CHECK_EQ(rd(pba, 8), 0);
    pci_intx(&toy[0].pci, true);
    wr(f + cap + 3, 1, 0x80);
    CHECK_EQ(line[1].level, 0); /* no INTx while MSI-X is on */
    pci_msix_notify(&toy[0].pci, 1);
    CHECK_EQ(rd(pba, 8), 2);
    CHECK_EQ(ram32(DEV_RAM + 0x100), 0);
    wr(table + 28, 4, 0); /* unmask: it goes */
    CHECK_EQ(ram32(DEV_RAM + 0x100), 0xcafe);
    CHECK_EQ(rd(pba, 4), 0);
    wr(f + cap + 3, 1, 0xc0); /* the whole function masked */
    wr(table + 24, 4, 0xbeef);
    pci_msix_notify(&toy[0].pci, 1);
    CHECK_EQ(ram32(DEV_RAM + 0x100), 0xcafe);
    dev_check_save_restore(&toy[0].pci.dev);
    wr(f + cap + 3, 1, 0x80);
    CHECK_EQ(ram32(DEV_RAM + 0x100), 0xbeef);
    pci_msix_notify(&toy[0].pci, 3); /* no such vector */
    wr(table, 8, f);                 /* to registers: nothing takes it */
    wr(table + 12, 4, 0);
    pci_msix_notify(&toy[0].pci, 0);
    wr(pba, 4, 0xff); /* read-only */
    wr(table, 1, 0xff);
    CHECK_EQ(rd(pba, 4), 0);
    CHECK_EQ(rd(table, 1), 0);
    CHECK_EQ(toy[0].reads + toy[0].writes, 0); /* the BAR's own registers saw none of it */
}

static bool msi_taken(void *arg, gpa addr, uint32_t data)
{
    *(uint32_t *)arg = data;
    return addr == 0x28000000;
}

static void messages_go_to_the_interrupt_controller_first(void **state)
{
    uint32_t got = 0;

    (void)state;
    pci_host_on_msi(host, msi_taken, &got);
    CHECK(pci_host_send_msi(toy[0].pci.host, 0x28000000, 5));
    CHECK_EQ(got, 5);
    CHECK(pci_host_send_msi(toy[0].pci.host, DEV_RAM, 6));
    CHECK_EQ(ram32(DEV_RAM), 6);
    CHECK(!pci_host_send_msi(toy[0].pci.host, DEV_RAM + 2, 6));
    CHECK(!pci_host_send_msi(toy[0].pci.host, 0x1000, 6));
}

static void reset_and_restore_put_bars_back(void **state)
{
    gpa f = FN(1, 0);

    (void)state;
    wr(f + 0x14, 4, MEM32);
    wr(f + 4, 2, 2);
    wr(MEM32, 4, 9);
    dev_check_save_restore(&toy[0].pci.dev);
    CHECK_EQ(rd(MEM32, 4), 9);
    device_reset(&toy[0].pci.dev);
    CHECK_EQ(rd(f + 0x14, 4), 0);
    CHECK_EQ(rd(MEM32, 4), 0xffffffff);
    dev_check_save_restore(host);
}

static void a_snapshot_cannot_change_what_the_guest_cannot(void **state)
{
    static uint8_t junk[8192];

    (void)state;
    memset(junk, 0xff, sizeof junk);
    CHECK(device_state_size(&toy[0].pci.dev) <= sizeof junk);
    CHECK(device_restore(&toy[0].pci.dev, junk, device_state_size(&toy[0].pci.dev), &err));
    CHECK_EQ(rd(FN(1, 0), 4), 0x10421af4);
    CHECK_EQ(rd(FN(1, 0) + 0x14, 4), 0xfffff000);
}

/* One vCPU moves a BAR while another uses it: each access finds the registers or nobody. */
static void *use_both_places(void *arg)
{
    unsigned *wrong = arg;

    for (unsigned i = 0; i < 4000; i++) {
        uint64_t v;

        if (!bus_read(bench.bus, MEM32 + (i & 1) * 0x1000 + 8, 4, &v) || (v != 42 && v != 0xffffffff))
            ++*wrong;
    }
    return NULL;
}

static void a_bar_moves_while_others_use_it(void **state)
{
    pthread_t t;
    unsigned wrong = 0;

    (void)state;
    toy[0].reg = 42;
    wr(FN(1, 0) + 4, 2, 2);
    CHECK_EQ(pthread_create(&t, NULL, use_both_places, &wrong), 0);
    for (unsigned i = 0; i < 4000; i++)
        wr(FN(1, 0) + 0x14, 4, MEM32 + (i & 1) * 0x1000);
    pthread_join(t, NULL);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(rd(MEM32 + 0x1008, 4), 42);
}

/* --- a BAR of RAM --- */

static struct toy video;
static const struct region *vram;
static struct pci_window remap[8];
static unsigned remaps;

static void note_remap(void *arg, gpa base, uint64_t size)
{
    (void)arg;
    if (remaps < 8)
        remap[remaps] = (struct pci_window){base, size};
    remaps++;
}

static void video_add(void)
{
    static const struct pci_id id = {.vendor = 0x1234, .device = 0x1111, .class_code = 0x038000};

    video = (struct toy){0};
    pci_init(&video.pci, &toy_ops, "video", &bench.env, &id);
    vram = bus_make_ram(bench.bus, "video", 0x10000, &err);
    CHECK(vram != NULL);
    CHECK(pci_set_ram_bar(&video.pci, 0, PCI_BAR_MEM32_PREFETCH, vram, &err));
    CHECK(pci_add(host, &video.pci, 7 * 8, &err));
    remaps = 0;
    bus_on_remap(bench.bus, note_remap, NULL);
}

static void video_place(gpa at, unsigned command)
{
    wr(FN(7, 0) + 0x10, 4, at);
    wr(FN(7, 0) + 4, 2, command);
}

static void a_bar_of_ram_is_memory_where_it_lies(void **state)
{
    (void)state;
    video_add();
    wr(FN(7, 0) + 0x10, 4, 0xffffffff);
    CHECK_EQ(rd(FN(7, 0) + 0x10, 4), 0xffff0008); /* prefetchable */
    CHECK(!bus_ram(bench.bus, MEM32 + 0x40000, 1));
    video_place(MEM32 + 0x40000, 2);
    CHECK(bus_ram(bench.bus, MEM32 + 0x40000, 0x10000) == vram->host);
    CHECK(!bus_ram(bench.bus, MEM32 + 0x40000, 0x10001));
    CHECK(!bus_ram(bench.bus, MEM32 + 0x3ffff, 1));
    wr(MEM32 + 0x40010, 8, UINT64_C(0x1122334455667788));
    CHECK_EQ(rd(MEM32 + 0x40014, 2), 0x3344);
    CHECK_EQ(ld32(vram->host + 0x10), 0x55667788);
    CHECK(dma_write(bench.bus, MEM32 + 0x41003, "xyz", 3));
    CHECK_EQ(vram->host[0x1004], 'y');
    CHECK(vram->page_flags[1] & PAGE_TOUCHED);
    pci_fini(&video.pci);
}

static void a_bar_of_ram_moves_with_its_bytes(void **state)
{
    (void)state;
    video_add();
    video_place(MEM32 + 0x40000, 2);
    wr(MEM32 + 0x40000, 4, 77);
    remaps = 0;
    wr(FN(7, 0) + 0x10, 4, MEM32 + 0x80000);
    CHECK_EQ(remaps, 2); /* vCPUs forget both places */
    CHECK_EQ(remap[0].base, MEM32 + 0x40000);
    CHECK_EQ(remap[1].base, MEM32 + 0x80000);
    CHECK_EQ(remap[1].size, 0x10000);
    CHECK_EQ(rd(MEM32 + 0x40000, 4), 0xffffffff);
    CHECK_EQ(rd(MEM32 + 0x80000, 4), 77);
    wr(FN(7, 0) + 4, 2, 0);
    CHECK_EQ(remaps, 3);
    CHECK_EQ(rd(MEM32 + 0x80000, 4), 0xffffffff);
    CHECK(!bus_ram(bench.bus, MEM32 + 0x80000, 1));
    wr(FN(7, 0) + 4, 2, 2);
    CHECK_EQ(rd(MEM32 + 0x80000, 4), 77);
    remaps = 0;
    wr(FN(7, 0) + 4, 2, 6); /* bus master: nothing moved */
    CHECK_EQ(remaps, 0);
    device_reset(&video.pci.dev);
    CHECK_EQ(remaps, 1);
    CHECK(!bus_ram(bench.bus, MEM32 + 0x80000, 1));
    pci_fini(&video.pci);
}

static void a_region_once_found_stays_as_it_was(void **state)
{
    const struct region *first;

    (void)state;
    video_add();
    video_place(MEM32, 2);
    first = bus_find(bench.bus, MEM32 + 5);
    video_place(MEM32 + 0x80000, 2);
    CHECK_EQ(first->base, MEM32);
    CHECK(first->host == vram->host);
    video_place(MEM32, 2);
    CHECK(bus_find(bench.bus, MEM32) == first);
    pci_fini(&video.pci);
}

static void a_bar_of_ram_that_moves_for_ever_still_answers(void **state)
{
    gpa at = MEM32;

    (void)state;
    video_add();
    for (unsigned i = 0; i < 3 * PCI_RAM_PLACES; i++) {
        at = MEM32 + i * UINT64_C(0x10000);
        video_place(at, 2);
        wr(at + 0x8000, 4, i);
        CHECK_EQ(ld32(vram->host + 0x8000), i);
        CHECK_EQ(rd(at + 0x8000, 1), i & 0xff);
    }
    CHECK(!bus_ram(bench.bus, at, 1));
    CHECK(!dev_refused(&bench, at + 0xfff8, 8));
    video_place(MEM32, 2);
    CHECK(bus_ram(bench.bus, MEM32, 1) == vram->host);
    pci_fini(&video.pci);
}

static void set_up_mistakes_are_told(void **state)
{
    struct toy t;

    (void)state;
    toy_make(&t, "t");
    CHECK(!pci_set_bar(&t.pci, 1, PCI_BAR_MEM32, 0x1000, &toy_bar, &t, &err));
    CHECK(!pci_set_bar(&t.pci, 2, PCI_BAR_MEM32, 0x1001, &toy_bar, &t, &err));
    CHECK(!pci_set_bar(&t.pci, 3, PCI_BAR_MEM64, 0x1000, &toy_bar, &t, &err));
    CHECK(!pci_set_bar(&t.pci, 6, PCI_BAR_MEM32, 0x1000, &toy_bar, &t, &err));
    CHECK(!pci_add_msix(&t.pci, 129, 4, 0, 0x1800, &err));
    CHECK(!pci_add_msix(&t.pci, 3, 2, 0, 0x1800, &err));
    CHECK(!pci_add_msix(&t.pci, 3, 1, 0xff0, 0, &err));
    while (pci_add_cap(&t.pci, PCI_CAP_VENDOR, 20))
        ;
    CHECK(!pci_add_msix(&t.pci, 3, 1, 0, 0x800, &err));
    pci_fini(&t.pci);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(functions_are_found_and_empty_slots_are_ones),
        TEST(bars_tell_their_sizes),
        TEST(bars_answer_where_they_are_put),
        TEST(io_and_64_bit_bars_have_windows_of_their_own),
        TEST(widths_are_fitted_to_the_device),
        TEST(a_hidden_bar_shows_when_the_other_moves),
        TEST(intx_is_swizzled_shared_and_masked),
        TEST(msix_writes_its_messages),
        TEST(messages_go_to_the_interrupt_controller_first),
        TEST(reset_and_restore_put_bars_back),
        TEST(a_snapshot_cannot_change_what_the_guest_cannot),
        TEST(a_bar_moves_while_others_use_it),
        TEST(a_bar_of_ram_is_memory_where_it_lies),
        TEST(a_bar_of_ram_moves_with_its_bytes),
        TEST(a_region_once_found_stays_as_it_was),
        TEST(a_bar_of_ram_that_moves_for_ever_still_answers),
        TEST(set_up_mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
