// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"
#include "tests/harness/harness.h"

#include <string.h>

#define MBPS INT64_C(1000000)

static const struct dk_context on_5g = {
    .link = {.interface = "wwan0", .medium = DK_MEDIUM_CELLULAR, .technology = DK_TECHNOLOGY_5G},
    .clock = {.state = DK_CLOCK_SYNCHRONISED}};

static struct dk_rules one_rule(enum dk_indicator indicator, enum dk_op op, int64_t threshold)
{
    struct dk_rules rules = {.id = "p", .version = "1", .sha256 = "00", .count = 1};

    rules.rules[0] = (struct dk_rule){.id = "r",
                                      .family = DK_RULE_FAMILY_QCVN,
                                      .basis = "QCVN 126:2021/BTTTT 2.1.5.2",
                                      .indicator = indicator,
                                      .technology = DK_TECHNOLOGY_5G,
                                      .op = op,
                                      .threshold = threshold};
    return rules;
}

static struct dk_measurement downloaded(int64_t low, int64_t rate, int64_t high, int64_t whole)
{
    return (struct dk_measurement){.download = {.status = DK_STATUS_OK,
                                                .rate_bps = rate,
                                                .rate_low_bps = low,
                                                .rate_high_bps = high,
                                                .rate_whole_bps = whole}};
}

static void judge(const struct dk_rules *rules, const struct dk_measurement *measurement,
                  const struct dk_context *context, struct dk_verdict *out)
{
    struct dk_validity validity;

    dk_judge_validity(measurement, context, &validity);
    dk_judge(rules, measurement, context, &validity, out);
}

static void the_interval_decides(void)
{
    static const struct {
        int64_t low, high;
        enum dk_op op;
        enum dk_outcome outcome;
    } rows[] = {
        {100 * MBPS, 110 * MBPS, DK_OP_AT_LEAST, DK_OUTCOME_PASS},
        {100 * MBPS - 1, 110 * MBPS, DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {90 * MBPS, 100 * MBPS, DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {90 * MBPS, 100 * MBPS - 1, DK_OP_AT_LEAST, DK_OUTCOME_FAIL},
        {0, 0, DK_OP_AT_LEAST, DK_OUTCOME_FAIL},
        {90 * MBPS, 100 * MBPS, DK_OP_AT_MOST, DK_OUTCOME_PASS},
        {90 * MBPS, 100 * MBPS + 1, DK_OP_AT_MOST, DK_OUTCOME_INCONCLUSIVE},
        {100 * MBPS, 110 * MBPS, DK_OP_AT_MOST, DK_OUTCOME_INCONCLUSIVE},
        {100 * MBPS + 1, 110 * MBPS, DK_OP_AT_MOST, DK_OUTCOME_FAIL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, rows[i].op, 100 * MBPS);
        struct dk_measurement m =
            downloaded(rows[i].low, (rows[i].low + rows[i].high) / 2, rows[i].high, 50 * MBPS);
        struct dk_verdict verdict;

        judge(&rules, &m, &on_5g, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, rows[i].outcome);
        CU_ASSERT_EQUAL(verdict.count, 1);
        CU_ASSERT_EQUAL(verdict.checks[0].outcome, rows[i].outcome);
        CU_ASSERT_TRUE(verdict.checks[0].has_value);
        CU_ASSERT_EQUAL(verdict.checks[0].low, rows[i].low);
        CU_ASSERT_EQUAL(verdict.checks[0].high, rows[i].high);
        CU_ASSERT_NOT_EQUAL(verdict.checks[0].reason[0], '\0');
        CU_ASSERT_STRING_EQUAL(verdict.profile_id, "p");
        CU_ASSERT_STRING_EQUAL(verdict.profile_version, "1");
        CU_ASSERT_STRING_EQUAL(verdict.profile_sha256, "00");
        CU_ASSERT_EQUAL(verdict.technology, DK_TECHNOLOGY_5G);
    }
}

static void reasons_say_what_was_compared(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement m = downloaded(38204999, 39 * MBPS, 99999999, 0);
    struct dk_verdict verdict;

    judge(&rules, &m, &on_5g, &verdict);
    // 99.999999 must not read as the 100.00 it missed.
    CU_ASSERT_STRING_EQUAL(
        verdict.checks[0].reason,
        "the 95 % interval 38.20 Mb/s to 99.99 Mb/s is below the regulation's threshold of "
        "100.00 Mb/s");
    rules.rules[0].family = DK_RULE_FAMILY_TARGET;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_PTR_NOT_NULL(strstr(verdict.checks[0].reason, "plan's target"));
    CU_ASSERT_PTR_NULL(strstr(verdict.checks[0].reason, "regulation"));
    CU_ASSERT_PTR_NULL(strstr(verdict.checks[0].reason, "QCVN"));
    m.download.rate_high_bps = 120 * MBPS;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_STRING_EQUAL(verdict.checks[0].reason,
                           "the 95 % interval 38.20 Mb/s to 120.00 Mb/s contains the "
                           "plan's target of 100.00 Mb/s");
}

static void the_whole_rate_takes_the_steady_widths(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE_WHOLE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement m = downloaded(108 * MBPS, 110 * MBPS, 113 * MBPS, 102 * MBPS);
    struct dk_verdict verdict;

    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.checks[0].value, 102 * MBPS);
    CU_ASSERT_EQUAL(verdict.checks[0].low, 100 * MBPS);
    CU_ASSERT_EQUAL(verdict.checks[0].high, 105 * MBPS);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);

    // The ends are never negative and never wrap.
    m = downloaded(0, 50 * MBPS, INT64_MAX, 10 * MBPS);
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.checks[0].low, 0);
    CU_ASSERT_EQUAL(verdict.checks[0].high, INT64_MAX - 40 * MBPS);
    m.download.rate_whole_bps = 60 * MBPS;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.checks[0].high, INT64_MAX);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
}

