/*
 * Fuzz target: partition tables. Input: flags, then pieces [sector, length / 4, bytes]. With flag 1 the sums of a GPT
 * are made right, which no fuzzer finds. What is found must lie inside the disk; opening each must give that range.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "images/partition.h"
#include "tests/fuzz/mem_image.h"

enum { SIZE = 256 * 512 };

static void fix_sums(uint8_t *head, uint8_t *disk)
{
    uint64_t array = ld64(head + 72);
    uint32_t bytes = ld32(head + 80) * ld32(head + 84), len = ld32(head + 12);

    if (array < SIZE / 512 && bytes <= SIZE - array * 512)
        st32(head + 88, (uint32_t)crc32(0, disk + array * 512, bytes));
    st32(head + 16, 0);
    if (len <= 512)
        st32(head + 16, (uint32_t)crc32(0, head, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct partition p[PARTITIONS_MAX];
    struct image *disk = mem_image("", 0, SIZE, true);
    uint8_t *bytes = mem_image_bytes(disk);
    struct err e = {""};
    int n;

    for (size_t at = 1; at + 2 <= size;) {
        size_t to = data[at] * (size_t)512, len = data[at + 1] * (size_t)4;

        at += 2;
        len = len < size - at ? len : size - at;
        len = len < SIZE - to ? len : SIZE - to;
        memcpy(bytes + to, data + at, len);
        at += len;
    }
    if (size && data[0] & 1) {
        fix_sums(bytes + 512, bytes);
        fix_sums(bytes + SIZE - 512, bytes);
    }
    n = partition_list(disk, p, PARTITIONS_MAX, &e);
    if (n < 0 && !e.msg[0])
        abort();
    for (int i = 0; i < n; i++)
        if (!p[i].length || p[i].offset >= SIZE || p[i].length > SIZE - p[i].offset)
            abort();
    image_close(disk);
    return 0;
}
