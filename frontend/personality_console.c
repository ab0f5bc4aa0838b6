/* QEMU's options for consoles and the window: -serial, -monitor, -chardev, -nographic, -display, -vga and their kin. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/char_vc.h"
#include "frontend/personality_parts.h"

static bool push(const char **list, unsigned *n, const char *s, struct err *e)
{
    if (*n == SPECS)
        return err_set(e, "given more than %d times", SPECS);
    list[(*n)++] = s;
    return true;
}

bool qemu_serial(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    return push(q->serial, &q->serials, arg, e);
}

bool qemu_monitor(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    return push(q->monitor, &q->monitors, arg, e);
}

bool qemu_mon(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    bool pretty, ok = kv_parse(&k, arg, "chardev", e);
    const char *mode = ok ? kv_get(&k, "mode") : NULL, *chardev = ok ? kv_get(&k, "chardev") : NULL;

    if (ok && !chardev)
        ok = err_set(e, "needs chardev=ID");
    if (ok && mode && strcmp(mode, "readline"))
        ok = err_set(e, "mode=%s: the machine protocol (QMP) is not there yet", mode);
    kv_get(&k, "id");
    ok = ok && kv_bool(&k, "pretty", &pretty, e) && kv_done(&k, e) &&
         push(q->mon, &q->mons, config_str(q->c, chardev), e);
    kv_free(&k);
    return ok;
}

/* width= and height= in pixels of QEMU's font, or cols= and rows=. */
static bool vc_props(struct keyvals *k, struct chardev_config *cd, struct err *e)
{
    static const struct {
        const char *key;
        unsigned unit;
        bool down;
    } keys[] = {{"width", VC_CELL_W, false}, {"height", VC_CELL_H, true}, {"cols", 1, false}, {"rows", 1, true}};
    uint64_t size[2] = {VC_COLS, VC_ROWS}, n;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *val = kv_get(k, keys[i].key);

        if (val && !parse_u64(val, &n))
            return err_set(e, "%s=%s: expected a number", keys[i].key, val);
        if (val)
            size[keys[i].down] = n / keys[i].unit;
    }
    return config_vc_size(cd, size[0], size[1], e);
}

bool qemu_chardev(void *ctx, const char *arg, struct err *e)
{
    static const struct {
        const char *name;
        enum chardev_kind kind;
    } kinds[] = {{"stdio", CHARDEV_STDIO}, {"file", CHARDEV_FILE}, {"pty", CHARDEV_PTY},
                 {"null", CHARDEV_NULL},   {"vc", CHARDEV_VC},     {"socket", CHARDEV_UNIX}};
    struct qemu_cli *q = ctx;
    struct chardev_config *cd;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "backend", e), unused;
    const char *kind = ok ? kv_get(&k, "backend") : NULL, *id = ok ? kv_get(&k, "id") : NULL;
    int n = -1;

    if (ok && (!kind || !id))
        ok = err_set(e, "expected KIND,id=ID");
    for (size_t i = 0; ok && n < 0 && i <= ARRAY_LEN(kinds); i++) {
        if (i == ARRAY_LEN(kinds))
            ok = err_set(e, "%s: not there yet (stdio, vc, file, pty, socket with path=, null)", kind);
        else if (!strcmp(kind, kinds[i].name))
            n = config_chardev_new(q->c, kinds[i].kind, id, e), ok = n >= 0;
    }
    if (!ok) {
        kv_free(&k);
        return false;
    }
    cd = &q->c->chardev[n];
    cd->path = config_str(q->c, kv_get(&k, "path"));
    kv_get(&k, "logfile");
    if (kv_get(&k, "logfile") || kv_get(&k, "input-path"))
        ok = err_set(e, "logfile= and input-path= are not there yet");
    if (ok && cd->kind == CHARDEV_UNIX && (kv_get(&k, "host") || kv_get(&k, "port")))
        ok = err_set(e, "network sockets are not there yet; use path=");
    ok = ok && kv_bool(&k, "mux", &cd->mux, e);
    if (ok && cd->kind == CHARDEV_STDIO)
        ok = kv_bool(&k, "signal", &cd->signal, e);
    if (ok && cd->kind == CHARDEV_FILE)
        ok = kv_bool(&k, "append", &cd->append, e);
    if (ok && cd->kind == CHARDEV_VC)
        ok = vc_props(&k, cd, e);
    if (ok && cd->kind == CHARDEV_UNIX)
        ok = kv_bool(&k, "server", &cd->server, e) && kv_bool(&k, "wait", &cd->wait, e);
    ok = ok && kv_bool(&k, "logappend", &unused, e) && kv_done(&k, e);
    if (ok && (cd->kind == CHARDEV_FILE || cd->kind == CHARDEV_UNIX) && !cd->path)
        ok = err_set(e, "needs path=PATH");
    kv_free(&k);
    return ok;
}

