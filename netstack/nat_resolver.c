/*
 * The host's resolver: its list of name servers, followed as it changes.
 *
 * Looked at when a guest asks, at most once a second: a stat, and a read when the file is another one (a laptop that
 * changes networks gets a new /etc/resolv.conf, or a new file behind the link). "nameserver ADDRESS" is understood as
 * resolv.conf(5) has it, with a scope for link-local addresses, and "nameserver [ADDRESS]:PORT" as OpenBSD has it. Without a
 * file, or without servers in it, the server is the one that the host's own resolver would ask: 127.0.0.1.
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "netstack/nat_dns.h"

enum { RESOLV_LINES_MAX = 1000 };

void resolver_init(struct resolver *r, const char *path)
{
    *r = (struct resolver){.path = path ? path : "/etc/resolv.conf"};
}

static void add_server(struct resolver *r, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *ai;

    if (r->servers == DNS_SERVERS_MAX || getaddrinfo(host, port, &hints, &ai) != 0)
        return;
    memcpy(&r->server[r->servers].addr, ai->ai_addr, ai->ai_addrlen);
    r->server[r->servers++].len = ai->ai_addrlen;
    freeaddrinfo(ai);
}

static void read_line(struct resolver *r, char *line)
{
    static const char word[] = "nameserver";
    char *host = line + sizeof word - 1, *port = "53", *close;

    if (strncmp(line, word, sizeof word - 1) != 0 || !strspn(host, " \t"))
        return;
    host += strspn(host, " \t");
    host[strcspn(host, " \t\r\n")] = 0;
    close = *host == '[' ? strchr(host, ']') : NULL;
    if (close) {
        host++;
        *close = 0;
        if (close[1] == ':')
            port = close + 2;
    }
    add_server(r, host, port);
}

static void read_file(struct resolver *r, bool regular)
{
    FILE *f = regular ? fopen(r->path, "re") : NULL; /* a FIFO would hold us */
    char line[256];

    r->servers = 0;
    for (unsigned i = 0; f && i < RESOLV_LINES_MAX && fgets(line, sizeof line, f); i++)
        read_line(r, line);
    if (f)
        fclose(f);
    if (!r->servers)
        add_server(r, "127.0.0.1", "53");
    r->changes++;
}

void resolver_update(struct resolver *r, uint64_t now)
{
    struct stat st = {0};

    if (r->known && now - r->checked < NS_PER_SEC)
        return;
    r->checked = now;
    if (stat(r->path, &st) < 0 || !S_ISREG(st.st_mode))
        st = (struct stat){0}; /* as a file of its own: it may come */
    if (r->known && st.st_ino == r->inode && st.st_size == r->size && st.st_mtim.tv_sec == r->mtime.tv_sec &&
        st.st_mtim.tv_nsec == r->mtime.tv_nsec)
        return;
    r->known = true;
    r->inode = st.st_ino;
    r->size = st.st_size;
    r->mtime = st.st_mtim;
    read_file(r, S_ISREG(st.st_mode));
}
