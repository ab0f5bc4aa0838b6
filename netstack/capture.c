/*
 * Captures on a cable: the record goes into a buffer, the buffer to the file when it is half full, 100 ms after its first
 * record, and at the end.
 *
 * A FIFO is written without waiting: what does not fit the buffer while the reader is slow is left out and counted. Without
 * a reader nothing is kept; when one comes it gets a file's head first.
 * The 100 ms are the loop's, not the machine's: a capture is complete while the machine is stopped. SIGPIPE is ignored in
 * the whole program.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable_int.h"
#include "netstack/pcapng.h"

enum {
    BUFFER = 1 << 20,
    FLUSH_NS = 100 * 1000 * 1000,
    FILTER_SNAPLEN = 262144,
};

struct capture {
    struct capture *next;
    struct net_cable *cable;
    char *path;
    int fd, timer; /* -1: none */
    bool fifo, classic, filtered, armed;
    int only_from, error; /* error: errno of the write that ended it */
    uint32_t snaplen;
    struct bpf_program filter;
    size_t used, done; /* bytes of buf that hold records; of them, that are written */
    size_t last;       /* bytes of the last record, when it may still be taken back */
    unsigned last_end; /* its sender */
    uint64_t frames, bytes, left_out;
    uint8_t linear[NET_FRAME_MAX]; /* for the filter */
    uint8_t buf[BUFFER];
};

/* --- the file ---------------------------------------------------------------------------------------------------- */

static void arm(struct capture *c)
{
    struct itimerspec t = {.it_value.tv_nsec = FLUSH_NS};

    if (c->timer >= 0 && !c->armed)
        timerfd_settime(c->timer, 0, &t, NULL);
    c->armed = true;
}

static void file_close(struct capture *c)
{
    if (c->fd < 0)
        return;
    if (c->fifo && c->cable->env.loop)
        loop_remove(c->cable->env.loop, c->fd);
    close(c->fd);
    c->fd = -1;
    c->used = c->done = c->last = 0;
}

