// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/flow.h"

#include "agent/base/clock.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

static const int64_t stall_ns = 2 * DK_NS_PER_S;

// Intervals at the end in which `stream` moved nothing.
static size_t silent_intervals(const struct dk_series *series, size_t stream)
{
    size_t silent = 0;

    while (silent < series->count && series->bytes[(stream + 1) * series->count - 1 - silent] == 0)
        silent++;
    return silent;
}

bool dk_flow_is_sound(const struct dk_series *series, char reason[static DK_REASON_SIZE])
{
    int64_t total_bytes = 0, half_ns = (int64_t)series->count * series->interval_ns / 2;
    int64_t all_silent_ns = INT64_MAX;

    reason[0] = '\0';
    for (size_t i = 0; i < series->streams * series->count; i++)
        total_bytes += series->bytes[i];
    for (size_t s = 0; s < series->streams; s++) {
        int64_t silent_ns = (int64_t)silent_intervals(series, s) * series->interval_ns;

        if (silent_ns < all_silent_ns)
            all_silent_ns = silent_ns;
        if (silent_ns >= half_ns && silent_ns >= stall_ns)
            snprintf(reason, DK_REASON_SIZE, "stalled: stream %zu of %zu moved nothing in the last %" PRId64 " ms",
                     s + 1, series->streams, silent_ns / DK_NS_PER_MS);
    }
    if (all_silent_ns >= half_ns || all_silent_ns >= stall_ns)
        snprintf(reason, DK_REASON_SIZE, "stalled: nothing came through in the last %" PRId64 " ms",
                 all_silent_ns / DK_NS_PER_MS);
    if (total_bytes < DK_FLOW_MIN_BYTES)
        snprintf(reason, DK_REASON_SIZE, "only %" PRId64 " bytes came through; at least %d are needed", total_bytes,
                 (int)DK_FLOW_MIN_BYTES);
    return reason[0] == '\0';
}
