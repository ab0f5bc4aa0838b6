/*
 * A guest behind an adapter's MAC. Frames are written out here by the RFCs: 826 (ARP), 791, 768, 2131 (DHCP), 8200,
 * 4861.
 */
#include "netstack/mac_nat.h"

#include "netstack/packet.h"
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"

#define ADAPTER 0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0x01
#define GUEST 0x52, 0x54, 0x00, 0x12, 0x34, 0x56
#define OTHER 0x02, 0xbb, 0xbb, 0xbb, 0xbb, 0x02
#define ALL 0xff, 0xff, 0xff, 0xff, 0xff, 0xff

static const uint8_t adapter[] = {ADAPTER}, guest[] = {GUEST}, other[] = {OTHER};
static struct mac_nat m;

static int setup(void **state)
{
    (void)state;
    m = (struct mac_nat){.mac = {ADAPTER}};
    return 0;
}

/* request: 1, reply: 2 */
static size_t arp(uint8_t *f, const uint8_t *dst, const uint8_t *src, uint8_t op, const uint8_t *spa,
                  const uint8_t *tha, const uint8_t *tpa)
{
    static const uint8_t head[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0};

    memcpy(f, dst, 6);
    memcpy(f + 6, src, 6);
    memcpy(f + 12, head, sizeof head);
    f[21] = op;
    memcpy(f + 22, src, 6);
    memcpy(f + 28, spa, 4);
    memcpy(f + 32, tha, 6);
    memcpy(f + 38, tpa, 4);
    return 42;
}

/* IPv4 with UDP; the checksums are right. */
static size_t udp(uint8_t *f, const uint8_t *dst, const uint8_t *src, const uint8_t *from, const uint8_t *to,
                  uint16_t sport, uint16_t dport, size_t n)
{
    uint8_t *ip = f + 14, *u = ip + 20;

    memcpy(f, dst, 6);
    memcpy(f + 6, src, 6);
    st16be(f + 12, 0x0800);
    memset(ip, 0, 28);
    ip[0] = 0x45;
    st16be(ip + 2, (uint16_t)(28 + n));
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    st16be(ip + 10, csum_fold(csum_add(0, ip, 20)));
    st16be(u, sport);
    st16be(u + 2, dport);
    st16be(u + 4, (uint16_t)(8 + n));
    st16be(u + 6, csum_fold(csum_add(csum_add(17 + 8 + (uint32_t)n, ip + 12, 8), u, 8 + n)));
    return 42 + n;
}

static bool udp_right(const uint8_t *f, size_t len)
{
    return csum_fold(csum_add(csum_add(17 + (uint32_t)len - 34, f + 26, 8), f + 34, len - 34)) == 0;
}

static const uint8_t us[] = {10, 9, 0, 50}, them[] = {10, 9, 0, 1}, none[6] = {0}, all[] = {ALL};

static void arp_goes_out_with_the_adapters_address_and_comes_back_to_the_guest(void **state)
{
    uint8_t f[64];

    (void)state;
    mac_nat_out(&m, f, arp(f, all, guest, 1, us, none, them));
    CHECK(!memcmp(f + 6, adapter, 6) && !memcmp(f + 22, adapter, 6));
    CHECK(!memcmp(f, all, 6) && !memcmp(f + 28, us, 4) && !memcmp(f + 38, them, 4));
    CHECK(mac_nat_in(&m, f, arp(f, adapter, other, 2, them, adapter, us)));
    CHECK(!memcmp(f, guest, 6) && !memcmp(f + 32, guest, 6));
    CHECK(!memcmp(f + 6, other, 6) && !memcmp(f + 22, other, 6));
    /* an answer to the host's own question is not the guest's */
    CHECK(!mac_nat_in(&m, f, arp(f, adapter, other, 2, them, adapter, (const uint8_t[]){10, 9, 0, 7})));
    /* a question about an address that is to be taken (RFC 5227) */
    mac_nat_out(&m, f, arp(f, all, guest, 1, none, none, (const uint8_t[]){10, 9, 0, 8}));
    CHECK(mac_nat_in(&m, f, arp(f, adapter, other, 2, (const uint8_t[]){10, 9, 0, 8}, adapter, none)));
    CHECK(!memcmp(f, guest, 6) && !memcmp(f + 32, guest, 6));
    CHECK(mac_nat_in(&m, f, arp(f, all, other, 1, them, none, us))); /* who has it? is for all */
    CHECK(!memcmp(f, all, 6));
}

