/*
 * The command line of qemu-system-riscv64: existing tools (kunit.py, tuxrun, xv6, wireguard, ...) run unchanged.
 *
 * Options are collected in any order and resolved at the end, as QEMU does: -serial chardev:ID may come before the
 * -chardev it names. What would change meaning and is not there gets an error; what cannot matter here (-parallel none,
 * -vga none, an RNG back end) is taken. Defaults follow QEMU: -nographic muxes serial port and monitor on the terminal.
 */
#include "frontend/personality_qemu.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/riscv/config.h"
#include "frontend/personality_parts.h"
#include "frontend/version.h"

static bool no_effect(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    (void)e;
    return true;
}

static bool not_yet(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "not there yet");
}

static bool not_yet_gdb(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "the gdb server is not there yet");
}

static bool not_yet_sharing(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "file sharing with the host is not there yet");
}

#define STRING_OPTION(field)                                                                                           \
    static bool opt_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        struct qemu_cli *q = ctx;                                                                                      \
        (void)e;                                                                                                       \
        q->c->field = config_str(q->c, arg);                                                                           \
        return true;                                                                                                   \
    }
#define FLAG_OPTION(field)                                                                                             \
    static bool opt_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        struct qemu_cli *q = ctx;                                                                                      \
        (void)e;                                                                                                       \
        (void)arg;                                                                                                     \
        q->c->field = true;                                                                                            \
        return true;                                                                                                   \
    }

STRING_OPTION(kernel)
STRING_OPTION(initrd)
STRING_OPTION(append)
STRING_OPTION(dtb)
STRING_OPTION(log_file)
STRING_OPTION(dfilter)
STRING_OPTION(pidfile)
FLAG_OPTION(no_reboot)
FLAG_OPTION(no_shutdown)
FLAG_OPTION(paused)
FLAG_OPTION(snapshot)

static bool opt_bios(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    (void)e;
    q->c->firmware = !strcmp(arg, "none") ? FIRMWARE_NONE : !strcmp(arg, "default") ? FIRMWARE_SBI : FIRMWARE_FILE;
    q->c->bios = q->c->firmware == FIRMWARE_FILE ? config_str(q->c, arg) : NULL;
    return true;
}

static bool opt_name(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "guest", e);

    if (ok) {
        q->c->name = config_str(q->c, kv_get(&k, "guest"));
        kv_get(&k, "process");
        kv_get(&k, "debug-threads");
        ok = kv_done(&k, e);
    }
    kv_free(&k);
    return ok;
}

static bool opt_memory(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "size", e);
    const char *size = ok ? kv_get(&k, "size") : NULL;

    if (ok && (kv_get(&k, "slots") || kv_get(&k, "maxmem")))
        ok = err_set(e, "memory hot-plug is not there yet");
    if (ok && (!size || !parse_size(size, 1 << 20, &q->c->ram)))
        ok = err_set(e, "expected a size such as 512M (a bare number is MiB)");
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_smp(void *ctx, const char *arg, struct err *e)
{
    static const char *const topology[] = {"sockets", "dies", "clusters", "modules", "cores", "threads", NULL};
    struct qemu_cli *q = ctx;
    struct keyvals k;
    uint64_t cpus = 0, max = 0, product = 1;
    bool ok = kv_parse(&k, arg, "cpus", e) && kv_u64(&k, "cpus", &cpus, e) && kv_u64(&k, "maxcpus", &max, e);

    for (unsigned i = 0; ok && topology[i]; i++) {
        uint64_t n = 1;

        ok = kv_u64(&k, topology[i], &n, e);
        if (!n || n > CONFIG_MAX_CPUS)
            ok = err_set(e, "%s: expected 1 to %d", topology[i], CONFIG_MAX_CPUS);
        else
            product *= product <= CONFIG_MAX_CPUS ? n : 1;
    }
    ok = ok && kv_done(&k, e);
    if (ok && !cpus && !kv_get(&k, "cpus"))
        cpus = max ? max : product;
    if (ok && (cpus < 1 || cpus > CONFIG_MAX_CPUS))
        ok = err_set(e, "expected 1 to %d CPUs", CONFIG_MAX_CPUS);
    if (ok && max > cpus)
        ok = err_set(e, "CPU hot-plug is not there yet: maxcpus must equal cpus");
    if (ok && product > 1 && product != cpus)
        ok = err_set(e, "sockets x cores x threads must make %u CPUs", (unsigned)cpus);
    if (ok)
        q->c->cpus = (unsigned)cpus;
    kv_free(&k);
    return ok;
}

