/* Fuzz target: VHD images. See format_fuzz.h for the input. */
#include "base/bits.h"
#include "images/vhd.h"
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The footer in front, the header behind it, the footer at the end. */
static void seal(uint8_t *file, size_t size)
{
    uint8_t *h = file + 512, *end = file + size - 512;

    st32be(file + VHD_CHECKSUM, vhd_checksum(file, VHD_SECTOR, VHD_CHECKSUM));
    st32be(h + VHD_DYN_CHECKSUM, vhd_checksum(h, VHD_DYN_SIZE, VHD_DYN_CHECKSUM));
    st32be(end + VHD_CHECKSUM, vhd_checksum(end, VHD_SECTOR, VHD_CHECKSUM));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"subformat=dynamic", "force_size=on", NULL};
    static const struct format_fuzz f = {"vpc", options, 7 << 20, 4 << 20, seal};

    return format_fuzz(&f, data, size);
}
