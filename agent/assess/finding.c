// SPDX-License-Identifier: Apache-2.0
#include "agent/assess/finding.h"

#include <stdlib.h>
#include <string.h>

#define PPM INT64_C(1000000)
#define BOUND_MAX INT64_C(1000000000000000) // that bins are made for

enum {
    THRESHOLDS_MAX = 256, // of one rule in one group
    FINDINGS_MAX = 100000,
};

// Of a rule at an origin, in the place of a threshold.
enum { NO_RATE = -1, NOT_ABOUT = -2 };

// These flags say that the figure is not the line's. docs/methodology.md says why the others do not count.
#define BIT(name) (UINT32_C(1) << DK_FLAG_##name)
#define BEARS_ON_FIGURE                                                                                      \
    (BIT(TUNNEL) | BIT(LOOPBACK) | BIT(HOST_LIMITED) | BIT(SERVER_LIMITED) | BIT(CROSS_TRAFFIC) |            \
     BIT(LINK_CHANGED) | BIT(TECHNOLOGY_CHANGED) | BIT(BRIEF) | DK_FLAG_OTHER)
#define BEARS_ON_FAILURE (BIT(TUNNEL) | BIT(LOOPBACK) | BIT(LINK_CHANGED) | BIT(TECHNOLOGY_CHANGED) | DK_FLAG_OTHER)

struct making {
    struct dk_selection *selection;
    const struct dk_rules *rules;
    int64_t *thresholds; // owned: of the rule at hand, by origin
    int64_t *values;     // owned: as many as the largest group has
    struct dk_findings findings;
    size_t capacity;
    struct dk_fault *fault;
};

const char *dk_finding_outcome_text(enum dk_finding_outcome outcome)
{
    static const char *const texts[] = {
#define X(name, text) text,
        DK_FINDING_OUTCOME_LIST(X)
#undef X
    };

    return (size_t)outcome < sizeof texts / sizeof texts[0] ? texts[outcome] : "unknown";
}

const char *dk_exclusion_text(enum dk_exclusion exclusion)
{
    static const char *const texts[] = {
#define X(name, text) text,
        DK_EXCLUSION_LIST(X)
#undef X
    };

    return (size_t)exclusion < sizeof texts / sizeof texts[0] ? texts[exclusion] : "unknown";
}

static bool is_on_failures(const struct dk_rule *rule)
{
    return rule->statistic == DK_STATISTIC_FAILURES;
}

int64_t dk_finding_value(const struct dk_finding *finding)
{
    switch (finding->rule->statistic) {
    case DK_STATISTIC_MEAN:
        return finding->estimate.count > 0 ? finding->estimate.mean : -1;
    case DK_STATISTIC_MEDIAN:
        return finding->estimate.count > 0 ? finding->estimate.median : -1;
    case DK_STATISTIC_SHARE:
    case DK_STATISTIC_FAILURES:
    default:
        return finding->share_ppm;
    }
}

struct dk_interval dk_finding_limits(const struct dk_finding *finding)
{
    switch (finding->rule->statistic) {
    case DK_STATISTIC_MEAN:
        return finding->estimate.mean_interval;
    case DK_STATISTIC_MEDIAN:
        return finding->estimate.median_interval;
    case DK_STATISTIC_SHARE:
    case DK_STATISTIC_FAILURES:
    default:
        return finding->share;
    }
}

int64_t dk_finding_bound(const struct dk_finding *finding)
{
    return finding->rule->statistic == DK_STATISTIC_SHARE ? finding->rule->share_ppm : finding->threshold;
}

// The flag that a sample is left out for; -1 when there is none.
static int excluding_flag(const struct dk_sample_state *state, const struct dk_rule *rule)
{
    enum dk_part part = dk_part_of(rule->indicator);
    uint32_t flags = state->flags[DK_FLAG_FIGURE_ALL] |
                     (part == DK_PART_DOWNLOAD ? state->flags[DK_FLAG_FIGURE_DOWNLOAD] : 0) |
                     (part == DK_PART_UPLOAD ? state->flags[DK_FLAG_FIGURE_UPLOAD] : 0);

    flags &= is_on_failures(rule) ? BEARS_ON_FAILURE : BEARS_ON_FIGURE;
    if (flags == 0)
        return -1;
    return flags == DK_FLAG_OTHER ? DK_FINDING_FLAG_OTHER : __builtin_ctz(flags);
}

// Did the server answer? A run that failed before it could ask had no access either.
static enum dk_status access_status(const struct dk_sample_state *state)
{
    enum dk_status status = state->status[DK_PART_SERVER];

    return status == DK_STATUS_NOT_MEASURED && state->kind == DK_KIND_FAILED ? DK_STATUS_FAILED : status;
}

