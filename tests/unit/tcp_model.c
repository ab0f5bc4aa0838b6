#include "tests/unit/tcp_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/net_driver.h"

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, nat_mac[6] = {0x52, 0x55, 0x0a, 0, 2, 2};
static const uint8_t guest_ip[4] = {10, 0, 2, 15}, nat_ip[4] = {10, 0, 2, 2};

#define RTO UINT64_C(300000000)

enum { HEADERS = 14 + 20, REORDER = 3 };

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}


/* --- the streams --------------------------------------------------------------------------------------------------- */

static uint64_t word(uint64_t key, uint64_t i)
{
    uint64_t z = (i + key * UINT64_C(0x123456789)) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ z >> 27;
}

void model_data(uint64_t key, uint64_t off, void *buf, size_t n)
{
    uint8_t *p = buf;

    while (n) {
        uint64_t v = word(key, off / 8), skip = off % 8, take = 8 - skip < n ? 8 - skip : n;

        if (take == 8) { /* nearly always */
            memcpy(p, &v, 8);
            p += 8;
            off += 8;
            n -= 8;
            continue;
        }

        memcpy(p, (const uint8_t *)&v + skip, take);
        p += take;
        off += take;
        n -= take;
    }
}

/* --- sending --------------------------------------------------------------------------------------------------------- */

static size_t sack_option(const struct tcp_model *m, uint8_t *o)
{
    unsigned n = 0;

    for (int pass = 0; m->c.sack && pass < 2; pass++) /* the newest first */
        for (unsigned i = 0; i < m->ranges && n < 3; i++) {
            bool recent = m->range[i][0] <= m->recent && m->recent < m->range[i][1];

            if (recent != !pass)
                continue;
            put32(o + 4 + 8 * n, m->irs + (uint32_t)m->range[i][0]);
            put32(o + 8 + 8 * n, m->irs + (uint32_t)m->range[i][1]);
            n++;
        }
    if (!n)
        return 0;
    put32(o, 1 << 24 | 1 << 16 | 5 << 8 | (2 + 8 * n));
    return 4 + 8 * n;
}

static size_t syn_options(const struct tcp_model *m, uint8_t *o)
{
    put32(o, 2 << 24 | 4 << 16 | m->c.mss);
    put32(o + 4, m->c.scale ? 1 << 24 | 3 << 16 | 3 << 8 | 8 : 1 << 24 | 1 << 16 | 1 << 8 | 1);
    put32(o + 8, m->c.sack ? 1 << 24 | 1 << 16 | 4 << 8 | 2 : 1 << 24 | 1 << 16 | 1 << 8 | 1);
    return 12;
}

static void ip_header(uint8_t *h, size_t len)
{
    memcpy(h, nat_mac, 6);
    memcpy(h + 6, guest_mac, 6);
    put16(h + 12, 0x0800);
    memset(h + 14, 0, 20);
    h[14] = 0x45;
    put16(h + 16, (uint32_t)(20 + len));
    put16(h + 20, 0x4000);
    h[22] = 64;
    h[23] = 6;
    memcpy(h + 26, guest_ip, 4);
    memcpy(h + 30, nat_ip, 4);
    put16(h + 24, sum_of(0, h + 14, 20));
}

