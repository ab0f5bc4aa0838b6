/* Options of disks in all three forms, and which files are opened as what. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/drive.h"
#include "frontend/native_disk.h"
#include "frontend/personality_qemu.h"
#include "images/block.h"
#include "tests/unit/check.h"

static struct machine_config c;
static struct err err;

static int setup(void **state)
{
    (void)state;
    config_init(&c);
    err.msg[0] = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(&c);
    return 0;
}

/* One option and its argument through QEMU's command line. */
static bool qemu(const char *option, const char *arg)
{
    char *argv[] = {"q", "-nographic", (char *)(uintptr_t)option, (char *)(uintptr_t)arg, NULL};

    return personality_qemu(&c, 4, argv, &err) == CLI_RUN;
}

static void refused(const char *option, const char *arg, const char *why)
{
    if (qemu(option, arg) || !strstr(err.msg, why))
        fail_msg("%s %s: '%s', expected '%s'", option, arg, err.msg, why);
}

static void drive_has_policies_caches_and_limits(void **state)
{
    (void)state;
    if (!qemu("-drive",
              "file=x,format=raw,if=none,id=d,cache=directsync,aio=io_uring,discard=unmap,detect-zeroes=unmap,"
              "werror=stop,rerror=ignore,iops=100,throttling.bps-read=1M,bps_max=4096,readonly=on"))
        fail_msg("%s", err.msg);
    CHECK(c.drive[0].direct && c.drive[0].writethrough && !c.drive[0].ignore_flush && c.drive[0].read_only);
    CHECK_EQ(c.drive[0].aio, AIO_URING);
    CHECK_EQ(c.drive[0].detect_zeroes, ZEROES_UNMAP);
    CHECK_EQ(c.drive[0].werror, POLICY_STOP);
    CHECK_EQ(c.drive[0].rerror, POLICY_IGNORE);
    CHECK(c.drive[0].limited);
    CHECK_EQ(c.drive[0].limits.rate[LIMIT_IOPS].avg, 100);
    CHECK_EQ(c.drive[0].limits.rate[LIMIT_BPS_READ].avg, 1 << 20);
    CHECK_EQ(c.drive[0].limits.rate[LIMIT_BPS].max, 4096);
}

static void drive_stops_when_the_host_is_full_unless_told_otherwise(void **state)
{
    (void)state;
    CHECK(qemu("-drive", "file=x,if=none,id=d"));
    CHECK_EQ(c.drive[0].werror, POLICY_ENOSPC);
    CHECK_EQ(c.drive[0].rerror, POLICY_REPORT);
}

static void wrong_words_are_named(void **state)
{
    (void)state;
    refused("-drive", "file=x,cache=fast", "cache=fast: expected writeback");
    refused("-drive", "file=x,werror=maybe", "werror=maybe: expected one of enospc, report, ignore, stop");
    refused("-drive", "file=x,rerror=enospc", "rerror=enospc");
    refused("-drive", "file=x,if=scsi", "if=scsi");
    refused("-drive", "file=x,iops=many", "iops=many: expected a number");
    refused("-drive", "file=x,throttling.group=g", "throttling.group");
    refused("-drive", "file=x,copy-on-read=on", "copy-on-read");
    refused("-drive", "file=x,colour=red", "needs format= beside 'colour'");
    refused("-drive", "file=x,format=raw,colour=red", "raw has no property 'colour'");
    refused("-sd", "x", "no such drive");
}

