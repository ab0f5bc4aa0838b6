/*
 * Fuzz target: what an NBD server says. Input: how many bytes of requests (6 each, see format_fuzz.h), the requests, and
 * the server's bytes. After the last it hangs up.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "images/nbd.h"
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(int fd, const uint8_t *requests, size_t n)
{
    struct image img = {.ops = &image_nbd, .logical = 512, .path = (char *)(uintptr_t) "nbd:fuzz"};
    struct nbd *b = calloc(1, sizeof *b);
    struct err e = {""};

    if (!b || !(b->at.export = strdup("x")))
        abort();
    b->fd = fd;
    if (!nbd_negotiate(fd, img.path, &b->at, &b->ex, &e)) {
        if (!e.msg[0] || strchr(e.msg, '\n'))
            abort();
        close(fd);
        nbd_address_free(&b->at);
        free(b);
        return;
    }
    img.read_only = b->ex.flags & NBD_READ_ONLY;
    if (!nbd_attach(&img, b, &e))
        abort();
    b->attempts = 0;
    format_requests(&img, requests, n);
    img.ops->close(&img);
}

/* Swallow what the client says. */
static void *drain(void *arg)
{
    int fd = *(int *)arg;
    char sink[65536];

    while (recv(fd, sink, sizeof sink, 0) > 0)
        continue;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pthread_t thread;
    size_t n = size ? data[0] : 0;
    int pair[2];

    if (size < 1 + n || size > 32768)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    if (send(pair[1], data + 1 + n, size - 1 - n, MSG_NOSIGNAL) != (ssize_t)(size - 1 - n))
        abort();
    shutdown(pair[1], SHUT_WR);
    if (pthread_create(&thread, NULL, drain, &pair[1]))
        abort();
    use(pair[0], data + 1, n);
    pthread_join(thread, NULL);
    close(pair[1]);
    return 0;
}
