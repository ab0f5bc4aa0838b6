/* Fuzz target: the texts in which images are named: lists of members, their keys, option strings, sizes. */
#include <stdlib.h>
#include <string.h>

#include "images/members.h"

static void take_apart(const char *text)
{
    struct member_options opt = {.key = {"chunk", "init"}};
    struct members m;
    struct err e = {""};

    if (!members_parse(&m, &opt, text, &e)) {
        if (!e.msg[0])
            abort();
        return;
    }
    for (unsigned i = 0; i < m.n; i++) {
        struct member_place p;
        struct image_options none = {0};

        member_parse(m.spec[i], &none, &p, &e);
    }
    members_close(&m);
    member_options_free(&opt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct image_option o;
    struct err e = {""};
    uint64_t n;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    take_apart(text);
    for (const char *s = text; image_option_next(&s, &o, &e);) {
        image_parse_size(o.value, &n);
        free(image_resolve(o.key, o.value));
    }
    free(text);
    return 0;
}
