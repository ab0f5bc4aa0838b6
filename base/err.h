/*
 * Errors of set-up code: one message, given context on the way up, printed once by main.
 *
 * A function that can fail takes a struct err * (never NULL), returns bool, and on false has called
 * err_set. The caller owns the struct; it holds no memory.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

struct err {
    char msg[1024];
};

/* Store the message. Always false, so that `return err_set(e, ...)` reads well. */
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "context: " before the message that is there. Always false. */
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
