/* Kernels, programs and damaged files into guest memory. Files are made by hand from the formats' specifications. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "frontend/loader.h"
#include "mmu/bus.h"
#include "tests/unit/check.h"

enum { RAM = 0x80000000u, MIB = 1 << 20 };

static struct bus *bus;
static struct err e;
static struct loaded out;
static char path[] = "/tmp/guise-loader-XXXXXX";

static int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    bus = bus_new(NULL);
    return !bus || !bus_add_ram(bus, "ram", RAM, 16 * MIB, &e);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    bus_free(bus);
    return 0;
}

static void put(const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    CHECK_EQ(fwrite(data, 1, len, f), len);
    fclose(f);
}

static bool load(void)
{
    e.msg[0] = 0;
    return load_kernel(bus, path, RAM, RAM + 2 * MIB, &out, &e);
}

static void expect_failure(const char *part)
{
    if (load() || !strstr(e.msg, part) || !strstr(e.msg, path) || strchr(e.msg, '\n'))
        fail_msg("expected one line with the file and '%s', got '%s'", part, e.msg);
}

/* Documentation/arch/riscv/boot-image-header.rst */
static void image_header(uint8_t *h, uint64_t text_offset, uint64_t image_size)
{
    memset(h, 0, 64);
    st32(h, 0x5a4d);
    st64(h + 8, text_offset);
    st64(h + 16, image_size);
    memcpy(h + 48, "RISCV\0\0", 8);
    memcpy(h + 56, "RSC\x05", 4);
}

static void fill_image(uint8_t *image, size_t len, uint64_t image_size)
{
    for (size_t i = 0; i < len; i++)
        image[i] = (uint8_t)(i * 7);
    image_header(image, 2 * MIB, image_size);
}

static void check_image(const uint8_t *image, size_t len)
{
    CHECK_EQ(out.kind, LOAD_IMAGE);
    CHECK_EQ(out.entry, RAM + 2 * MIB);
    CHECK_EQ(out.end, RAM + 2 * MIB + 3 * MIB);
    CHECK(!memcmp(bus_ram(bus, out.entry, len), image, len));
    memset(bus_ram(bus, out.entry, len), 0, len);
}

