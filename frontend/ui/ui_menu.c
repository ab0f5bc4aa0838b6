/*
 * The menu: keys that the host takes away before they come here, the tabs, and what the hot keys do. Over the picture,
 * driven by keys and pointer.
 */
#include <linux/input-event-codes.h>
#include <stdio.h>

#include "base/bits.h"
#include "frontend/ui/ui_parts.h"

enum { COMBO = 4, ITEMS = 80 };

enum entry_kind { ENTRY_HEADING, ENTRY_SEND, ENTRY_TAB, ENTRY_ACTION, ENTRY_MACHINE };

struct entry {
    enum entry_kind kind;
    const char *text;
    uint16_t keys[COMBO + 1];           /* SEND */
    void (*action)(struct ui_window *); /* ACTION */
    const char *key;                    /* ACTION: after the hot modifiers; NULL: none */
    bool guest_only;
    unsigned tab;            /* TAB */
    void (*machine)(void *); /* MACHINE */
};

static void full_screen(struct ui_window *w) { ui_set_full_screen(w, !w->full_screen); }
static void grab(struct ui_window *w) { ui_set_grab(w, !w->grabbed); }
static void larger(struct ui_window *w) { ui_zoom(w, 1); }
static void smaller(struct ui_window *w) { ui_zoom(w, -1); }
static void usual(struct ui_window *w) { ui_zoom(w, 0); }

#define CTRL_ALT(key)                                                                                                  \
    {                                                                                                                  \
        KEY_LEFTCTRL, KEY_LEFTALT, key                                                                                 \
    }
#define SYSRQ(key)                                                                                                     \
    {                                                                                                                  \
        KEY_LEFTALT, KEY_SYSRQ, key                                                                                    \
    }

