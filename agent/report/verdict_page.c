// SPDX-License-Identifier: Apache-2.0
//
// The verdict, first on the page: the word, the figure beside its threshold, how sure it is, and what it
// rests on.
#include <inttypes.h>
#include <string.h>

#include "agent/report/field.h"
#include "agent/report/parts.h"
#include "agent/report/svg.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

#define AMOUNT_MAX INT64_C(100000000000000)

// A check as it stands in the record.
struct check {
    const char *outcome, *indicator, *basis, *reason;
    bool qcvn, at_most, in_ns, has_value;
    int64_t threshold, value, low, high; // bit/s or ns; all -1 when there is none
};

static struct check read_check(const json_t *json)
{
    struct check check = {.outcome = dk_field_text(json, "outcome"),
                          .indicator = dk_field_text(json, "indicator"),
                          .basis = dk_field_text(json, "basis"),
                          .reason = dk_field_text(json, "reason"),
                          .qcvn = dk_field_is(json, "family", "qcvn"),
                          .at_most = dk_field_is(json, "op", "<="),
                          .in_ns = dk_field(json, "threshold_ns") != NULL,
                          .value = dk_field_integer(json, "value", -1),
                          .low = dk_field_integer(json, "low", -1),
                          .high = dk_field_integer(json, "high", -1)};

    check.threshold = dk_field_integer(json, check.in_ns ? "threshold_ns" : "threshold_bps", -1);
    check.has_value = check.value >= 0;
    return check;
}

static const char *sign_of(const char *outcome)
{
    return strcmp(outcome, "pass") == 0           ? "✓"
           : strcmp(outcome, "fail") == 0         ? "✗"
           : strcmp(outcome, "inconclusive") == 0 ? "?"
                                                  : "–";
}

static const char *class_of(const char *outcome)
{
    static const char *const known[] = {"pass", "fail", "inconclusive"};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(outcome, known[i]) == 0)
            return known[i];
    return "none";
}

// True when every check of that outcome is of a regulation.
static bool all_qcvn(const json_t *checks, const char *outcome)
{
    size_t i;
    json_t *check;

    json_array_foreach(checks, i, check) if (dk_field_is(check, "outcome", outcome) &&
                                             !dk_field_is(check, "family", "qcvn")) return false;
    return true;
}

// The same, for one at least.
static bool some_qcvn(const json_t *checks, const char *outcome)
{
    size_t i;
    json_t *check;

    json_array_foreach(checks, i, check) if (dk_field_is(check, "outcome", outcome) &&
                                             dk_field_is(check, "family", "qcvn")) return true;
    return false;
}

const char *dk_report_outcome(const json_t *record)
{
    const json_t *checks = dk_field(record, "verdict.checks");
    const char *outcome = dk_field_text(record, "verdict.outcome");

    enum dk_kind kind = DK_KIND_MEASUREMENT;

    (void)dk_kind_parse(dk_field_text(record, "kind"), &kind);
    // Of several, the one that decides gives the word: a failure if one is of a regulation, a pass if all
    // are.
    return dk_outcome_words(
        kind, outcome, strcmp(outcome, "fail") == 0 ? some_qcvn(checks, outcome) : all_qcvn(checks, outcome));
}

// Rounded away from the passing side, as everywhere: 39.999 must not read as the 40.00 it missed.
static void add_amount(struct dk_markup *m, const struct check *check, int64_t amount)
{
    char number[DK_NUMBER_SIZE];

    dk_number_text(amount, 1000000, 2, check->at_most, number);
    dk_markup_words(m, "%s\u00a0%s", number, check->in_ns ? "ms" : "Mb/s");
}

static void add_claim(struct dk_markup *m, const struct check *check)
{
    const char *words = dk_indicator_path_words(check->indicator);

    dk_markup_add(m, "<p class=\"claim\">");
    if (words != NULL)
        dk_markup_words(m, "%s", words);
    else
        dk_markup_foreign(m, check->indicator);
    if (check->has_value) {
        dk_markup_add(m, ": <b>");
        add_amount(m, check, check->value);
        dk_markup_add(m, "</b>");
    }
    if (check->threshold >= 0) {
        dk_markup_add(m, "; ");
        dk_markup_words(m, "%s ",
                        check->qcvn ? (check->at_most ? _("threshold at most") : _("threshold at least"))
                                    : (check->at_most ? _("target at most") : _("target at least")));
        dk_markup_add(m, "<b>");
        add_amount(m, check, check->threshold);
        dk_markup_add(m, "</b>");
    }
    dk_markup_add(m, "</p>\n");
}

