/* What the host says about its network adapters: see host_adapter.h. */
#include "netstack/host_adapter.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/port.h"

static bool sys_path(const char *name, const char *file, char *path, size_t size)
{
    return !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..") && name[0] &&
           snprintf(path, size, "/sys/class/net/%s/%s", name, file) < (int)size;
}

static bool sys_has(const char *name, const char *file)
{
    char path[256];

    return sys_path(name, file, path, sizeof path) && !access(path, F_OK);
}

bool host_adapter_read(const char *name, const char *file, char *out, size_t size)
{
    char path[256];
    FILE *f = sys_path(name, file, path, sizeof path) ? fopen(path, "re") : NULL;
    bool ok = f && fgets(out, (int)size, f);

    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = 0;
    return ok;
}

static unsigned long read_number(const char *name, const char *file)
{
    char text[32];

    return host_adapter_read(name, file, text, sizeof text) ? strtoul(text, NULL, 0) : 0;
}

bool host_adapter_ioctl(unsigned long what, const char *name, struct ifreq *r)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), saved;
    size_t len = strlen(name);
    bool ok;

    memcpy(r->ifr_name, name, len < IFNAMSIZ ? len + 1 : IFNAMSIZ);
    r->ifr_name[IFNAMSIZ - 1] = 0;
    ok = fd >= 0 && ioctl(fd, what, r) >= 0;
    saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return ok;
}

uint32_t host_adapter_mtu(const char *name)
{
    struct ifreq r = {0};

    if (!host_adapter_ioctl(SIOCGIFMTU, name, &r) || r.ifr_mtu < NET_MTU_MIN)
        return NET_MTU_DEFAULT;
    return r.ifr_mtu > NET_MTU_MAX ? NET_MTU_MAX : (uint32_t)r.ifr_mtu;
}

/* veth and its like show that the link's other end is another interface. */
static bool has_other_end(const char *name)
{
    return !sys_has(name, "device") && read_number(name, "iflink") != read_number(name, "ifindex");
}

enum adapter_kind host_adapter_kind(const char *name)
{
    struct ifreq r = {0};
    unsigned type = host_adapter_ioctl(SIOCGIFHWADDR, name, &r) ? r.ifr_hwaddr.sa_family : ARPHRD_VOID;

    if (type == ARPHRD_LOOPBACK)
        return ADAPTER_LOOPBACK;
    if (sys_has(name, "tun_flags"))
        return type == ARPHRD_ETHER ? ADAPTER_TAP : ADAPTER_TUN;
    if (type != ARPHRD_ETHER)
        return ADAPTER_OTHER;
    if (sys_has(name, "wireless") || sys_has(name, "phy80211"))
        return ADAPTER_WIFI;
    if (sys_has(name, "bridge"))
        return ADAPTER_BRIDGE;
    return has_other_end(name) ? ADAPTER_VETH : ADAPTER_ETHERNET;
}

const char *host_adapter_kind_name(enum adapter_kind k)
{
    static const char *const names[] = {
        [ADAPTER_ETHERNET] = "ethernet", [ADAPTER_WIFI] = "wi-fi", [ADAPTER_BRIDGE] = "bridge",     [ADAPTER_TAP] = "tap",
        [ADAPTER_TUN] = "tun",           [ADAPTER_VETH] = "veth",  [ADAPTER_LOOPBACK] = "loopback", [ADAPTER_OTHER] = "other",
    };

    return names[k];
}

bool host_adapter_master(const char *name, char *out, size_t size)
{
    char path[256], target[256];
    ssize_t n = sys_path(name, "master", path, sizeof path) ? readlink(path, target, sizeof target - 1) : -1;
    const char *base;

    if (n < 0)
        return false;
    target[n] = 0;
    base = strrchr(target, '/');
    snprintf(out, size, "%s", base ? base + 1 : target);
    return true;
}

bool host_adapter_usable(const char *name, struct err *e)
{
    if (strlen(name) >= IFNAMSIZ || !if_nametoindex(name))
        return err_set(e, "there is no such adapter (`guise net list` shows those there are)");
    switch (host_adapter_kind(name)) {
    case ADAPTER_LOOPBACK: return err_set(e, "the loopback is no network that a guest can be on");
    case ADAPTER_TUN:
    case ADAPTER_OTHER: return err_set(e, "not an Ethernet adapter");
    default: return true;
    }
}

void host_adapter_limits(const char *name, bool mac_nat, char *out, size_t size)
{
    static const char *const wifi[] = {
        "most access points pass only frames of its own address, so answers to the guest are lost unless the guest uses "
        "that address (mac=) or the network is NAT",
        "access points pass only frames of its own address, so the guest's leave as the adapter's (mac-nat=off: as they "
        "are) and it is found by its IP addresses; other protocols do not reach it"};

    char master[IFNAMSIZ + 1];
    int n = snprintf(out, size, "the host itself and the guest do not reach each other over %s (a tap on a bridge can)", name);

    if (host_adapter_kind(name) == ADAPTER_WIFI && n > 0 && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n,
"; %s is a Wi-Fi adapter: %s", name, wifi[mac_nat]);
    if (host_adapter_master(name, master, sizeof master) && n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, "; %s belongs to %s: bridge:%s is the better choice", name, master, master);
}
