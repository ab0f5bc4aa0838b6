/*
 * DHCP for IPv6, the server's side (RFC 8415): addresses for who wants one besides SLAAC's, and what router advertisements do
 * not say: NTP, boot file.
 *
 * Advertisements say "other configuration" and, where the prefix is not /64, "managed" (nat_ra.c); this server answers
 * both kinds of client in any case. A guest has one address, in its first IA_NA; there are no temporary addresses and no
 * prefixes to delegate, and the guest is told so. As for IPv4 a guest is its MAC (nat_lease.c). Rapid commit is granted.
 */
#include "netstack/nat_dhcp6.h"

#include <string.h>

enum { PREFERRED_SECONDS = LEASE_SECONDS / 2 };

/* An answer in the making, and what it is about. */
struct answer {
    struct nat_dhcp *d;
    struct nat *n;
    const struct nat_ip *ip;
    const struct dhcp6_msg *m;
    struct nat_lease *l; /* the guest's; NULL: it has none */
    struct writer w;
};

static void put(struct writer *w, uint16_t code, const void *v, size_t len)
{
    writer_u16(w, code);
    writer_u16(w, (uint16_t)len);
    writer_bytes(w, v, len);
}

/* An option that holds others: the place of its length, for end_option. */
static size_t begin_option(struct writer *w, uint16_t code)
{
    writer_u16(w, code);
    writer_u16(w, 0);
    return w->len - 2;
}

static void end_option(struct writer *w, size_t at)
{
    if (!w->bad)
        writer_set16(w, at, (uint16_t)(w->len - at - 2));
}

static void put_status(struct writer *w, uint16_t code)
{
    uint8_t v[2];

    st16be(v, code);
    put(w, O6_STATUS, v, sizeof v);
}

static void put_addr(struct writer *w, const struct net_addr *a, uint32_t preferred, uint32_t valid)
{
    size_t at = begin_option(w, O6_IA_ADDR);

    writer_bytes(w, a->b, sizeof a->b);
    writer_u32(w, preferred);
    writer_u32(w, valid);
    end_option(w, at);
}

/* --- options that a guest may ask for ------------------------------------------------------------------------------- */

static bool asked(const struct dhcp6_msg *m, bool wants) { return !m->has_list || wants; }

static void put_ntp(struct answer *a)
{
    const struct net_addr *ntp = &a->n->c.ntp;
    size_t at;

    if (net_addr_none(ntp) || net_addr_is4(ntp))
        return;
    if (asked(a->m, a->m->wants_sntp))
        put(&a->w, O6_SNTP, ntp->b, 16);
    if (!asked(a->m, a->m->wants_ntp))
        return;
    at = begin_option(&a->w, O6_NTP);
    put(&a->w, 1, ntp->b, 16); /* a server's address (RFC 5908, 4.1) */
    end_option(&a->w, at);
}

/* RFC 5970: a URL, the gateway's TFTP server when the user named only a file. */
static void put_boot(struct answer *a)
{
    const char *file = a->n->c.bootfile;
    char url[512], host[NET_ADDR_TEXT];
    int len;

    if (!file || !*file || !asked(a->m, a->m->wants_boot))
        return;
    if (strstr(file, "://"))
        len = snprintf(url, sizeof url, "%s", file);
    else
        len = snprintf(url, sizeof url, "tftp://[%s]/%s", net_addr_text(&a->n->c.host6, host), file + (*file == '/'));
    if (len < (int)sizeof url && !(a->m->http && strncmp(url, "http", 4) != 0))
        put(&a->w, O6_BOOT_URL, url, (size_t)len);
    if (a->m->http) { /* firmware takes an answer for one to it when it says so (UEFI 2.5, 24.7.3.2) */
        size_t at = begin_option(&a->w, O6_VENDOR_CLASS);

        writer_u32(&a->w, 343); /* as the firmware's own */
        writer_u16(&a->w, 10);
        writer_bytes(&a->w, "HTTPClient", 10);
        end_option(&a->w, at);
    }
}

