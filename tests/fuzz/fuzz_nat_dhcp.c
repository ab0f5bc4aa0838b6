/*
 * The NAT's DHCP servers, with four guests: messages as they are, or with the fields put right that let them come further in.
 *
 * Replies have to hang together: options that end within the message. And no address may be two guests' at a time, as far
 * as what was acknowledged, released, declined and how long leases last tell.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/fuzz/nat_fuzz_udp.h"

enum { LONGEST = 1200, OPERATIONS = 48, GUESTS = 4 };

static struct nat_fuzz z;
static struct {
    uint32_t addr; /* as acknowledged; 0: none */
    uint64_t until;
} bound[GUESTS];

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "dhcp: %s\n", what);
    abort();
}

/* --- IPv4 ----------------------------------------------------------------------------------------------------------- */

static const uint8_t *option(const uint8_t *m, size_t len, uint8_t want, size_t *n)
{
    const uint8_t *found = NULL;
    size_t i = 240;

    while (i < len && m[i] != 255) {
        if (!m[i]) {
            i++;
            continue;
        }
        must(i + 1 < len && i + 2 + m[i + 1] <= len, "a reply's option beyond its end");
        if (m[i] == want) {
            found = m + i + 2;
            *n = m[i + 1];
        }
        i += 2u + m[i + 1];
    }
    must(i < len, "a reply without an end");
    return found;
}

static void acknowledged(unsigned guest, uint32_t addr, uint32_t seconds)
{
    uint64_t now = clock_now(z.env.clock);

    must(addr >> 8 == 0x0a0002 && (addr & 255) > 3 && (addr & 255) < 255, "an address that is no guest's");
    for (unsigned i = 0; i < GUESTS; i++)
        must(i == guest || bound[i].addr != addr || bound[i].until <= now, "one address for two guests");
    bound[guest].addr = addr;
    bound[guest].until = now + seconds * NS_PER_SEC;
}

static void check4(void)
{
    size_t len, n = 0;
    uint16_t sport, dport;
    const uint8_t *m = udp_fuzz_reply(&z, &len, &sport, &dport), *type, *time;

    if (!m || sport != 67)
        return;
    must(dport == 68 && len >= 300 && m[0] == 2 && m[1] == 1 && m[2] == 6, "a reply's head");
    type = option(m, len, 53, &n);
    time = option(m, len, 51, &n);
    if (m[28] == 0x52 && m[33] < GUESTS && !memcmp(m + 28, "\x52\x54\0\0\0", 5) && ((type && *type == 5 && time) || !type))
        acknowledged(m[33], ld32be(m + 16), time ? ld32be(time) : 86400);
}

/* What the guest gives back. The server may not believe it, which is no harm. */
static void forget(const uint8_t *m, size_t len, unsigned guest)
{
    for (size_t i = 240; i + 2 < len; i++)
        if (m[i] == 53 && (m[i + 2] == 4 || m[i + 2] == 7))
            bound[guest].addr = 0;
}

static void dhcp4(struct fuzz_in *in)
{
    static const uint8_t gateway[4] = {10, 0, 2, 2}, all[4] = {255, 255, 255, 255};
    uint8_t b[LONGEST] = {0}, how = (uint8_t)fuzz_take(in, 1), guest = how % GUESTS;
    struct udp_fuzz u = {.is4 = true, .guest = guest, .sport = 68, .dport = 67, .no_addr = !(how & 4), .cut = how >> 5};
    size_t len;

    u.group = u.no_addr;
    u.dst = u.no_addr ? all : gateway;
    if (how & 8) { /* only the options are the input's */
        b[0] = b[1] = 1;
        b[2] = 6;
        st16be(b + 10, (uint16_t)(how & 16 ? 0x8000 : 0));
        memcpy(b + 28, "\x52\x54\0\0\0", 5);
        b[33] = guest;
        st32be(b + 236, 0x63825363);
        if (how & 4)
            st32be(b + 12, 0x0a000200 | (uint32_t)fuzz_take(in, 1));
        len = 240 + udp_fuzz_take(in, b + 240, 300);
    } else {
        len = udp_fuzz_take(in, b, sizeof b);
    }
    forget(b, len, guest);
    udp_fuzz_send(&z, &u, b, len);
    check4();
}

/* --- IPv6 ----------------------------------------------------------------------------------------------------------- */

