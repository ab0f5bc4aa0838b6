/*
 * Runs in the guest: what processes may rely on of their memory, over and over, under a timer's signals.
 *
 *   processes SECONDS: `ROUNDS n` at the end, `WRONG what` for each promise that was broken, exit code 1 if there was one
 *
 * Each round goes where a translation kept too long, or a register lost in a trap, would show: a file mapped where a child's
 * stack was a moment ago (posix_spawn), pages shared by fork until one side writes, pages moved, dropped, and protected,
 * code written and written again. What is right is said by POSIX and by the manual pages of fork, mmap, mprotect, mremap, madvise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, LINE = 61, LINES = 325, SLOTS = 256, CHILD = 7, TICK_US = 1000 };

static unsigned wrong;
static volatile unsigned ticks;
static char file[64], text[LINE * LINES];

static void check(int good, const char *what)
{
    if (good)
        return;
    printf("WRONG %s\n", what);
    fflush(stdout);
    wrong++;
}

static void on_tick(int sig)
{
    (void)sig;
    ticks++;
}

static void ended_well(pid_t pid, const char *what)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    check(WIFEXITED(status) && WEXITSTATUS(status) == CHILD, what);
}

static unsigned next(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33);
}

/* --- a file where a stack was --- */

static void write_file(void)
{
    int fd;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % LINE == LINE - 1 ? '\n' : i % LINE == 10 ? ':' : (char)('a' + (i * 7 + i / LINE) % 26);
    snprintf(file, sizeof file, "/tmp/processes.%d", (int)getpid());
    fd = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    check(fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text, "a file is written");
    close(fd);
}

static void read_file(void)
{
    int fd = open(file, O_RDONLY);
    char *map = mmap(NULL, sizeof text, PROT_READ, MAP_PRIVATE, fd, 0), *at = map;

    check(map != MAP_FAILED, "a file is mapped");
    if (map == MAP_FAILED)
        return;
    for (unsigned n = 0; n < LINES; n++, at += LINE)
        if (memchr(at, ':', LINE) != at + 10 || memchr(at, '\n', LINE) != at + LINE - 1)
            break;
    check(at == map + sizeof text, "a mapped file is what was written");
    munmap(map, sizeof text);
    close(fd);
}

static void spawn(const char *self)
{
    char *args[] = {(char *)self, "child", NULL};
    pid_t pid;

    if (posix_spawn(&pid, self, NULL, NULL, args, environ))
        check(0, "a child is spawned");
    else
        ended_well(pid, "a spawned child ends with its code");
}

/* --- a heap whose blocks know where they are --- */

struct node {
    struct node *next;
    uintptr_t self, inverse;
};

static void heap(unsigned steps)
{
    static struct node *slot[SLOTS];

    while (steps--) {
        struct node **head = &slot[next() % SLOTS];

        if (!*head) {
            for (unsigned k = 1 + next() % 4; k--;) {
                struct node *n = malloc(sizeof *n + next() % 160);

                *n = (struct node){*head, (uintptr_t)n, ~(uintptr_t)n};
                *head = n;
            }
            continue;
        }
        while (*head) {
            struct node *n = *head;

            check(n->self == (uintptr_t)n && n->inverse == ~(uintptr_t)n, "a block of the heap keeps its bytes");
            *head = n->next;
            free(n);
        }
    }
}

/* --- pages --- */

static volatile uint64_t *word(volatile uint64_t *pages, unsigned i) { return pages + i * PAGE / 8 + i; }

static int holds(volatile uint64_t *pages, unsigned from, unsigned step, uint64_t offset)
{
    for (unsigned i = from; i < PAGES; i += step)
        if (*word(pages, i) != i + offset)
            return 0;
    return 1;
}

static void set(volatile uint64_t *pages, unsigned from, unsigned step, uint64_t offset)
{
    for (unsigned i = from; i < PAGES; i += step)
        *word(pages, i) = i + offset;
}

