#include "tests/unit/nat_guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void nat_guest_begin(struct nat_guest *g, const struct nat_config *c)
{
    struct nat_config config = c ? *c : (struct nat_config){0};
    struct err e;
    int fd;

    strcpy(g->resolv_conf, "/tmp/test-resolv-XXXXXX");
    fd = mkstemp(g->resolv_conf);
    if (fd < 0)
        fail_msg("no temporary file");
    close(fd);
    if (!config.resolv_conf)
        config.resolv_conf = g->resolv_conf;
    world_init(&g->w);
    far_init(&g->f, &g->w, "guest");
    g->n = nat_new(&g->w.env, &config, &e);
    if (!g->n)
        fail_msg("nat_new: %s", e.msg);
    far_plug(&g->f, nat_port(g->n));
}

void nat_guest_end(struct nat_guest *g)
{
    far_free(&g->f);
    nat_free(g->n);
    world_free(&g->w);
    unlink(g->resolv_conf);
}

void nat_guest_resolv(struct nat_guest *g, const char *text)
{
    static time_t when = 1000000000;
    FILE *f = fopen(g->resolv_conf, "w");

    if (!f || fputs(text, f) < 0 || fclose(f))
        fail_msg("%s is not written", g->resolv_conf);
    when++;
    utimensat(AT_FDCWD, g->resolv_conf, (struct timespec[]){{when, 0}, {when, 0}}, 0);
}
