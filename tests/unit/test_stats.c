// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probes/stats.h"
#include "tests/harness/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void quantiles_are_nearest_rank(void)
{
    static const int64_t ten[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    static const struct {
        size_t count;
        int64_t permille, expected;
    } cases[] = {{10, 0, 1},   {10, 100, 1},  {10, 101, 2},  {10, 500, 5},   {10, 501, 6},
                 {10, 900, 9}, {10, 901, 10}, {10, 950, 10}, {10, 1000, 10}, {1, 0, 1},
                 {1, 950, 1},  {1, 1000, 1},  {3, 333, 1},   {3, 334, 2},    {3, 950, 3}};

    for (size_t i = 0; i < COUNT(cases); i++)
        CU_ASSERT_EQUAL(dk_stats_quantile_ns(ten, cases[i].count, cases[i].permille), cases[i].expected);

    int64_t values[1000];

    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = (int64_t)i + 1;
    CU_ASSERT_EQUAL(dk_stats_quantile_ns(values, 1000, 950), 950);
    CU_ASSERT_EQUAL(dk_stats_quantile_ns(values, 999, 950), 950);
    CU_ASSERT_EQUAL(dk_stats_quantile_ns(values, 21, 950), 20);
    CU_ASSERT_EQUAL(dk_stats_quantile_ns(values, 20, 950), 19);
}

static void median_is_the_middle_half_up(void)
{
    static const int64_t values[] = {1, 2, 4, 5, INT64_MAX - 1, INT64_MAX};

    CU_ASSERT_EQUAL(dk_stats_median_ns(values, 1), 1);
    CU_ASSERT_EQUAL(dk_stats_median_ns(values, 2), 2); // 1.5
    CU_ASSERT_EQUAL(dk_stats_median_ns(values, 3), 2);
    CU_ASSERT_EQUAL(dk_stats_median_ns(values, 4), 3);
    CU_ASSERT_EQUAL(dk_stats_median_ns(values + 1, 4), 5); // 4.5
    CU_ASSERT_EQUAL(dk_stats_median_ns(values + 4, 2), INT64_MAX);
}

static void latency_of_known_answers(void)
{
    static const struct {
        size_t count;
        int64_t rtt[6];
        int64_t received, min, median, p95, max, pdv, ipdv;
    } cases[] = {
        {0, {0}, 0, -1, -1, -1, -1, -1, -1},
        {3, {-1, -1, -1}, 0, -1, -1, -1, -1, -1, -1},
        {1, {7}, 1, 7, 7, 7, 7, 0, -1},
        {3, {5, -1, 9}, 2, 5, 7, 9, 9, 4, -1}, // no two in a row
        {4, {10, 13, -1, 12}, 3, 10, 12, 13, 13, 3, 3},
        {6, {10, 20, 10, 40, -1, 5}, 5, 5, 10, 40, 40, 35, 17}, // (10 + 10 + 30) / 3 = 16.7
        {3, {1, 2, 4}, 3, 1, 2, 4, 4, 3, 2},                    // 1.5 is rounded up
        {2, {0, 0}, 2, 0, 0, 0, 0, 0, 0},
        {3, {0, INT64_MAX, 0}, 3, 0, 0, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dk_latency out = {.duplicate = 3, .reordered = 2, .method = DK_METHOD_STAMP};

        CU_ASSERT_EQUAL_FATAL(dk_stats_latency(cases[i].rtt, cases[i].count, &out), DK_OK);
        CU_ASSERT_EQUAL(out.sent, (int64_t)cases[i].count);
        CU_ASSERT_EQUAL(out.received, cases[i].received);
        CU_ASSERT_EQUAL(out.lost, out.sent - out.received);
        CU_ASSERT_EQUAL(out.rtt_min_ns, cases[i].min);
        CU_ASSERT_EQUAL(out.rtt_median_ns, cases[i].median);
        CU_ASSERT_EQUAL(out.rtt_p95_ns, cases[i].p95);
        CU_ASSERT_EQUAL(out.rtt_p99_ns, cases[i].max); // of less than 100
        CU_ASSERT_EQUAL(out.rtt_max_ns, cases[i].max);
        CU_ASSERT_EQUAL(out.pdv_p95_ns, cases[i].pdv);
        CU_ASSERT_EQUAL(out.ipdv_mean_ns, cases[i].ipdv);
        CU_ASSERT_TRUE(out.duplicate == 3 && out.reordered == 2 && out.method == DK_METHOD_STAMP);
    }
}

static void lateness_of_sending(void)
{
    int64_t late[] = {5, 1, 30, 2};
    struct dk_latency out = {.sent = 7};

    dk_stats_send_late(late, COUNT(late), &out);
    CU_ASSERT_EQUAL(out.send_late_median_ns, 4); // 3.5
    CU_ASSERT_EQUAL(out.send_late_max_ns, 30);
    dk_stats_send_late(late, 0, &out);
    CU_ASSERT_TRUE(out.send_late_median_ns == -1 && out.send_late_max_ns == -1 && out.sent == 7);
}

static void latency_properties(void)
{
    for (int round = 0; round < 300; round++) {
        int64_t rtt[200], scaled[200];
        size_t count = (size_t)dk_random_between(1, (int64_t)COUNT(rtt));
        struct dk_latency a = {0}, b = {0};

        for (size_t i = 0; i < count; i++) {
            rtt[i] = dk_random_between(0, 9) == 0 ? -1 : dk_random_between(0, 1000000);
            scaled[i] = rtt[i] < 0 ? -1 : rtt[i] * 1000;
        }
        CU_ASSERT_EQUAL(dk_stats_latency(rtt, count, &a), DK_OK);
        CU_ASSERT_EQUAL(dk_stats_latency(scaled, count, &b), DK_OK);
        CU_ASSERT_EQUAL(a.sent, a.received + a.lost);
        if (a.received > 0) {
            CU_ASSERT_TRUE(a.rtt_min_ns <= a.rtt_median_ns && a.rtt_median_ns <= a.rtt_max_ns);
            CU_ASSERT_TRUE(a.rtt_min_ns <= a.rtt_p95_ns && a.rtt_p95_ns <= a.rtt_p99_ns);
            CU_ASSERT_TRUE(a.rtt_p99_ns <= a.rtt_max_ns);
            CU_ASSERT_EQUAL(b.rtt_p95_ns, a.rtt_p95_ns * 1000);
            CU_ASSERT_EQUAL(b.pdv_p95_ns, a.pdv_p95_ns * 1000);
            CU_ASSERT_TRUE(llabs(b.rtt_median_ns - a.rtt_median_ns * 1000) <= 500);
        }

        // All but the IPDV does not depend on the order.
        for (size_t i = count - 1; i > 0; i--) {
            size_t j = (size_t)dk_random_between(0, (int64_t)i);
            int64_t swap = rtt[i];

            rtt[i] = rtt[j];
            rtt[j] = swap;
        }
        b = a;
        CU_ASSERT_EQUAL(dk_stats_latency(rtt, count, &b), DK_OK);
        b.ipdv_mean_ns = a.ipdv_mean_ns;
        CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof a), 0);
    }
}

