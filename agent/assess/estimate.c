// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/estimate.h"

#include <math.h>
#include <string.h>

#define ALPHA     0.05
#define Z_ALPHA   1.6448536269514722 // 0.95 quantile of the normal distribution
#define PPM       1000000
#define TINY      1e-300
#define PRECISION 1e-15

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1), value = 0;

    d = 1 / (fabs(d) < TINY ? TINY : d);
    value = d;
    for (int m = 1; m < 100000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));

        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = fabs(c) < TINY ? TINY : c;
        value *= d * c;
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = fabs(c) < TINY ? TINY : c;
        value *= d * c;
        if (fabs(d * c - 1) < PRECISION)
            break;
    }
    return value;
}

// The regularised incomplete beta function I_x(a, b) for a, b >= 1 and 0 <= x <= 1.
static double beta(double a, double b, double x)
{
    int sign = 0;

    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;

    double front =
        exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x));

    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(X >= good) and P(X <= good) when X is binomial with `count` and p.
static double at_least(int64_t good, int64_t count, double p)
{
    return good <= 0 ? 1 : beta((double)good, (double)(count - good + 1), p);
}

static double at_most(int64_t good, int64_t count, double p)
{
    return good >= count ? 1 : beta((double)(count - good), (double)(good + 1), 1 - p);
}

bool dk_estimate_share_above(int64_t good, int64_t count, int64_t ppm)
{
    return ppm <= 0 || (ppm < PPM && at_least(good, count, (double)ppm / PPM) <= ALPHA);
}

bool dk_estimate_share_below(int64_t good, int64_t count, int64_t ppm)
{
    return ppm > PPM || (ppm > 0 && at_most(good, count, (double)ppm / PPM) <= ALPHA);
}

struct dk_interval dk_estimate_share(int64_t good, int64_t count)
{
    int64_t low = 0, beyond = PPM + 1, high = PPM, below = -1;

    if (count < 1)
        return (struct dk_interval){0};
    // The largest ppm that the share is proved to be above.
    while (beyond - low > 1) {
        int64_t middle = low + (beyond - low) / 2;

        if (dk_estimate_share_above(good, count, middle))
            low = middle;
        else
            beyond = middle;
    }
    // The smallest ppm that it is proved to be below.
    while (high - below > 1) {
        int64_t middle = below + (high - below) / 2;

        if (dk_estimate_share_below(good, count, middle))
            high = middle;
        else
            below = middle;
    }
    return (struct dk_interval){.known = true, .low = low, .high = high};
}

// In place, in n log n steps whatever the order was: the C library's qsort takes memory.
static void sort(int64_t *values, size_t count)
{
    for (size_t start = count / 2, end = count; end > 1;) {
        if (start > 0) {
            start--;
        } else {
            int64_t last = values[--end];

            values[end] = values[0];
            values[0] = last;
        }

        size_t root = start;
        int64_t moved = values[root];

        for (size_t child = 2 * root + 1; child < end; child = 2 * root + 1) {
            child += child + 1 < end && values[child] < values[child + 1];
            if (moved >= values[child])
                break;
            values[root] = values[child];
            root = child;
        }
        values[root] = moved;
    }
}

static int64_t quantile(const int64_t *sorted, size_t count, size_t permille)
{
    size_t rank = (count * permille + 999) / 1000;

    return sorted[rank < 1 ? 0 : rank - 1];
}

// The limit of the mean on the side of `quantile` of Student's t, in standard deviations from the mean: Hall's cubic
// transformation takes the skewness out (P. Hall, J. R. Statist. Soc. B 54, 1992).
static double hall(double t, double root_n, double skewness)
{
    if (fabs(skewness) < 1e-9)
        return t / root_n;
    return 3 / skewness *
           (cbrt(1 + skewness * (t / root_n - skewness / (6 * root_n * root_n))) - 1);
}

