/*
 * The built-in guest: a teaching kernel in one page of reading.
 *
 * It builds Sv39 tables, switches paging on, runs a shell in user mode that reaches the kernel only by ecall, takes timer
 * interrupts, and shows what a page-table walk and a page fault look like from inside. Firmware is SBI.
 */
#include <stdint.h>

#define UART ((volatile uint8_t *)0x10000000)
#define USER_TEXT 0x10000ul
#define USER_STACK 0x40000000ul
#define USER_DATA 0x20000ul

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128 };
enum { SYS_PUTC = 1, SYS_GETC, SYS_TICKS, SYS_WALK, SYS_OFF, SYS_FAULTS, SYS_CYCLES };
enum { SBI_TIME = 0x54494d45, SBI_SRST = 0x53525354 };
enum { TICK = 100000 }; /* 10 ms of the 10 MHz time base */

extern long sbi_call(long ext, long fid, long a0, long a1);
extern void trap_return(uint64_t *frame);
extern char user_start[], user_end[];
void kernel_main(uint64_t hart, uint64_t fdt);
uint64_t *trap(uint64_t *f);

static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t pool[16][512] __attribute__((aligned(4096)));
static char user_stack[4096] __attribute__((aligned(4096)));
static char lazy_page[4096] __attribute__((aligned(4096)));
static unsigned pool_used;
static volatile uint64_t ticks, faults;

static void putc(char c)
{
    while (!(UART[5] & 0x20))
        ;
    UART[0] = (uint8_t)c;
}

static void print(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            putc('\r');
        putc(*s);
    }
}

static void print_hex(uint64_t v)
{
    print("0x");
    for (int shift = 60, seen = 0; shift >= 0; shift -= 4) {
        unsigned d = v >> shift & 15;

        seen |= d || !shift;
        if (seen)
            putc("0123456789abcdef"[d]);
    }
}

/* Map one 4 KiB page, making the tables on the way. */
static void map(uint64_t va, uint64_t pa, uint64_t flags)
{
    uint64_t *table = root;

    for (int level = 2; level > 0; level--) {
        uint64_t *pte = &table[va >> (12 + 9 * level) & 511];

        if (!(*pte & PTE_V))
            *pte = (uint64_t)pool[pool_used++] >> 12 << 10 | PTE_V;
        table = (uint64_t *)(*pte >> 10 << 12);
    }
    table[va >> 12 & 511] = pa >> 12 << 10 | flags | PTE_V | PTE_A | PTE_D;
}

/* Show every step that the hardware takes to translate va. */
static void walk(uint64_t va)
{
    const uint64_t *table = root;

    for (int level = 2; level >= 0; level--) {
        unsigned i = va >> (12 + 9 * level) & 511;
        uint64_t pte = table[i];

        print("  level ");
        putc((char)('0' + level));
        print(": table ");
        print_hex((uint64_t)table);
        print(" entry ");
        print_hex(i);
        print(" = ");
        print_hex(pte);
        print(" ");
        for (int b = 7; b >= 0; b--)
            putc(pte >> b & 1 ? "VRWXUGAD"[b] : '-');
        print("\n");
        if (!(pte & PTE_V)) {
            print("  not mapped: an access would fault\n");
            return;
        }
        if (pte & (PTE_R | PTE_X)) {
            uint64_t mask = (1ul << (12 + 9 * level)) - 1;

            print("  leaf: physical address ");
            print_hex((pte >> 10 << 12 & ~mask) | (va & mask));
            print("\n");
            return;
        }
        table = (const uint64_t *)(pte >> 10 << 12);
    }
}

static void off(void)
{
    print("Bye.\n");
    sbi_call(SBI_SRST, 0, 0, 0);
    for (;;)
        ;
}

static void set_timer(void)
{
    uint64_t now;

    __asm__ volatile("rdtime %0" : "=r"(now));
    sbi_call(SBI_TIME, 0, (long)(now + TICK), 0);
}

