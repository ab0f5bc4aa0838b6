/*
 * Framebuffers of whole machines: that a viewer, who looks only at what it is told was written, sees every store of
 * running vCPUs; and that vCPUs forget video memory when its BAR moves. The guests are assembled by GNU as.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/display.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "frontend/personality_qemu.h"
#include "mmu/bus.h"
#include "tests/unit/check.h"

#define WORDS UINT64_C(0x80100000) /* where guest and test meet */
#define BAR0 UINT64_C(0x30008010)  /* of slot 1 */
#define COMMAND UINT64_C(0x30008004)
#define VIDEO UINT64_C(0x40000000)
enum { LIMIT = 60 /* seconds, of a machine that has much else to do */ };

static struct machine_config config;
static struct machine *m;
static struct bus *bus;
static pthread_t runner;
static time_t end;

static void *run(void *arg)
{
    machine_run(arg);
    return NULL;
}

static void start(const char *options, const uint32_t *code, size_t n)
{
    char path[] = "/tmp/guise-screen-XXXXXX", line[512], *argv[64] = {(char *)"qemu-system-riscv64"}, *save = NULL;
    int fd = mkstemp(path), argc = 1;
    struct err e;

    CHECK_EQ(write(fd, code, 4 * n), 4 * n);
    close(fd);
    snprintf(line, sizeof line, "-display none -serial none -monitor none -bios none -m 32M -kernel %s %s", path,
             options);
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    config_init(&config);
    CHECK_EQ(personality_qemu(&config, argc, argv, &e), CLI_RUN);
    m = machine_new(&config, NULL, &e);
    if (!m)
        fail_msg("%s", e.msg);
    unlink(path);
    bus = machine_bus(m);
    end = time(NULL) + LIMIT;
}

static void go(void) { CHECK_EQ(pthread_create(&runner, NULL, run, m), 0); }

static void stop(void)
{
    machine_request_quit(m, 0);
    pthread_join(runner, NULL);
    machine_free(m);
    config_free(&config);
}

static void in_time(const char *what)
{
    if (time(NULL) > end)
        fail_msg("%s", what);
}

static uint32_t word(unsigned n)
{
    return __atomic_load_n((uint32_t *)bus_ram(bus, WORDS + 4 * n, 4), __ATOMIC_ACQUIRE);
}

/*
 * Each hart counts in a pixel of its own; before each multiple of 64 it waits until word 0 says that its last value was seen.
 * So stores come in bursts, of which any may fall between a look and the loss of the right to store silently.
 */
static const uint32_t echo[] = {
    0x81e002b7, /* lui t0, 0x81e00: where 64x64 lies in 32 MiB */
    0x801003b7, /* lui t2, 0x80100 */
    0xf1402ef3, /* csrr t4, mhartid */
    0x002e9e93, /* slli t4, t4, 2 */
    0x02029293, /* slli t0, t0, 32 */
    0x0202d293, /* srli t0, t0, 32 */
    0x02039393, /* slli t2, t2, 32 */
    0x0203d393, /* srli t2, t2, 32 */
    0x01d282b3, /* add t0, t0, t4 */
    0x0062a023, /* 1: sw t1, 0(t0) */
    0x00130313, /* addi t1, t1, 1 */
    0x03f37f13, /* andi t5, t1, 63 */
    0xfe0f1ae3, /* bnez t5, 1b */
    0x0003ae03, /* 2: lw t3, 0(t2) */
    0xfe6e6ee3, /* bltu t3, t1, 2b */
    0xfe9ff06f, /* j 1b */
};

static void every_store_is_seen(const char *options, unsigned harts, unsigned rounds)
{
    struct display_viewer viewer = {0};
    uint32_t seen[2] = {0}, line[64];
    struct display *d;

    start(options, echo, ARRAY_LEN(echo));
    d = machine_displays(m, 0);
    display_attach(d, &viewer);
    go();
    for (uint32_t v = 64; v <= 64 * rounds;) {
        struct display_update u;

        display_refresh(d);
        if (display_begin(d, &viewer, &u))
            for (unsigned i = 0; i < u.rects; i++)
                if (u.rect[i].y == 0) {
                    display_read(&u.surface, &(struct display_rect){0, 0, 64, 1}, line, 0);
                    memcpy(seen, line, sizeof seen);
                }
        display_end(d, &viewer);
        in_time("a store was not seen");
        if (seen[0] < v - 1 || seen[harts - 1] < v - 1) {
            sched_yield();
            continue;
        }
        CHECK_EQ(seen[0], v - 1);
        CHECK_EQ(seen[harts - 1], v - 1);
        CHECK(dma_write(bus, WORDS, &v, 4));
        v += 64;
    }
    display_detach(d, &viewer);
    stop();
}

