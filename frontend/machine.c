/*
 * One machine: construction, the vCPU threads, stop, reset, end. See machine.h.
 *
 * Life: machine_new builds everything and loads memory; machine_run starts the threads and is the event loop. A guest's
 * request (power off, reset) arrives on a vCPU's thread inside a device: it only notes what is wanted, halts the vCPUs
 * and posts to the loop, which acts. A halted vCPU still serves posted work, so that another one that waits for its
 * answer (a remote fence) gets to its own halt.
 */
#include "frontend/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cpu/isa.h"
#include "cpu/riscv/isa.h"
#include "cpu/riscv/sbi.h"
#include "devices/aclint.h"
#include "frontend/board_virt.h"
#include "frontend/counters.h"
#include "frontend/machine_parts.h"
#include "translator/translator.h"

static void gate_bytes(void *arg, void *buf, size_t len) { gate_random(((struct machine *)arg)->gate, buf, len); }

/* --- requests --- */

static void handle_request(void *arg);

static void halt(struct machine *m, uint32_t why)
{
    atomic_fetch_or(&m->halt, why);
    for (unsigned i = 0; i < m->harts; i++)
        vcpu_kick(&m->hart[i].c->v, ATT_STOP);
}

static void release(struct machine *m, uint32_t why)
{
    pthread_mutex_lock(&m->lock);
    if (!(atomic_fetch_and(&m->halt, ~why) & ~why))
        for (unsigned i = 0; i < m->harts; i++)
            atomic_store(&m->hart[i].stopped, false);
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->harts; i++)
        vcpu_kick(&m->hart[i].c->v, 0);
}

static void request(struct machine *m, enum machine_event what, int code, bool quit)
{
    bool first;

    pthread_mutex_lock(&m->lock);
    first = !m->request_pending;
    if (first || quit) {
        m->request_pending = true;
        m->request = what;
        m->request_code = code;
        m->request_quit |= quit;
    }
    pthread_mutex_unlock(&m->lock);
    halt(m, HALT_REQUEST);
    if (first)
        loop_post(m->loop, handle_request, m);
}

void machine_request(struct machine *m, enum machine_event what, int code) { request(m, what, code, false); }
void machine_request_quit(struct machine *m, int code) { request(m, MACHINE_POWEROFF, code, true); }

static void sbi_reset(void *arg, enum sbi_reset_type type, uint32_t reason)
{
    int code = reason == SBI_NO_REASON ? 0 : reason == SBI_SYSTEM_FAILURE ? 1 : (int)(reason & 0xff);

    machine_request(arg, type == SBI_SHUTDOWN ? MACHINE_POWEROFF : MACHINE_RESET, code);
}

/* --- vCPU threads --- */

/*
 * The vCPU's thread while the machine is halted. `stopped` goes up here and down in release, both under the lock, so that
 * who halts again before this thread woke up waits for it anew.
 */
static void wait_halted(struct hart_thread *h)
{
    struct machine *m = h->m;
    struct vcpu *v = &h->c->v;

    for (;;) {
        uint32_t why;

        pthread_mutex_lock(&m->lock);
        why = atomic_load(&m->halt);
        if (why && !(why & HALT_END)) {
            atomic_store(&h->stopped, true);
            pthread_cond_broadcast(&m->changed);
        }
        pthread_mutex_unlock(&m->lock);
        if (!why || (why & HALT_END))
            break;
        pthread_mutex_lock(&v->lock);
        v->parked = true;
        while (!v->work && atomic_load(&h->stopped) && !(atomic_load(&m->halt) & HALT_END))
            pthread_cond_wait(&v->wake, &v->lock);
        v->parked = false;
        pthread_mutex_unlock(&v->lock);
        vcpu_run_work(v);
    }
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_STOP);
    if (atomic_load(&m->halt)) /* halted again meanwhile */
        atomic_fetch_or(&v->attention, ATT_STOP);
}

