// SPDX-License-Identifier: Apache-2.0
#include "agent/report/assessment.h"

#include "agent/report/text.h"
#include "agent/report/words.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX_BYTES = 8192,
    CELL_SIZE = 96,
    COLUMNS_MIN = 60,
    COLUMNS_MAX = 120,
    INDENT = 4,
    GAP = 2, // between two columns
};

enum column { RULE, COUNT, FIGURE, LIMITS, ASKED, FINDING, COLUMN_COUNT };

struct table {
    FILE *out;
    size_t columns;             // of the terminal
    bool utf8, colour, limits;  // `limits`: there is room for them
    size_t width[COLUMN_COUNT]; // of each column
};

const char *dk_fate_text(enum dk_fate fate)
{
    static const char *const texts[] = {
#define X(name, text) text,
        DK_FATE_LIST(X)
#undef X
    };

    return (size_t)fate < sizeof texts / sizeof texts[0] ? texts[fate] : "unknown";
}

const char *dk_finding_outcome_words(enum dk_finding_outcome outcome)
{
    switch (outcome) {
    case DK_FINDING_PASS:
        return _("PASS");
    case DK_FINDING_FAIL:
        return _("FAIL");
    case DK_FINDING_INCONCLUSIVE:
        return _("INCONCLUSIVE");
    case DK_FINDING_TOO_FEW:
        return _("TOO FEW SAMPLES");
    case DK_FINDING_NOT_APPLICABLE:
    default:
        return _("NOT APPLICABLE");
    }
}

const char *dk_dimension_words(enum dk_dimension dimension)
{
    switch (dimension) {
    case DK_DIMENSION_SITE:
        return _("site");
    case DK_DIMENSION_COMMUNE:
        return _("commune");
    case DK_DIMENSION_HAMLET:
        return _("hamlet");
    case DK_DIMENSION_OPERATOR:
        return _("operator");
    case DK_DIMENSION_TECHNOLOGY:
        return _("technology");
    case DK_DIMENSION_ENVIRONMENT:
        return _("environment");
    case DK_DIMENSION_SERVER:
        return _("server");
    case DK_DIMENSION_DEVICE:
        return _("device");
    case DK_DIMENSION_MONTH:
        return _("month");
    case DK_DIMENSION_DAY:
        return _("day");
    case DK_DIMENSION_HOUR:
    case DK_DIMENSION_COUNT:
    default:
        return _("hour");
    }
}

const char *dk_exclusion_words(enum dk_exclusion exclusion)
{
    switch (exclusion) {
    case DK_EXCLUSION_CONFLICT:
        return _("same id as another one");
    case DK_EXCLUSION_CONFIRMATION:
        return _("repeat of a run that failed");
    case DK_EXCLUSION_TOO_CLOSE:
        return _("too soon after another");
    case DK_EXCLUSION_INVALID:
        return _("not valid");
    case DK_EXCLUSION_FLAGGED:
        return _("flagged");
    case DK_EXCLUSION_NOT_MEASURED:
    case DK_EXCLUSION_COUNT:
    default:
        return _("not measured");
    }
}

static bool is_share(const struct dk_finding *finding, bool of_figure)
{
    return finding->rule->statistic == DK_STATISTIC_FAILURES ||
           (!of_figure && finding->rule->statistic == DK_STATISTIC_SHARE);
}

// Hundredths of the unit: 10^6 of bit/s and ns make Mb/s and ms, 10^4 of ppm make a percent.
static void format_hundredths(int64_t amount, int64_t unit, bool up, char out[static DK_FIGURE_SIZE])
{
    long long hundredths = amount / (unit / 100) + (up && amount % (unit / 100) > 0 ? 1 : 0);

    if (amount < 0)
        snprintf(out, DK_FIGURE_SIZE, "-");
    else
        snprintf(out, DK_FIGURE_SIZE, _("%lld.%02lld"), hundredths / 100, hundredths % 100);
}

void dk_finding_amount(const struct dk_finding *finding, bool of_figure, int64_t amount,
                       char out[static DK_FIGURE_SIZE])
{
    bool share = is_share(finding, of_figure);
    bool up = finding->rule->op == DK_OP_AT_MOST && (of_figure || finding->rule->statistic != DK_STATISTIC_SHARE);

    format_hundredths(amount, share ? 10000 : 1000000, up, out);
}

