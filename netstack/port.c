/* Ports: the ends of cables. What happens in between is in cable.c. */
#include "netstack/port.h"

#include "netstack/cable_int.h"

bool net_port_send(struct net_port *p, const struct net_frame *f)
{
    if (p->cable)
        return cable_send(cable_from(p), f);
    p->sent.dropped++;
    return true;
}

void net_port_room(struct net_port *p)
{
    if (p->cable)
        cable_room(cable_to(p));
}

void net_port_drop(struct net_port *p, unsigned frames) { p->sent.dropped += frames; }

bool net_port_up(const struct net_port *p) { return p->cable && p->cable->up; }

struct net_port *net_port_peer(const struct net_port *p)
{
    if (!p->cable)
        return NULL;
    return p->cable->dir[0].from == p ? p->cable->dir[0].to : p->cable->dir[0].from;
}

uint32_t net_port_mtu(const struct net_port *p)
{
    const struct net_port *far = net_port_peer(p);

    return far && far->mtu < p->mtu ? far->mtu : p->mtu;
}
