/*
 * A guest behind the address of an adapter: for Wi-Fi, where an access point passes only frames of the station that
 * joined it. What the guest sends leaves with the adapter's MAC, what comes for one of its IP addresses gets the guest's
 * again.
 *
 * Addresses in ARP, neighbour discovery (RFC 4861, 4.6.1) and DHCP follow; a DHCP client is answered by broadcast
 * (RFC 2131, 4.1), as the server cannot reach its MAC. Of other protocols only group frames reach the guest. Frames are
 * whole: no checksum is left to others.
 */
#ifndef NETSTACK_MAC_NAT_H
#define NETSTACK_MAC_NAT_H

#include "netstack/nat.h"
#include "netstack/port.h"

enum { MAC_NAT_MAX = 32 };

struct mac_nat {
    uint8_t mac[ETH_ALEN];  /* the adapter's */
    uint8_t last[ETH_ALEN]; /* of the guest that sent last: who has no IP address yet */
    struct mac_nat_entry {
        struct net_addr ip;
        uint8_t mac[ETH_ALEN];
        uint64_t used;
    } entry[MAC_NAT_MAX];
    unsigned count;
    uint64_t uses, changes; /* changes: another number when there is another address */
};

/* A guest's frame, in place. Its source address is learned; of too many the one that was quiet longest is forgotten. */
void mac_nat_out(struct mac_nat *m, uint8_t *frame, size_t len);
/* A frame for the adapter's MAC or a group, in place. false: it is not for a guest. */
bool mac_nat_in(struct mac_nat *m, uint8_t *frame, size_t len);

#endif