static bool opt_cpu(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    (void)e;
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        isa_config_help(stdout);
        q->done = true;
    }
    q->c->cpu = config_str(q->c, arg);
    return true;
}

/* One accelerator of the fall-back list; the first we have wins. */
static bool try_accel(struct qemu_cli *q, const char *name, struct err *e)
{
    static const char *const hypervisors[] = {"kvm", "hvf", "xen", "whpx", "nvmm", "mshv", "hax"};

    for (size_t i = 0; i < ARRAY_LEN(hypervisors); i++) {
        if (!strcmp(name, hypervisors[i])) {
            q->accel_refused = hypervisors[i];
            return true;
        }
    }
    if (q->accel_found)
        return true;
    if (!config_set_engine(q->c, name, e))
        return err_set(e, "no accelerator '%s'; there are tcg (the same as jit), jit, ir, interp and lockstep", name);
    q->accel_found = true;
    return true;
}

static bool opt_accel(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    uint64_t mib = 0;
    bool flag = false, ok = kv_parse(&k, arg, "accel", e);
    const char *name = ok ? kv_get(&k, "accel") : NULL, *thread = ok ? kv_get(&k, "thread") : NULL;

    if (ok && !strcmp(arg, "help")) {
        puts("Accelerators: tcg (= jit), jit, ir, interp, lockstep");
        q->done = true;
        kv_free(&k);
        return true;
    }
    q->accel_given = true;
    ok = ok && (name ? try_accel(q, name, e) : err_set(e, "no accelerator named"));
    ok = ok && kv_u64(&k, "tb-size", &mib, e) && kv_bool(&k, "one-insn-per-tb", &flag, e) &&
         kv_bool(&k, "split-wx", &flag, e);
    kv_get(&k, "kernel-irqchip");
    kv_get(&k, "dirty-ring-size");
    if (ok && thread && strcmp(thread, "single") && strcmp(thread, "multi"))
        ok = err_set(e, "thread=%s: expected single or multi", thread);
    if (ok && mib > 65536)
        ok = err_set(e, "tb-size=%llu: at most 65536 MiB", (unsigned long long)mib);
    if (ok && mib)
        q->c->translator.cache_size = mib << 20;
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_enable_kvm(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct qemu_cli *)ctx)->accel_given = true;
    ((struct qemu_cli *)ctx)->accel_refused = "kvm";
    ((struct qemu_cli *)ctx)->enable_kvm = true;
    return true;
}

/* accel=kvm:tcg inside -machine. */
static bool machine_accels(struct qemu_cli *q, const char *list, struct err *e)
{
    char name[32];

    while (*list) {
        size_t n = strcspn(list, ":");

        snprintf(name, sizeof name, "%.*s", (int)n, list);
        if (!try_accel(q, name, e))
            return false;
        list += n + (list[n] == ':');
    }
    q->accel_given = true;
    return true;
}

static void machine_help(void)
{
    puts("Supported machines are:\n"
         "virt                 RISC-V VirtIO board (default)\n"
         "Properties: accel=, aclint=on|off, pflash0=ID, pflash1=ID, dumpdtb=FILE, signature=FILE");
}

/* Properties that can only have one value here: anything else would be a machine we do not build. */
static bool machine_fixed(struct keyvals *k, struct err *e)
{
    static const struct {
        const char *key, *ok; /* '|' between values */
    } fixed[] = {{"aia", "none"},
                 {"aia-guests", "0"},
                 {"acpi", "off|auto"},
                 {"iommu-sys", "off|auto"},
                 {"usb", "off"},
                 {"graphics", "off"},
                 {"hmat", "off"},
                 {"confidential-guest-support", ""},
                 {"secure", "off"},
                 {"nvdimm", "off"},
                 {"smp-cache", ""},
                 {"virtualization", "off"},
                 {"boot", ""},
                 {"sgx-epc", ""},
                 {"suppress-vmdesc", "on|off"}};

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const char *val = kv_get(k, fixed[i].key), *w = fixed[i].ok;
        bool fits = false;

        for (; val && *w && !fits; w += strcspn(w, "|"), w += *w == '|')
            fits = strlen(val) == strcspn(w, "|") && !strncmp(val, w, strlen(val));
        if (val && !fits)
            return err_set(e, "%s=%s: not there yet", fixed[i].key, val);
    }
    return true;
}

