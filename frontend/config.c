/* The description of a machine and its checks. See config.h. */
#include "frontend/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/char_vc.h"

void config_init(struct machine_config *c)
{
    memset(c, 0, sizeof *c);
    c->program = "guise";
    c->cpu = "rv64";
    c->cpus = 1;
    c->ram = UINT64_C(128) << 20;
    c->translator = (struct translator_options){.engine = ENGINE_JIT, .checked = ENGINE_JIT, .jit_after = JIT_AFTER};
    c->escape = 1;
}

void config_free(struct machine_config *c)
{
    for (unsigned i = 0; i < c->devices; i++)
        kv_free(&c->device[i].props);
    for (unsigned i = 0; i < c->drives; i++)
        json_decref(c->drive[i].node);
    for (unsigned i = 0; i < c->pool_len; i++)
        free(c->pool[i]);
    free(c->pool);
    memset(c, 0, sizeof *c);
}

void *config_alloc(struct machine_config *c, size_t size)
{
    void **pool = realloc(c->pool, (c->pool_len + 1) * sizeof *pool), *mem = calloc(1, size);

    if (!mem || !pool)
        abort(); /* out of memory while reading the command line */
    c->pool = pool;
    c->pool[c->pool_len++] = mem;
    return mem;
}

const char *config_str(struct machine_config *c, const char *s)
{
    size_t len;

    if (!s)
        return NULL;
    len = strlen(s) + 1;
    return memcpy(config_alloc(c, len), s, len);
}

int config_chardev_find(const struct machine_config *c, const char *id)
{
    for (unsigned i = 0; i < c->chardevs; i++)
        if (c->chardev[i].id && !strcmp(c->chardev[i].id, id))
            return (int)i;
    return -1;
}

int config_chardev_new(struct machine_config *c, enum chardev_kind kind, const char *id, struct err *e)
{
    if (c->chardevs == CONFIG_MAX) {
        err_set(e, "more than %d character devices", CONFIG_MAX);
        return -1;
    }
    if (id && config_chardev_find(c, id) >= 0) {
        err_set(e, "a character device '%s' exists already", id);
        return -1;
    }
    if (kind == CHARDEV_STDIO) {
        for (unsigned i = 0; i < c->chardevs; i++) {
            if (c->chardev[i].kind == CHARDEV_STDIO) {
                err_set(e, "cannot use stdio by multiple character devices");
                return -1;
            }
        }
    }
    c->chardev[c->chardevs] =
        (struct chardev_config){.id = config_str(c, id), .kind = kind, .signal = true, .wait = true};
    return (int)c->chardevs++;
}

static bool unix_spec(struct machine_config *c, const char *spec, struct chardev_config *cd, struct err *e)
{
    struct keyvals k;
    bool ok =
        kv_parse(&k, spec, "path", e) && kv_bool(&k, "server", &cd->server, e) && kv_bool(&k, "wait", &cd->wait, e);

    if (ok) {
        cd->path = config_str(c, kv_get(&k, "path"));
        ok = kv_done(&k, e) && (cd->path || err_set(e, "unix: needs a path"));
    }
    kv_free(&k);
    return ok;
}

/* "80Cx24C" in characters, "640x480" in pixels of QEMU's font. */
static bool vc_spec(const char *spec, struct chardev_config *cd, struct err *e)
{
    unsigned w, h;
    int end = 0;

    if (sscanf(spec, "%5uCx%5uC%n", &w, &h, &end) == 2 && end && !spec[end]) {
    } else if (end = 0, sscanf(spec, "%5ux%5u%n", &w, &h, &end) == 2 && end && !spec[end]) {
        w /= VC_CELL_W;
        h /= VC_CELL_H;
    } else {
        return err_set(e, "vc:%s: expected COLSCxROWSC or WIDTHxHEIGHT", spec);
    }
    return config_vc_size(cd, w, h, e);
}

bool config_vc_size(struct chardev_config *cd, uint64_t cols, uint64_t rows, struct err *e)
{
    if (cols < 2 || rows < 2 || cols > CONFIG_VC_MAX || rows > CONFIG_VC_MAX)
        return err_set(e, "a console of 2 to %d columns and rows", CONFIG_VC_MAX);
    cd->cols = (uint16_t)cols;
    cd->rows = (uint16_t)rows;
    return true;
}

