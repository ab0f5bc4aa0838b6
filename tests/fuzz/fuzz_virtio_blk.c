/* virtio-blk over a file in memory; requests run on worker threads, and resets meet them there. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio_blk.h"
#include "images/block.h"
#include "tests/fuzz/virtio_fuzz.h"

static struct block *disk(bool snapshot)
{
    struct block_options o = {.format = "raw", .snapshot = snapshot, .workers = 2};
    struct block *b;
    char path[64];
    struct err e;
    int fd = memfd_create("disk", 0);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    o.path = path;
    if (fd < 0 || ftruncate(fd, 256 << 10) < 0 || !(b = block_open(&o, &e)))
        abort();
    return b;
}

static struct virtio_dev *make(const struct device_env *env)
{
    static bool second; /* one machine writes through to the file, the other into an overlay */
    struct virtio_blk_options o = {.block = disk(second), .queues = 2, .queue_size = 16, .packed = true};
    struct err e;

    second = true;
    return virtio_blk_new(env, "disk0", &o, &e);
}

static void host(struct vf_in *in) { usleep(vf_take(in, 1) % 50); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    vf_run(make, host, data, len);
    return 0;
}
