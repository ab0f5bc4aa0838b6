/*
 * A guest that does wrong things: jumps to nowhere, page tables nowhere, a trap handler nowhere, every device register
 * at every width with random values, broken virtqueues, DMA to wild addresses, writes to ROM. The emulator lives on,
 * and so does what the guest left alone.
 */
#include "test.h"

enum { ACCESSES = 600 };
static uint64_t seed = 1;
static uint8_t guard[8192] __attribute__((aligned(4096)));
static volatile uint64_t lost; /* harts that will never come back */

static uint64_t rnd(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed ^ seed >> 29;
}

static uint64_t any(void) { return rnd() << 33 ^ rnd(); }

static void store(uint64_t at, unsigned width, uint64_t v)
{
    switch (width) {
    case 0: *(volatile uint8_t *)at = (uint8_t)v; break;
    case 1: __asm__ volatile("sh %0, (%1)" ::"r"(v), "r"(at) : "memory"); break;
    case 2: __asm__ volatile("sw %0, (%1)" ::"r"(v), "r"(at) : "memory"); break;
    case 3: __asm__ volatile("sd %0, (%1)" ::"r"(v), "r"(at) : "memory"); break;
    case 4: __asm__ volatile("amoadd.w zero, %0, (%1)" ::"r"(v), "r"(at) : "memory"); break;
    case 5: __asm__ volatile("amoswap.d zero, %0, (%1)" ::"r"(v), "r"(at) : "memory"); break;
    case 6: __asm__ volatile("lr.w zero, (%0); sc.w zero, %1, (%0)" ::"r"(at), "r"(v) : "memory"); break;
    default: __asm__ volatile("fmv.d.x fa0, %0; fsd fa0, (%1)" ::"r"(v), "r"(at) : "memory", "fa0");
    }
}

static void load(uint64_t at, unsigned width)
{
    uint64_t v;

    switch (width & 3) {
    case 0: __asm__ volatile("lb %0, (%1)" : "=r"(v) : "r"(at)); break;
    case 1: __asm__ volatile("lh %0, (%1)" : "=r"(v) : "r"(at)); break;
    case 2: __asm__ volatile("lw %0, (%1)" : "=r"(v) : "r"(at)); break;
    default: __asm__ volatile("ld %0, (%1)" : "=r"(v) : "r"(at));
    }
}

/* A value that does not end the machine on the test finisher, whichever byte of it arrives first. */
static uint64_t value(void)
{
    static const uint64_t special[] = {0, 1, ~0ul, 0xff, 0x80, 0x80000000, 0x7fffffff, 0xffffffff, 4, 0x40, 0xf};

    return (rnd() % 2 ? special[rnd() % 11] : any()) & ~0x1111111111111111ul;
}

static void sweep(uint64_t base, uint64_t size)
{
    for (uint64_t off = 0; off < size && off < 0x200; off++)
        for (unsigned w = 0; w < 4; w++) {
            load(base + off, w);
            store(base + off, w, value());
        }
    for (int n = 0; n < ACCESSES; n++) {
        uint64_t at = base + rnd() % (n % 2 ? size : size < 0x2000 ? size : 0x2000);

        if (n % 4)
            at &= ~7ul;
        load(at, (unsigned)rnd());
        store(at, rnd() % 8, value());
    }
    for (unsigned w = 0; w < 8; w++) { /* over the edges */
        load(base - 1, w);
        store(base + size - 1, w, value());
        load(base + size - 2, w);
    }
}

static void devices(void)
{
    static const uint64_t window[][2] = {
        {0x1000, 0xf000},
        {0x100000, 0x1000},
        {0x101000, 0x1000},
        {0x2000000, 0x10000},
        {0x2f00000, 0x4000},
        {0x3000000, 0x10000},
        {0xc000000, 0x600000},
        {0x10000000, 0x100},
        {0x10001000, 0x1000},
        {0x10002000, 0x1000},
        {0x10003000, 0x1000},
        {0x10004000, 0x1000},
        {0x10005000, 0x1000},
        {0x10006000, 0x1000},
        {0x10007000, 0x1000},
        {0x10008000, 0x1000},
        {0x10100000, 0x18},
        {0x20000000, 0x2000000},
        {0x22000000, 0x2000000},
        {0x30000000, 0x8000},
        {0x30000000, 0x100000},
        {0x30000000, 0x10000000},
        {0x40000000, 0x1000000},
        {0x40000000, 0x40000000},
        {0, 0x1000},
    };

    for (unsigned n = 0; n < sizeof window / sizeof *window; n++)
        sweep(window[n][0], window[n][1]);
}

