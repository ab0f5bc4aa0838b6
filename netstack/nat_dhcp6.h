/* DHCP for IPv6, between its files: a message as it was read, and the names of what is in messages (RFC 8415). */
#ifndef NETSTACK_NAT_DHCP6_H
#define NETSTACK_NAT_DHCP6_H

#include "netstack/nat_svc.h"

enum { /* message types (7.3) */
       D6_SOLICIT = 1,
       D6_ADVERTISE,
       D6_REQUEST,
       D6_CONFIRM,
       D6_RENEW,
       D6_REBIND,
       D6_REPLY,
       D6_RELEASE,
       D6_DECLINE,
       D6_RECONFIGURE,
       D6_INFORMATION,
};

enum { /* options (21; RFC 3646, 4075, 4704, 5908, 5970) */
       O6_CLIENT_ID = 1,
       O6_SERVER_ID = 2,
       O6_IA_NA = 3,
       O6_IA_TA = 4,
       O6_IA_ADDR = 5,
       O6_REQUEST_LIST = 6,
       O6_PREFERENCE = 7,
       O6_STATUS = 13,
       O6_RAPID_COMMIT = 14,
       O6_VENDOR_CLASS = 16,
       O6_DNS = 23,
       O6_SEARCH = 24,
       O6_IA_PD = 25,
       O6_SNTP = 31,
       O6_FQDN = 39,
       O6_NTP = 56,
       O6_BOOT_URL = 59,
};

enum { /* status codes (21.13) */
       S6_SUCCESS = 0,
       S6_NO_ADDRS = 2,
       S6_NO_BINDING = 3,
       S6_NOT_ON_LINK = 4,
       S6_USE_MULTICAST = 5,
       S6_NO_PREFIX = 6,
};

enum { D6_IAS = 4, D6_ADDRS = 4, D6_ID_MAX = 130 };

struct dhcp6_ia {
    uint16_t kind; /* O6_IA_NA, _TA or _PD */
    uint8_t iaid[4];
    struct net_addr addr[D6_ADDRS];
    unsigned addrs;
};

/* Nothing in it points into the packet. Of more than D6_IAS associations, or D6_ADDRS addresses, the rest is not seen. */
struct dhcp6_msg {
    uint8_t type, xid[3];
    uint8_t id[D6_ID_MAX]; /* the client's DUID */
    size_t id_len;
    bool has_server_id, for_us; /* for_us: it is ours */
    bool rapid_commit, http;
    bool has_list, wants_dns, wants_search, wants_sntp, wants_ntp, wants_boot;
    struct dhcp6_ia ia[D6_IAS];
    unsigned ias;
    uint8_t name[NAT_NAME_MAX];
    size_t name_len;
};

enum { D6_DUID_LEN = 10 };
void dhcp6_duid(const struct nat *n, uint8_t duid[D6_DUID_LEN]); /* the server's: DUID-LL of the gateway's MAC */
/* false: cut short, or a length that goes beyond its end. */
bool dhcp6_read(struct dhcp6_msg *m, const struct nat *n, const struct packet *p);

#endif
