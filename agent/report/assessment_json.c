// SPDX-License-Identifier: Apache-2.0
#include "agent/report/assessment.h"


#include <stdbool.h>

// An object being filled; `failed` stays set once memory was short.
struct object {
    json_t *json;
    bool failed;
};

static void put(struct object *o, const char *key, json_t *value)
{
    o->failed |= json_object_set_new(o->json, key, value) != 0;
}

static void put_integer(struct object *o, const char *key, int64_t value)
{
    put(o, key, json_integer(value));
}

// What is missing is left out, never 0.
static void put_known(struct object *o, const char *key, bool known, int64_t value)
{
    if (known)
        put_integer(o, key, value);
}

static void put_text(struct object *o, const char *key, const char *value)
{
    put(o, key, json_string(value));
}

static void put_time(struct object *o, const char *key, struct dk_wall when)
{
    char text[DK_RFC3339_SIZE];

    dk_wall_rfc3339(when, text);
    put_text(o, key, text);
}

static json_t *done(struct object *o)
{
    if (o->failed) {
        json_decref(o->json);
        return NULL;
    }
    return o->json;
}

static void put_interval(struct object *o, const char *low, const char *high, struct dk_interval interval)
{
    put_known(o, low, interval.known, interval.low);
    put_known(o, high, interval.known, interval.high);
}

static json_t *rule_json(const struct dk_rule *rule)
{
    struct object o = {.json = json_object()};
    dk_auto_buf struct dk_buf asked = dk_buf_make(256);

    o.failed |= dk_rule_print_threshold(rule, &asked) != DK_OK;
    put_text(&o, "rule", rule->id);
    put_text(&o, "family", dk_rule_family_text(rule->family));
    put_text(&o, "basis", rule->basis);
    if (rule->unconfirmed)
        put_text(&o, "unconfirmed", rule->note);
    put_text(&o, "technology", dk_technology_text(rule->technology));
    put_text(&o, "indicator", dk_indicator_text(rule->indicator));
    put_text(&o, "statistic", dk_statistic_text(rule->statistic));
    put_text(&o, "op", dk_op_text(rule->op));
    put_text(&o, "asked", dk_buf_text(&asked));
    put_known(&o, "share_ppm", rule->statistic == DK_STATISTIC_SHARE, rule->share_ppm);
    put_integer(&o, "min_samples", rule->min_samples);
    put_known(&o, "min_samples_stratum", rule->min_samples_stratum > 0, rule->min_samples_stratum);
    put_integer(&o, "min_gap_ns", rule->min_gap_ns);
    return done(&o);
}

static json_t *excluded_json(const struct dk_finding *f)
{
    struct object o = {.json = json_object()}, flags = {.json = json_object()};

    for (int i = 0; i < DK_EXCLUSION_COUNT; i++)
        put_known(&o, dk_exclusion_text((enum dk_exclusion)i), f->excluded[i] > 0, (int64_t)f->excluded[i]);
    for (int i = 0; i < DK_FINDING_FLAGS; i++)
        put_known(&flags, i == DK_FINDING_FLAG_OTHER ? "other" : dk_flag_text((enum dk_flag_code)i), f->by_flag[i] > 0,
                  (int64_t)f->by_flag[i]);
    o.failed |= flags.failed;
    if (json_object_size(flags.json) > 0)
        put(&o, "flags", flags.json);
    else
        json_decref(flags.json);
    return done(&o);
}

static json_t *estimate_json(const struct dk_estimate *e)
{
    struct object o = {.json = json_object()};

    put_integer(&o, "mean", e->mean);
    put_interval(&o, "mean_low", "mean_high", e->mean_interval);
    put_integer(&o, "median", e->median);
    put_interval(&o, "median_low", "median_high", e->median_interval);
    put_integer(&o, "sd", e->sd);
    put_integer(&o, "min", e->min);
    put_integer(&o, "p5", e->p5);
    put_integer(&o, "p95", e->p95);
    put_integer(&o, "max", e->max);
    return done(&o);
}

static json_t *needed_json(const struct dk_finding *f)
{
    static const char *const strata[] = {"indoor", "outdoor", "moving"};
    struct object o = {.json = json_object()};

    put_known(&o, "samples", f->needed > 0, f->needed);
    for (size_t i = 0; i < DK_STRATA; i++)
        put_known(&o, strata[i], f->needed_strata[i] > 0, f->needed_strata[i]);
    put_known(&o, "to_decide", f->needed_to_decide != 0, f->needed_to_decide);
    return done(&o);
}

static json_t *hours_json(const struct dk_finding *f)
{
    json_t *hours = json_array();
    bool failed = hours == NULL;

    for (size_t i = 0; i < 24 && !failed; i++)
        failed = json_array_append_new(hours, json_integer((json_int_t)f->hours[i])) != 0;
    if (failed) {
        json_decref(hours);
        return NULL;
    }
    return hours;
}

static json_t *group_json(const struct dk_selection *selection, const struct dk_group *group)
{
    struct object o = {.json = json_object()};

    for (size_t i = 0; i < selection->filter.by_count; i++)
        put_text(&o, dk_dimension_text(selection->filter.by[i]), group->key[i]);
    return done(&o);
}

