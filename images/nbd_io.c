/*
 * NBD: requests in flight, and what becomes of them when the connection breaks.
 *
 * A request takes a slot, is sent under `send`, and waits. One of the waiting threads reads replies for all of them.
 * When the connection breaks, every request in flight comes back as lost; its thread connects again (a few times,
 * waiting longer each time) and sends it again: all commands can be repeated. But a server that died may have forgotten
 * writes that had succeeded and were not flushed: the next flush then fails, once, so that nobody takes them for stable.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/nbd.h"

enum {
    FIRST_PAUSE = 100, /* ms */
    RETRIES = 3,       /* of one request that is lost again and again */
    PAUSE_DOWN = 1000, /* ms between attempts once they all failed */
    EXTENTS_MAX = 1 << 20,

    REPLY_DONE = 1,
    REPLY_NONE = 0,
    REPLY_OFFSET_DATA = 1,
    REPLY_OFFSET_HOLE = 2,
    REPLY_BLOCK_STATUS = 5,
    REPLY_ERROR = 1 << 15, /* or any type with this bit */
};

#define MAGIC_REQUEST UINT32_C(0x25609513)
#define MAGIC_SIMPLE UINT32_C(0x67446698)
#define MAGIC_STRUCTURED UINT32_C(0x668e33ef)

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 1;
}

static int host_errno(uint32_t e)
{
    switch (e) {
    case 1: return -EPERM;
    case 12: return -ENOMEM;
    case 22: return -EINVAL;
    case 28: return -ENOSPC;
    case 75: return -EOVERFLOW;
    case 95: return -EOPNOTSUPP;
    default: return -EIO;
    }
}

/* lock held: nothing more comes over this connection. */
static void break_off(struct nbd *b)
{
    if (b->broken)
        return;
    b->broken = true;
    if (b->fd >= 0)
        shutdown(b->fd, SHUT_RDWR);
    if (b->unflushed)
        b->lost = true;
    b->unflushed = false;
    pthread_cond_broadcast(&b->change);
}

/* lock held and nobody reading: requests of the broken connection go back to their threads. */
static void give_back(struct nbd *b)
{
    for (unsigned i = 0; i < NBD_SLOTS; i++)
        if (b->slots[i].busy && !b->slots[i].done) {
            b->slots[i].done = true;
            b->slots[i].result = -ECONNRESET;
        }
    pthread_cond_broadcast(&b->change);
}

static bool same_export(const struct nbd_export *a, const struct nbd_export *n)
{
    return a->size == n->size && a->min_block == n->min_block && ((a->flags ^ n->flags) & NBD_READ_ONLY) == 0 &&
           (a->flags & ~n->flags) == 0 && a->has_context <= n->has_context && a->max_payload <= n->max_payload;
}

/* lock held on entry and exit; only one thread at a time. */
static int reconnect(struct nbd *b)
{
    unsigned attempts = b->failed_at ? 1 : b->attempts;
    struct nbd_export ex;
    struct err e = {""};
    int fd = -1, pause = FIRST_PAUSE;

    if (b->failed_at && now_ms() - b->failed_at < PAUSE_DOWN)
        return -EIO;
    b->reconnecting = true;
    while (b->reading)
        pthread_cond_wait(&b->change, &b->lock);
    give_back(b);
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_lock(&b->send); /* nobody is sending */
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    b->generation++;
    for (unsigned i = 0; i < attempts && fd < 0; i++) {
        if (i) {
            nanosleep(&(struct timespec){pause / 1000, pause % 1000 * 1000000L}, NULL);
            pause *= 2;
        }
        fd = nbd_connect(b->path, &b->at, &ex, &e);
        if (fd >= 0 && !same_export(&b->ex, &ex)) {
            err_set(&e, "'%s': the NBD server now has another export under this name", b->path);
            close(fd);
            fd = -1;
        }
    }
    pthread_mutex_unlock(&b->send);
    pthread_mutex_lock(&b->lock);
    if (fd < 0 && !b->failed_at && e.msg[0])
        fprintf(stderr, "guise: %s\n", e.msg);
    b->failed_at = fd < 0 ? now_ms() : 0;
    b->fd = fd;
    if (fd >= 0) {
        b->ex.context = ex.context;
        b->ex.structured = ex.structured;
    }
    b->broken = fd < 0;
    b->reconnecting = false;
    pthread_cond_broadcast(&b->change);
    return fd < 0 ? -EIO : 0;
}

