/* The copying engine over images in memory: what is read, what is written and how, errors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/img/copy.h"
#include "tests/unit/check.h"

enum { SIZE = 8 << 20, BLOCK = 64 << 10, BLOCKS = SIZE / BLOCK };
enum { HOLE = 0, ZERO = 'z', DATA = 'd', DATA_OF_ZEROES = '0', UNREADABLE = 'x' };

struct memory {
    struct image img;
    char kind[BLOCKS + 1];
    unsigned char *bytes;
    pthread_mutex_t lock;
    unsigned reads_of_holes, writes, zeroings, compressed, partial;
    unsigned char seen[BLOCKS]; /* times a block was written or zeroed */
    bool incompressible;
};

static int mem_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct memory *m = img->priv;
    uint64_t len = iov_total(iov, n);

    (void)flags;
    pthread_mutex_lock(&m->lock);
    for (uint64_t b = off / BLOCK; b * BLOCK < off + len; b++)
        m->reads_of_holes += m->kind[b] == HOLE || m->kind[b] == ZERO;
    pthread_mutex_unlock(&m->lock);
    for (uint64_t b = off / BLOCK; b * BLOCK < off + len; b++)
        if (m->kind[b] == UNREADABLE)
            return -EIO;
    iov_from_buf(iov, n, 0, m->bytes + off, len);
    return 0;
}

static void mark(struct memory *m, uint64_t off, uint64_t len)
{
    pthread_mutex_lock(&m->lock);
    for (uint64_t b = off / BLOCK; b * BLOCK < off + len; b++)
        m->seen[b]++;
    m->partial += off % BLOCK || len % BLOCK;
    pthread_mutex_unlock(&m->lock);
}

static int mem_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct memory *m = img->priv;

    (void)flags;
    mark(m, off, iov_total(iov, n));
    iov_to_buf(m->bytes + off, iov, n, 0, iov_total(iov, n));
    __atomic_fetch_add(&m->writes, 1, __ATOMIC_RELAXED);
    return 0;
}

static int mem_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct memory *m = img->priv;

    (void)flags;
    mark(m, off, len);
    memset(m->bytes + off, 0, len);
    __atomic_fetch_add(&m->zeroings, 1, __ATOMIC_RELAXED);
    return 0;
}

static int mem_write_compressed(struct image *img, const void *buf, uint64_t off, uint64_t len)
{
    struct memory *m = img->priv;

    if (m->incompressible)
        return -EOPNOTSUPP;
    mark(m, off, len);
    memcpy(m->bytes + off, buf, len);
    __atomic_fetch_add(&m->compressed, 1, __ATOMIC_RELAXED);
    return 0;
}

static int mem_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct memory *m = img->priv;
    char kind = m->kind[off / BLOCK];

    x->len = (off / BLOCK + 1) * BLOCK - off < len ? (off / BLOCK + 1) * BLOCK - off : len;
    x->allocated = kind != HOLE;
    x->data = kind != HOLE && kind != ZERO;
    x->zero = kind == ZERO;
    return 0;
}

static bool mem_backing_name(struct image *img, const char **path, const char **format)
{
    (void)img;
    (void)path;
    (void)format;
    return false;
}

static void mem_close(struct image *img) { (void)img; }

static const struct image_ops mem_ops = {
    .format = "memory",
    .protocol = true,
    .close = mem_close,
    .readv = mem_readv,
    .writev = mem_writev,
    .write_zeroes = mem_write_zeroes,
    .write_compressed = mem_write_compressed,
    .map = mem_map,
    .backing_name = mem_backing_name,
};

static struct memory *memory_new(const char *kinds, unsigned char fill)
{
    struct memory *m = calloc(1, sizeof *m);

    m->bytes = malloc(SIZE);
    memset(m->bytes, fill, SIZE);
    for (unsigned b = 0; kinds && b < BLOCKS; b++) {
        char k = kinds[b % strlen(kinds)];

        m->kind[b] = k == '.' ? HOLE : k;
        memset(m->bytes + (size_t)b * BLOCK, k == DATA ? (int)(b % 251 + 1) : 0, BLOCK);
    }
    m->img = (struct image){
        .ops = &mem_ops, .size = SIZE, .logical = 512, .cluster = BLOCK, .path = (char *)"memory", .priv = m};
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void memory_free(struct memory *m)
{
    pthread_mutex_destroy(&m->lock);
    free(m->bytes);
    free(m);
}

static const struct img_command command = {.name = "copy"};

static bool copy(struct copy *c, struct memory *from, struct memory *to, struct err *e)
{
    struct img_args a = {.program = "test", .command = &command, .quiet = true};
    struct image *source = &from->img;

    c->source = &source;
    c->sources = 1;
    c->target = &to->img;
    c->size = c->size ? c->size : SIZE;
    c->threads = 3;
    e->msg[0] = 0;
    return copy_run(c, &a, e);
}

static void holes_are_never_read_and_zeroes_never_written(void **state)
{
    struct memory *from = memory_new("dd.z0d..d", 0), *to = memory_new(NULL, 0);
    struct copy c = {.sparse = 4096, .target_zero = true};
    struct err e;

    (void)state;
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(from->bytes, to->bytes, SIZE));
    CHECK_EQ(from->reads_of_holes, 0);
    CHECK_EQ(to->zeroings, 0);
    CHECK_EQ(to->partial, 0);
    for (unsigned b = 0; b < BLOCKS; b++)
        CHECK_EQ(to->seen[b], from->kind[b] == DATA); /* once, and nothing else */
    memory_free(from);
    memory_free(to);
}