const char *dk_finding_unit(const struct dk_finding *finding, bool of_figure)
{
    const char *path = dk_indicator_text(finding->rule->indicator);
    size_t len = strlen(path);

    if (is_share(finding, of_figure))
        return "%";
    return len > 3 && strcmp(path + len - 3, "_ns") == 0 ? "ms" : "Mb/s";
}

// Text that may hold anything, wrapped, every line indented.
static void paragraph(const struct table *t, size_t indent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void paragraph(const struct table *t, size_t indent, const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    dk_auto_buf struct dk_buf clean = dk_buf_make(sizeof text);
    dk_auto_buf struct dk_buf wrapped = dk_buf_make(4 * sizeof text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // A text too long for the buffers is shown as far as it fits.
    if (dk_text_clean(text, strlen(text), false, &clean) != DK_OK ||
        dk_text_append_wrapped(&wrapped, dk_buf_text(&clean), indent, indent, t->columns) != DK_OK)
        dk_buf_free(&wrapped);
    fprintf(t->out, "%*s%s\n", (int)indent, "", dk_buf_text(&wrapped));
}

const char *dk_statistic_words(enum dk_statistic statistic)
{
    switch (statistic) {
    case DK_STATISTIC_MEAN:
        return _("mean");
    case DK_STATISTIC_MEDIAN:
        return _("median");
    case DK_STATISTIC_SHARE:
        return _("share");
    case DK_STATISTIC_FAILURES:
    default:
        return _("failed");
    }
}

static const char *op_sign(const struct table *t, bool at_least)
{
    if (t->utf8)
        return at_least ? "≥" : "≤";
    return at_least ? ">=" : "<=";
}

static void fill_cells(const struct table *t, const struct dk_finding *f, char cells[COLUMN_COUNT][CELL_SIZE])
{
    char value[DK_FIGURE_SIZE], low[DK_FIGURE_SIZE], high[DK_FIGURE_SIZE], bound[DK_FIGURE_SIZE];
    struct dk_interval limits = dk_finding_limits(f);
    bool at_least = f->rule->statistic == DK_STATISTIC_SHARE || f->rule->op == DK_OP_AT_LEAST;
    const char *unit = dk_finding_unit(f, false);

    dk_finding_amount(f, false, dk_finding_value(f), value);
    dk_finding_amount(f, false, limits.low, low);
    dk_finding_amount(f, false, limits.high, high);
    dk_finding_amount(f, false, dk_finding_bound(f), bound);
    snprintf(cells[RULE], CELL_SIZE, "%s", f->rule->id);
    snprintf(cells[COUNT], CELL_SIZE, "%zu", f->of);
    snprintf(cells[FIGURE], CELL_SIZE, "%s %s %s", dk_statistic_words(f->rule->statistic), value, unit);
    snprintf(cells[LIMITS], CELL_SIZE, limits.known ? "%s%s%s" : "-", low, t->utf8 ? " – " : " - ", high);
    snprintf(cells[ASKED], CELL_SIZE, "%s %s %s", op_sign(t, at_least), bound, unit);
    snprintf(cells[FINDING], CELL_SIZE, "%s", dk_finding_outcome_words(f->outcome));
}

static void fill_heads(char cells[COLUMN_COUNT][CELL_SIZE])
{
    snprintf(cells[RULE], CELL_SIZE, "%s", _("Rule"));
    snprintf(cells[COUNT], CELL_SIZE, "%s", _("Samples"));
    snprintf(cells[FIGURE], CELL_SIZE, "%s", _("Figure"));
    snprintf(cells[LIMITS], CELL_SIZE, "%s", _("Limits (95 % each)"));
    snprintf(cells[ASKED], CELL_SIZE, "%s", _("Asked for"));
    snprintf(cells[FINDING], CELL_SIZE, "%s", _("Finding"));
}

static void widen(struct table *t, char cells[COLUMN_COUNT][CELL_SIZE])
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        size_t columns = dk_text_columns(cells[i]);

        if (columns > t->width[i])
            t->width[i] = columns;
    }
}

