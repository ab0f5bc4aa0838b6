/*
 * The log of one machine: `-d` items, and the guest log, which is rate-limited.
 *
 * Thread-safe. A line is written whole. Owner: the machine. The item table in log.c feeds `-d help`.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

enum log_item {
    LOG_IN_ASM,  /* guest code of each new block */
    LOG_IR,      /* its IR */
    LOG_OUT_ASM, /* host code */
    LOG_EXEC,    /* each block entered */
    LOG_INT,     /* traps and interrupts */
    LOG_MMU,     /* page walks and TLB flushes */
    LOG_GUEST,   /* guest_errors: what the guest did wrong */
    LOG_DEVICE,  /* dev:<name>: register accesses of one device */
    LOG_ITEMS
};

struct log {
    uint32_t mask; /* 1 << enum log_item; read without a lock */
    struct log_state *state;
};

struct log *log_new(void); /* items off, to stderr; NULL when out of memory */
void log_free(struct log *l);

/* spec: "in_asm,int,dev:uart"; "help" is for the caller. */
bool log_set_items(struct log *l, const char *spec, struct err *e);
bool log_set_file(struct log *l, const char *path, struct err *e); /* -D */
void log_add_filter(struct log *l, gva lo, gva hi);                /* --dfilter, [lo, hi] */
bool log_in_filter(const struct log *l, gva pc);                   /* true when no filter was given */
void log_items_help(FILE *f);                                      /* a line per item */

static inline bool log_on(const struct log *l, enum log_item i) { return (l->mask >> i) & 1; }
bool log_dev_on(const struct log *l, const char *device);

void log_write(struct log *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * A guest mistake, seen under -d guest_errors: "who: message". At most 10 a second for each who;
 * what was left out is counted in the next line. Never fails, never blocks for long.
 */
void log_guest_msg(struct log *l, const char *who, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
