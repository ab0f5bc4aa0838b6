/*
 * TFTP (RFC 1350) from one folder of the host, to be read only: what guests boot from.
 *
 * Options: blksize (RFC 2348; what passes the MTU unfragmented at most), timeout and tsize (2349), windowsize (7440).
 * A session is a guest's address and port and a port of ours that is random. Blocks are counted in 64 bits and shown in 16,
 * so that files may be larger than 65535 blocks, as clients expect since RFC 2348. Lost packets: the guest asks again by
 * acknowledging the last it has; when it is silent the last window is sent again, TRIES times.
 *
 * Nothing outside the folder is reachable (nat_tftp_file.c), and only regular files are read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netstack/nat_svc.h"

enum { SESSIONS_MAX = 64, SESSIONS_SHARE = 16 /* of one guest */ };
enum { REQUEST_MAX = 512, BLOCK_DEFAULT = 512, BLOCK_MAX = 65464, WINDOW_MAX = 64, TRIES = 6 };
enum { OP_RRQ = 1, OP_WRQ, OP_DATA, OP_ACK, OP_ERROR, OP_OACK };
enum { ERR_TEXT = 0, ERR_NOT_FOUND = 1, ERR_ACCESS = 2, ERR_ILLEGAL = 4, ERR_UNKNOWN_TID = 5, ERR_OPTION = 8 };
enum { MS = 1000000, TIMEOUT_MS = 1000, NO_ROOM_MS = 5 };

struct session {
    struct nat_tftp *tftp;
    int fd; /* of the file; -1: the slot is free */
    struct net_addr guest, server;
    uint16_t port, tid; /* the guest's, ours */
    uint8_t mac[ETH_ALEN];
    uint16_t block_size, window;
    uint32_t timeout_ms;
    bool netascii;
    uint64_t acked;  /* blocks that the guest has */
    uint64_t sent;   /* blocks that were sent, >= acked */
    uint64_t last;   /* the number of the last block, UINT64_MAX: not known */
    uint64_t at;     /* where block acked + 1 begins in the file */
    bool cr_pending; /* netascii: it begins with the second byte of a pair */
    uint8_t pending;
    uint64_t reached;  /* blocks that the last round got to */
    bool no_room;      /* it ended there, the guest having no room */
    bool resent;       /* the window after `acked` was sent again on request */
    bool oack;         /* block 0 is an OACK, and is not acknowledged yet */
    uint8_t reply[96]; /* that OACK */
    size_t reply_len;
    unsigned tries;
    uint64_t used;
    uint64_t request; /* hash of it */
    bool heard;       /* the guest answered, so it knows our port */
    struct timer timer;
};

struct nat_tftp {
    struct nat *n;
    int root;                    /* the folder; -1: none, nothing is served */
    uint64_t used, files, bytes; /* counters: of recency; what guests have got */
    struct session session[SESSIONS_MAX];
    uint8_t packet[4 + BLOCK_MAX], raw[BLOCK_MAX];
};

static void session_expired(void *arg);

struct nat_tftp *nat_tftp_new(struct nat *n, struct err *e)
{
    struct nat_tftp *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, "out of memory");
        return NULL;
    }
    t->n = n;
    t->root = -1;
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        t->session[i].tftp = t;
        t->session[i].fd = -1;
        timer_init(&t->session[i].timer, n->env.clock, session_expired, &t->session[i]);
    }
    if (!n->c.tftp)
        return t;
    t->root = open(n->c.tftp, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (t->root < 0) {
        err_set(e, "tftp folder %s: %s", n->c.tftp, strerror(errno));
        nat_tftp_free(t);
        return NULL;
    }
    return t;
}

static void session_end(struct session *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    timer_cancel(&s->timer);
}

