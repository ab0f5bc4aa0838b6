/*
 * DNS over TCP (RFC 7766): a guest's connection to the gateway's DNS address, port 53.
 *
 * The TCP layer gets one end of a pair of sockets, as if it were a connection to a server; the other end is read here. Each
 * message is answered as by UDP: from this network's own names, or by the host's resolver over a connection that is made
 * for it and kept for those that follow. One question at a time: the next is read when the last is answered, so that a
 * guest that does not read what it asked for holds up only itself. Connections that do nothing end after IDLE_MS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_dns.h"

enum { CONNS_MAX = 32, MESSAGE_MAX = 65535, LEN = 2, QUERY_MAX = 4096, IDLE_MS = 30000, ANSWER_MS = 5000 };

enum state {
    READING,    /* the guest's question */
    CONNECTING, /* to a server of the host's */
    ASKING,     /* it takes the question */
    WAITING,    /* for its answer */
    TELLING,    /* the guest takes the answer */
};

struct conn {
    struct nat_dns_tcp *tcp;
    struct conn *next;
    int guest, server; /* server -1: none */
    enum state state;
    unsigned tried; /* servers for this question */
    uint8_t in[LEN + QUERY_MAX], out[LEN + MESSAGE_MAX];
    size_t in_len, in_done;   /* of the question: read; written to the server */
    size_t out_len, out_done; /* of the answer: read; written to the guest */
    struct dns_question question;
    struct timer timer;
};

struct nat_dns_tcp {
    struct nat *n;
    struct conn *conns;
    unsigned count;
};

static void server_event(void *arg, int fd, unsigned events);

struct nat_dns_tcp *nat_dns_tcp_new(struct nat *n)
{
    struct nat_dns_tcp *t = calloc(1, sizeof *t);

    if (t)
        t->n = n;
    return t;
}

/* --- a connection's life ------------------------------------------------------------------------------------------- */

static void server_close(struct conn *c)
{
    if (c->server < 0)
        return;
    loop_remove(c->tcp->n->env.loop, c->server);
    nat_close(c->tcp->n, c->server);
    c->server = -1;
}

static void conn_close(struct conn *c)
{
    struct nat_dns_tcp *t = c->tcp;
    struct conn **p = &t->conns;

    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    t->count--;
    server_close(c);
    loop_remove(t->n->env.loop, c->guest);
    nat_close(t->n, c->guest);
    clock_drop_timer(&c->timer);
    free(c);
}

void nat_dns_tcp_free(struct nat_dns_tcp *t)
{
    while (t && t->conns)
        conn_close(t->conns);
    free(t);
}

static void arm(struct conn *c, unsigned ms)
{
    timer_arm(&c->timer, clock_now(c->tcp->n->env.clock) + ms * UINT64_C(1000000));
}

