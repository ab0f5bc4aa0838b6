/*
 * What fuzz targets of the NAT share: a gateway with one guest behind it, made anew for each input, in a network namespace
 * where nothing can leave this machine (see tests/unit/net_ns.h; without one the gateway is restricted).
 *
 * Time is a fake clock. What the gateway sends is checked: from its own MAC, whole headers with right lengths and sums,
 * nothing larger than the guest takes. At the end nothing is left: no flow after its time, no descriptor after the gateway.
 */
#ifndef TESTS_FUZZ_NAT_FUZZ_H
#define TESTS_FUZZ_NAT_FUZZ_H

#include "base/clock.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/nat.h"
#include "tests/fuzz/machine.h"

struct nat_fuzz {
    struct net_env env;
    struct nat *nat;
    struct net_port guest;
    struct net_cable *cable;
    unsigned room; /* frames the guest takes before it refuses */
    bool refused;
    int first_free;     /* descriptor, before */
    uint8_t last[2048]; /* the first bytes of the last frame the guest got */
    size_t last_len;
};

void nat_fuzz_begin(struct nat_fuzz *z, const struct nat_config *c);
void nat_fuzz_end(struct nat_fuzz *z);
/* A frame of these bytes; cut: it is handed over in pieces of so many, 0: in one. Returns after the loop has turned. */
void nat_fuzz_send(struct nat_fuzz *z, const uint8_t *frame, size_t len, unsigned cut);
void nat_fuzz_send_frame(struct nat_fuzz *z, const struct net_frame *f);
void nat_fuzz_turn(struct nat_fuzz *z);
void nat_fuzz_room(struct nat_fuzz *z, unsigned frames);
/* Fill in an IPv4 or IPv6 packet's lengths and sums, as far as its headers can be followed. */
void nat_fuzz_mend(uint8_t *ip, size_t len);

#endif
