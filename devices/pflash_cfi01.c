/*
 * Intel NOR flash: see pflash_cfi01.h.
 *
 * Both chips get the same commands, so one state machine serves them; what it answers is repeated in both halves.
 * Programming clears bits and a block erase sets them. What changed is marked page by page and written to the backing
 * disk behind the guest's back, one request at a time.
 */
#include "devices/pflash_cfi01.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "images/block.h"

enum {
    CHIPS = 2,
    BUFFER = 2048 * CHIPS, /* of "write to buffer", both chips */
    PAGES = PFLASH_SIZE / PAGE_SIZE,
    CHUNK = PFLASH_SECTOR, /* written to the backing disk at once, at most */
};

enum { /* commands */
       CMD_PROGRAM_ALT = 0x10,
       CMD_ERASE = 0x20,
       CMD_PROGRAM = 0x40,
       CMD_CLEAR_STATUS = 0x50,
       CMD_LOCK = 0x60,
       CMD_STATUS = 0x70,
       CMD_ID = 0x90,
       CMD_CFI = 0x98,
       CMD_CONFIRM = 0xd0,
       CMD_BUFFER = 0xe8,
       CMD_ARRAY = 0xff,
};

enum { STATUS_READY = 0x80, STATUS_ERASE_ERROR = 0x20, STATUS_PROGRAM_ERROR = 0x10, STATUS_SEQUENCE_ERROR = 0x30 };

enum mode { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_CFI };
enum step { STEP_COMMAND, STEP_PROGRAM, STEP_ERASE, STEP_LOCK, STEP_COUNT, STEP_FILL, STEP_CONFIRM };

struct pflash {
    struct device dev;
    uint8_t *data;
    bool read_only;
    uint8_t status;
    uint8_t mode, step; /* enum mode, enum step */
    uint32_t left;      /* words still to come in STEP_FILL */
    uint32_t base;      /* of the buffer in the flash */
    bool based;         /* the first word has come */
    uint8_t buffer[BUFFER];
    /* backing disk */
    struct block *backing;
    struct block_req req;
    struct iovec iov;
    uint8_t *bounce; /* CHUNK bytes */
    uint8_t dirty[PAGES / 8];
    uint32_t dirty_pages;
    bool in_flight, failed;
    pthread_cond_t idle;
};

/* CFI query table, offsets in words of one chip (JESD68; Intel's primary extension at 0x31). */
static const uint8_t cfi_table[] = {
    [0x10] = 'Q',
    'R',
    'Y',
    0x01,
    0x00, /* Intel's command set */
    0x31,
    0x00, /* where the extension is */
    [0x1b] = 0x45,
    0x55,
    0x00,
    0x00, /* 4.5 to 5.5 V, no Vpp */
    0x07,
    0x07,
    0x0a,
    0x00, /* typical times: word and buffer 2^7 us, block 2^10 ms */
    0x04,
    0x04,
    0x04,
    0x00,        /* maximum: 2^4 times that */
    [0x27] = 24, /* 2^24 bytes a chip */
    0x02,
    0x00, /* x8 and x16 */
    0x0b,
    0x00, /* buffer of 2^11 bytes */
    0x01, /* one region of equal blocks: */
    PFLASH_SIZE / PFLASH_SECTOR - 1,
    0x00, /* their number less one */
    (PFLASH_SECTOR / CHIPS >> 8) & 0xff,
    PFLASH_SECTOR / CHIPS >> 16, /* size in 256 bytes */
    [0x31] = 'P',
    'R',
    'I',
    '1',
    '0',
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    0x00,
    [0x3f] = 0x01,
    0x00, /* one protection register field */
    [0x51] = 0x00,
};

/* The same 16-bit answer from each chip, seen through an access of size bytes at off. */
static uint64_t both(uint16_t v, gpa off, unsigned size)
{
    uint32_t word = v | (uint32_t)v << 16;

    return size == 8 ? word | (uint64_t)word << 32 : word >> 8 * (off & 3);
}

static uint64_t array_read(const struct pflash *f, gpa off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, f->data + off, size);
    return v;
}

