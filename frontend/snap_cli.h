/* guise snap: snapshots of the disks of a stopped machine, or of a running one through its monitor. */
#ifndef FRONTEND_SNAP_CLI_H
#define FRONTEND_SNAP_CLI_H

#include "frontend/docs/docs.h"

int snap_main(int argc, char **argv); /* argv[0] is "snap"; the exit code */
extern const struct doc snap_doc;

#endif
