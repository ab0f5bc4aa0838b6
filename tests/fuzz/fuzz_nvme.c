/*
 * Fuzz target: an NVMe controller with two namespaces. Commands are made of likely fields and of any; queues, registers,
 * resets and restores come between them, and requests are on worker threads meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/nvme.h"
#include "devices/pci_host.h"
#include "images/block.h"
#include "tests/fuzz/machine.h"

#define ECAM UINT64_C(0x30000000)
#define BAR UINT64_C(0x40000000)

enum { QUEUES = 4, SIZE = 8, DISK = 256 << 10, RING = 0x1000, LIST = 0x9000, DATA = 0xb000, DATA_PAGES = 5 };

static struct block *disk(bool snapshot)
{
    struct block_options o = {.format = "raw", .snapshot = snapshot, .workers = 2};
    struct block *b;
    char path[64];
    struct err e;
    int fd = memfd_create("disk", 0);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    o.path = path;
    if (fd < 0 || ftruncate(fd, DISK) < 0 || !(b = block_open(&o, &e)))
        abort();
    close(fd);
    return b;
}

/* One machine for all inputs; each begins with a reset. Only tests may have such a thing in the file's scope. */
static struct fuzz_machine m;
static struct device *host;
static struct pci_device *fn;
static struct block *disks[2];
static uint32_t tail[QUEUES];

static void wr(gpa off, uint32_t val) { bus_write(m.bus, BAR + off, 4, val); }

static void make(void)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {BAR, 0x40000000}, .mem64 = {0x400000000, 0x400000000}, .pio = {0x3000000, 0x10000}};
    static const struct nvme_options o = {.serial = "fuzz", .queues = QUEUES - 1, .queue_entries = 16, .mdts = 3};
    struct err e;

    fuzz_machine_open(&m);
    disks[0] = disk(false);
    disks[1] = disk(true);
    host = pci_host_new(&m.env, "pcie", &c);
    fn = nvme_new(&m.env, "nvme", &o, &e);
    if (!host || !pci_host_map(host, &e) || !fn || !nvme_add_namespace(fn, disks[0], 1, 512, &e) ||
        !nvme_add_namespace(fn, disks[1], 2, 4096, &e) || !pci_add(host, fn, 8, &e))
        abort();
}

/* In pages of their own: the controller wants them there. */
static gpa ring_of(unsigned q, bool completion) { return FUZZ_RAM + RING * (1 + 2 * q + completion); }

static void enable(void)
{
    bus_write(m.bus, ECAM + (1 << 15) + 0x10, 4, BAR);
    bus_write(m.bus, ECAM + (1 << 15) + 4, 2, 6);
    wr(0x24, (SIZE - 1) | (SIZE - 1) << 16);
    wr(0x28, (uint32_t)ring_of(0, false));
    wr(0x30, (uint32_t)ring_of(0, true));
    wr(0x14, 6 << 16 | 4 << 20 | 1);
    for (unsigned i = 0; i < QUEUES; i++)
        tail[i] = 0;
}

static void put(unsigned q, const uint32_t w[16])
{
    uint8_t *at = bus_ram(m.bus, ring_of(q, false) + 64 * tail[q], 64);

    if (at)
        memcpy(at, w, 64);
    tail[q] = (tail[q] + 1) % SIZE;
}

static gpa place(struct fuzz_in *in)
{
    unsigned k = (unsigned)fuzz_take(in, 1);

    switch (k & 3) {
    case 0: return FUZZ_RAM + DATA + 0x1000 * ((k >> 4) % DATA_PAGES);
    case 1: return FUZZ_RAM + LIST + 8 * (k >> 2);
    case 2: return FUZZ_RAM + fuzz_take(in, 2);
    default: return fuzz_take(in, 8);
    }
}

static void queue_command(struct fuzz_in *in, unsigned k)
{
    unsigned q = 1 + k % (QUEUES - 1);
    bool sq = k & 4;
    uint32_t w[16] = {sq ? 1 : 5};
    gpa ring = ring_of(q, !sq);

    if (k & 8)
        w[0] = sq ? 0 : 4; /* delete */
    w[6] = (uint32_t)ring;
    w[10] = q | (SIZE - 1) << 16;
    w[11] = sq ? 1 | q << 16 : 3;
    if (k & 16)
        w[10 + (k >> 5 & 1)] = (uint32_t)fuzz_take(in, 4);
    put(0, w);
    wr(0x1000, tail[0]);
    tail[q] = 0;
}

static void command(struct fuzz_in *in, unsigned q)
{
    static const uint8_t io[] = {0, 1, 2, 5, 8, 9}, admin[] = {2, 6, 8, 9, 10, 12};
    unsigned k = (unsigned)fuzz_take(in, 1);
    gpa p1 = place(in), p2 = place(in);
    uint32_t w[16] = {(q ? io : admin)[k % 6] | (k & 0x40) << 8 /* SGL */ | (uint32_t)fuzz_take(in, 1) << 16,
                      k >> 3 & 3};

    w[6] = (uint32_t)p1;
    w[7] = (uint32_t)(p1 >> 32);
    w[8] = (uint32_t)p2;
    w[9] = (uint32_t)(p2 >> 32);
    w[10] = (uint32_t)fuzz_take(in, 2);
    w[11] = q ? (k >> 5 & 1) * 4 : (uint32_t)fuzz_take(in, 2);
    w[12] = (uint32_t)fuzz_take(in, 1);
    if (k & 0x80)
        w[fuzz_take(in, 1) % 16] = (uint32_t)fuzz_take(in, 4);
    put(q, w);
}

static void fill(struct fuzz_in *in)
{
    gpa at = FUZZ_RAM + (fuzz_take(in, 1) & 1 ? LIST : DATA) + 8 * fuzz_take(in, 1);

    for (unsigned n = (unsigned)fuzz_take(in, 1) % 8; n; n--, at += 8) {
        gpa v = place(in);

        dma_write(m.bus, at, &v, 8);
    }
}

static void step(struct fuzz_in *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1), q = op >> 4 & 3;

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
    case 3: command(in, q); break;
    case 4:
    case 5: wr(0x1000 + 8 * q, tail[q]); break;
    case 6: wr(0x1004 + 8 * q, (uint32_t)fuzz_take(in, 1) % SIZE); break;
    case 7: wr((gpa)fuzz_take(in, 2) & 0x3ffc, (uint32_t)fuzz_take(in, 4)); break;
    case 8: queue_command(in, (unsigned)fuzz_take(in, 1)); break;
    case 9: enable(); break;
    case 10: wr(0x14, (uint32_t)fuzz_take(in, 3)); break;
    case 11: fill(in); break;
    case 12: usleep((useconds_t)fuzz_take(in, 1) % 50); break;
    case 13: /* what is saved does not change meanwhile: the machine saves when its disks are quiet */
        for (unsigned i = 0; i < 4 * SIZE; i++) /* one that ends may let another begin */
            block_drain(disks[i & 1]);
        fuzz_disturb(&fn->dev, in);
        break;
    case 14: nvme_resized(fn, disks[op >> 4 & 1]); break;
    default: wr(q * 4, (uint32_t)fuzz_take(in, 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};

    if (!fn)
        make();
    device_reset(&fn->dev);
    enable();
    for (unsigned i = 0; i < 2000 && in.left; i++)
        step(&in);
    device_reset(&fn->dev);
    return 0;
}
