/*
 * The NVMe controller through its registers, as a driver uses it; numbers from the NVM Express base specification 1.4.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/nvme.h"
#include "devices/pci_host.h"
#include "images/block.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define ECAM UINT64_C(0x30000000)
#define MEM32 UINT64_C(0x40000000)
#define MEM64 UINT64_C(0x400000000)
#define FN (ECAM + (1 << 15))
#define BAR MEM64

enum {
    DISK = 1 << 20,
    ASQ = 0x1000,
    ACQ = 0x2000,
    SQ = 0x3000,
    CQ = 0x4000,
    LIST = 0x6000,
    DATA = 0x10000,
    ENTRIES = 16
};
enum {
    INVALID_OPCODE = 1,
    INVALID_FIELD = 2,
    DATA_ERROR = 4,
    ABORTED = 7,
    INVALID_NS = 0xb,
    PRP_OFFSET = 0x13,
    LBA_RANGE = 0x80
};

static struct dev_bench bench;
static struct device *host;
static struct pci_device *fn;
static struct block *disk;
static int disk_fd;
static struct dev_line line[4];
static struct err err;
static unsigned msis;
static uint32_t msi_data;

/* The driver's side of a queue pair. */
static struct pair {
    gpa sq, cq;
    unsigned id, entries, tail, head, phase;
} admin, io;

static struct answer {
    uint16_t cid, status, sq_head, sq_id;
    uint32_t result;
} got;

static bool on_msi(void *arg, gpa addr, uint32_t data)
{
    (void)arg;
    (void)addr;
    __atomic_store_n(&msi_data, data, __ATOMIC_RELAXED);
    __atomic_add_fetch(&msis, 1, __ATOMIC_SEQ_CST);
    return true;
}

static uint8_t *ram(gpa off) { return bus_ram(bench.bus, DEV_RAM + off, 1); }
static uint32_t reg(gpa off) { return (uint32_t)dev_read(&bench, BAR + off, 4); }
static void reg_wr(gpa off, uint32_t v) { dev_write(&bench, BAR + off, 4, v); }

static void pause_ms(unsigned ms) { nanosleep(&(struct timespec){0, ms * 1000000L}, NULL); }

static struct block *open_disk(int *fd, bool read_only)
{
    struct block_options o = {.format = "raw", .read_only = read_only, .workers = 2};
    char path[64];
    struct block *b;

    *fd = memfd_create("disk", 0);
    CHECK(*fd >= 0 && !ftruncate(*fd, DISK));
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    o.path = path;
    b = block_open(&o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static void enable(void)
{
    unsigned cap = (unsigned)dev_read(&bench, FN + 0x34, 1);

    while (cap && dev_read(&bench, FN + cap, 1) != 0x11)
        cap = (unsigned)dev_read(&bench, FN + cap + 1, 1);
    CHECK(cap);
    dev_write(&bench, FN + 0x10, 4, (uint32_t)BAR);
    dev_write(&bench, FN + 0x14, 4, BAR >> 32);
    dev_write(&bench, FN + 4, 2, 6);
    admin = (struct pair){DEV_RAM + ASQ, DEV_RAM + ACQ, 0, ENTRIES, 0, 0, 1};
    memset(ram(ACQ), 0, ENTRIES * 16);
    reg_wr(0x24, (ENTRIES - 1) | (ENTRIES - 1) << 16);
    reg_wr(0x28, (uint32_t)admin.sq);
    reg_wr(0x2c, 0);
    reg_wr(0x30, (uint32_t)admin.cq);
    reg_wr(0x34, 0);
    reg_wr(0x14, 6 << 16 | 4 << 20 | 1);
    CHECK_EQ(reg(0x1c), 1);
}

static void begin(bool read_only, unsigned nsid, unsigned block_size)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {MEM32, 0x40000000}, .mem64 = {MEM64, 0x400000000}, .pio = {0x3000000, 0x10000}};
    static const struct nvme_options o = {.serial = "S123", .queues = 4};

    dev_bench_open(&bench);
    msis = 0;
    memset(line, 0, sizeof line);
    disk = open_disk(&disk_fd, read_only);
    host = pci_host_new(&bench.env, "pcie", &c);
    CHECK(pci_host_map(host, &err));
    for (unsigned n = 0; n < 4; n++)
        dev_connect(pci_host_irq(host, n), &line[n]);
    pci_host_on_msi(host, on_msi, NULL);
    fn = nvme_new(&bench.env, "nvme0", &o, &err);
    CHECK(fn && nvme_add_namespace(fn, disk, nsid, block_size, &err) && pci_add(host, fn, 8, &err));
    device_reset(&fn->dev);
    enable();
}

