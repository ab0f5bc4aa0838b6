/*
 * UART 16550A ("ns16550a") over a character stream, registers one byte apart.
 *
 * Transmission takes no time while the host end takes bytes. When it does not, the 16-byte FIFO fills, THRE stays clear
 * and the guest waits as for a slow line; no vCPU ever blocks. Bytes written into a full FIFO are lost, as on the chip.
 * Source: TI/National PC16550D data sheet; Linux drivers/tty/serial/8250.
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "devices/device.h"

struct chardev;

enum { UART16550_SIZE = 0x100, UART16550_CLOCK = 3686400 /* Hz, before the divisor by 16 */ };

/* The device becomes c's device end; c is not owned and lives longer. NULL: out of memory. */
struct device *uart16550_new(const struct device_env *env, const char *name, struct chardev *c);

#endif