void nat_tftp_free(struct nat_tftp *t)
{
    for (unsigned i = 0; t && i < SESSIONS_MAX; i++) {
        session_end(&t->session[i]);
        clock_drop_timer(&t->session[i].timer);
    }
    if (t && t->root >= 0)
        close(t->root);
    free(t);
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

/*
 * The next block of the file, converted, into out; *at and the pending byte move on. Netascii: line feeds become CR LF,
 * carriage returns CR NUL (RFC 1350, 3; RFC 764).
 */
static size_t read_block(struct session *s, uint64_t *at, bool *cr_pending, uint8_t *pending, uint8_t *out)
{
    uint8_t *raw = s->tftp->raw;
    size_t n = 0;
    ssize_t got = pread(s->fd, s->netascii ? raw : out, s->block_size, (off_t)*at);

    if (got < 0)
        got = 0;
    if (!s->netascii) {
        *at += (size_t)got;
        return (size_t)got;
    }
    if (*cr_pending)
        out[n++] = *pending;
    *cr_pending = false;
    for (ssize_t i = 0; i < got && n < s->block_size; i++, ++*at) {
        bool pair = raw[i] == '\n' || raw[i] == '\r';

        out[n++] = pair ? '\r' : raw[i];
        if (!pair)
            continue;
        *pending = raw[i] == '\n' ? '\n' : 0;
        if (n < s->block_size)
            out[n++] = *pending;
        else
            *cr_pending = true;
    }
    return n;
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static bool to_guest(struct session *s, const void *data, size_t len)
{
    return svc_send(s->tftp->n, &s->server, s->tid, &s->guest, s->port, s->mac, data, len);
}

static void send_error(struct nat *n, const struct nat_ip *ip, uint16_t from, uint16_t to, uint16_t code,
                       const char *text)
{
    uint8_t buf[64];
    struct writer w = {.buf = buf, .cap = sizeof buf};

    writer_u16(&w, OP_ERROR);
    writer_u16(&w, code);
    writer_bytes(&w, text, strlen(text) + 1);
    svc_send(n, &ip->dst, from, &ip->src, to, ip->mac, buf, w.len);
}

static void arm(struct session *s, uint32_t ms)
{
    timer_arm(&s->timer, clock_now(s->tftp->n->env.clock) + ms * UINT64_C(1000000));
}

/* Longer with each try that was in vain; soon when the guest had no room, which is no try. */
static void arm_again(struct session *s)
{
    arm(s, s->no_room ? NO_ROOM_MS : s->timeout_ms << (s->tries < 3 ? s->tries : 3));
}

/* The blocks after `acked` up to the window's end; those up to `from` were sent just now and are only read over. */
static void send_window(struct session *s, uint64_t from)
{
    uint8_t *packet = s->tftp->packet, pending = s->pending;
    uint64_t at = s->at, block = s->acked;
    bool cr_pending = s->cr_pending;

    s->no_room = false;
    while (!s->no_room && block < s->acked + s->window && block < s->last) {
        size_t n = read_block(s, &at, &cr_pending, &pending, packet + 4);

        st16be(packet, OP_DATA);
        st16be(packet + 2, (uint16_t)(block + 1));
        s->no_room = block >= from && !to_guest(s, packet, 4 + n);
        block += !s->no_room;
        if (n < s->block_size)
            s->last = block + s->no_room;
    }
    s->reached = block;
    s->sent = block > s->sent ? block : s->sent;
    arm_again(s);
}

/* The guest has the blocks up to and with `block`: move the window. */
static void advance(struct session *s, uint64_t block)
{
    s->tftp->bytes += (block - s->acked) * s->block_size;
    if (!s->netascii)
        s->at += (block - s->acked) * s->block_size;
    for (uint64_t i = s->acked; s->netascii && i < block; i++) /* where blocks begin is known only from those before */
        read_block(s, &s->at, &s->cr_pending, &s->pending, s->tftp->packet + 4);
    s->acked = block;
    s->tries = 0;
    s->resent = false;
}

static void send_again(struct session *s)
{
    if (s->oack) {
        s->no_room = !to_guest(s, s->reply, s->reply_len);
        arm_again(s);
    } else {
        send_window(s, s->acked);
    }
}

static void session_expired(void *arg)
{
    struct session *s = arg;

    if (s->fd < 0)
        return;
    if (s->no_room && !s->oack)
        send_window(s, s->reached);
    else if (++s->tries > TRIES)
        session_end(s);
    else
        send_again(s);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

struct request {
    const char *file, *mode;
    bool has_block, has_timeout, has_tsize, has_window;
    unsigned long block, timeout, window;
};

/* The next string of the request, which ends within it; NULL: none. */
static const char *next_string(const char **at, const char *end)
{
    const char *s = *at, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;

    if (nul)
        *at = nul + 1;
    return nul ? s : NULL;
}

/* Options that are no numbers or out of range are as if not there (RFC 2347). */
static void read_tftp_option(struct request *r, const char *name, const char *value)
{
    char *end;
    unsigned long v = strtoul(value, &end, 10);

    if (end == value || *end || *value == '-')
        return;
    if (!strcasecmp(name, "blksize") && v >= 8)
        r->has_block = true, r->block = v;
    else if (!strcasecmp(name, "timeout") && v >= 1 && v <= 255)
        r->has_timeout = true, r->timeout = v;
    else if (!strcasecmp(name, "tsize"))
        r->has_tsize = true;
    else if (!strcasecmp(name, "windowsize") && v >= 1 && v <= 65535)
        r->has_window = true, r->window = v;
}

static bool read_request(struct request *r, const char *at, const char *end)
{
    const char *name, *value;

    *r = (struct request){0};
    r->file = next_string(&at, end);
    r->mode = next_string(&at, end);
    if (!r->file || !r->mode)
        return false;
    while ((name = next_string(&at, end)) && (value = next_string(&at, end)))
        read_tftp_option(r, name, value);
    return true;
}

static unsigned block_limit(struct nat *n, const struct net_addr *guest)
{
    uint32_t mtu = nat_mtu(n), headers = (net_addr_is4(guest) ? 20 : 40) + 8 + 4;
    uint32_t fits = mtu > headers + 8 ? mtu - headers : 8;

    return fits < BLOCK_MAX ? fits : BLOCK_MAX;
}

static void put_option(struct writer *w, const char *name, unsigned long long value)
{
    char text[24];

    writer_bytes(w, name, strlen(name) + 1);
    writer_bytes(w, text, (size_t)snprintf(text, sizeof text, "%llu", value) + 1);
}

/* What of the options is granted, into the session and, as an OACK, into its reply. */
static void negotiate(struct session *s, const struct request *r)
{
    struct writer w = {.buf = s->reply, .cap = sizeof s->reply};
    unsigned limit = block_limit(s->tftp->n, &s->guest);
    struct stat st;

    writer_u16(&w, OP_OACK);
    if (r->has_block) {
        s->block_size = (uint16_t)(r->block < limit ? r->block : limit);
        put_option(&w, "blksize", s->block_size);
    }
    if (r->has_timeout) {
        s->timeout_ms = (uint32_t)r->timeout * 1000;
        put_option(&w, "timeout", r->timeout);
    }
    if (r->has_tsize && !s->netascii && !fstat(s->fd, &st)) /* converted, the size is known only at the end */
        put_option(&w, "tsize", (unsigned long long)st.st_size);
    if (r->has_window) {
        s->window = (uint16_t)(r->window < WINDOW_MAX ? r->window : WINDOW_MAX);
        put_option(&w, "windowsize", s->window);
    }
    s->reply_len = w.len;
    s->oack = w.len > 2;
}

/*
 * The guest's session from that port; or, when it has its share, its own that was quiet for longest; or a free slot; or that
 * of the session that was quiet for longest.
 */
static struct session *session_slot(struct nat_tftp *t, const struct net_addr *guest, uint16_t port)
{
    struct session *best = &t->session[0], *own = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &t->session[i];
        bool theirs = s->fd >= 0 && net_addr_equal(&s->guest, guest);

        if (theirs && s->port == port)
            return s;
        count += theirs;
        if (theirs && (!own || s->used < own->used))
            own = s;
        if (best->fd >= 0 && (s->fd < 0 || s->used < best->used))
            best = s;
    }
    return count >= SESSIONS_SHARE ? own : best;
}

static struct session *session_begin(struct nat_tftp *t, const struct nat_ip *ip, uint16_t port, int fd)
{
    struct session *s = session_slot(t, &ip->src, port);
    struct timer timer;

    session_end(s);
    timer = s->timer;
    *s = (struct session){.tftp = t,
                          .fd = fd,
                          .guest = ip->src,
                          .server = ip->dst,
                          .port = port,
                          .tid = (uint16_t)(49152 + svc_random(t->n) % 16384),
                          .block_size = BLOCK_DEFAULT,
                          .window = 1,
                          .timeout_ms = TIMEOUT_MS,
                          .last = UINT64_MAX,
                          .used = ++t->used,
                          .timer = timer};
    memcpy(s->mac, ip->mac, ETH_ALEN);
    return s;
}

/* FNV-1a (Fowler, Noll, Vo): only to know a request again. */
static uint64_t hash_of(const char *b, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)b[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void read_file(struct nat_tftp *t, const struct nat_ip *ip, uint16_t port, const struct request *r,
                      uint64_t hash)
{
    bool netascii = !strcasecmp(r->mode, "netascii");
    struct session *s;
    int fd;

    if (!netascii && strcasecmp(r->mode, "octet") != 0) {
        send_error(t->n, ip, PORT_TFTP, port, ERR_ILLEGAL, "only octet and netascii");
        return;
    }
    fd = tftp_open(t->root, r->file);
    if (fd < 0) {
        send_error(t->n, ip, PORT_TFTP, port, ERR_NOT_FOUND, "no such file");
        return;
    }
    s = session_begin(t, ip, port, fd);
    s->netascii = netascii;
    s->request = hash;
    negotiate(s, r);
    send_again(s);
}

/* The guest asks again, our first packet being on its way or lost: it would not know a second session's port from the first's. */
static bool asked_again(struct nat_tftp *t, const struct nat_ip *ip, uint16_t port, uint64_t hash)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &t->session[i];

        if (s->fd >= 0 && s->port == port && net_addr_equal(&s->guest, &ip->src) && s->request == hash && !s->heard) {
            send_again(s);
            return true;
        }
    }
    return false;
}

static void requested(struct nat_tftp *t, const struct nat_ip *ip, uint16_t port, const struct packet *p)
{
    char buf[REQUEST_MAX];
    size_t n = packet_copy(p, 0, buf, sizeof buf);
    uint64_t hash = hash_of(buf, n);
    struct request r;

    if (asked_again(t, ip, port, hash))
        return;
    if (n >= 2 && ld16be(buf) == OP_WRQ)
        send_error(t->n, ip, PORT_TFTP, port, ERR_ACCESS, "read only");
    else if (n < 2 || ld16be(buf) != OP_RRQ || !read_request(&r, buf + 2, buf + n))
        send_error(t->n, ip, PORT_TFTP, port, ERR_ILLEGAL, "not a request");
    else
        read_file(t, ip, port, &r, hash);
}

/* --- acknowledgements ----------------------------------------------------------------------------------------------- */

/* The whole file is there. */
static void session_done(struct session *s)
{
    s->tftp->files++;
    session_end(s);
}

static void acknowledged(struct session *s, uint16_t shown)
{
    uint64_t block = s->acked + (uint16_t)(shown - (uint16_t)s->acked); /* the one of that number at or after acked */

    if (s->oack && shown == 0) {
        s->oack = false;
        s->tries = 0;
        send_window(s, s->acked);
    } else if (s->oack || block > s->sent) {
        return; /* of a block that was not sent: an old one */
    } else if (block > s->acked) {
        advance(s, block);
        if (s->acked == s->last)
            session_done(s);
        else
            send_window(s, s->acked);
    } else if (s->window > 1 && !s->resent) {
        s->resent = true; /* the window's first block was lost; once, or each duplicate would breed others */
        send_window(s, s->acked);
    }
}

static bool in_session(struct nat_tftp *t, const struct nat_ip *ip, uint16_t sport, uint16_t dport,
                       const struct packet *p)
{
    uint8_t b[4];
    size_t n = packet_copy(p, 0, b, sizeof b);

    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &t->session[i];

        if (s->fd < 0 || s->tid != dport || s->port != sport || !net_addr_equal(&s->guest, &ip->src) ||
            !net_addr_equal(&s->server, &ip->dst))
            continue;
        s->used = ++t->used;
        s->heard = true;
        if (n >= 4 && ld16be(b) == OP_ACK)
            acknowledged(s, ld16be(b + 2));
        else if (n >= 2 && ld16be(b) == OP_ERROR)
            session_end(s);
        return true;
    }
    return false;
}

bool nat_tftp_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    struct nat_tftp *t = n->tftp;

    if (t->root < 0 || !nat_is_gateway(n, &ip->dst) || ip->group)
        return false;
    if (dport != PORT_TFTP)
        return in_session(t, ip, sport, dport, p);
    requested(t, ip, sport, p);
    return true;
}

void nat_tftp_info(const struct nat_tftp *t, FILE *out)
{
    char guest[NET_ADDR_TEXT];

    if (t->root < 0)
        return;
    fprintf(out, "  tftp %s, %llu files sent, about %llu bytes\n", t->n->c.tftp, (unsigned long long)t->files,
            (unsigned long long)t->bytes);
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        const struct session *s = &t->session[i];

        if (s->fd >= 0)
            fprintf(out, "  tftp to %s port %u, %llu blocks of %u\n", net_addr_text(&s->guest, guest), s->port,
                    (unsigned long long)s->acked, s->block_size);
    }
}
