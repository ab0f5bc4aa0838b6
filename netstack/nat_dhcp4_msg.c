/* Reading DHCP messages: see nat_dhcp4.h. All from a copy, since the packet may be a guest's memory. */
#include <string.h>

#include "netstack/nat_dhcp4.h"

static struct net_addr addr_at(const uint8_t *b)
{
    uint32_t v = ld32be(b);

    return v ? net_addr_of4(v) : (struct net_addr){{0}};
}

static bool starts(const uint8_t *v, size_t len, const char *with)
{
    return len >= strlen(with) && !memcmp(v, with, strlen(with));
}

static size_t keep(uint8_t *to, size_t cap, const uint8_t *v, size_t len)
{
    if (len > cap)
        return 0;
    memcpy(to, v, len);
    return len;
}

/* The name of option 81: flags and two result codes before it, in labels when E (bit 2) is set (RFC 4702, 2.1). */
static void read_fqdn(struct dhcp4_msg *m, const uint8_t *v, size_t len)
{
    if (len < 4 || m->name_len)
        return;
    if (v[0] & 4) { /* the first label is the host's name */
        if (v[3] && v[3] <= len - 4)
            m->name_len = keep(m->name, sizeof m->name, v + 4, v[3]);
    } else {
        m->name_len = keep(m->name, sizeof m->name, v + 3, len - 3);
    }
}

/* Firmware that boots by HTTP (UEFI 2.5, 24.7.2.2) says so in its architecture too (IANA, "Processor Architecture Types"). */
static bool is_http_arch(unsigned arch) { return (arch >= 15 && arch <= 19) || arch == 26 || arch == 28 || arch == 30; }

/* len is that of the option, all of it there. */
static void read_option(struct dhcp4_msg *m, uint8_t code, const uint8_t *v, size_t len)
{
    switch (code) {
    case OPT_TYPE: m->type = len == 1 && v[0] ? v[0] : UINT8_MAX; break; /* 0 is BOOTP's, which has no such option */
    case OPT_HOST_NAME: m->name_len = keep(m->name, sizeof m->name, v, len); break;
    case OPT_FQDN: read_fqdn(m, v, len); break;
    case OPT_REQUESTED: m->requested = len == 4 ? addr_at(v) : m->requested; break;
    case OPT_SERVER_ID: m->server_id = len == 4 ? addr_at(v) : m->server_id; break;
    case OPT_LEASE_TIME: m->lease_time = len == 4 ? ld32be(v) : 0; break;
    case OPT_MAX_SIZE: m->max_size = len == 2 ? ld16be(v) : 0; break;
    case OPT_REQUEST_LIST:
        m->has_list = true;
        for (size_t i = 0; i < len; i++)
            m->list[v[i] / 8] |= (uint8_t)(1 << v[i] % 8);
        break;
    case OPT_VENDOR_CLASS:
        m->pxe |= starts(v, len, "PXEClient");
        m->http |= starts(v, len, "HTTPClient");
        break;
    case OPT_ARCH: m->http |= len >= 2 && is_http_arch(ld16be(v)); break;
    case OPT_USER_CLASS: m->ipxe |= starts(v, len, "iPXE") || (len && starts(v + 1, len - 1, "iPXE")); break;
    case OPT_RAPID_COMMIT: m->rapid_commit = true; break;
    case OPT_CLIENT_ID: m->id_len = keep(m->id, sizeof m->id, v, len); break;
    case OPT_UUID: m->uuid_len = keep(m->uuid, sizeof m->uuid, v, len); break;
    default: break;
    }
}

/* One field of options; the value of the overload option in it (RFC 2132, 9.3), 0: none. */
static uint8_t read_options(struct dhcp4_msg *m, const uint8_t *b, size_t n)
{
    struct iovec iov;
    struct packet p = packet_of_bytes(&iov, b, n);
    uint8_t overload = 0;

    while (p.len) {
        uint8_t code = packet_u8(&p), scratch[255];
        uint8_t len = code == OPT_PAD || code == OPT_END ? 0 : packet_u8(&p);
        const uint8_t *v = packet_pull(&p, len, scratch);

        if (code == OPT_END || p.bad)
            break;
        if (code == OPT_OVERLOAD && len == 1)
            overload = v[0];
        else if (code != OPT_PAD)
            read_option(m, code, v, len);
    }
    return overload;
}

bool dhcp4_read(struct dhcp4_msg *m, const struct packet *p)
{
    uint8_t b[1500];
    size_t n = packet_copy(p, 0, b, sizeof b);
    uint8_t overload;

    memset(m, 0, sizeof *m);
    if (n < BOOTP_COOKIE || b[0] != 1 || b[1] != 1 || b[2] != ETH_ALEN || ld32be(b + BOOTP_GIADDR))
        return false;
    memcpy(m->xid, b + 4, 4);
    m->secs = ld16be(b + 8);
    m->flags = ld16be(b + 10);
    m->broadcast = m->flags & 0x8000;
    m->ciaddr = addr_at(b + BOOTP_CIADDR);
    memcpy(m->mac, b + BOOTP_CHADDR, ETH_ALEN);
    if (m->mac[0] & 1)
        return false;
    m->cookie = n >= BOOTP_OPTIONS && ld32be(b + BOOTP_COOKIE) == BOOTP_MAGIC;
    if (!m->cookie)
        return true; /* BOOTP with another vendor's area, or none */
    overload = read_options(m, b + BOOTP_OPTIONS, n - BOOTP_OPTIONS);
    if (overload & 1)
        read_options(m, b + BOOTP_FILE, BOOTP_COOKIE - BOOTP_FILE);
    if (overload & 2)
        read_options(m, b + BOOTP_SNAME, BOOTP_FILE - BOOTP_SNAME);
    return true;
}
