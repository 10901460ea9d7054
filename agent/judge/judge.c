// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    // With 6 samples the median lies between the smallest and the largest with more than 95 % (1 − 2 / 2^6).
    MEDIAN_SAMPLES_MIN = 6,
};

// A figure as the rules see it.
struct figure {
    enum dk_status status;
    const char *reason;
    int64_t value, low, high;
    const struct dk_throughput *throughput; // of a rate; else NULL
};

static int64_t subtract_to_zero(int64_t from, int64_t amount)
{
    int64_t result = 0;

    return __builtin_sub_overflow(from, amount, &result) || result < 0 ? 0 : result;
}

static int64_t add_to_max(int64_t a, int64_t b)
{
    int64_t result = 0;

    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

static struct figure steady_rate(const struct dk_throughput *from)
{
    return (struct figure){from->status, from->reason, from->rate_bps, from->rate_low_bps, from->rate_high_bps, from};
}

// The whole rate has no samples of its own to take an interval from: it is one number a run. What makes it
// scatter is what makes the steady rate scatter, so the half-widths of the steady interval are laid around
// it. The ramp-up is part of the definition, not an error, so it does not widen the interval.
static struct figure whole_rate(const struct dk_throughput *from)
{
    int64_t whole = from->rate_whole_bps;

    return (struct figure){from->status, from->reason, whole,
                           subtract_to_zero(whole, subtract_to_zero(from->rate_bps, from->rate_low_bps)),
                           add_to_max(whole, subtract_to_zero(from->rate_high_bps, from->rate_bps)), from};
}

// The median's exact 95 % interval lies between two order statistics; from six samples on, smallest and 95th
// percentile enclose it. Wider than need be, so it errs to inconclusive.
static struct figure median_rtt(const struct dk_latency *from)
{
    struct figure figure = {from->status, from->reason, from->rtt_median_ns, from->rtt_min_ns,
                            from->rtt_p95_ns, NULL};

    if (from->status == DK_STATUS_OK && from->received < MEDIAN_SAMPLES_MIN)
        figure = (struct figure){DK_STATUS_FAILED, "fewer than 6 answers: too few to judge", 0, 0, 0, NULL};
    return figure;
}

static struct figure find_figure(const struct dk_measurement *measurement, enum dk_indicator indicator)
{
    switch (indicator) {
    case DK_INDICATOR_DOWNLOAD_RATE:
        return steady_rate(&measurement->download);
    case DK_INDICATOR_DOWNLOAD_RATE_WHOLE:
        return whole_rate(&measurement->download);
    case DK_INDICATOR_UPLOAD_RATE:
        return steady_rate(&measurement->upload);
    case DK_INDICATOR_UPLOAD_RATE_WHOLE:
        return whole_rate(&measurement->upload);
    case DK_INDICATOR_LATENCY_IDLE_MEDIAN:
        return median_rtt(&measurement->latency_idle);
    case DK_INDICATOR_ACCESS_TIME: // of a set of samples only (dk_rule_is_for_one_run)
    case DK_INDICATOR_ACCESS:
    case DK_INDICATOR_DOWNLOAD:
    case DK_INDICATOR_UPLOAD:
        break;
    }
    return (struct figure){.status = DK_STATUS_NOT_MEASURED, .reason = "this version cannot measure it"};
}

static void explain(struct dk_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void explain(struct dk_check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->reason, sizeof check->reason, format, arguments);
    va_end(arguments);
}

// What a flag takes away from the figure it bears on.
enum spoils {
    SPOILS_NOTHING,
    SPOILS_WORSE, // it can make a line look worse than it is, not better: findings that rest on that
    SPOILS_ALL,
};

static enum spoils what_spoils(enum dk_flag_code code, const char **words)
{
    switch (code) {
    case DK_FLAG_TUNNEL:
        *words = "it was measured through a tunnel";
        return SPOILS_WORSE;
    case DK_FLAG_HOST_LIMITED:
        *words = "this device limited it";
        return SPOILS_WORSE;
    case DK_FLAG_SERVER_LIMITED:
        *words = "the server limited it";
        return SPOILS_WORSE;
    case DK_FLAG_CROSS_TRAFFIC:
        *words = "the interface carried other traffic";
        return SPOILS_WORSE;
    case DK_FLAG_LINK_CHANGED:
        *words = "the link changed meanwhile";
        return SPOILS_ALL;
    case DK_FLAG_TECHNOLOGY_CHANGED:
        *words = "the technology changed meanwhile";
        return SPOILS_ALL;
    case DK_FLAG_CLOCK_UNSYNCHRONISED:
    case DK_FLAG_LOOPBACK:
    case DK_FLAG_UNSTEADY: // its effect comes from the figures (doubt)
    case DK_FLAG_BURST:
    case DK_FLAG_BRIEF:
    case DK_FLAG_CAPTURE_DROPPED:
    case DK_FLAG_CAPTURE_DISAGREES:
        break;
    }
    return SPOILS_NOTHING;
}

static bool bears_on(enum dk_flag_figure figure, enum dk_indicator indicator)
{
    switch (indicator) {
    case DK_INDICATOR_DOWNLOAD_RATE:
    case DK_INDICATOR_DOWNLOAD_RATE_WHOLE:
        return figure == DK_FLAG_FIGURE_ALL || figure == DK_FLAG_FIGURE_DOWNLOAD;
    case DK_INDICATOR_UPLOAD_RATE:
    case DK_INDICATOR_UPLOAD_RATE_WHOLE:
        return figure == DK_FLAG_FIGURE_ALL || figure == DK_FLAG_FIGURE_UPLOAD;
    case DK_INDICATOR_LATENCY_IDLE_MEDIAN:
    case DK_INDICATOR_ACCESS_TIME:
    case DK_INDICATOR_ACCESS:
    case DK_INDICATOR_DOWNLOAD:
    case DK_INDICATOR_UPLOAD:
        break;
    }
    return figure == DK_FLAG_FIGURE_ALL;
}

// Why the finding cannot stand; NULL when it can. A finding rests on a bad figure when it holds a rate to be low or a
// delay to be high.
static const char *spoiled_by(const struct dk_check *check, const struct dk_validity *validity, bool pass)
{
    bool rests_on_bad = (check->rule.op == DK_OP_AT_LEAST) != dk_check_in_ns(check) ? !pass : pass;

    for (size_t i = 0; i < validity->count; i++) {
        const char *words = NULL;
        enum spoils spoils = what_spoils(validity->flags[i].code, &words);

        if (bears_on(validity->flags[i].figure, check->rule.indicator) &&
            (spoils == SPOILS_ALL || (spoils == SPOILS_WORSE && rests_on_bad)))
            return words;
    }
    return NULL;
}

static void compare(struct dk_check *check, const struct dk_validity *validity)
{
    bool at_least = check->rule.op == DK_OP_AT_LEAST;
    int64_t threshold = check->rule.threshold;
    bool pass = at_least ? check->low >= threshold : check->high <= threshold;
    bool fail = at_least ? check->high < threshold : check->low > threshold;
    const char *whose =
        check->rule.family == DK_RULE_FAMILY_QCVN ? "regulation's threshold" : "plan's target";
    char low[DK_AMOUNT_SIZE], high[DK_AMOUNT_SIZE], limit[DK_AMOUNT_SIZE];

    dk_check_amount(check, check->low, low);
    dk_check_amount(check, check->high, high);
    dk_check_amount(check, threshold, limit);

    const char *spoiled = pass || fail ? spoiled_by(check, validity, pass) : NULL;

    if (spoiled != NULL) {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        explain(check, "the 95 %% interval %s to %s %s %s, but %s", low, high, pass ? "meets" : "misses", limit,
                spoiled);
    } else if (pass) {
        check->outcome = DK_OUTCOME_PASS;
        explain(check, "the 95 %% interval %s to %s meets the %s of %s", low, high, whose, limit);
    } else if (fail) {
        check->outcome = DK_OUTCOME_FAIL;
        explain(check, "the 95 %% interval %s to %s is %s the %s of %s", low, high,
                at_least ? "below" : "above", whose, limit);
    } else {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        explain(check, "the 95 %% interval %s to %s contains the %s of %s", low, high, whose, limit);
    }
}

// Takes a finding back that the line's steadiness does not bear out. A finding that rests on a high rate (it passes at
// least, it fails at most) needs more: a burst makes a line look better than it is.
static void doubt(struct dk_check *check, const struct dk_throughput *throughput)
{
    const struct dk_steadiness *steadiness = &throughput->steadiness;
    struct dk_range range = dk_throughput_range(throughput);
    int64_t threshold = check->rule.threshold;
    bool high = (check->outcome == DK_OUTCOME_PASS) == (check->rule.op == DK_OP_AT_LEAST);
    char low_text[DK_AMOUNT_SIZE], high_text[DK_AMOUNT_SIZE];

    if (check->outcome != DK_OUTCOME_PASS && check->outcome != DK_OUTCOME_FAIL)
        return;
    if (high && steadiness->brief) {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        explain(check, "so short a test may have seen nothing but a burst");
    } else if (steadiness->unsteady && range.low_bps < threshold && range.high_bps >= threshold) {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        dk_check_amount(check, range.low_bps, low_text);
        dk_check_amount(check, range.high_bps, high_text);
        explain(check, "the line was unsteady: anything from %s to %s", low_text, high_text);
    } else if (high && steadiness->burst_bps > 0 && range.low_bps < threshold) {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        explain(check, "only a burst at the beginning brings it there");
    }
}

static void judge_rule(struct dk_check *check, const struct dk_measurement *measurement, const struct dk_site *site,
                       const struct dk_validity *validity)
{
    struct figure figure = find_figure(measurement, check->rule.indicator);

    check->has_threshold = dk_rule_resolve(&check->rule, site, &check->rule.threshold);
    if (!check->has_threshold) {
        check->outcome = DK_OUTCOME_NOT_APPLICABLE;
        explain(check, "site.%s is not set: the rule refers to it", dk_site_rate_text(check->rule.site_rate));
        return;
    }
    if (figure.status == DK_STATUS_NOT_MEASURED) {
        check->outcome = DK_OUTCOME_NOT_APPLICABLE;
        explain(check, "%s", figure.reason[0] != '\0' ? figure.reason : "not measured");
        return;
    }
    if (figure.status != DK_STATUS_OK) {
        check->outcome = DK_OUTCOME_INCONCLUSIVE;
        explain(check, "%s", figure.reason[0] != '\0' ? figure.reason : "the measurement failed");
        return;
    }
    check->has_value = true;
    check->value = figure.value;
    check->low = figure.low;
    check->high = figure.high;
    compare(check, validity);
    if (figure.throughput != NULL)
        doubt(check, figure.throughput);
}

// The strongest finding stands for the whole.
static enum dk_outcome worst(enum dk_outcome a, enum dk_outcome b)
{
    static const int weight[] = {[DK_OUTCOME_NOT_APPLICABLE] = 0,
                                 [DK_OUTCOME_PASS] = 1,
                                 [DK_OUTCOME_INCONCLUSIVE] = 2,
                                 [DK_OUTCOME_FAIL] = 3};

    return weight[a] >= weight[b] ? a : b;
}

// Why there is no outcome.
static void explain_verdict(struct dk_verdict *verdict, bool needs_set)
{
    const char *technology = dk_technology_text(verdict->technology);
    bool lacks_rate = false;

    for (size_t i = 0; i < verdict->count; i++)
        lacks_rate = lacks_rate || !verdict->checks[i].has_threshold;
    if (verdict->count == 0 && needs_set)
        snprintf(verdict->reason, sizeof verdict->reason, "the profile's rules for %s are about sets of samples",
                 technology);
    else if (verdict->count == 0)
        snprintf(verdict->reason, sizeof verdict->reason, "the profile has no rule for %s", technology);
    else if (verdict->outcome == DK_OUTCOME_NOT_APPLICABLE)
        snprintf(verdict->reason, sizeof verdict->reason, "%s",
                 lacks_rate ? "no rule can be applied without what it refers to"
                            : "nothing that the rules look at was measured");
}

void dk_judge(const struct dk_rules *rules, const struct dk_measurement *measurement,
              const struct dk_context *context, const struct dk_site *site, const struct dk_validity *validity,
              struct dk_verdict *out)
{
    enum dk_technology technology = context->link.technology;
    bool needs_set = false;

    *out = (struct dk_verdict){.technology = technology, .outcome = DK_OUTCOME_NOT_APPLICABLE};
    memcpy(out->profile_id, rules->id, sizeof out->profile_id);
    memcpy(out->profile_version, rules->version, sizeof out->profile_version);
    memcpy(out->profile_sha256, rules->sha256, sizeof out->profile_sha256);
    if (technology == DK_TECHNOLOGY_UNKNOWN || technology == DK_TECHNOLOGY_AUTO) {
        snprintf(out->reason, sizeof out->reason, "technology not declared: use --technology 4g|5g|fixed");
        return;
    }
    for (size_t i = 0; i < rules->count && i < DK_RULES_MAX; i++) {
        if (!dk_rule_is_about(&rules->rules[i], technology, site))
            continue;
        if (!dk_rule_is_for_one_run(&rules->rules[i])) {
            needs_set = true;
            continue;
        }

        struct dk_check *check = &out->checks[out->count++];

        check->rule = rules->rules[i];
        judge_rule(check, measurement, site, validity);
        out->outcome = worst(out->outcome, check->outcome);
    }
    explain_verdict(out, needs_set);
}
