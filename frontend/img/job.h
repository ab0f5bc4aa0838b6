/*
 * A long operation: several threads do it, the caller's thread shows progress and listens for signals.
 *
 * Ctrl-C (SIGINT, SIGTERM, SIGHUP) only sets `stop`: the work ends at its next look, and the caller leaves a consistent
 * image or none. Fields are atomic where threads share them.
 */
#ifndef FRONTEND_IMG_JOB_H
#define FRONTEND_IMG_JOB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct img_args;

struct job {
    uint64_t total, done; /* bytes */
    uint64_t rate;        /* at most so many bytes a second; 0: no limit */
    uint64_t started_ns;
    bool percent, bar; /* -p: "(50.00/100%)" on stdout; a bar on a terminal's stderr */
    bool stop, failed;
    int signal;           /* that ended it, 0: none */
    pthread_mutex_t lock; /* guards err */
    struct err err;
    const char *what; /* in the bar */
    unsigned running;
    int wake; /* eventfd: a thread has ended */
    void (*work)(struct job *j, void *arg);
    void *arg;
};

void job_init(struct job *j, const struct img_args *a, uint64_t total);
/*
 * Run work(j, arg) on that many threads until all have returned. False with e set: one called job_fail (the first
 * one's message), or a signal came (j->signal). The signal is also noted in a->signal.
 */
bool job_run(struct job *j, struct img_args *a, unsigned threads, void (*work)(struct job *j, void *arg), void *arg,
             struct err *e);

/* For the threads. job_fail stops all; job_step counts bytes and sleeps when there is a rate. */
void job_fail(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool job_stopped(struct job *j);
void job_step(struct job *j, uint64_t bytes);

/* Two threads a core (some wait for the disk while others compute), or what -m says: 1 to 16. 0 with e set: not a number. */
unsigned job_threads(const char *parallel, struct err *e);

#endif
