/*
 * Whole machines in one process: how a guest ends one and with what code, resets, two at once, the monitor on a stopped one.
 * The guests are a few instructions, assembled by hand from the specification's encodings.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/input.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "frontend/personality_qemu.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/guise-machine-XXXXXX";

static const char *program(const char *name, const uint32_t *code, size_t n)
{
    static char path[4][64];
    static unsigned at;
    char *p = path[at++ % 4];
    FILE *f;

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    f = fopen(p, "wb");
    CHECK_EQ(fwrite(code, 4, n, f), n);
    fclose(f);
    return p;
}
#define PROGRAM(name, ...)                                                                                             \
    program(name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Builds a machine from a QEMU command line; words apart by blanks. */
static struct machine *make(struct machine_config *c, const char *line, struct err *e)
{
    char *words = strdup(line), *argv[64] = {(char *)"qemu-system-riscv64"}, *save = NULL;
    int argc = 1;
    struct machine *m = NULL;

    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    config_init(c);
    if (personality_qemu(c, argc, argv, e) == CLI_RUN)
        m = machine_new(c, NULL, e);
    free(words);
    return m;
}

static int run(const char *options, const char *file)
{
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[512];
    struct machine *m;
    int code;

    snprintf(line, sizeof line, "-display none -serial none -monitor none -bios none -m 16M -kernel %s %s", file,
             options);
    m = make(c, line, &e);
    if (!m)
        fail_msg("%s", e.msg);
    code = machine_run(m);
    machine_free(m);
    config_free(c);
    free(c);
    return code;
}

enum {
    LUI_T0_TEST = 0x001002b7 /* lui t0, 0x100 */,
    SW_T1_T0 = 0x0062a023 /* sw t1, 0(t0) */,
    SPIN = 0x0000006f /* j . */
};

/* Flash code that ends with the kernel's size and first byte, added, as fw_cfg tells them (docs/specs/fw_cfg.rst). */
static void firmware_in_flash_finds_the_kernel_in_fw_cfg(void **state)
{
    const char *kernel = PROGRAM("payload", 0x00000021, SPIN, SPIN);
    const char *flash = PROGRAM(
        "flash", 0x101002b7 /* lui t0, 0x10100 */, 0x00001337 /* lui t1, 1 */, 0x8003031b /* addiw t1, t1, -0x800 */,
        0x00629423 /* sh t1, 8(t0): select 8 */, 0x0002c383 /* lbu t2, 0(t0) */, 0x00001337 /* lui t1, 1 */,
        0x10030313 /* addi t1, t1, 0x100 */, 0x00629423 /* sh t1, 8(t0): select 0x11 */, 0x0002ce03 /* lbu t3, 0(t0) */,
        0x01c383b3 /* add t2, t2, t3 */, 0x01039393 /* slli t2, t2, 16 */, 0x00003337 /* lui t1, 3 */,
        0x33330313 /* addi t1, t1, 0x333 */, 0x00736333 /* or t1, t1, t2 */, LUI_T0_TEST, SW_T1_T0, SPIN);
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[512];
    struct machine *m;

    (void)state;
    CHECK_EQ(truncate(flash, 32 << 20), 0);
    snprintf(
        line, sizeof line,
        "-display none -serial none -monitor none -m 16M -kernel %s -drive if=pflash,format=raw,file=%s,readonly=on",
        kernel, flash);
    m = make(c, line, &e);
    if (!m)
        fail_msg("%s", e.msg);
    CHECK_EQ(machine_run(m), 12 + 0x21);
    machine_free(m);
    config_free(c);
    free(c);
}

static void finisher_codes(void **state)
{
    const char *pass =
        PROGRAM("pass", LUI_T0_TEST, 0x00005337 /* lui t1, 5 */, 0x5553031b /* addiw t1, t1, 0x555 */, SW_T1_T0, SPIN);
    const char *fail = PROGRAM("fail", LUI_T0_TEST, 0x002a3337 /* lui t1, 0x2a3 */,
                               0x3333031b /* addiw t1, t1, 0x333 */, SW_T1_T0, SPIN);
    const char *reset =
        PROGRAM("reset", LUI_T0_TEST, 0x00007337 /* lui t1, 7 */, 0x7773031b /* addiw t1, t1, 0x777 */, SW_T1_T0, SPIN);

    (void)state;
    CHECK_EQ(run("-accel interp", pass), 0);
    CHECK_EQ(run("-accel jit", pass), 0);
    CHECK_EQ(run("-accel interp", fail), 0x2a);
    CHECK_EQ(run("-accel ir", fail), 0x2a);
    CHECK_EQ(run("-accel jit -smp 4", fail), 0x2a);
    CHECK_EQ(run("-accel jit -no-reboot", reset), 0);
}

