/* `--net MODE[,key=value...]` of guise run. */
#ifndef FRONTEND_NATIVE_NET_H
#define FRONTEND_NATIVE_NET_H

#include "frontend/config.h"

/* *none: the text was "none", and no network was made. */
bool native_net(struct machine_config *c, const char *text, bool *none, struct err *e);
void native_net_help(FILE *out);

#endif
