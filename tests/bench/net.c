/*
 * The network's benchmark, both ends. In the guest: net HOST PORT SECONDS [TEST...]; on the host: net PORT serves it.
 *
 * One TCP connection a test, whose first byte says what is to be done; rows "NET name value" come from the end that
 * receives, so that what is only queued does not count. Rates are per second of the guest's clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 256 << 10,
    SMALL = 64,
    CREDIT = 32, /* datagrams sent for each that asks */
    CREDITS = 4,
};
static char buf[BLOCK];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void no_delay(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

/* --- host --- */

static int udp_port; /* the server's datagram socket */

static void sink(int fd)
{
    uint64_t n = 0;
    ssize_t k;

    while ((k = read(fd, buf, sizeof buf)) > 0)
        n += (uint64_t)k;
    if (k == 0 && write(fd, &n, sizeof n) < 0)
        perror("sink");
}

static void source(int fd)
{
    char data[sizeof buf];

    memset(data, 'x', sizeof data);
    while (write(fd, data, sizeof data) > 0)
        continue;
}

static void echo(int fd)
{
    char b[SMALL];
    ssize_t n;

    no_delay(fd);
    while ((n = read(fd, b, sizeof b)) > 0 && write(fd, b, (size_t)n) == n)
        continue;
}

/* Datagrams until the connection ends, answered by `each` of their kind; how many came is told at the end. */
static void datagrams(int fd, int each)
{
    struct sockaddr_storage from;
    int s = udp_port;
    char b[2048];
    uint64_t n = 0;
    struct pollfd p[2] = {{fd, POLLIN, 0}, {s, POLLIN, 0}};

    while (recv(s, b, sizeof b, MSG_DONTWAIT) >= 0) /* of tests before */
        continue;
    if (write(fd, "!", 1) != 1)
        return;
    while (poll(p, 2, -1) > 0 && !p[0].revents) {
        socklen_t len = sizeof from;
        ssize_t k;

        while ((k = recvfrom(s, b, sizeof b, MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0) {
            n++;
            for (int i = 0; i < each; i++)
                sendto(s, b, (size_t)k, 0, (struct sockaddr *)&from, len);
        }
    }
    if (write(fd, &n, sizeof n) < 0)
        perror("datagrams");
}

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char what = 0;

    if (read(fd, &what, 1) == 1)
        switch (what) {
        case 's': sink(fd); break;
        case 'r': source(fd); break;
        case 'p': echo(fd); break;
        case 'c': break;
        case 'u': datagrams(fd, 0); break;
        case 'd': datagrams(fd, CREDIT); break;
        case 'e': datagrams(fd, 1); break;
        }
    close(fd);
    return NULL;
}

static void serve(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int l = socket(AF_INET, SOCK_STREAM, 0);

    udp_port = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(udp_port, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(l, (void *)&a, sizeof a) || listen(l, 128) || bind(udp_port, (void *)&a, sizeof a))
        die("bind");
    for (;;) {
        int fd = accept(l, NULL, NULL);
        pthread_t t;

        if (fd >= 0 && !pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd))
            pthread_detach(t);
    }
}

/* --- guest --- */

static struct sockaddr_in host;
static double seconds;

static int dial(char what)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (void *)&host, sizeof host) || write(fd, &what, 1) != 1)
        die("connect");
    return fd;
}

static void row(const char *name, double value)
{
    printf("NET %s %.2f\n", name, value);
    fflush(stdout);
}

static void get(int fd, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t k = read(fd, (char *)to + at, n - at);

        if (k <= 0)
            die("read");
        at += (size_t)k;
    }
}

static void tcp_out(void)
{
    int fd = dial('s');
    double start = now();
    uint64_t n;

    while (now() - start < seconds)
        if (write(fd, buf, sizeof buf) < 0)
            die("write");
    shutdown(fd, SHUT_WR);
    get(fd, &n, sizeof n);
    row("tcp-out-mbit/s", (double)n * 8e-6 / (now() - start));
    close(fd);
}

static void tcp_in(void)
{
    int fd = dial('r');
    double start = 0, t = 0;
    uint64_t n = 0;

    do {
        ssize_t k = read(fd, buf, sizeof buf);

        if (k <= 0)
            die("read");
        if (!start)
            start = now();
        else
            n += (uint64_t)k;
        t = now();
    } while (t - start < seconds);
    row("tcp-in-mbit/s", (double)n * 8e-6 / (t - start));
    close(fd);
}

static void tcp_ping(void)
{
    int fd = dial('p');
    double start = now();
    unsigned n = 0;
    char c = 1;

    no_delay(fd);
    for (; now() - start < seconds; n++)
        if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
            die("ping");
    row("tcp-ping-us", 1e6 * (now() - start) / n);
    close(fd);
}

static void tcp_connect(void)
{
    double start = now();
    unsigned n = 0;

    for (; now() - start < seconds; n++) {
        int fd = dial('c');

        get(fd, buf, 0);
        while (read(fd, buf, 1) > 0)
            continue;
        close(fd);
    }
    row("tcp-connect/s", n / (now() - start));
}

static int dial_datagrams(char what, int *control)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    char c;

    *control = dial(what);
    get(*control, &c, 1);
    if (connect(s, (void *)&host, sizeof host))
        die("udp");
    return s;
}

static void udp_out(void)
{
    int control, s = dial_datagrams('u', &control);
    double start = now();
    uint64_t n;

    while (now() - start < seconds)
        for (int i = 0; i < 16; i++)
            if (send(s, buf, SMALL, 0) < 0 && errno != ENOBUFS && errno != EAGAIN)
                die("send");
    shutdown(control, SHUT_WR);
    get(control, &n, sizeof n);
    row("udp-out/s", (double)n / (now() - start));
    close(control);
    close(s);
}

/* As fast as they are taken: each 32 that came ask for 32 more, and when some are lost all is asked for anew. */
static void udp_in(void)
{
    int control, s = dial_datagrams('d', &control);
    struct timeval tv = {0, 100000};
    double start = now();
    uint64_t n = 0;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    for (int i = 0; i < CREDITS; i++)
        send(s, buf, SMALL, 0);
    while (now() - start < seconds) {
        int i = 0, credits = 1;

        while (i < CREDIT && recv(s, buf, SMALL, 0) == SMALL)
            i++;
        n += (unsigned)i;
        if (i < CREDIT)
            credits = CREDITS;
        while (credits--)
            send(s, buf, SMALL, 0);
    }
    row("udp-in/s", (double)n / (now() - start));
    close(control);
    close(s);
}

static void udp_ping(void)
{
    int control, s = dial_datagrams('e', &control);
    struct timeval tv = {1, 0};
    double start = now();
    unsigned n = 0;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    while (now() - start < seconds)
        if (send(s, buf, SMALL, 0) == SMALL && recv(s, buf, SMALL, 0) == SMALL)
            n++;
    row("udp-ping-us", 1e6 * (now() - start) / n);
    close(control);
    close(s);
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"tcp-out", tcp_out},   {"tcp-in", tcp_in}, {"tcp-ping", tcp_ping}, {"tcp-connect", tcp_connect},
    {"udp-out", udp_out}, {"udp-in", udp_in}, {"udp-ping", udp_ping},
};

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 4; i < argc; i++)
        if (!strcmp(argv[i], name))
            return 1;
    return argc < 5;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2)
        serve((uint16_t)atoi(argv[1]));
    if (argc < 4)
        return 2;
    host = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &host.sin_addr);
    seconds = atof(argv[3]);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (wanted(tests[i].name, argc, argv))
            tests[i].run();
    return 0;
}
