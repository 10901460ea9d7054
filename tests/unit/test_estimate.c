// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/estimate.h"
#include "tests/harness/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1500, MEGA = 1000000 };

// What it takes to prove "at least 95 % of the samples are good", and that it is not so: computed apart from this
// program (one-sided Clopper-Pearson, 95 %).
static void test_how_many_prove_95_percent(void)
{
    static const struct {
        int64_t count, pass_from, fail_to;
    } rows[] = {{59, 59, 52},     {100, 99, 90},    {300, 292, 278},
                {500, 484, 466}, {1000, 962, 937}, {1500, 1440, 1410}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t n = rows[i].count;

        CU_ASSERT_TRUE(dk_estimate_share_above(rows[i].pass_from, n, 950000));
        CU_ASSERT_FALSE(dk_estimate_share_above(rows[i].pass_from - 1, n, 950000));
        CU_ASSERT_TRUE(dk_estimate_share_below(rows[i].fail_to, n, 950000));
        CU_ASSERT_FALSE(dk_estimate_share_below(rows[i].fail_to + 1, n, 950000));
    }
    // Fewer than 59 prove nothing, however good.
    CU_ASSERT_FALSE(dk_estimate_share_above(58, 58, 950000));
    CU_ASSERT_EQUAL(dk_estimate_count_for_share(58, 58, 950000, MEGA), 59);
}

static void test_limits_and_decisions_agree(void)
{
    for (int64_t n = 1; n <= 400; n += 13) {
        for (int64_t good = 0; good <= n; good += 1 + n / 17) {
            struct dk_interval share = dk_estimate_share(good, n);
            int64_t ppm = dk_random_between(0, MEGA);

            CU_ASSERT_TRUE(share.known && share.low <= good * MEGA / n && share.high >= (good * MEGA + n - 1) / n);
            CU_ASSERT_EQUAL(dk_estimate_share_above(good, n, ppm), share.low >= ppm);
            CU_ASSERT_EQUAL(dk_estimate_share_below(good, n, ppm), share.high <= ppm && ppm > 0);
        }
    }
    CU_ASSERT_EQUAL(dk_estimate_share(0, 10).low, 0);
    CU_ASSERT_EQUAL(dk_estimate_share(10, 10).high, MEGA);
    CU_ASSERT_FALSE(dk_estimate_share(0, 0).known);
    // A million of samples is no trouble.
    CU_ASSERT_TRUE(llabs(dk_estimate_share(950000, MEGA).low - 949641) <= 2);
}

// The exact coverage of each limit, from the binomial distribution itself: never less than 95 %.
static void test_coverage_of_a_share(void)
{
    static const int64_t counts[] = {5, 20, 59, 300};

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        int64_t n = counts[c];
        struct dk_interval limits[301];

        for (int64_t good = 0; good <= n; good++)
            limits[good] = dk_estimate_share(good, n);
        for (int64_t ppm = 5000; ppm < MEGA; ppm += 31000) {
            double p = (double)ppm / MEGA, below = 0, above = 0;

            for (int64_t good = 0; good <= n; good++) {
                double probability =
                    exp(lgamma((double)n + 1) - lgamma((double)good + 1) - lgamma((double)(n - good) + 1) +
                        (double)good * log(p) + (double)(n - good) * log1p(-p));

                below += limits[good].low > ppm ? probability : 0;
                above += limits[good].high < ppm ? probability : 0;
            }
            CU_ASSERT_TRUE(below <= 0.05 + 1e-9);
            CU_ASSERT_TRUE(above <= 0.05 + 1e-9);
        }
    }
}

