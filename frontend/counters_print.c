/* Names of the live counters, and `info counters`. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/trap.h"
#include "frontend/counters.h"

static const char *const names[COUNTER_KINDS] = {
    [COUNTER_INSNS] = "instructions",
    [COUNTER_TLB_MISSES] = "tlb.misses",
    [COUNTER_TLB_SECOND] = "tlb.second level hits",
    [COUNTER_TLB_WALKS] = "tlb.walks",
    [COUNTER_TLB_FILLS] = "tlb.fills",
    [COUNTER_TLB_FENCES] = "tlb.fences",
    [COUNTER_BLOCKS] = "translator.blocks",
    [COUNTER_CODE_BYTES] = "translator.code bytes",
    [COUNTER_BLOCKS_DROPPED] = "translator.dropped",
    [COUNTER_EVICTIONS] = "translator.evictions",
    [COUNTER_LOOKUPS] = "translator.lookups",
    [COUNTER_INTERPRETED] = "translator.interpreted",
    [COUNTER_CACHE_USED] = "translator.cache used",
    [COUNTER_CACHE_SIZE] = "translator.cache size",
    [COUNTER_DISK_READS] = "disk.reads",
    [COUNTER_DISK_WRITES] = "disk.writes",
    [COUNTER_DISK_READ_BYTES] = "disk.read bytes",
    [COUNTER_DISK_WRITE_BYTES] = "disk.written bytes",
    [COUNTER_NET_IN_FRAMES] = "net.frames in",
    [COUNTER_NET_OUT_FRAMES] = "net.frames out",
    [COUNTER_NET_IN_BYTES] = "net.bytes in",
    [COUNTER_NET_OUT_BYTES] = "net.bytes out",
};

/* Exceptions and interrupts have the names that `-d int` prints; those two groups are put before them where printed. */
const char *counter_name(unsigned n)
{
    if (n >= COUNTER_EXCEPTION && n <= COUNTER_EXCEPTION_LAST)
        return rv_cause_name(false, n - COUNTER_EXCEPTION);
    if (n >= COUNTER_INTERRUPT && n <= COUNTER_INTERRUPT_LAST)
        return rv_cause_name(true, n - COUNTER_INTERRUPT);
    return n < COUNTER_KINDS ? names[n] : NULL;
}

bool counter_is_level(unsigned n) { return n == COUNTER_CACHE_USED || n == COUNTER_CACHE_SIZE; }

/* "exceptions" and "load page fault", "tlb" and "walks"; no group: group[0] 0. */
static const char *split(unsigned n, char *group, size_t len)
{
    const char *name = counter_name(n), *dot = name ? strchr(name, '.') : NULL;

    group[0] = 0;
    if (n >= COUNTER_EXCEPTION && n <= COUNTER_INTERRUPT_LAST)
        snprintf(group, len, "%s", n <= COUNTER_EXCEPTION_LAST ? "exceptions" : "interrupts");
    else if (dot)
        snprintf(group, len, "%.*s", (int)(dot - name), name);
    return dot ? dot + 1 : name;
}

/* Per second since the sample before; negative: none, or a level. */
static double rate(const struct counter_sample *now, const struct counter_sample *before, unsigned n)
{
    if (!before->ns || now->ns <= before->ns || counter_is_level(n))
        return -1;
    return (double)(now->value[n] - before->value[n]) * 1e9 / (double)(now->ns - before->ns);
}

void counters_print(const struct counter_sample *now, const struct counter_sample *before, FILE *out)
{
    char last[24] = "";

    if (before->ns)
        fprintf(out, "%-24s %20s %14s\n", "", "total", "per second");
    for (unsigned n = 0; n < COUNTER_KINDS; n++) {
        char group[24];
        const char *key = split(n, group, sizeof group);
        double r = rate(now, before, n);

        if (!key || (n >= COUNTER_EXCEPTION && n <= COUNTER_INTERRUPT_LAST && !now->value[n]))
            continue; /* causes that never came would fill the screen */
        if (group[0] && strcmp(group, last))
            fprintf(out, "%s:\n", group);
        memcpy(last, group, sizeof last);
        fprintf(out, "%s%-*s %20" PRIu64, group[0] ? "  " : "", group[0] ? 22 : 24, key, now->value[n]);
        if (r >= 0)
            fprintf(out, " %14.0f", r);
        fputc('\n', out);
    }
}

static void put(json_t *root, unsigned n, json_t *value)
{
    char group[24], key[32];
    const char *name = split(n, group, sizeof group);
    json_t *in = root;

    for (size_t i = 0; name && i <= strlen(name) && i < sizeof key; i++)
        key[i] = name[i] == ' ' ? '_' : name[i]; /* "load_page_fault": easier for scripts */

    if (name && group[0]) {
        in = json_object_get(root, group);
        if (!in) {
            in = json_object();
            json_object_set_new(root, group, in);
        }
    }
    if (name)
        json_object_set_new(in, key, value);
    else
        json_decref(value);
}

void counters_print_json(const struct counter_sample *now, const struct counter_sample *before, FILE *out)
{
    json_t *root = json_object(), *rates = json_object();
    char *text;

    json_object_set_new(root, "time", json_integer((json_int_t)now->ns));
    for (unsigned n = 0; n < COUNTER_KINDS; n++) {
        double r = rate(now, before, n);

        put(root, n, json_integer((json_int_t)now->value[n]));
        if (r >= 0)
            put(rates, n, json_real(r));
    }
    if (before->ns)
        json_object_set(root, "rates", rates);
    text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(rates);
    json_decref(root);
}
