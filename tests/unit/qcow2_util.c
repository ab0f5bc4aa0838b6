#include "tests/unit/qcow2_util.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char qdir[64];

int qdir_setup(void **state)
{
    (void)state;
    strcpy(qdir, access("/dev/shm", W_OK) ? "/tmp/guise-qcow2-XXXXXX"
                                          : "/dev/shm/guise-qcow2-XXXXXX"); /* syncs are free there */
    return mkdtemp(qdir) ? 0 : -1;
}

int qdir_teardown(void **state)
{
    char cmd[128];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", qdir);
    return system(cmd);
}

__attribute__((format(printf, 1, 0))) static int run(const char *fmt, va_list ap)
{
    char cmd[4096], all[5000];
    int code;

    vsnprintf(cmd, sizeof cmd, fmt, ap);
    snprintf(all, sizeof all, "cd %s && { %s ; } >log 2>&1", qdir, cmd);
    code = system(all);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 255;
}

static char *slurp(void)
{
    static char out[65536];
    char path[96];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/log", qdir);
    f = fopen(path, "r");
    n = f ? fread(out, 1, sizeof out - 1, f) : 0;
    out[n] = 0;
    if (f)
        fclose(f);
    return out;
}

int q_sh(const char *fmt, ...)
{
    va_list ap;
    int code;

    va_start(ap, fmt);
    code = run(fmt, ap);
    va_end(ap);
    return code;
}

void q_sh_ok(const char *fmt, ...)
{
    va_list ap;
    int code;

    va_start(ap, fmt);
    code = run(fmt, ap);
    va_end(ap);
    if (code)
        fail_msg("%s...: exit code %d: %s", fmt, code, slurp());
}

char *q_sh_out(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    run(fmt, ap);
    va_end(ap);
    return slurp();
}

void qimg_check(const char *name) { q_sh_ok("qemu-img check -f qcow2 %s", name); }

struct image *qopen(const char *name, struct image_options o)
{
    char path[192];
    struct err e = {""};
    struct image *img;

    snprintf(path, sizeof path, "%s/%s", qdir, name);
    if (!o.format)
        o.format = "qcow2";
    img = image_open(path, &o, &e);
    if (!img)
        fail_msg("%s", e.msg);
    return img;
}

void qopen_fails(const char *name, struct image_options o, const char *expect)
{
    char path[192];
    struct err e = {""};
    struct image *img;

    snprintf(path, sizeof path, "%s/%s", qdir, name);
    o.format = "qcow2";
    img = image_open(path, &o, &e);
    if (img)
        fail_msg("%s was opened", name);
    if (!strstr(e.msg, expect) || !strstr(e.msg, name))
        fail_msg("message is: %s", e.msg);
}

void qcreate(const char *name, uint64_t size, const char *options, const char *backing, const char *backing_format)
{
    char path[192];
    struct err e = {""};
    struct image_create c = {.path = path, .format = "qcow2", .size = size, .options = options};

    c.backing = backing;
    c.backing_format = backing_format;
    snprintf(path, sizeof path, "%s/%s", qdir, name);
    if (!image_create(&c, &e))
        fail_msg("%s", e.msg);
}

void pattern_write(struct image *img, uint64_t off, uint64_t len, uint8_t p)
{
    uint8_t *buf = malloc(len);

    memset(buf, p, len);
    CHECK_EQ(image_pwrite(img, buf, off, len, 0), 0);
    free(buf);
}

void pattern_check(struct image *img, uint64_t off, uint64_t len, uint8_t p)
{
    uint8_t *buf = malloc(len);

    memset(buf, p ^ 0xff, len);
    CHECK_EQ(image_pread(img, buf, off, len), 0);
    for (uint64_t i = 0; i < len; i++)
        if (buf[i] != p)
            fail_msg("byte 0x%llx is 0x%02x, expected 0x%02x", (unsigned long long)(off + i), buf[i], p);
    free(buf);
}
