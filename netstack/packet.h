/*
 * The one way to the bytes of a packet: bounds-checked reading of a frame in pieces, and writing into a buffer.
 *
 * A reader is a window on an iovec list. Every access names its length; what is not there is NULL or 0 and marks the
 * reader bad, so that a parser may read all its fields and look at `bad` once. Numbers are big-endian unless named le.
 */
#ifndef NETSTACK_PACKET_H
#define NETSTACK_PACKET_H

#include "base/bits.h" /* ld16be and its like, for bytes that are known to be there */
#include "netstack/port.h"

struct packet {
    const struct iovec *iov;
    unsigned cnt;
    size_t skip; /* bytes of iov[0] that are behind us */
    size_t len;  /* bytes that are left */
    bool bad;    /* something beyond the end was asked for */
};

struct packet packet_of(const struct net_frame *f);
/* iov must live as long as the packet is read. */
struct packet packet_of_bytes(struct iovec *iov, const void *data, size_t len);

/* The next n bytes in one piece: inside the frame, or copied to scratch (n bytes) when they lie in several. NULL: fewer. */
const void *packet_pull(struct packet *p, size_t n, void *scratch);
/* The same at offset off, without moving on. */
const void *packet_at(const struct packet *p, size_t off, size_t n, void *scratch);
bool packet_skip(struct packet *p, size_t n);
bool packet_trim(struct packet *p, size_t n); /* keep the first n bytes; false: there are fewer */
uint8_t packet_u8(struct packet *p);          /* these move on */
uint16_t packet_u16(struct packet *p);
uint32_t packet_u32(struct packet *p);
/* Copy up to n bytes from off; how many there were. Does not move on, does not mark. */
size_t packet_copy(const struct packet *p, size_t off, void *buf, size_t n);
/* The rest as an iovec list for sendmsg: at most max pieces; how many. Bytes beyond them are left out: *left. */
unsigned packet_iov(const struct packet *p, struct iovec *iov, unsigned max, size_t *left);

/* Writing. What does not fit is not written, and marks the writer. */
struct writer {
    uint8_t *buf;
    size_t len, cap;
    bool bad;
};

void *writer_room(struct writer *w, size_t n); /* n zeroed bytes, NULL when they do not fit */
void writer_bytes(struct writer *w, const void *data, size_t n);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_set16(struct writer *w, size_t off, uint16_t v); /* bytes that were written before */

/*
 * The Internet checksum (RFC 1071) as a sum to be folded: csum_add of pieces at even offsets of the whole, in any order;
 * csum_fold ends it: the value to be stored with st16be, and 0 for data that include a right checksum.
 */
uint32_t csum_add(uint32_t sum, const void *data, size_t len);
uint32_t csum_packet(uint32_t sum, const struct packet *p, size_t off, size_t len); /* off even or not */
uint16_t csum_fold(uint32_t sum);

#endif
