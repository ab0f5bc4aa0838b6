/*
 * A long transfer through a NAT, both ways at once, over a cable that may be poor: the guest is a tcp_model, the host a
 * socket in the same thread, time is fake. What is sent is compared with what arrives, byte by byte.
 */
#ifndef TESTS_UNIT_TCP_BULK_H
#define TESTS_UNIT_TCP_BULK_H

#include "netstack/cable.h"
#include "netstack/nat.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/tcp_model.h"

struct bulk {
    struct tcp_model_config c; /* given; ports are filled in */
    struct net_impair impair;
    bool no_peek_off;
    size_t host_reads; /* the host reads so much at a time; 0: 256 KiB */
    bool lazy;         /* and not at every turn */

    struct world w;
    struct nat *nat;
    struct tcp_model m;
    struct net_cable *cable;
    int listener, fd;
    uint64_t sent, got; /* by the host */
    bool host_end;      /* it has seen the end of the stream */
    uint8_t *buf, *want, *out, *next;
    size_t ready; /* bytes at next that the host has still to write */
    uint64_t turns;
    uint64_t guest_time, sent_again; /* at the end: fake ns, and frames the NAT sent again */
};

/* Run it to its end and check everything, also that nothing is left. Fails the test after `patience` of fake time. */
void bulk_run(struct bulk *b, uint64_t patience);

#endif