/* Wait for what the state waits for, of the one end that can bring it on. */
static void enter(struct conn *c, enum state s)
{
    struct loop *l = c->tcp->n->env.loop;

    c->state = s;
    loop_change(l, c->guest, s == READING ? LOOP_IN : s == TELLING ? LOOP_OUT : 0);
    if (c->server >= 0)
        loop_change(l, c->server, s == CONNECTING || s == ASKING ? LOOP_OUT : LOOP_IN);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void tell(struct conn *c, size_t len)
{
    st16be(c->out, (uint16_t)len);
    c->out_len = LEN + len;
    c->out_done = 0;
    arm(c, IDLE_MS);
    enter(c, TELLING);
}

static void tell_rcode(struct conn *c, unsigned rcode)
{
    struct writer w = {.buf = c->out + LEN, .cap = MESSAGE_MAX};

    dns_reply_begin(&w, c->in + LEN, c->question.end, rcode);
    tell(c, w.len);
}

/* The next server for the question in `in`; none is left: SERVFAIL. */
static void ask_next(struct conn *c)
{
    struct nat *n = c->tcp->n;
    struct sockaddr_storage to;
    socklen_t len;
    struct err e;

    server_close(c);
    while (c->tried < DNS_SERVERS_MAX && nat_dns_server(n->dns, c->tried++, &to, &len)) {
        c->in_done = c->out_len = 0;
        c->server = nat_socket(n, to.ss_family, SOCK_STREAM, 0);
        if (c->server >= 0 && (!connect(c->server, (struct sockaddr *)&to, len) || errno == EINPROGRESS) &&
            loop_add(n->env.loop, c->server, LOOP_OUT, server_event, c, &e)) {
            arm(c, ANSWER_MS / DNS_SERVERS_MAX);
            enter(c, CONNECTING);
            return;
        }
        nat_close(n, c->server);
        c->server = -1;
    }
    tell_rcode(c, RCODE_SERVFAIL);
}

static void ask(struct conn *c)
{
    c->tried = 0;
    if (c->server < 0) {
        ask_next(c);
        return;
    }
    c->in_done = c->out_len = 0;
    arm(c, ANSWER_MS);
    enter(c, ASKING);
}

/* A kept connection that ended is no server that failed. */
static void server_failed(struct conn *c)
{
    if (c->state == READING || c->state == TELLING)
        server_close(c);
    else
        ask_next(c);
}

/* --- the two ends --------------------------------------------------------------------------------------------------- */

static void answered(struct conn *c)
{
    if (!memcmp(c->out + LEN, c->in + LEN, 2) && c->out_len >= LEN + DNS_HEADER)
        tell(c, c->out_len - LEN);
    else
        c->out_len = 0; /* of a question before: go on */
}

/* Bytes of the answer up to where its length says; false: it is over with this server. */
static bool server_read(struct conn *c)
{
    size_t want = c->out_len < LEN ? LEN : LEN + (size_t)ld16be(c->out);
    ssize_t n = want > c->out_len ? recv(c->server, c->out + c->out_len, want - c->out_len, 0) : 0;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->out_len += (size_t)n;
    if (c->out_len >= LEN && c->out_len == LEN + (size_t)ld16be(c->out))
        answered(c);
    return n > 0;
}

static bool server_write(struct conn *c)
{
    ssize_t n = send(c->server, c->in + c->in_done, c->in_len - c->in_done, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    c->in_done += (size_t)n;
    if (c->in_done == c->in_len) {
        arm(c, ANSWER_MS);
        enter(c, WAITING);
    } else {
        enter(c, ASKING);
    }
    return true;
}

static void server_event(void *arg, int fd, unsigned events)
{
    struct conn *c = arg;

    (void)fd;
    if (c->state == WAITING) {
        if (!server_read(c))
            server_failed(c);
    } else if ((c->state == CONNECTING || c->state == ASKING) && !(events & LOOP_HUP)) {
        if (!server_write(c))
            server_failed(c);
    } else {
        server_failed(c); /* it ended, or speaks unasked */
    }
}

/* A whole question is in `in`. */
static void question_read(struct conn *c)
{
    struct nat *n = c->tcp->n;
    struct writer w = {.buf = c->out + LEN, .cap = MESSAGE_MAX};
    int rcode;

    if (!dns_question_read(c->in + LEN, c->in_len - LEN, &c->question, &rcode)) {
        c->question.end = 0;
        if (rcode < 0)
            conn_close(c);
        else
            tell_rcode(c, (unsigned)rcode);
    } else if (dns_local(n, c->in + LEN, &c->question, &w)) {
        tell(c, w.len);
    } else if (n->c.restrict_) {
        tell_rcode(c, RCODE_REFUSED);
    } else {
        ask(c);
    }
}

/* Bytes that the question still lacks; 0: none; -1: its length is none that a question has. */
static ssize_t lacks(const struct conn *c)
{
    size_t len = c->in_len < LEN ? 0 : ld16be(c->in);

    if (len > QUERY_MAX)
        return -1;
    return (ssize_t)(LEN + len - c->in_len);
}

/* Never more than one question is read: the rest stays in the socket. */
static void guest_read(struct conn *c)
{
    ssize_t n = recv(c->guest, c->in + c->in_len, (size_t)lacks(c), 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->in_len += (size_t)n;
    if (n <= 0 || lacks(c) < 0)
        conn_close(c);
    else if (!lacks(c) && c->in_len >= LEN)
        question_read(c);
}

static void guest_write(struct conn *c)
{
    ssize_t n = send(c->guest, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        conn_close(c);
        return;
    }
    c->out_done += (size_t)n;
    if (c->out_done < c->out_len)
        return;
    c->in_len = c->out_len = 0;
    arm(c, IDLE_MS);
    enter(c, READING);
}

static void guest_event(void *arg, int fd, unsigned events)
{
    struct conn *c = arg;

    (void)fd;
    if (c->state == READING)
        guest_read(c);
    else if (c->state == TELLING && !(events & LOOP_HUP && !(events & LOOP_OUT)))
        guest_write(c);
    else if (events & LOOP_HUP)
        conn_close(c);
}

static void expired(void *arg)
{
    struct conn *c = arg;

    if (c->state == READING || c->state == TELLING)
        conn_close(c);
    else
        ask_next(c);
}

/* --- for the TCP layer ---------------------------------------------------------------------------------------------- */

/* The oldest connection that waits for a question makes room; false: none does. */
static bool make_room(struct nat_dns_tcp *t)
{
    struct conn *old = NULL;

    for (struct conn *c = t->conns; c; c = c->next)
        if (c->state == READING)
            old = c;
    if (old)
        conn_close(old);
    return old;
}

int nat_dns_tcp_open(struct nat_dns_tcp *t)
{
    struct nat *n = t->n;
    int pair[2];
    struct conn *c;
    struct err e;

    if (t->count >= CONNS_MAX && !make_room(t)) {
        errno = EMFILE;
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    pair[0] = nat_adopt(n, pair[0]);
    pair[1] = nat_adopt(n, pair[1]);
    c = pair[0] >= 0 && pair[1] >= 0 ? calloc(1, sizeof *c) : NULL;
    if (!c || !loop_add(n->env.loop, pair[1], LOOP_IN, guest_event, c, &e)) {
        nat_close(n, pair[0]);
        nat_close(n, pair[1]);
        free(c);
        errno = EMFILE;
        return -1;
    }
    c->tcp = t;
    c->guest = pair[1];
    c->server = -1;
    c->state = READING;
    c->next = t->conns;
    t->conns = c;
    t->count++;
    timer_init(&c->timer, n->env.clock, expired, c);
    arm(c, IDLE_MS);
    return pair[0];
}
