// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "config/embedded.h"
#include "config/ini.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RULE_PREFIX  "rule "
#define ID_ALLOWED   "lower-case letters, digits, - . _"
#define RATE_ALLOWED "1 b/s to 1000 Gb/s (units b/s kb/s Mb/s Gb/s)"
#define TIME_ALLOWED "1 us to 60 s (units ns us ms s min h d)"
#define SITE_PREFIX  "site."

enum { PPM = 1'000'000, FACTOR_MAX_PPM = 10 * PPM };

#define X(name, text) text,
static const char *const indicator_texts[] = {DK_INDICATOR_LIST(X)};
static const char *const statistic_texts[] = {DK_STATISTIC_LIST(X)};
static const char *const site_rate_texts[] = {DK_SITE_RATE_LIST(X)};
#undef X
#define X(name, text) text ", "
static const char indicators_allowed[] = DK_INDICATOR_LIST(X);
#undef X
#define X(name, text) ", " text
static const char threshold_allowed[] =
    "a rate of " RATE_ALLOWED ", or [FACTOR *] site.NAME, FACTOR 0.000001 to 10 and NAME one of" DK_SITE_RATE_LIST(X)
    "; for a time " TIME_ALLOWED "; for failures 1 ppm to 100 % (units ppm %)";
#undef X

const char *dk_indicator_text(enum dk_indicator indicator)
{
    return indicator_texts[indicator];
}

const struct dk_unit *dk_indicator_units(enum dk_indicator indicator)
{
    switch (indicator) {
    case DK_INDICATOR_DOWNLOAD_RATE:
    case DK_INDICATOR_DOWNLOAD_RATE_WHOLE:
    case DK_INDICATOR_UPLOAD_RATE:
    case DK_INDICATOR_UPLOAD_RATE_WHOLE:
        return dk_units_rate;
    case DK_INDICATOR_LATENCY_IDLE_MEDIAN:
    case DK_INDICATOR_ACCESS_TIME:
        return dk_units_duration;
    case DK_INDICATOR_ACCESS:
    case DK_INDICATOR_DOWNLOAD:
    case DK_INDICATOR_UPLOAD:
        break;
    }
    return dk_units_share;
}

const char *dk_statistic_text(enum dk_statistic statistic)
{
    return statistic_texts[statistic];
}

const char *dk_op_text(enum dk_op op)
{
    return op == DK_OP_AT_LEAST ? ">=" : "<=";
}

const char *dk_site_rate_text(enum dk_site_rate rate)
{
    return site_rate_texts[rate];
}

// --- a rule at a place ----------------------------------------------------------------------------------------------

bool dk_rule_is_about(const struct dk_rule *rule, enum dk_technology technology, const struct dk_site *site)
{
    return rule->technology == technology &&
           (rule->environment == DK_ENVIRONMENT_UNSTATED || rule->environment == site->environment) &&
           (rule->subscriber == DK_SUBSCRIBER_UNSTATED || rule->subscriber == site->subscriber);
}

bool dk_rule_is_for_one_run(const struct dk_rule *rule)
{
    return (rule->statistic == DK_STATISTIC_MEAN || rule->statistic == DK_STATISTIC_MEDIAN) &&
           rule->indicator != DK_INDICATOR_ACCESS_TIME;
}

bool dk_rule_resolve(const struct dk_rule *rule, const struct dk_site *site, int64_t *threshold)
{
    if (rule->factor_ppm == 0) {
        *threshold = rule->threshold;
        return true;
    }

    int64_t rate_bps = site->rate_bps[rule->site_rate];

    if (rate_bps <= 0)
        return false;
    // In two parts, so that nothing overflows.
    *threshold = rate_bps / PPM * rule->factor_ppm + (rate_bps % PPM * rule->factor_ppm + PPM - 1) / PPM;
    return true;
}

enum dk_err dk_rule_print_threshold(const struct dk_rule *rule, struct dk_buf *out)
{
    char decimals[16];
    int len = 0;

    if (rule->factor_ppm == 0)
        return dk_quantity_print(rule->threshold, dk_indicator_units(rule->indicator), " ", out);
    if (rule->factor_ppm == PPM)
        return dk_buf_printf(out, SITE_PREFIX "%s", dk_site_rate_text(rule->site_rate));
    len = snprintf(decimals, sizeof decimals, ".%06" PRId64, rule->factor_ppm % PPM);
    while (len > 0 && (decimals[len - 1] == '0' || decimals[len - 1] == '.'))
        decimals[--len] = '\0';
    return dk_buf_printf(out, "%" PRId64 "%s * " SITE_PREFIX "%s", rule->factor_ppm / PPM, decimals,
                         dk_site_rate_text(rule->site_rate));
}

