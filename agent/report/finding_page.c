// SPDX-License-Identifier: Apache-2.0
#include "agent/report/finding_page.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/report/assessment.h"
#include "agent/report/svg.h"
#include "agent/report/text.h"
#include "agent/report/words.h"

// Tenths of a pixel, of one of two plots beside each other.
enum { WIDTH = 3500, HEIGHT = 1900, LEFT = 480, TOP = 360, RIGHT = 3360, BOTTOM = 1500 };
enum { HOURS = 24 };

const char *dk_finding_words(const struct dk_finding *f, enum dk_finding_outcome outcome)
{
    bool decided = outcome == DK_FINDING_PASS || outcome == DK_FINDING_FAIL;

    return decided ? dk_outcome_words(DK_KIND_MEASUREMENT, dk_finding_outcome_text(outcome),
                                      f->rule->family == DK_RULE_FAMILY_QCVN)
                   : dk_finding_outcome_words(outcome);
}

// One amount, with its unit.
static void add_amount(struct dk_markup *m, const struct dk_finding *f, bool of_figure, int64_t amount)
{
    char text[DK_FIGURE_SIZE];

    dk_finding_amount(f, of_figure, amount, text);
    dk_markup_words(m, "%s\u00a0%s", text, dk_finding_unit(f, of_figure));
}

static void add_range(struct dk_markup *m, const struct dk_finding *f, bool of_figure, struct dk_interval range)
{
    char low[DK_FIGURE_SIZE], high[DK_FIGURE_SIZE];

    dk_finding_amount(f, of_figure, range.low, low);
    dk_finding_amount(f, of_figure, range.high, high);
    if (range.known)
        dk_markup_words(m, "%s\u00a0–\u00a0%s\u00a0%s", low, high, dk_finding_unit(f, of_figure));
    else
        dk_markup_add(m, "–");
}

static const char *sign(bool at_least)
{
    return at_least ? "≥" : "≤";
}

// Whether the figure that is judged has to be at least its bound: a share has, whichever way its samples are compared.
static bool wants_more(const struct dk_finding *f)
{
    return f->rule->statistic == DK_STATISTIC_SHARE || f->rule->op == DK_OP_AT_LEAST;
}

static void add_asked(struct dk_markup *m, const struct dk_finding *f)
{
    dk_markup_words(m, "%s\u00a0", sign(wants_more(f)));
    add_amount(m, f, false, dk_finding_bound(f));
}

// "share of samples ≥ 30 Mb/s", "mean".
static void add_statistic(struct dk_markup *m, const struct dk_finding *f)
{
    dk_markup_words(m, "%s", dk_statistic_words(f->rule->statistic));
    if (f->rule->statistic == DK_STATISTIC_SHARE) {
        dk_markup_words(m, " %s\u00a0", sign(f->rule->op == DK_OP_AT_LEAST));
        add_amount(m, f, true, f->threshold);
    }
}

void dk_finding_cells(struct dk_markup *m, const struct dk_finding *f)
{
    bool applies = f->outcome != DK_FINDING_NOT_APPLICABLE;

    dk_markup_add(m, "<td class=\"left\">");
    dk_markup_words(m, "%s", dk_indicator_words(f->rule->indicator));
    dk_markup_add(m, "<br><small>");
    dk_markup_foreign(m, f->rule->id);
    dk_markup_addf(m, "</small></td><td>%zu</td><td>", f->of);
    if (applies && f->of > 0) {
        add_amount(m, f, false, dk_finding_value(f));
        dk_markup_add(m, "<br><small>");
        add_statistic(m, f);
        dk_markup_add(m, "</small>");
    } else {
        dk_markup_add(m, "–");
    }
    dk_markup_add(m, "</td><td>");
    add_range(m, f, false, dk_finding_limits(f));
    dk_markup_add(m, "</td><td>");
    if (applies)
        add_asked(m, f);
    else
        dk_markup_add(m, "–");
    dk_markup_add(m, "</td><td class=\"left\"><b>");
    dk_markup_words(m, "%s", dk_finding_words(f, f->outcome));
    dk_markup_add(m, "</b></td>");
}