static uint64_t pflash_read(void *dev, gpa off, unsigned size)
{
    struct pflash *f = dev;
    uint64_t word = off / 4;

    switch (f->mode) {
    case MODE_ARRAY: return array_read(f, off, size);
    case MODE_ID: /* manufacturer Intel, a 128 Mbit chip, lock bits clear */
        return both((word & 0xff) == 0 ? 0x89 : (word & 0xff) == 1 ? 0x18 : 0, off, size);
    case MODE_CFI: return both(word < sizeof cfi_table ? cfi_table[word] : 0, off, size);
    default: return both(f->status, off, size);
    }
}

/* The backing disk. */

static void write_out(struct pflash *f);

static void written(struct block_req *r, int result)
{
    struct pflash *f = r->arg;

    device_lock(f);
    f->in_flight = false;
    if (result < 0) {
        f->failed = true;
        log_write(f->dev.log, "%s: cannot write to its disk at 0x%" PRIx64 ": %s\n", f->dev.name, r->offset,
                  strerror(-result));
    }
    write_out(f);
    if (!f->in_flight)
        pthread_cond_broadcast(&f->idle);
    device_unlock(f);
}

static bool is_dirty(const struct pflash *f, unsigned page) { return f->dirty[page / 8] >> page % 8 & 1; }

static unsigned first_dirty(const struct pflash *f)
{
    unsigned i = 0;

    while (!f->dirty[i])
        i++;
    return 8 * i + (unsigned)__builtin_ctz(f->dirty[i]);
}

/* Send the next run of dirty pages, unless a request is under way. */
static void write_out(struct pflash *f)
{
    unsigned page, n = 0;

    if (f->in_flight || !f->dirty_pages)
        return;
    page = first_dirty(f);
    while (n < CHUNK / PAGE_SIZE && page + n < PAGES && is_dirty(f, page + n)) {
        f->dirty[(page + n) / 8] &= (uint8_t) ~(1u << (page + n) % 8);
        f->dirty_pages--;
        n++;
    }
    f->iov = (struct iovec){.iov_base = f->bounce, .iov_len = (size_t)n * PAGE_SIZE};
    memcpy(f->bounce, f->data + (size_t)page * PAGE_SIZE, f->iov.iov_len);
    f->req = (struct block_req){.op = BLOCK_WRITE,
                                .offset = (uint64_t)page * PAGE_SIZE,
                                .len = f->iov.iov_len,
                                .iov = &f->iov,
                                .iovcnt = 1,
                                .done = written,
                                .arg = f};
    f->in_flight = true;
    block_submit(f->backing, &f->req);
}

static void changed(struct pflash *f, uint32_t off, uint32_t len)
{
    bus_rom_written(f->dev.bus, f->dev.region.base + off, len);
    if (!f->backing)
        return;
    for (uint32_t p = off / PAGE_SIZE; p <= (off + len - 1) / PAGE_SIZE; p++)
        if (!is_dirty(f, p)) {
            f->dirty[p / 8] |= (uint8_t)(1u << p % 8);
            f->dirty_pages++;
        }
    write_out(f);
}

bool pflash_flush(struct device *d)
{
    struct pflash *f = (struct pflash *)d;
    bool ok;

    device_lock(f);
    while (f->in_flight)
        pthread_cond_wait(&f->idle, &f->dev.lock);
    ok = !f->failed;
    device_unlock(f);
    return ok;
}

/* Commands. */

/* ROM while the array is read. The bus looks at the kind on each access. */
static void mode_set(struct pflash *f, enum mode mode)
{
    f->mode = (uint8_t)mode;
    __atomic_store_n(&f->dev.region.kind, mode == MODE_ARRAY ? REGION_ROM : REGION_MMIO, __ATOMIC_RELEASE);
}

static void back_to_status(struct pflash *f, uint8_t errors)
{
    f->status |= STATUS_READY | errors;
    f->step = STEP_COMMAND;
    mode_set(f, MODE_STATUS);
}

/* Programming can only clear bits. */
static void program(struct pflash *f, uint32_t off, const uint8_t *bytes, uint32_t len)
{
    if (f->read_only) {
        f->status |= STATUS_PROGRAM_ERROR;
        return;
    }
    for (uint32_t i = 0; i < len; i++)
        f->data[off + i] &= bytes[i];
    changed(f, off, len);
}

