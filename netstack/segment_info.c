/* What people see of named networks: of one that we are in, and of all in a folder. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
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

static void list_one(const char *dir, const char *name, FILE *out)
{
    enum segment_kind kind = SEGMENT_INTERNAL;
    struct segment_paths p;
    struct msg m;
    struct err e;
    pid_t pid = 0;
    bool known;
    int fd;

    if (!segment_paths(&p, dir, name, &e))
        return;
    known = segment_lock_read(p.lock, &kind, &pid);
    fprintf(out, "%s:%s", known ? segment_kind_name(kind) : "?", name);
    fd = segment_connect(p.sock, &pid, &e);
    if (fd < 0)
        fprintf(out, e.msg[0] ? ": %s\n" : ": dead, nobody has it%s\n", e.msg);
    else if (ask_roster(fd, &m))
        fprintf(out, "\n%s", m.body.text);
    else
        fprintf(out, ": process %ld does not answer\n", (long)pid);
    if (fd >= 0)
        close(fd);
}

static int is_lock(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 5 && n <= SEGMENT_NAME_MAX + 5 && !strcmp(d->d_name + n - 5, ".lock");
}

void segment_list(const char *dir, FILE *out)
{
    char path[SEGMENT_DIR_MAX];
    struct dirent **found;
    struct err e;
    int n;

    if (!segment_dir(dir, false, path, &e))
        return; /* nobody has made a network */
    n = scandir(path, &found, is_lock, alphasort);
    for (int i = 0; i < n; i++) {
        found[i]->d_name[strlen(found[i]->d_name) - 5] = '\0';
        if (segment_name_check(found[i]->d_name, &e))
            list_one(path, found[i]->d_name, out);
        free(found[i]);
    }
    if (n >= 0)
        free(found);
}
