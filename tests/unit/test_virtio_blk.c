/* virtio-blk over a raw file, through the mmio transport. Expected values: virtio 1.2, section 5.2, and the file itself. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "devices/virtio_blk.h"
#include "images/block.h"
#include "tests/unit/virtio_guest.h"

enum { SECTORS = 256, OK = 0, IOERR = 1, UNSUPP = 2, F_RO = 5, F_FLUSH = 9, F_CONFIG_WCE = 11, F_MQ = 12 };
#define DISCARD_ZEROES (UINT64_C(3) << 13)

static char path[64];
static struct vg g;
static struct vg_queue q[4];
static struct virtio_dev *v;
static struct block *blk;

static void begin_with(bool legacy, uint64_t features, struct virtio_blk_options o, struct block_options b)
{
    unsigned char buf[SECTORS * 512];
    struct err e = {""};
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (unsigned char)(i / 512);
    CHECK_EQ(write(fd, buf, sizeof buf), sizeof buf);
    close(fd);
    vg_init(&g, legacy);
    b.path = path;
    o.block = blk = block_open(&b, &e);
    if (!blk)
        fail_msg("%s", e.msg);
    v = virtio_blk_new(&g.env, "disk0", &o, &e);
    if (!v)
        fail_msg("%s", e.msg);
    vg_plug(&g, v);
    vg_begin(&g, features);
    for (unsigned i = 0; i < (o.queues ? o.queues : 1); i++) {
        vg_queue_init(&g, &q[i], i, 64);
        vg_queue_on(&q[i]);
    }
    vg_go(&g);
}

static void begin(uint64_t features)
{
    begin_with(false, features, (struct virtio_blk_options){0}, (struct block_options){0});
}

static void end(void)
{
    device_free(&v->dev);
    block_close(blk);
    vg_fini(&g);
}

struct sent {
    gpa header, data, status;
    unsigned id;
};

static struct sent send_to(struct vg_queue *to, uint32_t type, uint64_t sector, uint32_t len, bool to_guest)
{
    struct sent s = {vg_alloc(&g, 16, 16), vg_alloc(&g, len, 16), vg_alloc(&g, 1, 1), 0};
    struct vg_buf b[] = {{s.header, 16, false}, {s.data, len, to_guest}, {s.status, 1, true}};
    uint8_t *h = vg_host(&g, s.header);

    st32(h, type);
    st32(h + 4, 0);
    st64(h + 8, sector);
    *vg_host(&g, s.status) = 0xee;
    if (!len)
        b[1] = b[2];
    s.id = vg_add(to, b, len ? 3 : 2, false);
    return s;
}

/* Status of a request whose data comes from or goes to buf. */
static int request(uint32_t type, uint64_t sector, void *buf, uint32_t len, bool to_guest, uint32_t *used)
{
    struct sent s = {vg_alloc(&g, 16, 16), 0, 0, 0};
    unsigned id;
    uint32_t n;
    gpa mark = g.next;

    s = send_to(&q[0], type, sector, len, to_guest);
    if (!to_guest && len)
        memcpy(vg_host(&g, s.data), buf, len);
    vg_kick(&q[0]);
    CHECK(vg_wait(&q[0], &id, &n));
    CHECK_EQ(id, s.id);
    if (to_guest && len)
        memcpy(buf, vg_host(&g, s.data), len);
    if (used)
        *used = n;
    id = *vg_host(&g, s.status);
    g.next = mark;
    return (int)id;
}

static int rd_sector(uint64_t sector, void *buf, uint32_t len) { return request(0, sector, buf, len, true, NULL); }
static int wr_sector(uint64_t sector, void *buf, uint32_t len) { return request(1, sector, buf, len, false, NULL); }

static uint64_t config(unsigned off, unsigned size)
{
    uint64_t val;

    CHECK(bus_read(g.env.bus, VG_SLOT + 0x100 + off, size, &val));
    return val;
}

static void file_at(uint64_t off, void *buf, size_t len)
{
    int fd = open(path, O_RDONLY);

    CHECK_EQ(pread(fd, buf, len, (off_t)off), len);
    close(fd);
}