static void erase(struct pflash *f, uint32_t off)
{
    off = (uint32_t)align_down(off, PFLASH_SECTOR);
    if (f->read_only) {
        f->status |= STATUS_ERASE_ERROR;
        return;
    }
    memset(f->data + off, 0xff, PFLASH_SECTOR);
    changed(f, off, PFLASH_SECTOR);
}

static void command(struct pflash *f, uint8_t cmd)
{
    switch (cmd) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT: f->step = STEP_PROGRAM; break;
    case CMD_ERASE: f->step = STEP_ERASE; break;
    case CMD_LOCK: f->step = STEP_LOCK; break;
    case CMD_BUFFER:
        f->step = STEP_COUNT;
        f->status |= STATUS_READY;
        break;
    case CMD_STATUS: break;
    case CMD_ID: mode_set(f, MODE_ID); return;
    case CMD_CFI: mode_set(f, MODE_CFI); return;
    case CMD_CLEAR_STATUS:
        f->status = STATUS_READY;
        mode_set(f, MODE_ARRAY);
        return;
    default:
        log_guest(&f->dev, "unknown command 0x%02x", cmd);
        mode_set(f, MODE_ARRAY);
        return;
    case 0x00: /* written by drivers for other command sets that probe */
    case 0xf0:
    case CMD_CONFIRM: /* "resume": nothing is suspended */
    case CMD_ARRAY: mode_set(f, MODE_ARRAY); return;
    }
    mode_set(f, MODE_STATUS);
}

/* One word of a buffered write; the first names the block of the flash that the buffer stands for. */
static void fill(struct pflash *f, uint32_t off, uint64_t val, unsigned size)
{
    uint8_t bytes[8];

    if (!f->based) {
        f->base = (uint32_t)align_down(off, BUFFER);
        f->based = true;
        memset(f->buffer, 0xff, sizeof f->buffer);
    }
    if (align_down(off, BUFFER) != f->base) {
        log_guest(&f->dev, "a buffered write leaves its block at 0x%" PRIx32, off);
        back_to_status(f, STATUS_PROGRAM_ERROR);
        return;
    }
    st64(bytes, val);
    memcpy(f->buffer + (off - f->base), bytes, size);
    if (f->left == 0)
        f->step = STEP_CONFIRM;
    else
        f->left--;
}

static void step(struct pflash *f, uint32_t off, uint64_t val, unsigned size)
{
    uint8_t cmd = (uint8_t)val, bytes[8];

    switch (f->step) {
    case STEP_PROGRAM:
        st64(bytes, val);
        program(f, off, bytes, size);
        back_to_status(f, 0);
        break;
    case STEP_ERASE:
        if (cmd == CMD_CONFIRM)
            erase(f, off);
        back_to_status(f, cmd == CMD_CONFIRM ? 0 : STATUS_SEQUENCE_ERROR);
        break;
    case STEP_LOCK: /* lock (1), unlock (0xd0), lock down (0x2f): accepted, blocks stay open */
        back_to_status(f, cmd == CMD_CONFIRM || cmd == 0x01 || cmd == 0x2f ? 0 : STATUS_SEQUENCE_ERROR);
        break;
    case STEP_COUNT: /* words of each chip, less one */
        if ((val & 0xffff) >= BUFFER / 4) {
            back_to_status(f, STATUS_SEQUENCE_ERROR);
            break;
        }
        f->left = (uint32_t)val & 0xffff;
        f->based = false;
        f->step = STEP_FILL;
        break;
    case STEP_FILL: fill(f, off, val, size); break;
    case STEP_CONFIRM:
        if (cmd == CMD_CONFIRM)
            program(f, f->base, f->buffer, sizeof f->buffer);
        back_to_status(f, cmd == CMD_CONFIRM ? 0 : STATUS_SEQUENCE_ERROR);
        break;
    default: command(f, cmd);
    }
}

static void pflash_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct pflash *f = dev;

    /* "read array" ends a sequence that waits for its confirmation */
    if ((uint8_t)val == CMD_ARRAY && (f->step == STEP_ERASE || f->step == STEP_LOCK || f->step == STEP_CONFIRM)) {
        back_to_status(f, f->step == STEP_LOCK ? 0 : STATUS_SEQUENCE_ERROR);
        mode_set(f, MODE_ARRAY);
        return;
    }
    step(f, (uint32_t)off, val, size);
}

