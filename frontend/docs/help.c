/* `guise help` and `guise help all`. */
#include <string.h>

#include "frontend/docs/docs.h"

void docs_help(doc_list *list, FILE *out)
{
    struct doc_command c;

    fputs("usage: guise COMMAND [arguments]\n\n"
          "guise runs operating systems built for another processor, RISC-V 64, on this.\n\n",
          out);
    for (unsigned i = 0; list(i, &c); i++)
        if (c.help)
            fprintf(out, "  %-11s %s\n", c.name, c.help);
    fputs("\n  guise run vmlinuz --initrd initrd --disk disk.qcow2\n\n"
          "guise COMMAND --help: that command; guise help all: everything; man guise.\n"
          "Called as qemu-system-riscv64, qemu-img or qemu-io it takes their command lines.\n",
          out);
}

bool doc_row_shown(const struct option_row *r) { return r->set && r->help && *r->help; }

static void print_options(const struct doc *d, const struct option_row *rows, FILE *out)
{
    if (d->getopt)
        options_help_getopt(rows, out);
    else
        options_help(rows, d->dash, out);
}

static bool has_options(const struct option_row *r)
{
    while (r && r->name && !doc_row_shown(r))
        r++;
    return r && r->name;
}

static void print_command(const char *name, const struct doc_command *c, FILE *out)
{
    const struct doc *d = c->doc;
    struct doc_sub s;

    fprintf(out, "\n%s%s%s\n    %s\n", name, d ? " " : "", d ? d->usage : "", c->help);
    if (!d)
        return;
    if (has_options(d->options)) {
        fputc('\n', out);
        print_options(d, d->options, out);
    }
    for (unsigned i = 0; d->sub && d->sub(i, &s); i++) {
        fprintf(out, "\n%s %s %s\n    %s\n", name, s.name, s.args ? s.args : "", s.help);
        if (has_options(s.options))
            print_options(d, s.options, out);
    }
}

void docs_help_all(doc_list *list, FILE *out)
{
    struct doc_command c;
    char name[64];

    docs_help(list, out);
    for (unsigned i = 0; list(i, &c); i++) {
        if (!c.help)
            continue;
        snprintf(name, sizeof name, "guise %s", c.name);
        print_command(name, &c, out);
    }
}
