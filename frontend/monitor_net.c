/* What the monitor shows of networks and does with them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/nic.h"
#include "frontend/machine.h"
#include "frontend/machine_net.h"
#include "frontend/monitor.h"
#include "frontend/net_words.h"
#include "netstack/segment.h"
#include "netstack/switch.h"

/* --- info network --- */

/* The two lines that QEMU prints of an adapter and its network. */
static void print_head(struct machine *m, const struct net_link *l, FILE *out)
{
    const struct net_config *n = l->config;
    const struct machine_config *c = machine_config_of(m);
    char buf[NET_ADDR_TEXT];

    if (l->nic)
        for (unsigned i = 0; i < c->devices; i++) {
            const char *netdev = device_prop(&c->device[i], "netdev");

            if (netdev && !strcmp(netdev, n->id))
                fprintf(out, "%s: index=0,type=nic,model=%s,macaddr=%s\n \\ ", l->adapter, c->device[i].type->name,
                        device_prop(&c->device[i], "mac"));
        }
    fprintf(out, "%s: index=0,type=%s", n->id, c->qemu && n->mode == NET_NAT ? "user" : net_mode_name(n->mode));
    if (n->name)
        fprintf(out, ",name=%s", n->name);
    if (n->mode == NET_NAT)
        fprintf(out, ",net=%s,restrict=%s", net_addr_none(&n->nat.net) ? "10.0.2.0" : net_addr_text(&n->nat.net, buf),
                n->nat.restrict_ ? "on" : "off");
    if (n->mode == NET_HUB)
        fprintf(out, ",hubid=%u", n->hub);
    fputc('\n', out);
}

static void print_port(const struct net_port *p, const char *what, FILE *out)
{
    const struct net_counters *s = &p->sent;

    fprintf(out, "    %s: %" PRIu64 " frames, %" PRIu64 " bytes", what, s->frames, s->bytes);
    if (s->dropped)
        fprintf(out, ", %" PRIu64 " dropped", s->dropped);
    fputc('\n', out);
}

static void print_cable(const struct net_link *l, FILE *out)
{
    struct net_impair i;
    char text[160];

    if (!l->cable) {
        fputs("    nothing is plugged in\n", out);
        return;
    }
    fprintf(out, "    link %s, mtu %" PRIu32 "\n", net_cable_link(l->cable) ? "up" : "down", net_port_mtu(l->port));
    print_port(net_cable_port(l->cable, 0), l->nic ? "from the guest" : "from the hub", out);
    print_port(l->port, l->nic ? "to the guest" : "to the hub", out);
    net_cable_impair(l->cable, &i);
    net_impair_text(&i, text, sizeof text);
    if (*text || net_cable_impaired(l->cable))
        fprintf(out, "    impairment: %s; %" PRIu64 " frames lost by it\n", *text ? text : "none",
                net_cable_impaired(l->cable));
    net_cable_info(l->cable, out);
}

static void print_net(struct machine *m, const struct net_link *l, bool flows, FILE *out)
{
    print_head(m, l, out);
    print_cable(l, out);
    if (l->segment)
        segment_info(l->segment, out);
    if (l->host)
        net_host_info(l->host, out);
    if (l->sw && l->owns_sw)
        net_switch_info(l->sw, out);
    if (l->nat || (flows && net_link_nat(l))) /* a segment tells of its gateway, but not of flows */
        nat_info(net_link_nat(l), flows, out);
}

void monitor_info_network(struct machine *m, char *args, FILE *out)
{
    struct net_link *l;
    const char *word;
    bool flows = false;
    struct err e;

    while ((word = monitor_word(&args)) != NULL && word[0] == '-')
        flows = true;
    if (word) {
        l = machine_net_find(m, word, &e);
        if (l)
            print_net(m, l, flows, out);
        else
            fprintf(out, "%s\n", e.msg);
        return;
    }
    for (unsigned i = 0; (l = machine_net(m, i)) != NULL; i++)
        print_net(m, l, flows, out);
    if (!machine_net(m, 0))
        fputs("no network\n", out);
}

/* Of what a NAT tells, the table that QEMU prints too; columns that we have more are cut off. */
static void print_table(const struct nat *n, FILE *out)
{
    char *text = NULL, *save = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    nat_info(n, true, f);
    fclose(f);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *more = strstr(line, "  sent ");

        if (strncmp(line, "  ", 2) || !strchr(line, '['))
            continue;
        if (more)
            *more = 0;
        fprintf(out, "%s\n", line);
    }
    free(text);
}

