/* Reading DHCPv6 messages: see nat_dhcp6.h. All from a copy, since the packet may be a guest's memory. */
#include <string.h>

#include "netstack/nat_dhcp6.h"

void dhcp6_duid(const struct nat *n, uint8_t duid[D6_DUID_LEN])
{
    st16be(duid, 3);     /* DUID-LL (RFC 8415, 11.4) */
    st16be(duid + 2, 1); /* Ethernet */
    memcpy(duid + 4, n->mac, ETH_ALEN);
}

/* The next option of p: its value, which is all there. NULL: the end, or p->bad. */
static const uint8_t *next_option(struct packet *p, uint16_t *code, uint16_t *len)
{
    if (!p->len)
        return NULL;
    *code = packet_u16(p);
    *len = packet_u16(p);
    return p->bad ? NULL : packet_pull(p, *len, NULL); /* in one piece: it lies in our copy */
}

static void read_ia(struct dhcp6_msg *m, uint16_t kind, const uint8_t *v, size_t len)
{
    size_t head = kind == O6_IA_TA ? 4 : 12; /* IAID; and two times */
    struct dhcp6_ia *ia = &m->ia[m->ias];
    struct iovec iov;
    struct packet p;
    uint16_t code, n;

    if (len < head || m->ias == D6_IAS)
        return;
    m->ias++;
    ia->kind = kind;
    memcpy(ia->iaid, v, 4);
    p = packet_of_bytes(&iov, v + head, len - head);
    while ((v = next_option(&p, &code, &n)))
        if (code == O6_IA_ADDR && n >= 24 && ia->addrs < D6_ADDRS)
            memcpy(ia->addr[ia->addrs++].b, v, 16);
}

static void read_list(struct dhcp6_msg *m, const uint8_t *v, size_t len)
{
    m->has_list = true;
    for (size_t i = 0; i + 2 <= len; i += 2) {
        uint16_t code = ld16be(v + i);

        m->wants_dns |= code == O6_DNS;
        m->wants_search |= code == O6_SEARCH;
        m->wants_sntp |= code == O6_SNTP;
        m->wants_ntp |= code == O6_NTP;
        m->wants_boot |= code == O6_BOOT_URL;
    }
}

/* Flags, then a name in labels, of which the first is the host's (RFC 4704, 4). */
static void read_fqdn(struct dhcp6_msg *m, const uint8_t *v, size_t len)
{
    if (len < 2 || !v[1] || v[1] > len - 2 || v[1] > sizeof m->name)
        return;
    m->name_len = v[1];
    memcpy(m->name, v + 2, v[1]);
}

static void read_option(struct dhcp6_msg *m, const struct nat *n, uint16_t code, const uint8_t *v, size_t len)
{
    uint8_t duid[D6_DUID_LEN];

    switch (code) {
    case O6_CLIENT_ID:
        m->id_len = len <= sizeof m->id ? len : 0;
        memcpy(m->id, v, m->id_len);
        break;
    case O6_SERVER_ID:
        dhcp6_duid(n, duid);
        m->has_server_id = true;
        m->for_us = len == sizeof duid && !memcmp(v, duid, sizeof duid);
        break;
    case O6_IA_NA:
    case O6_IA_TA:
    case O6_IA_PD: read_ia(m, code, v, len); break;
    case O6_REQUEST_LIST: read_list(m, v, len); break;
    case O6_RAPID_COMMIT: m->rapid_commit = true; break;
    case O6_VENDOR_CLASS:
        m->http |= len >= 16 && !memcmp(v + 6, "HTTPClient", 10);
        break; /* behind number and length */
    case O6_FQDN: read_fqdn(m, v, len); break;
    default: break;
    }
}

bool dhcp6_read(struct dhcp6_msg *m, const struct nat *n, const struct packet *p)
{
    uint8_t b[1500];
    struct iovec iov;
    struct packet in = packet_of_bytes(&iov, b, packet_copy(p, 0, b, sizeof b));
    const uint8_t *v;
    uint16_t code, len;

    memset(m, 0, sizeof *m);
    m->type = packet_u8(&in);
    v = packet_pull(&in, sizeof m->xid, NULL);
    if (!v)
        return false;
    memcpy(m->xid, v, sizeof m->xid);
    while ((v = next_option(&in, &code, &len)))
        read_option(m, n, code, v, len);
    return !in.bad;
}
