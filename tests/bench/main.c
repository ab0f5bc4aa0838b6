/* bench [NAME...]: run the programs named (or all) and print `BENCH group name seconds checksum` for each. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench.h"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int wanted(const struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], b->name) || !strcmp(argv[i], b->group))
            return 1;
    return argc < 2;
}

int main(int argc, char **argv)
{
    static const struct bench *const groups[] = {bench_int, bench_calls, bench_mem, bench_fp, bench_os};

    for (unsigned g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (const struct bench *b = groups[g]; b->name; b++) {
            double start = now();
            uint64_t sum;

            if (!wanted(b, argc, argv))
                continue;
            sum = b->run();
            printf("BENCH %s %s %.6f %016llx\n", b->group, b->name, now() - start, (unsigned long long)sum);
            fflush(stdout);
        }
    return 0;
}