/* false: no room at the far end. */
static bool send_segment(struct tcp_model *m, uint64_t at, uint8_t flags, const void *data, size_t n)
{
    uint8_t h[HEADERS + 60] = {0}, *t = h + HEADERS;
    size_t hlen = 20 + (flags & T_SYN ? syn_options(m, t + 20) : n ? 0 : sack_option(m, t + 20)); /* data are of full size */
    uint32_t wnd = m->c.window >> (m->c.scale && !(flags & T_SYN) ? 8 : 0);
    struct iovec iov[2] = {{h, HEADERS + hlen}, {(void *)(uintptr_t)data, n}};
    struct net_frame f = {.iov = iov, .iovcnt = 2, .len = HEADERS + hlen + n, .flags = NET_CSUM_PARTIAL,
                          .csum_start = HEADERS, .csum_offset = 16};
    uint32_t pseudo = sum_pseudo(true, guest_ip, nat_ip, 6, (uint32_t)(hlen + n));

    put16(t, m->local);
    put16(t + 2, m->remote);
    put32(t + 4, m->iss + (uint32_t)at);
    put32(t + 8, flags & T_ACK ? m->irs + (uint32_t)m->rcv : 0);
    t[12] = (uint8_t)(hlen / 4 << 4);
    t[13] = flags;
    put16(t + 14, wnd < 65535 ? wnd : 65535);
    ip_header(h, hlen + n);
    put16(t + 16, (uint16_t)~sum_of(pseudo, NULL, 0));
    if (n > m->mss && m->mss) {
        f.gso = NET_GSO_TCP4;
        f.gso_size = (uint16_t)m->mss;
        f.header_len = (uint16_t)(HEADERS + hlen);
    } else if (m->c.full_sums) {
        put16(t + 16, 0);
        put16(t + 16, sum_of(sum_add(sum_add(pseudo, t, hlen), data, n), NULL, 0));
        f.flags = 0;
    }
    m->refused = !net_port_send(&m->port, &f);
    if (!m->refused && flags & T_ACK && m->acks_due)
        m->acks_due--;
    return !m->refused;
}

/* The payload of [at, at + n), and whether the FIN is its last. */
static bool send_frame(struct tcp_model *m, uint64_t at, uint64_t n)
{
    bool fin = at + n == m->c.send + 2;
    size_t bytes = n - fin;

    if (!m->c.no_verify)
        model_data(0, at - 1, m->buf, bytes);
    return send_segment(m, at, T_ACK | T_PSH | (fin ? T_FIN : 0), m->buf, bytes);
}

static void arm(struct tcp_model *m) { m->rto_at = clock_now(m->env.clock) + (RTO << m->backoff); }

static struct model_frame *frame_at(struct tcp_model *m, unsigned i) { return &m->frame[(m->first + i) % MODEL_FRAMES]; }

/* A frame is lost when others that were sent REORDER frames later have arrived. */
static void send_lost(struct tcp_model *m)
{
    for (unsigned i = 0; i < m->count && !m->refused; i++) {
        struct model_frame *f = frame_at(m, i);

        if (f->sacked || !(f->lost || f->order + REORDER <= m->acked_order))
            continue;
        if (!send_frame(m, f->at, f->len))
            return;
        if (!f->lost)
            m->cwnd = m->cwnd > 8u * m->c.frame ? m->cwnd * 9 / 10 : 4u * m->c.frame;
        f->lost = false;
        f->order = ++m->order;
        m->retransmitted++;
    }
}

static uint64_t on_the_way(struct tcp_model *m)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < m->count; i++)
        n += frame_at(m, i)->sacked ? 0 : frame_at(m, i)->len;
    return n;
}

static void send_new(struct tcp_model *m)
{
    uint64_t end = m->c.send + 2, flight = on_the_way(m);

    while (m->nxt < end && m->count < MODEL_FRAMES && !m->refused) {
        uint64_t n = end - m->nxt, size = m->c.frame;

        if (n > size)
            n = size;
        if (m->nxt + n > m->edge)
            n = m->edge > m->nxt ? m->edge - m->nxt : 0;
        if (!n || (m->count && (n < m->mss && n < end - m->nxt)) || (m->count && flight + n > m->cwnd))
            break;
        if (!send_frame(m, m->nxt, n))
            return;
        *frame_at(m, m->count++) = (struct model_frame){m->nxt, n, ++m->order, false, false};
        m->nxt += n;
        flight += n;
        if (m->rto_at == CLOCK_NEVER)
            arm(m);
    }
    if (!m->count && m->nxt < end && m->rto_at == CLOCK_NEVER)
        arm(m); /* a closed window: to ask */
}

