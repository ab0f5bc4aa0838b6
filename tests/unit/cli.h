/* Command lines in tests: read into one machine_config, which lasts until the next one. */
#ifndef TESTS_UNIT_CLI_H
#define TESTS_UNIT_CLI_H

#include "frontend/native_run.h"

extern struct machine_config cli_config;
extern struct err cli_error;

/* Splits at blanks; '~' stands for a blank inside a word. "guise run ..." is ours, anything else QEMU's. */
enum cli_result cli_run(const char *line);
void cli_expect_run(const char *line);
void cli_expect_error(const char *line, const char *part); /* part of the message */

#endif
