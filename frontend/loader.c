/*
 * Files into guest memory. See loader.h.
 *
 * Linux Image header: Documentation/arch/riscv/boot-image-header.rst (text_offset at 8, image_size at 16, "RISCV" at 48,
 * "RSC\x05" at 56; all little-endian).
 */
#include "frontend/loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/source.h"
#include "mmu/bus.h"

enum {
    IMAGE_HEADER = 64,
    PIECE = 1 << 20, /* bytes handed to the bus at a time */
    MAX_PHDRS = 128,
    MAX_SYMBOLS = 1 << 22,
    MAX_STRINGS = 256 << 20,
};

/* [addr, addr+len) is RAM the program may use. */
static bool check_room(struct bus *b, const char *path, gpa addr, uint64_t len, struct err *e)
{
    if (len && (addr + len < addr || !bus_ram(b, addr, len)))
        return err_set(e, "%s: does not fit in memory (0x%" PRIx64 " bytes at 0x%" PRIx64 ")", path, len, addr);
    return true;
}

/* The rest of the source to addr; *len is how much that was. */
static bool stream(struct bus *b, const char *path, struct source *s, gpa addr, uint64_t max, uint64_t *len,
                   struct err *e)
{
    uint8_t *buf = malloc(PIECE);
    bool ok = buf || err_set(e, "out of memory");

    *len = 0;
    while (ok) {
        uint64_t got;

        ok = source_read(s, buf, PIECE, &got, e);
        if (!ok || !got)
            break;
        if (got > max - *len)
            ok = err_set(e, "%s: larger than the 0x%" PRIx64 " bytes there are for it at 0x%" PRIx64, path, max, addr);
        else
            ok = check_room(b, path, addr + *len, got, e) &&
                 (dma_write(b, addr + *len, buf, got) || err_set(e, "%s: no memory at 0x%" PRIx64, path, addr + *len));
        *len += got;
    }
    free(buf);
    return ok;
}

static bool is_image(const uint8_t *head, uint64_t len)
{
    return len >= IMAGE_HEADER && !memcmp(head + 48, "RISCV", 5) && !memcmp(head + 56, "RSC\5", 4);
}

/*
 * The header does not say how long the file must be (image_size counts bss), but an EFI-stub kernel is a PE file too,
 * whose sections do. false: a section reaches past the end. (PE format: e_lfanew at 0x3c, COFF header, section table.)
 */
static bool pe_complete(const uint8_t *p, uint64_t len)
{
    uint64_t pe = ld32(p + 0x3c), table;

    if (pe > len || len - pe < 24 || memcmp(p + pe, "PE\0\0", 4))
        return true;
    table = pe + 24 + ld16(p + pe + 20);
    for (unsigned i = 0; i < ld16(p + pe + 6); i++) {
        const uint8_t *row = p + table + 40 * i;

        if (table + 40 * (i + 1) > len || (uint64_t)ld32(row + 20) + ld32(row + 16) > len)
            return false;
    }
    return true;
}

static bool load_image(struct bus *b, const char *path, struct source *s, const uint8_t *head, gpa ram_base, gpa lowest,
                       struct loaded *out, struct err *e)
{
    uint64_t text_offset = ld64(head + 8), image_size = ld64(head + 16), len;
    gpa at;

    if (text_offset & ((UINT64_C(2) << 20) - 1))
        return err_set(e, "%s: Image header: text_offset 0x%" PRIx64 " is not a multiple of 2 MiB", path, text_offset);
    at = ram_base + text_offset;
    at = at < lowest ? lowest : at;
    if (ram_base + text_offset < ram_base || at + image_size < at)
        return err_set(e, "%s: Image header: text_offset or image_size wraps", path);
    if (!check_room(b, path, at, image_size, e) || !source_rewind(s, e) ||
        !stream(b, path, s, at, UINT64_MAX - at, &len, e))
        return false;
    if (len < IMAGE_HEADER || (image_size && len > image_size))
        return err_set(e, "%s: Image header: image_size 0x%" PRIx64 " is less than the file's 0x%" PRIx64 " bytes",
                       path, image_size, len);
    if (!pe_complete(bus_mem(b, at, len), len))
        return err_set(e, "%s: truncated: its EFI header tells of more than 0x%" PRIx64 " bytes", path, len);
    *out =
        (struct loaded){.kind = LOAD_IMAGE, .entry = at, .low = at, .end = at + (image_size > len ? image_size : len)};
    return true;
}

