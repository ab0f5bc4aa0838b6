/* The inside of struct machine, shared by machine.c (life), machine_devices.c (board) and machine_io.c (consoles, disks). */
#ifndef FRONTEND_MACHINE_PARTS_H
#define FRONTEND_MACHINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "cpu/riscv/config.h"
#include "cpu/riscv/rv.h"
#include "devices/device.h"
#include "devices/virtio.h"
#include "frontend/boot.h"
#include "frontend/chardevs.h"
#include "frontend/machine.h"
#include "frontend/machine_net.h"
#include "frontend/monitor.h"
#include "frontend/mux.h"

enum { DEVICES_MAX = 160, NAME_LEN = 40, DISPLAYS_MAX = 32 };

/* Why vCPUs stand still. */
enum { HALT_STOPPED = 1, HALT_REQUEST = 2, HALT_RESET = 4, HALT_END = 8 };

/* Disk n and the device that shows it to the guest. */
struct drive_link {
    struct machine *m;
    unsigned n;
    struct virtio_dev *blk;
    struct pci_device *nvme;
};

/* A snapshot's merge beside the guest. machine_snap_drop.c */
enum { SNAP_JOB_NONE, SNAP_JOB_RUNNING, SNAP_JOB_DONE, SNAP_JOB_FAILED };
struct snap_job {
    struct snap_set *set;
    unsigned id;
    bool live;               /* the machine runs over it */
    struct block *block[16]; /* in the set's order */
    pthread_t thread;
    bool started;
    _Atomic int state;
    _Atomic bool stop;
    _Atomic uint64_t done, all;
    struct err err; /* once state is FAILED */
};

/* What a vCPU must forget of memory; under memory_lock but for done. machine_memory.c */
struct hart_memory {
    struct vcpu_work work;
    bool posted, flush;
    const uint8_t *from, *to; /* write rights to these host addresses, equal: none */
    uint64_t asked;
    _Atomic uint64_t done;
};

struct hart_thread {
    struct machine *m;
    struct rv *c;
    struct hart_memory memory;
    pthread_t thread;
    bool started;
    _Atomic bool stopped; /* written under m->lock */
};

struct machine {
    const struct machine_config *config;
    struct tty *tty;
    struct isa_config isa;
    bool isa_ready;
    struct log *log;
    struct clock *clock;
    struct loop *loop;
    struct gate *gate;
    struct input *input;
    struct input_player *input_player;
    struct bus *bus;
    struct translator *translator;
    struct sbi *sbi;
    struct boot boot;
    uint8_t *mrom;

    struct device *devices; /* newest first */
    unsigned device_count;
    char names[DEVICES_MAX][NAME_LEN];
    struct device *plic, *aclint, *sswi, *pci, *fw_cfg, *htif;
    struct device *slot[8]; /* virtio-mmio */
    bool slot_used[8];
    struct device *flash[2];
    unsigned ps2_ports;

    struct block *block[CONFIG_MAX];       /* of config->drive */
    struct display *display[DISPLAYS_MAX]; /* the devices' */
    unsigned displays;

    struct drive_link drive_link[CONFIG_MAX];
    struct snap_job snap;
    struct net_link net[CONFIG_MAX]; /* of config->net */
    struct nic *nic[CONFIG_MAX];     /* of config->device, NULL: no adapter */
    struct err key_answer;           /* of Ctrl-A s */
    struct chardev *chardev[CONFIG_MAX];
    struct mux *mux[CONFIG_MAX];
    struct monitor *monitor[CONFIG_MAX];
    struct chardev *silent; /* for devices with no chardev */
    struct chardev htif_console;
    struct counter_log *counters;
    struct chardev *serial; /* what the serial port and the SBI console write to */

    struct hart_thread hart[CONFIG_MAX_CPUS];
    unsigned harts;
    pthread_mutex_t memory_lock;
    uint64_t memory_ticket;
    bool threads_started;
    _Atomic uint32_t halt; /* HALT_* */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    bool request_pending, request_quit, stop_pending;
    char stop_reason[512]; /* why it stopped by itself, "" */
    bool off; /* powered off, but kept */
    int off_code;
    enum machine_event request;
    int request_code;
    void (*watch)(void *arg);
    void *watch_arg;
    /* loop's thread */
    int exit_code;
    struct err failure; /* a reset that could not load its files again */
};

static inline struct device_env machine_env(const struct machine *m)
{
    return (struct device_env){.clock = m->clock, .log = m->log, .bus = m->bus, .gate = m->gate};
}

