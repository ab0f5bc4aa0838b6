/* The command line of `guise snap`. See snap.h for what it does. */
#include "frontend/snap_cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/options.h"
#include "frontend/snap.h"

struct snap_cli {
    const char *word[SNAP_DISKS + 4];
    unsigned words;
    const char *branch, *control;
    bool discard, json, help;
};

static bool set_branch(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct snap_cli *)ctx)->branch = arg;
    return true;
}

static bool set_control(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct snap_cli *)ctx)->control = arg;
    return true;
}

static bool set_discard(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct snap_cli *)ctx)->discard = true;
    return true;
}

static bool set_output(void *ctx, const char *arg, struct err *e)
{
    if (strcmp(arg, "json") && strcmp(arg, "human"))
        return err_set(e, "expected json or human");
    ((struct snap_cli *)ctx)->json = !strcmp(arg, "json");
    return true;
}

static bool set_help(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct snap_cli *)ctx)->help = true;
    return true;
}

static const struct option_row options[] = {
    {"Options", 0, 0, 0, 0},
    {"branch", "NAME", "the state to work on (default: the first, main)", set_branch, NULL},
    {"discard", NULL, "restore: what was changed since the last snapshot may go", set_discard, NULL},
    {"output", "human|json", "list: for programs", set_output, "human|json"},
    {"control", "SOCKET", "ask a running machine (its --monitor unix:SOCKET): take, list, delete without SET",
     set_control, NULL},
    {"help", NULL, "print this", set_help, NULL},
    {"h", NULL, NULL, set_help, NULL},
    {0},
};

static bool take_word(void *ctx, const char *arg, struct err *e)
{
    struct snap_cli *c = ctx;

    if (c->words == ARRAY_LEN(c->word))
        return err_set(e, "too many words");
    c->word[c->words++] = arg;
    return true;
}

/* --- commands --- */

static bool shown(void *arg, uint64_t done, uint64_t all)
{
    const int *fd = arg;
    struct signalfd_siginfo info;

    if (isatty(2))
        fprintf(stderr, "\rmerging: %3u %%", all ? (unsigned)(done >= all ? 100 : done * 100 / all) : 0);
    return read(*fd, &info, sizeof info) != sizeof info; /* Ctrl-C: stop where it can go on */
}

static bool cmd_take(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    struct snap_head *h = snap_head(s, c->branch, e);
    char before[SNAP_DISKS][SNAP_PATH];

    if (!h)
        return false;
    memcpy(before, h->path, sizeof before);
    if (!snap_take(s, h, c->word[2], e))
        return false;
    for (unsigned i = 0; i < s->disks; i++)
        if (strcmp(before[i], h->path[i]))
            printf("%s is kept as it was; from now on use %s%s\n", before[i], h->path[i][0] == '/' ? "" : s->dir,
                   h->path[i]);
    return true;
}

static bool cmd_list(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    (void)e;
    if (c->json)
        snap_list_json(s, stdout);
    else
        snap_list(s, stdout);
    return true;
}

static bool cmd_restore(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    struct snap_head *h = snap_head(s, c->branch, e);
    struct snap_node *n = h ? snap_find(s, c->word[2], e) : NULL;

    return n && snap_restore(s, h, n, c->discard, e);
}

static bool cmd_branch(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    struct snap_node *n = snap_find(s, c->word[2], e);

    if (!n || !snap_branch(s, n, c->word[3], e))
        return false;
    for (unsigned i = 0; i < s->disks; i++)
        printf("%s%s\n", s->head[s->heads - 1].path[i][0] == '/' ? "" : s->dir, s->head[s->heads - 1].path[i]);
    return true;
}

