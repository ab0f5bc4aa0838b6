/*
 * Proofs that disks lose nothing.
 *
 *   disk random|crash|fault [--seed N] [--count N] [--format qcow2|raw|vdi] [--dir DIR] [--plant BUG] [--verbose] [--keep]
 *
 * Prints TAP. --plant makes the run one of a broken host, and passes when the proof finds it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/disk/disk.h"

static const struct {
    const char *name;
    bool (*run)(const struct proof_options *o);
    uint64_t count;
} proofs[] = {{"crash", proof_crash, 5000}, {"fault", proof_fault, 2000}, {"random", proof_random, 100}};

static int usage(void)
{
    fprintf(stderr, "usage: disk crash|fault|random [--seed N] [--count N] [--format F] [--dir D] [--plant BUG] "
                    "[--verbose] [--keep]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct proof_options *o)
{
    for (int i = 2; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(argv[i], "--verbose"))
            o->verbose = true;
        else if (!strcmp(argv[i], "--keep"))
            o->keep = true;
        else if (!next)
            return false;
        else if (i++, !strcmp(argv[i - 1], "--seed"))
            o->seed = strtoull(next, NULL, 0);
        else if (!strcmp(argv[i - 1], "--count"))
            o->count = strtoull(next, NULL, 0);
        else if (!strcmp(argv[i - 1], "--format"))
            o->format = next;
        else if (!strcmp(argv[i - 1], "--dir"))
            o->dir = next;
        else if (!strcmp(argv[i - 1], "--plant"))
            o->plant = next;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    /* Memory, where there is some: the proofs make and drop many small files. */
    char dir[] = "/dev/shm/guise-disk-XXXXXX", other[] = "/tmp/guise-disk-XXXXXX";
    struct proof_options o = {.seed = 1, .format = "qcow2"};
    char *made = NULL;
    int code = 2;

    if (argc < 2 || !parse(argc, argv, &o))
        return usage();
    if (!o.dir)
        o.dir = made = mkdtemp(dir) ? dir : mkdtemp(other);
    for (size_t i = 0; i < sizeof proofs / sizeof *proofs; i++)
        if (!strcmp(argv[1], proofs[i].name)) {
            if (!o.count)
                o.count = proofs[i].count;
            bool good = proofs[i].run(&o);

            if (o.plant)
                code = !tap(!good, "%s %s: the proof finds a planted bug (%s)", argv[1], o.format, o.plant);
            else
                code = !tap(good, "%s %s", argv[1], o.format);
        }
    if (made && !o.keep)
        shell(NULL, "rm -rf '%s'", made);
    return code == 2 ? usage() : code;
}
