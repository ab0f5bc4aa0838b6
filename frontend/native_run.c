/*
 * `guise run [KERNEL|DISK]`: the short way to start a machine.
 *
 * A positional file is a kernel when its first bytes say so (Linux Image, EFI zboot, ELF, gzip, zstd), else a disk.
 */
#include "frontend/native_run.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cpu/riscv/config.h"
#include "frontend/loader.h"
#include "frontend/native_disk.h"
#include "frontend/native_net.h"
#include "frontend/native_window.h"

struct run_cli {
    struct machine_config *c;
    const char *console, *monitor;
    const char *not_kernel; /* a file taken for a disk */
    bool done, no_net;      /* no_net: --net none */
    const char *forward[NET_FORWARDS_MAX], *capture;
    unsigned forwards;
};

#define STRING_OPTION(field)                                                                                           \
    static bool run_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        struct run_cli *r = ctx;                                                                                       \
        (void)e;                                                                                                       \
        r->c->field = config_str(r->c, arg);                                                                           \
        return true;                                                                                                   \
    }
#define FLAG_OPTION(field)                                                                                             \
    static bool run_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        struct run_cli *r = ctx;                                                                                       \
        (void)e;                                                                                                       \
        (void)arg;                                                                                                     \
        r->c->field = true;                                                                                            \
        return true;                                                                                                   \
    }

STRING_OPTION(kernel)
STRING_OPTION(initrd)
STRING_OPTION(append)
STRING_OPTION(dtb)
STRING_OPTION(dumpdtb)
STRING_OPTION(signature)
STRING_OPTION(name)
STRING_OPTION(log_file)
STRING_OPTION(dfilter)
FLAG_OPTION(no_reboot)
FLAG_OPTION(no_shutdown)
FLAG_OPTION(paused)
FLAG_OPTION(snapshot)
FLAG_OPTION(semihosting)

static bool run_cpu(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    (void)e;
    if (!strcmp(arg, "help")) {
        isa_config_help(stdout);
        r->done = true;
    }
    r->c->cpu = config_str(r->c, arg);
    return true;
}

static bool run_memory(void *ctx, const char *arg, struct err *e)
{
    return parse_size(arg, 1 << 20, &((struct run_cli *)ctx)->c->ram) ||
           err_set(e, "expected a size such as 512M (a bare number is MiB)");
}

static bool run_cpus(void *ctx, const char *arg, struct err *e)
{
    uint64_t n;

    if (!parse_u64(arg, &n) || n < 1 || n > CONFIG_MAX_CPUS)
        return err_set(e, "expected 1 to %d", CONFIG_MAX_CPUS);
    ((struct run_cli *)ctx)->c->cpus = (unsigned)n;
    return true;
}

static bool run_engine(void *ctx, const char *arg, struct err *e)
{
    return config_set_engine(((struct run_cli *)ctx)->c, arg, e);
}

static bool run_mmu(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    return !strcmp(arg, "tlb") || err_set(e, "not there yet (only tlb)");
}

static bool run_bios(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    (void)e;
    r->c->firmware = !strcmp(arg, "none") ? FIRMWARE_NONE : !strcmp(arg, "sbi") ? FIRMWARE_SBI : FIRMWARE_FILE;
    r->c->bios = r->c->firmware == FIRMWARE_FILE ? config_str(r->c, arg) : NULL;
    return true;
}

static bool run_cache(void *ctx, const char *arg, struct err *e)
{
    struct translator_options *t = &((struct run_cli *)ctx)->c->translator;

    if (!parse_size(arg, 1 << 20, &t->cache_size) || t->cache_size < 64 << 10 || t->cache_size > UINT64_C(64) << 30)
        return err_set(e, "expected a size, 64K to 64G");
    return true;
}

static bool run_jit_after(void *ctx, const char *arg, struct err *e)
{
    uint64_t n;

    if (!parse_u64(arg, &n) || n > UINT32_MAX)
        return err_set(e, "expected a number");
    ((struct run_cli *)ctx)->c->translator.jit_after = (unsigned)n;
    return true;
}

