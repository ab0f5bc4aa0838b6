/* guise img snapshot: internal snapshots of an image. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/img/img.h"

static void print_snapshot(const struct image_snapshot *s)
{
    char size[32], date[32] = "", clock[32], icount[24] = "";
    time_t t = (time_t)s->date_sec;
    uint64_t sec = s->vm_clock_ns / 1000000000;
    struct tm tm;

    img_size_text(s->vm_state_size, size, sizeof size);
    if (localtime_r(&t, &tm))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(clock, sizeof clock, "%04" PRIu64 ":%02u:%02u.%03u", sec / 3600, (unsigned)(sec / 60 % 60),
             (unsigned)(sec % 60), (unsigned)(s->vm_clock_ns / 1000000 % 1000));
    if (s->icount != UINT64_MAX)
        snprintf(icount, sizeof icount, "%" PRIu64, s->icount);
    printf("%-7s %-16s %8s %19s %15s %10s\n", s->id, s->name, size, date, clock, icount);
}

void img_print_snapshots(const struct image_snapshot *s, int n)
{
    if (n <= 0)
        return;
    printf("Snapshot list:\n%-7s %-16s %8s %19s %15s %10s\n", "ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT");
    for (int i = 0; i < n; i++)
        print_snapshot(&s[i]);
}

static bool list(struct image *img, struct err *e)
{
    struct image_snapshot *s = NULL;
    int n = img->ops->snapshot_list ? img->ops->snapshot_list(img, &s) : 0;

    if (n < 0)
        return err_set(e, "Could not read the snapshots: %s", strerror(-n));
    img_print_snapshots(s, n);
    free(s);
    return true;
}

static bool no_snapshots(const char *what, const char *name, struct err *e)
{
    return err_set(e, "Could not %s snapshot '%s': Operation not supported", what, name);
}

static bool take(struct image *img, const char *name, struct err *e)
{
    struct image_snapshot s = {.disk_size = image_size(img)};
    struct timespec now;

    if (!img->ops->snapshot_create)
        return no_snapshots("create", name, e);
    clock_gettime(CLOCK_REALTIME, &now);
    s.date_sec = (uint64_t)now.tv_sec;
    s.date_nsec = (uint32_t)now.tv_nsec;
    if (strlen(name) >= sizeof s.name)
        return err_set(e, "Could not create snapshot: the name is longer than %zu bytes", sizeof s.name - 1);
    snprintf(s.name, sizeof s.name, "%s", name);
    return img->ops->snapshot_create(img, &s, e) || err_prefix(e, "Could not create snapshot '%s'", name);
}

static bool apply(struct image *img, const char *name, struct err *e)
{
    if (!img->ops->snapshot_apply)
        return no_snapshots("apply", name, e);
    return img->ops->snapshot_apply(img, name, e) || err_prefix(e, "Could not apply snapshot '%s'", name);
}

static bool delete (struct image *img, const char *name, struct err *e)
{
    if (!img->ops->snapshot_delete)
        return no_snapshots("delete", name, e);
    return img->ops->snapshot_delete(img, name, e) || err_prefix(e, "Could not delete snapshot '%s'", name);
}

int img_cmd_snapshot(struct img_args *a, struct err *e)
{
    char action = a->snapshot_action ? a->snapshot_action : 'l';
    struct img_how how = {.format = a->format, .image_opts = a->image_opts, .write = action != 'l', .no_backing = true};
    struct image *img;
    bool ok = true;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    if (a->share && action != 'l')
        return err_set(e, "--force-share/-U can only be used with -l"), 1;
    img = img_open_named(a, a->file[0], &how, e);
    if (!img)
        return 1;
    switch (action) {
    case 'c': ok = take(img, a->snapshot, e); break;
    case 'a': ok = apply(img, a->snapshot, e); break;
    case 'd': ok = delete (img, a->snapshot, e); break;
    default: ok = list(img, e);
    }
    image_close(img);
    return ok ? 0 : 1;
}
