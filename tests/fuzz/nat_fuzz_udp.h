/* UDP for fuzz targets of the NAT's services: datagrams of guests, and what came back, behind its headers. */
#ifndef TESTS_FUZZ_NAT_FUZZ_UDP_H
#define TESTS_FUZZ_NAT_FUZZ_UDP_H

#include "tests/fuzz/nat_fuzz.h"

struct udp_fuzz {
    uint8_t guest;          /* last byte of its MAC 52:54:00:00:00:xx and of its addresses 10.0.2.xx, fec0::xx, fe80::xx */
    bool no_addr;           /* from 0.0.0.0 */
    bool link_local;        /* from fe80::xx */
    bool group;             /* to a group MAC */
    const uint8_t *dst;     /* 4 or 16 bytes */
    bool is4;
    uint16_t sport, dport;
    unsigned cut;           /* in pieces of so many bytes; 0: one */
};

/* Send; then udp_fuzz_reply has the last datagram that came meanwhile. */
void udp_fuzz_send(struct nat_fuzz *z, const struct udp_fuzz *u, const uint8_t *data, size_t len);
/* Its payload and length, and ports; NULL: none came, or something else. */
const uint8_t *udp_fuzz_reply(const struct nat_fuzz *z, size_t *len, uint16_t *sport, uint16_t *dport);
/* Up to max of the input's next bytes, as many as a length there says. */
size_t udp_fuzz_take(struct fuzz_in *in, uint8_t *to, size_t max);

#endif
