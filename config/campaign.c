// SPDX-License-Identifier: Apache-2.0
#include "config/campaign.h"

#include "agent/base/parse.h"
#include "config/ini.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

#define STRATUM_PREFIX "stratum "
#define ID_ALLOWED     "lower-case letters, digits, - . _"
#define DAY_NS         (INT64_C(86'400) * DK_NS_PER_S)
#define HOUR_NS        (INT64_C(3600) * DK_NS_PER_S)

static bool copy_id(const char *text, char *out, size_t size)
{
    size_t len = strlen(text);

    if (len == 0 || len >= size || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-._") != len)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static bool set_title(struct dk_campaign *campaign, const char *text)
{
    return dk_text_is_clean(text, strlen(text)) &&
           snprintf(campaign->title, sizeof campaign->title, "%s", text) < (int)sizeof campaign->title;
}

static bool set_id(struct dk_campaign *campaign, const char *text)
{
    return copy_id(text, campaign->id, sizeof campaign->id);
}

// The beginning of a day in Vietnam, "2026-11-20".
static bool read_day(const char *text, struct dk_wall *out)
{
    char whole[DK_RFC3339_SIZE];

    if (strlen(text) != 10 || snprintf(whole, sizeof whole, "%sT00:00:00.000Z", text) >= (int)sizeof whole ||
        !dk_wall_parse(whole, out))
        return false;
    out->ns -= DK_VIETNAM_NS;
    return out->ns > 0;
}

static bool set_from(struct dk_campaign *campaign, const char *text)
{
    return read_day(text, &campaign->from);
}

static bool set_to(struct dk_campaign *campaign, const char *text)
{
    if (!read_day(text, &campaign->to))
        return false;
    campaign->to.ns += DAY_NS;
    return true;
}

static bool set_gap(struct dk_campaign *campaign, const char *text)
{
    int64_t gap_ns = 0;

    if (dk_quantity_parse(text, dk_units_duration, DK_NS_PER_S, &gap_ns) != NULL || gap_ns < 0 || gap_ns > DAY_NS)
        return false;
    campaign->gap_ns = gap_ns;
    return true;
}

// "6-10" at `text`, `len` characters.
static bool read_band(const char *text, size_t len, int64_t *from_h, int64_t *to_h)
{
    char copy[8];
    char *dash = NULL;

    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    dash = strchr(copy, '-');
    if (dash == NULL)
        return false;
    *dash = '\0';
    return dk_parse_i64(copy, 0, 23, from_h) && dk_parse_i64(dash + 1, 1, 24, to_h) && *from_h < *to_h;
}

static bool set_hours(struct dk_campaign *campaign, const char *text)
{
    campaign->bands = 0;
    for (const char *at = text;; at++) {
        at += strspn(at, " ");

        size_t len = strcspn(at, ","), used = len;
        int64_t from_h = 0, to_h = 0;

        while (used > 0 && at[used - 1] == ' ')
            used--;
        if (campaign->bands == DK_CAMPAIGN_BANDS_MAX || !read_band(at, used, &from_h, &to_h))
            return false;
        // In order, so that nobody wonders which one counts.
        if (campaign->bands > 0 && from_h < campaign->band[campaign->bands - 1].to_h)
            return false;
        campaign->band[campaign->bands].from_h = from_h;
        campaign->band[campaign->bands++].to_h = to_h;
        at += len;
        if (*at == '\0')
            return true;
    }
}

static struct dk_stratum *last_stratum(struct dk_campaign *campaign)
{
    return &campaign->stratum[campaign->strata - 1];
}

static bool set_technology(struct dk_campaign *campaign, const char *text)
{
    enum dk_technology technology;

    if (!dk_technology_parse(text, &technology) || technology == DK_TECHNOLOGY_UNKNOWN ||
        technology == DK_TECHNOLOGY_AUTO)
        return false;
    last_stratum(campaign)->technology = technology;
    return true;
}

static bool set_environment(struct dk_campaign *campaign, const char *text)
{
    enum dk_environment environment;

    if (!dk_environment_parse(text, &environment) || environment == DK_ENVIRONMENT_UNSTATED)
        return false;
    last_stratum(campaign)->environment = environment;
    return true;
}

static bool set_samples(struct dk_campaign *campaign, const char *text)
{
    return dk_parse_i64(text, 1, 1'000'000, &last_stratum(campaign)->samples);
}

struct key {
    const char *name, *allowed;
    bool (*set)(struct dk_campaign *campaign, const char *text);
    bool optional;
};

static const struct key campaign_keys[] = {
    {"id", ID_ALLOWED, set_id, false},
    {"title", "clean text, at most 255 bytes", set_title, true},
    {"from", "a day, as 2026-11-20", set_from, false},
    {"to", "a day, as 2026-12-15", set_to, false},
    {"gap", "0 s to 1 d", set_gap, true},
    {"hours", "bands of hours in order, as 6-10, 14-18", set_hours, true},
};

static const struct key stratum_keys[] = {
    {"technology", "4g, 5g, fixed", set_technology, true},
    {"environment", "indoor, outdoor, moving", set_environment, true},
    {"samples", "1 to 1000000", set_samples, false},
};

static const struct key *find_key(const struct key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

// Reads the keys of the section whose own line is entry `first`.
static enum dk_err read_keys(const struct dk_ini *ini, size_t first, const struct key *keys, size_t count,
                             struct dk_campaign *campaign, struct dk_fault *fault)
{
    uint32_t seen = 0;

    for (size_t i = first + 1; i < ini->count && ini->entries[i].key != NULL; i++) {
        const struct dk_ini_entry *entry = &ini->entries[i];
        const struct key *key = find_key(keys, count, entry->key);
        char value[DK_QUOTE_SIZE];

        if (key == NULL)
            return dk_ini_fail(ini, entry, fault, "correct the name, or remove the line", "unknown key \"%s\"",
                               entry->key);
        dk_quote(entry->value, value);
        if (!key->set(campaign, entry->value))
            return dk_ini_fail(ini, entry, fault, NULL, "%s is not allowed; allowed: %s", value, key->allowed);
        seen |= UINT32_C(1) << (key - keys);
    }
    for (size_t k = 0; k < count; k++)
        if (!keys[k].optional && (seen & UINT32_C(1) << k) == 0)
            return dk_ini_fail(ini, &ini->entries[first], fault, "add it", "the key \"%s\" is missing", keys[k].name);
    return DK_OK;
}

static enum dk_err read_stratum(const struct dk_ini *ini, size_t first, struct dk_campaign *campaign,
                                struct dk_fault *fault)
{
    const struct dk_ini_entry *own = &ini->entries[first];

    if (campaign->strata == DK_CAMPAIGN_STRATA_MAX)
        return dk_ini_fail(ini, own, fault, NULL, "too many strata; %d are allowed", DK_CAMPAIGN_STRATA_MAX);

    struct dk_stratum *stratum = &campaign->stratum[campaign->strata++];

    *stratum = (struct dk_stratum){.technology = DK_TECHNOLOGY_AUTO};
    if (!copy_id(own->section + strlen(STRATUM_PREFIX), stratum->name, sizeof stratum->name))
        return dk_ini_fail(ini, own, fault, NULL, "the stratum has no proper name; allowed: " ID_ALLOWED);
    return read_keys(ini, first, stratum_keys, sizeof stratum_keys / sizeof stratum_keys[0], campaign, fault);
}

enum dk_err dk_campaign_read_text(struct dk_campaign *out, const char *name, const char *text, size_t len,
                                  struct dk_fault *fault)
{
    struct dk_campaign campaign = {.gap_ns = DK_CAMPAIGN_GAP_NS, .bands = 1, .band[0].to_h = 24};
    dk_auto(ini) struct dk_ini *ini = NULL;
    enum dk_err err = dk_ini_read(name, text, len, &ini, fault);

    for (size_t i = 0; err == DK_OK && i < ini->count; i++) {
        const struct dk_ini_entry *entry = &ini->entries[i];

        if (entry->key != NULL)
            continue;
        if (strcmp(entry->section, "campaign") == 0)
            err = read_keys(ini, i, campaign_keys, sizeof campaign_keys / sizeof campaign_keys[0], &campaign, fault);
        else if (strncmp(entry->section, STRATUM_PREFIX, strlen(STRATUM_PREFIX)) == 0)
            err = read_stratum(ini, i, &campaign, fault);
        else
            err = dk_ini_fail(ini, entry, fault, NULL, "unknown section; allowed: [campaign], [stratum NAME]");
    }
    if (err != DK_OK)
        return err;
    if (campaign.id[0] == '\0' || campaign.strata == 0)
        return dk_fail(fault, DK_ERR_CONFIG, name, NULL, "a plan has [campaign] and at least one [stratum NAME]");
    if (campaign.from.ns >= campaign.to.ns)
        return dk_fail(fault, DK_ERR_CONFIG, name, NULL, "[campaign] to is before from");
    *out = campaign;
    return DK_OK;
}

int dk_campaign_stratum(const struct dk_campaign *campaign, enum dk_technology technology,
                        enum dk_environment environment)
{
    bool any_technology = technology == DK_TECHNOLOGY_AUTO || technology == DK_TECHNOLOGY_UNKNOWN;

    for (size_t i = 0; i < campaign->strata; i++) {
        const struct dk_stratum *stratum = &campaign->stratum[i];

        if ((any_technology || stratum->technology == DK_TECHNOLOGY_AUTO || stratum->technology == technology) &&
            (stratum->environment == DK_ENVIRONMENT_UNSTATED || stratum->environment == environment))
            return (int)i;
    }
    return -1;
}

int dk_campaign_band(const struct dk_campaign *campaign, struct dk_wall when)
{
    int64_t hour = (when.ns + DK_VIETNAM_NS) % DAY_NS / HOUR_NS;

    for (size_t i = 0; i < campaign->bands; i++)
        if (campaign->band[i].from_h <= hour && hour < campaign->band[i].to_h)
            return (int)i;
    return -1;
}

int64_t dk_campaign_per_band(const struct dk_campaign *campaign, size_t stratum)
{
    int64_t bands = (int64_t)campaign->bands;

    return (campaign->stratum[stratum].samples + bands - 1) / bands;
}

static bool is_in_period(const struct dk_campaign *campaign, struct dk_wall when)
{
    return campaign->from.ns <= when.ns && when.ns < campaign->to.ns;
}

void dk_campaign_count(const struct dk_campaign *campaign, struct dk_campaign_tally *tally, bool ours,
                       enum dk_technology technology, enum dk_environment environment, struct dk_wall start,
                       struct dk_wall end)
{
    int stratum = dk_campaign_stratum(campaign, technology, environment), band = dk_campaign_band(campaign, start);
    int64_t since_ns = start.ns - tally->last_end.ns;

    // A clock that was set back tells nothing of the gap.
    if (ours && tally->last_end.ns > 0 && since_ns >= 0 && since_ns < campaign->gap_ns)
        tally->too_close++;
    else if (ours && (stratum < 0 || band < 0 || !is_in_period(campaign, start)))
        tally->outside++;
    else if (ours)
        tally->taken[stratum][band]++;
    tally->last_end = end;
}

int64_t dk_campaign_taken(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, size_t stratum)
{
    int64_t per_band = dk_campaign_per_band(campaign, stratum), taken = 0;

    for (size_t i = 0; i < campaign->bands; i++)
        taken += tally->taken[stratum][i] < per_band ? tally->taken[stratum][i] : per_band;
    return taken;
}

int64_t dk_campaign_missing(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, size_t stratum)
{
    int64_t missing = campaign->stratum[stratum].samples - dk_campaign_taken(campaign, tally, stratum);

    return missing > 0 ? missing : 0;
}

bool dk_campaign_next(const struct dk_campaign *campaign, const struct dk_campaign_tally *tally, struct dk_wall now,
                      struct dk_wall *next)
{
    struct dk_wall at = now;
    int64_t gap_end_ns = tally->last_end.ns + campaign->gap_ns;

    // A last run in the future is a clock that was set back.
    if (tally->last_end.ns > 0 && tally->last_end.ns <= now.ns && gap_end_ns > at.ns)
        at.ns = gap_end_ns;
    if (at.ns < campaign->from.ns)
        at = campaign->from;
    // The bands of a day begin at full hours: 48 of them pass all of them.
    for (int i = 0; i <= 48 && dk_campaign_band(campaign, at) < 0; i++)
        at.ns += HOUR_NS - (at.ns + DK_VIETNAM_NS) % HOUR_NS;
    if (!is_in_period(campaign, at))
        return false;
    *next = at;
    return true;
}