static int setup(void **state)
{
    (void)state;
    begin(false, 0, 0);
    return 0;
}

static int setup_read_only(void **state)
{
    (void)state;
    begin(true, 3, 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(&fn->dev);
    device_free(host);
    block_close(disk);
    close(disk_fd);
    dev_bench_close(&bench);
    return 0;
}

/* --- a driver --- */

/* A command of 16 words with what most have in common. */
struct cmd {
    uint32_t w[16];
};

static struct cmd make(uint8_t op, uint32_t nsid, gpa prp1, gpa prp2)
{
    struct cmd c = {{op, nsid}};

    c.w[6] = (uint32_t)prp1;
    c.w[7] = (uint32_t)(prp1 >> 32);
    c.w[8] = (uint32_t)prp2;
    c.w[9] = (uint32_t)(prp2 >> 32);
    return c;
}

static struct cmd rw(uint8_t op, uint64_t lba, unsigned blocks, gpa prp1, gpa prp2)
{
    struct cmd c = make(op, 1, prp1, prp2);

    c.w[10] = (uint32_t)lba;
    c.w[11] = (uint32_t)(lba >> 32);
    c.w[12] = blocks - 1;
    return c;
}

static void put(struct pair *p, struct cmd c, uint16_t cid)
{
    c.w[0] |= (uint32_t)cid << 16;
    CHECK(dma_write(bench.bus, p->sq + 64 * p->tail, &c, 64));
    p->tail = (p->tail + 1) % p->entries;
}

static void ring(const struct pair *p) { reg_wr(0x1000 + 8 * p->id, p->tail); }

static bool there(const struct pair *p)
{
    uint32_t *w = bus_ram(bench.bus, p->cq + 16 * p->head, 16);

    return (__atomic_load_n(&w[3], __ATOMIC_ACQUIRE) >> 16 & 1) == p->phase;
}

/* The next completion; the doorbell is not rung. */
static void take(struct pair *p)
{
    const uint32_t *w = bus_ram(bench.bus, p->cq + 16 * p->head, 16);

    for (unsigned i = 0; i < 5000 && !there(p); i++)
        pause_ms(1);
    CHECK(there(p));
    got = (struct answer){(uint16_t)w[3], (uint16_t)(w[3] >> 17), (uint16_t)w[2], (uint16_t)(w[2] >> 16), w[0]};
    if (++p->head == p->entries) {
        p->head = 0;
        p->phase ^= 1;
    }
}

static void consumed(const struct pair *p) { reg_wr(0x1004 + 8 * p->id, p->head); }

/* Run one command: its status. */
static uint16_t run(struct pair *p, struct cmd c)
{
    static uint16_t cid;

    put(p, c, ++cid);
    ring(p);
    take(p);
    consumed(p);
    CHECK_EQ(got.cid, cid);
    CHECK_EQ(got.sq_id, p->id);
    CHECK_EQ(got.sq_head, p->tail);
    return got.status & 0x7ff;
}

static struct cmd create_cq(unsigned id, unsigned entries, gpa at, uint32_t flags, unsigned vector)
{
    struct cmd c = make(5, 0, at, 0);

    c.w[10] = id | (entries - 1) << 16;
    c.w[11] = flags | vector << 16;
    return c;
}

static struct cmd create_sq(unsigned id, unsigned entries, gpa at, unsigned cq)
{
    struct cmd c = make(1, 0, at, 0);

    c.w[10] = id | (entries - 1) << 16;
    c.w[11] = 1 | cq << 16;
    return c;
}

static struct cmd with10(uint8_t op, uint32_t w10, uint32_t w11)
{
    struct cmd c = make(op, 0, DEV_RAM + DATA, 0);

    c.w[10] = w10;
    c.w[11] = w11;
    return c;
}

static void io_queue(unsigned vector)
{
    io = (struct pair){DEV_RAM + SQ, DEV_RAM + CQ, 1, ENTRIES, 0, 0, 1};
    memset(ram(CQ), 0, ENTRIES * 16);
    CHECK_EQ(run(&admin, create_cq(1, ENTRIES, io.cq, 3, vector)), 0);
    CHECK_EQ(run(&admin, create_sq(1, ENTRIES, io.sq, 1)), 0);
}

static uint8_t on_disk(uint64_t off)
{
    uint8_t b = 0;

    CHECK_EQ(pread(disk_fd, &b, 1, (off_t)off), 1);
    return b;
}

/* --- tests --- */

static void registers_say_what_it_is(void **state)
{
    (void)state;
    CHECK_EQ(dev_read(&bench, FN, 4), 0x10f01af4);
    CHECK_EQ(dev_read(&bench, FN + 8, 4) >> 8, 0x010802); /* a driver looks for this class */
    CHECK_EQ(reg(8), 0x00010400);
    CHECK_EQ(reg(0) & 0xffff, 1023);
    CHECK_EQ(reg(0) >> 16 & 1, 1);
    CHECK_EQ(reg(4) >> 5 & 1, 1);    /* the NVM command set */
    CHECK_EQ(reg(4) & 0xf, 0);       /* doorbells next to each other */
    CHECK_EQ(reg(4) >> 16 & 0xf, 0); /* pages of 4 KiB */
    CHECK_EQ(dev_read(&bench, BAR, 8), reg(0) | (uint64_t)reg(4) << 32);
}

static void identify_tells_serial_size_and_namespaces(void **state)
{
    struct cmd c = with10(6, 1, 0);

    (void)state;
    CHECK_EQ(run(&admin, c), 0);
    CHECK(!memcmp(ram(DATA) + 4, "S123                ", 20));
    CHECK_EQ(ram(DATA)[77], 7); /* 512 KiB a transfer */
    CHECK_EQ(ram(DATA)[512], 0x66);
    CHECK_EQ(ram(DATA)[513], 0x44);
    CHECK_EQ(ld16(ram(DATA) + 520) & 0xc, 0xc); /* dataset management, write zeroes */
    CHECK_EQ(ram(DATA)[525] & 1, 1);
    CHECK(!memcmp(ram(DATA) + 768, "nqn.", 4));
    c = with10(6, 2, 0);
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld32(ram(DATA)), 1);
    CHECK_EQ(ld32(ram(DATA) + 4), 0);
    c = with10(6, 0, 0);
    c.w[1] = 1;
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld64(ram(DATA)), DISK / 512);
    CHECK_EQ(ram(DATA)[128 + 2], 9);
    c.w[1] = 2; /* allowed, not there */
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld64(ram(DATA)), 0);
    c.w[1] = 99;
    CHECK_EQ(run(&admin, c), INVALID_NS);
    c = with10(6, 3, 0);
    c.w[1] = 1;
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld16(ram(DATA)), 0x1003); /* a UUID of 16 bytes */
    CHECK_EQ(run(&admin, with10(6, 0x77, 0)), INVALID_FIELD);
    CHECK_EQ(run(&admin, with10(0x7f, 0, 0)), INVALID_OPCODE);
    CHECK_EQ(got.status >> 14, 1); /* do not retry */
}

