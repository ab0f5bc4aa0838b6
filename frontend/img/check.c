/* guise img check and repair. Exit codes as qemu-img check: 0, 1 not checked, 2 corrupt, 3 leaks, 63 no such check. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "frontend/img/img.h"

enum { NOT_CHECKED = 1, CORRUPT = 2, LEAKS = 3, NO_CHECK = 63 };

static void to_stderr(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

static void ignore(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

/* qemu-img leaves out what is zero, but for check-errors. */
static void print_json(const struct img_args *a, const struct image *img, const struct image_check *r)
{
    const struct {
        const char *key;
        uint64_t val;
    } rows[] = {
        {"image-end-offset", r->image_end_offset},
        {"corruptions", r->corruptions},
        {"corruptions-fixed", r->corruptions_fixed},
        {"compressed-clusters", r->compressed_clusters},
        {"total-clusters", r->total_clusters},
        {"leaks", r->leaks},
        {"leaks-fixed", r->leaks_fixed},
        {"allocated-clusters", r->allocated_clusters},
        {"fragmented-clusters", r->fragmented_clusters},
    };
    json_t *j = json_object();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].val)
            json_object_set_new(j, rows[i].key, json_integer((json_int_t)rows[i].val));
    json_object_set_new(j, "check-errors", json_integer((json_int_t)r->check_errors));
    json_object_set_new(j, "filename", json_string(a->file[0]));
    json_object_set_new(j, "format", json_string(img->ops->format));
    json_dumpf(j, stdout, JSON_INDENT(4));
    putchar('\n');
    json_decref(j);
}

static double percent(uint64_t part, uint64_t whole) { return (double)part * 100.0 / (double)whole; }

static void print_text(const struct image_check *r)
{
    if (!r->corruptions && !r->leaks && !r->check_errors)
        puts("No errors were found on the image.");
    if (r->corruptions)
        printf("\n%" PRIu64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               r->corruptions);
    if (r->leaks)
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               r->leaks);
    if (r->check_errors)
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r->check_errors);
    if (r->total_clusters && r->allocated_clusters)
        printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated_clusters, r->total_clusters, percent(r->allocated_clusters, r->total_clusters),
               percent(r->fragmented_clusters, r->allocated_clusters),
               percent(r->compressed_clusters, r->allocated_clusters));
    if (r->image_end_offset)
        printf("Image end offset: %" PRIu64 "\n", r->image_end_offset);
}

static int code_of(const struct image_check *r)
{
    return r->corruptions ? CORRUPT : r->leaks ? LEAKS : r->check_errors ? NOT_CHECKED : 0;
}

static bool check_once(struct image *img, unsigned fix, bool loud, struct image_check *r, struct err *e)
{
    *r = (struct image_check){0};
    return img->ops->check(img, fix, r, loud ? to_stderr : ignore, NULL, e) || err_prefix(e, "Check failed");
}

static int check_image(const struct img_args *a, struct image *img, unsigned fix, struct err *e)
{
    struct image_check r;
    uint64_t leaks_fixed, corruptions_fixed;

    if (!check_once(img, fix, !a->json && !a->quiet, &r, e))
        return NOT_CHECKED;
    leaks_fixed = r.leaks_fixed;
    corruptions_fixed = r.corruptions_fixed;
    if (leaks_fixed || corruptions_fixed) {
        if (!a->json && !a->quiet)
            printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64
                   " leaked clusters\n    %" PRIu64 " corruptions\n\nDouble checking the fixed image now...\n",
                   leaks_fixed, corruptions_fixed);
        if (!check_once(img, 0, !a->json && !a->quiet, &r, e))
            return NOT_CHECKED;
        r.leaks_fixed = leaks_fixed;
        r.corruptions_fixed = corruptions_fixed;
    }
    if (a->json)
        print_json(a, img, &r);
    else if (!a->quiet)
        print_text(&r);
    if (r.check_errors && !r.corruptions && !r.leaks)
        return NOT_CHECKED;
    return code_of(&r);
}

static int check_with(struct img_args *a, unsigned fix, struct err *e)
{
    struct img_how how = {
        .format = a->format,
        .cache = a->source_cache,
        .image_opts = a->image_opts,
        .write = fix != 0,
        .no_backing = true,
        .no_repair = true,
    };
    struct image *img;
    int code;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    if (fix && a->share)
        return err_set(e, "--force-share/-U and --repair/-r exclude each other"), 1;
    img = img_open_named(a, a->file[0], &how, e);
    if (!img)
        return NOT_CHECKED;
    if (img->ops->check) {
        code = check_image(a, img, fix, e);
    } else {
        err_set(e, "This image format does not support checks");
        code = NO_CHECK;
    }
    image_close(img);
    return code;
}

int img_cmd_check(struct img_args *a, struct err *e)
{
    unsigned fix = 0;

    if (a->repair) {
        if (!strcmp(a->repair, "leaks"))
            fix = IMAGE_FIX_LEAKS;
        else if (!strcmp(a->repair, "all"))
            fix = IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS;
        else
            return err_set(e, "--repair (-r) expects 'leaks' or 'all' not '%s'", a->repair), 1;
    }
    return check_with(a, fix, e);
}

int img_cmd_repair(struct img_args *a, struct err *e) { return check_with(a, IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS, e); }