void monitor_info_usernet(struct machine *m, char *args, FILE *out)
{
    struct net_link *l;

    (void)args;
    for (unsigned i = 0; (l = machine_net(m, i)) != NULL; i++) {
        if (!net_link_nat(l))
            continue;
        fprintf(out, "Hub -1 (%s):\n", l->config->id);
        print_table(net_link_nat(l), out);
    }
}

/* --- forwards --- */

/* [NET] RULE: the network that is named, else the first that has a gateway. */
static struct net_link *forwarding(struct machine *m, char **args, char **rule, FILE *out)
{
    char *first = monitor_word(args), *second = first ? monitor_word(args) : NULL;
    struct net_link *l = NULL;
    struct err e;

    *rule = second ? second : first;
    if (!first) {
        fputs("needs a rule: [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT\n", out);
        return NULL;
    }
    if (second) {
        l = machine_net_find(m, first, &e);
        if (!l)
            fprintf(out, "%s\n", e.msg);
        return l;
    }
    for (unsigned i = 0; (l = machine_net(m, i)) != NULL; i++)
        if (l->nat || l->segment)
            return l;
    fputs("no network that forwards\n", out);
    return NULL;
}

static void forward(struct machine *m, char *args, bool add, FILE *out)
{
    struct nat_forward f;
    char *rule, *path = NULL;
    struct net_link *l = forwarding(m, &args, &rule, out);
    struct err e;

    if (!l)
        return;
    if (add ? !net_forward_parse(rule, machine_config_of(m)->qemu, &f, &path, &e)
            : !net_forward_parse_host(rule, &f, &path, &e)) {
        fprintf(out, "%s\n", e.msg);
        return;
    }
    f.host_path = path;
    if (net_link_forward(l, &f, add, &e)) {
        if (!add)
            fprintf(out, "host forwarding rule for %s removed\n", rule);
    } else if (add) {
        fprintf(out, "Could not set up host forwarding rule '%s': %s\n", rule, e.msg);
    } else {
        fprintf(out, "host forwarding rule for %s not found\n", rule);
    }
    free(path);
}

void monitor_hostfwd_add(struct machine *m, char *args, FILE *out) { forward(m, args, true, out); }
void monitor_hostfwd_remove(struct machine *m, char *args, FILE *out) { forward(m, args, false, out); }

/* --- cables --- */

/* The cable of the network that a command names first. */
static struct net_cable *cable(struct machine *m, char **args, FILE *out)
{
    const char *word = monitor_word(args);
    struct net_link *l;
    struct err e;

    if (!word) {
        fputs("name a network; info network lists them\n", out);
        return NULL;
    }
    l = machine_net_find(m, word, &e);
    if (!l)
        fprintf(out, "%s\n", e.msg);
    else if (!l->cable)
        fprintf(out, "network '%s' has no adapter\n", word);
    return l ? l->cable : NULL;
}

void monitor_set_link(struct machine *m, char *args, FILE *out)
{
    struct net_cable *c = cable(m, &args, out);
    const char *word = c ? monitor_word(&args) : NULL;
    bool up;

    if (!c)
        return;
    if (!word || !parse_bool(word, &up))
        fputs("needs on or off\n", out);
    else
        net_cable_set_link(c, up);
}

void monitor_net_set(struct machine *m, char *args, FILE *out)
{
    struct net_cable *c = cable(m, &args, out);
    struct net_impair i;
    const char *word;
    char text[160];
    struct err e;

    if (!c)
        return;
    net_cable_impair(c, &i);
    for (unsigned n = 0; (word = monitor_word(&args)) != NULL; n++) {
        if (!net_impair_parse(&i, word, &e)) {
            fprintf(out, "%s\n", e.msg);
            return;
        }
        net_cable_set_impair(c, &i);
    }
    net_impair_text(&i, text, sizeof text);
    fprintf(out, "%s: %s\n", net_cable_name(c), *text ? text : "not impaired");
}

void monitor_net_capture(struct machine *m, char *args, FILE *out)
{
    struct net_cable *c = cable(m, &args, out);
    const char *verb = c ? monitor_word(&args) : NULL, *file = verb ? monitor_word(&args) : NULL;
    struct net_capture_options o = {.path = file, .only_from = -1};
    struct err e;

    if (!c)
        return;
    args += strspn(args, " "); /* a filter is several words */
    o.filter = *args ? args : NULL;
    if (verb && !strcmp(verb, "stop"))
        fprintf(out, "%u ended\n", net_cable_capture_stop(c, file));
    else if (!verb || strcmp(verb, "start") || !file)
        fputs("net_capture NET start FILE [FILTER], or net_capture NET stop [FILE]\n", out);
    else if (!net_cable_capture(c, &o, &e))
        fprintf(out, "%s\n", e.msg);
}