static void *hart_main(void *arg)
{
    struct hart_thread *h = arg;
    struct machine *m = h->m;
    char name[16];

    snprintf(name, sizeof name, "vcpu%u", h->c->v.index);
    pthread_setname_np(pthread_self(), name);
    for (;;) {
        if (atomic_load(&m->halt) & HALT_END)
            break;
        switch (translator_run(m->translator, &h->c->v)) {
        case RUN_STOP: wait_halted(h); break;
        case RUN_WFI: vcpu_park(&h->c->v, UINT64_C(3600) * NS_PER_SEC); break;
        case RUN_DEBUG: atomic_fetch_and(&h->c->v.attention, ~(uint32_t)ATT_DEBUG); break;
        case RUN_DIFFERS:
            machine_request_quit(m, 1);
            wait_halted(h);
            break;
        }
    }
    /* a vCPU that waits for an answer from here must get it */
    pthread_mutex_lock(&m->lock);
    atomic_store(&h->stopped, true);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    vcpu_run_work(&h->c->v);
    return NULL;
}

static void wait_all_halted(struct machine *m)
{
    if (!m->threads_started)
        return;
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->harts; i++)
        while (!m->hart[i].stopped)
            pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static bool start_threads(struct machine *m, struct err *e)
{
    for (unsigned i = 0; i < m->harts; i++) {
        int rc = pthread_create(&m->hart[i].thread, NULL, hart_main, &m->hart[i]);

        if (rc)
            return err_set(e, "cannot start a thread for CPU %u: %s", i, strerror(rc));
        m->hart[i].started = true;
    }
    m->threads_started = true;
    return true;
}

static void end_threads(struct machine *m)
{
    wait_all_halted(m); /* first: none may wait for another's answer when that one leaves */
    halt(m, HALT_END);
    for (unsigned i = 0; i < m->harts; i++)
        if (m->hart[i].started)
            pthread_join(m->hart[i].thread, NULL);
    m->threads_started = false;
    for (unsigned i = 0; i < m->harts; i++)
        m->hart[i].started = false;
}

/* --- stop, reset, end: the loop's thread --- */

void machine_stop(struct machine *m)
{
    if (atomic_load(&m->halt) & HALT_STOPPED)
        return;
    halt(m, HALT_STOPPED);
    wait_all_halted(m);
    clock_stop(m->clock);
    machine_changed(m);
}

void machine_cont(struct machine *m)
{
    if (!(atomic_load(&m->halt) & HALT_STOPPED))
        return;
    pthread_mutex_lock(&m->lock);
    m->stop_reason[0] = 0;
    m->stop_pending = false; /* asked for before: what it was about is tried again now */
    pthread_mutex_unlock(&m->lock);
    clock_start(m->clock);
    machine_resume_drives(m);
    machine_off(m, false, 0);
    release(m, HALT_STOPPED);
    machine_changed(m);
}

static void stop_by_itself(void *arg)
{
    struct machine *m = arg;
    bool wanted;

    pthread_mutex_lock(&m->lock);
    wanted = m->stop_pending;
    pthread_mutex_unlock(&m->lock);
    if (!wanted) /* `cont` came first */
        return;
    machine_stop(m);
    pthread_mutex_lock(&m->lock);
    m->stop_pending = false;
    pthread_mutex_unlock(&m->lock);
    fprintf(stderr, "%s: %s; the machine is paused: set it right, then `cont` in the monitor goes on\r\n",
            m->config->program, m->stop_reason);
}

void machine_request_stop(struct machine *m, const char *why)
{
    bool first;

    pthread_mutex_lock(&m->lock);
    first = !m->stop_pending;
    m->stop_pending = true;
    if (first)
        snprintf(m->stop_reason, sizeof m->stop_reason, "%s", why);
    pthread_mutex_unlock(&m->lock);
    if (first)
        loop_post(m->loop, stop_by_itself, m);
}

const char *machine_stop_reason(const struct machine *m) { return machine_running(m) ? "" : m->stop_reason; }

bool machine_running(const struct machine *m) { return !(atomic_load(&m->halt) & HALT_STOPPED); }

bool machine_powerdown(struct machine *m, struct err *e)
{
    (void)m;
    return err_set(e, "this board has no power button; use quit, or power off in the guest");
}