// --- keys -----------------------------------------------------------------------------------------------------------

// `set` returns false when `text` is not allowed. Keys are set in the order of the table, so that the threshold is
// read when its indicator is known.
struct rule_key {
    const char *name, *allowed;
    bool (*set)(struct dk_rule *rule, const char *text);
    bool optional; // left out: what 0 means
};

static bool copy_text(const char *text, char *out, size_t size)
{
    size_t len = strlen(text);

    if (len == 0 || len >= size || !dk_text_is_clean(text, len))
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static bool copy_id(const char *text, char *out, size_t size)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0' && copy_text(text, out, size);
}

static bool set_family(struct dk_rule *rule, const char *text)
{
    return dk_rule_family_parse(text, &rule->family);
}

static bool set_basis(struct dk_rule *rule, const char *text)
{
    return copy_text(text, rule->basis, sizeof rule->basis);
}

static bool set_technology(struct dk_rule *rule, const char *text)
{
    return dk_technology_parse(text, &rule->technology) && rule->technology != DK_TECHNOLOGY_UNKNOWN &&
           rule->technology != DK_TECHNOLOGY_AUTO;
}

// The place of `text` in `texts`, or `count`.
static size_t find_text(const char *text, const char *const texts[], size_t count)
{
    size_t i = 0;

    while (i < count && strcmp(text, texts[i]) != 0)
        i++;
    return i;
}

static bool set_indicator(struct dk_rule *rule, const char *text)
{
    enum { COUNT = sizeof indicator_texts / sizeof indicator_texts[0] };
    size_t i = find_text(text, indicator_texts, COUNT);

    rule->indicator = (enum dk_indicator)(i < COUNT ? i : 0);
    return i < COUNT;
}

static bool set_statistic(struct dk_rule *rule, const char *text)
{
    enum { COUNT = sizeof statistic_texts / sizeof statistic_texts[0] };
    size_t i = find_text(text, statistic_texts, COUNT);

    rule->statistic = (enum dk_statistic)(i < COUNT ? i : 0);
    return i < COUNT;
}

static bool set_op(struct dk_rule *rule, const char *text)
{
    bool least = strcmp(text, "at least") == 0 || strcmp(text, ">=") == 0;

    rule->op = least ? DK_OP_AT_LEAST : DK_OP_AT_MOST;
    return least || strcmp(text, "at most") == 0 || strcmp(text, "<=") == 0;
}

// "site.NAME" or "FACTOR * site.NAME".
static bool set_expression(struct dk_rule *rule, const char *text)
{
    size_t digits = strspn(text, "0123456789.");
    const char *name = text;

    rule->factor_ppm = PPM;
    if (digits > 0) {
        if (!dk_parse_decimal(text, digits, PPM, 1, FACTOR_MAX_PPM, &rule->factor_ppm))
            return false;
        name += digits;
        name += name[0] == ' ' ? 1 : 0;
        if (*name++ != '*')
            return false;
        name += name[0] == ' ' ? 1 : 0;
    }
    if (strncmp(name, SITE_PREFIX, strlen(SITE_PREFIX)) != 0)
        return false;

    size_t i = find_text(name + strlen(SITE_PREFIX), site_rate_texts, DK_SITE_RATES);

    rule->site_rate = (enum dk_site_rate)(i < DK_SITE_RATES ? i : 0);
    return i < DK_SITE_RATES;
}

