/*
 * Files that go into guest memory: kernels in every shape Linux ships them, ELF programs, raw binaries, initrds.
 *
 * Everything is streamed from the file into guest RAM through the bus: nothing of a large kernel stays in our own
 * memory. Every length and offset found in a file is checked against the file and against RAM before use, without
 * wrapping. Errors name the file.
 */
#ifndef FRONTEND_LOADER_H
#define FRONTEND_LOADER_H

#include "base/err.h"
#include "base/types.h"

struct bus;

enum load_kind { LOAD_IMAGE, LOAD_ELF, LOAD_RAW };

/* What a program brought along. Absent symbols are 0. */
struct loaded {
    enum load_kind kind;
    gpa entry;    /* physical */
    gpa low, end; /* memory taken, [low, end): bss and Image's image_size included */
    uint64_t offset; /* added to the file's own physical addresses */
    gpa tohost, fromhost, begin_signature, end_signature;
};

/*
 * Load a kernel: a Linux Image goes to ram_base + its text_offset, but not below raw_base, a raw binary to `raw_base`, an ELF program to its own
 * physical addresses, or, when those lie outside memory (vmlinux), with its lowest at raw_base.
 */
bool load_kernel(struct bus *b, const char *path, gpa ram_base, gpa raw_base, struct loaded *out, struct err *e);
/* Firmware: an ELF program or a raw binary at base. */
bool load_firmware(struct bus *b, const char *path, gpa base, struct loaded *out, struct err *e);
/* -device loader,file=: ELF unless raw, else the bytes at addr. */
bool load_file(struct bus *b, const char *path, bool has_addr, gpa addr, bool raw, struct loaded *out, struct err *e);
/* The bytes of a file at addr, at most max; *len is how many. */
bool load_raw(struct bus *b, const char *path, gpa addr, uint64_t max, uint64_t *len, struct err *e);

/* By the first bytes. false with e->msg empty: no kernel; with a message: unreadable. */
bool loader_looks_like_kernel(const char *path, struct err *e);

/* A whole small file in heap memory (device trees, fw_cfg); the caller frees it. NULL: e is set. */
void *file_read_all(const char *path, uint64_t max, uint64_t *len, struct err *e);

#endif
