/*
 * What a command line asks of networks: one struct net_config for each network that a guest's adapter, or another
 * network, is joined to. Filled by native_net.c (--net) and personality_net.c (-netdev, -nic, -net), completed by
 * config_net_finish, built by machine_net.c.
 *
 * All strings and lists belong to the machine_config. Keys and their values are read by net_keys.c for both grammars.
 */
#ifndef FRONTEND_NET_CONFIG_H
#define FRONTEND_NET_CONFIG_H

#include "frontend/options.h"
#include "netstack/cable.h"
#include "netstack/host.h"
#include "netstack/nat.h"

struct machine_config;

enum { /* of one network */
       NET_FORWARDS_MAX = NAT_FORWARDS_MAX,
       NET_LEASES_MAX = NAT_LEASES_MAX,
       NET_SEARCH_MAX = 16,
       NET_GUESTFWD_MAX = 16,
       NET_CAPTURES_MAX = 8,
};

enum net_mode {
    NET_NAT,      /* a NAT of this machine's own */
    NET_NATNET,   /* a NAT shared by name */
    NET_HOSTONLY, /* by name: guests and this host */
    NET_INTERNAL, /* by name: guests only */
    NET_BRIDGE,   /* an adapter of the host, or a tap on a bridge of the host */
    NET_TAP,
    NET_STREAM, /* frames over a stream socket */
    NET_DGRAM,  /* a frame a datagram */
    NET_HUB,    /* QEMU's hubport: a port of hub number `hub` */
    NET_MODES
};
/* A set of modes, for keys that not all of them take. */
#define NET_MODE(m) (1u << (m))
#define NET_ALL ((1u << NET_MODES) - 1)

struct net_forward_config {
    struct nat_forward f;
    const char *text; /* as given, for messages */
};

struct net_capture_config {
    const char *id; /* of -object filter-dump; NULL: capture= */
    struct net_capture_options o;
};

struct net_config {
    const char *id;
    enum net_mode mode;
    const char *name; /* network, adapter, bridge or tap; NULL where it needs none */

    struct nat_config nat; /* NAT, NATNET, HOSTONLY, INTERNAL; others: what dhcp= and forward= put beside them */
    bool dhcp_given, dhcp, isolated;
    struct nat_static_lease *lease;
    const char **search;
    unsigned searches;
    struct net_forward_config *forward;
    unsigned forwards;
    struct nat_guestfwd *guestfwd;
    unsigned guestfwds;

    const char *bridge, *helper, *tap; /* TAP, BRIDGE, HOSTONLY */
    const char *script, *downscript;   /* TAP: run with the interface's name; NULL or "": none */
    enum net_mac_nat mac_nat;          /* BRIDGE by libpcap */
    int fd;                            /* TAP, STREAM, DGRAM: -1, none */
    const char *spare_fds;             /* TAP: "4:5", other queues of fd, to be closed */
    struct net_stream_options stream;
    struct net_dgram_options dgram;
    unsigned hub;     /* HUB */
    const char *peer; /* HUB: the network joined to it; NULL: a NIC */
    bool legacy;      /* HUB made for -net: may be left out when two are all */

    bool link_down;
    struct net_impair impair;
    bool impaired;
    struct net_capture_config *capture;
    unsigned captures;
    const char *capture_filter; /* of capture=; */
    uint32_t capture_bytes;

    /* The adapter that goes with it: --net and -nic make one, -netdev leaves that to -device. */
    bool nic;
    const char *model, *bus, *mac, *vectors, *addr;
    uint32_t mtu; /* 0: not given */
    unsigned queues;
};

/* A new network, its id taken or made up ("net0", ...). NULL with e set. (config_net.c) */
struct net_config *config_net_new(struct machine_config *c, enum net_mode mode, const char *id, struct err *e);
struct net_config *config_net_find(struct machine_config *c, const char *id);
const char *net_mode_name(enum net_mode m);
/* The driver of a NIC by its model ("virtio", "e1000e", a driver's name) and bus ("pci", "mmio"); NULL: virtio on PCI. */
const char *net_nic_driver(const char *model, const char *bus, struct err *e);
/*
 * Make the adapters that go with networks, give addresses to those without one, resolve names and look for a second user
 * of a network. From config_finish, once.
 */
bool config_net_finish(struct machine_config *c, struct err *e);

/* One key of --net or -netdev. set == NULL: a heading, its text in help. help NULL: not shown. */
struct net_key {
    const char *name;
    unsigned modes; /* NET_MODE() of those that take it */
    bool (*set)(struct machine_config *c, struct net_config *n, const char *value, struct err *e);
    const char *arg, *help;
};
/* Each pair of k by its row, in order. Errors name the key, and the mode that does not take it (`mode`: how it was written). */
bool net_keys_apply(const struct net_key *table, struct machine_config *c, struct net_config *n,
                    const struct keyvals *k, const char *mode, struct err *e);
void net_keys_help(const struct net_key *table, FILE *out);

/* Setters that both grammars use. (net_keys.c) */
#define NET_KEY_SETTER(name)                                                                                           \
    bool net_set_##name(struct machine_config *c, struct net_config *n, const char *value, struct err *e)
NET_KEY_SETTER(ipv4);
NET_KEY_SETTER(ipv6);
NET_KEY_SETTER(net);
NET_KEY_SETTER(host);
NET_KEY_SETTER(dns);
NET_KEY_SETTER(dhcpstart);
NET_KEY_SETTER(net6);
NET_KEY_SETTER(prefix6);
NET_KEY_SETTER(prefix6len);
NET_KEY_SETTER(host6);
NET_KEY_SETTER(dns6);
NET_KEY_SETTER(restrict);
NET_KEY_SETTER(host_loopback);
NET_KEY_SETTER(isolated);
NET_KEY_SETTER(dhcp);
NET_KEY_SETTER(hostname);
NET_KEY_SETTER(domain);
NET_KEY_SETTER(search);
NET_KEY_SETTER(tftp);
NET_KEY_SETTER(tftp_name);
NET_KEY_SETTER(bootfile);
NET_KEY_SETTER(ntp);
NET_KEY_SETTER(lease);
NET_KEY_SETTER(forward); /* our grammar, and QEMU's within it */
NET_KEY_SETTER(hostfwd); /* QEMU's */
NET_KEY_SETTER(guestfwd);
NET_KEY_SETTER(mac);
NET_KEY_SETTER(mtu);
NET_KEY_SETTER(queues);
NET_KEY_SETTER(model);
NET_KEY_SETTER(bus);
NET_KEY_SETTER(vectors);
NET_KEY_SETTER(addr);
NET_KEY_SETTER(link);
NET_KEY_SETTER(capture);
NET_KEY_SETTER(capture_filter);
NET_KEY_SETTER(capture_bytes);
NET_KEY_SETTER(impair_drop);
NET_KEY_SETTER(impair_reorder);
NET_KEY_SETTER(impair_duplicate);
NET_KEY_SETTER(impair_delay);
NET_KEY_SETTER(impair_jitter);
NET_KEY_SETTER(impair_rate);
NET_KEY_SETTER(impair_seed);
NET_KEY_SETTER(tap);
NET_KEY_SETTER(mac_nat);
NET_KEY_SETTER(script);
NET_KEY_SETTER(downscript);
NET_KEY_SETTER(helper);
NET_KEY_SETTER(fd);
NET_KEY_SETTER(reconnect_ms);

#endif
