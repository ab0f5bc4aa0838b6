/* DHCP for IPv4, between its three files: a message as it was read, and the reply to it. */
#ifndef NETSTACK_NAT_DHCP4_H
#define NETSTACK_NAT_DHCP4_H

#include "netstack/nat_svc.h"

enum { /* message types (RFC 2132, 9.6) */
       DHCP_DISCOVER = 1,
       DHCP_OFFER,
       DHCP_REQUEST,
       DHCP_DECLINE,
       DHCP_ACK,
       DHCP_NAK,
       DHCP_RELEASE,
       DHCP_INFORM,
};

enum { /* options (RFC 2132 where nothing else is said) */
       OPT_PAD = 0,
       OPT_SUBNET_MASK = 1,
       OPT_ROUTER = 3,
       OPT_DNS = 6,
       OPT_HOST_NAME = 12,
       OPT_DOMAIN = 15,
       OPT_MTU = 26,
       OPT_BROADCAST = 28,
       OPT_NTP = 42,
       OPT_REQUESTED = 50,
       OPT_LEASE_TIME = 51,
       OPT_OVERLOAD = 52,
       OPT_TYPE = 53,
       OPT_SERVER_ID = 54,
       OPT_REQUEST_LIST = 55,
       OPT_MESSAGE = 56,
       OPT_MAX_SIZE = 57,
       OPT_T1 = 58,
       OPT_T2 = 59,
       OPT_VENDOR_CLASS = 60,
       OPT_CLIENT_ID = 61,
       OPT_TFTP_SERVER = 66,
       OPT_BOOT_FILE = 67,
       OPT_USER_CLASS = 77,   /* RFC 3004 */
       OPT_RAPID_COMMIT = 80, /* RFC 4039 */
       OPT_FQDN = 81,         /* RFC 4702 */
       OPT_ARCH = 93,         /* RFC 4578 */
       OPT_UUID = 97,         /* RFC 4578 */
       OPT_SEARCH = 119,      /* RFC 3397 */
       OPT_END = 255,
};

enum { /* offsets in a message */
       BOOTP_CIADDR = 12,
       BOOTP_YIADDR = 16,
       BOOTP_SIADDR = 20,
       BOOTP_GIADDR = 24,
       BOOTP_CHADDR = 28,
       BOOTP_SNAME = 44,
       BOOTP_FILE = 108,
       BOOTP_COOKIE = 236,
       BOOTP_OPTIONS = 240,
       BOOTP_MIN = 300, /* what a reply is padded to (RFC 1542, 2.1) */
};
#define BOOTP_MAGIC UINT32_C(0x63825363)

/* A request. Nothing in it points into the packet. */
struct dhcp4_msg {
    uint8_t type; /* 0: BOOTP */
    bool broadcast, cookie;
    bool own_mac; /* mac is the sender's in the Ethernet header too */
    uint8_t xid[4];
    uint16_t secs, flags;
    uint8_t mac[ETH_ALEN];
    struct net_addr ciaddr, requested, server_id; /* none: not there */
    uint32_t lease_time;                          /* seconds, 0: not there */
    uint16_t max_size;                            /* of the IP packet, 0: not there */
    bool rapid_commit;
    bool has_list;
    uint8_t list[32]; /* options asked for, a bit each */
    uint8_t name[NAT_NAME_MAX];
    size_t name_len;
    bool pxe, http, ipxe;     /* who boots: by vendor class, architecture, user class */
    uint8_t id[64], uuid[17]; /* given back as they came */
    size_t id_len, uuid_len;
};

/* false: not a request by Ethernet for a server, or cut short. Options that do not fit their message end the list. */
bool dhcp4_read(struct dhcp4_msg *m, const struct packet *p);
/* l NULL: no address (NAK, INFORM of a stranger). type 0: a BOOTP reply. seconds 0: no lease times. */
void dhcp4_reply(struct nat_dhcp *d, const struct nat_lease *l, const struct dhcp4_msg *m, uint8_t type,
                 uint32_t seconds);

#endif