static void check_options6(const uint8_t *p, size_t n)
{
    while (n) {
        size_t len;

        must(n >= 4, "a reply's option without a length");
        len = ld16be(p + 2);
        must(len <= n - 4, "a reply's option beyond its end");
        if (ld16be(p) == 3 || ld16be(p) == 25) {
            must(len >= 12, "an association that is cut short");
            check_options6(p + 16, len - 12);
        }
        p += 4 + len;
        n -= 4 + len;
    }
}

static void check6(void)
{
    size_t len;
    uint16_t sport, dport;
    const uint8_t *m = udp_fuzz_reply(&z, &len, &sport, &dport);

    if (!m || sport != 547)
        return;
    must(dport == 546 && len >= 4 && (m[0] == 2 || m[0] == 7), "a reply's head");
    check_options6(m + 4, len - 4);
}

static void dhcp6(struct fuzz_in *in)
{
    static const uint8_t servers[16] = {0xff, 2, [13] = 1, 0, 2}, gateway[16] = {0xfe, 0x80, [15] = 2};
    static const uint8_t client_id[] = {0, 1, 0, 4, 0, 3, 0, 1};
    static const uint8_t server_id[] = {0, 2, 0, 10, 0, 3, 0, 1, 0x52, 0x55, 10, 0, 2, 2};
    uint8_t b[LONGEST], how = (uint8_t)fuzz_take(in, 1);
    struct udp_fuzz u = {.guest = 16 + how % GUESTS, .sport = 546, .dport = 547, .link_local = true, .cut = how >> 5};
    size_t len = 0;

    u.group = !(how & 4);
    u.dst = u.group ? servers : gateway;
    if (how & 8) {
        b[0] = (uint8_t)fuzz_take(in, 1) % 14;
        memset(b + 1, 7, 3);
        memcpy(b + 4, client_id, sizeof client_id);
        len = 4 + sizeof client_id;
        if (how & 16) {
            memcpy(b + len, server_id, sizeof server_id);
            len += sizeof server_id;
        }
    }
    len += udp_fuzz_take(in, b + len, sizeof b - len);
    udp_fuzz_send(&z, &u, b, len);
    check6();
}

static void solicit_router(struct fuzz_in *in)
{
    uint8_t b[ETH_HLEN + 40 + 64] = {0x33, 0x33, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 9, 0x86, 0xdd}, *ip = b + ETH_HLEN;
    size_t len;

    ip[0] = 0x60;
    ip[6] = 58;
    ip[7] = 255;
    st16be(ip + 8, 0xfe80);
    ip[23] = 9;
    st16be(ip + 24, 0xff02);
    ip[39] = 2;
    ip[40] = 133;
    len = 40 + 8 + udp_fuzz_take(in, ip + 48, 56);
    nat_fuzz_mend(ip, len);
    nat_fuzz_send(&z, b, ETH_HLEN + len, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const search[] = {"eng.example.com", "example.com", NULL};
    static struct nat_static_lease fixed[1] = {{.mac = {0x52, 0x54, 0, 0, 0, 3}, .hostname = "fixed"}};
    struct fuzz_in in = {data, size};
    uint8_t how = (uint8_t)fuzz_take(&in, 1);
    struct nat_config c = {.restrict_ = how & 1, .dnssearch = how & 2 ? search : NULL, .lease = fixed, .leases = how >> 2 & 1,
                           .bootfile = how & 8 ? "boot/grub.efi" : how & 16 ? "http://10.0.2.2/x" : NULL,
                           .hostname = how & 32 ? "guest" : NULL, .mtu = how & 64 ? 4000 : 0,
                           .prefix6_len = how & 128 ? 120 : 64};

    fixed[0].addr = net_addr_of4(0x0a000220);
    memset(bound, 0, sizeof bound);
    nat_fuzz_begin(&z, &c);
    for (unsigned i = 0; i < OPERATIONS && in.left; i++)
        switch (fuzz_take(&in, 1) % 8) {
        case 0:
        case 1:
        case 2:
        case 3: dhcp4(&in); break;
        case 4:
        case 5: dhcp6(&in); break;
        case 6: solicit_router(&in); break;
        case 7:
            clock_advance(z.env.clock, fuzz_take(&in, 2) * (2 * NS_PER_SEC));
            nat_fuzz_turn(&z);
            break;
        }
    nat_fuzz_end(&z);
    return 0;
}