void dk_finding_basis(struct dk_markup *m, const struct dk_rule *rule)
{
    dk_markup_add(m, "<p class=\"basis\">");
    dk_markup_words(m, rule->family == DK_RULE_FAMILY_QCVN ? _("national technical regulation: %s")
                                                           : _("target of a plan: %s"), rule->basis);
    dk_markup_add(m, "</p>\n");
    if (!rule->unconfirmed)
        return;
    dk_markup_add(m, "<p class=\"soft\">");
    dk_markup_words(m, _("not confirmed: %s"), rule->note);
    dk_markup_add(m, "</p>\n");
}

void dk_finding_not_applicable(struct dk_markup *m, const struct dk_finding *f)
{
    const char *words = dk_finding_outcome_words(f->outcome);

    if (f->reason == DK_FINDING_REASON_NO_RATE)
        dk_markup_words(m, _("%s: %s; [site] %s is not set for %zu samples"), f->rule->id, words,
                        dk_site_rate_text(f->rule->site_rate), f->considered);
    else
        dk_markup_words(m, _("%s: %s; no sample that it is about"), f->rule->id, words);
}

static const char *outcome_meaning(const struct dk_finding *f)
{
    switch (f->outcome) {
    case DK_FINDING_PASS:
        return _("Even the less favourable limit of the figure meets what is asked for, with 95 % confidence.");
    case DK_FINDING_FAIL:
        return _("Even the more favourable limit of the figure misses what is asked for, with 95 % confidence.");
    case DK_FINDING_TOO_FEW:
        return _("There are fewer samples than the rule asks for: nothing is concluded.");
    case DK_FINDING_INCONCLUSIVE:
        return _("These samples do not say on which side of what is asked for the true figure lies.");
    case DK_FINDING_NOT_APPLICABLE:
    default:
        return "";
    }
}

static void add_row(struct dk_markup *m, const char *name)
{
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, "%s", name);
    dk_markup_add(m, "</dt><dd>");
}

static void add_amount_row(struct dk_markup *m, const char *name, const struct dk_finding *f, int64_t amount)
{
    add_row(m, name);
    add_amount(m, f, true, amount);
    dk_markup_add(m, "</dd>\n");
}

static void add_percent(struct dk_markup *m, int64_t ppm, bool up)
{
    char text[DK_NUMBER_SIZE];

    dk_number_text(ppm, 10000, 2, up, text);
    dk_markup_words(m, "%s", text);
}

static void add_share_row(struct dk_markup *m, const struct dk_finding *f)
{
    if (f->rule->statistic == DK_STATISTIC_FAILURES)
        return;
    dk_markup_add(m, "<dt>");
    dk_markup_words(m, _("samples %s"), sign(f->rule->op == DK_OP_AT_LEAST));
    dk_markup_add(m, "\u00a0");
    add_amount(m, f, true, f->threshold);
    dk_markup_add(m, "</dt><dd>");
    add_percent(m, f->share_ppm, false);
    dk_markup_add(m, "\u00a0% (");
    add_percent(m, f->share.low, false);
    dk_markup_add(m, "\u00a0–\u00a0");
    add_percent(m, f->share.high, true);
    dk_markup_addf(m, "\u00a0%%), %zu / %zu</dd>\n", f->good, f->of);
}

static void add_figures(struct dk_markup *m, const struct dk_finding *f)
{
    const struct dk_estimate *e = &f->estimate;

    dk_markup_add(m, "<dl class=\"facts\">\n");
    add_row(m, _("mean"));
    add_amount(m, f, true, e->mean);
    if (e->mean_interval.known) {
        dk_markup_add(m, " (");
        add_range(m, f, true, e->mean_interval);
        dk_markup_add(m, ")");
    }
    dk_markup_add(m, "</dd>\n");
    add_row(m, _("median"));
    add_amount(m, f, true, e->median);
    if (e->median_interval.known) {
        dk_markup_add(m, " (");
        add_range(m, f, true, e->median_interval);
        dk_markup_add(m, ")");
    }
    dk_markup_add(m, "</dd>\n");
    add_row(m, _("5 % to 95 %"));
    add_range(m, f, true, (struct dk_interval){true, e->p5, e->p95});
    dk_markup_add(m, "</dd>\n");
    add_amount_row(m, _("standard deviation"), f, e->sd);
    add_share_row(m, f);
    dk_markup_add(m, "</dl>\n");
}

