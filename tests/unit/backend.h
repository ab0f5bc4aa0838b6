/* A back end without the rest of the translator: compile single blocks and run them. */
#ifndef TESTS_UNIT_BACKEND_H
#define TESTS_UNIT_BACKEND_H

#include "translator/state.h"

/* vCPUs that run blocks of t have v.hooks = &t->hooks. */
bool backend_open(struct translator *t, const struct host_ops *host, const struct isa_ops *isa);
void backend_close(struct translator *t);
/* Compile ir for tb, in an emptied cache when it was full. Fails the test when that does not do. */
void backend_compile(struct translator *t, struct tb *tb, const struct ir *ir);
void backend_drop(struct translator *t, struct tb *tb); /* and free it; the last that was compiled */

#endif
