/* Host ends of character streams against real descriptors: files, sockets, pseudo-terminals, and the terminal's modes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "frontend/chardevs.h"
#include "tests/unit/check.h"

static struct loop *loop;
static struct clock *clk;
static struct gate *gate;
static struct chardev_env env;
static char dir[] = "/tmp/guise-chardev-XXXXXX";

struct user {
    char got[4096];
    size_t len, room;
    unsigned opened, closed, writable;
};

static size_t room(void *dev) { return ((struct user *)dev)->room; }

static void receive(void *dev, const uint8_t *buf, size_t len)
{
    struct user *u = dev;

    memcpy(u->got + u->len, buf, len);
    u->len += len;
    u->room -= len;
    u->got[u->len] = 0;
}

static void event(void *dev, enum chardev_event e)
{
    struct user *u = dev;

    u->opened += e == CHARDEV_OPENED;
    u->closed += e == CHARDEV_CLOSED;
}

static void writable(void *dev) { ((struct user *)dev)->writable++; }

static void plug(struct chardev *c, struct user *u)
{
    *u = (struct user){.room = 4000};
    c->dev = u;
    c->room = room;
    c->receive = receive;
    c->event = event;
    c->writable = writable;
}

static void stop(void *arg) { loop_stop(arg); }

/* Let the loop run for ms. */
static void turn(unsigned ms)
{
    struct timer t;

    timer_init(&t, clk, stop, loop);
    timer_arm(&t, clock_now(clk) + ms * UINT64_C(1000000));
    loop_run(loop);
    clock_drop_timer(&t);
}

static void put(struct chardev *c, const char *text)
{
    CHECK_EQ(c->write(c, (const uint8_t *)text, strlen(text)), strlen(text));
}

static void take(int fd, const char *expected)
{
    char buf[256] = "";
    struct pollfd p = {.fd = fd, .events = POLLIN};

    CHECK_EQ(poll(&p, 1, 2000), 1);
    CHECK(read(fd, buf, sizeof buf - 1) > 0);
    CHECK_STR(buf, expected);
}