static void put_configuration(struct answer *a)
{
    const struct nat_config *c = &a->n->c;
    size_t at;

    if (asked(a->m, a->m->wants_dns) && !net_addr_none(&c->dns6))
        put(&a->w, O6_DNS, c->dns6.b, 16);
    if (asked(a->m, a->m->wants_search) && (c->dnssearch || c->domainname)) {
        at = begin_option(&a->w, O6_SEARCH); /* names are not compressed here (RFC 8415, 10) */
        for (const char *const *s = c->dnssearch; s && *s; s++)
            dns_name_write(&a->w, *s);
        if (!c->dnssearch)
            dns_name_write(&a->w, c->domainname);
        end_option(&a->w, at);
    }
    put_ntp(a);
    put_boot(a);
}

/* --- associations --------------------------------------------------------------------------------------------------- */

static size_t begin_ia(struct answer *a, const struct dhcp6_ia *ia, bool times)
{
    size_t at = begin_option(&a->w, ia->kind);

    writer_bytes(&a->w, ia->iaid, 4);
    if (ia->kind != O6_IA_TA) {
        writer_u32(&a->w, times ? PREFERRED_SECONDS / 2 : 0);
        writer_u32(&a->w, times ? PREFERRED_SECONDS / 5 * 4 : 0);
    }
    return at;
}

static void ia_status(struct answer *a, const struct dhcp6_ia *ia, uint16_t status)
{
    size_t at = begin_ia(a, ia, false);

    put_status(&a->w, status);
    end_option(&a->w, at);
}

/* The guest's address in ia. Addresses that it names and cannot have come back with no time left. */
static void ia_address(struct answer *a, const struct dhcp6_ia *ia)
{
    size_t at = begin_ia(a, ia, true);

    put_addr(&a->w, &a->l->a6, PREFERRED_SECONDS, LEASE_SECONDS);
    for (unsigned i = 0; i < ia->addrs && a->m->type != D6_SOLICIT; i++)
        if (!net_addr_equal(&ia->addr[i], &a->l->a6))
            put_addr(&a->w, &ia->addr[i], 0, 0);
    end_option(&a->w, at);
}

