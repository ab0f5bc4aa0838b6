/* Threads, progress and signals of a long operation: see job.h. */
#include "frontend/img/job.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "frontend/img/img.h"

enum { THREADS_MAX = 16, TICK_MS = 200, BAR_AFTER_MS = 600, BAR_WIDTH = 32 };

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void job_init(struct job *j, const struct img_args *a, uint64_t total)
{
    *j = (struct job){.total = total, .what = a->command->name, .wake = -1};
    j->percent = a->progress && !a->quiet;
    j->bar = !a->quiet && !j->percent && isatty(STDERR_FILENO);
    pthread_mutex_init(&j->lock, NULL);
}

bool job_stopped(struct job *j) { return __atomic_load_n(&j->stop, __ATOMIC_RELAXED); }

static void stop(struct job *j) { __atomic_store_n(&j->stop, true, __ATOMIC_RELAXED); }

void job_fail(struct job *j, const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&j->lock);
    if (!j->failed) {
        va_start(ap, fmt);
        vsnprintf(j->err.msg, sizeof j->err.msg, fmt, ap);
        va_end(ap);
        j->failed = true;
    }
    pthread_mutex_unlock(&j->lock);
    stop(j);
}

void job_step(struct job *j, uint64_t bytes)
{
    uint64_t done = __atomic_add_fetch(&j->done, bytes, __ATOMIC_RELAXED);

    while (j->rate && !job_stopped(j)) {
        uint64_t due = (uint64_t)((double)done / (double)j->rate * 1e9), passed = now_ns() - j->started_ns;
        struct timespec nap = {0, 50000000};

        if (passed >= due)
            break;
        if (due - passed < 50000000)
            nap.tv_nsec = (long)(due - passed);
        nanosleep(&nap, NULL);
    }
}

unsigned job_threads(const char *parallel, struct err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = cores < 1 ? 2 : 2 * cores > THREADS_MAX ? THREADS_MAX : 2 * (uint64_t)cores;

    if (parallel && !img_parse_count(parallel, "number of coroutines", 1, THREADS_MAX, &n, e))
        return 0;
    return (unsigned)n;
}

/* --- progress --- */

static double fraction(const struct job *j)
{
    uint64_t done = __atomic_load_n(&j->done, __ATOMIC_RELAXED);

    return !j->total || done >= j->total ? 1 : (double)done / (double)j->total;
}

static void show_bar(struct job *j, double f)
{
    double passed = (double)(now_ns() - j->started_ns) / 1e9, left = f > 0.01 ? passed / f - passed : 0;
    double speed = passed > 0 ? (double)__atomic_load_n(&j->done, __ATOMIC_RELAXED) / passed / 0x1p20 : 0;
    char bar[BAR_WIDTH + 1];
    int filled = (int)(f * BAR_WIDTH);

    memset(bar, '#', (size_t)filled);
    memset(bar + filled, '.', (size_t)(BAR_WIDTH - filled));
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %5.1f %%  %.0f MiB/s  %.0f s left \033[K", j->what, bar, f * 100, speed, left);
}

static void show(struct job *j)
{
    double f = fraction(j);

    if (j->percent) {
        printf("    (%.2f/100%%)\r", f * 100);
        fflush(stdout);
    } else if (j->bar && now_ns() - j->started_ns > UINT64_C(1000000) * BAR_AFTER_MS) {
        show_bar(j, f);
    }
}

static void show_end(struct job *j, bool ok)
{
    if (j->percent)
        printf("    (%.2f/100%%)\r\n", ok ? 100.0 : fraction(j) * 100);
    else if (j->bar)
        fputs("\r\033[K", stderr);
}

/* --- threads --- */

static void *thread_main(void *arg)
{
    struct job *j = arg;
    uint64_t one = 1;

    j->work(j, j->arg);
    __atomic_sub_fetch(&j->running, 1, __ATOMIC_RELEASE);
    while (write(j->wake, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    return NULL;
}

static void wait_for_threads(struct job *j, int signals)
{
    struct pollfd p[2] = {{.fd = j->wake, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

    show(j);
    while (__atomic_load_n(&j->running, __ATOMIC_ACQUIRE)) {
        struct signalfd_siginfo info;
        uint64_t n;

        if (poll(p, 2, TICK_MS) < 0 && errno != EINTR)
            break;
        if (p[0].revents && read(j->wake, &n, sizeof n) < 0)
            continue;
        if (p[1].revents && read(signals, &info, sizeof info) == sizeof info) {
            j->signal = (int)info.ssi_signo;
            stop(j);
        }
        show(j);
    }
}

static unsigned start_threads(struct job *j, pthread_t *thread, unsigned threads)
{
    unsigned n = 0;

    j->running = threads;
    while (n < threads && !pthread_create(&thread[n], NULL, thread_main, j))
        n++;
    __atomic_sub_fetch(&j->running, threads - n, __ATOMIC_RELEASE);
    return n;
}

static bool result(struct job *j, struct img_args *a, struct err *e)
{
    if (j->failed)
        return err_set(e, "%s", j->err.msg);
    if (!j->signal)
        return true;
    a->signal = j->signal;
    return err_set(e, "interrupted by %s", strsignal(j->signal));
}

bool job_run(struct job *j, struct img_args *a, unsigned threads, void (*work)(struct job *j, void *arg), void *arg,
             struct err *e)
{
    pthread_t thread[THREADS_MAX];
    sigset_t set, old;
    unsigned n = 0;
    int signals;
    bool ok;

    j->work = work;
    j->arg = arg;
    j->started_ns = now_ns();
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, &old); /* the threads inherit it */
    j->wake = eventfd(0, EFD_CLOEXEC);
    signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (j->wake < 0 || signals < 0 || !(n = start_threads(j, thread, threads < THREADS_MAX ? threads : THREADS_MAX)))
        job_fail(j, "cannot start threads: %s", strerror(errno));
    else
        wait_for_threads(j, signals);
    while (n)
        pthread_join(thread[--n], NULL);
    ok = result(j, a, e);
    show_end(j, ok);
    if (signals >= 0)
        close(signals);
    if (j->wake >= 0)
        close(j->wake);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_mutex_destroy(&j->lock);
    return ok;
}