static bool run_pic(void *ctx, const char *arg, struct err *e)
{
    static const char *const names[] = {"auto", "always", "never"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(arg, names[i])) {
            ((struct run_cli *)ctx)->c->translator.pic = (enum pic)i;
            return true;
        }
    return err_set(e, "auto, always or never, not '%s'", arg);
}

static bool run_no_link(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct run_cli *)ctx)->c->translator.no_link = true;
    return true;
}

static bool run_perf_map(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct run_cli *)ctx)->c->translator.perf_map = true;
    return true;
}

static bool run_net(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;
    bool none;

    if (!strcmp(arg, "help")) {
        native_net_help(stdout);
        r->done = true;
        return true;
    }
    if (!native_net(r->c, arg, &none, e))
        return false;
    r->no_net |= none;
    return true;
}

static bool run_forward(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    if (r->forwards == NET_FORWARDS_MAX)
        return err_set(e, "more than %d", NET_FORWARDS_MAX);
    r->forward[r->forwards++] = arg;
    return true;
}

static bool run_capture(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct run_cli *)ctx)->capture = arg;
    return true;
}

/* FILE[,ro][,snapshot][,bus=pci|mmio][,serial=NAME] */
static bool run_disk(void *ctx, const char *arg, struct err *e)
{
    return native_disk(((struct run_cli *)ctx)->c, arg, e);
}

static bool run_device(void *ctx, const char *arg, struct err *e)
{
    if (!strcmp(arg, "help")) {
        device_types_help(stdout);
        ((struct run_cli *)ctx)->done = true;
        return true;
    }
    return config_add_device(((struct run_cli *)ctx)->c, arg, e);
}

static bool run_console(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct run_cli *)ctx)->console = arg;
    return true;
}

static bool run_monitor(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct run_cli *)ctx)->monitor = arg;
    return true;
}

static bool run_display(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    if (!strcmp(arg, "help")) {
        config_display_help(stdout);
        r->done = true;
        return true;
    }
    return config_set_display(r->c, arg, e);
}

static bool run_window(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    return config_set_display(((struct run_cli *)ctx)->c, "window", e);
}

static bool run_full_screen(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    ((struct run_cli *)ctx)->c->display.full_screen = true;
    return config_set_display(((struct run_cli *)ctx)->c, "window", e);
}

static bool run_log(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    (void)e;
    if (!strcmp(arg, "help")) {
        log_items_help(stdout);
        r->done = true;
    }
    r->c->log_items = config_str(r->c, arg);
    return true;
}

static bool run_help(void *ctx, const char *arg, struct err *e);

