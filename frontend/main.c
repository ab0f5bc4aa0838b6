/*
 * guise: which command line it is, and the process around one machine: signals, the terminal, the pid file.
 *
 * Called as qemu-system-riscv64 it is that program; as guise it has sub-commands. The only file with state of its own,
 * because a signal handler has no other place to find the terminal.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/loop.h"
#include "frontend/docs/docs.h"
#include "frontend/img/img.h"
#include "frontend/img/io.h"
#include "frontend/machine.h"
#include "frontend/native_run.h"
#include "frontend/net_cli.h"
#include "frontend/personality_qemu.h"
#include "frontend/snap_cli.h"
#include "frontend/tty.h"
#include "frontend/version.h"
#include "frontend/window.h"

static struct tty terminal;

/* --- signals --- */

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};
static const int polite[] = {SIGTERM, SIGINT, SIGHUP};

/* A crash of ours: the terminal first, then what would have happened. */
static void crashed(int sig)
{
    tty_restore(&terminal);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void continued(int sig)
{
    (void)sig;
    tty_again(&terminal);
}

static void catch_crashes(void)
{
    struct sigaction crash = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND};
    struct sigaction cont = {.sa_handler = continued, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
        sigaction(deadly[i], &crash, NULL);
    sigaction(SIGCONT, &cont, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void restore_at_exit(void) { tty_leave(&terminal); }

struct signals {
    struct machine *machine;
    int fd;
};

/* Asked to end: as `quit`. The exit code is 0, as QEMU's. */
static void signalled(void *arg, int fd, unsigned events)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;

    (void)events;
    if (read(fd, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH) {
        machine_terminal_resized(s->machine);
        return;
    }
    fprintf(stderr, "%s: terminating on signal %u from pid %u\n", machine_config_of(s->machine)->program,
            info.ssi_signo, info.ssi_pid);
    machine_request_quit(s->machine, 0);
}

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(polite); i++)
        sigaddset(set, polite[i]);
    sigaddset(set, SIGWINCH);
}

/* --- a run --- */

static bool write_pid(const char *path, struct err *e)
{
    FILE *f = fopen(path, "w");

    if (!f || fprintf(f, "%ld\n", (long)getpid()) < 0 || fclose(f))
        return err_set(e, "-pidfile %s: %s", path, strerror(errno));
    return true;
}

static bool run_machine(const struct machine_config *c, int *code, struct err *e)
{
    struct signals s = {.fd = -1};
    sigset_t set;
    bool ok;

    if (c->dumpdtb) {
        *code = 0;
        return machine_dump_fdt(c, e);
    }
    s.machine = machine_new(c, &terminal, e);
    if (!s.machine)
        return false;
    ok = !c->pidfile || write_pid(c->pidfile, e);
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before the machine's threads: they inherit it */
    s.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (ok && s.fd < 0)
        ok = err_set(e, "signalfd: %s", strerror(errno));
    ok = ok && loop_add(machine_loop(s.machine), s.fd, LOOP_IN, signalled, &s, e);
    if (ok && c->display.window)
        ok = window_run(s.machine, code, e);
    else if (ok)
        *code = machine_run(s.machine);
    if (s.fd >= 0)
        close(s.fd);
    machine_free(s.machine);
    if (ok && c->pidfile)
        unlink(c->pidfile);
    return ok;
}

/* --- command lines --- */

static int finish(struct machine_config *c, enum cli_result r, struct err *e)
{
    int code = 1;

    if (r == CLI_DONE)
        code = 0;
    if (r == CLI_RUN && !run_machine(c, &code, e))
        r = CLI_ERROR;
    tty_leave(&terminal);
    if (r == CLI_ERROR) {
        fprintf(stderr, "%s: %s\n", c->program, e->msg);
        code = 1;
    }
    config_free(c);
    return code;
}

static int cmd_run(struct machine_config *c, int argc, char **argv, struct err *e)
{
    return finish(c, native_run(c, argc, argv, 2, e), e);
}

static int cmd_qemu(struct machine_config *c, int argc, char **argv, struct err *e)
{
    c->program = "qemu-system-riscv64";
    return finish(c, personality_qemu(c, argc - 1, argv + 1, e), e);
}

static int cmd_snap(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    return snap_main(argc - 1, argv + 1);
}

static int cmd_net(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    return net_main(argc - 1, argv + 1);
}

static int cmd_img(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    return img_main("guise img", argc, argv, 2);
}

static int cmd_io(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    return io_main("guise io", argc, argv, 2);
}

static int cmd_version(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)argc;
    (void)argv;
    (void)e;
    puts("guise " GUISE_VERSION);
    return 0;
}

static bool described(unsigned n, struct doc_command *out);