static void add_date_row(struct dk_markup *m, const char *name, struct dk_wall when)
{
    char date[DK_DATE_SIZE];

    dk_local_date(when, date);
    add_row(m, name);
    dk_markup_words(m, "%s", date);
    dk_markup_add(m, "</dd>\n");
}

static void add_flags(struct dk_markup *m, const struct dk_finding *f)
{
    dk_markup_add(m, "<ul>");
    for (int flag = 0; flag < DK_FINDING_FLAGS; flag++) {
        if (f->by_flag[flag] == 0)
            continue;
        dk_markup_addf(m, "<li>%zu: ", f->by_flag[flag]);
        dk_markup_words(m, "%s", flag == DK_FINDING_FLAG_OTHER ? _("a flag that this version does not know")
                                                               : dk_flag_words((enum dk_flag_code)flag));
        dk_markup_add(m, "</li>");
    }
    dk_markup_add(m, "</ul>");
}

static void add_counts(struct dk_markup *m, const struct dk_finding *f)
{
    size_t excluded = 0;

    dk_markup_add(m, "<dl class=\"facts\">\n");
    add_row(m, _("Samples"));
    dk_markup_addf(m, "%zu</dd>\n", f->of);
    add_row(m, _("attempts that failed"));
    dk_markup_addf(m, "%zu</dd>\n", f->failures);
    for (int i = 0; i < DK_EXCLUSION_COUNT; i++)
        excluded += f->excluded[i];
    add_row(m, _("left out"));
    dk_markup_addf(m, "%zu", excluded);
    if (excluded > 0)
        dk_markup_add(m, "<ul>");
    for (int i = 0; i < DK_EXCLUSION_COUNT; i++) {
        if (f->excluded[i] == 0)
            continue;
        dk_markup_add(m, "<li>");
        dk_markup_words(m, "%s: %zu", dk_exclusion_words((enum dk_exclusion)i), f->excluded[i]);
        if (i == DK_EXCLUSION_FLAGGED)
            add_flags(m, f);
        dk_markup_add(m, "</li>");
    }
    dk_markup_add(m, excluded > 0 ? "</ul></dd>\n" : "</dd>\n");
    add_row(m, _("devices"));
    dk_markup_addf(m, "%zu</dd>\n", f->devices);
    if (f->samples + f->failures > 0) {
        add_date_row(m, _("first"), f->first);
        add_date_row(m, _("last"), f->last);
    }
    dk_markup_add(m, "</dl>\n");
}

// One point of a list.
#define add_sentence(m, ...)                                                                                 \
    (dk_markup_add(m, "<li>"), dk_markup_words(m, __VA_ARGS__), dk_markup_add(m, "</li>\n"))

static void add_needed(struct dk_markup *m, const struct dk_finding *f)
{
    static const char *const strata[] = {N_("indoor"), N_("outdoor"), N_("moving")};
    bool open = f->by_interval == DK_FINDING_INCONCLUSIVE && f->of > 0;

    if (f->outcome == f->by_point)
        return;
    dk_markup_add(m, "<ul>\n");
    if (f->needed > 0)
        add_sentence(m, _("%lld samples more are needed: the rule asks for %lld"), (long long)f->needed,
                     (long long)f->rule->min_samples);
    for (size_t i = 0; i < DK_STRATA; i++)
        if (f->needed_strata[i] > 0)
            add_sentence(m, _("%lld samples more are needed %s"), (long long)f->needed_strata[i], _(strata[i]));
    if (f->of > 0 && !dk_finding_limits(f).known)
        add_sentence(m, _("too few for limits: those of a mean begin with %d samples, those of a median with %d"),
                     DK_ESTIMATE_MEAN_MIN, DK_ESTIMATE_MEDIAN_MIN);
    else if (open && f->needed_to_decide > 0)
        add_sentence(m, _("the limits lie on both sides; some %lld samples more would decide, if the figures stay"),
                     (long long)f->needed_to_decide);
    else if (open)
        add_sentence(m, "%s", _("the limits lie on both sides, and no number of samples in sight would decide"));
    if (f->by_point != DK_FINDING_NOT_APPLICABLE)
        add_sentence(m, _("the figure alone, without limits: %s"), dk_finding_words(f, f->by_point));
    dk_markup_add(m, "</ul>\n");
}