static bool memory_known(const struct qemu_cli *q, const char *id)
{
    for (unsigned i = 0; i < q->memories; i++)
        if (!strcmp(q->memory_ids[i], id))
            return true;
    return false;
}

static bool opt_machine(void *ctx, const char *arg, struct err *e)
{
    static const char *const harmless[] = {"kernel-irqchip", "dump-guest-core", "mem-merge", "memory-encryption",
                                           "phandle-start"};
    struct qemu_cli *q = ctx;
    struct machine_config *c = q->c;
    struct keyvals k;
    const char *type, *accel, *val;
    bool ok = kv_parse(&k, arg, "type", e);

    if (!ok) {
        kv_free(&k);
        return false;
    }
    type = kv_get(&k, "type");
    if (type && (!strcmp(type, "help") || !strcmp(type, "?"))) {
        machine_help();
        q->done = true;
        kv_free(&k);
        return true;
    }
    if (type && strcmp(type, "virt"))
        ok = err_set(e, "no machine '%s'; there is virt", type);
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
        kv_get(&k, harmless[i]);
    accel = kv_get(&k, "accel");
    ok = ok && (!accel || machine_accels(q, accel, e)) && kv_bool(&k, "aclint", &c->aclint, e) && machine_fixed(&k, e);
    if ((val = kv_get(&k, "dumpdtb")))
        c->dumpdtb = config_str(c, val);
    if ((val = kv_get(&k, "signature")))
        c->signature = config_str(c, val);
    if ((val = kv_get(&k, "pflash0")))
        c->pflash[0] = config_str(c, val);
    if ((val = kv_get(&k, "pflash1")))
        c->pflash[1] = config_str(c, val);
    if ((val = kv_get(&k, "kernel")))
        c->kernel = config_str(c, val);
    if ((val = kv_get(&k, "initrd")))
        c->initrd = config_str(c, val);
    if ((val = kv_get(&k, "append")))
        c->append = config_str(c, val);
    if ((val = kv_get(&k, "dtb")))
        c->dtb = config_str(c, val);
    if ((val = kv_get(&k, "firmware")))
        opt_bios(q, val, e);
    if ((val = kv_get(&k, "memory-backend"))) /* the -object may come later */
        q->memory_wanted = config_str(c, val);
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_object(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "qom-type", e);
    const char *type = ok ? kv_get(&k, "qom-type") : NULL, *id = ok ? kv_get(&k, "id") : NULL;
    uint64_t size = 0;

    if (ok && (!type || !id))
        ok = err_set(e, "expected TYPE,id=ID");
    if (ok && (!strcmp(type, "rng-random") || !strcmp(type, "rng-builtin"))) {
        kv_get(&k, "filename"); /* the host's random numbers either way */
        ok = kv_done(&k, e);
    } else if (ok && (!strcmp(type, "memory-backend-memfd") || !strcmp(type, "memory-backend-ram"))) {
        static const char *const harmless[] = {"share", "prealloc", "merge",      "dump",
                                               "seal",  "hugetlb",  "host-nodes", "policy"};

        for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
            kv_get(&k, harmless[i]);
        ok = kv_size(&k, "size", &size, e) && kv_done(&k, e);
        if (ok && q->memories < SPECS)
            snprintf(q->memory_ids[q->memories++], sizeof q->memory_ids[0], "%s", id);
    } else if (ok && !strcmp(type, "filter-dump")) {
        ok = qemu_filter_dump(q, &k, id, e);
    } else if (ok) {
        ok = err_set(e, "objects of type %s are not there yet", type);
    }
    kv_free(&k);
    return ok;
}

