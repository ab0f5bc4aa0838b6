/* Named networks: members of one process on one loop, with raw sockets for those who do not keep to the rules. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/segment_int.h"
#include "tests/unit/net_driver.h"

enum { ENDS = 4 };

static struct world w;
static char dir[64];
static struct segment *seg[ENDS];
static struct far far[ENDS];

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    strcpy(dir, "/tmp/test_segment.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static void leave(unsigned i)
{
    if (!seg[i])
        return;
    far_free(&far[i]);
    segment_leave(seg[i]);
    seg[i] = NULL;
}

static void empty_dir(void)
{
    DIR *d = opendir(dir);
    struct dirent *f;

    while (d && (f = readdir(d)))
        unlinkat(dirfd(d), f->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENDS; i++)
        leave(i);
    world_free(&w);
    empty_dir();
    return 0;
}

static struct segment_config config(const char *member)
{
    return (struct segment_config){.kind = SEGMENT_INTERNAL, .name = "lab", .dir = dir, .member = member};
}

/* Member i: 52:54:00:00:00:0i, 10.0.2.1i. */
static void join_as(unsigned i, const struct segment_config *c)
{
    struct err e;

    seg[i] = segment_join(&w.env, c, &e);
    if (!seg[i])
        fail_msg("%s", e.msg);
    far_init(&far[i], &w, c->member);
    snprintf(far[i].mac, sizeof far[i].mac, "52:54:00:00:00:0%u", i);
    snprintf(far[i].ip4, sizeof far[i].ip4, "10.0.2.1%u", i);
    far_plug(&far[i], segment_port(seg[i]));
    world_run(&w);
}

static void join(unsigned i)
{
    static const char *const names[] = {"vm0", "vm1", "vm2", "vm3"};
    struct segment_config c = config(names[i]);

    join_as(i, &c);
}

static void no_join(const struct segment_config *c, const char *why)
{
    struct err e = {""};

    CHECK(!segment_join(&w.env, c, &e));
    if (!strstr(e.msg, why))
        fail_msg("'%s' is not in '%s'", why, e.msg);
}

static bool knows(const struct segment *s, const char *what)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    bool yes;

    segment_info(s, f);
    fclose(f);
    yes = strstr(text, what);
    free(text);
    return yes;
}

static void path_of(char *path, const char *suffix) { sprintf(path, "%s/lab.%s", dir, suffix); }

/* A datagram from i to j arrives there, and its answer. */
static void talk(unsigned i, unsigned j)
{
    CHECK(far_send(&far[i], PKT(UDP, .eth_dst = far[j].mac, .dst = far[j].ip4, .dport = 7, .sport = 1000, TEXT("ping"))));
    far_expect(&far[j], PKT(UDP, .eth_src = far[i].mac, .src = far[i].ip4, .dport = 7, TEXT("ping")));
    CHECK(far_send(&far[j], PKT(UDP, .eth_dst = far[i].mac, .dst = far[i].ip4, .dport = 1000, TEXT("pong"))));
    far_expect(&far[i], PKT(UDP, .eth_src = far[j].mac, .dport = 1000, TEXT("pong")));
}

static void silence(void)
{
    for (unsigned i = 0; i < ENDS; i++)
        if (seg[i])
            far_expect_none(&far[i]);
}

static void drain(void)
{
    for (unsigned i = 0; i < ENDS; i++)
        if (seg[i])
            far_drain(&far[i]);
}

/* --- members ------------------------------------------------------------------------------------------------------ */

static void the_first_has_the_switch_and_the_second_finds_it(void **state)
{
    (void)state;
    join(0);
    CHECK_EQ(seg[0]->state, SEGMENT_LEADER);
    join(1);
    CHECK_EQ(seg[1]->state, SEGMENT_MEMBER);
    talk(0, 1);
    talk(1, 0);
    silence();
}