static void packets_come_back_to_the_guest_that_has_the_address(void **state)
{
    static const uint8_t second[] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x57}, theirs[] = {10, 9, 0, 51};
    uint8_t f[64] = {0};
    size_t n;

    (void)state;
    CHECK(!mac_nat_in(&m, f, udp(f, adapter, other, them, us, 7, 9, 4))); /* nobody has it */
    mac_nat_out(&m, f, n = udp(f, other, guest, us, them, 9, 7, 4));
    CHECK(!memcmp(f + 6, adapter, 6) && !memcmp(f, other, 6) && udp_right(f, n));
    mac_nat_out(&m, f, udp(f, other, second, theirs, them, 9, 7, 4));
    CHECK(mac_nat_in(&m, f, n = udp(f, adapter, other, them, us, 7, 9, 4)));
    CHECK(!memcmp(f, guest, 6) && udp_right(f, n));
    CHECK(mac_nat_in(&m, f, udp(f, adapter, other, them, theirs, 7, 9, 4)));
    CHECK(!memcmp(f, second, 6));
    CHECK(!mac_nat_in(&m, f, udp(f, other, adapter, them, us, 7, 9, 4))); /* not for the adapter's MAC */
}

static void a_dhcp_client_is_answered_by_broadcast(void **state)
{
    uint8_t f[400] = {0};
    size_t n;

    (void)state;
    f[42] = 1; /* BOOTREQUEST */
    memcpy(f + 42 + 28, guest, 6);
    mac_nat_out(&m, f, n = udp(f, all, guest, none, all, 68, 67, 240));
    CHECK_EQ(ld16be(f + 42 + 10), 0x8000);
    CHECK(udp_right(f, n));
    CHECK(!memcmp(f + 42 + 28, guest, 6)); /* who it is stays */
    CHECK_EQ(m.count, 0);                  /* 0.0.0.0 is nobody's */
    mac_nat_out(&m, f, n);                 /* again: nothing more to do */
    CHECK_EQ(ld16be(f + 42 + 10), 0x8000);
    CHECK(udp_right(f, n));
    f[42 + 10] = 0;
    n = udp(f, all, guest, none, all, 68, 67, 240);
    st16be(f + 40, 0); /* without a sum */
    mac_nat_out(&m, f, n);
    CHECK_EQ(ld16be(f + 42 + 10), 0x8000);
    CHECK_EQ(ld16be(f + 40), 0);
    /* a server that does not: by the client's hardware address */
    CHECK(mac_nat_in(&m, f, udp(f, adapter, other, them, us, 67, 68, 240)));
    CHECK(!memcmp(f, guest, 6));
    memcpy(f + 42 + 28, adapter, 6); /* the host's own client */
    CHECK(!mac_nat_in(&m, f, udp(f, adapter, other, them, us, 67, 68, 240)));
}

/* A neighbour solicitation or advertisement with its option; the checksum is right. */
static size_t nd(uint8_t *f, const uint8_t *dst, const uint8_t *src, uint8_t type, const uint8_t *from,
                 const uint8_t *to, uint8_t option)
{
    uint8_t *ip = f + 14, *i = ip + 40;

    memset(f, 0, 86);
    memcpy(f, dst, 6);
    memcpy(f + 6, src, 6);
    st16be(f + 12, 0x86dd);
    ip[0] = 0x60;
    st16be(ip + 4, 32);
    ip[6] = 58;
    ip[7] = 255;
    memcpy(ip + 8, from, 16);
    memcpy(ip + 24, to, 16);
    i[0] = type;
    memcpy(i + 8, to, 16);
    i[24] = option;
    i[25] = 1;
    memcpy(i + 26, src, 6);
    st16be(i + 2, csum_fold(csum_add(csum_add(58 + 32, ip + 8, 32), i, 32)));
    return 86;
}

