/* The monitor: line editing, the command table, help and completion. See monitor.h. */
#include "frontend/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/machine.h"
#include "frontend/version.h"

enum { LINE_MAX_LEN = 1024, HISTORY = 32 };

struct monitor {
    struct machine *machine;
    struct chardev *chr;
    bool qemu, greeted, focused;
    char line[LINE_MAX_LEN];
    size_t len;
    char *history[HISTORY];
    unsigned history_count, history_at;
    unsigned escape_state; /* of an arrow key's sequence: 1 after ESC, 2 after ESC [ */
    bool last_cr;
    char *pending; /* output the host end did not take yet */
    size_t pending_len;
};

char *monitor_word(char **p)
{
    char *w;

    *p += strspn(*p, " \t");
    if (!**p)
        return NULL;
    w = *p;
    *p += strcspn(*p, " \t");
    if (**p)
        *(*p)++ = 0;
    return w;
}

static void rows_help(const struct monitor_row *rows, const char *prefix, FILE *out)
{
    for (; rows->name; rows++)
        fprintf(out, "%s%s%s%s -- %s\n", prefix, rows->name, rows->args ? " " : "", rows->args ? rows->args : "",
                rows->help);
}

static const struct monitor_row *find_row(const struct monitor_row *rows, const char *name)
{
    for (; rows->name; rows++) {
        const char *n = rows->name;
        size_t len = strlen(name);

        while (*n) { /* names are "quit|q" */
            size_t w = strcspn(n, "|");

            if (w == len && !memcmp(n, name, w))
                return rows;
            n += w + (n[w] == '|');
        }
    }
    return NULL;
}

static const struct monitor_row commands[];

static void cmd_help(struct machine *m, char *args, FILE *out)
{
    char *word = monitor_word(&args);

    (void)m;
    if (word && !strcmp(word, "info")) {
        rows_help(monitor_info_rows, "info ", out);
    } else if (word) {
        const struct monitor_row *r = find_row(commands, word);

        if (r)
            fprintf(out, "%s%s%s -- %s\n", r->name, r->args ? " " : "", r->args ? r->args : "", r->help);
        else
            fprintf(out, "unknown command: '%s'\n", word);
    } else {
        rows_help(commands, "", out);
    }
}

static void cmd_info(struct machine *m, char *args, FILE *out)
{
    char *word = monitor_word(&args);
    const struct monitor_row *r = word ? find_row(monitor_info_rows, word) : NULL;

    if (r)
        r->run(m, args, out);
    else if (word)
        fprintf(out, "unknown command: 'info %s'\n", word);
    else
        rows_help(monitor_info_rows, "info ", out);
}

static void cmd_x(struct machine *m, char *args, FILE *out) { monitor_examine(m, args, false, out); }
static void cmd_xp(struct machine *m, char *args, FILE *out) { monitor_examine(m, args, true, out); }

static void cmd_stop(struct machine *m, char *args, FILE *out)
{
    (void)args;
    (void)out;
    machine_stop(m);
}

static void cmd_cont(struct machine *m, char *args, FILE *out)
{
    (void)args;
    (void)out;
    machine_cont(m);
}

static void cmd_reset(struct machine *m, char *args, FILE *out)
{
    (void)args;
    (void)out;
    machine_request(m, MACHINE_RESET, 0);
}

static void cmd_powerdown(struct machine *m, char *args, FILE *out)
{
    struct err e;

    (void)args;
    if (!machine_powerdown(m, &e))
        fprintf(out, "%s\n", e.msg);
}

static void cmd_quit(struct machine *m, char *args, FILE *out)
{
    (void)args;
    (void)out;
    machine_request_quit(m, 0);
}

static void cmd_snap(struct machine *m, char *args, FILE *out)
{
    const char *verb = monitor_word(&args), *name = monitor_word(&args);

    machine_snap(m, verb ? verb : "", name, out);
}

