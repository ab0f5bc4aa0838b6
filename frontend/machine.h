/*
 * One machine, put together from a config: bus, clock, event loop, input gate, log, vCPUs with their threads,
 * translator, devices, consoles and monitors. Re-entrant: any number of machines in one process.
 *
 * machine_new .. machine_run .. machine_free are one thread's (the loop's thread is the one that calls machine_run).
 * The machine_request_ functions may be called from any thread, with device locks held; the rest from the loop's thread.
 */
#ifndef FRONTEND_MACHINE_H
#define FRONTEND_MACHINE_H

#include <stdio.h>

#include "frontend/config.h"

struct block;
struct bus;
struct counter_log;
struct clock;
struct device;
struct display;
struct input;
struct input_player;
struct log;
struct loop;
struct machine;
struct rv;
struct translator;
struct tty;
struct vc;
struct vcpu;

/* c outlives the machine. tty: the process's terminal, NULL: leave it alone. NULL: e is set. */
struct machine *machine_new(const struct machine_config *c, struct tty *tty, struct err *e);
void machine_free(struct machine *m);
/* Run until the machine ends; the exit code of the process. */
int machine_run(struct machine *m);

/* The device tree of c to c->dumpdtb, without a machine. */
bool machine_dump_fdt(const struct machine_config *c, struct err *e);
void machine_terminal_resized(struct machine *m); /* loop's thread */

enum machine_event { MACHINE_POWEROFF, MACHINE_RESET };
/* The guest, or a person, wants it: code is the exit code in case this ends the machine. */
void machine_request(struct machine *m, enum machine_event what, int code);
void machine_request_quit(struct machine *m, int code); /* whatever -no-shutdown says */

void machine_stop(struct machine *m); /* all vCPUs halt, guest time stands still */
void machine_cont(struct machine *m);
/* Any thread: stop soon, and say why (an error of a disk). */
void machine_request_stop(struct machine *m, const char *why);
const char *machine_stop_reason(const struct machine *m); /* of a machine that stopped by itself; "" else */
bool machine_running(const struct machine *m);

enum machine_phase { MACHINE_RUNS, MACHINE_STOPPED, MACHINE_OFF /* the guest powered off, and -no-shutdown */ };
struct machine_status {
    enum machine_phase phase;
    int code;          /* OFF: what the exit code would have been */
    char reason[512];  /* STOPPED by itself: why; "" else */
    uint64_t executed; /* instructions, of all vCPUs */
};
/* For a window; any thread. watch: before the machine runs; fn only wakes somebody, on any thread, when the phase changed. */
void machine_watch(struct machine *m, void (*fn)(void *arg), void *arg);
void machine_get_status(struct machine *m, struct machine_status *s);
bool machine_powerdown(struct machine *m, struct err *e); /* ask the guest; false: it has no such button */

/* Run fn on the vCPU's thread (or here when that has not started) and wait. */
void machine_on_vcpu(struct machine *m, unsigned index, void (*fn)(struct vcpu *v, void *arg), void *arg);

const struct machine_config *machine_config_of(const struct machine *m);
struct bus *machine_bus(const struct machine *m);
struct clock *machine_clock(const struct machine *m);
struct log *machine_log(const struct machine *m);
struct loop *machine_loop(const struct machine *m);
struct translator *machine_translator(const struct machine *m);
unsigned machine_vcpus(const struct machine *m);
struct rv *machine_hart(const struct machine *m, unsigned index);
struct device *machine_devices(const struct machine *m);                           /* a list through ->next */
struct input *machine_input(const struct machine *m);                              /* keys and pointers */
struct input_player *machine_input_player(const struct machine *m);                 /* for the monitor */
struct display *machine_displays(const struct machine *m, unsigned n);             /* NULL: no more */
struct block *machine_drive(const struct machine *m, unsigned n, const char **id); /* NULL: no more */
struct block *machine_drive_find(const struct machine *m, const char *id);
/* Write what a snapshot run wrote into the file of disk id (NULL: of all such); *done: how many. */
bool machine_commit(struct machine *m, const char *id, unsigned *done, struct err *e);
/* `snap take NAME`, `snap list`, `snap delete NAME` on a running machine; answers on out. */
void machine_snap(struct machine *m, const char *verb, const char *name, FILE *out);
bool machine_chardev_open(const struct machine *m, unsigned n); /* of the config's chardev n: somebody listens */

struct counter_log *machine_counters(const struct machine *m); /* lives as long as the machine */
/*
 * The n-th console that wants a tab in the window (chardev vc), its name ("serial0", "monitor", "console0") into name;
 * NULL: no more. It lives as long as the machine.
 */
struct vc *machine_vc(const struct machine *m, unsigned n, char *name, size_t len);

#endif