static void start_harts(struct machine *m)
{
    for (unsigned i = 0; i < m->harts; i++) {
        struct rv *c = m->hart[i].c;
        gpa pc = m->boot.cpu_pc[i] ? m->boot.cpu_pc[i] : m->boot.start;

        rv_set_start(c, pc, m->boot.supervisor ? m->boot.fdt : 0, 0);
        c->v.isa->reset(&c->v);
    }
}

static void reset(struct machine *m)
{
    machine_off(m, false, 0);
    halt(m, HALT_RESET);
    wait_all_halted(m);
    for (struct device *d = m->devices; d; d = d->next)
        device_reset(d);
    if (!boot_load(&m->boot, &m->failure)) {
        m->exit_code = 1;
        loop_stop(m->loop);
        return;
    }
    start_harts(m);
    translator_flush(m->translator);
    release(m, HALT_RESET);
}

static void handle_request(void *arg)
{
    struct machine *m = arg;
    const struct machine_config *c = m->config;
    enum machine_event what;
    bool quit;
    int code;

    wait_all_halted(m);
    pthread_mutex_lock(&m->lock);
    what = m->request;
    quit = m->request_quit;
    code = m->request_code;
    m->request_pending = m->request_quit = false;
    pthread_mutex_unlock(&m->lock);
    if (!quit && what == MACHINE_RESET && !c->no_reboot) {
        reset(m);
        release(m, HALT_REQUEST);
    } else if (!quit && c->no_shutdown) {
        machine_off(m, true, code);
        machine_stop(m);
        release(m, HALT_REQUEST);
    } else {
        m->exit_code = code;
        loop_stop(m->loop);
    }
}

/* --- construction --- */

static bool set_log(struct machine *m, struct err *e)
{
    const char *f = m->config->dfilter;

    m->log = log_new();
    if (!m->log)
        return err_set(e, "out of memory");
    if (m->config->log_items && !log_set_items(m->log, m->config->log_items, e))
        return err_prefix(e, "-d");
    while (f && *f) { /* LO..HI, LO+LEN, LO-LEN */
        char *end;
        uint64_t lo = strtoull(f, &end, 0), n;
        char op = *end;

        if (end == f || (strncmp(end, "..", 2) && op != '+' && op != '-'))
            return err_set(e, "-dfilter %s: expected LO..HI, START+LENGTH or END-LENGTH", m->config->dfilter);
        f = end + (op == '.' ? 2 : 1);
        n = strtoull(f, &end, 0);
        if (end == f || (*end && *end != ','))
            return err_set(e, "-dfilter %s: expected LO..HI, START+LENGTH or END-LENGTH", m->config->dfilter);
        log_add_filter(m->log, op == '-' ? lo - n : lo, op == '+' ? lo + n - 1 : op == '-' ? lo : n);
        f = end + (*end == ',');
    }
    return true;
}

static void set_wall(struct machine *m)
{
    const struct machine_config *c = m->config;

    if (c->rtc_set) {
        clock_set_wall(m->clock, (uint64_t)c->rtc_base * NS_PER_SEC);
    } else if (c->rtc_local) {
        time_t now = time(NULL);
        struct tm tm;

        localtime_r(&now, &tm);
        clock_set_wall(m->clock,
                       clock_now(m->clock) + clock_wall_offset(m->clock) + (uint64_t)tm.tm_gmtoff * NS_PER_SEC);
    }
}