/*
 * The program bumps a word of RAM that nothing is loaded to, and resets until it is 3 or more; then it fails with that code:
 * 3 << 16 | 0x3333.
 */
static void reset_reloads_the_program_and_keeps_other_ram(void **state)
{
    const char *file =
        PROGRAM("count", 0x808003b7 /* lui t2, 0x80800 */, 0x02039393 /* slli t2, t2, 32 */,
                0x0203d393 /* srli t2, t2, 32 */, 0x0003a303 /* lw t1, 0(t2) */, 0x00130313 /* addi t1, t1, 1 */,
                0x0063a023 /* sw t1, 0(t2) */, LUI_T0_TEST, 0x00300e13 /* li t3, 3 */, 0x01c37a63 /* bgeu t1, t3, +20 */,
                0x00007337, 0x7773031b, SW_T1_T0, SPIN, 0x01031313 /* slli t1, t1, 16 */, 0x00003eb7 /* lui t4, 3 */,
                0x333e8e9b /* addiw t4, t4, 0x333 */, 0x01d36333 /* or t1, t1, t4 */, SW_T1_T0, SPIN);

    (void)state;
    CHECK_EQ(run("-accel interp", file), 3);
    CHECK(run("-accel jit -smp 2", file) >= 3); /* both harts count, and may do so twice before one reads 3 */
}

/* Semihosting (RISC-V Semihosting 1.0): slli zero,zero,0x1f; ebreak; srai zero,zero,7 with a0 = 0x18, a1 = {0x20026, 9}. */
static void semihosting_exit(void **state)
{
    const char *file =
        PROGRAM("semihost", 0x00000597 /* auipc a1, 0 */, 0x02058593 /* addi a1, a1, 32 */,
                0x01800513 /* li a0, 0x18 */, 0x00000013 /* nop: the sequence may not cross a page; aligned here */,
                0x01f01013, 0x00100073, 0x40705013, SPIN, 0x20026, 0, 9, 0);

    (void)state;
    CHECK_EQ(run("-accel interp -semihosting", file), 9);
    CHECK_EQ(run("-accel jit -semihosting-config enable=on,target=native", file), 9);
}

static void *run_thread(void *arg) { return (void *)(intptr_t)run("-accel jit -smp 2", arg); }

static void two_machines_in_one_process(void **state)
{
    const char *a = PROGRAM("a", LUI_T0_TEST, 0x00113337 /* lui t1, 0x113 */, 0x3333031b, SW_T1_T0, SPIN);
    const char *b = PROGRAM("b", LUI_T0_TEST, 0x00223337 /* lui t1, 0x223 */, 0x3333031b, SW_T1_T0, SPIN);
    pthread_t t[2];
    void *code[2];

    (void)state;
    pthread_create(&t[0], NULL, run_thread, (void *)a);
    pthread_create(&t[1], NULL, run_thread, (void *)b);
    pthread_join(t[0], &code[0]);
    pthread_join(t[1], &code[1]);
    CHECK_EQ((intptr_t)code[0], 0x11);
    CHECK_EQ((intptr_t)code[1], 0x22);
}

static struct machine *stopped;
static char answer[65536];

static const char *ask(const char *line)
{
    FILE *f = fmemopen(answer, sizeof answer, "w");

    monitor_execute(stopped, line, f);
    fclose(f);
    return answer;
}

static void expect(const char *line, const char *part)
{
    if (!strstr(ask(line), part))
        fail_msg("'%s' answers '%s', not '%s'", line, answer, part);
}

static void add_word(void *arg, const char *word)
{
    char *list = arg;

    strcat(list, word);
    strcat(list, ",");
}

/* A guest that has not started has dark screens. */
static void screens_are_listed_and_pictured(void **state)
{
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[512];

    (void)state;
    snprintf(line, sizeof line,
             "-nographic -serial none -monitor none -bios none -m 16M -S -kernel %s -device "
             "virtio-gpu-pci,id=wall,max_outputs=2,xres=640,yres=480,max_hostmem=16M -device virtio-gpu-device,edid=off",
             PROGRAM("screens", LUI_T0_TEST, SPIN));
    stopped = make(c, line, &e);
    if (!stopped)
        fail_msg("%s", e.msg);
    expect("info displays", "0: wall, dark\n1: wall.1, dark\n2: virtio-gpu.1, dark\n");
    expect("screendump", "expected: screendump FILE");
    expect("screendump /nonexistent/x.png -f gif", "expected: screendump FILE");
    expect("screendump /nonexistent/x.ppm", "the display is dark");
    expect("screendump -f png /nonexistent/x wall 1", "the display is dark");
    expect("screendump /nonexistent/x wall 2", "no such display");
    expect("info devices wall", "scanout 1: monitor 640x480");
    machine_free(stopped);
    config_free(c);
    free(c);
}

