/* The ring of frames: order, offload fields, full and empty, two threads, and a far side that writes what it likes. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/ring.h"
#include "tests/unit/check.h"

enum { SIZE = RING_SIZE_MIN, SHARED = 4096, LONGEST = NET_FRAME_MAX };

static struct ring_shared *shared;
static uint8_t *data;
static struct ring tx, rx;
static uint8_t buf[NET_FRAME_MAX];
static struct iovec iov;
static struct net_frame got;

static int setup(void **state)
{
    (void)state;
    shared = aligned_alloc(64, SHARED);
    data = aligned_alloc(64, SIZE);
    memset(shared, 0, SHARED);
    memset(data, 0, SIZE);
    ring_init(&tx, shared, data, SIZE);
    ring_init(&rx, shared, data, SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(shared);
    free(data);
    return 0;
}

/* A frame of len bytes whose contents follow from n. */
static void fill(uint8_t *p, size_t len, uint32_t n)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(n * 31 + i * 7 + (i >> 8));
}

static bool filled(const uint8_t *p, size_t len, uint32_t n)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != (uint8_t)(n * 31 + i * 7 + (i >> 8)))
            return false;
    return true;
}

static enum ring_status put(size_t len, uint32_t n)
{
    static uint8_t bytes[NET_FRAME_MAX];
    struct iovec v = {bytes, len};
    struct net_frame f = {.iov = &v, .iovcnt = 1, .len = len};

    fill(bytes, len, n);
    return ring_write(&tx, &f);
}

static void take(size_t len, uint32_t n)
{
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_OK);
    CHECK_EQ(got.len, len);
    CHECK(filled(buf, len, n));
    ring_consume(&rx);
}

static void a_frame_arrives_with_all_its_fields(void **state)
{
    uint8_t a[20], b[50], all[70];
    struct iovec v[3] = {{a, sizeof a}, {NULL, 0}, {b, sizeof b}};
    struct net_frame f = {v, 3, 60, NET_CSUM_PARTIAL | NET_GSO_ECN, NET_GSO_TCP6, 1440, 74, 54, 16};

    (void)state;
    fill(all, sizeof all, 5);
    memcpy(a, all, sizeof a);
    memcpy(b, all + sizeof a, sizeof b);
    CHECK_EQ(ring_write(&tx, &f), RING_OK);
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_OK);
    CHECK_EQ(got.len, 60);
    CHECK_EQ(got.iovcnt, 1);
    CHECK_EQ(got.iov[0].iov_len, 60);
    CHECK(!memcmp(got.iov[0].iov_base, all, 60));
    CHECK_EQ(got.flags, NET_CSUM_PARTIAL | NET_GSO_ECN);
    CHECK_EQ(got.gso, NET_GSO_TCP6);
    CHECK_EQ(got.gso_size, 1440);
    CHECK_EQ(got.header_len, 74);
    CHECK_EQ(got.csum_start, 54);
    CHECK_EQ(got.csum_offset, 16);
    ring_consume(&rx);
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_WAIT);
}

static void a_frame_that_was_not_consumed_is_shown_again(void **state)
{
    (void)state;
    put(100, 1);
    put(200, 2);
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_OK);
    CHECK_EQ(got.len, 100);
    take(100, 1);
    take(200, 2);
}

static void frames_of_every_length_keep_their_order_around_the_end(void **state)
{
    uint32_t in = 0, out = 0;

    (void)state;
    while (in < 2000) {
        size_t len = in % 7 ? in * 37 % 3000 : in * 97 % (LONGEST + 1);

        if (put(len, in) == RING_OK) {
            in++;
            continue;
        }
        for (int i = 0; i < 3 && out < in; i++, out++)
            take(out % 7 ? out * 37 % 3000 : out * 97 % (LONGEST + 1), out);
    }
    for (; out < in; out++)
        take(out % 7 ? out * 37 % 3000 : out * 97 % (LONGEST + 1), out);
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_WAIT);
}

static void indices_wrap_at_32_bits(void **state)
{
    (void)state;
    tx.pos = tx.other = rx.pos = rx.other = UINT32_MAX - 1023;
    atomic_store(&shared->head, tx.pos);
    atomic_store(&shared->tail, tx.pos);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK_EQ(put(500, i), RING_OK);
        take(500, i);
    }
}

