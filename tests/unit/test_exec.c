/* The execution loop with a toy guest, each test on every engine: links, faults, changing code, small caches, SMP. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "mmu/bus.h"
#include "toy.h"

static struct toy_machine m;

static const struct translator_options engines[] = {
    {.engine = ENGINE_INTERP},
    {.engine = ENGINE_IR},
    {.engine = ENGINE_IR, .no_link = true},
    {.engine = ENGINE_IR, .jit_after = 3},
    {.engine = ENGINE_JIT},
    {.engine = ENGINE_JIT, .no_link = true},
    {.engine = ENGINE_JIT, .jit_after = 3},
    {.engine = ENGINE_JIT, .cache_size = 64 << 10},
    {.engine = ENGINE_IR, .pic = PIC_ALWAYS},
    {.engine = ENGINE_JIT, .pic = PIC_ALWAYS},
    {.engine = ENGINE_JIT, .cache_size = 64 << 10, .pic = PIC_ALWAYS},
    {.engine = ENGINE_LOCKSTEP, .checked = ENGINE_IR},
    {.engine = ENGINE_LOCKSTEP, .checked = ENGINE_JIT},
    {.engine = ENGINE_LOCKSTEP, .checked = ENGINE_JIT, .pic = PIC_ALWAYS},
};
enum { ENGINES = sizeof engines / sizeof *engines };

static void on_each_engine(void (*test)(void))
{
    for (unsigned i = 0; i < ENGINES; i++) {
        toy_start(&m, &engines[i], 1);
        test();
        toy_stop(&m);
    }
}

static struct vcpu *cpu(unsigned n) { return &m.cpu[n].v; }

static void loop_of_a_thousand(void)
{
    static const uint32_t code[] = {
        TOY(TOY_ADDI, 1, 1, 3),
        TOY(TOY_XADDI, 2, 2, -1),
        TOY(TOY_BNE, 2, 0, -2),
        TOY(TOY_HALT, 0, 0, 0),
    };

    toy_code(&m, TOY_RAM, code, 4);
    cpu(0)->r[2] = 1000;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 3000);
    CHECK_EQ(cpu(0)->pc, TOY_RAM + 16);
    CHECK_EQ(cpu(0)->icount, 3001);
}

static void a_loop_counts_instructions_exactly(void **state)
{
    (void)state;
    on_each_engine(loop_of_a_thousand);
}

static void faulting_load(void)
{
    static const uint32_t code[] = {
        TOY(TOY_ADDI, 1, 0, 7), TOY(TOY_ADDI, 2, 0, 8), TOY(TOY_LD, 1, 3, 0),
        TOY(TOY_ADDI, 2, 0, 9), TOY(TOY_HALT, 0, 0, 0),
    };
    static const uint32_t handler[] = {TOY(TOY_HALT, 0, 0, 0)};

    toy_code(&m, TOY_RAM, code, 5);
    toy_code(&m, TOY_RAM + 0x2000, handler, 1);
    cpu(0)->r[28] = TOY_RAM + 0x2000;
    cpu(0)->r[3] = 0x1234;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[30], TOY_CAUSE_LOAD);
    CHECK_EQ(cpu(0)->r[29], TOY_RAM + 8);
    CHECK_EQ(cpu(0)->r[1], 7);
    CHECK_EQ(cpu(0)->r[2], 8);
    CHECK_EQ(cpu(0)->icount, 3); /* two before, one in the handler */
}

static void a_fault_leaves_exact_state(void **state)
{
    (void)state;
    on_each_engine(faulting_load);
}

static void jump_outside(void)
{
    static const uint32_t code[] = {TOY(TOY_JR, 0, 3, 0)}, handler[] = {TOY(TOY_HALT, 0, 0, 0)};

    toy_code(&m, TOY_RAM, code, 1);
    toy_code(&m, TOY_RAM + 0x2000, handler, 1);
    cpu(0)->r[28] = TOY_RAM + 0x2000;
    cpu(0)->r[3] = 0x7770;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[30], TOY_CAUSE_FETCH);
    CHECK_EQ(cpu(0)->r[29], 0x7770);
}

static void a_jump_to_nowhere_traps_at_its_target(void **state)
{
    (void)state;
    on_each_engine(jump_outside);
}

