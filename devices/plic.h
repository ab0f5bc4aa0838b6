/*
 * Platform-level interrupt controller, as SiFive's in the `virt` board: sources 1..95, priorities 0..7, two contexts
 * (M, then S) for each hart.
 *
 * Inputs are levels. A gateway passes one request on and waits for its completion; an input still high then asks again.
 * Source: RISC-V PLIC specification 1.0.0.
 */
#ifndef DEVICES_PLIC_H
#define DEVICES_PLIC_H

#include "devices/device.h"

enum { PLIC_MAX_HARTS = 64, PLIC_SOURCES = 96, PLIC_PRIORITIES = 7, PLIC_SIZE = 0x600000 };

/* harts: 1..PLIC_MAX_HARTS. NULL: out of memory. */
struct device *plic_new(const struct device_env *env, const char *name, unsigned harts);
struct irq plic_input(struct device *d, unsigned source);                   /* a line to give to a device; 1..95 */
struct irq *plic_irq(struct device *d, unsigned hart, bool supervisor);     /* output, for the machine to connect */

#endif
