/* `guise net`. See net_cli.h. */
#include "frontend/net_cli.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/native_net.h"
#include "netstack/host.h"
#include "netstack/segment.h"

static void list_json(void)
{
    json_t *root = net_host_list_json();

    json_object_set_new(root, "networks", segment_list_json(NULL));
    json_dumpf(root, stdout, JSON_INDENT(2));
    puts("");
    json_decref(root);
}

static int list(int argc, char **argv)
{
    bool json = argc > 1 && !strcmp(argv[1], "--json");

    if (argc > (json ? 2 : 1)) {
        fprintf(stderr, "guise net list: '%s': there is --json\n", argv[json ? 2 : 1]);
        return 1;
    }
    if (json) {
        list_json();
        return 0;
    }
    net_host_list(stdout);
    segment_list(NULL, stdout);
    return 0;
}

static int modes(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    native_net_help(stdout);
    return 0;
}

static const struct {
    const char *name, *args, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"list", "[--json]",
     "adapters of this host, what you may do on each and why not; named networks and who is on them", list},
    {"modes", "", "what --net of guise run takes", modes},
};

static bool sub(unsigned n, struct doc_sub *s)
{
    if (n >= ARRAY_LEN(commands))
        return false;
    *s = (struct doc_sub){.name = commands[n].name, .args = commands[n].args, .help = commands[n].help};
    return true;
}

const struct doc net_doc = {.usage = "COMMAND", .dash = "--", .sub = sub};

int net_main(int argc, char **argv)
{
    const char *names[ARRAY_LEN(commands) + 1], *word = argc > 1 ? argv[1] : "help", *near;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!strcmp(commands[i].name, word))
            return commands[i].run(argc - 1, argv + 1);
        names[i] = commands[i].name;
    }
    names[ARRAY_LEN(commands)] = NULL;
    if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h")) {
        puts("usage: guise net COMMAND\n");
        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
            printf("  %s %-16s %s\n", commands[i].name, commands[i].args, commands[i].help);
        return 0;
    }
    near = nearest_word(word, names);
    fprintf(stderr, "guise net: no command '%s'%s%s\n", word, near ? "; the nearest one is " : ", see guise net help",
            near ? near : "");
    return 1;
}