static const struct option_row options[] = {
    {"Machine", 0, 0, 0, 0},
    {"cpus", "N", "number of CPUs (default 1)", run_cpus, NULL},
    {"memory", "SIZE", "MiB, or with a suffix K M G T (default 1G)", run_memory, NULL},
    {"cpu", "MODEL[,EXT=on|off]", "rv64, max, rva22s64, rva23s64, with extensions", run_cpu,
     "rv64|max|rva22s64|rva23s64|help"},
    {"engine", "NAME", "jit (default), ir, interp, lockstep", run_engine, "jit|ir|interp|lockstep"},
    {"mmu", "NAME", "tlb", run_mmu, "tlb"},
    {"jit-cache-size", "SIZE", "code cache (default 32M)", run_cache, NULL},
    {"jit-after", "N", "interpret a block N times before it is compiled", run_jit_after, NULL},
    {"jit-pic", "WHICH", "translate code for any address: auto (shared libraries), always, never", run_pic, NULL},
    {"jit-no-link", NULL, "never link blocks", run_no_link, NULL},
    {"perf-map", NULL, "write /tmp/perf-PID.map for perf", run_perf_map, NULL},
    {"name", "NAME", "name of the machine", run_name, NULL},
    {"Boot", 0, 0, 0, 0},
    {"kernel", "FILE", "Linux Image (gzip, zstd, EFI zboot too), ELF or raw binary", run_kernel, NULL},
    {"append", "LINE", "kernel command line (default console=ttyS0, root on the first disk)", run_append, NULL},
    {"initrd", "FILE", "initial RAM disk", run_initrd, NULL},
    {"dtb", "FILE", "device tree to use instead of ours", run_dtb, NULL},
    {"bios", "FILE|none|sbi", "firmware (default sbi, built in)", run_bios, "none|sbi"},
    {"dumpdtb", "FILE", "write the device tree and end", run_dumpdtb, NULL},
    {"Devices", 0, 0, 0, 0},
    {"disk", "FILE[,format=][,bus=]...",
     "a disk: bus=pci|mmio|nvme, ro, snapshot, partition=, cache=, iops=, on-error=", run_disk, NULL},
    {"net", "MODE[,key=value...]|none", "an adapter: nat (default), bridge:IF, hostonly:NAME, internal:NAME, ...; help",
     run_net, "nat|natnet:|bridge:|hostonly:|internal:|tap|none|help"},
    {"forward", "HOSTPORT-GUESTPORT", "a port of this host to the first network's guest; also udp:PORT-PORT",
     run_forward, NULL},
    {"capture", "FILE", "the first network's frames as pcapng, into a file or a FIFO", run_capture, NULL},
    {"device", "DRIVER[,PROP=VALUE]", "any device of the table; help lists them", run_device, "help"},
    {"snapshot", NULL, "disks keep nothing of this run", run_snapshot, NULL},
    {"console", "WHERE", "mon:stdio (default: Ctrl-A h for keys), stdio, vc, pty, unix:PATH, file:PATH, null",
     run_console, "mon:stdio|stdio|vc|pty|null"},
    {"monitor", "WHERE", "a monitor of its own: stdio, vc, unix:PATH,server=on, pty", run_monitor, "stdio|vc|pty"},
    {"Window", 0, 0, 0, 0},
    {"window", NULL, "a window: the guest's screen, keyboard and pointer, its console and the monitor", run_window,
     NULL},
    {"display", "window[,PROP=VALUE]|none", "the same, with properties; help lists them", run_display,
     "window|sdl|none|help"},
    {"full-screen", NULL, "a window over the whole screen", run_full_screen, NULL},
    {"Running and looking inside", 0, 0, 0, 0},
    {"no-reboot", NULL, "end when the guest resets", run_no_reboot, NULL},
    {"no-shutdown", NULL, "stop, but stay, when the guest powers off", run_no_shutdown, NULL},
    {"paused", NULL, "start stopped", run_paused, NULL},
    {"semihosting", NULL, "semihosting calls: exit", run_semihosting, NULL},
    {"signature", "FILE", "write memory from begin_signature to end_signature at the end", run_signature, NULL},
    {"d", "ITEM,...", "log; help lists the items", run_log, "in_asm|ir|out_asm|exec|int|mmu|guest_errors|help"},
    {"D", "FILE", "log to a file", run_log_file, NULL},
    {"dfilter", "LO..HI,...", "log code of these addresses only", run_dfilter, NULL},
    {"help", NULL, "print this", run_help, NULL},
    {"h", NULL, NULL, run_help, NULL},
    {0},
};

/* What --help shows; --help all shows everything. */
static const char *const common[] = {"cpus",    "memory",  "append", "initrd",   "bios",   "disk",
                                     "net",     "forward", "device", "snapshot", "window", "console",
                                     "monitor", "engine",  "cpu",    "name",     NULL};

static bool run_help(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    puts("usage: guise run [options] [KERNEL|DISK]\n");
    options_help_some(options, "--", common, stdout);
    puts("\nguise run --help all: every option; --device help, --net help, --cpu help: their values");
    ((struct run_cli *)ctx)->done = true;
    return true;
}

