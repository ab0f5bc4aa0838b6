/*
 * Words of networks on command lines and in the monitor: forwards, address ranges, percentages, times and rates.
 * Pure: nothing here touches the host.
 */
#ifndef FRONTEND_NET_WORDS_H
#define FRONTEND_NET_WORDS_H

#include "netstack/cable.h"
#include "netstack/nat.h"

bool net_percent(const char *text, uint32_t *ppm); /* "1%", "0.25%", "0": parts per million, at most 100 % */
bool net_duration(const char *text,
                  uint64_t *ns); /* "10ms", "1.5s", "200us", "5ns"; a bare number is ms; below 1 hour */
bool net_bit_rate(const char *text, uint64_t *bits); /* "100mbit", "56kbit", "1gbit", "9600" */
/* A key of an impairment ("drop", "delay", ...): false with e set for a value that it cannot have, or no such key. */
bool net_impair_key(struct net_impair *i, const char *key, const char *value, struct err *e);
/* key=value,... on top of what *i holds; "off" or "none": no impairment at all. */
bool net_impair_parse(struct net_impair *i, const char *text, struct err *e);
void net_impair_text(const struct net_impair *i, char *buf, size_t len); /* in the same grammar; "" for none */

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0"; without a length the class of the address decides, as QEMU has it. */
bool net_range4(const char *text, struct net_addr *net, unsigned *len);
bool net_range6(const char *text, struct net_addr *net, unsigned *len); /* without a length: 64 */

/*
 * Forwards. QEMU's grammar, in its words on failure:
 *   [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT and unix:PATH-[GUESTADDR]:GUESTPORT
 * ours takes that, [tcp:|udp:][HOSTADDR:]HOSTPORT-[GUESTADDR:]GUESTPORT, and HOSTPORT:GUESTPORT. IPv6 stands in brackets.
 * *path: of unix:, to be freed; NULL else (f->host_path is not set).
 */
bool net_forward_parse(const char *text, bool qemu, struct nat_forward *f, char **path, struct err *e);
/* The host's side alone: [tcp|udp]:[HOSTADDR]:HOSTPORT, for hostfwd_remove; what follows a '-' is not looked at. */
bool net_forward_parse_host(const char *text, struct nat_forward *f, char **path, struct err *e);
/* [tcp]:ADDR:PORT-TARGET; *target points into text. */
bool net_guestfwd_parse(const char *text, struct net_addr *addr, uint16_t *port, const char **target, struct err *e);
/* "HOST:PORT" or "PORT"; host is "" when it was left out. Brackets around an IPv6 address go away. */
bool net_place_parse(const char *text, char host[64], char port[8]);

#endif
