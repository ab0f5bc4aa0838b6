/*
 * A framebuffer that is just there: memory of a fixed shape, of which the guest learns from its device tree
 * (simple-framebuffer). It has no registers. Source: Linux Documentation/devicetree/bindings/display/
 * simple-framebuffer.yaml.
 */
#ifndef DEVICES_SIMPLEFB_H
#define DEVICES_SIMPLEFB_H

#include "devices/device.h"

struct display;
struct surface;

/* s (without data) lies in RAM at base: on the bus already. The memory is cleared at reset. */
struct device *simplefb_new(const struct device_env *env, const char *name, gpa base, const struct surface *s,
                            struct err *e);
struct display *simplefb_screen(struct device *d);

#endif
