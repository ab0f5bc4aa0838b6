/*
 * DNS: what guests ask of the gateway's DNS address by UDP is answered here (nat_dns_local.c) or by the host's resolver.
 *
 * A forwarded query is the guest's own message with another id, sent from a socket that is opened for it: the kernel's
 * random port and our random id are what an off-path forger would have to guess, and the socket is connected, so nobody
 * else's datagram arrives. The answer goes back as it came, with the guest's id; a truncated one too, and the guest
 * asks again by TCP (nat_dns_tcp.c).
 *
 * A query is tried at each server in turn, beginning with the one that answered last, and again when all were silent
 * (tries[]). Servers that were asked may still answer while others are tried. A server that is not there (ICMP says so) or
 * says that it cannot serve gives way to the next at once; when no server is left the guest is told at once (SERVFAIL),
 * and after 5 s in any case: less than resolvers in guests wait.
 *
 * Who asks too much gets its oldest questions answered SERVFAIL: QUERIES_SHARE are outstanding for a guest, QUERIES_MAX in all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_dns.h"

enum { QUERIES_MAX = 128, QUERIES_SHARE = 64 /* of one guest */ };
enum { QUERY_BYTES_MAX = 4096, ANSWER_BYTES_MAX = 65535 - 8 - 20, TRIES = 5 };

/* When the n-th try begins, ms after the question; the last is the end. */
static const uint16_t tries[TRIES + 1] = {0, 800, 1600, 2400, 3600, 5000};

struct query;

struct
try {
    struct query *query;
    int fd; /* -1: not begun, or over */
    uint16_t id;
    unsigned server;
};

struct query {
    struct nat_dns *dns;
    bool used;
    uint64_t began, order;         /* ns; number among all questions */
    struct net_addr guest, server; /* server: which address of ours was asked */
    uint16_t port;
    uint8_t mac[ETH_ALEN];
    uint8_t *msg; /* as the guest sent it */
    size_t len, question_end;
    struct try try[TRIES];
    unsigned begun; /* tries */
    unsigned dead;  /* servers that are not asked any more, a bit each */
    struct timer timer;
};

struct nat_dns {
    struct nat *n;
    struct resolver resolver;
    unsigned good; /* the server that answered last */
    struct query query[QUERIES_MAX];
    unsigned outstanding;
    struct nat_dns_tcp *tcp;
    uint64_t asked, local, answered, in_vain;
    uint8_t answer[ANSWER_BYTES_MAX];
};

static void query_expired(void *arg);

struct nat_dns *nat_dns_new(struct nat *n)
{
    struct nat_dns *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->tcp = nat_dns_tcp_new(n);
    if (!d->tcp) {
        free(d);
        return NULL;
    }
    d->n = n;
    resolver_init(&d->resolver, n->c.resolv_conf);
    for (unsigned i = 0; i < QUERIES_MAX; i++) {
        d->query[i].dns = d;
        timer_init(&d->query[i].timer, n->env.clock, query_expired, &d->query[i]);
    }
    return d;
}

/* --- the life of a query -------------------------------------------------------------------------------------------- */

static void try_end(struct try *t)
{
    if (t->fd < 0)
        return;
    loop_remove(t->query->dns->n->env.loop, t->fd);
    nat_close(t->query->dns->n, t->fd);
    t->fd = -1;
}

static void query_end(struct query *q)
{
    for (unsigned i = 0; i < q->begun; i++)
        try_end(&q->try[i]);
    timer_cancel(&q->timer);
    free(q->msg);
    q->msg = NULL;
    q->used = false;
    q->dns->outstanding--;
}

void nat_dns_free(struct nat_dns *d)
{
    for (unsigned i = 0; d && i < QUERIES_MAX; i++) {
        if (d->query[i].used)
            query_end(&d->query[i]);
        clock_drop_timer(&d->query[i].timer);
    }
    if (d)
        nat_dns_tcp_free(d->tcp);
    free(d);
}

static void to_guest(struct query *q, const void *data, size_t len)
{
    svc_send(q->dns->n, &q->server, PORT_DNS, &q->guest, q->port, q->mac, data, len);
}

static void query_in_vain(struct query *q)
{
    uint8_t buf[DNS_HEADER + DNS_NAME_MAX + 4];
    struct writer w = {.buf = buf, .cap = sizeof buf};

    q->dns->in_vain++;
    dns_reply_begin(&w, q->msg, q->question_end, RCODE_SERVFAIL);
    to_guest(q, buf, w.len);
    query_end(q);
}

static bool any_open(const struct query *q)
{
    for (unsigned i = 0; i < q->begun; i++)
        if (q->try[i].fd >= 0)
            return true;
    return false;
}

