/* What people and tests see of the NAT's TCP. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "netstack/nat_tcp_int.h"

static const char *const state_names[FLOW_STATES] = {
    [FLOW_CONNECTING] = "TCP[CONNECTING]", [FLOW_SYN_SENT] = "TCP[SYN_SENT]",     [FLOW_SYN_RCVD] = "TCP[SYN_RCVD]",
    [FLOW_ESTABLISHED] = "TCP[ESTABLISHED]", [FLOW_FIN_WAIT_1] = "TCP[FIN_WAIT_1]", [FLOW_FIN_WAIT_2] = "TCP[FIN_WAIT_2]",
    [FLOW_CLOSE_WAIT] = "TCP[CLOSE_WAIT]", [FLOW_CLOSING] = "TCP[CLOSING]",       [FLOW_LAST_ACK] = "TCP[LAST_ACK]",
    [FLOW_TIME_WAIT] = "TCP[TIME_WAIT]",   [FLOW_RESET] = "TCP[RESET]",           [FLOW_DEAD] = "TCP[DEAD]",
};

static size_t queued(const struct tcp_flow *f, unsigned long which)
{
    int n = 0;

    return f->fd >= 0 && !ioctl(f->fd, which, &n) && n > 0 ? (size_t)n : 0;
}

/* Source and destination are the connection's: of a forwarded one, the guest is the destination. */
static void row(const struct tcp_flow *f, uint64_t now, FILE *out)
{
    const struct tcp_key *k = &f->key;
    struct nat_info_row r = {
        .state = state_names[f->state],
        .fd = f->fd,
        .src = f->forwarded ? &k->peer : &k->guest,
        .dst = f->forwarded ? &k->guest : &k->peer,
        .sport = f->forwarded ? k->peer_port : k->guest_port,
        .dport = f->forwarded ? k->guest_port : k->peer_port,
        .recvq = queued(f, SIOCINQ),
        .sendq = queued(f, SIOCOUTQ) + (f->rcv - f->taken - f->fin_taken),
        .bytes_out = f->bytes_out,
        .bytes_in = f->bytes_in,
        .age = now - f->born + 1,
    };

    nat_info_row(out, &r);
}

void nat_tcp_info(const struct nat_tcp *t, bool flows, FILE *out)
{
    const struct tcp_counters *c = &t->c;

    for (uint32_t i = 0; flows && i <= t->mask; i++)
        for (const struct tcp_flow *f = t->buckets[i]; f; f = f->chain)
            row(f, clock_now(t->n->env.clock), out);
    fprintf(out, "  tcp: %u of %u flows, %llu opened, %llu forwarded, %llu failed, %llu refused, %llu reset, %llu evicted\n",
            t->count, t->cap, (unsigned long long)c->opened, (unsigned long long)c->forwarded,
            (unsigned long long)c->failed, (unsigned long long)c->refused, (unsigned long long)c->resets,
            (unsigned long long)c->evicted);
    fprintf(out, "  tcp: %llu frames sent again, %llu time-outs, %llu challenges, %llu segments not taken, %llu bytes held\n",
            (unsigned long long)c->retransmits, (unsigned long long)c->timeouts, (unsigned long long)c->challenges,
            (unsigned long long)c->dropped, (unsigned long long)t->held);
}

void nat_tcp_counts(const struct nat_tcp *t, struct nat_counts *c)
{
    c->tcp = t->count;
    c->memory += t->count * sizeof(struct tcp_flow) + t->held;
}