bool config_chardev_spec(struct machine_config *c, const char *spec, const char *label, int *index, struct err *e)
{
    bool mux = !strncmp(spec, "mon:", 4);
    const char *kind = spec + (mux ? 4 : 0);
    enum chardev_kind k;
    const char *path = NULL;
    int n;

    *index = PORT_NONE;
    if (!strcmp(spec, "none"))
        return true;
    if (!strncmp(spec, "chardev:", 8)) {
        *index = config_chardev_find(c, spec + 8);
        return *index >= 0 || err_set(e, "no character device '%s'", spec + 8);
    }
    if (!strcmp(kind, "stdio")) {
        k = CHARDEV_STDIO;
    } else if (!strcmp(kind, "null")) {
        k = CHARDEV_NULL;
    } else if (!strcmp(kind, "pty")) {
        k = CHARDEV_PTY;
    } else if (!strncmp(kind, "file:", 5) && kind[5]) {
        k = CHARDEV_FILE;
        path = kind + 5;
    } else if (!strncmp(kind, "unix:", 5)) {
        k = CHARDEV_UNIX;
    } else if (!strcmp(kind, "vc") || !strncmp(kind, "vc:", 3)) {
        k = CHARDEV_VC;
    } else if (!strncmp(kind, "tcp:", 4) || !strncmp(kind, "telnet:", 7) || !strncmp(kind, "udp:", 4)) {
        return err_set(e, "%s: network sockets are not there yet; use unix:PATH,server=on", spec);
    } else {
        return err_set(e, "%s: expected stdio, mon:stdio, vc, file:PATH, pty, unix:PATH, null, none or chardev:ID",
                       spec);
    }
    n = config_chardev_new(c, k, config_chardev_find(c, label) < 0 ? label : NULL, e);
    if (n < 0)
        return false;
    c->chardev[n].path = config_str(c, path);
    c->chardev[n].mux = mux;
    if (mux && k == CHARDEV_STDIO)
        c->chardev[n].signal = false; /* Ctrl-C goes to the guest */
    if (k == CHARDEV_UNIX && !unix_spec(c, kind + 5, &c->chardev[n], e))
        return false;
    if (k == CHARDEV_VC && kind[2] && !vc_spec(kind + 3, &c->chardev[n], e))
        return false;
    if (mux && !config_add_monitor(c, n, e))
        return false;
    *index = n;
    return true;
}

bool config_add_monitor(struct machine_config *c, int chardev, struct err *e)
{
    if (c->monitors == CONFIG_MAX)
        return err_set(e, "more than %d monitors", CONFIG_MAX);
    c->monitor[c->monitors++] = chardev;
    return true;
}

struct drive_config *config_drive_new(struct machine_config *c, struct err *e)
{
    struct drive_config *d;

    if (c->drives == CONFIG_MAX) {
        err_set(e, "more than %d drives", CONFIG_MAX);
        return NULL;
    }
    d = &c->drive[c->drives++];
    *d = (struct drive_config){.unit = -1, .werror = POLICY_ENOSPC};
    return d;
}

struct drive_config *config_drive_find(struct machine_config *c, const char *id)
{
    for (unsigned i = 0; i < c->drives; i++)
        if (c->drive[i].id && !strcmp(c->drive[i].id, id))
            return &c->drive[i];
    return NULL;
}

const char *device_prop(const struct device_config *d, const char *key)
{
    const char *val = NULL;

    for (unsigned i = 0; i < d->props.count; i++)
        if (!strcmp(d->props.kv[i].key, key))
            val = d->props.kv[i].value;
    return val;
}

const struct device_config *config_drive_user(const struct machine_config *c, const char *id)
{
    for (unsigned i = 0; i < c->devices; i++) {
        const char *drive = device_prop(&c->device[i], "drive");

        if (id && drive && !strcmp(drive, id))
            return &c->device[i];
    }
    return NULL;
}

