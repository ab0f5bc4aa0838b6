/*
 * The host's side of a network device: its port, the link, and the way between the vCPUs' threads and the network's.
 *
 * Guest to network: the device's register or queue code, on a vCPU's thread with the device's lock held, calls nic_kick;
 * ops->transmit then runs on the loop's thread with no lock held, takes the device's lock to fetch descriptors, gives it
 * up, sends (guest memory as the frame's pieces, no copy), and takes it again to complete them:
 *
 *     device_lock(dev); ...fetch...; nic_fly(n); device_unlock(dev);
 *     ...net_port_send...
 *     nic_land(n); device_lock(dev); ...complete what was not stopped meanwhile...; device_unlock(dev);
 *
 * Whoever stops a queue or resets the device calls nic_settle with the device's lock held, which waits until nothing is
 * in flight. transmit is never called inside another call of this device's.
 *
 * Network to guest: ops->receive runs on the loop's thread, no lock held, maybe inside the device's own net_port_send (a
 * gateway that answers at once): so it takes the device's lock by nic_enter, and refuses the frame when that fails.
 * Every frame has passed the input gate.
 *
 * While the machine is stopped, its clock stands still and its memory stays as it is: nothing is sent, and frames are refused
 * until it goes on.
 */
#ifndef DEVICES_NIC_H
#define DEVICES_NIC_H

#include "base/loop.h"
#include "devices/device.h"
#include "netstack/port.h"

struct nic;

struct nic_ops {
    void (*transmit)(struct nic *n); /* after nic_kick, and when a far end that was full has room */
    bool (*receive)(struct nic *n, const struct net_frame *f); /* false: no buffers; nic_room follows */
    void (*link)(struct nic *n, bool up);                      /* loop's thread, no lock held */
};

/* An embedded part of the device's state struct. */
struct nic {
    const struct nic_ops *ops;
    struct net_port port; /* can and mtu: the device's to set, on the loop's thread */
    struct device *dev;
    struct gate_source source;
    uint8_t mac[ETH_ALEN]; /* as given; the guest may use another */
    struct loop_call kick, room;
    struct timer resume; /* armed when something came while the machine was stopped: due when it goes on */
    bool settling; /* atomic: somebody waits for `flights` with the device's lock held */
    pthread_mutex_t lock; /* inside the device's lock */
    pthread_cond_t idle;
    unsigned flights; /* under lock */
};

/* What a frame is to the gate: this header, little-endian, and the bytes of the frame. */
enum { NIC_MESSAGE_HEAD = 10 }; /* u8 flags, gso; u16 gso_size, header_len, csum_start, csum_offset: of struct net_frame */

/* After device_init. name is the port's. The port receives everything (NET_CAN_ALL) of any MTU until the device says less. */
void nic_init(struct nic *n, const struct nic_ops *ops, struct device *dev, struct loop *loop, const char *name,
              const uint8_t mac[ETH_ALEN]);
void nic_fini(struct nic *n); /* loop's thread, the port is unplugged; no callback after it returns */
void nic_kick(struct nic *n); /* any thread */
void nic_room(struct nic *n); /* any thread: there are buffers again; net_port_room follows on the loop's thread */
/*
 * Loop's thread: the device's lock. false: its holder waits for what is being sent, which the caller is inside of; the
 * far end hears of room afterwards.
 */
bool nic_enter(struct nic *n);
void nic_fly(struct nic *n);    /* loop's thread, device's lock held: from here on guest memory is used without it */
void nic_land(struct nic *n);   /* loop's thread, device's lock not held: guest memory is used no more */
void nic_settle(struct nic *n); /* device's lock held, any thread: returns when nothing is in flight */
bool nic_up(const struct nic *n);
struct net_port *nic_port(struct nic *n);
/* "52:54:00:12:34:56", or with dashes; false: not an address, or a group address. */
bool nic_mac_parse(const char *text, uint8_t mac[ETH_ALEN]);

#endif
