/* Capture files: see pcapng.h. */
#include "netstack/pcapng.h"

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    OPT_END = 0,
    OPT_COMMENT = 1,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    LINKTYPE_ETHERNET = 1,
    SNAPLEN_MAX = 262144, /* what readers take */
    NAME_MAX_LEN = 64,
};

static void put16(struct writer *w, uint16_t v) { writer_bytes(w, &v, sizeof v); }
static void put32(struct writer *w, uint32_t v) { writer_bytes(w, &v, sizeof v); }

/* Blocks and options are padded to 32 bits. */
static void pad(struct writer *w, size_t len) { writer_room(w, -len & 3); }

static size_t block_begin(struct writer *w, uint32_t type)
{
    size_t at = w->len;

    put32(w, type);
    put32(w, 0);
    return at;
}

static void block_end(struct writer *w, size_t at)
{
    uint32_t len = (uint32_t)(w->len - at + 4);

    put32(w, len);
    if (!w->bad)
        st32(w->buf + at + 4, len);
}

static void option(struct writer *w, uint16_t code, const void *data, size_t len)
{
    put16(w, code);
    put16(w, (uint16_t)len);
    writer_bytes(w, data, len);
    pad(w, len);
}

static void option_text(struct writer *w, uint16_t code, const char *text, size_t max)
{
    option(w, code, text, strnlen(text, max));
}

static void section(struct writer *w)
{
    size_t at = block_begin(w, BLOCK_SECTION);

    put32(w, BYTE_ORDER_MAGIC);
    put16(w, 1); /* version 1.0 */
    put16(w, 0);
    put32(w, 0xffffffff); /* the section's length is not known */
    put32(w, 0xffffffff);
    option_text(w, SHB_USERAPPL, "guise", 5);
    option(w, OPT_END, NULL, 0);
    block_end(w, at);
}

static void interface(struct writer *w, const char *name, uint32_t snaplen)
{
    static const uint8_t nanoseconds = 9; /* times are in units of 10^-9 s */
    size_t at = block_begin(w, BLOCK_INTERFACE);

    put16(w, LINKTYPE_ETHERNET);
    put16(w, 0);
    put32(w, snaplen);
    option_text(w, IF_NAME, name, NAME_MAX_LEN);
    option(w, IF_TSRESOL, &nanoseconds, 1);
    option(w, OPT_END, NULL, 0);
    block_end(w, at);
}

void pcapng_begin(struct writer *w, const char *const names[2], uint32_t snaplen)
{
    section(w);
    for (unsigned i = 0; i < 2; i++)
        interface(w, names[i], snaplen);
}

uint8_t *pcapng_record(struct writer *w, const struct pcap_record *r)
{
    size_t at = block_begin(w, BLOCK_PACKET), data;

    put32(w, r->interface);
    put32(w, (uint32_t)(r->time >> 32));
    put32(w, (uint32_t)r->time);
    put32(w, (uint32_t)r->kept);
    put32(w, (uint32_t)r->len);
    data = w->len;
    writer_room(w, r->kept);
    pad(w, r->kept);
    option(w, EPB_FLAGS, &r->flags, 4);
    if (r->comment)
        option_text(w, OPT_COMMENT, r->comment, PCAPNG_COMMENT_MAX);
    option(w, OPT_END, NULL, 0);
    block_end(w, at);
    return w->bad ? NULL : w->buf + data;
}

void pcap_begin(struct writer *w, uint32_t snaplen)
{
    put32(w, 0xa1b2c3d4); /* times in microseconds */
    put16(w, 2);
    put16(w, 4);
    put32(w, 0);
    put32(w, 0);
    put32(w, snaplen ? snaplen : SNAPLEN_MAX);
    put32(w, LINKTYPE_ETHERNET);
}

uint8_t *pcap_record(struct writer *w, const struct pcap_record *r)
{
    put32(w, (uint32_t)(r->time / 1000000000));
    put32(w, (uint32_t)(r->time % 1000000000 / 1000));
    put32(w, (uint32_t)r->kept);
    put32(w, (uint32_t)r->len);
    return writer_room(w, r->kept);
}
