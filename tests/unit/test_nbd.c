/* The NBD client against qemu-nbd: data, sparse reads and maps, threads, lost servers; and servers that lie. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/nbd.h"
#include "tests/unit/foreign.h"

enum { MB = 1 << 20 };

static void serve(const char *args)
{
    unlink("sock");
    sh_ok("qemu-nbd --fork --pid-file=pid -t -e 8 -k $PWD/sock %s", args);
}

/*
 * Running, or stopping: a zombie is gone (its parent may never ask), but not while it has threads, which hold its files
 * and their locks.
 */
static bool is_there(int pid)
{
    char path[64], state = 0;
    int threads = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    if (fscanf(f, "%*d %*s %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d", &state, &threads) !=
        2)
        state = 0;
    fclose(f);
    return state && (state != 'Z' || threads > 1);
}

static void stop(int sig)
{
    FILE *f = fopen("pid", "r");
    int pid = 0;

    CHECK(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
    fclose(f);
    kill(pid, sig);
    while (is_there(pid))
        usleep(1000);
}

/* The socket between two parts of a name. */
static const char *name(const char *before, const char *behind)
{
    static char path[256];
    char cwd[128];

    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    snprintf(path, sizeof path, "%s%s/sock%s", before, cwd, behind);
    return path;
}

static void data_goes_both_ways(void **state)
{
    struct model m;
    struct image *img;

    (void)state;
    model_init(&m, 8 * MB, 5);
    sh_ok("truncate -s 8M a.raw");
    serve("-f raw -x disk a.raw");
    img = img_open(name("nbd+unix:///disk?socket=", ""), "raw", false);
    CHECK_STR(img->file->ops->format, "nbd");
    CHECK_EQ(img->size, 8 * MB);
    CHECK(img->discard);
    model_run(&m, img, 200, "wwwwzdfFrr", MB);
    model_check(&m, img);
    CHECK_EQ(img->ops->flush(img), 0);
    image_close(img);
    img = img_open(name("nbd:unix:", ":exportname=disk"), "raw", true);
    model_check(&m, img);
    image_close(img);
    img_refused(name("nbd:unix:", ":exportname=dosk"), "raw", true, "it has: 'disk'");
    stop(SIGTERM);
    model_save(&m, "b.raw");
    sh_ok("cmp a.raw b.raw");
    img_refused(name("nbd:unix:", ":exportname=disk"), "raw", true, "cannot connect");
    model_fini(&m);
}

static void holes_are_seen_through_it(void **state)
{
    struct image *img;
    struct image_extent x;
    uint8_t *buf = malloc(4 * MB);

    (void)state;
    sh_ok("qemu-img create -f qcow2 c.qcow2 300M && qemu-io -c 'write -P 7 1M 1M' -c 'write -z 5M 1M' c.qcow2");
    serve("-r -f qcow2 c.qcow2");
    img_refused(name("nbd+unix:///?socket=", ""), "nbd", false, "read-only");
    img = img_open(name("nbd+unix:///?socket=", ""), "nbd", true);
    CHECK_EQ(img->ops->map(img, 0, 300 * MB, &x), 0);
    CHECK_EQ(x.len, MB);
    CHECK(x.zero && !x.data);
    CHECK_EQ(img->ops->map(img, MB + 512, 299 * MB - 512, &x), 0);
    CHECK_EQ(x.len, MB - 512);
    CHECK(!x.zero && x.data && x.has_offset && x.offset == MB + 512);
    CHECK_EQ(img_read(img, buf, 0, 4 * MB), 0);
    CHECK(!buf[MB - 1] && buf[MB] == 7 && buf[2 * MB - 1] == 7 && !buf[2 * MB] && !buf[4 * MB - 1]);
    CHECK(img_write(img, buf, 0, 512, 0) < 0);
    image_close(img);
    stop(SIGTERM);
    free(buf);
}

static void tcp_is_for_this_host(void **state)
{
    struct image *img = NULL;
    struct err e = {""};
    char uri[64];
    int port;

    (void)state;
    sh_ok("truncate -s 1M d.raw");
    for (port = 20000 + getpid() % 20000; port < 65000; port += 97)
        if (sh("qemu-nbd --fork --pid-file=pid -t -b 127.0.0.1 -p %d -f raw d.raw", port) == 0)
            break;
    snprintf(uri, sizeof uri, "nbd://127.0.0.1:%d/", port);
    img = image_open(uri, &(struct image_options){.format = "raw"}, &e);
    CHECK(img && img->size == MB);
    CHECK_EQ(img_write(img, "x", 5, 1, IMAGE_FUA), 0);
    image_close(img);
    snprintf(uri, sizeof uri, "nbd:localhost:%d", port);
    image_close(img_open(uri, "raw", true));
    stop(SIGTERM);
    img_refused("nbd://192.0.2.1:10809/x", "raw", true, "on this host only");
    img_refused("nbd:192.0.2.1:10809", "raw", true, "on this host only");
    img_refused("nbds://localhost/x", "raw", true, "TLS");
    img_refused("nbd://localhost:x/y", "raw", true, "not understood");
    img_refused("nbd+unix:///x?sock=y", "raw", true, "not understood");
    img_refused("nbd:unix:", "raw", true, "not understood");
    img_refused("nbd+unix:///%zz?socket=y", "raw", true, "not understood");
}

struct worker {
    struct image *img;
    unsigned nr;
    int result;
};

/* Each has its own quarter of the disk. */
static void *worker_run(void *arg)
{
    struct worker *w = arg;
    uint8_t out[8192], in[8192];

    for (unsigned i = 0; i < 150 && !w->result; i++) {
        uint64_t off = w->nr * (uint64_t)MB + i * 6144 % (MB - 8192);

        memset(out, (int)(w->nr * 40 + i), sizeof out);
        w->result = img_write(w->img, out, off, sizeof out, i % 10 ? 0 : IMAGE_FUA);
        if (!w->result)
            w->result = img_read(w->img, in, off, sizeof in);
        if (!w->result && memcmp(in, out, sizeof in) != 0)
            w->result = -1000;
    }
    return NULL;
}

static void run_workers(struct image *img, struct worker *w, pthread_t *t)
{
    for (unsigned i = 0; i < 8; i++) {
        w[i] = (struct worker){img, i, 0};
        CHECK_EQ(pthread_create(&t[i], NULL, worker_run, &w[i]), 0);
    }
}

static void join_workers(struct worker *w, pthread_t *t)
{
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        CHECK_EQ(w[i].result, 0);
    }
}

