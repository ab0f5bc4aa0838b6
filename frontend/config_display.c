/* What -display and --display say: a window or none, and its properties. Names are QEMU's. */
#include <string.h>

#include "base/bits.h"
#include "frontend/config.h"

/* Display types that QEMU has and we have not. */
static const struct {
    const char *name, *why;
} missing[] = {
    {"gtk", "there is one kind of window here: sdl"},
    {"cocoa", "there is one kind of window here: sdl"},
    {"default", "say sdl or none"},
    {"vnc", "a VNC server is not there yet; there are sdl and none"},
    {"spice-app", "SPICE is not there; there are sdl and none"},
    {"curses", "text in the terminal is not there: use -nographic, with console=ttyS0 in the guest"},
    {"egl-headless", "OpenGL for guests is not there; there are sdl and none"},
    {"dbus", "displays for other programs are not there; there are sdl and none"},
};

void config_display_help(FILE *out)
{
    fputs("Displays:\n"
          "  none      no window; `screendump` in the monitor takes a picture\n"
          "  sdl       a window (its other name: window), with\n"
          "            full-screen=on|off\n"
          "            grab-mod=lctrl-lalt|rctrl|lshift-lctrl-lalt   what is held with the window's own keys\n"
          "            window-close=on|off    off: it cannot be closed\n"
          "            show-cursor=on|off     on: this host's pointer is always seen\n"
          "            scaling=smooth|whole   whole: enlarge by whole numbers only\n",
          out);
}

static bool grab_mod(struct display_config *d, const char *word, struct err *e)
{
    static const char *const names[] = {
        [GRAB_CTRL_ALT] = "lctrl-lalt", [GRAB_RIGHT_CTRL] = "rctrl", [GRAB_SHIFT_CTRL_ALT] = "lshift-lctrl-lalt"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(word, names[i])) {
            d->keys = (enum grab_keys)i;
            return true;
        }
    return err_set(e, "grab-mod=%s: expected rctrl, lshift-lctrl-lalt or lctrl-lalt", word);
}

static bool properties(struct display_config *d, struct keyvals *k, struct err *e)
{
    const char *gl = kv_get(k, "gl"), *grab = kv_get(k, "grab-mod"), *scaling = kv_get(k, "scaling");
    bool close = !d->no_close;

    if (gl && strcmp(gl, "off"))
        return err_set(e, "gl=%s: OpenGL for guests is not there; leave it out", gl);
    if (scaling && strcmp(scaling, "smooth") && strcmp(scaling, "whole"))
        return err_set(e, "scaling=%s: expected smooth or whole", scaling);
    if ((grab && !grab_mod(d, grab, e)) || !kv_bool(k, "full-screen", &d->full_screen, e) ||
        !kv_bool(k, "window-close", &close, e) || !kv_bool(k, "show-cursor", &d->show_cursor, e))
        return false;
    d->no_close = !close;
    d->whole = scaling ? !strcmp(scaling, "whole") : d->whole;
    return true;
}

/* vnc=:0 is QEMU's way to say it, so that the name may end in '='. */
static bool is_there(const char *spec, struct err *e)
{
    size_t n = strcspn(spec, ",=");

    for (size_t i = 0; i < ARRAY_LEN(missing); i++)
        if (n == strlen(missing[i].name) && !strncmp(spec, missing[i].name, n))
            return err_set(e, "%s", missing[i].why);
    return true;
}

static bool type(struct display_config *d, const char *name, struct err *e)
{
    d->window = !strcmp(name, "sdl") || !strcmp(name, "window");
    return d->window || !strcmp(name, "none") || err_set(e, "no display '%s'; there are sdl and none", name);
}

bool config_set_display(struct machine_config *c, const char *spec, struct err *e)
{
    struct keyvals k;
    bool ok = kv_parse(&k, spec, "type", e) && is_there(spec, e);
    const char *name = ok ? kv_get(&k, "type") : NULL;

    if (ok && !name)
        ok = err_set(e, "no display named");
    ok = ok && type(&c->display, name, e);
    if (ok && c->display.window)
        ok = properties(&c->display, &k, e);
    ok = ok && kv_done(&k, e);
    c->display.given = true;
    kv_free(&k);
    return ok;
}
