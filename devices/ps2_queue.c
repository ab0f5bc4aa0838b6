/* The bytes of a PS/2 device that wait for the host. See ps2.h. */
#include "devices/ps2.h"

unsigned ps2_room(const struct ps2_queue *q)
{
    const unsigned most = PS2_FIFO - PS2_REPLIES;

    return q->count < most ? most - q->count : 0;
}

void ps2_reply(struct ps2_queue *q, uint8_t byte)
{
    if (q->count < PS2_FIFO)
        q->byte[(q->head + q->count++) % PS2_FIFO] = byte;
}

void ps2_put(struct ps2_queue *q, const uint8_t *byte, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ps2_reply(q, byte[i]);
}

uint8_t ps2_get(struct ps2_queue *q)
{
    uint8_t byte = q->byte[q->head];

    if (!q->count)
        return 0;
    q->head = (uint16_t)((q->head + 1) % PS2_FIFO);
    q->count--;
    return byte;
}

void ps2_clear(struct ps2_queue *q) { q->head = q->count = 0; }
