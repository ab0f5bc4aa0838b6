/*
 * A guest on an adapter of the host, by libpcap: its frames are injected beside the host's own, what arrives for its
 * addresses is handed to it.
 *
 * The kernel's filter passes group frames and those for the addresses the guest was seen to use (and the one it was given),
 * so that a busy network costs a guest nothing; with more than MACS_MAX addresses (a bridge in the guest) it passes all.
 * The adapter is told these addresses by packet(7) memberships: one that can filter several does, one that cannot is put
 * into promiscuous mode by the kernel. An adapter that goes away is tried again each second.
 * With MAC NAT frames leave with the adapter's own address, and the filter passes group frames and those for the IP
 * addresses that the guest was seen to use; the adapter is not told anything.
 * Source: pcap(3pcap), packet(7).
 */
#include "netstack/host_int.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "netstack/host_adapter.h"
#include "netstack/mac_nat.h"

enum { MACS_MAX = 16, SNAPLEN = 262144, KERNEL_BUFFER = 16 << 20 /* 64 KiB a frame where the adapter joins them */ };

struct adapter {
    struct net_host h; /* first */
    pcap_t *pcap;      /* NULL: the adapter is away */
    struct timer look; /* once a second: is the adapter there, and the one that was opened? */
    unsigned index;    /* its number when it was opened */
    uint8_t mac[MACS_MAX][ETH_ALEN];
    unsigned macs; /* MACS_MAX + 1: too many */
    const u_char *data;
    size_t len; /* of the frame that was read last */
    uint64_t damaged;
    bool behind; /* MAC NAT */
    struct mac_nat nat;
    uint64_t changes; /* of nat, that the filter has */
    char limits[768];
    uint8_t linear[NET_FRAME_MAX];
    uint8_t in[NET_FRAME_MAX]; /* MAC NAT: the frame that was read last, while it is handed on */
};

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static const char *mac_text(const uint8_t *m, char buf[18])
{
    snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    return buf;
}

/* "(ether multicast or (ether dst A and (arp or udp dst port 68 or ip dst host X or ...))) and not ether src A" */
static void nat_filter_text(const struct adapter *a, FILE *f)
{
    char mac[18], ip[NET_ADDR_TEXT];

    mac_text(a->nat.mac, mac);
    fprintf(f, "(ether multicast or (ether dst %s and (arp or udp dst port 68", mac);
    for (unsigned i = 0; i < a->nat.count; i++)
        fprintf(f, " or %s dst host %s", net_addr_is4(&a->nat.entry[i].ip) ? "ip" : "ip6",
                net_addr_text(&a->nat.entry[i].ip, ip));
    fprintf(f, "))) and not ether src %s", mac);
}

/* "(ether multicast or ether dst A or ...) and not (ether src A or ...)": a frame of its own that comes back is no news. */
static void filter_text(const struct adapter *a, char *out, size_t size)
{
    FILE *f = fmemopen(out, size, "w");
    char mac[18];

    if (!f) {
        out[0] = 0;
        return;
    }
    if (a->behind) {
        nat_filter_text(a, f);
        fclose(f);
        return;
    }
    fprintf(f, "(ether multicast");
    for (unsigned i = 0; i < a->macs; i++)
        fprintf(f, " or ether dst %s", mac_text(a->mac[i], mac));
    fprintf(f, ")");
    for (unsigned i = 0; i < a->macs; i++)
        fprintf(f, " and not ether src %s", mac_text(a->mac[i], mac));
    fclose(f);
}

static void membership(const struct adapter *a, unsigned short type, const uint8_t *mac)
{
    struct packet_mreq m = {.mr_ifindex = (int)if_nametoindex(a->h.name), .mr_type = type};

    if (mac) {
        m.mr_alen = ETH_ALEN;
        memcpy(m.mr_address, mac, ETH_ALEN);
    }
    if (setsockopt(a->h.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) < 0 && type == PACKET_MR_UNICAST)
        membership(a, PACKET_MR_PROMISC, NULL);
}

/* Have the adapter take frames for mac, which it does anyway when that is its own. */
static void take(const struct adapter *a, const uint8_t *mac)
{
    struct ifreq r = {0};

    if (!host_adapter_ioctl(SIOCGIFHWADDR, a->h.name, &r) || memcmp(r.ifr_hwaddr.sa_data, mac, ETH_ALEN))
        membership(a, PACKET_MR_UNICAST, mac);
}

static void set_filter(struct adapter *a)
{
    char text[4096] = "";
    struct bpf_program program;

    if (a->macs <= MACS_MAX)
        filter_text(a, text, sizeof text);
    if (pcap_compile(a->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) < 0)
        return;
    if (pcap_setfilter(a->pcap, &program) < 0 && a->h.env.log)
        log_write(a->h.env.log, "%s: no filter: %s", a->h.name, pcap_geterr(a->pcap));
    pcap_freecode(&program);
}

