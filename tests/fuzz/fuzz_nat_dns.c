/*
 * The NAT's DNS: questions of guests by UDP and TCP, and a resolver of the host's that answers whatever the input says.
 *
 * What a guest gets is an answer to what it asked: its id, the response bit.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/nat_int.h"
#include "tests/fuzz/nat_fuzz_udp.h"

enum { LONGEST = 1200, OPERATIONS = 48, PORT = 5353 };

static struct nat_fuzz z;
static int udp, tcp, served, guest; /* the resolver's sockets and connection; the guest's connection. -1: none */

static int bound(int type)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && (type == SOCK_DGRAM || !listen(fd, 8)))
        return fd;
    close(fd);
    return -1;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "dns: %s\n", what);
    abort();
}

/* A question: the input's bytes, or a name of those that mean something. */
static size_t question(struct fuzz_in *in, uint8_t *b)
{
    static const char *const names[] = {"\4host\5guise", "\3dns\5guise", "\7example\3org", "\0011\0012\0010\00210\7in-addr\4arpa",
                                        "\5alpha", "\5guise", "", "\1a\1b\5guise"};
    static const uint8_t types[] = {1, 28, 12, 255, 2, 41, 16, 0};
    uint8_t how = (uint8_t)fuzz_take(in, 1);
    const char *name = names[how & 7];
    size_t n = 12 + strlen(name) + 1;

    if (how & 0x80)
        return udp_fuzz_take(in, b, LONGEST);
    memset(b, 0, 12);
    st16be(b, (uint16_t)fuzz_take(in, 2));
    b[2] = 1;
    b[5] = 1;
    memcpy(b + 12, name, strlen(name) + 1);
    memcpy(b + n, (uint8_t[]){0, types[how >> 3 & 7], 0, 1}, 4);
    n += 4;
    if (how & 0x40) {
        b[11] = 1;
        memcpy(b + n, (uint8_t[]){0, 0, 41, 4, 0, 0, 0, 0x80, 0, 0, 0}, 11);
        n += 11;
    }
    return n;
}

static void ask_udp(struct fuzz_in *in)
{
    static const uint8_t dns4[4] = {10, 0, 2, 3}, dns6[16] = {0xfe, 0xc0, [15] = 3};
    uint8_t b[LONGEST + 32], how = (uint8_t)fuzz_take(in, 1);
    struct udp_fuzz u = {.is4 = how & 1, .guest = 16 + (how >> 1 & 3), .sport = 1000 + (how >> 3 & 3), .dport = 53,
                         .cut = how >> 6, .dst = how & 1 ? dns4 : dns6};
    size_t n = question(in, b), len;
    uint16_t sport, dport;
    const uint8_t *m;

    udp_fuzz_send(&z, &u, b, n);
    m = udp_fuzz_reply(&z, &len, &sport, &dport);
    must(!m || sport != 53 || (len >= 12 && m[2] & 0x80), "an answer that is none");
}

static void ask_tcp(struct fuzz_in *in)
{
    uint8_t b[2 + LONGEST + 32], how = (uint8_t)fuzz_take(in, 1);
    size_t n = question(in, b + 2);

    if (how & 1 && guest >= 0) {
        nat_close(z.nat, guest);
        guest = -1;
    }
    if (guest < 0)
        guest = nat_dns_open(z.nat->dns);
    st16be(b, (uint16_t)(how & 2 ? (size_t)how << 4 : n));
    if (guest >= 0)
        send(guest, b, how & 4 ? how >> 3 : 2 + n, MSG_NOSIGNAL);
    nat_fuzz_turn(&z);
    if (guest >= 0 && how & 8)
        shutdown(guest, SHUT_WR);
    while (guest >= 0 && recv(guest, b, sizeof b, 0) > 0)
        nat_fuzz_turn(&z);
}

/* What was asked, changed by the input at some places, or the input's bytes alone. */
static size_t twist(struct fuzz_in *in, uint8_t *b, size_t n)
{
    uint8_t how = (uint8_t)fuzz_take(in, 1);

    if (how & 0x80)
        return udp_fuzz_take(in, b, LONGEST);
    if (n > 3) {
        b[2] |= 0x80;
        b[3] = 0x80 | (how & 15);
    }
    if (n && how & 0x40)
        b[fuzz_take(in, 1) % n] ^= (uint8_t)fuzz_take(in, 1);
    if (how & 0x20)
        n = n < 4 ? n : n - 4 + udp_fuzz_take(in, b + n - 4, 64);
    return n;
}

static void answer_udp(struct fuzz_in *in)
{
    uint8_t b[LONGEST + 128];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = udp >= 0 ? recvfrom(udp, b, LONGEST, 0, (struct sockaddr *)&from, &len) : -1;

    if (n < 0)
        return;
    sendto(udp, b, twist(in, b, (size_t)n), 0, (struct sockaddr *)&from, len);
    nat_fuzz_turn(&z);
}

static void answer_tcp(struct fuzz_in *in)
{
    uint8_t b[2 + LONGEST + 128], how = (uint8_t)fuzz_take(in, 1);
    ssize_t n;
    size_t len;

    if (served < 0 && tcp >= 0)
        served = accept4(tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    nat_fuzz_turn(&z);
    n = served >= 0 ? recv(served, b, LONGEST, 0) : -1;
    if (n >= 2) {
        len = twist(in, b + 2, (size_t)n - 2);
        if (!(how & 1))
            st16be(b, (uint16_t)len);
        send(served, b, how & 2 ? how >> 3 : 2 + len, MSG_NOSIGNAL);
    }
    if (served >= 0 && (how & 4 || !n)) {
        close(served);
        served = -1;
    }
    nat_fuzz_turn(&z);
}

static void operation(struct fuzz_in *in)
{
    switch (fuzz_take(in, 1) % 8) {
    case 0:
    case 1: ask_udp(in); break;
    case 2:
    case 3: ask_tcp(in); break;
    case 4:
    case 5: answer_udp(in); break;
    case 6: answer_tcp(in); break;
    case 7:
        clock_advance(z.env.clock, fuzz_take(in, 1) * (NS_PER_SEC / 16));
        nat_fuzz_turn(&z);
        break;
    }
}

/* A file that names the resolver, for the life of the process. */
static const char *resolv_conf(void)
{
    static char path[64];
    int fd;

    if (*path)
        return path;
    fd = memfd_create("resolv.conf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    dprintf(fd, "nameserver [127.0.0.1]:%d\nnameserver [127.0.0.1]:%d\n", PORT, PORT + 1);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint8_t how = (uint8_t)fuzz_take(&in, 1);
    struct nat_config c = {.restrict_ = (how & 7) == 7, .domainname = how & 8 ? "lab.example" : NULL,
                           .resolv_conf = resolv_conf()};

    nat_fuzz_begin(&z, &c);
    udp = bound(SOCK_DGRAM);
    tcp = bound(SOCK_STREAM);
    served = guest = -1;
    for (unsigned i = 0; i < OPERATIONS && in.left; i++)
        operation(&in);
    if (guest >= 0)
        nat_close(z.nat, guest);
    for (unsigned i = 0; i < 3; i++)
        if ((int[]){udp, tcp, served}[i] >= 0)
            close((int[]){udp, tcp, served}[i]);
    nat_fuzz_end(&z);
    return 0;
}
