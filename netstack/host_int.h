/*
 * Inside the ports that end outside: what host.c shares with host_tap.c, host_stream.c, host_dgram.c and host_pcap.c.
 *
 * All read in callbacks of the loop and hand on at once; when the cable refuses a frame they keep that one, stop reading,
 * and go on in `ready`: what does not fit waits in the kernel, or is dropped there.
 */
#ifndef NETSTACK_HOST_INT_H
#define NETSTACK_HOST_INT_H

#include <sys/socket.h>

#include "base/loop.h"
#include "netstack/host.h"
#include "netstack/packet.h"

struct host_kind {
    struct net_port_ops ops; /* of the port; p->arg is the struct net_host */
    void (*close)(struct net_host *h); /* all but the struct */
    void (*info)(const struct net_host *h, FILE *out);
};

struct net_host {
    struct net_port port; /* first */
    struct net_env env;
    const struct host_kind *kind;
    char name[64];     /* of the port: "tap0", "eth0", "stream" */
    int fd;            /* what host_watch watches, -1: nothing now */
    bool held;         /* the cable refused the frame that was read last: `ready` goes on with it */
    bool waits;        /* we refused a frame: the host has no room now */
    uint64_t lost;     /* frames for the outside that the host did not take */
    uint64_t received; /* from the outside */
};

enum { HOST_BURST = 64, HOST_IOV = 64 }; /* frames a callback, so that others have their turn; pieces of a frame */

/* *h is zeroed, the first part of the kind's own struct. */
void host_init(struct net_host *h, const struct net_env *env, const struct host_kind *kind, const char *name, int fd);
/* Have the loop report what held and waits call for. */
void host_watch(struct net_host *h);
/* The host has no room: false, for the port's receive to return; host_writable when the loop says so. */
bool host_wait(struct net_host *h);
void host_writable(struct net_host *h);
/*
 * f's pieces for a system call: at most HOST_IOV of them; when there are more, one, copied to linear (NET_FRAME_MAX bytes).
 */
unsigned host_pieces(const struct net_frame *f, struct iovec *iov, uint8_t *linear);
/* A frame in one piece from the outside, valid for the call. false: refused. */
bool host_deliver(struct net_host *h, const void *data, size_t len);

/* Addresses: numeric or localhost; passive: to listen on, host may be NULL. */
bool host_resolve(const char *host, const char *port, int type, bool passive, struct sockaddr_storage *to, socklen_t *len,
                  struct err *e);
bool host_unix(const char *path, struct sockaddr_storage *to, socklen_t *len, struct err *e);

/*
 * A frame that the host's own stack, or a neighbour on a virtual adapter, left unfinished: the checksum field of TCP or UDP
 * holds the pseudo-header's sum, or several segments were joined. Sets f's offload fields, so that cables finish it.
 * mtu: the adapter's. false: it cannot be mended.
 */
bool host_repair(struct net_frame *f, uint32_t mtu);

#endif