static bool nd_right(const uint8_t *f) { return csum_fold(csum_add(csum_add(58 + 32, f + 22, 32), f + 54, 32)) == 0; }

static void neighbour_discovery_tells_the_adapters_address(void **state)
{
    static const uint8_t mine[16] = {0xfd, 9, [15] = 2}, theirs[16] = {0xfd, 9, [15] = 1},
                         group[] = {0x33, 0x33, 0xff, 0, 0, 1};
    uint8_t f[100];

    (void)state;
    mac_nat_out(&m, f, nd(f, group, guest, 135, mine, theirs, 1));
    CHECK(!memcmp(f + 6, adapter, 6) && !memcmp(f + 80, adapter, 6) && nd_right(f));
    CHECK(mac_nat_in(&m, f, nd(f, adapter, other, 136, theirs, mine, 2)));
    CHECK(!memcmp(f, guest, 6) && !memcmp(f + 80, other, 6) && nd_right(f));
    mac_nat_out(&m, f, nd(f, other, guest, 136, mine, theirs, 2));
    CHECK(!memcmp(f + 80, adapter, 6) && nd_right(f));
    CHECK(!mac_nat_in(&m, f, nd(f, adapter, other, 136, theirs, theirs, 2)));
    mac_nat_out(&m, f, nd(f, group, guest, 135, mine, theirs, 1) - 1); /* an option that is cut is left alone */
    CHECK(!memcmp(f + 80, guest, 6));
    mac_nat_out(&m, f, nd(f, group, guest, 135, (const uint8_t[16]){0}, theirs, 1)); /* :: is nobody's */
    CHECK_EQ(m.count, 1);
}

static void the_address_that_was_quiet_longest_is_forgotten(void **state)
{
    uint8_t f[64] = {0};

    (void)state;
    for (unsigned i = 0; i < MAC_NAT_MAX; i++)
        mac_nat_out(&m, f, udp(f, other, guest, (const uint8_t[]){10, 9, 0, (uint8_t)(1 + i)}, them, 9, 7, 4));
    CHECK_EQ(m.count, MAC_NAT_MAX);
    CHECK(mac_nat_in(&m, f, udp(f, adapter, other, them, (const uint8_t[]){10, 9, 0, 1}, 7, 9, 4))); /* in use */
    mac_nat_out(&m, f, udp(f, other, guest, (const uint8_t[]){10, 9, 0, 200}, them, 9, 7, 4));
    CHECK_EQ(m.count, MAC_NAT_MAX);
    CHECK(mac_nat_in(&m, f, udp(f, adapter, other, them, (const uint8_t[]){10, 9, 0, 1}, 7, 9, 4)));
    CHECK(!mac_nat_in(&m, f, udp(f, adapter, other, them, (const uint8_t[]){10, 9, 0, 2}, 7, 9, 4)));
    CHECK(mac_nat_in(&m, f, udp(f, adapter, other, them, (const uint8_t[]){10, 9, 0, 200}, 7, 9, 4)));
}

/* Cut anywhere, nothing behind the end is read (the sanitizers look) and what is not whole is not the guest's. */
static void short_frames_are_nobodys(void **state)
{
    uint8_t f[400] = {0};
    size_t n = udp(f, adapter, other, them, us, 67, 68, 240);

    (void)state;
    for (size_t i = 0; i < 34; i++) {
        uint8_t *cut = malloc(i ? i : 1);

        memcpy(cut, f, i);
        mac_nat_out(&m, cut, i);
        memcpy(cut, f, i);
        CHECK(!mac_nat_in(&m, cut, i));
        free(cut);
    }
    for (size_t i = 34; i <= n; i++) {
        uint8_t *cut = malloc(i);

        memcpy(cut, f, i);
        mac_nat_in(&m, cut, i);
        mac_nat_out(&m, cut, i);
        free(cut);
    }
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(arp_goes_out_with_the_adapters_address_and_comes_back_to_the_guest),
        T(packets_come_back_to_the_guest_that_has_the_address),
        T(a_dhcp_client_is_answered_by_broadcast),
        T(neighbour_discovery_tells_the_adapters_address),
        T(the_address_that_was_quiet_longest_is_forgotten),
        T(short_frames_are_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