// What a sample is for the rule: OK it counts, FAILED its attempt failed, else it was not measured.
static enum dk_status status_for(const struct dk_sample_state *state, const struct dk_rule *rule)
{
    enum dk_part part = dk_part_of(rule->indicator);
    enum dk_status access = access_status(state);

    if (part == DK_PART_SERVER)
        return access;
    // Of transfers that failed, only those count that the server was there for: the others are failures of access.
    if (is_on_failures(rule))
        return access == DK_STATUS_OK ? state->status[part] : DK_STATUS_NOT_MEASURED;
    return access == DK_STATUS_FAILED && state->status[part] != DK_STATUS_OK ? DK_STATUS_FAILED
                                                                             : state->status[part];
}

static bool meets(const struct dk_rule *rule, int64_t value, int64_t bound)
{
    return rule->op == DK_OP_AT_LEAST ? value >= bound : value <= bound;
}

static void exclude(struct dk_finding *f, enum dk_exclusion reason)
{
    f->excluded[reason]++;
}

static void count_when(struct dk_finding *f, struct dk_wall start)
{
    f->hours[dk_local_hour(start)]++;
    if (f->samples + f->failures == 1 || start.ns < f->first.ns)
        f->first = start;
    if (f->samples + f->failures == 1 || start.ns > f->last.ns)
        f->last = start;
}

static void count_sample(struct making *m, struct dk_finding *f, size_t i)
{
    const struct dk_samples *samples = m->selection->samples;
    const struct dk_sample_state *state = dk_samples_state(samples, i);
    const struct dk_origin *origin = dk_samples_origin(samples, i);
    enum dk_status status = status_for(state, f->rule);
    int64_t value = dk_samples_value(samples, i, f->rule->indicator);
    int flag = excluding_flag(state, f->rule);

    f->considered++;
    if (dk_samples_conflict(samples, i)) {
        exclude(f, DK_EXCLUSION_CONFLICT);
    } else if (state->confirms) {
        exclude(f, DK_EXCLUSION_CONFIRMATION);
    } else if (m->selection->close[i] != 0) {
        exclude(f, DK_EXCLUSION_TOO_CLOSE);
    } else if (state->validity == DK_VALIDITY_INVALID || status == DK_STATUS_INVALID) {
        exclude(f, DK_EXCLUSION_INVALID);
    } else if (flag >= 0) {
        exclude(f, DK_EXCLUSION_FLAGGED);
        f->by_flag[flag]++;
    } else if (status == DK_STATUS_NOT_MEASURED ||
               (status == DK_STATUS_OK && value < 0 && !is_on_failures(f->rule))) {
        exclude(f, DK_EXCLUSION_NOT_MEASURED);
    } else {
        enum dk_environment stratum = origin->site.environment;

        if (status == DK_STATUS_OK && !is_on_failures(f->rule)) {
            m->values[f->samples] = value;
            f->good += meets(f->rule, value, f->threshold);
        }
        f->samples += status == DK_STATUS_OK;
        f->failures += status == DK_STATUS_FAILED;
        if (stratum != DK_ENVIRONMENT_UNSTATED && (status == DK_STATUS_OK || is_on_failures(f->rule)))
            f->strata[stratum - DK_ENVIRONMENT_INDOOR]++;
        count_when(f, dk_samples_start(samples, i));
    }
}

// PASS or FAIL where the limits of a figure lie on one side of its bound.
static enum dk_finding_outcome by_limits(const struct dk_rule *rule, struct dk_interval limits, int64_t bound)
{
    int64_t worst = rule->op == DK_OP_AT_LEAST ? limits.low : limits.high;
    int64_t best = rule->op == DK_OP_AT_LEAST ? limits.high : limits.low;

    if (!limits.known)
        return DK_FINDING_INCONCLUSIVE;
    return meets(rule, worst, bound) ? DK_FINDING_PASS : meets(rule, best, bound) ? DK_FINDING_INCONCLUSIVE
                                                                                  : DK_FINDING_FAIL;
}