static void on_answer(void *arg, int fd, unsigned events);

/* A question to one server. false: this host cannot even send it. */
static bool try_begin(struct try *t)
{
    struct nat_dns *d = t->query->dns;
    const struct sockaddr *to = (const struct sockaddr *)&d->resolver.server[t->server].addr;
    socklen_t len = d->resolver.server[t->server].len;
    struct err e;

    t->id = (uint16_t)svc_random(d->n);
    t->fd = nat_socket(d->n, to->sa_family, SOCK_DGRAM, 0);
    if (t->fd < 0)
        return false;
    st16be(t->query->msg, t->id);
    if (!connect(t->fd, to, len) && send(t->fd, t->query->msg, t->query->len, 0) >= 0 &&
        loop_add(d->n->env.loop, t->fd, LOOP_IN, on_answer, t, &e))
        return true;
    nat_close(d->n, t->fd);
    t->fd = -1;
    return false;
}

/* The next server in turn that is not dead; -1: all are. */
static int next_server(const struct query *q)
{
    const struct resolver *r = &q->dns->resolver;

    for (unsigned i = 0; i < r->servers; i++) {
        unsigned s = (q->dns->good + q->begun + i) % r->servers;

        if (!(q->dead >> s & 1))
            return (int)s;
    }
    return -1;
}

/* Begin the next try, and those after it while they fail at once. The guest's id is in the message again afterwards. */
static void query_try(struct query *q)
{
    uint16_t id = ld16be(q->msg);
    bool begun = false;
    int server;

    while (!begun && q->begun < TRIES && (server = next_server(q)) >= 0) {
        struct try *t = &q->try[q->begun];

        *t = (struct try){.query = q, .fd = -1, .server = (unsigned)server};
        q->begun++;
        begun = try_begin(t);
        q->dead |= begun ? 0 : 1u << server;
    }
    st16be(q->msg, id);
    if (!any_open(q))
        query_in_vain(q);
    else
        timer_arm(&q->timer, q->began + tries[begun ? q->begun : TRIES] * UINT64_C(1000000));
}

static void query_expired(void *arg)
{
    struct query *q = arg;

    if (!q->used)
        return;
    if (clock_now(q->dns->n->env.clock) >= q->began + tries[TRIES] * UINT64_C(1000000))
        query_in_vain(q);
    else
        query_try(q);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static bool same_question(const struct query *q, const uint8_t *msg, size_t len)
{
    struct dns_question asked, told;
    int rcode;
    uint8_t head[DNS_HEADER + DNS_NAME_MAX + 4];

    if (len < q->question_end || ld16be(msg + 4) != 1) /* an error may come without the question */
        return len >= DNS_HEADER && !ld16be(msg + 4) && msg[3] & 15;
    memcpy(head, msg, q->question_end);
    head[2] &= 0x7f;
    if (!dns_question_read(q->msg, q->question_end, &asked, &rcode) ||
        !dns_question_read(head, q->question_end, &told, &rcode))
        return false;
    return asked.type == told.type && asked.class_ == told.class_ && !strcasecmp(asked.name, told.name);
}

/* The server says that it, not the name, is the trouble. */
static bool is_refusal(const uint8_t *msg)
{
    unsigned rcode = msg[3] & 15;

    return rcode == RCODE_SERVFAIL || rcode == RCODE_REFUSED || rcode == RCODE_NOTIMP;
}

static void try_failed(struct try *t)
{
    t->query->dead |= 1u << t->server;
    try_end(t);
    query_try(t->query);
}

static void on_answer(void *arg, int fd, unsigned events)
{
    struct try *t = arg;
    struct query *q = t->query;
    struct nat_dns *d = q->dns;
    ssize_t n = recv(fd, d->answer, sizeof d->answer, 0);

    (void)events;
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            try_failed(t);
        return;
    }
    if (n < DNS_HEADER || ld16be(d->answer) != t->id || !(d->answer[2] & 0x80) ||
        !same_question(q, d->answer, (size_t)n))
        return; /* not ours: wait on */
    q->dead |= is_refusal(d->answer) ? 1u << t->server : 0;
    if (is_refusal(d->answer) && next_server(q) >= 0) {
        try_failed(t);
        return;
    }
    d->good = t->server;
    d->answered++;
    memcpy(d->answer, q->msg, 2);
    to_guest(q, d->answer, (size_t)n);
    query_end(q);
}

/* --- questions ------------------------------------------------------------------------------------------------------ */

static void reply_to(struct nat *n, const struct nat_ip *ip, uint16_t port, const struct writer *w)
{
    svc_send(n, &ip->dst, PORT_DNS, &ip->src, port, ip->mac, w->buf, w->len);
}

