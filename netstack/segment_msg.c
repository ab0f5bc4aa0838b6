/* Messages of named networks: one table of types and lengths, and what is done to strings from outside. */
#include "netstack/segment_msg.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"

struct head {
    uint32_t magic;
    uint16_t version, type;
};

enum { MAGIC = 0x54454e47 }; /* "GNET" */

#define EXACT(t) sizeof(struct t), sizeof(struct t)

static const struct {
    size_t min, max; /* of the body */
} lengths[MSG_TYPES] = {
    [MSG_BELL] = {0, 0},
    [MSG_HELLO] = {EXACT(msg_hello)},
    [MSG_WELCOME] = {EXACT(msg_welcome)},
    [MSG_REFUSE] = {0, MSG_TEXT_MAX},
    [MSG_FORWARD] = {EXACT(msg_forward)},
    [MSG_ANSWER] = {EXACT(msg_answer)},
    [MSG_ROSTER] = {0, MSG_TEXT_MAX},
    [MSG_QUERY] = {0, 0},
    [MSG_LEASES] = {0, MSG_LEASES_MAX * sizeof(struct nat_lease_state)},
};

bool msg_send(int fd, enum msg_type type, const void *body, size_t len, int pass)
{
    struct head h = {MAGIC, SEGMENT_VERSION, (uint16_t)type};
    struct iovec iov[2] = {{&h, sizeof h}, {(void *)(uintptr_t)body, len}};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};

    if (pass >= 0) {
        struct cmsghdr *c;

        mh.msg_control = control.buf;
        mh.msg_controllen = sizeof control.buf;
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof pass);
    }
    return sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)(sizeof h + len);
}

bool msg_send_text(int fd, enum msg_type type, const char *text)
{
    return msg_send(fd, type, text, strnlen(text, MSG_TEXT_MAX), -1);
}

/* A string from outside may end up on a terminal. */
static void clean(char *s, size_t size)
{
    s[size - 1] = '\0';
    for (; *s; s++)
        if ((*s < ' ' || *s > '~') && *s != '\n')
            *s = '?';
}

static void clean_strings(struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO: clean(m->body.hello.member, sizeof m->body.hello.member); break;
    case MSG_WELCOME: clean(m->body.welcome.leader, sizeof m->body.welcome.leader); break;
    case MSG_ANSWER: clean(m->body.answer.error, sizeof m->body.answer.error); break;
    case MSG_FORWARD: m->body.forward.host_path[MSG_PATH_MAX - 1] = '\0'; break;
    case MSG_REFUSE:
    case MSG_ROSTER: clean(m->body.text, m->len + 1); break;
    default: break;
    }
}

static enum msg_status check(struct msg *m, const struct head *h, ssize_t n)
{
    if (n < (ssize_t)sizeof *h || h->magic != MAGIC || h->type >= MSG_TYPES)
        return MSG_BAD;
    m->type = h->type;
    m->version = h->version;
    m->len = (size_t)n - sizeof *h;
    if (m->version != SEGMENT_VERSION && m->type == MSG_HELLO)
        return MSG_OK; /* whose body is not looked at */
    if (m->version != SEGMENT_VERSION && m->type != MSG_REFUSE)
        return MSG_BAD;
    if (m->len < lengths[m->type].min || m->len > lengths[m->type].max)
        return MSG_BAD;
    clean_strings(m);
    return MSG_OK;
}

/* The first descriptor is for who asked, all others are closed. The kernel drops what does not fit. */
static void take_descriptors(struct msghdr *mh, int *pass)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        size_t n = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (*pass < 0)
                *pass = fd;
            else
                close(fd);
        }
    }
}

enum msg_status msg_recv(int fd, struct msg *m, int *pass)
{
    struct head h = {0};
    struct iovec iov[2] = {{&h, sizeof h}, {&m->body, sizeof m->body - 1}};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
    enum msg_status s;
    ssize_t n;

    memset(&m->body, 0, sizeof m->body);
    if (pass) {
        *pass = -1;
        mh.msg_control = control.buf;
        mh.msg_controllen = sizeof control.buf;
    }
    n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? MSG_NONE : MSG_END;
    if (pass)
        take_descriptors(&mh, pass);
    if (n == 0)
        s = MSG_END;
    else
        s = mh.msg_flags & MSG_TRUNC ? MSG_BAD : check(m, &h, n);
    if (s != MSG_OK && pass && *pass >= 0) {
        close(*pass);
        *pass = -1;
    }
    return s;
}
