/* The file of a set of snapshots: read, written whole and atomically, locked, shown. See snap.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frontend/snap.h"

static const char *const op_names[] = {
    [SNAP_NONE] = "", [SNAP_TAKE] = "take", [SNAP_RESET] = "reset", [SNAP_DELETE] = "delete"};

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from ? from : ""); }

void snap_full_path(const struct snap_set *s, const char *name, char out[2 * SNAP_PATH])
{
    snprintf(out, 2 * SNAP_PATH, "%s%s", name[0] == '/' ? "" : s->dir, name);
}

bool snap_exists(const char *path) { return access(path, F_OK) == 0; }

struct snap_node *snap_node(struct snap_set *s, unsigned id)
{
    for (unsigned i = 0; i < s->nodes; i++)
        if (s->node[i].id == id)
            return &s->node[i];
    return NULL;
}

struct snap_node *snap_find(struct snap_set *s, const char *name, struct err *e)
{
    for (unsigned i = 0; i < s->nodes; i++)
        if (!s->node[i].hidden && !strcmp(s->node[i].name, name))
            return &s->node[i];
    err_set(e, "no snapshot '%s' in %s", name, s->path);
    return NULL;
}

struct snap_head *snap_head(struct snap_set *s, const char *name, struct err *e)
{
    for (unsigned i = 0; i < s->heads; i++)
        if (!name || !strcmp(s->head[i].name, name))
            return &s->head[i];
    err_set(e, "no branch '%s' in %s", name ? name : "main", s->path);
    return NULL;
}

unsigned snap_children(const struct snap_set *s, unsigned id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->nodes; i++)
        n += s->node[i].parent == id;
    for (unsigned i = 0; i < s->heads; i++)
        n += s->head[i].parent == id;
    return n;
}

void snap_remove_node(struct snap_set *s, struct snap_node *n)
{
    unsigned at = (unsigned)(n - s->node);

    memmove(n, n + 1, (s->nodes - at - 1) * sizeof *n);
    s->nodes--;
}

/* --- reading --- */

static bool texts(const json_t *list, char to[][SNAP_PATH], unsigned n)
{
    if (json_array_size(list) != n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (!text || !*text || strlen(text) >= SNAP_PATH)
            return false;
        copy(to[i], SNAP_PATH, text);
    }
    return true;
}

static bool name_fits(const char *name)
{
    if (!name || !*name || strlen(name) >= SNAP_NAME)
        return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == '/')
            return false;
    return true;
}

static bool read_node(const json_t *j, struct snap_node *n, unsigned disks)
{
    const char *name = json_string_value(json_object_get(j, "name"));
    const json_t *formats = json_object_get(j, "formats");

    *n = (struct snap_node){
        .id = (unsigned)json_integer_value(json_object_get(j, "id")),
        .parent = (unsigned)json_integer_value(json_object_get(j, "parent")),
        .time = json_integer_value(json_object_get(j, "time")),
        .hidden = json_is_true(json_object_get(j, "hidden")),
    };
    copy(n->name, sizeof n->name, name);
    for (unsigned i = 0; i < disks; i++) {
        const char *format = json_string_value(json_array_get(formats, i));

        copy(n->format[i], sizeof n->format[i], format ? format : "qcow2");
    }
    return n->id && name_fits(name) && texts(json_object_get(j, "layers"), n->layer, disks);
}

static bool read_journal(const json_t *j, struct snap_journal *to, unsigned disks)
{
    const char *op = json_string_value(json_object_get(j, "op"));

    if (!j)
        return true;
    for (unsigned i = 0; op && i < sizeof op_names / sizeof *op_names; i++)
        if (!strcmp(op, op_names[i]))
            to->op = (enum snap_op)i;
    to->id = (unsigned)json_integer_value(json_object_get(j, "id"));
    copy(to->head, sizeof to->head, json_string_value(json_object_get(j, "branch")));
    copy(to->how, sizeof to->how, json_string_value(json_object_get(j, "how")));
    return to->op && (to->op != SNAP_TAKE || texts(json_object_get(j, "paths"), to->path, disks));
}

