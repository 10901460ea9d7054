// SPDX-License-Identifier: Apache-2.0
#include "probes/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t series_bytes_max = INT64_C(1) << 53; // exact in a double
static const int64_t series_ns_max = INT64_C(1000000000000000);
static const int64_t smoothing_ns = 250 * DK_NS_PER_MS;
static const double burst_explained = 0.8, level_explained = 0.5; // least share of the scatter

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

// Intervals in 250 ms, at least one.
static size_t smoothing_intervals(const struct dk_series *series)
{
    return series->interval_ns >= smoothing_ns ? 1 : (size_t)(smoothing_ns / series->interval_ns);
}

// The intervals until the streams that joined last have found their rate; 0 when all began together.
static size_t joined_intervals(const struct dk_series *series)
{
    int64_t last_ns = 0;

    for (size_t s = 0; s < series->streams && s < DK_STREAMS_MAX; s++)
        if (series->joined_ns[s] > last_ns)
            last_ns = series->joined_ns[s];

    size_t intervals = (size_t)(last_ns / series->interval_ns) + (last_ns % series->interval_ns != 0);

    return last_ns == 0 ? 0 : intervals + 2 * smoothing_intervals(series);
}

bool dk_stats_is_growing(const struct dk_series *series)
{
    return is_series(series) && joined_intervals(series) > series->count / 2;
}

// The first interval at which TCP has found the rate of the line, at most half of all.
static size_t settled_intervals(const struct dk_series *series)
{
    size_t count = series->count, half = count - count / 2, width = smoothing_intervals(series);

    if (width > count / 2) // too short to be smoothed: nothing can be told apart
        return count / 2;

    size_t from = half > width - 1 ? half : width - 1, rank = count - from;
    int64_t median = middle(sum_of_rank(series, width, from, (rank + 1) / 2),
                            sum_of_rank(series, width, from, rank / 2 + 1));
    size_t reached = joined_intervals(series);

    if (reached < width - 1)
        reached = width - 1;
    while (reached < count / 2 && 10 * sum(series, reached + 1 - width, reached + 1) < 9 * median)
        reached++;
    return reached < count / 2 ? reached : count / 2;
}

// Where two levels describe the intervals from `from` on best.
struct split {
    size_t at;         // the first interval of the later level; 0: there is nothing to split
    double explained;  // share of the scatter of the 250 ms sums that the two levels explain, 0 … 1
    int64_t first_bytes, last_bytes; // moved before and from `at` on
    size_t first_groups, last_groups;
};

static struct split find_split(const struct dk_series *series, size_t from, size_t first_min, size_t last_min)
{
    size_t width = smoothing_intervals(series), groups = (series->count - from) / width;
    struct split best = {0};
    double squares = 0, most = -1;
    int64_t total = 0, before = 0;

    if (groups < first_min + last_min)
        return best;
    for (size_t g = 0; g < groups; g++) {
        int64_t bytes = sum(series, from + g * width, from + (g + 1) * width);

        total += bytes;
        squares += (double)bytes * (double)bytes;
    }

    double around_mean = squares - (double)total * (double)total / (double)groups;

    for (size_t g = 1; g <= groups - last_min; g++) {
        before += sum(series, from + (g - 1) * width, from + g * width);
        if (g < first_min)
            continue;

        // (mean before − mean after)^2 * g * (groups − g) / groups, the scatter between the two levels.
        double difference = (double)before / (double)g - (double)(total - before) / (double)(groups - g);
        double between = difference * difference * (double)g * (double)(groups - g) / (double)groups;

        if (between > most) {
            most = between;
            best = (struct split){from + g * width, 0, before, total - before, g, groups - g};
        }
    }
    // All sums the same, or as good as: rounding leaves no more than this.
    best.explained = around_mean > squares * 1e-12 ? most / around_mean : 0;
    return best;
}

int64_t dk_stats_ramp_up_intervals(const struct dk_series *series)
{
    if (!is_series(series))
        return 0;

    size_t count = series->count, fifth = count / 5 + (count % 5 != 0);
    size_t settled = settled_intervals(series);
    size_t ramp_up = settled > fifth ? settled : fifth;

    if (ramp_up >= count / 2)
        return (int64_t)(count / 2);

    struct split split = find_split(series, ramp_up, 1, 2);
    size_t width = smoothing_intervals(series);
    // first_bytes / first_groups >= 1.1 * last_bytes / last_groups
    bool falls = (double)split.first_bytes * (double)split.last_groups * 10 >=
                 (double)split.last_bytes * (double)split.first_groups * 11;

    // The step itself may lie in the group after the split.
    if (split.at > 0 && split.explained >= burst_explained && falls && split.at + width <= count / 2)
        ramp_up = split.at + width;
    return (int64_t)ramp_up;
}

// True when what one of the intervals from `first` on gets, the next one misses, more clearly than by chance: then the
// readings, not the line, are what fluctuates.
static bool is_lumpy(const struct dk_series *series, size_t first)
{
    double count = (double)(series->count - first), squares = 0, products = 0, before = 0;
    double mean = (double)sum(series, first, series->count) / count;

    for (size_t i = first; i < series->count; i++) {
        double deviation = (double)sum(series, i, i + 1) - mean;

        squares += deviation * deviation;
        products += deviation * before;
        before = deviation;
    }
    return products < -2 / sqrt(count) * squares;
}

