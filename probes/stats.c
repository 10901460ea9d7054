// SPDX-License-Identifier: Apache-2.0
#include "probes/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t series_bytes_max = INT64_C(1) << 53; // exact in a double
static const int64_t series_ns_max = INT64_C(1000000000000000);
static const int64_t smoothing_ns = 250 * DK_NS_PER_MS;

// Half of a non-negative sum, rounded half up, without overflow in a + b.
static int64_t middle(int64_t a, int64_t b)
{
    return a / 2 + b / 2 + (a % 2 + b % 2 + 1) / 2;
}

int64_t dk_stats_quantile_ns(const int64_t *sorted, size_t count, int64_t permille)
{
    // count / 1000 and count % 1000 apart, so that no product overflows.
    size_t p = (size_t)permille;
    size_t rank = count / 1000 * p + (count % 1000 * p + 999) / 1000;

    return sorted[rank == 0 ? 0 : rank - 1];
}

int64_t dk_stats_median_ns(const int64_t *sorted, size_t count)
{
    return middle(sorted[(count - 1) / 2], sorted[count / 2]);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

// Mean of the absolute differences of neighbours, both of which arrived; -1 when there are none.
static int64_t ipdv_mean_ns(const int64_t *rtt_ns, size_t count)
{
    int64_t whole = 0, rest = 0, pairs = 0;

    for (size_t i = 1; i < count; i++)
        pairs += rtt_ns[i] >= 0 && rtt_ns[i - 1] >= 0;
    if (pairs == 0)
        return -1;
    // Quotients and remainders apart: the sum itself might not fit.
    for (size_t i = 1; i < count; i++) {
        if (rtt_ns[i] < 0 || rtt_ns[i - 1] < 0)
            continue;

        int64_t difference =
            rtt_ns[i] > rtt_ns[i - 1] ? rtt_ns[i] - rtt_ns[i - 1] : rtt_ns[i - 1] - rtt_ns[i];

        whole += difference / pairs;
        rest += difference % pairs;
        whole += rest / pairs;
        rest %= pairs;
    }
    return whole + (rest >= pairs - rest ? 1 : 0);
}

enum dk_err dk_stats_latency(const int64_t *rtt_ns, size_t count, struct dk_latency *out)
{
    int64_t *sorted = malloc((count + 1) * sizeof *sorted);
    size_t received = 0;

    if (sorted == NULL)
        return DK_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (rtt_ns[i] >= 0)
            sorted[received++] = rtt_ns[i];
    qsort(sorted, received, sizeof *sorted, ascending);

    out->sent = (int64_t)count;
    out->received = (int64_t)received;
    out->lost = out->sent - out->received;
    out->rtt_min_ns = out->rtt_median_ns = out->rtt_p95_ns = out->rtt_p99_ns = out->rtt_max_ns = -1;
    out->pdv_p95_ns = -1;
    out->ipdv_mean_ns = ipdv_mean_ns(rtt_ns, count);
    if (received > 0) {
        out->rtt_min_ns = sorted[0];
        out->rtt_median_ns = dk_stats_median_ns(sorted, received);
        out->rtt_p95_ns = dk_stats_quantile_ns(sorted, received, 950);
        out->rtt_p99_ns = dk_stats_quantile_ns(sorted, received, 990);
        out->rtt_max_ns = sorted[received - 1];
        out->pdv_p95_ns = out->rtt_p95_ns - out->rtt_min_ns;
    }
    free(sorted);
    return DK_OK;
}

void dk_stats_send_late(int64_t *late_ns, size_t count, struct dk_latency *out)
{
    out->send_late_median_ns = out->send_late_max_ns = -1;
    if (count == 0)
        return;
    qsort(late_ns, count, sizeof *late_ns, ascending);
    out->send_late_median_ns = dk_stats_median_ns(late_ns, count);
    out->send_late_max_ns = late_ns[count - 1];
}

bool dk_stats_rate_bps(int64_t bytes, int64_t duration_ns, int64_t *out)
{
    if (bytes < 0 || bytes > INT64_MAX / 8 || duration_ns <= 0 || duration_ns > INT64_MAX / 1000)
        return false;

    int64_t bits = bytes * 8;
    int64_t rate = bits / duration_ns, rest = bits % duration_ns;

    // Long division by three decimal digits a step gives bits * 10^9 / ns without a 128-bit product, which
    // 32-bit machines do not have.
    for (int step = 0; step < 3; step++) {
        rest *= 1000;
        if (__builtin_mul_overflow(rate, INT64_C(1000), &rate) ||
            __builtin_add_overflow(rate, rest / duration_ns, &rate))
            return false;
        rest %= duration_ns;
    }
    if (__builtin_add_overflow(rate, (int64_t)(rest >= duration_ns - rest), &rate))
        return false;
    *out = rate;
    return true;
}

// Bytes of all streams in intervals [from, to).
static int64_t sum(const struct dk_series *series, size_t from, size_t to)
{
    int64_t bytes = 0;

    for (size_t s = 0; s < series->streams; s++)
        for (size_t i = from; i < to; i++)
            bytes += series->bytes[s * series->count + i];
    return bytes;
}

// True when every sum over the series, and ten times it, fits.
static bool is_series(const struct dk_series *series)
{
    int64_t total = 0;

    if (series->bytes == NULL || series->streams == 0 || series->count == 0 || series->interval_ns <= 0 ||
        series->count > (size_t)(series_ns_max / series->interval_ns))
        return false;
    for (size_t i = 0; i < series->streams * series->count; i++) {
        if (series->bytes[i] < 0 || series->bytes[i] > series_bytes_max - total)
            return false;
        total += series->bytes[i];
    }
    return true;
}

// How many of the sums over `width` intervals that end at interval `from` or later are <= `limit`.
static size_t sums_up_to(const struct dk_series *series, size_t width, size_t from, int64_t limit)
{
    int64_t window = sum(series, from + 1 - width, from + 1);
    size_t found = window <= limit;

    for (size_t i = from + 1; i < series->count; i++) {
        window += sum(series, i, i + 1) - sum(series, i - width, i - width + 1);
        found += window <= limit;
    }
    return found;
}

// The sum of rank `rank` (from 1) among those, found by halving the range of values: no copy to sort.
static int64_t sum_of_rank(const struct dk_series *series, size_t width, size_t from, size_t rank)
{
    int64_t low = 0, high = series_bytes_max;

    while (low < high) {
        int64_t half = low + (high - low) / 2;

        if (sums_up_to(series, width, from, half) >= rank)
            high = half;
        else
            low = half + 1;
    }
    return low;
}

int64_t dk_stats_ramp_up_intervals(const struct dk_series *series)
{
    if (!is_series(series))
        return 0;

    size_t count = series->count, half = count - count / 2, fifth = count / 5 + (count % 5 != 0);
    size_t width = series->interval_ns >= smoothing_ns ? 1 : (size_t)(smoothing_ns / series->interval_ns);

    if (width > count / 2) // too short to be smoothed: nothing can be told apart
        return (int64_t)(count / 2);

    size_t from = half > width - 1 ? half : width - 1, rank = count - from;
    int64_t median = middle(sum_of_rank(series, width, from, (rank + 1) / 2),
                            sum_of_rank(series, width, from, rank / 2 + 1));
    size_t reached = width - 1;

    while (reached < count / 2 && 10 * sum(series, reached + 1 - width, reached + 1) < 9 * median)
        reached++;

    size_t ramp_up = reached > fifth ? reached : fifth;

    return (int64_t)(ramp_up < count / 2 ? ramp_up : count / 2);
}

// Half the width of the 95 % interval of the mean rate over the last `steady` intervals, in bit/s.
static double half_width_bps(const struct dk_series *series, size_t steady)
{
    // Student's t, 0.975 quantile, for 1 … 9 degrees of freedom.
    static const double t_975[] = {12.706204736, 4.302652730, 3.182446305, 2.776445105, 2.570581836,
                                   2.446911851,  2.364624252, 2.306004135, 2.262157163};
    _Static_assert(sizeof t_975 / sizeof t_975[0] == DK_STATS_BATCHES_MAX - 1, "one quantile for each count");
    size_t batches = steady / 2 < DK_STATS_BATCHES_MAX ? steady / 2 : DK_STATS_BATCHES_MAX;
    size_t length = steady / batches, first = series->count - batches * length;
    double rates[DK_STATS_BATCHES_MAX] = {0}, mean = 0, squares = 0;

    for (size_t b = 0; b < batches; b++) {
        double bytes = (double)sum(series, first + b * length, first + (b + 1) * length);

        rates[b] = bytes * 8e9 / ((double)length * (double)series->interval_ns);
        mean += rates[b] / (double)batches;
    }
    for (size_t b = 0; b < batches; b++)
        squares += (rates[b] - mean) * (rates[b] - mean);

    double deviation = sqrt(squares / (double)(batches - 1));

    return ceil(t_975[batches - 2] * deviation / sqrt((double)batches));
}

bool dk_stats_rates(const struct dk_series *series, int64_t ramp_up_intervals, struct dk_throughput *out)
{
    if (!is_series(series) || ramp_up_intervals < 0 || ramp_up_intervals > (int64_t)series->count)
        return false;

    size_t ramp_up = (size_t)ramp_up_intervals, steady = series->count - ramp_up;
    int64_t bytes = sum(series, 0, series->count), duration_ns = (int64_t)series->count * series->interval_ns;
    int64_t whole = 0, rate = 0;

    if (!dk_stats_rate_bps(bytes, duration_ns, &whole))
        return false;
    out->bytes = bytes;
    out->duration_ns = duration_ns;
    out->ramp_up_ns = ramp_up_intervals * series->interval_ns;
    out->rate_whole_bps = whole;
    if (steady < DK_STATS_STEADY_MIN_INTERVALS ||
        !dk_stats_rate_bps(sum(series, ramp_up, series->count), (int64_t)steady * series->interval_ns, &rate))
        return false;

    double half_width = half_width_bps(series, steady);
    int64_t half = half_width < 9e18 ? (int64_t)half_width : INT64_MAX;

    out->rate_bps = rate;
    out->rate_low_bps = half > rate ? 0 : rate - half;
    out->rate_high_bps = half > INT64_MAX - rate ? INT64_MAX : rate + half;
    return true;
}