static void data_goes_both_ways_in_pages_and_lists(void **state)
{
    (void)state;
    io_queue(0);
    for (unsigned i = 0; i < 5 * 4096; i++)
        ram(DATA)[i] = (uint8_t)(i * 7 + i / 4096);
    CHECK_EQ(run(&io, rw(1, 8, 1, DEV_RAM + DATA, 0)), 0);
    CHECK_EQ(on_disk(8 * 512 + 5), 35);
    CHECK_EQ(run(&io, rw(1, 16, 12, DEV_RAM + DATA + 512, DEV_RAM + DATA + 4096)), 0); /* across two pages */
    CHECK_EQ(on_disk(16 * 512 + 3584), (uint8_t)(4096 * 7 + 1));
    for (unsigned i = 0; i < 4; i++) /* a list, pages in reverse */
        st64(ram(LIST) + 8 * i, DEV_RAM + DATA + 4096 * (4 - i));
    CHECK_EQ(run(&io, rw(1, 100, 40, DEV_RAM + DATA, DEV_RAM + LIST)), 0);
    CHECK_EQ(on_disk(100 * 512 + 4096), (uint8_t)(4 * 4096 * 7 + 4));
    memset(ram(DATA + 0x10000), 0, 5 * 4096);
    for (unsigned i = 0; i < 4; i++)
        st64(ram(LIST) + 8 * i, DEV_RAM + DATA + 0x10000 + 4096 * (4 - i));
    CHECK_EQ(run(&io, rw(2, 100, 40, DEV_RAM + DATA + 0x10000, DEV_RAM + LIST)), 0);
    CHECK(!memcmp(ram(DATA), ram(DATA + 0x10000), 5 * 4096));
    /* a list that starts at the last entry of its page: that entry links to the rest */
    memset(ram(DATA + 0x10000), 0, 5 * 4096);
    st64(ram(LIST + 4096 - 8), DEV_RAM + LIST + 4096);
    for (unsigned i = 0; i < 4; i++)
        st64(ram(LIST + 4096) + 8 * i, DEV_RAM + DATA + 0x10000 + 4096 * (4 - i));
    CHECK_EQ(run(&io, rw(2, 100, 40, DEV_RAM + DATA + 0x10000, DEV_RAM + LIST + 4096 - 8)), 0);
    CHECK(!memcmp(ram(DATA), ram(DATA + 0x10000), 5 * 4096));
}

