// SPDX-License-Identifier: Apache-2.0
#include "agent/report/assessment.h"

#include <stdio.h>
#include <string.h>

#include "agent/report/finding_page.h"
#include "agent/report/page.h"
#include "agent/report/parts.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

// So that the page stays below 300 kB, whatever the names are.
enum {
    TABLE_ROWS_MAX = 200,
    TABLE_BYTES = 100000,   // beyond these no further row of the table is begun,
    FINDING_BYTES = 200000, // and no further finding with its plots
};

static bool applies(const struct dk_finding *f)
{
    return f->outcome != DK_FINDING_NOT_APPLICABLE;
}

// Where the findings of the group that begins at `from` end.
static size_t group_end(const struct dk_findings *findings, size_t from)
{
    size_t to = from;

    while (to < findings->count && findings->items[to].group == findings->items[from].group)
        to++;
    return to;
}

static const char *key_words(const struct dk_selection *selection, const struct dk_group *group, size_t i)
{
    const char *key = group->key[i], *words = NULL;
    enum dk_dimension dimension = selection->filter.by[i];

    if (key[0] == '\0')
        return _("(not stated)");
    if (dimension == DK_DIMENSION_TECHNOLOGY || dimension == DK_DIMENSION_ENVIRONMENT)
        words = dk_code_words(key);
    return words != NULL ? words : key;
}

static void add_row(struct dk_markup *m, const char *name, const char *value)
{
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, "%s", name);
    dk_markup_add(m, "</dt><dd>");
    dk_markup_foreign(m, value);
    dk_markup_add(m, "</dd>\n");
}

static void add_number_row(struct dk_markup *m, const char *name, size_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%zu", value);
    add_row(m, name, text);
}

static void add_soft(struct dk_markup *m, const char *words)
{
    dk_markup_add(m, "<p class=\"soft\">");
    dk_markup_words(m, "%s", words);
    dk_markup_add(m, "</p>\n");
}

static void add_notices(struct dk_markup *m, const struct dk_input *input)
{
    if (input->count[DK_FATE_NOT_VERIFIED] > 0) {
        dk_markup_add(m, "<div class=\"alarm\" role=\"alert\"><strong>");
        dk_markup_words(m, _("%zu records do not verify"), input->count[DK_FATE_NOT_VERIFIED]);
        dk_markup_add(m, "</strong><p>");
        dk_markup_words(m, "%s", _("They are not what the device signed, or cannot be read. They are named below and "
                                   "count in no figure."));
        dk_markup_add(m, "</p></div>\n");
    }
    if (input->count[DK_FATE_ROWS] > 0) {
        dk_markup_add(m, "<p class=\"notice\">");
        dk_markup_words(m, _("%zu samples are of an export. Its rows are not signed: whoever needs proof asks for the "
                             "records."), input->count[DK_FATE_ROWS]);
        dk_markup_add(m, "</p>\n");
    }
}