// 0.95 quantile of Student's t with at least 199 degrees of freedom, to 1e-8 (Cornish and Fisher).
static double student(double freedom)
{
    double z = Z_ALPHA, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;

    return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

// Mean, standard deviation, and the limits of the mean. `values` are sorted, so that the order they came in does not
// change the last bit.
static void estimate_mean(const int64_t *values, size_t count, struct dk_estimate *out)
{
    uint64_t sum = 0;
    double n = (double)count, mean = 0, m2 = 0, m3 = 0;

    for (size_t i = 0; i < count; i++)
        sum += (uint64_t)values[i];
    out->mean = (int64_t)(sum / count + (sum % count >= count - sum % count));
    mean = (double)(sum / count) + (double)(sum % count) / n;
    for (size_t i = 0; i < count; i++) {
        double d = (double)values[i] - mean;

        m2 += d * d;
        m3 += d * d * d;
    }

    double sd = count > 1 ? sqrt(m2 / (n - 1)) : 0;

    out->sd = (int64_t)floor(sd + 0.5);
    if (count < DK_ESTIMATE_MEAN_MIN)
        return;

    double spread = m2 / n, root_n = sqrt(n), t = student(n - 1);
    double skewness = spread > 0 ? m3 / n / (spread * sqrt(spread)) * sqrt(n * (n - 1)) / (n - 2) : 0;

    out->mean_interval.known = true;
    out->mean_interval.low = (int64_t)fmax(0, floor(mean - hall(t, root_n, skewness) * sd));
    out->mean_interval.high = (int64_t)ceil(mean - hall(-t, root_n, skewness) * sd);
}

// The limits of the median (T. P. Hettmansperger, S. J. Sheather, Statist. Probab. Lett. 4, 1986): between the order
// statistics whose limits hold a little more and a little less often than asked for.
static void estimate_median(const int64_t *sorted, size_t count, struct dk_estimate *out)
{
    int64_t rank = 1, beyond = (int64_t)count / 2 + 1, n = (int64_t)count;

    if (count < DK_ESTIMATE_MEDIAN_MIN)
        return;
    // The largest rank r with P(X <= r − 1) <= ALPHA, X binomial with p = 1/2.
    while (beyond - rank > 1) {
        int64_t middle = rank + (beyond - rank) / 2;

        if (at_most(middle - 1, n, 0.5) <= ALPHA)
            rank = middle;
        else
            beyond = middle;
    }

    double outer = 1 - 2 * at_most(rank - 1, n, 0.5), inner = 1 - 2 * at_most(rank, n, 0.5);
    double part = (outer - (1 - 2 * ALPHA)) / (outer - inner);
    double weight = (double)(n - rank) * part / ((double)rank + (double)(n - 2 * rank) * part);
    const int64_t *low = &sorted[rank - 1], *high = &sorted[n - rank];

    out->median_interval.known = true;
    out->median_interval.low = (int64_t)floor((double)low[0] + weight * (double)(low[1] - low[0]));
    out->median_interval.high = (int64_t)ceil((double)high[0] - weight * (double)(high[0] - high[-1]));
}

void dk_estimate_values(int64_t *values, size_t count, struct dk_estimate *out)
{
    *out = (struct dk_estimate){.count = count};
    if (count == 0)
        return;
    sort(values, count);
    out->min = values[0];
    out->max = values[count - 1];
    out->p5 = quantile(values, count, 50);
    out->p95 = quantile(values, count, 950);

    int64_t low = values[(count - 1) / 2], high = values[count / 2];

    out->median = low + (high - low) / 2 + (high - low) % 2;
    estimate_mean(values, count, out);
    estimate_median(values, count, out);
}

int64_t dk_estimate_count_for_mean(const struct dk_estimate *estimate, int64_t threshold, int64_t max)
{
    double distance = fabs((double)(estimate->mean - threshold));
    double root = distance > 0 ? Z_ALPHA * (double)estimate->sd / distance : 0;

    if (estimate->count == 0 || (distance <= 0 && estimate->sd > 0) || root * root > (double)max)
        return -1;

    int64_t count = (int64_t)ceil(root * root);

    return count < DK_ESTIMATE_MEAN_MIN ? DK_ESTIMATE_MEAN_MIN : count;
}

int64_t dk_estimate_count_for_share(int64_t good, int64_t count, int64_t ppm, int64_t max)
{
    int64_t low = 0, high = 1;

    if (count < 1 || count > max)
        return -1;
    // The share of `count` in `n`, rounded to the side of the threshold.
#define DECIDED(n)                                                                                           \
    (good * PPM >= ppm * count ? dk_estimate_share_above(good * (n) / count, (n), ppm)                       \
                               : dk_estimate_share_below((good * (n) + count - 1) / count, (n), ppm))
    while (!DECIDED(high)) {
        low = high;
        high *= 2;
        if (high > max)
            return -1;
    }
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (DECIDED(middle))
            high = middle;
        else
            low = middle;
    }
#undef DECIDED
    return high;
}