static void timeout(struct tcp_model *m)
{
    m->backoff += m->backoff < 6;
    m->rto_at = CLOCK_NEVER;
    if (m->state == MODEL_SYN) {
        send_segment(m, 0, m->c.accept ? T_SYN | T_ACK : T_SYN, NULL, 0);
        arm(m);
        return;
    }
    if (!m->count) { /* a probe that is old to the far end */
        send_segment(m, m->una - 1, T_ACK, NULL, 0);
        arm(m);
        return;
    }
    for (unsigned i = 0; i < m->count; i++)
        frame_at(m, i)->lost = true;
    m->cwnd = m->c.frame;
    arm(m);
}

void tcp_model_run(struct tcp_model *m)
{
    if (m->arp_due) {
        struct iovec iov = {m->arp, sizeof m->arp};

        m->arp_due = !net_port_send(&m->port, &(struct net_frame){.iov = &iov, .iovcnt = 1, .len = sizeof m->arp});
    }
    if (m->refused)
        return;
    if (m->rto_at <= clock_now(m->env.clock))
        timeout(m);
    if (m->state == MODEL_OPEN) {
        send_lost(m);
        send_new(m);
    }
    while (m->acks_due && !m->refused)
        send_segment(m, m->state == MODEL_SYN ? 0 : m->nxt, m->state == MODEL_SYN ? T_SYN | T_ACK : T_ACK, NULL, 0);
}

bool tcp_model_sent(const struct tcp_model *m) { return m->state == MODEL_OPEN && m->una == m->c.send + 2; }
bool tcp_model_received(const struct tcp_model *m) { return m->fin && m->rcv == m->fin + 1; }

/* --- receiving ------------------------------------------------------------------------------------------------------- */

struct model_seg {
    uint32_t seq, ack;
    uint8_t flags, shift;
    uint16_t wnd, mss;
    unsigned sacks;
    uint32_t sack[4][2];
    bool scale;
};

static void options(struct model_seg *s, const uint8_t *o, size_t n)
{
    for (size_t i = 0; i < n && o[i]; i += o[i] == 1 ? 1 : o[i + 1]) {
        if (o[i] == 2)
            s->mss = get16(o + i + 2);
        if (o[i] == 3) {
            s->shift = o[i + 2];
            s->scale = true;
        }
        for (unsigned k = 0; o[i] == 5 && k < (o[i + 1] - 2u) / 8; k++, s->sacks++) {
            s->sack[k][0] = get32(o + i + 2 + 8 * k);
            s->sack[k][1] = get32(o + i + 6 + 8 * k);
        }
    }
}

/* The place of a number near one that is known. */
static uint64_t place(uint32_t number, uint32_t start, uint64_t near)
{
    return near + (uint64_t)(int64_t)(int32_t)(number - (start + (uint32_t)near));
}

static void arrived(struct tcp_model *m, const struct model_frame *f)
{
    if (f->order > m->acked_order)
        m->acked_order = f->order;
}

static void take_ack(struct tcp_model *m, const struct model_seg *s)
{
    uint64_t ack = place(s->ack, m->iss, m->una), edge = ack + ((uint64_t)s->wnd << (s->flags & T_SYN ? 0 : m->shift));

    if (ack > m->nxt)
        fail_msg("acknowledges what was never sent");
    if (ack > m->una) {
        m->cwnd += m->cwnd < m->c.window ? ack - m->una : 0;
        m->una = ack;
        m->backoff = 0;
        m->rto_at = CLOCK_NEVER;
        if (m->una < m->nxt)
            arm(m);
    }
    if (edge > m->edge) {
        if (m->edge <= m->nxt && !m->count)
            m->rto_at = CLOCK_NEVER;
        m->edge = edge;
    }
    while (m->count && frame_at(m, 0)->at + frame_at(m, 0)->len <= m->una) {
        if (!frame_at(m, 0)->sacked)
            arrived(m, frame_at(m, 0));
        m->first = (m->first + 1) % MODEL_FRAMES;
        m->count--;
    }
    for (unsigned k = 0; k < s->sacks; k++) {
        uint64_t from = place(s->sack[k][0], m->iss, m->una), to = place(s->sack[k][1], m->iss, m->una);

        if (from >= to || from <= ack || to > m->nxt) /* by the acknowledgement that says so: it may be late */
            fail_msg("SACKs what was not sent, or is acknowledged");
        for (unsigned i = 0; i < m->count; i++) {
            struct model_frame *f = frame_at(m, i);

            if (f->at >= from && f->at + f->len <= to && !f->sacked) {
                f->sacked = true;
                arrived(m, f);
            }
        }
    }
}