static bool add_loader(struct machine_config *c, struct keyvals *k, struct err *e)
{
    struct loader_config *l = &c->loader[c->loaders];
    uint64_t cpu = UINT64_MAX, len = 0, data = UINT64_MAX;
    const char *file = kv_get(k, "file");
    bool be = false;

    *l = (struct loader_config){0};
    if (c->loaders == CONFIG_MAX)
        return err_set(e, "more than %d loaders", CONFIG_MAX);
    kv_get(k, "driver");
    kv_get(k, "id");
    l->has_addr = kv_get(k, "addr") != NULL;
    if (!kv_u64(k, "addr", &l->addr, e) || !kv_u64(k, "cpu-num", &cpu, e) || !kv_u64(k, "data-len", &len, e) ||
        !kv_u64(k, "data", &data, e) || !kv_bool(k, "force-raw", &l->raw, e) || !kv_bool(k, "data-be", &be, e) ||
        !kv_done(k, e))
        return false;
    l->file = config_str(c, file);
    if (kv_get(k, "data") ? file != NULL : !file && cpu == UINT64_MAX)
        return err_set(e, "expected file=FILE, data=VALUE or cpu-num=N");
    if (kv_get(k, "data")) {
        if (!l->has_addr || len < 1 || len > 8)
            return err_set(e, "data= needs addr=ADDR and data-len=1..8");
        l->data = be ? __builtin_bswap64(data) >> (64 - 8 * len) : data;
        l->data_len = (unsigned)len;
    }
    if (cpu != UINT64_MAX) {
        if (cpu >= CONFIG_MAX_CPUS)
            return err_set(e, "cpu-num=%llu: no such CPU", (unsigned long long)cpu);
        l->has_cpu = true;
        l->cpu = (unsigned)cpu;
    }
    c->loaders++;
    return true;
}

/* Properties whose value would change what the guest sees, and that only have the one value here. */
static bool check_fixed_props(const struct device_config *d, struct err *e)
{
    static const struct {
        const char *key, *only;
    } fixed[] = {{"iommu_platform", "off"}, {"multifunction", "off"}, {"disable-modern", "off"}, {"rss", "off"},
                 {"hash", "off"},           {"failover", "off"},      {"guest_rsc_ext", "off"}};

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const char *val = device_prop(d, fixed[i].key);
        bool on;

        if (!val)
            continue;
        if (!strcmp(val, "auto"))
            continue;
        if (!parse_bool(val, &on))
            return err_set(e, "%s=%s: expected on or off", fixed[i].key, val);
        if (on)
            return err_set(e, "%s=%s: not there yet (only %s)", fixed[i].key, val, fixed[i].only);
    }
    return true;
}

static bool add_typed(struct machine_config *c, const char *driver, struct keyvals *k, struct err *e)
{
    const struct device_type *t = device_type_find(driver);
    struct device_config *d = &c->device[c->devices];
    const char *near, *why;

    if (!t) {
        why = device_type_missing(driver);
        near = device_type_nearest(driver);
        if (why)
            return err_set(e, "%s: %s", driver, why);
        if (near)
            return err_set(e, "'%s' is not a device we have; the nearest one is %s", driver, near);
        return err_set(e, "'%s' is not a device we have; -device help lists them", driver);
    }
    if (c->devices == CONFIG_MAX)
        return err_set(e, "more than %d devices", CONFIG_MAX);
    for (unsigned i = 0; i < k->count; i++) {
        const char *key = k->kv[i].key;

        if (strcmp(key, "driver") && !device_type_takes(t, key))
            return err_set(e, "%s has no property '%s'", driver, key);
    }
    *d = (struct device_config){.type = t, .props = *k};
    if (!check_fixed_props(d, e))
        return err_prefix(e, "%s", driver);
    c->devices++;
    return true;
}

bool config_add_device(struct machine_config *c, const char *spec, struct err *e)
{
    struct keyvals k;
    const char *driver = NULL;
    bool ok = kv_parse(&k, spec, "driver", e);

    if (ok) {
        driver = kv_get(&k, "driver");
        ok = driver || err_set(e, "no driver named");
    }
    if (ok && !strcmp(driver, "loader")) {
        ok = add_loader(c, &k, e);
        kv_free(&k);
        return ok;
    }
    if (ok)
        ok = add_typed(c, driver, &k, e);
    if (!ok)
        kv_free(&k);
    return ok;
}