static bool set_threshold(struct dk_rule *rule, const char *text)
{
    const struct dk_unit *units = dk_indicator_units(rule->indicator);
    int64_t min = 1, max = PPM;

    if (units == dk_units_rate) {
        if (strstr(text, SITE_PREFIX) != NULL)
            return set_expression(rule, text);
        max = INT64_C(1'000'000'000'000);
    } else if (units == dk_units_duration) {
        min = 1000;
        max = INT64_C(60'000'000'000);
    }
    return dk_quantity_parse(text, units, 0, &rule->threshold) == NULL && rule->threshold >= min &&
           rule->threshold <= max;
}

static bool set_share(struct dk_rule *rule, const char *text)
{
    return dk_quantity_parse(text, dk_units_share, 0, &rule->share_ppm) == NULL && rule->share_ppm >= 1 &&
           rule->share_ppm <= PPM;
}

static bool set_environment(struct dk_rule *rule, const char *text)
{
    return strcmp(text, "any") == 0 ||
           (dk_environment_parse(text, &rule->environment) && rule->environment != DK_ENVIRONMENT_UNSTATED);
}

static bool set_subscriber(struct dk_rule *rule, const char *text)
{
    return strcmp(text, "any") == 0 ||
           (dk_subscriber_parse(text, &rule->subscriber) && rule->subscriber != DK_SUBSCRIBER_UNSTATED);
}

static bool set_min_samples(struct dk_rule *rule, const char *text)
{
    return dk_parse_i64(text, 1, 1'000'000, &rule->min_samples);
}

static bool set_min_samples_stratum(struct dk_rule *rule, const char *text)
{
    return dk_parse_i64(text, 0, 1'000'000, &rule->min_samples_stratum);
}

static bool set_min_gap(struct dk_rule *rule, const char *text)
{
    return dk_quantity_parse(text, dk_units_duration, 0, &rule->min_gap_ns) == NULL &&
           rule->min_gap_ns <= INT64_C(86'400'000'000'000);
}

static bool set_confirmed(struct dk_rule *rule, const char *text)
{
    rule->unconfirmed = strcmp(text, "no") == 0;
    return rule->unconfirmed || strcmp(text, "yes") == 0;
}

static bool set_note(struct dk_rule *rule, const char *text)
{
    return copy_text(text, rule->note, sizeof rule->note);
}

static const struct rule_key rule_keys[] = {
    {"family", "qcvn, target", set_family, false},
    {"basis", "1 to 511 bytes of text", set_basis, false},
    {"confirmed", "yes, no", set_confirmed, true},
    {"note", "1 to 511 bytes of text", set_note, true},
    {"technology", "4g, 5g, fixed", set_technology, false},
    {"environment", "any, indoor, outdoor, moving", set_environment, true},
    {"subscriber", "any, household, organisation", set_subscriber, true},
    {"indicator", indicators_allowed, set_indicator, false},
    {"statistic", "mean, median, share, failures", set_statistic, true},
    {"op", "at least, at most, >=, <=", set_op, false},
    {"threshold", threshold_allowed, set_threshold, false},
    {"share", "1 ppm to 100 % (units ppm %)", set_share, true},
    {"min_samples", "integer 1 to 1000000", set_min_samples, false},
    {"min_samples_per_stratum", "integer 0 to 1000000", set_min_samples_stratum, true},
    {"min_gap", "0 s to 1 d (units ns us ms s min h d)", set_min_gap, true},
};

// What contradicts itself in a rule whose keys are each allowed; NULL when nothing does.
static const char *contradiction(const struct dk_rule *rule)
{
    bool status = dk_indicator_units(rule->indicator) == dk_units_share;

    if (status != (rule->statistic == DK_STATISTIC_FAILURES))
        return "statistic = failures goes with server.status, download.status and upload.status, and only with them";
    if (status && rule->op != DK_OP_AT_MOST)
        return "failures can only be asked to be at most something: op = at most";
    if ((rule->share_ppm > 0) != (rule->statistic == DK_STATISTIC_SHARE))
        return "statistic = share needs a share, as in share = 95 %, and no other statistic has one";
    if (rule->min_samples_stratum > 0 && rule->environment != DK_ENVIRONMENT_UNSTATED)
        return "min_samples_per_stratum is for rules of any environment";
    if (rule->min_samples_stratum > rule->min_samples / 3)
        return "min_samples_per_stratum, in each of indoor, outdoor and moving, is more than a third of min_samples";
    if (rule->unconfirmed && rule->note[0] == '\0')
        return "confirmed = no needs a note that says what is not confirmed";
    return NULL;
}

// --- sections -------------------------------------------------------------------------------------------------------

static enum dk_err fail_value(const struct dk_ini *ini, const struct dk_ini_entry *entry, const char *allowed,
                              struct dk_fault *fault)
{
    char value[DK_QUOTE_SIZE];

    dk_quote(entry->value, value);
    return dk_ini_fail(ini, entry, fault, NULL, "%s is not allowed; allowed: %s", value, allowed);
}

// The entry of `key` in the section whose own line is entry `first`; NULL when it is missing.
static const struct dk_ini_entry *find_key(const struct dk_ini *ini, size_t first, const char *key)
{
    for (size_t i = first + 1; i < ini->count && ini->entries[i].key != NULL; i++)
        if (strcmp(ini->entries[i].key, key) == 0)
            return &ini->entries[i];
    return NULL;
}

// The same, with a fault when it is missing.
static const struct dk_ini_entry *require(const struct dk_ini *ini, size_t first, const char *key,
                                          struct dk_fault *fault)
{
    const struct dk_ini_entry *entry = find_key(ini, first, key);

    if (entry == NULL)
        (void)dk_ini_fail(ini, &ini->entries[first], fault, "add it", "the key \"%s\" is missing", key);
    return entry;
}

// Refuses keys of the section that are none of `names` ("a, b, c").
static enum dk_err check_names(const struct dk_ini *ini, size_t first, const char *const names[], size_t count,
                               struct dk_fault *fault)
{
    for (size_t i = first + 1; i < ini->count && ini->entries[i].key != NULL; i++) {
        dk_auto_buf struct dk_buf allowed = dk_buf_make(256);
        bool known = false;

        for (size_t k = 0; k < count && !known; k++) {
            known = strcmp(ini->entries[i].key, names[k]) == 0;
            if (dk_buf_printf(&allowed, "%s%s", k > 0 ? ", " : "", names[k]) != DK_OK)
                break;
        }
        if (!known)
            return dk_ini_fail(ini, &ini->entries[i], fault, "correct the name, or remove the line",
                               "unknown key \"%s\"; allowed: %s", ini->entries[i].key, dk_buf_text(&allowed));
    }
    return DK_OK;
}

static enum dk_err read_rule(const struct dk_ini *ini, size_t first, struct dk_rules *rules, struct dk_fault *fault)
{
    enum { KEYS = sizeof rule_keys / sizeof rule_keys[0] };
    const struct dk_ini_entry *own = &ini->entries[first];
    const char *names[KEYS];

    if (rules->count == DK_RULES_MAX)
        return dk_ini_fail(ini, own, fault, NULL, "too many rules; %d are allowed", DK_RULES_MAX);

    struct dk_rule *rule = &rules->rules[rules->count++];

    if (!copy_id(own->section + strlen(RULE_PREFIX), rule->id, sizeof rule->id))
        return dk_ini_fail(ini, own, fault, NULL, "the rule has no proper name; allowed: [rule NAME], NAME of "
                           ID_ALLOWED ", at most %d", DK_RULE_ID_SIZE - 1);
    for (size_t k = 0; k < KEYS; k++)
        names[k] = rule_keys[k].name;

    enum dk_err err = check_names(ini, first, names, KEYS, fault);

    for (size_t k = 0; k < KEYS && err == DK_OK; k++) {
        const struct dk_ini_entry *entry =
            rule_keys[k].optional ? find_key(ini, first, names[k]) : require(ini, first, names[k], fault);

        if (entry == NULL && !rule_keys[k].optional)
            return DK_ERR_CONFIG;
        if (entry != NULL && !rule_keys[k].set(rule, entry->value))
            err = fail_value(ini, entry, rule_keys[k].allowed, fault);
    }

    const char *wrong = err == DK_OK ? contradiction(rule) : NULL;

    return wrong != NULL ? dk_ini_fail(ini, own, fault, "correct the rule", "%s", wrong) : err;
}

static enum dk_err read_profile(const struct dk_ini *ini, size_t first, struct dk_rules *rules,
                                struct dk_fault *fault)
{
    static const char *const names[] = {"id", "version", "title"};
    enum dk_err err = check_names(ini, first, names, sizeof names / sizeof names[0], fault);

    if (err != DK_OK)
        return err;

    const struct dk_ini_entry *id = require(ini, first, "id", fault);
    const struct dk_ini_entry *version = id == NULL ? NULL : require(ini, first, "version", fault);
    const struct dk_ini_entry *title = version == NULL ? NULL : require(ini, first, "title", fault);

    if (title == NULL)
        return DK_ERR_CONFIG;
    if (!copy_id(id->value, rules->id, sizeof rules->id))
        return fail_value(ini, id, ID_ALLOWED ", 1 to 63", fault);
    if (!copy_id(version->value, rules->version, sizeof rules->version))
        return fail_value(ini, version, ID_ALLOWED ", 1 to 63", fault);
    if (!copy_text(title->value, rules->title, sizeof rules->title))
        return fail_value(ini, title, "1 to 511 bytes of text", fault);
    return DK_OK;
}

enum dk_err dk_rules_read_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                               struct dk_fault *fault)
{
    dk_auto(ini) struct dk_ini *ini = NULL;
    struct dk_rules rules = {0};
    enum dk_err err = dk_ini_read(name, text, len, &ini, fault);