static bool read_set(struct snap_set *s, const json_t *j)
{
    const json_t *nodes = json_object_get(j, "snapshots"), *heads = json_object_get(j, "branches");
    json_int_t disks = json_integer_value(json_object_get(j, "disks")),
               next = json_integer_value(json_object_get(j, "next"));

    if (json_integer_value(json_object_get(j, "guise-snapshots")) != 1 || disks < 1 || disks > SNAP_DISKS || next < 1 ||
        next > INT_MAX || json_array_size(nodes) > SNAP_NODES || !json_array_size(heads) ||
        json_array_size(heads) > SNAP_HEADS)
        return false;
    s->disks = (unsigned)disks;
    s->next = (unsigned)next;
    for (s->nodes = 0; s->nodes < json_array_size(nodes); s->nodes++)
        if (!read_node(json_array_get(nodes, s->nodes), &s->node[s->nodes], s->disks))
            return false;
    for (s->heads = 0; s->heads < json_array_size(heads); s->heads++) {
        const json_t *h = json_array_get(heads, s->heads);
        struct snap_head *to = &s->head[s->heads];

        copy(to->name, sizeof to->name, json_string_value(json_object_get(h, "name")));
        to->parent = (unsigned)json_integer_value(json_object_get(h, "parent"));
        if (!name_fits(to->name) || !texts(json_object_get(h, "disks"), to->path, s->disks))
            return false;
    }
    for (unsigned i = 0; i < s->nodes; i++)
        if (s->node[i].parent >= s->node[i].id || (s->node[i].parent && !snap_node(s, s->node[i].parent)))
            return false; /* parents are older */
    for (unsigned i = 0; i < s->heads; i++)
        if (s->head[i].parent && !snap_node(s, s->head[i].parent))
            return false;
    return read_journal(json_object_get(j, "journal"), &s->journal, s->disks);
}

/* --- writing --- */

static json_t *list_of(char from[][SNAP_PATH], unsigned n)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_string(from[i]));
    return list;
}

static json_t *write_node(struct snap_node *n, unsigned disks)
{
    json_t *formats = json_array();

    for (unsigned i = 0; i < disks; i++)
        json_array_append_new(formats, json_string(n->format[i]));
    return json_pack("{s:i, s:s, s:i, s:I, s:b, s:o, s:o}", "id", n->id, "name", n->name, "parent", n->parent, "time",
                     (json_int_t)n->time, "hidden", n->hidden, "layers", list_of(n->layer, disks), "formats", formats);
}

static json_t *write_set(struct snap_set *s)
{
    json_t *nodes = json_array(), *heads = json_array(), *j;

    for (unsigned i = 0; i < s->nodes; i++)
        json_array_append_new(nodes, write_node(&s->node[i], s->disks));
    for (unsigned i = 0; i < s->heads; i++)
        json_array_append_new(heads, json_pack("{s:s, s:i, s:o}", "name", s->head[i].name, "parent", s->head[i].parent,
                                               "disks", list_of(s->head[i].path, s->disks)));
    j = json_pack("{s:i, s:i, s:i, s:o, s:o}", "guise-snapshots", 1, "disks", s->disks, "next", s->next, "snapshots",
                  nodes, "branches", heads);
    if (s->journal.op) {
        json_t *w = json_pack("{s:s, s:i, s:s, s:s}", "op", op_names[s->journal.op], "id", s->journal.id, "branch",
                              s->journal.head, "how", s->journal.how);

        if (s->journal.op == SNAP_TAKE)
            json_object_set_new(w, "paths", list_of(s->journal.path, s->disks));
        json_object_set_new(j, "journal", w);
    }
    return j;
}