static void many_requests_are_in_flight(void **state)
{
    struct worker w[8];
    pthread_t t[8];
    struct image *img;

    (void)state;
    sh_ok("truncate -s 8M e.raw");
    serve("-f raw e.raw");
    img = img_open(name("nbd:unix:", ""), "raw", false);
    run_workers(img, w, t);
    join_workers(w, t);
    image_close(img);
    stop(SIGTERM);
}

static void a_server_that_comes_back_is_found_again(void **state)
{
    struct worker w[8];
    pthread_t t[8];
    struct image *img;
    uint8_t b[512];

    (void)state;
    sh_ok("truncate -s 8M f.raw");
    serve("-f raw f.raw");
    img = img_open(name("nbd:unix:", ""), "raw", false);
    run_workers(img, w, t);
    usleep(20000);
    stop(SIGKILL);
    serve("-f raw f.raw");
    join_workers(w, t);
    img->ops->flush(img); /* may say what the next one says for certain */
    /* writes that had succeeded went with the server, for all we know: one flush says so */
    CHECK_EQ(img_write(img, "x", 0, 1, 0), 0);
    stop(SIGKILL);
    serve("-f raw f.raw");
    CHECK_EQ(img->ops->flush(img), -EIO);
    CHECK_EQ(img->ops->flush(img), 0);
    /* gone for good: an error, not a hang */
    stop(SIGKILL);
    ((struct nbd *)img->file->priv)->attempts = 2;
    CHECK(img_read(img, b, 0, 512) < 0);
    CHECK(img_read(img, b, 0, 512) < 0);
    image_close(img);
}

/* A server that says these bytes to each client and then hangs up. */
struct liar {
    int fd;
    const uint8_t *bytes;
    size_t n;
};

static void *liar_run(void *arg)
{
    struct liar *l = arg;
    int c;

    while ((c = accept(l->fd, NULL, NULL)) >= 0) {
        char sink[4096];

        send(c, l->bytes, l->n, MSG_NOSIGNAL);
        shutdown(c, SHUT_WR);
        while (recv(c, sink, sizeof sink, 0) > 0)
            continue;
        close(c);
    }
    return NULL;
}

static void lie(const uint8_t *bytes, size_t n, const char *expect)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "liar"};
    struct liar l = {socket(AF_UNIX, SOCK_STREAM, 0), bytes, n};
    pthread_t t;

    unlink("liar");
    CHECK(bind(l.fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l.fd, 5) == 0);
    CHECK_EQ(pthread_create(&t, NULL, liar_run, &l), 0);
    img_refused("nbd:unix:liar", "raw", true, expect);
    shutdown(l.fd, SHUT_RDWR);
    pthread_join(t, NULL);
    close(l.fd);
}

static void servers_are_not_trusted(void **state)
{
    static const char greet[] = "NBDMAGICIHAVEOPT\0\3";
    uint8_t b[256];

    (void)state;
    lie((const uint8_t *)"SSH-2.0-OpenSSH_9.2p1 Debian", 28, "no NBD server");
    lie((const uint8_t *)"NBD", 3, "no NBD server");
    lie((const uint8_t *)"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53\0\0", 18, "old protocol");
    lie((const uint8_t *)greet, 18, "broke off");
    memcpy(b, greet, 18);
    memset(b + 18, 0xff, 200);
    lie(b, 218, "does not speak");
    /* a reply with a length of 4 GiB */
    st64be(b + 18, UINT64_C(0x0003e889045565a9));
    st32be(b + 26, 8);
    st32be(b + 30, 1);
    st32be(b + 34, UINT32_MAX);
    lie(b, 38, "does not speak");
    /* an error with an escape sequence for the terminal */
    st32be(b + 34, 0);
    st32be(b + 30, 0x80000001);
    st64be(b + 38, UINT64_C(0x0003e889045565a9));
    st32be(b + 46, 7);
    st32be(b + 50, 0x80000002);
    st32be(b + 54, 4);
    memcpy(b + 58, "\33[2J", 4);
    lie(b, 62, "refuses export '': ?[2J");
    /* an export of no bytes */
    st32be(b + 50, 3);
    st32be(b + 54, 12);
    memset(b + 58, 0, 12);
    st64be(b + 70, UINT64_C(0x0003e889045565a9));
    st32be(b + 78, 7);
    st32be(b + 82, 1);
    st32be(b + 86, 0);
    lie(b, 90, "size of 0 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_goes_both_ways),
        cmocka_unit_test(holes_are_seen_through_it),
        cmocka_unit_test(tcp_is_for_this_host),
        cmocka_unit_test(many_requests_are_in_flight),
        cmocka_unit_test(a_server_that_comes_back_is_found_again),
        cmocka_unit_test(servers_are_not_trusted),
    };
    return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