static void add_selection(struct dk_markup *m, const struct dk_assessment *a)
{
    const struct dk_filter *filter = &a->selection->filter;
    char from[DK_DATE_SIZE] = "…", to[DK_DATE_SIZE] = "…", period[2 * DK_DATE_SIZE + 8], profile[400];
    size_t chosen = dk_samples_count(a->samples) - a->selection->outside;

    dk_part_heading(m, 2, _("What was chosen"));
    dk_markup_add(m, "<dl class=\"facts\">\n");
    if (filter->from.ns != INT64_MIN)
        dk_local_date(filter->from, from);
    if (filter->to.ns != INT64_MAX)
        dk_local_date((struct dk_wall){filter->to.ns - 1}, to);
    if (filter->from.ns == INT64_MIN && filter->to.ns == INT64_MAX)
        snprintf(period, sizeof period, "%s", _("any time"));
    else
        snprintf(period, sizeof period, "%s – %s", from, to);
    add_row(m, _("period (UTC+07:00)"), period);
    for (int i = 0; i < DK_DIMENSION_COUNT; i++) {
        const char *text = filter->text[i];
        const char *words = text != NULL ? dk_code_words(text) : NULL;

        if (text != NULL)
            add_row(m, dk_dimension_words((enum dk_dimension)i),
                    i == DK_DIMENSION_TECHNOLOGY || i == DK_DIMENSION_ENVIRONMENT || text[0] == '\0'
                        ? (words != NULL ? words : text)
                        : text);
    }
    add_number_row(m, _("samples chosen"), chosen);
    if (a->selection->outside > 0)
        add_number_row(m, _("not chosen"), a->selection->outside);
    snprintf(profile, sizeof profile, "%.63s, %.63s: %.255s", a->rules->id, a->rules->version, a->rules->title);
    add_row(m, _("rules"), profile);
    dk_markup_add(m, "<dt>SHA-256</dt><dd><code>");
    dk_markup_text(m, a->rules->sha256);
    dk_markup_add(m, "</code></dd>\n</dl>\n");
}

static void add_table_head(struct dk_markup *m, const struct dk_filter *filter)
{
    const char *const words[] = {_("Rule"), _("Samples"), _("Figure"), _("Limits (95 % each)"), _("Asked for"),
                                 _("Finding")};

    dk_markup_add(m, "<div class=\"wide\"><table class=\"dense\">\n<thead><tr>");
    for (size_t i = 0; i < filter->by_count; i++) {
        dk_markup_add(m, "<th scope=\"col\" class=\"left\">");
        dk_markup_words(m, "%s", dk_dimension_words(filter->by[i]));
        dk_markup_add(m, "</th>");
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        dk_markup_addf(m, "<th scope=\"col\"%s>", i == 0 || i == 5 ? " class=\"left\"" : "");
        dk_markup_words(m, "%s", words[i]);
        dk_markup_add(m, "</th>");
    }
    dk_markup_add(m, "</tr></thead>\n<tbody>\n");
}

static void add_table_row(struct dk_markup *m, const struct dk_assessment *a, const struct dk_finding *f)
{
    dk_markup_add(m, "<tr>");
    for (size_t i = 0; i < a->selection->filter.by_count; i++) {
        dk_markup_add(m, "<td class=\"left\">");
        dk_markup_foreign(m, key_words(a->selection, f->group, i));
        dk_markup_add(m, "</td>");
    }
    dk_finding_cells(m, f);
    dk_markup_add(m, "</tr>\n");
}

// All in their order when they fit; else what is missed comes first, so that it is not lost among many.
static void add_table(struct dk_markup *m, const struct dk_assessment *a)
{
    static const enum dk_finding_outcome order[] = {DK_FINDING_FAIL, DK_FINDING_INCONCLUSIVE, DK_FINDING_TOO_FEW,
                                                    DK_FINDING_PASS};
    size_t count = 0, shown = 0;

    for (size_t i = 0; i < a->findings->count; i++)
        count += applies(&a->findings->items[i]);
    if (count == 0) {
        add_soft(m, _("No rule of the profile is about any of these samples."));
        return;
    }
    add_table_head(m, &a->selection->filter);
    for (size_t pass = 0; pass < (count > TABLE_ROWS_MAX ? sizeof order / sizeof order[0] : 1); pass++)
        for (size_t i = 0; i < a->findings->count && shown < TABLE_ROWS_MAX && m->out.len < TABLE_BYTES; i++) {
            const struct dk_finding *f = &a->findings->items[i];

            if (!applies(f) || (count > TABLE_ROWS_MAX && f->outcome != order[pass]))
                continue;
            add_table_row(m, a, f);
            shown++;
        }
    dk_markup_add(m, "</tbody></table></div>\n");
    if (shown < count) {
        dk_markup_add(m, "<p class=\"soft\">");
        dk_markup_words(m, _("%zu of %zu findings. dokiem assess --format json has all of them."), shown, count);
        dk_markup_add(m, "</p>\n");
    }
}

