/*
 * ACLINT in the shape of SiFive's CLINT: software interrupts (MSWI), machine timers (MTIMER), and SSWI as a device apart.
 *
 * One 64 KiB window: msip at 0, mtimecmp at 0x4000, mtime at 0xbff8. mtime counts at 10 MHz from reset and can be written.
 * Lines: ACLINT_MSI and ACLINT_MTI are levels. SSWI's line is a pulse: set(true) each time the guest writes a 1; the
 * receiver sets its SSIP bit, nothing ever clears it from here.
 * Source: RISC-V ACLINT specification 1.0-rc4.
 */
#ifndef DEVICES_ACLINT_H
#define DEVICES_ACLINT_H

#include "devices/device.h"

enum { ACLINT_MAX_HARTS = 64, ACLINT_HZ = 10000000, ACLINT_SIZE = 0x10000, ACLINT_SSWI_SIZE = 0x4000 };

enum aclint_line { ACLINT_MSI, ACLINT_MTI };

/* harts: 1..ACLINT_MAX_HARTS. NULL: out of memory. */
struct device *aclint_new(const struct device_env *env, const char *name, unsigned harts);
struct irq *aclint_irq(struct device *d, enum aclint_line line, unsigned hart); /* for the machine to connect */

/* mtime now, and the machine clock's ns at which mtime will be t (CLOCK_NEVER: not within the clock's range). No lock. */
uint64_t aclint_time(const struct device *d);
uint64_t aclint_time_to_clock(const struct device *d, uint64_t t);
/* fn is called, under the device's lock, after mtime was written or reset: timers derived from it are to be set anew. */
void aclint_on_time_change(struct device *d, void (*fn)(void *arg), void *arg);

struct device *aclint_sswi_new(const struct device_env *env, const char *name, unsigned harts);
struct irq *aclint_sswi_irq(struct device *d, unsigned hart);

#endif