/* Write what there is, as far as the file takes it. */
static void flush(struct capture *c)
{
    while (c->fd >= 0 && c->done < c->used) {
        ssize_t n = write(c->fd, c->buf + c->done, c->used - c->done);

        if (n > 0) {
            c->done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else if (n >= 0 || errno != EINTR) {
            c->error = c->fifo ? 0 : errno;
            if (c->error && c->cable->env.log)
                log_write(c->cable->env.log, "capture %s: %s", c->path, strerror(errno));
            file_close(c);
        }
    }
    c->last = 0;
    if (c->done == c->used)
        c->used = c->done = 0;
    if (c->fifo && c->fd >= 0 && c->cable->env.loop)
        loop_change(c->cable->env.loop, c->fd, c->used ? LOOP_OUT : LOOP_HUP);
}

static void fifo_event(void *arg, int fd, unsigned events)
{
    struct capture *c = arg;

    (void)fd;
    if (events & LOOP_HUP) { /* the reader has gone; the next one begins anew */
        file_close(c);
        arm(c);
    } else {
        flush(c);
    }
}

static void begin(struct capture *c)
{
    struct writer w = {.buf = c->buf, .cap = sizeof c->buf};
    const char *names[2];

    for (unsigned i = 0; i < 2; i++)
        names[i] = c->cable->dir[i].from->name ? c->cable->dir[i].from->name : "port";
    if (c->classic)
        pcap_begin(&w, c->snaplen);
    else
        pcapng_begin(&w, names, c->snaplen);
    c->used = w.len;
    c->done = 0;
}

/* Try to open a FIFO: that succeeds once a reader has it. */
static void fifo_open(struct capture *c)
{
    struct err e;

    c->fd = open(c->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (c->fd < 0)
        return;
    if (c->cable->env.loop && !loop_add(c->cable->env.loop, c->fd, LOOP_HUP, fifo_event, c, &e)) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    begin(c);
    flush(c);
}

static void tick(void *arg, int fd, unsigned events)
{
    struct capture *c = arg;
    uint64_t expirations;

    (void)events;
    if (read(fd, &expirations, sizeof expirations) < 0)
        return;
    c->armed = false;
    if (c->fifo && c->fd < 0)
        fifo_open(c);
    flush(c);
    if (c->fifo && c->fd < 0)
        arm(c);
}

/* --- records ----------------------------------------------------------------------------------------------------- */

/* n bytes at the end of the buffer. */
static bool make_room(struct capture *c, size_t n)
{
    if (c->used > BUFFER / 2)
        flush(c);
    if (n > BUFFER - c->used && c->done) {
        memmove(c->buf, c->buf + c->done, c->used - c->done);
        c->used -= c->done;
        c->done = 0;
    }
    return c->fd >= 0 && n <= BUFFER - c->used;
}

static bool matches(struct capture *c, const struct net_frame *f)
{
    struct packet p = packet_of(f);
    unsigned len = (unsigned)f->len;
    const void *data = c->filtered ? packet_at(&p, 0, len, c->linear) : NULL;

    return !c->filtered || (data && bpf_filter(c->filter.bf_insns, data, len, len));
}

static uint32_t record_flags(unsigned end, const struct net_frame *f)
{
    return (end ? RECORD_IN : RECORD_OUT) | (f->flags & NET_CSUM_PARTIAL ? RECORD_CSUM_NOT_READY : 0u) |
           (f->flags & NET_CSUM_VALID ? RECORD_CSUM_VALID : 0u) | (f->gso ? RECORD_TSO : 0u);
}

static void record(struct capture *c, const struct cable_dir *d, const struct net_frame *f, const char *comment)
{
    const struct clock *clock = c->cable->env.clock;
    struct pcap_record r = {.interface = d->end,
                            .time = clock_now(clock) + clock_wall_offset(clock),
                            .len = f->len,
                            .kept = c->snaplen && c->snaplen < f->len ? c->snaplen : f->len,
                            .flags = record_flags(d->end, f),
                            .comment = comment};
    struct packet p = packet_of(f);
    struct writer w;

    c->last = 0;
    if (!make_room(c, r.kept + PCAPNG_RECORD_MAX)) {
        c->left_out++;
        return;
    }
    w = (struct writer){.buf = c->buf, .len = c->used, .cap = BUFFER};
    packet_copy(&p, 0, (c->classic ? pcap_record : pcapng_record)(&w, &r), r.kept);
    c->last = w.len - c->used;
    c->last_end = d->end;
    c->used = w.len;
    c->frames++;
    c->bytes += f->len;
    arm(c);
}

void capture_frame(const struct cable_dir *d, const struct net_frame *f, const char *comment)
{
    for (struct capture *c = d->cable->captures; c; c = c->next)
        if ((c->only_from < 0 || c->only_from == (int)d->end) && matches(c, f))
            record(c, d, f, comment);
}

void capture_undo(const struct cable_dir *d, const struct net_frame *f)
{
    for (struct capture *c = d->cable->captures; c; c = c->next) {
        if (!c->last || c->last_end != d->end)
            continue;
        c->used -= c->last;
        c->last = 0;
        c->frames--;
        c->bytes -= f->len;
    }
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static void capture_free(struct capture *c)
{
    struct loop *loop = c->cable->env.loop;

    flush(c);
    file_close(c);
    if (c->timer >= 0) {
        loop_remove(loop, c->timer);
        close(c->timer);
    }
    if (c->filtered)
        pcap_freecode(&c->filter);
    free(c->path);
    free(c);
}

static bool compile(struct capture *c, const char *filter, struct err *e)
{
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, FILTER_SNAPLEN);

    if (!pcap)
        return err_set(e, "out of memory");
    c->filtered = pcap_compile(pcap, &c->filter, filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!c->filtered)
        err_set(e, "filter '%s': %s", filter, pcap_geterr(pcap));
    pcap_close(pcap);
    return c->filtered;
}

static bool file_open(struct capture *c, struct err *e)
{
    struct stat st;

    c->fifo = stat(c->path, &st) == 0 && S_ISFIFO(st.st_mode);
    if (c->fifo) {
        fifo_open(c);
        arm(c);
        return true;
    }
    c->fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0600);
    if (c->fd < 0)
        return err_set(e, "%s", strerror(errno));
    begin(c);
    arm(c);
    return true;
}

static bool timer_begin(struct capture *c, struct err *e)
{
    struct loop *loop = c->cable->env.loop;
    int fd;

    if (!loop)
        return true;
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return err_set(e, "%s", strerror(errno));
    if (!loop_add(loop, fd, LOOP_IN, tick, c, e)) {
        close(fd);
        return false;
    }
    c->timer = fd;
    return true;
}

bool net_cable_capture(struct net_cable *cable, const struct net_capture_options *o, struct err *e)
{
    struct capture *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(e, "out of memory");
    c->cable = cable;
    c->fd = c->timer = -1;
    c->classic = o->classic;
    c->only_from = o->only_from;
    c->snaplen = o->snaplen;
    c->path = strdup(o->path);
    if (!c->path || (o->filter && !compile(c, o->filter, e)) || !timer_begin(c, e) || !file_open(c, e)) {
        if (!c->path)
            err_set(e, "out of memory");
        capture_free(c);
        return err_prefix(e, "capture %s", o->path);
    }
    c->next = cable->captures;
    cable->captures = c;
    return true;
}

unsigned net_cable_capture_stop(struct net_cable *cable, const char *path)
{
    struct capture **p = &cable->captures;
    unsigned ended = 0;

    while (*p) {
        struct capture *c = *p;

        if (path && strcmp(path, c->path)) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        capture_free(c);
        ended++;
    }
    return ended;
}

void capture_info(const struct net_cable *cable, FILE *out)
{
    for (const struct capture *c = cable->captures; c; c = c->next) {
        fprintf(out, "  capture %s: %llu frames, %llu bytes", c->path, (unsigned long long)c->frames,
                (unsigned long long)c->bytes);
        if (c->left_out)
            fprintf(out, ", %llu left out", (unsigned long long)c->left_out);
        if (c->error)
            fprintf(out, ", ended: %s", strerror(c->error));
        else if (c->fd < 0)
            fprintf(out, ", no reader");
        fprintf(out, "\n");
    }
}