/* A routine that adds 1 is called, overwritten by the guest with one that adds 2, and called again, with fence.i between. */
static void self_modifying(void)
{
    const gva sub = TOY_RAM + 0x1000;
    static const uint32_t main_code[] = {
        TOY(TOY_ADDI, 9, 0, 0),    TOY(TOY_XADDI, 7, 6, 8),   TOY(TOY_JR, 0, 5, 0), /* call, back to +16 */
        TOY(TOY_ILLEGAL, 0, 0, 0), TOY(TOY_ST32, 4, 5, 0),    TOY(TOY_FENCEI, 0, 0, 0),  TOY(TOY_ADDI, 7, 6, 32),
        TOY(TOY_JR, 0, 5, 0),      TOY(TOY_ILLEGAL, 0, 0, 0), TOY(TOY_ILLEGAL, 0, 0, 0), TOY(TOY_HALT, 0, 0, 0),
    };
    static const uint32_t routine[] = {TOY(TOY_ADDI, 1, 1, 1), TOY(TOY_JR, 0, 7, 8)};

    toy_code(&m, TOY_RAM, main_code, 11);
    for (unsigned round = 0; round < 40; round++) {
        toy_code(&m, sub, routine, 2);
        cpu(0)->r[1] = 0;
        cpu(0)->r[4] = TOY(TOY_ADDI, 1, 1, 2);
        cpu(0)->r[5] = sub;
        cpu(0)->r[6] = TOY_RAM;
        cpu(0)->r[28] = TOY_RAM + 40;
        m.cpu[0].traps = 0;
        CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
        CHECK_EQ(m.cpu[0].traps, 0);
        if (round == 0)
            CHECK_EQ(cpu(0)->r[1], 3);
        /* The host's write came without fence.i: the first call may see either code, the second must see the new. */
        CHECK(cpu(0)->r[1] == 3 || cpu(0)->r[1] == 4);
    }
}

static void code_changed_by_a_store_is_seen_after_fence_i(void **state)
{
    (void)state;
    on_each_engine(self_modifying);
}

/* An instruction across two pages, whose second half changes. */
static void straddling(void)
{
    const gva at = TOY_RAM + 0x1ffe;
    uint32_t add = TOY(TOY_ADDI, 1, 1, 1);
    static const uint32_t after[] = {TOY(TOY_ADDI, 1, 1, 16), TOY(TOY_HALT, 0, 0, 0)};
    static const uint32_t fence[] = {TOY(TOY_FENCEI, 0, 0, 0), TOY(TOY_JR, 0, 5, 0)};

    CHECK(dma_write(m.bus, at, &add, 4));
    CHECK(dma_write(m.bus, at + 4, after, 8));
    toy_code(&m, TOY_RAM, fence, 2);
    cpu(0)->r[5] = at;
    CHECK_EQ(toy_run(&m, 0, at), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 17);
    add = TOY(TOY_ADDI, 1, 1, 5);
    CHECK(dma_write(m.bus, at + 2, (uint8_t *)&add + 2, 2));
    cpu(0)->r[1] = 0;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 21);
    CHECK_EQ(cpu(0)->icount, 8);
}

static void an_instruction_across_pages_runs_and_is_invalidated_by_either_half(void **state)
{
    (void)state;
    on_each_engine(straddling);
}

/* Thousands of blocks, each a few instructions and a jump to the next, round and round: more than a small cache holds. */
static void much_code(void)
{
    enum { BLOCKS = 3000, STEP = 32 };

    for (unsigned i = 0; i < BLOCKS; i++) {
        const uint32_t code[] = {
            TOY(TOY_ADDI, 1, 1, 1),
            TOY(TOY_ADD, 3, 1, 0),
            TOY(TOY_XADDI, 4, 4, 1),
            TOY(TOY_J, 0, 0, STEP / 4 - 3),
        };
        toy_code(&m, TOY_RAM + 0x1000 + i * STEP, code, 4);
    }
    static const uint32_t end[] = {TOY(TOY_ADDI, 2, 2, -1), TOY(TOY_BNE, 2, 0, 2), TOY(TOY_HALT, 0, 0, 0),
                                   TOY(TOY_JR, 0, 5, 0)};
    toy_code(&m, TOY_RAM + 0x1000 + BLOCKS * STEP, end, 4);
    cpu(0)->r[2] = 5;
    cpu(0)->r[5] = TOY_RAM + 0x1000;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM + 0x1000), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 5 * BLOCKS);
    CHECK_EQ(cpu(0)->r[4], 5 * BLOCKS);
    CHECK_EQ(cpu(0)->icount, 5 * BLOCKS * 4 + 5 * 2 + 4 + 1);
}