static bool make_core(struct machine *m, struct err *e)
{
    const struct machine_config *c = m->config;

    if (!isa_config_parse(&m->isa, c->cpu, e))
        return err_prefix(e, "-cpu %s", c->cpu);
    m->isa_ready = true;
    if (!set_log(m, e))
        return false;
    m->clock = clock_new_real();
    m->loop = m->clock ? loop_new(m->clock, e) : NULL;
    m->gate = m->clock ? gate_new(m->clock) : NULL;
    m->bus = bus_new(m->log);
    m->mrom = mmap(NULL, BOOT_MROM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!m->clock || !m->loop || !m->gate || !m->bus || m->mrom == MAP_FAILED)
        return err_set(e, "out of memory");
    if (!machine_open_input(m, e))
        return false;
    set_wall(m);
    if (!bus_add_ram(m->bus, board_virt[BOARD_DRAM].name, board_virt[BOARD_DRAM].base, c->ram, e))
        return err_prefix(e, "memory");
    return bus_add_rom(m->bus, board_virt[BOARD_MROM].name, board_virt[BOARD_MROM].base, BOOT_MROM_SIZE, m->mrom, NULL,
                       NULL, e);
}

static bool make_harts(struct machine *m, struct err *e)
{
    const struct machine_config *c = m->config;
    struct sbi_host host = {
        .arg = m, .console_write = machine_console_write, .console_read = machine_console_read, .reset = sbi_reset};

    m->translator = translator_new(&c->translator, &riscv_isa, m->bus, m->log, e);
    if (!m->translator)
        return false;
    for (unsigned i = 0; i < c->cpus; i++) {
        struct rv *r = rv_new(&m->isa, m->bus, m->clock, m->log, i, e);

        if (!r)
            return false;
        m->hart[m->harts].m = m;
        m->hart[m->harts++].c = r;
        r->host =
            (struct rv_host){.arg = m, .random = gate_bytes, .semihost = c->semihosting ? machine_semihost : NULL};
        if (!translator_attach(m->translator, &r->v))
            return err_set(e, "out of memory");
    }
    machine_follow_memory(m);
    m->sbi = sbi_new(c->cpus, &host);
    return m->sbi || err_set(e, "out of memory");
}

/* Firmware decides who serves the supervisor; known once the files are in place. */
static void attach_firmware(struct machine *m)
{
    for (unsigned i = 0; i < m->harts; i++) {
        struct rv *c = m->hart[i].c;

        if (m->boot.supervisor)
            sbi_attach(m->sbi, c);
    }
}

static bool boot(struct machine *m, struct err *e)
{
    m->boot = (struct boot){.config = m->config, .isa = &m->isa, .bus = m->bus, .gate = m->gate, .mrom = m->mrom};
    if (!boot_load(&m->boot, e) || !machine_build_htif(m, e))
        return false;
    attach_firmware(m);
    for (struct device *d = m->devices; d; d = d->next)
        device_reset(d);
    start_harts(m);
    return true;
}

/* All went well: only now files of an earlier run are overwritten. */
static bool start_files(struct machine *m, struct err *e)
{
    if (m->config->log_file && !log_set_file(m->log, m->config->log_file, e))
        return err_prefix(e, "-D");
    machine_start_chardevs(m);
    return true;
}

static bool make_counters(struct machine *m, struct err *e)
{
    m->counters = counter_log_new(m);
    return m->counters || err_set(e, "out of memory");
}

struct counter_log *machine_counters(const struct machine *m) { return m->counters; }

struct machine *machine_new(const struct machine_config *c, struct tty *tty, struct err *e)
{
    struct machine *m = calloc(1, sizeof *m);

    if (!m) {
        err_set(e, "out of memory");
        return NULL;
    }
    m->config = c;
    m->tty = tty;
    m->mrom = MAP_FAILED;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->memory_lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    if (make_core(m, e) && make_harts(m, e) && machine_open_drives(m, e) && machine_open_chardevs(m, e) &&
        machine_open_nets(m, e) && machine_build_board(m, e) && machine_build_virtio(m, e) && boot(m, e) &&
        machine_plug_nets(m, e) && machine_attach_monitors(m, e) && make_counters(m, e) && start_files(m, e))
        return m;
    machine_free(m);
    return NULL;
}