static bool opt_numa(void *ctx, const char *arg, struct err *e)
{
    static const char *const taken[] = {"type", "nodeid", "memdev", "mem", "cpus"};
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "type", e);
    const char *nodeid = ok ? kv_get(&k, "nodeid") : NULL, *type = ok ? kv_get(&k, "type") : NULL;

    (void)ctx;
    for (size_t i = 0; ok && i < ARRAY_LEN(taken); i++)
        kv_get(&k, taken[i]);
    if (ok && (!type || strcmp(type, "node") || (nodeid && strcmp(nodeid, "0"))))
        ok = err_set(e, "more than one NUMA node is not there yet");
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_device(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        device_types_help(stdout);
        q->done = true;
        return true;
    }
    return config_add_device(q->c, arg, e);
}

static bool opt_global(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct global_config *g = &q->c->global[q->c->globals];
    char driver[64], prop[64];
    const char *eq = strchr(arg, '='), *dot = strchr(arg, '.');

    if (q->c->globals == CONFIG_MAX)
        return err_set(e, "more than %d", CONFIG_MAX);
    if (eq && dot && dot < eq) {
        snprintf(driver, sizeof driver, "%.*s", (int)(dot - arg), arg);
        snprintf(prop, sizeof prop, "%.*s", (int)(eq - dot - 1), dot + 1);
        *g = (struct global_config){config_str(q->c, driver), config_str(q->c, prop), config_str(q->c, eq + 1), false};
    } else {
        struct keyvals k;
        bool ok = kv_parse(&k, arg, NULL, e);

        if (ok)
            *g =
                (struct global_config){config_str(q->c, kv_get(&k, "driver")), config_str(q->c, kv_get(&k, "property")),
                                       config_str(q->c, kv_get(&k, "value")), false};
        kv_free(&k);
        if (!ok)
            return false;
    }
    if (!g->driver || !g->prop || !g->value)
        return err_set(e, "expected DRIVER.PROPERTY=VALUE");
    q->c->globals++;
    return true;
}

static bool opt_nodefaults(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct qemu_cli *)ctx)->nodefaults = true;
    return true;
}

static bool opt_log(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;

    (void)e;
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        log_items_help(stdout);
        q->done = true;
    }
    q->c->log_items = config_str(q->c, arg);
    return true;
}

static bool opt_fwcfg(void *ctx, const char *arg, struct err *e)
{
    struct qemu_cli *q = ctx;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "name", e);
    const char *name = ok ? kv_get(&k, "name") : NULL, *file = ok ? kv_get(&k, "file") : NULL,
               *string = ok ? kv_get(&k, "string") : NULL;

    if (ok && (!name || !*name || strlen(name) > 55))
        ok = err_set(e, "needs name=NAME of at most 55 characters");
    if (ok && !file == !string)
        ok = err_set(e, "needs either file= or string=");
    ok = ok && kv_done(&k, e);
    if (ok && q->c->fwcfgs == CONFIG_MAX)
        ok = err_set(e, "more than %d", CONFIG_MAX);
    if (ok)
        q->c->fwcfg[q->c->fwcfgs++] =
            (struct fwcfg_config){config_str(q->c, name), config_str(q->c, string), config_str(q->c, file)};
    kv_free(&k);
    return ok;
}

