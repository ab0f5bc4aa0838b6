/*
 * Packet reader and writer: see packet.h.
 *
 * A frame's pieces may be guest memory, which changes while we look: what is pulled into scratch is a copy, what is
 * returned inside the frame is not. A parser that must not see two values of one field copies first (packet_copy).
 */
#include "netstack/packet.h"

struct packet packet_of(const struct net_frame *f)
{
    return (struct packet){.iov = f->iov, .cnt = f->iovcnt, .len = f->len};
}

struct packet packet_of_bytes(struct iovec *iov, const void *data, size_t len)
{
    *iov = (struct iovec){(void *)(uintptr_t)data, len};
    return (struct packet){.iov = iov, .cnt = 1, .len = len};
}

/* The piece that holds offset off: its bytes from there, *n of them. NULL at the end of the pieces. */
static const uint8_t *piece_at(const struct packet *p, size_t off, unsigned *i, size_t *n)
{
    off += p->skip;
    for (*i = 0; *i < p->cnt; ++*i) {
        const struct iovec *v = &p->iov[*i];

        if (off < v->iov_len) {
            *n = v->iov_len - off;
            return (const uint8_t *)v->iov_base + off;
        }
        off -= v->iov_len;
    }
    return NULL;
}

size_t packet_copy(const struct packet *p, size_t off, void *buf, size_t n)
{
    uint8_t *to = buf;
    size_t done = 0, here = 0;
    unsigned i;
    const uint8_t *from;

    if (off >= p->len)
        return 0;
    if (n > p->len - off)
        n = p->len - off;
    from = piece_at(p, off, &i, &here);
    while (done < n && from) {
        size_t take = here < n - done ? here : n - done;

        memcpy(to + done, from, take);
        done += take;
        if (++i >= p->cnt)
            break;
        from = p->iov[i].iov_base;
        here = p->iov[i].iov_len;
    }
    return done;
}

const void *packet_at(const struct packet *p, size_t off, size_t n, void *scratch)
{
    size_t here = 0;
    unsigned i;
    const uint8_t *from;

    if (off > p->len || n > p->len - off)
        return NULL;
    from = piece_at(p, off, &i, &here);
    if (from && here >= n)
        return from;
    return packet_copy(p, off, scratch, n) == n ? scratch : NULL;
}

bool packet_skip(struct packet *p, size_t n)
{
    if (n > p->len) {
        p->bad = true;
        return false;
    }
    p->len -= n;
    p->skip += n;
    while (p->cnt && p->skip >= p->iov->iov_len) {
        p->skip -= p->iov->iov_len;
        p->iov++;
        p->cnt--;
    }
    return true;
}

bool packet_trim(struct packet *p, size_t n)
{
    if (n > p->len)
        return false;
    p->len = n;
    return true;
}

const void *packet_pull(struct packet *p, size_t n, void *scratch)
{
    const void *at = packet_at(p, 0, n, scratch);

    if (!at) {
        p->bad = true;
        return NULL;
    }
    packet_skip(p, n);
    return at;
}

uint8_t packet_u8(struct packet *p)
{
    uint8_t scratch;
    const uint8_t *b = packet_pull(p, 1, &scratch);

    return b ? *b : 0;
}

uint16_t packet_u16(struct packet *p)
{
    uint8_t scratch[2];
    const uint8_t *b = packet_pull(p, sizeof scratch, scratch);

    return b ? ld16be(b) : 0;
}

uint32_t packet_u32(struct packet *p)
{
    uint8_t scratch[4];
    const uint8_t *b = packet_pull(p, sizeof scratch, scratch);

    return b ? ld32be(b) : 0;
}

unsigned packet_iov(const struct packet *p, struct iovec *iov, unsigned max, size_t *left)
{
    size_t rest = p->len, skip = p->skip;
    unsigned n = 0;

    for (unsigned i = 0; i < p->cnt && rest && n < max; i++) {
        size_t len = p->iov[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        len = len - skip < rest ? len - skip : rest;
        iov[n++] = (struct iovec){(uint8_t *)p->iov[i].iov_base + skip, len};
        rest -= len;
        skip = 0;
    }
    *left = rest;
    return n;
}

void *writer_room(struct writer *w, size_t n)
{
    uint8_t *at = w->buf + w->len;

    if (w->bad || n > w->cap - w->len) {
        w->bad = true;
        return NULL;
    }
    memset(at, 0, n);
    w->len += n;
    return at;
}

void writer_bytes(struct writer *w, const void *data, size_t n)
{
    void *at = writer_room(w, n);

    if (at && n)
        memcpy(at, data, n);
}

void writer_u8(struct writer *w, uint8_t v) { writer_bytes(w, &v, 1); }

void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t *at = writer_room(w, 2);

    if (at)
        st16be(at, v);
}

void writer_u32(struct writer *w, uint32_t v)
{
    uint8_t *at = writer_room(w, 4);

    if (at)
        st32be(at, v);
}

void writer_set16(struct writer *w, size_t off, uint16_t v)
{
    if (off > w->len || w->len - off < 2)
        w->bad = true;
    else
        st16be(w->buf + off, v);
}