bool config_set_engine(struct machine_config *c, const char *name, struct err *e)
{
    static const struct {
        const char *name;
        enum engine engine;
    } engines[] = {{"jit", ENGINE_JIT},
                   {"tcg", ENGINE_JIT},
                   {"ir", ENGINE_IR},
                   {"interp", ENGINE_INTERP},
                   {"lockstep", ENGINE_LOCKSTEP}};

    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (!strcmp(engines[i].name, name)) {
            c->translator.engine = engines[i].engine;
            if (engines[i].engine != ENGINE_JIT) /* the others are for looking at what they do with every block */
                c->translator.jit_after = 0;
            return true;
        }
    }
    return err_set(e, "no engine '%s'; there are jit, ir, interp and lockstep", name);
}

static bool finish_globals(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->globals; i++) {
        struct global_config *g = &c->global[i];
        const struct device_type *t = device_type_find(g->driver);

        if (!strcmp(g->driver, "virtio-mmio") && !strcmp(g->prop, "force-legacy")) {
            bool legacy;

            if (!parse_bool(g->value, &legacy))
                return err_set(e, "-global %s.%s=%s: expected on or off", g->driver, g->prop, g->value);
            c->virtio_mmio_modern = !legacy;
            continue;
        }
        if (!t || !device_type_takes(t, g->prop))
            return err_set(e, "-global %s.%s: no such property", g->driver, g->prop);
        for (unsigned d = 0; d < c->devices; d++) {
            struct keyvals *k = &c->device[d].props;

            if (c->device[d].type != t || device_prop(&c->device[d], g->prop) || k->count == KV_MAX)
                continue;
            k->kv[k->count++] = (struct kv){.key = g->prop, .value = g->value};
            if (!check_fixed_props(&c->device[d], e))
                return err_prefix(e, "-global %s", g->driver);
        }
    }
    return true;
}

/* Drives with if=pflash become pflash0 and pflash1; -machine pflash0=ID names a drive or -blockdev. */
static bool finish_flash(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->drives; i++) {
        struct drive_config *d = &c->drive[i];
        int unit = d->unit;
        char id[24];

        if (d->bus != DRIVE_PFLASH)
            continue;
        if (unit < 0)
            unit = c->pflash[0] ? 1 : 0;
        if (unit > 1 || c->pflash[unit])
            return err_set(e, "-drive if=pflash,file=%s: %s", d->file,
                           unit > 1 ? "units are 0 and 1" : "the unit is taken");
        if (!d->id) {
            snprintf(id, sizeof id, "pflash%d", unit);
            d->id = config_str(c, id);
        }
        c->pflash[unit] = d->id;
    }
    for (unsigned u = 0; u < 2; u++)
        if (c->pflash[u] && !config_drive_find(c, c->pflash[u]))
            return err_set(e, "pflash%u=%s: no such drive", u, c->pflash[u]);
    return true;
}

/* Every -drive for the virtio bus that no -device claims gets a device of its own. */
static bool finish_drives(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->drives; i++) {
        struct drive_config *d = &c->drive[i];
        char buf[96];

        if (d->bus != DRIVE_VIRTIO)
            continue;
        if (d->id && config_drive_user(c, d->id)) {
            if (d->bus_given)
                return err_set(e, "drive '%s' has if=virtio and a -device too", d->id);
            d->bus = DRIVE_NONE;
            continue;
        }
        if (!d->id) {
            snprintf(buf, sizeof buf, "virtio%u", i);
            d->id = config_str(c, buf);
        }
        snprintf(buf, sizeof buf, "virtio-blk-pci,drive=%.64s", d->id);
        if (!config_add_device(c, buf, e))
            return false;
    }
    for (unsigned i = 0; i < c->devices; i++) {
        const struct device_config *d = &c->device[i];
        const char *drive = device_prop(d, "drive");
        struct drive_config *found;

        if (d->type->kind != DEVICE_BLK && d->type->kind != DEVICE_NVME_NS && (d->type->kind != DEVICE_NVME || !drive))
            continue;
        if (!drive)
            return err_set(e, "-device %s: needs drive=ID", d->type->name);
        found = config_drive_find(c, drive);
        if (!found)
            return err_set(e, "-device %s: no drive '%s'", d->type->name, drive);
        if (config_drive_user(c, drive) != d || found->bus == DRIVE_PFLASH)
            return err_set(e, "-device %s: drive '%s' is in use already", d->type->name, drive);
    }
    return true;
}