static void a_full_ring_refuses_and_wakes_the_producer_when_half_is_free(void **state)
{
    uint32_t n = 0, freed = 0;

    (void)state;
    while (put(4080, n) == RING_OK) /* 4096 with its header */
        n++;
    CHECK_EQ(n, SIZE / 4096);
    CHECK(put(1, 0) == RING_WAIT);
    do {
        take(4080, freed++);
    } while (freed < n && !ring_wakes_producer(&rx));
    CHECK_EQ(freed, n / 2);
    CHECK(!ring_wakes_producer(&rx)); /* once */
    CHECK_EQ(put(LONGEST, 7), RING_OK);
}

static void who_does_not_wait_is_not_woken(void **state)
{
    (void)state;
    put(64, 1);
    CHECK(!ring_wakes_consumer(&tx));
    take(64, 1);
    CHECK(!ring_wakes_producer(&rx));
}

static void a_sleeper_is_woken_once_for_a_burst(void **state)
{
    (void)state;
    CHECK(ring_sleep(&rx));
    put(64, 1);
    CHECK(ring_wakes_consumer(&tx));
    put(64, 2);
    CHECK(!ring_wakes_consumer(&tx));
    CHECK(!ring_sleep(&rx)); /* there is something */
    take(64, 1);
    take(64, 2);
    CHECK(ring_sleep(&rx));
}

/* --- nonsense ---------------------------------------------------------------------------------------------------- */

static void heads_that_cannot_be_break_the_ring(void **state)
{
    static const uint32_t bad[] = {SIZE + 16, 8, 1, UINT32_MAX, 0x80000000, UINT32_MAX - 15};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        ring_init(&rx, shared, data, SIZE);
        atomic_store(&shared->head, bad[i]);
        CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_BROKEN);
    }
}

static void a_head_that_goes_back_breaks_the_ring(void **state)
{
    (void)state;
    put(64, 1);
    put(64, 2);
    take(64, 1);
    take(64, 2);
    atomic_store(&shared->head, 0);
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_BROKEN);
}

static void tails_that_cannot_be_break_the_ring(void **state)
{
    static const uint32_t bad[] = {SIZE + 4096, 8, 0x80000000, UINT32_MAX - 15};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        memset(shared, 0, SHARED);
        ring_init(&tx, shared, data, SIZE);
        while (tx.pos != SIZE)
            CHECK_EQ(put(4080, 0), RING_OK);
        atomic_store(&shared->tail, bad[i]);
        CHECK_EQ(put(64, 0), RING_BROKEN);
    }
}

static void headers_that_cannot_be_break_the_ring(void **state)
{
    static const uint32_t lengths[] = {49, NET_FRAME_MAX + 1, UINT32_MAX, UINT32_MAX - 15, 0x80000000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        ring_init(&rx, shared, data, SIZE);
        atomic_store(&shared->head, 64); /* room for 48 bytes */
        st32(data, lengths[i]);
        CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_BROKEN);
    }
    st32(data, 48);
    data[5] = NET_GSO_UDP6 + 1;
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_BROKEN);
    data[5] = 0;
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_OK);
}

static void unknown_flags_do_not_come_through(void **state)
{
    (void)state;
    put(64, 1);
    data[4] = 0xff;
    CHECK_EQ(ring_peek(&rx, buf, &iov, &got), RING_OK);
    CHECK_EQ(got.flags, NET_CSUM_PARTIAL | NET_CSUM_VALID | NET_GSO_ECN);
}

/* --- two threads ------------------------------------------------------------------------------------------------- */

enum { FRAMES = 5000 };

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool on;
};
static struct bell to_consumer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
static struct bell to_producer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static void ring_bell(struct bell *b)
{
    pthread_mutex_lock(&b->lock);
    b->on = true;
    pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

static void wait_bell(struct bell *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->on)
        pthread_cond_wait(&b->rung, &b->lock);
    b->on = false;
    pthread_mutex_unlock(&b->lock);
}

static size_t length_of(uint32_t n) { return n % 64 ? n * 13 % 1600 : n * 101 % (LONGEST + 1); }

static void *produce(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < FRAMES; i++) {
        enum ring_status s;

        while ((s = put(length_of(i), i)) == RING_WAIT)
            wait_bell(&to_producer);
        if (s != RING_OK)
            return "broken";
        if (ring_wakes_consumer(&tx))
            ring_bell(&to_consumer);
    }
    return NULL;
}

