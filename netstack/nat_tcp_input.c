/*
 * Segments from the guest: what they say, and what they do to the flow's state (RFC 9293, 3.10.7, with RFC 5961).
 *
 * The header is copied before it is looked at: the frame may be the guest's memory, and change.
 */
#include <errno.h>

#include "base/gate.h"
#include "netstack/nat_tcp_int.h"

enum { CHALLENGES_A_SECOND = 1000 };

/* --- parsing ----------------------------------------------------------------------------------------------------- */

static void parse_option(struct tcp_seg *s, uint8_t kind, const uint8_t *d, unsigned len)
{
    switch (kind) {
    case 2:
        if (len == 2)
            s->mss = ld16be(d);
        break;
    case 3:
        if (len == 1)
            s->wscale = d[0] < 14 ? d[0] : 14; /* RFC 7323, 2.3 */
        break;
    case 4: s->sack_ok |= len == 0; break;
    case 5:
        for (s->sacks = 0; len >= 8 && s->sacks < TCP_SACK_BLOCKS; len -= 8, d += 8, s->sacks++) {
            s->sack[s->sacks][0] = ld32be(d);
            s->sack[s->sacks][1] = ld32be(d + 4);
        }
        break;
    }
}

/* An option whose length is impossible ends them: those before it count. */
static void parse_options(struct tcp_seg *s, const uint8_t *o, unsigned n)
{
    while (n && *o) {
        unsigned len = *o == 1 ? 1 : n > 1 ? o[1] : 0;

        if (*o != 1 && (len < 2 || len > n))
            return;
        if (*o != 1)
            parse_option(s, o[0], o + 2, len - 2);
        o += len;
        n -= len;
    }
}

bool tcp_parse(struct packet *p, struct tcp_seg *s)
{
    uint8_t h[TCP_HLEN_MAX];
    size_t n = packet_copy(p, 0, h, sizeof h), hlen;

    *s = (struct tcp_seg){.wscale = TCP_NO_SCALE};
    if (n < TCP_HLEN)
        return false;
    hlen = (h[12] >> 4) * 4u;
    if (hlen < TCP_HLEN || hlen > n)
        return false;
    s->seq = ld32be(h + 4);
    s->ack = ld32be(h + 8);
    s->flags = h[13];
    s->wnd = ld16be(h + 14);
    parse_options(s, h + TCP_HLEN, (unsigned)(hlen - TCP_HLEN));
    s->data = *p;
    packet_skip(&s->data, hlen);
    s->len = (uint32_t)s->data.len;
    return true;
}

static struct tcp_key key_of(const struct nat_ip *ip, struct packet *p)
{
    struct tcp_key k = {.guest = ip->src, .peer = ip->dst};
    uint8_t ports[4] = {0};

    packet_copy(p, 0, ports, sizeof ports);
    k.guest_port = ld16be(ports);
    k.peer_port = ld16be(ports + 2);
    return k;
}

/* --- beginnings -------------------------------------------------------------------------------------------------- */

static void take_syn(struct tcp_flow *f, const struct tcp_seg *s)
{
    uint16_t least = net_addr_is4(&f->key.guest) ? 536 : 1220; /* RFC 9293, 3.7.1 */

    f->synced = true;
    f->irs = s->seq;
    f->rcv = f->adv = f->acked = f->taken = s->seq + 1;
    f->mss = s->mss ? s->mss : least;
    if (f->mss < TCP_MSS_MIN)
        f->mss = TCP_MSS_MIN;
    f->sack_ok = s->sack_ok;
    if (s->wscale != TCP_NO_SCALE) {
        f->snd_scale = s->wscale;
        f->rcv_scale = TCP_WSCALE;
    }
    f->wnd = f->wnd_max = s->wnd; /* a SYN's is never scaled */
    f->wl1 = s->seq;
    f->wl2 = f->iss;
}

static int open_host(struct nat_tcp *t, const struct tcp_key *key, enum nat_unreach *why, bool *nowhere)
{
    struct sockaddr_storage to;
    socklen_t len;
    int fd = nat_guestfwd_open(t->n, &key->peer, key->peer_port);

    *nowhere = false;
    if (fd >= 0 || errno != ENOENT)
        return fd;
    *nowhere = !nat_host_target(t->n, &key->peer, key->peer_port, &to, &len, why);
    return *nowhere ? -1 : t->connect(t, &to, len);
}

/* A guest's SYN for a connection that is not there yet. */
static void open_flow(struct nat_tcp *t, const struct nat_ip *ip, const struct tcp_key *key, const struct tcp_seg *s)
{
    enum nat_unreach why;
    bool nowhere;
    int fd = open_host(t, key, &why, &nowhere), error = errno;
    struct tcp_flow *f;

    if (nowhere) {
        tcp_refuse(t, key, s);
        return;
    }
    f = tcp_flow_new(t, key, ip->mac);
    if (!f) {
        nat_close(t->n, fd);
        return;
    }
    take_syn(f, s);
    f->state = FLOW_CONNECTING;
    t->c.opened++;
    if (fd < 0)
        tcp_host_failed(f, error);
    else if (!tcp_host_attach(f, fd))
        tcp_flow_kill(f);
}

