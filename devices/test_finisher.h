/*
 * The test finisher (SiFive's, with the `virt` board's reset code): one register by which a guest ends the machine.
 *
 * Write 0x5555: power off with code 0; code << 16 | 0x3333: fail with that code; 0x7777: reset.
 */
#ifndef DEVICES_TEST_FINISHER_H
#define DEVICES_TEST_FINISHER_H

#include "devices/device.h"

enum finish { FINISH_PASS, FINISH_FAIL, FINISH_RESET };

/* finish runs on the vCPU's thread under the device's lock: it posts, and does not wait. code: 0 but for FINISH_FAIL. */
struct device *test_finisher_new(const struct device_env *env, const char *name,
                                 void (*finish)(void *arg, enum finish what, unsigned code), void *arg);

#endif
