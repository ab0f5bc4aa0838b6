/*
 * The decoder against binutils over a range of words: decode_all [FIRST [COUNT [STEP]]]; without arguments all 2^32, an
 * hour of objdump. `decode_all 0 0x100000000 9` takes a sample of 10^8 32-bit forms in some minutes. Prints
 * differences; ends with status 1 when there is one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "tests/insn/refdis.h"

enum { BATCH = 4 << 20 };

static size_t collect(uint32_t *w, uint64_t *at, uint64_t end, uint64_t step)
{
    size_t n = 0;

    for (; *at < end && n < BATCH; *at += step)
        if ((*at & 3) == 3 && (*at & 0x1f) != 0x1f) /* 32-bit forms; 0x1f: longer ones */
            w[n++] = (uint32_t)*at;
    return n;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : UINT64_C(1) << 32;
    uint64_t step = argc > 3 ? strtoull(argv[3], NULL, 0) : 1, at = first;
    uint32_t *w = calloc(BATCH, sizeof *w);
    struct refdis_result r = {0};
    struct isa_config c;
    struct err e;

    if (!w || !step || !isa_config_parse(&c, "max", &e))
        return 1;
    while (at < first + count) {
        size_t n = collect(w, &at, first + count, step);

        if (n && !refdis_compare(&c, w, n, 4, &r)) {
            fprintf(stderr, "decode_all: binutils for riscv64 did not run\n");
            return 1;
        }
        fprintf(stderr, "%08llx: %zu words, %zu different\n", (unsigned long long)at, r.words, r.different);
    }
    for (size_t i = 0; i < r.different && i < ARRAY_LEN(r.first); i++)
        printf("%s\n", r.first[i]);
    printf("%zu words, %zu legal, %zu differences explained, %zu not\n", r.words, r.legal, r.explained, r.different);
    isa_config_fini(&c);
    free(w);
    return r.different != 0;
}