static void rate_is_exact(void)
{
    static const struct {
        int64_t bytes, duration_ns, expected;
    } cases[] = {
        {0, 1, 0},
        {1, 1, INT64_C(8000000000)},
        {12500000, DK_NS_PER_S, 100000000},
        {1, 3 * DK_NS_PER_S, 3},                                          // 2.67
        {1, 16 * DK_NS_PER_S, 1},                                         // 0.5 is rounded up
        {1, 17 * DK_NS_PER_S, 0},                                         // 0.47
        {INT64_C(750000000000), 60 * DK_NS_PER_S, INT64_C(100000000000)}, // 100 Gb/s for 60 s
        {INT64_C(749999999999), 59999999999, INT64_C(100000000002)},      // 100000000001.53
        {INT64_C(9007199254740992), INT64_C(1000000000000000), INT64_C(72057594038)},
    };
    int64_t rate = -7;

    for (size_t i = 0; i < COUNT(cases); i++) {
        CU_ASSERT_TRUE(dk_stats_rate_bps(cases[i].bytes, cases[i].duration_ns, &rate));
        CU_ASSERT_EQUAL(rate, cases[i].expected);
    }
    rate = -7;
    CU_ASSERT_FALSE(dk_stats_rate_bps(-1, 1, &rate));
    CU_ASSERT_FALSE(dk_stats_rate_bps(1, 0, &rate));
    CU_ASSERT_FALSE(dk_stats_rate_bps(1, -5, &rate));
    CU_ASSERT_FALSE(dk_stats_rate_bps(INT64_MAX, 1000, &rate));
    CU_ASSERT_FALSE(dk_stats_rate_bps(INT64_MAX / 8, 1, &rate));
    CU_ASSERT_EQUAL(rate, -7);
}