// How many of each outcome, in figures to be seen at once.
static void add_tiles(struct dk_markup *m, const struct dk_findings *findings)
{
    size_t counts[DK_FINDING_TOO_FEW + 1][2] = {0};
    static const enum dk_finding_outcome order[] = {DK_FINDING_PASS, DK_FINDING_FAIL, DK_FINDING_INCONCLUSIVE,
                                                    DK_FINDING_TOO_FEW};

    for (size_t i = 0; i < findings->count; i++) {
        const struct dk_finding *f = &findings->items[i];
        bool decided = f->outcome == DK_FINDING_PASS || f->outcome == DK_FINDING_FAIL;

        counts[f->outcome][decided && f->rule->family == DK_RULE_FAMILY_QCVN]++;
    }
    if (findings->count - counts[DK_FINDING_NOT_APPLICABLE][0] < 2)
        return;
    dk_markup_add(m, "<dl class=\"tiles\">\n");
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        for (int qcvn = 1; qcvn >= 0; qcvn--) {
            const char *words = order[i] == DK_FINDING_PASS || order[i] == DK_FINDING_FAIL
                                    ? dk_outcome_words(DK_KIND_MEASUREMENT, dk_finding_outcome_text(order[i]), qcvn)
                                    : dk_finding_outcome_words(order[i]);

            if (counts[order[i]][qcvn] == 0)
                continue;
            dk_markup_add(m, "<div><dt>");
            dk_markup_words(m, "%s", words);
            dk_markup_addf(m, "</dt><dd><b>%zu</b></dd></div>\n", counts[order[i]][qcvn]);
        }
    dk_markup_add(m, "</dl>\n");
}

static void add_group_heading(struct dk_markup *m, const struct dk_assessment *a, const struct dk_group *group)
{
    const struct dk_filter *filter = &a->selection->filter;

    dk_markup_add(m, "<h2>");
    if (filter->by_count == 0)
        dk_markup_words(m, "%s", _("All samples that were chosen"));
    for (size_t i = 0; i < filter->by_count; i++) {
        dk_markup_words(m, "%s%s ", i > 0 ? ", " : "", dk_dimension_words(filter->by[i]));
        dk_markup_foreign(m, key_words(a->selection, group, i));
    }
    dk_markup_add(m, "</h2>\n");
}

static void add_not_applicable(struct dk_markup *m, const struct dk_findings *findings, size_t from, size_t to)
{
    const char *begin = "<ul class=\"soft\">\n", *end = "";

    for (size_t i = from; i < to && m->out.len < FINDING_BYTES; i++) {
        if (applies(&findings->items[i]))
            continue;
        dk_markup_add(m, begin);
        dk_markup_add(m, "<li>");
        dk_finding_not_applicable(m, &findings->items[i]);
        dk_markup_add(m, "</li>\n");
        begin = "";
        end = "</ul>\n";
    }
    dk_markup_add(m, end);
}

static void add_groups(struct dk_markup *m, const struct dk_assessment *a)
{
    const struct dk_findings *findings = a->findings;
    bool has_basis[DK_RULES_MAX] = {0}, is_used[DK_RULES_MAX] = {0};
    size_t left_out = 0;

    for (size_t from = 0, to = 0; from < findings->count; from = to) {
        to = group_end(findings, from);
        if (m->out.len < FINDING_BYTES)
            add_group_heading(m, a, findings->items[from].group);
        for (size_t i = from; i < to; i++) {
            const struct dk_finding *f = &findings->items[i];
            size_t rule = (size_t)(f->rule - a->rules->rules);

            if (!applies(f))
                continue;
            is_used[rule] = true;
            if (m->out.len >= FINDING_BYTES) {
                left_out++;
                continue;
            }
            dk_finding_part(m, f);
            has_basis[rule] = true;
        }
        add_not_applicable(m, findings, from, to);
    }
    if (left_out > 0) {
        dk_markup_add(m, "<p class=\"soft\">");
        dk_markup_words(m, _("%zu findings more have no figures and plots here: choose more closely, or see dokiem "
                             "assess --format json."), left_out);
        dk_markup_add(m, "</p>\n");
    }
    for (size_t i = 0; i < a->rules->count; i++)
        if (is_used[i] && !has_basis[i]) {
            dk_markup_add(m, "<h3>");
            dk_markup_foreign(m, a->rules->rules[i].id);
            dk_markup_add(m, "</h3>\n");
            dk_finding_basis(m, &a->rules->rules[i]);
        }
}