static void system_call(uint64_t *f)
{
    f[32] += 4;
    switch (f[17]) {
    case SYS_PUTC: putc((char)f[10]); break;
    case SYS_GETC:
        if (!(UART[5] & 1))
            __asm__ volatile("wfi"); /* until the next tick */
        f[10] = UART[5] & 1 ? UART[0] : (uint64_t)-1;
        break;
    case SYS_TICKS: f[10] = ticks; break;
    case SYS_WALK: walk(f[10]); break;
    case SYS_FAULTS: f[10] = faults; break;
    case SYS_CYCLES: __asm__ volatile("rdcycle %0" : "=r"(f[10])); break;
    case SYS_OFF: off(); break;
    default: f[10] = (uint64_t)-1;
    }
}

/* A page that user code may touch without asking: mapped on first use. */
static int lazy_fault(uint64_t va)
{
    if (va >> 12 != USER_DATA >> 12)
        return 0;
    map(USER_DATA, (uint64_t)lazy_page, PTE_R | PTE_W | PTE_U);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
    faults++;
    return 1;
}

uint64_t *trap(uint64_t *f)
{
    uint64_t cause, tval;

    __asm__ volatile("csrr %0, scause; csrr %1, stval" : "=r"(cause), "=r"(tval));
    if (cause == (1ul << 63 | 5)) {
        ticks++;
        set_timer();
    } else if (cause == 8) {
        system_call(f);
    } else if ((cause == 13 || cause == 15) && lazy_fault(tval)) {
        print("  [kernel: page fault at ");
        print_hex(tval);
        print(", a page is mapped, the instruction runs again]\n");
    } else if (!(f[33] & 0x100)) {
        print("  [kernel: trap ");
        print_hex(cause);
        print(" at pc ");
        print_hex(f[32]);
        print(", address ");
        print_hex(tval);
        print(": the instruction is skipped]\n");
        f[32] += (*(uint16_t *)(user_start + (f[32] - USER_TEXT)) & 3) == 3 ? 4 : 2;
    } else {
        print("kernel trap: ");
        print_hex(cause);
        print(" at ");
        print_hex(f[32]);
        print("\n");
        sbi_call(SBI_SRST, 0, 0, 1); /* shutdown, reason: system failure */
    }
    return f;
}

/* --- user mode: its code and constants live in pages of their own, reached at USER_TEXT ------------------------------- */
#define USER __attribute__((section(".user.text"), noinline))
#define TEXT(name, s) static const char name[] __attribute__((section(".user.rodata"))) = s

TEXT(greeting, "\nHello from user mode. This is guise's built-in guest: Sv39 paging, a kernel, and this shell.\n"
               "Commands: help, walk ADDR, touch, fault, ticks, count, off\n");
TEXT(prompt, "guest> ");
TEXT(unknown, "No such command; try help.\n");
TEXT(c_help, "help");
TEXT(c_walk, "walk ");
TEXT(c_touch, "touch");
TEXT(c_fault, "fault");
TEXT(c_ticks, "ticks");
TEXT(c_count, "count");
TEXT(c_off, "off");
TEXT(t_ticks, "timer interrupts so far: ");
TEXT(t_touched, "touched; page faults served: ");
TEXT(t_counted, "sum of 1..1000000 = ");
TEXT(t_cycles, ", cycles: ");

USER static long sys(long n, long a)
{
    register long a0 __asm__("a0") = a;
    register long a7 __asm__("a7") = n;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
    return a0;
}

USER static void say(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            sys(SYS_PUTC, '\r');
        sys(SYS_PUTC, *s);
    }
}

USER static void say_number(uint64_t v)
{
    char digits[21];
    int n = 20;

    digits[20] = 0;
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    say(digits + n);
}

USER static int starts(const char *s, const char *word)
{
    while (*word)
        if (*s++ != *word++)
            return 0;
    return 1;
}