// Half the width of the 95 % interval of the mean rate over the last `steady` intervals, in bit/s; with neighbours
// correlated by `more` standard errors more than they look.
static double half_width_bps(const struct dk_series *series, size_t steady, double more)
{
    // Student's t, 0.975 quantile, for 3 … 19 degrees of freedom.
    static const double t_975[] = {3.182446305, 2.776445105, 2.570581836, 2.446911851, 2.364624252, 2.306004135,
                                   2.262157163, 2.228138852, 2.200985160, 2.178812830, 2.160368656, 2.144786688,
                                   2.131449546, 2.119905299, 2.109815578, 2.100922040, 2.093024054};
    _Static_assert(sizeof t_975 / sizeof t_975[0] == DK_STATS_BATCHES_MAX - 3, "one quantile for each count");
    size_t batches = steady < DK_STATS_BATCHES_MAX ? steady : DK_STATS_BATCHES_MAX;
    size_t first = series->count - steady;
    double rates[DK_STATS_BATCHES_MAX] = {0}, count = (double)batches, mean = 0, squares = 0, products = 0;

    for (size_t b = 0; b < batches; b++) {
        size_t from = first + b * steady / batches, to = first + (b + 1) * steady / batches;

        rates[b] = (double)sum(series, from, to) * 8e9 / ((double)(to - from) * (double)series->interval_ns);
        mean += rates[b];
    }
    mean /= count;
    for (size_t b = 0; b < batches; b++) {
        squares += (rates[b] - mean) * (rates[b] - mean);
        if (b > 0)
            products += (rates[b] - mean) * (rates[b - 1] - mean);
    }
    if (squares <= 0)
        return 0;

    // The correlation of neighbours, with what so few batches make it come out too low (Kendall; a little more).
    double correlation = products / squares;

    correlation += (1 + 4 * correlation) / count + more / sqrt(count);
    if (correlation > 0.9)
        correlation = 0.9;

    double inflation = (1 + correlation) / (1 - correlation), least = is_lumpy(series, first) ? 0.25 : 1;

    if (inflation < least)
        inflation = least;

    size_t freedom = (size_t)((count - 1) / inflation);

    if (freedom < 3)
        freedom = 3;
    if (freedom > batches - 1)
        freedom = batches - 1;
    return ceil(t_975[freedom - 3] * sqrt(squares / (count - 1) / count * inflation));
}

// The rate of a mean of sums over 250 ms; what does not fit is the largest there is.
static int64_t level_bps(const struct dk_series *series, int64_t bytes, size_t groups)
{
    int64_t rate = INT64_MAX;

    (void)dk_stats_rate_bps(bytes, (int64_t)(groups * smoothing_intervals(series)) * series->interval_ns, &rate);
    return rate;
}

static bool is_brief(const struct dk_throughput *of, int64_t times)
{
    return of->duration_ns - of->steadiness.settled_ns < times * DK_STATS_BRIEF_NS &&
           of->bytes < times * DK_STATS_BRIEF_BYTES;
}

// Fills the steadiness from the series and the rates.
static void judge_steadiness(const struct dk_series *series, size_t ramp_up, struct dk_throughput *out)
{
    size_t steady = series->count - ramp_up, width = smoothing_intervals(series), eighth = steady / width / 8;
    size_t least = eighth > 1 ? eighth : 1;
    // Groups up to the very end: what has just changed must be seen.
    struct split split = find_split(series, ramp_up + steady % width, least, least);
    int64_t rate = out->rate_bps, half = out->rate_high_bps - rate, before = 0;
    struct dk_steadiness *to = &out->steadiness;

    to->level_first_bps = to->level_last_bps = rate;
    if (split.at > 0) {
        to->level_first_bps = level_bps(series, split.first_bytes, split.first_groups);
        to->level_last_bps = level_bps(series, split.last_bytes, split.last_groups);
    }

    int64_t change = to->level_first_bps > to->level_last_bps ? to->level_first_bps - to->level_last_bps
                                                              : to->level_last_bps - to->level_first_bps;

    to->changes = split.explained >= level_explained && change >= rate / 20;
    to->unsteady = to->changes || half > rate / 10 || rate == 0;
    // What changes may be a burst that is just ending: only more time tells.
    to->brief = is_brief(out, to->unsteady ? 2 : 1);
    to->burst_bps = 0;
    if (ramp_up > 0 && dk_stats_rate_bps(sum(series, 0, ramp_up), out->ramp_up_ns, &before) &&
        before > out->rate_high_bps && before - rate >= rate / 20)
        to->burst_bps = before;
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
    out->steadiness.settled_ns = (int64_t)settled_intervals(series) * series->interval_ns;
    out->steadiness.brief = is_brief(out, 1);
    if (steady < DK_STATS_STEADY_MIN_INTERVALS ||
        !dk_stats_rate_bps(sum(series, ramp_up, series->count), (int64_t)steady * series->interval_ns, &rate))
        return false;

    double half_width = half_width_bps(series, steady, 0), cautious = half_width_bps(series, steady, 1);
    int64_t half = half_width < 9e18 ? (int64_t)half_width : INT64_MAX;

    out->rate_bps = rate;
    out->rate_low_bps = half > rate ? 0 : rate - half;
    out->rate_high_bps = half > INT64_MAX - rate ? INT64_MAX : rate + half;
    out->steadiness.cautious_bps = cautious < 9e18 ? (int64_t)cautious : INT64_MAX;
    judge_steadiness(series, ramp_up, out);
    return true;
}
