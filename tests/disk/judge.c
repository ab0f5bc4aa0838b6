/* Judging images: see judge.h. */
#include "tests/disk/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool judge_init(struct judge *j, const struct shape *shape, const struct belief *belief, const char *dir, uint64_t seed)
{
    *j = (struct judge){.shape = shape, .belief = belief, .dir = dir, .rng = {seed}};
    j->buf = malloc(shape->sectors_max * SECTOR);
    return j->buf;
}

void judge_fini(struct judge *j) { free(j->buf); }

static struct image *bytes_open(const struct judge *j, const struct bytes *b, const struct image_options *o,
                                struct err *e)
{
    struct image *mem = memory_new(b->data, b->size);

    if (!mem)
        abort();
    return shape_open(j->shape, mem, j->dir, o, e);
}

static void report_line(void *arg, const char *line)
{
    char *text = arg;

    if (!*text)
        snprintf(text, 200, "%s", line);
}

bool judge_check(struct judge *j, const struct bytes *b, struct image_check *res, char line[200])
{
    struct image_options o = {.read_only = true, .no_repair = true, .no_backing = true};
    struct err e = {{0}};
    struct image *img = bytes_open(j, b, &o, &e);
    bool ok;

    *res = (struct image_check){0};
    *line = 0;
    if (!img) {
        snprintf(j->why, sizeof j->why, "the check cannot open it: %.600s", e.msg);
        return false;
    }
    ok = !img->ops->check || img->ops->check(img, 0, res, report_line, line, &e);
    if (!ok)
        snprintf(j->why, sizeof j->why, "it cannot be checked: %.600s", e.msg);
    image_close(img);
    return ok;
}

static uint64_t json_number(const char *json, const char *key)
{
    char name[64];
    const char *p;

    snprintf(name, sizeof name, "\"%s\":", key);
    p = strstr(json, name);
    return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}

bool judge_qemu(struct judge *j, const struct bytes *b, const struct image_check *ours, bool dirty)
{
    char path[1024], *out;
    uint64_t corruptions, leaks;
    int code;

    snprintf(path, sizeof path, "%s/disk.img", j->dir);
    if (!file_write(path, b->data, b->size)) {
        snprintf(j->why, sizeof j->why, "cannot write '%.500s'", path);
        return false;
    }
    code = shell(&out, "qemu-img check --output=json -f %s '%s' 2>/dev/null", j->shape->format, path);
    corruptions = json_number(out, "corruptions");
    leaks = json_number(out, "leaks");
    free(out);
    if (code != 0 && code != 3 && !(dirty && code == 2))
        snprintf(j->why, sizeof j->why, "qemu-img check ends with %d (%" PRIu64 " corruptions)", code, corruptions);
    else if (corruptions != ours->corruptions || leaks != ours->leaks)
        snprintf(j->why, sizeof j->why,
                 "checks differ: ours %" PRIu64 " corruptions, %" PRIu64 " leaks; qemu-img's %" PRIu64 ", %" PRIu64,
                 ours->corruptions, ours->leaks, corruptions, leaks);
    else
        return true;
    return false;
}

static bool snapshot_judge(struct judge *j, const struct bytes *b, const char *name)
{
    struct image_options o = {.read_only = true};
    struct err e = {{0}};
    struct image *img = bytes_open(j, b, &o, &e);
    bool ok = false;

    if (!img)
        snprintf(j->why, sizeof j->why, "it does not open read-only: %.500s", e.msg);
    else if (!img->ops->snapshot_view(img, name, &e))
        snprintf(j->why, sizeof j->why, "snapshot '%.100s' does not open: %.400s", name, e.msg);
    else if (img->size > j->shape->sectors_max * SECTOR || image_read_all(img, &j->rng, j->buf, img->size))
        snprintf(j->why, sizeof j->why, "snapshot '%.100s' cannot be read", name);
    else
        ok = !belief_check_snapshot(j->belief, name, j->buf, img->size / SECTOR, j->why, sizeof j->why);
    image_close(img);
    return ok;
}

