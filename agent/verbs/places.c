// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/report/text.h"
#include "agent/report/words.h"

#define MEGA 1000000

enum dk_err dk_places_add(struct dk_places *places, const struct dk_row *row)
{
    if (places->count == places->capacity) {
        size_t capacity = places->capacity == 0 ? 256 : places->capacity * 2;
        struct dk_row *rows = reallocarray(places->rows, capacity, sizeof *rows);

        if (rows == NULL)
            return DK_ERR_MEMORY;
        places->rows = rows;
        places->capacity = capacity;
    }
    places->rows[places->count++] = *row;
    return DK_OK;
}

void dk_places_free(struct dk_places *places)
{
    free(places->rows);
    places->rows = NULL;
    places->count = places->capacity = 0;
}

static int by_place(const void *a, const void *b)
{
    static const enum dk_origin_text keys[] = {DK_ORIGIN_COMMUNE, DK_ORIGIN_SITE, DK_ORIGIN_OPERATOR};
    const struct dk_row *x = a, *y = b;
    int order = 0;

    for (size_t i = 0; order == 0 && i < sizeof keys / sizeof keys[0]; i++)
        order = strcmp(x->origin.text[keys[i]], y->origin.text[keys[i]]);
    if (order == 0)
        order = (x->origin.technology > y->origin.technology) - (x->origin.technology < y->origin.technology);
    return order;
}

static int by_time(const void *a, const void *b)
{
    const struct dk_row *x = a, *y = b;
    int order = by_place(a, b);

    return order != 0 ? order : (x->start.ns > y->start.ns) - (x->start.ns < y->start.ns);
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

// The first rule about the download of this technology that has a rate at this site.
static const struct dk_rule *find_target(const struct dk_rules *rules, const struct dk_row *row,
                                         int64_t *threshold)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct dk_rule *rule = &rules->rules[i];

        if ((rule->indicator == DK_INDICATOR_DOWNLOAD_RATE ||
             rule->indicator == DK_INDICATOR_DOWNLOAD_RATE_WHOLE) &&
            rule->op == DK_OP_AT_LEAST && dk_rule_is_about(rule, row->origin.technology, &row->origin.site) &&
            dk_rule_resolve(rule, &row->origin.site, threshold))
            return rule;
    }
    return NULL;
}

static void write_heads(struct dk_csv *csv)
{
    const char *const heads[] = {_("Site code"),
                                 _("Site"),
                                 _("Hamlet"),
                                 _("Commune"),
                                 _("Operator"),
                                 _("Technology of the line"),
                                 _("Subscribed download, Mb/s"),
                                 _("Samples (N)"),
                                 _("Mean download, Mb/s"),
                                 _("Median download, Mb/s"),
                                 _("Target, Mb/s"),
                                 _("Share of samples that meet it, %"),
                                 _("Basis"),
                                 _("Median latency, ms"),
                                 "IPv6",
                                 _("Runs"),
                                 _("Runs that failed (outage)"),
                                 _("Failed, % of runs"),
                                 _("Samples with doubts"),
                                 _("First"),
                                 _("Last")};

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        dk_csv_word(csv, heads[i]);
    dk_csv_end_line(csv);
}

// What the runs of one place come to.
struct place {
    const struct dk_row *first, *last;
    const struct dk_rule *rule;
    int64_t target_bps, mean_bps, median_bps, median_ns;
    size_t runs, failed, samples, met, doubtful;
    bool ipv6;
};

static int64_t median(int64_t *values, size_t count)
{
    if (count == 0)
        return -1;
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2] + 1) / 2;
}