enum { LONGEST = 1200, INTERVAL_NS = 50000000 };

struct fixture {
    int64_t bytes[4 * LONGEST];
    struct dk_series series;
};

// One stream of `count` intervals with `each` bytes.
static void flat(struct fixture *f, size_t count, int64_t each)
{
    f->series = (struct dk_series){INTERVAL_NS, 1, count, f->bytes, {0}};
    for (size_t i = 0; i < count; i++)
        f->bytes[i] = each;
}

static void ramp_up_of_known_shapes(void)
{
    struct fixture f;

    flat(&f, 200, 1000);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 40);
    flat(&f, 201, 1000);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 41); // a fifth, rounded up

    // Silent until interval 60: five intervals later the last 250 ms are wholly at the rate, and 90 % is
    // between.
    flat(&f, 200, 1000);
    memset(f.bytes, 0, 60 * sizeof f.bytes[0]);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 64);

    // Never ready in the first half: half of it is left out, no more.
    flat(&f, 200, 1000);
    memset(f.bytes, 0, 160 * sizeof f.bytes[0]);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series),
                    40); // the median of the later half is silence itself
    flat(&f, 200, 1000);
    memset(f.bytes, 0, 120 * sizeof f.bytes[0]);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 100);

    // Exactly 90 % counts as reached.
    flat(&f, 200, 1000);
    for (size_t i = 0; i < 80; i++)
        f.bytes[i] = i < 70 ? 899 : 900;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 74);

    // One late interval of a burst is not the rate.
    flat(&f, 200, 100);
    f.bytes[150] = 1000000;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 40);

    // Streams that joined late are left half a second to find their rate, and no more than half of the test.
    flat(&f, 200, 1000);
    f.series.joined_ns[0] = INT64_C(60) * INTERVAL_NS - 1;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 70);
    CU_ASSERT_FALSE(dk_stats_is_growing(&f.series));
    f.series.joined_ns[0] = INT64_C(90) * INTERVAL_NS + 1;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 100);
    CU_ASSERT_TRUE(dk_stats_is_growing(&f.series));

    for (size_t count = 1; count < 10; count++) {
        flat(&f, count, 1000);
        CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), (int64_t)count / 2);
    }
    flat(&f, 10, 1000);
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 4);
    flat(&f, 200, 1000);
    f.series.interval_ns = DK_NS_PER_S;
    f.bytes[0] = f.bytes[1] = 0;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 40);
    f.series.count = 0;
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 0);
}

