/*
 * Writing DHCP replies: see nat_dhcp4.h.
 *
 * Every byte of a reply is written or zeroed here. Options that the guest did not ask for are left out when it gave a list;
 * those that do not fit what it takes (option 57, else 576 bytes in all: RFC 2131, 2) are left out from the end of the
 * table on.
 */
#include <string.h>

#include "netstack/nat_dhcp4.h"

struct reply {
    const struct nat *n;
    const struct nat_lease *lease;
    const struct dhcp4_msg *m;
    struct writer w;
};

static void put_option(struct writer *w, uint8_t code, const void *v, size_t len)
{
    if (!len || len > 255 || w->len + 2 + len + 1 > w->cap) /* 1: the end */
        return;
    writer_u8(w, code);
    writer_u8(w, (uint8_t)len);
    writer_bytes(w, v, len);
}

static void put_u32(struct writer *w, uint8_t code, uint32_t v)
{
    uint8_t b[4];

    st32be(b, v);
    put_option(w, code, b, sizeof b);
}

static void put_text(struct writer *w, uint8_t code, const char *s)
{
    if (s)
        put_option(w, code, s, strlen(s));
}

static const uint8_t *v4(const struct net_addr *a) { return a->b + 12; }

static void put_addr(struct writer *w, uint8_t code, const struct net_addr *a)
{
    if (!net_addr_none(a))
        put_option(w, code, v4(a), 4);
}

static uint32_t mask_of(const struct nat *n) { return n->c.prefix_len ? UINT32_MAX << (32 - n->c.prefix_len) : 0; }

/* --- booting -------------------------------------------------------------------------------------------------------- */

static bool is_url(const char *s) { return s && strstr(s, "://"); }

/* The boot file for this guest: URLs for those that take them, names of files for those that speak TFTP. */
static const char *boot_file(const struct reply *r)
{
    const char *file = r->n->c.bootfile;

    if (!file || !*file)
        return NULL;
    if (is_url(file))
        return r->m->pxe && !r->m->ipxe ? NULL : file;
    return r->m->http ? NULL : file;
}

static const char *tftp_server(const struct reply *r)
{
    return r->n->c.tftp_server_name && *r->n->c.tftp_server_name ? r->n->c.tftp_server_name : NULL;
}

/* Who has the boot file: the server that the user named by address, else the gateway. */
static struct net_addr next_server(const struct reply *r)
{
    struct net_addr a;

    if (tftp_server(r) && net_addr_parse(tftp_server(r), &a) && net_addr_is4(&a))
        return a;
    return r->n->c.host;
}

/* --- options, the most wanted first --------------------------------------------------------------------------------- */

static void opt_subnet(struct reply *r) { put_u32(&r->w, OPT_SUBNET_MASK, mask_of(r->n)); }

static void opt_router(struct reply *r)
{
    if (!r->n->c.restrict_)
        put_addr(&r->w, OPT_ROUTER, &r->n->c.host);
}

static void opt_dns(struct reply *r) { put_addr(&r->w, OPT_DNS, &r->n->c.dns); }

static void opt_host_name(struct reply *r)
{
    const struct nat_static_lease *fixed = r->lease ? r->lease->fixed : NULL;

    put_text(&r->w, OPT_HOST_NAME, fixed ? fixed->hostname : r->n->c.hostname);
}

static void opt_domain(struct reply *r) { put_text(&r->w, OPT_DOMAIN, r->n->c.domainname); }

static void opt_broadcast(struct reply *r)
{
    put_u32(&r->w, OPT_BROADCAST, ld32be(v4(&r->n->c.host)) | ~mask_of(r->n));
}

static void opt_mtu(struct reply *r)
{
    uint32_t mtu = nat_mtu(r->n);
    uint8_t b[2];

    st16be(b, (uint16_t)(mtu > UINT16_MAX ? UINT16_MAX : mtu));
    if (mtu != NET_MTU_DEFAULT)
        put_option(&r->w, OPT_MTU, b, sizeof b);
}

static void opt_boot_file(struct reply *r) { put_text(&r->w, OPT_BOOT_FILE, boot_file(r)); }

static void opt_tftp_server(struct reply *r)
{
    if (boot_file(r))
        put_text(&r->w, OPT_TFTP_SERVER, tftp_server(r));
}

static void opt_ntp(struct reply *r)
{
    if (net_addr_is4(&r->n->c.ntp))
        put_addr(&r->w, OPT_NTP, &r->n->c.ntp);
}

/* The list may be longer than one option holds: the same code again (RFC 3396), not split inside what a piece can hold. */
static void opt_search(struct reply *r)
{
    uint8_t names[1024];
    struct writer w = {.buf = names, .cap = sizeof names};

    if (!r->n->c.dnssearch)
        return;
    dns_search_write(&w, 0, r->n->c.dnssearch);
    if (w.bad || r->w.len + w.len + w.len / 255 * 2 + 2 + 1 > r->w.cap)
        return;
    for (size_t off = 0; off < w.len; off += 255)
        put_option(&r->w, OPT_SEARCH, names + off, w.len - off < 255 ? w.len - off : 255);
}

static const struct {
    uint8_t code;
    void (*put)(struct reply *r);
} options[] = {
    {OPT_SUBNET_MASK, opt_subnet},
    {OPT_ROUTER, opt_router},
    {OPT_DNS, opt_dns},
    {OPT_HOST_NAME, opt_host_name},
    {OPT_DOMAIN, opt_domain},
    {OPT_BROADCAST, opt_broadcast},
    {OPT_MTU, opt_mtu},
    {OPT_BOOT_FILE, opt_boot_file},
    {OPT_TFTP_SERVER, opt_tftp_server},
    {OPT_NTP, opt_ntp},
    {OPT_SEARCH, opt_search},
};

