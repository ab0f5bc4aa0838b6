/*
 * guestfwd: addresses of the virtual network behind which something of the host is: a TCP port, a unix socket, or a
 * program that is run for each connection.
 *
 * The user named the target, so the rules about loopback and restrict_ do not apply to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netstack/nat_guestfwd.h"

extern char **environ;

enum { TARGET_TEXT = 256 };

struct guestfwd {
    struct net_addr addr;
    uint16_t port;
    char target[TARGET_TEXT]; /* as given */
    const char *command;      /* in target; NULL: `to` */
    struct sockaddr_storage to;
    socklen_t to_len;
    struct guestfwd *next;
};

static struct guestfwd *find(const struct nat_forwards *t, const struct net_addr *addr, uint16_t port)
{
    struct guestfwd *g = t->guestfwds;

    while (g && (g->port != port || !net_addr_equal(&g->addr, addr)))
        g = g->next;
    return g;
}

bool nat_guestfwd_addr(const struct nat *n, const struct net_addr *addr)
{
    for (const struct guestfwd *g = n->forwards->guestfwds; g; g = g->next)
        if (net_addr_equal(&g->addr, addr))
            return true;
    return false;
}

/* --- targets --------------------------------------------------------------------------------------------------- */

/* "HOST:PORT"; an IPv6 address in brackets. Names are looked up now, once. */
static bool parse_tcp(struct guestfwd *g, const char *text, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[TARGET_TEXT];
    const char *colon = strrchr(text, ':'), *name = host;
    size_t len = colon ? (size_t)(colon - text) : 0;
    int error;

    if (!len || len >= sizeof host || !colon[1])
        return err_set(e, "tcp:%s: not HOST:PORT", text);
    memcpy(host, text, len);
    host[len] = 0;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        name = host + 1;
    }
    error = getaddrinfo(name, colon + 1, &hints, &found);
    if (error)
        return err_set(e, "tcp:%s: %s", text, gai_strerror(error));
    memcpy(&g->to, found->ai_addr, found->ai_addrlen);
    g->to_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool parse_unix(struct guestfwd *g, const char *path, struct err *e)
{
    struct sockaddr_un *to = (void *)&g->to;

    if (!*path || strlen(path) >= sizeof to->sun_path)
        return err_set(e, "unix:%s: an empty or too long path", path);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, strlen(path));
    g->to_len = sizeof *to;
    return true;
}

static bool parse(struct guestfwd *g, const char *target, struct err *e)
{
    if (strlen(target) >= sizeof g->target)
        return err_set(e, "%.32s...: longer than %d characters", target, TARGET_TEXT - 1);
    memcpy(g->target, target, strlen(target) + 1);
    if (!strncmp(target, "tcp:", 4))
        return parse_tcp(g, target + 4, e);
    if (!strncmp(target, "unix:", 5))
        return parse_unix(g, target + 5, e);
    if (strncmp(target, "cmd:", 4) || !target[4])
        return err_set(e, "%s: not tcp:HOST:PORT, unix:PATH or cmd:COMMAND", target);
    g->command = g->target + 4;
    return true;
}

static bool right(struct nat *n, const struct net_addr *addr, uint16_t port, struct err *e)
{
    if (!port)
        return err_set(e, "the port is 0");
    if (!nat_in_net(n, addr))
        return err_set(e, "the address is not in the virtual network");
    if (nat_is_gateway(n, addr) || nat_is_dns(n, addr))
        return err_set(e, "the address is the gateway's or the DNS server's");
    if (find(n->forwards, addr, port))
        return err_set(e, "there is one already");
    if (n->forwards->guestfwd_count >= NAT_FORWARDS_MAX)
        return err_set(e, "there are too many");
    return true;
}

bool nat_guestfwd_add(struct nat *n, struct net_addr addr, uint16_t port, const char *target, struct err *e)
{
    struct guestfwd *g = calloc(1, sizeof *g);
    char text[NET_ADDR_TEXT];

    if (!g)
        return err_set(e, "out of memory");
    g->addr = addr;
    g->port = port;
    if (!right(n, &addr, port, e) || !parse(g, target, e)) {
        free(g);
        return err_prefix(e, "guestfwd %s:%u", net_addr_text(&addr, text), port);
    }
    g->next = n->forwards->guestfwds;
    n->forwards->guestfwds = g;
    n->forwards->guestfwd_count++;
    return true;
}

/* --- connections ----------------------------------------------------------------------------------------------- */

/*
 * Run the command with fd as standard input and output. A shell between it and us starts it and ends, so that it is not
 * our child and leaves nothing to wait for. It gets no other descriptor of ours (they are close-on-exec).
 */
static int spawn(const char *command, int fd)
{
    char *argv[] = {"sh", "-c", "sh -c \"$1\" <&3 >&3 3>&- &", "sh", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, pipe;
    pid_t pid;
    int error, status;

    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attr))
        return ENOMEM;
    posix_spawnattr_setsigmask(&attr, &none); /* what our threads block or ignore is not for programs */
    posix_spawnattr_setsigdefault(&attr, &pipe);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn_file_actions_adddup2(&actions, fd, 3);
    if (!error)
        error = posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return error;
}

bool nat_guestfwd_add_all(struct nat *n, const struct nat_guestfwd *list, unsigned count, struct err *e)
{
    for (unsigned i = 0; i < count; i++)
        if (!nat_guestfwd_add(n, list[i].addr, list[i].port, list[i].target, e))
            return err_prefix(e, "guestfwd=%s", list[i].text);
    return true;
}

/* The program's end of the pair is blocking, as programs expect it. */
static int open_command(struct nat *n, const struct guestfwd *g)
{
    int pair[2], error, fd;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    fd = nat_adopt(n, pair[0]);
    error = fd < 0 ? EMFILE : spawn(g->command, pair[1]);
    if (!error && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        error = errno;
    close(pair[1]);
    if (!error)
        return fd;
    nat_close(n, fd);
    errno = error;
    return -1;
}

int nat_guestfwd_open(struct nat *n, const struct net_addr *addr, uint16_t port)
{
    const struct guestfwd *g = find(n->forwards, addr, port);
    int fd, error;

    if (port == 53 && nat_is_dns(n, addr))
        return nat_dns_open(n->dns);
    if (!g) {
        errno = ENOENT;
        return -1;
    }
    if (g->command)
        return open_command(n, g);
    fd = nat_socket(n, g->to.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (!connect(fd, (const struct sockaddr *)&g->to, g->to_len) || errno == EINPROGRESS)
        return fd;
    error = errno == ENOENT ? ECONNREFUSED : errno; /* a path that is not there is not "no such guestfwd" */
    nat_close(n, fd);
    errno = error;
    return -1;
}

void nat_guestfwd_free(struct nat_forwards *t)
{
    while (t->guestfwds) {
        struct guestfwd *g = t->guestfwds;

        t->guestfwds = g->next;
        free(g);
    }
}

void nat_guestfwd_info(const struct nat_forwards *t, FILE *out)
{
    char text[NET_ADDR_TEXT];

    for (const struct guestfwd *g = t->guestfwds; g; g = g->next)
        fprintf(out, "  guestfwd %s:%u to %s\n", net_addr_text(&g->addr, text), g->port, g->target);
}
