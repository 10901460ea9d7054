// SPDX-License-Identifier: Apache-2.0
//
// What a set of samples says about the whole it was drawn from. Pure; floating point only inside estimate.c. The same
// definitions in words: docs/methodology.md, "From samples to a finding".
//
// Each limit of an interval holds with 95 %: the true figure is below `low` in 5 % of all sets and above `high` in 5 %,
// so that both together hold in 90 %. It is the limit, one side at a time, that a rule is decided by.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DK_ESTIMATE_LIMIT_PPM = 950000,
    DK_ESTIMATE_INTERVAL_PPM = 900000,
    // Fewer samples give no interval of the mean, and of the median.
    DK_ESTIMATE_MEAN_MIN = 200,
    DK_ESTIMATE_MEDIAN_MIN = 5,
};

struct dk_interval {
    bool known; // false: too few samples; low and high mean nothing
    int64_t low, high;
};

// All in the unit of the values.
struct dk_estimate {
    size_t count;                          // 0: nothing else means anything
    int64_t min, p5, median, p95, max;     // percentiles: nearest rank, as in probes/stats.h
    int64_t mean;                          // Σ/N, half up
    int64_t sd;                            // √(Σ(x − mean)²/(N − 1)), half up; 0 for one value
    struct dk_interval mean_interval;      // Hall's transformation of Student's t, which allows for skewness
    struct dk_interval median_interval;    // order statistics, interpolated (Hettmansperger and Sheather)
};

// Estimates from `count` values, 0 to 10^12, at most 2^24 of them. Sorts them in place.
void dk_estimate_values(int64_t *values, size_t count, struct dk_estimate *out);

// The exact (Clopper-Pearson) limits of a share of `good` of `count` >= 1, in ppm: low rounded down, high up.
struct dk_interval dk_estimate_share(int64_t good, int64_t count);

// True when `good` of `count` prove that the share is above `ppm` (below it): Clopper-Pearson, the limit not rounded.
bool dk_estimate_share_above(int64_t good, int64_t count, int64_t ppm);
bool dk_estimate_share_below(int64_t good, int64_t count, int64_t ppm);

// How many samples in all it would take for a limit to leave the threshold, if the figures stayed as they are. -1 when
// it would take more than `max`.
int64_t dk_estimate_count_for_mean(const struct dk_estimate *estimate, int64_t threshold, int64_t max);
int64_t dk_estimate_count_for_share(int64_t good, int64_t count, int64_t ppm, int64_t max);
