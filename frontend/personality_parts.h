/* What the files of QEMU's command line share: personality_qemu.c and personality_block.c (disks). */
#ifndef FRONTEND_PERSONALITY_PARTS_H
#define FRONTEND_PERSONALITY_PARTS_H

#include "frontend/config.h"

enum { SPECS = 16 };

struct qemu_cli {
    struct machine_config *c;
    const char *serial[SPECS], *monitor[SPECS], *mon[SPECS], *mon_spec[SPECS];
    unsigned serials, monitors, mons;
    bool nodefaults, nographic, display_given, accel_given, accel_found, done, enable_kvm;
    const char *accel_refused, *memory_wanted;
    char memory_ids[SPECS][32];
    unsigned memories;
};

/* Options: ctx is a struct qemu_cli. */
bool qemu_drive(void *ctx, const char *arg, struct err *e);
bool qemu_blockdev(void *ctx, const char *arg, struct err *e);
bool qemu_hd(void *ctx, const char *arg, struct err *e); /* also a file name by itself */
bool qemu_cdrom(void *ctx, const char *arg, struct err *e);
bool qemu_pflash(void *ctx, const char *arg, struct err *e);
bool qemu_no_such_bus(void *ctx, const char *arg, struct err *e);

#endif