/* Days from 1970-01-01 to y-m-d of the Gregorian calendar. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool opt_rtc(void *ctx, const char *arg, struct err *e)
{
    struct machine_config *c = ((struct qemu_cli *)ctx)->c;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, "base", e);
    const char *base = ok ? kv_get(&k, "base") : NULL, *clock = ok ? kv_get(&k, "clock") : NULL;
    int y, mo, d, h = 0, mi = 0, s = 0, end = 0;

    if (ok && base && !strcmp(base, "localtime")) {
        c->rtc_local = true;
    } else if (ok && base && strcmp(base, "utc")) {
        int n = sscanf(base, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &end);

        if (n == 3)
            sscanf(base, "%4d-%2d-%2d%n", &y, &mo, &d, &end);
        if ((n != 3 && n != 6) || base[end] || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60)
            ok = err_set(e, "base=%s: expected utc, localtime or 2026-11-23T12:00:00", base);
        else
            c->rtc_base = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
        c->rtc_set = ok;
    }
    kv_get(&k, "driftfix");
    if (ok && clock && strcmp(clock, "host") && strcmp(clock, "vm") && strcmp(clock, "rt"))
        ok = err_set(e, "clock=%s: expected host, rt or vm", clock);
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_semihosting(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct qemu_cli *)ctx)->c->semihosting = true;
    return true;
}

static bool opt_semihosting_config(void *ctx, const char *arg, struct err *e)
{
    struct machine_config *c = ((struct qemu_cli *)ctx)->c;
    struct keyvals k;
    bool on = true, ok = kv_parse(&k, arg, "enable", e) && kv_bool(&k, "enable", &on, e);
    const char *target = ok ? kv_get(&k, "target") : NULL;

    if (ok && target && strcmp(target, "native") && strcmp(target, "auto"))
        ok = err_set(e, "target=%s: not there yet (only native)", target);
    if (ok && (kv_get(&k, "chardev") || kv_get(&k, "arg")))
        ok = err_set(e, "chardev= and arg= are not there yet");
    if (kv_get(&k, "userspace"))
        ok = ok && err_set(e, "userspace= is not there yet");
    ok = ok && kv_done(&k, e);
    c->semihosting = on;
    kv_free(&k);
    return ok;
}

static bool opt_boot(void *ctx, const char *arg, struct err *e)
{
    struct keyvals k;
    bool flag, ok = kv_parse(&k, arg, "order", e) && kv_bool(&k, "menu", &flag, e) && kv_bool(&k, "strict", &flag, e);

    (void)ctx;
    kv_get(&k, "order"); /* firmware of this board has its own order */
    kv_get(&k, "once");
    kv_get(&k, "splash-time");
    ok = ok && kv_done(&k, e);
    kv_free(&k);
    return ok;
}

static bool opt_version(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    printf("QEMU emulator version %s (guise %s)\n", QEMU_VERSION, GUISE_VERSION);
    ((struct qemu_cli *)ctx)->done = true;
    return true;
}

static bool opt_help(void *ctx, const char *arg, struct err *e);

#define NOT_YET "not there yet: gives an error"