/* Copy one PT_LOAD segment and clear the rest of it. */
static bool load_segment(struct bus *b, const char *path, struct source *s, const Elf64_Phdr *p, gpa at, struct err *e)
{
    static const uint8_t zero[PAGE_SIZE];
    uint8_t *buf = malloc(PIECE);
    bool ok = (buf || err_set(e, "out of memory")) && check_room(b, path, at, p->p_memsz, e);

    for (uint64_t done = 0; ok && done < p->p_filesz;) {
        uint64_t n = p->p_filesz - done < PIECE ? p->p_filesz - done : PIECE;

        ok = source_read_at(s, buf, n, p->p_offset + done, e) &&
             (dma_write(b, at + done, buf, n) || err_set(e, "%s: no memory at 0x%" PRIx64, path, at + done));
        done += n;
    }
    for (uint64_t done = p->p_filesz; ok && done < p->p_memsz;) {
        uint64_t n = p->p_memsz - done < sizeof zero ? p->p_memsz - done : sizeof zero;
        const uint8_t *mem = bus_ram(b, at + done, n);

        if (!mem || memcmp(mem, zero, n)) /* leave untouched memory untouched */
            ok = dma_write(b, at + done, zero, n) || err_set(e, "%s: no memory at 0x%" PRIx64, path, at + done);
        done += n;
    }
    free(buf);
    return ok;
}

static void take_symbol(struct loaded *out, const char *name, gpa value)
{
    const struct {
        const char *name;
        gpa *to;
    } wanted[] = {{"tohost", &out->tohost},
                  {"fromhost", &out->fromhost},
                  {"begin_signature", &out->begin_signature},
                  {"end_signature", &out->end_signature}};

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strcmp(name, wanted[i].name))
            *wanted[i].to = value;
}

/* A section's bytes, NULL when absent or unreasonable. */
static uint8_t *section_bytes(struct source *s, const Elf64_Shdr *sh, uint64_t max)
{
    struct err ignored;
    uint8_t *buf;

    if (!sh->sh_size || sh->sh_size > max || !(buf = malloc(sh->sh_size + 1)))
        return NULL;
    if (!source_read_at(s, buf, sh->sh_size, sh->sh_offset, &ignored)) {
        free(buf);
        return NULL;
    }
    buf[sh->sh_size] = 0;
    return buf;
}

/* Virtual to physical by the segments, then where it was loaded. */
static gpa elf_phys(const Elf64_Phdr *ph, unsigned n, uint64_t offset, uint64_t va)
{
    for (unsigned i = 0; i < n; i++)
        if (ph[i].p_type == PT_LOAD && va >= ph[i].p_vaddr && va - ph[i].p_vaddr < ph[i].p_memsz)
            return va - ph[i].p_vaddr + ph[i].p_paddr + offset;
    return va + offset;
}

/* Symbols are a convenience of test programs: a damaged table only means there are none. */
static void load_symbols(struct source *s, const Elf64_Ehdr *eh, const Elf64_Phdr *ph, unsigned phnum,
                         struct loaded *out)
{
    struct err ignored;
    Elf64_Shdr sym, str;
    uint8_t *syms = NULL, *strs = NULL;

    if (eh->e_shentsize != sizeof(Elf64_Shdr))
        return;
    for (unsigned i = 0; i < eh->e_shnum; i++) {
        uint64_t off = eh->e_shoff + i * sizeof sym;

        if (!source_read_at(s, &sym, sizeof sym, off, &ignored))
            return;
        if (sym.sh_type == SHT_SYMTAB)
            break;
    }
    if (!eh->e_shnum || sym.sh_type != SHT_SYMTAB || sym.sh_link >= eh->e_shnum ||
        !source_read_at(s, &str, sizeof str, eh->e_shoff + sym.sh_link * sizeof str, &ignored))
        return;
    syms = section_bytes(s, &sym, MAX_SYMBOLS * sizeof(Elf64_Sym));
    strs = section_bytes(s, &str, MAX_STRINGS);
    for (uint64_t i = 0; syms && strs && i < sym.sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym one;

        memcpy(&one, syms + i * sizeof one, sizeof one);
        if (one.st_name < str.sh_size && one.st_shndx != SHN_UNDEF)
            take_symbol(out, (const char *)strs + one.st_name, elf_phys(ph, phnum, out->offset, one.st_value));
    }
    free(syms);
    free(strs);
}