static void judge(struct dk_finding *f)
{
    const struct dk_rule *rule = f->rule;
    int64_t good = (int64_t)f->good, of = (int64_t)f->of, total = 0, bound = dk_finding_bound(f);
    bool met = false;

    switch (rule->statistic) {
    case DK_STATISTIC_SHARE:
        f->by_interval = dk_estimate_share_above(good, of, bound)   ? DK_FINDING_PASS
                         : dk_estimate_share_below(good, of, bound) ? DK_FINDING_FAIL
                                                                    : DK_FINDING_INCONCLUSIVE;
        met = good * PPM >= bound * of;
        total = dk_estimate_count_for_share(good, of, bound, of + DK_NEEDED_MAX);
        break;
    case DK_STATISTIC_FAILURES:
        f->by_interval = dk_estimate_share_below(good, of, bound)   ? DK_FINDING_PASS
                         : dk_estimate_share_above(good, of, bound) ? DK_FINDING_FAIL
                                                                    : DK_FINDING_INCONCLUSIVE;
        met = good * PPM <= bound * of;
        total = dk_estimate_count_for_share(good, of, bound, of + DK_NEEDED_MAX);
        break;
    case DK_STATISTIC_MEAN:
    case DK_STATISTIC_MEDIAN:
    default:
        f->by_interval = by_limits(rule, dk_finding_limits(f), bound);
        met = meets(rule, dk_finding_value(f), bound);
        total = rule->statistic == DK_STATISTIC_MEAN
                    ? dk_estimate_count_for_mean(&f->estimate, bound, of + DK_NEEDED_MAX)
                    : dk_estimate_count_for_share(good, of, PPM / 2, of + DK_NEEDED_MAX);
        break;
    }
    f->by_point = met ? DK_FINDING_PASS : DK_FINDING_FAIL;
    if (f->by_interval == DK_FINDING_INCONCLUSIVE)
        f->needed_to_decide = total < 0 ? -1 : total > of ? total - of : 1;
}

// A tail beyond twice of what matters goes into the last bin, so that it does not press the others together.
static void spread(const int64_t *values, struct dk_finding *f)
{
    const struct dk_estimate *e = &f->estimate;
    int64_t threshold = f->threshold < BOUND_MAX ? f->threshold : BOUND_MAX, power = 1, digit = 1;
    int64_t top = 2 * (e->p95 > threshold ? e->p95 : threshold);

    top = top > e->max ? e->max : top;
    top = top < threshold ? threshold : top;
    while (digit * power * DK_FINDING_BINS <= top) {
        digit = digit == 1 ? 2 : digit == 2 ? 5 : 1;
        power *= digit == 1 ? 10 : 1;
    }
    f->bin_width = digit * power;
    for (size_t i = 0; i < e->count; i++) {
        int64_t bin = values[i] / f->bin_width;

        f->bins[bin < DK_FINDING_BINS ? bin : DK_FINDING_BINS - 1]++;
    }
}

static void conclude(struct making *m, struct dk_finding *f)
{
    const struct dk_rule *rule = f->rule;

    for (size_t i = 0; i < 24; i++)
        f->hours_covered += f->hours[i] > 0;
    f->share_ppm = -1;
    f->by_interval = DK_FINDING_INCONCLUSIVE;
    f->by_point = DK_FINDING_NOT_APPLICABLE;
    if (!f->has_threshold) {
        f->reason = f->considered > 0 ? DK_FINDING_REASON_NO_RATE : DK_FINDING_REASON_NO_SAMPLES;
        f->outcome = f->by_interval = DK_FINDING_NOT_APPLICABLE;
        return;
    }
    if (is_on_failures(rule)) {
        f->good = f->failures;
        f->of = f->samples + f->failures;
    } else {
        f->of = f->samples;
        dk_estimate_values(m->values, f->samples, &f->estimate);
        if (f->samples > 0)
            spread(m->values, f);
    }
    f->needed = rule->min_samples > (int64_t)f->of ? rule->min_samples - (int64_t)f->of : 0;

    bool enough = f->needed == 0 && f->of > 0;

    for (size_t i = 0; i < DK_STRATA; i++) {
        if (rule->min_samples_stratum > (int64_t)f->strata[i])
            f->needed_strata[i] = rule->min_samples_stratum - (int64_t)f->strata[i];
        enough = enough && f->needed_strata[i] == 0;
    }
    if (f->of > 0) {
        bool up = is_on_failures(rule);

        f->share_ppm = ((int64_t)f->good * PPM + (up ? (int64_t)f->of - 1 : 0)) / (int64_t)f->of;
        f->share = dk_estimate_share((int64_t)f->good, (int64_t)f->of);
        judge(f);
    } else {
        f->needed_to_decide = -1;
    }
    f->outcome = enough ? f->by_interval : DK_FINDING_TOO_FEW;
}

static enum dk_err add(struct making *m, struct dk_finding **out)
{
    if (m->findings.count == m->capacity) {
        size_t grown = m->capacity == 0 ? 16 : m->capacity * 2;
        struct dk_finding *fresh = reallocarray(m->findings.items, grown, sizeof *fresh);

        if (fresh == NULL)
            return dk_fail(m->fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
        m->findings.items = fresh;
        m->capacity = grown;
    }
    if (m->findings.count == FINDINGS_MAX)
        return dk_fail(m->fault, DK_ERR_DATA, NULL, "group by less, or choose fewer samples",
                       "there are more than %d findings", FINDINGS_MAX);
    *out = &m->findings.items[m->findings.count++];
    **out = (struct dk_finding){0};
    return DK_OK;
}

static enum dk_err find(struct making *m, const struct dk_group *group, const struct dk_rule *rule, int64_t threshold)
{
    const struct dk_samples *samples = m->selection->samples;
    const char *device = NULL;
    struct dk_finding *f = NULL;
    enum dk_err err = add(m, &f);