static const struct option_row options[] = {
    {"Machine", 0, 0, 0, 0},
    {"machine", "virt[,PROP=VALUE]", "board; properties aclint=, pflash0=, dumpdtb=, signature=, accel=", opt_machine,
     "virt|help"},
    {"M", "virt[,PROP=VALUE]", "the same", opt_machine, "virt|help"},
    {"cpu", "MODEL[,EXT=on|off]", "CPU model and extensions", opt_cpu, "rv64|max|rva22s64|rva23s64|help"},
    {"accel", "ENGINE", "tcg or jit, ir, interp, lockstep; may be given several times", opt_accel,
     "tcg|jit|ir|interp|lockstep|help"},
    {"enable-kvm", NULL, NULL, opt_enable_kvm, NULL},
    {"smp", "N", "number of CPUs", opt_smp, NULL},
    {"m", "SIZE", "memory, MiB or with a suffix (default 128M)", opt_memory, NULL},
    {"object", "TYPE,id=ID", "rng-random, rng-builtin, memory-backend-ram, memory-backend-memfd, filter-dump",
     opt_object, "rng-random|memory-backend-memfd|filter-dump"},
    {"numa", "node,memdev=ID", "one node", opt_numa, NULL},
    {"name", "NAME", "name of the machine", opt_name, NULL},
    {"rtc", "base=utc|localtime|DATE", "wall clock at start", opt_rtc, "base=utc|base=localtime"},
    {"Boot", 0, 0, 0, 0},
    {"kernel", "FILE", "Linux Image (gzip, zstd, EFI zboot too), ELF or raw binary", opt_kernel, NULL},
    {"append", "LINE", "kernel command line", opt_append, NULL},
    {"initrd", "FILE", "initial RAM disk", opt_initrd, NULL},
    {"dtb", "FILE", "device tree to use instead of ours", opt_dtb, NULL},
    {"bios", "FILE|none|default", "firmware; default is the built-in SBI", opt_bios, "none|default"},
    {"fw_cfg", "name=NAME,file=F|string=S", "item for the guest", opt_fwcfg, NULL},
    {"boot", "OPTS", NULL, opt_boot, NULL},
    {"Devices", 0, 0, 0, 0},
    {"device", "DRIVER[,PROP=VALUE]", "add a device; help lists them", opt_device,
     "virtio-blk-device|virtio-blk-pci|virtio-rng-device|virtio-rng-pci|virtio-serial-device|virtio-serial-pci|"
     "virtconsole|virtserialport|virtio-net-pci|virtio-net-device|e1000e|loader|help"},
    {"global", "DRIVER.PROP=VALUE", "default of a property", opt_global, "virtio-mmio.force-legacy=false"},
    {"drive", "file=FILE[,if=][,format=]", "disk; if=none with id= for a -device, virtio or pflash", qemu_drive, NULL},
    {"blockdev", "driver=D,node-name=ID,...", "disk as a tree of block nodes, key=value or JSON", qemu_blockdev, NULL},
    {"hda", "FILE", NULL, qemu_hd, NULL},
    {"hdb", "FILE", NULL, qemu_hd, NULL},
    {"hdc", "FILE", NULL, qemu_hd, NULL},
    {"hdd", "FILE", NULL, qemu_hd, NULL},
    {"cdrom", "FILE", "read-only disk", qemu_cdrom, NULL},
    {"sd", "FILE", NULL, qemu_no_such_bus, NULL},
    {"mtdblock", "FILE", NULL, qemu_no_such_bus, NULL},
    {"fda", "FILE", NULL, qemu_no_such_bus, NULL},
    {"pflash", "FILE", NULL, qemu_pflash, NULL},
    {"snapshot", NULL, "disks keep nothing of this run", opt_snapshot, NULL},
    {"netdev", "TYPE,id=ID,...", "network for a -device: user, tap, bridge, socket, stream, dgram, hubport; help",
     qemu_netdev, "user|tap|bridge|socket|stream|dgram|hubport|help"},
    {"nic", "TYPE[,model=][,mac=]...|none", "network and adapter in one", qemu_nic,
     "user|tap|bridge|socket|stream|none"},
    {"net", "nic|TYPE[,...]|none", "the same in QEMU's oldest words, on one hub", qemu_net, "nic|user|tap|none"},
    {"fsdev", "ID", NULL, not_yet_sharing, NULL},
    {"virtfs", "ID", NULL, not_yet_sharing, NULL},
    {"Consoles", 0, 0, 0, 0},
    {"nographic", NULL, "serial port and monitor on the terminal, Ctrl-A h for keys", qemu_nographic, NULL},
    {"serial", "WHERE", "stdio, mon:stdio, vc, file:PATH, pty, unix:PATH, null, none, chardev:ID", qemu_serial,
     "stdio|mon:stdio|vc|pty|null|none"},
    {"chardev", "KIND,id=ID", "stdio, vc, file, pty, socket (path=), null; mux=on shares it", qemu_chardev,
     "stdio|vc|file|pty|socket|null"},
    {"monitor", "WHERE", "as -serial", qemu_monitor, "stdio|vc|none|pty"},
    {"mon", "chardev=ID", "monitor on a character device", qemu_mon, NULL},
    {"echr", "CODE", "escape key, a character code (default 1, Ctrl-A)", qemu_echr, NULL},
    {"display", "sdl[,PROP=VALUE]|none", "a window, with consoles in tabs; help lists the properties", qemu_display,
     "sdl|none|help"},
    {"full-screen", NULL, "the window takes the whole screen", qemu_full_screen, NULL},
    {"vga", "none|std|virtio|cirrus", "no card of these is made on this board: see -device", qemu_vga,
     "none|std|virtio|cirrus|help"},
    {"parallel", "none", NULL, qemu_parallel, "none"},
    {"Running and looking inside", 0, 0, 0, 0},
    {"no-reboot", NULL, "end when the guest resets", opt_no_reboot, NULL},
    {"no-shutdown", NULL, "stop, but stay, when the guest powers off", opt_no_shutdown, NULL},
    {"S", NULL, "start stopped (monitor: cont)", opt_paused, NULL},
    {"d", "ITEM,...", "log; help lists the items", opt_log, "in_asm|ir|out_asm|exec|int|mmu|guest_errors|help"},
    {"D", "FILE", "log to a file", opt_log_file, NULL},
    {"dfilter", "LO..HI,...", "log code of these addresses only", opt_dfilter, NULL},
    {"pidfile", "FILE", "write our process id", opt_pidfile, NULL},
    {"semihosting", NULL, "semihosting calls: exit", opt_semihosting, NULL},
    {"semihosting-config", "enable=on", "the same", opt_semihosting_config, NULL},
    {"nodefaults", NULL, "no serial port and monitor unless asked for", opt_nodefaults, NULL},
    {"no-user-config", NULL, NULL, no_effect, NULL},
    {"nouserconfig", NULL, NULL, no_effect, NULL},
    {"msg", "timestamp=on|off", NULL, no_effect, NULL},
    {"s", NULL, NULL, not_yet_gdb, NULL},
    {"gdb", "WHERE", NULL, not_yet_gdb, NULL},
    {"qmp", "WHERE", NULL, not_yet, NULL},
    {"daemonize", NULL, NULL, not_yet, NULL},
    {"incoming", "WHERE", NULL, not_yet, NULL},
    {"loadvm", "NAME", NULL, not_yet, NULL},
    {"icount", "N", NULL, not_yet, NULL},
    {"smbios", "SPEC", NULL, not_yet, NULL},
    {"tpmdev", "SPEC", NULL, not_yet, NULL},
    {"usb", NULL, NULL, not_yet, NULL},
    {"usbdevice", "SPEC", NULL, not_yet, NULL},
    {"trace", "SPEC", NULL, not_yet, NULL},
    {"plugin", "FILE", NULL, not_yet, NULL},
    {"sandbox", "SPEC", NULL, not_yet, NULL},
    {"readconfig", "FILE", NULL, not_yet, NULL},
    {"sdl", NULL, NULL, qemu_no_sdl, NULL},
    {"vnc", "WHERE", NULL, qemu_no_vnc, NULL},
    {"spice", "OPTIONS", NULL, qemu_no_spice, NULL},
    {"version", NULL, "print the version", opt_version, NULL},
    {"help", NULL, "print this", opt_help, NULL},
    {"h", NULL, NULL, opt_help, NULL},
    {0},
};

