/*
 * The host's side of a network device: its port, the link, and the way between the vCPUs' threads and the network's.
 *
 * Guest to network: the device's register or queue code, on a vCPU's thread with the device's lock held, calls nic_kick;
 * ops->transmit then runs on the loop's thread with no lock held, takes the device's lock itself to fetch descriptors,
 * gives it up, sends (guest memory as the frame's pieces, no copy), and takes it again to complete them. Whoever stops a
 * queue waits for what is being sent (nic_busy_*). Network to guest: ops->receive runs on the loop's thread, no lock held;
 * every frame has passed the input gate.
 */
#ifndef DEVICES_NIC_H
#define DEVICES_NIC_H

#include "devices/device.h"
#include "netstack/port.h"

struct nic;

struct nic_ops {
    void (*transmit)(struct nic *n);
    bool (*receive)(struct nic *n, const struct net_frame *f); /* false: no buffers; nic_room follows */
    void (*link)(struct nic *n, bool up);
};

/* An embedded part of the device's state struct. */
struct nic {
    const struct nic_ops *ops;
    struct net_port port;
    struct device *dev;
    struct loop *loop;
    struct gate_source source;
    uint8_t mac[ETH_ALEN]; /* as given; the guest may use another */
    bool kicked, room;     /* atomic: a call to the loop is under way */
    bool dead;             /* the device is being freed */
    unsigned calls;        /* of the loop under way; under lock */
    pthread_mutex_t lock;
    pthread_cond_t idle;
};

/* After device_init. name is the port's. */
void nic_init(struct nic *n, const struct nic_ops *ops, struct device *dev, struct loop *loop, const char *name,
              const uint8_t mac[ETH_ALEN]);
void nic_fini(struct nic *n); /* loop's thread, the port is unplugged; no callback after it returns */
void nic_kick(struct nic *n); /* any thread */
void nic_room(struct nic *n); /* any thread: there are buffers again; net_port_room follows on the loop's thread */
bool nic_up(const struct nic *n);
struct net_port *nic_port(struct nic *n);
/* "52:54:00:12:34:56"; false: not an address, or a group address. */
bool nic_mac_parse(const char *text, uint8_t mac[ETH_ALEN]);

#endif
