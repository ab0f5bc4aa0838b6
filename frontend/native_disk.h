/* `--disk FILE[,key=value...]` of guise run. */
#ifndef FRONTEND_NATIVE_DISK_H
#define FRONTEND_NATIVE_DISK_H

#include "frontend/config.h"

bool native_disk(struct machine_config *c, const char *text, struct err *e);

#endif