static void rates_of_known_series(void)
{
    struct fixture f;
    struct dk_throughput out = {0};

    // 100 Mb/s over two streams, after a silent first second of ten.
    flat(&f, 200, 312500);
    f.series.streams = 2;
    for (size_t i = 0; i < 400; i++)
        f.bytes[i] = i % 200 < 20 ? 0 : 312500;
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 40, &out));
    CU_ASSERT_EQUAL(out.bytes, 2 * 180 * 312500);
    CU_ASSERT_EQUAL(out.duration_ns, 10 * DK_NS_PER_S);
    CU_ASSERT_EQUAL(out.ramp_up_ns, 2 * DK_NS_PER_S);
    CU_ASSERT_EQUAL(out.rate_whole_bps, 90000000);
    CU_ASSERT_EQUAL(out.rate_bps, 100000000);
    CU_ASSERT_EQUAL(out.rate_low_bps, 100000000);
    CU_ASSERT_EQUAL(out.rate_high_bps, 100000000);

    // Eight intervals are eight batches of one. Worked by hand: squares 96, products of neighbours 44, correlation
    // 44/96 + (1 + 4 * 44/96) / 8 = 0.8125, inflation 9.67, degrees of freedom 3 at least.
    flat(&f, 8, 50000000);
    f.bytes[6] = f.bytes[7] = 100000000;
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 0, &out));
    CU_ASSERT_EQUAL(out.rate_bps, INT64_C(10000000000));
    // 3.182446305 * √(96e18 / 7 / 8 * 9.67)
    CU_ASSERT_EQUAL(out.rate_low_bps, 0);
    CU_ASSERT_EQUAL(out.rate_high_bps, INT64_C(10000000000) + INT64_C(12955108646));

    // The interval does not go below zero.
    memset(f.bytes, 0, 6 * sizeof f.bytes[0]);
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 0, &out));
    CU_ASSERT_EQUAL(out.rate_low_bps, 0);

    // 23 steady intervals: twenty batches, three of them of two intervals, and none left out.
    flat(&f, 23, 1000);
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 0, &out));
    CU_ASSERT_EQUAL(out.rate_low_bps, out.rate_high_bps);
    f.bytes[22] = 3000;
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 0, &out));
    CU_ASSERT_EQUAL(out.rate_bps, 173913); // 25000 * 8 / 1.15
    CU_ASSERT_TRUE(out.rate_low_bps < 160000 && out.rate_high_bps > 173913);

    // 100 Gb/s for 60 s on one stream.
    flat(&f, LONGEST, 625000000);
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 240, &out));
    CU_ASSERT_EQUAL(out.bytes, INT64_C(750000000000));
    CU_ASSERT_EQUAL(out.rate_bps, INT64_C(100000000000));
    CU_ASSERT_EQUAL(out.rate_whole_bps, INT64_C(100000000000));
}

static void what_cannot_be_a_series_is_refused(void)
{
    struct fixture f;
    struct dk_throughput out, before;

    memset(&before, 0x5a, sizeof before);
    out = before;
    flat(&f, 200, 1000);
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, -1, &out));
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 201, &out));
    f.bytes[17] = -1;
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 40, &out));
    CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), 0);
    f.bytes[17] = INT64_C(1) << 53;
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 40, &out));
    f.bytes[17] = INT64_MAX;
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 40, &out));
    flat(&f, 200, 1000);
    f.series.interval_ns = 0;
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 40, &out));
    f.series.interval_ns = INT64_MAX / 100;
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 40, &out));
    f.series = (struct dk_series){INTERVAL_NS, 0, 0, NULL, {0}};
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 0, &out));
    CU_ASSERT_EQUAL(memcmp(&out, &before, sizeof out), 0);

    // Too few steady intervals: what is known is filled, the rate is not.
    flat(&f, 12, 1000);
    out = (struct dk_throughput){.rate_bps = -9, .rate_low_bps = -9, .rate_high_bps = -9};
    CU_ASSERT_FALSE(dk_stats_rates(&f.series, 5, &out));
    CU_ASSERT_EQUAL(out.bytes, 12000);
    CU_ASSERT_EQUAL(out.rate_whole_bps, 160000);
    CU_ASSERT_TRUE(out.rate_bps == -9 && out.rate_low_bps == -9 && out.rate_high_bps == -9);
    CU_ASSERT_TRUE(dk_stats_rates(&f.series, 4, &out));
}