USER static uint64_t number(const char *s)
{
    uint64_t v = 0;

    if (s[0] == '0' && s[1] == 'x')
        s += 2;
    for (; *s; s++)
        v = v << 4 | (uint64_t)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');
    return v;
}

USER static void read_line(char *line, unsigned size)
{
    unsigned n = 0;
    long c = 0;

    while (c != '\r' && c != '\n') {
        c = sys(SYS_GETC, 0);
        if (c < 0)
            continue;
        if ((c == 8 || c == 127) && n) {
            n--;
            sys(SYS_PUTC, 8), sys(SYS_PUTC, ' '), sys(SYS_PUTC, 8);
        } else if (c >= 32 && n < size - 1) {
            line[n++] = (char)c;
            sys(SYS_PUTC, c);
        }
    }
    line[n] = 0;
    sys(SYS_PUTC, '\r');
    sys(SYS_PUTC, '\n');
}

USER static void count(void)
{
    uint64_t sum = 0, start = (uint64_t)sys(SYS_CYCLES, 0);

    for (volatile uint64_t i = 1; i <= 1000000; i++)
        sum += i;
    start = (uint64_t)sys(SYS_CYCLES, 0) - start;
    say(t_counted);
    say_number(sum);
    say(t_cycles);
    say_number(start);
}

USER void user_main(void)
{
    char line[80], nl[2] = {'\n', 0};

    say(greeting);
    for (;;) {
        say(prompt);
        read_line(line, sizeof line);
        if (starts(line, c_help)) {
            say(greeting);
        } else if (starts(line, c_walk)) {
            sys(SYS_WALK, (long)number(line + 5));
        } else if (starts(line, c_touch)) {
            *(volatile int *)USER_DATA = 1;
            say(t_touched);
            say_number((uint64_t)sys(SYS_FAULTS, 0));
            say(nl);
        } else if (starts(line, c_fault)) {
            *(volatile int *)0x80200000 = 1;
        } else if (starts(line, c_ticks)) {
            say(t_ticks);
            say_number((uint64_t)sys(SYS_TICKS, 0));
            say(nl);
        } else if (starts(line, c_count)) {
            count();
            say(nl);
        } else if (starts(line, c_off)) {
            sys(SYS_OFF, 0);
        } else if (line[0]) {
            say(unknown);
        }
    }
}

void kernel_main(uint64_t hart, uint64_t fdt)
{
    static uint64_t frame[34];
    uint64_t status;

    (void)hart;
    (void)fdt;
    root[0] = 0;
    /* the kernel: 1 GiB of RAM and the UART, by themselves; supervisor only */
    root[2] = 0x80000000ul >> 12 << 10 | PTE_V | PTE_R | PTE_W | PTE_X | PTE_G | PTE_A | PTE_D;
    map(0x10000000, 0x10000000, PTE_R | PTE_W | PTE_G);
    for (char *p = user_start; p < user_end; p += 4096)
        map(USER_TEXT + (uint64_t)(p - user_start), (uint64_t)p, PTE_R | PTE_X | PTE_U);
    map(USER_STACK - 4096, (uint64_t)user_stack, PTE_R | PTE_W | PTE_U);
    __asm__ volatile("csrw satp, %0; sfence.vma" ::"r"(8ul << 60 | (uint64_t)root >> 12) : "memory");
    print("Paging is on.\n");
    set_timer();
    __asm__ volatile("csrs sie, %0" ::"r"(1ul << 5));
    __asm__ volatile("csrr %0, sstatus" : "=r"(status));
    frame[2] = USER_STACK;
    frame[32] = USER_TEXT + ((uint64_t)user_main - (uint64_t)user_start);
    frame[33] = (status & ~0x100ul) | 0x20; /* SPP = U, SPIE = 1 */
    __asm__ volatile("csrw sscratch, zero");
    trap_return(frame);
}
