/* Floating point, double and single. */
#include <math.h>
#include <string.h>

#include "bench.h"

static uint64_t bits_of(double d)
{
    uint64_t v;

    memcpy(&v, &d, 8);
    return v;
}

struct body {
    double x, y, z, vx, vy, vz, m;
};
static uint64_t nbody(void)
{
    struct body b[5] = {{0, 0, 0, 0, 0, 0, 39.47},
                        {4.84, -1.16, -.10, .6063, 2.81, -.02, .037},
                        {8.34, 4.12, -.4, -1.01, 1.82, .008, .011},
                        {12.89, -15.11, -.22, 1.08, .868, -.01, .0017},
                        {15.37, -25.9, .179, .979, .594, -.034, .002}};

    for (int step = 0; step < 400000; step++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y, dz = b[i].z - b[j].z;
                double d2 = dx * dx + dy * dy + dz * dz, mag = 0.001 / (d2 * sqrt(d2));

                b[i].vx -= dx * b[j].m * mag, b[i].vy -= dy * b[j].m * mag, b[i].vz -= dz * b[j].m * mag;
                b[j].vx += dx * b[i].m * mag, b[j].vy += dy * b[i].m * mag, b[j].vz += dz * b[i].m * mag;
            }
        for (int i = 0; i < 5; i++)
            b[i].x += 0.001 * b[i].vx, b[i].y += 0.001 * b[i].vy, b[i].z += 0.001 * b[i].vz;
    }
    return bits_of(b[0].x + b[1].y + b[2].z);
}

static uint64_t mandelbrot(void)
{
    uint64_t sum = 0;

    for (int py = 0; py < 500; py++)
        for (int px = 0; px < 500; px++) {
            double cr = px / 250.0 - 1.5, ci = py / 250.0 - 1.0, r = 0, i = 0;
            int n = 0;

            while (n < 256 && r * r + i * i < 4) {
                double t = r * r - i * i + cr;

                i = 2 * r * i + ci;
                r = t;
                n++;
            }
            sum += (uint64_t)n;
        }
    return sum;
}

static uint64_t matmul_fp(void)
{
    enum { N = 200 };
    static double a[N][N], b[N][N], c[N][N];

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = i - j, b[i][j] = i + 0.5 * j, c[i][j] = 0;
    for (int round = 0; round < 12; round++)
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++)
                for (int j = 0; j < N; j++)
                c[i][j] += a[i][k] * b[k][j];
    return bits_of(c[17][33] + c[N - 1][N - 1]);
}

/* Linear equations by elimination with pivoting, single precision. */
static uint64_t linpack(void)
{
    enum { N = 160 };
    static float a[N][N + 1];
    uint32_t s = 47;
    float sum = 0;

    for (int round = 0; round < 16; round++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j <= N; j++)
                a[i][j] = (float)(int32_t)next_random(&s) / 1e9f;
        for (int k = 0; k < N; k++) {
            int p = k;

            for (int i = k + 1; i < N; i++)
                if (fabsf(a[i][k]) > fabsf(a[p][k]))
                    p = i;
            for (int j = k; j <= N; j++) {
                float t = a[k][j];

                a[k][j] = a[p][j], a[p][j] = t;
            }
            for (int i = k + 1; i < N; i++) {
                float f = a[i][k] / a[k][k];

                for (int j = k; j <= N; j++)
                    a[i][j] -= f * a[k][j];
            }
        }
        sum += a[N - 1][N] / a[N - 1][N - 1];
    }
    return bits_of((double)sum);
}

static double a_elem(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }
static uint64_t spectral(void)
{
    enum { N = 200 };
    static double u[N], v[N];

    for (int i = 0; i < N; i++)
        u[i] = 1;
    for (int r = 0; r < 200; r++) {
        for (int i = 0; i < N; i++) {
            v[i] = 0;
            for (int j = 0; j < N; j++)
                v[i] += a_elem(i, j) * u[j];
        }
        for (int i = 0; i < N; i++) {
            u[i] = 0;
            for (int j = 0; j < N; j++)
                u[i] += a_elem(j, i) * v[j];
        }
    }
    return bits_of(u[7]);
}

static uint64_t fft(void)
{
    enum { N = 4096 };
    static double re[N], im[N], wr[N / 2], wi[N / 2];

    for (int i = 0; i < N / 2; i++)
        wr[i] = cos(6.283185307179586 * i / N), wi[i] = sin(6.283185307179586 * i / N);
    for (int i = 0; i < N; i++)
        re[i] = i % 17, im[i] = 0;
    for (int round = 0; round < 300; round++)
        for (int half = N / 2, step = 1; half >= 1; half /= 2, step *= 2)
            for (int base = 0; base < N; base += 2 * half)
                for (int k = 0; k < half; k++) {
                    int i = base + k, j = i + half;
                    double tr = re[i] - re[j], ti = im[i] - im[j];

                    re[i] = (re[i] + re[j]) * 0.5, im[i] = (im[i] + im[j]) * 0.5;
                    re[j] = tr * wr[k * step] - ti * wi[k * step], im[j] = tr * wi[k * step] + ti * wr[k * step];
                }
    return bits_of(re[5] + im[9]);
}

/* Conversions, comparisons, minimum and maximum, and the library's functions. */
static uint64_t mixed(void)
{
    double sum = 0;
    int64_t count = 0;

    for (int i = 1; i < 1500000; i++) {
        double x = i * 0.001, y = sin(x) * exp(-x * 0.001) + log(x + 1);

        sum += fmin(y, 2.5) - fmax(x * 0.001, 0.5);
        count += (int64_t)(y * 1000) + (int32_t)(float)x + (y > 1.0);
    }
    return bits_of(sum) ^ (uint64_t)count;
}

const struct bench bench_fp[] = {
    {"fp", "nbody", nbody},       {"fp", "mandelbrot", mandelbrot}, {"fp", "matmul_d", matmul_fp},
    {"fp", "linpack_s", linpack}, {"fp", "spectral", spectral},     {"fp", "fft", fft},
    {"fp", "libm", mixed},        {0},
};
