// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <string.h>

#define MBPS INT64_C(1000000)

static const struct dk_context on_5g = {
    .link = {.interface = "wwan0", .medium = DK_MEDIUM_CELLULAR, .technology = DK_TECHNOLOGY_5G},
    .clock = {.state = DK_CLOCK_SYNCHRONISED}};

static const struct dk_site nowhere = {0};

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
    dk_judge(rules, measurement, context, &nowhere, &validity, out);
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

static void a_line_without_one_level_gives_no_finding_between_its_levels(void)
{
    static const struct {
        int64_t low, high;
        struct dk_steadiness steadiness;
        int64_t whole;
        enum dk_indicator indicator;
        enum dk_op op;
        enum dk_outcome outcome;
    } rows[] = {
        // Unsteady, but both levels are on the same side.
        {110, 120, {.unsteady = true, .level_first_bps = 105, .level_last_bps = 125}, 104, DK_INDICATOR_DOWNLOAD_RATE,
         DK_OP_AT_LEAST, DK_OUTCOME_PASS},
        {80, 90, {.unsteady = true, .level_first_bps = 75, .level_last_bps = 95}, 80, DK_INDICATOR_DOWNLOAD_RATE,
         DK_OP_AT_LEAST, DK_OUTCOME_FAIL},
        // One level, or the whole rate, on the other side.
        {110, 120, {.unsteady = true, .level_first_bps = 125, .level_last_bps = 99}, 110, DK_INDICATOR_DOWNLOAD_RATE,
         DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {110, 120, {.unsteady = true, .level_first_bps = 105, .level_last_bps = 125}, 99, DK_INDICATOR_DOWNLOAD_RATE,
         DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {80, 90, {.unsteady = true, .level_first_bps = 100, .level_last_bps = 70}, 85, DK_INDICATOR_DOWNLOAD_RATE,
         DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        // Steady: the levels do not matter.
        {110, 120, {.level_first_bps = 90, .level_last_bps = 125}, 110, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST,
         DK_OUTCOME_PASS},
        // A burst makes the whole rate look better, not worse; the steady rate is without it.
        {94, 96, {.burst_bps = 190}, 105, DK_INDICATOR_DOWNLOAD_RATE_WHOLE, DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {101, 103, {.burst_bps = 190}, 110, DK_INDICATOR_DOWNLOAD_RATE_WHOLE, DK_OP_AT_LEAST, DK_OUTCOME_PASS},
        {84, 86, {.burst_bps = 190}, 95, DK_INDICATOR_DOWNLOAD_RATE_WHOLE, DK_OP_AT_LEAST, DK_OUTCOME_FAIL},
        {101, 103, {.burst_bps = 190}, 110, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, DK_OUTCOME_PASS},
        // All of a brief test may have been a burst: nothing is proved good by it.
        {150, 160, {.brief = true}, 150, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, DK_OUTCOME_INCONCLUSIVE},
        {80, 90, {.brief = true}, 80, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, DK_OUTCOME_FAIL},
        {150, 160, {.brief = true}, 150, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_MOST, DK_OUTCOME_INCONCLUSIVE},
        {80, 90, {.brief = true}, 80, DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_MOST, DK_OUTCOME_PASS},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_rules rules = one_rule(rows[i].indicator, rows[i].op, 100 * MBPS);
        struct dk_measurement m = downloaded(rows[i].low * MBPS, (rows[i].low + rows[i].high) * MBPS / 2,
                                             rows[i].high * MBPS, rows[i].whole * MBPS);
        struct dk_verdict verdict;

        m.download.steadiness = rows[i].steadiness;
        m.download.steadiness.level_first_bps *= MBPS;
        m.download.steadiness.level_last_bps *= MBPS;
        m.download.steadiness.burst_bps *= MBPS;
        judge(&rules, &m, &on_5g, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, rows[i].outcome);
        CU_ASSERT_EQUAL(verdict.checks[0].value, rows[i].indicator == DK_INDICATOR_DOWNLOAD_RATE
                                                     ? m.download.rate_bps
                                                     : m.download.rate_whole_bps);
    }
}

static void flags_name_the_reasons_to_doubt(void)
{
    struct dk_measurement m = downloaded(90 * MBPS, 100 * MBPS, 110 * MBPS, 0);
    struct dk_context context = on_5g;
    struct dk_validity validity;

    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.state, DK_VALIDITY_VALID);
    CU_ASSERT_EQUAL(validity.count, 0);
    m.download.steadiness = (struct dk_steadiness){.unsteady = true};
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.state, DK_VALIDITY_SUSPECT);
    CU_ASSERT_EQUAL(validity.count, 1);
    CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_UNSTEADY);
    CU_ASSERT_STRING_EQUAL(validity.flags[0].detail,
                           "download: anything from 90.00 Mb/s to 110.00 Mb/s");
    m.download.steadiness = (struct dk_steadiness){.unsteady = true,
                                                   .changes = true,
                                                   .level_first_bps = 94999999,
                                                   .level_last_bps = 120 * MBPS,
                                                   .burst_bps = 200 * MBPS,
                                                   .brief = true};
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL_FATAL(validity.count, 3);
    CU_ASSERT_STRING_EQUAL(validity.flags[0].detail, "download: 94.99 Mb/s, then 120.00 Mb/s");
    CU_ASSERT_EQUAL(validity.flags[1].code, DK_FLAG_BURST);
    CU_ASSERT_STRING_EQUAL(validity.flags[1].detail,
                           "download: it began at 200.00 Mb/s, which the line did not hold; that is left out");
    CU_ASSERT_EQUAL(validity.flags[2].code, DK_FLAG_BRIEF);
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

// 4 streams of 25 Mb/s for 10 s at 20 ms, nothing to complain of.
static struct dk_throughput sound(void)
{
    struct dk_throughput out = {.status = DK_STATUS_OK,
                                .rate_bps = 100 * MBPS,
                                .rate_low_bps = 99 * MBPS,
                                .rate_high_bps = 101 * MBPS,
                                .streams = 4,
                                .conditions = {.duration_ns = 10 * DK_NS_PER_S,
                                               .looks = 200,
                                               .looks_late = 40,
                                               .agent_cpu_ns = DK_NS_PER_S,
                                               .agent_wait_ns = 8 * DK_NS_PER_S,
                                               .cpu_busiest_ppm = 1000000,
                                               .interface = "wan0",
                                               .received_bytes = 130000000,
                                               .sent_bytes = 4000000,
                                               .own_received_bytes = 132000000,
                                               .own_sent_bytes = 5000000}};

    for (int i = 0; i < 4; i++)
        out.tcp[i] = (struct dk_tcp_stream){.rtt_ns = 35 * DK_NS_PER_MS,
                                            .rtt_min_ns = 20 * DK_NS_PER_MS,
                                            .received_bytes = 31250000,
                                            .acked_bytes = 31250000,
                                            .send_buffer_bytes = 100000,
                                            .busy_ns = 10 * DK_NS_PER_S,
                                            .receive_window_bytes = 100000};
    return out;
}

enum change {
    SOUND,
    AGENT_BUSY,
    AGENT_UNKNOWN,
    INTERRUPTS,
    WINDOWS_CLOSED,
    WINDOWS_CLOSED_IN_TIME,
    NOTHING_TO_SEND,
    NOTHING_TO_SEND_IN_TIME,
    SMALL_WINDOW,
    SMALL_WINDOW_OF_TWO,
    SMALL_BUFFER,
    SMALL_BUFFER_OF_TWO,
    SERVER_WINDOW,
    SERVER_WINDOW_AND_QUEUE,
    FOREIGN_RECEIVED,
    FOREIGN_BOTH_WAYS,
    FOREIGN_TOO_LITTLE,
    FOREIGN_BUT_SLOW,
    FOREIGN_UNKNOWN,
    NOT_LOOKED_AT,
};

static void apply(enum change change, struct dk_throughput *rate)
{
    struct dk_conditions *c = &rate->conditions;

    if (change == AGENT_BUSY)
        c->agent_cpu_ns = 91 * DK_NS_PER_S / 10;
    else if (change == AGENT_UNKNOWN)
        c->agent_cpu_ns = c->cpu_interrupts_ppm = -1;
    else if (change == INTERRUPTS)
        c->cpu_interrupts_ppm = 900000;
    else if (change == WINDOWS_CLOSED || change == WINDOWS_CLOSED_IN_TIME)
        c->windows_closed = 3;
    else if (change == FOREIGN_RECEIVED)
        c->received_bytes = 140000000;
    else if (change == FOREIGN_BOTH_WAYS)
        c->received_bytes = 136000000, c->sent_bytes = 9000000;
    else if (change == FOREIGN_TOO_LITTLE)
        c->received_bytes = 138000000;
    else if (change == FOREIGN_BUT_SLOW)
        c->received_bytes = 199999, c->own_received_bytes = 100000, c->sent_bytes = c->own_sent_bytes = 0;
    else if (change == FOREIGN_UNKNOWN)
        c->received_bytes = INT64_MAX, c->sent_bytes = -1;
    else if (change == NOT_LOOKED_AT)
        *c = (struct dk_conditions){.looks_late = 5, .windows_closed = 5};
    if (change == WINDOWS_CLOSED_IN_TIME || change == NOTHING_TO_SEND_IN_TIME)
        c->looks_late = 19;
    for (int i = 0; i < 4; i++) {
        struct dk_tcp_stream *stream = &rate->tcp[i];

        if (change == NOTHING_TO_SEND || change == NOTHING_TO_SEND_IN_TIME)
            stream->busy_ns = 8 * DK_NS_PER_S;
        // 31,250,000 bytes in 10 s are 62,500 in 20 ms.
        if (change == SMALL_WINDOW || (change == SMALL_WINDOW_OF_TWO && i < 2))
            stream->receive_window_bytes = 80000;
        if (change == SMALL_BUFFER || (change == SMALL_BUFFER_OF_TWO && i < 2))
            stream->send_buffer_bytes = 80000;
        if (change == SERVER_WINDOW || change == SERVER_WINDOW_AND_QUEUE)
            stream->receive_window_limited_ns = 3 * DK_NS_PER_S;
        if (change == SERVER_WINDOW)
            stream->rtt_ns = 25 * DK_NS_PER_MS;
    }
}

static void limits_are_flagged_where_they_reach_the_figure(void)
{
    enum { NONE = -1 };
    static const struct {
        enum change change;
        int download, upload; // enum dk_flag_code, or NONE
    } rows[] = {
        {SOUND, NONE, NONE},
        {AGENT_BUSY, DK_FLAG_HOST_LIMITED, DK_FLAG_HOST_LIMITED},
        {AGENT_UNKNOWN, NONE, NONE},
        {INTERRUPTS, DK_FLAG_HOST_LIMITED, DK_FLAG_HOST_LIMITED},
        {WINDOWS_CLOSED, DK_FLAG_HOST_LIMITED, NONE},
        {WINDOWS_CLOSED_IN_TIME, NONE, NONE},
        {NOTHING_TO_SEND, NONE, DK_FLAG_HOST_LIMITED},
        {NOTHING_TO_SEND_IN_TIME, NONE, NONE},
        {SMALL_WINDOW, DK_FLAG_HOST_LIMITED, NONE},
        {SMALL_WINDOW_OF_TWO, NONE, NONE},
        {SMALL_BUFFER, NONE, DK_FLAG_HOST_LIMITED},
        {SMALL_BUFFER_OF_TWO, NONE, NONE},
        {SERVER_WINDOW, NONE, DK_FLAG_SERVER_LIMITED},
        {SERVER_WINDOW_AND_QUEUE, NONE, NONE},
        {FOREIGN_RECEIVED, DK_FLAG_CROSS_TRAFFIC, DK_FLAG_CROSS_TRAFFIC},
        {FOREIGN_BOTH_WAYS, DK_FLAG_CROSS_TRAFFIC, DK_FLAG_CROSS_TRAFFIC},
        {FOREIGN_TOO_LITTLE, NONE, NONE},
        {FOREIGN_BUT_SLOW, NONE, NONE},
        {FOREIGN_UNKNOWN, NONE, NONE},
        {NOT_LOOKED_AT, NONE, NONE},
    };
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 200 * MBPS);

    rules.rules[1] = rules.rules[0];
    rules.rules[1].indicator = DK_INDICATOR_UPLOAD_RATE;
    rules.count = 2;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int upload = 0; upload < 2; upload++) {
            struct dk_measurement m = {.download = sound(), .upload = sound()};
            int expected = upload ? rows[i].upload : rows[i].download;
            struct dk_validity validity;
            struct dk_verdict verdict;

            apply(rows[i].change, upload ? &m.upload : &m.download);
            dk_judge_validity(&m, &on_5g, &validity);
            CU_ASSERT_EQUAL(validity.count, expected == NONE ? 0 : 1);
            if (expected != NONE) {
                CU_ASSERT_EQUAL((int)validity.flags[0].code, expected);
                CU_ASSERT_EQUAL(validity.flags[0].figure,
                                upload ? DK_FLAG_FIGURE_UPLOAD : DK_FLAG_FIGURE_DOWNLOAD);
                CU_ASSERT_NOT_EQUAL(validity.flags[0].detail[0], '\0');
            }
            // The flag spoils the failure of its own direction, and nothing else.
            dk_judge(&rules, &m, &on_5g, &nowhere, &validity, &verdict);
            CU_ASSERT_EQUAL(verdict.checks[upload].outcome,
                            expected == NONE ? DK_OUTCOME_FAIL : DK_OUTCOME_INCONCLUSIVE);
            CU_ASSERT_EQUAL(verdict.checks[!upload].outcome, DK_OUTCOME_FAIL);
        }
}