static void measure(struct table *t, const struct dk_findings *findings)
{
    char cells[COLUMN_COUNT][CELL_SIZE];
    size_t total = (COLUMN_COUNT - 1) * GAP;

    fill_heads(cells);
    widen(t, cells);
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].outcome == DK_FINDING_NOT_APPLICABLE)
            continue;
        fill_cells(t, &findings->items[i], cells);
        widen(t, cells);
    }
    for (int i = 0; i < COLUMN_COUNT; i++)
        total += t->width[i];
    t->limits = total <= t->columns;
}

static void print_cells(const struct table *t, char cells[COLUMN_COUNT][CELL_SIZE], const char *colour)
{
    for (int i = 0; i < COLUMN_COUNT; i++) {
        size_t columns = dk_text_columns(cells[i]);
        int space = (int)(t->width[i] - (columns < t->width[i] ? columns : t->width[i]));

        if (i == LIMITS && !t->limits)
            continue;
        if (i == COUNT) // numbers stand on the right
            fprintf(t->out, "%*s%s%*s", space, "", cells[i], GAP, "");
        else if (i < FINDING)
            fprintf(t->out, "%s%*s", cells[i], space + GAP, "");
        else
            fprintf(t->out, "%s%s%s\n", t->colour ? colour : "", cells[i], t->colour ? "\x1b[0m" : "");
    }
}

static const char *colour_of(enum dk_finding_outcome outcome)
{
    return outcome == DK_FINDING_PASS ? "\x1b[32;1m" : outcome == DK_FINDING_FAIL ? "\x1b[31;1m" : "\x1b[33;1m";
}

// The figures beside the one that is judged.
static void print_figures(const struct table *t, const struct dk_finding *f)
{
    const struct dk_estimate *e = &f->estimate;
    const char *unit = dk_finding_unit(f, true);
    char mean[DK_FIGURE_SIZE], median[DK_FIGURE_SIZE], p5[DK_FIGURE_SIZE], p95[DK_FIGURE_SIZE], sd[DK_FIGURE_SIZE];
    char share[DK_FIGURE_SIZE], low[DK_FIGURE_SIZE], high[DK_FIGURE_SIZE], threshold[DK_FIGURE_SIZE];

    if (e->count > 0) {
        dk_finding_amount(f, true, e->mean, mean);
        dk_finding_amount(f, true, e->median, median);
        dk_finding_amount(f, true, e->p5, p5);
        dk_finding_amount(f, true, e->p95, p95);
        dk_finding_amount(f, true, e->sd, sd);
        dk_finding_amount(f, true, f->threshold, threshold);
        format_hundredths(f->share_ppm, 10000, false, share);
        format_hundredths(f->share.low, 10000, false, low);
        format_hundredths(f->share.high, 10000, true, high);
        paragraph(t, INDENT, _("%s: mean %s, median %s, p5 %s, p95 %s, standard deviation %s %s; %s %% of samples "
                               "%s %s %s (%s to %s %%)"),
                  dk_indicator_words(f->rule->indicator), mean, median, p5, p95, sd, unit, share,
                  op_sign(t, f->rule->op == DK_OP_AT_LEAST), threshold, unit, low, high);
    }
    paragraph(t, INDENT, _("%zu attempts failed; %zu of 24 hours of the day; devices: %zu"), f->failures,
              f->hours_covered, f->devices);
}

static void print_excluded(const struct table *t, const struct dk_finding *f)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(TEXT_MAX_BYTES);
    const char *between = "";
    enum dk_err err = DK_OK;

    for (int i = 0; i < DK_EXCLUSION_COUNT && err == DK_OK; i++) {
        if (f->excluded[i] == 0)
            continue;
        err = dk_buf_printf(&text, "%s%zu %s", between, f->excluded[i], dk_exclusion_words((enum dk_exclusion)i));
        between = ", ";
        for (int flag = 0; i == DK_EXCLUSION_FLAGGED && flag < DK_FINDING_FLAGS && err == DK_OK; flag++)
            if (f->by_flag[flag] > 0)
                err = dk_buf_printf(&text, " %s %zu",
                                    flag == DK_FINDING_FLAG_OTHER ? "?" : dk_flag_text((enum dk_flag_code)flag),
                                    f->by_flag[flag]);
    }
    if (text.len > 0)
        paragraph(t, INDENT, _("left out: %s"), dk_buf_text(&text));
}

