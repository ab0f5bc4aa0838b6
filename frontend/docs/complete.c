/*
 * Shell completion. The shell's part is a few lines that hand over the words; what may follow is found here, with the
 * tables that the parser uses.
 */
#include <string.h>

#include "base/bits.h"
#include "frontend/device_table.h"
#include "frontend/docs/docs.h"

struct typed {
    unsigned n;
    char **words;
    const char *last; /* what is typed of the word to complete */
    FILE *out;
};

static bool begins(const char *word, const char *with) { return !strncmp(word, with, strlen(with)); }

static void offer(const struct typed *t, const char *before, const char *word, size_t len, const char *help)
{
    char text[256];

    snprintf(text, sizeof text, "%s%.*s", before, (int)len, word);
    if (begins(text, t->last))
        fprintf(t->out, "%s%s%s\n", text, help ? "\t" : "", help ? help : "");
}

static void offer_files(const struct typed *t) { fputs("\tfiles\n", t->out); }

/* --- values of options --- */

/* The words of "a|b|c". */
static void offer_list(const struct typed *t, const char *before, const char *list)
{
    while (*list) {
        size_t len = strcspn(list, "|");

        offer(t, before, list, len, NULL);
        list += len + (list[len] == '|');
    }
}

struct device_word {
    const struct typed *t;
    const char *before;
};

static void offer_device(void *arg, const char *name, const char *help)
{
    const struct device_word *w = arg;

    offer(w->t, w->before, name, strlen(name), help);
}

static void offer_prop(void *arg, const char *name, size_t len)
{
    const struct device_word *w = arg;
    char word[64];

    snprintf(word, sizeof word, "%.*s=", (int)len, name);
    offer(w->t, w->before, word, strlen(word), NULL);
}

/* DRIVER, then ",PROP=" of that driver. `lead` is what stands before the value in the word ("--device="). */
static void complete_device(const struct typed *t, const char *value, const char *lead)
{
    struct device_word w = {.t = t, .before = lead};
    const char *comma = strchr(value, ','), *last = strrchr(value, ',');
    char driver[64], before[256];

    if (!comma) {
        device_types_each(offer_device, &w);
        return;
    }
    snprintf(driver, sizeof driver, "%.*s", (int)(comma - value), value);
    snprintf(before, sizeof before, "%s%.*s", lead, (int)(last + 1 - value), value);
    w.before = before;
    if (!strchr(last, '='))
        device_props_each(device_type_find(driver), offer_prop, &w);
}

static void complete_value(const struct typed *t, const struct option_row *r, const char *value)
{
    char lead[128];

    snprintf(lead, sizeof lead, "%.*s", (int)(value - t->last), t->last);
    if (!strcmp(r->name, "device"))
        complete_device(t, value, lead);
    else if (r->words)
        offer_list(t, lead, r->words);
    if (!r->words || strstr(r->arg, "FILE") || strstr(r->arg, "PATH"))
        offer_files(t);
}

/* --- options --- */

/* Is `name` (of len characters) one of the row's names, "f|format" or "format"? */
static bool named(const struct option_row *r, const char *name, size_t len)
{
    for (const char *n = r->name; *n;) {
        size_t w = strcspn(n, "|");

        if (w == len && !memcmp(n, name, len))
            return true;
        n += w + (n[w] == '|');
    }
    return false;
}

static const struct option_row *find_option(const struct option_row *rows, const char *word)
{
    const char *name = word + strspn(word, "-");
    size_t len = strcspn(name, "=");

    for (const struct option_row *r = rows; word[0] == '-' && r && r->name; r++)
        if (r->set && named(r, name, len))
            return r;
    return NULL;
}

static void offer_option(const struct typed *t, const struct doc *d, const struct option_row *r)
{
    for (const char *n = r->name; *n;) {
        size_t w = strcspn(n, "|");

        offer(t, w == 1 ? "-" : d->dash, n, w, r->help);
        n += w + (n[w] == '|');
    }
}

static void offer_options(const struct typed *t, const struct doc *d, const struct option_row *rows)
{
    for (const struct option_row *r = rows; r && r->name; r++)
        if (doc_row_shown(r))
            offer_option(t, d, r);
}

/* The word after others, with the options of rows. True: it is one of them, or the value of one. */
static bool complete_option(const struct typed *t, const struct doc *d, const struct option_row *rows)
{
    const struct option_row *r = t->n > 1 ? find_option(rows, t->words[t->n - 2]) : NULL;
    const char *eq = t->last[0] == '-' ? strchr(t->last, '=') : NULL;

    if (r && r->arg && !strchr(t->words[t->n - 2], '=')) {
        complete_value(t, r, t->last);
        return true;
    }
    r = eq ? find_option(rows, t->last) : NULL;
    if (r && r->arg) {
        complete_value(t, r, eq + 1);
        return true;
    }
    if (t->last[0] == '-')
        offer_options(t, d, rows);
    return t->last[0] == '-';
}