static void configuration_space(void **state)
{
    (void)state;
    begin_with(false, 0, (struct virtio_blk_options){.queues = 4, .queue_size = 128}, (struct block_options){0});
    CHECK_EQ(config(0, 8), SECTORS);
    CHECK_EQ(config(0, 4), SECTORS);
    CHECK_EQ(config(12, 4), 126); /* seg_max */
    CHECK_EQ(config(20, 4), 512); /* blk_size */
    CHECK_EQ(config(32, 1), 0);   /* writeback: FLUSH not accepted, so write-through */
    CHECK_EQ(config(34, 2), 4);   /* num_queues */
    CHECK_EQ(config(40, 4), 1);   /* max_discard_seg */
    CHECK_EQ(config(56, 1), 1);   /* write_zeroes_may_unmap */
    CHECK_EQ(config(60, 4), 0);
    vg_wr(&g, 0x014, 0);
    CHECK_EQ(vg_rd(&g, 0x010) >> F_MQ & 1, 1);
    CHECK_EQ(vg_rd(&g, 0x010) >> F_RO & 1, 0);
    end();
}

static void reads_give_the_file_and_writes_reach_it(void **state)
{
    unsigned char buf[4096], seen[4096];
    uint32_t used;

    (void)state;
    for (int legacy = 0; legacy < 2; legacy++) {
        begin_with(legacy, 1u << F_FLUSH, (struct virtio_blk_options){0}, (struct block_options){0});
        CHECK_EQ(request(0, 3, buf, 4096, true, &used), OK);
        CHECK_EQ(used, 4097);
        file_at(3 * 512, seen, 4096);
        CHECK(!memcmp(buf, seen, 4096));
        CHECK(g.irq);
        memset(buf, 0xa5, sizeof buf);
        CHECK_EQ(request(1, 10, buf, 1024, false, &used), OK);
        CHECK_EQ(used, 1);
        CHECK_EQ(request(4, 0, NULL, 0, false, NULL), OK);
        file_at(9 * 512, seen, 2048);
        CHECK_EQ(seen[511], 9);
        CHECK_EQ(seen[512], 0xa5);
        CHECK_EQ(seen[512 + 1023], 0xa5);
        CHECK_EQ(seen[512 + 1024], 12);
        CHECK_EQ(rd_sector(SECTORS - 1, buf, 512), OK);
        CHECK_EQ(wr_sector(0, buf, 0), OK);
        end();
    }
}

static void outside_the_disk_is_an_error(void **state)
{
    unsigned char buf[1024] = {0};
    struct stat st;

    (void)state;
    begin(0);
    CHECK_EQ(rd_sector(SECTORS - 1, buf, 1024), IOERR);
    CHECK_EQ(rd_sector(SECTORS, buf, 512), IOERR);
    CHECK_EQ(rd_sector(UINT64_MAX, buf, 512), IOERR);
    CHECK_EQ(rd_sector(UINT64_C(1) << 55, buf, 512), IOERR); /* times 512 it wraps to 0 */
    CHECK_EQ(wr_sector(SECTORS, buf, 512), IOERR);
    CHECK_EQ(wr_sector(SECTORS - 1, buf, 1024), IOERR);
    CHECK_EQ(rd_sector(0, buf, 100), IOERR);
    CHECK_EQ(wr_sector(0, buf, 513), IOERR);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_size, SECTORS * 512);
    CHECK_EQ(vg_rd(&g, 0x070), 15);
    end();
}

static void read_only_disk(void **state)
{
    unsigned char buf[512] = {0}, range[16] = {0};

    (void)state;
    begin_with(false, 1u << F_RO, (struct virtio_blk_options){0}, (struct block_options){.read_only = true});
    CHECK_EQ(vg_rd(&g, 0x010) >> F_RO & 1, 1);
    CHECK_EQ(vg_rd(&g, 0x010) >> 13 & 3, 0);
    CHECK_EQ(rd_sector(1, buf, 512), OK);
    CHECK_EQ(wr_sector(1, buf, 512), IOERR);
    CHECK_EQ(request(13, 0, range, 16, false, NULL), UNSUPP);
    CHECK_EQ(request(4, 0, NULL, 0, false, NULL), OK);
    end();
    begin_with(false, 0, (struct virtio_blk_options){0}, (struct block_options){.read_only = true});
    CHECK_EQ(wr_sector(1, buf, 512), IOERR); /* also for a driver that did not take the feature */
    end();
}

