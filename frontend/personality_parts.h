/*
 * What the files of QEMU's command line share: personality_qemu.c, personality_block.c (disks), personality_net.c
 * (networks), personality_console.c (consoles and the window).
 */
#ifndef FRONTEND_PERSONALITY_PARTS_H
#define FRONTEND_PERSONALITY_PARTS_H

#include "frontend/config.h"

enum { SPECS = 16 };

struct qemu_dump { /* -object filter-dump; its network may be named later */
    const char *netdev;
    struct net_capture_config capture;
};

struct qemu_cli {
    struct machine_config *c;
    const char *serial[SPECS], *monitor[SPECS], *mon[SPECS], *mon_spec[SPECS];
    unsigned serials, monitors, mons;
    bool nodefaults, nographic, accel_given, accel_found, done, enable_kvm;
    const char *accel_refused, *memory_wanted;
    char memory_ids[SPECS][32];
    unsigned memories;
    struct qemu_dump dump[SPECS];
    unsigned dumps;
};

/* Options: ctx is a struct qemu_cli. */
bool qemu_drive(void *ctx, const char *arg, struct err *e);
bool qemu_blockdev(void *ctx, const char *arg, struct err *e);
bool qemu_hd(void *ctx, const char *arg, struct err *e); /* also a file name by itself */
bool qemu_cdrom(void *ctx, const char *arg, struct err *e);
bool qemu_pflash(void *ctx, const char *arg, struct err *e);
bool qemu_no_such_bus(void *ctx, const char *arg, struct err *e);
bool qemu_netdev(void *ctx, const char *arg, struct err *e);
bool qemu_nic(void *ctx, const char *arg, struct err *e);
bool qemu_net(void *ctx, const char *arg, struct err *e);
bool qemu_filter_dump(struct qemu_cli *q, struct keyvals *k, const char *id, struct err *e);
bool qemu_finish_dumps(struct qemu_cli *q, struct err *e);
bool qemu_serial(void *ctx, const char *arg, struct err *e);
bool qemu_monitor(void *ctx, const char *arg, struct err *e);
bool qemu_mon(void *ctx, const char *arg, struct err *e);
bool qemu_chardev(void *ctx, const char *arg, struct err *e);
bool qemu_echr(void *ctx, const char *arg, struct err *e);
bool qemu_nographic(void *ctx, const char *arg, struct err *e);
bool qemu_parallel(void *ctx, const char *arg, struct err *e);
bool qemu_display(void *ctx, const char *arg, struct err *e);
bool qemu_full_screen(void *ctx, const char *arg, struct err *e);
bool qemu_vga(void *ctx, const char *arg, struct err *e);
bool qemu_no_sdl(void *ctx, const char *arg, struct err *e); /* -sdl, -vnc, -spice: why not, and what instead */
bool qemu_no_vnc(void *ctx, const char *arg, struct err *e);
bool qemu_no_spice(void *ctx, const char *arg, struct err *e);
/* Where serial port and monitor are when nothing was said. */
bool qemu_finish_consoles(struct qemu_cli *q, struct err *e);

/* A type of -netdev. (personality_netdev.c) */
struct qemu_netdev_type {
    const char *name; /* NULL ends the table */
    enum net_mode mode;
    const struct net_key *keys;
    bool (*prepare)(struct net_config *n, const struct keyvals *k, struct err *e); /* before the keys; may be NULL */
    bool (*check)(struct machine_config *c, struct net_config *n, struct err *e);  /* after them; may be NULL */
};
extern const struct qemu_netdev_type qemu_netdev_types[];

#endif