static void blockdev_is_a_tree_of_nodes(void **state)
{
    (void)state;
    if (!qemu("-blockdev", "{\"driver\":\"raw\",\"node-name\":\"d\",\"read-only\":true,\"discard\":\"unmap\","
                           "\"file\":{\"driver\":\"file\",\"filename\":\"x\",\"locking\":\"off\"}}"))
        fail_msg("%s", err.msg);
    CHECK(c.drive[0].read_only && !c.drive[0].no_discard);
    CHECK_STR(c.drive[0].id, "d");
    CHECK(qemu("-blockdev", "driver=raw,node-name=e,file.driver=file,file.filename=y,cache.direct=on"));
    CHECK(c.drive[1].direct && c.drive[1].no_discard);
    CHECK_STR(json_string_value(json_object_get(json_object_get(c.drive[1].node, "file"), "filename")), "y");
    CHECK(qemu("-blockdev", "driver=file,node-name=f0,filename=z"));
    CHECK(qemu("-blockdev", "driver=vdi,node-name=f1,file=f0"));
    CHECK(c.drive[2].layer && !c.drive[3].layer);
    refused("-blockdev", "driver=raw,node-name=f2,file=f0", "file=f0: the node is in use already");
    refused("-blockdev", "driver=raw,node-name=f3,file=nobody", "file=nobody: no such node");
    refused("-blockdev", "driver=raw,node-name=f4", "needs file=");
    refused("-blockdev", "driver=file,node-name=d,filename=q", "node-name=d: there is one already");
    refused("-blockdev", "driver=file,filename=q", "needs node-name");
    refused("-blockdev", "driver=rbd,node-name=r,image=q", "driver=rbd");
    refused("-blockdev", "{\"driver\":", "JSON: ");
}

static void disk_takes_lists_parts_and_buses(void **state)
{
    (void)state;
    if (!native_disk(&c, "stripe:chunk=64k,a,b,bus=nvme,serial=S1,on-error=stop", &err))
        fail_msg("%s", err.msg);
    CHECK_STR(c.drive[0].file, "stripe:chunk=64k,a,b");
    CHECK_EQ(c.device[0].type->kind, DEVICE_NVME);
    CHECK_STR(device_prop(&c.device[0], "serial"), "S1");
    CHECK_EQ(c.drive[0].werror, POLICY_STOP);
    CHECK_EQ(c.drive[0].rerror, POLICY_STOP);
    CHECK(native_disk(&c, "x.img,partition=2,ro,queues=4", &err));
    CHECK_EQ(c.drive[1].partition, 2);
    CHECK(c.drive[1].read_only);
    CHECK_STR(device_prop(&c.device[1], "num-queues"), "4");
    CHECK(native_disk(&c, "x.img,offset=1M,size=2M", &err));
    CHECK_EQ(c.drive[2].offset, 1 << 20);
    CHECK(!native_disk(&c, "x.img,partition=2,size=2M", &err));
    CHECK(!native_disk(&c, "x.img,bus=ide", &err));
    CHECK(!native_disk(&c, "x.img,partitions=2", &err));
    CHECK(strstr(err.msg, "the nearest one is 'partition'"));
}

/* A file that begins with the magic of VDI (or with nothing) under a name. */
static const char *guess(const char *name, bool header)
{
    char dir[] = "/tmp/guise-drive-XXXXXX", path[128];
    static char format[32];
    const char *got;
    FILE *f;

    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    CHECK(f);
    CHECK(!header || (!fseek(f, 64, SEEK_SET) && fwrite("\x7f\x10\xda\xbe", 1, 4, f) == 4));
    CHECK(!ftruncate(fileno(f), 65536) && !fclose(f));
    got = drive_guess_format(path, &err);
    snprintf(format, sizeof format, "%s", got ? got : "refused");
    unlink(path);
    rmdir(dir);
    return format;
}

static void a_header_counts_only_under_its_name(void **state)
{
    (void)state;
    CHECK_STR(guess("disk.img", false), "raw");
    CHECK_STR(guess("disk", false), "raw");
    CHECK_STR(guess("disk.vdi", true), "vdi");
    CHECK_STR(guess("disk.VDI", true), "vdi");
    CHECK_STR(guess("disk.img", true), "refused");
    CHECK(strstr(err.msg, "format=vdi or raw"));
    CHECK_STR(guess("disk.vdi", false), "refused");
    CHECK_STR(guess("disk.qcow2", true), "refused");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drive_has_policies_caches_and_limits),
        TEST(drive_stops_when_the_host_is_full_unless_told_otherwise),
        TEST(wrong_words_are_named),
        TEST(blockdev_is_a_tree_of_nodes),
        TEST(disk_takes_lists_parts_and_buses),
        TEST(a_header_counts_only_under_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
