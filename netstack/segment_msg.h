/*
 * What the members of a named network say over their sockets: SOCK_SEQPACKET, one message a packet, in the host's byte order
 * (all are on one host), nothing ever waited for.
 *
 *     member                         switch
 *       HELLO  (version, kind, ...) ->
 *                                   <- WELCOME (memory of the rings as a descriptor), or REFUSE (text)
 *       FORWARD (add or remove)     ->
 *                                   <- ANSWER (text on failure)
 *                                   <- ROSTER (text), when a member comes or goes
 *                                   <- LEASES of the gateway, when there are others: whoever is next goes on with them
 *       BELL                       <->  the other side's ring moved while this one slept
 *       QUERY, instead of HELLO     ->  and ROSTER comes back (`guise net list`)
 *
 * The head is the same in all versions, and REFUSE too, so that two versions can tell each other why not.
 */
#ifndef NETSTACK_SEGMENT_MSG_H
#define NETSTACK_SEGMENT_MSG_H

#include "netstack/nat.h"

enum { SEGMENT_VERSION = 1, MSG_TEXT_MAX = 8000, MSG_NAME_MAX = 64, MSG_PATH_MAX = 108, MSG_ERROR_MAX = 512 };

enum msg_type {
    MSG_BELL,
    MSG_HELLO,
    MSG_WELCOME,
    MSG_REFUSE,
    MSG_FORWARD,
    MSG_ANSWER,
    MSG_ROSTER,
    MSG_QUERY,
    MSG_LEASES,
    MSG_TYPES
};

struct msg_hello {
    uint32_t kind;     /* enum segment_kind */
    uint32_t can, mtu; /* as a port's */
    uint32_t isolated;
    char member[MSG_NAME_MAX];
};

struct msg_welcome {
    uint32_t ring_size; /* of each of the two rings */
    uint32_t can, mtu;
    uint32_t unused;
    char leader[MSG_NAME_MAX];
};

struct msg_forward {
    uint32_t id;
    uint8_t add, udp, host_any6, unused;
    uint16_t host_port, guest_port;
    struct net_addr host_addr, guest_addr;
    uint8_t guest_mac[ETH_ALEN], unused2[2];
    char host_path[MSG_PATH_MAX]; /* "": none */
};

struct msg_answer {
    uint32_t id;
    uint16_t ok, host_port; /* the port a new forward has, where it was to be any; 0: as it was asked for */
    char error[MSG_ERROR_MAX];
};

enum { MSG_LEASES_MAX = 64 };

/* One received message. Strings end with a zero, and hold only printable characters and line ends. */
struct msg {
    uint16_t type, version;
    size_t len; /* of the body */
    union {
        struct msg_hello hello;
        struct msg_welcome welcome;
        struct msg_forward forward;
        struct msg_answer answer;
        struct nat_lease_state leases[MSG_LEASES_MAX]; /* len / sizeof of them; not checked */
        char text[MSG_TEXT_MAX + 1];                   /* REFUSE, ROSTER */
    } body;
};

enum msg_status {
    MSG_OK,
    MSG_NONE, /* nothing there now */
    MSG_END,  /* the far end hung up */
    MSG_BAD,  /* not one of ours, or of a length that its type does not have */
};

/* false with errno: not sent; EAGAIN: the far end does not read what it has. pass: a descriptor to go with it, or -1. */
bool msg_send(int fd, enum msg_type type, const void *body, size_t len, int pass);
bool msg_send_text(int fd, enum msg_type type, const char *text); /* cut to MSG_TEXT_MAX */
/*
 * A message of another version is MSG_OK with type HELLO, REFUSE, or else MSG_BAD. *pass: a descriptor that came, or -1 (the
 * caller's); NULL: none is taken.
 */
enum msg_status msg_recv(int fd, struct msg *m, int *pass);

#endif