static void add_notes(struct dk_markup *m, const struct dk_input *input, enum dk_fate fate)
{
    size_t named = 0;

    for (size_t i = 0; i < input->note_count; i++) {
        if (input->notes[i].fate != fate)
            continue;
        dk_markup_add(m, named++ == 0 ? "<ul lang=\"en\"><li>" : "<li>");
        dk_markup_foreign(m, input->notes[i].text);
        dk_markup_add(m, "</li>");
    }
    if (named == 0)
        return;
    dk_markup_add(m, "</ul>");
    if (named < input->count[fate])
        dk_markup_words(m, _("and %zu more"), input->count[fate] - named);
}

static void add_input(struct dk_markup *m, const struct dk_input *input)
{
    dk_part_heading(m, 2, _("What was read"));
    dk_markup_add(m, "<ul>\n");
    for (int i = 0; i < DK_FATE_COUNT; i++) {
        if (input->count[i] == 0)
            continue;
        dk_markup_add(m, "<li>");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        dk_markup_words(m, dk_fate_words((enum dk_fate)i), input->count[i]);
#pragma GCC diagnostic pop
        add_notes(m, input, (enum dk_fate)i);
        dk_markup_add(m, "</li>\n");
    }
    dk_markup_add(m, "</ul>\n");
}

static void add_reading(struct dk_markup *m)
{
    dk_part_heading(m, 2, _("How to read and check this"));
    add_soft(m, _("One run is one sample. A mean is that of the samples' figures; attempts that failed have no figure "
                  "and are never 0 in it. Each limit of a figure holds with 95 %: the true figure is below the lower "
                  "one in 5 % of all such sets of samples, and above the upper one in 5 %. A finding is the word of "
                  "the limits, and only when there are as many samples as the rule asks for."));
    add_soft(m, _("Whoever has the records can make this page again: dokiem assess checks every signature and computes "
                  "the same figures. How they are defined: docs/methodology.md."));
    add_soft(m, _("A monitoring result, for reference: it does not replace formal testing."));
}

void dk_assessment_page(struct dk_markup *m, const struct dk_assessment *a, struct dk_wall made)
{
    char date[DK_DATE_SIZE], foot[128];

    dk_local_date(made, date);
    snprintf(foot, sizeof foot, "dokiem " DK_VERSION " - %.63s", a->rules->id);
    dk_page_begin(m, _("Findings of measurements"), foot);
    dk_markup_add(m, "<header>\n<p class=\"kind\">");
    dk_markup_words(m, "%s", _("A monitoring result, for reference: it does not replace formal testing."));
    dk_markup_add(m, "</p>\n<h1>");
    dk_markup_words(m, "%s", _("Findings of measurements"));
    dk_markup_add(m, "</h1>\n<p class=\"sub\">");
    dk_markup_words(m, _("dokiem %s, report made on %s"), DK_VERSION, date);
    dk_markup_add(m, "</p>\n</header>\n");
    add_notices(m, a->input);
    add_tiles(m, a->findings);
    add_selection(m, a);
    dk_part_heading(m, 2, _("What was found"));
    add_table(m, a);
    add_groups(m, a);
    add_input(m, a->input);
    add_reading(m);
    dk_page_end(m);
}
