/*
 * Capture files: pcapng with one interface for each end of a cable, and classic pcap.
 *
 * Sources: draft-ietf-opsawg-pcapng (section header, interface description and enhanced packet blocks, in this host's byte
 * order), draft-ietf-opsawg-pcap (times in microseconds). Link type 1: Ethernet without FCS.
 */
#ifndef NETSTACK_PCAPNG_H
#define NETSTACK_PCAPNG_H

#include "netstack/packet.h"

enum { /* pcap_record.flags, as in epb_flags; bits 0 and 1 are the direction */
       RECORD_IN = 1,
       RECORD_OUT = 2,
       RECORD_CSUM_NOT_READY = 1 << 9,
       RECORD_CSUM_VALID = 1 << 10,
       RECORD_TSO = 1 << 11,
};

struct pcap_record {
    unsigned interface; /* 0 or 1 */
    uint64_t time;      /* ns since 1970 */
    size_t len, kept;   /* of the frame; of them in the record */
    uint32_t flags;
    const char *comment; /* NULL: none; at most PCAPNG_COMMENT_MAX bytes of it are kept */
};
enum { PCAPNG_COMMENT_MAX = 200, PCAPNG_RECORD_MAX = 300 /* without its frame */, PCAPNG_HEADER_MAX = 1024 };

/* The head of a file. names: of the two senders. snaplen 0: none. */
void pcapng_begin(struct writer *w, const char *const names[2], uint32_t snaplen);
void pcap_begin(struct writer *w, uint32_t snaplen);
/* A record; -> where its kept bytes go, NULL when it did not fit (the writer is bad). */
uint8_t *pcapng_record(struct writer *w, const struct pcap_record *r);
uint8_t *pcap_record(struct writer *w, const struct pcap_record *r);

#endif
