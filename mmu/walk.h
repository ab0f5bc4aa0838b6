/*
 * Page-table walks of RISC-V: Sv39, Sv48, Sv57 (privileged specification, "Supervisor-Level ISA"), with Svnapot, Svpbmt,
 * Svade and Svadu. Pure but for the A/D update: context in, result out; no vCPU, no TLB.
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "base/types.h"

struct bus;

enum walk_access { WALK_READ, WALK_WRITE, WALK_EXEC };
enum walk_fault { WALK_OK, WALK_PAGE_FAULT, WALK_ACCESS_FAULT };

struct walk_ctx {
    const struct bus *bus;
    gpa root;         /* of the root table */
    unsigned levels;  /* 3, 4, 5 */
    bool user;        /* privilege U, else S */
    bool sum, mxr;
    bool hw_ad;       /* Svadu on (menvcfg.ADUE): set A and D atomically; off: Svade, fault */
    bool napot, pbmt; /* extensions enabled (pbmt: menvcfg.PBMTE) */
    /* PMP and PMA of a page-table access: false = access fault. May be NULL. */
    bool (*allowed)(void *arg, gpa addr, unsigned len, bool write);
    void *allowed_arg;
};

struct walk_step {
    gpa pte_addr;
    uint64_t pte;
    unsigned level; /* 0 = 4 KiB */
};

struct walk_result {
    enum walk_fault fault;
    gpa pa;          /* of the byte asked for */
    uint64_t span;   /* bytes of the leaf (4 KiB, 64 KiB, 2 MiB, 1 GiB, ...) */
    uint64_t pte;    /* leaf as it stands after the A/D update */
    bool read, write, exec; /* rights in this view; write only when D is set */
    bool global, user;
    unsigned steps;  /* used entries of step */
    struct walk_step step[5];
    const char *why; /* a fault in words, for explain; static string */
};

/*
 * Translate va. A/D bits are set by compare-and-swap on guest RAM when hw_ad; a lost race walks again.
 * Checks canonical form, V, reserved bits, R/W combinations, superpage alignment, U/SUM, MXR, PBMT, NAPOT in the order of
 * the specification's algorithm.
 */
struct walk_result walk_sv(const struct walk_ctx *c, gva va, enum walk_access access);

#endif