static void code_larger_than_the_cache_runs(void **state)
{
    (void)state;
    on_each_engine(much_code);
}

static void mixed_memory(void)
{
    static const uint32_t code[] = {
        TOY(TOY_ST, 1, 3, 0),     TOY(TOY_LD, 2, 3, 0),  TOY(TOY_ST32, 2, 3, 12),
        TOY(TOY_LD, 4, 3, 8),     TOY(TOY_ST, 1, 5, -4), TOY(TOY_LD, 6, 5, -4), /* across two pages */
        TOY(TOY_AMOADD, 7, 3, 5), TOY(TOY_LD, 8, 3, 0),  TOY(TOY_HALT, 0, 0, 0),
    };

    toy_code(&m, TOY_RAM, code, 9);
    cpu(0)->r[1] = UINT64_C(0x1122334455667788);
    cpu(0)->r[3] = TOY_RAM + 0x10000;
    cpu(0)->r[5] = TOY_RAM + 0x13000;
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[2], UINT64_C(0x1122334455667788));
    CHECK_EQ(cpu(0)->r[4], UINT64_C(0x5566778800000000));
    CHECK_EQ(cpu(0)->r[6], UINT64_C(0x1122334455667788));
    CHECK_EQ(cpu(0)->r[7], UINT64_C(0x1122334455667788));
    CHECK_EQ(cpu(0)->r[8], UINT64_C(0x112233445566778d));
}

static void loads_and_stores_reach_memory(void **state)
{
    (void)state;
    on_each_engine(mixed_memory);
}

struct runner {
    unsigned n;
    gva pc;
    enum run_exit exit;
};

static void *run_thread(void *arg)
{
    struct runner *r = arg;

    r->exit = toy_run(&m, r->n, r->pc);
    return NULL;
}

/* Every vCPU counts in one shared word, each with its own code page, rewritten and fenced all the time by the others' neighbours. */
static void smp(void)
{
    enum { ROUNDS = 2000, CPUS = 3 };
    static const uint32_t code[] = {
        TOY(TOY_AMOADD, 7, 3, 1), TOY(TOY_ADDI, 1, 1, 1), TOY(TOY_ST32, 4, 5, 4), TOY(TOY_FENCEI, 0, 0, 0),
        TOY(TOY_ADDI, 2, 2, -1),  TOY(TOY_BNE, 2, 0, -5), TOY(TOY_HALT, 0, 0, 0),
    };
    struct runner r[CPUS];
    pthread_t threads[CPUS];
    uint64_t total;

    for (unsigned i = 0; i < CPUS; i++) {
        toy_code(&m, TOY_RAM + 0x1000 * i, code, 7);
        cpu(i)->r[2] = ROUNDS;
        cpu(i)->r[3] = TOY_RAM + 0x10000;
        cpu(i)->r[4] = code[1]; /* the same word again: the block does not change */
        cpu(i)->r[5] = TOY_RAM + 0x1000 * ((i + 1) % CPUS);
        r[i] = (struct runner){.n = i, .pc = TOY_RAM + 0x1000 * i};
    }
    for (unsigned i = 0; i < CPUS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, run_thread, &r[i]), 0);
    for (unsigned i = 0; i < CPUS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(r[i].exit, RUN_STOP);
        CHECK_EQ(cpu(i)->r[1], ROUNDS);
        CHECK_EQ(cpu(i)->icount, ROUNDS * 6 + 1);
    }
    CHECK(dma_read(m.bus, TOY_RAM + 0x10000, &total, 8));
    CHECK_EQ(total, CPUS * ROUNDS);
}

static void vcpus_share_translations_while_code_is_rewritten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENGINES; i++) {
        toy_start(&m, &engines[i], 3);
        smp();
        toy_stop(&m);
    }
}

