#include "devices/virtio_rng.h"

#include <stdlib.h>

#include "base/bits.h"

enum {
    QUEUE_SIZE = 8, /* as QEMU; drivers keep one buffer there */
    PIECE = 4096,   /* bytes a buffer gets; the device may give fewer than asked for (5.4.6.1) */
};

struct rng {
    struct virtio_dev v; /* first */
    uint64_t max_bytes, period;
    struct timer refill;
    struct virtq_chain chain;
    uint64_t left;        /* bytes of this period */
    uint64_t period_ends; /* clock */
};

static void serve(struct rng *r)
{
    struct virtq *q = &r->v.vq[0];
    unsigned budget = 2 * QUEUE_SIZE;
    uint8_t buf[PIECE];

    while (budget && (!r->max_bytes || r->left) && virtq_pop(q, &r->chain)) {
        uint64_t n = r->chain.in_len < PIECE ? r->chain.in_len : PIECE;

        if (r->max_bytes && n > r->left)
            n = r->left;
        gate_random(r->v.dev.gate, buf, n);
        chain_write(&r->chain, 0, buf, n);
        virtq_push(&r->chain, n);
        r->left -= r->max_bytes ? n : 0;
        budget--;
    }
    virtq_notify(q);
    if (r->max_bytes && !r->left)
        timer_arm(&r->refill, r->period_ends);
    else if (!budget || virtq_rearm(q))
        virtio_later(&r->v, 0);
}

static void rng_notify(struct virtio_dev *v, unsigned queue)
{
    struct rng *r = (struct rng *)v;
    uint64_t now = clock_now(v->dev.clock);

    (void)queue;
    if (now >= r->period_ends) {
        r->left = r->max_bytes;
        r->period_ends = now + r->period;
    }
    serve(r);
}

static void refilled(void *arg)
{
    struct rng *r = arg;

    device_lock(r);
    if (virtio_running(&r->v) && r->v.vq_state[0].enabled)
        rng_notify(&r->v, 0);
    device_unlock(r);
}

static void rng_free(struct device *d)
{
    struct rng *r = (struct rng *)d;

    virtio_detach(&r->v);
    clock_drop_timer(&r->refill);
    virtq_chain_free(&r->chain);
    virtio_fini(&r->v);
    free(r);
}

static void rng_update(struct device *d)
{
    struct rng *r = (struct rng *)d;

    virtio_dev_update(d);
    if (r->max_bytes && r->v.vq_state[0].enabled)
        timer_arm(&r->refill, r->period_ends);
    else
        timer_cancel(&r->refill);
}

static const struct field rng_state[] = {
    VIRTIO_FIELDS(struct rng, v),
    FIELD(struct rng, left),
    FIELD(struct rng, period_ends),
    {0},
};

static const struct device_ops rng_dev_ops = {
    .name = "virtio-rng",
    .state = rng_state,
    .reset = virtio_dev_reset,
    .update = rng_update,
    .free = rng_free,
};

static const struct virtio_ops rng_ops = {
    .id = VIRTIO_ID_RNG,
    .pci_class = 0x00ff00,
    .notify = rng_notify,
};

struct virtio_dev *virtio_rng_new(const struct device_env *env, const char *name, const struct virtio_rng_options *o,
                                  struct err *e)
{
    struct rng *r = calloc(1, sizeof *r);

    if (!r) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    virtio_init(&r->v, &rng_dev_ops, &rng_ops, name, env);
    timer_init(&r->refill, env->clock, refilled, r);
    r->max_bytes = o->max_bytes;
    r->period = o->period_ns ? o->period_ns : NS_PER_SEC;
    virtio_add_queue(&r->v, 0, QUEUE_SIZE);
    if (o->packed)
        virtio_offer(&r->v, VIRTIO_F_RING_PACKED);
    return &r->v;
}