static void images_plain_and_packed(void **state)
{
    static uint8_t image[100000], packed[120000], zboot[121000];
    uint8_t *p = packed;
    z_stream z = {0};
    size_t len;

    (void)state;
    fill_image(image, sizeof image, 3 * MIB);
    put(image, sizeof image);
    CHECK(load());
    check_image(image, sizeof image);

    CHECK_EQ(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = image;
    z.avail_in = sizeof image;
    z.next_out = p;
    z.avail_out = sizeof packed;
    CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    len = z.total_out;
    deflateEnd(&z);
    put(packed, len);
    CHECK(load());
    check_image(image, sizeof image);
    put(packed, len / 2);
    expect_failure("truncated gzip");
    packed[len / 2] ^= 0xff;
    packed[len / 2 + 1] ^= 0xff;
    put(packed, len);
    CHECK(!load());
    packed[len / 2] ^= 0xff;
    packed[len / 2 + 1] ^= 0xff;

    /* drivers/firmware/efi/libstub/zboot-header.S */
    memcpy(zboot, "MZ\0\0zimg", 8);
    st32(zboot + 8, 512);
    st32(zboot + 12, (uint32_t)len);
    memcpy(zboot + 24, "gzip", 5);
    memcpy(zboot + 512, packed, len);
    put(zboot, 512 + len);
    CHECK(load());
    check_image(image, sizeof image);
    put(zboot, 512 + len - 100);
    expect_failure("truncated EFI zboot");
    memcpy(zboot + 24, "lzma", 5);
    put(zboot, 512 + len);
    expect_failure("lzma");

    len = ZSTD_compress(packed, sizeof packed, image, sizeof image, 3);
    CHECK(!ZSTD_isError(len));
    put(packed, len);
    CHECK(load());
    check_image(image, sizeof image);
    put(packed, len - 7);
    expect_failure("zstd");
}

static void image_headers_that_lie(void **state)
{
    static uint8_t image[4096];

    (void)state;
    fill_image(image, sizeof image, 64 * UINT64_C(1024) * MIB);
    put(image, sizeof image);
    expect_failure("does not fit in memory");
    image_header(image, 2 * MIB, UINT64_MAX - 100);
    put(image, sizeof image);
    expect_failure("wraps");
    image_header(image, UINT64_MAX & ~UINT64_C(0x1fffff), 0x400000);
    put(image, sizeof image);
    CHECK(!load());
    image_header(image, 0x1234, 8192);
    put(image, sizeof image);
    expect_failure("text_offset");
    image_header(image, 2 * MIB, 100);
    put(image, sizeof image);
    expect_failure("image_size");
    put(image, 0);
    expect_failure("empty file");
    image_header(image, 2 * MIB, 3 * MIB); /* EFI stub: one section of 2048 bytes from 512 */
    st32(image + 0x3c, 0x40);
    memset(image + 0x40, 0, 400);
    memcpy(image + 0x40, "PE\0\0", 4);
    st16(image + 0x46, 1);
    st16(image + 0x54, 160);
    st32(image + 0x40 + 24 + 160 + 16, 2048);
    st32(image + 0x40 + 24 + 160 + 20, 512);
    put(image, 2560);
    CHECK(load());
    put(image, 2559);
    expect_failure("truncated");
    put(image, 0x48);
    CHECK(load() || strstr(e.msg, "truncated"));
}

struct program {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[2];
    uint8_t code[64];
    Elf64_Sym sym[3];
    char str[32];
    Elf64_Shdr sh[3];
};

static struct program make_program(gpa paddr)
{
    struct program p;

    memset(&p, 0, sizeof p);
    memcpy(p.eh.e_ident, ELFMAG, 4);
    p.eh.e_ident[EI_CLASS] = ELFCLASS64;
    p.eh.e_ident[EI_DATA] = ELFDATA2LSB;
    p.eh.e_type = ET_EXEC;
    p.eh.e_machine = EM_RISCV;
    p.eh.e_phoff = offsetof(struct program, ph);
    p.eh.e_phentsize = sizeof(Elf64_Phdr);
    p.eh.e_phnum = 2;
    p.eh.e_shoff = offsetof(struct program, sh);
    p.eh.e_shentsize = sizeof(Elf64_Shdr);
    p.eh.e_shnum = 3;
    p.eh.e_entry = 0xffffffff80000010;
    p.ph[0] = (Elf64_Phdr){.p_type = PT_NOTE};
    p.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_offset = offsetof(struct program, code),
                           .p_vaddr = 0xffffffff80000000,
                           .p_paddr = paddr,
                           .p_filesz = sizeof p.code,
                           .p_memsz = 8192};
    memset(p.code, 0x5a, sizeof p.code);
    memcpy(p.str, "\0tohost\0begin_signature", 24);
    p.sym[1] = (Elf64_Sym){.st_name = 1, .st_shndx = 1, .st_value = 0xffffffff80001000};
    p.sym[2] = (Elf64_Sym){.st_name = 8, .st_shndx = 1, .st_value = 0xffffffff80001800};
    p.sh[1] = (Elf64_Shdr){
        .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct program, sym), .sh_size = sizeof p.sym, .sh_link = 2};
    p.sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct program, str), .sh_size = sizeof p.str};
    return p;
}

static void elf_programs(void **state)
{
    struct program p = make_program(RAM);
    uint8_t *ram = bus_ram(bus, RAM, 8192);

    (void)state;
    memset(ram, 0xff, 8192);
    put(&p, sizeof p);
    CHECK(load());
    CHECK_EQ(out.kind, LOAD_ELF);
    CHECK_EQ(out.entry, RAM + 0x10);
    CHECK_EQ(out.low, RAM);
    CHECK_EQ(out.end, RAM + 8192);
    CHECK_EQ(out.tohost, RAM + 0x1000);
    CHECK_EQ(out.begin_signature, RAM + 0x1800);
    CHECK_EQ(out.end_signature, 0);
    CHECK_EQ(ram[63], 0x5a);
    CHECK_EQ(ram[64], 0); /* the rest of the segment is cleared */
    CHECK_EQ(ram[8191], 0);
    p = make_program(RAM - 16); /* headers linked in front of the code: left out, nothing moves */
    p.code[16] = 0x77;
    put(&p, sizeof p);
    CHECK(load());
    CHECK_EQ(out.low, RAM);
    CHECK_EQ(ram[0], 0x77);
    CHECK_EQ(out.tohost, RAM - 16 + 0x1000);
    CHECK_EQ(out.entry, RAM);
    p = make_program(0); /* as vmlinux: physical addresses from 0, moved to where kernels go */
    put(&p, sizeof p);
    CHECK(load());
    CHECK_EQ(out.entry, RAM + 2 * MIB + 0x10);
    CHECK_EQ(out.tohost, RAM + 2 * MIB + 0x1000);
}