static void no_flow(struct nat_tcp *t, const struct nat_ip *ip, const struct tcp_key *key, const struct tcp_seg *s)
{
    uint8_t kind = s->flags & (SEG_SYN | SEG_ACK | SEG_RST | SEG_FIN);

    if (kind == SEG_SYN)
        open_flow(t, ip, key, s);
    else if (!(s->flags & SEG_SYN) || kind == (SEG_SYN | SEG_ACK))
        tcp_refuse(t, key, s);
    else
        nat_bad(t->n, "TCP flags %02x from port %u", s->flags, key->guest_port);
}

void nat_tcp_forwarded(struct nat *n, int fd, const struct net_addr *from, uint16_t from_port, const struct net_addr *guest,
                       uint16_t guest_port)
{
    struct nat_tcp *t = n->tcp;
    struct tcp_key key = {.guest = *guest, .peer = *from, .guest_port = guest_port, .peer_port = from_port};
    struct tcp_flow *f = tcp_table_find(t, &key);
    uint8_t mac[ETH_ALEN] = {0};

    if (f && f->state == FLOW_TIME_WAIT) {
        tcp_flow_free(f);
        f = NULL;
    }
    /* Several addresses of the host look like one to the guest: the port is then another. */
    for (unsigned tries = 0; f && tries < 16; tries++) {
        gate_random(n->env.gate, &key.peer_port, sizeof key.peer_port);
        key.peer_port |= 0x8000;
        f = tcp_table_find(t, &key);
    }
    nat_neighbour(n, guest, mac);
    f = f ? NULL : tcp_flow_new(t, &key, mac);
    if (!f) {
        nat_close(n, fd);
        return;
    }
    t->c.forwarded++;
    f->forwarded = true;
    f->state = FLOW_SYN_SENT;
    f->mss = TCP_MSS_MIN;
    f->todo = TODO_SYN;
    if (!tcp_host_attach(f, fd))
        tcp_flow_kill(f);
    else
        tcp_flow_wake(f);
}

/* --- challenges ---------------------------------------------------------------------------------------------------- */

/* An ACK for what may be forged or old (RFC 5961, 5), not too often. */
static void challenge(struct tcp_flow *f)
{
    struct nat_tcp *t = f->t;
    uint64_t second = clock_now(t->n->env.clock) / NS_PER_SEC;

    if (second != t->challenge_second) {
        t->challenge_second = second;
        t->challenges = 0;
    }
    if (t->challenges++ >= CHALLENGES_A_SECOND)
        return;
    t->c.challenges++;
    f->todo |= TODO_ACK;
    tcp_flow_wake(f);
}

/* --- by state -------------------------------------------------------------------------------------------------------- */

static void established(struct tcp_flow *f)
{
    f->state = FLOW_ESTABLISHED;
    f->cwnd = 10u * f->mss; /* RFC 6928 */
    f->ssthresh = INT32_MAX;
    f->retries = 0;
    f->rto_due = CLOCK_NEVER;
    f->una = f->rxt = f->rxt_end = f->iss + 1;
    f->rtt_timing = false;
    f->room_stale = f->readable = true;
    tcp_timer_update(f);
    tcp_flow_wake(f);
}

/* The host's connect is under way: nothing was answered yet. */
static void in_connecting(struct tcp_flow *f, const struct nat_ip *ip, struct tcp_seg *s)
{
    struct nat_tcp *t = f->t;
    struct tcp_key key = f->key;

    if (s->flags & SEG_RST) {
        if (s->seq == f->rcv || s->seq == f->irs)
            tcp_flow_kill(f);
    } else if (s->flags & SEG_SYN && s->seq != f->irs) { /* it has begun anew */
        tcp_flow_kill(f);
        no_flow(t, ip, &key, s);
    }
}

/* It acknowledges our SYN, which has been sent. */
static bool acks_syn(const struct tcp_flow *f, const struct tcp_seg *s)
{
    return s->flags & SEG_ACK && f->nxt == f->iss + 1 && s->ack == f->nxt;
}

static void in_syn_sent(struct tcp_flow *f, struct tcp_seg *s)
{
    if (s->flags & SEG_ACK && !acks_syn(f, s)) {
        tcp_refuse(f->t, &f->key, s);
        return;
    }
    if (s->flags & SEG_RST) {
        if (s->flags & SEG_ACK) {
            f->t->c.refused++;
            tcp_flow_kill(f);
        }
        return;
    }
    if (!(s->flags & SEG_SYN))
        return;
    take_syn(f, s);
    if (s->flags & SEG_ACK) {
        established(f);
        f->todo |= TODO_ACK;
    } else { /* both at once */
        f->state = FLOW_SYN_RCVD;
        f->todo |= TODO_SYN;
        tcp_flow_wake(f);
    }
}