static void put_sgl(uint8_t *at, gpa addr, uint32_t len, uint8_t type)
{
    memset(at, 0, 16);
    st64(at, addr);
    st32(at + 8, len);
    at[15] = (uint8_t)(type << 4);
}

static void scatter_gather_lists_do_the_same(void **state)
{
    struct cmd c = rw(2, 0, 4, 0, 0);

    (void)state;
    io_queue(0);
    for (unsigned i = 0; i < 2048; i++)
        ram(DATA)[i] = (uint8_t)(i / 3);
    CHECK_EQ(pwrite(disk_fd, ram(DATA), 2048, 0), 2048);
    memset(ram(DATA), 0, 2048);
    c.w[0] |= 1 << 14;
    put_sgl(ram(LIST), DEV_RAM + DATA, 1000, 0); /* three pieces in two segments */
    put_sgl(ram(LIST) + 16, DEV_RAM + LIST + 64, 32, 3);
    put_sgl(ram(LIST) + 64, DEV_RAM + DATA + 1000, 48, 0);
    put_sgl(ram(LIST) + 80, DEV_RAM + DATA + 1048, 1000, 0);
    put_sgl((uint8_t *)&c.w[6], DEV_RAM + LIST, 32, 2);
    CHECK_EQ(run(&io, c), 0);
    for (unsigned i = 0; i < 2048; i++)
        CHECK_EQ(ram(DATA)[i], (uint8_t)(i / 3));
    put_sgl((uint8_t *)&c.w[6], DEV_RAM + DATA, 2048, 0); /* one piece in the command itself */
    CHECK_EQ(run(&io, c), 0);
    put_sgl((uint8_t *)&c.w[6], DEV_RAM + DATA, 2000, 0);
    CHECK_EQ(run(&io, c), 0xf); /* too short */
    put_sgl((uint8_t *)&c.w[6], DEV_RAM + DATA, 2048, 4);
    CHECK_EQ(run(&io, c), 0x11);
    put_sgl(ram(LIST), DEV_RAM + LIST, 16, 2); /* a circle */
    put_sgl((uint8_t *)&c.w[6], DEV_RAM + LIST, 16, 2);
    CHECK_EQ(run(&io, c), 0xe);
}