static bool sync_folder(const struct snap_set *s)
{
    int fd = open(*s->dir ? s->dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !fsync(fd);

    if (fd >= 0)
        close(fd);
    return ok;
}

bool snap_save(struct snap_set *s, struct err *e)
{
    char tmp[SNAP_PATH + 8];
    json_t *j = write_set(s);
    FILE *f;
    bool ok;

    snprintf(tmp, sizeof tmp, "%s.new", s->path);
    f = fopen(tmp, "w");
    ok = f && !json_dumpf(j, f, JSON_INDENT(1)) && fputc('\n', f) >= 0 && !fflush(f) && !fsync(fileno(f));
    if (f)
        ok = !fclose(f) && ok;
    json_decref(j);
    if (!ok || rename(tmp, s->path) || !sync_folder(s)) {
        err_set(e, "%s: cannot write it: %s", s->path, strerror(errno));
        unlink(tmp);
        return false;
    }
    return true;
}

/* --- opening --- */

static struct snap_set *set_at(const char *path, struct err *e)
{
    struct snap_set *s = calloc(1, sizeof *s);
    const char *slash = strrchr(path, '/');
    char lock[SNAP_PATH + 8];

    if (!s || strlen(path) + 8 > SNAP_PATH) {
        err_set(e, s ? "%s: too long a name" : "%s: out of memory", path);
        free(s);
        return NULL;
    }
    s->lock = -1;
    s->next = 1;
    copy(s->path, sizeof s->path, path);
    if (slash)
        snprintf(s->dir, sizeof s->dir, "%.*s", (int)(slash - path + 1), path);
    snprintf(lock, sizeof lock, "%s.lock", path);
    s->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s->lock >= 0 && !flock(s->lock, LOCK_EX | LOCK_NB))
        return s;
    if (s->lock >= 0 && errno == EWOULDBLOCK)
        err_set(e, "%s: another process is working on it", path);
    else
        err_set(e, "%s: %s", lock, strerror(errno));
    snap_close(s);
    return NULL;
}

struct snap_set *snap_open(const char *path, struct err *e)
{
    struct snap_set *s = snap_exists(path) ? set_at(path, e) : NULL;
    json_error_t why;
    json_t *j;
    bool ok;

    if (!s) {
        if (!snap_exists(path))
            err_set(e, "%s: no such set of snapshots; `guise snap take %s NAME DISK...` makes one", path, path);
        return NULL;
    }
    j = json_load_file(path, 0, &why);
    ok = j && read_set(s, j);
    if (!j)
        err_set(e, "%s: line %d: %s", path, why.line, why.text);
    else if (!ok)
        err_set(e, "%s: not a set of snapshots, or a damaged one", path);
    json_decref(j);
    if (ok && snap_recover(s, e))
        return s;
    snap_close(s);
    return NULL;
}

/* Beside the set: the name alone. */
static bool place(const struct snap_set *s, const char *disk, char out[SNAP_PATH], struct err *e)
{
    char real[PATH_MAX], dir[PATH_MAX];
    size_t n;

    if (!realpath(disk, real))
        return err_set(e, "%s: %s", disk, strerror(errno));
    if (!realpath(*s->dir ? s->dir : ".", dir))
        return err_set(e, "%s: %s", s->dir, strerror(errno));
    n = strlen(dir);
    if (!strncmp(real, dir, n) && real[n] == '/' && !strchr(real + n + 1, '/'))
        snprintf(out, SNAP_PATH, "%.*s", SNAP_PATH - 1, real + n + 1);
    else if (strlen(real) < SNAP_PATH)
        snprintf(out, SNAP_PATH, "%.*s", SNAP_PATH - 1, real);
    else
        return err_set(e, "%s: too long a name", disk);
    return true;
}

struct snap_set *snap_new(const char *path, const char *const *disks, unsigned n, struct err *e)
{
    struct snap_set *s;

    if (!n || n > SNAP_DISKS) {
        err_set(e, "a set has 1 to %d disks", SNAP_DISKS);
        return NULL;
    }
    s = set_at(path, e);
    if (!s)
        return NULL;
    s->disks = n;
    s->heads = 1;
    copy(s->head[0].name, SNAP_NAME, "main");
    for (unsigned i = 0; i < n; i++) {
        if (!place(s, disks[i], s->head[0].path[i], e)) {
            snap_close(s);
            return NULL;
        }
        for (unsigned k = 0; k < i; k++)
            if (!strcmp(s->head[0].path[k], s->head[0].path[i])) {
                err_set(e, "%s: named twice", disks[i]);
                snap_close(s);
                return NULL;
            }
    }
    return s;
}

void snap_close(struct snap_set *s)
{
    char lock[SNAP_PATH + 8];

    if (!s)
        return;
    if (s->lock >= 0) {
        if (!snap_exists(s->path)) { /* nothing came of it */
            snprintf(lock, sizeof lock, "%s.lock", s->path);
            unlink(lock);
        }
        close(s->lock);
    }
    free(s);
}