static void a_broadcast_reaches_all_and_an_answer_only_who_asked(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        join(i);
    CHECK(far_send(&far[2], PKT(ARP, .arp = 1, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = far[3].ip4)));
    /* vm3 answers by itself; the request is shown to those who are not meant */
    far_expect(&far[0], PKT(ARP, .arp = 1, .src = far[2].ip4));
    far_expect(&far[1], PKT(ARP, .arp = 1, .src = far[2].ip4));
    far_expect(&far[2], PKT(ARP, .arp = 2, .src = far[3].ip4, .eth_src = far[3].mac));
    silence();
    talk(1, 2);
    silence();
}

static void a_segment_of_64_kilobytes_crosses_whole(void **state)
{
    static uint8_t data[64000];
    const struct got *g;

    (void)state;
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 11);
    for (unsigned i = 0; i < 3; i++)
        join(i);
    talk(1, 2);
    drain(); /* vm0 saw a frame to an address that the switch did not know yet */
    CHECK(far_send(&far[1], PKT(TCP, .eth_dst = far[2].mac, .dst = far[2].ip4, .dport = 80, .flags = T_ACK,
                                .gso_size = 1400, .sum = SUM_PARTIAL, DATA(data, sizeof data))));
    g = far_expect(&far[2], PKT(TCP, .dport = 80, DATA(data, sizeof data)));
    CHECK_EQ(g->gso_size, 1400);
    silence();
}

static void who_takes_no_segmentation_gets_packets(void **state)
{
    static uint8_t data[3000];

    (void)state;
    join(0);
    join(1);
    talk(0, 1);
    far[1].port.can = 0;
    CHECK(far_send(&far[0], PKT(TCP, .eth_dst = far[1].mac, .dst = far[1].ip4, .dport = 80, .flags = T_ACK,
                                .gso_size = 1400, .sum = SUM_PARTIAL, DATA(data, sizeof data))));
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(far_expect(&far[1], PKT(TCP, .dport = 80))->len, i < 2 ? 1400 : 200);
    silence();
}

