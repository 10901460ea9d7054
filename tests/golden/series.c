// SPDX-License-Identifier: Apache-2.0
//
// Simulated tests and what the program makes of them, one JSON object a line, for recompute.py.
#include "probes/stats.h"
#include "probes/throughput/stop.h"
#include "tests/harness/harness.h"
#include "tests/sample/links.h"

#include <inttypes.h>
#include <stdio.h>

enum { COUNT_MAX = 200, ROUNDS = 8 };

static void put_figures(FILE *out, const struct dk_series *series)
{
    struct dk_throughput seen = {0};
    bool steady = dk_stats_rates(series, dk_stats_ramp_up_intervals(series), &seen);
    struct dk_range range = dk_throughput_range(&seen);

    fprintf(out, "{\"interval_ns\": %" PRId64 ", \"joined_ns\": %" PRId64 ", \"series\": [", series->interval_ns,
            series->joined_ns[0]);
    for (size_t i = 0; i < series->count; i++)
        fprintf(out, "%s%" PRId64, i > 0 ? ", " : "", series->bytes[i]);
    fprintf(out, "], \"figures\": {\"bytes\": %" PRId64 ", \"duration_ns\": %" PRId64 ", \"ramp_up_ns\": %" PRId64
                 ", \"rate_whole_bps\": %" PRId64, seen.bytes, seen.duration_ns, seen.ramp_up_ns, seen.rate_whole_bps);
    if (steady)
        fprintf(out,
                ", \"rate_bps\": %" PRId64 ", \"rate_low_bps\": %" PRId64 ", \"rate_high_bps\": %" PRId64
                ", \"unsteady\": %s, \"burst\": %s, \"brief\": %s, \"range_low_bps\": %" PRId64
                ", \"range_high_bps\": %" PRId64, seen.rate_bps, seen.rate_low_bps, seen.rate_high_bps,
                seen.steadiness.unsteady ? "true" : "false", seen.steadiness.burst_bps > 0 ? "true" : "false",
                seen.steadiness.brief ? "true" : "false", range.low_bps, range.high_bps);
    fputc('}', out);
}

static void put_end(FILE *out, const struct dk_series *all, const struct dk_stop_rule *rule)
{
    struct dk_series series = *all;
    enum dk_stop why = DK_STOP_TIME;

    for (series.count = 1; series.count < all->count; series.count++)
        if (dk_stop_now(&series, rule, &why))
            break;
    if (series.count == all->count)
        why = DK_STOP_TIME;
    fprintf(out, ", \"rule\": {\"stop\": \"%s\", \"duration_ns\": %" PRId64 ", \"precision_ppm\": %" PRId64
                 ", \"thresholds\": [", dk_stop_text(rule->stop), rule->duration_ns, rule->precision_ppm);
    for (size_t i = 0; i < rule->thresholds->count; i++)
        fprintf(out, "%s[%" PRId64 ", %s]", i > 0 ? ", " : "", rule->thresholds->at[i].bps,
                rule->thresholds->at[i].whole ? "true" : "false");
    fprintf(out, "]}, \"ends\": {\"count\": %zu, \"stop\": \"%s\"}", series.count, dk_stop_text(why));
}

static void write_series(void)
{
    static const struct link links[] = {
        {LINK_STEADY, 40e6, 0, 0, NULL, 0, 0},     {LINK_STEADY, 1e9, 0, 0, NULL, 0, 0},
        {LINK_NOISY, 100e6, 0, 0.02, NULL, 0, 0},  {LINK_NOISY, 100e6, 0.8, 0.1, NULL, 0, 0},
        {LINK_STEPS, 30e6, 0, 0, NULL, 0, 0},      {LINK_WAVE, 300e6, 0, 0, NULL, 0, 0},
        {LINK_BURST, 40e6, 0, 0, NULL, 0, 0},      {LINK_BURST, 100e6, 0, 0, NULL, 0, 0},
        {LINK_FREE, 50e6, 0, 0, NULL, 0, 0},       {LINK_NOISY, 1e4, 0.5, 0.5, NULL, 0, 0},
    };
    static int64_t bytes[COUNT_MAX];

    for (size_t k = 0; k < sizeof links / sizeof links[0]; k++)
        for (int round = 0; round < ROUNDS; round++) {
            // Some as long as a default test, with a rule; the others of any length and interval.
            size_t count = round % 2 == 0 ? COUNT_MAX : (size_t)dk_random_between(1, COUNT_MAX);
            struct dk_series series = {LINK_INTERVAL_NS, 1, count, bytes, {0}};
            double of_rate[] = {0.5, 0.95, 1.05, 2};
            struct dk_thresholds thresholds = {1 + (size_t)round / 6, {{0, false}, {0, true}}};
            struct dk_stop_rule rule = {round % 4 == 0 ? DK_STOP_PRECISE : DK_STOP_VERDICT, 10 * INT64_C(1000000000),
                                        20000, &thresholds};

            link_download(&links[k], count, bytes);
            thresholds.at[0].bps = (int64_t)(links[k].rate_bps / of_rate[dk_random_between(0, 3)]);
            thresholds.at[1].bps = (int64_t)(links[k].rate_bps / of_rate[dk_random_between(0, 3)]);
            if (round == 3)
                series.interval_ns = dk_random_between(1000000, 400000000);
            if (round % 3 == 2)
                series.joined_ns[0] = dk_random_between(1, (int64_t)count * series.interval_ns);
            put_figures(stdout, &series);
            if (count == COUNT_MAX && round != 3)
                put_end(stdout, &series, &rule);
            puts("}");
        }
    CU_ASSERT_TRUE(true);
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {DK_CASE(write_series), {0}};

    return dk_harness_main(argc, argv, "series", cases);
}
