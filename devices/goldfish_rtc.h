/* Goldfish real-time clock: wall time in ns and one alarm. See goldfish_rtc.c. */
#ifndef DEVICES_GOLDFISH_RTC_H
#define DEVICES_GOLDFISH_RTC_H

#include "devices/device.h"

/* Wall time starts as the clock's (clock_wall_offset). NULL: out of memory. */
struct device *goldfish_rtc_new(const struct device_env *env, const char *name);

#endif
