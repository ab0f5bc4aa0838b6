/*
 * DNS answers of this network's own: guests by the names they gave DHCP, host.guise (the gateway), dns.guise.
 *
 * A guest "alpha" is alpha, alpha.guise and, when the user gave a domain, alpha.DOMAIN. Nothing below "guise" is asked of
 * the world, nor addresses of the virtual network: those names say who the guests are. In the user's domain, which may
 * exist elsewhere too, names that are no guest's are for the host's resolver.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netstack/nat_dns.h"

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, TYPE_OPT = 41, TYPE_ANY = 255, CLASS_IN = 1, CLASS_ANY = 255 };
enum { TTL = 10 /* seconds: a guest may come and go */, EDNS_SIZE = 1232 };

/* --- messages ------------------------------------------------------------------------------------------------------- */

/* The OPT record, if it is the next of what is behind the question (RFC 6891, 6.1.1): clients put it alone. */
static void read_edns(const uint8_t *msg, size_t len, struct dns_question *q)
{
    struct iovec iov;
    struct packet p = packet_of_bytes(&iov, msg + q->end, len - q->end);
    bool root = !packet_u8(&p), opt = packet_u16(&p) == TYPE_OPT;

    packet_u16(&p);
    q->edns = root && opt;
    q->dnssec_ok = packet_u32(&p) >> 15 & 1;
    if (p.bad)
        q->edns = q->dnssec_ok = false;
}

bool dns_question_read(const uint8_t *msg, size_t len, struct dns_question *q, int *rcode)
{
    size_t end;

    *q = (struct dns_question){0};
    *rcode = -1;
    if (len < DNS_HEADER || msg[2] & 0x80)
        return false;
    *rcode = RCODE_NOTIMP;
    if (msg[2] & 0x78)
        return false;
    *rcode = RCODE_FORMAT;
    if (ld16be(msg + 4) != 1)
        return false;
    end = dns_name_read(msg, len, DNS_HEADER, q->name);
    if (!end || len - end < 4)
        return false;
    q->type = ld16be(msg + end);
    q->class_ = ld16be(msg + end + 2);
    q->end = end + 4;
    read_edns(msg, len, q);
    return true;
}

void dns_reply_begin(struct writer *w, const uint8_t *msg, size_t question_end, unsigned rcode)
{
    uint8_t *head = writer_room(w, DNS_HEADER);

    memcpy(head, msg, 2);
    head[2] = (uint8_t)(0x80 | (msg[2] & 0x79)); /* a response; opcode and "recursion desired" as asked */
    head[3] = (uint8_t)(0x80 | rcode);           /* recursion is available */
    if (!question_end)
        return;
    st16be(head + 4, 1);
    writer_bytes(w, msg + DNS_HEADER, question_end - DNS_HEADER);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void put_record(struct writer *w, uint16_t type, const void *data, size_t len)
{
    writer_u16(w, 0xc000 | DNS_HEADER); /* the question's name */
    writer_u16(w, type);
    writer_u16(w, CLASS_IN);
    writer_u32(w, TTL);
    writer_u16(w, (uint16_t)len);
    writer_bytes(w, data, len);
    writer_set16(w, 6, (uint16_t)(ld16be(w->buf + 6) + 1));
}

static void put_addresses(const struct dns_question *q, struct writer *w, const struct net_addr *a4,
                          const struct net_addr *a6)
{
    if (!net_addr_none(a4) && (q->type == TYPE_A || q->type == TYPE_ANY))
        put_record(w, TYPE_A, a4->b + 12, 4);
    if (!net_addr_none(a6) && (q->type == TYPE_AAAA || q->type == TYPE_ANY))
        put_record(w, TYPE_AAAA, a6->b, 16);
}

/* A client that speaks EDNS is answered in it (RFC 6891, 6.1.1). */
static void put_edns(const struct dns_question *q, struct writer *w)
{
    if (!q->edns)
        return;
    writer_u8(w, 0);
    writer_u16(w, TYPE_OPT);
    writer_u16(w, EDNS_SIZE);
    writer_u32(w, q->dnssec_ok ? 0x8000 : 0);
    writer_u16(w, 0);
    writer_set16(w, 10, 1);
}

static bool guest_or_gateway(struct nat *n, const char *label, struct net_addr *a4, struct net_addr *a6)
{
    *a4 = *a6 = (struct net_addr){{0}};
    if (!strcasecmp(label, "host")) {
        *a4 = n->c.host;
        *a6 = n->c.host6;
        return true;
    }
    if (!strcasecmp(label, "dns")) {
        *a4 = n->c.dns;
        *a6 = n->c.dns6;
        return true;
    }
    return nat_dhcp_lookup(n->dhcp, label, a4, a6);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);

    return n > s && name[n - s - 1] == '.' && !strcasecmp(name + n - s, suffix);
}

