/* NBD: connecting, and the newstyle fixed negotiation. All numbers on the wire are big-endian; nothing said is trusted. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/nbd.h"

#define MAGIC UINT64_C(0x4e42444d41474943)     /* NBDMAGIC */
#define MAGIC_OPT UINT64_C(0x49484156454f5054) /* IHAVEOPT */
#define MAGIC_OLD UINT64_C(0x00420281861253)
#define MAGIC_REPLY UINT64_C(0x0003e889045565a9)

enum {
    PATIENCE = 60, /* seconds without a byte; then the server counts as gone */

    FIXED_NEWSTYLE = 1, /* handshake flags */
    NO_ZEROES = 2,

    OPT_EXPORT_NAME = 1,
    OPT_ABORT = 2,
    OPT_LIST = 3,
    OPT_GO = 7,
    OPT_STRUCTURED_REPLY = 8,
    OPT_SET_META_CONTEXT = 10,

    REP_ACK = 1,
    REP_SERVER = 2,
    REP_INFO = 3,
    REP_META_CONTEXT = 4,
    INFO_EXPORT = 0,
    INFO_BLOCK_SIZE = 3,

    REPLY_MAX = 64 << 10, /* bytes of an option's reply */
    REPLIES_MAX = 4096,   /* replies to an option */
};

#define REP_ERR_UNSUP 0x80000001u
#define REP_ERR_TLS_REQD 0x80000005u
#define REP_ERR_UNKNOWN 0x80000006u

struct talk {
    int fd;
    const char *path;
    const struct nbd_address *at;
    struct nbd_export *ex;
    struct err *e;
    uint8_t data[REPLY_MAX + 1];
    uint32_t len; /* of data */
};

