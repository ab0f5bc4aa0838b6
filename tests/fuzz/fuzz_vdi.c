/* Fuzz target: VDI images. See format_fuzz.h for the input. */
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"static=off", "static=on", NULL};
    static const struct format_fuzz f = {"vdi", options, 6 << 20, 3 << 20, NULL};

    return format_fuzz(&f, data, size);
}
