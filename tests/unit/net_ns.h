/*
 * A network namespace of the test's own, so that a test of the NAT may have addresses to speak to, ICMP sockets and closed
 * ports, and nothing it does can leave this machine.
 *
 * In it are only the loopback (127.0.0.0/8, ::1) and, on it, 192.0.2.0/24 (RFC 5737) and 2001:db8::1 and ::2 (RFC 3849).
 */
#ifndef TESTS_UNIT_NET_NS_H
#define TESTS_UNIT_NET_NS_H

#include <stdbool.h>

/* Enter one, for the rest of this process (of one thread). false: the host does not let us; text for people on stdout. */
bool net_ns_enter(void);
/* Whether ICMP sockets are for this process (net.ipv4.ping_group_range). They are at first. */
void net_ns_ping(bool allowed);
/*
 * A way out of it that ends in this program: what this machine sends to 203.0.113.0/24 (RFC 5737) and 2001:db8:2::/64 can be
 * read, as IP packets, from the descriptor; what is written to it arrives. Non-blocking; closed: the way is gone. This
 * machine's own addresses there are 198.51.100.1 and 2001:db8:1::1. -1: the host has no tun device for us.
 */
int net_ns_tun(void);

#endif