bool nbd_recv(int fd, void *buf, size_t n)
{
    char *p = buf;

    while (n) {
        ssize_t got = recv(fd, p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

bool nbd_send(int fd, const void *buf, size_t n)
{
    const char *p = buf;

    while (n) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static bool gone(struct talk *t) { return err_set(t->e, "'%s': the NBD server broke off the negotiation", t->path); }

static bool send_option(struct talk *t, uint32_t option, const void *data, uint32_t len)
{
    uint8_t h[16];

    st64be(h, MAGIC_OPT);
    st32be(h + 8, option);
    st32be(h + 12, len);
    return (nbd_send(t->fd, h, sizeof h) && nbd_send(t->fd, data, len)) || gone(t);
}

/* One reply; its data in t->data, NUL behind it. */
static bool recv_reply(struct talk *t, uint32_t option, uint32_t *type)
{
    uint8_t h[20];

    if (!nbd_recv(t->fd, h, sizeof h))
        return gone(t);
    *type = ld32be(h + 12);
    t->len = ld32be(h + 16);
    if (ld64be(h) != MAGIC_REPLY || ld32be(h + 8) != option || t->len > REPLY_MAX)
        return err_set(t->e, "'%s': what answers there does not speak NBD's fixed newstyle protocol", t->path);
    if (!nbd_recv(t->fd, t->data, t->len))
        return gone(t);
    t->data[t->len] = '\0';
    for (uint32_t i = 0; *type >> 31 && i < t->len; i++) /* its message goes to a terminal */
        if (t->data[i] < ' ' || t->data[i] > '~')
            t->data[i] = '?';
    return true;
}

/* How many bytes put() takes of an export's name with its length before it. */
static uint32_t put_name(uint8_t *p, const char *name)
{
    uint32_t n = (uint32_t)strlen(name);

    st32be(p, n);
    memcpy(p + 4, name, n);
    return n + 4;
}

static bool ask_structured(struct talk *t)
{
    uint32_t type;

    if (!send_option(t, OPT_STRUCTURED_REPLY, NULL, 0) || !recv_reply(t, OPT_STRUCTURED_REPLY, &type))
        return false;
    t->ex->structured = type == REP_ACK;
    return true;
}

static bool ask_context(struct talk *t)
{
    static const char context[] = "base:allocation";
    uint8_t data[NBD_NAME_MAX + 64];
    uint32_t n = put_name(data, t->at->export), type = 0;

    st32be(data + n, 1);
    n += 4;
    n += put_name(data + n, context);
    if (!send_option(t, OPT_SET_META_CONTEXT, data, n))
        return false;
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!recv_reply(t, OPT_SET_META_CONTEXT, &type))
            return false;
        if (type != REP_META_CONTEXT)
            return true; /* done, or refused */
        if (t->len == 4 + strlen(context) && !memcmp(t->data + 4, context, strlen(context))) {
            t->ex->context = ld32be(t->data);
            t->ex->has_context = true;
        }
    }
    return gone(t);
}

static void take_info(struct talk *t)
{
    uint16_t info = t->len >= 2 ? ld16be(t->data) : UINT16_MAX;

    if (info == INFO_EXPORT && t->len >= 12) {
        t->ex->size = ld64be(t->data + 2);
        t->ex->flags = ld16be(t->data + 10);
    } else if (info == INFO_BLOCK_SIZE && t->len >= 14) {
        t->ex->min_block = ld32be(t->data + 2);
        t->ex->max_payload = ld32be(t->data + 10);
    }
}

/* The names the server has, for the message. */
static void list_exports(struct talk *t, char *out, size_t size)
{
    uint32_t type, n;

    *out = '\0';
    if (!send_option(t, OPT_LIST, NULL, 0))
        return;
    for (unsigned i = 0; i < REPLIES_MAX && recv_reply(t, OPT_LIST, &type) && type == REP_SERVER; i++) {
        n = t->len >= 4 ? ld32be(t->data) : 0;
        if (n > t->len - 4 || strlen(out) + n + 8 > size)
            continue;
        for (uint32_t k = 0; k < n; k++)
            if (t->data[4 + k] < ' ' || t->data[4 + k] > '~')
                t->data[4 + k] = '?';
        strcat(out, *out ? ", '" : "'");
        strncat(out, (char *)t->data + 4, n);
        strcat(out, "'");
    }
}

static bool refused(struct talk *t, uint32_t type)
{
    char names[600];

    if (type == REP_ERR_TLS_REQD)
        return err_set(t->e, "'%s': the NBD server wants TLS, which is not supported", t->path);
    if (type != REP_ERR_UNKNOWN)
        return err_set(t->e, "'%s': the NBD server refuses export '%s': %.200s", t->path, t->at->export,
                       t->len ? (char *)t->data : "it does not say why");
    list_exports(t, names, sizeof names);
    return err_set(t->e, "'%s': the NBD server has no export '%.100s'; it has: %s", t->path, t->at->export,
                   *names ? names : "none that it names");
}

/* Servers older than NBD_OPT_GO. */
static bool ask_by_name(struct talk *t, bool no_zeroes)
{
    uint8_t b[134];

    if (!send_option(t, OPT_EXPORT_NAME, t->at->export, (uint32_t)strlen(t->at->export)))
        return false;
    if (!nbd_recv(t->fd, b, no_zeroes ? 10 : 134))
        return err_set(t->e, "'%s': the NBD server has no export '%s'", t->path, t->at->export);
    t->ex->size = ld64be(b);
    t->ex->flags = ld16be(b + 8);
    return true;
}

static bool ask_go(struct talk *t, bool no_zeroes)
{
    uint8_t data[NBD_NAME_MAX + 16];
    uint32_t n = put_name(data, t->at->export), type;

    st16be(data + n, 1);
    st16be(data + n + 2, INFO_BLOCK_SIZE);
    if (!send_option(t, OPT_GO, data, n + 4))
        return false;
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!recv_reply(t, OPT_GO, &type))
            return false;
        if (type == REP_ACK)
            return true;
        if (type == REP_ERR_UNSUP)
            return ask_by_name(t, no_zeroes);
        if (type >> 31)
            return refused(t, type);
        if (type == REP_INFO)
            take_info(t);
    }
    return gone(t);
}

