// SPDX-License-Identifier: Apache-2.0
#include "agent/report/several.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/report/field.h"
#include "agent/report/page.h"
#include "agent/report/parts.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

#define MEGA 1000000

// The records of one site, operator and technology.
struct group {
    const struct dk_listed *first;
    size_t count, pass, fail, undecided, unmeasured;
    int64_t download_bps, upload_bps, latency_ns; // medians
    struct dk_wall from, to;
};

static int by_time(const void *a, const void *b)
{
    const struct dk_listed *x = a, *y = b;

    return x->head.start.ns < y->head.start.ns ? -1 : x->head.start.ns > y->head.start.ns;
}

static int by_group(const void *a, const void *b)
{
    const struct dk_listed *x = a, *y = b;
    int order = (int)y->readable - (int)x->readable; // what cannot be read is last

    if (order == 0 && x->readable)
        order = strcmp(x->site, y->site);
    if (order == 0 && x->readable)
        order = strcmp(x->link_operator, y->link_operator);
    if (order == 0 && x->readable)
        order = strcmp(x->technology, y->technology);
    return order != 0 ? order : by_time(a, b);
}

static bool same_group(const struct dk_listed *a, const struct dk_listed *b)
{
    return strcmp(a->site, b->site) == 0 && strcmp(a->link_operator, b->link_operator) == 0 &&
           strcmp(a->technology, b->technology) == 0;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

// The median of one figure; -1 when nobody has it. `values` is room for all of the group.
static int64_t median(const struct dk_listed *listed, size_t count, size_t offset, int64_t *values)
{
    size_t known = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(&values[known], (const char *)&listed[i] + offset, sizeof *values);
        known += listed[i].checked != DK_CHECKED_BAD && values[known] >= 0;
    }
    if (known == 0)
        return -1;
    qsort(values, known, sizeof *values, by_value);
    return values[(known - 1) / 2] / 2 + values[known / 2] / 2 +
           (values[(known - 1) / 2] % 2 + values[known / 2] % 2 + 1) / 2;
}

// The group that begins at listed[0], of which `left` are there. Records that do not verify count in `count`
// only.
static struct group make_group(const struct dk_listed *listed, size_t left, int64_t *values)
{
    struct group group = {.first = listed, .from = listed->head.start, .to = listed->head.start};

    while (group.count < left && listed[group.count].readable && same_group(listed, &listed[group.count])) {
        const struct dk_listed *one = &listed[group.count++];

        group.to = one->head.start;
        if (one->checked == DK_CHECKED_BAD)
            continue;
        if (one->head.kind != DK_KIND_MEASUREMENT)
            group.unmeasured++;
        else if (strcmp(one->outcome, "pass") == 0)
            group.pass++;
        else if (strcmp(one->outcome, "fail") == 0)
            group.fail++;
        else
            group.undecided++;
    }
    group.download_bps = median(listed, group.count, offsetof(struct dk_listed, download_bps), values);
    group.upload_bps = median(listed, group.count, offsetof(struct dk_listed, upload_bps), values);
    group.latency_ns = median(listed, group.count, offsetof(struct dk_listed, latency_ns), values);
    return group;
}

// `left`: bit i says that column i holds texts.
static void add_head(struct dk_markup *m, const char *const *columns, size_t count, unsigned left)
{
    dk_markup_add(m, "<div class=\"wide\"><table class=\"dense\">\n<thead><tr>");
    for (size_t i = 0; i < count; i++) {
        dk_markup_addf(m, "<th scope=\"col\"%s>", (left >> i & 1) != 0 ? " class=\"left\"" : "");
        dk_markup_words(m, "%s", columns[i]);
        dk_markup_add(m, "</th>");
    }
    dk_markup_add(m, "</tr></thead>\n<tbody>\n");
}

static void add_cell(struct dk_markup *m, int64_t value)
{
    char number[DK_NUMBER_SIZE] = "–";

    if (value >= 0)
        dk_number_text(value, MEGA, 2, false, number);
    dk_markup_addf(m, "<td>%s</td>", number);
}

static void add_text_cell(struct dk_markup *m, const char *text)
{
    dk_markup_add(m, "<td class=\"left\">");
    dk_markup_foreign(m, text[0] != '\0' ? text : "–");
    dk_markup_add(m, "</td>");
}

static void add_code_cell(struct dk_markup *m, const char *code)
{
    const char *words = dk_code_words(code);

    add_text_cell(m, words != NULL ? words : code);
}