static void *stop_later(void *arg)
{
    struct timespec ts = {0, 20000000};

    nanosleep(&ts, NULL);
    vcpu_kick(arg, ATT_STOP);
    return NULL;
}

static void endless(void)
{
    static const uint32_t code[] = {TOY(TOY_J, 0, 0, 0)};
    pthread_t thread;

    toy_code(&m, TOY_RAM, code, 1);
    CHECK_EQ(pthread_create(&thread, NULL, stop_later, cpu(0)), 0);
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    pthread_join(thread, NULL);
    CHECK_EQ(cpu(0)->pc, TOY_RAM);
}

static void a_jump_to_itself_can_be_stopped(void **state)
{
    (void)state;
    on_each_engine(endless);
}

static void flush_forgets_everything(void)
{
    static const uint32_t a[] = {TOY(TOY_ADDI, 1, 0, 1), TOY(TOY_HALT, 0, 0, 0)}, b[] = {TOY(TOY_ADDI, 1, 0, 2)};

    toy_code(&m, TOY_RAM, a, 2);
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 1);
    memcpy(bus_ram(m.bus, TOY_RAM, 4), b, 4);
    translator_flush(m.t);
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 2);
}

static void a_flush_makes_new_code_seen(void **state)
{
    (void)state;
    on_each_engine(flush_forgets_everything);
}

static uint8_t rom[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

/* Flash has no flags to watch: its owner tells the bus. */
static void flash_programmed(void)
{
    static const uint32_t a[] = {TOY(TOY_ADDI, 1, 0, 1), TOY(TOY_HALT, 0, 0, 0)}, b[] = {TOY(TOY_ADDI, 1, 0, 2)};
    const gpa at = 0x20000000;
    struct err e;

    memcpy(rom, a, sizeof a);
    CHECK(bus_add_rom(m.bus, "rom", at, sizeof rom, rom, NULL, NULL, &e));
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(toy_run(&m, 0, at), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 1);
    memcpy(rom, b, sizeof b);
    bus_rom_written(m.bus, at, sizeof b);
    CHECK_EQ(toy_run(&m, 0, at), RUN_STOP);
    CHECK_EQ(cpu(0)->r[1], 2);
}

static void code_in_flash_is_seen_anew_when_programmed(void **state)
{
    (void)state;
    on_each_engine(flash_programmed);
}

static void dumps_show_guest_code_and_ir(void **state)
{
    static const uint32_t code[] = {TOY(TOY_ADDI, 1, 0, 7), TOY(TOY_HALT, 0, 0, 0)};
    const struct translator_options o = {.engine = ENGINE_IR};
    char path[] = "/tmp/guise-test-XXXXXX", text[4096];
    int fd = mkstemp(path);
    struct err e;
    size_t n;
    FILE *f;

    (void)state;
    CHECK(fd >= 0);
    toy_start(&m, &o, 1);
    CHECK(log_set_items(m.log, "in_asm,ir", &e));
    CHECK(log_set_file(m.log, path, &e));
    toy_code(&m, TOY_RAM, code, 2);
    CHECK_EQ(toy_run(&m, 0, TOY_RAM), RUN_STOP);
    toy_stop(&m);
    f = fdopen(fd, "r");
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    remove(path);
    CHECK(strstr(text, "0x0000000080000000:  07000101      op1 r1, r0, 7") != NULL);
    CHECK(strstr(text, "insn 0x80000000 +4") != NULL);
    CHECK(strstr(text, "leave") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_counts_instructions_exactly),
        cmocka_unit_test(a_fault_leaves_exact_state),
        cmocka_unit_test(a_jump_to_nowhere_traps_at_its_target),
        cmocka_unit_test(code_changed_by_a_store_is_seen_after_fence_i),
        cmocka_unit_test(code_in_flash_is_seen_anew_when_programmed),
        cmocka_unit_test(an_instruction_across_pages_runs_and_is_invalidated_by_either_half),
        cmocka_unit_test(code_larger_than_the_cache_runs),
        cmocka_unit_test(loads_and_stores_reach_memory),
        cmocka_unit_test(vcpus_share_translations_while_code_is_rewritten),
        cmocka_unit_test(a_jump_to_itself_can_be_stopped),
        cmocka_unit_test(a_flush_makes_new_code_seen),
        cmocka_unit_test(dumps_show_guest_code_and_ir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
