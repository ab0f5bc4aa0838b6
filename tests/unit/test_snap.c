/* Trees of snapshots: what their files hold, interrupted operations, sets that are damaged. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/snap.h"
#include "images/image.h"
#include "tests/unit/check.h"

enum { SIZE = 4 << 20 };

static char dir[64], path[256], disk[256];
static struct err err;

static void name(char *out, const char *file) { snprintf(out, 256, "%s/%s", dir, file); }

static int setup(void **state)
{
    struct image_create c = {.format = "qcow2", .size = SIZE};

    (void)state;
    strcpy(dir, "/tmp/guise-snap-XXXXXX");
    CHECK(mkdtemp(dir));
    name(path, "vm.snaps");
    name(disk, "a.qcow2");
    c.path = disk;
    CHECK(image_create(&c, &err));
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct image *open_disk(const char *file, bool write)
{
    struct image *img = image_open(file, &(struct image_options){.format = "qcow2", .read_only = !write}, &err);

    if (!img)
        fail_msg("%s", err.msg);
    return img;
}

static void put(uint64_t off, uint8_t byte)
{
    struct image *img = open_disk(disk, true);

    CHECK(!image_pwrite(img, &byte, off, 1, 0));
    image_close(img);
}

static uint8_t get(const char *file, uint64_t off)
{
    struct image *img = open_disk(file, false);
    uint8_t byte;

    CHECK(!image_pread(img, &byte, off, 1));
    image_close(img);
    return byte;
}

static struct snap_set *begin(void)
{
    const char *disks[] = {disk};
    struct snap_set *s = snap_exists(path) ? snap_open(path, &err) : snap_new(path, disks, 1, &err);

    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

static void take(const char *what)
{
    struct snap_set *s = begin();

    if (!snap_take(s, snap_head(s, NULL, &err), what, &err))
        fail_msg("%s", err.msg);
    snap_close(s);
}

static void a_snapshot_keeps_and_the_disk_goes_on(void **state)
{
    char layer[256];

    (void)state;
    put(0, 1);
    take("one");
    put(0, 2);
    take("two");
    put(0, 3);
    name(layer, "a@1.qcow2");
    CHECK_EQ(get(layer, 0), 1);
    CHECK_EQ(access(layer, F_OK), 0);
    name(layer, "a@2.qcow2");
    CHECK_EQ(get(layer, 0), 2);
    CHECK_EQ(get(disk, 0), 3);
}

static void restore_asks_before_it_throws_away(void **state)
{
    struct snap_set *s;

    (void)state;
    put(0, 1);
    take("one");
    s = begin();
    CHECK(snap_restore(s, snap_head(s, NULL, &err), snap_find(s, "one", &err), false, &err)); /* nothing to lose */
    snap_close(s);
    put(0, 2);
    s = begin();
    CHECK(!snap_restore(s, snap_head(s, NULL, &err), snap_find(s, "one", &err), false, &err));
    CHECK_EQ(get(disk, 0), 2);
    CHECK(snap_restore(s, snap_head(s, NULL, &err), snap_find(s, "one", &err), true, &err));
    snap_close(s);
    CHECK_EQ(get(disk, 0), 1);
}

/* Between its two halves: the next one who opens the set completes it. */
static void a_take_that_was_interrupted_is_completed(void **state)
{
    const uint64_t sizes[] = {SIZE};
    struct snap_set *s;
    char layer[256];

    (void)state;
    put(0, 1);
    s = begin();
    CHECK(snap_take_begin(s, snap_head(s, NULL, &err), "one", sizes, &err));
    snap_close(s);
    CHECK(snap_interrupted(path));
    CHECK_EQ(get(disk, 0), 1); /* the disk is whole meanwhile */
    s = begin();
    CHECK(snap_find(s, "one", &err));
    CHECK_EQ(s->journal.op, SNAP_NONE);
    snap_close(s);
    name(layer, "a@1.qcow2");
    CHECK_EQ(get(layer, 0), 1);
    put(0, 5);
    CHECK_EQ(get(layer, 0), 1);
}

static bool no_further(void *arg, uint64_t done, uint64_t all)
{
    (void)done;
    (void)all;
    return --*(int *)arg > 0;
}

static void a_delete_that_was_stopped_goes_on(void **state)
{
    struct snap_set *s;
    int steps = 1;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        put(i << 20, 1);
    take("one");
    put(3 << 20, 2);
    take("two");
    put(0, 3);
    s = begin();
    CHECK(!snap_delete(s, snap_find(s, "one", &err), no_further, &steps, &err));
    CHECK_EQ(s->journal.op, SNAP_DELETE);
    snap_close(s);
    CHECK_EQ(get(disk, 1 << 20), 1);
    CHECK_EQ(get(disk, 0), 3);
    s = begin();
    CHECK(snap_tidy(s, NULL, NULL, &err));
    CHECK(!snap_find(s, "one", &err) && snap_find(s, "two", &err));
    snap_close(s);
    CHECK_EQ(get(disk, 1 << 20), 1);
    CHECK_EQ(get(disk, 3 << 20), 2);
    CHECK_EQ(get(disk, 0), 3);
}

