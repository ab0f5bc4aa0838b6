/*
 * Join two ports that end outside the process by one cable: a program for tests/system/net_host.sh, so that two kernels'
 * network stacks meet through our ports and cables.
 *
 *   joint PORT PORT   PORT: pcap:IF, tap:NAME[,BRIDGE], helper:COMMAND,BRIDGE, stream:PATH (connects), server:PATH
 *   joint list|json   what net_host_list says
 *
 * Each line on standard input is answered with the ports' info; it ends with the input. Limits and errors go to standard
 * error.
 */
#include <signal.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/host.h"

static struct net_env env;
static struct net_host *host[2];
static struct net_cable *cable;

static struct net_host *open_port(char *spec, struct err *e)
{
    char *kind = strsep(&spec, ":"), *name = strsep(&spec, ",");
    struct net_stream_options s = {.path = name, .fd = -1, .server = !strcmp(kind, "server"), .reconnect_ms = 100};
    const char *limits = "";
    struct net_host *h;

    if (!name) {
        err_set(e, "%s: no port", kind);
        return NULL;
    }
    if (!strcmp(kind, "tap"))
        return net_host_tap(&env, name, spec, e);
    if (!strcmp(kind, "helper"))
        return net_host_helper(&env, name, spec ? spec : "br0", e);
    if (strcmp(kind, "pcap"))
        return net_host_stream(&env, &s, e);
    h = net_host_pcap(&env, name, NULL, NET_MAC_NAT_AUTO, &limits, e);
    if (h)
        fprintf(stderr, "limits: %s\n", limits);
    return h;
}

static void input(void *arg, int fd, unsigned events)
{
    char line[256];

    (void)arg;
    (void)events;
    if (read(fd, line, sizeof line) <= 0) {
        loop_stop(env.loop);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct net_counters *c = &net_host_port(host[i])->sent;

        net_host_info(host[i], stdout);
        printf("  into the cable: %llu frames, %llu bytes, %llu dropped\n", (unsigned long long)c->frames,
               (unsigned long long)c->bytes, (unsigned long long)c->dropped);
    }
    printf(".\n");
    fflush(stdout);
}

static bool run(char **spec, struct err *e)
{
    struct clock *clock = clock_new_real();

    signal(SIGPIPE, SIG_IGN);
    env = (struct net_env){.clock = clock, .loop = loop_new(clock, e), .log = log_new()};
    if (!env.loop)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (!(host[i] = open_port(spec[i], e)))
            return false;
    cable = net_cable_new(&env, "joint", net_host_port(host[0]), net_host_port(host[1]), e);
    if (!cable || !loop_add(env.loop, 0, LOOP_IN, input, NULL, e))
        return false;
    printf("joined %s %s\n", net_host_port(host[0])->name, net_host_port(host[1])->name);
    fflush(stdout);
    loop_run(env.loop);
    net_cable_free(cable);
    for (unsigned i = 0; i < 2; i++)
        net_host_free(host[i]);
    loop_free(env.loop);
    log_free(env.log);
    clock_free(clock);
    return true;
}

int main(int argc, char **argv)
{
    struct err e;

    if (argc == 2) {
        json_t *o = !strcmp(argv[1], "json") ? net_host_list_json() : NULL;

        if (o)
            json_dumpf(o, stdout, 0);
        else
            net_host_list(stdout);
        json_decref(o);
        return 0;
    }
    if (argc == 3 && run(argv + 1, &e))
        return 0;
    fprintf(stderr, "joint: %s\n", argc == 3 ? e.msg : "two ports, or list, or json");
    return 1;
}