static void upload_and_latency_are_judged_by_their_own_figures(void)
{
    struct dk_measurement m = {.upload = {.status = DK_STATUS_OK,
                                          .rate_bps = 31 * MBPS,
                                          .rate_low_bps = 30 * MBPS,
                                          .rate_high_bps = 32 * MBPS,
                                          .rate_whole_bps = 25 * MBPS},
                               .latency_idle = {.status = DK_STATUS_OK,
                                                .sent = 6,
                                                .received = 6,
                                                .rtt_min_ns = 20 * MBPS,
                                                .rtt_median_ns = 30 * MBPS,
                                                .rtt_p95_ns = 50 * MBPS,
                                                .rtt_max_ns = 90 * MBPS}};
    struct dk_verdict verdict;
    struct dk_rules rules = one_rule(DK_INDICATOR_UPLOAD_RATE, DK_OP_AT_LEAST, 30 * MBPS);

    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);
    rules = one_rule(DK_INDICATOR_UPLOAD_RATE_WHOLE, DK_OP_AT_LEAST, 30 * MBPS);
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_FAIL);
    rules = one_rule(DK_INDICATOR_LATENCY_IDLE_MEDIAN, DK_OP_AT_MOST, 50 * MBPS);
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);
    CU_ASSERT_PTR_NOT_NULL(strstr(verdict.checks[0].reason, "20.00 ms to 50.00 ms"));
    rules.rules[0].threshold = 50 * MBPS - 1;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
    m.latency_idle.received = 5;
    rules.rules[0].threshold = 100 * MBPS;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
    CU_ASSERT_FALSE(verdict.checks[0].has_value);
}

static void a_missing_figure_is_no_failure(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement m = {.download = {.status = DK_STATUS_FAILED, .reason = "the server closed"}};
    struct dk_verdict verdict;

    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
    CU_ASSERT_FALSE(verdict.checks[0].has_value);
    CU_ASSERT_STRING_EQUAL(verdict.checks[0].reason, "the server closed");
    m.download.status = DK_STATUS_INVALID;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
    m.download = (struct dk_throughput){.status = DK_STATUS_NOT_MEASURED};
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_NOT_APPLICABLE);
    CU_ASSERT_NOT_EQUAL(verdict.reason[0], '\0');
    CU_ASSERT_NOT_EQUAL(verdict.checks[0].reason[0], '\0');
}

