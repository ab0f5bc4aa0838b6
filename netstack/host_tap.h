/* Where a tap's descriptor comes from. */
#ifndef NETSTACK_HOST_TAP_H
#define NETSTACK_HOST_TAP_H

#include "netstack/host_int.h"

/*
 * Open the tap ifname (NULL: the kernel's choice; a pattern with %d) with IFF_VNET_HDR, bring it up, join it to bridge
 * unless that is NULL. name: IFNAMSIZ bytes, what it is called. -1 with e set.
 */
int tap_open(const char *ifname, const char *bridge, char *name, struct err *e);
/* Run helper, which sends the descriptor of a tap on bridge over a unix socket. Waits for it. -1 with e set. */
int tap_from_helper(const char *helper, const char *bridge, struct err *e);

#endif