static void traffic_on_loopback_is_not_foreign(void)
{
    struct dk_measurement m = {.download = sound()};
    struct dk_context context = on_5g;
    struct dk_validity validity;

    apply(FOREIGN_BOTH_WAYS, &m.download);
    context.link.medium = DK_MEDIUM_LOOPBACK;
    dk_judge_validity(&m, &context, &validity);
    CU_ASSERT_EQUAL(validity.count, 1);
    CU_ASSERT_EQUAL(validity.flags[0].code, DK_FLAG_LOOPBACK);
}

static void round_trips_beside_are_not_foreign(void)
{
    struct dk_measurement m = {.download = sound()};
    struct dk_validity validity;
    static const struct {
        enum dk_method method;
        int64_t sent;
        size_t flags;
    } rows[] = {{DK_METHOD_STAMP, 0, 1},   {DK_METHOD_STAMP, 390, 1}, {DK_METHOD_STAMP, 391, 0},
                {DK_METHOD_HTTP, 48, 1}, {DK_METHOD_HTTP, 49, 0}};

    // 200,000 foreign bytes of 1,000,000.
    m.download.conditions.received_bytes = m.download.conditions.own_received_bytes = 800000;
    m.download.conditions.sent_bytes = 200000;
    m.download.conditions.own_sent_bytes = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m.latency_download = (struct dk_latency){.method = rows[i].method, .sent = rows[i].sent};
        dk_judge_validity(&m, &on_5g, &validity);
        CU_ASSERT_EQUAL(validity.count, rows[i].flags);
    }
}

