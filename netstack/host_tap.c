/*
 * A tap: an Ethernet interface of the host whose far end is this process.
 *
 * With IFF_VNET_HDR each frame has a struct virtio_net_hdr before it, so that segments and checksums stay undone both ways.
 * A descriptor comes from /dev/net/tun, from whoever started us, or from a helper over a unix socket.
 * Source: Linux Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h, virtio_net.h.
 */
#include "netstack/host_tap.h" /* before linux/if_ether.h, which makes macros of our names */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "netstack/gso.h"
#include "netstack/host_adapter.h"

#ifndef TUN_F_USO4 /* Linux 6.2; the headers may be older than the kernel */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
    VNET_HDR = sizeof(struct virtio_net_hdr),
    VNET_CSUM = 1,  /* VIRTIO_NET_HDR_F_NEEDS_CSUM */
    VNET_VALID = 2, /* VIRTIO_NET_HDR_F_DATA_VALID */
    VNET_UDP_L4 = 5,
    VNET_ECN = 0x80,
};

struct tap {
    struct net_host h; /* first */
    bool vnet, down;
    char bridge[IFNAMSIZ];
    size_t in_len;
    uint8_t in[VNET_HDR + NET_FRAME_MAX + 1], linear[NET_FRAME_MAX];
};

/* --- in ----------------------------------------------------------------------------------------------------------- */

static uint8_t gso_of(uint8_t vnet)
{
    switch (vnet & ~VNET_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4: return NET_GSO_TCP4;
    case VIRTIO_NET_HDR_GSO_TCPV6: return NET_GSO_TCP6;
    default: return NET_GSO_NONE; /* UDP: see udp_gso_of */
    }
}

/* The kind says UDP, the Ethernet type which IP. */
static uint8_t udp_gso_of(const struct net_frame *f)
{
    uint16_t type;

    frame_l3(f, &type);
    return type == 0x86dd ? NET_GSO_UDP6 : NET_GSO_UDP4;
}

static bool tap_deliver(struct tap *t)
{
    struct virtio_net_hdr v = {0};
    size_t skip = t->vnet ? VNET_HDR : 0;
    struct iovec iov = {t->in + skip, t->in_len - skip};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = iov.iov_len};

    if (t->vnet)
        memcpy(&v, t->in, sizeof v);
    f.flags = (uint8_t)((v.flags & VNET_CSUM ? NET_CSUM_PARTIAL : 0) | (v.flags & VNET_VALID ? NET_CSUM_VALID : 0) |
                        (v.gso_type & VNET_ECN ? NET_GSO_ECN : 0));
    f.csum_start = v.csum_start;
    f.csum_offset = v.csum_offset;
    f.gso = (v.gso_type & ~VNET_ECN) == VNET_UDP_L4 ? udp_gso_of(&f) : gso_of(v.gso_type);
    f.gso_size = v.gso_size;
    f.header_len = v.hdr_len;
    if (!net_port_send(&t->h.port, &f))
        return false;
    t->h.received++;
    return true;
}

/* One frame into t->in. false: none there. */
static bool fetch(struct tap *t)
{
    ssize_t n = read(t->h.fd, t->in, sizeof t->in);

    t->in_len = n > 0 && (size_t)n < sizeof t->in ? (size_t)n : 0;
    if (n >= 0)
        return true;
    t->down = errno != EAGAIN && errno != EINTR; /* the interface was removed */
    return false;
}

static void tap_event(void *arg, int fd, unsigned events)
{
    struct tap *t = arg;

    (void)fd;
    if (events & LOOP_OUT)
        host_writable(&t->h);
    for (unsigned i = 0; i < HOST_BURST && !t->h.held && fetch(t); i++)
        t->h.held = t->in_len > (t->vnet ? VNET_HDR : 0u) && !tap_deliver(t);
    if (!t->down) {
        host_watch(&t->h);
        return;
    }
    loop_change(t->h.env.loop, t->h.fd, 0); /* it would report an error for ever */
    t->h.waits = false;
    net_port_room(&t->h.port);
}

