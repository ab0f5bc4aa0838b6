/* Integer programs: loops, tables, strings, compression, hashing. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static uint64_t sieve(void)
{
    enum { N = 1 << 20 };
    static uint8_t composite[N];
    uint64_t count = 0;

    for (int round = 0; round < 8; round++) {
        memset(composite, 0, N);
        for (uint32_t i = 2; i < N; i++) {
            if (composite[i])
                continue;
            count++;
            for (uint32_t k = 2 * i; k < N; k += i)
                composite[k] = 1;
        }
    }
    return count;
}

static uint64_t collatz(void)
{
    uint64_t steps = 0;

    for (uint64_t i = 1; i < 250000; i++)
        for (uint64_t n = i; n != 1; steps++)
            n = n & 1 ? 3 * n + 1 : n / 2;
    return steps;
}

static uint64_t crc32(void)
{
    static uint32_t table[256];
    static uint8_t data[1 << 16];
    uint32_t crc = ~0u, s = 1;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[i] = c;
    }
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)next_random(&s);
    for (int round = 0; round < 400; round++)
        for (unsigned i = 0; i < sizeof data; i++)
            crc = table[(crc ^ data[i]) & 255] ^ (crc >> 8);
    return crc;
}

#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))
static uint64_t sha256_rounds(void)
{
    static uint32_t k[64], w[64];
    uint32_t h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, s = 7;

    for (int i = 0; i < 64; i++)
        k[i] = next_random(&s);
    for (int block = 0; block < 60000; block++) {
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], z = h[7];

        for (int i = 0; i < 16; i++)
            w[i] = next_random(&s);
        for (int i = 16; i < 64; i++) {
            uint32_t x = w[i - 15], y = w[i - 2];

            w[i] = w[i - 16] + w[i - 7] + (ROTR(x, 7) ^ ROTR(x, 18) ^ x >> 3) + (ROTR(y, 17) ^ ROTR(y, 19) ^ y >> 10);
        }
        for (int i = 0; i < 64; i++) {
            uint32_t t1 = z + (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i];
            uint32_t t2 = (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));

            z = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += z;
    }
    return (uint64_t)h[0] << 32 | h[7];
}

static uint64_t matmul_int(void)
{
    enum { N = 160 };
    static int32_t a[N][N], b[N][N];
    uint32_t s = 3;
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = (int32_t)next_random(&s) >> 20, b[i][j] = (int32_t)next_random(&s) >> 20;
    for (int round = 0; round < 8; round++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                int32_t t = round;

                for (int k = 0; k < N; k++)
                    t += a[i][k] * b[k][j];
                sum += (uint32_t)t;
            }
    return sum;
}

static uint64_t hash_table(void)
{
    enum { SLOTS = 1 << 16 };
    static uint64_t key[SLOTS], val[SLOTS];
    uint32_t s = 9;
    uint64_t sum = 0;

    memset(key, 0, sizeof key);
    for (int i = 0; i < 2500000; i++) {
        uint64_t k = (next_random(&s) & 0x7fff) + 1;
        uint64_t h = k * UINT64_C(0x9e3779b97f4a7c15) >> 48;

        while (key[h] && key[h] != k)
            h = (h + 1) & (SLOTS - 1);
        key[h] = k;
        sum += val[h]++;
    }
    return sum;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t heap_sort(void)
{
    enum { N = 300000 };
    uint32_t *v = malloc(N * sizeof *v), s = 5;
    uint64_t sum = 0;

    for (unsigned i = 0; i < N; i++)
        v[i] = next_random(&s);
    for (unsigned n = N, start = N / 2; n > 1;) {
        uint32_t t;
        unsigned i, k;

        if (start)
            t = v[--start];
        else
            t = v[--n], v[n] = v[0];
        for (i = start, k = 2 * i + 1; k < n; i = k, k = 2 * i + 1) {
            if (k + 1 < n && v[k + 1] > v[k])
                k++;
            if (v[k] <= t)
                break;
            v[i] = v[k];
        }
        v[i] = t;
    }
    for (unsigned i = 0; i < N; i++)
        sum = sum * 31 + v[i];
    free(v);
    return sum;
}

static uint64_t divisions(void)
{
    uint64_t sum = 0;

    for (uint64_t i = 1; i < 6000000; i++)
        sum += (UINT64_C(0x123456789abcdef) / i) ^ ((uint32_t)(i * 2654435761u) % (uint32_t)(i | 3));
    return sum;
}

static uint64_t strings(void)
{
    static char text[1 << 16], word[32];
    uint32_t s = 11;
    uint64_t sum = 0;

    for (unsigned i = 0; i < sizeof text - 1; i++)
        text[i] = (char)(next_random(&s) % 7 ? 'a' + next_random(&s) % 26 : ' ');
    for (int round = 0; round < 60; round++) {
        unsigned n = 0;

        for (const char *p = text; *p; p++) {
            if (*p != ' ' && n < sizeof word - 1) {
                word[n++] = *p;
                continue;
            }
            word[n] = 0;
            sum = sum * 33 + strlen(word) + (uint64_t)(strchr(word, 'e') != NULL);
            n = 0;
        }
    }
    return sum;
}

/* A byte-oriented LZ with a hash table: literals and matches of up to 255 bytes. */
static uint64_t lz_compress(void)
{
    enum { N = 1 << 18 };
    static uint8_t in[N], out[2 * N];
    static uint32_t head[1 << 14];
    uint32_t s = 13;
    uint64_t sum = 0;

    for (unsigned i = 0; i < N; i++)
        in[i] = (uint8_t)(i > 4096 && next_random(&s) % 4 ? in[i - 1 - next_random(&s) % 64] : next_random(&s) & 15);
    for (int round = 0; round < 12; round++) {
        unsigned o = 0;

        memset(head, 0, sizeof head);
        for (unsigned i = 0; i + 8 < N;) {
            uint32_t four, h, at;
            unsigned len = 0;

            memcpy(&four, in + i, 4);
            h = four * 2654435761u >> 18;
            at = head[h];
            head[h] = i;
            while (at && i + len + 8 < N && len < 255 && in[at + len] == in[i + len])
                len++;
            if (len >= 4) {
                out[o++] = 255, out[o++] = (uint8_t)len, out[o++] = (uint8_t)(i - at), out[o++] = (uint8_t)((i - at) >> 8);
                i += len;
            } else {
                out[o++] = in[i++];
            }
        }
        sum += o + out[o / 2];
    }
    return sum;
}