static void a_limit_spoils_only_what_rests_on_a_bad_figure(void)
{
    static const struct {
        enum dk_indicator indicator;
        enum dk_op op;
        int64_t threshold;
        enum dk_outcome outcome;
    } rows[] = {
        {DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 90 * MBPS, DK_OUTCOME_PASS},
        {DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 110 * MBPS, DK_OUTCOME_INCONCLUSIVE},
        {DK_INDICATOR_DOWNLOAD_RATE_WHOLE, DK_OP_AT_LEAST, 110 * MBPS, DK_OUTCOME_INCONCLUSIVE},
        {DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_MOST, 90 * MBPS, DK_OUTCOME_FAIL},
        {DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_MOST, 110 * MBPS, DK_OUTCOME_INCONCLUSIVE},
        {DK_INDICATOR_UPLOAD_RATE, DK_OP_AT_LEAST, 110 * MBPS, DK_OUTCOME_FAIL},
        {DK_INDICATOR_LATENCY_IDLE_MEDIAN, DK_OP_AT_MOST, 10 * DK_NS_PER_MS, DK_OUTCOME_FAIL},
    };
    struct dk_measurement m = {
        .download = sound(),
        .upload = sound(),
        .latency_idle = {.status = DK_STATUS_OK,
                         .received = 10,
                         .rtt_min_ns = 20 * DK_NS_PER_MS,
                         .rtt_median_ns = 21 * DK_NS_PER_MS,
                         .rtt_p95_ns = 22 * DK_NS_PER_MS}};

    apply(AGENT_BUSY, &m.download);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dk_rules rules = one_rule(rows[i].indicator, rows[i].op, rows[i].threshold);
        struct dk_verdict verdict;

        judge(&rules, &m, &on_5g, &verdict);
        CU_ASSERT_EQUAL(verdict.outcome, rows[i].outcome);
    }
}