static bool cmd_delete(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    struct snap_node *n = snap_find(s, c->word[2], e);
    struct err none;
    struct snap_head *h = n ? NULL : snap_head(s, c->word[2], &none);
    sigset_t set;
    int fd;
    bool ok;

    if (h)
        return snap_delete_head(s, h, e);
    if (!n)
        return false;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    ok = snap_delete(s, n, shown, &fd, e);
    if (isatty(2))
        fputc('\n', stderr);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool cmd_tidy(struct snap_cli *c, struct snap_set *s, struct err *e)
{
    (void)c;
    return snap_tidy(s, NULL, NULL, e);
}

static const struct {
    const char *name, *args, *help;
    unsigned min, max; /* words after the name */
    bool (*run)(struct snap_cli *c, struct snap_set *s, struct err *e);
} commands[] = {
    {"take", "SET NAME [DISK...]", "freeze the disks as they are; the first take makes SET of the disks named", 2,
     2 + SNAP_DISKS, cmd_take},
    {"list", "SET", "the tree, with sizes and times; * is a state that goes on", 1, 1, cmd_list},
    {"restore", "SET NAME", "go back to a snapshot", 2, 2, cmd_restore},
    {"branch", "SET NAME NEW", "go on from a snapshot beside the present state, in disks of their own", 3, 3,
     cmd_branch},
    {"delete", "SET NAME", "drop a snapshot, merging what others need of it; or a branch", 2, 2, cmd_delete},
    {"tidy", "SET", "merge what deletes on a running machine, or interrupted ones, have left", 1, 1, cmd_tidy},
};

static int help(void)
{
    puts("usage: guise snap COMMAND SET ...\n\nSnapshots of the disks of a machine that is off; SET is a file beside "
         "them "
         "(.snaps).\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-8s %-20s %s\n", commands[i].name, commands[i].args, commands[i].help);
    putchar('\n');
    options_help(options, "--", stdout);
    return 0;
}

static bool sub(unsigned n, struct doc_sub *s)
{
    if (n >= ARRAY_LEN(commands))
        return false;
    *s = (struct doc_sub){.name = commands[n].name, .args = commands[n].args, .help = commands[n].help};
    return true;
}

const struct doc snap_doc = {.usage = "COMMAND [options] SET ...", .options = options, .dash = "--", .sub = sub};

static bool run_on_set(struct snap_cli *c, size_t command, struct err *e)
{
    char path[SNAP_PATH];
    struct snap_set *s;
    size_t n = strlen(c->word[1]);
    bool ok, take = commands[command].run == cmd_take;

    snprintf(path, sizeof path, "%s%s", c->word[1], n > 6 && !strcmp(c->word[1] + n - 6, ".snaps") ? "" : ".snaps");
    if (take && !snap_exists(path)) {
        if (c->words < 4)
            return err_set(e, "%s: no such set yet: name its disks", path);
        s = snap_new(path, c->word + 3, c->words - 3, e);
    } else if (take && c->words > 3) {
        return err_set(e, "%s: has its disks already", path);
    } else {
        s = snap_open(path, e);
    }
    ok = s && commands[command].run(c, s, e);
    snap_close(s);
    return ok;
}

/* --- a running machine --- */

/* Read until the prompt; what came before it. */
static bool until_prompt(int fd, char *text, size_t size)
{
    size_t n = 0;

    for (;;) {
        ssize_t got = n + 1 < size ? read(fd, text + n, size - n - 1) : -1;

        if (got <= 0)
            return false;
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "(guise) ") || strstr(text, "(qemu) "))
            return true;
    }
}

static bool ask_machine(const struct snap_cli *c, struct err *e)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char line[512] = "snap", *text = malloc(1 << 20), *p, *end;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = text && fd >= 0 && strlen(c->control) < sizeof to.sun_path;

    for (unsigned i = 0; i < c->words; i++) {
        strncat(line, " ", sizeof line - strlen(line) - 1);
        strncat(line, c->word[i], sizeof line - strlen(line) - 2);
    }
    strcat(line, "\n");
    if (ok)
        strcpy(to.sun_path, c->control);
    ok = (ok && !connect(fd, (struct sockaddr *)&to, sizeof to)) || err_set(e, "%s: %s", c->control, strerror(errno));
    ok = ok && ((until_prompt(fd, text, 1 << 20) && write(fd, line, strlen(line)) == (ssize_t)strlen(line) &&
                 until_prompt(fd, text, 1 << 20)) ||
                err_set(e, "%s: the machine does not answer", c->control));
    if (ok) { /* the echo, the answer, the prompt */
        p = strchr(text, '\n');
        p = p ? p + 1 : text;
        end = strstr(p, "(guise) ");
        if (!end)
            end = strstr(p, "(qemu) ");
        if (end)
            *end = 0;
        for (char *s = p; *s; s++)
            if (*s != '\r')
                putchar(*s);
        ok = strncmp(p, "error: ", 7) != 0;
        if (!ok)
            err_set(e, "the machine refused");
    }
    if (fd >= 0)
        close(fd);
    free(text);
    return ok;
}

int snap_main(int argc, char **argv)
{
    struct snap_cli c = {0};
    struct err e = {{0}};
    bool ok = options_parse(options, &c, argc, argv, 1, take_word, &e), known = false;

    if (ok && (c.help || !c.words || !strcmp(c.word[0], "help")))
        return help();
    if (ok && c.control) {
        ok = ask_machine(&c, &e);
        known = true;
    }
    for (size_t i = 0; ok && !known && i < ARRAY_LEN(commands); i++) {
        if (strcmp(c.word[0], commands[i].name))
            continue;
        known = true;
        ok = (c.words - 1 >= commands[i].min && c.words - 1 <= commands[i].max) ||
             err_set(&e, "%s takes %s", commands[i].name, commands[i].args);
        ok = ok && run_on_set(&c, i, &e);
    }
    if (ok && !known)
        ok = err_set(&e, "no command '%s'; see guise snap help", c.word[0]);
    if (!ok)
        fprintf(stderr, "guise snap: %s\n", e.msg);
    return !ok;
}
