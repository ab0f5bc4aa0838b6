/* guise: which command line it is, and the process around one machine. Work in progress of this file's owner. */
#include <stdio.h>
#include <string.h>

#include "frontend/native_run.h"
#include "frontend/personality_qemu.h"

int main(int argc, char **argv)
{
    static struct machine_config c;
    struct err e = {{0}};
    enum cli_result r;

    config_init(&c);
    r = strncmp(argv[0], "guise", 5) && argc > 1 && !strcmp(argv[1], "run") ? native_run(&c, argc, argv, 2, &e)
                                                                            : personality_qemu(&c, argc, argv, &e);
    if (r == CLI_ERROR)
        fprintf(stderr, "guise: %s\n", e.msg);
    config_free(&c);
    return r == CLI_ERROR;
}