static void print_needed(const struct table *t, const struct dk_finding *f)
{
    static const char *const strata[] = {N_("indoor"), N_("outdoor"), N_("moving")};

    if (f->needed > 0)
        paragraph(t, INDENT, _("%lld samples more are needed: the rule asks for %lld"), (long long)f->needed,
                  (long long)f->rule->min_samples);
    for (size_t i = 0; i < DK_STRATA; i++)
        if (f->needed_strata[i] > 0)
            paragraph(t, INDENT, _("%lld samples more are needed %s"), (long long)f->needed_strata[i],
                      _(strata[i]));
    if (f->of > 0 && !dk_finding_limits(f).known)
        paragraph(t, INDENT, _("too few for limits: those of a mean begin with %d samples, those of a median with %d"),
                  DK_ESTIMATE_MEAN_MIN, DK_ESTIMATE_MEDIAN_MIN);
    else if (f->by_interval == DK_FINDING_INCONCLUSIVE && f->needed_to_decide > 0)
        paragraph(t, INDENT,
                  _("the limits lie on both sides; some %lld samples more would decide, if the figures stay"),
                  (long long)f->needed_to_decide);
    else if (f->by_interval == DK_FINDING_INCONCLUSIVE && f->of > 0)
        paragraph(t, INDENT, "%s", _("the limits lie on both sides, and no number of samples in sight would decide"));
    if (f->by_point != DK_FINDING_NOT_APPLICABLE && f->outcome != f->by_point)
        paragraph(t, INDENT, _("the figure alone, without limits: %s"), dk_finding_outcome_words(f->by_point));
}

static void print_finding(const struct table *t, const struct dk_finding *f)
{
    char cells[COLUMN_COUNT][CELL_SIZE];

    fill_cells(t, f, cells);
    print_cells(t, cells, colour_of(f->outcome));
    if (!t->limits && dk_finding_limits(f).known)
        paragraph(t, INDENT, _("limits (95 %% each): %s"), cells[LIMITS]);
    print_figures(t, f);
    print_excluded(t, f);
    print_needed(t, f);
}

static void print_not_applicable(const struct table *t, const struct dk_finding *f)
{
    if (f->reason == DK_FINDING_REASON_NO_RATE)
        paragraph(t, 0, _("%s: %s; [site] %s is not set for %zu samples"), f->rule->id,
                  dk_finding_outcome_words(f->outcome), dk_site_rate_text(f->rule->site_rate), f->considered);
    else
        paragraph(t, 0, _("%s: %s; no sample that it is about"), f->rule->id, dk_finding_outcome_words(f->outcome));
}

static void print_group(const struct table *t, const struct dk_assessment *a, size_t from, size_t to)
{
    const struct dk_filter *filter = &a->selection->filter;
    const struct dk_group *group = a->findings->items[from].group;
    dk_auto_buf struct dk_buf title = dk_buf_make(TEXT_MAX_BYTES);
    char cells[COLUMN_COUNT][CELL_SIZE];
    bool headed = false;

    for (size_t i = 0; i < filter->by_count; i++)
        if (dk_buf_printf(&title, "%s%s %s", i > 0 ? ", " : "", dk_dimension_words(filter->by[i]),
                          group->key[i][0] != '\0' ? group->key[i] : _("(not stated)")) != DK_OK)
            break;
    fputc('\n', t->out);
    if (title.len > 0)
        paragraph(t, 0, "%s", dk_buf_text(&title));
    for (size_t i = from; i < to; i++) {
        if (a->findings->items[i].outcome == DK_FINDING_NOT_APPLICABLE)
            continue;
        fill_heads(cells);
        if (!headed)
            print_cells(t, cells, "");
        headed = true;
        print_finding(t, &a->findings->items[i]);
    }
    for (size_t i = from; i < to; i++)
        if (a->findings->items[i].outcome == DK_FINDING_NOT_APPLICABLE)
            print_not_applicable(t, &a->findings->items[i]);
}