static bool by_name(struct nat *n, const uint8_t *msg, const struct dns_question *q, struct writer *w)
{
    struct net_addr a4, a6;
    char label[64];
    bool known = false, ours = !strcasecmp(q->name, "guise") || ends_with(q->name, "guise");

    if (nat_domain_strip(n, q->name, label))
        known = guest_or_gateway(n, label, &a4, &a6);
    else if (!strchr(q->name, '.'))
        known = nat_dhcp_lookup(n->dhcp, q->name, &a4, &a6);
    if (!known && !ours)
        return false;
    dns_reply_begin(w, msg, q->end, known || !strcasecmp(q->name, "guise") ? RCODE_OK : RCODE_NXDOMAIN);
    if (known && (q->class_ == CLASS_IN || q->class_ == CLASS_ANY))
        put_addresses(q, w, &a4, &a6);
    put_edns(q, w);
    return true;
}

/* --- addresses to names --------------------------------------------------------------------------------------------- */

/* "15.2.0.10.in-addr.arpa" (RFC 1035, 3.5) */
static bool reverse4(const char *name, struct net_addr *a)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        char *end;
        unsigned long octet = strtoul(name, &end, 10);

        if (end == name || *end != '.' || octet > 255 || *name == '-' || *name == '+')
            return false;
        v |= (uint32_t)octet << 8 * i;
        name = end + 1;
    }
    *a = net_addr_of4(v);
    return !strcasecmp(name, "in-addr.arpa");
}

/* 32 digits, the last of the address first (RFC 3596, 2.5) */
static bool reverse6(const char *name, struct net_addr *a)
{
    static const char digits[] = "0123456789abcdef";

    *a = (struct net_addr){{0}};
    for (unsigned i = 0; i < 32; i++) {
        const char *d = *name ? strchr(digits, *name | 0x20) : NULL;

        if (!d || !*d || name[1] != '.')
            return false;
        a->b[15 - i / 2] |= (uint8_t)((d - digits) << (i % 2 ? 4 : 0));
        name += 2;
    }
    return !strcasecmp(name, "ip6.arpa");
}

static void put_pointer(struct nat *n, const char *label, struct writer *w)
{
    uint8_t buf[DNS_NAME_MAX];
    char name[2 * DNS_NAME_MAX];
    struct writer data = {.buf = buf, .cap = sizeof buf};

    snprintf(name, sizeof name, "%s.%s", label, nat_domain(n));
    if (dns_name_write(&data, name))
        put_record(w, TYPE_PTR, buf, data.len);
}

static bool by_address(struct nat *n, const uint8_t *msg, const struct dns_question *q, struct writer *w)
{
    struct net_addr a;
    const char *label;

    if ((!reverse4(q->name, &a) && !reverse6(q->name, &a)) || !nat_in_net(n, &a))
        return false;
    label = nat_is_gateway(n, &a) ? "host" : nat_is_dns(n, &a) ? "dns" : lease_name_of(n->dhcp, &a);
    dns_reply_begin(w, msg, q->end, label ? RCODE_OK : RCODE_NXDOMAIN);
    if (label && (q->type == TYPE_PTR || q->type == TYPE_ANY))
        put_pointer(n, label, w);
    put_edns(q, w);
    return true;
}

bool dns_local(struct nat *n, const uint8_t *msg, const struct dns_question *q, struct writer *w)
{
    if (q->class_ != CLASS_IN && q->class_ != CLASS_ANY)
        return false;
    return by_address(n, msg, q, w) || by_name(n, msg, q, w);
}