static void unknown_requests_are_unsupported(void **state)
{
    unsigned char buf[512] = {0};
    static const uint32_t types[] = {2, 3, 5, 7, 9, 10, 14, 16, 0x7fffffff};

    (void)state;
    begin(0);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        CHECK_EQ(request(types[i], 0, buf, 512, true, NULL), UNSUPP);
    end();
}

static void serial_number(void **state)
{
    char id[21] = {0};
    uint32_t used;

    (void)state;
    begin_with(false, 0, (struct virtio_blk_options){.serial = "ROOT-1"}, (struct block_options){0});
    CHECK_EQ(request(8, 0, id, 20, true, &used), OK);
    CHECK_STR(id, "ROOT-1");
    CHECK_EQ(used, 21);
    end();
    begin_with(false, 0, (struct virtio_blk_options){.serial = "longer-than-twenty-bytes"}, (struct block_options){0});
    CHECK_EQ(request(8, 0, id, 20, true, NULL), OK);
    CHECK(!memcmp(id, "longer-than-twenty-bytes", 20));
    CHECK_EQ(request(8, 0, id, 5, true, NULL), OK); /* a short buffer is not overrun */
    end();
}

static int range_request(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
    unsigned char range[16];

    st64(range, sector);
    st32(range + 8, count);
    st32(range + 12, flags);
    return request(type, 0, range, 16, false, NULL);
}

static void discard_and_write_zeroes(void **state)
{
    unsigned char seen[4096], two[32] = {0};

    (void)state;
    begin(DISCARD_ZEROES | 1u << F_FLUSH);
    CHECK_EQ(range_request(13, 8, 4, 0), OK);
    CHECK_EQ(range_request(13, 16, 8, 1), OK);
    CHECK_EQ(range_request(11, 32, 8, 0), OK);
    file_at(7 * 512, seen, 4096);
    CHECK_EQ(seen[511], 7);
    for (int i = 512; i < 5 * 512; i++)
        CHECK_EQ(seen[i], 0);
    CHECK_EQ(seen[5 * 512], 12);
    CHECK_EQ(range_request(13, SECTORS - 1, 2, 0), IOERR);
    CHECK_EQ(range_request(11, UINT64_MAX, 1, 0), IOERR);
    CHECK_EQ(range_request(11, 0, UINT32_MAX, 0), IOERR);
    CHECK_EQ(range_request(11, 0, 1, 1), UNSUPP); /* unmap is for write-zeroes only */
    CHECK_EQ(range_request(13, 0, 1, 2), UNSUPP);
    CHECK_EQ(request(13, 0, two, 32, false, NULL), UNSUPP); /* more segments than max_write_zeroes_seg */
    end();
    begin(0);
    CHECK_EQ(range_request(13, 8, 4, 0), UNSUPP); /* not negotiated */
    end();
}

static void write_cache_can_be_switched(void **state)
{
    unsigned char buf[512] = {1};

    (void)state;
    begin(1u << F_FLUSH | 1u << F_CONFIG_WCE);
    CHECK_EQ(config(32, 1), 1);
    CHECK(bus_write(g.env.bus, VG_SLOT + 0x100 + 32, 1, 0));
    CHECK_EQ(config(32, 1), 0);
    CHECK_EQ(wr_sector(1, buf, 512), OK);
    CHECK(bus_write(g.env.bus, VG_SLOT + 0x100 + 32, 1, 0xff));
    CHECK_EQ(config(32, 1), 1);
    CHECK(bus_write(g.env.bus, VG_SLOT + 0x100, 4, 0)); /* capacity is not the driver's to change */
    CHECK_EQ(config(0, 4), SECTORS);
    vg_begin(&g, 0);
    CHECK_EQ(config(32, 1), 1); /* as after reset */
    end();
}

static void host_errors_reach_the_guest_as_ioerr(void **state)
{
    unsigned char buf[512];

    (void)state;
    begin(0);
    CHECK_EQ(truncate(path, 10 * 512), 0); /* somebody cuts the file under us */
    CHECK_EQ(rd_sector(9, buf, 512), OK);
    CHECK_EQ(rd_sector(10, buf, 512), IOERR);
    CHECK_EQ(vg_rd(&g, 0x070), 15);
    end();
}