static void put_figures(struct object *o, const struct dk_finding *f)
{
    static const char *const strata[] = {"indoor", "outdoor", "moving"};
    struct dk_interval limits = dk_finding_limits(f);
    struct object places = {.json = json_object()};

    put_integer(o, "threshold", f->threshold);
    put_integer(o, "bound", dk_finding_bound(f));
    put_known(o, "value", dk_finding_value(f) >= 0, dk_finding_value(f));
    put_interval(o, "low", "high", limits);
    if (f->estimate.count > 0)
        put(o, "figures", estimate_json(&f->estimate));
    if (f->of > 0) {
        put_integer(o, "good", (int64_t)f->good);
        put_integer(o, "of", (int64_t)f->of);
        put_integer(o, "share_ppm", f->share_ppm);
        put_interval(o, "share_low_ppm", "share_high_ppm", f->share);
        put_integer(o, "devices", (int64_t)f->devices);
    }
    if (f->samples + f->failures > 0) {
        put_time(o, "first", f->first);
        put_time(o, "last", f->last);
        put_integer(o, "hours_covered", (int64_t)f->hours_covered);
        put(o, "hours", hours_json(f));
    }
    for (size_t i = 0; i < DK_STRATA; i++)
        put_integer(&places, strata[i], (int64_t)f->strata[i]);
    o->failed |= places.failed;
    put(o, "strata", places.json);
    put_text(o, "by_interval", dk_finding_outcome_text(f->by_interval));
    put_text(o, "by_point", dk_finding_outcome_text(f->by_point));
    put(o, "needed", needed_json(f));
}

static json_t *finding_json(const struct dk_selection *selection, const struct dk_finding *f)
{
    struct object o = {.json = json_object()};

    put(&o, "group", group_json(selection, f->group));
    put_text(&o, "rule", f->rule->id);
    put_text(&o, "outcome", dk_finding_outcome_text(f->outcome));
    if (f->reason == DK_FINDING_REASON_NO_SAMPLES)
        put_text(&o, "reason", "no_samples");
    if (f->reason == DK_FINDING_REASON_NO_RATE)
        put(&o, "reason", json_sprintf("site.%s is not set", dk_site_rate_text(f->rule->site_rate)));
    put_integer(&o, "considered", (int64_t)f->considered);
    put_integer(&o, "samples", (int64_t)f->samples);
    put_integer(&o, "failures", (int64_t)f->failures);
    put(&o, "excluded", excluded_json(f));
    if (f->has_threshold)
        put_figures(&o, f);
    return done(&o);
}

static json_t *input_json(const struct dk_assessment *a)
{
    struct object o = {.json = json_object()};
    json_t *notes = json_array();

    for (int i = 0; i < DK_FATE_COUNT; i++)
        put_integer(&o, dk_fate_text((enum dk_fate)i), (int64_t)a->input->count[i]);
    put_integer(&o, "outside", (int64_t)a->selection->outside);
    for (size_t i = 0; i < a->input->note_count; i++)
        o.failed |= json_array_append_new(notes, json_pack("{s:s, s:s}", "fate",
                                                           dk_fate_text(a->input->notes[i].fate), "what",
                                                           a->input->notes[i].text)) != 0;
    put(&o, "notes", notes);
    return done(&o);
}

static json_t *filter_json(const struct dk_filter *filter)
{
    struct object o = {.json = json_object()};

    if (filter->from.ns != INT64_MIN)
        put_time(&o, "from", filter->from);
    if (filter->to.ns != INT64_MAX)
        put_time(&o, "to", filter->to);
    for (int i = 0; i < DK_DIMENSION_COUNT; i++)
        if (filter->text[i] != NULL)
            put_text(&o, dk_dimension_text((enum dk_dimension)i), filter->text[i]);
    return done(&o);
}

json_t *dk_assessment_json(const struct dk_assessment *a)
{
    struct object o = {.json = json_object()};
    json_t *rules = json_array(), *findings = json_array();

    put_text(&o, "schema", "dokiem.assessment/1");
    put(&o, "profile", json_pack("{s:s, s:s, s:s, s:s}", "id", a->rules->id, "version", a->rules->version, "sha256",
                                 a->rules->sha256, "title", a->rules->title));
    put(&o, "filter", filter_json(&a->selection->filter));
    put_integer(&o, "limit_ppm", DK_ESTIMATE_LIMIT_PPM);
    put_integer(&o, "interval_ppm", DK_ESTIMATE_INTERVAL_PPM);
    put(&o, "input", input_json(a));
    for (size_t i = 0; i < a->rules->count; i++)
        o.failed |= json_array_append_new(rules, rule_json(&a->rules->rules[i])) != 0;
    put(&o, "rules", rules);
    for (size_t i = 0; i < a->findings->count; i++)
        o.failed |= json_array_append_new(findings, finding_json(a->selection, &a->findings->items[i])) != 0;
    put(&o, "findings", findings);
    return done(&o);
}
