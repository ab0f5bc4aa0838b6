/*
 * Parallel NOR flash with Intel's command set (CFI 0001): two 16-bit chips side by side on a 32-bit bus, as on `virt`.
 *
 * While the array is read the flash is ROM on the bus, so that code runs from it; a command makes it registers until
 * "read array" (0xff). Bus users therefore look at region.kind on every data access and keep no host address of a ROM
 * region that has ops.
 * Source: Intel StrataFlash J3 data sheet, JEDEC JESD68 (CFI); Linux drivers/mtd/chips/cfi_cmdset_0001.c.
 */
#ifndef DEVICES_PFLASH_CFI01_H
#define DEVICES_PFLASH_CFI01_H

#include "devices/device.h"

struct block;

enum { PFLASH_SIZE = 0x2000000, PFLASH_SECTOR = 0x40000 };

/*
 * PFLASH_SIZE bytes, zeros or the contents of backing, which must have exactly that size. What the guest programs is
 * written to backing unless that is read-only (or read_only is set: then programming fails as with a write-protected
 * chip). backing is not owned and is closed after the device is freed.
 */
struct device *pflash_new(const struct device_env *env, const char *name, struct block *backing, bool read_only,
                          struct err *e);
/* The contents, PFLASH_SIZE bytes, for the loader before the machine runs. */
uint8_t *pflash_data(struct device *d);
/* Wait until all that was programmed is in backing. false: some of it could not be written (told in the log, too). */
bool pflash_flush(struct device *d);

#endif
