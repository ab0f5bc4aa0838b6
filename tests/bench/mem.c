/* Memory: copies, streams, random access, pointer chasing. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MB = 1 << 20 };
static uint8_t area[64 * MB] __attribute__((aligned(4096)));

static uint64_t copy_near(void)
{
    memset(area, 7, 128 << 10);
    for (int i = 0; i < 12000; i++)
        memcpy(area + (64 << 10), area, 64 << 10);
    return area[100 << 10];
}

/* Source and destination a power of two apart. */
static uint64_t copy_far(void)
{
    memset(area, 9, 32 * MB);
    for (int i = 0; i < 4; i++)
        memcpy(area + 32 * MB, area, 32 * MB);
    return area[40 * MB];
}

static uint64_t fill(void)
{
    for (int i = 0; i < 12; i++)
        memset(area, i, sizeof area / 2);
    return area[3 * MB];
}

static uint64_t stream(void)
{
    double *a = (double *)area, *b = a + MB, *c = b + MB;

    for (int i = 0; i < MB; i++)
        a[i] = i, b[i] = 2 * i, c[i] = 0;
    for (int r = 0; r < 16; r++)
        for (int i = 0; i < MB; i++)
            c[i] = a[i] + 3 * b[i];
    return (uint64_t)c[12345];
}

static uint64_t sum_words(void)
{
    uint64_t *v = (uint64_t *)area, sum = 0;

    memset(area, 1, 16 * MB);
    for (int r = 0; r < 24; r++)
        for (unsigned i = 0; i < 16 * MB / 8; i++)
            sum += v[i] ^ (uint64_t)r;
    return sum;
}

static uint64_t random_access(unsigned bytes, int n)
{
    uint64_t *v = (uint64_t *)area, sum = 0;
    uint32_t s = 37, mask = bytes / 8 - 1;

    memset(area, 3, bytes);
    for (int i = 0; i < n; i++) {
        uint32_t k = next_random(&s) & mask;

        sum += v[k];
        v[k] ^= sum;
    }
    return sum;
}
static uint64_t random_1m(void) { return random_access(1 * MB, 12000000); }
static uint64_t random_64m(void) { return random_access(64 * MB, 3000000); }

/* One cycle through all cache lines of the area, in random order. */
static uint64_t chase(unsigned bytes, int n)
{
    uint32_t lines = bytes / 64, s = 41, *order = malloc(lines * sizeof *order), at = 0;

    for (uint32_t i = 0; i < lines; i++)
        order[i] = i;
    for (uint32_t i = lines - 1; i > 0; i--) {
        uint32_t k = next_random(&s) % (i + 1), t = order[i];

        order[i] = order[k], order[k] = t;
    }
    for (uint32_t i = 0; i < lines; i++)
        *(uint32_t *)(area + 64 * (size_t)order[i]) = order[(i + 1) % lines];
    free(order);
    for (int i = 0; i < n; i++)
        at = *(uint32_t *)(area + 64 * (size_t)at);
    return at;
}
static uint64_t chase_16k(void) { return chase(16 << 10, 50000000); }
static uint64_t chase_1m(void) { return chase(1 * MB, 12000000); }
static uint64_t chase_32m(void) { return chase(32 * MB, 600000); }

struct node {
    struct node *left, *right;
    uint32_t key;
};
static uint64_t tree(void)
{
    enum { N = 60000 };
    struct node *pool = malloc(N * sizeof *pool), *root = NULL;
    uint32_t s = 43;
    uint64_t sum = 0;

    for (int i = 0; i < N; i++) {
        struct node **p = &root, *n = &pool[i];

        *n = (struct node){0, 0, next_random(&s)};
        while (*p)
            p = n->key < (*p)->key ? &(*p)->left : &(*p)->right;
        *p = n;
    }
    for (int i = 0; i < 700000; i++) {
        uint32_t k = next_random(&s);

        for (const struct node *n = root; n; n = k < n->key ? n->left : n->right)
            sum += n->key & 1;
    }
    free(pool);
    return sum;
}

static uint64_t unaligned(void)
{
    uint64_t sum = 0;

    memset(area, 5, MB);
    for (int r = 0; r < 300; r++)
        for (unsigned i = 1; i < MB - 8; i += 3) {
            uint64_t v;

            memcpy(&v, area + i, 8);
            sum = (sum ^ v) * 3;
        }
    return sum;
}

const struct bench bench_mem[] = {
    {"mem", "copy_near", copy_near},   {"mem", "copy_far", copy_far}, {"mem", "fill", fill},
    {"mem", "stream", stream},         {"mem", "sum", sum_words},     {"mem", "random_1m", random_1m},
    {"mem", "random_64m", random_64m}, {"mem", "chase_16k", chase_16k}, {"mem", "chase_1m", chase_1m},
    {"mem", "chase_32m", chase_32m},   {"mem", "tree", tree},         {"mem", "unaligned", unaligned},
    {0},
};