bool qemu_display(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        config_display_help(stdout);
        q->done = true;
        return true;
    }
    return config_set_display(q->c, arg, e);
}

bool qemu_full_screen(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct qemu_cli *)ctx)->c->display.full_screen = true;
    return true;
}

bool qemu_no_sdl(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "QEMU dropped this word; use -display sdl");
}

bool qemu_no_vnc(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "a VNC server is not there yet; use -display sdl");
}

bool qemu_no_spice(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "SPICE is not there; use -display sdl");
}

/* QEMU's board does not use it either: it warns and goes on, and scripts that say -vga std get no screen. */
bool qemu_vga(void *ctx, const char *arg, struct err *e)
{
    static const char *const known[] = {"std", "cirrus", "virtio"}, *const built_elsewhere[] = {"vmware", "qxl", "tcx",
                                                                                                "cg3"};

    if (!strcmp(arg, "none"))
        return true;
    if (!strcmp(arg, "help")) {
        puts("none                 no graphic card\n"
             "std, cirrus, virtio  taken, but this board makes none of them: use -device bochs-display, ramfb or "
             "virtio-gpu-pci");
        ((struct qemu_cli *)ctx)->done = true;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(built_elsewhere); i++)
        if (!strcmp(arg, built_elsewhere[i]))
            return err_set(e, "%s is not available", arg);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!strcmp(arg, known[i])) {
            fprintf(
                stderr,
                "%s: warning: A -vga option was passed but this machine type does not use that option; No VGA device "
                "has been created (-device bochs-display, ramfb and virtio-gpu-pci are screens)\n",
                ((struct qemu_cli *)ctx)->c->program);
            return true;
        }
    return err_set(e, "unknown vga type: %s", arg);
}

bool qemu_parallel(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    return !strcmp(arg, "none") || err_set(e, "this board has no parallel port");
}

bool qemu_nographic(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct qemu_cli *)ctx)->nographic = true;
    return true;
}

bool qemu_echr(void *ctx, const char *arg, struct err *e)
{
    uint64_t v;

    if (!parse_u64(arg, &v) || v > 255)
        return err_set(e, "expected a character code, 0 to 255");
    ((struct qemu_cli *)ctx)->c->escape = (unsigned)v;
    return true;
}

/*
 * Serial port and monitor when nothing was said (QEMU system/vl.c, qemu_create_default_devices): -nographic muxes both on
 * the terminal; with only one of them given the other one takes the terminal if it is free.
 */
bool qemu_finish_consoles(struct qemu_cli *q, struct err *e)
{
    bool stdio_taken = false;
    struct machine_config *c = q->c;

    for (unsigned i = 0; i < q->serials; i++)
        stdio_taken |= strstr(q->serial[i], "stdio") != NULL;
    for (unsigned i = 0; i < c->chardevs; i++)
        stdio_taken |= c->chardev[i].kind == CHARDEV_STDIO;
    for (unsigned i = 0; i < q->monitors; i++)
        stdio_taken |= strstr(q->monitor[i], "stdio") != NULL;
    if (c->display.window && !q->nographic) { /* as QEMU: what was not placed elsewhere is in the window */
        if (!q->serials && !q->nodefaults)
            q->serial[q->serials++] = "vc";
        if (!q->monitors && !q->mons && !q->nodefaults)
            q->monitor[q->monitors++] = "vc";
    } else if (!q->nodefaults && (!c->display.given || q->nographic)) { /* our default, too: there is no window */
        if (!q->serials && !q->monitors && !q->mons && !stdio_taken)
            q->serial[q->serials++] = "mon:stdio";
        else if (!q->serials && !stdio_taken)
            q->serial[q->serials++] = "stdio";
        else if (!q->monitors && !q->mons && !stdio_taken)
            q->monitor[q->monitors++] = "stdio";
    }
    for (unsigned i = 0; i < q->serials; i++) {
        char label[24];

        snprintf(label, sizeof label, "serial%u", i);
        if (c->serials == CONFIG_SERIALS)
            return err_set(e, "-serial: more than %d", CONFIG_SERIALS);
        if (!config_chardev_spec(c, q->serial[i], label, &c->serial[c->serials], e))
            return err_prefix(e, "-serial");
        c->serials++;
    }
    for (unsigned i = 0; i < q->monitors; i++) {
        int n;

        if (!config_chardev_spec(c, q->monitor[i], "monitor", &n, e))
            return err_prefix(e, "-monitor");
        if (n >= 0 && !config_add_monitor(c, n, e))
            return false;
    }
    for (unsigned i = 0; i < q->mons; i++) {
        int n = config_chardev_find(c, q->mon[i]);

        if (n < 0)
            return err_set(e, "-mon: no character device '%s'", q->mon[i]);
        if (!config_add_monitor(c, n, e))
            return false;
    }
    return true;
}