/* Each snapshot of the list is whole; those that must be there are. */
static bool snapshots_judge(struct judge *j, const struct bytes *b, struct image *img)
{
    struct image_snapshot *list = NULL;
    int n = img->ops->snapshot_list ? img->ops->snapshot_list(img, &list) : 0;
    bool ok = n >= 0;

    if (!ok)
        snprintf(j->why, sizeof j->why, "its snapshots cannot be listed");
    for (unsigned i = 0; ok && i < j->belief->n_snaps; i++) {
        bool found = !j->belief->snaps[i].must;

        for (int k = 0; k < n; k++)
            found |= !strcmp(list[k].name, j->belief->snaps[i].name);
        if (!found)
            snprintf(j->why, sizeof j->why, "snapshot '%s' is lost", j->belief->snaps[i].name);
        ok = found;
    }
    for (int k = 0; ok && k < n; k++)
        ok = snapshot_judge(j, b, list[k].name);
    free(list);
    return ok;
}

bool judge_contents(struct judge *j, struct image *img, const struct bytes *b, bool crash)
{
    uint64_t sectors = img->size / SECTOR;

    if (sectors > j->shape->sectors_max)
        snprintf(j->why, sizeof j->why, "the disk has %" PRIu64 " sectors, which is not possible", sectors);
    else if (image_read_all(img, &j->rng, j->buf, img->size))
        snprintf(j->why, sizeof j->why, "it cannot be read");
    else if (!belief_check(j->belief, j->buf, sectors, crash, j->why, sizeof j->why))
        return snapshots_judge(j, b, img);
    return false;
}

/* New work on the recovered image: all must succeed and read back. */
static bool go_on(struct judge *j, struct image *img)
{
    uint64_t sectors = img->size / SECTOR;
    uint8_t *want = malloc(img->size), *got = malloc(img->size);
    int ret = !want || !got ? -1 : image_read_all(img, &j->rng, want, img->size);

    for (unsigned i = 0; !ret && i < 6; i++) {
        uint64_t at = rng_below(&j->rng, sectors), count = 1 + rng_below(&j->rng, 20);

        if (count > sectors - at)
            count = sectors - at;
        for (uint64_t k = 0; k < count; k++)
            stamp_fill(want + (at + k) * SECTOR, 0x20000000 + i, at + k);
        ret = image_write_at(img, want + at * SECTOR, count * SECTOR, at * SECTOR, 0);
    }
    if (!ret)
        ret = img->ops->flush(img);
    if (!ret)
        ret = image_read_all(img, &j->rng, got, img->size);
    if (ret)
        snprintf(j->why, sizeof j->why, "after its repair it cannot be used: error %d", ret);
    else if ((ret = memcmp(want, got, img->size)))
        snprintf(j->why, sizeof j->why, "after its repair it reads back what was not written");
    free(want);
    free(got);
    return !ret;
}

bool judge_recovers(struct judge *j, const struct bytes *b)
{
    struct fault none = {0};
    struct image_check res;
    /* The injector keeps the bytes when the image is closed. */
    struct image *mem = memory_new(b->data, b->size), *file = mem ? injector_new(mem, &none) : NULL, *img;
    char line[200];
    struct err e = {{0}};
    bool ok = false;

    if (!file)
        abort();
    img = shape_open(j->shape, file, j->dir, NULL, &e);
    if (!img)
        snprintf(j->why, sizeof j->why, "it does not open: %.800s", e.msg);
    else
        ok = judge_contents(j, img, b, true) && go_on(j, img);
    image_close(img);
    if (ok) {
        struct bytes after = {(uint8_t *)(uintptr_t)memory_data(mem), mem->size, 0};

        ok = judge_check(j, &after, &res, line);
        if (ok && (res.corruptions || res.leaks || res.check_errors)) {
            snprintf(j->why, sizeof j->why,
                     "after its repair and more work: %" PRIu64 " corruptions, %" PRIu64 " leaks: %s", res.corruptions,
                     res.leaks, line);
            ok = false;
        }
    }
    image_close(mem);
    return ok;
}