static int take_slot(struct nbd *b, struct nbd_slot **out)
{
    for (;;) {
        while (b->reconnecting)
            pthread_cond_wait(&b->change, &b->lock);
        if (b->broken) {
            int ret = reconnect(b);

            if (ret)
                return ret;
            continue;
        }
        for (unsigned i = 0; i < NBD_SLOTS; i++)
            if (!b->slots[i].busy) {
                *out = &b->slots[i];
                return 0;
            }
        pthread_cond_wait(&b->change, &b->lock);
    }
}

static bool send_payload(int fd, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len)
{
    while (len) {
        enum { WINDOW = 64 };
        struct iovec win[WINDOW];
        uint64_t bytes;
        struct msghdr m = {.msg_iov = win};
        ssize_t put;

        m.msg_iovlen = iov_slice(win, WINDOW, iov, n, skip, len, &bytes);
        put = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        skip += (uint64_t)put;
        len -= (uint64_t)put;
    }
    return true;
}

/* generation: of the connection that the slot was taken for. */
static bool send_request(struct nbd *b, const struct nbd_request *r, uint64_t cookie, unsigned generation)
{
    uint8_t h[28];
    bool ok;

    st32be(h, MAGIC_REQUEST);
    st16be(h + 4, r->flags);
    st16be(h + 6, r->cmd);
    st64be(h + 8, cookie);
    st64be(h + 16, r->off);
    st32be(h + 24, (uint32_t)r->len);
    pthread_mutex_lock(&b->send);
    ok = b->fd >= 0 && b->generation == generation && nbd_send(b->fd, h, sizeof h) &&
         (r->cmd != NBD_CMD_WRITE || send_payload(b->fd, r->iov, r->n, r->skip, r->len));
    pthread_mutex_unlock(&b->send);
    return ok;
}

/* The request that a reply is for. Only its own thread ends a request, and that waits: no lock is needed to fill it. */
static struct nbd_slot *slot_of(struct nbd *b, uint64_t cookie)
{
    struct nbd_slot *s = NULL;

    pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; i < NBD_SLOTS; i++)
        if (b->slots[i].busy && !b->slots[i].done && b->slots[i].cookie == cookie)
            s = &b->slots[i];
    pthread_mutex_unlock(&b->lock);
    return s;
}

static bool recv_payload(int fd, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len)
{
    while (len) {
        struct iovec one;
        uint64_t bytes;

        if (!iov_slice(&one, 1, iov, n, skip, len, &bytes) || !nbd_recv(fd, one.iov_base, bytes))
            return false;
        skip += bytes;
        len -= bytes;
    }
    return true;
}

static bool drop_bytes(int fd, uint64_t n)
{
    uint8_t b[512];

    while (n) {
        size_t some = n < sizeof b ? (size_t)n : sizeof b;

        if (!nbd_recv(fd, b, some))
            return false;
        n -= some;
    }
    return true;
}

static bool in_request(const struct nbd_slot *s, uint64_t off, uint64_t len)
{
    return s->cmd == NBD_CMD_READ && off >= s->off && len <= s->len && off - s->off <= s->len - len;
}

static bool chunk_status(struct nbd *b, struct nbd_slot *s, uint32_t len)
{
    uint8_t h[12];

    if (s->cmd != NBD_CMD_BLOCK_STATUS || len < 12 || (len - 4) % 8 || (len - 4) / 8 > EXTENTS_MAX ||
        !nbd_recv(b->fd, h, sizeof h) || !drop_bytes(b->fd, len - 12))
        return false;
    if (ld32be(h) == b->ex.context) {
        s->extent_len = ld32be(h + 4);
        s->extent_flags = ld32be(h + 8);
    }
    return true;
}

static bool chunk_error(struct nbd *b, struct nbd_slot *s, uint32_t len)
{
    uint8_t h[6];

    if (len < 6 || len > 4096 + 32 || !nbd_recv(b->fd, h, sizeof h) || !drop_bytes(b->fd, len - 6))
        return false;
    if (!s->result)
        s->result = host_errno(ld32be(h));
    return true;
}

/* One chunk of a structured reply behind its header. */
static bool recv_chunk(struct nbd *b, struct nbd_slot *s, uint16_t type, uint32_t len)
{
    uint8_t h[12];
    uint64_t off;

    if (type & REPLY_ERROR)
        return chunk_error(b, s, len);
    switch (type) {
    case REPLY_NONE: return !len;
    case REPLY_OFFSET_DATA:
        if (len < 8 || !nbd_recv(b->fd, h, 8) || !in_request(s, ld64be(h), len - 8))
            return false;
        s->seen += len - 8;
        return recv_payload(b->fd, s->iov, s->n, s->skip + ld64be(h) - s->off, len - 8);
    case REPLY_OFFSET_HOLE:
        if (len != 12 || !nbd_recv(b->fd, h, 12))
            return false;
        off = ld64be(h);
        if (!in_request(s, off, ld32be(h + 8)))
            return false;
        iov_zero(s->iov, s->n, s->skip + off - s->off, ld32be(h + 8));
        s->seen += ld32be(h + 8);
        return true;
    case REPLY_BLOCK_STATUS: return chunk_status(b, s, len);
    default: return false;
    }
}

