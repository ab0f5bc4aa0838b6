/*
 * The NAT's TFTP server: requests and acknowledgements of two guests, time, and guests without room.
 *
 * Nothing of a file outside the folder may appear, whatever is asked for; blocks are no larger than was agreed on at most.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/fuzz/nat_fuzz_udp.h"

enum { LONGEST = 600, OPERATIONS = 64 };

static struct nat_fuzz z;
static char dir[64];
static uint16_t tid; /* of the server's last packet */

static const char secret[] = "what nobody may see";

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "tftp: %s\n", what);
    abort();
}

static void put_file(const char *name, const void *data, size_t n)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, data, n) == (ssize_t)n, "no file to serve");
    close(fd);
}

static void remove_files(void)
{
    static const char *const names[] = {"in/small", "in/text", "in/empty", "in/big", "in/sub/x", "in/out", "in/link",
                                        "secret",   "in/sub",  "in",       ""};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
}

/* The folder is `in`; beside it lies what is not for guests. */
static const char *folder(void)
{
    static char in[80], text[3000];
    char path[128];

    if (*in)
        return in;
    strcpy(dir, "/tmp/fuzz-tftp-XXXXXX");
    must(mkdtemp(dir), "no temporary folder");
    atexit(remove_files);
    snprintf(in, sizeof in, "%s/in", dir);
    snprintf(path, sizeof path, "%s/sub", in);
    must(!mkdir(in, 0700) && !mkdir(path, 0700), "no folder");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 7 ? 'x' : i % 2 ? '\n' : '\r';
    put_file("secret", secret, sizeof secret);
    put_file("in/small", "small", 5);
    put_file("in/text", text, sizeof text);
    put_file("in/empty", "", 0);
    put_file("in/big", text, 2048);
    put_file("in/sub/x", "x", 1);
    snprintf(path, sizeof path, "%s/out", in);
    must(!symlink("../secret", path), "no link");
    snprintf(path, sizeof path, "%s/link", in);
    must(!symlink("sub/x", path), "no link");
    return in;
}

static void check(void)
{
    size_t len;
    uint16_t sport, dport;
    const uint8_t *m = udp_fuzz_reply(&z, &len, &sport, &dport);

    if (!m || len < 4 || m[0])
        return;
    must(m[1] != 3 || !memmem(m, len, secret, strlen(secret)), "a file from outside");
    must(m[1] == 3 || m[1] == 5 || m[1] == 6, "an unknown packet");
    must(m[1] != 5 || !m[len - 1], "an error without its end");
    tid = sport;
}

static void say(uint8_t how, uint16_t dport, const uint8_t *b, size_t n)
{
    static const uint8_t gateway4[4] = {10, 0, 2, 2}, gateway6[16] = {0xfe, 0xc0, [15] = 2};
    struct udp_fuzz u = {.is4 = how & 1, .guest = 16 + (how >> 1 & 1), .sport = 2000 + (how >> 2 & 1), .dport = dport,
                         .dst = how & 1 ? gateway4 : gateway6, .cut = how >> 6};

    udp_fuzz_send(&z, &u, b, n);
    check();
}

static size_t put_text(uint8_t *b, size_t n, const char *s)
{
    memcpy(b + n, s, strlen(s) + 1);
    return n + strlen(s) + 1;
}

/* A request with names and options that mean something, numbers from the input, and its bytes at the end. */
static void request(struct fuzz_in *in)
{
    static const char *const names[] = {"small", "text", "empty", "big", "out", "link", "../secret", "sub/../../secret"};
    static const char *const options[] = {"blksize", "timeout", "tsize", "windowsize"};
    uint8_t b[LONGEST + 400] = {0, 1}, how = (uint8_t)fuzz_take(in, 1), what = (uint8_t)fuzz_take(in, 1);
    char number[8];
    size_t n = put_text(b, 2, names[what & 7]);

    n = put_text(b, n, what & 8 ? "netascii" : "octet");
    for (unsigned i = 0; i < 4; i++) {
        if (!(what >> (4 + i) & 1))
            continue;
        n = put_text(b, n, options[i]);
        snprintf(number, sizeof number, "%u", (unsigned)fuzz_take(in, 2));
        n = put_text(b, n, number);
    }
    n += udp_fuzz_take(in, b + n, 40);
    say(how, 69, b, n);
}

static void raw(struct fuzz_in *in)
{
    uint8_t b[LONGEST], how = (uint8_t)fuzz_take(in, 1);
    size_t n = udp_fuzz_take(in, b, sizeof b);

    say(how, how & 8 ? 69 : tid, b, n);
}

static void acknowledge(struct fuzz_in *in)
{
    uint8_t b[4] = {0, 4}, how = (uint8_t)fuzz_take(in, 1);

    st16be(b + 2, (uint16_t)(how & 8 ? fuzz_take(in, 2) : fuzz_take(in, 1)));
    say(how, tid, b, 4);
}

static void operation(struct fuzz_in *in)
{
    switch (fuzz_take(in, 1) % 8) {
    case 0:
    case 1: request(in); break;
    case 2: raw(in); break;
    case 3:
    case 4:
    case 5: acknowledge(in); break;
    case 6:
        clock_advance(z.env.clock, fuzz_take(in, 1) * (NS_PER_SEC / 16));
        nat_fuzz_turn(&z);
        check();
        break;
    case 7: nat_fuzz_room(&z, (unsigned)fuzz_take(in, 1) % 8); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    struct nat_config c = {.tftp = folder()};

    nat_fuzz_begin(&z, &c);
    for (unsigned i = 0; i < OPERATIONS && in.left; i++)
        operation(&in);
    nat_fuzz_end(&z);
    return 0;
}