static void a_target_with_old_content_is_zeroed_where_the_source_is(void **state)
{
    struct memory *from = memory_new("d.z0", 0), *to = memory_new(NULL, 0xee);
    struct copy c = {.sparse = 4096};
    struct err e;

    (void)state;
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(from->bytes, to->bytes, SIZE));
    CHECK(to->zeroings);
    for (unsigned b = 0; b < BLOCKS; b++)
        CHECK_EQ(to->seen[b], 1);
    memory_free(from);
    memory_free(to);
}

static void without_sparseness_everything_is_written(void **state)
{
    struct memory *from = memory_new("d.z0", 0), *to = memory_new(NULL, 0xee);
    struct copy c = {.sparse = 0, .target_zero = true};
    struct err e;

    (void)state;
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(from->bytes, to->bytes, SIZE));
    CHECK_EQ(to->zeroings, 0);
    memory_free(from);
    memory_free(to);
}

static void compressed_writes_are_whole_clusters(void **state)
{
    struct memory *from = memory_new("ddd0", 0), *to = memory_new(NULL, 0);
    struct copy c = {.sparse = 4096, .target_zero = true, .compress = true};
    struct err e;

    (void)state;
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(from->bytes, to->bytes, SIZE));
    CHECK_EQ(to->compressed, BLOCKS / 4 * 3);
    CHECK_EQ(to->writes + to->partial, 0);
    memory_free(to);
    to = memory_new(NULL, 0);
    to->incompressible = true; /* then they are written as they are */
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(from->bytes, to->bytes, SIZE));
    CHECK_EQ(to->writes, BLOCKS / 4 * 3);
    memory_free(from);
    memory_free(to);
}

static void only_the_first_layer_goes_onto_a_backing_file(void **state)
{
    struct memory *from = memory_new("d.z.", 0), *below = memory_new("d", 0), *to = memory_new(NULL, 0xee);
    struct copy c = {.sparse = 4096, .top_only = true};
    struct err e;

    (void)state;
    from->img.backing = &below->img;
    CHECK(copy(&c, from, to, &e));
    for (unsigned b = 0; b < BLOCKS; b++)
        CHECK_EQ(to->bytes[(size_t)b * BLOCK], b % 4 == 0 ? b % 251 + 1 : b % 4 == 2 ? 0 : 0xee);
    CHECK_EQ(below->reads_of_holes, 0);
    memory_free(from);
    memory_free(below);
    memory_free(to);
}

static void an_unreadable_source_is_named_or_salvaged(void **state)
{
    struct memory *from = memory_new("dddddddddddddddddddddddddddddddddddddddddddddddddxdddddddddddddd", 0),
                  *to = memory_new(NULL, 0);
    struct copy c = {.sparse = 4096, .target_zero = true};
    struct err e;
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

    (void)state;
    CHECK(!copy(&c, from, to, &e));
    CHECK(strstr(e.msg, "reading") && strstr(e.msg, "Input/output error"));
    memory_free(to);
    to = memory_new(NULL, 0);
    c.salvage = true;
    dup2(null, STDERR_FILENO); /* a line for each sector */
    CHECK(copy(&c, from, to, &e));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
    CHECK(!memcmp(from->bytes, to->bytes, SIZE)); /* zeroes where it could not be read */
    memory_free(from);
    memory_free(to);
}

static void a_part_is_copied_and_what_is_beyond_reads_as_zeroes(void **state)
{
    struct memory *from = memory_new("d", 0), *to = memory_new(NULL, 0xee);
    struct copy c = {.sparse = 4096, .start = SIZE / 2 + 512, .size = SIZE};
    struct err e;

    (void)state;
    CHECK(copy(&c, from, to, &e));
    CHECK(!memcmp(to->bytes, from->bytes + SIZE / 2 + 512, SIZE / 2 - 512));
    CHECK(buffer_is_zero(to->bytes + SIZE / 2 - 512, SIZE / 2 + 512));
    memory_free(from);
    memory_free(to);
}

static void zero_detection_sees_every_byte(void **state)
{
    unsigned char *buf = calloc(1, 8192);

    (void)state;
    for (size_t len = 0; len <= 700; len++) {
        CHECK(buffer_is_zero(buf + 1, len));
        for (size_t i = 0; i < len; i += 1 + len / 97) {
            buf[1 + i] = 0x80;
            CHECK(!buffer_is_zero(buf + 1, len));
            buf[1 + i] = 0;
        }
    }
    for (size_t i = 0; i < 8192; i++) {
        buf[i] = 1;
        CHECK(!buffer_is_zero(buf, 8192));
        buf[i] = 0;
    }
    free(buf);
}

static void sizes_read_as_qemu_img_prints_them(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {512, "512 B"},
        {999, "999 B"},
        {1000, "0.977 KiB"},
        {196 << 10, "196 KiB"},
        {1073741824, "1 GiB"},
        {1331200, "1.27 MiB"},
        {UINT64_C(1020) << 20, "0.996 GiB"},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        img_size_text(cases[i].size, text, sizeof text);
        CHECK_STR(text, cases[i].text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_are_never_read_and_zeroes_never_written),
        cmocka_unit_test(a_target_with_old_content_is_zeroed_where_the_source_is),
        cmocka_unit_test(without_sparseness_everything_is_written),
        cmocka_unit_test(compressed_writes_are_whole_clusters),
        cmocka_unit_test(only_the_first_layer_goes_onto_a_backing_file),
        cmocka_unit_test(an_unreadable_source_is_named_or_salvaged),
        cmocka_unit_test(a_part_is_copied_and_what_is_beyond_reads_as_zeroes),
        cmocka_unit_test(zero_detection_sees_every_byte),
        cmocka_unit_test(sizes_read_as_qemu_img_prints_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
