/* The command line of qemu-system-riscv64, read into a machine_config. */
#ifndef FRONTEND_PERSONALITY_QEMU_H
#define FRONTEND_PERSONALITY_QEMU_H

#include "frontend/config.h"
#include "frontend/docs/docs.h"

enum cli_result { CLI_RUN, CLI_DONE /* help or version printed: exit 0 */, CLI_ERROR };

/* c is initialised; the caller frees it. */
enum cli_result personality_qemu(struct machine_config *c, int argc, char **argv, struct err *e);
extern const struct doc personality_qemu_doc;

#endif