static void add_axis_words(struct dk_markup *m, const struct dk_plot *plot, int64_t x, const char *words)
{
    int64_t at = dk_plot_x(plot, x);

    dk_svg_words(m, at, TOP - 60, at > (LEFT + RIGHT) / 2 ? "words strong end" : "words strong", words);
}

// The mark of what each sample is compared with, and of a mean or median its limits.
static void add_marks(struct dk_markup *m, const struct dk_plot *plot, const struct dk_finding *f)
{
    struct dk_interval limits = dk_finding_limits(f);
    char number[DK_FIGURE_SIZE], text[80];

    if (f->rule->statistic != DK_STATISTIC_SHARE) {
        if (limits.known)
            dk_plot_box(plot, limits.low, limits.high, 0, plot->y_max, "band");
        dk_markup_addf(m, "<path class=\"rate\" d=\"M%" PRId64 " %dV%d\"/>\n",
                       dk_plot_x(plot, dk_finding_value(f)), TOP, BOTTOM);
    }
    dk_markup_addf(m, "<path class=\"threshold\" d=\"M%" PRId64 " %dV%d\"/>\n", dk_plot_x(plot, f->threshold),
                   TOP, BOTTOM);
    dk_finding_amount(f, true, f->threshold, number);
    snprintf(text, sizeof text, "%s %s %s", sign(f->rule->op == DK_OP_AT_LEAST), number, dk_finding_unit(f, true));
    add_axis_words(m, plot, f->threshold, text);
}

static size_t bins_of(const struct dk_finding *f, int64_t *most)
{
    size_t count = 1;

    for (size_t i = 0; i < DK_FINDING_BINS; i++) {
        if (f->bins[i] > 0 || f->threshold >= (int64_t)i * f->bin_width)
            count = i + 1;
        if (f->bins[i] > *most)
            *most = f->bins[i];
    }
    return count;
}

// A bar is plain where its samples meet the threshold, hatched where they do not.
static void add_bin(const struct dk_plot *plot, const struct dk_finding *f, size_t i)
{
    bool at_least = f->rule->op == DK_OP_AT_LEAST;
    int64_t from = (int64_t)i * f->bin_width, to = from + f->bin_width;
    int64_t middle = f->threshold <= from ? from : f->threshold >= to ? to : f->threshold;

    if (f->bins[i] == 0)
        return;
    if (from < middle)
        dk_plot_box(plot, from, middle, 0, f->bins[i], at_least ? "short" : "bar");
    if (middle < to)
        dk_plot_box(plot, middle, to, 0, f->bins[i], at_least ? "bar" : "short");
}

static void add_spread_caption(struct dk_markup *m, const struct dk_finding *f)
{
    char width[DK_NUMBER_SIZE];

    dk_number_text(f->bin_width, 1000000, f->bin_width % 1000000 == 0 ? 0 : 3, false, width);
    dk_markup_add(m, "<figcaption><b>");
    dk_markup_words(m, "%s", _("How the samples are spread."));
    dk_markup_add(m, "</b> ");
    dk_markup_words(m,
                    _("Each bar: %s %s. Dashed: what a sample is compared with; hatched: samples that do not meet it."),
                    width, dk_finding_unit(f, true));
    if (f->rule->statistic != DK_STATISTIC_SHARE)
        dk_markup_words(m, " %s", _("Thin line: the figure that is judged; grey: its limits."));
    if (f->estimate.max >= DK_FINDING_BINS * f->bin_width) {
        dk_markup_words(m, " %s ", _("The last bar has all above it, too, up to"));
        add_amount(m, f, true, f->estimate.max);
        dk_markup_add(m, ".");
    }
    dk_markup_add(m, "</figcaption></figure>\n");
}

static void add_spread(struct dk_markup *m, const struct dk_finding *f)
{
    int64_t most = 1, step = 1;
    size_t count = bins_of(f, &most);
    struct dk_plot plot = {m, LEFT, TOP, RIGHT, BOTTOM, 1, 1};
    struct dk_axis x = {1, 1000000, dk_finding_unit(f, true)}, y = {1, 1, ""};

    plot.x_max = dk_plot_round_up((int64_t)count * f->bin_width, &step);
    x.step = step;
    plot.y_max = dk_plot_round_up(most, &step);
    y.step = step;
    dk_markup_add(m, "<figure>");
    dk_svg_begin(m, WIDTH, HEIGHT, _("How the samples are spread"),
                 _("How many samples have which figure, beside what they are compared with."));
    dk_plot_begin(&plot, &x, &y);
    dk_svg_words(m, LEFT, TOP - 220, "unit", _("samples"));
    for (size_t i = 0; i < count; i++)
        add_bin(&plot, f, i);
    add_marks(m, &plot, f);
    dk_plot_end(&plot);
    dk_svg_end(m);
    add_spread_caption(m, f);
}