static void header_and_data_in_any_pieces(void **state)
{
    unsigned id;
    uint32_t len;
    gpa h, d;

    (void)state;
    begin(0);
    h = vg_alloc(&g, 16 + 512, 1);
    d = vg_alloc(&g, 513, 1);
    st32(vg_host(&g, h), 1);
    st64(vg_host(&g, h) + 8, 5);
    memset(vg_host(&g, h) + 16, 0x77, 512);
    struct vg_buf w[] = {{h, 7, false}, {h + 7, 200, false}, {h + 207, 321, false}, {d, 1, true}};
    vg_add(&q[0], w, 4, false);
    vg_kick(&q[0]);
    CHECK(vg_wait(&q[0], &id, &len));
    CHECK_EQ(*vg_host(&g, d), OK);
    st32(vg_host(&g, h), 0);
    struct vg_buf r[] = {{h, 16, false}, {d, 100, true}, {d + 100, 413, true}}; /* data and status in one piece */
    vg_add(&q[0], r, 3, true);
    vg_kick(&q[0]);
    CHECK(vg_wait(&q[0], &id, &len));
    CHECK_EQ(len, 513);
    for (int i = 0; i < 512; i++)
        CHECK_EQ(vg_host(&g, d)[i], 0x77);
    CHECK_EQ(vg_host(&g, d)[512], OK);
    end();
}

static void request_without_header_or_status_breaks_the_device(void **state)
{
    struct vg_buf no_status = {VG_RAM, 16, false}, no_header = {VG_RAM, 16, true};
    struct vg_buf shorter[] = {{VG_RAM, 15, false}, {VG_RAM, 1, true}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(0);
        vg_add(&q[0], i == 0 ? &no_status : i == 1 ? &no_header : shorter, i == 2 ? 2 : 1, false);
        vg_kick(&q[0]);
        CHECK(vg_rd(&g, 0x070) & 64);
        end();
    }
}

static void several_queues_with_many_requests(void **state)
{
    struct sent s[4][16];
    unsigned id;
    uint32_t len;

    (void)state;
    begin_with(false, 0, (struct virtio_blk_options){.queues = 4}, (struct block_options){0});
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k++) {
            s[i][k] = send_to(&q[i], k & 1, i * 16 + k, 512, !(k & 1));
            if (k & 1)
                memset(vg_host(&g, s[i][k].data), 0x99, 512);
        }
    for (unsigned i = 0; i < 4; i++)
        vg_kick(&q[i]);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k++)
            CHECK(vg_wait(&q[i], &id, &len));
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k++) {
            CHECK_EQ(*vg_host(&g, s[i][k].status), OK);
            if (!(k & 1))
                CHECK_EQ(*vg_host(&g, s[i][k].data + 511), i * 16 + k);
        }
    end();
}

/* After a reset (or a queue reset) nothing of the old requests may write to the guest. */
static void reset_with_requests_in_flight(void **state)
{
    enum { LEN = 128 << 10, N = 12 }; /* larger than what is served on the spot */
    static struct sent s[N];

    (void)state;
    for (int round = 0; round < 30; round++) {
        begin(UINT64_C(1) << 40);
        for (int i = 0; i < N; i++)
            s[i] = send_to(&q[0], 0, 0, LEN, true);
        vg_kick(&q[0]);
        if (round % 3 == 0) {
            vg_wr(&g, 0x070, 0);
        } else if (round % 3 == 1) {
            vg_wr(&g, 0x030, 0);
            vg_wr(&g, 0x0c0, 1);
        } else {
            device_reset(&v->dev);
        }
        for (int i = 0; i < N; i++)
            memset(vg_host(&g, s[i].data), 0xcc, LEN);
        memset(vg_host(&g, q[0].device), 0xcc, 64);
        usleep(500);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < LEN; k += 512)
                CHECK_EQ(vg_host(&g, s[i].data)[k], 0xcc);
        for (int k = 0; k < 64; k++)
            CHECK_EQ(vg_host(&g, q[0].device)[k], 0xcc);
        end();
    }
}

static void freed_with_requests_in_flight(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        begin(0);
        for (int i = 0; i < 8; i++)
            send_to(&q[0], 0, 0, 128 << 10, true);
        vg_kick(&q[0]);
        end();
    }
}

