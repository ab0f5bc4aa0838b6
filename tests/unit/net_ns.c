#include "tests/unit/net_ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
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

static void add6(const char *text)
{
    struct in6_ifreq r = {.prefix_len = 128, .index = 1};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    inet_pton(AF_INET6, text, &r.addr);
    if (fd >= 0) {
        (void)!ioctl(fd, SIOCSIFADDR, &r);
        close(fd);
    }
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
    add6("2001:db8::1");
    add6("2001:db8::2");
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