/* machine_drives.c */
bool machine_open_drives(struct machine *m, struct err *e);
struct drive_link *machine_drive_link(struct machine *m, const char *id); /* NULL: no such disk */
void machine_resume_drives(struct machine *m);                            /* try again what an error held */

/* machine_snap.c */
bool machine_snap_recover(const struct machine_config *c, struct err *e);
void machine_snap_end(struct machine *m); /* machine_snap_drop.c: stop a merge; it goes on another time */

/* machine_io.c */
bool machine_open_chardevs(struct machine *m, struct err *e);
bool machine_attach_monitors(struct machine *m, struct err *e);
/* The device end of chardev n of the config (a port of its mux); negative: a silent one. */
struct chardev *machine_chardev(struct machine *m, int n);
void machine_start_chardevs(struct machine *m);
void machine_flush_chardevs(struct machine *m);
void machine_close_io(struct machine *m);

/* machine_devices.c */
bool machine_build_board(struct machine *m, struct err *e);
bool machine_build_htif(struct machine *m, struct err *e);
/* machine_firmware.c: kernel, initrd and command line as fw_cfg's items, if firmware in flash boots the machine */
bool machine_tell_firmware(struct machine *m, struct err *e);
/* The devices of the config. machine_virtio.c */
bool machine_build_virtio(struct machine *m, struct err *e);
/* Their properties: *val is left alone when the property was not given. */
bool device_number(const struct device_config *d, const char *key, uint64_t max, uint64_t *val, struct err *e);
bool device_flag(const struct device_config *d, const char *key, bool *val, struct err *e);
bool device_pci_addr(const struct device_config *d, int *devfn, struct err *e); /* bus= and addr=; -1: any slot */
/* machine_disks.c */
struct virtio_dev *machine_make_blk(struct machine *m, const struct device_config *d, const char *name, struct err *e);
bool machine_build_nvme(struct machine *m, const struct device_config *d, const char *name, struct err *e);
/* machine_display.c: a device's screen joins the list that machine_displays walks */
bool machine_add_display(struct machine *m, struct display *d, struct err *e);
bool machine_build_bochs(struct machine *m, const struct device_config *d, const char *name, struct err *e);
bool machine_build_ramfb(struct machine *m, const char *name, struct err *e);
bool machine_build_simplefb(struct machine *m, const char *name, struct err *e);
struct virtio_dev *machine_make_gpu(struct machine *m, const struct device_config *d, const char *name, struct err *e);
/* machine_input.c */
bool machine_open_input(struct machine *m, struct err *e); /* needs clock, loop and gate */
void machine_close_input(struct machine *m);               /* after the devices */
struct virtio_dev *machine_make_input(struct machine *m, const struct device_config *d, const char *name,
                                      struct err *e);
bool machine_build_ps2(struct machine *m, const struct device_config *d, const char *name, struct err *e);
/* machine_usb.c: a controller and what is plugged into it */
bool machine_build_xhci(struct machine *m, const struct device_config *d, const char *name, struct err *e);
/* machine_nic.c */
struct virtio_dev *machine_make_net(struct machine *m, const struct device_config *d, const char *name, struct err *e);
bool machine_build_e1000e(struct machine *m, const struct device_config *d, const char *name, struct err *e);
/* machine_net.c: the networks, then their cables to the adapters; the cables go before the devices, the networks after. */
bool machine_open_nets(struct machine *m, struct err *e);
bool machine_plug_nets(struct machine *m, struct err *e);
void machine_unplug_nets(struct machine *m);
void machine_close_nets(struct machine *m);
/* Take d (NULL: out of memory, or e is set already when `made`) into the list. */
bool machine_adopt(struct machine *m, struct device *d, struct err *e);
const char *machine_device_name(struct machine *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void machine_follow_memory(struct machine *m); /* machine_memory.c: the bus tells the vCPUs, which are there */

/* machine_status.c */
void machine_changed(struct machine *m);            /* tell who watches */
void machine_off(struct machine *m, bool off, int code); /* the guest powered off, and the machine stays; or was reset */

/* semihost.c: struct rv_host.semihost */
bool machine_semihost(void *arg, struct rv *c);
/* Bytes from the guest to the serial console; waits a little when it is full, but never for ever. */
void machine_console_write(void *arg, const void *buf, size_t len);
size_t machine_console_read(void *arg, void *buf, size_t len);

#endif
