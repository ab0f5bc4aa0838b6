/* Split, packed and indirect rings under a device that echoes, holds buffers for a while, and puts some back. */
#include <stdlib.h>

#include "tests/fuzz/virtio_fuzz.h"

enum { HELD = 4 };

struct echo {
    struct virtio_dev v;
    struct virtq_chain held[HELD];
    unsigned next;
};

static void give_back(struct virtq_chain *c)
{
    uint8_t buf[256];
    uint64_t n = chain_read(c, 3, buf, sizeof buf);
    struct virtq *q = c->q;

    virtq_push(c, chain_write(c, 1, buf, n));
    virtq_notify(q);
}

static void echo_notify(struct virtio_dev *v, unsigned queue)
{
    struct echo *d = (struct echo *)v;
    unsigned budget = 64;

    do {
        struct virtq_chain *c = &d->held[d->next];

        if (c->q)
            give_back(c);
        if (!virtq_pop(&v->vq[queue], c))
            continue;
        if (c->out_len % 7 == 1) {
            virtq_unpop(c);
            return;
        }
        d->next = (d->next + 1) % HELD;
        budget--;
    } while (budget && virtq_rearm(&v->vq[queue]));
    if (!budget)
        virtio_later(v, queue);
}

static void echo_stop(struct virtio_dev *v, unsigned queue)
{
    struct echo *d = (struct echo *)v;

    for (unsigned i = 0; i < HELD; i++)
        if (d->held[i].q && d->held[i].q->index == queue)
            d->held[i].q = NULL;
}

static const struct field echo_state[] = {VIRTIO_FIELDS(struct echo, v), {0}};
static const struct device_ops echo_dev_ops = {
    .name = "echo", .state = echo_state, .reset = virtio_dev_reset, .update = virtio_dev_update};
static const struct virtio_ops echo_ops = {.id = 42, .notify = echo_notify, .queue_stop = echo_stop};

static struct virtio_dev *make(const struct device_env *env)
{
    struct echo *d = calloc(1, sizeof *d);

    virtio_init(&d->v, &echo_dev_ops, &echo_ops, "echo0", env);
    virtio_offer(&d->v, VIRTIO_F_RING_PACKED);
    for (unsigned i = 0; i < 3; i++)
        virtio_add_queue(&d->v, i, 16);
    return &d->v;
}

static void host(struct vf_in *in) { vf_take(in, 1); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    vf_run(make, host, data, len);
    return 0;
}
