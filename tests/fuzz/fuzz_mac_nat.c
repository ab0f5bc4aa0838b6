/* MAC NAT: frames of guests and of the network, each in memory of its own so that nothing behind its end is read. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/mac_nat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Pieces: direction, length (2 bytes), frame. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mac_nat m = {.mac = {2, 0xaa, 0xaa, 0xaa, 0xaa, 1}};

    while (len > 3) {
        size_t n = ld16(data + 1) < len - 3 ? ld16(data + 1) : len - 3;
        uint8_t *frame = malloc(n ? n : 1);

        if (!frame)
            abort();
        memcpy(frame, data + 3, n);
        if (*data & 1)
            mac_nat_out(&m, frame, n);
        else if (mac_nat_in(&m, frame, n) && n < ETH_HLEN)
            abort();
        if (m.count > MAC_NAT_MAX)
            abort();
        free(frame);
        data += 3 + n;
        len -= 3 + n;
    }
    return 0;
}
