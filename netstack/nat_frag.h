/*
 * Reassembly of fragments, for both families.
 *
 * Bounded in datagrams (each guest has a share of them), in pieces of one and in time. Pieces that overlap, lie beyond the
 * end or are too many spoil their datagram: it is dropped, and what still comes of it too (RFC 5722, RFC 8200 4.5).
 */
#ifndef NETSTACK_NAT_FRAG_H
#define NETSTACK_NAT_FRAG_H

#include "netstack/nat_int.h"

struct nat_fragment {
    uint32_t id;
    size_t off; /* bytes, a multiple of 8 */
    bool more;
    uint8_t next; /* what is behind the headers: the protocol, IPv6: the next header (of the first fragment) */
};

/*
 * p is one fragment's payload, ip its header. A datagram that it completes goes to nat_ip_deliver, or for IPv6 to
 * nat_ip6_upper, before this returns.
 */
void nat_frag_input(struct nat *n, const struct nat_ip *ip, const struct nat_fragment *fr, struct packet *p);
/* Of a reassembled datagram: the headers that begin with `next`. */
void nat_ip6_upper(struct nat *n, struct nat_ip *ip, uint8_t next, struct packet *p);

#endif
