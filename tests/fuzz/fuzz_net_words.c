/* What a person or a tool writes of networks: --net, -netdev (keys and JSON), forwards, impairments. First byte: which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/native_net.h"
#include "frontend/net_words.h"
#include "frontend/personality_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void forward(const char *text, bool qemu)
{
    struct nat_forward f;
    struct net_addr a;
    const char *target;
    uint16_t port;
    char *path, host[64], number[8];
    struct err e;

    if (net_forward_parse(text, qemu, &f, &path, &e))
        free(path);
    if (net_forward_parse_host(text, &f, &path, &e))
        free(path);
    net_guestfwd_parse(text, &a, &port, &target, &e);
    net_place_parse(text, host, number);
}

static void words(const char *text)
{
    struct net_impair i = {0}, again = {0};
    struct net_addr net;
    char buf[160];
    unsigned bits;
    struct err e;

    if (net_impair_parse(&i, text, &e)) {
        net_impair_text(&i, buf, sizeof buf);
        if (*buf && !net_impair_parse(&again, buf, &e)) /* what is printed can be typed */
            abort();
    }
    net_range4(text, &net, &bits);
    net_range6(text, &net, &bits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct machine_config c;
    struct qemu_cli q = {.c = &c};
    char *text;
    struct err e = {{0}};
    bool none;

    if (!len || len > 4096 || !(text = calloc(1, len)))
        return 0;
    memcpy(text, data + 1, len - 1);
    config_init(&c);
    switch (data[0] % 4) {
    case 0:
        if (native_net(&c, text, &none, &e))
            config_finish(&c, &e);
        break;
    case 1:
        if (qemu_netdev(&q, text, &e))
            config_finish(&c, &e);
        break;
    case 2: forward(text, data[0] & 4); break;
    default: words(text);
    }
    config_free(&c);
    free(text);
    return 0;
}
