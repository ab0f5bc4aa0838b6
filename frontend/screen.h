/*
 * The screen that a device tree describes (-device simple-framebuffer): its place at the top of the guest's memory, which
 * boot.c leaves free, and its nodes.
 */
#ifndef FRONTEND_SCREEN_H
#define FRONTEND_SCREEN_H

#include "base/err.h"
#include "base/types.h"
#include "devices/display.h"

struct machine_config;

struct screen {
    gpa base;      /* of the picture; 0: there is no such screen */
    uint64_t size; /* bytes from there to the end of memory, all reserved */
    const char *format;
    struct surface surface; /* without data */
};

/* From the config. False: it cannot be made. */
bool screen_plan(const struct machine_config *c, struct screen *s, struct err *e);
/* Add /reserved-memory and /chosen/framebuffer to the tree at fdt, which has room. A code of libfdt, 0: fine. */
int screen_describe(void *fdt, const struct screen *s);

#endif
