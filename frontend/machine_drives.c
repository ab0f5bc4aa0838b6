/*
 * A machine's disks while it runs: opened, told to their devices when they change, stopped for when the host is full.
 *
 * The block layer calls us on its own threads with no lock held. An error that stops the machine is noted and posted to
 * the loop; `cont` lets the kept requests be tried again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nvme.h"
#include "devices/virtio_blk.h"
#include "frontend/drive.h"
#include "frontend/machine_parts.h"
#include "images/block.h"

static const char *drive_name(const struct machine *m, unsigned n)
{
    return m->config->drive[n].id ? m->config->drive[n].id : "drive";
}

static void stop_for_error(void *arg, const struct block_error *b)
{
    static const char *const words[BLOCK_OPS] = {[BLOCK_READ] = "a read",
                                                 [BLOCK_WRITE] = "a write",
                                                 [BLOCK_FLUSH] = "a flush",
                                                 [BLOCK_DISCARD] = "a discard",
                                                 [BLOCK_WRITE_ZEROES] = "a write of zeroes"};
    const struct drive_link *l = arg;
    char text[sizeof l->m->stop_reason];

    if (b->action != POLICY_STOP)
        return;
    snprintf(text, sizeof text, "disk '%s': %s at %" PRIu64 " failed: %s", drive_name(l->m, l->n), words[b->op],
             b->offset, strerror(-b->error));
    machine_request_stop(l->m, text);
}

static void resized(void *arg, uint64_t size)
{
    const struct drive_link *l = arg;

    (void)size; /* the devices ask for it */
    if (l->blk)
        virtio_blk_resized(l->blk);
    if (l->nvme)
        nvme_resized(l->nvme, l->m->block[l->n]);
}

bool machine_open_drives(struct machine *m, struct err *e)
{
    if (!machine_snap_recover(m->config, e))
        return false;
    for (unsigned i = 0; i < m->config->drives; i++) {
        const struct drive_config *d = &m->config->drive[i];

        if (d->layer)
            continue;
        m->block[i] = drive_open(m->config, d, m->clock, e);
        if (!m->block[i])
            return err_prefix(e, "drive");
        m->drive_link[i] = (struct drive_link){.m = m, .n = i};
        block_on_error(m->block[i], stop_for_error, &m->drive_link[i]);
        block_on_resize(m->block[i], resized, &m->drive_link[i]);
    }
    return true;
}

struct drive_link *machine_drive_link(struct machine *m, const char *id)
{
    for (unsigned i = 0; id && i < m->config->drives; i++)
        if (m->block[i] && m->config->drive[i].id && !strcmp(m->config->drive[i].id, id))
            return &m->drive_link[i];
    return NULL;
}

void machine_resume_drives(struct machine *m)
{
    for (unsigned i = 0; i < m->config->drives; i++)
        if (m->block[i])
            block_resume(m->block[i]);
}

struct block *machine_drive(const struct machine *m, unsigned n, const char **id)
{
    for (unsigned i = 0; i < m->config->drives; i++) {
        if (!m->block[i] || n--)
            continue;
        *id = drive_name(m, i);
        return m->block[i];
    }
    return NULL;
}

struct block *machine_drive_find(const struct machine *m, const char *id)
{
    const char *name;
    struct block *b;

    for (unsigned i = 0; (b = machine_drive(m, i, &name)) != NULL; i++)
        if (!strcmp(name, id))
            return b;
    return NULL;
}

bool machine_commit(struct machine *m, const char *id, unsigned *done, struct err *e)
{
    struct block_stats s;
    const char *name;
    struct block *b;

    *done = 0;
    for (unsigned i = 0; (b = machine_drive(m, i, &name)) != NULL; i++) {
        if (id && strcmp(id, name))
            continue;
        block_get_stats(b, &s);
        if (!s.snapshot) {
            if (id)
                return err_set(e, "disk '%s' does not run with snapshot: it is written as the guest writes", id);
            continue;
        }
        if (!block_commit_overlay(b, e))
            return err_prefix(e, "disk '%s'", name);
        ++*done;
    }
    return *done || !id || err_set(e, "no disk '%s'", id);
}