/* A lost wake-up would leave both sides asleep: the test would not end. */
static void two_threads_lose_no_frame_and_no_wake_up(void **state)
{
    pthread_t t;
    void *failed;

    (void)state;
    CHECK(!pthread_create(&t, NULL, produce, NULL));
    for (uint32_t i = 0; i < FRAMES;) {
        enum ring_status s = ring_peek(&rx, buf, &iov, &got);

        CHECK(s != RING_BROKEN);
        if (s == RING_WAIT) {
            if (ring_sleep(&rx))
                wait_bell(&to_consumer);
            continue;
        }
        CHECK_EQ(got.len, length_of(i));
        CHECK(filled(buf, got.len, i));
        ring_consume(&rx);
        if (ring_wakes_producer(&rx))
            ring_bell(&to_producer);
        i++;
    }
    pthread_join(t, &failed);
    CHECK(!failed);
}

/* --- a hostile far side ------------------------------------------------------------------------------------------ */

struct hostile { /* its own mapping of the same memory, as in another process */
    struct ring_shared *shared;
    uint8_t *data;
    atomic_bool stop;
};

static uint32_t xorshift(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

/* Mostly plausible values, so that the checks behind the first one are reached. */
static void *scribble(void *arg)
{
    struct hostile *h = arg;
    uint32_t x = 2463534242;

    while (!atomic_load(&h->stop)) {
        uint32_t r = xorshift(&x), at = xorshift(&x) % SIZE & ~3u;
        uint32_t v = r & 3 ? xorshift(&x) % (NET_FRAME_MAX + 20) : xorshift(&x);

        if (r & 4)
            v &= ~15u;
        switch (r >> 4 & 7) {
        case 0: atomic_store(&h->shared->head, v); break;
        case 1: atomic_store(&h->shared->tail, v); break;
        case 2: atomic_store(&h->shared->sleeps, v); break;
        case 3: atomic_store(&h->shared->wants_room, v); break;
        case 4: st32(h->data, v); break; /* the record we are at after a fresh start */
        default: st32(h->data + at, v);
        }
    }
    return NULL;
}

static void a_far_side_that_scribbles_cannot_lead_us_out_of_the_ring(void **state)
{
    int fd = memfd_create("ring", MFD_CLOEXEC);
    uint8_t *mine, *theirs;
    struct hostile h = {0};
    unsigned frames = 0, broken = 0;
    pthread_t t;

    (void)state;
    CHECK(fd >= 0 && !ftruncate(fd, SHARED + SIZE));
    mine = mmap(NULL, SHARED + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    theirs = mmap(NULL, SHARED + SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(mine != MAP_FAILED && theirs != MAP_FAILED);
    h.shared = (void *)theirs;
    h.data = theirs + SHARED;
    CHECK(!pthread_create(&t, NULL, scribble, &h));
    for (unsigned i = 0; i < 30000 || frames < 100 || broken < 100; i++) {
        struct ring *r = i & 1 ? &rx : &tx;
        enum ring_status s;

        if (i % 64 < 2)
            ring_init(r, (void *)mine, mine + SHARED, SIZE);
        if (r == &rx && (s = ring_peek(&rx, buf, &iov, &got)) == RING_OK) {
            CHECK(got.len <= NET_FRAME_MAX && got.iov[0].iov_len == got.len && got.gso <= NET_GSO_UDP6);
            ring_consume(&rx);
            frames++;
        } else if (r == &tx) {
            s = put(i % 2000, i);
        }
        broken += s == RING_BROKEN;
        if (s == RING_BROKEN)
            ring_init(r, (void *)mine, mine + SHARED, SIZE);
        ring_wakes_producer(&rx);
        ring_wakes_consumer(&tx);
        ring_sleep(&rx);
    }
    atomic_store(&h.stop, true);
    pthread_join(t, NULL);
    munmap(mine, SHARED + SIZE);
    munmap(theirs, SHARED + SIZE);
    close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_frame_arrives_with_all_its_fields),
        T(a_frame_that_was_not_consumed_is_shown_again),
        T(frames_of_every_length_keep_their_order_around_the_end),
        T(indices_wrap_at_32_bits),
        T(a_full_ring_refuses_and_wakes_the_producer_when_half_is_free),
        T(who_does_not_wait_is_not_woken),
        T(a_sleeper_is_woken_once_for_a_burst),
        T(heads_that_cannot_be_break_the_ring),
        T(a_head_that_goes_back_breaks_the_ring),
        T(tails_that_cannot_be_break_the_ring),
        T(headers_that_cannot_be_break_the_ring),
        T(unknown_flags_do_not_come_through),
        T(two_threads_lose_no_frame_and_no_wake_up),
        T(a_far_side_that_scribbles_cannot_lead_us_out_of_the_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
