/* Names of NBD exports: nbd:unix:PATH, nbd:HOST:PORT (both with :exportname=NAME), nbd://, nbd+tcp:// and nbd+unix://. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/nbd.h"

static const char *after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool nbd_claims(const char *path)
{
    return after(path, "nbd:") || after(path, "nbd+unix:") || after(path, "nbd+tcp:") || after(path, "nbds:") ||
           after(path, "nbds+unix:") || after(path, "nbds+tcp:");
}

void nbd_address_free(struct nbd_address *a)
{
    free(a->socket);
    free(a->host);
    free(a->port);
    free(a->export);
    *a = (struct nbd_address){0};
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* n bytes with %XX taken apart; NULL: not well-formed. */
static char *decode(const char *s, size_t n)
{
    char *out = malloc(n + 1);
    size_t k = 0;

    for (size_t i = 0; out && i < n; i++) {
        if (s[i] != '%') {
            out[k++] = s[i];
            continue;
        }
        if (n - i < 3 || hex_digit(s[i + 1]) < 0 || hex_digit(s[i + 2]) < 0 || (s[i + 1] == '0' && s[i + 2] == '0')) {
            free(out);
            return NULL;
        }
        out[k++] = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
        i += 2;
    }
    if (out)
        out[k] = '\0';
    return out;
}

/* HOST, HOST:PORT or [HOST]:PORT */
static bool parse_host(const char *s, size_t n, struct nbd_address *a)
{
    const char *end = s + n, *host = s, *port = NULL;
    size_t len = n;

    if (n && *s == '[') {
        const char *close = memchr(s, ']', n);

        if (!close)
            return false;
        host = s + 1;
        len = (size_t)(close - host);
        port = close + 1 < end ? close + 1 : NULL;
    } else if ((port = memchr(s, ':', n))) {
        len = (size_t)(port - s);
    }
    if (port && *port++ != ':')
        return false;
    a->host = len ? strndup(host, len) : strdup("localhost");
    if (port) {
        a->port = strndup(port, (size_t)(end - port));
        return a->host && a->port && *a->port && strspn(a->port, "0123456789") == strlen(a->port);
    }
    a->port = malloc(8);
    if (a->port)
        snprintf(a->port, 8, "%d", NBD_DEFAULT_PORT);
    return a->host && a->port;
}

/* //[host[:port]][/export][?socket=PATH] */
static bool parse_uri(const char *s, bool unix_socket, struct nbd_address *a)
{
    size_t host = strcspn(s, "/?"), name = 0;
    const char *query, *export = s + host;

    if (*export == '/')
        name = strcspn(++export, "?");
    query = export + name;
    a->export = decode(export, name);
    if (!a->export)
        return false;
    if (!unix_socket)
        return !*query && parse_host(s, host, a);
    query = host ? NULL : after(query, "?socket=");
    a->socket = query && *query ? decode(query, strcspn(query, "&")) : NULL;
    return a->socket;
}

/* unix:PATH or HOST:PORT, then perhaps :exportname=NAME */
static bool parse_old(const char *s, struct nbd_address *a)
{
    static const char key[] = ":exportname=";
    const char *name = strstr(s, key), *path = after(s, "unix:");
    size_t n = name ? (size_t)(name - s) : strlen(s);

    a->export = strdup(name ? name + strlen(key) : "");
    if (!a->export)
        return false;
    if (!path)
        return memchr(s, ':', n) && parse_host(s, n, a);
    a->socket = strndup(path, n - 5);
    return a->socket && *a->socket;
}

bool nbd_parse(const char *path, struct nbd_address *a, struct err *e)
{
    const char *s;
    bool ok;

    *a = (struct nbd_address){0};
    if (!strncmp(path, "nbds", 4))
        return err_set(e, "disk image '%s': NBD over TLS is not supported", path);
    if ((s = after(path, "nbd+unix://")))
        ok = parse_uri(s, true, a);
    else if ((s = after(path, "nbd://")) || (s = after(path, "nbd+tcp://")))
        ok = parse_uri(s, false, a);
    else
        ok = (s = after(path, "nbd:")) && parse_old(s, a);
    if (ok && strlen(a->export) > NBD_NAME_MAX)
        ok = false;
    if (!ok) {
        nbd_address_free(a);
        return err_set(e,
                       "disk image '%s': not understood; NBD exports are named nbd:unix:PATH[:exportname=NAME], "
                       "nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH",
                       path);
    }
    return true;
}