static bool opt_help(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    printf("usage: %s [options]\nguise %s under the command line of QEMU %s.\n\n", ((struct qemu_cli *)ctx)->c->program,
           GUISE_VERSION, QEMU_VERSION);
    options_help(options, "-", stdout);
    ((struct qemu_cli *)ctx)->done = true;
    return true;
}

const struct doc personality_qemu_doc = {
    .usage = "[options] [DISK]",
    .options = options,
    .dash = "-",
    .files = true,
    .program = "qemu-system-riscv64",
};

static bool finish(struct qemu_cli *q, struct err *e)
{
    if (q->enable_kvm && !q->accel_found)
        return err_set(e,
                       "-enable-kvm: guests are translated (RISC-V on this host), KVM cannot run them; leave it out");
    if (q->accel_given && !q->accel_found)
        return err_set(e, "-accel %s: not available for this guest; add -accel tcg", q->accel_refused);
    if (q->memory_wanted && !memory_known(q, q->memory_wanted))
        return err_set(e, "-machine memory-backend=%s: no such -object", q->memory_wanted);
    if (q->nographic)
        q->c->display.window = false;
    else if (q->c->display.full_screen && !q->c->display.given)
        q->c->display.window = true;
    return qemu_finish_dumps(q, e) && qemu_finish_consoles(q, e) && config_finish(q->c, e);
}

enum cli_result personality_qemu(struct machine_config *c, int argc, char **argv, struct err *e)
{
    struct qemu_cli q = {.c = c};

    c->qemu = true;
    for (int i = 1; i < argc; i++) /* these print and end, whatever else is wrong */
        if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-version"))
            return opt_version(&q, NULL, e) ? CLI_DONE : CLI_ERROR;
    if (!options_parse(options, &q, argc, argv, 1, qemu_hd, e))
        return CLI_ERROR;
    if (q.done)
        return CLI_DONE;
    return finish(&q, e) ? CLI_RUN : CLI_ERROR;
}
