/*
 * A file read front to back, unpacked on the way: plain, gzip, zstd, or the payload of an EFI zboot image.
 */
#ifndef FRONTEND_SOURCE_H
#define FRONTEND_SOURCE_H

#include "base/err.h"
#include "base/types.h"

struct source;

/* Opens path and finds out how it is packed. `unpack` false: the bytes as they stand. */
struct source *source_open(const char *path, bool unpack, struct err *e);
void source_close(struct source *s);
/* Bytes of the file itself; 0 for what is not a regular file. */
uint64_t source_file_size(const struct source *s);
bool source_packed(const struct source *s);
/* Up to len bytes: *got is short only at the end. false: truncated or damaged (e names the file). */
bool source_read(struct source *s, void *buf, uint64_t len, uint64_t *got, struct err *e);
bool source_rewind(struct source *s, struct err *e);
/* Bytes of the plain file at an offset, all of them (ELF). */
bool source_read_at(struct source *s, void *buf, uint64_t len, uint64_t off, struct err *e);

#endif