/* --- commands --- */

static bool find_sub(const struct doc *d, const char *word, struct doc_sub *s)
{
    for (unsigned i = 0; d->sub && d->sub(i, s); i++)
        if (!strcmp(s->name, word))
            return true;
    return false;
}

/* words[at] is the first after the command or program itself. */
static void complete_command(const struct typed *t, const struct doc *d, unsigned at)
{
    struct doc_sub sub = {0};
    bool found = false;

    for (unsigned i = at; !found && i + 1 < t->n; i++)
        found = find_sub(d, t->words[i], &sub);
    if (complete_option(t, d, found && sub.options ? sub.options : d->options))
        return;
    if (d->sub && !found)
        for (unsigned i = 0; d->sub(i, &sub); i++)
            offer(t, "", sub.name, strlen(sub.name), sub.help);
    if (found || d->files)
        offer_files(t);
}

void docs_complete(doc_list *list, unsigned n, char **words, FILE *out)
{
    struct typed t = {.n = n, .words = words, .last = n ? words[n - 1] : "", .out = out};
    const char *slash = n ? strrchr(words[0], '/') : NULL, *program = slash ? slash + 1 : n ? words[0] : "";
    struct doc_command c;

    for (unsigned i = 0; n > 1 && list(i, &c); i++) {
        if (c.doc && c.doc->program && !strcmp(program, c.doc->program)) {
            complete_command(&t, c.doc, 1);
            return;
        }
        if (n == 2 && c.help)
            offer(&t, "", c.name, strlen(c.name), c.help);
        if (n > 2 && !strcmp(words[1], c.name) && c.doc)
            complete_command(&t, c.doc, 2);
    }
}

/* --- the shells' part --- */

/*
 * bash breaks words at = and : as well, and replaces only what follows the last of them: the words are taken from the line
 * itself, and of the answers the part goes that bash leaves standing.
 */
static const char bash[] = //
    "# guise for bash: completion from the program's own tables. eval \"$(guise completion bash)\"\n"
    "_guise() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur=${COMP_WORDS[COMP_CWORD]} word kept out files=\n"
    "    local -a words\n"
    "    local program=guise\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    [[ ${words[0]} != */guise ]] || program=${words[0]/#\\~/$HOME} # never a QEMU of that name\n"
    "    [[ $cur == [=:] ]] && cur=\n"
    "    word=${words[-1]}\n"
    "    kept=${word%\"$cur\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r out; do\n"
    "        if [[ $out == $'\\tfiles' ]]; then files=1; continue; fi\n"
    "        out=${out%%$'\\t'*}\n"
    "        COMPREPLY+=(\"${out#\"$kept\"}\")\n"
    "    done < <(\"$program\" complete \"${words[@]}\" 2>/dev/null)\n"
    "    if [[ $files ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        while IFS= read -r out; do COMPREPLY+=(\"$out\"); done < <(compgen -f -- \"$cur\")\n"
    "    fi\n"
    "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace 2>/dev/null\n"
    "    return 0\n"
    "}\n"
    "complete -F _guise guise qemu-system-riscv64 qemu-img qemu-io\n";

static const char zsh[] = //
    "#compdef guise qemu-system-riscv64 qemu-img qemu-io\n"
    "# guise for zsh: completion from the program's own tables. source <(guise completion zsh), or a file _guise in "
    "fpath\n"
    "_guise() {\n"
    "    local -a plain told\n"
    "    local line word files= program=guise\n"
    "    [[ $words[1] != */guise ]] || program=${~words[1]} # never a QEMU of that name\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == $'\\tfiles' ]]; then files=1; continue; fi\n"
    "        word=${line%%$'\\t'*}\n"
    "        plain+=(\"$word\")\n"
    "        if [[ $line == *$'\\t'* ]]; then told+=(\"$word  -- ${line#*$'\\t'}\"); else told+=(\"$word\"); fi\n"
    "    done < <($program complete \"${(@)words[1,CURRENT]}\" 2>/dev/null)\n"
    "    local -a open shut opentold shuttold\n"
    "    local i\n"
    "    for ((i = 1; i <= $#plain; i++)); do\n"
    "        if [[ $plain[i] == *[=:] ]]; then open+=(\"$plain[i]\") opentold+=(\"$told[i]\")\n"
    "        else shut+=(\"$plain[i]\") shuttold+=(\"$told[i]\"); fi\n"
    "    done\n"
    "    (( $#shut )) && compadd -l -d shuttold -a shut\n"
    "    (( $#open )) && compadd -S '' -l -d opentold -a open\n"
    "    [[ -n $files ]] && _files\n"
    "    return 0\n"
    "}\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _guise \"$@\"; else compdef _guise guise qemu-system-riscv64 "
    "qemu-img qemu-io; fi\n";

const char *docs_shell(const char *shell) { return !strcmp(shell, "bash") ? bash : !strcmp(shell, "zsh") ? zsh : NULL; }
