/* What the tests of image formats share. */
#include "tests/unit/foreign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char foreign_dir[64];

int foreign_setup(void **state)
{
    const char *base = getenv("TMPDIR");

    (void)state;
    snprintf(foreign_dir, sizeof foreign_dir, "%s/guise-formats-XXXXXX", base && *base ? base : "/tmp");
    return !mkdtemp(foreign_dir) || chdir(foreign_dir) != 0;
}

int foreign_teardown(void **state)
{
    (void)state;
    return chdir("/") != 0 || sh("rm -rf '%s'", foreign_dir) != 0;
}

static int run(const char *cmd)
{
    int status = system(cmd);

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

__attribute__((format(printf, 3, 0))) static void command(char *buf, size_t size, const char *fmt, va_list ap,
                                                          const char *tail)
{
    int n = vsnprintf(buf + 2, size - 2, fmt, ap);

    assert_true(n > 0 && (size_t)n < size - 64);
    memcpy(buf, "{ ", 2);
    strcat(buf, "\n}");
    strcat(buf, tail);
}

int sh(const char *fmt, ...)
{
    char cmd[4096];
    va_list ap;

    va_start(ap, fmt);
    command(cmd, sizeof cmd, fmt, ap, " >/dev/null 2>&1 </dev/null");
    va_end(ap);
    return run(cmd);
}

void sh_ok(const char *fmt, ...)
{
    char cmd[4096], line[256];
    va_list ap;
    FILE *f;

    va_start(ap, fmt);
    command(cmd, sizeof cmd, fmt, ap, " >sh.out 2>&1 </dev/null");
    va_end(ap);
    if (run(cmd) == 0)
        return;
    f = fopen("sh.out", "r");
    while (f && fgets(line, sizeof line, f))
        print_message("# %s", line);
    if (f)
        fclose(f);
    fail_msg("failed: %s", cmd);
}

char *sh_out(const char *fmt, ...)
{
    char cmd[4096], *out = calloc(1, 1 << 16);
    va_list ap;
    FILE *f;

    va_start(ap, fmt);
    command(cmd, sizeof cmd, fmt, ap, " 2>&1");
    va_end(ap);
    f = popen(cmd, "r");
    assert_true(f && out);
    CHECK(fread(out, 1, (1 << 16) - 1, f) < (1 << 16));
    pclose(f);
    return out;
}

struct image *img_open(const char *path, const char *format, bool read_only)
{
    struct err e = {""};
    struct image *img = image_open(path, &(struct image_options){.format = format, .read_only = read_only}, &e);

    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

void img_refused(const char *path, const char *format, bool read_only, const char *expect)
{
    struct err e = {""};
    struct image *img = image_open(path, &(struct image_options){.format = format, .read_only = read_only}, &e);

    CHECK(img == NULL);
    if (!strstr(e.msg, expect) || strchr(e.msg, '\n'))
        fail_msg("message is: %s", e.msg);
}

void img_create(const char *path, const char *format, uint64_t size, const char *options)
{
    struct err e = {""};

    if (!image_create(&(struct image_create){.path = path, .format = format, .size = size, .options = options}, &e))
        fail_msg("%s", e.msg);
}

void img_create_refused(const char *path, const char *format, uint64_t size, const char *options, const char *expect)
{
    struct image_create c = {.path = path, .format = format, .size = size, .options = options};
    struct err e = {""};

    CHECK(!image_create(&c, &e));
    if (!strstr(e.msg, expect))
        fail_msg("message is: %s", e.msg);
}

int img_read(struct image *img, void *buf, uint64_t off, uint64_t len)
{
    struct iovec v[2] = {{buf, len / 3}, {(char *)buf + len / 3, len - len / 3}};

    return img->ops->readv(img, v, 2, off, 0);
}

int img_write(struct image *img, const void *buf, uint64_t off, uint64_t len, unsigned flags)
{
    char *p = (char *)(uintptr_t)buf;
    struct iovec v[2] = {{p, len / 3}, {p + len / 3, len - len / 3}};

    return img->ops->writev(img, v, 2, off, flags);
}

void model_init(struct model *m, uint64_t size, uint32_t seed)
{
    *m = (struct model){calloc(1, size), size, seed};
    assert_non_null(m->bytes);
}

void model_fini(struct model *m) { free(m->bytes); }

uint32_t model_random(struct model *m, uint32_t below)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(m->seed >> 4) * below) >> 28);
}

void model_fill(struct model *m, uint64_t off, uint64_t len)
{
    uint32_t v = model_random(m, 1u << 27) | 1;

    for (uint64_t i = 0; i < len; i++) {
        if (i % 16 == 0)
            v = v * 1664525u + 1013904223u;
        m->bytes[off + i] = (uint8_t)(v >> (i % 4 * 8));
    }
}

void model_save(const struct model *m, const char *path)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    CHECK_EQ(fwrite(m->bytes, 1, m->size, f), m->size);
    fclose(f);
}

static void check_part(const struct model *m, struct image *img, uint8_t *buf, uint64_t off, uint64_t len)
{
    memset(buf, 0xa5, len);
    CHECK_EQ(img_read(img, buf, off, len), 0);
    if (memcmp(buf, m->bytes + off, len) != 0)
        for (uint64_t i = 0; i < len; i++)
            if (buf[i] != m->bytes[off + i])
                fail_msg("byte 0x%llx is %02x, expected %02x", (unsigned long long)(off + i), buf[i],
                         m->bytes[off + i]);
}

void model_check(const struct model *m, struct image *img)
{
    enum { STEP = 777 * 512 };
    uint8_t *buf = malloc(STEP);

    assert_true(img->size >= m->size);
    for (uint64_t off = 0; off < m->size; off += STEP)
        check_part(m, img, buf, off, m->size - off < STEP ? m->size - off : STEP);
    free(buf);
}

static void model_step(struct model *m, struct image *img, char kind, uint64_t off, uint64_t len, uint8_t *buf)
{
    switch (kind) {
    case 'w':
    case 'F':
        model_fill(m, off, len);
        CHECK_EQ(img_write(img, m->bytes + off, off, len, kind == 'F' ? IMAGE_FUA : 0), 0);
        break;
    case 'z':
        memset(m->bytes + off, 0, len);
        CHECK_EQ(img->ops->write_zeroes(img, off, len, model_random(m, 2) ? IMAGE_UNMAP : 0), 0);
        break;
    case 'd': /* what was discarded reads as anything: keep what it reads as */
        CHECK_EQ(img->ops->discard(img, off, len), 0);
        CHECK_EQ(img_read(img, m->bytes + off, off, len), 0);
        break;
    case 'f': CHECK_EQ(img->ops->flush(img), 0); break;
    default: check_part(m, img, buf, off, len);
    }
}

void model_run(struct model *m, struct image *img, unsigned n, const char *kinds, uint32_t longest)
{
    uint8_t *buf = malloc(longest);

    for (unsigned i = 0; i < n; i++) {
        char kind = kinds[model_random(m, (uint32_t)strlen(kinds))];
        uint64_t sectors = m->size / 512, off = model_random(m, (uint32_t)sectors);
        uint64_t len = 1 + model_random(m, longest / 512);

        if (len > sectors - off)
            len = sectors - off;
        model_step(m, img, kind, off * 512, len * 512, buf);
    }
    free(buf);
}
