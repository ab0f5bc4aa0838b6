/* `guise net`: what networks this host and this user have. */
#ifndef FRONTEND_NET_CLI_H
#define FRONTEND_NET_CLI_H

#include "frontend/docs/docs.h"

/* argv[0] is "net". The exit code. */
int net_main(int argc, char **argv);
extern const struct doc net_doc;

#endif