static void every_store_of_running_vcpus_is_seen(void **state)
{
    (void)state;
    every_store_is_seen("-accel jit -device simple-framebuffer,width=64,height=64", 1, 2000);
    every_store_is_seen("-accel interp -device simple-framebuffer,width=64,height=64", 1, 200);
    every_store_is_seen("-smp 2 -accel jit -device simple-framebuffer,width=64,height=64", 2, 200);
}

static void place_video(gpa at)
{
    CHECK(bus_write(bus, BAR0, 4, at));
    CHECK(bus_write(bus, COMMAND, 2, 2));
}

static bool pci_says(const char *line)
{
    char text[4096] = "";
    FILE *f = fmemopen(text, sizeof text - 1, "w");

    monitor_execute(m, "info pci", f);
    fclose(f);
    return strstr(text, line);
}

/* Stores v to video memory and to word 0, for ever. */
static const uint32_t count[] = {
    0x400002b7, /* lui t0, 0x40000 */
    0x801003b7, /* lui t2, 0x80100 */
    0x02039393, /* slli t2, t2, 32 */
    0x0203d393, /* srli t2, t2, 32 */
    0x00100313, /* li t1, 1 */
    0x0062a023, /* 1: sw t1, 0(t0) */
    0x0063a023, /* sw t1, 0(t2) */
    0x00130313, /* addi t1, t1, 1 */
    0xff5ff06f, /* j 1b */
};

static void wait_for_stores(uint32_t n)
{
    uint32_t from = word(0);

    while (word(0) - from < n)
        in_time("the guest does not run");
}

static void stores_go_nowhere_when_the_bar_has_moved(void **state)
{
    const uint32_t *pixel;
    uint32_t last;

    (void)state;
    start("-device bochs-display,addr=1", count, ARRAY_LEN(count));
    CHECK(pci_says("    Display controller: PCI device 1234:1111\n"));
    CHECK(pci_says("      BAR0: 32 bit prefetchable memory (not mapped)\n"));
    place_video(VIDEO);
    CHECK(pci_says("      BAR0: 32 bit prefetchable memory at 0x40000000 [0x40ffffff].\n"));
    pixel = bus_ram(bus, VIDEO, 4);
    go();
    wait_for_stores(1000);
    CHECK(__atomic_load_n(pixel, __ATOMIC_ACQUIRE) > 0);
    place_video(VIDEO + 0x2000000);
    CHECK(bus_ram(bus, VIDEO + 0x2000000, 4) == pixel);
    do { /* until it has polled */
        last = __atomic_load_n(pixel, __ATOMIC_ACQUIRE);
        wait_for_stores(1000);
    } while (last != __atomic_load_n(pixel, __ATOMIC_ACQUIRE));
    wait_for_stores(100);
    CHECK_EQ(__atomic_load_n(pixel, __ATOMIC_ACQUIRE), last);
    place_video(VIDEO);
    while (__atomic_load_n(pixel, __ATOMIC_ACQUIRE) == last)
        in_time("video memory does not come back");
    stop();
}

/* Jumps to video memory; a trap makes word 1 1. */
static const uint32_t jump[] = {
    0x801003b7, /* lui t2, 0x80100 */
    0x02039393, /* slli t2, t2, 32 */
    0x0203d393, /* srli t2, t2, 32 */
    0x00000e17, /* auipc t3, 0 */
    0x014e0e13, /* addi t3, t3, 20 */
    0x305e1073, /* csrw mtvec, t3 */
    0x400002b7, /* lui t0, 0x40000 */
    0x00028067, /* jr t0 */
    0x00100e93, /* li t4, 1 */
    0x01d3a223, /* sw t4, 4(t2) */
    0x0000006f, /* j . */
};
static const uint32_t in_video[] = {
    0x00130313, /* 4: addi t1, t1, 1 */
    0x0063a023, /* sw t1, 0(t2) */
    0xff9ff06f, /* j 4b */
};

static void code_in_video_memory_is_gone_when_the_bar_has_moved(void **state)
{
    (void)state;
    start("-device bochs-display,addr=1", jump, ARRAY_LEN(jump));
    place_video(VIDEO);
    CHECK(dma_write(bus, VIDEO, in_video, sizeof in_video));
    go();
    wait_for_stores(10000);
    CHECK_EQ(word(1), 0);
    place_video(VIDEO + 0x2000000);
    while (!word(1))
        in_time("it still runs");
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_store_of_running_vcpus_is_seen),
        cmocka_unit_test(stores_go_nowhere_when_the_bar_has_moved),
        cmocka_unit_test(code_in_video_memory_is_gone_when_the_bar_has_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