static bool check_elf(const char *path, const Elf64_Ehdr *eh, struct err *e)
{
    if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
        return err_set(e, "%s: ELF, but not a 64-bit little-endian one", path);
    if (eh->e_machine != EM_RISCV)
        return err_set(e, "%s: ELF, but for another machine (e_machine %u, RISC-V is %d)", path, eh->e_machine,
                       EM_RISCV);
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
        return err_set(e, "%s: ELF, but not an executable", path);
    if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum || eh->e_phnum > MAX_PHDRS)
        return err_set(e, "%s: ELF with a wrong program header table", path);
    return true;
}

/* Range of physical addresses of the segments; every field checked. */
static bool elf_extent(const char *path, struct source *s, const Elf64_Phdr *ph, unsigned n, gpa *low, gpa *end,
                       struct err *e)
{
    *low = UINT64_MAX;
    *end = 0;
    for (unsigned i = 0; i < n; i++) {
        const Elf64_Phdr *p = &ph[i];

        if (p->p_type != PT_LOAD || !p->p_memsz)
            continue;
        if (p->p_filesz > p->p_memsz || p->p_paddr + p->p_memsz < p->p_paddr)
            return err_set(e, "%s: ELF segment %u has a wrong size", path, i);
        if (p->p_offset > source_file_size(s) || p->p_filesz > source_file_size(s) - p->p_offset)
            return err_set(e, "%s: ELF segment %u: the file is truncated", path, i);
        *low = p->p_paddr < *low ? p->p_paddr : *low;
        *end = p->p_paddr + p->p_memsz > *end ? p->p_paddr + p->p_memsz : *end;
    }
    return *low < *end || err_set(e, "%s: ELF with nothing to load", path);
}

/*
 * Linkers put the ELF header in front of the code, in the same segment: a program for the bottom of memory then begins a page
 * below it. That page is left out.
 */
static void clip_segment(Elf64_Phdr *p, gpa clip)
{
    uint64_t skip = clip - p->p_paddr;

    if (p->p_paddr >= clip || p->p_memsz <= skip)
        return;
    p->p_paddr += skip;
    p->p_vaddr += skip;
    p->p_offset += skip < p->p_filesz ? skip : p->p_filesz;
    p->p_filesz -= skip < p->p_filesz ? skip : p->p_filesz;
    p->p_memsz -= skip;
}

static bool load_elf(struct bus *b, const char *path, struct source *s, gpa clip, gpa relocate_to, struct loaded *out,
                     struct err *e)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph[MAX_PHDRS];
    gpa low, end;

    if (source_file_size(s) < sizeof eh)
        return err_set(e, "%s: truncated ELF file", path);
    if (!source_read_at(s, &eh, sizeof eh, 0, e) || !check_elf(path, &eh, e))
        return false;
    if (eh.e_phoff > source_file_size(s) || eh.e_phnum * sizeof ph[0] > source_file_size(s) - eh.e_phoff)
        return err_set(e, "%s: truncated ELF file", path);
    if (!source_read_at(s, ph, eh.e_phnum * sizeof ph[0], eh.e_phoff, e) ||
        !elf_extent(path, s, ph, eh.e_phnum, &low, &end, e))
        return false;
    for (unsigned i = 0; i < eh.e_phnum; i++)
        if (ph[i].p_type == PT_LOAD)
            clip_segment(&ph[i], clip);
    if (!elf_extent(path, s, ph, eh.e_phnum, &low, &end, e))
        return false;
    *out = (struct loaded){.kind = LOAD_ELF, .low = low, .end = end};
    if (relocate_to && !bus_ram(b, low, 1)) {
        out->offset = relocate_to - low;
        out->low += out->offset;
        out->end += out->offset;
        if (out->end < out->low)
            return err_set(e, "%s: ELF segments do not fit in memory", path);
    }
    for (unsigned i = 0; i < eh.e_phnum; i++)
        if (ph[i].p_type == PT_LOAD && ph[i].p_memsz &&
            !load_segment(b, path, s, &ph[i], ph[i].p_paddr + out->offset, e))
            return false;
    out->entry = elf_phys(ph, eh.e_phnum, out->offset, eh.e_entry);
    load_symbols(s, &eh, ph, eh.e_phnum, out);
    return true;
}