/* A jump there does not come back but by a trap, which returns to the caller. */
static const uint64_t nowhere[] = {
    0,          0x50,        0x100000,   0x2000000,          0xc000000,   0x10000000,
    0x10001000, 0x10100000,  0x18000000, 0x30000000,         0x50000000,  0x80000000ul + (128ul << 20),
    1ul << 40,  (1ul << 56), 1ul << 63,  0xffffffffffffff00, 0x7ffffffffe};
static long leap(long to)
{
    ((void (*)(void))to)();
    return 0;
}

static void jumps(void)
{
    for (unsigned n = 0; n < sizeof nowhere / sizeof *nowhere; n++) {
        uint64_t count = traps.count;

        leap((long)nowhere[n]);
        CHECK(traps.count > count);
        count = traps.count;
        call_in(1, leap, (long)nowhere[n]);
        CHECK(traps.count > count);
        call_in(0, leap, (long)nowhere[n]);
    }
}

/* Page tables nowhere, in devices, in ROM and full of junk; loads and stores through them, and jumps. */
static void translation(void)
{
    static const uint64_t root[] = {0,          0x1000,     0x100000,   0x2000000,  0xc000000,
                                    0x10000000, 0x10001000, 0x20000000, 0x30000000, 0x18000000};
    uint64_t *junk = (uint64_t *)(free_memory + 0x10000);

    for (int n = 0; n < 120; n++) {
        uint64_t at = (unsigned)n < sizeof root / sizeof *root ? root[n]
                      : n % 2                                  ? any() & 0xfffffffffff000
                                                               : (uint64_t)junk;

        for (int i = 0; i < 512; i++)
            junk[i] = any() | (rnd() % 2 ? PTE_V : 0);
        junk[rnd() % 512] = (uint64_t)junk >> 2 | PTE_V; /* a table that is its own */
        WRITE(satp, (8 + rnd() % 3) << 60 | at >> 12);
        __asm__ volatile("sfence.vma" ::: "memory");
        for (int i = 0; i < 20; i++) {
            uint64_t va = (uint64_t)((int64_t)any() >> (rnd() % 40));

            SET(mstatus, 0x800 | CSR_MPRV | (rnd() & CSR_SUM) | (rnd() & CSR_MXR));
            __asm__ volatile("ld a5, (%0)" ::"r"(va) : "a5");
            CLEAR(mstatus, CSR_MPRV); /* no stores: what they hit is by right the guest's own memory */
            if (i % 8 == 0)
                call_in(1, leap, (long)va & ~1l);
        }
        CLEAR(mstatus, CSR_MPRV);
        WRITE(satp, 0);
        __asm__ volatile("sfence.vma" ::: "memory");
    }
}

/* --- virtio --- */

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
enum { SIZE = 8, NEXT = 1, WRITES = 2, INDIRECT = 4 };
static uint8_t ring[0x4000] __attribute__((aligned(4096)));
static uint8_t scratch[0x2000] __attribute__((aligned(4096)));

static uint32_t get(uint64_t dev, unsigned reg) { return *(volatile uint32_t *)(dev + reg); }
static void set(uint64_t dev, unsigned reg, uint64_t v) { *(volatile uint32_t *)(dev + reg) = (uint32_t)v; }

static void set_queue(uint64_t dev, unsigned reg, uint64_t at)
{
    set(dev, reg, at);
    set(dev, reg + 4, at >> 32);
}

static uint64_t wild_address(void)
{
    switch (rnd() % 8) {
    case 0: return (uint64_t)scratch;
    case 1: return 0x80000000ul + (128ul << 20) - rnd() % 32;
    case 2: return ~0ul - rnd() % 32;
    case 3: return 0x10001000 + rnd() % 0x200; /* its own registers */
    case 4: return 0x20000000;
    case 5: return any();
    case 6: return 0x1000;
    default: return (uint64_t)ring;
    }
}

/* What the driver may write, and so what its device may. */
static void break_ring(struct desc *d, uint16_t *avail)
{
    static const uint32_t lengths[] = {0, 1, 16, 512, 0xffffffff, 0x80000000, 0x7fffffff, 0x2000};

    for (unsigned n = 0; n < SIZE; n++) {
        d[n].addr = wild_address();
        d[n].len = d[n].addr == (uint64_t)ring || d[n].addr == (uint64_t)scratch ? (uint32_t)rnd() % 0x2000
                                                                                 : lengths[rnd() % 8];
        d[n].flags = (uint16_t)(rnd() % 4 ? rnd() % 8 : rnd());
        d[n].next = (uint16_t)(rnd() % 4 ? rnd() % SIZE : rnd());
    }
    if (rnd() % 4 == 0)
        for (unsigned n = 0; n < SIZE; n++) /* round and round */
            d[n] = (struct desc){(uint64_t)scratch, 16, (uint16_t)(NEXT | (n & 1 ? WRITES : 0)),
                                 (uint16_t)((n + 1) % SIZE)};
    if (rnd() % 8 == 0)
        d[0] =
            (struct desc){(uint64_t)d, sizeof *d * (1 + (uint32_t)rnd() % SIZE), INDIRECT, 0}; /* a table of itself */
    avail[0] = (uint16_t)(rnd() % 2);
    avail[1] = (uint16_t)(avail[1] + (rnd() % 4 ? rnd() % 3 : rnd()));
    for (unsigned n = 2; n < 2 + SIZE; n++)
        avail[n] = (uint16_t)(rnd() % 4 ? rnd() % SIZE : rnd());
}