static double uniform(void)
{
    return ((double)(dk_random() >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979323846 * uniform());
}

// Rates of lines in kb/s, as they are met: each with its true mean and median.
struct line {
    const char *name;
    double (*draw)(void);
    double mean, median;
};

// Lognormal with a coefficient of variation of 0.3, of 0.6 (skewness 2.0), and of 1 (skewness 4).
static double calm(void)
{
    return 60000 * exp(0.293560379 * normal());
}

static double wild(void)
{
    return 60000 * exp(0.554513029 * normal());
}

static double heavy(void)
{
    return 60000 * exp(0.832554611 * normal());
}

// 70 % of the time near 90 Mb/s, in the busy hours near 20.
static double busy_hours(void)
{
    return uniform() < 0.3 ? 20000 * exp(0.4 * normal()) : 90000 * exp(0.25 * normal());
}

// Waiting times: gamma with shape 2.
static double waiting(void)
{
    return -10000 * (log(uniform()) + log(uniform()));
}

static const struct line lines[] = {
    {"calm", calm, 62641.838, 60000},
    {"wild", wild, 69971.423, 60000},
    {"heavy", heavy, 84852.814, 60000},
    {"busy hours", busy_hours, 71499.557, 78134.060},
    {"waiting", waiting, 20000, 16783.4699},
};

// Of `rounds` sets of `count` samples, the share whose limits hold the true value; and on each side.
static void simulate(const struct line *line, size_t count, int rounds, bool of_median, double *both, double *low,
                     double *high)
{
    static int64_t values[MANY];
    int below = 0, above = 0;

    for (int round = 0; round < rounds; round++) {
        struct dk_estimate estimate;

        for (size_t i = 0; i < count; i++)
            values[i] = (int64_t)(line->draw() * 1000);
        dk_estimate_values(values, count, &estimate);

        const struct dk_interval *interval = of_median ? &estimate.median_interval : &estimate.mean_interval;
        double truth = (of_median ? line->median : line->mean) * 1000;

        if (!interval->known) {
            CU_FAIL("no limits");
            return;
        }
        below += truth < (double)interval->low;
        above += truth > (double)interval->high;
    }
    *low = (double)below / rounds;
    *high = (double)above / rounds;
    *both = 1 - *low - *high;
}

// The coverage is the nominal one to ±1 %, as far as the number of rounds can tell (4 standard errors).
static void check_coverage(const size_t *counts, size_t count_count, int rounds, bool of_median)
{
    const char *lengthy = getenv("DOKIEM_LONG");
    double error = 0, nominal = (double)DK_ESTIMATE_INTERVAL_PPM / 1000000;

    if (lengthy != NULL && strcmp(lengthy, "1") == 0)
        rounds *= 20;
    error = 4 * sqrt(nominal * (1 - nominal) / rounds);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        for (size_t c = 0; c < count_count; c++) {
            double both = 0, low = 0, high = 0;

            simulate(&lines[i], counts[c], rounds, of_median, &both, &low, &high);
            printf("    %s, N = %zu, %s: %.2f %% (below %.2f, above %.2f)\n", lines[i].name, counts[c],
                   of_median ? "median" : "mean", 100 * both, 100 * low, 100 * high);
            CU_ASSERT_TRUE(fabs(both - nominal) <= 0.01 + error);
        }
    }
}

static void test_coverage_of_the_mean(void)
{
    static const size_t counts[] = {200, 300};
    static const size_t large[] = {1000, 1500};

    check_coverage(counts, 2, 6000, false);
    check_coverage(large, 2, 1000, false);
}

static void test_coverage_of_the_median(void)
{
    static const size_t counts[] = {5, 8, 20, 59, 300};

    check_coverage(counts, 5, 6000, true);
}