static const struct monitor_row commands[] = {
    {"help|?", "[COMMAND]", "this list, or one command", cmd_help},
    {"info", "SUBJECT", "show state; help info lists the subjects", cmd_info},
    {"x", "/FMT ADDR", "virtual memory; FMT is count, format (x d u o c i) and size (b h w g)", cmd_x},
    {"xp", "/FMT ADDR", "physical memory", cmd_xp},
    {"stop|s", NULL, "stop the machine", cmd_stop},
    {"cont|c", NULL, "go on", cmd_cont},
    {"system_reset", NULL, "reset the machine", cmd_reset},
    {"system_powerdown", NULL, "ask the guest to power off", cmd_powerdown},
    {"block_resize", "DISK SIZE", "grow a disk; the guest is told", monitor_block_resize},
    {"block_set_io_throttle", "DISK BPS BPS_RD BPS_WR IOPS IOPS_RD IOPS_WR | DISK key=value,...",
     "limits of a disk, 0: none", monitor_block_limits},
    {"mirror_replace", "DISK MEMBER FILE", "another file for a member of a mirror; it is filled",
     monitor_mirror_replace},
    {"snap", "take NAME|list|delete NAME", "snapshots of the disks, while the machine runs", cmd_snap},
    {"commit", "all|DISK", "write what a snapshot run changed into the disks' files", monitor_commit},
    {"hostfwd_add", "[NET] [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT",
     "forward a port of the host to the guest", monitor_hostfwd_add},
    {"hostfwd_remove", "[NET] [tcp|udp]:[HOSTADDR]:HOSTPORT", "forward it no more", monitor_hostfwd_remove},
    {"set_link", "NET on|off", "pull a network cable, or plug it in", monitor_set_link},
    {"net_set", "NET [drop=1%,delay=10ms,jitter=,rate=100mbit,reorder=,duplicate=,seed=|off]",
     "impair a network, or show how it is", monitor_net_set},
    {"net_capture", "NET start FILE [FILTER]|stop [FILE]", "record frames as pcapng", monitor_net_capture},
    {"screendump", "FILE [-f ppm|png] [DEVICE [HEAD]]", "a picture of the screen; PNG when FILE ends so",
     monitor_screendump},
    {"sendkey", "KEY[-KEY...] [HOLD_MS]", "press keys and release them 100 ms later: sendkey ctrl-alt-f1",
     monitor_sendkey},
    {"type", "TEXT", "type on a US keyboard; \\n is Enter, \\t Tab, \\b Backspace, \\e Escape", monitor_type},
    {"release_keys", NULL, "release all keys and buttons that are down; what waits is not typed", monitor_release_keys},
    {"mouse_move", "X Y [Z]", "move the pointer by pixels, a tablet's to a place of 0..32767; Z: turn the wheel",
     monitor_mouse_move},
    {"mouse_button", "MASK", "the pointer's buttons that are down: 1 left, 2 right, 4 middle, 8 side, 16 extra",
     monitor_mouse_button},
    {"mouse_set", "NUMBER", "which pointer hears of motion; see info mice", monitor_mouse_set},
    {"quit|q", NULL, "end the emulator", cmd_quit},
    {0},
};

const struct monitor_row *monitor_rows(void) { return commands; }

void monitor_execute(struct machine *m, const char *line, FILE *out)
{
    char buf[LINE_MAX_LEN], *p = buf, *word;
    const struct monitor_row *r;
    char *slash;

    snprintf(buf, sizeof buf, "%s", line);
    /* "x/4xw ADDR" is "x /4xw ADDR" */
    slash = strchr(buf, '/');
    if (slash && (slash - buf == 1 || slash - buf == 2) && buf[0] == 'x' && strlen(buf) + 2 < sizeof buf) {
        memmove(slash + 1, slash, strlen(slash) + 1);
        *slash = ' ';
    }
    word = monitor_word(&p);
    if (!word)
        return;
    r = find_row(commands, word);
    if (r)
        r->run(m, p, out);
    else
        fprintf(out, "unknown command: '%s'\n", word);
}

static void complete_rows(const struct monitor_row *rows, const char *prefix, void (*fn)(void *arg, const char *word),
                          void *arg)
{
    for (; rows->name; rows++) {
        char name[32];

        snprintf(name, sizeof name, "%.*s", (int)strcspn(rows->name, "|"), rows->name);
        if (!strncmp(name, prefix, strlen(prefix)))
            fn(arg, name);
    }
}