/* No driver has started: the devices are there, and nobody listens yet. */
static void input_devices_are_there(void **state)
{
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[512];

    (void)state;
    snprintf(line, sizeof line,
             "-nographic -serial none -monitor none -bios none -m 16M -S -kernel %s -device virtio-keyboard-pci,id=keys "
             "-device virtio-tablet-device -device virtio-mouse -device virtio-multitouch-pci,serial=77 "
             "-device ps2-keyboard -device ps2-mouse,id=second",
             PROGRAM("input", LUI_T0_TEST, SPIN));
    stopped = make(c, line, &e);
    if (!stopped)
        fail_msg("%s", e.msg);
    expect("info devices", "keys (virtio-input)");
    expect("info devices", "virtio-tablet.1 (virtio-input)");
    expect("info devices keys", "0 keys down");
    CHECK(!input_has(machine_input(stopped), INPUT_KEYBOARD));
    expect("info mice", "  Mouse #6: PS/2 Mouse\n  Mouse #4: QEMU Virtio MultiTouch (absolute)\n  Mouse #3: QEMU Virtio Mouse\n"
                        "  Mouse #2: QEMU Virtio Tablet (absolute)\n");
    expect("info keyboard", "Keyboard #5: PS/2 Keyboard (no driver listens)\nKeyboard #1: QEMU Virtio Keyboard (no driver listens)\n");
    expect("sendkey ctrl-foo", "invalid parameter: foo\n");
    expect("sendkey a-", "invalid parameter: \n");
    expect("sendkey 0xzz", "invalid parameter: 0xzz\n");
    expect("sendkey", "expected: sendkey KEY");
    expect("sendkey a b", "expected: sendkey KEY");
    expect("sendkey a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q", "more than 16 keys");
    expect("type", "expected: type TEXT");
    expect("type \xc3\xa4", "no key types byte 0xc3");
    expect("mouse_set 1", "Error: Input device 'QEMU Virtio Keyboard' is not a mouse\n");
    expect("mouse_set 99", "Error: Mouse at index '99' not found\n");
    expect("mouse_set", "expected: mouse_set");
    expect("mouse_move 1", "expected: mouse_move");
    expect("mouse_move 1 40000", "positions of 0 to 32767");
    expect("info devices ps2-keyboard.4", "ps2-keyboard.4 (altera-ps2) at 0x4000000");
    expect("info devices second", "second (altera-ps2) at 0x4001000");
    expect("mouse_button 32", "expected: mouse_button");
    machine_free(stopped);
    config_free(c);
    free(c);
}

static void monitor_commands(void **state)
{
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[512], words[512] = "";

    (void)state;
    snprintf(line, sizeof line,
             "-nographic -chardev null,id=n -serial none -monitor none -bios none -m 16M -S -kernel %s",
             PROGRAM("look", LUI_T0_TEST, 0x2a433337, 0x3333031b, SPIN));
    stopped = make(c, line, &e);
    if (!stopped)
        fail_msg("%s", e.msg);
    CHECK_STR(ask("xp /4xw 0x80000000"), "0000000080000000: 0x001002b7 0x2a433337 0x3333031b 0x0000006f\n");
    CHECK_STR(ask("x/2xg 0x80000000"), "0000000080000000: 0x2a433337001002b7 0x0000006f3333031b\n");
    CHECK_STR(ask("xp/2db 0x80000000+1"), "0000000080000001:    2   16\n");
    CHECK_STR(ask("xp /3c 0x80000004"), "0000000080000004: '7' '3' 'C'\n");
    expect("xp /1i 0x80000000", "lui");
    expect("x /1i $pc", "0x0000000000001000:"); /* the reset vector */
    expect("xp 0x50000", "Cannot access memory");
    expect("xp /zz 0", "unknown format");
    expect("x $nosuch", "unknown register");
    expect("info registers", "pc         0000000000001000");
    expect("info mtree", "0000000010000000-00000000100000ff (prio 0, i/o): serial0");
    expect("info mtree", "0000000080000000-0000000080ffffff (prio 0, ram): ram");
    expect("info pci", "  Bus  0, device   0, function 0:\n    Host bridge: PCI device 1b36:0008\n");
    expect("info status", "VM status: running"); /* not run yet */
    expect("info version", "10.0.0 (guise");
    expect("info chardev", "n: filename=null");
    expect("info mem", "No translation");
    expect("info tlb", "CPU#0:");
    expect("info irq", "serial0");
    expect("screendump /nonexistent/x.ppm", "There is no console");
    expect("info devices", "serial0 (ns16550a) at 0x10000000");
    expect("info jit", "");
    expect("info nothing", "unknown command: 'info nothing'");
    expect("frobnicate", "unknown command: 'frobnicate'");
    expect("help", "system_reset");
    expect("system_powerdown", "no power button");
    monitor_complete("sys", add_word, words);
    CHECK_STR(words, "system_reset,system_powerdown,");
    words[0] = 0;
    monitor_complete("info m", add_word, words);
    CHECK_STR(words, "mtree,mem,mirror,mice,");
    words[0] = 0;
    monitor_complete("sendkey ctrl-alt-f1", add_word, words);
    CHECK(strstr(words, "ctrl-alt-f1,") == words && strstr(words, "ctrl-alt-f10,"));
    words[0] = 0;
    monitor_complete("sendkey meta", add_word, words);
    CHECK_STR(words, "meta_l,meta_r,");
    machine_free(stopped);
    config_free(c);
    free(c);
}

