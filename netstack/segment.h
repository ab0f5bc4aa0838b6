/*
 * Named networks of one user, across processes: internal:NAME, hostonly:NAME, natnet:NAME.
 *
 * The first member starts a switch in its process and listens on a unix socket under the user's run-time folder; later
 * members connect to it, and exchange frames through rings in shared memory (memfd passed over the socket), with the socket
 * as the doorbell's fall-back and the sign of life. When the one with the switch ends or dies, the others elect another
 * (a lock file decides) and connect again; frames on their way are lost, as on a cable that is pulled. Members of one
 * process use the same code. Each member is isolated from the others but for frames: ring contents are never trusted.
 * A natnet's switch has a NAT as one more port, a hostonly's has the host.
 */
#ifndef NETSTACK_SEGMENT_H
#define NETSTACK_SEGMENT_H

#include <stdio.h>

#include "netstack/nat.h"

struct segment;

enum segment_kind { SEGMENT_INTERNAL, SEGMENT_HOSTONLY, SEGMENT_NAT };

struct segment_config {
    enum segment_kind kind;
    const char *name;   /* letters, digits, '-', '_', '.'; at most 32 */
    /* NULL: $XDG_RUNTIME_DIR/guise/net, else /tmp/guise-UID/net; made with mode 0700, refused when others may write it. */
    const char *dir;
    const char *member; /* of this member, for `info`: the machine's name; NULL: "guise" */
    uint8_t mac[ETH_ALEN]; /* of its NIC: forwards that name no guest lead to it; zeroes: to the first lease */
    bool isolated;      /* this member exchanges frames only with the gateway */
    /*
     * Of the one who has the switch, when it comes to that: the gateway's configuration (kind NAT or HOSTONLY; for internal
     * networks a DHCP server without a gateway, when dhcp is set). Its strings and leases live as long as the segment.
     * nat.mtu is this port's too; 0: any for internal networks.
     */
    struct nat_config nat;
    bool dhcp;
    const struct nat_guestfwd *guestfwd; /* NAT: of the gateway, likewise */
    unsigned guestfwds;
    /*
     * HOSTONLY: the host's interface: made by someone else for this user; its address, if it has one, is the network's.
     * NULL: guise-NAME, made where this user may, with nat.host as its address (the servers take the next one); where
     * not, there is no interface, the log says why, and the host is reached by forwards only.
     */
    const char *tap;
};

/*
 * A member with a port of its own: plug the NIC's cable into it. NULL with e set. Waits up to 1.5 s for the process that has
 * the switch; when that takes longer, or is this process (another machine of it), joining goes on with the loop, and
 * what then goes wrong is in the log and in segment_info.
 */
struct segment *segment_join(const struct net_env *env, const struct segment_config *c, struct err *e);
void segment_leave(struct segment *s); /* its port is unplugged; NULL: nothing */
struct net_port *segment_port(struct segment *s);
/* Of this process's gateway, NULL when another process has the switch. */
struct nat *segment_nat(struct segment *s);
/*
 * Forwards live where the switch lives: handed over, and kept to be made anew after an election; they go with the member.
 * Waits up to 1 s for the answer of another process. true without one when the switch is in this process, or being
 * elected: then a failure is in the log and in segment_info.
 */
bool segment_forward(struct segment *s, const struct nat_forward *f, bool add, struct err *e);
void segment_info(const struct segment *s, FILE *out); /* members, who has the switch, frames, gateway */
/* Names and members of the networks in dir, for `guise net list`. */
void segment_list(const char *dir, FILE *out);
/*
 * The same as an array, the caller's: {name, kind, process: who has the switch or 0, members: [{name, process,
 * has_switch, isolated}]}, and error where it cannot be asked.
 */
struct json_t *segment_list_json(const char *dir);

#endif