void monitor_complete(const char *typed, void (*fn)(void *arg, const char *word), void *arg)
{
    typed += strspn(typed, " ");
    if (!strncmp(typed, "info ", 5))
        complete_rows(monitor_info_rows, typed + 5 + strspn(typed + 5, " "), fn, arg);
    else if (!strncmp(typed, "help ", 5))
        complete_rows(commands, typed + 5 + strspn(typed + 5, " "), fn, arg);
    else if (!strncmp(typed, "sendkey ", 8))
        monitor_complete_keys(typed + 8 + strspn(typed + 8, " "), fn, arg);
    else if (!strchr(typed, ' '))
        complete_rows(commands, typed, fn, arg);
}

/* --- output --- */

static void put_bytes(struct monitor *mon, const char *text, size_t len)
{
    size_t done = 0;
    char *more;

    if (!mon->pending_len)
        done = mon->chr->write(mon->chr, (const uint8_t *)text, len);
    if (done == len)
        return;
    more = realloc(mon->pending, mon->pending_len + len - done);
    if (!more)
        return; /* an answer is lost, the monitor lives on */
    memcpy(more + mon->pending_len, text + done, len - done);
    mon->pending = more;
    mon->pending_len += len - done;
}

/* \n becomes \r\n. */
static void print(struct monitor *mon, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        put_bytes(mon, text, n);
        text += n;
        if (*text) {
            put_bytes(mon, "\r\n", 2);
            text++;
        }
    }
}

static void prompt(struct monitor *mon) { print(mon, mon->qemu ? "(qemu) " : "(guise) "); }

static void greet(struct monitor *mon)
{
    char text[96];

    if (mon->qemu)
        snprintf(text, sizeof text, "QEMU %s monitor - type 'help' for more information\n", QEMU_VERSION);
    else
        snprintf(text, sizeof text, "guise %s monitor - type 'help' for more information\n", GUISE_VERSION);
    print(mon, text);
    mon->greeted = true;
    prompt(mon);
}

static void monitor_writable(void *dev)
{
    struct monitor *mon = dev;
    size_t done = mon->pending_len ? mon->chr->write(mon->chr, (uint8_t *)mon->pending, mon->pending_len) : 0;

    memmove(mon->pending, mon->pending + done, mon->pending_len - done);
    mon->pending_len -= done;
}

/* --- input --- */

static void remember(struct monitor *mon)
{
    char *copy = mon->len ? strdup(mon->line) : NULL;

    if (copy) {
        if (mon->history_count == HISTORY) {
            free(mon->history[0]);
            memmove(mon->history, mon->history + 1, sizeof mon->history - sizeof mon->history[0]);
            mon->history_count--;
        }
        mon->history[mon->history_count++] = copy;
    }
    mon->history_at = mon->history_count;
}

static void execute(struct monitor *mon)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    print(mon, "\n");
    remember(mon);
    if (out) {
        monitor_execute(mon->machine, mon->line, out);
        fclose(out);
        print(mon, text);
        free(text);
    }
    mon->len = 0;
    mon->line[0] = 0;
    prompt(mon);
}

static void erase(struct monitor *mon, size_t n)
{
    for (; n && mon->len; n--) {
        mon->line[--mon->len] = 0;
        put_bytes(mon, "\b \b", 3);
    }
}

static void insert(struct monitor *mon, const char *text)
{
    for (; *text && mon->len < sizeof mon->line - 1; text++) {
        mon->line[mon->len++] = *text;
        mon->line[mon->len] = 0;
        put_bytes(mon, text, 1);
    }
}

static void recall(struct monitor *mon, int step)
{
    unsigned at = mon->history_at + (unsigned)step;

    if (at > mon->history_count) /* also below 0, by wrapping */
        return;
    mon->history_at = at;
    erase(mon, mon->len);
    if (at < mon->history_count)
        insert(mon, mon->history[at]);
}

struct completion {
    char common[64];
    unsigned count;
    char all[1024];
};

static void collect(void *arg, const char *word)
{
    struct completion *c = arg;
    size_t n = 0, used = strlen(c->all);

    if (!c->count++)
        snprintf(c->common, sizeof c->common, "%s", word);
    while (c->common[n] && c->common[n] == word[n])
        n++;
    c->common[n] = 0;
    snprintf(c->all + used, sizeof c->all - used, "%s ", word);
}