static bool load_any(struct bus *b, const char *path, gpa image_base, gpa raw_base, bool image, bool elf, bool relocate,
                     struct loaded *out, struct err *e)
{
    struct source *s = source_open(path, image, e);
    uint8_t head[IMAGE_HEADER] = {0};
    uint64_t got = 0, len;
    bool ok;

    memset(out, 0, sizeof *out);
    if (!s)
        return false;
    ok = source_read(s, head, sizeof head, &got, e);
    if (ok && !got)
        ok = err_set(e, "%s: empty file", path);
    if (!ok) {
        source_close(s);
        return false;
    }
    if (image && is_image(head, got)) {
        ok = load_image(b, path, s, head, image_base, raw_base, out, e);
    } else if (elf && got >= 4 && !memcmp(head, ELFMAG, SELFMAG)) {
        ok = source_packed(s) ? err_set(e, "%s: a packed ELF file; unpack it first", path)
                              : load_elf(b, path, s, image_base, relocate ? raw_base : 0, out, e);
    } else {
        ok = source_rewind(s, e) && stream(b, path, s, raw_base, UINT64_MAX - raw_base, &len, e);
        if (ok)
            *out = (struct loaded){.kind = LOAD_RAW, .entry = raw_base, .low = raw_base, .end = raw_base + len};
    }
    source_close(s);
    return ok;
}

bool load_kernel(struct bus *b, const char *path, gpa ram_base, gpa raw_base, struct loaded *out, struct err *e)
{
    return load_any(b, path, ram_base, raw_base, true, true, true, out, e);
}

bool load_firmware(struct bus *b, const char *path, gpa base, struct loaded *out, struct err *e)
{
    return load_any(b, path, base, base, false, true, false, out, e);
}

bool load_file(struct bus *b, const char *path, bool has_addr, gpa addr, bool raw, struct loaded *out, struct err *e)
{
    struct source *s;
    uint8_t magic[4] = {0};
    uint64_t got;
    bool elf;

    if (!has_addr && raw)
        return err_set(e, "%s: needs addr=ADDR", path);
    if (has_addr || raw)
        return load_any(b, path, addr, addr, false, !raw, false, out, e);
    s = source_open(path, false, e);
    if (!s || !source_read(s, magic, sizeof magic, &got, e)) {
        source_close(s);
        return false;
    }
    elf = got == 4 && !memcmp(magic, ELFMAG, SELFMAG);
    source_close(s);
    return elf ? load_any(b, path, 0, 0, false, true, false, out, e)
               : err_set(e, "%s: not ELF, so it needs addr=ADDR", path);
}

bool load_raw(struct bus *b, const char *path, gpa addr, uint64_t max, uint64_t *len, struct err *e)
{
    struct source *s = source_open(path, false, e);
    bool ok = s && stream(b, path, s, addr, max, len, e);

    source_close(s);
    return ok;
}

bool loader_looks_like_kernel(const char *path, struct err *e)
{
    struct source *s;
    uint8_t head[IMAGE_HEADER] = {0};
    uint64_t got = 0;
    bool yes;
    struct stat st;

    e->msg[0] = 0;
    if (stat(path, &st) < 0)
        return err_set(e, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return false;
    s = source_open(path, false, e);
    if (!s)
        return false;
    yes = source_read(s, head, sizeof head, &got, e) &&
          (is_image(head, got) || !memcmp(head, ELFMAG, SELFMAG) || (head[0] == 0x1f && head[1] == 0x8b) ||
           ld32(head) == UINT32_C(0xfd2fb528) || (!memcmp(head, "MZ", 2) && !memcmp(head + 4, "zimg", 4)));
    source_close(s);
    return yes;
}

void *file_read_all(const char *path, uint64_t max, uint64_t *len, struct err *e)
{
    struct source *s = source_open(path, false, e);
    uint8_t *buf = NULL;
    uint64_t size, got;

    if (!s)
        return NULL;
    size = source_file_size(s);
    if (size > max)
        err_set(e, "%s: larger than %" PRIu64 " bytes", path, max);
    else if (!(buf = malloc(size + 1)))
        err_set(e, "out of memory");
    else if (!source_read(s, buf, size, &got, e) || got != size) {
        free(buf);
        buf = NULL;
    } else {
        buf[size] = 0;
        *len = size;
    }
    source_close(s);
    return buf;
}