/* Give what is asked for: an address in the first IA_NA, a reason in each other. bind: it is a lease from now on. */
static void give(struct answer *a, bool bind)
{
    static const struct net_addr none;
    bool given = false;

    for (unsigned i = 0; i < a->m->ias; i++) {
        const struct dhcp6_ia *ia = &a->m->ia[i];

        if (ia->kind == O6_IA_PD) {
            ia_status(a, ia, S6_NO_PREFIX);
        } else if (ia->kind == O6_IA_TA || given || !a->l ||
                   !lease_address(a->d, a->l, false, ia->addrs ? &ia->addr[0] : &none)) {
            ia_status(a, ia, S6_NO_ADDRS);
        } else {
            given = true;
            if (bind)
                lease_bind(a->d, a->l, false, LEASE_SECONDS);
            else
                lease_hold(a->d, a->l);
            if (bind)
                nat_neighbour_learn(a->n, &a->l->a6, a->ip->mac);
            ia_address(a, ia);
        }
    }
    put_configuration(a);
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

static bool solicit(struct answer *a)
{
    if (a->m->rapid_commit)
        put(&a->w, O6_RAPID_COMMIT, NULL, 0);
    else
        put(&a->w, O6_PREFERENCE, (uint8_t[]){255}, 1); /* no other server: do not wait for one */
    give(a, a->m->rapid_commit);
    return true;
}

static bool assign(struct answer *a)
{
    give(a, true);
    return true;
}

static bool is_link_local(const struct net_addr *a) { return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80; }

/* Whether the addresses it has are of this network; silence when it names none (18.3.3). */
static bool confirm(struct answer *a)
{
    unsigned named = 0;
    bool here = true;

    for (unsigned i = 0; i < a->m->ias; i++)
        for (unsigned k = 0; k < a->m->ia[i].addrs; k++, named++)
            here &= nat_in_net(a->n, &a->m->ia[i].addr[k]) && !is_link_local(&a->m->ia[i].addr[k]);
    put_status(&a->w, here ? S6_SUCCESS : S6_NOT_ON_LINK);
    return named > 0;
}

/* RELEASE and DECLINE: each address that is the guest's ends (18.3.7, 18.3.8). */
static bool end(struct answer *a)
{
    for (unsigned i = 0; i < a->m->ias; i++) {
        const struct dhcp6_ia *ia = &a->m->ia[i];
        bool found = false;

        for (unsigned k = 0; k < ia->addrs && a->l; k++) {
            if (net_addr_none(&a->l->a6) || !net_addr_equal(&ia->addr[k], &a->l->a6))
                continue;
            found = true;
            if (a->m->type == D6_DECLINE)
                lease_decline(a->d, a->l, &ia->addr[k]);
            else
                lease_bind(a->d, a->l, false, 0);
        }
        if (!found)
            ia_status(a, ia, S6_NO_BINDING);
    }
    put_status(&a->w, S6_SUCCESS);
    return true;
}

static bool information(struct answer *a)
{
    put_configuration(a);
    return a->m->ias == 0; /* 16.12 */
}

enum { /* what a message must have (RFC 8415, 16) */
       NEEDS_CLIENT = 1,
       NEEDS_SERVER = 2, /* and it is us */
       NO_SERVER = 4,
       MAKES_LEASE = 8,
};

static const struct {
    unsigned rules;
    bool (*handle)(struct answer *a); /* false: no reply */
} messages[] = {
    [D6_SOLICIT] = {NEEDS_CLIENT | NO_SERVER | MAKES_LEASE, solicit},
    [D6_REQUEST] = {NEEDS_CLIENT | NEEDS_SERVER | MAKES_LEASE, assign},
    [D6_CONFIRM] = {NEEDS_CLIENT | NO_SERVER, confirm},
    [D6_RENEW] = {NEEDS_CLIENT | NEEDS_SERVER | MAKES_LEASE, assign},
    [D6_REBIND] = {NEEDS_CLIENT | NO_SERVER | MAKES_LEASE, assign},
    [D6_RELEASE] = {NEEDS_CLIENT | NEEDS_SERVER, end},
    [D6_DECLINE] = {NEEDS_CLIENT | NEEDS_SERVER, end},
    [D6_INFORMATION] = {0, information},
};

static bool follows_rules(const struct dhcp6_msg *m)
{
    unsigned rules = m->type < ARRAY_LEN(messages) && messages[m->type].handle ? messages[m->type].rules : UINT32_MAX;

    if (rules == UINT32_MAX || (m->has_server_id && !m->for_us))
        return false;
    return !((rules & NEEDS_CLIENT && !m->id_len) || (rules & NEEDS_SERVER && !m->has_server_id) ||
             (rules & NO_SERVER && m->has_server_id));
}

/* To a unicast address of ours: only what names its server is answered, with the way it should have taken (18.4). */
static bool unicast(struct answer *a)
{
    put_status(&a->w, S6_USE_MULTICAST);
    return messages[a->m->type].rules & NEEDS_SERVER;
}

static void answer_to(struct nat *n, const struct nat_ip *ip, const struct dhcp6_msg *m)
{
    uint8_t buf[1232], duid[D6_DUID_LEN]; /* what passes every link */
    struct answer a = {.d = n->dhcp, .n = n, .ip = ip, .m = m, .w = {.buf = buf, .cap = sizeof buf}};
    bool advertise = m->type == D6_SOLICIT && !m->rapid_commit;

    dhcp6_duid(n, duid);
    a.l = messages[m->type].rules & MAKES_LEASE ? lease_of(n->dhcp, ip->mac) : lease_find(n->dhcp, ip->mac);
    if (a.l && m->name_len)
        lease_set_name(a.l, m->name, m->name_len);
    writer_u8(&a.w, advertise ? D6_ADVERTISE : D6_REPLY);
    writer_bytes(&a.w, m->xid, sizeof m->xid);
    put(&a.w, O6_SERVER_ID, duid, sizeof duid);
    if (m->id_len)
        put(&a.w, O6_CLIENT_ID, m->id, m->id_len);
    if ((ip->group ? messages[m->type].handle : unicast)(&a) && !a.w.bad)
        svc_send(n, &n->link6, PORT_DHCP6_SERVER, &ip->src, PORT_DHCP6_CLIENT, ip->mac, buf, a.w.len);
}

bool nat_dhcp6_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    struct dhcp6_msg m;

    (void)sport;
    if (dport != PORT_DHCP6_SERVER || ip->is4 || n->c.no_dhcp || n->c.no_ipv6 || nat_is_dns(n, &ip->dst))
        return false;
    if (!dhcp6_read(&m, n, p))
        nat_bad(n, "dhcp6: a message that is cut short");
    else if (is_link_local(&ip->src) && follows_rules(&m))
        answer_to(n, ip, &m);
    return true;
}