const char *dk_fate_words(enum dk_fate fate)
{
    switch (fate) {
    case DK_FATE_RECORDS:
        return _("samples of records whose signature holds: %zu");
    case DK_FATE_ROWS:
        return _("samples of an export, not signed: %zu");
    case DK_FATE_SKIPPED:
        return _("runs that were skipped: %zu");
    case DK_FATE_OTHER:
        return _("records that are about no run: %zu");
    case DK_FATE_DUPLICATES:
        return _("there twice, counted once: %zu");
    case DK_FATE_CONFLICTS:
        return _("the id of another one, with other content; neither counts: %zu");
    case DK_FATE_NOT_VERIFIED:
        return _("the signature does not hold, or is by another key: %zu");
    case DK_FATE_UNKNOWN_SCHEMA:
        return _("of an unknown schema: %zu");
    case DK_FATE_MALFORMED:
    case DK_FATE_COUNT:
    default:
        return _("malformed: %zu");
    }
}

static void print_input(const struct table *t, const struct dk_assessment *a)
{
    const struct dk_input *input = a->input;

    for (int i = 0; i < DK_FATE_COUNT; i++) {
        char text[CELL_SIZE * 2];
        size_t named = 0;

        if (input->count[i] == 0)
            continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, dk_fate_words((enum dk_fate)i), input->count[i]);
#pragma GCC diagnostic pop
        paragraph(t, 0, "%s", text);
        for (size_t k = 0; k < input->note_count; k++)
            if (input->notes[k].fate == (enum dk_fate)i) {
                paragraph(t, INDENT, "%s", input->notes[k].text);
                named++;
            }
        if (named > 0 && named < input->count[i])
            paragraph(t, INDENT, _("and %zu more"), input->count[i] - named);
    }
    if (a->selection->outside > 0)
        paragraph(t, 0, _("not chosen: %zu"), a->selection->outside);
}

static void print_rules(const struct table *t, const struct dk_assessment *a)
{
    fputc('\n', t->out);
    for (size_t i = 0; i < a->rules->count; i++) {
        const struct dk_rule *rule = &a->rules->rules[i];
        bool used = false;

        for (size_t k = 0; k < a->findings->count; k++)
            used |= a->findings->items[k].rule == rule && a->findings->items[k].outcome != DK_FINDING_NOT_APPLICABLE;
        if (!used)
            continue;
        paragraph(t, 0, "%s", rule->id);
        // Only a regulation may be failed: a target that is missed is a target that is missed.
        if (rule->family == DK_RULE_FAMILY_QCVN)
            paragraph(t, INDENT, _("national technical regulation: %s"), rule->basis);
        else
            paragraph(t, INDENT, _("target of a plan: %s"), rule->basis);
        if (rule->unconfirmed)
            paragraph(t, INDENT, _("not confirmed: %s"), rule->note);
    }
}

void dk_report_assessment(FILE *out, const struct dk_terminal *terminal, const struct dk_assessment *assessment)
{
    size_t columns = terminal->columns < COLUMNS_MIN ? COLUMNS_MIN : terminal->columns;
    struct table t = {.out = out,
                      .columns = columns > COLUMNS_MAX ? COLUMNS_MAX : columns,
                      .utf8 = terminal->utf8,
                      .colour = terminal->colour};
    const struct dk_findings *findings = assessment->findings;

    measure(&t, findings);
    paragraph(&t, 0, _("Profile %s, version %s: %s"), assessment->rules->id, assessment->rules->version,
              assessment->rules->title);
    print_input(&t, assessment);
    for (size_t from = 0, to = 0; from < findings->count; from = to) {
        for (to = from; to < findings->count && findings->items[to].group == findings->items[from].group;)
            to++;
        print_group(&t, assessment, from, to);
    }
    print_rules(&t, assessment);
    fputc('\n', out);
    paragraph(&t, 0, "%s", _("A monitoring result, for reference: it does not replace formal testing."));
}