static void enter(struct tcp_model *m, uint64_t from, uint64_t to)
{
    unsigned i = 0, j;

    m->recent = from;
    while (i < m->ranges && m->range[i][1] < from)
        i++;
    for (j = i; j < m->ranges && m->range[j][0] <= to; j++) {
        from = m->range[j][0] < from ? m->range[j][0] : from;
        to = m->range[j][1] > to ? m->range[j][1] : to;
    }
    if (i == j && m->ranges == MODEL_RANGES)
        return;
    memmove(m->range + i + 1, m->range + j, (m->ranges - j) * sizeof m->range[0]);
    m->ranges = m->ranges - j + i + 1;
    m->range[i][0] = from;
    m->range[i][1] = to;
}

/* Bytes of the frame from off on are those of the stream from `at` on. */
static bool right(const struct tcp_model *m, const struct net_frame *f, size_t off, uint64_t at)
{
    size_t place_of = 0; /* of the piece in the frame */

    for (unsigned i = 0; i < f->iovcnt && place_of < f->len; place_of += f->iov[i++].iov_len) {
        size_t len = f->iov[i].iov_len < f->len - place_of ? f->iov[i].iov_len : f->len - place_of;
        size_t skip = place_of < off ? off - place_of : 0;

        if (skip >= len)
            continue;
        model_data(1, at + place_of + skip - off, m->check, len - skip);
        if (memcmp(m->check, (const uint8_t *)f->iov[i].iov_base + skip, len - skip) != 0)
            return false;
    }
    return true;
}

static void take_data(struct tcp_model *m, const struct model_seg *s, const struct net_frame *f, size_t off)
{
    uint64_t at = place(s->seq, m->irs, m->rcv), n = f->len - off;

    if (!n && !(s->flags & T_FIN)) {
        m->acks_due += at < m->rcv; /* asked whether we are there */
        return;
    }
    if (s->flags & T_FIN) {
        if (m->fin && m->fin != at + n)
            fail_msg("the FIN has moved");
        m->fin = at + n;
    }
    if (!m->c.no_verify && n && !right(m, f, off, at - 1))
        m->bad++;
    m->received++;
    if (at == m->rcv && !m->ranges)
        m->acks_due = m->acks_due ? m->acks_due : 1;
    else
        m->acks_due++;
    n += !!(s->flags & T_FIN);
    if (at + n > m->rcv)
        enter(m, at > m->rcv ? at : m->rcv, at + n);
    if (m->ranges && m->range[0][0] == m->rcv) {
        m->rcv = m->range[0][1];
        m->ranges--;
        memmove(m->range, m->range + 1, m->ranges * sizeof m->range[0]);
    }
}

static void take_syn(struct tcp_model *m, const struct model_seg *s)
{
    bool listening = m->state == MODEL_LISTEN;

    m->irs = s->seq;
    m->rcv = 1;
    m->mss = s->mss ? s->mss : 536;
    m->shift = s->scale && m->c.scale ? s->shift : 0;
    m->c.scale = m->c.scale && s->scale;
    m->acks_due = 1;
    m->state = listening ? MODEL_SYN : MODEL_OPEN;
    if (listening) {
        m->nxt = 1;
        return;
    }
    take_ack(m, s);
    m->una = 1;
}