static void only_the_rules_of_the_technology_count(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement m = downloaded(150 * MBPS, 151 * MBPS, 152 * MBPS, 0);
    struct dk_context context = on_5g;
    struct dk_verdict verdict;
    static const enum dk_technology undeclared[] = {DK_TECHNOLOGY_UNKNOWN, DK_TECHNOLOGY_AUTO};

    rules.rules[1] = rules.rules[0];
    rules.rules[1].technology = DK_TECHNOLOGY_FIXED;
    rules.rules[1].threshold = 200 * MBPS;
    rules.count = 2;
    judge(&rules, &m, &context, &verdict);
    CU_ASSERT_EQUAL(verdict.count, 1);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);
    context.link.technology = DK_TECHNOLOGY_FIXED;
    judge(&rules, &m, &context, &verdict);
    CU_ASSERT_EQUAL(verdict.count, 1);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_FAIL);
    context.link.technology = DK_TECHNOLOGY_4G;
    judge(&rules, &m, &context, &verdict);
    CU_ASSERT_EQUAL(verdict.count, 0);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_NOT_APPLICABLE);
    CU_ASSERT_STRING_EQUAL(verdict.reason, "the profile has no rule for 4g");
    for (size_t i = 0; i < 2; i++) {
        context.link.technology = undeclared[i];
        judge(&rules, &m, &context, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_NOT_APPLICABLE);
        CU_ASSERT_EQUAL(verdict.count, 0);
        CU_ASSERT_STRING_EQUAL(verdict.reason, "technology not declared: use --technology 4g|5g|fixed");
    }
}

static void the_worst_check_is_the_outcome(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement m = downloaded(120 * MBPS, 125 * MBPS, 130 * MBPS, 0);
    struct dk_verdict verdict;

    m.upload = (struct dk_throughput){.status = DK_STATUS_FAILED, .reason = "x"};
    rules.rules[1] = rules.rules[0];
    rules.rules[1].indicator = DK_INDICATOR_UPLOAD_RATE;
    rules.count = 2;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_INCONCLUSIVE);
    m.upload.status = DK_STATUS_NOT_MEASURED;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);
    rules.rules[2] = rules.rules[0];
    rules.rules[2].threshold = 200 * MBPS;
    rules.count = 3;
    judge(&rules, &m, &on_5g, &verdict);
    CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_FAIL);
}

static void flags_name_the_reasons_to_doubt(void)
{
    struct dk_measurement m = downloaded(90 * MBPS, 100 * MBPS, 110 * MBPS, 0);
    struct dk_context context = on_5g;
    struct dk_validity validity;

    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.state, DK_VALIDITY_VALID); // exactly 10 % is still steady
    CU_ASSERT_EQUAL(validity.count, 0);
    m.download.rate_high_bps += 2 * MBPS;
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.state, DK_VALIDITY_SUSPECT);
    CU_ASSERT_EQUAL(validity.count, 1);
    CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_UNSTEADY);
    CU_ASSERT_STRING_EQUAL(validity.flags[0].detail,
                           "download: the 95 % interval is about 11 % of the rate to each side");
    m.download.status = DK_STATUS_FAILED;
    context.clock.state = DK_CLOCK_UNSYNCHRONISED;
    context.link.medium = DK_MEDIUM_LOOPBACK;
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.state, DK_VALIDITY_SUSPECT);
    CU_ASSERT_EQUAL(validity.count, 2);
    CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_CLOCK_UNSYNCHRONISED);
    CU_ASSERT_EQUAL(validity.flags[1].code, DK_FLAG_LOOPBACK);
    CU_ASSERT_STRING_EQUAL(dk_flag_text(validity.flags[0].code), "clock_unsynchronised");
    CU_ASSERT_STRING_EQUAL(dk_validity_text(validity.state), "suspect");
    context.clock.state = DK_CLOCK_UNKNOWN;
    context.link.medium = DK_MEDIUM_TUNNEL;
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.count, 1);
    CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_TUNNEL);
}

