/*
 * Check groups: accesses off one unchanged base register, close together, share one TLB check.
 *
 * The first checks the page of the whole range of bytes the group touches and makes a host pointer to the base; the others
 * use it. When the range is not in one page, or not in the TLB, the pointer is -1 and every access of the group goes its
 * own slow way. The check raises nothing: it only looks, so that a range widened by accesses behind a branch does no harm.
 * A pointer holds as long as generated code runs: the TLB changes by this vCPU's own C code (exec ends the groups) and
 * for others only at its next poll. A store's check covers loads, which RISC-V's page rights allow wherever stores are.
 */
#include "translator/host_x86_64/emit.h"

struct open_group {
    uint8_t load, store; /* number + 1 */
    uint16_t version;    /* of the base register when they were opened */
};

static const uint8_t mem_bytes[] = {1, 1, 2, 2, 4, 4, 8};

static bool is_access(unsigned op) { return op == IR_ld || op == IR_st || op == IR_ldf || op == IR_stf; }

static bool join(struct emit *e, unsigned number, unsigned i, int64_t lo, int64_t hi)
{
    struct group *g = &e->group[number - 1];

    if (lo > g->lo)
        lo = g->lo;
    if (hi < g->hi)
        hi = g->hi;
    if (hi - lo > GROUP_RANGE)
        return false;
    g->lo = (int32_t)lo;
    g->hi = (int32_t)hi;
    g->members++;
    g->last = (uint16_t)i;
    e->val[i].group = (uint8_t)number;
    return true;
}

static void enter(struct emit *e, struct open_group *o, unsigned i)
{
    const struct ir_insn *in = &e->ir[i];
    bool write = in->op == IR_st || in->op == IR_stf;
    int64_t lo = in->imm, hi = lo + mem_bytes[in->sub];
    struct group *g;

    if (o->store && join(e, o->store, i, lo, hi))
        return;
    if (!write && o->load && join(e, o->load, i, lo, hi))
        return;
    if (e->ngroups == MAX_GROUPS || !fits32(lo) || !fits32(hi))
        return;
    g = &e->group[e->ngroups++];
    *g = (struct group){.members = 1, .last = (uint16_t)i, .lo = (int32_t)lo, .hi = (int32_t)hi, .write = write};
    e->val[IR_MAX + e->ngroups - 1] = (struct val){0};
    e->val[i].group = (uint8_t)e->ngroups;
    *(write ? &o->store : &o->load) = (uint8_t)e->ngroups;
}

void prepare_groups(struct emit *e)
{
    struct open_group open[32] = {{0}};
    uint16_t version[32] = {0};

    e->ngroups = 0;
    for (unsigned i = 0; i < e->count; i++) {
        const struct ir_insn *in = &e->ir[i];

        if (in->op == IR_getr) {
            e->val[i].next = version[in->imm];
        } else if (in->op == IR_setr) {
            version[in->imm]++;
        } else if (in->op == IR_exec || in->op == IR_call) {
            memset(open, 0, sizeof open);
        } else if (is_access(in->op) && e->ir[in->a].op == IR_getr) {
            struct open_group *o = &open[e->ir[in->a].imm];
            uint16_t v = e->val[in->a].next;

            if (o->version != v)
                *o = (struct open_group){.version = v};
            enter(e, o, i);
        }
    }
    for (unsigned k = 0; k < e->ngroups; k++)
        e->val[IR_MAX + k].last = e->group[k].last;
}
