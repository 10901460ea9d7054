// SPDX-License-Identifier: Apache-2.0
//
// Every statistic dokiem publishes, as pure functions. docs/methodology.md states the same definitions for
// people; the two must agree. Floating point is used only inside stats.c, for the interval of a rate.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "probes/measurement.h"

enum {
    // Fewer steady intervals than this give no rate: dk_stats_rates() says false.
    DK_STATS_STEADY_MIN_INTERVALS = 8,
    // Batches of the batch-means interval, when there are enough intervals for two in each.
    DK_STATS_BATCHES_MAX = 10,
};

// The p-quantile for p = permille / 1000 as RFC 2330 section 11.3 defines percentiles: the smallest value x
// such that at least the share p of the values is <= x (nearest rank): sorted[ceil(p * count)], counted from
// 1, at least the first. Always a value that was observed. `sorted` ascends; count >= 1; permille 0 … 1000.
int64_t dk_stats_quantile_ns(const int64_t *sorted, size_t count, int64_t permille);

// The middle value, or for an even count the mean of the two middle ones, half a unit rounded up. `sorted`
// ascends; count >= 1; values >= 0.
int64_t dk_stats_median_ns(const int64_t *sorted, size_t count);

// Fills sent (= count), received, lost, rtt_*_ns, pdv_p95_ns and ipdv_mean_ns of *out and touches nothing
// else. rtt_ns[i] is the round-trip time of sequence number i, -1 when no answer came in time (RFC 6673).
// Figures that have no value (no answer; for IPDV no two consecutive answers) are -1. PDV: p95 − min (RFC
// 5481). IPDV: mean of |rtt(i) − rtt(i−1)| over all i where both arrived (RFC 3393), half a unit rounded up.
// Errors: MEMORY.
enum dk_err dk_stats_latency(const int64_t *rtt_ns, size_t count, struct dk_latency *out);

// Fills send_late_median_ns and send_late_max_ns of *out from how much later than planned each was sent, in ns, >= 0;
// -1 when count is 0. Sorts late_ns.
void dk_stats_send_late(int64_t *late_ns, size_t count, struct dk_latency *out);

// bits = bytes * 8 over duration_ns, in bit/s, rounded half up, exact. False, with *out untouched, when
// bytes < 0, duration_ns <= 0 or the result does not fit.
bool dk_stats_rate_bps(int64_t bytes, int64_t duration_ns, int64_t *out);

// The number of intervals at the start that the steady rate leaves out. With n intervals, T(i) the bytes of
// all streams in interval i, w = max(1, floor(250 ms / interval)), S(i) = T(i−w+1) + … + T(i) for i >= w−1,
// and M the median (as above) of S(i) over i >= max(w−1, ceil(n / 2)):
//   k = the first i >= w−1 with 10 * S(i) >= 9 * M;   result = min(floor(n / 2), max(ceil(n / 5), k));
// floor(n / 2) when w is more than that.
// 0 for an empty series or one that dk_stats_rates() refuses.
int64_t dk_stats_ramp_up_intervals(const struct dk_series *series);

// Fills bytes, duration_ns, ramp_up_ns, rate_whole_bps, rate_bps, rate_low_bps and rate_high_bps of *out from
// the series and touches nothing else. With r = ramp_up_intervals (0 … count) and m = count − r steady
// intervals:
//   rate_whole_bps = bits of all intervals / time of all; rate_bps = bits of the last m / time of the last m;
//   interval (95 %, non-overlapping batch means): b = min(10, floor(m / 2)) batches of l = floor(m / b)
//   intervals, the last b * l of the series; s = the standard deviation (divisor b − 1) of the b rates;
//   rate_low, rate_high = rate_bps −/+ ceil(t(0.975, b−1) * s / sqrt(b)), low at least 0.
// False when m < DK_STATS_STEADY_MIN_INTERVALS: then rate_bps, rate_low_bps and rate_high_bps are untouched.
// Also false, with *out untouched, when the series cannot be one: nothing in it, a negative value, more than
// 2^53 bytes or 10^15 ns in all.
bool dk_stats_rates(const struct dk_series *series, int64_t ramp_up_intervals, struct dk_throughput *out);
