/* What costs in the kernel: system calls, switches, faults, processes, signals, files. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static uint64_t syscalls(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 600000; i++)
        n += syscall(SYS_getppid) >= 0;
    return n;
}

static uint64_t pipes(void)
{
    int a[2], b[2];
    uint64_t n = 0;
    char c = 1;
    pid_t pid;

    if (pipe(a) || pipe(b))
        return 0;
    pid = fork();
    if (pid == 0) {
        while (read(a[0], &c, 1) == 1 && c)
            if (write(b[1], &c, 1) != 1)
                break;
        _exit(0);
    }
    for (int i = 0; i < 20000; i++)
        n += write(a[1], &c, 1) == 1 && read(b[0], &c, 1) == 1;
    c = 0;
    n += write(a[1], &c, 1) == 1;
    waitpid(pid, NULL, 0);
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
    return n;
}

static uint64_t yields(void)
{
    pid_t pid = fork();

    for (int i = 0; i < 40000; i++)
        sched_yield();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return 1;
}

static uint64_t forks(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 200; i++) {
        int status = 1;
        pid_t pid = fork();

        if (pid == 0)
            _exit(7);
        waitpid(pid, &status, 0);
        n += WEXITSTATUS(status) == 7;
    }
    return n;
}

static uint64_t execs(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 150; i++) {
        int status = 1;
        pid_t pid = fork();

        if (pid == 0) {
            execl("/proc/self/exe", "bench", "no-such-program", (char *)NULL);
            _exit(1);
        }
        waitpid(pid, &status, 0);
        n += WEXITSTATUS(status) == 0;
    }
    return n;
}

static uint64_t first_touch(void)
{
    enum { LEN = 16 << 20 };
    uint64_t sum = 0;

    for (int r = 0; r < 6; r++) {
        char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return 0;
        madvise(p, LEN, MADV_NOHUGEPAGE);
        for (int i = 0; i < LEN; i += 4096)
            p[i] = (char)i, sum++;
        munmap(p, LEN);
    }
    return sum;
}

static char *guarded;
static volatile sig_atomic_t faults;
static void on_fault(int sig)
{
    (void)sig;
    faults++;
    mprotect(guarded, 4096, PROT_READ | PROT_WRITE);
}
static uint64_t protect(void)
{
    struct sigaction old, sa = {.sa_handler = on_fault};

    guarded = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    faults = 0;
    sigaction(SIGSEGV, &sa, &old);
    for (int i = 0; i < 12000; i++) {
        mprotect(guarded, 4096, PROT_READ);
        *(volatile char *)guarded = 1;
    }
    sigaction(SIGSEGV, &old, NULL);
    munmap(guarded, 4096);
    return (uint64_t)faults;
}

static volatile sig_atomic_t signals;
static void on_signal(int sig)
{
    (void)sig;
    signals++;
}
static uint64_t signalling(void)
{
    struct sigaction old, sa = {.sa_handler = on_signal};

    signals = 0;
    sigaction(SIGUSR1, &sa, &old);
    for (int i = 0; i < 60000; i++)
        kill(getpid(), SIGUSR1);
    sigaction(SIGUSR1, &old, NULL);
    return (uint64_t)signals;
}

static uint64_t files(void)
{
    static char buf[4096];
    char name[] = "/tmp/bench.XXXXXX";
    int fd = mkstemp(name);
    uint64_t n = 0;

    for (int r = 0; r < 12; r++) {
        lseek(fd, 0, SEEK_SET);
        for (int i = 0; i < 1024; i++)
            n += (uint64_t)write(fd, buf, sizeof buf);
        lseek(fd, 0, SEEK_SET);
        for (int i = 0; i < 1024; i++)
            n += (uint64_t)read(fd, buf, sizeof buf);
    }
    close(fd);
    unlink(name);
    return n;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared;
static void *locker(void *arg)
{
    for (int i = 0; i < 1500000; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
    }
    return arg;
}
static uint64_t mutexes(void)
{
    shared = 0;
    locker(NULL);
    return shared;
}

static uint64_t threads(void)
{
    uint64_t n = 0;

    for (int i = 0; i < 600; i++) {
        pthread_t t;

        if (pthread_create(&t, NULL, (void *(*)(void *))(uintptr_t)getppid, NULL))
            return n;
        pthread_join(t, NULL);
        n++;
    }
    return n;
}

const struct bench bench_os[] = {
    {"os", "syscall", syscalls}, {"os", "pipe", pipes},       {"os", "yield", yields},   {"os", "fork", forks},
    {"os", "exec", execs},       {"os", "touch", first_touch}, {"os", "protect", protect}, {"os", "signal", signalling},
    {"os", "file", files},       {"os", "mutex", mutexes},    {"os", "thread", threads}, {0},
};