bool machine_dump_fdt(const struct machine_config *c, struct err *e)
{
    struct machine *m = calloc(1, sizeof *m);
    bool ok;

    if (!m)
        return err_set(e, "out of memory");
    ok = isa_config_parse(&m->isa, c->cpu, e) && (m->clock = clock_new_real()) && (m->gate = gate_new(m->clock));
    m->boot = (struct boot){.config = c, .isa = &m->isa, .gate = m->gate};
    ok = ok && boot_dump_fdt(&m->boot, c->dumpdtb, e);
    isa_config_fini(&m->isa);
    gate_free(m->gate);
    if (m->clock)
        clock_free(m->clock);
    free(m);
    return ok;
}

void machine_terminal_resized(struct machine *m)
{
    for (unsigned i = 0; i < m->config->chardevs; i++) {
        struct chardev *c = m->mux[i] ? mux_host(m->mux[i]) : m->chardev[i];

        if (c && c->event && m->config->chardev[i].kind == CHARDEV_STDIO)
            c->event(c->dev, CHARDEV_RESIZE);
    }
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    machine_snap_end(m);
    counter_log_free(m->counters);
    machine_unplug_nets(m);
    while (m->devices) {
        struct device *d = m->devices;

        m->devices = d->next;
        device_free(d);
    }
    machine_close_nets(m);
    machine_close_io(m);
    if (m->translator)
        translator_free(m->translator);
    for (unsigned i = 0; i < m->harts; i++)
        rv_free(m->hart[i].c);
    if (m->sbi)
        sbi_free(m->sbi);
    if (m->bus)
        bus_free(m->bus);
    if (m->mrom != MAP_FAILED)
        munmap(m->mrom, BOOT_MROM_SIZE);
    machine_close_input(m);
    gate_free(m->gate);
    loop_free(m->loop);
    if (m->clock)
        clock_free(m->clock);
    if (m->log)
        log_free(m->log);
    if (m->isa_ready)
        isa_config_fini(&m->isa);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->memory_lock);
    free(m);
}

int machine_run(struct machine *m)
{
    struct err e;

    if (m->config->paused) {
        atomic_fetch_or(&m->halt, HALT_STOPPED);
        clock_stop(m->clock);
        halt(m, HALT_STOPPED);
    }
    if (!start_threads(m, &e)) {
        m->failure = e;
        m->exit_code = 1;
        for (unsigned i = 0; i < m->harts; i++) /* nobody to wait for */
            atomic_store(&m->hart[i].stopped, !m->hart[i].started);
    } else {
        loop_run(m->loop);
    }
    halt(m, HALT_REQUEST);
    end_threads(m);
    machine_flush_chardevs(m);
    if (!m->failure.msg[0] && m->config->signature && !boot_dump_signature(&m->boot, m->config->signature, &m->failure))
        m->exit_code = 1;
    if (m->failure.msg[0])
        fprintf(stderr, "%s: %s\n", m->config->program, m->failure.msg);
    return m->exit_code;
}

struct on_vcpu {
    struct vcpu_work work;
    void (*fn)(struct vcpu *v, void *arg);
    void *arg;
};

static void run_on_vcpu(struct vcpu *v, void *arg)
{
    struct on_vcpu *o = arg;

    o->fn(v, o->arg);
}

void machine_on_vcpu(struct machine *m, unsigned index, void (*fn)(struct vcpu *v, void *arg), void *arg)
{
    struct on_vcpu o = {.fn = fn, .arg = arg};

    o.work.fn = run_on_vcpu;
    o.work.arg = &o;
    if (m->threads_started)
        vcpu_post_wait(&m->hart[index].c->v, NULL, &o.work);
    else
        fn(&m->hart[index].c->v, arg);
}

const struct machine_config *machine_config_of(const struct machine *m) { return m->config; }
struct bus *machine_bus(const struct machine *m) { return m->bus; }
struct clock *machine_clock(const struct machine *m) { return m->clock; }
struct log *machine_log(const struct machine *m) { return m->log; }
struct loop *machine_loop(const struct machine *m) { return m->loop; }
struct translator *machine_translator(const struct machine *m) { return m->translator; }
unsigned machine_vcpus(const struct machine *m) { return m->harts; }
struct rv *machine_hart(const struct machine *m, unsigned index) { return m->hart[index].c; }
struct device *machine_devices(const struct machine *m) { return m->devices; }