static bool shell(unsigned n, struct doc_sub *s)
{
    static const struct doc_sub shells[] = {{.name = "bash", .args = "", .help = "eval \"$(guise completion bash)\""},
                                            {.name = "zsh", .args = "", .help = "source <(guise completion zsh)"}};

    *s = shells[n % 2];
    return n < ARRAY_LEN(shells);
}

static bool all_word(unsigned n, struct doc_sub *s)
{
    *s = (struct doc_sub){.name = "all", .args = "", .help = "every command with every option"};
    return n < 1;
}

static const struct doc completion_doc = {.usage = "[bash|zsh]", .dash = "--", .sub = shell};
static const struct doc help_doc = {.usage = "[all]", .dash = "--", .sub = all_word};

/* guise complete WORD...: for the shell functions that `guise completion` prints. */
static int cmd_complete(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    if (argc > 2)
        docs_complete(described, (unsigned)argc - 2, argv + 2, stdout);
    return 0;
}

static int cmd_completion(struct machine_config *c, int argc, char **argv, struct err *e)
{
    const char *script = docs_shell(argc > 2 ? argv[2] : "bash");

    (void)c;
    (void)e;
    if (script)
        fputs(script, stdout);
    else
        fprintf(stderr, "guise completion: '%s': there are bash and zsh\n", argv[2]);
    return script ? 0 : 1;
}

static int cmd_manual(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)argc;
    (void)argv;
    (void)e;
    docs_manual(described, stdout);
    return 0;
}

static int cmd_help(struct machine_config *c, int argc, char **argv, struct err *e)
{
    (void)c;
    (void)e;
    if (argc > 2 && !strcmp(argv[2], "all"))
        docs_help_all(described, stdout);
    else
        docs_help(described, stdout);
    return 0;
}

static const struct {
    const char *name, *help;
    int (*run)(struct machine_config *c, int argc, char **argv, struct err *e);
    const struct doc *doc;
} commands[] = {
    {"run", "start a machine", cmd_run, &native_run_doc},
    {"snap", "snapshots of a machine's disks", cmd_snap, &snap_doc},
    {"net", "networks of this host and of this user", cmd_net, &net_doc},
    {"img", "make, inspect, convert and check disk images, as qemu-img", cmd_img, &img_doc},
    {"io", "read and write disk images, as qemu-io", cmd_io, &io_doc},
    {"qemu", "start a machine, as qemu-system-riscv64", cmd_qemu, &personality_qemu_doc},
    {"completion", "print completion for a shell", cmd_completion, &completion_doc},
    {"manual", "print the manual page, guise(1)", cmd_manual, NULL},
    {"complete", NULL, cmd_complete, NULL},
    {"version", "print the version", cmd_version, NULL},
    {"help", "print this", cmd_help, &help_doc},
};

static bool described(unsigned n, struct doc_command *out)
{
    if (n >= ARRAY_LEN(commands))
        return false;
    *out = (struct doc_command){.name = commands[n].name, .help = commands[n].help, .doc = commands[n].doc};
    return true;
}

static int native(struct machine_config *c, int argc, char **argv, struct err *e)
{
    const char *names[ARRAY_LEN(commands) + 1], *word = argc > 1 ? argv[1] : "help", *near;

    word += strspn(word, "-"); /* --help, --version */
    if (argc > 1 && !strcmp(argv[1], "-h"))
        word = "help";
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!strcmp(word, commands[i].name))
            return commands[i].run(c, argc, argv, e);
        names[i] = commands[i].name;
    }
    names[ARRAY_LEN(commands)] = NULL;
    near = nearest_word(word, names);
    fprintf(stderr, "guise: no command '%s'%s%s\n", argv[1], near ? "; the nearest one is " : ", see guise help",
            near ? near : "");
    return 1;
}

int main(int argc, char **argv)
{
    struct machine_config *c = calloc(1, sizeof *c);
    const char *program = argc > 0 ? strrchr(argv[0], '/') : NULL;
    struct err e = {{0}};
    int code;

    program = program ? program + 1 : argc > 0 ? argv[0] : "guise";
    if (!c) {
        fputs("guise: out of memory\n", stderr);
        return 1;
    }
    config_init(c);
    catch_crashes();
    atexit(restore_at_exit);
    if (!strncmp(program, "qemu-system-", 12)) {
        c->program = program;
        code = finish(c, personality_qemu(c, argc, argv, &e), &e);
    } else if (!strcmp(program, "qemu-img")) {
        code = img_main(program, argc, argv, 1);
    } else if (!strcmp(program, "qemu-io")) {
        code = io_main(program, argc, argv, 1);
    } else {
        code = native(c, argc, argv, &e);
    }
    free(c);
    return code;
}