static void queues(uint64_t dev)
{
    struct desc *d = (struct desc *)ring;
    uint16_t *avail = (uint16_t *)(ring + 0x1000);

    if (get(dev, 0) != 0x74726976 || !get(dev, 8))
        return;
    for (int round = 0; round < 60; round++) {
        uint64_t modern = get(dev, 4) == 2;

        set(dev, 0x70, 0);
        CHECK(get(dev, 0x70) == 0);
        set(dev, 0x70, 3);
        for (unsigned half = 0; half < 2; half++) {
            set(dev, 0x14, half);
            set(dev, 0x24, half);
            set(dev, 0x20, rnd() % 2 ? get(dev, 0x10) : any());
        }
        set(dev, 0x70, 11);
        for (unsigned q = 0; q < 3; q++) {
            set(dev, 0x30, rnd() % 8 ? q : rnd());
            set(dev, 0x38, rnd() % 8 ? SIZE : any());
            if (modern) {
                set_queue(dev, 0x80, rnd() % 8 ? (uint64_t)d : wild_address());
                set_queue(dev, 0x90, rnd() % 8 ? (uint64_t)avail : wild_address());
                set_queue(dev, 0xa0, rnd() % 8 ? (uint64_t)ring + 0x2000 : wild_address());
                set(dev, 0x44, 1);
            } else {
                set(dev, 0x28, 4096);
                set(dev, 0x3c, rnd() % 8 ? 4096 : any());
                set(dev, 0x40, rnd() % 8 ? (uint64_t)ring >> 12 : any());
            }
        }
        if (rnd() % 8)
            set(dev, 0x70, 15);
        for (int n = 0; n < 12; n++) {
            break_ring(d, modern ? avail : (uint16_t *)(ring + SIZE * sizeof *d));
            set(dev, 0x50, rnd() % 8 ? rnd() % 3 : any());
            if (rnd() % 16 == 0)
                set(dev, 0x70, any());
            set(dev, 0x64, get(dev, 0x60));
        }
    }
    set(dev, 0x70, 0);
    CHECK(get(dev, 0x70) == 0);
}

static uint64_t big(uint64_t v, unsigned bytes)
{
    uint64_t r = 0;

    for (; bytes; bytes--, v >>= 8)
        r = r << 8 | (v & 255);
    return r;
}

/* fw_cfg's DMA: commands at wild addresses, to wild addresses. */
static void fw_cfg(void)
{
    struct {
        uint32_t control, length;
        uint64_t address;
    } *c = (void *)scratch;

    for (int n = 0; n < 500; n++) {
        uint64_t at = rnd() % 4 ? (uint64_t)c : wild_address();

        c->control = (uint32_t)big(rnd() % 4 ? rnd() % 32 | rnd() << 16 : any(), 4);
        c->length = (uint32_t)big(rnd() % 2 ? rnd() % 64 : any(), 4);
        c->address = big(rnd() % 2 ? any() | 1ul << 50 : 0x80000000ul + (128ul << 20) - 8, 8);
        *(volatile uint32_t *)0x10100010 = (uint32_t)big(at >> 32, 4);
        *(volatile uint32_t *)0x10100014 = (uint32_t)big(at, 4);
    }
}

/* Hart 1: every trap traps again, for ever. Hart 2: the handler is the instruction that traps. */
void secondary(uint64_t hart)
{
    static void *const handler[] = {0, (void *)0x50, (void *)0x10000000, 0};

    __atomic_fetch_add(&lost, 1, __ATOMIC_SEQ_CST);
    if (hart == 2)
        __asm__ volatile("la t0, 1f; csrw mtvec, t0; .balign 4; 1: .word 0" ::: "t0");
    WRITE(mtvec, handler[hart & 3]);
    __asm__ volatile("ebreak");
}

int main(void)
{
    for (unsigned n = 0; n < sizeof guard; n++)
        guard[n] = (uint8_t)(n * 7);
    jumps();
    translation();
    devices();
    for (uint64_t dev = 0x10001000; dev < 0x10009000; dev += 0x1000)
        queues(dev);
    fw_cfg();
    for (unsigned n = 0; n < sizeof guard; n++)
        CHECK(guard[n] == (uint8_t)(n * 7));
    while (lost < 2)
        ;
    return 0;
}
