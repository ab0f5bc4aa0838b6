/*
 * The keys of a keyboard: Linux's codes (linux/input-event-codes.h), the names and numbers by which QEMU's monitor knows
 * them, and the keys that type a character on a US keyboard. One table for `sendkey`, its completion and `type`.
 */
#ifndef FRONTEND_KEYS_H
#define FRONTEND_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key {
    uint16_t code;    /* KEY_* */
    uint8_t number;   /* of scan code set 1; those with a prefix E0 have bit 7 set */
    const char *name; /* QEMU's QKeyCode */
};

extern const struct key keys[]; /* by code; name NULL ends. Two names of one key: the better one first */

uint16_t key_by_name(const char *name, size_t len); /* 0: there is no such key */
uint16_t key_by_number(unsigned long number);       /* 0: there is no such key */
const char *key_name(uint16_t code);                /* NULL: it has none */
bool key_for_char(char c, uint16_t *code, bool *shift);

#endif