static void a_tunnel_spoils_a_failure_but_no_pass(void)
{
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 100 * MBPS);
    struct dk_measurement below = downloaded(88 * MBPS, 90 * MBPS, 92 * MBPS, 0);
    struct dk_measurement above = downloaded(118 * MBPS, 120 * MBPS, 122 * MBPS, 0);
    struct dk_context context = on_5g;
    struct dk_verdict verdict;
    static const struct {
        enum dk_medium medium;
        enum dk_outcome below;
    } rows[] = {{DK_MEDIUM_TUNNEL, DK_OUTCOME_INCONCLUSIVE},
                {DK_MEDIUM_LOOPBACK, DK_OUTCOME_FAIL},
                {DK_MEDIUM_ETHERNET, DK_OUTCOME_FAIL}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        context.link.medium = rows[i].medium;
        judge(&rules, &below, &context, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, rows[i].below);
        judge(&rules, &above, &context, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, DK_OUTCOME_PASS);
    }
}

// Turns the number line round: a figure x becomes limit − x, so ">= t" becomes "<= limit − t".
static void random_intervals_are_judged_alike_from_both_sides(void)
{
    enum { LIMIT = 2000 };

    for (int i = 0; i < 5000; i++) {
        int64_t low = dk_random_between(0, LIMIT), high = dk_random_between(low, LIMIT);
        int64_t rate = dk_random_between(low, high), threshold = dk_random_between(0, LIMIT);
        struct dk_rules at_least = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, threshold);
        struct dk_rules at_most = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_MOST, LIMIT - threshold);
        struct dk_measurement m = downloaded(low, rate, high, rate);
        struct dk_measurement mirrored = downloaded(LIMIT - high, LIMIT - rate, LIMIT - low, LIMIT - rate);
        struct dk_verdict verdict, other;

        judge(&at_least, &m, &on_5g, &verdict);
        judge(&at_most, &mirrored, &on_5g, &other);
        CU_ASSERT_EQUAL(verdict.outcome, other.outcome);
        CU_ASSERT_TRUE(verdict.outcome != DK_OUTCOME_PASS || low >= threshold);
        CU_ASSERT_TRUE(verdict.outcome != DK_OUTCOME_FAIL || high < threshold);
        CU_ASSERT_TRUE(verdict.outcome != DK_OUTCOME_INCONCLUSIVE || (low < threshold && high >= threshold));

        // Faster is never judged worse, and a lower threshold neither.
        static const int rank[] = {
            [DK_OUTCOME_FAIL] = 0, [DK_OUTCOME_INCONCLUSIVE] = 1, [DK_OUTCOME_PASS] = 2};
        int64_t more = dk_random_between(0, LIMIT);
        struct dk_measurement faster = downloaded(low + more, rate + more, high + more, rate + more);

        judge(&at_least, &faster, &on_5g, &other);
        CU_ASSERT_TRUE(rank[other.outcome] >= rank[verdict.outcome]);
        at_least.rules[0].threshold -= dk_random_between(0, threshold);
        judge(&at_least, &m, &on_5g, &other);
        CU_ASSERT_TRUE(rank[other.outcome] >= rank[verdict.outcome]);
    }
}

int main(int argc, char **argv)
{
    static const struct dk_case cases[] = {
        DK_CASE(the_interval_decides),
        DK_CASE(reasons_say_what_was_compared),
        DK_CASE(the_whole_rate_takes_the_steady_widths),
        DK_CASE(upload_and_latency_are_judged_by_their_own_figures),
        DK_CASE(a_missing_figure_is_no_failure),
        DK_CASE(only_the_rules_of_the_technology_count),
        DK_CASE(the_worst_check_is_the_outcome),
        DK_CASE(flags_name_the_reasons_to_doubt),
        DK_CASE(a_tunnel_spoils_a_failure_but_no_pass),
        DK_CASE(random_intervals_are_judged_alike_from_both_sides),
        {0},
    };

    return dk_harness_main(argc, argv, "judge", cases);
}
