/*
 * SipHash-2-4: a keyed hash that someone who chooses the data, but not the key, cannot steer. For hash tables over
 * what comes from outside, and for numbers that must not be guessed (TCP's initial sequence numbers).
 * Source: Aumasson, Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *data, size_t len);

#endif
