/*
 * A teaching kernel's disk driver in small: virtio-mmio slot 0 at its fixed address, one queue, polled.
 *
 * Like xv6 and rCore it speaks the version it was built for and no other: -DVERSION=2 the modern registers, 1 the legacy
 * ones. It prints the first line of sector 0, writes "seen" into sector 1 and ends with PASS.
 */
#include "test.h"

#ifndef VERSION
#define VERSION 2
#endif
#define REG(off) (*(volatile uint32_t *)(0x10001000ul + (off)))

enum { MAGIC = 0, VERS = 4, ID = 8, FEATURES_SEL = 0x14, DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24 };
enum { GUEST_PAGE = 0x28, QUEUE_SEL = 0x30, QUEUE_MAX = 0x34, QUEUE_NUM = 0x38, QUEUE_ALIGN = 0x3c, QUEUE_PFN = 0x40 };
enum { QUEUE_READY = 0x44, NOTIFY = 0x50, STATUS = 0x70, DESC = 0x80, AVAIL = 0x90, USED = 0xa0 };
enum { QUEUE = 8, NEXT = 1, WRITE_ONLY = 2 };

static struct {
    struct desc {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } desc[QUEUE];
    struct {
        volatile uint16_t flags, idx, ring[QUEUE];
    } avail;
    struct {
        volatile uint16_t flags, idx;
        volatile uint32_t elem[2 * QUEUE];
    } used __attribute__((aligned(4096)));
} queue __attribute__((aligned(4096)));

static struct {
    uint32_t type, reserved;
    uint64_t sector;
} request;
static char data[512];
static volatile uint8_t status;

static void transfer(uint32_t type, uint64_t sector)
{
    uint16_t before = queue.used.idx;

    request.type = type;
    request.sector = sector;
    status = 0xff;
    queue.desc[0] = (struct desc){(uint64_t)&request, sizeof request, NEXT, 1};
    queue.desc[1] = (struct desc){(uint64_t)data, sizeof data, (uint16_t)(NEXT | (type ? 0 : WRITE_ONLY)), 2};
    queue.desc[2] = (struct desc){(uint64_t)&status, 1, WRITE_ONLY, 0};
    queue.avail.ring[queue.avail.idx % QUEUE] = 0;
    __asm__ volatile("fence" ::: "memory");
    queue.avail.idx++;
    __asm__ volatile("fence" ::: "memory");
    REG(NOTIFY) = 0;
    while (queue.used.idx == before)
        ;
    __asm__ volatile("fence" ::: "memory");
    CHECK(status == 0);
}

int main(void)
{
    CHECK(REG(MAGIC) == 0x74726976);
    CHECK(REG(VERS) == VERSION);
    CHECK(REG(ID) == 2);
    REG(STATUS) = 0;
    REG(STATUS) = 1;
    REG(STATUS) = 3;
    REG(DRIVER_FEATURES_SEL) = 0;
    REG(DRIVER_FEATURES) = 0;
    if (VERSION == 2) { /* xv6 does not take VERSION_1 either */
        REG(STATUS) = 11;
        CHECK(REG(STATUS) & 8);
    } else {
        REG(GUEST_PAGE) = 4096;
    }
    REG(QUEUE_SEL) = 0;
    CHECK(REG(QUEUE_MAX) >= QUEUE);
    REG(QUEUE_NUM) = QUEUE;
    if (VERSION == 2) {
        REG(DESC) = (uint32_t)(uint64_t)&queue.desc;
        REG(DESC + 4) = (uint32_t)((uint64_t)&queue.desc >> 32);
        REG(AVAIL) = (uint32_t)(uint64_t)&queue.avail;
        REG(AVAIL + 4) = (uint32_t)((uint64_t)&queue.avail >> 32);
        REG(USED) = (uint32_t)(uint64_t)&queue.used;
        REG(USED + 4) = (uint32_t)((uint64_t)&queue.used >> 32);
        REG(QUEUE_READY) = 1;
        REG(STATUS) = 15;
    } else {
        REG(QUEUE_ALIGN) = 4096;
        REG(QUEUE_PFN) = (uint32_t)((uint64_t)&queue >> 12);
        REG(STATUS) = 7;
    }
    transfer(0, 0);
    for (const char *s = data; s < data + sizeof data && *s; s++)
        *(volatile char *)0x10000000 = *s;
    for (unsigned i = 0; i < 4; i++)
        data[i] = "seen"[i];
    transfer(1, 1);
    finish(0, 0);
}
