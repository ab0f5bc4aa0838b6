/* What all ports that end outside the process share. */
#include "netstack/host_int.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/un.h>

void host_init(struct net_host *h, const struct net_env *env, const struct host_kind *kind, const char *name, int fd)
{
    h->env = *env;
    h->kind = kind;
    h->fd = fd;
    snprintf(h->name, sizeof h->name, "%s", name);
    h->port = (struct net_port){.ops = &kind->ops, .arg = h, .name = h->name, .mtu = NET_MTU_MAX};
}

void host_watch(struct net_host *h)
{
    if (h->fd >= 0)
        loop_change(h->env.loop, h->fd, (h->held ? 0u : LOOP_IN) | (h->waits ? LOOP_OUT : 0u));
}

bool host_wait(struct net_host *h)
{
    h->waits = true;
    host_watch(h);
    return false;
}

void host_writable(struct net_host *h)
{
    if (!h->waits)
        return;
    h->waits = false;
    host_watch(h);
    net_port_room(&h->port);
}

void net_host_free(struct net_host *h)
{
    if (!h)
        return;
    h->kind->close(h);
    free(h);
}

struct net_port *net_host_port(struct net_host *h) { return &h->port; }

void net_host_info(const struct net_host *h, FILE *out)
{
    fprintf(out, "%s %s: ", h->kind->ops.kind, h->name);
    h->kind->info(h, out);
    fprintf(out, ", %" PRIu64 " frames received", h->received);
    if (h->lost)
        fprintf(out, ", %" PRIu64 " that the host did not take", h->lost);
    fprintf(out, "\n");
}

unsigned host_pieces(const struct net_frame *f, struct iovec *iov, uint8_t *linear)
{
    struct packet p = packet_of(f);
    size_t left;
    unsigned n = packet_iov(&p, iov, HOST_IOV, &left);

    if (!left)
        return n;
    iov[0] = (struct iovec){linear, packet_copy(&p, 0, linear, f->len)};
    return 1;
}

bool host_deliver(struct net_host *h, const void *data, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = len};

    if (!net_port_send(&h->port, &f))
        return false;
    h->received++;
    return true;
}

bool host_resolve(const char *host, const char *port, int type, bool passive, struct sockaddr_storage *to, socklen_t *len,
                  struct err *e)
{
    bool local = host && !strcmp(host, "localhost");
    struct addrinfo hints = {.ai_family = local ? AF_INET : AF_UNSPEC,
                             .ai_socktype = type,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    struct addrinfo *list;
    int r = getaddrinfo(local ? "127.0.0.1" : host, port, &hints, &list);

    if (r)
        return err_set(e, "address %s port %s: %s", host ? host : "(any)", port ? port : "(none)", gai_strerror(r));
    memcpy(to, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

bool host_unix(const char *path, struct sockaddr_storage *to, socklen_t *len, struct err *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)to;

    if (strlen(path) >= sizeof un->sun_path)
        return err_set(e, "%s: the path of a unix socket has at most %zu bytes", path, sizeof un->sun_path - 1);
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
    return true;
}
