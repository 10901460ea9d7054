// SPDX-License-Identifier: Apache-2.0
//
// Whether a direction needs more streams (docs/methodology.md, "More streams"): on a line that loses packets a few do
// not fill it. A pure function of what TCP says of the streams and of what they moved.
#pragma once

#include "probes/measurement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dk_growth {
    int64_t streams_max;
    int64_t next_ns;     // of the next decision, from the common start; INT64_MAX: none
    int64_t last_ns;     // no decision after it
    int64_t rate_bps;    // before the last growth, while it has not been seen to raise it; else 0
    int missed;          // windows since then in which it was not seen
    int64_t lost;        // segments at the last decision
};

// For a test of `duration_ns`, with at most `streams_max` streams.
struct dk_growth dk_growth_make(int64_t streams_max, int64_t duration_ns);

// At next_ns: how many streams to add, 0: none, now or later. `rate_bps` is that of the last DK_GROWTH_WINDOW_NS; tcp[]
// what the kernel says of each of the `count` streams now.
#define DK_GROWTH_WINDOW_NS INT64_C(500000000)
size_t dk_growth_decide(struct dk_growth *growth, int64_t now_ns, int64_t rate_bps, const struct dk_tcp_stream tcp[],
                        size_t count, bool upload);

// All that were added take part from now on.
void dk_growth_joined(struct dk_growth *growth, int64_t now_ns);
