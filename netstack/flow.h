/* Which flow a frame belongs to, for what spreads frames over queues. */
#ifndef NETSTACK_FLOW_H
#define NETSTACK_FLOW_H

#include "netstack/port.h"

/*
 * A number that both directions of a conversation share: from addresses, protocol and, of TCP and UDP that is not fragmented,
 * ports; from the Ethernet addresses for what is not IP. Not keyed: whoever chooses addresses can choose it.
 */
uint32_t net_flow_hash(const struct net_frame *f);
bool net_flow_ip6(const struct net_frame *f); /* an IPv6 packet, behind VLAN tags too */

#endif
