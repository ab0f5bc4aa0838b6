/*
 * The monitor: commands typed by a person or a script, on any character device.
 *
 * One table of commands, one of `info` subjects: help and completion come from them. Output lines end with \r\n and
 * input is echoed, as scripts written for QEMU's monitor expect.
 */
#ifndef FRONTEND_MONITOR_H
#define FRONTEND_MONITOR_H

#include <stdio.h>

#include "devices/chardev.h"

struct machine;
struct monitor;

/* NULL: out of memory. */
struct monitor *monitor_new(struct machine *m);
void monitor_free(struct monitor *mon);
/* Be c's device end. greet: banner and prompt at once (not where a mux decides by its focus). */
void monitor_attach(struct monitor *mon, struct chardev *c, bool greet);
void monitor_focus(void *mon, bool in); /* for mux_port */

/* Execute one line and print its answer; for tests and for human-monitor-command. */
void monitor_execute(struct machine *m, const char *line, FILE *out);
/* Words that may follow what is typed: calls fn for each. */
void monitor_complete(const char *typed, void (*fn)(void *arg, const char *word), void *arg);

/* A row of either table. */
struct monitor_row {
    const char *name, *args, *help;
    void (*run)(struct machine *m, char *args, FILE *out);
};
extern const struct monitor_row monitor_info_rows[]; /* monitor_info.c; ends with name NULL */
const struct monitor_row *monitor_rows(void);        /* the commands; for the manual */
/* monitor_block.c: the disks */
void monitor_info_block(struct machine *m, char *args, FILE *out);
void monitor_info_blockstats(struct machine *m, char *args, FILE *out);
void monitor_block_resize(struct machine *m, char *args, FILE *out);
void monitor_block_limits(struct machine *m, char *args, FILE *out);
void monitor_commit(struct machine *m, char *args, FILE *out);
void monitor_info_mirror(struct machine *m, char *args, FILE *out); /* monitor_mirror.c */
void monitor_mirror_replace(struct machine *m, char *args, FILE *out);
/* monitor_net.c: the networks */
void monitor_info_network(struct machine *m, char *args, FILE *out);
void monitor_info_usernet(struct machine *m, char *args, FILE *out);
void monitor_hostfwd_add(struct machine *m, char *args, FILE *out);
void monitor_hostfwd_remove(struct machine *m, char *args, FILE *out);
void monitor_set_link(struct machine *m, char *args, FILE *out);
void monitor_net_set(struct machine *m, char *args, FILE *out);
void monitor_net_capture(struct machine *m, char *args, FILE *out);
/* monitor_display.c: the screens */
void monitor_info_displays(struct machine *m, char *args, FILE *out);
void monitor_screendump(struct machine *m, char *args, FILE *out);
void monitor_info_pci(struct machine *m, char *args, FILE *out); /* monitor_pci.c */
/* monitor_input.c: keyboards and pointers */
void monitor_sendkey(struct machine *m, char *args, FILE *out);
void monitor_release_keys(struct machine *m, char *args, FILE *out);
void monitor_type(struct machine *m, char *args, FILE *out);
void monitor_mouse_move(struct machine *m, char *args, FILE *out);
void monitor_mouse_button(struct machine *m, char *args, FILE *out);
void monitor_mouse_set(struct machine *m, char *args, FILE *out);
void monitor_info_mice(struct machine *m, char *args, FILE *out);
void monitor_info_keyboard(struct machine *m, char *args, FILE *out);
/* fn for each word that begins as a chord typed so far: "ctrl-al" */
void monitor_complete_keys(const char *typed, void (*fn)(void *arg, const char *word), void *arg);
char *monitor_word(char **p); /* the next word of *p, cut out; NULL: none */
void monitor_examine(struct machine *m, char *args, bool physical, FILE *out);

#endif