static const struct entry sends[] = {
    {ENTRY_HEADING, "Send to the guest", {0}, NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-Del", CTRL_ALT(KEY_DELETE), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-Backspace", CTRL_ALT(KEY_BACKSPACE), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-F1", CTRL_ALT(KEY_F1), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-F2", CTRL_ALT(KEY_F2), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-F3", CTRL_ALT(KEY_F3), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Ctrl-Alt-F7", CTRL_ALT(KEY_F7), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Alt-Tab", {KEY_LEFTALT, KEY_TAB}, NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Alt-F4", {KEY_LEFTALT, KEY_F4}, NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Super", {KEY_LEFTMETA}, NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "Print Screen", {KEY_SYSRQ}, NULL, NULL, true, 0, NULL},
    {ENTRY_ACTION, "The clipboard, as typed on a US keyboard", {0}, ui_paste, NULL, true, 0, NULL},
    {ENTRY_HEADING, "SysRq, to the guest's kernel", {0}, NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "H: help", SYSRQ(KEY_H), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "T: list tasks", SYSRQ(KEY_T), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "W: blocked tasks", SYSRQ(KEY_W), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "M: memory", SYSRQ(KEY_M), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "S: sync disks", SYSRQ(KEY_S), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "U: disks read-only", SYSRQ(KEY_U), NULL, NULL, true, 0, NULL},
    {ENTRY_SEND, "B: reboot at once", SYSRQ(KEY_B), NULL, NULL, true, 0, NULL},
};

static const struct entry actions[] = {
    {ENTRY_HEADING, "Window", {0}, NULL, NULL, false, 0, NULL},
    {ENTRY_ACTION, "Full screen", {0}, full_screen, "F", false, 0, NULL},
    {ENTRY_ACTION, "Grab keyboard and pointer", {0}, grab, "G", true, 0, NULL},
    {ENTRY_ACTION, "Larger", {0}, larger, "+", false, 0, NULL},
    {ENTRY_ACTION, "Smaller", {0}, smaller, "-", false, 0, NULL},
    {ENTRY_ACTION, "Usual size", {0}, usual, "0", false, 0, NULL},
    {ENTRY_ACTION, "Window as large as the picture", {0}, ui_unscaled, "U", true, 0, NULL},
    {ENTRY_ACTION, "Save a picture of it", {0}, ui_screenshot, "S", false, 0, NULL},
};

struct menu {
    struct entry entry[ITEMS];
    struct overlay_item item[ITEMS];
    char key[ITEMS][32];
    unsigned n;
};

static void add(struct menu *m, const struct ui_window *w, const struct entry *e)
{
    const char *hot = ui_hot_name(w->ui);

    if (m->n == ITEMS || (e->guest_only && !ui_current(w)->keys_to_guest))
        return;
    m->key[m->n][0] = 0;
    if (e->kind == ENTRY_ACTION && e->key)
        snprintf(m->key[m->n], sizeof m->key[0], "%s-%s", hot, e->key);
    else if (e->kind == ENTRY_TAB && e->tab < 9)
        snprintf(m->key[m->n], sizeof m->key[0], "%s-%u", hot, e->tab + 1);
    m->entry[m->n] = *e;
    m->item[m->n] = (struct overlay_item){e->text, m->key[m->n], e->kind == ENTRY_HEADING};
    m->n++;
}

static void build(struct menu *m, const struct ui_window *w)
{
    m->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        add(m, w, &actions[i]);
    if (w->tabs > 1)
        add(m, w, &(struct entry){.kind = ENTRY_HEADING, .text = "Show"});
    for (unsigned i = 0; i < w->tabs && w->tabs > 1; i++)
        add(m, w, &(struct entry){.kind = ENTRY_TAB, .text = w->tab[i]->name, .tab = i});
    for (const struct ui_action *a = w->ui->options.actions; a && a->name; a++) {
        if (a == w->ui->options.actions)
            add(m, w, &(struct entry){.kind = ENTRY_HEADING, .text = "Machine"});
        add(m, w, &(struct entry){.kind = ENTRY_MACHINE, .text = a->name, .machine = a->run});
    }
    for (size_t i = 0; i < ARRAY_LEN(sends); i++)
        add(m, w, &sends[i]);
}

void ui_menu_open(struct ui_window *w)
{
    ui_set_grab(w, false);
    w->menu_state.open = true;
    w->menu_state.chosen = 1;
    ui_redraw(w);
}

void ui_menu_close(struct ui_window *w)
{
    w->menu_state.open = false;
    ui_redraw(w);
}

static void choose(struct ui_window *w, const struct menu *m, unsigned i)
{
    const struct entry *e = &m->entry[i];

    ui_menu_close(w);
    switch (e->kind) {
    case ENTRY_HEADING: break;
    case ENTRY_SEND: ui_send_keys(w, e->keys); break;
    case ENTRY_TAB: ui_show_tab(w, e->tab); break;
    case ENTRY_ACTION: e->action(w); break;
    case ENTRY_MACHINE: e->machine(w->ui->hooks.arg); break;
    }
}

static void move(struct ui_window *w, const struct menu *m, unsigned step)
{
    do
        w->menu_state.chosen = (w->menu_state.chosen + step) % m->n;
    while (m->item[w->menu_state.chosen].heading);
    ui_redraw(w);
}

void ui_menu_key(struct ui_window *w, const struct host_event *e)
{
    struct menu m;

    build(&m, w);
    switch (e->code) {
    case KEY_ESC: ui_menu_close(w); break;
    case KEY_UP: move(w, &m, m.n - 1); break;
    case KEY_DOWN:
    case KEY_TAB: move(w, &m, 1); break;
    case KEY_ENTER:
    case KEY_KPENTER:
    case KEY_SPACE: choose(w, &m, w->menu_state.chosen < m.n ? w->menu_state.chosen : 1); break;
    case KEY_HOME:
        w->menu_state.chosen = m.n - 1;
        move(w, &m, 1);
        break;
    case KEY_END:
        w->menu_state.chosen = 0;
        move(w, &m, m.n - 1);
        break;
    case KEY_M:
        if (!e->repeat && e->mods & (UI_CTRL | UI_ALT)) /* once more: away */
            ui_menu_close(w);
        break;
    default: break;
    }
}

void ui_menu_pointer(struct ui_window *w, const struct host_event *e)
{
    struct menu m;
    unsigned at;

    if (e->type != HOST_MOTION && (e->type != HOST_BUTTON || !e->down))
        return;
    build(&m, w);
    at = overlay_list_at(w->ui, &w->menu, &(struct ui_rect){0, 0, w->size.width, w->size.height}, w->size.density,
                         m.item, m.n, w->menu_state.chosen, e->x, e->y);
    if (e->type == HOST_BUTTON) {
        if (at == m.n) {
            ui_menu_close(w);
        } else if (!m.item[at].heading) {
            choose(w, &m, at);
        }
    } else if (at < m.n && at != w->menu_state.chosen && !m.item[at].heading) {
        w->menu_state.chosen = at;
        ui_redraw(w);
    }
}

void ui_menu_draw(struct ui_window *w, const struct canvas *frame)
{
    struct menu m;

    build(&m, w);
    overlay_list(w->ui, &w->menu, frame, w->size.density, m.item, m.n, w->menu_state.chosen);
}
