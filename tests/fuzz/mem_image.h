/* An image in memory, for fuzz targets: what a format takes as its `file`. It has a fixed size and never fails. */
#ifndef TESTS_FUZZ_MEM_IMAGE_H
#define TESTS_FUZZ_MEM_IMAGE_H

#include "images/image.h"

/* data is copied, the rest up to size is zero. Closed by image_close(). Aborts when out of memory. */
struct image *mem_image(const void *data, size_t len, size_t size, bool read_only);
uint8_t *mem_image_bytes(struct image *img);

#endif