static bool knows(const struct adapter *a, const uint8_t *mac)
{
    for (unsigned i = 0; i < a->macs && i < MACS_MAX; i++)
        if (!memcmp(a->mac[i], mac, ETH_ALEN))
            return true;
    return false;
}

static void learn(struct adapter *a, const uint8_t *mac)
{
    static const uint8_t none[ETH_ALEN];

    if (a->macs > MACS_MAX || mac[0] & 1 || !memcmp(mac, none, ETH_ALEN) || knows(a, mac))
        return;
    if (a->macs == MACS_MAX) {
        a->macs++;
        membership(a, PACKET_MR_PROMISC, NULL);
    } else {
        memcpy(a->mac[a->macs++], mac, ETH_ALEN);
        take(a, mac);
    }
    set_filter(a);
}

/* --- the adapter -------------------------------------------------------------------------------------------------- */

static void adapter_event(void *arg, int fd, unsigned events);

static bool activate(pcap_t *p, const char *name, struct err *e)
{
    int r;

    pcap_set_snaplen(p, SNAPLEN);
    pcap_set_promisc(p, 0);
    pcap_set_immediate_mode(p, 1);
    pcap_set_buffer_size(p, KERNEL_BUFFER);
    r = pcap_activate(p);
    if (r == PCAP_ERROR_PERM_DENIED)
        return err_set(e, "this user may not open %s: that takes CAP_NET_RAW (as root: setcap cap_net_raw+ep PROGRAM), or use a tap "
                          "or a bridge with a helper", name);
    if (r < 0)
        return err_set(e, "%s: %s", pcap_statustostr(r), pcap_geterr(p));
    if (pcap_datalink(p) != DLT_EN10MB)
        return err_set(e, "%s is not an Ethernet adapter", name);
    return true;
}

static void own_mac(struct adapter *a)
{
    struct ifreq r = {0};

    if (host_adapter_ioctl(SIOCGIFHWADDR, a->h.name, &r))
        memcpy(a->nat.mac, r.ifr_hwaddr.sa_data, ETH_ALEN);
}

static bool adapter_open(struct adapter *a, struct err *e)
{
    char error[PCAP_ERRBUF_SIZE] = "";

    a->pcap = pcap_create(a->h.name, error);
    if (!a->pcap)
        return err_set(e, "%s", error);
    if (activate(a->pcap, a->h.name, e) && (pcap_setnonblock(a->pcap, 1, error) >= 0 || err_set(e, "%s", error)) &&
        loop_add(a->h.env.loop, pcap_get_selectable_fd(a->pcap), LOOP_IN, adapter_event, a, e)) {
        a->h.fd = pcap_get_selectable_fd(a->pcap);
        a->h.port.mtu = host_adapter_mtu(a->h.name);
        a->index = if_nametoindex(a->h.name);
        timer_arm(&a->look, clock_now(a->h.env.clock) + NS_PER_SEC);
        membership(a, PACKET_MR_ALLMULTI, NULL);
        for (unsigned i = 0; i < a->macs && i < MACS_MAX && !a->behind; i++)
            take(a, a->mac[i]);
        own_mac(a);
        if (a->macs > MACS_MAX)
            membership(a, PACKET_MR_PROMISC, NULL);
        set_filter(a);
        return true;
    }
    pcap_close(a->pcap);
    a->pcap = NULL;
    return false;
}

static void adapter_shut(struct adapter *a)
{
    if (!a->pcap)
        return;
    loop_remove(a->h.env.loop, a->h.fd);
    pcap_close(a->pcap);
    a->pcap = NULL;
    a->h.fd = -1;
    a->h.held = a->h.waits = false;
}

static void adapter_lost(struct adapter *a, const char *why)
{
    if (a->h.env.log)
        log_write(a->h.env.log, "%s: %s", a->h.name, why);
    adapter_shut(a);
    timer_arm(&a->look, clock_now(a->h.env.clock) + NS_PER_SEC);
    net_port_room(&a->h.port);
}

/* libpcap asks for the adapter by its name, and does not see that another took its place in between. */
static void look_after(void *arg)
{
    struct adapter *a = arg;
    struct err e;

    if (a->pcap && if_nametoindex(a->h.name) != a->index)
        adapter_lost(a, "the adapter was removed");
    else if (a->pcap || !adapter_open(a, &e))
        timer_arm(&a->look, clock_now(a->h.env.clock) + NS_PER_SEC);
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* false: refused. */
static bool deliver(struct adapter *a)
{
    struct iovec iov = {(void *)(uintptr_t)a->data, a->len};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = a->len};

    if (a->behind) {
        memcpy(a->in, a->data, a->len);
        iov.iov_base = a->in;
        if (!mac_nat_in(&a->nat, a->in, a->len))
            return true;
    }
    if (!host_repair(&f, a->h.port.mtu)) {
        a->damaged++;
        return true;
    }
    if (!net_port_send(&a->h.port, &f))
        return false;
    a->h.received++;
    return true;
}