static void packed_ring_with_event_index(void **state)
{
    unsigned char buf[512];

    (void)state;
    begin_with(false, VG_PACKED | VG_EVENT_IDX, (struct virtio_blk_options){.packed = true}, (struct block_options){0});
    for (unsigned i = 0; i < 100; i++) {
        struct sent s = send_to(&q[0], 0, i, 512, true);
        unsigned id;
        uint32_t len;

        vg_kick(&q[0]);
        CHECK(vg_wait(&q[0], &id, &len));
        q[0].used = (uint16_t)(q[0].used + 2); /* three descriptors */
        if (q[0].used >= q[0].size) {
            q[0].used = (uint16_t)(q[0].used - q[0].size);
            q[0].used_wrap = !q[0].used_wrap;
        }
        CHECK_EQ(id, s.id);
        memcpy(buf, vg_host(&g, s.data), 512);
        CHECK_EQ(buf[0], i);
        CHECK_EQ(*vg_host(&g, s.status), OK);
    }
    end();
}

static int set_up(void **state)
{
    int fd;

    (void)state;
    snprintf(path, sizeof path, "/tmp/guise-disk-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static void the_driver_sees_a_disk_grow(void **state)
{
    uint32_t before;
    struct err e;

    (void)state;
    begin(0);
    before = vg_rd(&g, 0x0fc); /* generation of the configuration */
    CHECK_EQ(config(0, 8), SECTORS);
    CHECK(block_resize(blk, 2 * SECTORS * 512, &e));
    virtio_blk_resized(v);
    CHECK_EQ(config(0, 8), 2 * SECTORS);
    CHECK(vg_rd(&g, 0x0fc) != before);
    CHECK_EQ(vg_rd(&g, 0x060) & 2, 2); /* a configuration interrupt (4.2.2) */
    unsigned char buf[512] = {7};
    CHECK_EQ(wr_sector(2 * SECTORS - 1, buf, 512), OK);
    CHECK_EQ(wr_sector(2 * SECTORS, buf, 512), IOERR);
    end();
}

static void block_sizes_are_as_asked(void **state)
{
    struct virtio_blk_options o = {.block_size = 4096, .physical_size = 16384, .writethrough = true};
    unsigned char buf[4096] = {0};
    struct err e;

    (void)state;
    begin_with(false, UINT64_C(1) << F_FLUSH | UINT64_C(1) << F_CONFIG_WCE, o, (struct block_options){0});
    CHECK_EQ(config(20, 4), 4096);
    CHECK_EQ(config(24, 1), 2); /* four blocks in a physical one */
    CHECK_EQ(config(32, 1), 0); /* the write cache starts switched off */
    CHECK_EQ(rd_sector(8, buf, 4096), OK);
    CHECK_EQ(rd_sector(1, buf, 4096), IOERR);
    CHECK_EQ(rd_sector(8, buf, 512), IOERR);
    o.block = blk;
    o.block_size = 1000;
    CHECK(!virtio_blk_new(&g.env, "other", &o, &e));
    o.block_size = 4096;
    o.physical_size = 512;
    CHECK(!virtio_blk_new(&g.env, "other", &o, &e));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_space),
        cmocka_unit_test(reads_give_the_file_and_writes_reach_it),
        cmocka_unit_test(outside_the_disk_is_an_error),
        cmocka_unit_test(read_only_disk),
        cmocka_unit_test(unknown_requests_are_unsupported),
        cmocka_unit_test(serial_number),
        cmocka_unit_test(discard_and_write_zeroes),
        cmocka_unit_test(write_cache_can_be_switched),
        cmocka_unit_test(host_errors_reach_the_guest_as_ioerr),
        cmocka_unit_test(header_and_data_in_any_pieces),
        cmocka_unit_test(request_without_header_or_status_breaks_the_device),
        cmocka_unit_test(several_queues_with_many_requests),
        cmocka_unit_test(reset_with_requests_in_flight),
        cmocka_unit_test(freed_with_requests_in_flight),
        cmocka_unit_test(packed_ring_with_event_index),
        cmocka_unit_test(the_driver_sees_a_disk_grow),
        cmocka_unit_test(block_sizes_are_as_asked),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