    for (size_t i = 0; err == DK_OK && i < ini->count; i++) {
        const struct dk_ini_entry *entry = &ini->entries[i];

        if (entry->key != NULL)
            continue;
        if (strcmp(entry->section, "profile") == 0)
            err = read_profile(ini, i, &rules, fault);
        else if (strncmp(entry->section, RULE_PREFIX, strlen(RULE_PREFIX)) == 0)
            err = read_rule(ini, i, &rules, fault);
        else
            err = dk_ini_fail(ini, entry, fault, "correct the name, or remove the section",
                              "unknown section \"%s\"; allowed: profile, rule NAME", entry->section);
    }
    if (err != DK_OK)
        return err;
    if (rules.id[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, name, "add [profile] with id, version and title",
                       "the section \"profile\" is missing");
    if (rules.count == 0)
        return dk_fail(fault, DK_ERR_CONFIG, name, "add a section [rule NAME]", "holds no rule");
    if (dk_sha256_hex(text, len, rules.sha256) != DK_OK)
        return dk_fail(fault, DK_ERR_MEMORY, name, NULL, "its SHA-256 cannot be computed");
    *out = rules;
    return DK_OK;
}

// --- finding a profile ----------------------------------------------------------------------------------------------

static const char *const folders[] = {"/etc/dokiem/profiles", "/usr/share/dokiem/profiles"};

static enum dk_err load_text(struct dk_rules *out, const char *name, const char *text, size_t len,
                             struct dk_buf *copy, struct dk_fault *fault)
{
    enum dk_err err = copy != NULL ? dk_buf_append(copy, text, len) : DK_OK;

