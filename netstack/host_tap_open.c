/*
 * Where a tap's descriptor comes from: /dev/net/tun, or a helper with more rights than ours.
 *
 * Source: Linux Documentation/networking/tuntap.rst; netdevice(7); QEMU's documentation of -netdev tap,helper= and of
 * qemu-bridge-helper (it is called with --use-vnet --fd=N --br=BRIDGE and sends the tap over descriptor N by SCM_RIGHTS).
 */
#include "netstack/host_tap.h" /* before linux/if_ether.h, which makes macros of our names */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netstack/host_adapter.h"

extern char **environ;

/* A tap of several queues wants to be told that we know. */
static bool attach(int fd, struct ifreq *r)
{
    r->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (!ioctl(fd, TUNSETIFF, r))
        return true;
    if (errno != EINVAL)
        return false;
    r->ifr_flags |= IFF_MULTI_QUEUE;
    return !ioctl(fd, TUNSETIFF, r);
}

static bool join_bridge(const char *bridge, const char *name, struct err *e)
{
    struct ifreq r = {.ifr_mtu = (int)host_adapter_mtu(bridge)};

    if (!if_nametoindex(bridge))
        return err_set(e, "there is no bridge %s; as root: ip link add %s type bridge && ip link set %s up", bridge, bridge,
                       bridge);
    host_adapter_ioctl(SIOCSIFMTU, name, &r); /* a bridge takes the smallest MTU of its ports */
    r.ifr_ifindex = (int)if_nametoindex(name);
    if (host_adapter_ioctl(SIOCBRADDIF, bridge, &r) || errno == EBUSY /* it is on a bridge already */)
        return true;
    return err_set(e, "cannot join bridge %s: %s", bridge, strerror(errno));
}

/* A tap that was made for us may be up already, or is brought up by who made it. */
static void bring_up(const char *name)
{
    struct ifreq r = {0};

    if (host_adapter_ioctl(SIOCGIFFLAGS, name, &r) && !(r.ifr_flags & IFF_UP)) {
        r.ifr_flags |= IFF_UP;
        host_adapter_ioctl(SIOCSIFFLAGS, name, &r);
    }
}

static bool attach_or_say_why(int fd, struct ifreq *r, struct err *e)
{
    if (attach(fd, r))
        return true;
    if (errno == EBUSY)
        return err_set(e, "another program uses it");
    if (errno != EPERM)
        return err_set(e, "%s", strerror(errno));
    return err_set(e, "this user may not make or use it: that takes CAP_NET_ADMIN, or a tap made for this user (as root: "
                      "ip tuntap add dev tap0 mode tap user NAME), or a helper (qemu-bridge-helper)");
}

int tap_open(const char *ifname, const char *bridge, char *name, struct err *e)
{
    struct ifreq r = {0};
    int fd;

    if (ifname && strlen(ifname) >= IFNAMSIZ) {
        err_set(e, "the name of an interface has at most %d bytes", IFNAMSIZ - 1);
        return -1;
    }
    if (ifname)
        memcpy(r.ifr_name, ifname, strlen(ifname) + 1);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        err_set(e, "/dev/net/tun: %s%s", strerror(errno), errno == ENOENT ? "; as root: modprobe tun" : "");
        return -1;
    }
    if (attach_or_say_why(fd, &r, e) && (!bridge || join_bridge(bridge, r.ifr_name, e))) {
        bring_up(r.ifr_name);
        memcpy(name, r.ifr_name, IFNAMSIZ);
        return fd;
    }
    close(fd);
    return -1;
}

/* --- the user's program ------------------------------------------------------------------------------------------- */

bool net_host_tap_script(struct net_host *tap, const char *path, struct err *e)
{
    char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)net_host_port(tap)->name, NULL};
    int r, status = 0;
    pid_t pid;

    r = posix_spawn(&pid, path, NULL, NULL, argv, environ);
    if (r)
        return err_set(e, "could not launch network script %s: %s", path, strerror(r));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return !status || err_set(e, "network script %s failed with status %d", path, status);
}

/* --- a helper ----------------------------------------------------------------------------------------------------- */

/* The descriptor sent over the socket, -1: none was, or the other end has gone. */
static int receive_fd(int sock)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c;
    ssize_t n;
    int fd;

    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* A command with arguments of its own goes through the shell, as with QEMU. */
static int spawn(pid_t *pid, const char *helper, const char *bridge, int fd)
{
    enum { CHILD_FD = 3 };
    char br[64], command[1024];
    char *direct[] = {(char *)(uintptr_t)helper, (char *)(uintptr_t)"--use-vnet", (char *)(uintptr_t)"--fd=3", br, NULL};
    char *shell[] = {(char *)(uintptr_t)"/bin/sh", (char *)(uintptr_t)"-c", command, NULL};
    bool words = strpbrk(helper, " \t");
    posix_spawn_file_actions_t a;
    int r;

    snprintf(br, sizeof br, "--br=%s", bridge);
    if (snprintf(command, sizeof command, "exec %s --use-vnet --fd=3 %s", helper, strstr(helper, "--br=") ? "" : br) >=
        (int)sizeof command)
        return ENAMETOOLONG;
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_adddup2(&a, fd, CHILD_FD);
    r = posix_spawn(pid, words ? shell[0] : helper, &a, NULL, words ? shell : direct, environ);
    posix_spawn_file_actions_destroy(&a);
    return r;
}

int tap_from_helper(const char *helper, const char *bridge, struct err *e)
{
    int pair[2], fd, r, status = 0;
    pid_t pid;

    for (const char *c = bridge; *c; c++) /* it may pass through a shell */
        if (strchr("/ \t\n;|&$`\"'\\<>()*?~#", *c) || strlen(bridge) >= IFNAMSIZ) {
            err_set(e, "%s: not the name of a bridge", bridge);
            return -1;
        }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        err_set(e, "%s", strerror(errno));
        return -1;
    }
    r = spawn(&pid, helper, bridge, pair[1]);
    close(pair[1]);
    if (r) {
        close(pair[0]);
        err_set(e, "%s", strerror(r));
        return -1;
    }
    fd = receive_fd(pair[0]);
    close(pair[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (fd < 0)
        err_set(e, "it sent no tap and ended with code %d; is %s allowed in /etc/qemu/bridge.conf, and the helper set-uid root?",
                WIFEXITED(status) ? WEXITSTATUS(status) : -1, bridge);
    return fd;
}
