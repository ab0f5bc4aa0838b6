/*
 * What a sender left undone, done in software: segments of a frame that stands for several, and checksums.
 *
 * Sources: virtio 1.2, 5.1.6.2 (meaning of the fields), RFC 9293 3.1 and RFC 768 (headers), RFC 3168 6.1.2 (CWR in the first
 * segment only), RFC 8200 4 and 8.1 (extension headers, the pseudo-header's destination), RFC 6864 (IP ids differ).
 */
#ifndef NETSTACK_GSO_H
#define NETSTACK_GSO_H

#include "netstack/packet.h"

enum {
    GSO_HEADER_MAX = 512, /* Ethernet, VLAN tags, IP with options or extension headers, TCP with options */
    GSO_IOV_MAX = 64,     /* pieces of a frame that is worked on */
};

/* A gso frame's headers, copied: the sender may be a guest that changes them meanwhile. */
struct gso {
    uint8_t header[GSO_HEADER_MAX];
    unsigned len, l3, l4; /* bytes of headers; where the IP and the TCP or UDP header begin */
    bool ip6, udp;
    uint16_t size; /* payload bytes of a segment, the last may have fewer */
    size_t payload;
    unsigned count;  /* segments, at least 1 */
    uint32_t pseudo; /* sum of the pseudo-header without its length */
};

/* A frame made from another: its headers are here, its payload is the other's. */
struct gso_frame {
    struct net_frame f;
    struct iovec iov[GSO_IOV_MAX];
    uint8_t header[GSO_HEADER_MAX];
};

/* Lengths and offload fields lie inside the frame. The first thing asked of any frame. */
bool frame_valid(const struct net_frame *f);
/* Bytes before the IP header: Ethernet and at most two VLAN tags; *type: what follows. Of a valid frame. */
unsigned frame_l3(const struct net_frame *f, uint16_t *type);

/*
 * Find the headers of a TCP or UDP packet of this kind (its gso name) that is not a fragment: header, len, l3, l4, pseudo.
 * false: it is something else, or its headers are cut off or longer than GSO_HEADER_MAX.
 */
bool gso_headers(struct gso *g, const struct net_frame *f, enum net_gso kind);
uint16_t gso_csum_offset(const struct gso *g); /* in the TCP or UDP header */
/* Those and the rest, of a gso frame. false: the headers are not what f->gso and the checksum's place say. */
bool gso_parse(struct gso *g, const struct net_frame *f);
/*
 * Segment i of f, in order: *rest is f's payload behind the headers at i == 0 and moves on. partial: the checksum is left to
 * the receiver. f has at most GSO_IOV_MAX - 1 pieces.
 */
void gso_segment(const struct gso *g, unsigned i, bool partial, struct packet *rest, struct gso_frame *out);
/* f's payload for gso_segment from segment i on. */
struct packet gso_payload(const struct gso *g, const struct net_frame *f, unsigned i);
/* Bytes on the wire of all segments together. */
size_t gso_wire_len(const struct gso *g);
/* f with its checksum filled in. false: its headers are longer than out has room for. f as above. */
bool csum_complete(const struct net_frame *f, struct gso_frame *out);

#endif