static bool finish_ports(struct machine_config *c, struct err *e)
{
    bool controller = false;

    for (unsigned i = 0; i < c->devices; i++) {
        const struct device_config *d = &c->device[i];
        const char *chardev = device_prop(d, "chardev");

        controller |= d->type->kind == DEVICE_SERIAL;
        if (d->type->transport != TRANSPORT_PORT)
            continue;
        if (!controller)
            return err_set(e, "-device %s: no virtio-serial device before it", d->type->name);
        if (chardev && config_chardev_find(c, chardev) < 0)
            return err_set(e, "-device %s: no character device '%s'", d->type->name, chardev);
    }
    return true;
}

/* bus=ID.0; a controller without an id has the first bus, usb-bus.0. */
const struct device_config *config_usb_controller(const struct machine_config *c, const struct device_config *d,
                                                  struct err *e)
{
    const char *bus = device_prop(d, "bus");

    for (unsigned i = 0; i < c->devices; i++) {
        const char *id = device_prop(&c->device[i], "id");

        if (c->device[i].type->kind != DEVICE_XHCI)
            continue;
        if (!id)
            id = "usb-bus";
        if (!bus || (!strncmp(bus, id, strlen(id)) && (!bus[strlen(id)] || !strcmp(bus + strlen(id), ".0"))))
            return &c->device[i];
    }
    if (bus)
        err_set(e, "bus=%s: there is no such USB controller", bus);
    else
        err_set(e, "no USB controller; add -device qemu-xhci");
    return NULL;
}

static bool finish_usb(struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->devices; i++)
        if (c->device[i].type->transport == TRANSPORT_USB && !config_usb_controller(c, &c->device[i], e))
            return err_prefix(e, "-device %s", c->device[i].type->name);
    return true;
}

/* A chardev serves one device, or many when it is muxed. */
static bool finish_chardev_users(struct machine_config *c, struct err *e)
{
    unsigned users[CONFIG_MAX] = {0};

    for (unsigned i = 0; i < c->serials; i++)
        if (c->serial[i] >= 0)
            users[c->serial[i]]++;
    for (unsigned i = 0; i < c->monitors; i++)
        users[c->monitor[i]]++;
    for (unsigned i = 0; i < c->devices; i++) {
        const char *chardev = device_prop(&c->device[i], "chardev");

        if (chardev)
            users[config_chardev_find(c, chardev)]++;
    }
    for (unsigned i = 0; i < c->chardevs; i++)
        if (users[i] > 1 && !c->chardev[i].mux)
            return err_set(e, "character device '%s' has more than one user; give it mux=on", c->chardev[i].id);
    return true;
}

bool config_finish(struct machine_config *c, struct err *e)
{
    if (c->ram < UINT64_C(4) << 20)
        return err_set(e, "%s: at least 4 MiB", c->qemu ? "-m" : "--memory");
    if (c->ram > UINT64_C(1) << 42)
        return err_set(e, "%s: at most 4 TiB", c->qemu ? "-m" : "--memory");
    c->ram = align_up(c->ram, UINT64_C(1) << 12);
    if (c->serials > 1 && c->serial[1] >= 0)
        return err_set(e,
                       "the board has one serial port; give further streams to -device virtserialport or virtconsole");
    return config_net_finish(c, e) && finish_globals(c, e) && finish_flash(c, e) && finish_drives(c, e) &&
           finish_ports(c, e) && finish_usb(c, e) && finish_chardev_users(c, e);
}
