// SPDX-License-Identifier: Apache-2.0
//
// From samples to findings: reads records and exports, chooses and groups, judges by a profile's rules, prints.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/assess/finding.h"
#include "agent/assess/select.h"
#include "agent/base/language.h"
#include "agent/base/message.h"
#include "agent/base/parse.h"
#include "agent/report/assessment.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/checker.h"
#include "agent/verbs/confine.h"
#include "agent/verbs/output.h"
#include "agent/verbs/samples.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"

struct choices {
    const char *key, *profile, *from, *to, *by, *format, *output, *language;
    enum { AS_TEXT, AS_JSON, AS_HTML } form;
    bool check;
    struct dk_filter filter;
};

enum { PAGE_MAX_BYTES = 4 << 20 };

static enum dk_err read_form(struct choices *c, struct dk_fault *fault)
{
    enum dk_err err;

    if (c->format != NULL && strcmp(c->format, "json") == 0)
        c->form = AS_JSON;
    else if (c->format != NULL && strcmp(c->format, "html") == 0)
        c->form = AS_HTML;
    else if (c->format != NULL && strcmp(c->format, "text") != 0)
        return dk_fail(fault, DK_ERR_USAGE, "--format", NULL, "must be text, json or html");
    if (c->output != NULL && c->form != AS_HTML)
        return dk_fail(fault, DK_ERR_USAGE, "--output", NULL, "is for --format html");
    err = dk_verb_use_language(c->language, fault);
    // As dk_format_is_json().
    if (err == DK_OK && c->form == AS_JSON)
        (void)dk_language_use("en");
    return err;
}

static enum dk_err read_by(const char *text, struct dk_filter *filter, struct dk_fault *fault)
{
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");

        if (filter->by_count == DK_BY_MAX)
            return dk_fail(fault, DK_ERR_USAGE, "--by", NULL, "names more than %d", DK_BY_MAX);
        if (!dk_dimension_parse(at, len, &filter->by[filter->by_count]))
            return dk_fail(fault, DK_ERR_USAGE, "--by", NULL,
                           "'%.*s' is none of site, commune, hamlet, operator, technology, environment, server, "
                           "device, month, day, hour",
                           (int)(len < 40 ? len : 40), at);
        filter->by_count++;
        at += len;
        at += *at == ',';
    }
    return DK_OK;
}

static enum dk_err read_period(const char *name, const char *text, bool end, struct dk_wall *out,
                               struct dk_fault *fault)
{
    if (text == NULL || dk_period_parse(text, end, out))
        return DK_OK;
    return dk_fail(fault, DK_ERR_USAGE, name, NULL,
                   "must be a day in Vietnam, 2026-11-20, or an instant, 2026-11-20T08:00:00+07:00");
}

static enum dk_err read_choices(struct choices *c, struct dk_fault *fault)
{
    const char *technology = c->filter.text[DK_DIMENSION_TECHNOLOGY];
    const char *environment = c->filter.text[DK_DIMENSION_ENVIRONMENT];
    enum dk_technology known_technology = DK_TECHNOLOGY_UNKNOWN;
    enum dk_environment known_environment = DK_ENVIRONMENT_UNSTATED;
    enum dk_err err = read_form(c, fault);

    c->filter.from.ns = INT64_MIN;
    c->filter.to.ns = INT64_MAX;
    if (err == DK_OK)
        err = read_period("--from", c->from, false, &c->filter.from, fault);
    if (err == DK_OK)
        err = read_period("--to", c->to, true, &c->filter.to, fault);
    if (err == DK_OK && c->filter.from.ns >= c->filter.to.ns)
        return dk_fail(fault, DK_ERR_USAGE, "--from, --to", NULL, "the period ends before it begins");
    for (int i = 0; i < DK_DIMENSION_COUNT && err == DK_OK; i++)
        if (c->filter.text[i] != NULL && !dk_text_is_clean(c->filter.text[i], strlen(c->filter.text[i])))
            return dk_fail(fault, DK_ERR_USAGE, dk_dimension_text((enum dk_dimension)i), NULL, "is not a clean text");
    if (err == DK_OK && technology != NULL && !dk_technology_parse(technology, &known_technology))
        return dk_fail(fault, DK_ERR_USAGE, "--technology", NULL, "must be 4g, 5g, fixed, auto or unknown");
    if (err == DK_OK && environment != NULL && !dk_environment_parse(environment, &known_environment))
        return dk_fail(fault, DK_ERR_USAGE, "--environment", NULL, "must be indoor, outdoor, moving or unstated");
    return err == DK_OK ? read_by(c->by, &c->filter, fault) : err;
}

