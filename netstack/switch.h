/*
 * A learning switch: any number of ports, on demand. Unknown and group addresses go to all other ports.
 *
 * A frame is sent on as it came (gso and partial checksums too: the cables adapt). A port that has no room loses it, and
 * the loss is counted there: a slow guest does not hold up the others. Source addresses are learnt for 5 minutes, at most
 * NET_SWITCH_MACS of them, of which no port may hold more than its share; a group address as source is dropped.
 */
#ifndef NETSTACK_SWITCH_H
#define NETSTACK_SWITCH_H

#include <stdio.h>

#include "netstack/port.h"

struct net_switch;
enum { NET_SWITCH_MACS = 4096, NET_SWITCH_PORTS = 256 };

struct net_switch *net_switch_new(const struct net_env *env, const char *name); /* NULL: out of memory */
void net_switch_free(struct net_switch *s); /* all its ports are unplugged by now */
/* A new port; it is the switch's. isolated: it exchanges frames only with ports that are not isolated. NULL: no more. */
struct net_port *net_switch_add(struct net_switch *s, const char *name, bool isolated);
void net_switch_remove(struct net_switch *s, struct net_port *p); /* unplugged by now */
/* From now on isolated ports exchange frames with gateways only. */
void net_switch_set_gateway(struct net_switch *s, struct net_port *p);
/* A repeater instead (QEMU's hub): nothing is learnt, all go to all. */
void net_switch_set_hub(struct net_switch *s, bool hub);
void net_switch_info(const struct net_switch *s, FILE *out); /* ports and addresses */

#endif