static void a_changed_link_spoils_every_finding(void)
{
    static const struct dk_link before = {.interface = "wwan0",
                                          .index = 3,
                                          .state = "up",
                                          .carrier_changes = 2,
                                          .medium = DK_MEDIUM_CELLULAR,
                                          .local_address = "2001:db8:1:2::3",
                                          .technology = DK_TECHNOLOGY_5G};
    struct dk_link after[9];
    static const int flags[] = {0, 0, 1, 1, 1, 1, 1, 1, 2};
    struct dk_rules rules = one_rule(DK_INDICATOR_DOWNLOAD_RATE, DK_OP_AT_LEAST, 90 * MBPS);

    for (size_t i = 0; i < 9; i++)
        after[i] = before;
    snprintf(after[1].local_address, sizeof after[1].local_address, "2001:db8:1:2:aa::7");
    snprintf(after[2].local_address, sizeof after[2].local_address, "2001:db8:1:3::3");
    snprintf(after[3].local_address, sizeof after[3].local_address, "10.0.0.7");
    snprintf(after[4].interface, sizeof after[4].interface, "wlan0");
    after[5].index = 4;
    after[6].carrier_changes = 4;
    snprintf(after[7].state, sizeof after[7].state, "down");
    after[8].interface[0] = '\0';
    after[8].technology = DK_TECHNOLOGY_4G;
    for (size_t i = 0; i < 9; i++)
        for (int high = 0; high < 2; high++) {
            struct dk_measurement m = {.download = sound()};
            struct dk_context context = on_5g;
            struct dk_validity validity;
            struct dk_verdict verdict;

            context.link = before;
            context.link_after = after[i];
            dk_judge_validity(&m, &context, &validity);
            CU_ASSERT_EQUAL(validity.count, 0); // it was not looked at again
            context.has_link_after = true;
            rules.rules[0].threshold = high ? 110 * MBPS : 90 * MBPS;
            dk_judge_validity(&m, &context, &validity);
            CU_ASSERT_EQUAL((int)validity.count, flags[i]);
            CU_ASSERT_TRUE(flags[i] < 1 || validity.flags[0].code == DK_FLAG_LINK_CHANGED);
            CU_ASSERT_TRUE(flags[i] < 2 || validity.flags[1].code == DK_FLAG_TECHNOLOGY_CHANGED);
            dk_judge(&rules, &m, &context, &nowhere, &validity, &verdict);
            CU_ASSERT_EQUAL(verdict.outcome, flags[i] > 0 ? DK_OUTCOME_INCONCLUSIVE
                                             : high       ? DK_OUTCOME_FAIL
                                                          : DK_OUTCOME_PASS);
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
        DK_CASE(a_line_without_one_level_gives_no_finding_between_its_levels),
                                           DK_CASE(flags_name_the_reasons_to_doubt),
        DK_CASE(a_tunnel_spoils_a_failure_but_no_pass),
        DK_CASE(limits_are_flagged_where_they_reach_the_figure),
        DK_CASE(traffic_on_loopback_is_not_foreign),
        DK_CASE(round_trips_beside_are_not_foreign),
        DK_CASE(a_limit_spoils_only_what_rests_on_a_bad_figure),
        DK_CASE(a_changed_link_spoils_every_finding),
        DK_CASE(random_intervals_are_judged_alike_from_both_sides),
        {0},
    };

    return dk_harness_main(argc, argv, "judge", cases);
}