static void bad_addresses_and_ranges_get_their_status(void **state)
{
    (void)state;
    io_queue(0);
    CHECK_EQ(run(&io, rw(2, DISK / 512, 1, DEV_RAM + DATA, 0)), LBA_RANGE);
    CHECK_EQ(run(&io, rw(2, DISK / 512 - 1, 2, DEV_RAM + DATA, 0)), LBA_RANGE);
    CHECK_EQ(run(&io, rw(2, UINT64_MAX, 2, DEV_RAM + DATA, 0)), LBA_RANGE);
    CHECK_EQ(run(&io, rw(2, 0, 1, 0x1000, 0)), DATA_ERROR); /* no RAM there */
    CHECK_EQ(run(&io, rw(2, 0, 1, BAR, 0)), DATA_ERROR);    /* nor is a register RAM */
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA + 2, 0)), PRP_OFFSET);
    CHECK_EQ(run(&io, rw(2, 0, 16, DEV_RAM + DATA, DEV_RAM + DATA + 0x1200)), PRP_OFFSET);
    CHECK_EQ(run(&io, rw(2, 0, 40, DEV_RAM + DATA, DEV_RAM + LIST + 4)), PRP_OFFSET);
    CHECK_EQ(run(&io, rw(2, 0, 40, DEV_RAM + DATA, 0x2000)), DATA_ERROR);
    CHECK_EQ(run(&io, rw(2, 0, 1025, DEV_RAM + DATA, DEV_RAM + LIST)), INVALID_FIELD); /* more than MDTS */
    struct cmd c = rw(2, 0, 1, DEV_RAM + DATA, 0);
    c.w[1] = 2;
    CHECK_EQ(run(&io, c), INVALID_NS);
    c.w[1] = UINT32_MAX;
    CHECK_EQ(run(&io, c), INVALID_NS);
    c = rw(2, 0, 1, DEV_RAM + DATA, 0);
    c.w[0] |= 1 << 8; /* fused */
    CHECK_EQ(run(&io, c), INVALID_FIELD);
    CHECK_EQ(run(&io, rw(0x55, 0, 1, DEV_RAM + DATA, 0)), INVALID_OPCODE);
    c = with10(2, 1 | 15 << 16, 0); /* the error log: the last one is on top */
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld64(ram(DATA)), 14);
    CHECK_EQ(ld16(ram(DATA) + 8), 1);
    CHECK_EQ(ld16(ram(DATA) + 12) >> 1 & 0x7ff, INVALID_OPCODE);
}

static void zeroes_discards_flushes_and_compares(void **state)
{
    struct cmd c = rw(8, 4, 2, 0, 0);

    (void)state;
    io_queue(0);
    memset(ram(DATA), 0xee, 4096);
    CHECK_EQ(run(&io, rw(1, 0, 8, DEV_RAM + DATA, 0)), 0);
    CHECK_EQ(run(&io, c), 0);
    CHECK_EQ(on_disk(4 * 512 - 1), 0xee);
    CHECK_EQ(on_disk(4 * 512), 0);
    CHECK_EQ(on_disk(6 * 512 - 1), 0);
    CHECK_EQ(on_disk(6 * 512), 0xee);
    CHECK_EQ(run(&io, make(0, 1, 0, 0)), 0);
    CHECK_EQ(run(&io, make(0, UINT32_MAX, 0, 0)), 0); /* all namespaces */
    CHECK_EQ(run(&io, make(0, 3, 0, 0)), INVALID_NS);
    CHECK_EQ(run(&io, rw(5, 0, 4, DEV_RAM + DATA, 0)), 0);
    CHECK_EQ(run(&io, rw(5, 0, 5, DEV_RAM + DATA, 0)), 0x285);
    /* two ranges, and one with nothing in it */
    memset(ram(DATA), 0, 64);
    st32(ram(DATA) + 4, 8);
    st64(ram(DATA) + 8, 64);
    st64(ram(DATA) + 24, 5);
    st32(ram(DATA) + 36, 1);
    st64(ram(DATA) + 40, 3);
    c = make(9, 1, DEV_RAM + DATA, 0);
    c.w[10] = 2;
    c.w[11] = 4;
    CHECK_EQ(run(&io, c), 0);
    CHECK_EQ(on_disk(0), 0xee);
    st64(ram(DATA) + 8, DISK / 512);
    CHECK_EQ(run(&io, c), LBA_RANGE);
    c.w[11] = 3; /* hints */
    CHECK_EQ(run(&io, c), 0);
}

