/* Machines with networks: what is built, what the monitor shows and does, what is said when it cannot be. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "tests/unit/check.h"
#include "tests/unit/cli.h"

static char dir[] = "/tmp/guise-net-XXXXXX";
static struct machine *m;
static char answer[65536];

/* fmt becomes a command line of ours; the kernel is one jump to itself. */
static bool make(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool make(const char *fmt, ...)
{
    char line[2048];
    size_t len;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    len = strlen(line);
    snprintf(line + len, sizeof line - len,
             line[0] == 'g' ? " --memory 16M --console null --bios none --kernel %s/spin"
                            : " -m 16M -display none -serial none -monitor none -bios none -kernel %s/spin",
             dir);
    if (cli_run(line) != CLI_RUN)
        return false;
    m = machine_new(&cli_config, NULL, &cli_error);
    return m != NULL;
}
#define MAKE(...)                                                                                                      \
    do {                                                                                                               \
        if (!make(__VA_ARGS__))                                                                                        \
            fail_msg("refused: %s", cli_error.msg);                                                                    \
    } while (0)

static const char *ask(const char *line)
{
    FILE *f = fmemopen(answer, sizeof answer, "w");

    answer[0] = 0; /* nothing written: nothing is terminated */
    monitor_execute(m, line, f);
    fclose(f);
    return answer;
}

static void expect(const char *line, const char *part)
{
    if (!strstr(ask(line), part))
        fail_msg("'%s' answers '%s', not '%s'", line, answer, part);
}

static void a_nat_by_default(void **state)
{
    (void)state;
    MAKE("guise run");
    expect("info network", "virtio-net.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n"
                           " \\ net0: index=0,type=nat,net=10.0.2.0,restrict=off\n    link up, mtu 1500\n");
    expect("info net net0", "from the guest: 0 frames, 0 bytes");
    expect("info net virtio-net.0", "net0"); /* by its adapter's name too */
    expect("info net nosuch", "no network 'nosuch'; info network lists them");
    machine_free(m);
    MAKE("guise run --net none");
    CHECK_STR(ask("info network"), "no network\n");
    machine_free(m);
}

static void qemus_words(void **state)
{
    (void)state;
    MAKE("q -nic user,model=e1000e,id=u0 -nic user,model=virtio-net-device,mac=02:00:00:00:00:05");
    expect("info network", "e1000e.0: index=0,type=nic,model=e1000e,macaddr=52:54:00:12:34:56\n"
                           " \\ u0: index=0,type=user,net=10.0.2.0,restrict=off\n");
    expect("info network", "virtio-net.1: index=0,type=nic,model=virtio-net-device,macaddr=02:00:00:00:00:05\n"
                           " \\ net0: index=0,type=user");
    expect("info usernet", "Hub -1 (u0):");
    expect("info devices", "e1000e.0 (e1000e)");
    machine_free(m);
}

static void cables_are_pulled_and_impaired(void **state)
{
    (void)state;
    MAKE("guise run --net nat,id=up,drop=5%%,seed=1 --net nat,link=off");
    expect("info net up", "impairment: drop=5%,seed=1; 0 frames lost by it");
    expect("info net net0", "link down");
    CHECK_STR(ask("set_link up off"), "");
    expect("info net up", "link down");
    ask("set_link up on");
    expect("info net up", "link up");
    expect("set_link up maybe", "needs on or off");
    expect("set_link", "name a network");
    CHECK_STR(ask("net_set up drop=0%,delay=10ms rate=1mbit"), "up: delay=10ms,rate=1000kbit,seed=1\n");
    CHECK_STR(ask("net_set up"), "up: delay=10ms,rate=1000kbit,seed=1\n");
    expect("net_set up dely=1ms", "the nearest one is delay");
    CHECK_STR(ask("net_set up off"), "up: not impaired\n");
    machine_free(m);
}

static void captures_begin_and_end(void **state)
{
    char line[256], path[64];
    uint8_t head[4] = {0};
    FILE *f;

    (void)state;
    MAKE("guise run --net nat,capture=%s/a.pcapng", dir);
    snprintf(path, sizeof path, "%s/b.pcapng", dir);
    snprintf(line, sizeof line, "net_capture net0 start %s tcp port 80", path);
    CHECK_STR(ask(line), "");
    expect("info net", "a.pcapng");
    expect("info net", "b.pcapng");
    snprintf(line, sizeof line, "net_capture net0 stop %s", path);
    CHECK_STR(ask(line), "1 ended\n");
    CHECK_STR(ask("net_capture net0 stop"), "1 ended\n");
    expect("net_capture net0 start /nonexistent/x", "/nonexistent/x");
    expect("net_capture net0 begin x", "net_capture NET start FILE");
    machine_free(m);
    f = fopen(path, "rb");
    CHECK(f && fread(head, 1, 4, f) == 4);
    fclose(f);
    CHECK_EQ(ld32(head), 0x0a0d0d0a); /* a section header block */
}

/* A listening socket on loopback; its port. */
static int listening(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(!bind(fd, (struct sockaddr *)&a, sizeof a) && !listen(fd, 1) &&
          !getsockname(fd, (struct sockaddr *)&a, &len));
    *port = ntohs(a.sin_port);
    return fd;
}

static bool connects(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = !connect(fd, (struct sockaddr *)&a, sizeof a);

    close(fd);
    return ok;
}

static void forwards_at_start_and_later(void **state)
{
    uint16_t port;
    char line[256];
    int fd = listening(&port);

    (void)state;
    CHECK(!make("q -netdev user,id=n,hostfwd=tcp:127.0.0.1:%u-:22 -device virtio-net-pci,netdev=n", port));
    snprintf(line, sizeof line, "Could not set up host forwarding rule 'tcp:127.0.0.1:%u-:22'", port);
    if (!strstr(cli_error.msg, line) || strchr(cli_error.msg, '\n')) /* syzkaller looks for these words */
        fail_msg("said '%s'", cli_error.msg);
    MAKE("q -nic user,id=n");
    snprintf(line, sizeof line, "hostfwd_add tcp:127.0.0.1:%u-:22", port);
    expect(line, "Could not set up host forwarding rule");
    close(fd);
    CHECK_STR(ask(line), "");
    CHECK(connects(port));
    snprintf(line, sizeof line,
             "Hub -1 (n):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"
             "  TCP[HOST_FORWARD] ");
    CHECK(!strncmp(ask("info usernet"), line, strlen(line)));
    snprintf(line, sizeof line, "      127.0.0.1 %5u       10.0.2.15    22     0     0\n", port);
    expect("info usernet", line); /* as QEMU prints it */
    snprintf(line, sizeof line, "hostfwd_remove n tcp:127.0.0.1:%u", port);
    expect(line, "removed");
    CHECK(!connects(port));
    expect(line, "not found");
    expect("hostfwd_add tcp::1-22", "Invalid host forwarding rule 'tcp::1-22' (Missing guest address)");
    expect("hostfwd_add nosuch tcp::1-:22", "no network 'nosuch'");
    expect("hostfwd_add", "needs a rule");
    machine_free(m);
}

static void hubs_join_several(void **state)
{
    (void)state;
    MAKE("q -net nic -net nic,model=e1000e -net user");
    expect("info network", "hub0port0: index=0,type=hubport,hubid=0");
    expect("info network", "from the hub");
    machine_free(m);
    MAKE("q -netdev user,id=u -netdev hubport,id=a,hubid=4,netdev=u -netdev hubport,id=b,hubid=4 -device "
         "virtio-net-pci,netdev=b");
    expect("info net b", "hubid=4");
    machine_free(m);
}

static void networks_by_name(void **state)
{
    (void)state;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    MAKE("guise run --net internal:lab --net internal:lab,model=e1000e --net natnet:home,forward=0-22");
    expect("info net net0", "type=internal,name=lab");
    expect("info net net2", "type=natnet,name=home");
    machine_free(m);
}

static void sockets_join_machines(void **state)
{
    (void)state;
    MAKE("q -netdev stream,id=a,server=on,addr.type=unix,addr.path=%s/s -device e1000e,netdev=a -netdev "
         "stream,id=b,addr.type=unix,addr.path=%s/s -device virtio-net-pci,netdev=b",
         dir, dir);
    expect("info net a", "type=stream");
    machine_free(m);
    MAKE("guise run --net dgram,local=%s/l,remote=%s/r,dhcp=on", dir, dir);
    expect("info net", "type=dgram");
    machine_free(m);
}

static void what_cannot_be_is_said_in_one_line(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"guise run --net bridge:nosuch0", "network 'net0': "},
        {"guise run --net nat,tftp=/nonexistent/folder", "/nonexistent/folder"},
        {"guise run --net nat,capture=/nonexistent/x.pcapng", "/nonexistent/x.pcapng"},
        {"guise run --net nat,capture=/dev/null,capture-filter=no~such~filter(", "network 'net0': capture"},
        {"guise run --net internal:a/b", "network 'net0'"},
        {"guise run --net stream:/nonexistent/socket", "/nonexistent/socket"},
        {"guise run --net nat,net=10.0.2.0/24,host=192.168.1.1", "network 'net0'"},
        {"q -netdev tap,id=t,fd=77 -device e1000e,netdev=t", "network 't'"},
        {"q -nic user,model=virtio-net-pci,mac=02:00:00:00:00:01 -device virtio-net-pci,duplex=some", "duplex=some"},
        {"q -device virtio-net-pci,rx_queue_size=100", "-device virtio-net-pci: "},
        {"q -device virtio-net-pci,speed=fast", "speed=fast"},
        {"q -device virtio-net-pci,csum=maybe", "csum=maybe"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (make("%s", cases[i].line))
            fail_msg("'%s' was taken", cases[i].line);
        if (!strstr(cli_error.msg, cases[i].part) || strchr(cli_error.msg, '\n'))
            fail_msg("'%s' gives '%s', not '%s'", cases[i].line, cli_error.msg, cases[i].part);
    }
}

static int setup(void **state)
{
    static const uint32_t spin = 0x0000006f; /* j . */
    char path[64];
    FILE *f;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/spin", dir);
    f = fopen(path, "wb");
    return !f || fwrite(&spin, 4, 1, f) != 1 || fclose(f);
}

static int teardown(void **state)
{
    char cmd[128];

    (void)state;
    config_free(&cli_config);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nat_by_default),
        cmocka_unit_test(qemus_words),
        cmocka_unit_test(cables_are_pulled_and_impaired),
        cmocka_unit_test(captures_begin_and_end),
        cmocka_unit_test(forwards_at_start_and_later),
        cmocka_unit_test(hubs_join_several),
        cmocka_unit_test(networks_by_name),
        cmocka_unit_test(sockets_join_machines),
        cmocka_unit_test(what_cannot_be_is_said_in_one_line),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
