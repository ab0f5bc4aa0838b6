/* Which back end serves the host we run on: the one place that asks. */
#include "translator/tb.h"

#if defined(__x86_64__)
const struct host_ops *const host_jit = &host_x86_64;
#else
const struct host_ops *const host_jit = NULL;
#endif
