/*
 * What device fuzz targets share: a machine around one device, made anew for each input, and a reader of the input's bytes.
 *
 * The input is a list of operations: accesses of registers, DMA memory filled, the clock moved, the device reset, saved and
 * restored, junk restored, and whatever the target adds. A device that does not come back from a save and restore as it
 * was is a finding.
 */
#ifndef TESTS_FUZZ_MACHINE_H
#define TESTS_FUZZ_MACHINE_H

#include "devices/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_RAM_SIZE = 0x10000 };
#define FUZZ_RAM UINT64_C(0x80000000)
#define FUZZ_BASE UINT64_C(0x10000000)

struct fuzz_in {
    const uint8_t *p;
    size_t left;
};

/* Little-endian number of n bytes; 0 after the end. */
uint64_t fuzz_take(struct fuzz_in *in, unsigned n);

struct fuzz_machine {
    struct clock *clock;
    struct log *log;
    struct bus *bus;
    struct gate *gate;
    struct device_env env;
};

void fuzz_machine_open(struct fuzz_machine *m);
void fuzz_machine_close(struct fuzz_machine *m);

/* Reset d, save and restore it, or restore junk, as the input says. */
void fuzz_disturb(struct device *d, struct fuzz_in *in);

struct fuzz_target {
    struct device *dev;
    gpa (*address)(struct fuzz_in *in);               /* where the next access goes */
    void (*event)(struct fuzz_in *in, unsigned kind); /* the target's own operations; may be NULL */
};
/* Run the whole input against the device, which is mapped already. */
void fuzz_run(struct fuzz_machine *m, const struct fuzz_target *t, const uint8_t *data, size_t size);

#endif
