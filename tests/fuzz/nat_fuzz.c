#include "tests/fuzz/nat_fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/gate.h"
#include "base/log.h"
#include "netstack/packet.h"
#include "tests/unit/net_ns.h"

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "the gateway: %s\n", what);
    abort();
}

/* --- what the guest gets ----------------------------------------------------------------------------------------- */

static void check(const struct nat_fuzz *z, const struct net_frame *f, const uint8_t *b, size_t n)
{
    size_t ip = f->len - ETH_HLEN;
    uint16_t type;

    must(n >= ETH_HLEN, "a frame without a header");
    must(b[6] == 0x52 && b[7] == 0x55, "a frame that is not from its MAC");
    type = ld16be(b + 12);
    must(type == 0x0800 || type == 0x0806 || type == 0x86dd, "an unknown kind of frame");
    must(f->gso || ip <= z->guest.mtu, "a packet larger than the guest takes");
    if (type == 0x0800) {
        must(n >= 34 && b[14] == 0x45, "no IPv4 header");
        must(ld16be(b + 16) == ip, "a wrong IPv4 length");
        must(csum_fold(csum_add(0, b + 14, 20)) == 0, "a wrong IPv4 checksum");
        must(b[22] > 0, "no hops left");
    } else if (type == 0x86dd) {
        must(n >= 54 && b[14] >> 4 == 6, "no IPv6 header");
        must(ld16be(b + 18) + 40u == ip, "a wrong IPv6 length");
        must(b[21] > 0, "no hops left");
    }
}

static bool receive(struct net_port *p, const struct net_frame *f)
{
    struct nat_fuzz *z = p->arg;
    struct packet whole = packet_of(f);

    if (!z->room) {
        z->refused = true;
        return false;
    }
    z->room--;
    z->last_len = packet_copy(&whole, 0, z->last, sizeof z->last);
    check(z, f, z->last, z->last_len);
    return true;
}

static const struct net_port_ops guest_ops = {.kind = "guest", .receive = receive};

void nat_fuzz_room(struct nat_fuzz *z, unsigned frames)
{
    z->room = frames;
    if (!z->refused || !frames)
        return;
    z->refused = false;
    net_port_room(&z->guest);
    nat_fuzz_turn(z);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static int lowest_free(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

    close(fd);
    return fd;
}

void nat_fuzz_begin(struct nat_fuzz *z, const struct nat_config *c)
{
    static enum { UNTRIED, INSIDE, OUTSIDE } ns;
    struct nat_config config = *c;
    struct err e;

    if (ns == UNTRIED)
        ns = net_ns_enter() ? INSIDE : OUTSIDE;
    config.restrict_ |= ns == OUTSIDE;
    config.resolv_conf = config.resolv_conf ? config.resolv_conf : "/nonexistent";
    *z = (struct nat_fuzz){.first_free = lowest_free(), .room = UINT32_MAX};
    z->env.clock = clock_new_fake();
    z->env.loop = loop_new(z->env.clock, &e);
    z->env.log = log_new();
    z->env.gate = gate_new(z->env.clock);
    gate_set_seed(z->env.gate, 1);
    z->nat = nat_new(&z->env, &config, &e);
    z->guest =
        (struct net_port){.ops = &guest_ops, .arg = z, .name = "guest", .can = NET_CAN_ALL, .mtu = NET_MTU_DEFAULT};
    z->cable = z->nat ? net_cable_new(&z->env, "fuzz", &z->guest, nat_port(z->nat), &e) : NULL;
    must(z->cable != NULL, e.msg);
}

void nat_fuzz_turn(struct nat_fuzz *z)
{
    for (unsigned i = 0; i < 3; i++)
        loop_poll(z->env.loop);
}

void nat_fuzz_end(struct nat_fuzz *z)
{
    struct nat_counts n;

    nat_fuzz_room(z, UINT32_MAX);
    for (unsigned i = 0; i < 4; i++) { /* the longest time of a UDP flow is two minutes */
        clock_advance(z->env.clock, 31 * NS_PER_SEC);
        nat_fuzz_turn(z);
    }
    nat_counts(z->nat, &n);
    must(!n.udp && !n.icmp && !n.fragments, "flows that do not end");
    net_cable_free(z->cable);
    nat_free(z->nat);
    loop_free(z->env.loop);
    gate_free(z->env.gate);
    log_free(z->env.log);
    clock_free(z->env.clock);
    must(lowest_free() == z->first_free, "a descriptor that is left");
}

/* --- what the guest sends ------------------------------------------------------------------------------------------ */

void nat_fuzz_send_frame(struct nat_fuzz *z, const struct net_frame *f)
{
    net_port_send(&z->guest, f);
    nat_fuzz_turn(z);
}

/* The bytes in memory of their own, so that the sanitizer sees a read behind them. */
void nat_fuzz_send(struct nat_fuzz *z, const uint8_t *frame, size_t len, unsigned cut)
{
    uint8_t *copy = malloc(len + !len);
    struct iovec iov[64];
    struct net_frame f = {.iov = iov, .len = len};
    size_t step = cut ? cut : len, at = 0;

    memcpy(copy, frame, len);
    for (; f.iovcnt < 63 && at + step < len; at += step)
        iov[f.iovcnt++] = (struct iovec){copy + at, step};
    iov[f.iovcnt++] = (struct iovec){copy + at, len - at};
    nat_fuzz_send_frame(z, &f);
    free(copy);
}

/* --- sums ---------------------------------------------------------------------------------------------------------- */

static void mend_l4(uint8_t proto, uint32_t pseudo, uint8_t *l4, size_t len)
{
    size_t off = proto == 1 || proto == 58 ? 2 : proto == 6 ? 16 : 6;

    if ((proto != 1 && proto != 6 && proto != 17 && proto != 58) || off + 2 > len)
        return;
    if (proto == 17)
        st16be(l4 + 4, (uint16_t)len);
    st16be(l4 + off, 0);
    st16be(l4 + off, csum_fold(csum_add(proto == 1 ? 0 : pseudo, l4, len)));
}

static uint32_t pseudo(const uint8_t *addr, size_t n, uint8_t proto, size_t len)
{
    uint8_t tail[8];

    st32be(tail, (uint32_t)len);
    st32be(tail + 4, proto);
    return csum_add(csum_add(0, addr, n), tail, 8);
}

void nat_fuzz_mend(uint8_t *ip, size_t len)
{
    size_t hlen = (ip[0] & 15) * 4u;

    if (len >= 40 && ip[0] >> 4 == 6) {
        uint8_t next = ip[6];
        size_t at = 40;

        st16be(ip + 4, (uint16_t)(len - 40));
        while (at + 8 <= len && (next == 0 || next == 43 || next == 44 || next == 60)) {
            next = ip[at];
            at += next == 44 ? 8 : (ip[at + 1] + 1u) * 8;
        }
        if (at < len)
            mend_l4(next, pseudo(ip + 8, 32, next, len - at), ip + at, len - at);
    } else if (len >= 20 && ip[0] >> 4 == 4 && hlen >= 20 && hlen <= len) {
        st16be(ip + 2, (uint16_t)len);
        if (!(ld16be(ip + 6) & 0x3fff))
            mend_l4(ip[9], pseudo(ip + 12, 8, ip[9], len - hlen), ip + hlen, len - hlen);
        st16be(ip + 10, 0);
        st16be(ip + 10, csum_fold(csum_add(0, ip, hlen)));
    }
}