    if (err != DK_OK)
        return err;
    f->group = group;
    f->rule = rule;
    f->has_threshold = threshold >= 0;
    f->threshold = threshold >= 0 ? threshold : 0;
    for (size_t k = 0; k < group->count && threshold != NOT_ABOUT; k++) {
        size_t i = group->members[k], before = f->samples + f->failures;

        if (m->thresholds[dk_samples_origin_number(samples, i)] != threshold)
            continue;
        count_sample(m, f, i);

        const char *its = dk_samples_origin(samples, i)->text[DK_ORIGIN_DEVICE];

        // The members come device by device.
        if (f->samples + f->failures > before && its != device) {
            f->devices++;
            device = its;
        }
    }
    conclude(m, f);
    return DK_OK;
}

static int by_value(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static enum dk_err find_all(struct making *m, const struct dk_group *group, const struct dk_rule *rule)
{
    int64_t found[THRESHOLDS_MAX], last = NOT_ABOUT;
    size_t count = 0;

    for (size_t k = 0; k < group->count; k++) {
        int64_t threshold = m->thresholds[dk_samples_origin_number(m->selection->samples, group->members[k])];

        if (threshold == NOT_ABOUT || threshold == last)
            continue;
        last = threshold;
        for (size_t i = 0; i < count && threshold != NOT_ABOUT; i++)
            if (found[i] == threshold)
                threshold = NOT_ABOUT;
        if (threshold == NOT_ABOUT)
            continue;
        if (count == THRESHOLDS_MAX)
            return dk_fail(m->fault, DK_ERR_DATA, rule->id, "group by site, or choose fewer samples",
                           "has more than %d different thresholds in one group", THRESHOLDS_MAX);
        found[count++] = threshold;
    }
    if (count == 0)
        return find(m, group, rule, NOT_ABOUT);
    qsort(found, count, sizeof found[0], by_value);

    enum dk_err err = DK_OK;

    for (size_t i = 0; i < count && err == DK_OK; i++)
        err = find(m, group, rule, found[i]);
    return err;
}

// What the rule asks for at each origin.
static void resolve(struct making *m, const struct dk_rule *rule)
{
    for (size_t i = 0; i < dk_samples_origin_count(m->selection->samples); i++) {
        const struct dk_origin *origin = dk_samples_origin_at(m->selection->samples, i);

        m->thresholds[i] = NOT_ABOUT;
        if (!dk_rule_is_about(rule, origin->technology, &origin->site))
            continue;
        if (!dk_rule_resolve(rule, &origin->site, &m->thresholds[i]))
            m->thresholds[i] = NO_RATE;
    }
}

static int by_group(const void *left, const void *right)
{
    const struct dk_finding *a = left, *b = right;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    return by_value(&a->threshold, &b->threshold);
}

enum dk_err dk_findings_make(struct dk_selection *selection, const struct dk_rules *rules, struct dk_findings *out,
                             struct dk_fault *fault)
{
    struct making m = {.selection = selection, .rules = rules, .fault = fault};
    size_t largest = 1;
    enum dk_err err = DK_OK;

    for (size_t i = 0; i < selection->count; i++)
        if (selection->groups[i].count > largest)
            largest = selection->groups[i].count;
    m.values = calloc(largest, sizeof *m.values);
    m.thresholds = calloc(dk_samples_origin_count(selection->samples) + 1, sizeof *m.thresholds);
    if (m.values == NULL || m.thresholds == NULL)
        err = dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    for (size_t i = 0; i < rules->count && err == DK_OK; i++) {
        resolve(&m, &rules->rules[i]);
        dk_selection_set_gap(selection, rules->rules[i].min_gap_ns);
        for (size_t g = 0; g < selection->count && err == DK_OK; g++)
            err = find_all(&m, &selection->groups[g], &rules->rules[i]);
    }
    if (err == DK_OK && m.findings.count > 0)
        qsort(m.findings.items, m.findings.count, sizeof *m.findings.items, by_group);
    free(m.values);
    free(m.thresholds);
    if (err != DK_OK) {
        dk_findings_free(&m.findings);
        return err;
    }
    *out = m.findings;
    return DK_OK;
}

void dk_findings_free(struct dk_findings *findings)
{
    free(findings->items);
    *findings = (struct dk_findings){0};
}
