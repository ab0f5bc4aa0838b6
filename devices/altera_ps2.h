/*
 * A PS/2 port with a keyboard or a mouse on it, as Altera's University Program made it: two registers and an interrupt.
 * Debian's riscv64 kernel has its driver (altera_ps2), and a small kernel needs ten lines for one. See altera_ps2.c.
 */
#ifndef DEVICES_ALTERA_PS2_H
#define DEVICES_ALTERA_PS2_H

#include "devices/device.h"
#include "devices/input.h"

enum { ALTERA_PS2_SIZE = 8 };

/* kind: INPUT_KEYBOARD or INPUT_MOUSE. in is borrowed. NULL: out of memory. */
struct device *altera_ps2_new(const struct device_env *env, const char *name, struct input *in, enum input_kind kind);

#endif