static uint64_t bits(void)
{
    uint64_t sum = 0, x = 1;

    for (int i = 0; i < 8000000; i++) {
        uint64_t v = x;

        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        v = v - ((v >> 1) & UINT64_C(0x5555555555555555));
        v = (v & UINT64_C(0x3333333333333333)) + ((v >> 2) & UINT64_C(0x3333333333333333));
        v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        sum += v * UINT64_C(0x0101010101010101) >> 56;
        sum ^= (x << 7 | x >> 57);
    }
    return sum;
}

/* Conway's life on a torus: byte loads, compares and branches. */
static uint64_t life(void)
{
    enum { N = 192 };
    static uint8_t a[N][N], b[N][N];
    uint32_t s = 17;
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = next_random(&s) >> 30 == 0;
    for (int gen = 0; gen < 60; gen++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                int u = i ? i - 1 : N - 1, d = i < N - 1 ? i + 1 : 0, l = j ? j - 1 : N - 1, r = j < N - 1 ? j + 1 : 0;
                int n = a[u][l] + a[u][j] + a[u][r] + a[i][l] + a[i][r] + a[d][l] + a[d][j] + a[d][r];

                b[i][j] = n == 3 || (n == 2 && a[i][j]);
                sum += b[i][j];
            }
        memcpy(a, b, sizeof a);
    }
    return sum;
}

static uint64_t qsort_libc(void)
{
    enum { N = 200000 };
    uint32_t *v = malloc(N * sizeof *v), s = 19;
    uint64_t sum = 0;

    for (unsigned i = 0; i < N; i++)
        v[i] = next_random(&s);
    qsort(v, N, sizeof *v, cmp_u32);
    for (unsigned i = 0; i < N; i++)
        sum = sum * 31 + v[i];
    free(v);
    return sum;
}

const struct bench bench_int[] = {
    {"int", "sieve", sieve},         {"int", "collatz", collatz},     {"int", "crc32", crc32},
    {"int", "sha256", sha256_rounds}, {"int", "matmul", matmul_int},  {"int", "hash", hash_table},
    {"int", "heapsort", heap_sort},  {"int", "div", divisions},       {"int", "strings", strings},
    {"int", "lz", lz_compress},      {"int", "bits", bits},           {"int", "life", life},
    {"int", "qsort", qsort_libc},    {0},
};
