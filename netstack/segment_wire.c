/* The memory of a link, and the loop that moves frames between a ring and a port. */
#include "netstack/segment_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_msg.h"

enum { CONTROL = 4096 }; /* before the data: both rings' indices */

static size_t memory_size(uint32_t ring_size) { return CONTROL + 2 * (size_t)ring_size; }

int wire_memory(uint32_t ring_size)
{
    int fd = memfd_create("guise-net", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

    if (fd < 0)
        return -1;
    if (!ftruncate(fd, (off_t)memory_size(ring_size)) &&
        !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/*
 * Memory that could shrink, or is made of huge pages that may not be there when they are touched, would end this process
 * by SIGBUS.
 */
static bool safe_memory(int fd, uint32_t ring_size, struct err *e)
{
    struct stat st;
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);

    if (!is_pow2(ring_size) || ring_size < RING_SIZE_MIN || ring_size > RING_SIZE_MAX)
        return err_set(e, "rings of %u bytes", ring_size);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 || st.st_size < (off_t)memory_size(ring_size))
        return err_set(e, "memory that may shrink");
    if (fstatfs(fd, &fs) < 0 || (unsigned long)fs.f_type != TMPFS_MAGIC)
        return err_set(e, "memory of an unknown kind");
    return true;
}

bool wire_map(struct wire *w, int memory, uint32_t ring_size, bool first, struct err *e)
{
    struct ring_shared *control;
    uint8_t *data;

    if (!safe_memory(memory, ring_size, e))
        return false;
    w->map_len = memory_size(ring_size);
    w->map = mmap(NULL, w->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (w->map == MAP_FAILED) {
        w->map = NULL;
        return err_set(e, "no memory for rings: %s", strerror(errno));
    }
    control = w->map;
    data = (uint8_t *)w->map + CONTROL;
    ring_init(first ? &w->tx : &w->rx, &control[0], data, ring_size);
    ring_init(first ? &w->rx : &w->tx, &control[1], data + ring_size, ring_size);
    w->starved = w->held = w->broken = false;
    return true;
}

void wire_close(struct wire *w)
{
    if (w->map)
        munmap(w->map, w->map_len);
    if (w->fd >= 0) {
        shutdown(w->fd, SHUT_RDWR); /* the far side is to notice, even if a forked child has a copy */
        close(w->fd);
    }
    w->map = NULL;
    w->fd = -1;
}

/* A full socket is as good as a bell: the far side has something to read. One that hung up is noticed by its owner. */
static void ring_bell(const struct wire *w) { msg_send(w->fd, MSG_BELL, NULL, 0, -1); }

bool wire_send(struct wire *w, const struct net_frame *f)
{
    enum ring_status s;

    if (!w->map || w->broken)
        return true;
    s = ring_write(&w->tx, f);
    if (s == RING_OK && ring_wakes_consumer(&w->tx))
        ring_bell(w);
    if (s == RING_WAIT)
        w->starved = true;
    if (s == RING_BROKEN)
        w->broken = true;
    return s != RING_WAIT;
}

/* One step of wire_poll; false: nothing more to do now. */
static bool move_one(struct wire *w, void *buf)
{
    struct iovec iov;
    struct net_frame f;

    switch (ring_peek(&w->rx, buf, &iov, &f)) {
    case RING_BROKEN: w->broken = true; return false;
    case RING_WAIT: return !ring_sleep(&w->rx);
    case RING_OK: break;
    }
    if (!net_port_send(w->port, &f)) {
        w->held = true;
        return false;
    }
    ring_consume(&w->rx);
    if (ring_wakes_producer(&w->rx))
        ring_bell(w);
    return true;
}

bool wire_poll(struct wire *w, void *buf)
{
    enum { BURST = 64 }; /* frames of a turn: up to 4 MB, a fraction of a millisecond */

    if (!w->map || w->broken)
        return false;
    if (w->starved && ring_has_room(&w->tx)) {
        w->starved = false;
        net_port_room(w->port);
    }
    for (unsigned i = 0; i < BURST && !w->held; i++)
        if (!move_one(w, buf))
            return false;
    return !w->held;
}
