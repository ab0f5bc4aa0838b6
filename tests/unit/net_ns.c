#include "tests/unit/net_ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct in6_ifreq { /* linux/ipv6.h does not go with netinet/in.h */
    struct in6_addr addr;
    uint32_t prefix_len;
    int index;
};

static bool put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;

    if (f && fclose(f))
        ok = false;
    return ok;
}

/* As root a network namespace is enough; else one of users comes first, in which we are root. */
static bool enter(void)
{
    char map[32];
    unsigned uid = getuid(), gid = getgid();

    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    put("/proc/self/gid_map", map);
    snprintf(map, sizeof map, "0 %u 1", uid);
    return put("/proc/self/uid_map", map);
}

static bool set4(int fd, const char *name, unsigned long request, const char *text)
{
    struct ifreq r = {0};
    struct sockaddr_in *a = (void *)&r.ifr_addr;

    strcpy(r.ifr_name, name);
    a->sin_family = AF_INET;
    inet_pton(AF_INET, text, &a->sin_addr);
    return ioctl(fd, request, &r) == 0;
}

/* The kernel looks for duplicates of the address before it is of use, on the loopback too, in a thread of its own. */
static void add6(int index, const char *text, uint32_t prefix_len)
{
    struct in6_ifreq r = {.prefix_len = prefix_len, .index = index};
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    inet_pton(AF_INET6, text, &r.addr);
    sa.sin6_addr = r.addr;
    if (fd >= 0 && !ioctl(fd, SIOCSIFADDR, &r))
        for (int i = 0; i < 5000 && bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 && errno == EADDRNOTAVAIL; i++)
            poll(NULL, 0, 1);
    if (fd >= 0)
        close(fd);
}

static bool set_up(void)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool ok;

    if (fd < 0)
        return false;
    ok = ioctl(fd, SIOCSIFFLAGS, &r) == 0 && set4(fd, "lo:1", SIOCSIFADDR, "192.0.2.1") &&
         set4(fd, "lo:1", SIOCSIFNETMASK, "255.255.255.0");
    close(fd);
    add6(1, "2001:db8::1", 128);
    add6(1, "2001:db8::2", 128);
    net_ns_ping(true);
    return ok;
}

bool net_ns_enter(void)
{
    if (enter() && set_up())
        return true;
    printf("# no network namespace for this test: %s\n", strerror(errno));
    return false;
}

void net_ns_ping(bool allowed) { put("/proc/sys/net/ipv4/ping_group_range", allowed ? "0 0" : "1 0"); }

static bool add_route4(const char *ifname, const char *net, const char *mask)
{
    struct rtentry r = {.rt_flags = RTF_UP, .rt_dev = (char *)(uintptr_t)ifname};
    struct sockaddr_in *dst = (void *)&r.rt_dst, *genmask = (void *)&r.rt_genmask;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool ok;

    dst->sin_family = genmask->sin_family = AF_INET;
    inet_pton(AF_INET, net, &dst->sin_addr);
    inet_pton(AF_INET, mask, &genmask->sin_addr);
    ok = fd >= 0 && ioctl(fd, SIOCADDRT, &r) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void add_route6(int index, const char *net, uint16_t len)
{
    struct in6_rtmsg r = {.rtmsg_dst_len = len, .rtmsg_metric = 1, .rtmsg_flags = RTF_UP, .rtmsg_ifindex = index};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    inet_pton(AF_INET6, net, &r.rtmsg_dst);
    if (fd >= 0) {
        (void)!ioctl(fd, SIOCADDRT, &r);
        close(fd);
    }
}

int net_ns_tun(void)
{
    struct ifreq r = {.ifr_name = "way", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), fd;
    bool ok;

    if (tun < 0 || ioctl(tun, TUNSETIFF, &r) < 0) {
        printf("# no tun device: %s\n", strerror(errno));
        if (tun >= 0)
            close(tun);
        return -1;
    }
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    ok = fd >= 0 && set4(fd, "way", SIOCSIFADDR, "198.51.100.1") && set4(fd, "way", SIOCSIFNETMASK, "255.255.255.0");
    r.ifr_flags = IFF_UP;
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &r) == 0 && add_route4("way", "203.0.113.0", "255.255.255.0");
    add6((int)if_nametoindex("way"), "2001:db8:1::1", 64);
    add_route6((int)if_nametoindex("way"), "2001:db8:2::", 64);
    if (fd >= 0)
        close(fd);
    if (ok)
        return tun;
    close(tun);
    return -1;
}
