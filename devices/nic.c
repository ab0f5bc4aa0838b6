#include "devices/nic.h"

#include <string.h>

#include "base/bits.h"

static bool stopped(struct nic *n)
{
    if (!clock_stopped(n->dev->clock))
        return false;
    timer_arm(&n->resume, 0);
    return true;
}

static bool port_receive(struct net_port *p, const struct net_frame *f)
{
    struct nic *n = p->arg;
    uint8_t head[NIC_MESSAGE_HEAD] = {f->flags, f->gso};

    if (stopped(n))
        return false;
    st16(head + 2, f->gso_size);
    st16(head + 4, f->header_len);
    st16(head + 6, f->csum_start);
    st16(head + 8, f->csum_offset);
    if (!gate_pass(&n->source, head, sizeof head, f->iov, f->len))
        return true; /* a replay runs: the frames come from its log */
    return n->ops->receive(n, f);
}

/* Replay: a frame as it was recorded. One that found no buffers then finds none now. */
static void inject(void *arg, const void *data, size_t len)
{
    struct nic *n = arg;
    const uint8_t *head = data;
    struct iovec iov;
    struct net_frame f;

    if (len < NIC_MESSAGE_HEAD + ETH_HLEN || len > NIC_MESSAGE_HEAD + NET_FRAME_MAX)
        return;
    iov = (struct iovec){(uint8_t *)(uintptr_t)head + NIC_MESSAGE_HEAD, len - NIC_MESSAGE_HEAD};
    f = (struct net_frame){.iov = &iov,
                           .iovcnt = 1,
                           .len = iov.iov_len,
                           .flags = head[0],
                           .gso = head[1],
                           .gso_size = ld16(head + 2),
                           .header_len = ld16(head + 4),
                           .csum_start = ld16(head + 6),
                           .csum_offset = ld16(head + 8)};
    n->ops->receive(n, &f);
}

static void port_ready(struct net_port *p) { nic_kick(p->arg); }

static void port_link(struct net_port *p, bool up)
{
    struct nic *n = p->arg;

    n->ops->link(n, up);
}

static const struct net_port_ops nic_port_ops = {
    .kind = "nic",
    .receive = port_receive,
    .ready = port_ready,
    .link = port_link,
};

static void kicked(void *arg)
{
    struct nic *n = arg;

    if (!stopped(n))
        n->ops->transmit(n);
}

static void room(void *arg) { net_port_room(&((struct nic *)arg)->port); }

static void resume(void *arg)
{
    nic_room(arg);
    nic_kick(arg);
}

void nic_init(struct nic *n, const struct nic_ops *ops, struct device *dev, struct loop *loop, const char *name,
              const uint8_t mac[ETH_ALEN])
{
    *n = (struct nic){
        .ops = ops,
        .dev = dev,
        .port = {.ops = &nic_port_ops, .arg = n, .name = name, .can = NET_CAN_ALL, .mtu = NET_MTU_MAX},
        .source = {.name = dev->name, .sink = inject, .arg = n},
    };
    memcpy(n->mac, mac, ETH_ALEN);
    loop_call_init(&n->kick, loop, kicked, n);
    loop_call_init(&n->room, loop, room, n);
    timer_init(&n->resume, dev->clock, resume, n);
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->idle, NULL);
    gate_register(dev->gate, &n->source);
}

void nic_fini(struct nic *n)
{
    clock_drop_timer(&n->resume);
    loop_call_cancel(&n->kick);
    loop_call_cancel(&n->room);
    gate_unregister(&n->source);
    pthread_cond_destroy(&n->idle);
    pthread_mutex_destroy(&n->lock);
}

void nic_kick(struct nic *n) { loop_call(&n->kick); }
void nic_room(struct nic *n) { loop_call(&n->room); }

bool nic_enter(struct nic *n) { return device_lock_unless(n->dev, &n->settling); }

void nic_fly(struct nic *n)
{
    pthread_mutex_lock(&n->lock);
    n->flights++;
    pthread_mutex_unlock(&n->lock);
}

void nic_land(struct nic *n)
{
    pthread_mutex_lock(&n->lock);
    n->flights--;
    pthread_cond_broadcast(&n->idle);
    pthread_mutex_unlock(&n->lock);
}

/* A frame that comes while we wait is refused by nic_enter: hence the call for more at the end. */
void nic_settle(struct nic *n)
{
    pthread_mutex_lock(&n->lock);
    if (n->flights) {
        __atomic_store_n(&n->settling, true, __ATOMIC_RELEASE);
        while (n->flights)
            pthread_cond_wait(&n->idle, &n->lock);
        __atomic_store_n(&n->settling, false, __ATOMIC_RELEASE);
        nic_room(n);
    }
    pthread_mutex_unlock(&n->lock);
}

bool nic_up(const struct nic *n) { return net_port_up(&n->port); }
struct net_port *nic_port(struct nic *n) { return &n->port; }

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool nic_mac_parse(const char *text, uint8_t mac[ETH_ALEN])
{
    uint8_t m[ETH_ALEN];

    if (strlen(text) != 3 * ETH_ALEN - 1)
        return false;
    for (unsigned i = 0; i < ETH_ALEN; i++) {
        int hi = hex(text[3 * i]), lo = hex(text[3 * i + 1]);

        if (hi < 0 || lo < 0 || (i && text[3 * i - 1] != text[2]))
            return false;
        m[i] = (uint8_t)(hi << 4 | lo);
    }
    if ((text[2] != ':' && text[2] != '-') || m[0] & 1)
        return false;
    memcpy(mac, m, ETH_ALEN);
    return true;
}