static void add_hours(struct dk_markup *m, const struct dk_finding *f)
{
    int64_t most = 1, step = 1;
    struct dk_plot plot = {m, LEFT, TOP, RIGHT, BOTTOM, HOURS, 1};
    struct dk_axis x = {3, 1, _("hour")}, y = {1, 1, ""};

    for (size_t i = 0; i < HOURS; i++)
        most = (int64_t)f->hours[i] > most ? (int64_t)f->hours[i] : most;
    plot.y_max = dk_plot_round_up(most, &step);
    y.step = step;
    dk_markup_add(m, "<figure>");
    dk_svg_begin(m, WIDTH, HEIGHT, _("Samples by the hour of the day"),
                 _("How many samples and failed attempts began in each hour of the day in Vietnam."));
    dk_plot_begin(&plot, &x, &y);
    dk_svg_words(m, LEFT, TOP - 220, "unit", _("samples"));
    for (int64_t i = 0; i < HOURS; i++)
        if (f->hours[i] > 0)
            dk_plot_box(&plot, i, i + 1, 0, (int64_t)f->hours[i], "bar");
    dk_plot_end(&plot);
    dk_svg_end(m);
    dk_markup_add(m, "<figcaption><b>");
    dk_markup_words(m, "%s", _("Samples by the hour of the day."));
    dk_markup_add(m, "</b> ");
    dk_markup_words(m, _("%zu of 24 hours, with failed attempts (UTC+07:00)."), f->hours_covered);
    dk_markup_add(m, "</figcaption></figure>\n");
}

static void add_word(struct dk_markup *m, const struct dk_finding *f)
{
    const char *mark = f->outcome == DK_FINDING_PASS   ? "✓"
                       : f->outcome == DK_FINDING_FAIL ? "✗"
                                                       : "?";

    dk_markup_add(m, "<p class=\"word\">");
    dk_markup_words(m, "%s %s", mark, dk_finding_words(f, f->outcome));
    dk_markup_add(m, "</p>\n<p class=\"claim\">");
    dk_markup_words(m, "%s: ", dk_indicator_words(f->rule->indicator));
    add_statistic(m, f);
    if (f->of > 0) {
        dk_markup_add(m, " <b>");
        add_amount(m, f, false, dk_finding_value(f));
        dk_markup_add(m, "</b>");
    }
    if (dk_finding_limits(f).known) {
        dk_markup_add(m, " (");
        add_range(m, f, false, dk_finding_limits(f));
        dk_markup_add(m, ")");
    }
    dk_markup_words(m, "; %s ", f->rule->family == DK_RULE_FAMILY_QCVN ? _("threshold") : _("target"));
    dk_markup_add(m, "<b>");
    add_asked(m, f);
    dk_markup_add(m, "</b></p>\n<p>");
    dk_markup_words(m, "%s", outcome_meaning(f));
    dk_markup_add(m, "</p>\n");
}

void dk_finding_part(struct dk_markup *m, const struct dk_finding *f)
{
    const char *css = f->outcome == DK_FINDING_PASS           ? "pass"
                      : f->outcome == DK_FINDING_FAIL         ? "fail"
                      : f->outcome == DK_FINDING_INCONCLUSIVE ? "inconclusive"
                                                              : "none";

    dk_markup_addf(m, "<article class=\"finding\"><div class=\"check %s\">\n", css);
    add_word(m, f);
    add_needed(m, f);
    dk_finding_basis(m, f->rule);
    dk_markup_add(m, "</div>\n<div class=\"two\">\n");
    if (f->bin_width > 0) // a rule on failures has no figures to show
        add_figures(m, f);
    add_counts(m, f);
    if (f->bin_width > 0) {
        dk_markup_add(m, "</div>\n<div class=\"two\">\n");
        add_spread(m, f);
    }
    if (f->samples + f->failures > 0)
        add_hours(m, f);
    dk_markup_add(m, "</div></article>\n");
}
