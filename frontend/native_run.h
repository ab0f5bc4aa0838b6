/* `guise run`: our own command line, read into a machine_config. */
#ifndef FRONTEND_NATIVE_RUN_H
#define FRONTEND_NATIVE_RUN_H

#include "frontend/personality_qemu.h"

/* argv[first] is the first word after "run". */
enum cli_result native_run(struct machine_config *c, int argc, char **argv, int first, struct err *e);
const struct option_row *native_run_options(void);

#endif