static void features_are_kept_and_queues_counted(void **state)
{
    (void)state;
    CHECK_EQ(run(&admin, with10(9, 7, 63 | 63 << 16)), 0);
    CHECK_EQ(got.result, 3 | 3 << 16); /* four pairs, counted from zero */
    CHECK_EQ(run(&admin, with10(0xa, 7, 0)), 0);
    CHECK_EQ(got.result, 3 | 3 << 16);
    CHECK_EQ(run(&admin, with10(9, 7, 0xffff)), INVALID_FIELD);
    CHECK_EQ(run(&admin, with10(0xa, 6, 0)), 0);
    CHECK_EQ(got.result, 1);
    CHECK_EQ(run(&admin, with10(9, 6, 0)), 0);
    CHECK_EQ(run(&admin, with10(0xa, 6, 0)), 0);
    CHECK_EQ(got.result, 0);
    CHECK_EQ(run(&admin, with10(0xa, 6 | 1 << 8, 0)), 0); /* its default */
    CHECK_EQ(got.result, 1);
    CHECK_EQ(run(&admin, with10(9, 6u | 1u << 31, 1)), 0x10d);
    CHECK_EQ(run(&admin, with10(9, 0x3f, 0)), INVALID_FIELD);
    CHECK_EQ(run(&admin, with10(2, 2 | 127u << 16, 0)), 0); /* SMART */
    CHECK_EQ(ld16(ram(DATA) + 1), 0x143);
    CHECK_EQ(run(&admin, with10(2, 0x42 | 127u << 16, 0)), 0x109);
}

static void queues_are_made_and_unmade_in_order(void **state)
{
    (void)state;
    CHECK_EQ(run(&admin, create_sq(1, 16, DEV_RAM + SQ, 1)), 0x100);
    CHECK_EQ(run(&admin, create_cq(0, 16, DEV_RAM + CQ, 3, 0)), 0x101);
    CHECK_EQ(run(&admin, create_cq(5, 16, DEV_RAM + CQ, 3, 0)), 0x101);
    CHECK_EQ(run(&admin, create_cq(1, 1025, DEV_RAM + CQ, 3, 0)), 0x102);
    CHECK_EQ(run(&admin, create_cq(1, 1, DEV_RAM + CQ, 3, 0)), 0x102);
    CHECK_EQ(run(&admin, create_cq(1, 16, DEV_RAM + CQ, 2, 0)), INVALID_FIELD);
    CHECK_EQ(run(&admin, create_cq(1, 16, DEV_RAM + CQ + 64, 3, 0)), PRP_OFFSET);
    CHECK_EQ(run(&admin, create_cq(1, 16, DEV_RAM + CQ, 3, 1)), 0x108); /* MSI-X is off */
    io_queue(0);
    CHECK_EQ(run(&admin, create_cq(1, 16, DEV_RAM + CQ, 3, 0)), 0x101);
    CHECK_EQ(run(&admin, with10(4, 1, 0)), 0x10c); /* in use */
    CHECK_EQ(run(&admin, with10(0, 1, 0)), 0);
    CHECK_EQ(run(&admin, with10(0, 1, 0)), 0x101);
    CHECK_EQ(run(&admin, with10(4, 1, 0)), 0);
    io_queue(0);
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA, 0)), 0);
}

static void a_full_completion_queue_holds_commands_back(void **state)
{
    (void)state;
    io_queue(0);
    CHECK_EQ(run(&admin, with10(0, 1, 0)), 0);
    CHECK_EQ(run(&admin, with10(4, 1, 0)), 0);
    io.entries = 4; /* completions: room for three; commands: eight */
    memset(ram(CQ), 0, 64);
    CHECK_EQ(run(&admin, create_cq(1, 4, io.cq, 3, 0)), 0);
    CHECK_EQ(run(&admin, create_sq(1, 16, io.sq, 1)), 0);
    for (uint16_t i = 0; i < 8; i++) {
        struct cmd c = rw(2, i, 1, DEV_RAM + DATA + 512 * i, 0);

        c.w[0] |= (uint32_t)(100 + i) << 16;
        CHECK(dma_write(bench.bus, io.sq + 64 * i, &c, 64));
    }
    reg_wr(0x1008, 8);
    for (unsigned i = 0; i < 8; i++) {
        take(&io);
        CHECK_EQ(got.status, 0);
        CHECK(got.cid >= 100 && got.cid < 108);
        if (i % 3 == 2 || i == 7)
            consumed(&io);
    }
    pause_ms(2);
    CHECK(!there(&io));
}

static void the_line_is_high_until_completions_are_taken(void **state)
{
    (void)state;
    put(&admin, with10(6, 1, 0), 7);
    ring(&admin);
    take(&admin);
    CHECK_EQ(line[1].level, 1); /* slot 1, pin A */
    reg_wr(0x0c, 1);            /* mask */
    CHECK_EQ(line[1].level, 0);
    CHECK_EQ(reg(0x0c), 1);
    reg_wr(0x10, 1);
    CHECK_EQ(line[1].level, 1);
    consumed(&admin);
    CHECK_EQ(line[1].level, 0);
}

