/*
 * HTIF: the host interface of conformance suites and bare test programs, two 64-bit words in RAM.
 *
 * `tohost` and `fromhost` stay ordinary RAM (any store reaches them, also two 32-bit halves, and code may share their
 * page); the device looks at them on a timer of the machine's clock, as Spike does between slices of instructions.
 * device (63..56), command (55..48), payload: 0/0 odd = exit with payload >> 1, even = address of a system call block
 * (write to 1 and 2, exit); 1/1 = put character, 1/0 = get character.
 * Source: riscv-isa-sim, fesvr (htif.cc, device.cc, syscall.cc).
 */
#ifndef DEVICES_HTIF_H
#define DEVICES_HTIF_H

#include "devices/device.h"

struct chardev;

struct htif_config {
    gpa tohost, fromhost;                        /* fromhost 0: none */
    void (*exit)(void *arg, uint64_t exit_code); /* from the clock's thread; the device's lock is held */
    void *arg;
    struct chardev *console; /* its device end becomes HTIF's; may be NULL (output is dropped) */
};

/* Not put on the bus. NULL: out of memory. */
struct device *htif_new(const struct device_env *env, const char *name, const struct htif_config *c);

#endif
