/* See cli.h. */
#include "tests/unit/cli.h"

#include <string.h>

#include "tests/unit/check.h"

struct machine_config cli_config;
struct err cli_error;

enum cli_result cli_run(const char *line)
{
    static char buf[4096];
    char *argv[128], *save = NULL;
    int argc = 0;

    snprintf(buf, sizeof buf, "%s", line);
    for (char *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        for (char *p = w; *p; p++)
            if (*p == '~')
                *p = ' ';
        argv[argc++] = w;
    }
    config_free(&cli_config);
    config_init(&cli_config);
    cli_error.msg[0] = 0;
    return strcmp(argv[0], "guise") ? personality_qemu(&cli_config, argc, argv, &cli_error)
                                    : native_run(&cli_config, argc, argv, 2, &cli_error);
}

void cli_expect_run(const char *line)
{
    if (cli_run(line) != CLI_RUN)
        fail_msg("refused: %s", cli_error.msg);
}

void cli_expect_error(const char *line, const char *part)
{
    enum cli_result r = cli_run(line);

    if (r != CLI_ERROR || !strstr(cli_error.msg, part))
        fail_msg("expected an error with '%s', got %d '%s'", part, r, cli_error.msg);
}
