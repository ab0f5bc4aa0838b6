/*
 * What a command line asks for: the one description of a machine that every way of starting it fills in
 * (personality_qemu.c, native_run.c, tests) and machine.c builds from.
 *
 * All strings belong to the config (config_str) or are constants. Nothing here touches the host.
 */
#ifndef FRONTEND_CONFIG_H
#define FRONTEND_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frontend/device_table.h"
#include "frontend/net_config.h"
#include "frontend/options.h"
#include "images/block.h"
#include "translator/translator.h"

enum {
    CONFIG_MAX = 64,      /* of each kind of part */
    CONFIG_SERIALS = 4,   /* -serial given; the board has one */
    CONFIG_VC_MAX = 1000, /* columns or rows of a console in the window */
    CONFIG_MAX_CPUS = 64, /* of the PLIC and the ACLINT */
};

enum chardev_kind { CHARDEV_NULL, CHARDEV_STDIO, CHARDEV_FILE, CHARDEV_PTY, CHARDEV_UNIX, CHARDEV_VC };

struct chardev_config {
    const char *id;
    enum chardev_kind kind;
    const char *path;    /* FILE, UNIX */
    bool mux;            /* several users, Ctrl-A keys */
    bool signal;         /* STDIO: Ctrl-C ends the emulator */
    bool server, wait;   /* UNIX */
    bool append;         /* FILE */
    uint16_t cols, rows; /* VC; 0: as usual */
};

enum drive_bus { DRIVE_NONE, DRIVE_VIRTIO, DRIVE_PFLASH };

struct drive_config {               /* drive.h says how it is opened */
    const char *id, *file, *format; /* format NULL: not named */
    struct json_t *node;            /* instead of file: a tree of block nodes, owned */
    const char *allow;              /* a folder where files that the image names may lie */
    enum drive_bus bus;
    int unit; /* PFLASH: 0, 1; -1: next free */
    bool bus_given, read_only, snapshot, writethrough, no_discard, direct, ignore_flush;
    bool layer;              /* a node that is part of another one's tree */
    uint64_t offset, length; /* a part of the file, 0: all */
    unsigned partition;
    enum block_aio aio;
    enum block_zeroes detect_zeroes;
    enum block_policy rerror, werror;
    bool limited;
    struct block_limits limits;
};

struct device_config {
    const struct device_type *type;
    struct keyvals props; /* keys are among type->props */
};

struct loader_config { /* -device loader */
    const char *file;  /* NULL: data */
    uint64_t addr, data;
    bool has_addr, raw, has_cpu;
    unsigned data_len, cpu;
};

struct fwcfg_config {
    const char *name, *string, *file; /* string or file */
};

struct global_config {
    const char *driver, *prop, *value;
    bool used;
};

/* What is held with the window's own keys; the left ones. */
enum grab_keys { GRAB_CTRL_ALT, GRAB_RIGHT_CTRL, GRAB_SHIFT_CTRL_ALT };

struct display_config {
    bool given, window;         /* by an option; there is a window */
    bool full_screen, no_close; /* closing the window does nothing */
    bool show_cursor;           /* the host's pointer is seen over the guest's screen */
    bool whole;                 /* enlarge by whole numbers only */
    enum grab_keys keys;
};

enum firmware { FIRMWARE_SBI, FIRMWARE_FILE, FIRMWARE_NONE };

enum { PORT_NONE = -1 }; /* no chardev */

struct machine_config {
    const char *program; /* for messages: argv[0]'s last part */
    const char *name;
    bool qemu; /* QEMU's words at the monitor's prompt */

    const char *cpu; /* "rv64,zbb=off" */
    unsigned cpus;
    uint64_t ram; /* bytes */
    struct translator_options translator;
    bool aclint;

    enum firmware firmware;
    const char *bios, *kernel, *initrd, *append, *dtb, *dumpdtb, *signature;

    struct chardev_config chardev[CONFIG_MAX];
    unsigned chardevs;
    int serial[CONFIG_SERIALS]; /* index of a chardev, or PORT_NONE */
    unsigned serials;
    int monitor[CONFIG_MAX]; /* index of chardevs */
    unsigned monitors;
    unsigned escape; /* the Ctrl-A byte */

    struct drive_config drive[CONFIG_MAX];
    unsigned drives;
    const char *pflash[2]; /* ids of drives */
    struct device_config device[CONFIG_MAX];
    unsigned devices;
    struct loader_config loader[CONFIG_MAX];
    unsigned loaders;
    struct fwcfg_config fwcfg[CONFIG_MAX];
    unsigned fwcfgs;
    struct global_config global[CONFIG_MAX];
    unsigned globals;
    struct net_config net[CONFIG_MAX];
    unsigned nets;
    bool virtio_mmio_modern; /* virtio-mmio.force-legacy=false */

    struct display_config display;

    bool no_reboot, no_shutdown, paused, snapshot;
    bool semihosting;
    const char *log_items, *log_file, *dfilter, *pidfile;
    bool rtc_local, rtc_set;
    int64_t rtc_base; /* seconds since 1970, when rtc_set */

    void **pool; /* strings and lists */
    unsigned pool_len;
};

void config_init(struct machine_config *c);
void config_free(struct machine_config *c);

/* A copy of s that lives as long as the config. NULL for NULL. */
const char *config_str(struct machine_config *c, const char *s);
void *config_alloc(struct machine_config *c, size_t size); /* zeroed, as long as the config; never NULL */

/* Index of a new chardev, -1 with e set. */
int config_chardev_new(struct machine_config *c, enum chardev_kind kind, const char *id, struct err *e);
int config_chardev_find(const struct machine_config *c, const char *id); /* -1: none */
/*
 * "stdio", "mon:stdio", "file:PATH", "pty", "unix:PATH[,server][,wait=off]", "vc[:80Cx24C]", "null", "none", "chardev:ID":
 * *index, PORT_NONE for none. chardev:ID must exist by now. Only one chardev can be stdio.
 */
bool config_chardev_spec(struct machine_config *c, const char *spec, const char *label, int *index, struct err *e);
bool config_vc_size(struct chardev_config *cd, uint64_t cols, uint64_t rows, struct err *e);
bool config_add_monitor(struct machine_config *c, int chardev, struct err *e);

struct drive_config *config_drive_new(struct machine_config *c, struct err *e);
struct drive_config *config_drive_find(struct machine_config *c, const char *id);
/* "DRIVER,prop=value,...": checked against the device table. */
bool config_add_device(struct machine_config *c, const char *spec, struct err *e);
/* The device that uses the drive, or NULL. */
const struct device_config *config_drive_user(const struct machine_config *c, const char *id);
/* The controller that a USB device sits on: the one bus= names, else the first. NULL with e set: there is none. */
const struct device_config *config_usb_controller(const struct machine_config *c, const struct device_config *d,
                                                  struct err *e);
/* A property of a device, NULL when not given. */
const char *device_prop(const struct device_config *d, const char *key);

/* "none", "sdl[,grab-mod=...][,...]": -display's argument, "window" is ours for the same; "help" prints. (config_display.c) */
bool config_set_display(struct machine_config *c, const char *spec, struct err *e);
void config_display_help(FILE *out);

bool config_set_engine(struct machine_config *c, const char *name, struct err *e);

/* Resolve references: drives of devices, chardevs of ports, flash, globals. Call once, after all options. */
bool config_finish(struct machine_config *c, struct err *e);

#endif
