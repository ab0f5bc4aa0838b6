/*
 * Partition tables. MBR: four entries in sector 0, one of which may be an extended partition: a chain of sectors, each
 * with one logical partition (offset from that sector) and a link (offset from the start of the extended one). GPT:
 * a header in sector 1 with a copy in the last one, both and the array of entries under CRC-32 (UEFI 2.10, 5.3).
 */
#include "images/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "images/image.h"

enum {
    MBR_SIZE = 512,
    MBR_TABLE = 446,
    MBR_ENTRY = 16,
    MBR_PRIMARY = 4,
    MBR_CHAIN = 128, /* logical partitions followed at most */
    TYPE_EXTENDED = 0x05,
    TYPE_EXTENDED_LBA = 0x0f,
    TYPE_EXTENDED_LINUX = 0x85,
    TYPE_GPT = 0xee,
    GPT_HEADER = 92,
    GPT_ENTRY_MAX = 4096,
    GPT_ARRAY_MAX = 1 << 20,
};

struct list {
    struct image *disk;
    struct partition *out;
    unsigned n, max;
    uint32_t sector;
};

struct mbr_entry {
    uint8_t status, type;
    uint32_t start, sectors;
};

static void add(struct list *l, unsigned number, uint64_t first, uint64_t sectors)
{
    uint64_t total = l->disk->size / l->sector;

    if (!sectors || first >= total || sectors > total - first || l->n == l->max)
        return;
    l->out[l->n++] = (struct partition){number, first * l->sector, sectors * l->sector};
}

static struct mbr_entry mbr_entry(const uint8_t *mbr, unsigned i)
{
    const uint8_t *p = mbr + MBR_TABLE + MBR_ENTRY * i;

    return (struct mbr_entry){p[0], p[4], ld32(p + 8), ld32(p + 12)};
}

static bool is_extended(uint8_t type)
{
    return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA || type == TYPE_EXTENDED_LINUX;
}

static bool mbr_read(struct list *l, uint64_t sector, uint8_t *mbr)
{
    if (sector >= l->disk->size / l->sector || image_pread(l->disk, mbr, sector * l->sector, MBR_SIZE))
        return false;
    for (unsigned i = 0; i < MBR_PRIMARY; i++)
        if (mbr_entry(mbr, i).status & 0x7f) /* a boot sector with no table in it */
            return false;
    return mbr[510] == 0x55 && mbr[511] == 0xaa;
}

/* Forward links only: a chain cannot loop. */
static void list_logical(struct list *l, uint64_t start, uint64_t sectors)
{
    uint8_t mbr[MBR_SIZE];
    uint64_t at = start, last = start;
    unsigned number = MBR_PRIMARY + 1;

    for (unsigned hop = 0; hop < MBR_CHAIN && mbr_read(l, at, mbr); hop++) {
        struct mbr_entry part = mbr_entry(mbr, 0), link = mbr_entry(mbr, 1);

        if (part.type && part.sectors)
            add(l, number++, at + part.start, part.sectors);
        if (!is_extended(link.type) || !link.sectors || link.start >= sectors)
            return;
        at = start + link.start;
        if (at <= last)
            return;
        last = at;
    }
}

static void list_mbr(struct list *l, const uint8_t *mbr)
{
    for (unsigned i = 0; i < MBR_PRIMARY; i++) {
        struct mbr_entry p = mbr_entry(mbr, i);

        if (p.type && p.sectors)
            add(l, i + 1, p.start, p.sectors);
    }
    for (unsigned i = 0; i < MBR_PRIMARY; i++) {
        struct mbr_entry p = mbr_entry(mbr, i);

        if (is_extended(p.type) && p.sectors) {
            list_logical(l, p.start, p.sectors);
            return; /* there is one */
        }
    }
}

static uint32_t crc(const uint8_t *p, size_t n) { return (uint32_t)crc32(0, p, (uInt)n); }

/* A header at sector lba that is whole, and its array of entries (malloc'ed), or NULL. */
static uint8_t *gpt_read(struct list *l, uint64_t lba, uint32_t *count, uint32_t *size)
{
    uint64_t sectors = l->disk->size / l->sector, array;
    uint8_t head[4096], *entries;
    uint32_t len, sum;

    if (lba >= sectors || image_pread(l->disk, head, lba * l->sector, l->sector))
        return NULL;
    len = ld32(head + 12);
    if (memcmp(head, "EFI PART", 8) || len < GPT_HEADER || len > l->sector || ld64(head + 24) != lba)
        return NULL;
    sum = ld32(head + 16);
    memset(head + 16, 0, 4);
    if (crc(head, len) != sum)
        return NULL;
    array = ld64(head + 72);
    *count = ld32(head + 80);
    *size = ld32(head + 84);
    if (*size < 128 || *size > GPT_ENTRY_MAX || *size % 8 || !*count || *count > GPT_ARRAY_MAX / *size ||
        array >= sectors || (uint64_t)*count * *size > (sectors - array) * l->sector)
        return NULL;
    entries = malloc((size_t)*count * *size);
    if (entries && !image_pread(l->disk, entries, array * l->sector, (uint64_t)*count * *size) &&
        crc(entries, (size_t)*count * *size) == ld32(head + 88))
        return entries;
    free(entries);
    return NULL;
}

static bool list_gpt(struct list *l)
{
    static const uint8_t unused[16];
    uint32_t count = 0, size = 0;
    uint8_t *entries = NULL;

    for (l->sector = 512; !entries && l->sector <= 4096; l->sector *= 8) {
        uint64_t last = l->disk->size / l->sector - 1;

        if (l->disk->size < 2 * (uint64_t)l->sector)
            break;
        entries = gpt_read(l, 1, &count, &size);
        if (!entries)
            entries = gpt_read(l, last, &count, &size); /* the copy at the end */
        if (entries)
            break;
    }
    for (uint32_t i = 0; entries && i < count; i++) {
        const uint8_t *p = entries + (size_t)i * size;
        uint64_t first = ld64(p + 32), end = ld64(p + 40);

        if (memcmp(p, unused, sizeof unused) && first <= end && end != UINT64_MAX)
            add(l, i + 1, first, end - first + 1);
    }
    free(entries);
    return entries;
}

int partition_list(struct image *disk, struct partition *out, unsigned max, struct err *e)
{
    struct list l = {.disk = disk, .out = out, .max = max, .sector = disk->logical};
    uint8_t mbr[MBR_SIZE];

    if (disk->size < MBR_SIZE || !mbr_read(&l, 0, mbr)) {
        err_set(e, "disk image '%s' has no partition table", disk->path);
        return -ENOENT;
    }
    for (unsigned i = 0; i < MBR_PRIMARY; i++)
        if (mbr_entry(mbr, i).type == TYPE_GPT) {
            if (list_gpt(&l))
                return (int)l.n;
            err_set(e, "disk image '%s': both copies of its GPT are damaged", disk->path);
            return -EINVAL;
        }
    list_mbr(&l, mbr);
    return (int)l.n;
}

bool partition_find(struct image *disk, unsigned number, struct partition *out, struct err *e)
{
    struct partition *all = calloc(PARTITIONS_MAX, sizeof *all);
    int n = all ? partition_list(disk, all, PARTITIONS_MAX, e) : 0;
    bool found = false;

    for (int i = 0; i < n && !found; i++)
        if (all[i].number == number) {
            *out = all[i];
            found = true;
        }
    if (!found && n >= 0)
        err_set(e, "disk image '%s' has no partition %u", disk->path, number);
    free(all);
    return found;
}
