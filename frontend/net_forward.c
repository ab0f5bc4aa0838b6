/*
 * Forwards as text. QEMU's grammar is read as strictly as QEMU does (net/slirp.c), with its reasons; ours also takes what
 * a person writes: 2222-22, 2222:22, 127.0.0.1:8080-:80.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/net_words.h"
#include "frontend/options.h"

/* The part of a rule before sep: copied, and *p set behind sep. false: there is no sep. */
static bool take(const char **p, char sep, char *buf, size_t cap)
{
    const char *end;

    if (**p == '[') { /* an IPv6 address; its colons separate nothing */
        end = strchr(*p, ']');
        end = end ? strchr(end, sep) : NULL;
    } else {
        end = strchr(*p, sep);
    }
    if (!end || (size_t)(end - *p) >= cap)
        return false;
    memcpy(buf, *p, (size_t)(end - *p));
    buf[end - *p] = 0;
    *p = end + 1;
    return true;
}

/* "", an address, [an IPv6 address]. */
static bool address(char *text, struct net_addr *a)
{
    size_t len = strlen(text);

    if (!len)
        return true;
    if (text[0] == '[' && text[len - 1] == ']') {
        text[len - 1] = 0;
        return net_addr_parse(text + 1, a) && !net_addr_is4(a);
    }
    return net_addr_parse(text, a);
}

/* Names that our own grammar knows besides addresses. */
static bool host_address(char *text, bool qemu, struct net_addr *a)
{
    if (!qemu && !strcmp(text, "localhost"))
        return net_addr_parse("127.0.0.1", a);
    if (!qemu && !strcmp(text, "*"))
        return net_addr_parse("0.0.0.0", a);
    return address(text, a);
}

static bool port(const char *text, unsigned min, uint16_t *out)
{
    uint64_t n;

    if (!parse_u64(text, &n) || n < min || n > 65535)
        return false;
    *out = (uint16_t)n;
    return true;
}

/* [ADDR:]PORT, the ADDR: may be missing unless qemu. */
static const char *side(const char *text, bool qemu, bool host, struct net_addr *a, uint16_t *p)
{
    const char *rest = text;
    char addr[64];

    if (!take(&rest, ':', addr, sizeof addr)) {
        if (qemu)
            return host ? "Missing : separator" : "Missing guest address";
        addr[0] = 0;
        rest = text;
    }
    if (!host_address(addr, qemu || !host, a))
        return host ? "Bad host address" : "Bad guest address";
    if (!port(rest, host ? 0 : 1, p))
        return host ? "Bad host port" : "Bad guest port";
    return NULL;
}

/* The protocol and its colon. NULL: read; else the reason. */
static const char *protocol(const char **p, bool qemu, bool *udp, bool *path)
{
    static const struct {
        const char *word;
        bool udp, path;
    } words[] = {{"tcp:", false, false}, {"udp:", true, false}, {"unix:", false, true}, {":", false, false}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].word);

        if (strncmp(*p, words[i].word, n))
            continue;
        *p += n;
        *udp = words[i].udp;
        *path = words[i].path;
        return NULL;
    }
    *udp = *path = false;
    if (qemu)
        return strchr(*p, ':') ? "Bad protocol name" : "No : separators";
    return NULL;
}

/* HOSTPORT:GUESTPORT, both numbers. */
static bool two_ports(const char *text, struct nat_forward *f)
{
    const char *rest = text;
    char host[8];

    return !strchr(text, '-') && take(&rest, ':', host, sizeof host) && port(host, 0, &f->host_port) &&
           port(rest, 1, &f->guest_port);
}

static const char *rule(const char *text, bool qemu, bool host_only, struct nat_forward *f, char **path)
{
    bool is_path;
    const char *p = text, *why = protocol(&p, qemu, &f->udp, &is_path);
    char *host = NULL, *dash;

    if (why || (!qemu && two_ports(p, f)))
        return why;
    host = strdup(p);
    if (!host)
        return "out of memory";
    dash = is_path ? strrchr(host, '-') : strchr(host, '-');
    if (dash)
        *dash = 0;
    if (!dash && !host_only)
        why = qemu ? "Bad host port separator" : "expected HOSTPORT-GUESTPORT";
    else if (is_path)
        why = *host ? NULL : "Bad host path";
    else
        why = side(host, qemu, true, &f->host_addr, &f->host_port);
    if (!why && !host_only)
        why = side(dash + 1, qemu, false, &f->guest_addr, &f->guest_port);
    if (!why && is_path) {
        *path = host;
        return NULL;
    }
    free(host);
    return why;
}

static bool parse(const char *text, bool qemu, bool host_only, struct nat_forward *f, char **path, struct err *e)
{
    const char *why;

    *f = (struct nat_forward){0};
    *path = NULL;
    why = rule(text, qemu, host_only, f, path);
    if (!why)
        return true;
    if (qemu)
        return err_set(e, "Invalid host forwarding rule '%s' (%s)", text, why);
    return err_set(e, "forward=%s: %s; a forward is tcp:2222-22, udp:127.0.0.1:53-10.0.2.15:53 or 2222:22", text, why);
}

bool net_forward_parse(const char *text, bool qemu, struct nat_forward *f, char **path, struct err *e)
{
    return parse(text, qemu, false, f, path, e);
}

bool net_forward_parse_host(const char *text, struct nat_forward *f, char **path, struct err *e)
{
    return parse(text, false, true, f, path, e);
}

bool net_guestfwd_parse(const char *text, struct net_addr *addr, uint16_t *p, const char **target, struct err *e)
{
    const char *rest = text;
    char buf[64];

    if (!strncmp(rest, "tcp:", 4))
        rest += 4;
    else if (*rest == ':')
        rest++;
    if (!take(&rest, ':', buf, sizeof buf) || !*buf || !address(buf, addr) || !take(&rest, '-', buf, sizeof buf) ||
        !port(buf, 1, p) || !*rest)
        return err_set(e, "Invalid guest forwarding rule '%s': expected tcp:ADDR:PORT-TARGET", text);
    *target = rest;
    if (!strncmp(rest, "tcp:", 4) || !strncmp(rest, "unix:", 5) || !strncmp(rest, "cmd:", 4))
        return true;
    return err_set(e, "guestfwd=%s: the target can be tcp:HOST:PORT, unix:PATH or cmd:COMMAND", text);
}

bool net_place_parse(const char *text, char host[64], char number[8])
{
    const char *rest = text;
    uint16_t n;
    size_t len;

    host[0] = 0;
    if (!take(&rest, ':', host, 64))
        rest = text;
    if (strchr(rest, ':') || !port(rest, 0, &n) || strlen(rest) >= 8)
        return false;
    strcpy(number, rest);
    len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = 0;
    }
    return true;
}