/* The guest asks again what is on its way. */
static bool is_known(const struct nat_dns *d, const struct nat_ip *ip, uint16_t port, const uint8_t *msg, size_t len)
{
    for (unsigned i = 0; i < QUERIES_MAX; i++) {
        const struct query *q = &d->query[i];

        if (q->used && q->port == port && q->len == len && net_addr_equal(&q->guest, &ip->src) &&
            !memcmp(q->msg, msg, len))
            return true;
    }
    return false;
}

/* A free slot; that of the guest's oldest query when it has its share, of the oldest of all when there is none. */
static struct query *query_slot(struct nat_dns *d, const struct net_addr *guest)
{
    struct query *spare = NULL, *old = NULL, *own = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < QUERIES_MAX; i++) {
        struct query *q = &d->query[i];
        bool theirs = q->used && net_addr_equal(&q->guest, guest);

        count += theirs;
        if (!q->used)
            spare = q;
        else if (!old || q->order < old->order)
            old = q;
        if (theirs && (!own || q->order < own->order))
            own = q;
    }
    if (spare && count < QUERIES_SHARE)
        return spare;
    old = count < QUERIES_SHARE ? old : own;
    query_in_vain(old);
    return old;
}

static void forward(struct nat_dns *d, const struct nat_ip *ip, uint16_t port, const uint8_t *msg, size_t len,
                    const struct dns_question *question)
{
    struct query *q;
    uint8_t *copy;

    if (is_known(d, ip, port, msg, len) || !(copy = malloc(len)))
        return;
    q = query_slot(d, &ip->src);
    memcpy(copy, msg, len);
    q->used = true;
    q->began = clock_now(d->n->env.clock);
    q->order = d->asked;
    q->guest = ip->src;
    q->server = ip->dst;
    q->port = port;
    memcpy(q->mac, ip->mac, ETH_ALEN);
    q->msg = copy;
    q->len = len;
    q->question_end = question->end;
    q->begun = q->dead = 0;
    d->outstanding++;
    resolver_update(&d->resolver, q->began);
    query_try(q);
}

bool nat_dns_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    uint8_t msg[QUERY_BYTES_MAX], buf[512];
    struct writer w = {.buf = buf, .cap = sizeof buf};
    size_t len = packet_copy(p, 0, msg, sizeof msg);
    struct dns_question q;
    int rcode;

    if (dport != PORT_DNS || !nat_is_dns(n, &ip->dst))
        return false;
    n->dns->asked++;
    if (p->len > sizeof msg) {
        nat_bad(n, "dns: a question of %zu bytes", p->len);
    } else if (!dns_question_read(msg, len, &q, &rcode)) {
        nat_bad(n, "dns: no question");
        if (rcode >= 0) {
            dns_reply_begin(&w, msg, 0, (unsigned)rcode);
            reply_to(n, ip, sport, &w);
        }
    } else if (dns_local(n, msg, &q, &w)) {
        n->dns->local++;
        reply_to(n, ip, sport, &w);
    } else if (n->c.restrict_) {
        dns_reply_begin(&w, msg, q.end, RCODE_REFUSED);
        reply_to(n, ip, sport, &w);
    } else {
        forward(n->dns, ip, sport, msg, len, &q);
    }
    return true;
}

/* --- for others ----------------------------------------------------------------------------------------------------- */

bool nat_dns_server(struct nat_dns *d, unsigned i, struct sockaddr_storage *to, socklen_t *len)
{
    const struct resolver *r = &d->resolver;

    resolver_update(&d->resolver, clock_now(d->n->env.clock));
    if (i >= r->servers)
        return false;
    *to = r->server[(d->good + i) % r->servers].addr;
    *len = r->server[(d->good + i) % r->servers].len;
    return true;
}

int nat_dns_open(struct nat_dns *d) { return nat_dns_tcp_open(d->tcp); }

void nat_dns_info(const struct nat_dns *d, FILE *out)
{
    char text[NET_ADDR_TEXT];

    fprintf(out, "  dns %llu asked, %llu answered here, %llu by the host's resolver, %llu in vain, %u outstanding\n",
            (unsigned long long)d->asked, (unsigned long long)d->local, (unsigned long long)d->answered,
            (unsigned long long)d->in_vain, d->outstanding);
    for (unsigned i = 0; i < d->resolver.servers; i++) {
        uint16_t port;
        struct net_addr a = net_addr_of_sock(&d->resolver.server[i].addr, &port);

        fprintf(out, "  resolver %s port %u%s\n", net_addr_text(&a, text), port, i == d->good ? ", answered last" : "");
    }
}