static void test_figures_of_small_sets(void)
{
    static const struct {
        int64_t values[6];
        size_t count;
        int64_t mean, median, p5, p95, sd;
    } rows[] = {
        {{7}, 1, 7, 7, 7, 7, 0},
        {{1, 2}, 2, 2, 2, 1, 2, 1},       // 1.5 half up; sd 0.71
        {{4, 1, 3, 2}, 4, 3, 3, 1, 4, 1}, // 2.5 half up; sd 1.29
        {{10, 0, 0, 0, 0}, 5, 2, 0, 0, 10, 4},
        {{5, 5, 5, 5, 5, 5}, 6, 5, 5, 5, 5, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t values[6];
        struct dk_estimate e;

        memcpy(values, rows[i].values, sizeof values);
        dk_estimate_values(values, rows[i].count, &e);
        CU_ASSERT_EQUAL(e.mean, rows[i].mean);
        CU_ASSERT_EQUAL(e.median, rows[i].median);
        CU_ASSERT_EQUAL(e.p5, rows[i].p5);
        CU_ASSERT_EQUAL(e.p95, rows[i].p95);
        CU_ASSERT_EQUAL(e.sd, rows[i].sd);
        CU_ASSERT_FALSE(e.mean_interval.known);
        CU_ASSERT_EQUAL(e.median_interval.known, rows[i].count >= DK_ESTIMATE_MEDIAN_MIN);
    }
}

static void test_the_order_does_not_matter(void)
{
    static int64_t values[MANY], shuffled[MANY];

    for (int round = 0; round < 20; round++) {
        size_t count = (size_t)dk_random_between(1, MANY);
        struct dk_estimate one, other;

        for (size_t i = 0; i < count; i++)
            shuffled[i] = values[i] = dk_random_between(0, INT64_C(1000000000000));
        for (size_t i = count - 1; i > 0; i--) {
            size_t k = (size_t)dk_random_between(0, (int64_t)i);
            int64_t kept = shuffled[i];

            shuffled[i] = shuffled[k];
            shuffled[k] = kept;
        }
        dk_estimate_values(values, count, &one);
        dk_estimate_values(shuffled, count, &other);
        CU_ASSERT_EQUAL(memcmp(values, shuffled, count * sizeof values[0]), 0);
        CU_ASSERT_EQUAL(memcmp(&one, &other, sizeof one), 0);
        for (size_t i = 1; i < count; i++)
            if (values[i - 1] > values[i])
                CU_FAIL("not sorted");
        CU_ASSERT_TRUE(one.min <= one.p5 && one.p5 <= one.median && one.median <= one.p95 && one.p95 <= one.max);
        if (one.mean_interval.known)
            CU_ASSERT_TRUE(one.mean_interval.low <= one.mean && one.mean_interval.high >= one.mean);
        if (one.median_interval.known)
            CU_ASSERT_TRUE(one.median_interval.low <= one.median && one.median_interval.high >= one.median);
    }
}

static void test_a_good_sample_never_lowers_a_share(void)
{
    for (int round = 0; round < 200; round++) {
        int64_t count = dk_random_between(1, 2000), good = dk_random_between(0, count);
        struct dk_interval before = dk_estimate_share(good, count), better = dk_estimate_share(good + 1, count + 1);
        struct dk_interval worse = dk_estimate_share(good, count + 1);

        CU_ASSERT_TRUE(better.low >= before.low && better.high >= before.high);
        CU_ASSERT_TRUE(worse.low <= before.low && worse.high <= before.high);
    }
}

static void test_how_many_are_needed(void)
{
    struct dk_estimate e = {.count = 200, .mean = 42000000, .sd = 20000000};

    // (1.645 · 20 / 2)² = 270.6
    CU_ASSERT_EQUAL(dk_estimate_count_for_mean(&e, 40000000, MEGA), 271);
    CU_ASSERT_EQUAL(dk_estimate_count_for_mean(&e, 42000000, MEGA), -1);
    CU_ASSERT_EQUAL(dk_estimate_count_for_mean(&e, 42000100, MEGA), -1);
    CU_ASSERT_EQUAL(dk_estimate_count_for_mean(&e, 1000000, MEGA), DK_ESTIMATE_MEAN_MIN);
    for (int round = 0; round < 50; round++) {
        int64_t count = dk_random_between(10, 1000), good = dk_random_between(0, count);
        int64_t total = dk_estimate_count_for_share(good, count, 950000, MEGA);
        int64_t scaled = total < 0 ? 0 : good * total / count, up = (good * total + count - 1) / count;

        CU_ASSERT_TRUE(total < 0 ? llabs(good * 1000 / count - 950) <= 3
                                 : dk_estimate_share_above(scaled, total, 950000) ||
                                       dk_estimate_share_below(up, total, 950000));
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(test_how_many_prove_95_percent),
        DK_CASE(test_limits_and_decisions_agree),
        DK_CASE(test_coverage_of_a_share),
        DK_CASE(test_coverage_of_the_mean),
        DK_CASE(test_coverage_of_the_median),
        DK_CASE(test_figures_of_small_sets),
        DK_CASE(test_the_order_does_not_matter),
        DK_CASE(test_a_good_sample_never_lowers_a_share),
        DK_CASE(test_how_many_are_needed),
        {0},
    };

    return dk_harness_main(argc, argv, "estimate", cases);
}
