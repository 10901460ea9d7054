// SPDX-License-Identifier: Apache-2.0
#include "agent/verbs/campaigns.h"

#include "agent/base/file.h"
#include "agent/record/seal.h"
#include "agent/report/text.h"
#include "agent/verbs/summary.h"
#include "config/ini.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dk_err dk_campaign_active(const char *state_dir, struct dk_campaign *out, bool *found, struct dk_fault *fault)
{
    char path[PATH_MAX + sizeof DK_CAMPAIGN_FILE + 1];
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    struct dk_fault own = {0};

    snprintf(path, sizeof path, "%s/" DK_CAMPAIGN_FILE, state_dir);
    *found = false;

    enum dk_err err = dk_file_read(path, &text, &own);

    if (err == DK_ERR_NO_INPUT)
        return DK_OK;
    if (err != DK_OK)
        return dk_fail(fault, err, own.where, own.todo, "%s", own.what);
    err = dk_campaign_read_text(out, path, dk_buf_text(&text), text.len, fault);
    *found = err == DK_OK;
    return err;
}

static const char *text_of(const json_t *root, const char *object, const char *key)
{
    const json_t *value = json_object_get(json_object_get(root, object), key);

    return json_is_string(value) ? json_string_value(value) : "";
}

static void count_record(const json_t *root, const struct dk_campaign *campaign, struct dk_campaign_tally *tally)
{
    const json_t *kind = json_object_get(root, "kind");
    enum dk_technology technology = DK_TECHNOLOGY_UNKNOWN;
    enum dk_environment environment = DK_ENVIRONMENT_UNSTATED;
    struct dk_wall start, end;
    // The repeat of a run that failed its check is not drawn at random.
    bool ours = strcmp(text_of(root, "inspection", "campaign"), campaign->id) == 0 &&
                text_of(root, "inspection", "confirms")[0] == '\0';

    if (!json_is_string(kind) || strcmp(json_string_value(kind), dk_kind_text(DK_KIND_SKIPPED)) == 0 ||
        !dk_wall_parse(text_of(root, "time", "start"), &start) || !dk_wall_parse(text_of(root, "time", "end"), &end))
        return;
    (void)dk_technology_parse(text_of(root, "link", "technology"), &technology);
    (void)dk_environment_parse(text_of(root, "site", "environment"), &environment);
    dk_campaign_count(campaign, tally, ours, technology, environment, start, end);
}

enum dk_err dk_campaign_tally_journal(struct dk_journal *journal, const struct dk_campaign *campaign,
                                      struct dk_campaign_tally *out, struct dk_fault *fault)
{
    struct dk_journal_entry *entries = NULL;
    size_t count = 0;
    enum dk_err err = dk_journal_list(journal, &entries, &count, fault);

    *out = (struct dk_campaign_tally){0};
    for (size_t i = 0; err == DK_OK && i < count; i++) {
        dk_auto_buf struct dk_buf jws = dk_buf_make(DK_JWS_MAX_BYTES);
        dk_auto_buf struct dk_buf payload = dk_buf_make(DK_JWS_MAX_BYTES);

        if (dk_journal_read(journal, entries[i].seq, &jws, NULL) != DK_OK ||
            dk_jws_payload(dk_buf_text(&jws), jws.len, &payload, NULL) != DK_OK)
            continue;

        dk_auto(json) json_t *root = json_loadb(dk_buf_text(&payload), payload.len, JSON_REJECT_DUPLICATES, NULL);

        if (root != NULL)
            count_record(root, campaign, out);
    }
    free(entries);
    return err;
}

static enum dk_err tally(const char *state_dir, const struct dk_campaign *campaign, struct dk_campaign_tally *out,
                         struct dk_fault *fault)
{
    dk_auto(journal) struct dk_journal *journal = NULL;
    enum dk_err err = dk_journal_open(state_dir, false, &journal, fault);

    return err == DK_OK ? dk_campaign_tally_journal(journal, campaign, out, fault) : err;
}

static enum dk_err fail_stratum(const struct dk_campaign *campaign, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf strata = dk_buf_make(400);

    for (size_t i = 0; i < campaign->strata; i++) {
        const struct dk_stratum *s = &campaign->stratum[i];

        if (dk_buf_printf(&strata, "%s%s (%s, %s)", i > 0 ? ", " : "", s->name,
                          s->technology == DK_TECHNOLOGY_AUTO ? "any" : dk_technology_text(s->technology),
                          s->environment == DK_ENVIRONMENT_UNSTATED ? "any" : dk_environment_text(s->environment)) !=
            DK_OK)
            break;
    }
    return dk_fail(fault, DK_ERR_USAGE, campaign->id, "give --technology and --environment, or --no-campaign",
                   "the run fits no stratum of the campaign: %s", dk_buf_text(&strata));
}

enum dk_err dk_campaign_admit(struct dk_settings *settings, struct dk_fault *fault)
{
    struct dk_campaign campaign;
    struct dk_campaign_tally taken;
    struct dk_wall now = dk_wall_now(), next = {0};
    bool found = false;
    enum dk_err err = dk_campaign_active(settings->state_dir, &campaign, &found, fault);

    if (err != DK_OK || !found)
        return err;
    if (dk_campaign_stratum(&campaign, settings->technology, settings->site.environment) < 0)
        return fail_stratum(&campaign, fault);
    err = tally(settings->state_dir, &campaign, &taken, fault);
    if (err != DK_OK)
        return err;
    if (!dk_campaign_next(&campaign, &taken, now, &next))
        return dk_fail(fault, DK_ERR_NOT_NOW, campaign.id,
                       "end it: dokiem campaign stop; or measure with --no-campaign", "the campaign is over");
    if (next.ns > now.ns) {
        char when[DK_DATE_SIZE];

        dk_local_date(next, when);
        return dk_fail(fault, DK_ERR_NOT_NOW, campaign.id, "wait, or measure with --no-campaign",
                       "a sample counts again from %s, in %" PRId64 " s", when,
                       (next.ns - now.ns + DK_NS_PER_S - 1) / DK_NS_PER_S);
    }
    memcpy(settings->inspection.campaign, campaign.id, sizeof campaign.id);
    return DK_OK;
}

void dk_campaign_say_left(const struct dk_settings *settings)
{
    struct dk_campaign campaign;
    struct dk_campaign_tally taken;
    struct dk_wall next = {0};
    char when[DK_DATE_SIZE];
    bool found = false;

    if (settings->inspection.campaign[0] == '\0' ||
        dk_campaign_active(settings->state_dir, &campaign, &found, NULL) != DK_OK || !found ||
        tally(settings->state_dir, &campaign, &taken, NULL) != DK_OK)
        return;

    int stratum = dk_campaign_stratum(&campaign, settings->technology, settings->site.environment);

    if (stratum < 0)
        return;
    fprintf(stderr, _("dokiem run: campaign %s, %s: %lld of %lld"), campaign.id, campaign.stratum[stratum].name,
            (long long)dk_campaign_taken(&campaign, &taken, (size_t)stratum),
            (long long)campaign.stratum[stratum].samples);
    if (dk_campaign_next(&campaign, &taken, dk_wall_now(), &next)) {
        dk_local_date(next, when);
        fprintf(stderr, _("; the next one counts from %s"), when);
    }
    fputs("\n", stderr);
}
