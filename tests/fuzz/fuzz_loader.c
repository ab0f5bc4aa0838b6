/*
 * Fuzz target: any bytes as a kernel, as firmware and as a file of -device loader. Each either loads inside RAM or is
 * refused with one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/loader.h"
#include "mmu/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_SIZE = 8 << 20 };

static void check(const struct loaded *l)
{
    if (l->end < l->low || l->low < 0x80000000u || l->end > UINT64_C(0x80000000) + RAM_SIZE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {{0}};
    struct bus *bus = bus_new(NULL);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct loaded l;
    char path[64];

    if (!bus || fd < 0 || !bus_add_ram(bus, "ram", 0x80000000, RAM_SIZE, &e) || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (load_kernel(bus, path, 0x80000000, 0x80200000, &l, &e))
        check(&l);
    else if (!e.msg[0] || strchr(e.msg, '\n'))
        abort();
    if (load_firmware(bus, path, 0x80000000, &l, &e))
        check(&l);
    if (load_file(bus, path, false, 0, false, &l, &e))
        check(&l);
    close(fd);
    bus_free(bus);
    return 0;
}