/* Two writes fail, one after the other; between their reports somebody makes room and lets the machine go on. */
static void a_stop_that_was_asked_for_before_cont_does_not_stop_it_after(void **state)
{
    struct machine_config *c = malloc(sizeof *c);
    struct err e = {{0}};
    char line[256];
    struct machine *m;

    (void)state;
    snprintf(line, sizeof line, "-nographic -serial none -monitor none -bios none -m 16M -S -kernel %s",
             PROGRAM("stops", LUI_T0_TEST, SPIN));
    m = make(c, line, &e);
    if (!m)
        fail_msg("%s", e.msg);
    machine_cont(m);
    machine_request_stop(m, "the first write");
    loop_poll(machine_loop(m));
    CHECK(!machine_running(m));
    CHECK_STR(machine_stop_reason(m), "the first write");
    machine_request_stop(m, "the second write");
    machine_cont(m);
    loop_poll(machine_loop(m));
    CHECK(machine_running(m));
    machine_request_stop(m, "a third");
    loop_poll(machine_loop(m));
    CHECK(!machine_running(m));
    CHECK_STR(machine_stop_reason(m), "a third");
    machine_free(m);
    config_free(c);
    free(c);
}

static void bad_input_gives_one_line(void **state)
{
    const char *good = PROGRAM("good", SPIN), *empty = PROGRAM("empty", 0);
    struct {
        const char *line, *part;
    } cases[] = {
        {"-kernel /nonexistent/k", "kernel: /nonexistent/k: No such file or directory"},
        {"-bios none -drive file=/nonexistent/d,format=raw", "/nonexistent/d"},
        {"-bios /nonexistent/fw.bin", "-bios: /nonexistent/fw.bin: No such file"},
        {"-bios none -cpu rv64,nosuch=on", "nosuch"},
        {"-bios none -initrd /nonexistent/i", "initrd: /nonexistent/i"},
        {"-bios none -dtb GOOD", "dtb: "},
        {"-bios none -d in_asmm", "-d"},
        {"-bios none -dfilter zz", "-dfilter zz"},
        {"-bios none -device virtio-rng-device,bus=virtio-mmio-bus.9", "bus=virtio-mmio-bus.9"},
        {"-bios none -device virtio-rng-pci,addr=77", "addr=77"},
        {"-bios none -fw_cfg name=opt/x,file=/nonexistent/f", "/nonexistent/f"},
        {"-bios none -device loader,file=/nonexistent/l,addr=0x80000000", "/nonexistent/l"},
        {"-bios none -device loader,data=1,data-len=4,addr=0x10", "no memory at 0x10"},
        {"", "nothing to boot"},
    };

    (void)state;
    truncate(empty, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct machine_config *c = malloc(sizeof *c);
        struct err e = {{0}};
        char line[512], *mark;
        struct machine *m;

        snprintf(line, sizeof line, "-display none -serial none -monitor none -m 16M %s", cases[i].line);
        mark = strstr(line, "GOOD");
        if (mark)
            snprintf(mark, sizeof line - (size_t)(mark - line), "%s", good);
        m = make(c, line, &e);
        if (m || !strstr(e.msg, cases[i].part) || strchr(e.msg, '\n'))
            fail_msg("'%s' gives '%s', not '%s'", cases[i].line, e.msg, cases[i].part);
        config_free(c);
        free(c);
    }
}

static int setup(void **state)
{
    (void)state;
    return !mkdtemp(dir);
}

static int teardown(void **state)
{
    char cmd[128];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(firmware_in_flash_finds_the_kernel_in_fw_cfg),
        cmocka_unit_test(finisher_codes),   cmocka_unit_test(reset_reloads_the_program_and_keeps_other_ram),
        cmocka_unit_test(semihosting_exit), cmocka_unit_test(two_machines_in_one_process),
        cmocka_unit_test(monitor_commands),
        cmocka_unit_test(a_stop_that_was_asked_for_before_cont_does_not_stop_it_after),
        cmocka_unit_test(screens_are_listed_and_pictured), cmocka_unit_test(bad_input_gives_one_line),
        cmocka_unit_test(input_devices_are_there),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