static void each_queue_has_its_vector(void **state)
{
    unsigned cap = (unsigned)dev_read(&bench, FN + 0x34, 1);

    (void)state;
    CHECK_EQ(dev_read(&bench, FN + cap, 1), 0x11);
    CHECK_EQ(dev_read(&bench, FN + cap + 2, 2) & 0x7ff, 4); /* five vectors */
    for (unsigned v = 0; v < 5; v++) {
        dev_write(&bench, BAR + 0x2000 + 16 * v, 4, 0x28000000);
        dev_write(&bench, BAR + 0x2008 + 16 * v, 4, 40 + v);
        dev_write(&bench, BAR + 0x200c + 16 * v, 4, 0);
    }
    dev_write(&bench, FN + cap + 3, 1, 0x80);
    io_queue(3);
    CHECK_EQ(msi_data, 40);
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA, 0)), 0);
    for (unsigned i = 0; i < 1000 && __atomic_load_n(&msi_data, __ATOMIC_RELAXED) != 43; i++)
        pause_ms(1);
    CHECK_EQ(msi_data, 43);
    CHECK_EQ(line[1].level, 0);
    CHECK_EQ(run(&admin, create_cq(2, 16, DEV_RAM + CQ + 4096, 3, 5)), 0x108);
}

static void events_are_told_once_until_their_log_is_read(void **state)
{
    (void)state;
    put(&admin, with10(0xc, 0, 0), 900);
    put(&admin, with10(0xc, 0, 0), 901);
    ring(&admin);
    CHECK(!there(&admin));
    reg_wr(0x1000 + 8 * 9, 1); /* no such queue */
    take(&admin);
    consumed(&admin);
    CHECK(got.cid == 900 || got.cid == 901);
    CHECK_EQ(got.result, 0x010000);
    reg_wr(0x1000, 77); /* outside the admin queue: told after the log was read */
    CHECK(!there(&admin));
    put(&admin, with10(2, 1 | 15 << 16, 0), 5);
    ring(&admin);
    take(&admin);
    CHECK_EQ(got.cid, 5);
    take(&admin);
    CHECK_EQ(got.result, 0x010100);
    consumed(&admin);
    for (uint16_t i = 0; i < 5; i++)
        put(&admin, with10(0xc, 0, 0), i);
    ring(&admin);
    take(&admin); /* the fifth is one too many */
    CHECK_EQ(got.status & 0x7ff, 0x105);
    CHECK_EQ(got.cid, 4);
    consumed(&admin);
}

static void a_changed_size_is_told(void **state)
{
    struct cmd c = with10(6, 0, 0);

    (void)state;
    CHECK_EQ(run(&admin, with10(9, 11, 1 << 8)), 0);
    put(&admin, with10(0xc, 0, 0), 900);
    ring(&admin);
    nvme_resized(fn, disk);
    take(&admin);
    consumed(&admin);
    CHECK_EQ(got.cid, 900);
    CHECK_EQ(got.result, 0x040002);
    CHECK_EQ(run(&admin, with10(2, 4 | 1023u << 16, 0)), 0);
    CHECK_EQ(ld32(ram(DATA)), 1);
    c.w[1] = 1;
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld64(ram(DATA)), DISK / 512);
}

static void shutdown_and_reset_come_to_an_end(void **state)
{
    uint32_t cc = reg(0x14);

    (void)state;
    io_queue(0);
    for (uint16_t i = 0; i < 10; i++)
        put(&io, rw(2, 0, 256, DEV_RAM + DATA, DEV_RAM + DATA + 4096), i); /* the list is not one: no matter */
    ring(&io);
    reg_wr(0x14, cc | 1 << 14);
    for (unsigned i = 0; i < 2000 && (reg(0x1c) >> 2 & 3) != 2; i++)
        pause_ms(1);
    CHECK_EQ(reg(0x1c) >> 2 & 3, 2);
    reg_wr(0x14, cc & ~1u);
    CHECK_EQ(reg(0x1c), 0);
    CHECK_EQ(line[1].level, 0);
    reg_wr(0x1008, 1); /* not served */
    enable();
    CHECK_EQ(run(&admin, with10(6, 1, 0)), 0);
    CHECK_EQ(run(&admin, with10(0xa, 6, 0)), 0);
    io_queue(0);
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA, 0)), 0);
}

