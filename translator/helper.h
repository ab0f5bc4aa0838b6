/* The helper table (helper.def): called by generated code, and by the IR interpreter through libffi. */
#ifndef TRANSLATOR_HELPER_H
#define TRANSLATOR_HELPER_H

#include "base/types.h"
#include "translator/ir.h"

struct vcpu;

struct helper_info {
    const char *name;
    unsigned args; /* besides the vCPU */
    bool faults;
    void (*fn)(void); /* uint64_t fn(struct vcpu *, uint64_t...) with args numbers */
};
extern const struct helper_info helpers[HELPERS];

enum { MAX_HELPER_ARGS = 3 };
#define HELPER_ARGS_1 struct vcpu *v, uint64_t a
#define HELPER_ARGS_2 HELPER_ARGS_1, uint64_t b
#define HELPER_ARGS_3 HELPER_ARGS_2, uint64_t c
#define HELPER(name, args, faults, text) uint64_t helper_##name(HELPER_ARGS_##args);
#include "translator/helper.def"
#undef HELPER

/* The value of a call with the arguments it takes, through libffi. */
uint64_t helper_call(enum helper h, struct vcpu *v, const uint64_t args[MAX_HELPER_ARGS]);

unsigned mem_size(unsigned m);                       /* bytes of an enum ir_mem */
uint64_t mem_extend(unsigned m, uint64_t v);         /* what IR_ld makes of the bytes loaded */
uint64_t amo_apply(void *host, unsigned mem, unsigned op, uint64_t operand); /* atomic; old value, sign-extended */

#endif
