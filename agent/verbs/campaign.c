// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.h"
#include "agent/report/text.h"
#include "agent/verbs/arguments.h"
#include "agent/verbs/campaigns.h"
#include "agent/verbs/summary.h"
#include "agent/verbs/verbs.h"
#include "config/ini.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct view {
    struct dk_campaign campaign;
    struct dk_campaign_tally tally;
    struct dk_wall now, next;
    bool has_next;
};

static enum dk_err fail_none(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_NO_INPUT, NULL, "dokiem campaign start PLAN", "no campaign is going on");
}

static enum dk_err look(const char *state_dir, struct view *out, struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    bool found = false;
    enum dk_err err = dk_campaign_active(state_dir, &out->campaign, &found, fault);

    if (err == DK_OK && !found)
        err = fail_none(fault);
    if (err == DK_OK)
        err = dk_journal_open(state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_campaign_tally_journal(journal, &out->campaign, &out->tally, fault);
    if (err != DK_OK)
        return err;
    out->now = dk_wall_now();
    out->has_next = dk_campaign_next(&out->campaign, &out->tally, out->now, &out->next);
    return DK_OK;
}

static void print_text(const struct view *view)
{
    const struct dk_campaign *campaign = &view->campaign;
    char from[DK_DATE_SIZE], to[DK_DATE_SIZE];
    int band_now = dk_campaign_band(campaign, view->now);

    dk_local_date(campaign->from, from);
    dk_local_date((struct dk_wall){campaign->to.ns - DK_NS_PER_S}, to);
    printf("%s", campaign->id);
    if (campaign->title[0] != '\0')
        printf("  %s", campaign->title);
    printf(_("\nfrom %.10s to %.10s, samples at least %lld s apart\n\n"), from, to,
           (long long)(campaign->gap_ns / DK_NS_PER_S));
    for (size_t i = 0; i < campaign->strata; i++) {
        int64_t per_band = dk_campaign_per_band(campaign, i);

        printf(_("%s: %lld of %lld, %lld to go\n"), campaign->stratum[i].name,
               (long long)dk_campaign_taken(campaign, &view->tally, i), (long long)campaign->stratum[i].samples,
               (long long)dk_campaign_missing(campaign, &view->tally, i));
        for (size_t b = 0; b < campaign->bands && campaign->bands > 1; b++) {
            int64_t left = per_band - view->tally.taken[i][b];

            printf(_("  %02lld-%02lld h%s  %lld of %lld, %lld to go\n"), (long long)campaign->band[b].from_h,
                   (long long)campaign->band[b].to_h, (int)b == band_now ? "*" : " ",
                   (long long)view->tally.taken[i][b], (long long)per_band, (long long)(left > 0 ? left : 0));
        }
    }
    if (view->tally.too_close > 0 || view->tally.outside > 0)
        printf(_("not counted: %lld too close to the one before, %lld outside strata, hours or period\n"),
               (long long)view->tally.too_close, (long long)view->tally.outside);
    if (!view->has_next)
        printf(_("\nThe campaign is over.\n"));
    else if (view->next.ns > view->now.ns) {
        char when[DK_DATE_SIZE];

        dk_local_date(view->next, when);
        printf(_("\nThe next sample counts from %s.\n"), when);
    } else {
        printf(_("\nA sample counts now.\n"));
    }
}

static json_t *stratum_json(const struct view *view, size_t i)
{
    const struct dk_campaign *campaign = &view->campaign;
    const struct dk_stratum *stratum = &campaign->stratum[i];
    json_t *bands = json_array();

    for (size_t b = 0; b < campaign->bands; b++)
        if (json_array_append_new(bands, json_pack("{s:I, s:I, s:I, s:I}", "from_h", campaign->band[b].from_h, "to_h",
                                                   campaign->band[b].to_h, "taken", view->tally.taken[i][b], "wanted",
                                                   dk_campaign_per_band(campaign, i))) != 0) {
            json_decref(bands);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name", stratum->name, "technology",
                     dk_technology_text(stratum->technology), "environment", dk_environment_text(stratum->environment),
                     "samples", stratum->samples, "taken", dk_campaign_taken(campaign, &view->tally, i), "missing",
                     dk_campaign_missing(campaign, &view->tally, i), "bands", bands);
}

static enum dk_err print_json(const struct view *view, struct dk_fault *fault)
{
    char from[DK_RFC3339_SIZE], to[DK_RFC3339_SIZE], next[DK_RFC3339_SIZE] = "";
    json_t *strata = json_array();

    for (size_t i = 0; i < view->campaign.strata; i++)
        if (json_array_append_new(strata, stratum_json(view, i)) != 0) {
            json_decref(strata);
            return dk_json_print(NULL, fault);
        }
    dk_wall_rfc3339(view->campaign.from, from);
    dk_wall_rfc3339(view->campaign.to, to);
    if (view->has_next)
        dk_wall_rfc3339(view->next, next);
    return dk_json_print(json_pack("{s:s, s:s, s:s, s:s, s:I, s:s?, s:I, s:I, s:o}", "campaign", view->campaign.id,
                                   "title", view->campaign.title, "from", from, "to", to, "gap_ns",
                                   view->campaign.gap_ns, "next", view->has_next ? next : NULL, "too_close",
                                   view->tally.too_close, "outside", view->tally.outside, "strata", strata),
                         fault);
}

static enum dk_err start(const char *state_dir, const char *path, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    dk_auto(journal) struct dk_journal *journal = NULL;
    struct dk_campaign campaign, active;
    bool found = false;
    enum dk_err err = dk_file_read(path, &text, fault);

    if (err == DK_OK)
        err = dk_campaign_read_text(&campaign, path, dk_buf_text(&text), text.len, fault);
    // A plan in a folder without a key would never be met.
    if (err == DK_OK)
        err = dk_journal_open(state_dir, false, &journal, fault);
    if (err == DK_OK)
        err = dk_campaign_active(state_dir, &active, &found, fault);
    if (err == DK_OK && found && strcmp(active.id, campaign.id) != 0)
        err = dk_fail(fault, DK_ERR_NOT_NOW, active.id, "end it first: dokiem campaign stop",
                      "another campaign is going on");
    if (err == DK_OK)
        err = dk_file_write(state_dir, DK_CAMPAIGN_FILE, text.data, text.len, DK_WRITE_REPLACE, fault);
    return err;
}

static enum dk_err stop(const char *state_dir, struct dk_fault *fault)
{
    enum dk_err err = dk_file_remove(state_dir, DK_CAMPAIGN_FILE, fault);

    return err == DK_ERR_NO_INPUT ? fail_none(fault) : err;
}

static enum dk_err do_it(const struct dk_arguments *arguments, bool json, struct dk_fault *fault)
{
    const char *state_dir = arguments->settings.state_dir;
    const char *what = arguments->operand_count > 0 ? arguments->operands[0] : "";
    enum dk_err err = DK_OK;
    struct view view = {0};

    if (strcmp(what, "start") == 0 && arguments->operand_count == 2)
        err = start(state_dir, arguments->operands[1], fault);
    else if (strcmp(what, "stop") == 0 && arguments->operand_count == 1)
        return stop(state_dir, fault);
    else if (strcmp(what, "status") != 0 || arguments->operand_count != 1)
        return dk_fail(fault, DK_ERR_USAGE, what, NULL, "use: campaign start PLAN, campaign status, campaign stop");
    if (err == DK_OK)
        err = look(state_dir, &view, fault);
    if (err == DK_OK && json)
        err = print_json(&view, fault);
    else if (err == DK_OK)
        print_text(&view);
    return err;
}

int dk_verb_campaign(int argc, char **argv)
{
    const char *format = NULL;
    const struct dk_own_flag flags[] = {
        {"format", "text|json", N_("for people, or one JSON object"), &format, NULL},
        {0},
    };
    struct dk_arguments arguments;
    struct dk_fault fault = {0};
    bool json = false;
    enum dk_err err = dk_arguments_read(argc, argv, DK_ARGUMENTS_PLAIN, flags, &arguments, &fault);

    if (err == DK_OK && arguments.help_shown)
        return 0;
    if (err == DK_OK)
        err = dk_format_is_json(format, &json, &fault);
    if (err == DK_OK)
        err = do_it(&arguments, json, &fault);
    return err == DK_OK ? 0 : dk_verb_fail("campaign", &fault);
}
