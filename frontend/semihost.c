/*
 * Semihosting (RISC-V Semihosting 1.0, after Arm's): a program tells its exit code, and writes characters.
 * The console of the native SBI is here too: both are the guest writing to the serial console without a device.
 */
#include <time.h>

#include "frontend/board_virt.h"
#include "frontend/machine_parts.h"
#include "mmu/bus.h"

enum { SYS_WRITEC = 0x03, SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, SYS_EXIT_EXTENDED = 0x20 };
enum { ADP_APPLICATION_EXIT = 0x20026 };
enum { REG_A0 = 10, REG_A1 = 11, WRITE0_MAX = 65536 };
enum { UART_DATA = 0, UART_LSR = 5, UART_LSR_DR = 1 };

void machine_console_write(void *arg, const void *buf, size_t len)
{
    struct machine *m = arg;
    const uint8_t *p = buf;

    while (len) {
        struct timespec nap = {0, 1000000};
        size_t n = m->serial->write(m->serial, p, len);

        p += n;
        len -= n;
        if (!len || atomic_load(&m->halt))
            return; /* a machine that stops must not wait for a reader */
        nanosleep(&nap, NULL);
    }
}

/* Input belongs to the UART: take it from there, as firmware does. */
size_t machine_console_read(void *arg, void *buf, size_t len)
{
    struct machine *m = arg;
    gpa uart = board_virt[BOARD_UART0].base;
    uint8_t *out = buf;
    size_t n = 0;
    uint64_t v;

    while (n < len && bus_read(m->bus, uart + UART_LSR, 1, &v) && (v & UART_LSR_DR) &&
           bus_read(m->bus, uart + UART_DATA, 1, &v))
        out[n++] = (uint8_t)v;
    return n;
}

/* Guest memory as the program sees it. false: not mapped; no trap is left behind. */
static bool load(struct rv *c, gva va, unsigned size, uint64_t *val)
{
    if (vcpu_load(&c->v, va, size, val))
        return true;
    c->v.fault = 0;
    return false;
}

static void write0(struct machine *m, struct rv *c, gva va)
{
    for (unsigned i = 0; i < WRITE0_MAX; i++) {
        uint64_t ch;

        if (!load(c, va + i, 1, &ch) || !ch)
            return;
        machine_console_write(m, &(uint8_t){(uint8_t)ch}, 1);
    }
}

bool machine_semihost(void *arg, struct rv *c)
{
    struct machine *m = arg;
    uint64_t op = x_get(c, REG_A0), param = x_get(c, REG_A1), reason, code, ch;

    switch ((uint32_t)op) {
    case SYS_EXIT:
    case SYS_EXIT_EXTENDED:
        if (!load(c, param, 8, &reason) || !load(c, param + 8, 8, &code))
            return false;
        machine_request(m, MACHINE_POWEROFF, reason == ADP_APPLICATION_EXIT ? (int)(code & 0xff) : 1);
        return true;
    case SYS_WRITEC:
        if (!load(c, param, 1, &ch))
            return false;
        machine_console_write(m, &(uint8_t){(uint8_t)ch}, 1);
        return true;
    case SYS_WRITE0: write0(m, c, param); return true;
    default: x_set(c, REG_A0, ~UINT64_C(0)); return true; /* a call that failed */
    }
}
