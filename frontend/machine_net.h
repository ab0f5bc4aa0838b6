/*
 * The networks of a machine while it runs: what each is made of, and what the monitor does with them. Loop's thread.
 */
#ifndef FRONTEND_MACHINE_NET_H
#define FRONTEND_MACHINE_NET_H

#include "frontend/net_config.h"

struct machine;
struct nic;
struct segment;

/* config->net[i]: its port, and the cable at it. */
struct net_link {
    const struct net_config *config;
    struct nat *nat; /* its own; also one that stands beside a bridge, tap or socket for dhcp= and forward= */
    struct segment *segment;
    struct net_host *host;
    struct net_switch *sw;       /* HUB: the hub, owned by its first link; others: joins nat and host */
    struct net_port *sw_port[3]; /* ports of sw that are ours */
    struct net_cable *inner[2];  /* between sw, nat and host */
    bool owns_sw;
    bool scripted; /* downscript is to be run */
    struct net_port *port;   /* where an adapter is plugged in */
    struct net_cable *cable; /* end 0 the adapter's or a hub's, end 1 `port`; NULL: nothing is plugged in */
    const char *adapter;     /* name of the device at end 0; NULL: none, or a hub */
    const struct nic *nic;
};

struct net_link *machine_net(struct machine *m, unsigned n); /* NULL: no more */
/* By the network's id or its adapter's name; NULL with e set. */
struct net_link *machine_net_find(struct machine *m, const char *name, struct err *e);
/* The gateway that this process has for it; NULL: none, or it is in another process. */
struct nat *net_link_nat(const struct net_link *l);
bool net_link_forward(struct net_link *l, const struct nat_forward *f, bool add, struct err *e);

#endif
