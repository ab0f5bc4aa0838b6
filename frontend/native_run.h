/* `guise run`: our own command line, read into a machine_config. */
#ifndef FRONTEND_NATIVE_RUN_H
#define FRONTEND_NATIVE_RUN_H

#include "frontend/docs/docs.h"
#include "frontend/personality_qemu.h"

/* argv[first] is the first word after "run". */
enum cli_result native_run(struct machine_config *c, int argc, char **argv, int first, struct err *e);
extern const struct doc native_run_doc;

#endif