static void rate_properties(void)
{
    struct fixture f;

    for (int round = 0; round < 200; round++) {
        size_t streams = (size_t)dk_random_between(1, 4), count = (size_t)dk_random_between(16, 300);
        struct dk_throughput a = {0}, b = {0};

        f.series = (struct dk_series){INTERVAL_NS, streams, count, f.bytes, {0}};
        for (size_t i = 0; i < streams * count; i++)
            f.bytes[i] = dk_random_between(0, 1000000);

        int64_t ramp_up = dk_stats_ramp_up_intervals(&f.series);

        CU_ASSERT_TRUE(ramp_up >= ((int64_t)count + 4) / 5 && ramp_up <= (int64_t)count / 2);
        CU_ASSERT_TRUE(dk_stats_rates(&f.series, ramp_up, &a));
        CU_ASSERT_TRUE(0 <= a.rate_low_bps && a.rate_low_bps <= a.rate_bps && a.rate_bps <= a.rate_high_bps);

        // The order of the streams does not matter.
        if (streams > 1)
            for (size_t i = 0; i < count; i++) {
                int64_t swap = f.bytes[i];

                f.bytes[i] = f.bytes[(streams - 1) * count + i];
                f.bytes[(streams - 1) * count + i] = swap;
            }
        CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), ramp_up);
        CU_ASSERT_TRUE(dk_stats_rates(&f.series, ramp_up, &b));
        CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof a), 0);

        // A thousand times the bytes give a thousand times the rates.
        for (size_t i = 0; i < streams * count; i++)
            f.bytes[i] *= 1000;
        CU_ASSERT_EQUAL(dk_stats_ramp_up_intervals(&f.series), ramp_up);
        CU_ASSERT_TRUE(dk_stats_rates(&f.series, ramp_up, &b));
        CU_ASSERT_TRUE(llabs(b.rate_bps - 1000 * a.rate_bps) <= 500);
        CU_ASSERT_TRUE(llabs(b.rate_low_bps - 1000 * a.rate_low_bps) <= 1500);
        CU_ASSERT_TRUE(llabs(b.rate_high_bps - 1000 * a.rate_high_bps) <= 1500);
    }
}

// About a standard normal: twelve uniform numbers added, minus six.
static double normal(void)
{
    double total = 0;

    for (int i = 0; i < 12; i++)
        total += (double)(dk_random() >> 11) / 9007199254740992.0;
    return total - 6;
}

// Share of 2000 simulated tests whose interval holds the true rate, in 1/1000. The series are AR(1) around
// the true rate with lag-1 correlation `phi` and a stationary deviation of a tenth of the rate.
static int coverage_permille(double phi, size_t steady)
{
    enum { ROUNDS = 2000, EACH = 500000 };
    struct fixture f;
    double innovation = __builtin_sqrt(1 - phi * phi);
    int held = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct dk_throughput out = {0};
        double x = normal();

        flat(&f, steady, 0);
        for (size_t i = 0; i < steady; i++) {
            f.bytes[i] = (int64_t)(EACH + EACH / 10 * x);
            x = phi * x + innovation * normal();
        }
        CU_ASSERT_TRUE(dk_stats_rates(&f.series, 0, &out));
        held += out.rate_low_bps <= EACH * INT64_C(160) && EACH * INT64_C(160) <= out.rate_high_bps;
    }
    return held * 1000 / ROUNDS;
}

static void interval_holds_the_true_rate_as_often_as_it_says(void)
{
    static const struct {
        double phi;
        size_t steady;
        int at_least;
    } cases[] = {{0, 160, 930},   {0.3, 160, 930}, {0.6, 160, 930}, {0.8, 160, 925}, {0.9, 160, 925},
                 {0, 40, 930},    {0.3, 40, 925},  {0.6, 40, 920},  {0.8, 40, 910},  {0.9, 40, 880},
                 {0, 16, 920},    {0, 8, 900}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        int held = coverage_permille(cases[i].phi, cases[i].steady);

        printf("    correlation %.1f, %zu intervals: the interval held the rate in %d of 1000 tests\n",
               cases[i].phi, cases[i].steady, held);
        CU_ASSERT_TRUE(held >= cases[i].at_least && held <= 980);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(quantiles_are_nearest_rank),
                                           DK_CASE(median_is_the_middle_half_up),
                                           DK_CASE(latency_of_known_answers),
                                           DK_CASE(latency_properties),
                                           DK_CASE(lateness_of_sending),
                                           DK_CASE(rate_is_exact),
                                           DK_CASE(ramp_up_of_known_shapes),
                                           DK_CASE(rates_of_known_series),
                                           DK_CASE(what_cannot_be_a_series_is_refused),
                                           DK_CASE(rate_properties),
                                           DK_CASE(interval_holds_the_true_rate_as_often_as_it_says),
                                           {0}};

    return dk_harness_main(argc, argv, "stats", cases);
}
