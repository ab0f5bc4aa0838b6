/* Live counters of a small machine: their numbers, as text and JSON, and as plots. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "frontend/counters.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "frontend/personality_qemu.h"
#include "frontend/ui/panel.h"
#include "frontend/ui/panel_plot.h"
#include "tests/unit/check.h"

enum { W = 1000, H = 640, ECALL_M = COUNTER_EXCEPTION + 11, ILLEGAL = COUNTER_EXCEPTION + 2 };

static struct machine_config config;
static struct machine *m;
static char path[] = "/tmp/guise-panel-XXXXXX";
static uint32_t px[W * H];

/* Three ecalls and an illegal instruction, whose handler skips them; then power off. */
static const uint32_t program[] = {
    0x00000297 /* auipc t0, 0 */,
    0x03028293 /* addi t0, t0, 48 */,
    0x30529073 /* csrw mtvec, t0 */,
    0x00000073 /* ecall */,
    0x00000073,
    0x00000073,
    0xffffffff /* illegal */,
    0x001002b7 /* lui t0, 0x100 */,
    0x00005337 /* lui t1, 5 */,
    0x5553031b /* addiw t1, t1, 0x555 */,
    0x0062a023 /* sw t1, 0(t0) */,
    0x0000006f /* j . */,
    0x341023f3 /* handler: csrr t2, mepc */,
    0x00438393 /* addi t2, t2, 4 */,
    0x34139073 /* csrw mepc, t2 */,
    0x30200073 /* mret */,
};

static int start(void **state)
{
    char *argv[] = {(char *)"qemu-system-riscv64",
                    (char *)"-display",
                    (char *)"none",
                    (char *)"-serial",
                    (char *)"vc",
                    (char *)"-monitor",
                    (char *)"none",
                    (char *)"-bios",
                    (char *)"none",
                    (char *)"-m",
                    (char *)"16M",
                    (char *)"-kernel",
                    path};
    int fd = mkstemp(path);
    struct err e;

    (void)state;
    CHECK_EQ(write(fd, program, sizeof program), sizeof program);
    close(fd);
    config_init(&config);
    CHECK_EQ(personality_qemu(&config, sizeof argv / sizeof *argv, argv, &e), CLI_RUN);
    m = machine_new(&config, NULL, &e);
    if (!m)
        fail_msg("%s", e.msg);
    CHECK_EQ(machine_run(m), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    machine_free(m);
    config_free(&config);
    unlink(path);
    return 0;
}

static void traps_are_counted_by_cause(void **state)
{
    struct counter_sample s;

    (void)state;
    counter_read(m, &s);
    CHECK_EQ(s.value[ECALL_M], 3);
    CHECK_EQ(s.value[ILLEGAL], 1);
    CHECK_EQ(s.value[COUNTER_EXCEPTION + 13], 0);
    CHECK(s.value[COUNTER_INSNS] >= 3 + 4 * 4 + 4);
    CHECK(s.value[COUNTER_CACHE_SIZE] > 0);
    CHECK_STR(counter_name(ECALL_M), "ecall from M");
    CHECK_STR(counter_name(COUNTER_INTERRUPT + 5), "STI");
    CHECK(!counter_name(COUNTER_EXCEPTION + 10)); /* reserved */
}

static char *monitor(const char *line)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    monitor_execute(m, line, f);
    fclose(f);
    return text;
}

static void the_monitor_prints_them(void **state)
{
    char *text = monitor("info counters");
    json_t *root, *rates;

    (void)state;
    CHECK(strstr(text, "exceptions:"));
    CHECK(strstr(text, "ecall from M"));
    CHECK(!strstr(text, "store page fault")); /* never came */
    free(text);
    text = monitor("info counters -j");
    root = json_loads(text, 0, NULL);
    CHECK(root);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(root, "exceptions"), "ecall_from_M")), 3);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(root, "exceptions"), "store_page_fault")), 0);
    CHECK(json_integer_value(json_object_get(root, "instructions")) > 0);
    rates = json_object_get(root, "rates"); /* since the one before */
    CHECK(json_is_real(json_object_get(rates, "instructions")));
    CHECK(!json_object_get(json_object_get(rates, "translator"), "cache_used"));
    json_decref(root);
    free(text);
    text = monitor("info counters -x");
    CHECK(strstr(text, "unknown"));
    free(text);
}

