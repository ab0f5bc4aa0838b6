/*
 * HTIF: see htif.h.
 *
 * A value is acted on when two looks in a row find the same one: a guest may store it as two halves. Looks come fast while
 * the guest talks and slow when it does not.
 */
#include "devices/htif.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "devices/chardev.h"

enum { DEV_SYSCALL = 0, DEV_CONSOLE = 1, CMD_GETC = 0, CMD_PUTC = 1 };
enum { SYS_WRITE = 64, SYS_EXIT = 93 };
enum { LOOK_FAST = 20000, LOOK_SLOW = 1000000, FAST_LOOKS = 500 }; /* ns, ns, looks after the last command */
enum { WRITE_LIMIT = 65536, INPUT = 64 };

struct htif {
    struct device dev;
    struct htif_config c;
    struct timer timer;
    uint64_t seen; /* value of tohost at the last look */
    uint32_t fast; /* fast looks left */
    bool done;     /* the exit was told */
    bool wants_char;
    uint8_t input[INPUT];
    uint32_t input_head, input_count;
};

static uint64_t *word(struct htif *h, gpa at) { return at % 8 ? NULL : bus_ram(h->dev.bus, at, 8); }

static void word_write(struct htif *h, gpa at, uint64_t v)
{
    uint64_t *p = word(h, at);

    if (!p)
        return;
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
    dma_written(h->dev.bus, at, 8);
}

static void respond(struct htif *h, uint64_t v)
{
    if (h->c.fromhost)
        word_write(h, h->c.fromhost, v);
}

static void console_write(struct htif *h, const uint8_t *p, size_t len)
{
    if (h->c.console)
        h->c.console->write(h->c.console, p, len);
}

/* write(fd, buffer, len): to both standard outputs; the answer goes to word 0 of the block. */
static uint64_t sys_write(struct htif *h, gpa from, uint64_t len)
{
    uint8_t buf[256];

    if (len > WRITE_LIMIT)
        len = WRITE_LIMIT;
    for (uint64_t at = 0; at < len;) {
        uint64_t n = len - at < sizeof buf ? len - at : sizeof buf;

        if (!dma_read(h->dev.bus, from + at, buf, n))
            return (uint64_t)-14; /* -EFAULT of the guest's ABI */
        console_write(h, buf, n);
        at += n;
    }
    return len;
}

static void exit_with(struct htif *h, uint64_t code)
{
    h->done = true;
    h->c.exit(h->c.arg, code);
}

static void syscall_block(struct htif *h, gpa at)
{
    uint8_t block[64], result[8];
    uint64_t r = (uint64_t)-38; /* -ENOSYS */

    if (!dma_read(h->dev.bus, at, block, sizeof block)) {
        log_guest(&h->dev, "system call block at 0x%" PRIx64 " is not in RAM", at);
        return;
    }
    if (ld64(block) == SYS_EXIT) {
        exit_with(h, ld64(block + 8));
        return;
    }
    if (ld64(block) == SYS_WRITE && (ld64(block + 8) == 1 || ld64(block + 8) == 2))
        r = sys_write(h, ld64(block + 16), ld64(block + 24));
    else
        log_guest(&h->dev, "system call %" PRIu64 " is not served", ld64(block));
    st64(result, r);
    dma_write(h->dev.bus, at, result, sizeof result);
    respond(h, 1);
}

static void give_char(struct htif *h)
{
    const uint64_t *p = h->c.fromhost ? word(h, h->c.fromhost) : NULL;

    if (!h->wants_char || !h->input_count || !p || __atomic_load_n(p, __ATOMIC_ACQUIRE))
        return;
    respond(h, (uint64_t)DEV_CONSOLE << 56 | (uint64_t)CMD_GETC << 48 | h->input[h->input_head % INPUT]);
    h->input_head = (h->input_head + 1) % INPUT;
    h->input_count--;
    h->wants_char = false;
    if (h->c.console)
        h->c.console->drained(h->c.console);
}

static void command(struct htif *h, uint64_t v)
{
    unsigned device = (unsigned)(v >> 56), cmd = (unsigned)(v >> 48) & 0xff;
    uint64_t payload = extract64(v, 0, 48);

    if (device == DEV_SYSCALL && cmd == 0 && (payload & 1)) {
        exit_with(h, payload >> 1);
    } else if (device == DEV_SYSCALL && cmd == 0) {
        syscall_block(h, payload);
    } else if (device == DEV_CONSOLE && cmd == CMD_PUTC) {
        console_write(h, &(uint8_t){(uint8_t)payload}, 1); /* no answer, as Spike */
    } else if (device == DEV_CONSOLE && cmd == CMD_GETC) {
        h->wants_char = true;
    } else {
        log_guest(&h->dev, "device %u has no command %u", device, cmd);
    }
}

static void look(struct htif *h)
{
    const uint64_t *p = word(h, h->c.tohost);
    uint64_t v = p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;

    if (v && v == h->seen) {
        word_write(h, h->c.tohost, 0);
        h->seen = 0;
        h->fast = FAST_LOOKS;
        command(h, v);
    } else {
        if (v != h->seen)
            h->fast = FAST_LOOKS;
        else if (h->fast)
            h->fast--;
        h->seen = v;
    }
    give_char(h);
}

static void htif_update(struct device *d)
{
    struct htif *h = (struct htif *)d;

    h->input_count = h->input_count < INPUT ? h->input_count : INPUT;
    if (h->done)
        timer_cancel(&h->timer);
    else
        timer_arm(&h->timer, clock_now(d->clock) + (h->fast ? LOOK_FAST : LOOK_SLOW));
}

static void htif_expired(void *arg)
{
    struct htif *h = arg;

    device_lock(h);
    if (!h->done)
        look(h);
    htif_update(&h->dev);
    device_unlock(h);
}

static size_t chr_room(void *dev)
{
    struct htif *h = dev;
    size_t n;

    device_lock(h);
    n = INPUT - h->input_count;
    device_unlock(h);
    return n;
}

static void chr_receive(void *dev, const uint8_t *buf, size_t len)
{
    struct htif *h = dev;

    device_lock(h);
    for (size_t i = 0; i < len && h->input_count < INPUT; i++)
        h->input[(h->input_head % INPUT + h->input_count++) % INPUT] = buf[i];
    give_char(h);
    device_unlock(h);
}

static void chr_writable(void *dev) { (void)dev; } /* what the host end had no room for is lost */

static void chr_event(void *dev, enum chardev_event e) { (void)dev, (void)e; }

static void htif_free(struct device *d)
{
    struct htif *h = (struct htif *)d;

    clock_drop_timer(&h->timer);
    device_fini(d);
    free(h);
}

static const struct field htif_state[] = {
    FIELD(struct htif, seen),
    FIELD(struct htif, fast),
    FIELD(struct htif, done),
    FIELD(struct htif, wants_char),
    FIELD_ARRAY(struct htif, input, INPUT),
    FIELD(struct htif, input_head),
    FIELD(struct htif, input_count),
    {0},
};

static const struct device_ops htif_ops = {
    .name = "htif",
    .state = htif_state,
    .update = htif_update,
    .free = htif_free,
};

struct device *htif_new(const struct device_env *env, const char *name, const struct htif_config *c)
{
    struct htif *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    device_init(&h->dev, &htif_ops, name, env);
    timer_init(&h->timer, env->clock, htif_expired, h);
    h->c = *c;
    if (c->console) {
        c->console->dev = h;
        c->console->room = chr_room;
        c->console->receive = chr_receive;
        c->console->writable = chr_writable;
        c->console->event = chr_event;
    }
    device_reset(&h->dev);
    return &h->dev;
}