static void networks_of_other_names_are_apart(void **state)
{
    struct segment_config c = config("vm1");

    (void)state;
    join(0);
    c.name = "lab2";
    join_as(1, &c);
    CHECK_EQ(seg[1]->state, SEGMENT_LEADER);
    CHECK(far_send(&far[0], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.255", .dport = 7, TEXT("x"))));
    silence();
}

static void an_isolated_member_does_not_reach_the_others(void **state)
{
    struct segment_config c = config("vm2");

    (void)state;
    join(0);
    join(1);
    c.isolated = true;
    join_as(2, &c);
    CHECK(knows(seg[1], "vm2 (process"));
    CHECK(knows(seg[1], "isolated"));
    c.member = "vm3";
    join_as(3, &c);
    CHECK(far_send(&far[2], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.255", .dport = 7, TEXT("x"))));
    far_expect_none(&far[3]);
    drain();
    talk(0, 1);
}

static void a_member_that_leaves_is_known_to_have_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        join(i);
    CHECK(knows(seg[0], "vm2"));
    CHECK(knows(seg[1], "vm2"));
    leave(2);
    world_run(&w);
    CHECK(!knows(seg[0], "vm2"));
    CHECK(!knows(seg[1], "vm2"));
    talk(0, 1);
}

static void when_the_switch_leaves_another_takes_over(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        join(i);
    talk(1, 2);
    leave(0);
    world_run(&w);
    world_advance(&w, NS_PER_SEC / 2);
    CHECK_EQ((seg[1]->state == SEGMENT_LEADER) + (seg[2]->state == SEGMENT_LEADER) + (seg[3]->state == SEGMENT_LEADER), 1);
    drain();
    CHECK(far[1].link && far[2].link && far[3].link); /* the guests notice nothing */
    talk(1, 2);
    drain();
    talk(3, 1);
    talk(2, 3);
    silence();
    leave(1);
    world_advance(&w, NS_PER_SEC / 2);
    drain();
    talk(2, 3);
}

static void the_folder_is_left_empty(void **state)
{
    (void)state;
    join(0);
    join(1);
    leave(0);
    world_advance(&w, NS_PER_SEC / 2);
    leave(1);
    CHECK(!rmdir(dir));
    mkdir(dir, 0700); /* for the next */
}

static void what_a_dead_switch_left_is_replaced(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char path[128];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), lock;

    (void)state;
    path_of(sa.sun_path, "sock");
    CHECK(!bind(fd, (struct sockaddr *)&sa, sizeof sa));
    close(fd);
    path_of(path, "lock");
    lock = open(path, O_CREAT | O_WRONLY, 0600);
    CHECK_EQ(write(lock, "natnet 1\n", 9), 9);
    close(lock);
    join(0);
    join(1);
    talk(0, 1);
}

static void one_that_is_just_starting_is_waited_for(void **state)
{
    char path[128];
    int lock;

    (void)state;
    path_of(path, "lock");
    lock = open(path, O_CREAT | O_RDWR, 0600);
    CHECK(!flock(lock, LOCK_EX | LOCK_NB));
    join(0); /* waits a little, and then goes on */
    CHECK_EQ(seg[0]->state, SEGMENT_SEEKING);
    CHECK(knows(seg[0], "looking for the switch"));
    world_advance(&w, 2 * NS_PER_SEC);
    CHECK_EQ(seg[0]->state, SEGMENT_SEEKING);
    close(lock); /* it died instead */
    world_advance(&w, NS_PER_SEC / 2);
    CHECK_EQ(seg[0]->state, SEGMENT_LEADER);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static void names_that_are_no_names_are_refused(void **state)
{
    static const char *const bad[] = {"", ".x", "..", "a/b", "a b", "x\n", "123456789012345678901234567890123"};
    struct segment_config c = config("vm0");

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        c.name = bad[i];
        no_join(&c, "network name");
    }
    c.name = "12345678901234567890123456789-_.";
    join_as(0, &c);
}

static void a_network_of_another_kind_is_refused(void **state)
{
    struct segment_config c = config("vm1");

    (void)state;
    join(0);
    c.kind = SEGMENT_NAT;
    no_join(&c, "is there as internal:lab");
}

static void folders_that_others_may_write_are_refused(void **state)
{
    struct segment_config c = config("vm0");
    char link[128];

    (void)state;
    chmod(dir, 0770);
    no_join(&c, "may be written by others");
    chmod(dir, 0707);
    no_join(&c, "may be written by others");
    chmod(dir, 0700);
    snprintf(link, sizeof link, "%s.link", dir);
    CHECK(!symlink(dir, link));
    c.dir = link;
    no_join(&c, "is not a folder");
    unlink(link);
    if (geteuid() == 0) {
        CHECK(!chown(dir, 12345, (gid_t)-1));
        c.dir = dir;
        no_join(&c, "belongs to another user");
        CHECK(!chown(dir, 0, (gid_t)-1));
    }
}

static void the_default_folder_is_the_users_run_time_folder(void **state)
{
    struct segment_config c = config("vm0");
    char path[128];
    struct stat st;

    (void)state;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    c.dir = NULL;
    join_as(0, &c);
    snprintf(path, sizeof path, "%s/guise/net/lab.sock", dir);
    CHECK(!stat(path, &st) && S_ISSOCK(st.st_mode));
    snprintf(path, sizeof path, "%s/guise/net", dir);
    CHECK(!stat(path, &st));
    CHECK_EQ(st.st_mode & 07777, 0700);
    leave(0);
    CHECK(!rmdir(path));
    snprintf(path, sizeof path, "%s/guise", dir);
    CHECK(!rmdir(path));
    chmod(dir, 0777);
    no_join(&c, "XDG_RUNTIME_DIR");
    chmod(dir, 0700);
    unsetenv("XDG_RUNTIME_DIR");
}

static void a_lock_that_is_a_link_is_not_followed(void **state)
{
    struct segment_config c = config("vm0");
    char path[128];

    (void)state;
    path_of(path, "lock");
    CHECK(!symlink("/tmp/nothing-here", path));
    no_join(&c, "lab.lock");
}

/* --- those who do not keep to the rules ----------------------------------------------------------------------------- */

struct raw_head {
    uint32_t magic;
    uint16_t version, type;
};

static const struct raw_head hello_head = {0x54454e47, SEGMENT_VERSION, MSG_HELLO};
static const struct msg_hello hello_body = {.kind = SEGMENT_INTERNAL, .can = NET_CAN_ALL, .mtu = 1500, .member = "raw"};

static int raw(void)
{
    char path[128];
    pid_t pid;
    struct err e;
    int fd;

    path_of(path, "sock");
    fd = segment_connect(path, &pid, &e);
    CHECK(fd >= 0);
    return fd;
}

static void raw_send(int fd, const struct raw_head *h, const void *body, size_t len)
{
    struct iovec v[2] = {{(void *)(uintptr_t)h, sizeof *h}, {(void *)(uintptr_t)body, len}};
    struct msghdr mh = {.msg_iov = v, .msg_iovlen = 2};

    CHECK(sendmsg(fd, &mh, MSG_NOSIGNAL) >= 0);
    world_run(&w);
}

static int raw_hello(struct msg *welcome, int *memory)
{
    int fd = raw();

    raw_send(fd, &hello_head, &hello_body, sizeof hello_body);
    CHECK_EQ(msg_recv(fd, welcome, memory), MSG_OK);
    CHECK_EQ(welcome->type, MSG_WELCOME);
    CHECK(*memory >= 0);
    return fd;
}

static bool cut(int fd)
{
    struct msg m;
    enum msg_status s;

    while ((s = msg_recv(fd, &m, NULL)) == MSG_OK)
        continue;
    return s == MSG_END;
}

static unsigned descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void another_version_is_refused_in_words(void **state)
{
    struct raw_head h = hello_head;
    struct msg m;
    int fd;

    (void)state;
    join(0);
    fd = raw();
    h.version = 9;
    raw_send(fd, &h, "what version 9 says", 19);
    CHECK_EQ(msg_recv(fd, &m, NULL), MSG_OK);
    CHECK_EQ(m.type, MSG_REFUSE);
    CHECK(strstr(m.body.text, "another version (it speaks 1, this one 9)"));
    CHECK(cut(fd));
    close(fd);
}

static void nonsense_ends_the_connection_and_nothing_else(void **state)
{
    static const struct {
        struct raw_head h;
        size_t len;
    } cases[] = {
        {{0, SEGMENT_VERSION, MSG_HELLO}, sizeof(struct msg_hello)},             /* not ours */
        {{0x54454e47, SEGMENT_VERSION, MSG_TYPES}, 0},                           /* unknown */
        {{0x54454e47, SEGMENT_VERSION, 0xffff}, 0},                              /* unknown */
        {{0x54454e47, SEGMENT_VERSION, MSG_HELLO}, sizeof(struct msg_hello) - 1}, /* short */
        {{0x54454e47, SEGMENT_VERSION, MSG_HELLO}, sizeof(struct msg_hello) + 1}, /* long */
        {{0x54454e47, SEGMENT_VERSION, MSG_HELLO}, sizeof(struct msg_hello)},     /* zeroes: an MTU of 0 */
        {{0x54454e47, SEGMENT_VERSION, MSG_ROSTER}, 9000},                       /* longer than any */
        {{0x54454e47, SEGMENT_VERSION, MSG_FORWARD}, sizeof(struct msg_forward)}, /* before HELLO */
        {{0x54454e47, SEGMENT_VERSION, MSG_BELL}, 0},
        {{0x54454e47, SEGMENT_VERSION, MSG_WELCOME}, sizeof(struct msg_welcome)}, /* not for a switch */
        {{0x54454e47, 2, MSG_FORWARD}, sizeof(struct msg_forward)},
    };
    static const uint8_t zeroes[9000];
    unsigned before;

    (void)state;
    join(0);
    join(1);
    before = descriptors();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = raw();

        raw_send(fd, &cases[i].h, zeroes, cases[i].len);
        CHECK(cut(fd));
        close(fd);
        fd = raw(); /* and a packet that is shorter than a head */
        CHECK_EQ(send(fd, zeroes, i % 8, 0), i % 8);
        world_run(&w);
        CHECK(cut(fd));
        close(fd);
    }
    CHECK_EQ(descriptors(), before);
    talk(0, 1);
}

static void a_second_hello_ends_a_member(void **state)
{
    struct msg m;
    int fd, memory;

    (void)state;
    join(0);
    fd = raw_hello(&m, &memory);
    CHECK(knows(seg[0], "raw (process"));
    raw_send(fd, &hello_head, &hello_body, sizeof hello_body);
    CHECK(cut(fd));
    CHECK(!knows(seg[0], "raw (process"));
    close(memory);
    close(fd);
}

static void names_cannot_paint_on_the_terminal(void **state)
{
    struct msg_hello h = hello_body;
    int fd;

    (void)state;
    join(0);
    memset(h.member, 0x1b, sizeof h.member); /* not ended, too */
    fd = raw();
    raw_send(fd, &hello_head, &h, sizeof h);
    CHECK(knows(seg[0], "????"));
    CHECK(!knows(seg[0], "\x1b"));
    close(fd);
}

static void descriptors_that_nobody_asked_for_are_not_kept(void **state)
{
    unsigned before;
    int fd;

    (void)state;
    join(0);
    fd = raw();
    before = descriptors();
    CHECK(msg_send(fd, MSG_HELLO, &hello_body, sizeof hello_body, 0));
    world_run(&w);
    CHECK_EQ(descriptors(), before + 1); /* the far side of the connection */
    close(fd);
}

static void those_who_say_nothing_keep_nobody_out(void **state)
{
    int fd[60];

    (void)state;
    join(0);
    for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
        fd[i] = raw();
        world_run(&w);
    }
    CHECK(cut(fd[0]));
    join(1);
    talk(0, 1);
    for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
        close(fd[i]);
}