static void finish(struct nbd *b, struct nbd_slot *s)
{
    pthread_mutex_lock(&b->lock);
    if (s->cmd == NBD_CMD_READ && !s->result && s->seen != s->len)
        s->result = -EIO; /* a part never came */
    if (s->cmd == NBD_CMD_BLOCK_STATUS && !s->result && !s->extent_len)
        s->result = -EIO;
    s->done = true;
    pthread_cond_broadcast(&b->change);
    pthread_mutex_unlock(&b->lock);
}

static bool recv_simple(struct nbd *b, const uint8_t *h)
{
    struct nbd_slot *s = slot_of(b, ld64be(h + 8));
    uint32_t error = ld32be(h + 4);

    if (!s || (b->ex.structured && s->cmd == NBD_CMD_READ && !error))
        return false;
    s->result = error ? host_errno(error) : 0;
    if (!error && s->cmd == NBD_CMD_READ) {
        if (!recv_payload(b->fd, s->iov, s->n, s->skip, s->len))
            return false;
        s->seen = s->len;
    }
    finish(b, s);
    return true;
}

/* One reply, or chunk of one. false: the connection is of no more use. */
static bool recv_one(struct nbd *b)
{
    uint8_t h[20];
    struct nbd_slot *s;

    if (!nbd_recv(b->fd, h, 16))
        return false;
    if (ld32be(h) == MAGIC_SIMPLE)
        return recv_simple(b, h);
    if (ld32be(h) != MAGIC_STRUCTURED || !b->ex.structured || !nbd_recv(b->fd, h + 16, 4))
        return false;
    s = slot_of(b, ld64be(h + 8));
    if (!s || !recv_chunk(b, s, ld16be(h + 6), ld32be(h + 16)))
        return false;
    if (ld16be(h + 4) & REPLY_DONE)
        finish(b, s);
    return true;
}

/* lock held. */
static void wait_for(struct nbd *b, struct nbd_slot *s)
{
    while (!s->done) {
        bool ok;

        if (b->broken && !b->reading && !b->reconnecting) {
            give_back(b);
            return;
        }
        if (b->broken || b->reading) {
            pthread_cond_wait(&b->change, &b->lock);
            continue;
        }
        b->reading = true;
        pthread_mutex_unlock(&b->lock);
        ok = recv_one(b);
        pthread_mutex_lock(&b->lock);
        b->reading = false;
        if (!ok)
            break_off(b);
        pthread_cond_broadcast(&b->change);
    }
}

/* lock held. */
static int request_once(struct nbd *b, struct nbd_request *r)
{
    struct nbd_slot *s;
    int ret = take_slot(b, &s);
    unsigned generation;
    uint64_t cookie;

    if (ret)
        return ret;
    generation = b->generation;
    cookie = ++b->next_cookie;
    *s = (struct nbd_slot){.busy = true,
                           .cookie = cookie,
                           .cmd = r->cmd,
                           .off = r->off,
                           .len = r->len,
                           .iov = r->iov,
                           .n = r->n,
                           .skip = r->skip};
    pthread_mutex_unlock(&b->lock);
    if (!send_request(b, r, cookie, generation)) {
        pthread_mutex_lock(&b->lock);
        if (!s->done)
            break_off(b);
    } else {
        pthread_mutex_lock(&b->lock);
    }
    wait_for(b, s);
    ret = s->result;
    r->extent_len = s->extent_len;
    r->extent_flags = s->extent_flags;
    s->busy = false;
    pthread_cond_broadcast(&b->change);
    return ret;
}

int nbd_request(struct nbd *b, struct nbd_request *r)
{
    bool changes = r->cmd == NBD_CMD_WRITE || r->cmd == NBD_CMD_WRITE_ZEROES || r->cmd == NBD_CMD_TRIM;
    int ret = -ECONNRESET;

    pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; ret == -ECONNRESET && i < RETRIES; i++)
        ret = request_once(b, r);
    if (!ret && changes && !(r->flags & NBD_FLAG_FUA))
        b->unflushed = true;
    if (r->cmd == NBD_CMD_FLUSH) {
        if (!ret && b->lost)
            ret = -EIO;
        b->lost = false;
        b->unflushed = b->unflushed && ret;
    }
    pthread_mutex_unlock(&b->lock);
    return ret == -ECONNRESET ? -EIO : ret;
}