static void tap_ready(struct net_port *p)
{
    struct tap *t = p->arg;

    if (!t->h.held)
        return;
    t->h.held = !tap_deliver(t);
    host_watch(&t->h);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void vnet_header(struct virtio_net_hdr *v, const struct net_frame *f)
{
    static const uint8_t type[] = {VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VNET_UDP_L4,
                                   VNET_UDP_L4};

    *v = (struct virtio_net_hdr){.gso_type = type[f->gso]};
    if (f->gso) {
        v->gso_size = f->gso_size;
        v->hdr_len = (uint16_t)(f->header_len < f->len ? f->header_len : 0);
        if (f->flags & NET_GSO_ECN && f->gso <= NET_GSO_TCP6)
            v->gso_type |= VNET_ECN;
    }
    if (f->flags & NET_CSUM_PARTIAL) {
        v->flags = VNET_CSUM;
        v->csum_start = f->csum_start;
        v->csum_offset = f->csum_offset;
    } else if (f->flags & NET_CSUM_VALID) {
        v->flags = VNET_VALID;
    }
}

static bool tap_receive(struct net_port *p, const struct net_frame *f)
{
    struct tap *t = p->arg;
    struct virtio_net_hdr v;
    struct iovec iov[1 + HOST_IOV] = {{&v, sizeof v}};
    unsigned n;

    vnet_header(&v, f);
    n = host_pieces(f, iov + 1, t->linear);
    if ((t->vnet ? writev(t->h.fd, iov, (int)n + 1) : writev(t->h.fd, iov + 1, (int)n)) >= 0)
        return true;
    if (errno == EAGAIN)
        return host_wait(&t->h);
    t->h.lost++; /* EIO: the interface is down */
    return true;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void tap_close(struct net_host *h)
{
    loop_remove(h->env.loop, h->fd);
    close(h->fd);
}

static void tap_info(const struct net_host *h, FILE *out)
{
    const struct tap *t = (const struct tap *)h;

    fprintf(out, "%s", t->down ? "removed" : t->vnet ? "with offloads" : "without offloads");
    if (t->bridge[0])
        fprintf(out, ", on bridge %s", t->bridge);
}

static const struct host_kind tap_kind = {
    .ops = {.kind = "tap", .receive = tap_receive, .ready = tap_ready},
    .close = tap_close,
    .info = tap_info,
};

/* What the kernel may leave to us, all of it; and what we may leave to the kernel. */
static unsigned set_offloads(int fd)
{
    unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    int size = VNET_HDR;

    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        return 0;
    if (!ioctl(fd, TUNSETOFFLOAD, (unsigned long)(tcp | TUN_F_USO4 | TUN_F_USO6)))
        return NET_CAN_ALL;
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)tcp) ? NET_CAN_CSUM : NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6;
}

/* The interface fd belongs to, and what it has. */
static bool describe(int fd, struct ifreq *r, struct err *e)
{
    if (ioctl(fd, TUNGETIFF, r) < 0 || !(r->ifr_flags & IFF_TAP) || !(r->ifr_flags & IFF_NO_PI))
        return err_set(e, "descriptor %d is not a tap's (opened with IFF_TAP and IFF_NO_PI)", fd);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(e, "tap %s: %s", r->ifr_name, strerror(errno));
    return true;
}

struct net_host *net_host_tap_fd(const struct net_env *env, int fd, struct err *e)
{
    struct tap *t = calloc(1, sizeof *t);
    struct ifreq r = {0};

    if (!t)
        err_set(e, "out of memory");
    if (!t || !describe(fd, &r, e) || !loop_add(env->loop, fd, LOOP_IN, tap_event, t, e)) {
        close(fd);
        free(t);
        return NULL;
    }
    host_init(&t->h, env, &tap_kind, r.ifr_name, fd);
    t->vnet = r.ifr_flags & IFF_VNET_HDR;
    t->h.port.can = t->vnet ? set_offloads(fd) : 0;
    t->h.port.mtu = host_adapter_mtu(r.ifr_name);
    return &t->h;
}

struct net_host *net_host_tap(const struct net_env *env, const char *ifname, const char *bridge, struct err *e)
{
    char name[IFNAMSIZ];
    int fd = tap_open(ifname, bridge, name, e);
    struct net_host *h = fd >= 0 ? net_host_tap_fd(env, fd, e) : NULL;

    if (h && bridge)
        snprintf(((struct tap *)h)->bridge, IFNAMSIZ, "%s", bridge);
    if (!h)
        err_prefix(e, "tap %s", ifname ? ifname : "");
    return h;
}

struct net_host *net_host_helper(const struct net_env *env, const char *helper, const char *bridge, struct err *e)
{
    int fd = tap_from_helper(helper, bridge, e);
    struct net_host *h = fd >= 0 ? net_host_tap_fd(env, fd, e) : NULL;

    if (h)
        snprintf(((struct tap *)h)->bridge, IFNAMSIZ, "%s", bridge);
    else
        err_prefix(e, "helper %s", helper);
    return h;
}