// A line from 0 on: a bar as long as the figure, its interval, and a mark at the threshold.
static void add_line(struct dk_markup *m, const struct check *check)
{
    int64_t step = 1, most = check->value > check->threshold ? check->value : check->threshold;
    struct dk_plot plot = {m, 60, 40, 5580, 200, 1, 2};
    struct dk_axis x = {1, 1000000, ""}, y = {0, 1, NULL};

    if (!check->has_value || check->threshold < 0 || most > AMOUNT_MAX)
        return;
    most = check->high > most && check->high <= AMOUNT_MAX ? check->high : most;
    plot.x_max = dk_plot_round_up(most / 100 * 104, &step);
    x.step = step;
    dk_markup_add(m, "<svg class=\"line\" aria-hidden=\"true\" viewBox=\"0 0 5760 400\">\n");
    dk_plot_begin(&plot, &x, &y);
    dk_plot_box(&plot, 0, check->value, 0, 2, "bar");
    if (check->low >= 0 && check->high > check->low)
        dk_markup_addf(m, "<path class=\"span\" d=\"M%" PRId64 " 120H%" PRId64 "\"/>\n",
                       dk_plot_x(&plot, check->low), dk_plot_x(&plot, check->high) + 8);
    dk_markup_addf(m, "<path class=\"threshold\" d=\"M%" PRId64 " 0V240\"/>\n",
                   dk_plot_x(&plot, check->threshold));
    dk_plot_end(&plot);
    dk_svg_end(m);
}

static void add_certainty(struct dk_markup *m, const struct check *check)
{
    bool decided = strcmp(check->outcome, "pass") == 0 || strcmp(check->outcome, "fail") == 0;
    bool ranged = check->has_value && check->low >= 0 && check->high > check->low;
    char low[DK_NUMBER_SIZE], high[DK_NUMBER_SIZE];

    dk_number_text(check->low, 1000000, 2, false, low);
    dk_number_text(check->high, 1000000, 2, true, high);
    if (decided && ranged) {
        dk_markup_add(m, "<p>");
        dk_markup_words(
            m,
            strcmp(check->outcome, "pass") == 0
                ? _("How sure: the whole 95 %% interval, from %s to %s %s, is on the passing side.")
                : _("How sure: the whole 95 %% interval, from %s to %s %s, is on the failing side."),
            low, high, check->in_ns ? "ms" : "Mb/s");
        dk_markup_add(m, "</p>\n");
    } else if (!decided && ranged && check->low <= check->threshold && check->high >= check->threshold) {
        dk_markup_add(m, "<p>");
        dk_markup_words(m, _("95 %% interval: from %s to %s %s."), low, high, check->in_ns ? "ms" : "Mb/s");
        dk_markup_add(m, " ");
        dk_markup_words(m, "%s", _("the interval contains the threshold: measure longer or again"));
        dk_markup_add(m, ".</p>\n");
    } else if (!decided && check->reason[0] != '\0') {
        dk_part_reason(m, check->reason);
    }
}

static void add_check(struct dk_markup *m, const json_t *json, bool minor, bool believed)
{
    struct check check = read_check(json);

    dk_markup_addf(m,
                   "<article class=\"check %s%s\">\n<p class=\"word\"><span aria-hidden=\"true\">%s</span> ",
                   class_of(believed ? check.outcome : ""), minor ? " minor" : "",
                   sign_of(believed ? check.outcome : ""));
    if (!believed)
        dk_markup_words(m, "%s ", _("Claimed:"));
    dk_markup_words(m, "%s", dk_outcome_words(DK_KIND_MEASUREMENT, check.outcome, check.qcvn));
    dk_markup_add(m, "</p>\n");
    add_claim(m, &check);
    add_line(m, &check);
    add_certainty(m, &check);
    dk_markup_add(m, "<p class=\"basis\"><b>");
    dk_markup_words(m, "%s", check.qcvn ? _("National technical regulation") : _("Target of a plan"));
    dk_markup_add(m, ":</b> ");
    dk_markup_foreign(m, check.basis);
    if (dk_field_text(json, "unconfirmed")[0] != '\0') {
        dk_markup_add(m, "<br><b>");
        dk_markup_words(m, "%s", _("Not seen in the text of the act:"));
        dk_markup_add(m, "</b> ");
        dk_markup_foreign(m, dk_field_text(json, "unconfirmed"));
    }
    dk_markup_add(m, "</p>\n</article>\n");
}

// The word alone, where there is no check to say more.
static void add_word(struct dk_markup *m, const json_t *record, const char *outcome, const char *reason)
{
    dk_markup_addf(m, "<article class=\"check %s\">\n<p class=\"word\"><span aria-hidden=\"true\">%s</span> ",
                   class_of(outcome), sign_of(outcome));
    dk_markup_words(m, "%s", dk_report_outcome(record));
    dk_markup_add(m, "</p>\n");
    dk_part_reason(m, reason);
    dk_markup_add(m, "</article>\n");
}

void dk_part_verdict(struct dk_markup *m, const json_t *record, bool believed)
{
    enum { CHECKS_MAX = 64 };
    const json_t *checks = dk_field(record, "verdict.checks");
    size_t count = json_array_size(checks);
    const char *outcome = dk_field_text(record, "verdict.outcome");

    if (!dk_field_is(record, "kind", "measurement"))
        add_word(m, record, "", dk_field_text(record, "reason"));
    else if (count != 1)
        add_word(m, record, believed ? outcome : "", dk_field_text(record, "verdict.reason"));
    for (size_t i = 0; i < count && i < CHECKS_MAX; i++)
        add_check(m, json_array_get(checks, i), count > 1, believed);
    dk_markup_add(m, "<p class=\"soft\">");
    dk_markup_words(
        m, "%s",
        _("One run is one sample. A monitoring result, for reference: it does not replace formal testing."));
    dk_markup_add(m, "</p>\n");
}
