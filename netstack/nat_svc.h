/*
 * What the NAT's services (DHCP, DHCPv6, router advertisements, DNS, TFTP) share, and nobody else: the table of leases,
 * names in the form of DNS, the way of a reply.
 */
#ifndef NETSTACK_NAT_SVC_H
#define NETSTACK_NAT_SVC_H

#include "netstack/nat_int.h"

enum { /* ports */
       PORT_DNS = 53,
       PORT_DHCP_SERVER = 67,
       PORT_DHCP_CLIENT = 68,
       PORT_TFTP = 69,
       PORT_DHCP6_CLIENT = 546,
       PORT_DHCP6_SERVER = 547,
};

enum { LEASE_SECONDS = 86400, LEASE_HOLD_SECONDS = 60, LEASE_DECLINED_SECONDS = 600, LEASES_DECLINED_MAX = 16 };

/*
 * A guest, known by its MAC, and its addresses of both families. The addresses stay the guest's when the lease ends, until
 * nothing else is left for another.
 */
struct nat_lease {
    uint8_t mac[ETH_ALEN];
    bool used; /* the slot is somebody's */
    const struct nat_static_lease *fixed;
    struct net_addr a4, a6;  /* none: not given yet */
    uint64_t until4, until6; /* bound until, ns; 0: not bound */
    uint64_t held;           /* offered: nobody else gets the addresses before, ns */
    uint64_t seen;           /* order in which guests were last heard */
    char name[NAT_NAME_MAX]; /* as the guest said, made harmless; "": none */
};

struct nat_dhcp {
    struct nat *n;
    struct nat_lease lease[NAT_LEASES_MAX];
    uint64_t seen;
    struct {
        struct net_addr addr;
        uint64_t until;
    } declined[LEASES_DECLINED_MAX];
    unsigned declined_next;
};

/* The guest's lease; NULL: none yet, or (lease_of) every slot is bound. Valid until the next lease_of. */
struct nat_lease *lease_find(struct nat_dhcp *d, const uint8_t mac[ETH_ALEN]);
struct nat_lease *lease_of(struct nat_dhcp *d, const uint8_t mac[ETH_ALEN]);
/*
 * Give l an address of the family: its fixed one, the one it had, want (none: no wish) when that is free, else the first
 * free one of the pool, else that of the guest that was not heard of for longest. false: all are in use.
 */
bool lease_address(struct nat_dhcp *d, struct nat_lease *l, bool is4, const struct net_addr *want);
/* a is l's, or free for l to have. */
bool lease_may_have(struct nat_dhcp *d, const struct nat_lease *l, const struct net_addr *a);
/* Another host answered for a: nobody gets it for a while. */
void lease_decline(struct nat_dhcp *d, struct nat_lease *l, const struct net_addr *a);
void lease_hold(struct nat_dhcp *d, struct nat_lease *l);
void lease_bind(struct nat_dhcp *d, struct nat_lease *l, bool is4, uint32_t seconds);
void lease_set_name(struct nat_lease *l, const uint8_t *name, size_t len); /* its first label, if it is a host name */
const char *lease_name(const struct nat_lease *l);                         /* the fixed one or its own; "": none */
bool lease_active(const struct nat_dhcp *d, const struct nat_lease *l, bool is4);
/* The name of the guest that has a; NULL: nobody has, or it has no name. */
const char *lease_name_of(const struct nat_dhcp *d, const struct net_addr *a);

enum { DNS_NAME_MAX = 255 }; /* bytes of a name in packets (RFC 1035, 2.3.4) */

/*
 * Write "a.b.c" as labels with the final zero. False when it is no name (a label that is empty or longer than 63, more
 * than 255 bytes), with nothing written; or when it does not fit (w->bad).
 */
bool dns_name_write(struct writer *w, const char *name);
/*
 * The NULL-ended list with RFC 1035 compression within what is written from offset start of w on (RFC 3397). Names that
 * are none are left out.
 */
void dns_search_write(struct writer *w, size_t start, const char *const *names);
/*
 * Read labels at off of the len bytes, compression followed, into text of DNS_NAME_MAX + 1 ("." for the root; bytes that
 * are no printing character, and dots inside a label, as '?'). The offset behind it, 0: it is no name.
 */
size_t dns_name_read(const uint8_t *msg, size_t len, size_t off, char *text);
/* The domain of this network: the user's, else "guise". */
const char *nat_domain(const struct nat *n);
/* name is in the domain or in "guise": its first part to label; false: it is not, or it has more parts before. */
bool nat_domain_strip(const struct nat *n, const char *name, char label[64]);

enum { TFTP_NAME_MAX = 512 };
/* The regular file of that name beneath the folder root, to be read; -1: there is none that may be. */
int tftp_open(int root, const char *name);

/* A UDP datagram to a guest. mac NULL: looked up, or that of the group. false: no room at the far end. */
bool svc_send(struct nat *n, const struct net_addr *src, uint16_t sport, const struct net_addr *dst, uint16_t dport,
              const uint8_t *mac, const void *data, size_t len);
uint32_t svc_random(struct nat *n);
const char *svc_mac_text(const uint8_t mac[ETH_ALEN], char buf[18]); /* buf */

#endif
