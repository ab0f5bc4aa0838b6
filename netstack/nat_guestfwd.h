/* Forwards' two halves among themselves: of the host (nat_forward.c), of guests (nat_guestfwd.c). */
#ifndef NETSTACK_NAT_GUESTFWD_H
#define NETSTACK_NAT_GUESTFWD_H

#include "netstack/nat_int.h"

struct forward;
struct guestfwd;

struct nat_forwards {
    struct forward *forwards;
    unsigned count;
    struct timer timer; /* paused forwards are tried again */
    struct guestfwd *guestfwds;
    unsigned guestfwd_count;
};

void nat_guestfwd_free(struct nat_forwards *t);
void nat_guestfwd_info(const struct nat_forwards *t, FILE *out);

#endif