static void a_configuration_it_does_not_have_is_fatal(void **state)
{
    (void)state;
    reg_wr(0x14, 0);
    reg_wr(0x14, 1 | 6 << 7); /* pages of 256 KiB */
    CHECK_EQ(reg(0x1c) & 3, 2);
    reg_wr(0x14, 0);
    CHECK_EQ(reg(0x1c), 0);
    reg_wr(0x24, 0); /* queues of one entry */
    reg_wr(0x14, 1);
    CHECK_EQ(reg(0x1c) & 3, 2);
    reg_wr(0x14, 0);
    reg_wr(0x24, 0x00ff00ff);
    reg_wr(0x28, 0x1000); /* no RAM: seen at the first doorbell */
    reg_wr(0x14, 1);
    CHECK_EQ(reg(0x1c), 1);
    reg_wr(0x1000, 1);
    CHECK_EQ(reg(0x1c) & 2, 2);
    reg_wr(0x1000, 2);
}

static void reset_and_restore(void **state)
{
    (void)state;
    io_queue(0);
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA, 0)), 0);
    dev_check_save_restore(&fn->dev);
    CHECK_EQ(run(&io, rw(2, 0, 1, DEV_RAM + DATA, 0)), 0);
    device_reset(&fn->dev);
    CHECK_EQ(dev_read(&bench, FN + 4, 2), 0);
    dev_write(&bench, FN + 0x10, 4, (uint32_t)BAR);
    dev_write(&bench, FN + 0x14, 4, BAR >> 32);
    dev_write(&bench, FN + 4, 2, 6);
    CHECK_EQ(reg(0x1c), 0);
    CHECK_EQ(reg(0x14), 0);
}

static void a_snapshot_cannot_name_queues_that_do_not_fit(void **state)
{
    size_t n = device_state_size(&fn->dev);
    uint8_t *junk = malloc(n);

    (void)state;
    memset(junk, 0xff, n);
    CHECK(device_restore(&fn->dev, junk, n, &err));
    for (unsigned i = 0; i < 64; i++)
        dev_write(&bench, BAR + 0x1000 + 4 * i, 4, 3);
    free(junk);
}

static void read_only_and_large_blocks(void **state)
{
    struct cmd c = with10(6, 0, 0);

    (void)state;
    CHECK(!nvme_add_namespace(fn, disk, 3, 0, &err));
    CHECK(!nvme_add_namespace(fn, disk, 17, 0, &err));
    CHECK(!nvme_add_namespace(fn, disk, 1, 1024, &err));
    io_queue(0);
    c.w[1] = 3;
    CHECK_EQ(run(&admin, c), 0);
    CHECK_EQ(ld64(ram(DATA)), DISK / 4096);
    CHECK_EQ(ram(DATA)[128 + 2], 12);
    CHECK_EQ(ram(DATA)[99], 1); /* write protected */
    c = rw(1, 0, 1, DEV_RAM + DATA, 0);
    c.w[1] = 3;
    CHECK_EQ(run(&io, c), 0x20);
    c = rw(2, DISK / 4096 - 1, 1, DEV_RAM + DATA, 0);
    c.w[1] = 3;
    CHECK_EQ(run(&io, c), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_say_what_it_is),
        TEST(identify_tells_serial_size_and_namespaces),
        TEST(data_goes_both_ways_in_pages_and_lists),
        TEST(scatter_gather_lists_do_the_same),
        TEST(bad_addresses_and_ranges_get_their_status),
        TEST(zeroes_discards_flushes_and_compares),
        TEST(features_are_kept_and_queues_counted),
        TEST(queues_are_made_and_unmade_in_order),
        TEST(a_full_completion_queue_holds_commands_back),
        TEST(the_line_is_high_until_completions_are_taken),
        TEST(each_queue_has_its_vector),
        TEST(events_are_told_once_until_their_log_is_read),
        TEST(a_changed_size_is_told),
        TEST(shutdown_and_reset_come_to_an_end),
        TEST(a_configuration_it_does_not_have_is_fatal),
        TEST(reset_and_restore),
        TEST(a_snapshot_cannot_name_queues_that_do_not_fit),
        cmocka_unit_test_setup_teardown(read_only_and_large_blocks, setup_read_only, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
