#include "tests/unit/tcp_peer.h"

void tcp_begin(struct tcp_world *tw, const struct nat_config *c)
{
    struct nat_config config = c ? *c : (struct nat_config){0};
    struct err e;

    config.host_loopback = true;
    world_init(&tw->w);
    tw->nat = nat_new(&tw->w.env, &config, &e);
    if (!tw->nat)
        fail_msg("nat: %s", e.msg);
    tw->t = tw->nat->tcp;
    far_init(&tw->g, &tw->w, "guest");
    if (config.mtu)
        tw->g.port.mtu = config.mtu;
    far_plug(&tw->g, nat_port(tw->nat));
}

void tcp_end(struct tcp_world *tw)
{
    struct nat_counts c = tcp_counts(tw);

    CHECK_EQ(c.tcp, 0);
    CHECK_EQ(c.memory, 0);
    far_free(&tw->g);
    nat_free(tw->nat);
    world_free(&tw->w);
}

struct nat_counts tcp_counts(struct tcp_world *tw)
{
    struct nat_counts c;

    world_run(&tw->w);
    nat_counts(tw->nat, &c);
    return c;
}

static bool empty(void *arg)
{
    struct nat_counts c;

    nat_counts(((struct tcp_world *)arg)->nat, &c);
    return c.tcp == 0;
}

void tcp_until_empty(struct tcp_world *tw) { world_until(&tw->w, empty, tw, "the last flow to end"); }

struct tcp_flow *conn_flow(const struct conn *c)
{
    struct tcp_key k = {.guest_port = c->port, .peer_port = c->dport};

    CHECK(net_addr_parse(strchr(c->dst, ':') ? c->tw->g.ip6 : c->tw->g.ip4, &k.guest) && net_addr_parse(c->dst, &k.peer));
    return tcp_table_find(c->tw->t, &k);
}

/* --- the guest sends ------------------------------------------------------------------------------------------- */

void conn_send_pkt(struct conn *c, struct pkt *p)
{
    p->dst = p->dst ? p->dst : c->dst;
    p->sport = c->port;
    p->dport = c->dport;
    if (!p->seq)
        p->seq = c->seq;
    if (!p->ack && p->flags & T_ACK)
        p->ack = c->ack;
    if (p->len + 40 > c->tw->g.port.mtu && !p->gso_size) { /* several segments in one frame */
        p->gso_size = 1460;
        p->sum = SUM_PARTIAL;
    }
    CHECK(far_send(&c->tw->g, p));
}

void conn_syn(struct conn *c, struct tcp_world *tw, uint16_t port, uint16_t dport)
{
    *c = (struct conn){.tw = tw, .dst = "10.0.2.2", .port = port, .dport = dport, .seq = 1000u * port, .fd = -1};
    c->iss = c->seq;
    conn_send(c, .flags = T_SYN, .mss = 1460, .sack_ok = true, WSCALE(7));
    c->seq++;
}

static void finish_open(struct conn *c, int listener)
{
    c->ack = conn_expect(c, .flags = T_SYN | T_ACK, .ack = c->seq)->seq + 1;
    conn_ack(c);
    c->fd = world_accept(&c->tw->w, listener);
}

void conn_open(struct conn *c, struct tcp_world *tw, uint16_t port, int listener, uint16_t dport)
{
    conn_syn(c, tw, port, dport);
    finish_open(c, listener);
}

void conn_open_as(struct conn *c, struct tcp_world *tw, const struct pkt *syn, int listener)
{
    struct pkt p = *syn;

    *c = (struct conn){.tw = tw, .dst = p.dst ? p.dst : "10.0.2.2", .port = p.sport, .dport = p.dport, .seq = p.seq, .fd = -1};
    p.kind = PKT_TCP;
    p.flags = T_SYN;
    conn_send_pkt(c, &p);
    c->iss = c->seq++;
    finish_open(c, listener);
}

void conn_any(struct conn *c, struct tcp_world *tw)
{
    uint16_t dport = 0;
    int listener = host_listen(AF_INET, &dport);

    conn_open(c, tw, 40000, listener, dport);
    close(listener);
}

void conn_slow(struct conn *c, struct tcp_world *tw)
{
    uint16_t dport = 0;
    int listener = host_listen(AF_INET, &dport), size = 4096;

    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size); /* before it offers a window */
    conn_open(c, tw, 40000, listener, dport);
    setsockopt(conn_flow(c)->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    close(listener);
}

void conn_answer(struct conn *c, const struct got *syn)
{
    *c = (struct conn){.tw = c->tw, .dst = "10.0.2.2", .port = syn->dport, .dport = syn->sport, .fd = c->fd, .seq = 5000};
    c->ack = syn->seq + 1;
    c->iss = c->seq;
    conn_send(c, .flags = T_SYN | T_ACK, .mss = 1460, .sack_ok = true, WSCALE(7));
    c->seq++;
}

void conn_data(struct conn *c, const void *data, size_t n)
{
    conn_send(c, .flags = T_ACK | T_PSH, DATA(data, n));
    c->seq += (uint32_t)n;
}

void conn_text(struct conn *c, const char *text) { conn_data(c, text, strlen(text)); }
void conn_ack(struct conn *c) { conn_send(c, .flags = T_ACK); }

/* --- the guest expects ------------------------------------------------------------------------------------------- */

const struct got *conn_expect_pkt(struct conn *c, struct pkt *p, const char *file, int line)
{
    const struct got *g;

    p->src = c->dst;
    p->sport = c->dport;
    p->dport = c->port;
    g = far_expect_at(&c->tw->g, p, file, line);
    if (!(g->flags & T_SYN) && g->seq == c->ack)
        c->ack += (uint32_t)g->len + !!(g->flags & T_FIN);
    return g;
}

void conn_expect_text(struct conn *c, const char *text)
{
    conn_expect(c, .seq = c->ack, .flags = T_ACK, DATA(text, strlen(text)));
}

void conn_expect_ack(struct conn *c)
{
    world_advance(&c->tw->w, 5 * MS); /* an acknowledgement may wait for 2 ms */
    CHECK_EQ(conn_expect(c, .flags = T_ACK, .ack = c->seq)->len, 0);
}

/* --- the far peer -------------------------------------------------------------------------------------------------- */

void host_text(struct conn *c, const char *text) { world_write(&c->tw->w, c->fd, text, strlen(text)); }

void host_expect_text(struct conn *c, const char *text)
{
    char buf[4096];
    size_t n = strlen(text);

    CHECK(n <= sizeof buf);
    CHECK_EQ(world_recv(&c->tw->w, c->fd, buf, n), n);
    CHECK(!memcmp(buf, text, n));
}

void host_expect_end(struct conn *c)
{
    char b;

    world_wait(&c->tw->w, c->fd, LOOP_IN);
    CHECK_EQ(recv(c->fd, &b, 1, 0), 0);
}

void host_expect_error(struct conn *c, int error)
{
    char b;

    world_wait(&c->tw->w, c->fd, LOOP_IN);
    CHECK(recv(c->fd, &b, 1, 0) < 0);
    CHECK_EQ(errno, error);
}

void conn_close(struct conn *c)
{
    conn_send(c, .flags = T_FIN | T_ACK);
    c->seq++;
    conn_expect_ack(c);
    host_expect_end(c);
    close(c->fd);
    conn_expect(c, .seq = c->ack, .flags = T_FIN | T_ACK, .ack = c->seq);
    conn_ack(c);
    CHECK(!conn_flow(c));
}