/* The frame stays where libpcap has it until the next is asked for. */
static void adapter_event(void *arg, int fd, unsigned events)
{
    struct adapter *a = arg;
    struct pcap_pkthdr *head;
    int r = 1;

    (void)fd;
    if (events & LOOP_OUT)
        host_writable(&a->h);
    for (unsigned i = 0; i < HOST_BURST && !a->h.held && r == 1; i++) {
        r = pcap_next_ex(a->pcap, &head, &a->data);
        if (r != 1)
            break;
        a->len = head->caplen;
        if (head->caplen >= ETH_HLEN && head->caplen == head->len && head->len <= NET_FRAME_MAX)
            a->h.held = !deliver(a);
    }
    if (r < 0)
        adapter_lost(a, pcap_geterr(a->pcap));
    else
        host_watch(&a->h);
}

static void adapter_ready(struct net_port *p)
{
    struct adapter *a = p->arg;

    if (!a->h.held)
        return;
    a->h.held = !deliver(a);
    host_watch(&a->h);
}

static bool adapter_receive(struct net_port *p, const struct net_frame *f)
{
    struct adapter *a = p->arg;
    struct packet pk = packet_of(f);
    uint8_t scratch[ETH_ALEN];
    const uint8_t *src = packet_at(&pk, ETH_ALEN, ETH_ALEN, scratch), *data;

    if (!a->pcap || !src) {
        a->h.lost++;
        return true;
    }
    if (a->behind) {
        packet_copy(&pk, 0, a->linear, f->len);
        data = a->linear;
        mac_nat_out(&a->nat, a->linear, f->len);
        if (a->nat.changes != a->changes) {
            a->changes = a->nat.changes;
            set_filter(a);
        }
    } else {
        learn(a, src);
        data = packet_at(&pk, 0, f->len, a->linear);
    }
    if (data && pcap_inject(a->pcap, data, f->len) >= 0)
        return true;
    if (data && errno == EAGAIN)
        return host_wait(&a->h);
    a->h.lost++;
    return true;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void adapter_close(struct net_host *h)
{
    struct adapter *a = (struct adapter *)h;

    adapter_shut(a);
    clock_drop_timer(&a->look);
}

static void adapter_info(const struct net_host *h, FILE *out)
{
    const struct adapter *a = (const struct adapter *)h;
    struct pcap_stat st = {0};
    char mac[18];

    fprintf(out, "%s", a->pcap ? "open" : "away");
    if (a->behind)
        fprintf(out, ", behind its own address, %u IP addresses", a->nat.count);
    if (a->macs > MACS_MAX)
        fprintf(out, ", all addresses");
    for (unsigned i = 0; i < a->macs && i < MACS_MAX; i++)
        fprintf(out, ", %s", mac_text(a->mac[i], mac));
    if (a->pcap && !pcap_stats(a->pcap, &st) && st.ps_drop)
        fprintf(out, ", %u dropped by the kernel", st.ps_drop);
    if (a->damaged)
        fprintf(out, ", %" PRIu64 " joined by the host that cannot be parted", a->damaged);
}

static const struct host_kind adapter_kind = {
    .ops = {.kind = "bridge", .receive = adapter_receive, .ready = adapter_ready},
    .close = adapter_close,
    .info = adapter_info,
};

struct net_host *net_host_pcap(const struct net_env *env, const char *ifname, const uint8_t mac[ETH_ALEN],
                               enum net_mac_nat nat, const char **limits, struct err *e)
{
    struct adapter *a = calloc(1, sizeof *a);

    if (!a) {
        err_set(e, "out of memory");
        return NULL;
    }
    host_init(&a->h, env, &adapter_kind, ifname, -1);
    timer_init(&a->look, env->clock, look_after, a);
    a->behind = nat == NET_MAC_NAT_ON || (nat == NET_MAC_NAT_AUTO && host_adapter_kind(ifname) == ADAPTER_WIFI);
    if (mac) {
        memcpy(a->nat.last, mac, ETH_ALEN);
        memcpy(a->mac[0], mac, ETH_ALEN);
        a->macs = 1;
    }
    if (!host_adapter_usable(ifname, e) || !adapter_open(a, e)) {
        net_host_free(&a->h);
        err_prefix(e, "bridge:%s", ifname);
        return NULL;
    }
    host_adapter_limits(ifname, nat != NET_MAC_NAT_OFF, a->limits, sizeof a->limits);
    *limits = a->limits;
    return &a->h;
}
