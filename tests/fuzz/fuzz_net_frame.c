/*
 * Frames with any offload fields through cables into receivers of each capability, through a switch, with impairment, with
 * receivers that refuse; at the far ends every frame has to be one that its receiver can, and hangs together.
 *
 * Input: 4 bytes of set-up, then frames: sender, flags, gso, gso_size, csum_start, csum_offset (little-endian 16), the length
 * (one byte, or two with the flags' top bit), and the bytes; what the input lacks of them is filled up. Flag 0x20: without
 * offload fields, mended as what comes from an adapter is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "netstack/cable.h"
#include "netstack/host_int.h"
#include "netstack/packet.h"
#include "netstack/switch.h"
#include "tests/fuzz/machine.h"

enum { ENDS = 5 };

struct end {
    struct net_port port; /* first */
    struct net_cable *cable;
    unsigned taken, refuse_every;
};

static struct clock *ck;
static struct end end[ENDS];

static bool receive(struct net_port *p, const struct net_frame *f)
{
    struct end *e = (struct end *)p;
    static const unsigned need[] = {0, NET_CAN_TSO4, NET_CAN_TSO6, NET_CAN_USO, NET_CAN_USO};
    struct packet pk = packet_of(f);
    static uint8_t copy[NET_FRAME_MAX];

    if (e->refuse_every && ++e->taken % e->refuse_every == 0)
        return false;
    if (f->len < ETH_HLEN || f->len > NET_FRAME_MAX || packet_copy(&pk, 0, copy, f->len) != f->len)
        abort();
    if (f->gso && (!(f->flags & NET_CSUM_PARTIAL) || (p->can & need[f->gso]) != need[f->gso] || !f->gso_size))
        abort();
    if (f->flags & NET_CSUM_PARTIAL &&
        (!(p->can & NET_CAN_CSUM) || (size_t)f->csum_start + f->csum_offset + 2 > f->len))
        abort();
    if (!f->gso && f->len > p->mtu + ETH_HLEN + 8)
        abort();
    return true;
}

static const struct net_port_ops ops = {.kind = "end", .receive = receive};

static void send_one(struct fuzz_in *in)
{
    static uint8_t data[NET_FRAME_MAX];
    unsigned from = (unsigned)fuzz_take(in, 1), flags = (unsigned)fuzz_take(in, 1);
    struct net_frame f = {.flags = (uint8_t)(flags & 7), .gso = (uint8_t)(fuzz_take(in, 1) % 6)};
    struct iovec iov[80];
    unsigned pieces = 1 + (from >> 3);
    size_t n, at = 0;

    f.gso_size = (uint16_t)fuzz_take(in, 2);
    f.csum_start = (uint16_t)fuzz_take(in, 2);
    f.csum_offset = (uint16_t)fuzz_take(in, 2);
    f.len = flags & 0x80 ? fuzz_take(in, 2) : fuzz_take(in, 1);
    if (f.gso && f.gso_size && f.len / f.gso_size > 500) /* more segments than that take time and show nothing new */
        f.gso_size = (uint16_t)(f.len / 500);
    n = f.len < in->left ? f.len : in->left;
    memcpy(data, in->p, n);
    memset(data + n, 0x5a, f.len - n);
    in->p += n;
    in->left -= n;
    if (flags & 0x40)
        pieces += 45; /* more than the work on it has room for */
    for (unsigned i = 0; i < pieces; i++) {
        size_t part = i + 1 < pieces && f.len - at > 1 ? 1 : i + 1 < pieces ? 0 : f.len - at;

        iov[i] = (struct iovec){data + at, part};
        at += part;
    }
    f.iov = iov;
    f.iovcnt = pieces;
    if (flags & 0x20) { /* as if it came from an adapter */
        f.flags = f.gso = 0;
        if (f.len < ETH_HLEN || !host_repair(&f, end[0].port.mtu))
            return;
    }
    if (!net_port_send(&end[from % ENDS].port, &f))
        net_port_drop(&end[from % ENDS].port, 1);
}

static void settle(void)
{
    clock_advance(ck, 1000);
    for (unsigned i = 0; i < ENDS; i++)
        net_port_room(&end[i].port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const unsigned can[ENDS] = {0, NET_CAN_ALL, NET_CAN_CSUM, NET_CAN_TSO4 | NET_CAN_CSUM, NET_CAN_USO | NET_CAN_CSUM};
    struct fuzz_in in = {data, len};
    struct net_env env = {.clock = ck = clock_new_fake()};
    unsigned bits = (unsigned)fuzz_take(&in, 1), mtu = (unsigned)fuzz_take(&in, 1);
    unsigned refuse = (unsigned)fuzz_take(&in, 1), ppm = (unsigned)fuzz_take(&in, 1) * 4000;
    struct net_switch *sw = net_switch_new(&env, "sw");
    struct net_impair impair = {.seed = bits, .drop = bits & 1 ? ppm : 0, .duplicate = bits & 2 ? ppm : 0,
                                .reorder = bits & 4 ? ppm : 0, .delay = bits & 8 ? 700 : 0, .jitter = bits & 16 ? 900 : 0,
                                .rate = bits & 32 ? 1000000000 : 0};
    struct err e;

    for (unsigned i = 0; i < ENDS; i++) {
        end[i] = (struct end){.port = {.ops = &ops, .name = "end", .can = can[i], .mtu = 68 + mtu * 257},
                              .refuse_every = i == (refuse & 7) ? 2 + (refuse >> 3) : 0};
        end[i].cable = net_cable_new(&env, "cable", &end[i].port, net_switch_add(sw, "port", bits & 64 && i > 2), &e);
        if (!end[i].cable)
            abort();
        net_cable_set_impair(end[i].cable, &impair);
    }
    while (in.left) {
        send_one(&in);
        settle();
    }
    for (unsigned i = 0; i < ENDS; i++)
        net_cable_free(end[i].cable);
    net_switch_free(sw);
    clock_free(ck);
    return 0;
}
