/* What the host says about its network adapters. Linux: /sys/class/net, netdevice(7). */
#ifndef NETSTACK_HOST_ADAPTER_H
#define NETSTACK_HOST_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ifreq;

enum adapter_kind {
    ADAPTER_ETHERNET,
    ADAPTER_WIFI,
    ADAPTER_BRIDGE,
    ADAPTER_TAP,
    ADAPTER_TUN,
    ADAPTER_VETH,
    ADAPTER_LOOPBACK,
    ADAPTER_OTHER,
};

enum adapter_kind host_adapter_kind(const char *name);
const char *host_adapter_kind_name(enum adapter_kind k);
uint32_t host_adapter_mtu(const char *name); /* within what a port may have; the default when there is none such */
/* The bridge or bond it belongs to; false: none. */
bool host_adapter_master(const char *name, char *out, size_t size);
/* false with e set: there is none such, or a guest cannot be put on it whoever asks. */
bool host_adapter_usable(const char *name, struct err *e);
/* What will not work for a guest that is put on it by libpcap: sentences for people, "" for nothing. */
void host_adapter_limits(const char *name, bool mac_nat, char *out, size_t size); /* mac_nat: on Wi-Fi (mac_nat.h) */
/* A request of netdevice(7) about name, which is put into *r. false with errno set. */
bool host_adapter_ioctl(unsigned long what, const char *name, struct ifreq *r);
/* The file /sys/class/net/NAME/FILE's first line. false: there is none. */
bool host_adapter_read(const char *name, const char *file, char *out, size_t size);

#endif