static void in_reset(struct tcp_flow *f, const struct tcp_seg *s)
{
    if (s->flags & SEG_RST)
        tcp_flow_kill(f);
}

/* A new connection where an old one waits for its end: RFC 9293, 3.10.7.4, "TIME-WAIT". */
static bool reopened(struct tcp_flow *f, const struct nat_ip *ip, const struct tcp_seg *s)
{
    struct nat_tcp *t = f->t;
    struct tcp_key key = f->key;

    if (f->state != FLOW_TIME_WAIT || (s->flags & (SEG_SYN | SEG_ACK | SEG_RST)) != SEG_SYN || !seq_lt(f->rcv, s->seq))
        return false;
    tcp_flow_free(f);
    no_flow(t, ip, &key, s);
    return true;
}

/* The sequence number is in the window, or close enough to be looked at. Else the ACK that is due. */
static bool acceptable(struct tcp_flow *f, const struct tcp_seg *s)
{
    uint32_t end = s->seq + s->len + !!(s->flags & SEG_FIN), edge = seq_max(f->adv, f->rcv);

    if (seq_le(s->seq, f->rcv) && seq_le(f->rcv, end))
        return true;
    if (seq_lt(f->rcv, s->seq) && seq_le(s->seq, edge)) /* its ACK counts even if there is no room for its data */
        return true;
    if (!(s->flags & SEG_RST)) {
        if (s->len || s->flags & SEG_FIN) {
            f->todo |= TODO_ACK;
            tcp_flow_wake(f);
        } else {
            challenge(f);
        }
    }
    return false;
}

/* RST and SYN in the window (RFC 5961, 3 and 4). true: the segment ends here. */
static bool resets(struct tcp_flow *f, const struct tcp_seg *s)
{
    if (s->flags & SEG_RST) {
        if (s->seq == f->rcv)
            tcp_flow_kill(f);
        else
            challenge(f);
        return true;
    }
    if (s->flags & SEG_SYN) {
        challenge(f);
        return true;
    }
    return false;
}

/* The ACK is one of ours. false: the segment ends here (RFC 5961, 5). */
static bool ack_valid(struct tcp_flow *f, const struct tcp_seg *s)
{
    if (!(s->flags & SEG_ACK))
        return false;
    if (f->state == FLOW_SYN_RCVD) {
        if (!acks_syn(f, s)) {
            tcp_refuse(f->t, &f->key, s);
            return false;
        }
        established(f);
        return true;
    }
    if (seq_lt(f->nxt, s->ack) || seq_lt(s->ack, f->una - f->wnd_max)) {
        challenge(f);
        return false;
    }
    return true;
}

static void fin_acked(struct tcp_flow *f)
{
    switch (f->state) {
    case FLOW_FIN_WAIT_1: f->state = FLOW_FIN_WAIT_2; break;
    case FLOW_CLOSING: tcp_flow_time_wait(f); break;
    case FLOW_LAST_ACK: tcp_flow_free(f); break;
    }
}

static void synchronized(struct tcp_flow *f, struct tcp_seg *s, uint64_t now)
{
    if (f->state == FLOW_SYN_RCVD && (s->flags & (SEG_SYN | SEG_RST)) == SEG_SYN && s->seq == f->irs) {
        f->todo |= TODO_SYN; /* ours was lost, or both were sent at once */
        tcp_flow_wake(f);
        if (!acks_syn(f, s))
            return;
        f->todo = 0;
        established(f);
        f->todo |= TODO_ACK;
        return;
    }
    if (!acceptable(f, s) || resets(f, s) || !ack_valid(f, s))
        return;
    if (seq_le(f->una, s->ack))
        tcp_ack(f, s, now);
    if (f->fin_sent && f->una == f->nxt)
        fin_acked(f);
    if (f->state == FLOW_DEAD)
        return;
    tcp_recv(f, s, now);
}

void nat_tcp_input(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    struct nat_tcp *t = n->tcp;
    struct tcp_key key = key_of(ip, p);
    uint64_t now = clock_now(n->env.clock);
    struct tcp_flow *f;
    struct tcp_seg s;

    if (ip->group)
        return;
    if (!tcp_parse(p, &s) || !nat_csum_right(ip, p)) {
        nat_bad(n, "TCP segment from port %u: malformed, or its checksum is wrong", key.guest_port);
        return;
    }
    f = tcp_table_find(t, &key);
    if (!f) {
        no_flow(t, ip, &key, &s);
        return;
    }
    tcp_table_touch(f, now);
    f->probes = 0;
    switch (f->state) {
    case FLOW_CONNECTING: in_connecting(f, ip, &s); break;
    case FLOW_SYN_SENT: in_syn_sent(f, &s); break;
    case FLOW_RESET: in_reset(f, &s); break;
    default:
        if (!reopened(f, ip, &s))
            synchronized(f, &s, now);
    }
}