static void take_segment(struct tcp_model *m, const struct net_frame *f, const uint8_t *h, size_t n)
{
    size_t hlen = n >= HEADERS + 20 ? (h[HEADERS + 12] >> 4) * 4u : 0;
    const uint8_t *t = h + HEADERS;
    struct model_seg s;

    if (hlen < 20 || HEADERS + hlen > n || get16(t) != m->remote || get16(t + 2) != m->local)
        return;
    s = (struct model_seg){.seq = get32(t + 4), .ack = get32(t + 8), .flags = t[13], .wnd = get16(t + 14)};
    options(&s, t + 20, hlen - 20);
    if (s.flags & T_RST) {
        m->state = MODEL_RESET;
    } else if (s.flags & T_SYN) {
        if (m->state == MODEL_LISTEN || (m->state == MODEL_SYN && !m->c.accept))
            take_syn(m, &s);
        else
            m->acks_due++;
    } else if (m->state != MODEL_LISTEN && s.flags & T_ACK) {
        if (m->state == MODEL_SYN && m->c.accept)
            m->state = MODEL_OPEN;
        take_ack(m, &s);
        take_data(m, &s, f, HEADERS + hlen);
    }
}

/* A request for our address. */
static void take_arp(struct tcp_model *m, const uint8_t *h, size_t n)
{
    if (n < 42 || get16(h + 20) != 1 || memcmp(h + 38, guest_ip, 4) != 0)
        return;
    memcpy(m->arp, h, 42);
    memcpy(m->arp, h + 6, 6);
    memcpy(m->arp + 6, guest_mac, 6);
    m->arp[21] = 2;
    memcpy(m->arp + 22, guest_mac, 6);
    memcpy(m->arp + 28, guest_ip, 4);
    memcpy(m->arp + 32, h + 22, 10);
    m->arp_due = true;
}

static bool model_receive(struct net_port *p, const struct net_frame *f)
{
    struct tcp_model *m = p->arg;
    uint8_t h[HEADERS + 60];
    size_t n = 0;

    for (unsigned i = 0; i < f->iovcnt && n < sizeof h; i++) {
        size_t len = f->iov[i].iov_len < sizeof h - n ? f->iov[i].iov_len : sizeof h - n;

        memcpy(h + n, f->iov[i].iov_base, len);
        n += len;
    }
    n = n < f->len ? n : f->len;
    if (n > HEADERS && get16(h + 12) == 0x0800 && h[23] == 6)
        take_segment(m, f, h, n);
    else if (n > 14 && get16(h + 12) == 0x0806)
        take_arp(m, h, n);
    if (m->c.at_once)
        tcp_model_run(m);
    return true;
}

static void model_ready(struct net_port *p) { ((struct tcp_model *)p->arg)->refused = false; }

static const struct net_port_ops model_ops = {"model", model_receive, model_ready, NULL};

void tcp_model_init(struct tcp_model *m, const struct net_env *env, const struct tcp_model_config *c)
{
    *m = (struct tcp_model){.env = *env, .c = *c, .iss = UINT32_MAX - 100000, .rto_at = CLOCK_NEVER};
    m->port = (struct net_port){.ops = &model_ops, .arg = m, .name = "model", .can = NET_CAN_ALL, .mtu = c->mss + 40u};
    m->local = c->accept ? c->dport : c->port;
    m->remote = c->accept ? c->port : c->dport;
    m->cwnd = 4u * c->frame;
    m->buf = calloc(2, 65536);
    m->check = m->buf + 65536;
    m->state = c->accept ? MODEL_LISTEN : MODEL_SYN;
    if (c->accept)
        return;
    m->nxt = 1;
    m->rto_at = 0; /* sends the SYN */
}

void tcp_model_free(struct tcp_model *m) { free(m->buf); }
