// SPDX-License-Identifier: Apache-2.0
//
// What has arrived and TCP cannot hand up yet, because a segment before it is missing (docs/methodology.md, "What is
// counted"). The kernel does not say how much that is; it follows from counts that it keeps.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Zeroed: a connection that was not looked at yet.
struct dk_held {
    bool begun;
    int64_t segments, out_of_order, received_bytes; // at the latest look
    int64_t excess_bytes; // segments that came, as bytes, less what was received in order
    int64_t base_bytes;   // of the excess when nothing was held: segments that came twice, or were not full
    int64_t most_bytes;   // came out of order since then
    int64_t leaves_bytes; // came out of order in all, less what has left the excess
};

// A look at the counts of the connection so far: segments with data that came, those of them out of order, the bytes
// received in order; `mss_bytes` is the payload of a full segment. Returns the bytes held back, 0 when a count is −1.
int64_t dk_held_look(struct dk_held *held, int64_t segments, int64_t out_of_order, int64_t received_bytes,
                     int64_t mss_bytes);
