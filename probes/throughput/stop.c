// SPDX-License-Identifier: Apache-2.0
#include "probes/throughput/stop.h"

#include "agent/base/clock.h"
#include "probes/stats.h"

enum {
    BURST_BYTES = 10000000,  // the largest bucket of a burst that is reckoned with
    CALM_SHARE = 25,         // a calm line's half interval is at most 1/25 of its rate
    LOW_LEVEL = 7, HIGH_LEVEL = 13, // a calm line stays within 7 : 13, that is 1 ± 0.3
    PRECISE_LOOKS = 3,       // that must agree, and what lies between them
    PRECISE_LOOK_NS = 250000000,
};
static const int64_t verdict_after_ns = DK_NS_PER_S;
static const int64_t rate_max_bps = INT64_C(100'000'000'000'000); // keeps every product within 64 bits

// From some moment on, the line moved so much more than at `threshold_bps` that no bucket explains it: what it does
// without the bucket is above the threshold too, whatever the burst's own rate.
static bool outlasts_burst(const struct dk_series *series, int64_t threshold_bps)
{
    int64_t bytes = 0, time_ns = 0, rate_bps = 0;

    for (size_t i = series->count; i-- > 0;) {
        bytes += series->bytes[i];
        time_ns += series->interval_ns;
        if (dk_stats_rate_bps(bytes - BURST_BYTES, time_ns, &rate_bps) && rate_bps >= threshold_bps)
            return true;
    }
    return false;
}

// What has been seen so far, and what of it does not depend on the threshold.
struct sight {
    const struct dk_series *series;
    struct dk_throughput rates;
    struct dk_range range;
    bool calm;
    int64_t duration_ns;  // of the whole test
    int64_t part;         // of it that is over, in 1/1000
};

// The mean of the whole test is above when the rest runs at 7/13 of what was seen, or, when the line is not calm,
// does not run at all; then by a tenth, because a line that moves is not the same a while later.
static bool is_above(const struct sight *sight, int64_t threshold_bps, bool whole)
{
    int64_t low = sight->range.low_bps, least_bps = 0;

    if (whole && low - sight->rates.rate_bps + sight->rates.rate_whole_bps < threshold_bps)
        return false;
    if (low < threshold_bps || !outlasts_burst(sight->series, threshold_bps))
        return false;
    if (sight->calm)
        return low * (HIGH_LEVEL * sight->part + LOW_LEVEL * (1000 - sight->part)) >= threshold_bps * HIGH_LEVEL * 1000;
    return dk_stats_rate_bps(sight->rates.bytes, sight->duration_ns, &least_bps) &&
           least_bps / 11 >= threshold_bps / 10;
}

// Below, when the rest runs at 13/7 of what was seen. What a line that is not calm may still do has no bound.
static bool is_below(const struct sight *sight, int64_t threshold_bps)
{
    return sight->calm && sight->rates.steadiness.burst_bps == 0 &&
           sight->range.high_bps * (LOW_LEVEL * sight->part + HIGH_LEVEL * (1000 - sight->part)) <
               threshold_bps * LOW_LEVEL * 1000;
}

static bool is_decided(const struct sight *sight, const struct dk_thresholds *thresholds)
{
    if (thresholds->count > DK_THRESHOLDS_MAX || sight->range.high_bps > rate_max_bps)
        return false;
    for (size_t i = 0; i < thresholds->count; i++) {
        int64_t threshold_bps = thresholds->at[i].bps;

        if (threshold_bps > rate_max_bps ||
            (!is_above(sight, threshold_bps, thresholds->at[i].whole) && !is_below(sight, threshold_bps)))
            return false;
    }
    return true;
}

static bool is_precise(struct dk_series series, int64_t precision_ppm)
{
    int64_t time_ns = (int64_t)series.count * series.interval_ns;
    size_t step = series.interval_ns >= PRECISE_LOOK_NS ? 1 : (size_t)(PRECISE_LOOK_NS / series.interval_ns);

    for (int look = 0; look < PRECISE_LOOKS; look++, series.count -= step) {
        struct dk_throughput seen = {0};

        if (series.count <= step || !dk_stats_rates(&series, dk_stats_ramp_up_intervals(&series), &seen) ||
            seen.steadiness.unsteady || seen.rate_high_bps > rate_max_bps ||
            (look == 0 && time_ns - seen.steadiness.settled_ns < DK_STATS_BRIEF_NS) ||
            seen.steadiness.cautious_bps > seen.rate_bps / 1000 * precision_ppm / 1000)
            return false;
    }
    return true;
}

bool dk_stop_now(const struct dk_series *series, const struct dk_stop_rule *rule, enum dk_stop *out)
{
    int64_t time_ns = (int64_t)series->count * series->interval_ns;
    struct sight sight = {.series = series, .duration_ns = rule->duration_ns};

    if (dk_stats_is_growing(series))
        return false;
    if (rule->stop == DK_STOP_VERDICT && rule->thresholds->count > 0) {
        if (time_ns < verdict_after_ns || time_ns >= rule->duration_ns ||
            !dk_stats_rates(series, dk_stats_ramp_up_intervals(series), &sight.rates) || sight.rates.steadiness.brief)
            return false;
        sight.range = dk_throughput_range(&sight.rates);
        sight.part = time_ns / (rule->duration_ns / 1000);
        sight.calm = !sight.rates.steadiness.unsteady &&
                     (sight.rates.rate_high_bps - sight.rates.rate_bps) <= sight.rates.rate_bps / CALM_SHARE;
        *out = DK_STOP_VERDICT;
        return is_decided(&sight, rule->thresholds);
    }
    if (rule->stop != DK_STOP_PRECISE && rule->stop != DK_STOP_VERDICT)
        return false;
    if (!is_precise(*series, rule->precision_ppm))
        return false;
    *out = DK_STOP_PRECISE;
    return true;
}
