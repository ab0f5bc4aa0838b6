/* A NAT gateway with one guest behind it, for tests of what the gateway does by itself. */
#ifndef TESTS_UNIT_NAT_GUEST_H
#define TESTS_UNIT_NAT_GUEST_H

#include "netstack/nat.h"
#include "tests/unit/net_driver.h"

struct nat_guest {
    struct world w;
    struct far f;
    struct nat *n;
    char resolv_conf[64]; /* a file of this test's, empty at first */
};

/* c: NULL for the defaults; its resolv_conf is replaced when it is NULL. Fails the test on an error. */
void nat_guest_begin(struct nat_guest *g, const struct nat_config *c);
void nat_guest_end(struct nat_guest *g);
void nat_guest_resolv(struct nat_guest *g, const char *text); /* write the file anew, with another mtime */

#endif