static void help_all(void)
{
    puts("usage: guise run [options] [KERNEL|DISK]\n\nStart a machine: a RISC-V board with virtio devices.\n");
    options_help(options, "--", stdout);
}

const struct doc native_run_doc = {
    .usage = "[options] [KERNEL|DISK]",
    .options = options,
    .dash = "--",
    .files = true,
};

static bool run_file(void *ctx, const char *arg, struct err *e)
{
    struct run_cli *r = ctx;

    if (!loader_looks_like_kernel(arg, e)) {
        if (e->msg[0])
            return false;
        r->not_kernel = arg;
        return run_disk(r, arg, e);
    }
    if (r->c->kernel)
        return err_set(e, "a second kernel");
    r->c->kernel = config_str(r->c, arg);
    return true;
}

static const char *first_disk(const struct machine_config *c)
{
    for (unsigned i = 0; i < c->devices && c->drives && !c->initrd; i++) {
        if (c->device[i].type->kind == DEVICE_BLK)
            return " root=/dev/vda rw";
        if (c->device[i].type->kind == DEVICE_NVME)
            return " root=/dev/nvme0n1 rw";
    }
    return "";
}

/* Where the kernel writes; the last one is where its shell is: the window's screen, when there is one. */
static void default_append(struct machine_config *c)
{
    char line[80];

    snprintf(line, sizeof line, "console=ttyS0%s%s", c->display.window ? " console=tty0" : "", first_disk(c));
    c->append = config_str(c, line);
}

/* Nothing said: a NAT. --forward and --capture go to the first network. */
static bool finish_net(struct run_cli *r, struct err *e)
{
    struct machine_config *c = r->c;
    bool none;

    if (r->no_net && (c->nets || r->forwards || r->capture))
        return err_set(e, "--net none: and a network too");
    if (!c->nets && !r->no_net && !native_net(c, "nat", &none, e))
        return false;
    for (unsigned i = 0; i < r->forwards; i++)
        if (!net_set_forward(c, &c->net[0], r->forward[i], e))
            return err_prefix(e, "--forward");
    return !r->capture || net_set_capture(c, &c->net[0], r->capture, e) || err_prefix(e, "--capture");
}

static bool finish(struct run_cli *r, struct err *e)
{
    struct machine_config *c = r->c;
    int n;

    if (!c->kernel && c->firmware == FIRMWARE_SBI && !c->loaders && !c->dumpdtb)
        return err_set(e, "%s%snothing to boot: give a kernel, or firmware with --bios",
                       r->not_kernel ? r->not_kernel : "", r->not_kernel ? ": not a kernel, and " : "");
    if (!c->append && c->kernel)
        default_append(c);
    if (c->display.window && !native_window(c, e))
        return false;
    if (!r->console)
        r->console = c->display.window ? "vc" : "mon:stdio";
    if (!r->monitor && c->display.window && strncmp(r->console, "mon:", 4) != 0)
        r->monitor = "vc";
    if (!config_chardev_spec(c, r->console, "console", &c->serial[0], e))
        return err_prefix(e, "--console");
    c->serials = 1;
    if (r->monitor) {
        if (!config_chardev_spec(c, r->monitor, "monitor", &n, e))
            return err_prefix(e, "--monitor");
        if (n >= 0 && !config_add_monitor(c, n, e))
            return false;
    }
    return finish_net(r, e) && config_finish(c, e);
}

enum cli_result native_run(struct machine_config *c, int argc, char **argv, int first, struct err *e)
{
    struct run_cli r = {.c = c};

    c->ram = UINT64_C(1) << 30;
    for (int i = first; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--help") && !strcmp(argv[i + 1], "all"))
            return help_all(), CLI_DONE;
    if (!options_parse(options, &r, argc, argv, first, run_file, e))
        return CLI_ERROR;
    if (r.done)
        return CLI_DONE;
    return finish(&r, e) ? CLI_RUN : CLI_ERROR;
}
