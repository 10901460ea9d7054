// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include "agent/base/clock.h"

// How far a running probe is, for a person who waits.
struct dk_progress {
    const char *probe;
    int64_t elapsed_ns, duration_ns; // duration_ns is 0 while it is not known
    struct dk_mono start;            // of a throughput probe, its common start; 0 before
    int64_t bytes;                   // payload so far
    int64_t rate_bps;                // over about the last second; 0 for latency probes
};
