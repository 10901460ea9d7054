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
    // Batches of the interval of a rate, when there are as many intervals.
    DK_STATS_BATCHES_MAX = 20,
};
// A test that lasts less after it has settled, and moves less in all, may be nothing but a burst; an unsteady one, with
// twice as much.
#define DK_STATS_BRIEF_NS    INT64_C(2200000000)
#define DK_STATS_BRIEF_BYTES INT64_C(30000000)

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

// The number of intervals at the start that the steady rate leaves out. With n intervals, T(i) the bytes of all
// streams in interval i, w = max(1, floor(250 ms / interval)), S(i) = T(i−w+1) + … + T(i) for i >= w−1, and M the
// median (as above) of S(i) over i >= max(w−1, ceil(n / 2)):
//   k = the first i >= max(w−1, J) with 10 * S(i) >= 9 * M, J = 0, or ceil(last joined_ns / interval) + 2w when a
//   stream joined later than the others, at most floor(n / 2);   r0 = min(floor(n / 2), max(ceil(n / 5), k)),
// floor(n / 2) when w is more than that. A burst that goes on after r0 is left out too: from r0 on the series is cut
// into groups of w intervals (a rest at the end counts in none), and split into two levels where they explain most of
// the groups' scatter, at least one group and then at least two. It is a burst when they explain at least 0.8 of it,
// the first level is at least 1.1 times the second, and the split + w is no more than floor(n / 2); the result is
// then the split + w.
// 0 for a series that dk_stats_rates() refuses.
int64_t dk_stats_ramp_up_intervals(const struct dk_series *series);

// True when the streams that joined last have not had half of the series without the time they take to find their rate:
// the ramp-up then leaves out less than it should. False for a series that dk_stats_rates() refuses.
bool dk_stats_is_growing(const struct dk_series *series);

// Fills bytes, duration_ns, ramp_up_ns, rate_whole_bps, rate_bps, rate_low_bps, rate_high_bps and steadiness of *out
// from the series and touches nothing else. With r = ramp_up_intervals (0 … count) and m = count − r steady intervals:
//   rate_whole_bps = bits of all intervals / time of all; rate_bps = bits of the last m / time of the last m;
//   interval (95 %): batch means with the correlation of neighbouring batches. b = min(20, m) batches, batch j the
//   intervals r + floor(j m / b) … r + floor((j + 1) m / b) − 1; q = the sum of the squares of their rates' deviations,
//   p = the sum of the products of neighbours' deviations; c = min(0.9, p/q + (1 + 4 p/q) / b);
//   f = max(1, (1 + c) / (1 − c)); rate_low, rate_high = rate_bps −/+ ceil(t * sqrt(q / (b − 1) / b * f)), low at least
//   0, t = Student's t (0.975) with max(3, floor((b − 1) / f)) degrees of freedom, at most b − 1. f may be as low as
//   1/4 when the correlation of neighbouring intervals (not batches) is below −2 / sqrt(m).
//   steadiness: docs/methodology.md.
// False when m < DK_STATS_STEADY_MIN_INTERVALS: then the rate, its interval and the steadiness, but for `settled_ns`
// and `brief`, are untouched.
// Also false, with *out untouched, when the series cannot be one: nothing in it, a negative value, more than
// 2^53 bytes or 10^15 ns in all.
bool dk_stats_rates(const struct dk_series *series, int64_t ramp_up_intervals, struct dk_throughput *out);
