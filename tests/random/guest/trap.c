/*
 * Traps of random programs (gen.h, portable), and their end: state is folded into hashes and printed on the UART.
 *
 * With -DTRACE every trap is printed too: the first line that differs between two emulators names the place.
 */
#include <stdint.h>

enum { R_BACK = 16, R_HASH = 17, R_TEMP = 22, R_FINISH = 26 };
enum { FS = 3 << 13, MXR = 1 << 19, MPRV = 1 << 17 };
#define SD (UINT64_C(1) << 63)
#define RAM UINT64_C(0x80000000)

#define READ(csr)                                                                                                      \
    ({                                                                                                                 \
        uint64_t v_;                                                                                                   \
        __asm__ volatile("csrr %0, " #csr : "=r"(v_));                                                                 \
        v_;                                                                                                            \
    })

void save_fp(uint64_t *f);
uint64_t trap(uint64_t *x);

static uint64_t traps, trap_hash, own;
static uint64_t f[32];
static uint32_t reservation;

static void put(char c)
{
    while (!(*(volatile uint8_t *)0x10000005 & 0x20))
        ;
    *(volatile uint8_t *)0x10000000 = (uint8_t)c;
}

static void print(const char *name, uint64_t v)
{
    while (*name)
        put(*name++);
    put(' ');
    for (int shift = 60; shift >= 0; shift -= 4)
        put("0123456789abcdef"[v >> shift & 15]);
}

static void line(const char *name, uint64_t v)
{
    print(name, v);
    put('\n');
}

static uint64_t fold(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t fold_memory(uint32_t from, uint32_t to)
{
    uint64_t h = 0;

    for (const uint64_t *p = (uint64_t *)(RAM + from); p < (uint64_t *)(RAM + to); p++)
        h = fold(h, *p);
    return h;
}

static void end(const uint64_t *x)
{
    uint64_t insns = READ(minstret) - own;

    line("# instructions", insns);
    line("traps", traps);
    line("trap hash", trap_hash);
    for (unsigned n = 1; n < 32; n++)
        line("x", x[n]);
    __asm__ volatile("csrs mstatus, %0" ::"r"((uint64_t)FS));
    line("fcsr", READ(0x003));
    save_fp(f);
    for (unsigned n = 0; n < 32; n++)
        line("f", f[n]);
    line("code", fold_memory(0x10000, 0x40000));
    for (uint32_t at = 0x40000; at < 0x60000; at += 0x1000)
        line("data", fold_memory(at, at + 0x1000));
    line("tables", fold_memory(0x80000, 0x88000));
    for (;;)
        *(volatile uint32_t *)0x100000 = 0x5555;
}

/* The instruction that trapped; it may be readable only to its own mode. */
static uint32_t fetch(uint64_t pc)
{
    uint64_t bits = MPRV | MXR, low, high = 0;

    __asm__ volatile("csrs mstatus, %2; lhu %0, (%1); csrc mstatus, %2" : "=&r"(low) : "r"(pc), "r"(bits) : "memory");
    if ((low & 3) == 3)
        __asm__ volatile("csrs mstatus, %2; lhu %0, 2(%1); csrc mstatus, %2"
                         : "=&r"(high)
                         : "r"(pc), "r"(bits)
                         : "memory");
    return (uint32_t)(high << 16 | low);
}

uint64_t trap(uint64_t *x)
{
    uint64_t start = READ(minstret), cause = READ(mcause), tval = READ(mtval), epc = READ(mepc), next;
    uint64_t status = READ(mstatus) & ~(FS | SD);
    uint32_t insn = 0;

    /* Whether a trap ends a reservation is left open (unprivileged specification, 13.2): here it does. */
    __asm__ volatile("sc.w zero, zero, (%0)" ::"r"(&reservation) : "memory");
    if (!x[R_FINISH])
        end(x);
    if (cause == 12 || cause < 2) {
        next = x[R_BACK];
    } else {
        insn = fetch(epc);
        next = epc + ((insn & 3) == 3 ? 4 : 2);
        if ((insn & 0xf800007f) == 0x1000002f)
            x[R_TEMP] = 1; /* LR: the SC behind it is skipped */
        if ((insn & 0x7f) == 0x2f && cause == 4)
            cause = 6;
        if (cause == 2 && !tval)
            tval = insn;
        if ((insn & 0x707f) == 0x200f)
            tval &= ~UINT64_C(63);
    }
    traps++;
    trap_hash = fold(fold(fold(fold(fold(trap_hash, cause), tval), epc), status), x[R_HASH]);
#ifdef TRACE
    print("cause", cause);
    print(" epc", epc);
    print(" insn", insn);
    print(" tval", tval);
    print(" status", status);
    print(" minstret", start - own);
    line(" hash", x[R_HASH]);
    for (unsigned n = 1; n < 32; n++)
        print(" x", x[n]);
    line(" fcsr", (READ(mstatus) & FS) ? READ(0x003) : 0);
#endif
    own += READ(minstret) - start + 90;
    return next;
}
