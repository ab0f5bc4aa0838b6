/* A tap for a host-only network: made, given an address, and kept from being a way to anywhere else. */
#include "netstack/segment_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/host.h"
#include "netstack/host_adapter.h"

enum { RETRIES = 20, RETRY_NS = 100000000 };

struct host_side {
    struct segment *s;
    struct net_switch *sw;
    struct net_host *host; /* NULL: none */
    struct plug plug;
    struct net_addr addr;
    unsigned prefix_len;
    char ifname[IFNAMSIZ];
    struct err why; /* there is none */
    struct timer retry;
    unsigned tries;
};

/* --- the interface ------------------------------------------------------------------------------------------------ */

/* guise-NAME, with a number that stands for the name when that is long. */
static void default_name(const char *network, char ifname[IFNAMSIZ])
{
    uint32_t h = 2166136261u; /* FNV-1a */

    if (snprintf(ifname, IFNAMSIZ, "guise-%s", network) < IFNAMSIZ)
        return;
    for (const char *c = network; *c; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    snprintf(ifname, IFNAMSIZ, "guise-%.4s%05x", network, h >> 12);
}

static bool get_address(const char *ifname, struct net_addr *addr, unsigned *prefix_len)
{
    struct ifreq r = {0};
    const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)&r.ifr_addr;

    if (!host_adapter_ioctl(SIOCGIFADDR, ifname, &r))
        return false;
    *addr = net_addr_of4(ntohl(sin->sin_addr.s_addr));
    if (!host_adapter_ioctl(SIOCGIFNETMASK, ifname, &r))
        return false;
    *prefix_len = (unsigned)__builtin_popcount(sin->sin_addr.s_addr);
    return true;
}

static bool set4(const char *ifname, unsigned long request, uint32_t value, struct err *e)
{
    struct ifreq r = {0};
    struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&r.ifr_addr;

    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(value);
    return host_adapter_ioctl(request, ifname, &r) || err_set(e, "%s: cannot set its address: %s", ifname, strerror(errno));
}

static void set_mac(const char *ifname, const struct net_addr *addr)
{
    struct ifreq r = {.ifr_hwaddr = {.sa_family = ARPHRD_ETHER, .sa_data = {0x52, 0x55}}};

    memcpy(r.ifr_hwaddr.sa_data + 2, addr->b + 12, 4);
    host_adapter_ioctl(SIOCSIFHWADDR, ifname, &r); /* else the guests ask again when theirs grows old */
}

static bool sysctl(const char *family, const char *ifname, const char *what, char value)
{
    char path[128];
    int fd;
    bool ok;

    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, ifname, what);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ok = fd >= 0 && write(fd, &value, 1) == 1;
    if (fd >= 0)
        close(fd);
    return ok;
}

/*
 * A host that is a router (containers make it one) would send on what guests address to others. IPv4 has a switch for each
 * interface; IPv6 has one for all, so on a router the interface does without.
 */
static bool no_way_out(const char *ifname, struct err *e)
{
    char c = '0';
    int fd = open("/proc/sys/net/ipv6/conf/all/forwarding", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, &c, 1) != 1)
        c = '1';
    if (fd >= 0)
        close(fd);
    if (!sysctl("ipv4", ifname, "forwarding", '0') || (c != '0' && !sysctl("ipv6", ifname, "disable_ipv6", '1')))
        return err_set(e, "%s: cannot keep the host from forwarding what comes by it: %s", ifname, strerror(errno));
    return true;
}

static bool set_up(struct host_side *h, struct err *e)
{
    struct ifreq mtu = {.ifr_mtu = (int)h->s->c.nat.mtu};

    if (!no_way_out(h->ifname, e))
        return false;
    set_mac(h->ifname, &h->addr);
    if (mtu.ifr_mtu && host_adapter_ioctl(SIOCSIFMTU, h->ifname, &mtu))
        net_host_port(h->host)->mtu = h->s->c.nat.mtu;
    return set4(h->ifname, SIOCSIFADDR, ld32be(h->addr.b + 12), e) &&
           set4(h->ifname, SIOCSIFNETMASK, (uint32_t)(UINT64_C(0xffffffff) << (32 - h->prefix_len)), e);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void drop(struct host_side *h)
{
    plug_out(&h->plug);
    if (h->host)
        net_host_free(h->host);
    h->host = NULL;
}

static bool make(struct host_side *h, struct err *e)
{
    struct net_addr addr;
    unsigned prefix_len;

    h->host = net_host_tap(&h->s->env, h->ifname, NULL, e);
    if (!h->host)
        return false;
    if (h->s->c.tap && get_address(h->ifname, &addr, &prefix_len)) { /* whoever made it knows what it is for */
        h->addr = addr;
        h->prefix_len = prefix_len;
    } else if (!set_up(h, e)) {
        drop(h);
        return false;
    }
    if (!plug_in(&h->plug, &h->s->env, h->sw, net_host_port(h->host), false, e)) {
        drop(h);
        return false;
    }
    net_switch_set_gateway(h->sw, h->plug.port);
    return true;
}

/* A process that had the switch and was killed takes a moment to lose its interface. */
static void try_make(void *arg)
{
    struct host_side *h = arg;

    if (make(h, &h->why))
        return;
    if (if_nametoindex(h->ifname) && h->tries++ < RETRIES)
        timer_arm(&h->retry, clock_now(h->s->env.clock) + RETRY_NS);
    else
        log_write(h->s->env.log, "network '%s': the host has no interface on it, and is reached by forwards only: %s\n",
                  h->s->name, h->why.msg);
}

struct host_side *host_side_new(struct segment *s, struct net_switch *sw, struct net_addr *addr, unsigned *prefix_len,
                                struct err *e)
{
    struct host_side *h = calloc(1, sizeof *h);

    if (!h) {
        err_set(e, "out of memory");
        return NULL;
    }
    *h = (struct host_side){.s = s, .sw = sw, .addr = *addr, .prefix_len = *prefix_len};
    timer_init(&h->retry, s->env.clock, try_make, h);
    if (!s->c.tap) {
        default_name(s->name, h->ifname);
        try_make(h);
        return h;
    }
    if (snprintf(h->ifname, sizeof h->ifname, "%s", s->c.tap) >= IFNAMSIZ || !make(h, e)) {
        if (strlen(s->c.tap) >= IFNAMSIZ)
            err_set(e, "tap %s: the name of an interface has at most %d bytes", s->c.tap, IFNAMSIZ - 1);
        host_side_free(h);
        return NULL;
    }
    *addr = h->addr;
    *prefix_len = h->prefix_len;
    return h;
}

void host_side_free(struct host_side *h)
{
    if (!h)
        return;
    clock_drop_timer(&h->retry);
    drop(h);
    free(h);
}

void host_side_info(const struct host_side *h, FILE *out)
{
    char text[NET_ADDR_TEXT];

    if (h->host)
        fprintf(out, "host: interface %s, %s/%u\n", h->ifname, net_addr_text(&h->addr, text), h->prefix_len);
    else
        fprintf(out, "host: forwards only: %s\n", h->why.msg);
}