static bool asked(const struct dhcp4_msg *m, uint8_t code) { return !m->has_list || m->list[code / 8] >> code % 8 & 1; }

/* --- the reply ------------------------------------------------------------------------------------------------------ */

static void put_boot_fields(struct reply *r, uint8_t *head)
{
    struct net_addr next = next_server(r);
    const char *file = boot_file(r), *server = tftp_server(r);

    if (!file)
        return;
    memcpy(head + BOOTP_SIADDR, v4(&next), 4);
    if (strlen(file) < BOOTP_COOKIE - BOOTP_FILE)
        memcpy(head + BOOTP_FILE, file, strlen(file));
    if (server && strlen(server) < BOOTP_FILE - BOOTP_SNAME)
        memcpy(head + BOOTP_SNAME, server, strlen(server));
}

static void put_head(struct reply *r, uint8_t type)
{
    uint8_t *head = writer_room(&r->w, BOOTP_OPTIONS);
    const struct dhcp4_msg *m = r->m;

    head[0] = 2;
    head[1] = 1;
    head[2] = ETH_ALEN;
    memcpy(head + 4, m->xid, 4);
    st16be(head + 10, m->flags);
    memcpy(head + BOOTP_CHADDR, m->mac, ETH_ALEN);
    st32be(head + BOOTP_COOKIE, BOOTP_MAGIC);
    if (type == DHCP_NAK)
        return;
    if (type == DHCP_ACK && !net_addr_none(&m->ciaddr))
        memcpy(head + BOOTP_CIADDR, v4(&m->ciaddr), 4);
    memcpy(head + BOOTP_SIADDR, v4(&r->n->c.host), 4);
    put_boot_fields(r, head);
}

/* What must be there, or follows from what the guest said, whatever it asked for. */
static void put_fixed_options(struct reply *r, uint8_t type, uint32_t seconds)
{
    const struct dhcp4_msg *m = r->m;

    if (type) {
        put_option(&r->w, OPT_TYPE, &type, 1);
        put_addr(&r->w, OPT_SERVER_ID, &r->n->c.host);
        put_option(&r->w, OPT_CLIENT_ID, m->id, m->id_len); /* RFC 6842 */
    }
    if (type == DHCP_NAK)
        put_text(&r->w, OPT_MESSAGE, "not an address for you on this network");
    if (seconds) {
        put_u32(&r->w, OPT_LEASE_TIME, seconds);
        put_u32(&r->w, OPT_T1, seconds / 2);
        put_u32(&r->w, OPT_T2, seconds / 8 * 7);
    }
    if (type == DHCP_ACK && m->type == DHCP_DISCOVER && r->w.len + 3 <= r->w.cap) {
        writer_u8(&r->w, OPT_RAPID_COMMIT);
        writer_u8(&r->w, 0);
    }
    if (type != DHCP_NAK && m->http && boot_file(r))
        put_text(&r->w, OPT_VENDOR_CLASS, "HTTPClient");
    if (type != DHCP_NAK && m->pxe)
        put_option(&r->w, OPT_UUID, m->uuid, m->uuid_len);
}

/* RFC 2131, 4.1: to the address it has; else, as it asks, to all or to its MAC with the address it is given. */
static void reply_send(struct nat *n, const struct reply *r, uint8_t type)
{
    const struct dhcp4_msg *m = r->m;
    struct net_addr to = net_addr_of4(UINT32_MAX);
    const uint8_t *mac = NULL;

    if (type != DHCP_NAK && !net_addr_none(&m->ciaddr)) {
        to = m->ciaddr;
        mac = m->mac;
    } else if (type != DHCP_NAK && !m->broadcast && r->lease) {
        to = r->lease->a4;
        mac = m->mac;
    }
    svc_send(n, &n->c.host, PORT_DHCP_SERVER, &to, PORT_DHCP_CLIENT, mac, r->w.buf, r->w.len);
}

/* Bytes a reply may have: what the guest takes, within what fits one packet. */
static size_t room(const struct nat *n, const struct dhcp4_msg *m, size_t buf)
{
    size_t ip = m->max_size > 576 ? m->max_size : 576, mtu = nat_mtu(n);

    if (ip > mtu && mtu >= 28 + BOOTP_MIN)
        ip = mtu;
    return ip - 28 < buf ? ip - 28 : buf;
}

void dhcp4_reply(struct nat_dhcp *d, const struct nat_lease *l, const struct dhcp4_msg *m, uint8_t type,
                 uint32_t seconds)
{
    uint8_t buf[1472];
    struct reply r = {.n = d->n, .lease = l, .m = m, .w = {.buf = buf, .cap = room(d->n, m, sizeof buf)}};
    bool gives = l && type != DHCP_NAK && m->type != DHCP_INFORM;

    if (!gives)
        r.lease = m->type == DHCP_INFORM ? l : NULL;
    put_head(&r, type);
    if (gives)
        memcpy(buf + BOOTP_YIADDR, v4(&l->a4), 4);
    put_fixed_options(&r, type, seconds);
    for (size_t i = 0; i < ARRAY_LEN(options) && type != DHCP_NAK; i++)
        if (asked(m, options[i].code))
            options[i].put(&r);
    writer_u8(&r.w, OPT_END);
    if (r.w.len < BOOTP_MIN)
        writer_room(&r.w, BOOTP_MIN - r.w.len);
    reply_send(d->n, &r, type);
}
