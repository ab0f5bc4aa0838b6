/* What the monitor shows of mirrors and does with them. */
#include <inttypes.h>
#include <stdlib.h>

#include "frontend/drive.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "images/block.h"
#include "images/mirror.h"

static void print_mirror(const char *id, const struct mirror_status *s, FILE *out)
{
    static const char *const states[] = {
        [MIRROR_ABSENT] = "left out", [MIRROR_IN_STEP] = "in step", [MIRROR_REBUILDING] = "being filled"};

    fprintf(out, "%s: generation %" PRIu64 ", %" PRIu64 " bytes may differ\n", id, s->generation, s->dirty_bytes);
    for (unsigned i = 0; i < s->n; i++)
        fprintf(out, "    %u: %s, %s\n", i + 1, s->member[i].name, states[s->member[i].state]);
    if (s->to_rebuild)
        fprintf(out, "    copied %" PRIu64 " of %" PRIu64 " bytes\n", s->rebuilt, s->to_rebuild);
}

void monitor_info_mirror(struct machine *m, char *args, FILE *out)
{
    const char *id;
    struct block *b;
    bool any = false;

    (void)args;
    for (unsigned i = 0; (b = machine_drive(m, i, &id)) != NULL; i++) {
        struct mirror_status s;

        block_hold(b); /* names are good until a member is replaced */
        if (block_image(b) && mirror_get_status(block_image(b), &s)) {
            print_mirror(id, &s, out);
            any = true;
        }
        block_release(b);
    }
    if (!any)
        fputs("no disk is a mirror\n", out);
}

void monitor_mirror_replace(struct machine *m, char *args, FILE *out)
{
    const char *disk = monitor_word(&args), *number = monitor_word(&args), *spec = monitor_word(&args);
    struct block *b = disk ? machine_drive_find(m, disk) : NULL;
    struct err e;
    bool ok;

    if (!b || !number || !spec) {
        fprintf(out,
                disk && !b ? "no disk '%s'; info mirror lists them\n" : "needs a disk, a member's number, a file\n",
                disk);
        return;
    }
    block_hold(b);
    ok = mirror_replace(block_image(b), (unsigned)strtoul(number, NULL, 10), spec, &e);
    block_release(b);
    if (!ok)
        fprintf(out, "%s\n", e.msg);
}
