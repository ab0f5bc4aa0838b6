/* Fuzz target: any bytes as a gzip, xz or zstd file. The first byte is a sector to read first, the rest is the file. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"gzip", "xz", "zstd"};

    if (!size)
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        struct image_options o = {.format = formats[i], .read_only = true};
        struct err e = {""};
        struct image *img;
        uint8_t request[6] = {5, data[0], 0, 0, 255, 8};

        o.file = mem_image(data + 1, size - 1, size - 1, true);
        img = image_open("/nowhere/x", &o, &e);
        if (!img) {
            if (!e.msg[0] || strchr(e.msg, '\n'))
                abort();
            continue;
        }
        format_requests(img, request, 6);
        request[1] = 0;
        format_requests(img, request, 6);
        request[1] = 200;
        format_requests(img, request, 6);
        image_close(img);
    }
    return 0;
}