/* The disk's own backing file, from before the set, stays below whatever is merged. */
static void what_was_below_the_disk_stays_below(void **state)
{
    struct image_create c = {.format = "qcow2", .size = SIZE};
    char base[256];
    struct image *img;
    struct snap_set *s;

    (void)state;
    for (unsigned much = 0; much < 2; much++) { /* the layer above holds more, or less, than the one to go */
        char old[256];

        name(base, "base.qcow2");
        c.path = base;
        c.backing = c.backing_format = NULL;
        unlink(base);
        CHECK(image_create(&c, &err));
        img = open_disk(base, true);
        CHECK(!image_pwrite(img, "\x09", 2 << 20, 1, 0));
        image_close(img);
        c.path = disk;
        c.backing = "base.qcow2";
        c.backing_format = "qcow2";
        unlink(disk);
        unlink(path);
        name(old, "a@1.qcow2");
        unlink(old);
        name(old, "a@2.qcow2");
        unlink(old);
        CHECK(image_create(&c, &err));
        put(0, 1);
        put(1 << 20, 1);
        take("one");
        put(0, 2);
        for (unsigned i = 0; i < 4 * much; i++)
            put((3 << 20) + i * 0x20000, 4);
        take("two");
        put(65536, 3);
        s = begin();
        CHECK(snap_delete(s, snap_find(s, "one", &err), NULL, NULL, &err));
        snap_close(s);
        CHECK_EQ(get(disk, 0), 2);
        CHECK_EQ(get(disk, 1 << 20), 1);
        CHECK_EQ(get(disk, 2 << 20), 9);
        CHECK_EQ(get(disk, 65536), 3);
        CHECK_EQ(get(disk, 3 << 20), much ? 4 : 0);
        s = begin();
        CHECK(snap_delete(s, snap_find(s, "two", &err), NULL, NULL, &err));
        snap_close(s);
        CHECK_EQ(get(disk, 0), 2);
        CHECK_EQ(get(disk, 2 << 20), 9);
    }
}

static void names_are_checked_and_one_works_at_a_time(void **state)
{
    struct snap_set *s;
    struct snap_head *h;

    (void)state;
    take("one");
    s = begin();
    h = snap_head(s, NULL, &err);
    CHECK(!snap_take(s, h, "one", &err));
    CHECK(!snap_take(s, h, "main", &err));
    CHECK(!snap_take(s, h, "", &err));
    CHECK(!snap_take(s, h, "a/b", &err));
    CHECK(!snap_open(path, &err));
    CHECK(strstr(err.msg, "another process"));
    CHECK(!snap_delete_head(s, h, &err));
    snap_close(s);
}

static void damaged_sets_get_a_line(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"guise-snapshots\":2,\"disks\":1,\"next\":1,\"snapshots\":[],\"branches\":[]}",
        "{\"guise-snapshots\":1,\"disks\":99,\"next\":1,\"snapshots\":[],\"branches\":[{\"name\":\"m\",\"parent\":0}]}",
        "{\"guise-snapshots\":1,\"disks\":1,\"next\":2,\"snapshots\":[{\"id\":1,\"name\":\"x\",\"parent\":1,\"layers\":"
        "[\"l\"]}],"
        "\"branches\":[{\"name\":\"m\",\"parent\":1,\"disks\":[\"a\"]}]}", /* its own parent */
        "{\"guise-snapshots\":1,\"disks\":1,\"next\":2,\"snapshots\":[],\"branches\":[{\"name\":\"m\",\"parent\":7,"
        "\"disks\":[\"a\"]}]}",
        "{\"guise-snapshots\":1,\"disks\":1,\"next\":2,\"snapshots\":[],\"branches\":[{\"name\":\"m\",\"parent\":0,"
        "\"disks\":[\"a\"]}],"
        "\"journal\":{\"op\":\"take\",\"id\":5,\"branch\":\"m\",\"paths\":[\"a\"]}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(path, "w");

        fputs(bad[i], f);
        fclose(f);
        err.msg[0] = 0;
        CHECK(!snap_open(path, &err));
        CHECK(err.msg[0]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_keeps_and_the_disk_goes_on),
        TEST(restore_asks_before_it_throws_away),
        TEST(a_take_that_was_interrupted_is_completed),
        TEST(a_delete_that_was_stopped_goes_on),
        TEST(what_was_below_the_disk_stays_below),
        TEST(names_are_checked_and_one_works_at_a_time),
        TEST(damaged_sets_get_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
