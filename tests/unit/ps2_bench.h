/* A PS/2 port on a bench: commands go in, bytes come out, the machine's input sends. For test_ps2_*.c. */
#ifndef TESTS_UNIT_PS2_BENCH_H
#define TESTS_UNIT_PS2_BENCH_H

#include "base/loop.h"
#include "devices/altera_ps2.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

struct ps2_bench {
    struct dev_bench b;
    struct loop *loop;
    struct input *in;
    struct device *port;
    struct dev_line line;
};

void ps2_begin(struct ps2_bench *p, enum input_kind kind);
void ps2_end(struct ps2_bench *p);
void ps2_command(struct ps2_bench *p, unsigned byte);
/* What waits, as "fa aa", taken; "": nothing. */
const char *ps2_read(struct ps2_bench *p);
const char *ps2_ask(struct ps2_bench *p, unsigned byte); /* both */
void ps2_send(struct ps2_bench *p, unsigned type, unsigned code, int value);
const char *ps2_key(struct ps2_bench *p, unsigned code, bool down); /* and what the port has then */

#endif
