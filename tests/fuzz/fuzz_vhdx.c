/* Fuzz target: VHDX images, with their log. See format_fuzz.h for the input. */
#include "base/bits.h"
#include "images/vhdx.h"
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal_sum(uint8_t *p, size_t n) { st32(p + 4, vhdx_crc(p, n, 4)); }

/* Headers, the first region table, and entries at the beginning of the log. */
static void seal(uint8_t *file, size_t size)
{
    uint8_t *log = file + VHDX_MB;

    (void)size;
    seal_sum(file + VHDX_HEADER_1, VHDX_HEADER);
    seal_sum(file + VHDX_HEADER_2, VHDX_HEADER);
    seal_sum(file + VHDX_REGIONS_1, VHDX_TABLE);
    for (unsigned i = 0; i < 8; i++) {
        uint32_t len = ld32(log + 8);

        if (len < 4096 || len > 128 << 10 || len % 4096)
            break;
        seal_sum(log, len);
        log += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"block_size=1M", "block_state_zero=off,block_size=1M",
                                          "subformat=fixed,block_size=1M", NULL};
    static const struct format_fuzz f = {"vhdx", options, 9 << 20, 4 << 20, seal};

    return format_fuzz(&f, data, size);
}