static bool greet(struct talk *t, bool *no_zeroes)
{
    uint8_t b[18];
    uint16_t flags;

    if (!nbd_recv(t->fd, b, sizeof b))
        return err_set(t->e, "'%s': what answers there is no NBD server, or is busy with another client", t->path);
    if (ld64be(b) != MAGIC)
        return err_set(t->e, "'%s': what answers there is no NBD server", t->path);
    flags = ld16be(b + 16);
    if (ld64be(b + 8) != MAGIC_OPT || !(flags & FIXED_NEWSTYLE))
        return err_set(t->e, "'%s': the NBD server speaks %s, which is not supported", t->path,
                       ld64be(b + 8) == MAGIC_OLD ? "the old protocol" : "an unfinished version of the protocol");
    *no_zeroes = flags & NO_ZEROES;
    st32be(b, FIXED_NEWSTYLE | (*no_zeroes ? NO_ZEROES : 0));
    return nbd_send(t->fd, b, 4) || gone(t);
}

static bool check_export(struct talk *t)
{
    struct nbd_export *ex = t->ex;

    if (!ex->size || ex->size > INT64_MAX)
        return err_set(t->e, "'%s': the NBD export has a size of %llu bytes", t->path, (unsigned long long)ex->size);
    if (!ex->min_block)
        ex->min_block = 1;
    if (!is_pow2(ex->min_block) || ex->min_block > 64 << 10)
        return err_set(t->e, "'%s': the NBD export has blocks of %u bytes", t->path, ex->min_block);
    if (!ex->max_payload || ex->max_payload > NBD_PAYLOAD_MAX)
        ex->max_payload = NBD_PAYLOAD_MAX;
    ex->max_payload &= ~(ex->min_block - 1);
    if (ex->max_payload < 4096 || ex->max_payload < ex->min_block)
        return err_set(t->e, "'%s': the NBD export takes at most %u bytes at once", t->path, ex->max_payload);
    return true;
}

static bool negotiate(struct talk *t)
{
    bool no_zeroes = false;

    *t->ex = (struct nbd_export){0};
    return greet(t, &no_zeroes) && ask_structured(t) && (!t->ex->structured || ask_context(t)) &&
           ask_go(t, no_zeroes) && check_export(t);
}

static int connect_unix(const char *path, const char *name, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(name) >= sizeof sa.sun_path) {
        err_set(e, "'%s': the name of the socket is too long", path);
        return -1;
    }
    strcpy(sa.sun_path, name);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    err_set(e, "'%s': cannot connect to the NBD server at '%s': %s", path, name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

static int connect_tcp(const char *path, const struct nbd_address *a, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1, one = 1, ret = getaddrinfo(a->host, a->port, &hints, &list);

    if (ret) {
        err_set(e, "'%s': cannot find the host '%s': %s", path, a->host, gai_strerror(ret));
        return -1;
    }
    err_set(e, "'%s': NBD over TCP reaches servers on this host only (127.0.0.1, ::1)", path);
    for (struct addrinfo *i = list; i && fd < 0; i = i->ai_next) {
        if (!is_loopback(i->ai_addr))
            continue;
        fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) == 0)
            break;
        err_set(e, "'%s': cannot connect to the NBD server at %s:%s: %s", path, a->host, a->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

bool nbd_negotiate(int fd, const char *path, const struct nbd_address *a, struct nbd_export *ex, struct err *e)
{
    struct timeval patience = {.tv_sec = PATIENCE};
    struct talk *t = malloc(sizeof *t);
    bool ok;

    if (!t)
        return err_set(e, "'%s': out of memory", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    t->fd = fd;
    t->path = path;
    t->at = a;
    t->ex = ex;
    t->e = e;
    ok = negotiate(t);
    free(t);
    return ok;
}

int nbd_connect(const char *path, const struct nbd_address *a, struct nbd_export *ex, struct err *e)
{
    int fd = a->socket ? connect_unix(path, a->socket, e) : connect_tcp(path, a, e);

    if (fd >= 0 && !nbd_negotiate(fd, path, a, ex, e)) {
        close(fd);
        fd = -1;
    }
    return fd;
}