static const char *in_dir(const char *name)
{
    static char path[4][64];
    static unsigned n;
    char *p = path[n++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void files_take_all_output(void **state)
{
    struct chardev_config cfg = {.id = "log", .kind = CHARDEV_FILE, .path = in_dir("log")};
    struct user u;
    struct err e;
    struct chardev *c = chardev_open(&env, &cfg, &e);
    char big[100000], back[100001] = "";
    int fd;

    (void)state;
    CHECK(c);
    plug(c, &u);
    memset(big, 'x', sizeof big);
    for (size_t done = 0; done < sizeof big;) { /* more than the ring: short counts, then `writable` */
        done += c->write(c, (uint8_t *)big + done, sizeof big - done);
        turn(5);
    }
    stream_flush(stream_of(c), 1000);
    CHECK(u.writable >= 1);
    c->free(c);
    fd = open(cfg.path, O_RDONLY);
    CHECK_EQ(read(fd, back, sizeof back), sizeof big);
    close(fd);
    c = chardev_open(&env, &cfg, &e); /* again: the old contents go when the machine starts, not before */
    CHECK_EQ(access(cfg.path, R_OK), 0);
    fd = open(cfg.path, O_RDONLY);
    CHECK_EQ(lseek(fd, 0, SEEK_END), sizeof big);
    stream_start(stream_of(c));
    CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
    close(fd);
    c->free(c);
    cfg.path = in_dir("no/such");
    CHECK(!chardev_open(&env, &cfg, &e));
    CHECK(strstr(e.msg, "no/such: No such file"));
}

/* A descriptor a parent handed down: our O_NONBLOCK must not show on it. */
static void inherited_pipes_keep_their_flags(void **state)
{
    struct chardev_config cfg = {.id = "fd", .kind = CHARDEV_FILE};
    char path[32];
    int p[2];
    struct err e;
    struct chardev *c;
    struct user u;

    (void)state;
    CHECK_EQ(pipe(p), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[1]);
    cfg.path = path;
    c = chardev_open(&env, &cfg, &e);
    CHECK(c);
    plug(c, &u);
    CHECK_EQ(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
    put(c, "to the parent");
    turn(5);
    take(p[0], "to the parent");
    c->free(c);
    close(p[0]);
    close(p[1]);
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void socket_serves_one_client_after_another(void **state)
{
    struct chardev_config cfg = {.id = "s", .kind = CHARDEV_UNIX, .path = in_dir("sock"), .server = true};
    struct user u;
    struct err e;
    struct chardev *c = chardev_open(&env, &cfg, &e);
    int fd;

    (void)state;
    CHECK(c);
    plug(c, &u);
    CHECK(!c->open);
    put(c, "nobody hears this");
    for (unsigned i = 1; i <= 2; i++) {
        fd = dial(cfg.path);
        CHECK(fd >= 0);
        turn(10);
        CHECK(c->open);
        CHECK_EQ(u.opened, i);
        put(c, "hello");
        CHECK_EQ(write(fd, "input", 5), 5);
        turn(10);
        take(fd, "hello");
        CHECK_EQ(u.len, 5 * i);
        close(fd);
        turn(10);
        CHECK_EQ(u.closed, i);
    }
    c->free(c);
    CHECK(access(cfg.path, F_OK) != 0);
}

/* Input stays with the host while the device has no room. */
static void a_full_device_is_not_overrun(void **state)
{
    struct chardev_config cfg = {.id = "s", .kind = CHARDEV_UNIX, .path = in_dir("slow"), .server = true};
    struct user u;
    struct err e;
    struct chardev *c = chardev_open(&env, &cfg, &e);
    int fd;

    (void)state;
    CHECK(c);
    plug(c, &u);
    u.room = 3;
    fd = dial(cfg.path);
    CHECK_EQ(write(fd, "abcdefgh", 8), 8);
    turn(10);
    CHECK_STR(u.got, "abc");
    u.room = 100;
    c->drained(c);
    turn(10);
    CHECK_STR(u.got, "abcdefgh");
    close(fd);
    c->free(c);
}

static void sockets_do_not_remove_other_files(void **state)
{
    struct chardev_config cfg = {.id = "s", .kind = CHARDEV_UNIX, .path = in_dir("precious"), .server = true};
    struct err e;
    int fd = open(cfg.path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    close(fd);
    CHECK(!chardev_open(&env, &cfg, &e));
    CHECK(strstr(e.msg, "exists and is not a socket"));
    CHECK_EQ(access(cfg.path, F_OK), 0);
}

static void pty_finds_who_opens_it(void **state)
{
    struct chardev_config cfg = {.id = "p", .kind = CHARDEV_PTY};
    struct user u;
    struct err e;
    int saved = dup(2), p[2], slave;
    char line[128] = "", *name;
    struct chardev *c;

    (void)state;
    CHECK_EQ(pipe(p), 0);
    dup2(p[1], 2); /* its name is printed on stderr */
    c = chardev_open(&env, &cfg, &e);
    dup2(saved, 2);
    close(saved);
    CHECK(c);
    CHECK(read(p[0], line, sizeof line - 1) > 0);
    close(p[0]);
    close(p[1]);
    plug(c, &u);
    put(c, "lost"); /* nobody there: dropped, not queued */
    name = strstr(line, "/dev/pts/");
    CHECK(name);
    *strchr(name, ' ') = 0;
    slave = open(name, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    turn(400);
    CHECK(c->open);
    put(c, "seen");
    CHECK_EQ(write(slave, "typed", 5), 5);
    turn(20);
    take(slave, "seen");
    CHECK_STR(u.got, "typed");
    close(slave);
    turn(20);
    CHECK(!c->open);
    c->free(c);
}

/* The terminal is as it was after tty_leave, and also after our death without a word. */
static void terminal_is_restored(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
    struct termios before, now;
    struct tty t = {0};
    struct err e;
    pid_t child;

    (void)state;
    CHECK(master >= 0 && !grantpt(master) && !unlockpt(master));
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK_EQ(tcgetattr(slave, &before), 0);
    CHECK(tty_enter(&t, slave, false, &e));
    tcgetattr(slave, &now);
    CHECK_EQ(now.c_lflag & (tcflag_t)(ICANON | ECHO | ISIG), 0);
    tty_leave(&t);
    tcgetattr(slave, &now);
    CHECK_EQ(now.c_lflag, before.c_lflag);
    CHECK_EQ(now.c_iflag, before.c_iflag);
    child = fork();
    if (!child) {
        struct tty mine = {0};

        tty_enter(&mine, slave, true, &e);
        raise(SIGKILL);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    for (unsigned i = 0; i < 200 && (tcgetattr(slave, &now), now.c_lflag != before.c_lflag); i++)
        usleep(10000);
    CHECK_EQ(now.c_lflag, before.c_lflag);
    close(slave);
    close(master);
}

static int setup(void **state)
{
    struct err e;

    (void)state;
    clk = clock_new_real();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    env = (struct chardev_env){.loop = loop, .gate = gate};
    return !mkdtemp(dir);
}

static int teardown(void **state)
{
    char cmd[128];

    (void)state;
    loop_free(loop);
    gate_free(gate);
    clock_free(clk);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_take_all_output),
        cmocka_unit_test(inherited_pipes_keep_their_flags),
        cmocka_unit_test(socket_serves_one_client_after_another),
        cmocka_unit_test(a_full_device_is_not_overrun),
        cmocka_unit_test(sockets_do_not_remove_other_files),
        cmocka_unit_test(pty_finds_who_opens_it),
        cmocka_unit_test(terminal_is_restored),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
