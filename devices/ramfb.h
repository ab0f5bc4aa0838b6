/*
 * ramfb: a screen in the guest's own memory, which firmware sets up by one write of the fw_cfg file etc/ramfb. No
 * interrupt, no monitor, no mode list: for firmware and early boot (EDK2's QemuRamfbDxe, Linux's efifb after it).
 *
 * The file's 28 bytes, big-endian: address (64 bits), fourcc, flags, width, height, stride (32 bits each; stride 0:
 * rows without a gap). Source: QEMU hw/display/ramfb.c; Linux include/uapi/drm/drm_fourcc.h.
 */
#ifndef DEVICES_RAMFB_H
#define DEVICES_RAMFB_H

#include "devices/device.h"

struct display;

enum { RAMFB_CONFIG = 28 };

struct device *ramfb_new(const struct device_env *env, const char *name, struct err *e);
/* Its file; it is freed after d. */
bool ramfb_offer(struct device *d, struct device *fw_cfg, struct err *e);
struct display *ramfb_screen(struct device *d);

#endif