bool snap_interrupted(const char *path)
{
    json_t *j = json_load_file(path, 0, NULL);
    const char *op = json_string_value(json_object_get(json_object_get(j, "journal"), "op"));
    bool yes = op && (!strcmp(op, op_names[SNAP_TAKE]) || !strcmp(op, op_names[SNAP_RESET]));

    json_decref(j);
    return yes;
}

bool snap_find_set(const char *disk, char path[SNAP_PATH])
{
    char real[PATH_MAX], dir[PATH_MAX], *slash;
    struct dirent *d;
    bool found = false;
    DIR *folder;

    if (!realpath(disk, real))
        return false;
    strcpy(dir, real);
    slash = strrchr(dir, '/');
    *slash = 0;
    folder = opendir(*dir ? dir : "/");
    while (folder && !found && (d = readdir(folder)) != NULL) {
        size_t n = strlen(d->d_name);
        const json_t *head, *file;
        size_t i, k;
        json_t *j;

        if (n < 7 || strcmp(d->d_name + n - 6, ".snaps") ||
            snprintf(path, SNAP_PATH, "%s/%s", dir, d->d_name) >= SNAP_PATH)
            continue;
        j = json_load_file(path, 0, NULL);
        json_array_foreach(json_object_get(j, "branches"), i, head)
            json_array_foreach(json_object_get(head, "disks"), k, file)
        {
            const char *name = json_string_value(file);

            found |= name && (!strcmp(name, real) || !strcmp(name, real + strlen(dir) + 1));
        }
        json_decref(j);
    }
    if (folder)
        closedir(folder);
    return found;
}

/* --- showing --- */

static uint64_t file_bytes(const struct snap_set *s, const char *name)
{
    char path[2 * SNAP_PATH];
    struct stat st;

    snap_full_path(s, name, path);
    return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

uint64_t snap_node_bytes(const struct snap_set *s, const struct snap_node *n)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->disks; i++)
        sum += file_bytes(s, n->layer[i]);
    return sum;
}

static void print_size(uint64_t bytes, FILE *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    unsigned u = 0;

    for (; n >= 1024 && u < 4; u++)
        n /= 1024;
    fprintf(out, u ? "%8.1f %s" : "%8.0f %s", n, units[u]);
}

static void print_line(const char *indent, const char *branch, const char *name, const char *when, uint64_t bytes,
                       FILE *out)
{
    char label[3 * SNAP_PATH];

    snprintf(label, sizeof label, "%s%s%s", indent, branch, name);
    fprintf(out, "%-40s %-17s ", label, when);
    print_size(bytes, out);
    fputc('\n', out);
}

static void list_below(struct snap_set *s, unsigned parent, const char *indent, FILE *out)
{
    unsigned left = snap_children(s, parent);
    char deeper[SNAP_PATH];

    for (unsigned i = 0; i < s->nodes && strlen(indent) < 200; i++) {
        struct snap_node *n = &s->node[i];
        char when[24] = "";
        time_t t = (time_t)n->time;
        struct tm tm;

        if (n->parent != parent)
            continue;
        left--;
        if (localtime_r(&t, &tm))
            strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
        print_line(indent, parent ? left ? "|- " : "`- " : "", n->hidden ? "(deleted, in use)" : n->name, when,
                   snap_node_bytes(s, n), out);
        snprintf(deeper, sizeof deeper, "%s%s", indent, parent ? left ? "|  " : "   " : "");
        list_below(s, n->id, deeper, out);
    }
    for (unsigned i = 0; i < s->heads; i++) {
        uint64_t bytes = 0;
        char label[SNAP_NAME + 16];

        if (s->head[i].parent != parent)
            continue;
        left--;
        for (unsigned k = 0; k < s->disks; k++)
            bytes += file_bytes(s, s->head[i].path[k]);
        snprintf(label, sizeof label, "* %s", s->head[i].name);
        print_line(indent, parent ? left ? "|- " : "`- " : "", label, s->head[i].path[0], bytes, out);
    }
}

void snap_list(struct snap_set *s, FILE *out) { list_below(s, 0, "", out); }

bool snap_list_json(struct snap_set *s, FILE *out)
{
    json_t *j = write_set(s), *n;
    size_t i;

    json_array_foreach(json_object_get(j, "snapshots"), i, n)
        json_object_set_new(n, "bytes", json_integer((json_int_t)snap_node_bytes(s, &s->node[i])));
    i = (size_t)json_dumpf(j, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(j);
    return !i;
}
