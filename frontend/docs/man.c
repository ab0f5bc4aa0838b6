/*
 * The manual page guise(1), in the macros of man(7): what the tables say, between words that only a page needs.
 */
#include <string.h>

#include "frontend/device_table.h"
#include "frontend/docs/docs.h"
#include "frontend/monitor.h"
#include "frontend/version.h"

/* Text of ours: backslashes and dashes as they are, no line taken for a request. */
static void print_text(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

/* In quotes, for a macro's argument. */
static void print_quoted(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '"')
            fputs("\\(dq", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

/* NAME in bold, the words after it in italics, what it means. */
static void print_item(const char *name, const char *args, const char *help, FILE *out)
{
    fputs(".TP\n\\fB", out);
    print_text(name, out);
    fputs("\\fR", out);
    if (args && *args) {
        fputs(" \\fI", out);
        print_text(args, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    print_text(help, out);
    fputc('\n', out);
}

static void print_row(const struct doc *d, const struct option_row *r, FILE *out)
{
    char names[96] = "";
    size_t at = 0;

    for (const char *n = r->name; *n && at < sizeof names;) {
        size_t w = strcspn(n, "|");

        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s%.*s", at ? ", " : "", w == 1 ? "-" : d->dash,
                               (int)w, n);
        n += w + (n[w] == '|');
    }
    print_item(names, r->arg, r->help, out);
}

static void print_rows(const struct doc *d, const struct option_row *r, FILE *out)
{
    for (; r && r->name; r++) {
        if (!r->set) {
            fputs(".PP\n.I ", out);
            print_quoted(r->name, out);
            fputc('\n', out);
        } else if (doc_row_shown(r)) {
            print_row(d, r, out);
        }
    }
}

static void print_sub(const char *command, const struct doc *d, const struct doc_sub *s, FILE *out)
{
    char name[96];
    bool some = false;

    snprintf(name, sizeof name, "%s %s", command, s->name);
    print_item(name, s->args, s->help, out);
    for (const struct option_row *r = s->options; r && r->name; r++)
        some |= doc_row_shown(r);
    if (!some)
        return;
    fputs(".RS\n", out);
    print_rows(d, s->options, out);
    fputs(".RE\n", out);
}

static void print_command(const struct doc_command *c, FILE *out)
{
    const struct doc *d = c->doc;
    struct doc_sub s;
    char name[64];

    snprintf(name, sizeof name, "guise %s", c->name);
    fputs(".SS ", out);
    print_quoted(name, out);
    if (d && *d->usage) {
        fputc(' ', out);
        print_quoted(d->usage, out);
    }
    fputc('\n', out);
    print_text(c->help, out);
    fputs(".\n", out);
    if (!d)
        return;
    print_rows(d, d->options, out);
    for (unsigned i = 0; d->sub && d->sub(i, &s); i++)
        print_sub(name, d, &s, out);
}

static void print_device(void *arg, const char *name, const char *help)
{
    if (help)
        print_item(name, NULL, help, arg);
}

static void print_monitor(const struct monitor_row *r, const char *before, FILE *out)
{
    char name[64];

    for (; r->name; r++)
        if (r->help) {
            snprintf(name, sizeof name, "%s%s", before, r->name);
            print_item(name, r->args, r->help, out);
        }
}

static const char head[] = //
    ".TH GUISE 1 \"\" \"guise " GUISE_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "guise \\- run operating systems built for another processor\n"
    ".SH SYNOPSIS\n"
    ".B guise\n"
    ".I command\n"
    ".RI [ arguments ]\n"
    ".br\n"
    ".B qemu\\-system\\-riscv64\n"
    ".RI [ options ]\n"
    ".br\n"
    ".B qemu\\-img\n"
    ".I command\n"
    ".RI [ options ]\n"
    ".SH DESCRIPTION\n"
    "guise is a full\\-system emulator with dynamic binary translation: it runs operating systems built for RISC\\-V "
    "64 on\n"
    "this machine, without privilege.\n"
    "Called by one of the other names above it takes that program's command line.\n"
    ".SH COMMANDS\n";

static const char tail[] = //
    ".SH KEYS\n"
    "On a terminal that the guest's console shares with the monitor, Ctrl\\-A and then:\n"
    ".TP\n.B h\nlists the keys\n"
    ".TP\n.B x\nends the machine\n"
    ".TP\n.B c\ngoes to the monitor and back\n"
    ".TP\n.B b\nsends a break\n"
    ".TP\n.B t\nbegins each line with its time, or stops doing so\n"
    ".TP\n.B s\nwrites into the disks' files what a run with \\-\\-snapshot wrote\n"
    ".TP\n.B Ctrl\\-A\nsends Ctrl\\-A itself\n"
    ".SH EXIT STATUS\n"
    "0 when the guest switched the machine off, or the code that the guest gave; 1 when the machine could not be built "
    "or a\n"
    "command failed. guise img has qemu\\-img's codes.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B XDG_RUNTIME_DIR\nwhere named networks have their meeting point\n"
    ".SH EXAMPLES\n"
    ".EX\n"
    "guise run vmlinuz \\-\\-initrd initrd \\-\\-disk disk.qcow2 \\-\\-cpus 2\n"
    "guise img create \\-f qcow2 disk.qcow2 20G\n"
    "guise snap take work first disk.qcow2\n"
    "guise run vmlinuz \\-\\-net nat \\-\\-forward 2222\\-22\n"
    "qemu\\-system\\-riscv64 \\-M virt \\-nographic \\-kernel Image \\-append console=ttyS0\n"
    ".EE\n"
    ".SH SEE ALSO\n"
    "\\fBguise help all\\fR and \\fBguise\\fR \\fIcommand\\fR \\fB\\-\\-help\\fR print the same options; "
    "\\fBguise completion\\fR has them for the shell.\n";

void docs_manual(doc_list *list, FILE *out)
{
    struct doc_command c;

    fputs(head, out);
    for (unsigned i = 0; list(i, &c); i++)
        if (c.help)
            print_command(&c, out);
    fputs(".SH DEVICES\nWhat \\fB\\-\\-device\\fR adds:\n", out);
    device_types_each(print_device, out);
    fputs(".SH MONITOR\nCommands, at its prompt (Ctrl\\-A c):\n", out);
    print_monitor(monitor_rows(), "", out);
    print_monitor(monitor_info_rows, "info ", out);
    fputs(tail, out);
}
