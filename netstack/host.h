/*
 * Ports that end outside this process: an adapter of the host by libpcap, a tap, a socket to another emulator.
 *
 * Each constructor gives a port that plugs like any other; NULL with e set, saying what this user lacks and what would
 * give it. net_host_free frees any of them. fd arguments become the port's.
 */
#ifndef NETSTACK_HOST_H
#define NETSTACK_HOST_H

#include <stdio.h>

#include "netstack/port.h"

struct net_host;

void net_host_free(struct net_host *h); /* its port is unplugged */
struct net_port *net_host_port(struct net_host *h);
void net_host_info(const struct net_host *h, FILE *out);

enum net_mac_nat { NET_MAC_NAT_AUTO, NET_MAC_NAT_ON, NET_MAC_NAT_OFF }; /* auto: on Wi-Fi adapters */
/*
 * bridge:IF on an ordinary adapter, by libpcap: a kernel filter for the guest's addresses (those its frames showed, and mac)
 * and group frames, promiscuous only if the guest's MAC is not the adapter's own and the adapter needs it. What a host
 * would have left undone in frames it sends to itself (checksums, segmentation) is repaired.
 * With MAC NAT (mac_nat.h) the guest is behind the adapter's address instead.
 * *limits: text for the person: what cannot work here (Wi-Fi, host to guest), "" for nothing.
 */
struct net_host *net_host_pcap(const struct net_env *env, const char *ifname, const uint8_t mac[ETH_ALEN],
                               enum net_mac_nat nat, const char **limits, struct err *e);
/*
 * tap: ifname NULL or with %d: the kernel names it; made if it is not there and this user may; bridge: joined to that
 * bridge, NULL: none. With IFF_VNET_HDR: segmentation and checksums pass.
 */
struct net_host *net_host_tap(const struct net_env *env, const char *ifname, const char *bridge, struct err *e);
/*
 * A user's program for a tap: path, with the interface's name as its argument, is run and waited for. QEMU's words on
 * failure: tools look for them.
 */
bool net_host_tap_script(struct net_host *tap, const char *path, struct err *e);
struct net_host *net_host_tap_fd(const struct net_env *env, int fd, struct err *e);
/* qemu-bridge-helper or another that passes a tap's descriptor over a unix socket: COMMAND --br=BRIDGE --fd=N --use-vnet. */
struct net_host *net_host_helper(const struct net_env *env, const char *helper, const char *bridge, struct err *e);
/*
 * QEMU's frames over stream sockets: each with its length as four bytes big-endian before it (-netdev socket, stream,
 * passt). spec: "listen=ADDR:PORT", "connect=ADDR:PORT", "unix:PATH", "fd". reconnect: ms, 0: never.
 */
struct net_stream_options {
    const char *path;         /* unix, or NULL */
    const char *host, *port;  /* TCP: numeric or localhost */
    int fd;                   /* -1: none */
    bool server;
    uint32_t reconnect_ms;
};
struct net_host *net_host_stream(const struct net_env *env, const struct net_stream_options *o, struct err *e);
/* A frame a datagram: unix (local, remote paths), UDP (local, remote HOST:PORT), or a multicast group (mcast HOST:PORT). */
struct net_dgram_options {
    const char *local_path, *remote_path;
    const char *local_host, *local_port, *remote_host, *remote_port;
    const char *mcast; /* HOST:PORT, local_host: the interface's address */
    int fd;
};
struct net_host *net_host_dgram(const struct net_env *env, const struct net_dgram_options *o, struct err *e);

/* What `guise net list` shows: each adapter, its state, and what this user may do on it and why not. */
void net_host_list(FILE *out);
struct json_t *net_host_list_json(void); /* the same: an object, the caller's */

#endif
