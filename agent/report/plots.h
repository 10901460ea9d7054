// SPDX-License-Identifier: Apache-2.0
//
// The plots of one record, from the samples in it. Each appends one <figure>, or nothing when the record has
// no such samples; samples that cannot be ones (negative, not whole numbers, rows of unequal length) count as
// none.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/report/markup.h"

enum { DK_PLOT_BINS_MAX = 120, DK_PLOT_STREAMS_MAX = 32 };

// Payload over time, stream on stream: the rate of each 250 ms, or longer, so that there are at most
// DK_PLOT_BINS_MAX. With it the ramp-up that the steady rate leaves out, that rate and its 95 % interval, and
// a threshold (bit/s; −1 for none). `upload`: of the upload, else of the download.
void dk_plot_throughput(struct dk_markup *m, const json_t *record, bool upload, int64_t threshold_bps);

// Round-trip times in the order of their sending: idle, during download, during upload, side by side on one
// scale.
void dk_plot_latency(struct dk_markup *m, const json_t *record);

// The share of what was sent whose answer came within a time, for the same phases.
void dk_plot_latency_shares(struct dk_markup *m, const json_t *record);