/* The parent writes even pages, the child odd ones, each sees only its own; of the shared page both see both. */
static void fork_pages(volatile uint64_t *pages, volatile uint64_t *shared)
{
    pid_t pid;

    set(pages, 0, 1, 0);
    *shared = 0;
    pid = fork();
    if (!pid) {
        int good = holds(pages, 0, 1, 0);

        wrong = 0;
        set(pages, 1, 2, 5000);
        heap(200);
        *shared = 1;
        good = good && holds(pages, 1, 2, 5000) && holds(pages, 0, 2, 0);
        _exit(good && !wrong ? CHILD : 1);
    }
    set(pages, 0, 2, 1000);
    heap(200);
    ended_well(pid, "a forked child sees its own pages");
    check(holds(pages, 0, 2, 1000) && holds(pages, 1, 2, 0), "a parent sees its own pages after fork");
    check(*shared == 1, "a shared page is shared");
}

static sigjmp_buf caught;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(caught, 1);
}

static void protect_and_move(volatile uint64_t *pages)
{
    volatile uint64_t *moved;
    void *there;

    set(pages, 0, 1, 7);
    mprotect((void *)pages, PAGE, PROT_READ);
    if (!sigsetjmp(caught, 1)) {
        *word(pages, 0) = 1;
        check(0, "a page that may only be read is not written");
    }
    mprotect((void *)pages, PAGE, PROT_READ | PROT_WRITE);
    *word(pages, 0) = 8;
    check(*word(pages, 0) == 8, "a page may be written again");
    *word(pages, 0) = 7;

    there = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    moved = mremap((void *)pages, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there);
    check(moved == there && holds(moved, 0, 1, 7), "pages that moved keep their bytes");
    if (!sigsetjmp(caught, 1)) {
        (void)*word(pages, 3);
        check(0, "where pages were before they moved, nothing is");
    }
    check(mremap(there, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)pages) == (void *)pages, "they move back");
    madvise((void *)pages, PAGES * PAGE, MADV_DONTNEED);
    for (unsigned i = 0; i < PAGES; i++)
        check(!*word(pages, i), "pages that were dropped are zero");
}

/* li a0, n; ret: twice at the same place. */
static void write_code(uint32_t *code)
{
    for (unsigned n = 1; n <= 2; n++) {
        int (*fn)(void);

        code[0] = 0x00000513 | (n + next() % 1000) << 20;
        code[1] = 0x00008067;
        __builtin___clear_cache((char *)code, (char *)(code + 2));
        memcpy(&fn, &code, sizeof fn);
        check(fn() == (int)(code[0] >> 20), "code that was written is what runs");
    }
}

static void *pages_of(int flags, int prot, unsigned n)
{
    void *p = mmap(NULL, n * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        exit(2);
    return p;
}

int main(int argc, char **argv)
{
    const int rw = PROT_READ | PROT_WRITE;
    struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART}, fault = {.sa_handler = on_fault};
    struct itimerval every = {{0, TICK_US}, {0, TICK_US}};
    char self[256] = "";
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    volatile uint64_t *pages, *shared;
    uint32_t *code;
    unsigned rounds = 0;

    if (argc > 1 && !strcmp(argv[1], "child")) {
        heap(300);
        return wrong ? 1 : CHILD;
    }
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 2;
    sigaction(SIGALRM, &tick, NULL);
    sigaction(SIGSEGV, &fault, NULL);
    pages = pages_of(MAP_PRIVATE, rw, PAGES);
    shared = pages_of(MAP_SHARED, rw, 1);
    code = pages_of(MAP_PRIVATE, rw | PROT_EXEC, 1);
    write_file();
    setitimer(ITIMER_REAL, &every, NULL);
    for (; time(NULL) < end && wrong < 10; rounds++) {
        spawn(self);
        read_file();
        fork_pages(pages, shared);
        heap(1000);
        protect_and_move(pages);
        write_code(code);
    }
    check(ticks > 0, "the timer's signals come");
    unlink(file);
    printf("ROUNDS %u, %u ticks\n", rounds, ticks);
    return wrong != 0;
}
