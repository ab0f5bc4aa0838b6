/*
 * What the fuzz targets of image formats share: a right image made by the format's own create, with bytes of it changed,
 * is opened and used.
 */
#ifndef TESTS_FUZZ_FORMAT_FUZZ_H
#define TESTS_FUZZ_FORMAT_FUZZ_H

#include "tests/fuzz/mem_image.h"

struct format_fuzz {
    const char *format;
    const char *const *options;               /* of the images to begin with, NULL-terminated */
    uint32_t bytes;                           /* of the file; it cannot grow further */
    uint32_t disk;                            /* size of the disk */
    void (*seal)(uint8_t *file, size_t size); /* make checksums right again, which no fuzzer finds; or NULL */
};

/*
 * Input: which image, flags (1 read-only, 2 seal, 4 the file ends early, 8 no_repair), the number of changes, each [offset 3
 * bytes, length, bytes], then requests of 6 bytes [kind, sector 3, sectors 2].
 */
int format_fuzz(const struct format_fuzz *f, const uint8_t *data, size_t size);
/* Requests as above on an open image. */
void format_requests(struct image *img, const uint8_t *data, size_t size);

#endif
