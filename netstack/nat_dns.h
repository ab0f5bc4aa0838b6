/* DNS, between its files: the host's resolver, what is answered here, and the shape of messages (RFC 1035). */
#ifndef NETSTACK_NAT_DNS_H
#define NETSTACK_NAT_DNS_H

#include <sys/types.h>
#include <time.h>

#include "netstack/nat_svc.h"

enum { DNS_HEADER = 12, DNS_SERVERS_MAX = 3 };
enum { RCODE_OK = 0, RCODE_FORMAT = 1, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, RCODE_NOTIMP = 4, RCODE_REFUSED = 5 };

/* A query with one question, as it was read. */
struct dns_question {
    char name[DNS_NAME_MAX + 1];
    uint16_t type, class_;
    size_t end; /* of the question, from the start of the message */
    bool edns, dnssec_ok;
};

/* false: not a query for us (a response, cut short, no question, several): rcode has what to answer, -1: nothing. */
bool dns_question_read(const uint8_t *msg, size_t len, struct dns_question *q, int *rcode);
/* Header and question of msg as a reply with rcode; the header alone when question_end is 0. */
void dns_reply_begin(struct writer *w, const uint8_t *msg, size_t question_end, unsigned rcode);

/* What this network knows itself. true: w has the whole answer. */
bool dns_local(struct nat *n, const uint8_t *msg, const struct dns_question *q, struct writer *w);

/* The servers of resolv.conf(5), read again when the file is another. */
struct resolver {
    const char *path;
    uint64_t checked; /* when, ns; looked at again after a second */
    bool known;
    struct timespec mtime;
    off_t size;
    ino_t inode;
    struct {
        struct sockaddr_storage addr;
        socklen_t len;
    } server[DNS_SERVERS_MAX];
    unsigned servers;
    uint64_t changes;
};
void resolver_init(struct resolver *r, const char *path);
void resolver_update(struct resolver *r, uint64_t now);

/* The i-th server to ask, beginning with the one that answered last; false: there are no more. */
bool nat_dns_server(struct nat_dns *d, unsigned i, struct sockaddr_storage *to, socklen_t *len);

/* DNS over TCP: nat_dns_tcp.c. The stream socket is for the TCP layer, as nat_guestfwd_open's. -1 with errno. */
struct nat_dns_tcp *nat_dns_tcp_new(struct nat *n);
void nat_dns_tcp_free(struct nat_dns_tcp *t);
int nat_dns_tcp_open(struct nat_dns_tcp *t);

#endif