static void the_panel_draws_and_asks_once_a_second(void **state)
{
    struct counter_log *log = machine_counters(m);
    struct counter_sample some[COUNTER_SAMPLES];
    struct canvas canvas = {px, W, H, W};
    struct ui_rect rect[UI_RECTS];
    unsigned before = counter_log_get(log, some, COUNTER_SAMPLES);
    struct err e;
    struct ui_tab *t = panel_new(log, &e);
    uint32_t w, h;

    (void)state;
    t->ops->size(t, W, H, 1, &w, &h);
    CHECK_EQ(w, W);
    CHECK_EQ(t->ops->draw(t, &canvas, true, rect), 1);
    CHECK_EQ(rect[0].w, W);
    CHECK_EQ(t->ops->draw(t, &canvas, false, rect), 0); /* not yet due */
    CHECK(t->ops->next(t) > 0 && t->ops->next(t) <= 1000);
    loop_poll(machine_loop(m));
    CHECK_EQ(counter_log_get(log, some, COUNTER_SAMPLES), before + 1);
    CHECK_EQ(some[before].value[ECALL_M], 3);
    t->ops->zoom(t, 1);
    t->ops->size(t, 50, 30, 4, &w, &h); /* too small for anything */
    CHECK_EQ(t->ops->draw(t, &(struct canvas){px, 50, 30, 50}, true, rect), 1);
    t->ops->free(t);
    for (int i = 0; i < 3 * COUNTER_SAMPLES; i++) {
        struct counter_sample now, last;

        counter_log_take(log, &now, &last);
    }
    CHECK_EQ(counter_log_get(log, some, COUNTER_SAMPLES), COUNTER_SAMPLES);
    for (unsigned i = 1; i < COUNTER_SAMPLES; i++)
        CHECK(some[i].ns >= some[i - 1].ns);
}

static void plots_show_their_curves(void **state)
{
    static struct plot p = {.title = "t", .unit = "", .curves = 1, .points = 61};
    struct ui_rect r = {10, 10, 600, 300};
    struct err e;
    struct font *f = font_new(14, &e);
    unsigned low = 0, high = 0, outside = 0;

    (void)state;
    p.curve[0].name = "c";
    p.curve[0].colour = 0xff0000;
    for (unsigned i = 0; i < 61; i++) {
        p.age[i] = 60 - i;
        p.curve[0].value[i] = i < 30 ? 0 : 100;
    }
    plot_draw(&p, f, &(struct canvas){px, W, H, W}, &r, 1);
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++)
            if (px[y * W + x] == 0xff0000) {
                low += x < 250 && y < 200;
                high += x > 350 && x < 600 && y < 60;
                outside += x < r.x || x >= r.x + r.w || y < r.y || y >= r.y + r.h;
            }
    CHECK_EQ(low, 0);
    CHECK(high > 200);
    CHECK_EQ(outside, 0);
    font_free(f);
}

static void numbers_are_short(void **state)
{
    static const struct {
        double v;
        const char *unit, *text;
    } cases[] = {
        {0, "", "0"},       {7, "", "7"},    {340, "", "340"},      {999.9, "", "1.00k"},    {12345, "", "12.3k"},
        {1e9, "", "1.00G"}, {0, "B", "0 B"}, {1023, "B", "1023 B"}, {1536, "B", "1.50 KiB"}, {0.25, "", "0.25"}};
    char buf[24];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        plot_number(cases[i].v, cases[i].unit, buf, sizeof buf);
        CHECK_STR(buf, cases[i].text);
    }
    CHECK_EQ(plot_scale(0, ""), 10);
    CHECK_EQ(plot_scale(11, ""), 20);
    CHECK_EQ(plot_scale(2100, ""), 5000);
    CHECK_EQ(plot_scale(1000, ""), 1000);
    CHECK_EQ(plot_scale(1025, "B"), 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traps_are_counted_by_cause),
        cmocka_unit_test(the_monitor_prints_them),
        cmocka_unit_test(the_panel_draws_and_asks_once_a_second),
        cmocka_unit_test(plots_show_their_curves),
        cmocka_unit_test(numbers_are_short),
    };

    return cmocka_run_group_tests(tests, start, end);
}
