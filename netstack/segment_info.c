/* What people see of named networks: of one that we are in, and of all in a folder. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

static void info_forward(const struct segment *s, const struct forward *fw, FILE *out)
{
    static const char *const states[] = {"wanted", "asked for", "made", "failed"};
    char host[NET_ADDR_TEXT], guest[NET_ADDR_TEXT];

    fprintf(out, "  forward %s ", fw->f.udp ? "udp" : "tcp");
    if (fw->path[0])
        fprintf(out, "%s", fw->path);
    else
        fprintf(out, "%s:%u", net_addr_none(&fw->f.host_addr) ? "127.0.0.1" : net_addr_text(&fw->f.host_addr, host),
                fw->f.host_port);
    fprintf(out, " to %s:%u: %s%s%s\n", net_addr_none(&fw->f.guest_addr) ? "guest" : net_addr_text(&fw->f.guest_addr, guest),
            fw->f.guest_port, s->state == SEGMENT_SEEKING ? states[0] : states[fw->state],
            fw->state == FORWARD_FAILED ? ", " : "", fw->state == FORWARD_FAILED ? fw->error : "");
}

void segment_info(const struct segment *s, FILE *out)
{
    fprintf(out, "%s:%s: member %s, ", segment_kind_name(s->c.kind), s->name, s->member);
    switch (s->state) {
    case SEGMENT_LEADER: fprintf(out, "which has the switch"); break;
    case SEGMENT_MEMBER: fprintf(out, "the switch is in %s (process %ld)", s->leader_name, (long)s->leader_pid); break;
    default: fprintf(out, "looking for the switch");
    }
    fprintf(out, "; %llu elections, %llu frames lost meanwhile\n", (unsigned long long)s->elections,
            (unsigned long long)s->lost);
    for (const struct forward *fw = s->forwards; fw; fw = fw->next)
        info_forward(s, fw, out);
    if (s->state == SEGMENT_LEADER)
        leader_info(s->leader, out);
    else
        fputs(s->roster, out);
}

/* --- a folder ---------------------------------------------------------------------------------------------------- */

/* The switch's own account of its members. */
static bool ask_roster(int fd, struct msg *m)
{
    if (!msg_send(fd, MSG_QUERY, NULL, 0, -1))
        return false;
    for (unsigned i = 0; i < 50; i++) {
        struct pollfd p = {fd, POLLIN, 0};
        enum msg_status s;

        poll(&p, 1, 10);
        s = msg_recv(fd, m, NULL);
        if (s != MSG_NONE)
            return s == MSG_OK && m->type == MSG_ROSTER;
    }
    return false;
}

struct listed {
    const char *name, *kind; /* kind "?": not to be known */
    long pid;                /* of who has the switch; 0: nobody */
    char why[sizeof(struct err)]; /* it cannot be asked; "": m has its roster */
    struct msg m;
};

static void look_at(struct listed *l, const char *dir, const char *name)
{
    enum segment_kind kind = SEGMENT_INTERNAL;
    struct segment_paths p;
    struct err e = {""};
    pid_t pid = 0;
    int fd = -1;

    l->name = name;
    l->kind = "?";
    l->why[0] = '\0';
    if (segment_paths(&p, dir, name, &e)) {
        if (segment_lock_read(p.lock, &kind, &pid))
            l->kind = segment_kind_name(kind);
        fd = segment_connect(p.sock, &pid, &e);
    }
    l->pid = fd >= 0 ? (long)pid : 0;
    if (fd < 0)
        snprintf(l->why, sizeof l->why, "%s", e.msg[0] ? e.msg : "dead, nobody has it");
    else if (!ask_roster(fd, &l->m))
        snprintf(l->why, sizeof l->why, "process %ld does not answer", (long)pid);
    if (fd >= 0)
        close(fd);
}

static void print_listed(void *arg, const struct listed *l)
{
    FILE *out = arg;

    fprintf(out, "%s:%s", l->kind, l->name);
    fprintf(out, l->why[0] ? ": %s\n" : "\n%s", l->why[0] ? l->why : l->m.body.text);
}

/* A line of leader_roster's as JSON; NULL: it is none. The name is whatever the member calls itself. */
static json_t *member_json(const char *line, size_t len)
{
    static const char mark[] = " (process ";
    const char *at = NULL, *end = line + len;

    for (const char *p = line; (p = memmem(p, (size_t)(end - p), mark, sizeof mark - 1)); p++)
        at = p;
    if (!at || at < line + 2)
        return NULL;
    return json_pack("{s:s%, s:i, s:b, s:b}", "name", line + 2, (size_t)(at - line) - 2, "process",
                     (int)strtol(at + sizeof mark - 1, NULL, 10), "has_switch",
                     memmem(at, (size_t)(end - at), ", has the switch", 16) != NULL, "isolated",
                     memmem(at, (size_t)(end - at), ", isolated", 10) != NULL);
}

static void add_listed(void *arg, const struct listed *l)
{
    json_t *members = json_array(), *o;

    for (const char *at = l->m.body.text, *end; !l->why[0] && (end = strchr(at, '\n')); at = end + 1)
        json_array_append_new(members, member_json(at, (size_t)(end - at))); /* NULL is left out */
    o = json_pack("{s:s, s:s, s:i, s:o}", "name", l->name, "kind", l->kind, "process", (int)l->pid, "members", members);
    if (o && l->why[0])
        json_object_set_new(o, "error", json_string(l->why));
    json_array_append_new(arg, o);
}

static int is_lock(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 5 && n <= SEGMENT_NAME_MAX + 5 && !strcmp(d->d_name + n - 5, ".lock");
}

static void each_network(const char *dir, void (*each)(void *arg, const struct listed *l), void *arg)
{
    struct listed *l = malloc(sizeof *l);
    char path[SEGMENT_DIR_MAX];
    struct dirent **found;
    struct err e;
    int n = 0;

    if (l && segment_dir(dir, false, path, &e)) /* else nobody has made a network */
        n = scandir(path, &found, is_lock, alphasort);
    for (int i = 0; i < n; i++) {
        found[i]->d_name[strlen(found[i]->d_name) - 5] = '\0';
        if (segment_name_check(found[i]->d_name, &e)) {
            look_at(l, path, found[i]->d_name);
            each(arg, l);
        }
        free(found[i]);
    }
    if (n > 0)
        free(found);
    free(l);
}

void segment_list(const char *dir, FILE *out) { each_network(dir, print_listed, out); }

struct json_t *segment_list_json(const char *dir)
{
    json_t *list = json_array();

    each_network(dir, add_listed, list);
    return list;
}