static void pflash_reset(struct device *d) { ((struct pflash *)d)->status = STATUS_READY; }

static void pflash_update(struct device *d)
{
    struct pflash *f = (struct pflash *)d;

    f->base = (uint32_t)align_down(f->base % PFLASH_SIZE, BUFFER);
    f->left %= BUFFER / 4;
    if (f->mode > MODE_CFI || f->step > STEP_CONFIRM)
        f->mode = f->step = 0;
    mode_set(f, f->mode);
}

static void pflash_free(struct device *d)
{
    struct pflash *f = (struct pflash *)d;

    pflash_flush(d);
    munmap(f->data, PFLASH_SIZE);
    free(f->bounce);
    pthread_cond_destroy(&f->idle);
    device_fini(d);
    free(f);
}

static const struct field pflash_state[] = {
    FIELD(struct pflash, status),
    FIELD(struct pflash, mode),
    FIELD(struct pflash, step),
    FIELD(struct pflash, left),
    FIELD(struct pflash, base),
    FIELD(struct pflash, based),
    FIELD_ARRAY(struct pflash, buffer, BUFFER),
    {0},
};

static const struct device_ops pflash_ops = {
    .name = "cfi-flash",
    .size = PFLASH_SIZE,
    .mmio = {pflash_read, pflash_write, .min_size = 1, .max_size = 4, .split = true},
    .state = pflash_state,
    .reset = pflash_reset,
    .update = pflash_update,
    .free = pflash_free,
};

/* Synchronous read at set-up. */
struct loading {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;
    int result;
};

static void loaded(struct block_req *r, int result)
{
    struct loading *l = r->arg;

    pthread_mutex_lock(&l->lock);
    l->result = result;
    l->over = true;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
}

static int read_all(struct block *b, uint8_t *to)
{
    struct loading l = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct iovec iov = {.iov_base = to, .iov_len = PFLASH_SIZE};
    struct block_req r = {.op = BLOCK_READ, .len = PFLASH_SIZE, .iov = &iov, .iovcnt = 1, .done = loaded, .arg = &l};

    block_submit(b, &r);
    pthread_mutex_lock(&l.lock);
    while (!l.over)
        pthread_cond_wait(&l.done, &l.lock);
    pthread_mutex_unlock(&l.lock);
    return l.result;
}

static bool attach(struct pflash *f, struct block *b, struct err *e)
{
    struct block_info info;
    int r;

    block_get_info(b, &info);
    if (info.size != PFLASH_SIZE)
        return err_set(e, "%s: %s has %" PRIu64 " bytes, a flash image has exactly %d", f->dev.name, info.path,
                       info.size, PFLASH_SIZE);
    r = read_all(b, f->data);
    if (r < 0)
        return err_set(e, "%s: cannot read %s: %s", f->dev.name, info.path, strerror(-r));
    f->read_only |= info.read_only;
    if (f->read_only)
        return true;
    f->bounce = malloc(CHUNK);
    f->backing = b;
    return f->bounce || err_set(e, "%s: out of memory", f->dev.name);
}

struct device *pflash_new(const struct device_env *env, const char *name, struct block *backing, bool read_only,
                          struct err *e)
{
    struct pflash *f = calloc(1, sizeof *f);

    if (!f) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    device_init(&f->dev, &pflash_ops, name, env);
    pthread_cond_init(&f->idle, NULL);
    f->read_only = read_only;
    f->data = mmap(NULL, PFLASH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->data == MAP_FAILED) {
        err_set(e, "%s: out of memory", name);
        pthread_cond_destroy(&f->idle);
        device_fini(&f->dev);
        free(f);
        return NULL;
    }
    f->dev.region.host = f->data;
    if (backing && !attach(f, backing, e)) {
        device_free(&f->dev);
        return NULL;
    }
    device_reset(&f->dev);
    return &f->dev;
}

uint8_t *pflash_data(struct device *d) { return ((struct pflash *)d)->data; }
