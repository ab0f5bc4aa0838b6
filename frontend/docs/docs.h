/*
 * What the command lines say of themselves: help, the manual page and shell completion, all from the tables that parse
 * them, so that none can drift.
 *
 * A sub-command describes itself by a struct doc of constants; main.c has the list.
 */
#ifndef FRONTEND_DOCS_DOCS_H
#define FRONTEND_DOCS_DOCS_H

#include <stdbool.h>
#include <stdio.h>

#include "frontend/options.h"

struct doc_sub {
    const char *name, *args, *help;
    const struct option_row *options; /* NULL: none of its own */
};

struct doc {
    const char *usage;                /* the words after the command */
    const struct option_row *options; /* NULL: none */
    bool getopt;                      /* names are "f|format", of the sub-commands too: options_parse_getopt */
    const char *dash;                 /* before a long name: "--" or "-" */
    bool (*sub)(unsigned n, struct doc_sub *s); /* sub-command n; false: no more. NULL: there are none */
    bool files;                                 /* words that are not options are names of files */
    const char *program;                        /* another program's name that takes the same words; NULL: none */
};

struct doc_command {
    const char *name, *help; /* help NULL: not shown */
    const struct doc *doc;   /* NULL: takes no words */
};

/* The command that list[n] describes; false: no more. */
typedef bool doc_list(unsigned n, struct doc_command *c);

/* One screen (80 x 24): the commands. */
void docs_help(doc_list *list, FILE *out);
/* Every command with every option. */
void docs_help_all(doc_list *list, FILE *out);
/* The manual page guise(1), for man(7) macros. docs_man.c */
void docs_manual(doc_list *list, FILE *out);
/*
 * Completion. words[0] is the program's name, words[n - 1] what is typed of the last word. A line for each word that may
 * stand there: the word, and after a tab what it means, if that is known. A line "\tfiles": names of files may, too.
 * docs_complete.c
 */
void docs_complete(doc_list *list, unsigned n, char **words, FILE *out);
/* What makes bash or zsh ask `guise complete`; NULL: another shell. */
const char *docs_shell(const char *shell);

/* Rows of a table that name one option each: its dashes and name as they are typed, into text. False: a heading, or hidden. */
bool doc_row_shown(const struct option_row *r);

#endif