static void elf_headers_that_lie(void **state)
{
    struct program p = make_program(RAM);

    (void)state;
    p.eh.e_machine = EM_AARCH64;
    put(&p, sizeof p);
    expect_failure("for another machine");
    p = make_program(RAM);
    p.eh.e_ident[EI_CLASS] = ELFCLASS32;
    put(&p, sizeof p);
    expect_failure("64-bit");
    p = make_program(RAM);
    p.ph[1].p_memsz = UINT64_MAX - 4;
    put(&p, sizeof p);
    expect_failure("wrong size");
    p = make_program(RAM);
    p.ph[1].p_memsz = UINT64_C(1) << 40;
    put(&p, sizeof p);
    expect_failure("does not fit in memory");
    p = make_program(RAM);
    p.ph[1].p_offset = UINT64_MAX - 8;
    put(&p, sizeof p);
    expect_failure("truncated");
    p = make_program(RAM);
    p.ph[1].p_filesz = 8193;
    put(&p, sizeof p);
    expect_failure("wrong size");
    p = make_program(RAM);
    p.eh.e_phoff = UINT64_MAX;
    put(&p, sizeof p);
    expect_failure("truncated");
    p = make_program(RAM);
    p.eh.e_phnum = 0xffff;
    put(&p, sizeof p);
    expect_failure("program header");
    p = make_program(RAM);
    put(&p, 40);
    expect_failure("truncated");
    p = make_program(RAM); /* damaged symbols only mean that there are none */
    p.sh[1].sh_size = UINT64_MAX;
    p.sh[2].sh_offset = UINT64_MAX;
    put(&p, sizeof p);
    CHECK(load());
    CHECK_EQ(out.tohost, 0);
    p = make_program(RAM);
    p.eh.e_shoff = UINT64_MAX - 10;
    put(&p, sizeof p);
    CHECK(load());
}

static void raw_files(void **state)
{
    static uint8_t raw[3 * MIB];
    uint64_t len;

    (void)state;
    memset(raw, 0x77, sizeof raw);
    put(raw, sizeof raw);
    CHECK(load());
    CHECK_EQ(out.kind, LOAD_RAW);
    CHECK_EQ(out.entry, RAM + 2 * MIB);
    CHECK_EQ(out.end, RAM + 5 * MIB);
    CHECK(load_raw(bus, path, RAM + 8 * MIB, 4 * MIB, &len, &e));
    CHECK_EQ(len, sizeof raw);
    CHECK(!load_raw(bus, path, RAM + 8 * MIB, 1 * MIB, &len, &e));
    CHECK(strstr(e.msg, "larger than"));
    CHECK(!load_raw(bus, path, RAM + 15 * MIB, UINT64_MAX, &len, &e));
    CHECK(strstr(e.msg, "does not fit"));
    CHECK(load_file(bus, path, true, RAM + MIB, false, &out, &e));
    CHECK_EQ(out.low, RAM + MIB);
    CHECK(!load_file(bus, path, false, 0, false, &out, &e));
    CHECK(strstr(e.msg, "needs addr="));
    CHECK(!load_kernel(bus, "/nonexistent", RAM, RAM, &out, &e));
    CHECK(strstr(e.msg, "/nonexistent: No such file"));
    CHECK(!load_kernel(bus, "/tmp", RAM, RAM, &out, &e));
    CHECK_STR(e.msg, "/tmp: is a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_plain_and_packed),
        cmocka_unit_test(image_headers_that_lie),
        cmocka_unit_test(elf_programs),
        cmocka_unit_test(elf_headers_that_lie),
        cmocka_unit_test(raw_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
