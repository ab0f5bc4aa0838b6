/*
 * The NBD client: an export of an NBD server as a protocol, over a unix socket or TCP on this host.
 *
 * nbd_uri.c understands names, nbd_wire.c connects and negotiates, nbd_io.c has requests in flight and reconnects,
 * nbd.c is the row of the format table. Source: the NBD project's doc/proto.md.
 */
#ifndef IMAGES_NBD_H
#define IMAGES_NBD_H

#include <pthread.h>

#include "images/image.h"

enum {
    NBD_SLOTS = 64,             /* requests in flight */
    NBD_PAYLOAD_MAX = 32 << 20, /* what any server takes at once */
    NBD_NAME_MAX = 4096,
    NBD_DEFAULT_PORT = 10809,
    NBD_ATTEMPTS = 6, /* to connect again: over 3 s */

    /* transmission flags */
    NBD_READ_ONLY = 1 << 1,
    NBD_SEND_FLUSH = 1 << 2,
    NBD_SEND_FUA = 1 << 3,
    NBD_SEND_TRIM = 1 << 5,
    NBD_SEND_WRITE_ZEROES = 1 << 6,

    /* commands, and their flags */
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
    NBD_FLAG_FUA = 1 << 0,
    NBD_FLAG_NO_HOLE = 1 << 1,
    NBD_FLAG_REQ_ONE = 1 << 3,
};

struct nbd_address {
    char *socket; /* a unix socket, or NULL */
    char *host, *port;
    char *export; /* "" is the default one */
};

/* What the server said. */
struct nbd_export {
    uint64_t size;
    uint16_t flags;
    uint32_t min_block, max_payload, context; /* context: of base:allocation */
    bool structured, has_context;
};

struct nbd_slot {
    bool busy, done;
    uint64_t cookie;
    uint16_t cmd;
    uint64_t off, len;
    const struct iovec *iov; /* read */
    unsigned n;
    uint64_t skip, seen;               /* where in iov; bytes of the read that came */
    uint32_t extent_len, extent_flags; /* block status */
    int result;                        /* 0, a negative errno, or -ECONNRESET: the connection was lost */
};

struct nbd {
    const char *path; /* the image's */
    struct nbd_address at;
    struct nbd_export ex;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t change;
    pthread_mutex_t send; /* the socket's sending side; never taken while `lock` is held */
    pthread_rwlock_t rmw; /* requests that are not aligned to the server's blocks */
    struct nbd_slot slots[NBD_SLOTS];
    int fd; /* -1: none */
    bool broken, reading, reconnecting;
    bool unflushed, lost; /* lost: the connection went with writes that were not flushed */
    unsigned attempts;    /* to connect again */
    unsigned generation;  /* of the connection; changes under both locks' exclusion of senders and readers */
    uint64_t next_cookie;
    int64_t failed_at; /* ms; when connecting failed last, 0: it did not */
};

/* nbd_uri.c. claims: is path a name of ours? */
bool nbd_claims(const char *path);
bool nbd_parse(const char *path, struct nbd_address *a, struct err *e); /* on failure a is freed */
void nbd_address_free(struct nbd_address *a);

/* nbd_wire.c */
int nbd_connect(const char *path, const struct nbd_address *a, struct nbd_export *ex, struct err *e); /* fd or -1 */
bool nbd_negotiate(int fd, const char *path, const struct nbd_address *a, struct nbd_export *ex, struct err *e);
bool nbd_recv(int fd, void *buf, size_t n);
bool nbd_send(int fd, const void *buf, size_t n);

/* nbd_io.c. One command; iov for read (filled) and write. 0 or a negative errno. Reconnects. */
struct nbd_request {
    uint16_t cmd, flags;
    uint64_t off, len;
    const struct iovec *iov;
    unsigned n;
    uint64_t skip;
    uint32_t extent_len, extent_flags; /* out */
};
int nbd_request(struct nbd *b, struct nbd_request *r);

/* nbd.c: b, connected, becomes img's priv. On failure b is freed, its connection closed. */
bool nbd_attach(struct image *img, struct nbd *b, struct err *e);

#endif