    if (err != DK_OK)
        return dk_fail(fault, err == DK_ERR_DATA ? DK_ERR_CONFIG : err, name, NULL, "is too long to be kept");
    return dk_rules_read_text(out, name, text, len, fault);
}

static enum dk_err load_file(struct dk_rules *out, const char *path, struct dk_buf *copy, struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf text = dk_buf_make(DK_INI_MAX_BYTES);
    enum dk_err err = dk_ini_read_file(path, &text, fault);

    return err != DK_OK ? err : load_text(out, path, dk_buf_text(&text), text.len, copy, fault);
}

enum dk_err dk_rules_load(struct dk_rules *out, const char *profile, struct dk_fault *fault)
{
    return dk_rules_load_text(out, profile, NULL, NULL, fault);
}

bool dk_rules_are_built_in(const char *text, size_t len)
{
    for (const struct dk_embedded *e = dk_embedded_profiles; e->name != NULL; e++)
        if (e->len == len && memcmp(e->data, text, len) == 0)
            return true;
    return false;
}

// The file that `profile` names, "" when there is none: then it may be built in.
static bool find_file(const char *profile, char out[static PATH_MAX])
{
    out[0] = '\0';
    if (strchr(profile, '/') != NULL)
        return snprintf(out, PATH_MAX, "%s", profile) < PATH_MAX;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (snprintf(out, PATH_MAX, "%s/%s.ini", folders[i], profile) < PATH_MAX &&
            (access(out, F_OK) == 0 || errno == EACCES))
            return true;
    out[0] = '\0';
    return false;
}

enum dk_err dk_rules_load_text(struct dk_rules *out, const char *profile, struct dk_buf *text, char *path,
                               struct dk_fault *fault)
{
    dk_auto_buf struct dk_buf built_in = dk_buf_make(256);
    char own_path[PATH_MAX];
    bool file = find_file(profile, own_path);

    if (path != NULL)
        memcpy(path, own_path, sizeof own_path);
    if (file)
        return load_file(out, own_path, text, fault);
    for (const struct dk_embedded *e = dk_embedded_profiles; e->name != NULL; e++) {
        if (strcmp(e->name, profile) == 0)
            return load_text(out, profile, (const char *)e->data, e->len, text, fault);
        if (dk_buf_printf(&built_in, "%s%s", built_in.len > 0 ? ", " : "", e->name) != DK_OK)
            break;
    }

    char quoted[DK_QUOTE_SIZE];

    dk_quote(profile, quoted);
    return dk_fail(fault, DK_ERR_CONFIG, "[judge] profile", "name one of these, or the path of a file",
                   "there is no profile %s in %s or %s; built in: %s", quoted, folders[0], folders[1],
                   dk_buf_text(&built_in));
}