static void add_group(struct dk_markup *m, const struct group *group)
{
    char from[DK_DATE_SIZE], to[DK_DATE_SIZE];

    dk_local_date(group->from, from);
    dk_local_date(group->to, to);
    dk_markup_add(m, "<tr><td class=\"left\">");
    dk_markup_foreign(m, group->first->site_name[0] != '\0' ? group->first->site_name
                         : group->first->site[0] != '\0'    ? group->first->site
                                                            : "–");
    dk_markup_add(m, "<br><small>");
    // The day is the first ten characters in every form of a date.
    if (memcmp(from, to, 10) == 0)
        dk_markup_words(m, "%.10s", from);
    else
        dk_markup_words(m, "%.10s – %.10s", from, to);
    dk_markup_add(m, "</small></td>");
    add_text_cell(m, group->first->link_operator);
    add_code_cell(m, group->first->technology);
    dk_markup_addf(m, "<td>%zu</td><td>%zu</td><td>%zu</td><td>%zu</td><td>%zu</td>", group->count,
                   group->pass, group->fail, group->undecided, group->unmeasured);
    add_cell(m, group->download_bps);
    add_cell(m, group->upload_bps);
    add_cell(m, group->latency_ns);
    dk_markup_add(m, "</tr>\n");
}

static void add_groups(struct dk_markup *m, const struct dk_listed *listed, size_t count)
{
    const char *const columns[] = {_("Site"),         _("Operator"),     _("Technology"),
                                   _("Records"),      _("met"),          _("not met"),
                                   _("not decided"),  _("not measured"), _("download, Mb/s"),
                                   _("upload, Mb/s"), _("latency, ms")};
    int64_t *values = calloc(count + 1, sizeof *values);
    size_t groups = 0;

    if (values == NULL) {
        m->err = m->err == DK_OK ? DK_ERR_MEMORY : m->err;
        return;
    }
    dk_part_heading(m, 2, _("By site, operator and technology"));
    add_head(m, columns, sizeof columns / sizeof columns[0], 1 << 0 | 1 << 1 | 1 << 2);
    for (size_t i = 0; i < count && listed[i].readable;) {
        struct group group = make_group(&listed[i], count - i, values);

        if (groups++ < DK_SEVERAL_GROUPS_MAX)
            add_group(m, &group);
        i += group.count;
    }
    free(values);
    dk_markup_add(m, "</tbody></table></div>\n<p class=\"soft\">");
    if (groups > DK_SEVERAL_GROUPS_MAX)
        dk_markup_words(m, _("The first %d of %zu. "), DK_SEVERAL_GROUPS_MAX, groups);
    dk_markup_words(
        m, "%s",
        _("Rates and latencies are medians of single runs that verify. What a set of runs says about "
          "a place, and how sure it is, is a finding: dokiem assess."));
    dk_markup_add(m, "</p>\n");
}

static const char *checked_words(const struct dk_listed *one)
{
    if (one->checked == DK_CHECKED_BAD)
        return _("✗ does not hold");
    if (!one->readable)
        return _("✗ cannot be read");
    return one->checked == DK_CHECKED_GOOD ? "✓" : _("not checked");
}

static void add_row(struct dk_markup *m, const struct dk_listed *one)
{
    char date[DK_DATE_SIZE];

    dk_markup_add(m, "<tr><td>");
    if (!one->readable) {
        dk_markup_foreign(m, one->source);
        dk_markup_add(m, "</td><td colspan=\"8\" class=\"left\"><b>");
        dk_markup_words(m, "%s", checked_words(one));
        dk_markup_add(m, "</b> <span lang=\"en\">");
        dk_markup_foreign(m, one->reason);
        dk_markup_add(m, "</span></td></tr>\n");
        return;
    }
    dk_local_date(one->head.start, date);
    dk_markup_addf(m, "%" PRId64 "</td><td class=\"left\">", one->head.seq);
    dk_markup_words(m, "%s", date);
    dk_markup_add(m, "</td>");
    add_text_cell(m, one->site);
    add_text_cell(m, one->link_operator);
    add_cell(m, one->download_bps);
    add_cell(m, one->upload_bps);
    add_cell(m, one->latency_ns);
    dk_markup_add(m, "<td class=\"left\">");
    // What does not verify has no outcome.
    dk_markup_words(
        m, "%s",
        one->checked == DK_CHECKED_BAD ? "–" : dk_outcome_words(one->head.kind, one->outcome, one->qcvn));
    dk_markup_add(m, "</td><td class=\"left\">");
    dk_markup_words(m, "%s", checked_words(one));
    dk_markup_add(m, "</td></tr>\n");
    if (one->checked == DK_CHECKED_BAD) {
        dk_markup_add(m, "<tr><td></td><td colspan=\"8\" class=\"left\" lang=\"en\">");
        dk_markup_foreign(m, one->source);
        dk_markup_add(m, ": ");
        dk_markup_foreign(m, one->reason);
        dk_markup_add(m, "</td></tr>\n");
    }
}

static bool is_bad(const struct dk_listed *one)
{
    return one->checked == DK_CHECKED_BAD || !one->readable;
}

