/* Names in the form of DNS, and the way of a reply: see nat_svc.h. */
#include "netstack/nat_svc.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/gate.h"

/* --- names ---------------------------------------------------------------------------------------------------------- */

/* The first label of name; its length, 0: it is none. */
static size_t label_len(const char *name)
{
    size_t n = strcspn(name, ".");

    return n <= 63 ? n : 0;
}

static bool is_name(const char *name)
{
    size_t total = 1;

    if (!*name)
        return false;
    while (*name) {
        size_t n = label_len(name);

        if (!n)
            return false;
        total += n + 1;
        name += n;
        name += *name == '.';
    }
    return total <= DNS_NAME_MAX;
}

static const char *next_label(const char *name)
{
    name += label_len(name);
    return name + (*name == '.');
}

bool dns_name_write(struct writer *w, const char *name)
{
    if (!is_name(name))
        return false;
    for (; *name; name = next_label(name)) {
        writer_u8(w, (uint8_t)label_len(name));
        writer_bytes(w, name, label_len(name));
    }
    writer_u8(w, 0);
    return !w->bad;
}

/* The labels at off of what is written from start on spell name. */
static bool spells(const struct writer *w, size_t start, size_t off, const char *name)
{
    char text[DNS_NAME_MAX + 1];
    size_t len = strlen(name);

    if (!dns_name_read(w->buf + start, w->len - start, off, text))
        return false;
    if (len && name[len - 1] == '.')
        len--;
    return strlen(text) == len && !strncasecmp(text, name, len);
}

/* Where name was written before, as an offset from start; -1: nowhere. */
static int written_before(const struct writer *w, size_t start, size_t end, const char *name)
{
    size_t off = start;

    while (off < end) { /* each label of each name is the start of one */
        if (w->buf[off] >= 0xc0) {
            off += 2;
        } else if (!w->buf[off]) {
            off++;
        } else {
            if (off - start < 0x4000 && spells(w, start, off - start, name))
                return (int)(off - start);
            off += 1u + w->buf[off];
        }
    }
    return -1;
}

void dns_search_write(struct writer *w, size_t start, const char *const *names)
{
    for (; *names; names++) {
        const char *name = *names;
        size_t end = w->len;
        int at = -1;

        if (!is_name(name))
            continue;
        for (; *name && (at = written_before(w, start, end, name)) < 0; name = next_label(name)) {
            writer_u8(w, (uint8_t)label_len(name));
            writer_bytes(w, name, label_len(name));
        }
        if (at >= 0)
            writer_u16(w, (uint16_t)(0xc000 | at));
        else
            writer_u8(w, 0);
    }
}

size_t dns_name_read(const uint8_t *msg, size_t len, size_t off, char *text)
{
    size_t end = 0, n = 0, wire = 1;

    for (unsigned jumps = 0; off < len;) {
        size_t label = msg[off];

        if (!label) {
            text[n - (n > 0)] = n ? 0 : '.';
            text[n + !n] = 0;
            return end ? end : off + 1;
        }
        if (label >= 0xc0) { /* a pointer: backwards only, so that it ends */
            size_t to = off + 1 < len ? (label & 0x3f) << 8 | msg[off + 1] : len;

            if (to >= off || ++jumps > 32)
                return 0;
            end = end ? end : off + 2;
            off = to;
            continue;
        }
        wire += label + 1;
        if (label > 63 || label >= len - off || wire > DNS_NAME_MAX)
            return 0;
        for (size_t i = 1; i <= label; i++)
            text[n++] = isgraph(msg[off + i]) && msg[off + i] != '.' ? (char)msg[off + i] : '?';
        text[n++] = '.';
        off += 1 + label;
    }
    return 0;
}

const char *nat_domain(const struct nat *n) { return n->c.domainname && *n->c.domainname ? n->c.domainname : "guise"; }

static bool strip(const char *name, const char *domain, char label[64])
{
    size_t n = label_len(name), len = strlen(domain);

    if (len && domain[len - 1] == '.')
        len--;
    if (!n || name[n] != '.' || strlen(name + n + 1) != len || strncasecmp(name + n + 1, domain, len) != 0)
        return false;
    memcpy(label, name, n);
    label[n] = 0;
    return true;
}

bool nat_domain_strip(const struct nat *n, const char *name, char label[64])
{
    return strip(name, "guise", label) || strip(name, nat_domain(n), label);
}

/* --- replies -------------------------------------------------------------------------------------------------------- */

/* The MAC of a group address (RFC 1112, 6.4; RFC 2464, 7); false: dst is no group. */
static bool group_mac(const struct net_addr *dst, uint8_t mac[ETH_ALEN])
{
    const uint8_t *b = dst->b;

    if (!net_addr_is4(dst)) {
        memcpy(mac, (uint8_t[]){0x33, 0x33, b[12], b[13], b[14], b[15]}, ETH_ALEN);
        return b[0] == 0xff;
    }
    if (ld32be(b + 12) == UINT32_MAX) {
        memset(mac, 0xff, ETH_ALEN);
        return true;
    }
    memcpy(mac, (uint8_t[]){0x01, 0x00, 0x5e, b[13] & 0x7f, b[14], b[15]}, ETH_ALEN);
    return b[12] >> 4 == 14;
}

bool svc_send(struct nat *n, const struct net_addr *src, uint16_t sport, const struct net_addr *dst, uint16_t dport,
              const uint8_t *mac, const void *data, size_t len)
{
    uint8_t header[8], group[ETH_ALEN];
    struct iovec iov[2] = {{header, sizeof header}, {(void *)(uintptr_t)data, len}};
    struct nat_out o = {.src = *src,
                        .dst = *dst,
                        .proto = IP_PROTO_UDP,
                        .iov = iov,
                        .iovcnt = 2,
                        .len = sizeof header + len,
                        .csum_offset = 6,
                        .mac = mac};

    st16be(header, sport);
    st16be(header + 2, dport);
    st16be(header + 4, (uint16_t)o.len);
    st16be(header + 6, 0);
    if (group_mac(dst, group))
        return nat_ip_send_group(n, &o, mac ? mac : group);
    return nat_ip_send(n, &o);
}

uint32_t svc_random(struct nat *n)
{
    uint32_t v;

    gate_random(n->env.gate, &v, sizeof v);
    return v;
}

const char *svc_mac_text(const uint8_t mac[ETH_ALEN], char buf[18])
{
    snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return buf;
}