static struct place make_place(const struct dk_rules *rules, const struct dk_row *rows, size_t count,
                               int64_t *values)
{
    struct place place = {.first = rows, .last = &rows[count - 1], .target_bps = -1, .mean_bps = -1};
    size_t latencies = 0;
    int64_t sum = 0;

    place.rule = find_target(rules, rows, &place.target_bps);

    int column = dk_row_column(place.rule != NULL ? place.rule->indicator : DK_INDICATOR_DOWNLOAD_RATE);

    for (size_t i = 0; i < count; i++) {
        const struct dk_row *row = &rows[i];

        place.ipv6 |= row->origin.ipv6 == 1;
        if (row->state.kind == DK_KIND_SKIPPED || row->state.confirms)
            continue;
        place.runs++;
        if (row->state.kind == DK_KIND_FAILED || row->state.status[DK_PART_DOWNLOAD] == DK_STATUS_FAILED)
            place.failed++;
        if (row->values[column] < 0 || row->state.validity == DK_VALIDITY_INVALID)
            continue;
        values[place.samples++] = row->values[column];
        sum += row->values[column];
        place.met += place.rule != NULL && row->values[column] >= place.target_bps;
        place.doubtful += row->state.validity == DK_VALIDITY_SUSPECT;
    }
    if (place.samples > 0)
        place.mean_bps = sum / (int64_t)place.samples;
    place.median_bps = median(values, place.samples);
    for (size_t i = 0; i < count; i++)
        if (rows[i].values[dk_row_column(DK_INDICATOR_LATENCY_IDLE_MEDIAN)] >= 0 && !rows[i].state.confirms)
            values[latencies++] = rows[i].values[dk_row_column(DK_INDICATOR_LATENCY_IDLE_MEDIAN)];
    place.median_ns = median(values, latencies);
    return place;
}

static void write_share(struct dk_csv *csv, size_t part, size_t whole)
{
    dk_csv_amount(csv, whole > 0 ? (int64_t)(part * 10000 / whole) : -1, 100, 2);
}

static void write_place(struct dk_csv *csv, const struct place *place)
{
    const struct dk_origin *origin = &place->first->origin;
    const char *technology = dk_technology_text(origin->technology), *words = dk_code_words(technology);
    int64_t subscribed_bps = origin->site.rate_bps[DK_SITE_RATE_SUBSCRIBED_DOWNLOAD];
    char first[DK_DATE_SIZE], last[DK_DATE_SIZE];

    dk_local_date(place->first->start, first);
    dk_local_date(place->last->start, last);
    dk_csv_text(csv, origin->text[DK_ORIGIN_SITE]);
    dk_csv_text(csv, origin->text[DK_ORIGIN_SITE_NAME]);
    dk_csv_text(csv, origin->text[DK_ORIGIN_HAMLET]);
    dk_csv_text(csv, origin->text[DK_ORIGIN_COMMUNE]);
    dk_csv_text(csv, origin->text[DK_ORIGIN_OPERATOR]);
    dk_csv_word(csv, words != NULL ? words : technology);
    dk_csv_amount(csv, subscribed_bps > 0 ? subscribed_bps : -1, MEGA, 2);
    dk_csv_integer(csv, (int64_t)place->samples);
    dk_csv_amount(csv, place->mean_bps, MEGA, 2);
    dk_csv_amount(csv, place->median_bps, MEGA, 2);
    dk_csv_amount(csv, place->target_bps, MEGA, 2);
    write_share(csv, place->met, place->rule != NULL ? place->samples : 0);
    dk_csv_text(csv, place->rule != NULL ? place->rule->basis : "");
    dk_csv_amount(csv, place->median_ns, MEGA, 2);
    dk_csv_word(csv, place->ipv6 ? _("yes") : _("no"));
    dk_csv_integer(csv, (int64_t)place->runs);
    dk_csv_integer(csv, (int64_t)place->failed);
    write_share(csv, place->failed, place->runs);
    dk_csv_integer(csv, (int64_t)place->doubtful);
    dk_csv_word(csv, first);
    dk_csv_word(csv, last);
    dk_csv_end_line(csv);
}

enum dk_err dk_places_write(struct dk_places *places, struct dk_csv *csv, struct dk_fault *fault)
{
    int64_t *values = calloc(places->count + 1, sizeof *values);

    if (values == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, NULL, NULL, "out of memory");
    if (places->count > 0)
        qsort(places->rows, places->count, sizeof *places->rows, by_time);
    write_heads(csv);
    for (size_t i = 0, end = 0; i < places->count; i = end) {
        for (end = i; end < places->count && by_place(&places->rows[i], &places->rows[end]) == 0;)
            end++;

        struct place place = make_place(&places->rules, &places->rows[i], end - i, values);

        write_place(csv, &place);
    }
    free(values);
    return DK_OK;
}