// First those that do not verify: they must not be lost among many.
static void add_rows(struct dk_markup *m, struct dk_listed *listed, size_t count)
{
    const char *const columns[] = {_("No."),         _("Start (UTC+07:00)"), _("Site"),
                                   _("Operator"),    _("download, Mb/s"),    _("upload, Mb/s"),
                                   _("latency, ms"), _("Outcome"),           _("Signature")};
    size_t shown = 0, first = count > DK_SEVERAL_ROWS_MAX ? count - DK_SEVERAL_ROWS_MAX : 0;

    qsort(listed, count, sizeof *listed, by_time);
    dk_part_heading(m, 2, _("Records"));
    add_head(m, columns, sizeof columns / sizeof columns[0], 1 << 1 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8);
    for (size_t i = 0; i < first && shown < DK_SEVERAL_BAD_ROWS_MAX; i++)
        if (is_bad(&listed[i])) {
            add_row(m, &listed[i]);
            shown++;
        }
    for (size_t i = first; i < count; i++)
        add_row(m, &listed[i]);
    dk_markup_add(m, "</tbody></table></div>\n");
    if (first > 0) {
        dk_markup_add(m, "<p class=\"soft\">");
        dk_markup_words(
            m,
            _("The newest %d of %zu records, and before them %zu older ones that do not verify or cannot "
              "be read. All of them count in the table above; dokiem export has a row of each."),
            DK_SEVERAL_ROWS_MAX, count, shown);
        dk_markup_add(m, "</p>\n");
    }
}

static void add_alarm(struct dk_markup *m, const struct dk_listed *listed, size_t count)
{
    size_t bad = 0, unchecked = 0;

    for (size_t i = 0; i < count; i++) {
        bad += is_bad(&listed[i]);
        unchecked += !is_bad(&listed[i]) && listed[i].checked == DK_CHECKED_NOT;
    }
    if (bad > 0) {
        dk_markup_add(m, "<div class=\"alarm\" role=\"alert\"><strong>");
        dk_markup_words(m, _("%zu of %zu records do not verify"), bad, count);
        dk_markup_add(m, "</strong><p>");
        dk_markup_words(
            m, "%s",
            _("They are not what the device signed, or cannot be read. They are named below and count "
              "in no figure."));
        dk_markup_add(m, "</p></div>\n");
    }
    if (unchecked > 0) {
        dk_markup_add(m, "<p class=\"notice\">");
        dk_markup_words(
            m, _("The signatures of %zu of %zu records were not checked: no public key was at hand."),
            unchecked, count);
        dk_markup_add(m, "</p>\n");
    }
}

void dk_several_begin(struct dk_markup *m, struct dk_listed *listed, size_t count, struct dk_wall made)
{
    char title[120], date[DK_DATE_SIZE];

    dk_local_date(made, date);
    snprintf(title, sizeof title, _("Measurement report: %zu records"), count);
    dk_page_begin(m, title, "dokiem " DK_VERSION);
    dk_markup_add(m, "<header>\n<h1>");
    dk_markup_words(m, "%s", title);
    dk_markup_add(m, "</h1>\n<p class=\"sub\">");
    dk_markup_words(m, _("dokiem %s, report made on %s"), DK_VERSION, date);
    dk_markup_add(m, "</p>\n</header>\n");
    add_alarm(m, listed, count);
    qsort(listed, count, sizeof *listed, by_group);
    add_groups(m, listed, count);
    add_rows(m, listed, count);
    dk_markup_add(m, "<p class=\"soft\">");
    dk_markup_words(
        m, "%s",
        _("One run is one sample. A monitoring result, for reference: it does not replace formal testing."));
    dk_markup_add(m, "</p>\n");
}

bool dk_several_add(struct dk_markup *m, const struct dk_report_item *item)
{
    if (m->out.len > DK_SEVERAL_PAGE_BYTES)
        return false;
    dk_markup_add(m, "<article class=\"record\">\n<h2>");
    dk_markup_words(m, "%s ", _("Record"));
    if (item->record != NULL)
        dk_markup_addf(m, "%" PRId64, dk_field_integer(item->record, "seq", 0));
    else
        dk_markup_foreign(m, item->source);
    dk_markup_add(m, "</h2>\n");
    dk_report_record(m, item, 3);
    dk_markup_add(m, "</article>\n");
    return true;
}

void dk_several_end(struct dk_markup *m, size_t left_out)
{
    if (left_out > 0) {
        dk_markup_add(m, "<p class=\"soft\">");
        dk_markup_words(
            m, _("%zu records are in the tables only. Each has a page of its own: dokiem report NUMBER."),
            left_out);
        dk_markup_add(m, "</p>\n");
    }
    dk_page_end(m);
}