static void there_are_at_most_64_members(void **state)
{
    int fd[SEGMENT_MEMBERS];
    struct msg m;
    int memory;

    (void)state;
    join(0);
    for (unsigned i = 1; i < SEGMENT_MEMBERS; i++) {
        fd[i] = raw_hello(&m, &memory);
        close(memory);
    }
    fd[0] = raw();
    raw_send(fd[0], &hello_head, &hello_body, sizeof hello_body);
    CHECK_EQ(msg_recv(fd[0], &m, NULL), MSG_OK);
    CHECK_EQ(m.type, MSG_REFUSE);
    CHECK(strstr(m.body.text, "takes no more"));
    close(fd[1]);
    world_run(&w);
    join(1);
    talk(0, 1);
    for (unsigned i = 0; i < SEGMENT_MEMBERS; i++)
        if (i != 1)
            close(fd[i]);
}

/* It never reads its ring nor its socket. */
static void a_member_that_hangs_holds_up_nobody(void **state)
{
    static uint8_t data[1400];
    struct msg m;
    int fd, memory;

    (void)state;
    join(0);
    join(1);
    fd = raw_hello(&m, &memory);
    talk(0, 1);
    for (unsigned i = 0; i < 3000; i++) {
        CHECK(far_send(&far[1], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.255", .dport = 7, DATA(data, sizeof data))));
        far_expect(&far[0], PKT(UDP, .dport = 7, .len = sizeof data));
    }
    CHECK(knows(seg[0], " lost\n"));
    talk(0, 1);
    for (unsigned i = 0; i < 3; i++) { /* nor do those who come and go, of whom it is told */
        join(2);
        leave(2);
    }
    talk(0, 1);
    close(memory);
    close(fd);
}

static void a_ring_full_of_nonsense_ends_its_member_only(void **state)
{
    static uint8_t data[60000];
    struct msg m;
    int fd, memory;
    struct wire wire = {.fd = -1};
    struct err e;

    (void)state;
    join(0);
    join(1);
    for (unsigned i = 0; i < 2; i++) {
        fd = raw_hello(&m, &memory);
        CHECK(wire_map(&wire, memory, m.body.welcome.ring_size, false, &e));
        atomic_store(i ? &wire.tx.shared->head : &wire.rx.shared->tail, 0x7fffffff);
        CHECK(msg_send(fd, MSG_BELL, NULL, 0, -1));
        world_run(&w);
        for (unsigned k = 0; k < 40 && !i; k++) /* until the switch looks at the tail: at a ring that seems full */
            CHECK(far_send(&far[1], PKT(UDP, .eth_dst = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.255", .dport = 7,
                                        .gso_size = 1400, .sum = SUM_PARTIAL, DATA(data, sizeof data))));
        world_run(&w);
        CHECK(cut(fd));
        CHECK(!knows(seg[0], "raw (process"));
        wire_close(&wire);
        close(memory);
        close(fd);
        drain();
    }
    talk(0, 1);
}

static void a_full_ring_refuses_its_member_until_there_is_room(void **state)
{
    static uint8_t data[60000];
    static uint8_t frame[NET_FRAME_MAX];
    size_t len;
    struct iovec v = {frame, 0};
    struct net_frame f = {.iov = &v, .iovcnt = 1};
    unsigned sent = 0, got = 0;

    (void)state;
    join(0);
    join(1);
    talk(0, 1);
    far[0].port.mtu = far[1].port.mtu = NET_MTU_MAX;
    len = far_build(&far[1], PKT(UDP, .eth_dst = far[0].mac, .dst = far[0].ip4, .dport = 7, DATA(data, sizeof data)), frame);
    v.iov_len = f.len = len;
    while (net_port_send(&far[1].port, &f)) /* the loop does not turn meanwhile */
        sent++;
    CHECK(sent >= WIRE_RING_SIZE / sizeof frame - 1 && sent <= WIRE_RING_SIZE / len);
    CHECK_EQ(far[1].readies, 0);
    world_run(&w);
    CHECK(far[1].readies >= 1);
    while (far_next(&far[0]))
        got++;
    CHECK_EQ(got, sent);
    CHECK(net_port_send(&far[1].port, &f));
    far_expect(&far[0], PKT(UDP, .dport = 7));
}

/* The guest of the one with the switch, and the one of another, have no buffers for a while. */
static void a_guest_without_room_gets_its_frames_later(void **state)
{
    (void)state;
    join(0);
    join(1);
    talk(0, 1);
    far_set_room(&far[1], 2);
    for (unsigned i = 0; i < 20; i++)
        CHECK(far_send(&far[0], PKT(UDP, .eth_dst = far[1].mac, .dst = far[1].ip4, .dport = (uint16_t)(100 + i), TEXT("x"))));
    CHECK_EQ(far[1].queued, 2);
    far_set_room(&far[1], FAR_QUEUE);
    for (unsigned i = 0; i < 20; i++)
        far_expect(&far[1], PKT(UDP, .dport = (uint16_t)(100 + i)));
    silence();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_first_has_the_switch_and_the_second_finds_it),
        T(a_broadcast_reaches_all_and_an_answer_only_who_asked),
        T(a_segment_of_64_kilobytes_crosses_whole),
        T(who_takes_no_segmentation_gets_packets),
        T(networks_of_other_names_are_apart),
        T(an_isolated_member_does_not_reach_the_others),
        T(a_member_that_leaves_is_known_to_have_left),
        T(when_the_switch_leaves_another_takes_over),
        T(the_folder_is_left_empty),
        T(what_a_dead_switch_left_is_replaced),
        T(one_that_is_just_starting_is_waited_for),
        T(names_that_are_no_names_are_refused),
        T(a_network_of_another_kind_is_refused),
        T(folders_that_others_may_write_are_refused),
        T(the_default_folder_is_the_users_run_time_folder),
        T(a_lock_that_is_a_link_is_not_followed),
        T(another_version_is_refused_in_words),
        T(nonsense_ends_the_connection_and_nothing_else),
        T(a_second_hello_ends_a_member),
        T(names_cannot_paint_on_the_terminal),
        T(descriptors_that_nobody_asked_for_are_not_kept),
        T(those_who_say_nothing_keep_nobody_out),
        T(there_are_at_most_64_members),
        T(a_member_that_hangs_holds_up_nobody),
        T(a_ring_full_of_nonsense_ends_its_member_only),
        T(a_full_ring_refuses_its_member_until_there_is_room),
        T(a_guest_without_room_gets_its_frames_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