static enum dk_err read_arguments(int argc, char **argv, struct dk_arguments *arguments, struct choices *c,
                                  struct dk_fault *fault)
{
    const char **filter = c->filter.text;
    const struct dk_own_flag flags[] = {
        {"key", "FILE", N_("public key or keys of the devices (JWK, JWK set or PEM); default: this device's own"),
         &c->key,
         NULL},
        {"profile", "NAME", N_("the rules: a profile's name, or its path; default: [judge] profile"),
         &c->profile, NULL},
        {"from", "DAY", N_("samples of this day (in Vietnam) or instant (RFC 3339) and later"), &c->from, NULL},
        {"to", "DAY", N_("samples of this day and earlier, or before this instant"), &c->to, NULL},
        {"site", "CODE", N_("samples of this site"), &filter[DK_DIMENSION_SITE], NULL},
        {"commune", "NAME", N_("samples of this commune"), &filter[DK_DIMENSION_COMMUNE], NULL},
        {"hamlet", "NAME", N_("samples of this hamlet"), &filter[DK_DIMENSION_HAMLET], NULL},
        {"operator", "NAME", N_("samples of this operator"), &filter[DK_DIMENSION_OPERATOR], NULL},
        {"technology", "NAME", N_("samples of this technology: 4g, 5g, fixed"), &filter[DK_DIMENSION_TECHNOLOGY], NULL},
        {"environment", "NAME", N_("samples taken indoor, outdoor or moving"), &filter[DK_DIMENSION_ENVIRONMENT], NULL},
        {"server", "NAME", N_("samples against this server"), &filter[DK_DIMENSION_SERVER], NULL},
        {"device", "ID", N_("samples of this device"), &filter[DK_DIMENSION_DEVICE], NULL},
        {"by", "LIST",
         N_("a finding for each of up to 4 of: site, commune, hamlet, operator, technology, environment, server, "
            "device, month, day, hour"),
         &c->by, NULL},
        {"format", "text|json|html", N_("a table, one JSON object, or a page to print"), &c->format, NULL},
        {"output", "FILE", N_("write the page there (also -o FILE); default: standard output"), &c->output, NULL},
        {"language", "vi|en", N_("of the table or the page; default: the locale's"), &c->language, NULL},
        {"check", NULL, N_("exit status 1 = a rule is failed, 2 = undecided, or too few samples"), NULL, &c->check},
        {0},
    };
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, arguments, fault);

    return err == DK_OK && !arguments->help_shown ? read_choices(c, fault) : err;
}

// Those that the rules are about: the samples need no others.
static uint32_t indicators_of(const struct dk_rules *rules)
{
    uint32_t indicators = 0;

    for (size_t i = 0; i < rules->count; i++)
        indicators |= UINT32_C(1) << rules->rules[i].indicator;
    return indicators;
}

// With --check: the findings that apply decide.
static int check_status(const struct dk_findings *findings)
{
    bool passed = false, open = false;

    for (size_t i = 0; i < findings->count; i++) {
        enum dk_finding_outcome outcome = findings->items[i].outcome;

        if (outcome == DK_FINDING_FAIL)
            return 1;
        passed |= outcome == DK_FINDING_PASS;
        open |= outcome == DK_FINDING_INCONCLUSIVE || outcome == DK_FINDING_TOO_FEW;
    }
    return passed && !open ? 0 : 2;
}

static enum dk_err print_page(const struct dk_assessment *assessment, const char *output, struct dk_fault *fault)
{
    struct dk_markup page = dk_markup_make(PAGE_MAX_BYTES);

    dk_assessment_page(&page, assessment, dk_wall_now());
    return dk_output_page(&page, output, fault);
}

static enum dk_err print(const struct dk_assessment *assessment, const struct choices *c, struct dk_fault *fault)
{
    struct dk_terminal terminal = dk_terminal_of(stdout);

    if (c->form == AS_JSON)
        return dk_json_print(dk_assessment_json(assessment), fault);
    if (c->form == AS_HTML)
        return print_page(assessment, c->output, fault);
    dk_report_assessment(stdout, &terminal, assessment);
    return DK_OK;
}

// An empty selection is said, and is no success.
static enum dk_err check_empty(const struct dk_assessment *a, struct dk_fault *fault)
{
    size_t taken = a->input->count[DK_FATE_RECORDS] + a->input->count[DK_FATE_ROWS], refused = 0;

    for (int i = DK_FATE_CONFLICTS; i < DK_FATE_COUNT; i++)
        refused += a->input->count[i];
    if (taken == 0 && refused > 0)
        return dk_fail(fault, DK_ERR_DATA, NULL, NULL, "no sample could be taken: see what is said of each");
    if (taken == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, NULL, NULL, "there are no samples");
    if (a->selection->outside == taken)
        return dk_fail(fault, DK_ERR_NO_INPUT, NULL, "choose a longer period, or less closely",
                       "none of the %zu samples is among those chosen", taken);
    return DK_OK;
}

int dk_verb_assess(int argc, char **argv)
{
    struct choices c = {0};
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    struct dk_input input = {0};
    dk_auto(samples) struct dk_samples *samples = NULL;
    dk_auto_selection struct dk_selection selection = {0};
    dk_auto_findings struct dk_findings findings = {0};
    struct dk_sample_keys keys = {0};
    struct dk_rules rules;
    enum dk_err err = read_arguments(argc, argv, &arguments, &c, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK)
        err = dk_rules_load(&rules, c.profile != NULL ? c.profile : arguments.settings.profile, &fault);
    if (err == DK_OK) {
        dk_samples_read_keys(c.key, arguments.settings.state_dir, &keys);
        dk_confine_reading(arguments.operands, (size_t)arguments.operand_count, NULL, arguments.settings.state_dir,
                           c.output);
        err = dk_samples_read(arguments.operands, arguments.operand_count, &keys, arguments.settings.state_dir,
                              indicators_of(&rules), &samples, &input, &fault);
    }
    if (err == DK_OK)
        err = dk_select(samples, &c.filter, &selection, &fault);
    if (err == DK_OK)
        err = dk_findings_make(&selection, &rules, &findings, &fault);
    if (err == DK_OK) {
        const struct dk_assessment assessment = {&input, samples, &selection, &rules, &findings};

        err = print(&assessment, &c, &fault);
        if (err == DK_OK)
            err = check_empty(&assessment, &fault);
    }
    dk_keys_free(&keys.ring);
    if (err != DK_OK)
        return dk_verb_fail("assess", &fault);
    return c.check ? check_status(&findings) : 0;
}
