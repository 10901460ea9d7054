// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/held.h"

int64_t dk_held_look(struct dk_held *held, int64_t segments, int64_t out_of_order, int64_t received_bytes,
                     int64_t mss_bytes)
{
    int64_t came = segments - held->segments, late = out_of_order - held->out_of_order;
    int64_t received = received_bytes - held->received_bytes, bytes = 0;

    if (segments < 0 || out_of_order < 0 || received_bytes < 0 || mss_bytes < 0)
        return 0;
    held->segments = segments;
    held->out_of_order = out_of_order;
    held->received_bytes = received_bytes;
    // Counts of 32 bits in the kernel: one that wraps begins anew.
    if (!held->begun || came < 0 || late < 0 || received < 0) {
        held->begun = true;
        held->excess_bytes = held->base_bytes = held->most_bytes = 0;
        return 0;
    }
    // Only what came out of order can leave the excess again, whatever a driver counts as one segment.
    bytes = came * mss_bytes - received;
    held->leaves_bytes += late * mss_bytes;
    if (bytes < -held->leaves_bytes)
        bytes = -held->leaves_bytes;
    if (bytes < 0)
        held->leaves_bytes += bytes;
    held->excess_bytes += bytes;
    held->most_bytes += late * mss_bytes;
    if (late == 0 && came > 0) { // behind a gap everything is out of order: there is none
        held->base_bytes = held->excess_bytes;
        held->most_bytes = 0;
    }
    if (held->base_bytes > held->excess_bytes)
        held->base_bytes = held->excess_bytes;
    bytes = held->excess_bytes - held->base_bytes;
    return bytes < held->most_bytes ? bytes : held->most_bytes;
}