static void complete(struct monitor *mon)
{
    struct completion c = {.count = 0};
    const char *last = strrchr(mon->line, ' ');
    size_t typed = strlen(last ? last + 1 : mon->line);

    monitor_complete(mon->line, collect, &c);
    if (!c.count)
        return;
    if (strlen(c.common) > typed)
        insert(mon, c.common + typed);
    if (c.count == 1) {
        insert(mon, " ");
    } else if (strlen(c.common) == typed) {
        char line[LINE_MAX_LEN];

        snprintf(line, sizeof line, "%s", mon->line);
        print(mon, "\n");
        print(mon, c.all);
        print(mon, "\n");
        prompt(mon);
        print(mon, line);
    }
}

static void erase_word(struct monitor *mon)
{
    while (mon->len && mon->line[mon->len - 1] == ' ')
        erase(mon, 1);
    while (mon->len && mon->line[mon->len - 1] != ' ')
        erase(mon, 1);
}

/* Arrow keys. true: the byte belonged to a sequence. */
static bool arrow(struct monitor *mon, uint8_t byte)
{
    if (mon->escape_state == 1) {
        mon->escape_state = byte == '[' ? 2 : 0;
        return true;
    }
    if (mon->escape_state == 2) {
        if (byte < 0x40) /* parameters */
            return true;
        mon->escape_state = 0;
        if (byte == 'A')
            recall(mon, -1);
        else if (byte == 'B')
            recall(mon, 1);
        return true;
    }
    return false;
}

static void take_byte(struct monitor *mon, uint8_t byte)
{
    bool was_cr = mon->last_cr;
    char text[2] = {(char)byte, 0};

    mon->last_cr = byte == '\r';
    if (arrow(mon, byte) || (byte == '\n' && was_cr))
        return;
    switch (byte) {
    case '\r':
    case '\n': execute(mon); break;
    case '\b':
    case 0x7f: erase(mon, 1); break;
    case '\t': complete(mon); break;
    case 0x15: erase(mon, mon->len); break; /* Ctrl-U */
    case 0x17: erase_word(mon); break;      /* Ctrl-W */
    case 0x10: recall(mon, -1); break;      /* Ctrl-P */
    case 0x0e: recall(mon, 1); break;       /* Ctrl-N */
    case 0x03: erase(mon, mon->len); break; /* Ctrl-C */
    case 0x1b: mon->escape_state = 1; break;
    default:
        if (byte >= ' ')
            insert(mon, text);
    }
}

static size_t monitor_room(void *dev) { return ((struct monitor *)dev)->pending_len > 65536 ? 0 : 256; }

static void monitor_receive(void *dev, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        take_byte(dev, buf[i]);
}

static void monitor_event(void *dev, enum chardev_event e)
{
    struct monitor *mon = dev;

    if (e == CHARDEV_OPENED && !mon->focused) {
        mon->len = 0;
        mon->line[0] = 0;
        mon->pending_len = 0;
        greet(mon);
    }
}

void monitor_focus(void *arg, bool in)
{
    struct monitor *mon = arg;

    mon->focused = true; /* a mux decides when we speak */
    if (!in || !mon->chr)
        return;
    if (!mon->greeted)
        greet(mon);
    else
        prompt(mon);
}

struct monitor *monitor_new(struct machine *m)
{
    struct monitor *mon = calloc(1, sizeof *mon);

    if (mon) {
        mon->machine = m;
        mon->qemu = machine_config_of(m)->qemu;
    }
    return mon;
}

void monitor_free(struct monitor *mon)
{
    if (!mon)
        return;
    for (unsigned i = 0; i < mon->history_count; i++)
        free(mon->history[i]);
    free(mon->pending);
    free(mon);
}

void monitor_attach(struct monitor *mon, struct chardev *c, bool greet_now)
{
    mon->chr = c;
    c->dev = mon;
    c->room = monitor_room;
    c->receive = monitor_receive;
    c->writable = monitor_writable;
    c->event = monitor_event;
    mon->focused = !greet_now;
    if (greet_now && c->open)
        greet(mon);
}
